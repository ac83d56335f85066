"""The demo, once and whole: its story, its evidence, and what must never be in it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest

from reconcile.config import load_config
from reconcile.connections import open_vault
from reconcile.evidence import digest
from reconcile.state.database import open_state

TITLES = ("first sync", "22:30", "Synchronize All", "01:30", "once more")
OUTCOMES = ("agreed except held", "a step failed", "agreed except held", "agreed except held", "agreed except held")
OWN_SECRETS = {"reconcile.key", "quickbooks.db"}
"""The key file, and the local QuickBooks' own store (on the other side of the wire)."""


@dataclass(frozen=True, slots=True)
class Demo:
    """What a demo left behind."""

    folder: Path
    said: str
    complained: str
    code: int

    @property
    def runs(self) -> list[Path]:
        """The folders of the five runs, in order."""
        return sorted(path.parent for path in self.folder.glob("*/*/*/run.json"))

    def json(self, run: int, name: str) -> Any:
        """A JSON artifact of the run with that place in the story."""
        return json.loads((self.runs[run] / name).read_text(encoding="utf-8"))

    def notebook(self, run: int) -> Mapping[str, Any]:
        """The saved notebook of the run with that place in the story."""
        content: Mapping[str, Any] = self.json(run, "sync.ipynb")
        return content

    def files(self) -> Iterator[Path]:
        """Every file."""
        return (path for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """One demo, lived through in a process of its own."""
    folder = tmp_path_factory.mktemp("demo") / "night"
    done = subprocess.run(
        [sys.executable, "-m", "reconcile", "demo", "--folder", str(folder)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return Demo(folder, done.stdout, done.stderr, done.returncode)


def outputs(notebook: Mapping[str, Any], words: str) -> list[Mapping[str, Any]]:
    """What the one cell shows whose source has these words."""
    [cell] = [cell for cell in notebook["cells"] if words in "".join(cell["source"])]
    found: list[Mapping[str, Any]] = cell["outputs"]
    return found


def html_of(notebook: Mapping[str, Any]) -> str:
    """All HTML that a notebook shows."""
    return "\n".join(
        "".join(output["data"]["text/html"])
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if "text/html" in output.get("data", {})
    )


def test_the_night_is_told_in_its_chapters_and_ends_well(demo: Demo) -> None:
    assert demo.code == 0, demo.said + demo.complained
    assert demo.complained == ""
    chapters = re.findall(r"^(\d\. .*?|The night in short) ─", demo.said, flags=re.MULTILINE)
    assert [chapter[:2] for chapter in chapters] == ["1.", "2.", "3.", "4.", "5.", "6.", "7.", "Th"]
    for words in (
        "Invoice A-1043 is written to Travis Waldron in QuickBooks",
        "1022, Jeff's Jalopies: 81.00 would be charged again",
        "Invoice A-1043 becomes 1043 in QuickBooks",
        "is charged",
        "Writes in the journal: 0. Both databases are exactly as before.",
        "Both sides agree to the cent, except for what is held and named.",
    ):
        assert words in demo.said
    for title in TITLES:
        assert title in demo.said
    for run in demo.runs:
        assert str(run / "sync.ipynb") in demo.said


def test_each_of_the_five_runs_leaves_its_whole_evidence(demo: Demo) -> None:
    assert len(demo.runs) == 5
    assert [demo.json(at, "run.json")["outcome"] for at in range(5)] == list(OUTCOMES)
    before = ""
    for at, run in enumerate(demo.runs):
        filed = demo.json(at, "run.json")
        present = {str(path.relative_to(run)): path for path in run.rglob("*") if path.is_file()}
        assert {"sync.ipynb", "run.json", "plan.json", "findings.json", "journal.jsonl"} <= set(present)
        assert {
            f"frames/{side}-{name}.parquet" for side in ("books", "billing") for name in ("customer", "invoice")
        } <= (set(present))
        del present["run.json"]
        assert filed["artifacts"] == {name: digest(path) for name, path in present.items()}
        assert filed["previous"] == before
        before = digest(run / "run.json")
        nbformat.validate(nbformat.read(run / "sync.ipynb", as_version=4))
    assert (demo.runs[-1] / "journal.jsonl").read_text(encoding="utf-8").strip() == ""
    assert len((demo.runs[0] / "journal.jsonl").read_text(encoding="utf-8").splitlines()) > 20


def test_whoever_opens_the_failing_notebook_reads_first_what_to_do(demo: Demo) -> None:
    notebook = demo.notebook(1)
    first = "".join(notebook["cells"][0]["outputs"][0]["data"]["text/html"])
    for words in (
        "A-1043",
        "Travis Waldron",
        "250.00 USD",
        "only the digits 0 to 9 are allowed",
        "Change the number in QuickBooks",
        "Not started: payments",
        "At risk at midnight: 81.00 on 1 invoice (1022)",
    ):
        assert words in first
    assert not any("Traceback" in str(output) for cell in notebook["cells"] for output in cell.get("outputs", []))
    assert outputs(notebook, 'push("invoice")')[-1]["output_type"] == "error"
    assert outputs(notebook, 'push("payment")') == []
    assert [step["step"] for step in demo.json(1, "run.json")["steps"]] == [
        "customer",
        "product",
        "tax_rate",
        "invoice",
    ]
    entries = (demo.runs[1] / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(entry)["step"] for entry in entries} == {"customer", "product", "tax_rate", "invoice"}
    assert [(item["number"], item["at_risk"]) for item in demo.json(1, "midnight-risk.json")] == [("1022", 8100)]


def test_the_morning_ties_out_with_every_difference_named(demo: Demo) -> None:
    totals = demo.json(3, "run.json")["control_totals"]
    assert totals["green"]
    assert {row["unexplained"] for row in totals["totals"] if row["currency"]} == {0}
    assert "receivables" in {row["measure"] for row in totals["totals"]}


def test_no_secret_is_in_any_file(demo: Demo) -> None:
    config = load_config(demo.folder / "reconcile.toml")
    engine = open_state(config.state_url)
    vault = open_vault(config, engine)
    kept = [vault.load("craigs") or {}, vault.load_previous("craigs") or {}]
    engine.dispose()
    names = ("client_secret", "access_token", "refresh_token")
    secrets = {one[name].encode() for one in kept for name in names if one.get(name)}
    secrets.add((demo.folder / "reconcile.key").read_bytes().strip())
    assert len(secrets) >= 4
    assert any(secret in (demo.folder / "quickbooks.db").read_bytes() for secret in secrets)  # seen where they are
    for path in demo.files():
        if path.name.partition("-")[0] in OWN_SECRETS:
            continue
        content = path.read_bytes()
        if path.suffix == ".parquet":  # compressed
            content += pd.read_parquet(path).to_csv().encode()
        for secret in secrets:
            assert secret not in content, path
    assert not any(secret in (demo.said + demo.complained).encode() for secret in secrets)


def test_saved_notebooks_need_no_script_no_network_and_no_kernel(demo: Demo) -> None:
    for at in range(5):
        notebook = demo.notebook(at)
        shown = html_of(notebook)
        assert not re.search(r"<(script|iframe|object|embed|link|img|form|a)\b", shown, flags=re.IGNORECASE)
        assert not re.search(r"\b(https?:|javascript:|data:|url\(|@import)", shown, flags=re.IGNORECASE)
        assert not re.search(r"<[^>]*\son\w+\s*=", shown)
        kinds = {kind for cell in notebook["cells"] for out in cell.get("outputs", []) for kind in out.get("data", {})}
        assert kinds <= {"text/html", "text/plain", "image/png"}
        assert "image/png" in kinds
        assert "<script" not in (demo.runs[at] / "sync.ipynb").read_text(encoding="utf-8").lower()
