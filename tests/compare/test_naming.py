"""A name that QuickBooks has given to a vendor: the customer is held before anything is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconcile.compare.naming import names_going_to_books, renamed_in_books
from reconcile.compare.rules import DEPENDS, NAME_TAKEN, TAKEN
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


def test_only_what_is_renamed_from_reliabills_is_looked_up_by_its_id(newcomer: Trade) -> None:
    newcomer.both_have("product", "q5", "r5", "Sod")
    newcomer.billing.change(Entity.PRODUCT, "r5", name="Turf")
    newcomer.books.change(Entity.PRODUCT, "q2", name="Stones")
    found = {
        entity: renamed_in_books(newcomer.compare()[entity], newcomer.billing.snapshot(entity))
        for entity in (Entity.CUSTOMER, Entity.PRODUCT)
    }
    assert found == {Entity.CUSTOMER: {"q4": "Carla"}, Entity.PRODUCT: {"q5": "Turf"}}


def test_a_name_that_another_one_has_holds_the_renaming_and_nothing_else(newcomer: Trade) -> None:
    in_the_way = {(Entity.CUSTOMER, "q4"): "q9", (Entity.PRODUCT, "q4"): "q8", (Entity.CUSTOMER, "q7"): "q9"}
    planned = newcomer.plan(names_in_the_way=in_the_way)
    assert [one.label for one in planned.plan.writes()] == ["Bob's Burgers", "Amy", "100"]
    (finding,) = planned.findings
    assert (finding.check, finding.record_id) == (TAKEN, "q4")
    assert "not renamed in QuickBooks: the name Carla is that of another customer there (id q9)" in finding.sentence
    newcomer.billing.change(Entity.CUSTOMER, "r4", display_name="Carl", phone="555-0001")
    assert newcomer.plan(names_in_the_way=in_the_way).findings == ()
