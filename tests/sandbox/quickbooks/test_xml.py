"""XML in and out, as Intuit's kits for PHP, Java and .NET and quickbooks-ruby speak it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import requests

from reconcile.sandbox.quickbooks import markup

Call = Callable[..., requests.Response]
SPACE = "{http://schema.intuit.com/finance/v3}"
XML = "application/xml;charset=UTF-8"
INVOICE = b"""<?xml version="1.0" encoding="UTF-8"?>
<ns0:Invoice xmlns:ns0="http://schema.intuit.com/finance/v3">
  <ns0:DocNumber>X-1</ns0:DocNumber>
  <ns0:Line><ns0:Description>Rocks &amp; sand</ns0:Description><ns0:Amount>50</ns0:Amount>
    <ns0:DetailType>SalesItemLineDetail</ns0:DetailType>
    <ns0:SalesItemLineDetail><ns0:ItemRef name="whatever">6</ns0:ItemRef><ns0:UnitPrice>25</ns0:UnitPrice>
      <ns0:Qty>2</ns0:Qty></ns0:SalesItemLineDetail></ns0:Line>
  <ns0:CustomerRef>1</ns0:CustomerRef>
  <ns0:CustomerMemo>Thank you</ns0:CustomerMemo>
</ns0:Invoice>"""


@pytest.fixture
def ask(call: Call) -> Call:
    def send(method: str, path: str, raw: bytes | None = None, **headers: str) -> requests.Response:
        sent = {"Accept": "application/xml", "Content-Type": "application/xml"} | headers
        return call(method, path, data=raw, headers=sent)

    return send


def root(response: requests.Response) -> Any:
    assert response.headers["Content-Type"] == XML
    assert response.text.startswith("<?xml")
    found = parsed(response.text)
    assert found.tag == f"{SPACE}IntuitResponse"
    assert found.attrib["time"]
    return found


def parsed(text: str | bytes) -> Any:
    return ET.fromstring(text)  # noqa: S314 - written by our own server a moment ago


def names(element: Any) -> list[str]:
    return [child.tag.removeprefix(SPACE) for child in element]


def test_an_invoice_is_made_and_comes_back_in_the_order_of_the_schema(ask: Call) -> None:
    invoice = root(ask("POST", "invoice", INVOICE))[0]
    assert invoice.attrib == {"domain": "QBO", "sparse": "false"}
    assert names(invoice)[:3] == ["Id", "SyncToken", "MetaData"]
    order = ["DocNumber", "TxnDate", "CurrencyRef", "Line", "CustomerRef", "CustomerMemo", "BillAddr", "DueDate",
             "TotalAmt", "PrintStatus", "EmailStatus", "Balance", "Deposit"]  # fmt: skip
    assert [name for name in dict.fromkeys(names(invoice)) if name in order] == order
    customer = invoice.find(f"{SPACE}CustomerRef")
    assert (customer.text, customer.attrib["name"]) == ("1", "Amy's Bird Sanctuary")
    assert invoice.findtext(f"{SPACE}CustomerMemo") == "Thank you"
    assert invoice.findtext(f"{SPACE}TotalAmt") == "50.00"
    assert invoice.findtext(f"{SPACE}Deposit") == "0"
    line = invoice.find(f"{SPACE}Line")
    assert (line.findtext(f"{SPACE}Description"), line.findtext(f"{SPACE}Amount")) == ("Rocks & sand", "50.00")
    detail = line.find(f"{SPACE}SalesItemLineDetail")
    assert (detail.findtext(f"{SPACE}UnitPrice"), detail.findtext(f"{SPACE}Qty")) == ("25", "2")


def test_a_sparse_update_says_so_in_an_attribute(ask: Call) -> None:
    made = root(
        ask(
            "POST",
            "customer",
            b"<Customer><DisplayName>Sparse</DisplayName><Notes>kept</Notes><Title nil='true'/></Customer>",
        )
    )[0]
    record_id = made.findtext(f"{SPACE}Id")
    body = f'<Customer sparse="true"><Id>{record_id}</Id><SyncToken>0</SyncToken><Active>false</Active></Customer>'
    changed = root(ask("POST", "customer?operation=update", body.encode()))[0]
    assert changed.findtext(f"{SPACE}Notes") == "kept"
    assert changed.findtext(f"{SPACE}DisplayName") == "Sparse (deleted)"


def test_queries_counts_and_captures_carry_their_numbers_as_attributes(ask: Call) -> None:
    found = root(ask("POST", "query", b"select * from Customer maxresults 2", **{"Content-Type": "application/text"}))[
        0
    ]
    assert (found.tag, found.attrib) == (f"{SPACE}QueryResponse", {"startPosition": "1", "maxResults": "2"})
    assert names(found) == ["Customer", "Customer"]
    counted = root(ask("GET", "query?query=select count(*) from Term"))[0]
    assert int(counted.attrib["totalCount"]) == 5
    empty = root(ask("GET", "query?query=select * from Term where Name = 'none'"))[0]
    assert (empty.attrib, len(empty)) == ({}, 0)
    yesterday = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    captured = root(ask("GET", f"cdc?entities=Invoice,Bill&changedSince={yesterday}"))[0]
    assert (captured.tag, names(captured)) == (f"{SPACE}CDCResponse", ["QueryResponse", "QueryResponse"])


def test_faults_are_written_as_recorded(ask: Call) -> None:
    response = ask("POST", "customer", b"<Customer><DisplayName>Amy's Bird Sanctuary</DisplayName></Customer>")
    assert response.status_code == 400
    fault = root(response)[0]
    assert (fault.tag, fault.attrib) == (f"{SPACE}Fault", {"type": "ValidationFault"})
    assert fault[0].attrib == {"code": "6240", "element": ""}
    assert fault[0].findtext(f"{SPACE}Message") == "Duplicate Name Exists Error"
    assert fault[0].findtext(f"{SPACE}Detail") == "The name supplied already exists. : Id=1"
    unknown = root(ask("POST", "customer", b"<Customer><Colour>red</Colour></Customer>"))[0][0]
    assert 'Unrecognized field "Colour"' in unknown.findtext(f"{SPACE}Detail")


def test_a_batch_has_its_ids_in_attributes(ask: Call) -> None:
    raw = b"""<IntuitBatchRequest xmlns="http://schema.intuit.com/finance/v3">
      <BatchItemRequest bId="a" operation="create"><Customer><DisplayName>From a batch</DisplayName></Customer>
      </BatchItemRequest>
      <BatchItemRequest bId="b" operation="create"><Customer><DisplayName>From a batch</DisplayName></Customer>
      </BatchItemRequest>
      <BatchItemRequest bId="c"><Query>select * from Term</Query></BatchItemRequest></IntuitBatchRequest>"""
    answer = root(ask("POST", "batch", raw))
    assert [(item.attrib["bId"], names(item)) for item in answer] == [
        ("a", ["Customer"]), ("b", ["Fault"]), ("c", ["QueryResponse"])
    ]  # fmt: skip


def test_a_batch_of_changes_has_a_group_for_each_resource(ask: Call) -> None:
    raw = f"""<IntuitBatchRequest xmlns="http://schema.intuit.com/finance/v3"><BatchItemRequest bId="a"><CDCQuery>
      <Entities>Term,Customer</Entities><ChangedSince>{datetime.now(UTC) - timedelta(days=29):%Y-%m-%dT%H:%M:%SZ}
      </ChangedSince></CDCQuery></BatchItemRequest></IntuitBatchRequest>"""
    answer = root(ask("POST", "batch", raw.encode()))
    assert names(answer[0]) == ["CDCResponse"]
    assert names(answer[0][0]) == ["QueryResponse", "QueryResponse"]


def test_a_payment_s_lines_carry_plain_name_values(ask: Call) -> None:
    invoice = root(ask("POST", "invoice", INVOICE.replace(b"X-1", b"X-2")))[0].findtext(f"{SPACE}Id")
    raw = f"""<Payment><Line><Amount>20</Amount><LinkedTxn><TxnId>{invoice}</TxnId><TxnType>Invoice</TxnType>
      </LinkedTxn></Line><CustomerRef>1</CustomerRef><TotalAmt>20</TotalAmt></Payment>"""
    payment = root(ask("POST", "payment", raw.encode()))[0]
    pairs = [(pair[0].text, pair[1].text) for pair in payment.iter(f"{SPACE}NameValue")]
    assert pairs == [("txnId", invoice), ("txnOpenBalance", "50.00"), ("txnReferenceNumber", "X-2")]
    deleted = ask("POST", "payment?operation=delete", f"<Payment><Id>{payment.findtext(f'{SPACE}Id')}</Id>"
                  f"<SyncToken>0</SyncToken></Payment>".encode())  # fmt: skip
    assert root(deleted)[0].attrib == {"domain": "QBO", "status": "Deleted"}


def test_settings_and_reports_have_a_form_in_xml_too(ask: Call) -> None:
    assert root(ask("GET", "preferences"))[0].find(f"{SPACE}CurrencyPrefs/{SPACE}HomeCurrency").text == "USD"
    report = parsed(ask("GET", "reports/CustomerBalance").text)
    assert names(report) == ["Header", "Columns", "Rows"]


def test_the_gateway_answers_in_the_format_that_was_asked_for(call: Call) -> None:
    refused = call("GET", "customer/1", token="short", headers={"Accept": "application/xml"})
    assert root(refused)[0][0].attrib["code"] == "3200"
    assert refused.status_code == 401
    php = call("POST", "query", data="select * from Term", headers={"Accept": "*/*", "User-Agent": "V3PHPSDK6.3.1"})
    assert root(php)[0].tag == f"{SPACE}QueryResponse"
    assert call("GET", "customer/1", headers={"Accept": "*/*"}).headers["Content-Type"].startswith("application/json")


def test_taxes_are_made_in_json_only(ask: Call) -> None:
    raw = b'{"TaxCode":"J","TaxRateDetails":[{"TaxRateId":"2","TaxApplicableOn":"Sales"}]}'
    answer = ask("POST", "taxservice/taxcode", raw, **{"Content-Type": "application/json"})
    assert answer.text.startswith('{"TaxCode":')


BOMB = b'<!DOCTYPE c [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><Customer><Notes>&b;</Notes></Customer>'
OUTSIDE = b'<!DOCTYPE c [<!ENTITY x SYSTEM "file:///etc/passwd">]><Customer><DisplayName>&x;</DisplayName></Customer>'


@pytest.mark.parametrize("raw", [BOMB, OUTSIDE, b"<Customer>", b"<a>" * 100, b"\xff<Customer/>"])
def test_hostile_documents_are_refused(ask: Call, raw: bytes) -> None:
    response = ask("POST", "customer", raw)
    assert response.status_code == 400
    assert root(response)[0][0].attrib["code"] == "2010"


def test_text_cannot_break_out_of_an_element() -> None:
    answer = markup.answer(b'{"Customer":{"Id":"1","DisplayName":"</Customer>\\u0001<a b=\\"&\\">"},"time":"t"}')
    customer = parsed(answer)[0]
    assert customer.findtext(f"{SPACE}DisplayName") == '</Customer><a b="&">'
    quoted = markup.answer(b'{"Invoice":{"Id":"1","CustomerRef":{"value":"1","name":"\\"/><x/>\\n"}},"time":"t"}')
    assert parsed(quoted)[0].find(f"{SPACE}CustomerRef").attrib["name"] == '"/><x/>\n'


@pytest.mark.parametrize(
    "path", ["preferences/1", "companyinfo/1", "customer/1", "item/5", "account/35", "invoice/130", "payment/72"]
)
def test_what_was_read_in_xml_can_be_written_back(ask: Call, path: str) -> None:
    read = root(ask("GET", path))[0]
    resource = path.partition("/")[0]
    assert root(ask("POST", resource, ET.tostring(read)))[0].tag == read.tag
    assert ask("GET", "companyinfo/1").status_code == 200
    customer = ask("POST", "customer", f"<Customer><DisplayName>After {path}</DisplayName></Customer>".encode())
    assert root(customer)[0].find(f"{SPACE}CurrencyRef").text == "USD"


def test_numbers_inside_of_a_bundle_stay_numbers(ask: Call, call: Call) -> None:
    members = [{"ItemRef": {"value": "6", "name": "Gardening", "type": "Service"}, "Qty": 2}]
    body = {"Name": "XML bundle", "Type": "Group", "ItemGroupDetail": {"ItemGroupLine": members}}
    made = call("POST", "item", json=body).json()["Item"]["Id"]
    ask("POST", "item", ET.tostring(root(ask("GET", f"item/{made}"))[0]))
    read = call("GET", f"item/{made}").json()["Item"]
    assert (read["SyncToken"], read["ItemGroupDetail"]["ItemGroupLine"]) == ("1", members)
