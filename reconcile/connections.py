"""Connecting a company's two sides from its configuration and its stored credentials; where secrets are handled."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from reconcile.config import CompanyConfig, Config
from reconcile.errors import ConfigurationError, DisconnectedError
from reconcile.model.entities import Side
from reconcile.sides.billing import BillingReader, BillingWriter
from reconcile.sides.quickbooks import (
    Limits,
    QuickBooksConnection,
    QuickBooksReader,
    QuickBooksSession,
    QuickBooksWriter,
    Tokens,
    Waiting,
    shared_limiter,
    unnoticed,
)
from reconcile.sides.side import Readable, Writable
from reconcile.state.database import open_state
from reconcile.state.tokens import TokenVault

NEEDED = ("client_id", "client_secret", "access_token", "refresh_token")
_SECRET = frozenset({*NEEDED, "previous_refresh_token"})
_MOMENTS = ("access_expires_at", "refresh_expires_at", "connection_expires_at", "ended_at")


@dataclass(frozen=True, slots=True)
class VaultTokenStore:
    """A company's QuickBooks tokens, kept encrypted in the state database."""

    vault: TokenVault
    company: str

    def load(self) -> Tokens:
        """The newest tokens.

        Raises:
            DisconnectedError: none are stored for this company; also when it was disconnected just now.
        """
        return tokens_of(self._kept())

    def save(self, tokens: Tokens) -> None:
        """Keep these tokens, committed before it returns."""
        self.vault.store(self.company, {**self._kept(), **told(tokens)})

    def _kept(self) -> Mapping[str, str]:
        kept = self.vault.load(self.company)
        if kept is None:
            raise DisconnectedError(
                f"{self.company} is not (or no longer) connected to QuickBooks: it was disconnected. {self.reconnect}"
            )
        return kept

    @property
    def reconnect(self) -> str:
        """How to connect the company again."""
        return f"Connect it again: `reconcile connect {self.company}`."

    def lock(self) -> AbstractContextManager[object]:
        """Serialises refreshes across processes."""
        return self.vault.lock(self.company)


def open_vault(config: Config, engine: Engine) -> TokenVault:
    """The store of credentials, unlocked by the key file or the environment."""
    return TokenVault(engine, config.key_file)


def told(tokens: Tokens) -> dict[str, str]:
    """Tokens as the vault keeps them: texts by name."""
    moments = {name: getattr(tokens, name) for name in _MOMENTS}
    return {
        "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token,
        "previous_refresh_token": tokens.previous_refresh_token,
        **{name: moment.isoformat() if moment else "" for name, moment in moments.items()},
    }


def tokens_of(stored: Mapping[str, str]) -> Tokens:
    """Tokens as the vault kept them."""
    return Tokens(
        access_token=stored["access_token"],
        refresh_token=stored["refresh_token"],
        previous_refresh_token=stored.get("previous_refresh_token", ""),
        **{name: _moment(stored.get(name, "")) for name in _MOMENTS},
    )


def store_credentials(config: Config, company: str, given: Mapping[str, object]) -> None:
    """Store a company's QuickBooks credentials, encrypted.

    Raises:
        ConfigurationError: the company is unknown, or a credential is missing or no text. Names it, shows no value.
    """
    known = config.company(company)
    if not isinstance(given, Mapping):
        raise ConfigurationError("Credentials must be one JSON object.")
    kept: dict[str, str] = {}
    for name in NEEDED:
        value = given.get(name)
        if not isinstance(value, str) or not value:
            raise ConfigurationError(f"The credentials lack {name}, or it is not a text.")
        kept[name] = value
    kept["realm_id"] = known.books.realm_id or str(given.get("realm_id") or "")
    engine = open_state(config.state_url)
    try:
        open_vault(config, engine).store(company, kept)
    finally:
        engine.dispose()


def company_secrets(config: Config, company: str, engine: Engine) -> frozenset[str]:
    """Every text that must never stand in an artifact of this company's runs.

    Without the key nothing stored can be read, so nothing of it can have got into an artifact either.
    """
    try:
        vault = open_vault(config, engine)
        stored = [vault.load(company) or {}, vault.load_previous(company) or {}]
    except ConfigurationError:
        stored = []
    secret = {value for kept in stored for name, value in kept.items() if name in _SECRET}
    secret |= {
        b64encode(f"{kept['client_id']}:{kept['client_secret']}".encode()).decode()  # as HTTP basic authentication
        for kept in stored
        if {"client_id", "client_secret"} <= set(kept)
    }
    for url in (config.state_url, config.companies[company].billing.url):
        password = make_url(url).password
        if password:
            secret.add(str(password))
    if config.mail is not None:
        secret.add(config.mail.password)
    return frozenset(value for value in secret if value)


def connect_readers(
    config: Config, company: CompanyConfig, engine: Engine, on_wait: Waiting = unnoticed
) -> Mapping[Side, Readable]:
    """Both sides, for reading only: these objects have no write methods."""
    return {
        Side.BOOKS: QuickBooksReader(quickbooks_session(config, company, engine, on_wait)),
        Side.BILLING: BillingReader(company.billing.url, company.key, currency=company.currency),
    }


def connect_writers(
    config: Config, company: CompanyConfig, engine: Engine, on_wait: Waiting = unnoticed
) -> Mapping[Side, Writable]:
    """Both sides, for reading and writing."""
    session = quickbooks_session(config, company, engine, on_wait)
    return {
        Side.BOOKS: QuickBooksWriter(session, income_account=company.books.income_account),
        Side.BILLING: BillingWriter(company.billing.url, company.key, currency=company.currency),
    }


def quickbooks_session(
    config: Config, company: CompanyConfig, engine: Engine, on_wait: Waiting = unnoticed
) -> QuickBooksSession:
    """The connection to a company's QuickBooks, with what is stored of it; ``on_wait`` is told before every wait.

    Raises:
        ConfigurationError: nothing is stored, or it is for another company than reconcile.toml names.
    """
    vault = open_vault(config, engine)
    stored = _stored(vault, company.key)
    connection = QuickBooksConnection(
        base_url=company.books.base_url,
        discovery_url=company.books.discovery_url,
        realm_id=_realm(company, stored),
        client_id=stored["client_id"],
        client_secret=stored["client_secret"],
    )
    books = company.books
    limits = Limits(books.calls_per_second, books.calls_per_minute, books.batches_per_minute)
    limiter = shared_limiter(connection.base_url, connection.realm_id, limits)
    return QuickBooksSession(connection, VaultTokenStore(vault, company.key), limiter=limiter, on_wait=on_wait)


def _realm(company: CompanyConfig, stored: Mapping[str, str]) -> str:
    """The QuickBooks company that the stored connection is for.

    Raises:
        ConfigurationError: reconcile.toml names another one, or nobody names one.
    """
    wanted, connected = company.books.realm_id, stored.get("realm_id", "")
    if wanted and connected and wanted != connected:
        raise ConfigurationError(
            f"reconcile.toml says that {company.key} is QuickBooks company {wanted}, but company {connected} is "
            f"connected. Correct realm_id there, or connect the right one with `reconcile connect {company.key}`."
        )
    if not wanted and not connected:
        raise ConfigurationError(
            f"It is not known which QuickBooks company {company.key} is. Connect it with `reconcile connect "
            f"{company.key}`."
        )
    return wanted or connected


def _stored(vault: TokenVault, company: str) -> Mapping[str, str]:
    stored = vault.load(company)
    if stored is None:
        raise ConfigurationError(
            f"No QuickBooks credentials are stored for {company!r}. Connect it with `reconcile connect {company}`."
        )
    return stored


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
