"""A real side that lives in memory: passes the same tests as the two systems and serves tests of everything above.

It computes totals and balances by ReliaBills' arithmetic (:mod:`reconcile.model.totals`), counts a version per record,
remembers request ids for ever (or, when told so, is as forgetful as another side) and refuses stale versions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from reconcile.model.entities import ROW_FIELDS, ROWS_COLUMN, Entity, Side
from reconcile.model.plan import Action
from reconcile.model.snapshot import Scope, Snapshot, conform, record_dtypes, row_dtypes
from reconcile.model.totals import TotalsError, invoice_standing, invoice_totals, unapplied
from reconcile.sides.side import (
    CompanyIdentity,
    Outcome,
    Progress,
    RequestMemory,
    Status,
    Write,
    mark_of,
    no_progress,
)

REMEMBERS = RequestMemory(asks=True)
"""A side that knows every request it has carried out."""


@dataclass
class _Record:
    """One stored record: its fields (child rows as a list) and what a version control needs."""

    fields: dict[str, Any]
    version: int = 0
    updated_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class MemorySide:
    """A side in memory, readable and writable (:class:`reconcile.sides.side.Writable`).

    Args:
        side: which one it is.
        currency: of all its amounts.
        memory: what it says of the requests it was sent. One that cannot be asked marks the invoices and payments it
            is made to create.
    """

    batch_size = 30

    def __init__(self, side: Side, currency: str = "USD", memory: RequestMemory = REMEMBERS) -> None:
        self._side = side
        self.memory = memory
        self._before_writing: Callable[[], None] | None = None
        self._marks: dict[Entity, dict[str, str]] = {entity: {} for entity in Entity}
        self._currency = currency
        self._records: dict[Entity, dict[str, _Record]] = {entity: {} for entity in Entity}
        self._gone: dict[Entity, set[str]] = {entity: set() for entity in Entity}
        self._answers: dict[str, Outcome] = {}
        self._next_id = 1 if side is Side.BOOKS else 1001
        self.writes = 0

    @property
    def side(self) -> Side:
        """Books or billing."""
        return self._side

    def identity(self) -> CompanyIdentity:
        """A company that exists only here."""
        return CompanyIdentity("memory", "A company in memory", self._currency)

    def add(self, entity: Entity, **values: Any) -> str:
        """A person makes a record; gives its id. Child rows are a list of dictionaries under their field's name."""
        record_id = str(self._next_id)
        self._next_id += 1
        self._records[entity][record_id] = _Record(dict(values))
        return record_id

    def edit(self, entity: Entity, record_id: str, **values: Any) -> None:
        """A person changes a record."""
        self._change(entity, record_id, values)

    def remove(self, entity: Entity, record_id: str) -> None:
        """A person deletes a record."""
        del self._records[entity][record_id]
        self._gone[entity].add(record_id)

    def values(self, entity: Entity, record_id: str) -> Mapping[str, Any]:
        """One record's stored and computed fields."""
        return self._computed(entity, record_id)

    def census(self, entity: Entity, progress: Progress = no_progress) -> Snapshot:
        """All records."""
        ids = list(self._records[entity])
        progress(len(ids), len(ids))
        return self._snapshot(entity, ids, Scope.CENSUS, counted=len(ids))

    def changed(self, entities: Sequence[Entity], since: datetime) -> Mapping[Entity, Snapshot]:
        """Records changed at or after ``since``."""
        return {
            entity: self._snapshot(
                entity,
                [key for key, record in self._records[entity].items() if record.updated_at >= since],
                Scope.DELTA,
                gone=frozenset(self._gone[entity]),
            )
            for entity in entities
        }

    def fetch(self, entity: Entity, ids: Sequence[str]) -> Snapshot:
        """These records; the ids that no longer exist are in ``gone``."""
        there = [record_id for record_id in ids if record_id in self._records[entity]]
        missing = frozenset(ids) - frozenset(there)
        return self._snapshot(entity, there, Scope.SELECTED, gone=missing)

    def write(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Carry out these writes; a repeated request id gives the first answer."""
        return [self._write(write) for write in writes]

    def find(self, entity: Entity, fields: Mapping[str, Any]) -> Sequence[str]:
        """Ids of records that a lost create with these fields may have made."""
        keys = {
            Entity.CUSTOMER: ("display_name",),
            Entity.PRODUCT: ("name",),
            Entity.TAX_RATE: ("name",),
            Entity.INVOICE: ("number",),
            Entity.PAYMENT: ("customer_id", "amount", "payment_date"),
        }[entity]
        return [
            record_id
            for record_id, record in self._records[entity].items()
            if all(record.fields.get(key) == fields.get(key) for key in keys)
        ]

    def before_writing(self, check: Callable[[], None]) -> None:
        """Ask before each write."""
        self._before_writing = check

    def hold(self, run_id: str) -> None:
        """Whoever holds this object writes."""

    def recall(self, request_id: str) -> Outcome | None:
        """The first answer to this request."""
        return self._answers.get(request_id)

    def bears_marks(self, entity: Entity) -> bool:
        """Invoices and payments do, unless requests are remembered anyway."""
        return not self.memory.asks and entity in {Entity.INVOICE, Entity.PAYMENT}

    def marks(self, entity: Entity, *, since: datetime | None = None, ids: Sequence[str] = ()) -> Mapping[str, str]:
        """Our marks by record id."""
        return {
            record_id: mark
            for record_id, mark in self._marks[entity].items()
            if since is not None or record_id in ids
            if record_id in self._records[entity]
        }

    def unmark(self, entity: Entity, record_id: str) -> None:
        """A person wipes our mark out."""
        del self._marks[entity][record_id]

    def _write(self, write: Write) -> Outcome:
        if self._before_writing is not None:
            self._before_writing()
        if write.request_id in self._answers:
            return self._answers[write.request_id]
        stored = self._records[write.entity].get(write.id) if write.id is not None else None
        if write.action is not Action.CREATE and (stored is None or str(stored.version) != write.version):
            return Outcome(write.request_id, Status.STALE, reason="it was changed meanwhile")
        record_id = write.id or self.add(write.entity, active=True, void=False)
        before = dict(self._records[write.entity][record_id].fields)
        self._change(
            write.entity, record_id, {**write.fields, **({"void": True} if write.action is Action.VOID else {})}
        )
        try:
            values = self._computed(write.entity, record_id)
        except TotalsError as error:
            self._undo(write, record_id, before)
            return Outcome(write.request_id, Status.FAILED, code="totals", reason=f"this {write.entity} {error}")
        self.writes += 1
        if write.action is Action.CREATE and self.bears_marks(write.entity):
            self._marks[write.entity][record_id] = mark_of(write.request_id)
        version = str(self._records[write.entity][record_id].version)
        outcome = Outcome(write.request_id, Status.DONE, record_id, version, fields=values)
        self._answers[write.request_id] = outcome
        return outcome

    def _undo(self, write: Write, record_id: str, before: dict[str, Any]) -> None:
        if write.action is Action.CREATE:
            del self._records[write.entity][record_id]
        else:
            self._records[write.entity][record_id].fields = before

    def _change(self, entity: Entity, record_id: str, values: Mapping[str, Any]) -> None:
        record = self._records[entity][record_id]
        record.fields |= values
        record.version += 1
        record.updated_at = datetime.now(UTC)

    def _computed(self, entity: Entity, record_id: str) -> dict[str, Any]:
        values: dict[str, Any] = dict.fromkeys(record_dtypes(entity)) | dict(self._records[entity][record_id].fields)
        for name in ("id", "version", "updated_at"):
            values.pop(name)
        if "currency" in values:
            values["currency"] = self._currency
        if entity in ROWS_COLUMN:
            names = [row_field.name for row_field in ROW_FIELDS[entity]]
            rows = values.get(ROWS_COLUMN[entity]) or []
            values[ROWS_COLUMN[entity]] = [{name: row.get(name) for name in names} for row in rows]
        if entity is Entity.INVOICE:
            values |= self._invoice_results(record_id, values)
        if entity is Entity.PAYMENT:
            applied = [row["amount"] for row in values["applications"]]
            values["unapplied"] = 0 if values["void"] else unapplied(values["amount"], values["credit"], applied)
        return values

    def _invoice_results(self, record_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
        rate = self._records[Entity.TAX_RATE].get(str(values["tax_rate_id"]))
        totals = invoice_totals(
            [(row["amount"] or 0, bool(row["taxable"])) for row in values["lines"]],
            tax_percent=rate.fields["percent"] if rate else None,
            discount_percent=values["discount_percent"],
            discount_taxable=values["discount_taxable"],
            discount_nontaxable=values["discount_nontaxable"],
        )
        paid = sum(
            row["amount"]
            for payment in self._records[Entity.PAYMENT].values()
            if not payment.fields.get("void")
            for row in payment.fields.get("applications") or []
            if row["invoice_id"] == record_id
        )
        standing = invoice_standing(totals.total, 0 if values["void"] else paid, void=bool(values["void"]))
        return {
            "subtotal": totals.subtotal,
            "discount": totals.discount,
            "tax": totals.tax,
            "total": totals.total,
            "balance": standing.balance,
            "state": standing.state,
        }

    def _snapshot(
        self,
        entity: Entity,
        ids: Sequence[str],
        scope: Scope,
        *,
        counted: int | None = None,
        gone: frozenset[str] = frozenset(),
    ) -> Snapshot:
        records, rows = [], []
        for record_id in ids:
            stored = self._records[entity][record_id]
            values = self._computed(entity, record_id)
            for position, row in enumerate(values.pop(ROWS_COLUMN.get(entity, ""), None) or [], start=1):
                rows.append({"parent_id": record_id, "position": position, **row})
            updated_at = stored.updated_at.isoformat(timespec="microseconds")
            records.append({"id": record_id, "version": str(stored.version), "updated_at": updated_at, **values})
        return Snapshot(
            side=self._side,
            entity=entity,
            frame=conform(_frame(records, record_dtypes(entity)), record_dtypes(entity)),
            rows=conform(_frame(rows, row_dtypes(entity)), row_dtypes(entity)),
            as_of=datetime.now(UTC),
            scope=scope,
            counted=counted,
            gone=gone,
            marks=self.marks(entity, ids=ids) if entity is Entity.PAYMENT else {},
        )


def _frame(records: Sequence[Mapping[str, Any]], dtypes: Mapping[str, str]) -> pd.DataFrame:
    return pd.DataFrame(
        {name: pd.Series([record.get(name) for record in records], dtype=dtype) for name, dtype in dtypes.items()}
    )
