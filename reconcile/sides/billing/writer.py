"""ReliaBills as a side that can also be written: one transaction per write, repeatable by request id."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError

from reconcile.errors import LeaseError
from reconcile.model.entities import Entity
from reconcile.model.plan import Action, canonical_json
from reconcile.sides.billing import rules
from reconcile.sides.billing.connection import explain, open_engine, transaction
from reconcile.sides.billing.reader import BillingReader
from reconcile.sides.billing.records import (
    PARENT_COLUMN,
    ROW_TABLES,
    TABLES,
    as_fields,
    expression,
    select_records,
    select_rows,
)
from reconcile.sides.billing.storing import RefusalError, StaleError, moment
from reconcile.sides.billing.tables import SETTINGS, SYNC_HOLDER, SYNC_REQUESTS
from reconcile.sides.side import Outcome, Refusal, RequestMemory, Status, Write

BATCH_SIZE = 50
_HOLDER = 1
"""Id of the only row of its table."""

_FOUND_BY: dict[Entity, tuple[str, ...]] = {
    Entity.CUSTOMER: ("display_name",),
    Entity.PRODUCT: ("name",),
    Entity.TAX_RATE: ("name",),
    Entity.INVOICE: ("number",),
    Entity.PAYMENT: ("customer_id", "amount", "credit", "payment_date"),
}
"""What a record is looked for by when the answer to its creation was lost."""


class BillingWriter(BillingReader):
    """ReliaBills, read and written; satisfies :class:`~reconcile.sides.side.Writable`.

    Reading goes through connections that cannot write, as in :class:`BillingReader`.
    """

    def __init__(self, url: str, company: str, currency: str = "USD") -> None:
        super().__init__(url, company, currency)
        self._write_engine = open_engine(self._url, read_only=False)
        self._before_writing: Callable[[], None] | None = None
        self._run_id = ""

    def close(self) -> None:
        """Give all connections back."""
        super().close()
        self._write_engine.dispose()

    @property
    def batch_size(self) -> int:
        """Most writes at once; each has its own transaction, so the number only sets how often progress is told."""
        return BATCH_SIZE

    def write(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Carry out these writes one after the other; a repeated request id is given its first answer."""
        return [self._write(write) for write in writes]

    def find(self, entity: Entity, fields: Mapping[str, Any]) -> Sequence[str]:
        """Ids of records with the same number, name, or customer, amounts and date; void and inactive ones included.

        Raises:
            ValueError: the fields do not say what to look for.
        """
        table = TABLES[entity]
        wanted = {name: fields.get(name) for name in _FOUND_BY[entity]}
        if "credit" in wanted:
            wanted["credit"] = wanted["credit"] or 0
        if any(value is None for value in wanted.values()):
            raise ValueError(f"a {entity.singular} cannot be looked for without {', '.join(_FOUND_BY[entity])}")
        conditions = [
            expression(entity, name) == (int(str(value)) if name == "customer_id" else value)
            for name, value in wanted.items()
        ]
        with transaction(self._engine, self._url) as connection:
            return [str(key) for key in connection.scalars(select(table.c.id).where(*conditions).order_by(table.c.id))]

    def before_writing(self, check: Callable[[], None]) -> None:
        """Ask at the start of each transaction that writes, once it has its lock."""
        self._before_writing = check

    def hold(self, run_id: str) -> None:
        """Let only this run write from now on; waits for a write that is just being committed.

        Every write looks, in its own transaction, whether its run still holds the company. So a run that was overtaken
        (a machine that slept, a process that hung between its last check and its write) changes nothing any more.

        Raises:
            ConfigurationError, SideError: the database cannot be written.
        """
        with transaction(self._write_engine, self._url) as connection:
            upsert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(SYNC_HOLDER)
            now = {"run_id": run_id, "updated_at": moment()}
            connection.execute(
                upsert.values(id=_HOLDER, version=1, **now).on_conflict_do_update(
                    index_elements=[SYNC_HOLDER.c.id], set_={**now, "version": SYNC_HOLDER.c.version + 1}
                )
            )
        self._run_id = run_id

    @property
    def memory(self) -> RequestMemory:
        """Every request is remembered in the transaction that carries it out, for ever."""
        return RequestMemory(asks=True)

    def recall(self, request_id: str) -> Outcome | None:
        """The first answer to this request; waits until a transaction that is still carrying it out has ended.

        Raises:
            ConfigurationError, SideError: the database cannot be asked.
        """
        with transaction(self._write_engine, self._url) as connection:
            _alone_with(connection, request_id)
            known = connection.execute(
                select(SYNC_REQUESTS.c.answer).where(SYNC_REQUESTS.c.request_id == request_id)
            ).first()
        return None if known is None else _first_answer(known.answer)

    def bears_marks(self, _entity: Entity) -> bool:
        """No: it remembers requests, which tells more."""
        return False

    def marks(self, _entity: Entity, *, since: datetime | None = None, ids: Sequence[str] = ()) -> Mapping[str, str]:  # noqa: ARG002  (the protocol's)
        """None: it remembers requests."""
        return {}

    def _write(self, write: Write) -> Outcome:
        committing = False
        try:
            with self._write_engine.begin() as connection:
                _alone_with(connection, write.request_id)
                _insist_on_holder(connection, self._run_id)
                if self._before_writing is not None:
                    self._before_writing()
                outcome = _repeated(connection, write) or _carry_out(connection, write)
                committing = True
        except RefusalError as refusal:
            return Outcome(write.request_id, Status.FAILED, code=refusal.code, reason=refusal.reason)
        except TypeError as error:  # a float, or something that is no value at all, among the fields
            return Outcome(write.request_id, Status.FAILED, code="malformed", reason=f"It cannot be written: {error}.")
        except StaleError:
            return Outcome(
                write.request_id,
                Status.STALE,
                code="stale",
                reason=f"The {write.entity.singular} was changed in ReliaBills meanwhile.",
            )
        except IntegrityError as error:
            return self._after_collision(write, error)
        except DBAPIError as error:
            reason = str(explain(error, self._write_engine, self._url))
            status = Status.UNKNOWN if committing else Status.FAILED
            return Outcome(write.request_id, status, code="database", reason=reason)
        return outcome

    def _after_collision(self, write: Write, error: IntegrityError) -> Outcome:
        """Another transaction was faster: with the same request (then its answer counts), or with the same number."""
        try:
            with self._write_engine.begin() as connection:
                answered = _repeated(connection, write)
        except RefusalError as refusal:
            return Outcome(write.request_id, Status.FAILED, code=refusal.code, reason=refusal.reason)
        except DBAPIError as lost:
            reason = str(explain(lost, self._write_engine, self._url))
            return Outcome(write.request_id, Status.FAILED, code="database", reason=reason)
        return answered or Outcome(
            write.request_id,
            Status.FAILED,
            code="integrity",
            reason=f"The ReliaBills database refused the {write.entity.singular}: {error.orig}.",
        )


