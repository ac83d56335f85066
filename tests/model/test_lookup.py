"""Looking texts up: what is missing is found nowhere, the first of several counts, and sums are whole."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from reconcile.model.lookup import among, as_table, looked_up, places, totals


def texts(*values: str | None, **more: Any) -> pd.Series[str]:
    return pd.Series(values, dtype="str", **more)


@pytest.mark.parametrize("missing_is_among_them", [False, True])
def test_a_missing_text_is_found_nowhere(missing_is_among_them: bool) -> None:
    ids = texts("a", *[None] * missing_is_among_them)
    assert among(texts("a", None, "b"), ids).tolist() == [True, False, False]
    assert places(texts("a", None, "b"), ids).tolist() == [0, -1, -1]


def test_of_an_id_that_occurs_twice_the_first_counts_and_what_is_not_there_has_no_answer() -> None:
    answers = pd.Series([1, 2, None], dtype="Int64")
    found = looked_up(texts("b", "a", "c", None, index=[7, 8, 9, 10]), texts("a", "a", "b"), answers)
    assert found.index.tolist() == [7, 8, 9, 10]
    assert found.astype(object).where(found.notna(), None).tolist() == [None, 1, None, None]


def test_each_id_has_its_whole_sum_an_id_that_occurs_twice_as_well_and_what_is_nobodys_counts_nowhere() -> None:
    amounts = pd.Series([5, 7, None, 2**62, 1], dtype="Int64")
    sums = totals(texts("a", "a", "a", "b", None), amounts, texts("b", "a", "c", None, "a"))
    assert sums.tolist() == [2**62, 12, 0, 0, 12]


@pytest.mark.parametrize("length", [0, 3])
def test_a_frame_is_the_same_from_a_table_as_it_is_from_pandas_own(length: int) -> None:
    frame = pd.DataFrame(
        {
            "text": texts("a", None, "b"),
            "whole": pd.Series([1, None, 2**62], dtype="Int64"),
            "flag": pd.Series([True, None, False], dtype="boolean"),
            "number": pd.Series([1, 2, 3], dtype="int64"),
            "anything": pd.Series([None, "x", "y"], dtype=object),
        }
    )[:length]
    typed = frame.drop(columns="anything")
    for own in (frame, typed):
        assert as_table(own).equals(pa.Table.from_pandas(own, preserve_index=False), check_metadata=True)
    pd.testing.assert_frame_equal(as_table(typed).to_pandas(), typed)


def test_nothing_is_looked_up_among_nothing() -> None:
    assert places(texts(), texts()).tolist() == []
    assert looked_up(texts("a"), texts(), pd.Series(dtype="str")).isna().tolist() == [True]
    assert totals(texts(), pd.Series(dtype="Int64"), texts("a")).tolist() == [0]
