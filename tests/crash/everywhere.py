"""Kill a run at every boundary, then let it recover; kill some recoveries, too.

    python -m tests.crash.everywhere                          all boundaries of both worlds on SQLite
    python -m tests.crash.everywhere --state postgresql://... the same on PostgreSQL
    python -m tests.crash.everywhere --world day --at 87      one crash and its recovery, told
    python -m tests.crash.everywhere --world day --at 87 31   a crash, one in the recovery from it, and a recovery

A run is carried to its plan once and then carried out in a fork per boundary: what is killed is a whole process with
its own connections. Two crashes that leave the same world (:func:`~tests.crash.invariants.memory`) are recovered from
once.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from reconcile.sandbox.quickbooks.process import QuickBooksSandbox
from tests.crash import child, invariants
from tests.crash.books import local_quickbooks
from tests.crash.certificates import not_certified
from tests.crash.child import Circumstances, Ended
from tests.crash.invariants import Image
from tests.crash.worlds import (
    DECIDED,
    RELINKED,
    PostgresState,
    SmallWorld,
    SqliteState,
    a_day_of_disagreement,
    a_working_day,
    before_the_first_sync,
    decided,
    fast_folder,
)

WORLDS = ("first", "day", "undo", "decided")
OF_A_RECOVERY = 0.6
"""Of its boundaries that are tried before another crash is drawn."""

QUIET = "Nothing had to be written"


@dataclass
class Report:
    """What came of it."""

    state: str
    boundaries: dict[str, int] = field(default_factory=dict)
    crashes: int = 0
    recoveries: int = 0
    crashes_in_recovery: int = 0
    quiet_runs: int = 0
    certificates: int = 0
    broken: list[str] = field(default_factory=list)
    seconds: float = 0.0
    cpu: float = 0.0


class Explorer:
    """All crashes of one world on one kind of state."""

    def __init__(self, world: SmallWorld, which: str, report: Report, draw: random.Random, share: float) -> None:
        self._world = world
        self._draw = draw
        self.share = share
        self._which = which
        self._report = report
        self._known: set[str] = set()
        self._quiet: set[str] = set()
        self._recovered = False
        self._wanted = ""
        self._undone = ""
        before_the_first_sync(world)
        if which != "first":
            self._run_of_its_own(child.AS_USUAL)
            (a_day_of_disagreement if which == "decided" else a_working_day)(world)
        if which == "undo":
            self._undone = str(self._run_of_its_own(child.AS_USUAL).told["run"])
        if which == "decided":
            child.run(world, under=Circumstances(apply=False))
            told = child.forked(world, lambda: decided(world)).told
            if "error" in told:
                raise RuntimeError(str(told))
        self.under = self._circumstances()
        world.keep("start")
        self.before = invariants.image(world)
        ended = self._run_of_its_own(self.under)
        self._wanted = str(ended.told["outcome"])
        self.names = ended.boundaries
        self.after: Image = invariants.image(world)
        report.boundaries[which] = len(self.names)
        if list(invariants.broken_in_the_end(world, self.after)):
            raise RuntimeError("the undisturbed run is broken itself")
        if which == "decided":
            self._insist_on_decisions()
        self._check_quiet("undisturbed")

    def _insist_on_decisions(self) -> None:
        """All other runs are compared with the undisturbed one, so what was decided has to stand after that."""
        for side in ("QuickBooks", "ReliaBills"):
            for entity, label, name, value in DECIDED:
                (record,) = self.after[side, entity.value, label]
                if record[name] != value:
                    raise RuntimeError(f"{value!r} was decided for {name} of {label}, {side} has {record[name]!r}")

    def _circumstances(self) -> Circumstances:
        """Under which the run is carried out that is killed: an undo needs a plan, which a person has looked at."""
        if not self._undone:
            return child.AS_USUAL
        planned = child.run(self._world, under=Circumstances(undo=self._undone, apply=False))
        return Circumstances(undo=self._undone, plan=str(planned.told["run"]))

    def _run_of_its_own(self, under: Circumstances) -> Ended:
        ended = child.run(self._world, under=under)
        if not self._as_wanted(ended):
            raise RuntimeError(f"the undisturbed run does not agree: {ended.told}")
        return ended

    def _as_wanted(self, ended: Ended) -> bool:
        """Both sides agree; after an undo or a decision as far as a run that nobody disturbed comes to agree."""
        known = {self._wanted} if self._wanted else {"agreed", "agreed except held"}
        return ended.told.get("outcome") in known and bool(ended.told.get("green"))

    def everywhere(self, first: int, upto: int) -> None:
        """One crash at each boundary, each recovered from."""
        last = min(upto, len(self.names))
        self._at_boundaries("start", range(first, last + 1), self.names, self.under)

    def one(self, deadly: Sequence[int]) -> None:
        """Killed at these boundaries, one run after the other; then a run that is left alone."""
        self._world.put_back("start")
        under = self.under
        for number in deadly:
            ended = child.run(self._world, number, under)
            self._report.crashes += ended.killed
            where = f"{self._which} {number}"
            self._say(where, invariants.broken_at_once(self._world, self.before, self.after))
            for row in self._world.state.rows("select step, action, side, record_key, status, evidence from journal"):
                sys.stderr.write(f"{where}: {row}\n")
            under = self._circumstances()
        self._known.clear()
        self.share = 1.0
        self._recover("in the end")

    def in_recovery(self, until: int) -> None:
        """Crashes at drawn boundaries, then at many boundaries of the recoveries from them, up to so many in all."""
        while self._report.crashes < until:
            deadly = self._draw.randint(1, len(self.names))
            self._world.put_back("start")
            ended = child.run(self._world, deadly, self.under)
            if not ended.killed:
                raise RuntimeError(f"boundary {deadly} was not reached")
            self._report.crashes += 1
            under = self._circumstances()
            self._world.keep("again")
            names = child.run(self._world, under=under).boundaries
            before = self._report.crashes
            wanted = min(until - before, int(OF_A_RECOVERY * len(names)))
            which = sorted(self._draw.sample(range(1, len(names) + 1), wanted))
            self._at_boundaries("again", which, names, under, f"{deadly} ")
            self._report.crashes_in_recovery += self._report.crashes - before

    def _at_boundaries(
        self, start: str, which: Iterable[int], names: Sequence[str], under: Circumstances, told: str = ""
    ) -> None:
        """From this world, one crash at each of these boundaries of a run (in growing order), each recovered from."""
        self._world.put_back(start)
        with child.in_places(self._world, under) as waiting:
            for deadly in which:
                ended = waiting.killed_at(deadly)
                where = f"{self._which} {told}{deadly} ({names[deadly - 1]})"
                if not ended.killed:
                    self._say(where, [f"was not reached: {ended.told}"])
                    continue
                self._report.crashes += 1
                self._say(where, invariants.broken_at_once(self._world, self.before, self.after))
                self._recover(where)

    def _recover(self, where: str) -> None:
        fingerprint = invariants.memory(self._world)
        if fingerprint in self._known:
            return
        self._known.add(fingerprint)
        if self._recovered and self._draw.random() >= self.share:
            return
        self._recovered = True
        ended = child.run(self._world, under=self._circumstances())
        self._report.recoveries += 1
        if not self._as_wanted(ended):
            self._say(where, [f"the next run does not agree: {ended.told}"])
        self._say(where, invariants.broken_in_the_end(self._world, self.after))
        self._certified(where, ended)
        self._check_quiet(where)

    def _check_quiet(self, where: str) -> None:
        fingerprint = invariants.memory(self._world)
        if fingerprint in self._quiet:
            return
        self._quiet.add(fingerprint)
        ended = child.run(self._world)
        self._report.quiet_runs += 1
        if not self._as_wanted(ended) or QUIET not in ended.told["reason"]:
            self._say(where, [f"the run after that is not quiet: {ended.told}"])
        self._certified(f"{where}, the run after that", ended)

    def _certified(self, where: str, ended: Ended) -> None:
        """The certificate that this run has filed is green, and says what is so."""
        if "run" not in ended.told:
            return
        seen, paired = invariants.image(self._world), RELINKED if self._which == "decided" else {}
        looked = child.forked(  # Arrow makes threads where it reads a file, and then nothing can fork
            self._world, lambda: {"broken": [*not_certified(self._world, seen, ended.told, paired)]}
        )
        self._report.certificates += 1
        self._say(where, looked.told.get("broken", [f"it cannot be read: {looked.told}"]))

    def _say(self, where: str, broken: Sequence[str]) -> None:
        for one in broken:
            self._report.broken.append(f"{where}: {one}")
            sys.stderr.write(f"{where}: {one[:1500]}\n")


@dataclass(frozen=True)
class Wanted:
    """What is explored.

    Attributes:
        state: ``sqlite``, or the address of an empty PostgreSQL database.
        worlds: ``first`` sync, a working ``day``, the ``undo`` of such a day, a day after which people ``decided``.
        crashes: at least so many; once every boundary had one, recoveries are killed, too.
        share: of the different worlds that crashes leave, how many are recovered from; the first always.
        seed: what draws.
        first, upto: the first and the last boundary.
        at: these crashes only.
    """

    state: str = "sqlite"
    worlds: Sequence[str] = WORLDS
    crashes: int = 0
    share: float = 1.0
    seed: int = 1
    first: int = 1
    upto: int = 10_000
    at: Sequence[int] = ()


def explore(wanted: Wanted) -> Report:
    """All of it."""
    report = Report(wanted.state.partition(":")[0])
    started, cpu = time.monotonic(), sum(os.times()[:4])
    child.prepare()
    for position, which in enumerate(wanted.worlds, start=1):
        with tempfile.TemporaryDirectory(dir=fast_folder()) as folder, local_quickbooks() as quickbooks:
            draw = random.Random(f"{wanted.seed} {which} {report.state}")  # noqa: S311  a seed replays it
            world = _made(Path(folder), wanted.state, quickbooks)
            explorer = Explorer(world, which, report, draw, wanted.share)
            if wanted.at:
                explorer.one(wanted.at)
                continue
            explorer.everywhere(wanted.first, wanted.upto)
            explorer.in_recovery(wanted.crashes * position // len(wanted.worlds))
    report.seconds, report.cpu = time.monotonic() - started, sum(os.times()[:4]) - cpu
    return report


def _made(root: Path, state: str, quickbooks: QuickBooksSandbox) -> SmallWorld:
    kept = SqliteState(root / "state.db") if state == "sqlite" else PostgresState(state)
    return SmallWorld.made(root, kept, quickbooks)


def main() -> int:
    """The command."""
    child.stay_single(__spec__.name)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", default="sqlite")
    parser.add_argument("--world", choices=WORLDS, action="append")
    parser.add_argument("--crashes", type=int, default=Wanted.crashes)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=Wanted.first)
    parser.add_argument("--upto", type=int, default=Wanted.upto)
    parser.add_argument("--at", type=int, nargs="+", default=())
    given = parser.parse_args()
    worlds = given.world or WORLDS
    report = explore(
        Wanted(given.state, worlds, given.crashes, given.share, given.seed, given.first, given.upto, given.at)
    )
    json.dump(asdict(report), sys.stdout, indent=1)
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
