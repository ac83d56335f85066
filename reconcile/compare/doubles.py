"""Payments that one write of ours has made twice in QuickBooks: the second one is shown, and never carried on.

A request may arrive twice whatever became of its answer: the network may deliver it again at once, or when QuickBooks
knows it no longer (:mod:`reconcile.push.settle` repeats no other). Nothing can keep the second payment from being made;
but both bear the mark of their request, which is read with them, and so it is not taken for somebody's own. An invoice
made twice has its number twice, which is held anyway.

What bears a mark that no other payment bears, and of which the journal knows nothing else, is a record as any other: a
state that was restored does not know what was written after its copy was made.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from reconcile.compare.canonical import is_live
from reconcile.compare.leaving import finding_of, left_out, named
from reconcile.compare.rules import TWICE
from reconcile.model.changes import Comparison
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Finding, Severity
from reconcile.model.plan import Action, Operation
from reconcile.model.snapshot import Snapshot


def new_and_marked(payments: Comparison, in_books: Snapshot) -> frozenset[str]:
    """Ids in QuickBooks of the payments that this comparison would make in ReliaBills although we have made them.

    None as a rule: what we make has its counterpart. A payment that is void is not made in ReliaBills.
    """
    changes = payments.changes
    new = changes["billing_id"].isna().to_numpy() & ~changes["held"].to_numpy(dtype=bool)
    ours = in_books.marks.keys() & {*changes["books_id"][new].dropna()}
    return _standing(in_books) & ours if ours else frozenset()


def made_twice(
    payments: Comparison, in_books: Snapshot, made: Mapping[str, str | None], linked: Collection[str]
) -> dict[str, str]:
    """Payments new in QuickBooks that are second ones of a write, each with the one that stands for that write.

    That is the one that has a counterpart in ReliaBills; else the one that the journal knows; else, where the journal
    knows nothing, the oldest. As long as it is not known what the write has made, none of several does.

    Args:
        payments: their comparison.
        in_books: payments of QuickBooks as read, with their marks.
        made: by mark, the payment that the write has made in QuickBooks; ``None`` while that is not known.
        linked: ids in QuickBooks of payments that have a counterpart, whether they were read or not.
    """
    paired = {*linked, *payments.pairs["books_id"]}
    new, standing = new_and_marked(payments, in_books), _standing(in_books)
    bearers: dict[str, list[str]] = {in_books.marks[record_id]: [] for record_id in new}
    for record_id in sorted(in_books.marks, key=_age):
        if in_books.marks[record_id] in bearers:
            bearers[in_books.marks[record_id]].append(record_id)
    found: dict[str, str] = {}
    for record_id in new:
        mark = in_books.marks[record_id]
        others = [one for one in bearers[mark] if one != record_id]
        first = next((one for one in others if one in paired), None)
        if first is None and mark in made and made[mark] != record_id:
            first = made[mark] or next((one for one in others if one in standing), None)
        elif first is None and mark not in made:
            first = next((one for one in others if one in standing and _age(one) < _age(record_id)), None)
        if first is not None:
            found[record_id] = first
    return found


def without_doubles(
    operations: Sequence[Operation], doubles: Mapping[str, str]
) -> tuple[list[Operation], list[Finding]]:
    """The same operations without payments that are there twice, and all that needs these; a finding for each.

    Nor is the counterpart of the first one voided as long as the second one stands: whoever voids one of two that are
    alike in QuickBooks may take either, and the money has come in.

    Args:
        operations: of all steps, in order.
        doubles: ids in QuickBooks of payments, and of those that stand for the same write (:func:`made_twice`).
    """
    seconds = {first: second for second, first in doubles.items()}
    refused = {}
    for position, operation in enumerate(operations):
        if (operation.step, operation.side) != (Entity.PAYMENT, Side.BILLING) or operation.books_id is None:
            continue
        if operation.action is Action.CREATE and operation.books_id in doubles:
            refused[position] = _second(operation, doubles[operation.books_id])
        elif operation.action in {Action.VOID, Action.DELETE} and operation.books_id in seconds:
            refused[position] = _first(operation, seconds[operation.books_id])
    return left_out(operations, refused)


def _second(operation: Operation, first: str) -> Finding:
    return finding_of(
        operation,
        TWICE,
        Severity.HOLD,
        f"{named(operation)} in QuickBooks (id {operation.books_id}) was made by the same write of the sync as the "
        f"payment with the id {first}: its request arrived there twice. It is not carried to ReliaBills.",
        "Look at both in QuickBooks and void this one. If it is a payment of its own, take the tag [reconcile ...] "
        "out of its memo; the next run then carries it.",
    )


def _first(operation: Operation, second: str) -> Finding:
    return finding_of(
        operation,
        TWICE,
        Severity.HOLD,
        f"{named(operation)} was ended in QuickBooks (id {operation.books_id}), but the payment with the id {second}, "
        "which the same write of the sync has made, still stands there. It is not voided in ReliaBills.",
        "If the money came in, link the payment in ReliaBills with the one that stands (`reconcile relink`). If it did "
        "not, void that one in QuickBooks as well.",
    )


def _standing(in_books: Snapshot) -> frozenset[str]:
    """Ids of payments that are not void."""
    return frozenset(in_books.frame["id"][is_live(in_books.frame).to_numpy(dtype=bool)])


def _age(record_id: str) -> tuple[int, str]:
    """Orders ids by the time at which their records were made (QuickBooks counts upwards)."""
    return len(record_id), record_id
