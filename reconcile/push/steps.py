"""Carrying out a plan, one push step at a time, with intent on disk before anything leaves (design: Writing).

For every chunk of writes to one side: references are resolved to that side's ids; intent is committed; the entries are
marked as sent under a check of the lease; the side writes; answers, links and base are committed together. A step in
which anything failed, was left unknown, or is stopped by a finding has failed
(:class:`~reconcile.errors.StepFailedError`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reconcile.errors import SideError, StepFailedError
from reconcile.model.entities import Entity, Side, field
from reconcile.model.findings import Finding, Severity
from reconcile.model.journal import AgreementUpdate, Answer, Entry, EntryStatus
from reconcile.model.plan import Action, EffectKind, Operation, Plan
from reconcile.model.rows import referred
from reconcile.model.runs import StepResult, StepStatus
from reconcile.push.agreement import agreement_after
from reconcile.push.references import References, UnknownReferenceError
from reconcile.sides.side import Outcome, Progress, Status, Writable, Write, no_progress
from reconcile.state.journal import Journal

_NO_FAILURE = frozenset({"done", "withdrawn", "deferred"})
"""A deferred record is held like any other that waits: its siblings and the later steps go on (design I11)."""
_STATUS = {
    Status.DONE: EntryStatus.DONE,
    Status.FAILED: EntryStatus.FAILED,
    Status.STALE: EntryStatus.STALE,
    Status.UNKNOWN: EntryStatus.UNKNOWN,
}


NOT_SENT = "not sent"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one operation.

    Attributes:
        operation: as planned.
        status: ``done``, ``failed``, ``stale``, ``unknown``, ``waiting`` (what it refers to does not exist yet),
            ``not sent`` (its side cannot be written now), ``withdrawn`` (its record had moved and was compared again:
            nothing is left to write) or ``deferred`` (its record kept moving, or it waits for one that did: the next
            run takes it up).
        record_id: id on the written side; ``None`` when nothing was written.
        reason: why it is not done, for a bookkeeper; may quote hostile text.
        differs: names of fields that the side stored otherwise than asked.
    """

    operation: Operation
    status: str
    record_id: str | None = None
    reason: str = ""
    differs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepReport:
    """A push step's result and everything behind it.

    ``halt`` is why a side cannot be written any longer; ``None`` when the step came to its end.
    """

    result: StepResult
    attempts: tuple[Attempt, ...]
    halt: SideError | None = None


