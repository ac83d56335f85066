"""Payments as ReliaBills lets a sync write them: recorded, never charged; what they pay moves balances and states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, insert, select

from reconcile.model.entities import PAYMENT_METHODS, Entity
from reconcile.model.money import show
from reconcile.model.totals import TotalsError, unapplied
from reconcile.sides.billing.invoices import restand
from reconcile.sides.billing.storing import (
    RefusalError,
    add,
    columns,
    moment,
    require,
    row_of,
    store,
)
from reconcile.sides.billing.tables import (
    CUSTOMERS,
    INVOICES,
    PAYMENT_APPLICATIONS,
    PAYMENTS,
    REFUNDS,
)


def create_payment(connection: Connection, request_id: str, fields: Mapping[str, Any]) -> int:
    """Record money received elsewhere: never online, never touching a card."""
    require(fields, ("customer_id", "payment_date", "amount"), Entity.PAYMENT)
    if row_of(connection, CUSTOMERS, fields["customer_id"]) is None:
        raise RefusalError("customer", f"ReliaBills has no customer with id {fields['customer_id']}.")
    if fields.get("void"):
        raise RefusalError("void", "A payment that is void already is not recorded in ReliaBills.")
    credit = fields.get("credit") or 0
    applications = _applications(fields)
    by_credit = fields["amount"] == 0 and credit > 0
    values = {**columns(Entity.PAYMENT, fields), "credit": credit}
    _check_method(values)
    if by_credit and values.get("method") is None:
        values["method"] = "credit"
    key = add(
        connection,
        PAYMENTS,
        {
            **values,
            "unapplied": _rest(fields["amount"], credit, applications),
            "kind": "credit" if by_credit else "offline",
            "state": "received",
            "request_id": request_id,
        },
    )
    _apply(connection, key, applications)
    return key


def change_payment(connection: Connection, record: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    """Change fields of a payment; balances and states of all invoices concerned follow.

    Raises:
        RefusalError: it is void or refunded, was processed online and its amount would change, or it would apply more
            than it has or than an invoice is owed.
    """
    which = f"The payment of {show(record['amount'])} on {record['payment_date']}"
    if record["state"] == "void":
        raise RefusalError("void", f"{which} is void in ReliaBills; a void payment stays as it is.")
    if fields.get("customer_id", record["customer_id"]) != record["customer_id"]:
        raise RefusalError("customer_fixed", f"{which} cannot be moved to another customer.")
    after = {**record, **fields, "credit": fields.get("credit", record["credit"]) or 0}
    require(after, ("customer_id", "payment_date", "amount"), Entity.PAYMENT)
    _check_method(after)
    money_moves = (after["amount"], after["credit"]) != (record["amount"], record["credit"])
    if money_moves and record["kind"] == "online":
        raise RefusalError(
            "processed", f"{which} was processed online; its amount cannot be changed. Refund it in ReliaBills."
        )
    values = {**columns(Entity.PAYMENT, fields), "credit": after["credit"]}
    if money_moves or "applications" in fields:
        _refuse_refunded(connection, record, which)
        before = _stored_applications(connection, record["id"])
        applications = _applications(fields) if "applications" in fields else before
        values["unapplied"] = _rest(after["amount"], after["credit"], applications)
        if "applications" in fields and applications != before:
            _unapply(connection, record["id"])
            _apply(connection, record["id"], applications, released=before)
    store(connection, PAYMENTS, record["id"], values)


def _check_method(values: Mapping[str, Any]) -> None:
    if values.get("method") not in {None, *PAYMENT_METHODS}:
        raise RefusalError("method", f"ReliaBills knows no payment method {values['method']!r}.")
    if values["amount"] < 0 or values["credit"] < 0 or values["amount"] + values["credit"] == 0:
        raise RefusalError("amount", "A payment (with its credits) must be more than nothing.")


def _applications(fields: Mapping[str, Any]) -> dict[int, int]:
    """Amount by invoice."""
    applied: dict[int, int] = {}
    for row in fields.get("applications") or ():
        if row["invoice_id"] is None or row["amount"] is None:
            raise RefusalError("application", "An application names the invoice it pays, and the amount.")
        applied[row["invoice_id"]] = applied.get(row["invoice_id"], 0) + row["amount"]
    return applied


def _rest(amount: int, credit: int, applications: Mapping[int, int]) -> int:
    try:
        return unapplied(amount, credit, applications.values())
    except TotalsError as error:
        raise RefusalError("applied", f"This payment {error}.") from error


def _stored_applications(connection: Connection, payment: int) -> dict[int, int]:
    """Amount by invoice."""
    table = PAYMENT_APPLICATIONS
    statement = select(table.c.invoice_id, table.c.amount).where(table.c.payment_id == payment).order_by(table.c.id)
    return {int(invoice): int(amount) for invoice, amount in connection.execute(statement)}


def _unapply(connection: Connection, payment: int) -> None:
    connection.execute(PAYMENT_APPLICATIONS.delete().where(PAYMENT_APPLICATIONS.c.payment_id == payment))


def _apply(
    connection: Connection, payment: int, applications: Mapping[int, int], released: Mapping[int, int] | None = None
) -> None:
    """Apply a payment; ``released`` are the invoices it paid until now, whose balances move as well."""
    known = {
        row["id"]: row
        for row in connection.execute(
            select(INVOICES).where(INVOICES.c.id.in_(list(applications))).order_by(INVOICES.c.id).with_for_update()
        ).mappings()
    }
    for invoice in applications:
        row = known.get(invoice)
        if row is None:
            raise RefusalError("invoice", f"ReliaBills has no invoice with id {invoice}.")
        if row["state"] in {"void", "closed"}:
            raise RefusalError("invoice_state", f"Invoice {row['number']} is {row['state']} in ReliaBills.")
    stamp = {"payment_id": payment, "version": 1, "updated_at": moment()}
    if applications:
        connection.execute(
            insert(PAYMENT_APPLICATIONS),
            [{"invoice_id": invoice, "amount": amount, **stamp} for invoice, amount in applications.items()],
        )
    restand(connection, [*applications, *(released or ())], moved=True)


def _refuse_refunded(connection: Connection, record: Mapping[str, Any], which: str) -> None:
    refunded = connection.scalar(select(func.sum(REFUNDS.c.amount)).where(REFUNDS.c.payment_id == record["id"]))
    if refunded:
        raise RefusalError(
            "refunded",
            f"{which} was refunded ({show(int(refunded))}); its amount and the invoices it pays stay as they are.",
        )


def void_payment(connection: Connection, record: Mapping[str, Any]) -> None:
    """Void a payment: the invoices it paid are open again. A void one stays as it is.

    Raises:
        RefusalError: it was processed online, or refunded.
    """
    which = f"The payment of {show(record['amount'])} on {record['payment_date']}"
    if record["state"] == "void":
        return
    if record["kind"] == "online":
        raise RefusalError(
            "processed", f"{which} was processed online by ReliaBills; it cannot be voided. Refund it in ReliaBills."
        )
    _refuse_refunded(connection, record, which)
    released = _stored_applications(connection, record["id"])
    _unapply(connection, record["id"])
    store(connection, PAYMENTS, record["id"], {"state": "void", "unapplied": 0})
    restand(connection, list(released), moved=True)
