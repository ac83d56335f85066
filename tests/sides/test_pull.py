"""What a census lacks is read directly before anybody believes that it is gone."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from reconcile.model.changes import LINK_COLUMNS
from reconcile.model.entities import Entity, Side
from reconcile.sides.memory import MemorySide
from reconcile.sides.pull import confirm_absences, pull_census


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
