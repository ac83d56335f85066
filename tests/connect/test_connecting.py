"""A company connected, reconnected, disconnected: over the consent page of a local QuickBooks, by plain HTTP."""

from __future__ import annotations

import multiprocessing
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconcile.config import load_config
from reconcile.connect import CLIENT_ID_VARIABLE, CLIENT_SECRET_VARIABLE, Connector, disconnect, standing
from reconcile.connections import VaultTokenStore, open_vault, quickbooks_session
from reconcile.errors import GuardError, RefusedError
from reconcile.model.entities import Entity, Side
from reconcile.model.plan import Action
from reconcile.sandbox.quickbooks.process import QuickBooksSandbox
from reconcile.sides.quickbooks import QuickBooksReader, QuickBooksWriter
from reconcile.sides.side import Status, Write
from reconcile.state import companies, cursors
from reconcile.state.database import open_state
from reconcile.state.tokens import TokenVault
from tests.connect.conftest import COMPANY, FIRST, SECOND, Office, environment, led_back, office_at


def vault_of(office: Office) -> TokenVault:
    return open_vault(office.config, open_state(office.config.state_url))


def session_of(office: Office) -> Any:
    return quickbooks_session(office.config, office.config.company(COMPANY), open_state(office.config.state_url))


def test_a_consent_leaves_a_company_that_can_be_read(office: Office) -> None:
    made = office.connect()
    assert (made.realm_id, made.name, made.problem) == (FIRST, "Empty Company", "")
    assert QuickBooksReader(session_of(office)).identity().company_id == FIRST
    found = standing(office.config, COMPANY)
    assert found.warnings(datetime.now(UTC)) == []
    assert found.who is not None
    assert ("QuickBooks company id", FIRST) in found.facts()
    assert found.tokens is not None
    assert found.tokens.connection_expires_at is not None


def test_both_expiry_dates_are_warned_of_thirty_days_ahead(office: Office) -> None:
    office.connect()
    found = standing(office.config, COMPANY)
    assert found.tokens is not None
    assert found.tokens.refresh_expires_at is not None
    assert found.tokens.connection_expires_at is not None
    soon = found.tokens.refresh_expires_at - timedelta(days=29)
    assert [warning.split(" unless")[0] for warning in found.warnings(soon)] == ["The connection ends"]
    assert found.warnings(soon - timedelta(days=2)) == []
    late = found.tokens.connection_expires_at - timedelta(days=29)
    assert any("Intuit wants a person's consent again" in warning for warning in found.warnings(late))
    assert any("that has passed" in warning for warning in found.warnings(late))


