"""What is asked of a run; nothing here takes time to import, so that a command can read it before anything else is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from reconcile.model.runs import Mode

CELL_SECONDS = 2 * 60 * 60


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be run.

    Attributes:
        company: company key.
        mode: census or delta.
        apply: whether writing is allowed.
        slot: ``22:30``, ``01:30`` or empty.
        slot_date: local date of the slot; the schedule's present date when left out.
        plan: id of the run whose saved plan is carried out, or empty.
        undo: id of the run that is undone, or empty.
        kind: ``night``, ``manual``, ``dry``, ``undo`` or ``apply``; names the folder.
        cell_seconds: time-out of a single cell.
    """

    company: str
    mode: Mode = Mode.CENSUS
    apply: bool = True
    slot: str = ""
    slot_date: date | None = None
    plan: str = ""
    undo: str = ""
    kind: str = "manual"
    cell_seconds: int = CELL_SECONDS

    def parameters(self) -> dict[str, Any]:
        """The notebook's parameters, JSON values with their types."""
        if self.undo:
            return {"company": self.company, "undo": self.undo, "apply": self.apply, "plan_to_enforce": self.plan}
        return {
            "company": self.company,
            "mode": self.mode.value,
            "apply": self.apply,
            "slot": self.slot,
            "plan_to_enforce": self.plan,
        }
