"""A working day: each event is told in a sentence, and has happened."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from reconcile.model.money import to_scaled
from reconcile.sandbox.billing import day
from reconcile.sandbox.billing.database import create_database, transaction
from reconcile.sandbox.billing.ledger import BillingRuleError
from reconcile.sandbox.billing.sample import load_sample
from reconcile.sandbox.billing.schema import Customer, Invoice, Payment, Product, TaxRate

TODAY = date(2026, 3, 10)


@pytest.fixture
def craigs(tmp_path: Path) -> Engine:
    engine = create_database(str(tmp_path / "billing.db"))
    load_sample(engine, "craigs", TODAY)
    return engine


def _one(engine: Engine, table: Any, **columns: Any) -> Any:
    with transaction(engine) as session:
        return session.scalars(select(table).filter_by(**columns)).one()


def test_people_come_change_and_go(craigs: Engine) -> None:
    details = {"first_name": "Accounts Payable", "last_name": "Nursery", "account_name": "Finch Street Nursery"}
    assert "new customer" in day.new_customer(craigs, **details, email="Nursery@intuit.com")
    assert "in the portal" in day.edit_in_portal(craigs, "Cool Cars", phone="(415) 555-9900", email="Cars@intuit.com")
    assert "auto pay to card" in day.edit_customer(craigs, "Cool Cars", auto_pay="card")
    assert "inactive" in day.inactivate_customer(craigs, "Finch Street Nursery")
    cars = _one(craigs, Customer, account_name="Cool Cars")
    assert (cars.phone, cars.email, cars.auto_pay) == ("(415) 555-9900", "Cars@intuit.com", "card")
    assert not _one(craigs, Customer, account_name="Finch Street Nursery").active
    assert "is active again" in day.activate_customer(craigs, "Finch Street Nursery")
    assert _one(craigs, Customer, account_name="Finch Street Nursery").active


def test_prices_and_rates_change(craigs: Engine) -> None:
    assert "(before: 75)" in day.change_price(craigs, "Design", "80.50")
    assert "new product" in day.new_product(craigs, "Pruning", "40", taxable=True)
    assert "9.25 percent" in day.new_tax_rate(craigs, "Finch", "9.25", "Board of Equalization")
    assert _one(craigs, Product, name="Design").unit_price == to_scaled("80.5")
    assert _one(craigs, TaxRate, name="Finch").percent == to_scaled("9.25")


def test_an_invoice_is_written_edited_and_voided(craigs: Engine) -> None:
    told = day.new_invoice(
        craigs, "Cool Cars", [("Sod", "10", "15"), ("Design", "2", "80")], on=TODAY, tax_rate="California"
    )
    assert told == "Invoice 104 over 322.00 is written to Cool Cars in ReliaBills."
    assert day.last_invoice_number(craigs) == "104"
    assert "memo to Thanks" in day.edit_invoice(craigs, "104", memo="Thanks", due_date="2026-05-01")
    assert _one(craigs, Invoice, number="104").due_date == "2026-05-01"
    assert "voided" in day.void_invoice(craigs, "104")


def test_money_comes_in_parts_and_for_several_invoices_and_goes_back(craigs: Engine) -> None:
    told = day.take_payment(craigs, {"1007": "100"}, on=TODAY)
    assert told == "John Melton pays 100.00 online by card: invoice 1007 in part."
    told = day.take_payment(craigs, {"1023": "70", "1024": "100"}, on=TODAY, method="check", online=False)
    assert told == "Red Rock Diner pays 170.00 by check: invoice 1023 in full and 1024 in part."
    assert "re-opened" in day.refund(craigs, "103", "15", on=TODAY, reopen=True)
    assert _one(craigs, Invoice, number="103").balance == 1500
    assert _one(craigs, Payment, amount=17000).kind == "offline"


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (lambda engine: day.edit_in_portal(engine, "Nobody", phone="1"), "no customers"),
        (lambda engine: day.change_price(engine, "Nothing", "1"), "no product"),
        (lambda engine: day.edit_invoice(engine, "9", memo="x"), "no invoice 9"),
        (lambda engine: day.edit_invoice(engine, "1007", total="7"), "cannot be changed"),
        (lambda engine: day.new_invoice(engine, "Cool Cars", [("Sod", "1", "1")], on=TODAY, tax_rate="Mars"), "rate"),
        (lambda engine: day.take_payment(engine, {}, on=TODAY), "which invoices"),
        (lambda engine: day.refund(engine, "1007", "301", on=TODAY, reopen=True), "cannot be refunded"),
        (lambda engine: day.refund(engine, "1010", "1", on=TODAY, reopen=True), "Nothing was paid"),
    ],
)
def test_what_cannot_happen_is_told_in_words(craigs: Engine, event: Any, why: str) -> None:
    with pytest.raises(BillingRuleError, match=why):
        event(craigs)
