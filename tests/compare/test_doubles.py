"""Payments that one write has made twice in QuickBooks: shown, never carried to ReliaBills, and in nobody's way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from reconcile.compare.doubles import made_twice, new_and_marked
from reconcile.compare.rules import TWICE
from reconcile.model.entities import Entity
from reconcile.model.findings import Finding, Severity

if TYPE_CHECKING:
    from conftest import Trade

    from reconcile.compare.planning import Planned


@pytest.fixture
def paid(trade: Trade) -> Trade:
    """Amy has paid in ReliaBills; the payment is in QuickBooks twice, and she has paid something else there."""
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("payment", "q7", "r7", "q1", 300)
    trade.books.payment("q8", "q1", 300)
    trade.books.payment("q9", "q1", 500)
    trade.books.marks = {"q7": "m", "q8": "m"}
    return trade


def twice(trade: Trade, made: Mapping[str, str | None], *linked: str) -> dict[str, str]:
    payments = trade.compare()[Entity.PAYMENT]
    return made_twice(payments, trade.books.snapshot(Entity.PAYMENT), made, linked)


def carried(planned: Planned) -> list[tuple[str | None, str]]:
    return [(one.books_id, str(one.action)) for one in planned.plan.writes()]


def told(planned: Planned) -> list[Finding]:
    return [one for one in planned.findings if one.check == TWICE]


def test_only_marked_payments_that_would_be_made_in_reliabills_are_looked_at(paid: Trade) -> None:
    def looked_at() -> frozenset[str]:
        return new_and_marked(paid.compare()[Entity.PAYMENT], paid.books.snapshot(Entity.PAYMENT))

    assert looked_at() == {"q8"}
    paid.books.change(Entity.PAYMENT, "q8", void=True)
    assert looked_at() == frozenset()
    paid.books.change(Entity.PAYMENT, "q8", void=False)
    paid.books.marks = {}
    assert looked_at() == frozenset()


def test_the_second_payment_of_one_write_is_held_with_both_ids_and_its_sibling_is_carried(paid: Trade) -> None:
    planned = paid.plan(doubles={"q8": "q7"})
    assert carried(planned) == [("q9", "create")]
    (finding,) = told(planned)
    assert (finding.severity, finding.entity, finding.record_id) == (Severity.HOLD, Entity.PAYMENT, "q8")
    assert finding.amount == 300
    assert "(id q8) was made by the same write of the sync as the payment with the id q7" in finding.sentence
    assert "void this one" in finding.remedy


def test_payments_alike_that_two_people_entered_are_both_carried(paid: Trade) -> None:
    paid.books.marks = {}
    assert twice(paid, {"m": "q7"}) == {}
    assert {one.books_id for one in paid.plan().plan.writes()} == {"q8", "q9"}


def test_the_journal_tells_what_the_write_has_made_also_where_that_was_not_read(paid: Trade) -> None:
    paid.books.remove(Entity.PAYMENT, "q7", known=False)
    paid.billing.remove(Entity.PAYMENT, "r7", known=False)
    paid.books.marks = {"q8": "m"}
    assert twice(paid, {"m": "q7", "n": "q3"}, "q7") == {"q8": "q7"}


def test_a_payment_that_we_made_and_that_was_taken_apart_since_is_one_of_its_own(paid: Trade) -> None:
    paid.links[Entity.PAYMENT].clear()
    paid.billing.remove(Entity.PAYMENT, "r7", known=False)
    assert twice(paid, {"m": "q7"}) == {"q8": "q7"}
    del paid.books.marks["q8"]
    assert twice(paid, {"m": "q7"}) == {}


def test_whichever_of_the_two_has_a_counterpart_stands_for_their_write(paid: Trade) -> None:
    """A person has said that the second one belongs to the payment in ReliaBills."""
    paid.links[Entity.PAYMENT].clear()
    paid.agree(Entity.PAYMENT, "q8", "r7")
    assert twice(paid, {"m": "q7"}) == {"q7": "q8"}
    assert twice(paid, {}) == {"q7": "q8"}
    assert twice(paid, {"m": None}, "q8") == {"q7": "q8"}


def test_where_the_journal_knows_nothing_a_counterpart_tells_else_the_oldest_stands(paid: Trade) -> None:
    """The state was restored: it knows neither the request nor, at first, the link."""
    assert twice(paid, {}) == {"q8": "q7"}
    paid.links[Entity.PAYMENT].clear()
    paid.billing.remove(Entity.PAYMENT, "r7", known=False)
    paid.books.payment("q10", "q1", 300)
    paid.books.marks["q10"] = "m"
    assert twice(paid, {}) == {"q8": "q7", "q10": "q7"}
    paid.books.change(Entity.PAYMENT, "q7", void=True)
    assert twice(paid, {}) == {"q10": "q8"}


def test_a_mark_that_nobody_knows_on_one_payment_alone_holds_nothing(paid: Trade) -> None:
    paid.books.marks = {"q8": "unknown", "q9": "unheard of"}
    assert twice(paid, {"m": "q7"}) == {}


def test_as_long_as_nobody_knows_what_the_write_has_made_none_of_several_is_carried(paid: Trade) -> None:
    paid.books.marks = {"q8": "n", "q9": "n"}
    assert twice(paid, {"n": None}) == {"q8": "q9", "q9": "q8"}
    paid.books.marks = {"q8": "n"}
    assert twice(paid, {"n": None}) == {}


def test_who_voids_the_first_of_the_two_does_not_lose_the_payment_in_reliabills(paid: Trade) -> None:
    paid.books.change(Entity.PAYMENT, "q7", void=True)
    planned = paid.plan(doubles=twice(paid, {"m": "q7"}))
    assert carried(planned) == [("q9", "create")]
    first, second = sorted(told(planned), key=lambda one: one.record_id)
    assert (first.record_id, second.record_id) == ("q7", "q8")
    assert "(id q7), but the payment with the id q8" in first.sentence
    assert "reconcile relink" in first.remedy


def test_when_both_are_voided_the_payment_in_reliabills_is_voided(paid: Trade) -> None:
    for one in ("q7", "q8"):
        paid.books.change(Entity.PAYMENT, one, void=True)
    planned = paid.plan(doubles=twice(paid, {"m": "q7"}))
    assert sorted(carried(planned)) == [("q7", "void"), ("q9", "create")]
    assert told(planned) == []
