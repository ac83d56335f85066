"""A state that went back in time: what it remembers is kept, but nothing of it is trusted for writing any more."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, delete, select, update

from reconcile.model.audit import AuditKind
from reconcile.model.changes import UNDONE
from reconcile.model.entities import Entity
from reconcile.model.journal import EntryStatus
from reconcile.state import audit
from reconcile.state.database import chunks, reading, writing
from reconcile.state.lease import Lease
from reconcile.state.schema import BaseRow, CursorRow, JournalRow, LinkRow, PendingRow


def distrust(
    engine: Engine, lease: Lease, fields: Mapping[Entity, Collection[str]], confirmation: Mapping[str, Any]
) -> None:
    """Take back all trust in a company's bases, cursors and unsent intents, because the state is older than the world.

    Links stay, and so do tombstones: who is who is still true. But every field of every base is open again, so that
    equal values are agreed quietly and different ones are held; everything is read in full; and an intent that this
    state takes for never sent may have been sent, so it is looked for.

    Args:
        engine: the state.
        lease: of the company, held.
        fields: compared fields per entity.
        confirmation: who confirmed it and why, and the ``run.json`` hashes, by folder, of runs the state does not know.
    """
    with writing(engine) as connection:
        lease.check(connection)
        for entity in Entity:
            live = select(LinkRow.id).where(
                LinkRow.company == lease.company, LinkRow.entity == entity.value, LinkRow.ended_at.is_(None)
            )
            own = update(BaseRow).where(BaseRow.link_id.in_(live))
            marked = select(BaseRow.link_id, BaseRow.unsettled).where(
                BaseRow.link_id.in_(live), BaseRow.unsettled.contains(UNDONE, autoescape=True)
            )
            undone = {
                link: [name for name in text.split(",") if UNDONE in name]
                for link, text in connection.execute(marked)
                if text
            }
            connection.execute(own.values(fields="{}", unsettled=",".join(sorted(fields[entity])) or None))
            for link, names in undone.items():
                open_fields = ",".join(sorted({*fields[entity], *names}))
                connection.execute(update(BaseRow).where(BaseRow.link_id == link).values(unsettled=open_fields))
        for table in (CursorRow, PendingRow):
            connection.execute(delete(table).where(table.company == lease.company))
        connection.execute(
            update(JournalRow)
            .where(JournalRow.company == lease.company, JournalRow.status == EntryStatus.INTENT.value)
            .values(status=EntryStatus.SENT.value, evidence="the state went back: it may have been sent")
        )
        audit.append(connection, lease.company, lease.run_id, AuditKind.ADOPTED, confirmation, datetime.now(UTC))


def unknown_requests(engine: Engine, request_ids: Sequence[str]) -> list[str]:
    """Those of these request ids that no journal entry has."""
    known: set[str] = set()
    with reading(engine) as connection:
        for some in chunks(request_ids):
            known |= set(connection.scalars(select(JournalRow.request_id).where(JournalRow.request_id.in_(some))))
    return [request_id for request_id in request_ids if request_id not in known]
