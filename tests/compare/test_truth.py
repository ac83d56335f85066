"""The truth table: one test per row, in the words of the trade, and the laws of all rows together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.compare.truth import alike, truth
from reconcile.model.changes import Verdict

OLD, NEW, OTHER = "555-1000", "555-2000", "555-3000"


def said(base: str | None, books: str | None, billing: str | None, *, settled: bool = True) -> Verdict:
    was, here, there = (pd.Series([value], dtype="str") for value in (base, books, billing))
    (verdict,) = truth(was, here, there, np.array([settled]))
    assert isinstance(verdict, Verdict)
    return verdict


def test_a_phone_that_nobody_touched_is_quiet() -> None:
    assert said(OLD, OLD, OLD) is Verdict.QUIET


def test_a_phone_changed_in_quickbooks_is_changed_in_books() -> None:
    assert said(OLD, NEW, OLD) is Verdict.CHANGED_IN_BOOKS


def test_a_phone_changed_in_the_portal_is_changed_in_billing() -> None:
    assert said(OLD, OLD, NEW) is Verdict.CHANGED_IN_BILLING


def test_a_phone_changed_to_the_same_on_both_sides_is_changed_alike() -> None:
    assert said(OLD, NEW, NEW) is Verdict.CHANGED_ALIKE


def test_a_phone_changed_differently_on_both_sides_is_a_conflict() -> None:
    assert said(OLD, NEW, OTHER) is Verdict.CONFLICT


def test_a_phone_emptied_on_one_side_is_changed_there() -> None:
    assert said(OLD, None, OLD) is Verdict.CHANGED_IN_BOOKS
    assert said(OLD, OLD, None) is Verdict.CHANGED_IN_BILLING
    assert said(OLD, None, None) is Verdict.CHANGED_ALIKE
    assert said(OLD, None, NEW) is Verdict.CONFLICT


def test_a_phone_that_was_missing_and_still_is_is_quiet() -> None:
    assert said(None, None, None) is Verdict.QUIET


def test_two_records_matched_now_with_one_phone_are_the_same_already() -> None:
    assert said(None, OLD, OLD, settled=False) is Verdict.SAME_ALREADY
    assert said(None, None, None, settled=False) is Verdict.SAME_ALREADY


def test_two_records_matched_now_with_two_phones_are_different() -> None:
    assert said(None, OLD, NEW, settled=False) is Verdict.MATCHED_DIFFERENT
    assert said(None, OLD, None, settled=False) is Verdict.MATCHED_DIFFERENT


def test_what_is_remembered_of_an_unsettled_field_does_not_count() -> None:
    assert said(OLD, OLD, NEW, settled=False) is Verdict.MATCHED_DIFFERENT


def oracle(base: Any, books: Any, billing: Any, *, settled: bool) -> Verdict:
    """The table once more, for one cell, as a person would write it."""
    if not settled:
        return Verdict.SAME_ALREADY if books == billing else Verdict.MATCHED_DIFFERENT
    if books == base and billing == base:
        return Verdict.QUIET
    if books == billing:
        return Verdict.CHANGED_ALIKE
    if billing == base:
        return Verdict.CHANGED_IN_BOOKS
    if books == base:
        return Verdict.CHANGED_IN_BILLING
    return Verdict.CONFLICT


VALUES: dict[str, list[Any]] = {
    "str": [None, "a", "A", "a ", "é", "é"],
    "Int64": [None, 0, 1, 2**62, 2**62 + 1],
    "boolean": [None, True, False],
}
MIRROR = {
    Verdict.CHANGED_IN_BOOKS: Verdict.CHANGED_IN_BILLING,
    Verdict.CHANGED_IN_BILLING: Verdict.CHANGED_IN_BOOKS,
}


@pytest.mark.parametrize("dtype", list(VALUES))
@given(data=st.data())
def test_whole_columns_say_what_the_table_says_of_each_cell(dtype: str, data: st.DataObject) -> None:
    value = st.sampled_from(VALUES[dtype])
    cells = data.draw(st.lists(st.tuples(value, value, value, st.booleans()), min_size=1, max_size=20))
    base, books, billing = (pd.Series([cell[i] for cell in cells], dtype=dtype) for i in range(3))
    settled = np.array([cell[3] for cell in cells])
    verdicts = truth(base, books, billing, settled)
    assert list(verdicts) == [oracle(*cell[:3], settled=cell[3]) for cell in cells]
    mirrored = truth(base, billing, books, settled)
    assert list(mirrored) == [MIRROR.get(verdict, verdict) for verdict in verdicts]


def test_missing_is_the_same_as_missing_and_as_nothing_else() -> None:
    one = pd.Series([None, None, "", "x"], dtype="str")
    other = pd.Series([None, "", "", None], dtype="str")
    assert alike(one, other).tolist() == [True, False, True, False]


def test_large_amounts_are_not_rounded_when_compared() -> None:
    one = pd.Series([2**53, None], dtype="Int64")
    other = pd.Series([2**53 + 1, 0], dtype="Int64")
    assert alike(one, other).tolist() == [False, False]
