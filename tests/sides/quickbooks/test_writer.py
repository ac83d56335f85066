"""Writing to a QuickBooks that fails in every way: what is unknown, what is failed, and what was never sent."""

import json
import time
from typing import Any

import pytest

from reconcile.model.entities import Entity
from reconcile.model.plan import Action
from reconcile.sides.quickbooks import Bounds, QuickBooksWriter
from reconcile.sides.side import Outcome, Refusal, Status, Write
from tests.sides.quickbooks.conftest import Asked, Said, Server, World, said, world_of
from tests.sides.quickbooks.test_session import DUPLICATE, EXPIRED, THROTTLED, TROUBLE

PREFERENCES = {"Preferences": {"CurrencyPrefs": {"HomeCurrency": {"value": "USD"}}}}
CUSTOMER = {"Id": "58", "SyncToken": "0", "DisplayName": "Cool Cars", "Active": True}
INVOICE = {"Id": "9", "SyncToken": "0", "DocNumber": "1", "TotalAmt": 10, "Balance": 10, "Line": []}
FIELDS = {"display_name": "Cool Cars"}
LINE = {"product_id": "5", "description": None, "quantity": None, "unit_price": None, "amount": 1_000, "taxable": False}


def fault(code: str, detail: str = "", status: int = 400) -> Said:
    return said({"Fault": {"Error": [{"Message": "M", "Detail": detail, "code": code}]}}, status=status)


@pytest.fixture
def writer(world: World) -> QuickBooksWriter:
    return writer_of(world)


def writer_of(world: World, **settings: Any) -> QuickBooksWriter:
    """A writer that has already asked for the company's settings."""
    made = QuickBooksWriter(world.session, income_account="Services", **settings)
    world.server.script = [said(PREFERENCES)]
    made.home_currency()
    world.server.asked.clear()
    return made


def creation(number: int = 1) -> Write:
    return Write(f"request-{number}", Entity.CUSTOMER, Action.CREATE, None, None, FIELDS, FIELDS)


def invoice(request_id: str) -> Write:
    fields = {"number": "1", "customer_id": "1", "invoice_date": "2024-05-01", "lines": [LINE]}
    return Write(request_id, Entity.INVOICE, Action.CREATE, None, None, fields, fields)


def one(writer: QuickBooksWriter, write: Write | None = None) -> Outcome:
    (outcome,) = writer.write([write or creation()])
    return outcome


def slow(handler: Any) -> None:
    time.sleep(0.6)


@pytest.mark.parametrize(
    "reply",
    [
        Said(raw=slow),
        Said(200, b'{"Customer": {"Id": '),
        Said(200, b"<html>Welcome</html>", "text/html"),
        Said(302, b""),
        said({"time": "2025-08-01T09:19:21.923-07:00"}),
        said({"Customer": {"Id": "58", "DisplayName": 7}}),
        fault("6000", "Business Validation Error: Unexpected Internal Error. (-30003)"),
        fault("600", "Duplicate Request ID"),
    ],
)
def test_an_answer_that_does_not_tell_leaves_the_write_unknown_and_is_not_repeated(server: Server, reply: Said) -> None:
    writer = writer_of(world_of(server, bounds=Bounds(connect=1, read=0.3, total=2)))
    server.script = [reply]

    outcome = one(writer)

    assert outcome.status is Status.UNKNOWN
    assert "may or may not have happened" in outcome.reason
    assert len(server.asked) == 1


def test_a_server_in_trouble_to_the_end_leaves_the_write_unknown(writer: QuickBooksWriter, server: Server) -> None:
    server.answer = lambda _: TROUBLE

    assert one(writer).status is Status.UNKNOWN
    assert {asked.query["requestid"] for asked in server.asked} == {"request-1"}


def test_a_refusal_after_a_lost_answer_proves_nothing(writer: QuickBooksWriter, server: Server) -> None:
    server.script = [TROUBLE, DUPLICATE]

    assert one(writer).status is Status.UNKNOWN


