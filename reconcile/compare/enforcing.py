"""A plan as a contract: what is done later is exactly what a saved plan says, or less.

The comparison is made afresh, from both sides as they are now. An operation of the saved plan goes through when the
fresh plan has the very same one: same records, same version, same values (:attr:`Operation.op_id`). What has moved
since is refused, one by one, with the reason; what is new since is not done. What then lacks something it needs, or
would cause a mail or a charge that the saved plan did not name, is refused as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reconcile.compare.rules import DEPENDS, STALE, UNPLANNED
from reconcile.model.entities import FIELDS, Entity, Side, side_and_id
from reconcile.model.findings import Finding, Severity
from reconcile.model.plan import Action, Operation, Plan
from reconcile.model.rows import referred
from reconcile.model.snapshot import Snapshots

Complete = Callable[[Sequence[Operation]], tuple[list[Operation], list[Finding]]]
"""Leaves out of some operations what may not be done without the others, says why, and states the outside effects."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An operation of the saved plan that is not done, and why, in words; may quote hostile text."""

    operation: Operation
    reason: str


@dataclass(frozen=True, slots=True)
class Enforced:
    """What is left of a saved plan.

    Attributes:
        operations: what is done, in order, as the fresh plan has it.
        refused: of the saved plan, each with its reason, in the order of the saved plan.
        new: of the fresh plan, not in the saved one; not done.
    """

    operations: tuple[Operation, ...]
    refused: tuple[Refused, ...]
    new: tuple[Operation, ...]

    def findings(self) -> tuple[Finding, ...]:
        """A hold finding for each record that is not brought into agreement because of this."""
        refused = (
            _finding(
                STALE,
                one.operation,
                f"{_deed(one.operation)} was planned but is not done: {one.reason}",
                "Make a new plan (`reconcile plan COMPANY`), look at it and apply that one.",
            )
            for one in self.refused
            if one.operation.action.writes
        )
        new = (
            _finding(
                UNPLANNED,
                operation,
                f"{_deed(operation)} is new since the plan was made, so it is not done.",
                "Make a new plan (`reconcile plan COMPANY`), look at it and apply that one.",
            )
            for operation in self.new
            if operation.action.writes
        )
        return (*refused, *new)


def enforce(
    saved: Plan,
    fresh: Sequence[Operation],
    complete: Complete,
    sides: Mapping[Side, Snapshots],
    pairs: Mapping[Entity, pd.DataFrame],
    findings: Iterable[Finding],
) -> Enforced:
    """What may still be done of a saved plan.

    Args:
        saved: the plan that somebody looked at.
        fresh: all operations that would be planned now.
        complete: see :data:`Complete`; applied to what is left.
        sides: both sides as they are now.
        pairs: ``books_id`` and ``billing_id`` of every pair as it is known now, per entity.
        findings: of now; they say why something is held.
    """
    planned = {operation.op_id: operation for operation in saved.operations}
    present = {operation.op_id for operation in fresh}
    moved = _Moved(fresh, sides, pairs, findings)
    why = {op_id: moved.why(operation) for op_id, operation in planned.items() if op_id not in present}
    left = [operation for operation in fresh if operation.op_id in planned]
    while True:
        kept = _with_what_they_need(left, fresh, why)
        kept, told = complete(kept)
        there = {operation.op_id for operation in kept}
        for operation in left:
            if operation.op_id not in there and operation.op_id not in why:
                why[operation.op_id] = _said(operation, told)
        known = [operation for operation in kept if operation.op_id in planned]
        kept = [operation for operation in known if not _causes_more(operation, planned, why)]
        if len(kept) == len(left):
            break
        left = kept
    return Enforced(
        operations=tuple(kept),
        refused=tuple(Refused(operation, why[op_id]) for op_id, operation in planned.items() if op_id in why),
        new=tuple(operation for operation in fresh if operation.op_id not in planned),
    )


def needed(operation: Operation) -> frozenset[tuple[Entity, str]]:
    """What an operation refers to: entity and key."""
    return frozenset(referred(operation.step, {**operation.agreed, **operation.payload}))


def _with_what_they_need(left: Sequence[Operation], fresh: Sequence[Operation], why: dict[str, str]) -> list[Operation]:
    """Without what refers to a record that only an operation left out would make or link."""
    bringing = {Action.CREATE, Action.LINK}
    ids = {operation.op_id for operation in left}
    missing = {
        (operation.step, operation.key): operation
        for operation in fresh
        if operation.action in bringing and operation.op_id not in ids
    }
    kept = []
    for operation in left:
        lacking = [missing[reference] for reference in sorted(needed(operation)) if reference in missing]
        if lacking:
            other = lacking[0]
            why[operation.op_id] = f"it needs the {other.step.singular} {other.label or other.key}, which is not done."
            if operation.action in bringing:
                missing[operation.step, operation.key] = operation
            continue
        kept.append(operation)
    return kept


