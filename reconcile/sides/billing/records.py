"""Which column of ReliaBills is which field: one table, read by frames, by single records and by writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, case, exists, func, select, type_coerce
from sqlalchemy.types import NullType

from reconcile.model.entities import FIELDS, ROW_FIELDS, ROWS_COLUMN, Entity, Field, Kind, Side
from reconcile.sides.billing.tables import (
    CUSTOMERS,
    INVOICE_LINES,
    INVOICES,
    PAYMENT_APPLICATIONS,
    PAYMENTS,
    PRODUCTS,
    TAX_RATES,
)

AnySelect = Select[*tuple[Any, ...]]

TABLES: dict[Entity, Table] = {
    Entity.CUSTOMER: CUSTOMERS,
    Entity.PRODUCT: PRODUCTS,
    Entity.TAX_RATE: TAX_RATES,
    Entity.INVOICE: INVOICES,
    Entity.PAYMENT: PAYMENTS,
}
ROW_TABLES: dict[Entity, Table] = {Entity.INVOICE: INVOICE_LINES, Entity.PAYMENT: PAYMENT_APPLICATIONS}
PARENT_COLUMN: dict[Entity, str] = {Entity.INVOICE: "invoice_id", Entity.PAYMENT: "payment_id"}

COLUMN_NAMES: dict[Entity, dict[str, str]] = {
    Entity.CUSTOMER: {
        "display_name": "account_name",
        "given_name": "first_name",
        "family_name": "last_name",
        "more_emails": "further_emails",
        "address_line1": "address",
        "address_line2": "address2",
    }
}
"""Where the column of a field is not called like the field."""

_COMPUTED: dict[Entity, dict[str, ColumnElement[Any]]] = {
    Entity.CUSTOMER: {
        "display_name": func.coalesce(
            func.nullif(CUSTOMERS.c.account_name, ""), CUSTOMERS.c.first_name.concat(" ").concat(CUSTOMERS.c.last_name)
        ),
        "auto_pay": CUSTOMERS.c.auto_pay.is_not(None),
        "paperless": CUSTOMERS.c.mail_preference == "paperless",
    },
    Entity.INVOICE: {
        "void": INVOICES.c.state == "void",
        "tax_rate_id": case(
            (
                exists().where(INVOICE_LINES.c.invoice_id == INVOICES.c.id, INVOICE_LINES.c.taxable),
                INVOICES.c.tax_rate_id,
            ),
        ),
        **{
            name: func.nullif(INVOICES.c[name], 0)
            for name in ("discount_percent", "discount_taxable", "discount_nontaxable")
        },
    },
    Entity.PAYMENT: {"void": PAYMENTS.c.state == "void", "processed": PAYMENTS.c.kind == "online"},
}


def column_name(entity: Entity, field: str) -> str:
    """The column that stores a field."""
    return COLUMN_NAMES.get(entity, {}).get(field, field)


def expression(entity: Entity, field: str) -> ColumnElement[Any]:
    """What a field is read from: a column, or an expression that gives its canonical value.

    A discount of 0 is no discount, and a rate that taxes no line is no rate: missing on both sides.
    """
    computed = _COMPUTED.get(entity, {})
    return computed[field] if field in computed else TABLES[entity].c[column_name(entity, field)]


def fields_here(entity: Entity) -> tuple[Field, ...]:
    """The fields that this side has in columns: not child rows, not what only books has, not the currency."""
    return tuple(
        field
        for field in FIELDS[entity]
        if field.kind is not Kind.ROWS and field.only_on is not Side.BOOKS and field.name != "currency"
    )


def select_records(entity: Entity) -> AnySelect:
    """Id, version, moment of change and fields of every record, by id; values raw as the driver gives them."""
    table = TABLES[entity]
    named: dict[str, ColumnElement[Any]] = {name: table.c[name] for name in ("id", "version", "updated_at")}
    named |= {field.name: expression(entity, field.name) for field in fields_here(entity)}
    return select(*_raw(named)).order_by(table.c.id)


def select_rows(entity: Entity) -> AnySelect:
    """Parent id, position and fields of every child row, in order; values raw as the driver gives them."""
    table = ROW_TABLES[entity]
    parent = table.c[PARENT_COLUMN[entity]]
    order = table.c.position if entity is Entity.INVOICE else table.c.id
    named: dict[str, ColumnElement[Any]] = {"parent_id": parent, "position": order}
    named |= {field.name: table.c[field.name] for field in ROW_FIELDS[entity]}
    return select(*_raw(named)).order_by(parent, order)


def _raw(columns: Mapping[str, ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    return [type_coerce(column, NullType()).label(name) for name, column in columns.items()]


def as_fields(entity: Entity, record: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One record of :func:`select_records` with its child rows as exact field values, references as text ids."""
    values = {field.name: _exact(field.kind, record[field.name]) for field in fields_here(entity)}
    if entity in ROWS_COLUMN:
        values[ROWS_COLUMN[entity]] = [
            {field.name: _exact(field.kind, row[field.name]) for field in ROW_FIELDS[entity]} for row in rows
        ]
    return values


def _exact(kind: Kind, value: Any) -> Any:
    if value is None or value == "":
        return None
    if kind is Kind.REF:
        return str(value)
    return bool(value) if kind is Kind.FLAG else value
