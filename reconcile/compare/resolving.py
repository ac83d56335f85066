"""What people have decided, heeded by the comparison: exactly what they saw, and nothing that came after.

A decision overrides the truth table for the fields it is about before anything that stands in the way is looked at:
the money rules and what a side can hold are checked on the record as decided. It counts only while base, books and
billing hold what the person saw; else it is outdated and the record is compared as if it had never been made.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from reconcile.compare.cells import Cells, Paired
from reconcile.compare.rules import IGNORED, TO
from reconcile.model.changes import LINK_COLUMNS, Agreement, Decision
from reconcile.model.entities import Entity, Side, field, label_column
from reconcile.model.findings import Finding, Severity
from reconcile.model.lookup import among, arrow, as_column, places
from reconcile.model.plan import canonical_json
from reconcile.model.resolutions import Applied, Choice, EndedLink, Resolution, Standing, Status
from reconcile.model.snapshot import Scope, Snapshot

Pair = tuple[str, str]

_JOINING = (Choice.LINK, Choice.RELINK)
_KNOWN_BY = ("customer_id", "total", "amount", "credit", "payment_date", "currency", "email", "void", "active")


def seen_record(snapshot: Snapshot, record_id: str) -> str | None:
    """What a person decides on who decides about a whole record of one side: canonical JSON; ``None``: not read.

    The ids in it are those of the side, so that it stays the same when records elsewhere are linked.
    """
    found = snapshot.frame[(snapshot.frame["id"] == record_id).to_numpy(dtype=bool)]
    if found.empty:
        return None
    names = [label_column(snapshot.entity), *(name for name in _KNOWN_BY if name in found)]
    return canonical_json({name: _plain(found[name].iloc[0]) for name in names})


def seen_fields(paired: Paired, cells: pd.DataFrame) -> pd.Series[str]:
    """What a person decides on who decides about a field: base, books and billing as canonical JSON, one per cell.

    The base is a list of one value, or null where both sides have never agreed.

    Args:
        paired: the records.
        cells: rows of :attr:`Cells.frame`.
    """
    texts = np.full(len(cells), "", dtype=object)
    for name, positions in cells.reset_index(drop=True).groupby("field").indices.items():
        rows = cells["row"].to_numpy(dtype=np.intp)[positions]
        sides = {side: _plains(paired.frames[side][str(name)].take(rows)) for side in Side}
        base: list[Any] = [None] * len(rows)
        if name in paired.base:
            settled = paired.settled[str(name)].take(rows)
            known = zip(_plains(paired.base[str(name)].take(rows)), settled, strict=True)
            base = [[value] if agreed else None for value, agreed in known]
        texts[positions] = [
            canonical_json({"base": before, "books": books, "billing": billing})
            for before, books, billing in zip(base, sides[Side.BOOKS], sides[Side.BILLING], strict=True)
        ]
    return pd.Series(texts, index=cells.index, dtype="str")


class Resolving:
    """The decisions about one kind of record, and what the comparison in progress makes of them."""

    def __init__(self, entity: Entity, resolutions: Iterable[Resolution], snapshots: Mapping[Side, Snapshot]) -> None:
        own = [one for one in resolutions if one.draft.entity is entity]
        self.entity = entity
        self.snapshots = snapshots
        self.open = [one for one in own if one.status is Status.OPEN]
        self.apart = {_pair(one) for one in own if one.status is not Status.OPEN and one.draft.parts}
        self.together: set[Pair] = set()
        self.ended: list[EndedLink] = []
        self._outcomes: dict[int, Applied] = {}
        self._ignored: dict[tuple[Side, str], Resolution] = {}

    @property
    def outcomes(self) -> tuple[Applied, ...]:
        """What came of each open decision, in the order in which they were made."""
        return tuple(self._outcomes[one.id] for one in self.open)

    def _of(self, *choices: Choice) -> Iterator[Resolution]:
        return (one for one in self.open if one.draft.choice in choices and one.id not in self._outcomes)

    def _say(self, resolution: Resolution, standing: Standing, sentence: str) -> None:
        self._outcomes[resolution.id] = Applied(resolution, standing, sentence)

    # Who is who

    def links_left(self, agreement: Agreement) -> Agreement:
        """The agreement without the links that people end, and without tombstones of pairs they spoke about since."""
        links = agreement.frame
        deciding = [one for one in self._of(*Choice) if one.draft.parts or one.draft.choice in _JOINING]
        partner = {
            Side.BOOKS: dict(zip(links["books_id"], links["billing_id"], strict=True)) if deciding else {},
            Side.BILLING: dict(zip(links["billing_id"], links["books_id"], strict=True)) if deciding else {},
        }
        for one in deciding:
            self._decide_who(one, partner)
        self.apart -= self.together
        ended = {(link.books_id, link.billing_id) for link in self.ended}
        return replace(
            agreement,
            frame=_without(links, ended),
            tombstones=_without(agreement.tombstones, self.apart | self.together),
        )

    def _decide_who(self, one: Resolution, partner: Mapping[Side, Mapping[str, str]]) -> None:
        books_id, billing_id = _pair(one)
        others = {Side.BOOKS: partner[Side.BOOKS].get(books_id), Side.BILLING: partner[Side.BILLING].get(billing_id)}
        linked = others[Side.BOOKS] == billing_id
        if linked and one.draft.choice in _JOINING:
            self._say(one, Standing.DONE, "They are linked.")
            return
        moved = self._back_again(one) or self._moved_records(one, needed=one.draft.choice is not Choice.UNLINK)
        if moved is not None:
            self._say(one, *moved)
            return
        if one.draft.choice is Choice.LINK and any(others.values()):
            self._say(one, Standing.OUTDATED, "One of the two has been linked to another record since; relink it.")
            return
        old = {pair for pair in ((books_id, others[Side.BOOKS]), (others[Side.BILLING], billing_id)) if all(pair)}
        if one.draft.parts:
            old &= {(books_id, billing_id)}
            self.apart.add((books_id, billing_id))
        else:
            self.together.add((books_id, billing_id))
        for books, billing in sorted((str(books), str(billing)) for books, billing in old):
            self.ended.append(EndedLink(books, billing, one.draft.label, f"Decided: {one.words}."))
        self._say(one, Standing.APPLIES, f"Decided: {one.words}.")

    def _moved_records(self, one: Resolution, *, needed: bool) -> tuple[Standing, str] | None:
        """Why a decision about whole records does not count now; ``None`` when it does."""
        for side, record_id in zip(Side, (one.draft.books_id, one.draft.billing_id), strict=True):
            if record_id is None or side not in one.draft.seen:
                continue
            snapshot = self.snapshots[side]
            now = seen_record(snapshot, record_id)
            if now is None and needed:
                if self._is_gone(side, record_id):
                    return Standing.OUTDATED, f"The record is no longer in {side.product}."
                return Standing.UNREAD, f"The record in {side.product} was not read this time."
            if now is not None and now != one.draft.seen[side]:
                names = ", ".join(_titles(self.entity, now, one.draft.seen[side]))
                return Standing.OUTDATED, f"The record in {side.product} has changed since ({names})."
        return None

    def _back_again(self, one: Resolution) -> tuple[Standing, str] | None:
        """Why a decision about a deleted record does not count: it is there again, or was not looked for."""
        gone = one.draft.deleted_in
        record_id = one.draft.books_id if gone is Side.BOOKS else one.draft.billing_id
        if gone is None or record_id is None or self._lacks(gone, record_id):
            return None
        if bool((self.snapshots[gone].frame["id"] == record_id).any()):
            return Standing.OUTDATED, f"The record is in {gone.product} again."
        return Standing.UNREAD, f"The record in {gone.product} was not read this time."

    def ending(self, books_id: str, billing_id: str, gone: Side) -> Resolution | None:
        """The decision that the deletion of a record on one side is right and its counterpart ends, if it counts."""
        for one in self._of(Choice.keep(gone)):
            if one.draft.deleted_in is gone and _pair(one) == (books_id, billing_id):
                moved = self._moved_records(one, needed=True)
                if moved is None:
                    return one
                self._say(one, *moved)
        return None

    def applies(self, one: Resolution) -> str:
        """A decision is heeded; gives the reason to show."""
        self._say(one, Standing.APPLIES, f"Decided: {one.words}.")
        return f"is decided: {one.words}"

    def blocked(self, one: Resolution, why: str) -> None:
        """A decision stands, but a rule keeps it from being carried."""
        self._say(one, Standing.BLOCKED, f"It was decided: {one.words}, but it {why}.")

    def _is_gone(self, side: Side, record_id: str) -> bool:
        snapshot = self.snapshots[side]
        if record_id in snapshot.unreadable:
            return False
        return record_id in snapshot.gone or snapshot.scope is Scope.CENSUS

    # Single fields

    def decide(self, paired: Paired, cells: Cells) -> None:
        """Override what the truth table says where a person has decided, as far as nothing has moved since."""
        rows = self._rows(paired)
        for one in self._of(Choice.KEEP_BOOKS, Choice.KEEP_BILLING):
            row = rows.get(_pair(one))
            if row is not None:
                self._keep(one, paired, cells, row)

    def _rows(self, paired: Paired) -> dict[Pair, int]:
        """The position of each pair that somebody has decided about."""
        wanted = {_pair(one) for one in self.open}
        which = np.flatnonzero(among(paired.ids[Side.BOOKS], [books for books, _ in wanted]))
        ids = [paired.ids[side].iloc[which] for side in Side]
        return {(str(books), str(billing)): int(row) for row, books, billing in zip(which, *ids, strict=True)}

    def _keep(self, one: Resolution, paired: Paired, cells: Cells, row: int) -> None:
        back = self._back_again(one)
        if back is not None:
            self._say(one, *back)
            return
        own = cells.frame[(cells.frame["row"] == row) & (cells.frame["decision"] != Decision.AGREED)]
        now = dict(zip(own["field"], seen_fields(paired, own), strict=True))
        moved = self._moved_fields(one, now)
        if moved:
            self._say(one, Standing.OUTDATED, moved)
            return
        wanted = [name for name in one.draft.fields if name in now]
        kept = one.draft.choice.kept
        if not wanted or kept is None:
            self._say(one, Standing.DONE, "Both sides hold the same already.")
            return
        which = (cells.frame["row"] == row) & cells.frame["field"].isin(wanted)
        cells.decide(which, TO[kept.other], f"is decided: {one.words}")
        self._say(one, Standing.APPLIES, f"Decided: {one.words}.")

    def _moved_fields(self, one: Resolution, now: Mapping[str, str]) -> str:
        """What has changed since a person decided, as a sentence; empty when nothing has."""
        draft = one.draft
        watched = [name for name in draft.seen if name not in list(Side)]
        for name in watched:
            if name in now and now[name] != draft.seen[name]:
                before, after = json.loads(draft.seen[name]), json.loads(now[name])
                where = " and ".join(side.product for side in Side if before[side] != after[side])
                return f"The {field(self.entity, name).title} has changed since in {where or 'what was agreed'}."
        more = sorted(now.keys() - set(watched)) if draft.whole else []
        if more:
            titles = ", ".join(field(self.entity, name).title for name in more)
            return f"More has changed since: {titles}."
        return ""

    def leave_alone(self, paired: Paired, cells: Cells) -> None:
        """Carry nothing of the records that people ignore."""
        rows = self._rows(paired)
        for one in self._of(Choice.IGNORE):
            row = rows.get(_pair(one))
            if row is None:
                continue
            own = cells.frame[(cells.frame["row"] == row) & (cells.frame["decision"] != Decision.AGREED)]
            moved = self._moved_fields(one, dict(zip(own["field"], seen_fields(paired, own), strict=True)))
            if moved:
                self._say(one, Standing.OUTDATED, moved)
                continue
            which = cells.carried & (cells.frame["row"] == row)
            cells.hold(which, IGNORED, f"waits: {one.words}", "")
            self._ignore(one)

    def look_back(self, paired: Paired, cells: Cells) -> None:
        """After all rules: decisions whose fields are held none the less are blocked, with the reason."""
        rows = self._rows(paired)
        for one in self.open:
            said, row = self._outcomes.get(one.id), rows.get(_pair(one))
            if said is None or row is None or one.draft.choice.kept is None or said.standing is not Standing.APPLIES:
                continue
            held = cells.frame[(cells.frame["row"] == row) & cells.held & cells.frame["field"].isin(one.draft.fields)]
            if len(held):
                why = "; ".join(held["title"] + " " + held["reason"])
                self._say(one, Standing.BLOCKED, f"It was decided: {one.words}, but it is held: {why}.")

    # Whole records

    def ignored(self, side: Side, ids: Sequence[str] | pd.Index[str]) -> list[str]:
        """Those of these records without a counterpart that people ignore."""
        for one in self._of(Choice.IGNORE):
            record_id = one.draft.books_id if side is Side.BOOKS else one.draft.billing_id
            if record_id is None or len(one.draft.keys) > 1 or record_id not in ids:
                continue
            moved = self._moved_records(one, needed=True)
            if moved is not None:
                self._say(one, *moved)
            else:
                self._ignore(one)
        return [record_id for record_id in ids if (side, record_id) in self._ignored]

    def ignoring(self, side: Side, record_id: str) -> Resolution:
        """The decision by which a record is ignored."""
        return self._ignored[side, record_id]

    def _ignore(self, one: Resolution) -> None:
        for side, record_id in zip(Side, (one.draft.books_id, one.draft.billing_id), strict=True):
            if record_id is not None:
                self._ignored[side, record_id] = one
        self._say(one, Standing.APPLIES, f"Decided: {one.words}.")

    def finish(self, pairs: pd.DataFrame) -> None:
        """Say of every decision that nothing was said of what became of its record."""
        known = set(zip(pairs["books_id"], pairs["billing_id"], strict=True))
        for one in [one for one in self.open if one.id not in self._outcomes]:
            ids = [*zip(Side, (one.draft.books_id, one.draft.billing_id), strict=True)]
            present = [(side, record_id) for side, record_id in ids if record_id is not None]
            gone = [side.product for side, record_id in present if self._lacks(side, record_id)]
            moved = self._moved_records(one, needed=False)
            if one.draft.choice is Choice.IGNORE and (len(present) == 1 or _pair(one) in known):
                if moved is not None:
                    self._say(one, *moved)
                else:
                    self._ignore(one)
            elif one.draft.deleted_in is not None:
                other = self._moved_records(one, needed=True)
                self._say(one, *(self._back_again(one) or other or (Standing.UNREAD, "It was not compared this time.")))
            elif gone:
                self._say(one, Standing.OUTDATED, f"The record is no longer in {' and '.join(gone)}.")
            elif len(present) == len(Side) and _pair(one) not in known:
                self._say(one, Standing.OUTDATED, "The two are not taken for one record any more.")
            else:
                self._say(one, Standing.UNREAD, "The record was not read this time.")

    def _lacks(self, side: Side, record_id: str) -> bool:
        read = bool((self.snapshots[side].frame["id"] == record_id).any())
        return not read and self._is_gone(side, record_id)

    def retold(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings; those about ignored records are notes that say so."""
        return [self._retold(finding) for finding in findings]

    def _retold(self, finding: Finding) -> Finding:
        sides = (finding.side,) if finding.side else tuple(Side)
        one = next(
            (self._ignored[s, finding.record_id] for s in sides if (s, finding.record_id) in self._ignored), None
        )
        if one is None or finding.severity is Severity.NOTE or finding.entity is not self.entity:
            return finding
        sentence = f"{finding.sentence} It is left alone: {one.words}."
        remedy = f"Nothing until then; `reconcile resolutions COMPANY --withdraw {one.id}` brings it back at once."
        return replace(finding, check=IGNORED, severity=Severity.NOTE, sentence=sentence, remedy=remedy)


