"""Webhook bodies, their signature, and their way to a receiver on this machine."""

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
from quickbooks import QuickBooks

from reconcile.sandbox.quickbooks.deliveries import WebhookError, check_loopback
from reconcile.sandbox.quickbooks.process import QuickBooksSandbox, SandboxNotStartedError, running_quickbooks
from reconcile.sandbox.quickbooks.webhooks import Event, cloud_events_body, headers, legacy_body, signature

EVENT = Event("1185883450", "Customer", "1", "Create", 1444081482.0)
Call = Callable[..., requests.Response]


class Receiver:
    """Keeps what it is sent, and answers as it is told to."""

    def __init__(self) -> None:
        self.messages: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                sent = {name.lower(): value for name, value in self.headers.items()}
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()
                receiver.messages.put((sent, body))

            def log_message(self, *said: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self) -> tuple[dict[str, str], bytes]:
        return self.messages.get(timeout=10)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    held = Receiver()
    yield held
    held.server.shutdown()
    held.server.server_close()


@pytest.fixture(scope="module")
def sandbox(receiver: Receiver) -> Iterator[QuickBooksSandbox]:
    switches = ["webhook_interval_milliseconds=100", "webhook_retry_milliseconds_per_minute=1"]
    with running_quickbooks(realm="1", webhook=receiver.url, admin=True, switch=switches) as running:
        yield running


@pytest.fixture
def admin(sandbox: QuickBooksSandbox) -> Callable[..., Any]:
    def ask(method: str, path: str, body: Any = None) -> Any:
        return requests.request(method, f"{sandbox.base_url}/admin{path}", json=body, timeout=10).json()

    return ask


