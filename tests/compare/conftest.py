"""A small trade: two sides and what they last agreed on, in the words of the people who keep them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd
import pytest

from checks import engine
from reconcile.compare.canonical import References, canonical
from reconcile.compare.circumstances import Circumstances
from reconcile.compare.diff import compare_all
from reconcile.compare.planning import Planned, make_plan
from reconcile.compare.policy import Policy, written_fields
from reconcile.compare.resolving import seen_record
from reconcile.model.changes import BASE_COLUMNS, LINK_COLUMNS, Agreement, Comparison
from reconcile.model.entities import ROWS_COLUMN, Entity, Kind, Side
from reconcile.model.findings import Finding
from reconcile.model.resolutions import Choice, Draft, Resolution
from reconcile.model.snapshot import Scope, Snapshot, conform, record_dtypes, row_dtypes
from tests.checks.by_hand import carried_out_by_hand

MIDNIGHT = datetime(2026, 3, 9, 3, 30, tzinfo=UTC)
USUAL: dict[Entity, dict[str, Any]] = {
    Entity.CUSTOMER: {"active": True, "taxable": True, "currency": "USD"},
    Entity.PRODUCT: {"active": True, "taxable": True, "unit_price": 10_0000000},
    Entity.TAX_RATE: {"active": True, "percent": 8_0000000, "agency": "State"},
    Entity.INVOICE: {
        "void": False,
        "invoice_date": "2026-03-01",
        "due_date": "2026-03-31",
        "currency": "USD",
        "state": "open",
    },
    Entity.PAYMENT: {"void": False, "payment_date": "2026-03-05", "currency": "USD", "credit": 0, "unapplied": 0},
}


@pytest.fixture(autouse=True, scope="module")
def checks_by_hand() -> Iterator[None]:
    """What is held equal to Great Expectations in its place: these tests are about something else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "carried_out", carried_out_by_hand)
        yield


