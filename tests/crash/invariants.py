"""What must hold after every crash and after every recovery, said as code that reads past the product.

Records are looked at as people know them: by name, number and reference, never by id; so the sides of two histories
can be compared although their ids differ.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from reconcile.model.entities import Entity
from tests.crash.filed import stored, told
from tests.crash.worlds import SmallWorld

Record = Mapping[str, Any]
Image = dict[tuple[str, str, str], list[Record]]
"""What both sides hold: by side, entity and label; more than one record of a label is a duplicate."""

MOVED_BY_PAYMENTS = {"version", "amount_paid", "balance", "state", "unapplied"}

_TABLES = {
    Entity.CUSTOMER: ("customers", "account_name"),
    Entity.PRODUCT: ("products", "name"),
    Entity.TAX_RATE: ("tax_rates", "name"),
    Entity.INVOICE: ("invoices", "number"),
    Entity.PAYMENT: ("payments", "reference"),
}
_LABELS = {
    Entity.CUSTOMER: "display_name",
    Entity.PRODUCT: "name",
    Entity.TAX_RATE: "name",
    Entity.INVOICE: "number",
    Entity.PAYMENT: "reference",
}
_REFERENCES = {
    "customer_id": Entity.CUSTOMER,
    "product_id": Entity.PRODUCT,
    "tax_rate_id": Entity.TAX_RATE,
    "invoice_id": Entity.INVOICE,
}


def image(world: SmallWorld) -> Image:
    """Both sides as people see them."""
    seen: Image = {}
    for side, entity, label, record in (*_books(world), *_billing(world)):
        seen.setdefault((side, entity, label), []).append(record)
    return seen


def _books(world: SmallWorld) -> Iterator[tuple[str, str, str, Record]]:
    records = stored(world.books())
    labels = {
        entity: {key: record[_LABELS[entity]] for key, record in records[entity.value].items()} for entity in Entity
    }
    for entity in Entity:
        for key, record in records[entity.value].items():
            yield "QuickBooks", entity.value, labels[entity][key], _labelled(record, labels)


def _billing(world: SmallWorld) -> Iterator[tuple[str, str, str, Record]]:
    tables = {entity: world.billing_rows(f"select * from {table}") for entity, (table, _) in _TABLES.items()}
    labels = {
        entity: {row["id"]: row[column] for row in tables[entity]} for entity, (_, column) in _TABLES.items()
    }
    children: dict[tuple[Entity, int], list[Record]] = {}
    for entity, table, parent in (
        (Entity.INVOICE, "invoice_lines", "invoice_id"),
        (Entity.PAYMENT, "payment_applications", "payment_id"),
    ):
        for row in world.billing_rows(f"select * from {table} order by id"):
            kept = {name: value for name, value in row.items() if name not in {parent, "version"}}
            children.setdefault((entity, row[parent]), []).append(_labelled(kept, labels))
    for entity in Entity:
        for row in tables[entity]:
            record = {**_labelled(row, labels), "rows": children.get((entity, row["id"]), [])}
            yield "ReliaBills", entity.value, labels[entity][row["id"]], record


def _labelled(record: Record, labels: Mapping[Entity, Mapping[Any, str]]) -> dict[str, Any]:
    """Without what only machines know, and with names for ids."""
    result = {}
    for name, value in record.items():
        if name in {"id", "updated_at", "request_id"}:
            continue
        if name in _REFERENCES and value is not None:
            result[name] = labels[_REFERENCES[name]].get(value, f"nothing ({value})")
        elif isinstance(value, list):
            result[name] = [_labelled(row, labels) for row in value]
        else:
            result[name] = value
    return result


# ------------------------------------------------------------------------------------------------ after a crash


def broken_at_once(world: SmallWorld, before: Image, after: Image) -> list[str]:
    """What does not hold although it must at every moment; ``after`` is what an undisturbed run comes to."""
    seen = image(world)
    return [
        *_never_half(seen, before, after),
        *_never_two(seen),
        *money(seen),
        *journalled(world),
        *links(world),
    ]


def _never_half(seen: Image, before: Image, after: Image) -> Iterator[str]:
    """I5: each record is old or new."""
    for key in sorted({*seen, *before}):
        allowed = [[_content(one) for one in image_.get(key, [])] for image_ in (before, after)]
        found = [_content(one) for one in seen.get(key, [])]
        if found not in allowed:
            yield f"{' '.join(key)} is neither old nor new: {found}, allowed {allowed}"


def _content(record: Record) -> Record:
    return {name: value for name, value in record.items() if name not in MOVED_BY_PAYMENTS}


def _never_two(seen: Image) -> Iterator[str]:
    for key, records in seen.items():
        if len(records) > 1:
            yield f"{' '.join(key)} is there {len(records)} times"


def money(seen: Image) -> Iterator[str]:
    """I15: what an invoice says is open is its total less what payments that are not void apply to it."""
    for (side, entity, label), records in seen.items():
        if entity != "invoice":
            continue
        rows = "applications" if side == "QuickBooks" else "rows"
        paid = sum(
            row["amount"]
            for (where, kind, _), payments in seen.items()
            if where == side and kind == "payment"
            for payment in payments
            if not payment.get("void") and payment.get("state") != "void"
            for row in payment[rows] or []
            if row["invoice_id"] == label
        )
        for record in records:
            void = record["state"] == "void"
            if record["balance"] != (0 if void else record["total"] - paid):
                yield f"{side} invoice {label}: {record['balance']} open of {record['total']}, {paid} paid"


def journalled(world: SmallWorld) -> Iterator[str]:
    """I2: whatever left, and whatever a side has done, stands in the journal as sent."""
    known = {row["request_id"]: row["status"] for row in world.state.rows("select request_id, status from journal")}
    left = set(told(world.root / "left.log"))
    done = {row["request_id"] for row in world.billing_rows("select request_id from sync_requests")}
    for request_id in sorted({*left, *done, *world.books()._answers}):
        if known.get(request_id, "nothing") in {"nothing", "intent"}:
            yield f"request {request_id} left, the journal says {known.get(request_id, 'nothing')}"


def links(world: SmallWorld) -> Iterator[str]:
    """I1, and I4 in part: one live counterpart at most; what is done is linked and has its base; each base is JSON."""
    live = world.state.rows("select * from link where ended_at is null")
    for column in ("books_id", "billing_id"):
        for (entity, record), times in Counter((row["entity"], row[column]) for row in live).items():
            if times > 1:
                yield f"{entity} {record} has {times} counterparts"
    ever = world.state.rows("select * from link")
    bases = {row["link_id"]: json.loads(row["fields"]) for row in world.state.rows("select * from base")}
    for row in world.state.rows("select * from journal where status = 'done'"):
        column = f"{row['side']}_id"
        own = [link for link in ever if link["entity"] == row["step"] and link[column] == row["target_id"]]
        if not any(link["id"] in bases for link in own):
            yield f"{row['action']} of {row['step']} {row['target_id']} is done, but has no link with a base"


# ------------------------------------------------------------------------------------------------ after a recovery


def broken_in_the_end(world: SmallWorld, after: Image) -> list[str]:
    """What an interrupted history left otherwise than an undisturbed one: lost, double, done twice, still open."""
    seen = image(world)
    found = [*_never_two(seen), *money(seen), *journalled(world), *links(world)]
    for key in sorted({*seen, *after}):
        if seen.get(key) != after.get(key):
            found.append(f"{' '.join(key)} should be {after.get(key)}, is {seen.get(key)}")
    for row in world.state.rows("select * from journal where status in ('intent', 'sent', 'unknown')"):
        found.append(f"journal entry {row['id']} ({row['action']} of {row['step']}) is still {row['status']}")
    return found


def memory(world: SmallWorld) -> str:
    """A fingerprint of all that a run reads: both sides, links, bases, and the journal but for times and runs.

    Two moments with the same fingerprint have the same future.
    """
    books = world.books()
    content = {
        "books": stored(books),
        "answers": sorted(books._answers),
        "billing": {
            table: [
                {name: value for name, value in row.items() if name != "updated_at"}
                for row in world.billing_rows(f"select * from {table} order by id")
            ]
            for table in _BILLING_TABLES
        },
        "links": world.state.rows("select id, entity, books_id, billing_id, ended_at is null as live from link"),
        "bases": world.state.rows(
            "select link_id, books_version, billing_version, fields, unsettled from base order by link_id"
        ),
        "journal": world.state.rows(
            "select identity, generation, request_id, status, target_id, version_after from journal order by id"
        ),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


_BILLING_TABLES = (
    "customers",
    "products",
    "tax_rates",
    "invoices",
    "invoice_lines",
    "payments",
    "payment_applications",
    "sync_requests",
)
