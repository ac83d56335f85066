"""Protected documents: what an accountant has finished is left as it is, whatever the other side says.

A document of a closed period, a deposited payment, a payment that a card processor has carried out, an invoice that is
fully paid, and one whose sales tax was filed: an operation that would change it is left out of the plan and held. Where
the side would refuse it anyway, the document has to be opened there; else a person lets it pass, record by record.
Reconciled payments cannot be told: QuickBooks does not give the mark through its API; a deposit comes before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from reconcile.compare.canonical import References
from reconcile.compare.circumstances import Circumstances
from reconcile.compare.leaving import PassedGuards, finding_of, left_out, named
from reconcile.compare.policy import MONEY_FIELDS
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Finding, Severity
from reconcile.model.guards import GUARDS, Guard, covering, record_name
from reconcile.model.lookup import among
from reconcile.model.plan import Action, Operation
from reconcile.model.snapshot import Snapshots

CLOSED_BOOKS = "protected:closed-books"
DEPOSITED = "protected:deposited-payment"
PROCESSED = "protected:processed-payment"
PAID = "protected:paid-invoice"
FILED_TAX = "protected:filed-tax"

CHECKS = {
    name: name.replace(":", "_").replace("-", "_") for name in (CLOSED_BOOKS, DEPOSITED, PROCESSED, PAID, FILED_TAX)
}
"""The name of the finding for each kind of protection."""

_DATES = {Entity.INVOICE: "invoice_date", Entity.PAYMENT: "payment_date"}
_DEED = {
    Action.CREATE: "is new in",
    Action.UPDATE: "was changed in",
    Action.VOID: "was voided in",
    Action.DELETE: "was deleted in",
}


def with_protection(
    company: str,
    operations: Sequence[Operation],
    sides: Mapping[Side, Snapshots],
    references: References,
    circumstances: Circumstances,
    *,
    undoing: bool = False,
) -> tuple[list[Operation], list[Finding], PassedGuards]:
    """The same operations without those on protected documents.

    Args:
        company: company key.
        operations: all of a plan.
        sides: both sides as they are now.
        references: pairs of all entities.
        circumstances: what is closed, filed and deposited, and what people let pass.
        undoing: whether the operations take back what a run did; they carry nothing across then.

    Returns:
        What is left; a hold finding for each that is left out (and notes on what waits for it); what people let pass.
    """
    documents = _Documents(operations, sides, references, circumstances, undoing=undoing)
    refused: dict[int, Finding] = {}
    passed: PassedGuards = []
    for position, operation in enumerate(operations):
        for guard in documents.guards(operation):
            permission = covering(circumstances.permissions, guard) if GUARDS[guard.name].permit else None
            if permission is not None:
                passed.append((guard, permission))
                continue
            remedy = guard.remedy
            if GUARDS[guard.name].permit:
                remedy = f"{remedy} To write it all the same: `{guard.command(company)}`"
            refused[position] = finding_of(operation, CHECKS[guard.name], Severity.HOLD, guard.sentence, remedy)
            break
    kept, findings = left_out(operations, refused)
    return kept, findings, passed


class _Documents:
    """The documents that a plan touches, and what protects each."""

    def __init__(
        self,
        operations: Sequence[Operation],
        sides: Mapping[Side, Snapshots],
        references: References,
        circumstances: Circumstances,
        *,
        undoing: bool,
    ) -> None:
        self.circumstances = circumstances
        self.undoing = undoing
        self.agencies = self._agencies(sides[Side.BOOKS], references)
        self.references = references
        self.records = {
            (side, entity): self._records(side, entity, operations, sides[side])
            for side in Side
            for entity in (Entity.INVOICE, Entity.PAYMENT)
        }

    def guards(self, operation: Operation) -> Iterator[Guard]:
        """What protects the document that an operation is about, the strictest first."""
        side = operation.side
        if side is None or operation.step not in _DATES:
            return
        record = self.records[side, operation.step].get(self._target(operation, side), {})
        if side is Side.BOOKS:
            yield from self._closed(operation, record)
        if operation.step is Entity.PAYMENT:
            yield from self._money_on_its_way(operation, side, record)
        else:
            yield from self._paid(operation, side, record)
            if side is Side.BOOKS:
                yield from self._filed(operation, record)

    def _closed(self, operation: Operation, record: Mapping[str, Any]) -> Iterator[Guard]:
        closed = self.circumstances.closed_until
        name = _DATES[operation.step]
        days = [str(day) for day in (record.get(name), operation.payload.get(name)) if day]
        if closed and days and min(days) <= closed:
            yield self._guard(
                CLOSED_BOOKS,
                operation,
                f"but it is dated {min(days)}, and the books are closed until {closed}",
                "Open the period in QuickBooks (closing date in the company's settings) until the next run, or undo it "
                "in ReliaBills. It is not tried again while the period is closed.",
            )

    def _money_on_its_way(self, operation: Operation, side: Side, record: Mapping[str, Any]) -> Iterator[Guard]:
        if operation.action is Action.CREATE:
            return
        deposited = record.get("deposited") or operation.books_id in self.circumstances.deposited
        if side is Side.BOOKS and deposited:
            yield self._guard(
                DEPOSITED,
                operation,
                "but it is part of a deposit in QuickBooks, which lets nobody change it there",
                "Take the payment off its deposit in QuickBooks, or undo it in ReliaBills.",
            )
        moves = operation.action is Action.VOID or {"amount", "credit"} & operation.payload.keys()
        if side is Side.BILLING and moves and record.get("processed"):
            yield self._guard(
                PROCESSED,
                operation,
                "but ReliaBills has taken the money from a card or account, and no edit gives it back",
                "Refund it in ReliaBills, or undo it in QuickBooks.",
            )

    def _paid(self, operation: Operation, side: Side, record: Mapping[str, Any]) -> Iterator[Guard]:
        figures = operation.payload.keys() & (MONEY_FIELDS[Entity.INVOICE] - {"void"})
        if operation.action is Action.UPDATE and figures and record.get("total") and not record.get("balance"):
            yield self._guard(
                PAID,
                operation,
                f"but it is fully paid in {side.product}",
                "Look whether the customer knows of it: what it comes to more is owed again.",
            )

    def _filed(self, operation: Operation, record: Mapping[str, Any]) -> Iterator[Guard]:
        figures = MONEY_FIELDS[Entity.INVOICE] | {"invoice_date"}
        if not self.circumstances.filed_until or not figures & operation.payload.keys():
            return
        source = self.records[Side.BILLING, Entity.INVOICE].get(operation.billing_id or "", {})
        rates = {str(rate) for rate in (record.get("tax_rate_id"), operation.payload.get("tax_rate_id")) if rate}
        days = [str(day) for day in (record.get("invoice_date"), operation.payload.get("invoice_date")) if day]
        if not days or not (record.get("tax") or source.get("tax")):
            return
        for rate in sorted(rates):
            for agency in self.agencies.get(rate, ()):
                filed = self.circumstances.filed_until.get(agency, "")
                if filed and min(days) <= filed:
                    yield self._guard(
                        FILED_TAX,
                        operation,
                        f"but it is dated {min(days)}, and its sales tax was filed with {agency} until {filed}",
                        "Correct the return first, or undo it in ReliaBills.",
                    )
                    return

    def _guard(self, name: str, operation: Operation, but: str, remedy: str) -> Guard:
        here = operation.side.other.product if operation.side else ""
        deed = f"{_DEED.get(operation.action, 'was changed in')} {here}"
        if self.undoing:
            deed = "is to be as it was before a run"
        sentence = f"{named(operation)} {deed}, {but}. It stays as it is."
        return Guard(name, sentence, remedy, record=record_name(operation.step, operation.key))

    def _target(self, operation: Operation, side: Side) -> str:
        return (operation.books_id if side is Side.BOOKS else operation.billing_id) or ""

    def _records(
        self, side: Side, entity: Entity, operations: Sequence[Operation], snapshots: Snapshots
    ) -> dict[str, dict[str, Any]]:
        """What is to be known of the documents concerned, by id; tax rates as keys, missing values left out."""
        wanted = {self._target(operation, side) for operation in operations if operation.step is entity}
        names = {
            Entity.INVOICE: ["invoice_date", "total", "balance", "tax", "tax_rate_id"],
            Entity.PAYMENT: ["payment_date", "deposited", "processed"],
        }[entity]
        if not wanted:
            return {}
        frame = snapshots[entity].frame
        frame = frame[among(frame["id"], wanted)].set_index("id")[names]
        if entity is Entity.INVOICE:
            frame = frame.assign(tax_rate_id=self.references.keys(side, Entity.TAX_RATE, frame["tax_rate_id"]).array)
        rows = frame.astype(object).to_dict("index")
        return {
            str(record_id): {str(name): value for name, value in row.items() if not pd.isna(value)}
            for record_id, row in rows.items()
        }

    def _agencies(self, books: Snapshots, references: References) -> Mapping[str, tuple[str, ...]]:
        """The agencies of each tax rate, by the rate's key."""
        rates = books[Entity.TAX_RATE].frame
        keys = references.keys(Side.BOOKS, Entity.TAX_RATE, rates["id"])
        return {
            str(key): tuple(str(agency).split(" + "))
            for key, agency in zip(keys, rates["agency"].fillna(""), strict=True)
        }
