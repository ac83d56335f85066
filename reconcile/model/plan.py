"""Plans: all that a push will do, and nothing else. A plan is a value with a content hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from reconcile.model.entities import Entity, Side


class Action(StrEnum):
    """What one operation does. The last three touch only our own memory, neither side."""

    CREATE = "create"
    UPDATE = "update"
    VOID = "void"
    DELETE = "delete"
    DEACTIVATE = "deactivate"
    LINK = "link"  # two records are one: remember the pair and the fields on which they agree
    AGREE = "agree"  # both sides moved alike: move the base
    FORGET = "forget"  # gone from both sides: end the link, keep a tombstone

    @property
    def writes(self) -> bool:
        """Whether a side is written."""
        return self not in {Action.LINK, Action.AGREE, Action.FORGET}


class EffectKind(StrEnum):
    """Something outside both databases that a write would cause."""

    MAIL = "mail"
    CHARGE = "charge"


@dataclass(frozen=True, slots=True)
class OutsideEffect:
    """A mail or a charge that a write would cause (ReliaBills, "What follows for the sync" 1 and 2).

    ``amount`` is in minor units of ``currency``; ``customer`` is hostile text.
    """

    kind: EffectKind
    customer: str
    amount: int
    currency: str
    cause: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One planned step of agreement between two records.

    Attributes:
        step: the push step it belongs to.
        action: what is done.
        side: the side written; ``None`` for actions that touch only our memory.
        key: ``"books:<id>"`` or ``"billing:<id>"``: the record this is about, as the comparison names it.
        books_id, billing_id: ids known when the plan was made.
        label, customer: what a person knows it by. Hostile text.
        before: values on the written side of the fields in ``payload`` (empty for create), exact, references as keys.
        payload: values to write, exact, references as keys, child rows as canonical text.
        agreed: values that both sides will hold once this is done; they become the base. Same encoding.
        unsettled: compared fields that stay unsettled after this.
        expected_version: version the written record must still have; ``None`` for create.
        depends_on: records that must exist on the written side first, each named as by :attr:`record`.
        reason: why, in a sentence.
        effects: outside effects it would cause.
        amount, currency: money behind the record, minor units.
    """

    step: Entity
    action: Action
    side: Side | None
    key: str
    books_id: str | None
    billing_id: str | None
    label: str
    customer: str
    before: Mapping[str, Any]
    payload: Mapping[str, Any]
    agreed: Mapping[str, Any]
    unsettled: tuple[str, ...]
    expected_version: str | None
    depends_on: tuple[str, ...]
    reason: str
    effects: tuple[OutsideEffect, ...] = ()
    amount: int | None = None
    currency: str = "USD"

    @property
    def record(self) -> str:
        """The record this is about, among those of all kinds: ``"invoice:books:12"``."""
        return f"{self.step}:{self.key}"

    @property
    def target_id(self) -> str | None:
        """Id of the record that is written, on the side written; ``None`` for one that is to be made."""
        if self.side is None or self.action is Action.CREATE:
            return None
        return self.books_id if self.side is Side.BOOKS else self.billing_id

    @property
    def activates(self) -> bool:
        """Whether it brings an inactive record back into use."""
        return self.action is Action.UPDATE and self.payload.get("active") is True

    @property
    def op_id(self) -> str:
        """Identity within a company: the same work on the same records in the same state has the same id (40 hex)."""
        records = [self.key, self.books_id, self.billing_id]
        content = [self.step, self.action, self.side, records, self.expected_version, dict(self.payload)]
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:40]

    def causes_more_than(self, foreseen: Operation | None) -> OutsideEffect | None:
        """An effect of a kind of which this causes more, in number or money, than was foreseen; ``None`` without."""
        known = () if foreseen is None else foreseen.effects
        for effect in self.effects:
            now, then = ([one.amount for one in some if one.kind is effect.kind] for some in (self.effects, known))
            if len(now) > len(then) or sum(now) > sum(then):
                return effect
        return None


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no blanks, the same text for equal values; floats are refused."""
    return json.dumps(_refuse_floats(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _refuse_floats(value: object) -> object:
    if isinstance(value, float):
        raise TypeError("a float may not enter a plan")
    if isinstance(value, Mapping):
        return {str(key): _refuse_floats(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_refuse_floats(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class Plan:
    """All operations of one run, in the order in which they will be done.

    Attributes:
        company: company key.
        made_from: digests of what the plan was made from: ``books/<entity>``, ``billing/<entity>``, ``base/<entity>``.
        operations: in step order.
    """

    company: str
    made_from: Mapping[str, str]
    operations: tuple[Operation, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of :meth:`to_json`, as UTF-8: of the company, what the plan was made from, and all operations."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def step(self, entity: Entity) -> tuple[Operation, ...]:
        """The operations of one push step."""
        return tuple(operation for operation in self.operations if operation.step is entity)

    def writes(self) -> Iterator[Operation]:
        """The operations that write to a side."""
        return (operation for operation in self.operations if operation.action.writes)

    def to_json(self) -> str:
        """Canonical JSON; :meth:`from_json` gives back an equal plan."""
        return canonical_json(
            {
                "company": self.company,
                "made_from": dict(self.made_from),
                "operations": [asdict(operation) for operation in self.operations],
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan saved by :meth:`to_json`.

        Raises:
            ValueError: the text is not a saved plan.
        """
        try:
            saved = json.loads(text)
            return cls(saved["company"], saved["made_from"], tuple(map(_operation, saved["operations"])))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a saved plan: {error}") from error


def _operation(saved: dict[str, Any]) -> Operation:
    return Operation(
        **{
            **saved,
            "step": Entity(saved["step"]),
            "action": Action(saved["action"]),
            "side": Side(saved["side"]) if saved["side"] else None,
            "unsettled": tuple(saved["unsettled"]),
            "depends_on": tuple(saved["depends_on"]),
            "effects": tuple(
                OutsideEffect(**{**effect, "kind": EffectKind(effect["kind"])}) for effect in saved["effects"]
            ),
        }
    )
