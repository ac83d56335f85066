"""Resolutions: what a person decided about a record on which the sides do not agree, and what that person had seen.

A decision is about what was seen, never about what comes after: a record that has moved since in what was decided is
not touched by it, and the person decides anew.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from reconcile.model.entities import ROWS_COLUMN, Entity, Side, key_of

DELETED = {side: f"deleted_in_{side}" for side in Side}
"""Ways to decide where one side has deleted a record: it stays so, or it is entered again."""

DELETED_FOR_GOOD = {side: f"deleted_in_{side}_for_good" for side in Side}
"""The same where that side cannot have it again."""

RECORD = "record"
"""The claim on a record as a whole, beside those on its single fields."""


class Choice(StrEnum):
    """What a person can decide."""

    KEEP_BOOKS = "keep books"  # what QuickBooks holds goes to ReliaBills
    KEEP_BILLING = "keep billing"  # what ReliaBills holds goes to QuickBooks
    LINK = "link"  # these two are one record
    UNLINK = "unlink"  # these two are not; they are never matched again
    RELINK = "relink"  # the books record belongs to this billing record, whatever either was linked to
    IGNORE = "ignore"  # leave the record alone until a date

    @property
    def kept(self) -> Side | None:
        """The side whose values hold; ``None`` for decisions that are not about values."""
        return {Choice.KEEP_BOOKS: Side.BOOKS, Choice.KEEP_BILLING: Side.BILLING}.get(self)

    @classmethod
    def keep(cls, side: Side) -> Choice:
        """Keep what this side holds."""
        return cls.KEEP_BOOKS if side is Side.BOOKS else cls.KEEP_BILLING


class Status(StrEnum):
    """What became of a decision."""

    OPEN = "open"  # the next run applies it
    APPLIED = "applied"
    OUTDATED = "outdated"  # the record has moved since; decide anew
    WITHDRAWN = "withdrawn"
    OVER = "over"  # ignored until a date that has come


@dataclass(frozen=True, slots=True)
class Draft:
    """A decision about to be recorded.

    Attributes:
        entity: kind of record.
        choice: what was decided.
        books_id, billing_id: the record on each side; ``None`` where it is not there.
        label: what a person knows it by. Hostile text.
        fields: the fields decided on; empty for decisions about the whole record that are not about values, and where
            one side has deleted it.
        whole: everything that differed was decided on, so that whatever else differs later makes it outdated.
        seen: what was seen, as canonical JSON texts: per field under its name, and per record under its side's name
            (:mod:`reconcile.compare.resolving` makes them).
        because: the reason, in the person's words. Hostile text.
        until: for *ignore*: the company's date from which the record counts again.
    """

    entity: Entity
    choice: Choice
    books_id: str | None
    billing_id: str | None
    label: str
    fields: tuple[str, ...]
    whole: bool
    seen: Mapping[str, str]
    because: str
    until: date | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """``books:12`` and ``billing:7``, as far as there are such records."""
        ids = ((Side.BOOKS, self.books_id), (Side.BILLING, self.billing_id))
        return tuple(key_of(side, record_id) for side, record_id in ids if record_id is not None)

    @property
    def deleted_in(self) -> Side | None:
        """The side that had deleted the record when a person decided whether it stays so; else ``None``."""
        if self.choice.kept is None or self.fields:
            return None
        return next((side for side in Side if side not in self.seen), None)

    @property
    def parts(self) -> bool:
        """Whether the two are not one record from here on: people say so, or it is to be entered again."""
        gone = self.deleted_in
        return self.choice is Choice.UNLINK or (gone is not None and self.choice.kept is gone.other)

    @property
    def claims(self) -> tuple[tuple[str, str], ...]:
        """What nobody else may decide while this is open: record keys, each with a field or :data:`RECORD`."""
        fields = {name for name in self.seen if name not in list(Side)} if self.choice.kept is None else {*self.fields}
        aspects = [*sorted(fields), *([] if self.fields else [RECORD])]
        return tuple((key, aspect) for key in self.keys for aspect in aspects)


@dataclass(frozen=True, slots=True)
class Resolution:
    """A recorded decision.

    Attributes:
        id: number within the state database.
        draft: what was decided, on what.
        who: who decided. Hostile text.
        decided_at: UTC.
        status: what became of it.
        closed_at: when it was applied, found outdated, withdrawn or over; UTC.
        closed_because: in words, what closed it; may quote hostile text.
        run_id: the run that applies or has closed it.
    """

    id: int
    draft: Draft
    who: str
    decided_at: datetime
    status: Status = Status.OPEN
    closed_at: datetime | None = None
    closed_because: str = ""
    run_id: str | None = None

    @property
    def what(self) -> str:
        """``keep QuickBooks``, ``ignore until 2026-12-01``."""
        kept, gone = self.draft.choice.kept, self.draft.deleted_in
        what = f"keep {kept.product}" if kept is not None else self.draft.choice.value
        if gone is not None:
            what = (
                f"enter it again in {gone.product}" if self.draft.parts else f"end it in {gone.other.product} as well"
            )
        return what if self.draft.until is None else f"{what} until {self.draft.until.isoformat()}"

    @property
    def words(self) -> str:
        """``keep QuickBooks (Anna: the customer said so)``, to stand in a reason."""
        return f"{self.what} ({self.who}: {self.draft.because})"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to decide about a record.

    Attributes:
        words: what it does.
        command: for the command line; capitals are to be filled in.
        call: for the notebook that repairs.
    """

    words: str
    command: str
    call: str


