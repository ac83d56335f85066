"""The midnight job: what is due is made once, what is open is charged once."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select

from reconcile.model.money import to_scaled
from reconcile.sandbox.billing import ledger
from reconcile.sandbox.billing.database import transaction
from reconcile.sandbox.billing.ledger import BillingRuleError, LineDraft
from reconcile.sandbox.billing.midnight import MadeCharge, occurrence_date, run_midnight
from reconcile.sandbox.billing.schema import Charge, Customer, Delivery, Invoice, Payment, RecurringProfile

TODAY = date(2026, 3, 10)
WEEKLY = LineDraft(description="Weekly Gardening Service", quantity=to_scaled("3"), unit_price=to_scaled("25"))


def _enrol(engine: Engine, **profile: object) -> None:
    with transaction(engine) as session:
        customer = session.scalars(select(Customer)).one()
        ledger.edit_customer(session, customer, auto_pay="card")
        if profile:
            ledger.add_recurring_profile(session, customer, lines=[WEEKLY], **profile)  # type: ignore[arg-type]


def _open_invoice(engine: Engine, amount: int = 5000) -> str:
    with transaction(engine) as session:
        customer = session.scalars(select(Customer)).one()
        lines = [LineDraft(description="Work", amount=amount)]
        return ledger.new_invoice(session, customer, invoice_date=TODAY, due_date=None, lines=lines).number


def _counts(engine: Engine) -> list[int]:
    with transaction(engine) as session:
        tables = (Invoice, Delivery, Payment, Charge)
        return [session.scalar(select(func.count()).select_from(table)) or 0 for table in tables]


def test_a_due_invoice_is_made_delivered_and_charged(shop: Engine) -> None:
    _enrol(shop, first_date=TODAY, every=7, unit="days", days_to_pay=14)
    result = run_midnight(shop, TODAY)
    assert [(made.number, made.total, made.delivered_by) for made in result.invoices] == [("100", 7500, "email")]
    assert result.charges == (MadeCharge("Garden Center", "card", 7500, ("100",)),)
    with transaction(shop) as session:
        invoice = session.scalars(select(Invoice)).one()
        assert (invoice.origin, invoice.state, invoice.due_date) == ("recurring", "paid", "2026-03-24")
        payment = session.scalars(select(Payment)).one()
        assert (payment.kind, payment.method, payment.external_id is not None) == ("online", "card", True)
        assert session.scalars(select(RecurringProfile)).one().last_invoice == "100"


def test_the_same_date_is_done_once(shop: Engine) -> None:
    _enrol(shop, first_date=TODAY, every=7, unit="days")
    assert not run_midnight(shop, TODAY).already_done
    before = _counts(shop)
    _open_invoice(shop)
    again = run_midnight(shop, TODAY)
    assert again.already_done
    assert (again.invoices, again.charges) == ((), ())
    assert _counts(shop) == [before[0] + 1, *before[1:]]
    assert run_midnight(shop, TODAY + timedelta(days=1)).charges[0].amount == 5000


def test_an_earlier_date_is_refused(shop: Engine) -> None:
    run_midnight(shop, TODAY)
    with pytest.raises(BillingRuleError, match="cannot be done after"):
        run_midnight(shop, TODAY - timedelta(days=1))


def test_missed_days_are_made_up_under_their_own_dates_and_charged_together(shop: Engine) -> None:
    _enrol(shop, first_date=TODAY - timedelta(days=15), every=7, unit="days")
    result = run_midnight(shop, TODAY)
    assert [made.invoice_date for made in result.invoices] == ["2026-02-23", "2026-03-02", "2026-03-09"]
    assert [(charge.amount, charge.invoices) for charge in result.charges] == [(22500, ("100", "101", "102"))]


def test_a_profile_ends_after_its_count(shop: Engine) -> None:
    _enrol(shop, first_date=TODAY - timedelta(days=100), every=1, unit="days", count=2)
    assert len(run_midnight(shop, TODAY).invoices) == 2
    assert run_midnight(shop, TODAY + timedelta(days=1)).invoices == ()


def test_everything_open_is_charged_once_per_customer(shop: Engine) -> None:
    _enrol(shop)
    numbers = (_open_invoice(shop), _open_invoice(shop, 700))
    assert run_midnight(shop, TODAY).charges == (MadeCharge("Garden Center", "card", 5700, numbers),)


def test_nobody_else_is_charged(shop: Engine) -> None:
    _open_invoice(shop)
    assert run_midnight(shop, TODAY).charges == ()
    _enrol(shop, first_date=TODAY, every=1, unit="days")
    with transaction(shop) as session:
        ledger.inactivate(session, session.scalars(select(Customer)).one())
    result = run_midnight(shop, TODAY + timedelta(days=1))
    assert (result.invoices, result.charges) == ((), ())


def test_what_a_refund_reopens_is_charged_again(shop: Engine) -> None:
    _enrol(shop)
    _open_invoice(shop)
    run_midnight(shop, TODAY)
    with transaction(shop) as session:
        payment, invoice = session.scalars(select(Payment)).one(), session.scalars(select(Invoice)).one()
        ledger.refund(session, payment, invoice, amount=2000, on=TODAY, reopen=True)
    assert run_midnight(shop, TODAY + timedelta(days=1)).charges[0].amount == 2000


@given(
    st.dates(date(2024, 1, 1), date(2040, 12, 31)), st.integers(1, 400), st.sampled_from(["days", "months", "years"])
)
def test_occurrences_come_in_order_and_never_drift(first: date, every: int, unit: str) -> None:
    days = [occurrence_date(first, every, unit, n) for n in range(1, 6)]
    assert days[0] == first
    assert days == sorted(set(days))
    if unit != "days":
        assert all(day.day == min(first.day, day.day) and (day.day == first.day or day.day >= 28) for day in days)


def test_month_ends_come_back_to_their_day() -> None:
    days = [occurrence_date(date(2026, 1, 31), 1, "months", n) for n in (1, 2, 3)]
    assert days == [date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31)]
    assert occurrence_date(date(2024, 2, 29), 1, "years", 2) == date(2025, 2, 28)
