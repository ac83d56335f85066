"""Across entities and sides: references lead somewhere, names are used once, one currency for all.

A reference is missing only when the records it leads to were read in full and it is not among them; a record that
exists but could not be read is no missing record. Numbers and names that are taken on the other side are found when
records are matched, not here.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pandas as pd

from checks import columns
from checks.declaration import BOOKS_HOLD, BOTH_HOLD, Check, Suite, holds
from checks.world import Columns, World
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Severity

_BILLING_HOLD_BOOKS_NOTE = MappingProxyType({Side.BOOKS: Severity.NOTE, Side.BILLING: Severity.HOLD})

CHECKS = (
    Check(
        "customer_name_unique",
        Entity.CUSTOMER,
        BOTH_HOLD,
        holds("name_unique"),
        '{name_count} active customers in {here} are called "{label}".',
        "Rename all but one in {here}, or make the ones no longer needed inactive; QuickBooks takes each name only "
        "once.",
        linked_severity=Severity.NOTE,
    ),
    Check(
        "customer_parent_exists",
        Entity.CUSTOMER,
        BOOKS_HOLD,
        holds("parent_exists"),
        'Customer "{label}" belongs to a parent customer (id {parent_id}) that is not in QuickBooks.',
        "Choose its parent customer again in QuickBooks.",
    ),
    Check(
        "customer_currency",
        Entity.CUSTOMER,
        BOTH_HOLD,
        holds("currency_right"),
        'Customer "{label}" is kept in {currency} in {here}, the company in {company_currency}.',
        "Make the customer anew in {company_currency} in {here}; amounts in two currencies are never compared.",
    ),
    Check(
        "product_name_unique",
        Entity.PRODUCT,
        _BILLING_HOLD_BOOKS_NOTE,
        holds("name_unique"),
        '{name_count} active products in {here} are called "{label}".',
        "Rename all but one in {here}, or make the ones no longer needed inactive.",
        linked_severity=Severity.NOTE,
        amount="",
    ),
    Check(
        "tax_rate_name_unique",
        Entity.TAX_RATE,
        BOTH_HOLD,
        holds("name_unique"),
        '{name_count} active tax rates in {here} are called "{label}".',
        "Rename all but one in {here}, or make the ones no longer needed inactive.",
        linked_severity=Severity.NOTE,
        amount="",
    ),
    Check(
        "invoice_customer_exists",
        Entity.INVOICE,
        BOTH_HOLD,
        holds("customer_exists"),
        "Invoice {label} over {total:money} belongs to a customer (id {customer_id}) that is not in {here}.",
        "Choose the customer of the invoice again in {here}.",
    ),
    Check(
        "invoice_tax_rate_exists",
        Entity.INVOICE,
        BOTH_HOLD,
        holds("tax_rate_exists"),
        "Invoice {label} of {customer} over {total:money} uses a tax rate (id {tax_rate_id}) that is not in {here}.",
        "Choose the tax rate of the invoice again in {here}.",
    ),
    Check(
        "invoice_products_exist",
        Entity.INVOICE,
        BOTH_HOLD,
        holds("products_exist"),
        "Invoice {label} of {customer} over {total:money} has a line with a product that is not in {here}.",
        "Choose the product of each line again in {here}.",
    ),
    Check(
        "invoice_currency",
        Entity.INVOICE,
        BOTH_HOLD,
        holds("currency_right"),
        "Invoice {label} of {customer} is in {currency} in {here}, the company's currency is {company_currency}.",
        "Make the invoice anew in {company_currency} in {here}; amounts in two currencies are never compared.",
    ),
    Check(
        "payment_customer_exists",
        Entity.PAYMENT,
        BOTH_HOLD,
        holds("customer_exists"),
        'Payment "{label}" over {amount:money} belongs to a customer (id {customer_id}) that is not in {here}.',
        "Choose the customer of the payment again in {here}.",
    ),
    Check(
        "payment_invoices_exist",
        Entity.PAYMENT,
        BOTH_HOLD,
        holds("invoices_exist"),
        'Payment "{label}" of {customer} over {amount:money} pays an invoice that is not in {here}.',
        "Open the payment in {here} and choose its invoices again.",
    ),
    Check(
        "payment_currency",
        Entity.PAYMENT,
        BOTH_HOLD,
        holds("currency_right"),
        'Payment "{label}" of {customer} is in {currency} in {here}, the company\'s currency is {company_currency}.',
        "Make the payment anew in {company_currency} in {here}; amounts in two currencies are never compared.",
    ),
)


def facts(world: World, side: Side, entity: Entity) -> Columns:
    """One row per record of ``entity`` with the columns :data:`CHECKS` look at."""
    frame = world.records(side, entity)
    frame["company_currency"] = world.currency
    if entity in {Entity.CUSTOMER, Entity.PRODUCT, Entity.TAX_RATE}:
        frame = _with_names(frame, "display_name" if entity is Entity.CUSTOMER else "name")
    if entity in {Entity.CUSTOMER, Entity.INVOICE, Entity.PAYMENT}:
        frame["currency_right"] = columns.truth(frame["currency"] == world.currency)
    if entity is Entity.CUSTOMER:
        frame["parent_exists"] = _leads_somewhere(frame["parent_id"], world, side, Entity.CUSTOMER)
    if entity in {Entity.INVOICE, Entity.PAYMENT}:
        exists = _leads_somewhere(frame["customer_id"], world, side, Entity.CUSTOMER)
        frame["customer_exists"] = exists.where(frame["customer_id"].notna(), False)
    if entity is Entity.INVOICE:
        frame["tax_rate_exists"] = _leads_somewhere(frame["tax_rate_id"], world, side, Entity.TAX_RATE)
        frame["products_exist"] = _children_lead_somewhere(frame, world, side, entity, "product_id")
    if entity is Entity.PAYMENT:
        frame["invoices_exist"] = _children_lead_somewhere(frame, world, side, entity, "invoice_id")
    return frame


def _with_names(frame: Columns, column: str) -> Columns:
    """Whether an active record's name is its own; QuickBooks does not tell upper from lower case (API file 4.1)."""
    name = frame[column].str.casefold()
    active = ~columns.truth(frame["active"] == False) & columns.is_present(name)  # noqa: E712 - missing is active
    frame["name_count"] = columns.count_of(name, active)
    frame["name_unique"] = columns.where(active, frame["name_count"] == 1)
    return frame


def _leads_somewhere(reference: pd.Series[Any], world: World, side: Side, to: Entity) -> pd.Series[Any]:
    applies = reference.notna() & world.is_census(side, to)
    return columns.where(applies, world.exist(side, to, reference))


def _children_lead_somewhere(frame: Columns, world: World, side: Side, entity: Entity, column: str) -> pd.Series[Any]:
    """The same for the references of a record's child rows."""
    to = Entity.PRODUCT if column == "product_id" else Entity.INVOICE
    rows = world.rows(side, entity)
    lost = rows[column].notna() & ~world.exist(side, to, rows[column])
    applies = pd.Series(world.is_census(side, to), index=frame["id"].index)
    return columns.where(applies, ~columns.any_by(rows, "parent_id", lost, frame["id"]))


SUITE = Suite("across", CHECKS, facts)
