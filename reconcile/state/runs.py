"""Runs: what was asked, what each step came to, how it ended."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from reconcile.errors import ConfigurationError
from reconcile.model.audit import AuditKind, Head
from reconcile.model.entities import Entity
from reconcile.model.notices import Notice
from reconcile.model.runs import Mode, Outcome, Run, StepResult, StepStatus
from reconcile.state import audit, outbox
from reconcile.state.companies import remember_company
from reconcile.state.database import reading, upserting, writing
from reconcile.state.schema import RunRow, RunStepRow
from reconcile.state.texts import json_text, loose_json_text

DEEDS = "deeds"
"""Key among a run's counts under which stands how much it ended and repriced."""

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # nothing that is misread


def new_run_id(now: datetime) -> str:
    """A run id: sortable by start, safe in file names: ``20261123T043000-k3f9`` (UTC and four random characters)."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%S}-{''.join(secrets.choice(_ALPHABET) for _ in range(4))}"


def create(engine: Engine, run: Run) -> None:
    """Remember a new run.

    Raises:
        ConfigurationError: there is a run of that id already.
        ValueError: a time names no zone.
        TypeError: a parameter is no JSON value.
    """
    with writing(engine) as connection:
        remember_company(connection, run.company)
        if connection.execute(select(RunRow.id).where(RunRow.id == run.id)).first() is not None:
            raise ConfigurationError(f"There is a run {run.id!r} already; every run has an id of its own.")
        connection.execute(
            insert(RunRow).values(
                id=run.id,
                company=run.company,
                kind=run.kind,
                mode=run.mode.value,
                apply=run.apply,
                slot=run.slot,
                slot_date=run.slot_date,
                parameters=loose_json_text(dict(run.parameters)),
                started_at=run.started_at,
                ended_at=run.ended_at,
                outcome=run.outcome.value,
                reason=run.reason,
                folder=run.folder,
                counts=loose_json_text(dict(run.counts)),
                control_totals=json_text(dict(run.control_totals)),
            )
        )
        for step in run.steps:
            _put_step(connection, run.id, step)


def get(engine: Engine, run_id: str) -> Run:
    """The run of that id.

    Raises:
        ConfigurationError: there is none.
    """
    with reading(engine) as connection:
        runs = _runs(connection, connection.execute(select(RunRow.__table__).where(RunRow.id == run_id)).mappings())
    if not runs:
        raise ConfigurationError(f"There is no run {run_id!r}; `reconcile runs` lists those there are.")
    return runs[0]


def find(engine: Engine, company: str | None = None, limit: int = 50) -> list[Run]:
    """The newest runs first, of one company or of all."""
    query = select(RunRow.__table__).order_by(RunRow.started_at.desc(), RunRow.id.desc()).limit(limit)
    if company is not None:
        query = query.where(RunRow.company == company)
    with reading(engine) as connection:
        return _runs(connection, connection.execute(query).mappings())


def deeds(engine: Engine, company: str, limit: int) -> list[Mapping[str, int]]:
    """What the company's latest runs that wrote ended and repriced, newest first (``compare.habits.deeds``)."""
    query = (
        select(RunRow.counts)
        .where(RunRow.company == company, RunRow.apply)
        .order_by(RunRow.started_at.desc(), RunRow.id.desc())
        .limit(limit)
    )
    with reading(engine) as connection:
        counts = [json.loads(text) for text in connection.execute(query).scalars()]
    return [kept[DEEDS] for kept in counts if DEEDS in kept]


def last_count(engine: Engine, company: str, name: str) -> Any:
    """What the newest of the company's runs that counted something by this name said; ``None`` when none did."""
    query = (
        select(RunRow.counts)
        .where(RunRow.company == company, RunRow.counts.contains(f'"{name}"', autoescape=True))
        .order_by(RunRow.started_at.desc(), RunRow.id.desc())
    )
    with reading(engine) as connection:
        for text in connection.execute(query).scalars():
            counts = json.loads(text)
            if name in counts:
                return counts[name]
    return None


def in_folder(engine: Engine, folder: str) -> Run | None:
    """The run whose evidence is in that folder (relative to the runs folder); ``None`` when there is none."""
    with reading(engine) as connection:
        query = select(RunRow.__table__).where(RunRow.folder == folder)
        found = _runs(connection, connection.execute(query).mappings())
    return found[0] if found else None


def record_step(engine: Engine, run_id: str, result: StepResult) -> None:
    """Remember what came of a step; a later result of the same step replaces it.

    Raises:
        ConfigurationError: there is no such run.
    """
    with writing(engine) as connection:
        _locked(connection, run_id)
        _put_step(connection, run_id, result)


def record_counts(engine: Engine, run_id: str, counts: Mapping[str, Any]) -> None:
    """Add numbers worth keeping; a number of the same name is replaced, the others stay.

    Raises:
        ConfigurationError: there is no such run.
        TypeError: a value is no JSON value.
    """
    with writing(engine) as connection:
        kept = json.loads(_locked(connection, run_id))
        _change(connection, run_id, counts=loose_json_text({**kept, **counts}))


