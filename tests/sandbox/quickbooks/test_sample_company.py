"""The sample company as it stands before anyone touches it."""

import json
from datetime import timedelta
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest

from reconcile.sandbox.quickbooks.faults import FaultError
from reconcile.sandbox.quickbooks.numbers import render
from reconcile.sandbox.quickbooks.server import Server

CONTROL = json.loads((files("reconcile") / "sandbox/samples/craigs/control-totals.json").read_text())

DEPOSITED = {("SalesReceipt", "38"), ("SalesReceipt", "47")}


def test_the_receivable_is_what_the_balance_sheet_says(desk: Any) -> None:
    invoices = desk.query("select * from Invoice maxresults 1000")
    assert sum(Decimal(invoice["Balance"]) for invoice in invoices) == Decimal("5281.52")
    assert sum(Decimal(invoice["TotalAmt"]) for invoice in invoices) == Decimal(CONTROL["receivable"]["invoiced"])
    assert len([invoice for invoice in invoices if invoice["Balance"]]) == CONTROL["receivable"]["open_invoices"]


def test_each_customer_owes_what_the_report_says(desk: Any) -> None:
    owed = {
        customer["FullyQualifiedName"]: f"{Decimal(customer['Balance']):.2f}"
        for customer in desk.query("select * from Customer where Balance > '0'")
    }
    assert owed == CONTROL["receivable"]["by_customer"]


def test_every_form_worked_out_again_gives_its_stored_totals(desk: Any) -> None:
    for kind in ("Invoice", "CreditMemo", "SalesReceipt", "RefundReceipt", "Estimate"):
        for form in desk.query(f"select * from {kind}"):
            if (kind, form["Id"]) in DEPOSITED:
                continue
            request = {"Id": form["Id"], "SyncToken": form["SyncToken"], "sparse": True, "PrivateNote": "seen"}
            again = desk.post(kind, request)
            for name in ("TotalAmt", "Balance", "DueDate", "TxnDate", "DocNumber"):
                assert again.get(name) == form.get(name), (kind, form["DocNumber"], name)
            assert again["TxnTaxDetail"] == form["TxnTaxDetail"], (kind, form["DocNumber"])
            assert [line["Amount"] for line in again["Line"]] == [line["Amount"] for line in form["Line"]]


def test_its_last_transaction_is_of_yesterday_and_all_dates_moved_alike(desk: Any) -> None:
    invoices = {invoice["DocNumber"]: invoice for invoice in desk.query("select * from Invoice")}
    yesterday = desk.server.clock.today() - timedelta(days=1)
    assert invoices["1037"]["TxnDate"] == yesterday.isoformat()
    assert invoices["1037"]["DueDate"] == (yesterday + timedelta(days=30)).isoformat()


def test_what_it_bought_and_banked_is_what_the_books_say(desk: Any) -> None:
    """Its documents, line by line, against the balances of accounts and the profit and loss of the same company."""
    counted = {kind: len(desk.query(f"select * from {kind} maxresults 1000")) for kind in BOUGHT}
    assert counted == BOUGHT
    kinds = {account["Id"]: account["AccountType"] for account in desk.query("select * from Account maxresults 1000")}
    spent: dict[str, Decimal] = {}
    for kind in ("Bill", "Purchase"):
        for document in desk.query(f"select * from {kind}"):
            lines = [(Decimal(line["Amount"]), line.get("AccountBasedExpenseLineDetail")) for line in document["Line"]]
            assert sum(value for value, _ in lines) == document["TotalAmt"]
            for value, detail in lines:
                account = kinds[detail["AccountRef"]["value"]] if detail else "stock"
                spent[account] = spent.get(account, Decimal(0)) + value
    loss = CONTROL["profit_and_loss"]
    assert (spent["Expense"], spent["Other Expense"]) == (Decimal(loss["expenses"]), Decimal(loss["other_expenses"]))
    owed = {vendor["DisplayName"]: vendor["Balance"] for vendor in desk.query("select * from Vendor")}
    assert sum(owed.values()) == Decimal(CONTROL["payable"])
    assert sum(bill["Balance"] for bill in desk.query("select * from Bill")) == Decimal(CONTROL["payable"])
    assert owed["Robertson & Associates"] == 315


BOUGHT = {"Bill": 15, "BillPayment": 10, "Purchase": 35, "Deposit": 5, "JournalEntry": 3, "VendorCredit": 0}


def test_each_bill_of_the_sample_is_linked_with_what_paid_it(desk: Any) -> None:
    paid = {}
    for payment in desk.query("select * from BillPayment"):
        (line,) = payment["Line"]
        assert line["Amount"] == payment["TotalAmt"]
        paid[line["LinkedTxn"][0]["TxnId"]] = {"TxnId": payment["Id"], "TxnType": f"BillPayment{payment['PayType']}"}
    bills = {bill["Id"]: bill for bill in desk.query("select * from Bill")}
    assert {number: bill["LinkedTxn"] for number, bill in bills.items() if not bill["Balance"]} == {
        number: [link] for number, link in paid.items()
    }
    deleted = desk.query("select * from BillPayment where Id = '104'")[0]
    desk.post("billpayment", {"Id": "104", "SyncToken": deleted["SyncToken"]}, operation="delete")
    assert desk.get("bill", "24")["Balance"] == desk.get("vendor", "40")["Balance"] == 900


