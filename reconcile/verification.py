"""Verifying the evidence: the audit trail, the journal it seals, every run's folder, and how they hang together.

Three chains hold each other. The audit trail in the state database has one row per outcome of a write and per filed
run, each sealed with the row before. Every ``run.json`` holds the hashes of its run's files, the hash of the
``run.json`` before it, and the end of the audit trail at that moment; the trail then holds the hash of that
``run.json``. So whoever alters one of them must alter all that came later in both places.

What this cannot show: that somebody who may write to both places has rewritten everything from some point on, the
newest run included. Against that the head of the trail is kept elsewhere (it stands on each certificate and is printed
by ``reconcile verify``), and compared: ``reconcile verify COMPANY --head HEAD``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, TypedDict

from sqlalchemy import Engine

from reconcile.config import Config
from reconcile.errors import ConfigurationError
from reconcile.evidence import RunFolder, digest, read_json, run_folders
from reconcile.model.audit import AuditKind, AuditRow, Head
from reconcile.model.journal import EntryStatus
from reconcile.model.runs import Run
from reconcile.rebuilding import died
from reconcile.state import audit, runs
from reconcile.state.database import reading

_LINES_AT_ONCE = 1_000


class _AlteredError(Exception):
    """The first thing that is not as it was; the message names it."""


class _Told(TypedDict):
    """What a trail's row says of a filed run."""

    folder: str
    outcome: str
    run_json: str


@dataclass(slots=True)
class Verified:
    """What was found.

    Attributes:
        company: company key.
        altered: the first thing that was altered, is missing or was added, in words; empty when all is as it was.
        notes: what is no sign of tampering but needs a person, in words.
        rows, runs, files: how much was looked at.
        head: end of the audit trail: worth keeping elsewhere.
    """

    company: str
    altered: str = ""
    notes: list[str] = field(default_factory=list)
    rows: int = 0
    runs: int = 0
    files: int = 0
    head: Head = field(default_factory=Head)

    @property
    def exit_code(self) -> int:
        """0 all is as it was, 1 it is but somebody should look, 2 something was altered."""
        return 2 if self.altered else 1 if self.notes else 0


def verify(config: Config, engine: Engine, company: str, head: Head | None = None) -> Verified:
    """Walk through all evidence of a company, oldest first, until something is not as it was.

    Args:
        config: where the runs are.
        engine: the state.
        company: company key.
        head: end of the trail as somebody kept it elsewhere; the trail must still contain it.
    """
    found = Verified(company)
    try:
        _Walk(config, engine, found).all(head)
    except _AlteredError as error:
        found.altered = str(error)
    return found


