"""Both sides in one language: references as keys, child rows as one text, and the words a person knows a record by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from reconcile.errors import IncompletePullError
from reconcile.model.entities import FIELDS, ROW_FIELDS, ROWS_COLUMN, Entity, Field, Kind, Side, label_column
from reconcile.model.lookup import among, arrow, as_column, as_index, looked_up, places
from reconcile.model.money import from_scaled, show
from reconcile.model.rows import NO_ROWS, rows_from_text, rows_text, rows_texts
from reconcile.model.snapshot import Snapshot, missing

TO_BILLING_KEY = '"billing:'
"""How a reference to a record that was only in billing begins inside a canonical text."""


def keyed(side: Side, ids: pd.Series[str]) -> pd.Series[str]:
    """:func:`key_of` for many; the id of a record that is only planned is its key already."""
    return as_column(_keys(side, arrow(ids)), ids.index)


def _keys(side: Side, ids: pa.Array) -> pa.Array:
    # Arrow says in microseconds what takes a pandas column a tenth of a millisecond, and frames here are mostly short.
    keys = pc.binary_join_element_wise(_wide(f"{side}:"), ids, _wide(""))
    planned = pc.starts_with(ids, pattern=f"{side.other}:")
    return pc.if_else(pc.fill_null(planned, False), ids, keys) if pc.any(planned).as_py() else keys


@cache
def _wide(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


@dataclass(frozen=True, slots=True)
class References:
    """Translates references of one side to keys, by the pairs of the entities compared so far.

    A value that grows: each entity compared gives :meth:`including` its pairs to the next.

    Attributes:
        pairs: ``books_id`` and ``billing_id`` of every pair, per entity.
        labels: what a person knows a record by, per entity, indexed by key.
    """

    pairs: Mapping[Entity, pd.DataFrame] = field(default_factory=lambda: MappingProxyType({}))
    labels: Mapping[Entity, pd.Series[str]] = field(default_factory=lambda: MappingProxyType({}))

    def including(self, entity: Entity, pairs: pd.DataFrame, books: Snapshot, billing: Snapshot) -> References:
        """The same references, knowing these pairs and these records as well."""
        grown = References({**self.pairs, entity: pairs}, self.labels)
        if not (len(books) or len(billing)):
            nobody = pd.Series(dtype="str", index=pd.Index([], dtype="str"))
            return References(grown.pairs, {**self.labels, entity: nobody})
        sides = ((Side.BOOKS, books), (Side.BILLING, billing))
        keys = pa.concat_arrays([arrow(grown.keys(side, entity, snapshot.frame["id"])) for side, snapshot in sides])
        labels = pa.concat_arrays([arrow(snapshot.frame[label_column(entity)]) for _, snapshot in sides])
        keys, labels = keys.filter(labels.is_valid()), labels.drop_null()
        first = pa.array(places(keys, keys) == np.arange(len(keys)))
        known = as_column(labels.filter(first), as_index(keys.filter(first)))
        return References(grown.pairs, {**self.labels, entity: known})

    def keys(self, side: Side, entity: Entity, ids: pd.Series[str]) -> pd.Series[str]:
        """The keys of records of ``entity`` given by their ids on ``side``; a missing id has no key.

        A record that is only planned has its key for an id (:func:`~reconcile.compare.planning.simulate`).
        """
        own = arrow(ids)
        keys = _keys(side, own)
        if side is Side.BILLING and entity in self.pairs and len(self.pairs[entity]):
            pairs = self.pairs[entity]
            places = pc.index_in(own, value_set=arrow(pairs["billing_id"]), skip_nulls=True)
            paired = _keys(Side.BOOKS, arrow(pairs["books_id"]).take(places))
            keys = pc.coalesce(paired, keys)
        return as_column(keys, ids.index)

    def ids(self, side: Side, entity: Entity, keys: pd.Series[str]) -> pd.Series[str]:
        """The ids on ``side`` of records given by key; missing where the record is not there."""
        own = keys.str.startswith(f"{side}:", na=False)
        ids = keys.str.replace(r"^(?:books|billing):", "", regex=True)
        if entity not in self.pairs:
            return ids.where(own)
        there, here = f"{side.other}_id", f"{side}_id"
        pairs = self.pairs[entity]
        across = ids.map(pd.Series(pairs[here].array, index=pairs[there].array)).astype("str")
        return ids.where(own, across)

    def current(self, entity: Entity, keys: pd.Series[str]) -> pd.Series[str]:
        """Keys remembered from earlier: a record that was only in billing may have come to books since."""
        old = keys.str.startswith(f"{Side.BILLING}:", na=False)
        if not old.any():
            return keys
        ids = keys[old].str.removeprefix(f"{Side.BILLING}:")
        renewed = keys.copy()
        renewed[old] = self.keys(Side.BILLING, entity, ids)
        return renewed

    def current_rows(self, entity: Entity, texts: pd.Series[str]) -> pd.Series[str]:
        """Canonical texts remembered from earlier, their references renewed as in :meth:`current`."""
        old = texts.str.contains(TO_BILLING_KEY, regex=False, na=False)
        if not old.any():
            return texts
        renewed = texts.copy()
        renewed[old] = texts[old].map(lambda text: self._renewed(entity, text))
        return renewed

    def label(self, entity: Entity, keys: pd.Series[str]) -> pd.Series[str]:
        """What a person knows these records by; missing where they were never read."""
        if entity not in self.labels:
            return pd.Series(None, index=keys.index, dtype="str")
        return looked_up(keys, self.labels[entity].index, self.labels[entity])

    def label_of(self, entity: Entity, key: str) -> str:
        """What a person knows this record by; the key itself where it was never read."""
        labels = self.labels.get(entity)
        return key if labels is None or key not in labels.index else str(labels[key])

    def _renewed(self, entity: Entity, text: str) -> str:
        rows = rows_from_text(entity, text)
        for reference in references_of(ROW_FIELDS[entity]):
            keys = pd.Series([row[reference.name] for row in rows], dtype="str")
            renewed = self.current(cast("Entity", reference.to), keys)
            for row, key in zip(rows, renewed, strict=True):
                row[reference.name] = key
        return rows_text(entity, rows)


def references_of(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    """Those of the fields that refer to other records."""
    return tuple(candidate for candidate in fields if candidate.kind is Kind.REF)


def canonical(snapshot: Snapshot, references: References, ids: pd.Index[str] | None = None) -> pd.DataFrame:
    """A snapshot in the language of the comparison.

    Args:
        snapshot: what was read from one side.
        references: pairs of the entities that this one refers to.
        ids: the records wanted, in that order; all when ``None``.

    Returns:
        The record frame indexed by ``id``, references as keys, and - for invoices and payments - the child rows as
        canonical text in a column named after them.

    Raises:
        IncompletePullError: the same id occurs twice, so that the pull cannot have been what the side holds.
    """
    entity, side = snapshot.entity, snapshot.side
    frame = snapshot.frame.set_axis(pd.Index(snapshot.frame["id"]))
    del frame["id"]
    if not frame.index.is_unique:
        twice = frame.index[frame.index.duplicated()][0]
        raise IncompletePullError(
            f"{side.product} gave the {entity.singular} with id {twice} twice in one reading, so the reading cannot be "
            "relied on and nothing was compared. Start the run again; records were probably added while it was reading."
        )
    if ids is not None:
        frame = frame.reindex(ids)
    for reference in references_of(FIELDS[entity]):
        frame[reference.name] = references.keys(side, cast("Entity", reference.to), frame[reference.name])
    if entity in ROWS_COLUMN:
        texts = _texts(snapshot, references, ids)
        owners = pd.Series(frame.index, index=frame.index)
        frame[ROWS_COLUMN[entity]] = looked_up(owners, texts.index, texts).fillna(NO_ROWS)
    return frame


def _texts(snapshot: Snapshot, references: References, ids: pd.Index[str] | None) -> pd.Series[str]:
    rows = snapshot.rows if ids is None else snapshot.rows[among(snapshot.rows["parent_id"], ids)]
    keys = {
        reference.name: references.keys(snapshot.side, cast("Entity", reference.to), rows[reference.name])
        for reference in references_of(ROW_FIELDS[snapshot.entity])
    }
    return rows_texts(snapshot.entity, rows.assign(**keys) if len(rows) else rows)


_WORDS = {"label": "str", "customer": "str", "amount": "Int64", "currency": "str"}


def described(entity: Entity, frame: pd.DataFrame, references: References) -> pd.DataFrame:
    """What a person knows records by: ``label``, ``customer``, ``amount`` (minor units) and ``currency``.

    Args:
        entity: kind of record.
        frame: canonical records (:func:`canonical`), or some of them.
        references: to name the customer of an invoice or payment.

    Returns:
        A frame with the index of ``frame``; the amount is an invoice's total or all that a payment settles.
    """
    known = {"label": frame[label_column(entity)]}
    if "currency" in frame:
        known["currency"] = frame["currency"]
    if entity is Entity.CUSTOMER:
        known["customer"] = frame["display_name"]
    if "customer_id" in frame:
        known["customer"] = references.label(Entity.CUSTOMER, frame["customer_id"])
    if entity is Entity.INVOICE:
        known["amount"] = frame["total"]
    if entity is Entity.PAYMENT:
        known["amount"] = frame["amount"].add(frame["credit"], fill_value=0)
        known["label"] = known["label"].fillna("of " + frame["payment_date"]).fillna("without a date")
    columns = {
        name: known[name].array if name in known else missing(dtype, len(frame)) for name, dtype in _WORDS.items()
    }
    return pd.DataFrame(columns, index=frame.index)


def is_live(frame: pd.DataFrame) -> pd.Series[bool]:
    """Which records count in the business of today: not void, not inactive."""
    if "void" in frame:
        return ~frame["void"].fillna(value=False).astype(bool)
    return frame["active"].fillna(value=True).astype(bool)


def shown(owner: Entity, of: Field, value: Any, currency: str, references: References) -> str:
    """A value as a person reads it; what is missing is empty text.

    Args:
        owner: kind of record that has the field.
        of: the field.
        value: its exact value, references as keys, child rows as canonical text.
        currency: of the record.
        references: to name records referred to.
    """
    if pd.isna(value):
        return ""
    match of.kind:
        case Kind.MONEY:
            text = show(int(value), currency)
        case Kind.SCALED:
            text = f"{from_scaled(value):f}"
        case Kind.FLAG:
            text = "yes" if value else "no"
        case Kind.REF:
            text = references.label_of(cast("Entity", of.to), value)
        case Kind.ROWS:
            rows = rows_from_text(owner, value)
            text = "; ".join(_row_shown(owner, row, currency, references) for row in rows) or "none"
        case _:
            text = str(value)
    return text


def _row_shown(owner: Entity, row: Mapping[str, Any], currency: str, references: References) -> str:
    texts = {
        of.name: shown(owner, of, row[of.name], currency, references) for of in ROW_FIELDS[owner] if of.name in row
    }
    if owner is Entity.PAYMENT:
        return f"{texts['amount'] or '-'} to invoice {texts['invoice_id'] or 'unknown'}"
    name = " - ".join(text for text in (texts["product_id"], texts["description"]) if text)
    count = f"{texts['quantity']} x {texts['unit_price']}" if texts["quantity"] and texts["unit_price"] else ""
    tax = "taxable" if row["taxable"] else ""
    return ", ".join(text for text in (name, count, texts["amount"], tax) if text)


def exact(record: pd.Series[Any]) -> dict[str, Any]:
    """A row as exact Python values, missing as ``None``."""
    return {
        str(name): None if pd.isna(value) else value.item() if isinstance(value, np.generic) else value
        for name, value in record.items()
    }
