"""Notices: what is told to people who do not watch, each thing once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Notice:
    """One mail to be sent.

    Attributes:
        run_id: the run it is about.
        company: company key.
        about: what it tells of; a company is told of the same only once.
        subject: one line.
        body: plain text; may quote hostile text, control characters made visible.
    """

    run_id: str
    company: str
    about: str
    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class Posted:
    """A notice in the outbox.

    Attributes:
        id: its number.
        notice: what is to be sent.
        posted_at: when the verdict that it tells was committed, UTC.
        sent_at: when the mail server took it, UTC; ``None`` when it has not.
        tries: how often it was tried.
        problem: why the last try failed, in words; empty when it did not.
    """

    id: int
    notice: Notice
    posted_at: datetime
    sent_at: datetime | None
    tries: int
    problem: str
