"""Child rows: one text per record, the same from either function."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.model.entities import ROW_FIELDS, Entity, Kind
from reconcile.model.rows import NO_ROWS, rows_from_text, rows_text, rows_texts
from reconcile.model.snapshot import conform, empty_rows, row_dtypes

TEXT = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    st.sampled_from(['"', "\\", "\x1f\n", "null"]),
)
WHOLE = st.one_of(st.none(), st.integers(-(10**12), 10**12))
VALUES = {
    Kind.TEXT: TEXT,
    Kind.REF: st.sampled_from(["books:1", "books:2", "billing:10", None]),
    Kind.FLAG: st.none() | st.booleans(),
}


def some_rows(entity: Entity) -> st.SearchStrategy[list[dict[str, Any]]]:
    fields = {field.name: VALUES.get(field.kind, WHOLE) for field in ROW_FIELDS[entity]}
    row = st.fixed_dictionaries({"parent_id": st.sampled_from(["1", "2", "10"]), **fields})
    return st.lists(row, max_size=8)


def as_frame(entity: Entity, rows: list[dict[str, Any]]) -> pd.DataFrame:
    if not rows:
        return empty_rows(entity)
    data = {name: pd.Series([row.get(name) for row in rows], dtype=dtype) for name, dtype in row_dtypes(entity).items()}
    return conform(pd.DataFrame(data), row_dtypes(entity))


@pytest.mark.parametrize("entity", list(ROW_FIELDS))
@given(data=st.data())
def test_many_records_get_the_same_text_as_each_alone(entity: Entity, data: st.DataObject) -> None:
    rows = data.draw(some_rows(entity))
    for position, row in enumerate(rows, start=1):
        row["position"] = position
    texts = rows_texts(entity, as_frame(entity, list(reversed(rows))))
    alone = {
        parent: rows_text(entity, [row for row in rows if row["parent_id"] == parent])
        for parent in {row["parent_id"] for row in rows}
    }
    assert texts.to_dict() == alone
    assert all(rows_text(entity, rows_from_text(entity, text)) == text for text in alone.values())


def test_lines_stand_in_the_order_of_their_position() -> None:
    first = {"position": 1, "description": "Rocks", "amount": 100, "taxable": True}
    second = {"position": 2, "description": "Soil", "amount": 200, "taxable": False}
    assert rows_text(Entity.INVOICE, [second, first]) == rows_text(Entity.INVOICE, [first, second])
    assert json.loads(rows_text(Entity.INVOICE, [first])) == [[None, "Rocks", None, None, 100, True]]


def test_applications_to_one_invoice_are_summed_and_sorted() -> None:
    applications = [
        {"invoice_id": "books:9", "amount": 100},
        {"invoice_id": "books:10", "amount": 50},
        {"invoice_id": "books:9", "amount": 25},
    ]
    assert rows_text(Entity.PAYMENT, applications) == '[["books:10",50],["books:9",125]]'


def test_a_record_without_rows_has_the_empty_list() -> None:
    assert rows_text(Entity.INVOICE, []) == NO_ROWS
    assert rows_texts(Entity.INVOICE, empty_rows(Entity.INVOICE)).empty


def test_a_float_is_refused_as_money() -> None:
    with pytest.raises(TypeError, match="float"):
        rows_text(Entity.PAYMENT, [{"invoice_id": "books:1", "amount": 1.5}])
    with pytest.raises(ValueError, match=r"payment rows: 1\.5"):
        rows_from_text(Entity.PAYMENT, '[["books:1",1.5]]')


def test_a_row_with_a_value_too_many_is_refused() -> None:
    with pytest.raises(ValueError, match="not the canonical text"):
        rows_from_text(Entity.PAYMENT, '[["books:1",1,2]]')
