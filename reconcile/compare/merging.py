"""Customers that were merged in QuickBooks: the one left over is inactive, and its transactions are another's now.

QuickBooks says nothing else of a merge in what it can be asked (API file 8, row 28), and cannot undo one. Carried field
by field it would end a customer in ReliaBills who still owes, and each of its invoices would ask why it changed hands.
So it is recognised by both signs together and held once, on the customer, and the link that makes it good is proposed.

Of a customer who never had a transaction nothing can have moved, and the inactive record looks like any other: that it
was merged shows only to whoever tries to bring it back (fault 6000), which no reading may do, and in a webhook, which
a company may not have. Nothing is owed and nothing is lost then, so it is carried as what it looks like, and the words
say what else it may be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from reconcile.compare.canonical import is_live
from reconcile.compare.rules import DEPENDS, FIXED, MAYBE_MERGED, MERGED
from reconcile.model.changes import Agreement, Comparison, Decision
from reconcile.model.entities import Entity, Side, key_of
from reconcile.model.findings import Finding, Severity
from reconcile.model.lookup import among
from reconcile.model.snapshot import Snapshots

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DOCUMENTS = (Entity.INVOICE, Entity.PAYMENT)
_STANDS = "waits until it is decided what becomes of the merge in QuickBooks"


@dataclass(frozen=True, slots=True)
class Merge:
    """One customer that was merged into another in QuickBooks.

    Attributes:
        gone: id in QuickBooks of the one left over.
        into: id in QuickBooks of the one that has its transactions now.
        billing_id: the counterpart of the one left over.
        documents: per kind, ids in QuickBooks of its transactions.
    """

    gone: str
    into: str
    billing_id: str
    documents: Mapping[Entity, frozenset[str]]


def with_merges(
    company: str, comparisons: Mapping[Entity, Comparison], books: Snapshots, billing: Snapshots
) -> dict[Entity, Comparison]:
    """The same comparisons with each merge of customers held as one question, on the customer left over.

    Nothing is carried of that customer, its transactions wait for it instead of each being a question of its own, and
    the customer it was merged into is not created in ReliaBills, because the one that is there may become it.

    Args:
        company: company key, for the command that is proposed.
        comparisons: of all five entities.
        books: what was read from QuickBooks.
        billing: what was read from ReliaBills.
    """
    told = dict(comparisons)
    suspects = list(_suspects(comparisons, books, billing))
    told[Entity.CUSTOMER] = _with_notes(
        company, told[Entity.CUSTOMER], [one for one in suspects if one.documents.empty]
    )
    for merge in merges(suspects, books):
        key, new = key_of(Side.BOOKS, merge.gone), key_of(Side.BOOKS, merge.into)
        customers = told[Entity.CUSTOMER]
        linked = bool((customers.pairs["books_id"] == merge.into).any())
        customers = _held(customers, among(customers.changes["key"], [key] if linked else [key, new]))
        found = [_finding(company, merge, books, billing, linked=linked)]
        if not linked:
            found.append(_note(found[0], merge, books))
        told[Entity.CUSTOMER] = replace(customers, findings=(*customers.findings, *found))
        for entity, ids in merge.documents.items():
            told[entity] = _waiting(told[entity], ids)
    return told


@dataclass(frozen=True, slots=True)
class _Suspect:
    """A linked customer that is inactive in QuickBooks; ``documents`` are its own in ReliaBills (:func:`_owners`)."""

    books_id: str
    billing_id: str
    documents: pd.DataFrame


def merges(suspects: Iterable[_Suspect], books: Snapshots) -> Iterator[Merge]:
    """Linked customers, inactive in QuickBooks, whose documents in ReliaBills are all one other customer's there."""
    customers = books[Entity.CUSTOMER].frame
    active = set(customers["id"][is_live(customers).to_numpy()])
    for one in suspects:
        own = one.documents
        owners = own["here"].dropna().unique()
        if len(owners) == 1 and owners[0] != one.books_id and owners[0] in active:
            documents = {e: frozenset(own["id"][(own["entity"] == str(e)).to_numpy()]) for e in _DOCUMENTS}
            yield Merge(one.books_id, str(owners[0]), one.billing_id, documents)


