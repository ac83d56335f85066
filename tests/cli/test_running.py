"""A company run by command: what is printed, what is left behind, and how systems that say no are told."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import requests

from reconcile.demo.desk import BooksDesk
from tests.cli.conftest import COMPANY, Company, Terminal, complains


def stopped(company: Company, *words: str, code: int = 3, headline: str = "STOPPED BEFORE WRITING") -> None:
    """A run that could not begin: its exit code, one sentence, and its evidence."""
    done = company.terminal("run", COMPANY)
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stderr == ""
    said = done.stdout.splitlines()
    assert said[0] == headline
    for word in words:
        assert word in said[1], said
    folder = Path(said[-1].partition("evidence: ")[2])
    filed = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert (filed["exit_code"], filed["reason"]) == (code, said[1])
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

    verified = desk("verify", COMPANY)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    head = verified.stdout.split()[-1]
    assert verified.stdout.startswith(f"{COMPANY}: as filed: 2 rows of the audit trail, 2 runs, ")
    assert desk("verify", COMPANY, "--head", head).stdout == verified.stdout
    certificate = desk("show", run_id, "--certificate")
    assert certificate.returncode == 0, certificate.stderr
    for words in (run_id, "agreed (exit code 0)", "Both sides tie out", "Central"):
        assert words in certificate.stdout
    assert all(len(line) <= 110 for line in certificate.stdout.splitlines())
    complains(desk("rebuild", run_id), "is filed already (agreed)")
    complains(desk("verify", "--head", head), "A head belongs to one company")
    complains(desk("verify", COMPANY, "--head", "x"), "is not the head of an audit trail")
    plan = folder / "plan.json"
    plan.write_text(plan.read_text(encoding="utf-8") + " ", encoding="utf-8")
    altered = desk("verify")
    assert altered.returncode == 2
    assert altered.stdout.startswith(f"{COMPANY}: ALTERED. plan.json of run {run_id} ")
    plan.write_text(plan.read_text(encoding="utf-8")[:-1], encoding="utf-8")
    verdict = (folder / "run.json").read_bytes()
    (folder / "run.json").write_text("{", encoding="utf-8")
    complains(desk("show", run_id, "--certificate"), "run.json of the run in", "is damaged: it was cut off or altered")
    (folder / "run.json").unlink()
    complains(desk("show", run_id, "--certificate"), "run.json of the run in", "is missing")
    (folder / "run.json").write_bytes(verdict)


def test_a_quickbooks_that_does_not_answer_is_named(company: Company) -> None:
    company.configure(base_url="http://127.0.0.1:1")
    stopped(company, "answers at the address of QuickBooks (127.0.0.1)", "Check the address and the network")
    company.configure()


def test_a_quickbooks_that_refuses_the_program_or_the_connection_says_which(company: Company) -> None:
    company.credentials(access_token="expired-canary", client_secret="wrong-canary")
    stopped(company, "does not accept the program's own credentials", "Check the client id and secret")
    company.credentials(access_token="expired-canary", refresh_token="revoked-canary")
    words = ("QuickBooks has ended the connection", "Connect it again: `reconcile connect craigs`")
    stopped(company, *words, code=5, headline="STOPPED: DISCONNECTED")
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


def test_a_quickbooks_that_asks_for_patience_defers_the_run_and_every_command_says_so(company: Company) -> None:
    """The kernel is another process than the runner: what it met must reach the verdict, the box and the lists."""
    faults = f"{company.quickbooks['base_url']}/admin/faults"
    storm = {"action": "status", "status": 429, "headers": {"Retry-After": "0"}}
    requests.post(faults, json=storm, timeout=10).raise_for_status()
    stopped(company, "asked for fewer requests 6 times in a row", code=4, headline="DEFERRED: BUSY")
    requests.delete(faults, timeout=10).raise_for_status()
    filed = company.last_run()
    assert filed["deferred"]["cause"] == "busy"
    assert filed["deferred"]["until"] > filed["ended_at"]
    assert "deferred: busy" in company.terminal("runs", COMPANY, "--limit", "1").stdout
    assert company.terminal("show", filed["run"]).stdout.startswith("DEFERRED: BUSY\n")
    assert re.search(r"deferred +busy, tried again after 20", company.terminal("status", COMPANY).stdout)
    assert company.terminal("run", COMPANY).stdout.startswith("AGREED\n")


def test_a_plan_is_made_looked_at_and_carried_out_by_command(company: Company) -> None:
    desk, quickbooks = company.terminal, company.quickbooks
    books = BooksDesk(quickbooks["base_url"], quickbooks["realm_id"], quickbooks["access_token"])
    mail = {"Address": "payable@example.com"}
    for name in ("Amy's \x1b[31mBirds", "Cool Cars"):
        books.save("Customer", DisplayName=name, GivenName="Amy", FamilyName="Lauterbach", PrimaryEmailAddr=mail)
    planned = desk("plan", COMPANY)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "- create customer Cool Cars in ReliaBills: New in QuickBooks" in planned.stdout
    assert "\x1b" not in planned.stdout
    last = company.last_run()
    assert f"Plan {last['counts']['plan']}\n" in planned.stdout
    assert planned.stdout.endswith(f"`reconcile apply {last['run']}`\n")

    books.change("Customer", books.one("Customer", "DisplayName", "Cool Cars"), Notes="-", CompanyName="Cool Cars Inc.")
    applied = desk("apply", last["run"])
    assert applied.returncode == 1, applied.stdout + applied.stderr
    assert applied.stdout.startswith("AGREED EXCEPT HELD\n1 write carried out.")
    assert (
        "- Create customer Cool Cars in ReliaBills was planned but is not done: it would be written" in applied.stdout
    )
    assert company.last_run()["kind"] == "apply"
    complains(desk("apply", "nobody"), "There is no run 'nobody'")


def test_a_run_is_undone_by_command_after_its_plan_was_looked_at(company: Company) -> None:
    desk, quickbooks = company.terminal, company.quickbooks
    books = BooksDesk(quickbooks["base_url"], quickbooks["realm_id"], quickbooks["access_token"])
    mail = {"Address": "payable@example.com"}
    desk("run", COMPANY)
    for name in ("Weiskopf \x1b[31mConsulting", "Sushi by Katsuyuki"):
        books.save("Customer", DisplayName=name, GivenName="Nicola", FamilyName=name[:8], PrimaryEmailAddr=mail)
    desk("run", COMPANY)
    made = company.last_run()["run"]
    with closing(sqlite3.connect(desk.root / "billing.db")) as billing, billing:
        billing.execute(
            "update customers set phone = '1', version = version + 1, account_name = 'Weiskopf' "
            "where account_name like 'Weiskopf%'"
        )

    planned = desk("undo", made)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "1 write of the run: cannot be undone\n" in planned.stdout
    assert "1 write of the run: is undone\n" in planned.stdout
    assert "It was changed in ReliaBills since: display name, phone." in planned.stdout
    assert f"- deactivate customer Sushi by Katsuyuki in ReliaBills: It was made by run {made}" in planned.stdout
    assert "\x1b" not in planned.stdout
    last = company.last_run()
    assert (last["kind"], last["counts"]["undo"]) == ("undo", {"cannot be undone": 1, "is undone": 1})
    assert {"sync.ipynb", "undo.json", "plan.json"} <= set(last["artifacts"])
    assert planned.stdout.endswith(f"`reconcile apply {last['run']}`\n")

    applied = desk("apply", last["run"])
    assert applied.returncode == 1, applied.stdout + applied.stderr
    assert applied.stdout.startswith("AGREED EXCEPT HELD\n1 write carried out.")
    with closing(sqlite3.connect(desk.root / "billing.db")) as billing:
        (active,) = billing.execute("select active from customers where account_name like 'Sushi%'").fetchone()
    assert not active
    complains(desk("undo", last["run"]), "has written nothing, so there is nothing to undo")
    complains(desk("undo", "nobody"), "There is no run 'nobody'")
    assert desk("verify", COMPANY).returncode == 0
