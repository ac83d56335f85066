"""Credentials, sealed: what QuickBooks gave us is readable only with a key that is not in the database."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import Connection, Engine, delete, func, insert, select, text, update
from sqlalchemy.exc import OperationalError

from reconcile.errors import ConfigurationError
from reconcile.state.companies import remember_company
from reconcile.state.database import file_of, reading, writing
from reconcile.state.schema import TokenRow

KEY_VARIABLE = "RECONCILE_KEY"
LOCK_SECONDS = 60
_KEPT = 2
_STORING = 5_263_991_043  # any number, as long as every version of us uses the same


def make_key_file(path: Path) -> None:
    """Make a new key, readable by this user only.

    Raises:
        ConfigurationError: the file exists (a new key would not open what the old one sealed), or cannot be written.
    """
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(Fernet.generate_key() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise ConfigurationError(
            f"There is a key at {path} already, and stored credentials may be sealed with it; it is left as it is."
        ) from None
    except OSError as error:
        raise ConfigurationError(f"The key file {path} cannot be made: {error.strerror}.") from None


class TokenVault:
    """Sealed credentials per company, the newest and those before them.

    The key comes from the environment variable ``RECONCILE_KEY``, else from the key file. Several keys, one per line
    (in the variable separated by commas), may be given while one replaces another: the first seals, all open. They are
    read anew for each use, so that a process that was running before a key was replaced seals with the new one, too.
    """

    def __init__(self, engine: Engine, key_source: Path) -> None:
        """Read the key and make sure that it opens what is stored.

        Raises:
            ConfigurationError: no key, a key file others may read, no valid key, or another key than the one that
                sealed what is stored: nothing is ever sealed with a new key beside what an old one sealed.
        """
        self._engine = engine
        self._key_source = key_source
        _keys(key_source)
        with reading(engine) as connection:
            newest = connection.execute(
                select(TokenRow.company, TokenRow.sealed).order_by(TokenRow.id.desc()).limit(1)
            ).one_or_none()
        if newest is not None:
            self._opened(newest.company, newest.sealed)

    def __repr__(self) -> str:
        """Says nothing about what is inside."""
        return "TokenVault(sealed)"

    def store(self, company: str, tokens: Mapping[str, str]) -> None:
        """Keep these credentials as the newest, committed before it returns; those before them are kept, older ones go.

        Raises:
            TypeError: a name or a value is no text.
        """
        if not all(isinstance(item, str) for pair in tokens.items() for item in pair):
            raise TypeError("credentials are texts by name")
        content = json.dumps({"company": company, "tokens": dict(tokens)}).encode()
        with writing(self._engine) as connection:
            _one_at_a_time(connection)  # and the key is read only now: it may just be replaced
            sealed = _sealing(_keys(self._key_source)).encrypt(content).decode("ascii")
            remember_company(connection, company)
            connection.execute(insert(TokenRow).values(company=company, sealed=sealed, stored_at=datetime.now(UTC)))
            kept = select(TokenRow.id).where(TokenRow.company == company).order_by(TokenRow.id.desc()).limit(_KEPT)
            connection.execute(
                delete(TokenRow).where(TokenRow.company == company, TokenRow.id.not_in(kept.scalar_subquery()))
            )

    def load(self, company: str) -> dict[str, str] | None:
        """The newest credentials; ``None`` when none are stored.

        Raises:
            ConfigurationError: they were sealed with another key, for another company, or were damaged.
        """
        return self._load(company, 0)

    def load_previous(self, company: str) -> dict[str, str] | None:
        """The credentials before the newest, for a rotation whose answer was lost; ``None`` when there are none.

        Raises:
            ConfigurationError: as for :meth:`load`.
        """
        return self._load(company, 1)

    def forget(self, company: str) -> None:
        """Delete this company's credentials, the newest and those before them; does nothing when there are none."""
        with writing(self._engine) as connection:
            connection.execute(delete(TokenRow).where(TokenRow.company == company))

    def rotate_key(self) -> str:
        """Replace the key: everything stored is sealed with a new one, then the old one is dropped.

        Cut off at any point it can be run again, and until it has finished both keys open what is stored: the new key
        is put before the old one in the key file, each row is sealed again, and only when the new key alone opens
        every row does the old one leave the file. A key from the environment is the caller's to replace: with
        ``RECONCILE_KEY`` set to the new and the old one, separated by a comma, everything is sealed with the first.

        Returns:
            What was done, in a sentence.

        Raises:
            ConfigurationError: the environment gives one key only, or something stored cannot be opened.
        """
        given = os.environ.get(KEY_VARIABLE)
        keys = _keys(self._key_source)
        if given and len(keys) == 1:
            raise ConfigurationError(
                f"The key comes from {KEY_VARIABLE}: set it to the new key, a comma and the old key, and run this "
                "again. `reconcile key --show` prints a new key."
            )
        if len(keys) == 1:
            keys = [Fernet.generate_key().decode(), *keys]
            _write_key_file(self._key_source, keys)
        sealed = self._seal_again(keys)
        with writing(self._engine) as connection:
            _one_at_a_time(connection)  # nothing is stored between the last look and the end of the old key
            self._insist_on(connection, keys[0])
            if not given:
                _write_key_file(self._key_source, keys[:1])
        then = f" Now set {KEY_VARIABLE} to the new key alone." if given else " The old key is gone."
        return f"{sealed} stored credential{'' if sealed == 1 else 's'} sealed with the new key.{then}"

    def _seal_again(self, keys: Sequence[str]) -> int:
        """Seal every row with the first key, each in its own transaction; how many there were."""
        fernet = _sealing(keys)
        with reading(self._engine) as connection:
            ids = connection.execute(select(TokenRow.id)).scalars().all()
        for row_id in ids:
            with writing(self._engine) as connection:
                _one_at_a_time(connection)
                row = connection.execute(select(TokenRow.company, TokenRow.sealed).where(TokenRow.id == row_id)).first()
                if row is not None:
                    self._opened(row.company, row.sealed)
                    again = fernet.rotate(row.sealed).decode("ascii")
                    connection.execute(update(TokenRow).where(TokenRow.id == row_id).values(sealed=again))
        return len(ids)

    def _insist_on(self, connection: Connection, key: str) -> None:
        alone = Fernet(key)
        for company, sealed in connection.execute(select(TokenRow.company, TokenRow.sealed)):
            try:
                alone.decrypt(sealed)
            except InvalidToken:
                raise ConfigurationError(
                    f"Credentials of {company!r} were stored with the old key meanwhile; both keys stay. Run it again."
                ) from None

    @contextmanager
    def lock(self, company: str, wait_seconds: int = LOCK_SECONDS) -> Iterator[None]:
        """Held while credentials are exchanged: one process (and thread) per company at a time, others wait.

        The lock falls when its process dies. :meth:`load` and :meth:`store` work inside it; it is not re-entrant.

        Raises:
            ConfigurationError: another process has held it for as long as we were to wait.
        """
        name = hashlib.sha256(company.encode("utf-8", "surrogatepass")).hexdigest()
        path = file_of(self._engine)
        locked = (
            _postgresql_lock(self._engine, name, wait_seconds) if path is None else _file_lock(path, name, wait_seconds)
        )
        with locked:
            yield

    def _load(self, company: str, age: int) -> dict[str, str] | None:
        with reading(self._engine) as connection:
            sealed = connection.execute(
                select(TokenRow.sealed)
                .where(TokenRow.company == company)
                .order_by(TokenRow.id.desc())
                .offset(age)
                .limit(1)
            ).scalar_one_or_none()
        return None if sealed is None else self._opened(company, sealed)

    def _opened(self, company: str, sealed: str) -> dict[str, str]:
        try:
            content = json.loads(_sealing(_keys(self._key_source)).decrypt(sealed))
        except InvalidToken:
            raise ConfigurationError(
                f"The key does not open the stored credentials of {company!r}: they were sealed with another key, or "
                f"damaged. Give the right key ({KEY_VARIABLE} or the key file), or store the credentials again in a "
                "new state."
            ) from None
        if content["company"] != company:
            raise ConfigurationError(
                f"The credentials stored for {company!r} belong to another company; store them again."
            )
        tokens: dict[str, str] = content["tokens"]
        return tokens


