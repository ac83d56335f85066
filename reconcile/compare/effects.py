"""Outside effects: the mails and charges that the operations of a plan would cause, named before anything is written.

ReliaBills' midnight job charges whatever is open for an active customer on auto pay, and mails new invoices when the
company says so. Whoever opens a balance there, leaves one open, or makes a customer who owes active again, causes a
charge. What would cause more of it than one run may, waits for the next run: the oldest records go first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from reconcile.compare.canonical import References
from reconcile.compare.circumstances import Cap, Circumstances
from reconcile.compare.leaving import PassedGuards, finding_of, left_out, named
from reconcile.compare.overpaying import comes_to
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Finding, Severity
from reconcile.model.guards import Guard, covering
from reconcile.model.lookup import among
from reconcile.model.money import show
from reconcile.model.plan import Action, EffectKind, Operation, OutsideEffect
from reconcile.model.rows import NO_ROWS, rows_from_text
from reconcile.model.snapshot import Snapshots

MAIL_WITHIN = timedelta(days=7)
"""An invoice dated longer ago than this is not mailed when it first comes from QuickBooks."""
MANY = "many-outside-effects"
OVER_CAP = "outside_effects_over_cap"


def with_capped_effects(
    company: str,
    operations: Sequence[Operation],
    sides: Mapping[Side, Snapshots],
    references: References,
    circumstances: Circumstances,
) -> tuple[list[Operation], list[Finding], PassedGuards]:
    """The same operations, each with its outside effects, without those that would go beyond the company's caps.

    They are let through in the order of the plan, in which older records come first (by their ids), until one would go
    beyond the number or the sum that one run may cause; it is held, and later ones that still fit go. What waits for a
    held one waits with it, and then causes nothing either, so the effects of the rest are worked out again.

    Returns:
        What is left; a hold finding for each that is over the cap (and notes on what waits for it); what people let
        pass.
    """
    findings: list[Finding] = []
    passed: PassedGuards = []
    while True:
        operations = with_effects(operations, sides[Side.BOOKS], sides[Side.BILLING], references, circumstances)
        refused, let_over = _over_cap(company, operations, circumstances)
        passed = passed or let_over
        if not refused:
            return list(operations), findings, passed
        operations, more = left_out(operations, refused)
        findings += more


def _over_cap(
    company: str, operations: Sequence[Operation], circumstances: Circumstances
) -> tuple[dict[int, Finding], PassedGuards]:
    """The positions of the operations that are held, each with its finding; and what people let pass."""
    refused: dict[int, Finding] = {}
    passed: PassedGuards = []
    for kind, cap in circumstances.caps.items():
        causing = {
            position: amount
            for position, operation in enumerate(operations)
            if (amount := _caused(operation, kind)) is not None
        }
        number, total = 0, 0
        held: list[int] = []
        for position, amount in causing.items():
            if number + 1 > cap.most or total + amount > cap.sum:
                held.append(position)
            else:
                number, total = number + 1, total + amount
        if not held:
            continue
        currency = operations[held[0]].currency
        guard = Guard(
            MANY,
            f"The plan would cause {len(causing):,} {kind}s of {show(sum(causing.values()), currency)}; one run may "
            f"cause at most {cap.most:,}, and at most {show(cap.sum, currency)}.",
            "Look at them in the plan.",
            record=kind.value,
            measure=len(causing),
        )
        permission = covering(circumstances.permissions, guard)
        if permission is not None:
            passed.append((guard, permission))
            continue
        for position in held:
            refused.setdefault(
                position, _held_over_cap(company, operations[position], kind, causing[position], cap, guard)
            )
    return refused, passed


def _caused(operation: Operation, kind: EffectKind) -> int | None:
    """What the effects of one kind of an operation come to; ``None`` when it has none."""
    amounts = [effect.amount for effect in operation.effects if effect.kind is kind]
    return sum(amounts) if amounts else None


def _held_over_cap(
    company: str, operation: Operation, kind: EffectKind, amount: int, cap: Cap, guard: Guard
) -> Finding:
    currency = operation.currency
    what = f"a {kind} of {show(amount, currency)}"
    return finding_of(
        operation,
        OVER_CAP,
        Severity.HOLD,
        f"{named(operation)} would cause {what} to {operation.customer or 'its customer'}. One run may cause at most "
        f"{cap.most:,} {kind}s of together {show(cap.sum, currency)}; older records went first, so this one waits for "
        "the next run.",
        f"Nothing, if it may wait. To let all {guard.measure:,} {kind}s go in the next run: `{guard.command(company)}`",
        amount,
    )


def with_effects(
    operations: Sequence[Operation],
    books: Snapshots,
    billing: Snapshots,
    references: References,
    circumstances: Circumstances,
) -> list[Operation]:
    """The same operations, each with the mails and charges that it would cause.

    Args:
        operations: all of a plan, in order.
        books: what was read from QuickBooks.
        billing: what was read from ReliaBills.
        references: pairs of all entities.
        circumstances: whether ReliaBills mails what comes from QuickBooks, what was mailed before, and the day.
    """
    causes = _Causes(operations, books, billing, references, circumstances)
    return [
        replace(operation, effects=effects)
        if (effects := tuple(causes.of(operation))) != operation.effects
        else operation
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
        circumstances: Circumstances,
    ) -> None:
        self.references = references
        self.circumstances = circumstances
        self.sides = {Side.BOOKS: books, Side.BILLING: billing}
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
        customers_here = [one for one in operations if (one.step, one.side) == (Entity.CUSTOMER, Side.BILLING)]
        if active_again := {one.key for one in customers_here if one.activates}:
            touched |= self._invoices_of(active_again, billing)
        self.books = self._invoices(Side.BOOKS, books, touched)
        self.billing = self._invoices(Side.BILLING, billing, touched)
        self.settled = self._settled_by(operations)
        self.last_payment = self._last_payment_of(operations)

    def of(self, operation: Operation) -> Sequence[OutsideEffect]:
        """The mails and charges that follow from one operation."""
        if operation.side is not Side.BILLING:
            return ()
        if operation.step is Entity.CUSTOMER:
            return self._of_customer(operation)
        if operation.step is Entity.INVOICE:
            return self._of_new_invoice(operation) if operation.action is Action.CREATE else self._of_invoice(operation)
        return self._of_payment(operation) if operation.step is Entity.PAYMENT else ()

    def _of_customer(self, operation: Operation) -> Sequence[OutsideEffect]:
        """ReliaBills charges no inactive customer ("Customers"); once active again, all that is open."""
        if not operation.activates or operation.key not in self.auto_pay:
            return ()
        left = [
            invoice.balance - self.settled[key]
            for key, invoice in self.billing.items()
            if invoice.customer == operation.key and self._charged(key)
        ]
        still_open = [amount for amount in left if amount > 0]
        if not still_open:
            return ()
        cause = "a customer on auto pay who owes becomes active again"
        return [self._effect(EffectKind.CHARGE, operation, sum(still_open), cause)]

    def _of_new_invoice(self, operation: Operation) -> Sequence[OutsideEffect]:
        invoice = self.books.get(operation.key)
        if invoice is None or operation.payload.get("void"):
            return ()
        effects = []
        if self._mailed(operation, invoice):
            effects.append(
                self._effect(EffectKind.MAIL, operation, invoice.total, "new from QuickBooks, sent automatically")
            )
        if invoice.customer not in self.auto_pay:
            return effects
        total = comes_to(operation, Side.BILLING, {operation.key: invoice.total}, self.sides, self.references)
        left = total - self.settled[operation.key]
        if left > 0:
            cause = "a new open invoice of a customer on auto pay"
            if total > invoice.total and left == total - invoice.total:
                cause = self._cent(total, invoice.total, operation.currency)
            elif invoice.balance < left:
                cause += f"; QuickBooks has only {show(invoice.balance, operation.currency)} of it open, the rest waits"
            effects.append(self._effect(EffectKind.CHARGE, operation, left, cause))
        return effects

    def _mailed(self, operation: Operation, invoice: _Invoice) -> bool:
        """Whether ReliaBills mails it: never a historical, paid, empty or void one, nor one that was mailed before."""
        given = self.circumstances
        since = "" if given.today is None else (given.today - MAIL_WITHIN).isoformat()
        recent = str(operation.payload.get("invoice_date") or "") >= since
        before = operation.books_id in given.mailed.books_ids or operation.payload["number"] in given.mailed.numbers
        return given.send_automatically and invoice.balance > 0 and invoice.total > 0 and recent and not before

    def _cent(self, there: int, here: int, currency: str) -> str:
        return (
            f"it comes to {show(there, currency)} in ReliaBills and to {show(here, currency)} in QuickBooks, where it "
            "is paid: the rest stays open to the next charge"
        )

    def _of_invoice(self, operation: Operation) -> Sequence[OutsideEffect]:
        books, billing = self.books.get(operation.key), self.billing.get(operation.key)
        if books is None or billing is None or operation.action is Action.VOID or billing.customer not in self.auto_pay:
            return ()
        more = books.total - billing.total
        if more <= 0 or not operation.payload.keys() & {"lines", "tax_rate_id", *_DISCOUNTS}:
            return ()
        return [self._effect(EffectKind.CHARGE, operation, more, "an invoice on auto pay comes to more than before")]

    def _of_payment(self, operation: Operation) -> Sequence[OutsideEffect]:
        """A payment that leaves an invoice opens it again; one that pays less than ReliaBills asks leaves the rest."""
        taken: dict[str, int] = defaultdict(int)
        if operation.action is Action.VOID:
            taken |= self.applied[operation.key]
        elif "applications" in operation.payload and operation.action is Action.UPDATE:
            for sign, values in ((1, operation.before), (-1, operation.payload)):
                for row in _applications(values):
                    taken[str(row["invoice_id"])] += sign * (row["amount"] or 0)
        opened = [
            self._effect(
                EffectKind.CHARGE, operation, amount, "a payment is taken from an invoice of a customer on auto pay"
            )
            for key, amount in taken.items()
            if amount > 0 and self._charged(key)
        ]
        return [*opened, *self._of_rest(operation)]

    def _of_rest(self, operation: Operation) -> Iterator[OutsideEffect]:
        """Invoices that QuickBooks has paid and that stay open in ReliaBills after all payments, mostly a cent.

        Named once, with the last payment of the plan that touches the invoice.
        """
        for row in _applications(operation.payload):
            key = str(row["invoice_id"])
            books, billing = self.books.get(key), self.billing.get(key)
            if books is None or billing is None or self.last_payment[key] != operation.key or not self._charged(key):
                continue
            left = billing.balance - self.settled[key]
            if books.total and not books.balance and billing.total > books.total and left > 0:
                cause = self._cent(billing.total, books.total, operation.currency)
                yield self._effect(EffectKind.CHARGE, operation, left, cause)

    def _charged(self, key: str) -> bool:
        """Whether the midnight job would charge an open balance of this invoice."""
        invoice = self.billing.get(key)
        return invoice is not None and invoice.customer in self.auto_pay and invoice.state not in ("void", "closed")

    def _effect(self, kind: EffectKind, operation: Operation, amount: int, cause: str) -> OutsideEffect:
        return OutsideEffect(kind, operation.customer, amount, operation.currency, f"{operation.label}: {cause}")

    def _invoices_of(self, customers: Collection[str], billing: Snapshots) -> set[str]:
        """Keys of the invoices of these customers in billing."""
        frame = billing[Entity.INVOICE].frame
        owners = self.references.keys(Side.BILLING, Entity.CUSTOMER, frame["customer_id"])
        own = self.references.keys(Side.BILLING, Entity.INVOICE, frame["id"])
        return {str(key) for key in own[among(owners.fillna(""), customers)]}

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

    def _last_payment_of(self, operations: Sequence[Operation]) -> Mapping[str, str]:
        """The last payment in billing that touches each invoice, both by key."""
        return {
            str(row["invoice_id"]): operation.key
            for operation in operations
            if operation.step is Entity.PAYMENT and operation.side is Side.BILLING
            for row in _applications(operation.payload)
        }

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
