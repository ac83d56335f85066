"""The one place that talks to Great Expectations: columns go in, counts and failing rows come out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pandas as pd
from pandas.api.types import is_bool_dtype

from checks.declaration import Check
from reconcile.errors import StoppedBeforeWritingError
from reconcile.model.entities import Side


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


_EVERYTHING_THAT_FAILS = {
    "result_format": "COMPLETE",
    "return_unexpected_index_query": False,
    "exclude_unexpected_values": True,
}
"""By position, and no values.

Without ``unexpected_index_column_names`` Great Expectations gives the frame's own index, which here is the position
and so leads to the record's key. Naming the key column gives the same through a loop over rows: measured on 100,000
rows that all fail, 2.3 s per expectation against 0.02 s.
"""

_WHETHER_IT_HOLDS = "BOOLEAN_ONLY"
"""Half the machinery of the above, and all there is to know of a rule that holds."""


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


@dataclass(frozen=True, slots=True)
class Examined:
    """What is looked at on one side.

    Attributes:
        checks: the rules; each one's column must be in the frame.
        frame: one row per record with the helper columns, numbered from 0.
        rows_needed: fewest rows that satisfy a rows-present check.
    """

    checks: Sequence[Check]
    frame: pd.DataFrame
    rows_needed: int


def run_checks(name: str, sides: Mapping[Side, Examined]) -> Mapping[Side, tuple[CheckResult, ...]]:
    """Carry out both sides' checks of one kind of record as one suite.

    On a frame without rows a rule about rows has nothing to look at and holds. Great Expectations says the same, 7 ms
    of machinery later for each of them; a night that reads only what changed has mostly empty frames. A rule about a
    column that the frame does not have is carried out all the same, and breaks.

    Args:
        name: of the suite.
        sides: what is looked at, per side.

    Returns:
        Per side one result per check, in the same order.
    """
    results: dict[Side, dict[str, CheckResult]] = {}
    busy: dict[Side, Examined] = {}
    for side, examined in sides.items():
        frame = examined.frame
        idle = [check for check in examined.checks if frame.empty and check.expectation.column in frame.columns]
        results[side] = {check.name: CheckResult(check, True, 0, (), "") for check in idle}
        left = [check for check in examined.checks if check not in idle]
        if left:
            busy[side] = replace(examined, checks=left)
    for side, found in carried_out(name, busy).items():
        results[side] |= {result.check.name: result for result in found}
    return {side: tuple(results[side][check.name] for check in examined.checks) for side, examined in sides.items()}


def carried_out(name: str, sides: Mapping[Side, Examined]) -> Mapping[Side, tuple[CheckResult, ...]]:
    """:func:`run_checks` by Great Expectations, whatever the frames hold.

    A rule about rows costs Great Expectations the same for one row as for thousands, so both sides' rows are looked at
    together: one below the other, and each side's text told apart, so that an id is unique within its side. What is
    about a table as a whole, or about a column that is not there, is asked for each side alone.
    """
    results: dict[Side, dict[str, CheckResult]] = {}
    shared: dict[Side, list[Check]] = {}
    for side, examined in sides.items():
        shared[side] = [check for check in examined.checks if check.expectation.column in examined.frame.columns]
        alone = [check for check in examined.checks if check not in shared[side]]
        answers = _answers(name, alone, examined.frame, examined.rows_needed)
        everywhere = range(len(examined.frame))
        results[side] = {check.name: _result(check, answers[check.name], examined.frame, everywhere) for check in alone}
    places, stacked = _stacked({side: (shared[side], examined.frame) for side, examined in sides.items()})
    asked = {check.name: check for checks in shared.values() for check in checks}
    answers = _answers(name, list(asked.values()), stacked, 0)
    for side, examined in sides.items():
        for check in shared[side]:
            results[side][check.name] = _result(check, answers[check.name], examined.frame, places[side])
    return {side: tuple(results[side][check.name] for check in examined.checks) for side, examined in sides.items()}


def _stacked(sides: Mapping[Side, tuple[Sequence[Check], pd.DataFrame]]) -> tuple[dict[Side, range], pd.DataFrame]:
    """Both sides' rows one below the other, and where each side's are; a column no rule of a side is about is empty."""
    places: dict[Side, range] = {}
    parts: list[pd.DataFrame] = []
    length = 0
    for side, (checks, frame) in sides.items():
        columns = {name: frame[name] for name in (check.expectation.column for check in checks) if name is not None}
        texts = {name for name, column in columns.items() if not is_bool_dtype(column)}
        told_apart = {name: f"{side}:" + column if name in texts else column for name, column in columns.items()}
        parts.append(pd.DataFrame(told_apart, index=frame.index))
        places[side] = range(length, length + len(frame))
        length += len(frame)
    return places, pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _answers(name: str, checks: Sequence[Check], frame: pd.DataFrame, rows_needed: int) -> dict[str, Any]:
    """What Great Expectations says of each check over one frame, by the check's name."""
    if not checks:
        return {}
    import great_expectations as gx  # noqa: PLC0415 - see _batch_definition
    from great_expectations import expectations as classes  # noqa: PLC0415 - see _batch_definition

    expectations = {}
    for check in checks:
        minimum = {"min_value": rows_needed} if check.expectation.column is None else {}
        arguments = {**check.expectation.arguments, **minimum, "meta": {"check": check.name}}
        expectations[check.name] = getattr(classes, check.expectation.name)(**arguments)
    wanted = {check.expectation.column for check in checks} & set(frame.columns)
    columns = frame[[column for column in frame.columns if column in wanted]]
    batch = _batch_definition().get_batch(batch_parameters={"dataframe": columns})

    def asked(names: Iterable[str], result_format: str | dict[str, object]) -> dict[str, Any]:
        suite = gx.ExpectationSuite(name=name, expectations=[expectations[each] for each in names])
        # Results come back in no promised order (broken ones first), so each is found again by the name it carries.
        results = batch.validate(suite, result_format=result_format).results
        return {answer.expectation_config.meta["check"]: answer for answer in results}

    answers = asked(expectations, _WHETHER_IT_HOLDS)
    about_rows = [check.name for check in checks if check.expectation.column is not None]
    failing = [
        each for each in about_rows if not answers[each].success and not _exception(answers[each].exception_info)
    ]
    return answers | (asked(failing, _EVERYTHING_THAT_FAILS) if failing else {})


def _result(check: Check, answer: Any, frame: pd.DataFrame, place: range) -> CheckResult:
    """One side's part of an answer: ``frame`` is the side's, ``place`` where its rows are among those looked at."""
    exception = _exception(answer.exception_info)
    result = answer.result or {}
    column = check.expectation.column
    failing = tuple(int(row) for row in result.get("unexpected_index_list") or ())
    if not exception and column is not None and not answer.success:
        counted = int(result.get("unexpected_count") or 0)
        if not failing or counted != len(failing):
            exception = f"{counted} records fail, {len(failing)} were named"
    here = tuple(row - place.start for row in failing if row in place)
    applies = check.expectation.skips_missing and column in frame.columns
    evaluated = int(frame[column].notna().sum()) if applies else len(frame)
    passed = (bool(answer.success) if column is None else not here) and not exception
    return CheckResult(check, passed, evaluated, here, exception)


def _exception(info: Any) -> str:
    """Why the expectation could not be carried out: one entry, or one per metric, depending on where it broke."""
    entries = [info] if "raised_exception" in info else list(info.values())
    messages = [str(entry.get("exception_message")) for entry in entries if entry.get("raised_exception")]
    return "; ".join(dict.fromkeys(messages))
