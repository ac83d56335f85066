"""Outside effects: the mails and charges that the operations of a plan would cause, named before anything is written.

ReliaBills' midnight job charges whatever is open for a customer on auto pay, and mails new invoices when the company
says so. Whoever opens a balance there, or leaves one open, causes a charge.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from reconcile.compare.canonical import References, among
from reconcile.model.entities import Entity, Side
from reconcile.model.money import show
from reconcile.model.plan import Action, EffectKind, Operation, OutsideEffect
from reconcile.model.rows import NO_ROWS, rows_from_text
from reconcile.model.snapshot import Snapshots


def with_effects(
    operations: Sequence[Operation],
    books: Snapshots,
    billing: Snapshots,
    references: References,
    *,
    mail_since: date | None,
    send_automatically: bool,
) -> list[Operation]:
    """The same operations, each with the mails and charges that it would cause.

    Args:
        operations: all of a plan, in order.
        books: what was read from QuickBooks.
        billing: what was read from ReliaBills.
        references: pairs of all entities.
        mail_since: invoices dated before are never mailed; ``None`` for no limit.
        send_automatically: whether ReliaBills mails invoices that come from QuickBooks.
    """
    causes = _Causes(operations, books, billing, references, mail_since, send_automatically=send_automatically)
    return [
        replace(operation, effects=effects) if (effects := tuple(causes.of(operation))) else operation
        for operation in operations
    ]


@dataclass(frozen=True, slots=True)
class _Invoice:
    """What the effects need to know of an invoice: its customer's key, and money in minor units."""

    customer: str
    total: int
    balance: int
    state: str


