"""Reports tie to the company's control totals."""

import json
from collections.abc import Iterator
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest

from reconcile.sandbox.quickbooks.reports import report

CONTROL = json.loads((files("reconcile") / "sandbox/samples/craigs/control-totals.json").read_text())["receivable"]


def cells(row: Any) -> list[str]:
    return [cell["value"] for cell in row["ColData"]]


def leaves(rows: Any, above: str = "") -> Iterator[Any]:
    """The rows of customers, with the names of those above them in front."""
    for row in rows:
        if "Rows" in row:
            yield from leaves(row["Rows"]["Row"], f"{above}{row['Header']['ColData'][0]['value']}:")
        else:
            name, *rest = row["ColData"]
            yield {"ColData": [{**name, "value": above + name["value"]}, *rest]}


def total(made: Any) -> list[str]:
    return cells(made["Rows"]["Row"][-1]["Summary"])


def test_the_balance_of_each_customer_and_of_all(desk: Any) -> None:
    made = report(desk.company.state, "CustomerBalance", {})
    assert dict(map(cells, leaves(made["Rows"]["Row"][:-1]))) == CONTROL["by_customer"]
    assert total(made) == ["TOTAL", CONTROL["total"]]
    assert made["Header"]["ReportName"] == "CustomerBalance"


@pytest.mark.parametrize(("name", "cells_each"), [("CustomerBalance", 1), ("AgedReceivables", 6)])
def test_jobs_stand_below_their_customer_with_the_sum_of_all(desk: Any, name: str, cells_each: int) -> None:
    desk.invoice("7", 20)
    made = report(desk.company.state, name, {})
    (family,) = [row for row in made["Rows"]["Row"] if row.get("Header", {}).get("ColData", [{}])[0].get("id") == "7"]
    assert [cell["value"] for cell in family["Header"]["ColData"]][::cells_each] == ["Freeman Sporting Goods", "20.00"]
    assert [(row["ColData"][0], row["ColData"][-1]) for row in family["Rows"]["Row"]] == [
        ({"value": "0969 Ocean View Road", "id": "8"}, {"value": "477.50"}),
        ({"value": "55 Twin Lane", "id": "9"}, {"value": "85.00"}),
    ]
    assert cells(family["Summary"])[::cells_each] == ["Total Freeman Sporting Goods", "582.50"]
    assert family["type"] == "Section"


def test_ages_add_up_to_the_same_total(desk: Any) -> None:
    made = report(desk.company.state, "agedreceivables", {})
    assert total(made)[-1] == CONTROL["total"]
    assert [column["ColTitle"] for column in made["Columns"]["Column"]][1:3] == ["Current", "1 - 30"]
    detail = report(desk.company.state, "AgedReceivableDetail", {})
    assert sum(len(section["Rows"]["Row"]) for section in detail["Rows"]["Row"][:-1]) == CONTROL["open_invoices"]
    assert total(detail) == ["TOTAL", "", "", "", "", CONTROL["total"], CONTROL["total"]]


def test_credits_and_unapplied_payments_count_against_the_customer(desk: Any) -> None:
    desk.payment("2", 100)
    row = next(row for row in report(desk.company.state, "CustomerBalance", {"customer": "2"})["Rows"]["Row"])
    assert cells(row) == ["Bill's Windsurf Shop", "-15.00"]


def test_a_report_on_balances_is_of_its_own_date_and_passes_over_a_period(desk: Any) -> None:
    today = desk.company.state.today().isoformat()
    asked = {"start_date": "2001-01-01", "end_date": "2001-01-31"}
    made = report(desk.company.state, "AgedReceivables", asked)
    assert (made["Header"]["EndPeriod"], total(made)[-1]) == (today, CONTROL["total"])
    made = report(desk.company.state, "AgedReceivables", {**asked, "report_date": "2001-01-31"})
    assert (made["Header"]["EndPeriod"], made["Rows"]) == ("2001-01-31", {})


def test_the_heading_of_a_report_is_in_the_order_of_the_schema(desk: Any) -> None:
    made = report(desk.company.state, "TransactionList", {"customer": "1"})
    assert list(made["Header"]) == [
        "Time", "ReportName", "ReportBasis", "StartPeriod", "EndPeriod", "Currency", "Customer", "Option"
    ]  # fmt: skip


def test_transactions_of_a_period_are_listed_by_date(desk: Any) -> None:
    made = report(desk.company.state, "TransactionList", {"start_date": "2000-01-01", "end_date": "2099-12-31"})
    rows = [cells(row) for row in made["Rows"]["Row"]]
    assert len(rows) == 31 + 16 + 1 + 4 + 1 + 4 + 15 + 10 + 35 + 5 + 3
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert (
        report(desk.company.state, "TransactionList", {"start_date": "2000-01-01", "end_date": "2000-12-31"})["Rows"]
        == {}
    )


