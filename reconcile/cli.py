"""The command line. Every failure is one clear sentence and an exit code.

Exit codes of a run: 0 agreed, 1 agreed except held records, 2 a step failed (or something broke that nobody expected,
so that nothing is proven), 3 stopped before writing (wrong settings, wrong usage and unreachable systems included),
4 deferred (a system asked for patience), 5 stopped because the company must be connected again.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text
from typer.exceptions import Abort, TyperException

from reconcile.commands import deciding
from reconcile.commands import evidence as evidence_commands
from reconcile.commands import notices as notice_commands
from reconcile.commands import permissions as permission_commands
from reconcile.commands import plans as plan_commands
from reconcile.commands.running import COLOURS, begin_importing, carry_out, print_run
from reconcile.commands.texts import inert as _inert
from reconcile.errors import ReconcileError, StepFailedError
from reconcile.model.runs import Mode, Outcome, Run

app = typer.Typer(
    name="reconcile",
    help="Keeps QuickBooks Online and ReliaBills in agreement, and proves it.",
    epilog=(
        "Start with `reconcile demo`: it shows everything on a sample company and leaves its notebooks to look at. "
        "For a company of your own: write reconcile.toml, then `reconcile key`, `reconcile migrate`, "
        "`reconcile connect COMPANY` and `reconcile run COMPANY --dry-run`, which writes nothing."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
sandbox = typer.Typer(help="A local QuickBooks and a local ReliaBills to try things on.", no_args_is_help=True)
app.add_typer(sandbox, name="sandbox")

TRACEBACK_VARIABLE = "RECONCILE_TRACEBACK"
STOPPED = Outcome.STOPPED.exit_code


class Slot(StrEnum):
    """The two nightly runs, Central time."""

    EVENING = "22:30"
    NIGHT = "01:30"


@app.command()
def run(
    company: Annotated[str, typer.Argument(help="Company key, as in reconcile.toml.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, write nothing.")] = False,
    mode: Annotated[Mode, typer.Option(help="census reads everything, delta what changed.")] = Mode.CENSUS,
    slot: Annotated[Slot | None, typer.Option(help="The nightly slot this run belongs to.")] = None,
    cell_timeout: Annotated[int, typer.Option(min=1, help="Seconds after which a single cell is ended.")] = 7200,
) -> None:
    """Run one company now: pull, compare, check, push in five steps, tie out, file the evidence.

    Exit codes: 0 both sides agree (or the dry run came to its end), 1 they agree except for held records,
    2 a step failed, 3 stopped before anything was written, 4 deferred: QuickBooks asked for patience and it is tried
    again later, 5 stopped: the company must be connected to QuickBooks again.
    """
    from reconcile.config import load_config
    from reconcile.runner.request import Request

    kind = "dry" if dry_run else "night" if slot else "manual"
    request = Request(
        company=company,
        mode=mode,
        apply=not dry_run,
        slot=slot.value if slot else "",
        kind=kind,
        cell_seconds=cell_timeout,
    )
    raise typer.Exit(carry_out(load_config(), request).outcome.exit_code)


@app.command()
def runs(
    company: Annotated[str | None, typer.Argument(help="Only this company's.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
) -> None:
    """List runs, newest first."""
    from reconcile.config import load_config
    from reconcile.state import runs as stored
    from reconcile.state.database import open_state

    config = load_config()
    if company is not None:
        config.company(company)
    listed = stored.find(open_state(config.state_url), company=company, limit=limit)
    _print_runs(listed)
    if not listed:
        typer.echo("There are no runs yet. Start one with `reconcile run COMPANY`.")


@app.command()
def show(
    run_id: Annotated[
        str,
        typer.Argument(metavar="RUN", help="Run id, as `reconcile runs` lists it, or the run's folder or notebook."),
    ],
    *,
    certificate: Annotated[
        bool, typer.Option("--certificate", help="Only its certificate, to be printed or kept elsewhere.")
    ] = False,
) -> None:
    """Explain one run: outcome, steps, findings, where the evidence is."""
    from reconcile.config import load_config
    from reconcile.evidence import read_json
    from reconcile.rebuilding import died
    from reconcile.state import runs as stored
    from reconcile.state.database import open_state

    config = load_config()
    engine = open_state(config.state_url)
    found = stored.in_folder(engine, _run_folder(run_id, config.runs)) or stored.get(engine, run_id)
    if certificate:
        typer.echo(evidence_commands.certificate_of(config, found), nl=False)
        return
    print_run(found, config.runs)
    if died(config, engine, found):
        typer.echo(f"Its process is gone and nothing was filed: `reconcile rebuild {found.id}` files what it left.")
    findings = config.runs / found.folder / "findings.json"
    if findings.exists():
        _print_findings(read_json(findings))


app.command()(plan_commands.plan)
app.command()(plan_commands.apply)
app.command()(plan_commands.undo)
deciding.register(app)
app.command()(permission_commands.permit)
app.command()(permission_commands.permissions)
app.command()(notice_commands.notices)
app.command()(evidence_commands.verify)
app.command()(evidence_commands.rebuild)


@app.command()
def settings(
    company: Annotated[str, typer.Argument(help="Company key, as in reconcile.toml.")],
    choices: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]...", help="For example conflict_policy.customer.phone=billing."),
    ] = None,
) -> None:
    """Show a company's settings, or make choices anew; they count from the next run on."""
    from reconcile.config import load_config
    from reconcile.errors import ConfigurationError
    from reconcile.state import settings as stored
    from reconcile.state.database import open_state

    config = load_config()
    config.company(company)
    engine = open_state(config.state_url)
    chosen = stored.load(engine, company)
    for choice in choices or []:
        name, equals, value = choice.partition("=")
        if not equals:
            raise ConfigurationError(f"{choice!r} is no NAME=VALUE.")
        chosen = stored.changed(chosen, name, value)
    if choices:
        stored.save(engine, company, chosen)
    for name, value in stored.shown(chosen):
        typer.echo(f"{name} = {value}")