def _insist_on_holder(connection: Connection, run_id: str) -> None:
    """Nobody may take over before this transaction has ended.

    Raises:
        LeaseError: another run has taken over.
    """
    holder = connection.scalar(
        select(SYNC_HOLDER.c.run_id).where(SYNC_HOLDER.c.id == _HOLDER).with_for_update(read=True)
    )
    if (holder or "") != run_id:
        raise LeaseError(
            f"Run {run_id or 'without a name'} no longer holds ReliaBills: run {holder} has taken over. It writes "
            "nothing more; start a new run."
        )


def _carry_out(connection: Connection, write: Write) -> Outcome:
    if write.action is Action.CREATE:
        key = rules.create(connection, write)
    elif write.action is Action.UPDATE:
        key = rules.change(connection, write)
    elif write.action is Action.VOID:
        key = rules.void(connection, write)
    elif write.action is Action.DEACTIVATE:
        key = rules.deactivate(connection, write)
    else:
        raise RefusalError(
            "not_deletable", f"Nothing is deleted in ReliaBills: a {write.entity.singular} is voided or made inactive."
        )
    outcome = _stored(connection, write, key)
    connection.execute(
        insert(SYNC_REQUESTS).values(
            request_id=write.request_id,
            entity=write.entity.value,
            record_id=key,
            payload_hash=_payload_hash(write),
            answer=json.dumps(asdict(outcome), ensure_ascii=False),
            version=1,
            updated_at=moment(),
        )
    )
    return outcome


def _repeated(connection: Connection, write: Write) -> Outcome | None:
    """The first answer to this request id, if it was carried out before."""
    known = connection.execute(
        select(SYNC_REQUESTS.c.payload_hash, SYNC_REQUESTS.c.answer).where(
            SYNC_REQUESTS.c.request_id == write.request_id
        )
    ).first()
    if known is None:
        return None
    if known.payload_hash != _payload_hash(write):
        raise RefusalError(
            "request_reused", "This request was carried out before with other content; it is not carried out again."
        )
    return _first_answer(known.answer)


def _first_answer(text: str) -> Outcome:
    answer = json.loads(text)
    refusal = Refusal(answer.get("refusal", Refusal.NOTHING))
    return Outcome(**{**answer, "status": Status(answer["status"]), "refusal": refusal})


def _alone_with(connection: Connection, request_id: str) -> None:
    """Wait until no other transaction is about this request. On SQLite there is one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(request_id, 0))))


def _payload_hash(write: Write) -> str:
    content = [write.entity, write.action, write.id, write.version, dict(write.fields)]
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def _stored(connection: Connection, write: Write, key: int) -> Outcome:
    """The record as it is stored now."""
    entity, table = write.entity, TABLES[write.entity]
    record = connection.execute(select_records(entity).where(table.c.id == key)).mappings().one()
    rows: Sequence[Mapping[str, Any]] = []
    if entity in ROW_TABLES:
        statement = select_rows(entity).where(ROW_TABLES[entity].c[PARENT_COLUMN[entity]] == key)
        rows = [dict(row) for row in connection.execute(statement).mappings()]
    fields = as_fields(entity, dict(record), rows)
    if entity in {Entity.CUSTOMER, Entity.INVOICE, Entity.PAYMENT}:
        fields["currency"] = connection.scalar(select(SETTINGS.c.currency).order_by(SETTINGS.c.id))
    return Outcome(write.request_id, Status.DONE, str(record["id"]), str(record["version"]), fields=fields)
