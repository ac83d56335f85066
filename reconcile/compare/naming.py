"""Names that QuickBooks has given already: once among customers, vendors and employees, once among products.

QuickBooks would refuse them (API file 4.1, fault 6240), and the refusal would fail the first step, tonight and every
night after. So the names that customers and products are about to be given there are looked up before, and whoever
would get a taken one is held. A new customer or product of a taken name is matched, or is a question, before that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from reconcile.compare.leaving import finding_of, left_out, named
from reconcile.compare.rules import NAME_TAKEN, TAKEN
from reconcile.model.changes import Comparison, Decision
from reconcile.model.entities import Entity, Side, label_column
from reconcile.model.findings import Finding, Severity
from reconcile.model.plan import Action, Operation
from reconcile.model.snapshot import Snapshot

_NAME = "display_name"


def names_going_to_books(customers: Comparison, in_billing: Snapshot) -> tuple[str, ...]:
    """The names that customers may be given in QuickBooks by this comparison, sorted."""
    changes = customers.changes
    renamed = customers.keys_going(Decision.TO_BOOKS, _NAME)
    new = changes["books_id"].isna().to_numpy()
    going = changes["billing_id"][
        (new | changes["key"].isin(renamed).to_numpy()) & ~changes["held"].to_numpy(dtype=bool)
    ]
    names = in_billing.frame.loc[in_billing.frame["id"].isin(going), _NAME].dropna()
    return tuple(sorted(set(names)))


def renamed_in_books(comparison: Comparison, in_billing: Snapshot) -> dict[str, str]:
    """Customers or products that this comparison gives another name in QuickBooks: by their id there, that name."""
    changes, column = comparison.changes, label_column(comparison.entity)
    going = comparison.keys_going(Decision.TO_BOOKS, column)
    if going.empty:
        return {}
    pairs = changes[changes["key"].isin(going).to_numpy() & changes["books_id"].notna().to_numpy()]
    names = dict(zip(in_billing.frame["id"], in_billing.frame[column], strict=True))
    renamed = {
        str(books_id): names.get(billing_id)
        for books_id, billing_id in zip(pairs["books_id"], pairs["billing_id"], strict=True)
    }
    return {books_id: str(name) for books_id, name in renamed.items() if isinstance(name, str)}


def with_free_names(
    operations: Sequence[Operation], taken: Mapping[str, str], in_the_way: Mapping[tuple[Entity, str], str]
) -> tuple[list[Operation], list[Finding]]:
    """The same operations without those whose new name is taken, and all that needs these; a finding for each.

    Args:
        operations: of all steps, in order.
        taken: names in QuickBooks that are no customer's, case-folded, and whose they are: *vendor* or *employee*.
        in_the_way: customers and products by their id in QuickBooks, and the id of the other one of their kind that has
            the name which they are to get.
    """
    return left_out(operations, {**dict(_in_the_way(operations, in_the_way)), **dict(_refused(operations, taken))})


def _in_the_way(
    operations: Sequence[Operation], in_the_way: Mapping[tuple[Entity, str], str]
) -> Iterable[tuple[int, Finding]]:
    for position, operation in enumerate(operations):
        noun, name = operation.step.singular, operation.payload.get(label_column(operation.step))
        holder = in_the_way.get((operation.step, operation.target_id or ""))
        if holder is None or operation.side is not Side.BOOKS or not name:
            continue
        yield (
            position,
            finding_of(
                operation,
                TAKEN,
                Severity.HOLD,
                f"{named(operation)} is not renamed in QuickBooks: the name {name} is that of another {noun} there "
                f"(id {holder}), and QuickBooks uses a name once.",
                f"Give one of the two another name. If the other {noun} gets a new name in this run, the next one "
                "carries this; two that exchange their names need a third name for a day.",
            ),
        )


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
