"""Many invoices or payments at once, by columns: what :mod:`.mapping` says of each, without a call for each value.

Only *plain* records are read here: those about which mapping.py has nothing to decide and nothing to find (no discount,
bundle, deposit, strange line, amount finer than its currency, ...). All others are named, and read one by one by
mapping.py, whose word is the rule; that both give the same of every record is a law that the tests try.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, compress, repeat
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Raw

from reconcile.model.entities import Entity
from reconcile.model.money import SCALE, decimals_of
from reconcile.model.snapshot import record_dtypes, row_dtypes
from reconcile.sides.quickbooks.mapping import (
    COLUMNS,
    CREDITING,
    LINE_KINDS,
    NON,
    PAYING,
    ROW_NAMES,
    SHIPPING_ITEM,
    TAXABLE,
    Lookups,
    method_of,
    state_of,
    voided,
)
from reconcile.sides.quickbooks.records import (
    IdRef,
    LinkedTxn,
    MetaData,
    Ref,
    WrittenInvoice,
    WrittenPayment,
    WrittenSalesItemDetail,
    WrittenTxnTaxDetail,
)

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

ARROW = {"str": pa.large_string(), "Int64": pa.int64(), "boolean": pa.bool_()}
"""How a column of a dtype is kept until it becomes part of a frame."""

_LARGEST = 10**15
"""Ten-millionths; below it, no sum of a page's amounts leaves 64 bits."""

_COMMA, _N = b",n"
_SOLD, _TEXT, _SUBTOTAL, _OTHER = range(4)
_Meanings = dict[str | None, int]
_KINDS: _Meanings = {"SalesItemLineDetail": _SOLD, "DescriptionOnly": _TEXT, "SubTotalLineDetail": _SUBTOTAL}
_KINDS |= {raw: _KINDS[kind] for raw, kind in LINE_KINDS.items() if kind in _KINDS}
_UNTAXED, _TAXED, _STRANGE = range(3)
_CODES: _Meanings = {TAXABLE: _TAXED, None: _UNTAXED, NON: _UNTAXED}
_LINKS: _Meanings = {PAYING: 0, CREDITING: 1}
_OWED = (0, 1, None)
_UNKNOWN = _OWED.index(None)
_STATES = pa.array([state_of(void, owed) for void in (False, True) for owed in _OWED], ARROW["str"])
_NO_DETAIL = WrittenSalesItemDetail()
_NO_TAX = WrittenTxnTaxDetail()
_NO_META = MetaData()
_WRITTEN_MOMENT = len("2026-11-25T13:00:00-08:00")
_EARLIEST = 0  # 1970, in seconds
_LATEST = 253_370_764_800  # the year 9999


class NotPlainError(ValueError):
    """Something on the page is so unusual that its records must be read one by one."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The plain records of a page.

    Attributes:
        records: their values, in the columns of ``mapping.COLUMNS``.
        rows: their child rows, in the columns of ``mapping.ROW_NAMES``.
        places: the position of each record on the page.
        row_places: the position on the page of each row's record.
        others: positions of the records that are not plain.
    """

    records: pa.Table
    rows: pa.Table
    places: Integers
    row_places: Integers
    others: list[int]


@dataclass(frozen=True, slots=True)
class Amounts:
    """Amounts in ten-millionths, 0 where there is none; ``fit`` is false where the number is too large for that."""

    scaled: Integers
    missing: Flags
    fit: Flags


def amounts(*columns: Sequence[Raw]) -> list[Amounts]:
    """Columns of numbers as they are written in JSON, exactly; all in one go, whose price hardly depends on how many.

    Raises:
        NotPlainError: one is no number or has more than seven decimals.
    """
    written = list(chain(*columns))
    found = _amounts(written) if written else _NO_AMOUNTS
    ends = np.cumsum([len(column) for column in columns])
    return [
        Amounts(found.scaled[start:end], found.missing[start:end], found.fit[start:end])
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    ]


