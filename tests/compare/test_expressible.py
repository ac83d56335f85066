"""What QuickBooks can hold: one discount per invoice, and the same tax as ReliaBills or none at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.compare.expressible import BooksDiscount, books_discount, why_not_in_books
from reconcile.model.entities import Entity
from reconcile.model.rows import rows_text
from reconcile.model.totals import proportional_share

MIXED = [{"amount": 600, "taxable": True}, {"amount": 400, "taxable": False}]
TAXABLE = [{"amount": 600, "taxable": True}]
UNTAXED = [{"amount": 400, "taxable": False}]


@pytest.mark.parametrize(
    ("lines", "discounts", "expected"),
    [
        (MIXED, {}, BooksDiscount(None, 0, before_tax=True)),
        (MIXED, {"discount_percent": 10_0000000}, BooksDiscount(10_0000000, None, before_tax=True)),
        (TAXABLE, {"discount_taxable": 50}, BooksDiscount(None, 50, before_tax=True)),
        (UNTAXED, {"discount_nontaxable": 50}, BooksDiscount(None, 50, before_tax=True)),
        (MIXED, {"discount_nontaxable": 50}, BooksDiscount(None, 50, before_tax=False)),
        (MIXED, {"discount_taxable": 60, "discount_nontaxable": 40}, BooksDiscount(None, 100, before_tax=True)),
        (MIXED, {"discount_taxable": 50}, None),
        (MIXED, {"discount_taxable": 61, "discount_nontaxable": 39}, None),
        (MIXED, {"discount_nontaxable": 401}, None),
        (UNTAXED, {"discount_taxable": 50}, None),
        (TAXABLE, {"discount_nontaxable": 50}, None),
        (TAXABLE, {"discount_percent": 10_0000000, "discount_taxable": 50}, None),
    ],
)
def test_a_discount_has_the_form_that_gives_the_same_tax_or_none(
    lines: list[dict[str, Any]], discounts: dict[str, int | None], expected: BooksDiscount | None
) -> None:
    assert books_discount(lines, discounts) == expected


@given(st.integers(0, 900), st.integers(0, 900), st.integers(1, 100), st.integers(1, 100))
def test_the_tax_base_under_an_expressed_discount_is_that_of_reliabills(
    taxable: int, rest: int, off_taxable: int, off_rest: int
) -> None:
    lines = [{"amount": taxable, "taxable": True}, {"amount": rest, "taxable": False}]
    discount = books_discount(lines, {"discount_taxable": off_taxable, "discount_nontaxable": off_rest})
    if discount is not None:
        assert discount.amount == off_taxable + off_rest
        share = proportional_share(discount.amount, taxable, taxable + rest) if discount.before_tax else 0
        assert taxable - share == taxable - off_taxable


def test_a_typed_in_line_without_an_amount_is_only_words() -> None:
    words = rows_text(Entity.INVOICE, [{"description": "Thank you", "amount": 0}])
    assert why_not_in_books(Entity.INVOICE, {"lines": words}) == ""
    money = rows_text(Entity.INVOICE, [{"description": "Work", "amount": 1}])
    assert "'Work' has an amount but no product" in why_not_in_books(Entity.INVOICE, {"lines": money})


def test_a_payment_by_credit_stays_in_reliabills() -> None:
    assert "credits are not carried" in why_not_in_books(Entity.PAYMENT, {"credit": 100, "method": "credit"})
    assert why_not_in_books(Entity.PAYMENT, {"credit": 0, "method": "card"}) == ""
    assert why_not_in_books(Entity.CUSTOMER, {}) == ""
