"""Payments that must wait: one is carried only where its invoices still owe on that side what it pays of them.

Both systems refuse to apply more to an invoice than it owes. That happens when a payment was recorded on both sides by
hand, or when a cent of tax makes an invoice come to less on one side. The refusal would fail the step, tonight and
every night after; and what was paid twice is a question for a person. So the payment is held and the others go.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from reconcile.compare.canonical import References, is_live
from reconcile.compare.policy import MONEY_FIELDS
from reconcile.compare.rules import NOT_OPEN
from reconcile.model.entities import Entity, Side, side_and_id
from reconcile.model.findings import Finding, Severity
from reconcile.model.lookup import among
from reconcile.model.money import show
from reconcile.model.plan import Action, Operation
from reconcile.model.rows import NO_ROWS, rows_from_text
from reconcile.model.snapshot import Snapshots
from reconcile.model.totals import TotalsError, invoice_totals


def with_held_overpayments(
    operations: Sequence[Operation], sides: Mapping[Side, Snapshots], references: References
) -> tuple[list[Operation], list[Finding]]:
    """The same operations without payments that would pay more than is open, and a hold finding for each of these.

    Args:
        operations: of all steps, in the order in which they are done.
        sides: what was read.
        references: pairs of all entities.
    """
    refused: dict[int, Finding] = {}
    for side in Side:
        payments = [o for o in operations if o.side is side and o.step is Entity.PAYMENT]
        if not any(o.payload.get("applications") for o in payments):
            continue
        room = _room(side, operations, payments, sides, references)
        for operation in payments:
            change = _change(operation)
            beyond = [(key, more) for key, more in change.items() if more > 0 and key in room and more > room[key]]
            if beyond:
                refused[id(operation)] = _finding(operation, side, *beyond[0], room[beyond[0][0]], references)
                continue
            for key, more in change.items():
                if key in room:
                    room[key] -= more
    return [o for o in operations if id(o) not in refused], list(refused.values())


def _change(operation: Operation) -> Mapping[str, int]:
    """By how much an operation raises what is applied to each invoice, by key."""
    change: dict[str, int] = defaultdict(int)
    if operation.action in {Action.CREATE, Action.UPDATE} and "applications" in operation.payload:
        for sign, values in ((1, operation.payload), (-1, operation.before)):
            for row in rows_from_text(Entity.PAYMENT, values.get("applications") or NO_ROWS):
                change[str(row["invoice_id"])] += sign * (row["amount"] or 0)
    return change


def _room(
    side: Side,
    operations: Sequence[Operation],
    payments: Sequence[Operation],
    sides: Mapping[Side, Snapshots],
    references: References,
) -> dict[str, int]:
    """What each invoice concerned will owe on a side when the payments step begins, by key, minor units."""
    wanted = {key for operation in payments for key in _change(operation)}
    frame = sides[side][Entity.INVOICE].frame
    keys = references.keys(side, Entity.INVOICE, frame["id"])
    chosen = among(keys, wanted) & is_live(frame).to_numpy() & (frame["state"] != "closed").to_numpy(dtype=bool)
    room = dict(zip(keys[chosen], frame.loc[chosen, "balance"].fillna(0).astype(int), strict=True))
    invoices = [o for o in operations if o.side is side and o.step is Entity.INVOICE and o.key in wanted]
    totals = _totals(side.other, {o.key for o in invoices}, sides, references)
    before = dict(zip(keys[chosen], frame.loc[chosen, "total"].fillna(0).astype(int), strict=True))
    for operation in invoices:
        if operation.action is Action.CREATE:
            room[operation.key] = comes_to(operation, side, totals, sides, references)
        elif operation.action is Action.UPDATE and MONEY_FIELDS[Entity.INVOICE] & operation.payload.keys():
            room[operation.key] = room.get(operation.key, 0) + totals[operation.key] - before.get(operation.key, 0)
    for key, amount in _released(side, payments, sides, references):
        room[key] = room.get(key, 0) + amount
    return room


def _totals(side: Side, wanted: set[str], sides: Mapping[Side, Snapshots], references: References) -> Mapping[str, int]:
    frame = sides[side][Entity.INVOICE].frame
    keys = references.keys(side, Entity.INVOICE, frame["id"])
    chosen = among(keys, wanted)
    return dict(zip(keys[chosen], frame.loc[chosen, "total"].fillna(0).astype(int), strict=True))


def comes_to(
    operation: Operation,
    side: Side,
    totals: Mapping[str, int],
    sides: Mapping[Side, Snapshots],
    references: References,
) -> int:
    """What a new invoice will come to: ReliaBills works it out anew, QuickBooks is taken at the other side's word."""
    rate = operation.payload.get("tax_rate_id")
    if side is Side.BOOKS or rate is None:
        return totals[operation.key]
    rates = sides[Side.BOOKS][Entity.TAX_RATE].frame
    percent = rates.loc[(references.keys(Side.BOOKS, Entity.TAX_RATE, rates["id"]) == rate).to_numpy(), "percent"]
    lines = rows_from_text(Entity.INVOICE, operation.payload.get("lines") or NO_ROWS)
    names = ("discount_percent", "discount_taxable", "discount_nontaxable")
    try:
        return invoice_totals(
            ((line["amount"] or 0, bool(line["taxable"])) for line in lines),
            tax_percent=None if percent.empty or pd.isna(percent.iloc[0]) else int(percent.iloc[0]),
            **{name: operation.payload.get(name) for name in names},
        ).total
    except TotalsError:
        return totals[operation.key]


def _released(
    side: Side, payments: Sequence[Operation], sides: Mapping[Side, Snapshots], references: References
) -> Iterator[tuple[str, int]]:
    """What payments that are voided on a side give back to their invoices: key, minor units."""
    ending = {o.books_id if side is Side.BOOKS else o.billing_id for o in payments if o.action is Action.VOID} - {None}
    rows = sides[side][Entity.PAYMENT].rows
    rows = rows[among(rows["parent_id"], [one for one in ending if one])]
    keys: pd.Series[Any] = references.keys(side, Entity.INVOICE, rows["invoice_id"])
    yield from zip(keys, rows["amount"].fillna(0).astype(int), strict=True)


def _finding(operation: Operation, side: Side, key: str, more: int, room: int, references: References) -> Finding:
    _, record_id = side_and_id(operation.key)
    number = references.label_of(Entity.INVOICE, key)
    whose = f" of {operation.customer}" if operation.customer else ""
    return Finding(
        check=NOT_OPEN,
        severity=Severity.HOLD,
        entity=Entity.PAYMENT,
        side=side.other if operation.action is Action.CREATE else None,
        record_id=record_id,
        label=operation.label,
        amount=more - room,
        currency=operation.currency,
        sentence=(
            f"Payment {operation.label}{whose} pays {show(more, operation.currency)} of invoice {number}, but only "
            f"{show(max(room, 0), operation.currency)} of it is open in {side.product}."
        ),
        remedy=(
            f"See whether {side.product} has this payment already (void it on one side, or give both the same date and "
            "amount), or whether the invoice comes to less there (then leave the excess unapplied)."
        ),
        customer=operation.customer,
    )
