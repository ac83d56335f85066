from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, text

from reconcile.errors import ConfigurationError, LeaseError, StepFailedError
from reconcile.model.entities import Entity, Side
from reconcile.model.journal import AgreementUpdate, Answer, EntryStatus
from reconcile.model.plan import Action
from reconcile.state import lease as leases
from reconcile.state.database import open_state, writing
from reconcile.state.journal import EXTRACT_COLUMNS, Journal

Make = Callable[..., AgreementUpdate]
DEFINITE = [EntryStatus.DONE, EntryStatus.FAILED, EntryStatus.STALE]


# The plain path


def test_intent_sent_and_answer_are_told_in_this_order(desk: Any, make_agreement: Make) -> None:
    entry = desk.intend(amount=239_00, currency="USD")
    assert entry.status is EntryStatus.INTENT
    desk.journal.mark_sent([entry])
    assert desk.journal.entries(desk.run.id)[0].status is EntryStatus.SENT
    assert desk.links.agreement(Entity.CUSTOMER).frame.empty
    desk.answer(
        entry, EntryStatus.DONE, target_id="77", version_after="1", trace="tid-1", agreement=make_agreement("12", "77")
    )
    [done] = desk.journal.entries(desk.run.id)
    assert (done.status, done.target_id, done.version_after, done.trace) == (EntryStatus.DONE, "77", "1", "tid-1")
    assert done.answered_at is not None
    assert desk.links.counterpart(Entity.CUSTOMER, Side.BOOKS, "12") == "77"
    assert desk.journal.open_entries() == []


def test_an_entry_holds_all_that_is_needed_to_finish_it_later(desk: Any) -> None:
    operation = desk.operation(
        "books:12",
        step=Entity.INVOICE,
        action=Action.UPDATE,
        billing_id="00077",
        expected_version="3",
        label="1037",
        amount=239_00,
        effects=(),
        agreed={"memo": "Thanks\0 <b>\ud800"},
        payload={"memo": "Thanks"},
    )
    fields = {"memo": "Thanks", "lines": [{"product_id": "00011", "amount": 4550, "taxable": None}]}
    [entry] = desk.journal.intend([(operation, fields)])
    [read] = desk.journal.open_entries()
    assert read == entry
    assert (entry.target_id, entry.expected_version, entry.key) == ("00077", "3", "books:12")
    assert entry.fields == fields
    assert entry.operation["agreed"] == {"memo": "Thanks\0 <b>\ud800"}
    assert entry.op_id == operation.op_id
    assert entry.intended_at.tzinfo is not None


@pytest.mark.parametrize(("side", "target"), [(Side.BOOKS, "12"), (Side.BILLING, "77")])
def test_a_change_names_the_record_on_the_written_side(desk: Any, side: Side, target: str) -> None:
    entry = desk.intend(action=Action.UPDATE, side=side, billing_id="77", expected_version="1")
    assert entry.target_id == target


def test_entries_come_back_in_the_order_given(desk: Any) -> None:
    keys = [f"books:{number}" for number in range(40, 0, -1)]
    entries = desk.journal.intend([(desk.operation(key), {"display_name": key}) for key in keys])
    assert [entry.key for entry in entries] == keys
    assert [entry.fields["display_name"] for entry in entries] == keys


def test_refused_changes_are_those_of_one_side_with_that_code_and_of_any_run(desk: Any) -> None:
    def refused(key: str, code: str, **write: Any) -> None:
        entry = desk.intend(key, **{"side": Side.BOOKS, "action": Action.UPDATE, "expected_version": "3", **write})
        desk.journal.mark_sent([entry])
        desk.answer(entry, EntryStatus.FAILED, code=code, reason="no")

    refused("books:1", "6000", fields={"active": True})
    refused("books:2", "6240")
    refused("books:3", "6000", side=Side.BILLING, billing_id="9")
    refused("billing:4", "6000", action=Action.CREATE, books_id=None, expected_version=None)
    desk.intend("books:5", side=Side.BOOKS, action=Action.UPDATE, expected_version="3")
    found = desk.journal.refused_changes(Side.BOOKS, "6000")
    assert [(one.target_id, one.expected_version, one.fields) for one in found] == [("1", "3", {"active": True})]


