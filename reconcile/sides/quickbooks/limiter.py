"""How often we may call: below Intuit's limits per company, whatever the number of threads (API file 6)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

Waiting = Callable[[str, float], None]
"""Called before every wait with the reason, in words, and the seconds."""


def unnoticed(_reason: str, _seconds: float) -> None:
    """A wait that nobody watches."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Calls allowed per company. The defaults stay below Intuit's 10 a second, 500 a minute and 40 batches a minute."""

    per_second: int = 8
    per_minute: int = 450
    batches_per_minute: int = 40


class Limiter:
    """Grants calls within :class:`Limits`, over sliding windows; shared by all threads of one company.

    Args:
        limits: what is allowed.
        clock: monotonic seconds.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        limits: Limits = Limits(),
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._windows = [_Window(limits.per_second, 1.0), _Window(limits.per_minute, 60.0)]
        self._batch_window = _Window(limits.batches_per_minute, 60.0)
        self._clock = clock
        self._sleep = sleep
        self._lock = Lock()

    def take(self, *, batch: bool = False, on_wait: Waiting = unnoticed) -> None:
        """Wait until one more call is allowed, and count it."""
        windows = [*self._windows, self._batch_window] if batch else self._windows
        while True:
            with self._lock:
                now = self._clock()
                wait = max(window.wait(now) for window in windows)
                if wait <= 0:
                    for window in windows:
                        window.count(now)
                    return
            if wait > 1:
                on_wait("staying within QuickBooks' limit of calls", wait)
            self._sleep(wait)


class _Window:
    """At most ``allowed`` calls in any ``seconds``."""

    def __init__(self, allowed: int, seconds: float) -> None:
        self._allowed = allowed
        self._seconds = seconds
        self._calls: deque[float] = deque()

    def wait(self, now: float) -> float:
        while self._calls and now - self._calls[0] >= self._seconds:
            self._calls.popleft()
        return self._calls[0] + self._seconds - now if len(self._calls) >= self._allowed else 0.0

    def count(self, now: float) -> None:
        self._calls.append(now)


_shared: dict[tuple[str, str], Limiter] = {}
_shared_lock = Lock()


def shared_limiter(base_url: str, realm_id: str) -> Limiter:
    """The one limiter of this process for a company."""
    with _shared_lock:
        return _shared.setdefault((base_url, realm_id), Limiter())
