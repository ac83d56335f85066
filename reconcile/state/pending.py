"""Records that waited when the last run ended. A delta reads them again: what they waited for may have changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Engine, delete, insert, select

from reconcile.model.entities import Entity, Side
from reconcile.state.companies import remember_company
from reconcile.state.database import chunks, reading, writing
from reconcile.state.schema import PendingRow


def read(engine: Engine, company: str) -> dict[tuple[Side, Entity], frozenset[str]]:
    """Ids of the records that waited, per side and entity."""
    with reading(engine) as connection:
        rows = connection.execute(
            select(PendingRow.side, PendingRow.entity, PendingRow.record_id).where(PendingRow.company == company)
        ).all()
    found: dict[tuple[Side, Entity], set[str]] = {}
    for side, entity, record_id in rows:
        found.setdefault((Side(side), Entity(entity)), set()).add(record_id)
    return {key: frozenset(ids) for key, ids in found.items()}


def replace(engine: Engine, company: str, waiting: Mapping[tuple[Side, Entity], Collection[str]]) -> None:
    """These records wait now, and no others."""
    rows = [
        {"company": company, "side": side.value, "entity": entity.value, "record_id": record_id}
        for (side, entity), ids in waiting.items()
        for record_id in sorted(ids)
    ]
    with writing(engine) as connection:
        remember_company(connection, company)
        connection.execute(delete(PendingRow).where(PendingRow.company == company))
        for chunk in chunks(rows):
            connection.execute(insert(PendingRow), chunk)
