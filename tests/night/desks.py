"""What people do in both systems beyond the demo's day, and what a run is asked afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import select, text

from reconcile.model.money import to_minor, to_scaled
from reconcile.model.runs import Outcome, Run
from reconcile.sandbox.billing import day, ledger
from reconcile.sandbox.billing.database import transaction
from reconcile.sandbox.billing.ledger import LineDraft, Terms
from reconcile.sandbox.billing.schema import BillingSession, Customer, Invoice, Payment, Product, TaxRate
from tests.night.conftest import TODAY, World

QUIET = "Nothing had to be written"


@dataclass(frozen=True)
class L:
    """A line as it is typed."""

    product: str | None
    quantity: str | None = None
    price: str | None = None
    taxed: bool = False
    amount: str | None = None
    words: str | None = None


# what a run says


def agreed(world: World, **how: Any) -> Run:
    """One run that comes to full agreement."""
    run = world.sync(**how)
    assert run.outcome is Outcome.AGREED, run.reason + " " + " ".join(sentences(world))
    assert run.control_totals["green"]
    return run


def quiet(world: World, *holding: str, mode: str = "census") -> Run:
    """A run that finds nothing to write; the records of these labels may still be held, and no others."""
    run = world.sync(mode=mode)
    assert run.reason.startswith(QUIET), run.reason + " " + str(writes(world))
    assert run.control_totals["green"]
    assert held(world) == set(holding)
    return run


def settled(world: World, *holding: str, mode: str = "census") -> Run:
    """A run that brings both sides together but for the records of these labels, and a second one without a write."""
    run = world.sync(mode=mode)
    assert held(world) == set(holding), sentences(world)
    assert run.outcome is (Outcome.AGREED_EXCEPT_HELD if holding else Outcome.AGREED), run.reason
    assert run.control_totals["green"]
    quiet(world, *holding, mode=mode)
    return run


def findings(world: World) -> list[dict[str, Any]]:
    """The findings of the last run."""
    path = world.config.runs / world.last_run().folder / "findings.json"
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def held(world: World) -> set[str]:
    """Labels of the records that the last run holds."""
    return {finding["label"] for finding in findings(world) if finding["severity"] != "note"}


def sentences(world: World) -> list[str]:
    """What the last run holds, in words."""
    return [finding["sentence"] for finding in findings(world) if finding["severity"] != "note"]


def why(world: World, label: str) -> str:
    """All that the last run says of one record."""
    return " ".join(
        f"{finding['sentence']} {finding['remedy']}" for finding in findings(world) if finding["label"] == label
    )


def plan(world: World, run: Run | None = None) -> list[dict[str, Any]]:
    """The operations of a run's plan."""
    path = world.config.runs / (run or world.last_run()).folder / "plan.json"
    operations: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["operations"]
    return operations


def writes(world: World) -> list[tuple[str, str, str]]:
    """What the last run's plan writes: step, action, label."""
    return [(one["step"], one["action"], one["label"]) for one in plan(world) if one["side"]]


# ReliaBills


def billing_rows(world: World, statement: str) -> list[tuple[Any, ...]]:
    """What a query finds in ReliaBills."""
    with world.billing.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def in_billing(world: World, statement: str, **values: Any) -> None:
    """Staff changes something in ReliaBills."""
    with world.billing.begin() as connection:
        connection.execute(text(statement), values)


def customer_in_billing(world: World, name: str | None, **details: Any) -> None:
    """Staff enters a customer."""
    usual = {"first_name": "Accounts Payable", "last_name": name, "email": "payable@example.com"}
    day.new_customer(world.billing, **{"account_name": name, **usual, **details})


@contextmanager
def billing(world: World) -> Iterator[BillingSession]:
    """A piece of staff's work in ReliaBills."""
    with transaction(world.billing) as session:
        yield session


def _drafts(session: BillingSession, lines: Sequence[L]) -> list[LineDraft]:
    return [
        LineDraft(
            None if line.product is None else session.scalars(select(Product).filter_by(name=line.product)).one(),
            line.words,
            None if line.quantity is None else to_scaled(line.quantity),
            None if line.price is None else to_scaled(line.price),
            None if line.amount is None else to_minor(line.amount, "USD"),
            taxable=line.taxed,
        )
        for line in lines
    ]


def _terms(session: BillingSession, rate: str | None, discounts: Mapping[str, int]) -> Terms:
    found = None if rate is None else session.scalars(select(TaxRate).filter_by(name=rate)).one()
    return Terms(tax_rate=found, **discounts)


def invoice_in_billing(
    world: World,
    customer: str,
    *lines: L,
    rate: str | None = None,
    details: Mapping[str, Any] | None = None,
    **discounts: int,
) -> str:
    """Staff writes an invoice; its number. Discounts as stored: ten-millionths of a percent, cents."""
    with billing(world) as session:
        invoice = ledger.new_invoice(
            session,
            session.scalars(select(Customer).filter_by(account_name=customer)).one(),
            lines=_drafts(session, lines),
            terms=_terms(session, rate, discounts),
            **{"invoice_date": TODAY, "due_date": TODAY, **(details or {})},
        )
        return invoice.number