class Pusher:
    """Carries out the steps of one plan against two writable sides."""

    def __init__(
        self,
        plan: Plan,
        sides: Mapping[Side, Writable],
        journal: Journal,
        references: References,
        versions: Mapping[tuple[Side, Entity], Mapping[str, str]],
    ) -> None:
        """``versions`` gives the version of each record as pulled, by side and entity; used to stamp new bases."""
        self._plan = plan
        self._sides = sides
        self._journal = journal
        self._references = references
        self._versions = {of: dict(known) for of, known in versions.items()}
        self._deferred: set[tuple[Entity, str]] = set()
        self._halted: dict[Side, SideError] = {}

    @property
    def references(self) -> References:
        """Keys and ids as they are now, those that this run made included."""
        return self._references

    @property
    def halt(self) -> SideError | None:
        """Why nothing more is sent to a side; ``None`` while both can be written."""
        return next(iter(self._halted.values()), None)

    def give_up(self, side: Side, because: SideError) -> None:
        """Send nothing more to this side; the other one is still written."""
        self._halted[side] = because

    def planned(self, step: Entity) -> Sequence[Operation]:
        """The operations of a step."""
        return self._plan.step(step)

    def version(self, side: Side, entity: Entity, record_id: str) -> str | None:
        """The version of a record as pulled, or as this run's own writes have moved it; ``None`` for one never seen."""
        return self._versions.get((side, entity), {}).get(record_id)

    def defer(self, operation: Operation) -> None:
        """What refers to this record waits for the next run, too."""
        self._deferred.add((operation.step, self._references.canonical(operation.step, operation.key)))

    def push(self, step: Entity, findings: Sequence[Finding] = (), progress: Progress = no_progress) -> StepReport:
        """Carry out one step of the plan, all of its good records, whatever happens to single ones.

        ``findings`` are those of the run: one of severity *stop* for this step's entity makes the step fail once its
        good records are across. The caller raises with :func:`insist` after it has recorded and shown the report.
        """
        return report_of(step, self.carry_out(self.planned(step), progress), findings, self.halt)

    def carry_out(self, operations: Sequence[Operation], progress: Progress = no_progress) -> list[Attempt]:
        """Carry out these operations of one step: our memory first, then side by side, in portions."""
        attempts = list(self._remember(operations))
        progress(len(attempts), len(operations))
        for side in Side:
            waiting = [operation for operation in operations if operation.side is side]
            for chunk in _chunks(waiting, self._sides[side].batch_size):
                if side in self._halted:
                    attempts.extend(Attempt(operation, NOT_SENT) for operation in chunk)
                else:
                    attempts.extend(self._write(side, chunk))
                progress(len(attempts), len(operations))
        return attempts

    def _remember(self, operations: Sequence[Operation]) -> Iterator[Attempt]:
        updates: list[tuple[Operation, AgreementUpdate]] = []
        for operation in operations:
            if operation.action is Action.FORGET:
                ended = operation.step, operation.books_id or "", operation.billing_id or ""
                self._journal.forget(*ended, because=operation.reason)
                self._references.forget(*ended)
                yield Attempt(operation, "done")
            elif not operation.action.writes:
                books_id, billing_id = _both_ids(operation, operation.books_id, operation.billing_id)
                self._references.learn(operation.step, books_id, billing_id)
                updates.append((operation, self._agreement(operation, books_id, billing_id)))
                yield Attempt(operation, "done")
        if updates:
            self._journal.remember(updates)

    def _write(self, side: Side, operations: Sequence[Operation]) -> Iterator[Attempt]:
        resolved: list[tuple[Operation, Mapping[str, Any]]] = []
        contexts: list[Mapping[str, Any]] = []
        for operation in operations:
            if operation.action is Action.CREATE and self._is_there(side, operation):
                yield Attempt(operation, "stale")
                continue
            try:
                fields = self._references.to_side(side, operation.step, operation.payload)
                context = self._references.to_side(side, operation.step, {**operation.agreed, **operation.payload})
            except UnknownReferenceError as error:
                status = "deferred" if self._waits_for_deferred(operation) else "waiting"
                yield Attempt(operation, status, reason=f"It waits: {error}.")
            else:
                resolved.append((operation, fields))
                contexts.append(context)
        if not resolved:
            return
        entries = self._journal.intend(resolved)
        writes = [
            Write(
                request_id=entry.request_id,
                entity=operation.step,
                action=operation.action,
                id=entry.target_id,
                version=operation.expected_version,
                fields=fields,
                context=context,
                mail=any(effect.kind is EffectKind.MAIL for effect in operation.effects),
            )
            for (operation, fields), context, entry in zip(resolved, contexts, entries, strict=True)
        ]
        self._journal.mark_sent(entries)
        outcomes = self._sides[side].write(writes)
        halt = next((outcome.halt for outcome in outcomes if outcome.halt is not None), None)
        if halt is not None:
            self._halted[side] = halt
        answers: list[Answer] = []
        attempts: list[Attempt] = []
        for (operation, _), entry, outcome in zip(resolved, entries, outcomes, strict=True):
            answer, attempt = self._answer(side, operation, entry, outcome)
            answers.append(answer)
            attempts.append(attempt)
        self._journal.answer(answers)
        yield from attempts

    def _is_there(self, side: Side, operation: Operation) -> bool:
        """Whether what is to be made has a counterpart already: whoever planned it did not know (design I1)."""
        own = operation.books_id if side is Side.BILLING else operation.billing_id
        return own is not None and self._references.linked(side.other, operation.step, own)

    def _waits_for_deferred(self, operation: Operation) -> bool:
        return any(
            (entity, self._references.canonical(entity, key)) in self._deferred
            for entity, key in referred(operation.step, {**operation.agreed, **operation.payload})
        )

    def _answer(self, side: Side, operation: Operation, entry: Entry, outcome: Outcome) -> tuple[Answer, Attempt]:
        answer = Answer(
            entry_id=entry.id,
            status=_STATUS[outcome.status],
            target_id=outcome.id,
            version_after=outcome.version,
            trace=outcome.trace,
            code=outcome.code,
            reason=outcome.reason,
            evidence="",
            agreement=None,
        )
        if outcome.status is not Status.DONE or outcome.id is None:
            put_off = outcome.halt is not None and outcome.status is Status.FAILED
            status = NOT_SENT if put_off else outcome.status.value
            return answer, Attempt(operation, status, outcome.id, outcome.reason)
        books_id, billing_id = _both_ids(
            operation,
            outcome.id if side is Side.BOOKS else operation.books_id,
            outcome.id if side is Side.BILLING else operation.billing_id,
        )
        self._references.learn(operation.step, books_id, billing_id)
        if outcome.version is not None:
            self._versions.setdefault((side, operation.step), {})[outcome.id] = outcome.version
        stored = self._references.from_side(side, operation.step, outcome.fields)
        update = self._agreement(operation, books_id, billing_id, stored=stored, written=(side, outcome.version))
        differs = tuple(sorted(set(update.unsettled) - set(operation.unsettled)))
        return replace(answer, agreement=update), Attempt(operation, "done", outcome.id, differs=differs)

    def _agreement(
        self,
        operation: Operation,
        books_id: str,
        billing_id: str,
        *,
        stored: Mapping[str, Any] | None = None,
        written: tuple[Side, str | None] | None = None,
    ) -> AgreementUpdate:
        versions = {
            Side.BOOKS: self._versions.get((Side.BOOKS, operation.step), {}).get(books_id),
            Side.BILLING: self._versions.get((Side.BILLING, operation.step), {}).get(billing_id),
        }
        if written is not None:
            versions[written[0]] = written[1]
        return agreement_after(
            self._references,
            operation.step,
            {Side.BOOKS: books_id, Side.BILLING: billing_id},
            versions,
            agreed=operation.agreed,
            unsettled=operation.unsettled,
            stored=stored,
        )


