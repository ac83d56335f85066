"""Clients for JavaScript and TypeScript that others wrote create, query, batch and attach against the local company.

Where node or node-quickbooks cannot be had, the same exchange is made with the requests that node-quickbooks sends.
"""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from reconcile.sandbox.quickbooks.process import QuickBooksSandbox, running_quickbooks

Call = Callable[..., requests.Response]
SCRIPT = Path(__file__).with_name("node_quickbooks.js")
PACKAGE = "node-quickbooks@2.0.50"
OAUTH_SCRIPT = Path(__file__).with_name("intuit_oauth.js")
OAUTH_PACKAGE = "intuit-oauth@4.2.5"
PROMISE_SCRIPT = Path(__file__).with_name("node_promise.js")
PROMISE_PACKAGE = "quickbooks-node-promise@3.3.14"
EXPECTED = {
    "replayed": True,
    "total": 12.5,
    "token": "1",
    "quoted": "x",
    "batch": ["Fault", "QueryResponse"],
    "voided": 0,
    "deleted": "Deleted",
    "missing": "610",
    "captured": 2,
    "tax": "TaxCode",
    "report": "CustomerBalance",
    "attached": "Customer",
}


@pytest.fixture
def sandbox() -> Iterator[QuickBooksSandbox]:
    with running_quickbooks(realm="9341400000000001") as running:
        yield running


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """A folder with node-quickbooks in it, or nothing where it cannot be had."""
    return with_package(tmp_path_factory.mktemp("node"), PACKAGE, SCRIPT)


def with_package(folder: Path, package: str, script: Path) -> Path | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", "--fetch-retries=0"]
    command = [npm, "install", *options, "--prefix", str(folder), package]
    try:
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode != 0:
        return None
    shutil.copy(script, folder / script.name)
    return folder


