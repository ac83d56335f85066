"""What waits for a person: each held record with its values on both sides, the money behind it, and how to decide."""

from __future__ import annotations

from typing import Any

import pandas as pd

from reconcile.model.entities import Entity, Side
from reconcile.model.resolutions import ways_to_decide
from reconcile.report.html import (
    NOWRAP,
    Cell,
    Column,
    Shown,
    Tone,
    box,
    counted,
    grid,
    missing,
    more,
    page,
    sentence,
    shown_text,
)
from reconcile.report.tables import money_text

LIMIT = 20
"""Conflicts that are shown before the list is cut."""


def conflicts(
    records: pd.DataFrame,
    fields: pd.DataFrame,
    *,
    company: str = "COMPANY",
    calls: bool = False,
    limit: int = LIMIT,
    whole: str = "conflicts.json",
) -> Shown:
    """What waits for a person, the most money first.

    Args:
        records: one row per held record, as the comparison's conflicts have it.
        fields: one row per differing field of these.
        company: company key, for the commands.
        calls: show how to decide in a notebook instead of on the command line.
        limit: records shown.
        whole: where all of them can be found.
    """
    if records.empty:
        return page("Waiting for a person", sentence("Nothing waits for a person."))
    ignored = records["ignored"].fillna(value=False).astype(bool)
    open_ones = records[~ignored]
    headline = f"<b>{counted(len(open_ones), 'record')}</b> to decide on"
    headline += f", {counted(int(ignored.sum()), 'record')} left alone for now." if ignored.any() else "."
    ordered = pd.concat([open_ones, records[ignored]])
    cards = [_card(row, fields, company, calls=calls) for row in ordered.head(limit).to_dict("records")]
    return page("Waiting for a person", sentence(headline), *cards, more(len(ordered), limit, whole))


def _card(row: dict[Any, Any], fields: pd.DataFrame, company: str, *, calls: bool) -> str:
    entity = Entity(row["entity"])
    title = f"{entity.singular.capitalize()} {'' if missing(row['label']) else row['label']}"
    if entity is not Entity.CUSTOMER and not missing(row["customer"]) and row["customer"]:
        title += f" of {row['customer']}"
    own = fields[(fields["entity"] == row["entity"]) & (fields["key"] == row["key"])]
    body = [part for part in (_money(row), _values(own), shown_text(row["reason"]), _decided(row)) if part]
    if row["ignored"]:
        return box(Tone.NOTE, title, [*body, shown_text(row["remedy"])])
    ways = ways_to_decide(company, row["entity"], row["key"], "" if missing(row["ways"]) else row["ways"])
    if not ways:
        return box(Tone.HOLD, title, [*body, shown_text(row["remedy"])])
    lines = "".join(
        f"<div>{shown_text(way.words)}: <code>{shown_text(way.call if calls else way.command)}</code></div>"
        for way in ways
    )
    return box(Tone.HOLD, title, [*body, lines])


def _money(row: dict[Any, Any]) -> str:
    """What is at stake: the record itself, and what waits for it."""
    currency = "" if missing(row["currency"]) else row["currency"]
    told = [] if missing(row["amount"]) else [f"{money_text(row['amount'], currency)} {shown_text(currency)}"]
    if row["waiting"]:
        behind = f"{counted(int(row['waiting']), 'record')} waiting for it"
        sums = [
            f"{name} of {money_text(row[column], currency or 'USD')}"
            for name, column in (("invoices", "waiting_invoices"), ("payments", "waiting_payments"))
            if row[column]
        ]
        told.append(behind + (f" ({', '.join(sums)})" if sums else ""))
    changed = "" if missing(row["changed_in"]) else row["changed_in"]
    if changed:
        told.append("changed on both sides since they agreed" if changed == "both" else f"changed in {changed}")
    return shown_text("; ".join(told)) if told else ""


def _values(fields: pd.DataFrame) -> str:
    if fields.empty:
        return ""
    columns = [
        Column("Field"),
        Column("Agreed last"),
        *(Column(side.product) for side in Side),
        Column("Changed in"),
        Column("What happens"),
    ]
    rows = [
        [
            Cell(shown_text(row["title"]), NOWRAP),
            Cell(shown_text(row["base"] or None)),
            *(Cell(shown_text(row[side] or None)) for side in Side),
            Cell(shown_text(row["changed_in"] or None), NOWRAP),
            Cell(shown_text(row["reason"])),
        ]
        for row in fields.to_dict("records")
    ]
    return grid(columns, rows)


def _decided(row: dict[Any, Any]) -> str:
    return "" if missing(row["decided"]) else f"<b>{shown_text(row['decided'])}</b>"
