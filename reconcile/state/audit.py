"""The audit trail in the state database: appended in the transaction of what it tells, never updated (design I12)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, func, insert, select

from reconcile.model.audit import AuditKind, AuditRow, Head, entry_hash
from reconcile.model.journal import EntryStatus
from reconcile.state.database import chunks, reading
from reconcile.state.schema import AuditTrailRow, CompanyRow, JournalRow
from reconcile.state.texts import json_text

_ANSWERED = [status.value for status in EntryStatus if status not in {EntryStatus.INTENT, EntryStatus.SENT}]
_AT_ONCE = 500  # rows fetched at once while walking: memory stays small however long the trail is


def append_outcomes(connection: Connection, company: str, run_id: str, entry_ids: Iterable[int], at: datetime) -> None:
    """Seal what came of these journal entries, as their rows now stand."""
    sealed = []
    for some in chunks(entry_ids):
        rows = connection.execute(select(JournalRow.__table__).where(JournalRow.id.in_(some))).mappings()
        sealed += [(row["id"], json_text(_outcome(row))) for row in rows]
    _append(connection, company, run_id, AuditKind.OUTCOME, sorted(sealed), at)


def append(
    connection: Connection, company: str, run_id: str, kind: AuditKind, content: Mapping[str, Any], at: datetime
) -> None:
    """Seal that a run was filed, or what a person confirmed."""
    _append(connection, company, run_id, kind, [(None, json_text(dict(content)))], at)


def lock(connection: Connection, company: str) -> None:
    """Let nobody else append to this company's trail until the transaction ends."""
    connection.execute(select(CompanyRow.key).where(CompanyRow.key == company).with_for_update())


