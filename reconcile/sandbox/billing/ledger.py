"""All that ReliaBills' own users can do, with its rules: the one place where totals, balances and states are set.

Every function works in a session of the caller's (:func:`~reconcile.sandbox.billing.database.transaction`). Money is
minor units; prices, quantities and percents are ten-millionths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import func, select

from reconcile.errors import ReconcileError
from reconcile.model.money import ONE, line_amount, show
from reconcile.model.totals import TotalsError, invoice_standing, invoice_totals, unapplied
from reconcile.sandbox.billing.schema import (
    BillingSession,
    Customer,
    Delivery,
    Invoice,
    InvoiceLine,
    Payment,
    PaymentApplication,
    PortalEdit,
    Product,
    RecurringLine,
    RecurringProfile,
    Refund,
    Settings,
    TaxRate,
)

MOST_DIGITS = 21
PORTAL_FIELDS = (
    "first_name",
    "last_name",
    "company_name",
    "email",
    "further_emails",
    "phone",
    "address",
    "address2",
    "city",
    "region",
    "postal_code",
    "country",
)
"""What customers may edit about themselves in the portal."""

_REQUIRED = ("first_name", "last_name", "email")
_CHANGEABLE = {*PORTAL_FIELDS, "account_name", "mail_preference", "active", "taxable", "auto_pay"}
_PERCENT = 100 * ONE


class BillingRuleError(ReconcileError):
    """ReliaBills does not allow it; nothing is changed."""


@dataclass(frozen=True, slots=True)
class LineDraft:
    """A line as it is typed: with quantity and price the amount follows, else ``amount`` stands for itself."""

    product: Product | None = None
    description: str | None = None
    quantity: int | None = None
    unit_price: int | None = None
    amount: int | None = None
    taxable: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """What besides its lines decides what an invoice comes to."""

    tax_rate: TaxRate | None = None
    discount_percent: int | None = None
    discount_taxable: int | None = None
    discount_nontaxable: int | None = None


NO_TERMS = Terms()


# customers, products, tax rates ---------------------------------------------------------------------------------------


def add_customer(session: BillingSession, **details: Any) -> Customer:
    """Enter a customer; ``details`` are columns of the table.

    Raises:
        BillingRuleError: first name, last name or the one primary e-mail address is missing or wrong.
    """
    _check_customer(details, "The new customer")
    customer = Customer(**details)
    session.add(customer)
    session.flush()
    return customer


def edit_customer(session: BillingSession, customer: Customer, **changes: Any) -> None:
    """Change a customer's details, as staff does.

    Raises:
        BillingRuleError: a required detail would be missing or wrong, or cannot be changed.
    """
    if unknown := set(changes) - _CHANGEABLE:
        raise BillingRuleError(f"{', '.join(sorted(unknown))} of a customer cannot be edited.")
    _check_customer({name: getattr(customer, name) for name in (*_REQUIRED, "further_emails")} | changes, customer.name)
    for name, value in changes.items():
        setattr(customer, name, value)
    session.flush()


def portal_edit(session: BillingSession, customer: Customer, **changes: str | None) -> None:
    """Change a customer's details as the customer does in the portal; each changed field is logged.

    Raises:
        BillingRuleError: not a field of the portal, or a required detail would be missing or wrong.
    """
    if unknown := set(changes) - set(PORTAL_FIELDS):
        raise BillingRuleError(f"The portal does not show {', '.join(sorted(unknown))}.")
    if not customer.active:
        raise BillingRuleError(f"{customer.name} is inactive and cannot use the portal.")
    edited_at = datetime.now(UTC).isoformat(timespec="microseconds")
    for field, after in changes.items():
        before = getattr(customer, field)
        session.add(PortalEdit(customer_id=customer.id, field=field, before=before, after=after, edited_at=edited_at))
    edit_customer(session, customer, **changes)


def inactivate(session: BillingSession, customer: Customer) -> None:
    """Make a customer inactive: no more invoices, no more automatic charges."""
    edit_customer(session, customer, active=False)


def activate(session: BillingSession, customer: Customer) -> None:
    """Make an inactive customer active again."""
    edit_customer(session, customer, active=True)


def _check_customer(details: Mapping[str, Any], who: str) -> None:
    missing = [name.replace("_", " ") for name in _REQUIRED if not details.get(name)]
    if missing:
        raise BillingRuleError(f"{who} lacks what ReliaBills requires: {', '.join(missing)}.")
    further = (details.get("further_emails") or "").split(",") if details.get("further_emails") else []
    for address in (details["email"], *further):
        if address.count("@") != 1 or any(sign in address for sign in ",; \t\n"):
            raise BillingRuleError(f"{who}: {address!r} is not one e-mail address.")


def add_product(session: BillingSession, **details: Any) -> Product:
    """Enter a product; ``details`` are columns of the table.

    Raises:
        BillingRuleError: it has no name.
    """
    if not details.get("name"):
        raise BillingRuleError("A product needs a name.")
    product = Product(**details)
    session.add(product)
    session.flush()
    return product


def change_price(session: BillingSession, product: Product, unit_price: int) -> None:
    """Set the price of a product (ten-millionths) for invoices to come."""
    product.unit_price = unit_price
    session.flush()


def add_tax_rate(session: BillingSession, name: str, percent: int, agency: str | None) -> TaxRate:
    """Enter a tax rate; ``percent`` in ten-millionths.

    Raises:
        BillingRuleError: it has no name, or lies outside 0 to 100 percent.
    """
    if not name or not 0 <= percent <= _PERCENT:
        raise BillingRuleError("A tax rate needs a name and lies between 0 and 100 percent.")
    rate = TaxRate(name=name, percent=percent, agency=agency)
    session.add(rate)
    session.flush()
    return rate


# invoices -------------------------------------------------------------------------------------------------------------


def settings(session: BillingSession) -> Settings:
    """The company's settings."""
    return session.scalars(select(Settings)).one()


