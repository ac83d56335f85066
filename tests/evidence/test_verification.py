"""Whatever is altered, removed, slipped in or swapped in the evidence is named: the first of it, in words."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from reconcile.evidence import digest
from reconcile.model.audit import AuditKind, Head
from reconcile.model.journal import Answer, EntryStatus
from reconcile.model.runs import Outcome, Run
from reconcile.rebuilding import rebuild
from reconcile.state import audit, lease, runs
from reconcile.state.database import reading
from reconcile.state.journal import Journal
from reconcile.verification import Verified, verify
from tests.evidence.conftest import COMPANY, Office

Tamper = Callable[[Office, list[Run]], object]


def checked(office: Office, head: Head | None = None) -> Verified:
    return verify(office.config, office.engine, COMPANY, head)


def three_runs(office: Office) -> list[Run]:
    return [office.run(), office.run(0), office.run(3)]


def test_what_nobody_touched_is_as_it_was_filed(office_on_either_database: Office) -> None:
    office = office_on_either_database
    assert checked(office) == Verified(COMPANY)
    filed = three_runs(office)
    found = checked(office)
    assert (found.altered, found.notes, found.exit_code) == ("", [], 0)
    assert (found.rows, found.runs, found.files) == (2 + 0 + 3 + 3, 3, 9)
    assert office.filed(filed[0])["previous"] == ""
    assert office.filed(filed[2])["previous"] == digest(office.folder(filed[1]).verdict)
    assert office.filed(filed[1])["audit"]["sequence"] == 3
    assert checked(office, found.head).exit_code == 0
    assert checked(office, Head(3, office.filed(filed[1])["audit"]["seal"])).exit_code == 0


def test_a_company_that_never_ran_has_nothing_to_verify(office: Office) -> None:
    assert checked(office).exit_code == 0


def one_byte(name: str) -> Tamper:
    def tamper(office: Office, filed: list[Run]) -> None:
        path = office.folder(filed[1]).path / name
        content = bytearray(path.read_bytes() or b" ")
        content[0] ^= 1
        path.write_bytes(content)

    return tamper


def rewritten_with_all_hashes_right(office: Office, filed: list[Run]) -> None:
    folder = office.folder(filed[1])
    content = dict(office.filed(filed[1])) | {"reason": "Nothing ever happened."}
    folder.plan.write_text("{}", encoding="utf-8")
    content["artifacts"]["plan.json"] = digest(folder.plan)
    folder.verdict.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def swapped(office: Office, filed: list[Run]) -> None:
    one, two = (office.folder(run).path for run in filed[:2])
    aside = one.with_name("aside")
    one.rename(aside)
    two.rename(one)
    aside.rename(two)


def resealed(office: Office, filed: list[Run]) -> None:
    """Somebody who knows the recipe alters a row of the trail and seals that one anew."""
    with reading(office.engine) as connection:
        row = next(row for row in audit.of_kind(connection, COMPANY, AuditKind.OUTCOME) if row.sequence == 2)
    altered = replace(row, content=row.content.replace('"done"', '"failed"'))
    office.tamper(
        "UPDATE audit SET content = :content, seal = :seal WHERE sequence = 2",
        content=altered.content,
        seal=altered.computed_seal(),
    )
    assert filed


def slipped_in(office: Office, filed: list[Run]) -> None:
    columns = (
        "company, run_id, op_id, step, action, side, record_key, target_id, operation, fields, payload_hash, status, "
        "version_after, trace, code, reason, evidence, intended_at, sent_at, answered_at"
    )
    office.tamper(
        f"INSERT INTO journal ({columns}, identity, generation, request_id) "
        f"SELECT {columns}, 'other', 0, 'other' FROM journal WHERE run_id = :run LIMIT 1",
        run=filed[2].id,
    )


TAMPERED: dict[str, tuple[Tamper, str]] = {
    "a byte of the plan": (one_byte("plan.json"), r"plan.json of run {1} .* was altered after it was filed"),
    "a byte of the journal": (one_byte("journal.jsonl"), r"journal.jsonl of run {1} .* was altered"),
    "a byte of the verdict": (one_byte("run.json"), r"run.json of run {1} .* was damaged or altered"),
    "a file deleted": (
        lambda office, filed: office.folder(filed[1]).findings.unlink(),
        r"findings.json of run {1} .* is missing",
    ),
    "a file added": (
        lambda office, filed: office.folder(filed[1]).path.joinpath("sync.ipynb").write_text("{}"),
        r"sync.ipynb was added to the folder of run {1}",
    ),
    "the verdict deleted": (
        lambda office, filed: office.folder(filed[1]).verdict.unlink(),
        r"run.json of run {1} .* is missing",
    ),
    "a folder deleted": (
        lambda office, filed: shutil.rmtree(office.folder(filed[1]).path),
        r"The folder of run {1} .* is missing",
    ),
    "the newest folder deleted": (
        lambda office, filed: shutil.rmtree(office.folder(filed[2]).path),
        r"The folder of run {2} .* is missing",
    ),
    "a folder added": (
        lambda office, filed: shutil.copytree(
            office.folder(filed[1]).path, office.folder(filed[1]).path.with_name("999999-night-copy")
        ),
        r"The folder .*999999-night-copy was added",
    ),
    "folders swapped": (swapped, r"The folder of run {0} .* holds the evidence of another run, {1}"),
    "a verdict rewritten with all hashes right": (rewritten_with_all_hashes_right, r"run.json of run {1} .* altered"),
    "a journal row edited": (
        lambda office, _: office.tamper("UPDATE journal SET reason = 'it was you' WHERE id = 2"),
        r"Journal entry 2 was altered after it was answered \(outcome of entry 2, run {0}",
    ),
    "a journal row deleted": (
        lambda office, _: office.tamper("DELETE FROM journal WHERE id = 2"),
        r"Journal entry 2 is missing",
    ),
    "a journal row added": (slipped_in, r"Journal entry \d+ \(run {2}\) was added"),
    "an audit row edited": (
        lambda office, _: office.tamper("UPDATE audit SET content = '{{}}' WHERE sequence = 2"),
        r"Row 2 of the audit trail was altered \(outcome of entry 2",
    ),
    "an audit row edited and sealed anew": (resealed, r"Row 2 of the audit trail was replaced"),
    "an audit row deleted": (
        lambda office, _: office.tamper("DELETE FROM audit WHERE sequence = 2"),
        r"The audit trail was cut: row 2 is missing before row 3 \(filing of run {0}",
    ),
    "the first audit rows deleted": (
        lambda office, _: office.tamper("DELETE FROM audit WHERE sequence < 4"),
        r"The audit trail was cut: rows are missing before row 4",
    ),
    "the newest audit rows deleted": (
        lambda office, _: office.tamper("DELETE FROM audit WHERE sequence > 4"),
        r"The audit trail ends at row 4, but the run in .* was filed after row 7: the newest rows were removed",
    ),
    "a run added to the state": (
        lambda office, filed: office.tamper(
            "INSERT INTO run SELECT 'another', company, kind, mode, apply, slot, slot_date, parameters, started_at, "
            "ended_at, outcome, reason, 'nowhere', counts, control_totals FROM run WHERE id = :run",
            run=filed[2].id,
        ),
        r"Run another was added to the state's list of runs",
    ),
    "a run removed from the state": (
        lambda office, filed: (
            office.tamper("DELETE FROM run_step WHERE run_id = :run", run=filed[1].id),
            office.tamper("DELETE FROM run WHERE id = :run", run=filed[1].id),
        ),
        r"Run {1}, filed .*, is missing from the state's list of runs",
    ),
    "a verdict edited in the state": (
        lambda office, filed: office.tamper(
            "UPDATE run SET outcome = 'a step failed' WHERE id = :run", run=filed[1].id
        ),
        r"Run {1} was altered in the state's list of runs: it was filed as 'agreed'",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_tampering_is_named(office: Office, what: str) -> None:
    filed = three_runs(office)
    tamper, sentence = TAMPERED[what]
    tamper(office, filed)
    found = checked(office)
    assert found.exit_code == 2
    assert re.search(sentence.format(*(run.id for run in filed)), found.altered), found.altered


def test_the_first_of_two_alterations_is_named(office: Office) -> None:
    filed = three_runs(office)
    for run in (filed[2], filed[0]):
        office.folder(run).plan.write_text("other", encoding="utf-8")
    assert filed[0].id in checked(office).altered


def test_a_trail_rewritten_from_some_point_on_does_not_hold_the_head_that_was_kept(office: Office) -> None:
    """The one forgery that needs a head kept elsewhere: state and folders rewritten up to the newest run."""
    filed = three_runs(office)
    kept = checked(office).head
    shutil.rmtree(office.folder(filed[2]).path)
    office.tamper("DELETE FROM audit WHERE sequence > 4")
    office.tamper("DELETE FROM journal WHERE run_id = :run", run=filed[2].id)
    office.tamper("DELETE FROM run_step WHERE run_id = :run", run=filed[2].id)
    office.tamper("DELETE FROM run WHERE id = :run", run=filed[2].id)
    assert checked(office).altered == ""
    assert "The audit trail ends at row 4; the head that was kept is row 8" in checked(office, kept).altered
    for _ in range(3):
        office.run(3)
    assert checked(office).altered == ""
    assert "is not the one whose seal was kept" in checked(office, kept).altered


def test_a_run_whose_evidence_could_not_be_saved_is_a_note_and_the_chain_goes_on(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.run()

    def disk_full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("reconcile.filing.write_json", disk_full)
        unsaved = office.run()
    assert unsaved.outcome is Outcome.AGREED
    assert unsaved.reason.endswith("Its evidence could not be saved completely: No space left on device.")
    office.run()
    found = checked(office)
    assert (found.altered, found.exit_code) == ("", 1)
    assert found.notes == [f"The evidence of run {unsaved.id} could not be saved when it was filed."]


def test_an_open_write_that_a_later_run_settles_is_no_alteration(office: Office) -> None:
    run = office.begin()
    held = office.work(run, answered=False)
    held.release()
    office.dies(run)
    assert checked(office).notes == [
        f"Run {run.id} died without being filed; `reconcile rebuild {run.id}` files what it left."
    ]
    rebuild(office.config, office.engine, run.id)
    later = office.begin()
    held = lease.acquire(office.engine, COMPANY, "host:1", later.id, timedelta(minutes=1))
    journal = Journal(office.engine, COMPANY, later.id, held)
    journal.answer([Answer(entry.id, EntryStatus.ABSENT, evidence="not there") for entry in journal.open_entries()])
    held.release()
    office.dies(later)
    rebuild(office.config, office.engine, later.id)
    assert (checked(office).altered, checked(office).notes) == ("", [])


def test_many_runs_are_walked_in_order(office: Office) -> None:
    for _ in range(10):
        office.run(1)
    assert (checked(office).runs, checked(office).altered) == (10, "")
    assert len(runs.brief(office.engine, COMPANY)) == 10
    with reading(office.engine) as connection:
        assert connection.execute(text("SELECT max(sequence) FROM audit")).scalar_one() == 20
