"""Making links and moving the base, inside a transaction of the journal. The counterpart of ``links``, which reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, insert, select, update

from reconcile.errors import StepFailedError
from reconcile.model.entities import Entity
from reconcile.model.journal import AgreementUpdate
from reconcile.state.database import upserting
from reconcile.state.schema import BaseRow, LinkRow
from reconcile.state.texts import json_text

_MANY = 1_000  # from here on one pass over all live links is quicker than asking for each by its ids

_NOTHING = "{}"


@dataclass(slots=True)
class _Agreed:
    """A link and its base while updates are folded into it; ``link_id`` is ``None`` until the link is made."""

    link_id: int | None
    books_id: str
    billing_id: str
    books_version: str | None
    billing_version: str | None
    fields: str
    unsettled: str | None

    def fold(self, news: AgreementUpdate) -> None:
        self.books_version = news.books_version if news.books_version is not None else self.books_version
        self.billing_version = news.billing_version if news.billing_version is not None else self.billing_version
        known = {} if self.fields == _NOTHING else json.loads(self.fields)
        self.fields = json_text({**known, **news.fields})
        self.unsettled = ",".join(news.unsettled) or None


def agree(connection: Connection, company: str, run_id: str, updates: Sequence[AgreementUpdate], now: datetime) -> None:
    """Make missing links and move the base of all, the updates folded in their order.

    Raises:
        StepFailedError: a record would get a second counterpart (design I1).
    """
    touched: list[_Agreed] = []
    for entity in dict.fromkeys(news.entity for news in updates):
        own = [news for news in updates if news.entity is entity]
        agreements = _folded(entity, own, _live(connection, company, entity, own))
        if fresh := [agreed for agreed in agreements if agreed.link_id is None]:
            _link(connection, company, run_id, entity, fresh, now)
        touched += agreements
    if not touched:
        return
    statement = upserting(connection, BaseRow)
    moved = ("books_version", "billing_version", "fields", "unsettled", "agreed_at", "run_id")
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[BaseRow.link_id], set_={name: statement.excluded[name] for name in moved}
        ),
        [
            {
                "link_id": agreed.link_id,
                "books_version": agreed.books_version,
                "billing_version": agreed.billing_version,
                "fields": agreed.fields,
                "unsettled": agreed.unsettled,
                "agreed_at": now,
                "run_id": run_id,
            }
            for agreed in touched
        ],
    )


def end_link(
    connection: Connection, company: str, run_id: str, entity: Entity, books_id: str, billing_id: str, *, because: str
) -> None:
    """Turn a link into a tombstone; one that has ended already stays as it is.

    Raises:
        StepFailedError: these two were never linked.
    """
    pair = (
        LinkRow.company == company,
        LinkRow.entity == entity.value,
        LinkRow.books_id == books_id,
        LinkRow.billing_id == billing_id,
    )
    if connection.execute(select(LinkRow.id).where(*pair).limit(1)).first() is None:
        raise StepFailedError(
            f"The {entity.singular} {books_id} in QuickBooks and {billing_id} in ReliaBills are not linked, so there "
            "is nothing to end. Start a new run, which compares them again."
        )
    connection.execute(
        update(LinkRow)
        .where(*pair, LinkRow.ended_at.is_(None))
        .values(ended_at=datetime.now(UTC), ended_because=because, ended_run_id=run_id)
    )


def _live(connection: Connection, company: str, entity: Entity, updates: Sequence[AgreementUpdate]) -> list[_Agreed]:
    """The live links, with their bases, that have one of these ids on one of the sides (all of them when many do)."""
    query = (
        select(
            LinkRow.id,
            LinkRow.books_id,
            LinkRow.billing_id,
            BaseRow.books_version,
            BaseRow.billing_version,
            BaseRow.fields,
            BaseRow.unsettled,
        )
        .join(BaseRow, BaseRow.link_id == LinkRow.id)
        .where(*_live_of(company, entity))
    )
    queries = [query]
    if len(updates) <= _MANY:
        queries = [
            query.where(LinkRow.books_id.in_({news.books_id for news in updates})),
            query.where(LinkRow.billing_id.in_({news.billing_id for news in updates})),
        ]
    rows = {row.id: row for asked in queries for row in connection.execute(asked)}
    return [
        _Agreed(
            link_id=row.id,
            books_id=row.books_id,
            billing_id=row.billing_id,
            books_version=row.books_version,
            billing_version=row.billing_version,
            fields=row.fields,
            unsettled=row.unsettled,
        )
        for row in rows.values()
    ]


def _folded(entity: Entity, updates: Sequence[AgreementUpdate], live: Sequence[_Agreed]) -> list[_Agreed]:
    by_books = {agreed.books_id: agreed for agreed in live}
    by_billing = {agreed.billing_id: agreed for agreed in live}
    touched: dict[str, _Agreed] = {}
    for news in updates:
        agreed = by_books.get(news.books_id)
        if agreed is not by_billing.get(news.billing_id):
            other = agreed or by_billing[news.billing_id]
            raise StepFailedError(
                f"The {entity.singular} {news.books_id} in QuickBooks and {news.billing_id} in ReliaBills cannot be "
                f"linked: {other.books_id} in QuickBooks is linked to {other.billing_id} in ReliaBills already, and a "
                "record has one counterpart. End that link first if it is wrong."
            )
        if agreed is None:
            agreed = _Agreed(None, news.books_id, news.billing_id, None, None, _NOTHING, None)
            by_books[news.books_id] = by_billing[news.billing_id] = agreed
        agreed.fold(news)
        touched[news.books_id] = agreed
    return list(touched.values())


def _link(
    connection: Connection, company: str, run_id: str, entity: Entity, fresh: Sequence[_Agreed], now: datetime
) -> None:
    """Make these links. Their ids are asked for afterwards: ``RETURNING`` would insert them one by one."""
    connection.execute(
        insert(LinkRow),
        [
            {
                "company": company,
                "entity": entity.value,
                "books_id": agreed.books_id,
                "billing_id": agreed.billing_id,
                "linked_at": now,
                "run_id": run_id,
            }
            for agreed in fresh
        ],
    )
    query = select(LinkRow.books_id, LinkRow.id).where(*_live_of(company, entity))
    if len(fresh) <= _MANY:
        query = query.where(LinkRow.books_id.in_([agreed.books_id for agreed in fresh]))
    ids = {row.books_id: row.id for row in connection.execute(query)}
    for agreed in fresh:
        agreed.link_id = ids[agreed.books_id]


def _live_of(company: str, entity: Entity) -> tuple[ColumnElement[bool], ...]:
    return LinkRow.company == company, LinkRow.entity == entity.value, LinkRow.ended_at.is_(None)
