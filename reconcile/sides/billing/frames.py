"""Rows of the database as frames of exact types, column by column, and what was malformed in them.

SQLite keeps whatever it is given, so an amount may turn out to be text. Such a value is missing in the frame and is
told as a :class:`Fault`; no other record suffers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from reconcile.model.entities import FIELDS, ROW_FIELDS, Entity, Field, Kind
from reconcile.model.findings import Severity
from reconcile.model.snapshot import conform, record_dtypes, row_dtypes
from reconcile.sides.billing.records import fields_here

_SHOWN = 60
_NAMES = 100

TEXT_LIMITS: dict[str, int] = {
    "display_name": 500,
    "company_name": _NAMES,
    "given_name": _NAMES,
    "family_name": _NAMES,
    "email": _NAMES,
    "more_emails": _NAMES,
    "phone": 30,
    "address_line1": 500,
    "address_line2": 500,
    "name": _NAMES,
    "sku": _NAMES,
    "description": 4000,
    "agency": _NAMES,
    "memo": 1000,
}
"""Most characters that QuickBooks keeps of a text (API file 4.1 to 4.8); ReliaBills itself sets no limit."""

REQUIRED: dict[Entity, tuple[str, ...]] = {
    Entity.CUSTOMER: ("display_name",),
    Entity.PRODUCT: ("name",),
    Entity.TAX_RATE: ("name", "percent"),
    Entity.INVOICE: ("number", "customer_id", "invoice_date", "total"),
    Entity.PAYMENT: ("customer_id", "payment_date", "amount"),
}
"""Without these a record cannot be used at all."""

REQUIRED_OF_PEOPLE = ("given_name", "family_name", "email")
"""What ReliaBills requires of a customer; where it is missing nevertheless, QuickBooks may know it."""

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
_MARKUP = r"<[A-Za-z/!][^>]*>"
_NO_LIMIT = 2**31 - 1
_LOST_CHARACTER = "\ufffd"
_PLAIN = {
    Kind.MONEY: "an amount in whole minor units",
    Kind.SCALED: "a whole number of ten-millionths",
    Kind.FLAG: "yes or no",
    Kind.TEXT: "text",
    Kind.DATE: "a date",
    Kind.REF: "the id of a record",
}
_ARROW_TO_PANDAS = {
    pa.int64(): pd.Int64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
    pa.string(): pd.StringDtype(na_value=np.nan),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one value of one record.

    Attributes:
        check: name of the rule that does not hold.
        severity: note or hold.
        record_id: the record, or the record that the child row belongs to.
        unreadable: whether the record cannot be used.
        sentence: a clause that follows the record's name: ``has 'ten' as its total, which is not an amount``.
        remedy: what to do now.
        amount: money at stake in minor units, where it is not simply that of the record.
    """

    check: str
    severity: Severity
    record_id: str
    unreadable: bool
    sentence: str
    remedy: str
    amount: int | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """What was read: an Arrow table whose columns are those of the frame, and its faults."""

    table: pa.Table
    faults: tuple[Fault, ...]


def read_records(entity: Entity, batches: Iterable[Sequence[Any]], currency: str) -> Read:
    """Records of :func:`~reconcile.sides.billing.records.select_records`, in batches of rows."""
    fields = (
        Field("id", Kind.REF, "id"),
        Field("version", Kind.REF, "version"),
        Field("updated_at", Kind.TEXT, "last change"),
        *fields_here(entity),
    )
    read = _read(fields, batches, "id")
    money = pa.array(np.full(len(read.table), currency), pa.string())
    table = read.table
    if any(field.name == "currency" for field in FIELDS[entity]):
        table = table.append_column("currency", money)
    told = {fault.record_id for fault in read.faults}  # a malformed value is missing in its column: said once
    missing = [fault for fault in _missing(entity, table) if fault.record_id not in told]
    return Read(table, (*read.faults, *missing, *_impossible_dates(table, fields), *_texts(table, fields, "id")))


def read_rows(entity: Entity, batches: Iterable[Sequence[Any]]) -> Read:
    """Child rows of :func:`~reconcile.sides.billing.records.select_rows`, in batches of rows.

    ``position`` counts from 1 within each parent, in the order of reading.
    """
    fields = (
        Field("parent_id", Kind.REF, "record"),
        Field("position", Kind.MONEY, "position"),
        *ROW_FIELDS[entity],
    )
    read = _read(fields, batches, "parent_id")
    required = {Entity.INVOICE: ("amount", "taxable"), Entity.PAYMENT: ("invoice_id", "amount")}[entity]
    told = {fault.record_id for fault in read.faults}
    lacking = [
        fault
        for field in fields
        if field.name in required
        for fault in _lacking(read.table, field, "parent_id", a_row="a row ")
        if fault.record_id not in told
    ]
    return Read(read.table, (*read.faults, *lacking, *_texts(read.table, fields, "parent_id")))