def test_another_company_than_the_configured_one_is_refused_and_its_code_never_exchanged(
    tmp_path: Path, sqlite_state_url: str, quickbooks: QuickBooksSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = office_at(tmp_path, sqlite_state_url, quickbooks, monkeypatch, realm=FIRST)
    before = office.renewals()
    for because in ("", "I mean it"):
        with pytest.raises(GuardError, match=f"company {SECOND} was chosen, but reconcile.toml says"):
            office.connect(SECOND, because)
    assert vault_of(office).load(COMPANY) is None
    assert office.renewals() == before
    assert office.connect(FIRST).realm_id == FIRST


def test_a_reconnect_to_another_company_is_refused_until_said_otherwise(office: Office) -> None:
    office.connect(FIRST)
    engine = open_state(office.config.state_url)
    cursors.move(engine, COMPANY, Side.BOOKS, Entity.CUSTOMER, datetime.now(UTC))
    kept = vault_of(office).load(COMPANY)

    with pytest.raises(GuardError, match="was connected to 'Empty Company'"):
        office.connect(SECOND)
    assert vault_of(office).load(COMPANY) == kept

    made = office.connect(SECOND, because="the first was a trial company")
    assert made.realm_id == SECOND
    assert QuickBooksReader(session_of(office)).identity().company_id == SECOND
    assert cursors.read(engine, COMPANY, Side.BOOKS) == {}
    who = companies.known_identity(engine, COMPANY, Side.BOOKS)
    assert who is not None
    assert who.company_id == SECOND
    assert ("other company because", "the first was a trial company") in standing(office.config, COMPANY).facts()


def test_a_disconnected_company_is_still_known_when_it_comes_back(office: Office) -> None:
    office.connect(FIRST)
    disconnect(office.config, COMPANY)
    with pytest.raises(GuardError):
        office.connect(SECOND)
    assert office.connect(FIRST).realm_id == FIRST


def test_a_code_exchanged_twice_is_refused_with_words(office: Office) -> None:
    connector = Connector(office.config, COMPANY, office.keys)
    consent = connector.consent("http://localhost:8723/quickbooks")
    grant = consent.accept(led_back(connector.address(consent)))
    connector.finish(consent, grant)
    with pytest.raises(RefusedError, match="no longer accepts the code"):
        connector.finish(consent, grant)


def test_disconnecting_ends_the_connection_at_intuit_and_here(office: Office) -> None:
    office.connect()
    kept = vault_of(office).load(COMPANY)
    session = session_of(office)
    assert "ended; its credentials are deleted" in disconnect(office.config, COMPANY)
    assert vault_of(office).load(COMPANY) is None
    with pytest.raises(RefusedError, match="reconcile connect craigs"):
        session.get(session.address("preferences"))
    assert kept is not None
    vault_of(office).store(COMPANY, kept)  # what somebody might have copied
    with pytest.raises(RefusedError, match="needs reconnect"):
        session.get(session.address("preferences"))
    assert "had been ended before" in disconnect(office.config, COMPANY)
    assert "nothing to do" in disconnect(office.config, COMPANY)


def test_a_dead_connection_is_asked_about_once_and_remembered(office: Office) -> None:
    office.connect()
    session = session_of(office)
    kept = vault_of(office).load(COMPANY)
    assert kept is not None
    disconnect(office.config, COMPANY)
    vault_of(office).store(COMPANY, kept)
    for _ in range(3):
        before = office.renewals()
        with pytest.raises(RefusedError, match="reconcile connect"):
            session.get(session.address("preferences"))
        asked = office.renewals() - before
    assert asked == 0
    assert any("needs reconnect" in warning for warning in standing(office.config, COMPANY).warnings(datetime.now(UTC)))
    office.connect()
    assert session.get(session.address("preferences"))["Preferences"]


def customer(number: int) -> Write:
    fields = {"display_name": f"Customer {number} {datetime.now(UTC).timestamp()}"}
    return Write(f"disconnected-{number:027}", Entity.CUSTOMER, Action.CREATE, None, None, fields, fields)


def test_a_disconnect_during_a_run_stops_it_after_the_operation_in_hand(office: Office) -> None:
    office.connect()
    writer = QuickBooksWriter(session_of(office), income_account="Sales of Product Income")
    assert [one.status for one in writer.write([customer(1)])] == [Status.DONE]
    disconnect(office.config, COMPANY)
    outcomes = writer.write([customer(2), customer(3)])
    assert [one.status for one in outcomes] == [Status.FAILED] * 2
    assert all("It was not sent" in one.reason or "not (or no longer) connected" in one.reason for one in outcomes)


def read_once(path: str, barrier: Any, answers: Any) -> None:
    config = load_config(Path(path))
    session = quickbooks_session(config, config.company(COMPANY), open_state(config.state_url))
    barrier.wait(20)
    answers.put(session.get(session.address("preferences"))["Preferences"]["Id"])


def test_processes_that_find_the_token_expired_at_once_renew_it_once(office: Office) -> None:
    """Each renewal rotates the refresh token, so a second one with the same value would end the connection."""
    office.connect()
    office.admin("switches", refresh_token_rotation_seconds=0)
    office.admin("tokens", expire_access=True)
    before = office.renewals()
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(4), context.Queue()
    workers = [context.Process(target=read_once, args=(str(office.config.path), barrier, answers)) for _ in range(4)]
    for worker in workers:
        worker.start()
    read = [answers.get(timeout=30) for _ in workers]
    for worker in workers:
        worker.join(30)
    office.admin("switches", refresh_token_rotation_seconds=86_400)
    assert read == ["1"] * 4
    assert office.renewals() - before == 1
    tokens = VaultTokenStore(vault_of(office), COMPANY).load()
    assert tokens.previous_refresh_token not in {"", tokens.refresh_token}


def test_a_renewal_whose_answer_is_lost_after_rotating_needs_reconnect_with_words(office: Office) -> None:
    office.connect()
    office.admin("switches", refresh_token_rotation_seconds=0)
    office.admin("tokens", expire_access=True)
    office.admin("faults", action="status", moment="after", resource="token", times=1, status=503)
    session = session_of(office)
    session._sleep = lambda _: None
    with pytest.raises(RefusedError, match="reconcile connect"):
        session.get(session.address("preferences"))
    office.admin("switches", refresh_token_rotation_seconds=86_400)
    assert standing(office.config, COMPANY).tokens is not None


def test_the_token_endpoint_in_trouble_is_no_end_of_the_connection(office: Office) -> None:
    office.connect()
    office.admin("tokens", expire_access=True)
    office.admin("faults", action="status", moment="before", resource="token", times=1, status=503)
    session = session_of(office)
    session._sleep = lambda _: None
    assert session.get(session.address("preferences"))["Preferences"]


def command(office: Office, *arguments: str, given: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reconcile", *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=office.root,
        env=environment(office, **more),
        check=False,
    )


def test_the_command_connects_by_a_browser_that_follows_the_page(office: Office) -> None:
    browser = office.root / "browser"
    browser.write_text(
        f"#!{sys.executable}\n"
        "import sys, requests\n"
        f"requests.post(sys.argv[1], data={{'decision': 'connect', 'realm': '{FIRST}'}}, timeout=20)\n"
    )
    browser.chmod(0o700)
    keys = {CLIENT_ID_VARIABLE: office.keys.client_id, CLIENT_SECRET_VARIABLE: office.keys.client_secret}
    said = command(office, "connect", COMPANY, "--port", "0", BROWSER=str(browser), **keys)
    assert said.returncode == 0, said.stderr
    assert f"craigs is connected to QuickBooks company Empty Company (id {FIRST})" in said.stdout
    assert "what to do" in said.stdout
    assert office.keys.client_secret not in said.stdout + said.stderr


def test_the_command_connects_without_a_browser(office: Office) -> None:
    keys = f'{{"client_id": "{office.keys.client_id}", "client_secret": "{office.keys.client_secret}"}}\n'
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "reconcile", "connect", COMPANY, "--paste"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=office.root,
        env=environment(office),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(keys)
    process.stdin.flush()
    address = next(line.strip() for line in process.stdout if line.startswith("http"))
    process.stdin.write(led_back(address) + "\n")
    process.stdin.flush()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"(id {FIRST})" in out

    said = command(office, "status", COMPANY)
    assert said.returncode == 0
    assert re.search(r"consent until +20\d\d-", said.stdout)
    assert command(office, "rotate-key").stdout.startswith("1 stored credential sealed")
    assert command(office, "disconnect", COMPANY).returncode == 0
    assert command(office, "status", COMPANY).returncode == 1


def test_the_command_refuses_keys_that_are_none_and_shows_nothing_of_them(office: Office) -> None:
    for given in ("", "canary\n", '{"client_id": "canary"}\n'):
        said = command(office, "connect", COMPANY, "--paste", given=given)
        assert said.returncode == 3
        assert "canary" not in said.stdout + said.stderr
        assert "Traceback" not in said.stderr
