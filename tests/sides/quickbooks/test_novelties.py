"""What QuickBooks says for the first time: noticed in what it is, and not in what was always there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Severity
from reconcile.sandbox.quickbooks.entities import RESOURCES, SHAPES
from reconcile.sides.quickbooks.novelties import KNOWN, SAMPLE, VALUES, Novelties, novelty_notes
from tests.sides.quickbooks.conftest import sample


@pytest.mark.parametrize("shape", sorted(KNOWN))
def test_every_property_of_the_public_schema_is_known(shape: str) -> None:
    properties = RESOURCES[shape].properties if shape in RESOURCES else SHAPES[shape]
    assert set(properties) <= KNOWN[shape]
    for name, known in properties.items():
        assert set(known.choices if known.kind == "enum" else ()) <= VALUES.get((shape, name), set(known.choices))


@pytest.mark.parametrize("resource", ["Customer", "Item", "Invoice", "Payment"])
def test_the_sample_company_holds_nothing_new(resource: str) -> None:
    seen = Novelties()
    for record in sample(resource.lower()):
        seen.look_at(resource, [record])
    assert seen.found == {}


def test_a_new_property_and_a_new_value_are_noticed_wherever_they_stand_and_once() -> None:
    line = {"DetailType": "CarbonLineDetail", "SalesItemLineDetail": {"Offset": 1}, "LinkedTxn": [{"TxnType": "Token"}]}
    records: list[Any] = [{"Id": "7", "Line": [line], "Mood": "good"}, {"Id": "8", "Mood": "bad"}, "no record"]
    seen = Novelties()
    seen.look_at_page("Invoice", json.dumps({"QueryResponse": {"Invoice": records}, "time": "x"}).encode())
    assert seen.found == {
        "Line.DetailType = CarbonLineDetail": ("Invoice", "7"),
        "SalesItemLineDetail.Offset": ("Invoice", "7"),
        "LinkedTxn.TxnType = Token": ("Invoice", "7"),
        "Invoice.Mood": ("Invoice", "7"),
    }
    notes = novelty_notes(seen.found, "USD")
    assert {(note.severity, note.entity, note.side, note.record_id) for note in notes} == {
        (Severity.NOTE, Entity.INVOICE, Side.BOOKS, "7")
    }


def test_only_a_sample_is_looked_at_and_what_is_no_answer_is_left_to_others() -> None:
    seen = Novelties()
    seen.look_at("Customer", [*({"Id": "1"} for _ in range(SAMPLE)), {"Id": "2", "Mood": "late"}])
    for body in (b"", b"{}", b'{"QueryResponse": {"Customer": 5}}', b"<html>"):
        seen.look_at_page("Customer", body)
    assert seen.found == {}
