from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from reconcile.errors import RefusedError
from reconcile.sides.quickbooks import Tokens, VaultTokenStore
from reconcile.state.tokens import TokenVault, make_key_file
from tests.sides.quickbooks.conftest import Server, World, world_of
from tests.sides.quickbooks.test_session import EXPIRED, GOOD, read


@pytest.fixture
def vault(tmp_path: Path, sqlite_state_url: str) -> TokenVault:
    make_key_file(tmp_path / "key")
    return TokenVault(create_engine(sqlite_state_url), tmp_path / "key")


def test_tokens_survive_as_texts() -> None:
    moment = datetime(2025, 8, 1, 16, 0, tzinfo=UTC)
    for tokens in (Tokens("a", "r"), Tokens("", "r", "p", moment, moment)):
        assert Tokens.from_texts(tokens.to_texts()) == tokens


def test_a_renewed_token_is_in_the_vault_before_it_is_used(server: Server, vault: TokenVault) -> None:
    vault.store("craigs", {"access_token": "canary-access-0", "refresh_token": "canary-refresh-0", "other": "kept"})
    world: World = world_of(server, store=VaultTokenStore(vault, "craigs"))
    kept_when_used = []
    server.answer = lambda asked: (
        EXPIRED if asked.token == "canary-access-0" else (kept_when_used.append(vault.load("craigs")), GOOD)[1]
    )

    read(world)

    (kept,) = kept_when_used
    assert (kept["access_token"], kept["previous_refresh_token"]) == ("canary-access-1", "canary-refresh-0")
    assert kept["other"] == "kept"


def test_a_company_that_was_never_connected_says_so(server: Server, vault: TokenVault) -> None:
    with pytest.raises(RefusedError, match="craigs is not connected to QuickBooks"):
        read(world_of(server, store=VaultTokenStore(vault, "craigs")))
