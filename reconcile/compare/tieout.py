"""The tie-out: control totals of both sides, and every record behind a difference, to the minor unit.

A total is a sum of contributions, one per record; a difference is therefore the sum of the differences of its records,
exactly. Each of these has a cause that somebody was told of (a finding), or it is unexplained, and then the run is not
green, even where two unexplained amounts happen to cancel out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import product
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from reconcile.compare.canonical import References, described, is_live
from reconcile.compare.endings import WAITS
from reconcile.compare.rounding import Sale, SoldLine, rule_behind
from reconcile.compare.rules import CLOSED, DEPENDS, ENDED, IGNORED, NOT_CARRIED, REFUND, ROUNDING, UNREAD
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Finding, Severity
from reconcile.model.lookup import among, arrow, as_column, looked_up
from reconcile.model.money import NotExactError, show, to_scaled
from reconcile.model.snapshot import Snapshot, Snapshots

TOTAL_COLUMNS = {
    "measure": "str",
    "books": "Int64",
    "billing": "Int64",
    "difference": "Int64",
    "explained": "Int64",
    "unexplained": "Int64",
    "currency": "str",
}
ITEM_COLUMNS = {
    "measure": "str",
    "entity": "str",
    "books_id": "str",
    "billing_id": "str",
    "label": "str",
    "customer": "str",
    "amount": "Int64",
    "currency": "str",
    "cause": "str",
    "explained": "boolean",
}
AGE_COLUMNS = {"bucket": "str", "invoices": "Int64", "amount": "Int64", "currency": "str"}
BUCKETS = ("current", "1-30 days", "31-60 days", "61-90 days", "over 90 days")
NO_DATE = "without a date"

RECEIVABLES, BILLED, TAX = "receivables", "invoices billed", "tax"
RECEIVED, CREDITS = "payments received", "credits"
UNKNOWN_RULE = " (by no rule that is known)"
NOT_COMPARABLE = "methods that differ or are not named"
_DAY = "payments of "
_TELLING_NOTES = frozenset({CLOSED, DEPENDS, ENDED, IGNORED, NOT_CARRIED, ROUNDING, UNREAD, WAITS})
_DAYS = (0, 30, 60, 90)


@dataclass(frozen=True, slots=True)
class TieOut:
    """The proof of a run.

    Attributes:
        totals: one row per measure and currency, columns :data:`TOTAL_COLUMNS`; amounts in minor units, numbers of
            records without a currency. ``difference`` is books less billing; ``explained`` is the part of it that lies
            in records somebody was told of.
        items: one row per measure and record behind a difference, columns :data:`ITEM_COLUMNS`; ``amount`` is what the
            record adds to the difference, so that the items of a measure sum up to it exactly.
    """

    totals: pd.DataFrame
    items: pd.DataFrame
    days: pd.DataFrame

    @property
    def green(self) -> bool:
        """Whether no difference is unexplained: not in any measure, on any day, nor in any record."""
        tied = all((frame["unexplained"] == 0).all() for frame in (self.totals, self.days))
        return bool(tied and self.items["explained"].all())

    @property
    def sentence(self) -> str:
        """The result in words."""
        if self.items.empty:
            return "Both sides tie out: every control total is the same to the cent."
        if self.green:
            held = self.items[["entity", "books_id", "billing_id"]].drop_duplicates()
            return f"Both sides tie out but for {len(held):,} records, each with a cause that is named."
        wrong = self.items[~self.items["explained"].astype(bool)]
        measures = ", ".join(wrong["measure"].drop_duplicates())
        records = wrong[["entity", "books_id", "billing_id"]].drop_duplicates()
        return f"The two sides do not tie out: {measures}. No finding says why {len(records):,} records differ."


def control_totals(
    books: Snapshots, billing: Snapshots, pairs: Mapping[Entity, pd.DataFrame], findings: Iterable[Finding]
) -> TieOut:
    """Compare what both sides come to, and itemise what differs.

    Measures: receivables (balances), invoices billed (totals), tax, tax per rate, payments received, payments per
    method (those whose method differs between the sides are one measure of their own: QuickBooks names brands of card),
    payments per day and method, credits, and numbers of records in use. Void documents count 0.

    Args:
        books: QuickBooks as it is now.
        billing: ReliaBills as it is now.
        pairs: ``books_id`` and ``billing_id`` of every pair, per entity.
        findings: all of the run; what they hold, or say is not carried, is explained by them.
    """
    sides = {Side.BOOKS: books, Side.BILLING: billing}
    references = References(pairs)
    for entity in Entity:
        references = references.including(entity, pairs[entity], books[entity], billing[entity])
    contributions = _contributions(sides, references)
    counted = pd.concat([_nothing(contributions), contributions], ignore_index=True)
    totals = counted.groupby(["measure", "currency"], sort=False)[["books", "billing"]].sum().reset_index()
    gaps = contributions[contributions["books"] != contributions["billing"]].reset_index(drop=True)
    items = _itemised(gaps, sides, references, [*findings])
    explained = np.zeros(len(totals), dtype="int64")
    if len(items):
        sums = items[items["explained"].astype(bool)].groupby(["measure", "currency"])["amount"].sum()
        keys = pd.MultiIndex.from_frame(totals[["measure", "currency"]])
        explained = sums.reindex(keys).to_numpy(dtype="int64", na_value=0)
    difference = (totals["books"] - totals["billing"]).to_numpy()
    totals = totals.assign(difference=difference, explained=explained, unexplained=difference - explained)
    totals = totals[list(TOTAL_COLUMNS)].astype(TOTAL_COLUMNS)
    of_a_day = totals["measure"].str.startswith(_DAY)
    days = totals[of_a_day].sort_values(["measure", "currency"], ignore_index=True)
    return TieOut(totals[~of_a_day].reset_index(drop=True), items, days)


def _contributions(sides: Mapping[Side, Snapshots], references: References) -> pd.DataFrame:
    """What each record adds to each measure: ``measure``, ``currency``, ``key``, ``books``, ``billing``, ``entity``.

    Of each entity the measures come in the order in which they are first added to, and only where something is added.
    """
    texts: list[tuple[pa.Array, pa.Array, pa.Array]] = []
    amounts: dict[Side, list[NDArray[np.int64]]] = {side: [] for side in Side}
    entities: list[NDArray[np.object_]] = []
    for entity, side in product(Entity, Side):
        frame = sides[side][entity].frame
        live = is_live(frame).to_numpy(dtype=bool)
        keys = references.keys(side, entity, frame["id"])
        for measure, measured in _measures(sides, side, entity, keys, references):
            own = measured.to_numpy(dtype="int64", na_value=0)
            amounts[side].append(np.where(live, own, 0))
            amounts[side.other].append(np.zeros(len(own), dtype="int64"))
            name = _repeated(measure, len(own)) if isinstance(measure, str) else arrow(measure)
            counting = isinstance(measure, str) and measure == _number_of(entity)
            currency = _repeated("", len(own)) if counting else pc.fill_null(arrow(frame["currency"]), "")
            texts.append((name, currency, arrow(keys)))
            entities.append(np.full(len(own), str(entity), dtype=object))
    identified = np.concatenate([np.asarray(keys.is_valid()) for _, _, keys in texts])
    adding = identified & np.any([np.concatenate(each) != 0 for each in amounts.values()], axis=0)
    measures, currencies, keys = (
        pa.concat_arrays(each).filter(pa.array(adding)).dictionary_encode() for each in zip(*texts, strict=True)
    )
    codes = [np.asarray(each.indices, dtype="int64") for each in (measures, currencies, keys)]
    together = (codes[0] * len(currencies.dictionary) + codes[1]) * len(keys.dictionary) + codes[2]
    _, first, group = np.unique(together, return_index=True, return_inverse=True)
    order = np.lexsort((first, codes[0][first]))  # codes count measures in the order in which they are first added to
    rows = first[order]
    columns = {
        name: as_column(each.dictionary.take(pa.array(code[rows])), pd.RangeIndex(len(rows)))
        for name, each, code in zip(("measure", "currency", "key"), (measures, currencies, keys), codes, strict=True)
    }
    sums = {}
    for side in Side:
        each = np.zeros(len(rows), dtype="int64")
        np.add.at(each, group, np.concatenate(amounts[side])[adding])
        sums[str(side)] = each[order]
    entity_of = pd.Series(np.concatenate(entities)[adding][rows], dtype="str")
    return pd.DataFrame({**columns, **sums, "entity": entity_of})


def _repeated(text: str, times: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.large_string()), times)


def _nothing(contributions: pd.DataFrame) -> pd.DataFrame:
    """A contribution of 0 to every measure that is always shown, so that none is missing where there are no records."""
    currencies = [name for name in contributions["currency"].drop_duplicates() if name] or [""]
    shown = [
        (measure, currency) for currency in currencies for measure in (RECEIVABLES, BILLED, TAX, RECEIVED, CREDITS)
    ]
    shown += [(_number_of(entity), "") for entity in Entity]
    nothing = pd.DataFrame(shown, columns=["measure", "currency"])
    return nothing.assign(key="", entity="", books=0, billing=0)


def _number_of(entity: Entity) -> str:
    return f"number of {entity.plural}"


def _measures(
    sides: Mapping[Side, Snapshots], side: Side, entity: Entity, keys: pd.Series[str], references: References
) -> Iterable[tuple[str | pd.Series[str], pd.Series[Any]]]:
    """What the records of one side are measured by: the name of the measure, or of each one's own, and the amounts."""
    frame = sides[side][entity].frame
    if entity is Entity.INVOICE:
        rates = references.keys(side, Entity.TAX_RATE, frame["tax_rate_id"])
        names = references.label(Entity.TAX_RATE, rates).fillna(rates)
        yield RECEIVABLES, frame["balance"]
        yield BILLED, frame["total"]
        yield TAX, frame["tax"]
        yield ("tax: " + names).fillna("tax without a rate"), frame["tax"]
    if entity is Entity.PAYMENT:
        method = _methods(sides, side, keys, references)
        yield RECEIVED, frame["amount"]
        yield "payments by " + method, frame["amount"]
        yield _DAY + frame["payment_date"].fillna(NO_DATE) + " by " + method, frame["amount"]
        yield CREDITS, frame["credit"]
    yield _number_of(entity), pd.Series(1, index=frame.index)


