"""Money after a merge: lines less discounts plus tax make the total, which is at least what is paid."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reconcile.compare.planning import simulate
from reconcile.compare.policy import Policy
from reconcile.compare.rules import MERGE
from reconcile.model.changes import Decision, Verdict
from reconcile.model.entities import Entity, Side
from reconcile.model.snapshot import Snapshot
from reconcile.model.totals import TotalsError, invoice_totals

if TYPE_CHECKING:
    from conftest import OneSide, Trade

LAW = settings(
    max_examples=4 * int(os.environ.get("LAW_EXAMPLES", "5")),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PERCENTS = {"1": 10_0000000, "2": 0, "3": 8_2500000}
DISCOUNTS = ("discount_percent", "discount_taxable", "discount_nontaxable")


def price(side: OneSide, record_id: str) -> bool:
    """Let a side work out an invoice as it now stands; whether it makes one and is not overpaid."""
    record, rows = side.records[Entity.INVOICE][record_id], side.rows[Entity.INVOICE][record_id]
    rate = record.get("tax_rate_id")
    try:
        totals = invoice_totals(
            [(row["amount"], row["taxable"]) for row in rows],
            tax_percent=PERCENTS[rate[1:]] if rate else None,
            **{name: record.get(name) for name in DISCOUNTS},
        )
    except TotalsError:
        return False
    figures = {name: getattr(totals, name) for name in ("subtotal", "discount", "tax", "total")}
    balance = totals.total - paid_on(side, record_id)
    side.change(Entity.INVOICE, record_id, **figures, balance=balance, state="open" if balance else "paid")
    return balance >= 0


def paid_on(side: OneSide, invoice: str) -> int:
    return sum(
        row["amount"] for rows in side.rows[Entity.PAYMENT].values() for row in rows if row["invoice_id"] == invoice
    )


def lines(*amounts: int, taxable: bool = True, product: str = "q1") -> list[dict[str, Any]]:
    return [{"product_id": product, "taxable": taxable, "amount": amount} for amount in amounts]


@pytest.fixture
def shop(make_trade: type[Trade]) -> Any:
    """Opens a shop: a customer, tax rates of 10, 0 and 8.25 percent, and an invoice of 100.00 and tax, paid in part."""

    def opened(paid: int = 0) -> Trade:
        trade = make_trade()
        trade.both_have("customer", "q1", "r1", "Amy")
        trade.both_have("product", "q1", "r1", "Rocks")
        for number, percent in PERCENTS.items():
            trade.both_have("tax_rate", f"q{number}", f"r{number}", f"Rate {number}", percent=percent)
        trade.both_have("invoice", "q5", "r5", "100", "q1", 10000, product="q1", tax_rate_id="q1")
        if paid:
            trade.both_have("payment", "q7", "r7", "q1", paid, {"q5": paid})
        for side, invoice in ((trade.books, "q5"), (trade.billing, "r5")):
            assert price(side, invoice)
        return trade

    return opened


def told(trade: Trade) -> list[tuple[str, str]]:
    return [(finding.check, finding.sentence) for finding in trade.compare()[Entity.INVOICE].findings]


def test_a_lower_rate_and_lower_lines_together_come_to_less_than_is_paid(shop: Any) -> None:
    """Each side's own edit leaves room for the 95.00 that are paid; the two together come to 90.00."""
    trade = shop(paid=9500)
    trade.books.change(Entity.INVOICE, "q5", tax_rate_id="q2")
    trade.billing.change(Entity.INVOICE, "r5", lines=lines(9000, product="r1"))
    assert price(trade.books, "q5")
    assert price(trade.billing, "r5")
    ((check, sentence),) = told(trade)
    assert check == MERGE
    assert "together they make no sense: more is paid in QuickBooks than the invoice would come to" in sentence
    assert trade.plan().plan.operations == ()


def test_a_higher_rate_makes_room_for_lower_lines(shop: Any) -> None:
    trade = shop(paid=9500)
    trade.books.change(Entity.INVOICE, "q5", tax_rate_id="q2")
    trade.billing.change(Entity.INVOICE, "r5", lines=lines(9600, product="r1"))
    assert price(trade.books, "q5")
    assert price(trade.billing, "r5")
    assert told(trade) == []
    assert [operation.side for operation in trade.plan().plan.operations] == [Side.BILLING, Side.BOOKS]


