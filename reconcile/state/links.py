"""Reading links and the base: straight from SQL into frames. Only the journal changes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Engine, Executable, select

from reconcile.model.changes import BASE_COLUMNS, LINK_COLUMNS, Agreement
from reconcile.model.entities import Entity, Side
from reconcile.model.lookup import arrow, as_column
from reconcile.state.database import reading
from reconcile.state.schema import BaseRow, LinkRow


class Links:
    """Which books record is which billing record, and what they last agreed on, for one company."""

    def __init__(self, engine: Engine, company: str) -> None:
        self._engine = engine
        self._company = company

    def agreement(self, entity: Entity) -> Agreement:
        """The base of every live link of an entity, and its tombstones.

        Both frames are ordered by the age of the link. A record that was linked again after its link had ended is in
        both; the live link counts.
        """
        live = (
            select(LinkRow.books_id, LinkRow.billing_id, BaseRow.fields, BaseRow.unsettled)
            .join(BaseRow, BaseRow.link_id == LinkRow.id)
            .where(*self._of(entity), LinkRow.ended_at.is_(None))
            .order_by(LinkRow.id)
        )
        ended = (
            select(LinkRow.books_id, LinkRow.billing_id)
            .where(*self._of(entity), LinkRow.ended_at.is_not(None))
            .order_by(LinkRow.id)
        )
        with reading(self._engine) as connection:
            base = _frame(connection, live, list(BASE_COLUMNS))
            tombstones = _frame(connection, ended, list(LINK_COLUMNS))
        return Agreement(entity, base, tombstones.drop_duplicates(ignore_index=True) if len(tombstones) else tombstones)

    def pairs(self, entity: Entity) -> pd.DataFrame:
        """Every live link: ``books_id``, ``billing_id``."""
        live = (
            select(LinkRow.books_id, LinkRow.billing_id)
            .where(*self._of(entity), LinkRow.ended_at.is_(None))
            .order_by(LinkRow.id)
        )
        with reading(self._engine) as connection:
            return _frame(connection, live, list(LINK_COLUMNS))

    def counterpart(self, entity: Entity, side: Side, record_id: str) -> str | None:
        """The id on the other side of the record known on ``side`` as ``record_id``; ``None`` when it is not linked."""
        here, there = LinkRow.books_id, LinkRow.billing_id
        if side is Side.BILLING:
            here, there = there, here
        with reading(self._engine) as connection:
            return connection.execute(
                select(there).where(*self._of(entity), LinkRow.ended_at.is_(None), here == record_id)
            ).scalar_one_or_none()

    def _of(self, entity: Entity) -> tuple[Any, Any]:
        return LinkRow.company == self._company, LinkRow.entity == entity.value


def _frame(connection: Connection, query: Executable, columns: Sequence[str]) -> pd.DataFrame:
    """All-text query results as a frame of dtype ``str``, NULL as missing."""
    rows = connection.execute(query).all()
    values = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    index = pd.RangeIndex(len(rows))
    return pd.DataFrame({name: as_column(arrow(column), index) for name, column in zip(columns, values, strict=True)})