# Request ids


def test_the_same_write_on_two_journals_has_the_same_request_id_but_not_for_two_companies(
    desk: Any, make_desk: Any
) -> None:
    neighbour = make_desk(desk.url, company="neighbour")
    assert desk.intend().request_id != neighbour.intend().request_id
    assert desk.intend().request_id == desk.intend().request_id


@pytest.mark.parametrize(
    "changes",
    [
        {"step": Entity.PRODUCT},
        {"side": Side.BOOKS},
        {"action": Action.UPDATE},
        {"expected_version": "2"},
        {"fields": {"display_name": "cool cars"}},
        {"fields": {"display_name": "Cool Cars", "phone": None}},
    ],
)
def test_another_write_has_another_request_id(desk: Any, changes: dict[str, Any]) -> None:
    first = desk.write(EntryStatus.FAILED)
    other = desk.intend(**changes)
    assert other.request_id != first.request_id
    assert other.id != first.id


def test_ids_that_look_alike_as_numbers_have_different_request_ids(desk: Any) -> None:
    ids = {desk.intend(f"books:{record}").request_id for record in ("123", "00123", "1e2", "100")}
    assert len(ids) == 4


@pytest.mark.parametrize("outcome", DEFINITE)
def test_after_a_definite_outcome_the_same_write_gets_a_new_request_id(desk: Any, outcome: EntryStatus) -> None:
    """A side that remembers the id would replay its old answer instead of writing."""
    ids = [desk.write(outcome).request_id for _ in range(3)]
    assert len(set(ids)) == 3
    assert len(desk.journal.entries(desk.run.id)) == 3


def test_after_proven_absence_the_same_write_keeps_its_request_id(desk: Any, make_desk: Any) -> None:
    """The lost request may still arrive: the side recognises the second by its id."""
    first = desk.write(EntryStatus.UNKNOWN)
    desk.answer(first, EntryStatus.ABSENT, evidence="looked for in ReliaBills, not there")
    desk.lease.release()
    night_after = make_desk(desk.url)
    again = night_after.intend()
    assert (again.id, again.request_id) == (first.id, first.request_id)
    assert again.status is EntryStatus.INTENT
    assert again.run_id == night_after.run.id
    assert "looked for in ReliaBills, not there" in again.evidence
    assert desk.run.id in again.evidence
    night_after.journal.mark_sent([again])
    night_after.answer(again, EntryStatus.DONE)
    assert night_after.write(EntryStatus.DONE).request_id != first.request_id


def test_an_intent_that_never_left_is_taken_up_again(desk: Any) -> None:
    first, again = desk.intend(), desk.intend()
    assert (again.id, again.request_id, again.evidence) == (first.id, first.request_id, "")
    assert desk.count("journal") == 1


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(outcomes=st.lists(st.sampled_from([*DEFINITE, EntryStatus.ABSENT]), max_size=5), number=st.integers(1))
def test_a_request_id_changes_exactly_when_the_outcome_before_was_definite(
    desk: Any, outcomes: list[EntryStatus], number: int
) -> None:
    key = f"books:{number}-{desk.count('journal')}"
    request_ids = [desk.write(outcome, key=key).request_id for outcome in outcomes] + [desk.intend(key).request_id]
    for (before, after), outcome in zip(pairwise(request_ids), outcomes, strict=True):
        assert (before != after) is (outcome in DEFINITE)
    assert all(len(request_id) == 40 for request_id in request_ids)
    assert len(set(request_ids)) == 1 + sum(outcome in DEFINITE for outcome in outcomes)


# Refusals


@pytest.mark.parametrize("status", [EntryStatus.SENT, EntryStatus.UNKNOWN])
@pytest.mark.parametrize("fields", [None, {"display_name": "Cooler Cars"}])
def test_a_record_is_not_written_again_before_its_open_entry_is_settled(
    desk: Any, status: EntryStatus, fields: dict[str, Any] | None
) -> None:
    entry = desk.send()
    if status is EntryStatus.UNKNOWN:
        desk.answer(entry, EntryStatus.UNKNOWN)
    with pytest.raises(StepFailedError, match=r"'Cool Cars' to ReliaBills is not settled"):
        desk.journal.intend([(desk.operation("books:13"), {}), (desk.operation(), fields or entry.fields)])
    assert desk.count("journal") == 1


