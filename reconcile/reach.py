"""How far back a delta reads, and when it must read everything instead. Pure; what it decides is said in the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconcile.model.entities import Entity, Side
from reconcile.model.snapshot import Scope, Snapshot
from reconcile.sides.quickbooks import CDC_CAP, CDC_DAYS, CDC_ENTITIES

OVERLAP = timedelta(minutes=10)
"""How far a delta reaches back before the last cursor: the sides' clocks and late commits need it (API file 5.3)."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a delta reaches back.

    Attributes:
        since: per side (its clock, UTC) from when changes are wanted; ``None`` when everything is to be read.
        because: why everything is to be read, a sentence; empty when it is not.
    """

    since: Mapping[Side, datetime] | None
    because: str = ""


def reach(
    cursors: Mapping[Side, Mapping[Entity, datetime]], last_census: datetime | None, every: timedelta, now: datetime
) -> Reach:
    """Decide how far back a delta reads.

    Args:
        cursors: per side and entity, up to when changes have been read.
        last_census: when a run last had read everything; ``None`` when none is on record.
        every: how often everything is to be read.
        now: UTC.
    """
    if any(set(moments) != set(Entity) for moments in cursors.values()) or last_census is None:
        return Reach(None, "There is no earlier full run to start from, so this run reads everything (census).")
    since = {side: min(moments.values()) - OVERLAP for side, moments in cursors.items()}
    age = now - since[Side.BOOKS]
    if age >= timedelta(days=CDC_DAYS):
        return Reach(
            None,
            f"Changes were last read {age.days} days ago and QuickBooks tells those of the last 30 days only, so this "
            "run reads everything (census) instead.",
        )
    if now - last_census >= every:
        return Reach(
            None,
            f"Everything was last read on {last_census:%Y-%m-%d}, and that is due every {_days(every)}, so this run "
            "reads everything (census).",
        )
    return Reach(since)


def overflowed(books: Mapping[Entity, Snapshot]) -> str:
    """Which kinds of records QuickBooks had too many changes of to tell, a sentence; empty when there are none."""
    whole = [entity.plural for entity in CDC_ENTITIES if books[entity].scope is Scope.CENSUS]
    if not whole:
        return ""
    return (
        f"QuickBooks tells at most {CDC_CAP:,} changes at once and there were more, so all of its {_listed(whole)} "
        "were read instead."
    )


def read_whole(sides: Iterable[Mapping[Entity, Snapshot]]) -> bool:
    """Whether everything was read on these sides."""
    return all(snapshot.scope is Scope.CENSUS for snapshots in sides for snapshot in snapshots.values())


def _days(period: timedelta) -> str:
    return "day" if period.days <= 1 else f"{period.days} days"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
