"""A side that outlives the process: :class:`MemorySide`, kept in a file that each write replaces as a whole."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

from reconcile.model.entities import Side
from reconcile.sides.memory import MemorySide
from reconcile.sides.side import Outcome, Write
from tests.crash.boundaries import BOUNDARIES


class FiledSide(MemorySide):
    """Books in a file. Before and after each effect is a boundary; each request that leaves is told in ``left``."""

    _KEPT = ("_records", "_gone", "_answers", "_next_id", "writes")

    def __init__(self, side: Side, path: Path, left: Path | None = None) -> None:
        super().__init__(side)
        self._path = path
        self._left = left
        if path.exists():
            self.__dict__ |= pickle.loads(path.read_bytes())  # noqa: S301  our own file

    def save(self) -> None:
        """Keep everything, at once."""
        new = self._path.with_suffix(".new")
        new.write_bytes(pickle.dumps({name: self.__dict__[name] for name in self._KEPT}))
        new.replace(self._path)

    def _write(self, write: Write) -> Outcome:
        if self._left is not None:
            tell(self._left, write.request_id)
        told = f"{write.action} of a {write.entity.singular} in {self.side.product}"
        BOUNDARIES.reach(f"before the {told}")
        outcome = super()._write(write)
        self.save()
        BOUNDARIES.reach(f"after the {told}")
        return outcome


def tell(path: Path, line: str) -> None:
    """Append one line that survives the process."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def told(path: Path) -> list[str]:
    """The lines."""
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def stored(side: MemorySide) -> dict[str, dict[str, dict[str, Any]]]:
    """All records by entity and id: their fields, computed ones too, and version."""
    return {
        entity.value: {
            record_id: {**side.values(entity, record_id), "version": record.version}
            for record_id, record in records.items()
        }
        for entity, records in side._records.items()
    }
