"""Changes: the rows of the three-way comparison, each with its verdict and its reason (design: truth table)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from reconcile.model.entities import Entity
from reconcile.model.findings import Finding
from reconcile.model.resolutions import Applied, EndedLink
from reconcile.model.snapshot import digest_of


class Verdict(StrEnum):
    """What the three-way comparison says of one record; the sentences are :data:`STORY`."""

    NEW_IN_BOOKS = "new in books"
    NEW_IN_BILLING = "new in billing"
    SAME_ALREADY = "the same already"
    MATCHED_DIFFERENT = "matched, but different"
    QUIET = "quiet"
    CHANGED_IN_BOOKS = "changed in books"
    CHANGED_IN_BILLING = "changed in billing"
    CHANGED_ALIKE = "changed alike"
    CHANGED_ON_BOTH = "changed on both, different fields"
    CONFLICT = "conflict"
    GONE_FROM_BOOKS = "gone from books"
    GONE_FROM_BILLING = "gone from billing"
    GONE_FROM_BOTH = "gone from both"


class Decision(StrEnum):
    """What happens to one differing field of one record."""

    TO_BILLING = "books -> billing"
    TO_BOOKS = "billing -> books"
    AGREED = "agreed"
    HELD = "held"


CHANGE_COLUMNS = {
    "entity": "str",
    "key": "str",  # "books:<id>" when the record exists in books, else "billing:<id>"
    "books_id": "str",
    "billing_id": "str",
    "label": "str",
    "customer": "str",
    "verdict": "str",
    "held": "boolean",
    "amount": "Int64",  # money behind the record, minor units
    "currency": "str",
    "reason": "str",
}
DIFFERENCE_COLUMNS = {
    "entity": "str",
    "key": "str",
    "label": "str",
    "field": "str",
    "base": "str",  # values as text a person reads; the exact values travel in the plan
    "books": "str",
    "billing": "str",
    "decision": "str",
    "reason": "str",
    "seen": "str",  # exact base, books and billing as canonical JSON, for records that are held; else missing
}
LINK_COLUMNS = {"books_id": "str", "billing_id": "str"}
BASE_COLUMNS = {"books_id": "str", "billing_id": "str", "fields": "str", "unsettled": "str"}
UNDONE = "undone:"
"""Before the name of a field among those unsettled: a person had a write of it undone, so nothing carries it again."""


def undone(names: Iterable[str]) -> frozenset[str]:
    """What stands among the unsettled fields of a base for fields of which a write was undone: each is open and marked.

    A comparison holds them, whatever the policy, until a person decides or both sides hold the same.
    """
    return frozenset(names) | frozenset(f"{UNDONE}{name}" for name in names)


def without_settled(unsettled: Iterable[str], names: Iterable[str]) -> frozenset[str]:
    """What stays unsettled once these fields are settled; that one of them was undone is history then."""
    return frozenset(unsettled) - undone(frozenset(names))


@dataclass(frozen=True, slots=True)
class Agreement:
    """What we remember of one entity: the last agreement per link (design: *Base*).

    Attributes:
        entity: kind of record.
        frame: one row per live link, columns :data:`BASE_COLUMNS`. ``fields`` is a JSON object of the compared fields
            both sides were seen to hold; references in it are keys (``"books:12"``), money is minor units, prices and
            percents ten-millionths, child rows canonical text. ``unsettled`` names, comma-separated, the compared
            fields on which the sides have not yet agreed (missing when there are none); :func:`undone` marks some.
        tombstones: one row per ended link, columns :data:`LINK_COLUMNS`: nothing is created again for these.
    """

    entity: Entity
    frame: pd.DataFrame
    tombstones: pd.DataFrame

    @property
    def digest(self) -> str:
        """SHA-256 over the content of both frames, independent of row order; a missing value is no empty one."""
        return digest_of((self.frame, list(LINK_COLUMNS)), (self.tombstones, list(LINK_COLUMNS)))


@dataclass(frozen=True, slots=True)
class Comparison:
    """The three-way comparison of one entity.

    Attributes:
        entity: kind of record.
        changes: one row per record that is not quiet, columns :data:`CHANGE_COLUMNS`.
        differences: one row per differing field, columns :data:`DIFFERENCE_COLUMNS`.
        pairs: every pair of records, linked before or matched now: ``books_id``, ``billing_id``, ``linked`` (boolean).
        quiet: number of records on which both sides and the base agree.
        findings: ambiguous matches, conflicts and differences that are held.
        resolved: what came of each open decision of a person about such a record.
        ended: links that people have ended; their pairs are not among ``pairs``.
    """

    entity: Entity
    changes: pd.DataFrame
    differences: pd.DataFrame
    pairs: pd.DataFrame
    quiet: int
    findings: tuple[Finding, ...]
    resolved: tuple[Applied, ...] = ()
    ended: tuple[EndedLink, ...] = ()

    def keys_going(self, decision: Decision, field: str) -> pd.Series[str]:
        """Keys of the records of which this field goes to that side."""
        going = (self.differences["field"] == field) & (self.differences["decision"] == decision)
        return self.differences["key"][going.to_numpy(dtype=bool)]
