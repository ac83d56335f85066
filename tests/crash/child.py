"""One run of the product in a forked process that ends as it likes, or is killed at a boundary.

The product is as it is: both sides connected from the configuration, QuickBooks over HTTP. Left out is what only people
look at, and what makes a run wait: our own limit of calls (the sandbox asks for patience itself when it is told to) and
the waiting for it.
"""

from __future__ import annotations

import gc
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from functools import partial, partialmethod
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from checks.validation import RESULT_COLUMNS, Validation
from reconcile import connections, report, session
from reconcile.evidence import AtWork
from reconcile.push.steps import Pusher
from reconcile.runner import notebook  # noqa: F401  imported when a dead run is filed, which takes a second
from reconcile.session import Session
from reconcile.sides.quickbooks import Limiter, Limits
from reconcile.sides.quickbooks import session as quickbooks
from reconcile.sides.quickbooks.transport import Reply
from reconcile.state import runs
from reconcile.state.database import open_state
from reconcile.state.heartbeat import Heartbeat
from tests.crash.books import WRITES, Books, rules_of
from tests.crash.boundaries import BOUNDARIES, number_commits
from tests.crash.worlds import COMPANY, SmallWorld
from tests.mutations.mutations import VARIABLE, applied

NO_LIMIT = Limits(per_second=1_000_000, per_minute=1_000_000, batches_per_minute=1_000_000)


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
    limiter = Limiter(NO_LIMIT)
    connections.shared_limiter = lambda *_: limiter
    connections.QuickBooksSession = partial(connections.QuickBooksSession, sleep=lambda _: None)  # type: ignore[misc]
    quickbooks.exchange = partial(_numbered, quickbooks.exchange)
    Heartbeat.beating = lambda _: nullcontext()  # type: ignore[method-assign]  # a thread, and renewals have no number
    session.validate = _no_rules
    Session._save_frame = partialmethod(_frames_that_are_looked_at, Session._save_frame)  # type: ignore[assignment]
    session.attempts_frame = lambda *_: None
    report.step = lambda *_: None
    report.display = lambda *_: None
    report.note = lambda *_: None
    for owner, name in _PLACES:
        setattr(owner, name, _waiting_before(getattr(owner, name)))
    gc.collect()
    gc.freeze()


def _frames_that_are_looked_at(self: Session, save: Callable[..., None], name: str, frame: pd.DataFrame) -> None:
    """The frames of a dry run are what a person looks at who decides; of the others only the tie-out is looked at."""
    if not self.run.apply or name.startswith("tie-out"):
        save(self, name, frame)


def _no_rules(*_: Any, **__: Any) -> Validation:
    """The accountant's rules have their own tests, and take a second."""
    return Validation((), pd.DataFrame(columns=list(RESULT_COLUMNS)))


# ------------------------------------------------------------------------------------------------ requests