def test_an_open_entry_of_one_side_does_not_keep_the_other_side_waiting(desk: Any) -> None:
    desk.send()
    desk.intend(side=Side.BOOKS, action=Action.UPDATE, expected_version="0")
    desk.intend(step=Entity.PRODUCT)
    assert len(desk.journal.open_entries()) == 3


def test_a_record_is_not_written_twice_in_one_batch(desk: Any) -> None:
    twice = [(desk.operation(), {"phone": "1"}), (desk.operation(), {"phone": "2"})]
    with pytest.raises(StepFailedError, match="twice at once"):
        desk.journal.intend(twice)
    assert desk.count("journal") == 0


@pytest.mark.parametrize("action", [Action.LINK, Action.AGREE, Action.FORGET])
def test_what_writes_to_no_side_needs_no_entry_and_gets_none(desk: Any, action: Action) -> None:
    with pytest.raises(ValueError, match="writes to no side"):
        desk.intend(action=action, side=None)


def test_what_writes_to_a_side_is_not_merely_remembered(desk: Any, make_agreement: Make) -> None:
    with pytest.raises(ValueError, match="needs a journal entry"):
        desk.journal.remember([(desk.operation(), make_agreement())])


@pytest.mark.parametrize("fields", [{"total": 10.1}, {"lines": [{"amount": 0.5}]}])
def test_a_float_never_enters_the_journal(desk: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="float"):
        desk.intend(fields=fields)
    assert desk.count("journal") == 0


def test_a_journal_without_a_lease_only_reads(desk: Any, make_agreement: Make) -> None:
    entry = desk.send()
    reader = Journal(desk.engine, desk.company, desk.run.id)
    assert len(reader.entries(desk.run.id)) == len(reader.open_entries()) == len(reader.extract(desk.run.id)) == 1
    for write in writing_methods(desk, reader, entry, make_agreement):
        with pytest.raises(LeaseError, match="opened for reading"):
            write()


def test_a_lease_of_another_company_opens_no_journal(desk: Any) -> None:
    with pytest.raises(ValueError, match="does not allow writing"):
        Journal(desk.engine, "neighbour", desk.run.id, desk.lease)


def test_a_run_that_does_not_exist_journals_nothing(desk: Any) -> None:
    journal = Journal(desk.engine, desk.company, "no-such-run", desk.lease)
    with pytest.raises(ConfigurationError, match="no run 'no-such-run'"):
        journal.intend([(desk.operation(), {})])


def writing_methods(desk: Any, journal: Journal, entry: Any, make_agreement: Make) -> list[Callable[[], object]]:
    link = desk.operation("books:50", action=Action.LINK, side=None)
    return [
        lambda: journal.intend([(desk.operation("books:51"), {})]),
        lambda: journal.mark_sent([entry]),
        lambda: journal.answer([Answer(entry.id, EntryStatus.DONE, agreement=make_agreement("12", "99"))]),
        lambda: journal.remember([(link, make_agreement("50", "90"))]),
        lambda: journal.forget(Entity.CUSTOMER, "1", "2", because="too late"),
    ]


def test_a_holder_that_came_too_late_changes_nothing(desk: Any, make_desk: Any, make_agreement: Make) -> None:
    desk.link(make_agreement("1", "2"))
    entry = desk.send()
    desk.lease.release()
    new = make_desk(desk.url)
    assert new.lease.fence > desk.lease.fence
    for write in writing_methods(desk, desk.journal, entry, make_agreement):
        with pytest.raises(LeaseError, match="no longer holds"):
            write()
    assert [(e.id, e.status) for e in new.journal.open_entries()] == [(entry.id, EntryStatus.SENT)]
    assert list(new.links.pairs(Entity.CUSTOMER)["books_id"]) == ["1"]
    assert desk.count("journal") == 1


# Answers


