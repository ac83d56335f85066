"""A working day in ReliaBills: one function per event, each told in a sentence.

People are named by their account name, invoices by their number, amounts and prices are decimal texts: as a person
types them. Every function is one transaction and raises
:class:`~reconcile.sandbox.billing.ledger.BillingRuleError` when ReliaBills does not allow it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Engine, select

from reconcile.model.money import from_scaled, show, to_minor, to_scaled
from reconcile.sandbox.billing import ledger
from reconcile.sandbox.billing.database import transaction
from reconcile.sandbox.billing.ledger import BillingRuleError, LineDraft, Terms
from reconcile.sandbox.billing.schema import BillingSession, Customer, Invoice, Payment, Product, TaxRate


def new_customer(engine: Engine, **details: Any) -> str:
    """Staff enters a customer; ``details`` are columns of the customers table."""
    with transaction(engine) as session:
        customer = ledger.add_customer(session, **details)
        return f"{customer.name} is a new customer in ReliaBills."


def edit_in_portal(engine: Engine, customer: str, **changes: str | None) -> str:
    """A customer edits own details in the portal, ``phone`` and ``email`` for instance."""
    with transaction(engine) as session:
        ledger.portal_edit(session, _customer(session, customer), **changes)
        told = " and ".join(f"{name.replace('_', ' ')} to {value}" for name, value in changes.items())
        return f"{customer} changes {told} in the portal."


def edit_customer(engine: Engine, customer: str, **changes: Any) -> str:
    """Staff edits a customer; also enrols in auto pay (``auto_pay="card"``)."""
    with transaction(engine) as session:
        ledger.edit_customer(session, _customer(session, customer), **changes)
        told = " and ".join(f"{name.replace('_', ' ')} to {value}" for name, value in changes.items())
        return f"{customer} is edited in ReliaBills: {told}."


def inactivate_customer(engine: Engine, customer: str) -> str:
    """Staff makes a customer inactive."""
    with transaction(engine) as session:
        ledger.inactivate(session, _customer(session, customer))
        return f"{customer} is made inactive in ReliaBills."


def activate_customer(engine: Engine, customer: str) -> str:
    """Staff makes a customer active again."""
    with transaction(engine) as session:
        ledger.activate(session, _customer(session, customer))
        return f"{customer} is active again in ReliaBills."


def new_product(engine: Engine, name: str, price: str, *, taxable: bool = False, description: str | None = None) -> str:
    """Staff enters a product."""
    with transaction(engine) as session:
        ledger.add_product(session, name=name, unit_price=to_scaled(price), taxable=taxable, description=description)
        return f"{name} is a new product in ReliaBills, at {price}."


def change_price(engine: Engine, product: str, price: str) -> str:
    """Staff changes a price."""
    with transaction(engine) as session:
        found = _product(session, product)
        before = "no price" if found.unit_price is None else str(from_scaled(found.unit_price))
        ledger.change_price(session, found, to_scaled(price))
        return f"{product} costs {price} in ReliaBills from now on (before: {before})."


def new_tax_rate(engine: Engine, name: str, percent: str, agency: str | None) -> str:
    """Staff enters a tax rate."""
    with transaction(engine) as session:
        ledger.add_tax_rate(session, name, to_scaled(percent), agency)
        return f"{name}, {percent} percent, is a new tax rate in ReliaBills."


def new_invoice(  # an invoice has as many facts; all but three are named at the call
    engine: Engine,
    customer: str,
    lines: Sequence[tuple[str, str, str]],
    *,
    on: date,
    tax_rate: str | None = None,
    days_to_pay: int = 30,
    number: str | None = None,
    memo: str | None = None,
) -> str:
    """Staff writes an invoice; lines are product, quantity, price, and taxable as their products when there is a rate.

    The number is the next free one unless it is given; :func:`last_invoice_number` tells it.
    """
    with transaction(engine) as session:
        drafts = []
        for name, quantity, price in lines:
            product = _product(session, name)
            taxable = product.taxable and tax_rate is not None
            drafts.append(LineDraft(product, None, to_scaled(quantity), to_scaled(price), taxable=taxable))
        rate = None
        if tax_rate is not None:
            rate = session.scalars(select(TaxRate).where(TaxRate.name == tax_rate)).first()
            if rate is None:
                raise BillingRuleError(f"ReliaBills has no tax rate {tax_rate!r}.")
        invoice = ledger.new_invoice(
            session,
            _customer(session, customer),
            invoice_date=on,
            due_date=on + timedelta(days=days_to_pay),
            lines=drafts,
            terms=Terms(tax_rate=rate),
            number=number,
            memo=memo,
        )
        return f"Invoice {invoice.number} over {_money(session, invoice.total)} is written to {customer} in ReliaBills."


def last_invoice_number(engine: Engine) -> str:
    """The number of the invoice saved last."""
    with transaction(engine) as session:
        number = session.scalars(select(Invoice.number).order_by(Invoice.id.desc())).first()
        if number is None:
            raise BillingRuleError("ReliaBills has no invoice yet.")
        return number


def edit_invoice(engine: Engine, number: str, **changes: str | None) -> str:
    """Staff edits ``memo``, ``due_date`` or ``invoice_date`` of an invoice."""
    with transaction(engine) as session:
        ledger.edit_invoice(session, _invoice(session, number), changes)
        told = " and ".join(f"{name.replace('_', ' ')} to {value}" for name, value in changes.items())
        return f"Invoice {number} is edited in ReliaBills: {told}."


def void_invoice(engine: Engine, number: str) -> str:
    """Staff voids an invoice."""
    with transaction(engine) as session:
        ledger.void_invoice(session, _invoice(session, number))
        return f"Invoice {number} is voided in ReliaBills."


def take_payment(  # a payment has as many facts; all but two are named at the call
    engine: Engine,
    applied: Mapping[str, str],
    *,
    on: date,
    method: str = "card",
    online: bool = True,
    reference: str | None = None,
    unapplied: str = "0",
) -> str:
    """A customer pays: amounts by invoice number, in part or in full, one payment for several invoices as well.

    ``online`` payments are processed by ReliaBills, others only recorded; ``unapplied`` comes on top.
    """
    with transaction(engine) as session:
        currency = ledger.settings(session).currency
        parts = {_invoice(session, number): to_minor(amount, currency) for number, amount in applied.items()}
        if not parts:
            raise BillingRuleError("Say which invoices are paid.")
        customer = next(iter(parts)).customer
        payment = ledger.take_payment(
            session,
            customer,
            payment_date=on,
            amount=sum(parts.values()) + to_minor(unapplied, currency),
            applied=parts,
            method=method,
            kind="online" if online else "offline",
            reference=reference,
        )
        paid = " and ".join(f"{one.number} {'in part' if one.balance else 'in full'}" for one in parts)
        how = f"online by {method}" if online else f"by {method}"
        return f"{customer.name} pays {_money(session, payment.amount)} {how}: invoice {paid}."


def refund(engine: Engine, number: str, amount: str, *, on: date, reopen: bool) -> str:
    """Staff refunds the latest payment of an invoice, in part or in full, and re-opens or closes the invoice."""
    with transaction(engine) as session:
        invoice = _invoice(session, number)
        payment = session.scalars(
            select(Payment)
            .where(Payment.applications.any(invoice_id=invoice.id), Payment.state == "received")
            .order_by(Payment.id.desc())
        ).first()
        if payment is None:
            raise BillingRuleError(f"Nothing was paid on invoice {number}.")
        minor = to_minor(amount, ledger.settings(session).currency)
        ledger.refund(session, payment, invoice, amount=minor, on=on, reopen=reopen)
        what = "re-opened" if reopen else "closed"
        return f"{_money(session, minor)} of invoice {number} is refunded in ReliaBills and the invoice {what}."


def _money(session: BillingSession, minor: int) -> str:
    return show(minor, ledger.settings(session).currency)


def _customer(session: BillingSession, name: str) -> Customer:
    found = session.scalars(select(Customer).where(Customer.account_name == name)).all()
    if len(found) != 1:
        raise BillingRuleError(f"ReliaBills has {len(found) or 'no'} customers with the account name {name!r}.")
    return found[0]


def _product(session: BillingSession, name: str) -> Product:
    found = session.scalars(select(Product).where(Product.name == name)).first()
    if found is None:
        raise BillingRuleError(f"ReliaBills has no product {name!r}.")
    return found


def _invoice(session: BillingSession, number: str) -> Invoice:
    found = session.scalars(select(Invoice).where(Invoice.number == number)).first()
    if found is None:
        raise BillingRuleError(f"ReliaBills has no invoice {number}.")
    return found
