"""Helper columns: conditions over whole frames, exact and without a loop over rows.

By Arrow and numpy where pandas would do the same: most frames here are short, and pandas takes a tenth of a millisecond
for each step, however short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from checks.world import EARLIEST_DATE
from reconcile.model import lookup
from reconcile.model.money import SCALE, decimals_of


def truth(condition: pd.Series[Any]) -> pd.Series[Any]:
    """A plain boolean column; a missing answer counts as no."""
    return pd.Series(_flags(condition), index=condition.index)


def _flags(condition: pd.Series[Any]) -> NDArray[np.bool_]:
    return condition.to_numpy(dtype=bool, na_value=False)


def where(applies: pd.Series[Any], condition: pd.Series[Any]) -> pd.Series[Any]:
    """The condition where the rule applies, missing elsewhere; an undecidable condition counts as broken."""
    return pd.Series(pd.arrays.BooleanArray(_flags(condition).copy(), ~_flags(applies)), index=condition.index)


def is_present(text: pd.Series[Any]) -> pd.Series[Any]:
    """Text that is more than blanks."""
    return _answered(pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(lookup.arrow(text))), 0), text)


def fits(text: pd.Series[Any], length: int) -> pd.Series[Any]:
    """Text of at most so many characters; a missing one fits."""
    return ~_answered(pc.greater(pc.utf8_length(lookup.arrow(text)), length), text)


def length_of(text: pd.Series[Any]) -> pd.Series[Any]:
    """The number of characters; 0 for a missing text."""
    lengths = pc.fill_null(pc.utf8_length(lookup.arrow(text)), 0)
    return pd.Series(np.array(lengths, dtype="int64"), index=text.index)


def joined(text: pd.Series[Any], more: pd.Series[Any]) -> pd.Series[Any]:
    """Both texts with a comma between; a missing one is empty."""
    both = [pc.fill_null(lookup.arrow(each), "") for each in (text, more)]
    return lookup.as_column(pc.binary_join_element_wise(*both, pa.scalar(",", pa.large_string())), text.index)


def matches(text: pd.Series[Any], pattern: str) -> pd.Series[Any]:
    """Text that matches the pattern from its first to its last character; a missing one does not.

    The pattern is one that RE2 reads as Python does: characters and ranges are named, classes of them are not.
    """
    return contains(text, f"^({pattern})$")


def contains(text: pd.Series[Any], pattern: str) -> pd.Series[Any]:
    """Text in which the pattern occurs; as in :func:`matches`, one that RE2 reads as Python does."""
    return _answered(pc.match_substring_regex(lookup.arrow(text), pattern), text)


def _answered(answers: pa.Array, text: pd.Series[Any]) -> pd.Series[Any]:
    return pd.Series(np.array(pc.fill_null(answers, False), dtype=bool), index=text.index)


def is_sane_date(text: pd.Series[Any], latest: str) -> pd.Series[Any]:
    """A day of the calendar, written YYYY-MM-DD, from 1990 to ``latest``: neither 0000-00-00 nor February 30th."""
    written = lookup.arrow(text)
    dates = written.filter(pc.match_substring_regex(written, "^[0-9]{4}-[0-9]{2}-[0-9]{2}$")).unique()
    sane = [day for day in dates.to_pylist() if EARLIEST_DATE <= day <= latest and _is_day(day)]
    return pd.Series(lookup.among(text, sane), index=text.index)


def _is_day(written: str) -> bool:
    try:
        date.fromisoformat(written)
    except ValueError:
        return False
    return True


def is_storable_name(text: pd.Series[Any]) -> pd.Series[Any]:
    """A name QuickBooks takes: no colon, tab, newline or other control character (API file 4.1, error 2040)."""
    return ~contains(text, r"[:\x00-\x1f\x7f]")


def total_by(rows: pd.DataFrame, key: str, values: str, index: pd.Series[Any]) -> pd.Series[Any]:
    """Sum of a money column per key, for each of ``index``; 0 where there are no rows. Minor units."""
    return lookup.totals(rows[key], rows[values], index)


def count_of(text: pd.Series[Any], counted: pd.Series[Any]) -> pd.Series[Any]:
    """How often each text occurs among those counted; missing where it does not."""
    first = lookup.places(text, text)
    counts = np.bincount(first[_flags(counted) & (first >= 0)], minlength=len(text))
    own = np.where(first >= 0, counts[first] if len(text) else 0, 0)
    return pd.Series(pd.arrays.IntegerArray(own.astype("int64"), own == 0), index=text.index)


def among(text: pd.Series[Any], allowed: Iterable[str]) -> pd.Series[Any]:
    """Whether each text is one of those allowed; a missing one is not."""
    return pd.Series(lookup.among(text, allowed), index=text.index)


def any_by(rows: pd.DataFrame, key: str, condition: pd.Series[Any], index: pd.Series[Any]) -> pd.Series[Any]:
    """Whether the condition is true for at least one row of each of ``index``."""
    return among(index, rows[key][_flags(condition)])


def off_by(actual: pd.Series[Any], expected: pd.Series[Any]) -> pd.Series[Any]:
    """By how many minor units a sum is off; missing amounts count as 0."""
    return actual.fillna(0) - expected.fillna(0)


def rounded_products(quantity: pd.Series[Any], unit_price: pd.Series[Any], currency: pd.Series[Any]) -> pd.Series[Any]:
    """Quantity x price (ten-millionths each) in minor units, rounded half away from zero; missing where either is.

    Python integers carry the product: ten-millionths squared pass 64 bits at 92,233 units of money.
    """
    units = {
        name: 10 ** (2 * SCALE - decimals_of(name or "")) for name in pc.unique(lookup.arrow(currency)).to_pylist()
    }
    each = [units[name] for name in lookup.arrow(currency).to_pylist()]
    return _products(quantity, unit_price, each)


def percents_of(minor: pd.Series[Any], percent: pd.Series[Any]) -> pd.Series[Any]:
    """``percent`` (ten-millionths of a percent point) of amounts in minor units, rounded half away from zero."""
    return _products(minor, percent, [100 * 10**SCALE] * len(minor))


def _products(one: pd.Series[Any], other: pd.Series[Any], units: Iterable[int]) -> pd.Series[Any]:
    """The products of both in the unit of each, rounded half away from zero; missing where either is."""
    known = _flags(one.notna()) & _flags(other.notna())
    factors = zip(_integers(one), _integers(other), units, strict=True)
    exact = [_rounded(value * times, unit) for value, times, unit in factors]
    return pd.Series(pd.arrays.IntegerArray(np.array(exact, dtype="int64"), ~known), index=one.index)


def _integers(numbers: pd.Series[Any]) -> list[int]:
    return cast("list[int]", numbers.to_numpy(dtype="int64", na_value=0).tolist())


def _rounded(exact: int, unit: int) -> int:
    size = (2 * abs(exact) + unit) // (2 * unit)
    return -size if exact < 0 else size


def listed(flags: Mapping[str, pd.Series[Any]]) -> pd.Series[Any]:
    """The names of the flags that are true, joined by commas: which fields of a record are at fault."""
    names, index = list(flags), next(iter(flags.values())).index
    at_fault = np.array([_flags(flag) for flag in flags.values()])
    words = np.full(len(index), "", dtype=object)
    for place in np.flatnonzero(at_fault.any(axis=0)):
        words[place] = ", ".join(name for name, flag in zip(names, at_fault[:, place], strict=True) if flag)
    return lookup.as_column(pa.array(words, type=pa.large_string()), index)


def said_of(text: pd.Series[Any], wanted: pd.Series[Any], say: Callable[[str], str]) -> pd.Series[Any]:
    """What is to be said of each text that is wanted; missing elsewhere. Of a missing text nothing is said."""
    words: NDArray[np.object_] = np.full(len(text), None, dtype=object)
    told = _flags(wanted) & _flags(text.notna())
    for place in np.flatnonzero(told):
        words[place] = say(text.array[place])
    return lookup.as_column(pa.array(words, type=pa.large_string()), text.index)