def test_an_unknown_stays_open_until_it_is_resolved_with_evidence(desk: Any, make_agreement: Make) -> None:
    entry = desk.send()
    desk.answer(entry, EntryStatus.UNKNOWN, reason="the reply was lost", code="timeout")
    [unknown] = desk.journal.open_entries()
    assert (unknown.status, unknown.answered_at, unknown.code) == (EntryStatus.UNKNOWN, None, "timeout")
    desk.journal.mark_sent([unknown])
    desk.answer(entry, EntryStatus.DONE, target_id="77", evidence="found as 77", agreement=make_agreement())
    [done] = desk.journal.entries(desk.run.id)
    assert (done.status, done.target_id, done.evidence) == (EntryStatus.DONE, "77", "found as 77")


def test_evidence_said_every_night_is_told_once(desk: Any) -> None:
    entry = desk.send()
    for evidence in ("2 could be it", "2 could be it", "3 could be it"):
        desk.answer(entry, EntryStatus.UNKNOWN, evidence=evidence)
    assert desk.journal.open_entries()[0].evidence == "2 could be it; 3 could be it"


@pytest.mark.parametrize("first", [*DEFINITE, EntryStatus.ABSENT])
def test_the_first_definite_answer_stands(desk: Any, first: EntryStatus, make_agreement: Make) -> None:
    entry = desk.write(first)
    with pytest.raises(StepFailedError, match="answered already"):
        desk.answer(entry, EntryStatus.DONE, agreement=make_agreement())
    assert desk.journal.entries(desk.run.id)[0].status is first
    assert desk.links.pairs(Entity.CUSTOMER).empty


@pytest.mark.parametrize("first", [*DEFINITE, EntryStatus.ABSENT])
def test_what_is_answered_is_not_sent_again(desk: Any, first: EntryStatus) -> None:
    done, fresh = desk.write(first), desk.intend("books:13")
    with pytest.raises(StepFailedError, match="1 of 2 journal entries"):
        desk.journal.mark_sent([done, fresh])
    assert desk.journal.open_entries()[0].status is EntryStatus.INTENT


def test_what_was_never_sent_can_only_be_absent(desk: Any) -> None:
    entry = desk.intend()
    for status in (*DEFINITE, EntryStatus.UNKNOWN):
        with pytest.raises(StepFailedError, match="never marked as sent"):
            desk.answer(entry, status)
    desk.answer(entry, EntryStatus.ABSENT, evidence="it was never sent")
    assert desk.journal.open_entries() == []


def test_an_entry_of_another_company_cannot_be_answered_or_sent(desk: Any, make_desk: Any) -> None:
    entry = desk.send()
    neighbour = make_desk(desk.url, company="neighbour")
    with pytest.raises(StepFailedError, match="no journal entry"):
        neighbour.answer(entry, EntryStatus.DONE)
    with pytest.raises(StepFailedError, match="1 of 1 journal entries"):
        neighbour.journal.mark_sent([entry])
    assert neighbour.journal.entries(desk.run.id) == []


def test_the_answers_of_one_call_are_kept_together_or_not_at_all(desk: Any, make_agreement: Make) -> None:
    desk.link(make_agreement("1", "77"))
    entries = [desk.send(f"books:{number}") for number in (12, 13)]
    good = Answer(entries[0].id, EntryStatus.DONE, agreement=make_agreement("12", "80"))
    second_counterpart = Answer(entries[1].id, EntryStatus.DONE, agreement=make_agreement("13", "77"))
    with pytest.raises(StepFailedError, match="a record has one counterpart"):
        desk.journal.answer([good, second_counterpart])
    assert [entry.status for entry in desk.journal.open_entries()] == [EntryStatus.SENT] * 2
    assert list(desk.links.pairs(Entity.CUSTOMER)["books_id"]) == ["1"]
    with pytest.raises(StepFailedError, match="two answers at once"):
        desk.journal.answer([good, good])


@pytest.mark.parametrize("status", [EntryStatus.FAILED, EntryStatus.STALE, EntryStatus.UNKNOWN, EntryStatus.ABSENT])
def test_only_what_is_done_is_agreed(status: EntryStatus, make_agreement: Make) -> None:
    with pytest.raises(ValueError, match="leaves nothing agreed"):
        Answer(1, status, agreement=make_agreement())


