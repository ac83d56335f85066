"""Whether a write whose answer was lost has happened: each rung of the ladder, and none of them makes a second one."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Severity
from reconcile.model.journal import EntryStatus
from reconcile.model.plan import Action, Operation
from reconcile.push.settle import unresolved_findings
from reconcile.sides.memory import REMEMBERS
from reconcile.sides.side import Refusal, RequestMemory, mark_of
from tests.push.conftest import LIKE_QUICKBOOKS, Office, Unsteady, creation

HOUR = timedelta(hours=1)
PAID = {
    "customer_id": "books:1",
    "amount": 5000,
    "credit": 0,
    "payment_date": "2026-11-22",
    "reference": None,
    "applications": "[]",
    "void": False,
}


def a_payment(number: int = 1, **changes: Any) -> Operation:
    return creation(Entity.PAYMENT, f"billing:{number}", "check", **{**PAID, **changes})


def an_invoice(**changes: Any) -> Operation:
    fields = {"number": "1001", "customer_id": "books:1", "lines": "[]", "void": False, **changes}
    return creation(Entity.INVOICE, "billing:12", "1001", **fields)


def a_customer() -> Operation:
    return creation(Entity.CUSTOMER, "billing:1", "Amy", display_name="Amy", active=True)


def lost(office: Office, *operations: Operation, takes_effect: bool = True) -> None:
    """These writes are sent and no answer comes."""
    office.books.losses = 1
    office.books.takes_effect = takes_effect
    report = office.push(*operations)
    assert {attempt.status for attempt in report.attempts} == {"unknown"}
    assert all(entry.status is EntryStatus.UNKNOWN for entry in office.entries()[-len(operations) :])


CLOSED = (Refusal.FOR_NOW, "The date lies in a period that is closed.")
TOO_LONG = (Refusal.FOR_GOOD, "A text is longer than it may be.")
MINUTES = timedelta(minutes=1)


def base(office: Office) -> dict[str, Any]:
    """What both sides were last seen to agree on of the only customer."""
    (fields,) = office.references._links.agreement(Entity.CUSTOMER).frame["fields"]
    agreed: dict[str, Any] = json.loads(fields)
    return agreed


def payments(office: Office) -> list[str]:
    return office.books.census(Entity.PAYMENT).frame["id"].tolist()


@pytest.mark.parametrize("takes_effect", [True, False])
def test_a_side_that_remembers_requests_is_asked_and_answers_both_ways(office: Office, *, takes_effect: bool) -> None:
    office.books = Unsteady(REMEMBERS)
    lost(office, a_payment(), takes_effect=takes_effect)
    (settled,) = office.settle()
    assert settled.status is (EntryStatus.DONE if takes_effect else EntryStatus.ABSENT)
    assert "was asked by request id" in settled.evidence
    assert office.entries()[0].evidence == settled.evidence
    assert len(office.books.asked) == 1


def test_what_was_edited_before_it_was_settled_is_an_edit_and_not_part_of_what_was_agreed(office: Office) -> None:
    office.books = Unsteady(REMEMBERS)
    lost(office, a_customer())
    (record,) = office.books.census(Entity.CUSTOMER).frame["id"]
    office.books.edit(Entity.CUSTOMER, record, display_name="Amy and Sons")
    (settled,) = office.settle()
    assert settled.record_id == record
    agreed = office.references._links.agreement(Entity.CUSTOMER).frame
    assert '"Amy"' in agreed["fields"].iloc[0]
    assert agreed["unsettled"].isna().all()


def test_our_mark_tells_the_record_whatever_people_made_of_it(office: Office) -> None:
    lost(office, an_invoice())
    (record,) = office.books.census(Entity.INVOICE).frame["id"]
    office.books.edit(Entity.INVOICE, record, number="2002", memo="renumbered by hand")
    (settled,) = office.settle()
    assert (settled.status, settled.record_id) == (EntryStatus.DONE, record)
    assert "looked for our mark" in settled.evidence
    assert office.links(Entity.INVOICE) == [(record, "12")]
    assert len(office.books.asked) == 1


def test_of_two_payments_alike_each_lost_one_is_found_by_its_own_mark(office: Office) -> None:
    lost(office, a_payment(1), a_payment(2))
    made = payments(office)
    assert [item.status for item in office.settle()] == [EntryStatus.DONE] * 2
    assert office.links(Entity.PAYMENT) == [(made[0], "1"), (made[1], "2")]


def test_a_payment_alike_that_is_another_ones_counterpart_is_never_adopted(office: Office) -> None:
    office.push(a_payment(1))
    (first,) = payments(office)
    office.books.unmark(Entity.PAYMENT, first)
    lost(office, a_payment(2), takes_effect=False)
    office.time_passes(HOUR)
    (settled,) = office.settle()
    assert (settled.status, settled.record_id) == (EntryStatus.ABSENT, None)
    assert "looked by customer, amount and date" in settled.evidence
    assert office.links(Entity.PAYMENT) == [(first, "1")]


def test_a_payment_alike_that_another_request_made_is_not_ours_either(office: Office) -> None:
    lost(office, a_payment(1), a_payment(2), takes_effect=True)
    made = payments(office)
    office.books.remove(Entity.PAYMENT, made[0])
    office.time_passes(HOUR)
    assert [item.status for item in office.settle()] == [EntryStatus.ABSENT, EntryStatus.DONE]
    assert office.links(Entity.PAYMENT) == [(made[1], "2")]


def test_while_a_search_may_lag_behind_finding_nothing_proves_nothing_and_the_request_is_repeated(
    office: Office,
) -> None:
    lost(office, a_payment())
    office.books.hides = True
    (settled,) = office.settle()
    assert settled.status is EntryStatus.DONE
    assert "the same request was repeated" in settled.evidence
    assert len(payments(office)) == 1
    assert len(set(office.books.asked)) == 1


def test_the_journal_knows_what_a_request_has_made_whatever_became_of_its_answer(office: Office) -> None:
    office.push(a_payment(1))
    lost(office, a_payment(2))
    made = office.journal("run-3").made
    answered, open_still = (entry.request_id for entry in office.entries())
    assert made(Entity.PAYMENT, Side.BOOKS) == {answered: payments(office)[0], open_still: None}
    assert office.books.census(Entity.PAYMENT).marks[payments(office)[0]] == mark_of(answered)
    office.settle()
    assert made(Entity.PAYMENT, Side.BOOKS) == {answered: payments(office)[0], open_still: payments(office)[1]}
    assert made(Entity.INVOICE, Side.BOOKS) == made(Entity.PAYMENT, Side.BILLING) == {}


def test_a_request_that_has_made_nothing_is_none_of_those_that_made_something(office: Office) -> None:
    lost(office, a_payment(), takes_effect=False)
    office.time_passes(HOUR)
    (settled,) = office.settle()
    assert settled.status is EntryStatus.ABSENT
    assert office.journal("run-3").made(Entity.PAYMENT, Side.BOOKS) == {}


def test_what_never_arrived_is_carried_out_by_the_repetition_once(office: Office) -> None:
    lost(office, a_payment(), takes_effect=False)
    (settled,) = office.settle()
    assert (settled.status, [settled.record_id]) == (EntryStatus.DONE, payments(office))
    assert office.settle("run-3") == ()


def test_after_the_window_nothing_is_repeated_and_finding_nothing_is_a_proof(office: Office) -> None:
    lost(office, a_payment(), takes_effect=False)
    office.books.forgets = True
    office.time_passes(HOUR)
    (settled,) = office.settle()
    assert settled.status is EntryStatus.ABSENT
    assert settled.evidence.endswith("not there")
    assert len(office.books.asked) == 1
    office.push(a_payment(), run_id="run-3")
    assert len(payments(office)) == 1
    assert len(set(office.books.asked)) == 1


def test_after_the_window_what_is_there_is_found_although_the_request_is_forgotten(office: Office) -> None:
    lost(office, a_payment())
    office.books.forgets = True
    office.time_passes(HOUR)
    (settled,) = office.settle()
    assert settled.status is EntryStatus.DONE
    assert len(payments(office)) == 1


def test_a_side_that_is_not_trusted_to_repeat_leaves_a_fresh_one_unknown_until_a_search_is_a_proof(
    office: Office,
) -> None:
    office.books.memory = RequestMemory(asks=False, lags=LIKE_QUICKBOOKS.lags)
    lost(office, a_payment(), takes_effect=False)
    (settled,) = office.settle()
    assert settled.status is EntryStatus.UNKNOWN
    assert [finding.severity for finding in unresolved_findings([settled])] == [Severity.HOLD]
    office.time_passes(HOUR)
    (later,) = office.settle("run-3")
    assert later.status is EntryStatus.ABSENT
    assert "too short a time ago" in office.entries()[0].evidence


def test_a_clock_that_ran_backwards_proves_no_absence(office: Office) -> None:
    office.books.memory = RequestMemory(asks=False, lags=LIKE_QUICKBOOKS.lags)
    lost(office, a_payment(), takes_effect=False)
    office.time_passes(-HOUR)
    (settled,) = office.settle()
    assert settled.status is EntryStatus.UNKNOWN


def test_a_clock_that_ran_backwards_does_not_tell_how_long_a_side_remembers(office: Office) -> None:
    lost(office, a_payment())
    office.books.hides = office.books.forgets = True
    office.time_passes(-HOUR)
    (settled,) = office.settle()
    assert settled.status is EntryStatus.UNKNOWN
    assert len(payments(office)) == 1


def test_somebodys_payment_alike_is_not_taken_for_ours_while_ours_may_be_hidden(office: Office) -> None:
    lost(office, a_payment())
    (ours,) = payments(office)
    theirs = office.books.add(Entity.PAYMENT, **{**PAID, "customer_id": "1", "applications": []})
    office.books.unmark(Entity.PAYMENT, ours)
    (settled,) = office.settle()
    assert settled.record_id == ours != theirs


def test_two_that_could_be_it_and_bear_no_mark_are_left_to_a_person(office: Office) -> None:
    lost(office, a_payment())
    (ours,) = payments(office)
    theirs = office.books.add(Entity.PAYMENT, **{**PAID, "customer_id": "1", "applications": []})
    office.books.unmark(Entity.PAYMENT, ours)
    office.time_passes(HOUR)
    (settled,) = office.settle()
    assert settled.status is EntryStatus.UNKNOWN
    assert f"2 records could be it ({ours}, {theirs})" in settled.evidence
    (finding,) = unresolved_findings([settled])
    assert (finding.severity, finding.record_id) == (Severity.HOLD, "1")


def test_the_one_that_bears_our_mark_wins(office: Office) -> None:
    office.books.add(Entity.PAYMENT, **{**PAID, "customer_id": "1", "applications": []})
    lost(office, a_payment())
    office.time_passes(HOUR)
    (settled,) = office.settle()
    assert settled.record_id == payments(office)[1]


def test_another_record_of_that_number_is_compared_and_not_adopted(office: Office) -> None:
    lost(office, an_invoice(), takes_effect=False)
    office.books.add(Entity.INVOICE, number="1001", customer_id="7", lines=[], void=False)
    office.time_passes(HOUR)
    (settled,) = office.settle()
    assert settled.status is EntryStatus.ABSENT
    assert "another one and is compared" in settled.evidence


def test_a_customer_is_found_by_its_unique_name_at_once(office: Office) -> None:
    lost(office, a_customer())
    (settled,) = office.settle()
    assert settled.status is EntryStatus.DONE
    assert "looked by name" in settled.evidence
    assert len(office.books.asked) == 1


def test_a_counterpart_that_somebody_linked_meanwhile_is_left_to_a_person(office: Office) -> None:
    lost(office, a_payment(1))
    (ours,) = payments(office)
    office.push(a_payment(2), run_id="run-2")
    linked = dict(office.links(Entity.PAYMENT))
    assert ours not in linked
    other = next(iter(linked))
    office.books.remove(Entity.PAYMENT, other)
    office.books._marks[Entity.PAYMENT][other] = office.books._marks[Entity.PAYMENT].pop(ours)
    office.books._records[Entity.PAYMENT][other] = office.books._records[Entity.PAYMENT].pop(ours)
    (settled,) = office.settle("run-3")
    assert settled.status is EntryStatus.UNKNOWN
    assert "another record's counterpart" in settled.evidence


@pytest.mark.parametrize("takes_effect", [True, False])
def test_a_change_without_an_answer_moves_no_base_until_it_was_seen(office: Office, *, takes_effect: bool) -> None:
    office.push(a_customer())
    ((books_id, billing_id),) = office.links(Entity.CUSTOMER)
    renamed = {"display_name": "Amy and Sons"}
    change = replace(
        a_customer(), action=Action.UPDATE, books_id=books_id, payload=renamed, agreed=renamed, expected_version="1"
    )
    assert billing_id == change.billing_id
    lost(office, change, takes_effect=takes_effect)
    assert base(office) == {"display_name": "Amy", "active": True}
    (settled,) = office.settle("run-3")
    assert settled.status is (EntryStatus.DONE if takes_effect else EntryStatus.ABSENT)
    assert base(office)["display_name"] == ("Amy and Sons" if takes_effect else "Amy")


# ------------------------------------------------------------------------------------------------ refused when repeated


def test_what_is_refused_for_its_content_is_settled_at_once_and_the_step_says_why(office: Office) -> None:
    lost(office, a_payment(), takes_effect=False)
    office.books.refuses = TOO_LONG
    (settled,) = office.settle()
    assert (settled.status, settled.reason) == (EntryStatus.FAILED, TOO_LONG[1])
    (entry,) = office.entries()
    assert (entry.status, entry.reason) == (EntryStatus.FAILED, TOO_LONG[1])
    assert entry.evidence == settled.evidence
    assert "whenever it arrives" in settled.evidence
    office.books.refuses = None
    office.push(a_payment(), run_id="run-3")
    first, repeated, anew = office.books.asked
    assert first == repeated != anew
    assert len(payments(office)) == 1


def test_what_is_refused_as_things_are_stays_open_with_the_words_of_the_refusal(office: Office) -> None:
    lost(office, a_payment(), takes_effect=False)
    office.books.refuses = CLOSED
    (settled,) = office.settle()
    assert settled.status is EntryStatus.UNKNOWN
    (finding,) = unresolved_findings([settled])
    assert finding.severity is Severity.HOLD
    assert CLOSED[1] in finding.sentence
    assert "may still be under way" in finding.sentence
    told = "Mend what QuickBooks does not accept; a run after HH:MM Central finds out by itself whether the first one"
    assert re.sub(r"\d\d:\d\d", "HH:MM", finding.remedy) == f"{told} still arrived."


def test_once_nothing_can_be_under_way_any_more_a_refusal_is_what_came_of_it_and_the_next_try_is_a_new_request(
    office: Office,
) -> None:
    lost(office, a_payment(), takes_effect=False)
    office.books.refuses = CLOSED
    office.settle()
    office.time_passes(HOUR)
    (settled,) = office.settle("run-3")
    assert (settled.status, settled.reason) == (EntryStatus.FAILED, CLOSED[1])
    assert office.books.asked == office.books.asked[:1] * 2
    office.books.refuses = None
    office.push(a_payment(), run_id="run-4")
    assert len(payments(office)) == 1
    assert len(set(office.books.asked)) == 2


def test_a_first_request_that_arrives_after_the_refusal_is_found_and_not_made_again(office: Office) -> None:
    office.books.underway = True
    lost(office, a_payment())
    office.books.refuses = CLOSED
    assert [one.status for one in office.settle()] == [EntryStatus.UNKNOWN]
    office.books.refuses = None  # somebody opens the period
    office.books.arrive()
    office.time_passes(HOUR)
    office.books.forgets = True
    (late,) = office.settle("run-3")
    assert (late.status, [late.record_id]) == (EntryStatus.DONE, payments(office))
    assert office.links(Entity.PAYMENT) == [(late.record_id, "1")]


def test_a_number_that_our_own_forgotten_first_request_has_taken_is_not_given_away(office: Office) -> None:
    lost(office, an_invoice())
    office.books.forgets = office.books.hides = True
    office.books.refuses = (Refusal.FOR_NOW, "Another transaction already has this number.")
    (settled,) = office.settle()
    assert settled.status is EntryStatus.UNKNOWN
    assert "Another transaction already has this number" in settled.evidence
    office.books.hides = False
    (later,) = office.settle("run-3")
    assert later.status is EntryStatus.DONE
    assert office.links(Entity.INVOICE) == [(later.record_id, "12")]


def test_a_repetition_that_did_not_reach_the_side_tells_nothing(office: Office) -> None:
    lost(office, a_payment(), takes_effect=False)
    office.books.refuses = (Refusal.NOTHING, "It was not sent: no connection.")
    (settled,) = office.settle()
    assert settled.status is EntryStatus.UNKNOWN
    assert settled.remedy.startswith("Nothing: a run after ")
    office.time_passes(HOUR)
    (later,) = office.settle("run-3")
    assert later.status is EntryStatus.ABSENT


def test_a_lost_repetition_does_not_make_the_side_remember_longer(office: Office) -> None:
    lost(office, a_payment())
    office.books.hides = True
    office.time_passes(20 * MINUTES)
    office.books.losses = 1
    assert [one.status for one in office.settle()] == [EntryStatus.UNKNOWN]
    office.time_passes(20 * MINUTES)
    office.books.forgets = True
    asked = len(office.books.asked)
    assert [one.status for one in office.settle("run-3")] == [EntryStatus.UNKNOWN]
    assert len(office.books.asked) == asked
    office.books.hides = False
    assert [one.status for one in office.settle("run-4")] == [EntryStatus.DONE]
    assert len(payments(office)) == 1


def test_after_an_absence_a_refusal_is_definite_at_once_and_the_next_try_is_a_new_request(office: Office) -> None:
    lost(office, a_payment(), takes_effect=False)
    office.time_passes(HOUR)
    assert [one.status for one in office.settle()] == [EntryStatus.ABSENT]
    office.books.refuses = CLOSED
    report = office.push(a_payment(), run_id="run-3")
    assert [attempt.status for attempt in report.attempts] == ["failed"]
    assert [entry.status for entry in office.entries("run-3")] == [EntryStatus.FAILED]
    assert office.settle("run-4") == ()
    office.books.refuses = None
    office.push(a_payment(), run_id="run-5")
    first, again, anew = office.books.asked
    assert first == again != anew
    assert len(payments(office)) == 1
