"""Request ids of writes that are intended together: one beginning for all, an ending of its own for each."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconcile.model.journal import EntryStatus
from reconcile.model.plan import Action
from reconcile.state.journal import APART, TOGETHER


def ids(desk: Any, keys: list[str]) -> list[str]:
    fields = {"display_name": "Cool Cars"}
    return [entry.request_id for entry in desk.journal.intend([(desk.operation(key), fields) for key in keys])]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=st.sets(st.integers(1, 10**6), min_size=1, max_size=30), draw=st.integers(1))
def test_writes_intended_together_share_a_beginning_that_a_batch_can_carry(
    desk: Any, numbers: set[int], draw: int
) -> None:
    made = ids(desk, [f"books:{number}-{draw}-{desk.count('journal')}" for number in sorted(numbers)])
    assert len({one[:TOGETHER] for one in made}) == 1
    assert len({one[-APART:] for one in made}) == len(numbers)
    assert {len(one) for one in made} == {TOGETHER + APART}
    assert TOGETHER <= 36
    assert APART <= 10


def test_other_writes_have_another_beginning(desk: Any) -> None:
    first, second = ids(desk, ["books:1", "books:2"]), ids(desk, ["books:3", "books:4"])
    assert first[0][:TOGETHER] != second[0][:TOGETHER]


def test_the_same_writes_intended_together_elsewhere_have_the_same_ids(desk: Any, make_desk: Any) -> None:
    keys = ["books:1", "books:2", "books:3"]
    made = ids(desk, keys)
    with desk.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM journal")  # the state as it was restored from before
    assert ids(desk, keys) == made


def test_a_write_proven_absent_keeps_its_id_whatever_it_is_intended_with_next(desk: Any) -> None:
    first, second = desk.journal.intend(
        [(desk.operation(key), {"display_name": "Cool Cars"}) for key in ("books:1", "books:2")]
    )
    desk.journal.mark_sent([first, second])
    desk.answer(first, EntryStatus.UNKNOWN)
    desk.answer(first, EntryStatus.ABSENT, evidence="not there")
    desk.answer(second, EntryStatus.DONE)
    assert ids(desk, ["books:9", "books:1"])[1] == first.request_id


def test_a_write_to_another_record_is_another_write(desk: Any) -> None:
    """The record stands for itself on its own side; which one is written on the other may change by a relink."""
    update = {"action": Action.UPDATE, "expected_version": "1"}
    first = desk.send("books:1", billing_id="7", **update)
    desk.answer(first, EntryStatus.UNKNOWN)
    desk.answer(first, EntryStatus.ABSENT, evidence="not there")

    other = desk.intend("books:1", billing_id="8", **update)
    desk.answer(other, EntryStatus.ABSENT, evidence="it never left")
    again = desk.intend("books:1", billing_id="7", **update)

    assert (other.id == first.id, other.request_id == first.request_id, other.target_id) == (False, False, "8")
    assert (again.id, again.request_id, again.target_id) == (first.id, first.request_id, "7")