def next_number(session: BillingSession) -> str:
    """The next free invoice number, counting up by one; a number already used is skipped."""
    own = settings(session)
    while session.scalar(select(Invoice.id).where(Invoice.number == str(own.next_invoice_number))) is not None:
        own.next_invoice_number += 1
    number = str(own.next_invoice_number)
    own.next_invoice_number += 1
    return number


def new_invoice(  # noqa: PLR0913  # an invoice has as many facts; all but two are named at the call
    session: BillingSession,
    customer: Customer,
    *,
    invoice_date: date,
    due_date: date | None,
    lines: Sequence[LineDraft],
    terms: Terms = NO_TERMS,
    number: str | None = None,
    memo: str | None = None,
    origin: str = "manual",
) -> Invoice:
    """Write and save an invoice; without ``number`` it gets the next free one.

    Raises:
        BillingRuleError: the customer is inactive, the number is no number or taken, or the totals are impossible.
    """
    if not customer.active:
        raise BillingRuleError(f"{customer.name} is inactive; only active customers can be invoiced.")
    number = next_number(session) if number is None else number
    if not (number.isascii() and number.isdigit() and len(number) <= MOST_DIGITS):
        raise BillingRuleError(f"{number!r} is no invoice number: digits only, at most {MOST_DIGITS}.")
    if session.scalar(select(Invoice.id).where(Invoice.number == number)) is not None:
        raise BillingRuleError(f"There is an invoice {number} already.")
    invoice = Invoice(
        number=number,
        customer=customer,
        invoice_date=invoice_date.isoformat(),
        due_date=due_date.isoformat() if due_date else None,
        memo=memo,
        origin=origin,
        amount_paid=0,
        state="open",
    )
    _set_terms(invoice, terms)
    _set_lines(session, invoice, lines)
    _compute(invoice)
    session.add(invoice)
    session.flush()
    return invoice


def edit_invoice(
    session: BillingSession,
    invoice: Invoice,
    changes: Mapping[str, str | None],
    *,
    lines: Sequence[LineDraft] | None = None,
    terms: Terms | None = None,
) -> None:
    """Change an invoice; ``changes`` are ``invoice_date``, ``due_date`` (ISO) and ``memo``. The number never changes.

    Raises:
        BillingRuleError: it is void, the field cannot be changed, or more is paid than it would come to.
    """
    if invoice.state == "void":
        raise BillingRuleError(f"Invoice {invoice.number} is void.")
    if unknown := set(changes) - {"invoice_date", "due_date", "memo"}:
        raise BillingRuleError(f"{', '.join(sorted(unknown))} of a saved invoice cannot be changed.")
    for name, value in changes.items():
        setattr(invoice, name, value)
    if terms is not None:
        _set_terms(invoice, terms)
    if lines is not None:
        invoice.lines.clear()
        session.flush()  # the old lines leave their positions before the new ones take them
        _set_lines(session, invoice, lines)
    _compute(invoice)
    session.flush()


