"""What worlds in tests take for Great Expectations says the same as Great Expectations."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from checks import SUITES, Suite
from checks.engine import CheckResult, Examined, carried_out
from reconcile.model.entities import Side
from tests.checks.by_hand import carried_out_by_hand
from tests.checks.conftest import spoiled

BOOKS, BILLING = Side


@pytest.mark.parametrize("rows_needed", [0, 9])
@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_it_says_of_good_and_spoiled_records_what_great_expectations_says(
    company: Any, suite: Suite, rows_needed: int
) -> None:
    world = spoiled(company)
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
