"""Run all suites over both sides and turn what failed into findings."""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import product
from types import MappingProxyType
from typing import Any, Literal

import pandas as pd

from checks import across, customers, invoices, payments, products, tax_rates
from checks.declaration import Check, Suite
from checks.engine import BrokenCheckError, CheckResult, Examined, run_checks
from checks.world import World
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Finding, Severity
from reconcile.model.money import from_scaled, show
from reconcile.model.snapshot import Snapshots

SUITES: tuple[Suite, ...] = (
    customers.SUITE,
    products.SUITE,
    tax_rates.SUITE,
    invoices.SUITE,
    payments.SUITE,
    across.SUITE,
)
"""All suites, in the order in which they are run."""

RESULT_COLUMNS = {
    "suite": "str",
    "check": "str",
    "side": "str",
    "severity": "str",
    "passed": "boolean",
    "failing": "Int64",
    "evaluated": "Int64",
    "exception": "boolean",
}
_NOTHING: Mapping[Entity, frozenset[str]] = MappingProxyType({})
_MESSAGE_LENGTH = 200
_TEXT_LENGTH = 120
_ORDER = {Severity.STOP: 0, Severity.HOLD: 1, Severity.NOTE: 2}


@dataclass(frozen=True, slots=True)
class Validation:
    """What the checks came to.

    Attributes:
        findings: one per record and broken rule; stops first, then holds, then notes.
        results: one row per check and side, columns :data:`RESULT_COLUMNS`. ``evaluated`` counts the records to which
            the rule applies, ``failing`` those that break it.
    """

    findings: tuple[Finding, ...]
    results: pd.DataFrame


def validate(
    books: Snapshots,
    billing: Snapshots,
    *,
    bad_invoice_number: Literal["stop", "hold"] = "stop",
    today: date,
    linked: Mapping[Entity, frozenset[str]] = _NOTHING,
    linked_billing: Mapping[Entity, frozenset[str]] = _NOTHING,
    suites: Sequence[Suite] = SUITES,
) -> Validation:
    """Check both sides against all rules.

    Rules about absence (references, balances, rows present) are carried out only where the records they look for were
    read in full.

    Args:
        books: snapshots of all five entities.
        billing: the same.
        bad_invoice_number: what a number that is not digits only does in books: *stop* the invoices step, as ReliaBills
            does, or *hold* only the invoice and its payments.
        today: the company's local date.
        linked: ids in books that have a counterpart in billing, linked before or matched now
            (:attr:`reconcile.model.changes.Comparison.pairs`); what such a record lacks is mostly only a note.
        linked_billing: the same, ids in billing.
        suites: which suites to run.

    Returns:
        Findings and a table of results.

    Raises:
        BrokenCheckError: a check could not be carried out; nothing may be written on its word.
    """
    links = {Side.BOOKS: linked, Side.BILLING: linked_billing}
    world = World(books, billing, links, today)
    choice = Severity(bad_invoice_number)
    rows: list[dict[str, object]] = []
    findings: list[Finding] = []
    broken: list[str] = []
    for suite in suites:
        examined = {entity: _examined(world, suite, entity) for entity in suite.entities}
        found = {entity: run_checks(suite.name, sides) for entity, sides in examined.items()}
        for side, entity in product(Side, suite.entities):
            for result in found[entity][side]:
                rows.append(_result_row(suite, side, result, choice))
                if result.exception:
                    broken.append(f"{result.check.name} on {side} ({result.exception[:_MESSAGE_LENGTH]})")
                elif not result.passed:
                    findings.extend(_findings(world, side, result, examined[entity][side].frame, choice))
    results = pd.DataFrame(rows, columns=list(RESULT_COLUMNS)).astype(RESULT_COLUMNS)
    if broken:
        error = BrokenCheckError(
            f"{len(broken)} of the checks could not be carried out, so nothing was written: {'; '.join(broken)}. "
            "This is a fault of the program, not of the records: keep this run and send it to support."
        )
        error.results = results
        raise error
    return Validation(tuple(sorted(findings, key=lambda finding: _ORDER[finding.severity])), results)


