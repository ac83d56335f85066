"""Customers merged in QuickBooks: one question, on the customer left over, and nothing carried of it meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconcile.compare.merging import documents_to_read
from reconcile.compare.rules import DEPENDS, INACTIVE, MAYBE_MERGED, MERGED
from reconcile.model.changes import Decision
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Finding, Severity
from reconcile.model.resolutions import Choice

if TYPE_CHECKING:
    from conftest import Trade


@pytest.fixture
def amy(trade: Trade) -> Trade:
    """Amy owes for two invoices and has paid a part of one."""
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("product", "q2", "r2", "Rocks")
    trade.both_have("invoice", "q5", "r5", "100", "q1", 1000, product="q2")
    trade.both_have("invoice", "q6", "r6", "101", "q1", 2000, product="q2")
    trade.both_have("payment", "q7", "r7", "q1", 300, {"q5": 300})
    return trade


def merged_into(trade: Trade, into: str) -> None:
    trade.books.change(Entity.CUSTOMER, "q1", active=False, display_name="Amy (deleted)")
    for entity, record_id in ((Entity.INVOICE, "q5"), (Entity.INVOICE, "q6"), (Entity.PAYMENT, "q7")):
        trade.books.change(entity, record_id, customer_id=into)


def told(trade: Trade) -> list[Finding]:
    return [one for comparison in trade.compare().values() for one in comparison.findings]


def held(trade: Trade) -> list[Finding]:
    return [one for one in told(trade) if one.severity is not Severity.NOTE]


def test_a_merge_is_one_question_with_the_command_and_nothing_is_written_meanwhile(amy: Trade) -> None:
    amy.books.customer("q9", "Amy's Bird Sanctuary")
    merged_into(amy, "q9")
    (finding,) = held(amy)
    assert (finding.check, finding.record_id, finding.label) == (MERGED, "q1", "Amy")
    assert "merged into Amy's Bird Sanctuary in QuickBooks" in finding.sentence
    assert "`reconcile relink COMPANY customer:books:q9 customer:billing:r1 --because" in finding.remedy
    planned = amy.plan()
    assert list(planned.plan.writes()) == []
    waiting = [one for one in planned.findings if one.check == DEPENDS]
    assert {one.record_id for one in waiting} == {"q5", "q6", "q7"}
    assert all("the merge in QuickBooks" in one.sentence for one in waiting)
    assert {(node[0], cause) for node, cause in planned.waits} >= {
        (Entity.INVOICE, (Entity.CUSTOMER, "books:q1")),
        (Entity.PAYMENT, (Entity.CUSTOMER, "books:q1")),
    }
    assert Decision.TO_BILLING not in set(amy.compare()[Entity.CUSTOMER].differences["decision"])


def test_what_the_customer_it_was_merged_into_buys_waits_with_it(amy: Trade) -> None:
    amy.books.customer("q9", "Amy's Bird Sanctuary")
    amy.books.invoice("q10", "102", "q9", 500, product="q2")
    merged_into(amy, "q9")
    assert list(amy.plan().plan.writes()) == []


def test_relinked_as_proposed_all_follows_without_a_write_to_an_invoice(amy: Trade) -> None:
    amy.books.customer("q9", "Amy")
    amy.books.invoice("q10", "102", "q9", 500, product="q2")
    merged_into(amy, "q9")
    amy.decide(Choice.RELINK, Entity.CUSTOMER, "q9", "r1")
    assert held(amy) == []
    writes = list(amy.plan().plan.writes())
    assert [(one.step, str(one.action), one.label) for one in writes] == [(Entity.INVOICE, "create", "102")]


def test_merged_into_a_customer_that_reliabills_has_too(amy: Trade) -> None:
    amy.both_have("customer", "q9", "r9", "Bert")
    amy.books.change(Entity.CUSTOMER, "q9", phone="2")
    merged_into(amy, "q9")
    (finding,) = held(amy)
    assert finding.check == MERGED
    assert "Bert has a customer of its own in ReliaBills" in finding.remedy
    assert [one.label for one in amy.plan().plan.writes()] == ["Bert"]


@pytest.mark.parametrize("still", ["one of two", "another owner", "active"])
def test_one_sign_alone_is_no_merge(amy: Trade, still: str) -> None:
    amy.both_have("customer", "q9", "r9", "Bert")
    amy.both_have("customer", "q8", "r8", "Carl")
    merged_into(amy, "q9")
    if still == "active":
        amy.books.change(Entity.CUSTOMER, "q1", active=True)
    else:
        amy.books.change(Entity.INVOICE, "q6", customer_id="q1" if still == "one of two" else "q8")
    assert MERGED not in {one.check for one in held(amy)}
    assert held(amy)


def test_an_invoice_that_also_changed_otherwise_keeps_its_own_question(amy: Trade) -> None:
    amy.both_have("customer", "q9", "r9", "Bert")
    merged_into(amy, "q9")
    amy.books.change(Entity.INVOICE, "q5", memo="theirs")
    amy.billing.change(Entity.INVOICE, "r5", memo="ours")
    waiting = {one.record_id: one for one in held(amy)}
    assert set(waiting) == {"q1", "q5"}
    assert "memo to the customer changed on both sides" in waiting["q5"].sentence


def test_a_customer_who_merely_became_inactive_is_carried(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.books.change(Entity.CUSTOMER, "q1", active=False)
    assert [str(one.action) for one in trade.plan().plan.writes()] == ["deactivate"]


def test_of_a_customer_without_documents_a_merge_cannot_be_seen_and_the_words_say_so(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("customer", "q9", "r9", "Bert")
    trade.both_have("invoice", "q11", "r11", "103", "q9", 100)
    trade.books.change(Entity.CUSTOMER, "q1", active=False)
    assert [(one.label, str(one.action)) for one in trade.plan().plan.writes()] == [("Amy", "deactivate")]
    (note,) = told(trade)
    assert (note.check, note.severity, note.record_id) == (MAYBE_MERGED, Severity.NOTE, "q1")
    assert "it would look the same had it been merged into another customer" in note.sentence
    assert "`reconcile relink COMPANY customer:books:ID customer:billing:r1 --because" in note.remedy
    assert "auto pay, recurring invoices" in note.remedy


@pytest.mark.parametrize("known", ["documents", "inactive before", "inactive on both sides"])
def test_nothing_is_said_of_a_merge_where_it_would_show_or_nothing_is_carried(trade: Trade, known: str) -> None:
    active = known != "inactive before"
    trade.both_have("customer", "q1", "r1", "Amy", active=active)
    if known == "documents":
        trade.both_have("invoice", "q11", "r11", "103", "q1", 0)
    trade.books.change(Entity.CUSTOMER, "q1", active=False)
    if known == "inactive on both sides":
        trade.billing.change(Entity.CUSTOMER, "r1", active=False)
    assert MAYBE_MERGED not in {one.check for one in told(trade)}


def test_what_reliabills_makes_for_a_customer_that_is_gone_by_such_a_merge_waits_and_says_what_to_do(
    trade: Trade,
) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("product", "q2", "r2", "Rocks")
    trade.books.change(Entity.CUSTOMER, "q1", active=False)
    trade.billing.invoice("r5", "100", "r1", 1000, product="r2")
    planned = trade.plan()
    assert list(planned.plan.writes()) == []  # the customer owes in ReliaBills, and stays active there
    (waiting,) = [one for one in planned.findings if one.check == INACTIVE]
    assert (waiting.entity, waiting.record_id) == (Entity.INVOICE, "r5")
    assert "QuickBooks refuses that for a customer that was merged into another one" in waiting.remedy


def test_a_delta_also_reads_the_documents_of_customers_that_became_inactive(amy: Trade) -> None:
    amy.both_have("customer", "q9", "r9", "Bert")
    amy.both_have("invoice", "q11", "r11", "103", "q9", 100, product="q2")
    customers = amy.books.snapshot(Entity.CUSTOMER)
    assert documents_to_read(customers.frame, amy.agreements()) == {}
    merged_into(amy, "q9")
    customers = amy.books.snapshot(Entity.CUSTOMER)
    assert documents_to_read(customers.frame, amy.agreements()) == {
        (Side.BOOKS, Entity.INVOICE): {"q5", "q6"},
        (Side.BILLING, Entity.INVOICE): {"r5", "r6"},
        (Side.BOOKS, Entity.PAYMENT): {"q7"},
        (Side.BILLING, Entity.PAYMENT): {"r7"},
    }


def test_a_delta_reads_the_documents_of_a_customer_who_becomes_active_again_and_may_owe(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy", active=False)
    trade.both_have("customer", "q9", "r9", "Bert", active=False)
    trade.both_have("product", "q2", "r2", "Rocks")
    trade.both_have("invoice", "q5", "r5", "100", "q1", 1000, product="q2")
    trade.both_have("invoice", "q6", "r6", "101", "q9", 1000, product="q2")
    assert documents_to_read(trade.books.snapshot(Entity.CUSTOMER).frame, trade.agreements()) == {}
    trade.books.change(Entity.CUSTOMER, "q1", active=True)
    wanted = documents_to_read(trade.books.snapshot(Entity.CUSTOMER).frame, trade.agreements())
    assert {key: ids for key, ids in wanted.items() if ids} == {
        (Side.BOOKS, Entity.INVOICE): {"q5"},
        (Side.BILLING, Entity.INVOICE): {"r5"},
    }
