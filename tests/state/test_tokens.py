from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, text

from reconcile.errors import ConfigurationError
from reconcile.state.database import open_state, reading, writing
from reconcile.state.tokens import KEY_VARIABLE, TokenVault, make_key_file

CANARY = "canary-refresh-9f3aZ"
TOKENS = {"client_id": "AB", "refresh_token": CANARY}


@pytest.fixture(autouse=True)
def _no_key_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "reconcile.key"
    make_key_file(path)
    return path


@pytest.fixture
def vault(engine: Engine, key: Path) -> TokenVault:
    return TokenVault(engine, key)


def test_the_newest_credentials_count_and_those_before_are_kept(engine: Engine, vault: TokenVault) -> None:
    assert vault.load("craigs") is None
    assert vault.load_previous("craigs") is None
    vault.store("neighbour", TOKENS)
    for number in range(4):
        vault.store("craigs", {"refresh_token": f"token-{number}"})
    assert vault.load("craigs") == {"refresh_token": "token-3"}
    assert vault.load_previous("craigs") == {"refresh_token": "token-2"}
    assert vault.load("neighbour") == TOKENS
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM token WHERE company = 'craigs'")).scalar_one() == 2


def test_the_database_never_holds_a_secret_in_the_clear(sqlite_state_url: str, key: Path) -> None:
    TokenVault(open_state(sqlite_state_url), key).store("craigs", TOKENS)
    state = Path(sqlite_state_url.removeprefix("sqlite:///"))
    files = list(state.parent.glob("state.db*"))
    content = b"".join(file.read_bytes() for file in files)
    assert b"craigs" in content  # the row is there
    assert CANARY.encode() not in content
    assert key.read_bytes().strip() not in content


def test_postgresql_never_holds_a_secret_in_the_clear(postgres_state_url: str, key: Path) -> None:
    engine = open_state(postgres_state_url)
    TokenVault(engine, key).store("craigs", TOKENS)
    with reading(engine) as connection:
        rows = connection.execute(text("SELECT CAST(token AS text) FROM token")).scalars().all()
    assert len(rows) == 1
    assert CANARY not in rows[0]


def test_a_vault_shows_nothing(vault: TokenVault, key: Path) -> None:
    vault.store("craigs", TOKENS)
    shown = f"{vault!r} {vault} {vars(vault)!r}"
    assert CANARY not in shown
    assert key.read_text().strip() not in shown


def test_without_a_key_there_is_no_vault(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="There is no key: set RECONCILE_KEY"):
        TokenVault(engine, tmp_path / "nowhere.key")


def test_a_key_in_the_environment_wins(engine: Engine, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, Fernet.generate_key().decode())
    TokenVault(engine, key).store("craigs", TOKENS)
    monkeypatch.delenv(KEY_VARIABLE)
    with pytest.raises(ConfigurationError, match="does not open the stored credentials of 'craigs'"):
        TokenVault(engine, key)


def test_nothing_is_sealed_with_a_new_key_beside_what_an_old_one_sealed(
    engine: Engine, vault: TokenVault, tmp_path: Path
) -> None:
    vault.store("craigs", TOKENS)
    make_key_file(tmp_path / "other.key")
    with pytest.raises(ConfigurationError, match="sealed with another key") as caught:
        TokenVault(engine, tmp_path / "other.key")
    shown = "".join(traceback.format_exception(caught.value))
    assert CANARY not in shown
    assert (tmp_path / "other.key").read_text().strip() not in shown


def test_while_a_key_is_replaced_both_open_and_the_first_seals(engine: Engine, vault: TokenVault, key: Path) -> None:
    vault.store("craigs", TOKENS)
    new, old = Fernet.generate_key().decode(), key.read_text()
    key.write_text(f"{new}\n{old}")
    both = TokenVault(engine, key)
    assert both.load("craigs") == TOKENS
    both.store("craigs", {"refresh_token": "newer"})
    key.write_text(new)
    assert TokenVault(engine, key).load("craigs") == {"refresh_token": "newer"}


@pytest.mark.parametrize("content", ["", "\n", "not a key", "A" * 44, "canary-no-key-at-all"])
def test_what_is_no_key_is_refused_without_showing_it(engine: Engine, key: Path, content: str) -> None:
    key.write_text(content)
    with pytest.raises(ConfigurationError, match="no valid key in the key file") as caught:
        TokenVault(engine, key)
    assert "canary" not in str(caught.value)


def test_a_key_file_is_for_its_owner_only(engine: Engine, key: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        TokenVault(engine, key)


def test_a_key_file_is_never_replaced(key: Path) -> None:
    before = key.read_bytes()
    with pytest.raises(ConfigurationError, match="it is left as it is"):
        make_key_file(key)
    assert key.read_bytes() == before


def test_a_key_file_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be made: No such file"):
        make_key_file(tmp_path / "nowhere" / "reconcile.key")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE token SET sealed = 'AAAA' || sealed", "does not open the stored credentials"),
        ("UPDATE token SET company = 'neighbour'", "belong to another company"),
    ],
)
def test_tampered_credentials_are_recognised(engine: Engine, vault: TokenVault, change: str, words: str) -> None:
    vault.store("neighbour", {"refresh_token": "x"})
    vault.store("craigs", TOKENS)
    with writing(engine) as connection:
        connection.execute(text(change))
    with pytest.raises(ConfigurationError, match=words):
        vault.load("neighbour")


def test_only_texts_are_credentials(vault: TokenVault) -> None:
    with pytest.raises(TypeError, match="texts by name"):
        vault.store("craigs", {"expires": 3600})  # type: ignore[dict-item]
    assert vault.load("craigs") is None


def exchange(url: str, key: Path, times: int) -> None:
    vault = TokenVault(open_state(url), key)
    for _ in range(times):
        with vault.lock("craigs"):
            seen = int((vault.load("craigs") or {"n": "0"})["n"])
            vault.store("craigs", {"n": str(seen + 1)})


def test_exchanges_of_one_company_happen_one_at_a_time_across_processes(state_url: str, key: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=exchange, args=(state_url, key, 8)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert TokenVault(open_state(state_url), key).load("craigs") == {"n": "24"}


def test_a_lock_falls_when_its_process_dies(state_url: str, key: Path, in_a_process: Callable[..., int | None]) -> None:
    def die_inside() -> None:
        with TokenVault(open_state(state_url), key).lock("craigs"):
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_process(die_inside) == -signal.SIGKILL
    with TokenVault(open_state(state_url), key).lock("craigs", wait_seconds=5):
        pass


def test_who_waits_too_long_is_told_so_and_another_company_does_not_wait(vault: TokenVault) -> None:
    def second() -> Any:
        with vault.lock("craigs", wait_seconds=1):
            raise AssertionError("both were inside")

    with vault.lock("craigs"):
        with pytest.raises(ConfigurationError, match="exchanging this company's credentials for 1 seconds"):
            second()
        with vault.lock("neighbour", wait_seconds=1):
            pass
    with vault.lock("craigs", wait_seconds=1):
        pass
