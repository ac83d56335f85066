"""Opening and migrating the state database: SQLite by default, PostgreSQL by URL."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, func, literal_column, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from reconcile.errors import ConfigurationError, StorageError
from reconcile.state.schema import Table

MIGRATE_COMMAND = "reconcile migrate"

_BUSY_SECONDS = 30  # how long a writer waits for another one before SQLite says "database is locked"
_AGAIN_SECONDS = 0.02
_CONNECT_SECONDS = 10
_PRIMARY_CODE = 0xFF  # the rest of SQLite's error codes says more of the same
_AT_ONCE = 5_000  # values bound in one query; both databases take at least 32,766
_WRITES = "reconcile_writes"
_MIGRATION_LOCK = 5_263_991_042  # any number, as long as every version of us uses the same
_POSTGRESQL = frozenset({"postgresql", "postgres", "postgresql+psycopg"})
_SQLITE = frozenset({"sqlite", "sqlite+pysqlite"})
_Item = TypeVar("_Item")


def open_state(url: str) -> Engine:
    """Open the state database and make sure that it is one, of this version.

    Args:
        url: ``sqlite:///path/to/state.db`` or ``postgresql://user:password@host:port/database``.

    Raises:
        ConfigurationError: wrong URL, unreachable or refusing database, missing folder, or a state of another version;
            one sentence with what to do, never with the password.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite" and not Path(str(parsed.database)).exists():
        raise ConfigurationError(f"There is no state at {_shown(parsed)} yet; run `{MIGRATE_COMMAND}` to make it.")
    engine = _engine(parsed)
    try:
        with _explaining(parsed), reading(engine) as connection:
            current = _revision(connection)
        _refuse_other_version(parsed, current)
    except ConfigurationError:
        engine.dispose()
        raise
    return engine


def check_whole(engine: Engine) -> None:
    """Make sure that a SQLite state is not damaged, before anything is written to it; PostgreSQL checks its own pages.

    Raises:
        ConfigurationError: it is damaged; what to do.
    """
    if engine.dialect.name != "sqlite":
        return
    with _explaining(engine.url), reading(engine) as connection:
        said = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one())
    if said != "ok":
        raise ConfigurationError(
            f"The state database {_shown(engine.url)} is damaged ({' '.join(said.split())}). Nothing was written. Put "
            "its newest copy in its place; whatever that copy does not know is recognised before anything is written."
        )


