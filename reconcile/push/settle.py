"""Settling what an earlier run left open, before anything is planned (design I3: an unknown is resolved first).

An entry that was never marked as sent did not leave. For the others the side is asked: an update by its record's
version and content, a create by its natural key. The outcome is *found* (adopted: link and base follow), *proven
absent* (the next plan may do it again, under the same request id, so that even a late arrival happens once), or
*ask a person*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reconcile.model.entities import FIELDS, ROW_FIELDS, ROWS_COLUMN, Entity, Kind, Side, side_and_id
from reconcile.model.findings import Finding, Severity
from reconcile.model.journal import AgreementUpdate, Answer, Entry, EntryStatus
from reconcile.model.plan import Action
from reconcile.model.rows import rows_text
from reconcile.model.snapshot import Snapshot
from reconcile.push.agreement import agreement_after
from reconcile.push.references import References
from reconcile.sides.side import Writable
from reconcile.state.journal import Journal


@dataclass(frozen=True, slots=True)
class Settled:
    """How one open entry was resolved.

    Attributes:
        entry: as it was found.
        status: done, absent, or unknown when a person must decide.
        evidence: what was seen, in words.
    """

    entry: Entry
    status: EntryStatus
    evidence: str


def settle(journal: Journal, sides: Mapping[Side, Writable], references: References) -> tuple[Settled, ...]:
    """Resolve every open entry of the company that can be resolved; commit each resolution with its evidence."""
    settled = []
    for entry in journal.open_entries():
        if entry.status is EntryStatus.INTENT:
            resolution = Settled(entry, EntryStatus.ABSENT, "it was never sent")
            journal.answer([_answer(resolution, None, None, None)])
        elif entry.action is Action.CREATE:
            resolution = _settle_create(journal, sides[entry.side], references, entry)
        else:
            resolution = _settle_change(journal, sides[entry.side], references, entry)
        settled.append(resolution)
    return tuple(settled)


def unresolved_findings(settled: Sequence[Settled]) -> tuple[Finding, ...]:
    """A hold finding for each record that only a person can resolve: it must not be written again."""
    return tuple(
        Finding(
            check="unknown_outcome",
            severity=Severity.HOLD,
            entity=resolution.entry.step,
            side=side_and_id(resolution.entry.key)[0],
            record_id=side_and_id(resolution.entry.key)[1],
            label=str(resolution.entry.operation["label"]),
            amount=resolution.entry.operation["amount"],
            currency=str(resolution.entry.operation["currency"]),
            sentence=(
                f"An earlier write of this {resolution.entry.step.singular} to {resolution.entry.side.product} "
                f"got no answer, and it is not clear whether it happened: {resolution.evidence}."
            ),
            remedy=f"Look for it in {resolution.entry.side.product}; remove what is double, then synchronize again.",
            customer=str(resolution.entry.operation["customer"]),
        )
        for resolution in settled
        if resolution.status is EntryStatus.UNKNOWN
    )


def _settle_create(journal: Journal, side: Writable, references: References, entry: Entry) -> Settled:
    candidates = list(side.find(entry.step, entry.fields))
    if candidates:
        snapshot = side.fetch(entry.step, candidates)
        alike = [record_id for record_id in candidates if _holds(snapshot, record_id, entry)]
        if len(alike) == 1 and len(candidates) == 1:
            resolution = Settled(entry, EntryStatus.DONE, f"found as {alike[0]} in {side.side.product}")
            _adopt(journal, references, snapshot, resolution, alike[0])
            return resolution
        evidence = f"{len(candidates)} records in {side.side.product} could be it ({', '.join(candidates)})"
        resolution = Settled(entry, EntryStatus.UNKNOWN, evidence)
    else:
        resolution = Settled(entry, EntryStatus.ABSENT, f"looked for in {side.side.product}, not there")
    journal.answer([_answer(resolution, None, None, None)])
    return resolution


def _settle_change(journal: Journal, side: Writable, references: References, entry: Entry) -> Settled:
    if entry.target_id is None:
        raise ValueError(f"journal entry {entry.id} changes a record but names none")
    snapshot = side.fetch(entry.step, [entry.target_id])
    found = snapshot.frame[snapshot.frame["id"] == entry.target_id]
    product = side.side.product
    if found.empty:
        resolution = Settled(entry, EntryStatus.ABSENT, f"{entry.target_id} no longer exists in {product}")
    elif found["version"].iloc[0] == entry.expected_version:
        resolution = Settled(entry, EntryStatus.ABSENT, f"{entry.target_id} in {product} still has its old version")
    elif _holds(snapshot, entry.target_id, entry):
        resolution = Settled(entry, EntryStatus.DONE, f"{entry.target_id} in {product} holds what was written")
        _adopt(journal, references, snapshot, resolution, entry.target_id)
        return resolution
    else:
        evidence = f"{entry.target_id} in {product} was changed since and is compared again"
        resolution = Settled(entry, EntryStatus.ABSENT, evidence)
    journal.answer([_answer(resolution, None, None, None)])
    return resolution


def _adopt(journal: Journal, references: References, snapshot: Snapshot, resolution: Settled, record_id: str) -> None:
    entry, operation = resolution.entry, resolution.entry.operation
    books_id = record_id if entry.side is Side.BOOKS else operation["books_id"]
    billing_id = record_id if entry.side is Side.BILLING else operation["billing_id"]
    references.learn(entry.step, books_id, billing_id)
    stored = references.from_side(entry.side, entry.step, record_values(snapshot, record_id))
    version = snapshot.frame.loc[snapshot.frame["id"] == record_id, "version"].iloc[0]
    update = agreement_after(
        references,
        entry.step,
        {Side.BOOKS: books_id, Side.BILLING: billing_id},
        {entry.side: version},
        agreed=operation["agreed"],
        unsettled=operation["unsettled"],
        stored=stored,
    )
    journal.answer([_answer(resolution, record_id, version, update)])


def _answer(
    resolution: Settled, target_id: str | None, version: str | None, agreement: AgreementUpdate | None
) -> Answer:
    return Answer(
        entry_id=resolution.entry.id,
        status=resolution.status,
        target_id=target_id if target_id is not None else resolution.entry.target_id,
        version_after=version,
        trace="",
        code="",
        reason="",
        evidence=resolution.evidence,
        agreement=agreement,
    )


def record_values(snapshot: Snapshot, record_id: str) -> dict[str, Any]:
    """One record of a snapshot as plain values: fields by name, child rows a list of dictionaries, missing None."""
    row = snapshot.frame[snapshot.frame["id"] == record_id].iloc[0]
    values = {field.name: _plain(row[field.name]) for field in FIELDS[snapshot.entity] if field.kind is not Kind.ROWS}
    column = ROWS_COLUMN.get(snapshot.entity)
    if column is not None:
        own = snapshot.rows[snapshot.rows["parent_id"] == record_id].sort_values("position")
        names = [field.name for field in ROW_FIELDS[snapshot.entity]]
        values[column] = [{name: _plain(item[name]) for name in names} for item in own.to_dict("records")]
    return values


def _plain(value: Any) -> Any:
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value


def _holds(snapshot: Snapshot, record_id: str, entry: Entry) -> bool:
    """Whether the record holds every compared field that was to be written (results the side computes are left out)."""
    if record_id not in set(snapshot.frame["id"]):
        return False
    stored = record_values(snapshot, record_id)
    column = ROWS_COLUMN.get(Entity(entry.step))
    for field in FIELDS[entry.step]:
        if not field.compared or not field.writable or field.name not in entry.fields:
            continue
        wanted, held = entry.fields[field.name], stored[field.name]
        if field.name == column:
            wanted, held = rows_text(entry.step, wanted or []), rows_text(entry.step, held or [])
        if wanted != held:
            return False
    return True
