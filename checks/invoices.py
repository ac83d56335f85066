"""Invoices: a number ReliaBills can take, sums that add up, real dates, and texts QuickBooks can store.

The invoice number is digits 0-9 only, 1 to 21 of them, and can never be changed once ReliaBills has it ("Invoice Start
Number"), so a bad one is mended in QuickBooks, before anything is written.
"""

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
from checks.world import NUMBER_LENGTH, Columns, World
from reconcile.model import lookup
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Severity

GOOD_NUMBER = rf"[0-9]{{1,{NUMBER_LENGTH}}}"
"""ASCII digits only: ``str.isdigit`` and ``int`` also take full-width and superscript ones."""
_STOP_IN_BOOKS = MappingProxyType({Side.BOOKS: Severity.STOP, Side.BILLING: Severity.HOLD})
_READ_AS_FAR_AS_POSSIBLE = frozenset(
    {
        "invoice_discount_not_expressible",
        "invoice_line_not_expressible",
        "invoice_deposit",
        "invoice_tax_inclusive",
    }
)
"""What QuickBooks has and we have no word for; such an invoice cannot add up in our words."""
_MEMO_LENGTH = 1000
_DESCRIPTION_LENGTH = 4000

CHECKS = (
    *first_checks(Entity.INVOICE),
    Check(
        "invoice_number_present",
        Entity.INVOICE,
        _STOP_IN_BOOKS,
        holds("number_present"),
        "An invoice of {customer} over {total:money}, dated {invoice_date}, has no number in {here}; ReliaBills "
        "requires one.",
        "{number_remedy}",
        company_choice=True,
    ),
    Check(
        "invoice_number_digits",
        Entity.INVOICE,
        _STOP_IN_BOOKS,
        holds("number_digits"),
        'Invoice "{label}" of {customer} over {total:money} cannot go to {there}: its number {number_fault}.',
        "{number_remedy}",
        company_choice=True,
    ),
    Check(
        "invoice_number_unique",
        Entity.INVOICE,
        BOTH_HOLD,
        holds("number_unique"),
        "Invoice number {label} is used by {number_count} invoices in {here}; this one is {customer}'s over "
        "{total:money}.",
        "Give each of them a number of its own in {here} (a saved ReliaBills invoice keeps its number: void it and "
        "make it again).",
    ),
    Check(
        "invoice_lines_present",
        Entity.INVOICE,
        BOTH_HOLD,
        holds("lines_present"),
        "Invoice {label} of {customer} over {total:money} has no lines in {here}.",
        "Add its lines in {here}, or void the invoice.",
    ),
    Check(
        "invoice_line_amounts",
        Entity.INVOICE,
        BOTH_NOTE,
        holds("line_amounts_right"),
        "Invoice {label} of {customer}: an amount in {here} differs from quantity x price by more than a cent "
        "(by {line_amounts_off:money} over all its lines).",
        "Look at the lines in {here}: quantity, price or amount was typed wrong, or a price was rounded.",
        amount="line_amounts_off",
    ),
    Check(
        "invoice_subtotal",
        Entity.INVOICE,
        BOTH_HOLD,
        holds("subtotal_right"),
        "Invoice {label} of {customer}: its lines in {here} add up to {lines_total:money}, its subtotal is "
        "{subtotal:money}.",
        "Open the invoice in {here} and save it again so that it is added up anew; if the difference of "
        "{subtotal_off:money} stays, call support.",
        amount="subtotal_off",
        told_by=_READ_AS_FAR_AS_POSSIBLE,
    ),
    Check(
        "invoice_discount",
        Entity.INVOICE,
        BOTH_HOLD,
        holds("discount_right"),
        "Invoice {label} of {customer}: {discount:money} of discount is taken off in {here}, its discount terms give "
        "{discount_terms:money}.",
        "Enter the discount in {here} as a percentage of the subtotal, or as an amount off the taxable or the "
        "non-taxable part.",
        amount="discount_off",
        told_by=_READ_AS_FAR_AS_POSSIBLE,
    ),
    Check(
        "invoice_total",
        Entity.INVOICE,
        BOTH_HOLD,
        holds("total_right"),
        "Invoice {label} of {customer}: subtotal {subtotal:money} - discount {discount:money} + tax {tax:money} is not "
        "its total of {total:money} in {here}.",
        "Open the invoice in {here} and save it again so that it is added up anew; if the difference of "
        "{total_off:money} stays, call support.",
        amount="total_off",
        told_by=_READ_AS_FAR_AS_POSSIBLE,
    ),
    Check(
        "invoice_total_not_negative",
        Entity.INVOICE,
        BOTH_HOLD,
        holds("total_not_negative"),
        "Invoice {label} of {customer} has a negative total in {here}: {total:money}.",
        "Make it a credit memo in QuickBooks, or a refund in ReliaBills; an invoice cannot be negative.",
    ),
    Check(
        "invoice_tax_has_rate",
        Entity.INVOICE,
        BOTH_HOLD,
        holds("tax_has_rate"),
        "Invoice {label} of {customer} charges {tax:money} of tax in {here} without a tax rate.",
        "Choose the tax rate on the invoice in {here}.",
        amount="tax",
    ),
    Check(
        "invoice_balance",
        Entity.INVOICE,
        BOTH_HOLD,
        holds("balance_right"),
        "Invoice {label} of {customer}: total {total:money} - applied payments and credits {applied:money} is not its "
        "balance of {balance:money} in {here}.",
        "Look in {here} for a payment, refund or write-off of {balance_off:money} on this invoice that is not a "
        "payment or a credit memo.",
        amount="balance_off",
        told_by=_READ_AS_FAR_AS_POSSIBLE,
    ),
    Check(
        "invoice_balance_not_negative",
        Entity.INVOICE,
        BOTH_HOLD,
        holds("balance_not_negative"),
        "Invoice {label} of {customer} is paid beyond its total in {here}: its balance is {balance:money}.",
        "In {here}, take the excess off the payment's applications and leave it unapplied.",
        amount="balance",
    ),
    Check(
        "invoice_date_real",
        Entity.INVOICE,
        BOTH_HOLD,
        holds("date_sane"),
        'Invoice {label} of {customer} is dated "{invoice_date}" in {here}; that is no day between 1990 and '
        "{latest_date}.",
        "Correct the invoice date in {here}.",
        told_by=IMPOSSIBLE_DATE,
    ),
    Check(
        "invoice_due_date_real",
        Entity.INVOICE,
        BOTH_HOLD,
        holds("due_date_sane"),
        'Invoice {label} of {customer} is due on "{due_date}" in {here}; that is no day between 1990 and '
        "{latest_date}.",
        "Correct the due date in {here}.",
        told_by=IMPOSSIBLE_DATE,
    ),
    Check(
        "invoice_due_date_order",
        Entity.INVOICE,
        BOTH_NOTE,
        holds("due_after_date"),
        "Invoice {label} of {customer} is due on {due_date}, before its own date {invoice_date}, in {here}.",
        "Correct the date or the due date in {here}; the ageing of receivables follows it.",
    ),
    Check(
        "invoice_typed_in_lines",
        Entity.INVOICE,
        BILLING_HOLD,
        holds("lines_have_products"),
        "Invoice {label} of {customer}: lines over {typed_in_total:money} were typed in without a product in "
        "ReliaBills; QuickBooks cannot take them.",
        "Choose a product for each line with an amount in ReliaBills.",
        amount="typed_in_total",
    ),
    Check(
        "invoice_text_lengths",
        Entity.INVOICE,
        BILLING_HOLD,
        holds("lengths_fit"),
        "Invoice {label} of {customer} is longer in ReliaBills than QuickBooks can hold, in: {too_long}.",
        "Shorten it in ReliaBills (memo 1,000, a line's description 4,000 characters); nothing is cut off silently.",
        told_by=TEXT_LENGTH,
    ),
)


