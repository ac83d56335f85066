"""Runs that could not go on: QuickBooks asked for patience, or the company was disconnected. Decided and put in words.

Pure: from what happened and how the company's last run ended to when it is tried again, and to the sentence for the
person who opens the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from reconcile.errors import Cause, DeferredError, DisconnectedError, SideError
from reconcile.model.entities import Entity
from reconcile.model.runs import CENTRAL, Deferral, Outcome, Run, StepResult, StepStatus

REST = {
    Cause.BUSY: timedelta(minutes=15),
    Cause.TROUBLE: timedelta(minutes=15),
    Cause.TOO_LARGE: timedelta(hours=1),
    Cause.QUOTA: timedelta(days=1),
}
"""How long to leave a system alone; twice as long each time in a row, up to :data:`LONGEST_REST`."""

LONGEST_REST = timedelta(hours=4)
_FOR_A_PERSON = frozenset({Cause.QUOTA, Cause.TOO_LARGE})
"""What passes by itself only in a way that somebody should know of."""

QUOTA_WAITS = 15
QUOTA_AFTER = timedelta(hours=1)
QUOTA_COMPANIES = 3
"""Intuit's limits are per company, per second and per minute; the quota is the program's, per month (API file 6). So
many waits without any answer in between, over more than an hour or by so many companies, are no limit but the quota."""

_QUOTA = (
    "The quota of calls that Intuit allows this program each month appears to be used up. It is tried again once a "
    "day; a larger plan at Intuit ends it at once."
)


_TELLS_NOTHING = frozenset({Outcome.RUNNING, Outcome.STOPPED, Outcome.DISCONNECTED})
"""Outcomes of runs that may have ended before QuickBooks was asked for anything."""


def deferral(error: DeferredError, company: str, last: Run | None, earlier: Sequence[Run], now: datetime) -> Deferral:
    """When to try again, and what is behind it: what one run cannot tell apart, several in a row can.

    Args:
        error: what ended the run.
        company: whose run it is.
        last: the company's run before this one.
        earlier: runs of all companies before this one, newest first; a few dozen are enough.
        now: UTC.
    """
    before = last.deferral if last is not None and last.outcome is Outcome.DEFERRED else None
    times, since = (before.times + 1, before.since) if before is not None else (1, now)
    cause = Cause.QUOTA if error.cause is Cause.BUSY and _used_up(error, company, earlier, now) else error.cause
    rest = REST[cause]
    if rest < LONGEST_REST:
        rest = min(rest * 2 ** min(times - 1, 10), LONGEST_REST)
    return Deferral(cause, now + max(rest, error.wait), since, times, error.waits, answered=error.answered)


def _used_up(error: DeferredError, company: str, earlier: Sequence[Run], now: datetime) -> bool:
    """Whether the program was refused so long, and by so many companies, that its quota must be used up."""
    waits, first, companies = error.waits, now, {company}
    if error.answered:
        return False
    for run in earlier:
        found = run.deferral if run.outcome is Outcome.DEFERRED else None
        if found is None and run.outcome in _TELLS_NOTHING:
            continue
        if found is None or found.answered or found.cause not in {Cause.BUSY, Cause.QUOTA}:
            break
        waits += found.waits
        first = run.started_at
        companies.add(run.company)
    return waits >= QUOTA_WAITS and (now - first >= QUOTA_AFTER or len(companies) >= QUOTA_COMPANIES)


def deferred_words(error: DeferredError, found: Deferral, run: Run, left: str) -> str:
    """The sentence of a deferred run: why, what is across and what is not, when it is tried again.

    Args:
        error: what ended the run; may quote hostile text.
        found: when it is tried again.
        run: as recorded so far.
        left: what is across and what is not (:func:`left_words`).
    """
    why = f"{error} {_QUOTA}" if found.cause is Cause.QUOTA else str(error)
    if found.times > 1:
        why += f" It is the {_ordinal(found.times)} run in a row, since {_moment(found.since)}."
    calm = "" if found.cause in _FOR_A_PERSON else "Nobody needs to do anything: "
    again = f"the next run after {_moment(found.until)} goes on from there (by hand: `reconcile run {run.company}`)."
    return f"{why} {left} {calm}{again if calm else again.capitalize()}"


def disconnected_words(error: DisconnectedError, left: str) -> str:
    """The sentence of a run whose company must be connected again; the error names the command."""
    return (
        f"Stopped: disconnected. {error} {left} Nothing is tried again before that; other companies are not affected."
    )


def left_words(steps: Sequence[StepResult], error: SideError, *, apply: bool, proving: bool = False) -> str:
    """What is across and what is not, when a run broke off.

    Args:
        steps: results so far, in step order.
        error: what broke it off; what a step's reason says of it is not said twice.
        apply: whether the run was allowed to write.
        proving: it broke off when all steps were across and only their result was still to be proven.
    """
    if not apply:
        return "It was a dry run; nothing was written."
    if not steps:
        return "Nothing was written: both sides are as they were."
    across = [f"{step.step.plural} ({step.done})" for step in steps if step.status is StepStatus.SYNCED and step.done]
    broken = [step for step in steps if step.status is not StepStatus.SYNCED]
    said = [f"Across: {', '.join(across)}."] if across else []
    if proving:
        return " ".join(
            [*said, "All five steps are done, but both sides could not be read again to prove that they agree."]
        )
    said += [_broken_words(step, str(error)) for step in broken]
    last = max(step.step.step for step in steps)
    later = [entity.plural for entity in Entity if entity.step > last]
    if later:
        said.append(f"Not started: {', '.join(later)}.")
    return " ".join(said)


def _broken_words(step: StepResult, said: str) -> str:
    name = f"Step {step.step.step} of 5, {step.step.plural}, broke off"
    if step.status is StepStatus.STARTED:
        return f"{name} while records were read again; what it had sent by then stands in the journal."
    unknown = (
        f", {step.unknown} without an answer (looked up before anything else is done to "
        f"{'it' if step.unknown == 1 else 'them'})"
        if step.unknown
        else ""
    )
    rest = step.reason.replace(said, "", 1).strip()
    words = f"{name}: {step.done} across{unknown}."
    return f"{words} {rest}".strip()


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(CENTRAL):%Y-%m-%d %H:%M} Central"


def _ordinal(number: int) -> str:
    suffix = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")  # noqa: PLR2004  11th, 12th
    return f"{number}{suffix}"
