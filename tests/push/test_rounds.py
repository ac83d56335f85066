"""A step and what moves meanwhile: lost answers are settled at once; a side out of reach does not stop the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from reconcile.errors import DeferredError
from reconcile.model.entities import Entity, Side
from reconcile.model.plan import Operation, Plan
from reconcile.model.runs import StepStatus
from reconcile.model.snapshot import Snapshot
from reconcile.push.rounds import Decided, Records, Rounds, last_look, push_in_rounds
from reconcile.push.settle import settle
from reconcile.push.steps import Pusher, StepReport
from tests.push.conftest import COMPANY, Office, Unsteady, creation

SINCE = dict.fromkeys(Side, datetime.now(UTC) - timedelta(minutes=10))


def in_rounds(office: Office, *operations: Operation) -> StepReport:
    """One step, looked at and settled as a run does; nothing may have to be decided again."""
    journal = office.journal("run-1")
    pusher = Pusher(Plan(COMPANY, {}, operations), office.sides, journal, office.references, {})

    def decide(_step: Entity, records: Records) -> Decided:
        raise AssertionError(records)

    rounds = Rounds(
        lambda step, planned: last_look(pusher, office.sides, step, planned, SINCE),
        decide,
        lambda: settle(journal, office.sides, pusher.references),
    )
    report, _ = push_in_rounds(pusher, operations[0].step, (), rounds)
    return report


def customer(side: Side, number: int) -> Operation:
    name = f"Name {side} {number}"
    return creation(Entity.CUSTOMER, f"{side}:{number}", name, display_name=name, active=True)


def test_an_answer_that_is_lost_is_settled_within_the_step(office: Office) -> None:
    office.books.losses = 1
    report = in_rounds(office, *(customer(Side.BILLING, number) for number in range(1, 4)))
    assert (report.result.status, report.result.done, report.result.unknown) == (StepStatus.SYNCED, 3, 0)
    assert len(office.books.census(Entity.CUSTOMER)) == len(office.links(Entity.CUSTOMER)) == 3
    assert "looked by name" in office.entries()[0].evidence


class Busy(Unsteady):
    """Books that ask for patience when they are asked what changed."""

    def changed(self, entities: Sequence[Entity], since: datetime) -> Mapping[Entity, Snapshot]:
        raise DeferredError(f"QuickBooks asks for fewer requests ({len(entities)} kinds since {since:%H:%M}).")


def test_a_side_that_asks_for_patience_is_not_written_and_the_other_one_is(office: Office) -> None:
    office.books = Busy()
    report = in_rounds(office, customer(Side.BILLING, 1), customer(Side.BOOKS, 2))
    assert [attempt.status for attempt in report.attempts] == ["not sent", "done"]
    assert report.halt is not None
    assert office.books.asked == []
    assert len(office.billing.census(Entity.CUSTOMER)) == 1
