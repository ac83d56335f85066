"""Leaving operations out of a plan, with all that cannot be done without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconcile.compare.rules import DEPENDS
from reconcile.model.entities import Side, side_and_id
from reconcile.model.findings import Finding, Severity
from reconcile.model.guards import Guard, Permission
from reconcile.model.plan import Action, Operation

PassedGuards = list[tuple[Guard, Permission]]


def left_out(operations: Sequence[Operation], refused: Mapping[int, Finding]) -> tuple[list[Operation], list[Finding]]:
    """The same operations without those at these positions, nor what refers to a record that they would have made.

    Args:
        operations: of all steps, in order, so that what others refer to comes first.
        refused: by position, why.

    Returns:
        What is left, and all findings: those given, and a note for each operation that waits for one of them.
    """
    kept, findings = [], []
    missing: dict[tuple[Side | None, str], Operation] = {}
    for position, operation in enumerate(operations):
        needed = [missing[operation.side, one] for one in operation.depends_on if (operation.side, one) in missing]
        if position in refused:
            findings.append(refused[position])
        elif needed:
            findings.append(_waits(operation, needed[0]))
        else:
            kept.append(operation)
            continue
        if operation.action is Action.CREATE:
            missing[operation.side, operation.record] = operation
    return kept, findings


def finding_of(
    operation: Operation, check: str, severity: Severity, sentence: str, remedy: str, amount: int | None = None
) -> Finding:
    """A finding about an operation that is left out; it lies between the sides unless one side alone has the record."""
    side, record_id = side_and_id(operation.key)
    return Finding(
        check=check,
        severity=severity,
        entity=operation.step,
        side=side if operation.action is Action.CREATE else None,
        record_id=record_id,
        label=operation.label,
        amount=operation.amount if amount is None else amount,
        currency=operation.currency,
        sentence=sentence,
        remedy=remedy,
        customer=operation.customer,
    )


def named(operation: Operation) -> str:
    """What a person calls the record: ``Invoice 1001 of Cool Cars``."""
    whose = f" of {operation.customer}" if operation.customer and operation.customer != operation.label else ""
    return f"{operation.step.singular.capitalize()} {operation.label or operation.key}{whose}"


def _waits(operation: Operation, other: Operation) -> Finding:
    what = named(other)
    return finding_of(
        operation,
        DEPENDS,
        Severity.NOTE,
        f"{named(operation)} waits for {what[:1].lower()}{what[1:]}, which is held.",
        "Nothing here: it follows once that is settled.",
    )