def test_a_refusal_is_failed_with_code_words_and_trace(writer: QuickBooksWriter, server: Server) -> None:
    server.script = [DUPLICATE]

    outcome = one(writer)

    assert (outcome.status, outcome.code, outcome.trace) == (Status.FAILED, "6240", "1-5f0f-trace")
    assert "already has this name" in outcome.reason


@pytest.mark.parametrize(
    ("code", "refusal"),
    [
        ("2040", Refusal.FOR_GOOD),
        ("2050", Refusal.FOR_GOOD),
        ("6070", Refusal.FOR_GOOD),
        ("2500", Refusal.FOR_NOW),
        ("6140", Refusal.FOR_NOW),
        ("6200", Refusal.FOR_NOW),
        ("6240", Refusal.FOR_NOW),
        ("", Refusal.FOR_NOW),
    ],
)
def test_a_refusal_tells_whether_it_is_about_the_content_alone(
    writer: QuickBooksWriter, server: Server, code: str, refusal: Refusal
) -> None:
    server.script = [fault(code)]

    outcome = one(writer)

    assert (outcome.status, outcome.refusal) == (Status.FAILED, refusal)


def test_a_refusal_of_the_content_after_a_lost_answer_is_a_refusal_of_both(
    writer: QuickBooksWriter, server: Server
) -> None:
    server.script = [TROUBLE, fault("2050")]

    assert one(writer).status is Status.FAILED


def test_what_was_not_sent_or_put_off_is_no_refusal(writer: QuickBooksWriter, server: Server) -> None:
    server.answer = lambda _: THROTTLED

    outcomes = writer.write([creation(1), creation(2)])

    assert [(outcome.status, outcome.refusal) for outcome in outcomes] == [(Status.FAILED, Refusal.NOTHING)] * 2


def test_a_gateway_that_refuses_the_size_is_failed(writer: QuickBooksWriter, server: Server) -> None:
    server.script = [Said(413, b"<html>Request Entity Too Large</html>", "text/html")]

    assert (one(writer).status, len(server.asked)) == (Status.FAILED, 1)


def test_a_write_after_an_expired_token_is_done_once(writer: QuickBooksWriter, server: Server) -> None:
    server.script = [EXPIRED, said({"Customer": CUSTOMER})]

    outcome = one(writer)

    assert (outcome.status, outcome.id, outcome.version) == (Status.DONE, "58", "0")
    assert [asked.query["requestid"] for asked in server.asked] == ["request-1"] * 2


def test_once_the_connection_is_refused_nothing_more_is_sent(writer: QuickBooksWriter, server: Server) -> None:
    server.token_reply = lambda _: said({"error": "invalid_grant"}, status=400)
    server.script = [said({"Customer": CUSTOMER}), EXPIRED]

    outcomes = writer.write([creation(1), creation(2), creation(3)])

    assert [outcome.status for outcome in outcomes] == [Status.DONE, Status.FAILED, Status.FAILED]
    assert "needs reconnect" in outcomes[1].reason
    assert outcomes[2].reason.startswith("It was not sent")
    assert len(server.asked) == 2


def test_throttling_without_end_fails_what_was_not_carried_out(writer: QuickBooksWriter, server: Server) -> None:
    server.answer = lambda _: THROTTLED

    outcomes = writer.write([creation(1), creation(2)])

    assert [(outcome.status, outcome.code) for outcome in outcomes] == [(Status.FAILED, "3001"), (Status.FAILED, "")]
    assert {asked.query["requestid"] for asked in server.asked} == {"request-1"}


def test_a_time_out_of_one_write_does_not_stop_the_next(server: Server) -> None:
    writer = writer_of(world_of(server, bounds=Bounds(connect=1, read=0.3, total=2)))
    server.script = [Said(raw=slow), said({"Customer": CUSTOMER})]

    outcomes = writer.write([creation(1), creation(2)])

    assert [outcome.status for outcome in outcomes] == [Status.UNKNOWN, Status.DONE]