class OneSide:
    """The records of one side, added one by one."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.records: dict[Entity, dict[str, dict[str, Any]]] = {entity: {} for entity in Entity}
        self.rows: dict[Entity, dict[str, list[dict[str, Any]]]] = {entity: {} for entity in Entity}
        self.scope = Scope.CENSUS
        self.gone: dict[Entity, set[str]] = {entity: set() for entity in Entity}
        self.unreadable: dict[Entity, set[str]] = {entity: set() for entity in Entity}
        self.findings: list[Finding] = []
        self.marks: dict[str, str] = {}

    def has(self, entity: Entity, record_id: str, **values: Any) -> None:
        self.records[entity][record_id] = {**USUAL[entity], "id": record_id, "version": "0", **values}

    def customer(self, record_id: str, name: str, **values: Any) -> None:
        self.has(Entity.CUSTOMER, record_id, display_name=name, **values)

    def product(self, record_id: str, name: str, **values: Any) -> None:
        self.has(Entity.PRODUCT, record_id, name=name, **values)

    def tax_rate(self, record_id: str, name: str, **values: Any) -> None:
        self.has(Entity.TAX_RATE, record_id, name=name, **values)

    def invoice(self, record_id: str, number: str | None, customer: str, *amounts: int, **values: Any) -> None:
        """An invoice whose lines have these amounts, of product ``values["product"]``, taxable where it has a rate."""
        product, taxable = values.pop("product", None), values.get("tax_rate_id") is not None
        lines = values.pop("lines", [{"description": f"work {n}", "amount": a} for n, a in enumerate(amounts, 1)])
        self.rows[Entity.INVOICE][record_id] = [
            {"product_id": product, "taxable": taxable, **line, "position": n} for n, line in enumerate(lines, 1)
        ]
        subtotal = sum(line["amount"] or 0 for line in lines)
        discount = values.get("discount", 0)
        total = subtotal - discount + values.get("tax", 0)
        figures = {"subtotal": subtotal, "discount": discount, "tax": 0, "total": total, "balance": total}
        self.has(Entity.INVOICE, record_id, number=number, customer_id=customer, **{**figures, **values})

    def payment(
        self, record_id: str, customer: str, amount: int, applied: dict[str, int] | None = None, **values: Any
    ) -> None:
        """A payment, applied to invoices (id to amount)."""
        self.rows[Entity.PAYMENT][record_id] = [
            {"invoice_id": invoice, "amount": part, "position": n}
            for n, (invoice, part) in enumerate((applied or {}).items(), 1)
        ]
        self.has(Entity.PAYMENT, record_id, customer_id=customer, amount=amount, **values)

    def change(self, entity: Entity, record_id: str, **values: Any) -> None:
        lines = values.pop(ROWS_COLUMN.get(entity, ""), None)
        if lines is not None:
            self.rows[entity][record_id] = [{**line, "position": n} for n, line in enumerate(lines, 1)]
        self.records[entity][record_id] |= values

    def remove(self, entity: Entity, record_id: str, *, known: bool = True) -> None:
        del self.records[entity][record_id]
        self.rows[entity].pop(record_id, None)
        if known:
            self.gone[entity].add(record_id)

    def snapshot(self, entity: Entity) -> Snapshot:
        children = [{"parent_id": parent, **row} for parent, rows in self.rows[entity].items() for row in rows]
        return Snapshot(
            side=self.side,
            entity=entity,
            frame=framed(list(self.records[entity].values()), record_dtypes(entity)),
            rows=framed(children, row_dtypes(entity)),
            as_of=MIDNIGHT,
            scope=self.scope,
            gone=frozenset(self.gone[entity]),
            unreadable=frozenset(self.unreadable[entity]),
            findings=tuple(finding for finding in self.findings if finding.entity is entity),
            marks=dict(self.marks) if entity is Entity.PAYMENT else {},
        )

    def snapshots(self) -> dict[Entity, Snapshot]:
        return {entity: self.snapshot(entity) for entity in Entity}


def framed(rows: list[dict[str, Any]], dtypes: dict[str, str]) -> pd.DataFrame:
    if not rows:
        return conform(pd.DataFrame(), dtypes)
    columns = {name: pd.array([row.get(name) for row in rows], dtype=dtype) for name, dtype in dtypes.items()}
    return pd.DataFrame(columns)


class Trade:
    """Both sides, and what they last agreed on."""

    def __init__(self) -> None:
        self.books = OneSide(Side.BOOKS)
        self.billing = OneSide(Side.BILLING)
        self.links: dict[Entity, list[dict[str, Any]]] = {entity: [] for entity in Entity}
        self.ended: dict[Entity, list[dict[str, Any]]] = {entity: [] for entity in Entity}
        self.policy = Policy()
        self.resolutions: list[Resolution] = []

    def agree(self, entity: Entity, books_id: str, billing_id: str, *unsettled: str) -> None:
        """Link two records and remember what books holds as agreed, but for the unsettled fields."""
        references = References({e: framed(links, LINK_COLUMNS) for e, links in self.links.items()})
        record = canonical(self.books.snapshot(entity), references).loc[books_id]
        fields = {
            of.name: None
            if pd.isna(record[of.name])
            else record[of.name]
            if of.kind in {Kind.TEXT, Kind.DATE, Kind.REF, Kind.ROWS}
            else bool(record[of.name])
            if of.kind is Kind.FLAG
            else int(record[of.name])
            for of in written_fields(entity)
            if of.name not in unsettled
        }
        link = {"books_id": books_id, "billing_id": billing_id}
        self.links[entity].append({**link, "fields": json.dumps(fields), "unsettled": ",".join(unsettled) or None})

    def end(self, entity: Entity, books_id: str, billing_id: str) -> None:
        self.ended[entity].append({"books_id": books_id, "billing_id": billing_id})

    def both_have(
        self, what: str, books_id: str, billing_id: str, *values: Any, agreed: bool = True, **fields: Any
    ) -> None:
        """The same record on both sides, by default linked and agreed; ids among the values are those of books."""
        getattr(self.books, what)(books_id, *values, **fields)
        getattr(self.billing, what)(
            billing_id, *(self._there(v) for v in values), **{k: self._there(v) for k, v in fields.items()}
        )
        if agreed:
            self.agree(Entity(what), books_id, billing_id)

    def decide(
        self,
        choice: Choice,
        entity: Entity,
        books_id: str | None,
        billing_id: str | None,
        *fields: str,
        until: date | None = None,
    ) -> Resolution:
        """Anna decides, having seen what there is now: about these fields, or about all that differs."""
        differences = self.compare()[entity].differences
        key = f"books:{books_id}" if books_id else f"billing:{billing_id}"
        own = differences[(differences["key"] == key).to_numpy(dtype=bool) & differences["seen"].notna().to_numpy()]
        seen = dict(zip(own["field"], own["seen"], strict=True))
        held = tuple(own["field"][own["decision"] == "held"])
        if choice.kept is None or fields:
            seen = {name: text for name, text in seen.items() if name in fields}
        for side, record_id in ((self.books, books_id), (self.billing, billing_id)):
            record = seen_record(side.snapshot(entity), record_id) if record_id else None
            if choice.kept is None and record is not None:
                seen[side.side] = record
        whole = not fields and choice.kept is not None
        decided = (fields or held) if choice.kept is not None else ()
        draft = Draft(entity, choice, books_id, billing_id, "Amy", decided, whole, seen, "she said so", until)
        resolution = Resolution(len(self.resolutions) + 1, draft, "Anna", MIDNIGHT)
        self.resolutions.append(resolution)
        return resolution

    def _there(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self._there(key): part for key, part in value.items()}
        if isinstance(value, str) and value.startswith("q"):
            return "r" + value[1:]
        return value

    def agreements(self) -> dict[Entity, Agreement]:
        return {
            entity: Agreement(
                entity, framed(self.links[entity], BASE_COLUMNS), framed(self.ended[entity], LINK_COLUMNS)
            )
            for entity in Entity
        }

    def plan(self, *findings: Finding, **settings: Any) -> Planned:
        """What a push would do, given these findings of the checks."""
        compared = self.compare()
        told = [finding for comparison in compared.values() for finding in comparison.findings]
        return make_plan(
            "craigs",
            compared,
            self.books.snapshots(),
            self.billing.snapshots(),
            self.agreements(),
            [*told, *findings],
            circumstances=Circumstances(**settings),
        )

    def compare(self) -> dict[Entity, Comparison]:
        return compare_all(
            self.books.snapshots(), self.billing.snapshots(), self.agreements(), self.policy, self.resolutions
        )


@pytest.fixture
def trade() -> Trade:
    """An empty trade."""
    return Trade()


@pytest.fixture
def make_trade() -> type[Trade]:
    """For tests that need several."""
    return Trade
