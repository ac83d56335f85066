"""The plan: the operations that follow from a comparison, and what has to wait for what.

A record waits when a rule does not hold for it (a finding of severity hold or stop) or when its place on the other side
is in question; what refers to such a record waits with it, and says so. A field that is merely disputed keeps only that
field waiting: a customer with two telephone numbers is still a customer who can pay. It keeps others waiting where it
decides what they mean, as the lines of an invoice do for its payments.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import pandas as pd
import pyarrow as pa

from reconcile.compare.canonical import References, canonical, is_live, references_of
from reconcile.compare.cells import KEPT_WHEN_VOID
from reconcile.compare.circumstances import Circumstances
from reconcile.compare.doubles import without_doubles
from reconcile.compare.effects import MAIL_WITHIN, with_capped_effects
from reconcile.compare.endings import with_waiting_endings
from reconcile.compare.enforcing import Enforced, enforce
from reconcile.compare.inactive import with_active_references, without_changes_to_inactive
from reconcile.compare.leaving import PassedGuards
from reconcile.compare.naming import with_free_names
from reconcile.compare.overpaying import with_held_overpayments
from reconcile.compare.policy import MONEY_FIELDS, result_fields, written_fields
from reconcile.compare.protected import with_protection
from reconcile.compare.resolving import without_links
from reconcile.compare.rules import DEPENDS, DISPUTES, GONE_FROM, NOT_CARRIED, TO
from reconcile.compare.simulation import agreements_after, simulate
from reconcile.model.changes import Agreement, Comparison, Decision, Verdict, without_settled
from reconcile.model.entities import FIELDS, ROW_FIELDS, ROWS_COLUMN, Entity, Side, key_of, side_and_id
from reconcile.model.findings import Finding, Severity
from reconcile.model.guards import Guard, Permission
from reconcile.model.lookup import among, arrow, looked_up
from reconcile.model.plan import Action, Operation, Plan
from reconcile.model.snapshot import Snapshots

__all__ = ["MAIL_WITHIN", "Planned", "agreements_after", "make_plan", "simulate"]

_PLACES = {
    Action.FORGET: 0,
    Action.LINK: 1,
    Action.AGREE: 2,
    Action.VOID: 3,
    Action.DELETE: 3,
    Action.DEACTIVATE: 4,
    Action.UPDATE: 4,
    Action.CREATE: 5,
}
_NEW = {str(Verdict.NEW_IN_BOOKS): Side.BOOKS, str(Verdict.NEW_IN_BILLING): Side.BILLING}
_DECIDING = {
    Entity.CUSTOMER: frozenset({"active"}),
    Entity.PRODUCT: frozenset({"active"}),
    Entity.TAX_RATE: frozenset({"percent", "active"}),
    Entity.INVOICE: MONEY_FIELDS[Entity.INVOICE] | {of.name for of in result_fields(Entity.INVOICE)},
    Entity.PAYMENT: frozenset[str](),
}
"""Fields that, while disputed, keep the records waiting that refer to theirs."""


Node = tuple[Entity, str]
"""A record: its kind and its key."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What a push will do, and what waits.

    Attributes:
        plan: all operations, in push order.
        findings: notes on records that wait for another one or are not carried at all, holds on what a saved plan does
            not allow, and :attr:`left_out`.
        enforced: what is left of the saved plan that was to be enforced; ``None`` without one.
        left_out: what was decided and yet is not written now: names that are taken, protected documents, payments that
            would pay more than is open, outside effects over their cap, and what waits for one of these.
        passed: guards that people let pass, each with the permission.
        waits: what waits for what: the record, and the one it refers to.
    """

    plan: Plan
    findings: tuple[Finding, ...]
    enforced: Enforced | None = None
    left_out: tuple[Finding, ...] = ()
    passed: tuple[tuple[Guard, Permission], ...] = ()
    waits: tuple[tuple[Node, Node], ...] = ()


def make_plan(
    company: str,
    comparisons: Mapping[Entity, Comparison],
    books: Snapshots,
    billing: Snapshots,
    agreements: Mapping[Entity, Agreement],
    findings: Iterable[Finding],
    circumstances: Circumstances | None = None,
    *,
    enforced: Plan | None = None,
) -> Planned:
    """All that a push will do, and nothing else.

    Args:
        company: company key.
        comparisons: of all five entities, as :func:`~reconcile.compare.diff.compare` gave them.
        books: what was read from QuickBooks.
        billing: what was read from ReliaBills.
        agreements: what both were last seen to hold.
        findings: of the checks, the sides and the comparison; what is held or stopped waits with all that refers to it.
        circumstances: what it depends on beyond the records; invoices older than :data:`MAIL_WITHIN` are never mailed.
        enforced: a saved plan: exactly that is planned, or less (:mod:`reconcile.compare.enforcing`).

    Returns:
        The plan and what it leaves out.
    """
    given = circumstances or Circumstances()
    findings = [*findings]
    planner = _Planner(comparisons, {Side.BOOKS: books, Side.BILLING: billing}, agreements, findings)
    operations = [operation for entity in Entity for operation in planner.step(entity)]
    left_out: list[Finding] = []
    passed: PassedGuards = []

    def complete(some: Sequence[Operation]) -> tuple[list[Operation], list[Finding]]:
        some = [replace(operation, effects=()) if operation.effects else operation for operation in some]
        kept, unnamed = with_free_names(some, given.taken_names, given.names_in_the_way)
        kept, twice = without_doubles(kept, given.doubles)
        kept, ended = without_changes_to_inactive(kept, planner.sides[Side.BOOKS], given.ended_for_good)
        kept, unusable = with_active_references(kept, planner.sides, planner.references)
        kept, waiting = with_waiting_endings(kept, planner.sides)
        kept, protected, opened = with_protection(company, kept, planner.sides, planner.references, given)
        kept, overpaying = with_held_overpayments(kept, planner.sides, planner.references)
        kept, over_cap, let_over = with_capped_effects(company, kept, planner.sides, planner.references, given)
        needing: list[Finding] = []
        if over_cap:  # a customer who stays inactive over the cap takes nothing new
            kept, needing = with_active_references(kept, planner.sides, planner.references)
        left_out[:] = [*unnamed, *twice, *ended, *unusable, *protected, *overpaying, *over_cap, *needing]
        passed[:] = [*opened, *let_over]
        return kept, [*waiting, *left_out]

    operations, told = complete(operations)
    told = [*planner.notes, *told]
    left: Enforced | None = None
    if enforced is not None:
        pairs = {entity: comparisons[entity].pairs for entity in Entity}
        left = enforce(enforced, operations, complete, planner.sides, pairs, (*findings, *told))
        operations, told = list(left.operations), [*told, *left.findings()]
    made_from = {f"{side}/{entity}": planner.sides[side][entity].digest for side in Side for entity in Entity}
    made_from |= {f"base/{entity}": agreements[entity].digest for entity in Entity}
    return Planned(
        Plan(company, made_from, tuple(operations)),
        tuple(told),
        left,
        tuple(left_out),
        tuple(passed),
        tuple(planner.waits),
    )


@dataclass(frozen=True, slots=True)
class _Held:
    """Why records that refer to this one must wait: its words, and what is the matter with it."""

    label: str
    why: str


class _Planner:
    """One plan in progress, step by step: what earlier steps hold or create decides about later ones."""

    def __init__(
        self,
        comparisons: Mapping[Entity, Comparison],
        sides: Mapping[Side, Snapshots],
        agreements: Mapping[Entity, Agreement],
        findings: Sequence[Finding],
    ) -> None:
        self.comparisons = comparisons
        self.sides = sides
        self.agreements = {
            entity: without_links(agreement, comparisons[entity].ended) for entity, agreement in agreements.items()
        }
        self.references = References()
        for entity in Entity:
            pairs = comparisons[entity].pairs
            self.references = self.references.including(entity, pairs, *(sides[side][entity] for side in Side))
        self.held = self._held_by_findings(findings)
        self.there: dict[tuple[Side, Entity], pa.Array] = {}
        self.notes: list[Finding] = []
        self.waits: list[tuple[Node, Node]] = []

    # What waits

    def _held_by_findings(self, findings: Iterable[Finding]) -> dict[Entity, dict[str, _Held]]:
        """Records for which a rule does not hold, by key; a finding about a whole side holds all of its records."""
        held: dict[Entity, dict[str, _Held]] = {entity: {} for entity in Entity}
        grouped: dict[tuple[Entity, Side], dict[str, _Held]] = defaultdict(dict)
        for finding in findings:
            if finding.severity is Severity.NOTE or finding.check in DISPUTES:
                continue
            for side, record_id in self._records_of(finding):
                grouped[finding.entity, side][record_id] = _Held(finding.label or record_id, finding.sentence)
        for (entity, side), records in grouped.items():
            ids = pd.Series(list(records), dtype="str")
            held[entity] |= dict(zip(self.references.keys(side, entity, ids), records.values(), strict=True))
        return held

    def _records_of(self, finding: Finding) -> Iterator[tuple[Side, str]]:
        if not finding.record_id:
            for side in (finding.side,) if finding.side else Side:
                yield from ((side, record_id) for record_id in self.sides[side][finding.entity].frame["id"])
        elif finding.side:
            yield finding.side, finding.record_id
        else:
            in_books = pd.Index(self.comparisons[finding.entity].pairs["books_id"])
            in_books = in_books.union(pd.Index(self.sides[Side.BOOKS][finding.entity].frame["id"]), sort=False)
            yield (Side.BOOKS if finding.record_id in in_books else Side.BILLING), finding.record_id

    def _hold_disputed(self, entity: Entity) -> None:
        """Records whose own place, or whose deciding fields, are in question."""
        changes, differences = self.comparisons[entity].changes, self.comparisons[entity].differences
        disputed = differences[differences["decision"] == Decision.HELD]
        deciding = disputed["key"][disputed["field"].isin(_DECIDING[entity])]
        held = changes[changes["held"].astype(bool)]
        whole = held[~among(held["key"], disputed["key"]) | among(held["key"], deciding)]
        for key, label, reason in zip(whole["key"], whole["label"].fillna(""), whole["reason"], strict=True):
            self.held[entity].setdefault(key, _Held(label or key, reason))

    # The step

    def step(self, entity: Entity) -> list[Operation]:
        """The operations of one push step, in the order in which they are done."""
        own = frozenset(self.held[entity])
        changes, ended = self.comparisons[entity].changes, list(self._unlinked(entity))
        if len(changes):
            self._hold_disputed(entity)
            changes = changes[~among(changes["key"], own)]
        if len(changes):
            changes = self._without_dependants(entity, self._without_dead(entity, changes))
        if changes.empty:
            self._say_what_is_there(entity, changes)
            return ended
        new = changes[changes["verdict"].isin(_NEW) & ~changes["held"].astype(bool)]
        self._say_what_is_there(entity, new)
        operations = [
            *ended,
            *self._forgotten(entity, changes),
            *self._deleted(entity, changes),
            *self._moved(entity, changes),
            *self._created(entity, new),
        ]
        return sorted(operations, key=_place)

    def _without_dead(self, entity: Entity, changes: pd.DataFrame) -> pd.DataFrame:
        """Without void and inactive records of one side that nothing in use refers to: they are not carried."""
        carried = pd.Series(True, index=changes.index)
        for verdict, side in _NEW.items():
            new = changes[(changes["verdict"] == verdict) & ~changes["held"].astype(bool)]
            if new.empty:
                continue
            frame = self.sides[side][entity].frame
            live = pd.Series(is_live(frame).array.astype("boolean"))
            dead = new[~looked_up(new[f"{side}_id"], frame["id"], live).fillna(value=True).to_numpy(dtype=bool)]
            if dead.empty:
                continue
            dead = dead[~among(dead[f"{side}_id"], self._in_use(entity, side))]
            carried[dead.index] = False
            word = "void" if "void" in frame else "inactive"
            for row in _rows(dead):
                self._note(
                    NOT_CARRIED,
                    entity,
                    row,
                    f"is {word} in {side.product} and was never in {side.other.product}, so it is not created there",
                    "Nothing.",
                )
        return changes[carried]

    def _in_use(self, entity: Entity, side: Side) -> pd.Index[str]:
        """Ids of records that live invoices and payments of their side refer to; void documents are never needed."""
        if entity in (Entity.INVOICE, Entity.PAYMENT):
            return pd.Index([], dtype="str")
        used = []
        for document in (Entity.INVOICE, Entity.PAYMENT):
            snapshot = self.sides[side][document]
            live = snapshot.frame[is_live(snapshot.frame).to_numpy()]
            rows = snapshot.rows[among(snapshot.rows["parent_id"], live["id"])]
            used += [live[of.name] for of in references_of(FIELDS[document]) if of.to is entity]
            used += [rows[of.name] for of in references_of(ROW_FIELDS[document]) if of.to is entity]
        return cast("pd.Index[str]", pd.Index(pd.concat(used).dropna().unique(), dtype="str"))

    def _without_dependants(self, entity: Entity, changes: pd.DataFrame) -> pd.DataFrame:
        """Without records that refer to one that waits, or to one that is not on the side to be written."""
        causes: dict[str, str] = {}
        edges: list[tuple[str, Node]] = []
        for side in Side:
            writes = changes["verdict"].isin([verdict for verdict, new in _NEW.items() if new is side])
            pairs = changes["books_id"].notna() & changes["billing_id"].notna()
            if not (writes | pairs).any():
                continue
            about = self._referred(entity, side, changes[writes | pairs])
            for to, used in about.groupby("to"):
                referred = Entity(str(to))
                held = used[among(used["reference"], self.held[referred])]
                for key, reference in zip(held["key"], held["reference"], strict=True):
                    other = self.held[referred][reference]
                    edges.append((key, (referred, reference)))
                    causes.setdefault(key, f"{referred.singular} {other.label}, which is held: {other.why}")
                absent = used[~among(used["reference"], self.there[side.other, referred])]
                for key, reference in zip(absent["key"], absent["reference"], strict=True):
                    name = self.references.label_of(referred, reference)
                    edges.append((key, (referred, reference)))
                    causes.setdefault(key, f"{referred.singular} {name}, which is not in {side.other.product}")
        waiting = changes[among(changes["key"], causes) & ~changes["held"].astype(bool)]
        self.waits += [((entity, key), cause) for key, cause in edges if key in set(waiting["key"])]
        for row in _rows(waiting):
            cause = causes[row["key"]]
            self.held[entity].setdefault(row["key"], _Held(row["label"] or row["key"], f"it waits for {cause}"))
            self._note(
                DEPENDS, entity, row, f"waits for {cause.rstrip('.')}", "Nothing here: it follows once that is settled."
            )
        return changes[~among(changes["key"], causes)]

    def _referred(self, entity: Entity, side: Side, changes: pd.DataFrame) -> pd.DataFrame:
        """What these records of a side refer to: ``key``, ``to`` (an entity), ``reference`` (a key)."""
        snapshot = self.sides[side][entity]
        keys = pd.Series(changes["key"].array, index=pd.Index(changes[f"{side}_id"]))
        keys = keys[keys.index.notna()]
        frame = snapshot.frame[among(snapshot.frame["id"], keys.index)]
        rows = snapshot.rows[among(snapshot.rows["parent_id"], keys.index)] if entity in ROW_FIELDS else snapshot.rows
        sources = [(frame["id"], frame[of.name], of) for of in references_of(FIELDS[entity]) if of.only_on is None]
        if entity in ROW_FIELDS:
            sources += [(rows["parent_id"], rows[of.name], of) for of in references_of(ROW_FIELDS[entity])]
        parts = [
            pd.DataFrame(
                {
                    "key": looked_up(ids, keys.index, keys).array,
                    "to": str(of.to),
                    "reference": self.references.keys(side, cast("Entity", of.to), values).array,
                }
            ).dropna()
            for ids, values, of in sources
            if len(ids)
        ]
        if not parts:
            return pd.DataFrame({name: pd.Series(dtype="str") for name in ("key", "to", "reference")})
        return pd.concat(parts, ignore_index=True).drop_duplicates()

    def _say_what_is_there(self, entity: Entity, new: pd.DataFrame) -> None:
        """Keys that a later step may refer to on each side: what is there, and what this step creates."""
        pairs = self.comparisons[entity].pairs
        paired = self.references.keys(Side.BOOKS, entity, pairs["books_id"])
        for side in Side:
            own = self.references.keys(side, entity, self.sides[side][entity].frame["id"])
            self.there[side, entity] = pa.concat_arrays([arrow(paired), arrow(own), arrow(new["key"])])

    # The operations

    def _forgotten(self, entity: Entity, changes: pd.DataFrame) -> Iterator[Operation]:
        for row in _rows(changes[changes["verdict"] == Verdict.GONE_FROM_BOTH]):
            yield _operation(entity, Action.FORGET, None, row, reason=f"{_sentence(row['reason'])}.")

    def _deleted(self, entity: Entity, changes: pd.DataFrame) -> Iterator[Operation]:
        """The ends of what was deleted on the other side, where the company's policy or a person's decision says so."""
        ending, live = ("void", False) if entity in ROWS_COLUMN else ("active", True)
        for side in Side:
            gone = changes[(changes["verdict"] == GONE_FROM[side]) & ~changes["held"].astype(bool)]
            gone = gone[~among(gone[f"{side}_id"], self.sides[side][entity].frame["id"])]
            if gone.empty:
                continue
            versions = self._versions(entity, side.other)
            for row in _rows(gone):
                operation = _operation(
                    entity,
                    Action.VOID if ending == "void" else Action.DEACTIVATE,
                    side.other,
                    row,
                    before={ending: live},
                    payload={ending: not live},
                    agreed={ending: not live},
                    reason=f"{_sentence(row['reason'])}.",
                )
                yield replace(operation, expected_version=versions.get(row[f"{side.other}_id"]))

    def _unlinked(self, entity: Entity) -> Iterator[Operation]:
        """The ends of links that people have decided on, whatever else waits."""
        for link in self.comparisons[entity].ended:
            row = {
                "key": key_of(Side.BOOKS, link.books_id),
                "books_id": link.books_id,
                "billing_id": link.billing_id,
                "label": link.label,
                "customer": None,
                "amount": None,
                "currency": None,
            }
            yield _operation(entity, Action.FORGET, None, row, reason=link.reason)

    def _created(self, entity: Entity, new: pd.DataFrame) -> Iterator[Operation]:
        for verdict, side in _NEW.items():
            rows = new[new["verdict"] == verdict]
            if rows.empty:
                continue
            fields = [of for of in FIELDS[entity] if side.other in of.writable]
            compared = [of.name for of in written_fields(entity)]
            needs = self._needs(entity, side, rows)
            records = self._exact(entity, side, pd.Index(rows[f"{side}_id"]))
            for row, record in zip(_rows(rows), records, strict=True):
                payload = {of.name: record[of.name] for of in fields}
                yield _operation(
                    entity,
                    Action.CREATE,
                    side.other,
                    row,
                    payload=payload,
                    agreed={name: payload[name] for name in compared},
                    depends_on=tuple(needs.get(row["key"], ())),
                    reason=f"New in {side.product}: create it in {side.other.product}.",
                )

    def _moved(self, entity: Entity, changes: pd.DataFrame) -> Iterator[Operation]:
        """Links, moves of the base and updates of pairs that both sides hold."""
        comparison = self.comparisons[entity]
        read = {side: pd.Index(self.sides[side][entity].frame["id"]) for side in Side}
        pairs = changes[among(changes["books_id"], read[Side.BOOKS]) & among(changes["billing_id"], read[Side.BILLING])]
        pairs = pairs[pairs["verdict"] != Verdict.GONE_FROM_BOTH]
        if pairs.empty:
            return
        differences = comparison.differences[among(comparison.differences["key"], pairs["key"])]
        decided: dict[str, dict[str, str]] = defaultdict(dict)
        reasons: dict[str, dict[str, str]] = defaultdict(dict)
        columns = (differences[name] for name in ("key", "field", "decision", "reason"))
        for key, name, decision, reason in zip(*columns, strict=True):
            decided[key][name], reasons[key][name] = decision, reason
        pairs = pairs[among(pairs["key"], decided) | (pairs["verdict"] == Verdict.SAME_ALREADY)]
        records = {side: self._exact(entity, side, pd.Index(pairs[f"{side}_id"])) for side in Side}
        moving = pairs[among(pairs["key"], differences["key"][among(differences["decision"], TO.values())])]
        needs = {side: self._needs(entity, side, moving) for side in Side}
        links = self.agreements[entity].frame
        disputed = dict(zip(links["books_id"], links["unsettled"].fillna(""), strict=True))
        versions = {side: self._versions(entity, side) for side in Side}
        for row, books, billing in zip(_rows(pairs), records[Side.BOOKS], records[Side.BILLING], strict=True):
            pair = _Pair(entity, row, {Side.BOOKS: books, Side.BILLING: billing}, decided[row["key"]], reasons)
            known = disputed.get(row["books_id"])
            for operation in pair.operations(None if known is None else frozenset(filter(None, known.split(",")))):
                if operation.side is None:
                    yield operation
                    continue
                target = row[f"{operation.side}_id"]
                yield replace(
                    operation,
                    expected_version=versions[operation.side].get(target),
                    depends_on=tuple(needs[operation.side.other].get(row["key"], ())),
                )

    def _versions(self, entity: Entity, side: Side) -> dict[str, str]:
        frame = self.sides[side][entity].frame
        known = frame[frame["version"].notna()]
        return dict(zip(known["id"], known["version"], strict=True))

    def _needs(self, entity: Entity, side: Side, changes: pd.DataFrame) -> Mapping[str, Sequence[str]]:
        """What each of these records refers to (``Operation.record``), by its own key, sorted."""
        if changes.empty:
            return {}
        referred = (
            self._referred(entity, side, changes)[["key", "to", "reference"]].drop_duplicates().sort_values("reference")
        )
        needs: dict[str, list[str]] = defaultdict(list)
        columns = (referred[name].tolist() for name in ("key", "to", "reference"))
        for key, to, reference in zip(*columns, strict=True):
            needs[key].append(f"{to}:{reference}")
        return needs

    def _exact(self, entity: Entity, side: Side, ids: pd.Index[str]) -> Iterator[dict[str, Any]]:
        """Exact values of these records, references as keys, missing as ``None``, in the order of ``ids``."""
        frame = canonical(self.sides[side][entity], self.references, ids)
        names = [of.name for of in FIELDS[entity]]
        columns = [arrow(frame[name]).to_pylist() for name in names]
        return (dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True))

    def _note(self, check: str, entity: Entity, row: Mapping[str, Any], what: str, remedy: str) -> None:
        side, record_id = side_and_id(row["key"])
        alone = pd.isna(row["books_id"]) or pd.isna(row["billing_id"])
        label, customer = _text(row["label"]) or record_id, _text(row["customer"])
        whose = f" of {customer}" if customer and entity is not Entity.CUSTOMER else ""
        self.notes.append(
            Finding(
                check=check,
                severity=Severity.NOTE,
                entity=entity,
                side=side if alone else None,
                record_id=record_id,
                label=label,
                amount=None if pd.isna(row["amount"]) else int(row["amount"]),
                currency=_text(row["currency"]),
                sentence=f"{_sentence(entity.singular)} {label}{whose} {what}.",
                remedy=remedy,
                customer=customer,
            )
        )


class _Pair:
    """One pair that both sides hold, and the operations that bring it nearer to agreement."""

    def __init__(
        self,
        entity: Entity,
        row: Mapping[str, Any],
        values: Mapping[Side, Mapping[str, Any]],
        decided: Mapping[str, str],
        reasons: Mapping[str, Mapping[str, str]],
    ) -> None:
        self.entity = entity
        self.row = row
        self.reasons = reasons.get(row["key"], {})
        self.values = values
        self.written = [of.name for of in written_fields(entity)]
        self.decided = {name: decision for name, decision in decided.items() if name in self.written}
        void = any(record.get("void") for record in values.values())
        self.comparable = [name for name in self.written if not void or name in KEPT_WHEN_VOID]
        self.equal = [name for name in self.comparable if name not in self.decided]

    def operations(self, unsettled: frozenset[str] | None) -> Iterator[Operation]:
        """In the order in which they are done; ``unsettled`` is what the link left open, ``None`` before it is made."""
        books = self.values[Side.BOOKS]
        if unsettled is None:
            unsettled = frozenset(self.written) - frozenset(self.equal)
            yield self._operation(
                Action.LINK,
                None,
                agreed={name: books[name] for name in self.equal},
                unsettled=unsettled,
                reason="They are one record: remember the pair and what is the same.",
            )
        alike = [name for name, decision in self.decided.items() if decision == Decision.AGREED]
        if alike:
            unsettled = without_settled(unsettled, alike)
            yield self._operation(
                Action.AGREE,
                None,
                agreed={name: books[name] for name in alike},
                unsettled=unsettled,
                reason=f"The same on both sides now: {self._titles(alike)}.",
            )
        for side in (Side.BILLING, Side.BOOKS):
            going = [name for name, decision in self.decided.items() if decision == TO[side]]
            if going:
                operation = self._carried(side, going, [*self.equal, *alike], unsettled)
                unsettled = frozenset(operation.unsettled)
                yield operation

    def _carried(self, side: Side, going: Sequence[str], same: Sequence[str], unsettled: frozenset[str]) -> Operation:
        source, target = self.values[side.other], self.values[side]
        action, agreed = Action.UPDATE, {name: source[name] for name in (*same, *going)}
        if "void" in going:
            action, going, agreed = Action.VOID, ["void"], {"void": source["void"]}
        elif source.get("active") is False and "active" in going:
            action = Action.DEACTIVATE
        deed = {Action.VOID: "void", Action.DEACTIVATE: "deactivate"}.get(action, "update")
        return self._operation(
            action,
            side,
            before={name: target[name] for name in going},
            payload={name: source[name] for name in going},
            agreed={name: value for name, value in agreed.items() if name not in unsettled or name in going},
            unsettled=without_settled(unsettled, going),
            reason=f"{_sentence(self._titles(going))} from {side.other.product}: {deed} it in {side.product}."
            + self._why(side, going),
        )

    def _why(self, side: Side, going: Sequence[str]) -> str:
        """Why a value goes where it goes, unless it was simply changed on the side it comes from."""
        plain = f"changed in {side.other.product}"
        told = [(name, self.reasons.get(name, plain)) for name in going]
        why = "; ".join(f"{self._titles([name])} {reason}" for name, reason in told if reason != plain)
        return f" {_sentence(why)}." if why else ""

    def _operation(self, action: Action, side: Side | None, *, unsettled: frozenset[str], **values: Any) -> Operation:
        return _operation(self.entity, action, side, self.row, unsettled=tuple(sorted(unsettled)), **values)

    def _titles(self, names: Iterable[str]) -> str:
        titles = {of.name: of.title for of in FIELDS[self.entity]}
        return ", ".join(titles[name] for name in names)


def _operation(entity: Entity, action: Action, side: Side | None, row: Mapping[str, Any], **values: Any) -> Operation:
    """An operation about a row of ``changes``."""
    nothing: dict[str, Any] = {"before": {}, "payload": {}, "agreed": {}, "unsettled": (), "depends_on": ()}
    currency: dict[str, Any] = {"currency": row["currency"]} if _text(row["currency"]) else {}
    return Operation(
        step=entity,
        action=action,
        side=side,
        key=row["key"],
        books_id=_text(row["books_id"]) or None,
        billing_id=_text(row["billing_id"]) or None,
        label=_text(row["label"]),
        customer=_text(row["customer"]),
        expected_version=None,
        amount=None if pd.isna(row["amount"]) else int(row["amount"]),
        **{**nothing, **currency, **values},
    )


def _place(operation: Operation) -> tuple[Any, ...]:
    """Endings first, so that what they free is free; then by key, the same whatever order the frames came in."""
    side, record_id = side_and_id(operation.key)
    return _PLACES[operation.action], side, len(record_id), record_id, operation.side or ""


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", frame.to_dict("records")) if len(frame) else []


def _text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