def _suspects(comparisons: Mapping[Entity, Comparison], books: Snapshots, billing: Snapshots) -> Iterator[_Suspect]:
    customers = books[Entity.CUSTOMER].frame
    inactive = customers["id"][~is_live(customers).to_numpy()]
    links = comparisons[Entity.CUSTOMER].pairs
    suspects = links[
        among(links["books_id"], inactive) & among(links["billing_id"], billing[Entity.CUSTOMER].frame["id"])
    ]
    if suspects.empty:
        return
    owned = pd.concat([_owners(entity, comparisons, books, billing) for entity in _DOCUMENTS], ignore_index=True)
    for gone, billing_id in zip(suspects["books_id"], suspects["billing_id"], strict=True):
        yield _Suspect(str(gone), str(billing_id), owned[(owned["there"] == billing_id).to_numpy(dtype=bool)])


def documents_to_read(
    customers: pd.DataFrame, agreements: Mapping[Entity, Agreement]
) -> dict[tuple[Side, Entity], frozenset[str]]:
    """What a delta must read besides what changed: the transactions of linked customers that became inactive or active.

    A merge moves transactions without a new version, so no list of changes has them; and whether a customer still owes
    stands on its invoices: who does stays active, and is charged on auto pay once active again.

    Args:
        customers: those of QuickBooks that were read.
        agreements: what both sides were last seen to hold.
    """
    live = is_live(customers).to_numpy()
    links = agreements[Entity.CUSTOMER].frame
    links = links[among(links["books_id"], customers["id"])]
    known = links["fields"].fillna("")
    before, not_before = (
        known.str.contains(rf'"active":\s*{said}', regex=True).to_numpy(dtype=bool) for said in ("true", "false")
    )
    ended = among(links["books_id"], customers["id"][~live]) & before
    back = among(links["books_id"], customers["id"][live]) & not_before
    turned = links["books_id"][ended | back]
    if turned.empty:
        return {}
    owners = "|".join(re.escape(key_of(Side.BOOKS, books_id)) for books_id in turned)
    wanted: dict[tuple[Side, Entity], frozenset[str]] = {}
    for entity in _DOCUMENTS:
        documents = agreements[entity].frame
        own = documents["fields"].fillna("").str.contains(rf'"customer_id":\s*"(?:{owners})"', regex=True)
        for side in Side:
            wanted[side, entity] = frozenset(documents[f"{side}_id"][own.to_numpy(dtype=bool)])
    return wanted


def _owners(
    entity: Entity, comparisons: Mapping[Entity, Comparison], books: Snapshots, billing: Snapshots
) -> pd.DataFrame:
    """Whose the linked live documents are: ``id`` in QuickBooks, ``here`` (owner there), ``there`` (in ReliaBills)."""
    pairs = comparisons[entity].pairs
    owner = {}
    for side, snapshots in ((Side.BOOKS, books), (Side.BILLING, billing)):
        frame = snapshots[entity].frame
        owner[side] = pd.Series(frame["customer_id"].array, index=pd.Index(frame["id"]))
    here, there = pairs["books_id"].map(owner[Side.BOOKS]), pairs["billing_id"].map(owner[Side.BILLING])
    columns = {"entity": str(entity), "id": pairs["books_id"].array, "here": here.array, "there": there.array}
    return pd.DataFrame(columns).astype("str")


def _held(comparison: Comparison, rows: NDArray[np.bool_]) -> Comparison:
    """The comparison with nothing carried of these changes."""
    changes, differences = comparison.changes.copy(), comparison.differences.copy()
    changes.loc[rows, "held"] = True
    changes.loc[rows, "reason"] = _STANDS
    own = among(differences["key"], changes["key"][rows]) & (differences["decision"] != Decision.AGREED).to_numpy()
    differences.loc[own, "decision"] = str(Decision.HELD)
    differences.loc[own, "reason"] = _STANDS
    return replace(comparison, changes=changes, differences=differences)


def _waiting(comparison: Comparison, ids: frozenset[str]) -> Comparison:
    """The comparison in which documents that only changed hands wait for their customer and ask nothing themselves."""
    differences = comparison.differences
    held = differences[(differences["decision"] == Decision.HELD).to_numpy(dtype=bool)]
    other = held[(held["field"] != "customer_id") & ~held["reason"].str.startswith("waits")]
    keys = {key_of(Side.BOOKS, record_id): record_id for record_id in ids}
    moved = set(held["key"][held["field"] == "customer_id"]) & keys.keys() - set(other["key"])
    changes, differences = comparison.changes.copy(), differences.copy()
    rows = among(changes["key"], list(moved))
    changes.loc[rows, "held"] = False
    changes.loc[rows, "reason"] = _STANDS
    owner = among(differences["key"], list(moved)) & (differences["field"] == "customer_id").to_numpy(dtype=bool)
    differences.loc[owner, "reason"] = _STANDS
    asked = {keys[key] for key in moved}
    findings = tuple(one for one in comparison.findings if one.check != FIXED or one.record_id not in asked)
    return replace(comparison, changes=changes, differences=differences, findings=findings)