def facts(world: World, side: Side, entity: Entity) -> Columns:
    """One row per invoice with the columns :data:`CHECKS` look at; sums over its lines and applications beside them."""
    frame = world.records(side, entity)
    lines = world.rows(side, entity)
    live = ~columns.truth(frame["void"])
    frame = _with_numbers(frame, live, world, side)
    frame = _with_sums(frame, lines, live)
    frame = _with_balance(frame, live, world, side)
    frame["latest_date"] = world.latest_date
    frame["date_sane"] = columns.is_sane_date(frame["invoice_date"], world.latest_date)
    due = frame["due_date"]
    frame["due_date_sane"] = columns.where(due.notna(), columns.is_sane_date(due, world.latest_date))
    both = frame["date_sane"] & columns.truth(frame["due_date_sane"])
    frame["due_after_date"] = columns.where(both, due >= frame["invoice_date"])
    long_lines = columns.any_by(
        lines, "parent_id", ~columns.fits(lines["description"], _DESCRIPTION_LENGTH), frame["id"]
    )
    frame["too_long"] = columns.listed(
        {"memo": ~columns.fits(frame["memo"], _MEMO_LENGTH), "description of a line": long_lines}
    )
    frame["lengths_fit"] = frame["too_long"] == ""
    return frame


def _with_numbers(frame: Columns, live: pd.Series[Any], world: World, side: Side) -> Columns:
    """Number rules, the fault in words, and for each bad number a free one above the highest of both sides."""
    number = frame["number"]
    # A void invoice without counterpart is never carried, so its number may be what it is.
    carried = live | frame["linked"]
    frame["number_present"] = columns.where(carried, number.notna())
    frame["number_digits"] = columns.where(carried & number.notna(), columns.matches(number, GOOD_NUMBER))
    frame["number_count"] = columns.count_of(number, live)
    frame["number_unique"] = columns.where(live & number.notna(), frame["number_count"] == 1)
    bad = carried & ~columns.truth(frame["number_digits"])
    frame["number_fault"] = columns.said_of(number, bad, _number_fault)
    remedies = [_number_remedy(side, world.highest_number, place) for place in range(1, int(bad.sum()) + 1)]
    frame["number_remedy"] = pd.Series(remedies, index=frame["id"].index[bad], dtype="str").reindex(frame["id"].index)
    return frame


