"""One run of one company, stage by stage, as ``notebooks/sync.ipynb`` tells it: where the rooms meet.

open -> pull -> compare -> validate -> plan -> five times push -> tie out. Each stage leaves its result for a person to
look at, files its evidence in the run's folder and records what the verdict needs in the state database.
Nothing is written to either side unless ``apply`` is set; a dry run is given sides that have no write methods at all.
"""

from __future__ import annotations

import atexit
import os
import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any

import pandas as pd
from pyarrow import parquet
from sqlalchemy import Engine

from checks import Validation, validate
from reconcile import report, restored
from reconcile.compare.circumstances import Cap, Circumstances, Ended, Mailed
from reconcile.compare.conflicts import Conflicts, conflicts
from reconcile.compare.diff import compare_all
from reconcile.compare.doubles import made_twice, new_and_marked
from reconcile.compare.guards import ENDINGS, PRICE_CHANGES, guards, many_deeds, stale_plan
from reconcile.compare.habits import PRICES, RUNS_LOOKED_AT, deeds
from reconcile.compare.inactive import becomes_active
from reconcile.compare.merging import documents_to_read
from reconcile.compare.midnight import midnight_risk
from reconcile.compare.naming import names_going_to_books, renamed_in_books
from reconcile.compare.planning import Planned, make_plan
from reconcile.compare.policy import Policy, written_fields
from reconcile.compare.resolving import one_to_one, pairs_left
from reconcile.compare.rules import UNDONE
from reconcile.compare.simulation import simulate
from reconcile.compare.tieout import TieOut, control_totals, receivables_by_age
from reconcile.compare.undoing import ORDER, Undoing, not_carried_meanwhile, still_planned, undo_run
from reconcile.config import CompanyConfig, Config, load_config
from reconcile.connections import connect_readers, connect_writers
from reconcile.contract import check_undo, saved_plan
from reconcile.deciding import Deciding
from reconcile.errors import (
    ConfigurationError,
    DeferredError,
    DisconnectedError,
    GuardError,
    ReconcileError,
    SideError,
    StepFailedError,
    StoppedBeforeWritingError,
    StorageError,
)
from reconcile.evidence import AtWork, RunFolder, make_folder, write_json, write_text
from reconcile.filing import file_run
from reconcile.gate import Gate
from reconcile.interruption import deferral, deferred_words, disconnected_words, left_words
from reconcile.model.changes import Agreement, Comparison, Decision
from reconcile.model.entities import Entity, Side, label_column
from reconcile.model.findings import Finding, Severity, findings_frame
from reconcile.model.guards import Guard
from reconcile.model.lookup import as_table
from reconcile.model.money import show, to_minor
from reconcile.model.plan import EffectKind, Operation, Plan
from reconcile.model.resolutions import Resolution
from reconcile.model.runs import (
    CENSUS_AT,
    CENTRAL,
    DEFERRED,
    DISCONNECTED,
    EVERYTHING,
    NOVELTIES,
    Mode,
    Outcome,
    Run,
    StepResult,
    StepStatus,
)
from reconcile.model.snapshot import Snapshot, Snapshots
from reconcile.push.references import References
from reconcile.push.rounds import Decided, Moved, Records, Rounds, last_look, push_in_rounds
from reconcile.push.settle import Settled, settle, unresolved_findings
from reconcile.push.steps import Attempt, Pusher, StepReport, insist, report_of, stored_otherwise
from reconcile.reach import OVERLAP, overflowed, reach, read_whole
from reconcile.rebuilding import file_the_dead
from reconcile.sides.billing import BillingReader
from reconcile.sides.pull import completed, confirm_absences, merged, pull_census, pull_delta, pull_selected
from reconcile.sides.quickbooks import QuickBooksReader, novelty_notes
from reconcile.sides.quickbooks.faults import BUSINESS_RULE, ended
from reconcile.sides.side import Progress, Readable, Writable, mark_of
from reconcile.state import companies, cursors, lease, pending, permissions, runs, settings
from reconcile.state.database import check_whole, open_state
from reconcile.state.heartbeat import Heartbeat
from reconcile.state.journal import Journal
from reconcile.state.links import Links
from reconcile.state.restored import distrust
from reconcile.verdict import FAILURE, Ending, Execution

RUN_VARIABLE = "RECONCILE_RUN"
"""Environment variable by which the runner tells the notebook which run it is."""

INTERACTIVE = "interactive"
_RUNS_LOOKED_AT = 50
LEASE_TIME = timedelta(minutes=15)


class SideFrames(Mapping[Entity, Snapshot]):
    """One side's five snapshots, and their frames by the names an analyst would use."""

    def __init__(self, side: Side, snapshots: Mapping[Entity, Snapshot]) -> None:
        self.side = side
        self._snapshots = dict(snapshots)

    def __getitem__(self, entity: Entity | str) -> Snapshot:
        return self._snapshots[Entity(entity)]

    def __iter__(self) -> Iterator[Entity]:
        return iter(self._snapshots)

    def __len__(self) -> int:
        return len(self._snapshots)

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(snapshot):,} {entity.plural}" for entity, snapshot in self._snapshots.items())
        return f"{self.side.product}: {counts}"

    @property
    def customers(self) -> pd.DataFrame:
        """One row per customer."""
        return self._snapshots[Entity.CUSTOMER].frame

    @property
    def products(self) -> pd.DataFrame:
        """One row per product."""
        return self._snapshots[Entity.PRODUCT].frame

    @property
    def tax_rates(self) -> pd.DataFrame:
        """One row per tax rate."""
        return self._snapshots[Entity.TAX_RATE].frame

    @property
    def invoices(self) -> pd.DataFrame:
        """One row per invoice; amounts in minor units."""
        return self._snapshots[Entity.INVOICE].frame

    @property
    def invoice_lines(self) -> pd.DataFrame:
        """One row per invoice line."""
        return self._snapshots[Entity.INVOICE].rows

    @property
    def payments(self) -> pd.DataFrame:
        """One row per payment; amounts in minor units."""
        return self._snapshots[Entity.PAYMENT].frame

    @property
    def payment_applications(self) -> pd.DataFrame:
        """One row per invoice that a payment pays."""
        return self._snapshots[Entity.PAYMENT].rows


