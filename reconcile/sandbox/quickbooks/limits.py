"""Intuit's limits: calls a second and a minute, concurrent calls, batches a minute, per company."""

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
        batches_per_minute: Batch calls in any minute.
        reads_per_month: Reading calls in a calendar month, the quota of the entry developer plan.
    """

    per_second: int = 0
    per_minute: int = 0
    concurrent: int = 0
    batches_per_minute: int = 0
    reads_per_month: int = 0


UNLIMITED: Final = Limits()
REAL: Final = Limits(per_second=10, per_minute=500, concurrent=10, batches_per_minute=40)


class ThrottledError(Exception):
    """The call is over a limit."""


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
        month: The present month on the server's clock.
    """

    def __init__(
        self, limits: Callable[[], Limits], monotonic: Callable[[], float], month: Callable[[], str] = lambda: ""
    ) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._second = _Window(1.0)
        self._minute = _Window(_MINUTE)
        self._batches = _Window(_MINUTE)
        self._running = 0
        self._month = month
        self._reads: tuple[str, int] = ("", 0)

    @property
    def counts_concurrent_calls(self) -> bool:
        """Whether it matters how long a call takes."""
        return self._limits().concurrent > 0

    @contextmanager
    def call(self, *, batch: bool = False, reads: bool = False, weight: int = 1) -> Iterator[None]:
        """Count one call while it runs.

        Raises:
            ThrottledError: A limit is reached; the call is not counted.
        """
        limits = self._limits()
        if limits != UNLIMITED:
            self._admit(limits, batch=batch, reads=reads, weight=weight)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    def _admit(self, limits: Limits, *, batch: bool, reads: bool, weight: int) -> None:
        now = self._monotonic()
        month = self._month()
        if self._reads[0] != month:
            self._reads = (month, 0)
        over = (
            (limits.per_second and self._second.count(now) >= limits.per_second)
            or (limits.per_minute and self._minute.count(now) + weight > limits.per_minute)
            or (limits.concurrent and self._running >= limits.concurrent)
            or (batch and limits.batches_per_minute and self._batches.count(now) >= limits.batches_per_minute)
            or (reads and limits.reads_per_month and self._reads[1] >= limits.reads_per_month)
        )
        if over:
            raise ThrottledError
        self._second.calls.append(now)
        self._minute.calls.extend([now] * weight)
        if batch:
            self._batches.calls.append(now)
        if reads:
            self._reads = (month, self._reads[1] + 1)
