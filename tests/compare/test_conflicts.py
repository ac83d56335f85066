"""What waits for a person, with the money behind it; and the laws of two hands on one record."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reconcile.compare.conflicts import Conflicts, conflicts
from reconcile.compare.policy import Policy
from reconcile.compare.rules import AMBIGUOUS, CONFLICT, TAKEN
from reconcile.model.changes import Verdict
from reconcile.model.entities import Entity, Side
from reconcile.model.plan import Action

if TYPE_CHECKING:
    from conftest import Trade

LAW = settings(
    max_examples=int(os.environ.get("LAW_EXAMPLES", "5")),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[*HealthCheck],
)


def waiting(trade: Trade) -> Conflicts:
    planned, compared = trade.plan(), trade.compare()
    told = [finding for comparison in compared.values() for finding in comparison.findings]
    return conflicts(
        compared, trade.books.snapshots(), trade.billing.snapshots(), [*told, *planned.findings], planned.waits
    )


def rows(frame: Any) -> dict[str, dict[str, Any]]:
    return {row["label"]: row for row in frame.to_dict("records")}


def test_a_held_customer_shows_the_invoices_and_payments_that_wait_for_it(trade: Trade) -> None:
    trade.books.customer("q1", "Amy")
    trade.books.customer("q2", "Amy")
    trade.billing.customer("r1", "Amy")
    trade.both_have("customer", "q3", "r3", "Bob")
    trade.books.invoice("q5", "100", "q1", 5000)
    trade.books.invoice("q6", "101", "q3", 700)
    trade.books.payment("q7", "q1", 2000, {"q5": 2000}, reference="cheque")
    found = waiting(trade)
    assert list(found.records["key"]) == ["books:q1", "books:q2", "billing:r1"]
    first = found.records.iloc[0]
    assert (first["waiting"], first["waiting_invoices"], first["waiting_payments"]) == (2, 5000, 2000)
    assert (first["check"], first["ways"]) == (AMBIGUOUS, "link,ignore")
    assert set(found.waiting["label"]) == {"100", "cheque"}
    assert set(found.records["waiting"].iloc[1:]) == {0}


def test_a_held_field_shows_base_and_both_sides_in_words_and_keeps_nothing_else_waiting(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy", phone="1", city="Bayshore")
    trade.books.change(Entity.CUSTOMER, "q1", phone="2", city="Tucson")
    trade.billing.change(Entity.CUSTOMER, "r1", phone="3")
    trade.books.invoice("q5", "100", "q1", 5000)
    found = waiting(trade)
    (record,) = found.records.to_dict("records")
    assert (record["check"], record["changed_in"], record["ways"], record["waiting"]) == (
        CONFLICT,
        "both",
        "keep,unlink,ignore",
        0,
    )
    fields = {row["field"]: row for row in found.fields.to_dict("records")}
    assert [fields["phone"][name] for name in ("base", "books", "billing", "changed_in")] == ["1", "2", "3", "both"]
    assert (fields["city"]["changed_in"], fields["city"]["held"]) == ("QuickBooks", True)
    assert json.loads(fields["phone"]["seen"]) == {"base": ["1"], "books": "2", "billing": "3"}


def test_a_held_invoice_shows_its_payments_and_comes_back_from_json_unchanged(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("product", "q2", "r2", "Rocks")
    trade.both_have("invoice", "q5", "r5", "100", "q1", 10000, product="q2")
    for side, letter, amount in ((trade.books, "q", 9000), (trade.billing, "r", 8000)):
        line = {"product_id": f"{letter}2", "taxable": False, "amount": amount}
        side.change(Entity.INVOICE, f"{letter}5", lines=[line], subtotal=amount, total=amount, balance=amount)
    trade.books.payment("q7", "q1", 3000, {"q5": 3000}, reference="cheque")
    found = waiting(trade)
    (record,) = found.records.to_dict("records")
    assert (record["label"], record["customer"], record["waiting_payments"]) == ("100", "Amy", 3000)
    again = Conflicts.from_json(json.loads(json.dumps(found.to_json())))
    for name in ("records", "fields", "waiting"):
        assert getattr(again, name).equals(getattr(found, name)), name


def test_nothing_waits_where_nothing_is_held(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.books.change(Entity.CUSTOMER, "q1", phone="2")
    assert waiting(trade).records.empty


# Two hands on one record

VALUES = st.sampled_from([None, "a", "b", "c"])
CUSTOMER = st.fixed_dictionaries({"phone": VALUES, "city": VALUES, "region": VALUES})


@LAW
@given(base=CUSTOMER, books=CUSTOMER, billing=CUSTOMER)
def test_each_field_goes_where_it_did_not_change_and_a_field_changed_on_both_touches_neither(
    make_trade: type[Trade], base: Any, books: Any, billing: Any
) -> None:
    """Different fields merge, the same value is adopted, other values hold the record and not its siblings."""
    trade = make_trade()
    trade.both_have("customer", "q1", "r1", "Amy", **base)
    trade.both_have("customer", "q2", "r2", "Bob", phone="1")
    trade.books.change(Entity.CUSTOMER, "q1", **books)
    trade.billing.change(Entity.CUSTOMER, "r1", **billing)
    trade.books.change(Entity.CUSTOMER, "q2", phone="2")
    clash = any(len({base[name], books[name], billing[name]}) == 3 for name in base)
    written: dict[tuple[str, Side | None], dict[str, Any]] = {}
    for operation in trade.plan().plan.operations:
        written[operation.key, operation.side] = dict(operation.payload)
    assert written.pop(("books:q2", Side.BILLING)) == {"phone": "2"}
    to_billing = {name: books[name] for name in base if books[name] != base[name] == billing[name]}
    to_books = {name: billing[name] for name in base if billing[name] != base[name] == books[name]}
    adopted = any(books[name] == billing[name] != base[name] for name in base)
    expected = {} if clash else {Side.BILLING: to_billing, Side.BOOKS: to_books}
    assert {side: payload for (_, side), payload in written.items() if side} == {
        side: payload for side, payload in expected.items() if payload
    }
    assert any(side is None for _, side in written) == adopted
    assert len(waiting(trade).records) == int(clash)


@LAW
@given(
    side=st.sampled_from(list(Side)),
    known=st.booleans(),
    edit=st.sampled_from([{"phone": "2"}, {"city": "Tucson"}, {"email": "new@x.com"}]),
)
def test_deleted_on_one_side_and_edited_on_the_other_is_neither_deleted_nor_brought_back(
    make_trade: type[Trade], side: Side, known: bool, edit: Any
) -> None:
    trade = make_trade()
    trade.both_have("customer", "q1", "r1", "Amy", phone="1")
    gone, left = (trade.books, trade.billing) if side is Side.BOOKS else (trade.billing, trade.books)
    gone.remove(Entity.CUSTOMER, "q1" if side is Side.BOOKS else "r1", known=known)
    left.change(Entity.CUSTOMER, "r1" if side is Side.BOOKS else "q1", **edit)
    assert trade.plan().plan.operations == ()
    (record,) = waiting(trade).records.to_dict("records")
    assert side.product in record["reason"]
    assert "keep" not in record["ways"]


@LAW
@given(counts=st.tuples(st.integers(1, 3), st.integers(1, 3)))
def test_made_on_both_sides_at_once_is_one_record_or_a_question_and_never_a_second(
    make_trade: type[Trade], counts: tuple[int, int]
) -> None:
    trade = make_trade()
    for n in range(counts[0]):
        trade.books.customer(f"q{n}", "Amy")
    for n in range(counts[1]):
        trade.billing.customer(f"r{n}", "Amy")
    actions = [operation.action for operation in trade.plan().plan.operations]
    if counts == (1, 1):
        assert actions == [Action.LINK]
        assert waiting(trade).records.empty
    else:
        assert actions == []
        assert set(waiting(trade).records["key"]) == {f"books:q{n}" for n in range(counts[0])} | {
            f"billing:r{n}" for n in range(counts[1])
        }


@LAW
@given(books=st.integers(2, 3), linked=st.booleans())
def test_a_number_that_one_side_has_twice_is_kept_apart_by_id(
    make_trade: type[Trade], books: int, linked: bool
) -> None:
    trade = make_trade()
    trade.both_have("customer", "q1", "r1", "Amy")
    if linked:
        trade.both_have("invoice", "q10", "r10", "100", "q1", 1000)
    else:
        trade.billing.invoice("r10", "100", "r1", 1000)
    for n in range(1, books + 1):
        trade.books.invoice(f"q1{n}", "100", "q1", 1000 * n)
    trade.books.change(Entity.INVOICE, "q11", memo="changed")
    compared = trade.compare()[Entity.INVOICE]
    assert list(compared.pairs["books_id"]) == (["q10"] if linked else [])
    assert {finding.check for finding in compared.findings} == {TAKEN if linked else AMBIGUOUS}
    assert trade.plan().plan.operations == ()


@LAW
@given(how=st.sampled_from(["void", "deleted"]), side=st.sampled_from(list(Side)), amount=st.integers(1, 9999))
def test_a_number_used_again_after_a_void_or_delete_belongs_to_the_new_invoice_only(
    make_trade: type[Trade], how: str, side: Side, amount: int
) -> None:
    trade = make_trade()
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("product", "q2", "r2", "Rocks")
    trade.both_have("invoice", "q5", "r5", "100", "q1", 1000, product="q2")
    for one, letter in ((trade.books, "q"), (trade.billing, "r")):
        if how == "void":
            one.change(Entity.INVOICE, f"{letter}5", void=True, state="void", balance=0)
        else:
            one.remove(Entity.INVOICE, f"{letter}5")
    own, letter = (trade.books, "q") if side is Side.BOOKS else (trade.billing, "r")
    own.invoice(f"{letter}6", "100", f"{letter}1", amount, product=f"{letter}2")
    compared = trade.compare()[Entity.INVOICE]
    assert list(zip(compared.pairs["books_id"], compared.pairs["billing_id"], strict=True)) == [("q5", "r5")]
    assert all(operation.key != "books:q5" or not operation.action.writes for operation in trade.plan().plan.operations)


def test_a_name_that_another_record_bears_already_is_a_question_with_a_way_out(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.books.customer("q2", "Amy", email="other@x.com")
    (record,) = waiting(trade).records.to_dict("records")
    assert (record["key"], record["check"], record["ways"]) == ("books:q2", TAKEN, "link,ignore")
    assert "Change it in QuickBooks, or merge the two records there if they are one." in record["remedy"]


@LAW
@given(amounts=st.lists(st.integers(1, 999), min_size=2, max_size=3, unique=True), side=st.sampled_from(list(Side)))
def test_lines_that_changed_places_or_products_are_seen_though_the_totals_tie(
    make_trade: type[Trade], amounts: list[int], side: Side
) -> None:
    trade = make_trade()
    trade.both_have("customer", "q1", "r1", "Amy")
    for n in (2, 3):
        trade.both_have("product", f"q{n}", f"r{n}", f"Product {n}")
    trade.both_have("invoice", "q5", "r5", "100", "q1", *amounts, product="q2")
    own, letter = (trade.books, "q") if side is Side.BOOKS else (trade.billing, "r")
    lines = [dict(line) for line in own.rows[Entity.INVOICE][f"{letter}5"]]
    lines[0]["amount"], lines[1]["amount"] = lines[1]["amount"], lines[0]["amount"]
    own.change(Entity.INVOICE, f"{letter}5", lines=lines)
    verdict = Verdict.CHANGED_IN_BOOKS if side is Side.BOOKS else Verdict.CHANGED_IN_BILLING
    assert list(trade.compare()[Entity.INVOICE].changes["verdict"]) == [str(verdict)]
    (operation,) = trade.plan().plan.operations
    assert (operation.side, list(operation.payload)) == (side.other, ["lines"])


@pytest.mark.parametrize("winner", ["books", "billing"])
def test_a_policy_decides_a_conflict_and_the_plan_says_so(trade: Trade, winner: str) -> None:
    trade.policy = Policy.from_settings({"customer.phone": winner}, {})
    trade.both_have("customer", "q1", "r1", "Amy", phone="1")
    trade.books.change(Entity.CUSTOMER, "q1", phone="2")
    trade.billing.change(Entity.CUSTOMER, "r1", phone="3")
    (operation,) = trade.plan().plan.operations
    kept = Side(winner)
    assert (operation.side, dict(operation.payload)) == (kept.other, {"phone": "2" if winner == "books" else "3"})
    assert f"changed on both sides; the company lets {kept.product} win" in operation.reason
    assert waiting(trade).records.empty
