"""``reconcile plan``, ``undo`` and ``apply``: a plan that somebody looks at, and exactly that plan or less."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reconcile.commands.running import carry_out
from reconcile.commands.texts import inert
from reconcile.model.runs import Mode, Outcome, Run

if TYPE_CHECKING:
    from reconcile.config import Config

_MOST = 40  # operations as a terminal bears them; the notebook shows all


def plan(
    company: Annotated[str, typer.Argument(help="Company key, as in reconcile.toml.")],
    *,
    mode: Annotated[Mode, typer.Option(help="census reads everything, delta what changed.")] = Mode.CENSUS,
) -> None:
    """Make the plan of what a run would do now, and save it; writes nothing. `reconcile apply RUN` carries it out."""
    from reconcile.config import load_config
    from reconcile.runner.request import Request

    config = load_config()
    finished = carry_out(config, Request(company=company, mode=mode, apply=False, kind="dry"))
    if finished.outcome is Outcome.PLANNED:
        say_plan(config, finished)
    raise typer.Exit(finished.outcome.exit_code)


def apply(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run that made the plan (`reconcile plan`).")],
) -> None:
    """Carry out the saved plan of a run: exactly that or less. What has moved since is refused, one by one, and listed.

    Exit codes as for `reconcile run`; 1 when something was refused or is new since.
    """
    from reconcile.compare.rules import STALE, UNPLANNED
    from reconcile.config import load_config
    from reconcile.contract import saved_plan
    from reconcile.evidence import RunFolder, read_json
    from reconcile.runner.request import Request
    from reconcile.state import runs
    from reconcile.state.database import open_state

    config = load_config()
    engine = open_state(config.state_url)
    planned = runs.get(engine, run_id)
    company = config.company(planned.company).key
    saved_plan(config, engine, company, run_id)
    undone = str(planned.parameters.get("undo") or "")
    finished = carry_out(config, Request(company=company, apply=True, plan=run_id, undo=undone, kind="apply"))
    findings = RunFolder(config.runs / finished.folder).findings
    for finding in read_json(findings) if findings.exists() else ():
        if finding["check"] in (STALE, UNPLANNED):
            typer.echo(inert(f"- {finding['sentence']}"))
    raise typer.Exit(finished.outcome.exit_code)


def undo(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run to be undone, as `reconcile runs` lists it.")],
) -> None:
    """Make the plan that undoes a run, and say what cannot be undone and why; writes nothing.

    `reconcile apply` of the run that made the plan carries it out. What is undone is not carried to the other side, nor
    done again by later runs: it waits for a person.
    """
    from reconcile.config import load_config
    from reconcile.contract import check_undo
    from reconcile.evidence import RunFolder, read_json
    from reconcile.runner.request import Request
    from reconcile.state import runs
    from reconcile.state.database import open_state

    config = load_config()
    engine = open_state(config.state_url)
    company = config.company(runs.get(engine, run_id).company).key
    check_undo(engine, company, run_id, "", apply=False)
    finished = carry_out(config, Request(company=company, apply=False, undo=run_id, kind="undo"))
    if finished.outcome is Outcome.PLANNED:
        _say_undo(read_json(RunFolder(config.runs / finished.folder).undo))
        say_plan(config, finished)
    raise typer.Exit(finished.outcome.exit_code)


def _say_undo(rows: Sequence[Mapping[str, Any]]) -> None:
    """How many writes of the run are in each group, then each that is not undone, with its reason."""
    for group, number in Counter(row["group"] for row in rows).items():
        typer.echo(f"{number:,} {'write' if number == 1 else 'writes'} of the run: {group}")
    staying = [row for row in rows if row["group"] != "is undone"]
    for row in staying[:_MOST]:
        whose = f" of {row['customer']}" if row["customer"] and row["customer"] != row["label"] else ""
        what = f"{row['action']} {row['step']} {row['label']}{whose} in {row['side']}"
        typer.echo(inert(f"- {row['group']}: {what}: {row['reason']} {row['remedy']}".rstrip()))
    if len(staying) > _MOST:
        typer.echo(f"- and {len(staying) - _MOST:,} more; all of them are in the notebook and in undo.json")


def say_plan(config: Config, run: Run) -> None:
    """What a saved plan would do, its digest, and the command that does it."""
    from reconcile.evidence import RunFolder
    from reconcile.model.plan import Plan

    saved = Plan.from_json(RunFolder(config.runs / run.folder).plan.read_text(encoding="utf-8"))
    writes = list(saved.writes())
    for operation in writes[:_MOST]:
        where = operation.side.product if operation.side else ""
        whose = f" of {operation.customer}" if operation.customer and operation.customer != operation.label else ""
        what = f"{operation.action} {operation.step.singular} {operation.label}{whose} in {where}"
        typer.echo(inert(f"- {what}: {operation.reason}"))
        for effect in operation.effects:
            typer.echo(inert(f"    would cause a {effect.kind}: {effect.cause}"))
    if len(writes) > _MOST:
        typer.echo(f"- and {len(writes) - _MOST:,} more; all of them are in the notebook and in plan.json")
    typer.echo(f"Plan {run.counts['plan']}")
    if writes:
        typer.echo(f"To carry out exactly this or less: `reconcile apply {run.id}`")
