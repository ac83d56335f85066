"""A plan is a contract: over random two-sided histories, what was planned is what is written, or less; never else.

A plan for a few records costs nearly as much as one for hundreds, so many histories live side by side in one company,
each with customers, products, numbers and references of its own. They are drawn from one seed, which a failure shows.
``LAW_EXAMPLES=100`` tries tens of thousands.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reconcile.compare.diff import compare_all
from reconcile.compare.enforcing import needed
from reconcile.compare.planning import Planned, make_plan
from reconcile.compare.policy import Policy
from reconcile.model.entities import Entity, Side, side_and_id
from reconcile.model.plan import Action, Operation, Plan, canonical_json
from reconcile.model.rows import referred, with_rows_text
from reconcile.model.runs import StepStatus
from reconcile.model.snapshot import Snapshot
from reconcile.push.references import References
from reconcile.push.steps import Pusher
from reconcile.sides import side as sides
from reconcile.sides.memory import MemorySide
from reconcile.state import lease, runs
from reconcile.state.database import open_state
from reconcile.state.journal import Journal
from reconcile.state.links import Links
from tests.push.conftest import COMPANY, a_run

EXAMPLES = int(os.environ.get("LAW_EXAMPLES", "2"))
SIDE_BY_SIDE = 520
"""Histories in one company; both laws together try more than two thousand each time."""

WORDS = (None, "a", "b")
NAMES = {
    Entity.CUSTOMER: ("Amy", "Bob", "Cy"),
    Entity.PRODUCT: ("Rocks", "Soil"),
    Entity.INVOICE: ("100", "101", "00100"),
    Entity.PAYMENT: ("A1", "A2"),
}
EDITS: dict[Entity, dict[str, Sequence[Any]]] = {
    Entity.CUSTOMER: {"phone": WORDS, "company_name": WORDS, "active": (True, True, False)},
    Entity.PRODUCT: {"sku": WORDS, "description": WORDS},
    Entity.INVOICE: {
        "memo": WORDS,
        "due_date": ("2026-03-31", "2026-04-30"),
        "void": (False, False, False, True),
    },
    Entity.PAYMENT: {
        "payment_date": ("2026-03-05", "2026-03-06"),
        "void": (False, False, False, True),
    },
}
"""Fields by which nobody tells records apart, so that an edit moves its own record and no other; but for the SKU."""


class Recorder(MemorySide):
    """A side that remembers what it was asked to write, and who was touched by people."""

    def __init__(self, side: Side) -> None:
        super().__init__(side)
        self.asked: list[sides.Write] = []

    def write(self, writes: Sequence[sides.Write]) -> Sequence[sides.Outcome]:
        self.asked += writes
        return super().write(writes)


@dataclass
class Trade:
    """Two sides, a state, and people at work on both."""

    url: str
    books: Recorder = field(default_factory=lambda: Recorder(Side.BOOKS))
    billing: Recorder = field(default_factory=lambda: Recorder(Side.BILLING))
    ids: dict[tuple[Side, Entity, int, str], str] = field(default_factory=dict)
    history_of: dict[tuple[Side, Entity, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.engine = open_state(self.url)
        self.links = Links(self.engine, COMPANY)

    @property
    def sides(self) -> Mapping[Side, Recorder]:
        return {Side.BOOKS: self.books, Side.BILLING: self.billing}

    def add(self, side: Side, entity: Entity, history: int, n: int) -> None:
        """Somebody makes the n-th record of its kind in a history, if what it refers to is there."""
        there = self.sides[side]
        name = f"{NAMES[entity][n]}{history:03}"
        customer = self.ids.get((side, Entity.CUSTOMER, history, NAMES[Entity.CUSTOMER][n % 2]))
        if entity is Entity.CUSTOMER:
            mail = f"{name.lower()}@example.com"
            values: dict[str, Any] = {"display_name": name, "given_name": "A", "family_name": name, "email": mail}
            values |= {"active": True, "taxable": True, "currency": "USD"}
        elif entity is Entity.PRODUCT:
            values = {"name": name, "active": True, "taxable": False, "unit_price": 100_0000000}
        elif entity is Entity.INVOICE:
            product = self.ids.get((side, Entity.PRODUCT, history, NAMES[Entity.PRODUCT][n % 2]))
            if customer is None or product is None:
                return
            line = {"product_id": product, "description": "work", "quantity": 3_0000000, "unit_price": 1_0000000}
            values = {"number": name, "customer_id": customer, "lines": [{**line, "amount": 300, "taxable": False}]}
            values |= {"void": False, "invoice_date": "2026-03-01", "due_date": "2026-03-31", "currency": "USD"}
        else:
            invoice = self.ids.get((side, Entity.INVOICE, history, NAMES[Entity.INVOICE][n]))
            if customer is None or invoice is None:
                return
            values = {"customer_id": customer, "amount": 100, "reference": name, "void": False, "currency": "USD"}
            values |= {"payment_date": "2026-03-05", "credit": 0, "method": "check"}
            values |= {"applications": [{"invoice_id": invoice, "amount": 100}]}
        record_id = self.ids[side, entity, history, NAMES[entity][n]] = there.add(entity, **values)
        self.history_of[side, entity, record_id] = history

    def and_twins(self, records: Collection[tuple[Side, Entity, str]]) -> set[tuple[Side, Entity, str]]:
        """These records, and what they are on the other side: linked by a run, or of the same name."""
        names = {(*key[:2], record_id): key for key, record_id in self.ids.items()}
        twins = {(side.other, *names[side, entity, record_id][1:]) for side, entity, record_id in records}
        found = {*records, *((*key[:2], self.ids[key]) for key in twins if key in self.ids)}
        for entity in Entity:
            pairs = self.links.pairs(entity)
            for books_id, billing_id in zip(pairs["books_id"], pairs["billing_id"], strict=True):
                both = {(Side.BOOKS, entity, books_id), (Side.BILLING, entity, billing_id)}
                found |= both if both & found else set()
        return found

    def hangs_on(self, found: Collection[tuple[Side, Entity, str]]) -> set[tuple[Side, Entity, str]]:
        """What these records refer to, and what that refers to."""
        further = {
            (side, to, key)
            for side, entity, record_id in found
            for to, key in referred(entity, with_rows_text(entity, self.sides[side].values(entity, record_id)))
        }
        return further | self.hangs_on(further) if further else set()

    def plan(self, enforced: Plan | None = None) -> Planned:
        """What a run would do now."""
        read: dict[Side, dict[Entity, Snapshot]] = {
            side: {entity: there.census(entity) for entity in Entity} for side, there in self.sides.items()
        }
        agreements = {entity: self.links.agreement(entity) for entity in Entity}
        compared = compare_all(read[Side.BOOKS], read[Side.BILLING], agreements, Policy())
        told = [finding for comparison in compared.values() for finding in comparison.findings]
        return make_plan(COMPANY, compared, read[Side.BOOKS], read[Side.BILLING], agreements, told, enforced=enforced)

    def carry_out(self, plan: Plan) -> bool:
        """Push a plan as a run does; whether every step of it has synced."""
        for there in self.sides.values():
            there.asked.clear()
        run_id = runs.new_run_id(datetime.now(UTC))
        runs.create(self.engine, a_run(run_id))
        held = lease.acquire(self.engine, COMPANY, "test:1", run_id, timedelta(minutes=15))
        journal = Journal(self.engine, COMPANY, run_id, held)
        versions = {
            (side, entity): dict(zip(*(there.census(entity).frame[name] for name in ("id", "version")), strict=True))
            for side, there in self.sides.items()
            for entity in Entity
        }
        pusher = Pusher(plan, self.sides, journal, References(self.links), versions)
        synced = all(pusher.push(entity).result.status is StepStatus.SYNCED for entity in Entity)
        held.release()
        return synced

    def written(self) -> Counter[str]:
        """What the sides were asked to write."""
        return Counter(
            said(side, write.entity, write.action, write.id, write.version, write.fields)
            for side, there in self.sides.items()
            for write in there.asked
        )

    def planned(self, operations: Sequence[Operation]) -> Counter[str]:
        """What these operations say will be written, in the ids of the written sides."""
        references = References(self.links)
        return Counter(
            said(
                operation.side,
                operation.step,
                operation.action,
                operation.target_id,
                operation.expected_version,
                references.to_side(operation.side, operation.step, operation.payload),
            )
            for operation in operations
            if operation.side is not None
        )


def said(side: Side, *parts: Any) -> str:
    return canonical_json([side, *parts])


def populate(trade: Trade, draw: Random) -> None:
    """People make records on one side or both, work on; for half of the histories a run comes in between."""
    for half in (range(0, SIDE_BY_SIDE, 2), range(1, SIDE_BY_SIDE, 2)):
        for entity, names in NAMES.items():
            for history, n in product(half, range(len(names))):
                place = draw.choice(["both", "both", "books", "billing"])
                for side in Side:
                    if place in ("both", side):
                        trade.add(side, entity, history, n)
        if half.start == 0:
            trade.carry_out(trade.plan().plan)
    edit(trade, draw)


def edit(trade: Trade, draw: Random) -> set[tuple[Side, Entity, str]]:
    """People edit some of what they have made; gives the records they touched."""
    touched = set()
    for (side, entity, history, _name), record_id in trade.ids.items():
        if draw.random() < 0.5:
            name = draw.choice(sorted(EDITS[entity]))
            value = draw.choice(EDITS[entity][name])
            if name == "sku" and value:  # products of two histories must not be taken for each other
                value = f"{value}{history}"
            trade.sides[side].edit(entity, record_id, **{name: value})
            touched.add((side, entity, record_id))
    return touched


@pytest.fixture
def make_trade(tmp_path: Path, _migrated_sqlite: Path) -> Iterator[Any]:
    made: list[Trade] = []

    def make() -> Trade:
        path = tmp_path / f"{len(made)}.db"
        shutil.copy(_migrated_sqlite, path)
        made.append(Trade(f"sqlite:///{path}"))
        return made[-1]

    yield make
    for trade in made:
        trade.engine.dispose()


SEEDS = st.integers(0, 2**32 - 1)
LAW = settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@LAW
@given(seed=SEEDS)
def test_what_was_planned_is_what_is_written(make_trade: Any, seed: int) -> None:
    trade: Trade = make_trade()
    populate(trade, Random(seed))  # noqa: S311  a seed replays it
    saved = Plan.from_json(trade.plan().plan.to_json())
    planned = trade.plan(saved)
    assert planned.enforced is not None
    assert (planned.plan.operations, planned.plan.digest) == (saved.operations, saved.digest)
    assert (planned.enforced.refused, planned.enforced.new) == ((), ())
    assert trade.carry_out(planned.plan)
    assert trade.written() == trade.planned(saved.operations)
    again = trade.plan(saved)
    assert [operation for operation in again.plan.operations if operation.action.writes] == []
    refused = {one.operation.op_id for one in again.enforced.refused} if again.enforced else set()
    assert {operation.op_id for operation in saved.writes()} <= refused


@LAW
@given(seed=SEEDS)
def test_what_moved_since_is_refused_and_the_rest_is_written(make_trade: Any, seed: int) -> None:
    trade: Trade = make_trade()
    draw = Random(seed)  # noqa: S311  a seed replays it
    populate(trade, draw)
    saved = trade.plan().plan
    touched = edit(trade, draw)
    planned = trade.plan(saved)
    assert planned.enforced is not None
    left = {operation.op_id: operation for operation in planned.plan.operations}
    refused = {one.operation.op_id: one.reason for one in planned.enforced.refused}
    wanted = {operation.op_id: operation for operation in saved.operations}
    assert left.keys() | refused.keys() == wanted.keys(), "each is done or refused"
    assert not left.keys() & refused.keys()
    assert all(reason.endswith((".", ")")) for reason in refused.values())
    moved = {operation.op_id for operation in wanted.values() if records(operation) & touched}
    for op_id, operation in wanted.items():
        if operation.side is not None and (operation.side, operation.step, operation.target_id) in touched:
            assert op_id in refused, f"{operation} was written although its record had moved"
        if op_id in refused and op_id not in moved:
            history = history_of(trade, operation)
            own = trade.and_twins({one for one in touched if trade.history_of[one] == history})
            hangs = bool(trade.hangs_on(records(operation)) & own)
            assert hangs or may_wait(operation, own, refused, wanted), f"{operation}: {refused[op_id]}"
    assert trade.carry_out(planned.plan)
    assert trade.written() == trade.planned([*left.values()])


def history_of(trade: Trade, operation: Operation) -> int:
    """The history that an operation is about."""
    (found,) = {trade.history_of[one] for one in records(operation) if one in trade.history_of}
    return found


def records(operation: Operation) -> set[tuple[Side, Entity, str]]:
    ids = {Side.BOOKS: operation.books_id, Side.BILLING: operation.billing_id}
    return {(side, operation.step, record_id) for side, record_id in ids.items() if record_id is not None}


def may_wait(
    operation: Operation,
    touched: set[tuple[Side, Entity, str]],
    refused: Mapping[str, str],
    wanted: Mapping[str, Operation],
) -> bool:
    """Whether something that this operation hangs together with has moved: then it may be refused, too."""
    about = {(entity, key) for entity, key in needed(operation)}
    others = [one for op_id, one in wanted.items() if op_id in refused and one is not operation]
    waits = any((one.step, one.key) in about or (operation.step, operation.key) in needed(one) for one in others)
    ids = {(side, entity, record_id) for entity, key in about for side, record_id in [side_and_id(key)]}
    ending = operation.action is Action.DEACTIVATE or operation.payload.get("active") is False
    owing = ending and any(entity is Entity.INVOICE for _, entity, _ in touched)  # what is owed keeps it active
    hangs = any(f"{entity}:{side}:{record_id}" in operation.depends_on for side, entity, record_id in touched)
    # a SKU that was edited may tell that two products are one, whatever was taken for one before
    another = operation.step is Entity.PRODUCT and any(entity is Entity.PRODUCT for _, entity, _ in touched)
    return waits or bool(ids & touched) or owing or hangs or another
