"""A drawn company is a company like any other, of any size."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from reconcile.sandbox.quickbooks.company import Options
from reconcile.sandbox.quickbooks.entities import RESOURCES
from reconcile.sandbox.quickbooks.faults import FaultError
from reconcile.sandbox.quickbooks.numbers import parse, render
from reconcile.sandbox.quickbooks.server import Server


@pytest.fixture(scope="module")
def company() -> Any:
    server = Server(client_id="app", client_secret="secret")
    server.add_company("1", "generated", 2_500)
    return server.companies["1"]


def found(company: Any, statement: str) -> Any:
    return parse(company.query(statement))["QueryResponse"]


def test_all_pages_together_are_every_invoice_once(company: Any) -> None:
    pages = [
        found(company, f"select * from Invoice startposition {start} maxresults 1000")["Invoice"]
        for start in (1, 1001, 2001)
    ]
    assert [len(page) for page in pages] == [1000, 1000, 500]
    assert len({invoice["Id"] for page in pages for invoice in page}) == 2500
    assert found(company, "select count(*) from Invoice")["totalCount"] == 2500
    assert found(company, "select count(*) from Invoice where Balance = 0")["totalCount"] == 1000
    assert found(company, "select count(*) from Payment")["totalCount"] == 1000


def test_money_adds_up(company: Any) -> None:
    invoices = found(company, "select * from Invoice maxresults 1000")["Invoice"]
    for invoice in invoices:
        lines = sum((Decimal(line["Amount"]) for line in invoice["Line"][:-1]), Decimal(0))
        assert lines + Decimal(invoice["TxnTaxDetail"]["TotalTax"]) == Decimal(invoice["TotalAmt"])
    every = [invoice for start in (1, 1001, 2001)
             for invoice in found(company, f"select * from Invoice startposition {start} maxresults 1000")["Invoice"]
             ]  # fmt: skip
    customers = found(company, "select * from Customer maxresults 1000")["Customer"]
    assert sum(Decimal(one["Balance"]) for one in customers) == sum(Decimal(one["Balance"]) for one in every)


def test_writing_an_invoice_back_unchanged_changes_no_amount(company: Any) -> None:
    for invoice in found(company, "select * from Invoice startposition 50 maxresults 20")["Invoice"]:
        answer = parse(company.write("invoice", render(invoice), Options()))["Invoice"]
        for name in ("TotalAmt", "Balance", "TxnTaxDetail", "LinkedTxn", "DueDate", "DocNumber"):
            assert answer[name] == invoice[name], name


def test_the_same_seed_draws_the_same_company(company: Any) -> None:
    other = Server(client_id="app", client_secret="secret")
    other.add_company("1", "generated", 2_500)
    statement = "select DocNumber, TotalAmt, CustomerRef from Invoice maxresults 1000"
    assert found(other.companies["1"], statement) == found(company, statement)


def test_it_is_kept_in_a_file(tmp_path: Path) -> None:
    state = tmp_path / "books.sqlite"
    for _ in range(2):
        server = Server(state_file=state)
        server.add_company("1", "generated", 100)
        assert found(server.companies["1"], "select count(*) from Invoice")["totalCount"] == 100
        server.close()


def test_everything_but_the_clock_outlives_the_process(tmp_path: Path) -> None:
    def opened() -> Server:
        server = Server(state_file=tmp_path / "books.sqlite")
        server.add_company("1", "craigs")
        return server

    first = opened()
    company = first.companies["1"]
    automatic = {"SyncToken": "0", "sparse": True, "SalesFormsPrefs": {"CustomTxnNumbers": False}}
    company.write("preferences", render(automatic), Options())
    line = {"Amount": 5, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {"ItemRef": {"value": "11"}}}
    form = {"CustomerRef": {"value": "3"}, "Line": [line], "DocNumber": "700"}
    made = parse(company.write("invoice", render(form), Options(request_id="once")))["Invoice"]
    renumbered = {"Id": made["Id"], "SyncToken": "0", "sparse": True, "DocNumber": "900"}
    company.write("invoice", render(renumbered), Options())
    first.merge("1", "Customer", "3", "5")
    everything = {name: [record.json for record in company.state.store.all(name)] for name in RESOURCES}
    first.clock.shift(timedelta(days=3))
    first.close()

    second = opened()
    company = second.companies["1"]
    assert {name: [record.json for record in company.state.store.all(name)] for name in RESOURCES} == everything
    assert parse(company.write("invoice", render(form), Options(request_id="once")))["Invoice"] == made
    later = {**form, "CustomerRef": {"value": "5"}, "DocNumber": ""}
    following = parse(company.write("invoice", render(later), Options()))
    assert following["Invoice"]["DocNumber"] == "701"
    gone = parse(company.read("customer", "3"))["Customer"]
    again = {"Id": "3", "SyncToken": gone["SyncToken"], "sparse": True, "Active": True}
    with pytest.raises(FaultError, match="6000"):
        company.write("customer", render(again), Options())
    second.close()


def test_memory_stays_as_it_was_while_the_same_records_are_written_again(company: Any) -> None:
    invoice = found(company, "select * from Invoice maxresults 1")["Invoice"][0]
    for _ in range(300):
        invoice = parse(company.write("invoice", render(invoice), Options()))["Invoice"]
    store = company.state.store
    assert int(invoice["SyncToken"]) >= 300
    assert len(store.find("number", "Invoice", invoice["DocNumber"])) == 1
    assert not store._unsaved
    assert not store._unsaved_answers
