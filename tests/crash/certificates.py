"""The certificate that a run has filed, read as the person reads it who keeps it, and held against both sides.

Nothing of the product's own arithmetic is used: figures are added up from what the two systems hold, files are hashed
anew. What the certificate says of the audit trail is compared by ``reconcile verify --head``.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reconcile.commands.evidence import certificate_of
from reconcile.config import load_config
from reconcile.model.audit import Head
from reconcile.model.entities import Entity
from reconcile.state import runs
from reconcile.state.database import open_state
from reconcile.verification import verify
from tests.crash.invariants import Image, Record, over
from tests.crash.worlds import COMPANY, SmallWorld

SIDES = {"QuickBooks": "books", "ReliaBills": "billing"}
MONEY = {
    Entity.INVOICE: {"receivables": "balance", "invoices billed": "total", "tax": "tax"},
    Entity.PAYMENT: {"payments received": "amount"},
}
_MEASURES = (
    *(measure for measures in MONEY.values() for measure in measures),
    *(f"number of {entity.plural}" for entity in Entity),
)
_HEADINGS = (
    "READ",
    "WRITTEN",
    "CONTROL TOTALS",
    "DIFFERENCES AND THEIR CAUSES",
    "HELD",
    "LET PASS BY A PERSON",
    "FILES",
    "CHAIN",
)
Figures = Mapping[tuple[str, str], Mapping[tuple[str, str], int]]
"""What each record adds, in minor units: by entity and label, then by measure and side."""


def not_certified(
    world: SmallWorld, seen: Image, told: Mapping[str, Any], paired: Mapping[tuple[str, str], str]
) -> Iterator[str]:
    """What the certificate of a run that ended well does not say, or says otherwise than it is.

    Args:
        world: both sides, the state and the evidence.
        seen: what both sides hold now, as the run left them.
        told: of the run: its id and folder.
        paired: by entity and label in ReliaBills, what a person said is the same record's label in QuickBooks.
    """
    contributed = contributions(seen, paired)
    config = load_config(world.root / "reconcile.toml")
    engine = open_state(world.state.url)
    try:
        text = certificate_of(config, runs.get(engine, told["run"]))
        parts = _parts(text)
        verified = verify(config, engine, COMPANY, Head.from_text(_field(parts["CHAIN"], "audit trail")))
    finally:
        engine.dispose()
    if verified.altered or not verified.runs:
        yield f"`reconcile verify` says: {verified.altered or 'there are no runs'}"
    broken = [
        *_verdict(parts["CERTIFICATE OF A RUN"], told),
        *_steps(parts["WRITTEN"]),
        *_figures(parts["CONTROL TOTALS"], contributed),
        *_differences(parts["DIFFERENCES AND THEIR CAUSES"], contributed),
        *_files(parts["FILES"], parts["CHAIN"], config.runs / told["folder"]),
    ]
    for one in broken:
        yield f"the certificate of run {told['run']}: {one}"


def _parts(text: str) -> dict[str, list[str]]:
    """The lines under each heading, what was wrapped put together again."""
    parts: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line in _HEADINGS or not parts:
            lines = parts.setdefault(line, [])
        elif line.startswith("    ") and lines:
            lines[-1] = f"{lines[-1]} {line.strip()}"
        elif line:
            lines.append(line)
    return parts


def _field(lines: Sequence[str], name: str) -> str:
    (found,) = (line.removeprefix(name).strip() for line in lines if line.startswith(name))
    return found


def _verdict(lines: Sequence[str], told: Mapping[str, Any]) -> Iterator[str]:
    expected = {
        "company": COMPANY,
        "run": rf"{told['run']} \(interactive\)",
        "books": r".+ \(1, USD\)",
        "billing": rf"Craig's \({COMPANY}, USD\)",
        "outcome": r"agreed \(exit code 0\) .+|agreed except held \(exit code 1\) .+",
    }
    for name, wanted in expected.items():
        if not re.fullmatch(wanted, _field(lines, name)):
            yield f"{name} is {_field(lines, name)!r}"


def _steps(lines: Sequence[str]) -> Iterator[str]:
    """All five are there, have synced, and nothing of them failed or is not known."""
    for entity in Entity:
        (step,) = (line for line in lines if line.startswith(f"{entity.plural}: "))
        if not re.fullmatch(rf"{entity.plural}: synced, \d+ done, 0 failed, 0 unknown, \d+ held", step):
            yield step
    outcomes = [line for line in lines if line.startswith("outcomes: ")]
    if not all(re.fullmatch(r"outcomes: \d+ done", line) for line in outcomes):
        yield str(outcomes)


def _figures(lines: Sequence[str], contributed: Figures) -> Iterator[str]:
    """Every total is what the records of its side add up to, and nothing is without a cause."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for of_record in contributed.values():
        for key, amount in of_record.items():
            sums[key] += amount
    for measure in _MEASURES:
        books, billing = (sums[measure, side] for side in SIDES.values())
        told = [
            f"{name} {_shown(measure, amount)}" for name, amount in zip(SIDES.values(), (books, billing), strict=True)
        ]
        wanted = f"{measure}: {', '.join(told)}, difference {_shown(measure, books - billing)}, nothing unexplained"
        if wanted not in lines:
            yield f"{wanted!r} is not in {lines}"
    for line in lines:
        if ": books " in line and not line.endswith("nothing unexplained"):
            yield line
    if not lines[-1].startswith("Both sides tie out"):
        yield lines[-1]


