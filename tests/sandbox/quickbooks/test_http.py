"""What is on the wire: envelopes, headers, fault shapes, batches, captures and replays, as raw requests see them."""

import asyncio
import gzip
import re
from collections.abc import Callable
from typing import Any

import pytest
import requests

from reconcile.sandbox.quickbooks import lists
from reconcile.sandbox.quickbooks.app import application
from reconcile.sandbox.quickbooks.numbers import parse, render
from reconcile.sandbox.quickbooks.process import QuickBooksSandbox

Call = Callable[..., requests.Response]
JSON = "application/json;charset=UTF-8"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?-0[78]:00")


def fault(response: requests.Response) -> Any:
    return response.json()["Fault"]["Error"][0]


def line(amount: object) -> Any:
    detail = {"ItemRef": {"value": "6"}}
    return {"Amount": amount, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": detail}


def test_an_object_comes_under_its_name_with_a_pacific_time(call: Call) -> None:
    response = call("GET", "customer/1")
    body = response.json()
    assert list(body) == ["Customer", "time"]
    assert TIME.fullmatch(body["time"])
    assert TIME.fullmatch(body["Customer"]["MetaData"]["CreateTime"])
    assert (response.headers["Content-Type"], response.headers["Server"]) == (JSON, "nginx")


@pytest.mark.parametrize("path", ["customer/1", "customer/99999", "query?query=nonsense", "unicorn/1"])
def test_intuit_s_headers_are_on_every_answer(call: Call, path: str) -> None:
    headers = call("GET", path).headers
    for name in (
        "intuit_tid",
        "QBO-Version",
        "Service-Time",
        "Date",
        "Expires",
        "Cache-Control",
        "Content-Type",
        "Via",
    ):
        assert headers[name], name
    assert call("GET", path).headers["intuit_tid"] != headers["intuit_tid"]


def test_any_case_of_the_resource_and_any_minor_version_will_do(call: Call) -> None:
    assert call("GET", "CreditMemo/73?minorversion=4").json()["CreditMemo"]["TotalAmt"] == 100
    assert call("GET", "companyinfo/1").json()["CompanyInfo"]["Id"] == "1"
    assert call("GET", f"companyInfo/{'9341400000000001'}").status_code == 200
    assert call("GET", "preferences").json()["Preferences"]["CurrencyPrefs"]["HomeCurrency"]["value"] == "USD"


def test_amounts_are_numbers_with_their_own_digits(call: Call) -> None:
    raw = call("GET", "invoice/130").text
    assert '"TotalAmt":362.07,' in raw
    assert '"UnitPrice":9.5,' in raw


def test_queries_come_in_four_ways(call: Call) -> None:
    statement = "select * from Term where Name = 'Net 30'"
    answers = [
        call("GET", "query", params={"query": statement}),
        call("POST", "query", data=statement, headers={"Content-Type": "application/text"}),
        call("POST", "query", data=statement, headers={"Content-Type": "text/plain"}),
        call("POST", "query", data={"query": statement}),
    ]
    assert [answer.json()["QueryResponse"]["maxResults"] for answer in answers] == [1, 1, 1, 1]
    assert fault(call("POST", "query", json={"query": statement}))["code"] == "4000"


def test_a_plus_that_became_a_blank_is_understood(call: Call) -> None:
    path = "query?query=select * from Invoice where MetaData.LastUpdatedTime > '2099-01-01T00:00:00+00:00'"
    assert call("GET", path).json()["QueryResponse"] == {}


@pytest.mark.parametrize(
    ("path", "status", "code", "detail"),
    [
        ("customer/99999", 400, "610", "Object Not Found : Something you're trying to use has been made inactive."),
        ("customer/9999999999999", 400, "2030", "Id should be a valid number. Supplied value:9999999999999"),
        ("customer/abc", 400, "2030", "Id should be a valid number. Supplied value:abc"),
        ("unicorn/1", 400, "500", "Operation operation could not find resource for entity unicorn is not supported."),
        (
            "customer/",
            400,
            "500",
            "Operation No resource method found for GET, return 405 with Allow header is not supp",
        ),
        ("customer/1/5", 400, "500", "Operation Could not find resource for relative : /v3/company/"),
    ],
)
def test_what_is_not_there(call: Call, path: str, status: int, code: str, detail: str) -> None:
    response = call("GET", path)
    assert (response.status_code, fault(response)["code"]) == (status, code)
    assert fault(response)["Detail"].startswith(detail)
    assert TIME.fullmatch(response.json()["time"])


def test_an_id_that_is_none_is_named_as_the_element(call: Call) -> None:
    assert fault(call("GET", "customer/1.5"))["element"] == "Id"


def test_a_bearer_that_is_refused_is_challenged(call: Call) -> None:
    refused = call("GET", "customer/1", token="worn out")
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (
        401, 'Bearer realm="Intuit", error="invalid_token"',
    )  # fmt: skip
    assert "WWW-Authenticate" not in call("GET", "customer/1", realm="1").headers


def test_a_long_list_of_known_properties_is_cut_off(call: Call) -> None:
    """After a thousand characters, between two names, as recordings have it."""
    detail = fault(call("POST", "invoice", json={"BadJson": True}))["Detail"]
    assert detail.startswith(
        'Property Name:Unrecognized field "BadJson" (class com.intuit.schema.finance.v3.Invoice), not'
    )
    listed = detail[detail.index(" (", 80) : detail.index(" [truncated]])\n specified is unsupported or invalid")]
    assert listed.endswith('"')
    assert 1_000 < len(listed) < 1_040


def test_a_body_that_is_no_object_is_2010(call: Call) -> None:
    for body in (b"", b"nonsense", b"[]", b'{"DisplayName": NaN}'):
        assert fault(call("POST", "customer", data=body))["code"] == "2010"
    assert fault(call("POST", "customer", data=b'{"DisplayName": "\xff"}'))["Message"] == "Unsupported Operation"


def test_deleting_what_cannot_be_deleted_is_unsupported(call: Call) -> None:
    assert fault(call("POST", "customer?operation=delete", json={"Id": "1", "SyncToken": "0"}))["code"] == "500"
    assert fault(call("DELETE", "customer/1"))["code"] == "500"


def test_a_token_that_is_garbage_missing_or_for_another_company(call: Call) -> None:
    garbage = call("GET", "customer/1", token="x" * 20)
    error = garbage.json()["fault"]["error"][0]
    assert (garbage.status_code, error["code"], garbage.json()["fault"]["type"]) == (401, "3200", "AUTHENTICATION")
    assert error["message"] == "message=AuthenticationFailed; errorCode=003200; statusCode=401"
    assert error["detail"] == "Malformed bearer token: too short or too long"
    expired = call("GET", "customer/1", token="y" * 200)
    assert expired.json()["fault"]["error"][0]["detail"].startswith("Token expired: ")
    assert call("GET", "customer/1", headers={"Authorization": ""}).status_code == 401
    foreign = call("GET", "customer/1", realm="123")
    error = foreign.json()["fault"]["error"][0]
    assert (foreign.status_code, error["code"], foreign.json()["fault"]["type"]) == (403, "3100", "SERVICE")
    assert isinstance(foreign.json()["time"], int)


def test_gzip_only_when_asked(call: Call) -> None:
    plain = call("GET", "query?query=select * from Invoice", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    asked = call("GET", "query?query=select * from Invoice", headers={"Accept-Encoding": "gzip"}, stream=True)
    assert asked.headers["Content-Encoding"] == "gzip"
    assert b'"QueryResponse"' in gzip.decompress(asked.raw.read(decode_content=False))


def test_a_batch_answers_each_item_by_its_name(call: Call) -> None:
    items = [
        {"bId": "b1", "operation": "create", "Invoice": {"CustomerRef": {"value": "1"}, "Line": []}},
        {"bId": "b2", "operation": "create", "Invoice": {"CustomerRef": {"value": "1"}, "Line": [line(10)]}},
        {"bId": "b3", "Query": "select * from Term"},
        {"bId": "b4", "operation": "update", "Customer": {"Id": "4", "SyncToken": "0", "sparse": True, "Notes": "x"}},
        {"bId": "b5", "operation": "create", "Unicorn": {}},
        {"operation": "create", "Customer": {"DisplayName": "Nameless item"}},
    ]
    response = call("POST", "batch", json={"BatchItemRequest": items})
    assert response.status_code == 200
    answers = {answer.get("bId"): answer for answer in response.json()["BatchItemResponse"]}
    assert answers["b1"]["Fault"]["Error"][0]["element"] == "Line"
    assert answers["b1"]["Fault"]["type"] == "ValidationFault"
    assert answers["b2"]["Invoice"]["TotalAmt"] == 10
    assert answers["b3"]["QueryResponse"]["maxResults"] == 5
    assert answers["b4"]["Customer"]["SyncToken"] == "1"
    assert answers["b5"]["Fault"]["Error"][0]["code"] == "2010"
    assert answers[None]["Customer"]["DisplayName"] == "Nameless item"
    void: Any = {"bId": "v", "operation": "update", "optionsData": "void"}
    void["Invoice"] = {"Id": answers["b2"]["Invoice"]["Id"], "SyncToken": "0", "sparse": True}
    voided = call("POST", "batch", json={"BatchItemRequest": [void]}).json()["BatchItemResponse"][0]
    assert voided["Invoice"]["TotalAmt"] == 0


def test_thirty_items_are_a_batch_and_thirty_one_are_too_many(call: Call) -> None:
    item = {"operation": "create", "Query": "select * from Term"}
    thirty = [{**item, "bId": str(number)} for number in range(30)]
    assert len(call("POST", "batch", json={"BatchItemRequest": thirty}).json()["BatchItemResponse"]) == 30
    response = call("POST", "batch", json={"BatchItemRequest": [*thirty, {**item, "bId": "31"}]})
    assert (response.status_code, fault(response)["code"]) == (400, "1040")


def test_a_batch_sent_again_with_its_request_id_does_nothing_twice(call: Call) -> None:
    item = {"bId": "1", "operation": "create", "Customer": {"DisplayName": "Once only"}}
    first = call("POST", "batch?requestid=r1", json={"BatchItemRequest": [item]}).json()["BatchItemResponse"]
    again = call("POST", "batch?requestid=r1", json={"BatchItemRequest": [item]}).json()["BatchItemResponse"]
    assert first == again
    long = call("POST", f"batch?requestid={'r' * 32}", json={"BatchItemRequest": [{**item, "bId": "b" * 36}]})
    error = long.json()["BatchItemResponse"][0]["Fault"]["Error"][0]
    assert error["code"] == "6000"
    assert error["Detail"].endswith("You tried entering rrrrrrrrrr..., which is 68 characters.")


def test_a_request_id_used_again_with_another_body_replays_the_first_answer(call: Call) -> None:
    first = call("POST", "customer?requestid=same", json={"DisplayName": "First body"}).json()
    assert call("POST", "customer?requestid=same", json={"DisplayName": "Other body"}).json() == first


def test_a_refused_request_may_try_again_under_its_id(call: Call) -> None:
    assert fault(call("POST", "customer?requestid=mended", json={"DisplayName": "PG&E"}))["code"] == "6240"
    assert call("POST", "customer?requestid=mended", json={"DisplayName": "Mended"}).status_code == 200


def test_changes_come_in_the_order_asked_with_empty_groups(call: Call) -> None:
    made = call("POST", "invoice", json={"CustomerRef": {"value": "1"}, "Line": [line(10)]}).json()["Invoice"]
    call("POST", "invoice?operation=delete", json={"Id": made["Id"], "SyncToken": "0"})
    since = made["MetaData"]["CreateTime"]
    body = call("GET", "cdc", params={"entities": "Estimate,Invoice", "changedSince": since}).json()
    groups = body["CDCResponse"][0]["QueryResponse"]
    assert groups[0] == {}
    stub = groups[1]["Invoice"][-1]
    assert (stub["Id"], stub["status"], set(stub)) == (made["Id"], "Deleted", {"Id", "status", "domain", "MetaData"})
    assert groups[1]["maxResults"] == groups[1]["totalCount"] == len(groups[1]["Invoice"])


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"entities": "Invoice", "changedSince": "2001-01-01"}, "2190"),
        ({"entities": "TaxCode", "changedSince": "2099-01-01"}, "2000"),
        ({"entities": "Unicorn", "changedSince": "2099-01-01"}, "2000"),
        ({"entities": "Invoice"}, "2020"),
        ({"changedSince": "2099-01-01"}, "2020"),
        ({"entities": "Invoice", "changedSince": "lately"}, "2060"),
    ],
)
def test_a_capture_refuses_what_it_cannot_give(call: Call, params: dict[str, str], code: str) -> None:
    response = call("GET", "cdc", params=params)
    assert (response.status_code, fault(response)["code"]) == (400, code)


