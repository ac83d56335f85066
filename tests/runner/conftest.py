"""A company without systems behind it and notebooks of the test's own; papermill, kernels and evidence are real."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from reconcile.config import CONFIG_VARIABLE, Config, load_config
from reconcile.connections import store_credentials
from reconcile.model.runs import Run
from reconcile.runner.execute import NOTEBOOKS_VARIABLE, execute
from reconcile.runner.request import Request
from reconcile.state.tokens import make_key_file

COMPANY = "00123"
CANARIES = {
    "client_id": "canary-client-id",
    "client_secret": 'canary-client-secret<&>"',
    "access_token": "canary-access-token",
    "refresh_token": "canary-refresh-token",
}
BILLING_PASSWORD = "canary/billing password"

CONFIGURATION = f"""\
state = "sqlite:///state.db"

[companies.{COMPANY}]
name = "Craig's Design and Landscaping Services"

[companies.{COMPANY}.books]
base_url = "http://127.0.0.1:1"
discovery_url = "http://127.0.0.1:1/.well-known/openid_configuration/"
realm_id = "9130347596842384"

[companies.{COMPANY}.billing]
url = "postgresql://bookkeeper:canary%2Fbilling%20password@127.0.0.1:1/billing"
"""

PARAMETERS = """\
company = ""
mode = "census"
apply = False
slot = ""
plan_to_enforce = ""
"""

OPENED = """\
import os
from datetime import timedelta

from reconcile.model.entities import Entity
from reconcile.model.runs import StepResult, StepStatus
from reconcile.state import lease, runs
from reconcile.state.database import open_state

state = open_state("sqlite:///state.db")
run_id = os.environ["RECONCILE_RUN"]
held = lease.acquire(state, company, "test:1", run_id, timedelta(minutes=15))
"""
"""A cell that holds the company, as a session does."""

STEP_DONE = "runs.record_step(state, run_id, StepResult(Entity.CUSTOMER, StepStatus.SYNCED, done=1))"
"""A cell after which something counts as written."""

PIDS = """\
import os

with open("pids.new", "w") as pids:
    pids.write(f"{os.getpid()} {os.getppid()}")
os.rename("pids.new", "pids")
"""
"""A cell that tells which process it runs in, and from which that was forked."""


@dataclass
class Bench:
    """A configuration, a state, and a place for notebooks."""

    root: Path
    config: Config

    def notebook(self, *cells: str, parameters: str = PARAMETERS) -> Path:
        """A ``sync.ipynb`` of these cells, after a parameters cell."""
        first = new_code_cell(parameters, metadata={"tags": ["parameters"]})
        path = self.root / "notebooks" / "sync.ipynb"
        path.parent.mkdir(exist_ok=True)
        metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(new_notebook(cells=[first, *map(new_code_cell, cells)], metadata=metadata), path)
        return path

    def run(self, *cells: str, **request: Any) -> Run:
        """Execute a notebook of these cells."""
        self.notebook(*cells)
        return execute(self.config, Request(company=COMPANY, **request))

    def folder(self, run: Run) -> Path:
        """Where the run's evidence is."""
        return self.config.runs / run.folder

    def saved(self, run: Run) -> Mapping[str, Any]:
        """The saved notebook."""
        content: Mapping[str, Any] = json.loads((self.folder(run) / "sync.ipynb").read_text(encoding="utf-8"))
        return content

    def filed(self, run: Run) -> Mapping[str, Any]:
        """The run's ``run.json``."""
        content: Mapping[str, Any] = json.loads((self.folder(run) / "run.json").read_text(encoding="utf-8"))
        return content


@pytest.fixture
def bench(tmp_path: Path, sqlite_state_url: str, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A company that can be run, its path with what papermill would take for a place of a parameter."""
    path = tmp_path / "reconcile.toml"
    path.write_text(CONFIGURATION, encoding="utf-8")
    monkeypatch.setenv(CONFIG_VARIABLE, str(path))
    monkeypatch.setenv(NOTEBOOKS_VARIABLE, str(tmp_path / "notebooks"))
    config = load_config(path)
    make_key_file(config.key_file)
    store_credentials(config, COMPANY, CANARIES)
    return Bench(tmp_path, config)


def first_output(notebook: Mapping[str, Any]) -> str:
    """The HTML of a notebook's first output: what a person who opens it reads first."""
    html: str = "".join(notebook["cells"][0]["outputs"][0]["data"]["text/html"])
    return html


def pids_in(bench: Bench) -> tuple[int, int]:
    """The kernel and the process that it was forked from, as the cell ``PIDS`` has told them."""
    kernel, server = (bench.root / "pids").read_text(encoding="utf-8").split()
    return int(kernel), int(server)


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
