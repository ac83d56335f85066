"""Replacing the key that seals the credentials: resumable, and no credential is ever lost to it."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, text

from reconcile.errors import ConfigurationError
from reconcile.state.database import open_state, reading, writing
from reconcile.state.tokens import KEY_VARIABLE, TokenVault, make_key_file

COMPANIES = ("craigs", "neighbour", "third")


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
    vault = TokenVault(engine, key)
    for company in COMPANIES:
        vault.store(company, {"refresh_token": f"older-{company}"})
        vault.store(company, {"refresh_token": f"newer-{company}"})
    return vault


def holds_all(vault: TokenVault) -> bool:
    return all(
        vault.load(company) == {"refresh_token": f"newer-{company}"}
        and vault.load_previous(company) == {"refresh_token": f"older-{company}"}
        for company in COMPANIES
    )


def test_a_new_key_alone_opens_everything_and_the_old_one_nothing(
    engine: Engine, vault: TokenVault, key: Path, tmp_path: Path
) -> None:
    old = key.read_text()
    assert vault.rotate_key() == "6 stored credentials sealed with the new key. The old key is gone."
    assert old.strip() not in key.read_text()
    assert len(key.read_text().split()) == 1
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert holds_all(TokenVault(engine, key))
    (tmp_path / "kept.key").touch(mode=0o600)
    (tmp_path / "kept.key").write_text(old)
    with pytest.raises(ConfigurationError, match="another key"):
        TokenVault(engine, tmp_path / "kept.key")


def test_a_process_that_was_running_before_stores_with_the_new_key(
    engine: Engine, vault: TokenVault, key: Path
) -> None:
    running = TokenVault(engine, key)
    vault.rotate_key()
    assert holds_all(running)
    running.store("craigs", {"refresh_token": "newest"})
    assert TokenVault(engine, key).load("craigs") == {"refresh_token": "newest"}


@pytest.mark.parametrize("rows_sealed_again", [0, 1, 3, 6])
def test_cut_off_anywhere_both_keys_open_and_the_next_attempt_finishes(
    engine: Engine, vault: TokenVault, key: Path, rows_sealed_again: int
) -> None:
    old = key.read_text().strip()
    new = Fernet.generate_key().decode()
    key.write_text(f"{new}\n{old}\n")
    with writing(engine) as connection:
        rows = connection.execute(text("SELECT id, sealed FROM token ORDER BY id")).all()
        for row_id, sealed in rows[:rows_sealed_again]:
            again = Fernet(new).encrypt(Fernet(old).decrypt(sealed)).decode()
            connection.execute(text("UPDATE token SET sealed = :again WHERE id = :id"), {"again": again, "id": row_id})
    assert holds_all(TokenVault(engine, key))
    TokenVault(engine, key).rotate_key()
    assert key.read_text().split() == [new]
    assert holds_all(TokenVault(engine, key))


def test_killed_while_sealing_again_nothing_is_lost(
    state_url: str, vault: TokenVault, key: Path, in_a_process: Callable[..., int | None]
) -> None:
    def die_inside() -> None:
        mine = TokenVault(open_state(state_url), key)
        opened, count = mine._opened, iter(range(9))

        def until_the_third(company: str, sealed: str) -> dict[str, str]:
            if next(count) == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return opened(company, sealed)

        mine._opened = until_the_third  # type: ignore[method-assign]
        mine.rotate_key()

    assert in_a_process(die_inside) == -signal.SIGKILL
    assert len(key.read_text().split()) == 2
    assert holds_all(vault)
    vault.rotate_key()
    assert len(key.read_text().split()) == 1
    assert holds_all(vault)


def test_a_key_of_the_environment_is_the_callers_to_replace(
    engine: Engine, vault: TokenVault, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = key.read_text().strip(), Fernet.generate_key().decode()
    monkeypatch.setenv(KEY_VARIABLE, old)
    with pytest.raises(ConfigurationError, match="set it to the new key, a comma and the old key"):
        vault.rotate_key()
    monkeypatch.setenv(KEY_VARIABLE, f"{new},{old}")
    assert "Now set RECONCILE_KEY to the new key alone" in vault.rotate_key()
    monkeypatch.setenv(KEY_VARIABLE, new)
    assert holds_all(TokenVault(engine, key))
    assert key.read_text().strip() == old


def test_what_no_key_opens_keeps_both_keys(engine: Engine, vault: TokenVault, key: Path) -> None:
    foreign = Fernet(Fernet.generate_key()).encrypt(b"{}").decode()
    with writing(engine) as connection:
        connection.execute(
            text("UPDATE token SET sealed = :foreign WHERE id = (SELECT min(id) FROM token)"), {"foreign": foreign}
        )
    with pytest.raises(ConfigurationError, match="does not open the stored credentials"):
        vault.rotate_key()
    assert len(key.read_text().split()) == 2


def test_forgotten_credentials_are_gone_and_the_neighbours_stay(engine: Engine, vault: TokenVault) -> None:
    vault.forget("craigs")
    vault.forget("craigs")
    assert vault.load("craigs") is None
    assert vault.load_previous("craigs") is None
    assert vault.load("neighbour") == {"refresh_token": "newer-neighbour"}
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM token")).scalar_one() == 4
