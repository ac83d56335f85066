"""The parts of a run's story: counts, changes, differences, findings, steps, tie-out, verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from reconcile.model.changes import Comparison, Decision, Verdict
from reconcile.model.entities import Entity, Side, field
from reconcile.model.findings import Finding, Severity
from reconcile.model.runs import CENTRAL, EVERYTHING, Outcome, Run, StepResult, StepStatus
from reconcile.model.snapshot import Scope, Snapshots
from reconcile.report.html import (
    DASH,
    NOWRAP,
    RIGHT,
    Cell,
    Column,
    Shown,
    Tone,
    box,
    chip,
    counted,
    display,
    grid,
    missing,
    more,
    page,
    sentence,
    shown_text,
    title_of,
)
from reconcile.report.tables import LIMIT, amount_cell, count_cell, money_text, table

Comparisons = Mapping[Entity, Comparison] | Iterable[Comparison]

_TONES = {Severity.STOP: Tone.STOP, Severity.HOLD: Tone.HOLD, Severity.NOTE: Tone.NOTE}
_SEVERITY_WORDS = {Severity.STOP: "stops the step", Severity.HOLD: "held", Severity.NOTE: "note"}
_SEVERITY_TITLES = {
    Severity.STOP: "stops its step once the good records are across",
    Severity.HOLD: "the record and what depends on it wait",
    Severity.NOTE: "nothing waits",
}
_SCOPES = {Scope.CENSUS: "read in full", Scope.DELTA: "changes only", Scope.SELECTED: "single records"}


def banner(kind: str, title: str, sentences: Sequence[str] = ()) -> Shown:
    """The box that stands on top of a notebook and says what came of it and why.

    Args:
        kind: ``good``, ``stop``, ``hold`` or ``note``.
        title: the message; may be hostile text, as may the sentences.
        sentences: why, and what to do now.
    """
    return Shown(box(Tone(kind), title, [shown_text(text) for text in sentences]))


def counts(books: Snapshots, billing: Snapshots) -> Shown:
    """How many records of each kind each side has, how they were read and when."""
    sides = {Side.BOOKS: books, Side.BILLING: billing}
    columns = [Column("Records"), *(Column(side.product, RIGHT) for side in Side), Column("Read")]
    rows = []
    for entity in Entity:
        numbers = [count_cell(len(sides[side][entity])) for side in Side]
        scopes = [_SCOPES[sides[side][entity].scope] for side in Side]
        read = scopes[0] if scopes[0] == scopes[1] else f"{scopes[0]} / {scopes[1]}"
        rows.append([Cell(entity.plural, NOWRAP), *numbers, Cell(_how_read(entity, sides, read))])
    moments = " ".join(
        f"{side.product} as of {_moment(min(snapshot.as_of for snapshot in sides[side].values()))}." for side in Side
    )
    return page("Records on both sides", grid(columns, rows), sentence(moments))


def _how_read(entity: Entity, sides: Mapping[Side, Snapshots], read: str) -> str:
    unreadable = {side: len(sides[side][entity].unreadable) for side in Side}
    doubts = [f"{number:,} unreadable in {side.product}" for side, number in unreadable.items() if number]
    return shown_text(", ".join([read, *doubts]))


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(CENTRAL):%Y-%m-%d %H:%M:%S} Central"


def _each(comparisons: Comparisons) -> list[Comparison]:
    found = list(comparisons.values()) if isinstance(comparisons, Mapping) else list(comparisons)
    return sorted(found, key=lambda comparison: comparison.entity.step)


def changes(comparisons: Comparisons) -> Shown:
    """How many records of each kind have which verdict, and what is held."""
    found = _each(comparisons)
    tallies = {one.entity: Counter(str(verdict) for verdict in one.changes["verdict"]) for one in found}
    verdicts = [verdict for verdict in Verdict if any(tallies[one.entity][verdict.value] for one in found)]
    columns = [Column("Records"), *(Column(title_of(verdict.value), RIGHT) for verdict in verdicts)]
    columns += [Column("Quiet", RIGHT), Column("Held", RIGHT), Column("Money held", RIGHT)]
    rows = []
    for one in found:
        held = one.changes[one.changes["held"].fillna(False).astype(bool)]
        rows.append(
            [
                Cell(one.entity.plural, NOWRAP),
                *(count_cell(tallies[one.entity][verdict.value]) for verdict in verdicts),
                count_cell(one.quiet),
                count_cell(len(held)),
                Cell(_sums(zip(held["currency"], held["amount"], strict=True)), RIGHT),
            ]
        )
    changed = sum(len(one.changes) for one in found)
    headline = (
        f"{counted(changed, 'record')} to look at; on {counted(sum(one.quiet for one in found), 'record')} both sides "
        "and the last agreement are the same."
        if changed
        else "Nothing has changed since both sides last agreed."
    )
    return page("What has changed", sentence(headline), grid(columns, rows))


def _sums(amounts: Iterable[tuple[Any, Any]]) -> str:
    """Sums of (currency, minor units) per currency, as finished HTML; what is missing counts nothing."""
    sums: Counter[str] = Counter()
    for currency, amount in amounts:
        if not missing(amount):
            sums["" if missing(currency) else str(currency)] += int(amount)
    return "<br>".join(f"{money_text(total, name)} {shown_text(name)}" for name, total in sums.items() if total) or DASH


_DECISION_WORDS = {
    Decision.TO_BILLING: "→ ReliaBills",
    Decision.TO_BOOKS: "→ QuickBooks",
    Decision.AGREED: "agreed",
    Decision.HELD: "held",
}


def differences(comparisons: Comparisons, *, limit: int = LIMIT, whole: str = "frames/differences.parquet") -> Shown:
    """Every differing field with before / books / billing and what happens to it, grouped by record."""
    frames = [one.differences for one in _each(comparisons) if len(one.differences)]
    if not frames:
        return page("Differences", sentence("No field differs between the sides."))
    frame = pd.concat(frames, ignore_index=True)
    columns = [
        Column("Record"),
        Column("Field"),
        Column("Before"),
        Column("QuickBooks"),
        Column("ReliaBills"),
        Column("What happens"),
        Column("Why"),
    ]
    rows, groups = [], []
    last: tuple[str, str] | None = None
    for row in frame.head(limit).to_dict("records"):
        here = (str(row["entity"]), str(row["key"]))
        entity = Entity(row["entity"])
        name = f"{entity.singular} <b>{shown_text(row['label'])}</b>" if here != last else ""
        groups.append(here != last)
        last = here
        rows.append(
            [
                Cell(name),
                Cell(shown_text(_field_title(entity, str(row["field"]))), NOWRAP),
                Cell(shown_text(row["base"] or None)),
                Cell(_stressed(row["books"], row["base"])),
                Cell(_stressed(row["billing"], row["base"])),
                Cell(_decision(row["decision"]), NOWRAP),
                Cell(shown_text(row["reason"])),
            ]
        )
    held = int((frame["decision"] == Decision.HELD.value).sum())
    records = len(frame.drop_duplicates(["entity", "key"]))
    headline = f"{counted(len(frame), 'field')} of {counted(records, 'record')}; {counted(held, 'field')} held."
    return page("Differences", sentence(headline), grid(columns, rows, groups=groups), more(len(frame), limit, whole))


def _field_title(entity: Entity, name: str) -> str:
    try:
        return field(entity, name).title
    except KeyError:
        return name


def _stressed(value: Any, base: Any) -> str:
    here, before = ("" if missing(text) else text for text in (value, base))
    shown = shown_text(here or None)
    return shown if here == before else f"<b>{shown}</b>"


def _decision(value: Any) -> str:
    try:
        decision = Decision(value)
    except ValueError:
        return shown_text(value)
    words = _DECISION_WORDS[decision]
    return chip(Tone.HOLD, words) if decision is Decision.HELD else shown_text(words)


def findings(findings: Sequence[Finding], *, limit: int = LIMIT, whole: str = "findings.json") -> Shown:
    """What does not hold: by severity and money, then each one with who, how much, why and what to do."""
    if not findings:
        return page("Findings", sentence(f"{chip(Tone.GOOD, 'all good')} Every rule holds on both sides."))
    order = list(reversed(Severity))
    ranked = sorted(findings, key=lambda one: (order.index(one.severity), -(one.amount or 0)))
    return page("Findings", _by_severity(ranked, order), _listed(ranked[:limit]), more(len(ranked), limit, whole))


def _by_severity(findings: Sequence[Finding], order: Sequence[Severity]) -> str:
    columns = [
        Column("Severity"),
        Column("Findings", RIGHT),
        Column("Records", RIGHT),
        Column("Money", RIGHT),
        Column(""),
    ]
    rows = []
    for severity in order:
        of_kind = [one for one in findings if one.severity is severity]
        if not of_kind:
            continue
        # A record with several findings is at stake once, with its largest amount.
        at_stake: dict[tuple[object, ...], tuple[str, int]] = {}
        for one in of_kind:
            record = (one.entity, one.side, one.record_id or one.check)
            before = at_stake.get(record, (one.currency, 0))
            at_stake[record] = (one.currency or before[0], max(abs(one.amount or 0), before[1]))
        rows.append(
            [
                Cell(chip(_TONES[severity], _SEVERITY_WORDS[severity])),
                count_cell(len(of_kind)),
                count_cell(len(at_stake)),
                Cell(_sums(at_stake.values()), RIGHT),
                Cell(_SEVERITY_TITLES[severity]),
            ]
        )
    return grid(columns, rows)


def _listed(findings: Sequence[Finding]) -> str:
    columns = [
        Column(""),
        Column("What"),
        Column("Customer"),
        Column("Amount", RIGHT),
        Column("Why"),
        Column("What to do now"),
    ]
    rows = []
    for one in findings:
        where = one.side.product if one.side else "both sides"
        record = f"{one.entity.singular} <b>{shown_text(one.label)}</b>" if one.label else one.entity.plural
        customer = shown_text(one.customer) if one.customer and one.entity is not Entity.CUSTOMER else DASH
        rows.append(
            [
                Cell(chip(_TONES[one.severity], _SEVERITY_WORDS[one.severity]), NOWRAP),
                Cell(f"{record}<br>in {where}"),
                Cell(customer),
                amount_cell(one.amount, one.currency),
                Cell(shown_text(one.sentence)),
                Cell(shown_text(one.remedy)),
            ]
        )
    return grid(columns, rows)


_STEP_TONES = {
    StepStatus.SYNCED: Tone.GOOD,
    StepStatus.FAILED: Tone.STOP,
    StepStatus.STARTED: Tone.STOP,
    StepStatus.PLANNED: Tone.NOTE,
    StepStatus.BROKEN_OFF: Tone.HOLD,
}
_STEP_WORDS = {
    StepStatus.SYNCED: "synced",
    StepStatus.FAILED: "failed",
    StepStatus.STARTED: "started, not finished",
    StepStatus.PLANNED: "planned, not written",
    StepStatus.BROKEN_OFF: "broken off",
}


def step(result: StepResult, outcomes: pd.DataFrame | None = None, *, limit: int = LIMIT, whole: str = "") -> Shown:
    """What came of one push step: its status, its numbers, its reason, and each operation's outcome.

    Args:
        result: of the step.
        outcomes: one row per operation; ``amount`` is in minor units of ``currency``. Other columns are text.
        limit: rows shown.
        whole: where all of them can be found.
    """
    title = f"Step {result.step.step} of {len(Entity)}, {result.step.plural}: {_STEP_WORDS[result.status]}"
    body = [shown_text(_step_numbers(result))]
    if result.reason:
        body.append(shown_text(result.reason))
    parts = [box(_STEP_TONES[result.status], title, body)]
    if outcomes is not None and len(outcomes):
        money = ["amount"] if "amount" in outcomes else []
        names = [str(name) for name in outcomes.columns if name != "currency" or not money]
        if "status" in outcomes:  # what did not work stands first, so that a long list never hides it
            outcomes = outcomes.sort_values("status", key=lambda status: status == "done", kind="stable")
        parts.append(table(outcomes, "What was done", names, money=money, limit=limit, whole=whole).html)
    return Shown("".join(parts))


def _step_numbers(result: StepResult) -> str:
    verb = "planned" if result.status is StepStatus.PLANNED else "done"
    numbers = {verb: result.done, "failed": result.failed, "held": result.held, "without an answer": result.unknown}
    told = [f"{number:,} {word}" for word, number in numbers.items() if number]
    return ", ".join(told) if told else "nothing to do"


_TOTALS = {
    "measure": "Measure",
    "books": "QuickBooks",
    "billing": "ReliaBills",
    "difference": "Difference",
    "explained": "Explained",
    "unexplained": "Unexplained",
}
_ITEMS = {
    "measure": "Measure",
    "entity": "Record",
    "label": "Number or name",
    "customer": "Customer",
    "amount": "Adds to the difference",
    "explained": "Explained",
    "cause": "Why",
}


def tie_out(
    totals: pd.DataFrame,
    items: pd.DataFrame,
    *,
    currency: str = "USD",
    limit: int = LIMIT,
    whole: str = "frames/tie-out-items.parquet",
) -> Shown:
    """Whether both sides agree to the cent.

    Args:
        totals: one row per measure: ``measure``, ``books``, ``billing``, ``difference``, ``explained`` (by what
            somebody was told of), ``unexplained``: minor units of ``currency``, or numbers where that is empty text.
        items: one row per measure and record behind a difference: ``measure``, ``entity``, ``label``, ``customer``,
            ``amount`` (what it adds to the difference, minor units), ``cause`` (text), ``explained`` (boolean).
        currency: of all amounts, when the frames do not say.
        limit: records shown.
        whole: where all of them can be found.
    """
    parts = [_agreement(totals, items)]
    money = [name for name in _TOTALS if name != "measure"]
    parts.append(table(totals, "Control totals", _TOTALS, money=money, currency=currency, limit=len(totals)).html)
    if len(items):
        # What nobody can explain stands first, so that a long list never hides it.
        ordered = items.sort_values("explained", kind="stable")
        ordered = ordered.assign(entity=ordered["entity"].str.replace("_", " "))
        title = "Records behind the differences"
        named = {name: words for name, words in _ITEMS.items() if name in items}
        parts.append(table(ordered, title, named, money=["amount"], currency=currency, limit=limit, whole=whole).html)
    return Shown("".join(parts))


def _agreement(totals: pd.DataFrame, items: pd.DataFrame) -> str:
    """The one sentence people look for, green or red."""
    off = totals[(totals["unexplained"] != 0).fillna(True).astype(bool)]
    unexplained = items[~items["explained"].fillna(False).astype(bool)] if len(items) else items
    if len(off) or len(unexplained):
        measures = list(dict.fromkeys([*off["measure"], *(unexplained["measure"] if len(unexplained) else [])]))
        told = [f"Not explained: {', '.join(shown_text(name) for name in measures)}. Ask support before going on."]
        return box(Tone.STOP, "The two sides do not agree", told)
    if len(items):
        records = list(dict.fromkeys(zip(items["entity"], items["label"], items["customer"], strict=True)))
        named = "; ".join(_record(*record) for record in records[:_NAMED])
        rest = f"; and {len(records) - _NAMED:,} more" if len(records) > _NAMED else ""
        told = [f"{counted(len(records), 'record')} held or known to differ: {named}{rest}."]
        return box(Tone.GOOD, "Both sides agree to the cent, except for what is held", told)
    return box(Tone.GOOD, "Both sides agree to the cent")


_NAMED = 8


def _record(entity: Any, label: Any, customer: Any) -> str:
    whose = "" if missing(customer) or not customer or customer == label else f" of {shown_text(customer)}"
    return f"{shown_text(str(entity).replace('_', ' '))} <b>{shown_text(label)}</b>{whose}"


def midnight_risk(frame: pd.DataFrame, *, currency: str = "USD", limit: int = LIMIT) -> Shown:
    """Invoices that ReliaBills' midnight job would charge although they are already paid in QuickBooks.

    Args:
        frame: one row per invoice: ``number``, ``customer``, ``billing_balance``, ``books_balance``, ``at_risk`` (minor
            units of ``currency``), ``why``.
        currency: of all amounts, when the frame does not say.
        limit: rows shown.
    """
    if not len(frame):
        return Shown(box(Tone.GOOD, "Nobody will be charged twice at midnight"))
    money = [name for name in ("billing_balance", "books_balance", "at_risk") if name in frame]
    names = [str(name) for name in frame.columns if name != "currency"]
    told = (
        "Open in ReliaBills, paid in QuickBooks, customer on auto pay: unless this is synced before midnight, "
        "ReliaBills charges the customer again. Synchronize now, or pause auto pay for these customers."
    )
    currencies = frame["currency"] if "currency" in frame else [currency] * len(frame)
    sums = _sums(zip(currencies, frame["at_risk"], strict=True))
    head = box(Tone.STOP, f"At risk at midnight: {counted(len(frame), 'invoice')}", [f"<b>{sums}</b>", told])
    return Shown(head + table(frame, "Invoices at risk", names, money=money, currency=currency, limit=limit).html)


_OUTCOME_TONES = {
    Outcome.AGREED: Tone.GOOD,
    Outcome.PLANNED: Tone.NOTE,
    Outcome.AGREED_EXCEPT_HELD: Tone.HOLD,
    Outcome.STEP_FAILED: Tone.STOP,
    Outcome.STOPPED: Tone.STOP,
    Outcome.RUNNING: Tone.NOTE,
    Outcome.DEFERRED: Tone.HOLD,
    Outcome.DISCONNECTED: Tone.STOP,
}
_OUTCOME_WORDS = {
    Outcome.AGREED: "Both sides agree",
    Outcome.PLANNED: "Planned only: nothing was written",
    Outcome.AGREED_EXCEPT_HELD: "Both sides agree, except for what is held",
    Outcome.STEP_FAILED: "A step failed",
    Outcome.STOPPED: "Stopped before anything was written",
    Outcome.RUNNING: "Still running",
    Outcome.DEFERRED: "Deferred",
    Outcome.DISCONNECTED: "Stopped: the company must be connected again",
}


def note(text: str) -> None:
    """Say one thing in the middle of a cell."""
    display(banner("note", text))


def opening(run: Run, company: str, settled: Sequence[str] = ()) -> Shown:
    """The head of a run: for whom, how, and what earlier runs had left open.

    Args:
        run: as it was opened.
        company: its name; hostile text.
        settled: a sentence for each write of an earlier run whose outcome has now been found out.
    """
    tone = Tone.HOLD if run.apply else Tone.NOTE
    title = f"{company}: this run writes to both sides" if run.apply else f"{company}: dry run, nothing will be written"
    left_open = [f"Found out first: {shown_text(text)}" for text in settled]
    return Shown(box(tone, title, [*left_open, _facts(run)]))


def verdict(run: Run) -> Shown:
    """What a run came to, on top of its notebook: outcome, reason, the five steps, and when."""
    failed = [one.step.plural for one in run.steps if one.status is StepStatus.FAILED]
    title = _OUTCOME_WORDS[run.outcome]
    if run.outcome is Outcome.STEP_FAILED and failed:
        title = f"Step failed: {', '.join(failed)}"
    if run.outcome is Outcome.DEFERRED:
        title = f"{run.headline.capitalize()}: tried again later"
    body = [shown_text(run.reason)] if run.reason else []
    if EVERYTHING in run.counts:
        body.append(shown_text(str(run.counts[EVERYTHING])))
    return Shown(box(_OUTCOME_TONES[run.outcome], title, [*body, _steps(run), _facts(run)]))


def _steps(run: Run) -> str:
    results = {one.step: one for one in run.steps}
    marks = []
    for entity in Entity:
        name = f"{entity.step}. {entity.plural}"
        result = results.get(entity)
        if result is None:
            marks.append(f'<span style="opacity:0.65;white-space:nowrap">{name}: not started</span>')
        else:
            words = f"{name}: {_STEP_WORDS[result.status]} ({_step_numbers(result)})"
            marks.append(chip(_STEP_TONES[result.status], words))
    return f'<div style="line-height:2">{" &nbsp; ".join(marks)}</div>'


def _facts(run: Run) -> str:
    slot = f", slot {run.slot} of {run.slot_date}" if run.slot else ""
    ended = f" to {_moment(run.ended_at)}" if run.ended_at else ""
    writing = "writing allowed" if run.apply else "nothing may be written"
    facts = f"{run.company}, run {run.id}: {run.kind}{slot}, {run.mode}, {writing}; {_moment(run.started_at)}{ended}"
    return f'<span style="opacity:0.75;font-size:12px">{shown_text(facts)}</span>'
