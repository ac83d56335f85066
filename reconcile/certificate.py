"""The certificate of a run: what a person prints or keeps elsewhere, made of the run's evidence and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from textwrap import wrap
from typing import Any

from reconcile.model.entities import Entity, Side
from reconcile.model.money import show
from reconcile.model.runs import CENTRAL

_WIDTH = 100
_MOST = 100  # lines of one list; the rest is counted, and stands in the files whose hashes are below


def certificate(
    told: Mapping[str, Any],
    run_json: str,
    findings: Sequence[Mapping[str, Any]],
    items: Sequence[Mapping[str, Any]],
) -> str:
    """The certificate as text; may hold hostile text.

    Args:
        told: the run's ``run.json``.
        run_json: SHA-256 of that file.
        findings: the run's ``findings.json``.
        items: records behind a difference of the tie-out (``tie-out-items.parquet``); amounts in minor units.
    """
    lines = [
        "CERTIFICATE OF A RUN",
        "",
        *_fields(
            ("company", told["company"]),
            ("run", f"{told['run']} ({told['kind']}{', ' + told['slot'] if told.get('slot') else ''})"),
            ("began", _central(told["started_at"])),
            ("ended", _central(told["ended_at"])),
            *((side.value, _behind(told.get("behind", {}).get(side.value))) for side in Side),
            ("outcome", f"{told['outcome']} (exit code {told['exit_code']})"),
            ("", told["reason"]),
        ),
        *_section("READ", _read(told)),
        *_section("WRITTEN", _written(told)),
        *_section("CONTROL TOTALS", _totals(told)),
        *_section("DIFFERENCES AND THEIR CAUSES", _differences(items)),
        *_section("HELD", [finding["sentence"] for finding in findings if finding["severity"] != "note"]),
        *_section("LET PASS BY A PERSON", _permissions(told)),
        *_section("FILES", [f"{sha}  {name}" for name, sha in sorted(told["artifacts"].items())]),
        "",
        "CHAIN",
        *_fields(
            ("this run.json", run_json),
            ("run.json before", told["previous"] or "none: the first run"),
            ("audit trail", f"{told['audit']['sequence']}:{told['audit']['seal']}"),
        ),
        "",
        *wrap(
            "Kept elsewhere, these three lines show later whether anything up to this run was altered. The audit trail "
            f"is compared by `reconcile verify {told['company']} --head ROW:SEAL`, given the last one.",
            _WIDTH,
        ),
    ]
    return "\n".join(lines) + "\n"


def _fields(*fields: tuple[str, Any]) -> Iterator[str]:
    for name, value in fields:
        for number, line in enumerate(wrap(str(value), _WIDTH - 18) or [""]):
            yield f"{name if number == 0 else '':<18}{line}".rstrip()


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    told = list(lines)
    yield from ("", title)
    if not told:
        yield "none"
    for line in told[:_MOST]:
        yield from wrap(line, _WIDTH, subsequent_indent="    ", break_long_words=False)
    if len(told) > _MOST:
        yield f"and {len(told) - _MOST:,} more"


def _central(moment: str | None) -> str:
    return f"{datetime.fromisoformat(moment).astimezone(CENTRAL):%Y-%m-%d %H:%M:%S} Central" if moment else "not yet"


def _behind(known: Mapping[str, str] | None) -> str:
    return f"{known['name']} ({known['id']}, {known['currency']})" if known else "never reached"


def _read(told: Mapping[str, Any]) -> Iterator[str]:
    for side, counts in told["counts"].get("pulled", {}).items():
        yield f"{Side(side).product}: " + ", ".join(
            f"{number:,} {Entity(entity).plural}" for entity, number in counts.items()
        )


def _written(told: Mapping[str, Any]) -> Iterator[str]:
    counts = told["counts"]
    if "plan" in counts:
        yield f"plan {counts['plan']}, {counts.get('planned_writes', 0):,} writes"
    writes = told.get("writes", {})
    if writes:
        yield "outcomes: " + ", ".join(f"{number:,} {status}" for status, number in sorted(writes.items()))
    for step in told["steps"]:
        numbers = ", ".join(f"{step[name]:,} {name}" for name in ("done", "failed", "unknown", "held"))
        yield f"{Entity(step['step']).plural}: {step['status']}, {numbers}"


def _totals(told: Mapping[str, Any]) -> Iterator[str]:
    totals = told["control_totals"]
    for row in totals.get("totals", []):
        figures = (f"{name} {_amount(row[name], row['currency'])}" for name in ("books", "billing", "difference"))
        unexplained = _amount(row["unexplained"], row["currency"]) if row["unexplained"] else "nothing"
        yield f"{row['measure']}: {', '.join(figures)}, {unexplained} unexplained"
    if totals.get("sentence"):
        yield str(totals["sentence"])


def _differences(items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One line per record and cause, with what it adds to each total."""
    told: dict[tuple[str, str], list[str]] = {}
    for item in items:
        whose = f" of {item['customer']}" if item.get("customer") and item["customer"] != item["label"] else ""
        cause = item["cause"] if item["explained"] else f"UNEXPLAINED {item['cause'] or ''}".rstrip()
        amount = f"{item['measure']} {_amount(item['amount'], item['currency'])}"
        told.setdefault((f"{Entity(item['entity']).singular} {item['label']}{whose}", cause), []).append(amount)
    return (
        f"{record}: {cause} Its part of the differences: {'; '.join(amounts)}."
        for (record, cause), amounts in told.items()
    )


def _permissions(told: Mapping[str, Any]) -> Iterator[str]:
    for given in told["counts"].get("permissions", []):
        yield f"{given['guard']}: {given['sentence']} {given['who']}: {given['because']}"


def _amount(amount: Any, currency: Any) -> str:
    """Money, or a number of records where there is no currency."""
    if amount is None:
        return "nothing"
    return show(int(amount), str(currency)) if currency else f"{int(amount):,}"