def edit_in_billing(
    world: World, number: str, *lines: L, changes: Mapping[str, str | None] | None = None, rate: str | None = None
) -> None:
    """Staff edits an invoice."""
    with billing(world) as session:
        invoice = session.scalars(select(Invoice).filter_by(number=number)).one()
        terms = _terms(session, rate, {}) if lines else None
        drafts = _drafts(session, lines) if lines else None
        ledger.edit_invoice(session, invoice, changes or {}, lines=drafts, terms=terms)


def void_payment_in_billing(world: World, reference: str) -> None:
    """Staff voids a payment."""
    with billing(world) as session:
        ledger.void_payment(session, session.scalars(select(Payment).filter_by(reference=reference)).one())


def invoices_in_billing(world: World) -> dict[str, tuple[Any, ...]]:
    """Total, tax, balance and state of each invoice in ReliaBills, by number."""
    rows = billing_rows(world, "select number, total, tax, balance, state from invoices order by id")
    return {number: tuple(rest) for number, *rest in rows}


# QuickBooks


def invoice_in_books(world: World, number: str) -> dict[str, Any]:
    """An invoice in QuickBooks."""
    return world.books.one("Invoice", "DocNumber", number)


def invoices_in_books(world: World) -> dict[str, tuple[Any, ...]]:
    """The same as :func:`invoices_in_billing`, from QuickBooks; amounts in cents."""
    found = {}
    for invoice in world.books.query("select * from Invoice", "Invoice"):
        void = invoice.get("PrivateNote", "").startswith("Voided")
        amounts = (invoice["TotalAmt"], (invoice.get("TxnTaxDetail") or {}).get("TotalTax", 0), invoice["Balance"])
        state = "void" if void else "paid" if not invoice["Balance"] else "open"
        found[invoice["DocNumber"]] = (*(to_minor(Decimal(amount), "USD") for amount in amounts), state)
    return found


def payment_in_books(world: World, reference: str) -> dict[str, Any]:
    """A payment in QuickBooks."""
    return world.books.one("Payment", "PaymentRefNum", reference)


def customer_in_books(world: World, name: str) -> dict[str, Any]:
    """A customer in QuickBooks."""
    return world.books.one("Customer", "DisplayName", name)


def line_in_books(world: World, product: str, quantity: str, price: str, *, taxed: bool = False) -> dict[str, Any]:
    """A line of an invoice in QuickBooks."""
    item = world.books.one("Item", "Name", product)
    return {
        "DetailType": "SalesItemLineDetail",
        "Amount": (Decimal(quantity) * Decimal(price)).quantize(Decimal("0.01")),
        "SalesItemLineDetail": {
            "ItemRef": {"value": item["Id"]},
            "Qty": Decimal(quantity),
            "UnitPrice": Decimal(price),
            "TaxCodeRef": {"value": "TAX" if taxed else "NON"},
        },
    }


def sell_in_books(world: World, number: str, customer: str, *lines: Any, rate: str | None = None, **more: Any) -> None:
    """Somebody writes an invoice in QuickBooks."""
    fields = {"DocNumber": number, "CustomerRef": {"value": customer_in_books(world, customer)["Id"]}, "Line": lines}
    if rate:
        fields["TxnTaxDetail"] = {"TxnTaxCodeRef": {"value": world.books.one("TaxCode", "Name", rate)["Id"]}}
    world.books.save("Invoice", **fields, **more)


def pay_in_books(
    world: World, customer: str, amount: str, applied: Mapping[str, str], reference: str, **more: Any
) -> dict[str, Any]:
    """Somebody records a payment in QuickBooks; what is not applied stays with the customer."""
    return world.books.save(
        "Payment",
        CustomerRef={"value": customer_in_books(world, customer)["Id"]},
        TotalAmt=Decimal(amount),
        PaymentRefNum=reference,
        Line=applied_lines(world, applied),
        **more,
    )


def applied_lines(world: World, applied: Mapping[str, str]) -> list[dict[str, Any]]:
    """The lines of a payment that pays these amounts of these invoices."""
    return [
        {
            "Amount": Decimal(amount),
            "LinkedTxn": [{"TxnId": invoice_in_books(world, number)["Id"], "TxnType": "Invoice"}],
        }
        for number, amount in applied.items()
    ]


def change_payment_in_books(world: World, reference: str, amount: str, applied: Mapping[str, str], **more: Any) -> None:
    """Somebody changes a payment in QuickBooks."""
    payment = payment_in_books(world, reference)
    lines = applied_lines(world, applied)
    fields = {"CustomerRef": payment["CustomerRef"], "TotalAmt": Decimal(amount), "Line": lines}
    world.books.change("Payment", payment, **fields, **more)


def void_payment_in_books(world: World, reference: str) -> None:
    """Somebody voids a payment in QuickBooks."""
    payment = payment_in_books(world, reference)
    known = {"Id": payment["Id"], "SyncToken": payment["SyncToken"], "sparse": True}
    world.books._post("Payment", known, operation="update", include="void")


def delete_in_books(world: World, entity: str, record: Mapping[str, Any]) -> None:
    """Somebody deletes a transaction in QuickBooks."""
    world.books._post(entity, {"Id": record["Id"], "SyncToken": record["SyncToken"]}, operation="delete")
