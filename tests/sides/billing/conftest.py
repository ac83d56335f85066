"""ReliaBills on either database with the sample company, and the side that reads and writes it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

from reconcile.sandbox.billing.database import create_database, open_existing
from reconcile.sandbox.billing.sample import load_sample
from reconcile.sides.billing import BillingWriter

TODAY = date(2026, 3, 10)
_NUMBERS = count(1)


@pytest.fixture(scope="session")
def _craigs_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("craigs") / "billing.db"
    engine = create_database(str(path), company_id="craigs", company_name="Craig's")
    load_sample(engine, "craigs", TODAY)
    engine.dispose()
    return path


@pytest.fixture
def craigs_url(tmp_path: Path, _craigs_file: Path) -> str:
    """The sample company in a SQLite file of the test's own."""
    shutil.copy(_craigs_file, tmp_path / "billing.db")
    return f"sqlite:///{tmp_path / 'billing.db'}"


@pytest.fixture(scope="session")
def _craigs_postgres(postgres_url: str) -> str:
    """Name of a PostgreSQL database with the sample company, the template of those that tests get."""
    name = "template_of_billing"
    engine = create_database(_postgres(postgres_url, name, "template0"), company_id="craigs", company_name="Craig's")
    load_sample(engine, "craigs", TODAY)
    engine.dispose()
    return name


@pytest.fixture
def craigs_postgres_url(postgres_url: str, _craigs_postgres: str) -> Iterator[str]:
    """The sample company in a PostgreSQL database of the test's own."""
    name = f"billing_{next(_NUMBERS)}"
    yield _postgres(postgres_url, name, _craigs_postgres)
    _maintain(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """The sample company on SQLite, and again on PostgreSQL."""
    found: str = request.getfixturevalue("craigs_url" if request.param == "sqlite" else "craigs_postgres_url")
    return found


def _postgres(maintenance_url: str, name: str, template: str) -> str:
    _maintain(maintenance_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
    return maintenance_url.replace("/postgres?", f"/{name}?", 1)


def _maintain(maintenance_url: str, statement: str) -> None:
    plain = maintenance_url.replace("postgresql+psycopg://", "postgresql://", 1)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(statement)


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """The sandbox's own way into the same database, for what people do there."""
    opened = open_existing(url)
    yield opened
    opened.dispose()


@pytest.fixture
def billing(url: str) -> Iterator[BillingWriter]:
    """The side."""
    side = BillingWriter(url, "craigs")
    yield side
    side.close()


@pytest.fixture
def opened() -> Iterator[Callable[[Any], Any]]:
    """Have a side or an engine closed at the end of the test: PostgreSQL waits for its guests."""
    guests: list[Any] = []

    def remember(guest: Any) -> Any:
        guests.append(guest)
        return guest

    yield remember
    for guest in guests:
        guest.dispose() if isinstance(guest, Engine) else guest.close()
