"""Ids, invoice numbers and money on every path they take: what goes in comes out, character by character, to the cent.

The texts are those that spreadsheets, YAML, CSV readers and careless columns turn into something else.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from reconcile.model.entities import Entity, Side
from reconcile.model.journal import AgreementUpdate
from reconcile.model.money import from_minor, show, to_minor
from reconcile.model.plan import Action, Operation, Plan
from reconcile.model.runs import Mode, Outcome, Run
from reconcile.model.snapshot import conform, record_dtypes
from reconcile.sides.quickbooks.frames import Harvest
from reconcile.sides.quickbooks.mapping import Lookups
from reconcile.sides.quickbooks.pages import page_decoder
from reconcile.sides.quickbooks.records import SHAPES
from reconcile.state import lease, runs
from reconcile.state.database import open_state
from reconcile.state.journal import Journal
from reconcile.state.links import Links

DECEPTIVE = [
    *(
        "00123",
        "123",
        "1e5",
        "1_000",
        "0x1F",
        "1.0",
        "-5",
        "+5",
        "08",
        ".5",
        "1,000",
        "999999999999999999999",
        "1" * 400,
    ),
    *("NaN", "null", "NA", "None", "True", "nan", "inf", "NO", "y", "12:30:00", "2026-03-08"),
    *("INV-7", "inv-7", "INV\u20137", "\uff11\uff12\uff13", "\U0001d7d9", "\u00b2", "12\u200b3", "12\u00a0"),
    *(
        " 12",
        "12 ",
        "12\t",
        "=1+1",
        "@x",
        "'quoted'",
        "O'Brien",
        "a%b_c",
        "\u202e123",
        "e\u0301",
        "\u00e9",
        "\U0001f339",
    ),
]
texts = st.one_of(st.sampled_from(DECEPTIVE), st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
AMOUNTS = st.integers(-(10**15), 10**15)


def harvested(number: str, total: str) -> pd.DataFrame:
    """One invoice with this number and total, as it comes over the wire."""
    invoice = {"Id": "5", "DocNumber": number, "SyncToken": "0", "Line": []}
    body = json.dumps({"QueryResponse": {"Invoice": [invoice]}}).replace('"Id"', f'"TotalAmt": {total}, "Id"')
    harvest = Harvest(Entity.INVOICE, Lookups())
    harvest.add(page_decoder(SHAPES[Entity.INVOICE])(body.encode()))
    return harvest.frames()[0]


@given(texts, AMOUNTS)
def test_what_quickbooks_sends_is_what_the_frame_holds(number: str, minor: int) -> None:
    frame = harvested(number, str(from_minor(minor, "USD")))
    if "\N{REPLACEMENT CHARACTER}" in number:
        return  # bytes that were no characters are a finding of their own
    assert frame["number"].tolist() == [number]
    assert frame["total"].tolist() == [minor]


def test_the_largest_amount_is_exact_everywhere() -> None:
    frame = harvested("1", "999999999999.99")
    assert frame["total"].tolist() == [99_999_999_999_999]
    assert show(99_999_999_999_999) == "999,999,999,999.99"
    assert to_minor("999999999999.99", "USD") == 99_999_999_999_999


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(texts, AMOUNTS), min_size=1, max_size=5))
def test_frames_come_back_from_their_files_as_they_were(tmp_path: Path, rows: list[tuple[str, int]]) -> None:
    frame = pd.DataFrame({"id": [text for text, _ in rows], "total": pd.array([n for _, n in rows], dtype="Int64")})
    frame = conform(frame.assign(number=frame["id"]), record_dtypes(Entity.INVOICE))
    frame.to_parquet(tmp_path / "frame.parquet", index=False)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "frame.parquet"), frame)


@given(texts, texts, AMOUNTS)
def test_plans_come_back_from_json_as_they_were(record_id: str, number: str, minor: int) -> None:
    plan = Plan("craigs", {}, (operation(record_id, number, minor),))
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.digest == plan.digest
    assert again.operations[0].payload["number"] == number


@pytest.fixture
def engine(state_url: str) -> Any:
    opened = open_state(state_url)
    yield opened
    opened.dispose()


def test_what_is_remembered_is_what_was_agreed(engine: Engine) -> None:
    started = datetime(2026, 11, 22, 4, 30, tzinfo=UTC)
    run = Run("r1", "craigs", "manual", Mode.CENSUS, True, "", None, {}, started, None, Outcome.RUNNING, "", "r1")
    runs.create(engine, run)
    journal = Journal(engine, "craigs", "r1", lease.acquire(engine, "craigs", "test", "r1", pd.Timedelta(minutes=5)))
    known = [text for text in DECEPTIVE if "\x00" not in text]
    journal.remember(
        [
            (
                operation(text, text, place, action=Action.LINK),
                AgreementUpdate(Entity.INVOICE, text, f"b{text}", text, None, {"number": text, "total": place}),
            )
            for place, text in enumerate(known)
        ]
    )
    pairs = Links(engine, "craigs").pairs(Entity.INVOICE)
    assert set(pairs["books_id"]) == set(known)
    remembered = Links(engine, "craigs").agreement(Entity.INVOICE).frame.set_index("books_id")["fields"]
    for place, text in enumerate(known):
        assert json.loads(remembered[text]) == {"number": text, "total": place}


def operation(record_id: str, number: str, minor: int, action: Action = Action.CREATE) -> Operation:
    return Operation(
        step=Entity.INVOICE,
        action=action,
        side=Side.BILLING if action.writes else None,
        key=f"books:{record_id}",
        books_id=record_id,
        billing_id=None if action.writes else f"b{record_id}",
        label=number,
        customer="",
        before={},
        payload={"number": number, "discount_taxable": minor} if action.writes else {},
        agreed={"number": number},
        unsettled=(),
        expected_version=None,
        depends_on=(),
        reason="new in QuickBooks",
    )
