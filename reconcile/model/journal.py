"""The journal: what was intended towards a side and what came of it. Intent is on disk before the request leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from reconcile.model.entities import Entity, Side
from reconcile.model.plan import Action


class EntryStatus(StrEnum):
    """How far one write has come."""

    INTENT = "intent"  # committed; the request may or may not have left
    SENT = "sent"  # about to leave, or gone; no answer yet
    DONE = "done"
    FAILED = "failed"  # the side said no; nothing was changed
    STALE = "stale"  # the record had moved; nothing was changed
    UNKNOWN = "unknown"  # no answer came; it may or may not have happened
    ABSENT = "absent"  # was unknown; looked for and proven not to have happened

    @property
    def open(self) -> bool:
        """Whether it must be settled before the record is written again."""
        return self in {EntryStatus.INTENT, EntryStatus.SENT, EntryStatus.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal.

    Attributes:
        id: row id, grows with time.
        company, run_id: whose and in which run.
        op_id: identity of the planned operation.
        request_id: sent with the request, at most 50 characters; derived from company, operation and generation.
        step, action, side, key: of the operation.
        target_id: id on the written side; ``None`` for a create not yet answered.
        expected_version: version the write named.
        operation: the whole operation as planned (its fields as a mapping), enough to finish or to settle it later.
        fields: what was sent, references as ids of the written side.
        payload_hash: SHA-256 of the canonical JSON of ``fields``.
        status: how far it came.
        version_after, trace, code, reason: from the answer.
        evidence: how an unknown was resolved, in words; empty otherwise.
        intended_at, answered_at: UTC.
        sent_at: when it was last marked as about to leave, UTC, by the clock of the database.
    """

    id: int
    company: str
    run_id: str
    op_id: str
    request_id: str
    step: Entity
    action: Action
    side: Side
    key: str
    target_id: str | None
    expected_version: str | None
    operation: Mapping[str, Any]
    fields: Mapping[str, Any]
    payload_hash: str
    status: EntryStatus
    version_after: str | None
    trace: str
    code: str
    reason: str
    evidence: str
    intended_at: datetime
    answered_at: datetime | None
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AgreementUpdate:
    """What both sides were seen to hold after something was done: makes or keeps the link and moves the base.

    Attributes:
        entity, books_id, billing_id: the linked pair.
        books_version, billing_version: versions as last seen; ``None`` keeps what the base already knows.
        fields: agreed values, exact, references as keys, child rows as canonical text. They are merged into the base:
            a field that is not given stays as it was.
        unsettled: compared fields on which the sides do not agree (yet); replaces what the base had.

    Raises:
        ValueError: a field is called agreed and unsettled at once, or an id is empty.
    """

    entity: Entity
    books_id: str
    billing_id: str
    books_version: str | None
    billing_version: str | None
    fields: Mapping[str, Any]
    unsettled: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be true."""
        both = sorted(set(self.fields) & set(self.unsettled))
        if both:
            raise ValueError(f"{self.entity} {self.books_id}: {', '.join(both)} cannot be agreed and unsettled at once")
        if not self.books_id or not self.billing_id:
            raise ValueError(f"{self.entity}: an agreement needs an id on both sides")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one journal entry.

    Attributes:
        entry_id: the entry answered.
        status: done, failed, stale, unknown or absent.
        target_id: id on the written side; ``None`` keeps what the entry has.
        version_after: the record's version after the write; ``None`` when not known.
        trace, code, reason: from the side's answer; hostile text.
        evidence: how an unknown was resolved, in words.
        agreement: with ``done`` only: link and base that are committed together with this answer.

    Raises:
        ValueError: an answer that is none (``intent``, ``sent``), or an agreement without ``done``.
    """

    entry_id: int
    status: EntryStatus
    target_id: str | None = None
    version_after: str | None = None
    trace: str = ""
    code: str = ""
    reason: str = ""
    evidence: str = ""
    agreement: AgreementUpdate | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be true."""
        if self.status in {EntryStatus.INTENT, EntryStatus.SENT}:
            raise ValueError(f"journal entry {self.entry_id}: {self.status} is no answer")
        if self.agreement is not None and self.status is not EntryStatus.DONE:
            raise ValueError(f"journal entry {self.entry_id}: {self.status} leaves nothing agreed")
