"""What a night tells the people who were asleep: a pure function of the run and of what it filed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reconcile.model.entities import Entity
from reconcile.model.money import show
from reconcile.model.notices import Notice
from reconcile.model.runs import CENTRAL, DISCONNECTED, Outcome, Run

_TOLD = frozenset({Outcome.STEP_FAILED, Outcome.STOPPED, Outcome.DEFERRED, Outcome.DISCONNECTED})
_MOST_LISTED = 20
_SUBJECT_LENGTH = 150


def is_told(run: Run) -> bool:
    """Whether people hear of a run: of a nightly one that did not come to agreement."""
    return bool(run.slot) and run.outcome in _TOLD


def notice_of(
    run: Run, name: str, findings: Sequence[Mapping[str, Any]] | None, at_risk: Sequence[Mapping[str, Any]] | None
) -> Notice:
    """The notice about a nightly run that did not come to agreement.

    Of a company that has to be connected again one notice is made until it is; of one that is deferred run after run,
    one for each evening.

    Args:
        run: with its verdict.
        name: the company's name.
        findings: its ``findings.json``; ``None`` when that cannot be read.
        at_risk: its ``midnight-risk.json``: what midnight would charge twice, minor units; ``None`` alike.
    """
    return Notice(
        run_id=run.id,
        company=run.company,
        about=_about(run),
        subject=_one_line(f"{name}: {run.headline} ({run.slot}, run {run.id})"),
        body="\n".join(_visible(line) for line in _lines(run, name, findings, at_risk)) + "\n",
    )


def _about(run: Run) -> str:
    if run.outcome is Outcome.DISCONNECTED and run.counts.get(DISCONNECTED):
        return f"disconnected since {run.counts[DISCONNECTED]}"
    deferral = run.deferral
    if run.outcome is Outcome.DEFERRED and deferral is not None and deferral.times > 1:
        return f"deferred since {deferral.since.isoformat()}, still on {run.slot_date}"
    return f"run {run.id}"


def _lines(
    run: Run, name: str, findings: Sequence[Mapping[str, Any]] | None, at_risk: Sequence[Mapping[str, Any]] | None
) -> Iterator[str]:
    yield f"{name}: {run.headline}"
    yield ""
    yield run.reason
    if at_risk:
        yield ""
        yield "ReliaBills would charge these at midnight although QuickBooks has them paid:"
        for risk in at_risk[:_MOST_LISTED]:
            currency = str(risk.get("currency") or "")
            amount = f"{show(int(risk['at_risk']), currency)} {currency}".rstrip()
            yield f"  invoice {risk['number']} of {risk['customer']}: {amount}"
        yield from _more(at_risk, "in midnight-risk.json")
    reached = {step.step: step for step in run.steps}
    if reached:
        yield ""
        for entity in Entity:
            step = reached.get(entity)
            came_to = "not started" if step is None else f"{step.status.value}, {step.numbers}"
            yield f"  {entity.step}. {entity.plural}: {came_to}"
    if findings is None or at_risk is None:
        yield ""
        yield f"Not all that it found can be read any more; `reconcile verify {run.company}` says what is damaged."
    serious = [finding for finding in findings or () if finding["severity"] != "note"]
    if serious:
        yield ""
        yield "What a person must look at:"
        for finding in serious[:_MOST_LISTED]:
            yield f"  - {finding['sentence']} {finding['remedy']}".rstrip()
        yield from _more(serious, "in findings.json")
    yield ""
    slot = f"{run.slot} of {run.slot_date}, " if run.slot_date else ""
    yield f"Run {run.id} ({slot}started {run.started_at.astimezone(CENTRAL):%Y-%m-%d %H:%M} Central)."
    yield f"All of it: reconcile show {run.id}"


def _more(listed: Sequence[object], where: str) -> Iterator[str]:
    if len(listed) > _MOST_LISTED:
        yield f"  and {len(listed) - _MOST_LISTED:,} more {where}"


def _one_line(text: str) -> str:
    """A header's text: no line can follow it."""
    line = " ".join(_visible(text).split())
    return line if len(line) <= _SUBJECT_LENGTH else f"{line[:_SUBJECT_LENGTH]}…"


def _visible(text: str) -> str:
    """One line; control characters, which a terminal or a mail program might obey, made visible."""
    return "".join(
        sign if sign.isprintable() else " " if sign.isspace() else "\N{REPLACEMENT CHARACTER}" for sign in text
    )
