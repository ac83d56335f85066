"""The arithmetic of ReliaBills, by example and by law."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reconcile.model.money import ONE, to_scaled
from reconcile.model.totals import (
    InvoiceTotals,
    Standing,
    TotalsError,
    invoice_standing,
    invoice_totals,
    proportional_share,
    unapplied,
)

AMOUNTS = st.integers(0, 10**9)
LINES = st.lists(st.tuples(AMOUNTS, st.booleans()), max_size=6)
PERCENTS = st.integers(0, 100 * ONE)


def test_tax_is_taken_on_the_taxable_lines_only() -> None:
    totals = invoice_totals([(13125, True), (8500, False)], tax_percent=to_scaled("8"))
    assert totals == InvoiceTotals(
        taxable_part=13125, subtotal=21625, discount=0, discount_off_taxable=0, tax=1050, total=22675
    )


def test_a_percentage_lowers_both_parts_in_proportion() -> None:
    totals = invoice_totals(
        [(10000, True), (30000, False)], tax_percent=to_scaled("10"), discount_percent=to_scaled("10")
    )
    assert (totals.discount, totals.discount_off_taxable, totals.tax, totals.total) == (4000, 1000, 900, 36900)


def test_an_amount_off_the_taxable_part_lowers_the_tax() -> None:
    totals = invoice_totals([(10000, True), (5000, False)], tax_percent=to_scaled("8"), discount_taxable=2500)
    assert (totals.discount, totals.tax, totals.total) == (2500, 600, 13100)


def test_an_amount_off_the_nontaxable_part_leaves_the_tax_alone() -> None:
    totals = invoice_totals([(10000, True), (5000, False)], tax_percent=to_scaled("8"), discount_nontaxable=2500)
    assert (totals.discount, totals.tax, totals.total) == (2500, 800, 13300)


def test_halves_of_a_cent_are_rounded_up() -> None:
    assert invoice_totals([(50, True)], tax_percent=to_scaled("1")).tax == 1
    assert invoice_totals([(49, True)], tax_percent=to_scaled("1")).tax == 0
    assert proportional_share(1, 1, 2) == 1
    assert proportional_share(1, 1, 0) == 0


@pytest.mark.parametrize(
    ("lines", "terms", "why"),
    [
        ([(100, True)], {"discount_taxable": 101}, "taxable part"),
        ([(100, True)], {"discount_nontaxable": 1}, "non-taxable part"),
        ([(100, True)], {"discount_taxable": -1}, "negative discount"),
        ([(100, True)], {"discount_percent": 101 * ONE}, "0 to 100"),
        ([(100, True)], {"tax_percent": -1}, "0 to 100"),
        ([(-100, False)], {}, "credit"),
        ([(-100, True), (105, False)], {"tax_percent": 100 * ONE}, "credit"),
    ],
)
def test_impossible_terms_are_refused_in_words(lines: list[tuple[int, bool]], terms: dict[str, int], why: str) -> None:
    with pytest.raises(TotalsError, match=why):
        invoice_totals(lines, **terms)


@given(LINES, PERCENTS, PERCENTS, st.integers(0, 10**6), st.integers(0, 10**6))
def test_whatever_the_discounts_the_total_adds_up_and_tax_stays_on_what_is_left(
    lines: list[tuple[int, bool]], tax_percent: int, percent: int, off_taxable: int, off_nontaxable: int
) -> None:
    try:
        totals = invoice_totals(
            lines,
            tax_percent=tax_percent,
            discount_percent=percent,
            discount_taxable=off_taxable,
            discount_nontaxable=off_nontaxable,
        )
    except TotalsError:
        assume(False)
        raise
    assert totals.total == totals.subtotal - totals.discount + totals.tax
    assert totals.subtotal == sum(amount for amount, _ in lines)
    assert 0 <= totals.discount_off_taxable <= totals.taxable_part
    assert 0 <= totals.discount - totals.discount_off_taxable <= totals.subtotal - totals.taxable_part
    assert 0 <= totals.tax <= totals.taxable_part - totals.discount_off_taxable + 1


@given(LINES, PERCENTS)
def test_the_order_of_lines_does_not_matter(lines: list[tuple[int, bool]], percent: int) -> None:
    terms = {"tax_percent": percent, "discount_percent": percent}
    assert invoice_totals(lines, **terms) == invoice_totals(lines[::-1], **terms)


@given(AMOUNTS, AMOUNTS, st.booleans(), st.booleans())
def test_balance_and_state_follow_from_what_is_paid(total: int, paid: int, void: bool, closed: bool) -> None:
    assume(void or paid <= total)
    standing = invoice_standing(total, paid, void=void, closed=closed)
    assert standing.state == ("void" if void else "paid" if paid == total else "closed" if closed else "open")
    assert standing.balance == (total - paid if standing.state == "open" else 0)


def test_more_than_the_total_cannot_be_applied() -> None:
    assert invoice_standing(100, 100) == Standing(0, "paid")
    with pytest.raises(TotalsError, match="more applied"):
        invoice_standing(100, 101)


def test_what_a_payment_does_not_apply_is_left_over() -> None:
    assert unapplied(100, 50, [60, 40]) == 50
    assert unapplied(100, None, []) == 100
    with pytest.raises(TotalsError, match="more than was received"):
        unapplied(100, 0, [60, 41])
    with pytest.raises(TotalsError, match="not above 0"):
        unapplied(100, 0, [0])
