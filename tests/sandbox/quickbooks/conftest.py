"""A company without HTTP for the rules, and one real process for the clients."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from intuitlib.client import AuthClient
from quickbooks import QuickBooks

from reconcile.sandbox.quickbooks.company import Company, Options
from reconcile.sandbox.quickbooks.numbers import parse, render
from reconcile.sandbox.quickbooks.process import QuickBooksSandbox, running_quickbooks
from reconcile.sandbox.quickbooks.server import Server

REALM = "9341400000000001"


class Desk:
    """A company, asked the way a client asks: dicts in, dicts out."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.company: Company = server.companies[REALM]

    def post(self, resource: str, body: Any, operation: str = "", include: str = "", request_id: str = "") -> Any:
        options = Options(operation, frozenset(include.split()), request_id)
        answer = parse(self.company.write(resource, render(body), options))
        return next(value for name, value in answer.items() if name != "time")

    def get(self, resource: str, record_id: str) -> Any:
        answer = parse(self.company.read(resource, record_id))
        return next(value for name, value in answer.items() if name != "time")

    def query(self, statement: str) -> Any:
        response = parse(self.company.query(statement))["QueryResponse"]
        return next((value for value in response.values() if isinstance(value, list)), [])

    def switch(self, name: str, value: object) -> None:
        self.server.set_switch(name, value)

    def invoice(self, customer: str, *amounts: object, **more: object) -> Any:
        lines = [sold("6", amount) for amount in amounts]
        return self.post("invoice", {"CustomerRef": {"value": customer}, "Line": lines, **more})

    def payment(self, customer: str, total: object, *applied: tuple[object, str], **more: object) -> Any:
        lines = [
            {"Amount": amount, "LinkedTxn": [{"TxnId": target, "TxnType": "Invoice"}]} for amount, target in applied
        ]
        return self.post("payment", {"CustomerRef": {"value": customer}, "TotalAmt": total, "Line": lines, **more})


def sold(item: str, amount: object, code: str = "NON", **detail: object) -> Any:
    return {
        "Amount": amount,
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": {"ItemRef": {"value": item}, "TaxCodeRef": {"value": code}, **detail},
    }


@pytest.fixture(name="sell")
def _sell() -> Callable[..., Any]:
    return sold


@pytest.fixture
def desk() -> Desk:
    server = Server(client_id="app", client_secret="secret")
    server.add_company(REALM, "craigs")
    return Desk(server)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[QuickBooksSandbox]:
    with running_quickbooks(realm=REALM) as running:
        yield running


@pytest.fixture
def auth(sandbox: QuickBooksSandbox) -> AuthClient:
    return AuthClient(
        sandbox.client_id,
        sandbox.client_secret,
        "http://localhost:8000/callback",
        sandbox.discovery_url,
        access_token=sandbox.access_token,
        refresh_token=sandbox.refresh_token,
    )


@pytest.fixture
def client(sandbox: QuickBooksSandbox, auth: AuthClient, monkeypatch: pytest.MonkeyPatch) -> QuickBooks:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")

    class LocalQuickBooks(QuickBooks):
        api_url_v3 = sandbox.base_url + "/v3"
        sandbox_api_url_v3 = sandbox.base_url + "/v3"

    return LocalQuickBooks(
        auth_client=auth, refresh_token=auth.refresh_token, company_id=sandbox.realm_id, minorversion=75
    )


@pytest.fixture
def call(sandbox: QuickBooksSandbox) -> Callable[..., requests.Response]:
    """One raw request to the company; path below /v3/company/{realm}/."""

    def send(method: str, path: str, token: str | None = None, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {token or sandbox.access_token}", "Accept": "application/json"}
        headers |= more.pop("headers", {})
        url = f"{sandbox.base_url}/v3/company/{more.pop('realm', sandbox.realm_id)}/{path}"
        return requests.request(method, url, headers=headers, timeout=10, **more)

    return send
