"""What people decide is done exactly as they saw it, never what came after, and never against a rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reconcile.compare.diff import compare_all
from reconcile.compare.planning import agreements_after, make_plan, simulate
from reconcile.compare.rules import AMBIGUOUS, IGNORED, MERGE, OVERPAID, PAID_VOID, TAKEN, UNVOID
from reconcile.model.changes import Verdict
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Severity
from reconcile.model.plan import Action, Operation
from reconcile.model.resolutions import Choice, Standing, Status

if TYPE_CHECKING:
    from conftest import OneSide, Trade

KEEP = {Side.BOOKS: Choice.KEEP_BOOKS, Side.BILLING: Choice.KEEP_BILLING}
LAW = settings(
    max_examples=5,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[*HealthCheck],
)


@pytest.fixture
def amy(trade: Trade) -> Trade:
    """A customer agreed on both sides, whose phone was then changed on both, and e-mail too."""
    trade.both_have("customer", "q1", "r1", "Amy", phone="1", email="amy@x.com", city="Bayshore")
    for side, record_id, phone in ((trade.books, "q1", "2"), (trade.billing, "r1", "3")):
        side.change(Entity.CUSTOMER, record_id, phone=phone, email=f"{phone}@x.com")
    return trade


def standing(trade: Trade, entity: Entity = Entity.CUSTOMER) -> list[Standing]:
    return [applied.standing for applied in trade.compare()[entity].resolved]


def said(trade: Trade, entity: Entity = Entity.CUSTOMER) -> str:
    return " ".join(applied.sentence for applied in trade.compare()[entity].resolved)


def writes(trade: Trade) -> list[tuple[Side | None, Action, dict[str, Any]]]:
    return [(o.side, o.action, dict(o.payload)) for o in trade.plan().plan.operations]


def carried_out(trade: Trade) -> list[Operation]:
    """What the next run finds to do once this plan is carried out and the decisions are used up."""
    planned = trade.plan()
    pairs = {entity: comparison.pairs for entity, comparison in trade.compare().items()}
    books, billing = simulate(planned.plan, trade.books.snapshots(), trade.billing.snapshots(), pairs)
    after = agreements_after(planned.plan, trade.agreements())
    compared = compare_all(books, billing, after, trade.policy)
    told = [finding for comparison in compared.values() for finding in comparison.findings]
    return list(make_plan("craigs", compared, books, billing, after, told).plan.operations)


@pytest.mark.parametrize("side", list(Side))
def test_a_record_kept_as_one_side_has_it_is_agreed_by_the_next_run(amy: Trade, side: Side) -> None:
    kept = amy.books if side is Side.BOOKS else amy.billing
    record = next(iter(kept.records[Entity.CUSTOMER].values()))
    assert amy.plan().plan.operations == ()
    amy.decide(KEEP[side], Entity.CUSTOMER, "q1", "r1")
    values = {"email": record["email"], "phone": record["phone"]}
    assert writes(amy) == [(side.other, Action.UPDATE, values)]
    assert amy.compare()[Entity.CUSTOMER].findings == ()
    assert standing(amy) == [Standing.APPLIES]
    assert carried_out(amy) == []
    (operation,) = amy.plan().plan.operations
    assert f"Phone is decided: keep {side.product} (Anna: she said so)" in operation.reason.replace("phone", "Phone")


def test_each_field_may_be_decided_otherwise(amy: Trade) -> None:
    amy.decide(Choice.KEEP_BOOKS, Entity.CUSTOMER, "q1", "r1", "phone")
    assert writes(amy) == []
    assert standing(amy) == [Standing.BLOCKED]
    assert "waits, because the record is in conflict" in said(amy)
    amy.decide(Choice.KEEP_BILLING, Entity.CUSTOMER, "q1", "r1", "email")
    assert writes(amy) == [
        (Side.BILLING, Action.UPDATE, {"phone": "2"}),
        (Side.BOOKS, Action.UPDATE, {"email": "3@x.com"}),
    ]
    assert carried_out(amy) == []


@pytest.mark.parametrize("where", list(Side))
def test_what_is_edited_after_the_decision_is_never_overwritten(amy: Trade, where: Side) -> None:
    amy.decide(Choice.KEEP_BOOKS, Entity.CUSTOMER, "q1", "r1")
    side, record_id = (amy.books, "q1") if where is Side.BOOKS else (amy.billing, "r1")
    side.change(Entity.CUSTOMER, record_id, phone="4")
    assert writes(amy) == []
    assert standing(amy) == [Standing.OUTDATED]
    assert said(amy) == f"The phone has changed since in {where.product}."
    assert {finding.severity for finding in amy.compare()[Entity.CUSTOMER].findings} == {Severity.HOLD}


def test_a_decision_about_a_whole_record_does_not_cover_what_changed_later(amy: Trade) -> None:
    amy.decide(Choice.KEEP_BOOKS, Entity.CUSTOMER, "q1", "r1")
    amy.billing.change(Entity.CUSTOMER, "r1", city="Tucson")
    assert (writes(amy), standing(amy)) == ([], [Standing.OUTDATED])
    assert said(amy) == "More has changed since: city."


def test_a_decision_about_one_field_leaves_the_others_to_the_usual_rules(amy: Trade) -> None:
    amy.billing.change(Entity.CUSTOMER, "r1", email="amy@x.com")
    amy.books.change(Entity.CUSTOMER, "q1", email="amy@x.com")
    amy.decide(Choice.KEEP_BOOKS, Entity.CUSTOMER, "q1", "r1", "phone")
    amy.billing.change(Entity.CUSTOMER, "r1", city="Tucson")
    assert writes(amy) == [
        (Side.BILLING, Action.UPDATE, {"phone": "2"}),
        (Side.BOOKS, Action.UPDATE, {"city": "Tucson"}),
    ]


def test_a_decision_that_a_crash_left_open_is_done_and_never_undoes_the_next_edit(amy: Trade) -> None:
    """Carried out but not marked so; then ReliaBills goes back to what was seen. The base tells the two apart."""
    amy.decide(Choice.KEEP_BOOKS, Entity.CUSTOMER, "q1", "r1")
    amy.links[Entity.CUSTOMER].clear()
    amy.billing.change(Entity.CUSTOMER, "r1", phone="2", email="2@x.com")
    amy.agree(Entity.CUSTOMER, "q1", "r1")
    assert standing(amy) == [Standing.DONE]
    amy.billing.change(Entity.CUSTOMER, "r1", phone="3", email="3@x.com")
    assert standing(amy) == [Standing.OUTDATED]
    assert writes(amy) == [(Side.BOOKS, Action.UPDATE, {"email": "3@x.com", "phone": "3"})]


def test_a_difference_between_records_matched_for_the_first_time_is_decided_too(trade: Trade) -> None:
    trade.books.customer("q1", "Amy", phone="1")
    trade.billing.customer("r1", "Amy", phone="2")
    trade.decide(Choice.KEEP_BILLING, Entity.CUSTOMER, "q1", "r1")
    assert [action for _, action, _ in writes(trade)] == [Action.LINK, Action.UPDATE]
    assert carried_out(trade) == []


# Money rules and what else stands in the way


def lines(amount: int, product: str) -> list[dict[str, Any]]:
    return [{"product_id": product, "taxable": True, "amount": amount}]


@pytest.fixture
def invoiced(trade: Trade) -> Trade:
    """An invoice of 100.00 with 60.00 paid, whose lines both sides then changed."""
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("product", "q2", "r2", "Rocks")
    trade.both_have("invoice", "q5", "r5", "100", "q1", 10000, product="q2", balance=4000)
    trade.both_have("payment", "q7", "r7", "q1", 6000, {"q5": 6000})
    for side, letter, amount in ((trade.books, "q", 5000), (trade.billing, "r", 12000)):
        figures = {"subtotal": amount, "total": amount, "balance": amount - 6000}
        side.change(Entity.INVOICE, f"{letter}5", lines=lines(amount, f"{letter}2"), **figures)
    return trade


def test_a_decision_that_would_leave_more_paid_than_the_invoice_comes_to_is_held_with_the_reason(
    invoiced: Trade,
) -> None:
    invoiced.decide(Choice.KEEP_BOOKS, Entity.INVOICE, "q5", "r5")
    assert writes(invoiced) == []
    assert standing(invoiced, Entity.INVOICE) == [Standing.BLOCKED]
    assert "more is paid on the invoice in ReliaBills than it would come to" in said(invoiced, Entity.INVOICE)
    assert OVERPAID in {finding.check for finding in invoiced.compare()[Entity.INVOICE].findings}
    invoiced.resolutions.clear()
    invoiced.decide(Choice.KEEP_BILLING, Entity.INVOICE, "q5", "r5")
    assert [(side, list(payload)) for side, _, payload in writes(invoiced)] == [(Side.BOOKS, ["lines"])]


def test_decisions_about_single_figures_must_make_a_document_together(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("product", "q2", "r2", "Rocks")
    trade.both_have("invoice", "q5", "r5", "100", "q1", product="q2", lines=lines(10000, "q2"), discount_taxable=100)
    trade.books.change(Entity.INVOICE, "q5", discount_taxable=6000, lines=lines(9000, "q2"))
    trade.billing.change(Entity.INVOICE, "r5", discount_taxable=50, lines=lines(5000, "r2"))
    trade.decide(Choice.KEEP_BOOKS, Entity.INVOICE, "q5", "r5", "discount_taxable")
    trade.decide(Choice.KEEP_BILLING, Entity.INVOICE, "q5", "r5", "lines")
    assert writes(trade) == []
    assert standing(trade, Entity.INVOICE) == [Standing.BLOCKED, Standing.BLOCKED]
    assert "takes more off its taxable part than that part comes to" in said(trade, Entity.INVOICE)
    assert MERGE in {finding.check for finding in trade.compare()[Entity.INVOICE].findings}


def test_a_void_that_nobody_can_undo_and_a_paid_invoice_stay_as_they_are_whatever_is_decided(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("invoice", "q5", "r5", "100", "q1", 10000, balance=4000)
    trade.books.change(Entity.INVOICE, "q5", void=True, state="void", balance=0)
    trade.billing.change(Entity.INVOICE, "r5", memo="please pay")
    for choice, check in ((Choice.KEEP_BILLING, UNVOID), (Choice.KEEP_BOOKS, PAID_VOID)):
        trade.resolutions.clear()
        trade.decide(choice, Entity.INVOICE, "q5", "r5", "void")
        assert check in {finding.check for finding in trade.compare()[Entity.INVOICE].findings}
        assert writes(trade) == []
    trade.billing.change(Entity.INVOICE, "r5", balance=10000)
    assert writes(trade) == [(Side.BILLING, Action.VOID, {"void": True})]


# Who is who


@pytest.fixture
def twins(trade: Trade) -> Trade:
    """Two customers of one name in QuickBooks, one in ReliaBills."""
    trade.books.customer("q1", "Amy", city="Bayshore")
    trade.books.customer("q2", "Amy", city="Tucson")
    trade.billing.customer("r1", "Amy", city="Tucson")
    return trade


def test_an_ambiguous_match_is_settled_by_a_link(twins: Trade) -> None:
    assert {finding.check for finding in twins.compare()[Entity.CUSTOMER].findings} == {AMBIGUOUS}
    twins.decide(Choice.LINK, Entity.CUSTOMER, "q2", "r1")
    pairs = twins.compare()[Entity.CUSTOMER].pairs
    assert (list(pairs["books_id"]), list(pairs["billing_id"])) == (["q2"], ["r1"])
    assert [action for _, action, _ in writes(twins)] == [Action.LINK]
    assert {finding.check for finding in twins.compare()[Entity.CUSTOMER].findings} == {TAKEN}


def test_a_link_between_records_that_have_changed_is_outdated(twins: Trade) -> None:
    twins.decide(Choice.LINK, Entity.CUSTOMER, "q2", "r1")
    twins.books.change(Entity.CUSTOMER, "q2", display_name="Amelia")
    assert standing(twins) == [Standing.OUTDATED]
    assert "The record in QuickBooks has changed since (display name)" in said(twins)
    twins.books.remove(Entity.CUSTOMER, "q2")
    assert said(twins) == "The record is no longer in QuickBooks."
    assert writes(twins) == [(None, Action.LINK, {})]


def test_records_that_people_took_apart_are_each_of_its_own_and_never_matched_again(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("invoice", "q5", "r5", "100", "q1", 10000)
    trade.both_have("payment", "q7", "r7", "q1", 1000, {"q5": 1000})
    decision = trade.decide(Choice.UNLINK, Entity.PAYMENT, "q7", "r7")
    assert [(side, action) for side, action, _ in writes(trade)] == [
        (None, Action.FORGET),
        (Side.BOOKS, Action.CREATE),
        (Side.BILLING, Action.CREATE),
    ]
    trade.links[Entity.PAYMENT].clear()
    trade.end(Entity.PAYMENT, "q7", "r7")
    trade.resolutions[:] = [replace(decision, status=Status.APPLIED)]
    compared = trade.compare()[Entity.PAYMENT]
    assert compared.pairs.empty
    assert set(compared.changes["verdict"]) == {str(Verdict.NEW_IN_BOOKS), str(Verdict.NEW_IN_BILLING)}
    assert not compared.changes["held"].any()


def test_records_taken_apart_that_bear_one_name_wait_until_one_is_renamed(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.decide(Choice.UNLINK, Entity.CUSTOMER, "q1", "r1")
    assert [action for _, action, _ in writes(trade)] == [Action.FORGET]
    assert [finding.check for finding in trade.compare()[Entity.CUSTOMER].findings] == [TAKEN, TAKEN]
    trade.books.change(Entity.CUSTOMER, "q1", display_name="Amelia")
    assert standing(trade) == [Standing.OUTDATED]


def test_after_a_merge_in_quickbooks_the_record_that_stays_is_relinked(trade: Trade) -> None:
    """Amy 2 went into Amy in QuickBooks; ReliaBills has both, and the one that pays is the second."""
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("customer", "q2", "r2", "Amy 2")
    trade.books.change(Entity.CUSTOMER, "q2", active=False)
    trade.decide(Choice.RELINK, Entity.CUSTOMER, "q1", "r2")
    found = writes(trade)
    assert [(side, action) for side, action, _ in found] == [
        (None, Action.FORGET),
        (None, Action.FORGET),
        (None, Action.LINK),
    ]
    pairs = trade.compare()[Entity.CUSTOMER].pairs
    assert list(zip(pairs["books_id"], pairs["billing_id"], strict=True)) == [("q1", "r2")]


# Left alone


def test_an_ignored_conflict_is_left_alone_and_said_to_be(amy: Trade) -> None:
    amy.books.change(Entity.CUSTOMER, "q1", city="Tucson")
    amy.decide(Choice.IGNORE, Entity.CUSTOMER, "q1", "r1", "phone", "email", "city", until=date(2026, 12, 1))
    assert writes(amy) == []
    (finding,) = amy.compare()[Entity.CUSTOMER].findings
    assert (finding.check, finding.severity) == (IGNORED, Severity.NOTE)
    assert "It is left alone: ignore until 2026-12-01 (Anna: she said so)" in finding.sentence
    amy.billing.change(Entity.CUSTOMER, "r1", phone="9")
    assert standing(amy) == [Standing.OUTDATED]
    assert [one.severity for one in amy.compare()[Entity.CUSTOMER].findings] == [Severity.HOLD]


def test_an_ignored_record_that_is_new_is_not_created_and_what_needs_it_waits(trade: Trade) -> None:
    trade.books.customer("q1", "Test customer, please ignore")
    trade.books.invoice("q5", "100", "q1", 100)
    trade.decide(Choice.IGNORE, Entity.CUSTOMER, "q1", None, until=date(2026, 12, 1))
    planned = trade.plan()
    assert planned.plan.operations == ()
    assert [(note.severity, note.label) for note in planned.findings] == [(Severity.NOTE, "100")]
    assert [finding.check for finding in trade.compare()[Entity.CUSTOMER].findings] == [IGNORED]


# Laws

FIELDS = ("phone", "region", "city", "company_name")
VALUES = st.sampled_from([None, "a", "b", "c"])
RECORDS = st.fixed_dictionaries(dict.fromkeys(FIELDS, VALUES))


def world(make_trade: type[Trade], base: Any, books: Any, billing: Any) -> Trade:
    trade = make_trade()
    trade.both_have("customer", "q1", "r1", "Amy", **base)
    trade.books.change(Entity.CUSTOMER, "q1", **books)
    trade.billing.change(Entity.CUSTOMER, "r1", **billing)
    return trade


@LAW
@given(base=RECORDS, books=RECORDS, billing=RECORDS)
def test_keeping_either_side_is_symmetrical_and_ends_in_agreement(
    make_trade: type[Trade], base: Any, books: Any, billing: Any
) -> None:
    here, there = world(make_trade, base, books, billing), world(make_trade, base, billing, books)
    here.decide(Choice.KEEP_BOOKS, Entity.CUSTOMER, "q1", "r1")
    there.decide(Choice.KEEP_BILLING, Entity.CUSTOMER, "q1", "r1")
    mirrored = [(side and side.other, action, payload) for side, action, payload in writes(there)]
    assert sorted(writes(here), key=repr) == sorted(mirrored, key=repr)
    assert carried_out(here) == carried_out(there) == []


@LAW
@given(base=RECORDS, books=RECORDS, billing=RECORDS, later=RECORDS, where=st.sampled_from(list(Side)), data=st.data())
def test_no_decision_ever_overwrites_an_edit_made_after_it(
    make_trade: type[Trade], base: Any, books: Any, billing: Any, later: Any, where: Side, data: Any
) -> None:
    trade = world(make_trade, base, books, billing)
    trade.decide(data.draw(st.sampled_from(list(KEEP.values()))), Entity.CUSTOMER, "q1", "r1")
    side: OneSide = trade.books if where is Side.BOOKS else trade.billing
    record_id = "q1" if where is Side.BOOKS else "r1"
    before = dict(side.records[Entity.CUSTOMER][record_id])
    edited = {name: value for name, value in later.items() if value != before[name] and value != base[name]}
    side.change(Entity.CUSTOMER, record_id, **edited)
    for target, _, payload in writes(trade):
        assert target is not where or not edited.keys() & payload.keys(), "an edit was overwritten"
