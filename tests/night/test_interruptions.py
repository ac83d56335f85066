"""QuickBooks that asks for patience, or was disconnected: before anything is written, and in the middle of a step."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import text

from reconcile.connect import disconnect
from reconcile.errors import DeferredError, DisconnectedError, StepFailedError, UnreachableError
from reconcile.model.entities import Entity, Side
from reconcile.model.runs import Outcome, Run
from reconcile.sandbox.billing import day
from reconcile.sandbox.quickbooks.process import QuickBooksSandbox, running_quickbooks
from reconcile.sides.billing import BillingWriter
from reconcile.sides.quickbooks import QuickBooksSession
from reconcile.state import permissions
from reconcile.state.database import open_state
from tests.night.conftest import COMPANY, TODAY, World, _world, another_company
from tests.night.desks import (
    L,
    agreed,
    billing_rows,
    customer_in_billing,
    edit_in_billing,
    held,
    invoice_in_books,
    line_in_books,
    pay_in_books,
    quiet,
    sell_in_books,
    sentences,
)

STORM = {"action": "status", "status": 429, "headers": {"Retry-After": "0"}}
BATCH_OF_WRITES = {"resource": "batch", "pattern": '"operation"'}
BOUND = 40
"""More calls than this no deferred run may make, whatever is asked of it: a few threads, each a few times."""


@pytest.fixture
def world(tmp_path: Path, sqlite_state_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An empty company on both sides, its QuickBooks open to being spoilt; nobody really waits."""

    def pause(session: QuickBooksSession, reason: str, seconds: float) -> None:
        session._on_wait(reason, seconds)

    monkeypatch.setattr(QuickBooksSession, "pause", pause)
    with running_quickbooks("empty", admin=True) as quickbooks:
        yield from _world(tmp_path, sqlite_state_url, quickbooks)


def admin(world: World, path: str, method: str = "POST", **body: Any) -> dict[str, Any]:
    answer = requests.request(method, f"{world.quickbooks.base_url}/admin/{path}", json=body or None, timeout=10)
    answer.raise_for_status()
    content: dict[str, Any] = answer.json()
    return content


def spoil(world: World, **rule: Any) -> None:
    admin(world, "faults", **rule)


def heal(world: World) -> None:
    admin(world, "faults", "DELETE")


def calls(world: World) -> int:
    counted: int = admin(world, "calls", "GET")["count"]
    return counted


def run_json(world: World, run: Run) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((world.config.runs / run.folder / "run.json").read_text(encoding="utf-8"))
    return content


def deferred(world: World, *words: str) -> Run:
    """A run that comes to nothing for now, and says so for people and for machines."""
    with pytest.raises(DeferredError) as caught:
        world.sync()
    return filed(world, str(caught.value), *words)


def filed(world: World, said: str, *words: str) -> Run:
    run = world.last_run()
    assert (run.outcome, run.outcome.exit_code, run.reason) == (Outcome.DEFERRED, 4, said)
    for word in words:
        assert word in said
    told = run_json(world, run)
    assert run.deferral is not None
    assert told["deferred"] == run.deferral.as_json()
    assert datetime.fromisoformat(told["deferred"]["until"]) > datetime.now(UTC)
    return run


def names_in_books(world: World) -> list[str]:
    return sorted(one["DisplayName"] for one in world.books.query("select * from Customer", "Customer"))


def test_a_storm_before_anything_was_read_defers_the_company_at_few_calls_and_the_next_run_agrees(world: World) -> None:
    world.new_customer_in_books("Cool Cars")
    spoil(world, **STORM)
    before = calls(world)
    run = deferred(world, "fewer requests 6 times in a row", "Nothing was written", "Nobody needs")
    assert calls(world) - before <= BOUND
    assert run.headline == "deferred: busy"
    assert run.counts["waits"] == {"QuickBooks asks for fewer requests": 5}
    assert run.deferral is not None
    assert run.deferral.until - run.deferral.since == timedelta(minutes=15)
    second = deferred(world, "the 2nd run in a row")
    assert second.deferral is not None
    assert (second.deferral.times, second.deferral.since) == (2, run.deferral.since)
    heal(world)
    spoil(world, **STORM, pattern="(?i)from Customer")
    before = calls(world)
    third = deferred(world, "the 3rd run in a row", "Nothing was written")
    assert calls(world) - before <= BOUND
    assert not third.steps
    heal(world)
    agreed(world)
    assert billing_rows(world, "select count(*) from customers") == [(1,)]