def test_the_deposits_of_the_sample_come_from_its_undeposited_funds(desk: Any) -> None:
    deposits = {deposit["Id"]: deposit for deposit in desk.query("select * from Deposit")}
    assert {number: deposit["TotalAmt"] for number, deposit in deposits.items()} == {
        "4": 5000, "5": 600, "62": Decimal("218.75"), "102": 408, "121": Decimal("868.15"),
    }  # fmt: skip
    assert deposits["121"]["CashBack"]["Amount"] == 200
    assert desk.get("salesreceipt", "38")["LinkedTxn"] == [{"TxnId": "62", "TxnType": "Deposit"}]
    with pytest.raises(FaultError, match="deposited"):
        desk.post("salesreceipt", {"Id": "38", "SyncToken": "0", "sparse": True, "PrivateNote": "late"})
    into = {"DepositToAccountRef": {"value": "35"}}
    again = desk.post("deposit", {"Id": "121", "SyncToken": "0", "sparse": True, "PrivateNote": "seen", **into})
    assert (again["TotalAmt"], again["Line"]) == (Decimal("868.15"), deposits["121"]["Line"])


def test_what_customers_paid_and_what_was_deposited_leave_what_lies_in_undeposited_funds(desk: Any) -> None:
    waiting = [one for one in desk.query("select * from Payment") if one.get("DepositToAccountRef") == {"value": "4"}]
    deposited = {one["Id"]: one["LinkedTxn"] for one in waiting if one["LinkedTxn"]}
    assert deposited == {
        **{number: [{"TxnId": "102", "TxnType": "Deposit"}] for number in ("31", "32")},
        **{number: [{"TxnId": "121", "TxnType": "Deposit"}] for number in ("94", "97", "98", "101", "116")},
    }
    lying = sum(one["TotalAmt"] for one in waiting if one["Id"] not in deposited)
    assert lying == Decimal(CONTROL["undeposited_funds"])


@pytest.mark.parametrize("operation", ["", "update", "void", "delete"])
def test_a_payment_of_the_sample_that_was_deposited_is_closed_to_changes(desk: Any, operation: str) -> None:
    body = {"Id": "31", "SyncToken": "0", "sparse": True, "PrivateNote": "late"}
    with pytest.raises(FaultError, match="deposited"):
        desk.post("payment", body, operation=operation)
    assert desk.get("invoice", "9")["Balance"] == 0


def test_nothing_of_the_sample_was_entered_later_than_now(desk: Any) -> None:
    now = desk.server.clock.now().isoformat()
    for kind in (*BOUGHT, "Invoice"):
        for document in desk.query(f"select * from {kind} maxresults 1000"):
            assert document["MetaData"]["LastUpdatedTime"] < now


def test_new_ids_go_on_above_the_highest(desk: Any) -> None:
    assert desk.post("customer", {"DisplayName": "Next"})["Id"] == "58"
    assert desk.invoice("1", 10)["Id"] == "145"


def test_a_payment_shows_what_was_open_before_it(desk: Any) -> None:
    line = desk.get("payment", "72")["Line"][0]
    named = {entry["value"]["Name"]: entry["value"]["Value"] for entry in line["LineEx"]["any"]}
    assert named == {"txnId": "71", "txnOpenBalance": "105.00", "txnReferenceNumber": "1025"}


@pytest.mark.parametrize("kind", ["Customer", "Item", "Invoice", "Payment", "Vendor"])
def test_the_empty_company_has_no_business_yet(kind: str) -> None:
    server = Server(client_id="app", client_secret="secret")
    server.add_company("1", "empty")
    company = server.companies["1"]
    assert b'"QueryResponse":{}' in company.query(f"select * from {kind}")
    assert b'"totalCount":2' in company.query("select count(*) from TaxCode")
    assert b'"totalCount":5' in company.query("select count(*) from Term")


def test_forms_of_the_sample_carry_their_customer_s_addresses(desk: Any) -> None:
    customer, invoice = desk.get("customer", "1"), desk.get("invoice", "9")
    assert (invoice["BillAddr"], invoice["ShipAddr"]) == (customer["BillAddr"], customer["ShipAddr"])
    assert desk.get("payment", "15")["DepositToAccountRef"] == {"value": "35"}
    assert invoice["Line"][0]["SalesItemLineDetail"]["ItemAccountRef"]["name"]
    assert desk.get("payment", "15")["LinkedTxn"] == []


@pytest.mark.parametrize(
    ("kind", "number", "printed", "mailed"),
    [
        ("estimate", "41", "NeedToPrint", "NotSet"),
        ("creditmemo", "73", "NeedToPrint", "NotSet"),
        ("salesreceipt", "11", "NotSet", "NotSet"),
        ("refundreceipt", "66", "NotSet", None),
    ],
)
def test_forms_of_the_sample_say_whether_they_were_printed_and_mailed(
    desk: Any, kind: str, number: str, printed: str, mailed: str | None
) -> None:
    """As recordings of the same company have them; a refund never tells of mail."""
    form = desk.get(kind, number)
    assert (form["PrintStatus"], form.get("EmailStatus")) == (printed, mailed)


def test_prices_and_percents_of_the_sample_have_no_idle_zeros(desk: Any) -> None:
    held = desk.query("select * from Estimate where Id = '100'")[0]
    assert b'"UnitPrice":275,' in render(held)
    assert b'"TaxPercent":8,' in render(held)
