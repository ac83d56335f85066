"""Everything behind one address: the companies, the authorization server, the limits, the clock and the switches."""

import fcntl
import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from reconcile.sandbox.quickbooks import settings
from reconcile.sandbox.quickbooks.clock import Clock
from reconcile.sandbox.quickbooks.company import Company
from reconcile.sandbox.quickbooks.deliveries import Deliveries
from reconcile.sandbox.quickbooks.entities import RESOURCES
from reconcile.sandbox.quickbooks.generator import generate
from reconcile.sandbox.quickbooks.identity import Identity
from reconcile.sandbox.quickbooks.limits import UNLIMITED, Limits, Meter
from reconcile.sandbox.quickbooks.lists import merge
from reconcile.sandbox.quickbooks.oauth import Authority
from reconcile.sandbox.quickbooks.samples import Sample, load
from reconcile.sandbox.quickbooks.state import CompanyState
from reconcile.sandbox.quickbooks.store import Moment, Store
from reconcile.sandbox.quickbooks.switches import Switches
from reconcile.sandbox.quickbooks.webhooks import Event

_BEFORE_LONG_IDS: Final = 5_000_000_000_000_007_279


@dataclass(frozen=True, slots=True)
class Keys:
    """What a client needs to talk to one company."""

    realm_id: str
    client_id: str
    client_secret: str
    access_token: str
    refresh_token: str

    def __repr__(self) -> str:
        return f"Keys(realm_id={self.realm_id!r}, client_id={self.client_id!r}, secrets hidden)"


class StateFileError(Exception):
    """The file that is to keep everything cannot be used; why, and what to do."""


def new_realm() -> str:
    """A company id of the usual length."""
    return f"93414{secrets.randbelow(10**11):011d}"


class Server:
    """The QuickBooks of this machine.

    Args:
        client_id: The app; drawn when empty.
        client_secret: Its secret; drawn when empty.
        redirect_uris: Registered redirect addresses; any is taken when empty.
        state_file: SQLite file that keeps everything; nothing outlives the process when it is `None`.
        switches: Readings of the open points.
        limits: Limits per company.

    Raises:
        StateFileError: The file cannot be opened, is none of a local QuickBooks, or another one that runs keeps it:
            each holds its companies in memory, so one would overwrite what the other has saved.
    """

    def __init__(
        self,
        *,
        client_id: str = "",
        client_secret: str = "",
        redirect_uris: tuple[str, ...] = (),
        state_file: Path | None = None,
        switches: Switches | None = None,
        limits: Limits = UNLIMITED,
    ) -> None:
        self.clock = Clock()
        self.switches = switches or Switches()
        self.limits = limits
        self.visibility_seconds = 0.0
        self.latency_seconds = 0.0
        self.companies: dict[str, Company] = {}
        self.meters: dict[str, Meter] = {}
        self.moments: dict[tuple[str, str], Moment] = {}
        self.deliveries = Deliveries(self.clock, lambda: self.switches)
        self._state_file = state_file
        self._held = None if state_file is None else _held(state_file)
        try:
            self._notes = Store("", state_file)
        except sqlite3.DatabaseError as error:
            raise StateFileError(
                f"{state_file} is no file of a local QuickBooks ({error}). Name another one with --state."
            ) from error
        self._client_secret = client_secret or self._kept_secret("client_secret", lambda: secrets.token_urlsafe(30))
        self.authority = Authority(
            client_id or self._kept_secret("client_id", lambda: f"AB{secrets.token_urlsafe(36)}"),
            self._client_secret,
            self.clock,
            lambda: self.switches,
            redirect_uris,
            keep=lambda body: self._notes.note("oauth", body),
            identity=Identity(self._notes.noted("identity") or b"", keep=lambda pem: self._notes.note("identity", pem)),
        )
        kept = self._notes.noted("oauth")
        if kept is not None:
            self.authority.restore(kept)

    def _kept_secret(self, name: str, draw: Callable[[], str]) -> str:
        kept = self._notes.noted(name)
        if kept is not None:
            return kept.decode()
        value = draw()
        self._notes.note(name, value.encode())
        return value

    def kept_realms(self) -> list[str]:
        """Ids of the companies that the state file has."""
        return self._notes.realms()

    def add_company(self, realm: str, sample: Sample, invoices: int = 0) -> Keys:
        """Open a company: as the state file has it, else as the sample says; with tokens for it.

        Args:
            realm: Its id.
            sample: What it starts with.
            invoices: How many invoices a `generated` company has.
        """
        store = Store(realm, self._state_file)
        store.load()
        store.visible_from = self._visible_from
        if self.switches.class_ids_long:
            for name in ("Class", "Attachable"):
                store.start_sequence(name, _BEFORE_LONG_IDS)
        state = CompanyState(realm, store, self.clock, self.switches)
        if store.is_empty():
            load(state, "empty" if sample == "generated" else sample)
            if sample == "generated":
                generate(state, invoices)
        if self.switches.automated_sales_tax:
            settings.show_tax_engine(state)
        store.watchers.append(self.deliveries.watcher(realm))
        self.companies[realm] = Company(state)
        self.meters[realm] = Meter(lambda: self.limits, time.monotonic, lambda: self.clock.today().isoformat())
        access, refresh = self.authority.connection_of(realm) or self.authority.connect(realm)
        return Keys(realm, self.authority.client_id, self._client_secret, access, refresh)

    def _visible_from(self) -> float:
        return self.clock.now().timestamp() + self.visibility_seconds if self.visibility_seconds else 0.0

    def merge(self, realm: str, entity: str, gone: str, kept: str) -> None:
        """Merge a customer or vendor into another, and say so to the webhooks.

        Raises:
            FaultError: They cannot be merged.
        """
        state = self.companies[realm].state
        with state.store.transaction():
            merge(state, RESOURCES[entity], gone, kept)
        self.deliveries.announce([Event(realm, entity, kept, "Merge", state.now(), gone)])

    def keep(self, realm: str, name: str) -> None:
        """Remember everything that a company holds now, under a name."""
        self.moments[realm, name] = self.companies[realm].moment()

    def put_back(self, realm: str, name: str) -> None:
        """Make a company what it was when it was kept under a name; tokens, clock and limits stay as they are."""
        self.companies[realm].go_back(self.moments[realm, name])

    def set_switch(self, name: str, value: object) -> None:
        """Set one switch for every company.

        Raises:
            UnknownSwitchError: See `Switches.changed`.
        """
        self.switches = self.switches.changed(name, value)
        for company in self.companies.values():
            company.state.switches = self.switches
            if name == "automated_sales_tax":
                settings.show_tax_engine(company.state)

    def close(self) -> None:
        """Close the files."""
        for company in self.companies.values():
            company.state.store.close()
        self._notes.close()
        if self._held is not None:
            self._held.close()


def _held(path: Path) -> BinaryIO:
    """The file, kept from every other process until it is closed or this process ends, however it ends."""
    try:
        held = path.open("ab")
    except OSError as error:
        raise StateFileError(f"{path} cannot be opened ({error.strerror}). Name another file with --state.") from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        held.close()
        raise StateFileError(
            f"{path} is in use by another local QuickBooks. Stop that one, or name another file with --state."
        ) from error
    return held