@pytest.mark.parametrize("status", [EntryStatus.INTENT, EntryStatus.SENT])
def test_an_intention_is_no_answer(status: EntryStatus) -> None:
    with pytest.raises(ValueError, match="is no answer"):
        Answer(1, status)


def test_hostile_answers_are_kept_readable(desk: Any) -> None:
    entry = desk.send()
    desk.answer(entry, EntryStatus.FAILED, reason="<script>\0'; DROP TABLE journal; --\ud83d", code="6240", trace="t\0")
    [failed] = desk.journal.entries(desk.run.id)
    assert failed.reason == "<script>␀'; DROP TABLE journal; --\\ud83d"
    assert failed.trace == "t␀"


# Crashes

POINTS = ("after intent", "after sent", "inside answer", "after answer")
LEFT = {
    "after intent": (EntryStatus.INTENT, False),
    "after sent": (EntryStatus.SENT, False),
    "inside answer": (EntryStatus.SENT, False),
    "after answer": (EntryStatus.DONE, True),
}


@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_an_entry_is_open_or_answered_with_its_link_and_base(
    desk: Any, make_desk: Any, make_agreement: Make, in_a_process: Callable[..., int | None], point: str
) -> None:
    url = desk.url
    desk.lease.release()
    desk.engine.dispose()

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        child = make_desk(url, run_id="killed")
        entry = child.intend()
        if point == "after intent":
            die()
        child.journal.mark_sent([entry])
        if point == "after sent":
            die()
        if point == "inside answer":
            event.listen(Engine, "commit", lambda _connection: die())
        child.answer(entry, EntryStatus.DONE, target_id="77", agreement=make_agreement())
        die()

    assert in_a_process(work) == -signal.SIGKILL
    leases.release_run(open_state(url), "killed")
    after = make_desk(url)
    status, agreed = LEFT[point]
    [entry] = after.journal.entries("killed")
    assert entry.status is status
    assert bool(after.journal.open_entries()) is status.open
    assert (after.links.counterpart(Entity.CUSTOMER, Side.BOOKS, "12") == "77") is agreed
    assert len(after.links.agreement(Entity.CUSTOMER).frame) == int(agreed)


# What people read


def test_the_extract_has_a_row_per_entry_and_untouched_amounts(desk: Any, make_desk: Any) -> None:
    desk.write(EntryStatus.FAILED, "books:1", amount=999_999_999_999_99, label="=cmd|'/c calc'!A1", customer="00123")
    desk.intend("books:2", fields={"number": "00123"})
    make_desk(desk.url, company="neighbour").intend()
    extract = desk.journal.extract(desk.run.id)
    assert dict(extract.dtypes.astype(str)) == EXTRACT_COLUMNS
    assert list(extract["amount"].isna()) == [False, True]
    assert int(extract["amount"][0]) == 99_999_999_999_999
    assert (extract["label"][0], extract["customer"][0]) == ("=cmd|'/c calc'!A1", "00123")
    assert json.loads(extract["fields"][1]) == {"number": "00123"}
    assert list(extract["status"]) == ["failed", "intent"]
    assert extract["intended_at"].str.endswith("+00:00").all()


def test_the_extract_of_a_run_without_writes_is_an_empty_frame_of_the_same_columns(desk: Any) -> None:
    assert dict(desk.journal.extract(desk.run.id).dtypes.astype(str)) == EXTRACT_COLUMNS


def test_a_request_id_can_stand_in_the_journal_once_only(desk: Any) -> None:
    entry = desk.intend()
    with pytest.raises(Exception, match=r"(?i)unique"), writing(desk.engine) as connection:
        connection.execute(
            text(
                "INSERT INTO journal (company, run_id, op_id, identity, generation, request_id, step, action, side, "
                "record_key, operation, fields, payload_hash, status, trace, code, reason, evidence, intended_at) "
                "SELECT company, run_id, op_id, 'other', generation, request_id, step, action, side, record_key, "
                "operation, fields, payload_hash, status, trace, code, reason, evidence, intended_at FROM journal "
                "WHERE id = :id"
            ),
            {"id": entry.id},
        )
