"""The protocol of a side: what can be read, and - on a separate type - what can be written.

A dry run is given only :class:`Readable` objects; they have no write methods at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from reconcile.errors import SideError
from reconcile.model.entities import Entity, Side
from reconcile.model.plan import Action
from reconcile.model.snapshot import Snapshot

Progress = Callable[[int, int | None], None]
"""Called with records read so far and the expected number (``None`` when unknown)."""


def no_progress(_done: int, _expected: int | None) -> None:
    """A progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class CompanyIdentity:
    """Who is behind a connection: compared with the stored one before the first write."""

    company_id: str
    name: str
    currency: str


class Readable(Protocol):
    """A side that can be read.

    All methods raise :class:`~reconcile.errors.UnreachableError`, :class:`~reconcile.errors.RefusedError` or
    :class:`~reconcile.errors.IncompletePullError`; malformed records become findings on the snapshot.
    """

    @property
    def side(self) -> Side:
        """Books or billing."""
        ...

    def identity(self) -> CompanyIdentity:
        """Who is behind this connection."""
        ...

    def census(self, entity: Entity, progress: Progress = no_progress) -> Snapshot:
        """All records of an entity, inactive and void ones included, counted against the side's own count."""
        ...

    def changed(self, entities: Sequence[Entity], since: datetime) -> Mapping[Entity, Snapshot]:
        """Records changed at or after ``since`` (UTC, the side's clock), scope delta; ``gone`` holds deleted ids.

        A snapshot falls back to scope census where the side cannot tell what changed (too old, too many).
        """
        ...

    def fetch(self, entity: Entity, ids: Sequence[str]) -> Snapshot:
        """The records with these ids, read directly, scope selected; ids that no longer exist are in ``gone``."""
        ...


class Status(StrEnum):
    """What came of one write."""

    DONE = "done"
    FAILED = "failed"  # the side said no; nothing was changed
    STALE = "stale"  # the record has another version than expected; nothing was changed
    UNKNOWN = "unknown"  # no answer: it may or may not have happened


class Refusal(StrEnum):
    """What a failed write tells of the same request, sent earlier, whose answer was lost."""

    NOTHING = "nothing"  # it was not sent, or put off: the side has not judged it
    FOR_NOW = "for now"  # the side refused it as things are; they may be otherwise when the first one arrives
    FOR_GOOD = "for good"  # for nothing but what it says: whenever the same request arrives, it is refused


@dataclass(frozen=True, slots=True)
class Write:
    """One write to one side.

    Attributes:
        request_id: at most 50 characters, unique per company; repeating it never writes twice.
        entity, action: what to do (create, update, void, delete, deactivate).
        id: record on this side; ``None`` for create.
        version: version it must still have; ``None`` for create.
        fields: exact values to set, references as ids of this side; for create all of them, else only what changes.
            Child rows are a list of dictionaries with :data:`~reconcile.model.entities.ROW_FIELDS` names.
        context: exact values of the whole record as both sides will have it (same encoding), for sides that must send
            more than what changes.
        mail: whether a new invoice may be mailed to its customer, where the side mails new invoices at all.
    """

    request_id: str
    entity: Entity
    action: Action
    id: str | None
    version: str | None
    fields: Mapping[str, Any]
    context: Mapping[str, Any]
    mail: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one write.

    Attributes:
        request_id: that of the write.
        status: done, failed, stale or unknown.
        id, version: of the record as the side answered; ``None`` unless done.
        code: the side's error code, empty when done.
        reason: why it failed, in words a bookkeeper understands; may quote hostile text.
        trace: the side's own id of the exchange (``intuit_tid``), empty when it gives none.
        fields: the record as the side holds it after the write: exact values of its fields, references as ids of this
            side, child rows as a list of dictionaries; empty unless done. Taken from the answer, or read back.
        halt: why nothing more is to be sent to this side now (it asks for patience, or the company was disconnected);
            ``None`` when others may follow. Then a *failed* write was not carried out, and is not at fault.
        refusal: of a failed write, what it tells of the same request sent earlier.
    """

    request_id: str
    status: Status
    id: str | None = None
    version: str | None = None
    code: str = ""
    reason: str = ""
    trace: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    halt: SideError | None = None
    refusal: Refusal = Refusal.NOTHING


@dataclass(frozen=True, slots=True)
class RequestMemory:
    """How a side can tell what came of a request whose answer was lost.

    Attributes:
        asks: it can be asked by request id, and what it says is definite both ways (:meth:`Writable.recall`).
        repeats: for how long after a request first left, the same request is answered by its first answer and writes
            nothing twice. Within it a repetition is a question; after it, a second write.
        lags: for how long after a request left, a search may not show yet what it made. Before that, finding nothing
            proves nothing (a search may lag behind, and the request itself may still be under way).
    """

    asks: bool
    repeats: timedelta = timedelta()
    lags: timedelta = timedelta()


def mark_of(request_id: str) -> str:
    """Our own key on a record made by this request, where the side has room for one: 16 hexadecimal digits."""
    return hashlib.sha256(request_id.encode()).hexdigest()[:16]


class Writable(Readable, Protocol):
    """A side that can also be written."""

    def write(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Carry out these writes (at most :attr:`batch_size`), one outcome each, matched by request id, same order.

        Never raises for what happens to a single write; a lost answer is an outcome ``unknown``.
        """
        ...

    def find(self, entity: Entity, fields: Mapping[str, Any]) -> Sequence[str]:
        """Ids of records that a lost create with these fields may have made (by number, name, or customer+amount+date).

        Used when settling an unknown: once nothing can be under way or hidden any more (:attr:`memory`), an empty
        answer is the proof of absence.
        """
        ...

    def marks(self, entity: Entity, *, since: datetime | None = None, ids: Sequence[str] = ()) -> Mapping[str, str]:
        """Our marks (:func:`mark_of`) by id: of the records made since a moment (UTC), and of those with these ids.

        Records without one are left out; so is every record of a kind that bears none (:meth:`bears_marks`).
        """
        ...

    def bears_marks(self, entity: Entity) -> bool:
        """Whether a record of this kind that is made here carries our mark from its first version on."""
        ...

    def before_writing(self, check: Callable[[], None]) -> None:
        """Have this called right before each write reaches the side; what it raises keeps the write from leaving."""
        ...

    def hold(self, run_id: str) -> None:
        """Let only this run write from now on, where the side can: what an earlier one has not committed is refused.

        A side that cannot be told this does nothing; :meth:`before_writing` and the versions of records remain.
        """
        ...

    def recall(self, request_id: str) -> Outcome | None:
        """The first answer to this request; ``None`` when it was never carried out and can no longer be by itself.

        Only where :attr:`memory` says that the side can be asked.
        """
        ...

    @property
    def memory(self) -> RequestMemory:
        """What this side remembers of requests."""
        ...

    @property
    def batch_size(self) -> int:
        """Most writes that :meth:`write` takes at once."""
        ...