class _Walk:
    """One verification of one company."""

    def __init__(self, config: Config, engine: Engine, found: Verified) -> None:
        self.config = config
        self.engine = engine
        self.found = found
        self.known = runs.brief(engine, found.company)
        self.folders: set[str] = set()
        self.filed: set[str] = set()
        self.last_run_json = ""

    def all(self, kept: Head | None) -> None:
        for walked in audit.walk(self.engine, self.found.company):
            row = walked.row
            self._sealed(row)
            if row.kind is AuditKind.OUTCOME:
                self._outcome(walked)
            elif row.kind is AuditKind.RUN:
                self._run(row)
            else:
                self._adopted(row)
            self.found.head = Head(row.sequence, row.seal)
            self.found.rows += 1
        self._what_the_trail_does_not_know()
        if kept is not None:
            self._still_there(kept)

    # The trail and the journal

    def _sealed(self, row: AuditRow) -> None:
        before = self.found.head
        if row.sequence != before.sequence + 1:
            gap = f"row {before.sequence + 1} is" if row.sequence == before.sequence + 2 else "rows are"
            raise _AlteredError(f"The audit trail was cut: {gap} missing before row {row.sequence} ({_event(row)}).")
        if row.seal != row.computed_seal():
            raise _AlteredError(f"Row {row.sequence} of the audit trail was altered ({_event(row)}).")
        if row.previous != before.seal:
            raise _AlteredError(
                f"Row {before.sequence} of the audit trail was replaced: row {row.sequence} ({_event(row)}) was sealed "
                "with another one."
            )

    def _outcome(self, walked: audit.Walked) -> None:
        row = walked.row
        if walked.missing:
            raise _AlteredError(f"Journal entry {row.entry_id} is missing ({_event(row)}).")
        if walked.entry is not None and walked.entry != json.loads(row.content)["entry"]:
            raise _AlteredError(f"Journal entry {row.entry_id} was altered after it was answered ({_event(row)}).")

    # Runs

    def _run(self, row: AuditRow) -> None:
        told: _Told = json.loads(row.content)
        self.filed.add(row.run_id)
        self.folders.add(told["folder"])
        self.found.runs += 1
        stored = self.known.get(row.run_id)
        if stored is None:
            raise _AlteredError(f"Run {row.run_id}, filed {_when(row.at)}, is missing from the state's list of runs.")
        if (stored.folder, stored.outcome.value) != (told["folder"], told["outcome"]):
            raise _AlteredError(
                f"Run {row.run_id} was altered in the state's list of runs: it was filed as {told['outcome']!r} in "
                f"{told['folder']}, now it says {stored.outcome.value!r} in {stored.folder}."
            )
        if not told["run_json"]:
            self.found.notes.append(f"The evidence of run {row.run_id} could not be saved when it was filed.")
            self.last_run_json = ""
            return
        content = self._evidence(row.run_id, told["folder"], told["run_json"])
        if content.get("previous") != self.last_run_json:
            raise _AlteredError(f"Run {row.run_id} was filed after another run than the trail has before it.")
        if content.get("audit") != {"sequence": self.found.head.sequence, "seal": self.found.head.seal}:
            raise _AlteredError(
                f"The audit trail before row {row.sequence} is not the one that run {row.run_id} was filed with."
            )
        self._extract(row, told["folder"])
        self.last_run_json = told["run_json"]

    def _adopted(self, row: AuditRow) -> None:
        """Evidence from before the state was restored: its runs are not in the state, its files are as they were."""
        for folder, run_json in json.loads(row.content)["folders"].items():
            if folder in self.folders:
                continue
            self.folders.add(folder)
            if run_json:
                self._evidence("", folder, run_json)

    def _evidence(self, run_id: str, folder: str, run_json: str) -> Mapping[str, Any]:
        """The ``run.json`` of a run, once it and every file that it names are as they were filed."""
        place = RunFolder(self.config.runs / folder)
        whose = f"run {run_id} ({folder})" if run_id else f"the run in {folder}"
        if not place.path.is_dir():
            raise _AlteredError(f"The folder of {whose} is missing.")
        if not place.verdict.is_file():
            raise _AlteredError(f"run.json of {whose} is missing.")
        if digest(place.verdict) != run_json:
            raise _AlteredError(_altered_verdict(place, run_id, whose))
        content: Mapping[str, Any] = read_json(place.verdict)
        for name, filed in content["artifacts"].items():
            file = place.path / name
            if not file.is_file():
                raise _AlteredError(f"{name} of {whose} is missing.")
            if digest(file) != filed:
                raise _AlteredError(f"{name} of {whose} was altered after it was filed.")
            self.found.files += 1
        for file in place.files():
            name = str(file.relative_to(place.path))
            if name not in content["artifacts"] and file != place.verdict:
                raise _AlteredError(f"{name} was added to the folder of {whose} after it was filed.")
        return content

    def _extract(self, filed: AuditRow, folder: str) -> None:
        """Every answered line of the journal extract is an outcome that the trail had when the run was filed."""
        path = RunFolder(self.config.runs / folder).journal
        if not path.exists():
            return
        with path.open(encoding="utf-8") as stream:
            written = (line for line in stream if line.strip())
            while lines := [json.loads(line) for line in islice(written, _LINES_AT_ONCE)]:
                with reading(self.engine) as connection:
                    outcomes = audit.of_entries(connection, filed.company, [line["id"] for line in lines])
                for line in lines:
                    if line["status"] in (EntryStatus.INTENT, EntryStatus.SENT):
                        continue
                    known = [row for row in outcomes.get(line["id"], []) if row.sequence < filed.sequence]
                    if not known or any(json.loads(known[-1].content)[name] != line[name] for name in _SAME):
                        raise _AlteredError(
                            f"journal.jsonl of run {filed.run_id} says of entry {line['id']} what the audit trail does "
                            "not know."
                        )

    # What is there and should not be

    def _what_the_trail_does_not_know(self) -> None:
        began = self._began()
        unfiled = {run_id: stored for run_id, stored in sorted(self.known.items()) if run_id not in self.filed}
        older = {run_id for run_id, run in unfiled.items() if run.ended and (began is None or run.started_at < began)}
        self.folders |= {run.folder for run_id, run in unfiled.items() if not run.ended or run_id in older}
        for folder in run_folders(self.config.runs, self.found.company, self.folders):
            raise _AlteredError(self._unknown(folder))
        entry = audit.unsealed_entry(self.engine, self.found.company)
        if entry is not None:
            raise _AlteredError(f"Journal entry {entry[0]} (run {entry[1]}) was added: the audit trail has no outcome.")
        for run_id, stored in unfiled.items():
            if not stored.ended:
                self._unfinished(runs.get(self.engine, run_id))
            elif run_id not in older:
                raise _AlteredError(f"Run {run_id} was added to the state's list of runs: it was never filed.")
        if older:
            self.found.notes.append(f"{len(older)} runs are older than the audit trail; it says nothing of them.")

    def _began(self) -> datetime | None:
        with reading(self.engine) as connection:
            return audit.began(connection, self.found.company)

    def _unfinished(self, run: Run) -> None:
        if died(self.config, self.engine, run):
            self.found.notes.append(
                f"Run {run.id} died without being filed; `reconcile rebuild {run.id}` files what it left."
            )

    def _unknown(self, folder: str) -> str:
        try:
            content = read_json(RunFolder(self.config.runs / folder).verdict)
            sequence = int(content["audit"]["sequence"])
        except (ConfigurationError, KeyError, TypeError, ValueError):
            sequence = 0
        if sequence >= self.found.head.sequence and sequence:
            return (
                f"The audit trail ends at row {self.found.head.sequence}, but the run in {folder} was filed after row "
                f"{sequence}: the newest rows were removed, or the state was restored from an older copy."
            )
        return f"The folder {folder} was added: no run of it was ever filed."

    def _still_there(self, kept: Head) -> None:
        with reading(self.engine) as connection:
            seal = audit.seal_at(connection, self.found.company, kept.sequence)
        if seal is None:
            raise _AlteredError(
                f"The audit trail ends at row {self.found.head.sequence}; the head that was kept is row "
                f"{kept.sequence}: the newest rows were removed, or the state was restored from an older copy."
            )
        if seal != kept.seal:
            raise _AlteredError(
                f"Row {kept.sequence} of the audit trail is not the one whose seal was kept: the trail was rewritten "
                "at or before it."
            )


_SAME = ("request_id", "payload_hash", "status", "target_id", "version_after")


def _altered_verdict(place: RunFolder, run_id: str, whose: str) -> str:
    try:
        found = read_json(place.verdict).get("run", "")
    except (ConfigurationError, AttributeError):
        return f"run.json of {whose} was damaged or altered after it was filed."
    if run_id and found and found != run_id:
        return f"The folder of {whose} holds the evidence of another run, {found}."
    return f"run.json of {whose} was altered after it was filed."


def _event(row: AuditRow) -> str:
    if row.kind is AuditKind.RUN:
        return f"filing of run {row.run_id}, {_when(row.at)}"
    if row.kind is AuditKind.ADOPTED:
        return f"confirmation in run {row.run_id}, {_when(row.at)}"
    return f"outcome of entry {row.entry_id}, run {row.run_id}, {_when(row.at)}"


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
