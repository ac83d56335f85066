"""A person decides: what the last run left open, what was decided, and what the next run would do because of it.

What is decided becomes a record in the state database and nothing else; the next run applies it, after all its rules.
The command line and ``notebooks/repair.ipynb`` both work with :class:`Repair`.
"""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import Engine

from reconcile.compare.conflicts import Conflicts, keepable
from reconcile.compare.resolving import seen_record
from reconcile.config import Config, load_config
from reconcile.errors import ConfigurationError
from reconcile.evidence import RunFolder
from reconcile.model.entities import ROWS_COLUMN, Entity, Side, key_of, label_column
from reconcile.model.plan import Operation, Plan
from reconcile.model.resolutions import DELETED, DELETED_FOR_GOOD, Choice, Draft, Resolution, Status
from reconcile.model.runs import CENTRAL, Run
from reconcile.model.snapshot import Snapshot, empty_rows
from reconcile.session import Session
from reconcile.state import resolutions, runs
from reconcile.state.database import open_state
from reconcile.state.links import Links

_KEY = re.compile(
    r"(?P<entity>customer|product|tax_rate|invoice|payment):(?P<side>books|billing):(?P<id>.+)", re.DOTALL
)
_RUNS_LOOKED_AT = 30
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Found:
    """One record that somebody may mean. ``label`` is hostile text."""

    entity: Entity
    side: Side
    record_id: str
    label: str

    @property
    def name(self) -> str:
        """As it can be typed: ``customer:books:12``."""
        return f"{self.entity}:{key_of(self.side, self.record_id)}"


