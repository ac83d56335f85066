"""Guards, each seen to stand in the way and seen to let pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconcile.compare.guards import (
    EMPTIED,
    ENDINGS,
    SHRUNK,
    guards,
    many_effects,
    many_endings,
    wrong_company,
)
from reconcile.model.entities import Entity, Side
from reconcile.model.guards import Guard
from reconcile.model.snapshot import Scope

if TYPE_CHECKING:
    from conftest import Trade


@pytest.fixture
def crowd(trade: Trade) -> Trade:
    for n in range(10):
        trade.both_have("customer", f"q{n}", f"r{n}", f"Customer {n}")
    return trade


def found(trade: Trade) -> list[Guard]:
    return guards(trade.books.snapshots(), trade.billing.snapshots(), trade.agreements())


def test_sides_that_hold_what_is_linked_pass(crowd: Trade) -> None:
    assert found(crowd) == []


def test_an_emptied_side_stops_with_words(crowd: Trade) -> None:
    for n in range(10):
        crowd.books.remove(Entity.CUSTOMER, f"q{n}")
    (guard,) = found(crowd)
    assert guard.name == EMPTIED
    assert guard.sentence == "QuickBooks gives no customers at all, although 10 are linked."
    assert "right company" in guard.remedy
    assert guard.command("craigs", "r1") == (
        'reconcile permit craigs emptied-side --record books/customer --seen-in r1 --because "WHY"'
    )


def test_an_empty_side_that_never_had_any_passes(trade: Trade) -> None:
    assert found(trade) == []


def test_an_empty_delta_is_no_emptied_side(crowd: Trade) -> None:
    for n in range(10):
        crowd.books.remove(Entity.CUSTOMER, f"q{n}", known=False)
    crowd.books.scope = Scope.DELTA
    assert found(crowd) == []


def test_a_side_that_lost_a_third_stops_and_one_that_lost_a_fifth_passes(crowd: Trade) -> None:
    for n in range(2):
        crowd.billing.remove(Entity.CUSTOMER, f"r{n}")
    assert found(crowd) == []
    crowd.billing.remove(Entity.CUSTOMER, "r2")
    (guard,) = found(crowd)
    assert (guard.name, guard.sentence) == (SHRUNK, "ReliaBills lacks 3 of 10 linked customers.")
    assert guard.message("craigs").endswith(
        '`reconcile permit craigs shrunken-side --record billing/customer --up-to 3 --because "WHY"`'
    )


def test_records_that_could_not_be_read_are_not_missing(crowd: Trade) -> None:
    for n in range(3):
        crowd.billing.remove(Entity.CUSTOMER, f"r{n}", known=False)
        crowd.billing.unreadable[Entity.CUSTOMER].add(f"r{n}")
    assert found(crowd) == []


def test_one_of_three_is_no_disaster(trade: Trade) -> None:
    for n in range(3):
        trade.both_have("customer", f"q{n}", f"r{n}", f"Customer {n}")
    trade.billing.remove(Entity.CUSTOMER, "r0")
    assert found(trade) == []


def test_more_endings_than_usual_stop(crowd: Trade) -> None:
    for n in range(3):
        crowd.books.change(Entity.CUSTOMER, f"q{n}", active=False)
    plan = crowd.plan().plan
    (guard,) = many_endings(plan, 2)
    assert (guard.name, "ends 3 customers" in guard.sentence) == (ENDINGS, True)
    assert many_endings(plan, 3) == []


def test_another_company_behind_the_connection_stops() -> None:
    (guard,) = wrong_company(Side.BOOKS, "123", "0123", "Other & Co.")
    assert "leads to Other & Co. (0123)" in guard.sentence
    assert wrong_company(Side.BOOKS, "123", "123", "Renamed & Co.") == []


def test_more_charges_than_a_run_may_cause_stop(crowd: Trade) -> None:
    for n in range(2):
        crowd.billing.change(Entity.CUSTOMER, f"r{n}", auto_pay=True)
        crowd.books.invoice(f"q5{n}", f"10{n}", f"q{n}", 100)
    plan = crowd.plan().plan
    (guard,) = many_effects(plan, most_mails=0, most_charges=1)
    assert "cause 2 charges; at most 1" in guard.sentence
    assert many_effects(plan, most_mails=0, most_charges=2) == []
