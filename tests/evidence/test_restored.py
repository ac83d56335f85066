"""What lies outside of the state says when the state went back in time, down to the middle of a run."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from reconcile.evidence import make_folder, write_text
from reconcile.filing import file_run
from reconcile.model.entities import Side
from reconcile.model.guards import GUARDS
from reconcile.model.runs import Run
from reconcile.rebuilding import file_the_dead
from reconcile.restored import WENT_BACK, Beyond, beyond
from reconcile.sides.memory import MemorySide
from reconcile.state.database import file_of, open_state
from reconcile.verdict import Ending, Execution
from tests.evidence.conftest import COMPANY, Office

Restore = Callable[[], None]


def backup(office: Office) -> Restore:
    """Copy the state; gives what puts the copy back."""
    state = file_of(office.engine)
    assert state is not None
    kept = state.with_name("kept.db")
    _copy(state, kept)

    def restore() -> None:
        office.engine.dispose()
        _copy(kept, state)
        office.engine = open_state(office.config.state_url)

    return restore


def _copy(source: Path, target: Path) -> None:
    with sqlite3.connect(source) as one, sqlite3.connect(target) as other:
        one.backup(other)


def looked(office: Office) -> Beyond:
    return beyond(office.config, office.engine, COMPANY, MemorySide(Side.BILLING))


def test_a_state_that_knows_all_its_runs_did_not_go_back(office: Office) -> None:
    assert looked(office) == Beyond({}, [])
    office.run()
    office.begin()
    make_folder(office.config.runs, COMPANY, "night", "another", office.now)  # about to be written into the state
    assert looked(office).guards() == []


def test_a_restored_state_lacks_the_newer_runs_and_the_guard_names_the_newest(office: Office) -> None:
    office.run()
    restore = backup(office)
    newer = [office.run(), office.run()]
    restore()
    found = looked(office)
    assert set(found.folders) == {run.folder for run in newer}
    [guard] = found.guards()
    assert guard.name == WENT_BACK
    assert guard.name in GUARDS
    assert f"the evidence of 2 runs is newer than it (newest: {newer[1].folder})" in guard.sentence


@pytest.mark.parametrize("writes", [0, 2])
def test_a_copy_made_in_the_middle_of_a_run_neither_files_it_as_dead_nor_is_believed(
    office: Office, writes: int
) -> None:
    run = office.begin()
    restore = backup(office)
    filed = _filed(office, run, writes)
    verdict = office.folder(run).verdict.read_bytes()
    restore()
    assert set(looked(office).folders) == ({run.folder} if writes else set())
    done = file_the_dead(office.config, office.engine, COMPANY)
    assert office.folder(run).verdict.read_bytes() == verdict, "true evidence is never overwritten"
    assert [one.outcome for one in done] == ([] if writes else [filed.outcome])


def _filed(office: Office, run: Run, writes: int) -> Run:
    office.work(run, writes).release()
    filed = file_run(office.config, office.engine, run.id, Execution(Ending.CELL_FAILED, "It failed."))
    office.at_work.pop(run.id).end()
    return filed


def test_a_folder_with_evidence_of_no_run_speaks_against_the_state(office: Office) -> None:
    folder = make_folder(office.config.runs, COMPANY, "night", "another", office.now)
    write_text(folder.plan, "{}")
    assert list(looked(office).folders.values()) == [""]
