"""What every write to ReliaBills needs: values checked, a row claimed with its version, a row stored, a refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection, Table, insert, select, update

from reconcile.model.entities import FIELDS, ROW_FIELDS, Entity, Field, Kind, Side
from reconcile.model.money import INT64_MAX
from reconcile.sides.billing.records import TABLES, column_name
from reconcile.sides.billing.tables import (
    SETTINGS,
)
from reconcile.sides.side import Write

MOST = 10**15
"""Largest amount, price or quantity: far above any invoice, and sums of many still fit the database's integers."""


class RefusalError(Exception):
    """ReliaBills says no; nothing is changed.

    Args:
        code: short stable name of the rule.
        reason: a sentence for a bookkeeper, saying what to do where something can be done.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class StaleError(Exception):
    """The record has another version than the write expects."""


def moment() -> str:
    """Now, as every table writes it: UTC, ISO, microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def given(write: Write, connection: Connection) -> dict[str, Any]:
    """The fields this side may store, each checked to be what it should be; blank text is missing.

    Raises:
        RefusalError: a field is unknown, of the wrong kind, or of another currency.
    """
    known = {field.name: field for field in FIELDS[write.entity]}
    given: dict[str, Any] = {}
    for name, value in write.fields.items():
        if name not in known:
            raise RefusalError("unknown_field", f"ReliaBills knows no field {name!r} of a {write.entity.singular}.")
        field = known[name]
        if name == "currency" and value is not None:
            _same_currency(connection, value)
        if Side.BILLING not in field.writable:
            continue
        given[name] = _rows(write.entity, value) if field.kind is Kind.ROWS else _checked(field, value)
    return given


def _same_currency(connection: Connection, currency: str) -> None:
    own = connection.scalar(select(SETTINGS.c.currency).order_by(SETTINGS.c.id))
    if currency != own:
        raise RefusalError("currency", f"ReliaBills keeps this company in {own}; this record is in {currency}.")


def _rows(entity: Entity, rows: Any) -> list[dict[str, Any]]:
    return [{field.name: _checked(field, row.get(field.name)) for field in ROW_FIELDS[entity]} for row in rows or ()]


def _checked(field: Field, value: Any) -> Any:
    if value is None or value == "":
        return None
    if not _fits(field.kind, value):
        raise RefusalError("malformed", f"{value!r} cannot be stored as {field.title}.")
    return int(value) if field.kind is Kind.REF else value


def _fits(kind: Kind, value: Any) -> bool:
    match kind:
        case Kind.FLAG:
            return isinstance(value, bool)
        case Kind.MONEY | Kind.SCALED:
            return type(value) is int and abs(value) <= MOST
        case Kind.DATE:
            return isinstance(value, str) and _is_day(value)
        case Kind.REF:
            return isinstance(value, str) and value.isascii() and value.isdigit() and int(value) <= INT64_MAX
        case _:
            return isinstance(value, str) and "\0" not in value and _is_unicode(value)


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_day(value: str) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def require(values: Mapping[str, Any], names: Sequence[str], entity: Entity) -> None:
    """Insist on values that ReliaBills requires.

    Raises:
        RefusalError: naming those that are missing.
    """
    titles = {field.name: field.title for field in FIELDS[entity]}
    missing = [titles[name] for name in names if values.get(name) is None]
    if missing:
        raise RefusalError(
            "required",
            f"ReliaBills requires {' and '.join(missing)} of a {entity.singular}. "
            "Enter it in QuickBooks, then sync again.",
        )


def claimed(connection: Connection, write: Write) -> Mapping[str, Any]:
    """The stored row, locked for this transaction, with the version the write expects."""
    table = TABLES[write.entity]
    key = int(write.id) if write.id is not None and write.id.isascii() and write.id.isdigit() else -1
    row = connection.execute(select(table).where(table.c.id == key).with_for_update()).mappings().first()
    if row is None:
        raise RefusalError("gone", f"ReliaBills has no {write.entity.singular} with id {write.id} any more.")
    claimed = connection.execute(
        update(table)
        .where(table.c.id == key, table.c.version == _version(write.version))
        .values(version=table.c.version + 1, updated_at=moment())
    )
    if claimed.rowcount != 1:
        raise StaleError
    return dict(row)


def _version(version: str | None) -> int:
    return int(version) if version is not None and version.isascii() and version.isdigit() else -1


def columns(entity: Entity, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as columns; child rows and what is stored otherwise left out."""
    left_out = {"lines", "applications", "void"}
    return {column_name(entity, name): value for name, value in fields.items() if name not in left_out}


def add(connection: Connection, table: Table, values: Mapping[str, Any]) -> int:
    """Insert a row in its first version; its id."""
    result = connection.execute(insert(table).values(version=1, updated_at=moment(), **values))
    key: int = result.inserted_primary_key[0] if result.inserted_primary_key else 0
    return key


def store(connection: Connection, table: Table, key: int, values: Mapping[str, Any]) -> None:
    """Values of a row whose version this transaction has already moved."""
    if values:
        connection.execute(update(table).where(table.c.id == key).values(**values))


def row_of(connection: Connection, table: Table, key: int | None) -> Mapping[str, Any] | None:
    """The row with this id, if there is one."""
    if key is None:
        return None
    row = connection.execute(select(table).where(table.c.id == key)).mappings().first()
    return dict(row) if row is not None else None


def with_flags(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A flag cannot be unset: a missing one stays as it is."""
    return {name: value for name, value in fields.items() if name not in {"active", "taxable"} or value is not None}