class _Causes:
    """What each operation of one plan leads to."""

    def __init__(
        self,
        operations: Sequence[Operation],
        books: Snapshots,
        billing: Snapshots,
        references: References,
        mail_since: date | None,
        *,
        send_automatically: bool,
    ) -> None:
        self.references = references
        self.mail_since = mail_since
        self.send_automatically = send_automatically
        customers = billing[Entity.CUSTOMER].frame
        on_auto_pay = customers["id"][customers["auto_pay"].fillna(value=False).astype(bool)]
        self.auto_pay = frozenset(references.keys(Side.BILLING, Entity.CUSTOMER, on_auto_pay))
        touched = {operation.key for operation in operations if operation.step is Entity.INVOICE}
        self.applied = self._applied_now(operations, billing)
        touched |= {key for applied in self.applied.values() for key in applied}
        touched |= {
            str(row["invoice_id"])
            for operation in operations
            if operation.step is Entity.PAYMENT and operation.side is Side.BILLING
            for values in (operation.payload, operation.before)
            for row in _applications(values)
        }
        self.books = self._invoices(Side.BOOKS, books, touched)
        self.billing = self._invoices(Side.BILLING, billing, touched)
        self.settled = self._settled_by(operations)

    def of(self, operation: Operation) -> Sequence[OutsideEffect]:
        """The mails and charges that follow from one operation."""
        if operation.side is not Side.BILLING:
            return ()
        if operation.step is Entity.INVOICE:
            return self._of_new_invoice(operation) if operation.action is Action.CREATE else self._of_invoice(operation)
        return self._of_payment(operation) if operation.step is Entity.PAYMENT else ()

    def _of_new_invoice(self, operation: Operation) -> Sequence[OutsideEffect]:
        invoice = self.books.get(operation.key)
        if invoice is None or operation.payload.get("void"):
            return ()
        effects = []
        day = str(operation.payload.get("invoice_date") or "")
        recent = self.mail_since is None or day >= self.mail_since.isoformat()
        if self.send_automatically and invoice.balance > 0 and invoice.total > 0 and recent:
            effects.append(
                self._effect(EffectKind.MAIL, operation, invoice.total, "new from QuickBooks, sent automatically")
            )
        left = invoice.total - self.settled[operation.key]
        if left > 0 and invoice.customer in self.auto_pay:
            cause = "a new open invoice of a customer on auto pay"
            if invoice.balance < left:
                cause += f"; QuickBooks has only {show(invoice.balance, operation.currency)} of it open, the rest waits"
            effects.append(self._effect(EffectKind.CHARGE, operation, left, cause))
        return effects

    def _of_invoice(self, operation: Operation) -> Sequence[OutsideEffect]:
        books, billing = self.books.get(operation.key), self.billing.get(operation.key)
        if books is None or billing is None or operation.action is Action.VOID or billing.customer not in self.auto_pay:
            return ()
        more = books.total - billing.total
        if more <= 0 or not operation.payload.keys() & {"lines", "tax_rate_id", *_DISCOUNTS}:
            return ()
        return [self._effect(EffectKind.CHARGE, operation, more, "an invoice on auto pay comes to more than before")]

    def _of_payment(self, operation: Operation) -> Sequence[OutsideEffect]:
        """A payment that leaves an invoice opens it again: what it no longer pays is charged."""
        taken: dict[str, int] = defaultdict(int)
        if operation.action is Action.VOID:
            taken |= self.applied[operation.key]
        elif "applications" in operation.payload and operation.action is Action.UPDATE:
            for sign, values in ((1, operation.before), (-1, operation.payload)):
                for row in _applications(values):
                    taken[str(row["invoice_id"])] += sign * (row["amount"] or 0)
        return [
            self._effect(
                EffectKind.CHARGE, operation, amount, "a payment is taken from an invoice of a customer on auto pay"
            )
            for key, amount in taken.items()
            if amount > 0 and self._charged(key)
        ]

    def _charged(self, key: str) -> bool:
        """Whether the midnight job would charge an open balance of this invoice."""
        invoice = self.billing.get(key)
        return invoice is not None and invoice.customer in self.auto_pay and invoice.state not in ("void", "closed")

    def _effect(self, kind: EffectKind, operation: Operation, amount: int, cause: str) -> OutsideEffect:
        return OutsideEffect(kind, operation.customer, amount, operation.currency, f"{operation.label}: {cause}")

    def _invoices(self, side: Side, snapshots: Snapshots, keys: set[str]) -> dict[str, _Invoice]:
        frame = snapshots[Entity.INVOICE].frame
        own = self.references.keys(side, Entity.INVOICE, frame["id"])
        wanted = among(own, keys)
        frame, own = frame[wanted], own[wanted]
        customers = self.references.keys(side, Entity.CUSTOMER, frame["customer_id"]).fillna("")
        money = (frame["total"].fillna(0), frame["balance"].fillna(0))
        rows = zip(own, customers, *money, frame["state"].fillna(""), strict=True)
        return {
            key: _Invoice(customer, int(total), int(balance), state) for key, customer, total, balance, state in rows
        }

    def _settled_by(self, operations: Sequence[Operation]) -> Mapping[str, int]:
        """Money that payments of this same plan apply to each invoice in billing, minor units."""
        settled: dict[str, int] = defaultdict(int)
        for operation in operations:
            if (
                operation.step is Entity.PAYMENT
                and operation.side is Side.BILLING
                and not operation.payload.get("void")
            ):
                for sign, values in ((1, operation.payload), (-1, operation.before)):
                    for row in _applications(values):
                        settled[str(row["invoice_id"])] += sign * (row["amount"] or 0)
        return settled

    def _applied_now(self, operations: Sequence[Operation], billing: Snapshots) -> Mapping[str, dict[str, int]]:
        """What the payments that this plan voids in billing are applied to: by payment, then by invoice."""
        ending = {
            operation.billing_id or "": operation.key
            for operation in operations
            if operation.step is Entity.PAYMENT and operation.action is Action.VOID and operation.side is Side.BILLING
        }
        rows = billing[Entity.PAYMENT].rows
        rows = rows[among(rows["parent_id"], ending)]
        invoices = self.references.keys(Side.BILLING, Entity.INVOICE, rows["invoice_id"])
        applied: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for parent, invoice, amount in zip(rows["parent_id"], invoices, rows["amount"].fillna(0), strict=True):
            applied[ending[parent]][invoice] += int(amount)
        return applied


_DISCOUNTS = ("discount_percent", "discount_taxable", "discount_nontaxable")


def _applications(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return rows_from_text(Entity.PAYMENT, values.get("applications") or NO_ROWS)