class Repair:
    """What one company's last run left to people, and their decisions about it."""

    def __init__(self, config: Config, engine: Engine, company: str, run: Run, conflicts: Conflicts, who: str) -> None:
        self.company = company
        self.run = run
        self.conflicts = conflicts
        self.who = who
        self._config = config
        self._engine = engine

    @classmethod
    def open(cls, company: str, *, who: str = "") -> Repair:
        """What the newest run that came to a plan left open.

        Args:
            company: company key of the configuration.
            who: who decides; the name of the login unless given.

        Raises:
            ConfigurationError: no such company, or no run of it has come to a plan yet.
        """
        config = load_config()
        config.company(company)
        engine = open_state(config.state_url)
        for run in runs.find(engine, company, limit=_RUNS_LOOKED_AT):
            path = RunFolder(config.runs / run.folder).conflicts
            if path.exists():
                return cls(config, engine, company, run, _read(path), who or getpass.getuser())
        raise ConfigurationError(
            f"No run of {company!r} has come to a plan yet, so nothing is known to decide on. Start one: "
            f"`reconcile run {company} --dry-run` writes nothing."
        )

    def __repr__(self) -> str:
        records, waiting = self.open_conflicts, len(self.undecided)
        return (
            f"{self.company}: {len(records)} to decide on after run {self.run.id}, {waiting} of them undecided; "
            f"{self.who} decides"
        )

    @property
    def open_conflicts(self) -> pd.DataFrame:
        """The records that wait for a person, the most money first; amounts in minor units."""
        return self.conflicts.open

    @property
    def resolutions(self) -> tuple[Resolution, ...]:
        """All decisions ever made for this company, oldest first."""
        return resolutions.listed(self._engine, self.company)

    @property
    def decisions(self) -> pd.DataFrame:
        """All decisions ever made for this company, the newest first, as people read them."""
        rows = [
            {
                "number": str(one.id),
                "record": f"{one.draft.entity.singular} {one.draft.label}",
                "decision": one.what + (f": {', '.join(one.draft.fields)}" if one.draft.fields else ""),
                "who": one.who,
                "when": f"{one.decided_at.astimezone(CENTRAL):%Y-%m-%d %H:%M} Central",
                "because": one.draft.because,
                "status": one.status.value + (f": {one.closed_because}" if one.closed_because else ""),
            }
            for one in reversed(self.resolutions)
        ]
        columns = ("number", "record", "decision", "who", "when", "because", "status")
        return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype="str") for name in columns})

    @property
    def undecided(self) -> pd.DataFrame:
        """The open conflicts about which no decision is open."""
        decided = {
            (one.draft.entity.value, key)
            for one in self.resolutions
            if one.status is Status.OPEN
            for key in one.draft.keys
        }
        records = self.open_conflicts
        keys = zip(records["entity"], records["key"], strict=True)
        return records[[key not in decided for key in keys]] if len(records) else records

    # Decisions

    def keep(self, record: str, side: str, *, because: str, field: str = "") -> Resolution:
        """What this side holds goes to the other, for one field or for all that differs.

        Raises:
            ConfigurationError: no such conflict, several, or nothing of it can be decided this way.
            AlreadyDecidedError: somebody has decided this already.
        """
        kept = _side(side)
        row = self._conflict(record)
        entity = Entity(row["entity"])
        own = self.conflicts.fields
        own = own[(own["entity"] == row["entity"]) & (own["key"] == row["key"])]
        held = [name for name in own["field"][own["held"].astype(bool)] if keepable(entity, name)]
        name = f"{entity.singular} {row['label']}"
        ways = str(row["ways"]).split(",")
        gone = next((s for s in Side if {DELETED[s], DELETED_FOR_GOOD[s]} & {*ways}), None)
        if gone is not None and not field:
            if kept is not gone and DELETED_FOR_GOOD[gone] in ways:
                raise ConfigurationError(
                    f"{name} cannot be entered again in {gone.product}, which gives its number to one "
                    f"{entity.singular} only. Enter it there under another number, or keep the deletion."
                )
            seen = {side: text for side, text in self._seen(row).items() if side != gone}
            return self._decide(Choice.keep(kept), row, seen=seen, because=because)
        if not held:
            raise ConfigurationError(f"Nothing of {name} can be decided by keeping a side. {row['remedy']}")
        if field and field not in held:
            raise ConfigurationError(f"{field!r} of {name} is not to be decided. There is: {', '.join(held)}.")
        seen = {str(f): str(text) for f, text in zip(own["field"], own["seen"], strict=True) if not field or f == field}
        fields = (field,) if field else tuple(held)
        return self._decide(Choice.keep(kept), row, fields=fields, whole=not field, seen=seen, because=because)

    def link(self, books: str, billing: str, *, because: str) -> Resolution:
        """These two are one record."""
        return self._join(Choice.LINK, books, billing, because)

    def relink(self, books: str, billing: str, *, because: str) -> Resolution:
        """This books record belongs to this billing record, whatever either was linked to before."""
        return self._join(Choice.RELINK, books, billing, because)

    def _join(self, choice: Choice, books: str, billing: str, because: str) -> Resolution:
        first = self._record(books, Side.BOOKS)
        second = self._record(billing, Side.BILLING, first.entity)
        links = Links(self._engine, self.company)
        others = {
            Side.BOOKS: links.counterpart(first.entity, Side.BOOKS, first.record_id),
            Side.BILLING: links.counterpart(first.entity, Side.BILLING, second.record_id),
        }
        if others[Side.BOOKS] == second.record_id:
            raise ConfigurationError(f"{first.name} and {second.name} are linked already; there is nothing to decide.")
        if choice is Choice.LINK and any(others.values()):
            raise ConfigurationError(
                f"{first.name if others[Side.BOOKS] else second.name} is linked to another record already. If that is "
                f"wrong: `reconcile relink {self.company} {first.name} {second.name} --because WHY`."
            )
        row = {
            "entity": first.entity,
            "books_id": first.record_id,
            "billing_id": second.record_id,
            "label": first.label,
        }
        return self._decide(choice, row, seen=self._seen(row), because=because)

    def unlink(self, record: str, other: str = "", *, because: str) -> Resolution:
        """These two are not one record; they are never matched again."""
        first = self._record(record, None if not other else Side.BOOKS)
        ids: dict[Side, str | None] = {first.side: first.record_id}
        if other:
            ids[Side.BILLING] = self._record(other, Side.BILLING, first.entity).record_id
        else:
            ids[first.side.other] = self._partner(first)
        row = {
            "entity": first.entity,
            "books_id": ids[Side.BOOKS],
            "billing_id": ids[Side.BILLING],
            "label": first.label,
        }
        return self._decide(Choice.UNLINK, row, seen=self._seen(row), because=because)

    def _partner(self, found: Found) -> str:
        """The record on the other side that this one is linked to, or was taken for by the last run."""
        linked = Links(self._engine, self.company).counterpart(found.entity, found.side, found.record_id)
        records = self.conflicts.records
        same = records[(records["entity"] == found.entity.value) & (records[f"{found.side}_id"] == found.record_id)]
        matched = [] if same.empty else [one for one in same[f"{found.side.other}_id"] if not pd.isna(one)]
        partner = linked or (matched[0] if matched else None)
        if partner is None:
            raise ConfigurationError(
                f"{found.name} is neither linked nor matched, so there is nothing to take apart. To say that it is not "
                "a certain other record, name both."
            )
        return str(partner)

    def ignore(self, record: str, *, until: str | date, because: str) -> Resolution:
        """Leave a record alone until a date; then it counts again by itself.

        Raises:
            ConfigurationError: as for :meth:`keep`; or the date is none, or is not to come.
        """
        day = until if isinstance(until, date) else _date(until)
        if day <= datetime.now(CENTRAL).date():
            raise ConfigurationError(f"{day.isoformat()} is not to come; a record is left alone until a later date.")
        row = self._conflict(record)
        own = self.conflicts.fields
        own = own[(own["entity"] == row["entity"]) & (own["key"] == row["key"])]
        seen = {**dict(zip(own["field"], own["seen"], strict=True)), **self._seen(row)}
        return self._decide(Choice.IGNORE, row, whole=len(own) > 0, seen=seen, because=because, until=day)

    def withdraw(self, number: int) -> Resolution:
        """Take a decision back before a run has applied it."""
        return resolutions.withdraw(self._engine, self.company, number, self.who)

    def _decide(
        self,
        choice: Choice,
        row: Any,
        *,
        seen: dict[str, str],
        because: str,
        fields: tuple[str, ...] = (),
        whole: bool = False,
        until: date | None = None,
    ) -> Resolution:
        draft = Draft(
            entity=Entity(row["entity"]),
            choice=choice,
            books_id=_text(row["books_id"]),
            billing_id=_text(row["billing_id"]),
            label=_text(row["label"]) or "",
            fields=fields,
            whole=whole,
            seen=seen,
            because=because,
            until=until,
        )
        return resolutions.decide(self._engine, self.company, draft, self.who)

    def _seen(self, row: Any) -> dict[str, str]:
        """What was last read of the records on both sides, as far as they were read."""
        entity, seen = Entity(row["entity"]), {}
        for side in Side:
            record_id = _text(row[f"{side}_id"])
            for snapshot in self._snapshots(side, entity) if record_id is not None else ():
                text = seen_record(snapshot, record_id or "")
                if text is not None:
                    seen[side.value] = text
                    break
        return seen

    # What a person means

    def _conflict(self, record: str) -> Any:
        """The one conflict that somebody means."""
        entity, rest = _parsed(record)
        records = self.conflicts.records
        if entity is not None:
            records = records[records["entity"] == entity.value]
        match = _KEY.fullmatch(record.strip())
        if match:
            found = records[records[f"{match['side']}_id"] == match["id"]]
        else:
            found = records[records["label"].str.casefold() == rest.casefold()]
        if len(found) == 1:
            return found.iloc[0]
        names = [f"{row['entity']}:{row['key']} ({row['label']})" for row in found.to_dict("records")]
        if names:
            raise ConfigurationError(f"{record!r} may be several records: {_list(names)}. Name one of them.")
        every = [f"{row['entity']}:{row['key']} ({row['label']})" for row in records.to_dict("records")]
        raise ConfigurationError(
            f"Nothing that waits for a person is called {record!r}. There is: {_list(every) or 'nothing'}. "
            f"`reconcile conflicts {self.company}` shows them."
        )

    def _record(self, record: str, side: Side | None, entity: Entity | None = None) -> Found:
        """The one record, held or not, that somebody means."""
        said, rest = _parsed(record)
        if entity is not None and said not in (None, entity):
            raise ConfigurationError(f"{record!r} is no {entity.singular}; only records of one kind can be one.")
        kinds = [kind for kind in Entity if kind is (entity or said or kind)]
        match = _KEY.fullmatch(record.strip())
        if match and side is not None and match["side"] != side:
            raise ConfigurationError(f"{record!r} is not in {side.product}: name the QuickBooks record first.")
        sides = [Side(match["side"])] if match else [one for one in Side if one is (side or one)]
        found = {
            one.name: one
            for kind in kinds
            for where in sides
            for one in self._named(kind, where, rest, by_id=bool(match))
        }
        if side is None and len({one.entity for one in found.values()}) == 1:
            first = next(iter(found.values()))
            found = {name: one for name, one in found.items() if one.side is first.side}
        if len(found) == 1:
            return next(iter(found.values()))
        where = side.product if side is not None else "either system"
        if not found:
            raise ConfigurationError(f"The last runs have read no record {record!r} in {where}.")
        names = [f"{one.name} ({one.label})" for one in found.values()]
        raise ConfigurationError(f"{record!r} may be several records: {_list(names)}. Name one of them.")

    def _named(self, entity: Entity, side: Side, name: str, *, by_id: bool) -> list[Found]:
        for snapshot in self._snapshots(side, entity):
            frame = snapshot.frame
            labels = frame[label_column(entity)]
            which = frame["id"] == name if by_id else labels.str.casefold() == name.casefold()
            found = frame[which.fillna(value=False).to_numpy(dtype=bool)]
            if len(found):
                ids = zip(found["id"], found[label_column(entity)], strict=True)
                return [Found(entity, side, str(record_id), _text(label) or str(record_id)) for record_id, label in ids]
        return []

    def _snapshots(self, side: Side, entity: Entity) -> Iterator[Snapshot]:
        """What the newest runs read of one side, the run with the conflicts first."""
        listed = [
            self.run,
            *(one for one in runs.find(self._engine, self.company, _RUNS_LOOKED_AT) if one.id < self.run.id),
        ]
        for run in listed:
            path = RunFolder(self._config.runs / run.folder).frames / f"{side}-{entity}.parquet"
            if path.exists():
                rows = empty_rows(entity) if entity in ROWS_COLUMN else pd.DataFrame()
                yield Snapshot(side, entity, pd.read_parquet(path), rows, datetime.now(UTC))

    # What would come of it

    def preview(self) -> Preview:
        """A dry run: exactly what the next run would write, decisions included, and what would still wait."""
        session = self._run(apply=False)
        plan = session.made_plan
        decided = {key for one in self.resolutions if one.status is Status.OPEN for key in _named_by(one)}
        own = [one for one in plan.operations if decided & {(one.step, key) for key in _keys(one)}]
        labels = session.labels
        return Preview(plan, Plan(plan.company, plan.made_from, tuple(own)), session.conflicts, session.run.id, labels)

    def go(self, preview: Preview, *, apply: bool, confirmed: int) -> str:
        """Carry out what was previewed, or less; without ``apply`` only say what would be confirmed.

        Args:
            preview: what was looked at.
            apply: whether writing is allowed.
            confirmed: how many writes there are, as counted and typed by a person; needed for more than one.

        Returns:
            What came of it, in words.

        Raises:
            ConfigurationError: another number of writes was confirmed. Nothing was written.
            StepFailedError, SideError, StoppedBeforeWritingError: as for any run.
        """
        writes = sum(1 for _ in preview.plan.writes())
        if not apply:
            return (
                f"Nothing was written. The next run would carry out {writes:,} write{'' if writes == 1 else 's'}; to "
                f"do it now, set apply = True and confirmed_writes = {writes}."
            )
        insist_on_count(writes, confirmed)
        session = self._run(apply=True, plan=preview.run)
        return runs.get(self._engine, session.run.id).reason

    def _run(self, *, apply: bool, plan: str = "") -> Session:
        session = Session.open(company=self.company, apply=apply, plan_to_enforce=plan)
        session.pull()
        session.compare()
        session.validate()
        session.make_plan()
        for entity in Entity:
            session.push(entity)
        session.tie_out()
        return session


