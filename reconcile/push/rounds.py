"""Pushing while people work: a record that moved is read again, compared again and only then written (design: Writing).

Before the first write of a step comes a last look at both sides: what was changed since it was read, where we would
write and where what we carry comes from, is not written but decided again. Whatever moves between that look and the
write is noticed on the side that is written, by the version each write names; on the side it comes from it is noticed
by the next run. That race cannot be closed, neither side can be locked; it is as short as one step.

A lost answer is settled at once, so that its record need not wait for the next run. After :data:`ROUNDS` rounds a
record that keeps moving is *deferred*: shown as held, left to the next run, no failure of its step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from reconcile.errors import ConfigurationError, DeferredError, SideError
from reconcile.model.entities import Entity, Side, label_column
from reconcile.model.findings import Finding, Severity
from reconcile.model.journal import EntryStatus
from reconcile.model.plan import Action, Operation
from reconcile.model.snapshot import Snapshot
from reconcile.push.references import UnknownReferenceError
from reconcile.push.settle import Settled
from reconcile.push.steps import Attempt, Pusher, StepReport, report_of
from reconcile.sides.side import Progress, Readable, no_progress

ROUNDS = 3
_ENDINGS = frozenset({Action.VOID, Action.DELETE, Action.DEACTIVATE})

Records = Mapping[Side, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Moved:
    """What a last look found.

    Attributes:
        operations: ids of the operations (:attr:`Operation.op_id`) that must be decided again.
        news: ids of records that appeared on a side since it was read and that one of these operations may be about.
    """

    operations: frozenset[str]
    news: Records


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided again: operations of the step in their order, and what the comparison found."""

    operations: tuple[Operation, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Rounds:
    """How a step is told of what moves.

    Attributes:
        look: looks at both sides before the first write.
        decide: reads these records again, compares them with the base and decides.
        settle: finds out what came of writes without an answer.
    """

    look: Callable[[Entity, Sequence[Operation]], Moved]
    decide: Callable[[Entity, Records], Decided]
    settle: Callable[[], Sequence[Settled]]


def push_in_rounds(
    pusher: Pusher, step: Entity, findings: Sequence[Finding], rounds: Rounds, progress: Progress = no_progress
) -> tuple[StepReport, tuple[Finding, ...]]:
    """Carry out one step, deciding again what moved meanwhile; gives its report and what was found on the way.

    Args:
        pusher: carries out operations.
        step: which.
        findings: those of the run so far; one of severity *stop* makes the step fail (:meth:`Pusher.push`).
        rounds: the ways to look, to decide and to settle.
        progress: told how far it is.
    """
    return _Step(pusher, step, rounds).carry_out(findings, progress)


class _Step:
    """One step in progress: what came of its operations so far, and what was found."""

    def __init__(self, pusher: Pusher, step: Entity, rounds: Rounds) -> None:
        self.pusher = pusher
        self.step = step
        self.rounds = rounds
        self.attempts: list[Attempt] = []
        self.found: list[Finding] = []
        self.news: dict[Side, frozenset[str]] = {}

    def carry_out(self, findings: Sequence[Finding], progress: Progress) -> tuple[StepReport, tuple[Finding, ...]]:
        operations = self.pusher.planned(self.step)
        moved = self.rounds.look(self.step, operations)
        self.news = dict(moved.news)
        again = _with_companions(operations, moved.operations)
        still = [operation for operation in operations if operation.op_id not in again]
        self.attempts = [Attempt(one, "stale") for one in operations if one.op_id in again]
        self.attempts += self.pusher.carry_out(still, progress)
        for _ in range(ROUNDS):
            self._settle()
            stale = [attempt for attempt in self.attempts if attempt.status == "stale"]
            if not stale or self.pusher.halt is not None:
                break
            self._again(stale)
        self._settle()
        self._defer()
        report = report_of(self.step, self.attempts, [*findings, *self.found], self.pusher.halt)
        return report, tuple(self.found)

    def _settle(self) -> None:
        """Lost answers: found, or not there and to be decided again; what nobody can tell stays unknown."""
        if self.pusher.halt is not None or not any(attempt.status == "unknown" for attempt in self.attempts):
            return
        try:
            settled = {item.entry.op_id: item for item in self.rounds.settle()}
        except (SideError, ConfigurationError):
            return  # the side is out of reach: they stay unknown, and the next run finds out
        self.attempts = [_known(attempt, settled.get(attempt.operation.op_id)) for attempt in self.attempts]

    def _again(self, stale: Sequence[Attempt]) -> None:
        """One round: these records are read, compared and decided again, and what is decided is carried out."""
        records = {
            side: self.news.get(side, frozenset()) | frozenset(filter(None, (_id(one, side) for one in stale)))
            for side in Side
        }
        decided = self.rounds.decide(self.step, records)
        self.found += decided.findings
        before = {(self._record(one.operation), one.operation.side): one.operation for one in stale}
        going: list[Operation] = []
        put_off: list[Attempt] = []
        for operation in decided.operations:
            first = before.get((self._record(operation), operation.side))
            if operation.action.writes and not _as_foreseen(operation, first):
                put_off.append(Attempt(operation, "deferred", reason="It is something else now than was planned."))
            else:
                going.append(operation)
        done = self.pusher.carry_out(going)
        still = {self._record(attempt.operation) for attempt in (*done, *put_off)}
        withdrawn = [
            replace(attempt, status="withdrawn", reason="It was changed meanwhile; nothing is left to write.")
            for attempt in stale
            if self._record(attempt.operation) not in still
        ]
        self.attempts = [one for one in self.attempts if one.status != "stale"] + withdrawn + put_off + done

    def _record(self, operation: Operation) -> str:
        return self.pusher.references.canonical(self.step, operation.key)

    def _defer(self) -> None:
        self.attempts = [
            replace(attempt, status="deferred", reason=f"It kept changing, {ROUNDS} times in a row.")
            if attempt.status == "stale" and self.pusher.halt is None
            else attempt
            for attempt in self.attempts
        ]
        for attempt in self.attempts:
            if attempt.status == "deferred":
                self.pusher.defer(attempt.operation)
                self.found.append(_deferred(attempt))


def _with_companions(operations: Sequence[Operation], moved: Collection[str]) -> frozenset[str]:
    """These operations and all about one of their records, which are carried out in their order or decided anew.

    A record of a pair that comes apart may be linked with another one in the same step.
    """
    stale: set[str] = set()
    more = {*moved}
    while more:
        stale |= more
        theirs = {one for operation in operations if operation.op_id in stale for one in _ids(operation)}
        more = {one.op_id for one in operations if not theirs.isdisjoint(_ids(one))} - stale
    return frozenset(stale)


def _known(attempt: Attempt, settled: Settled | None) -> Attempt:
    if attempt.status != "unknown" or settled is None:
        return attempt
    if settled.status is EntryStatus.DONE:
        return Attempt(attempt.operation, "done", settled.record_id)
    if settled.status is EntryStatus.ABSENT:
        return Attempt(attempt.operation, "stale")
    if settled.status is EntryStatus.FAILED:
        return Attempt(attempt.operation, "failed", reason=settled.reason)
    return replace(attempt, reason=settled.evidence)


def _id(attempt: Attempt, side: Side) -> str | None:
    return attempt.operation.books_id if side is Side.BOOKS else attempt.operation.billing_id


def _as_foreseen(operation: Operation, first: Operation | None) -> bool:
    """Whether it ends nothing, and causes no mail and no charge of more than the plan held.

    Guards and caps have looked at the plan; what is decided again is not counted against them a second time.
    """
    if operation.action in _ENDINGS and (first is None or first.action is not operation.action):
        return False
    return operation.causes_more_than(first) is None


def _deferred(attempt: Attempt) -> Finding:
    operation = attempt.operation
    where = operation.side.product if operation.side is not None else "our memory"
    source = operation.side.other if operation.side is not None else None
    own = operation.billing_id if source is Side.BILLING else operation.books_id
    return Finding(
        check="deferred",
        severity=Severity.HOLD,
        entity=operation.step,
        side=source,
        record_id=own or operation.key,
        label=operation.label,
        amount=operation.amount,
        currency=operation.currency,
        sentence=(
            f"{operation.step.singular.capitalize()} {operation.label or operation.key} was not written to {where} "
            f"this time: {attempt.reason[:1].lower()}{attempt.reason[1:]}"
        ),
        remedy="Nothing: the next run reads it again and decides.",
        customer=operation.customer,
    )


def last_look(
    pusher: Pusher,
    sides: Mapping[Side, Readable],
    step: Entity,
    operations: Sequence[Operation],
    since: Mapping[Side, datetime],
) -> Moved:
    """Which operations are about a record that changed on either side since it was read, or that appeared since.

    One call per side, whatever the number of records: each side says what changed. A side that asks for patience is
    given up, as when it does so while it is written; the other side is still written. A search may lag behind (API file
    8); what it does not show yet is noticed by the version that the write names, or by the next run.

    Args:
        pusher: knows the versions as read, and as moved by its own writes.
        sides: both.
        step: whose operations these are.
        operations: all of the step.
        since: per side, the moment (its clock) from which changes are looked at.
    """
    if not any(operation.action.writes for operation in operations):
        return Moved(frozenset(), {})
    changed: dict[Side, Snapshot] = {}
    for side in Side:
        try:
            changed[side] = sides[side].changed([step], since[side])[step]
        except DeferredError as error:  # nothing is sent to it either; what the other side waits for needs it no more
            pusher.give_up(side, error)
    other = {side: _others(pusher, snapshot) for side, snapshot in changed.items()}
    moved = {
        operation.op_id
        for operation in operations
        if any(record_id in other.get(side, ()) for side, record_id in _ids(operation))
    }
    news: dict[Side, set[str]] = {side: set() for side in Side}
    creating = [operation for operation in operations if operation.action is Action.CREATE]
    for side, snapshot in changed.items():
        frame = snapshot.frame[snapshot.frame["id"].isin(other[side])]
        fresh = [row for row in frame.to_dict("records") if pusher.version(side, step, row["id"]) is None]
        for operation in creating if fresh else ():
            alike = {row["id"] for row in fresh if operation.side is side and _alike(pusher, operation, row)}
            if alike:
                moved.add(operation.op_id)
                news[side] |= alike
    return Moved(frozenset(moved), {side: frozenset(ids) for side, ids in news.items()})


def _others(pusher: Pusher, snapshot: Snapshot) -> set[str]:
    """Ids of records that are not as this run knows them."""
    versions = zip(snapshot.frame["id"], snapshot.frame["version"], strict=True)
    moved = {
        record_id
        for record_id, version in versions
        if pusher.version(snapshot.side, snapshot.entity, record_id) != version
    }
    return moved | snapshot.gone | snapshot.unreadable


def _ids(operation: Operation) -> list[tuple[Side, str]]:
    both = ((Side.BOOKS, operation.books_id), (Side.BILLING, operation.billing_id))
    return [(side, record_id) for side, record_id in both if record_id is not None]


def _alike(pusher: Pusher, operation: Operation, row: Mapping[Any, Any]) -> bool:
    """Whether a record that somebody made meanwhile may be the one that is about to be made."""
    if operation.step is Entity.PAYMENT:
        try:
            wanted = pusher.references.to_side(operation.side or Side.BOOKS, operation.step, operation.payload)
        except UnknownReferenceError:
            return False  # its customer is not there, so nobody can have recorded it
        return all(row[name] == wanted.get(name) for name in ("customer_id", "amount", "payment_date"))
    column = label_column(operation.step)
    return str(row[column]).casefold() == str(operation.payload.get(column)).casefold()
