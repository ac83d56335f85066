"""Laws for any two sides and any edits: quiet when equal, symmetric, order-independent, ending in agreement."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reconcile.compare.canonical import References, canonical
from reconcile.compare.diff import compare_all
from reconcile.compare.planning import agreements_after, make_plan, simulate
from reconcile.compare.policy import written_fields
from reconcile.compare.remembered import remembered
from reconcile.compare.tieout import control_totals
from reconcile.model.changes import Comparison
from reconcile.model.entities import Entity, Side
from reconcile.model.snapshot import Snapshot, Snapshots

if TYPE_CHECKING:
    from conftest import Trade

EXAMPLES = int(os.environ.get("LAW_EXAMPLES", "5"))
LAW = settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a trade is short enough to read; shrinking takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
WORDS = st.sampled_from([None, "a", "b", "c"])
EDITS: dict[Entity, dict[str, st.SearchStrategy[Any]]] = {
    Entity.CUSTOMER: {
        "display_name": st.sampled_from(["Amy", "Bob", "amy"]),
        "phone": WORDS,
        "email": WORDS,
        "family_name": WORDS,
        "taxable": st.booleans(),
        "active": st.sampled_from([True, True, False]),
    },
    Entity.PRODUCT: {
        "name": st.sampled_from(["Rocks", "Soil"]),
        "sku": WORDS,
        "unit_price": st.sampled_from([None, 1, 2]),
    },
    Entity.TAX_RATE: {},
    Entity.INVOICE: {
        "memo": WORDS,
        "due_date": st.sampled_from(["2026-03-31", "2026-04-30"]),
        "discount_taxable": st.sampled_from([None, 10]),
        "discount_percent": st.sampled_from([None, 5_0000000]),
        "void": st.sampled_from([False, False, False, True]),
    },
    Entity.PAYMENT: {
        "reference": WORDS,
        "payment_date": st.sampled_from(["2026-03-05", "2026-03-06"]),
        "amount": st.sampled_from([100, 200]),
        "void": st.sampled_from([False, False, False, True]),
    },
}
NATURAL = {
    Entity.CUSTOMER: ("Amy", "Bob", "Cy"),
    Entity.PRODUCT: ("Rocks", "Soil"),
    Entity.INVOICE: ("100", "101", "00100"),
    Entity.PAYMENT: ("A1", "A2"),
}
PLACES = st.sampled_from(["agreed", "agreed", "both", "books", "billing"])


def populate(trade: Trade, data: st.DataObject) -> Trade:
    """A trade of a few records, on one side or both, some agreed, and then edited on either."""
    for entity, names in NATURAL.items():
        for n, name in enumerate(names):
            place = data.draw(PLACES, label=f"{entity} {name} is")
            sides = [side for side in (trade.books, trade.billing) if place in ("agreed", "both", side.side)]
            for side in sides:
                add(side, entity, n, name)
            if place == "agreed":
                trade.agree(entity, f"q{entity}{n}", f"r{entity}{n}")
            for side in sides:
                fields = data.draw(
                    st.sets(st.sampled_from(sorted(EDITS[entity])), max_size=2), label=f"{side.side} edits"
                )
                edits = {field: data.draw(EDITS[entity][field], label=field) for field in sorted(fields)}
                side.change(entity, f"{letter(side.side)}{entity}{n}", **edits)
                if data.draw(st.integers(0, 9), label="deleted") == 0:
                    side.remove(
                        entity, f"{letter(side.side)}{entity}{n}", known=data.draw(st.booleans(), label="known")
                    )
    return trade


def letter(side: Side) -> str:
    return "q" if side is Side.BOOKS else "r"


def add(side: Any, entity: Entity, n: int, name: str) -> None:
    own = letter(side.side)
    record_id, customer = f"{own}{entity}{n}", f"{own}customer{n % 2}"
    if entity is Entity.INVOICE:
        product = f"{own}product{n % 2}"
        side.invoice(record_id, name, customer, 300, 200, product=product)
        for line in side.rows[entity][record_id]:
            line["taxable"] = True
    elif entity is Entity.PAYMENT:
        side.payment(record_id, customer, 100, {f"{own}invoice{n}": 100}, reference=name)
    else:
        side.has(entity, record_id, **{"display_name" if entity is Entity.CUSTOMER else "name": name})


def shuffled(snapshots: Snapshots, seed: int) -> dict[Entity, Snapshot]:
    def mixed(frame: pd.DataFrame) -> pd.DataFrame:
        order = list(range(len(frame)))
        random.Random(seed).shuffle(order)  # noqa: S311 - an order, no secret
        return frame.iloc[order].reset_index(drop=True)

    return {e: replace(s, frame=mixed(s.frame), rows=mixed(s.rows)) for e, s in snapshots.items()}


def cells(snapshots: Snapshots, *comparisons: dict[Entity, Comparison]) -> dict[tuple[Entity, str, str], Any]:
    """Every written value of a side: by entity, id and field; references as keys, by the pairs of any of these.

    A link that has ended since still names its record: the values that refer to it have not changed.
    """
    pairs = {e: pd.concat([one[e].pairs for one in comparisons]).drop_duplicates("billing_id") for e in Entity}
    references, values = References(pairs), {}
    for entity in Entity:
        frame = canonical(snapshots[entity], references)
        for of in written_fields(entity):
            for record_id, value in frame[of.name].items():
                values[entity, str(record_id), of.name] = None if pd.isna(value) else value
    return values


@LAW
@given(data=st.data())
def test_equal_sides_are_quiet_whatever_they_hold(make_trade: type[Trade], data: st.DataObject) -> None:
    trade = make_trade()
    for entity, names in NATURAL.items():
        for n, name in enumerate(names):
            edits = {field: data.draw(values) for field, values in EDITS[entity].items()}
            for side in (trade.books, trade.billing):
                add(side, entity, n, name)
                side.change(entity, f"{letter(side.side)}{entity}{n}", **edits)
            trade.agree(entity, f"q{entity}{n}", f"r{entity}{n}")
    planned = trade.plan()
    assert planned.plan.operations == ()
    for entity, comparison in trade.compare().items():
        assert (comparison.quiet, len(comparison.changes)) == (len(NATURAL.get(entity, ())), 0)


@LAW
@given(data=st.data())
def test_a_plan_carried_out_ends_in_agreement_and_loses_no_edit(make_trade: type[Trade], data: st.DataObject) -> None:
    trade = populate(make_trade(), data)
    before = {Side.BOOKS: trade.books.snapshots(), Side.BILLING: trade.billing.snapshots()}
    books, billing, agreements = before[Side.BOOKS], before[Side.BILLING], trade.agreements()
    comparisons = after = trade.compare()
    for _run in range(4):
        told = [finding for comparison in after.values() for finding in comparison.findings]
        plan = make_plan("craigs", after, books, billing, agreements, told).plan
        if not plan.operations:
            break
        books, billing = simulate(plan, books, billing, {e: comparison.pairs for e, comparison in after.items()})
        agreements = agreements_after(plan, agreements)
        after = compare_all(books, billing, agreements, trade.policy)
    assert plan.operations == (), "runs without edits in between come to an end"

    for side, done in ((Side.BOOKS, books), (Side.BILLING, billing)):
        was, now = cells(before[side], comparisons), cells(done, comparisons, after)
        other = cells(before[side.other], comparisons)
        for (entity, record_id, field), value in was.items():
            if now[entity, record_id, field] == value:
                continue
            assert value is None or value == agreed_value(trade, entity, side, record_id, field, comparisons), (
                f"{field} of {entity} {record_id} was edited to {value!r} and is lost"
            )
            assert now[entity, record_id, field] in {v for (e, _, f), v in other.items() if (e, f) == (entity, field)}


def agreed_value(
    trade: Trade, entity: Entity, side: Side, record_id: str, field: str, comparisons: dict[Entity, Comparison]
) -> Any:
    references = References({e: c.pairs for e, c in comparisons.items()})
    agreement = trade.agreements()[entity]
    values, settled, _ = remembered(agreement, references)
    rows = (agreement.frame[f"{side}_id"] == record_id).to_numpy().nonzero()[0]
    if len(rows) == 0 or not settled[field].iloc[rows[0]]:
        return object()
    value = values[field].iloc[rows[0]]
    return None if pd.isna(value) else value


@LAW
@given(data=st.data(), seed=st.integers(0, 99))
def test_the_order_of_records_changes_nothing(make_trade: type[Trade], data: st.DataObject, seed: int) -> None:
    trade = populate(make_trade(), data)
    books, billing, agreements = trade.books.snapshots(), trade.billing.snapshots(), trade.agreements()
    mixed = shuffled(books, seed), shuffled(billing, seed + 1)
    mixed_agreements = {
        entity: replace(agreement, frame=agreement.frame.sample(frac=1, random_state=seed).reset_index(drop=True))
        for entity, agreement in agreements.items()
    }
    one = compare_all(books, billing, agreements)
    two = compare_all(*mixed, mixed_agreements)
    for entity in Entity:
        for name in ("changes", "differences"):
            frames = [
                getattr(compared[entity], name).sort_values(["key", "reason"]).to_dict("records")
                for compared in (one, two)
            ]
            assert repr(frames[0]) == repr(frames[1])
        assert set(one[entity].findings) == set(two[entity].findings)
    found = [finding for comparison in one.values() for finding in comparison.findings]
    plans = [
        make_plan("craigs", one, books, billing, agreements, found).plan,
        make_plan("craigs", two, *mixed, mixed_agreements, found).plan,
    ]
    assert plans[0] == plans[1]


BOTH_CAN_HOLD = {
    **EDITS[Entity.CUSTOMER],
    "email": st.sampled_from(["a@example.com", "b@example.com"]),
    "family_name": st.sampled_from(["a", "b"]),
}
"""ReliaBills requires a last name and one address: what only one side can hold is decided by which side that is."""

MIRRORED = {"books -> billing": "billing -> books", "billing -> books": "books -> billing"}


@LAW
@given(data=st.data())
def test_customers_are_decided_alike_whichever_side_they_are_on(make_trade: type[Trade], data: st.DataObject) -> None:
    trade, mirror = make_trade(), make_trade()
    for n, name in enumerate(NATURAL[Entity.CUSTOMER]):
        for one in (trade, mirror):
            one.both_have("customer", f"q{n}", f"r{n}", name, phone="a", email=f"mail{n}@example.com")
        edits = {side: {f: data.draw(v) for f, v in BOTH_CAN_HOLD.items() if data.draw(st.booleans())} for side in Side}
        for side in Side:
            for one, where in ((trade, side), (mirror, side.other)):
                getattr(one, where).change(Entity.CUSTOMER, f"{letter(where)}{n}", **edits[side])
    left, right = (one.compare()[Entity.CUSTOMER].differences for one in (trade, mirror))
    decided = left[["key", "field", "base", "books", "billing"]].assign(decision=left["decision"].replace(MIRRORED))
    mirrored = right.rename(columns={"books": "billing", "billing": "books"})[[*decided.columns]]
    order = ["key", "field"]
    assert decided.sort_values(order).to_dict("records") == mirrored.sort_values(order).to_dict("records")


@LAW
@given(data=st.data())
def test_the_items_of_a_tie_out_add_up_to_its_differences(make_trade: type[Trade], data: st.DataObject) -> None:
    trade = populate(make_trade(), data)
    comparisons = trade.compare()
    findings = [finding for comparison in comparisons.values() for finding in comparison.findings]
    pairs = {entity: comparison.pairs for entity, comparison in comparisons.items()}
    tied = control_totals(trade.books.snapshots(), trade.billing.snapshots(), pairs, findings)
    sums = tied.items.groupby(["measure", "currency"])["amount"].sum()
    for row in tied.totals.to_dict("records"):
        assert row["difference"] == sums.get((row["measure"], row["currency"]), 0)
        assert row["explained"] + row["unexplained"] == row["difference"]
