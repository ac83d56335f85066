"""``reconcile conflicts``, ``resolve``, ``link``, ``unlink``, ``relink``, ``ignore``, ``resolutions``: people decide.

RECORD is what a person sees: ``customer Cool Cars``, ``invoice 1001``, ``Cool Cars``, or ``customer:books:12``.
"""

from __future__ import annotations

import getpass
import json
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from reconcile.compare.conflicts import Conflicts
    from reconcile.model.resolutions import Resolution


class Kept(StrEnum):
    """Whose values hold."""

    BOOKS = "books"
    BILLING = "billing"


Company = Annotated[str, typer.Argument(help="Company key, as in reconcile.toml.")]
Record = Annotated[str, typer.Argument(metavar="RECORD", help="For example 'customer Cool Cars' or customer:books:12.")]
Books = Annotated[str, typer.Argument(metavar="BOOKS", help="The record in QuickBooks: a name, or customer:books:12.")]
Billing = Annotated[
    str, typer.Argument(metavar="BILLING", help="The record in ReliaBills: a name, or customer:billing:7.")
]
Because = Annotated[str, typer.Option(metavar="TEXT", help="Why. Asked for when not given.")]
Who = Annotated[str, typer.Option(metavar="NAME", help="Your name; the name of this login unless given.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (conflicts, resolve, link, unlink, relink, ignore, resolutions):
        app.command()(command)


def conflicts(
    company: Company,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, for other programs.")] = False,
) -> None:
    """What the last run left for a person to decide: values, reasons, money, and the command for each.

    Exit code 1 when something waits, 0 otherwise.
    """
    from reconcile.repair import Repair

    repair = Repair.open(company)
    if as_json:
        typer.echo(json.dumps(repair.conflicts.to_json(), indent=2))
    else:
        _print(repair.conflicts, company, repair.run.id)
    raise typer.Exit(1 if len(repair.open_conflicts) else 0)


def resolve(
    company: Company,
    record: Record,
    *,
    keep: Annotated[Kept, typer.Option(help="Whose values hold: books (QuickBooks) or billing (ReliaBills).")],
    field: Annotated[str, typer.Option(metavar="NAME", help="Only this field; all that differ unless given.")] = "",
    because: Because = "",
    who: Who = "",
) -> None:
    """Decide a conflict: what one side holds goes to the other; the next run does it, after all its rules."""
    from reconcile.repair import Repair

    repair = Repair.open(company, who=who)
    _say(repair.keep(record, keep.value, field=field, because=_reason(because)))


def link(company: Company, books: Books, billing: Billing, *, because: Because = "", who: Who = "") -> None:
    """These two are one record; the next run links them."""
    from reconcile.repair import Repair

    _say(Repair.open(company, who=who).link(books, billing, because=_reason(because)))


def unlink(
    company: Company,
    record: Record,
    billing: Annotated[str, typer.Argument(metavar="[BILLING]", help="Which one in ReliaBills it is not.")] = "",
    *,
    because: Because = "",
    who: Who = "",
) -> None:
    """These two are not one record: the next run takes them apart, and they are never matched again."""
    from reconcile.repair import Repair

    _say(Repair.open(company, who=who).unlink(record, billing, because=_reason(because)))


def relink(company: Company, books: Books, billing: Billing, *, because: Because = "", who: Who = "") -> None:
    """The QuickBooks record belongs to this ReliaBills record from now on, for example after a merge in QuickBooks."""
    from reconcile.repair import Repair

    _say(Repair.open(company, who=who).relink(books, billing, because=_reason(because)))


def ignore(
    company: Company,
    record: Record,
    *,
    until: Annotated[str, typer.Option(metavar="DATE", help="From this date on it counts again: 2026-12-31.")],
    because: Because = "",
    who: Who = "",
) -> None:
    """Leave a held record alone until a date; it is shown as left alone, and comes back by itself."""
    from reconcile.repair import Repair

    _say(Repair.open(company, who=who).ignore(record, until=until, because=_reason(because)))


def resolutions(
    company: Company,
    *,
    withdraw: Annotated[int | None, typer.Option(metavar="ID", help="Take this decision back.")] = None,
    who: Who = "",
) -> None:
    """List what was decided, by whom, and what became of it; or take an open decision back."""
    from reconcile.config import load_config
    from reconcile.state import resolutions as stored
    from reconcile.state.database import open_state

    config = load_config()
    config.company(company)
    engine = open_state(config.state_url)
    if withdraw is not None:
        _say(stored.withdraw(engine, company, withdraw, who or getpass.getuser()))
        return
    listed = stored.listed(engine, company)
    for one in listed:
        _say(one)
    if not listed:
        typer.echo(f"Nothing was ever decided for {company}.")


def _reason(because: str) -> str:
    if not because.strip() and sys.stdin.isatty():
        return str(typer.prompt("Why?"))
    return because


def _say(one: Resolution) -> None:
    from reconcile.commands.texts import inert
    from reconcile.model.resolutions import Status
    from reconcile.model.runs import CENTRAL

    draft = one.draft
    fields = f" ({', '.join(draft.fields)})" if draft.fields else ""
    name = f"{draft.entity.singular} {draft.label} [{', '.join(draft.keys)}]"
    when = f"{one.decided_at.astimezone(CENTRAL):%Y-%m-%d %H:%M} Central"
    became = "open: the next run applies it" if one.status is Status.OPEN else one.status.value
    if one.closed_because:
        became += f" ({one.closed_because}{f'; run {one.run_id}' if one.run_id else ''})"
    typer.echo(inert(f"{one.id}. {name}: {one.what}{fields}. {one.who}, {when}: {draft.because}. {became}."))


def _print(found: Conflicts, company: str, run_id: str) -> None:
    from rich.console import Console
    from rich.text import Text

    from reconcile.commands.texts import inert
    from reconcile.model.resolutions import ways_to_decide

    console = Console(highlight=False)

    def line(text: str, style: str = "", indent: int = 4) -> None:
        console.print(Text(" " * indent + inert(text).replace("\n", " "), style=style), soft_wrap=True)

    waiting = len(found.open)
    console.print(Text(f"{waiting} to decide on, as run {run_id} left it."))
    for row in found.records.sort_values("ignored", kind="stable").to_dict("records"):
        line("")
        line(_title(row), "bold", 0)
        own = found.fields[(found.fields["entity"] == row["entity"]) & (found.fields["key"] == row["key"])]
        for values in own.to_dict("records"):
            by = f", changed in {values['changed_in']}" if values["changed_in"] else ""
            shown = {name: _shown(values[name]) for name in ("base", "books", "billing")}
            line(
                f"{values['title']}: agreed last {shown['base']}; QuickBooks {shown['books']}; ReliaBills "
                f"{shown['billing']}{by}"
            )
        line(row["reason"])
        if _shown(row["decided"], "") and not row["ignored"]:
            line(row["decided"], "yellow")
        ways = ways_to_decide(company, row["entity"], row["key"], _shown(row["ways"], ""))
        for way in ways:
            line(f"{way.words}: {way.command}", "cyan")
        if not ways:
            line(row["remedy"])


def _title(row: dict[Any, Any]) -> str:
    from reconcile.model.entities import Entity
    from reconcile.model.money import show

    entity = Entity(row["entity"])
    title = f"{entity.singular.capitalize()} {row['label']}"
    if entity is not Entity.CUSTOMER and _shown(row["customer"], ""):
        title += f" of {row['customer']}"
    currency = _shown(row["currency"], "USD") or "USD"
    if _shown(row["amount"], ""):
        title += f", {show(int(row['amount']), currency)} {currency}"
    if row["waiting"]:
        title += f"; {row['waiting']} waiting for it"
        for name, column in (("invoices", "waiting_invoices"), ("payments", "waiting_payments")):
            title += f", {name} of {show(int(row[column]), currency)}" if row[column] else ""
    return title + (" (left alone for now)" if row["ignored"] else "")


def _shown(value: Any, otherwise: str = "-") -> str:
    import pandas as pd

    return otherwise if value is None or pd.isna(value) or value == "" else str(value)
