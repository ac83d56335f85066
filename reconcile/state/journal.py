"""The journal: intent on disk before the request leaves; answer, link and base committed together (design I2-I4)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, cast

import pandas as pd
from sqlalchemy import Connection, CursorResult, Engine, bindparam, insert, select, update

from reconcile.errors import ConfigurationError, LeaseError, StepFailedError
from reconcile.model.entities import Entity, Side
from reconcile.model.journal import AgreementUpdate, Answer, Entry, EntryStatus
from reconcile.model.plan import Action, EffectKind, Operation
from reconcile.state.agreements import agree, end_link
from reconcile.state.audit import append_outcomes
from reconcile.state.database import chunks, clock, reading, writing
from reconcile.state.lease import Lease
from reconcile.state.schema import JournalRow, RunRow
from reconcile.state.texts import json_text

EXTRACT_COLUMNS = {
    "id": "Int64",
    "step": "str",
    "action": "str",
    "side": "str",
    "key": "str",
    "label": "str",
    "customer": "str",
    "amount": "Int64",  # money behind the record, minor units
    "currency": "str",
    "status": "str",
    "target_id": "str",
    "expected_version": "str",
    "version_after": "str",
    "code": "str",
    "reason": "str",
    "evidence": "str",
    "trace": "str",
    "intended_at": "str",  # UTC, ISO 8601
    "sent_at": "str",
    "answered_at": "str",
    "op_id": "str",
    "request_id": "str",
    "payload_hash": "str",
    "fields": "str",  # JSON as sent
}

TOGETHER = 30
APART = 10
"""QuickBooks' batches take a request id of 36 characters and item ids of 10 (API file 5.2)."""

_DEFINITE = frozenset({EntryStatus.DONE, EntryStatus.FAILED, EntryStatus.STALE})
_OPEN = [status.value for status in EntryStatus if status.open]
_MADE_NOTHING = (EntryStatus.FAILED.value, EntryStatus.STALE.value, EntryStatus.ABSENT.value)


@dataclass(frozen=True, slots=True)
class _Intended:
    """One write about to be journalled, with its identity across runs."""

    operation: Operation
    side: Side
    fields_text: str
    parts: tuple[object, ...]
    identity: str

    @property
    def record(self) -> tuple[str, str, str]:
        return self.operation.step.value, self.side.value, self.operation.key


