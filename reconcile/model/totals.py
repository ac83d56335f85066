"""What an invoice comes to and where it stands: ReliaBills' own arithmetic, in one place and pure.

ReliaBills knows three discounts - a percentage of the subtotal, an amount off the taxable part, an amount off the
non-taxable part - and taxes what is left of the taxable part at one rate (knowledge base, "Invoices").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from reconcile.model.money import ONE, percent_of, round_half_up


class TotalsError(ValueError):
    """These lines, discounts and rate make no invoice; the message is a clause that completes "this invoice ..."."""


@dataclass(frozen=True, slots=True)
class InvoiceTotals:
    """What an invoice comes to, in minor units.

    Attributes:
        taxable_part: sum of the taxable lines, before discounts.
        subtotal: sum of all lines, before discounts.
        discount: money taken off, all three kinds together.
        discount_off_taxable: the share of ``discount`` that lowers the amount taxed.
        tax: tax on the taxable part less its discounts.
        total: ``subtotal - discount + tax``.
    """

    taxable_part: int
    subtotal: int
    discount: int
    discount_off_taxable: int
    tax: int
    total: int


def proportional_share(amount: int, part: int, whole: int) -> int:
    """The share of ``amount`` that falls on ``part`` of ``whole``, rounded half up; 0 when ``whole`` is 0."""
    return round_half_up(Decimal(amount) * Decimal(part) / Decimal(whole)) if whole else 0


def invoice_totals(
    lines: Iterable[tuple[int, bool]],
    *,
    tax_percent: int | None = None,
    discount_percent: int | None = None,
    discount_taxable: int | None = None,
    discount_nontaxable: int | None = None,
) -> InvoiceTotals:
    """Totals of an invoice.

    Args:
        lines: amount in minor units and whether it is taxable, per line.
        tax_percent: percent of the tax rate, ten-millionths; ``None`` without a rate.
        discount_percent: percent off the subtotal, ten-millionths; it lowers both parts in proportion.
        discount_taxable: minor units off the taxable part.
        discount_nontaxable: minor units off the non-taxable part.

    Raises:
        TotalsError: a discount is negative or takes off more than there is, a percent is outside 0 to 100, or the
            subtotal is negative.
    """
    amounts = list(lines)
    taxable_part = sum(amount for amount, taxable in amounts if taxable)
    subtotal = sum(amount for amount, _ in amounts)
    off_taxable, off_nontaxable = discount_taxable or 0, discount_nontaxable or 0
    _refuse_impossible(tax_percent, discount_percent, (off_taxable, off_nontaxable), subtotal)
    by_percent = percent_of(subtotal, discount_percent or 0)
    by_percent_taxable = proportional_share(by_percent, taxable_part, subtotal)
    taxed = taxable_part - by_percent_taxable - off_taxable
    untaxed = (subtotal - taxable_part) - (by_percent - by_percent_taxable) - off_nontaxable
    if off_taxable and taxed < 0:
        raise TotalsError("takes more off its taxable part than that part comes to")
    if off_nontaxable and untaxed < 0:
        raise TotalsError("takes more off its non-taxable part than that part comes to")
    tax = percent_of(taxed, tax_percent or 0)
    discount = by_percent + off_taxable + off_nontaxable
    total = subtotal - discount + tax
    if total < 0:
        raise TotalsError("comes to less than nothing; that is a credit, not an invoice")
    return InvoiceTotals(taxable_part, subtotal, discount, by_percent_taxable + off_taxable, tax, total)


def _refuse_impossible(
    tax_percent: int | None, discount_percent: int | None, discounts: Sequence[int], subtotal: int
) -> None:
    if subtotal < 0:
        raise TotalsError("has lines that come to less than nothing; that is a credit, not an invoice")
    for percent, what in ((tax_percent, "tax rate"), (discount_percent, "discount")):
        if percent is not None and not 0 <= percent <= 100 * ONE:
            raise TotalsError(f"has a {what} outside 0 to 100 percent")
    if any(discount < 0 for discount in discounts):
        raise TotalsError("has a negative discount")


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an invoice stands: its balance in minor units and its state (open, paid, closed, void)."""

    balance: int
    state: str


def invoice_standing(total: int, paid: int, *, void: bool = False, closed: bool = False) -> Standing:
    """Balance and state that follow from what is paid: a void or closed invoice has no balance.

    Args:
        total: of the invoice, minor units.
        paid: payments and credits applied, less what was refunded, minor units.
        void: it was cancelled.
        closed: it was settled without full payment.

    Raises:
        TotalsError: more is applied than the invoice comes to.
    """
    if void:
        return Standing(0, "void")
    if paid > total:
        raise TotalsError("would have more applied to it than it comes to")
    if paid == total:
        return Standing(0, "paid")
    return Standing(0, "closed") if closed else Standing(total - paid, "open")


def unapplied(amount: int, credit: int | None, applied: Iterable[int]) -> int:
    """What of a payment (and its credits) is not yet applied to an invoice, minor units.

    Raises:
        TotalsError: an application is not above 0, or together they are more than the payment.
    """
    applications = list(applied)
    if any(application <= 0 for application in applications):
        raise TotalsError("applies an amount that is not above 0")
    rest = amount + (credit or 0) - sum(applications)
    if rest < 0:
        raise TotalsError("applies more than was received")
    return rest
