"""Whole worlds: a local QuickBooks over HTTP, a ReliaBills database, a configuration; and a person at work in each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import Engine

from checks import engine
from reconcile.config import CONFIG_VARIABLE, Config, load_config
from reconcile.connections import store_credentials
from reconcile.demo.desk import BooksDesk
from reconcile.model.entities import Entity
from reconcile.model.runs import Run
from reconcile.sandbox.billing.database import create_database
from reconcile.sandbox.quickbooks.process import QuickBooksSandbox, running_quickbooks
from reconcile.session import Session
from reconcile.state import runs
from reconcile.state.database import migrate, open_state
from reconcile.state.tokens import make_key_file
from tests.checks.by_hand import carried_out_by_hand

COMPANY = "craigs"
TODAY = date(2026, 11, 22)
SECRETS = ("client_id", "client_secret", "access_token", "refresh_token")

CONFIGURATION = """\
state = "{state}"
runs = "runs"

[companies.craigs]
name = "Craig's Design and Landscaping Services"

[companies.craigs.books]
base_url = "{base_url}"
discovery_url = "{discovery_url}"
realm_id = "{realm_id}"
calls_per_second = 500
calls_per_minute = 20000
batches_per_minute = 20000

[companies.craigs.billing]
url = "sqlite:///billing.db"
"""


@dataclass
class World:
    """One company on both sides, and what the product knows of it."""

    root: Path
    quickbooks: QuickBooksSandbox
    books: BooksDesk
    billing: Engine
    config: Config
    sessions: list[Session] = field(default_factory=list)
    company: str = COMPANY

    def sync(self, *, apply: bool = True, mode: str = "census", plan: str = "") -> Run:
        """One interactive run from opening to tie-out, as an analyst would run the cells."""
        session = self.planned(apply=apply, mode=mode, plan=plan)
        for entity in Entity:
            session.push(entity)
        session.tie_out()
        return self.last_run()

    def planned(self, *, apply: bool = True, mode: str = "census", plan: str = "") -> Session:
        """A run that has come as far as its plan."""
        session = self.open(apply=apply, mode=mode, plan=plan)
        session.pull()
        session.compare()
        session.validate()
        session.make_plan()
        return session

    def open(self, *, apply: bool = True, mode: str = "census", plan: str = "") -> Session:
        """Open a run."""
        session = Session.open(company=self.company, apply=apply, mode=mode, plan_to_enforce=plan)
        self.sessions.append(session)
        return session

    def last_run(self) -> Run:
        """The newest run, as the state knows it."""
        engine = open_state(self.config.state_url)
        try:
            return runs.find(engine, self.company, limit=1)[0]
        finally:
            engine.dispose()

    def new_customer_in_books(self, name: str, **fields: Any) -> dict[str, Any]:
        """A customer that ReliaBills can hold."""
        return self.books.save(
            "Customer",
            DisplayName=name,
            GivenName="Accounts Payable",
            FamilyName=name,
            PrimaryEmailAddr={"Address": "payable@example.com"},
            **fields,
        )

    def new_product_in_books(self, name: str, price: str = "25") -> dict[str, Any]:
        """A service."""
        account = self.books.query("select * from Account where AccountType = 'Income'", "Account")[0]
        return self.books.save(
            "Item", Name=name, Type="Service", UnitPrice=price, IncomeAccountRef={"value": account["Id"]}
        )


def another_company(world: World, company: str) -> World:
    """A second company of the same configuration and state, with a QuickBooks and a ReliaBills of its own."""
    quickbooks = _new_company(world.quickbooks)
    path = world.root / "reconcile.toml"
    written = path.read_text(encoding="utf-8")
    section = written[written.index(f"[companies.{world.company}]") :]
    section = section.replace(f"[companies.{world.company}", f"[companies.{company}")
    section = section.replace(world.quickbooks.realm_id, quickbooks.realm_id).replace("billing.db", f"{company}.db")
    path.write_text(f"{written}\n{section}", encoding="utf-8")
    config = load_config(path)
    store_credentials(config, company, {name: getattr(quickbooks, name) for name in SECRETS})
    billing = create_database(str(world.root / f"{company}.db"), company_id=company, company_name=company)
    desk = BooksDesk(quickbooks.base_url, quickbooks.realm_id, quickbooks.access_token)
    return World(world.root, quickbooks, desk, billing, config, world.sessions, company)


@pytest.fixture(autouse=True)
def checks_by_hand(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Great Expectations itself only where whole worlds are looked at: elsewhere what is held equal to it."""
    if Path(request.node.path).stem != "test_worlds":
        monkeypatch.setattr(engine, "carried_out", carried_out_by_hand)


_REALMS = count(9341453000000001)


@pytest.fixture(scope="session")
def quickbooks_of_many() -> Iterator[QuickBooksSandbox]:
    """One QuickBooks for the companies of many tests, which never meet."""
    with running_quickbooks("empty", admin=True) as quickbooks:
        yield quickbooks


def _new_company(quickbooks: QuickBooksSandbox) -> QuickBooksSandbox:
    """The same QuickBooks with an empty company of its own and the tokens for it."""
    body = {"realm": str(next(_REALMS))}
    answer = requests.post(f"{quickbooks.base_url}/admin/companies", json=body, timeout=10)
    answer.raise_for_status()
    return replace(quickbooks, **answer.json())


@pytest.fixture
def world(tmp_path: Path, sqlite_state_url: str, quickbooks_of_many: QuickBooksSandbox) -> Iterator[World]:
    """An empty company on both sides."""
    yield from _world(tmp_path, sqlite_state_url, _new_company(quickbooks_of_many))


@pytest.fixture
def world_on_either_database(tmp_path: Path, state_url: str, quickbooks_of_many: QuickBooksSandbox) -> Iterator[World]:
    """The same, its state in SQLite or in PostgreSQL."""
    yield from _world(tmp_path, state_url, _new_company(quickbooks_of_many))


def _world(root: Path, state_url: str, quickbooks: QuickBooksSandbox) -> Iterator[World]:
    before = {name: os.environ.get(name) for name in (CONFIG_VARIABLE, "OAUTHLIB_INSECURE_TRANSPORT")}
    path = root / "reconcile.toml"
    addresses = {name: getattr(quickbooks, name) for name in ("base_url", "discovery_url", "realm_id")}
    path.write_text(CONFIGURATION.format(state=state_url, **addresses), encoding="utf-8")
    os.environ[CONFIG_VARIABLE] = str(path)
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
    config = load_config(path)
    make_key_file(config.key_file)
    migrate(config.state_url)
    store_credentials(config, COMPANY, {name: getattr(quickbooks, name) for name in SECRETS})
    billing = create_database(str(root / "billing.db"), company_id=COMPANY, company_name="Craig's")
    desk = BooksDesk(quickbooks.base_url, quickbooks.realm_id, quickbooks.access_token)
    made = World(root, quickbooks, desk, billing, config)
    yield made
    for session in made.sessions:
        session.close()
    billing.dispose()
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
