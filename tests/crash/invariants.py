"""What must hold after every crash and after every recovery, said as code that reads past the product.

Records are looked at as people know them: by name, number and reference, never by id; so the sides of two histories
can be compared although their ids differ.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from reconcile.compare.endings import WAITS
from reconcile.compare.rules import DEPENDS
from reconcile.errors import LeaseError
from reconcile.model.entities import Entity
from reconcile.state import audit, lease
from reconcile.state.database import open_state
from reconcile.state.journal import Journal
from tests.crash.child import told
from tests.crash.worlds import COMPANY, SmallWorld

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
    for entity, label, record in world.books.image():
        yield "QuickBooks", entity, label, record


def _billing(world: SmallWorld) -> Iterator[tuple[str, str, str, Record]]:
    tables = {entity: world.billing_rows(f"select * from {table}") for entity, (table, _) in _TABLES.items()}
    labels = {entity: {row["id"]: row[column] for row in tables[entity]} for entity, (_, column) in _TABLES.items()}
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
        *never_two(seen),
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


def never_two(seen: Image) -> Iterator[str]:
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
    """I2: whatever left, and whatever a side has done, stands in the journal as sent.

    A request that is proven absent may be intended again by a later run: it is the same entry, which tells so.
    """
    known = {
        row["request_id"]: row for row in world.state.rows("select request_id, status, run_id, evidence from journal")
    }
    left = [line.split(" ") for line in told(world.left)]
    sent: dict[str, set[str]] = {request_id: set() for request_id, _ in left}
    for request_id, run_id in left:
        sent[request_id].add(run_id)
    for row in world.billing_rows("select request_id from sync_requests"):
        sent.setdefault(row["request_id"], set())
    for request_id, runs in sorted(sent.items()):
        row = known.get(request_id)
        if row is None or (row["status"] == "intent" and not _again(row, runs)):
            told_there = "nothing" if row is None else row["status"]
            yield f"request {request_id} left, the journal says {told_there}"


def _again(row: Record, sent_by: Collection[str]) -> bool:
    """Whether this run has not sent it yet, and intends it because it is proven that others have sent it in vain."""
    proven = f"(absent), again in run {row['run_id']}" in row["evidence"]
    return proven and bool(sent_by) and row["run_id"] not in sent_by


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
    found = [*never_two(seen), *money(seen), *journalled(world), *links(world)]
    found += [
        f"{' '.join(key)} should be {after.get(key)}, is {seen.get(key)}"
        for key in sorted({*seen, *after})
        if seen.get(key) != after.get(key)
    ]
    return [*found, *_settled(world)]


# ------------------------------------------------------------------------------------------------ after healing


def two(seen: Image, _world: SmallWorld) -> Iterator[str]:
    """I1: nobody types a record twice in these histories, so nothing may be there twice."""
    yield from never_two(seen)


def broken_after_healing(
    world: SmallWorld,
    findings: Sequence[Mapping[str, Any]],
    last: Mapping[tuple[Entity, str, str], Any],
    ended: Collection[tuple[Entity, str]],
    *,
    decided: Mapping[tuple[Entity, str, str], Any],
    told: Collection[tuple[Entity, str]],
) -> list[str]:
    """What does not hold once everything was healed and run twice.

    Args:
        world: both sides and the state.
        findings: of the last run.
        last: the value that a person gave a field last, by entity, label and field.
        ended: what a person deleted.
        decided: what a person decided a field to be that nobody has touched since.
        told: of what a person decided that the sides need not be alike in it.
    """
    seen = image(world)
    shown = {(Entity(one["entity"]), one["label"]) for one in findings if _tells(one)} | {*told}
    return [
        *never_two(seen),
        *money(seen),
        *journalled(world),
        *links(world),
        *_settled(world),
        *_exact(seen),
        *_mailed_once(world),
        *_sealed(world),
        *_late_holders_are_refused(world),
        *_nothing_lost(seen, shown, last, ended),
        *_alike(seen, shown),
        *_as_decided(seen, decided, ended),
    ]


def _settled(world: SmallWorld) -> Iterator[str]:
    """I3: nothing is left open."""
    for row in world.state.rows("select * from journal where status in ('intent', 'sent', 'unknown')"):
        write = f"{row['action']} of {row['step']}, journal entry {row['id']}"
        yield f"{write}, is still {row['status']}: {row['evidence']}"


def _exact(seen: Image) -> Iterator[str]:
    """I14, I15: names and numbers are text, money is whole cents."""
    for key, records in seen.items():
        for record in records:
            for name in ("balance", "total", "tax", "amount", "unapplied", "amount_paid", "unit_price"):
                if name in record and type(record[name]) not in {int, type(None)}:
                    yield f"{name} of {' '.join(key)} is {record[name]!r}"
            if not isinstance(key[2], str):
                yield f"{key} is not called by a text"


def _mailed_once(world: SmallWorld) -> Iterator[str]:
    """I18."""
    query = "select invoice_id, count(*) as times from deliveries group by invoice_id having count(*) > 1"
    for row in world.billing_rows(query):
        yield f"ReliaBills invoice {row['invoice_id']} was mailed {row['times']} times"


def _sealed(world: SmallWorld) -> Iterator[str]:
    """I12: each answered write is in the chain, and the chain holds."""
    engine = open_state(world.state.url)
    try:
        unsealed = audit.unsealed_entry(engine, COMPANY)
        if unsealed is not None:
            yield f"journal entry {unsealed[0]} was answered, and the audit trail does not know"
        before = ""
        for walked in audit.walk(engine, COMPANY):
            row = walked.row
            if walked.missing or row.previous != before or row.seal != row.computed_seal():
                yield f"the audit trail is broken at {row}"
            before = row.seal
    finally:
        engine.dispose()


def _late_holders_are_refused(world: SmallWorld) -> Iterator[str]:
    """I9: whoever held the company before cannot write now."""
    (row,) = world.state.rows("select * from lease")
    if row["holder"]:
        yield f"{row['holder']} holds the company although no run is under way"
    engine = open_state(world.state.url)
    late = lease.Lease(engine, COMPANY, "a late holder", row["run_id"], row["fence"] - 1, timedelta(minutes=1))
    try:
        Journal(engine, COMPANY, row["run_id"], late).remember([])
        yield "a late holder could write"
    except LeaseError:
        pass
    finally:
        engine.dispose()


def _nothing_lost(
    seen: Image,
    shown: Collection[tuple[Entity, str]],
    last: Mapping[tuple[Entity, str, str], Any],
    ended: Collection[tuple[Entity, str]],
) -> Iterator[str]:
    """No edit lost: the last one of each field is on both sides, or the record is shown to a person."""
    for (entity, label, name), value in last.items():
        if (entity, label) in shown or (entity, label) in ended:
            continue
        for side in ("QuickBooks", "ReliaBills"):
            for record in seen.get((side, entity.value, label), []):
                if value_of(record, name) != value:
                    yield f"{name} of {entity} {label} was last made {value!r}, {side} has {value_of(record, name)!r}"
    for entity, label in ended:
        there = [
            side
            for side in ("QuickBooks", "ReliaBills")
            for record in seen.get((side, entity.value, label), [])
            if not over(record)
        ]
        if there and (entity, label) not in shown:
            yield f"{entity} {label} was deleted, is still in {' and '.join(there)}, and nobody is told"


def _as_decided(
    seen: Image, decided: Mapping[tuple[Entity, str, str], Any], ended: Collection[tuple[Entity, str]]
) -> Iterator[str]:
    """What a person decided is what stands in the end, on both sides."""
    for (entity, label, name), value in decided.items():
        if (entity, label) in ended:
            continue
        for side in ("QuickBooks", "ReliaBills"):
            for record in seen.get((side, entity.value, label), []):
                if value_of(record, name) != value:
                    yield f"{value!r} was decided for {name} of {entity} {label}, {side} has {value_of(record, name)!r}"


def otherwise_than_decided(
    world: SmallWorld, findings: Sequence[Mapping[str, Any]], stands: Mapping[tuple[Entity, str], bool]
) -> list[str]:
    """Of records that one side had deleted: who was to be entered again is on both sides, who was to end is on neither.

    ``stands`` is what a person decided. A record that still waits for something is shown.
    """
    seen = image(world)
    shown = {(one["entity"], one["label"]) for one in findings if _tells(one)}
    return [
        f"{entity} {label} was decided to {'stand' if alive else 'end'}, which is not so in {side}"
        for (entity, label), alive in stands.items()
        for side in ("QuickBooks", "ReliaBills")
        if (entity.value, label) not in shown
        if alive != any(not over(one) for one in seen.get((side, entity.value, label), []))
    ]


def _tells(finding: Mapping[str, Any]) -> bool:
    """Whether it says that the sides are not alike in a record: held, or waiting for another."""
    return finding["severity"] != "note" or finding["check"] in {DEPENDS, WAITS}


def over(record: Record) -> bool:
    """Whether it is void or inactive."""
    return bool(value_of(record, "void")) or ("active" in record and not record["active"])


def value_of(record: Record, name: str) -> Any:
    """What it holds, by our name of the field and alike on both sides."""
    if name == "void":
        return bool(record.get("void")) or record.get("state") == "void"
    return bool(record[name]) if name == "active" else record.get(name)


def _alike(seen: Image, shown: Collection[tuple[Entity, str]]) -> Iterator[str]:
    """I7 by hand: what is not shown is on both sides, with the same money."""
    for side, kind, label in sorted(seen):
        entity = Entity(kind)
        (record, *_) = seen[side, kind, label]
        other = seen.get(("ReliaBills" if side == "QuickBooks" else "QuickBooks", kind, label))
        if (entity, label) in shown or (over(record) and other is None):
            continue
        if other is None:
            yield f"{entity} {label} is in {side} only, and nobody is told"
            continue
        for name in ("total", "amount", "void"):
            known = name == "void" or (name in record and not over(record))  # QuickBooks empties what is voided
            if known and value_of(record, name) != value_of(other[0], name):
                yield f"{name} of {entity} {label} differs, and nobody is told"


def memory(world: SmallWorld) -> str:
    """A fingerprint of all that a run reads: both sides, links, bases, and the journal but for times and runs.

    Two moments with the same fingerprint have the same future. What QuickBooks remembers of requests need not be in it:
    each request that it has carried out shows in the version of a record.
    """
    content = {
        "books": [
            {name: value for name, value in record.items() if name != "MetaData"}
            for kind in world.books.everything().values()
            for record in kind.values()
        ],
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
        "decisions": world.state.rows("select id, status from resolution order by id"),
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