def _number_fault(number: str) -> str:
    """Why a number is none, in words."""
    if not number.strip():
        return "is blank"
    odd = list(dict.fromkeys(character for character in number if character not in "0123456789"))
    if not odd:
        return f"has {len(number)} digits, more than {NUMBER_LENGTH}"
    if all(character.isspace() for character in odd):
        return "has blanks in it; only the digits 0 to 9 are allowed"
    if all(character.isdigit() for character in odd):
        return f'has look-alike digits ("{"".join(odd)}"); only plain 0 to 9 are allowed'
    shown = ", ".join(f'"{character}"' for character in odd)
    return f"has {shown} in it; only the digits 0 to 9 are allowed"


def _number_remedy(side: Side, highest: int | None, place: int) -> str:
    """Where to change it and to what; no proposal is made when not all numbers are known or none is free above."""
    proposed = "" if highest is None else str(highest + place)
    if proposed and len(proposed) <= NUMBER_LENGTH:
        good = f"for example {proposed}, which is free"
    else:
        good = f"1 to {NUMBER_LENGTH} digits that no other invoice has"
    if side is Side.BILLING:
        return f"A saved ReliaBills invoice keeps its number: void it there and make it again with another ({good})."
    return f"Change the number in QuickBooks ({good}); then synchronize again."


def _with_sums(frame: Columns, lines: pd.DataFrame, live: pd.Series[Any]) -> Columns:
    """Lines against subtotal, discount terms against discount, and the total."""
    key = frame["id"]
    frame["lines_present"] = columns.where(live, columns.among(key, lines["parent_id"]))
    currency = lookup.looked_up(lines["parent_id"], key, frame["currency"])
    exact = columns.rounded_products(lines["quantity"], lines["unit_price"], currency)
    difference = (lines["amount"] - exact).fillna(0)
    wrong = lines.assign(off=difference)[columns.truth(difference.abs() > 1)]
    frame["line_amounts_off"] = columns.total_by(wrong, "parent_id", "off", key)
    frame["line_amounts_right"] = columns.where(live, ~columns.among(key, wrong["parent_id"]))
    frame["lines_total"] = columns.total_by(lines, "parent_id", "amount", key)
    frame["subtotal_off"] = columns.off_by(frame["subtotal"], frame["lines_total"])
    frame["subtotal_right"] = columns.where(live, frame["subtotal_off"] == 0)
    frame["discount_terms"] = (
        columns.percents_of(frame["subtotal"], frame["discount_percent"]).fillna(0)
        + frame["discount_taxable"].fillna(0)
        + frame["discount_nontaxable"].fillna(0)
    )
    frame["discount_off"] = columns.off_by(frame["discount"], frame["discount_terms"])
    # A percentage taken off line by line may round to a cent more or less than one taken off the subtotal.
    frame["discount_right"] = columns.where(live, frame["discount_off"].abs() <= 1)
    expected = frame["subtotal"].fillna(0) - frame["discount"].fillna(0) + frame["tax"].fillna(0)
    frame["total_off"] = columns.off_by(frame["total"], expected)
    frame["total_right"] = columns.where(live, frame["total_off"] == 0)
    frame["total_not_negative"] = columns.where(frame["total"].notna(), frame["total"] >= 0)
    frame["tax_has_rate"] = columns.where(live & columns.truth(frame["tax"] != 0), frame["tax_rate_id"].notna())
    typed_in = lines[columns.truth(lines["product_id"].isna() & (lines["amount"].fillna(0) != 0))]
    frame["typed_in_total"] = columns.total_by(typed_in, "parent_id", "amount", key)
    going_to_books = live & ~columns.truth(frame["linked"])  # what is linked came from QuickBooks or is there already
    frame["lines_have_products"] = columns.where(going_to_books, ~columns.among(key, typed_in["parent_id"]))
    return frame


def _with_balance(frame: Columns, live: pd.Series[Any], world: World, side: Side) -> Columns:
    """Balance against total and applications; only where all payments are at hand, and not for written-off invoices."""
    payments = world.frame(side, Entity.PAYMENT)
    voided = payments.loc[columns.truth(payments["void"]), "id"]
    applications = world.rows(side, Entity.PAYMENT)
    counted = applications[~columns.among(applications["parent_id"], voided)]
    frame["applied"] = columns.total_by(counted, "invoice_id", "amount", frame["id"])
    frame["balance_off"] = columns.off_by(frame["balance"], frame["total"].fillna(0) - frame["applied"])
    owed = live & ~columns.truth(frame["state"] == "closed")
    known = owed & world.is_census(side, Entity.PAYMENT)
    frame["balance_right"] = columns.where(known, frame["balance_off"] == 0)
    frame["balance_not_negative"] = columns.where(owed & frame["balance"].notna(), frame["balance"] >= 0)
    return frame


SUITE = Suite("invoices", CHECKS, facts)
