"""Many invoices or payments at once, by columns: what :mod:`.mapping` says of each, without a call for each value.

Only *plain* records are read here: those about which mapping.py has nothing to decide and nothing to find (no discount,
bundle, deposit, strange line, amount finer than its currency, ...). All others are named, and read one by one by
mapping.py, whose word is the rule; that both give the same of every record is a law that the tests try.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Protocol

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
from reconcile.sides.quickbooks.marks import mark_in
from reconcile.sides.quickbooks.records import (
    MISSING,
    IdRef,
    Ref,
    WrittenInvoice,
    WrittenPayment,
    WrittenTxnTaxDetail,
)

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

ARROW = {"str": pa.large_string(), "Int64": pa.int64(), "boolean": pa.bool_()}
"""How a column of a dtype is kept until it becomes part of a frame."""

_LARGEST = 10**15
"""Ten-millionths; below it, no sum of a page's amounts leaves 64 bits."""

_COMMA, _POINT, _N = b",.n"
_TENS = 10 ** np.arange(SCALE + 1)
_REACH = _LARGEST // _TENS
_SOLD, _TEXT, _SUBTOTAL = "SalesItemLineDetail", "DescriptionOnly", "SubTotalLineDetail"
_CODES = frozenset({TAXABLE, NON, ""})
_OWED = (0, 1, None)
_UNKNOWN = _OWED.index(None)
_STATES = pa.array([state_of(void, owed) for void in (False, True) for owed in _OWED], ARROW["str"])
_NO_TAX = WrittenTxnTaxDetail()
_WRITTEN_MOMENT = len("2026-11-25T13:00:00-08:00")
_DATE = len("2026-11-25")
_EARLIEST = 0  # 1970, in seconds
_LATEST = 253_370_764_800  # the year 9999


class NotPlainError(ValueError):
    """Something on the page is so unusual that its records must be read one by one."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The plain records among those taken in.

    Attributes:
        records: their values, in the columns of ``mapping.COLUMNS``.
        rows: their child rows, in the columns of ``mapping.ROW_NAMES``.
        places: the position of each record among all.
        row_places: the position of each row's record among all.
        others: positions of the records that are not plain.
        marks: our marks on the plain ones, by id; only payments are asked for theirs.
    """

    records: pa.Table
    rows: pa.Table
    places: Integers
    row_places: Integers
    others: list[int]
    marks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Amounts:
    """Amounts in ten-millionths, 0 where there is none; ``fit`` is false where the number is too large for that."""

    scaled: Integers
    missing: Flags
    fit: Flags