def test_a_discount_that_takes_more_than_the_new_lines_come_to_is_a_conflict(shop: Any) -> None:
    trade = shop()
    trade.books.change(Entity.INVOICE, "q5", discount_taxable=6000)
    trade.billing.change(Entity.INVOICE, "r5", lines=lines(5000, product="r1"))
    assert price(trade.books, "q5")
    assert price(trade.billing, "r5")
    ((check, sentence),) = told(trade)
    assert check == MERGE
    assert "takes more off its taxable part than that part comes to" in sentence
    comparison = trade.compare()[Entity.INVOICE]
    assert set(comparison.differences["decision"]) == {str(Decision.HELD)}
    assert set(comparison.changes["verdict"]) == {str(Verdict.CONFLICT)}


def test_a_payment_lowered_on_one_side_and_applied_further_on_the_other_is_a_conflict(shop: Any) -> None:
    trade = shop()
    trade.both_have("payment", "q7", "r7", "q1", 6000, {"q5": 2000})
    trade.books.change(Entity.PAYMENT, "q7", amount=4000)
    trade.billing.change(Entity.PAYMENT, "r7", applications=[{"invoice_id": "r5", "amount": 5000}])
    (finding,) = trade.compare()[Entity.PAYMENT].findings
    assert finding.check == MERGE
    assert "more is applied to invoices than was received" in finding.sentence
    assert trade.plan().plan.operations == ()


EDITS = st.fixed_dictionaries(
    {},
    optional={
        "lines": st.lists(st.sampled_from([1, 999, 5000, 9500, 12000]), min_size=1, max_size=3),
        "tax_rate_id": st.sampled_from(["1", "2", "3", None]),
        "discount_percent": st.sampled_from([None, 10_0000000, 100_0000000]),
        "discount_taxable": st.sampled_from([None, 100, 6000]),
        "memo": st.sampled_from(["a", "b"]),
    },
)
PAYMENTS = st.fixed_dictionaries(
    {}, optional={"amount": st.sampled_from([3000, 6000, 9000]), "applied": st.sampled_from([0, 3000, 6000])}
)


@LAW
@given(
    books=EDITS,
    billing=EDITS,
    paid=st.sampled_from([0, 3000, 6000]),
    moved=st.tuples(PAYMENTS, PAYMENTS),
    winners=st.sampled_from([{}, {"*": "books"}, {"invoice.lines": "books", "invoice.discount_taxable": "billing"}]),
)
def test_no_plan_leaves_an_invoice_or_payment_that_breaks_a_money_rule(
    shop: Any, books: Any, billing: Any, paid: int, moved: Any, winners: Any
) -> None:
    """Whatever both sides edited, as long as each side's own record made sense: what is planned makes sense on both."""

    trade = shop(paid)
    trade.policy = Policy.from_settings(winners, winners)
    for side, letter, edits, payment in (
        (trade.books, "q", books, moved[0]),
        (trade.billing, "r", billing, moved[1]),
    ):
        if paid:
            amount = payment.get("amount", paid)
            applied = min(payment.get("applied", paid), amount)
            rows = [{"invoice_id": f"{letter}5", "amount": applied}] if applied else []
            side.change(Entity.PAYMENT, f"{letter}7", amount=amount, applications=rows, unapplied=amount - applied)
        values = {**edits}
        if values.get("tax_rate_id"):
            values["tax_rate_id"] = letter + values["tax_rate_id"]
        if "lines" in values:
            values["lines"] = lines(*values["lines"], product=f"{letter}1")
        side.change(Entity.INVOICE, f"{letter}5", **values)
        if not price(side, f"{letter}5"):
            return
    planned = trade.plan()
    before = trade.books.snapshots(), trade.billing.snapshots()
    pairs = {entity: comparison.pairs for entity, comparison in trade.compare().items()}
    for snapshots in simulate(planned.plan, *before, pairs):
        payments = snapshots[Entity.PAYMENT]
        assert_invoices_make_sense(snapshots[Entity.INVOICE], payments)
        for row in payments.frame.to_dict("records"):
            applied = int(payments.rows["amount"][payments.rows["parent_id"] == row["id"]].sum())
            assert applied <= row["amount"] + row["credit"], "more is applied than was received"


def assert_invoices_make_sense(invoices: Snapshot, payments: Snapshot) -> None:
    for row in invoices.frame.to_dict("records"):
        assert row["subtotal"] - row["discount"] + row["tax"] == row["total"]
        own = invoices.rows[invoices.rows["parent_id"] == row["id"]]
        assert int(own["amount"].sum()) == row["subtotal"], "lines do not come to the subtotal"
        paid = int(payments.rows["amount"][payments.rows["invoice_id"] == row["id"]].sum())
        assert paid <= row["total"], "more is paid than the invoice comes to"