def void_invoice(session: BillingSession, invoice: Invoice) -> None:
    """Void an invoice; it keeps its lines and totals, and owes nothing.

    Raises:
        BillingRuleError: payments are applied to it.
    """
    if invoice.amount_paid or _applied(session, invoice):
        raise BillingRuleError(f"Invoice {invoice.number} has payments; void or refund them first.")
    invoice.state, invoice.balance = "void", 0
    session.flush()


def deliver(session: BillingSession, invoice: Invoice, on: date) -> Delivery:
    """Send an invoice to its customer: by post to those who prefer paper, else to all their e-mail addresses."""
    customer = invoice.customer
    by_post = customer.mail_preference == "paper"
    postal = (customer.address, customer.address2, customer.city, customer.region, customer.postal_code)
    emails = (customer.email, customer.further_emails)
    delivery = Delivery(
        invoice_id=invoice.id,
        delivery_date=on.isoformat(),
        channel="post" if by_post else "email",
        address=", ".join(filter(None, postal)) if by_post else ",".join(filter(None, emails)),
    )
    session.add(delivery)
    session.flush()
    return delivery


def _set_terms(invoice: Invoice, terms: Terms) -> None:
    invoice.tax_rate_id = terms.tax_rate.id if terms.tax_rate else None
    invoice.tax_percent = terms.tax_rate.percent if terms.tax_rate else None
    invoice.discount_percent = terms.discount_percent or None
    invoice.discount_taxable = terms.discount_taxable or None
    invoice.discount_nontaxable = terms.discount_nontaxable or None


def _set_lines(session: BillingSession, invoice: Invoice, lines: Sequence[LineDraft]) -> None:
    currency = settings(session).currency
    for position, line in enumerate(lines, start=1):
        amount = line.amount or 0
        if line.quantity is not None and line.unit_price is not None:
            amount = line_amount(line.quantity, line.unit_price, currency)
        invoice.lines.append(
            InvoiceLine(
                position=position,
                product_id=line.product.id if line.product else None,
                description=line.description or (line.product.description if line.product else None),
                quantity=line.quantity,
                unit_price=line.unit_price,
                amount=amount,
                taxable=line.taxable,
            )
        )


def _compute(invoice: Invoice) -> None:
    try:
        totals = invoice_totals(
            [(line.amount, line.taxable) for line in invoice.lines],
            tax_percent=invoice.tax_percent,
            discount_percent=invoice.discount_percent,
            discount_taxable=invoice.discount_taxable,
            discount_nontaxable=invoice.discount_nontaxable,
        )
    except TotalsError as error:
        raise BillingRuleError(f"Invoice {invoice.number} {error}.") from error
    invoice.subtotal, invoice.discount = totals.subtotal, totals.discount
    invoice.tax, invoice.total = totals.tax, totals.total
    _stand(invoice, invoice.amount_paid, closed=invoice.state == "closed")


def _stand(invoice: Invoice, paid: int, *, closed: bool) -> None:
    try:
        standing = invoice_standing(invoice.total, paid, void=invoice.state == "void", closed=closed)
    except TotalsError as error:
        raise BillingRuleError(f"Invoice {invoice.number} {error} ({show(invoice.total)}).") from error
    invoice.amount_paid, invoice.balance, invoice.state = paid, standing.balance, standing.state


# payments -------------------------------------------------------------------------------------------------------------


def take_payment(  # noqa: PLR0913  # a payment has as many facts; all but two are named at the call
    session: BillingSession,
    customer: Customer,
    *,
    payment_date: date,
    amount: int,
    applied: Mapping[Invoice, int],
    method: str,
    kind: str = "offline",
    credit: int = 0,
    reference: str | None = None,
) -> Payment:
    """Take or record a payment: ``online`` is processed here, ``offline`` only recorded, ``credit`` settles by credits.

    Raises:
        BillingRuleError: it is nothing, applies more than it has or than an invoice is owed, or an invoice is void or
            closed.
    """
    if amount < 0 or credit < 0 or amount + credit == 0:
        raise BillingRuleError("A payment (with its credits) must be more than nothing.")
    payment = Payment(
        customer=customer,
        payment_date=payment_date.isoformat(),
        amount=amount,
        credit=credit,
        unapplied=_rest(amount, credit, applied),
        method=method,
        reference=reference,
        kind=kind,
        external_id=uuid4().hex if kind == "online" else None,
    )
    for invoice, part in applied.items():
        if invoice.state in {"void", "closed"}:
            raise BillingRuleError(f"Invoice {invoice.number} is {invoice.state}; nothing can be applied to it.")
        payment.applications.append(PaymentApplication(invoice_id=invoice.id, amount=part))
        _stand(invoice, invoice.amount_paid + part, closed=False)
    session.add(payment)
    session.flush()
    return payment


