"""Settling what an earlier run left open, before anything is planned (design I3: an unknown is resolved first).

An entry that was never marked as sent did not leave. For the others the side is asked, rung by rung, until one of them
tells; each rung that was taken stands in the entry's evidence:

1. by request id, where the side remembers requests: a definite answer both ways;
2. by our own key on the record (:func:`~reconcile.sides.side.mark_of`), whatever people changed on it since;
3. by number or name, or by customer, amount and date: a record that holds what was to be written, that is no other
   record's counterpart and bears no other request's mark;
4. by repeating the request, as long as the side is known to answer that with its first answer.

A change is looked up by its record's version and content instead of 2 to 4.

The outcome is *found* (adopted: link and base follow), *proven absent* (the next plan may do it again), *refused*
or *ask a person*. Finding nothing is a proof only once nothing can be hidden or under way any more
(:attr:`~reconcile.sides.side.RequestMemory.lags`): a search may lag behind what was written.

A repetition that is refused shows that the first one had not happened yet. It may be under way still, and be carried
out once what stood in the way is mended; then a new request would be a second one. So a refusal settles the entry at
once only where the request is refused for its content, whenever it arrives. Any other refusal is remembered: when
nothing can be under way any more and nothing is there, the entry has failed with the words of that refusal, and not
absent, because the side might answer the same request with the same refusal again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from reconcile.model.entities import FIELDS, ROW_FIELDS, ROWS_COLUMN, Entity, Kind, Side, side_and_id
from reconcile.model.findings import Finding, Severity
from reconcile.model.journal import AgreementUpdate, Answer, Entry, EntryStatus
from reconcile.model.plan import Action
from reconcile.model.rows import rows_text
from reconcile.model.runs import CENTRAL
from reconcile.model.snapshot import Snapshot
from reconcile.push.agreement import agreement_after
from reconcile.push.references import References, UnknownReferenceError
from reconcile.sides.side import Outcome, Refusal, Status, Writable, Write, mark_of
from reconcile.state.journal import Journal


@dataclass(frozen=True, slots=True)
class Settled:
    """How one open entry was resolved.

    Attributes:
        entry: as it was found.
        status: done, absent, failed, or unknown when it is too early to tell or a person must decide.
        evidence: what was asked and seen, in words.
        record_id: id on the written side, when it was found there.
        reason: why the side refused it; hostile text.
        until: of an unknown that a run settles by itself from then on (UTC); ``None`` when a person must decide.
    """

    entry: Entry
    status: EntryStatus
    evidence: str
    record_id: str | None = None
    reason: str = ""
    until: datetime | None = None

    @property
    def remedy(self) -> str:
        """What a person has to do about an unknown."""
        product = self.entry.side.product
        if self.until is None:
            return f"Look for it in {product}; remove what is double, then synchronize again."
        by_itself = f"a run after {self.until.astimezone(CENTRAL):%H:%M} Central finds out by itself"
        if self.reason:
            return f"Mend what {product} does not accept; {by_itself} whether the first one still arrived."
        return f"Nothing: {by_itself}."


def settle(journal: Journal, sides: Mapping[Side, Writable], references: References) -> tuple[Settled, ...]:
    """Resolve every open entry of the company that can be resolved; commit each resolution with its evidence.

    Raises:
        SideError: a side cannot be asked; what was not resolved stays open.
        LeaseError: the lease has been taken over.
    """
    now = journal.now()
    return tuple(
        _Settling(journal, sides[entry.side], references, entry, now).settled() for entry in journal.open_entries()
    )


def unresolved_findings(settled: Sequence[Settled]) -> tuple[Finding, ...]:
    """A hold finding for each record that only a person can resolve: it must not be written again."""
    return tuple(
        Finding(
            check="unknown_outcome",
            severity=Severity.HOLD,
            entity=resolution.entry.step,
            side=side_and_id(resolution.entry.key)[0],
            record_id=side_and_id(resolution.entry.key)[1],
            label=str(resolution.entry.operation["label"]),
            amount=resolution.entry.operation["amount"],
            currency=str(resolution.entry.operation["currency"]),
            sentence=(
                f"An earlier write of this {resolution.entry.step.singular} to {resolution.entry.side.product} "
                f"got no answer, and it is not clear whether it happened: {resolution.evidence}."
            ),
            remedy=resolution.remedy,
            customer=str(resolution.entry.operation["customer"]),
        )
        for resolution in settled
        if resolution.status is EntryStatus.UNKNOWN
    )


@dataclass(slots=True)
class _Settling:
    """One open entry on its way down the ladder; ``rungs`` are those taken, in words."""

    journal: Journal
    side: Writable
    references: References
    entry: Entry
    now: datetime
    rungs: list[str] = field(default_factory=list)

    def settled(self) -> Settled:
        """Down the ladder until a rung tells, and its outcome committed."""
        if self.entry.status is EntryStatus.INTENT:
            return self._absent("it was never sent")
        if self.side.memory.asks:
            return self._asked()
        return self._created() if self.entry.action is Action.CREATE else self._changed()

    @property
    def _product(self) -> str:
        return self.side.side.product

    @property
    def _fresh(self) -> bool:
        """Whether what was sent may still be under way or hidden from searches."""
        return self._age < self.side.memory.lags

    @property
    def _age(self) -> timedelta:
        """Since the request was last about to leave, by the database's clock; one that ran backwards proves nothing."""
        return timedelta() if self.entry.sent_at is None else max(self.now - self.entry.sent_at, timedelta())

    @property
    def _remembered(self) -> bool:
        """Whether the side still knows its first answer: counted from the first time, which no repetition renews.

        A clock that ran backwards does not tell how long ago that was.
        """
        return timedelta() <= self.now - self.entry.intended_at < self.side.memory.repeats

    @property
    def _until(self) -> datetime:
        """From when on nothing can be hidden or under way any more."""
        return (self.entry.sent_at or self.now) + self.side.memory.lags

    # the rungs -------------------------------------------------------------------------------------------------------

    def _asked(self) -> Settled:
        answer = self.side.recall(self.entry.request_id)
        if answer is None:
            return self._absent(f"{self._product} was asked by request id and has not carried it out")
        self.rungs.append(f"{self._product} was asked by request id")
        return self._adopt_answer(answer)

    def _created(self) -> Settled:
        step, mark = self.entry.step, mark_of(self.entry.request_id)
        marks: dict[str, str] = {}
        if self.side.bears_marks(step):
            self.rungs.append(f"looked for our mark {mark} in {self._product}")
            marks |= self.side.marks(step, since=self.entry.intended_at)
            if mark not in marks.values():
                marks |= self.side.marks(step, ids=self._named(say=False))
            ours = sorted(record_id for record_id, other in marks.items() if other == mark)
            if len(ours) > 1:
                return self._ask(f"{len(ours)} records bear it ({', '.join(ours)})")
            if ours:
                return self._adopt_record(self.side.fetch(step, ours), ours[0])
        candidates = [
            record_id
            for record_id in self._named()
            if record_id not in marks and not self.references.linked(self.side.side, step, record_id)
        ]
        return self._by_content(candidates)

    def _named(self, *, say: bool = True) -> list[str]:
        if say:
            by = {Entity.INVOICE: "number", Entity.PAYMENT: "customer, amount and date"}.get(self.entry.step, "name")
            self.rungs.append(f"looked by {by} in {self._product}")
        return list(self.side.find(self.entry.step, self.entry.fields))

    def _by_content(self, candidates: Sequence[str]) -> Settled:
        """Found by what it holds, by repeating the request, or not at all.

        Where new records bear our mark, one without it is somebody else's, or the mark was wiped out: as long as ours
        may be hidden, it is not taken for ours.
        """
        hidden = self._fresh and self.side.bears_marks(self.entry.step)
        if candidates and not hidden:
            snapshot = self.side.fetch(self.entry.step, candidates)
            alike = [record_id for record_id in candidates if _holds(snapshot, record_id, self.entry)]
            if alike and len(candidates) > 1:
                return self._ask(f"{len(candidates)} records could be it ({', '.join(candidates)})")
            if alike:
                return self._adopt_record(snapshot, alike[0])
            return self._absent(f"not there; {', '.join(candidates)} is another one and is compared")
        if not self._fresh:
            return self._refused_for_now() if self.entry.code else self._absent("not there")
        if self._remembered:
            return self._repeated()
        return self._wait("not there, but it was sent too short a time ago for that to prove anything")

    def _repeated(self) -> Settled:
        """The same request again, which the side answers with its first answer."""
        entry, operation = self.entry, self.entry.operation
        try:
            context = self.references.to_side(entry.side, entry.step, {**operation["agreed"], **operation["payload"]})
        except UnknownReferenceError as error:
            return self._wait(f"not there, and it cannot be asked for again: {error}")
        self.journal.mark_sent([entry])
        write = Write(entry.request_id, entry.step, entry.action, None, None, entry.fields, context)
        (answer,) = self.side.write([write])
        self.rungs.append(f"not there yet; the same request was repeated {self._age.seconds} seconds after it was sent")
        self.entry = replace(entry, sent_at=self.now)
        if answer.status is Status.DONE:
            return self._adopt_answer(answer)
        if answer.refusal is Refusal.FOR_GOOD:
            return self._failed(answer.code, answer.reason, "it was refused for what it says, whenever it arrives")
        if answer.refusal is Refusal.FOR_NOW:
            words = f"it was refused ({answer.reason}), but the first one may still be under way"
            return self._committed(EntryStatus.UNKNOWN, words, refused=(answer.code, answer.reason), until=self._until)
        return self._wait(f"{self._product} did not tell ({answer.reason or answer.status})")

    def _refused_for_now(self) -> Settled:
        """Not there, and nothing can be under way: what was said when it was repeated is what came of it."""
        return self._failed(self.entry.code, self.entry.reason, "not there, and it was refused when it was repeated")

    def _changed(self) -> Settled:
        entry = self.entry
        if entry.target_id is None:
            raise ValueError(f"journal entry {entry.id} changes a record but names none")
        snapshot = self.side.fetch(entry.step, [entry.target_id])
        found = snapshot.frame[snapshot.frame["id"] == entry.target_id]
        which = f"{entry.target_id} in {self._product}"
        if found.empty:
            return self._absent(f"{which} no longer exists")
        if found["version"].iloc[0] == entry.expected_version:
            # should it still be under way, the version it names protects whatever is written until then
            return self._absent(f"{which} still has its old version")
        if _holds(snapshot, entry.target_id, entry):
            self.rungs.append(f"{which} holds what was written")
            return self._adopt_record(snapshot, entry.target_id)
        return self._absent(f"{which} was changed since and is compared again")

    # what came of it -------------------------------------------------------------------------------------------------

    def _absent(self, words: str) -> Settled:
        return self._committed(EntryStatus.ABSENT, words)

    def _failed(self, code: str, reason: str, words: str) -> Settled:
        return self._committed(EntryStatus.FAILED, words, refused=(code, reason))

    def _wait(self, words: str) -> Settled:
        """Nobody can tell yet; what was refused before stays known."""
        known = self.entry.code, self.entry.reason if self.entry.code else ""
        return self._committed(EntryStatus.UNKNOWN, words, refused=known, until=self._until)

    def _ask(self, words: str) -> Settled:
        return self._committed(EntryStatus.UNKNOWN, words)

    def _adopt_record(self, snapshot: Snapshot, record_id: str) -> Settled:
        version = snapshot.frame.loc[snapshot.frame["id"] == record_id, "version"].iloc[0]
        return self._adopt(record_id, version, record_values(snapshot, record_id))

    def _adopt_answer(self, answer: Outcome) -> Settled:
        """What the side held when it carried the request out: whatever changed since is a change like any other."""
        if answer.id is None:
            return self._ask("its answer names no record")
        return self._adopt(answer.id, answer.version, answer.fields, answer.trace)

    def _adopt(self, record_id: str, version: str | None, values: Mapping[str, Any], trace: str = "") -> Settled:
        entry, operation = self.entry, self.entry.operation
        ids = {Side.BOOKS: operation["books_id"], Side.BILLING: operation["billing_id"]} | {entry.side: record_id}
        other = self.references.counterpart(entry.side.other, entry.step, ids[entry.side.other])
        if other not in {None, record_id}:
            return self._ask(f"found as {record_id}, but {other} has become its counterpart meanwhile")
        if other is None and self.references.linked(entry.side, entry.step, record_id):
            return self._ask(f"found as {record_id}, which has become another record's counterpart meanwhile")
        self.references.learn(entry.step, ids[Side.BOOKS], ids[Side.BILLING])
        update = agreement_after(
            self.references,
            entry.step,
            ids,
            {entry.side: version},
            agreed=operation["agreed"],
            unsettled=operation["unsettled"],
            stored=self.references.from_side(entry.side, entry.step, values),
        )
        return self._committed(
            EntryStatus.DONE, f"found as {record_id}", record_id=record_id, version=version, update=update, trace=trace
        )

    def _committed(
        self,
        status: EntryStatus,
        words: str,
        *,
        record_id: str | None = None,
        version: str | None = None,
        update: AgreementUpdate | None = None,
        trace: str = "",
        refused: tuple[str, str] = ("", ""),
        until: datetime | None = None,
    ) -> Settled:
        evidence = ", ".join([*self.rungs, words])
        code, reason = refused
        self.journal.answer(
            [
                Answer(
                    entry_id=self.entry.id,
                    status=status,
                    target_id=record_id if record_id is not None else self.entry.target_id,
                    version_after=version,
                    trace=trace,
                    code=code,
                    reason=reason,
                    evidence=evidence,
                    agreement=update,
                )
            ]
        )
        return Settled(self.entry, status, evidence, record_id, reason, until)


