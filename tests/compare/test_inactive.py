"""What would use an inactive customer or product is held before it is refused, and its siblings go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconcile.compare.rules import DEPENDS, INACTIVE, NAME_TAKEN
from reconcile.model.entities import Entity, Side
from reconcile.model.plan import Action

if TYPE_CHECKING:
    from conftest import Trade


@pytest.fixture
def stocked(trade: Trade) -> Trade:
    """Amy, Bob and rocks on both sides."""
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("customer", "q2", "r2", "Bob")
    trade.both_have("product", "q3", "r3", "Rocks")
    return trade


def told(trade: Trade) -> dict[str, str]:
    return {one.record_id: one.check for one in trade.plan().findings}


def made(trade: Trade) -> list[tuple[str, str]]:
    return [(one.step.value, one.label) for one in trade.plan().plan.writes() if one.action is Action.CREATE]


def test_an_invoice_for_a_customer_who_is_inactive_in_quickbooks_is_held_with_its_payment(stocked: Trade) -> None:
    stocked.books.change(Entity.CUSTOMER, "q1", active=False)
    stocked.billing.invoice("r5", "100", "r1", 1000, product="r3")
    stocked.billing.payment("r7", "r1", 1000, {"r5": 1000})
    stocked.billing.invoice("r6", "101", "r2", 1000, product="r3")
    assert made(stocked) == [("invoice", "101")]
    findings = {one.record_id: one for one in stocked.plan().findings}
    assert findings["r5"].check == INACTIVE
    assert findings["r5"].side is Side.BILLING
    assert findings["r7"].check in {INACTIVE, DEPENDS}
    assert "is not made in QuickBooks: its customer Amy is inactive there" in findings["r5"].sentence
    assert "Make the customer Amy active again in QuickBooks" in findings["r5"].remedy


def test_an_invoice_with_a_product_that_is_inactive_in_quickbooks_is_held(stocked: Trade) -> None:
    stocked.books.change(Entity.PRODUCT, "q3", active=False)
    stocked.billing.change(Entity.PRODUCT, "r3", active=False)
    stocked.billing.invoice("r5", "100", "r1", 1000, product="r3")
    assert made(stocked) == []
    assert told(stocked)["r5"] == INACTIVE


def test_reliabills_refuses_invoices_of_inactive_customers_only(stocked: Trade) -> None:
    stocked.billing.change(Entity.CUSTOMER, "r1", active=False)
    stocked.books.change(Entity.CUSTOMER, "q1", active=False)
    stocked.billing.change(Entity.PRODUCT, "r3", active=False)
    stocked.books.change(Entity.PRODUCT, "q3", active=False)
    stocked.books.invoice("q5", "100", "q1", 1000, product="q3")
    stocked.books.invoice("q6", "101", "q2", 1000, product="q3")
    assert made(stocked) == [("invoice", "101")]
    assert told(stocked)["q5"] == INACTIVE


def test_what_the_same_run_brings_back_into_use_is_no_obstacle(stocked: Trade) -> None:
    stocked.both_have("customer", "q4", "r4", "Cy")
    for side, key in ((stocked.books, "q4"), (stocked.billing, "r4")):
        side.change(Entity.CUSTOMER, key, active=False)
    stocked.agree(Entity.CUSTOMER, "q4", "r4")
    stocked.billing.change(Entity.CUSTOMER, "r4", active=True)
    stocked.billing.invoice("r5", "100", "r4", 1000, product="r3")
    assert ("invoice", "100") in made(stocked)


def test_a_record_of_another_kind_with_the_same_id_is_another_record(stocked: Trade) -> None:
    """Ids count anew for each kind: product 9 has nothing to do with customer 9."""
    stocked.billing.customer("r9", "Vendor's name", email="a@example.com")
    stocked.billing.product("r9", "Sod")
    stocked.billing.invoice("r5", "100", "r1", 1000, product="r9")
    planned = stocked.plan(taken_names={"vendor's name": "vendor"})
    assert {one.record_id: one.check for one in planned.findings} == {"r9": NAME_TAKEN}
    assert [(one.step.value, one.label) for one in planned.plan.writes()] == [("product", "Sod"), ("invoice", "100")]