def record_tie_out(engine: Engine, run_id: str, control_totals: Mapping[str, Any]) -> None:
    """Remember the tie-out; it replaces an earlier one of the same run.

    Raises:
        ConfigurationError: there is no such run.
        TypeError: an amount is a float.
    """
    with writing(engine) as connection:
        _locked(connection, run_id)
        _change(connection, run_id, control_totals=json_text(dict(control_totals)))


def unfinished(engine: Engine, company: str) -> list[Run]:
    """Runs that have no verdict yet, oldest first."""
    query = (
        select(RunRow.__table__)
        .where(RunRow.company == company, RunRow.ended_at.is_(None))
        .order_by(RunRow.started_at, RunRow.id)
    )
    with reading(engine) as connection:
        return _runs(connection, connection.execute(query).mappings())


@dataclass(frozen=True, slots=True)
class Brief:
    """As much of a run as its evidence is compared with: folder, outcome, start (UTC), whether it has a verdict."""

    folder: str
    outcome: Outcome
    started_at: datetime
    ended: bool


def brief(engine: Engine, company: str) -> dict[str, Brief]:
    """All runs of a company, by id."""
    query = select(RunRow.id, RunRow.folder, RunRow.outcome, RunRow.started_at, RunRow.ended_at).where(
        RunRow.company == company
    )
    with reading(engine) as connection:
        return {
            row.id: Brief(row.folder, Outcome(row.outcome), row.started_at, row.ended_at is not None)
            for row in connection.execute(query)
        }


def finish(
    engine: Engine,
    run: Run,
    ended_at: datetime,
    save: Callable[[Head, str], tuple[str, str]],
    tell: Callable[[Run], Notice | None],
) -> Run:
    """Write the verdict, seal the evidence and post the notice of it, in one transaction. A run's first verdict stands.

    Args:
        engine: the state.
        run: with outcome and reason.
        ended_at: UTC.
        save: saves ``run.json``, given the end of the audit trail and the SHA-256 of the ``run.json`` that was sealed
            last (empty for the first); gives the SHA-256 of what it saved (empty when it could not) and the reason as
            it then is.
        tell: the notice about the run as it then is; ``None`` when there is none.

    Returns:
        The run as it now stands.

    Raises:
        ConfigurationError: there is no such run.
    """
    with writing(engine) as connection:
        _locked(connection, run.id)
        audit.lock(connection, run.company)
        ended = connection.execute(select(RunRow.ended_at).where(RunRow.id == run.id)).scalar_one_or_none()
        if ended is None:
            sealed = audit.newest(connection, run.company, AuditKind.RUN)
            previous = str(json.loads(sealed.content)["run_json"]) if sealed is not None else ""
            saved, reason = save(audit.head(connection, run.company), previous)
            told = {"folder": run.folder, "outcome": run.outcome.value, "run_json": saved}
            audit.append(connection, run.company, run.id, AuditKind.RUN, told, ended_at)
            _change(connection, run.id, outcome=run.outcome.value, reason=reason, ended_at=ended_at)
            notice = tell(replace(run, reason=reason, ended_at=ended_at))
            if notice is not None:
                outbox.post(connection, notice)
    return get(engine, run.id)


def _locked(connection: Connection, run_id: str) -> str:
    """The run's counts, its row locked until the transaction ends."""
    counts = connection.execute(select(RunRow.counts).where(RunRow.id == run_id).with_for_update()).scalar_one_or_none()
    if counts is None:
        raise ConfigurationError(f"There is no run {run_id!r}; nothing can be recorded for it.")
    return counts


def _change(connection: Connection, run_id: str, **values: object) -> None:
    connection.execute(update(RunRow).where(RunRow.id == run_id).values(**values))


def _put_step(connection: Connection, run_id: str, result: StepResult) -> None:
    values = {
        "status": result.status.value,
        "done": result.done,
        "failed": result.failed,
        "held": result.held,
        "unknown": result.unknown,
        "reason": result.reason,
    }
    statement = upserting(connection, RunStepRow).values(run_id=run_id, step=result.step.value, **values)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[RunStepRow.run_id, RunStepRow.step],
            set_={name: statement.excluded[name] for name in values},
        )
    )


def _runs(connection: Connection, rows: Iterable[Mapping[Any, Any]]) -> list[Run]:
    found = list(rows)
    steps: dict[str, list[StepResult]] = {row["id"]: [] for row in found}
    for step in connection.execute(select(RunStepRow.__table__).where(RunStepRow.run_id.in_(steps))).mappings():
        steps[step["run_id"]].append(
            StepResult(
                step=Entity(step["step"]),
                status=StepStatus(step["status"]),
                done=step["done"],
                failed=step["failed"],
                held=step["held"],
                unknown=step["unknown"],
                reason=step["reason"],
            )
        )
    return [_run(row, sorted(steps[row["id"]], key=lambda result: result.step.step)) for row in found]


def _run(row: Mapping[Any, Any], steps: Iterable[StepResult]) -> Run:
    return Run(
        id=row["id"],
        company=row["company"],
        kind=row["kind"],
        mode=Mode(row["mode"]),
        apply=row["apply"],
        slot=row["slot"],
        slot_date=row["slot_date"],
        parameters=json.loads(row["parameters"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        outcome=Outcome(row["outcome"]),
        reason=row["reason"],
        folder=row["folder"],
        counts=json.loads(row["counts"]),
        control_totals=json.loads(row["control_totals"]),
        steps=tuple(steps),
    )