def migrate(url: str) -> str:
    """Bring the state database to the newest version, in one transaction; make it when there is none.

    Returns:
        A sentence that says what was done.

    Raises:
        ConfigurationError: as for :func:`open_state`; also for a state made by a newer version, which is left alone.
    """
    parsed = _parsed(url)
    engine = _engine(parsed)
    try:
        with _explaining(parsed), writing(engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            before = _revision(connection)
            _refuse_newer_version(parsed, before)
            config = _alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            after = _revision(connection)
    finally:
        engine.dispose()
    if before == after:
        return f"The state at {_shown(parsed)} is up to date (version {after})."
    if before is None:
        return f"Made the state at {_shown(parsed)}, version {after}."
    return f"Migrated the state at {_shown(parsed)} from version {before} to {after}."


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads."""
    with _in_words(engine), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes: commits when the block ends, rolls back when it raises.

    On SQLite it takes the write lock at once (``BEGIN IMMEDIATE``): a transaction that reads first and writes later
    would fail, without waiting, when another writer came between.
    """
    with _in_words(engine), engine.connect() as connection:
        connection = connection.execution_options(**{_WRITES: True})  # noqa: PLW2901  (the same connection, marked)
        with connection.begin():
            yield connection


def clock(connection: Connection) -> datetime:
    """Now, by the database's clock (UTC), which all hosts share; not the start of the transaction."""
    if connection.dialect.name == "postgresql":
        moment: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return moment.astimezone(UTC)
    text: str = connection.execute(select(literal_column("strftime('%Y-%m-%dT%H:%M:%f', 'now')"))).scalar_one()
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def upserting(connection: Connection, table: type[Table]) -> postgresql.Insert | sqlite.Insert:
    """An ``INSERT`` that can say ``ON CONFLICT``, as both databases understand it."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def chunks(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """Ids in portions that one query can bind."""
    remaining = iter(items)
    while some := list(islice(remaining, _AT_ONCE)):
        yield some


def file_of(engine: Engine) -> Path | None:
    """The file behind a SQLite state; ``None`` on PostgreSQL."""
    return Path(str(engine.url.database)).absolute() if engine.dialect.name == "sqlite" else None


def _parsed(url: str) -> URL:
    advice = "use sqlite:///path/to/state.db or postgresql://user:password@host:port/database"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigurationError(f"The address of the state database is not a database URL; {advice}.") from None
    if parsed.drivername in _SQLITE:
        return _sqlite(parsed)
    if parsed.drivername not in _POSTGRESQL:
        shown = parsed.drivername if parsed.drivername.isascii() and len(parsed.drivername) < 40 else "this kind"  # noqa: PLR2004  (longer is no driver name)
        raise ConfigurationError(f"The state cannot be kept in a database of kind {shown!r}; {advice}.")
    if url.count("@") > 1:
        raise ConfigurationError(
            "The address of the state database has more than one @; write special characters of the password "
            "percent-encoded (@ as %40, / as %2F, : as %3A)."
        )
    return parsed.set(drivername="postgresql+psycopg")


def _sqlite(parsed: URL) -> URL:
    if not parsed.database or parsed.database == ":memory:" or parsed.query:
        raise ConfigurationError(
            "The state must outlive the process, so a SQLite address names a plain file: use sqlite:///path/to/state.db."
        )
    folder = Path(parsed.database).absolute().parent
    if not folder.is_dir():
        raise ConfigurationError(
            f"The folder {folder} of the state database does not exist; make it or mend the address."
        )
    if Path(parsed.database).is_dir():
        raise ConfigurationError(f"{parsed.database} is a folder; name a file in it for the state database.")
    return parsed.set(drivername="sqlite+pysqlite")


def _shown(url: URL) -> str:
    """The address without user, password and options."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    where = url.host or "the local socket"
    return f"PostgreSQL database {url.database!r} at {where}{f':{url.port}' if url.port else ''}"


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, hide_parameters=True)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    return create_engine(
        url,
        connect_args={"connect_timeout": _CONNECT_SECONDS, "application_name": "reconcile"},
        pool_pre_ping=True,
        hide_parameters=True,
    )


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    if not isinstance(connection, sqlite3.Connection):
        raise TypeError(f"not a SQLite connection: {type(connection)}")
    connection.isolation_level = None  # the driver would begin transactions late and never around DDL
    _log_ahead(connection)
    for pragma in (
        f"busy_timeout = {_BUSY_SECONDS * 1000}",
        "foreign_keys = ON",
        "synchronous = FULL",  # intent is on disk before the request leaves, power cut or not
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Readers do not wait for the writer. SQLite does not wait when two processes switch a new file to this at once."""
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & _PRIMARY_CODE == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > until:
                raise
            time.sleep(_AGAIN_SECONDS)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _in_words(engine: Engine) -> Iterator[None]:
    """A database that fails under way, in words; what was not committed is rolled back.

    The next transaction finds out by itself whether the database is back: connections are tried before they are used.
    """
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        said = " ".join(str(error.orig).split()).rstrip(".")
        raise StorageError(
            f"The state database {_shown(engine.url)} could not be used any more: {_STORAGE.get(said, 'it failed')}. "
            "Nothing is sent without it; what was sent before is in the journal and is looked up when the next run "
            "starts. Mend that, then synchronize again."
        ) from error


_STORAGE = {
    "database or disk is full": "the disk is full",
    "disk I/O error": "its disk cannot be read or written",
    "attempt to write a readonly database": "it may be read only",
    "unable to open database file": "its file cannot be opened",
    "database is locked": "another program has kept it locked",
}
"""What SQLite says, in words. What a server says may quote its address, so it is not passed on."""


@contextmanager
def _explaining(url: URL) -> Iterator[None]:
    """Turn a database that cannot be used into one sentence; the cause is cut off, it may quote the address."""
    try:
        yield
    except (DatabaseError, StorageError) as error:
        failed = error.__cause__ if isinstance(error, StorageError) else error
        cause = " ".join(str(getattr(failed, "orig", failed)).split()).rstrip(".")
        for secret in filter(None, (url.password, url.query.get("password"))):
            cause = cause.replace(str(secret), "***")
        raise ConfigurationError(
            f"The state database {_shown(url)} cannot be used: {cause}. "
            "Check the address, that the database runs, and that this user may use it."
        ) from None


def _alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_alembic_config())


def _revision(connection: Connection) -> str | None:
    heads = MigrationContext.configure(connection).get_current_heads()
    return heads[0] if heads else None


def _refuse_newer_version(url: URL, current: str | None) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    if current is not None and current not in known:
        raise ConfigurationError(
            f"The state at {_shown(url)} was made by a newer version of reconcile (version {current!r}, this one knows "
            f"{_head()}); install the newer reconcile, then run `{MIGRATE_COMMAND}`."
        )


def _refuse_other_version(url: URL, current: str | None) -> None:
    _refuse_newer_version(url, current)
    if current != _head():
        has = "has not been set up" if current is None else f"has version {current}, this reconcile needs {_head()}"
        raise ConfigurationError(f"The state at {_shown(url)} {has}; run `{MIGRATE_COMMAND}` and start again.")


def _head() -> str:
    head = _scripts().get_current_head()
    if head is None:
        raise ConfigurationError("This installation of reconcile lacks its migrations; install it again.")
    return head
