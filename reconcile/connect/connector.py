"""Making and ending a connection: from the program's keys to stored tokens, and back to nothing."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from reconcile.config import CompanyConfig, Config
from reconcile.connect.consent import Consent, Grant
from reconcile.connections import open_vault, quickbooks_session, told
from reconcile.errors import ConfigurationError, GuardError, ReconcileError
from reconcile.model.entities import Side
from reconcile.sides.quickbooks import AuthorizationServer, Program, QuickBooksReader, Tokens
from reconcile.state import companies, lease
from reconcile.state.companies import KnownIdentity
from reconcile.state.database import open_state
from reconcile.state.tokens import TokenVault

CLIENT_ID_VARIABLE = "RECONCILE_CLIENT_ID"
CLIENT_SECRET_VARIABLE = "RECONCILE_CLIENT_SECRET"  # noqa: S105 - the name of a variable, not a secret
_LEASE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Keys:
    """The program's keys at Intuit."""

    client_id: str
    client_secret: str

    def __repr__(self) -> str:
        return "Keys(hidden)"


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection just made.

    Attributes:
        company: company key.
        realm_id: QuickBooks company.
        name: its name; empty when it could not be read yet. Hostile text.
        put_away: open writes to the company connected before, of which nobody will find out by themselves.
        problem: why QuickBooks could not be asked who it is; empty when it was.
    """

    company: str
    realm_id: str
    name: str
    put_away: int = 0
    problem: str = ""

    @property
    def sentence(self) -> str:
        """What was done, for the person who did it. Holds hostile text."""
        words = f"{self.company} is connected to QuickBooks company {self.name or self.realm_id} (id {self.realm_id})."
        if self.put_away:
            words += (
                f" {self.put_away} writes to the former company were never settled: look for them there. They are put "
                "away with everything else remembered of it."
            )
        if self.problem:
            words += f" It could not be asked who it is: {self.problem}"
        return words


class Connector:
    """Connects one company, step by step, so that a browser, a terminal or a test can do the step in the middle.

    Args:
        config: configuration.
        company: company key.
        keys: the program's keys; by default those stored with the company's last connection.
        because: why another QuickBooks company than before may be connected; empty when it may not.

    Raises:
        ConfigurationError: unknown company, no keys.
    """

    def __init__(self, config: Config, company: str, keys: Keys | None = None, *, because: str = "") -> None:
        self._config = config
        self._company = config.company(company)
        self._because = because.strip()
        self._engine = open_state(config.state_url)
        self._vault = open_vault(config, self._engine)
        chosen = keys or stored_keys(self._vault, company)
        if chosen is None:
            raise ConfigurationError(
                f"The program's keys at Intuit are needed to connect {company}: set {CLIENT_ID_VARIABLE} and "
                f'{CLIENT_SECRET_VARIABLE}, or give {{"client_id": ..., "client_secret": ...}} on standard input.'
            )
        self._keys = chosen
        program = Program(self._company.books.discovery_url, chosen.client_id, chosen.client_secret)
        self._authority = AuthorizationServer(program)

    def consent(self, redirect_uri: str) -> Consent:
        """A new attempt."""
        return Consent(self._company.key, redirect_uri)

    def address(self, consent: Consent) -> str:
        """The page on which a person allows the program in.

        Raises:
            UnreachableError, RefusedError: Intuit's addresses could not be read.
        """
        return self._authority.consent_address(consent.redirect_uri, consent.state)

    def finish(self, consent: Consent, grant: Grant) -> Connected:
        """Exchange the code and store what it gives, unless the company is another one than it should be.

        Raises:
            GuardError: another company than reconcile.toml names, or than was connected before; nothing was exchanged
                or stored.
            LeaseError: a run is at work on the company that would be replaced.
            RefusedError, UnreachableError: Intuit did not exchange the code.
        """
        company, realm = self._company, grant.realm_id
        before = companies.known_identity(self._engine, company.key, Side.BOOKS)
        stored = self._vault.load(company.key) or {}
        known = before.company_id if before is not None else stored.get("realm_id", "")
        replaces = bool(known) and known != realm
        _refuse_another(company, realm, known, before, self._because)
        tokens = self._authority.exchange(grant.code, consent.redirect_uri)
        shelved = self._put_away() if replaces else 0
        self._store(tokens, realm)
        try:
            reader = QuickBooksReader(quickbooks_session(self._config, company, self._engine))
            identity = reader.identity()
        except ReconcileError as error:
            return Connected(company.key, realm, "", shelved, str(error))
        companies.register(self._engine, company.key, identity, Side.BOOKS)
        return Connected(company.key, realm, identity.name, shelved)

    def _put_away(self) -> int:
        holder = f"{socket.gethostname()}:{os.getpid()}"
        held = lease.acquire(self._engine, self._company.key, holder, "connect", _LEASE)
        try:
            return companies.put_away(self._engine, self._company.key, Side.BOOKS)
        finally:
            held.release()

    def _store(self, tokens: Tokens, realm: str) -> None:
        with self._vault.lock(self._company.key):
            self._vault.store(
                self._company.key,
                {
                    "client_id": self._keys.client_id,
                    "client_secret": self._keys.client_secret,
                    **told(tokens),
                    "realm_id": realm,
                    "connected_at": datetime.now(UTC).isoformat(),
                    "because": self._because,
                },
            )

    def close(self) -> None:
        """Let go of the state."""
        self._engine.dispose()


def _refuse_another(company: CompanyConfig, realm: str, known: str, before: KnownIdentity | None, because: str) -> None:
    wanted = company.books.realm_id
    if wanted and realm != wanted:
        raise GuardError(
            f"On Intuit's page company {realm} was chosen, but reconcile.toml says that {company.key} is {wanted}. "
            "Nothing was stored. Connect again and choose the right company, or correct realm_id in reconcile.toml."
        )
    if known and known != realm and not because:
        name = f"{before.name!r} (id {known})" if before is not None else f"company {known}"
        raise GuardError(
            f"{company.key} was connected to {name}; on Intuit's page company {realm} was chosen. Nothing was stored. "
            "Connect again and choose the right company. If the other one is meant, say why with --other-company: then "
            "everything remembered of the former company is put away."
        )


def keys_of(given: Mapping[str, object]) -> Keys:
    """The program's keys from one JSON object.

    Raises:
        ConfigurationError: one is missing or no text; no value is shown.
    """
    values = [given.get(name) if isinstance(given, Mapping) else None for name in ("client_id", "client_secret")]
    if not all(isinstance(value, str) and value.strip() for value in values):
        raise ConfigurationError("The program's keys must be one JSON object with client_id and client_secret.")
    return Keys(*(str(value).strip() for value in values))


def keys_of_environment(environment: Mapping[str, str] = os.environ) -> Keys | None:
    """The program's keys from the environment, ``None`` when it names none.

    Raises:
        ConfigurationError: it names one of the two only.
    """
    names = (CLIENT_ID_VARIABLE, CLIENT_SECRET_VARIABLE)
    found = [environment.get(name, "").strip() for name in names]
    if not any(found):
        return None
    if not all(found):
        raise ConfigurationError(f"{names[found.index('')]} is not set, but the other key of the program is. Set both.")
    return Keys(*found)


def stored_keys(vault: TokenVault, company: str) -> Keys | None:
    """The program's keys as stored with the company's last connection."""
    stored = vault.load(company)
    return Keys(stored["client_id"], stored["client_secret"]) if stored else None


def has_stored_keys(config: Config, company: str) -> bool:
    """Whether a connection made before left the program's keys."""
    config.company(company)
    engine = open_state(config.state_url)
    try:
        return stored_keys(open_vault(config, engine), company) is not None
    finally:
        engine.dispose()


def disconnect(config: Config, company: str) -> str:
    """Revoke the connection at Intuit, then forget it here.

    Returns:
        What was done, in a sentence.

    Raises:
        ConfigurationError: the company is unknown.
        UnreachableError, RefusedError: Intuit could not be told; nothing was forgotten.
    """
    known = config.company(company)
    engine = open_state(config.state_url)
    try:
        vault = open_vault(config, engine)
        with vault.lock(company):
            stored = vault.load(company)
            if stored is None:
                return f"{company} is not connected to QuickBooks; there was nothing to do."
            program = Program(known.books.discovery_url, stored["client_id"], stored["client_secret"])
            knew = AuthorizationServer(program).revoke(stored["refresh_token"] or stored["access_token"])
            vault.forget(company)
    finally:
        engine.dispose()
    ended = "ended" if knew else "had been ended before"
    return f"The connection of {company} to QuickBooks {ended}; its credentials are deleted here."
