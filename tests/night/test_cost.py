"""What a night asks of QuickBooks: its limits are shared by everything a company uses, and a night by all companies."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from reconcile.sandbox.billing import day
from reconcile.sides.quickbooks import QuickBooksSession
from tests.night.conftest import World
from tests.night.desks import L, agreed, billing_rows, customer_in_billing, invoice_in_billing, quiet

BATCH = 30
READING = {"companyinfo": 1, "preferences": 1, "cdc": 1, "batch": 1}
"""Who it is, what it has chosen, what changed, and its tax rates."""


@contextmanager
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """The calls to QuickBooks made meanwhile, by resource."""
    found: Counter[str] = Counter()
    call = QuickBooksSession.call

    def counted(self: QuickBooksSession, method: str, url: str, **more: Any) -> Any:
        found[url.partition("/company/")[2].split("/")[1]] += 1
        return call(self, method, url, **more)

    with monkeypatch.context() as patched:
        patched.setattr(QuickBooksSession, "call", counted)
        yield found


def test_a_quiet_night_costs_four_calls_and_a_busy_one_little_more_than_its_writes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = 2 * BATCH + 1
    for number in range(many):
        customer_in_billing(world, f"Customer {number}")
    day.new_product(world.billing, "Mowing", "25")

    with calls(monkeypatch) as first:
        agreed(world)
    for number in range(many):
        invoice_in_billing(world, f"Customer {number}", L("Mowing", "2", "25"))
    agreed(world, mode="delta")
    with calls(monkeypatch) as nothing:
        quiet(world, mode="delta")
    for (number,) in billing_rows(world, "select number from invoices"):
        day.edit_invoice(world.billing, number, memo="Thank you")
    with calls(monkeypatch) as edited:
        agreed(world, mode="delta")

    writes = math.ceil(many / BATCH)
    assert nothing == READING
    # a last look before the step that writes, and what was written read back
    assert edited == Counter(READING) + Counter({"batch": writes, "cdc": 1, "query": 1})
    # each list with its count, and the ways of paying; names among vendors and employees; one product and its account
    lists = Counter({"companyinfo": 1, "preferences": 1, "batch": 5, "query": 1})
    assert first == lists + Counter({"batch": 1 + writes + 1, "cdc": 2, "query": 1 + 2})
