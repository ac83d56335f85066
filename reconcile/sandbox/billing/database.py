"""Making and opening a ReliaBills database: a SQLite file by default, PostgreSQL by URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from reconcile.errors import ConfigurationError, UnreachableError
from reconcile.sandbox.billing.schema import Base, BillingSession, Settings


def database_url(path_or_url: str) -> URL:
    """The URL of a database: a URL as it is, anything else is the path of a SQLite file.

    Raises:
        ConfigurationError: neither a path nor the URL of a SQLite or PostgreSQL database.
    """
    if "://" not in path_or_url:
        return URL.create("sqlite", database=str(Path(path_or_url).absolute()))
    try:
        url = make_url(path_or_url)
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "The address of the ReliaBills database cannot be read. Give a file path, sqlite:///FILE or "
            "postgresql://USER:PASSWORD@HOST:PORT/DATABASE."
        ) from None
    backend = url.get_backend_name()
    if backend not in {"sqlite", "postgresql"}:
        raise ConfigurationError(f"ReliaBills can live in SQLite or PostgreSQL, not in {backend}.")
    return url.set(drivername="postgresql+psycopg") if backend == "postgresql" else url


def open_database(path_or_url: str) -> Engine:
    """An engine on a ReliaBills database; each transaction on SQLite takes the write lock at its start.

    Raises:
        ConfigurationError: the address cannot be read.
    """
    engine = create_engine(database_url(path_or_url), hide_parameters=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_immediately)
    return engine


def open_existing(path_or_url: str) -> Engine:
    """An engine on a database that was made before.

    Raises:
        ConfigurationError: the address cannot be read, or there is no ReliaBills database.
        UnreachableError: the database server does not answer, or refuses.
    """
    engine = open_database(path_or_url)
    file = engine.url.database if engine.dialect.name == "sqlite" else None
    if file is not None and not Path(file).is_file():
        raise ConfigurationError(
            f"There is no ReliaBills database at {file}. Make one with: reconcile sandbox billing."
        )
    try:
        with engine.connect() as connection:
            tables = inspect(connection).get_table_names()
    except DBAPIError as error:
        raise UnreachableError("The ReliaBills database does not answer, refuses, or is no database.") from error
    if missing := sorted(set(Base.metadata.tables) - set(tables)):
        raise ConfigurationError(f"That is not a ReliaBills database: the tables {', '.join(missing)} are missing.")
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA busy_timeout = 30000")


def _begin_immediately(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def create_database(
    path_or_url: str, *, company_id: str = "craigs", company_name: str = "", currency: str = "USD"
) -> Engine:
    """Make the tables of an empty company in a new database, and open it.

    Raises:
        ConfigurationError: the address cannot be read, its folder does not exist, or a database is there already.
        UnreachableError: the database server does not answer, or refuses.
    """
    engine = open_database(path_or_url)
    shown = engine.url.set(query={}).render_as_string(hide_password=True)
    try:
        connection = engine.connect()
    except OperationalError as error:
        if engine.dialect.name == "sqlite":
            raise ConfigurationError(f"No database can be made at {shown}: does its folder exist?") from error
        raise UnreachableError(f"The database server behind {shown} does not answer, or refuses.") from error
    with connection, connection.begin():
        if inspect(connection).get_table_names():
            raise ConfigurationError(f"There are tables in {shown} already. Choose a new place, or remove it first.")
        Base.metadata.create_all(connection)
    with transaction(engine) as session:
        session.add(
            Settings(
                company_id=company_id,
                company_name=company_name or company_id,
                currency=currency,
                send_invoices=False,
                next_invoice_number=100,
            )
        )
    return engine


@contextmanager
def transaction(engine: Engine) -> Iterator[BillingSession]:
    """A session whose work is committed at the end, or not at all.

    Raises:
        IntegrityError: the database itself refused, a number used twice for instance.
    """
    with BillingSession(engine, expire_on_commit=False) as session, session.begin():
        yield session