def void_payment(session: BillingSession, payment: Payment) -> None:
    """Void a recorded payment; the invoices it paid are open again.

    Raises:
        BillingRuleError: it was processed online, refunded, or is void already.
    """
    if payment.kind == "online" or payment.state == "void" or _refunded(session, payment):
        raise BillingRuleError("Only a recorded payment that was not refunded can be voided.")
    for application in list(payment.applications):
        invoice = session.get_one(Invoice, application.invoice_id)
        _stand(invoice, invoice.amount_paid - application.amount, closed=invoice.state == "closed")
    payment.applications.clear()
    payment.state, payment.unapplied = "void", 0
    session.flush()


def refund(  # whom, what, how much, when, and what becomes of the invoice
    session: BillingSession, payment: Payment, invoice: Invoice, *, amount: int, on: date, reopen: bool
) -> Refund:
    """Give money back for one invoice, which is then re-opened (auto pay charges it again) or closed.

    Raises:
        BillingRuleError: more than this payment paid on this invoice.
    """
    paid = sum(part.amount for part in payment.applications if part.invoice_id == invoice.id)
    before = session.scalar(
        select(func.sum(Refund.amount)).where(Refund.payment_id == payment.id, Refund.invoice_id == invoice.id)
    )
    if not 0 < amount <= paid - int(before or 0):
        raise BillingRuleError(f"{show(amount)} cannot be refunded on invoice {invoice.number}: {show(paid)} was paid.")
    given = Refund(
        payment_id=payment.id,
        invoice_id=invoice.id,
        refund_date=on.isoformat(),
        amount=amount,
        outcome="reopen" if reopen else "close",
    )
    session.add(given)
    _stand(invoice, invoice.amount_paid - amount, closed=not reopen)
    payment.updated_at = given.updated_at = datetime.now(UTC).isoformat(timespec="microseconds")
    session.flush()
    return given


def _rest(amount: int, credit: int, applied: Mapping[Invoice, int]) -> int:
    try:
        return unapplied(amount, credit, applied.values())
    except TotalsError as error:
        raise BillingRuleError(f"This payment {error}.") from error


def _applied(session: BillingSession, invoice: Invoice) -> int:
    return int(
        session.scalar(select(func.sum(PaymentApplication.amount)).where(PaymentApplication.invoice_id == invoice.id))
        or 0
    )


def _refunded(session: BillingSession, payment: Payment) -> int:
    return int(session.scalar(select(func.sum(Refund.amount)).where(Refund.payment_id == payment.id)) or 0)


# recurring invoices ---------------------------------------------------------------------------------------------------


def add_recurring_profile(  # noqa: PLR0913  # a profile has as many facts; all but two are named at the call
    session: BillingSession,
    customer: Customer,
    *,
    first_date: date,
    every: int,
    unit: str,
    lines: Sequence[LineDraft],
    days_to_pay: int = 30,
    count: int | None = None,
    tax_rate: TaxRate | None = None,
    memo: str | None = None,
) -> RecurringProfile:
    """Have the midnight job make an invoice every so many days, months or years, ``count`` times or without end.

    Raises:
        BillingRuleError: the interval is none, or a line has no quantity and price.
    """
    if every < 1 or unit not in {"days", "months", "years"}:
        raise BillingRuleError("A recurring profile repeats every 1 or more days, months or years.")
    profile = RecurringProfile(
        customer=customer,
        first_date=first_date.isoformat(),
        days_to_pay=days_to_pay,
        every=every,
        unit=unit,
        count=count,
        tax_rate_id=tax_rate.id if tax_rate else None,
        memo=memo,
    )
    for position, line in enumerate(lines, start=1):
        if line.quantity is None or line.unit_price is None:
            raise BillingRuleError("Every line of a recurring profile needs quantity and price.")
        profile.lines.append(
            RecurringLine(
                position=position,
                product_id=line.product.id if line.product else None,
                description=line.description or (line.product.description if line.product else None),
                quantity=line.quantity,
                unit_price=line.unit_price,
                taxable=line.taxable,
            )
        )
    session.add(profile)
    session.flush()
    return profile
