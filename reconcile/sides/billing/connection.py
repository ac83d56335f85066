"""Opening the ReliaBills database, and saying in a sentence why it cannot be used. A password is never shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError

from reconcile.errors import ConfigurationError, RefusedError, SideError, UnreachableError
from reconcile.sides.billing.tables import METADATA

CONNECT_SECONDS = 10
"""How long a database server has to answer the first time."""
LOCK_SECONDS = 30
"""How long to wait for another program to finish its write."""

_FORMS = "Give sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/DATABASE."


def parse_url(url: str) -> URL:
    """The address of a ReliaBills database.

    Raises:
        ConfigurationError: it is no address, or of a database that is neither SQLite nor PostgreSQL.
    """
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise ConfigurationError(f"The address of the ReliaBills database cannot be read. {_FORMS}") from None
    if backend == "postgresql" or parsed.drivername == "postgres":
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise ConfigurationError(f"The ReliaBills database cannot be a {backend} database. {_FORMS}")
    if not parsed.database or parsed.database == ":memory:":
        raise ConfigurationError(f"The address of the ReliaBills database names no file. {_FORMS}")
    return parsed


def place(url: URL) -> str:
    """Where a database is, for people: the file, or database and host; never user, password or options."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    host = url.host or url.query.get("host") or "localhost"
    return f"database {url.database} at {host}{f':{url.port}' if url.port else ''}"


def open_engine(url: URL, *, read_only: bool) -> Engine:
    """An engine whose transactions see one moment (readers) or one writer at a time (writers).

    A SQLite file is opened, never made. Parameters, which are the company's data, stay out of error texts.
    """
    if url.get_backend_name() == "sqlite":
        engine = create_engine(
            url.set(database=Path(str(url.database)).absolute().as_uri()).update_query_dict(
                {"mode": "rw", "uri": "true"}
            ),
            hide_parameters=True,
            connect_args={"timeout": LOCK_SECONDS},
        )
        event.listen(engine, "connect", _sqlite_reader if read_only else _sqlite_writer)
        event.listen(engine, "begin", _begin_deferred if read_only else _begin_immediate)
        return engine
    return create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,
        isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED",
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "options": f"-c lock_timeout={LOCK_SECONDS}s"
            + (" -c default_transaction_read_only=on" if read_only else ""),
        },
    )


def _sqlite_reader(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA query_only = ON")


def _sqlite_writer(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_deferred(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN DEFERRED")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def transaction(engine: Engine, url: URL) -> Iterator[Connection]:
    """A transaction in which every read sees the same moment.

    Raises:
        ConfigurationError: there is no such file or database, or it is not a ReliaBills database.
        UnreachableError: the server does not answer, or the file is locked.
        RefusedError: user, password or permission are refused.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except DBAPIError as error:
        raise explain(error, engine, url) from error


def explain(error: DBAPIError, engine: Engine, url: URL) -> ConfigurationError | SideError:
    """Why the database could not be used, as the exception that says what to do next."""
    if engine.dialect.name == "sqlite":
        return _explain_sqlite(error, url)
    return _explain_postgresql(error, engine, url)


def _explain_sqlite(error: DBAPIError, url: URL) -> ConfigurationError | SideError:
    said = str(error.orig)
    where = place(url)
    if "unable to open" in said:
        return ConfigurationError(f"There is no ReliaBills database at {where}. Check the path of the file.")
    if "not a database" in said or "malformed" in said:
        return ConfigurationError(f"The file {where} is not a readable database. Check its path, or restore it.")
    if "no such table" in said or "no such column" in said:
        return ConfigurationError(f"The file {where} is not a ReliaBills database as we know it: {said}.")
    if "locked" in said or "busy" in said:
        return UnreachableError(
            f"Another program has kept the ReliaBills database {where} locked for {LOCK_SECONDS} seconds. Try again."
        )
    return UnreachableError(f"The ReliaBills database {where} could not be read: {said}.")


_WRONG_LOGIN = ("28000", "28P01")
_LOGIN_WORDS = ("authentication failed", "no password supplied", 'role "', "pg_hba.conf")
"""A connection that fails has no SQL state in psycopg; the server's words tell."""
_NO_DATABASE = "3D000"
_NO_PERMISSION = "42501"
_NO_TABLE_OR_COLUMN = ("42P01", "42703")


def _explain_postgresql(error: DBAPIError, engine: Engine, url: URL) -> ConfigurationError | SideError:
    said = str(error.orig)
    state = getattr(error.orig, "sqlstate", None) or ""
    where = place(url)
    if state in _WRONG_LOGIN or any(words in said for words in _LOGIN_WORDS):
        return RefusedError(f"The server refused user and password for the ReliaBills {where}. Check both.")
    if state == _NO_DATABASE or ("database" in said and "does not exist" in said):
        return ConfigurationError(f"The server knows no ReliaBills {where}. Check the name at the end of the address.")
    if state == _NO_PERMISSION:
        return RefusedError(f"The user of the ReliaBills {where} may not do this. Ask for permission on its tables.")
    if state in _NO_TABLE_OR_COLUMN:
        with engine.connect() as connection:
            missing = sorted(set(METADATA.tables) - set(inspect(connection).get_table_names()))
        what = f"tables {', '.join(missing)} are missing" if missing else "a column is missing"
        return ConfigurationError(f"The {where} is not a ReliaBills database as we know it: {what}.")
    if isinstance(error, OperationalError | InterfaceError):
        return UnreachableError(f"The ReliaBills {where} does not answer. Check host and port, and that it runs.")
    return UnreachableError(f"The ReliaBills {where} could not be used (SQL state {state or 'unknown'}).")
