"""What all rooms' tests share: real databases, one fresh database per test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from pgserver.postgres_server import get_server

from reconcile.state.database import migrate

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL for the whole session; its maintenance database."""
    server = get_server(tmp_path_factory.mktemp("postgresql"))
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    server.cleanup()


@pytest.fixture(scope="session")
def _migrated_postgres(postgres_url: str) -> str:
    """Name of a migrated database, the template of those that tests get."""
    name = "template_of_states"
    migrate(_create_database(postgres_url, name))
    return name


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, the template of those that tests get."""
    path = tmp_path_factory.mktemp("sqlite") / "state.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def fresh_postgres_url(postgres_url: str) -> str:
    """A fresh, empty PostgreSQL database."""
    return _create_database(postgres_url, f"test_{next(_NUMBERS)}")


@pytest.fixture
def postgres_state_url(postgres_url: str, _migrated_postgres: str) -> str:
    """A fresh PostgreSQL state, migrated."""
    return _create_database(postgres_url, f"state_{next(_NUMBERS)}", template=_migrated_postgres)


@pytest.fixture
def sqlite_state_url(tmp_path: Path, _migrated_sqlite: Path) -> str:
    """A fresh SQLite state, migrated."""
    path = tmp_path / "state.db"
    shutil.copy(_migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def state_url(request: pytest.FixtureRequest) -> str:
    """A fresh state, migrated, on either database."""
    fixture = "sqlite_state_url" if request.param == "sqlite" else "postgres_state_url"
    url: str = request.getfixturevalue(fixture)
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a state that has not been made yet, on either database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state.db'}"
    url: str = request.getfixturevalue("fresh_postgres_url")
    return url


def _create_database(maintenance_url: str, name: str, template: str = "template0") -> str:
    plain = maintenance_url.replace("postgresql+psycopg://", "postgresql://", 1)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return maintenance_url.replace("/postgres?", f"/{name}?", 1)
