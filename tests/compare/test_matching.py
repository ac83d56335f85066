"""Matching: one to one by what people go by, and a question where it would be a guess."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconcile.compare.matching import counterparts
from reconcile.compare.rules import (
    AMBIGUOUS,
    COUNTERPART_UNREADABLE,
    ENDED,
    LOOK_ALIKE,
    OTHER_CUSTOMER,
    TAKEN,
)
from reconcile.errors import IncompletePullError
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Finding, Severity
from reconcile.model.snapshot import Scope

if TYPE_CHECKING:
    from conftest import Trade


def pairs(trade: Trade, entity: Entity) -> set[tuple[str, str]]:
    frame = trade.compare()[entity].pairs
    return set(zip(frame["books_id"], frame["billing_id"], strict=True))


def checks(trade: Trade, entity: Entity) -> set[tuple[str, Side | None, str]]:
    return {(found.check, found.side, found.record_id) for found in trade.compare()[entity].findings}


def created(trade: Trade, entity: Entity) -> set[str]:
    return {o.key for o in trade.plan().plan.step(entity) if o.action == "create"}


def test_a_customer_is_known_by_its_display_name_whatever_its_capitals(trade: Trade) -> None:
    trade.books.customer("q1", "Café Ünal")
    trade.billing.customer("r9", "CAFE\u0301 ünal")
    assert pairs(trade, Entity.CUSTOMER) == {("q1", "r9")}


def test_a_name_with_another_blank_is_another_name(trade: Trade) -> None:
    trade.books.customer("q1", "Amy  Lauterbach")
    trade.billing.customer("r1", "Amy Lauterbach")
    assert pairs(trade, Entity.CUSTOMER) == set()


def test_a_customer_of_another_name_is_known_by_mail_and_last_name(trade: Trade) -> None:
    trade.books.customer("q1", "Amy's Birds", email="amy@birds.example", family_name="Lauterbach")
    trade.billing.customer("r1", "Lauterbach, Amy", email="Amy@Birds.example", family_name="lauterbach")
    assert pairs(trade, Entity.CUSTOMER) == {("q1", "r1")}


def test_customers_without_mail_are_not_one_customer(trade: Trade) -> None:
    trade.books.customer("q1", "Amy", family_name="Li")
    trade.billing.customer("r1", "Bob", family_name="Li")
    assert pairs(trade, Entity.CUSTOMER) == set()


def test_a_mail_shared_by_two_customers_proves_nothing(trade: Trade) -> None:
    trade.books.customer("q1", "Job A", email="a@x.example", family_name="Li")
    trade.books.customer("q2", "Job B", email="a@x.example", family_name="Li")
    trade.billing.customer("r1", "Job A", email="a@x.example", family_name="Li")
    trade.billing.customer("r3", "Job C", email="a@x.example", family_name="Li")
    assert pairs(trade, Entity.CUSTOMER) == {("q1", "r1")}
    assert (AMBIGUOUS, Side.BOOKS, "q2") in checks(trade, Entity.CUSTOMER)
    assert (AMBIGUOUS, Side.BILLING, "r3") in checks(trade, Entity.CUSTOMER)
    assert created(trade, Entity.CUSTOMER) == set()


def test_two_customers_of_one_name_are_a_question_and_nothing_is_created_from_them(trade: Trade) -> None:
    trade.books.customer("q1", "Bob Smith")
    trade.billing.customer("r1", "Bob Smith")
    trade.billing.customer("r2", "Bob Smith")
    found = {found.record_id: found for found in trade.compare()[Entity.CUSTOMER].findings}
    assert set(found) == {"q1", "r1", "r2"}
    assert all(finding.severity is Severity.HOLD for finding in found.values())
    assert "could be r1, r2 in ReliaBills" in found["q1"].sentence
    assert created(trade, Entity.CUSTOMER) == set()


def test_the_mail_tells_two_customers_of_one_name_apart(trade: Trade) -> None:
    trade.books.customer("q1", "Bob Smith", email="bob@x.example")
    trade.billing.customer("r1", "Bob Smith", email="other@x.example")
    trade.billing.customer("r2", "Bob Smith", email="bob@x.example")
    assert pairs(trade, Entity.CUSTOMER) == {("q1", "r2")}


def test_an_inactive_namesake_is_no_rival(trade: Trade) -> None:
    trade.books.customer("q1", "Bob Smith")
    trade.books.customer("q2", "Bob Smith", active=False)
    trade.billing.customer("r1", "Bob Smith")
    assert pairs(trade, Entity.CUSTOMER) == {("q1", "r1")}
    assert created(trade, Entity.CUSTOMER) == set()


def test_a_customer_whose_name_is_taken_over_there_is_not_created(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Bob Smith")
    trade.books.change(Entity.CUSTOMER, "q1", display_name="Robert Smith")
    trade.books.customer("q2", "Bob Smith")
    assert (TAKEN, Side.BOOKS, "q2") in checks(trade, Entity.CUSTOMER)
    assert created(trade, Entity.CUSTOMER) == set()


def test_a_product_is_known_by_its_sku_before_its_name(trade: Trade) -> None:
    trade.books.product("q1", "Rock Fountain", sku="RF-1")
    trade.billing.product("r1", "Fountain of rock", sku="RF-1")
    trade.books.product("q2", "Soil")
    trade.billing.product("r2", "soil", sku="S-9")
    assert pairs(trade, Entity.PRODUCT) == {("q1", "r1"), ("q2", "r2")}


def test_a_sku_is_text(trade: Trade) -> None:
    trade.books.product("q1", "Rocks", sku="007")
    trade.billing.product("r1", "Stones", sku="7")
    assert pairs(trade, Entity.PRODUCT) == set()


def test_a_tax_rate_of_another_name_is_known_by_percent_and_agency(trade: Trade) -> None:
    trade.books.tax_rate("q1", "California", percent=8_0000000, agency="Board of Equalization")
    trade.billing.tax_rate("r1", "CA sales tax", percent=8_0000000, agency="board of equalization")
    assert pairs(trade, Entity.TAX_RATE) == {("q1", "r1")}


def test_an_invoice_is_known_by_its_number_as_text(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.books.invoice("q5", "00123", "q1", 100)
    trade.billing.invoice("r5", "123", "r1", 100)
    trade.books.invoice("q6", "124", "q1", 100)
    trade.billing.invoice("r6", "124", "r1", 100)
    assert pairs(trade, Entity.INVOICE) == {("q6", "r6")}
    assert created(trade, Entity.INVOICE) == {"books:q5"}, "what billing typed in without a product cannot go to books"


@pytest.mark.parametrize("number", ["\uff11\uff12\uff13", "12\u200b3", " 123"])
def test_a_number_that_only_looks_the_same_is_noted_and_never_matched(trade: Trade, number: str) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.books.invoice("q5", number, "q1", 100)
    trade.billing.invoice("r5", "123", "r1", 100)
    assert pairs(trade, Entity.INVOICE) == set()
    (note,) = [found for found in trade.compare()[Entity.INVOICE].findings if found.check == LOOK_ALIKE]
    assert (note.severity, note.record_id) == (Severity.NOTE, "q5")


def test_invoices_without_a_number_are_not_one_invoice(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.books.invoice("q5", None, "q1", 100)
    trade.billing.invoice("r5", None, "r1", 100)
    assert pairs(trade, Entity.INVOICE) == set()


def test_one_number_for_two_customers_is_a_question(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("customer", "q2", "r2", "Bob")
    trade.books.invoice("q5", "123", "q1", 100)
    trade.billing.invoice("r5", "123", "r2", 100)
    found = trade.compare()[Entity.INVOICE].findings
    assert [(one.side, one.record_id) for one in found] == [(Side.BOOKS, "q5"), (Side.BILLING, "r5")]
    for one in found:
        assert (one.check, one.severity) == (OTHER_CUSTOMER, Severity.HOLD)
        assert "Amy in QuickBooks but to Bob in ReliaBills" in one.sentence
    assert created(trade, Entity.INVOICE) == set()


def test_a_number_used_again_after_a_void_goes_to_the_live_invoice(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.books.invoice("q5", "123", "q1", 100, void=True, state="void", balance=0)
    trade.books.invoice("q6", "123", "q1", 200)
    trade.billing.invoice("r6", "123", "r1", 200)
    assert pairs(trade, Entity.INVOICE) == {("q6", "r6")}


def a_payment_world(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("invoice", "q5", "r5", "100", "q1", 500)
    trade.both_have("invoice", "q6", "r6", "101", "q1", 500)


def test_a_payment_is_known_by_customer_amount_and_date(trade: Trade) -> None:
    a_payment_world(trade)
    trade.books.payment("q7", "q1", 500, {"q5": 500})
    trade.billing.payment("r7", "r1", 500, {"r5": 500}, credit=None)
    trade.billing.payment("r8", "r1", 500, {"r6": 500}, payment_date="2026-03-06")
    assert pairs(trade, Entity.PAYMENT) == {("q7", "r7")}


def test_the_reference_tells_two_equal_payments_apart(trade: Trade) -> None:
    a_payment_world(trade)
    trade.books.payment("q7", "q1", 500, reference="A1")
    trade.books.payment("q8", "q1", 500, reference="A2")
    trade.billing.payment("r7", "r1", 500, reference="A2")
    trade.billing.payment("r8", "r1", 500, reference="A1")
    assert pairs(trade, Entity.PAYMENT) == {("q7", "r8"), ("q8", "r7")}


def test_the_invoices_paid_tell_two_equal_payments_apart(trade: Trade) -> None:
    a_payment_world(trade)
    trade.books.payment("q7", "q1", 500, {"q5": 500})
    trade.books.payment("q8", "q1", 500, {"q6": 500})
    trade.billing.payment("r7", "r1", 500, {"r6": 500})
    trade.billing.payment("r8", "r1", 500, {"r5": 500})
    assert pairs(trade, Entity.PAYMENT) == {("q7", "r8"), ("q8", "r7")}


def test_equal_payments_that_nothing_tells_apart_are_a_question(trade: Trade) -> None:
    a_payment_world(trade)
    for n in (7, 8):
        trade.books.payment(f"q{n}", "q1", 500)
        trade.billing.payment(f"r{n}", "r1", 500)
    assert pairs(trade, Entity.PAYMENT) == set()
    assert checks(trade, Entity.PAYMENT) == {
        (AMBIGUOUS, side, f"{letter}{n}") for side, letter in ((Side.BOOKS, "q"), (Side.BILLING, "r")) for n in (7, 8)
    }
    assert created(trade, Entity.PAYMENT) == set()


def test_payments_of_unknown_customers_are_never_matched(trade: Trade) -> None:
    trade.books.payment("q7", None, 500)  # type: ignore[arg-type]
    trade.billing.payment("r7", None, 500)  # type: ignore[arg-type]
    assert pairs(trade, Entity.PAYMENT) == set()


def test_what_was_linked_stays_linked_under_any_name(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.books.change(Entity.CUSTOMER, "q1", display_name="Bob")
    trade.books.customer("q2", "Amy")
    assert ("q1", "r1") in pairs(trade, Entity.CUSTOMER)


def test_a_record_whose_link_has_ended_is_not_created_again(trade: Trade) -> None:
    trade.books.customer("q1", "Amy")
    trade.end(Entity.CUSTOMER, "q1", "r1")
    assert checks(trade, Entity.CUSTOMER) == {(ENDED, Side.BOOKS, "q1")}
    assert created(trade, Entity.CUSTOMER) == set()


def test_a_record_that_may_be_one_that_could_not_be_read_is_held(trade: Trade) -> None:
    trade.books.customer("q1", "Amy")
    trade.billing.unreadable[Entity.CUSTOMER].add("r1")
    trade.billing.findings.append(
        Finding(
            "unreadable", Severity.HOLD, Entity.CUSTOMER, Side.BILLING, "r1", "AMY", None, "", "A date is wrong.", ""
        )
    )
    assert (COUNTERPART_UNREADABLE, Side.BOOKS, "q1") in checks(trade, Entity.CUSTOMER)
    assert created(trade, Entity.CUSTOMER) == set()


def test_one_id_twice_in_a_reading_is_no_reading(trade: Trade) -> None:
    trade.books.customer("q1", "Amy")
    trade.books.records[Entity.CUSTOMER]["again"] = trade.books.records[Entity.CUSTOMER]["q1"]
    with pytest.raises(IncompletePullError, match="id q1 twice"):
        trade.compare()


def test_a_delta_must_fetch_the_counterparts_of_what_changed(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("customer", "q2", "r2", "Bob")
    trade.books.scope = trade.billing.scope = Scope.DELTA
    trade.books.remove(Entity.CUSTOMER, "q2", known=False)
    trade.billing.remove(Entity.CUSTOMER, "r1", known=False)
    missing = counterparts(
        trade.books.snapshot(Entity.CUSTOMER),
        trade.billing.snapshot(Entity.CUSTOMER),
        trade.agreements()[Entity.CUSTOMER],
    )
    assert missing == {Side.BOOKS: ("q2",), Side.BILLING: ("r1",)}