def _causes_more(operation: Operation, planned: Mapping[str, Operation], why: dict[str, str]) -> bool:
    """Whether it would now cause a mail, or a charge of more, than the saved plan named; then it is refused."""
    more = operation.causes_more_than(planned[operation.op_id])
    if more is None:
        return False
    why[operation.op_id] = f"it would now cause a {more.kind} that the plan did not name ({more.cause})."
    return True


class _Moved:
    """Says why an operation of a saved plan is not in the fresh one."""

    def __init__(
        self,
        fresh: Sequence[Operation],
        sides: Mapping[Side, Snapshots],
        pairs: Mapping[Entity, pd.DataFrame],
        findings: Iterable[Finding],
    ) -> None:
        self.fresh: dict[tuple[Any, ...], Operation] = {_target(operation): operation for operation in fresh}
        self.sides = sides
        self.pairs = pairs
        self.held: dict[tuple[Entity, str], str] = {}
        for finding in findings:
            if finding.severity is not Severity.NOTE or finding.check == DEPENDS:
                self.held.setdefault((finding.entity, finding.record_id), finding.sentence)
        self._versions: dict[tuple[Side, Entity], dict[str, Any]] = {}

    def why(self, operation: Operation) -> str:
        other = self.fresh.get(_target(operation))
        for side, record_id in _records(operation):
            version = self._version(side, operation.step, record_id)
            if version is None:
                return f"the record is no longer in {side.product}."
            expected = operation.expected_version
            if side is operation.side and expected is not None and version != expected:
                return f"it was changed in {side.product} after the plan was made (version {expected}, now {version})."
        if operation.action is Action.CREATE and self._paired(operation):
            return f"it is in {operation.side.product if operation.side else 'both'} already."
        if other is not None and other.action is operation.action:
            for (side, now), (_, then) in zip(_records(other), _records(operation), strict=False):
                if now != then:
                    return f"it would be done with another record of {side.product} now ({now}, not {then})."
            names = sorted(
                name
                for name in other.payload.keys() | operation.payload.keys()
                if other.payload.get(name) != operation.payload.get(name)
            )
            titles = {of.name: of.title for of in FIELDS[operation.step]}
            return f"it would be written otherwise now: {', '.join(titles.get(name, name) for name in names)}."
        held = [self.held.get((operation.step, record_id)) for _, record_id in _records(operation)]
        said = next(filter(None, held), None)
        return f"it is held now. {said}" if said else "nothing of the kind has to be done any more."

    def _paired(self, operation: Operation) -> bool:
        side, record_id = side_and_id(operation.key)
        return bool((self.pairs[operation.step][f"{side}_id"] == record_id).any())

    def _version(self, side: Side, entity: Entity, record_id: str) -> str | None:
        if (side, entity) not in self._versions:
            frame = self.sides[side][entity].frame
            self._versions[side, entity] = dict(zip(frame["id"], frame["version"], strict=True))
        found = self._versions[side, entity].get(record_id, "")
        return None if record_id not in self._versions[side, entity] else str(found)


def _target(operation: Operation) -> tuple[Any, ...]:
    return operation.step, operation.side, operation.key


def _records(operation: Operation) -> list[tuple[Side, str]]:
    ids = {Side.BOOKS: operation.books_id, Side.BILLING: operation.billing_id}
    return [(side, record_id) for side, record_id in ids.items() if record_id is not None]


def _said(operation: Operation, told: Iterable[Finding]) -> str:
    own = [one.sentence for one in told if one.entity is operation.step and one.label == operation.label]
    return own[0] if own else "it cannot be done without what is refused."


def _deed(operation: Operation) -> str:
    where = f" in {operation.side.product}" if operation.side is not None else ""
    whose = f" of {operation.customer}" if operation.customer and operation.step is not Entity.CUSTOMER else ""
    return f"{operation.action.value.capitalize()} {operation.step.singular} {operation.label}{whose}{where}"


def _finding(check: str, operation: Operation, sentence: str, remedy: str) -> Finding:
    side, record_id = side_and_id(operation.key)
    alone = operation.books_id is None or operation.billing_id is None
    return Finding(
        check=check,
        severity=Severity.HOLD,
        entity=operation.step,
        side=side if alone else None,
        record_id=record_id,
        label=operation.label,
        amount=operation.amount,
        currency=operation.currency,
        sentence=sentence,
        remedy=remedy,
        customer=operation.customer,
    )