def _methods(
    sides: Mapping[Side, Snapshots], side: Side, keys: pd.Series[str], references: References
) -> pd.Series[str]:
    """The method of each payment of a side, where the other side does not have it or says the same."""
    own, there = sides[side][Entity.PAYMENT].frame["method"], sides[side.other][Entity.PAYMENT].frame
    others = references.keys(side.other, Entity.PAYMENT, there["id"])
    alike = own == looked_up(keys, others, there["method"])
    return own.where(alike | ~among(keys, others)).fillna(NOT_COMPARABLE)


def _itemised(
    gaps: pd.DataFrame, sides: Mapping[Side, Snapshots], references: References, findings: list[Finding]
) -> pd.DataFrame:
    parts = []
    for entity in Entity if len(gaps) else ():
        own = gaps[gaps["entity"] == str(entity)]
        if own.empty:
            continue
        told = _told(entity, findings, references)
        ids = {side: references.ids(side, entity, own["key"]) for side in Side}
        known = {side: ids[side].where(among(ids[side], sides[side][entity].frame["id"])) for side in Side}
        words = _words(entity, sides, own["key"], references)
        amount = own["books"] - own["billing"]
        cause = own["key"].map(told).astype("str")
        held = among(own["key"], _told(entity, _holds(findings), references))
        if entity is Entity.INVOICE:
            rounded = _explained_by_rounding(own, amount, sides, references)
            cause = rounded.where(rounded.notna() & ~held, cause)
            for explain in (_explained_by_payments, _explained_by_refunds):
                cause = cause.where(cause.notna(), explain(own, amount, sides, references, findings))
        explained = cause.notna()
        plain = pd.Series("differs between the sides, and no finding says why", index=own.index, dtype="str")
        for side in Side:
            plain = plain.where(known[side.other].notna(), f"only in {side.product}, and no finding says why")
        columns = {
            "measure": own["measure"],
            "entity": own["entity"],
            "books_id": known[Side.BOOKS],
            "billing_id": known[Side.BILLING],
            "label": words["label"].array,
            "customer": words["customer"].array,
            "amount": amount.astype("Int64"),
            "currency": own["currency"],
            "cause": cause.where(explained, plain),
            "explained": explained.astype("boolean"),
        }
        parts.append(pd.DataFrame(columns))
    if not parts:
        return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in ITEM_COLUMNS.items()})
    return pd.concat(parts, ignore_index=True).astype(ITEM_COLUMNS)