def test_a_storm_in_the_middle_of_a_step_keeps_what_is_across_and_the_next_run_goes_on_from_there(world: World) -> None:
    for number in range(45):
        customer_in_billing(world, f"Customer {number:02}")
    world.new_customer_in_books("From Books")
    spoil(world, **STORM, **BATCH_OF_WRITES, calls=list(range(2, 60)))
    session = world.planned()
    before = calls(world)
    with pytest.raises(DeferredError) as caught:
        session.push("customer")
    run = filed(
        world,
        str(caught.value),
        "Step 1 of 5, customers, broke off: 31 across. 15 records were not sent.",
        "Not started: products, tax rates, invoices, payments.",
        "Nothing is at risk at midnight",
    )
    assert str(caught.value).count("fewer requests") == 1
    assert calls(world) - before <= BOUND
    assert [step.status.value for step in run.steps] == ["broken off"]
    assert len(names_in_books(world)) == 31
    assert billing_rows(world, "select count(*) from customers where account_name = 'From Books'") == [(1,)]
    statuses = {line["status"] for line in _journal(world, run)}
    assert statuses == {"done", "failed"}
    heal(world)
    agreed(world)
    assert len(names_in_books(world)) == len(set(names_in_books(world))) == 46


def _journal(world: World, run: Run) -> list[dict[str, Any]]:
    lines = (world.config.runs / run.folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_storm_that_begins_while_a_step_looks_again_defers_it_before_anything_is_sent(world: World) -> None:
    customer_in_billing(world, "Cool Cars")
    session = world.planned()
    spoil(world, **STORM, method="GET")
    spoil(world, **STORM, resource="query")
    spoil(world, **STORM, resource="batch")
    with pytest.raises(DeferredError) as caught:
        session.push("customer")
    filed(world, str(caught.value), "Step 1 of 5, customers, broke off")
    assert names_in_books_now(world) == []


def names_in_books_now(world: World) -> list[str]:
    heal(world)
    return names_in_books(world)


def test_a_gateway_in_trouble_after_the_write_leaves_it_unknown_and_it_is_settled_before_the_next(world: World) -> None:
    for number in range(45):
        customer_in_billing(world, f"Customer {number:02}")
    spoil(world, action="html", status=502, **BATCH_OF_WRITES, moment="after")
    session = world.planned()
    with pytest.raises(DeferredError) as caught:
        session.push("customer")
    run = filed(world, str(caught.value), "status 502", "30 without an answer", "15 records were not sent")
    assert run.headline == "deferred: trouble"
    assert "Customer 00" not in run.reason
    heal(world)
    agreed(world)
    assert len(names_in_books(world)) == len(set(names_in_books(world))) == 45


def test_a_payment_that_arrives_again_once_quickbooks_has_forgotten_its_request_is_shown_and_not_carried_on(
    world: World,
) -> None:
    world.new_customer_in_books("Cool Cars")
    world.new_product_in_books("Gardening")
    sell_in_books(world, "1001", "Cool Cars", line_in_books(world, "Gardening", "4", "25"))
    agreed(world)
    day.take_payment(world.billing, {"1001": "40"}, on=TODAY, method="check", online=False, reference="ours")
    session = world.planned()
    for entity in list(Entity)[:4]:
        session.push(entity)
    spoil(world, action="html", status=502, **BATCH_OF_WRITES, moment="after")
    with pytest.raises(DeferredError) as caught:
        session.push("payment")
    filed(world, str(caught.value), "1 without an answer")
    heal(world)
    agreed(world)
    first = world.books.one("Payment", "PaymentRefNum", "ours")
    same = {name: first[name] for name in ("CustomerRef", "TotalAmt", "PaymentRefNum", "TxnDate", "PrivateNote")}
    second = world.books.save("Payment", **same)

    run = world.sync(apply=False)
    assert run.counts["planned_writes"] == 0
    run = world.sync()
    assert (run.outcome, held(world)) == (Outcome.AGREED_EXCEPT_HELD, {"ours"}), run.reason
    assert f"(id {second['Id']}) was made by the same write of the sync" in sentences(world)[0]
    assert f"payment with the id {first['Id']}" in sentences(world)[0]
    assert billing_rows(world, "select count(*) from payments") == [(1,)]
    note = second["PrivateNote"].replace("reconcile", "somebody's own")
    world.books.save("Payment", **{**second, "PrivateNote": note})
    agreed(world)
    assert billing_rows(world, "select count(*) from payments") == [(2,)]


def test_money_that_only_reliabills_waits_for_still_gets_there_when_quickbooks_gives_up(world: World) -> None:
    """A payment that QuickBooks has already must reach ReliaBills before midnight charges it again."""
    world.new_customer_in_books("Cool Cars")
    world.new_product_in_books("Gardening")
    sell_in_books(world, "1001", "Cool Cars", line_in_books(world, "Gardening", "4", "25"))
    sell_in_books(world, "1002", "Cool Cars", line_in_books(world, "Gardening", "4", "25"))
    agreed(world)
    pay_in_books(world, "Cool Cars", "100", {"1001": "100"}, "theirs")
    day.take_payment(world.billing, {"1002": "100"}, on=TODAY, method="check", online=False, reference="ours")
    session = world.planned()
    for entity in list(Entity)[:4]:
        session.push(entity)
    spoil(world, **STORM, resource="batch")
    with pytest.raises(DeferredError, match=r"1 across\. 1 record was not sent"):
        session.push("payment")
    assert billing_rows(world, "select count(*) from payments where reference = 'theirs'") == [(1,)]
    heal(world)
    agreed(world)
    assert billing_rows(world, "select count(*) from payments") == [(2,)]
    assert len(world.books.query("select * from Payment", "Payment")) == 2


def test_a_storm_while_the_plan_is_made_defers_the_company_and_names_what_midnight_charges(world: World) -> None:
    """Whether a vendor has a new customer's name is looked up only then; both sides have been read."""
    world.new_customer_in_books("Cool Cars")
    world.new_product_in_books("Gardening")
    sell_in_books(world, "1001", "Cool Cars", line_in_books(world, "Gardening", "4", "25"))
    agreed(world)
    with world.billing.begin() as connection:
        connection.execute(text("update customers set auto_pay = 'card'"))
    pay_in_books(world, "Cool Cars", "100", {"1001": "100"}, "cheque 7")
    customer_in_billing(world, "Amy")
    session = world.open()
    session.pull()
    session.compare()
    session.validate()
    spoil(world, **STORM)
    with pytest.raises(DeferredError) as caught:
        session.make_plan()
    run = filed(world, str(caught.value), "Nothing was written", "At risk at midnight: 100.00", "1001")
    assert (world.config.runs / run.folder / "midnight-risk.json").exists()
    heal(world)
    agreed(world)


def test_what_a_person_lets_pass_still_holds_when_the_run_came_to_nothing(world: World) -> None:
    """Else the run that is tried again before midnight would stop, and nobody is there to let it pass once more."""
    world.new_customer_in_books("Cool Cars")
    world.new_product_in_books("Gardening")
    sell_in_books(world, "1001", "Cool Cars", line_in_books(world, "Gardening", "4", "25"))
    pay_in_books(world, "Cool Cars", "100", {"1001": "100"}, "cheque 7")
    agreed(world)
    edit_in_billing(world, "1001", L("Gardening", "6", "25"))
    record = f"invoice:books:{invoice_in_books(world, '1001')['Id']}"
    engine = open_state(world.config.state_url)
    permissions.give(engine, COMPANY, permissions.Wanted("protected:paid-invoice", "they agreed", "Ann", record=record))
    session = world.planned()
    for entity in list(Entity)[:3]:
        session.push(entity)
    spoil(world, **STORM)
    with pytest.raises(DeferredError) as caught:
        session.push("invoice")
    filed(world, str(caught.value), "Step 4 of 5, invoices, broke off")
    heal(world)
    assert permissions.listed(engine, COMPANY)[0].used_in == ()
    run = agreed(world)
    assert permissions.listed(engine, COMPANY)[0].used_in == (run.id,)
    engine.dispose()
    assert invoice_in_books(world, "1001")["TotalAmt"] == 150


def test_a_step_that_failed_is_told_as_failed_though_nothing_can_be_read_again_after_it(world: World) -> None:
    """Somebody must mend the number: a storm right after it must not make that a run that nobody needs to look at."""
    world.new_customer_in_books("Cool Cars")
    world.new_product_in_books("Gardening")
    sell_in_books(world, "1001", "Cool Cars", line_in_books(world, "Gardening", "4", "25"))
    customer_in_billing(world, "Freeman Sporting Goods")
    agreed(world)
    sell_in_books(world, "A-17", "Cool Cars", line_in_books(world, "Gardening", "4", "25"))
    edit_in_billing(world, "1001", L("Gardening", "6", "25"))
    session = world.planned()
    for entity in list(Entity)[:3]:
        session.push(entity)
    fetch = type(session._readers[Side.BOOKS]).fetch

    def stormy(self: Any, entity: Entity, ids: Any) -> Any:
        spoil(world, **STORM)
        return fetch(self, entity, ids)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(session._readers[Side.BOOKS]), "fetch", stormy)
        with pytest.raises(StepFailedError, match="A-17") as caught:
            session.push("invoice")
    heal(world)
    run = world.last_run()
    assert (run.outcome, run.reason) == (Outcome.STEP_FAILED, str(caught.value))
    assert "Nothing is at risk at midnight. That is as it was first read" in run.reason