def _amounts(written: Sequence[Raw]) -> Amounts:
    joined = b",".join(written)
    together = np.frombuffer(joined, dtype=np.uint8)
    commas = np.flatnonzero(together == _COMMA)
    if len(commas) != len(written) - 1:
        raise NotPlainError("something else stands where an amount belongs")
    starts = np.concatenate(([0], commas + 1))
    missing = together[starts] == _N  # of all that JSON knows only null begins so
    bounds = np.concatenate((starts, [len(together) + 1])) - np.arange(len(written) + 1)
    present = pa.array(~missing).buffers()[1] if missing.any() else None
    text = pa.StringArray.from_buffers(
        len(written), pa.py_buffer(bounds.astype(np.int32)), pa.py_buffer(joined.translate(None, b",")), present
    )
    try:
        exact = text.cast(pa.decimal128(38, SCALE))
    except pa.ArrowInvalid as error:
        raise NotPlainError(str(error)) from error
    low, high = np.frombuffer(exact.buffers()[1], dtype=np.int64)[: 2 * len(written)].reshape(-1, 2).T
    fit = missing | ((high == low >> 63) & (low > -_LARGEST) & (low < _LARGEST))
    return Amounts(np.where(missing | ~fit, 0, low), missing, fit)


_NO_AMOUNTS = Amounts(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.bool_), np.zeros(0, dtype=np.bool_))


def _ids(references: Iterable[Ref | IdRef | None]) -> list[str | None]:
    """What :func:`.mapping.id_of` says of each."""
    return [reference.value or None if reference is not None else None for reference in references]


def _which(texts: Sequence[str | None], among: _Meanings, other: int) -> npt.NDArray[np.int8]:
    """What each text stands for; those that are not among them are the ``other``."""
    return np.fromiter(map(among.get, texts, repeat(other)), np.int8, len(texts))


@dataclass(frozen=True, slots=True)
class _Minor:
    """Amounts in minor units, 0 where there is none; ``fine`` is false where an amount is finer than its currency."""

    minor: Integers
    missing: Flags
    fine: Flags


def _minor(found: Amounts, factors: Integers) -> _Minor:
    whole = found.scaled // factors
    return _Minor(whole, found.missing, found.fit & (whole * factors == found.scaled))


def _updated(meta: Iterable[MetaData | None]) -> pa.Array:
    """Moments with an offset as UTC, to the second (``mapping.updated``).

    Raises:
        NotPlainError: one is written in another way, or lies in no usual century.
    """
    text = pa.array([(one or _NO_META).last_updated_time or None for one in meta], pa.string())
    if not pc.all(pc.equal(pc.binary_length(text), _WRITTEN_MOMENT), min_count=0).as_py():
        raise NotPlainError("a time is written in another way")
    try:
        moments = text.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("s"), safe=False)
    except pa.ArrowInvalid as error:
        raise NotPlainError(str(error)) from error
    reach = pc.min_max(moments.cast(pa.int64()))
    if reach["min"].is_valid and not _EARLIEST <= reach["min"].as_py() <= reach["max"].as_py() < _LATEST:
        raise NotPlainError("a time lies in no usual century")
    dated = pc.replace_substring(moments.cast(pa.string()), " ", "T")
    return pc.binary_join_element_wise(dated, pa.scalar("Z"), "").cast(pa.large_string())


def _integers(values: Integers, missing: Flags | None = None) -> pa.Array:
    return pa.array(values, pa.int64(), mask=missing)


def _table(names: Sequence[str], dtypes: dict[str, str], columns: dict[str, Any], length: int) -> pa.Table:
    arrays = [
        column
        if isinstance(column := columns[name], pa.Array)
        else pa.nulls(length, ARROW[dtypes[name]])
        if column is None
        else pa.array(column, ARROW[dtypes[name]])
        for name in names
    ]
    return pa.Table.from_arrays(arrays, list(names))


def _chosen(
    entity: Entity,
    records: dict[str, Any],
    rows: dict[str, Any],
    parents: Integers,
    plain: Flags,
) -> Columns:
    """What was read of the plain records."""
    table = _table(COLUMNS[entity], record_dtypes(entity), records, len(plain))
    row_table = _table(ROW_NAMES[entity], row_dtypes(entity), rows, len(parents))
    places = np.arange(len(plain))
    if plain.all():
        return Columns(table, row_table, places, parents, [])
    kept = plain[parents]
    return Columns(
        table.filter(pa.array(plain)),
        row_table.filter(pa.array(kept)),
        places[plain],
        parents[kept],
        np.flatnonzero(~plain).tolist(),
    )