def test_each_age_has_its_heading_its_rows_and_its_sum(desk: Any) -> None:
    made = report(desk.company.state, "AgedReceivableDetail", {})
    assert [column["ColType"] for column in made["Columns"]["Column"]][:3] == ["Date", "String", "String"]
    keys = [column["MetaData"][0]["Value"] for column in made["Columns"]["Column"]]
    assert keys[:5] == ["tx_date", "txn_type", "doc_num", "cust_name", "due_date"]
    assert [option["Name"] for option in made["Header"]["Option"]] == ["report_date", "NoReportData"]
    for section in made["Rows"]["Row"][:-1]:
        title = cells(section["Header"])[0]
        owed = sum(Decimal(cells(row)[-1]) for row in section["Rows"]["Row"])
        assert cells(section["Summary"]) == [f"Total for {title}", "", "", "", "", f"{owed:.2f}", f"{owed:.2f}"]
        assert {row["type"] for row in section["Rows"]["Row"]} == {"Data"}


EVER = {"start_date": "2000-01-01", "end_date": "2099-12-31"}


def test_transactions_are_listed_under_their_account_with_the_amount_that_raises_it(desk: Any) -> None:
    made = report(desk.company.state, "TransactionList", EVER)
    titles = [column["ColTitle"] for column in made["Columns"]["Column"]]
    assert [column["ColType"] for column in made["Columns"]["Column"]][6:] == [
        "account_name", "other_account", "subt_nat_amount",
    ]  # fmt: skip
    listed = {}
    for row in made["Rows"]["Row"]:
        listed[row["ColData"][1]["id"]] = dict(zip(titles, cells(row), strict=True))
    told = ("Transaction Type", "Posting", "Account", "Split", "Amount")
    assert {number: tuple(listed[number][name] for name in told) for number in EXPECTED} == EXPECTED


EXPECTED = {
    "9": ("Invoice", "Yes", "Accounts Receivable (A/R)", "-Split-", "108.00"),
    "16": ("Invoice", "Yes", "Accounts Receivable (A/R)", "Design income", "750.00"),
    "18": ("Bill", "Yes", "Accounts Payable (A/P)", "Legal & Professional Fees:Accounting", "75.00"),
    "36": ("Check", "Yes", "Checking", "Office Expenses", "-18.08"),
    "41": ("Estimate", "No", "Accounts Receivable (A/R)", "-Split-", "582.50"),
    "47": ("Sales Receipt", "Yes", "Undeposited Funds", "Landscaping Services", "140.00"),
    "6": ("Journal Entry", "Yes", "Truck:Original Cost", "Opening Balance Equity", "13495.00"),
    "61": ("Payment", "Yes", "Checking", "Accounts Receivable (A/R)", "694.00"),
    "66": ("Refund", "Yes", "Checking", "Pest Control Services", "-87.50"),
    "73": ("Credit Memo", "Yes", "Accounts Receivable (A/R)", "Pest Control Services", "-100.00"),
    "77": ("Bill Payment (Check)", "Yes", "Checking", "Accounts Payable (A/P)", "-114.09"),
    "107": ("Expense", "Yes", "Checking", "Legal & Professional Fees:Accounting", "-250.00"),
    "117": ("Bill Payment (Credit Card)", "Yes", "Mastercard", "Accounts Payable (A/P)", "56.50"),
    "121": ("Deposit", "Yes", "Checking", "-Split-", "868.15"),
    "131": ("Cash Expense", "Yes", "Checking", "Automobile:Fuel", "-63.15"),
    "139": ("Credit Card Credit", "Yes", "Mastercard", "Checking", "-900.00"),
    "140": ("Credit Card Expense", "Yes", "Mastercard", "Meals and Entertainment", "18.97"),
}


def test_transactions_of_one_kind_or_one_party_are_listed_by_themselves(desk: Any) -> None:
    def listed(**asked: str) -> set[str]:
        made = report(desk.company.state, "TransactionList", {**EVER, **asked})
        return {row["ColData"][1]["id"] for row in made["Rows"]["Row"]}

    assert listed(transaction_type="JournalEntry") == {"6", "7", "8"}
    assert listed(transaction_type="BillPaymentCreditCard,CreditCardCredit") == {"50", "117", "118", "139"}
    assert listed(vendor="48") == {"35", "77", "78"}
    assert listed(customer="6") == {"11"}