def ways_to_decide(company: str, entity: str, key: str, ways: str) -> tuple[Way, ...]:
    """How a person decides about a record of the conflicts (:mod:`reconcile.compare.conflicts`).

    Args:
        company: company key.
        entity: kind of record.
        key: of the record.
        ways: what can be decided, comma-separated.
    """
    record = f"{entity}:{key}"
    start, reason = shlex.quote(company), '--because "WHY"'
    named = shlex.quote(record)
    other = f"{entity}:{Side(key.partition(':')[0]).other}:ID"
    both = (record, other) if key.startswith(Side.BOOKS) else (other, record)
    ended = "void it" if Entity(entity) in ROWS_COLUMN else "make it inactive"
    keeping = {side: f"reconcile resolve {start} {named} --keep {side} {reason}" for side in Side}
    calling = {side: f'repair.keep({record!r}, "{side}", because="WHY")' for side in Side}
    ending = {
        side: Way(f"the deletion is right: {ended} in {side.other.product}", keeping[side], calling[side])
        for side in Side
    }
    again = {side: Way(f"enter it again in {side.product}", keeping[side.other], calling[side.other]) for side in Side}
    known = {
        **{DELETED[side]: [ending[side], again[side]] for side in Side},
        **{DELETED_FOR_GOOD[side]: [ending[side]] for side in Side},
        "keep": [Way(f"keep what {side.product} has", keeping[side], calling[side]) for side in Side],
        "link": [
            Way(
                "they are one record",
                f"reconcile link {start} {shlex.quote(both[0])} {shlex.quote(both[1])} {reason}",
                f'repair.link({both[0]!r}, {both[1]!r}, because="WHY")',
            )
        ],
        "unlink": [
            Way(
                "they are not one record",
                f"reconcile unlink {start} {named} {reason}",
                f'repair.unlink({record!r}, because="WHY")',
            )
        ],
        "ignore": [
            Way(
                "leave it alone for now",
                f"reconcile ignore {start} {named} --until DATE {reason}",
                f'repair.ignore({record!r}, until="DATE", because="WHY")',
            )
        ],
    }
    return tuple(way for name in ways.split(",") for way in known.get(name, []))


class Standing(StrEnum):
    """What a comparison made of an open decision."""

    APPLIES = "applies"  # the plan does what was decided
    DONE = "done"  # it is so already
    BLOCKED = "blocked"  # it stands, but a rule keeps it from being carried
    UNREAD = "unread"  # the record was not read this time
    OUTDATED = "outdated"


@dataclass(frozen=True, slots=True)
class Applied:
    """One open decision and what a comparison made of it; ``sentence`` may quote hostile text."""

    resolution: Resolution
    standing: Standing
    sentence: str


@dataclass(frozen=True, slots=True)
class EndedLink:
    """A link that a decision ends. ``label`` is hostile text."""

    books_id: str
    billing_id: str
    label: str
    reason: str