def _with_notes(company: str, customers: Comparison, suspects: Sequence[_Suspect]) -> Comparison:
    """The comparison, with a note on each of these that becomes inactive in ReliaBills now."""
    changes = customers.changes.set_index("key")
    by_key = {key_of(Side.BOOKS, one.books_id): one for one in suspects}
    ending = set(customers.keys_going(Decision.TO_BILLING, "active"))
    notes = [_maybe(company, one, str(changes.loc[key, "label"])) for key, one in by_key.items() if key in ending]
    return replace(customers, findings=(*customers.findings, *notes)) if notes else customers


def _maybe(company: str, suspect: _Suspect, name: str) -> Finding:
    told = f'customer:{Side.BOOKS}:ID customer:{Side.BILLING}:{suspect.billing_id} --because "merged in QuickBooks"'
    return Finding(
        check=MAYBE_MERGED,
        severity=Severity.NOTE,
        entity=Entity.CUSTOMER,
        side=Side.BOOKS,
        record_id=suspect.books_id,
        label=name,
        amount=None,
        currency="",
        sentence=(
            f"Customer {name} is inactive in QuickBooks, and ReliaBills follows. It has no invoice and no payment on "
            "both sides, so it would look the same had it been merged into another customer."
        ),
        remedy=(
            "Nothing, if it was only made inactive. If it was merged, enter what ReliaBills keeps with it (auto pay, "
            "recurring invoices) with the other customer. Or let it become that one before this is carried: "
            f"`reconcile relink {company} {told}`, where ID is the other customer's in QuickBooks."
        ),
        customer=name,
    )


def _finding(company: str, merge: Merge, books: Snapshots, billing: Snapshots, *, linked: bool) -> Finding:
    here, there = (snapshots[Entity.CUSTOMER].frame.set_index("id") for snapshots in (books, billing))
    name, other = str(there.loc[merge.billing_id, "display_name"]), str(here.loc[merge.into, "display_name"])
    command = (
        f"`reconcile relink {company} customer:{Side.BOOKS}:{merge.into} customer:{Side.BILLING}:{merge.billing_id} "
        '--because "merged in QuickBooks"`'
    )
    if linked:
        remedy = (
            f"{other} has a customer of its own in ReliaBills, and ReliaBills cannot merge two. If that one has "
            f"nothing of its own there, let {name} become {other}: {command}. Otherwise enter what comes in for these "
            f"invoices on both sides, and make {name} inactive in ReliaBills once nothing is open."
        )
    else:
        remedy = (
            f"If that is right, let {name} in ReliaBills become {other}: {command}. The invoices and payments then "
            "follow by themselves. A merge cannot be undone in QuickBooks."
        )
    return Finding(
        check=MERGED,
        severity=Severity.HOLD,
        entity=Entity.CUSTOMER,
        side=None,
        record_id=merge.gone,
        label=name,
        amount=None,
        currency="",
        sentence=f"Customer {name} seems to have been merged into {other} in QuickBooks: it is inactive there, and its "
        f"invoices and payments belong to {other} now. It stays as it is in ReliaBills, and so do they.",
        remedy=remedy,
        customer=name,
    )


def _note(question: Finding, merge: Merge, books: Snapshots) -> Finding:
    """Why the customer that has the transactions now is not in ReliaBills."""
    here = books[Entity.CUSTOMER].frame.set_index("id")
    other = str(here.loc[merge.into, "display_name"])
    return replace(
        question,
        check=DEPENDS,
        severity=Severity.NOTE,
        side=Side.BOOKS,
        record_id=merge.into,
        label=other,
        customer=other,
        sentence=f"Customer {other} is not created in ReliaBills while it is undecided whether {question.label} there "
        "is the same customer.",
        remedy="Nothing here: it follows once that is settled.",
    )
