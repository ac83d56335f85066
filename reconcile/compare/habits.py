"""What is usual for a company: from what its earlier runs ended and repriced, how much one more run may by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconcile.model.entities import Entity
from reconcile.model.plan import Action, Plan

PRICES = "price changes"
FLOOR = 20
"""So many pass in any company: a young one has no history, and a quiet one may tidy up for once."""
TIMES = 2
"""How many times the most that an earlier run did is still believed."""
RUNS_LOOKED_AT = 60
"""About a month of nights: long enough for what comes once a month."""

_ENDINGS = frozenset({Action.VOID, Action.DELETE, Action.DEACTIVATE})


@dataclass(frozen=True, slots=True)
class Limit:
    """How much passes without a person, and why so much, as the end of a sentence."""

    most: int
    why: str


def deeds(plan: Plan) -> dict[str, int]:
    """How many records of each kind a plan ends (void, delete, deactivate), and how many prices it changes.

    Keys are the values of :class:`~reconcile.model.entities.Entity` and :data:`PRICES`; without what does not occur.
    """
    counted: Counter[str] = Counter()
    for operation in plan.writes():
        if operation.action in _ENDINGS:
            counted[operation.step.value] += 1
        elif operation.step is Entity.PRODUCT and operation.action is Action.UPDATE:
            counted[PRICES] += "unit_price" in operation.payload
    return {kind: number for kind, number in counted.items() if number}


def limit(kind: str, history: Sequence[Mapping[str, int]], chosen: int | None = None) -> Limit:
    """How much of a kind one run may do by itself.

    Args:
        kind: a key of :func:`deeds`.
        history: the deeds of the company's earlier runs, but for those that a person had to let pass.
        chosen: the company's setting; it counts instead of the history.
    """
    if chosen is not None:
        return Limit(chosen, f"the company's setting lets at most {chosen:,} pass")
    if not history:
        return Limit(FLOOR, f"this company has no earlier runs to compare with, so at most {FLOOR:,} pass")
    usual = max(run.get(kind, 0) for run in history)
    most = max(FLOOR, TIMES * usual)
    runs = "the last run" if len(history) == 1 else f"the last {len(history):,} runs"
    return Limit(most, f"{runs} did at most {usual:,}, so at most {most:,} pass")
