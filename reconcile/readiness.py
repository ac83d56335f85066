"""Readiness: what in a QuickBooks company would make the sync fail or surprise, before the first run finds it out.

A place where rooms meet: the company's settings and records come from :mod:`reconcile.sides.quickbooks`, what
ReliaBills requires of them from :mod:`checks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from enum import StrEnum

import pandas as pd

from checks import SUITES, validate
from reconcile.config import CompanyConfig, Config
from reconcile.connections import quickbooks_session
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Finding, Severity
from reconcile.model.runs import CENTRAL
from reconcile.model.snapshot import Scope, Snapshot, empty_records, empty_rows
from reconcile.sides.quickbooks import Preferences, QuickBooksReader, SalesTax
from reconcile.state import settings
from reconcile.state.database import open_state

_READ = (Entity.CUSTOMER, Entity.INVOICE)
_NUMBERS = ("invoice_number_present", "invoice_number_digits")
_TWICE = "invoice_number_unique"
_EXAMPLES = 3


class Level(StrEnum):
    """What a row asks for."""

    READY = "ready"
    NOTE = "note"  # good to know
    ATTENTION = "attention"  # some records will wait, or come out otherwise than expected
    STOPS = "stops"  # the sync cannot do its work


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the readiness table.

    Attributes:
        subject: what was looked at.
        level: what it asks for.
        found: what was found, in words. May quote hostile text.
        remedy: what to do; empty when nothing is. May quote hostile text.
    """

    subject: str
    level: Level
    found: str
    remedy: str = ""


def readiness(config: Config, company: str) -> list[Row]:
    """Ask a company's QuickBooks whether the sync can work with it. Reads, never writes.

    Raises:
        ConfigurationError: the company is unknown or not connected.
        SideError: QuickBooks could not be read.
    """
    known = config.company(company)
    engine = open_state(config.state_url)
    try:
        chosen = settings.load(engine, company)
        reader = QuickBooksReader(quickbooks_session(config, known, engine))
        books = {entity: reader.census(entity) for entity in _READ}
        stops = chosen.bad_invoice_number == "stop"
        today = datetime.now(CENTRAL).date()
        rows = settings_rows(reader.preferences(), known.currency)
        rows.append(account_row(known, found=reader.income_account_id(known.books.income_account) is not None))
        return rows + records_rows(records_findings(books, today), stops=stops)
    finally:
        engine.dispose()


def settings_rows(chosen: Preferences, currency: str) -> list[Row]:
    """One row per setting that the sync depends on. Pure."""
    return [
        _sales_tax(chosen),
        _numbers(chosen),
        _closing(chosen),
        _currency(chosen, currency),
        _auto_apply(chosen),
    ]


def _sales_tax(chosen: Preferences) -> Row:
    subject = "sales tax"
    if chosen.sales_tax is SalesTax.OFF:
        return Row(
            subject,
            Level.ATTENTION,
            "Sales tax is off: QuickBooks drops the tax of every invoice that comes from ReliaBills.",
            "If invoices bear tax, turn sales tax on in QuickBooks (Taxes > Sales tax); else nothing is to be done.",
        )
    if chosen.sales_tax is SalesTax.AUTOMATED:
        return Row(
            subject,
            Level.ATTENTION,
            "Sales tax is automated: QuickBooks finds the rate by the address and overrides the one on the invoice.",
            "Compare the tax of the first invoices; where it differs from ReliaBills', correct addresses or exemptions "
            "in QuickBooks. The tie-out names every cent.",
        )
    return Row(subject, Level.READY, "Sales tax is computed by the rate an invoice names.")


def _numbers(chosen: Preferences) -> Row:
    subject = "invoice numbers of their own"
    if chosen.custom_numbers:
        return Row(subject, Level.READY, "Invoices keep the number they are given.")
    if chosen.custom_numbers is None:
        return Row(
            subject,
            Level.ATTENTION,
            "QuickBooks does not say whether invoices keep the number they are given.",
            "Look at Account and settings > Sales > Sales form content > Custom transaction numbers; it must be on.",
        )
    return Row(
        subject,
        Level.NOTE,
        "Custom transaction numbers are off: QuickBooks numbers invoices by itself. Those from ReliaBills keep their "
        "number, but whoever writes or mends an invoice in QuickBooks cannot choose one.",
        "To choose or mend numbers, turn on Account and settings > Sales > Sales form content > Custom transaction "
        "numbers.",
    )


def _closing(chosen: Preferences) -> Row:
    subject = "closing date"
    if not chosen.closed_until:
        return Row(subject, Level.READY, "The books are open.")
    return Row(
        subject,
        Level.NOTE,
        f"The books are closed through {chosen.closed_until}: nothing dated until then can be written.",
        "Differences in that period wait as failed records; move the closing date while they are synchronized, or "
        "settle them by hand.",
    )


