"""The tie-out: totals to the cent, every record behind a difference, and green only when all of it is explained."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from reconcile.compare.tieout import NOT_COMPARABLE, TieOut, control_totals, receivables_by_age
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Finding, Severity

if TYPE_CHECKING:
    from conftest import Trade


def tied(trade: Trade, *findings: Finding) -> TieOut:
    comparisons = trade.compare()
    planned = trade.plan(*findings)
    told = [finding for comparison in comparisons.values() for finding in comparison.findings]
    pairs = {entity: comparison.pairs for entity, comparison in comparisons.items()}
    return control_totals(
        trade.books.snapshots(), trade.billing.snapshots(), pairs, [*told, *findings, *planned.findings]
    )


def total(result: TieOut, measure: str) -> dict[str, Any]:
    (row,) = result.totals[result.totals["measure"] == measure].to_dict("records")
    return {str(name): value for name, value in row.items()}


@pytest.fixture
def garden(trade: Trade) -> Trade:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("tax_rate", "q3", "r3", "California")
    trade.both_have("invoice", "q5", "r5", "100", "q1", 1000, tax_rate_id="q3", tax=80, balance=680)
    trade.both_have("payment", "q7", "r7", "q1", 400, {"q5": 400}, method="check", unapplied=0)
    return trade


def test_equal_sides_tie_out(garden: Trade) -> None:
    result = tied(garden)
    assert result.green
    assert result.items.empty
    assert total(result, "receivables")["books"] == 680
    assert total(result, "invoices billed")["billing"] == 1080
    assert total(result, "tax: California")["books"] == 80
    assert total(result, "payments received")["books"] == 400
    assert total(result, "payments by check")["billing"] == 400
    assert total(result, "number of invoices")["books"] == 1
    assert "same to the cent" in result.sentence


def test_nothing_at_all_shows_every_measure_at_zero(trade: Trade) -> None:
    result = tied(trade)
    assert result.green
    assert {"receivables", "tax", "payments received", "credits", "number of payments"} <= set(result.totals["measure"])


def test_a_balance_that_differs_without_a_reason_is_not_green(garden: Trade) -> None:
    garden.billing.change(Entity.INVOICE, "r5", balance=681)
    result = tied(garden)
    assert not result.green
    assert total(result, "receivables")["unexplained"] == -1
    (item,) = result.items.to_dict("records")
    assert (item["books_id"], item["billing_id"], item["label"], item["customer"]) == ("q5", "r5", "100", "Amy")
    assert item["amount"] == -1
    assert "no finding says why" in item["cause"]
    assert "do not tie out: receivables" in result.sentence


def test_two_unexplained_differences_that_cancel_out_are_not_green(garden: Trade) -> None:
    garden.both_have("invoice", "q6", "r6", "101", "q1", 500)
    garden.billing.change(Entity.INVOICE, "r5", balance=690)
    garden.billing.change(Entity.INVOICE, "r6", balance=490)
    result = tied(garden)
    assert total(result, "receivables")["difference"] == 0
    assert not result.green


def test_a_held_invoice_and_its_waiting_payment_are_explained_by_name(garden: Trade) -> None:
    garden.books.invoice("q6", "1O1", "q1", 500, balance=0, state="paid")
    garden.books.payment("q8", "q1", 500, {"q6": 500}, method="card")
    bad = Finding(
        "digits", Severity.STOP, Entity.INVOICE, Side.BOOKS, "q6", "1O1", 500, "USD", "Number 1O1 has a letter.", ""
    )
    result = tied(garden, bad)
    assert result.green
    assert total(result, "invoices billed") | {"explained": 500, "unexplained": 0} == total(result, "invoices billed")
    causes = dict(zip(result.items["measure"], result.items["cause"], strict=True))
    assert causes["invoices billed"] == "Number 1O1 has a letter."
    assert "waits for invoice 1O1" in causes["payments received"]


def test_a_balance_open_because_its_payment_waits_is_explained_to_the_cent(garden: Trade) -> None:
    garden.books.payment("q8", "q1", 300, {"q5": 300}, method="check")
    garden.books.change(Entity.INVOICE, "q5", balance=380)
    bad = Finding(
        "date", Severity.HOLD, Entity.PAYMENT, Side.BOOKS, "q8", "", 300, "USD", "The date is impossible.", ""
    )
    result = tied(garden, bad)
    assert result.green
    (item,) = result.items[result.items["measure"] == "receivables"].to_dict("records")
    assert (item["amount"], item["cause"]) == (-300, "The date is impossible.")
    garden.books.change(Entity.INVOICE, "q5", balance=379)
    assert not tied(garden, bad).green


def test_an_invoice_opened_again_by_a_refund_is_explained_by_it(garden: Trade) -> None:
    garden.billing.change(Entity.INVOICE, "r5", balance=780)
    refund = Finding(
        "refund", Severity.NOTE, Entity.PAYMENT, Side.BILLING, "r7", "", 100, "USD", "1.00 was given back.", "Enter it."
    )
    result = tied(garden, refund)
    assert result.green
    assert result.items["cause"].tolist() == ["1.00 was given back."]
    garden.billing.change(Entity.INVOICE, "r5", balance=781)
    assert not tied(garden, refund).green


def test_an_invoice_closed_in_reliabills_is_noted_until_it_is_written_off(garden: Trade) -> None:
    garden.billing.change(Entity.INVOICE, "r5", balance=0, state="closed")
    result = tied(garden)
    assert result.green
    assert "closed in ReliaBills without full payment, but 6.80 is open in QuickBooks" in result.items["cause"].iloc[0]


def test_a_customer_who_stays_active_because_he_owes_is_explained_by_that(garden: Trade) -> None:
    garden.books.change(Entity.CUSTOMER, "q1", active=False)
    result = tied(garden)
    assert result.green
    assert total(result, "number of customers")["difference"] == -1
    (item,) = result.items[result.items["measure"] == "number of customers"].to_dict("records")
    assert "still has open invoices in ReliaBills" in item["cause"]


def test_rounding_of_tax_is_named(garden: Trade) -> None:
    garden.billing.change(Entity.INVOICE, "r5", tax=81, total=1081, balance=681)
    result = tied(garden)
    assert result.green
    assert set(result.items["measure"]) == {"tax", "tax: California", "invoices billed", "receivables"}
    books = "QuickBooks rounds tax once, on the sum: 0.80"
    assert set(result.items["cause"]) == {f"tax rounding: {books}; ReliaBills comes to 0.81 (by no rule that is known)"}


def test_a_penny_is_put_down_to_the_rule_that_gives_it(garden: Trade) -> None:
    lines = [{"description": f"work {n}", "amount": 106} for n in range(5)]  # 8 % of 1.06 is 0.0848
    for side, prefix, tax in ((garden.books, "q", 40), (garden.billing, "r", 42)):
        side.invoice(f"{prefix}6", "101", f"{prefix}1", tax_rate_id=f"{prefix}3", lines=lines, tax=tax)
    garden.agree(Entity.INVOICE, "q6", "r6")
    result = tied(garden)
    assert result.green
    assert set(result.items["cause"]) == {
        "tax rounding: QuickBooks rounds tax line by line: 0.40; ReliaBills rounds tax once, on the sum: 0.42"
    }


@pytest.mark.parametrize(
    ("components", "words"),
    [
        ("State 1 + County 1", "QuickBooks rounds tax once, on the sum, each rate by itself: 0.14"),
        ("State + City 1 + County 1", "QuickBooks comes to 0.14 (by no rule that is known)"),
    ],
)
def test_the_rates_of_a_code_are_rounded_one_by_one(garden: Trade, components: str, words: str) -> None:
    for side, prefix, tax in ((garden.books, "q", 14), (garden.billing, "r", 13)):
        listed = {"components": components} if prefix == "q" else {}
        side.tax_rate(f"{prefix}4", "Town", percent=2_0000000, **listed)
        side.invoice(f"{prefix}6", "101", f"{prefix}1", 650, tax_rate_id=f"{prefix}4", tax=tax)
    garden.agree(Entity.TAX_RATE, "q4", "r4")
    garden.agree(Entity.INVOICE, "q6", "r6")
    result = tied(garden)
    assert result.green
    assert set(result.items["cause"]) == {f"tax rounding: {words}; ReliaBills rounds tax once, on the sum: 0.13"}


def test_a_payment_booked_on_another_day_is_seen_although_the_sums_agree(garden: Trade) -> None:
    garden.billing.change(Entity.PAYMENT, "r7", payment_date="2026-03-06")
    comparisons = garden.compare()
    pairs = {entity: comparison.pairs for entity, comparison in comparisons.items()}
    result = control_totals(garden.books.snapshots(), garden.billing.snapshots(), pairs, [])
    assert total(result, "payments received")["difference"] == 0
    days = dict(zip(result.days["measure"], result.days["difference"], strict=True))
    assert days == {"payments of 2026-03-05 by check": 400, "payments of 2026-03-06 by check": -400}
    assert not result.green


def test_void_documents_count_nothing(garden: Trade) -> None:
    garden.books.invoice("q6", "101", "q1", 500, void=True)
    garden.billing.payment("r9", "r1", 77, void=True)
    result = tied(garden)
    assert result.green
    assert result.items.empty


def test_methods_that_differ_are_a_measure_of_their_own(garden: Trade) -> None:
    garden.billing.change(Entity.PAYMENT, "r7", method="cash")
    result = tied(garden)
    assert result.green
    assert total(result, f"payments by {NOT_COMPARABLE}")["difference"] == 0


def test_currencies_are_never_added_up(garden: Trade) -> None:
    garden.both_have("invoice", "q6", "r6", "101", "q1", 500, currency="JPY")
    result = tied(garden)
    receivables = result.totals[result.totals["measure"] == "receivables"]
    assert dict(zip(receivables["currency"], receivables["books"], strict=True)) == {"USD": 680, "JPY": 500}


def test_receivables_by_age(trade: Trade) -> None:
    trade.books.customer("q1", "Amy")
    due = ["2026-04-20", "2026-04-19", "2026-03-21", "2026-03-20", "2026-01-01", "0000-00-00"]
    for n, day in enumerate(due):
        trade.books.invoice(f"q{n}", str(n), "q1", 10**n, due_date=day, invoice_date=day)
    trade.books.invoice("q8", "8", "q1", 7, void=True)
    trade.books.invoice("q9", "9", "q1", 7, balance=0)
    ages = receivables_by_age(trade.books.snapshot(Entity.INVOICE), date(2026, 4, 20))
    assert dict(zip(ages["bucket"], ages["amount"], strict=True)) == {
        "current": 1,
        "1-30 days": 110,
        "31-60 days": 1000,
        "61-90 days": 0,
        "over 90 days": 10_000,
        "without a date": 100_000,
    }
    assert ages["invoices"].tolist() == [1, 2, 1, 0, 1, 1]


def test_receivables_of_nobody_have_all_ages(trade: Trade) -> None:
    ages = receivables_by_age(trade.books.snapshot(Entity.INVOICE), date(2026, 4, 20))
    assert ages["amount"].tolist() == [0, 0, 0, 0, 0]
