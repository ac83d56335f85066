"""Invoices as ReliaBills lets a sync write them: numbered once, totals computed, never voided with payments on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select

from reconcile.model.entities import Entity
from reconcile.model.money import line_amount, show
from reconcile.model.totals import TotalsError, invoice_standing, invoice_totals
from reconcile.sides.billing.storing import (
    MOST,
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
    DELIVERIES,
    INVOICE_LINES,
    INVOICES,
    PAYMENT_APPLICATIONS,
    PRODUCTS,
    REFUNDS,
    SETTINGS,
    TAX_RATES,
)

MOST_DIGITS = 21
"""Digits of an invoice number that both sides can hold."""

_TERMS = ("tax_rate_id", "discount_percent", "discount_taxable", "discount_nontaxable")


def create_invoice(connection: Connection, request_id: str, fields: Mapping[str, Any]) -> int:
    """Store a new invoice of an active customer under its number, with totals computed; its id.

    Raises:
        RefusalError: a required field is missing, the number is taken or no number, the customer is inactive, or what
            it names does not exist.
    """
    require(fields, ("number", "customer_id", "invoice_date"), Entity.INVOICE)
    number: str = fields["number"]
    if not (number.isascii() and number.isdigit() and len(number) <= MOST_DIGITS):
        raise RefusalError(
            "invoice_number",
            f"ReliaBills takes invoice numbers of 1 to {MOST_DIGITS} digits only, not {number!r}. "
            "Give the invoice another number in QuickBooks.",
        )
    customer = row_of(connection, CUSTOMERS, fields["customer_id"])
    if customer is None:
        raise RefusalError("customer", f"ReliaBills has no customer with id {fields['customer_id']}.")
    if not customer["active"]:
        raise RefusalError(
            "customer_inactive",
            f"{customer['account_name'] or customer['last_name']} is inactive in ReliaBills, and only active customers "
            "can be invoiced. Make the customer active again, or leave the invoice in QuickBooks.",
        )
    if connection.scalar(select(INVOICES.c.id).where(INVOICES.c.number == number)) is not None:
        raise RefusalError(
            "number_taken",
            f"ReliaBills has another invoice {number} already. Give this one another number in QuickBooks.",
        )
    lines = _lines(connection, fields.get("lines") or [])
    percent = _percent_of(connection, fields.get("tax_rate_id"))
    totals = _totals(fields, percent, lines)
    standing = invoice_standing(totals["total"], 0, void=bool(fields.get("void")))
    key = add(
        connection,
        INVOICES,
        {
            **columns(Entity.INVOICE, fields),
            **totals,
            "tax_percent": percent,
            "amount_paid": 0,
            "balance": standing.balance,
            "state": standing.state,
            "origin": "sync",
            "request_id": request_id,
        },
    )
    _write_lines(connection, key, lines)
    return key


def change_invoice(connection: Connection, record: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    """Change fields of an invoice; number and customer stay, totals, balance and state follow.

    Raises:
        RefusalError: it is void, the number or customer would change, or more is paid than it would come to.
    """
    if record["state"] == "void":
        raise RefusalError("void", f"Invoice {record['number']} is void in ReliaBills; a void invoice stays as it is.")
    if fields.get("number", record["number"]) != record["number"]:
        raise RefusalError(
            "number_fixed",
            f"The number of a saved ReliaBills invoice can never be changed: {record['number']} stays. "
            f"Give the QuickBooks invoice its number {record['number']} back.",
        )
    if fields.get("customer_id", record["customer_id"]) != record["customer_id"]:
        raise RefusalError("customer_fixed", f"Invoice {record['number']} cannot be moved to another customer.")
    after = {**record, **fields}
    require(after, ("number", "customer_id", "invoice_date"), Entity.INVOICE)
    values = columns(Entity.INVOICE, fields)
    if "lines" in fields or any(name in fields for name in _TERMS):
        lines = _lines(connection, fields["lines"] or []) if "lines" in fields else _stored_lines(connection, record)
        percent = record["tax_percent"]
        if after["tax_rate_id"] != record["tax_rate_id"]:
            percent = _percent_of(connection, after["tax_rate_id"])
        values |= {**_totals(after, percent, lines), "tax_percent": percent}
        if "lines" in fields:
            connection.execute(INVOICE_LINES.delete().where(INVOICE_LINES.c.invoice_id == record["id"]))
            _write_lines(connection, record["id"], lines)
    store(connection, INVOICES, record["id"], values)
    restand(connection, [record["id"]], moved=False)


def _lines(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    wanted = {row["product_id"] for row in rows if row["product_id"] is not None}
    known = set(connection.scalars(select(PRODUCTS.c.id).where(PRODUCTS.c.id.in_(wanted)))) if wanted else set()
    lines = []
    for position, row in enumerate(rows, start=1):
        if row["product_id"] is not None and row["product_id"] not in known:
            raise RefusalError("product", f"Line {position}: ReliaBills has no product with id {row['product_id']}.")
        lines.append({**row, "position": position, "amount": _amount(connection, position, row)})
        lines[-1]["taxable"] = bool(row["taxable"])
    return lines


def _amount(connection: Connection, position: int, row: Mapping[str, Any]) -> int:
    """The amount of a line: quantity x price; a given one may differ by one minor unit of rounding."""
    given: int | None = row["amount"]
    if row["quantity"] is None or row["unit_price"] is None:
        return given or 0
    currency = str(connection.scalar(select(SETTINGS.c.currency).order_by(SETTINGS.c.id)))
    computed = line_amount(row["quantity"], row["unit_price"], currency)
    if abs(computed) > MOST:
        raise RefusalError("malformed", f"Line {position}: quantity times price is more than any invoice comes to.")
    if given is not None and abs(given - computed) > 1:
        raise RefusalError(
            "line_amount",
            f"Line {position}: quantity times price is {show(computed, currency)}, not {show(given, currency)}.",
        )
    return computed if given is None else given


def _stored_lines(connection: Connection, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    statement = select(INVOICE_LINES).where(INVOICE_LINES.c.invoice_id == record["id"])
    return [dict(row) for row in connection.execute(statement.order_by(INVOICE_LINES.c.position)).mappings()]


def _write_lines(connection: Connection, invoice: int, lines: Sequence[Mapping[str, Any]]) -> None:
    stamp = {"invoice_id": invoice, "version": 1, "updated_at": moment()}
    if lines:
        connection.execute(insert(INVOICE_LINES), [{**line, **stamp} for line in lines])


def _percent_of(connection: Connection, tax_rate_id: int | None) -> int | None:
    if tax_rate_id is None:
        return None
    percent: int | None = connection.scalar(select(TAX_RATES.c.percent).where(TAX_RATES.c.id == tax_rate_id))
    if percent is None:
        raise RefusalError("tax_rate", f"ReliaBills has no tax rate with id {tax_rate_id}.")
    return percent


def _totals(values: Mapping[str, Any], percent: int | None, lines: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    try:
        totals = invoice_totals(
            [(line["amount"], line["taxable"]) for line in lines],
            tax_percent=percent,
            discount_percent=values.get("discount_percent"),
            discount_taxable=values.get("discount_taxable"),
            discount_nontaxable=values.get("discount_nontaxable"),
        )
    except TotalsError as error:
        raise RefusalError("totals", f"Invoice {values['number']} {error}.") from error
    return {"subtotal": totals.subtotal, "discount": totals.discount, "tax": totals.tax, "total": totals.total}


def deliver_invoice(connection: Connection, invoice: int, customer_id: int) -> None:
    """Send a new invoice that a sync has brought, when ReliaBills' settings say so (knowledge base, "2-Way Sync")."""
    customer = row_of(connection, CUSTOMERS, customer_id)
    if customer is None or not connection.scalar(select(SETTINGS.c.send_invoices).order_by(SETTINGS.c.id)):
        return
    by_post = customer["mail_preference"] == "paper"
    addresses = [customer["email"], *filter(None, [customer["further_emails"]])]
    postal = filter(None, [customer["address"], customer["address2"], customer["city"], customer["postal_code"]])
    add(
        connection,
        DELIVERIES,
        {
            "invoice_id": invoice,
            "delivery_date": moment()[:10],
            "channel": "post" if by_post else "email",
            "address": ", ".join(postal) if by_post else ",".join(addresses),
        },
    )


