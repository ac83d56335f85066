"""Up to when each side's changes have been read. A cursor never goes back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Engine, select

from reconcile.model.entities import Entity, Side
from reconcile.state.companies import remember_company
from reconcile.state.database import reading, upserting, writing
from reconcile.state.schema import CursorRow


def read(engine: Engine, company: str, side: Side) -> dict[Entity, datetime]:
    """From when (UTC, the side's clock) to ask for changes, per entity; an entity never read is absent."""
    with reading(engine) as connection:
        rows = connection.execute(
            select(CursorRow.entity, CursorRow.since).where(CursorRow.company == company, CursorRow.side == side.value)
        )
        return {Entity(entity): since for entity, since in rows}


def move(engine: Engine, company: str, side: Side, entity: Entity, to: datetime) -> None:
    """Everything before ``to`` has been seen. An earlier time than the present one changes nothing.

    Raises:
        ValueError: ``to`` names no time zone.
    """
    with writing(engine) as connection:
        remember_company(connection, company)
        statement = upserting(connection, CursorRow).values(
            company=company, side=side.value, entity=entity.value, since=to
        )
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=[CursorRow.company, CursorRow.side, CursorRow.entity],
                set_={"since": statement.excluded.since},
                where=statement.excluded.since > CursorRow.since,
            )
        )
