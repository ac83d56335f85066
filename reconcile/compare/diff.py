"""The three-way comparison: what both sides last agreed on, what each holds now, and so who changed what.

The truth table is :func:`~reconcile.compare.truth.truth`; what follows from its verdicts is
:class:`~reconcile.compare.cells.Cells`; what stands in the way is :class:`~reconcile.compare.obstacles.Obstacles`.
Here they are put together with what became of records that are not on both sides. All of it works on whole columns;
single cells exist only for records that are not quiet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reconcile.compare.canonical import References, canonical, described, exact, is_live, keyed, shown
from reconcile.compare.cells import ENDINGS, KEPT_WHEN_VOID, Cells, Paired, mark_edited_elsewhere
from reconcile.compare.expressible import remedy_in_books, why_not_in_books
from reconcile.compare.matching import PAIR_COLUMNS, Told, match_frames
from reconcile.compare.merging import with_merges
from reconcile.compare.obstacles import Obstacles, Percents
from reconcile.compare.policy import MONEY_FIELDS, Deletion, Policy, result_fields, written_fields
from reconcile.compare.remembered import remembered
from reconcile.compare.resolving import Resolving, seen_fields
from reconcile.compare.rules import (
    ABSENT,
    CLOSED,
    GONE,
    GONE_FROM,
    IGNORED,
    INEXPRESSIBLE,
    NEW_IN,
    NOT_CARRIED,
    ROUNDING,
    TOTALS,
    UNREAD,
    UNREADABLE,
    WAITS,
)
from reconcile.compare.truth import Verdicts, alike, truth
from reconcile.model.changes import CHANGE_COLUMNS, DIFFERENCE_COLUMNS, Agreement, Comparison, Decision, Verdict
from reconcile.model.entities import Entity, Side, field, label_column
from reconcile.model.findings import Finding, Severity
from reconcile.model.lookup import among
from reconcile.model.money import show
from reconcile.model.resolutions import Resolution
from reconcile.model.snapshot import Scope, Snapshot, Snapshots, conform


def compare(
    entity: Entity,
    books: Snapshot,
    billing: Snapshot,
    agreement: Agreement,
    references: References,
    policy: Policy | None = None,
    percents: Percents = MappingProxyType({}),
    resolutions: Iterable[Resolution] = (),
) -> Comparison:
    """Compare one entity of both sides with what they last agreed on.

    Args:
        entity: kind of record.
        books: what was read from QuickBooks.
        billing: what was read from ReliaBills.
        agreement: what both were last seen to hold.
        references: pairs of the entities compared before; pass them on with :meth:`References.including`.
        policy: who wins where both sides have their own value; ``None`` holds them all.
        percents: of the tax rates of both sides (:func:`percents_of`), to know what an invoice would come to.
        resolutions: what people have decided (:mod:`~reconcile.compare.resolving`).

    Returns:
        The comparison. Differences of what a push may set carry a decision; a result (tax, total) that differs although
        all that makes it up is the same is a finding: a note when rounding explains it, else the record is held.

    Raises:
        IncompletePullError: a side gave the same id twice.
        ReconcileError: the agreement cannot be read.
    """
    sides = {Side.BOOKS: books, Side.BILLING: billing}
    return _Comparer(entity, sides, agreement, references, policy or Policy(), percents, resolutions).comparison()


def compare_all(
    books: Snapshots,
    billing: Snapshots,
    agreements: Mapping[Entity, Agreement],
    policy: Policy | None = None,
    resolutions: Iterable[Resolution] = (),
    *,
    company: str = "COMPANY",
) -> dict[Entity, Comparison]:
    """:func:`compare` for all five entities in push order, each knowing the pairs of those before it.

    Merges of customers in QuickBooks, which only all of them show together, are held
    (:mod:`~reconcile.compare.merging`); ``company`` is the company key, for the command that they propose.
    """
    references, comparisons = References(), {}
    percents: Percents = {}
    resolutions = tuple(resolutions)
    for entity in Entity:
        sides = books[entity], billing[entity]
        if not resolutions and _is_unknown(agreements[entity], *sides):
            comparisons[entity] = _nothing(entity)
            references = references.including(entity, comparisons[entity].pairs, *sides)
            continue
        both = dict(zip(Side, sides, strict=True))
        comparer = _Comparer(entity, both, agreements[entity], references, policy or Policy(), percents, resolutions)
        comparisons[entity], references = comparer.comparison(), comparer.references
        if entity is Entity.TAX_RATE:
            percents = percents_of(*sides, references)
    return with_merges(company, comparisons, books, billing)


def _is_unknown(agreement: Agreement, *sides: Snapshot) -> bool:
    """Whether there is no such record on either side, and nobody remembers one."""
    met = any(len(side) or side.gone or side.unreadable or side.findings for side in sides)
    return not (met or len(agreement.frame) or len(agreement.tombstones))


def _nothing(entity: Entity) -> Comparison:
    """What comparing nothing comes to: a small company has no tax rates, a new one no payments."""
    changes, differences, pairs = (
        conform(pd.DataFrame(), dtypes) for dtypes in (CHANGE_COLUMNS, DIFFERENCE_COLUMNS, PAIR_COLUMNS)
    )
    return Comparison(entity, changes, differences, pairs, quiet=0, findings=())


def percents_of(books: Snapshot, billing: Snapshot, references: References) -> Percents:
    """Per side the percent of each tax rate, ten-millionths, by its key; the pairs of rates must be known."""
    percents = {}
    for snapshot in (books, billing):
        known = snapshot.frame[snapshot.frame["percent"].notna()]
        keys = references.keys(snapshot.side, Entity.TAX_RATE, known["id"])
        percents[snapshot.side] = dict(zip(keys, known["percent"].astype(int), strict=True))
    return percents


class _Comparer:
    """One comparison in progress."""

    def __init__(
        self,
        entity: Entity,
        snapshots: Mapping[Side, Snapshot],
        agreement: Agreement,
        references: References,
        policy: Policy,
        percents: Percents,
        resolutions: Iterable[Resolution],
    ) -> None:
        self.entity = entity
        self.snapshots = snapshots
        self.policy = policy
        self.percents = percents
        self.frames = {side: canonical(snapshot, references) for side, snapshot in snapshots.items()}
        books, billing = ((snapshots[side], self.frames[side]) for side in Side)
        self.resolving = Resolving(entity, resolutions, snapshots)
        agreement = self.resolving.links_left(agreement)
        told = Told(frozenset(self.resolving.together), frozenset(self.resolving.apart))
        self.matching = match_frames(self.entity, books, billing, agreement, references, told)
        self.references = references.including(self.entity, self.matching.pairs, books[0], billing[0])
        self.status = {side: self._status(side) for side in Side}
        self.concerned = np.any([status != "unread" for status in self.status.values()], axis=0)
        self.base, self.settled, self.undone = self._remembered(agreement, references)
        self.words = {side: described(self.entity, frame, self.references) for side, frame in self.frames.items()}
        self.findings: list[Finding] = list(self.matching.findings)
        self.changes: list[pd.DataFrame] = []
        self.differences: list[pd.DataFrame] = []

    def comparison(self) -> Comparison:
        both = np.all([status == "read" for status in self.status.values()], axis=0)
        quiet = self._compare_pairs(np.flatnonzero(both))
        self._gone(np.flatnonzero(self.concerned & ~both))
        for side in Side:
            self._new(side)
        self.resolving.finish(self.matching.pairs)
        return Comparison(
            entity=self.entity,
            changes=_stacked(self.changes, CHANGE_COLUMNS),
            differences=_stacked(self.differences, DIFFERENCE_COLUMNS),
            pairs=self.matching.pairs,
            quiet=quiet,
            findings=tuple(self.resolving.retold(self.findings)),
            resolved=self.resolving.outcomes,
            ended=tuple(self.resolving.ended),
        )

    def _remembered(
        self, agreement: Agreement, references: References
    ) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """The bases of the pairs of which something was read, by the position of the pair; links are the first of them.

        A delta reads a few records; what is remembered of all the others is not even parsed.
        """
        links = np.flatnonzero(self.concerned[: len(agreement.frame)])
        values, settled, undone = remembered(replace(agreement, frame=agreement.frame.take(links)), references)
        return values.set_axis(links), settled.set_axis(links), undone.set_axis(links)

    # Pairs that both sides hold

    def _compare_pairs(self, rows: NDArray[np.intp]) -> int:
        """Compare the pairs at these positions; gives back how many are quiet."""
        if not len(rows):
            return 0
        paired = self._paired(rows)
        verdicts = self._verdicts(paired)
        cells = Cells.of(paired, verdicts, self.policy)
        self.resolving.decide(paired, cells)
        Obstacles(paired, cells, self.percents).check()
        self._compare_results(paired, verdicts, cells)
        self.resolving.leave_alone(paired, cells)
        self.resolving.look_back(paired, cells)
        self._note_closed(paired)
        changed = np.unique(np.r_[cells.frame["row"].to_numpy(dtype=np.intp), np.flatnonzero(~paired.linked)])
        if len(changed):
            summary = self._summary(paired, cells, changed)
            self.changes.append(summary)
            self.differences.append(self._differences(paired, cells, summary))
            self._find_held(cells, summary)
        return len(rows) - len(changed)

    def _paired(self, rows: NDArray[np.intp]) -> Paired:
        pairs = self.matching.pairs.take(rows).reset_index(drop=True)
        ids = {side: pairs[f"{side}_id"] for side in Side}
        frames = {
            side: frame.take(frame.index.get_indexer(pd.Index(ids[side]))).reset_index(drop=True)
            for side, frame in self.frames.items()
        }
        return Paired(
            self.entity,
            keyed(Side.BOOKS, ids[Side.BOOKS]),
            ids,
            pairs["linked"].to_numpy(dtype=bool),
            frames,
            self.base.reindex(rows).reset_index(drop=True),
            self.settled.reindex(rows, fill_value=False).reset_index(drop=True),
            self.undone.reindex(rows, fill_value=False).reset_index(drop=True),
        )

    def _verdicts(self, paired: Paired) -> dict[str, Verdicts]:
        books, billing = paired.frames[Side.BOOKS], paired.frames[Side.BILLING]
        verdicts = {
            of.name: truth(
                paired.base[of.name], books[of.name], billing[of.name], paired.settled[of.name].to_numpy(dtype=bool)
            )
            for of in written_fields(self.entity)
        }
        for ending in ENDINGS:
            if ending in verdicts:
                mark_edited_elsewhere(paired, verdicts, ending)
        if "void" in verdicts:
            void = paired.dead(Side.BOOKS, "void") | paired.dead(Side.BILLING, "void")
            for name in verdicts.keys() - KEPT_WHEN_VOID:
                verdicts[name][void] = Verdict.QUIET
        return verdicts

    def _compare_results(self, paired: Paired, verdicts: Mapping[str, Verdicts], cells: Cells) -> None:
        """Tax and totals are compared where nothing that makes them up differs; else they follow from that."""
        results = result_fields(self.entity)
        if not results:
            return
        comparable = ~(paired.dead(Side.BOOKS, "void") | paired.dead(Side.BILLING, "void"))
        for name in MONEY_FIELDS[self.entity]:
            comparable &= np.isin(
                verdicts[name].astype(str), [Verdict.QUIET, Verdict.CHANGED_ALIKE, Verdict.SAME_ALREADY]
            )
        gaps = {
            of.name: (
                paired.frames[Side.BOOKS][of.name].fillna(0) - paired.frames[Side.BILLING][of.name].fillna(0)
            ).to_numpy(dtype="int64")
            for of in results
        }
        differing = np.flatnonzero(comparable & np.any([gap != 0 for gap in gaps.values()], axis=0))
        if not len(differing):
            return
        counts = self.snapshots[Side.BOOKS].rows["parent_id"].value_counts()
        lines = paired.ids[Side.BOOKS].take(differing).map(counts).fillna(0).to_numpy(dtype="int64")
        tax, total = gaps["tax"][differing], gaps["total"][differing]
        only_tax = (gaps["subtotal"][differing] == 0) & (gaps["discount"][differing] == 0) & (tax == total)
        rounding = only_tax & (np.abs(tax) <= lines)
        for row, gap in zip(differing[rounding], tax[rounding], strict=True):
            self._note_rounding(paired, int(row), int(gap))
        for of in results:
            wrong = differing[~rounding]
            wrong = wrong[gaps[of.name][wrong] != 0]
            cells.add(
                wrong,
                of,
                Verdict.MATCHED_DIFFERENT,
                TOTALS,
                "differs although lines, discounts and tax rate are the same",
                "Open the invoice on both sides, see which one is worked out wrongly, and correct its lines there.",
            )

    def _note_closed(self, paired: Paired) -> None:
        """An invoice that ReliaBills closed without full payment stays open in QuickBooks until it is written off."""
        if self.entity is not Entity.INVOICE:
            return
        books, billing = paired.frames[Side.BOOKS], paired.frames[Side.BILLING]
        left = books["balance"].fillna(0) - billing["balance"].fillna(0)
        closed = (billing["state"] == "closed") & (left != 0) & is_live(books)
        for row in np.flatnonzero(closed.to_numpy(dtype=bool)):
            books_id, amount = paired.ids[Side.BOOKS].iloc[row], int(left.iloc[row])
            currency = _text(books["currency"].iloc[row])
            self._find(
                CLOSED,
                Severity.NOTE,
                None,
                books_id,
                self._about(Side.BOOKS, books_id) | {"amount": amount},
                f"was closed in ReliaBills without full payment, but {show(amount, currency)} is open in QuickBooks",
                "Write the rest off in QuickBooks (a credit memo), or open the invoice again in ReliaBills.",
            )

    def _note_rounding(self, paired: Paired, row: int, gap: int) -> None:
        values = {side: paired.frames[side]["tax"].iloc[row] for side in Side}
        currency = _text(paired.frames[Side.BOOKS]["currency"].iloc[row])
        tax = {
            side: shown(self.entity, field(self.entity, "tax"), values[side], currency, self.references)
            for side in Side
        }
        self._find(
            ROUNDING,
            Severity.NOTE,
            None,
            paired.ids[Side.BOOKS].iloc[row],
            self._about(Side.BOOKS, paired.ids[Side.BOOKS].iloc[row]) | {"amount": abs(gap)},
            f"has tax of {tax[Side.BOOKS]} in QuickBooks and {tax[Side.BILLING]} in ReliaBills: each side rounds in "
            "its own way",
            "Nothing: the difference is at most one minor unit per line and is named in the tie-out.",
        )

    def _summary(self, paired: Paired, cells: Cells, changed: NDArray[np.intp]) -> pd.DataFrame:
        """The rows of ``changes`` for these pairs, indexed by their position among the pairs."""
        words = self.words[Side.BOOKS].reindex(pd.Index(paired.ids[Side.BOOKS].iloc[changed]))
        table = cells.frame
        told = (table["title"] + " " + table["reason"]).groupby(table["row"]).agg("; ".join)
        reasons = told.reindex(changed).fillna(_STORY[Verdict.SAME_ALREADY])
        verdict = cells.record_verdicts(paired, changed)
        return pd.DataFrame(
            {
                "entity": str(self.entity),
                "key": paired.keys.iloc[changed].array,
                "books_id": paired.ids[Side.BOOKS].iloc[changed].array,
                "billing_id": paired.ids[Side.BILLING].iloc[changed].array,
                "label": words["label"].array,
                "customer": words["customer"].array,
                "verdict": verdict.astype(str),
                "held": np.isin(changed, table["row"][table["decision"] == Decision.HELD]),
                "amount": words["amount"].array,
                "currency": words["currency"].array,
                "reason": reasons.array,
            },
            index=changed,
        )

    def _differences(self, paired: Paired, cells: Cells, summary: pd.DataFrame) -> pd.DataFrame:
        table = cells.frame.sort_values(["row", "order"], kind="stable")
        rows = table["row"].to_numpy(dtype=np.intp)
        texts = cells.texts(paired, summary["currency"], self.references)
        seen = seen_fields(paired, table[table["row"].isin(table["row"][table["decision"] == Decision.HELD])])
        return pd.DataFrame(
            {
                "entity": str(self.entity),
                "key": paired.keys.iloc[rows].array,
                "label": summary["label"].loc[rows].array,
                "field": table["field"].array,
                **{name: texts[name].loc[table.index].array for name in texts},
                "decision": table["decision"].astype(str).array,
                "reason": table["reason"].array,
                "seen": seen.reindex(table.index).array,
            },
            index=table.index,
        )

    def _find_held(self, cells: Cells, summary: pd.DataFrame) -> None:
        """One finding per held record, about the fields that are the cause and not those that wait with them."""
        table = cells.frame
        causes = table[(table["decision"] == Decision.HELD) & (table["check"] != WAITS)]
        if causes.empty:
            return
        told = causes["title"] + " " + causes["reason"] + self.differences[-1].loc[causes.index].apply(_told, axis=1)
        causes = causes.assign(told=told).sort_values(["row", "order"])
        grouped = causes.groupby("row")
        held = grouped[["check", "remedy"]].first().assign(told=grouped["told"].agg("; ".join))
        for cause in held.join(summary.drop(columns="reason")).to_dict("records"):
            about = {name: cause[name] for name in ("label", "customer", "amount", "currency")}
            what = f"is held: {cause['told']}"
            self._find(cause["check"], Severity.HOLD, None, cause["books_id"], about, what, cause["remedy"])

    # Pairs that one side does not hold, and records without a counterpart

    def _status(self, side: Side) -> NDArray[np.object_]:
        """What became of each pair's record on a side: read, gone, unreadable, absent (a census lacks it) or unread."""
        snapshot, ids = self.snapshots[side], self.matching.pairs[f"{side}_id"]
        story = (
            (among(ids, snapshot.gone), "gone"),
            (among(ids, snapshot.unreadable), "unreadable"),
            (among(ids, self.frames[side].index), "read"),
        )
        otherwise = "absent" if snapshot.scope is Scope.CENSUS else "unread"
        return np.select(
            [rows for rows, _ in story],
            [np.array(word, dtype=object) for _, word in story],
            default=np.array(otherwise, dtype=object),
        )

    def _gone(self, rows: NDArray[np.intp]) -> None:
        stories = []
        for position in rows:
            pair = self.matching.pairs.iloc[position]
            status = {side: str(own[position]) for side, own in self.status.items()}
            story = self._story_of_gone(int(position), status)
            if story is None:
                continue
            known = self._known_of(int(position))
            stories.append(
                {
                    "entity": str(self.entity),
                    "key": f"{Side.BOOKS}:{pair['books_id']}",
                    "books_id": pair["books_id"],
                    "billing_id": pair["billing_id"],
                    **known,
                    "verdict": str(story.verdict),
                    "held": story.check != "",
                    "reason": story.sentence,
                }
            )
            if story.check:
                self._find(story.check, Severity.HOLD, None, pair["books_id"], known, story.sentence, story.remedy)
        if stories:
            self.changes.append(_typed(pd.DataFrame(stories)))

    def _story_of_gone(self, position: int, status: Mapping[Side, str]) -> _Story | None:
        """What to make of a pair that is not readable on both sides; ``None`` when nothing is to be said of it."""
        for side in Side:
            if status[side] == "unreadable":
                return _Story(
                    Verdict.CONFLICT,
                    UNREADABLE,
                    f"could not be read in {side.product} as what it should be, so nothing is carried either way",
                    f"Mend the record in {side.product}; the finding about it says what is wrong with it.",
                )
        for side in Side:
            if status[side] == "absent":
                return _Story(
                    GONE_FROM[side],
                    ABSENT,
                    f"was not among all that {side.product} gave, and {side.product} does not say that it was deleted",
                    f"Look for it in {side.product}. If it was deleted there, void or deactivate it in "
                    f"{side.other.product} by hand; absence alone removes nothing.",
                )
        gone = [side for side in Side if status[side] == "gone"]
        if len(gone) == len(Side):
            return _Story(Verdict.GONE_FROM_BOTH, "", "gone from both sides: the link ends", "")
        if gone:
            return self._story_of_deleted(position, gone[0], read=status[gone[0].other] == "read")
        if "read" in status.values():
            self._note_unread(position, next(side for side in Side if status[side] == "unread"))
        return None

    def _story_of_deleted(self, position: int, side: Side, *, read: bool) -> _Story:
        story = self._story_undecided(position, side, read=read)
        pair = self.matching.pairs.iloc[position]
        decided = self.resolving.ending(pair["books_id"], pair["billing_id"], side) if read and story.check else None
        if decided is None:
            return story
        if self.entity is Entity.INVOICE and side is Side.BOOKS:
            invoice = self.frames[Side.BILLING].loc[pair["billing_id"]]
            if invoice["state"] != "open" or invoice["balance"] != invoice["total"]:
                self.resolving.blocked(decided, "has payments in ReliaBills or was closed there")
                return story
        return _Story(GONE_FROM[side], "", f"was deleted in {side.product}; {self.resolving.applies(decided)}", "")

    def _story_undecided(self, position: int, side: Side, *, read: bool) -> _Story:
        other = side.other
        if read:
            record_id = self.matching.pairs[f"{other}_id"].iloc[position]
            record = self.frames[other].loc[[record_id]]
            if not is_live(record).iloc[0]:
                return _Story(
                    Verdict.GONE_FROM_BOTH,
                    "",
                    f"deleted in {side.product} and no longer in use in {other.product}: the link ends",
                    "",
                )
            if self._edited(position, record):
                return _Story(
                    Verdict.CONFLICT,
                    GONE,
                    f"was deleted in {side.product} while it was changed in {other.product}",
                    f"Decide which is right: enter it again in {side.product}, or void or deactivate it in "
                    f"{other.product}. Neither is done by itself; `reconcile conflicts COMPANY` has the commands.",
                )
            taken_back = self.undone.loc[position].any()  # what deletes the rest of it does not end the original
            if self.entity is Entity.INVOICE and side is Side.BOOKS and not taken_back:
                return self._story_of_deleted_invoice(record)
        return _Story(
            GONE_FROM[side],
            GONE,
            f"was deleted in {side.product}",
            f"If that is right, void or deactivate it in {other.product}; the link then ends by itself. A deletion is "
            "never carried across.",
        )

    def _story_of_deleted_invoice(self, record: pd.DataFrame) -> _Story:
        """An invoice gone from QuickBooks that stands unchanged in ReliaBills: entered again, paid, or neither."""
        record_id, invoice = str(record.index[0]), record.iloc[0]
        number = _text(invoice["number"])
        own = self.frames[Side.BOOKS]
        again = own.index[(own["number"] == number).fillna(value=False).to_numpy(dtype=bool)]
        again = again.difference(pd.Index(self.matching.pairs["books_id"]))
        here = f"invoice:{Side.BILLING}:{record_id}"
        if number and len(again):
            return _Story(
                GONE_FROM[Side.BOOKS],
                GONE,
                "was deleted in QuickBooks and entered again under the same number, which ReliaBills gives to one "
                "invoice only, for ever",
                "If the new one is the same invoice, let them belong together: `reconcile relink COMPANY "
                f'invoice:{Side.BOOKS}:{again[0]} {here} --because "entered again"`. If it is another, give it '
                "another number in QuickBooks.",
            )
        if invoice["state"] != "open" or invoice["balance"] != invoice["total"]:
            return _Story(
                GONE_FROM[Side.BOOKS],
                GONE,
                "was deleted in QuickBooks, but payments are applied to it in ReliaBills or it was closed there",
                "Enter it again in QuickBooks under the same number and relink the two, or void, refund or move its "
                "payments in ReliaBills and void it there. A deletion is never carried to a paid invoice.",
            )
        if self.policy.on_deletion is Deletion.VOID:
            return _Story(GONE_FROM[Side.BOOKS], "", "was deleted in QuickBooks: void it in ReliaBills", "")
        return _Story(
            GONE_FROM[Side.BOOKS],
            GONE,
            "was deleted in QuickBooks",
            "If that is right, void it in ReliaBills; the link then ends by itself. The setting deleted_invoices=void "
            "does so for unpaid ones from now on.",
        )

    def _edited(self, position: int, record: pd.DataFrame) -> bool:
        """Whether the record that is left differs from what was agreed."""
        base, settled = self.base.loc[[position]], self.settled.loc[position]
        return any(
            bool(settled[of.name]) and not alike(record[of.name], base[of.name])[0]
            for of in written_fields(self.entity)
        )

    def _note_unread(self, position: int, side: Side) -> None:
        pair = self.matching.pairs.iloc[position]
        self._find(
            UNREAD,
            Severity.NOTE,
            None,
            pair["books_id"],
            self._known_of(position),
            f"was not compared, because its record in {side.product} was not read",
            "Nothing: the next census compares it.",
        )

    def _known_of(self, position: int) -> dict[str, Any]:
        """What a person knows a pair by: from whichever side has it, else from what was remembered."""
        pair = self.matching.pairs.iloc[position]
        for side in Side:
            if pair[f"{side}_id"] in self.words[side].index:
                return self._about(side, pair[f"{side}_id"])
        label = self.base[label_column(self.entity)].get(position)
        return {
            "label": label if _text(label) else pair["books_id"],
            "customer": None,
            "amount": None,
            "currency": None,
        }

    def _new(self, side: Side) -> None:
        """Records without a counterpart: to be created on the other side, or in question (the finding is there)."""
        for ids, held in ((self.matching.alone[side], False), (self.matching.withheld[side], True)):
            if len(ids):
                changes = self._new_changes(side, ids, held=held)
                self.changes.append(self._leaving_alone(side, changes, held=held))

    def _leaving_alone(self, side: Side, changes: pd.DataFrame, *, held: bool) -> pd.DataFrame:
        """The same changes, those held that people ignore; what is held already has its finding."""
        for record_id in self.resolving.ignored(side, pd.Index(changes[f"{side}_id"])):
            which = changes[f"{side}_id"] == record_id
            words = self.resolving.ignoring(side, record_id).words
            if not held and not changes.loc[which, "held"].any():
                about = self._about(side, record_id)
                self._find(IGNORED, Severity.NOTE, side, record_id, about, f"is left alone: {words}", "Nothing.")
            changes.loc[which, "held"] = True
            changes.loc[which, "reason"] = f"is left alone: {words}"
        return changes

    def _new_changes(self, side: Side, ids: pd.Index[str], *, held: bool) -> pd.DataFrame:
        if self.entity is Entity.PRODUCT and side is Side.BOOKS and not held:
            ids = self._without_bundles(ids)
        words = self.words[side].loc[ids]
        missing = pd.Series(None, index=ids, dtype="str")
        verdict = NEW_IN[side]
        changes = pd.DataFrame(
            {
                "entity": str(self.entity),
                "key": f"{side}:" + ids.to_series(),
                "books_id": ids.to_series() if side is Side.BOOKS else missing,
                "billing_id": ids.to_series() if side is Side.BILLING else missing,
                **{name: words[name] for name in ("label", "customer", "amount", "currency")},
                "verdict": str(verdict),
                "held": held,
                "reason": "may have a counterpart; see the finding" if held else _STORY[verdict],
            },
            index=ids,
        )
        if side is Side.BILLING and not held and self.entity in (Entity.INVOICE, Entity.PAYMENT):
            self._hold_inexpressible(changes)
        return _typed(changes)

    def _without_bundles(self, ids: pd.Index[str]) -> pd.Index[str]:
        bundles = ids[(self.frames[Side.BOOKS]["type"].loc[ids] == "Group").to_numpy(dtype=bool)]
        for record_id in bundles:
            self._find(
                NOT_CARRIED,
                Severity.NOTE,
                Side.BOOKS,
                record_id,
                self._about(Side.BOOKS, record_id),
                "is a bundle; ReliaBills has none, so the products it is made of go across and the bundle does not",
                "Nothing.",
            )
        return ids.difference(bundles, sort=False)

    def _hold_inexpressible(self, changes: pd.DataFrame) -> None:
        live = changes.index[is_live(self.frames[Side.BILLING].loc[changes.index]).to_numpy()]
        suspects = _suspects(self.entity, self.frames[Side.BILLING].loc[live])
        for record_id, record in suspects.iterrows():
            why = why_not_in_books(self.entity, exact(record))
            if why:
                changes.loc[record_id, "held"] = True
                changes.loc[record_id, "reason"] = f"cannot go to QuickBooks: {why}"
                self._find(
                    INEXPRESSIBLE,
                    Severity.HOLD,
                    Side.BILLING,
                    str(record_id),
                    self._about(Side.BILLING, str(record_id)),
                    f"cannot be entered in QuickBooks: {why}",
                    remedy_in_books(self.entity),
                )

    def _about(self, side: Side, record_id: str) -> dict[str, Any]:
        return {str(name): value for name, value in self.words[side].loc[record_id].items()}

    def _find(
        self,
        check: str,
        severity: Severity,
        side: Side | None,
        record_id: str,
        about: Mapping[str, Any],
        what: str,
        remedy: str,
    ) -> None:
        label, customer = _text(about["label"]) or record_id, _text(about["customer"])
        whose = f" of {customer}" if customer and self.entity is not Entity.CUSTOMER else ""
        where = f" in {side.product}" if side else ""
        self.findings.append(
            Finding(
                check=check,
                severity=severity,
                entity=self.entity,
                side=side,
                record_id=record_id,
                label=label,
                amount=None if pd.isna(about["amount"]) else int(about["amount"]),
                currency=_text(about["currency"]),
                sentence=f"{self.entity.singular.capitalize()} {label}{whose}{where} {what}.",
                remedy=remedy,
                customer=customer,
            )
        )