def report_of(
    step: Entity, attempts: Sequence[Attempt], findings: Sequence[Finding], halt: SideError | None = None
) -> StepReport:
    """What a step came to; ``halt`` is why a side could not be written any more."""
    return StepReport(_result(step, attempts, findings, halt), tuple(attempts), halt)


def stored_otherwise(attempts: Sequence[Attempt]) -> tuple[Finding, ...]:
    """A hold finding for each record that its side keeps otherwise than it was written: both sides do not agree yet."""
    return tuple(
        Finding(
            check="stored_otherwise",
            severity=Severity.HOLD,
            entity=attempt.operation.step,
            side=attempt.operation.side,
            record_id=attempt.record_id,
            label=attempt.operation.label,
            amount=attempt.operation.amount,
            currency=attempt.operation.currency,
            sentence=(
                f"{attempt.operation.step.singular.capitalize()} {attempt.operation.label or attempt.record_id} was "
                f"written to {attempt.operation.side.product}, which keeps its own {_titles(attempt)}."
            ),
            remedy="Nothing yet: the next run fills what was missing, or holds what differs and says how.",
            customer=attempt.operation.customer,
        )
        for attempt in attempts
        if attempt.differs and attempt.operation.side is not None and attempt.record_id is not None
    )


def _titles(attempt: Attempt) -> str:
    return ", ".join(field(attempt.operation.step, name).title for name in attempt.differs)


def _both_ids(operation: Operation, books_id: str | None, billing_id: str | None) -> tuple[str, str]:
    if books_id is None or billing_id is None:
        raise ValueError(f"{operation.action} of {operation.step} {operation.key} ends without an id on both sides")
    return books_id, billing_id


def _chunks(operations: Sequence[Operation], size: int) -> Iterator[Sequence[Operation]]:
    for start in range(0, len(operations), size):
        yield operations[start : start + size]


def _result(
    step: Entity, attempts: Sequence[Attempt], findings: Sequence[Finding], halt: SideError | None = None
) -> StepResult:
    stops = [finding for finding in findings if finding.entity is step and finding.severity is Severity.STOP]
    held = sum(finding.entity is step and finding.severity is Severity.HOLD for finding in findings)
    for_itself = _NO_FAILURE | ({NOT_SENT, "unknown"} if halt is not None else set())
    unfinished = [attempt for attempt in attempts if attempt.status not in for_itself]
    sentences = [f"{finding.sentence} {finding.remedy}" for finding in stops]
    sentences += [_sentence(attempt) for attempt in unfinished]
    if halt is not None:
        not_sent = sum(attempt.status == NOT_SENT for attempt in attempts)
        sentences = [str(halt), f"{_records(not_sent)} not sent.", *sentences]
    unsynced = StepStatus.BROKEN_OFF if halt is not None else StepStatus.FAILED
    return StepResult(
        step=step,
        status=unsynced if sentences else StepStatus.SYNCED,
        done=sum(attempt.status == "done" for attempt in attempts),
        failed=len(stops) + sum(attempt.status in {"failed", "stale", "waiting"} for attempt in attempts),
        held=held,
        unknown=sum(attempt.status == "unknown" for attempt in attempts),
        reason=" ".join(sentences),
    )


def _records(number: int) -> str:
    return f"{number} record was" if number == 1 else f"{number} records were"


def _sentence(attempt: Attempt) -> str:
    operation = attempt.operation
    where = operation.side.product if operation.side is not None else "our memory"
    record = f"{operation.step.singular} {operation.label!r}"
    if operation.customer and operation.step is not Entity.CUSTOMER:
        record += f" of {operation.customer!r}"
    if attempt.status == "unknown":
        return (
            f"No answer came when the {record} was written to {where} ({attempt.reason or 'the reply was lost'}); "
            "whether it arrived is found out before anything is written again."
        )
    if attempt.status == "stale":
        return f"The {record} was changed in {where} while this run was on its way; the next run compares it again."
    return f"The {record} could not be written to {where}: {attempt.reason}"


def insist(report: StepReport) -> None:
    """Raise when the step has failed, so that no later step starts.

    Raises:
        SideError: a side cannot be written any longer.
        StepFailedError: with the reasons, for a bookkeeper.
    """
    result = report.result
    if report.halt is not None:
        raise report.halt
    if result.status is not StepStatus.FAILED:
        return
    later = [entity.plural for entity in Entity if entity.step > result.step.step]
    waiting = f" Not started: {', '.join(later)}." if later else ""
    raise StepFailedError(
        f"Step {result.step.step} of 5, {result.step.plural}, failed. {result.reason} "
        f"{result.done} good {'record is' if result.done == 1 else 'records are'} across.{waiting}"
    )