def test_an_invoice_link_is_given_only_on_request(call: Call) -> None:
    body = {"CustomerRef": {"value": "1"}, "Line": [line(10)], "AllowOnlineACHPayment": True}
    made = call("POST", "invoice", json={**body, "BillEmail": {"Address": "a@b.example"}}).json()["Invoice"]
    assert "InvoiceLink" not in made
    assert "InvoiceLink" in call("GET", f"invoice/{made['Id']}?include=invoiceLink").json()["Invoice"]


def test_an_unknown_address_is_404(sandbox: QuickBooksSandbox) -> None:
    response = requests.get(f"{sandbox.base_url}/v9/nothing", timeout=10)
    assert (response.status_code, bool(response.headers["intuit_tid"])) == (404, True)


def broken_term(*_: Any, **__: Any) -> Any:
    raise RuntimeError("a term that cannot be made")


def test_what_breaks_inside_is_a_system_fault(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "_require_name", broken_term)
    path = f"/v3/company/{desk.company.state.realm}/term"
    status, body = asked(desk.server, "POST", path, b'{"Name": "Odd", "DueDays": 1}')
    assert (status, body["Fault"]["Error"][0]["code"], body["Fault"]["type"]) == (500, "10000", "SystemFault")


def asked(server: Any, method: str, path: str, body: bytes) -> tuple[int, Any]:
    """One request to a server in this process; what it answers."""
    token, _ = server.authority.connect(next(iter(server.companies)))
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
        "scheme": "http", "headers": [(b"authorization", f"Bearer {token}".encode())],
        "server": ("127.0.0.1", 1), "http_version": "1.1",
    }  # fmt: skip
    asyncio.run(application(server)(scope, receive, send))
    return sent[0]["status"], parse(b"".join(message["body"] for message in sent[1:]))


