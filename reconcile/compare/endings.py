"""Deactivations that must wait: a record is made inactive only when nothing on that side still needs it.

QuickBooks refuses to make a customer inactive who owes (API file 4.1, fault 6220), ReliaBills stops charging one, and
both sides refuse new documents for what is inactive. A refusal would fail the step, tonight and every night after, so
the deactivation waits instead: it is left out of the plan, with a note, and follows by itself once nothing stands in
its way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Finding, Severity
from reconcile.model.plan import Action, Operation
from reconcile.model.snapshot import Snapshots

WAITS = "deactivation_waits"


def with_waiting_endings(
    operations: Sequence[Operation], sides: Mapping[Side, Snapshots]
) -> tuple[list[Operation], list[Finding]]:
    """The same operations without the deactivations that must wait, and a note for each of these.

    Args:
        operations: of all steps.
        sides: what was read; what a customer owes on a side stands on its invoices there.
    """
    owing = {side: _owing(snapshots) for side, snapshots in sides.items()}
    needed = {
        (operation.side, record)
        for operation in operations
        if operation.action in {Action.CREATE, Action.UPDATE}
        for record in operation.depends_on
    }
    kept: list[Operation] = []
    notes: list[Finding] = []
    for operation in operations:
        why = ""
        if operation.action is Action.DEACTIVATE and operation.side is not None:
            if operation.step is Entity.CUSTOMER and operation.target_id in owing[operation.side]:
                why = f"still has open invoices in {operation.side.product}"
            elif (operation.side, operation.record) in needed:
                why = f"is still needed in {operation.side.product} by what this run carries there"
        if not why:
            kept.append(operation)
            continue
        notes.append(_note(operation, why))
        rest = {name: value for name, value in operation.payload.items() if name != "active"}
        if rest:
            kept.append(_without_ending(operation, rest))
    return kept, notes


def _owing(snapshots: Snapshots) -> frozenset[str]:
    """Ids of customers with open invoices."""
    invoices = snapshots[Entity.INVOICE].frame
    return frozenset(invoices.loc[invoices["balance"].fillna(0) != 0, "customer_id"].dropna())


def _without_ending(operation: Operation, rest: dict[str, object]) -> Operation:
    return replace(
        operation,
        action=Action.UPDATE,
        payload=rest,
        before={name: value for name, value in operation.before.items() if name != "active"},
        agreed={name: value for name, value in operation.agreed.items() if name != "active"},
    )


def _note(operation: Operation, why: str) -> Finding:
    side = Side.BILLING if operation.side is Side.BOOKS else Side.BOOKS
    record_id = operation.billing_id if side is Side.BILLING else operation.books_id
    noun = operation.step.singular
    return Finding(
        check=WAITS,
        severity=Severity.NOTE,
        entity=operation.step,
        side=side,
        record_id=record_id or "",
        label=operation.label,
        amount=operation.amount,
        currency=operation.currency,
        sentence=(
            f"{noun.capitalize()} {operation.label} was made inactive in {side.product} but {why}, "
            f"so it stays active in {side.other.product} for now."
        ),
        remedy="Nothing here: it follows once that is settled.",
        customer=operation.customer,
    )
