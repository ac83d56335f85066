"""Recognising a state that went back in time: restored from an older copy, or a replica that lacks the last commits.

Such a state would write from guessed memory: what was carried since would be new to it, and what people changed since
would look like old values. So before anything is written it is compared with what lies outside of it: the evidence in
the runs folder, and the requests that ReliaBills remembers. When they know more, nothing is written until a person
confirms it (guard ``state-went-back``); then no base is trusted, everything is read in full, equal values are agreed
again and different ones are held.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from reconcile.config import Config
from reconcile.errors import ConfigurationError
from reconcile.evidence import RunFolder, digest, read_json, run_folders
from reconcile.model.audit import AuditKind
from reconcile.model.guards import Guard, Permission
from reconcile.sides.billing import BillingReader
from reconcile.sides.side import Readable
from reconcile.state import audit, runs
from reconcile.state.database import reading
from reconcile.state.restored import unknown_requests

WENT_BACK = "state-went-back"
_REQUESTS = 200  # of the newest that ReliaBills remembers; one that is not known is enough


@dataclass(frozen=True, slots=True)
class Beyond:
    """What the world knows beyond the state.

    Attributes:
        folders: runs that the state does not know (as they are): SHA-256 of their ``run.json``, empty without one.
        requests: those of ReliaBills' newest requests that stand in no journal, by id.
    """

    folders: Mapping[str, str]
    requests: Sequence[str]

    def guards(self) -> list[Guard]:
        """The guard that stands in the way of writing, if any."""
        found = []
        if self.folders:
            newest = max(self.folders)
            many = len(self.folders)
            found.append(f"the evidence of {many} run{'' if many == 1 else 's'} is newer than it (newest: {newest})")
        if self.requests:
            found.append(f"ReliaBills has carried out {len(self.requests)} writes that stand in no journal")
        if not found:
            return []
        return [
            Guard(
                WENT_BACK,
                f"The state database went back in time, or is another one than before: {' and '.join(found)}.",
                "Nothing is written from such a memory; dry runs are allowed. If there is a newer copy of the state, "
                "put that in its place. If not, this one may be confirmed: then no value it remembers is trusted, both "
                "sides are read in full, equal values are agreed again and different ones are held.",
            )
        ]


def beyond(config: Config, engine: Engine, company: str, billing: Readable) -> Beyond:
    """What evidence and ReliaBills know that the state does not."""
    known = {run.folder: run for run in runs.brief(engine, company).values()}
    with reading(engine) as connection:
        confirmed = [json.loads(row.content) for row in audit.of_kind(connection, company, AuditKind.ADOPTED)]
    adopted = {folder for one in confirmed for folder in one["folders"]}
    unknown = [*run_folders(config.runs, company, known.keys() | adopted)]
    unknown += [
        folder
        for folder, run in known.items()
        if not run.ended and folder not in adopted and not in_the_trail(config, engine, company, folder)
    ]
    asked = billing.newest_requests(_REQUESTS) if isinstance(billing, BillingReader) else []
    told = {request for one in confirmed for request in one["requests"]}
    requests = [request for request in unknown_requests(engine, asked) if request not in told]
    return Beyond({folder: _run_json(config, folder) for folder in unknown}, requests)


def in_the_trail(config: Config, engine: Engine, company: str, folder: str) -> bool:
    """Whether this state has the end of the trail that a run's ``run.json`` names; true without a ``run.json``."""
    path = RunFolder(config.runs / folder).verdict
    if not path.exists():
        return True
    try:
        named = read_json(path)["audit"]
        with reading(engine) as connection:
            return audit.seal_at(connection, company, int(named["sequence"])) == str(named["seal"])
    except (ConfigurationError, KeyError, TypeError, ValueError):
        return True  # damaged, or from before there was a trail: nothing that speaks against this state


def confirmation(found: Beyond, permission: Permission) -> dict[str, Any]:
    """What the audit trail keeps of a confirmation."""
    return {
        "folders": dict(found.folders),
        "requests": list(found.requests),
        "who": permission.who,
        "because": permission.because,
    }


def _run_json(config: Config, folder: str) -> str:
    path = RunFolder(config.runs / folder).verdict
    return digest(path) if path.exists() else ""
