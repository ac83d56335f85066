"""How often we may call: below Intuit's limits per company, whatever the number of threads and processes (API file 6).

Calls are counted in sliding windows. :class:`Limiter` counts those of one process; :class:`HostLimiter` those of all
processes of a host, in a small SQLite file of the user's runtime folder, so that a notebook and the nightly run of the
same company do not exceed together what each of them keeps.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock

from reconcile.errors import ConfigurationError

Waiting = Callable[[str, float], None]
"""Called before every wait with the reason, in words, and the seconds."""

RUNTIME_VARIABLE = "RECONCILE_RUNTIME"
_FILE = "quickbooks-calls.sqlite"
_BUSY_SECONDS = 30.0
_LONGEST = 60.0
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS call (company TEXT NOT NULL, at REAL NOT NULL, batch INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS call_at ON call (company, at)",
)


def unnoticed(_reason: str, _seconds: float) -> None:
    """A wait that nobody watches."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Calls allowed per company. The defaults stay below Intuit's 10 a second, 500 a minute and 40 batches a minute.

    Attributes:
        per_second, per_minute, batches_per_minute: calls in any second or minute; batches count among all.
        at_once: calls under way at the same time when one reader asks ahead; Intuit allows 10.
    """

    per_second: int = 8
    per_minute: int = 450
    batches_per_minute: int = 40
    at_once: int = 6


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
        self.limits = limits
        self._windows = [_Window(limits.per_second, 1.0), _Window(limits.per_minute, _LONGEST)]
        self._batch_window = _Window(limits.batches_per_minute, _LONGEST)
        self._clock = clock
        self._sleep = sleep
        self._lock = Lock()

    def take(self, *, batch: bool = False, on_wait: Waiting = unnoticed) -> None:
        """Wait until one more call is allowed, and count it.

        Raises:
            ConfigurationError: the calls of this host cannot be counted.
        """
        while (wait := self._admitted(batch=batch)) > 0:
            if wait > 1:
                on_wait("staying within QuickBooks' limit of calls", wait)
            self._sleep(wait)

    def _admitted(self, *, batch: bool) -> float:
        """Count a call and give 0, or the seconds until there may be room for one."""
        windows = [*self._windows, self._batch_window] if batch else self._windows
        with self._lock:
            now = self._clock()
            wait = max(window.wait(now) for window in windows)
            if wait <= 0:
                for window in windows:
                    window.count(now)
        return wait


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


class HostLimiter(Limiter):
    """Grants calls within :class:`Limits` to all threads and processes of this host that name the same company.

    Args:
        company: what is limited, any text; only its hash is kept.
        limits: what is allowed.
        folder: where the calls are counted; by default :func:`runtime_folder`.
        clock: seconds that all processes share; a clock that is set back forgets the calls "of the future".
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        company: str,
        limits: Limits = Limits(),
        *,
        folder: Path | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(limits, clock=clock, sleep=sleep)
        self._company = hashlib.sha256(company.encode("utf-8", "surrogatepass")).hexdigest()
        self._folder = folder
        self._process = 0
        self._connection: sqlite3.Connection | None = None

    def _admitted(self, *, batch: bool) -> float:
        limits = self.limits
        windows = [(limits.per_second, 1.0, 0), (limits.per_minute, _LONGEST, 0)]
        if batch:
            windows.append((limits.batches_per_minute, _LONGEST, 1))
        with self._lock:
            try:
                calls = self._calls()
                calls.execute("BEGIN IMMEDIATE")
                try:
                    return self._count(calls, windows, batch=batch)
                finally:
                    calls.execute("COMMIT")
            except sqlite3.Error as error:
                raise ConfigurationError(
                    f"The calls to QuickBooks cannot be counted in {self._path()} ({error}). Delete that file, or name "
                    f"a folder on this machine in {RUNTIME_VARIABLE}."
                ) from error

    def _count(self, calls: sqlite3.Connection, windows: list[tuple[int, float, int]], *, batch: bool) -> float:
        now = self._clock()
        calls.execute(
            "DELETE FROM call WHERE company = ? AND (at <= ? OR at > ?)", (self._company, now - _LONGEST, now)
        )
        wait = 0.0
        for allowed, seconds, only_batches in windows:
            row = calls.execute(
                "SELECT at FROM call WHERE company = ? AND at > ? AND batch >= ? ORDER BY at DESC LIMIT 1 OFFSET ?",
                (self._company, now - seconds, only_batches, allowed - 1),
            ).fetchone()
            if row is not None:
                wait = max(wait, row[0] + seconds - now)
        if wait <= 0:
            calls.execute("INSERT INTO call VALUES (?, ?, ?)", (self._company, now, int(batch)))
        return wait

    def _path(self) -> Path:
        return (self._folder or runtime_folder()) / _FILE

    def _calls(self) -> sqlite3.Connection:
        """This process's connection: one made before a fork must not be used after it.

        The file keeps SQLite's rollback journal: several processes that begin at the same moment would have to switch
        it to write-ahead logging, which fails at once, without waiting, while another one is at it.
        """
        if self._connection is None or self._process != os.getpid():
            made = sqlite3.connect(self._path(), timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            made.execute("PRAGMA synchronous = OFF").close()  # after a power cut nobody has called lately
            made.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                made.execute(statement)
            made.execute("COMMIT")
            self._connection, self._process = made, os.getpid()
        return self._connection


def runtime_folder() -> Path:
    """Where this user's processes of this host meet: ``RECONCILE_RUNTIME``, else the system's place for it.

    Raises:
        ConfigurationError: it cannot be made, or belongs to somebody else.
    """
    named, system = os.environ.get(RUNTIME_VARIABLE), os.environ.get("XDG_RUNTIME_DIR")
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    shared = Path(tempfile.gettempdir()) / f"reconcile-{user}"
    folder = Path(named) if named else Path(system) / "reconcile" if system else shared
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = folder.stat().st_uid
    except OSError as error:
        raise ConfigurationError(
            f"The folder {folder} cannot be used to count the calls to QuickBooks ({error.strerror}). Name another one "
            f"in {RUNTIME_VARIABLE}."
        ) from None
    if not named and hasattr(os, "getuid") and owner != os.getuid():
        raise ConfigurationError(
            f"The folder {folder} belongs to somebody else. Name another one in {RUNTIME_VARIABLE}."
        )
    return folder


@cache
def shared_limiter(base_url: str, realm_id: str, limits: Limits = Limits()) -> Limiter:
    """The limiter of this host for a company."""
    return HostLimiter(f"{base_url} {realm_id}", limits)
