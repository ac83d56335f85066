"""Guards, each seen to stand in the way and seen to let pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.compare.guards import (
    EMPTIED,
    SHRUNK,
    guards,
    many_deeds,
    stale_plan,
)
from reconcile.compare.habits import FLOOR, PRICES, limit
from reconcile.model.entities import Entity
from reconcile.model.guards import Guard
from reconcile.model.plan import Plan
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


def test_more_endings_than_the_company_ever_had_stop_and_a_young_one_may_tidy_up(make_trade: type[Trade]) -> None:
    def ends(number: int) -> Plan:
        trade = make_trade()
        for n in range(number):
            trade.both_have("customer", f"q{n}", f"r{n}", f"Customer {n}")
            trade.books.change(Entity.CUSTOMER, f"q{n}", active=False)
        return trade.plan().plan

    assert many_deeds(ends(FLOOR), []) == []
    (guard,) = many_deeds(ends(FLOOR + 1), [])
    assert (guard.name, guard.record, guard.measure) == ("many-endings", "customer", 21)
    assert guard.sentence == (
        "The plan ends 21 customers (void, delete or deactivate); this company has no earlier runs to compare with, "
        "so at most 20 pass."
    )
    assert many_deeds(ends(24), [{"customer": 3}, {"customer": 12}, {}]) == []
    (guard,) = many_deeds(ends(25), [{"customer": 3}, {"customer": 12}, {}])
    assert "the last 3 runs did at most 12, so at most 24 pass" in guard.sentence
    assert many_deeds(ends(21), [{"invoice": 900}]) != []
    (guard,) = many_deeds(ends(1), [{"customer": 900}], endings=0)
    assert "the company's setting lets at most 0 pass" in guard.sentence


def test_prices_that_change_all_at_once_stop(make_trade: type[Trade]) -> None:
    def reprices(number: int) -> Plan:
        trade = make_trade()
        for n in range(number):
            trade.both_have("product", f"q{n}", f"r{n}", f"Product {n}", unit_price=10_0000000)
            trade.books.change(Entity.PRODUCT, f"q{n}", unit_price=1_0000000)
            trade.books.product(f"q9{n}", f"New {n}")
        return trade.plan().plan

    assert many_deeds(reprices(FLOOR), []) == []
    (guard,) = many_deeds(reprices(FLOOR + 1), [])
    assert (guard.name, guard.measure) == ("many-price-changes", 21)
    assert "changes the prices of 21 products" in guard.sentence
    assert many_deeds(reprices(30), [{PRICES: 15}]) == []
    assert many_deeds(reprices(3), [], prices=2) != []


@given(st.lists(st.dictionaries(st.sampled_from(["customer", "invoice", PRICES]), st.integers(0, 10_000))))
def test_what_a_company_has_done_before_it_may_do_again(history: list[dict[str, int]]) -> None:
    for run in history:
        for kind, number in run.items():
            assert limit(kind, history).most >= number
            assert limit(kind, history).most >= limit(kind, history[1:]).most >= FLOOR


def test_a_plan_of_this_morning_is_not_carried_out_in_the_evening() -> None:
    assert stale_plan(2 * 3600) == []
    (guard,) = stale_plan(9.4 * 3600)
    assert "read 9 hours ago" in guard.sentence
    assert "permit" not in guard.message("craigs")
