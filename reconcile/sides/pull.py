"""Pulling both sides: everything (census), or what changed with all that is needed to judge it (delta)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reconcile.model.entities import FIELDS, ROW_FIELDS, Entity, Kind, Side
from reconcile.model.snapshot import Scope, Snapshot
from reconcile.sides.side import Progress, Readable, no_progress

Watch = Callable[[Side, Entity], Progress]
"""Gives the progress to report one entity of one side to."""

ROUNDS = 8
"""A changed payment needs its invoices, these their customers, products and rates, and all of them their counterparts;
that is settled in fewer rounds than this unless something walks in circles."""

Selection = dict[tuple[Side, Entity], set[str]]


def nobody_watches(_side: Side, _entity: Entity) -> Progress:
    """A watch without an audience."""
    return no_progress


def pull_census(side: Readable, watch: Watch = nobody_watches) -> dict[Entity, Snapshot]:
    """All records of all five entities of one side, parents before children."""
    return {entity: side.census(entity, watch(side.side, entity)) for entity in Entity}


def pull_delta(
    sides: Mapping[Side, Readable],
    since: Mapping[Side, datetime],
    pairs: Mapping[Entity, pd.DataFrame],
    pending: Mapping[tuple[Side, Entity], frozenset[str]],
) -> dict[Side, dict[Entity, Snapshot]]:
    """What changed on either side, with the counterparts of it and everything it refers to, read directly.

    Args:
        sides: both sides.
        since: per side, the moment (its clock, UTC) from which changes are wanted.
        pairs: per entity the live links, columns ``books_id`` and ``billing_id``.
        pending: records that waited when the last run ended (held, unlinked, unsettled): they are read again, because
            what they waited for may have changed without their having changed.

    Returns:
        Snapshots of scope delta (or census, where a side could not tell what changed).
    """
    pulled = {side: dict(sides[side].changed(list(Entity), since[side])) for side in Side}
    return completed(sides, pulled, pairs, pending)


def pull_selected(
    sides: Mapping[Side, Readable],
    wanted: Mapping[tuple[Side, Entity], frozenset[str]],
    pairs: Mapping[Entity, pd.DataFrame],
) -> dict[Side, dict[Entity, Snapshot]]:
    """These records as they are now, with their counterparts and everything they refer to, read directly.

    Args:
        sides: both sides.
        wanted: ids of the records, by side and entity.
        pairs: per entity the live links, columns ``books_id`` and ``billing_id``.

    Returns:
        Snapshots of scope delta.
    """
    nothing = {
        side: {entity: replace(sides[side].fetch(entity, []), scope=Scope.DELTA) for entity in Entity} for side in Side
    }
    return completed(sides, nothing, pairs, wanted)


def completed(
    sides: Mapping[Side, Readable],
    pulled: dict[Side, dict[Entity, Snapshot]],
    pairs: Mapping[Entity, pd.DataFrame],
    pending: Mapping[tuple[Side, Entity], frozenset[str]],
) -> dict[Side, dict[Entity, Snapshot]]:
    """Snapshots with these records, the counterparts of all that was read and everything referred to, read directly."""
    counterparts = {entity: _counterparts(pairs[entity]) for entity in Entity}
    seen: Selection = {(side, entity): set() for side in Side for entity in Entity}
    wanted: Selection = {key: set(ids) for key, ids in pending.items()}
    for _ in range(ROUNDS):
        for side, entity in seen:
            snapshot = pulled[side][entity]
            seen[side, entity] |= {*snapshot.frame["id"], *snapshot.gone, *snapshot.unreadable}
        _want_more(wanted, pulled, counterparts, seen)
        missing = {key: ids - seen[key] for key, ids in wanted.items() if ids - seen[key]}
        if not missing:
            return pulled
        for (side, entity), ids in missing.items():
            seen[side, entity] |= ids
            pulled[side][entity] = merged(pulled[side][entity], sides[side].fetch(entity, sorted(ids)))
    raise RuntimeError(f"the records needed to judge a delta did not settle in {ROUNDS} rounds")


def confirm_absences(
    sides: Mapping[Side, Readable],
    pulled: Mapping[Side, Mapping[Entity, Snapshot]],
    pairs: Mapping[Entity, pd.DataFrame],
) -> dict[Side, dict[Entity, Snapshot]]:
    """Linked records that a census lacks, or that are said to be deleted, read directly: only that proves it.

    Args:
        sides: both sides.
        pulled: their snapshots.
        pairs: per entity the live links, columns ``books_id`` and ``billing_id``.

    Returns:
        The snapshots; what is confirmed to be deleted is ``gone``, what is there after all is among the records.
    """
    confirmed = {side: dict(snapshots) for side, snapshots in pulled.items()}
    for side, snapshots in confirmed.items():
        for entity, snapshot in snapshots.items():
            linked = set(pairs[entity][f"{side}_id"])
            doubtful = linked & snapshot.gone
            if snapshot.scope is Scope.CENSUS:
                doubtful |= linked - {*snapshot.frame["id"], *snapshot.unreadable}
            if doubtful:
                snapshots[entity] = merged(snapshot, sides[side].fetch(entity, sorted(doubtful)))
    return confirmed


def _counterparts(pairs: pd.DataFrame) -> dict[Side, dict[str, str]]:
    return {
        Side.BOOKS: dict(zip(pairs["books_id"], pairs["billing_id"], strict=True)),
        Side.BILLING: dict(zip(pairs["billing_id"], pairs["books_id"], strict=True)),
    }


def _want_more(
    wanted: Selection,
    pulled: Mapping[Side, Mapping[Entity, Snapshot]],
    counterparts: Mapping[Entity, Mapping[Side, Mapping[str, str]]],
    seen: Selection,
) -> None:
    for side, entity in seen:
        across = counterparts[entity][side]
        wanted.setdefault((side.other, entity), set()).update(
            across[record_id] for record_id in seen[side, entity] if record_id in across
        )
        for to, ids in _references(pulled[side][entity]):
            wanted.setdefault((side, to), set()).update(ids)


def _references(snapshot: Snapshot) -> Iterator[tuple[Entity, set[str]]]:
    for frame, fields in ((snapshot.frame, FIELDS), (snapshot.rows, ROW_FIELDS)):
        for field in fields.get(snapshot.entity, ()):
            if field.kind is Kind.REF and field.to is not None:
                yield field.to, set(frame[field.name].dropna())


def merged(snapshot: Snapshot, fetched: Snapshot) -> Snapshot:
    """A snapshot in which these records stand as they were fetched; its scope and moment stay.

    Used to complete a delta, and to bring a pulled snapshot up to date with what was written since. Of two versions of
    a record the newer one counts, whichever came first: QuickBooks answers a query from what it has caught up with.
    """
    fetched = _without(fetched, _outdated(snapshot, fetched))
    read_again = {*fetched.frame["id"], *fetched.gone, *fetched.unreadable}
    kept = _without(snapshot, read_again)
    again = frozenset(read_again)
    return replace(
        snapshot,
        scope=Scope.DELTA if snapshot.scope is Scope.SELECTED else snapshot.scope,
        frame=_joined(kept.frame, fetched.frame),
        rows=_joined(kept.rows, fetched.rows),
        counted=None,
        gone=(snapshot.gone - again) | fetched.gone,
        unreadable=(snapshot.unreadable - again) | fetched.unreadable,
        findings=(*kept.findings, *fetched.findings),
        marks={**kept.marks, **fetched.marks},
    )


def _outdated(known: Snapshot, fetched: Snapshot) -> set[str]:
    """Ids of records of which a newer version is known than was fetched."""
    versions = known.frame.set_index("id")["version"]
    before = versions[~versions.index.duplicated()].reindex(pd.Index(fetched.frame["id"]))
    return set(fetched.frame["id"][_as_numbers(before) > _as_numbers(fetched.frame["version"])])


def _as_numbers(versions: pd.Series[str]) -> NDArray[np.float64]:
    """Versions of either side as numbers, so that ``10`` is newer than ``9``; what is no number is not compared."""
    return pd.to_numeric(versions, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def _without(snapshot: Snapshot, ids: Collection[str]) -> Snapshot:
    """The snapshot without the frames, rows and findings of these records."""
    if not ids:
        return snapshot
    rows = snapshot.rows
    return replace(
        snapshot,
        frame=snapshot.frame[~snapshot.frame["id"].isin(ids)],
        rows=rows[~rows["parent_id"].isin(ids)] if len(rows.columns) else rows,
        findings=tuple(finding for finding in snapshot.findings if finding.record_id not in ids),
        marks={record_id: mark for record_id, mark in snapshot.marks.items() if record_id not in ids},
    )


def _joined(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    if second.empty:
        return first.reset_index(drop=True)
    return second if first.empty else pd.concat([first, second], ignore_index=True)
