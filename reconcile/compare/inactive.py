"""Writes to, or about, what is inactive on the written side: refused there, tonight and every night after.

QuickBooks refuses whatever newly refers to an inactive customer, product or tax rate (API file 8, fault 2500),
ReliaBills to invoice an inactive customer ("Customers"). QuickBooks takes no change to an inactive customer or product
either, unless it becomes active with it; and one that was merged into another never becomes active again (fault 6000).
The refusal would fail the step and keep all later ones from starting, so such a write is held before, with all that
needs it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import pandas as pd

from reconcile.compare.canonical import References, is_live
from reconcile.compare.circumstances import Ended
from reconcile.compare.leaving import finding_of, left_out, named
from reconcile.compare.rules import CANNOT_RETURN, CHANGE_WAITS, INACTIVE
from reconcile.model.changes import Comparison, Decision
from reconcile.model.entities import FIELDS, Entity, Kind, Side
from reconcile.model.findings import Finding, Severity
from reconcile.model.plan import Action, Operation
from reconcile.model.snapshot import Snapshot, Snapshots

_NEEDED: Mapping[Side, Mapping[Entity, tuple[Entity, ...]]] = {
    Side.BOOKS: {
        Entity.CUSTOMER: (Entity.CUSTOMER, Entity.INVOICE, Entity.PAYMENT),
        Entity.PRODUCT: (Entity.INVOICE,),
        Entity.TAX_RATE: (Entity.INVOICE,),
    },
    Side.BILLING: {Entity.CUSTOMER: (Entity.INVOICE,)},
}
"""Per side what must be active, and for which records that refer to it."""


def becomes_active(comparisons: Iterable[Comparison]) -> bool:
    """Whether anything is to become active again in QuickBooks."""
    return any(not one.keys_going(Decision.TO_BOOKS, "active").empty for one in comparisons)


def without_changes_to_inactive(
    operations: Sequence[Operation], books: Snapshots, for_good: Collection[Ended]
) -> tuple[list[Operation], list[Finding]]:
    """The same operations without those that QuickBooks takes of no inactive customer or product.

    A change waits, with a note, until the record is active again. What would make it active again is held where
    QuickBooks has refused that before, and nothing has happened to the record since.

    Args:
        operations: of all steps, in order.
        books: what was read from QuickBooks.
        for_good: what QuickBooks has refused to make active again.
    """
    inactive = {entity: frozenset(_ended(books[entity])) for entity in (Entity.CUSTOMER, Entity.PRODUCT)}
    refused = {}
    for position, operation in enumerate(operations):
        if (operation.side, operation.action) != (Side.BOOKS, Action.UPDATE) or operation.target_id is None:
            continue
        if operation.target_id not in inactive.get(operation.step, ()):
            continue
        if not operation.activates:
            refused[position] = _change_waits(operation)
        elif (operation.step, operation.target_id, operation.expected_version) in for_good:
            refused[position] = _cannot_return(operation)
    return left_out(operations, refused)


def with_active_references(
    operations: Sequence[Operation], sides: Mapping[Side, Snapshots], references: References
) -> tuple[list[Operation], list[Finding]]:
    """The same operations without those that would use something inactive, nor what needs these; a finding for each.

    What the same plan brings back into use counts as active.

    Args:
        operations: of all steps, in order.
        sides: what was read.
        references: of all entities.
    """
    inactive = {
        (side, f"{entity}:{key}"): (entity, key)
        for side, needed in _NEEDED.items()
        for entity in needed
        for key in _inactive(sides[side], entity, references)
    }
    for operation in operations:
        if operation.side is not None and operation.activates:
            inactive.pop((operation.side, operation.record), None)
    if not inactive:
        return [*operations], []
    refused = {}
    for position, operation in enumerate(operations):
        side = operation.side
        if side is None or not _uses_anew(operation):
            continue
        used = [inactive[side, one] for one in operation.depends_on if (side, one) in inactive]
        for entity, key in [one for one in used if operation.step in _NEEDED[side][one[0]]][:1]:
            refused[position] = _held(operation, side, entity, references.label_of(entity, key))
    return left_out(operations, refused)


def _inactive(snapshots: Snapshots, entity: Entity, references: References) -> Sequence[str]:
    ended = _ended(snapshots[entity])
    return [] if ended.empty else list(references.keys(snapshots[entity].side, entity, ended))


def _ended(snapshot: Snapshot) -> pd.Series:
    return snapshot.frame["id"][~is_live(snapshot.frame)]


def _uses_anew(operation: Operation) -> bool:
    """Whether it says whom or what its record is about; an edit of anything else leaves that as it is."""
    said = [of.name for of in FIELDS[operation.step] if of.kind in {Kind.REF, Kind.ROWS}]
    return operation.action is Action.CREATE or any(name in operation.payload for name in said)


def _change_waits(operation: Operation) -> Finding:
    noun = operation.step.singular
    fields = ", ".join(name.replace("_", " ") for name in sorted(operation.payload))
    return finding_of(
        operation,
        CHANGE_WAITS,
        Severity.NOTE,
        f"{named(operation)} is inactive in QuickBooks, which takes no change to it as long as it is; what was changed "
        f"in ReliaBills ({fields}) is not carried.",
        f"Nothing here: it follows once the {noun} is active again.",
    )


def _cannot_return(operation: Operation) -> Finding:
    noun = operation.step.singular
    return finding_of(
        operation,
        CANNOT_RETURN,
        Severity.HOLD,
        f"{named(operation)} is active in ReliaBills and inactive in QuickBooks, which has refused to make it active "
        "again: most likely it was merged into another one there.",
        f"Link the {noun} in ReliaBills with that other one (`reconcile relink`), or make it inactive in ReliaBills "
        "again. If it was not merged, make it active in QuickBooks by hand.",
    )


def _held(operation: Operation, side: Side, entity: Entity, label: str) -> Finding:
    what = "made" if operation.action is Action.CREATE else "changed"
    remedy = f"Make the {entity.singular} {label} active again in {side.product}; the next run then carries this."
    if operation.step in {Entity.INVOICE, Entity.PAYMENT}:
        remedy += f" Or void the {operation.step.singular} in {side.other.product} if it should not be."
    if (side, entity) == (Side.BOOKS, Entity.CUSTOMER):
        remedy += (
            " QuickBooks refuses that for a customer that was merged into another one: then link the one in ReliaBills "
            "with that other one (`reconcile relink`)."
        )
    return finding_of(
        operation,
        INACTIVE,
        Severity.HOLD,
        f"{named(operation)} is not {what} in {side.product}: its {entity.singular} {label} is inactive there, and "
        f"{side.product} takes nothing new for what is inactive.",
        remedy,
    )