class Numbers:
    """A column of numbers as they are written in JSON."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._length = 0

    def __len__(self) -> int:
        """How many there are."""
        return self._length

    def add(self, written: Sequence[Raw]) -> None:
        """Put some more after them; nothing of the page they stand on is kept."""
        if written:
            self._pieces.append(b",".join(written))
            self._length += len(written)

    @property
    def pieces(self) -> list[bytes]:
        """The numbers, some at a time, with commas between them."""
        return self._pieces


def amounts(*columns: Numbers) -> list[Amounts]:
    """Columns of numbers, exactly; all in one go, whose price hardly depends on how many.

    Raises:
        NotPlainError: one is no number or has more than seven decimals.
    """
    ends = np.cumsum([len(column) for column in columns])
    count = int(ends[-1])
    found = _amounts(b",".join(chain(*(column.pieces for column in columns))), count) if count else _NO_AMOUNTS
    return [
        Amounts(found.scaled[start:end], found.missing[start:end], found.fit[start:end])
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    ]


def _amounts(joined: bytes, count: int) -> Amounts:
    together = np.frombuffer(joined, dtype=np.uint8)
    marks = np.flatnonzero((together == _COMMA) | (together == _POINT))
    is_point = together[marks] == _POINT
    ends = np.append(marks[~is_point], len(joined))
    if len(ends) != count:
        raise NotPlainError("something else stands where an amount belongs")
    points = np.flatnonzero(is_point)
    pointed = points - np.arange(len(points))  # as many commas as stand before its point: the number's place
    decimals = np.zeros(count, dtype=np.int64)
    decimals[pointed] = ends[pointed] - marks[points] - 1
    if decimals.max() > SCALE:
        raise NotPlainError("an amount has more decimals than can be held")
    digits = joined.translate(None, b",.")
    shorter = np.arange(count)
    shorter += np.cumsum(decimals > 0)
    bounds = np.zeros(count + 1, dtype=np.int32)
    np.subtract(ends, shorter, out=bounds[1:], casting="unsafe")
    missing = together[np.concatenate(([0], ends[:-1] + 1))] == _N  # of all that JSON knows only null begins so
    present = pa.array(~missing).buffers()[1] if missing.any() else None
    text = pa.StringArray.from_buffers(count, pa.py_buffer(bounds), pa.py_buffer(digits), present)
    try:
        exact = text.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise NotPlainError(str(error)) from error
    whole = np.frombuffer(exact.buffers()[1], dtype=np.int64)[:count]
    lacking = SCALE - decimals
    reach = _REACH[lacking]
    fit = missing | ((whole < reach) & (whole > -reach))
    return Amounts(np.where(missing | ~fit, 0, whole * _TENS[lacking]), missing, fit)


_NO_AMOUNTS = Amounts(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.bool_), np.zeros(0, dtype=np.bool_))


def _ids(references: Iterable[Ref | IdRef | None]) -> list[str | None]:
    """What :func:`.mapping.id_of` says of each."""
    return [reference.value or None if reference is not None else None for reference in references]


@dataclass(frozen=True, slots=True)
class _Minor:
    """Amounts in minor units, 0 where there is none; ``fine`` is false where an amount is finer than its currency."""

    minor: Integers
    missing: Flags
    fine: Flags


def _minor(found: Amounts, factors: Integers) -> _Minor:
    whole = found.scaled // factors
    return _Minor(whole, found.missing, found.fit & (whole * factors == found.scaled))


def _updated(written: Sequence[str | None]) -> pa.Array:
    """Moments with an offset as UTC, to the second (``mapping.updated``).

    Raises:
        NotPlainError: one is written in another way, or lies in no usual century.
    """
    text = pa.array(written, pa.string())
    if "" in written:
        text = pc.if_else(pc.equal(text, ""), None, text)
    if not pc.all(pc.equal(pc.binary_length(text), _WRITTEN_MOMENT), min_count=0).as_py():
        raise NotPlainError("a time is written in another way")
    try:
        moments = text.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("s"), safe=False)
    except pa.ArrowInvalid as error:
        raise NotPlainError(str(error)) from error
    reach = pc.min_max(moments.cast(pa.int64()))
    if reach["min"].is_valid and not _EARLIEST <= reach["min"].as_py() <= reach["max"].as_py() < _LATEST:
        raise NotPlainError("a time lies in no usual century")
    dated = pc.binary_replace_slice(moments.cast(pa.string()), _DATE, _DATE + 1, "T")
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
    """How rows hang on their records."""

    counts: Integers
    ends: Integers
    parents: Integers

    @classmethod
    def of(cls, counts: Sequence[int]) -> _Family:
        each = np.array(counts, dtype=np.int64)
        return cls(each, np.cumsum(each), np.repeat(np.arange(len(each)), each))

    def sums(self, values: npt.NDArray[Any]) -> Integers:
        """The sum of the rows' values for each record."""
        running = np.concatenate(([0], np.cumsum(values, dtype=np.int64)))
        found: Integers = running[self.ends] - running[self.ends - self.counts]
        return found

    def any(self, flags: Flags) -> Flags:
        """Whether any row of a record is one of these."""
        return self.sums(flags) > 0

    def positions(self) -> Integers:
        """The number of each row among those of its record, from 1."""
        found: Integers = np.arange(1, len(self.parents) + 1) - (self.ends - self.counts)[self.parents]
        return found


