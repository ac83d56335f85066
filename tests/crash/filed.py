"""A side that outlives the process: :class:`MemorySide`, kept in a file that each write replaces as a whole.

Like QuickBooks it cannot be asked what became of a request; it repeats its first answer for a while, and a search may
lag behind. It can be told to misbehave for one run (:class:`Trouble`).
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from reconcile.errors import RefusedError, UnreachableError
from reconcile.model.entities import Entity, Side
from reconcile.model.snapshot import Snapshot
from reconcile.sides.memory import MemorySide
from reconcile.sides.quickbooks.writer import MEMORY
from reconcile.sides.side import Outcome, Progress, RequestMemory, Status, Write, no_progress
from tests.crash.boundaries import BOUNDARIES

NEVER_LAGS = RequestMemory(asks=False)
"""A side that shows at once what it made, and answers a repeated request by doing it again: the outage was long."""


@dataclass(frozen=True)
class Trouble:
    """What goes wrong in one run, at its ``at``-th write (``throttled`` and ``expired``: from its ``at``-th call on).

    ``lost before``: the request never arrives. ``lost after``: it is carried out, the answer is lost. ``late``: no
    answer, and it arrives when the run is over. ``twice``: it is delivered twice. ``edited``: a person is faster.
    ``throttled``, ``expired``: every call from then on is refused.
    """

    kind: str = ""
    at: int = 0


class FiledSide(MemorySide):
    """Books in a file. Before and after each effect is a boundary; each request that leaves is told in ``left``."""

    _KEPT = ("_records", "_gone", "_answers", "_next_id", "_marks", "writes", "late")

    def __init__(
        self,
        side: Side,
        path: Path,
        left: Path | None = None,
        trouble: Trouble | None = None,
        memory: RequestMemory = MEMORY,
    ) -> None:
        super().__init__(side, memory=memory)
        self.late: list[Write] = []
        self.interrupt: Callable[[FiledSide, Write], None] | None = None
        self._path = path
        self._left = left
        self._trouble = trouble or Trouble()
        self._calls = self._asked = 0
        if path.exists():
            self.__dict__ |= pickle.loads(path.read_bytes())  # noqa: S301  our own file

    def save(self) -> None:
        """Keep everything, at once."""
        new = self._path.with_suffix(".new")
        new.write_bytes(pickle.dumps({name: self.__dict__[name] for name in self._KEPT}))
        new.replace(self._path)

    def arrive(self) -> None:
        """What was under way arrives now."""
        while self.late:
            super()._write(self.late.pop(0))
        self.save()

    def census(self, entity: Entity, progress: Progress = no_progress) -> Snapshot:
        self._refused()
        return super().census(entity, progress)

    def changed(self, entities: Sequence[Entity], since: datetime) -> Mapping[Entity, Snapshot]:
        self._refused()
        return super().changed(entities, since)

    def fetch(self, entity: Entity, ids: Sequence[str]) -> Snapshot:
        self._refused()
        return super().fetch(entity, ids)

    def find(self, entity: Entity, fields: Mapping[str, Any]) -> Sequence[str]:
        self._refused()
        return super().find(entity, fields)

    def _refused(self) -> None:
        self._calls += 1
        if self._calls >= self._trouble.at:
            if self._trouble.kind == "throttled":
                raise UnreachableError("QuickBooks asked for fewer requests 6 times in a row.")
            if self._trouble.kind == "expired":
                raise RefusedError("QuickBooks no longer accepts this connection.")

    def _write(self, write: Write) -> Outcome:
        try:
            self._refused()
        except (UnreachableError, RefusedError) as refusal:
            return Outcome(write.request_id, Status.FAILED, code="refused", reason=str(refusal))
        if self._left is not None:
            tell(self._left, write.request_id)
        self._asked += 1
        kind = self._trouble.kind if self._asked == self._trouble.at else ""
        told = f"{write.action} of a {write.entity.singular} in {self.side.product}"
        lost = Outcome(write.request_id, Status.UNKNOWN, reason="the connection was lost")
        if kind == "lost before":
            return lost
        if kind == "late":
            self.late.append(write)
            self.save()
            return lost
        if kind == "edited" and self.interrupt is not None:
            self.interrupt(self, write)
        BOUNDARIES.reach(f"before the {told}")
        outcome = super()._write(write)
        if kind == "twice":
            outcome = super()._write(write)
        self.save()
        BOUNDARIES.reach(f"after the {told}")
        return lost if kind == "lost after" else outcome


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
