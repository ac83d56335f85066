"""What QuickBooks can hold of an invoice or payment: asked before anything is written, so that nothing is half right.

QuickBooks has one discount per invoice, a percentage or an amount, taken before or after tax; ReliaBills has three
kinds. A discount goes across only where QuickBooks' own tax then comes to the tax that ReliaBills works out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconcile.model.entities import Entity, Side
from reconcile.model.rows import NO_ROWS, rows_from_text
from reconcile.model.totals import proportional_share

NEVER_BLANK: Mapping[Side, Mapping[Entity, frozenset[str]]] = {
    Side.BOOKS: {
        Entity.CUSTOMER: frozenset({"display_name"}),
        Entity.PRODUCT: frozenset({"name", "unit_price"}),
        Entity.INVOICE: frozenset({"invoice_date", "due_date"}),
        Entity.PAYMENT: frozenset({"payment_date"}),
    },
    Side.BILLING: {
        Entity.CUSTOMER: frozenset({"given_name", "family_name", "email"}),
        Entity.PRODUCT: frozenset({"name"}),
        Entity.TAX_RATE: frozenset({"name", "percent"}),
        Entity.INVOICE: frozenset({"invoice_date"}),
        Entity.PAYMENT: frozenset({"payment_date"}),
    },
}
"""What a side cannot be without once it has it (ReliaBills, "Customers"; API file 4.1 to 4.9)."""

_ADDRESS = r"[^@,;\s]+@[^@,;\s]+"
SHAPES: Mapping[Side, Mapping[tuple[Entity, str], tuple[str, str]]] = {
    Side.BOOKS: {
        (Entity.PAYMENT, "reference"): (r"(?s:.{0,21})", "keeps at most 21 characters"),
    },
    Side.BILLING: {
        (Entity.CUSTOMER, "email"): (_ADDRESS, "takes exactly one e-mail address"),
        (Entity.CUSTOMER, "more_emails"): (
            rf"{_ADDRESS}(,{_ADDRESS})*",
            "takes e-mail addresses separated by commas, without spaces",
        ),
    },
}
"""What a text must look like to be stored on a side: a regular expression, and what the side does in words."""


@dataclass(frozen=True, slots=True)
class BooksDiscount:
    """The one discount of a QuickBooks invoice.

    Attributes:
        percent: ten-millionths of a percent, for a percentage; else ``None``.
        amount: minor units, for an amount; else ``None``.
        before_tax: QuickBooks' ``ApplyTaxAfterDiscount``: the discount lowers what is taxed.
    """

    percent: int | None
    amount: int | None
    before_tax: bool


def books_discount(lines: Sequence[Mapping[str, Any]], discounts: Mapping[str, int | None]) -> BooksDiscount | None:
    """The QuickBooks discount under which tax falls on the taxable part less the discount off it.

    Args:
        lines: invoice lines with ``amount`` (minor units) and ``taxable``.
        discounts: ``discount_percent`` (ten-millionths), ``discount_taxable``, ``discount_nontaxable`` (minor units).

    Returns:
        The discount, one of 0 when there is none at all; ``None`` when QuickBooks cannot express it.
    """
    percent = discounts.get("discount_percent") or 0
    off_taxable, off_rest = discounts.get("discount_taxable") or 0, discounts.get("discount_nontaxable") or 0
    taxable = sum(line["amount"] or 0 for line in lines if line["taxable"])
    rest = sum(line["amount"] or 0 for line in lines if not line["taxable"])
    amount = off_taxable + off_rest
    if percent:
        return None if amount else BooksDiscount(percent, None, before_tax=True)
    if not any(line["taxable"] for line in lines):
        return None if off_taxable else BooksDiscount(None, amount, before_tax=True)
    if off_taxable == proportional_share(amount, taxable, taxable + rest):
        return BooksDiscount(None, amount, before_tax=True)
    if not off_taxable and amount <= rest:
        return BooksDiscount(None, amount, before_tax=False)
    return None


def why_not_in_books(entity: Entity, values: Mapping[str, Any]) -> str:
    """Why QuickBooks cannot hold an invoice or payment with these values, as a clause; empty when it can.

    Args:
        entity: kind of record.
        values: canonical values of the whole record, child rows as canonical text.
    """
    if entity is Entity.PAYMENT:
        settled_by_credit = (values.get("credit") or 0) or values.get("method") == "credit"
        return "it is settled by a credit, and credits are not carried to QuickBooks" if settled_by_credit else ""
    if entity is not Entity.INVOICE:
        return ""
    lines = rows_from_text(entity, values.get("lines") or NO_ROWS)
    typed_in = [line for line in lines if line["product_id"] is None and line["amount"]]
    if typed_in:
        name = typed_in[0]["description"] or "without a description"
        return f"its line {name!r} has an amount but no product, and QuickBooks needs one"
    if books_discount(lines, values) is None:
        return "its discount has no form in QuickBooks that gives the same tax"
    return ""


def remedy_in_books(entity: Entity) -> str:
    """What to do about a record that QuickBooks cannot hold."""
    return {
        Entity.INVOICE: "Choose a product for the line, or express the discount otherwise, in ReliaBills; or enter the "
        "invoice in QuickBooks by hand under the same number, so that the two are linked.",
        Entity.PAYMENT: "Enter the credit memo in QuickBooks and apply it to the same invoices; both are then linked.",
    }[entity]
