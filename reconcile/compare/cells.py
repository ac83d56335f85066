"""The single fields that are not quiet, and what the truth table says happens to each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reconcile.compare.canonical import References, shown
from reconcile.compare.policy import Policy, Winner, result_fields, written_fields
from reconcile.compare.rules import CHANGED_IN, CONFLICT, DIFFERENT, TO, UNDONE, WAITS
from reconcile.compare.truth import Flags, Verdicts
from reconcile.model.changes import Decision, Verdict
from reconcile.model.entities import Entity, Field, Side, field

KEPT_WHEN_VOID = frozenset({"void", "number", "customer_id"})
ENDINGS = ("void", "active")


@dataclass(frozen=True, slots=True)
class Paired:
    """Records that both sides hold, aligned: row i of each frame is about the same pair."""

    entity: Entity
    keys: pd.Series[str]
    ids: Mapping[Side, pd.Series[str]]
    linked: Flags
    frames: Mapping[Side, pd.DataFrame]
    base: pd.DataFrame
    settled: pd.DataFrame
    undone: pd.DataFrame

    def value(self, side: Side, name: str, rows: Any) -> pd.Series[Any]:
        """What a side holds in a field, at these positions."""
        return self.frames[side][name].take(rows)

    def dead(self, side: Side, ending: str) -> Flags:
        """Which records are void (or inactive) on a side."""
        flags = self.frames[side][ending]
        missing, dead = (False, True) if ending == "void" else (True, False)
        return cast("Flags", (flags.fillna(missing).astype(bool) == dead).to_numpy())


def mark_edited_elsewhere(paired: Paired, verdicts: Mapping[str, Verdicts], ending: str) -> None:
    """Void (or inactive) on one side since the last agreement, and edited on the other: a conflict, never an ending."""
    for side in Side:
        ended = (verdicts[ending] == CHANGED_IN[side]) & paired.dead(side, ending)
        if ended.any():
            elsewhere = (CHANGED_IN[side.other], Verdict.CONFLICT)
            edited = np.any(
                [np.isin(own.astype(str), elsewhere) for name, own in verdicts.items() if name != ending], axis=0
            )
            verdicts[ending][ended & edited] = Verdict.CONFLICT


_CELL_COLUMNS: dict[str, Any] = {
    "row": "int64",
    "order": "int64",
    "field": "str",
    "title": "str",
    "verdict": object,
    "decision": object,
    "reason": "str",
    "check": "str",
    "remedy": "str",
}


@cache
def _no_cells() -> pd.DataFrame:
    return pd.DataFrame(columns=list(_CELL_COLUMNS)).astype(_CELL_COLUMNS)


class Cells:
    """The single fields that are not quiet: one row each, with the verdict and what is decided about it.

    Columns of ``frame``: ``row`` (position of the pair), ``order`` and ``field``, ``title``, ``verdict``, ``decision``,
    ``check`` and ``remedy`` (where held), ``reason``.
    """

    def __init__(self, entity: Entity, frame: pd.DataFrame) -> None:
        self.entity = entity
        self.frame = frame

    @classmethod
    def of(cls, paired: Paired, verdicts: Mapping[str, Verdicts], policy: Policy) -> Cells:
        """The cells behind these verdicts, each with its first decision.

        What is the same on two records that were matched only now is no cell: the link remembers it.
        """
        parts = []
        for order, of in enumerate(written_fields(paired.entity)):
            own = verdicts[of.name]
            rows = np.flatnonzero((own != Verdict.QUIET) & (paired.linked | (own != Verdict.SAME_ALREADY)))
            if not len(rows):
                continue
            part = pd.DataFrame({"row": rows, "order": order, "field": of.name, "title": of.title})
            part["verdict"] = own[rows]
            _decide(part, paired, of, policy)
            parts.append(part)
        if not parts:
            return cls(paired.entity, _no_cells().copy())
        cells = cls(paired.entity, pd.concat(parts, ignore_index=True).astype(_CELL_COLUMNS))
        cells._hold_undone(paired)
        return cells

    def _hold_undone(self, paired: Paired) -> None:
        """What a person had undone is not carried again, whatever the policy; nor is anything to a record taken back.

        Held even where one side is blank, which else would be filled, and where one side has ended, which else might
        end the other: the record that the run was made from.
        """
        if not paired.undone.to_numpy().any():
            return
        table = self.frame
        rows = table["row"].to_numpy(dtype=np.intp)
        which = self.carried | self.held
        own = np.zeros(len(table), dtype=bool)
        taken_back = np.zeros(len(paired.keys), dtype=bool)
        for name in paired.undone.columns:
            of_field = (table["field"] == name).to_numpy(dtype=bool)
            flags = paired.undone[name].to_numpy(dtype=bool)
            own |= of_field & flags[rows]
            if name in ENDINGS:
                dead = {side: paired.dead(side, name) for side in Side}
                for side in Side:
                    ended = flags & dead[side] & ~dead[side.other]
                    taken_back |= ended
                    self.hold(which & of_field & ended[rows], UNDONE, *_taken_back(paired.entity, side))
        still = which & own & (table["check"] != UNDONE)
        self.hold(
            still,
            UNDONE,
            "differs, because a person had a run undone",
            "Choose what holds on both sides (`reconcile resolve COMPANY RECORD --keep books`, or billing), make the "
            "two equal by hand, or leave them apart (`reconcile ignore COMPANY RECORD`). Until then neither side is "
            "touched.",
        )
        self.hold(
            self.carried & taken_back[rows], WAITS, "waits, because a person had the record taken back on one side", ""
        )

    def add(self, rows: Any, of: Field, verdict: Verdict, check: str, reason: str, remedy: str) -> None:
        """Further held cells of one field."""
        if not len(rows):
            return
        order = [candidate.name for candidate in (*written_fields(self.entity), *result_fields(self.entity))]
        more = pd.DataFrame({"row": rows, "order": order.index(of.name), "field": of.name, "title": of.title})
        more = more.assign(verdict=verdict, decision=Decision.HELD, check=check, reason=reason, remedy=remedy)
        self.frame = pd.concat([self.frame, more.astype({"verdict": object, "decision": object})], ignore_index=True)

    def decide(self, which: pd.Series[bool], decision: Decision, reason: str) -> None:
        """These cells are decided otherwise than by the truth table."""
        if not which.any():
            return
        self.frame.loc[which, "decision"] = decision
        for name, words in (("check", ""), ("reason", reason), ("remedy", "")):
            self.frame.loc[which, name] = words

    def hold(self, which: pd.Series[bool], check: str, reason: str, remedy: str) -> None:
        """These cells are not carried."""
        if not which.any():
            return
        self.frame.loc[which, "decision"] = Decision.HELD
        for name, words in (("check", check), ("reason", reason), ("remedy", remedy)):
            self.frame.loc[which, name] = words

    def to(self, side: Side, *names: str) -> pd.Series[bool]:
        """Which cells go to a side (and are one of these fields)."""
        going = self.frame["decision"] == TO[side]
        return going & self.frame["field"].isin(names) if names else going

    @property
    def carried(self) -> pd.Series[bool]:
        """Which cells go to either side."""
        return self.frame["decision"].isin([*TO.values()])

    @property
    def held(self) -> pd.Series[bool]:
        """Which cells wait."""
        return self.frame["decision"] == Decision.HELD

    def of_rows(self, which: pd.Series[bool]) -> pd.Series[bool]:
        """All cells of the records that have one of these cells."""
        return self.frame["row"].isin(self.frame["row"][which])

    def record_verdicts(self, paired: Paired, rows: NDArray[np.intp]) -> Verdicts:
        """What the cells together say of each record at these positions."""
        table = self.frame

        def any_of(which: pd.Series[bool]) -> Flags:
            return np.isin(rows, table["row"][which].to_numpy())

        def has(*verdicts: Verdict) -> Flags:
            return any_of(table["verdict"].isin(verdicts))

        def ended(side: Side) -> Flags:
            endings = [
                any_of((table["field"] == ending) & (table["verdict"] == CHANGED_IN[side]))
                & paired.dead(side, ending)[rows]
                for ending in ENDINGS
                if ending in paired.frames[side]
            ]
            return cast("Flags", np.any(endings, axis=0))

        story = (
            (has(Verdict.CONFLICT), Verdict.CONFLICT),
            (ended(Side.BOOKS), Verdict.GONE_FROM_BOOKS),
            (ended(Side.BILLING), Verdict.GONE_FROM_BILLING),
            (~paired.linked[rows] & has(Verdict.MATCHED_DIFFERENT), Verdict.MATCHED_DIFFERENT),
            (~paired.linked[rows], Verdict.SAME_ALREADY),
            (has(Verdict.CHANGED_IN_BOOKS) & has(Verdict.CHANGED_IN_BILLING), Verdict.CHANGED_ON_BOTH),
            (has(Verdict.CHANGED_IN_BOOKS), Verdict.CHANGED_IN_BOOKS),
            (has(Verdict.CHANGED_IN_BILLING), Verdict.CHANGED_IN_BILLING),
            (has(Verdict.MATCHED_DIFFERENT), Verdict.MATCHED_DIFFERENT),
        )
        return np.select(
            [which for which, _ in story],
            [np.array(verdict, dtype=object) for _, verdict in story],
            default=np.array(Verdict.CHANGED_ALIKE, dtype=object),
        )

    def texts(self, paired: Paired, currency: pd.Series[str], references: References) -> dict[str, pd.Series[str]]:
        """``base``, ``books`` and ``billing`` of every cell as a person reads them, by the index of ``frame``."""
        columns = {"base": paired.base, "books": paired.frames[Side.BOOKS], "billing": paired.frames[Side.BILLING]}
        texts = {name: np.full(len(self.frame), "", dtype=object) for name in columns}
        for name, positions in self.frame.reset_index(drop=True).groupby("field").indices.items():
            of, rows = field(self.entity, str(name)), self.frame["row"].to_numpy(dtype=np.intp)[positions]
            currencies = currency.loc[rows].fillna("").array
            for column, frame in columns.items():
                if of.name not in frame:
                    continue
                values = frame[of.name].take(rows)
                if column == "base":
                    values = values.where(paired.settled[of.name].take(rows))
                known: dict[Any, str] = {}
                texts[column][positions] = [
                    known[pair] if pair in known else known.setdefault(pair, shown(self.entity, of, *pair, references))
                    for pair in zip(values.astype(object).where(values.notna(), None), currencies, strict=True)
                ]
        return {name: pd.Series(values, index=self.frame.index, dtype="str") for name, values in texts.items()}


def _taken_back(entity: Entity, side: Side) -> tuple[str, str]:
    """Reason and remedy of an ending that undid a creation on ``side``: it must never end the original."""
    again = f"To have it in {side.product} again: `reconcile resolve COMPANY RECORD --keep {side.other}`."
    if entity is Entity.PAYMENT:
        again = (
            f"To have it in {side.product} after all: `reconcile unlink COMPANY RECORD`; the next run makes it anew."
        )
    elif entity is Entity.INVOICE:
        again = (
            f"To have it in {side.product} after all, void it in {side.other.product} too and enter it there anew, "
            "under another number: a void invoice is not revived and keeps its number."
        )
    remedy = (
        f"Nothing is carried either way. To end it in {side.other.product} as well: `reconcile resolve COMPANY RECORD "
        f"--keep {side}`. {again} To leave both as they are: `reconcile ignore COMPANY RECORD`."
    )
    return f"only in {side.product}, where a person had it taken back", remedy


def _decide(cells: pd.DataFrame, paired: Paired, of: Field, policy: Policy) -> None:
    """What the truth table says happens to the cells of one field, before anything stands in the way."""
    rows = cells["row"].to_numpy(dtype=np.intp)
    verdict = cells["verdict"].to_numpy(dtype=object)
    blank = {side: paired.value(side, of.name, rows).isna().to_numpy() & of.blank_fills for side in Side}
    different = verdict == Verdict.MATCHED_DIFFERENT
    table: list[tuple[Flags, Decision, str, str, str]] = [
        (verdict == Verdict.CHANGED_IN_BOOKS, Decision.TO_BILLING, "changed in QuickBooks", "", ""),
        (verdict == Verdict.CHANGED_IN_BILLING, Decision.TO_BOOKS, "changed in ReliaBills", "", ""),
        (verdict == Verdict.CHANGED_ALIKE, Decision.AGREED, "changed alike on both sides", "", ""),
        (verdict == Verdict.SAME_ALREADY, Decision.AGREED, "the same on both sides now", "", ""),
        (different & blank[Side.BILLING], Decision.TO_BILLING, "missing in ReliaBills, filled from QuickBooks", "", ""),
        (different & blank[Side.BOOKS], Decision.TO_BOOKS, "missing in QuickBooks, filled from ReliaBills", "", ""),
        (
            different,
            *_won(
                policy.difference(paired.entity, of),
                "differs between the sides",
                DIFFERENT,
                f"Make the two equal on either side, or choose who wins: `reconcile settings COMPANY "
                f"matched_policy.{paired.entity}.{of.name}=books` (or billing).",
            ),
        ),
        (
            verdict == Verdict.CONFLICT,
            *_won(
                policy.conflict(paired.entity, of),
                "changed on both sides",
                CONFLICT,
                "Decide which is right and enter it on the other side as well; until then neither side is touched.",
            ),
        ),
    ]
    if of.name in ENDINGS:
        table = [*_ended_and_edited(paired, of, rows, verdict), *table]
    which = [flags for flags, *_ in table]
    for position, name in enumerate(("decision", "reason", "check", "remedy")):
        choices = [np.array(row[position + 1], dtype=object) for row in table]
        cells[name] = np.select(which, choices, default=np.array("", dtype=object))


def _ended_and_edited(
    paired: Paired, of: Field, rows: Any, verdict: Verdicts
) -> Iterator[tuple[Flags, Decision, str, str, str]]:
    """No policy decides between an ending and an edit: one of them would be lost without a person having seen it."""
    for side in Side:
        ended = paired.dead(side, of.name)[rows] & ~paired.dead(side.other, of.name)[rows]
        yield (
            (verdict == Verdict.CONFLICT) & ended,
            Decision.HELD,
            f"in {side.product}, while the record was changed in {side.other.product}",
            CONFLICT,
            f"Decide which is right: end it in {side.other.product} as well, or undo the change there.",
        )


def _won(winner: Winner, what: str, check: str, remedy: str) -> tuple[Decision, str, str, str]:
    if winner.side is None:
        return Decision.HELD, what, check, remedy
    return TO[winner.side.other], f"{what}; the company lets {winner.side.product} win", "", ""
