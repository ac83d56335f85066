"""A desk at which one company's run works: the words the state tests are written in."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from reconcile.model.entities import Entity, Side
from reconcile.model.journal import AgreementUpdate, Answer, Entry, EntryStatus
from reconcile.model.plan import Action, Operation
from reconcile.model.runs import Mode, Outcome, Run
from reconcile.state import lease as leases
from reconcile.state import runs
from reconcile.state.database import open_state, reading
from reconcile.state.journal import Journal
from reconcile.state.links import Links

STARTED = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Desk:
    """One run of one company, holding its lease, with its journal open."""

    url: str
    engine: Engine
    company: str
    run: Run
    lease: leases.Lease
    journal: Journal

    @property
    def links(self) -> Links:
        return Links(self.engine, self.company)

    def operation(self, key: str = "books:12", **changes: Any) -> Operation:
        """A customer of the books about to be created in billing, unless told otherwise."""
        side, _, record_id = key.partition(":")
        values: dict[str, Any] = {
            "step": Entity.CUSTOMER,
            "action": Action.CREATE,
            "side": Side(side).other,
            "key": key,
            "books_id": record_id if side == "books" else None,
            "billing_id": record_id if side == "billing" else None,
            "label": "Cool Cars",
            "customer": "Cool Cars",
            "before": {},
            "payload": {"display_name": "Cool Cars"},
            "agreed": {"display_name": "Cool Cars"},
            "unsettled": (),
            "expected_version": None,
            "depends_on": (),
            "reason": "It is new in QuickBooks.",
        }
        return Operation(**{**values, **changes})

    def intend(self, key: str = "books:12", fields: Mapping[str, Any] | None = None, **changes: Any) -> Entry:
        operation = self.operation(key, **changes)
        return self.journal.intend([(operation, fields or {"display_name": "Cool Cars"})])[0]

    def send(self, key: str = "books:12", fields: Mapping[str, Any] | None = None, **changes: Any) -> Entry:
        entry = self.intend(key, fields, **changes)
        self.journal.mark_sent([entry])
        return entry

    def answer(self, entry: Entry, status: EntryStatus, **more: Any) -> None:
        self.journal.answer([Answer(entry.id, status, **more)])

    def write(self, status: EntryStatus = EntryStatus.DONE, key: str = "books:12", **changes: Any) -> Entry:
        """One whole write with this outcome."""
        entry = self.send(key, **changes)
        self.answer(entry, status)
        return entry

    def link(self, *updates: AgreementUpdate) -> None:
        """Remember pairs that are one, without writing to a side."""
        self.journal.remember([(self.operation(action=Action.LINK, side=None), news) for news in updates])

    def count(self, table: str) -> int:
        with reading(self.engine) as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def agreement(books_id: str = "12", billing_id: str = "77", **changes: Any) -> AgreementUpdate:
    values: dict[str, Any] = {
        "entity": Entity.CUSTOMER,
        "books_id": books_id,
        "billing_id": billing_id,
        "books_version": "0",
        "billing_version": "1",
        "fields": {"display_name": "Cool Cars"},
        "unsettled": (),
    }
    return AgreementUpdate(**{**values, **changes})


def sit_down(url: str, company: str = "craigs", run_id: str = "", ttl: timedelta = timedelta(minutes=15)) -> Desk:
    engine = open_state(url)
    run = Run(
        id=run_id or runs.new_run_id(STARTED),
        company=company,
        kind="night",
        mode=Mode.CENSUS,
        apply=True,
        slot="22:30",
        slot_date=STARTED.date(),
        parameters={},
        started_at=STARTED,
        ended_at=None,
        outcome=Outcome.RUNNING,
        reason="",
        folder=f"{company}/2026-11-22/2230-night",
    )
    runs.create(engine, run)
    lease = leases.acquire(engine, company, "host:1", run.id, ttl)
    return Desk(url, engine, company, run, lease, Journal(engine, company, run.id, lease))


@pytest.fixture
def desk(state_url: str) -> Desk:
    """A desk on either database."""
    return sit_down(state_url)


@pytest.fixture
def engine(state_url: str) -> Engine:
    """An open state on either database."""
    return open_state(state_url)


@pytest.fixture
def make_agreement() -> Callable[..., AgreementUpdate]:
    """Builds what both sides were seen to hold."""
    return agreement


@pytest.fixture
def make_desk() -> Callable[..., Desk]:
    """Opens further desks: another company, another run, after a crash."""
    return sit_down


@pytest.fixture
def in_a_process() -> Callable[..., int | None]:
    """Runs a function in a process of its own; gives its exit code (minus the signal that ended it)."""

    def run(work: Callable[..., None], *arguments: Any) -> int | None:
        process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
        process.start()
        process.join(30)
        return process.exitcode

    return run
