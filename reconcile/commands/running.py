"""What the commands that run a company share: a bar while it runs, and what it came to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.text import Text

from reconcile.commands.texts import inert
from reconcile.model.entities import Entity
from reconcile.model.runs import EVERYTHING, Outcome, Run

if TYPE_CHECKING:
    from pathlib import Path

    from reconcile.config import Config
    from reconcile.runner.request import Request

COLOURS = {
    Outcome.AGREED: "green",
    Outcome.PLANNED: "cyan",
    Outcome.AGREED_EXCEPT_HELD: "yellow",
    Outcome.STEP_FAILED: "red",
    Outcome.STOPPED: "red",
    Outcome.RUNNING: "blue",
    Outcome.DEFERRED: "yellow",
    Outcome.DISCONNECTED: "red",
}


def carry_out(config: Config, request: Request) -> Run:
    """Run a company while somebody watches, and print what it came to."""
    config.company(request.company)
    begin_importing()
    from reconcile.runner.execute import execute

    with cells_bar() as watch:
        finished = execute(config, request, watch)
    print_run(finished, config.runs)
    if undelivered := not_delivered(config):
        typer.echo(undelivered, err=True)
    return finished


def not_delivered(config: Config) -> str:
    """A sentence about notices that could not be sent; empty when there are none, or no mail server to send them."""
    from reconcile.state import outbox
    from reconcile.state.database import open_state

    if config.mail is None:
        return ""
    left = [one for one in outbox.listed(open_state(config.state_url)) if one.sent_at is None and one.problem]
    if not left:
        return ""
    many = "1 notice was" if len(left) == 1 else f"{len(left)} notices were"
    return inert(f"{many} not delivered: {left[0].problem} `reconcile notices` lists what waits.")


def begin_importing() -> None:
    """Let the process that kernels are forked from import what runs need, while this one does the same."""
    from reconcile.runner.forking import fork_server

    fork_server()


@contextmanager
def cells_bar() -> Iterator[Callable[[int, int], None] | None]:
    """A bar of the notebook's cells for someone who watches; nothing when the output goes elsewhere."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=None)

        def watch(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total, description=f"{done} of {total} cells")

        yield watch


def print_run(found: Run, folder: Path) -> None:
    """What a run came to, step by step; its evidence is somewhere below ``folder``."""
    console = Console(highlight=False)
    console.print(Text(found.headline.upper(), style=f"bold {COLOURS[found.outcome]}"))
    console.print(Text(inert(found.reason)))
    if EVERYTHING in found.counts:
        console.print(Text(str(found.counts[EVERYTHING])))
    for step in found.steps:
        console.print(Text(f"  {step.step.step}. {step.step.plural:<10} {step.status.value:<8} {step.numbers}"))
    reached = {step.step for step in found.steps}
    for entity in Entity:
        if reached and entity not in reached:
            console.print(Text(f"  {entity.step}. {entity.plural:<10} not started"))
    for used in found.counts.get("permissions", []):
        console.print(Text(inert(f"  {used['who']} let {used['guard']} pass: {used['because']}")))
    console.print(Text(f"Run {found.id}; evidence: {folder / found.folder}"), soft_wrap=True)
