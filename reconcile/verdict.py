"""The verdict on a run: a pure function of what the journal, the steps and the process say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconcile.model.entities import Entity
from reconcile.model.runs import DEFERRED, DISCONNECTED, Outcome, Run, StepStatus

FAILURE = "failure"
"""Key among a run's counts under which the session records why a step failed, in full."""


class Ending(StrEnum):
    """How the process that executed the notebook ended."""

    COMPLETED = "completed"
    CELL_FAILED = "a cell failed"
    TIMED_OUT = "a cell timed out"
    KERNEL_DIED = "the kernel died"
    INTERRUPTED = "interrupted"
    NOT_STARTED = "could not be started"
    NOT_SAVED = "the notebook could not be saved"
    DIED = "its process ended"  # killed, out of memory, the machine down: nobody was left to file it


@dataclass(frozen=True, slots=True)
class Execution:
    """What the runner saw of the process; ``reason`` is for a person and may quote hostile text."""

    ending: Ending
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome of a run and the sentence behind it."""

    outcome: Outcome
    reason: str


def judge(run: Run, execution: Execution, *, writes: int, open_entries: int) -> Verdict:
    """Decide what a run came to.

    Args:
        run: as recorded by the session: steps, tie-out, counts.
        execution: how the process ended.
        writes: journal entries of this run (writes intended, whatever came of them).
        open_entries: those whose outcome is not known.
    """
    if execution.ending is not Ending.COMPLETED:
        return _unfinished(run, execution, writes)
    doubt = _doubt(run, writes=writes, open_entries=open_entries)
    if doubt:
        return Verdict(Outcome.STEP_FAILED if writes or run.apply else Outcome.STOPPED, doubt)
    if not run.apply:
        planned = int(run.counts.get("planned_writes", 0))
        return Verdict(Outcome.PLANNED, f"Dry run: {_times(planned, 'write')} planned, nothing was written.")
    held = int(run.counts.get("held", 0))
    wrote = "Nothing had to be written" if writes == 0 else f"{_times(writes, 'write')} carried out"
    if held:
        return Verdict(
            Outcome.AGREED_EXCEPT_HELD,
            f"{wrote}. Both sides agree to the cent, except {_times(held, 'held record')} that a person must look at.",
        )
    if run.control_totals.get("differing"):
        return Verdict(Outcome.AGREED, f"{wrote}. {run.control_totals.get('sentence')}")
    return Verdict(Outcome.AGREED, f"{wrote}. Both sides agree to the cent.")


def _doubt(run: Run, *, writes: int, open_entries: int) -> str:
    """Why a notebook that came to its end still does not prove agreement; empty when it does."""
    if open_entries:
        return f"{_times(open_entries, 'write')} got no answer; whether they arrived is settled at the next run."
    if not run.control_totals:
        return "The notebook came to its end without a tie-out, so nothing proves that both sides agree."
    if not run.apply:
        return f"A dry run has written {_times(writes, 'record')}; this must never happen." if writes else ""
    synced = {step.step for step in run.steps if step.status is StepStatus.SYNCED}
    unsynced = [entity.plural for entity in Entity if entity not in synced]
    if unsynced:
        return f"Not synced: {', '.join(unsynced)}."
    if not run.control_totals.get("green"):
        return str(run.control_totals.get("sentence") or "The two sides do not tie out.")
    return ""


def _unfinished(run: Run, execution: Execution, writes: int) -> Verdict:
    started = writes > 0 or any(step.status is not StepStatus.PLANNED for step in run.steps)
    failed = next((step.reason for step in run.steps if step.status is StepStatus.FAILED), "")
    recorded = str(run.counts.get(FAILURE, "")) or failed
    said = recorded if execution.ending is Ending.CELL_FAILED else ""
    reason = said or execution.reason or recorded or f"The run ended early: {execution.ending.value}."
    if execution.ending is Ending.CELL_FAILED:
        for key, outcome in ((DEFERRED, Outcome.DEFERRED), (DISCONNECTED, Outcome.DISCONNECTED)):
            if run.counts.get(key):
                return Verdict(outcome, reason)
    return Verdict(Outcome.STEP_FAILED if started else Outcome.STOPPED, reason)


def _times(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
