"""What a plan depends on beyond the records: the day, what is closed and filed, caps, what people let pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType

from reconcile.model.entities import Entity
from reconcile.model.guards import Permission
from reconcile.model.plan import EffectKind

Ended = tuple[Entity, str, str | None]
"""A record of books that is inactive: its kind, its id, and the version that it had."""


@dataclass(frozen=True, slots=True)
class Cap:
    """How much of one kind of outside effect one run may cause: how many, and what they come to (minor units)."""

    most: int
    sum: int


@dataclass(frozen=True, slots=True)
class Mailed:
    """Invoices that were mailed by an earlier run, whatever became of them since: ids in books, and numbers.

    Both, because an invoice that was deleted and entered again has another id, and one that was linked anew another
    counterpart.
    """

    books_ids: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a plan depends on beyond the records.

    Attributes:
        today: the company's date; ``None`` when no invoice is too old to be mailed.
        send_automatically: ReliaBills' setting: invoices that come from QuickBooks are mailed.
        mailed: what was mailed before.
        closed_until: QuickBooks' closing date, ISO; empty when the books are open.
        filed_until: the day until which sales tax was filed, ISO, by the name of the tax agency.
        deposited: ids in books of payments that sit in a deposit, beyond those whose record says so.
        taken_names: names in books that are no customer's, case-folded, and whose they are (*vendor*, *employee*).
        names_in_the_way: customers and products by their id in books, and the id of the other one of their kind there
            that has the name which they are to get.
        doubles: ids in books of payments that a write has made a second time, each with the one that stands for it.
        ended_for_good: customers and products that books have refused to make active again.
        caps: per kind of outside effect; a kind that is not named has none.
        permissions: what people let pass.
    """

    today: date | None = None
    send_automatically: bool = False
    mailed: Mailed = Mailed()
    closed_until: str = ""
    filed_until: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    deposited: frozenset[str] = frozenset()
    taken_names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    names_in_the_way: Mapping[tuple[Entity, str], str] = field(default_factory=lambda: MappingProxyType({}))
    doubles: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    ended_for_good: frozenset[Ended] = frozenset()
    caps: Mapping[EffectKind, Cap] = field(default_factory=lambda: MappingProxyType({}))
    permissions: Sequence[Permission] = ()
