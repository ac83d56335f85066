"""Filing a run: judge it, write what stays of it, chain it to the previous run. Nothing after this changes it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from reconcile.config import Config
from reconcile.connections import company_secrets
from reconcile.errors import ConfigurationError
from reconcile.evidence import RunFolder, digest, manifest, read_verdict, redact, redacted, write_json, write_text
from reconcile.model.journal import EntryStatus
from reconcile.model.runs import DISCONNECTED, Run
from reconcile.state import runs
from reconcile.state.journal import Journal
from reconcile.verdict import Execution, judge

Publish = Callable[[Path, Run, Collection[str]], None]
"""Puts the executed notebook at a path, with the run's verdict on top and without these secrets."""


def file_run(config: Config, engine: Engine, run_id: str, execution: Execution, publish: Publish | None = None) -> Run:
    """Judge a run by its journal, its steps and how its process ended, and file the evidence.

    Evidence that cannot be saved does not change what the run came to; the reason then says so.
    """
    run = runs.get(engine, run_id)
    folder = RunFolder(config.runs / run.folder)
    extract = Journal(engine, run.company, run.id).extract(run.id)
    still_open = sum(EntryStatus(status).open for status in extract["status"])
    decided = judge(run, execution, writes=len(extract), open_entries=still_open)
    secrets = company_secrets(config, run.company, engine)
    ended_at = datetime.now(UTC)
    run = replace(run, outcome=decided.outcome, reason=redact(decided.reason, secrets), ended_at=ended_at)

    def save_journal() -> None:
        write_text(folder.journal, redact(extract.to_json(orient="records", lines=True), secrets))

    def save_notebook() -> None:
        if publish is not None:
            publish(folder.notebook, run, secrets)

    def save_verdict() -> None:
        write_json(folder.verdict, run_json(run, folder, previous_digest(config, engine, run), secrets))

    for save in (save_journal, save_notebook, save_verdict):
        try:
            save()
        except (OSError, ValueError) as error:
            unsaved = f"{run.reason} Its evidence could not be saved completely: {error}."
            run = replace(run, reason=redact(unsaved, secrets))
    runs.finish(engine, run.id, run.outcome, run.reason, ended_at)
    return run


def run_json(run: Run, folder: RunFolder, previous: str, secrets: Collection[str]) -> dict[str, Any]:
    """What ``run.json`` says: the run, the versions it ran with, its artifacts with hashes, the previous run's hash."""
    told: dict[str, Any] = redacted(_told(run), secrets)
    return {
        **told,
        "versions": {name: version(name) for name in ("reconcile", "pandas", "papermill", "great-expectations")},
        "artifacts": manifest(folder),
        "previous": previous,
    }


def _told(run: Run) -> dict[str, Any]:
    return {
        "run": run.id,
        "company": run.company,
        "kind": run.kind,
        "outcome": run.outcome.value,
        "exit_code": run.outcome.exit_code,
        "reason": run.reason,
        "deferred": run.deferral.as_json() if run.deferral else None,
        "disconnected_since": run.counts.get(DISCONNECTED),
        "parameters": dict(run.parameters),
        "slot": run.slot,
        "slot_date": run.slot_date.isoformat() if run.slot_date else None,
        "started_at": run.started_at.isoformat(),
        "ended_at": run.ended_at.isoformat() if run.ended_at else None,
        "steps": [
            {
                "step": step.step.value,
                "status": step.status.value,
                "done": step.done,
                "failed": step.failed,
                "held": step.held,
                "unknown": step.unknown,
                "reason": step.reason,
            }
            for step in run.steps
        ],
        "counts": dict(run.counts),
        "control_totals": dict(run.control_totals),
    }


def previous_digest(config: Config, engine: Engine, run: Run) -> str:
    """SHA-256 of the ``run.json`` of the company's previous finished run; empty for the first."""
    for earlier in runs.find(engine, company=run.company, limit=50):
        if earlier.id < run.id and earlier.ended_at is not None:
            folder = RunFolder(config.runs / earlier.folder)
            try:
                read_verdict(folder)
            except ConfigurationError:
                continue
            return digest(folder.verdict)
    return ""