@dataclass(frozen=True, slots=True)
class _Story:
    """What to make of a pair that one side does not hold; ``check`` is empty when nothing is held."""

    verdict: Verdict
    check: str
    sentence: str
    remedy: str


_STORY: dict[str, str] = {
    Verdict.NEW_IN_BOOKS: "new in QuickBooks",
    Verdict.NEW_IN_BILLING: "new in ReliaBills",
    Verdict.SAME_ALREADY: "the same on both sides already: linked without a write",
}


def _suspects(entity: Entity, frame: pd.DataFrame) -> pd.DataFrame:
    """The records among these that QuickBooks may be unable to hold, so that only they are looked at singly."""
    if entity is Entity.PAYMENT:
        return frame[((frame["credit"].fillna(0) != 0) | (frame["method"] == "credit")).to_numpy(dtype=bool)]
    discounts = frame[["discount_percent", "discount_taxable", "discount_nontaxable"]].notna().any(axis=1)
    typed_in = frame["lines"].str.contains("[null,", regex=False)
    return frame[(discounts | typed_in).to_numpy(dtype=bool)]


def _told(texts: pd.Series[str]) -> str:
    """The values behind a held field, as the end of a sentence."""
    told = [f"{texts[side] or 'nothing'} in {side.product}" for side in Side]
    base = f" (agreed last: {texts['base']})" if _text(texts["base"]) else ""
    return f" ({'; '.join(told)}){base}"


def _text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """A part of ``changes`` with exact dtypes; what no row has is missing, not an object column."""
    return conform(frame, CHANGE_COLUMNS)


def _stacked(parts: list[pd.DataFrame], dtypes: Mapping[str, str]) -> pd.DataFrame:
    if not parts:
        return conform(pd.DataFrame(), dtypes)
    return pd.concat([conform(part, dtypes) for part in parts], ignore_index=True)