class Session:
    """One run, held by a notebook (or a person) from opening to tie-out."""

    def __init__(self, config: Config, company: CompanyConfig, engine: Engine, run: Run) -> None:
        self.config = config
        self.company = company
        self.run = run
        self.folder = RunFolder(config.runs / run.folder)
        self.settings = settings.load(engine, company.key)
        self._engine = engine
        self._links = Links(engine, company.key)
        self._lease: lease.Lease | None = None
        self._heart: Heartbeat | None = None
        self._at_work: AtWork | None = None
        self._readers: Mapping[Side, Readable] = {}
        self._writers: Mapping[Side, Writable] | None = None
        self.settled: tuple[Settled, ...] = ()
        self._frames: dict[Side, SideFrames] = {}
        self._agreements: Mapping[Entity, Agreement] = {}
        self._comparisons: Mapping[Entity, Comparison] = {}
        self._validated: tuple[Finding, ...] | None = None
        self._findings: tuple[Finding, ...] | None = None
        self._plan: Plan | None = None
        self._enforced: Plan | None = None
        self._pusher: Pusher | None = None
        self._read_at = 0.0
        self.left_out: tuple[Finding, ...] = ()
        self.gate = Gate(engine, run)
        self._deciding = Deciding(engine, company.key, run.id)
        self._resolutions: tuple[Resolution, ...] = ()
        self._conflicts: Conflicts | None = None
        self.reports: dict[Entity, StepReport] = {}
        self._waited: Counter[str] = Counter()
        self._novelties: tuple[Finding, ...] | None = None
        self._begun: set[Entity] = set()
        self._over = False
        self._undo = ""
        self._undoing: Undoing | None = None

    # ---------------------------------------------------------------- open

    @classmethod
    def open(
        cls,
        *,
        company: str,
        mode: str = "census",
        apply: bool = False,
        slot: str = "",
        plan_to_enforce: str = "",
        undo: str = "",
    ) -> Session:
        """Open a run: configuration, state, both sides, who is behind them, and what an earlier run left open.

        Args:
            company: company key of the configuration.
            mode: ``census`` or ``delta``.
            apply: whether writing is allowed.
            slot: ``22:30``, ``01:30`` or empty.
            plan_to_enforce: id of the run whose saved plan is carried out: exactly that, or less.
            undo: id of the run that is undone (``notebooks/undo.ipynb``); writing needs a saved plan of that undo.

        Raises:
            ConfigurationError: a setting or parameter is wrong.
            LeaseError: another run holds this company.
            GuardError: another company answers behind a connection.
            SideError: a side cannot be reached or refuses; a :class:`~reconcile.errors.DeferredError` when it asks for
                patience, which any stage may raise.
        """
        speak_plainly()
        if apply:
            _refuse_evidence(Path.cwd())
        config = load_config()
        known = config.company(company)
        chosen = _mode(mode)
        engine = open_state(config.state_url)
        check_whole(engine)
        dead = file_the_dead(config, engine, company)
        check_undo(engine, company, undo, plan_to_enforce, apply=apply)
        given, at_work = _given_run(engine, company), None
        if given is None:
            given, at_work = _interactive_run(config, engine, company, chosen, apply=apply, slot=slot, undo=undo)
        session = cls(config, known, engine, given)
        session._undo = undo
        session._at_work = at_work
        for run in dead:
            report.note(f"Run {run.id} had no verdict; it is filed now: {run.outcome}. {run.reason}")
        try:
            session._enforced = saved_plan(config, engine, company, plan_to_enforce) if plan_to_enforce else None
            with session._unless_interrupted():
                session._connect()
        except ReconcileError as error:
            session.close()
            session._file_interactive(Execution(Ending.CELL_FAILED, str(error)))
            raise
        return session

    def _connect(self) -> None:
        if self.run.apply:
            holder = f"{socket.gethostname()}:{os.getpid()}"
            self._lease = lease.acquire(self._engine, self.company.key, holder, self.run.id, LEASE_TIME)
            atexit.register(self.close)
            self._writers = connect_writers(self.config, self.company, self._engine, self._waiting)
            self._readers = self._writers
            self._heart = Heartbeat(self._lease)
            for writer in self._writers.values():
                writer.before_writing(self._heart.insist)
                writer.hold(self.run.id)
        else:
            self._readers = connect_readers(self.config, self.company, self._engine, self._waiting)
        for side, reader in self._readers.items():
            self._recognise(side, reader)
        self._compare_with_the_world()
        if self._writers is not None:
            self.settled = settle(self._journal(), self._writers, References(self._links))

    def _compare_with_the_world(self) -> None:
        """Before anything is written: is what the state remembers older than the evidence outside of it?"""
        found = restored.beyond(self.config, self._engine, self.company.key, self._readers[Side.BILLING])
        guards_found = found.guards()
        if self._lease is None:
            for guard in guards_found:
                report.note(guard.message(self.company.key, self.run.id))
            return
        self.gate.stop_at(guards_found)
        for guard, permission in self.gate.passed.items():
            if guard.name == restored.WENT_BACK:
                permissions.use(self._engine, permission, self.run.id)
                fields = {entity: [of.name for of in written_fields(entity)] for entity in Entity}
                distrust(self._engine, self._lease, fields, restored.confirmation(found, permission))

    def _recognise(self, side: Side, reader: Readable) -> None:
        identity = reader.identity()
        companies.recognise(self._engine, self.company.key, identity, side)
        if identity.currency != self.company.currency:
            raise GuardError(
                f"{side.product} keeps {self.company.key!r} in {identity.currency}, reconcile.toml says "
                f"{self.company.currency}. Nothing was read or written. Correct `currency` in reconcile.toml."
            )
        companies.register(self._engine, self.company.key, identity, side)

    def close(self) -> None:
        """Let go of the company, so that the next run need not wait."""
        self._over = True
        if self._lease is not None:
            with suppress(StorageError):  # then it runs out by itself
                self._lease.release()
            self._lease = None
            atexit.unregister(self.close)  # it would keep the run, with all its frames, for as long as the kernel lives

    def _beating(self) -> AbstractContextManager[None]:
        """Hold on to the company while something takes long; a dry run holds nothing."""
        return nullcontext() if self._heart is None else self._heart.beating()

    def _journal(self) -> Journal:
        return Journal(self._engine, self.company.key, self.run.id, self._lease)

    @property
    def today(self) -> date:
        """The company's local date (the schedule's zone)."""
        return datetime.now(CENTRAL).date()

    def _repr_html_(self) -> str:
        return report.opening(self.run, self.company.name, [_settled_sentence(item) for item in self.settled]).html

    def __repr__(self) -> str:
        return f"Run {self.run.id} of {self.company.key}, {self.run.mode}, {_writing(apply=self.run.apply)}"

    # ---------------------------------------------------------------- waiting, and breaking off

    def _waiting(self, reason: str, seconds: float) -> None:
        """Say a wait, once for each reason; all are counted."""
        if reason not in self._waited:
            report.note(f"Waiting: {reason} (about {seconds:.0f} s). The run goes on by itself.")
        self._waited[reason] += 1

    @contextmanager
    def _unless_interrupted(self, *, proving: bool = False) -> Iterator[None]:
        """File the run as deferred or disconnected when a side cannot be used any longer, and raise that in full."""
        try:
            yield
        except (DeferredError, DisconnectedError) as error:
            raise self._interrupted(error, proving=proving) from None
        finally:
            if self._waited:
                runs.record_counts(self._engine, self.run.id, {"waits": dict(self._waited)})

    def _interrupted(
        self, error: DeferredError | DisconnectedError, *, proving: bool
    ) -> DeferredError | DisconnectedError:
        run = runs.get(self._engine, self.run.id)
        left = left_words(run.steps, error, apply=run.apply, proving=proving)
        if self._writers is not None and self._frames:
            left += self._say_midnight_risk_as_known({Side.BILLING})
        now = datetime.now(UTC)
        last = next((one for one in runs.find(self._engine, run.company, limit=2) if one.id != run.id), None)
        told: DeferredError | DisconnectedError
        if isinstance(error, DeferredError):
            earlier = [one for one in runs.find(self._engine, limit=_RUNS_LOOKED_AT) if one.id != run.id]
            found = deferral(error, run.company, last, earlier, now)
            told = DeferredError(deferred_words(error, found, run, left), found.cause)
            counts: dict[str, object] = {DEFERRED: found.as_json()}
        else:
            known = last is not None and last.outcome is Outcome.DISCONNECTED
            since = last.counts.get(DISCONNECTED) if last is not None and known else now.isoformat()
            told = DisconnectedError(disconnected_words(error, left))
            counts = {DISCONNECTED: since}
        runs.record_counts(self._engine, run.id, {**counts, FAILURE: str(told)})
        if not self._journal().entries(run.id):
            permissions.give_back(self._engine, run.id, but=restored.WENT_BACK)
        self.close()
        self._file_interactive(Execution(Ending.CELL_FAILED, str(told)))
        return told

    # ---------------------------------------------------------------- pull

    def pull(self) -> tuple[SideFrames, SideFrames]:
        """Read both sides; gives books and billing. A delta without a known past becomes a census, and says so.

        Raises:
            SideError: a side could not be read completely; nothing incomplete is ever compared.
            GuardError: what was read has the shape of a disaster (an emptied or shrunken side).
            StoppedBeforeWritingError: this run has begun to write; what it read and decided stays.
        """
        self._insist_on_no_step_yet()
        self._comparisons = {}
        self._validated = self._findings = self._plan = None
        with self._unless_interrupted(), self._beating():
            return self._pull()

    def _pull(self) -> tuple[SideFrames, SideFrames]:
        self._read_at = monotonic()
        since = self._since() if self.run.mode is Mode.DELTA else None
        if since is None:
            pulled = {side: pull_census(reader, _Bar(side)) for side, reader in self._readers.items()}
        else:
            waiting = self._deciding.waiting(pending.read(self._engine, self.company.key))
            pulled = pull_delta(self._readers, since, self._linked(), waiting)
            self._say_that_all_is_read(overflowed(pulled[Side.BOOKS]))
        self._agreements = {entity: self._links.agreement(entity) for entity in Entity}
        if since is not None:
            more = documents_to_read(pulled[Side.BOOKS][Entity.CUSTOMER].frame, self._agreements)
            pulled = completed(self._readers, pulled, self._linked(), more)
        self._frames = _side_frames(pulled)
        shrunk = self.settings.shrunk_by_percent
        self._stop_at(guards(self.books, self.billing, self._agreements, shrunk_by_percent=shrunk))
        self._frames = _side_frames(confirm_absences(self._readers, pulled, self._linked()))
        self._save_frames()
        counts = {side: {e: len(s) for e, s in frames.items()} for side, frames in self._frames.items()}
        runs.record_counts(self._engine, self.run.id, {"pulled": counts})
        return self.books, self.billing

    def _linked(self) -> Mapping[Entity, pd.DataFrame]:
        return {entity: self._links.pairs(entity) for entity in Entity}

    def _since(self) -> Mapping[Side, datetime] | None:
        known = {side: cursors.read(self._engine, self.company.key, side) for side in Side}
        census = runs.last_count(self._engine, self.company.key, CENSUS_AT)
        found = reach(
            known,
            datetime.fromisoformat(census) if census else None,
            timedelta(days=self.settings.census_every_days),
            datetime.now(UTC),
        )
        self._say_that_all_is_read(found.because)
        return found.since

    def _say_that_all_is_read(self, because: str) -> None:
        if because:
            report.note(because)
            runs.record_counts(self._engine, self.run.id, {EVERYTHING: because})

    @property
    def books(self) -> SideFrames:
        """QuickBooks as pulled, and after pushes as read back."""
        return self._side(Side.BOOKS)

    @property
    def billing(self) -> SideFrames:
        """ReliaBills as pulled, and after pushes as read back."""
        return self._side(Side.BILLING)

    def _side(self, side: Side) -> SideFrames:
        if not self._frames:
            raise StoppedBeforeWritingError("Nothing has been read yet: run the cell with run.pull() first.")
        return self._frames[side]

    def _save_frames(self) -> None:
        for side, frames in self._frames.items():
            for entity, snapshot in frames.items():
                self._save_frame(f"{side}-{entity}", snapshot.frame)
                if len(snapshot.rows.columns):
                    self._save_frame(f"{side}-{entity}-rows", snapshot.rows)

    def _save_frame(self, name: str, frame: pd.DataFrame) -> None:
        parquet.write_table(as_table(frame), self.folder.frames / f"{name}.parquet")

    # ---------------------------------------------------------------- compare, validate, plan

    def compare(self) -> Mapping[Entity, Comparison]:
        """Compare both sides with the last agreement, entity by entity, in step order."""
        self._insist_on_no_step_yet()
        self._validated = self._findings = self._plan = None
        books, billing = self.books, self.billing
        self._resolutions = self._deciding.resolutions(self.today)
        compared = self._compared(books, billing, self._agreements)
        self._deciding.close_outdated(compared)
        self._comparisons = compared
        self._save_frame("changes", pd.concat([comparison.changes for comparison in compared.values()]))
        self._save_frame("differences", pd.concat([comparison.differences for comparison in compared.values()]))
        return compared

    def _compared(
        self, books: Snapshots, billing: Snapshots, agreements: Mapping[Entity, Agreement]
    ) -> Mapping[Entity, Comparison]:
        chosen = self.settings
        policy = Policy.from_settings(chosen.conflict_policy, chosen.matched_policy, chosen.deleted_invoices)
        return compare_all(books, billing, agreements, policy, self._resolutions, company=self.company.key)

    def validate(self) -> tuple[Finding, ...]:
        """Check both sides by the rules of ``checks/``; gives all findings of the run, also those of earlier stages."""
        self._insist_on_no_step_yet()
        self._plan = None
        books, billing = self.books, self.billing
        if not self._comparisons:
            raise StoppedBeforeWritingError("Nothing has been compared yet: run the cell with run.compare() first.")
        validation = self._checked(books, billing)
        snapshots = [snapshot for frames in self._frames.values() for snapshot in frames.values()]
        read = [finding for snapshot in snapshots for finding in snapshot.findings]
        compared = [finding for comparison in self._comparisons.values() for finding in comparison.findings]
        self._validated = self._findings = (
            *unresolved_findings(self.settled),
            *read,
            *self._new_in_quickbooks(),
            *validation.findings,
            *compared,
        )
        self._save_frame("checks", validation.results)
        return self._findings

    def _checked(self, books: Snapshots, billing: Snapshots) -> Validation:
        pairs = self._pairs()
        return validate(
            books,
            billing,
            bad_invoice_number="hold" if self.settings.bad_invoice_number == "hold" else "stop",
            today=self.today,
            linked={entity: frozenset(frame["books_id"]) for entity, frame in pairs.items()},
            linked_billing={entity: frozenset(frame["billing_id"]) for entity, frame in pairs.items()},
        )

    def _new_in_quickbooks(self) -> tuple[Finding, ...]:
        """Notes on what QuickBooks said for the first time in this company; a later run does not say it again."""
        books = self._readers[Side.BOOKS]
        if self._novelties is None and isinstance(books, QuickBooksReader):
            known = set(runs.last_count(self._engine, self.company.key, NOVELTIES) or ())
            new = {name: where for name, where in books.novelties.found.items() if name not in known}
            self._novelties = novelty_notes(new, self.company.currency)
            if new:
                runs.record_counts(self._engine, self.run.id, {NOVELTIES: sorted({*known, *new})})
        return self._novelties or ()

    def make_plan(self) -> Plan:
        """Decide what a push will do; with a plan to enforce, exactly that or less.

        Raises:
            GuardError: it would end more records or change more prices than is usual for the company, and nobody lets
                that pass.
            SideError: what a plan depends on besides the records (closing date, deposits) could not be read.
        """
        self._insist_on_no_step_yet()
        if self._validated is None:
            raise StoppedBeforeWritingError("Nothing has been checked yet: run the cell with run.validate() first.")
        with self._unless_interrupted(), self._beating():
            return self._make_plan(self._validated)

    def _make_plan(self, findings: Sequence[Finding]) -> Plan:
        planning = self._planned(self._comparisons, self.books, self.billing, self._agreements, findings)
        if self._undo:
            planning = self._planned_undo(planning)
        self.left_out = planning.left_out
        self.gate.passed |= dict(planning.passed)
        self._findings = (*findings, *planning.findings)
        plan = self._plan = planning.plan
        write_text(self.folder.plan, plan.to_json())
        planned: dict[str, Any] = {"plan": plan.digest, "planned_writes": sum(1 for _ in plan.writes())}
        if planning.enforced is not None:
            planned |= {"refused": len(planning.enforced.refused), "new_since": len(planning.enforced.new)}
        if self._undoing is not None:
            planned["undo"] = Counter(item.group.value for item in self._undoing.items)
        runs.record_counts(self._engine, self.run.id, planned)
        self._save_findings()
        self._conflicts = conflicts(self._comparisons, self.books, self.billing, self._findings, planning.waits)
        write_json(self.folder.conflicts, self._conflicts.to_json())
        if self.run.apply:
            if not self._undo:
                self._deciding.take(self._comparisons)
            chosen = self.settings
            usual = runs.deeds(self._engine, self.company.key, RUNS_LOOKED_AT)
            self._stop_at(many_deeds(plan, usual, chosen.most_endings, chosen.most_price_changes))
            self.gate.spend()
            if not self._undo:
                self._remember_deeds(plan)
        for sentence in self.gate.sentences:
            report.note(sentence)
        return plan

    def _planned(
        self,
        comparisons: Mapping[Entity, Comparison],
        books: Snapshots,
        billing: Snapshots,
        agreements: Mapping[Entity, Agreement],
        findings: Sequence[Finding],
    ) -> Planned:
        return make_plan(
            self.company.key,
            comparisons,
            books,
            billing,
            agreements,
            findings,
            self._circumstances(comparisons, books, billing),
            enforced=None if self._undo else self._enforced,
        )

    def _planned_undo(self, ordinary: Planned) -> Planned:
        """The plan of an undo in place of the ordinary one, whose operations all wait for the next run."""
        made = self._undoing = self._undo_as_it_is_now(self._enforced)
        waiting = not_carried_meanwhile(ordinary.plan.operations, made, self._undo)
        write_json(self.folder.undo, made.frame().astype(object).to_dict("records"))
        told = (*ordinary.findings, *waiting, *made.findings)
        return replace(ordinary, plan=made.plan, findings=told, enforced=made.enforced, passed=made.passed, left_out=())

    def _undo_as_it_is_now(self, enforced: Plan | None = None) -> Undoing:
        entries = self._journal().entries(self._undo)
        payments = self.books.payments
        own = {one.target_id for one in entries if (one.step, one.side) == (Entity.PAYMENT, Side.BOOKS)}
        dates = payments.loc[payments["id"].isin(own), "payment_date"].dropna()
        return undo_run(
            self.company.key,
            self._undo,
            entries,
            self.books,
            self.billing,
            {entity: self._links.agreement(entity) for entity in Entity},
            self._circumstances(self._comparisons, self.books, self.billing, map(str, dates)),
            enforced=enforced,
        )

    @property
    def undone(self) -> pd.DataFrame:
        """Every write of the run that is undone, and what becomes of it (:meth:`Undoing.frame`)."""
        if self._undoing is None:
            raise StoppedBeforeWritingError("There is no plan yet: run the cell with run.make_plan() first.")
        return self._undoing.frame()

    def _remember_deeds(self, plan: Plan) -> None:
        """What this run ends and reprices is usual from now on, but for what a person had to let pass."""
        unusual = {guard.record or PRICES for guard in self.gate.passed if guard.name in (ENDINGS, PRICE_CHANGES)}
        usual = {kind: number for kind, number in deeds(plan).items() if kind not in unusual}
        runs.record_counts(self._engine, self.run.id, {runs.DEEDS: usual})

    def _circumstances(
        self,
        comparisons: Mapping[Entity, Comparison],
        in_books: Snapshots,
        in_billing: Snapshots,
        payments_undone: Iterable[str] = (),
    ) -> Circumstances:
        """What a plan depends on beyond the records; asks for deposits and names only where something goes to books.

        ``payments_undone`` are the dates of payments in books that an undo may take back.
        """
        chosen, currency = self.settings, self.company.currency
        books = self._readers[Side.BOOKS]
        closed, filed, deposited, taken = "", {}, frozenset[str](), {}
        in_the_way: dict[tuple[Entity, str], str] = {}
        if isinstance(books, QuickBooksReader):
            closed, filed = books.preferences().closed_until, dict(books.filed_until())
            days = (_earliest_payment_to_books(comparisons[Entity.PAYMENT], in_books[Entity.PAYMENT]), *payments_undone)
            earliest = min(filter(None, days), default="")
            deposited = books.deposited(earliest) if earliest else deposited
            taken = dict(
                books.names_taken(names_going_to_books(comparisons[Entity.CUSTOMER], in_billing[Entity.CUSTOMER]))
            )
            for entity in (Entity.CUSTOMER, Entity.PRODUCT):
                if renamed := renamed_in_books(comparisons[entity], in_billing[entity]):
                    found = books.names_in_the_way(entity, renamed)
                    in_the_way |= {(entity, record_id): other for record_id, other in found.items()}
        return Circumstances(
            today=self.today,
            send_automatically=self._billing_sends_invoices(),
            mailed=Mailed(*self._journal().mailed()),
            closed_until=closed,
            filed_until=filed,
            deposited=deposited,
            taken_names=taken,
            names_in_the_way=in_the_way,
            doubles=self._doubles(comparisons[Entity.PAYMENT]),
            ended_for_good=self._ended_for_good(comparisons),
            caps={
                EffectKind.MAIL: Cap(chosen.most_mails, to_minor(chosen.most_mailed, currency)),
                EffectKind.CHARGE: Cap(chosen.most_charges, to_minor(chosen.most_charged, currency)),
            },
            permissions=permissions.open_to(self._engine, self.company.key, self.run.id),
        )

    def _doubles(self, payments: Comparison) -> Mapping[str, str]:
        """Payments new in QuickBooks that are second ones of a write of ours, and those that stand for that write.

        Their marks are looked at among all that was read: a round reads again what moved, not what it is a double of.
        """
        in_books = self.books[Entity.PAYMENT]
        if not new_and_marked(payments, in_books):
            return {}
        made = self._journal().made(Entity.PAYMENT, Side.BOOKS)
        by_mark = {mark_of(request_id): record_id for request_id, record_id in made.items()}
        return made_twice(payments, in_books, by_mark, {*self._links.pairs(Entity.PAYMENT)["books_id"]})

    def _ended_for_good(self, comparisons: Mapping[Entity, Comparison]) -> frozenset[Ended]:
        """What QuickBooks has refused to make active again; asked only where something is to become active."""
        if not becomes_active(comparisons.values()):
            return frozenset()
        return frozenset(
            (entry.step, entry.target_id, entry.expected_version)
            for entry in self._journal().refused_changes(Side.BOOKS, BUSINESS_RULE)
            if entry.target_id is not None and entry.fields.get("active") is True and ended(entry.code, entry.reason)
        )

    def _save_findings(self) -> None:
        findings = self._findings or ()
        frame = findings_frame(findings)
        write_json(self.folder.findings, frame.to_dict("records"))
        counts = {"held": len(_held(findings)), "findings": frame["severity"].value_counts().to_dict()}
        runs.record_counts(self._engine, self.run.id, counts)

    def _billing_sends_invoices(self) -> bool:
        """Whether ReliaBills mails each invoice that this run makes there (its own setting)."""
        billing = self._readers[Side.BILLING]
        return isinstance(billing, BillingReader) and billing.sends_invoices()

    @property
    def made_plan(self) -> Plan:
        """The plan, once it was made."""
        if self._plan is None:
            raise StoppedBeforeWritingError("There is no plan yet: run the cell with run.make_plan() first.")
        return self._plan

    @property
    def conflicts(self) -> Conflicts:
        """What waits for a person, with the values on both sides, who changed what, and the money behind it."""
        if self._conflicts is None:
            raise StoppedBeforeWritingError("There is no plan yet: run the cell with run.make_plan() first.")
        return self._conflicts

    # ---------------------------------------------------------------- push

    @property
    def labels(self) -> Mapping[Entity, Mapping[str, str]]:
        """What people know records by, per entity and key; the plan's references read better with it."""
        labels: dict[Entity, dict[str, str]] = {}
        for entity in Entity:
            labels[entity] = {}
            for side in (Side.BILLING, Side.BOOKS):
                frame = self._side(side)[entity].frame[["id", label_column(entity)]].dropna()
                labels[entity] |= dict(zip(f"{side}:" + frame["id"], frame[label_column(entity)], strict=True))
        return labels

    def push(self, step: Entity | str) -> None:
        """Carry out one push step of the plan; shows what came of it. In a dry run it only shows what would be done.

        Everything behind it is in :attr:`reports` afterwards.

        Raises:
            StepFailedError: the step could not be completed; no later step may start.
            StoppedBeforeWritingError: there is no plan yet, an earlier step has not synced, or this one was begun.
        """
        entity = Entity(step)
        if self._plan is None or self._findings is None:
            raise StoppedBeforeWritingError("There is no plan yet: run the cell with run.make_plan() first.")
        if self._writers is None:
            planned = len(self._plan.step(entity))
            runs.record_step(self._engine, self.run.id, StepResult(entity, StepStatus.PLANNED, done=0))
            report.note(f"Dry run: {planned} planned, nothing was written. Run with apply=True to write.")
            return
        self._insist_on_a_first_time(entity)
        self._insist_on_earlier_steps(entity)
        pusher = self._the_pusher()
        self._begun.add(entity)
        runs.record_step(self._engine, self.run.id, StepResult(entity, StepStatus.STARTED))
        bar = report.Progress(f"Step {self._steps.index(entity) + 1} of 5: {entity.plural}")
        with self._beating(), self._unless_interrupted(), bar as progress:
            if self._undo:
                done, found = self._push_undo(pusher, entity, progress)
            else:
                done, found = push_in_rounds(pusher, entity, self._findings, self._rounds(pusher), progress)
        self.reports[entity] = done
        if found:
            self._findings = (*self._findings, *found)
            self._save_findings()
        runs.record_step(self._engine, self.run.id, done.result)
        report.display(report.step(done.result, attempts_frame(done.attempts)))
        with self._unless_interrupted():
            if done.halt is not None:
                raise done.halt
            if done.result.status is StepStatus.FAILED:
                self._explain_failure(done)

    def _insist_on_a_run_under_way(self) -> None:
        if self._over:
            raise StoppedBeforeWritingError(
                "This run is over. Start a new run: execute the cell that opens it, and those after it."
            )

    def _insist_on_no_step_yet(self) -> None:
        self._insist_on_a_run_under_way()
        if self._begun:
            raise StoppedBeforeWritingError(
                "This run has begun to write, so what it has read and planned stays: go on with its next step. To read "
                "anew, execute `run.close()`, then the cell that opens a run."
            )

    def _insist_on_a_first_time(self, entity: Entity) -> None:
        """Nothing is written twice because a cell is executed twice, after an interruption neither."""
        self._insist_on_a_run_under_way()
        if entity in self.reports:
            raise StoppedBeforeWritingError(
                f"The {entity.plural} of this run are done, and nothing is written twice. Go on with its next step."
            )
        if entity in self._begun:
            place = self._steps.index(entity) + 1
            broken = f"Step {place} of 5, {entity.plural}, was interrupted; what was written is in the journal."
            self.close()
            self._file_interactive(Execution(Ending.INTERRUPTED, broken))
            raise StoppedBeforeWritingError(
                f"{broken} Start a new run, which first finds out what came of it: execute the cell that opens it, and "
                "those after it."
            )

    def _push_undo(self, pusher: Pusher, entity: Entity, progress: Progress) -> tuple[StepReport, tuple[Finding, ...]]:
        """One step of an undo, decided again from what its records are now: earlier steps have moved their versions.

        A record that moves under the write fails the step: no invoice is voided whose payment could not be.
        """
        planned = pusher.planned(entity)
        kept: Sequence[Operation] = ()
        found: tuple[Finding, ...] = ()
        if planned:
            self._refresh()
            for side, reader in self._readers.items():
                ids = {one.books_id if side is Side.BOOKS else one.billing_id for one in planned}
                fresh = reader.fetch(entity, sorted(filter(None, ids)))
                known = {**self._frames[side], entity: merged(self._frames[side][entity], fresh)}
                self._frames[side] = SideFrames(side, known)
            kept, found = still_planned(planned, self._undo_as_it_is_now(), self._undo)
        left = {(one.entity, one.record_id) for one in found}
        told = self._findings or ()
        self._findings = tuple(one for one in told if one.check != UNDONE or (one.entity, one.record_id) not in left)
        attempts = pusher.carry_out(kept, progress)
        return report_of(entity, attempts, [*self._findings, *found], pusher.halt), found

    @property
    def _steps(self) -> tuple[Entity, ...]:
        return ORDER if self._undo else tuple(Entity)

    def _insist_on_earlier_steps(self, entity: Entity) -> None:
        synced = {step.step for step in runs.get(self._engine, self.run.id).steps if step.status is StepStatus.SYNCED}
        waiting = [earlier for earlier in self._steps[: self._steps.index(entity)] if earlier not in synced]
        if waiting:
            raise StoppedBeforeWritingError(
                f"The {entity.plural} wait: {', '.join(earlier.plural for earlier in waiting)} must be synced first."
            )

    def _the_pusher(self) -> Pusher:
        if self._pusher is None:
            if self._plan is None or self._writers is None:
                raise StoppedBeforeWritingError("There is no plan to carry out.")
            self._stop_at(stale_plan(monotonic() - self._read_at))
            versions = {
                (side, entity): dict(zip(snapshot.frame["id"], snapshot.frame["version"], strict=True))
                for side, frames in self._frames.items()
                for entity, snapshot in frames.items()
            }
            self._pusher = Pusher(self._plan, self._writers, self._journal(), References(self._links), versions)
        return self._pusher

    def _rounds(self, pusher: Pusher) -> Rounds:
        readers, writers, journal = self._readers, self._writers or {}, self._journal()

        def look(step: Entity, operations: Sequence[Operation]) -> Moved:
            since = {side: frames[step].as_of - OVERLAP for side, frames in self._frames.items()}
            return last_look(pusher, readers, step, operations, since)

        return Rounds(look, self._decided_again, lambda: settle(journal, writers, pusher.references))

    def _decided_again(self, step: Entity, records: Records) -> Decided:
        """Read these records again, compare them with the base and decide, by the same rules as at first."""
        wanted = {(side, step): ids for side, ids in records.items()}
        fresh = pull_selected(self._readers, wanted, self._linked())
        for side, frames in self._frames.items():
            known = {entity: merged(snapshot, fresh[side][entity]) for entity, snapshot in frames.items()}
            self._frames[side] = SideFrames(side, known)
        books, billing = fresh[Side.BOOKS], fresh[Side.BILLING]
        agreements = {entity: self._links.agreement(entity) for entity in Entity}
        comparisons = self._compared(books, billing, agreements)
        found = [*books[step].findings, *billing[step].findings]
        found += [*self._checked(books, billing).findings, *comparisons[step].findings]
        planning = self._planned(comparisons, books, billing, agreements, [*(self._findings or ()), *found])
        self.gate.passed |= dict(planning.passed)
        self.gate.spend()

        def about(found: Finding) -> bool:
            sides = (found.side,) if found.side else tuple(Side)
            return found.entity is step and any(found.record_id in records[side] for side in sides)

        return Decided(
            tuple(
                one
                for one in planning.plan.step(step)
                if one.books_id in records[Side.BOOKS] or one.billing_id in records[Side.BILLING]
            ),
            tuple(one for one in (*found, *planning.findings) if about(one)),
        )

    def _explain_failure(self, failed: StepReport) -> None:
        """A failed step: bring the frames up to date, show what midnight would charge twice, then raise."""
        at_risk = self._say_midnight_risk_as_known(tuple(Side))
        if not self._undo:
            self._deciding.close_applied(self._comparisons, self.reports)
            self._remember_waiting()
        try:
            insist(failed)
        except StepFailedError as error:
            reason = f"{error}{at_risk}"
            runs.record_counts(self._engine, self.run.id, {FAILURE: reason})
            self.close()
            self._file_interactive(Execution(Ending.CELL_FAILED, reason))
            raise StepFailedError(reason) from None

    def _say_midnight_risk_as_known(self, readable: Iterable[Side]) -> str:
        """As :meth:`_say_midnight_risk`; where a side cannot be read again, from what was read before.

        Nothing that happens here may hide why the run ends.
        """
        try:
            return self._say_midnight_risk(readable)
        except SideError as error:
            return f"{self._say_midnight_risk(())} That is as it was first read; it could not be read again: {error}"

    def _say_midnight_risk(self, readable: Iterable[Side]) -> str:
        """Show and file what midnight would charge twice, from these sides read back; gives the sentence of it."""
        self._refresh(readable)
        risk = self.midnight_risk()
        write_json(self.folder.path / "midnight-risk.json", risk.to_dict("records"))
        report.display(report.midnight_risk(risk))
        return _risk_sentence(risk)

    def _stop_at(self, found: Sequence[Guard]) -> None:
        """Stop at these guards, and say what midnight would charge twice because nothing is carried across."""
        try:
            self.gate.stop_at(found)
        except GuardError as error:
            at_risk = self._say_midnight_risk(()).strip() if self._frames else ""
            raise GuardError(f"{at_risk} {error}".strip()) from None

    def midnight_risk(self) -> pd.DataFrame:
        """Invoices that ReliaBills would charge at midnight although QuickBooks has them paid; minor units."""
        return midnight_risk(self.books, self.billing, self._pairs())

    def _pairs(self) -> Mapping[Entity, pd.DataFrame]:
        """Every pair known now: linked in the state, or matched in this run though held."""
        pairs = {}
        for entity in Entity:
            known = [self._links.pairs(entity)]
            if self._comparisons:
                comparison = self._comparisons[entity]
                known = [pairs_left(known[0], comparison.ended), comparison.pairs[["books_id", "billing_id"]]]
            pairs[entity] = one_to_one(*known)
        return pairs

    def _refresh(self, readable: Iterable[Side] = tuple(Side)) -> None:
        """Read back what was written, and the invoices that payments settled, so that the frames are true again."""
        touched: dict[tuple[Side, Entity], set[str]] = {}
        for attempt in (attempt for done in self.reports.values() for attempt in done.attempts):
            side, operation = attempt.operation.side, attempt.operation
            if side is None or attempt.record_id is None:
                continue
            touched.setdefault((side, operation.step), set()).add(attempt.record_id)
        for side in readable:
            reader, snapshots = self._readers[side], dict(self._frames[side])
            for entity in (*[e for e in Entity if e is not Entity.INVOICE], Entity.INVOICE):
                ids = touched.get((side, entity), set())
                if entity is Entity.INVOICE:
                    ids = ids | self._invoices_paid(side, touched.get((side, Entity.PAYMENT), set()), snapshots)
                if ids:
                    snapshots[entity] = merged(snapshots[entity], reader.fetch(entity, sorted(ids)))
            self._frames[side] = SideFrames(side, snapshots)

    def _invoices_paid(self, side: Side, payments: set[str], fresh: Mapping[Entity, Snapshot]) -> set[str]:
        paid: set[str] = set()
        for snapshots in (self._frames[side], fresh):
            rows = snapshots[Entity.PAYMENT].rows
            paid |= set(rows.loc[rows["parent_id"].isin(payments), "invoice_id"].dropna())
        return paid

    # ---------------------------------------------------------------- tie out

    def tie_out(self) -> TieOut:
        """Prove the result: control totals of both sides, every difference itemised, from records as they are now.

        In a dry run the frames are those the plan would leave behind.
        """
        if self._plan is None or self._findings is None:
            raise StoppedBeforeWritingError("There is no plan yet: run the cell with run.make_plan() first.")
        self._insist_on_a_run_under_way()
        if self._writers is None:
            books, billing = simulate(self._plan, self.books, self.billing, self._pairs())
            self._frames = {Side.BOOKS: SideFrames(Side.BOOKS, books), Side.BILLING: SideFrames(Side.BILLING, billing)}
        else:
            with self._unless_interrupted(proving=True):
                self._refresh()
        tied = control_totals(self.books, self.billing, self._pairs(), self._findings)
        self._say_what_was_stored_otherwise()
        self._save_frame("tie-out", tied.totals)
        self._save_frame("tie-out-items", tied.items)
        self._save_frame("payments-by-day", tied.days)
        runs.record_tie_out(
            self._engine,
            self.run.id,
            {
                "green": tied.green,
                "scope": self.books[Entity.INVOICE].scope.value,
                "sentence": tied.sentence,
                "differing": len(tied.items),
                "totals": tied.totals.astype(object).where(tied.totals.notna(), None).to_dict("records"),
            },
        )
        if self._writers is not None:
            if not self._undo:
                self._deciding.close_applied(self._comparisons, self.reports)
            if not self.midnight_risk().empty:
                self._say_midnight_risk(())
            if self._all_synced() and self._enforced is None:  # else the next delta would not see what was not carried
                self._remember_waiting()
                self._move_cursors()
        self.close()
        self._file_interactive(Execution(Ending.COMPLETED))
        return tied

    def _file_interactive(self, execution: Execution) -> None:
        """An interactive run has no runner: its session files it."""
        if self.run.kind == INTERACTIVE:
            file_run(self.config, self._engine, self.run.id, execution)
        if self._at_work is not None:
            self._at_work.end()
            self._at_work = None

    def _say_what_was_stored_otherwise(self) -> None:
        """A record that a side keeps otherwise than it was written is no agreement, though the totals may tie.

        Said after they were compared: this explains no difference of money.
        """
        otherwise = [finding for done in self.reports.values() for finding in stored_otherwise(done.attempts)]
        if otherwise:
            self._findings = (*(self._findings or ()), *otherwise)
            self._save_findings()

    def ageing(self, side: Side | str) -> pd.DataFrame:
        """Receivables of one side by age, minor units."""
        return receivables_by_age(self._side(Side(side))[Entity.INVOICE], self.today)

    def _all_synced(self) -> bool:
        steps = runs.get(self._engine, self.run.id).steps
        return {step.step for step in steps if step.status is StepStatus.SYNCED} == {*Entity}

    def _move_cursors(self) -> None:
        for side, frames in self._frames.items():
            for entity, snapshot in frames.items():
                cursors.move(self._engine, self.company.key, side, entity, snapshot.as_of)
        if read_whole(self._frames.values()):
            runs.record_counts(self._engine, self.run.id, {CENSUS_AT: self.run.started_at.isoformat()})

    def _remember_waiting(self) -> None:
        """What waits when the run ends, for the next delta to look at again."""
        waiting: dict[tuple[Side, Entity], frozenset[str]] = {}
        for entity in Entity:
            linked = self._links.agreement(entity).frame
            settled = linked[linked["unsettled"].isna()]
            for side in Side:
                ids = self._frames[side][entity].frame["id"]
                unreadable = self._frames[side][entity].unreadable
                left = self._left_waiting(side, entity)
                waiting[side, entity] = frozenset(ids[~ids.isin(settled[f"{side}_id"])]) | unreadable | left
        pending.replace(self._engine, self.company.key, waiting)

    def _left_waiting(self, side: Side, entity: Entity) -> frozenset[str]:
        """Records of which something is held or left out, by their id on this side; their links may look settled.

        With those that bear the same mark: a payment made twice is known by the other one, also where the journal does
        not know their request.
        """
        concerned = [*(self._findings or ()), *self.left_out]
        ids = {one.record_id for one in concerned if one.entity is entity and one.side in (side, None)}
        snapshot = self._frames[side][entity]
        shared = {mark for record_id, mark in snapshot.marks.items() if record_id in ids}
        ids |= {record_id for record_id, mark in snapshot.marks.items() if mark in shared}
        return frozenset(ids & {*snapshot.frame["id"]})


