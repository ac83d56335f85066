"""What worlds in tests take for Great Expectations says the same as Great Expectations."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from checks import SUITES, Suite
from checks.engine import CheckResult, Examined, carried_out
from checks.world import World
from reconcile.model.entities import Entity, Side
from tests.checks.by_hand import carried_out_by_hand
from tests.checks.conftest import AS_OF

BOOKS, BILLING = Side


@pytest.mark.parametrize("rows_needed", [0, 9])
@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_it_says_of_good_and_spoiled_records_what_great_expectations_says(
    company: Any, suite: Suite, rows_needed: int
) -> None:
    company.set(BOOKS, Entity.CUSTOMER, "1", email="two@example.com, one@example.com", display_name="a:b")
    company.set(BILLING, Entity.CUSTOMER, "2", display_name="a:b", given_name=None)
    company.set(BILLING, Entity.INVOICE, "2", number="A-7", invoice_date="1899-01-01", customer_id="9")
    company.set(BOOKS, Entity.INVOICE, "1", number=None)
    company.set(BILLING, Entity.PAYMENT, "1", amount=None)
    company.set(BOOKS, Entity.PRODUCT, "2", name="Pump")
    books, billing = ({entity: company.snapshot(side, entity) for entity in Entity} for side in Side)
    world = World(books, billing, {side: {entity: frozenset() for entity in Entity} for side in Side}, AS_OF.date())
    for entity in suite.entities:
        sides = {}
        for side in Side:
            checks = [check for check in suite.checks if check.entity is entity and side in check.severity]
            facts = suite.facts(world, side, entity)
            twice = pd.concat([facts, facts.iloc[:1]], ignore_index=True) if side is BILLING else facts
            sides[side] = Examined(checks, twice, rows_needed)
        assert carried_out_by_hand("suite", sides) == carried_out("suite", sides)
        lacking = {BOOKS: Examined(sides[BOOKS].checks[-1:], sides[BOOKS].frame[[]], 0)}
        assert [_verdict(one) for one in carried_out_by_hand("suite", lacking)[BOOKS]] == [
            _verdict(one) for one in carried_out("suite", lacking)[BOOKS]
        ]


def _verdict(result: CheckResult) -> tuple[str, bool, bool]:
    return result.check.name, result.passed, bool(result.exception)