def test_both_sides_out_of_reach_is_a_deferred_run_all_the_same_and_the_company_is_free(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.new_customer_in_books("Cool Cars")
    customer_in_billing(world, "Freeman Sporting Goods")
    session = world.planned()
    spoil(world, **STORM, resource="batch")

    def gone(_self: BillingWriter, _entity: Entity, _ids: Any) -> Any:
        raise UnreachableError("ReliaBills does not answer.")

    with monkeypatch.context() as broken:
        broken.setattr(BillingWriter, "fetch", gone)
        with pytest.raises(DeferredError) as caught:
            session.push("customer")
    filed(world, str(caught.value), "at midnight. That is as it was first read", "ReliaBills does not answer.")
    heal(world)
    agreed(world)


def test_a_proof_that_cannot_be_read_is_no_agreement_yet(world: World) -> None:
    customer_in_billing(world, "Cool Cars")
    session = world.planned()
    for entity in Entity:
        session.push(entity)
    spoil(world, **STORM)
    with pytest.raises(DeferredError) as caught:
        session.tie_out()
    filed(world, str(caught.value), "Across: customers (1)", "could not be read again to prove")
    heal(world)
    quiet(world)


def test_a_month_that_is_used_up_is_told_from_a_storm_by_how_long_it_lasts(world: World) -> None:
    spoil(world, **STORM)
    assert deferred(world).headline == "deferred: busy"
    assert deferred(world).headline == "deferred: busy"
    state = open_state(world.config.state_url)
    with state.begin() as connection:
        earlier = datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=90)
        connection.execute(text("update run set started_at = :moment"), {"moment": str(earlier)})
    state.dispose()
    run = deferred(world, "quota of calls that Intuit allows this program", "once a day")
    assert run.deferral is not None
    assert run.deferral.until - datetime.now(UTC) > timedelta(hours=23)
    heal(world)
    quiet(world)
    spoil(world, **STORM)
    assert deferred(world).headline == "deferred: busy"


