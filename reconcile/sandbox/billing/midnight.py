"""ReliaBills' midnight job: recurring invoices are made and delivered, then auto pay is charged. Once per date."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import Engine, func, select

from reconcile.sandbox.billing.database import transaction
from reconcile.sandbox.billing.ledger import (
    BillingRuleError,
    LineDraft,
    Terms,
    deliver,
    new_invoice,
    take_payment,
)
from reconcile.sandbox.billing.schema import (
    BillingSession,
    Charge,
    Customer,
    Invoice,
    MidnightRun,
    Product,
    RecurringProfile,
    TaxRate,
)


@dataclass(frozen=True, slots=True)
class MadeInvoice:
    """A recurring invoice that was made and delivered; ``total`` in minor units."""

    number: str
    customer: str
    invoice_date: str
    total: int
    delivered_by: str


@dataclass(frozen=True, slots=True)
class MadeCharge:
    """An automatic charge; ``amount`` in minor units, ``invoices`` are the numbers it paid."""

    customer: str
    instrument: str
    amount: int
    invoices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MidnightResult:
    """What the job did; ``already_done`` when it had run for this date before and so did nothing."""

    run_date: str
    already_done: bool
    invoices: tuple[MadeInvoice, ...] = ()
    charges: tuple[MadeCharge, ...] = ()


def run_midnight(engine: Engine, run_date: date) -> MidnightResult:
    """Do the job of the night that begins ``run_date``, in one transaction.

    Every occurrence due by then is made, several of a profile when days were missed, each under its own date. Then
    each active auto-pay customer is charged once for all open balances. A date that is done is left alone.

    Raises:
        BillingRuleError: a later date is done already.
    """
    with transaction(engine) as session:
        latest = session.scalar(select(func.max(MidnightRun.run_date)))
        day = run_date.isoformat()
        if latest is not None and latest > day:
            raise BillingRuleError(f"The midnight job of {latest} is done; {day} cannot be done after it.")
        if latest == day:
            return MidnightResult(day, already_done=True)
        session.add(MidnightRun(run_date=day))
        session.flush()
        invoices = tuple(_make_invoices(session, run_date))
        return MidnightResult(day, already_done=False, invoices=invoices, charges=tuple(_charge(session, run_date)))


def occurrence_date(first: date, every: int, unit: str, occurrence: int) -> date:
    """The date of the n-th occurrence, from 1; months and years keep the first day, or end with a shorter month."""
    steps = every * (occurrence - 1)
    if unit == "days":
        return first + timedelta(days=steps)
    months = first.month - 1 + steps * (12 if unit == "years" else 1)
    year, month = first.year + months // 12, months % 12 + 1
    return date(year, month, min(first.day, calendar.monthrange(year, month)[1]))


def _make_invoices(session: BillingSession, run_date: date) -> Iterator[MadeInvoice]:
    profiles = session.scalars(
        select(RecurringProfile)
        .join(Customer)
        .where(RecurringProfile.active, Customer.active)
        .order_by(RecurringProfile.id)
    ).all()
    for profile in profiles:
        while profile.count is None or profile.made < profile.count:
            first = date.fromisoformat(profile.first_date)
            due = occurrence_date(first, profile.every, profile.unit, profile.made + 1)
            if due > run_date:
                break
            invoice = _make_invoice(session, profile, due)
            delivery = deliver(session, invoice, run_date)
            yield MadeInvoice(
                invoice.number, profile.customer.name, invoice.invoice_date, invoice.total, delivery.channel
            )


def _make_invoice(session: BillingSession, profile: RecurringProfile, day: date) -> Invoice:
    rate = session.get_one(TaxRate, profile.tax_rate_id) if profile.tax_rate_id else None
    invoice = new_invoice(
        session,
        profile.customer,
        invoice_date=day,
        due_date=day + timedelta(days=profile.days_to_pay),
        lines=[
            LineDraft(
                product=session.get_one(Product, line.product_id) if line.product_id else None,
                description=line.description,
                quantity=line.quantity,
                unit_price=line.unit_price,
                taxable=line.taxable,
            )
            for line in profile.lines
        ],
        terms=Terms(tax_rate=rate),
        memo=profile.memo,
        origin="recurring",
    )
    profile.made += 1
    profile.last_invoice = invoice.number
    invoice.profile_id, invoice.occurrence = profile.id, profile.made
    session.flush()
    return invoice


def _charge(session: BillingSession, run_date: date) -> Iterator[MadeCharge]:
    enrolled = session.scalars(
        select(Customer).where(Customer.active, Customer.auto_pay.is_not(None)).order_by(Customer.id)
    ).all()
    for customer in enrolled:
        due = session.scalars(
            select(Invoice)
            .where(Invoice.customer_id == customer.id, Invoice.state == "open", Invoice.balance > 0)
            .order_by(Invoice.invoice_date, Invoice.id)
        ).all()
        amount = sum(invoice.balance for invoice in due)
        if not amount or customer.auto_pay is None:
            continue
        payment = take_payment(
            session,
            customer,
            payment_date=run_date,
            amount=amount,
            applied={invoice: invoice.balance for invoice in due},
            method=customer.auto_pay,
            kind="online",
        )
        session.add(
            Charge(
                customer_id=customer.id,
                charge_date=run_date.isoformat(),
                amount=amount,
                instrument=customer.auto_pay,
                payment_id=payment.id,
            )
        )
        session.flush()
        yield MadeCharge(customer.name, customer.auto_pay, amount, tuple(invoice.number for invoice in due))