@dataclass(frozen=True, slots=True)
class _Family:
    """How child rows hang on their records."""

    counts: Integers
    ends: Integers
    parents: Integers

    @classmethod
    def of(cls, children: Sequence[Sequence[Any]]) -> _Family:
        counts = np.fromiter(map(len, children), np.int64, len(children))
        return cls(counts, np.cumsum(counts), np.repeat(np.arange(len(children)), counts))

    def sums(self, values: npt.NDArray[Any]) -> Integers:
        """The sum of the children's values for each record."""
        running = np.concatenate(([0], np.cumsum(values, dtype=np.int64)))
        found: Integers = running[self.ends] - running[self.ends - self.counts]
        return found

    def any(self, flags: Flags) -> Flags:
        """Whether any child of a record is one of these."""
        return self.sums(flags) > 0

    def positions(self, chosen: Flags) -> Integers:
        """For each child the number of chosen ones of its record up to and with it."""
        running = np.cumsum(chosen, dtype=np.int64)
        before = np.concatenate(([0], running))[self.ends - self.counts]
        found: Integers = running - before[self.parents]
        return found


def _factors(currencies: Sequence[str]) -> Integers:
    """What ten-millionths are divided by to be minor units."""
    known = {currency: 10 ** (SCALE - decimals_of(currency)) for currency in set(currencies)}
    if len(known) == 1:
        return np.full(len(currencies), known[currencies[0]], dtype=np.int64)
    return np.array([known[currency] for currency in currencies], dtype=np.int64)


def invoices(records: Sequence[WrittenInvoice], lookups: Lookups) -> Columns:
    """Invoices and their lines; the columns mean what ``mapping.invoice`` says.

    Raises:
        NotPlainError: all must be read one by one.
    """
    family = _Family.of([record.line for record in records])
    lines = [line for record in records for line in record.line]
    currencies = [one or lookups.home_currency for one in _ids([record.currency_ref for record in records])]
    taxes = [record.txn_tax_detail or _NO_TAX for record in records]
    factors = _factors(currencies)
    details = [line.sales_item_line_detail or _NO_DETAIL for line in lines]
    totals, balances, tax_totals, deposit, line_amounts, quantity, price = amounts(
        [record.total_amt for record in records],
        [record.balance for record in records],
        [one.total_tax for one in taxes],
        [record.deposit for record in records],
        [line.amount for line in lines],
        [detail.qty for detail in details],
        [detail.unit_price for detail in details],
    )
    total, balance, tax = (_minor(found, factors) for found in (totals, balances, tax_totals))
    amount = _minor(line_amounts, factors[family.parents])

    kinds = _which([line.detail_type for line in lines], _KINDS, _OTHER)
    sold, is_row = kinds == _SOLD, kinds <= _TEXT
    codes = _which(_ids([detail.tax_code_ref for detail in details]), _CODES, _STRANGE)
    taxable, strange = sold & (codes == _TAXED), sold & (codes == _STRANGE)
    unfit = ~(amount.fine & quantity.fit & price.fit)
    parts = family.sums(np.where(sold, amount.minor, 0))
    any_taxable = family.any(taxable)

    plain = ~family.any((kinds == _OTHER) | strange | (unfit & is_row))
    plain &= ~total.missing & total.fine & balance.fine & tax.fine & deposit.fit & (deposit.scaled == 0)
    plain &= np.array([record.global_tax_calculation != "TaxInclusive" for record in records], dtype=np.bool_)
    void = [
        record.private_note is not None and voided(record.private_note, amount)
        for record, amount in zip(records, total.minor.tolist(), strict=True)
    ]
    owed = np.where(balance.missing, _UNKNOWN, balance.minor != 0)
    values = {
        "id": pa.array([record.id for record in records], ARROW["str"]),
        "version": [record.sync_token for record in records],
        "updated_at": _updated(record.meta_data for record in records),
        "number": [record.doc_number or None for record in records],
        "customer_id": _ids([record.customer_ref for record in records]),
        "invoice_date": [record.txn_date or None for record in records],
        "due_date": [record.due_date or None for record in records],
        "tax_rate_id": _ids(
            [one.txn_tax_code_ref if taxed else None for one, taxed in zip(taxes, any_taxable.tolist(), strict=True)]
        ),
        "discount_percent": None,
        "discount_taxable": None,
        "discount_nontaxable": None,
        "memo": [
            record.customer_memo.value or None if record.customer_memo is not None else None for record in records
        ],
        "void": pa.array(void, pa.bool_()),
        "subtotal": _integers(parts),
        "discount": _integers(np.zeros(len(records), dtype=np.int64)),
        "tax": _integers(tax.minor),
        "total": _integers(total.minor),
        "balance": _integers(balance.minor, balance.missing),
        "state": _STATES.take(pa.array(len(_OWED) * np.array(void, dtype=np.int64) + owed)),
        "currency": currencies,
        "has_bundle": pa.array(np.zeros(len(records), dtype=np.bool_)),
    }
    places = np.flatnonzero(is_row)
    rows_sold = sold[places]
    parents = family.parents[places]

    def of_sold(found: Amounts) -> pa.Array:
        return _integers(found.scaled[places], found.missing[places] | ~rows_sold)

    chosen = is_row.tolist()
    items = _ids([detail.item_ref for detail in compress(details, chosen)])
    rows = {
        "parent_id": values["id"].take(pa.array(parents)),
        "position": _integers(family.positions(is_row)[places]),
        "product_id": [
            item if is_sold and item != SHIPPING_ITEM else None
            for item, is_sold in zip(items, rows_sold.tolist(), strict=True)
        ],
        "description": [line.description or None for line in compress(lines, chosen)],
        "quantity": of_sold(quantity),
        "unit_price": of_sold(price),
        "amount": _integers(np.where(rows_sold, amount.minor[places], 0)),
        "taxable": pa.array(taxable[places]),
    }
    return _chosen(Entity.INVOICE, values, rows, parents, plain)


