"""Rules of rounding: each gives its own figure, the plainest that fits is named, and a penny is never just believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.compare.rounding import RULES, RoundingRule, Sale, SoldLine, rule_behind
from reconcile.model.totals import invoice_totals

PERCENT = 1_0000000


def sale(*amounts: int, percents: tuple[int, ...] = (8 * PERCENT,), **more: int) -> Sale:
    return Sale(tuple(SoldLine(amount, taxable=True) for amount in amounts), percents, **more)


def test_the_worked_case_of_the_api_file() -> None:
    """Section 4.8: 31 lines, subtotal 81.09, 12 %: QuickBooks 9.71 line by line, 9.73 on the sum."""
    lines = tuple(SoldLine(159, taxable=True) for _ in range(29)) + (SoldLine(1749, taxable=True),) * 2
    case = Sale(lines, (12 * PERCENT,))
    assert sum(line.amount for line in lines) == 8109
    assert (RoundingRule(per_line=True).tax(case), RoundingRule().tax(case)) == (971, 973)
    assert rule_behind(case, 971) == RoundingRule(per_line=True)
    assert rule_behind(case, 973) == RoundingRule()


@pytest.mark.parametrize(
    ("rule", "case", "tax"),
    [
        (RoundingRule(per_rate=True), sale(650, percents=(PERCENT, PERCENT)), 14),  # 0.065 twice; 2 % would be 0.13
        (RoundingRule(discount_after_tax=True), sale(1000, discount_percent=50 * PERCENT), 80),
        (RoundingRule(percent_places=2), sale(100_000, percents=(8_1250000,)), 8130),  # 8.125 % becomes 8.13 %
        (RoundingRule(percent_places=3), sale(1_000_000, percents=(8_1255000,)), 81_260),
        (
            RoundingRule(unrounded_amounts=True),
            Sale((SoldLine(33, taxable=True, quantity=3333333, unit_price=PERCENT),) * 20, (50 * PERCENT,)),
            333,
        ),
    ],
)
def test_each_rule_gives_its_own_figure(rule: RoundingRule, case: Sale, tax: int) -> None:
    assert rule.tax(case) == tax
    assert RoundingRule().tax(case) != tax
    assert rule_behind(case, tax) == rule


def test_what_no_rule_gives_is_not_explained() -> None:
    assert rule_behind(sale(1000), 79) is None
    assert rule_behind(sale(1000, percents=()), 1) is None
    assert rule_behind(Sale((SoldLine(1000, taxable=False),), (8 * PERCENT,)), 0) == RoundingRule()


lines = st.lists(st.tuples(st.integers(0, 10**7), st.booleans()), max_size=6)


@given(lines, st.integers(0, 30 * PERCENT), st.integers(0, 100 * PERCENT))
def test_the_plainest_rule_is_reliabills_own(
    amounts: list[tuple[int, bool]], percent: int, discount_percent: int
) -> None:
    case = Sale(tuple(SoldLine(*line) for line in amounts), (percent,), discount_percent)
    own = invoice_totals(amounts, tax_percent=percent, discount_percent=discount_percent)
    assert RULES[0] == RoundingRule()
    assert RULES[0].tax(case) == own.tax


@given(lines, st.integers(0, 30 * PERCENT))
def test_rules_of_rounding_differ_by_at_most_half_a_unit_per_line(
    amounts: list[tuple[int, bool]], percent: int
) -> None:
    case = Sale(tuple(SoldLine(*line) for line in amounts), (percent,))
    taxed = sum(taxable for _, taxable in amounts)
    assert abs(RoundingRule(per_line=True).tax(case) - RoundingRule().tax(case)) * 2 <= taxed + 1