def test_a_fault_in_a_batch_names_its_type_first(call: Call) -> None:
    item = {"bId": "b1", "operation": "create", "Invoice": {"CustomerRef": {"value": "1"}, "Line": []}}
    answer = call("POST", "batch", json={"BatchItemRequest": [item]}).json()["BatchItemResponse"][0]
    assert (list(answer), list(answer["Fault"])) == (["bId", "Fault"], ["type", "Error"])
    assert list(call("POST", "invoice", json=item["Invoice"]).json()["Fault"]) == ["Error", "type"]


def test_a_query_in_a_batch_is_held_to_the_length_of_the_request_id_as_well(call: Call) -> None:
    item = {"bId": "b" * 36, "Query": "select * from Term"}
    answer = call("POST", f"batch?requestid={'r' * 32}", json={"BatchItemRequest": [item]})
    assert answer.json()["BatchItemResponse"][0]["Fault"]["Error"][0]["code"] == "6000"
    empty = call("POST", "batch", json={"BatchItemRequest": [{"bId": "b", "Query": ""}]})
    assert empty.json()["BatchItemResponse"][0]["Fault"]["Error"][0]["code"] == "4000"


def test_an_item_that_breaks_inside_leaves_the_others_alone(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "_require_name", broken_term)
    items = [
        {"bId": "1", "operation": "create", "Term": {"Name": "Odd", "DueDays": 1}},
        {"bId": "2", "operation": "create", "Customer": {"DisplayName": "Left alone"}},
    ]
    broken, fine = parse(desk.company.batch(render({"BatchItemRequest": items}), ""))["BatchItemResponse"]
    assert (broken["Fault"]["type"], broken["Fault"]["Error"][0]["code"]) == ("SystemFault", "10000")
    assert fine["Customer"]["DisplayName"] == "Left alone"


