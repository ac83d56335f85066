"""Midnight: what ReliaBills would charge although QuickBooks has it paid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest

from reconcile.compare.midnight import midnight_risk
from reconcile.model.entities import Entity

if TYPE_CHECKING:
    from conftest import Trade


@pytest.fixture
def garden(trade: Trade) -> Trade:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.billing.change(Entity.CUSTOMER, "r1", auto_pay=True)
    trade.both_have("invoice", "q5", "r5", "100", "q1", 1000)
    return trade


def risk(trade: Trade) -> pd.DataFrame:
    pairs = {entity: comparison.pairs for entity, comparison in trade.compare().items()}
    return midnight_risk(trade.books.snapshots(), trade.billing.snapshots(), pairs)


def test_paid_in_quickbooks_and_open_in_reliabills_would_be_charged_twice(garden: Trade) -> None:
    garden.books.change(Entity.INVOICE, "q5", balance=0, state="paid")
    (row,) = risk(garden).to_dict("records")
    assert (row["number"], row["customer"], row["at_risk"], row["currency"]) == ("100", "Amy", 1000, "USD")
    assert (row["billing_balance"], row["books_balance"]) == (1000, 0)
    assert row["why"] == "It is paid in QuickBooks, and the customer is on auto pay."


def test_a_part_payment_puts_that_part_at_risk(garden: Trade) -> None:
    garden.books.change(Entity.INVOICE, "q5", balance=400)
    (row,) = risk(garden).to_dict("records")
    assert row["at_risk"] == 600
    assert "open with only 4.00" in row["why"]


def test_a_void_in_quickbooks_is_at_risk_too(garden: Trade) -> None:
    garden.books.change(Entity.INVOICE, "q5", balance=0, void=True)
    assert "It is void in QuickBooks" in risk(garden)["why"].iloc[0]


def test_an_invoice_deleted_in_quickbooks_is_at_risk_and_one_it_merely_did_not_give_is_not(garden: Trade) -> None:
    garden.books.remove(Entity.INVOICE, "q5")
    (row,) = risk(garden).to_dict("records")
    assert (row["at_risk"], row["books_balance"]) == (1000, 0)
    assert "It is deleted in QuickBooks" in row["why"]
    garden.books.gone[Entity.INVOICE].clear()
    assert risk(garden).empty


def test_the_largest_risk_comes_first(garden: Trade) -> None:
    garden.both_have("invoice", "q6", "r6", "101", "q1", 5000)
    for record_id in ("q5", "q6"):
        garden.books.change(Entity.INVOICE, record_id, balance=0)
    assert risk(garden)["number"].tolist() == ["101", "100"]


def test_open_on_both_sides_is_no_risk(garden: Trade) -> None:
    assert risk(garden).empty


@pytest.mark.parametrize("facts", [{"state": "closed"}, {"void": True}, {"balance": 0}])
def test_what_reliabills_would_not_charge_is_no_risk(garden: Trade, facts: dict[str, object]) -> None:
    garden.books.change(Entity.INVOICE, "q5", balance=0)
    garden.billing.change(Entity.INVOICE, "r5", **facts)
    assert risk(garden).empty


def test_a_customer_without_auto_pay_is_no_risk(garden: Trade) -> None:
    garden.books.change(Entity.INVOICE, "q5", balance=0)
    garden.billing.change(Entity.CUSTOMER, "r1", auto_pay=False)
    assert risk(garden).empty


def test_an_invoice_without_a_counterpart_is_no_risk(garden: Trade) -> None:
    garden.billing.invoice("r6", "101", "r1", 500)
    assert risk(garden).empty
