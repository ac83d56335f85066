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