@pytest.mark.parametrize("entity", ["Preferences", "CompanyInfo", "Attachable", "CompanyCurrency", "JournalEntry"])
def test_everything_but_tax_is_captured(call: Call, entity: str) -> None:
    call("POST", "attachable", json={"Note": "captured"})
    response = call("GET", "cdc", params={"entities": entity, "changedSince": "2099-01-01T00:00:00-08:00"})
    assert response.json()["CDCResponse"] == [{"QueryResponse": [{}]}]


@pytest.mark.parametrize("name", ["CustomerTypeRef", "ParentRef", "SalesTermRef"])
def test_a_reference_is_an_object_whatever_it_points_to(call: Call, name: str) -> None:
    error = fault(call("POST", "customer", json={"DisplayName": f"Bare {name}", name: "1"}))
    assert error["Detail"] == "Property Name:Can not instanti specified is unsupported or invalid"
    error = fault(call("POST", "customer", json={"DisplayName": f"Odd {name}", name: {"id": "1"}}))
    assert "class com.intuit.schema.finance.v3.ReferenceType), not marked as ignorable (3 known" in error["Detail"]


def test_a_tax_service_that_is_misspelt_is_2010(call: Call) -> None:
    detail = {"TaxRateName": "Odd", "RateValue": "8", "TaxAgencyId": "1", "TaxApplicableOn": "Sales"}
    for wrong in ({**detail, "Rate": 8}, "Odd", 8, {**detail, "TaxApplicableOn": []}, {**detail, "TaxRateName": {}}):
        error = fault(call("POST", "taxservice/taxcode", json={"TaxCode": "Odd", "TaxRateDetails": [wrong]}))
        assert error["code"] == "2010"
    assert fault(call("POST", "taxservice/taxcode", json={"TaxCode": "O", "TaxRateDetails": 8}))["code"] == "2010"