def wait_for(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


def events(receiver: Receiver) -> list[tuple[str, str]]:
    return [(event["type"], event["intuitentityid"]) for event in json.loads(receiver.next()[1])]


def test_the_published_vector_holds() -> None:
    body = (
        b'[{"specversion":"1.0","id":"evt-0001","source":"intuit.qbo","type":"qbo.invoice.create.v1",'
        b'"datacontenttype":"application/json","time":"2026-09-22T14:00:00Z","intuitentityid":"145",'
        b'"intuitaccountid":"9130001234567890","data":{}}]'
    )
    assert signature("test-verifier-token-0123", body) == "H6OEbK7uGPkliXuslEPXaXI47okV6VAlkZUeIrQ6+TE="


def test_both_bodies_and_a_client_that_checks_the_signature() -> None:
    legacy = json.loads(legacy_body([EVENT]))
    assert legacy["eventNotifications"][0]["dataChangeEvent"]["entities"] == [
        {"name": "Customer", "id": "1", "operation": "Create", "lastUpdated": "2015-10-05T14:44:42-0700"}
    ]
    body = cloud_events_body([EVENT])
    assert json.loads(body)[0]["type"] == "qbo.customer.created.v1"
    assert json.loads(cloud_events_body([EVENT], past=False))[0]["type"] == "qbo.customer.create.v1"
    sent = headers("token", body, EVENT.moment)
    library = object.__new__(QuickBooks)
    assert library.validate_webhook_signature(body.decode(), sent["intuit-signature"], "token")
    assert not library.validate_webhook_signature(body.decode() + " ", sent["intuit-signature"], "token")


def test_writes_of_a_short_while_travel_together_and_are_signed(
    sandbox: QuickBooksSandbox, receiver: Receiver, call: Call
) -> None:
    raw = {"CustomerRef": {"value": "1"}, "TotalAmt": 1}
    payment = call("POST", "payment", json=raw).json()["Payment"]
    changed = {"Id": "3", "SyncToken": "0", "sparse": True, "Notes": "x"}
    assert call("POST", "customer", json=changed).status_code == 200
    assert call("POST", "customer", json={"DisplayName": ""}).status_code == 400
    sent, body = receiver.next()
    told = [(event["type"], event["intuitentityid"]) for event in json.loads(body)]
    assert told == [("qbo.payment.created.v1", payment["Id"]), ("qbo.customer.updated.v1", "3")]
    assert sent["intuit-signature"] == signature(sandbox.webhook_verifier, body)
    assert sent["content-type"] == "application/json; charset=utf-8"
    assert sent["intuit-notification-schema-version"] == "0.1"
    call("POST", "payment?operation=update&include=void", json={"Id": payment["Id"], "SyncToken": "0", "sparse": True})
    assert events(receiver) == [("qbo.payment.voided.v1", payment["Id"])]
    call("POST", "payment?operation=delete", json={"Id": payment["Id"], "SyncToken": "1"})
    assert events(receiver) == [("qbo.payment.deleted.v1", payment["Id"])]
    call("POST", "invoice/130/send?sendTo=a@example.com")
    assert events(receiver) == [("qbo.invoice.emailed.v1", "130")]


def test_a_merge_names_the_one_that_is_gone(receiver: Receiver, admin: Any) -> None:
    admin("POST", "/merge", {"realm": "1", "entity": "Customer", "id": "6", "into": "5"})
    told = {event["type"]: event for event in json.loads(receiver.next()[1])}
    merged = told["qbo.customer.merged.v1"]
    assert (merged["intuitentityid"], merged["data"]) == ("5", {"deletedId": "6"})
    assert "error" in admin("POST", "/merge", {"realm": "1", "entity": "Customer", "id": "6", "into": "5"})


def test_a_receiver_that_fails_is_told_again_and_then_no_more(receiver: Receiver, admin: Any, call: Call) -> None:
    receiver.answers += [503, 503]
    call("POST", "customer", json={"DisplayName": "Twice"})
    bodies = [receiver.next()[1] for _ in range(3)]
    assert len(set(bodies)) == 1
    other = Receiver()
    other.answers += [500] * 4
    admin("POST", "/webhooks", {"url": other.url, "verifier": "k", "format": "legacy", "copies": 2})
    call("POST", "customer", json={"DisplayName": "Never"})
    for _ in range(4):
        other.next()
    wait_for(lambda: admin("GET", "/webhooks")["targets"][1]["blocked"])
    receiver.next()
    call("POST", "customer", json={"DisplayName": "After"})
    receiver.next()
    state = admin("GET", "/webhooks")
    assert [target["blocked"] for target in state["targets"]] == [False, True]
    assert other.messages.empty()
    assert {entry["attempt"] for entry in state["sent"]} == {1, 2, 3, 4}
    other.server.shutdown()
    other.server.server_close()


def test_a_receiver_may_be_told_twice_and_backwards(admin: Any, call: Call) -> None:
    other = Receiver()
    target = {"url": other.url, "verifier": "k", "format": "legacy", "copies": 2, "reversed_order": True}
    admin("POST", "/webhooks", target)
    items = [{"bId": name, "operation": "create", "Customer": {"DisplayName": name}} for name in ("one", "two")]
    made = call("POST", "batch", json={"BatchItemRequest": items}).json()["BatchItemResponse"]
    first, second = (json.loads(other.next()[1])["eventNotifications"][0] for _ in range(2))
    assert first == second
    assert first["realmId"] == "1"
    told = [entity["id"] for entity in first["dataChangeEvent"]["entities"]]
    assert told == [made[1]["Customer"]["Id"], made[0]["Customer"]["Id"]]
    other.server.shutdown()
    other.server.server_close()


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "http://10.0.0.1/",
        "ftp://127.0.0.1/",
        "http://127.0.0.1@example.com/",
        "127.0.0.1",
        "",
    ],
)
def test_nothing_is_ever_sent_to_another_machine(url: str) -> None:
    with pytest.raises(WebhookError, match="this machine"):
        check_loopback(url)


def test_a_command_with_such_an_address_does_not_start() -> None:
    with pytest.raises(SandboxNotStartedError, match="this machine"), running_quickbooks(webhook="http://example.com/"):
        pass
    for good in ("http://127.0.0.1:1/", "http://localhost/x", "https://[::1]:5/"):
        check_loopback(good)