@app.command()
def key(
    *, show: Annotated[bool, typer.Option("--show", help="Only print a new key, for RECONCILE_KEY.")] = False
) -> None:
    """Make the key that seals stored credentials, in the key file of reconcile.toml."""
    from cryptography.fernet import Fernet

    from reconcile.config import load_config
    from reconcile.state.tokens import make_key_file

    if show:
        typer.echo(Fernet.generate_key().decode())
        return
    path = load_config().key_file
    make_key_file(path)
    typer.echo(
        f"The key is at {path}, readable by you only. Keep a copy elsewhere: without it the credentials are lost."
    )


@app.command()
def migrate() -> None:
    """Bring the state database to this version."""
    from reconcile.config import load_config
    from reconcile.state.database import migrate as migrate_state

    typer.echo(migrate_state(load_config().state_url))


@app.command()
def credentials(
    company: Annotated[str, typer.Argument(help="Company key, as in reconcile.toml.")],
) -> None:
    """Store a company's QuickBooks credentials, encrypted; reads one JSON object from standard input.

    Keys: client_id, client_secret, access_token, refresh_token (what `reconcile sandbox quickbooks` prints will do).
    """
    from reconcile.config import load_config
    from reconcile.connections import store_credentials
    from reconcile.errors import ConfigurationError

    try:
        given = json.loads(sys.stdin.read())
    except ValueError as error:
        raise ConfigurationError("Standard input is not a JSON object with the credentials.") from error
    store_credentials(load_config(), company, given)
    typer.echo(f"The QuickBooks credentials of {company} are stored, encrypted.")


