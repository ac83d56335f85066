"""Nights that did not end well are told by mail: in full, once, and whatever happens to mail server and process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from reconcile.cli import app
from reconcile.config import CONFIG_VARIABLE, load_config
from reconcile.delivery import Delivered, deliver
from reconcile.errors import Cause, ConfigurationError
from reconcile.filing import file_run
from reconcile.model.entities import Entity
from reconcile.model.notices import Notice
from reconcile.model.runs import DEFERRED, DISCONNECTED, Deferral, Outcome, StepResult, StepStatus
from reconcile.rebuilding import rebuild
from reconcile.state import outbox, runs
from reconcile.state.database import clock, migrate, open_state, reading, writing
from reconcile.state.schema import NoticeRow
from reconcile.verdict import Ending, Execution
from tests.notices.conftest import COMPANY, NAME, PASSWORD, MailServer, Office, certificate, only, serving

FINDINGS = [
    {"severity": "note", "sentence": "A note.", "remedy": ""},
    {"severity": "stop", "sentence": "Invoice A-1043 has letters.", "remedy": "Give it a number of digits."},
]
RISK = [{"number": "1022", "customer": "Jeff's Jalopies", "at_risk": 8100, "currency": "USD", "why": "paid"}]


def texts(mailbox: MailServer) -> list[str]:
    return [message.get_content() for _, message in mailbox.taken]


def later(office: Office, wait: timedelta) -> None:
    """Time goes by for everything that waits in the outbox."""
    with writing(office.engine) as connection:
        connection.execute(update(NoticeRow).values(due_at=NoticeRow.due_at))
        for row in connection.execute(NoticeRow.__table__.select()).mappings().all():
            statement = update(NoticeRow).where(NoticeRow.id == row["id"])
            connection.execute(statement.values(due_at=row["due_at"] - wait))


def test_a_failed_night_is_told_in_full_to_the_companys_own_people_and_once(
    office: Office, mailbox: MailServer
) -> None:
    begun = office.night(files={"findings.json": FINDINGS, "midnight-risk.json": RISK}, begin_only=True)
    runs.record_step(office.engine, begun.id, StepResult(Entity.CUSTOMER, StepStatus.SYNCED, done=3))
    runs.record_step(office.engine, begun.id, StepResult(Entity.INVOICE, StepStatus.FAILED, failed=1, reason="letters"))
    failed = Execution(Ending.CELL_FAILED, "Step 4 of 5 (invoices) failed.")
    file_run(office.config(), office.engine, begun.id, failed)
    assert deliver(office.config(mailbox.port), office.engine) == Delivered(1, "")
    ((recipients, message),) = mailbox.taken
    assert recipients == ["books@craigs.example"]
    assert message["Subject"] == f"{NAME}: a step failed (22:30, run {begun.id})"
    assert message["Auto-Submitted"] == "auto-generated"
    text = message.get_content()
    for words in (
        "Step 4 of 5 (invoices) failed.",
        "invoice 1022 of Jeff's Jalopies: 81.00 USD",
        "1. customers: synced, 3 done",
        "4. invoices: failed, 0 done, 1 failed",
        "5. payments: not started",
        "Invoice A-1043 has letters. Give it a number of digits.",
        f"reconcile show {begun.id}",
    ):
        assert words in text, text
    assert "A note." not in text
    assert deliver(office.config(mailbox.port), office.engine) == Delivered(0, "")
    assert len(mailbox.taken) == 1


def test_nights_that_agree_and_runs_that_somebody_watches_are_told_to_nobody(office: Office) -> None:
    office.night(slot="")
    green = {"green": True, "sentence": "Both sides tie out."}
    begun = office.night(begin_only=True)
    runs.record_tie_out(office.engine, begun.id, green)
    for entity in Entity:
        runs.record_step(office.engine, begun.id, StepResult(entity, StepStatus.SYNCED))

    assert file_run(office.config(), office.engine, begun.id, Execution(Ending.COMPLETED)).outcome is Outcome.AGREED
    assert outbox.listed(office.engine) == []


def test_killed_between_the_verdict_and_the_mail_it_is_sent_once_after_a_restart(
    office: Office, mailbox: MailServer
) -> None:
    child = os.fork()
    if child == 0:
        child_office = Office(office.root, open_state(f"sqlite:///{office.root / 'state.db'}"))
        child_office.night()
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    config = office.config(mailbox.port)
    assert deliver(config, office.engine) == Delivered(1, "")
    assert deliver(config, office.engine) == Delivered(0, "")
    assert len(mailbox.taken) == 1


def test_killed_before_the_verdict_nothing_is_told_until_the_dead_run_is_filed(
    office: Office, mailbox: MailServer
) -> None:
    begun = office.night(begin_only=True)
    assert deliver(office.config(mailbox.port), office.engine) == Delivered(0, "")
    rebuild(office.config(), office.engine, begun.id)
    assert deliver(office.config(mailbox.port), office.engine) == Delivered(1, "")
    (text,) = texts(mailbox)
    assert "The process of this run ended before the run did" in text


def test_killed_after_handing_it_over_the_second_copy_comes_later_and_says_it_is_the_same(
    office: Office, mailbox: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.night()
    config = office.config(mailbox.port)

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(outbox, "sent", killed)
        with pytest.raises(Killed):
            deliver(config, office.engine)
    assert deliver(config, office.engine, at_once=True) == Delivered(0, "")
    later(office, outbox.CLAIM)
    assert deliver(config, office.engine) == Delivered(1, "")
    first, second = (message["Message-ID"] for _, message in mailbox.taken)
    assert first == second
    assert texts(mailbox)[0] == texts(mailbox)[1]


def test_a_mail_server_that_is_down_changes_nothing_of_the_run_and_is_tried_again(
    office: Office, mailbox: MailServer
) -> None:
    filed = office.night()
    nobody = office.config(1)
    done = deliver(nobody, office.engine)
    assert done.sent == 0
    assert done.problem.startswith("The mail server 127.0.0.1:1 cannot be reached (Connection refused).")
    (left,) = outbox.listed(office.engine)
    assert (left.tries, left.sent_at, left.problem) == (1, None, done.problem)
    assert runs.get(office.engine, filed.id) == filed
    config = office.config(mailbox.port)
    assert deliver(config, office.engine) == Delivered(0, "")
    later(office, timedelta(minutes=1))
    mailbox.answer = "451 canary words of the server"
    busy = deliver(config, office.engine).problem
    assert busy == f"The mail server 127.0.0.1:{mailbox.port} refused the mail (451)."
    mailbox.answer = "250 OK"
    later(office, timedelta(minutes=1))
    assert deliver(config, office.engine) == Delivered(0, "")
    assert deliver(config, office.engine, at_once=True) == Delivered(1, "")
    assert len(mailbox.taken) == 1


def test_of_many_processes_at_once_one_sends_it(state_url: str, tmp_path: Path, mailbox: MailServer) -> None:
    migrate(state_url)
    engine = open_state(state_url)
    office = Office(tmp_path, engine)
    office.night()
    office.night()
    config = office.config(mailbox.port)
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: deliver(config, engine), range(8)))
    assert sum(one.sent for one in done) == len(mailbox.taken) == 2
    assert not any(one.problem for one in done)


def test_a_company_to_be_connected_again_is_told_of_it_once_until_it_was_connected(
    office: Office, mailbox: MailServer
) -> None:
    def night(since: str, **more: Any) -> Outcome:
        return office.night("Connect it again.", counts={DISCONNECTED: since}, **more).outcome

    for _ in range(3):
        assert night("2026-11-23T04:31:00+00:00") is Outcome.DISCONNECTED
    night("2026-11-23T04:31:00+00:00", company="other")
    assert night("2026-12-01T04:31:00+00:00") is Outcome.DISCONNECTED
    assert deliver(office.config(mailbox.port), office.engine) == Delivered(3, "")
    assert [recipients for recipients, _ in mailbox.taken] == [
        ["books@craigs.example"],
        ["office@office.example", "second@office.example"],
        ["books@craigs.example"],
    ]


def test_a_company_deferred_run_after_run_is_told_of_at_first_and_once_each_day(office: Office) -> None:
    since = datetime(2026, 11, 23, 4, 31, tzinfo=UTC)

    def night(times: int, day: int) -> None:
        deferral = Deferral(Cause.BUSY, since + timedelta(hours=1), since, times=times)
        counts = {DEFERRED: deferral.as_json()}
        assert office.night("QuickBooks asks for patience.", counts=counts, day=day).outcome is Outcome.DEFERRED

    told = []
    for times, day in ((1, 1), (2, 2), (3, 2), (4, 3)):
        night(times, day)
        told.append(len(outbox.listed(office.engine)))
    assert told == [1, 2, 2, 3]


def test_hostile_words_make_no_header_and_no_secret_leaves(office: Office, mailbox: MailServer) -> None:
    reason = "Invoice 1\r\nBcc: all@example.com\x1b[2J failed with canary-client_secret and canary-refresh_token."
    office.night(reason, files={"findings.json": [{**FINDINGS[1], "sentence": "\x00\x07 <script>\r\n.\r\nQUIT"}]})
    assert deliver(office.config(mailbox.port), office.engine) == Delivered(1, "")
    ((recipients, message),) = mailbox.taken
    assert recipients == ["books@craigs.example"]
    assert message["Bcc"] is None
    text = message.get_content()
    assert "canary" not in text + message["Subject"]
    assert "Bcc: all@example.com" in text
    assert not any(sign in text for sign in "\x00\x07\x1b")
    assert "QUIT Give it a number of digits." in text


def test_what_a_run_found_and_cannot_be_read_is_said(office: Office) -> None:
    begun = office.night(begin_only=True)
    (office.config().runs / begun.folder / "findings.json").write_text("[{", encoding="utf-8")
    rebuild(office.config(), office.engine, begun.id)
    (left,) = outbox.listed(office.engine)
    assert "`reconcile verify craigs` says what is damaged" in left.notice.body


@pytest.fixture
def careful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    """A mail server that wants an encrypted line and a password."""
    path, context = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    monkeypatch.setenv("MAIL_PASSWORD", PASSWORD)
    options = {"authenticator": only("reconcile", PASSWORD), "auth_required": True}
    with serving(MailServer(), tls_context=context, require_starttls=True, **options) as server:
        yield server


USER = 'user = "reconcile"\npassword = {env = "MAIL_PASSWORD"}\n'


def test_the_password_goes_over_an_encrypted_line_only(
    office: Office, careful: MailServer, mailbox: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.night()
    unencrypted = office.config(mailbox.port, "starttls", USER)
    problem = deliver(unencrypted, office.engine).problem
    assert problem.endswith("does not offer what [mail] in reconcile.toml asks for (starttls).")
    assert PASSWORD not in repr(unencrypted)
    monkeypatch.setenv("MAIL_PASSWORD", "canary wrong")
    problem = deliver(office.config(careful.port, "starttls", USER), office.engine, at_once=True).problem
    assert "does not accept user and password (535)" in problem
    assert "canary" not in problem
    monkeypatch.setenv("MAIL_PASSWORD", PASSWORD)
    assert deliver(office.config(careful.port, "starttls", USER), office.engine, at_once=True) == Delivered(1, "")
    assert (len(careful.taken), len(mailbox.taken)) == (1, 0)


def test_a_mail_server_that_nobody_vouches_for_gets_nothing(
    office: Office, careful: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.night()
    monkeypatch.delenv("SSL_CERT_FILE")
    for security in ("starttls", "tls"):
        problem = deliver(office.config(careful.port, security, USER), office.engine, at_once=True).problem
        assert "could not be trusted" in problem, problem
    assert careful.taken == []


def test_mail_over_tls_from_the_first_byte(office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, context = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    office.night()
    with serving(MailServer(), ssl_context=context) as server:
        assert deliver(office.config(server.port, "tls"), office.engine) == Delivered(1, "")
    assert len(server.taken) == 1


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ('to = ["a@b.example, c@d.example"]', "is no mail address"),
        ('to = ["a@b.example\\nBcc: c@d.example"]', "is no mail address"),
        ('to = ["office"]', "is no mail address"),
        ('to = ["Office <office@b.example>"]', "is no mail address"),
        ("to = []", "must be a list of mail addresses"),
        ('sender = "a@b.example\\r\\nX: y"', "is no mail address"),
        ('security = "ssl"', "security must be one of starttls, tls, none"),
        ('user = "me"', "user and password belong together"),
        ('user = "me"\npassword = "canary"', "no password stands in this file"),
        ('user = "me"\npassword = {env = "MAIL_PASSWORD"}', "only sent over an encrypted line"),
        ('hots = "x"', "unknown setting 'hots'"),
    ],
)
def test_a_mail_section_that_cannot_be_meant_is_refused(
    office: Office, setting: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "canary")
    office.config(25)
    path = office.root / "reconcile.toml"
    name = setting.partition(" ")[0]
    kept = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith(f"{name} = ")]
    path.write_text("\n".join([*kept, setting]), encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_config(path)
    assert complaint in str(caught.value)
    assert "canary" not in str(caught.value)


def test_the_command_lists_shows_and_sends(
    office: Office, mailbox: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONFIG_VARIABLE, str(office.root / "reconcile.toml"))

    def said(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["notices", *arguments])
        return result.exit_code, result.output

    assert said() == (0, "There are no notices.\n")
    run = office.night()
    assert said(COMPANY)[1] == f"1  {COMPANY}  {NAME}: stopped before writing (22:30, run {run.id})  waiting\n"
    assert said("other") == (0, "There are no notices.\n")
    assert said("--text", "1")[1].endswith(f"All of it: reconcile show {run.id}\n")
    office.config(1)
    code, output = said("--send")
    assert code == 1
    assert "0 sent." in output
    assert "NOT DELIVERED after 1 try: The mail server 127.0.0.1:1 cannot be reached" in said()[1]
    office.config(mailbox.port)
    assert said("--send") == (0, "1 sent.\n")
    assert "  sent 20" in said()[1]
    assert len(mailbox.taken) == 1


def test_what_was_told_before_is_not_told_again_whoever_asks(engine_with_run: Any) -> None:
    engine, notice = engine_with_run
    for _ in range(2):
        with writing(engine) as connection:
            outbox.post(connection, notice)
    assert [posted.notice for posted in outbox.listed(engine)] == [notice]
    with reading(engine) as connection:
        assert outbox.listed(engine)[0].posted_at <= clock(connection)


@pytest.fixture
def engine_with_run(office: Office) -> tuple[Any, Notice]:
    """A state with a run that is told of."""
    run = office.night(begin_only=True)
    return office.engine, Notice(run.id, COMPANY, "something", "Something", "Something happened.\n")
