"""People decide what a night left open: seen, decided once, applied by the next run, and never beyond what was seen."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import papermill
import pytest
from typer.testing import CliRunner

from reconcile.cli import app
from reconcile.errors import AlreadyDecidedError, ConfigurationError
from reconcile.model.resolutions import Status
from reconcile.model.runs import Outcome
from reconcile.repair import Repair
from reconcile.runner.execute import notebooks_folder
from reconcile.sandbox.billing import day
from tests.night.conftest import COMPANY, World
from tests.night.desks import (
    L,
    agreed,
    customer_in_billing,
    customer_in_books,
    edit_in_billing,
    held,
    in_billing,
    invoice_in_books,
    invoices_in_billing,
    invoices_in_books,
    line_in_books,
    pay_in_books,
    quiet,
    sell_in_books,
    settled,
    writes,
)


@pytest.fixture
def disputed(world: World) -> World:
    """A customer whose phone both sides changed, and an invoice whose lines both sides changed, with a new payment."""
    world.new_customer_in_books("Cool Cars", PrimaryPhone={"FreeFormNumber": "111"})
    world.new_product_in_books("Gardening")
    sell_in_books(world, "1001", "Cool Cars", line_in_books(world, "Gardening", "4", "25"))
    agreed(world)
    world.books.change("Customer", customer_in_books(world, "Cool Cars"), PrimaryPhone={"FreeFormNumber": "222"})
    day.edit_in_portal(world.billing, "Cool Cars", phone="333")
    world.books.change("Invoice", invoice_in_books(world, "1001"), Line=[line_in_books(world, "Gardening", "2", "25")])
    edit_in_billing(world, "1001", L("Gardening", "6", "25"))
    pay_in_books(world, "Cool Cars", "30", {"1001": "30"}, "cheque 7")
    world.sync()
    assert held(world) == {"Cool Cars", "1001"}
    return world


def phones(world: World) -> tuple[str, str]:
    with world.billing.connect() as connection:
        (there,) = connection.exec_driver_sql("select phone from customers").one()
    return customer_in_books(world, "Cool Cars")["PrimaryPhone"]["FreeFormNumber"], there


def test_a_conflict_is_shown_with_its_values_and_the_money_behind_it(disputed: World) -> None:
    repair = Repair.open(COMPANY)
    records = {row["label"]: row for row in repair.open_conflicts.to_dict("records")}
    assert set(records) == {"Cool Cars", "1001"}
    invoice = records["1001"]
    assert (invoice["waiting"], invoice["waiting_payments"], invoice["changed_in"]) == (1, 3000, "both")
    assert invoice["customer"] == "Cool Cars"
    assert list(repair.conflicts.waiting["label"]) == ["cheque 7"]
    (phone,) = repair.conflicts.fields[repair.conflicts.fields["entity"] == "customer"].to_dict("records")
    assert (phone["field"], phone["base"], phone["books"], phone["billing"]) == ("phone", "111", "222", "333")
    saved = json.loads((disputed.config.runs / repair.run.folder / "conflicts.json").read_text(encoding="utf-8"))
    assert {row["label"] for row in saved["records"]} == set(records)

    shown = CliRunner().invoke(app, ["conflicts", COMPANY], env={"COLUMNS": "400"})
    assert shown.exit_code == 1
    for words in (
        "2 to decide on",
        "Invoice 1001 of Cool Cars, 50.00 USD; 1 waiting for it, payments of 30.00",
        "phone: agreed last 111; QuickBooks 222; ReliaBills 333, changed in both",
        f"keep what ReliaBills has: reconcile resolve craigs {invoice['entity']}:{invoice['key']} --keep billing",
    ):
        assert words in shown.output
    decided = CliRunner().invoke(
        app, ["resolve", COMPANY, "cool cars", "--keep", "billing", "--because", "she \x1b[2J called", "--who", "Anna"]
    )
    assert decided.exit_code == 0, decided.output
    assert "keep ReliaBills (phone). Anna" in decided.output
    assert "\x1b" not in decided.output
    listed = CliRunner().invoke(app, ["resolutions", COMPANY])
    assert "1. customer Cool Cars [customer:" not in listed.output
    assert "1. customer Cool Cars [books:" in listed.output
    assert "open: the next run applies it" in listed.output


def test_what_is_decided_is_done_by_the_next_run_once_and_the_sides_agree(disputed: World) -> None:
    repair = Repair.open(COMPANY, who="Anna")
    phone = repair.keep("customer Cool Cars", "billing", because="she called")
    lines = repair.keep("invoice 1001", "books", because="two days, not six")
    preview = repair.preview()
    assert {operation.label for operation in preview.decided.writes()} == {"Cool Cars", "1001"}
    assert [one.status for one in repair.resolutions] == [Status.OPEN, Status.OPEN]
    run = settled(disputed)
    assert phones(disputed) == ("333", "333")
    assert invoices_in_billing(disputed) == invoices_in_books(disputed)
    assert invoices_in_books(disputed)["1001"][0] == 5000
    closed = {one.id: one for one in Repair.open(COMPANY).resolutions}
    for decision in (phone, lines):
        assert (closed[decision.id].status, closed[decision.id].run_id) == (Status.APPLIED, run.id)


def test_what_moved_since_is_not_touched_and_the_person_decides_anew(disputed: World) -> None:
    Repair.open(COMPANY, who="Anna").keep("Cool Cars", "books", because="the card on file")
    day.edit_in_portal(disputed.billing, "Cool Cars", phone="444")
    disputed.sync()
    assert phones(disputed) == ("222", "444")
    repair = Repair.open(COMPANY, who="Anna")
    (decision,) = repair.resolutions
    assert decision.status is Status.OUTDATED
    assert decision.closed_because == "The phone has changed since in ReliaBills."
    (row,) = repair.open_conflicts[repair.open_conflicts["entity"] == "customer"].to_dict("records")
    assert "outdated: The phone has changed since in ReliaBills." in row["decided"]
    repair.keep("Cool Cars", "billing", because="444 it is")
    disputed.sync()
    assert phones(disputed) == ("444", "444")


def test_of_two_people_who_decide_the_same_the_second_hears_of_the_first(disputed: World) -> None:
    anna, bert = Repair.open(COMPANY, who="Anna"), Repair.open(COMPANY, who="Bert")
    first = anna.keep("Cool Cars", "books", because="right")
    with pytest.raises(AlreadyDecidedError, match=r"already resolved by Anna at .* \(keep books: phone; decision 1\)"):
        bert.keep("customer Cool Cars", "billing", because="wrong", field="phone")
    with pytest.raises(AlreadyDecidedError, match="already resolved by Anna"):
        bert.ignore("Cool Cars", until="2099-01-01", because="later")
    bert.withdraw(first.id)
    bert.keep("Cool Cars", "billing", because="Anna agreed")
    disputed.sync()
    assert phones(disputed) == ("333", "333")


def test_a_record_left_alone_is_no_alarm_until_it_moves_or_its_day_comes(disputed: World) -> None:
    repair = Repair.open(COMPANY, who="Anna")
    for name in ("Cool Cars", "1001"):
        repair.ignore(name, until="2099-01-01", because="they are on holiday")
    run = disputed.sync()
    assert (run.outcome, held(disputed)) == (Outcome.AGREED, set()), run.reason
    assert phones(disputed) == ("222", "333")
    shown = Repair.open(COMPANY).conflicts.records
    assert list(shown["ignored"]) == [True, True]
    assert "left alone: ignore until 2099-01-01 (Anna: they are on holiday)" in shown["reason"].iloc[0]
    day.edit_in_portal(disputed.billing, "Cool Cars", phone="444")
    disputed.sync()
    assert held(disputed) == {"Cool Cars"}


def test_twins_are_told_apart_by_a_person(world: World) -> None:
    world.new_customer_in_books("Amy")
    customer_in_billing(world, "Amy")
    customer_in_billing(world, "Amy")
    world.sync()
    assert held(world) == {"Amy"}
    repair = Repair.open(COMPANY, who="Anna")
    assert {row["ways"] for row in repair.open_conflicts.to_dict("records")} == {"link,ignore"}
    with pytest.raises(ConfigurationError, match=r"may be several records: customer:billing:1 .*customer:billing:2"):
        repair.link("customer Amy", "customer Amy", because="the first")
    books_id = customer_in_books(world, "Amy")["Id"]
    repair.link(f"customer:books:{books_id}", "customer:billing:2", because="she pays there")
    world.sync()
    with world.billing.connect() as connection:
        assert connection.exec_driver_sql("select count(*) from customers").scalar_one() == 2
    assert len(world.books.query("select * from Customer", "Customer")) == 1
    assert [one.status for one in Repair.open(COMPANY).resolutions] == [Status.APPLIED]
    assert held(world) == {"Amy"}


def test_a_payment_matched_by_mistake_is_taken_apart_and_booked_on_both_sides(world: World) -> None:
    """Two real payments of one amount and day, one in each system, were taken for one."""
    world.new_customer_in_books("Cool Cars")
    world.new_product_in_books("Gardening")
    sell_in_books(world, "1001", "Cool Cars", line_in_books(world, "Gardening", "4", "25"))
    settled(world)
    paid = pay_in_books(world, "Cool Cars", "30", {"1001": "30"}, "cheque 7")
    day.take_payment(world.billing, {"1001": "30"}, on=_day(paid), method="check", online=False, reference="cheque 7")
    settled(world)
    Repair.open(COMPANY, who="Anna").unlink("payment cheque 7", because="two cheques, one number")
    world.sync()
    assert invoices_in_billing(world) == invoices_in_books(world)
    assert invoices_in_books(world)["1001"] == (10000, 0, 4000, "open")
    quiet(world)


def _day(payment: dict[str, Any]) -> Any:
    return date.fromisoformat(payment["TxnDate"])


def test_the_repair_notebook_shows_what_waits_and_what_the_next_run_would_do(disputed: World) -> None:
    in_billing(disputed, "update customers set first_name = '<script>alert(1)</script>'")
    disputed.sync()
    Repair.open(COMPANY, who="Anna").keep("Cool Cars", "billing", because="she called")
    before = phones(disputed)
    executed = papermill.execute_notebook(
        str(notebooks_folder() / "repair.ipynb"),
        str(disputed.root / "repair.ipynb"),
        parameters={"company": COMPANY, "who": "Anna"},
        cwd=str(disputed.root),
        progress_bar=False,
        kernel_name="python3",
    )
    texts = ["".join(str(out.get("data", {})) for out in cell.get("outputs", [])) for cell in executed.cells]
    assert any("repair.keep(&#x27;invoice:books:" in text for text in texts)
    assert any("1 write" in text and "is decided: keep ReliaBills (Anna: she called)" in text for text in texts)
    assert "Nothing was written. The next run would carry out" in texts[-1]
    assert "<script>" not in " ".join(texts)
    assert phones(disputed) == before
    assert writes(disputed)


def test_more_than_one_write_is_only_done_when_its_number_was_typed(disputed: World) -> None:
    repair = Repair.open(COMPANY, who="Anna")
    repair.keep("Cool Cars", "billing", because="she called")
    repair.keep("1001", "books", because="two days")
    preview = repair.preview()
    count = len(list(preview.plan.writes()))
    assert count > 1
    for typed in (0, 1, count + 1):
        with pytest.raises(ConfigurationError, match=f"confirmed_writes = {count}"):
            repair.go(preview, apply=True, confirmed=typed)
    assert phones(disputed) == ("222", "333")
    assert "carried out. Both sides agree to the cent" in repair.go(preview, apply=True, confirmed=count)
    assert phones(disputed) == ("333", "333")