def speak_plainly() -> None:
    """In a notebook, let our own errors show as their sentence instead of a traceback."""
    from IPython.core.getipython import get_ipython  # noqa: PLC0415  the command line must not wait for IPython

    shell = get_ipython()
    if shell is None:
        return

    def show_sentence(
        _shell: object,
        kind: type[BaseException],
        error: BaseException,
        _trace: TracebackType,
        tb_offset: object = None,  # noqa: ARG001  IPython passes it by name
    ) -> list[str]:
        lines = [f"{kind.__name__}: {error}"]
        shell._showtraceback(kind, error, lines)  # noqa: SLF001  IPython leaves the showing to this handler
        return lines

    shell.set_custom_exc((ReconcileError,), show_sentence)


def attempts_frame(attempts: Sequence[Attempt]) -> pd.DataFrame:
    """What came of each operation, one row each: side, action, label, customer, status, reason."""
    columns = ["side", "action", "label", "customer", "amount", "currency", "status", "reason"]
    rows = [
        {
            "side": attempt.operation.side.product if attempt.operation.side else "memory",
            "action": attempt.operation.action.value,
            "label": attempt.operation.label,
            "customer": attempt.operation.customer,
            "amount": attempt.operation.amount,
            "currency": attempt.operation.currency,
            "status": attempt.status,
            "reason": attempt.reason or ", ".join(attempt.differs),
        }
        for attempt in attempts
    ]
    return pd.DataFrame(rows, columns=columns).astype({"amount": "Int64"})


