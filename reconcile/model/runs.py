"""Runs: parameters, outcomes and what each step came to, as the state database and ``run.json`` keep them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from reconcile.errors import Cause
from reconcile.model.entities import Entity

CENTRAL = ZoneInfo("America/Chicago")
"""The zone of the schedule (ReliaBills, "ours" 5): slots, folder names and what people read are in it."""


class Mode(StrEnum):
    """Full read, or changes only."""

    CENSUS = "census"
    DELTA = "delta"


class Outcome(StrEnum):
    """What a run came to; the exit code of the command line follows from it."""

    RUNNING = "running"
    AGREED = "agreed"
    AGREED_EXCEPT_HELD = "agreed except held"
    STEP_FAILED = "a step failed"
    STOPPED = "stopped before writing"
    PLANNED = "planned"  # a dry run that came to its end
    DEFERRED = "deferred"  # a system asked for patience: what is written stays, the rest is tried again later
    DISCONNECTED = "stopped: disconnected"  # the company must be connected again by a person

    @property
    def exit_code(self) -> int:
        """0 agreed or planned, 1 agreed except held, 2 a step failed, 3 stopped, 4 deferred, 5 disconnected."""
        return {
            Outcome.AGREED: 0,
            Outcome.PLANNED: 0,
            Outcome.AGREED_EXCEPT_HELD: 1,
            Outcome.STEP_FAILED: 2,
            Outcome.STOPPED: 3,
            Outcome.RUNNING: 2,
            Outcome.DEFERRED: 4,
            Outcome.DISCONNECTED: 5,
        }[self]


class StepStatus(StrEnum):
    """What came of one push step."""

    STARTED = "started"
    SYNCED = "synced"
    FAILED = "failed"
    PLANNED = "planned"  # shown, not written (dry run)
    BROKEN_OFF = "broken off"  # the system could not be used any longer; what was not sent is not failed


@dataclass(frozen=True, slots=True)
class StepResult:
    """What came of one push step.

    Attributes:
        step: its entity.
        status: synced, failed, started (never finished), planned or broken off.
        done, failed, held, unknown: numbers of operations.
        reason: why it failed, for a bookkeeper; empty otherwise. May quote hostile text.
    """

    step: Entity
    status: StepStatus
    done: int = 0
    failed: int = 0
    held: int = 0
    unknown: int = 0
    reason: str = ""

    @property
    def numbers(self) -> str:
        """``3 done, 1 failed``: what is none is left out, but for what was done."""
        others = ((self.failed, "failed"), (self.unknown, "unknown"), (self.held, "held"))
        return f"{self.done} done" + "".join(f", {number} {what}" for number, what in others if number)


DEFERRED = "deferred"
"""Key among a run's counts under which its :class:`Deferral` is kept."""

DISCONNECTED = "disconnected"
"""Key among a run's counts under which stands since when (UTC, ISO 8601) the company needs to be connected again."""


EVERYTHING = "read_everything_because"
"""Key among a run's counts under which stands, in words, why a delta read everything; absent when it did not."""

NOVELTIES = "new_in_quickbooks"
"""Key among a run's counts under which stands all that was ever new in the company's QuickBooks, once it met more."""

CENSUS_AT = "census_at"
"""Key among a run's counts under which stands when it read everything on both sides and came to its end (ISO 8601)."""


@dataclass(frozen=True, slots=True)
class Deferral:
    """Why a run could not go on for now, and when the company is to be tried again.

    Attributes:
        cause: busy, quota, trouble or too large.
        until: before this moment (UTC) trying again is of no use.
        since: when the first of this company's deferred runs in a row was deferred, UTC.
        times: how many runs in a row were deferred.
        waits: how often in a row the system was waited for in vain when this run was given up.
        answered: whether it had answered this run anything before.
    """

    cause: Cause
    until: datetime
    since: datetime
    times: int = 1
    waits: int = 0
    answered: bool = False

    def as_json(self) -> dict[str, Any]:
        """As ``run.json`` and the state keep it."""
        return {
            "cause": self.cause.value,
            "until": self.until.astimezone(UTC).isoformat(),
            "since": self.since.astimezone(UTC).isoformat(),
            "times": self.times,
            "waits": self.waits,
            "answered": self.answered,
        }


def deferral_of(kept: Mapping[str, Any] | None) -> Deferral | None:
    """What :meth:`Deferral.as_json` gave."""
    if not kept:
        return None
    moments = {name: datetime.fromisoformat(str(kept[name])) for name in ("until", "since")}
    return Deferral(
        Cause(kept["cause"]),
        **moments,
        times=int(kept["times"]),
        waits=int(kept["waits"]),
        answered=bool(kept["answered"]),
    )


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one company.

    Attributes:
        id: short, sortable, safe in file names; made by us.
        company: company key.
        kind: ``night``, ``manual``, ``dry``, ``undo`` (a dry one), ``apply`` or ``interactive``.
        mode: census or delta.
        apply: whether writing was allowed.
        slot: ``22:30`` or ``01:30`` when it belongs to one, else empty.
        slot_date: local date of the slot.
        parameters: as given, JSON values.
        started_at, ended_at: UTC.
        outcome: running until the runner (or the session, when interactive) decides.
        reason: the sentence behind the outcome. May quote hostile text.
        folder: path of the evidence, relative to the runs folder.
        counts: numbers worth keeping (records per side, operations, findings by severity).
        control_totals: the tie-out, per measure and side, minor units.
        steps: results so far, in step order.
    """

    id: str
    company: str
    kind: str
    mode: Mode
    apply: bool
    slot: str
    slot_date: date | None
    parameters: Mapping[str, Any]
    started_at: datetime
    ended_at: datetime | None
    outcome: Outcome
    reason: str
    folder: str
    counts: Mapping[str, Any] = field(default_factory=dict)
    control_totals: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[StepResult, ...] = ()

    @property
    def deferral(self) -> Deferral | None:
        """Why and until when it was deferred; ``None`` when it was not."""
        return deferral_of(self.counts.get(DEFERRED))

    @property
    def headline(self) -> str:
        """What it came to, in a few words: ``agreed``, ``deferred: quota``, ..."""
        deferral = self.deferral if self.outcome is Outcome.DEFERRED else None
        return f"{self.outcome.value}: {deferral.cause}" if deferral else self.outcome.value