def head(connection: Connection, company: str) -> Head:
    """The end of a company's trail."""
    query = (
        select(AuditTrailRow.sequence, AuditTrailRow.seal)
        .where(AuditTrailRow.company == company)
        .order_by(AuditTrailRow.sequence.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return Head() if row is None else Head(*row)


def seal_at(connection: Connection, company: str, sequence: int) -> str | None:
    """The seal of one row; the empty text for 0, ``None`` when there is no such row."""
    if sequence == 0:
        return ""
    query = select(AuditTrailRow.seal).where(AuditTrailRow.company == company, AuditTrailRow.sequence == sequence)
    return connection.execute(query).scalar_one_or_none()


def began(connection: Connection, company: str) -> datetime | None:
    """When a company's trail began, UTC."""
    query = select(func.min(AuditTrailRow.at)).where(AuditTrailRow.company == company)
    return connection.execute(query).scalar_one_or_none()


def newest(connection: Connection, company: str, kind: AuditKind) -> AuditRow | None:
    """The newest row of a kind; ``None`` when there is none."""
    query = (
        select(AuditTrailRow.__table__)
        .where(AuditTrailRow.company == company, AuditTrailRow.kind == kind.value)
        .order_by(AuditTrailRow.sequence.desc())
        .limit(1)
    )
    rows = [_row(row) for row in connection.execute(query).mappings()]
    return rows[0] if rows else None


def of_run(connection: Connection, company: str, run_id: str, kind: AuditKind) -> AuditRow | None:
    """The row of a kind about a run; ``None`` when there is none."""
    rows = _rows_of(connection, company, AuditTrailRow.run_id == run_id, AuditTrailRow.kind == kind.value)
    return rows[0] if rows else None


def of_kind(connection: Connection, company: str, kind: AuditKind) -> list[AuditRow]:
    """All rows of a kind, oldest first; for the rare ones."""
    return _rows_of(connection, company, AuditTrailRow.kind == kind.value)


def _rows_of(connection: Connection, company: str, *where: ColumnElement[bool]) -> list[AuditRow]:
    query = (
        select(AuditTrailRow.__table__).where(AuditTrailRow.company == company, *where).order_by(AuditTrailRow.sequence)
    )
    return [_row(row) for row in connection.execute(query).mappings()]


def of_entries(connection: Connection, company: str, entry_ids: Sequence[int]) -> dict[int, list[AuditRow]]:
    """The outcomes of these journal entries, oldest first, by entry."""
    found: dict[int, list[AuditRow]] = {}
    for some in chunks(entry_ids):
        query = (
            select(AuditTrailRow.__table__)
            .where(AuditTrailRow.company == company, AuditTrailRow.entry_id.in_(some))
            .order_by(AuditTrailRow.sequence)
        )
        for row in connection.execute(query).mappings():
            found.setdefault(row["entry_id"], []).append(_row(row))
    return found


@dataclass(frozen=True, slots=True)
class Walked:
    """One row of the trail beside the journal row it seals.

    Attributes:
        row: of the trail.
        entry: hash of the journal row as it stands now, when this is the entry's last outcome and it is not open
            again; else ``None``.
        missing: whether the journal row of an outcome is not there any more.
    """

    row: AuditRow
    entry: str | None
    missing: bool


def walk(engine: Engine, company: str) -> Iterator[Walked]:
    """The whole trail in order, outcomes beside their journal rows; memory stays small."""
    last = (
        select(AuditTrailRow.entry_id, func.max(AuditTrailRow.sequence).label("sequence"))
        .where(AuditTrailRow.company == company, AuditTrailRow.entry_id.is_not(None))
        .group_by(AuditTrailRow.entry_id)
        .subquery()
    )
    trail = AuditTrailRow.__table__.c
    journal = JournalRow.__table__.c
    query = (
        select(
            *[column.label(f"audit_{column.name}") for column in trail],
            *[column.label(f"journal_{column.name}") for column in journal],
            last.c.sequence.label("last_sequence"),
        )
        .join_from(AuditTrailRow, JournalRow, AuditTrailRow.entry_id == JournalRow.id, isouter=True)
        .join(last, last.c.entry_id == AuditTrailRow.entry_id, isouter=True)
        .where(AuditTrailRow.company == company)
        .order_by(AuditTrailRow.sequence)
    )
    with reading(engine) as connection:
        result = connection.execution_options(yield_per=_AT_ONCE).execute(query)
        for joined in result.mappings():
            row = _row({name: joined[f"audit_{name}"] for name in trail.keys()})  # noqa: SIM118  (columns, not a dict)
            entry = None
            if joined["journal_id"] is not None and joined["last_sequence"] == row.sequence:
                stored = {name: joined[f"journal_{name}"] for name in journal.keys()}  # noqa: SIM118
                entry = entry_hash(stored) if stored["status"] in _ANSWERED else None
            yield Walked(row, entry, row.entry_id is not None and joined["journal_id"] is None)


def unsealed_entry(engine: Engine, company: str) -> tuple[int, str] | None:
    """An answered journal entry that the trail says nothing of: its id and run; ``None`` when there is none.

    Entries from before the trail began are left out.
    """
    with reading(engine) as connection:
        since = began(connection, company)
        query = (
            select(JournalRow.id, JournalRow.run_id)
            .where(
                JournalRow.company == company,
                JournalRow.status.in_(_ANSWERED),
                ~select(AuditTrailRow.id).where(AuditTrailRow.entry_id == JournalRow.id).exists(),
            )
            .order_by(JournalRow.id)
            .limit(1)
        )
        if since is not None:
            query = query.where(func.coalesce(JournalRow.answered_at, JournalRow.sent_at) >= since)
        row = connection.execute(query).one_or_none()
    return None if row is None else (row.id, row.run_id)


def _append(
    connection: Connection,
    company: str,
    run_id: str,
    kind: AuditKind,
    told: Sequence[tuple[int | None, str]],
    at: datetime,
) -> None:
    if not told:
        return
    lock(connection, company)
    end = head(connection, company)
    rows = []
    for entry_id, content in told:
        row = AuditRow(company, end.sequence + 1, kind, run_id, entry_id, content, at, end.seal)
        row = replace(row, seal=row.computed_seal())
        end = Head(row.sequence, row.seal)
        rows.append(
            {
                "company": row.company,
                "sequence": row.sequence,
                "kind": row.kind.value,
                "run_id": row.run_id,
                "entry_id": row.entry_id,
                "content": row.content,
                "at": row.at,
                "previous": row.previous,
                "seal": row.seal,
            }
        )
    connection.execute(insert(AuditTrailRow), rows)


def _outcome(row: Mapping[Any, Any]) -> dict[str, Any]:
    named = ("request_id", "step", "action", "side", "target_id", "payload_hash", "status", "expected_version")
    return {name: row[name] for name in (*named, "version_after")} | {"entry": entry_hash(row)}


def _row(row: Mapping[Any, Any]) -> AuditRow:
    return AuditRow(
        company=row["company"],
        sequence=row["sequence"],
        kind=AuditKind(row["kind"]),
        run_id=row["run_id"],
        entry_id=row["entry_id"],
        content=row["content"],
        at=row["at"],
        previous=row["previous"],
        seal=row["seal"],
    )