def as_frames(
    entity: Entity, records: Read, rows: Read | None
) -> tuple[pd.DataFrame, pd.DataFrame, frozenset[str], tuple[Fault, ...]]:
    """Frames of the readable records and of their child rows, the ids of the unreadable ones, and all faults."""
    faults = (*records.faults, *(rows.faults if rows else ()))
    unreadable = frozenset(fault.record_id for fault in faults if fault.unreadable)
    kept = _without(records.table, "id", unreadable)
    frame = conform(_to_pandas(kept), record_dtypes(entity))
    if rows is None:
        return frame, conform(pd.DataFrame(), row_dtypes(entity)), unreadable, faults
    known = rows.table.filter(pc.is_in(rows.table["parent_id"], value_set=kept["id"].combine_chunks()))
    children = _to_pandas(known)
    children["position"] = children.groupby("parent_id", sort=False).cumcount() + 1
    return frame, conform(children, row_dtypes(entity)), unreadable, faults


def _without(table: pa.Table, key: str, ids: frozenset[str]) -> pa.Table:
    if not ids:
        return table
    return table.filter(pc.invert(pc.is_in(table[key], value_set=pa.array(sorted(ids), pa.string()))))


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas(types_mapper=_ARROW_TO_PANDAS.get)
    return frame


def _read(fields: Sequence[Field], batches: Iterable[Sequence[Any]], key: str) -> Read:
    schema = pa.schema([(field.name, _arrow_type(field.kind)) for field in fields])
    tables: list[pa.Table] = [schema.empty_table()]
    faults: list[Fault] = []
    for batch in batches:
        columns: dict[str, pa.Array] = {}
        malformed: list[tuple[Field, int, Any]] = []
        for field, values in zip(fields, zip(*batch, strict=True), strict=True):
            columns[field.name], positions = _column(field.kind, values)
            malformed += [(field, position, values[position]) for position in positions]
        ids = columns[key]
        faults += [_malformed(ids[position].as_py(), field, value) for field, position, value in malformed]
        tables.append(pa.table(columns, schema=schema))
    return Read(pa.concat_tables(tables).combine_chunks(), tuple(faults))


def _arrow_type(kind: Kind) -> pa.DataType:
    return {Kind.MONEY: pa.int64(), Kind.SCALED: pa.int64(), Kind.FLAG: pa.bool_()}.get(kind, pa.string())


def _column(kind: Kind, values: Sequence[Any]) -> tuple[pa.Array, list[int]]:
    """An Arrow column, and the positions of values that are not what they should be (missing in the column)."""
    allowed = _TYPES[kind]
    misfits: list[int] = []
    # Arrow would cut 1.5 to 1 without a word, so the types are looked at first.
    if not set(map(type, values)) <= allowed or (kind is Kind.FLAG and not set(values) <= {None, 0, 1}):
        misfits = [position for position, value in enumerate(values) if not _fits(kind, value)]
        wrong = set(misfits)
        values = [None if position in wrong else value for position, value in enumerate(values)]
    return _exact_column(kind, values), misfits


_TYPES: dict[Kind, set[type]] = {
    Kind.MONEY: {int, type(None)},
    Kind.SCALED: {int, type(None)},
    Kind.REF: {int, type(None)},
    Kind.FLAG: {bool, int, type(None)},  # SQLite has no booleans
    Kind.TEXT: {str, type(None)},
    Kind.DATE: {str, type(None)},
}


def _fits(kind: Kind, value: Any) -> bool:
    return type(value) in _TYPES[kind] and (kind is not Kind.FLAG or value in {None, 0, 1})


def _exact_column(kind: Kind, values: Sequence[Any]) -> pa.Array:
    if kind in {Kind.MONEY, Kind.SCALED}:
        return pa.array(values, pa.int64())
    if kind is Kind.REF:
        return pc.cast(pa.array(values, pa.int64()), pa.string())
    if kind is Kind.FLAG:
        return pa.array(values, pa.bool_()) if bool in set(map(type, values)) else _flags(values)
    texts = pa.array(values, pa.string())
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def _flags(numbers: Sequence[Any]) -> pa.Array:
    return pc.cast(pa.array(numbers, pa.int64()), pa.bool_())