def test_a_quickbooks_in_trouble_is_waited_for_and_then_deferred(world: World) -> None:
    for status in (500, 502, 503, 504):
        spoil(world, action="html", status=status)
        before = calls(world)
        run = deferred(world, f"status {status}")
        assert run.headline == "deferred: trouble"
        assert calls(world) - before <= BOUND
        assert run.counts["waits"] == {f"QuickBooks is in trouble (status {status})": 1 if status == 500 else 4}
        heal(world)


def test_an_answer_without_measure_defers_the_company(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = QuickBooksSession.__init__

    def small(session: QuickBooksSession, *arguments: Any, **more: Any) -> None:
        usual(session, *arguments, **more)
        session._bounds = type(session._bounds)(largest=1 << 20)

    monkeypatch.setattr(QuickBooksSession, "__init__", small)
    spoil(world, action="status", status=200, body="x" * (1 << 21), resource="companyinfo")
    before = calls(world)
    deferred(world, "larger than 1 MB")
    assert calls(world) - before <= BOUND


def test_a_dry_run_can_be_deferred_too(world: World) -> None:
    spoil(world, **STORM)
    with pytest.raises(DeferredError, match="It was a dry run; nothing was written"):
        world.sync(apply=False)
    assert world.last_run().outcome is Outcome.DEFERRED


def test_a_customer_who_disconnects_during_a_run_stops_it_after_the_operation_in_hand(world: World) -> None:
    for number in range(45):
        customer_in_billing(world, f"Customer {number:02}")
    session = world.planned()
    assert session._writers is not None
    books = session._writers[Side.BOOKS]
    write = books.write

    def write_and_lose_the_connection(writes: Any) -> Any:
        outcomes = write(writes)
        if len(writes) == 30:
            disconnect(world.config, COMPANY)
        return outcomes

    books.write = write_and_lose_the_connection  # type: ignore[method-assign]  # somebody presses Disconnect meanwhile
    with pytest.raises(DisconnectedError) as caught:
        session.push("customer")
    said = str(caught.value)
    run = world.last_run()
    assert (run.outcome, run.outcome.exit_code, run.reason) == (Outcome.DISCONNECTED, 5, said)
    assert run.headline == "stopped: disconnected"
    assert "broke off: 30 across. 15 records were not sent." in said
    assert said.count("`reconcile connect craigs`") == 1
    assert run_json(world, run)["disconnected_since"] is not None
    assert len(names_in_books_by_another_connection(world)) == 30


def names_in_books_by_another_connection(world: World) -> set[str]:
    with open_state(world.config.state_url).connect() as connection:
        return set(connection.execute(text("select books_id from link")).scalars())


def revoke(quickbooks: QuickBooksSandbox) -> None:
    """The customer disconnects the program."""
    document = requests.get(quickbooks.discovery_url, timeout=10).json()
    requests.post(
        document["revocation_endpoint"],
        json={"token": quickbooks.refresh_token},
        auth=(quickbooks.client_id, quickbooks.client_secret),
        timeout=10,
    ).raise_for_status()


def test_a_revoked_company_needs_reconnect_is_said_once_and_intuit_is_not_asked_again(world: World) -> None:
    agreed(world)
    revoke(world.quickbooks)
    since = set()
    for _ in range(2):
        admin(world, "calls", "DELETE")
        with pytest.raises(DisconnectedError, match="needs reconnect") as caught:
            world.sync()
        run = world.last_run()
        assert run.outcome is Outcome.DISCONNECTED
        assert len(re.findall("reconcile connect craigs", str(caught.value))) == 1
        assert "Nothing was written: both sides are as they were." in run.reason
        since.add(run_json(world, run)["disconnected_since"])
    assert len(since) == 1
    asked = [str(call) for call in admin(world, "calls", "GET")["calls"]]
    assert not [call for call in asked if "tokens/bearer" in call]


def test_a_customer_who_revokes_one_company_stops_that_one_and_no_other(world: World) -> None:
    """Two companies of one state and one configuration, run in turn as a night runs them."""
    other = another_company(world, "diegos")
    agreed(world)
    agreed(other)
    revoke(world.quickbooks)
    renewals = []
    for number, name in enumerate(("Cool Cars", "Red Rock Diner")):
        customer_in_billing(world, name)
        other.new_customer_in_books(name)
        admin(world, "calls", "DELETE")
        with pytest.raises(DisconnectedError, match="needs reconnect"):
            world.sync()
        asked = [str(call) for call in admin(world, "calls", "GET")["calls"]]
        renewals.append(sum("tokens/bearer" in call for call in asked))
        assert world.last_run().outcome is Outcome.DISCONNECTED
        agreed(other)
        assert len(billing_rows(other, "select * from customers")) == number + 1
    assert renewals == [1, 0]
    assert billing_rows(world, "select count(*) from customers") == [(2,)]
    with pytest.raises(DisconnectedError, match="`reconcile connect craigs`"):
        world.sync()
    assert "diegos" not in world.last_run().reason
    quiet(other)
