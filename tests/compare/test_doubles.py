"""Payments that one write has made twice in QuickBooks: shown, never carried to ReliaBills, and in nobody's way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconcile.compare.doubles import new_in_books
from reconcile.compare.rules import TWICE
from reconcile.model.entities import Entity
from reconcile.model.findings import Severity

if TYPE_CHECKING:
    from conftest import Trade


@pytest.fixture
def paid(trade: Trade) -> Trade:
    """Amy has paid in ReliaBills; the payment is in QuickBooks twice, and she has paid something else there."""
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("payment", "q7", "r7", "q1", 300)
    trade.books.payment("q8", "q1", 300)
    trade.books.payment("q9", "q1", 500)
    return trade


def test_only_payments_that_would_be_made_in_reliabills_are_looked_at(paid: Trade) -> None:
    assert new_in_books(paid.compare()[Entity.PAYMENT]) == ("q8", "q9")


def test_the_second_payment_of_one_write_is_held_with_both_ids_and_its_sibling_is_carried(paid: Trade) -> None:
    planned = paid.plan(doubles={"q8": "q7"})
    assert [(one.books_id, str(one.action)) for one in planned.plan.writes()] == [("q9", "create")]
    (finding,) = [one for one in planned.findings if one.check == TWICE]
    assert (finding.severity, finding.entity, finding.record_id) == (Severity.HOLD, Entity.PAYMENT, "q8")
    assert finding.amount == 300
    assert "(id q8) was made by the same write of the sync as the payment with the id q7" in finding.sentence
    assert "void this one" in finding.remedy


def test_payments_alike_that_two_people_entered_are_both_carried(paid: Trade) -> None:
    assert {one.books_id for one in paid.plan().plan.writes()} == {"q8", "q9"}