def _told(entity: Entity, findings: Iterable[Finding], references: References) -> dict[str, str]:
    """The cause of whatever differs about a record, by key: what the findings said of it, holds before notes."""
    causes: dict[str, str] = {}
    telling = [f for f in findings if f.entity is entity and f.record_id]
    telling = [f for f in telling if f.severity is not Severity.NOTE or f.check in _TELLING_NOTES]
    in_books = set(references.pairs[entity]["books_id"])
    for finding in sorted(telling, key=lambda f: f.severity is Severity.NOTE):
        side = finding.side or Side.BOOKS
        ids = pd.Series([finding.record_id], dtype="str")
        keys = [references.keys(side, entity, ids).iloc[0]]
        if finding.side is None and finding.record_id not in in_books:
            keys.append(references.keys(Side.BILLING, entity, ids).iloc[0])
        for key in keys:
            causes.setdefault(key, finding.sentence)
    return causes


def _holds(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity is not Severity.NOTE]


def _words(
    entity: Entity, sides: Mapping[Side, Snapshots], keys: pd.Series[str], references: References
) -> pd.DataFrame:
    frames = []
    for side in Side:
        frame = sides[side][entity].frame
        own = references.keys(side, entity, frame["id"])
        wanted = among(own, keys)
        frame = frame[wanted].set_index(pd.Index(own[wanted]))
        if "customer_id" in frame:
            frame = frame.assign(customer_id=references.keys(side, Entity.CUSTOMER, frame["customer_id"]))
        frames.append(described(entity, frame, references)[["label", "customer"]])
    both = pd.concat(frames)
    return both[~both.index.duplicated()].reindex(pd.Index(keys))


