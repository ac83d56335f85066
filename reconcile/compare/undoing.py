"""Undoing a run: a compensating plan made from its journal, and what of it cannot be undone, and why.

A record that the run made is voided or made inactive where it was made; a record that it changed gets back what it held
before, field by field; both only where it still holds what the run left. Everything else is named with its reason. The
three groups hold every write of the run, each once.

Undoing is no change of the trade: what was undone is not carried to the other side. The fields in question stay open
in the base and are marked (:func:`~reconcile.model.changes.undone`), so that every later run holds them for a person.
Links stay: nothing was written for them, and by them the next run knows what was taken back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, cast

import pandas as pd

from reconcile.compare.canonical import References, canonical, exact, is_live
from reconcile.compare.circumstances import Circumstances
from reconcile.compare.effects import with_capped_effects
from reconcile.compare.enforcing import Enforced, enforce
from reconcile.compare.leaving import PassedGuards, finding_of, named
from reconcile.compare.policy import MONEY_FIELDS, written_fields
from reconcile.compare.protected import with_protection
from reconcile.compare.rules import CANNOT_UNDO, STALE, UNDONE, UNPLANNED
from reconcile.model.changes import Agreement, undone
from reconcile.model.entities import FIELDS, ROW_FIELDS, ROWS_COLUMN, Entity, Kind, Side, key_of, side_and_id
from reconcile.model.findings import Finding, Severity
from reconcile.model.guards import Guard, Permission
from reconcile.model.journal import Entry, EntryStatus
from reconcile.model.lookup import among
from reconcile.model.plan import Action, EffectKind, Operation, Plan, canonical_json
from reconcile.model.rows import NO_ROWS, rows_from_text, translated, with_rows_text
from reconcile.model.snapshot import Snapshots

ORDER = tuple(reversed(Entity))
"""The steps of an undo: payments first, because an invoice with payments is not voided; customers last."""

Record = tuple[Entity, Side, str]
"""A record that was written: its kind, the side, and its id there."""


class Group(StrEnum):
    """What becomes of one write of the run."""

    CANNOT = "cannot be undone"
    UNDONE = "is undone"
    NOTHING = "needs no undoing"


@dataclass(frozen=True, slots=True)
class Item:
    """One write of the run, and what becomes of it.

    Attributes:
        entry: its line of the journal.
        group: whether it is undone.
        reason: why, in a sentence; may quote hostile text.
        remedy: what a person can do; empty when nothing is to be done.
        operation: that undoes it; ``None`` unless it is undone. Several writes to one record have one.
    """

    entry: Entry
    group: Group
    reason: str
    remedy: str = ""
    operation: Operation | None = None


@dataclass(frozen=True, slots=True)
class Undoing:
    """How a run is undone.

    Attributes:
        plan: the operations, in :data:`ORDER`.
        items: every write of the run, in the order of the journal.
        findings: a hold for each record that the plan leaves different on both sides, a note for what cannot be undone,
            holds on what an enforced plan does not allow.
        enforced: what is left of the saved plan that was to be enforced; ``None`` without one.
        passed: guards that people let pass, each with the permission.
    """

    plan: Plan
    items: tuple[Item, ...]
    findings: tuple[Finding, ...]
    enforced: Enforced | None = None
    passed: tuple[tuple[Guard, Permission], ...] = ()

    def frame(self) -> pd.DataFrame:
        """One row per write: group, step, action, side, label, customer, amount, currency, reason, remedy.

        What cannot be undone comes first; amounts are minor units, texts may be hostile.
        """
        rows = [
            {
                "group": item.group.value,
                "step": item.entry.step.singular,
                "action": item.entry.action.value,
                "side": item.entry.side.product,
                "label": str(item.entry.operation["label"]),
                "customer": str(item.entry.operation["customer"]),
                "amount": item.entry.operation["amount"],
                "currency": str(item.entry.operation["currency"]),
                "reason": item.reason,
                "remedy": item.remedy,
            }
            for item in sorted(self.items, key=lambda item: list(Group).index(item.group))
        ]
        texts = ("group", "step", "action", "side", "label", "customer", "currency", "reason", "remedy")
        columns = ["group", "step", "action", "side", "label", "customer", "amount", "currency", "reason", "remedy"]
        return pd.DataFrame(rows, columns=columns).astype({"amount": "Int64"} | dict.fromkeys(texts, "str"))


def undo_run(
    company: str,
    run_id: str,
    entries: Sequence[Entry],
    books: Snapshots,
    billing: Snapshots,
    agreements: Mapping[Entity, Agreement],
    circumstances: Circumstances | None = None,
    *,
    enforced: Plan | None = None,
) -> Undoing:
    """The plan that undoes a run, and what of the run it leaves as it is.

    Args:
        company: company key.
        run_id: the run to be undone.
        entries: all of its journal, oldest first.
        books: all of QuickBooks as it is now.
        billing: all of ReliaBills as it is now.
        agreements: links and bases as they are now.
        circumstances: what is closed, deposited and mailed, caps, and what people let pass.
        enforced: a saved plan of an undo: exactly that is planned, or less.
    """
    sides = {Side.BOOKS: books, Side.BILLING: billing}
    given = circumstances or Circumstances()
    references = References()
    for entity in Entity:
        references = references.including(entity, agreements[entity].frame, books[entity], billing[entity])
    passed: PassedGuards = []

    def complete(some: Sequence[Operation]) -> tuple[list[Operation], list[Finding]]:
        kept, protected, opened = with_protection(company, some, sides, references, given, undoing=True)
        kept, over_cap, let_over = with_capped_effects(company, kept, sides, references, given)
        passed[:] = [*opened, *let_over]
        return kept, [*protected, *over_cap]

    refused: dict[Record, tuple[str, str]] = {}
    while True:  # what is left out here may keep others: an invoice whose payment stays is not voided
        items = _Undo(run_id, entries, sides, agreements, references, given, refused).items()
        operations = _each(items)
        kept, told = complete(operations)
        there = {operation.op_id for operation in kept}
        more = {_record(one): _said(one, told) for one in operations if one.op_id not in there}
        if not more:
            break
        refused |= more
    left: Enforced | None = None
    if enforced is not None:
        pairs = {entity: agreements[entity].frame for entity in Entity}
        left = enforce(enforced, kept, complete, sides, pairs, told)
        kept = list(left.operations)
    effects = {operation.op_id: operation for operation in kept}
    items = [
        replace(item, operation=effects.get(item.operation.op_id, item.operation)) if item.operation else item
        for item in items
    ]
    made_from = {f"{side}/{entity}": sides[side][entity].digest for side in Side for entity in Entity}
    made_from |= {f"base/{entity}": agreements[entity].digest for entity in Entity}
    findings = [*(_left_apart(operation, run_id) for operation in kept), *_named_as_staying(items)]
    anew = f"Make the undo anew (`reconcile undo {run_id}`), look at it and apply that one."
    findings += [replace(finding, remedy=anew) for finding in (left.findings() if left else ())]
    return Undoing(
        Plan(company, made_from, tuple(kept)),
        tuple(items),
        tuple(findings),
        left,
        tuple(passed),
    )


def not_carried_meanwhile(planned: Iterable[Operation], undoing: Undoing, run_id: str) -> tuple[Finding, ...]:
    """Holds on what an ordinary run would carry now: an undo carries nothing, so it explains their differences."""
    own = {(operation.step, operation.key) for operation in undoing.plan.operations}
    return tuple(
        finding_of(
            operation,
            UNPLANNED,
            Severity.HOLD,
            f"{named(operation)} waits: {operation.reason} Undoing run {run_id} carries nothing.",
            "Nothing: the next ordinary run carries it.",
        )
        for operation in planned
        if operation.action.writes and (operation.step, operation.key) not in own
    )


def still_planned(
    planned: Sequence[Operation], again: Undoing, run_id: str
) -> tuple[tuple[Operation, ...], tuple[Finding, ...]]:
    """What of one step may still be done, decided again right before it: its earlier steps have moved versions.

    Args:
        planned: the operations of the step, as planned.
        again: the undo as it would be planned now.
        run_id: the run to be undone.

    Returns:
        The operations that are the same but for versions, with those of now, and that cause no more mail or charge than
        was planned; a hold for each other one.
    """
    now = {_deed(operation): operation for operation in again.plan.operations}
    reasons = {_written(item.entry): item.reason for item in again.items if item.operation is None}
    kept, findings = [], []
    for operation in planned:
        fresh = now.get(_deed(operation))
        if fresh is not None and _effects(fresh) <= _effects(operation):
            kept.append(fresh)
            continue
        why = "it would cause another charge now" if fresh else reasons.get(_record(operation), "it has changed since")
        findings.append(
            finding_of(
                operation,
                STALE,
                Severity.HOLD,
                f"{named(operation)} was to be as it was before run {run_id}, but is left as it is: "
                f"{why[:1].lower()}{why[1:].rstrip('.')}.",
                f"Look at it, and make the undo anew (`reconcile undo {run_id}`) if it is still wanted.",
            )
        )
    return tuple(kept), tuple(findings)


def _deed(operation: Operation) -> tuple[Any, ...]:
    return operation.step, operation.side, operation.key, operation.action, canonical_json(dict(operation.payload))


def _effects(operation: Operation) -> frozenset[tuple[EffectKind, int]]:
    return frozenset((effect.kind, effect.amount) for effect in operation.effects)


def _written(entry: Entry) -> Record:
    return entry.step, entry.side, entry.target_id or ""


class _Undo:
    """One undo in the making: what earlier steps of it take back decides about later ones."""

    def __init__(
        self,
        run_id: str,
        entries: Sequence[Entry],
        sides: Mapping[Side, Snapshots],
        agreements: Mapping[Entity, Agreement],
        references: References,
        circumstances: Circumstances,
        refused: Mapping[Record, tuple[str, str]],
    ) -> None:
        self.run_id = run_id
        self.sides = sides
        self.references = references
        self.circumstances = circumstances
        self.refused = refused
        self.entries = entries
        self.written: dict[Record, list[Entry]] = defaultdict(list)
        for entry in entries:
            if entry.status is EntryStatus.DONE and entry.target_id is not None:
                self.written[entry.step, entry.side, entry.target_id].append(entry)
        self.pairs = {
            (entity, side): dict(zip(links[f"{side}_id"], links[f"{side.other}_id"], strict=True))
            for entity in Entity
            for side in Side
            for links in (agreements[entity].frame,)
        }
        self.open = {
            entity: dict(zip(links["books_id"], links["unsettled"].fillna(""), strict=True))
            for entity in Entity
            for links in (agreements[entity].frame,)
        }
        self.own = {of: self._records(*of, agreements=False) for of in self._kinds()}
        self.shared = {
            (entity, side): self._records(entity, side, agreements=True) for entity in Entity for side in Side
        }
        self.taken: set[Record] = set()
        self.undone: dict[tuple[Entity, str], frozenset[str]] = {}

    def _kinds(self) -> set[tuple[Entity, Side]]:
        return {(entity, side) for entity, side, _ in self.written}

    def _records(self, entity: Entity, side: Side, *, agreements: bool) -> dict[str, dict[str, Any]]:
        """The records written and their counterparts as they are now, exact; references as keys (of the side alone)."""
        wanted = {record_id for kind, where, record_id in self.written if (kind, where) == (entity, side)}
        if agreements:
            others = {i for kind, where, i in self.written if (kind, where) == (entity, side.other)}
            wanted |= {
                self.pairs[entity, side.other][other] for other in others if other in self.pairs[entity, side.other]
            }
        snapshot = self.sides[side][entity]
        ids = pd.Index(snapshot.frame["id"][among(snapshot.frame["id"], wanted)])
        frame = canonical(snapshot, self.references if agreements else References(), ids)
        return {str(record_id): exact(frame.loc[record_id]) for record_id in ids}

    def items(self) -> list[Item]:
        """What becomes of every write of the run, in the order of the journal."""
        found: dict[int, Item] = {}
        for entity in ORDER:
            for side in Side:  # within a step books is written first
                for record, entries in self.written.items():
                    if record[:2] == (entity, side):
                        found |= {item.entry.id: item for item in self._of_record(record, entries)}
        return [found.get(entry.id) or _not_done(entry) for entry in self.entries]

    def _of_record(self, record: Record, entries: Sequence[Entry]) -> Iterator[Item]:
        entity, side, record_id = record
        where = side.product
        present = self.own[entity, side].get(record_id)
        ended = next((one for one in entries if one.action in (Action.VOID, Action.DELETE)), None)
        made = next((one for one in entries if one.action is Action.CREATE), None)
        if present is None and self._is_gone(record):
            yield from _all(entries, Group.NOTHING, f"The {entity.singular} is no longer in {where}.")
        elif present is None:
            yield from _all(
                entries,
                Group.CANNOT,
                f"The {entity.singular} could not be read in {where}.",
                f"Look at it in {where}; the finding about it says what is wrong with it.",
            )
        elif ended is not None:
            yield from _all(
                entries,
                Group.CANNOT,
                f"A {ended.action.value} of {_article(entity)} cannot be taken back in {where}.",
                f"Enter the {entity.singular} again by hand, in {where} or in {side.other.product}.",
            )
        elif made is not None:
            yield from self._of_made(record, entries, present)
        else:
            yield from self._of_changed(record, entries, present)

    def _is_gone(self, record: Record) -> bool:
        entity, side, record_id = record
        return record_id not in self.sides[side][entity].unreadable

    # What the run made

    def _of_made(self, record: Record, entries: Sequence[Entry], present: Mapping[str, Any]) -> Iterator[Item]:
        entity, side, _ = record
        ending = "void" if entity in ROWS_COLUMN else "active"
        if bool(present.get(ending)) is (ending == "void"):
            word = "void" if ending == "void" else "inactive"
            yield from _all(entries, Group.NOTHING, f"The {entity.singular} is {word} in {side.product} already.")
            return
        why = self._why_not(record, present) or self._why_not_ended(record, entries, present)
        if why is not None:
            yield from _all(entries, Group.CANNOT, *why)
            return
        last = entries[-1]
        action = Action.VOID if ending == "void" else Action.DEACTIVATE
        operation = self._operation(
            record,
            last,
            action,
            before={ending: present[ending]},
            payload={ending: ending == "void"},
            agreed={},
            deed="It was made by",
        )
        self.taken.add(record)
        deed = "voided" if action is Action.VOID else "made inactive"
        yield from _all(entries, Group.UNDONE, f"It is {deed} in {side.product}.", "", operation)

    def _why_not_ended(
        self, record: Record, entries: Sequence[Entry], present: Mapping[str, Any]
    ) -> tuple[str, str] | None:
        """Why a record that the run made is not taken back; ``None`` when it is."""
        entity, side, _ = record
        where = side.product
        changed = self._changed_since(record, entries, present)
        if changed:
            return (
                f"It was changed in {where} since: {_titles(entity, changed)}.",
                f"Look at it in {where}; void it or make it inactive there by hand if it is not to be.",
            )
        if entity is Entity.INVOICE:
            if side is Side.BILLING and self._was_mailed(record, entries):
                return (
                    "ReliaBills has mailed it to its customer, and no void takes a mail back.",
                    "Tell the customer; then void it in ReliaBills by hand.",
                )
            paid = self._paid_otherwise(record, present)
            if paid:
                return (
                    f"{paid} is applied to it in {where} that this undo does not take back.",
                    f"Void, refund or move its payments in {where} first; then make the undo anew.",
                )
        user = "" if entity is Entity.PAYMENT else self._used_by(record)
        if user:
            return (
                f"{user} in {where} uses it, and this undo does not take that back.",
                f"Look at it in {where}; make it inactive there by hand once nothing needs it.",
            )
        return None

    def _was_mailed(self, record: Record, entries: Sequence[Entry]) -> bool:
        mailed = any(effect["kind"] == EffectKind.MAIL for one in entries for effect in one.operation["effects"])
        other = self.pairs[Entity.INVOICE, Side.BILLING].get(record[2])
        return mailed or other in self.circumstances.mailed.books_ids

    def _paid_otherwise(self, record: Record, present: Mapping[str, Any]) -> str:
        """What is applied to an invoice beyond the payments that this undo takes back; empty when nothing is."""
        _, side, record_id = record
        payments = self.sides[side][Entity.PAYMENT]
        rows = payments.rows[(payments.rows["invoice_id"] == record_id).to_numpy(dtype=bool)]
        live = payments.frame["id"][is_live(payments.frame).to_numpy()]
        rows = rows[among(rows["parent_id"], live)]
        own = {record_id for entity, where, record_id in self.taken if (entity, where) == (Entity.PAYMENT, side)}
        mine = among(rows["parent_id"], own)
        if (~mine).any():
            number = int((~mine).sum())
            return "A payment" if number == 1 else f"Money of {number} payments"
        paid = int(present.get("total") or 0) - int(present.get("balance") or 0)
        closed = present.get("state") == "closed"
        return "A credit" if not closed and paid > int(rows["amount"].fillna(0).sum()) else ""

    def _used_by(self, record: Record) -> str:
        """A live record that refers to this one and that this undo does not take back; empty when there is none."""
        entity, side, record_id = record
        for user in (Entity.INVOICE, Entity.PAYMENT, Entity.CUSTOMER):
            snapshot = self.sides[side][user]
            ids: set[str] = set()
            for of in FIELDS[user]:
                if of.kind is Kind.REF and of.to is entity:
                    ids |= set(snapshot.frame["id"][(snapshot.frame[of.name] == record_id).to_numpy(dtype=bool)])
            for of in ROW_FIELDS.get(user, ()):
                if of.kind is Kind.REF and of.to is entity:
                    ids |= set(snapshot.rows["parent_id"][(snapshot.rows[of.name] == record_id).to_numpy(dtype=bool)])
            live = set(snapshot.frame["id"][is_live(snapshot.frame).to_numpy()])
            left = sorted(one for one in ids & live if (user, side, one) not in self.taken)
            if left:
                return f"{_article(user).capitalize()}" if len(left) == 1 else f"Each of {len(left)} {user.plural}"
        return ""

    # What the run changed

    def _of_changed(self, record: Record, entries: Sequence[Entry], present: Mapping[str, Any]) -> Iterator[Item]:
        entity, side, record_id = record
        where = side.product
        before, after = self._before_and_after(record, entries)
        back = {name: self._in_side(entity, side, {name: before[name]})[name] for name in before}
        names = [name for name in before if not _same(present.get(name), back[name])]
        if not names:
            yield from _all(entries, Group.NOTHING, f"It holds in {where} what it held before the run.")
            return
        why = self._why_not(record, present)
        if why is not None:
            yield from _all(entries, Group.CANNOT, *why)
            return
        moved = [name for name in names if not _same(present.get(name), after[name])]
        money = MONEY_FIELDS.get(entity, frozenset())
        if money.intersection(moved):
            moved = [name for name in names if name in money or name in moved]
        going = [name for name in names if name not in moved]
        if not going:
            yield from _all(
                entries,
                Group.CANNOT,
                f"It was changed in {where} since: {_titles(entity, moved)}.",
                f"Look at it in {where} and change it by hand if need be.",
            )
            return
        if self._may_charge_more(record, before, going):
            yield from _all(
                entries,
                Group.CANNOT,
                "Its customer is on auto pay, and with its old figures ReliaBills may charge more than now.",
                "Change the invoice in ReliaBills by hand, or take the customer off auto pay and make the undo anew.",
            )
            return
        operation = self._operation(
            record,
            entries[-1],
            Action.UPDATE,
            before={name: self.shared[entity, side][record_id].get(name) for name in going},
            payload={name: before[name] for name in going},
            agreed=self._alike(record, going),
            deed="It was changed by",
        )
        stays = f" What was changed since stays: {_titles(entity, moved)}." if moved else ""
        yield from _all(
            entries, Group.UNDONE, f"In {where} it gets back its {_titles(entity, going)}.{stays}", "", operation
        )

    def _before_and_after(self, record: Record, entries: Sequence[Entry]) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the fields held before the first write and after the last; the latter as the side's own keys."""
        entity, side, _ = record
        before: dict[str, Any] = {}
        after: dict[str, Any] = {}
        for entry in entries:
            for name, value in entry.operation["before"].items():
                before.setdefault(name, value)
            after |= _keyed(entity, side, entry.fields)
        return self._renewed(entity, before), after

    def _may_charge_more(self, record: Record, before: Mapping[str, Any], names: Sequence[str]) -> bool:
        entity, side, record_id = record
        figures = MONEY_FIELDS[Entity.INVOICE].intersection(names)
        if entity is not Entity.INVOICE or side is not Side.BILLING or not figures:
            return False
        present = self.own[entity, side][record_id]
        customers = self.sides[side][Entity.CUSTOMER].frame
        customer = customers[(f"{side}:" + customers["id"] == present["customer_id"]).to_numpy(dtype=bool)]
        if not customer["auto_pay"].fillna(value=False).astype(bool).any():
            return False
        sums = [
            sum(row["amount"] or 0 for row in rows_from_text(entity, values.get("lines") or NO_ROWS))
            for values in ({**present, **before}, present)
        ]
        return figures != {"lines"} or sums[0] > sums[1]

    def _alike(self, record: Record, going: Sequence[str]) -> dict[str, Any]:
        """What both sides hold alike and go on holding."""
        entity, side, record_id = record
        here = self.shared[entity, side][record_id]
        there = self.shared[entity, side.other].get(self.pairs[entity, side][record_id])
        key = self._key(record)
        still_open = {*self.open[entity][self._ids(record)[Side.BOOKS]].split(","), *self.undone.get(key, ())}
        if there is None:
            return {}
        return {
            of.name: here[of.name]
            for of in written_fields(entity)
            if of.name not in going and of.name not in still_open and _same(here[of.name], there[of.name])
        }

    # What both have in common

    def _why_not(self, record: Record, present: Mapping[str, Any]) -> tuple[str, str] | None:
        """Why nobody may touch the record; ``None`` when one may."""
        entity, side, record_id = record
        where = side.product
        if record in self.refused:
            return self.refused[record]
        if record_id not in self.pairs[entity, side]:
            return (
                "The link to its counterpart was ended since, so nothing is known about it any more.",
                f"Look at it in {where} and void it, make it inactive or change it there by hand.",
            )
        if side is Side.BOOKS:
            return self._why_not_in_books(record, present)
        if entity is Entity.PAYMENT and present.get("processed"):
            return (
                "ReliaBills has taken the money from a card or account; no undo gives it back.",
                "Refund it in ReliaBills.",
            )
        return None

    def _why_not_in_books(self, record: Record, present: Mapping[str, Any]) -> tuple[str, str] | None:
        entity, _, record_id = record
        if entity is Entity.TAX_RATE:
            return (
                "QuickBooks lets nobody change or remove a tax rate through its interface.",
                "Make the tax rate inactive in QuickBooks by hand, if nothing uses it.",
            )
        date = str(present.get({Entity.INVOICE: "invoice_date", Entity.PAYMENT: "payment_date"}.get(entity, "")) or "")
        closed = self.circumstances.closed_until
        if closed and date and date <= closed:
            return (
                f"It is dated {date}, and the books are closed until {closed}.",
                "Open the period in QuickBooks (closing date in the company's settings), then make the undo anew.",
            )
        if entity is Entity.PAYMENT and (present.get("deposited") or record_id in self.circumstances.deposited):
            return (
                "It is part of a deposit in QuickBooks, which lets nobody change it there.",
                "Take the payment off its deposit in QuickBooks, then make the undo anew.",
            )
        return None

    def _changed_since(self, record: Record, entries: Sequence[Entry], present: Mapping[str, Any]) -> list[str]:
        """Compared fields that do not hold what the run left; none when the version is the one it left."""
        entity, side, record_id = record
        frame = self.sides[side][entity].frame
        version = frame["version"][(frame["id"] == record_id).to_numpy(dtype=bool)].iloc[0]
        if entries[-1].version_after is not None and version == entries[-1].version_after:
            return []
        left: dict[str, Any] = {}
        for entry in entries:
            left |= _keyed(entity, side, entry.fields)
        compared = [of.name for of in written_fields(entity)]
        return [name for name in compared if name in left and not _same(present.get(name), left[name])]

    def _operation(
        self,
        record: Record,
        entry: Entry,
        action: Action,
        *,
        before: Mapping[str, Any],
        payload: Mapping[str, Any],
        agreed: Mapping[str, Any],
        deed: str,
    ) -> Operation:
        entity, side, record_id = record
        ids, key = self._ids(record), self._key(record)
        frame = self.sides[side][entity].frame
        version = frame["version"][(frame["id"] == record_id).to_numpy(dtype=bool)].iloc[0]
        known = frozenset(filter(None, self.open[entity][ids[Side.BOOKS]].split(",")))
        unsettled = known | undone(payload) | self.undone.get(key, frozenset())
        self.undone[key] = unsettled
        told = entry.operation
        return Operation(
            step=entity,
            action=action,
            side=side,
            key=key[1],
            books_id=ids[Side.BOOKS],
            billing_id=ids[Side.BILLING],
            label=told["label"],
            customer=told["customer"],
            before=dict(before),
            payload=dict(payload),
            agreed=dict(agreed),
            unsettled=tuple(sorted(unsettled)),
            expected_version=str(version),
            depends_on=(),
            reason=f"{deed} run {self.run_id}, which is undone.",
            amount=told["amount"],
            currency=told["currency"],
        )

    def _ids(self, record: Record) -> dict[Side, str]:
        entity, side, record_id = record
        return {side: record_id, side.other: self.pairs[entity, side][record_id]}

    def _key(self, record: Record) -> tuple[Entity, str]:
        return record[0], key_of(Side.BOOKS, self._ids(record)[Side.BOOKS])

    def _renewed(self, entity: Entity, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values of a plan with their references in today's form."""
        renewed = dict(values)
        for of in FIELDS[entity]:
            if renewed.get(of.name) is None:
                continue
            one = pd.Series([renewed[of.name]], dtype="str") if of.kind in (Kind.REF, Kind.ROWS) else None
            if one is not None and of.kind is Kind.REF:
                renewed[of.name] = str(self.references.current(cast("Entity", of.to), one).iloc[0])
            elif one is not None:
                renewed[of.name] = str(self.references.current_rows(entity, one).iloc[0])
        return renewed

    def _in_side(self, entity: Entity, side: Side, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values of a plan with the keys that the side alone would give: what :attr:`own` is compared with."""

        def there(to: Entity, key: str) -> str:
            found = self.references.ids(side, to, pd.Series([key], dtype="str")).iloc[0]
            return key if pd.isna(found) else key_of(side, str(found))

        return with_rows_text(entity, translated(entity, values, there))


def _keyed(entity: Entity, side: Side, fields: Mapping[str, Any]) -> dict[str, Any]:
    """What was sent to a side (references as its ids, child rows as lists) with keys and canonical texts."""
    return with_rows_text(entity, translated(entity, fields, lambda _, record_id: key_of(side, record_id)))


def _same(one: Any, other: Any) -> bool:
    nothing = (None, "", NO_ROWS)
    return bool(one == other) or (one in nothing and other in nothing)


def _all(
    entries: Sequence[Entry], group: Group, reason: str, remedy: str = "", operation: Operation | None = None
) -> Iterator[Item]:
    return (Item(entry, group, reason, remedy, operation) for entry in entries)


def _not_done(entry: Entry) -> Item:
    """A write of the run that is not known to have happened."""
    if entry.status.open:
        return Item(
            entry,
            Group.CANNOT,
            f"Nobody knows yet whether it arrived in {entry.side.product}.",
            "Start a run of the company: it finds out first. Then make the undo anew.",
        )
    if entry.status is EntryStatus.DONE:
        return Item(
            entry,
            Group.CANNOT,
            f"The journal does not say which record it is in {entry.side.product}.",
            f"Look for it in {entry.side.product}.",
        )
    return Item(entry, Group.NOTHING, f"It was never carried out ({entry.status.value}).")


def _each(items: Iterable[Item]) -> list[Operation]:
    """The operations of the items, each once, in the order of the steps; books before billing, as they are written."""
    found = {item.operation.op_id: item.operation for item in items if item.operation is not None}
    sides = list(Side)
    return sorted(found.values(), key=lambda one: (ORDER.index(one.step), sides.index(cast("Side", one.side)), one.key))


def _record(operation: Operation) -> Record:
    side = cast("Side", operation.side)
    record_id = operation.books_id if side is Side.BOOKS else operation.billing_id
    return operation.step, side, cast("str", record_id)


def _said(operation: Operation, told: Iterable[Finding]) -> tuple[str, str]:
    own = [one for one in told if one.entity is operation.step and one.record_id == side_and_id(operation.key)[1]]
    return (own[0].sentence, own[0].remedy) if own else ("It may not be written now.", "Look at the plan's findings.")


def _left_apart(operation: Operation, run_id: str) -> Finding:
    side = cast("Side", operation.side)
    deed = {Action.VOID: "void", Action.DEACTIVATE: "inactive"}.get(operation.action, "as it was before")
    return finding_of(
        operation,
        UNDONE,
        Severity.HOLD,
        f"{named(operation)} is {deed} in {side.product}, because run {run_id} is undone; {side.other.product} keeps "
        "what it has, so the two differ.",
        "Nothing is carried either way until a person decides; the next run shows it among what waits, with the "
        "commands for it.",
    )


def _named_as_staying(items: Iterable[Item]) -> Iterator[Finding]:
    for item in items:
        if item.group is not Group.CANNOT:
            continue
        told, side = item.entry.operation, item.entry.side
        label = str(told["label"]) or (item.entry.target_id or item.entry.key)
        yield Finding(
            check=CANNOT_UNDO,
            severity=Severity.NOTE,
            entity=item.entry.step,
            side=side,
            record_id=item.entry.target_id or item.entry.key,
            label=label,
            amount=told["amount"],
            currency=str(told["currency"]),
            sentence=f"The {item.entry.action} of {item.entry.step.singular} {label} in {side.product} is not undone: "
            f"{item.reason[:1].lower()}{item.reason[1:]}",
            remedy=item.remedy,
            customer=str(told["customer"]),
        )


def _titles(entity: Entity, names: Iterable[str]) -> str:
    titles = {of.name: of.title for of in FIELDS[entity]}
    return ", ".join(titles[name] for name in names)


def _article(entity: Entity) -> str:
    return f"an {entity.singular}" if entity is Entity.INVOICE else f"a {entity.singular}"