def _factors(currencies: Sequence[str]) -> Integers:
    """What ten-millionths are divided by to be minor units."""
    known = {currency: 10 ** (SCALE - decimals_of(currency)) for currency in set(currencies)}
    if len(known) == 1:
        return np.full(len(currencies), known[currencies[0]], dtype=np.int64)
    return np.array([known[currency] for currency in currencies], dtype=np.int64)


def _void(notes: Sequence[tuple[int, str]], totals: Integers) -> Flags:
    """Which of the records are void (``mapping.voided``); notes with the positions of their records."""
    found = np.zeros(len(totals), dtype=np.bool_)
    found[[place for place, note in notes if voided(note, totals.item(place))]] = True
    return found


class Collector(Protocol):
    """Takes in the records of some pages, one page after the other, and then reads them all together."""

    def add(self, records: Sequence[Any]) -> None:
        """Take in the records of a page; none of them is kept, so they can be let go while they are at hand."""

    def columns(self) -> Columns:
        """What they say.

        Raises:
            NotPlainError: something is so unusual that they must be read one by one.
        """


class _Heads:
    """What invoices and payments have in common."""

    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups
        self._ids: list[str] = []
        self._versions: list[str | None] = []
        self._moments: list[str | None] = []
        self._customers: list[str | None] = []
        self._dates: list[str | None] = []
        self._currencies: list[str] = []
        self._notes: list[tuple[int, str]] = []
        self._totals = Numbers()
        self._counts: list[int] = []
        self._amounts = Numbers()
        self._looked_at = Numbers()  # mean nothing, but must be numbers all the same
        self._strange: list[int] = []  # positions of records that must be looked at by themselves

    def _add_heads(self, records: Sequence[WrittenInvoice] | Sequence[WrittenPayment]) -> None:
        home, before = self._lookups.home_currency, len(self._ids)
        self._ids += [record.id for record in records]
        self._versions += [record.sync_token for record in records]
        self._moments += [
            meta.last_updated_time if (meta := record.meta_data) is not None else None for record in records
        ]
        self._customers += _ids([record.customer_ref for record in records])
        self._dates += [record.txn_date or None for record in records]
        self._currencies += [
            one.value or home if (one := record.currency_ref) is not None else home for record in records
        ]
        self._notes += [
            (place, note)
            for place, note in enumerate([record.private_note for record in records], before)
            if note is not None
        ]
        self._totals.add([record.total_amt for record in records])