def _explained_by_payments(
    own: pd.DataFrame,
    amount: pd.Series[Any],
    sides: Mapping[Side, Snapshots],
    references: References,
    findings: list[Finding],
) -> pd.Series[str]:
    """Why balances differ, where it is to the minor unit what payments that wait would have settled."""
    told = _told(Entity.PAYMENT, findings, references)
    parts = []
    for side, sign in ((Side.BOOKS, 1), (Side.BILLING, -1)):
        snapshot = sides[side][Entity.PAYMENT]
        live = snapshot.frame["id"][is_live(snapshot.frame).to_numpy()]
        rows = snapshot.rows[among(snapshot.rows["parent_id"], live)]
        parts.append(
            pd.DataFrame(
                {
                    "payment": references.keys(side, Entity.PAYMENT, rows["parent_id"]),
                    "invoice": references.keys(side, Entity.INVOICE, rows["invoice_id"]),
                    "amount": sign * rows["amount"].fillna(0).astype("int64"),
                }
            )
        )
    applied = pd.concat(parts, ignore_index=True)
    waiting = applied[among(applied["payment"], told) & among(applied["invoice"], own["key"])]
    gap = waiting.groupby(["invoice", "payment"])["amount"].sum().reset_index()
    gap = gap[gap["amount"] != 0]
    expected = -own["key"].map(gap.groupby("invoice")["amount"].sum()).fillna(0).astype("int64")
    sentences = gap.assign(told=gap["payment"].map(told)).groupby("invoice")["told"].agg(" ".join)
    exact = (own["measure"] == RECEIVABLES) & (expected == amount) & (expected != 0)
    return own["key"].map(sentences).astype("str").where(exact)


