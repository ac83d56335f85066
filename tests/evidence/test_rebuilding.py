"""A run whose process was killed is filed by the next one that opens, or by command: red, with all that it left."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from datetime import timedelta
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from reconcile.connections import store_credentials
from reconcile.errors import ConfigurationError
from reconcile.evidence import AtWork, is_at_work, write_text
from reconcile.model.runs import Outcome
from reconcile.rebuilding import died, file_the_dead, rebuild
from reconcile.restored import WENT_BACK
from reconcile.state import lease, permissions, runs
from reconcile.state.tokens import make_key_file
from reconcile.verification import verify
from tests.evidence.conftest import COMPANY, Office

CANARY = "canary-access-token"
SAID = f"the token is {CANARY}"


@pytest.fixture
def office(office: Office) -> Office:
    """An office that keeps credentials, so that there is something to hide."""
    make_key_file(office.config.key_file)
    names = ("client_id", "client_secret", "access_token", "refresh_token")
    store_credentials(office.config, COMPANY, {name: f"canary-{name.replace('_', '-')}" for name in names})
    return office


def partial_notebook(*, cut: bool = False) -> str:
    cell = new_code_cell("print(token)", outputs=[new_output("stream", name="stdout", text=SAID)])
    whole = nbformat.writes(new_notebook(cells=[cell]))
    return whole[:-20] if cut else whole


def no_secret_left(office: Office, run: Any) -> bool:
    files = [path for path in office.folder(run).path.rglob("*") if path.is_file()]
    return bool(files) and not any(b"canary" in path.read_bytes() for path in files)


def test_a_run_that_was_killed_is_filed_red_with_what_it_left(office: Office) -> None:
    run = office.begin()
    office.work(run, answered=False)  # its lease is still held: nobody was left to let go
    write_text(office.folder(run).partial_notebook, partial_notebook())
    write_text(office.folder(run).notebook.with_name(".sync.ipynb.partial"), "half")
    assert not died(office.config, office.engine, run)
    assert file_the_dead(office.config, office.engine, COMPANY) == []
    office.dies(run)
    [filed] = file_the_dead(office.config, office.engine, COMPANY)
    assert filed.outcome is Outcome.STEP_FAILED
    assert "The process of this run ended before the run did" in filed.reason
    told = office.filed(run)
    assert (told["outcome"], told["writes"]) == ("a step failed", {"sent": 2})
    assert set(told["artifacts"]) == {"findings.json", "journal.jsonl", "plan.json", "sync.ipynb"}
    notebook = json.loads(office.folder(run).notebook.read_text(encoding="utf-8"))
    assert "The process of this run ended" in "".join(notebook["cells"][0]["outputs"][0]["data"]["text/html"])
    assert "[redacted]" in json.dumps(notebook)
    assert no_secret_left(office, run)
    assert not list(office.folder(run).path.glob(".*"))
    assert file_the_dead(office.config, office.engine, COMPANY) == []
    lease.acquire(office.engine, COMPANY, "next:1", "next", timedelta(minutes=1)).release()
    assert verify(office.config, office.engine, COMPANY).exit_code == 0


def test_a_run_killed_while_its_notebook_was_written_keeps_what_is_left_as_text_and_earlier_runs_intact(
    office: Office,
) -> None:
    earlier = office.run()
    before = {path: path.read_bytes() for path in office.folder(earlier).files()}
    run = office.begin()
    write_text(office.folder(run).partial_notebook, partial_notebook(cut=True))
    office.dies(run)
    filed = rebuild(office.config, office.engine, run.id)
    assert filed.outcome is Outcome.STOPPED
    assert "cut off while it was being written; what is left of it is in sync.partial.txt" in filed.reason
    assert "[redacted]" in office.folder(run).damaged_notebook.read_text(encoding="utf-8")
    assert "sync.partial.txt" in office.filed(run)["artifacts"]
    assert no_secret_left(office, run)
    assert {path: path.read_bytes() for path in office.folder(earlier).files()} == before


def test_a_process_killed_from_one_moment_to_the_next_lets_go_of_its_run(office: Office) -> None:
    run = office.begin()
    folder = office.folder(run)
    office.at_work.pop(run.id).end()
    ready = multiprocessing.get_context("fork").Event()

    process = multiprocessing.get_context("fork").Process(target=_at_work, args=(folder, ready))
    process.start()
    assert ready.wait(30)
    assert is_at_work(folder)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(30)
    assert not is_at_work(folder)
    assert died(office.config, office.engine, run)


def _at_work(folder: Any, ready: Any) -> None:
    kept = AtWork(folder)
    ready.set()
    signal.pause()
    kept.end()


def test_what_is_at_work_filed_already_or_elsewhere_is_not_rebuilt(office: Office) -> None:
    filed, working, elsewhere = office.run(), office.begin(), office.begin()
    with pytest.raises(ConfigurationError, match="is filed already"):
        rebuild(office.config, office.engine, filed.id)
    with pytest.raises(ConfigurationError, match="is still at work"):
        rebuild(office.config, office.engine, working.id)
    office.dies(elsewhere)
    office.folder(elsewhere).path.rename(office.config.runs / "away")
    with pytest.raises(ConfigurationError, match="is not here, so nothing can be filed"):
        rebuild(office.config, office.engine, elsewhere.id)
    with pytest.raises(ConfigurationError, match="There is no run"):
        rebuild(office.config, office.engine, "nobody")


def test_a_run_held_by_another_machine_is_left_alone(office: Office) -> None:
    run = office.begin()
    lease.acquire(office.engine, COMPANY, "another-machine:1", run.id, timedelta(minutes=15))
    office.dies(run)
    assert not died(office.config, office.engine, run)
    with pytest.raises(ConfigurationError, match="is still at work"):
        rebuild(office.config, office.engine, run.id)


def test_an_interactive_run_that_was_left_is_not_called_killed(office: Office) -> None:
    run = office.begin(kind="interactive", apply=False)
    office.dies(run)
    assert rebuild(office.config, office.engine, run.id).reason.startswith("This run was left before its last cell.")
    assert runs.unfinished(office.engine, COMPANY) == []


def test_with_a_full_disk_the_run_stays_what_it_came_to_and_nothing_half_written_stays(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = office.run()
    run = office.begin()
    write_text(office.folder(run).partial_notebook, partial_notebook())
    office.dies(run)

    def disk_full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", disk_full)
        filed = rebuild(office.config, office.engine, run.id)
    assert filed.outcome is Outcome.STOPPED
    assert "could not be saved completely: No space left on device" in filed.reason
    assert runs.get(office.engine, run.id) == filed
    assert not list(office.folder(run).path.glob(".*"))
    found = verify(office.config, office.engine, COMPANY)
    assert (found.altered, len(found.notes)) == ("", 1)
    assert office.folder(earlier).verdict.exists()


def test_a_run_killed_between_its_verdict_and_the_seal_stays_what_it_came_to(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.run()

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("reconcile.state.audit.append", killed)
        with pytest.raises(KeyboardInterrupt):
            office.run()
    [run] = runs.unfinished(office.engine, COMPANY)
    told = office.folder(run).verdict.read_bytes()
    office.dies(run)
    filed = rebuild(office.config, office.engine, run.id)
    assert filed.outcome is Outcome.AGREED
    assert office.folder(run).verdict.read_bytes() == told
    assert verify(office.config, office.engine, COMPANY).exit_code == 0


@pytest.mark.parametrize("writes", [0, 1])
def test_a_run_killed_before_its_first_write_gives_back_what_was_let_pass_for_it(office: Office, writes: int) -> None:
    given = {}
    for guard in ("many-endings", WENT_BACK):
        given[guard] = permissions.give(office.engine, COMPANY, permissions.Wanted(guard, "spring cleaning", "Ann"))
    run = office.begin()
    for permission in given.values():
        permissions.use(office.engine, permission, run.id)
    office.work(run, writes)
    office.dies(run)
    file_the_dead(office.config, office.engine, COMPANY)
    left = {one.guard: one.used_in for one in permissions.listed(office.engine, COMPANY)}
    assert left == {"many-endings": (run.id,) if writes else (), WENT_BACK: (run.id,)}