def _examined(world: World, suite: Suite, entity: Entity) -> Mapping[Side, Examined]:
    """What one suite looks at of one kind of record, on both sides."""
    return {
        side: Examined(
            [check for check in suite.checks if check.entity is entity and side in check.severity],
            suite.facts(world, side, entity),
            world.rows_needed(side, entity),
        )
        for side in Side
    }


def _severity(check: Check, side: Side, choice: Severity) -> Severity:
    return choice if check.company_choice and side is Side.BOOKS else check.severity[side]


def _result_row(suite: Suite, side: Side, result: CheckResult, choice: Severity) -> dict[str, object]:
    whole_table = result.check.expectation.column is None
    return {
        "suite": suite.name,
        "check": result.check.name,
        "side": str(side),
        "severity": str(_severity(result.check, side, choice)),
        "passed": result.passed,
        "failing": int(not result.passed) if whole_table else len(result.failing),
        "evaluated": result.evaluated,
        "exception": bool(result.exception),
    }


def _findings(
    world: World, side: Side, result: CheckResult, facts: pd.DataFrame, choice: Severity
) -> Iterator[Finding]:
    """One finding per failing record, or one for the whole side.

    What the side itself has said of a record is not said again, and of records without an id of their own nothing else
    is said: their child rows cannot be told apart.
    """
    check = result.check
    severity = _severity(check, side, choice)
    spoken = {"here": side.product, "there": side.other.product, "records": check.entity.plural}
    if check.expectation.column is None:
        spoken |= {"there_count": f"{len(world.snapshot(side.other, check.entity)):,}"}
        yield _finding(check, severity, side, spoken, currency="")
        return
    told = {one.record_id for one in world.snapshot(side, check.entity).findings if one.check in check.told_by}
    about_key = check.expectation.column == "id"
    confused = set(facts.loc[facts["id"].duplicated(), "id"])
    needed = {"id", "label", "customer", "currency", "linked", check.amount or "id"}
    needed |= {name for text in (check.sentence, check.remedy) for _, name, _, _ in _parse(text) if name}
    for row in facts.loc[list(result.failing), sorted(needed & set(facts.columns))].to_dict("records"):
        named = {str(name): value for name, value in row.items()}
        if named["id"] in told or (not about_key and (pd.isna(named["id"]) or named["id"] in confused)):
            continue
        currency = world.currency if pd.isna(named["currency"]) else str(named["currency"])
        grade = check.linked_severity if check.linked_severity and named["linked"] else severity
        yield _finding(check, grade, side, named | spoken, currency=currency)


def _finding(check: Check, severity: Severity, side: Side, row: Mapping[str, Any], *, currency: str) -> Finding:
    words = _Words(currency)
    said = {**row, "customer": _text(row.get("customer")) or "a customer without a name"}
    amount = row.get(check.amount) if check.amount else None
    return Finding(
        check=check.name,
        severity=severity,
        entity=check.entity,
        side=side,
        record_id=_text(row.get("id")),
        label=_text(row.get("label")),
        amount=None if amount is None or pd.isna(amount) else int(amount),
        currency=currency,
        sentence=words.vformat(check.sentence, (), said),
        remedy=words.vformat(check.remedy, (), said),
        customer=_text(row.get("customer")),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _parse(template: str) -> Iterable[tuple[str, str | None, str | None, str | None]]:
    return string.Formatter().parse(template)


class _Words(string.Formatter):
    """Templates into sentences: amounts with their currency, scaled integers as decimals, long texts shortened."""

    def __init__(self, currency: str) -> None:
        self.currency = currency

    def format_field(self, value: Any, format_spec: str) -> str:
        if value is None or pd.isna(value):
            return "(nothing)"
        if format_spec == "money":
            return f"{show(int(value), self.currency)} {self.currency}".rstrip()
        if format_spec == "number":
            return f"{from_scaled(int(value)):f}"
        text = str(value)
        return text if len(text) <= _TEXT_LENGTH else f"{text[:_TEXT_LENGTH]}…"
