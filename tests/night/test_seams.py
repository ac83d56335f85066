"""Where the parts meet: a cell executed twice, a run left half way, patience asked for between two stages."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any
from weakref import ref

import pytest

from reconcile.errors import StoppedBeforeWritingError
from reconcile.model.entities import Entity, Side
from reconcile.model.resolutions import Status
from reconcile.model.runs import Outcome
from reconcile.repair import Repair
from reconcile.sandbox.billing import day
from reconcile.sides.billing import BillingWriter
from reconcile.sides.side import Write
from reconcile.state import cursors, permissions
from reconcile.state.database import open_state
from tests.night.conftest import COMPANY, World
from tests.night.desks import (
    L,
    billing_rows,
    customer_in_books,
    edit_in_billing,
    held,
    invoice_in_books,
    invoices_in_billing,
    line_in_books,
    pay_in_books,
    quiet,
    sell_in_books,
    settled,
    why,
)


def company(world: World) -> None:
    """One customer with an open invoice and an advance for it in QuickBooks."""
    world.new_customer_in_books("Cool Cars")
    world.new_product_in_books("Gardening")
    sell_in_books(world, "1001", "Cool Cars", line_in_books(world, "Gardening", "4", "25"))


def payments(world: World) -> list[tuple[Any, ...]]:
    return billing_rows(world, "select amount, state from payments order by id")


def test_a_cell_that_is_executed_twice_writes_nothing_twice(world: World) -> None:
    company(world)
    pay_in_books(world, "Cool Cars", "30", {"1001": "30"}, "cheque 7")
    session = world.planned()
    for entity in Entity:
        session.push(entity)
        with pytest.raises(StoppedBeforeWritingError, match="nothing is written twice"):
            session.push(entity)
    session.tie_out()
    assert len(billing_rows(world, "select id from customers")) == 1
    assert invoices_in_billing(world) == {"1001": (10000, 0, 7000, "open")}
    assert len(payments(world)) == 1
    quiet(world)


def test_a_step_that_was_interrupted_is_not_taken_up_by_the_same_run_and_the_company_is_free_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    company(world)
    pay_in_books(world, "Cool Cars", "30", {"1001": "30"}, "cheque 7")
    session = world.planned()
    for entity in [*Entity][:-1]:
        session.push(entity)
    write = BillingWriter.write

    def stopped_by_hand(self: BillingWriter, writes: Sequence[Write]) -> Any:
        write(self, writes)
        raise KeyboardInterrupt

    with monkeypatch.context() as hand:
        hand.setattr(BillingWriter, "write", stopped_by_hand)
        with pytest.raises(KeyboardInterrupt):
            session.push(Entity.PAYMENT)
    with pytest.raises(StoppedBeforeWritingError, match="Start a new run"):
        session.push(Entity.PAYMENT)
    assert world.last_run().outcome is Outcome.STEP_FAILED
    assert "Step 5 of 5, payments, was interrupted" in world.last_run().reason
    settled(world)
    assert len(payments(world)) == 1


def cursors_of(world: World) -> dict[str, Any]:
    engine = open_state(world.config.state_url)
    try:
        return {side.value: cursors.read(engine, COMPANY, side) for side in Side}
    finally:
        engine.dispose()


def test_a_run_that_is_over_keeps_nothing_of_it_in_memory(world: World) -> None:
    world.new_customer_in_books("Cool Cars")
    world.sync()
    closed = world.sessions.pop()
    closed.close()
    left = ref(closed)
    del closed
    gc.collect()
    assert left() is None


def test_changes_that_were_not_carried_stay_in_the_sight_of_the_next_delta(world: World) -> None:
    """Somebody executes the last cell of a run without its steps, or after one has failed."""
    company(world)
    settled(world)
    before = cursors_of(world)
    world.books.change("Invoice", invoice_in_books(world, "1001"), CustomerMemo={"value": "Thank you"})
    session = world.planned()
    session.push(Entity.CUSTOMER)
    session.tie_out()
    assert world.last_run().outcome is Outcome.STEP_FAILED
    assert cursors_of(world) == before


def test_what_a_run_has_decided_stays_once_it_writes_and_once_it_is_over(world: World) -> None:
    company(world)
    session = world.planned()
    session.push(Entity.CUSTOMER)
    for cell in (session.pull, session.compare, session.make_plan):
        with pytest.raises(StoppedBeforeWritingError, match="begun to write"):
            cell()
    for entity in [*Entity][1:]:
        session.push(entity)
    session.tie_out()
    with pytest.raises(StoppedBeforeWritingError, match="is over"):
        session.tie_out()
    quiet(world)


def test_what_moves_while_a_saved_plan_is_carried_out_is_refused_and_nothing_unseen_is_written(world: World) -> None:
    company(world)
    sell_in_books(world, "1002", "Cool Cars", line_in_books(world, "Gardening", "4", "25"))
    world.sync()
    for number in ("1001", "1002"):
        world.books.change("Invoice", invoice_in_books(world, number), CustomerMemo={"value": "seen"})
    looked_at = world.sync(apply=False)
    before = cursors_of(world)
    session = world.planned(plan=looked_at.id)
    world.books.change("Invoice", invoice_in_books(world, "1001"), CustomerMemo={"value": "unseen"})
    for entity in Entity:
        session.push(entity)
    session.tie_out()
    assert held(world) == {"1001"}
    assert cursors_of(world) == before
    assert "Make a new plan" in why(world, "1001")
    memos = billing_rows(world, "select number, memo from invoices order by number")
    assert memos == [("1001", None), ("1002", "seen")]
    settled(world)
    assert billing_rows(world, "select memo from invoices where number = '1001'") == [("unseen",)]


def test_a_decision_whose_record_moves_during_the_step_is_not_applied_to_what_nobody_saw(world: World) -> None:
    world.new_customer_in_books("Cool Cars", PrimaryPhone={"FreeFormNumber": "111"})
    settled(world)
    world.books.change("Customer", customer_in_books(world, "Cool Cars"), PrimaryPhone={"FreeFormNumber": "222"})
    day.edit_in_portal(world.billing, "Cool Cars", phone="333")
    settled(world, "Cool Cars")
    Repair.open(COMPANY, who="Anna").keep("Cool Cars", "books", because="the card on file")
    session = world.planned()
    day.edit_in_portal(world.billing, "Cool Cars", phone="444")
    for entity in Entity:
        session.push(entity)
    session.tie_out()
    phones = billing_rows(world, "select phone from customers")
    assert (held(world), phones) == ({"Cool Cars"}, [("444",)])
    assert [one.status for one in Repair.open(COMPANY).resolutions] == [Status.OPEN]
    settled(world, "Cool Cars")
    assert [one.status for one in Repair.open(COMPANY).resolutions] == [Status.OUTDATED]
    assert billing_rows(world, "select phone from customers") == [("444",)]


def test_what_was_read_anew_is_planned_anew_before_it_is_written(world: World) -> None:
    """A cell further up is executed again: what was changed since is in no plan that was made before."""
    company(world)
    session = world.planned()
    for cell in (session.pull, session.compare, session.validate):
        cell()
        with pytest.raises(StoppedBeforeWritingError, match=r"run\.make_plan\(\)"):
            session.push(Entity.CUSTOMER)
    once, twice = session.make_plan(), session.make_plan()
    assert once.digest == twice.digest
    for entity in Entity:
        session.push(entity)
    session.tie_out()
    quiet(world)


def test_a_permission_that_lets_pass_what_moved_meanwhile_is_spent_by_that_run(world: World) -> None:
    company(world)
    settled(world)
    edit_in_billing(world, "1001", L("Gardening", "6", "25"))
    session = world.planned()
    record = f"invoice:books:{invoice_in_books(world, '1001')['Id']}"
    engine = open_state(world.config.state_url)
    permissions.give(engine, COMPANY, permissions.Wanted("protected:paid-invoice", "they agreed", "Ann", record=record))
    pay_in_books(world, "Cool Cars", "100", {"1001": "100"}, "cheque 7")
    for entity in Entity:
        session.push(entity)
    session.tie_out()
    (permission,) = permissions.listed(engine, COMPANY)
    engine.dispose()
    assert invoice_in_books(world, "1001")["TotalAmt"] == 150
    assert permission.used_in == (session.run.id,)
    assert world.last_run().counts["permissions"][0]["record"] == record
