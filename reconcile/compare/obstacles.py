"""What stands in the way of carrying a change: one rule, one method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reconcile.compare.canonical import exact
from reconcile.compare.cells import Cells, Paired
from reconcile.compare.expressible import NEVER_BLANK, SHAPES, remedy_in_books, why_not_in_books
from reconcile.compare.policy import MONEY_FIELDS, written_fields
from reconcile.compare.rules import BUNDLE, FIXED, INEXPRESSIBLE, MERGE, OVERPAID, PAID_VOID, UNSTORABLE, UNVOID, WAITS
from reconcile.model.changes import Verdict
from reconcile.model.entities import Entity, Field, Side
from reconcile.model.rows import rows_from_text
from reconcile.model.totals import TotalsError, invoice_totals

Percents = Mapping[Side, Mapping[str, int]]
"""Per side the percent of each tax rate (ten-millionths), by the rate's key."""


class Obstacles:
    """What stands in the way of carrying a change, one method per rule, the most particular first."""

    def __init__(self, paired: Paired, cells: Cells, percents: Percents = MappingProxyType({})) -> None:
        self.paired = paired
        self.cells = cells
        self.percents = percents
        self.entity = paired.entity
        self.money = MONEY_FIELDS.get(self.entity, frozenset())

    def check(self) -> None:
        """Hold every change that cannot or must not be carried."""
        if self.cells.frame.empty:
            return
        self._fixed()
        self._blanks()
        self._shapes()
        if self.entity in MONEY_FIELDS:
            self._void_cannot_be_undone()
            self._void_with_payments()
            self._paid_beyond()
            self._bundles()
            self._money_together()
            self._not_in_books()
            self._merges()
            self._money_together()
        self._untouched_in_conflict()

    def _fixed(self) -> None:
        """A field that the other side can never change is put right where it was changed."""
        for of in written_fields(self.entity):
            for side in Side:
                if side not in of.fixed_on and side in of.writable:
                    continue
                here = side.other
                self.cells.hold(
                    self.cells.to(side, of.name),
                    FIXED,
                    f"was changed in {here.product}, and {side.product} cannot change it any more",
                    _remedy_for_fixed(self.entity, of, here),
                )

    def _blanks(self) -> None:
        """A blank does not go where the field may not be blank."""
        for side in Side:
            here = side.other
            for name in sorted(NEVER_BLANK[side].get(self.entity, ())):
                blank = self.paired.frames[here][name].isna().to_numpy()
                self.cells.hold(
                    self.cells.to(side, name) & blank[self.cells.frame["row"].to_numpy(dtype=np.intp)],
                    UNSTORABLE,
                    f"was removed in {here.product}, and {side.product} cannot be without it",
                    f"Enter it again in {here.product}.",
                )

    def _shapes(self) -> None:
        """A text does not go where the other side would refuse it."""
        for side in Side:
            here = side.other
            for (entity, name), (pattern, rule) in SHAPES[side].items():
                if entity is not self.entity:
                    continue
                going = self.cells.to(side, name)
                rows = self.cells.frame["row"].to_numpy(dtype=np.intp)[going]
                fits = self.paired.value(here, name, rows).str.fullmatch(pattern, na=True).to_numpy(dtype=bool)
                wrong = going.copy()
                wrong[going] = ~fits
                self.cells.hold(
                    wrong,
                    UNSTORABLE,
                    f"was changed in {here.product}, but {side.product} {rule}",
                    f"Correct it in {here.product}.",
                )

    def _void_cannot_be_undone(self) -> None:
        table = self.cells.frame
        for side in Side:
            going = self.cells.to(side, "void")
            alive = ~self.paired.dead(side.other, "void")[table["row"].to_numpy(dtype=np.intp)]
            self.cells.hold(
                going & alive,
                UNVOID,
                f"cannot be undone in {side.product}",
                f"Enter the document again in {side.product} by hand, or void it in {side.other.product} as well.",
            )

    def _void_with_payments(self) -> None:
        """An invoice that was paid is never voided by itself: its money has to go somewhere first."""
        if self.entity is not Entity.INVOICE:
            return
        rows = self.cells.frame["row"].to_numpy(dtype=np.intp)
        for side in Side:
            invoices = self.paired.frames[side]
            paid = (invoices["balance"].fillna(0) != invoices["total"].fillna(0)).to_numpy(dtype=bool)
            self.cells.hold(
                self.cells.to(side, "void") & paid[rows],
                PAID_VOID,
                f"in {side.other.product}, but payments are applied to it in {side.product}",
                f"Void, refund or move its payments in {side.product}; the next run then voids the invoice there.",
            )

    def _paid_beyond(self) -> None:
        """An invoice is not lowered below what is paid on it: both systems refuse that, and would again every night."""
        if self.entity is not Entity.INVOICE:
            return
        rows = self.cells.frame["row"].to_numpy(dtype=np.intp)
        for side in Side:
            there, here = self.paired.frames[side.other], self.paired.frames[side]
            paid = here["total"].fillna(0) - here["balance"].fillna(0)
            beyond = (paid > there["total"].fillna(0)) & (here["state"] != "closed") & ~self._only_rounded(there, here)
            self.cells.hold(
                self.cells.to(side, *self.money - {"void"}) & beyond.to_numpy(dtype=bool)[rows],
                OVERPAID,
                f"changed in {side.other.product}, but more is paid on the invoice in {side.product} than it would "
                "come to",
                f"Take the excess off its payments in {side.product} first (a payment may stay unapplied in part); the "
                "next run then carries the invoice.",
            )

    def _only_rounded(self, one: pd.DataFrame, other: pd.DataFrame) -> pd.Series[bool]:
        """Invoices whose totals can differ by the rounding of tax alone: each side would come to its own again."""
        same = (one["subtotal"] == other["subtotal"]) & (
            one["tax_rate_id"].fillna("") == other["tax_rate_id"].fillna("")
        )
        same &= one["discount"].fillna(0) == other["discount"].fillna(0)
        gap = (one["tax"].fillna(0) - other["tax"].fillna(0)).abs()
        return (same & (gap <= one["lines"].str.count(r"\],?") - 1)).fillna(value=False).astype(bool)

    def _bundles(self) -> None:
        if self.entity is not Entity.INVOICE:
            return
        bundle = self.paired.frames[Side.BOOKS]["has_bundle"].fillna(value=False).to_numpy(dtype=bool)
        self.cells.hold(
            self.cells.to(Side.BOOKS, "lines") & bundle[self.cells.frame["row"].to_numpy(dtype=np.intp)],
            BUNDLE,
            "changed in ReliaBills, but QuickBooks keeps a bundle there that must not be taken apart",
            "Change the lines in QuickBooks by hand, or change them back in ReliaBills.",
        )

    def _money_together(self) -> None:
        """What a document is worth is carried whole or not at all."""
        money = self.cells.frame["field"].isin(self.money)
        waiting = self.cells.of_rows(self.cells.held & money)
        self.cells.hold(self.cells.carried & money & waiting, WAITS, "waits, because other figures of it are held", "")

    def _not_in_books(self) -> None:
        rows = np.unique(self._rows_to(Side.BOOKS))
        for row, values in self._as_it_will_be(rows):
            if values.get("void"):
                continue
            why = why_not_in_books(self.entity, values)
            if why:
                self.cells.hold(
                    self.cells.to(Side.BOOKS, *self.money) & (self.cells.frame["row"] == row),
                    INEXPRESSIBLE,
                    f"changed in ReliaBills, but cannot go to QuickBooks: {why}",
                    remedy_in_books(self.entity),
                )

    def _merges(self) -> None:
        """Both sides changed different figures: together they must still make a document."""
        table = self.cells.frame
        rows = np.intersect1d(self._rows_to(Side.BOOKS), self._rows_to(Side.BILLING))
        for row, values in self._as_it_will_be(rows):
            why = self._why_no_document(row, values)
            if why:
                which = self.cells.carried & table["field"].isin(self.money) & (table["row"] == row)
                self.cells.hold(
                    which,
                    MERGE,
                    f"changed on one side and other figures on the other; together they make no sense: {why}",
                    "Decide which side is right and enter its figures on the other side as well.",
                )
                self.cells.frame.loc[which, "verdict"] = Verdict.CONFLICT

    def _why_no_document(self, row: int, values: Mapping[str, Any]) -> str:
        rows = rows_from_text(self.entity, values["lines" if self.entity is Entity.INVOICE else "applications"])
        if self.entity is Entity.PAYMENT:
            applied, received = (
                sum(line["amount"] or 0 for line in rows),
                (values["amount"] or 0) + (values["credit"] or 0),
            )
            return "more is applied to invoices than was received" if applied > received else ""
        for side in Side:
            record = self.paired.frames[side].iloc[row]
            percent = self.percents.get(side, {}).get(values["tax_rate_id"] or "")
            try:
                totals = invoice_totals(
                    ((line["amount"] or 0, bool(line["taxable"])) for line in rows),
                    tax_percent=percent,
                    discount_percent=values["discount_percent"],
                    discount_taxable=values["discount_taxable"],
                    discount_nontaxable=values["discount_nontaxable"],
                )
            except TotalsError as error:
                return f"the invoice {error}"
            total = totals.total
            if percent is None and values["tax_rate_id"] is not None:  # a rate nobody read: count no tax for certain
                total += min(_whole(self.paired.frames[each].iloc[row]["tax"]) for each in Side)
            if _whole(record["total"]) - _whole(record["balance"]) > total:
                return f"more is paid in {side.product} than the invoice would come to"
        return ""

    def _as_it_will_be(self, rows: NDArray[np.intp]) -> Iterator[tuple[int, dict[str, Any]]]:
        """The exact values of these records once what is decided is carried: those of books, under what comes in."""
        books, billing = self.paired.frames[Side.BOOKS], self.paired.frames[Side.BILLING]
        table = self.cells.frame
        incoming = table[self.cells.to(Side.BOOKS) & table["row"].isin(rows)].groupby("row")["field"].agg(list)
        for row in rows:
            values = exact(books.iloc[row])
            values |= {name: exact(billing.iloc[row])[name] for name in incoming.get(row, [])}
            yield int(row), values

    def _rows_to(self, side: Side) -> NDArray[np.intp]:
        """The records of which some figure goes to a side."""
        return self.cells.frame["row"][self.cells.to(side, *self.money)].to_numpy(dtype=np.intp)

    def _untouched_in_conflict(self) -> None:
        """A record on which both sides changed the same is touched on neither; nor one that changed hands."""
        table = self.cells.frame
        conflict = self.cells.held & ((table["verdict"] == Verdict.CONFLICT) | (table["field"] == "customer_id"))
        self.cells.hold(
            self.cells.carried & self.cells.of_rows(conflict),
            WAITS,
            "waits, because the record is in conflict",
            "",
        )


def _remedy_for_fixed(entity: Entity, of: Field, here: Side) -> str:
    if entity is Entity.INVOICE and of.name == "number":
        return (
            "Give the invoice its old number back in QuickBooks: ReliaBills never changes the number of a saved "
            "invoice, so QuickBooks has to keep it."
        )
    if entity is Entity.TAX_RATE:
        return (
            f"Change the {of.title} back in {here.product} and make a new tax rate with the new one; rates already "
            "used on invoices stay as they are."
        )
    return (
        f"Change the {of.title} back in {here.product}; if the change is right, void the {entity.singular} there and "
        "enter it anew."
    )


def _whole(value: Any) -> int:
    return 0 if pd.isna(value) else int(value)