def restand(connection: Connection, invoices: Sequence[int], *, moved: bool) -> None:
    """What is paid on invoices, their balance and state, from the applications and refunds that are there now.

    ``moved`` says whether their versions must still be counted up.
    """
    wanted = sorted(set(invoices))
    rows = connection.execute(
        select(INVOICES).where(INVOICES.c.id.in_(wanted)).order_by(INVOICES.c.id).with_for_update()
    ).mappings()
    applied = _sums(connection, PAYMENT_APPLICATIONS, wanted)
    refunded = _sums(connection, REFUNDS, wanted)
    for row in rows.all():
        paid = applied.get(row["id"], 0) - refunded.get(row["id"], 0)
        try:
            standing = invoice_standing(
                row["total"], paid, void=row["state"] == "void", closed=row["state"] == "closed"
            )
        except TotalsError as error:
            raise RefusalError("overpaid", f"Invoice {row['number']} {error} ({show(row['total'])}).") from error
        values = {"amount_paid": paid, "balance": standing.balance, "state": standing.state}
        if moved:
            values |= {"version": row["version"] + 1, "updated_at": moment()}
        store(connection, INVOICES, row["id"], values)


def _sums(connection: Connection, table: Table, invoices: Sequence[int]) -> dict[int, int]:
    """Sum of the amounts in a table, by invoice."""
    statement = select(table.c.invoice_id, func.sum(table.c.amount)).where(table.c.invoice_id.in_(invoices))
    return {int(key): int(amount) for key, amount in connection.execute(statement.group_by(table.c.invoice_id))}


def void_invoice(connection: Connection, record: Mapping[str, Any]) -> None:
    """Void an invoice that nothing is applied to; it keeps its lines and totals.

    Raises:
        RefusalError: payments are applied to it.
    """
    applied = connection.scalar(
        select(func.sum(PAYMENT_APPLICATIONS.c.amount)).where(PAYMENT_APPLICATIONS.c.invoice_id == record["id"])
    )
    if applied:
        raise RefusalError(
            "has_payments",
            f"Invoice {record['number']} has payments of {show(int(applied))} applied in ReliaBills, so it cannot be "
            "voided. Void or move the payments first.",
        )
    store(connection, INVOICES, record["id"], {"state": "void", "balance": 0})