def _earliest_payment_to_books(payments: Comparison, in_books: Snapshot) -> str:
    """The date of the oldest payment that is about to be changed in QuickBooks; empty when none is."""
    differences, frame = payments.differences, in_books.frame
    going = differences.loc[differences["decision"] == Decision.TO_BOOKS, "key"]
    dates = frame.loc[(f"{Side.BOOKS}:" + frame["id"]).isin(going), "payment_date"].dropna()
    return str(dates.min()) if len(dates) else ""


def _side_frames(pulled: Mapping[Side, Mapping[Entity, Snapshot]]) -> dict[Side, SideFrames]:
    return {side: SideFrames(side, snapshots) for side, snapshots in pulled.items()}


class _Bar:
    """One bar for the whole pull of one side: records read so far, of what its entities together will give."""

    def __init__(self, side: Side) -> None:
        self._bar = report.Progress(f"Reading {side.product}")
        self._done: dict[Entity, int] = {}

    def __call__(self, _side: Side, entity: Entity) -> Progress:
        """The progress of one entity."""

        def progress(done: int, expected: int | None) -> None:
            self._done[entity] = done
            last = entity is list(Entity)[-1] and done == expected
            self._bar(sum(self._done.values()), sum(self._done.values()) if last else None)

        return progress


def _held(findings: Iterable[Finding]) -> set[tuple[Entity, Side | None, str]]:
    serious = {Severity.HOLD, Severity.STOP}
    return {(item.entity, item.side, item.record_id) for item in findings if item.severity in serious}