def _malformed(record_id: str, field: Field, value: Any) -> Fault:
    return Fault(
        "value_readable",
        Severity.HOLD,
        record_id,
        unreadable=True,
        sentence=f"has {_shown(value)} as {field.title}, which is not {_PLAIN[field.kind]}",
        remedy="Correct it in ReliaBills; until then neither this record nor what depends on it is synced.",
    )


def _missing(entity: Entity, table: pa.Table) -> Iterable[Fault]:
    fields = {field.name: field for field in FIELDS[entity]}
    for name in REQUIRED[entity]:
        yield from _lacking(table, fields[name], "id")
    for name in REQUIRED_OF_PEOPLE if entity is Entity.CUSTOMER else ():
        for record_id in table["id"].filter(pc.is_null(table[name])).to_pylist():
            yield Fault(
                "customer_required",
                Severity.NOTE,
                record_id,
                unreadable=False,
                sentence=f"has no {fields[name].title}, which ReliaBills requires",
                remedy="Enter it in ReliaBills, or in QuickBooks, from where it will be filled in.",
            )


def _lacking(table: pa.Table, field: Field, key: str, a_row: str = "") -> Iterable[Fault]:
    for record_id in table[key].filter(pc.is_null(table[field.name])).unique().to_pylist():
        yield Fault(
            "value_present",
            Severity.HOLD,
            record_id,
            unreadable=True,
            sentence=f"has {a_row}without {field.title}" if a_row else f"has no {field.title}",
            remedy="Complete it in ReliaBills; until then neither this record nor what depends on it is synced.",
        )


def _impossible_dates(table: pa.Table, fields: Sequence[Field]) -> Iterable[Fault]:
    for field in fields:
        if field.kind is not Kind.DATE:
            continue
        column = table[field.name]
        impossible = [value for value in column.unique().to_pylist() if value is not None and not _is_date(value)]
        if not impossible:
            continue
        wrong = pc.is_in(column, value_set=pa.array(impossible, pa.string()))
        for record_id, value in zip(
            table["id"].filter(wrong).to_pylist(), column.filter(wrong).to_pylist(), strict=True
        ):
            yield Fault(
                "date_possible",
                Severity.HOLD,
                record_id,
                unreadable=False,
                sentence=f"has {_shown(value)} as {field.title}, which is no day of any calendar",
                remedy="Correct the date in ReliaBills.",
            )


def _is_date(value: str) -> bool:
    if not _ISO_DATE.fullmatch(value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


_RETYPE = "Type it again in ReliaBills."
_LEAVE_OR_REMOVE = "It is carried as it stands and shown as text; remove it if nobody meant it."


def _texts(table: pa.Table, fields: Sequence[Field], key: str) -> Iterable[Fault]:
    """Texts that the other side could not keep, and texts that would do harm where they are not shown as text."""
    for field in fields:
        if field.kind is not Kind.TEXT or field.name == "updated_at":
            continue
        column, title = table[field.name], field.title
        limit = TEXT_LIMITS.get(field.name, _NO_LIMIT)
        too_long = pc.greater(pc.utf8_length(column), limit)
        for wrong, check, severity, sentence, remedy in (
            (
                pc.match_substring_regex(column, _CONTROL),
                "text_control",
                Severity.HOLD,
                f"has control characters in its {title}",
                _RETYPE,
            ),
            (
                pc.match_substring(column, _LOST_CHARACTER),
                "text_encoding",
                Severity.HOLD,
                f"has unreadable characters in its {title}",
                _RETYPE,
            ),
            (
                pc.match_substring_regex(column, _MARKUP),
                "text_markup",
                Severity.NOTE,
                f"has markup in its {title}",
                _LEAVE_OR_REMOVE,
            ),
            (
                too_long,
                "text_length",
                Severity.HOLD,
                f"has more than the {limit} characters that QuickBooks keeps in its {title}",
                "Shorten it in ReliaBills.",
            ),
        ):
            if not pc.any(wrong).as_py():
                continue
            for record_id, value in zip(
                table[key].filter(wrong).to_pylist(), column.filter(wrong).to_pylist(), strict=True
            ):
                told = f"{sentence}: {_shown(value)}"
                yield Fault(check, severity, record_id, unreadable=False, sentence=told, remedy=remedy)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def labels(table: pa.Table, column: str, ids: Iterable[str]) -> Mapping[str, Any]:
    """The values of one column by record id, for a few records."""
    chosen = table.filter(pc.is_in(table["id"], value_set=pa.array(sorted(set(ids)), pa.string())))
    return dict(zip(chosen["id"].to_pylist(), chosen[column].to_pylist(), strict=True))
