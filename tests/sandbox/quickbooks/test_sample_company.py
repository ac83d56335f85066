"""The sample company as it stands before anyone touches it."""

import json
from datetime import timedelta
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest

from reconcile.sandbox.quickbooks.server import Server

CONTROL = json.loads((files("reconcile") / "sandbox/samples/craigs/control-totals.json").read_text())


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


def test_new_ids_go_on_above_the_highest(desk: Any) -> None:
    assert desk.post("customer", {"DisplayName": "Next"})["Id"] == "58"
    assert int(desk.invoice("1", 10)["Id"]) > 130


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
