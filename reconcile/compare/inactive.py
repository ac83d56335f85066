"""Writes that would use what is inactive on the written side: refused there, tonight and every night after.

QuickBooks refuses whatever newly refers to an inactive customer, product or tax rate (API file 8, fault 2500),
ReliaBills to invoice an inactive customer ("Customers").
The refusal would fail the step and keep all later ones from starting, so such a write is held before, with all that
needs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconcile.compare.canonical import References, is_live
from reconcile.compare.leaving import finding_of, left_out, named
from reconcile.compare.rules import INACTIVE
from reconcile.model.entities import FIELDS, Entity, Kind, Side
from reconcile.model.findings import Finding, Severity
from reconcile.model.plan import Action, Operation
from reconcile.model.snapshot import Snapshots

_NEEDED: Mapping[Side, Mapping[Entity, tuple[Entity, ...]]] = {
    Side.BOOKS: {
        Entity.CUSTOMER: (Entity.CUSTOMER, Entity.INVOICE, Entity.PAYMENT),
        Entity.PRODUCT: (Entity.INVOICE,),
        Entity.TAX_RATE: (Entity.INVOICE,),
    },
    Side.BILLING: {Entity.CUSTOMER: (Entity.INVOICE,)},
}
"""Per side what must be active, and for which records that refer to it."""


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
        if operation.side is not None and operation.payload.get("active") is True:
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
    snapshot = snapshots[entity]
    ended = snapshot.frame["id"][~is_live(snapshot.frame)]
    return [] if ended.empty else list(references.keys(snapshot.side, entity, ended))


def _uses_anew(operation: Operation) -> bool:
    """Whether it says whom or what its record is about; an edit of anything else leaves that as it is."""
    said = [of.name for of in FIELDS[operation.step] if of.kind in {Kind.REF, Kind.ROWS}]
    return operation.action is Action.CREATE or any(name in operation.payload for name in said)


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
