"""Matching: which books record is which billing record. One to one, by what people go by, and never by a guess.

What was linked before stays linked. The rest is tried against the natural keys of its kind, the surest first; a pair is
made only where a key names exactly one record on each side. Where it names several, a person is asked and nothing is
created from them, because a second customer or a payment booked twice is worse than a day of waiting.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reconcile.compare.canonical import References, canonical, described, is_live
from reconcile.compare.rules import AMBIGUOUS, COUNTERPART_UNREADABLE, ENDED, LOOK_ALIKE, OTHER_CUSTOMER, TAKEN
from reconcile.model.changes import LINK_COLUMNS, Agreement
from reconcile.model.entities import Entity, Side, label_column
from reconcile.model.findings import Finding, Severity
from reconcile.model.lookup import among
from reconcile.model.rows import NO_ROWS
from reconcile.model.snapshot import Snapshot

__all__ = ["Level", "Matching", "References", "counterparts", "match", "match_frames", "natural_keys"]

PAIR_COLUMNS = LINK_COLUMNS | {"linked": "boolean"}

_BETWEEN = "\x1f"
_UNSEEN = dict.fromkeys([0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, 0x00AD])
_DASHES = dict.fromkeys([0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2015, 0x2212, 0xFE58, 0xFE63, 0xFF0D], "-")


@dataclass(frozen=True, slots=True)
class Matching:
    """Who is who, for one entity.

    Attributes:
        entity: kind of record.
        pairs: ``books_id``, ``billing_id``, ``linked`` (boolean: linked before, rather than matched now). Links whose
            records were not read are here, too: references through them must still be understood.
        alone: per side, ids of records that have no counterpart and may be created on the other side.
        withheld: per side, ids of records that may have a counterpart, so that nothing is created from them.
        findings: why they are withheld, and what only looks alike.
    """

    entity: Entity
    pairs: pd.DataFrame
    alone: Mapping[Side, pd.Index[str]]
    withheld: Mapping[Side, pd.Index[str]]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """What people said of pairs, each ``(books_id, billing_id)``: these are one record; these are not, ever."""

    together: frozenset[tuple[str, str]] = frozenset()
    apart: frozenset[tuple[str, str]] = frozenset()

    def kept_apart(self, side: Side, record_id: str) -> frozenset[str]:
        """The records of the other side that this one is not."""
        pairs = self.apart if side is Side.BOOKS else {(billing, books) for books, billing in self.apart}
        return frozenset(other for own, other in pairs if own == record_id)


@dataclass(frozen=True, slots=True)
class Level:
    """One natural key.

    Attributes:
        name: the words for it in a sentence.
        keys: per side, the key of each record (index ``id``); a missing key matches nothing.
        decides: several records with this key on a side are ambiguous. Other levels only break the ties of these.
        weak: the key is evidence only when nobody else on a side has it, linked records included.
        names: a record with this key cannot be created where another record already has it.
    """

    name: str
    keys: Mapping[Side, pd.Series[str]]
    decides: bool = True
    weak: bool = False
    names: bool = False


def match(entity: Entity, books: Snapshot, billing: Snapshot, agreement: Agreement, references: References) -> Matching:
    """Pair the records of both sides: links of the agreement first, then natural keys, one to one only.

    Natural keys: a customer's display name, then e-mail and last name; a product's SKU, then name; a tax rate's name,
    then percent and agency; an invoice's number, exact text, and the same customer; a payment's customer, amount,
    currency, credit and date, then reference, then the invoices paid. Missing keys match nothing; look-alikes are notes
    only.

    Args:
        entity: kind of record.
        books: what was read from QuickBooks.
        billing: what was read from ReliaBills.
        agreement: links, and the ends of links, remembered.
        references: pairs of the entities referred to.
    """
    return match_frames(
        entity, (books, canonical(books, references)), (billing, canonical(billing, references)), agreement, references
    )


def counterparts(books: Snapshot, billing: Snapshot, agreement: Agreement) -> Mapping[Side, tuple[str, ...]]:
    """Per side, the ids that were not read while their linked record on the other side was: what a delta must fetch."""
    ids = {Side.BOOKS: pd.Index(books.frame["id"]), Side.BILLING: pd.Index(billing.frame["id"])}
    links = agreement.frame
    here = {side: among(links[f"{side}_id"], ids[side]) for side in Side}
    return {side: tuple(links[f"{side}_id"][~here[side] & here[side.other]]) for side in Side}


def match_frames(
    entity: Entity,
    books: tuple[Snapshot, pd.DataFrame],
    billing: tuple[Snapshot, pd.DataFrame],
    agreement: Agreement,
    references: References,
    told: Told | None = None,
) -> Matching:
    """:func:`match` for snapshots whose canonical frames are already made; ``told`` is what people said of pairs."""
    sides = {Side.BOOKS: books, Side.BILLING: billing}
    return _Matcher(entity, sides, agreement, references, told or Told()).matching()


class _Matcher:
    """One matching in progress: the records of each side that are still without a counterpart."""

    def __init__(
        self,
        entity: Entity,
        sides: Mapping[Side, tuple[Snapshot, pd.DataFrame]],
        agreement: Agreement,
        references: References,
        told: Told,
    ) -> None:
        self.entity = entity
        self.told = told
        self.snapshots = {side: snapshot for side, (snapshot, _) in sides.items()}
        self.frames = {side: frame for side, (_, frame) in sides.items()}
        self.references = references
        self.ended = {side: pd.Index(agreement.tombstones[f"{side}_id"]) for side in Side}
        length = len(agreement.frame)
        linked = {name: agreement.frame[name].array for name in LINK_COLUMNS}
        linked |= {"linked": pd.array(np.full(length, fill_value=True), dtype="boolean")}
        self.pairs = pd.DataFrame(linked, index=pd.RangeIndex(length))
        self.left = {
            side: frame.index[~among(frame.index, self.pairs[f"{side}_id"])] for side, frame in self.frames.items()
        }
        self.withheld: dict[Side, list[str]] = {side: [] for side in Side}
        self.findings: list[Finding] = []
        self.words: dict[Side, pd.DataFrame] = {}

    def matching(self) -> Matching:
        self._pair_told()
        self._leave_out_ended()
        if any(len(ids) for ids in self.left.values()):
            self._match_what_is_left()
        return Matching(
            self.entity,
            self.pairs,
            dict(self.left),
            {side: pd.Index(ids, dtype="str") for side, ids in self.withheld.items()},
            tuple(self.findings),
        )

    def _match_what_is_left(self) -> None:
        levels = natural_keys(self.entity, self.frames)
        for level in levels if all(len(ids) for ids in self.left.values()) else ():
            self._pair_up(level)
            if level.decides:
                self._hold_ambiguous(level)
        for level in levels:
            if level.names:
                self._hold_taken(level)
        self._hold_unreadable()
        if self.entity is Entity.INVOICE:
            self._note_look_alikes()

    def _pair_told(self) -> None:
        """Pair what people say is one, whatever its names say."""
        left = {side: set(ids) for side, ids in self.left.items()} if self.told.together else {}
        for books_id, billing_id in sorted(self.told.together):
            if books_id in left[Side.BOOKS] and billing_id in left[Side.BILLING]:
                self._add_pairs([books_id], [billing_id])

    def _add_pairs(self, books_ids: Any, billing_ids: Any) -> None:
        if not len(books_ids):
            return
        matched = pd.DataFrame({"books_id": books_ids, "billing_id": billing_ids, "linked": False})
        self.pairs = pd.concat([self.pairs, matched.astype(PAIR_COLUMNS)], ignore_index=True)
        self._take(Side.BOOKS, books_ids)
        self._take(Side.BILLING, billing_ids)

    def _leave_out_ended(self) -> None:
        for side in Side:
            if not len(self.ended[side]):
                continue
            ended = self.left[side].intersection(self.ended[side], sort=False)
            live = is_live(self.frames[side].loc[ended])
            for record_id in ended[live.to_numpy()]:
                self._find(
                    ENDED,
                    Severity.NOTE,
                    side,
                    record_id,
                    f"was linked to a record in {side.other.product} that is gone, so it is not created there again",
                    f"Nothing, if that is as it should be. Otherwise enter it in {side.other.product} by hand.",
                )
            self.left[side] = self.left[side].difference(ended, sort=False)

    def _pair_up(self, level: Level) -> None:
        """Pair what one key names once on each side: among live records first, so that an old void one is no rival."""
        for live_only in (True, False):
            keys = {side: self._keys(level, side, live_only=live_only) for side in Side}
            if level.weak:
                keys = {side: own[~among(own, _repeated(level.keys[side]))] for side, own in keys.items()}
            once = {side: own[~own.duplicated(keep=False)] for side, own in keys.items()}
            books, billing = once[Side.BOOKS], once[Side.BILLING]
            books_ids = pd.Series(books.index, index=books.array, dtype="str")
            found = billing.map(books_ids).dropna()
            if self.told.apart:
                apart = [(books, str(billing)) in self.told.apart for billing, books in found.items()]
                found = found[~np.array(apart, dtype=bool)]
            if self.entity is Entity.INVOICE:
                found = self._of_the_same_customer(found)
            self._add_pairs(found.array, found.index)

    def _keys(self, level: Level, side: Side, *, live_only: bool = False) -> pd.Series[str]:
        """The keys of the records of a side that are still without a counterpart."""
        ids = self.left[side]
        if live_only:
            ids = ids[is_live(self.frames[side].loc[ids]).to_numpy()]
        return level.keys[side].loc[ids].dropna()

    def _of_the_same_customer(self, found: pd.Series[str]) -> pd.Series[str]:
        """Numbers are the same; a pair whose customers are not is no pair but a question."""
        books = self.frames[Side.BOOKS]["customer_id"].reindex(pd.Index(found)).array
        billing = self.frames[Side.BILLING]["customer_id"].reindex(found.index).array
        same = pd.Series(books == billing, index=found.index).fillna(value=False).astype(bool)
        for billing_id, books_id in found[~same].items():
            names = {
                Side.BOOKS: self._about(Side.BOOKS, books_id)["customer"] or "no known customer",
                Side.BILLING: self._about(Side.BILLING, str(billing_id))["customer"] or "no known customer",
            }
            for side, record_id in ((Side.BOOKS, books_id), (Side.BILLING, str(billing_id))):
                self._find(
                    OTHER_CUSTOMER,
                    Severity.HOLD,
                    side,
                    record_id,
                    f"belongs to {names[Side.BOOKS]} in QuickBooks but to {names[Side.BILLING]} in ReliaBills",
                    "If they are two invoices, give the one in QuickBooks another number; if they are one, make the "
                    "customers the same. Until then neither is carried across.",
                    between=True,
                )
        self._withhold(Side.BOOKS, found[~same].array)
        self._withhold(Side.BILLING, found[~same].index)
        return found[same]

    def _hold_ambiguous(self, level: Level) -> None:
        keys = {side: self._keys(level, side) for side in Side}
        rivals = {side: own[among(own, keys[side.other])] for side, own in keys.items()}
        groups = {side: own.groupby(own).groups for side, own in rivals.items()}
        withheld: dict[Side, list[str]] = {side: [] for side in Side}
        for side in Side:
            for key, ids in groups[side].items():
                for record_id in ids:
                    others = groups[side.other][key].difference(list(self.told.kept_apart(side, record_id)))
                    if others.empty:
                        continue
                    withheld[side].append(record_id)
                    self._find(
                        AMBIGUOUS,
                        Severity.HOLD,
                        side,
                        record_id,
                        f"could be {_several(others)} in {side.other.product}: {level.name} is the same for "
                        f"{len(ids)} in {side.product} and {len(others)} in {side.other.product}",
                        f"Make them tell apart ({self._telling()}), or link the right two by hand. Until then nothing "
                        "is created from them.",
                    )
            self._withhold(side, withheld[side])

    def _telling(self) -> str:
        return {
            Entity.CUSTOMER: "display name, or e-mail and last name",
            Entity.PRODUCT: "SKU or name",
            Entity.TAX_RATE: "name",
            Entity.INVOICE: "invoice number",
            Entity.PAYMENT: "reference, or the invoices paid",
        }[self.entity]

    def _hold_taken(self, level: Level) -> None:
        """A name or number that another, already paired record bears over there cannot be used there twice.

        Nor can the number of an invoice whose counterpart is gone, void or not (ReliaBills, "Invoices").
        """
        for side in Side:
            paired = self.pairs[f"{side.other}_id"]
            apart = [pair[side is Side.BOOKS] for pair in self.told.apart]
            there = level.keys[side.other]
            taken_for_ever = self.ended[side.other] if self.entity is Entity.INVOICE else []
            bearing = among(there.index, paired) | among(there.index, apart) | among(there.index, taken_for_ever)
            bearers = there[bearing].dropna()
            own = self._keys(level, side, live_only=True)
            taken = own[among(own, bearers)]
            holders = pd.Series(bearers.index, index=bearers.array)
            for record_id, key in taken.items():
                self._find(
                    TAKEN,
                    Severity.HOLD,
                    side,
                    str(record_id),
                    f"cannot be created in {side.other.product}, because {level.name} is already that of another "
                    f"{self.entity.singular} there ({_several(holders.loc[[key]].to_list())})",
                    f"Change it in {side.product}, or merge the two records there if they are one.",
                )
            self._withhold(side, taken.index)

    def _hold_unreadable(self) -> None:
        """A record that could not be read may be the counterpart of one that seems to be new."""
        level = label_column(self.entity)
        for side in Side:
            snapshot = self.snapshots[side.other]
            known = {
                _fold_text(finding.label)
                for finding in snapshot.findings
                if finding.record_id in snapshot.unreadable and finding.label
            }
            own = self.frames[side][level].loc[self.left[side]].dropna()
            suspects = own[own.map(_fold_text).isin(known)]
            for record_id in suspects.index:
                self._find(
                    COUNTERPART_UNREADABLE,
                    Severity.HOLD,
                    side,
                    record_id,
                    f"may be the record of that name in {side.other.product} which could not be read",
                    f"Mend the record in {side.other.product} first; the finding about it says how.",
                )
            self._withhold(side, suspects.index)

    def _note_look_alikes(self) -> None:
        numbers = {side: self.frames[side]["number"].loc[self.left[side]].dropna() for side in Side}
        plain = {side: own.map(_plain_look) for side, own in numbers.items()}
        others = pd.Series(numbers[Side.BILLING].array, index=plain[Side.BILLING].array, dtype="str")
        for books_id, look in plain[Side.BOOKS][plain[Side.BOOKS].isin(others.index)].items():
            self._find(
                LOOK_ALIKE,
                Severity.NOTE,
                Side.BOOKS,
                str(books_id),
                f"looks like {_several(others.loc[[look]].to_list())} in ReliaBills, but is another text; they are not "
                "taken for one invoice",
                "If they are one invoice, type the number in QuickBooks exactly as ReliaBills has it.",
            )

    def _take(self, side: Side, ids: Any) -> None:
        if len(ids):
            self.left[side] = self.left[side][~among(self.left[side], ids)]

    def _withhold(self, side: Side, ids: Any) -> None:
        self.withheld[side].extend(ids)
        self._take(side, ids)

    def _about(self, side: Side, record_id: str) -> Mapping[str, Any]:
        if side not in self.words:
            self.words[side] = described(self.entity, self.frames[side], self.references)
        about = self.words[side].loc[record_id]
        return {str(name): None if pd.isna(value) else value for name, value in about.items()}

    def _find(
        self,
        check: str,
        severity: Severity,
        side: Side,
        record_id: str,
        what: str,
        remedy: str,
        *,
        between: bool = False,
    ) -> None:
        about = self._about(side, record_id)
        label = about["label"] or record_id
        where = "" if between else f" in {side.product}"
        self.findings.append(
            Finding(
                check=check,
                severity=severity,
                entity=self.entity,
                side=side,
                record_id=record_id,
                label=label,
                amount=None if about["amount"] is None else int(about["amount"]),
                currency=about["currency"] or "",
                sentence=f"{self.entity.singular.capitalize()} {label}{where} {what}.",
                remedy=remedy,
                customer=about["customer"] or "",
            )
        )


def natural_keys(entity: Entity, frames: Mapping[Side, pd.DataFrame]) -> Sequence[Level]:
    """The natural keys of an entity, the surest first (:func:`match` says which).

    Args:
        entity: kind of record.
        frames: canonical frames per side.
    """
    texts: dict[tuple[Side, Any], pd.Series[str]] = {}

    def text(side: Side, column: Any) -> pd.Series[str]:
        if (side, column) not in texts:
            texts[side, column] = column(frames[side])
        return texts[side, column]

    def level(name: str, *columns: Any, **how: bool) -> Level:
        return Level(name, {side: _joined([text(side, column) for column in columns]) for side in frames}, **how)

    match entity:
        case Entity.CUSTOMER:
            name, mail = _folded("display_name"), (_folded("email"), _folded("family_name"))
            return (
                level("the display name", name, decides=False),
                level("the display name and e-mail", name, mail[0], decides=False),
                level("the display name", name, names=True),
                level("the e-mail and last name", *mail, weak=True),
            )
        case Entity.PRODUCT:
            sku, name = _text("sku"), _folded("name")
            return (
                level("the SKU", sku, decides=False),
                level("the SKU and name", sku, name, decides=False),
                level("the SKU", sku, names=True),
                level("the name", name, names=True),
            )
        case Entity.TAX_RATE:
            return (
                level("the name", _folded("name"), names=True),
                level("percent and agency", _text("percent"), _folded("agency"), weak=True),
            )
        case Entity.INVOICE:
            return (level("the invoice number", _text("number"), names=True),)
        case Entity.PAYMENT:
            payment = (
                _text("customer_id"),
                _text("amount"),
                _text("currency"),
                _settled_by_credit,
                _text("payment_date"),
            )
            words = "customer, amount and date"
            return (
                level(words, *payment, decides=False),
                level(f"{words} and reference", *payment, _text("reference"), decides=False),
                level(f"{words} and invoices paid", *payment, _invoices_paid, decides=False),
                level(words, *payment),
            )


def _text(column: str) -> Any:
    def text(frame: pd.DataFrame) -> pd.Series[str]:
        own = frame[column]
        return own if own.dtype == "str" else own.astype("str").where(own.notna())

    return text


def _folded(column: str) -> Any:
    return lambda frame: frame[column].map(_fold_text, na_action="ignore").astype("str")


def _settled_by_credit(frame: pd.DataFrame) -> pd.Series[str]:
    return frame["credit"].fillna(0).astype("str")


def _invoices_paid(frame: pd.DataFrame) -> pd.Series[str]:
    return frame["applications"].where(frame["applications"] != NO_ROWS)


def _joined(columns: Sequence[pd.Series[str]]) -> pd.Series[str]:
    first, *others = columns
    key = first
    for other in others:
        key = key + _BETWEEN + other
    return key


def _fold_text(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _plain_look(number: str) -> str:
    plain = unicodedata.normalize("NFKC", number).translate(_UNSEEN | _DASHES).casefold()
    return "".join(plain.split())


def _repeated(keys: pd.Series[str]) -> pd.Series[str]:
    known = keys.dropna()
    return known[known.duplicated()]


def _several(ids: Sequence[str] | pd.Index[str]) -> str:
    most = 5
    shown = ", ".join(sorted(ids, key=lambda text: (len(text), text))[:most])
    return f"{shown} and {len(ids) - most} more" if len(ids) > most else shown
