"""Frames as tables: text left, numbers right, money by its currency, missing values as a dash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reconcile.model.money import from_scaled, show
from reconcile.report.html import (
    DASH,
    LEFT,
    RIGHT,
    Cell,
    Column,
    Shown,
    counted,
    grid,
    missing,
    more,
    page,
    sentence,
    shown_text,
    title_of,
)

LIMIT = 50
"""Rows of a table that are shown before it is cut."""


def money_text(minor: Any, currency: str) -> str:
    """An amount in minor units as a person reads it, without its currency; a dash when missing."""
    return DASH if missing(minor) else show(int(minor), currency)


def scaled_text(scaled: Any) -> str:
    """A price, quantity or percent (ten-millionths) as a plain decimal; a dash when missing."""
    return DASH if missing(scaled) else f"{from_scaled(int(scaled)):,f}"


def table(
    frame: pd.DataFrame,
    title: str,
    columns: Mapping[str, str] | Sequence[str] | None = None,
    *,
    money: Sequence[str] = (),
    scaled: Sequence[str] = (),
    currency: str = "USD",
    limit: int = LIMIT,
    whole: str = "",
) -> Shown:
    """A frame as a plain table.

    Args:
        frame: any frame; its texts may be hostile.
        title: what stands above it.
        columns: which columns, with their titles; all of them by default, under their names.
        money: columns that hold minor units. The currency of a row is in its column ``currency`` if there is one; where
            that is empty text the row holds numbers of something.
        scaled: columns that hold ten-millionths.
        currency: of all amounts, when the frame does not say.
        limit: rows shown; a line says how many more there are.
        whole: where all of it can be found.

    Raises:
        KeyError: a column is not in the frame.
    """
    named = _titles(frame, columns)
    shown = frame.head(limit)
    currencies = _currencies(shown, currency)
    named_currencies = set(currencies) - {""}
    single = next(iter(named_currencies)) if len(named_currencies) == 1 else ""
    head = []
    columns_html: list[list[Cell]] = []
    for name, words in named.items():
        values = shown[name]
        if name in money:
            head.append(Column(f"{words} ({single})" if single else words, RIGHT))
            columns_html.append(_money_cells(values, currencies, with_currency=not single))
        elif name in scaled:
            head.append(Column(words, RIGHT))
            columns_html.append([Cell(scaled_text(value), RIGHT) for value in values])
        elif pd.api.types.is_bool_dtype(values.dtype):
            head.append(Column(words))
            columns_html.append([Cell(_yes_or_no(value)) for value in values])
        elif pd.api.types.is_integer_dtype(values.dtype):
            head.append(Column(words, RIGHT))
            columns_html.append([Cell(DASH if missing(value) else f"{int(value):,}", RIGHT) for value in values])
        else:
            head.append(Column(words))
            columns_html.append([Cell(shown_text(value), LEFT) for value in values])
    if not len(frame):
        return page(title, sentence("Nothing."))
    rows = list(zip(*columns_html, strict=True))
    return page(title, grid(head, rows), more(len(frame), limit, whole))


def _titles(frame: pd.DataFrame, columns: Mapping[str, str] | Sequence[str] | None) -> Mapping[str, str]:
    if isinstance(columns, Mapping):
        return columns
    return {str(name): title_of(str(name)) for name in (frame.columns if columns is None else columns)}


def _currencies(frame: pd.DataFrame, currency: str) -> list[str]:
    if "currency" not in frame:
        return [currency] * len(frame)
    return [currency if missing(value) else str(value) for value in frame["currency"]]


def _money_cells(values: pd.Series[Any], currencies: Sequence[str], *, with_currency: bool) -> list[Cell]:
    cells = []
    for value, currency in zip(values, currencies, strict=True):
        if not currency:
            cells.append(count_cell(0 if missing(value) else int(value)))
            continue
        suffix = f" {shown_text(currency)}" if with_currency and not missing(value) else ""
        cells.append(Cell(money_text(value, currency) + suffix, RIGHT))
    return cells


def _yes_or_no(value: Any) -> str:
    if missing(value):
        return DASH
    return "yes" if value else "no"


def amount_cell(minor: int | None, currency: str) -> Cell:
    """One amount with its currency, right-aligned."""
    return Cell(DASH if missing(minor) else f"{money_text(minor, currency)} {shown_text(currency)}", RIGHT)


def count_cell(number: int) -> Cell:
    """A count, right-aligned; nothing is a dash, so that what is there stands out."""
    return Cell(f"{number:,}" if number else DASH, RIGHT)


__all__ = ["LIMIT", "amount_cell", "count_cell", "counted", "money_text", "scaled_text", "table"]