def through_node(folder: Path, sandbox: QuickBooksSandbox, script: Path = SCRIPT) -> Any:
    done = subprocess.run(
        [str(shutil.which("node")), script.name],
        cwd=folder,
        input=json.dumps(asdict(sandbox)).encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def as_node_sends_it(call: Call) -> Any:
    """The requests of node-quickbooks 2.0.50, one by one."""
    common = "minorversion=75&format=json"
    headers = {"User-Agent": "node-quickbooks: version 2.0.50", "Request-Id": "7d3f0c1e-5b1a-4a0e-8a54-0d9b7f5f6a10"}

    def post(path: str, body: Any, query: str = "") -> Any:
        return call("POST", f"{path}?{common}{query}", json=body, headers=headers).json()

    def find(statement: str) -> Any:
        return call("GET", f"query?{common}", params={"query": statement}, headers=headers).json()["QueryResponse"]

    customer = post("customer", {"DisplayName": "Node O'Brien"})["Customer"]
    line = {"Amount": 12.5, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {"ItemRef": {"value": "6"}}}
    form = {"CustomerRef": {"value": customer["Id"]}, "Line": [line]}
    invoice, again = (post("invoice", form, "&requestid=node-1")["Invoice"] for _ in range(2))
    changed = {"Id": customer["Id"], "SyncToken": "0", "Notes": "x", "sparse": True}
    token = post("customer", changed, "&operation=update")["Customer"]["SyncToken"]
    pages = [find(f"select * from invoice startposition {start} maxresults 10") for start in range(1, 101, 10)]
    items = [
        {"bId": "1", "operation": "create", "Customer": {"DisplayName": "Node O'Brien"}},
        {"bId": "2", "Query": "select * from Term"},
    ]
    answers = post("batch", {"BatchItemRequest": items})["BatchItemResponse"]
    voided = post("invoice", {"Id": invoice["Id"], "SyncToken": "0"}, "&operation=void")["Invoice"]
    since = (datetime.now(UTC) - timedelta(days=1)).isoformat(timespec="seconds").replace("+00:00", "Z")
    captured = call("GET", f"cdc?{common}", params={"entities": "Invoice,Customer", "changedSince": since}).json()
    rate = {"TaxRateName": "node", "RateValue": "5", "TaxAgencyId": "1", "TaxApplicableOn": "Sales"}
    files = [("file_content_01", ("note.txt", b"hello", "text/plain"))]
    file = call("POST", f"upload?{common}", files=files).json()["AttachableResponse"][0]["Attachable"]
    ref = [{"EntityRef": {"type": "Customer", "value": customer["Id"]}}]
    about = {"Id": file["Id"], "SyncToken": "0", "AttachableRef": ref, "FileName": "note.txt", "sparse": True}
    attached = post("attachable", about, "&operation=update")["Attachable"]["AttachableRef"][0]
    return {
        "replayed": invoice["Id"] == again["Id"],
        "total": invoice["TotalAmt"],
        "token": token,
        "quoted": find("select * from customer where DisplayName = 'Node O\\'Brien'")["Customer"][0]["Notes"],
        "fetched": sum(page.get("maxResults", 0) for page in pages),
        "counted": find("select count(*) from invoice")["totalCount"],
        "batch": [next(key for key in answer if key != "bId") for answer in answers],
        "voided": voided["TotalAmt"],
        "deleted": post("invoice", voided, "&operation=delete")["Invoice"]["status"],
        "missing": call("GET", f"invoice/{invoice['Id']}?{common}").json()["Fault"]["Error"][0]["code"],
        "captured": len(captured["CDCResponse"][0]["QueryResponse"]),
        "tax": next(iter(post("taxservice/taxcode", {"TaxCode": "Node", "TaxRateDetails": [rate]}))),
        "report": call("GET", f"reports/CustomerBalance?{common}").json()["Header"]["ReportName"],
        "attached": attached["EntityRef"]["type"],
    }


def test_node_quickbooks_finds_everything_as_at_intuit_s(
    installed: Path | None, sandbox: QuickBooksSandbox, call: Call
) -> None:
    seen = as_node_sends_it(call) if installed is None else through_node(installed, sandbox)
    assert seen.pop("fetched") == seen.pop("counted") == 32
    assert seen == EXPECTED


def test_the_requests_that_it_sends_are_answered_alike_when_sent_by_hand(call: Call) -> None:
    seen = as_node_sends_it(call)
    assert seen.pop("fetched") == seen.pop("counted") == 32
    assert seen == EXPECTED


def test_intuit_s_own_client_for_javascript_connects_and_disconnects(
    tmp_path: Path, sandbox: QuickBooksSandbox
) -> None:
    folder = with_package(tmp_path, OAUTH_PACKAGE, OAUTH_SCRIPT)
    if folder is None:
        pytest.skip("node or intuit-oauth cannot be had here; its Python sibling makes the same exchange")
    assert through_node(folder, sandbox, OAUTH_SCRIPT) == {
        "realm": sandbox.realm_id,
        "valid": True,
        "token": [
            "access_token",
            "expires_in",
            "id_token",
            "refresh_token",
            "token_type",
            "x_refresh_token_expires_in",
        ],
        "company": "1",
        "missing": ["Object Not Found", "610"],
        "person": ["sub"],
        "refreshed": True,
        "wrong": ["invalid_grant", "Incorrect or invalid refresh token"],
        "revoked": "invalid_grant",
    }


def test_a_client_in_typescript_goes_through_its_day(tmp_path: Path, sandbox: QuickBooksSandbox) -> None:
    folder = with_package(tmp_path, PROMISE_PACKAGE, PROMISE_SCRIPT)
    if folder is None:
        pytest.skip("node or quickbooks-node-promise cannot be had here; node-quickbooks makes much the same calls")
    seen = through_node(folder, sandbox, PROMISE_SCRIPT)
    assert seen == {
        "traced": True,
        "sparse": "x",
        "quoted": True,
        "like": "1",
        "among": 2,
        "last": "Weiskopf Consulting",
        "all": 32,
        "counted": 32,
        "none": {},
        "pdf": "%PDF-",
        "mailed": "EmailSent",
        "owed": 60,
        "deleted": "Deleted",
        "voided": 0,
        "missing": "610",
        "reports": ["CustomerBalance", "AgedReceivables", "AgedReceivableDetail", "TransactionList"],
        "captured": 2,
        "batch": ["Fault", "QueryResponse"],
        "attached": "Customer",
        "refreshed": True,
        "revoked": 200,
        "after": "401",
    }