def test_the_lock_on_names_is_waited_out(world: World, server: Server) -> None:
    writer = writer_of(world)
    locked = fault("6000", "You can only add or edit one name at a time. Please try again.")
    server.script = [locked, locked, said({"Customer": CUSTOMER})]

    assert one(writer).status is Status.DONE
    assert [seconds for _, seconds in world.waits] == [1.0, 2.0]


def test_an_update_whose_record_cannot_be_read_first_was_not_sent(writer: QuickBooksWriter, server: Server) -> None:
    server.answer = lambda _: TROUBLE
    write = Write("r", Entity.CUSTOMER, Action.UPDATE, "58", "0", {"city": "Menlo Park"}, {})

    outcome = one(writer, write)

    assert outcome.status is Status.FAILED
    assert outcome.reason.startswith("It was not sent")
    assert {asked.method for asked in server.asked} == {"GET"}


def test_a_written_record_that_cannot_be_read_back_is_unknown(writer: QuickBooksWriter, server: Server) -> None:
    server.script = [said({"Invoice": INVOICE})]
    server.answer = lambda _: TROUBLE
    write = Write("r", Entity.INVOICE, Action.VOID, "9", "0", {}, {})

    assert one(writer, write).status is Status.UNKNOWN


def test_an_update_without_known_version_is_not_sent(writer: QuickBooksWriter, server: Server) -> None:
    outcome = one(writer, Write("r", Entity.PRODUCT, Action.UPDATE, "5", None, {"name": "Soil"}, {}))

    assert outcome.status is Status.FAILED
    assert not server.asked


def batch(server: Server, respond: Any) -> list[Outcome]:
    writer = writer_of(world_of(server), batches=True)

    def answer(asked: Asked) -> Said:
        items = [item["bId"] for item in json.loads(asked.body)["BatchItemRequest"]]
        return said({"BatchItemResponse": [entry for item in items for entry in respond(item)][::-1]})

    server.answer = answer
    return list(writer.write([invoice(f"common-part-{number:010}") for number in range(1, 4)]))


def test_a_batch_is_matched_by_item_and_what_it_leaves_out_is_unknown(server: Server) -> None:
    def respond(item: str) -> list[dict[str, Any]]:
        if item.endswith("1"):
            return [{"bId": item, "Invoice": {**INVOICE, "Id": "101"}}]
        refused = {"Error": [{"Message": "M", "Detail": "Line", "code": "2020"}], "type": "ValidationFault"}
        return [{"bId": item, "Fault": refused}] if item.endswith("2") else []

    outcomes = batch(server, respond)

    assert [(outcome.status, outcome.id, outcome.code) for outcome in outcomes] == [
        (Status.DONE, "101", ""),
        (Status.FAILED, None, "2020"),
        (Status.UNKNOWN, None, ""),
    ]
    (asked,) = server.asked
    assert asked.query["requestid"] == "common-part-"
    assert all(len(item["bId"]) == 10 for item in json.loads(asked.body)["BatchItemRequest"])


def test_a_batch_whose_answer_is_lost_leaves_every_item_unknown(server: Server) -> None:
    writer = writer_of(world_of(server), batches=True)
    server.script = [Said(200, b'{"BatchItemResponse": [')]

    outcomes = writer.write([invoice(f"common-part-{number:010}") for number in range(1, 4)])

    assert {outcome.status for outcome in outcomes} == {Status.UNKNOWN}


def test_a_batch_refused_as_a_whole_fails_every_item(server: Server) -> None:
    writer = writer_of(world_of(server), batches=True)
    server.script = [fault("1040", "Batch size exceeds allowed limit")]

    outcomes = writer.write([invoice(f"common-part-{number:010}") for number in range(1, 4)])

    assert {(outcome.status, outcome.code) for outcome in outcomes} == {(Status.FAILED, "1040")}


