"""Great Expectations' part of the checks by hand, for worlds that are about something else: the same in a fraction.

``test_by_hand.py`` holds it equal to what Great Expectations says.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from checks.declaration import Check
from checks.engine import CheckResult, Examined
from reconcile.model.entities import Side


def carried_out_by_hand(_name: str, sides: Mapping[Side, Examined]) -> Mapping[Side, tuple[CheckResult, ...]]:
    """What :func:`checks.engine.carried_out` gives."""
    return {side: tuple(_result(check, examined) for check in examined.checks) for side, examined in sides.items()}


def _result(check: Check, examined: Examined) -> CheckResult:
    frame, column = examined.frame, check.expectation.column
    if column is None:
        return CheckResult(check, len(frame) >= examined.rows_needed, len(frame), (), "")
    if column not in frame:
        return CheckResult(check, passed=False, evaluated=len(frame), failing=(), exception=f"no column {column}")
    values = frame[column]
    failing = {
        "ExpectColumnValuesToBeInSet": lambda: ~values.to_numpy(dtype=bool, na_value=True),
        "ExpectColumnValuesToNotBeNull": lambda: values.isna().to_numpy(),
        "ExpectColumnValuesToBeUnique": lambda: values.notna().to_numpy() & values.duplicated(keep=False).to_numpy(),
    }[check.expectation.name]()
    places = tuple(int(place) for place in np.flatnonzero(failing))
    evaluated = int(values.notna().sum()) if check.expectation.skips_missing else len(frame)
    return CheckResult(check, not places, evaluated, places, "")
