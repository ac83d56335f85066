"""The one place that talks to Great Expectations: columns go in, counts and failing rows come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd

from checks.declaration import Check
from reconcile.errors import StoppedBeforeWritingError


class BrokenCheckError(StoppedBeforeWritingError):
    """A check could not be carried out. That is broken machinery, never a pass; nothing was written.

    Attributes:
        results: what came of all checks so far, the columns of :data:`checks.validation.RESULT_COLUMNS`.
    """

    results: pd.DataFrame


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What came of one check over one frame.

    Attributes:
        check: the rule.
        passed: whether it held.
        evaluated: number of records to which it applies.
        failing: positions in the frame of the records that break it; empty for a rule about the whole table.
        exception: why it could not be carried out; empty when it could.
    """

    check: Check
    passed: bool
    evaluated: int
    failing: tuple[int, ...]
    exception: str


_RESULT_FORMAT = {
    "result_format": "COMPLETE",
    "return_unexpected_index_query": False,
    "exclude_unexpected_values": True,
}
"""Everything that fails, by position, and no values.

Without ``unexpected_index_column_names`` Great Expectations gives the frame's own index, which here is the position
and so leads to the record's key. Naming the key column gives the same through a loop over rows: measured on 100,000
rows that all fail, 2.3 s per expectation against 0.02 s.
"""


@cache
def _batch_definition() -> Any:
    """One ephemeral context per process: no files, no progress bars."""
    import great_expectations as gx  # noqa: PLC0415 - takes seconds and 240 MB; only a run that validates pays for it
    from great_expectations.data_context.types.base import (  # noqa: PLC0415 - the same
        ProgressBarsConfig,
    )

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    source = context.data_sources.add_pandas("frames")
    return source.add_dataframe_asset("frame").add_batch_definition_whole_dataframe("whole frame")


def run_checks(name: str, checks: Sequence[Check], frame: pd.DataFrame, *, rows_needed: int) -> tuple[CheckResult, ...]:
    """Carry out ``checks`` as one suite over ``frame``.

    On a frame without rows a rule about rows has nothing to look at and holds. Great Expectations says the same, 25 ms
    of machinery later for each of them; a night that reads only what changed has mostly empty frames. A rule about a
    column that the frame does not have is carried out all the same, and breaks.

    Args:
        name: of the suite.
        checks: the rules; each one's column must be in the frame.
        frame: one row per record with the helper columns, numbered from 0.
        rows_needed: fewest rows that satisfy a rows-present check.

    Returns:
        One result per check, in the same order.
    """
    idle = [check for check in checks if frame.empty and check.expectation.column in frame.columns]
    busy = [check for check in checks if check not in idle]
    results = {check.name: CheckResult(check, passed=True, evaluated=0, failing=(), exception="") for check in idle}
    if busy:
        results |= {result.check.name: result for result in carried_out(name, busy, frame, rows_needed=rows_needed)}
    return tuple(results[check.name] for check in checks)


def carried_out(
    name: str, checks: Sequence[Check], frame: pd.DataFrame, *, rows_needed: int
) -> tuple[CheckResult, ...]:
    """:func:`run_checks` by Great Expectations, whatever the frame holds."""
    import great_expectations as gx  # noqa: PLC0415 - see _batch_definition
    from great_expectations import expectations as classes  # noqa: PLC0415 - see _batch_definition

    definition = _batch_definition()
    expectations = []
    for check in checks:
        minimum = {"min_value": rows_needed} if check.expectation.column is None else {}
        arguments = {**check.expectation.arguments, **minimum, "meta": {"check": check.name}}
        expectations.append(getattr(classes, check.expectation.name)(**arguments))
    suite = gx.ExpectationSuite(name=name, expectations=expectations)
    wanted = {check.expectation.column for check in checks} & set(frame.columns)
    columns = frame[[column for column in frame.columns if column in wanted]]
    batch = definition.get_batch(batch_parameters={"dataframe": columns})
    # Results come back in no promised order (broken ones first), so each is found again by the name it carries.
    answers = {
        answer.expectation_config.meta["check"]: answer
        for answer in batch.validate(suite, result_format=_RESULT_FORMAT).results
    }
    return tuple(_result(check, answers[check.name], len(frame)) for check in checks)


def _result(check: Check, answer: Any, length: int) -> CheckResult:
    exception = _exception(answer.exception_info)
    result = answer.result or {}
    failing = tuple(int(row) for row in result.get("unexpected_index_list") or ())
    if not exception and check.expectation.column is not None and len(failing) != result.get("unexpected_count"):
        exception = f"{result.get('unexpected_count')} records fail, {len(failing)} were named"
    evaluated = length - int(result.get("missing_count") or 0)
    return CheckResult(check, bool(answer.success) and not exception, evaluated, failing, exception)


def _exception(info: Any) -> str:
    """Why the expectation could not be carried out: one entry, or one per metric, depending on where it broke."""
    entries = [info] if "raised_exception" in info else list(info.values())
    messages = [str(entry.get("exception_message")) for entry in entries if entry.get("raised_exception")]
    return "; ".join(dict.fromkeys(messages))
