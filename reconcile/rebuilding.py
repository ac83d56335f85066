"""Runs whose process died before they were filed: killed, out of memory, the machine down. They are filed here.

What such a run wrote stands in the journal, so its verdict and its evidence can be made without it. Nobody but a
living process holds the lock in a run's folder; where that cannot be known from here, nothing is filed.
"""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import datetime
from functools import partial

from sqlalchemy import Engine

from reconcile.config import Config
from reconcile.connections import company_secrets
from reconcile.errors import ConfigurationError
from reconcile.evidence import AtWork, RunFolder, digest, is_at_work, read_json
from reconcile.filing import file_run, notices_of
from reconcile.model.runs import Outcome, Run
from reconcile.restored import WENT_BACK, in_the_trail
from reconcile.state import audit, lease, permissions, runs
from reconcile.state.database import reading
from reconcile.state.journal import Journal
from reconcile.verdict import Ending, Execution

_DIED = (
    "The process of this run ended before the run did: it was killed, ran out of memory, or the machine went down. "
    "What it wrote until then is in the journal; what got no answer is settled when the company's next run opens."
)
_LEFT = "This run was left before its last cell. What it wrote until then is in the journal."


def died(config: Config, engine: Engine, run: Run) -> bool:
    """Whether a run without verdict has no process any more, as far as that can be known from this machine."""
    folder = RunFolder(config.runs / run.folder)
    if run.ended_at is not None or not folder.path.is_dir() or is_at_work(folder):
        return False
    if not in_the_trail(config, engine, run.company, run.folder):  # the state went back, the run did not die
        return False
    host = lease.holder_of(engine, run.id).rpartition(":")[0]
    return host in ("", socket.gethostname())


def file_the_dead(config: Config, engine: Engine, company: str) -> list[Run]:
    """File all runs of a company that died, and let go of what they held; gives them, oldest first."""
    return [
        filed
        for run in runs.unfinished(engine, company)
        if died(config, engine, run) and (filed := _file(config, engine, run)) is not None
    ]


def rebuild(config: Config, engine: Engine, run_id: str) -> Run:
    """File the evidence of a run that died: journal extract, verdict, what is left of its notebook.

    Raises:
        ConfigurationError: there is no such run, it is filed already, or its process may still be at work.
    """
    run = runs.get(engine, run_id)
    if run.ended_at is not None:
        raise ConfigurationError(
            f"Run {run.id} is filed already ({run.outcome}), and what is filed is not changed. "
            f"`reconcile show {run.id}` explains it, `reconcile verify {run.company}` checks it."
        )
    folder = RunFolder(config.runs / run.folder)
    if not folder.path.is_dir():
        raise ConfigurationError(
            f"The folder {folder.path} of run {run.id} is not here, so nothing can be filed in it. "
            "Rebuild it where the run was started, or bring the folder back."
        )
    filed = _file(config, engine, run) if died(config, engine, run) else None
    if filed is None:
        raise ConfigurationError(
            f"Run {run.id} is still at work (since {run.started_at:%Y-%m-%d %H:%M:%S} UTC), so there is nothing to "
            "rebuild. Wait until it has ended."
        )
    return filed


def _file(config: Config, engine: Engine, run: Run) -> Run | None:
    from reconcile.runner.notebook import publish  # noqa: PLC0415  nobody should wait for it who has nothing to file

    folder = RunFolder(config.runs / run.folder)
    try:
        with AtWork(folder):
            lease.release_run(engine, run.id)
            for left in folder.path.glob(".*.partial"):
                left.unlink()
            if (filed := _almost_filed(config, engine, run, folder)) is not None:
                return filed
            if not Journal(engine, run.company, run.id).entries(run.id):
                permissions.give_back(engine, run.id, but=WENT_BACK)
            execution = Execution(Ending.DIED, _LEFT if run.kind == "interactive" else _DIED)
            return file_run(config, engine, run.id, execution, publish=partial(publish, folder.partial_notebook))
    except BlockingIOError:
        return None


def _almost_filed(config: Config, engine: Engine, run: Run, folder: RunFolder) -> Run | None:
    """The run as its ``run.json`` tells it, sealed now, when its process died between saving that and sealing it."""
    if not folder.verdict.exists():
        return None
    try:
        told = read_json(folder.verdict)
        with reading(engine) as connection:
            head = audit.head(connection, run.company)
        if told["run"] != run.id or told["audit"] != {"sequence": head.sequence, "seal": head.seal}:
            return None
        judged = replace(run, outcome=Outcome(told["outcome"]), reason=str(told["reason"]))
        ended_at = datetime.fromisoformat(told["ended_at"])
    except (ConfigurationError, KeyError, TypeError, ValueError):
        return None
    saved, secrets = (digest(folder.verdict), judged.reason), company_secrets(config, run.company, engine)
    return runs.finish(engine, judged, ended_at, lambda _head, _previous: saved, notices_of(config, secrets))
