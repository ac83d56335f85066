"""The configuration: every wrong setting is named, with what it must be."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconcile.config import load_config
from reconcile.errors import ConfigurationError

GOOD = """\
state = "sqlite:///state.db"

[companies.craigs]
name = "Craig's"

[companies.craigs.books]
base_url = "https://quickbooks.example/"
discovery_url = "https://quickbooks.example/.well-known/openid"
realm_id = "00123"

[companies.craigs.billing]
url = {env = "CRAIGS_BILLING_URL"}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "reconcile.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_relative_places_start_beside_the_file_and_ids_stay_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRAIGS_BILLING_URL", "postgresql://user:hunter22@db/billing")
    config = load_config(written(tmp_path, GOOD))
    company = config.company("craigs")
    assert config.state_url == f"sqlite:///{tmp_path}/state.db"
    assert config.runs == tmp_path / "runs"
    assert company.books.realm_id == "00123"
    assert company.books.base_url == "https://quickbooks.example"
    books = company.books
    assert (books.calls_per_second, books.calls_per_minute, books.batches_per_minute) == (8, 450, 40)
    assert company.billing.url.startswith("postgresql://")
    assert "hunter22" not in repr(config)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('state = "sqlite:///state.db"', "", "state is missing"),
        ('name = "Craig\'s"', "name = 7", "name must be a text"),
        ("[companies.craigs]", "[companies.Craigs]", "small letters"),
        ('realm_id = "00123"', "realm_id = 123", "realm_id must be a text"),
        ('realm_id = "00123"', 'realmid = "00123"', "unknown setting 'realmid'"),
        ('realm_id = "00123"', "calls_per_second = 0", "calls_per_second must be a whole number above 0"),
        ('realm_id = "00123"', "calls_per_second = true", "calls_per_second must be a whole number above 0"),
        ('realm_id = "00123"', 'calls_per_minute = "450"', "calls_per_minute must be a whole number above 0"),
        ('realm_id = "00123"', "batches_per_minute = 0.5", "batches_per_minute must be a whole number above 0"),
        ("CRAIGS_BILLING_URL", "UNSET_VARIABLE", "UNSET_VARIABLE, which is not set"),
        ("[companies.craigs.billing]", "[companies.craigs.other]", "unknown setting 'other'"),
        ('state = "sqlite', 'stat e = "sqlite', "not valid TOML"),
    ],
)
def test_a_wrong_setting_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str, words: str
) -> None:
    monkeypatch.setenv("CRAIGS_BILLING_URL", "sqlite:///billing.db")
    with pytest.raises(ConfigurationError, match=words):
        load_config(written(tmp_path, GOOD.replace(before, after)))


def test_an_unknown_company_is_answered_with_those_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRAIGS_BILLING_URL", "sqlite:///billing.db")
    with pytest.raises(ConfigurationError, match="Companies: craigs"):
        load_config(written(tmp_path, GOOD)).company("graigs")