@app.command()
def connect(
    company: Annotated[str, typer.Argument(help="Company key, as in reconcile.toml.")],
    *,
    paste: Annotated[
        bool, typer.Option("--paste", help="No browser here: print the address, read the one you were led to.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Loopback port that Intuit leads back to.")] = 8723,
    redirect_uri: Annotated[str, typer.Option(help="With --paste: another registered redirect address.")] = "",
    other_company: Annotated[
        str, typer.Option(metavar="REASON", help="Why another QuickBooks company takes the place of the former one.")
    ] = "",
) -> None:
    """Connect a company to its QuickBooks: opens Intuit's consent page, keeps what it grants, encrypted.

    The program's keys at Intuit come from RECONCILE_CLIENT_ID and RECONCILE_CLIENT_SECRET, else from the last
    connection, else as one line of JSON (client_id, client_secret) from standard input; never from arguments.
    """
    import webbrowser

    from reconcile import connect as connecting
    from reconcile.config import load_config
    from reconcile.errors import ConfigurationError

    config = load_config()
    keys = connecting.keys_of_environment()
    if keys is None and not connecting.has_stored_keys(config, company):
        keys = connecting.keys_of(_json_line("The program's keys at Intuit as one line of JSON: "))
    if redirect_uri and not paste:
        raise ConfigurationError("--redirect-uri goes with --paste: this program listens on the loopback address only.")
    connector = connecting.Connector(config, company, keys, because=other_company)
    try:
        if paste:
            consent = connector.consent(redirect_uri or connecting.redirect_uri(port))
            typer.echo(f"Open this address in a browser and allow access:\n\n{connector.address(consent)}\n")
            typer.echo("The browser is then led to an address that may not load. Paste that address here:")
            grant = consent.accept(sys.stdin.readline())
        else:
            with connecting.listening(connector.consent, port, lambda said: typer.echo(_inert(said), err=True)) as (
                consent,
                wait,
            ):
                address = connector.address(consent)
                typer.echo(
                    f"Allow access in the browser. If none opens, open this address on this machine:\n\n{address}"
                )
                webbrowser.open(address)
                grant = wait(connecting.PATIENCE)
        made = connector.finish(consent, grant)
    finally:
        connector.close()
    typer.echo(_inert(made.sentence))
    if not made.problem:
        _print_readiness(company)


@app.command()
def disconnect(company: Annotated[str, typer.Argument(help="Company key, as in reconcile.toml.")]) -> None:
    """End a company's connection to QuickBooks, at Intuit and here; a run in hand stops after its operation."""
    from reconcile.config import load_config
    from reconcile.connect import disconnect as end

    typer.echo(end(load_config(), company))


@app.command()
def status(company: Annotated[str, typer.Argument(help="Company key, as in reconcile.toml.")]) -> None:
    """How a company stands with QuickBooks: who is behind the connection, until when, its last runs.

    Exit code 1 when it needs a person within 30 days, 0 otherwise.
    """
    from datetime import UTC, datetime

    from reconcile.config import load_config
    from reconcile.connect import standing

    found = standing(load_config(), company)
    warnings = found.warnings(datetime.now(UTC))
    console = Console(highlight=False)
    for name, value in found.facts():
        console.print(Text(f"{name:<22}{_inert(value)}"), soft_wrap=True)
    for warning in warnings:
        console.print(Text(_inert(warning), style="yellow"))
    _print_runs(found.runs)
    raise typer.Exit(1 if warnings else 0)


@app.command()
def readiness(company: Annotated[str, typer.Argument(help="Company key, as in reconcile.toml.")]) -> None:
    """What in this QuickBooks company would make the sync fail or surprise, each with what to do.

    Exit code 1 when something needs a person, 0 otherwise.
    """
    raise typer.Exit(_print_readiness(company))


@app.command()
def rotate_key() -> None:
    """Replace the key that seals stored credentials. Cut off, it is run again; until it has finished both keys work."""
    from reconcile.config import load_config
    from reconcile.connections import open_vault
    from reconcile.state.database import open_state

    config = load_config()
    typer.echo(open_vault(config, open_state(config.state_url)).rotate_key())


@app.command()
def demo(
    folder: Annotated[
        Path | None, typer.Option(help="Where to put the demo's files (default: a new one under runs/).")
    ] = None,
) -> None:
    """One night, end to end, on the sample company: a local QuickBooks, a local ReliaBills, real runs."""
    begin_importing()
    from reconcile.demo.story import run_demo

    raise typer.Exit(run_demo(folder))


def _sandbox_commands() -> None:
    from reconcile.sandbox.billing.command import billing, midnight
    from reconcile.sandbox.quickbooks.command import quickbooks

    sandbox.command()(quickbooks)
    sandbox.command()(billing)
    sandbox.command()(midnight)


