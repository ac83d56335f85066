"""Deleted on one side: a person says whether it stays so or is entered again, and the next run does it."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from reconcile.cli import app
from reconcile.errors import ConfigurationError
from reconcile.model.resolutions import Status
from reconcile.repair import Repair
from reconcile.sandbox.billing import day
from reconcile.state import settings
from reconcile.state.database import open_state
from tests.night.conftest import COMPANY, World
from tests.night.desks import (
    agreed,
    billing_rows,
    delete_in_books,
    findings,
    held,
    in_billing,
    invoice_in_books,
    invoices_in_billing,
    invoices_in_books,
    line_in_books,
    pay_in_books,
    payment_in_books,
    quiet,
    sell_in_books,
    why,
    writes,
)


@pytest.fixture
def company(world: World) -> World:
    """Five invoices, two of them paid in part, on both sides; so few that deleting some would look like an accident."""
    engine = open_state(world.config.state_url)
    settings.save(engine, COMPANY, settings.changed(settings.load(engine, COMPANY), "shrunk_by_percent", "100"))
    engine.dispose()
    world.new_customer_in_books("Cool Cars")
    world.new_product_in_books("Gardening")
    four = line_in_books(world, "Gardening", "4", "25")
    for number in ("1001", "1002", "1003", "1004", "1005"):
        sell_in_books(world, number, "Cool Cars", four)
    pay_in_books(world, "Cool Cars", "30", {"1003": "30"}, "cheque 7")
    pay_in_books(world, "Cool Cars", "10", {"1005": "10"}, "cheque 8")
    agreed(world)
    return world


def commands(record: str) -> list[str]:
    """What `reconcile conflicts` offers for a record, by its label."""
    shown = CliRunner().invoke(app, ["conflicts", COMPANY], env={"COLUMNS": "400"}).output
    _, _, rest = shown.partition(record)
    return [line.strip() for line in rest.partition("\n    \n")[0].splitlines() if "reconcile " in line]


def test_deleted_in_quickbooks_and_edited_in_reliabills_it_is_entered_again_or_voided_as_a_person_decides(
    company: World,
) -> None:
    for number in ("1001", "1002"):
        delete_in_books(company, "Invoice", invoice_in_books(company, number))
        day.edit_invoice(company.billing, number, memo="see you")
    company.sync()
    assert held(company) == {"1001", "1002"}
    resolve = "reconcile resolve craigs invoice:books:1 --keep"
    assert commands("Invoice 1001")[:2] == [
        f'the deletion is right: void it in ReliaBills: {resolve} books --because "WHY"',
        f'enter it again in QuickBooks: {resolve} billing --because "WHY"',
    ]
    repair = Repair.open(COMPANY, who="Anna")
    again = repair.keep("invoice 1001", "billing", because="she wants it after all")
    ended = repair.keep("invoice 1002", "books", because="never sold")
    assert (again.what, ended.what) == ("enter it again in QuickBooks", "end it in ReliaBills as well")
    company.sync()
    assert sorted(writes(company)) == [("invoice", "create", "1001"), ("invoice", "void", "1002")]
    assert invoices_in_books(company)["1001"] == invoices_in_billing(company)["1001"] == (10000, 0, 10000, "open")
    assert invoices_in_billing(company)["1002"] == (10000, 0, 0, "void")
    assert {one.status for one in Repair.open(COMPANY).resolutions} == {Status.APPLIED}
    company.sync()
    quiet(company)
    assert [row[0] for row in billing_rows(company, "select number from invoices where state <> 'void'")] == [
        "1001",
        "1003",
        "1004",
        "1005",
    ]


def test_a_paid_invoice_stays_though_somebody_wants_it_ended_and_can_be_entered_again(company: World) -> None:
    delete_in_books(company, "Payment", payment_in_books(company, "cheque 7"))
    delete_in_books(company, "Invoice", invoice_in_books(company, "1003"))
    company.sync()
    Repair.open(COMPANY, who="Anna").keep("invoice 1003", "books", because="a mistake")
    company.sync()
    assert ("invoice", "void", "1003") not in writes(company)
    repair = Repair.open(COMPANY, who="Anna")
    (row,) = repair.open_conflicts[repair.open_conflicts["label"] == "1003"].to_dict("records")
    assert "it has payments in ReliaBills or was closed there" in row["decided"]
    repair.withdraw(repair.resolutions[0].id)
    repair.keep("invoice 1003", "billing", because="it was right")
    repair.keep("payment cheque 7", "billing", because="it was right")
    company.sync()
    company.sync()
    assert invoices_in_books(company)["1003"] == invoices_in_billing(company)["1003"]
    assert payment_in_books(company, "cheque 7")["TotalAmt"] == 30
    quiet(company)


def test_deleted_in_reliabills_its_number_is_taken_for_ever_and_quickbooks_can_follow(company: World) -> None:
    in_billing(company, "delete from invoice_lines where invoice_id = (select id from invoices where number = '1004')")
    in_billing(company, "delete from invoices where number = '1004'")
    company.sync()
    assert held(company) == {"1004"}
    (only, *_) = commands("Invoice 1004")
    assert "void it in QuickBooks: reconcile resolve craigs invoice:books:4 --keep billing" in only
    repair = Repair.open(COMPANY, who="Anna")
    with pytest.raises(ConfigurationError, match="cannot be entered again in ReliaBills"):
        repair.keep("invoice 1004", "books", because="it was right")
    repair.keep("invoice 1004", "billing", because="never sold")
    company.sync()
    assert writes(company) == [("invoice", "void", "1004")]
    company.sync()
    quiet(company)


def test_what_is_entered_again_by_hand_or_edited_meanwhile_is_not_touched_by_the_decision(company: World) -> None:
    for number in ("1001", "1002"):
        delete_in_books(company, "Invoice", invoice_in_books(company, number))
    company.sync()
    repair = Repair.open(COMPANY, who="Anna")
    repair.keep("invoice 1001", "billing", because="it was right")
    repair.keep("invoice 1002", "books", because="never sold")
    sell_in_books(company, "1001", "Cool Cars", line_in_books(company, "Gardening", "4", "25"))
    in_billing(company, "update invoices set total = 9000, balance = 9000, version = version + 1 where number = '1002'")
    company.sync()
    assert ("invoice", "void", "1002") not in writes(company)
    assert [one for one in writes(company) if one[2] == "1001"] == []
    outdated = {one.draft.label: one.closed_because for one in Repair.open(COMPANY).resolutions}
    assert outdated["1002"] == "The record in ReliaBills has changed since (total)."
    assert "1002" in {finding["label"] for finding in findings(company)}
    assert why(company, "1002")
    assert len(billing_rows(company, "select id from invoices where number = '1001'")) == 1
