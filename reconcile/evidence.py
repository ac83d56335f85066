"""The evidence of a run: its folder ``runs/COMPANY/<date>/<time>-<kind>-<id>/``, written whole, hashed, chained.

Names are made by us; date and time are those of the schedule's zone, America/Chicago (ReliaBills, "ours" 5).
"""

from __future__ import annotations

import fcntl
import hashlib
import html
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from reconcile.errors import ConfigurationError
from reconcile.model.runs import CENTRAL

_SHORTEST_SECRET = 4


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run's evidence is."""

    path: Path

    @property
    def at_work(self) -> Path:
        """Locked by the process that works on the run, for as long as it lives."""
        return self.path / ".at-work"

    @property
    def damaged_notebook(self) -> Path:
        """What is left, as text, of a notebook that was being written when its process was killed."""
        return self.path / "sync.partial.txt"

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
    def conflicts(self) -> Path:
        """What waits for a person, JSON."""
        return self.path / "conflicts.json"

    @property
    def undo(self) -> Path:
        """Every write of the run that an undo is about, and what becomes of it, JSON; only of an undo."""
        return self.path / "undo.json"

    @property
    def journal(self) -> Path:
        """The journal extract, JSON lines."""
        return self.path / "journal.jsonl"

    @property
    def verdict(self) -> Path:
        """``run.json``: parameters, outcome, counts, control totals, artifacts with their hashes."""
        return self.path / "run.json"

    def files(self) -> list[Path]:
        """Every artifact, the verdict included, sorted; what is hidden is work in progress."""
        return sorted(path for path in self.path.rglob("*") if path.is_file() and not path.name.startswith("."))


def run_folders(runs: Path, company: str, but: Collection[str] = ()) -> Iterator[str]:
    """Folders of a company's runs that hold any evidence, newest first, relative to the runs folder; ``but`` these.

    Of two runs in the hour that happens twice in autumn the order is that of the clock on the wall.
    """
    for day in sorted((runs / company).glob("*"), reverse=True):
        for path in sorted(day.glob("*"), reverse=True) if day.is_dir() else ():
            folder = str(path.relative_to(runs))
            if folder not in but and path.is_dir() and RunFolder(path).files():
                yield folder


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


class AtWork:
    """A run's process is at work. The system lets go of the lock when the process ends, however it ends."""

    def __init__(self, folder: RunFolder) -> None:
        """Lock the run.

        Raises:
            BlockingIOError: another process works on it.
        """
        self._path = folder.at_work
        self._stream = self._path.open("w", encoding="utf-8")
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._stream.close()
            raise

    def end(self) -> None:
        """The run is filed."""
        self._path.unlink(missing_ok=True)
        self._stream.close()

    def __enter__(self) -> Self:
        """Be at work for as long as the block lasts."""
        return self

    def __exit__(self, *_: object) -> None:
        """See :meth:`end`."""
        self.end()


def is_at_work(folder: RunFolder) -> bool:
    """Whether a living process of this machine (or of one that shares the folder and its locks) works on the run."""
    try:
        with folder.at_work.open(encoding="utf-8") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def write_text(path: Path, text: str) -> None:
    """Write a whole file or leave the earlier one: to a neighbour first, then one rename, flushed to disk."""
    neighbour = path.with_name(f".{path.name}.partial")
    try:
        with neighbour.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        neighbour.replace(path)
    except OSError:
        neighbour.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: object) -> None:
    """Write a value as readable JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def manifest(folder: RunFolder) -> dict[str, str]:
    """Every artifact of a run but its verdict, by path within the folder, with its SHA-256."""
    return {str(path.relative_to(folder.path)): digest(path) for path in folder.files() if path != folder.verdict}


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


def read_json(path: Path) -> Any:
    """A JSON file of a run's evidence.

    Raises:
        ConfigurationError: it is missing, cannot be read, or is damaged; says which.
    """
    whose = f"{path.name} of the run in {path.parent}"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"{whose} is missing. `reconcile verify` says what else is.") from None
    except OSError as error:
        raise ConfigurationError(f"{whose} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigurationError(
            f"{whose} is damaged: it was cut off or altered. `reconcile verify` says what else is."
        ) from error
