"""Which way of rounding gives this tax: the known rules of invoicing systems, tried one after the other.

Both sides may tax the same lines, discounts and percent and come to figures a minor unit apart, because one rounds each
line and the other the sum (API file 4.8 "Rounding" and section 10). A penny is not believed to be rounding; it is shown
which rule gives it, or said that none does.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from itertools import product

from reconcile.model.money import decimals_of, from_scaled, percent_of, round_half_up
from reconcile.model.totals import proportional_share

_PRECISIONS = (None, 4, 3, 2)
"""Decimal places to which a percent is cut before it is used; ``None`` keeps all of them."""


@dataclass(frozen=True, slots=True)
class SoldLine:
    """One line: ``amount`` in minor units, ``quantity`` and ``unit_price`` in ten-millionths where they are known."""

    amount: int
    taxable: bool
    quantity: int | None = None
    unit_price: int | None = None


@dataclass(frozen=True, slots=True)
class Sale:
    """What tax is worked out from.

    Attributes:
        lines: of the invoice.
        percents: the rates that make up the invoice's tax, ten-millionths of a percent point; one, or several that
            belong to one code.
        discount_percent: percent off the subtotal (not only off what is taxable), ten-millionths.
        discount_taxable: minor units off the taxable part.
        currency: of all amounts.
    """

    lines: tuple[SoldLine, ...]
    percents: tuple[int, ...]
    discount_percent: int = 0
    discount_taxable: int = 0
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class RoundingRule:
    """One way to come from lines to tax.

    Attributes:
        per_line: each line's tax is rounded, then summed; else the sum is rounded once.
        per_rate: the rates of a code are rounded one by one; else their sum is one rate.
        discount_after_tax: tax is taken of the full amounts, the discount comes off afterwards.
        percent_places: decimal places to which a percent is cut first; ``None`` for all.
        unrounded_amounts: quantity x price is taxed as it is, before a line is rounded to minor units.
        unrounded_discount: the discount is taken off the taxed sum before it is rounded to minor units itself.
    """

    per_line: bool = False
    per_rate: bool = False
    discount_after_tax: bool = False
    percent_places: int | None = None
    unrounded_amounts: bool = False
    unrounded_discount: bool = False

    @property
    def words(self) -> str:
        """The rule as a bookkeeper would say it: ``"rounds tax line by line"``."""
        told = ["rounds tax " + ("line by line" if self.per_line else "once, on the sum")]
        if self.per_rate:
            told.append("each rate by itself")
        if self.discount_after_tax:
            told.append("before the discount")
        if self.percent_places is not None:
            told.append(f"with the percent cut to {self.percent_places} decimals")
        if self.unrounded_amounts:
            told.append("from quantity x price before rounding the line")
        if self.unrounded_discount:
            told.append("with the discount not rounded before")
        return ", ".join(told)

    def tax(self, sale: Sale) -> int:
        """What this rule makes of a sale, minor units, halves away from zero."""
        percents = sale.percents if self.per_rate else (sum(sale.percents),)
        rates = [self._cut(percent) for percent in percents]
        parts = self._taxed(sale)
        return sum(round_half_up(part * rate / 100) for part in parts for rate in rates)

    def _cut(self, percent: int) -> Decimal:
        exact = from_scaled(percent)
        if self.percent_places is None:
            return exact
        return exact.quantize(Decimal(1).scaleb(-self.percent_places), rounding=ROUND_HALF_UP)

    def _taxed(self, sale: Sale) -> list[Decimal]:
        """What is taxed and then rounded, minor units: each taxable line, or their sum."""
        amounts = [self._amount(line, sale.currency) for line in sale.lines if line.taxable]
        part = sum(amounts, Decimal(0))
        off = Decimal(0) if self.discount_after_tax else self._off(sale, part)
        if not self.per_line:
            return [part - off]
        return [amount - off * amount / part if part else amount for amount in amounts]

    def _off(self, sale: Sale, part: Decimal) -> Decimal:
        """What discounts take off the taxable part, minor units."""
        subtotal = sum(line.amount for line in sale.lines)
        if self.unrounded_discount:
            return part * from_scaled(sale.discount_percent) / 100 + sale.discount_taxable
        by_percent = percent_of(subtotal, sale.discount_percent)
        return Decimal(proportional_share(by_percent, int(part), subtotal) + sale.discount_taxable)

    def _amount(self, line: SoldLine, currency: str) -> Decimal:
        if not self.unrounded_amounts or line.quantity is None or line.unit_price is None:
            return Decimal(line.amount)
        quantity, price = from_scaled(line.quantity), from_scaled(line.unit_price)
        return (quantity * price).scaleb(decimals_of(currency))


def _rules() -> tuple[RoundingRule, ...]:
    choices = product((False, True), (False, True), (False, True), _PRECISIONS, (False, True), (False, True))
    rules = [RoundingRule(*choice) for choice in choices]
    return tuple(sorted(rules, key=_oddity))


def _oddity(rule: RoundingRule) -> tuple[int, int]:
    """How far a rule is from the plainest one: the plainest that fits is the one that is named."""
    places = 0 if rule.percent_places is None else 5 - rule.percent_places
    flags = (rule.per_line, rule.per_rate, rule.discount_after_tax, rule.unrounded_amounts, rule.unrounded_discount)
    return sum(flags) + bool(places), places


RULES = _rules()
"""All known rules, the plainest first: that is ReliaBills' own (once on the sum, the discount before tax)."""


def rule_behind(sale: Sale, tax: int) -> RoundingRule | None:
    """The plainest rule that gives exactly this tax (minor units); ``None`` when none of them does."""
    return next((rule for rule in RULES if rule.tax(sale) == tax), None)
