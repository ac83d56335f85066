"""What would use an inactive customer or product is held before it is refused, and its siblings go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from reconcile.compare.inactive import becomes_active
from reconcile.compare.rules import CANNOT_RETURN, CHANGE_WAITS, DEPENDS, INACTIVE, NAME_TAKEN
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Severity
from reconcile.model.plan import Action

if TYPE_CHECKING:
    from conftest import Trade

    from reconcile.compare.circumstances import Ended


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


@pytest.fixture
def ended(trade: Trade) -> Trade:
    """Both sides have agreed that Amy and rocks are inactive."""
    trade.both_have("customer", "q1", "r1", "Amy", active=False)
    trade.both_have("customer", "q2", "r2", "Bob")
    trade.both_have("product", "q3", "r3", "Rocks", active=False)
    return trade


def written(trade: Trade, **circumstances: Any) -> dict[str, set[str]]:
    """What would be written to QuickBooks, by label."""
    planned = trade.plan(**circumstances)
    return {one.label: {*one.payload} for one in planned.plan.writes() if one.side is Side.BOOKS}


def test_a_change_of_what_is_inactive_in_quickbooks_waits_with_a_note_and_its_sibling_goes(ended: Trade) -> None:
    ended.billing.change(Entity.CUSTOMER, "r1", email="amy@example.com")
    ended.billing.change(Entity.PRODUCT, "r3", description="by hand")
    ended.billing.change(Entity.CUSTOMER, "r2", email="bob@example.com")
    assert written(ended) == {"Bob": {"email"}}
    notes = {one.label: one for one in ended.plan().findings}
    assert {(one.check, one.severity) for one in notes.values()} == {(CHANGE_WAITS, Severity.NOTE)}
    assert "what was changed in ReliaBills (email) is not carried" in notes["Amy"].sentence
    assert "once the product is active again" in notes["Rocks"].remedy


def test_a_change_comes_across_with_what_makes_its_record_active_again(ended: Trade) -> None:
    ended.billing.change(Entity.CUSTOMER, "r1", email="amy@example.com", active=True)
    ended.billing.change(Entity.PRODUCT, "r3", active=True)
    assert written(ended) == {"Amy": {"email", "active"}, "Rocks": {"active"}}


def test_reliabills_takes_changes_of_what_is_inactive(ended: Trade) -> None:
    ended.books.change(Entity.CUSTOMER, "q1", email="amy@example.com")
    planned = ended.plan()
    assert [(one.side, one.label, {*one.payload}) for one in planned.plan.writes()] == [
        (Side.BILLING, "Amy", {"email"})
    ]
    assert planned.findings == ()


def test_what_quickbooks_has_refused_to_make_active_again_is_held_with_what_needs_it(ended: Trade) -> None:
    ended.billing.change(Entity.CUSTOMER, "r1", active=True)
    ended.billing.change(Entity.PRODUCT, "r3", active=True)
    ended.billing.invoice("r5", "100", "r1", 1000, product="r3")
    ended.billing.invoice("r6", "101", "r2", 1000, product="r3")
    version = ended.books.records[Entity.CUSTOMER]["q1"]["version"]
    refused = frozenset({(Entity.CUSTOMER, "q1", version)})
    assert written(ended, ended_for_good=refused).keys() == {"Rocks", "101"}
    found = {one.label: one for one in ended.plan(ended_for_good=refused).findings}
    assert {label: one.check for label, one in found.items()} == {"Amy": CANNOT_RETURN, "100": INACTIVE}
    assert found["Amy"].severity is Severity.HOLD
    assert "most likely it was merged into another one" in found["Amy"].sentence


@pytest.mark.parametrize(
    "other", [(Entity.CUSTOMER, "q1", "an earlier one"), (Entity.CUSTOMER, "q2", "0"), (Entity.PRODUCT, "q1", "0")]
)
def test_what_was_refused_of_another_record_or_before_somebody_changed_it_holds_nothing(
    ended: Trade, other: Ended
) -> None:
    ended.billing.change(Entity.CUSTOMER, "r1", active=True)
    assert written(ended, ended_for_good=frozenset({other})) == {"Amy": {"active"}}


def test_something_becomes_active_in_quickbooks_or_it_does_not(ended: Trade) -> None:
    ended.billing.change(Entity.CUSTOMER, "r1", email="amy@example.com")
    assert not becomes_active(ended.compare().values())
    ended.billing.change(Entity.CUSTOMER, "r1", active=True)
    assert becomes_active(ended.compare().values())
