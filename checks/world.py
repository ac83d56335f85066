"""What the checks look at: both sides' snapshots, which records are linked, and today's date."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import product
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from reconcile.model import lookup
from reconcile.model.entities import Entity, Side, label_column
from reconcile.model.snapshot import Scope, Snapshot, Snapshots

Columns = dict[str, Any]
"""Columns of one frame by name, as long as nothing needs them together: a frame takes long over each new column."""

EARLIEST_DATE = "1990-01-01"
YEARS_AHEAD = 5


@dataclass(frozen=True)
class World:
    """Both sides at one moment.

    Attributes:
        books, billing: snapshots of all five entities.
        linked: per side and entity the ids that have a counterpart on the other side.
        today: the company's local date.
    """

    books: Snapshots
    billing: Snapshots
    linked: Mapping[Side, Mapping[Entity, frozenset[str]]]
    today: date

    def snapshot(self, side: Side, entity: Entity) -> Snapshot:
        """One entity of one side."""
        return (self.books if side is Side.BOOKS else self.billing)[entity]

    def frame(self, side: Side, entity: Entity) -> pd.DataFrame:
        """The records of one entity of one side, numbered from 0."""
        return self.snapshot(side, entity).frame.reset_index(drop=True)

    def rows(self, side: Side, entity: Entity) -> pd.DataFrame:
        """The child rows of one entity of one side."""
        return self.snapshot(side, entity).rows

    def is_census(self, side: Side, entity: Entity) -> bool:
        """Whether all records of this entity are at hand, so that absence means something."""
        return self.snapshot(side, entity).scope is Scope.CENSUS

    def rows_needed(self, side: Side, entity: Entity) -> int:
        """1 when this side was read in full and the other has such records, else 0: an empty new company is fine."""
        return int(self.is_census(side, entity) and len(self.snapshot(side.other, entity)) > 0)

    def exist(self, side: Side, entity: Entity, ids: pd.Series[Any]) -> pd.Series[Any]:
        """Which ids are those of records that exist, be they readable or not; a missing one is none."""
        snapshot = self.snapshot(side, entity)
        known = lookup.among(ids, snapshot.frame["id"])
        if snapshot.unreadable:
            known |= lookup.among(ids, snapshot.unreadable)
        return pd.Series(known, index=ids.index)

    def by_id(self, side: Side, entity: Entity, column: str, ids: pd.Series[Any]) -> pd.Series[Any]:
        """What a column says of the records with these ids (the first record of an id counts); missing without one."""
        frame = self.snapshot(side, entity).frame
        return lookup.looked_up(ids, frame["id"], frame[column])

    def linked_ids(self, side: Side, entity: Entity) -> frozenset[str]:
        """Ids of records with a counterpart on the other side."""
        return self.linked.get(side, {}).get(entity, frozenset())

    @property
    def latest_date(self) -> str:
        """The last date that is not taken for a typing mistake, ISO."""
        year = self.today.year + YEARS_AHEAD
        day = 28 if (self.today.month, self.today.day) == (2, 29) else self.today.day
        return date(year, self.today.month, day).isoformat()

    @cached_property
    def currency(self) -> str:
        """The company's currency: the one that most records of both sides are in; empty when there are none."""
        counts: Counter[str] = Counter()
        for side, entity in product(Side, (Entity.CUSTOMER, Entity.INVOICE, Entity.PAYMENT)):
            said = pc.value_counts(lookup.arrow(self.snapshot(side, entity).frame["currency"]).drop_null())
            counts.update({one["values"]: one["counts"] for one in said.to_pylist()})
        return min((name for name, count in counts.items() if count == max(counts.values())), default="")

    @cached_property
    def highest_number(self) -> int | None:
        """The highest digits-only invoice number of both sides; ``None`` unless both were read in full."""
        if not all(self.is_census(side, Entity.INVOICE) for side in Side):
            return None
        numbers = pd.concat([self.snapshot(side, Entity.INVOICE).frame["number"] for side in Side])
        digits = numbers[numbers.str.fullmatch("[0-9]{1,21}").fillna(False).astype(bool)]
        return FIRST_NUMBER - 1 if digits.empty else int(digits.str.zfill(NUMBER_LENGTH).max())

    def records(self, side: Side, entity: Entity) -> Columns:
        """The records with what every finding names: ``label``, ``customer``, ``currency``, ``amount``, ``linked``.

        ``amount`` is the money behind the record in minor units: an invoice's total, a payment's amount with its
        credit, what a customer owes on this side (missing when nothing); missing for products and tax rates.
        """
        return dict(self._records[side, entity])

    @cached_property
    def _records(self) -> Mapping[tuple[Side, Entity], Columns]:
        return {(side, entity): self._named(side, entity) for side, entity in product(Side, Entity)}

    def _named(self, side: Side, entity: Entity) -> Columns:
        whole = self.frame(side, entity)
        frame: Columns = {str(name): whole[name] for name in whole}
        frame["label"] = self._labels(frame, entity)
        linked = lookup.among(frame["id"], self.linked_ids(side, entity))
        frame["linked"] = pd.Series(linked, index=whole.index)
        frame["amount"] = self._amounts(frame, side, entity)
        if entity in {Entity.INVOICE, Entity.PAYMENT}:
            frame["customer"] = self.by_id(side, Entity.CUSTOMER, "display_name", frame["customer_id"])
        else:
            frame["customer"] = frame["display_name"] if entity is Entity.CUSTOMER else ""
        if "currency" not in frame:
            frame["currency"] = self.currency
        return frame

    @staticmethod
    def _labels(frame: Columns, entity: Entity) -> pd.Series[Any]:
        label: pd.Series[Any] = frame[label_column(entity)]
        return label.where(label.notna(), "(id " + frame["id"].fillna("missing") + ")") if label.hasnans else label

    def _amounts(self, frame: Columns, side: Side, entity: Entity) -> pd.Series[Any]:
        if entity is Entity.INVOICE:
            return cast("pd.Series[Any]", frame["total"])
        if entity is Entity.PAYMENT:
            return cast("pd.Series[Any]", frame["amount"].fillna(0) + frame["credit"].fillna(0))
        amounts = np.zeros(len(frame["id"]), dtype="int64")
        if entity is Entity.CUSTOMER:
            invoices = self.snapshot(side, Entity.INVOICE).frame
            owed = lookup.totals(invoices["customer_id"], invoices["balance"], frame["id"])
            amounts = owed.to_numpy(dtype="int64")
        return pd.Series(pd.arrays.IntegerArray(amounts, amounts == 0), index=frame["id"].index)


FIRST_NUMBER = 100
"""Where ReliaBills starts counting invoices ("Invoice Start Number")."""

NUMBER_LENGTH = 21
"""The longest invoice number both sides can hold (API file 4.7, DocNumber)."""
