"""A step and what moves meanwhile: lost answers are settled at once; a side out of reach does not stop the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconcile.errors import DeferredError
from reconcile.model.entities import Entity, Side
from reconcile.model.plan import Action, EffectKind, Operation, OutsideEffect, Plan
from reconcile.model.runs import StepStatus
from reconcile.model.snapshot import Snapshot
from reconcile.push.references import UnknownReferenceError
from reconcile.push.rounds import Decided, Moved, Records, Rounds, last_look, push_in_rounds
from reconcile.push.settle import settle
from reconcile.push.steps import Pusher, StepReport
from reconcile.sides.side import Refusal
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


@pytest.mark.parametrize(("refusal", "status"), [(Refusal.FOR_GOOD, "failed"), (Refusal.FOR_NOW, "unknown")])
def test_a_lost_answer_whose_repetition_is_refused_says_why_the_step_failed(
    office: Office, refusal: Refusal, status: str
) -> None:
    office.books.losses, office.books.takes_effect = 1, False
    office.books.refuses = (refusal, "A name is longer than it may be.")
    report = in_rounds(office, customer(Side.BILLING, 1))
    assert [attempt.status for attempt in report.attempts] == [status]
    assert report.result.status is StepStatus.FAILED
    assert "A name is longer than it may be." in report.result.reason


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


def decided_again(office: Office, planned: Sequence[Operation], again: Sequence[Operation]) -> StepReport:
    """One step of which everything has moved before it began, and what was decided then."""
    journal = office.journal("run-1")
    step = planned[0].step
    pusher = Pusher(Plan(COMPANY, {}, tuple(planned)), office.sides, journal, office.references, {})
    rounds = Rounds(
        lambda _step, operations: Moved(frozenset(one.op_id for one in operations), {}),
        lambda _step, _records: Decided(tuple(again), ()),
        lambda: settle(journal, office.sides, pusher.references),
    )
    report, _ = push_in_rounds(pusher, step, (), rounds)
    return report


def charging(operation: Operation, *amounts: int) -> Operation:
    effects = tuple(OutsideEffect(EffectKind.CHARGE, "Cool Cars", amount, "USD", "open") for amount in amounts)
    return replace(operation, effects=effects)


@pytest.mark.parametrize(
    ("planned", "now", "status"),
    [((100,), (100,), "done"), ((100,), (99,), "done"), ((100,), (101,), "deferred"), ((100,), (50, 50), "deferred")],
)
def test_what_is_decided_again_charges_no_more_than_the_plan_whose_caps_were_kept(
    office: Office, planned: tuple[int, ...], now: tuple[int, ...], status: str
) -> None:
    operation = customer(Side.BOOKS, 1)
    report = decided_again(office, [charging(operation, *planned)], [charging(operation, *now)])
    assert [attempt.status for attempt in report.attempts] == [status]
    assert len(office.billing.census(Entity.CUSTOMER)) == (status == "done")


def test_what_has_a_counterpart_is_not_made_again_whoever_asks_for_it(office: Office) -> None:
    operation = customer(Side.BOOKS, 1)
    assert office.push(operation).result.done == 1
    assert [attempt.status for attempt in office.push(operation, run_id="run-2").attempts] == ["stale"]
    assert len(office.billing.census(Entity.CUSTOMER)) == 1


def test_a_pair_that_was_ended_does_not_stand_for_each_other_any_more(office: Office) -> None:
    """Two customers are told apart; until the one in billing is made in books, its records go to nobody there."""
    office.push(customer(Side.BOOKS, 1))
    ((books_id, billing_id),) = office.links(Entity.CUSTOMER)
    references = office.references
    assert references.id_on(Side.BOOKS, Entity.CUSTOMER, f"billing:{billing_id}") == books_id
    ended = replace(
        customer(Side.BOOKS, 1), action=Action.FORGET, side=None, billing_id=billing_id, payload={}, agreed={}
    )
    pusher = Pusher(Plan(COMPANY, {}, (ended,)), office.sides, office.journal("run-2"), references, {})
    assert [attempt.status for attempt in pusher.push(Entity.CUSTOMER).attempts] == ["done"]
    with pytest.raises(UnknownReferenceError):
        references.id_on(Side.BOOKS, Entity.CUSTOMER, f"billing:{billing_id}")
    assert not references.linked(Side.BOOKS, Entity.CUSTOMER, books_id)


@pytest.mark.parametrize("moved", ["the end of the pair", "the new pair"])
def test_a_pair_is_linked_only_after_the_one_in_its_way_has_ended(office: Office, moved: str) -> None:
    """Of a pair that comes apart one record belongs to another one now; something of it has moved meanwhile."""
    office.push(customer(Side.BOOKS, 1))
    ((books_id, billing_id),) = office.links(Entity.CUSTOMER)
    one = replace(customer(Side.BOOKS, 1), side=None, payload={}, agreed={})
    ended = replace(one, action=Action.FORGET, books_id=books_id, billing_id=billing_id)
    linked = replace(one, action=Action.LINK, key="books:77", books_id="77", billing_id=billing_id)
    alone = customer(Side.BOOKS, 2)
    planned = (ended, linked, alone)
    pusher = Pusher(Plan(COMPANY, {}, planned), office.sides, office.journal("run-2"), office.references, {})
    told: list[Records] = []

    def decide(_step: Entity, records: Records) -> Decided:
        assert (books_id, billing_id) in office.links(Entity.CUSTOMER)
        told.append(records)
        return Decided((ended, linked), ())

    stale = {"the end of the pair": ended, "the new pair": linked}[moved].op_id
    rounds = Rounds(lambda *_: Moved(frozenset({stale}), {}), decide, lambda: ())
    report, _ = push_in_rounds(pusher, Entity.CUSTOMER, (), rounds)
    assert report.result.status is StepStatus.SYNCED
    assert told == [{Side.BOOKS: {books_id, "77"}, Side.BILLING: {billing_id}}]
    (linked_now,) = [pair for pair in office.links(Entity.CUSTOMER) if pair[1] == billing_id]
    assert linked_now == ("77", billing_id)
