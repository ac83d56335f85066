"""An office that files runs: a state, a runs folder, journalled writes; no systems and no notebooks behind them."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from reconcile.config import Config, load_config
from reconcile.evidence import AtWork, RunFolder, make_folder, write_json, write_text
from reconcile.filing import file_run
from reconcile.model.entities import Entity, Side
from reconcile.model.journal import Answer, EntryStatus
from reconcile.model.plan import Action, Operation
from reconcile.model.runs import Mode, Outcome, Run, StepResult, StepStatus
from reconcile.state import lease, runs
from reconcile.state.database import open_state, writing
from reconcile.state.journal import Journal
from reconcile.verdict import Ending, Execution

COMPANY = "craigs"
CONFIGURATION = f"""\
state = "{{state}}"

[companies.{COMPANY}]
name = "Craig's Design and Landscaping Services"

[companies.{COMPANY}.books]
base_url = "http://127.0.0.1:1"
discovery_url = "http://127.0.0.1:1/.well-known/openid_configuration/"

[companies.{COMPANY}.billing]
url = "sqlite:///billing.db"
"""


def a_customer(number: int) -> Operation:
    """A customer of QuickBooks about to be created in ReliaBills."""
    name = f"Customer {number}"
    return Operation(
        step=Entity.CUSTOMER,
        action=Action.CREATE,
        side=Side.BILLING,
        key=f"books:{number}",
        books_id=str(number),
        billing_id=None,
        label=name,
        customer=name,
        before={},
        payload={"display_name": name},
        agreed={"display_name": name},
        unsettled=(),
        expected_version=None,
        depends_on=(),
        reason="It is new in QuickBooks.",
    )


@dataclass
class Office:
    """Where runs are made and filed."""

    config: Config
    engine: Engine
    now: datetime = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)
    number: int = 0
    at_work: dict[str, AtWork] = field(default_factory=dict)

    def begin(self, **changes: Any) -> Run:
        """A run that has begun, its process at work."""
        self.now += timedelta(days=1)
        run_id = runs.new_run_id(self.now)
        folder = make_folder(self.config.runs, COMPANY, "night", run_id, self.now)
        self.at_work[run_id] = AtWork(folder)
        values: dict[str, Any] = {
            "id": run_id,
            "company": COMPANY,
            "kind": "night",
            "mode": Mode.CENSUS,
            "apply": True,
            "slot": "22:30",
            "slot_date": self.now.date(),
            "parameters": {},
            "started_at": self.now,
            "ended_at": None,
            "outcome": Outcome.RUNNING,
            "reason": "",
            "folder": str(folder.path.relative_to(self.config.runs)),
        }
        run = Run(**{**values, **changes})
        runs.create(self.engine, run)
        return run

    def work(self, run: Run, writes: int = 2, *, answered: bool = True) -> lease.Lease:
        """Write some records in a run and leave a plan and findings; gives the lease, still held."""
        held = lease.acquire(self.engine, COMPANY, f"{socket.gethostname()}:1", run.id, timedelta(minutes=15))
        journal = Journal(self.engine, COMPANY, run.id, held)
        operations = [a_customer(self.number + count) for count in range(1, writes + 1)]
        self.number += writes
        if operations:
            entries = journal.intend([(operation, operation.payload) for operation in operations])
            journal.mark_sent(entries)
            if answered:
                journal.answer([Answer(entry.id, EntryStatus.DONE, str(entry.id), "1") for entry in entries])
        folder = self.folder(run)
        write_text(folder.plan, '{"plan":1}')
        write_json(folder.findings, [])
        return held

    def run(self, writes: int = 2) -> Run:
        """A whole run, filed."""
        run = self.begin()
        held = self.work(run, writes)
        for entity in Entity:
            runs.record_step(self.engine, run.id, StepResult(entity, StepStatus.SYNCED))
        runs.record_tie_out(self.engine, run.id, {"green": True, "sentence": "Both sides tie out.", "totals": []})
        held.release()
        filed = file_run(self.config, self.engine, run.id, Execution(Ending.COMPLETED))
        self.at_work.pop(run.id).end()
        return filed

    def dies(self, run: Run) -> None:
        """The run's process is gone, from one moment to the next: the system lets go of its lock."""
        self.at_work.pop(run.id)._stream.close()

    def folder(self, run: Run) -> RunFolder:
        """Where a run's evidence is."""
        return RunFolder(self.config.runs / run.folder)

    def filed(self, run: Run) -> Mapping[str, Any]:
        """A run's ``run.json``."""
        content: Mapping[str, Any] = json.loads(self.folder(run).verdict.read_text(encoding="utf-8"))
        return content

    def tamper(self, statement: str, **values: Any) -> None:
        """Somebody changes the state database by hand."""
        with writing(self.engine) as connection:
            connection.execute(text(statement), values)


@pytest.fixture
def make_office(tmp_path: Path) -> Callable[[str], Office]:
    """An office with its state at this address."""

    def make(state: str) -> Office:
        path = tmp_path / "reconcile.toml"
        path.write_text(CONFIGURATION.format(state=state), encoding="utf-8")
        config = load_config(path)
        return Office(config, open_state(config.state_url))

    return make


@pytest.fixture
def office(make_office: Callable[[str], Office], sqlite_state_url: str) -> Office:
    """An office with its state in SQLite."""
    return make_office(sqlite_state_url)


@pytest.fixture
def office_on_either_database(make_office: Callable[[str], Office], state_url: str) -> Office:
    """The same, its state in SQLite or in PostgreSQL."""
    return make_office(state_url)
