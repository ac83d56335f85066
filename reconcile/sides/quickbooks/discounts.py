"""Discounts: ReliaBills has three kinds, QuickBooks one line and a switch; the same money and the same tax or nothing.

QuickBooks: a percentage or an amount off the whole invoice, and ``ApplyTaxAfterDiscount``: when true the taxable part
bears its proportional share of the discount before tax is computed, when false tax is computed as if there were none.
ReliaBills: a percentage of the subtotal, an amount off the taxable part, an amount off the non-taxable part; tax is
always computed on the taxable part less the discount off it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from reconcile.model.money import round_half_up


@dataclass(frozen=True, slots=True)
class Discount:
    """A discount in our words; all three missing means none. Percent in ten-millionths, amounts in minor units."""

    percent: int | None = None
    taxable: int | None = None
    nontaxable: int | None = None

    @property
    def none(self) -> bool:
        """Whether there is no discount at all (0 counts as none)."""
        return not (self.percent or self.taxable or self.nontaxable)


@dataclass(frozen=True, slots=True)
class BooksDiscount:
    """A discount in QuickBooks' words: a percentage or an amount, and whether tax is computed after it."""

    percent: int | None = None
    amount: int | None = None
    tax_after: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """What an invoice's lines add up to, in minor units, and whether a tax code applies to the taxable ones."""

    taxable: int
    nontaxable: int
    taxed: bool = True


NO_DISCOUNT = Discount()


def decode(discount: BooksDiscount, parts: Parts) -> Discount | None:
    """QuickBooks' discount in our words, or ``None`` when ours cannot say it (tax on money that was taken off)."""
    if discount.percent:
        expressible = discount.tax_after or parts.taxable == 0 or not parts.taxed
        return Discount(percent=discount.percent) if expressible and not discount.amount else None
    amount = discount.amount or 0
    if amount == 0:
        return NO_DISCOUNT
    if amount < 0:
        return None
    return _decode_amount(amount, parts, tax_after=discount.tax_after)


def _decode_amount(amount: int, parts: Parts, *, tax_after: bool) -> Discount | None:
    if parts.taxable == 0:
        return Discount(nontaxable=amount)
    if not tax_after and parts.nontaxable >= amount:
        return Discount(nontaxable=amount)
    if not (tax_after or not parts.taxed):
        return None
    if parts.nontaxable == 0:
        return Discount(taxable=amount)
    whole = parts.taxable + parts.nontaxable
    if whole == 0:
        return None
    share = round_half_up(Decimal(amount) * parts.taxable / whole)
    return Discount(taxable=share or None, nontaxable=(amount - share) or None)


def encode(discount: Discount, parts: Parts) -> BooksDiscount | None:
    """The QuickBooks discount that is read back as exactly this one, or ``None`` when there is none.

    Only an encoding that :func:`decode` turns back into the same discount is used: then QuickBooks' tax is the tax on
    the taxable part less the discount off it, and the next comparison finds both sides equal.
    """
    wanted = Discount(discount.percent or None, discount.taxable or None, discount.nontaxable or None)
    if wanted.none:
        return BooksDiscount()
    if wanted.percent is not None:
        candidates = [BooksDiscount(percent=wanted.percent, tax_after=True)]
    else:
        amount = (wanted.taxable or 0) + (wanted.nontaxable or 0)
        candidates = [BooksDiscount(amount=amount, tax_after=after) for after in (False, True)]
    return next((candidate for candidate in candidates if decode(candidate, parts) == wanted), None)
