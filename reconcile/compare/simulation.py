"""What a plan would leave behind if every operation succeeded: for dry runs, pictures and the laws that tests assert.

A record that exists only in the plan has its key for an id: the record ``books:5`` that is to be created in billing is
``books:5`` there, and the comparison understands it as the counterpart of books record ``5``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import pandas as pd

from reconcile.compare.canonical import References, is_live, references_of
from reconcile.compare.policy import MONEY_FIELDS, result_fields
from reconcile.model.changes import BASE_COLUMNS, LINK_COLUMNS, Agreement
from reconcile.model.entities import FIELDS, ROW_FIELDS, ROWS_COLUMN, Entity, Kind, Side
from reconcile.model.lookup import among
from reconcile.model.plan import Action, Operation, Plan, canonical_json
from reconcile.model.rows import rows_from_text
from reconcile.model.snapshot import Snapshot, Snapshots, conform, record_dtypes, row_dtypes
from reconcile.model.totals import TotalsError, invoice_totals

_PLANNED = "planned"
_COPIED = ("currency", "unapplied", "state", *(of.name for of in result_fields(Entity.INVOICE)))


def simulate(
    plan: Plan, books: Snapshots, billing: Snapshots, pairs: Mapping[Entity, pd.DataFrame]
) -> tuple[dict[Entity, Snapshot], dict[Entity, Snapshot]]:
    """Both sides as they will be if every operation of the plan succeeds.

    Args:
        plan: what would be done.
        books: QuickBooks as it was read.
        billing: ReliaBills as it was read.
        pairs: ``books_id`` and ``billing_id`` of every pair, per entity, as the comparisons have them.

    Returns:
        The snapshots of books and of billing. Tax and totals of what is written are those of the record it comes from,
        or worked out as ReliaBills does where both sides gave a part; balances follow from the payments.
    """
    simulation = _Simulation(plan, {Side.BOOKS: books, Side.BILLING: billing}, References(pairs))
    return simulation.after(Side.BOOKS), simulation.after(Side.BILLING)


def agreements_after(plan: Plan, agreements: Mapping[Entity, Agreement]) -> dict[Entity, Agreement]:
    """What would be remembered if every operation of the plan succeeded; new records have their keys for ids."""
    return {entity: _remembered(agreements[entity], plan.step(entity)) for entity in Entity}


def _remembered(agreement: Agreement, operations: Sequence[Operation]) -> Agreement:
    links = {
        (link["books_id"], link["billing_id"]): link
        for link in cast("list[dict[str, Any]]", agreement.frame.to_dict("records"))
    }
    ended = cast("list[dict[str, Any]]", agreement.tombstones.to_dict("records"))
    for operation in operations:
        pair = (operation.books_id or operation.key, operation.billing_id or operation.key)
        ids = dict(zip(LINK_COLUMNS, pair, strict=True))
        if operation.action is Action.FORGET:
            links.pop(pair, None)
            ended.append(ids)
            continue
        fields = links.get(pair, {}).get("fields")
        known = {} if fields is None or pd.isna(fields) else json.loads(fields)
        merged = canonical_json({**known, **operation.agreed})
        links[pair] = {**ids, "fields": merged, "unsettled": ",".join(operation.unsettled) or None}
    return Agreement(agreement.entity, _texts(links.values(), BASE_COLUMNS), _texts(ended, LINK_COLUMNS))


def _texts(rows: Iterable[Mapping[str, Any]], dtypes: Mapping[str, str]) -> pd.DataFrame:
    rows = list(rows)
    return pd.DataFrame({name: pd.Series([row.get(name) for row in rows], dtype="str") for name in dtypes})


class _Simulation:
    """One plan carried out on frames."""

    def __init__(self, plan: Plan, sides: Mapping[Side, Snapshots], references: References) -> None:
        self.sides = sides
        self.references = references
        self.writes = {
            (side, entity): [operation for operation in plan.step(entity) if operation.side is side]
            for side in Side
            for entity in Entity
        }

    def after(self, side: Side) -> dict[Entity, Snapshot]:
        """All snapshots of a side, afterwards."""
        done = {entity: self._carried_out(side, entity) for entity in Entity}
        done[Entity.INVOICE] = self._balanced(side, done[Entity.INVOICE], done[Entity.PAYMENT])
        return done

    def _carried_out(self, side: Side, entity: Entity) -> Snapshot:
        snapshot, operations = self.sides[side][entity], self.writes[side, entity]
        if not operations:
            return snapshot
        creates = [operation for operation in operations if operation.action is Action.CREATE]
        others = [operation for operation in operations if operation.action is not Action.CREATE]
        frame = self._changed(side, entity, snapshot.frame.set_index("id"), others)
        new = self._new(side, entity, creates)
        frame = pd.concat([frame.reset_index(names="id"), new], ignore_index=True)
        return replace(
            snapshot,
            frame=conform(frame, record_dtypes(entity)),
            rows=self._rows(side, entity, snapshot.rows, operations) if entity in ROWS_COLUMN else snapshot.rows,
            counted=None if snapshot.counted is None else snapshot.counted + len(creates),
        )

    def _new(self, side: Side, entity: Entity, creates: Sequence[Operation]) -> pd.DataFrame:
        payloads = [{**operation.payload, "id": operation.key, "version": _PLANNED} for operation in creates]
        frame = self._framed(side, entity, payloads)
        for name, values in self._sources(side, entity, creates).items():
            frame[name] = values
        return conform(frame, record_dtypes(entity))

    def _framed(self, side: Side, entity: Entity, payloads: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
        frame = pd.DataFrame(
            {
                name: pd.Series([payload.get(name) for payload in payloads], dtype=dtype)
                for name, dtype in record_dtypes(entity).items()
            }
        )
        for of in references_of(FIELDS[entity]):
            frame[of.name] = self._ids(side, cast("Entity", of.to), frame[of.name])
        return frame

    def _sources(self, side: Side, entity: Entity, operations: Sequence[Operation]) -> dict[str, Any]:
        """What the written records come to, taken from the records they come from; one value per operation."""
        source = self.sides[side.other][entity].frame.set_index("id")
        ids = [operation.books_id if side is Side.BILLING else operation.billing_id for operation in operations]
        origins = source.reindex(pd.Index(ids, dtype="str"))
        return {name: origins[name].array for name in _COPIED if name in origins}

    def _changed(
        self, side: Side, entity: Entity, frame: pd.DataFrame, operations: Sequence[Operation]
    ) -> pd.DataFrame:
        frame = frame.copy()
        for of in FIELDS[entity]:
            if of.kind is Kind.ROWS:
                continue
            own = [operation for operation in operations if of.name in operation.payload]
            if own:
                values = pd.Series([operation.payload[of.name] for operation in own], dtype=of.dtype)
                if of.kind is Kind.REF:
                    values = self._ids(side, cast("Entity", of.to), values)
                frame.loc[_targets(side, own), of.name] = values.array
        money = MONEY_FIELDS.get(entity, frozenset())
        priced = [o for o in operations if money & o.payload.keys() and o.action is Action.UPDATE]
        if priced:
            for name, array in self._sources(side, entity, priced).items():
                if name != "state":
                    frame.loc[_targets(side, priced), name] = array
        if entity is Entity.INVOICE:
            self._price_merged(side, frame, priced)
        return frame

    def _price_merged(self, side: Side, frame: pd.DataFrame, priced: Sequence[Operation]) -> None:
        """Invoices to which both sides gave figures come to what ReliaBills would work out."""
        money = MONEY_FIELDS[Entity.INVOICE]
        other = {o.key: o for o in self.writes[side.other, Entity.INVOICE] if money & o.payload.keys()}
        merged = [operation for operation in priced if operation.key in other]
        if not merged:
            return
        rows = self._rows(side, Entity.INVOICE, self.sides[side][Entity.INVOICE].rows, merged)
        percents = self.sides[side][Entity.TAX_RATE].frame.set_index("id")["percent"]
        for record_id in _targets(side, merged):
            record, lines = frame.loc[record_id], rows[rows["parent_id"] == record_id]
            percent = percents.get(str(record["tax_rate_id"]))
            try:
                totals = invoice_totals(
                    zip(lines["amount"].fillna(0).astype(int), lines["taxable"].fillna(value=False), strict=True),
                    tax_percent=_whole(percent),
                    **{name: _whole(record[name]) for name in money if name.startswith("discount_")},
                )
            except TotalsError:
                continue
            for name in ("subtotal", "discount", "tax", "total"):
                frame.loc[record_id, name] = getattr(totals, name)

    def _rows(self, side: Side, entity: Entity, rows: pd.DataFrame, operations: Sequence[Operation]) -> pd.DataFrame:
        column = ROWS_COLUMN[entity]
        written = [operation for operation in operations if column in operation.payload]
        parents = {operation.key: _target(side, operation) for operation in written}
        children = [
            {"parent_id": parents[operation.key], "position": position, **row}
            for operation in written
            for position, row in enumerate(rows_from_text(entity, operation.payload[column]), start=1)
        ]
        dtypes = row_dtypes(entity)
        new = pd.DataFrame({n: pd.Series([child.get(n) for child in children], dtype=t) for n, t in dtypes.items()})
        for of in references_of(ROW_FIELDS[entity]):
            new[of.name] = self._ids(side, cast("Entity", of.to), new[of.name])
        kept = rows[~among(rows["parent_id"], parents.values())]
        return conform(pd.concat([kept, new], ignore_index=True), dtypes)

    def _ids(self, side: Side, entity: Entity, keys: pd.Series[str]) -> pd.Series[str]:
        """Ids on a side; a record that the plan creates there has its key for an id."""
        return self.references.ids(side, entity, keys).fillna(keys)

    def _balanced(self, side: Side, invoices: Snapshot, payments: Snapshot) -> Snapshot:
        """Invoices whose balance and state follow from what is now applied to them."""
        before = self.sides[side][Entity.INVOICE].frame.set_index("id")
        frame = invoices.frame.set_index("id")
        applied = _applied(self.sides[side][Entity.PAYMENT]), _applied(payments)
        more = applied[1].sub(applied[0], fill_value=0).reindex(frame.index).fillna(0).astype("Int64")
        dearer = frame["total"].fillna(0) - before["total"].reindex(frame.index).fillna(0)
        void = ~is_live(frame)
        moved = (more != 0) | (dearer != 0) | ~among(frame.index, before.index)
        balance = (before["balance"].reindex(frame.index).fillna(0) + dearer - more).where(moved, frame["balance"])
        frame["balance"] = balance.mask(void, 0)
        state = frame["state"].mask(moved & (balance == 0), "paid").mask(moved & (balance > 0), "open")
        frame["state"] = state.mask(void, "void")
        return replace(invoices, frame=conform(frame.reset_index(names="id"), record_dtypes(Entity.INVOICE)))


def _applied(payments: Snapshot) -> pd.Series[Any]:
    """Money that live payments apply to each invoice, minor units, by the invoice's id."""
    live = payments.frame["id"][is_live(payments.frame).to_numpy()]
    rows = payments.rows[among(payments.rows["parent_id"], live)]
    return rows.groupby("invoice_id")["amount"].sum()


def _target(side: Side, operation: Operation) -> str:
    return (operation.books_id if side is Side.BOOKS else operation.billing_id) or operation.key


def _targets(side: Side, operations: Sequence[Operation]) -> list[str]:
    return [_target(side, operation) for operation in operations]


def _whole(value: Any) -> int | None:
    return None if value is None or pd.isna(value) else int(value)