def _currency(chosen: Preferences, currency: str) -> Row:
    subject = "home currency"
    if chosen.home_currency != currency:
        return Row(
            subject,
            Level.STOPS,
            f"QuickBooks keeps its books in {chosen.home_currency or 'an unknown currency'}, reconcile.toml says "
            f"{currency}.",
            "Correct currency in reconcile.toml, or connect the right company.",
        )
    if chosen.multicurrency:
        return Row(
            subject,
            Level.NOTE,
            f"The home currency is {currency}; other currencies are in use, too.",
            "Customers in another currency keep it; totals are told per currency.",
        )
    return Row(subject, Level.READY, f"The home currency is {currency}.")


def _auto_apply(chosen: Preferences) -> Row:
    subject = "automatic application"
    applied = [
        what
        for what, applies in (("credits", chosen.applies_credits), ("payments", chosen.applies_payments))
        if applies
    ]
    if not applied:
        return Row(subject, Level.READY, "QuickBooks applies no credits or payments by itself.")
    return Row(
        subject,
        Level.ATTENTION,
        f"QuickBooks applies {' and '.join(applied)} by itself: an invoice may be paid there before its payment from "
        "ReliaBills arrives.",
        f"Turn off Account and settings > Advanced > Automation > Automatically apply {' / '.join(applied)}.",
    )


def account_row(company: CompanyConfig, *, found: bool) -> Row:
    """Whether the income account of new products is there. Pure."""
    name = company.books.income_account
    if found:
        return Row("income account", Level.READY, f"New products are sold from {name!r}.")
    return Row(
        "income account",
        Level.ATTENTION,
        f"QuickBooks has no active income account {name!r}: new products from ReliaBills cannot be made.",
        "Make the account in QuickBooks, or correct income_account in reconcile.toml.",
    )


def records_findings(books: dict[Entity, Snapshot], today: date) -> list[Finding]:
    """What ReliaBills requires and these customers and invoices do not fulfil. Pure."""
    moment = datetime.now(UTC)
    every = {entity: books.get(entity) or _nothing(Side.BOOKS, entity, moment) for entity in Entity}
    billing = {entity: _nothing(Side.BILLING, entity, moment) for entity in Entity}
    wanted = {entity.plural for entity in _READ}
    suites = [suite for suite in SUITES if suite.name in wanted]
    found = validate(every, billing, today=today, suites=suites).findings
    read = [finding for snapshot in books.values() for finding in snapshot.findings]
    return [one for one in (*read, *found) if one.side is Side.BOOKS and one.severity is not Severity.NOTE]


def _nothing(side: Side, entity: Entity, moment: datetime) -> Snapshot:
    """Nothing was asked for, so that nothing is said to be absent."""
    return Snapshot(side, entity, empty_records(entity), empty_rows(entity), moment, Scope.SELECTED)


def records_rows(findings: Sequence[Finding], *, stops: bool) -> list[Row]:
    """One row per kind of record that cannot cross as it is. Pure.

    Args:
        findings: of customers and invoices.
        stops: whether a bad invoice number stops the invoices step (the company's choice) or holds only the invoice.
    """
    customers = [one for one in findings if one.entity is Entity.CUSTOMER]
    invoices = [one for one in findings if one.entity is Entity.INVOICE]
    numbers = [one for one in invoices if one.check in _NUMBERS]
    twice = [one for one in invoices if one.check == _TWICE]
    others = [one for one in invoices if one not in numbers and one not in twice]
    bad_number = Level.STOPS if stops else Level.ATTENTION
    return [
        _records("customers that ReliaBills cannot hold", customers, Level.ATTENTION),
        _records("invoice numbers that are not digits", numbers, bad_number),
        _duplicates(twice),
        _records("other invoices that cannot cross", others, Level.ATTENTION),
    ]


def _records(subject: str, findings: Sequence[Finding], level: Level) -> Row:
    records = dict.fromkeys(one.record_id for one in findings)
    if not records:
        return Row(subject, Level.READY, "None.")
    return Row(subject, level, f"{len(records):,}: {_examples(findings)}", findings[0].remedy)


def _duplicates(findings: Sequence[Finding]) -> Row:
    subject = "invoice numbers used twice"
    if findings:
        numbers = len({one.label for one in findings})
        return Row(subject, Level.ATTENTION, f"{numbers:,}: {_examples(findings)}", findings[0].remedy)
    return Row(
        subject,
        Level.NOTE,
        "None. Whether QuickBooks would refuse a number used before cannot be seen from outside.",
        "Turn on Account and settings > Sales > Warn if duplicate transaction number is used.",
    )


def _examples(findings: Iterable[Finding]) -> str:
    sentences = list(dict.fromkeys(one.sentence for one in findings))
    more = len(sentences) - _EXAMPLES
    return " ".join(sentences[:_EXAMPLES]) + (f" And {more:,} more." if more > 0 else "")


def readiness_frame(rows: Iterable[Row]) -> pd.DataFrame:
    """The rows as a frame of text: ``subject``, ``level``, ``found``, ``remedy``."""
    columns = ["subject", "level", "found", "remedy"]
    return pd.DataFrame([asdict(row) for row in rows], columns=columns).astype("str")
