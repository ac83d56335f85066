"""A name that QuickBooks has given to a vendor: the customer is held before anything is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconcile.compare.naming import names_going_to_books
from reconcile.compare.rules import DEPENDS, NAME_TAKEN
from reconcile.model.entities import Entity

if TYPE_CHECKING:
    from conftest import Trade


@pytest.fixture
def newcomer(trade: Trade) -> Trade:
    """Bob is new in ReliaBills and has an invoice; so is Amy; Carl got another name there."""
    trade.both_have("product", "q2", "r2", "Rocks")
    trade.both_have("customer", "q4", "r4", "Carl")
    trade.billing.customer("r1", "Bob's Burgers", email="bob@x.example")
    trade.billing.customer("r3", "Amy", email="amy@x.example")
    trade.billing.invoice("r5", "100", "r1", 1000, product="r2")
    trade.billing.change(Entity.CUSTOMER, "r4", display_name="Carla")
    return trade


def test_only_names_that_go_to_quickbooks_are_looked_up(newcomer: Trade) -> None:
    newcomer.books.customer("q9", "Dora")
    going = names_going_to_books(newcomer.compare()[Entity.CUSTOMER], newcomer.billing.snapshot(Entity.CUSTOMER))
    assert going == ("Amy", "Bob's Burgers", "Carla")


def test_a_customer_of_a_vendors_name_is_held_with_its_invoice_and_a_suggestion(newcomer: Trade) -> None:
    planned = newcomer.plan(taken_names={"bob's burgers": "vendor", "carla": "employee"})
    assert [one.label for one in planned.plan.writes()] == ["Amy"]
    told = {one.record_id: one for one in planned.findings}
    assert [told[record].check for record in ("r1", "r5", "q4")] == [NAME_TAKEN, DEPENDS, NAME_TAKEN]
    assert "the name Bob's Burgers is that of a vendor there" in told["r1"].sentence
    assert "for example Bob's Burgers (customer), or rename the vendor in QuickBooks" in told["r1"].remedy
    assert "Customer Carl is not renamed in QuickBooks: the name Carla is that of an employee" in told["q4"].sentence
