"""Policy: who wins where a person would otherwise be asked. Without one, everything disputed is held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Self

from reconcile.errors import ConfigurationError
from reconcile.model.entities import FIELDS, Entity, Field, Side

ANY = "*"


class Winner(StrEnum):
    """Whose value holds when both sides have their own."""

    HOLD = "hold"  # neither: a person decides
    BOOKS = "books"
    BILLING = "billing"

    @property
    def side(self) -> Side | None:
        """The side whose value holds; ``None`` when a person decides."""
        return None if self is Winner.HOLD else Side(self.value)


class Deletion(StrEnum):
    """What becomes of an unpaid invoice in ReliaBills when its counterpart was deleted in QuickBooks."""

    HOLD = "hold"  # a person decides
    VOID = "void"


@cache
def written_fields(entity: Entity) -> tuple[Field, ...]:
    """The compared fields that a push may set; the three-way truth table is about these."""
    return tuple(candidate for candidate in FIELDS[entity] if candidate.compared and candidate.writable)


@cache
def result_fields(entity: Entity) -> tuple[Field, ...]:
    """The compared fields that each side works out for itself (subtotal, tax, total); they never win or lose."""
    return tuple(candidate for candidate in FIELDS[entity] if candidate.compared and not candidate.writable)


@dataclass(frozen=True, slots=True)
class Policy:
    """A company's choice per field; what is not named is held.

    Keys are ``customer.phone``, ``customer.*`` or ``*``, the most particular one counts. Child rows can be named whole
    (``invoice.lines``), never one line.

    Attributes:
        on_conflict: who wins when the same field was changed on both sides.
        on_difference: who wins when two records were matched for the first time and a field differs.
        on_deletion: what becomes of an unpaid invoice whose counterpart was deleted in QuickBooks.

    Raises:
        ConfigurationError: a key names no field that a push may set.
    """

    on_conflict: Mapping[str, Winner] = field(default_factory=lambda: MappingProxyType({}))
    on_difference: Mapping[str, Winner] = field(default_factory=lambda: MappingProxyType({}))
    on_deletion: Deletion = Deletion.HOLD

    def __post_init__(self) -> None:
        known = {f"{entity}.{name}" for entity in Entity for name in [*map(_name, written_fields(entity)), ANY]} | {ANY}
        for key in [*self.on_conflict, *self.on_difference]:
            if key not in known:
                raise ConfigurationError(
                    f"The policy names {key!r}, which is no field that can be written. Write it as entity.field, "
                    f"for example customer.phone, invoice.{ANY} or {ANY}; subtotals, taxes and totals are worked out "
                    "by each side and can have no winner."
                )

    @classmethod
    def from_settings(
        cls, on_conflict: Mapping[str, str], on_difference: Mapping[str, str], on_deletion: str = Deletion.HOLD
    ) -> Self:
        """The policy as settings spell it: ``{"customer.phone": "billing"}``, and ``hold`` or ``void``.

        Raises:
            ConfigurationError: an unknown field, or a winner that is not hold, books or billing.
        """
        return cls(_winners(on_conflict), _winners(on_difference), Deletion(on_deletion))

    def conflict(self, entity: Entity, of: Field) -> Winner:
        """Who wins when ``of`` was changed on both sides."""
        return _chosen(self.on_conflict, entity, of)

    def difference(self, entity: Entity, of: Field) -> Winner:
        """Who wins when ``of`` differs on records matched for the first time."""
        return _chosen(self.on_difference, entity, of)


def _name(of: Field) -> str:
    return of.name


def _chosen(choices: Mapping[str, Winner], entity: Entity, of: Field) -> Winner:
    for key in (f"{entity}.{of.name}", f"{entity}.{ANY}", ANY):
        if key in choices:
            return choices[key]
    return Winner.HOLD


def _winners(settings: Mapping[str, str]) -> dict[str, Winner]:
    try:
        return {key: Winner(value) for key, value in settings.items()}
    except ValueError as error:
        raise ConfigurationError(f"In the policy, {error}: choose hold, books or billing.") from error


MONEY_FIELDS = {
    Entity.INVOICE: frozenset(
        {"lines", "tax_rate_id", "discount_percent", "discount_taxable", "discount_nontaxable", "void", "customer_id"}
    ),
    Entity.PAYMENT: frozenset({"amount", "credit", "applications", "void", "customer_id"}),
}
"""The fields that make up what a document is worth: when one of them must wait, so must the others."""
