"""The three-way truth table: what both sides last agreed on, what each holds now, and so who changed what."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from numpy.typing import NDArray

from reconcile.model.changes import Verdict
from reconcile.model.lookup import arrow

Flags = NDArray[np.bool_]
Verdicts = NDArray[np.object_]


def alike(one: pd.Series[Any], other: pd.Series[Any]) -> Flags:
    """Element by element, whether two columns hold the same; missing is the same as missing and as nothing else."""
    left, right = arrow(one), arrow(other)
    equal = pc.fill_null(pc.equal(left, right), False)
    both_missing = pc.and_(pc.is_null(left), pc.is_null(right))
    return cast("Flags", pc.or_(equal, both_missing).to_numpy(zero_copy_only=False))


def truth(base: pd.Series[Any], books: pd.Series[Any], billing: pd.Series[Any], settled: Flags) -> Verdicts:
    """The truth table for one field of records that exist on both sides.

    ======= ======= ========= ==================================
    base    books   billing   verdict
    ======= ======= ========= ==================================
    b       b       b         quiet
    b       x       b         changed in books
    b       b       x         changed in billing
    b       x       x         changed alike
    b       x       y         conflict
    none    x       x         the same already
    none    x       y         matched, but different
    ======= ======= ========= ==================================

    Args:
        base: what both sides were last seen to hold.
        books: what books holds.
        billing: what billing holds.
        settled: whether there is a base for this field of this record; where not, ``base`` is not looked at.

    Returns:
        One :class:`Verdict` per element.
    """
    in_books, in_billing, same = ~alike(books, base), ~alike(billing, base), alike(books, billing)
    table = (
        (settled & ~in_books & ~in_billing, Verdict.QUIET),
        (settled & in_books & ~in_billing, Verdict.CHANGED_IN_BOOKS),
        (settled & ~in_books & in_billing, Verdict.CHANGED_IN_BILLING),
        (settled & same, Verdict.CHANGED_ALIKE),
        (settled, Verdict.CONFLICT),
        (same, Verdict.SAME_ALREADY),
    )
    verdicts = [np.array(verdict, dtype=object) for _, verdict in table]
    return np.select([rows for rows, _ in table], verdicts, default=np.array(Verdict.MATCHED_DIFFERENT, dtype=object))
