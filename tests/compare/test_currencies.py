"""Currencies without cents and with three decimals: counted in their own minor units, and never set against another."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from checks import validate
from reconcile.compare.diff import compare_all
from reconcile.compare.planning import agreements_after, make_plan, simulate
from reconcile.compare.tieout import control_totals
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Finding, Severity
from reconcile.model.money import show, to_minor
from reconcile.model.plan import Plan

if TYPE_CHECKING:
    from conftest import Trade

TODAY = date(2026, 3, 9)
PERSON = {"given_name": "Amy", "family_name": "Ito", "email": "amy@example.com"}


def checked(trade: Trade) -> list[Finding]:
    """What the rules and the comparison hold."""
    found = validate(trade.books.snapshots(), trade.billing.snapshots(), today=TODAY).findings
    compared = [finding for one in trade.compare().values() for finding in one.findings]
    return [one for one in (*found, *compared) if one.severity is not Severity.NOTE]


def planned(trade: Trade) -> Plan:
    return trade.plan(*checked(trade)).plan


@pytest.mark.parametrize(
    ("currency", "price", "paid", "shown"), [("JPY", "1500", "1000", "500"), ("KWD", "1.505", "1.250", "0.255")]
)
def test_a_company_in_yen_or_dinar_comes_to_agreement_in_its_own_minor_units(
    trade: Trade, currency: str, price: str, paid: str, shown: str
) -> None:
    total, part = to_minor(price, currency), to_minor(paid, currency)
    own = {"currency": currency}
    trade.both_have("customer", "q1", "r1", "Amy", **own, **PERSON)
    trade.both_have("product", "q2", "r2", "Rocks")
    trade.books.invoice("q5", "100", "q1", total, product="q2", balance=total - part, **own)
    trade.books.payment("q7", "q1", part, {"q5": part}, method="check", **own)
    trade.billing.invoice("r6", "101", "r1", total, product="r2", **own)
    assert checked(trade) == []
    plan = planned(trade)
    assert {one.label: one.currency for one in plan.step(Entity.INVOICE)} == {"100": currency, "101": currency}
    (payment,) = plan.step(Entity.PAYMENT)
    assert (payment.side, payment.payload["amount"], payment.currency) == (Side.BILLING, part, currency)

    pairs = {entity: comparison.pairs for entity, comparison in trade.compare().items()}
    books, billing = simulate(plan, trade.books.snapshots(), trade.billing.snapshots(), pairs)
    agreements = agreements_after(plan, trade.agreements())
    after = compare_all(books, billing, agreements)
    assert list(make_plan("craigs", after, books, billing, agreements, ()).plan.writes()) == []
    proof = control_totals(books, billing, {entity: one.pairs for entity, one in after.items()}, [])
    assert proof.green
    (owed,) = proof.totals[(proof.totals["measure"] == "receivables").to_numpy()].to_dict("records")
    assert owed["currency"] == currency
    assert owed["books"] == owed["billing"] == total - part + total
    assert show(total - part, currency) == shown


@pytest.mark.parametrize("there", ["USD", None])
def test_the_same_number_of_another_currency_is_another_payment_and_asks_a_person(
    trade: Trade, there: str | None
) -> None:
    for number in (1, 2, 3):
        trade.both_have("customer", f"q{number}", f"r{number}", f"Amy {number}", currency="JPY", **PERSON)
    trade.books.payment("q7", "q1", 1000, currency="JPY", unapplied=1000)
    trade.billing.payment("r7", "r1", 1000, currency=there, unapplied=1000)
    comparison = trade.compare()[Entity.PAYMENT]
    assert comparison.pairs.empty
    assert {(one.check, one.record_id) for one in checked(trade) if one.entity is Entity.PAYMENT} == {
        ("payment_currency", "r7")
    }
    assert [(one.key, one.side) for one in planned(trade).step(Entity.PAYMENT)] == [("books:q7", Side.BILLING)]


@pytest.mark.parametrize("there", ["USD", None])
def test_an_invoice_whose_currency_differs_or_is_missing_is_held_with_its_payments(
    trade: Trade, there: str | None
) -> None:
    for number in (1, 2, 3):
        trade.both_have("customer", f"q{number}", f"r{number}", f"Amy {number}", currency="JPY", **PERSON)
    trade.both_have("product", "q2", "r2", "Rocks")
    trade.books.invoice("q5", "100", "q1", 1000, product="q2", currency="JPY")
    trade.billing.invoice("r5", "100", "r1", 1000, product="r2", currency=there)
    trade.books.payment("q7", "q1", 500, {"q5": 500}, currency="JPY")
    held = {one.check for one in checked(trade)}
    assert "invoice_currency" in held
    plan = planned(trade)
    assert plan.operations == ()
