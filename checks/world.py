"""What the checks look at: both sides' snapshots, which records are linked, and today's date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from reconcile.model.entities import Entity, Side, label_column
from reconcile.model.snapshot import Scope, Snapshot, Snapshots

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

    def known_ids(self, side: Side, entity: Entity) -> pd.Index[Any]:
        """Ids of all records that exist: the readable and the unreadable ones."""
        snapshot = self.snapshot(side, entity)
        readable: pd.Index[Any] = pd.Index(snapshot.frame["id"].dropna())
        unreadable: pd.Index[Any] = pd.Index(sorted(snapshot.unreadable), dtype="str")
        known: pd.Index[Any] = readable.append(unreadable)
        return known

    def column_by_id(self, side: Side, entity: Entity, column: str) -> pd.Series[Any]:
        """One column of an entity, indexed by id (the first record of an id counts)."""
        frame = self.snapshot(side, entity).frame
        kept = frame.loc[frame["id"].notna() & ~frame["id"].duplicated(), ["id", column]]
        return kept.set_index("id")[column]

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
        counts = pd.concat(
            [
                self.snapshot(side, entity).frame["currency"]
                for side in Side
                for entity in (Entity.CUSTOMER, Entity.INVOICE, Entity.PAYMENT)
            ]
        ).value_counts()
        return "" if counts.empty else min(str(name) for name in counts.index[counts == counts.max()])

    @cached_property
    def highest_number(self) -> int | None:
        """The highest digits-only invoice number of both sides; ``None`` unless both were read in full."""
        if not all(self.is_census(side, Entity.INVOICE) for side in Side):
            return None
        numbers = pd.concat([self.snapshot(side, Entity.INVOICE).frame["number"] for side in Side])
        digits = numbers[numbers.str.fullmatch("[0-9]{1,21}").fillna(False).astype(bool)]
        return FIRST_NUMBER - 1 if digits.empty else int(digits.str.zfill(NUMBER_LENGTH).max())

    def records(self, side: Side, entity: Entity) -> pd.DataFrame:
        """The records with what every finding names: ``label``, ``customer``, ``currency``, ``amount``, ``linked``.

        ``amount`` is the money behind the record in minor units: an invoice's total, a payment's amount with its
        credit, what a customer owes on this side (missing when nothing); missing for products and tax rates.
        """
        frame = self.frame(side, entity)
        named = frame.assign(
            label=self._labels(frame, entity),
            linked=_among(frame["id"], self.linked_ids(side, entity)),
            amount=self._amounts(frame, side, entity),
        )
        if entity in {Entity.INVOICE, Entity.PAYMENT}:
            names = self.column_by_id(side, Entity.CUSTOMER, "display_name")
            named["customer"] = frame["customer_id"].map(names).astype("str")
        else:
            named["customer"] = frame["display_name"] if entity is Entity.CUSTOMER else ""
        if "currency" not in named:
            named["currency"] = self.currency
        return named

    @staticmethod
    def _labels(frame: pd.DataFrame, entity: Entity) -> pd.Series[Any]:
        label = frame[label_column(entity)]
        return label.where(label.notna(), "(id " + frame["id"].fillna("missing") + ")")

    def _amounts(self, frame: pd.DataFrame, side: Side, entity: Entity) -> pd.Series[Any]:
        if entity is Entity.INVOICE:
            return frame["total"]
        if entity is Entity.PAYMENT:
            return frame["amount"].fillna(0) + frame["credit"].fillna(0)
        if entity is Entity.CUSTOMER:
            invoices = self.snapshot(side, Entity.INVOICE).frame
            owed = invoices.groupby("customer_id")["balance"].sum()
            amounts = frame["id"].map(owed).astype("Int64")
            return amounts.where(amounts.fillna(0) != 0)
        return pd.Series(pd.NA, index=frame.index, dtype="Int64")


def _among(ids: pd.Series[Any], wanted: frozenset[str]) -> pd.Series[Any]:
    """Whether each id is wanted; ``Series.isin`` looks at every wanted id singly, in Python."""
    found = pc.is_in(pa.array(ids, from_pandas=True), value_set=pa.array(sorted(wanted), type=pa.large_string()))
    return pd.Series(np.asarray(found), index=ids.index)


FIRST_NUMBER = 100
"""Where ReliaBills starts counting invoices ("Invoice Start Number")."""

NUMBER_LENGTH = 21
"""The longest invoice number both sides can hold (API file 4.7, DocNumber)."""
