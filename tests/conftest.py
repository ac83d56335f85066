"""What all rooms' tests share: real databases, empty at the start of each test."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from pgserver.postgres_server import get_server

from reconcile.state.database import migrate
from reconcile.state.schema import Table

_NUMBERS = count(1)

settings.register_profile("the same histories each time", derandomize=True, deadline=None)
settings.register_profile("fresh histories", deadline=None, print_blob=True)
settings.load_profile("fresh histories" if os.environ.get("FRESH_HISTORIES") else "the same histories each time")
_EITHER = ["sqlite", "postgresql"]


def pytest_collection_finish() -> None:
    """Let the collector look no more at what stays, modules and the tests themselves, and seldom at what is old."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(700, 10, 100)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL for the whole session; its maintenance database."""
    folder = tempfile.mkdtemp(prefix="reconcile-pg-")  # short: a socket's path may have about a hundred characters
    server = get_server(folder, cleanup_mode="delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):  # no test cuts the machine's power
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    server.cleanup()


@pytest.fixture
def fresh_postgres_url(postgres_url: str) -> Iterator[str]:
    """A PostgreSQL database of the test's own, empty."""
    name = f"test_{next(_NUMBERS)}"
    _execute(postgres_url, f'CREATE DATABASE "{name}" TEMPLATE template0')
    yield postgres_url.replace("/postgres?", f"/{name}?", 1)
    _execute(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def _shared_postgres_url(postgres_url: str) -> str:
    """A migrated PostgreSQL state that tests use one after the other."""
    _execute(postgres_url, "CREATE DATABASE shared TEMPLATE template0")
    url = postgres_url.replace("/postgres?", "/shared?", 1)
    migrate(url)
    return url


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, the template of those that tests get."""
    path = tmp_path_factory.mktemp("sqlite") / "state.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def postgres_state_url(_shared_postgres_url: str) -> str:
    """A PostgreSQL state, migrated and empty. A test that changes its tables takes ``own_state_url`` instead."""
    others_end = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    children_first = [f'DELETE FROM "{table.name}"' for table in reversed(Table.metadata.sorted_tables)]
    _execute(_shared_postgres_url, "; ".join([others_end, *children_first]))
    return _shared_postgres_url


@pytest.fixture
def sqlite_state_url(tmp_path: Path, _migrated_sqlite: Path) -> str:
    """A SQLite state of the test's own, migrated and empty."""
    path = tmp_path / "state.db"
    shutil.copy(_migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=_EITHER)
def state_url(request: pytest.FixtureRequest) -> str:
    """A state, migrated and empty, on either database."""
    return _fixture(request, "sqlite_state_url" if request.param == "sqlite" else "postgres_state_url")


@pytest.fixture(params=_EITHER)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a state that has not been made yet, on either database."""
    return (
        f"sqlite:///{tmp_path / 'state.db'}" if request.param == "sqlite" else _fixture(request, "fresh_postgres_url")
    )


@pytest.fixture
def own_state_url(empty_url: str) -> str:
    """A state of the test's own, migrated and empty, on either database: its tables may be changed."""
    migrate(empty_url)
    return empty_url


def _fixture(request: pytest.FixtureRequest, name: str) -> str:
    url: str = request.getfixturevalue(name)
    return url


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://", 1), autocommit=True) as connection:
        connection.execute(statement)
