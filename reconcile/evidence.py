"""The evidence of a run: its folder ``runs/COMPANY/<date>/<time>-<kind>-<id>/``, written whole, hashed, chained.

Names are made by us; date and time are those of the schedule's zone, America/Chicago (ReliaBills, "ours" 5).
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from reconcile.errors import ConfigurationError
from reconcile.model.runs import CENTRAL

_SHORTEST_SECRET = 4


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run's evidence is."""

    path: Path

    @property
    def notebook(self) -> Path:
        """The executed notebook."""
        return self.path / "sync.ipynb"

    @property
    def partial_notebook(self) -> Path:
        """The notebook while it is being executed; becomes :attr:`notebook` in one rename."""
        return self.path / ".sync.partial.ipynb"

    @property
    def frames(self) -> Path:
        """Parquet frames of both sides, of the comparison and of the tie-out."""
        return self.path / "frames"

    @property
    def plan(self) -> Path:
        """The plan, canonical JSON."""
        return self.path / "plan.json"

    @property
    def findings(self) -> Path:
        """All findings, JSON."""
        return self.path / "findings.json"

    @property
    def journal(self) -> Path:
        """The journal extract, JSON lines."""
        return self.path / "journal.jsonl"

    @property
    def verdict(self) -> Path:
        """``run.json``: parameters, outcome, counts, control totals, artifacts with their hashes."""
        return self.path / "run.json"


def make_folder(runs: Path, company: str, kind: str, run_id: str, started_at: datetime) -> RunFolder:
    """Make a new run's folder.

    Raises:
        ConfigurationError: the runs folder cannot be written.
    """
    local = started_at.astimezone(CENTRAL)
    suffix = run_id.rpartition("-")[2]
    path = runs / company / f"{local:%Y-%m-%d}" / f"{local:%H%M%S}-{kind}-{suffix}"
    try:
        (path / "frames").mkdir(parents=True)
    except OSError as error:
        raise ConfigurationError(
            f"The runs folder {runs} cannot be written ({error.strerror}): a run without evidence is not started. "
            "Give this user the right to write there, or set `runs` in reconcile.toml to another folder."
        ) from error
    return RunFolder(path)


def write_text(path: Path, text: str) -> None:
    """Write a whole file or leave the earlier one: to a neighbour first, then one rename, flushed to disk."""
    neighbour = path.with_name(f".{path.name}.partial")
    with neighbour.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    neighbour.replace(path)


def write_json(path: Path, value: object) -> None:
    """Write a value as readable JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def manifest(folder: RunFolder) -> dict[str, str]:
    """Every artifact of a run but its verdict, by path within the folder, with its SHA-256."""
    files = sorted(path for path in folder.path.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder.path)): digest(path) for path in files if path != folder.verdict}


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text without these secrets, also where they stand escaped for JSON, Python, a URL or HTML.

    What is shorter than four characters stays: it would be found inside the words of every sentence.
    """
    spellings = {spelling for secret in secrets if len(secret) >= _SHORTEST_SECRET for spelling in _spellings(secret)}
    if not spellings:
        return text
    longest_first = sorted(spellings, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), "[redacted]", text)


def _spellings(secret: str) -> Iterator[str]:
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield secret.replace("'", "\\'")
    yield quote(secret, safe="")
    yield html.escape(secret)


def redacted(value: Any, secrets: Collection[str], untouched: Collection[str] = ()) -> Any:
    """A JSON value whose texts are without these secrets; keys, and what stands under ``untouched`` keys, stay."""
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, Mapping):
        return {key: inner if key in untouched else redacted(inner, secrets, untouched) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(inner, secrets, untouched) for inner in value]
    return value


def read_verdict(folder: RunFolder) -> Mapping[str, object]:
    """The ``run.json`` of a finished run.

    Raises:
        ConfigurationError: there is none, or it is not readable.
    """
    try:
        content: Mapping[str, object] = json.loads(folder.verdict.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"The run folder {folder.path} has no readable run.json: {error}.") from error
    return content
