"""The audit trail: one row per outcome of a write and per filed run, never changed, each sealed with the one before.

Whoever alters, removes or slips in a row breaks the seals from there on. The seal's recipe below is part of what is
kept: it never changes, because trails sealed with it must still be verified in ten years.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from reconcile.model.plan import canonical_json

ENTRY_FIELDS = (
    "id",
    "run_id",
    "op_id",
    "identity",
    "generation",
    "request_id",
    "step",
    "action",
    "side",
    "record_key",
    "target_id",
    "expected_version",
    "operation",
    "fields",
    "payload_hash",
    "status",
    "version_after",
    "trace",
    "code",
    "reason",
    "evidence",
    "intended_at",
    "sent_at",
    "answered_at",
)
"""Columns of a journal row that an outcome seals. Later columns are not added here (see above)."""


class AuditKind(StrEnum):
    """What an audit row tells."""

    OUTCOME = "outcome"  # what came of one write
    RUN = "run"  # a run was filed
    ADOPTED = "adopted"  # a person confirmed that evidence newer than the state is known (the state went back)


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a company's trail: number and seal of its newest row. 0 and the empty text when there is none."""

    sequence: int = 0
    seal: str = ""

    def __str__(self) -> str:
        """As people copy it: ``1234:9f86d081...``."""
        return f"{self.sequence}:{self.seal}"

    @classmethod
    def from_text(cls, text: str) -> Head:
        """The head that :meth:`__str__` wrote.

        Raises:
            ValueError: the text is no head.
        """
        sequence, colon, seal = text.strip().partition(":")
        if not (colon and sequence.isascii() and sequence.isdigit()) or not all(sign in _HEX for sign in seal):
            raise ValueError(f"{text!r} is not the head of an audit trail, which looks like 1234:9f86d081...")
        return cls(int(sequence), seal)


_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One row of a company's audit trail.

    Attributes:
        company: company key.
        sequence: 1, 2, 3, ... per company, without gaps.
        kind: what it tells.
        run_id: the run in which it happened.
        entry_id: the journal entry of an outcome; ``None`` otherwise.
        content: canonical JSON. Of an outcome: request id, step, action, side, target, payload hash, status, versions
            and the hash of the whole journal row. Of a run: folder, outcome and the SHA-256 of its ``run.json`` (empty
            when it could not be saved). Of an adoption: who, why, and the ``run.json`` hashes by folder.
        at: when, UTC.
        previous: seal of the row before; empty for the first.
        seal: as stored; right when it equals :meth:`computed_seal`.
    """

    company: str
    sequence: int
    kind: AuditKind
    run_id: str
    entry_id: int | None
    content: str
    at: datetime
    previous: str
    seal: str = ""

    def computed_seal(self) -> str:
        """SHA-256 over everything that the row says, the seal of the row before included."""
        told = [
            self.company,
            self.sequence,
            self.kind.value,
            self.run_id,
            self.entry_id,
            self.content,
            _moment(self.at),
            self.previous,
        ]
        return hashlib.sha256(canonical_json(told).encode("utf-8", "surrogatepass")).hexdigest()


def entry_hash(row: Mapping[Any, Any]) -> str:
    """SHA-256 over a journal row, columns :data:`ENTRY_FIELDS`."""
    told = [_moment(value) if isinstance(value := row[name], datetime) else value for name in ENTRY_FIELDS]
    return hashlib.sha256(canonical_json(told).encode("utf-8", "surrogatepass")).hexdigest()


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
