"""Child rows as one canonical text, so that lines are compared as lines and still by one vector operation.

The text is JSON without blanks: a list of lists, each in the order of :data:`~reconcile.model.entities.ROW_FIELDS`,
missing values as ``null``. Equal facts give equal text, whichever side and whichever of the two functions wrote it.
Invoice lines stand in position order. Applications of a payment have no order of their own: they are summed per
invoice and sorted by it. References are keys (``"books:12"``) by the time they come here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from reconcile.model.entities import FIELDS, ROW_FIELDS, ROWS_COLUMN, Entity, Kind
from reconcile.model.plan import canonical_json

NO_ROWS = "[]"
"""The text of a record without child rows."""


def rows_text(entity: Entity, rows: Sequence[Mapping[str, Any]]) -> str:
    """The canonical text of one record's child rows.

    Args:
        entity: invoice or payment.
        rows: the child rows; invoice lines are taken in the order of ``position`` when every row has one, else as they
            stand. References are keys, money is minor units, quantities and prices ten-millionths. A missing value may
            be absent, ``None``, ``NaN`` or ``pd.NA``; blank text is missing.

    Raises:
        TypeError: a value is a float, which may not stand for money.
    """
    names = [field.name for field in ROW_FIELDS[entity]]
    ordered = rows
    if rows and all(_plain(row.get("position")) is not None for row in rows):
        ordered = sorted(rows, key=lambda row: int(row["position"]))
    lists = [[_plain(row.get(name)) for name in names] for row in ordered]
    if entity is Entity.PAYMENT:
        lists = _summed(lists)
    return canonical_json(lists)


def _summed(applications: list[list[Any]]) -> list[list[Any]]:
    sums: dict[Any, int | None] = {}
    for invoice, amount in applications:
        before = sums.get(invoice)
        sums[invoice] = before if amount is None else amount + (before or 0)
    return [[invoice, sums[invoice]] for invoice in sorted(sums, key=lambda key: (key is None, key))]


def _plain(value: Any) -> Any:
    if value is None or value is pd.NA or value == "" or (isinstance(value, float) and np.isnan(value)):
        return None
    return value.item() if isinstance(value, np.generic) else value


def rows_from_text(entity: Entity, text: str) -> list[dict[str, Any]]:
    """The child rows behind a canonical text, as dictionaries with the names of ``ROW_FIELDS``; missing is ``None``.

    Raises:
        ValueError: the text is not one that :func:`rows_text` writes.
    """
    names = [field.name for field in ROW_FIELDS[entity]]
    try:
        return [dict(zip(names, row, strict=True)) for row in json.loads(text, parse_float=_no_float)]
    except (TypeError, ValueError) as error:
        raise ValueError(f"not the canonical text of {entity.singular} rows: {error}") from error


def translated(entity: Entity, values: Mapping[str, Any], translate: Callable[[Entity, str], str]) -> dict[str, Any]:
    """One record's values with each of its references, those of its child rows too, put through ``translate``.

    Args:
        entity: kind of record.
        values: any of its fields; child rows as canonical text or as a list of rows.
        translate: given the entity a reference leads to and the reference, what stands for it.

    Returns:
        The values, child rows as a list of rows (:func:`with_rows_text` makes it a text again).
    """
    result = dict(values)
    for field in FIELDS[entity]:
        value = result.get(field.name)
        if value is None:
            continue
        if field.kind is Kind.REF and field.to is not None:
            result[field.name] = translate(field.to, value)
        elif field.kind is Kind.ROWS:
            rows = rows_from_text(entity, value) if isinstance(value, str) else value
            result[field.name] = [_row_translated(entity, row, translate) for row in rows]
    return result


def _row_translated(entity: Entity, row: Mapping[str, Any], translate: Callable[[Entity, str], str]) -> dict[str, Any]:
    result = dict(row)
    for field in ROW_FIELDS[entity]:
        if field.to is not None and result.get(field.name) is not None:
            result[field.name] = translate(field.to, result[field.name])
    return result


def with_rows_text(entity: Entity, values: Mapping[str, Any]) -> dict[str, Any]:
    """One record's values, a list of child rows among them as its canonical text."""
    column = ROWS_COLUMN.get(entity)
    if column is None or not isinstance(values.get(column), list):
        return dict(values)
    return {**values, column: rows_text(entity, values[column])}


