"""What people decided, on its way through a run: read for the comparison, taken before the first write, then closed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

from sqlalchemy import Engine

from reconcile.compare.rules import TO
from reconcile.model.changes import Comparison
from reconcile.model.entities import Entity, Side, key_of
from reconcile.model.plan import Action, Operation
from reconcile.model.resolutions import Applied, Choice, Resolution, Standing, Status
from reconcile.push.steps import StepReport
from reconcile.state import resolutions

Comparisons = Mapping[Entity, Comparison]


class Deciding:
    """The decisions about one company's records, as one run heeds them."""

    def __init__(self, engine: Engine, company: str, run_id: str) -> None:
        self._engine = engine
        self._company = company
        self._run_id = run_id

    def resolutions(self, today: date) -> tuple[Resolution, ...]:
        """What the comparison has to heed on this date."""
        return resolutions.for_comparison(self._engine, self._company, today, self._run_id)

    def waiting(
        self, records: Mapping[tuple[Side, Entity], frozenset[str]]
    ) -> dict[tuple[Side, Entity], frozenset[str]]:
        """The records that a delta must read besides what changed: these, and all that people have decided about."""
        found = dict(records)
        for one in resolutions.listed(self._engine, self._company):
            for side, record_id in zip(Side, (one.draft.books_id, one.draft.billing_id), strict=True):
                if one.status is Status.OPEN and record_id is not None:
                    place = side, one.draft.entity
                    found[place] = found.get(place, frozenset()) | {record_id}
        return found

    def close_outdated(self, comparisons: Comparisons) -> None:
        """Decisions about records that have moved since do not count any more; who made them decides anew."""
        for applied in _all(comparisons):
            if applied.standing is Standing.OUTDATED:
                self._close(applied, Status.OUTDATED, applied.sentence)

    def take(self, comparisons: Comparisons) -> None:
        """From here on nobody withdraws what this run is about to do.

        Raises:
            AlreadyDecidedError: somebody did since the comparison; nothing was written.
        """
        numbers = [one.resolution.id for one in _all(comparisons) if one.standing is Standing.APPLIES]
        resolutions.take(self._engine, self._company, numbers, self._run_id)

    def close_applied(self, comparisons: Comparisons, reports: Mapping[Entity, StepReport]) -> None:
        """Use up the decisions that were carried out; others stay for the next run."""
        for entity, comparison in comparisons.items():
            report = reports.get(entity)
            done = [one.operation for one in report.attempts if one.status == "done"] if report is not None else []
            for applied in comparison.resolved:
                if applied.standing is Standing.DONE:
                    self._close(applied, Status.APPLIED, applied.sentence)
                elif (
                    applied.standing is Standing.APPLIES and report is not None and _carried(applied, comparison, done)
                ):
                    self._close(applied, Status.APPLIED, "carried out")

    def _close(self, applied: Applied, status: Status, because: str) -> None:
        resolutions.close(self._engine, self._company, applied.resolution.id, status, because, self._run_id)


def _all(comparisons: Comparisons) -> Iterator[Applied]:
    return (applied for comparison in comparisons.values() for applied in comparison.resolved)


def _carried(applied: Applied, comparison: Comparison, done: list[Operation]) -> bool:
    """Whether these operations did what was decided."""
    draft = applied.resolution.draft
    pair = draft.books_id, draft.billing_id
    own = [operation for operation in done if (operation.books_id, operation.billing_id) == pair]
    if draft.parts:
        ending = any((link.books_id, link.billing_id) == pair for link in comparison.ended)
        return not ending or any(operation.action is Action.FORGET for operation in own)
    if draft.deleted_in is not None:
        return any(operation.side is draft.deleted_in.other for operation in own)
    if draft.choice.kept is not None:
        target = draft.choice.kept.other
        differences = comparison.differences
        going = differences[
            (differences["key"] == key_of(Side.BOOKS, draft.books_id or "")) & (differences["decision"] == TO[target])
        ]
        wanted = set(going["field"]) & set(draft.fields)
        written = {name for operation in own if operation.side is target for name in operation.payload}
        return "void" in written or wanted <= written
    if draft.choice is Choice.IGNORE:
        return False
    return any(operation.action is Action.LINK for operation in own)
