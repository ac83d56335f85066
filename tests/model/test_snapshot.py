"""The digest of a snapshot: the same for the same content in any order, another for anything that differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from reconcile.model.entities import Entity, Side
from reconcile.model.snapshot import Snapshot, conform, record_dtypes, row_dtypes

texts = st.none() | st.text(st.characters(codec="utf-8"), max_size=6)
figures = st.none() | st.integers(-(2**62), 2**62)
flags = st.none() | st.booleans()
records = st.lists(st.tuples(texts, texts, figures, flags), max_size=6)


def snapshot(values: Sequence[tuple[Any, Any, Any, Any]], order: Sequence[int] | None = None) -> Snapshot:
    """Invoices of which number, memo, total and void are these, each with a line of the same total."""
    places = list(range(len(values)) if order is None else order)
    number, memo, total, void = ([values[place][n] for place in places] for n in range(4))
    ids = [f"i{place}" for place in places]
    frame = {"id": ids, "number": number, "memo": memo, "total": pd.array(total, "Int64"), "void": void}
    rows = {"parent_id": ids, "position": [1] * len(ids), "description": memo, "amount": pd.array(total, "Int64")}
    return Snapshot(
        Side.BOOKS,
        Entity.INVOICE,
        conform(typed(frame, record_dtypes(Entity.INVOICE)), record_dtypes(Entity.INVOICE)),
        conform(typed(rows, row_dtypes(Entity.INVOICE)), row_dtypes(Entity.INVOICE)),
        datetime(2026, 11, 22, 4, 30, tzinfo=UTC),
    )


def typed(columns: dict[str, Any], dtypes: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(values, dtype=dtypes[name]) for name, values in columns.items()})


@given(records, st.data())
def test_the_order_of_rows_does_not_matter(values: list[tuple[Any, Any, Any, Any]], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(values))))
    assert snapshot(values, order).digest == snapshot(values).digest


@given(records, records)
def test_two_contents_have_two_digests(
    one: list[tuple[Any, Any, Any, Any]], other: list[tuple[Any, Any, Any, Any]]
) -> None:
    assert (snapshot(one).digest == snapshot(other).digest) == (one == other)


@given(st.lists(st.tuples(texts, texts, figures, flags), min_size=1, max_size=4), st.data())
def test_one_value_that_differs_is_seen(values: list[tuple[Any, Any, Any, Any]], data: st.DataObject) -> None:
    place, name = data.draw(st.integers(0, len(values) - 1)), data.draw(st.integers(0, 3))
    other = data.draw((texts, texts, figures, flags)[name].filter(lambda value: value != values[place][name]))
    changed = [tuple(other if (p, n) == (place, name) else v for n, v in enumerate(r)) for p, r in enumerate(values)]
    assert snapshot(changed).digest != snapshot(values).digest  # type: ignore[arg-type]  # four values each


def test_missing_is_not_empty_and_letters_do_not_slip_into_the_neighbour() -> None:
    pairs = [(None, "", 0, False), ("", None, 0, False), ("", "", None, False), ("", "", 0, None), ("", "", 0, False)]
    slipping = [("ab", "c", 1, True), ("a", "bc", 1, True), ("", "abc", 1, True)]
    digests = [snapshot([record]).digest for record in (*pairs, *slipping)]
    assert len(set(digests)) == len(digests)


def test_a_slice_of_a_frame_is_worth_what_it_shows() -> None:
    whole = snapshot([("1", "a", 1, True), ("2", "b", 2, False), ("3", "c", 3, None)])
    part = replace(whole, frame=whole.frame[1:2], rows=whole.rows[1:2])
    assert part.digest == snapshot([("", "", 0, False), ("2", "b", 2, False)], [1]).digest
