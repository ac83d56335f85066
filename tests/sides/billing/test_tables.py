"""What the side knows of the database is what the database is."""

from __future__ import annotations

import pytest
from sqlalchemy import BigInteger, Boolean, Integer, Table
from sqlalchemy.types import TypeEngine

from reconcile.model.entities import FIELDS, Entity, Kind, Side
from reconcile.sandbox.billing.schema import Base
from reconcile.sides.billing.records import TABLES, column_name, fields_here
from reconcile.sides.billing.tables import METADATA

KINDS = ((Boolean, "flag"), (BigInteger, "number"), (Integer, "number"))


def _kind(type_: TypeEngine[object]) -> str:
    return next((name for kind, name in KINDS if isinstance(type_, kind)), "text")


def _columns(table: Table) -> dict[str, tuple[str, bool]]:
    return {column.name: (_kind(column.type), bool(column.nullable)) for column in table.columns}


@pytest.mark.parametrize("name", sorted(METADATA.tables))
def test_every_table_has_the_same_columns(name: str) -> None:
    assert _columns(METADATA.tables[name]) == _columns(Base.metadata.tables[name])


@pytest.mark.parametrize("name", sorted(METADATA.tables))
def test_every_reference_points_to_the_same_table(name: str) -> None:
    there = {key.parent.name: key.target_fullname for key in Base.metadata.tables[name].foreign_keys}
    here = {key.parent.name: key.target_fullname for key in METADATA.tables[name].foreign_keys}
    assert here.items() <= there.items()


def test_a_column_that_differs_would_be_seen() -> None:
    changed = Base.metadata.tables["payments"].to_metadata(METADATA.__class__())
    changed.c.credit.nullable = True
    assert _columns(changed) != _columns(METADATA.tables["payments"])


@pytest.mark.parametrize("entity", list(Entity))
def test_every_field_of_this_side_has_a_place(entity: Entity) -> None:
    here = {field.name for field in fields_here(entity)}
    for field in FIELDS[entity]:
        if field.only_on is Side.BOOKS:
            assert field.name not in here
        elif field.kind is not Kind.ROWS and field.name != "currency":
            assert field.name in here
            if Side.BILLING in field.writable and field.name != "void":
                assert column_name(entity, field.name) in TABLES[entity].c