def _sealing(keys: Sequence[str]) -> MultiFernet:
    """The first key seals, all open."""
    return MultiFernet([Fernet(key) for key in keys])


def _one_at_a_time(connection: Connection) -> None:
    """Nobody else stores credentials until this transaction ends; on SQLite every writer is alone anyhow."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_STORING)))


def _write_key_file(path: Path, keys: Sequence[str]) -> None:
    """Replace the key file in one step: a crash leaves the old one or the new one, never half of one."""
    beside = path.with_name(f"{path.name}.new")
    try:
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write("".join(f"{key}\n" for key in keys))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise ConfigurationError(f"The key file {path} cannot be replaced: {error.strerror}.") from None


def _keys(key_source: Path) -> list[str]:
    given = os.environ.get(KEY_VARIABLE)
    if given:
        where, texts = f"the environment variable {KEY_VARIABLE}", given.split(",")
    else:
        where, texts = f"the key file {key_source}", _key_file(key_source).split("\n")
    keys = [stripped for line in texts if (stripped := line.strip())]
    try:
        for key in keys:
            Fernet(key)
    except ValueError:
        keys = []
    if not keys:
        raise ConfigurationError(
            f"There is no valid key in {where}; a key is 44 characters, as `reconcile key` makes it."
        )
    return keys


def _key_file(path: Path) -> str:
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise ConfigurationError(f"Others may read the key file {path}; run `chmod 600 {path}` and start again.")
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        raise ConfigurationError(
            f"There is no key: set {KEY_VARIABLE}, put the key file at {path}, or make one with `reconcile key`."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The key file {path} cannot be read ({type(error).__name__}).") from None


@contextmanager
def _postgresql_lock(engine: Engine, name: str, wait_seconds: int) -> Iterator[None]:
    """A lock of the server on a number made of the name; a row lock would make :meth:`TokenVault.store` wait for us."""
    number = int(name[:15], 16)
    with engine.connect() as connection, connection.begin():
        connection.execute(text(f"SET LOCAL lock_timeout = '{int(wait_seconds)}s'"))
        try:
            connection.execute(select(func.pg_advisory_xact_lock(number)))
        except OperationalError as error:
            raise _busy(wait_seconds) from error
        yield


@contextmanager
def _file_lock(state: Path, name: str, wait_seconds: int) -> Iterator[None]:
    """A lock on an empty file beside the state; SQLite's own locking of it works alike on every system."""
    beside = state.with_name(f"{state.name}.{name[:16]}.lock")
    with closing(sqlite3.connect(beside, timeout=wait_seconds, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE").close()
        except sqlite3.OperationalError as error:
            raise _busy(wait_seconds) from error
        yield
        connection.execute("ROLLBACK").close()


def _busy(wait_seconds: int) -> ConfigurationError:
    return ConfigurationError(
        f"Another process has been exchanging this company's credentials for {wait_seconds} seconds; look at what it "
        "is doing, then start again."
    )
