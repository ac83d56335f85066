"""Findings: rules that do not hold, as values. All of them at once, each with where, which, how much and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum

import pandas as pd

from reconcile.model.entities import Entity, Side


class Severity(StrEnum):
    """What a finding does to the run."""

    NOTE = "note"  # it is said, nothing waits
    HOLD = "hold"  # the record and what depends on it wait
    STOP = "stop"  # the record waits and the entity's push step fails once its good records are across


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that does not hold for one record (or for a whole side, with ``record_id`` empty).

    Attributes:
        check: short stable name of the rule, ``invoice_number_digits``.
        severity: note, hold or stop.
        entity: kind of record.
        side: where it was found; ``None`` when it lies between the sides.
        record_id: id on that side (for findings between the sides: the books id, else the billing id).
        label: what a person knows the record by. Hostile text: escape before showing.
        amount: money at stake in minor units; ``None`` when no money is.
        currency: currency of ``amount``.
        sentence: what is wrong, in words a bookkeeper understands. May quote hostile text.
        remedy: what to do now.
        customer: display name of the customer concerned, empty when none. Hostile text.
    """

    check: str
    severity: Severity
    entity: Entity
    side: Side | None
    record_id: str
    label: str
    amount: int | None
    currency: str
    sentence: str
    remedy: str
    customer: str = ""


FINDING_COLUMNS = {
    "check": "str",
    "severity": "str",
    "entity": "str",
    "side": "str",
    "record_id": "str",
    "label": "str",
    "amount": "Int64",
    "currency": "str",
    "sentence": "str",
    "remedy": "str",
    "customer": "str",
}


def findings_frame(findings: Iterable[Finding]) -> pd.DataFrame:
    """Findings as a frame: one row each, the columns of :class:`Finding`, amounts in minor units (Int64)."""
    frame = pd.DataFrame([asdict(finding) for finding in findings], columns=list(FINDING_COLUMNS))
    return frame.astype(FINDING_COLUMNS)