def tell(path: Path, line: str) -> None:
    """Append one line that survives the process."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def told(path: Path) -> list[str]:
    """The lines."""
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


@dataclass
class _Current:
    """The run of this process: its world, who is faster than it, and how many writes have left."""

    world: SmallWorld | None = None
    interrupt: Callable[[int, Any], None] | None = None
    writes: int = 0
    session: Session | None = None
    places: list[Place] = field(default_factory=list)


_CURRENT = _Current()


def _numbered(exchange: Callable[..., Reply], *given: Any, **named: Any) -> Reply:
    """A request that changes something in QuickBooks is told, with its run, when it leaves; it is a boundary before and
    after it.
    """
    _, method, url = given
    path = urlsplit(url).path
    sent = (named["body"] or b"{}").decode()
    if method != "POST" or not re.match(WRITES, f"{path}\n{sent}") or _CURRENT.world is None:
        return exchange(*given, **named)
    if _CURRENT.session is None:
        raise RuntimeError(f"{path} is written to outside a run")
    body = json.loads(sent)
    items = [item["bId"] for item in body.get("BatchItemRequest", [])]
    for item in items or [""]:
        tell(_CURRENT.world.left, f"{named['params'].get('requestid', '')}{item} {_CURRENT.session.run.id}")
    _CURRENT.writes += 1
    if _CURRENT.interrupt is not None:
        _CURRENT.interrupt(_CURRENT.writes, body)
    name = path.rpartition("/")[2]
    BOUNDARIES.reach(f"before the {name} request to QuickBooks")
    reply = exchange(*given, **named)
    BOUNDARIES.reach(f"after the {name} request to QuickBooks")
    return reply


@dataclass(frozen=True)
class Trouble:
    """What goes wrong in one run, at its ``at``-th write (``storm``, ``throttled``: at its ``at``-th call).

    ``lost before``: the request never arrives. ``lost after``, ``reset after``, ``cut off``, ``error after``: it is
    carried out, the answer is lost, or is another one. ``unavailable``: QuickBooks cannot be had, then it can.
    ``late``: no answer, and it arrives when the run is over. ``twice``: it is delivered twice. ``shuffled``, ``item
    dropped``: the answers of a batch. ``edited``: a person is faster. ``storm``: three calls are too many.
    ``throttled``: every call from then on is. ``expired``: access has run out. ``disconnected``: so has the right to
    renew it. ``lagging``: what is written shows in searches only after a while.
    """

    kind: str = ""
    at: int = 0


@dataclass(frozen=True)
class Circumstances:
    """Under which a run is carried out.

    Attributes:
        mode: ``census`` or ``delta``.
        trouble: how QuickBooks misbehaves.
        interrupt: what a person does in QuickBooks in the middle of it, told the number of the write and its body.
        clock: by how much our clock is off.
        undo: the run that is undone; empty for an ordinary one.
        plan: the run whose plan is carried out; empty for the own plan.
        apply: whether it writes.
    """

    mode: str = "census"
    trouble: Trouble = field(default_factory=Trouble)
    interrupt: Callable[[Books, int, Any], None] | None = None
    clock: timedelta = timedelta()
    undo: str = ""
    plan: str = ""
    apply: bool = True


AS_USUAL = Circumstances()
LAGGING = 20.0


def run(world: SmallWorld, deadly: int = 0, under: Circumstances = AS_USUAL) -> Ended:
    """One run of the product, from opening to tie-out; killed at boundary ``deadly``, if there are as many."""
    kind = under.trouble.kind
    rules = rules_of(kind, under.trouble.at)
    if rules:
        world.books.misbehave(*rules)
    if kind in {"expired", "disconnected"}:
        world.books.admin("tokens", {"expire_access": True})
    if kind == "lagging":
        world.books.admin("visibility", {"seconds": LAGGING})
    ended = forked(world, lambda: _whole(world, deadly, under))
    if rules:
        world.books.misbehave()
    if kind == "lagging":
        world.books.admin("visibility", {"seconds": 0})
        world.books.admin("clock", {"shift_seconds": LAGGING})
    if kind in {"expired", "disconnected"}:
        world.books.sign_in_again()
    if kind == "disconnected":
        world.connect()
    return ended


def _whole(world: SmallWorld, deadly: int, under: Circumstances) -> dict[str, Any]:
    _CURRENT.world = world
    if under.interrupt is not None:
        _CURRENT.interrupt = partial(under.interrupt, world.books.alone())
    if under.clock:
        _shift_our_clock(under.clock)
    BOUNDARIES.open(deadly)
    opened = Session.open(
        company=COMPANY, apply=under.apply, mode=under.mode, undo=under.undo, plan_to_enforce=under.plan
    )
    opened.pull()
    opened.compare()
    opened.validate()
    opened.make_plan()
    for entity in opened._steps:
        opened.push(entity)
    opened.tie_out()
    engine = open_state(opened.config.state_url)
    ended = runs.get(engine, opened.run.id)
    return {
        "outcome": ended.outcome.value,
        "reason": ended.reason,
        "green": ended.control_totals.get("green"),
        "folder": ended.folder,
        "run": ended.id,
        "settled": [f"{one.entry.step} {one.entry.operation['label']}: {one.evidence}" for one in opened.settled],
    }


# ------------------------------------------------------------------------------------------------ places


@dataclass(frozen=True)
class Place:
    """Where a process can wait."""

    to_child: Pipe = field(default_factory=Pipe)
    from_child: Pipe = field(default_factory=Pipe)


_PLACES = [
    (Session, "_connect"),
    (Session, "_compare_with_the_world"),
    (Session, "pull"),
    (Session, "_stop_at"),
    (Session, "compare"),
    (Session, "make_plan"),
    (Session, "_save_findings"),
    (Session, "push"),
    (Pusher, "carry_out"),
    (Pusher, "_write"),
    (Session, "_decided_again"),
    (Session, "tie_out"),
    (Session, "_say_what_was_stored_otherwise"),
    (Session, "_remember_waiting"),
    (Session, "_move_cursors"),
    (Session, "close"),
]
"""Before each of these a process waits; no transaction is open there. How many they are decides only how fast it is."""
_MOST = 60


@contextmanager
def in_places(world: SmallWorld, under: Circumstances = AS_USUAL) -> Iterator[Waiting]:
    """A run that waits at many places on its way, and is carried out from the last one before a boundary as often as
    wanted, each time in a fork: a crash in the fifth step need not carry out the four before it again.
    """
    places = [Place() for _ in range(_MOST)]
    _insist_on_one_thread()
    world.keep("place 0")
    child = os.fork()
    if child == 0:
        _in_child(world, lambda: _on_the_way(world, places, under), world.root / "served.json")
    try:
        yield Waiting(world, places)
    finally:
        places[0].to_child.say({"deadly": -1})
        os.waitpid(child, 0)
        for place in places:
            place.to_child.close()
            place.from_child.close()


def _on_the_way(world: SmallWorld, places: list[Place], under: Circumstances) -> dict[str, Any]:
    """The run; the process that comes to its end says so to the next place."""
    BOUNDARIES.open()
    _CURRENT.places = places
    _wait_here(world)
    deadly = BOUNDARIES.deadly
    try:
        told = _whole(world, deadly, under)
    except Exception as error:  # noqa: BLE001  it is told, and judged by the parent
        told = _told(error)
    if _CURRENT.places:
        _CURRENT.places[0].from_child.say({"over": True})
    return told


def _waiting_before(method: Callable[..., Any]) -> Callable[..., Any]:
    def waiting(self: Any, *given: Any, **named: Any) -> Any:
        if isinstance(self, Session):
            _CURRENT.session = self
        if _CURRENT.places and _CURRENT.world is not None:
            _wait_here(_CURRENT.world)
        return method(self, *given, **named)

    return waiting


def _wait_here(world: SmallWorld) -> None:
    """Wait, and have the rest carried out as often as asked, or let one process go on to the next place and wait there.

    Returns in the processes that go on: in one that is to be killed, and in the one that waits again.
    """
    here, *further = _CURRENT.places
    opened = _CURRENT.session
    if opened is not None:
        _let_go_of_connections(opened)
    here.from_child.say({"passed": len(BOUNDARIES.names)})
    answer = world.root / "answer.json"
    gone_on = 0
    while (deadly := here.to_child.hear()["deadly"]) >= 0:
        answer.unlink(missing_ok=True)
        child = os.fork()  # Arrow's pool may have threads by now, and is made anew in a child
        if child == 0:
            _CURRENT.places = [] if deadly else further
            BOUNDARIES.deadly = deadly
            if opened is not None:
                opened._at_work = AtWork(opened.folder)
            return
        if not deadly:
            gone_on = child
            continue
        _, status = os.waitpid(child, 0)
        here.from_child.say({"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0})
    if gone_on:
        further[0].to_child.say({"deadly": -1})
        os.waitpid(gone_on, 0)
    os._exit(0)


def _let_go_of_connections(opened: Session) -> None:
    """No connection may be shared between processes, nor the lock that says that a process is at work."""
    opened._engine.dispose()
    if opened._at_work is not None:
        opened._at_work._stream.close()
    for side in opened._readers.values():
        for name in ("_engine", "_write_engine"):
            if hasattr(side, name):
                getattr(side, name).dispose()
        if hasattr(side, "_session"):
            side._session.close()


@dataclass
class Waiting:
    """A run that waits.

    Attributes:
        passed: boundaries before each place that was reached so far.
        over: the run came to its end after the last of them.
    """

    world: SmallWorld
    places: Sequence[Place]
    passed: list[int] = field(default_factory=list)
    over: bool = False

    def __post_init__(self) -> None:
        """It waits at its start."""
        self.passed.append(self.places[0].from_child.hear()["passed"])

    def killed_at(self, deadly: int) -> Ended:
        """The rest of the run, from the last place before this boundary, in a process that is killed there.

        Boundaries are asked for in growing order.
        """
        while not self.over and self.passed[-1] < deadly:
            last = len(self.passed) - 1
            self.world.put_back(f"place {last}")
            self.places[last].to_child.say({"deadly": 0})
            heard = self.places[last + 1].from_child.hear()
            self.over = "over" in heard
            if not self.over:
                self.world.keep(f"place {last + 1}")
                self.passed.append(heard["passed"])
        place = max(number for number, passed in enumerate(self.passed) if passed < deadly)
        self.world.put_back(f"place {place}")
        self.places[place].to_child.say({"deadly": deadly})
        ended = self.places[place].from_child.hear()
        if ended["signal"]:
            return Ended(True, ended)
        return Ended(False, json.loads((self.world.root / "answer.json").read_text(encoding="utf-8")))


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
    world.let_go()
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
        if BOUNDARIES.deadly:
            answer = world.root / "answer.json"
        answer.write_text(json.dumps(told), encoding="utf-8")
    finally:
        sys.stdout.flush()
        os._exit(0)