def _risk_sentence(risk: pd.DataFrame) -> str:
    if risk.empty:
        return " Nothing is at risk at midnight."
    total = show(int(risk["at_risk"].sum()), str(risk["currency"].iloc[0]))
    numbers = ", ".join(risk["number"].head(10))
    more = f" and {len(risk) - 10} more" if len(risk) > 10 else ""  # noqa: PLR2004  as many as a sentence bears
    return (
        f" At risk at midnight: {total} on {len(risk)} invoice{'' if len(risk) == 1 else 's'} ({numbers}{more}) that "
        "ReliaBills would charge by auto pay although QuickBooks has them paid."
    )


def _settled_sentence(item: Settled) -> str:
    record = f"{item.entry.action} of {item.entry.step.singular} {item.entry.operation.get('label', '')}"
    return f"{record} in {item.entry.side.product}, left open by run {item.entry.run_id}: {item.evidence}."


def _writing(*, apply: bool) -> str:
    return "writes" if apply else "dry run"


def _mode(text: str) -> Mode:
    try:
        return Mode(text)
    except ValueError:
        raise ConfigurationError(f"The mode {text!r} is unknown; it is 'census' or 'delta'.") from None


def _given_run(engine: Engine, company: str) -> Run | None:
    """The run that the runner has prepared for this notebook; ``None`` when a person works interactively."""
    run_id = os.environ.get(RUN_VARIABLE)
    if not run_id:
        return None
    run = runs.get(engine, run_id)
    if run.company != company or run.ended_at is not None:
        return None
    return run