def _differences(lines: Sequence[str], contributed: Figures) -> Iterator[str]:
    """Each record that adds otherwise to a total on the one side than on the other is there, with amounts and cause.

    So is none that does not; but for what differs only in totals that are not added up here, as those of a day are.
    """
    said = {line for line in lines if line != "none"}
    for (entity, label), of_record in contributed.items():
        amounts = _different(of_record)
        own = [line for line in said if re.match(rf"{re.escape(f'{entity} {label}')}(?: of [^:]+)?: ", line)]
        for amount in amounts:
            if not any(re.search(rf"[:;] {re.escape(amount)}(?:;|\.$)", line) for line in own):
                yield f"{entity} {label} adds {amount} to a difference, which is not in {own}"
        said -= set(own if amounts else ())
    added_up = "|".join(map(re.escape, _MEASURES))
    yield from (f"nothing differs: {line}" for line in said if re.search(rf"[:;] (?:{added_up}) -?\d", line))
    yield from (line for line in lines if "UNEXPLAINED" in line)


def _different(of_record: Mapping[tuple[str, str], int]) -> list[str]:
    """What one record adds to the differences, a measure each, as the certificate says it."""
    gaps = {
        measure: of_record.get((measure, "books"), 0) - of_record.get((measure, "billing"), 0)
        for measure, _ in of_record
    }
    return [f"{measure} {_shown(measure, gap)}" for measure, gap in gaps.items() if gap]


def _files(lines: Sequence[str], chain: Sequence[str], folder: Path) -> Iterator[str]:
    """It names each file of the run with its hash, and none that is not there."""
    there = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
    verdict = there.pop("run.json")
    if _field(chain, "this run.json") != verdict:
        yield f"its run.json is another one: {chain}"
    named = {name: sha for sha, name in (line.split("  ", 1) for line in lines)}
    if named != there:
        yield f"it names {named}, there are {there}"
    missing = {"findings.json", "plan.json", "frames/tie-out.parquet", "frames/tie-out-items.parquet"} - set(named)
    if missing:
        yield f"it does not name {missing}"


def contributions(seen: Image, paired: Mapping[tuple[str, str], str]) -> Figures:
    """What each record adds to each measure on each side; what is void or inactive adds nothing."""
    found: dict[tuple[str, str], dict[tuple[str, str], int]] = {}
    for (side, kind, label), records in seen.items():
        entity = Entity(kind)
        called = label if side == "QuickBooks" else paired.get((entity.singular, label), label)
        for record in records:
            of_record = found.setdefault((entity.singular, called), defaultdict(int))
            for measure, amount in _measured(entity, record):
                of_record[measure, SIDES[side]] += amount
    return found


def _measured(entity: Entity, record: Record) -> Iterator[tuple[str, int]]:
    if over(record):
        return
    for measure, name in MONEY.get(entity, {}).items():
        yield measure, record[name] or 0
    yield f"number of {entity.plural}", 1


def _shown(measure: str, amount: int) -> str:
    """As a person reads it: cents with a point, records as they are counted."""
    if measure.startswith("number of "):
        return f"{amount:,}"
    return f"{'-' if amount < 0 else ''}{abs(amount) // 100:,}.{abs(amount) % 100:02}"