def _explained_by_refunds(
    own: pd.DataFrame,
    amount: pd.Series[Any],
    sides: Mapping[Side, Snapshots],
    references: References,
    findings: list[Finding],
) -> pd.Series[str]:
    """Why an invoice is open in ReliaBills only: money was given back there, exactly as much as is open again."""
    refunds = [f for f in findings if f.entity is Entity.PAYMENT and f.check == REFUND and f.amount]
    told = pd.DataFrame(
        {
            "parent_id": pd.Series([refund.record_id for refund in refunds], dtype="str"),
            "amount": pd.Series([refund.amount for refund in refunds], dtype="int64"),
            "told": pd.Series([refund.sentence for refund in refunds], dtype="str"),
        }
    )
    rows = sides[Side.BILLING][Entity.PAYMENT].rows
    paid = rows[["parent_id", "invoice_id"]].drop_duplicates().merge(told, on="parent_id")
    paid["invoice"] = references.keys(Side.BILLING, Entity.INVOICE, paid["invoice_id"])
    together = paid.groupby("invoice").agg(amount=("amount", "sum"), told=("told", " ".join)).reset_index()
    known = pd.concat([paid[["invoice", "amount", "told"]], together]).drop_duplicates(["invoice", "amount"])
    gaps = pd.DataFrame({"invoice": own["key"].array, "amount": (-amount).astype("int64").array})
    sentences = gaps.merge(known, on=["invoice", "amount"], how="left")["told"].set_axis(own.index)
    return sentences.astype("str").where(own["measure"] == RECEIVABLES)


def _explained_by_rounding(
    own: pd.DataFrame, amount: pd.Series[Any], sides: Mapping[Side, Snapshots], references: References
) -> pd.Series[str]:
    """Why invoices differ whose lines and discounts come to the same: at most one minor unit of tax per line.

    The rule by which either side comes to its figure is named; where none of the known ones gives it, that is said.
    """
    figures = {}
    for side in Side:
        frame = sides[side][Entity.INVOICE].frame
        keys = references.keys(side, Entity.INVOICE, frame["id"])
        wanted = among(keys, own["key"])
        part = frame.loc[wanted, ["subtotal", "discount", "tax", "total"]].fillna(0)
        figures[side] = part.set_index(pd.Index(keys[wanted])).reindex(pd.Index(own["key"]))
    gap = figures[Side.BOOKS] - figures[Side.BILLING]
    ids = references.ids(Side.BOOKS, Entity.INVOICE, own["key"])
    lines = ids.map(sides[Side.BOOKS][Entity.INVOICE].rows["parent_id"].value_counts()).fillna(0).to_numpy()
    only_tax = (gap["subtotal"] == 0) & (gap["discount"] == 0) & (gap["tax"] == gap["total"]) & (gap["tax"] != 0)
    small = (gap["tax"].abs() <= lines) & (gap["tax"] == amount.to_numpy())
    rounded = (only_tax & small).fillna(value=False).to_numpy(dtype=bool)
    taxes = {side: figures[side]["tax"].set_axis(ids) for side in Side}
    words = _rounding_in_words(sides[Side.BOOKS], set(ids[rounded]), taxes)
    return ids.map(words).astype("str").where(rounded)


