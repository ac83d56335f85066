"""What waits for a person, as frames: each held record, its values, its reason, who changed it, the money behind it.

Made from what the comparison, the checks and the plan have said already; nothing is decided here.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pandas as pd

from reconcile.compare.canonical import References
from reconcile.compare.policy import written_fields
from reconcile.compare.rules import AMBIGUOUS, DEPENDS, IGNORED, OTHER_CUSTOMER, TAKEN
from reconcile.model.changes import Comparison, Decision
from reconcile.model.entities import ROWS_COLUMN, Entity, Side, field, key_of, side_and_id
from reconcile.model.findings import Finding, Severity
from reconcile.model.lookup import among
from reconcile.model.resolutions import DELETED, DELETED_FOR_GOOD, Standing
from reconcile.model.snapshot import Snapshots, conform

RECORD_COLUMNS = {
    "entity": "str",
    "key": "str",
    "books_id": "str",
    "billing_id": "str",
    "label": "str",
    "customer": "str",
    "amount": "Int64",  # of the record itself, minor units
    "currency": "str",
    "check": "str",  # the rule, by its short name
    "reason": "str",
    "remedy": "str",
    "changed_in": "str",  # who changed it since both agreed: QuickBooks, ReliaBills, or both
    "ways": "str",  # what a person can decide, comma-separated (model.resolutions.ways_to_decide)
    "ignored": "boolean",
    "decided": "str",  # what came of a decision about it; missing where there is none
    "waiting": "Int64",  # records that wait for this one
    "waiting_invoices": "Int64",  # what the invoices among them come to, minor units
    "waiting_payments": "Int64",  # what the payments among them come to, minor units
}
FIELD_COLUMNS = {
    "entity": "str",
    "key": "str",
    "field": "str",
    "title": "str",
    "base": "str",
    "books": "str",
    "billing": "str",
    "changed_in": "str",
    "held": "boolean",
    "reason": "str",
    "seen": "str",
}
WAITING_COLUMNS = {
    "entity": "str",
    "key": "str",  # the held record
    "waiting_entity": "str",
    "waiting_key": "str",
    "label": "str",
    "customer": "str",
    "amount": "Int64",
    "currency": "str",
}
FOR_GOOD = {Entity.INVOICE: (Side.BILLING,)}
"""Where a record that was deleted cannot be entered again: ReliaBills gives a number to one invoice only, for ever."""
_TOGETHER = frozenset({AMBIGUOUS, OTHER_CUSTOMER, TAKEN})
Node = tuple[Entity, str]


@dataclass(frozen=True, slots=True)
class Conflicts:
    """What waits for a person.

    Attributes:
        records: one row per held or ignored record, columns :data:`RECORD_COLUMNS`, the most money first.
        fields: one row per field on which a held pair differs, columns :data:`FIELD_COLUMNS`: values in words; ``seen``
            holds the exact ones, which a decision is about.
        waiting: one row per held record and record that waits for it, columns :data:`WAITING_COLUMNS`. A payment that
            waits for two held invoices stands under both.
    """

    records: pd.DataFrame
    fields: pd.DataFrame
    waiting: pd.DataFrame

    @property
    def open(self) -> pd.DataFrame:
        """The records that a person has not put off."""
        return self.records[~self.records["ignored"].fillna(value=False).astype(bool)]

    def to_json(self) -> dict[str, Any]:
        """All three frames as JSON values, missing as ``None``."""
        return {name: _json_rows(getattr(self, name)) for name in ("records", "fields", "waiting")}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Conflicts:
        """What :meth:`to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: it did not give this.
        """
        columns = {"records": RECORD_COLUMNS, "fields": FIELD_COLUMNS, "waiting": WAITING_COLUMNS}
        return cls(**{name: _framed(content[name], dtypes) for name, dtypes in columns.items()})


def conflicts(
    comparisons: Mapping[Entity, Comparison],
    books: Snapshots,
    billing: Snapshots,
    findings: Iterable[Finding],
    waits: Iterable[tuple[Node, Node]],
) -> Conflicts:
    """What waits for a person after a plan was made.

    Args:
        comparisons: of all five entities.
        books: what was read from QuickBooks.
        billing: what was read from ReliaBills.
        findings: of the run, those of the plan included.
        waits: what waits for what, as the plan has it.
    """
    return _Collector(comparisons, {Side.BOOKS: books, Side.BILLING: billing}, [*findings], [*waits]).conflicts()


class _Collector:
    def __init__(
        self,
        comparisons: Mapping[Entity, Comparison],
        sides: Mapping[Side, Snapshots],
        findings: Sequence[Finding],
        waits: Sequence[tuple[Node, Node]],
    ) -> None:
        self.waits = waits
        self.comparisons = comparisons
        self.sides = sides
        self.findings = findings
        self.references = References()
        for entity in Entity:
            snapshots = (sides[side][entity] for side in Side)
            self.references = self.references.including(entity, comparisons[entity].pairs, *snapshots)
        self.pairs = {
            entity: dict(zip(one.pairs["books_id"], one.pairs["billing_id"], strict=True))
            for entity, one in comparisons.items()
        }

    def conflicts(self) -> Conflicts:
        told: dict[Node, list[Finding]] = defaultdict(list)
        waits: dict[Node, Finding] = {}
        for finding in self.findings:
            if not finding.record_id:
                continue
            if finding.check == DEPENDS:
                waits[finding.entity, self._key(finding)] = finding
            elif finding.severity is not Severity.NOTE or finding.check == IGNORED:
                told[finding.entity, self._key(finding)].append(finding)
        differences = self._differences(told)
        waiting = self._waiting(list(told), waits)
        records = [
            self._record(node, own, differences.get(node, []), [waits[behind] for behind in waiting.get(node, [])])
            for node, own in told.items()
        ]
        records.sort(key=lambda row: -((row["amount"] or 0) + row["waiting_invoices"] + row["waiting_payments"]))
        fields = [self._field(node, row) for node, rows in differences.items() for row in rows]
        behind = [self._behind(node, waits[behind]) for node, nodes in waiting.items() for behind in nodes]
        return Conflicts(
            _framed(records, RECORD_COLUMNS), _framed(fields, FIELD_COLUMNS), _framed(behind, WAITING_COLUMNS)
        )

    def _key(self, finding: Finding) -> str:
        side = finding.side
        if side is None:
            known = finding.record_id in self.pairs[finding.entity]
            read = self.sides[Side.BOOKS][finding.entity].frame["id"]
            side = Side.BOOKS if known or bool((read == finding.record_id).any()) else Side.BILLING
        ids = pd.Series([finding.record_id], dtype="str")
        return str(self.references.keys(side, finding.entity, ids).iloc[0])

    def _differences(self, told: Mapping[Node, Any]) -> dict[Node, list[dict[str, Any]]]:
        found: dict[Node, list[dict[str, Any]]] = defaultdict(list)
        for entity, comparison in self.comparisons.items():
            frame = comparison.differences
            keys = [key for one, key in told if one is entity]
            for row in _rows(frame[among(frame["key"], keys) & frame["seen"].notna().to_numpy()]):
                found[entity, str(row["key"])].append(row)
        return found

    def _field(self, node: Node, row: Mapping[str, Any]) -> dict[str, Any]:
        entity, key = node
        return {
            "entity": str(entity),
            "key": key,
            "title": field(entity, row["field"]).title,
            "changed_in": changed_in(row["seen"]),
            "held": row["decision"] == Decision.HELD,
            **{name: row[name] for name in ("field", "base", "books", "billing", "reason", "seen")},
        }

    def _record(
        self,
        node: Node,
        findings: Sequence[Finding],
        differences: Sequence[Mapping[str, Any]],
        waiting: Sequence[Finding],
    ) -> dict[str, Any]:
        entity, key = node
        side, record_id = side_and_id(key)
        ids = {side: record_id}
        if side is Side.BOOKS and record_id in self.pairs[entity]:
            ids[Side.BILLING] = self.pairs[entity][record_id]
        cause = findings[0]
        changed = sorted({changed_in(row["seen"]) for row in differences if row["decision"] == Decision.HELD} - {""})
        amounts = dict.fromkeys(Entity, 0)
        for behind in waiting:
            amounts[behind.entity] += behind.amount or 0
        ignored = all(finding.check == IGNORED for finding in findings)
        return {
            "entity": str(entity),
            "key": key,
            "books_id": ids.get(Side.BOOKS),
            "billing_id": ids.get(Side.BILLING),
            "label": cause.label,
            "customer": cause.customer,
            "amount": cause.amount,
            "currency": cause.currency,
            "check": cause.check,
            "reason": " ".join(dict.fromkeys(finding.sentence for finding in findings)),
            "remedy": " ".join(dict.fromkeys(finding.remedy for finding in findings)),
            "changed_in": "both" if len(changed) > 1 else "".join(changed),
            "ways": ",".join(self._ways(entity, ids, findings, differences)),
            "ignored": ignored,
            "decided": self._decided(entity, ids),
            "waiting": len(waiting),
            "waiting_invoices": amounts[Entity.INVOICE],
            "waiting_payments": amounts[Entity.PAYMENT],
        }

    def _ways(
        self,
        entity: Entity,
        ids: Mapping[Side, str],
        findings: Sequence[Finding],
        differences: Sequence[Mapping[str, Any]],
    ) -> Iterator[str]:
        compared = {finding.check for one in self.comparisons.values() for finding in one.findings}
        if any(finding.check == IGNORED for finding in findings):
            return
        if any(keepable(entity, row["field"]) for row in differences if row["decision"] == Decision.HELD):
            yield "keep"
        gone = [side for side in ids if ids[side] in self.sides[side][entity].gone]
        if len(ids) == len(Side) and len(gone) == 1:
            if keepable(entity, "void" if entity in ROWS_COLUMN else "active"):
                yield (DELETED_FOR_GOOD if gone[0] in FOR_GOOD.get(entity, ()) else DELETED)[gone[0]]
        elif len(ids) == len(Side):
            yield "unlink"
        elif any(finding.check in _TOGETHER for finding in findings):
            yield "link"
        if any(finding.check in compared for finding in findings):
            yield "ignore"

    def _decided(self, entity: Entity, ids: Mapping[Side, str]) -> str | None:
        for applied in self.comparisons[entity].resolved:
            draft = applied.resolution.draft
            own = {key_of(side, record_id) for side, record_id in ids.items()}
            if own & set(draft.keys) and applied.standing in {Standing.OUTDATED, Standing.BLOCKED, Standing.UNREAD}:
                return f"Decision {applied.resolution.id} ({applied.resolution.words}) {applied.standing}: " + (
                    applied.sentence
                )
        return None

    # The money behind

    def _waiting(self, held: Sequence[Node], waits: Mapping[Node, Finding]) -> dict[Node, list[Node]]:
        """Per held record all that waits for it, directly or through what waits."""
        followers: dict[Node, list[Node]] = defaultdict(list)
        for waiting, cause in self.waits:
            if waiting in waits:
                followers[cause].append(waiting)
        found = {}
        for node in held:
            seen: dict[Node, None] = {}
            todo = list(followers.get(node, ()))
            while todo:
                nearest = todo.pop(0)
                if nearest not in seen and nearest != node:
                    seen[nearest] = None
                    todo += followers.get(nearest, ())
            if seen:
                found[node] = list(seen)
        return found

    def _behind(self, node: Node, finding: Finding) -> dict[str, Any]:
        return {
            "entity": str(node[0]),
            "key": node[1],
            "waiting_entity": str(finding.entity),
            "waiting_key": self._key(finding),
            "label": finding.label,
            "customer": finding.customer,
            "amount": finding.amount,
            "currency": finding.currency,
        }


def changed_in(seen: str) -> str:
    """Who changed a field since both agreed: ``QuickBooks``, ``ReliaBills``, ``both``; empty if they never agreed."""
    values = json.loads(seen)
    if values["base"] is None:
        return ""
    (base,) = values["base"]
    changed = [side.product for side in Side if values[side] != base]
    return "both" if len(changed) > 1 else "".join(changed)


def keepable(entity: Entity, name: str) -> bool:
    """Whether a person can decide whose value of this field holds: no result, and not fixed on both sides."""
    return any(of.name == name and of.fixed_on != frozenset(Side) for of in written_fields(entity))


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", frame.to_dict("records")) if len(frame) else []


def _framed(rows: Sequence[Mapping[str, Any]], dtypes: Mapping[str, str]) -> pd.DataFrame:
    if not rows:
        return conform(pd.DataFrame(), dtypes)
    return pd.DataFrame(
        {name: pd.Series([_plain(row.get(name)) for row in rows], dtype=dtype) for name, dtype in dtypes.items()}
    )


def _plain(value: Any) -> Any:
    return None if value is None or (not isinstance(value, str) and pd.isna(value)) else value


def _json_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return _rows(frame.astype(object).where(frame.notna(), None)) if len(frame) else []
