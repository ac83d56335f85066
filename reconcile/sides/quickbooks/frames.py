"""From typed records to frames with exact types, in portions, so that a large company needs little memory."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd
import pyarrow as pa

from reconcile.model.entities import ROWS_COLUMN, Entity
from reconcile.model.findings import Finding
from reconcile.model.snapshot import conform, empty_records, empty_rows, record_dtypes, row_dtypes
from reconcile.sides.quickbooks.mapping import (
    COLUMNS,
    ROW_NAMES,
    Lookups,
    MalformedError,
    Values,
    bundle_note,
    carried,
    read,
    unreadable,
)
from reconcile.sides.quickbooks.pages import Broken, Page
from reconcile.sides.quickbooks.records import Item, Record

_PORTION = 20_000


@contextmanager
def collector_paused() -> Iterator[None]:
    """No garbage collection while many small objects are made that are in no cycle: two to three times faster."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


class Harvest:
    """Collects the records of one entity and gives their frames."""

    def __init__(self, entity: Entity, lookups: Lookups) -> None:
        self.entity = entity
        self.findings: list[Finding] = []
        self.unreadable: set[str] = set()
        self.seen: set[str] = set()
        self.left_out = 0
        self._dropped: set[str] = set()
        self._lookups = lookups
        self._values: list[Values] = []
        self._rows: list[tuple[Any, ...]] = []
        self._frames: list[pd.DataFrame] = []
        self._row_frames: list[pd.DataFrame] = []

    def __len__(self) -> int:
        """Number of records met, whatever became of them."""
        return len(self.seen)

    def add(self, page: Page[Any]) -> None:
        """Take in a page; records met before are not taken twice."""
        with collector_paused():
            for record in page.records:
                if record.id not in self.seen:
                    self.seen.add(record.id)
                    self._take(record)
            for broken in page.broken:
                key = broken.id or f"without id, {len(self.seen)}"
                if key not in self.seen:
                    self.seen.add(key)
                    self._lose(broken)
            if len(self._values) >= _PORTION:
                self._store()

    def _take(self, record: Record) -> None:
        if not carried(record):
            self.left_out += 1
            if isinstance(record, Item) and record.type == "Group":
                self.findings.append(bundle_note(record, self._lookups.home_currency))
            return
        try:
            values, rows = read(self.entity, record, self._lookups, self.findings)
        except MalformedError as error:
            label = next(
                (
                    str(value)
                    for name in ("doc_number", "display_name", "name", "payment_ref_num")
                    if (value := getattr(record, name, None))
                ),
                "",
            )
            self._lose(Broken(record.id, label, str(error)))
            return
        self._values.append(values)
        self._rows += rows

    def _lose(self, broken: Broken) -> None:
        self.findings.append(unreadable(self.entity, broken.id, broken.label, broken.why, self._lookups.home_currency))
        if broken.id:
            self.unreadable.add(broken.id)
        else:
            self.left_out += 1

    def _store(self) -> None:
        if self._values:
            self._frames.append(frame_of(self._values, COLUMNS[self.entity], record_dtypes(self.entity)))
        if self._rows:
            self._row_frames.append(frame_of(self._rows, ROW_NAMES[self.entity], row_dtypes(self.entity)))
        self._values, self._rows = [], []

    def drop(self, ids: Collection[str]) -> None:
        """Forget records that are proven to exist no longer."""
        self._dropped |= set(ids) & self.seen
        self.seen -= self._dropped
        self.unreadable -= self._dropped
        self.findings = [finding for finding in self.findings if finding.record_id not in self._dropped]

    def frames(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The records and their child rows so far."""
        with collector_paused():
            self._store()
        records = pd.concat(self._frames, ignore_index=True) if self._frames else empty_records(self.entity)
        if self.entity not in ROWS_COLUMN:
            return self._kept(records, "id"), empty_rows(self.entity)
        rows = pd.concat(self._row_frames, ignore_index=True) if self._row_frames else empty_rows(self.entity)
        return self._kept(records, "id"), self._kept(rows, "parent_id")

    def _kept(self, frame: pd.DataFrame, column: str) -> pd.DataFrame:
        return frame[~frame[column].isin(self._dropped)].reset_index(drop=True) if self._dropped else frame


_ARROW = {"str": pa.large_string(), "Int64": pa.int64(), "boolean": pa.bool_()}


def frame_of(tuples: Sequence[tuple[Any, ...]], names: Sequence[str], dtypes: Mapping[str, str]) -> pd.DataFrame:
    """Tuples as a frame with exactly the columns of ``dtypes``; columns not named are missing values."""
    columns = dict(zip(names, zip(*tuples, strict=True), strict=True))
    frame = pd.DataFrame({name: _series(values, dtypes[name]) for name, values in columns.items()})
    return conform(frame, dtypes)


def _series(values: tuple[Any, ...], dtype: str) -> pd.Series[Any]:
    array = pa.array(values, _ARROW[dtype])
    if dtype == "str":
        return pd.Series(array.to_numpy(zero_copy_only=False), dtype="str")
    missing = array.is_null().to_numpy(zero_copy_only=False)
    filled = array.fill_null(False if dtype == "boolean" else 0).to_numpy(zero_copy_only=False)
    if dtype == "Int64":
        return pd.Series(pd.arrays.IntegerArray(filled.copy(), missing.copy()))
    return pd.Series(pd.arrays.BooleanArray(filled.copy(), missing.copy()))