class Journal:
    """The journal of one company, written by one run under its lease.

    Without a lease it can only be read. Every writing method is one transaction and starts by checking (and renewing)
    the lease, so a holder that came too late changes nothing here, not even by an answer: its entries stay open, and
    whoever holds the company now settles them by looking at the side.
    """

    def __init__(self, engine: Engine, company: str, run_id: str, lease: Lease | None = None) -> None:
        if lease is not None and lease.company != company:
            raise ValueError(f"a lease of {lease.company!r} does not allow writing for {company!r}")
        self._engine = engine
        self._company = company
        self._run_id = run_id
        self._lease = lease

    def intend(self, operations: Sequence[tuple[Operation, Mapping[str, Any]]]) -> list[Entry]:
        """Commit the intent of these writes; entries come back in the same order, status ``intent``.

        Each operation comes with the fields to be sent, references resolved to ids of the written side. The request
        id is derived from company, step, side, action, key, the record written, its expected version, fields and a
        *generation*: the number of earlier entries with all of these equal whose outcome is definite (done, failed or
        stale). Its first :data:`TOGETHER` characters are derived from all new writes of this call together, so that a
        side which sends several in one request can make one id of them; its last :data:`APART` tell them apart. It is
        40 characters.

        * After ``done`` the side remembers the id and would replay its old answer: a record made, removed later and
          now to be made again needs a new one. After ``failed`` or ``stale`` it might replay the refusal: a second
          try, after whatever stood in the way was mended, needs a new one.
        * After ``absent`` (the reply was lost, then the record was looked for and not found) the first request may
          still be on its way. The second try has the *same* id, so whichever arrives second is recognised by the side
          and does nothing. The same holds for an ``intent`` that never left. There is then one entry, opened again,
          which tells its history in ``evidence``.
        * ``sent`` and ``unknown`` must be settled first (design I3), as must any other open entry of the same record.

        Raises:
            LeaseError: the lease has been taken over; nothing is journalled.
            StepFailedError: a record has an entry that must be settled first, or comes twice; nothing is journalled.
            ConfigurationError: there is no such run.
            ValueError: an operation writes to no side.
            TypeError: a field holds a float or no JSON value.
        """
        intended = [self._intended(operation, fields) for operation, fields in operations]
        with self._writing() as connection:
            now = clock(connection)
            latest = self._latest(connection, intended)
            self._refuse_unsettled(connection, intended)
            ids: dict[str, int] = {}
            new: list[tuple[_Intended, int]] = []
            for item in intended:
                row = latest.get(item.identity)
                if row is not None and EntryStatus(row.status) not in _DEFINITE:
                    self._reopen(connection, row, now)
                    ids[item.identity] = row.id
                else:
                    new.append((item, 0 if row is None else row.generation + 1))
            request_ids = _request_ids([(*item.parts, generation) for item, generation in new])
            fresh = [
                self._row(item, generation, request_id, now)
                for (item, generation), request_id in zip(new, request_ids, strict=True)
            ]
            if fresh:
                made = connection.execute(insert(JournalRow).returning(JournalRow.id, JournalRow.identity), fresh)
                ids |= {identity: entry_id for entry_id, identity in made}
            entries = {entry.id: entry for entry in self._read(connection, ids.values())}
        return [entries[ids[item.identity]] for item in intended]

    def mark_sent(self, entries: Sequence[Entry]) -> None:
        """Commit that these requests are about to leave; the last thing before they do. Also before sending again.

        Raises:
            LeaseError: the lease has been taken over; nothing may be sent.
            StepFailedError: an entry is answered already, or is not of this company.
        """
        ids = [entry.id for entry in entries]
        with self._writing() as connection:
            now = clock(connection)
            marked = 0
            for some in chunks(ids):
                result = connection.execute(
                    update(JournalRow)
                    .where(JournalRow.company == self._company, JournalRow.id.in_(some), JournalRow.status.in_(_OPEN))
                    .values(status=EntryStatus.SENT.value, sent_at=now)
                )
                marked += cast("CursorResult[Any]", result).rowcount
            if marked != len(set(ids)):
                raise StepFailedError(
                    f"{len(set(ids)) - marked} of {len(set(ids))} journal entries about to be sent are answered "
                    "already or unknown here; nothing was sent. Start a new run."
                )

    def answer(self, answers: Sequence[Answer]) -> None:
        """Commit what came of these entries, with their links and bases, in one transaction.

        Raises:
            LeaseError: the lease has been taken over; the entries stay open.
            StepFailedError: an entry is answered already, was never marked as sent (then only ``absent`` is true of
                it), or its agreement would give a record a second counterpart (design I1); nothing is committed.
        """
        by_id = {answer.entry_id: answer for answer in answers}
        if len(by_id) != len(answers):
            raise StepFailedError("A journal entry got two answers at once; none was recorded. Start a new run.")
        now = datetime.now(UTC)
        with self._writing() as connection:
            known: dict[int, tuple[str, str, str | None]] = {}
            for some in chunks(by_id):
                rows = connection.execute(
                    select(JournalRow.id, JournalRow.status, JournalRow.evidence, JournalRow.target_id)
                    .where(JournalRow.company == self._company, JournalRow.id.in_(some))
                    .with_for_update()
                )
                known |= {row.id: (row.status, row.evidence, row.target_id) for row in rows}
            for answer in answers:
                self._refuse_impossible(answer, known.get(answer.entry_id))
            if answers:
                self._put_answers(connection, answers, known, now)
                append_outcomes(connection, self._company, self._run_id, known, now)
            agree(
                connection,
                self._company,
                self._run_id,
                [answer.agreement for answer in answers if answer.agreement is not None],
                now,
            )

    def remember(self, updates: Sequence[tuple[Operation, AgreementUpdate]]) -> None:
        """Commit links and bases of operations that write to no side (*link*, *agree*), in one transaction.

        Raises:
            LeaseError: the lease has been taken over.
            StepFailedError: a record would get a second counterpart (design I1); nothing is committed.
            ValueError: an operation writes to a side: that needs an entry.
        """
        for operation, _ in updates:
            if operation.action.writes:
                raise ValueError(f"{operation.action} of {operation.step} {operation.key} needs a journal entry")
        with self._writing() as connection:
            agree(connection, self._company, self._run_id, [agreement for _, agreement in updates], datetime.now(UTC))

    def forget(self, entity: Entity, books_id: str, billing_id: str, because: str) -> None:
        """End a link; its tombstone stays, so that nothing is created again for it. Ending it twice is ending it once.

        Raises:
            LeaseError: the lease has been taken over.
            StepFailedError: these two were never linked.
        """
        with self._writing() as connection:
            end_link(connection, self._company, self._run_id, entity, books_id, billing_id, because=because)

    def now(self) -> datetime:
        """Now, by the clock of the database: the one that ``sent_at`` was taken from."""
        with reading(self._engine) as connection:
            return clock(connection)

    def mailed(self) -> tuple[frozenset[str], frozenset[str]]:
        """Invoices that an earlier write may have mailed: their ids in books, and their numbers.

        A write that the side refused, or that was proven not to have happened, has mailed nothing.
        """
        query = select(JournalRow.operation).where(
            JournalRow.company == self._company,
            JournalRow.step == Entity.INVOICE.value,
            JournalRow.action == Action.CREATE.value,
            JournalRow.status.not_in(_MADE_NOTHING),
            JournalRow.operation.contains('"kind":"mail"', autoescape=True),
        )
        with reading(self._engine) as connection:
            operations = [json.loads(text) for text in connection.execute(query).scalars()]
        mailed = [one for one in operations if any(effect["kind"] == EffectKind.MAIL for effect in one["effects"])]
        books_ids = frozenset(str(one["books_id"]) for one in mailed if one["books_id"])
        return books_ids, frozenset(str(one["payload"]["number"]) for one in mailed if one["payload"].get("number"))

    def made(self, step: Entity, side: Side) -> dict[str, str | None]:
        """What requests to make something have made: by request id, the record; ``None`` while that is not known.

        A request that was refused, or that was proven not to have happened, has made nothing and is not among them.
        """
        query = select(JournalRow.request_id, JournalRow.target_id).where(
            JournalRow.company == self._company,
            JournalRow.step == step.value,
            JournalRow.side == side.value,
            JournalRow.action == Action.CREATE.value,
            JournalRow.status.not_in(_MADE_NOTHING),
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return {row.request_id: row.target_id for row in rows}

    def refused_changes(self, side: Side, code: str) -> list[Entry]:
        """Changes of records that a side has refused with this code, of whatever run, oldest first."""
        with reading(self._engine) as connection:
            return _entries(
                connection,
                JournalRow.company == self._company,
                JournalRow.side == side.value,
                JournalRow.action == Action.UPDATE.value,
                JournalRow.status == EntryStatus.FAILED.value,
                JournalRow.code == code,
            )

    def open_entries(self) -> list[Entry]:
        """All entries of the company that must be settled, of whatever run, oldest first."""
        with reading(self._engine) as connection:
            return _entries(connection, JournalRow.company == self._company, JournalRow.status.in_(_OPEN))

    def entries(self, run_id: str) -> list[Entry]:
        """All entries of a run of this company, oldest first."""
        with reading(self._engine) as connection:
            return _entries(connection, JournalRow.company == self._company, JournalRow.run_id == run_id)

    def extract(self, run_id: str) -> pd.DataFrame:
        """All entries of a run as a frame, one row each, columns and dtypes of :data:`EXTRACT_COLUMNS`."""
        query = (
            select(JournalRow.__table__)
            .where(JournalRow.company == self._company, JournalRow.run_id == run_id)
            .order_by(JournalRow.id)
        )
        with reading(self._engine) as connection:
            rows = [_extracted(row) for row in connection.execute(query).mappings()]
        frame = pd.DataFrame(rows, columns=list(EXTRACT_COLUMNS))
        return pd.DataFrame(
            {name: pd.array(frame[name].to_list(), dtype=cast("Any", dtype)) for name, dtype in EXTRACT_COLUMNS.items()}
        )

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        if self._lease is None:
            raise LeaseError(
                f"This journal of {self._company!r} was opened for reading; writing needs the company's lease."
            )
        with writing(self._engine) as connection:
            self._lease.check(connection)
            if connection.execute(select(RunRow.id).where(RunRow.id == self._run_id)).first() is None:
                raise ConfigurationError(f"There is no run {self._run_id!r}; a run is created before anything is done.")
            yield connection

    def _intended(self, operation: Operation, fields: Mapping[str, Any]) -> _Intended:
        if operation.side is None or not operation.action.writes:
            raise ValueError(f"{operation.action} of {operation.step} {operation.key} writes to no side")
        target = operation.target_id
        parts = (
            self._company,
            operation.step,
            operation.side,
            operation.action,
            operation.key,
            operation.expected_version,
            dict(fields),
            *((target,) if target is not None else ()),
        )
        return _Intended(operation, operation.side, json_text(dict(fields)), parts, _hash(parts))

    def _latest(self, connection: Connection, intended: Sequence[_Intended]) -> dict[str, Any]:
        """The newest entry (by generation) of each identity that has one."""
        latest: dict[str, Any] = {}
        for some in chunks({item.identity for item in intended}):
            rows = connection.execute(
                select(
                    JournalRow.id,
                    JournalRow.identity,
                    JournalRow.generation,
                    JournalRow.status,
                    JournalRow.run_id,
                    JournalRow.evidence,
                )
                .where(JournalRow.company == self._company, JournalRow.identity.in_(some))
                .order_by(JournalRow.generation)
            )
            latest |= {row.identity: row for row in rows}
        return latest

    def _refuse_unsettled(self, connection: Connection, intended: Sequence[_Intended]) -> None:
        by_record = {item.record: item for item in intended}
        if len(by_record) != len(intended):
            twice = next(item for item in intended if by_record[item.record] is not item)
            raise StepFailedError(
                f"The {twice.operation.step.singular} {twice.operation.label!r} would be written to "
                f"{twice.side.product} twice at once; nothing of this batch was sent."
            )
        for some in chunks({item.operation.key for item in intended}):
            rows = connection.execute(
                select(
                    JournalRow.id,
                    JournalRow.identity,
                    JournalRow.status,
                    JournalRow.step,
                    JournalRow.side,
                    JournalRow.record_key,
                    JournalRow.run_id,
                ).where(
                    JournalRow.company == self._company,
                    JournalRow.record_key.in_(some),
                    JournalRow.status.in_(_OPEN),
                )
            )
            for row in rows:
                item = by_record.get((row.step, row.side, row.record_key))
                if item is None or (row.status == EntryStatus.INTENT and row.identity == item.identity):
                    continue
                raise StepFailedError(
                    f"An earlier write (run {row.run_id}, journal entry {row.id}) of the "
                    f"{item.operation.step.singular} {item.operation.label!r} to {item.side.product} is not settled "
                    f"({row.status}); nothing of this batch was sent. Start a new run, which finds out "
                    "first what came of it."
                )

    def _reopen(self, connection: Connection, row: Any, now: datetime) -> None:
        story = row.evidence
        if row.run_id != self._run_id or row.status != EntryStatus.INTENT:
            story = _told(row.evidence, f"intended in run {row.run_id} ({row.status}), again in run {self._run_id}")
        connection.execute(
            update(JournalRow)
            .where(JournalRow.id == row.id)
            .values(
                run_id=self._run_id,
                status=EntryStatus.INTENT.value,
                version_after=None,
                trace="",
                code="",
                reason="",
                evidence=story,
                intended_at=now,
                sent_at=None,
                answered_at=None,
            )
        )

    def _row(self, item: _Intended, generation: int, request_id: str, now: datetime) -> dict[str, Any]:
        operation = item.operation
        return {
            "company": self._company,
            "run_id": self._run_id,
            "op_id": operation.op_id,
            "identity": item.identity,
            "generation": generation,
            "request_id": request_id,
            "step": operation.step.value,
            "action": operation.action.value,
            "side": item.side.value,
            "record_key": operation.key,
            "target_id": operation.target_id,
            "expected_version": operation.expected_version,
            "operation": json_text(asdict(operation)),
            "fields": item.fields_text,
            "payload_hash": hashlib.sha256(item.fields_text.encode()).hexdigest(),
            "status": EntryStatus.INTENT.value,
            "trace": "",
            "code": "",
            "reason": "",
            "evidence": "",
            "intended_at": now,
        }

    def _read(self, connection: Connection, ids: Iterable[int]) -> Iterator[Entry]:
        for some in chunks(ids):
            yield from _entries(connection, JournalRow.company == self._company, JournalRow.id.in_(some))

    def _refuse_impossible(self, answer: Answer, known: tuple[str, str, str | None] | None) -> None:
        if known is None:
            raise StepFailedError(f"There is no journal entry {answer.entry_id} of {self._company!r} to answer.")
        status = EntryStatus(known[0])
        if not status.open:
            raise StepFailedError(
                f"Journal entry {answer.entry_id} is answered already ({status}), now it would be {answer.status}; "
                "the first answer stands. Start a new run."
            )
        if status is EntryStatus.INTENT and answer.status is not EntryStatus.ABSENT:
            raise StepFailedError(
                f"Journal entry {answer.entry_id} was never marked as sent, so it cannot be {answer.status}."
            )

    def _put_answers(
        self,
        connection: Connection,
        answers: Sequence[Answer],
        known: Mapping[int, tuple[str, str, str | None]],
        now: datetime,
    ) -> None:
        connection.execute(
            update(JournalRow.__table__)  # type: ignore[arg-type]  # declarative types its table as any FROM clause
            .where(JournalRow.id == bindparam("entry_id"))
            .values(
                {
                    name: bindparam(f"new_{name}")
                    for name in (
                        "status",
                        "target_id",
                        "version_after",
                        "trace",
                        "code",
                        "reason",
                        "evidence",
                        "answered_at",
                    )
                }
            ),
            [
                {
                    "entry_id": answer.entry_id,
                    "new_status": answer.status.value,
                    "new_target_id": answer.target_id if answer.target_id is not None else known[answer.entry_id][2],
                    "new_version_after": answer.version_after,
                    "new_trace": answer.trace,
                    "new_code": answer.code,
                    "new_reason": answer.reason,
                    "new_evidence": _told(known[answer.entry_id][1], answer.evidence),
                    "new_answered_at": None if answer.status is EntryStatus.UNKNOWN else now,
                }
                for answer in answers
            ],
        )


def _request_ids(writes: Sequence[Sequence[object]]) -> list[str]:
    """One id per write: what they have together, then what tells them apart."""
    own = [_hash(write) for write in writes]
    together = _hash(own)[:TOGETHER]
    request_ids: list[str] = []
    taken: set[str] = set()
    for identity in own:
        apart = identity[:APART]
        while apart in taken:  # once in tens of billions of batches
            apart = _hash((identity, apart))[:APART]
        taken.add(apart)
        request_ids.append(together + apart)
    return request_ids


def _hash(parts: Sequence[object]) -> str:
    return hashlib.sha256(json_text(list(parts)).encode()).hexdigest()


def _told(story: str, more: str) -> str:
    """A story with one more sentence, unless it ends with that one already."""
    return story if not more or story.endswith(more) else f"{story}; {more}" if story else more


def _entries(connection: Connection, *where: Any) -> list[Entry]:
    query = select(JournalRow.__table__).where(*where).order_by(JournalRow.id)
    return [_entry(row) for row in connection.execute(query).mappings()]


def _entry(row: Mapping[Any, Any]) -> Entry:
    return Entry(
        id=row["id"],
        company=row["company"],
        run_id=row["run_id"],
        op_id=row["op_id"],
        request_id=row["request_id"],
        step=Entity(row["step"]),
        action=Action(row["action"]),
        side=Side(row["side"]),
        key=row["record_key"],
        target_id=row["target_id"],
        expected_version=row["expected_version"],
        operation=json.loads(row["operation"]),
        fields=json.loads(row["fields"]),
        payload_hash=row["payload_hash"],
        status=EntryStatus(row["status"]),
        version_after=row["version_after"],
        trace=row["trace"],
        code=row["code"],
        reason=row["reason"],
        evidence=row["evidence"],
        intended_at=row["intended_at"],
        answered_at=row["answered_at"],
        sent_at=row["sent_at"],
    )


def _extracted(row: Mapping[Any, Any]) -> dict[str, Any]:
    operation = json.loads(row["operation"])
    moments = {name: row[name] and row[name].isoformat() for name in ("intended_at", "sent_at", "answered_at")}
    told = {name: operation[name] for name in ("label", "customer", "amount", "currency")}
    return {**row, "key": row["record_key"], **told, **moments}
