"""Finished documents stay as they are, night after night, and mails and charges happen once and within their caps."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest
from typer.testing import CliRunner

from reconcile.cli import app
from reconcile.errors import GuardError
from reconcile.model.runs import Outcome
from reconcile.sandbox.billing import day
from tests.night.conftest import COMPANY, TODAY, World
from tests.night.desks import (
    L,
    billing_rows,
    delete_in_books,
    edit_in_billing,
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
    settled,
    void_payment_in_billing,
    why,
    writes,
)

TODAYS: dict[str, Any] = {"TxnDate": TODAY.isoformat(), "DueDate": "2026-12-31"}


def company(world: World, **more: Any) -> None:
    world.new_customer_in_books("Cool Cars", **more)
    world.new_product_in_books("Gardening")


def preferences(world: World, **sections: Any) -> None:
    """Somebody changes the company's settings in QuickBooks."""
    known = world.books.query("select * from Preferences", "Preferences")[0]
    world.books.change("Preferences", known, **sections)


def paste_command(text: str, because: str) -> None:
    """Paste the command that a finding ends with."""
    (command,) = re.findall(r"`reconcile (permit [^`]*)`", text)
    done = CliRunner().invoke(app, [because if word == "WHY" else word for word in shlex.split(command)])
    assert done.exit_code == 0, done.output


def choose(world: World, *choices: str) -> None:
    assert CliRunner().invoke(app, ["settings", COMPANY, *choices]).exit_code == 0


def test_a_closed_period_is_left_alone_every_night_until_it_is_opened(world: World) -> None:
    company(world)
    sell_in_books(world, "1001", "Cool Cars", line_in_books(world, "Gardening", "4", "25"), **TODAYS)
    settled(world)
    preferences(world, AccountingInfoPrefs={"BookCloseDate": TODAY.isoformat()})
    day.edit_invoice(world.billing, "1001", memo="Thank you")
    settled(world, "1001")
    assert "the books are closed until 2026-11-22" in why(world, "1001")
    assert writes(world) == []
    quiet(world, "1001", mode="delta")
    preferences(world, AccountingInfoPrefs={"BookCloseDate": "2026-10-31"})
    settled(world, mode="delta")
    assert invoice_in_books(world, "1001")["CustomerMemo"]["value"] == "Thank you"


def test_a_deposited_payment_and_a_paid_invoice_are_left_alone_and_a_person_lets_the_edit_pass(world: World) -> None:
    company(world)
    for number in ("1001", "1002"):
        sell_in_books(world, number, "Cool Cars", line_in_books(world, "Gardening", "4", "25"), **TODAYS)
        pay_in_books(world, "Cool Cars", "100", {number: "100"}, f"for {number}")
    payment = payment_in_books(world, "for 1001")
    bank = world.books.query("select * from Account where AccountType = 'Bank'", "Account")[0]
    linked = {"TxnId": payment["Id"], "TxnType": "Payment", "TxnLineId": "0"}
    world.books.save(
        "Deposit", DepositToAccountRef={"value": bank["Id"]}, Line=[{"Amount": 100, "LinkedTxn": [linked]}]
    )
    settled(world)

    void_payment_in_billing(world, "for 1001")
    edit_in_billing(world, "1002", L("Gardening", "5", "25"))
    settled(world, "for 1001", "1002")
    assert "is part of a deposit in QuickBooks" in why(world, "for 1001")
    assert "is fully paid in QuickBooks" in why(world, "1002")
    assert invoices_in_books(world)["1002"] == (10000, 0, 0, "paid")
    quiet(world, "for 1001", "1002", mode="delta")

    paste_command(why(world, "1002"), "Cool Cars ordered one more hour.")
    run = world.sync(mode="delta")
    assert run.outcome is Outcome.AGREED_EXCEPT_HELD, run.reason
    assert held(world) == {"for 1001"}
    assert invoices_in_books(world)["1002"] == (12500, 0, 2500, "open")
    assert run.counts["permissions"][0]["because"] == "Cool Cars ordered one more hour."


def test_only_new_open_invoices_are_mailed_each_once_and_no_more_than_one_run_may(world: World) -> None:
    company(world)
    in_billing(world, "update settings set send_invoices = true")
    gardening = line_in_books(world, "Gardening", "4", "25")
    sell_in_books(world, "1001", "Cool Cars", gardening, TxnDate="2026-01-05", DueDate="2026-02-05")
    sell_in_books(world, "1002", "Cool Cars", gardening, **TODAYS)
    pay_in_books(world, "Cool Cars", "100", {"1002": "100"}, "paid at once")
    sell_in_books(world, "1003", "Cool Cars", line_in_books(world, "Gardening", "1", "0"), **TODAYS)
    for number in ("1004", "1005"):
        sell_in_books(world, number, "Cool Cars", gardening, **TODAYS)
    choose(world, "most_mails=1")
    run = world.sync()
    assert run.outcome is Outcome.AGREED_EXCEPT_HELD, run.reason
    assert held(world) == {"1005"}
    assert "would cause a mail of 100.00 to Cool Cars" in why(world, "1005")
    assert sorted(invoices_in_billing(world)) == ["1001", "1002", "1003", "1004"]
    assert mailed(world) == ["1004"]
    settled(world)
    assert mailed(world) == ["1004", "1005"]

    delete_in_books(world, "Invoice", invoice_in_books(world, "1005"))
    in_billing(world, "delete from deliveries where invoice_id in (select id from invoices where number = '1005')")
    in_billing(world, "delete from invoice_lines where invoice_id in (select id from invoices where number = '1005')")
    in_billing(world, "delete from invoices where number = '1005'")
    sell_in_books(world, "1005", "Cool Cars", gardening, **TODAYS)
    settled(world)
    assert mailed(world) == ["1004"]
    assert "1005" in invoices_in_billing(world)


def mailed(world: World) -> list[str]:
    """Numbers of the invoices that ReliaBills has sent."""
    statement = "select number from deliveries join invoices on invoices.id = invoice_id order by deliveries.id"
    return [number for (number,) in billing_rows(world, statement)]


def test_a_run_that_stops_before_writing_still_says_what_midnight_would_charge_twice(world: World) -> None:
    company(world)
    for n in range(2):
        world.new_customer_in_books(f"Customer {n}")
    sell_in_books(world, "1001", "Cool Cars", line_in_books(world, "Gardening", "4", "25"), **TODAYS)
    settled(world)
    in_billing(world, "update customers set auto_pay = 'card', version = version + 1 where account_name = 'Cool Cars'")
    settled(world)
    pay_in_books(world, "Cool Cars", "100", {"1001": "100"}, "by check")
    for n in range(2):
        world.books.change("Customer", world.books.one("Customer", "DisplayName", f"Customer {n}"), Active=False)
    choose(world, "most_endings=1")
    with pytest.raises(GuardError, match=r"At risk at midnight: 100\.00 on 1 invoice \(1001\).*ends 2 customers"):
        world.sync()
    world.sessions[-1].close()
    folder = world.config.runs / world.last_run().folder
    (risk,) = json.loads((folder / "midnight-risk.json").read_text(encoding="utf-8"))
    assert (risk["number"], risk["at_risk"]) == ("1001", 10000)
    assert findings(world) is not None
