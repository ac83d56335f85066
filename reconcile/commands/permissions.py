"""``reconcile permit`` and ``reconcile permissions``: a person lets one named guard pass, with a reason."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from reconcile.model.guards import Permission


def permit(
    company: Annotated[str, typer.Argument(help="Company key, as in reconcile.toml.")],
    guard: Annotated[str, typer.Argument(help="The guard, as the run's message names it.")],
    *,
    because: Annotated[str, typer.Option(help="Why this is right. Asked for when not given.")] = "",
    record: Annotated[str, typer.Option(help="Only this record or kind of record, as the message names it.")] = "",
    up_to: Annotated[int | None, typer.Option(min=0, help="At most so many.")] = None,
    seen_in: Annotated[str, typer.Option(metavar="RUN", help="The run whose message said it.")] = "",
    who: Annotated[str, typer.Option(help="Your name; the name of this login unless given.")] = "",
    standing: Annotated[bool, typer.Option("--standing", help="Every run until it expires, not just one.")] = False,
    days: Annotated[int, typer.Option(min=1, max=31, help="How long it holds.")] = 3,
) -> None:
    """Let one guard pass, once, with a reason; the next run that needs it uses it up and says so."""
    from datetime import timedelta

    from reconcile.config import load_config
    from reconcile.model.guards import BECAUSE
    from reconcile.state import permissions
    from reconcile.state.database import open_state

    config = load_config()
    config.company(company)
    engine = open_state(config.state_url)
    if because.strip() in ("", BECAUSE) and sys.stdin.isatty():
        because = typer.prompt("Why is this right?")
    wanted = permissions.Wanted(
        guard,
        because=because,
        who=who or getpass.getuser(),
        record=record,
        up_to=up_to,
        seen_in=seen_in,
        standing=standing,
        lasts=timedelta(days=days),
    )
    given = permissions.give(engine, company, wanted)
    typer.echo(_line(given))


def permissions(
    company: Annotated[str, typer.Argument(help="Company key, as in reconcile.toml.")],
    *,
    withdraw: Annotated[int | None, typer.Option(metavar="NUMBER", help="Take this permission back.")] = None,
) -> None:
    """List what people let pass for a company: who, why, until when, and which run used it."""
    from reconcile.config import load_config
    from reconcile.state import permissions as stored
    from reconcile.state.database import open_state

    config = load_config()
    config.company(company)
    engine = open_state(config.state_url)
    if withdraw is not None:
        typer.echo(_line(stored.withdraw(engine, company, withdraw)))
        return
    listed = stored.listed(engine, company)
    for one in listed:
        typer.echo(_line(one))
    if not listed:
        typer.echo(f"Nothing was ever let pass for {company}.")


def _line(permission: Permission) -> str:
    from datetime import UTC, datetime

    from reconcile.commands.texts import inert
    from reconcile.model.runs import CENTRAL

    what = permission.guard + (f" of {permission.record}" if permission.record else "")
    what += f", at most {permission.up_to:,}" if permission.up_to is not None else ""
    until = f"{permission.expires_at.astimezone(CENTRAL):%Y-%m-%d %H:%M} Central"
    if permission.withdrawn_at is not None:
        state = "withdrawn"
    elif permission.used_in and not permission.standing:
        state = f"used by run {permission.used_in[0]}"
    elif not permission.holds(datetime.now(UTC)):
        state = f"expired {until}"
    else:
        state = f"every run until {until}" if permission.standing else f"one run, until {until}"
    return inert(f"{permission.id}. {what}: {state}. {permission.who}: {permission.because}")
