"""Our own key on what we make in QuickBooks: a tag in the private note of invoices and payments.

QuickBooks has no external id that a search understands, and a private note cannot be searched for either (API file
3.2): the notes of the records that come into question are read. The tag is written when the record is made and never
again; updates are sparse and leave the note alone, and a note is no field that is compared. When a record is voided,
QuickBooks puts its own word in front (API file 4.7), which changes nothing here. Customers and products have unique
names and tax rates have no note: they bear no tag.
"""

from __future__ import annotations

import re

from reconcile.model.entities import Entity

MARKED = frozenset({Entity.INVOICE, Entity.PAYMENT})
_OPENING = "[reconcile "
_TAG = re.compile(r"\[reconcile ([0-9a-f]{16})\]")


def tag(mark: str) -> str:
    """The private note of a record that bears this mark."""
    return f"{_OPENING}{mark}]"


def mark_in(note: str | None) -> str | None:
    """The mark in a private note, whatever people wrote around it; ``None`` when there is none, or more than one."""
    if note is None or _OPENING not in note:  # nearly all of them
        return None
    found: list[str] = _TAG.findall(note)
    return found[0] if len(found) == 1 or len(set(found)) == 1 else None