def test_a_tax_code_for_purchases_keeps_its_rates_apart(call: Call) -> None:
    details = [
        {"TaxRateName": "Sold", "RateValue": "8%", "TaxAgencyId": "1", "TaxApplicableOn": "Sales"},
        {"TaxRateName": "Bought", "RateValue": 5, "TaxAgencyId": "1", "TaxApplicableOn": "Purchase"},
    ]
    answer = call("POST", "taxservice/taxcode", json={"TaxCode": "Both", "TaxRateDetails": details})
    assert answer.text.startswith('{"TaxCode":"Both","TaxCodeId":"')
    code = call("GET", f"taxcode/{answer.json()['TaxCodeId']}").json()["TaxCode"]
    for name, rate in (("SalesTaxRateList", "Sold"), ("PurchaseTaxRateList", "Bought")):
        assert [one["TaxRateRef"]["name"] for one in code[name]["TaxRateDetail"]] == [rate]


def test_what_a_server_counts_up_itself_is_not_taken_from_a_credit_memo(call: Call) -> None:
    body = {"CustomerRef": {"value": "1"}, "Line": [line(10)]}
    memo = call("POST", "creditmemo", json={**body, "PaymentMethodRef": {"value": "1"}, "DueDate": "2099-01-01"})
    assert {"PaymentMethodRef", "DueDate"}.isdisjoint(memo.json()["CreditMemo"])
    long = {**body, "PaymentRefNum": "9" * 22}
    assert fault(call("POST", "salesreceipt", json=long))["code"] == "2050"
    refund = {**long, "DepositToAccountRef": {"value": "35"}}
    assert call("POST", "refundreceipt", json=refund).json()["RefundReceipt"]["PaymentRefNum"] == "To Print"


def test_a_bundle_costs_what_is_in_it_and_its_lines_are_numbered(call: Call) -> None:
    members = [{"ItemRef": {"value": "6"}, "Qty": 2}, {"ItemRef": {"value": "10"}, "Qty": 1}]
    bundle = {"Name": "Bundle", "Type": "Group", "ItemGroupDetail": {"ItemGroupLine": members}}
    made = call("POST", "item", json=bundle).json()["Item"]
    detail = {"GroupItemRef": {"value": made["Id"]}, "Quantity": 1}
    lines = [{"DetailType": "GroupLineDetail", "GroupLineDetail": detail}, line(5)]
    invoice = call("POST", "invoice", json={"CustomerRef": {"value": "1"}, "Line": lines}).json()["Invoice"]
    first, second, subtotal = invoice["Line"]
    assert (first["Amount"], first["Id"], second["Id"], "Id" in subtotal) == (0, "1", "4", False)
    inside = first["GroupLineDetail"]["Line"]
    assert [one["Id"] for one in inside] == ["2", "3"]
    assert invoice["TotalAmt"] == sum(one["Amount"] for one in inside) + 5
    assert call("POST", "invoice", json=invoice).json()["Invoice"]["Line"] == invoice["Line"]


def test_a_payment_that_was_sent_can_be_saved_again(call: Call) -> None:
    made = call("POST", "payment", json={"TotalAmt": 5, "CustomerRef": {"value": "1"}}).json()["Payment"]
    sent = call("POST", f"payment/{made['Id']}/send?sendTo=a@b.example").json()["Payment"]
    assert call("POST", "payment", json=sent).json()["Payment"]["TotalAmt"] == 5


