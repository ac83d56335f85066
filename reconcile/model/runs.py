"""Runs: parameters, outcomes and what each step came to, as the state database and ``run.json`` keep them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

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

    @property
    def exit_code(self) -> int:
        """0 agreed or planned, 1 agreed except held, 2 a step failed, 3 stopped before writing."""
        return {
            Outcome.AGREED: 0,
            Outcome.PLANNED: 0,
            Outcome.AGREED_EXCEPT_HELD: 1,
            Outcome.STEP_FAILED: 2,
            Outcome.STOPPED: 3,
            Outcome.RUNNING: 2,
        }[self]


class StepStatus(StrEnum):
    """What came of one push step."""

    STARTED = "started"
    SYNCED = "synced"
    FAILED = "failed"
    PLANNED = "planned"  # shown, not written (dry run)


@dataclass(frozen=True, slots=True)
class StepResult:
    """What came of one push step.

    Attributes:
        step: its entity.
        status: synced, failed, started (never finished) or planned.
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


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one company.

    Attributes:
        id: short, sortable, safe in file names; made by us.
        company: company key.
        kind: ``night``, ``manual``, ``dry`` or ``interactive``.
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
