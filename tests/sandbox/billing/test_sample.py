"""ReliaBills' part of the sample company: shared facts are the same facts, differences are those of the scenario."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from reconcile.errors import ConfigurationError
from reconcile.model.money import to_minor
from reconcile.sandbox.billing import scenario
from reconcile.sandbox.billing.database import create_database, transaction
from reconcile.sandbox.billing.midnight import run_midnight
from reconcile.sandbox.billing.sample import days_to_move, load_sample, read_sample
from reconcile.sandbox.billing.schema import BillingSession, Customer, Invoice, Payment, RecurringProfile, Settings

TODAY = date(2026, 3, 10)


@pytest.fixture(scope="module")
def craigs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = create_database(str(tmp_path_factory.mktemp("sample") / "billing.db"))
    load_sample(engine, "craigs", TODAY)
    yield engine
    engine.dispose()


@pytest.fixture
def session(craigs: Engine) -> Iterator[BillingSession]:
    with transaction(craigs) as opened:
        yield opened


def test_shared_invoices_come_to_what_they_come_to_in_quickbooks(session: BillingSession) -> None:
    unpaid_here = {
        line["LinkedTxn"][0]["TxnId"]: to_minor(line["Amount"], "USD")
        for payment in read_sample("payment")
        if payment["Id"] in scenario.PAYMENTS_ONLY_IN_QUICKBOOKS
        for line in payment["Line"]
    }
    invoices = {invoice.number: invoice for invoice in session.scalars(select(Invoice))}
    shared = [found for found in read_sample("invoice") if found["DocNumber"] in scenario.SHARED_INVOICES]
    assert len(shared) == len(scenario.SHARED_INVOICES)
    for found in shared:
        here = invoices[found["DocNumber"]]
        assert here.total == to_minor(found["TotalAmt"], "USD")
        assert here.tax == to_minor(found["TxnTaxDetail"]["TotalTax"], "USD")
        assert here.balance == to_minor(found["Balance"], "USD") + unpaid_here.get(found["Id"], 0)
        assert date.fromisoformat(here.invoice_date) == date.fromisoformat(found["TxnDate"]) + days_to_move(TODAY)


def test_the_last_transaction_is_dated_the_day_before(session: BillingSession) -> None:
    dates = [*session.scalars(select(Invoice.invoice_date)), *session.scalars(select(Payment.payment_date))]
    everywhere = [*read_sample("invoice"), *read_sample("payment")]
    moved = [date.fromisoformat(found["TxnDate"]) + days_to_move(TODAY) for found in everywhere]
    assert max(moved) == TODAY - timedelta(days=1)
    assert max(dates) <= max(moved).isoformat()


def test_numbers_that_only_reliabills_has_clash_with_none(session: BillingSession) -> None:
    books = {found["DocNumber"] for found in read_sample("invoice")}
    own = {planned.number for planned in scenario.BILLING_INVOICES}
    assert not books & own
    assert session.scalars(select(Settings.next_invoice_number)).one() == max(map(int, own)) + 1


def test_each_kind_of_discount_is_there(session: BillingSession) -> None:
    for column in (Invoice.discount_percent, Invoice.discount_taxable, Invoice.discount_nontaxable):
        assert session.scalars(select(Invoice).where(column.is_not(None), Invoice.number.like("10_"))).all()


def test_customers_that_reliabills_cannot_store_are_only_in_quickbooks(session: BillingSession) -> None:
    here = set(session.scalars(select(Customer.account_name)))
    for found in read_sample("customer"):
        if not found.get("FamilyName") or not found.get("PrimaryEmailAddr") or found["Job"]:
            assert found["DisplayName"] not in here


def test_every_difference_of_the_scenario_is_one(session: BillingSession) -> None:
    customers = {found["DisplayName"]: found for found in read_sample("customer")}
    assert set(scenario.CUSTOMER_DIFFERENCES) <= set(scenario.SHARED_CUSTOMERS) <= set(customers)
    assert set(scenario.PRODUCT_DIFFERENCES) <= set(scenario.SHARED_PRODUCTS)
    assert set(scenario.INVOICE_DIFFERENCES) <= set(scenario.SHARED_INVOICES)
    windsurf = session.scalars(select(Customer).where(Customer.account_name == "Bill's Windsurf Shop")).one()
    assert windsurf.phone != customers["Bill's Windsurf Shop"]["PrimaryPhone"]["FreeFormNumber"]


def test_at_midnight_two_auto_pay_customers_have_a_recurring_invoice(session: BillingSession) -> None:
    enrolled = session.scalars(select(Customer).where(Customer.auto_pay.is_not(None))).all()
    due = session.scalars(select(RecurringProfile).where(RecurringProfile.first_date == TODAY.isoformat())).all()
    assert len(enrolled) >= 3
    assert len([profile for profile in due if profile.customer.auto_pay]) >= 2


def test_the_sample_is_loaded_alike_each_time_on_either_database(empty_url: str) -> None:
    engine = create_database(empty_url)
    counts = load_sample(engine, "craigs", TODAY)
    assert counts == {
        "customers": 19,
        "products": 18,
        "tax_rates": 3,
        "invoices": 23,
        "payments": 12,
        "recurring_profiles": 3,
    }
    result = run_midnight(engine, TODAY)
    assert [made.customer for made in result.invoices] == ["Jeff's Jalopies", "Weiskopf Consulting"]
    assert {charge.customer for charge in result.charges} == set(scenario.AUTO_PAY)
    engine.dispose()


def test_an_empty_company_has_settings_and_nothing_else(tmp_path: Path) -> None:
    engine = create_database(str(tmp_path / "empty.db"))
    assert set(load_sample(engine, "empty", TODAY).values()) == {0}
    with transaction(engine) as session:
        assert session.scalars(select(Customer)).all() == []
        assert session.scalars(select(Settings)).one().next_invoice_number == 100
    engine.dispose()


def test_an_unknown_sample_is_refused(craigs: Engine) -> None:
    with pytest.raises(ConfigurationError, match="no sample company 'craig'"):
        load_sample(craigs, "craig", TODAY)
