"""Snapshots: one side, one entity, one moment, as pandas frames with exact types.

Frame columns of every entity: ``id`` (str, never missing), ``version`` (str: SyncToken in books, row version in
billing), ``updated_at`` (str, UTC ISO 8601), then the entity's fields of :data:`reconcile.model.entities.FIELDS` except
child rows. Child rows (invoice lines, payment applications) are a second frame: ``parent_id``, ``position`` (Int64,
from 1), then :data:`~reconcile.model.entities.ROW_FIELDS`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from reconcile.model.entities import FIELDS, ROW_FIELDS, Entity, Kind, Side
from reconcile.model.findings import Finding
from reconcile.model.lookup import arrow

RECORD_COLUMNS = {"id": "str", "version": "str", "updated_at": "str"}
ROW_COLUMNS = {"parent_id": "str", "position": "Int64"}


class Scope(StrEnum):
    """How much of a side a snapshot holds: all of it, what changed, or the records asked for."""

    CENSUS = "census"
    DELTA = "delta"
    SELECTED = "selected"


def record_dtypes(entity: Entity) -> dict[str, str]:
    """Columns and dtypes of an entity's record frame."""
    return RECORD_COLUMNS | {f.name: f.dtype for f in FIELDS[entity] if f.kind is not Kind.ROWS}


def row_dtypes(entity: Entity) -> dict[str, str]:
    """Columns and dtypes of an entity's child rows; empty when it has none."""
    return ROW_COLUMNS | {f.name: f.dtype for f in ROW_FIELDS[entity]} if entity in ROW_FIELDS else {}


def conform(frame: pd.DataFrame, dtypes: Mapping[str, str]) -> pd.DataFrame:
    """The same frame with exactly these columns, in this order, of these dtypes; columns it lacks are missing values.

    Raises:
        TypeError, ValueError: a value does not fit its dtype. Sides report such records as findings before this.
    """
    there, length = set(frame.columns), len(frame)
    columns = {
        name: _as(frame[name], dtype) if name in there else missing(dtype, length) for name, dtype in dtypes.items()
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(length))


def empty_records(entity: Entity) -> pd.DataFrame:
    """A record frame without rows."""
    return conform(pd.DataFrame(), record_dtypes(entity))


def empty_rows(entity: Entity) -> pd.DataFrame:
    """A child-row frame without rows (without columns, too, when the entity has none)."""
    return conform(pd.DataFrame(), row_dtypes(entity))


@cache
def _known(dtype: str) -> Any:
    """The dtype of that name; looking it up costs more than most of what is done with it."""
    return pd.api.types.pandas_dtype(dtype)


@cache
def _nothing(dtype: str) -> Any:
    """One missing value."""
    return pd.array([pd.NA], dtype=_known(dtype))


def missing(dtype: str, length: int) -> Any:
    """So many missing values of that dtype."""
    return _nothing(dtype).take(np.full(length, -1), allow_fill=True) if length else _nothing(dtype)[:0]


def _as(values: pd.Series[Any], dtype: str) -> Any:
    """Values of that dtype. Of text nothing is made: ``astype("str")`` would make it of numbers and of ``None``."""
    wanted = _known(dtype)
    if values.dtype == wanted:
        return values.array
    if dtype == "str" and not values.isna().all() and not pd.api.types.is_string_dtype(values):
        raise TypeError(f"column {values.name} must hold text, not {values.dtype}")
    return values.astype(wanted).array


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One side, one entity, one moment. An incomplete pull cannot become one: a missing row looks like a deletion.

    Attributes:
        side: where it was read.
        entity: what it holds.
        frame: one row per record (module docstring).
        rows: child rows (module docstring); no columns for entities without.
        as_of: server time of the side at the start of the pull, UTC.
        scope: census, delta or selected.
        counted: number of records the side itself reported for this scope; ``None`` where it reports none.
        gone: ids known to be deleted, from a deleted marker or a direct read, never from absence.
        unreadable: ids of records that exist but could not be read as what they should be; each has a finding.
        findings: what was wrong with single records while reading them.
        marks: our own marks on payments that we made, by id, where the side has room for one
            (:mod:`reconcile.sides.quickbooks.marks`). No field, so in no frame and no digest: they say where a record
            comes from, not what it holds.
    """

    side: Side
    entity: Entity
    frame: pd.DataFrame
    rows: pd.DataFrame
    as_of: datetime
    scope: Scope = Scope.CENSUS
    counted: int | None = None
    gone: frozenset[str] = frozenset()
    unreadable: frozenset[str] = frozenset()
    findings: tuple[Finding, ...] = field(default=())
    marks: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of readable records."""
        return len(self.frame)

    @property
    def digest(self) -> str:
        """SHA-256 over the content of both frames, independent of row order; a missing value is no empty one."""
        return digest_of((self.frame, ["id"]), (self.rows, ["parent_id", "position"]))


def digest_of(*frames: tuple[pd.DataFrame, Sequence[str]]) -> str:
    """SHA-256 over the content of frames of texts, integers and flags, each with the columns that order its rows."""
    content = hashlib.sha256()
    for frame, keys in frames:
        for piece in _content(frame, keys):
            content.update(piece)
    return content.hexdigest()


def _content(frame: pd.DataFrame, keys: Sequence[str]) -> Iterator[bytes]:
    """All that a frame says, column by column in the order of its keys: what is there, how long texts are, the values.

    Each part is preceded by its name, type and number of rows, so that no two contents give the same bytes.
    """
    columns = {str(name): arrow(frame[name]) for name in frame}
    order = None
    if len(frame):
        sorting = pa.table([columns[key] for key in keys], names=list(keys))
        order = pc.sort_indices(sorting, sort_keys=[(key, "ascending") for key in keys])
    for name, column in columns.items():
        values = column if order is None else column.take(order)
        yield f"{name}:{values.type}:{len(values)};".encode()
        yield _bytes(values.is_valid())
        if pa.types.is_large_string(values.type) or pa.types.is_string(values.type):
            text = values.fill_null("").cast(pa.large_string())
            yield _bytes(pc.binary_length(text))
            yield _letters(text)
        else:
            yield _bytes(values.fill_null(False if pa.types.is_boolean(values.type) else 0))


def _letters(text: pa.LargeStringArray) -> bytes:
    """All texts, one after the other, in UTF-8."""
    _, bounds, letters = text.buffers()
    if letters is None:
        return b""
    first, last = (np.frombuffer(bounds, dtype=np.int64)[text.offset + place] for place in (0, len(text)))
    return bytes(letters[int(first) : int(last)])


def _bytes(values: pa.Array) -> bytes:
    """Plain numbers or flags as they lie in memory: eight bytes, or one."""
    numbers = values.cast(pa.uint8()) if pa.types.is_boolean(values.type) else values.cast(pa.int64())
    return bytes(numbers.to_numpy().tobytes())


Snapshots = Mapping[Entity, Snapshot]
"""All five entities of one side."""
