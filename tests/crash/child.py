"""One run of the product in a forked process that ends as it likes, or is killed at a boundary."""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pandas as pd

from checks.validation import RESULT_COLUMNS, Validation
from reconcile import report, session
from reconcile.config import CompanyConfig
from reconcile.evidence import AtWork
from reconcile.model.entities import Entity, Side
from reconcile.runner import notebook  # noqa: F401  imported when a dead run is filed, which takes a second
from reconcile.session import Session
from reconcile.sides.billing import BillingWriter
from reconcile.sides.quickbooks.writer import MEMORY
from reconcile.sides.side import RequestMemory, Writable, Write
from reconcile.state import runs
from reconcile.state.database import open_state
from tests.crash.boundaries import BOUNDARIES, number_commits
from tests.crash.filed import FiledSide, Trouble
from tests.crash.worlds import COMPANY, SmallWorld
from tests.mutations.mutations import VARIABLE, applied


@dataclass(frozen=True)
class Pipe:
    """One direction between two processes; says and hears small documents, a line each."""

    ends: tuple[int, int] = field(default_factory=os.pipe)

    def say(self, what: Mapping[str, Any]) -> None:
        os.write(self.ends[1], json.dumps(what).encode() + b"\n")

    def hear(self) -> dict[str, Any]:
        heard = b""
        while not heard.endswith(b"\n"):
            piece = os.read(self.ends[0], 65_536)
            if not piece:
                raise EOFError("the other process is gone")
            heard += piece
        result: dict[str, Any] = json.loads(heard)
        return result

    def close(self) -> None:
        for end in self.ends:
            os.close(end)


@dataclass(frozen=True)
class Ended:
    """How a child ended: killed, or by itself with what it told."""

    killed: bool
    told: Mapping[str, Any]

    @property
    def boundaries(self) -> list[str]:
        """The names of the boundaries that a run which came to its end passed."""
        return list(self.told.get("boundaries", []))


_SINGLE = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Without these, numpy and pyarrow start threads when they are imported."""


def stay_single(module: str) -> None:
    """Start this module again, unless no library was kept from making threads: a process with threads cannot fork."""
    if any(os.environ.get(name) != value for name, value in _SINGLE.items()):
        os.execve(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]], {**os.environ, **_SINGLE})  # noqa: S606  itself


def prepare() -> None:
    """Once, before the first fork: number boundaries, leave out what only people look at (charts, frames, rules).

    A safety that the environment names is switched off (:mod:`tests.mutations`).
    """
    applied(os.environ.get(VARIABLE, ""))
    number_commits()
    session.validate = _no_rules
    Session._save_frame = lambda *_: None  # type: ignore[method-assign]
    session.attempts_frame = lambda *_: None
    report.step = lambda *_: None
    report.display = lambda *_: None
    report.note = lambda *_: None
    gc.collect()
    gc.freeze()


def _no_rules(*_: Any, **__: Any) -> Validation:
    """The accountant's rules have their own tests, and take a second."""
    return Validation((), pd.DataFrame(columns=list(RESULT_COLUMNS)))


@dataclass(frozen=True)
class Circumstances:
    """Under which a run is carried out.

    Attributes:
        mode: ``census`` or ``delta``.
        trouble: how QuickBooks misbehaves.
        interrupt: what a person does in QuickBooks in the middle of it.
        memory: what QuickBooks promises of lost requests.
        clock: by how much our clock is off.
    """

    mode: str = "census"
    trouble: Trouble = field(default_factory=Trouble)
    interrupt: Callable[[FiledSide, Write], None] | None = None
    memory: RequestMemory = MEMORY
    clock: timedelta = timedelta()


AS_USUAL = Circumstances()


def run(world: SmallWorld, deadly: int = 0, under: Circumstances = AS_USUAL) -> Ended:
    """One run of the product, from opening to tie-out; killed at boundary ``deadly``, if there are as many."""
    return forked(world, lambda: _second_half(_first_half(world, deadly, under)))


