"""Payments that one write of ours has made twice in QuickBooks: the second one is shown, and never carried on.

A request whose answer was lost is repeated while QuickBooks is trusted to know it, and looked for after that
(:mod:`reconcile.push.settle`). Should it arrive once more when QuickBooks knows it no longer, nothing can keep the
second payment from being made; but both bear the mark of their request, and so it is not taken for somebody's own.
An invoice made twice has its number twice, which is held anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconcile.compare.leaving import finding_of, left_out, named
from reconcile.compare.rules import TWICE
from reconcile.model.changes import Comparison
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Finding, Severity
from reconcile.model.plan import Action, Operation


def new_in_books(payments: Comparison) -> tuple[str, ...]:
    """Ids in QuickBooks of the payments that this comparison would make in ReliaBills."""
    changes = payments.changes
    new = changes["billing_id"].isna().to_numpy() & ~changes["held"].to_numpy(dtype=bool)
    return tuple(changes["books_id"][new].dropna())


def without_doubles(
    operations: Sequence[Operation], doubles: Mapping[str, str]
) -> tuple[list[Operation], list[Finding]]:
    """The same operations without payments that are there twice, and all that needs these; a finding for each.

    Args:
        operations: of all steps, in order.
        doubles: ids in QuickBooks of payments, and of those that the same write has made before.
    """
    refused = {
        position: finding_of(
            operation,
            TWICE,
            Severity.HOLD,
            f"{named(operation)} in QuickBooks (id {operation.books_id}) was made by the same write of the sync as the "
            f"payment with the id {doubles[operation.books_id]}: its request arrived there twice. It is not carried to "
            "ReliaBills.",
            "Look at both in QuickBooks and void this one. If it is a payment of its own, take the tag [reconcile ...] "
            "out of its memo; the next run then carries it.",
        )
        for position, operation in enumerate(operations)
        if (operation.step, operation.action, operation.side) == (Entity.PAYMENT, Action.CREATE, Side.BILLING)
        if operation.books_id is not None and operation.books_id in doubles
    }
    return left_out(operations, refused)