@dataclass(frozen=True, slots=True)
class Preview:
    """What the next run would do.

    Attributes:
        plan: all of it.
        decided: the part of it that is about records people have decided on.
        conflicts: what would still wait for a person.
        run: the run that previewed it, whose saved plan is carried out.
        labels: what people know records by, per entity and key.
    """

    plan: Plan
    decided: Plan
    conflicts: Conflicts
    run: str
    labels: Mapping[Entity, Mapping[str, str]]


def insist_on_count(writes: int, typed: int) -> None:
    """Refuse more than one write unless a person has counted them.

    Raises:
        ConfigurationError: another number was typed, or none.
    """
    if writes > 1 and typed != writes:
        raise ConfigurationError(
            f"There are {writes:,} writes, and {f'{typed:,} were' if typed else 'no number was'} confirmed. Nothing "
            f"was written. Look at each of them, then type their number: confirmed_writes = {writes}."
        )


def _named_by(one: Resolution) -> Iterator[tuple[Entity, str]]:
    return ((one.draft.entity, key) for key in one.draft.keys)


def _keys(operation: Operation) -> Iterator[str]:
    for side, record_id in zip(Side, (operation.books_id, operation.billing_id), strict=True):
        if record_id is not None:
            yield key_of(side, record_id)


def _read(path: Path) -> Conflicts:
    try:
        return Conflicts.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"The conflicts of the last run at {path} cannot be read ({type(error).__name__}). Start a new run: a dry "
            "run shows them again."
        ) from error


def _parsed(record: str) -> tuple[Entity | None, str]:
    """``customer:books:12``, ``invoice 1001`` or ``Cool Cars`` as a kind, when it says one, and the rest."""
    text = record.strip()
    match = _KEY.fullmatch(text)
    if match:
        return Entity(match["entity"]), match["id"]
    for entity in Entity:
        for word in (entity.singular, entity.value):
            if text.casefold().startswith(f"{word} "):
                return entity, text[len(word) :].strip()
    return None, text


def _side(text: str) -> Side:
    try:
        return Side(text)
    except ValueError:
        raise ConfigurationError(f"Keep books (QuickBooks) or billing (ReliaBills), not {text!r}.") from None


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{text!r} is no date; write it as 2026-12-31.") from None


def _text(value: Any) -> str | None:
    return None if value is None or pd.isna(value) else str(value)


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