def _refuse_evidence(folder: Path) -> None:
    """A saved run is evidence: executing its notebook again, where it lies, must not write to anybody's books."""
    if RunFolder(folder).verdict.exists():
        raise StoppedBeforeWritingError(
            f"This notebook is the evidence of a run ({folder.name}) and is not executed again with apply=True. "
            "Nothing was written. Open notebooks/sync.ipynb to run the company, or set apply = False to look."
        )


def _interactive_run(
    config: Config, engine: Engine, company: str, mode: Mode, *, apply: bool, slot: str, undo: str
) -> tuple[Run, AtWork]:
    started_at = datetime.now(UTC)
    run_id = runs.new_run_id(started_at)
    folder = make_folder(config.runs, company, INTERACTIVE, run_id, started_at)
    at_work = AtWork(folder)
    run = Run(
        id=run_id,
        company=company,
        kind=INTERACTIVE,
        mode=mode,
        apply=apply,
        slot=slot,
        slot_date=None,
        parameters={"company": company, "mode": mode.value, "apply": apply, "slot": slot, "undo": undo},
        started_at=started_at,
        ended_at=None,
        outcome=Outcome.RUNNING,
        reason="",
        folder=str(folder.path.relative_to(config.runs)),
    )
    runs.create(engine, run)
    return run, at_work