def _first_half(world: SmallWorld, deadly: int, under: Circumstances = AS_USUAL) -> Session:
    """What comes before the first write to a side."""
    session.connect_writers = lambda _config, company, *_: _sides(world, company, under)
    if under.clock:
        _shift_our_clock(under.clock)
    BOUNDARIES.open(deadly)
    opened = Session.open(company=COMPANY, apply=True, mode=under.mode)
    opened.pull()
    opened.compare()
    opened.validate()
    opened.make_plan()
    return opened


def _second_half(opened: Session, steps: Sequence[Entity] = tuple(Entity)) -> dict[str, Any]:
    """The five steps (or the last ones) and the tie-out."""
    for entity in steps:
        opened.push(entity)
    opened.tie_out()
    engine = open_state(opened.config.state_url)
    ended = runs.get(engine, opened.run.id)
    return {
        "outcome": ended.outcome.value,
        "reason": ended.reason,
        "green": ended.control_totals.get("green"),
        "folder": ended.folder,
        "settled": [f"{one.entry.step} {one.entry.operation['label']}: {one.evidence}" for one in opened.settled],
    }


@contextmanager
def planned_once(world: SmallWorld) -> Iterator[Planned]:
    """A run that has made its plan and waits; from there it is carried out as often as wanted, each time in a fork.

    After each step another process waits with what the run knows then, so that a crash in the fifth step need not carry
    out the four before it again.
    """
    places = [Place(Pipe(), Pipe()) for _ in range(len(Entity) + 1)]
    _insist_on_one_thread()
    child = os.fork()
    if child == 0:
        _in_child(world, lambda: _serve(world, places), world.root / "served.json")
    try:
        first = places[0].from_child.hear()
        yield Planned(world, first, places)
    finally:
        places[0].to_child.say({"deadly": -1})
        os.waitpid(child, 0)
        for place in places:
            place.to_child.close()
            place.from_child.close()


@dataclass(frozen=True)
class Place:
    """Where a process waits: before the first step, or after one."""

    to_child: Pipe
    from_child: Pipe


def _serve(world: SmallWorld, places: Sequence[Place]) -> dict[str, Any]:
    try:
        opened = _first_half(world, 0)
    except Exception as error:  # noqa: BLE001  it is told, and judged by the parent
        places[0].from_child.say(_told(error))
        return {}
    _wait_at(opened, world, places, list(Entity))
    return {}


