"""The base as frames: what both sides were last seen to hold, read from the JSON of an agreement in one go."""

from __future__ import annotations

import io
from typing import cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import json as arrow_json

from reconcile.compare.canonical import References
from reconcile.compare.policy import written_fields
from reconcile.errors import ReconcileError
from reconcile.model.changes import UNDONE, Agreement
from reconcile.model.entities import Entity, Kind
from reconcile.model.lookup import arrow
from reconcile.model.rows import NO_ROWS

_ARROW = {"str": pa.large_string(), "Int64": pa.int64(), "boolean": pa.bool_()}
_EXACT = {  # without it, pyarrow gives integers with missing values as floats
    pa.large_string(): pd.StringDtype(na_value=float("nan")),
    pa.int64(): pd.Int64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}
_SMALLEST_BLOCK = 1 << 20
_NOTHING, _COMMA = pa.scalar("", pa.large_string()), pa.scalar(",", pa.large_string())


def remembered(agreement: Agreement, references: References) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The remembered values, which of them are settled, and of which a person had a write undone.

    Args:
        agreement: links and their bases.
        references: pairs of the entities referred to; a key from before a record came to books is renewed.

    Returns:
        Three frames with one row per link, in the order of the agreement, and one column per written field: the values
        (as :func:`~reconcile.compare.canonical.canonical` has them), and booleans: whether the sides were seen to agree
        on it, and whether a write of it was undone. What is not settled has no base, whatever the first frame says.

    Raises:
        ReconcileError: what was remembered cannot be read.
    """
    fields = written_fields(agreement.entity)
    texts = agreement.frame["fields"]
    values = _parsed(agreement.entity, pc.fill_null(arrow(texts), "{}"))
    for of in fields:
        if of.kind is Kind.REF:
            values[of.name] = references.current(cast("Entity", of.to), values[of.name])
        elif of.kind is Kind.ROWS:
            values[of.name] = references.current_rows(agreement.entity, values[of.name].fillna(NO_ROWS))
    known, unsettled = texts.notna().to_numpy(), pc.fill_null(arrow(agreement.frame["unsettled"]), "")
    disputed = pc.binary_join_element_wise(_NOTHING, unsettled, _NOTHING, _COMMA)
    settled = {of.name: known & ~_naming(of.name, disputed) for of in fields}
    undone = {of.name: _naming(f"{UNDONE}{of.name}", disputed) for of in fields}
    return values, pd.DataFrame(settled, index=values.index), pd.DataFrame(undone, index=values.index)


def _naming(name: str, disputed: pa.Array) -> NDArray[np.bool_]:
    return np.array(pc.match_substring(disputed, f",{name},"), dtype=bool)


def _parsed(entity: Entity, texts: pa.Array) -> pd.DataFrame:
    dtypes = {of.name: of.dtype for of in written_fields(entity)}
    index = pd.RangeIndex(len(texts))
    if not len(texts):
        return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in dtypes.items()}, index=index)
    lines, longest = "\n".join(texts.to_pylist()).encode(), pc.max(pc.binary_length(texts)).as_py()
    schema = pa.schema([(name, _ARROW[dtype]) for name, dtype in dtypes.items()])
    try:
        table = arrow_json.read_json(
            io.BytesIO(lines),
            read_options=arrow_json.ReadOptions(block_size=max(_SMALLEST_BLOCK, longest + 2)),
            parse_options=arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
        )
    except pa.ArrowInvalid as error:
        raise _unreadable(entity, str(error)) from error
    if table.num_rows != len(texts):
        raise _unreadable(entity, f"{len(texts)} links have {table.num_rows} readable lines")
    frame: pd.DataFrame = table.to_pandas(types_mapper=_EXACT.get)
    return frame.set_axis(index)


def _unreadable(entity: Entity, why: str) -> ReconcileError:
    return ReconcileError(
        f"What both sides agreed on for the {entity.plural} cannot be read back ({why}), so nothing was compared and "
        "nothing was written. Restore the state database from its last copy, or start this company's first sync again: "
        "records that are equal are linked without a write."
    )
