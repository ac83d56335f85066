"""A small good company on both sides, to be spoiled one cell at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd
import pytest

from checks import SUITES, Validation, validate
from checks.world import World
from reconcile.model.entities import FIELDS, ROW_FIELDS, Entity, Kind, Side
from reconcile.model.findings import Finding
from reconcile.model.money import to_scaled
from reconcile.model.snapshot import Scope, Snapshot, conform, empty_rows, record_dtypes, row_dtypes

TODAY = date(2026, 3, 8)
AS_OF = datetime(2026, 3, 9, 4, 30, tzinfo=UTC)

Row = dict[str, Any]


def good_records() -> dict[Entity, dict[str, Row]]:
    """Two customers, two products, a tax rate; one invoice paid in part, one with a discount paid in full."""
    customer = {"active": True, "taxable": True, "currency": "USD", "phone": "(650) 555-3311", "city": "Bayshore"}
    return {
        Entity.CUSTOMER: {
            "1": customer
            | {"display_name": "Amy's Bird Sanctuary", "given_name": "Amy", "family_name": "Lauterbach"}
            | {"email": "birds@example.com", "more_emails": "a@example.com,b@example.com"},
            "2": customer
            | {"display_name": "Cool Cars", "given_name": "Grace", "family_name": "Pariente"}
            | {"email": "cars@example.com"},
        },
        Entity.PRODUCT: {
            "1": {"name": "Pump", "unit_price": to_scaled("12.75"), "taxable": True, "active": True, "sku": "P-1"},
            "2": {"name": "Design", "unit_price": to_scaled("75"), "taxable": False, "active": True},
        },
        Entity.TAX_RATE: {"1": {"name": "California", "percent": to_scaled("8"), "agency": "Board", "active": True}},
        Entity.INVOICE: {
            "1": {"number": "1037", "customer_id": "1", "invoice_date": "2026-02-01", "due_date": "2026-03-03"}
            | {"tax_rate_id": "1", "void": False, "subtotal": 10050, "discount": 0, "tax": 204, "total": 10254}
            | {"balance": 5254, "state": "open", "currency": "USD", "memo": "Thank you"},
            "2": {"number": "1038", "customer_id": "2", "invoice_date": "2026-02-05", "due_date": "2026-02-05"}
            | {"void": False, "discount_percent": to_scaled("10"), "subtotal": 7500, "discount": 750, "tax": 0}
            | {"total": 6750, "balance": 0, "state": "paid", "currency": "USD"},
        },
        Entity.PAYMENT: {
            "1": {"customer_id": "1", "payment_date": "2026-02-10", "amount": 6000, "method": "check"}
            | {"reference": "check 17", "void": False, "unapplied": 1000, "currency": "USD"},
            "2": {"customer_id": "2", "payment_date": "2026-02-10", "amount": 6000, "credit": 750, "method": "card"}
            | {"reference": "4242", "void": False, "unapplied": 0, "currency": "USD"},
        },
    }


def good_rows() -> dict[Entity, list[Row]]:
    design = {"product_id": "2", "quantity": to_scaled(1), "unit_price": to_scaled(75), "amount": 7500}
    return {
        Entity.INVOICE: [
            {"parent_id": "1", "position": 1, "product_id": "1", "quantity": to_scaled(2), "amount": 2550}
            | {"unit_price": to_scaled("12.75"), "taxable": True},
            {"parent_id": "1", "position": 2, "taxable": False} | design,
            {"parent_id": "2", "position": 1, "taxable": False} | design,
        ],
        Entity.PAYMENT: [
            {"parent_id": "1", "position": 1, "invoice_id": "1", "amount": 5000},
            {"parent_id": "2", "position": 1, "invoice_id": "2", "amount": 6750},
        ],
    }


@dataclass
class Company:
    """Both sides of a company, in cells that a test may change; both sides begin alike and good."""

    records: dict[Side, dict[Entity, dict[str, Row]]] = field(
        default_factory=lambda: {side: good_records() for side in Side}
    )
    rows: dict[Side, dict[Entity, list[Row]]] = field(default_factory=lambda: {side: good_rows() for side in Side})
    scopes: dict[tuple[Side, Entity], Scope] = field(default_factory=dict)
    unreadable: dict[tuple[Side, Entity], frozenset[str]] = field(default_factory=dict)
    read: dict[tuple[Side, Entity], tuple[Finding, ...]] = field(default_factory=dict)

    def set(self, side: Side, entity: Entity, record_id: str, **fields: Any) -> None:
        self.records[side][entity][record_id].update(fields)

    def copy(self, side: Side, entity: Entity, record_id: str, new_id: str, **fields: Any) -> None:
        """The same record again under another id, with its child rows."""
        self.records[side][entity][new_id] = self.records[side][entity][record_id] | {"id": new_id} | fields
        if entity in self.rows[side]:
            rows = self.rows[side][entity]
            rows.extend([row | {"parent_id": new_id} for row in rows if row["parent_id"] == record_id])

    def set_row(self, side: Side, entity: Entity, number: int, **fields: Any) -> None:
        self.rows[side][entity][number].update(fields)

    def snapshot(self, side: Side, entity: Entity) -> Snapshot:
        records = [{"id": key} | record for key, record in self.records[side][entity].items()]
        rows = self.rows[side].get(entity, [])
        snapshot = Snapshot(
            side,
            entity,
            _frame(records, record_dtypes(entity)),
            _frame(rows, row_dtypes(entity)) if entity in ROW_FIELDS else empty_rows(entity),
            AS_OF,
        )
        return replace(
            snapshot,
            scope=self.scopes.get((side, entity), Scope.CENSUS),
            unreadable=self.unreadable.get((side, entity), frozenset()),
            findings=self.read.get((side, entity), ()),
        )

    def validate(self, suites: Sequence[str] = (), **arguments: Any) -> Validation:
        books, billing = ({entity: self.snapshot(side, entity) for entity in Entity} for side in Side)
        chosen = [suite for suite in SUITES if not suites or suite.name in suites]
        return validate(books, billing, today=TODAY, suites=chosen, **arguments)


REFERENCES = {
    each.name for fields in (*FIELDS.values(), *ROW_FIELDS.values()) for each in fields if each.kind is Kind.REF
} | {"parent_id"}
NAMES = {"display_name", "name"}


def mark(place: int) -> str:
    """By what the records of one of many companies are told apart."""
    return f"e{place:03}"


def put_together(companies: Sequence[Company]) -> Company:
    """All companies as one: every id, name and invoice number carries the mark of where it comes from."""
    together = Company({side: {entity: {} for entity in Entity} for side in Side}, {side: {} for side in Side})
    for place, company in enumerate(companies):
        for side in Side:
            for entity in Entity:
                for key, record in company.records[side][entity].items():
                    own = record.get("id", key)
                    marked = _marked(record | {"id": own}, place)
                    together.records[side][entity][f"{mark(place)}-{key}"] = marked
                rows = [_marked(row, place) for row in company.rows[side].get(entity, [])]
                together.rows[side].setdefault(entity, []).extend(rows)
    return together


def _marked(record: Row, place: int) -> Row:
    marked = dict(record)
    for name, value in record.items():
        if value is None:
            continue
        if name == "id" or name in REFERENCES:
            marked[name] = f"{mark(place)}-{value}"
        elif name in NAMES:
            marked[name] = f"{value} {mark(place)}"
        elif name == "number" and value.isdecimal():
            marked[name] = f"{place}{value}"
    return marked


def _frame(records: Sequence[Mapping[str, Any]], dtypes: Mapping[str, str]) -> pd.DataFrame:
    columns = {name: pd.Series([record.get(name) for record in records], dtype=dtype) for name, dtype in dtypes.items()}
    return conform(pd.DataFrame(columns), dtypes)


@pytest.fixture(scope="session")
def together() -> Any:
    """Puts companies together and marks whose record is whose: ``(put_together, mark)``."""
    return put_together, mark


@pytest.fixture(scope="session")
def new_company() -> type[Company]:
    """For tests that need several."""
    return Company


def spoiled(company: Company) -> World:
    """The company with something wrong in every kind of record, as the checks look at it."""
    company.set(Side.BOOKS, Entity.CUSTOMER, "1", email="two@example.com, one@example.com", display_name="a:b")
    company.set(Side.BILLING, Entity.CUSTOMER, "2", display_name="a:b", given_name=None)
    company.set(Side.BILLING, Entity.INVOICE, "2", number="A-7", invoice_date="1899-01-01", customer_id="9")
    company.set(Side.BOOKS, Entity.INVOICE, "1", number=None)
    company.set(Side.BILLING, Entity.PAYMENT, "1", amount=None)
    company.set(Side.BOOKS, Entity.PRODUCT, "2", name="Pump")
    books, billing = ({entity: company.snapshot(side, entity) for entity in Entity} for side in Side)
    return World(books, billing, {side: {entity: frozenset() for entity in Entity} for side in Side}, AS_OF.date())


@pytest.fixture
def company() -> Company:
    return Company()
