"""A state that fails under way: nothing is sent without a committed intent, and what was sent is found (80 to 83)."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pgserver._commands import pg_ctl
from pgserver.postgres_server import PostgresServer, get_server
from sqlalchemy import Engine, event, text

from reconcile.errors import StorageError
from reconcile.model.entities import Entity
from reconcile.model.journal import EntryStatus
from reconcile.model.plan import Operation, Plan
from reconcile.push.steps import Pusher
from reconcile.state.database import migrate, open_state, writing
from tests.push.conftest import COMPANY, Office, creation


def customers(count: int) -> list[Operation]:
    return [
        creation(Entity.CUSTOMER, f"billing:{number}", f"Name {number}", display_name=f"Name {number}", active=True)
        for number in range(1, count + 1)
    ]


def on_every_connection(engine: Engine, pragma: str) -> None:
    """From now on this holds for the connections of the state."""

    def apply(connection: sqlite3.Connection, *_: Any) -> None:
        connection.execute(pragma).close()

    event.listen(engine, "checkout", apply)


def a_full_disk(engine: Engine) -> None:
    """SQLite itself says so, as it does when the file system has no room for one more page."""
    with writing(engine) as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
    on_every_connection(engine, f"PRAGMA max_page_count = {pages}")


@pytest.fixture
def desk(sqlite_state_url: str) -> Office:
    return Office(open_state(sqlite_state_url))


def test_a_full_disk_lets_nothing_leave_and_says_so(desk: Office) -> None:
    journal = desk.journal("run-1")
    pusher = Pusher(Plan(COMPANY, {}, tuple(customers(90))), desk.sides, journal, desk.references, {})
    a_full_disk(desk.engine)
    with pytest.raises(StorageError, match=r"the disk is full.*Nothing is sent without it"):
        pusher.push(Entity.CUSTOMER)
    intended = len(desk.entries())
    assert desk.books.writes <= intended < 90
    assert {entry.request_id for entry in desk.entries()} >= set(desk.books.asked)


def test_what_may_only_be_read_lets_nothing_leave_and_says_so(desk: Office) -> None:
    journal = desk.journal("run-1")
    pusher = Pusher(Plan(COMPANY, {}, tuple(customers(3))), desk.sides, journal, desk.references, {})
    on_every_connection(desk.engine, "PRAGMA query_only = ON")
    with pytest.raises(StorageError, match="it may be read only"):
        pusher.push(Entity.CUSTOMER)
    assert desk.books.asked == []


@pytest.mark.parametrize("verb", ["INSERT INTO journal", "UPDATE journal SET status", "INSERT INTO base"])
def test_a_database_lost_in_the_middle_of_a_transaction_leaves_it_undone_and_the_next_run_finds_out(
    office: Office, verb: str
) -> None:
    journal = office.journal("run-1")
    pusher = Pusher(Plan(COMPANY, {}, tuple(customers(2))), office.sides, journal, office.references, {})
    _cut_off_once(office.engine, verb)
    with pytest.raises(StorageError):
        pusher.push(Entity.CUSTOMER)
    sent = set(office.books.asked)
    assert sent <= {entry.request_id for entry in office.entries()}
    settled = office.settle()
    assert all(item.status is not EntryStatus.UNKNOWN for item in settled)
    rest = [each for each in customers(2) if not _linked(office, each)]
    if rest:
        office.push(*rest, run_id="run-3")
    assert sorted(office.books.census(Entity.CUSTOMER).frame["display_name"]) == ["Name 1", "Name 2"]
    assert len(office.links(Entity.CUSTOMER)) == 2


def _linked(office: Office, operation: Operation) -> bool:
    return any(billing_id == operation.billing_id for _, billing_id in office.links(Entity.CUSTOMER))


def _cut_off_once(engine: Engine, verb: str) -> None:
    """The connection dies right after the first statement that begins like this."""
    done: list[str] = []

    def cut(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if done or not statement.startswith(verb):
            return
        done.append(statement)
        if connection.dialect.name == "sqlite":
            raise sqlite3.OperationalError("disk I/O error")
        pid = connection.connection.driver_connection.info.backend_pid
        with engine.connect() as other:
            other.execute(text(f"SELECT pg_terminate_backend({pid})"))

    event.listen(engine, "after_cursor_execute", cut)


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL of the test's own, which it may stop."""
    folder = tempfile.mkdtemp(prefix="reconcile-pg-")
    made = get_server(folder, cleanup_mode=None)
    yield made
    made.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def test_while_the_database_is_down_nothing_leaves_and_it_goes_on_when_it_is_back(server: PostgresServer) -> None:
    url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    migrate(url)
    office = Office(open_state(url))
    pusher = Pusher(
        Plan(COMPANY, {}, tuple(customers(2))), office.sides, office.journal("run-1"), office.references, {}
    )
    _stop(server)
    for _ in range(3):
        with pytest.raises(StorageError, match="could not be used any more"):
            pusher.push(Entity.CUSTOMER)
    assert office.books.asked == []
    server.ensure_postgres_running()
    assert pusher.push(Entity.CUSTOMER).result.done == 2
    assert len(office.links(Entity.CUSTOMER)) == 2
    office.engine.dispose()


def _stop(server: PostgresServer) -> None:
    pg_ctl(["-w", "-m", "fast", "stop"], pgdata=server.pgdata, user=server.system_user)
    assert not Path(server.pgdata, "postmaster.pid").exists()
