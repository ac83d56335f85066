"""The command line of the ReliaBills stand-in: make a database, run its midnight job. One JSON line each."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from reconcile.errors import ConfigurationError
from reconcile.sandbox.billing.database import create_database, open_existing
from reconcile.sandbox.billing.midnight import run_midnight
from reconcile.sandbox.billing.sample import SAMPLES, check_sample, load_sample
from reconcile.sandbox.billing.scenario import COMPANY_NAME

CENTRAL = ZoneInfo("America/Chicago")


def billing(
    path_or_url: Annotated[str, typer.Argument(help="A file to make, or the URL of an empty PostgreSQL database.")],
    sample: Annotated[str, typer.Option(help=f"What it holds: {' or '.join(SAMPLES)}.")] = "craigs",
    company: Annotated[str, typer.Option(help="The company's id in its settings.")] = "craigs",
    today: Annotated[
        str | None, typer.Option(help="The day on which its story begins, YYYY-MM-DD (default: today, Central).")
    ] = None,
) -> None:
    """Make a ReliaBills database and print its URL and how many records it holds, as one JSON line.

    A password is not printed.
    """
    day = _day(today)
    check_sample(sample)
    engine = create_database(path_or_url, company_id=company, company_name=COMPANY_NAME)
    counts = load_sample(engine, sample, day)
    url = engine.url.render_as_string(hide_password=True)
    typer.echo(json.dumps({"url": url, "company": company, "sample": sample, **counts}))
    engine.dispose()


def midnight(
    path_or_url: Annotated[str, typer.Argument(help="The file or URL of a ReliaBills database.")],
    date_: Annotated[
        str | None, typer.Option("--date", help="The date that begins, YYYY-MM-DD (default: today, Central).")
    ] = None,
) -> None:
    """Run ReliaBills' midnight job and print what was made and charged, as one JSON line."""
    engine = open_existing(path_or_url)
    result = run_midnight(engine, _day(date_))
    typer.echo(json.dumps(asdict(result), ensure_ascii=False))
    engine.dispose()


def _day(given: str | None) -> date:
    if given is None:
        return datetime.now(CENTRAL).date()
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise ConfigurationError(f"{given!r} is no date; write it as YYYY-MM-DD.") from None
