"""Payments: what was received equals what was applied and what is left, within each payment and each invoice."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pandas as pd

from checks import columns
from checks.declaration import (
    BILLING_HOLD,
    BOTH_HOLD,
    BOTH_NOTE,
    IMPOSSIBLE_DATE,
    TEXT_LENGTH,
    Check,
    Suite,
    first_checks,
    holds,
)
from checks.world import Columns, World
from reconcile.model import lookup
from reconcile.model.entities import PAYMENT_METHODS, Entity, Side
from reconcile.model.findings import Severity

_REFERENCE_LENGTH = 21
_BILLING_HOLD_BOOKS_NOTE = MappingProxyType({Side.BOOKS: Severity.NOTE, Side.BILLING: Severity.HOLD})
_LINKS = frozenset({"payment_links_not_expressible"})
_LEVELS_OF_CUSTOMERS = 4

CHECKS = (
    *first_checks(Entity.PAYMENT),
    Check(
        "payment_amount_present",
        Entity.PAYMENT,
        BOTH_HOLD,
        holds("amount_present"),
        'Payment "{label}" of {customer} on {payment_date} has no amount in {here}.',
        "Enter its amount in {here}.",
    ),
    Check(
        "payment_amount_not_negative",
        Entity.PAYMENT,
        BOTH_HOLD,
        holds("amount_not_negative"),
        'Payment "{label}" of {customer} on {payment_date} has a negative amount in {here}: {received:money} received, '
        "{credit:money} credited.",
        "Make it a refund in {here}; a payment cannot be negative.",
    ),
    Check(
        "payment_date_real",
        Entity.PAYMENT,
        BOTH_HOLD,
        holds("date_sane"),
        'Payment "{label}" of {customer} over {amount:money} is dated "{payment_date}" in {here}; that is no day '
        "between 1990 and {latest_date}.",
        "Correct the payment date in {here}.",
        told_by=IMPOSSIBLE_DATE,
    ),
    Check(
        "payment_method_known",
        Entity.PAYMENT,
        BOTH_NOTE,
        holds("method_known"),
        'Payment "{label}" of {customer} over {amount:money} was made by a method that is not known in '
        "{here}: {method}.",
        "Nothing to do; it is carried as another method.",
    ),
    Check(
        "payment_reference_length",
        Entity.PAYMENT,
        BILLING_HOLD,
        holds("reference_fits"),
        'The reference of payment "{label}" of {customer} over {amount:money} is longer than the 21 characters '
        "QuickBooks holds.",
        "Shorten the reference in ReliaBills; nothing is cut off silently.",
        linked_severity=Severity.NOTE,
        told_by=TEXT_LENGTH,
    ),
    Check(
        "payment_applications_positive",
        Entity.PAYMENT,
        BOTH_HOLD,
        holds("applications_positive"),
        'Payment "{label}" of {customer} on {payment_date} pays an invoice with a negative or missing amount in '
        "{here}.",
        "Correct the amounts applied to its invoices in {here}.",
    ),
    Check(
        "payment_within_amount",
        Entity.PAYMENT,
        BOTH_HOLD,
        holds("within_amount"),
        'Payment "{label}" of {customer} on {payment_date}: {applied:money} is applied to invoices in {here}, but only '
        "{available:money} was received or credited.",
        "In {here}, lower what is applied to its invoices, or correct the amount of the payment.",
        amount="over_applied",
        told_by=_LINKS,
    ),
    Check(
        "payment_adds_up",
        Entity.PAYMENT,
        BOTH_HOLD,
        holds("adds_up"),
        'Payment "{label}" of {customer} on {payment_date}: {available:money} was received or credited in {here}, but '
        "{applied:money} applied and {unapplied:money} left do not make that sum.",
        "Open the payment in {here} and save it again; if the difference of {left_off:money} stays, call support.",
        amount="left_off",
        told_by=_LINKS,
    ),
    Check(
        "payment_within_invoices",
        Entity.PAYMENT,
        BOTH_HOLD,
        holds("within_invoices"),
        'Payment "{label}" of {customer} on {payment_date} pays more on an invoice in {here} than the invoice\'s total '
        "(by {over_invoice:money}).",
        "In {here}, lower the amount applied to that invoice and leave the rest unapplied.",
        amount="over_invoice",
    ),
    Check(
        "payment_same_customer",
        Entity.PAYMENT,
        _BILLING_HOLD_BOOKS_NOTE,
        holds("same_customer"),
        'Payment "{label}" of {customer} over {amount:money} pays an invoice of another customer in {here}.',
        "In {here}, apply it to invoices of {customer}; QuickBooks refuses a payment across customers.",
    ),
)


def facts(world: World, side: Side, entity: Entity) -> Columns:
    """One row per payment with the columns :data:`CHECKS` look at; sums over its applications beside them."""
    frame = world.records(side, entity)
    applications = world.rows(side, entity)
    key = frame["id"]
    live = ~columns.truth(frame["void"])
    frame["available"] = frame["amount"]
    frame["received"] = world.frame(side, entity)["amount"]
    frame["amount_present"] = frame["received"].notna()
    frame["amount_not_negative"] = columns.where(
        frame["amount_present"], (frame["received"] >= 0) & (frame["credit"].fillna(0) >= 0)
    )
    frame["latest_date"] = world.latest_date
    frame["date_sane"] = columns.is_sane_date(frame["payment_date"], world.latest_date)
    frame["method_known"] = columns.where(frame["method"].notna(), columns.among(frame["method"], PAYMENT_METHODS))
    frame["reference_fits"] = columns.fits(frame["reference"], _REFERENCE_LENGTH)

    odd = columns.any_by(applications, "parent_id", ~columns.truth(applications["amount"] > 0), key)
    frame["applications_positive"] = columns.where(live, ~odd)
    frame["applied"] = columns.total_by(applications, "parent_id", "amount", key)
    frame["over_applied"] = frame["applied"] - frame["available"]
    frame["within_amount"] = columns.where(live, frame["over_applied"] <= 0)
    frame["left_off"] = frame["available"] - frame["applied"] - frame["unapplied"].fillna(0)
    # More applied than available is the plainer fault: the same difference is not said twice.
    told_once = live & frame["unapplied"].notna() & columns.truth(frame["over_applied"] <= 0)
    frame["adds_up"] = columns.where(told_once, frame["left_off"] == 0)
    totals = world.by_id(side, Entity.INVOICE, "total", applications["invoice_id"])
    excess = applications.assign(excess=(applications["amount"] - totals).fillna(0))
    excess = excess[columns.truth(excess["excess"] > 0)]
    frame["over_invoice"] = columns.total_by(excess, "parent_id", "excess", key)
    frame["within_invoices"] = columns.where(live, ~columns.among(key, excess["parent_id"]))
    return _with_customers(frame, applications, live, world, side)


def _with_customers(
    frame: Columns, applications: pd.DataFrame, live: pd.Series[Any], world: World, side: Side
) -> Columns:
    """Whether payment and invoices belong to one family of customers: in books a parent may pay for its jobs."""
    payer = lookup.looked_up(applications["parent_id"], frame["id"], frame["customer_id"])
    invoiced = world.by_id(side, Entity.INVOICE, "customer_id", applications["invoice_id"])
    known = payer.notna() & invoiced.notna()
    for _ in range(_LEVELS_OF_CUSTOMERS):
        payer = world.by_id(side, Entity.CUSTOMER, "parent_id", payer).fillna(payer)
        invoiced = world.by_id(side, Entity.CUSTOMER, "parent_id", invoiced).fillna(invoiced)
    strangers = columns.any_by(applications, "parent_id", known & (payer != invoiced), frame["id"])
    frame["same_customer"] = columns.where(live, ~strangers)
    return frame


SUITE = Suite("payments", CHECKS, facts)
