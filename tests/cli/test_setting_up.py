"""Whatever is wrong before a run: one sentence that says what to do, and exit code 3."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Terminal, complains

STATE = 'state = "sqlite:///state.db"\n'
CRAIGS = (
    STATE
    + """
[companies.craigs]
name = "Craig's Design and Landscaping Services"

[companies.craigs.books]
base_url = "http://127.0.0.1:1"
discovery_url = "http://127.0.0.1:1/.well-known/openid_configuration/"
realm_id = "9130347596842384"

[companies.craigs.billing]
url = "sqlite:///billing.db"
"""
)


def test_someone_new_is_led_to_the_first_run_by_the_help_alone(terminal: Terminal) -> None:
    for arguments, words in {
        ("--help",): ("reconcile demo", "reconcile.toml", "reconcile key", "reconcile migrate", "--dry-run"),
        ("run", "--help"): ("--dry-run", "Exit codes", "22:30|01:30"),
        ("sandbox", "quickbooks", "--help"): ("--sample", "--port", "--realm", "--client-secret"),
        ("sandbox", "billing", "--help"): ("--sample", "--today"),
        ("sandbox", "midnight", "--help"): ("--date",),
    }.items():
        done = terminal(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        for word in words:
            assert word in done.stdout


def test_a_command_without_its_arguments_shows_help_and_counts_as_wrong_usage(terminal: Terminal) -> None:
    done = terminal()
    assert (done.returncode, done.stderr) == (3, "")
    assert "Commands" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frobnicate"], "No such command 'frobnicate'."),
        (["run"], "Missing argument 'company'."),
        (["run", "craigs", "--dry"], "--dry"),
        (["run", "craigs", "--mode", "weekly"], "'weekly' is not one of 'census', 'delta'"),
        (["run", "craigs", "--slot", "12:00"], "'12:00' is not one of '22:30', '01:30'"),
        (["run", "craigs", "--cell-timeout", "0"], "greater than or equal to 1"),
        (["sandbox", "frobnicate"], "No such command 'frobnicate'."),
    ],
)
def test_wrong_usage_is_one_sentence_and_never_looks_like_a_failed_step(
    terminal: Terminal, arguments: list[str], words: str
) -> None:
    complains(terminal(*arguments), words, "See `reconcile --help`.")


def test_a_folder_without_settings_says_where_they_belong(terminal: Terminal) -> None:
    complains(terminal("runs"), "There is no configuration file at reconcile.toml.", "reconcile demo")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("state = \nruns = 3", ["not valid TOML", "line 1"]),
        ("runs = 'runs'", ["state is missing"]),
        (STATE + "stat = 3", ["unknown setting 'stat'", "known here: companies, key_file, mail, runs, state"]),
        ("state = 3", ["state must be a text in quotes"]),
        ('state = {env = "NOT_SET"}', ["environment variable NOT_SET, which is not set"]),
        (CRAIGS.replace('name = "Craig', 'nam = "Craig'), ["[companies.craigs]", "unknown setting 'nam'"]),
        (CRAIGS.replace("companies.craigs", "companies.Craigs"), ["small letters, digits and hyphens"]),
        (STATE + "[companies.craigs]\nname = 'x'", ["[companies.craigs]: the section books is missing"]),
        ('state = "nonsense"', ["not a database URL", "sqlite:///"]),
        ('state = "oracle://scott:sesame@h/x"', ["'oracle'", "postgresql://"]),
        ('state = "postgresql://u:sesame@127.0.0.1:1/x"', ["PostgreSQL database 'x'", "Check the address"]),
        ('state = "sqlite:///nowhere/state.db"', ["nowhere of the state database does not exist", "make it"]),
        (STATE, ["run `reconcile migrate` to make it"]),
    ],
)
def test_a_wrong_setting_is_named_with_its_place(terminal: Terminal, settings: str, words: list[str]) -> None:
    terminal.settings(settings)
    done = terminal("runs")
    complains(done, *words)
    assert "sesame" not in done.stdout + done.stderr


def test_settings_that_are_no_text_file_are_named(terminal: Terminal) -> None:
    (terminal.root / "reconcile.toml").write_bytes(b"\xff\xfe")
    complains(terminal("runs"), "is not UTF-8 text; save it as UTF-8")
    terminal.environment["RECONCILE_CONFIG"] = str(terminal.root)
    complains(terminal("runs"), "cannot be read: Is a directory")


def test_a_state_that_was_not_made_by_us_is_refused(terminal: Terminal) -> None:
    terminal.settings(STATE)
    (terminal.root / "state.db").write_bytes(b"this is no database at all, but a text that somebody put here")
    complains(terminal("runs"), "cannot be used: file is not a database")


def test_what_nobody_expected_never_looks_like_agreement(terminal: Terminal) -> None:
    terminal.settings(STATE)
    terminal("migrate")
    (terminal.root / "alembic.py").write_text("raise RuntimeError('canary')\n", encoding="utf-8")
    done = terminal.fresh("runs")
    complains(done, "Something broke that nobody expected (RuntimeError)", "RECONCILE_TRACEBACK=1", code=2)
    assert "canary" not in done.stderr
    terminal.environment["RECONCILE_TRACEBACK"] = "1"
    assert "Traceback" in terminal.fresh("runs").stderr


def test_the_steps_before_the_first_run_each_say_what_is_missing(terminal: Terminal) -> None:
    terminal.settings(CRAIGS)
    assert terminal("migrate").stdout.startswith("Made the state at ")
    assert "is up to date" in terminal("migrate").stdout
    assert "There are no runs yet" in terminal("runs").stdout
    complains(terminal("runs", "nobody"), "no company 'nobody'", "Companies: craigs")
    complains(terminal("run", "nobody"), "no company 'nobody'", "Companies: craigs")
    complains(terminal("show", "20261123T023557-bgvc"), "no run '20261123T023557-bgvc'; `reconcile runs` lists")
    given = '{"client_id": "a", "client_secret": "sesame-canary", "access_token": "b", "refresh_token": "c"}'
    complains(terminal("credentials", "nobody", typed=given), "no company 'nobody'")
    complains(terminal("credentials", "craigs", typed=given), "There is no key", "`reconcile key`")
    assert "Keep a copy" in terminal("key").stdout
    complains(terminal("key"), "it is left as it is")
    for typed, sentence in {
        "": "not a JSON object",
        given[:-1]: "not a JSON object",
        "[]": "one JSON object",
        given.replace('"b"', "5"): "lack access_token",
        given.replace("client_secret", "secret"): "lack client_secret",
    }.items():
        done = terminal("credentials", "craigs", typed=typed)
        complains(done, sentence)
        assert "canary" not in done.stdout + done.stderr
    stored = terminal("credentials", "craigs", typed=given)
    assert (stored.returncode, stored.stdout) == (0, "The QuickBooks credentials of craigs are stored, encrypted.\n")
    key = terminal.root / "reconcile.key"
    key.chmod(0o644)
    complains(terminal("credentials", "craigs", typed=given), "Others may read the key file", "chmod 600")
    assert b"canary" not in b"".join(path.read_bytes() for path in terminal.root.iterdir() if path.is_file())


def test_a_demo_never_writes_over_anything(terminal: Terminal) -> None:
    (terminal.root / "here").mkdir()
    complains(terminal("demo", "--folder", "here"), "exists already. Name a new folder")
