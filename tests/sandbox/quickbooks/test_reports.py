"""Reports tie to the company's control totals."""

import json
from decimal import Decimal
from importlib.resources import files
from typing import Any

from reconcile.sandbox.quickbooks.reports import report

CONTROL = json.loads((files("reconcile") / "sandbox/samples/craigs/control-totals.json").read_text())["receivable"]


def cells(row: Any) -> list[str]:
    return [cell["value"] for cell in row["ColData"]]


def total(made: Any) -> list[str]:
    return cells(made["Rows"]["Row"][-1]["Summary"])


def test_the_balance_of_each_customer_and_of_all(desk: Any) -> None:
    made = report(desk.company.state, "CustomerBalance", {})
    assert dict(map(cells, made["Rows"]["Row"][:-1])) == CONTROL["by_customer"]
    assert total(made) == ["TOTAL", CONTROL["total"]]
    assert made["Header"]["ReportName"] == "CustomerBalance"


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


def test_transactions_of_a_period_are_listed_by_date(desk: Any) -> None:
    made = report(desk.company.state, "TransactionList", {"start_date": "2000-01-01", "end_date": "2099-12-31"})
    rows = [cells(row) for row in made["Rows"]["Row"]]
    assert len(rows) == 31 + 16 + 1 + 4 + 1 + 4
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