def pairs_left(pairs: pd.DataFrame, ended: Sequence[EndedLink]) -> pd.DataFrame:
    """The pairs (``books_id``, ``billing_id``) without those that people have ended."""
    return _without(pairs, {(link.books_id, link.billing_id) for link in ended})


def one_to_one(*known: pd.DataFrame) -> pd.DataFrame:
    """All these pairs (``books_id``, ``billing_id``), the first that is known of each record."""
    pairs = {name: pa.concat_arrays([arrow(some[name]) for some in known]) for name in LINK_COLUMNS}
    for name in LINK_COLUMNS:
        first = pa.array(places(pairs[name], pairs[name]) == np.arange(len(pairs[name])))
        pairs = {column: values.filter(first) for column, values in pairs.items()}
    index = pd.RangeIndex(len(pairs["books_id"]))
    return pd.DataFrame({name: as_column(values, index) for name, values in pairs.items()})


def without_links(agreement: Agreement, ended: Sequence[EndedLink]) -> Agreement:
    """The agreement without the links that people have ended."""
    return replace(agreement, frame=_without(agreement.frame, {(link.books_id, link.billing_id) for link in ended}))


def _pair(one: Resolution) -> Pair:
    return one.draft.books_id or "", one.draft.billing_id or ""


def _without(frame: pd.DataFrame, pairs: set[Pair]) -> pd.DataFrame:
    """The rows of a frame of links that are none of these pairs."""
    if not pairs:
        return frame
    suspects = among(frame["books_id"], [books for books, _ in pairs])
    which = [
        not suspect or (books, billing) not in pairs
        for suspect, books, billing in zip(suspects, frame["books_id"], frame["billing_id"], strict=True)
    ]
    return frame[np.array(which, dtype=bool)].reset_index(drop=True)


def _titles(entity: Entity, now: str, before: str) -> list[str]:
    new, old = json.loads(now), json.loads(before)
    return [field(entity, name).title for name in new if new.get(name) != old.get(name)]


def _plains(values: pd.Series[Any]) -> list[Any]:
    return [_plain(value) for value in values.astype(object)]


def _plain(value: Any) -> Any:
    if value is None or pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value
