"""From typed records to frames with exact types, in portions, so that a large company needs little memory."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from reconcile.model.entities import Entity
from reconcile.model.findings import Finding
from reconcile.model.snapshot import record_dtypes, row_dtypes
from reconcile.sides.quickbooks.columns import ARROW, COLLECTORS, Collector, NotPlainError
from reconcile.sides.quickbooks.mapping import (
    COLUMNS,
    ROW_NAMES,
    Lookups,
    MalformedError,
    Rows,
    Values,
    bundle_note,
    carried,
    read,
    unreadable,
)
from reconcile.sides.quickbooks.marks import mark_in
from reconcile.sides.quickbooks.pages import Broken, Page, PageAsCame, WrittenPage
from reconcile.sides.quickbooks.records import Item, Payment, Record

_PORTION = 20_000
_LONGEST_TOKEN = 18
_TOGETHER = 3_000
"""Records read together by columns: half a millisecond of each time is its own, and a few pages need little memory."""


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


@dataclass(frozen=True, slots=True)
class _Fresh:
    """What is new of a page: at which places its records are, and their ids with their versions."""

    page: PageAsCame[Any]
    places: Sequence[int]
    versions: Mapping[str, int]

    def records(self) -> list[Any]:
        """The records themselves."""
        records = self.page.records()
        return [records[place] for place in self.places]


def _exact_at(positions: Iterable[int], pages: Sequence[_Fresh]) -> Iterator[Any]:
    """The records at ascending positions of pages taken together, with exact amounts."""
    waiting, end = deque(positions), 0
    for one in pages:
        start, end = end, end + len(one.places)
        here = []
        while waiting and waiting[0] < end:
            here.append(one.places[waiting.popleft() - start])
        if here:
            yield from one.page.exact_at(here)


class Harvest:
    """Collects the records of one entity and gives their frames.

    Of copies of a record the newest counts, whatever the order in which they come.

    Attributes:
        seen: the records met, whatever became of them: their ids, and the version of the newest copy of each.
        findings, unreadable, left_out, marks: what was found, ids that could not be read, how many records are not
            carried, and our marks on payments by their ids; complete once the frames were asked for, because pages are
            read some at a time.
    """

    def __init__(self, entity: Entity, lookups: Lookups) -> None:
        self.entity = entity
        self.findings: list[Finding] = []
        self.unreadable: set[str] = set()
        self.marks: dict[str, str] = {}
        self.seen: dict[str, int] = {}
        self._left_out: set[str] = set()
        self._newer: dict[str, Record | Broken] = {}
        self._dropped: set[str] = set()
        self._lookups = lookups
        self._values: list[Values] = []
        self._rows: Rows = []
        self._tables: list[pa.Table] = []
        self._row_tables: list[pa.Table] = []
        self._collector: Collector | None = None
        self._waiting: list[_Fresh] = []

    def __len__(self) -> int:
        """Number of records met, whatever became of them."""
        return len(self.seen)

    @property
    def left_out(self) -> int:
        """How many records are not carried."""
        return len(self._left_out)

    def add(self, page: Page[Any] | WrittenPage[Any]) -> None:
        """Take in a page; records met before are not taken twice."""
        with collector_paused():
            if isinstance(page, WrittenPage):
                self._add_written(page)
            else:
                self._read_waiting()
                self._add_exact(page)

    def _add_exact(self, page: Page[Any]) -> None:
        for record in page.records:
            if self._is_first(record.id, record.sync_token, record):
                self._take(record)
        for broken in page.broken:
            if self._is_first(broken.id or f"without id, {len(self.seen)}", broken.version, broken):
                self._lose(broken)
        if len(self._values) >= _PORTION:
            self._store()

    def _is_first(self, key: str, token: str | None, copy: Record | Broken) -> bool:
        """Whether a record was not met before; a newer copy of one that was is kept for the end."""
        version, known = _version(token), self.seen.get(key)
        if known is not None and version > known:
            self._newer[key] = copy
        if known is None or version > known:
            self.seen[key] = version
        return known is None

    def _add_written(self, page: WrittenPage[Any]) -> None:
        """Collect a page, to be read when enough records are there."""
        versions, records = {record.id: _version(record.sync_token) for record in page.records}, page.records
        places: Sequence[int] = range(len(page))
        again = versions.keys() & self.seen.keys()
        if len(versions) < len(records) or any(versions[one] > self.seen[one] for one in again):
            self._read_waiting()
            self._add_exact(page.as_came.exact())
            return
        if again:
            places = [place for place in places if page.records[place].id not in again]
            records = [page.records[place] for place in places]
            for one in again:
                del versions[one]
        self.seen |= versions
        if self._collector is None:
            self._collector = COLLECTORS[self.entity](self._lookups)
        self._collector.add(records)
        self._waiting.append(_Fresh(page.as_came, places, versions))
        if sum(len(one.places) for one in self._waiting) >= _TOGETHER:
            self._read_waiting()

    def _read_waiting(self) -> None:
        """Read the pages that wait: together, else each by itself, else record by record."""
        waiting, self._waiting = self._waiting, []
        collector, self._collector = self._collector, None
        if collector is None or self._read_together(collector, waiting):
            return
        for one in waiting:
            if len(waiting) > 1:
                collector = COLLECTORS[self.entity](self._lookups)
                collector.add(one.records())
                if self._read_together(collector, [one]):
                    continue
            for record_id in one.versions:
                del self.seen[record_id]
            self._add_exact(one.page.exact())

    def _read_together(self, collector: Collector, pages: Sequence[_Fresh]) -> bool:
        """Read what was collected of pages column by column; ``False``, and nothing is taken, when it cannot be."""
        try:
            found = collector.columns()
        except NotPlainError:
            return False
        self._store()
        self.marks |= found.marks
        if not found.others:
            self._tables.append(found.records)
            self._row_tables.append(found.rows)
            return True
        places, row_places = [found.places], [found.row_places]
        for place, record in zip(found.others, _exact_at(found.others, pages), strict=True):
            values, rows = len(self._values), len(self._rows)
            self._take(record)
            places.append(np.full(len(self._values) - values, place))
            row_places.append(np.full(len(self._rows) - rows, place))
        others, other_rows = self._gathered()
        self._tables.append(_in_order([found.records, others], np.concatenate(places)))
        self._row_tables.append(_in_order([found.rows, other_rows], np.concatenate(row_places)))
        return True

    def _take(self, record: Record) -> None:
        if not carried(record):
            self._left_out.add(record.id)
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
        if isinstance(record, Payment) and (mark := mark_in(record.private_note)) is not None:
            self.marks[record.id] = mark

    def _lose(self, broken: Broken) -> None:
        self.findings.append(unreadable(self.entity, broken.id, broken.label, broken.why, self._lookups.home_currency))
        if broken.id:
            self.unreadable.add(broken.id)
        else:
            self._left_out.add(f"without id, {len(self.findings)}")

    def _store(self) -> None:
        if self._values:
            records, rows = self._gathered()
            self._tables.append(records)
            self._row_tables.append(rows)

    def _gathered(self) -> tuple[pa.Table, pa.Table]:
        """What was read one by one since it was last asked for."""
        records = table_of(self._values, COLUMNS[self.entity], record_dtypes(self.entity))
        rows = table_of(self._rows, ROW_NAMES.get(self.entity, ()), row_dtypes(self.entity))
        self._values, self._rows = [], []
        return records, rows

    def drop(self, ids: Collection[str]) -> None:
        """Forget records that are proven to exist no longer."""
        self._read_waiting()
        gone = set(ids) & self.seen.keys()
        self._dropped |= gone
        for record_id in gone:
            del self.seen[record_id]
            self._newer.pop(record_id, None)
        self._forget(gone)

    def _forget(self, ids: AbstractSet[str]) -> None:
        """Take back what was said of records."""
        self.unreadable -= ids
        self._left_out -= ids
        self.marks = {record_id: mark for record_id, mark in self.marks.items() if record_id not in ids}
        self.findings = [finding for finding in self.findings if finding.record_id not in ids]

    def _replace(self) -> None:
        """Put the newer copies that came later in the place of the records."""
        if not self._newer:
            return
        newer, self._newer = self._newer, {}
        ids = pa.array(list(newer), ARROW["str"])
        self._tables = _without(self._tables, "id", ids)
        self._row_tables = _without(self._row_tables, "parent_id", ids)
        self._forget(newer.keys())
        for copy in newer.values():
            if isinstance(copy, Broken):
                self._lose(copy)
            else:
                self._take(copy)
        self._store()

    def frames(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The records and their child rows; what was taken in is used up by it."""
        with collector_paused():
            self._read_waiting()
            self._store()
            self._replace()
        records = frame_of(self._tables, record_dtypes(self.entity))
        rows = frame_of(self._row_tables, row_dtypes(self.entity))
        return self._kept(records, "id"), self._kept(rows, "parent_id") if len(rows) else rows

    def _kept(self, frame: pd.DataFrame, column: str) -> pd.DataFrame:
        return frame[~frame[column].isin(self._dropped)].reset_index(drop=True) if self._dropped else frame