class InvoiceCollector(_Heads):
    """Invoices and their lines; the columns mean what ``mapping.invoice`` says."""

    def __init__(self, lookups: Lookups) -> None:
        super().__init__(lookups)
        self._numbers: list[str | None] = []
        self._due: list[str | None] = []
        self._tax_codes: list[str | None] = []
        self._memos: list[str | None] = []
        self._balances, self._taxes, self._deposits = Numbers(), Numbers(), Numbers()
        self._texts: list[str | None] = []
        self._items: list[str | None] = []
        self._taxable: list[bool] = []
        self._quantities, self._prices = Numbers(), Numbers()

    def add(self, records: Sequence[WrittenInvoice]) -> None:
        """Take in the invoices of a page."""
        self._add_lines(records)
        self._strange += [
            place
            for place, record in enumerate(records, len(self._ids))
            if record.global_tax_calculation == "TaxInclusive"
        ]
        self._add_heads(records)
        self._numbers += [record.doc_number or None for record in records]
        self._due += [record.due_date or None for record in records]
        self._memos += [one.value or None if (one := record.customer_memo) is not None else None for record in records]
        taxes = [record.txn_tax_detail or _NO_TAX for record in records]
        self._tax_codes += _ids([one.txn_tax_code_ref for one in taxes])
        self._taxes.add([one.total_tax for one in taxes])
        self._balances.add([record.balance for record in records])
        self._deposits.add([record.deposit for record in records])

    def _add_lines(self, records: Sequence[WrittenInvoice]) -> None:
        """All lines in one go: this is where reading spends its time, so nothing of ours is called for each line."""
        amounts: list[Raw] = []
        quantities: list[Raw] = []
        prices: list[Raw] = []
        looked_at: list[Raw] = []
        text, item, taxed = self._texts.append, self._items.append, self._taxable.append
        amount, quantity, price = amounts.append, quantities.append, prices.append
        rows = len(self._texts)
        for place, record in enumerate(records, len(self._ids)):
            before = rows
            for line in record.line:
                detail = line.sales_item_line_detail
                kind: str | None = line.detail_type
                if kind != _SOLD:
                    kind = LINE_KINDS.get(kind or "", kind)
                if kind == _SOLD and detail is not None:
                    product, code = detail.item_ref, detail.tax_code_ref
                    rows += 1
                    text(line.description or None)
                    amount(line.amount)
                    quantity(detail.qty)
                    price(detail.unit_price)
                    item(product.value or None if product is not None else None)
                    name = code.value if code is not None else ""
                    taxed(name == TAXABLE)
                    if name not in _CODES:
                        self._strange.append(place)
                    continue
                looked_at.append(line.amount)
                if detail is not None:
                    looked_at += (detail.qty, detail.unit_price)
                if kind == _TEXT:
                    rows += 1
                    text(line.description or None)
                    amount(MISSING)
                    quantity(MISSING)
                    price(MISSING)
                    item(None)
                    taxed(False)
                elif kind != _SUBTOTAL:
                    self._strange.append(place)
            self._counts.append(rows - before)
        self._amounts.add(amounts)
        self._quantities.add(quantities)
        self._prices.add(prices)
        self._looked_at.add(looked_at)

    def columns(self) -> Columns:
        """What they say.

        Raises:
            NotPlainError: all must be read one by one.
        """
        family = _Family.of(self._counts)
        factors = _factors(self._currencies)
        totals, balances, taxes, deposit, lines, quantity, price, _ = amounts(
            self._totals,
            self._balances,
            self._taxes,
            self._deposits,
            self._amounts,
            self._quantities,
            self._prices,
            self._looked_at,
        )
        total, balance, tax = (_minor(found, factors) for found in (totals, balances, taxes))
        amount = _minor(lines, factors[family.parents])
        taxable = np.array(self._taxable, dtype=np.bool_)
        plain = ~family.any(~(amount.fine & quantity.fit & price.fit))
        plain &= ~total.missing & total.fine & balance.fine & tax.fine & deposit.fit & (deposit.scaled == 0)
        plain[self._strange] = False
        void = _void(self._notes, total.minor)
        owed = np.where(balance.missing, _UNKNOWN, balance.minor != 0)
        ids = pa.array(self._ids, ARROW["str"])
        values = {
            "id": ids,
            "version": self._versions,
            "updated_at": _updated(self._moments),
            "number": self._numbers,
            "customer_id": self._customers,
            "invoice_date": self._dates,
            "due_date": self._due,
            "tax_rate_id": pa.array(self._tax_codes, ARROW["str"], mask=~family.any(taxable)),
            "discount_percent": None,
            "discount_taxable": None,
            "discount_nontaxable": None,
            "memo": self._memos,
            "void": pa.array(void),
            "subtotal": _integers(family.sums(amount.minor)),
            "discount": _integers(np.zeros(len(ids), dtype=np.int64)),
            "tax": _integers(tax.minor),
            "total": _integers(total.minor),
            "balance": _integers(balance.minor, balance.missing),
            "state": _STATES.take(pa.array(len(_OWED) * void + owed)),
            "currency": self._currencies,
            "has_bundle": pa.array(np.zeros(len(ids), dtype=np.bool_)),
        }
        items = self._items
        if SHIPPING_ITEM in items:
            items = [None if item == SHIPPING_ITEM else item for item in items]
        rows = {
            "parent_id": ids.take(pa.array(family.parents)),
            "position": _integers(family.positions()),
            "product_id": items,
            "description": self._texts,
            "quantity": _integers(quantity.scaled, quantity.missing),
            "unit_price": _integers(price.scaled, price.missing),
            "amount": _integers(amount.minor),
            "taxable": pa.array(taxable),
        }
        return _chosen(Entity.INVOICE, values, rows, family.parents, plain)


