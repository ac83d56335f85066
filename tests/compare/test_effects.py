"""Mails and charges: named before anything is written, never more than one run may cause, a mail never twice."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from reconcile.compare.circumstances import Cap, Mailed
from reconcile.compare.planning import Planned
from reconcile.model.entities import Entity
from reconcile.model.findings import Severity
from reconcile.model.guards import Permission
from reconcile.model.plan import Action, EffectKind

if TYPE_CHECKING:
    from conftest import Trade

FRIDAY = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def garden(trade: Trade) -> Trade:
    """Amy, on auto pay."""
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.billing.change(Entity.CUSTOMER, "r1", auto_pay=True)
    trade.both_have("product", "q2", "r2", "Gardening")
    return trade


def effects(planned: Planned) -> list[tuple[EffectKind, str, int]]:
    return [(effect.kind, one.label, effect.amount) for one in planned.plan.operations for effect in one.effects]


def created(planned: Planned) -> list[str]:
    return [one.label for one in planned.plan.operations if one.action is Action.CREATE]


def held(planned: Planned) -> list[str]:
    return [finding.label for finding in planned.left_out if finding.severity is Severity.HOLD]


def charges(most: int, together: int = 10**9) -> dict[str, Any]:
    return {"caps": {EffectKind.CHARGE: Cap(most, together)}}


def test_over_the_number_the_oldest_go_and_the_others_wait_and_say_so(garden: Trade) -> None:
    for n in (10, 9, 8):
        garden.books.invoice(f"q{n}", f"10{n}", "q1", 500)
    planned = garden.plan(**charges(2))
    assert created(planned) == ["108", "109"]
    assert held(planned) == ["1010"]
    (finding,) = planned.left_out
    assert (finding.check, finding.amount) == ("outside_effects_over_cap", 500)
    assert finding.sentence == (
        "Invoice 1010 of Amy would cause a charge of 5.00 to Amy. One run may cause at most 2 charges of together "
        "10,000,000.00; older records went first, so this one waits for the next run."
    )
    command = "`reconcile permit craigs many-outside-effects --record charge --up-to 3 --because"
    assert f"To let all 3 charges go in the next run: {command}" in finding.remedy
    assert created(garden.plan(**charges(3))) == ["108", "109", "1010"]


def test_over_the_sum_the_one_too_large_waits_and_a_small_one_still_fits(garden: Trade) -> None:
    for n, amount in ((7, 400), (8, 900), (9, 100)):
        garden.books.invoice(f"q{n}", f"10{n}", "q1", amount)
    planned = garden.plan(**charges(100, 500))
    assert created(planned) == ["107", "109"]
    assert held(planned) == ["108"]
    assert created(garden.plan(**charges(100, 1400))) == ["107", "108", "109"]


def test_what_depends_on_a_held_one_waits_and_what_its_payment_would_have_settled_is_counted_anew(
    garden: Trade,
) -> None:
    garden.books.invoice("q7", "107", "q1", 500, balance=400)
    garden.books.invoice("q8", "108", "q1", 300, balance=0, state="paid")
    garden.books.payment("q9", "q1", 400, {"q7": 100, "q8": 300}, reference="both")
    assert effects(garden.plan()) == [(EffectKind.CHARGE, "107", 400)]
    planned = garden.plan(**charges(0))
    assert created(planned) == []
    assert held(planned) == ["107", "108"]
    assert [one.label for one in planned.left_out if one.severity is Severity.NOTE] == ["both"]


def test_without_caps_all_go(garden: Trade) -> None:
    garden.books.invoice("q7", "107", "q1", 500)
    assert created(garden.plan()) == ["107"]
    assert created(garden.plan(caps={EffectKind.MAIL: Cap(0, 0)})) == ["107"]


def test_a_person_lets_as_many_go_as_were_seen(garden: Trade) -> None:
    for n in (7, 8):
        garden.books.invoice(f"q{n}", f"10{n}", "q1", 500)
    seen = Permission(1, "many-outside-effects", "charge", 2, "They know.", "Ann", "", False, FRIDAY, FRIDAY, None, ())
    planned = garden.plan(**charges(1), permissions=[seen])
    assert (created(planned), len(planned.passed)) == (["107", "108"], 1)
    garden.books.invoice("q9", "109", "q1", 500)
    assert created(garden.plan(**charges(1), permissions=[seen])) == ["107"]


@pytest.mark.parametrize(
    ("before", "mailed"),
    [
        (Mailed(), ["107"]),
        (Mailed(books_ids=frozenset({"q7"})), []),
        (Mailed(numbers=frozenset({"107"})), []),
        (Mailed(frozenset({"q8"}), frozenset({"108", "00107"})), ["107"]),
    ],
)
def test_an_invoice_is_mailed_once_ever_also_when_it_was_entered_again_or_linked_anew(
    garden: Trade, before: Mailed, mailed: list[str]
) -> None:
    garden.billing.change(Entity.CUSTOMER, "r1", auto_pay=False)
    garden.books.invoice("q7", "107", "q1", 500)
    planned = garden.plan(send_automatically=True, mailed=before)
    assert created(planned) == ["107"]
    assert [label for kind, label, _ in effects(planned) if kind is EffectKind.MAIL] == mailed


def test_a_cent_that_stays_open_in_billing_after_the_payment_is_named(garden: Trade) -> None:
    garden.both_have("invoice", "q7", "r7", "107", "q1", 577, product="q2")
    garden.billing.change(Entity.INVOICE, "r7", tax=1, total=578, balance=578)
    garden.books.change(Entity.INVOICE, "q7", balance=0, state="paid")
    garden.books.payment("q9", "q1", 577, {"q7": 577}, reference="whole")
    planned = garden.plan()
    assert effects(planned) == [(EffectKind.CHARGE, "whole", 1)]
    (effect,) = next(one.effects for one in planned.plan.operations if one.effects)
    assert "it comes to 5.78 in ReliaBills and to 5.77 in QuickBooks, where it is paid" in effect.cause
    garden.billing.change(Entity.CUSTOMER, "r1", auto_pay=False)
    assert effects(garden.plan()) == []


def test_a_cent_that_a_new_invoice_will_come_to_more_in_billing_is_named_too(garden: Trade) -> None:
    garden.both_have("tax_rate", "q3", "r3", "Tucson", percent=9_1000000)
    line = [{"product_id": "q2", "amount": 529, "taxable": True}]
    figures = {"tax": 47, "total": 576, "balance": 0, "state": "paid", "tax_rate_id": "q3"}
    garden.books.invoice("q7", "107", "q1", lines=line, **figures)
    garden.books.payment("q9", "q1", 576, {"q7": 576}, reference="whole")
    assert effects(garden.plan()) == [(EffectKind.CHARGE, "107", 1)]


@pytest.fixture
def ended(trade: Trade) -> Trade:
    """Amy, on auto pay, is inactive with two open invoices and a paid one; now QuickBooks has made her active again."""
    trade.both_have("customer", "q1", "r1", "Amy", active=False)
    trade.billing.change(Entity.CUSTOMER, "r1", auto_pay=True)
    trade.both_have("customer", "q3", "r3", "Bob")
    trade.both_have("product", "q2", "r2", "Gardening")
    for n, balance in ((5, 500), (6, 300), (7, 0)):
        trade.both_have("invoice", f"q{n}", f"r{n}", f"10{n}", "q1", 500, balance=balance)
    trade.books.change(Entity.CUSTOMER, "q1", active=True)
    return trade


def test_whoever_makes_a_customer_on_auto_pay_active_again_charges_all_that_is_open(ended: Trade) -> None:
    planned = ended.plan()
    assert effects(planned) == [(EffectKind.CHARGE, "Amy", 800)]
    assert "a customer on auto pay who owes becomes active again" in planned.plan.operations[0].effects[0].cause
    ended.books.payment("q9", "q1", 300, {"q6": 300})
    assert effects(ended.plan()) == [(EffectKind.CHARGE, "Amy", 500)]
    ended.billing.change(Entity.CUSTOMER, "r1", auto_pay=False)
    assert effects(ended.plan()) == []


def test_over_the_cap_the_customer_stays_inactive_and_what_is_new_for_it_waits(ended: Trade) -> None:
    ended.books.invoice("q10", "110", "q1", 100, balance=0, state="paid")
    ended.books.payment("q11", "q1", 100, {"q10": 100})
    ended.books.invoice("q12", "112", "q3", 100)
    planned = ended.plan(**charges(5, 799))
    assert created(planned) == ["112"]
    told = {one.label or one.record_id: one.check for one in planned.findings}
    assert told["Amy"] == "outside_effects_over_cap"
    assert told["110"] == "inactive_on_the_other_side"
    assert [one for one in planned.plan.writes() if one.label == "Amy"] == []
    within = ended.plan(**charges(5, 800))
    assert {"110", "112"} <= {*created(within)}
    assert ("customer", "Amy") in {(one.step.value, one.label) for one in within.plan.writes()}
