"""A company's run whose steps are carried out against sides in memory, and what people do on these meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from reconcile.model.entities import Entity, Side
from reconcile.model.journal import Entry
from reconcile.model.plan import Action, Operation, Plan
from reconcile.model.runs import Mode, Outcome, Run
from reconcile.push.references import References
from reconcile.push.settle import Settled, settle
from reconcile.push.steps import Pusher, StepReport
from reconcile.sides.memory import MemorySide
from reconcile.sides.side import Outcome as Answered
from reconcile.sides.side import Refusal, RequestMemory, Status, Write
from reconcile.state import lease, runs
from reconcile.state.database import open_state, writing
from reconcile.state.journal import Journal
from reconcile.state.links import Links

COMPANY = "craigs"
LIKE_QUICKBOOKS = RequestMemory(asks=False, repeats=timedelta(minutes=30), lags=timedelta(minutes=30))


class Unsteady(MemorySide):
    """Books that carry out what they are asked (or not), and whose answer is lost as often as ``losses`` says.

    ``forgets`` makes them take a repeated request for a new one; while ``hides`` is set no search shows anything. With
    ``underway`` a lost request is on its way until :meth:`arrive`; while ``refuses`` is set no request is carried out.
    """

    def __init__(self, memory: RequestMemory = LIKE_QUICKBOOKS) -> None:
        super().__init__(Side.BOOKS, memory=memory)
        self.losses = 0
        self.takes_effect = True
        self.forgets = False
        self.hides = False
        self.underway = False
        self.refuses: tuple[Refusal, str] | None = None
        self.asked: list[str] = []
        self._late: list[Write] = []

    def write(self, writes: Sequence[Write]) -> Sequence[Answered]:
        self.asked += [write.request_id for write in writes]
        if self.forgets:
            self._answers.clear()
        if not self.losses:
            return self._judged(writes)
        self.losses -= 1
        if self.underway:
            self._late += writes
        elif self.takes_effect:
            super().write(writes)
        return [Answered(write.request_id, Status.UNKNOWN, reason="the connection was lost") for write in writes]

    def _judged(self, writes: Sequence[Write]) -> Sequence[Answered]:
        if self.refuses is None:
            return super().write(writes)
        refusal, words = self.refuses
        return [
            self._answers.get(write.request_id)
            or Answered(write.request_id, Status.FAILED, code="refused", reason=words, refusal=refusal)
            for write in writes
        ]

    def arrive(self) -> None:
        """What was on its way arrives; its answer goes nowhere."""
        late, self._late = self._late, []
        self._judged(late)

    def find(self, entity: Entity, fields: Mapping[str, Any]) -> Sequence[str]:
        return [] if self.hides else super().find(entity, fields)

    def marks(self, entity: Entity, *, since: datetime | None = None, ids: Sequence[str] = ()) -> Mapping[str, str]:
        return {} if self.hides else super().marks(entity, since=since, ids=ids)


@dataclass
class Office:
    """One company: its state, its books and its billing."""

    engine: Engine
    books: Unsteady = field(default_factory=Unsteady)
    billing: MemorySide = field(default_factory=lambda: MemorySide(Side.BILLING))

    @property
    def sides(self) -> Mapping[Side, MemorySide]:
        return {Side.BOOKS: self.books, Side.BILLING: self.billing}

    @property
    def references(self) -> References:
        return References(Links(self.engine, COMPANY))

    def journal(self, run_id: str) -> Journal:
        """The journal of a run that holds the company; whoever held it before has ended."""
        for run in runs.find(self.engine):
            lease.release_run(self.engine, run.id)
        if not any(run.id == run_id for run in runs.find(self.engine)):
            runs.create(self.engine, a_run(run_id))
        return Journal(
            self.engine, COMPANY, run_id, lease.acquire(self.engine, COMPANY, "test", run_id, timedelta(minutes=5))
        )

    def push(self, *operations: Operation, run_id: str = "run-1") -> StepReport:
        """One step of a plan of these operations."""
        plan = Plan(COMPANY, {}, operations)
        pusher = Pusher(plan, self.sides, self.journal(run_id), self.references, {})
        return pusher.push(operations[0].step)

    def settle(self, run_id: str = "run-2") -> tuple[Settled, ...]:
        """The next run begins."""
        return settle(self.journal(run_id), self.sides, self.references)

    def time_passes(self, span: timedelta) -> None:
        """All that was intended and sent was so earlier by that much."""
        seconds = int(span.total_seconds())
        for moment in ("intended_at", "sent_at"):
            earlier = f"{moment} - interval '{seconds} seconds'"
            if self.engine.dialect.name == "sqlite":
                earlier = f"strftime('%Y-%m-%d %H:%M:%f', {moment}, '{-seconds:+} seconds') || '000'"
            with writing(self.engine) as connection:
                connection.execute(text(f"UPDATE journal SET {moment} = {earlier}"))

    def entries(self, run_id: str = "run-1") -> list[Entry]:
        return Journal(self.engine, COMPANY, run_id).entries(run_id)

    def links(self, entity: Entity) -> list[tuple[str, str]]:
        """Ids in books and in billing of each pair."""
        pairs = Links(self.engine, COMPANY).pairs(entity)
        return sorted(zip(pairs["books_id"], pairs["billing_id"], strict=True))


def a_run(run_id: str) -> Run:
    return Run(
        id=run_id,
        company=COMPANY,
        kind="manual",
        mode=Mode.CENSUS,
        apply=True,
        slot="",
        slot_date=None,
        parameters={},
        started_at=datetime.now(UTC),
        ended_at=None,
        outcome=Outcome.RUNNING,
        reason="",
        folder=run_id,
    )


def creation(entity: Entity, key: str, label: str, **payload: Any) -> Operation:
    """What exists only on the side of ``key`` is to be made on the other."""
    side, _, record_id = key.partition(":")
    return Operation(
        step=entity,
        action=Action.CREATE,
        side=Side(side).other,
        key=key,
        books_id=record_id if side == "books" else None,
        billing_id=record_id if side == "billing" else None,
        label=label,
        customer="",
        before={},
        payload=payload,
        agreed=payload,
        unsettled=(),
        expected_version=None,
        depends_on=(),
        reason="new",
    )


@pytest.fixture
def office(state_url: str) -> Office:
    """An office whose state is in either database."""
    return Office(open_state(state_url))
