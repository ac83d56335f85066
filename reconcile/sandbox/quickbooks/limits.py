"""Intuit's limits per company: calls a second and a minute, concurrent ones, batches, reports, mails of a sandbox."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

_MINUTE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one company may be asked; 0 means without limit.

    Attributes:
        per_second: Calls in any second.
        per_minute: Calls in any minute.
        concurrent: Calls at the same time.
        batches_per_minute: Batch calls in any minute, of one program.
        company_batches_per_minute: Batch calls in any minute, of all programs together (here there is one).
        reports_per_minute: Reports in any minute.
        mails_per_day: Mails that leave on one day of the server's clock; Intuit bounds them for sandbox companies.
        reads_per_month: Reading calls in a calendar month, the quota of the entry developer plan.
    """

    per_second: int = 0
    per_minute: int = 0
    concurrent: int = 0
    batches_per_minute: int = 0
    company_batches_per_minute: int = 0
    reports_per_minute: int = 0
    mails_per_day: int = 0
    reads_per_month: int = 0


UNLIMITED: Final = Limits()
REAL: Final = Limits(
    per_second=10,
    per_minute=500,
    concurrent=10,
    batches_per_minute=40,
    company_batches_per_minute=120,
    reports_per_minute=200,
    mails_per_day=40,
)


class ThrottledError(Exception):
    """The call is over a limit."""


class MailsUsedUpError(Exception):
    """As many mails have left today as may."""


@dataclass(slots=True)
class _Window:
    span: float
    calls: deque[float] = field(default_factory=deque)

    def count(self, now: float) -> int:
        while self.calls and self.calls[0] <= now - self.span:
            self.calls.popleft()
        return len(self.calls)


class Meter:
    """Counts the calls of one company against its limits.

    Args:
        limits: The limits in force, asked for at each call.
        monotonic: A clock that never goes back, in seconds.
        today: The present day on the server's clock, ISO.
    """

    def __init__(
        self, limits: Callable[[], Limits], monotonic: Callable[[], float], today: Callable[[], str] = lambda: ""
    ) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._second = _Window(1.0)
        self._minute = _Window(_MINUTE)
        self._batches = _Window(_MINUTE)
        self._running = 0
        self._reports = _Window(_MINUTE)
        self._today = today
        self._reads: tuple[str, int] = ("", 0)
        self._mails: tuple[str, int] = ("", 0)

    @property
    def counts_concurrent_calls(self) -> bool:
        """Whether it matters how long a call takes."""
        return self._limits().concurrent > 0

    @contextmanager
    def call(
        self, *, batch: bool = False, report: bool = False, reads: bool = False, weight: int = 1
    ) -> Iterator[None]:
        """Count one call while it runs.

        Raises:
            ThrottledError: A limit is reached; the call is not counted.
        """
        limits = self._limits()
        if limits != UNLIMITED:
            self._admit(limits, batch=batch, report=report, reads=reads, weight=weight)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    @contextmanager
    def mail(self) -> Iterator[None]:
        """Count one mail, once it has left.

        Raises:
            MailsUsedUpError: The day's mails have left.
        """
        today = self._today()
        day, sent = self._mails
        sent = sent if day == today else 0
        allowed = self._limits().mails_per_day
        if allowed and sent >= allowed:
            raise MailsUsedUpError
        yield
        self._mails = (today, sent + 1)

    def _admit(self, limits: Limits, *, batch: bool, report: bool, reads: bool, weight: int) -> None:
        now = self._monotonic()
        month = self._today()[: len("2026-11")]
        if self._reads[0] != month:
            self._reads = (month, 0)
        batches, reports = self._batches.count(now) if batch else -1, self._reports.count(now) if report else -1
        over = (
            (limits.per_second and self._second.count(now) >= limits.per_second)
            or (limits.per_minute and self._minute.count(now) + weight > limits.per_minute)
            or (limits.concurrent and self._running >= limits.concurrent)
            or (limits.batches_per_minute and batches >= limits.batches_per_minute)
            or (limits.company_batches_per_minute and batches >= limits.company_batches_per_minute)
            or (limits.reports_per_minute and reports >= limits.reports_per_minute)
            or (reads and limits.reads_per_month and self._reads[1] >= limits.reads_per_month)
        )
        if over:
            raise ThrottledError
        self._second.calls.append(now)
        self._minute.calls.extend([now] * weight)
        if batch:
            self._batches.calls.append(now)
        if report:
            self._reports.calls.append(now)
        if reads:
            self._reads = (month, self._reads[1] + 1)
