"""``reconcile notices``: what was told to people by mail, and what could not be delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from reconcile.model.notices import Posted


def notices(
    company: Annotated[str, typer.Argument(help="Company key, as in reconcile.toml; all companies unless given.")] = "",
    *,
    send: Annotated[bool, typer.Option("--send", help="Send now what was not delivered.")] = False,
    text: Annotated[int | None, typer.Option(metavar="NUMBER", help="The whole text of this one.")] = None,
) -> None:
    """List the notices of nights that did not end well, the newest first, and whether each was delivered."""
    from reconcile.commands.texts import inert
    from reconcile.config import load_config
    from reconcile.delivery import deliver
    from reconcile.errors import ConfigurationError
    from reconcile.state import outbox
    from reconcile.state.database import open_state

    config = load_config()
    if company:
        config.company(company)
    engine = open_state(config.state_url)
    if send:
        if config.mail is None:
            raise ConfigurationError(
                f"No mail server is set, so nothing can be sent. Add a [mail] section to {config.path}."
            )
        done = deliver(config, engine, company=company or None, at_once=True)
        typer.echo(f"{done.sent} sent.")
        if done.problem:
            typer.echo(inert(done.problem), err=True)
            raise typer.Exit(1)
        return
    listed = outbox.listed(engine, company or None)
    if text is not None:
        chosen = next((one for one in listed if one.id == text), None)
        if chosen is None:
            raise ConfigurationError(f"There is no notice {text}; `reconcile notices` lists those there are.")
        typer.echo(inert(f"{chosen.notice.subject}\n\n{chosen.notice.body}"), nl=False)
        return
    for one in listed:
        typer.echo(inert(_line(one)))
    if not listed:
        typer.echo("There are no notices.")


def _line(posted: Posted) -> str:
    from reconcile.model.runs import CENTRAL

    if posted.sent_at is not None:
        state = f"sent {posted.sent_at.astimezone(CENTRAL):%Y-%m-%d %H:%M} Central"
    elif posted.problem:
        state = f"NOT DELIVERED after {posted.tries} {'try' if posted.tries == 1 else 'tries'}: {posted.problem}"
    else:
        state = "waiting"
    return f"{posted.id}  {posted.notice.company}  {posted.notice.subject}  {state}"