def referred(entity: Entity, values: Mapping[str, Any]) -> Iterator[tuple[Entity, str]]:
    """Entity and key of everything that plan values refer to."""
    for field in FIELDS[entity]:
        value = values.get(field.name)
        if value is None:
            continue
        if field.kind is Kind.REF and field.to is not None:
            yield field.to, value
        elif field.kind is Kind.ROWS:
            for row in rows_from_text(entity, value):
                for of in ROW_FIELDS[entity]:
                    if of.kind is Kind.REF and of.to is not None and row.get(of.name) is not None:
                        yield of.to, str(row[of.name])


def _no_float(text: str) -> Any:
    raise ValueError(f"{text} is not a whole number")


def rows_texts(entity: Entity, frame: pd.DataFrame) -> pd.Series[str]:
    """The canonical texts of many records at once: what :func:`rows_text` gives for each, by vector operations.

    Args:
        entity: invoice or payment.
        frame: child rows of any number of records (columns ``parent_id``, ``position``, then ``ROW_FIELDS``),
            references as keys.

    Returns:
        The texts, indexed by ``parent_id``; records without child rows do not occur (their text is :data:`NO_ROWS`).
    """
    if frame.empty:
        return pd.Series(name=ROWS_COLUMN[entity], index=pd.Index([], dtype="str", name="parent_id"), dtype="str")
    rows = _applications(frame) if entity is Entity.PAYMENT else frame.sort_values(["parent_id", "position"])
    columns = [_json_values(rows[field.name], field.kind) for field in ROW_FIELDS[entity]]
    items = _join(pa.scalar("["), *columns, pa.scalar("]"))
    parents = rows["parent_id"].to_numpy(dtype=object)
    starts = np.flatnonzero(np.r_[True, parents[1:] != parents[:-1]]) if len(parents) else np.array([], dtype="int64")
    bounds = pa.array(np.r_[starts, len(parents)], type=pa.int32())
    joined = pc.binary_join(pa.ListArray.from_arrays(bounds, items), ",")
    texts = pc.binary_join_element_wise(pa.scalar("["), joined, pa.scalar("]"), "")
    index = pd.Index(parents[starts], dtype="str", name="parent_id")
    return pd.Series(texts.to_numpy(zero_copy_only=False), index=index, name=ROWS_COLUMN[entity], dtype="str")


def _applications(frame: pd.DataFrame) -> pd.DataFrame:
    groups = frame.groupby(["parent_id", "invoice_id"], dropna=False, sort=True)["amount"]
    return groups.sum(min_count=1).reset_index()


def _join(first: pa.Scalar, *columns: pa.Array) -> pa.Array:
    *middle, last = columns
    comma = pa.scalar(",")
    parts: list[Any] = [first]
    for position, column in enumerate(middle):
        parts += [column] if position == 0 else [comma, column]
    return pc.binary_join_element_wise(*parts, last, "")


def _json_values(values: pd.Series[Any], kind: Kind) -> pa.Array:
    """Each value as JSON text; what is missing as ``null``."""
    array = pa.array(values, from_pandas=True)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if kind in {Kind.MONEY, Kind.SCALED, Kind.FLAG}:
        return pc.fill_null(pc.cast(array, pa.string()), "null")
    text = pc.cast(array, pa.string())
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    quoted = pc.binary_join_element_wise(pa.scalar('"'), _escaped(text), pa.scalar('"'), "")
    return pc.fill_null(quoted, "null")


def _escaped(text: pa.Array) -> pa.Array:
    """Text with the characters that JSON escapes, exactly as :func:`json.dumps` escapes them."""
    escaped = pc.replace_substring(pc.replace_substring(text, "\\", "\\\\"), '"', '\\"')
    if pc.any(pc.match_substring_regex(text, r"[\x00-\x1f]")).as_py():
        for code in range(0x20):
            escaped = pc.replace_substring(escaped, chr(code), json.dumps(chr(code))[1:-1])
    return escaped