def _rounding_in_words(
    books: Snapshots, invoices: Collection[str], taxes: Mapping[Side, pd.Series[Any]]
) -> dict[str, str]:
    """By books id, how either side comes to its tax (minor units, indexed by books id)."""
    snapshot, rates = books[Entity.INVOICE], books[Entity.TAX_RATE].frame.set_index("id")
    frame = snapshot.frame[among(snapshot.frame["id"], invoices)]
    rows = snapshot.rows[among(snapshot.rows["parent_id"], invoices)]
    lines: dict[str, list[SoldLine]] = {}
    wanted = ["parent_id", "amount", "taxable", "quantity", "unit_price"]
    for parent, amount, taxable, quantity, price in rows[wanted].astype(object).itertuples(index=False):
        line = SoldLine(_whole(amount) or 0, taxable is True, _whole(quantity), _whole(price))
        lines.setdefault(parent, []).append(line)
    words = {}
    for record in cast("list[dict[str, Any]]", frame.astype(object).to_dict("records")):
        rate = rates.loc[record["tax_rate_id"]] if record["tax_rate_id"] in rates.index else None
        sale = Sale(
            lines=tuple(lines.get(record["id"], [])),
            percents=() if rate is None else _percents(_whole(rate["percent"]) or 0, rate["components"]),
            discount_percent=_whole(record["discount_percent"]) or 0,
            discount_taxable=_whole(record["discount_taxable"]) or 0,
            currency=record["currency"],
        )
        told = []
        for side in Side:
            tax = int(taxes[side].loc[[record["id"]]].iloc[0])
            rule = rule_behind(sale, tax)
            how = "comes to" if rule is None else f"{rule.words}:"
            told.append(f"{side.product} {how} {show(tax, sale.currency)}{UNKNOWN_RULE if rule is None else ''}")
        words[record["id"]] = f"tax rounding: {'; '.join(told)}"
    return words


def _percents(percent: int, components: Any) -> tuple[int, ...]:
    """The rates of a tax code, ten-millionths, as the books snapshot lists them; the whole when the list is unclear."""
    if pd.isna(components):
        return (percent,)
    try:
        parts = tuple(to_scaled(part.rpartition(" ")[2]) for part in str(components).split(" + "))
    except NotExactError:  # the name of a rate may hold anything
        return (percent,)
    return parts if sum(parts) == percent else (percent,)


def _whole(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)


def receivables_by_age(snapshot: Snapshot, today: date) -> pd.DataFrame:
    """Open balances of one side by how long they are due.

    Args:
        snapshot: invoices of one side.
        today: the company's date.

    Returns:
        Columns :data:`AGE_COLUMNS`, every bucket of :data:`BUCKETS` per currency (and :data:`NO_DATE` where an invoice
        has neither a possible due date nor a possible invoice date); amounts in minor units.
    """
    frame = snapshot.frame[is_live(snapshot.frame).to_numpy()]
    frame = frame[frame["balance"].fillna(0) != 0]
    due = pd.to_datetime(frame["due_date"], format="%Y-%m-%d", errors="coerce")
    due = due.fillna(pd.to_datetime(frame["invoice_date"], format="%Y-%m-%d", errors="coerce"))
    late = (pd.Timestamp(today) - due) / pd.Timedelta(timedelta(days=1))
    place = np.searchsorted(_DAYS, late.fillna(0).to_numpy(), side="left")
    bucket = pd.Series(np.array(BUCKETS, dtype=object)[place], index=frame.index, dtype="str").where(
        due.notna(), NO_DATE
    )
    currency = frame["currency"].fillna("")
    sums = frame["balance"].groupby([currency, bucket]).agg(["size", "sum"])
    rows = []
    for name in sorted(currency.unique()) or [""]:
        dated = [*BUCKETS, *([NO_DATE] if (name, NO_DATE) in sums.index else [])]
        own = sums.reindex([(name, one) for one in dated]).fillna(0)
        rows.append(
            pd.DataFrame({"bucket": dated, "invoices": own["size"].array, "amount": own["sum"].array, "currency": name})
        )
    return pd.concat(rows, ignore_index=True).astype(AGE_COLUMNS)
