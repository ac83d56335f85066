"""A run is undone where it can be, after somebody looked, and no later night does it again or ends the originals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from reconcile.cli import app
from reconcile.compare.undoing import ORDER
from reconcile.errors import ConfigurationError, StoppedBeforeWritingError
from reconcile.model.runs import Outcome, Run
from reconcile.sandbox.billing import day
from reconcile.session import Session
from tests.night.conftest import COMPANY, TODAY, World
from tests.night.desks import (
    L,
    billing_rows,
    customer_in_billing,
    customer_in_books,
    held,
    in_billing,
    invoice_in_billing,
    invoices_in_billing,
    invoices_in_books,
    line_in_books,
    pay_in_books,
    quiet,
    sell_in_books,
    sentences,
    settled,
    why,
    writes,
)


def undo(world: World, run_id: str, plan: str = "") -> Run:
    """An undo made by its cells: planned only, or with a plan of it carried out."""
    session = Session.open(company=COMPANY, undo=run_id, apply=bool(plan), plan_to_enforce=plan)
    world.sessions.append(session)
    session.pull()
    session.compare()
    session.validate()
    session.make_plan()
    for entity in ORDER:
        session.push(entity)
    session.tie_out()
    return world.last_run()


def groups(world: World) -> list[tuple[str, str, str]]:
    """What the last undo made of each write of the run: step, label, group."""
    path = world.config.runs / world.last_run().folder / "undo.json"
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return sorted((row["step"], row["label"], row["group"]) for row in rows)


def decide(*arguments: str) -> None:
    done = CliRunner().invoke(app, [*arguments, "--because", "Amy said so."])
    assert done.exit_code == 0, done.output


def in_use_in_billing(world: World) -> dict[str, Any]:
    """What is live in ReliaBills."""
    return {
        "customers": billing_rows(world, "select account_name from customers where active"),
        "products": billing_rows(world, "select name from products where active"),
        "invoices": billing_rows(world, "select number from invoices where state <> 'void'"),
        "payments": billing_rows(world, "select reference from payments where state <> 'void'"),
    }


def test_what_a_run_made_is_taken_back_in_reverse_and_no_later_night_ends_the_originals(world: World) -> None:
    world.new_customer_in_books("Cool Cars")
    world.new_product_in_books("Gardening")
    sell_in_books(world, "1001", "Cool Cars", line_in_books(world, "Gardening", "4", "25"))
    pay_in_books(world, "Cool Cars", "60", {"1001": "60"}, "cheque 7")
    first = settled(world)
    runs = [session.run.id for session in world.sessions]
    made = runs[0]
    before = invoices_in_books(world)

    planned = undo(world, made)
    assert planned.outcome is Outcome.PLANNED, planned.reason
    assert planned.reason == "Dry run: 4 writes planned, nothing was written."
    assert {group for *_, group in groups(world)} == {"is undone"}
    assert len(groups(world)) == 4
    assert invoices_in_billing(world)["1001"] == (10000, 0, 4000, "open")

    done = undo(world, made, planned.id)
    assert done.outcome is Outcome.AGREED_EXCEPT_HELD, done.reason
    assert done.reason.startswith("4 writes carried out. Both sides agree to the cent, except 4 held")
    assert in_use_in_billing(world) == {"customers": [], "products": [], "invoices": [], "payments": []}
    assert invoices_in_books(world) == before

    for mode in ("delta", "census"):
        quiet(world, "Cool Cars", "Gardening", "1001", "cheque 7", mode=mode)
        assert writes(world) == []
    assert "only in ReliaBills, where a person had it taken back" in why(world, "1001")
    assert "reconcile resolve COMPANY RECORD --keep billing" in why(world, "1001")
    assert invoices_in_books(world) == before

    again = undo(world, made)
    assert {group for *_, group in groups(world)} == {"needs no undoing"}
    assert again.reason == "Dry run: 0 writes planned, nothing was written."
    undo(world, done.id)
    assert {group for *_, group in groups(world)} == {"is undone", "cannot be undone"}
    assert first.outcome is Outcome.AGREED


def test_what_went_to_quickbooks_is_voided_there_unless_money_came_since_and_can_be_made_anew(world: World) -> None:
    customer_in_billing(world, "Cool Cars")
    day.new_product(world.billing, "Mulching", "45")
    paid, owed = (invoice_in_billing(world, "Cool Cars", L("Mulching", "1", "45")) for _ in range(2))
    day.take_payment(world.billing, {paid: "45"}, on=TODAY, method="check", online=False, reference="cheque 9")
    settled(world)
    made = world.sessions[0].run.id
    pay_in_books(world, "Cool Cars", "45", {owed: "45"}, "cheque 10")
    settled(world)

    planned = undo(world, made)
    assert groups(world) == [
        ("customer", "Cool Cars", "cannot be undone"),
        ("invoice", paid, "is undone"),
        ("invoice", owed, "cannot be undone"),
        ("payment", "cheque 9", "is undone"),
        ("product", "Mulching", "cannot be undone"),
    ]
    assert "a payment is applied to it in QuickBooks that this undo does not take back" in why(world, owed)
    done = undo(world, made, planned.id)
    assert done.outcome is Outcome.AGREED_EXCEPT_HELD, done.reason
    assert invoices_in_books(world) == {paid: (0, 0, 0, "void"), owed: (4500, 0, 0, "paid")}
    assert invoices_in_billing(world)[paid] == (4500, 0, 0, "paid")
    quiet(world, paid, "cheque 9")

    decide("resolve", COMPANY, f"invoice {paid}", "--keep", "books")
    settled(world, paid, "cheque 9")
    assert "but payments are applied to it in ReliaBills" in why(world, paid)
    assert invoices_in_billing(world)[paid] == (4500, 0, 0, "paid")


def test_values_come_back_and_stay_apart_until_a_person_decides(world: World) -> None:
    world.new_customer_in_books("Cool Cars", PrimaryPhone={"FreeFormNumber": "111"})
    world.new_customer_in_books("Amy's Birds")
    world.new_customer_in_books("Weiskopf")
    settled(world)
    for name, phone in (("Cool Cars", "222"), ("Amy's Birds", "333"), ("Weiskopf", "444")):
        world.books.change("Customer", customer_in_books(world, name), PrimaryPhone={"FreeFormNumber": phone})
    settled(world)
    changed = world.sessions[-2].run.id
    in_billing(world, "update customers set phone = '999', version = version + 1 where account_name = 'Weiskopf'")
    CliRunner().invoke(app, ["settings", COMPANY, "matched_policy.*=books", "conflict_policy.*=books"])

    planned = undo(world, changed)
    assert groups(world) == [
        ("customer", "Amy's Birds", "is undone"),
        ("customer", "Cool Cars", "is undone"),
        ("customer", "Weiskopf", "cannot be undone"),
    ]
    assert "It was changed in ReliaBills since: phone" in " ".join(
        row["reason"] for row in json.loads((world.config.runs / planned.folder / "undo.json").read_text())
    )
    done = undo(world, changed, planned.id)
    assert done.outcome is Outcome.AGREED_EXCEPT_HELD, done.reason
    phones = dict(billing_rows(world, "select account_name, phone from customers"))
    assert phones == {"Cool Cars": "111", "Amy's Birds": None, "Weiskopf": "999"}
    assert held(world) == {"Cool Cars", "Amy's Birds", "Weiskopf"}
    assert "Weiskopf waits" in " ".join(sentences(world))

    night = world.sync(mode="delta")
    assert held(world) == {"Cool Cars", "Amy's Birds"}
    assert night.outcome is Outcome.AGREED_EXCEPT_HELD, night.reason
    assert [label for *_, label in writes(world)] == ["Weiskopf"]
    assert dict(billing_rows(world, "select account_name, phone from customers"))["Amy's Birds"] is None
    decide("resolve", COMPANY, "customer Amy's Birds", "--keep", "books")
    settled(world, "Cool Cars")
    assert dict(billing_rows(world, "select account_name, phone from customers"))["Amy's Birds"] == "333"


def test_an_undo_writes_only_what_was_looked_at_and_people_can_have_its_records_back(world: World) -> None:
    world.new_customer_in_books("Cool Cars")
    pay_in_books(world, "Cool Cars", "60", {}, "cheque 7")
    settled(world)
    made, quiet_one = (session.run.id for session in world.sessions)
    with pytest.raises(ConfigurationError, match="An undo is looked at before it writes"):
        Session.open(company=COMPANY, undo=made, apply=True)
    with pytest.raises(ConfigurationError, match="has written nothing, so there is nothing to undo"):
        Session.open(company=COMPANY, undo=quiet_one)
    planned = undo(world, made)
    with pytest.raises(ConfigurationError, match=f"undoes run {made}; it is not carried out as an ordinary run"):
        Session.open(company=COMPANY, apply=True, plan_to_enforce=planned.id)
    session = Session.open(company=COMPANY, undo=made, apply=True, plan_to_enforce=planned.id)
    world.sessions.append(session)
    session.pull()
    session.compare()
    session.validate()
    session.make_plan()
    with pytest.raises(StoppedBeforeWritingError, match="The customers wait: payments, invoices, tax rates, products"):
        session.push("customer")
    session.close()

    done = undo(world, made, planned.id)
    assert done.outcome is Outcome.AGREED_EXCEPT_HELD, done.reason
    quiet(world, "Cool Cars", "cheque 7")
    assert billing_rows(world, "select account_name, active from customers") == [("Cool Cars", 0)]
    decide("resolve", COMPANY, "customer Cool Cars", "--keep", "books")
    settled(world, "cheque 7")
    assert billing_rows(world, "select account_name, active from customers") == [("Cool Cars", 1)]
    decide("unlink", COMPANY, "payment cheque 7")
    assert settled(world).outcome is Outcome.AGREED
    assert billing_rows(world, "select state from payments order by id") == [("void",), ("received",)]