def _wait_at(opened: Session, world: SmallWorld, places: Sequence[Place], steps: Sequence[Entity]) -> None:
    """Carry out the rest as often as asked, or go on to the next place with another process, which then waits there."""
    _let_go_of_connections(opened)
    here, further = places[0], 0
    here.from_child.say({"passed": len(BOUNDARIES.names)})
    answer = world.root / "answer.json"
    while (deadly := here.to_child.hear()["deadly"]) >= 0:
        answer.unlink(missing_ok=True)
        child = os.fork()  # Arrow's pool may have threads by now, and is made anew in a child
        if child == 0 and deadly:
            _in_child(world, lambda: _carried_out(opened, deadly, steps), answer)
        if child == 0:
            _in_child(world, lambda: _gone_on(opened, world, places[1:], steps), world.root / "served.json")
        if not deadly:
            further = child
            continue
        _, status = os.waitpid(child, 0)
        here.from_child.say({"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0})
    if further:
        places[1].to_child.say({"deadly": -1})
        os.waitpid(further, 0)


def _gone_on(opened: Session, world: SmallWorld, places: Sequence[Place], steps: Sequence[Entity]) -> dict[str, Any]:
    opened._at_work = AtWork(opened.folder)
    opened.push(steps[0])
    _wait_at(opened, world, places, steps[1:])
    return {}


def _carried_out(opened: Session, deadly: int, steps: Sequence[Entity]) -> dict[str, Any]:
    BOUNDARIES.deadly = deadly
    opened._at_work = AtWork(opened.folder)
    return _second_half(opened, steps)


def _let_go_of_connections(opened: Session) -> None:
    """No connection may be shared between processes, nor the lock that says that a process is at work."""
    opened._engine.dispose()
    if opened._at_work is not None:
        opened._at_work._stream.close()
    for side in opened._readers.values():
        for name in ("_engine", "_write_engine"):
            if hasattr(side, name):
                getattr(side, name).dispose()


@dataclass
class Planned:
    """A run with a plan.

    Attributes:
        first: what the first half told; an ``error`` when it did not come to a plan.
        passed: boundaries before each place where a process waits: before the first step, after each one reached.
    """

    world: SmallWorld
    first: Mapping[str, Any]
    places: Sequence[Place]
    passed: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """The run waits before its first step."""
        if "passed" in self.first:
            self._arrived(self.first)

    def _arrived(self, told: Mapping[str, Any]) -> None:
        self.world.keep(f"place {len(self.passed)}")
        self.passed.append(told["passed"])

    def before(self, deadly: int) -> bool:
        """Whether this boundary comes before the plan."""
        return deadly <= self.passed[0]

    def carry_out(self, deadly: int) -> Ended:
        """The rest of the run, from the last place before this boundary, in a process that is killed there.

        Boundaries are asked for in growing order.
        """
        while True:
            place = max(number for number, passed in enumerate(self.passed) if passed < deadly)
            last = len(self.passed) - 1
            if place < last or last == len(self.places) - 1:
                break
            self.world.put_back(f"place {last}")
            self.places[last].to_child.say({"deadly": 0})
            self._arrived(self.places[last + 1].from_child.hear())
        self.world.put_back(f"place {place}")
        self.places[place].to_child.say({"deadly": deadly})
        ended = self.places[place].from_child.hear()
        if ended["signal"]:
            return Ended(True, ended)
        return Ended(False, json.loads((self.world.root / "answer.json").read_text(encoding="utf-8")))


def _sides(world: SmallWorld, company: CompanyConfig, under: Circumstances) -> Mapping[Side, Writable]:
    books = world.books(under.trouble, under.memory)
    books.interrupt = under.interrupt
    return {Side.BOOKS: books, Side.BILLING: BillingWriter(company.billing.url, company.key, company.currency)}


def _shift_our_clock(by: timedelta) -> None:
    """Our own clock is off, in every module of the product but the two systems'; theirs and the database's are not."""

    class AnyMoment(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, datetime)

    class Shifted(datetime, metaclass=AnyMoment):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + by

    theirs = ("reconcile.sides", "reconcile.sandbox")
    for name, module in list(sys.modules.items()):
        if (
            name.startswith("reconcile.")
            and not name.startswith(theirs)
            and getattr(module, "datetime", None) is datetime
        ):
            module.datetime = Shifted  # type: ignore[attr-defined]


def forked(world: SmallWorld, work: Callable[[], dict[str, Any]]) -> Ended:
    """Do something in a child; what it returns (or raises) comes back by a file."""
    answer = world.root / "answer.json"
    answer.unlink(missing_ok=True)
    _insist_on_one_thread()
    child = os.fork()
    if child == 0:
        _in_child(world, work, answer)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return Ended(True, {"signal": os.WTERMSIG(status)})
    return Ended(False, json.loads(answer.read_text(encoding="utf-8")))


def _told(error: Exception) -> dict[str, Any]:
    return {"error": type(error).__name__, "words": str(error), "trace": traceback.format_exc()}


def _insist_on_one_thread() -> None:
    threads = sum(1 for _ in Path("/proc/self/task").iterdir())
    if threads != 1:
        raise RuntimeError(f"a process that forks has exactly one thread, not {threads}")


def _in_child(world: SmallWorld, work: Callable[[], dict[str, Any]], answer: Path) -> None:
    gc.disable()
    try:
        os.chdir(world.root)
        world.enter()
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        if not os.environ.get("CRASH_LOUD"):
            os.dup2(quiet, 2)
        try:
            told = work()
        except Exception as error:  # noqa: BLE001  it is told, and judged by the parent
            told = _told(error)
        told["boundaries"] = BOUNDARIES.names
        answer.write_text(json.dumps(told), encoding="utf-8")
    finally:
        sys.stdout.flush()
        os._exit(0)
