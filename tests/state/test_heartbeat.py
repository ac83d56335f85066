"""Holding on to a company: renewed in the background, lost for good, checked before anything leaves (faults 14, 25)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import OperationalError

from reconcile.errors import LeaseError, StorageError
from reconcile.model.entities import Entity, Side
from reconcile.model.plan import Action
from reconcile.sides.memory import MemorySide
from reconcile.sides.side import Write
from reconcile.state.database import reading
from reconcile.state.heartbeat import FRESH, Heartbeat
from reconcile.state.lease import acquire
from tests.state.test_lease import let_run_out

SHORT = timedelta(seconds=1.5)
QUARTER = timedelta(minutes=15)


class Clock:
    """Time that a test lets pass."""

    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def expiry(engine: Engine) -> str:
    with reading(engine) as connection:
        return str(connection.execute(text("SELECT expires_at FROM lease")).scalar_one())


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def beats(engine: Engine) -> Callable[[], bool]:
    before = expiry(engine)
    return lambda: expiry(engine) != before


@pytest.fixture
def hiccups(engine: Engine) -> Iterator[list[int]]:
    """As many statements as the list says fail as if the database were away."""
    left = [0]

    def fail(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if left[0] and statement.startswith("UPDATE lease"):
            left[0] -= 1
            raise OperationalError(statement, {}, Exception("server closed the connection unexpectedly"))

    event.listen(engine, "before_cursor_execute", fail)
    yield left
    event.remove(engine, "before_cursor_execute", fail)


def test_a_company_is_held_on_to_while_something_takes_long_and_let_go_afterwards(engine: Engine) -> None:
    heart = Heartbeat(acquire(engine, "craigs", "host:1", "run-1", SHORT))
    with heart.beating():
        for _ in range(2):
            eventually(beats(engine))
        heart.insist()
    still = beats(engine)
    time.sleep(SHORT.total_seconds() / 5)
    assert not still()


def test_a_hiccup_of_the_database_does_not_end_the_holding(engine: Engine, hiccups: list[int]) -> None:
    heart = Heartbeat(acquire(engine, "craigs", "host:1", "run-1", SHORT))
    hiccups[0] = 2
    with heart.beating():
        eventually(lambda: hiccups[0] == 0)
        eventually(beats(engine))
        heart.insist()


def test_whoever_was_overtaken_in_the_background_sends_nothing_more(engine: Engine) -> None:
    heart = Heartbeat(acquire(engine, "craigs", "host:1", "run-1", SHORT), Clock())
    let_run_out(engine)
    acquire(engine, "craigs", "host:2", "run-2", QUARTER)
    with heart.beating():
        eventually(lambda: heart._lost is not None)
    for _ in range(2):
        with pytest.raises(LeaseError, match="run run-2 of host:2"):
            heart.insist()


def test_whoever_slept_asks_again_before_anything_leaves_and_writes_nothing_when_overtaken(engine: Engine) -> None:
    clock = Clock()
    heart = Heartbeat(acquire(engine, "craigs", "host:1", "run-1", QUARTER), clock)
    books = MemorySide(Side.BOOKS)
    books.before_writing(heart.insist)
    fields = {"display_name": "Amy"}
    write = Write("request-1", Entity.CUSTOMER, Action.CREATE, None, None, fields, fields)
    clock.seconds += 600
    let_run_out(engine)
    acquire(engine, "craigs", "host:2", "run-2", QUARTER)
    with pytest.raises(LeaseError):
        books.write([write])
    assert books.writes == 0


def test_a_check_is_trusted_for_seconds_only_and_a_state_that_cannot_be_asked_lets_nothing_leave(
    engine: Engine, hiccups: list[int]
) -> None:
    clock = Clock()
    heart = Heartbeat(acquire(engine, "craigs", "host:1", "run-1", QUARTER), clock)
    hiccups[0] = 1
    heart.insist()
    clock.seconds += FRESH + 1
    with pytest.raises(StorageError, match="Nothing is sent without it"):
        heart.insist()
    heart.insist()


def test_the_second_is_told_how_to_look_at_the_first(engine: Engine) -> None:
    acquire(engine, "craigs", "host:1", "run-1", QUARTER)
    with pytest.raises(LeaseError, match=r"since 20.* UTC\. Look at it with `reconcile show run-1`"):
        acquire(engine, "craigs", "host:2", "run-2", QUARTER)
