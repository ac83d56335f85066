"""A plan as people read it: how much of what, what it would set off outside, and every write with before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reconcile.model.entities import FIELDS, Entity, Field, Kind, Side
from reconcile.model.findings import Finding, Severity
from reconcile.model.plan import Action, EffectKind, Operation, OutsideEffect, Plan
from reconcile.model.rows import rows_from_text
from reconcile.report.html import (
    DASH,
    NOWRAP,
    RIGHT,
    TIMES,
    Cell,
    Column,
    Shown,
    Tone,
    box,
    counted,
    grid,
    missing,
    more,
    page,
    sentence,
    shown_text,
)
from reconcile.report.tables import LIMIT, amount_cell, count_cell, money_text, scaled_text

Labels = Mapping[Entity, Mapping[str, str]]
_FIELDS_SHOWN = 8
_ROWS_SHOWN = 6
_OF_NO_INTEREST_WHEN_EMPTY = {"void", "credit"}
_EFFECTS_SHOWN = 20
_LEFT_OUT_SHOWN = 20
_WORDS = {
    Action.CREATE: "create in {side}",
    Action.UPDATE: "update in {side}",
    Action.VOID: "void in {side}",
    Action.DELETE: "delete in {side}",
    Action.DEACTIVATE: "make inactive in {side}",
    Action.LINK: "link, no write",
    Action.AGREE: "agreed, no write",
    Action.FORGET: "forget, no write",
}


def plan(
    plan: Plan,
    *,
    labels: Labels | None = None,
    left_out: Sequence[Finding] = (),
    limit: int = LIMIT,
    whole: str = "plan.json",
) -> Shown:
    """All that a push will do: counts per step and side, outside effects, what is left as it is, then the writes.

    Args:
        plan: the plan.
        labels: what people know records by, per entity and key, for references in the payloads.
        left_out: findings about what was decided and yet is not written (:attr:`Planned.left_out`); hostile text.
        limit: writes shown.
        whole: where all of them can be found.
    """
    writes = list(plan.writes())
    if not plan.operations:
        nothing = sentence("Nothing to do: nothing will be written to either side.")
        return page("The plan", nothing, _left_out(left_out))
    known = _labels(plan, labels or {})
    parts = [sentence(_headline(plan, writes)), _summary(plan), _effects(plan), _left_out(left_out)]
    if writes:
        parts += [_writes(writes[:limit], known), more(len(writes), limit, whole)]
    return page("The plan", *parts)


def _headline(plan: Plan, writes: Sequence[Operation]) -> str:
    remembered = len(plan.operations) - len(writes)
    if not writes:
        return f"Nothing will be written to either side; {counted(remembered, 'record')} will only be remembered."
    sides = " and ".join(
        f"{number:,} to {side.product}" for side in Side if (number := sum(write.side is side for write in writes))
    )
    rest = f" {counted(remembered, 'record')} will be linked or remembered without a write." if remembered else ""
    return f"<b>{counted(len(writes), 'write')}</b>: {sides}.{rest}"


def _summary(plan: Plan) -> str:
    """Counts per step, one column for each action on each side that occurs."""
    kinds: list[tuple[Action, Side | None]] = [(action, side) for action in Action for side in (*Side, None)]
    found = {(operation.action, operation.side) for operation in plan.operations}
    kinds = sorted((kind for kind in kinds if kind in found), key=lambda kind: (*Side, None).index(kind[1]))
    columns = [Column("Step"), *(Column(_action_words(*kind), RIGHT) for kind in kinds)]
    rows = []
    for entity in Entity:
        operations = plan.step(entity)
        numbers = [sum((one.action, one.side) == kind for one in operations) for kind in kinds]
        rows.append([Cell(f"{entity.step}. {entity.plural}", NOWRAP), *map(count_cell, numbers)])
    return grid(columns, rows)


def _action_words(action: Action, side: Side | None) -> str:
    return _WORDS[action].format(side=side.product if side else "")


def _effects(plan: Plan) -> str:
    effects = [effect for operation in plan.operations for effect in operation.effects]
    if not effects:
        return sentence("No mail and no charge will be caused.")
    mails = sum(effect.kind is EffectKind.MAIL for effect in effects)
    charges = len(effects) - mails
    named = [counted(charges, "charge")] * bool(charges) + [counted(mails, "mail")] * bool(mails)
    body = [_effect(effect) for effect in effects[:_EFFECTS_SHOWN]]
    if len(effects) > _EFFECTS_SHOWN:
        body.append(f"… and {len(effects) - _EFFECTS_SHOWN:,} more.")
    return box(Tone.HOLD, f"Outside effects: {' and '.join(named)} would be caused", body)


def _left_out(findings: Sequence[Finding]) -> str:
    """What is not written although one side changed: each with what to do; then how many wait for one of these."""
    held = [finding for finding in findings if finding.severity is not Severity.NOTE]
    if not held:
        return ""
    body = [f"<b>{shown_text(one.sentence)}</b> {shown_text(one.remedy)}" for one in held[:_LEFT_OUT_SHOWN]]
    if len(held) > _LEFT_OUT_SHOWN:
        body.append(f"… and {len(held) - _LEFT_OUT_SHOWN:,} more, in findings.json.")
    waiting = len(findings) - len(held)
    if waiting:
        body.append(f"{counted(waiting, 'record')} {'waits' if waiting == 1 else 'wait'} for one of these.")
    return box(Tone.HOLD, f"Left as it is: {counted(len(held), 'record')} will not be written", body)


def _effect(effect: OutsideEffect) -> str:
    amount = f"{money_text(effect.amount, effect.currency)} {shown_text(effect.currency)}"
    verb = "Charge to" if effect.kind is EffectKind.CHARGE else "Mail to"
    return f"<b>{verb} {shown_text(effect.customer)}</b>, {amount}: {shown_text(effect.cause)}"


def _writes(writes: Sequence[Operation], labels: Labels) -> str:
    columns = [
        Column("What"),
        Column("Record"),
        Column("Customer"),
        Column("Amount", RIGHT),
        Column("Before → after"),
        Column("Why"),
    ]
    rows = [
        [
            Cell(_action_words(write.action, write.side), NOWRAP),
            Cell(f"{write.step.singular} <b>{shown_text(write.label)}</b>"),
            Cell(shown_text(write.customer) if write.customer and write.step is not Entity.CUSTOMER else DASH),
            amount_cell(write.amount, write.currency),
            Cell(_changed(write, labels)),
            Cell(shown_text(write.reason)),
        ]
        for write in writes
    ]
    return grid(columns, rows)


def _changed(write: Operation, labels: Labels) -> str:
    """Each field that is written, with what it replaces; blanks of a new record are left out."""
    lines = []
    for field in FIELDS[write.step]:
        if field.name not in write.payload:
            continue
        after = _value(write, field, write.payload[field.name], labels)
        if write.action is Action.CREATE:
            nothing = field.name in _OF_NO_INTEREST_WHEN_EMPTY and not write.payload[field.name]
            if after != DASH and not nothing:
                lines.append(f"{field.title}: {after}")
        else:
            before = _value(write, field, write.before.get(field.name), labels)
            lines.append(f"{field.title}: {before} → <b>{after}</b>")
    hidden = len(lines) - _FIELDS_SHOWN
    if hidden > 1:
        lines = [*lines[:_FIELDS_SHOWN], f"… and {hidden} more fields"]
    return "".join(f"<div>{line}</div>" for line in lines) or DASH


def _value(write: Operation, field: Field, value: Any, labels: Labels) -> str:
    if missing(value) or value == "":
        return DASH
    if field.kind is Kind.ROWS:
        return _rows(write, str(value), labels)
    if field.kind is Kind.REF and field.name == "customer_id" and write.customer:
        return shown_text(write.customer)
    return _scalar(field, value, write.currency, labels)


def _scalar(field: Field, value: Any, currency: str, labels: Labels) -> str:
    if missing(value):
        return DASH
    if field.kind is Kind.MONEY:
        return money_text(value, currency)
    if field.kind is Kind.SCALED:
        return scaled_text(value)
    if field.kind is Kind.FLAG:
        return "yes" if value else "no"
    if field.kind is Kind.REF and field.to is not None:
        return shown_text(labels.get(field.to, {}).get(str(value), f"{field.to.singular} {value}"))
    return shown_text(value)


def _rows(write: Operation, text: str, labels: Labels) -> str:
    rows = rows_from_text(write.step, text)
    words = [_row(write, row, labels) for row in rows[:_ROWS_SHOWN]]
    if len(rows) > _ROWS_SHOWN:
        words.append(f"… and {len(rows) - _ROWS_SHOWN:,} more")
    return "".join(f'<div style="padding-left:12px">{line}</div>' for line in words) or DASH


def _row(write: Operation, row: Mapping[str, Any], labels: Labels) -> str:
    amount = money_text(row["amount"], write.currency)
    if write.step is Entity.PAYMENT:
        return f"invoice {_known(labels, Entity.INVOICE, row['invoice_id'])}: {amount}"
    name = _known(labels, Entity.PRODUCT, row["product_id"])
    what = ", ".join(word for word in (name, shown_text(row["description"])) if word != DASH) or DASH
    if missing(row["quantity"]):
        return f"{what}: {amount}"
    return f"{scaled_text(row['quantity'])} {TIMES} {scaled_text(row['unit_price'])} {what} = {amount}"


def _known(labels: Labels, entity: Entity, key: Any) -> str:
    return DASH if missing(key) else shown_text(labels.get(entity, {}).get(str(key), f"{entity.singular} {key}"))


def _labels(plan: Plan, given: Labels) -> Labels:
    """Names of records by key: those given, and those the plan itself is about."""
    labels: dict[Entity, dict[str, str]] = {entity: dict(given.get(entity, {})) for entity in Entity}
    for operation in plan.operations:
        labels[operation.step].setdefault(operation.key, operation.label)
    return labels
