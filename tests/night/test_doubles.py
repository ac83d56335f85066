"""A write that the network delivers twice, and that QuickBooks answers as if nothing had happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from reconcile.commands.evidence import certificate_of
from reconcile.model.entities import Entity, Side
from reconcile.model.runs import Outcome
from reconcile.repair import Repair
from reconcile.sandbox.billing import day
from reconcile.state import pending
from reconcile.state.database import open_state
from tests.night.conftest import COMPANY, TODAY, World
from tests.night.desks import (
    L,
    agreed,
    billing_rows,
    held,
    invoice_in_billing,
    line_in_books,
    quiet,
    sell_in_books,
    sentences,
    why,
)
from tests.night.test_cost import READING, calls
from tests.night.test_undoing import undo

MEMORY = 20_000


@contextmanager
def delivered_twice(world: World) -> Iterator[None]:
    """Every write to QuickBooks arrives twice meanwhile, and QuickBooks does not know the second one again."""

    def admin(path: str, method: str = "POST", **body: object) -> None:
        url = f"{world.quickbooks.base_url}/admin/{path}"
        requests.request(method, url, json=body or None, timeout=10).raise_for_status()

    admin("switches", request_id_memory=0)
    admin("faults", action="twice", resource="batch", pattern='"operation"')
    try:
        yield
    finally:
        admin("faults", "DELETE")
        admin("switches", request_id_memory=MEMORY)


@pytest.fixture
def paid(world: World) -> tuple[str, str]:
    """A payment of 40 on an invoice of 100, written to QuickBooks twice by one request; both ids, the linked one first.

    The run itself sees that the invoice has less to pay there than it should.
    """
    world.new_customer_in_books("Cool Cars")
    world.new_product_in_books("Gardening")
    sell_in_books(world, "1001", "Cool Cars", line_in_books(world, "Gardening", "4", "25"))
    agreed(world)
    day.take_payment(world.billing, {"1001": "40"}, on=TODAY, method="check", online=False, reference="ours")
    with delivered_twice(world):
        run = world.sync(mode="delta")
    assert run.control_totals is not None
    assert not run.control_totals["green"]
    linked = next(iter(world.sessions[-1].reports[Entity.PAYMENT].attempts)).record_id
    both = {str(one["Id"]) for one in world.books.query("select * from Payment", "Payment")}
    assert len(both) == 2
    (other,) = both - {linked}
    return str(linked), other


def payments_in_billing(world: World) -> list[tuple[str, str]]:
    return billing_rows(world, "select reference, state from payments")  # type: ignore[return-value]


def waiting(world: World) -> frozenset[str]:
    """Payments of QuickBooks that the next delta reads again."""
    engine = open_state(world.config.state_url)
    try:
        return pending.read(engine, COMPANY)[Side.BOOKS, Entity.PAYMENT]
    finally:
        engine.dispose()


def end(world: World, record_id: str) -> None:
    """Somebody voids one of two payments in QuickBooks that look alike."""
    (payment,) = world.books.query(f"select * from Payment where Id = '{record_id}'", "Payment")
    known = {"Id": record_id, "SyncToken": payment["SyncToken"], "sparse": True}
    world.books._post("Payment", known, operation="update", include="void")


def test_the_second_payment_is_held_from_the_next_run_on_every_night_and_without_another_call(
    world: World, paid: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    linked, other = paid
    run = world.sync(mode="delta")
    assert run.outcome is Outcome.AGREED_EXCEPT_HELD, run.reason
    assert held(world) == {"ours"}
    assert f"(id {other}) was made by the same write of the sync as the payment with the id {linked}" in why(
        world, "ours"
    )
    assert "ours" in certificate_of(world.config, run)
    assert run.counts["planned_writes"] == 0
    assert len(payments_in_billing(world)) == 1
    with calls(monkeypatch) as nothing:
        quiet(world, "ours", mode="delta")
    assert nothing == Counter(READING) + Counter({"query": 1})  # the ways of paying
    assert waiting(world) == {linked, other}  # each tells of the other one, also when the journal does not

    end(world, other)
    agreed(world, mode="delta")
    assert len(payments_in_billing(world)) == 1


def test_whoever_voids_the_wrong_one_does_not_end_the_payment_in_reliabills(
    world: World, paid: tuple[str, str]
) -> None:
    linked, other = paid
    end(world, linked)
    for mode in ("delta", "census"):
        quiet(world, "ours", mode=mode)
        assert len(sentences(world)) == 2
        assert f"(id {linked}), but the payment with the id {other}" in why(world, "ours")
        assert [state for _, state in payments_in_billing(world)] != ["void"]
    (billing_id,) = next(iter(billing_rows(world, "select id from payments")))
    Repair.open(COMPANY, who="Anna").relink(
        f"payment:books:{other}", f"payment:billing:{billing_id}", because="the one that stands"
    )
    agreed(world, mode="delta")
    assert len(payments_in_billing(world)) == 1


def test_an_undo_voids_the_one_that_it_knows_and_still_holds_the_other(world: World, paid: tuple[str, str]) -> None:
    _, other = paid
    made = world.sessions[-1].run.id
    planned = undo(world, made)
    undo(world, made, planned.id)
    standing = world.books.query("select * from Payment", "Payment")
    assert [one["Id"] for one in standing if one["TotalAmt"]] == [other]
    quiet(world, "ours", mode="delta")
    assert f"(id {other}) was made by the same write" in why(world, "ours")
    assert len(payments_in_billing(world)) == 1


def test_the_second_invoice_is_held_by_its_number(world: World) -> None:
    world.new_customer_in_books("Cool Cars")
    world.new_product_in_books("Gardening")
    agreed(world)
    number = invoice_in_billing(world, "Cool Cars", L("Gardening", "4", "25"))
    with delivered_twice(world):
        agreed(world, mode="delta")
    assert len(world.books.query("select * from Invoice", "Invoice")) == 2
    for mode in ("delta", "census"):
        quiet(world, number, mode=mode)
        assert billing_rows(world, "select count(*) from invoices") == [(1,)]
