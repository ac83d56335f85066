"""The command line: one JSON line, or one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from reconcile.errors import ConfigurationError, UnreachableError
from reconcile.sandbox.billing.command import billing, midnight

app = typer.Typer()
app.command()(billing)
app.command()(midnight)
run = CliRunner()


def _line(*arguments: str) -> dict[str, object]:
    result = run.invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    answer: dict[str, object] = json.loads(result.stdout)
    return answer


def test_a_database_is_made_and_its_midnight_job_run(tmp_path: Path) -> None:
    made = _line("billing", str(tmp_path / "b.db"), "--today", "2026-03-10")
    assert made["url"] == f"sqlite:///{tmp_path / 'b.db'}"
    assert (made["sample"], made["customers"], made["invoices"]) == ("craigs", 19, 23)
    done = _line("midnight", str(made["url"]), "--date", "2026-03-11")
    assert (done["run_date"], done["already_done"]) == ("2026-03-11", False)
    assert _line("midnight", str(made["url"]), "--date", "2026-03-11")["already_done"]


def test_an_empty_company_is_made_on_either_database(empty_url: str) -> None:
    assert _line("billing", empty_url, "--sample", "empty", "--company", "blank")["invoices"] == 0


@pytest.mark.parametrize(
    ("arguments", "error", "why"),
    [
        (["billing", "x.db", "--sample", "other"], ConfigurationError, "no sample company 'other'"),
        (["billing", "x.db", "--today", "tomorrow"], ConfigurationError, "YYYY-MM-DD"),
        (["billing", "postgresql://postgres:hunter2@127.0.0.1:1/x"], UnreachableError, "does not answer"),
        (["midnight", "none.db"], ConfigurationError, "no ReliaBills database at"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], error: type[Exception], why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=why) as told:
        run.invoke(app, arguments, catch_exceptions=False)
    assert "hunter2" not in str(told.value)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_reliabills_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    with pytest.raises(ConfigurationError, match="tables charge_log"):
        run.invoke(app, ["midnight", str(tmp_path / "empty.db")], catch_exceptions=False)
