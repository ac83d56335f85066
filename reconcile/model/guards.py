"""Guards and permissions: what stands in a run's way, and what a person has let pass, for which reason, how often."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from reconcile.model.entities import Entity

BECAUSE = "WHY"
"""Stands in a printed command where the reason goes. As a reason it counts as none."""


@dataclass(frozen=True, slots=True)
class GuardKind:
    """One kind of guard.

    Attributes:
        title: what it watches, in words.
        permit: whether a person may let it pass at all.
        per_record: whether a permission must name the record, so that nobody opens all of them at once.
        instead: what to do where no permission is possible.
    """

    title: str
    permit: bool = True
    per_record: bool = False
    instead: str = ""


GUARDS: dict[str, GuardKind] = {
    "emptied-side": GuardKind("a side gives no records at all where many are linked"),
    "shrunken-side": GuardKind("a side lacks more of its linked records than can be believed"),
    "many-endings": GuardKind("a plan voids, deletes or deactivates more than this company's history makes likely"),
    "many-price-changes": GuardKind("a plan changes more prices than this company's history makes likely"),
    "many-outside-effects": GuardKind("a plan causes more mails or charges than one run may"),
    "state-went-back": GuardKind("the state database is older than the evidence of its runs"),
    "protected:paid-invoice": GuardKind("an edit of an invoice that is fully paid", per_record=True),
    "protected:filed-tax": GuardKind("an edit of an invoice whose sales tax was filed", per_record=True),
    "protected:closed-books": GuardKind(
        "a document of a closed period",
        permit=False,
        instead="QuickBooks refuses it whoever asks: open the period there until the next run.",
    ),
    "protected:deposited-payment": GuardKind(
        "a payment that was deposited",
        permit=False,
        instead="QuickBooks refuses it whoever asks: take the payment off its deposit there.",
    ),
    "protected:processed-payment": GuardKind(
        "a payment that ReliaBills has taken from a card or account",
        permit=False,
        instead="Refund it in ReliaBills.",
    ),
    "stale-plan": GuardKind(
        "a plan whose sides were read too long ago",
        permit=False,
        instead="Read both sides again: start a new run.",
    ),
    "wrong-company": GuardKind(
        "another company answers behind a connection than the one the links were made with",
        permit=False,
        instead="Connect the right company again: `reconcile connect COMPANY`.",
    ),
}
"""Every guard by the name a person gives it; rooms that bring one of their own add a row here."""


@dataclass(frozen=True, slots=True)
class Guard:
    """A guard that stands in the way.

    Attributes:
        name: one of :data:`GUARDS`, as a person names it to go on.
        sentence: what is wrong, in words a bookkeeper understands. May quote hostile text.
        remedy: what to look at before going on.
        record: what exactly it is about (``books/customer``; a document: :func:`record_name`); empty for all of it.
        measure: how much of it there is, in whole units; a permission can let pass at most so much. ``None`` without.
    """

    name: str
    sentence: str
    remedy: str
    record: str = ""
    measure: int | None = None

    def message(self, company: str, run_id: str = "") -> str:
        """What a person reads: what is wrong, what to look at, and the one command that goes on all the same."""
        told = f"{self.sentence} {self.remedy}".rstrip()
        if not GUARDS[self.name].permit:
            return told
        return f"{told} If it is right all the same: `{self.command(company, run_id)}`"

    def command(self, company: str, run_id: str = "") -> str:
        """The command that lets exactly this pass, once."""
        words = ["reconcile", "permit", company, self.name]
        words += ["--record", self.record] if self.record else []
        words += ["--up-to", str(self.measure)] if self.measure is not None else []
        words += ["--seen-in", run_id] if run_id else []
        return f'{shlex.join(words)} --because "{BECAUSE}"'


@dataclass(frozen=True, slots=True)
class Permission:
    """What a person lets pass.

    Attributes:
        id: number of the permission.
        guard: one of :data:`GUARDS`.
        record: what it is limited to, as :attr:`Guard.record`; empty for whatever that guard is about.
        up_to: the largest measure that passes; ``None`` for any.
        because: the reason. Hostile text.
        who: the person. Hostile text.
        seen_in: id of the run whose message led to it; empty when unknown.
        standing: whether it passes every run until it expires, not one run only.
        given_at, expires_at: UTC.
        withdrawn_at: UTC; ``None`` while it holds.
        used_in: ids of the runs that went on because of it.
    """

    id: int
    guard: str
    record: str
    up_to: int | None
    because: str
    who: str
    seen_in: str
    standing: bool
    given_at: datetime
    expires_at: datetime
    withdrawn_at: datetime | None
    used_in: tuple[str, ...]

    def holds(self, now: datetime, run_id: str = "") -> bool:
        """Whether it may (still) be used at this moment, by this run."""
        spent = not self.standing and any(used != run_id for used in self.used_in)
        return self.withdrawn_at is None and not spent and now < self.expires_at

    def covers(self, guard: str, record: str = "", measure: int | None = None) -> bool:
        """Whether it lets this pass."""
        enough = self.up_to is None or (measure is not None and measure <= self.up_to)
        return self.guard == guard and self.record in ("", record) and enough


def covering(permissions: Iterable[Permission], guard: Guard) -> Permission | None:
    """The narrowest of these permissions that lets the guard pass; ``None`` when none does."""
    found = [one for one in permissions if one.covers(guard.name, guard.record, guard.measure)]
    return min(found, key=lambda one: (not one.record, one.up_to is None, one.standing, one.id), default=None)


def record_name(entity: Entity, key: str) -> str:
    """How a person names one record in a command: ``invoice:books:12``."""
    return f"{entity}:{key}"
