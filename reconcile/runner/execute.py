"""Executing one company's notebook with papermill, judging what came of it, and filing the evidence."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event, Thread
from types import FrameType
from typing import Any

import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError

from reconcile.config import CONFIG_VARIABLE, Config
from reconcile.delivery import deliver
from reconcile.errors import ReconcileError
from reconcile.evidence import AtWork, RunFolder, make_folder
from reconcile.filing import file_run
from reconcile.model.runs import CENTRAL, Outcome, Run
from reconcile.runner.forking import ENVIRONMENT, KernelStartError
from reconcile.runner.kernels import engine_options
from reconcile.runner.notebook import check_parameters, literal_path, publish
from reconcile.runner.request import Request
from reconcile.session import RUN_VARIABLE
from reconcile.state import lease, runs
from reconcile.state.database import open_state
from reconcile.verdict import Ending, Execution

NOTEBOOKS_VARIABLE = "RECONCILE_NOTEBOOKS"
LOOK_SECONDS = 0.25

Watch = Callable[[int, int], None]
"""Called with cells executed so far and all cells."""


def notebooks_folder() -> Path:
    """Where the product's notebooks are: beside the package, or where ``RECONCILE_NOTEBOOKS`` says."""
    return Path(os.environ.get(NOTEBOOKS_VARIABLE) or Path(__file__).parents[2] / "notebooks")


def execute(config: Config, request: Request, watch: Watch | None = None) -> Run:
    """Run one company: execute its notebook, judge, file the evidence, send what is due; gives back the finished run.

    ``watch`` is called with the number of cells executed so far and of all cells, from another thread.

    Raises:
        ConfigurationError: it could not be started; nothing was read or written and no run exists.
    """
    config.company(request.company)
    notebook = notebooks_folder() / ("undo.ipynb" if request.undo else "sync.ipynb")
    parameters = request.parameters()
    check_parameters(notebook, parameters)
    engine = open_state(config.state_url)
    started_at = datetime.now(UTC)
    run_id = runs.new_run_id(started_at)
    folder = make_folder(config.runs, request.company, request.kind, run_id, started_at)
    with AtWork(folder):
        runs.create(engine, _new_run(config, request, run_id, folder, started_at))
        with _watched(folder.partial_notebook, watch):
            execution = _execute_notebook(config, notebook, folder, request, run_id)
        with _undisturbed():
            lease.release_run(engine, run_id)
            finished = file_run(config, engine, run_id, execution, publish=partial(publish, folder.partial_notebook))
    deliver(config, engine)
    return finished


@contextmanager
def _watched(notebook: Path, watch: Watch | None) -> Iterator[None]:
    """Tell how far a notebook is while papermill saves it, cell by cell."""
    if watch is None:
        yield
        return
    over = Event()

    def look() -> None:
        try:
            cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        except (OSError, ValueError, KeyError):  # not there yet, or being written at this moment
            return
        watch(sum(_executed(cell) for cell in cells), len(cells))

    def keep_looking() -> None:
        while not over.wait(LOOK_SECONDS):
            look()
        look()

    thread = Thread(target=keep_looking, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _executed(cell: Mapping[str, Any]) -> bool:
    return bool(cell["metadata"].get("papermill", {}).get("status") == "completed")


def _new_run(config: Config, request: Request, run_id: str, folder: RunFolder, started_at: datetime) -> Run:
    return Run(
        id=run_id,
        company=request.company,
        kind=request.kind,
        mode=request.mode,
        apply=request.apply,
        slot=request.slot,
        slot_date=request.slot_date or (started_at.astimezone(CENTRAL).date() if request.slot else None),
        parameters=request.parameters(),
        started_at=started_at,
        ended_at=None,
        outcome=Outcome.RUNNING,
        reason="",
        folder=str(folder.path.relative_to(config.runs)),
    )


def _execute_notebook(config: Config, notebook: Path, folder: RunFolder, request: Request, run_id: str) -> Execution:
    environment = {
        CONFIG_VARIABLE: str(config.path),
        RUN_VARIABLE: run_id,
        **ENVIRONMENT,
    }
    try:
        with _environment(environment), _interruptible():
            papermill.execute_notebook(
                literal_path(notebook),
                literal_path(folder.partial_notebook),
                parameters=request.parameters(),
                progress_bar=False,
                execution_timeout=request.cell_seconds,
                cwd=str(config.path.parent),
                **engine_options(),
            )
    except _ENDS as error:
        return _ending(error, request.cell_seconds)
    return Execution(Ending.COMPLETED)


_ENDINGS: Mapping[type[BaseException], Ending] = {
    PapermillExecutionError: Ending.CELL_FAILED,
    CellTimeoutError: Ending.TIMED_OUT,
    DeadKernelError: Ending.KERNEL_DIED,
    OSError: Ending.NOT_SAVED,
    KeyboardInterrupt: Ending.INTERRUPTED,
}
_ENDS: tuple[type[BaseException], ...] = (KeyboardInterrupt, Exception)
"""Whatever ends a run: it is judged and filed, and its company is free again."""


def _ending(error: BaseException, cell_seconds: int) -> Execution:
    ending = next((ending for kind, ending in _ENDINGS.items() if isinstance(error, kind)), Ending.NOT_STARTED)
    reason = {
        Ending.CELL_FAILED: _cell_reason(error),
        Ending.TIMED_OUT: (
            f"A cell took longer than {_duration(cell_seconds)} and the run was ended. What was written until then is "
            "in the journal; see what the last cell waits for, or allow more with --cell-timeout."
        ),
        Ending.KERNEL_DIED: (
            "The notebook's kernel died (often: out of memory). What was written until then is in the journal."
        ),
        Ending.NOT_SAVED: f"The notebook could not be saved: {error}.",
        Ending.NOT_STARTED: (
            str(error)
            if isinstance(error, KernelStartError)
            else f"The notebook could not be executed ({type(error).__name__}: {error})."
        ),
        Ending.INTERRUPTED: "The run was interrupted; what was written until then is in the journal.",
    }[ending]
    return Execution(ending, reason)


def _duration(seconds: int) -> str:
    number, unit = (seconds // 60, "minute") if seconds % 60 == 0 else (seconds, "second")
    return f"{number:,} {unit}{'' if number == 1 else 's'}"


def _cell_reason(error: BaseException) -> str:
    """The failing cell's sentence: our own errors speak for themselves, others are named by type."""
    if not isinstance(error, PapermillExecutionError):
        return ""
    if error.ename in _OUR_ERRORS:
        return str(error.evalue)
    return f"Something broke that nobody expected ({error.ename}: {error.evalue}). See the failing cell below."


def _our_errors() -> frozenset[str]:
    def names(kind: type[BaseException]) -> Iterator[str]:
        yield kind.__name__
        for child in kind.__subclasses__():
            yield from names(child)

    return frozenset(names(ReconcileError))


_OUR_ERRORS = _our_errors()


class _Terminated(KeyboardInterrupt):
    """The process was asked to end, as Ctrl-C does."""


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that an interrupted run still files its evidence."""

    def terminate(_signal: int, _frame: FrameType | None) -> None:
        raise _Terminated

    try:
        previous = signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # not the main thread: whoever owns it decides about signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let nobody interrupt the second in which a run is filed: the process ends right after it."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    try:
        previous = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    except ValueError:  # not the main thread: whoever owns it decides about signals
        yield
        return
    try:
        yield
    finally:
        for number, handler in zip(numbers, previous, strict=True):
            signal.signal(number, handler)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables that the kernel inherits."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