def payments(records: Sequence[WrittenPayment], lookups: Lookups) -> Columns:
    """Payments and the invoices they pay; the columns mean what ``mapping.payment`` says.

    Raises:
        NotPlainError: all must be read one by one.
    """
    family = _Family.of([record.line for record in records])
    lines = [line for record in records for line in record.line]
    currencies = [one or lookups.home_currency for one in _ids([record.currency_ref for record in records])]
    factors = _factors(currencies)
    totals, not_applied, line_amounts = amounts(
        [record.total_amt for record in records],
        [record.unapplied_amt for record in records],
        [line.amount for line in lines],
    )
    total, unapplied = _minor(totals, factors), _minor(not_applied, factors)
    amount = _minor(line_amounts, factors[family.parents])
    links: list[LinkedTxn | None] = [line.linked_txn[0] if len(line.linked_txn) == 1 else None for line in lines]
    kinds = _which([link.txn_type if link is not None else None for link in links], _LINKS, len(_LINKS))
    pays, credits_it = (kinds == _LINKS[kind] for kind in (PAYING, CREDITING))
    plain = ~family.any(~(pays | credits_it) | ~amount.fine) & ~total.missing & total.fine & unapplied.fine
    values = {
        "id": pa.array([record.id for record in records], ARROW["str"]),
        "version": [record.sync_token for record in records],
        "updated_at": _updated(record.meta_data for record in records),
        "customer_id": _ids([record.customer_ref for record in records]),
        "payment_date": [record.txn_date or None for record in records],
        "amount": _integers(total.minor),
        "credit": _integers(family.sums(np.where(credits_it, amount.minor, 0))),
        "method": [
            method_of(record.payment_method_ref, lookups) if record.payment_method_ref is not None else None
            for record in records
        ],
        "reference": [record.payment_ref_num or None for record in records],
        "void": [
            record.private_note is not None and voided(record.private_note, money)
            for record, money in zip(records, total.minor.tolist(), strict=True)
        ],
        "unapplied": _integers(unapplied.minor, unapplied.missing),
        "currency": currencies,
        "deposited": [any(link.txn_type == "Deposit" for link in record.linked_txn) for record in records],
    }
    places = np.flatnonzero(pays)
    parents = family.parents[places]
    rows = {
        "parent_id": values["id"].take(pa.array(parents)),
        "position": _integers(family.positions(pays)[places]),
        "invoice_id": [link.txn_id for link, pay in zip(links, pays.tolist(), strict=True) if pay and link is not None],
        "amount": _integers(amount.minor[places]),
    }
    return _chosen(Entity.PAYMENT, values, rows, parents, plain)


READERS: dict[Entity, Callable[[Sequence[Any], Lookups], Columns]] = {
    Entity.INVOICE: invoices,
    Entity.PAYMENT: payments,
}
"""The function that reads many of an entity."""
