"""Finding the plan that somebody looked at: the saved plan of a run, once it is certain that it is that plan."""

from __future__ import annotations

import hashlib
import json

from sqlalchemy import Engine

from reconcile.config import Config
from reconcile.errors import ConfigurationError
from reconcile.evidence import RunFolder, digest, read_json
from reconcile.model.audit import AuditKind
from reconcile.model.plan import Plan
from reconcile.model.runs import Run
from reconcile.state import audit, runs
from reconcile.state.database import reading
from reconcile.state.journal import Journal


def saved_plan(config: Config, engine: Engine, company: str, run_id: str) -> Plan:
    """The plan of a filed run, exactly as it was filed.

    Raises:
        ConfigurationError: there is no such run or plan, it is another company's, or it is not as it was filed; says
            which and what to do.
    """
    run = runs.get(engine, run_id)
    if run.company != company:
        raise ConfigurationError(f"Run {run_id} was made for {run.company!r}, not for {company!r}.")
    if run.ended_at is None:
        raise ConfigurationError(f"Run {run_id} has not ended, so its plan is not applied. Wait until it has.")
    if "plan" not in run.counts:
        raise ConfigurationError(
            f"Run {run_id} ended before it had a plan ({run.outcome}). Make one: `reconcile plan {company}`."
        )
    folder = RunFolder(config.runs / run.folder)
    try:
        text = folder.plan.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"The plan of run {run_id} cannot be read: {error.strerror}. Make a new one: `reconcile plan {company}`."
        ) from error
    if hashlib.sha256(text).hexdigest() != run.counts["plan"] or not _as_filed(engine, run, folder):
        raise ConfigurationError(
            f"The plan of run {run_id} is not as it was filed: it was cut off or altered, so nothing of it is done. "
            f"`reconcile verify {company}` says what was altered. Make a new plan: `reconcile plan {company}`."
        )
    try:
        return Plan.from_json(text.decode("utf-8"))
    except ValueError as error:
        raise ConfigurationError(
            f"The plan of run {run_id} cannot be read by this version: {error}. Make a new one: "
            f"`reconcile plan {company}`."
        ) from error


def check_undo(engine: Engine, company: str, undo: str, plan: str, *, apply: bool) -> None:
    """Insist that a run can be undone, and that an undo writes only what somebody has looked at.

    Args:
        engine: the state.
        company: company key.
        undo: id of the run that is undone, or empty.
        plan: id of the run whose saved plan is carried out, or empty.
        apply: whether writing is allowed.

    Raises:
        ConfigurationError: there is no such run, it is another company's, it has not ended or has written nothing, or
            the plan is not one of undoing it.
    """
    if plan:
        planned = str(runs.get(engine, plan).parameters.get("undo") or "")
        if planned != undo:
            raise ConfigurationError(
                f"The plan of run {plan} {f'undoes run {planned}' if planned else 'undoes nothing'}; it is not carried "
                f"out as {f'the undo of run {undo}' if undo else 'an ordinary run'}. Use `reconcile apply {plan}`."
            )
    if not undo:
        return
    run = runs.get(engine, undo)
    if run.company != company:
        raise ConfigurationError(f"Run {undo} was made for {run.company!r}, not for {company!r}.")
    if run.ended_at is None:
        raise ConfigurationError(f"Run {undo} has not ended, so it is not undone. Wait until it has.")
    if not Journal(engine, company, undo).entries(undo):
        raise ConfigurationError(f"Run {undo} has written nothing, so there is nothing to undo.")
    if apply and not plan:
        raise ConfigurationError(
            f"An undo is looked at before it writes: `reconcile undo {undo}` makes its plan, `reconcile apply` carries "
            "it out."
        )


def _as_filed(engine: Engine, run: Run, folder: RunFolder) -> bool:
    """Whether the run's manifest is the one that was sealed, and names this plan."""
    with reading(engine) as connection:
        sealed = audit.of_run(connection, run.company, run.id, AuditKind.RUN)
    if sealed is None or not folder.verdict.is_file():
        return False
    artifacts = read_json(folder.verdict)["artifacts"]
    same = bool(artifacts.get(folder.plan.name) == run.counts["plan"])
    return same and digest(folder.verdict) == json.loads(sealed.content)["run_json"]
