"""Carrying out a plan: who exists where afterwards, what is remembered, and what a step says when it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from reconcile.errors import LeaseError, StepFailedError
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Finding, Severity
from reconcile.model.journal import EntryStatus
from reconcile.model.plan import Plan
from reconcile.model.runs import StepStatus
from reconcile.push.references import References, UnknownReferenceError
from reconcile.push.settle import settle
from reconcile.push.steps import Pusher, insist
from reconcile.sides.memory import MemorySide
from reconcile.sides.side import Outcome, Status, Write
from reconcile.state import lease, runs
from reconcile.state.database import open_state
from reconcile.state.journal import Journal
from reconcile.state.links import Links
from tests.push.conftest import COMPANY, a_run, creation

LINE = '[["billing:11","Sod",20000000,1500000000,30000,false]]'


@pytest.fixture
def engine(state_url: str) -> Engine:
    return open_state(state_url)


class LosesReplies(MemorySide):
    """A side that does as it is told and whose answer never arrives, for the first ``losses`` writes."""

    def __init__(self, side: Side, *, losses: int, takes_effect: bool) -> None:
        super().__init__(side)
        self.losses = losses
        self.takes_effect = takes_effect
        self.asked: list[str] = []

    def write(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        self.asked += [write.request_id for write in writes]
        if self.losses:
            self.losses -= 1
            if self.takes_effect:
                super().write(writes)
            return [Outcome(write.request_id, Status.UNKNOWN, reason="the connection was lost") for write in writes]
        return super().write(writes)


class Refuses(MemorySide):
    """A side that says no to records of one name."""

    def write(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        return [
            Outcome(write.request_id, Status.FAILED, code="6240", reason="the name is taken by a vendor")
            if write.fields.get("display_name") == "Taken"
            else super(Refuses, self).write([write])[0]
            for write in writes
        ]


def a_day_in_billing() -> Plan:
    """A customer, a product and an invoice that exist only in billing, to be made in books."""
    return Plan(
        COMPANY,
        {},
        (
            creation(
                Entity.CUSTOMER, "billing:10", "Amy's Bird Sanctuary", display_name="Amy's Bird Sanctuary", active=True
            ),
            creation(
                Entity.PRODUCT, "billing:11", "Sod", name="Sod", unit_price=1500000000, taxable=False, active=True
            ),
            creation(
                Entity.INVOICE,
                "billing:12",
                "00123",
                number="00123",
                customer_id="billing:10",
                lines=LINE,
                subtotal=30000,
                total=30000,
                void=False,
            ),
        ),
    )


def writing(engine: Engine, run_id: str) -> Journal:
    """The journal of a run that holds the company; whoever held it before has ended."""
    lease.release_run(engine, "run-1")
    if not any(run.id == run_id for run in runs.find(engine)):
        runs.create(engine, a_run(run_id))
    return Journal(engine, COMPANY, run_id, lease.acquire(engine, COMPANY, "test", run_id, timedelta(minutes=5)))


def pusher(engine: Engine, plan: Plan, books: MemorySide, held: lease.Lease | None = None) -> Pusher:
    journal = Journal(engine, COMPANY, "run-1", held) if held else writing(engine, "run-1")
    sides: Mapping[Side, MemorySide] = {Side.BOOKS: books, Side.BILLING: MemorySide(Side.BILLING)}
    return Pusher(plan, sides, journal, References(Links(engine, COMPANY)), {})


def test_what_exists_only_in_billing_is_made_in_books_with_references_of_books(engine: Engine) -> None:
    books = MemorySide(Side.BOOKS)
    carried = pusher(engine, a_day_in_billing(), books)
    for entity in (Entity.CUSTOMER, Entity.PRODUCT, Entity.INVOICE):
        report = carried.push(entity)
        assert report.result.status is StepStatus.SYNCED
        assert report.result.done == 1
    invoice = books.census(Entity.INVOICE)
    customer = books.census(Entity.CUSTOMER).frame["id"].iloc[0]
    product = books.census(Entity.PRODUCT).frame["id"].iloc[0]
    assert invoice.frame["number"].tolist() == ["00123"]
    assert invoice.frame["customer_id"].tolist() == [customer]
    assert invoice.rows["product_id"].tolist() == [product]


def test_the_new_base_names_references_by_their_books_key(engine: Engine) -> None:
    books = MemorySide(Side.BOOKS)
    carried = pusher(engine, a_day_in_billing(), books)
    for entity in (Entity.CUSTOMER, Entity.PRODUCT, Entity.INVOICE):
        carried.push(entity)
    agreed = Links(engine, COMPANY).agreement(Entity.INVOICE).frame
    customer = books.census(Entity.CUSTOMER).frame["id"].iloc[0]
    assert agreed["billing_id"].tolist() == ["12"]
    assert f'"customer_id":"books:{customer}"' in agreed["fields"].iloc[0].replace('": "', '":"')
    assert "billing:" not in agreed["fields"].iloc[0]
    assert agreed["unsettled"].isna().all()


def test_a_field_that_was_stored_otherwise_is_unsettled_not_agreed(engine: Engine) -> None:
    operation = creation(
        Entity.INVOICE, "billing:12", "7", number="7", customer_id="books:1", lines="[]", total=999, void=False
    )
    report = pusher(engine, Plan(COMPANY, {}, (operation,)), MemorySide(Side.BOOKS)).push(Entity.INVOICE)
    assert report.attempts[0].differs == ("total",)
    agreed = Links(engine, COMPANY).agreement(Entity.INVOICE).frame
    assert agreed["unsettled"].tolist() == ["total"]
    assert "total" not in agreed["fields"].iloc[0]


def test_one_refused_record_fails_the_step_and_its_siblings_are_across(engine: Engine) -> None:
    books = Refuses(Side.BOOKS)
    names = ("Taken", "Bill's Windsurf Shop")
    plan = Plan(
        COMPANY,
        {},
        tuple(
            creation(Entity.CUSTOMER, f"billing:{n}", name, display_name=name) for n, name in enumerate(names, start=1)
        ),
    )
    report = pusher(engine, plan, books).push(Entity.CUSTOMER)
    assert report.result.status is StepStatus.FAILED
    assert (report.result.done, report.result.failed) == (1, 1)
    assert books.census(Entity.CUSTOMER).frame["display_name"].tolist() == ["Bill's Windsurf Shop"]
    with pytest.raises(
        StepFailedError, match=r"Step 1 of 5, customers, failed.*'Taken'.*taken by a vendor.*Not started"
    ):
        insist(report)


def test_a_stop_finding_fails_the_step_although_every_write_succeeded(engine: Engine) -> None:
    finding = Finding(
        check="invoice_number_digits",
        severity=Severity.STOP,
        entity=Entity.CUSTOMER,
        side=Side.BOOKS,
        record_id="1",
        label="A-17",
        amount=100,
        currency="USD",
        sentence="Invoice A-17 has letters in its number.",
        remedy="Change it.",
    )
    plan = Plan(COMPANY, {}, (creation(Entity.CUSTOMER, "billing:1", "Amy", display_name="Amy"),))
    report = pusher(engine, plan, MemorySide(Side.BOOKS)).push(Entity.CUSTOMER, [finding])
    assert report.result.status is StepStatus.FAILED
    assert report.result.done == 1
    assert "Invoice A-17 has letters" in report.result.reason


def test_what_refers_to_a_record_that_is_not_there_waits_and_is_not_sent(engine: Engine) -> None:
    books = MemorySide(Side.BOOKS)
    operation = creation(Entity.INVOICE, "billing:12", "7", number="7", customer_id="billing:99", lines="[]")
    report = pusher(engine, Plan(COMPANY, {}, (operation,)), books).push(Entity.INVOICE)
    assert report.attempts[0].status == "waiting"
    assert books.writes == 0
    assert Journal(engine, COMPANY, "run-1").entries("run-1") == []


def test_a_lost_reply_is_unknown_and_settled_as_found_when_it_took_effect(engine: Engine) -> None:
    books = LosesReplies(Side.BOOKS, losses=1, takes_effect=True)
    plan = Plan(COMPANY, {}, (creation(Entity.CUSTOMER, "billing:1", "Amy", display_name="Amy", active=True),))
    report = pusher(engine, plan, books).push(Entity.CUSTOMER)
    assert report.result.unknown == 1
    assert len(Links(engine, COMPANY).pairs(Entity.CUSTOMER)) == 0
    journal = writing(engine, "run-2")
    sides = {Side.BOOKS: books, Side.BILLING: MemorySide(Side.BILLING)}
    settled = settle(journal, sides, References(Links(engine, COMPANY)))
    assert [item.status for item in settled] == [EntryStatus.DONE]
    assert "found" in settled[0].evidence
    assert Links(engine, COMPANY).pairs(Entity.CUSTOMER)["billing_id"].tolist() == ["1"]
    assert len(books.census(Entity.CUSTOMER)) == 1
    assert settle(journal, sides, References(Links(engine, COMPANY))) == ()


def test_a_lost_reply_without_effect_is_proven_absent_and_sent_again_under_the_same_request_id(engine: Engine) -> None:
    books = LosesReplies(Side.BOOKS, losses=1, takes_effect=False)
    plan = Plan(COMPANY, {}, (creation(Entity.CUSTOMER, "billing:1", "Amy", display_name="Amy", active=True),))
    pusher(engine, plan, books).push(Entity.CUSTOMER)
    sides = {Side.BOOKS: books, Side.BILLING: MemorySide(Side.BILLING)}
    settled = settle(writing(engine, "run-2"), sides, References(Links(engine, COMPANY)))
    assert [item.status for item in settled] == [EntryStatus.ABSENT]
    lease.release_run(engine, "run-2")
    report = pusher(engine, plan, books).push(Entity.CUSTOMER)
    assert report.result.status is StepStatus.SYNCED
    assert len(books.census(Entity.CUSTOMER)) == 1
    assert len(set(books.asked)) == 1


def test_a_holder_that_was_overtaken_writes_nothing_more(engine: Engine) -> None:
    first = lease.acquire(engine, COMPANY, "first", "run-1", timedelta(minutes=5))
    first.release()
    lease.acquire(engine, COMPANY, "second", "run-2", timedelta(minutes=5))
    books = MemorySide(Side.BOOKS)
    with pytest.raises(LeaseError):
        pusher(engine, a_day_in_billing(), books, first).push(Entity.CUSTOMER)
    assert books.writes == 0


def test_a_key_without_counterpart_is_said_to_be_missing(engine: Engine) -> None:
    references = References(Links(engine, COMPANY))
    assert references.id_on(Side.BILLING, Entity.CUSTOMER, "billing:7") == "7"
    with pytest.raises(UnknownReferenceError, match="does not exist in QuickBooks"):
        references.id_on(Side.BOOKS, Entity.CUSTOMER, "billing:7")
    references.learn(Entity.CUSTOMER, "12", "7")
    assert references.id_on(Side.BOOKS, Entity.CUSTOMER, "billing:7") == "12"
    assert references.canonical(Entity.CUSTOMER, "billing:7") == "books:12"
