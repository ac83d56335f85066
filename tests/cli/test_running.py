"""A company run by command: what is printed, what is left behind, and how systems that say no are told."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.cli.conftest import COMPANY, Company, Terminal, complains


def stopped(company: Company, *words: str) -> None:
    """A run that could not begin: exit code 3, one sentence, and its evidence."""
    done = company.terminal("run", COMPANY)
    assert done.returncode == 3, done.stdout + done.stderr
    assert done.stderr == ""
    said = done.stdout.splitlines()
    assert said[0] == "STOPPED BEFORE WRITING"
    for word in words:
        assert word in said[1], said
    folder = Path(said[-1].partition("evidence: ")[2])
    filed = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert (filed["exit_code"], filed["reason"]) == (3, said[1])
    assert {"sync.ipynb", "journal.jsonl"} <= set(filed["artifacts"])
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for secret in ("canary", *(company.quickbooks[name] for name in ("client_secret", "refresh_token"))):
            assert secret.encode() not in content, path


def test_a_dry_run_then_a_run_then_what_was_done_is_explained(company: Company) -> None:
    desk = company.terminal
    planned = desk("run", COMPANY, "--dry-run")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert planned.stdout.startswith("PLANNED\nDry run: 0 writes planned, nothing was written.")
    done = desk.fresh("run", COMPANY, "--slot", "01:30")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("AGREED\nNothing had to be written.")
    assert company.last_run()["slot"] == "01:30"

    listed = desk("runs", COMPANY, "--limit", "1").stdout
    assert "01:30" in listed
    assert "agreed" in listed
    run_id = listed.split()[0]
    folder = Path(done.stdout.strip().partition("evidence: ")[2])
    explained = desk("show", run_id)
    assert (explained.returncode, explained.stderr) == (0, "")
    assert explained.stdout.startswith(done.stdout.rstrip())
    for same in (str(folder), os.path.relpath(folder / "sync.ipynb", desk.root)):
        assert desk("show", same).stdout == explained.stdout
    complains(desk("show", str(folder.parent)), "There is no run")


def test_a_quickbooks_that_does_not_answer_is_named(company: Company) -> None:
    company.configure(base_url="http://127.0.0.1:1")
    stopped(company, "answers at the address of QuickBooks (127.0.0.1)", "Check the address and the network")
    company.configure()


def test_a_quickbooks_that_refuses_the_program_or_the_connection_says_which(company: Company) -> None:
    company.credentials(access_token="expired-canary", client_secret="wrong-canary")
    stopped(company, "does not accept the program's own credentials", "Check the client id and secret")
    company.credentials(access_token="expired-canary", refresh_token="revoked-canary")
    stopped(company, "QuickBooks has ended the connection", "Connect this company to QuickBooks again")
    company.credentials()


def test_a_missing_billing_database_is_named_and_not_made(company: Company) -> None:
    company.configure(billing="sqlite:///nowhere.db")
    stopped(company, "nowhere.db")
    assert not (company.terminal.root / "nowhere.db").exists()
    company.configure()


def test_reliabills_commands_make_a_database_and_live_through_its_midnight(terminal: Terminal) -> None:
    made = terminal("sandbox", "billing", "billing.db", "--today", "2026-11-22")
    counts = json.loads(made.stdout)
    assert counts["customers"] > 10
    assert counts["recurring_profiles"] == 3
    complains(terminal("sandbox", "billing", "billing.db"), "There are tables in", "Choose a new place")
    night = json.loads(terminal("sandbox", "midnight", "billing.db", "--date", "2026-11-23").stdout)
    assert night["charges"]
    assert not night["already_done"]
    assert json.loads(terminal("sandbox", "midnight", "billing.db", "--date", "2026-11-23").stdout)["already_done"]
    complains(terminal("sandbox", "midnight", "nowhere.db"), "no ReliaBills database", "reconcile sandbox billing")
    complains(terminal("sandbox", "midnight", "billing.db", "--date", "tomorrow"), "'tomorrow' is no date")
    complains(terminal("sandbox", "billing", "other.db", "--sample", "acme"), "choose craigs or empty")