def test_a_company_that_numbers_by_itself_gives_the_next_number(call: Call) -> None:
    first = call("POST", "invoice", json={"CustomerRef": {"value": "1"}, "Line": [line(10)]}).json()["Invoice"]
    second = call("POST", "invoice", json={"CustomerRef": {"value": "1"}, "Line": [line(10)]}).json()["Invoice"]
    assert int(second["DocNumber"]) == int(first["DocNumber"]) + 1


@pytest.mark.parametrize("entity", ["Customer", "Vendor", "Employee", "Item", "Account", "Invoice", "Payment", "Term"])
def test_what_was_read_can_be_written_back_as_it_is(call: Call, entity: str) -> None:
    statement = f"select * from {entity} maxresults 5"
    rows = call("GET", "query", params={"query": statement}).json()["QueryResponse"][entity]
    open_to_changes = [row for row in rows if "Deposit" not in {link["TxnType"] for link in row.get("LinkedTxn", ())}]
    assert len(open_to_changes) > 1
    for row in open_to_changes:
        saved = call("POST", entity.lower(), json=row).json()[entity]
        assert saved["SyncToken"] == str(int(row["SyncToken"]) + 1)
        changed = {name for name in saved.keys() | row.keys() if saved.get(name) != row.get(name)}
        assert changed <= {"SyncToken", "MetaData", "BillAddr", "ShipAddr", "Line", "DepositToAccountRef", "LinkedTxn"}


def test_the_trace_id_has_the_shape_of_who_answers(call: Call, sandbox: QuickBooksSandbox) -> None:
    service = call("GET", "customer/1").headers["intuit_tid"]
    gateway = call("GET", "customer/1", token="short").headers["intuit_tid"]
    oauth = requests.get(sandbox.discovery_url, timeout=10).headers["intuit_tid"]
    assert re.fullmatch(r"1-[0-9a-f]{8}-[0-9a-f]{24}", service)
    assert re.fullmatch(r"gw-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", gateway)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", oauth)


def test_a_group_of_several_changes_is_counted_and_a_single_one_is_not(call: Call) -> None:
    body = {"CustomerRef": {"value": "1"}, "Line": [line(10)]}
    since = call("POST", "estimate", json=body).json()["Estimate"]["MetaData"]["CreateTime"]
    params = {"entities": "Estimate", "changedSince": since}

    def group() -> Any:
        return call("GET", "cdc", params=params).json()["CDCResponse"][0]["QueryResponse"][0]

    assert (group()["maxResults"], "totalCount" in group()) == (1, False)
    call("POST", "estimate", json=body)
    assert (group()["startPosition"], group()["maxResults"], group()["totalCount"]) == (1, 2, 2)


def test_a_batch_asks_for_changes_as_intuit_s_kits_do(call: Call) -> None:
    made = call("POST", "customer", json={"DisplayName": "Changed for a batch"}).json()["Customer"]
    since = made["MetaData"]["CreateTime"].replace(made["MetaData"]["CreateTime"][-6:], ".000-0800")
    items: list[Any] = [
        {"bId": "1", "CDCQuery": {"Entities": "Department,Customer", "ChangedSince": since}},
        {"bId": "2", "CDCQuery": {"Entities": "TaxRate", "ChangedSince": since}},
        {"bId": "3", "CDCQuery": {"ChangedSince": since}},
        {"bId": "4", "CDCQuery": {"Entities": "Customer", "ChangedSince": "2011-10-10T09:00:00-07:00"}},
        {"bId": "5", "CDCQuery": {"Entities": "Customer", "changedSince": since}},
        {"bId": "6", "CDCQuery": "Customer"},
    ]
    answers = call("POST", "batch", json={"BatchItemRequest": items}).json()["BatchItemResponse"]
    groups = answers[0]["CDCResponse"]["QueryResponse"]
    assert groups[0] == {}
    assert made["Id"] in [customer["Id"] for customer in groups[1]["Customer"]]
    assert [answer["Fault"]["Error"][0]["code"] for answer in answers[1:]] == ["2000", "2020", "2190", "2010", "2010"]


def test_a_capture_of_what_the_company_has_none_of_is_empty(call: Call) -> None:
    params = {"entities": "PurchaseOrder,Transfer", "changedSince": "2099-01-01"}
    assert call("GET", "cdc", params=params).json()["CDCResponse"] == [{"QueryResponse": [{}, {}]}]
    refused = call("GET", "cdc", params={**params, "entities": "TimeActivity"})
    assert fault(refused)["code"] == "2000"