def test_a_foreign_invoice_names_its_currency(writer: QuickBooksWriter, server: Server) -> None:
    server.script = [said({"Invoice": {**INVOICE, "CurrencyRef": {"value": "EUR"}}})]
    write = invoice("r")

    one(writer, Write("r", write.entity, write.action, None, None, write.fields, {**write.fields, "currency": "EUR"}))

    assert json.loads(server.asked[0].body)["CurrencyRef"] == {"value": "EUR"}


def test_amounts_leave_as_exact_numbers(writer: QuickBooksWriter, server: Server) -> None:
    server.script = [said({"Invoice": INVOICE})]

    one(writer, invoice("r"))

    assert b'"Amount":10.00' in server.asked[0].body


def test_a_record_found_that_cannot_be_read_is_no_proof_of_absence(writer: QuickBooksWriter, server: Server) -> None:
    found = [{**INVOICE, "DocNumber": "1"}, {**INVOICE, "Id": "10", "TotalAmt": "ten"}, {**INVOICE, "Id": "11"}]
    del found[2]["TotalAmt"]
    server.script = [said({"QueryResponse": {"Invoice": found}})]

    assert writer.find(Entity.INVOICE, {"number": "1"}) == ["9", "11", "10"]


@pytest.mark.parametrize(
    ("entity", "fields"), [(Entity.CUSTOMER, {}), (Entity.INVOICE, {}), (Entity.PAYMENT, {"amount": 1})]
)
def test_nothing_is_looked_for_that_could_never_have_been_accepted(
    writer: QuickBooksWriter, server: Server, entity: Entity, fields: dict[str, Any]
) -> None:
    assert list(writer.find(entity, fields)) == []
    assert not server.asked


def locked(request_id: str) -> dict[str, Any]:
    words = "Another user is editing; only one name at a time may be changed."
    return {"bId": request_id[-10:], "Fault": {"Error": [{"code": "6000", "Detail": words}], "type": "ValidationFault"}}


def new_customer(number: int) -> Write:
    fields = {"display_name": f"Customer {number}"}
    return Write(f"{'d' * 30}{number:010}", Entity.CUSTOMER, Action.CREATE, None, None, fields, fields)


def test_only_the_items_that_a_lock_on_names_held_up_are_repeated_under_the_same_ids(world: World) -> None:
    writes = [new_customer(1), new_customer(2)]
    batches: list[list[str]] = []

    def answer(asked: Asked) -> Said:
        if not asked.path.endswith("/batch"):
            return said(PREFERENCES)
        items = json.loads(asked.body)["BatchItemRequest"]
        batches.append([asked.query["requestid"], *(item["bId"] for item in items)])
        done = [
            locked(item["bId"])
            if item["bId"] == writes[1].request_id[-10:] and len(batches) < 3
            else {"bId": item["bId"], "Customer": {**item["Customer"], "Id": "7", "SyncToken": "0", "Active": True}}
            for item in items
        ]
        return said({"BatchItemResponse": done})

    world.server.answer = answer
    outcomes = writer_of(world).write(writes)

    assert [outcome.status for outcome in outcomes] == [Status.DONE, Status.DONE]
    both, second = [write.request_id[-10:] for write in writes], writes[1].request_id[-10:]
    assert batches == [["d" * 30, *both], ["d" * 30, second], ["d" * 30, second]]


def test_a_lock_on_names_that_never_ends_is_a_refusal(world: World) -> None:
    write = new_customer(1)
    world.server.answer = lambda asked: (
        said({"BatchItemResponse": [locked(write.request_id)]}) if asked.path.endswith("/batch") else said(PREFERENCES)
    )

    (outcome,) = writer_of(world).write([write])

    assert outcome.status is Status.FAILED
    assert sum("changing a name" in reason for reason, _ in world.waits) == 3