def _run_folder(given: str, runs_folder: Path) -> str:
    """The folder that someone means who names a run by it, or by the notebook in it; relative to the runs folder."""
    path = Path(given).absolute()
    folder = path.parent if path.suffix else path
    return str(folder.relative_to(runs_folder)) if folder.is_relative_to(runs_folder) else ""


def _print_runs(listed: Iterable[Run]) -> None:
    from reconcile.model.runs import CENTRAL

    console = Console(highlight=False)
    for found in listed:
        started = f"{found.started_at.astimezone(CENTRAL):%Y-%m-%d %H:%M} Central"
        line = Text(f"{found.id}  {found.company}  {started}  {found.slot or found.kind}  ")
        console.print(line.append(found.headline, style=f"bold {COLOURS[found.outcome]}"), soft_wrap=True)
        if found.reason:
            console.print(Padding(Text(_inert(found.reason)), (0, 0, 0, 4)))


def _print_readiness(company: str) -> int:
    """The readiness table; 1 when something needs a person, else 0."""
    from rich.table import Table

    from reconcile.config import load_config
    from reconcile.readiness import Level
    from reconcile.readiness import readiness as look

    rows = look(load_config(), company)
    styles = {Level.READY: "green", Level.NOTE: "cyan", Level.ATTENTION: "yellow", Level.STOPS: "red"}
    table = Table("what", "", "found", "what to do", box=None, pad_edge=False)
    for row in rows:
        mark = Text(row.level.value, style=styles[row.level])
        table.add_row(Text(row.subject), mark, Text(_inert(row.found)), Text(_inert(row.remedy)))
    Console(highlight=False).print(table)
    return int(any(row.level in {Level.ATTENTION, Level.STOPS} for row in rows))


def _json_line(prompt: str) -> Any:
    """One line of JSON from standard input, not shown when somebody types it.

    Raises:
        ConfigurationError: it is no JSON; nothing of it is shown.
    """
    import getpass

    from reconcile.errors import ConfigurationError

    line = getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline()
    try:
        return json.loads(line)
    except ValueError:
        raise ConfigurationError("Standard input holds no line of JSON.") from None


def _print_findings(findings: list[dict[str, Any]]) -> None:
    console = Console(highlight=False)
    serious = [finding for finding in findings if finding["severity"] != "note"]
    for finding in serious:
        console.print(Text(f"\n{finding['severity'].upper()}  {_inert(finding['sentence'])}"))
        console.print(Padding(Text(_inert(finding["remedy"])), (0, 0, 0, 6)))
    notes = len(findings) - len(serious)
    if notes:
        console.print(Text(f"\n{notes} note{'' if notes == 1 else 's'} more in findings.json."))


def main() -> None:
    """Entry point: our own errors are one sentence on standard error and an exit code.

    Wrong usage exits with 3, not with typer's 2, which here means that a push step failed.
    """
    if sys.argv[1:2] == ["sandbox"]:
        _sandbox_commands()
    try:
        code = typer.main.get_command(app).main(standalone_mode=False)
    except StepFailedError as error:
        code = _complain(str(error), Outcome.STEP_FAILED.exit_code)
    except ReconcileError as error:
        code = _complain(str(error), STOPPED)
    except TyperException as error:
        said = error.format_message()
        code = _complain(f"{said.rstrip('.')}. See `reconcile --help`.", STOPPED) if said else STOPPED
    except (KeyboardInterrupt, Abort):
        code = _complain("Interrupted.", STOPPED)
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        code = _complain(_unexpected(error), Outcome.STEP_FAILED.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def _unexpected(error: Exception) -> str:
    """The sentence for what nobody expected. Its message is left out: it may quote an address with a password."""
    return (
        f"Something broke that nobody expected ({type(error).__name__}), so nothing is proven; `reconcile runs` shows "
        f"what was done. To see where, set {TRACEBACK_VARIABLE}=1 and repeat the command."
    )


def _complain(sentence: str, code: int) -> int:
    typer.echo(_inert(sentence), err=True)
    return code
