"""What the benchmark measures is what was meant: both readers give back exactly the frames that were generated."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reconcile.compare.diff import compare_all
from reconcile.compare.planning import make_plan
from reconcile.model.changes import BASE_COLUMNS, LINK_COLUMNS, Agreement
from reconcile.model.entities import Entity, Side
from reconcile.model.plan import Action
from reconcile.model.snapshot import Snapshot, conform
from reconcile.sides.billing import BillingReader
from reconcile.sides.quickbooks import (
    MemoryTokenStore,
    QuickBooksConnection,
    QuickBooksReader,
    QuickBooksSession,
    Tokens,
)

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def _importable() -> Iterator[None]:
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def generate() -> Any:
    return importlib.import_module("generate")


@pytest.fixture(scope="module")
def facts(generate: Any) -> Any:
    return generate.make_facts(generate.Size(customers=60, products=12, invoices=300, payments=200))


@pytest.fixture(scope="module")
def world(generate: Any, facts: Any) -> Any:
    return generate.differing_world(facts, 0.1)[1]


def assert_same(pulled: Mapping[Entity, Snapshot], meant: Mapping[Entity, Snapshot]) -> None:
    for entity in Entity:
        pd.testing.assert_frame_equal(pulled[entity].frame, meant[entity].frame)
        if len(meant[entity].rows.columns):
            pd.testing.assert_frame_equal(pulled[entity].rows, meant[entity].rows)
        assert pulled[entity].findings == ()


def test_the_database_holds_what_billing_was_meant_to_hold(generate: Any, world: Any, tmp_path: Path) -> None:
    generate.write_billing(world, tmp_path / "billing.db")
    reader = BillingReader(f"sqlite:///{tmp_path / 'billing.db'}", "large")
    assert_same({entity: reader.census(entity) for entity in Entity}, generate.snapshots(world, Side.BILLING))


def test_the_pages_hold_what_books_was_meant_to_hold(generate: Any, world: Any, tmp_path: Path) -> None:
    pages = importlib.import_module("pages")
    generate.write_books(world, tmp_path / "books")
    with pages.serving(tmp_path / "books") as url:
        connection = QuickBooksConnection(url, f"{url}/discovery", pages.REALM, "client", "secret")
        reader = QuickBooksReader(QuickBooksSession(connection, MemoryTokenStore(Tokens("access", "refresh"))))
        meant = generate.snapshots(world, Side.BOOKS)
        assert_same({entity: reader.census(entity) for entity in Entity}, meant)
        wanted = list(meant[Entity.INVOICE].frame["id"][:3])
        assert list(reader.fetch(Entity.INVOICE, wanted).frame["id"]) == wanted
        captured = reader.changed([Entity.CUSTOMER], generate.CHANGED_AT)[Entity.CUSTOMER]
    customers = meant[Entity.CUSTOMER].frame
    changed = customers[customers["updated_at"] == generate.CHANGED_AT.strftime("%Y-%m-%dT%H:%M:%SZ")]
    assert set(captured.frame["id"]) == set(changed["id"])
    assert len(changed) > 0


def test_a_company_that_agrees_is_only_linked_and_its_differences_are_those_that_were_made(
    generate: Any, facts: Any
) -> None:
    before, after = generate.differing_world(facts, 0.1)
    books, billing = (generate.snapshots(before, side) for side in Side)
    nothing = {
        entity: Agreement(entity, conform(pd.DataFrame(), BASE_COLUMNS), conform(pd.DataFrame(), LINK_COLUMNS))
        for entity in Entity
    }
    first = make_plan("large", compare_all(books, billing, nothing), books, billing, nothing, ()).plan
    assert {operation.action for operation in first.operations} == {Action.LINK}
    assert len(first.operations) == sum(len(snapshot) for snapshot in books.values())

    agreements = {
        entity: Agreement(
            entity,
            pd.DataFrame(
                {
                    "books_id": [operation.books_id for operation in first.step(entity)],
                    "billing_id": [operation.billing_id for operation in first.step(entity)],
                    "fields": [json.dumps(dict(operation.agreed)) for operation in first.step(entity)],
                    "unsettled": pd.Series([None] * len(first.step(entity)), dtype="str"),
                },
            ).astype("str"),
            conform(pd.DataFrame(), LINK_COLUMNS),
        )
        for entity in Entity
    }
    books, billing = (generate.snapshots(after, side) for side in Side)
    compared = compare_all(books, billing, agreements)
    verdicts = pd.concat([one.changes for one in compared.values()])["verdict"].value_counts().to_dict()
    assert verdicts == {
        "changed in billing": 3 + 8,
        "changed in books": 1 + 7,
        "conflict": 1,
        "new in billing": 4 + 10,
        "new in books": 3,
    }


def test_every_stage_runs_and_is_measured(tmp_path: Path) -> None:
    stages, night = (importlib.import_module(name) for name in ("stages", "night"))
    watch = stages.Watch()
    stages.prepare(tmp_path, watch, {"customers": 40, "products": 10, "invoices": 200, "payments": 150})
    for stage in stages.STAGES.values():
        watch = stages.Watch()
        stage(tmp_path, watch)
        assert watch.parts
        assert watch.figures or stage is stages.tie_out
    assert list(night.ORDER) == ["prepare", *stages.STAGES]
