"""Filing a run: judge it, write what stays of it, chain it to the previous run. Nothing after this changes it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from reconcile.config import Config
from reconcile.connections import company_secrets
from reconcile.errors import ConfigurationError
from reconcile.evidence import RunFolder, digest, manifest, read_json, redact, redacted, write_json, write_text
from reconcile.model.audit import Head
from reconcile.model.entities import Side
from reconcile.model.journal import EntryStatus
from reconcile.model.notices import Notice
from reconcile.model.runs import DISCONNECTED, Run
from reconcile.notices import is_told, notice_of
from reconcile.state import companies, runs
from reconcile.state.journal import Journal
from reconcile.verdict import Execution, judge

Publish = Callable[[Path, Run, Collection[str]], None]
"""Puts the executed notebook at a path, with the run's verdict on top and without these secrets."""


def file_run(config: Config, engine: Engine, run_id: str, execution: Execution, publish: Publish | None = None) -> Run:
    """Judge a run by its journal, its steps and how its process ended, and file the evidence.

    Evidence that cannot be saved does not change what the run came to; the reason then says so. A run that has been
    filed stays as it is.
    """
    run = runs.get(engine, run_id)
    if run.ended_at is not None:
        return run
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

    for save in (save_journal, save_notebook):
        try:
            save()
        except (OSError, ValueError) as error:
            run = replace(run, reason=_unsaved(run.reason, error, secrets))
    facts = {
        "writes": extract["status"].value_counts().to_dict(),
        "behind": {side.value: _behind(engine, run.company, side) for side in Side},
        "artifacts": manifest(folder),
    }

    def save_verdict(head: Head, previous: str) -> tuple[str, str]:
        try:
            write_json(folder.verdict, run_json(run, facts, previous, head, secrets))
            return digest(folder.verdict), run.reason
        except (OSError, ValueError) as error:
            return "", _unsaved(run.reason, error, secrets)

    return runs.finish(engine, run, ended_at, save_verdict, notices_of(config, secrets))


def notices_of(config: Config, secrets: Collection[str]) -> Callable[[Run], Notice | None]:
    """What is told of a run by mail (:func:`reconcile.notices.notice_of`), from the evidence in its folder."""

    def tell(run: Run) -> Notice | None:
        if not is_told(run):
            return None
        folder = config.runs / run.folder
        known = config.companies.get(run.company)
        name = known.name if known is not None else run.company
        notice = notice_of(run, name, *(_rows(folder / file) for file in ("findings.json", "midnight-risk.json")))
        return replace(notice, subject=redact(notice.subject, secrets), body=redact(notice.body, secrets))

    return tell


def _rows(path: Path) -> list[dict[str, Any]] | None:
    """Rows that a stage of the run has filed, none where it did not come so far; ``None`` when they cannot be read."""
    try:
        return [dict(row) for row in read_json(path)] if path.exists() else []
    except (ConfigurationError, TypeError, ValueError):
        return None


def _unsaved(reason: str, error: Exception, secrets: Collection[str]) -> str:
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return redact(f"{reason} Its evidence could not be saved completely: {said}.", secrets)


def _behind(engine: Engine, company: str, side: Side) -> dict[str, str] | None:
    """Who was behind the connection to a side; ``None`` when nobody was ever reached."""
    known = companies.known_identity(engine, company, side)
    return None if known is None else {"id": known.company_id, "name": known.name, "currency": known.currency}


def run_json(run: Run, facts: Mapping[str, Any], previous: str, head: Head, secrets: Collection[str]) -> dict[str, Any]:
    """What ``run.json`` says: the run, the versions it ran with, its artifacts with hashes, what it is chained to."""
    told: dict[str, Any] = redacted({**_told(run), **facts}, secrets)
    return {
        **told,
        "versions": {name: version(name) for name in ("reconcile", "pandas", "papermill", "great-expectations")},
        "previous": previous,
        "audit": {"sequence": head.sequence, "seal": head.seal},
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
