"""Guards: disaster has a shape. Each guard gives values; who calls it stops the run before its first write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from reconcile.compare.habits import PRICES, deeds, limit
from reconcile.model.changes import Agreement
from reconcile.model.entities import Entity
from reconcile.model.guards import Guard
from reconcile.model.lookup import among
from reconcile.model.plan import Plan
from reconcile.model.snapshot import Scope, Snapshot, Snapshots

EMPTIED = "emptied-side"
SHRUNK = "shrunken-side"
ENDINGS = "many-endings"
PRICE_CHANGES = "many-price-changes"
STALE = "stale-plan"
STALE_AFTER = timedelta(hours=3)
"""Longer than the pull of a large company takes, shorter than a working day between its plan and its push."""
SHRUNK_BY_PERCENT = 30
"""A side that lost this share of its linked records since the last agreement is not believed (fault 55)."""
FEW = 5
"""Below this number of records a share says nothing: one of three is no disaster."""


def guards(
    books: Snapshots,
    billing: Snapshots,
    agreements: Mapping[Entity, Agreement],
    *,
    shrunk_by_percent: int = SHRUNK_BY_PERCENT,
) -> list[Guard]:
    """The guards that what was read runs into: emptied and shrunken sides.

    Args:
        books: what was read from QuickBooks.
        billing: what was read from ReliaBills.
        agreements: what both were last seen to hold.
        shrunk_by_percent: share of the linked records whose absence is not believed.
    """
    found = []
    for entity in Entity:
        for snapshots in (books, billing):
            found += emptied_side(snapshots[entity], agreements[entity])
            found += shrunken_side(snapshots[entity], agreements[entity], shrunk_by_percent)
    return found


def emptied_side(snapshot: Snapshot, agreement: Agreement) -> list[Guard]:
    """A side that gives nothing at all where there are linked records: a wrong login, never a deletion."""
    if snapshot.scope is not Scope.CENSUS or len(snapshot) or snapshot.unreadable or agreement.frame.empty:
        return []
    product, entity = snapshot.side.product, snapshot.entity
    return [
        Guard(
            EMPTIED,
            f"{product} gives no {entity.plural} at all, although {len(agreement.frame):,} are linked.",
            f"Look into {product}: is it the right company, and may this user see its {entity.plural}? Then run again.",
            record=f"{snapshot.side}/{entity}",
        )
    ]


def shrunken_side(snapshot: Snapshot, agreement: Agreement, by_percent: int = SHRUNK_BY_PERCENT) -> list[Guard]:
    """A side that lacks more of its linked records than can be believed; those known to be deleted count, too."""
    if snapshot.scope is not Scope.CENSUS or not len(snapshot):
        return []
    linked = agreement.frame[f"{snapshot.side}_id"]
    there = among(linked, snapshot.frame["id"]) | among(linked, snapshot.unreadable)
    missing = int((~there).sum())
    if len(linked) < FEW or missing * 100 < by_percent * len(linked):
        return []
    product, entity = snapshot.side.product, snapshot.entity
    return [
        Guard(
            SHRUNK,
            f"{product} lacks {missing:,} of {len(linked):,} linked {entity.plural}.",
            f"Look into {product}: were they really deleted, or may this user not see them? Then run again.",
            record=f"{snapshot.side}/{entity}",
            measure=missing,
        )
    ]


def many_deeds(
    plan: Plan, history: Sequence[Mapping[str, int]], endings: int | None = None, prices: int | None = None
) -> list[Guard]:
    """A plan that ends more records, or changes more prices, than this company's history makes likely.

    Args:
        plan: what would be done.
        history: :func:`~reconcile.compare.habits.deeds` of the company's earlier runs.
        endings: the company's own limit per kind of record; ``None`` to go by the history.
        prices: the same for prices of products.
    """
    found = []
    for kind, number in deeds(plan).items():
        allowed = limit(kind, history, prices if kind == PRICES else endings)
        if number <= allowed.most:
            continue
        if kind == PRICES:
            name, what = PRICE_CHANGES, f"changes the prices of {number:,} products"
        else:
            name, what = ENDINGS, f"ends {number:,} {Entity(kind).plural} (void, delete or deactivate)"
        sentence = f"The plan {what}; {allowed.why}."
        record = "" if kind == PRICES else kind
        found.append(Guard(name, sentence, "Look at them in the plan.", record=record, measure=number))
    return found


def stale_plan(seconds: float) -> list[Guard]:
    """A plan whose sides were read so long ago that it no longer knows what people have entered since.

    What changed is refused write by write, by its version; what is new has none, and would be entered twice.
    """
    if seconds < STALE_AFTER.total_seconds():
        return []
    return [
        Guard(
            STALE,
            f"Both sides were read {seconds / 3600:.0f} hours ago, so the plan does not know what people entered "
            "since. Nothing was written.",
            "Read both sides again: run the cells from `run.pull()` on, or start a new run.",
        )
    ]
