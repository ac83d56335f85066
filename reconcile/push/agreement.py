"""The base after one operation: only what both sides were seen to hold (design I4). Pushing and settling share it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reconcile.model.entities import Entity, Side
from reconcile.model.journal import AgreementUpdate
from reconcile.push.references import References


def agreement_after(
    references: References,
    entity: Entity,
    ids: Mapping[Side, str],
    versions: Mapping[Side, str | None],
    *,
    agreed: Mapping[str, Any],
    unsettled: Iterable[str],
    stored: Mapping[str, Any] | None,
) -> AgreementUpdate:
    """What both sides hold now, as the base remembers it.

    Args:
        references: by which keys are brought to their present form.
        entity: kind of record.
        ids: of the pair, per side.
        versions: as far as they are known, per side.
        agreed: what the plan says both will hold.
        unsettled: fields that stay open whatever happens.
        stored: the written side's record as it answered or was read back, references as keys; ``None`` when no side
            was written. A field it holds otherwise than planned is not agreed but unsettled, and the next comparison
            shows it.
    """
    present = references.settled(entity, agreed)
    differing = set() if stored is None else {name for name, value in present.items() if stored.get(name) != value}
    return AgreementUpdate(
        entity=entity,
        books_id=ids[Side.BOOKS],
        billing_id=ids[Side.BILLING],
        books_version=versions.get(Side.BOOKS),
        billing_version=versions.get(Side.BILLING),
        fields={name: value for name, value in present.items() if name not in differing},
        unsettled=tuple(sorted({*unsettled, *differing})),
    )