class PaymentCollector(_Heads):
    """Payments and the invoices they pay; the columns mean what ``mapping.payment`` says."""

    def __init__(self, lookups: Lookups) -> None:
        super().__init__(lookups)
        self._unapplied = Numbers()
        self._methods: list[str | None] = []
        self._references: list[str | None] = []
        self._deposited: list[bool] = []
        self._invoices: list[str] = []
        self._credited: list[int] = []  # positions of payments that use up a credit, one for each of the credits
        self._credits = Numbers()

    def add(self, records: Sequence[WrittenPayment]) -> None:
        """Take in the payments of a page."""
        self._add_lines(records)
        self._add_heads(records)
        self._unapplied.add([record.unapplied_amt for record in records])
        self._methods += [
            method_of(one, self._lookups) if (one := record.payment_method_ref) is not None else None
            for record in records
        ]
        self._references += [record.payment_ref_num or None for record in records]
        self._deposited += [any(link.txn_type == "Deposit" for link in record.linked_txn) for record in records]

    def _add_lines(self, records: Sequence[WrittenPayment]) -> None:
        amounts: list[Raw] = []
        credits_used: list[Raw] = []
        looked_at: list[Raw] = []
        for place, record in enumerate(records, len(self._ids)):
            before = len(self._invoices)
            for line in record.line:
                link = line.linked_txn[0] if len(line.linked_txn) == 1 else None
                if link is not None and link.txn_type == PAYING:
                    self._invoices.append(link.txn_id)
                    amounts.append(line.amount)
                elif link is not None and link.txn_type == CREDITING:
                    self._credited.append(place)
                    credits_used.append(line.amount)
                else:
                    looked_at.append(line.amount)
                    self._strange.append(place)
            self._counts.append(len(self._invoices) - before)
        self._amounts.add(amounts)
        self._credits.add(credits_used)
        self._looked_at.add(looked_at)

    def columns(self) -> Columns:
        """What they say.

        Raises:
            NotPlainError: all must be read one by one.
        """
        family = _Family.of(self._counts)
        factors = _factors(self._currencies)
        totals, not_applied, parts, used, _ = amounts(
            self._totals, self._unapplied, self._amounts, self._credits, self._looked_at
        )
        total, unapplied = _minor(totals, factors), _minor(not_applied, factors)
        credited = np.array(self._credited, dtype=np.int64)
        amount, use = _minor(parts, factors[family.parents]), _minor(used, factors[credited])
        credit = np.zeros(len(factors), dtype=np.int64)
        np.add.at(credit, credited, use.minor)
        plain = ~family.any(~amount.fine) & ~total.missing & total.fine & unapplied.fine
        plain[credited[~use.fine]] = False
        plain[self._strange] = False
        ids = pa.array(self._ids, ARROW["str"])
        values = {
            "id": ids,
            "version": self._versions,
            "updated_at": _updated(self._moments),
            "customer_id": self._customers,
            "payment_date": self._dates,
            "amount": _integers(total.minor),
            "credit": _integers(credit),
            "method": self._methods,
            "reference": self._references,
            "void": pa.array(_void(self._notes, total.minor)),
            "unapplied": _integers(unapplied.minor, unapplied.missing),
            "currency": self._currencies,
            "deposited": pa.array(self._deposited, pa.bool_()),
        }
        rows = {
            "parent_id": ids.take(pa.array(family.parents)),
            "position": _integers(family.positions()),
            "invoice_id": self._invoices,
            "amount": _integers(amount.minor),
        }
        return replace(_chosen(Entity.PAYMENT, values, rows, family.parents, plain), marks=self._marks(plain))

    def _marks(self, plain: Flags) -> dict[str, str]:
        return {
            self._ids[place]: mark
            for place, note in self._notes
            if plain[place] and (mark := mark_in(note)) is not None
        }


COLLECTORS: dict[Entity, Callable[[Lookups], Collector]] = {
    Entity.INVOICE: InvoiceCollector,
    Entity.PAYMENT: PaymentCollector,
}
"""What collects many of an entity, to be read together."""