def record_values(snapshot: Snapshot, record_id: str) -> dict[str, Any]:
    """One record of a snapshot as plain values: fields by name, child rows a list of dictionaries, missing None."""
    row = snapshot.frame[snapshot.frame["id"] == record_id].iloc[0]
    values = {field.name: _plain(row[field.name]) for field in FIELDS[snapshot.entity] if field.kind is not Kind.ROWS}
    column = ROWS_COLUMN.get(snapshot.entity)
    if column is not None:
        own = snapshot.rows[snapshot.rows["parent_id"] == record_id].sort_values("position")
        names = [field.name for field in ROW_FIELDS[snapshot.entity]]
        values[column] = [{name: _plain(item[name]) for name in names} for item in own.to_dict("records")]
    return values


def _plain(value: Any) -> Any:
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value


def _holds(snapshot: Snapshot, record_id: str, entry: Entry) -> bool:
    """Whether the record holds every compared field that was to be written (results the side computes are left out)."""
    if record_id not in set(snapshot.frame["id"]):
        return False
    stored = record_values(snapshot, record_id)
    column = ROWS_COLUMN.get(Entity(entry.step))
    for of in FIELDS[entry.step]:
        if not of.compared or not of.writable or of.name not in entry.fields:
            continue
        wanted, held = entry.fields[of.name], stored[of.name]
        if of.name == column:
            wanted, held = rows_text(entry.step, wanted or []), rows_text(entry.step, held or [])
        if wanted != held:
            return False
    return True
