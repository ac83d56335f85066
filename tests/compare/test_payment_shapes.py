"""Over-payments, parts, one payment on several invoices, credits: all of it is accounted for, or a person is asked."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from checks import validate
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Severity
from reconcile.model.plan import Action
from reconcile.model.rows import rows_from_text

if TYPE_CHECKING:
    from conftest import Trade

TODAY = date(2026, 3, 9)
TOTALS = {"5": 1000, "6": 2000, "9": 700}
SHAPE = st.fixed_dictionaries(
    {
        "side": st.sampled_from(list(Side)),
        "amount": st.sampled_from([0, 300, 500, 1000, 1700]),
        "credit": st.sampled_from([0, 0, 0, 200]),
        "applied": st.dictionaries(
            st.sampled_from(["5", "6", "9"]), st.sampled_from([100, 300, 500, 1000]), max_size=3
        ),
        "off_by": st.sampled_from([0, 0, 0, -1, 1, 50]),
    }
)


@settings(
    max_examples=4,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(
    shapes=[
        {"side": Side.BOOKS, "amount": 1700, "credit": 0, "applied": {"5": 1000, "6": 500}, "off_by": 0},
        {"side": Side.BILLING, "amount": 300, "credit": 0, "applied": {"5": 300}, "off_by": 0},
        {"side": Side.BILLING, "amount": 500, "credit": 0, "applied": {"6": 300}, "off_by": 0},
        {"side": Side.BOOKS, "amount": 300, "credit": 0, "applied": {"9": 500}, "off_by": 0},
        {"side": Side.BOOKS, "amount": 1000, "credit": 0, "applied": {"6": 100}, "off_by": 50},
    ]
)
@given(shapes=st.lists(SHAPE, min_size=8, max_size=14))
def test_applied_amounts_make_the_payment_or_it_is_held_and_no_invoice_is_paid_beyond_its_balance(
    make_trade: type[Trade], shapes: list[dict[str, Any]]
) -> None:
    trade = make_trade()
    person = {"given_name": "Amy", "family_name": "Ito", "email": "amy@example.com"}
    trade.both_have("customer", "q1", "r1", "Amy", **person)
    trade.both_have("product", "q2", "r2", "Rocks")
    for number, total in TOTALS.items():
        trade.both_have("invoice", f"q{number}", f"r{number}", f"10{number}", "q1", total, product="q2")
    for number, shape in enumerate(shapes, 20):
        side, letter = (trade.books, "q") if shape["side"] is Side.BOOKS else (trade.billing, "r")
        applied = {f"{letter}{invoice}": amount for invoice, amount in shape["applied"].items()}
        left = shape["amount"] + shape["credit"] - sum(applied.values()) + shape["off_by"]
        how = {"credit": shape["credit"], "unapplied": left, "reference": f"n{number}", "method": "check"}
        side.payment(f"{letter}{number}", f"{letter}1", shape["amount"], applied, **how)
    for side, letter in ((trade.books, "q"), (trade.billing, "r")):
        for number, total in TOTALS.items():
            rows = [row for own in side.rows[Entity.PAYMENT].values() for row in own]
            paid = sum(row["amount"] for row in rows if row["invoice_id"] == f"{letter}{number}")
            side.change(Entity.INVOICE, f"{letter}{number}", balance=total - paid)
    linked = {entity: frozenset(one.pairs["books_id"]) for entity, one in trade.compare().items()}
    found = validate(trade.books.snapshots(), trade.billing.snapshots(), today=TODAY, linked=linked).findings
    planned = trade.plan(*found)
    told = (*found, *planned.findings, *trade.compare()[Entity.PAYMENT].findings)
    room = {
        side.side: {number: side.records[Entity.INVOICE][f"{letter}{number}"]["balance"] for number in TOTALS}
        for side, letter in ((trade.books, "q"), (trade.billing, "r"))
    }
    carried = set()
    for operation in planned.plan.step(Entity.PAYMENT):
        if operation.action is not Action.CREATE or operation.side is None:
            continue
        source = Side.BOOKS if operation.key.startswith("books:") else Side.BILLING
        record_id = operation.key.partition(":")[2]
        record = (trade.books if source is Side.BOOKS else trade.billing).records[Entity.PAYMENT][record_id]
        rows = rows_from_text(Entity.PAYMENT, operation.payload["applications"])
        applied = sum(row["amount"] for row in rows)
        assert applied + record["unapplied"] == operation.payload["amount"] + operation.payload["credit"]
        assert 0 <= applied <= operation.payload["amount"] + operation.payload["credit"]
        for row in rows:
            number = row["invoice_id"].partition(":q")[2]
            room[operation.side][number] -= row["amount"]
            assert room[operation.side][number] >= 0, f"invoice 10{number} is paid beyond its balance"
        carried.add((source, record_id))
    asked = {(one.side, one.record_id) for one in told if one.entity is Entity.PAYMENT}
    pairs = trade.compare()[Entity.PAYMENT].pairs
    same = {(Side.BOOKS, one) for one in pairs["books_id"]} | {(Side.BILLING, one) for one in pairs["billing_id"]}
    for side, letter in ((trade.books, "q"), (trade.billing, "r")):
        for record_id, record in side.records[Entity.PAYMENT].items():
            known = carried | asked | same
            assert (side.side, record_id) in known, f"payment {letter}{record_id} {record} is carried nowhere, unsaid"
    assert not {one for one in found if one.severity is not Severity.NOTE and (one.side, one.record_id) in carried}
