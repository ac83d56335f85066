"""Customers whose name QuickBooks has already given to a vendor or an employee: a name is used once among all three.

QuickBooks would refuse them (API file 4.1, fault 6240), and the refusal would fail the first step, tonight and every
night after. So the names that customers are about to be given there are looked up before, and such a customer is held.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from reconcile.compare.leaving import finding_of, left_out, named
from reconcile.compare.rules import NAME_TAKEN
from reconcile.model.changes import Comparison, Decision
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Finding, Severity
from reconcile.model.plan import Action, Operation
from reconcile.model.snapshot import Snapshot

_NAME = "display_name"


def names_going_to_books(customers: Comparison, in_billing: Snapshot) -> tuple[str, ...]:
    """The names that customers may be given in QuickBooks by this comparison, sorted."""
    changes, differences = customers.changes, customers.differences
    renamed = differences["key"][
        ((differences["field"] == _NAME) & (differences["decision"] == Decision.TO_BOOKS)).to_numpy(dtype=bool)
    ]
    new = changes["books_id"].isna().to_numpy()
    going = changes["billing_id"][
        (new | changes["key"].isin(renamed).to_numpy()) & ~changes["held"].to_numpy(dtype=bool)
    ]
    names = in_billing.frame.loc[in_billing.frame["id"].isin(going), _NAME].dropna()
    return tuple(sorted(set(names)))


def with_free_names(operations: Sequence[Operation], taken: Mapping[str, str]) -> tuple[list[Operation], list[Finding]]:
    """The same operations without customers whose name is taken, and all that needs these; a finding for each.

    Args:
        operations: of all steps, in order.
        taken: names in QuickBooks that are no customer's, case-folded, and whose they are: *vendor* or *employee*.
    """
    return left_out(operations, dict(_refused(operations, taken)))


def _refused(operations: Sequence[Operation], taken: Mapping[str, str]) -> Iterable[tuple[int, Finding]]:
    for position, operation in enumerate(operations):
        if operation.step is not Entity.CUSTOMER or operation.side is not Side.BOOKS:
            continue
        name = operation.payload.get(_NAME)
        holder = taken.get(str(name).casefold()) if name else None
        if holder is None or operation.action not in {Action.CREATE, Action.UPDATE}:
            continue
        what = "is not created in QuickBooks" if operation.action is Action.CREATE else "is not renamed in QuickBooks"
        yield (
            position,
            finding_of(
                operation,
                NAME_TAKEN,
                Severity.HOLD,
                f"{named(operation)} {what}: the name {name} is that of {_a(holder)} there, and QuickBooks uses a name "
                "once among customers, vendors and employees.",
                f"Give the customer another name in ReliaBills, for example {name} (customer), or rename the {holder} "
                "in QuickBooks; the next run then carries it.",
            ),
        )


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