def _without(tables: Sequence[pa.Table], column: str, ids: pa.Array) -> list[pa.Table]:
    """The tables without the rows of these records; none that is empty."""
    kept = (table.filter(pc.invert(pc.is_in(table[column], ids))) for table in tables if len(table))
    return [table for table in kept if len(table)]


def _version(token: str | None) -> int:
    """A SyncToken as a number that grows; what is no number is older than all."""
    return int(token) if token is not None and token.isdecimal() and len(token) <= _LONGEST_TOKEN else -1


def table_of(tuples: Sequence[tuple[Any, ...]], names: Sequence[str], dtypes: Mapping[str, str]) -> pa.Table:
    """Tuples as columns of the given names."""
    columns = list(zip(*tuples, strict=True)) if tuples else [()] * len(names)
    arrays = [pa.array(values, ARROW[dtypes[name]]) for name, values in zip(names, columns, strict=True)]
    return pa.Table.from_arrays(arrays, list(names))


def _in_order(tables: Sequence[pa.Table], places: npt.NDArray[np.int64]) -> pa.Table:
    """All rows of the tables, by the places that they had."""
    return pa.concat_tables(tables).take(pa.array(np.argsort(places, kind="stable")))


_DTYPES: dict[str, Any] = {
    "str": pd.StringDtype(na_value=np.nan),
    "Int64": pd.Int64Dtype(),
    "boolean": pd.BooleanDtype(),
}


def frame_of(tables: list[pa.Table], dtypes: Mapping[str, str]) -> pd.DataFrame:
    """Tables as one frame with exactly the columns of ``dtypes``; columns not named are missing values.

    The tables are used up, and each column is let go as soon as the frame has it: at no time is everything there twice.
    """
    length = sum(map(len, tables))
    pieces = {name: [table.column(name) for table in tables] for name in (tables[0].column_names if tables else ())}
    tables.clear()
    columns = {}
    for name, dtype in dtypes.items():
        found = pieces.pop(name, None)
        whole = pa.nulls(length, ARROW[dtype]) if found is None else _joined(found)
        del found
        columns[name] = _DTYPES[dtype].__from_arrow__(whole)
    return pd.DataFrame(columns, copy=False)


def _joined(pieces: list[pa.ChunkedArray]) -> pa.Array:
    """Pieces of a column as one; the list is emptied."""
    chunks = [chunk for piece in pieces for chunk in piece.chunks]
    pieces.clear()
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)
