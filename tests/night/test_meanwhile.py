"""People who work while a run is under way: nothing they do is overwritten, doubled or lost (faults 29, 32, 44)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from reconcile.model.entities import Entity
from reconcile.model.runs import Outcome
from reconcile.sandbox.billing import day
from reconcile.session import Session
from reconcile.sides.billing import BillingWriter
from reconcile.sides.side import Outcome as Answered
from reconcile.sides.side import Status, Write
from tests.night.conftest import World
from tests.night.desks import (
    L,
    billing_rows,
    customer_in_books,
    held,
    in_billing,
    invoice_in_billing,
    invoice_in_books,
    invoices_in_billing,
    invoices_in_books,
    line_in_books,
    quiet,
    sell_in_books,
    sentences,
    settled,
)


def carried_out(world: World, session: Session, *, until: Entity = Entity.PAYMENT) -> None:
    for entity in Entity:
        session.push(entity)
        if entity is until:
            break
    session.tie_out()


def statuses(session: Session, entity: Entity) -> list[str]:
    return [attempt.status for attempt in session.reports[entity].attempts]


def _company(world: World) -> None:
    world.new_customer_in_books("Cool Cars")
    world.new_customer_in_books("Kookies by Kathy")
    world.new_product_in_books("Gardening")


def test_what_is_edited_at_its_source_after_it_was_read_is_carried_as_it_is_now(world: World) -> None:
    _company(world)
    for number in ("1001", "1002"):
        sell_in_books(world, number, "Cool Cars", line_in_books(world, "Gardening", "4", "25"))
    session = world.planned()
    world.books.change("Invoice", invoice_in_books(world, "1001"), Line=[line_in_books(world, "Gardening", "1", "25")])
    world.books.void_invoice("1002")
    carried_out(world, session)
    assert world.last_run().outcome is Outcome.AGREED, sentences(world)
    assert invoices_in_billing(world) == {"1001": (2500, 0, 2500, "open")}
    assert statuses(session, Entity.INVOICE) == ["withdrawn", "done"]
    quiet(world)


def test_the_same_field_edited_on_the_other_side_is_a_conflict_and_its_siblings_are_carried(world: World) -> None:
    _company(world)
    settled(world)
    for name, phone in {"Cool Cars": "555-1", "Kookies by Kathy": "555-2"}.items():
        world.books.change("Customer", customer_in_books(world, name), PrimaryPhone={"FreeFormNumber": phone})
    session = world.planned()
    day.edit_in_portal(world.billing, "Cool Cars", phone="555-9")
    carried_out(world, session)
    assert world.last_run().outcome is Outcome.AGREED_EXCEPT_HELD
    assert held(world) == {"Cool Cars"}
    assert billing_rows(world, "select phone from customers order by id") == [("555-9",), ("555-2",)]
    assert customer_in_books(world, "Cool Cars")["PrimaryPhone"]["FreeFormNumber"] == "555-1"


def test_another_field_edited_on_the_other_side_is_kept_and_carried_back(world: World) -> None:
    _company(world)
    settled(world)
    world.books.change("Customer", customer_in_books(world, "Cool Cars"), PrimaryPhone={"FreeFormNumber": "555-1"})
    session = world.planned()
    day.edit_in_portal(world.billing, "Cool Cars", city="Tucson")
    carried_out(world, session)
    assert world.last_run().outcome is Outcome.AGREED, sentences(world)
    assert billing_rows(world, "select phone, city from customers where id = 1") == [("555-1", "Tucson")]
    assert customer_in_books(world, "Cool Cars")["BillAddr"]["City"] == "Tucson"
    quiet(world)


def test_an_invoice_that_somebody_enters_on_the_other_side_meanwhile_is_not_made_twice(world: World) -> None:
    _company(world)
    settled(world)
    number = invoice_in_billing(world, "Cool Cars", L("Gardening", "4", "25"), details={"number": "7001"})
    session = world.planned()
    sell_in_books(world, number, "Cool Cars", line_in_books(world, "Gardening", "4", "25"))
    carried_out(world, session)
    assert list(invoices_in_books(world)) == [number]
    assert len(world.books.query("select * from Invoice", "Invoice")) == 1
    assert list(invoices_in_billing(world)) == [number]


@pytest.mark.parametrize(("times", "outcome"), [(2, Outcome.AGREED), (9, Outcome.AGREED_EXCEPT_HELD)])
def test_a_record_that_keeps_moving_is_deferred_after_three_rounds_and_its_siblings_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch, times: int, outcome: Outcome
) -> None:
    _company(world)
    settled(world)
    for name in ("Cool Cars", "Kookies by Kathy"):
        world.books.change("Customer", customer_in_books(world, name), PrimaryPhone={"FreeFormNumber": "555-1"})
    left = _somebody_saves_first(world, monkeypatch, "Cool Cars", times)
    session = world.planned()
    carried_out(world, session)
    assert world.last_run().outcome is outcome, sentences(world)
    assert left() == max(0, times - 4)
    assert billing_rows(world, "select phone from customers where account_name like 'Kookies%'") == [("555-1",)]
    if outcome is Outcome.AGREED_EXCEPT_HELD:
        assert held(world) == {"Cool Cars"}
        assert any("kept changing, 3 times in a row" in sentence for sentence in sentences(world))
        monkeypatch.undo()
        settled(world)
    assert billing_rows(world, "select phone from customers where account_name = 'Cool Cars'") == [("555-1",)]
    quiet(world)


def _somebody_saves_first(world: World, monkeypatch: pytest.MonkeyPatch, name: str, times: int) -> Callable[[], int]:
    """Each time that this customer is about to be written, somebody saves him in ReliaBills just before."""
    left = [times]
    write = BillingWriter.write

    def saved_first(self: BillingWriter, writes: Sequence[Write]) -> Sequence[Answered]:
        ((own,),) = billing_rows(world, f"select id from customers where account_name = '{name}'")
        if left[0] and any(each.entity is Entity.CUSTOMER and each.id == str(own) for each in writes):
            left[0] -= 1
            in_billing(world, "update customers set version = version + 1 where id = :own", own=own)
        return write(self, writes)

    monkeypatch.setattr(BillingWriter, "write", saved_first)
    return lambda: left[0]


def test_what_refers_to_a_deferred_record_waits_with_it_and_no_step_fails(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _company(world)
    for name, number in {"Cool Cars": "1001", "Kookies by Kathy": "1002"}.items():
        sell_in_books(world, number, name, line_in_books(world, "Gardening", "4", "25"))
    session = world.planned()
    write = BillingWriter.write

    def stale(self: BillingWriter, writes: Sequence[Write]) -> Sequence[Answered]:
        moving = [each.fields.get("display_name") == "Cool Cars" for each in writes]
        rest = iter(write(self, [each for each, moves in zip(writes, moving, strict=True) if not moves]))
        return [
            Answered(each.request_id, Status.STALE) if moves else next(rest)
            for each, moves in zip(writes, moving, strict=True)
        ]

    monkeypatch.setattr(BillingWriter, "write", stale)
    carried_out(world, session)
    assert world.last_run().outcome is Outcome.AGREED_EXCEPT_HELD, world.last_run().reason
    assert held(world) == {"Cool Cars", "1001"}
    assert list(invoices_in_billing(world)) == ["1002"]
    monkeypatch.undo()
    settled(world)
