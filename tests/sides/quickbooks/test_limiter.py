"""The limits of a company hold for all threads and processes of a host together."""

import multiprocessing
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from reconcile.errors import ConfigurationError
from reconcile.sides.quickbooks import HostLimiter, Limits
from reconcile.sides.quickbooks.limiter import RUNTIME_VARIABLE, runtime_folder

TIGHT = Limits(per_second=5, per_minute=14, batches_per_minute=2)


class Time:
    """A clock that moves only when somebody sleeps."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def granted(folder: Path) -> list[float]:
    with sqlite3.connect(folder / "quickbooks-calls.sqlite") as connection:
        return [at for (at,) in connection.execute("SELECT at FROM call ORDER BY at")]


def holds(moments: list[float], allowed: int, seconds: float) -> bool:
    return all(sum(start <= other < start + seconds for other in moments) <= allowed for start in moments)


def test_two_limiters_of_one_company_share_its_limits_and_a_neighbour_does_not(tmp_path: Path) -> None:
    time = Time()
    first, second, neighbour = (
        HostLimiter(company, TIGHT, folder=tmp_path, clock=time.clock, sleep=time.sleep)
        for company in ("craigs", "craigs", "neighbour")
    )
    moments = []
    for _ in range(14):
        for limiter in (first, second):
            limiter.take()
            moments.append(time.now)
    assert holds(moments, 5, 1.0)
    assert holds(moments, 14, 60.0)
    before = time.now
    neighbour.take()
    assert time.now == before


def test_batches_are_counted_among_all_and_apart(tmp_path: Path) -> None:
    time = Time()
    limiter = HostLimiter("craigs", TIGHT, folder=tmp_path, clock=time.clock, sleep=time.sleep)
    waits: list[str] = []
    for _ in range(3):
        limiter.take(batch=True, on_wait=lambda reason, _seconds: waits.append(reason))
    assert time.now == 1060.0
    assert waits == ["staying within QuickBooks' limit of calls"]


def test_a_clock_set_back_does_not_stop_anybody(tmp_path: Path) -> None:
    time = Time()
    limiter = HostLimiter("craigs", TIGHT, folder=tmp_path, clock=time.clock, sleep=time.sleep)
    for _ in range(14):
        limiter.take()
    time.now = 10.0
    limiter.take()
    assert time.now == 10.0


def take(folder: Path, times: int, barrier: Any) -> None:
    limiter = HostLimiter("craigs", TIGHT, folder=folder)
    barrier.wait(20)
    for _ in range(times):
        limiter.take()


def test_processes_that_call_at_once_stay_within_the_limits_together(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(3)
    workers = [context.Process(target=take, args=(tmp_path, 4, barrier)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    moments = granted(tmp_path)
    assert len(moments) == 12
    assert holds(moments, TIGHT.per_second, 1.0)


def test_a_first_call_waits_for_another_process_that_makes_the_file(tmp_path: Path) -> None:
    file = tmp_path / "quickbooks-calls.sqlite"
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        done = threading.Timer(0.3, lambda: other.execute("COMMIT"))
        done.start()
        HostLimiter("craigs", TIGHT, folder=tmp_path).take()
        done.join()
    assert len(granted(tmp_path)) == 1


def test_a_limiter_made_before_a_fork_works_in_the_child(tmp_path: Path) -> None:
    limiter = HostLimiter("craigs", TIGHT, folder=tmp_path)
    limiter.take()
    child = multiprocessing.get_context("fork").Process(target=limiter.take)
    child.start()
    child.join(20)
    assert child.exitcode == 0
    assert len(granted(tmp_path)) == 2


def test_a_damaged_count_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "quickbooks-calls.sqlite").write_bytes(b"no database, but long enough to be looked at" * 100)
    with pytest.raises(ConfigurationError, match="Delete that file"):
        HostLimiter("craigs", TIGHT, folder=tmp_path).take()


def test_the_folder_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUNTIME_VARIABLE, str(tmp_path / "named"))
    assert runtime_folder() == tmp_path / "named"
    monkeypatch.delenv(RUNTIME_VARIABLE)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert runtime_folder().stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv(RUNTIME_VARIABLE, "/dev/null/nowhere")
    with pytest.raises(ConfigurationError, match="RECONCILE_RUNTIME"):
        runtime_folder()


def test_the_default_limits_stay_below_intuits() -> None:
    limits = Limits()
    assert limits.per_second < 10
    assert limits.per_minute < 500
    assert limits.batches_per_minute <= 40
    assert limits.at_once < 10
