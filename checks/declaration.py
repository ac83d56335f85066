"""What a check is: a rule with a name, a severity per side, a sentence for a bookkeeper and a remedy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pandas as pd

from checks.world import Columns, World
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Severity


@dataclass(frozen=True, slots=True)
class Expectation:
    """One of Great Expectations' own expectations, by the name of its class, before anything is imported.

    Attributes:
        name: class in ``great_expectations.expectations``.
        arguments: its keyword arguments.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def column(self) -> str | None:
        """The column it looks at; ``None`` when it looks at the table as a whole."""
        column = self.arguments.get("column")
        return None if column is None else str(column)

    @property
    def skips_missing(self) -> bool:
        """Whether a missing value means that the rule does not apply to the record."""
        return self.column is not None and self.name != _NOT_MISSING


_NOT_MISSING = "ExpectColumnValuesToNotBeNull"


def holds(column: str) -> Expectation:
    """The boolean helper column is true wherever the rule applies; a missing value means that it does not apply."""
    return Expectation("ExpectColumnValuesToBeInSet", MappingProxyType({"column": column, "value_set": [True]}))


def present(column: str) -> Expectation:
    """The column has no missing value."""
    return Expectation(_NOT_MISSING, MappingProxyType({"column": column}))


def unique(column: str) -> Expectation:
    """No value of the column occurs twice; missing values do not count."""
    return Expectation("ExpectColumnValuesToBeUnique", MappingProxyType({"column": column}))


def rows_present() -> Expectation:
    """The frame has rows; how many it needs at least is filled in for each frame (:meth:`World.rows_needed`)."""
    return Expectation("ExpectTableRowCountToBeBetween", MappingProxyType({"min_value": 1}))


@dataclass(frozen=True, slots=True)
class Check:
    """One rule.

    Attributes:
        name: short stable name, unique over all suites.
        entity: kind of record it is about.
        severity: per side to which it applies, what breaking it does to the run.
        expectation: what Great Expectations is asked.
        sentence: what is wrong, for a bookkeeper. A template: ``{name}`` is a column of the suite's frame (external
            text is shortened), ``{name:money}`` an amount in minor units, ``{name:number}`` a scaled integer.
        remedy: what to do now; a template like ``sentence``.
        linked_severity: severity for records that have a counterpart on the other side; ``None`` for the same.
        company_choice: whether a company may choose another severity for the books side (bad invoice numbers).
        told_by: findings of the side itself (made while reading) that already say the same of a record.
        amount: column with the money at stake in minor units; empty when no money is.
    """

    name: str
    entity: Entity
    severity: Mapping[Side, Severity]
    expectation: Expectation
    sentence: str
    remedy: str
    linked_severity: Severity | None = None
    company_choice: bool = False
    told_by: frozenset[str] = frozenset()
    amount: str = "amount"


@dataclass(frozen=True, slots=True)
class Suite:
    """A table of checks and the function that computes the columns they look at.

    Attributes:
        name: of the suite.
        checks: its rules, rows-present first.
        columns: given the world, a side and an entity: the columns of :meth:`facts`.
    """

    name: str
    checks: tuple[Check, ...]
    columns: Callable[[World, Side, Entity], Columns]

    def facts(self, world: World, side: Side, entity: Entity) -> pd.DataFrame:
        """What the checks look at.

        Returns:
            One row per record, in the order of the snapshot, with ``id``, ``label``, ``customer``, ``amount``,
            ``currency``, ``linked`` and the helper columns.
        """
        if len(world.snapshot(side, entity)):
            return _frame(self.columns(world, side, entity))
        # Without records it is the same in every world; a night that reads only what changed has mostly such frames.
        if (self.columns, entity) not in _OF_NOTHING:
            _OF_NOTHING[self.columns, entity] = _frame(self.columns(world, side, entity))
        return _OF_NOTHING[self.columns, entity]

    @property
    def entities(self) -> tuple[Entity, ...]:
        """The kinds of record it looks at, in their order."""
        return tuple(entity for entity in Entity if any(check.entity is entity for check in self.checks))


_OF_NOTHING: dict[tuple[Callable[[World, Side, Entity], Columns], Entity], pd.DataFrame] = {}


def _frame(columns: Columns) -> pd.DataFrame:
    index = columns["id"].index
    bare = {name: column.array if isinstance(column, pd.Series) else column for name, column in columns.items()}
    return pd.DataFrame(bare, index=index, copy=False)  # some are the snapshot's own: a check looks and changes nothing


TEXT_LENGTH = frozenset({"text_length"})
TEXT_CONTROL = frozenset({"text_control"})
IMPOSSIBLE_DATE = frozenset({"date_possible"})

BOTH_NOTE: Mapping[Side, Severity] = MappingProxyType({Side.BOOKS: Severity.NOTE, Side.BILLING: Severity.NOTE})
BOTH_HOLD: Mapping[Side, Severity] = MappingProxyType({Side.BOOKS: Severity.HOLD, Side.BILLING: Severity.HOLD})
BOTH_STOP: Mapping[Side, Severity] = MappingProxyType({Side.BOOKS: Severity.STOP, Side.BILLING: Severity.STOP})
BOOKS_HOLD: Mapping[Side, Severity] = MappingProxyType({Side.BOOKS: Severity.HOLD})
BILLING_HOLD: Mapping[Side, Severity] = MappingProxyType({Side.BILLING: Severity.HOLD})
BILLING_NOTE: Mapping[Side, Severity] = MappingProxyType({Side.BILLING: Severity.NOTE})


def first_checks(entity: Entity) -> tuple[Check, ...]:
    """What every suite begins with: rows present, then keys present and unique.

    Rows come first because an empty frame passes every other expectation.
    """
    return (
        Check(
            f"{entity}_rows_present",
            entity,
            BOTH_NOTE,
            rows_present(),
            "{here} has no {records}, {there} has {there_count}.",
            "Nothing to do if this company is new in {here}; otherwise make sure that the right company is connected.",
            amount="",
        ),
        Check(
            f"{entity}_key_present",
            entity,
            BOTH_STOP,
            present("id"),
            f'The {entity.singular} "{{label}}" came from {{here}} without its id.',
            "Read the company again; if it stays, call support: {here} must give every record an id.",
        ),
        Check(
            f"{entity}_key_unique",
            entity,
            BOTH_STOP,
            unique("id"),
            f'The {entity.singular} "{{label}}" came from {{here}} twice under the id {{id}}.',
            "Read the company again; if it stays, call support: two records cannot share an id.",
        ),
    )
