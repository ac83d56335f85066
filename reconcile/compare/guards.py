"""Guards: disaster has a shape. Each guard gives values; who calls it stops the run before its first write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from reconcile.compare.canonical import among
from reconcile.model.changes import Agreement
from reconcile.model.entities import Entity, Side
from reconcile.model.guards import Guard
from reconcile.model.plan import Action, EffectKind, Plan
from reconcile.model.snapshot import Scope, Snapshot, Snapshots

EMPTIED = "emptied-side"
SHRUNK = "shrunken-side"
ENDINGS = "many-endings"
IDENTITY = "wrong-company"
EFFECTS = "many-outside-effects"
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


def many_endings(plan: Plan, most: int) -> list[Guard]:
    """A plan with more voids, deletions and deactivations than the company's usual; ``most`` are let pass per step."""
    endings = Counter(
        operation.step
        for operation in plan.operations
        if operation.action in {Action.VOID, Action.DELETE, Action.DEACTIVATE}
    )
    return [
        Guard(
            ENDINGS,
            f"The plan ends {number:,} {entity.plural} (void, delete or deactivate); usual are at most {most:,}.",
            "Look at them in the plan.",
            record=entity.value,
            measure=number,
        )
        for entity, number in endings.items()
        if number > most
    ]


def wrong_company(side: Side, expected_id: str, found_id: str, found_name: str) -> list[Guard]:
    """Another company behind the same connection than the one the links were made with."""
    if expected_id == found_id:
        return []
    return [
        Guard(
            IDENTITY,
            f"The connection to {side.product} leads to {found_name} ({found_id}), but the links were made with "
            f"{expected_id}.",
            f"Connect {side.product} to the right company again; nothing was written.",
        )
    ]


def many_effects(plan: Plan, most_mails: int, most_charges: int) -> list[Guard]:
    """A plan that would cause more mails or charges than one run may."""
    caused = Counter(effect.kind for operation in plan.operations for effect in operation.effects)
    caps = {EffectKind.MAIL: most_mails, EffectKind.CHARGE: most_charges}
    return [
        Guard(
            EFFECTS,
            f"The plan would cause {caused[kind]:,} {kind}s; at most {most:,} are allowed per run.",
            "Look at them in the plan.",
            record=kind.value,
            measure=caused[kind],
        )
        for kind, most in caps.items()
        if caused[kind] > most
    ]
