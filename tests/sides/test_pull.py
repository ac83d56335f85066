"""What a census lacks is read directly before anybody believes that it is gone; of two copies the newer counts."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from reconcile.model.changes import LINK_COLUMNS
from reconcile.model.entities import Entity, Side
from reconcile.model.snapshot import Scope, conform, record_dtypes, row_dtypes
from reconcile.sides.memory import MemorySide
from reconcile.sides.pull import confirm_absences, merged, pull_census


def test_a_linked_record_that_a_census_overlooks_is_there_and_a_deleted_one_is_gone() -> None:
    books, billing = MemorySide(Side.BOOKS), MemorySide(Side.BILLING)
    overlooked, deleted = (books.add(Entity.CUSTOMER, display_name=name, active=True) for name in ("Amy", "Bob"))
    books.remove(Entity.CUSTOMER, deleted)
    sides = {Side.BOOKS: books, Side.BILLING: billing}
    pulled = {side: pull_census(of) for side, of in sides.items()}
    customers = pulled[Side.BOOKS][Entity.CUSTOMER]
    pulled[Side.BOOKS][Entity.CUSTOMER] = replace(customers, frame=customers.frame.iloc[:0], counted=None)
    pairs = {entity: pd.DataFrame(columns=list(LINK_COLUMNS), dtype="str") for entity in Entity}
    pairs[Entity.CUSTOMER] = pd.DataFrame(
        {"books_id": [overlooked, deleted], "billing_id": ["1001", "1002"]}, dtype="str"
    )
    confirmed = confirm_absences(sides, pulled, pairs)[Side.BOOKS][Entity.CUSTOMER]
    assert list(confirmed.frame["id"]) == [overlooked]
    assert confirmed.gone == {deleted}


def test_what_a_list_of_changes_calls_deleted_is_believed_only_when_a_direct_read_says_so() -> None:
    books, billing = MemorySide(Side.BOOKS), MemorySide(Side.BILLING)
    there, deleted = (books.add(Entity.CUSTOMER, display_name=name, active=True) for name in ("Amy", "Bob"))
    books.remove(Entity.CUSTOMER, deleted)
    sides = {Side.BOOKS: books, Side.BILLING: billing}
    pulled = {side: {entity: of.fetch(entity, []) for entity in Entity} for side, of in sides.items()}
    customers = pulled[Side.BOOKS][Entity.CUSTOMER]
    pulled[Side.BOOKS][Entity.CUSTOMER] = replace(customers, gone=frozenset({there, deleted}))
    pairs = {entity: pd.DataFrame(columns=list(LINK_COLUMNS), dtype="str") for entity in Entity}
    pairs[Entity.CUSTOMER] = pd.DataFrame({"books_id": [there, deleted], "billing_id": ["1001", "1002"]}, dtype="str")
    confirmed = confirm_absences(sides, pulled, pairs)[Side.BOOKS][Entity.CUSTOMER]
    assert (list(confirmed.frame["id"]), confirmed.gone) == ([there], {deleted})


@settings(max_examples=40)
@given(copies=st.lists(st.tuples(st.sampled_from("123"), st.integers(0, 12)), max_size=9), data=st.data())
def test_of_copies_that_arrive_in_any_order_the_newest_counts(
    copies: list[tuple[str, int]], data: st.DataObject
) -> None:
    nothing = replace(MemorySide(Side.BOOKS).fetch(Entity.INVOICE, []), scope=Scope.DELTA)
    dtypes = record_dtypes(Entity.INVOICE)
    arrived = nothing
    for record_id, version in data.draw(st.permutations(copies)):
        record = {"id": [record_id], "version": [str(version)], "memo": [f"{record_id} as of {version}"]}
        rows = pd.DataFrame({"parent_id": [record_id], "position": [1], "amount": [version]}).astype(
            {"parent_id": "str"}
        )
        copy = replace(
            nothing,
            frame=conform(pd.DataFrame(record), dtypes),
            rows=conform(rows, row_dtypes(Entity.INVOICE)),
            scope=Scope.SELECTED,
            marks={record_id: f"{version:016x}"} if version % 2 else {},
        )
        arrived = merged(arrived, copy)
    newest = {record_id: max(version for one, version in copies if one == record_id) for record_id, _ in copies}
    assert dict(zip(arrived.frame["id"], arrived.frame["memo"], strict=True)) == {
        record_id: f"{record_id} as of {version}" for record_id, version in newest.items()
    }
    assert dict(zip(arrived.rows["parent_id"], arrived.rows["amount"], strict=True)) == newest
    assert len(arrived.rows) == len(newest)
    assert arrived.marks == {one: f"{version:016x}" for one, version in newest.items() if version % 2}
