"""References between keys (as plans and bases use them) and the ids of one side, while links are growing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconcile.model.entities import Entity, Side, key_of, side_and_id
from reconcile.model.rows import translated, with_rows_text
from reconcile.state.links import Links


class UnknownReferenceError(Exception):
    """A record refers to one that does not exist on the side written."""


class References:
    """Keys to ids and back, from the live links; read once per entity, then kept current by :meth:`learn`."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._books_of: dict[Entity, dict[str, str]] = {}
        self._billing_of: dict[Entity, dict[str, str]] = {}

    def _load(self, entity: Entity) -> None:
        if entity not in self._books_of:
            pairs = self._links.pairs(entity)
            self._books_of[entity] = dict(zip(pairs["billing_id"], pairs["books_id"], strict=True))
            self._billing_of[entity] = dict(zip(pairs["books_id"], pairs["billing_id"], strict=True))

    def learn(self, entity: Entity, books_id: str, billing_id: str) -> None:
        """A pair has been linked."""
        self._load(entity)
        self._books_of[entity][billing_id] = books_id
        self._billing_of[entity][books_id] = billing_id

    def forget(self, entity: Entity, books_id: str, billing_id: str) -> None:
        """A link has ended: neither stands for the other any more."""
        self._load(entity)
        if self._books_of[entity].get(billing_id) == books_id:
            del self._books_of[entity][billing_id]
        if self._billing_of[entity].get(books_id) == billing_id:
            del self._billing_of[entity][books_id]

    def counterpart(self, side: Side, entity: Entity, record_id: str) -> str | None:
        """The id on the other side of the record with this id on ``side``; ``None`` when it is not linked."""
        self._load(entity)
        known = self._billing_of if side is Side.BOOKS else self._books_of
        return known[entity].get(record_id)

    def linked(self, side: Side, entity: Entity, record_id: str) -> bool:
        """Whether this record has a counterpart already."""
        return self.counterpart(side, entity, record_id) is not None

    def id_on(self, side: Side, entity: Entity, key: str) -> str:
        """The id on ``side`` of the record that ``key`` names.

        Raises:
            UnknownReferenceError: it has no counterpart there (yet).
        """
        self._load(entity)
        named, record_id = side_and_id(key)
        if named is side:
            return record_id
        known = self._billing_of if side is Side.BILLING else self._books_of
        try:
            return known[entity][record_id]
        except KeyError:
            raise UnknownReferenceError(f"the {entity.singular} {key} does not exist in {side.product} yet") from None

    def key(self, entity: Entity, side: Side, record_id: str) -> str:
        """The key of a record known by its id on ``side``: the books id wherever it has one."""
        self._load(entity)
        if side is Side.BILLING and record_id in self._books_of[entity]:
            return key_of(Side.BOOKS, self._books_of[entity][record_id])
        return key_of(side, record_id)

    def canonical(self, entity: Entity, key: str) -> str:
        """The same record's key now: ``billing:7`` becomes ``books:12`` once the two are linked."""
        return self.key(entity, *side_and_id(key))

    def to_side(self, side: Side, entity: Entity, values: Mapping[str, Any]) -> dict[str, Any]:
        """Plan values (references as keys, child rows as text) as ``side`` understands them (ids, lists of rows).

        Raises:
            UnknownReferenceError: a reference has no counterpart on that side.
        """
        return translated(entity, values, lambda to, key: self.id_on(side, to, key))

    def from_side(self, side: Side, entity: Entity, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values as ``side`` answered them, as a base holds them: references as keys, child rows as canonical text."""
        return with_rows_text(entity, translated(entity, values, lambda to, record_id: self.key(to, side, record_id)))

    def settled(self, entity: Entity, values: Mapping[str, Any]) -> dict[str, Any]:
        """Plan values with every key in its present canonical form."""
        return with_rows_text(entity, translated(entity, values, self.canonical))
