"""Texts looked up among texts, by Arrow: pandas takes a tenth of a millisecond for what Arrow does in microseconds.

Frames here are mostly short, and there are many of them: a night of a small company is made of such look-ups. Nor does
Arrow look at every text singly, in Python, as ``Series.isin`` does, so that long frames gain as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pandas.api.types import is_object_dtype

_TEXT: Any = pd.StringDtype(na_value=np.nan)


def arrow(values: Iterable[Any]) -> pa.Array:
    """A column of a snapshot, or texts, as one Arrow array; what is missing is null."""
    if isinstance(values, pa.Array):
        return values
    if isinstance(values, pd.Series | pd.Index):
        array = pa.array(
            values.array, type=pa.large_string() if is_object_dtype(values.dtype) else None, from_pandas=True
        )
        return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    return pa.array(list(values), type=pa.large_string())


def as_column(array: pa.Array, index: pd.Index[Any]) -> pd.Series[str]:
    """An Arrow array as a column of text with this index."""
    return pd.Series(_TEXT.__from_arrow__(array), index=index)


def as_index(array: pa.Array) -> pd.Index[str]:
    """An Arrow array as an index of text."""
    index: pd.Index[str] = pd.Index(_TEXT.__from_arrow__(array))
    return index


def as_table(frame: pd.DataFrame) -> pa.Table:
    """A frame without its index as an Arrow table, from which pandas makes the same frame again.

    What says so is the same for all frames of the same columns, and takes longer to make than a short frame to write.
    """
    columns = tuple((str(name), dtype) for name, dtype in frame.dtypes.items())
    if any(is_object_dtype(dtype) for _, dtype in columns):  # only its values say what it is
        return pa.Table.from_pandas(frame, preserve_index=False)
    return pa.Table.from_arrays([arrow(frame[name]) for name, _ in columns], schema=_schema(columns))


@cache
def _schema(columns: tuple[tuple[str, Any], ...]) -> pa.Schema:
    empty = pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in columns})
    return pa.Schema.from_pandas(empty, preserve_index=False)


def among(values: pd.Series[str] | pd.Index[str], wanted: Iterable[str]) -> NDArray[np.bool_]:
    """Which texts are among those wanted; what is missing is never among them."""
    return cast("NDArray[np.bool_]", np.asarray(pc.is_in(arrow(values), value_set=arrow(wanted), skip_nulls=True)))


def places(values: Iterable[str], ids: Iterable[str]) -> NDArray[np.int64]:
    """Where each text is first found among the ids, counted from 0; -1 where it is missing or not among them."""
    found = pc.index_in(arrow(values), value_set=arrow(ids), skip_nulls=True)
    return cast("NDArray[np.int64]", np.asarray(pc.fill_null(found, -1), dtype="int64"))


def looked_up(values: pd.Series[str], ids: Iterable[str], answers: pd.Series[Any]) -> pd.Series[Any]:
    """For each text, the answer of the first id that it is; missing where it is none of them.

    Args:
        values: what is looked up.
        ids: one per answer; where one occurs twice, the first counts.
        answers: of one of the nullable dtypes of a snapshot.
    """
    return pd.Series(answers.array.take(places(values, ids), allow_fill=True), index=values.index)


def totals(keys: pd.Series[str], amounts: pd.Series[Any], ids: pd.Series[str]) -> pd.Series[Any]:
    """The sum of the amounts under each id, exact integers; a missing amount counts as 0, as does an id without any.

    Args:
        keys: under which id each amount counts.
        amounts: integers, some of which may be missing.
        ids: whose sums are wanted; the same one twice has its sum twice.
    """
    sums = np.zeros(len(ids) + 1, dtype="int64")  # the last place takes what is under none of the ids
    np.add.at(sums, places(keys, ids), amounts.to_numpy(dtype="int64", na_value=0))
    sums[-1] = 0
    return pd.Series(pd.array(sums[places(ids, ids)], dtype="Int64"), index=ids.index)
