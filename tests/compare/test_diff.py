"""The comparison: fields that merge, fields that are held, and records that are not on both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from reconcile.compare.canonical import References, canonical, described
from reconcile.compare.diff import compare
from reconcile.compare.policy import Policy
from reconcile.compare.remembered import remembered
from reconcile.compare.rules import (
    ABSENT,
    BUNDLE,
    CONFLICT,
    DIFFERENT,
    FIXED,
    GONE,
    INEXPRESSIBLE,
    MERGE,
    NOT_CARRIED,
    PAID_VOID,
    ROUNDING,
    TOTALS,
    UNREAD,
    UNREADABLE,
    UNVOID,
)
from reconcile.errors import ReconcileError
from reconcile.model.changes import Agreement, Verdict
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Finding, Severity
from reconcile.model.snapshot import Scope

if TYPE_CHECKING:
    from conftest import Trade


def decisions(trade: Trade, entity: Entity) -> dict[str, str]:
    frame = trade.compare()[entity].differences
    return dict(zip(frame["field"], frame["decision"], strict=True))


def verdict(trade: Trade, entity: Entity) -> str:
    (only,) = trade.compare()[entity].changes["verdict"]
    return str(only)


def held(trade: Trade, entity: Entity) -> Finding:
    (finding,) = [f for f in trade.compare()[entity].findings if f.severity is Severity.HOLD]
    return finding


@pytest.fixture
def amy(trade: Trade) -> Trade:
    trade.both_have("customer", "q1", "r1", "Amy", phone="1", email="amy@x.example")
    return trade


@pytest.fixture
def invoiced(amy: Trade) -> Trade:
    amy.both_have("product", "q2", "r2", "Rocks")
    amy.both_have("tax_rate", "q3", "r3", "California")
    amy.both_have("invoice", "q5", "r5", "100", "q1", 1000, 500, product="q2", tax_rate_id="q3", tax=120)
    return amy


def test_equal_sides_are_quiet(invoiced: Trade) -> None:
    for comparison in invoiced.compare().values():
        assert comparison.changes.empty
        assert comparison.differences.empty
        assert comparison.findings == ()
    assert invoiced.compare()[Entity.INVOICE].quiet == 1


def test_different_fields_changed_on_both_sides_merge(amy: Trade) -> None:
    amy.books.change(Entity.CUSTOMER, "q1", phone="2")
    amy.billing.change(Entity.CUSTOMER, "r1", email="new@x.example")
    assert verdict(amy, Entity.CUSTOMER) == Verdict.CHANGED_ON_BOTH
    assert decisions(amy, Entity.CUSTOMER) == {"phone": "books -> billing", "email": "billing -> books"}


def test_the_same_field_changed_on_both_sides_leaves_the_whole_record_untouched(amy: Trade) -> None:
    amy.books.change(Entity.CUSTOMER, "q1", phone="2")
    amy.billing.change(Entity.CUSTOMER, "r1", phone="3", email="new@x.example")
    assert verdict(amy, Entity.CUSTOMER) == Verdict.CONFLICT
    assert decisions(amy, Entity.CUSTOMER) == {"phone": "held", "email": "held"}
    finding = held(amy, Entity.CUSTOMER)
    assert finding.check == CONFLICT
    assert "phone changed on both sides (2 in QuickBooks; 3 in ReliaBills) (agreed last: 1)" in finding.sentence
    assert "e-mail" not in finding.sentence


def test_a_company_may_let_one_side_win_a_conflict(amy: Trade) -> None:
    amy.policy = Policy.from_settings({"customer.phone": "billing"}, {})
    amy.books.change(Entity.CUSTOMER, "q1", phone="2")
    amy.billing.change(Entity.CUSTOMER, "r1", phone="3")
    assert decisions(amy, Entity.CUSTOMER) == {"phone": "billing -> books"}
    assert amy.compare()[Entity.CUSTOMER].findings == ()


def test_blanks_of_matched_records_are_filled_and_real_differences_held(trade: Trade) -> None:
    trade.books.customer("q1", "Amy", phone="1", city="Bayshore", taxable=None)
    trade.billing.customer("r1", "Amy", email="amy@x.example", city="Middlefield")
    assert verdict(trade, Entity.CUSTOMER) == Verdict.MATCHED_DIFFERENT
    assert decisions(trade, Entity.CUSTOMER) == {
        "phone": "books -> billing",
        "email": "billing -> books",
        "city": "held",
        "taxable": "held",
    }
    assert held(trade, Entity.CUSTOMER).check == DIFFERENT


def test_a_company_may_let_one_side_win_where_matched_records_differ(trade: Trade) -> None:
    trade.policy = Policy.from_settings({}, {"customer.*": "books"})
    trade.books.customer("q1", "Amy", city="Bayshore")
    trade.billing.customer("r1", "Amy", city="Middlefield")
    assert decisions(trade, Entity.CUSTOMER) == {"city": "books -> billing"}


def test_an_unsettled_field_stays_held_night_after_night_and_settles_when_made_equal(amy: Trade) -> None:
    amy.books.customer("q2", "Bob", city="Bayshore")
    amy.billing.customer("r2", "Bob", city="Middlefield")
    amy.agree(Entity.CUSTOMER, "q2", "r2", "city")
    assert decisions(amy, Entity.CUSTOMER) == {"city": "held"}
    amy.books.change(Entity.CUSTOMER, "q2", city="Middlefield")
    assert decisions(amy, Entity.CUSTOMER) == {"city": "agreed"}
    assert verdict(amy, Entity.CUSTOMER) == Verdict.CHANGED_ALIKE


def test_an_unsettled_field_does_not_keep_an_edit_of_another_waiting(amy: Trade) -> None:
    amy.books.customer("q2", "Bob", city="Bayshore")
    amy.billing.customer("r2", "Bob", city="Middlefield")
    amy.agree(Entity.CUSTOMER, "q2", "r2", "city")
    amy.books.change(Entity.CUSTOMER, "q2", phone="9")
    assert decisions(amy, Entity.CUSTOMER) == {"city": "held", "phone": "books -> billing"}


def test_what_changed_alike_only_moves_the_base(amy: Trade) -> None:
    amy.books.change(Entity.CUSTOMER, "q1", phone="2")
    amy.billing.change(Entity.CUSTOMER, "r1", phone="2")
    assert verdict(amy, Entity.CUSTOMER) == Verdict.CHANGED_ALIKE
    assert decisions(amy, Entity.CUSTOMER) == {"phone": "agreed"}


def test_an_invoice_number_changed_in_quickbooks_goes_back_to_the_old_one(invoiced: Trade) -> None:
    invoiced.books.change(Entity.INVOICE, "q5", number="A-100")
    finding = held(invoiced, Entity.INVOICE)
    assert finding.check == FIXED
    assert "old number back in QuickBooks" in finding.remedy
    assert finding.amount == 1620


def test_a_tax_percent_changed_in_billing_cannot_go_to_quickbooks(invoiced: Trade) -> None:
    invoiced.billing.change(Entity.TAX_RATE, "r3", percent=9_0000000)
    assert held(invoiced, Entity.TAX_RATE).check == FIXED
    invoiced.billing.change(Entity.TAX_RATE, "r3", percent=8_0000000)
    invoiced.books.change(Entity.TAX_RATE, "q3", percent=9_0000000)
    assert decisions(invoiced, Entity.TAX_RATE) == {"percent": "books -> billing"}


def test_an_invoice_that_changed_hands_is_held_with_all_else_about_it(invoiced: Trade) -> None:
    invoiced.both_have("customer", "q8", "r8", "Bob")
    invoiced.books.change(Entity.INVOICE, "q5", customer_id="q8", memo="new owner")
    assert decisions(invoiced, Entity.INVOICE) == {"customer_id": "held", "memo": "held"}


def lines(*amounts: int, taxable: bool = True, product: str | None = "r2") -> list[dict[str, Any]]:
    return [{"product_id": product, "amount": amount, "taxable": taxable} for amount in amounts]


def test_lines_are_compared_as_lines_even_where_totals_tie(invoiced: Trade) -> None:
    invoiced.books.change(Entity.INVOICE, "q5", lines=[*reversed(invoiced.books.rows[Entity.INVOICE]["q5"])])
    assert decisions(invoiced, Entity.INVOICE) == {"lines": "books -> billing"}


def test_a_bundle_in_quickbooks_is_never_taken_apart(invoiced: Trade) -> None:
    invoiced.books.change(Entity.INVOICE, "q5", has_bundle=True)
    invoiced.billing.change(Entity.INVOICE, "r5", lines=lines(1500), discount_taxable=10)
    assert held(invoiced, Entity.INVOICE).check == BUNDLE
    assert decisions(invoiced, Entity.INVOICE) == {"lines": "held", "discount_taxable": "held"}


def test_a_line_typed_in_without_a_product_cannot_go_to_quickbooks(invoiced: Trade) -> None:
    invoiced.billing.change(Entity.INVOICE, "r5", lines=lines(1500, product=None))
    finding = held(invoiced, Entity.INVOICE)
    assert finding.check == INEXPRESSIBLE
    assert "no product" in finding.sentence


def test_a_discount_that_quickbooks_cannot_express_is_found_before_writing(invoiced: Trade) -> None:
    invoiced.billing.change(Entity.INVOICE, "r5", discount_nontaxable=100)
    assert "discount has no form in QuickBooks" in held(invoiced, Entity.INVOICE).sentence


def test_an_edit_in_billing_that_quickbooks_can_hold_is_carried(invoiced: Trade) -> None:
    invoiced.billing.change(Entity.INVOICE, "r5", discount_taxable=100)
    assert decisions(invoiced, Entity.INVOICE) == {"discount_taxable": "billing -> books"}


def test_figures_from_both_sides_that_make_no_invoice_are_a_conflict(invoiced: Trade) -> None:
    invoiced.books.change(Entity.INVOICE, "q5", lines=lines(50, product="q2"), total=54, subtotal=50, tax=4, balance=54)
    invoiced.billing.change(Entity.INVOICE, "r5", discount_taxable=100)
    assert verdict(invoiced, Entity.INVOICE) == Verdict.CONFLICT
    assert decisions(invoiced, Entity.INVOICE) == {"lines": "held", "discount_taxable": "held"}
    finding = held(invoiced, Entity.INVOICE)
    assert finding.check == MERGE
    assert "takes more off its taxable part" in finding.sentence


def test_figures_from_both_sides_below_what_is_paid_are_a_conflict(invoiced: Trade) -> None:
    for side, record_id in ((invoiced.books, "q5"), (invoiced.billing, "r5")):
        side.change(Entity.INVOICE, record_id, balance=0)
    invoiced.books.change(Entity.INVOICE, "q5", lines=lines(1400, product="q2"))
    invoiced.billing.change(Entity.INVOICE, "r5", discount_taxable=1000)
    assert "more is paid in QuickBooks than the invoice would come to" in held(invoiced, Entity.INVOICE).sentence


def test_figures_from_both_sides_that_make_an_invoice_merge(invoiced: Trade) -> None:
    invoiced.books.change(Entity.INVOICE, "q5", lines=lines(1400, product="q2"))
    invoiced.billing.change(Entity.INVOICE, "r5", discount_taxable=100)
    assert verdict(invoiced, Entity.INVOICE) == Verdict.CHANGED_ON_BOTH
    assert invoiced.compare()[Entity.INVOICE].findings == ()


def test_more_applied_than_received_after_a_merge_is_a_conflict(invoiced: Trade) -> None:
    invoiced.both_have("payment", "q7", "r7", "q1", 500, {"q5": 400})
    invoiced.books.change(Entity.PAYMENT, "q7", amount=450)
    invoiced.billing.change(Entity.PAYMENT, "r7", applications=[{"invoice_id": "r5", "amount": 500}])
    assert held(invoiced, Entity.PAYMENT).check == MERGE


def test_disputed_figures_keep_other_figures_waiting_but_not_the_memo(invoiced: Trade) -> None:
    invoiced.books.invoice("q6", "101", "q1", lines=lines(100, product="q2"))
    invoiced.billing.invoice("r6", "101", "r1", lines=lines(200))
    invoiced.agree(Entity.INVOICE, "q6", "r6", "lines")
    invoiced.books.change(Entity.INVOICE, "q6", discount_taxable=10, memo="Thanks")
    assert decisions(invoiced, Entity.INVOICE) == {
        "lines": "held",
        "discount_taxable": "held",
        "memo": "books -> billing",
    }


def test_a_cent_of_tax_per_line_is_rounding_and_noted(invoiced: Trade) -> None:
    invoiced.billing.change(Entity.INVOICE, "r5", tax=122, total=1622, balance=1622)
    comparison = invoiced.compare()[Entity.INVOICE]
    (note,) = comparison.findings
    assert (note.check, note.severity, note.amount) == (ROUNDING, Severity.NOTE, 2)
    assert (comparison.quiet, len(comparison.changes)) == (1, 0)


def test_more_than_a_cent_of_tax_per_line_is_held(invoiced: Trade) -> None:
    invoiced.billing.change(Entity.INVOICE, "r5", tax=123, total=1623, balance=1623)
    finding = held(invoiced, Entity.INVOICE)
    assert finding.check == TOTALS
    assert "1.20 in QuickBooks; 1.23 in ReliaBills" in finding.sentence
    assert decisions(invoiced, Entity.INVOICE) == {"tax": "held", "total": "held"}


def test_totals_that_follow_from_changed_lines_are_no_finding(invoiced: Trade) -> None:
    invoiced.books.change(Entity.INVOICE, "q5", lines=lines(2000, product="q2"), subtotal=2000, total=2160, tax=160)
    assert decisions(invoiced, Entity.INVOICE) == {"lines": "books -> billing"}


def test_a_void_on_both_sides_is_agreed_whatever_its_lines(invoiced: Trade) -> None:
    invoiced.books.change(Entity.INVOICE, "q5", void=True, lines=lines(0, 0, product="q2"), total=0, tax=0, subtotal=0)
    invoiced.billing.change(Entity.INVOICE, "r5", void=True)
    assert decisions(invoiced, Entity.INVOICE) == {"void": "agreed"}


def test_a_void_in_quickbooks_is_carried_as_a_void_and_nothing_else(invoiced: Trade) -> None:
    invoiced.books.change(
        Entity.INVOICE, "q5", void=True, lines=lines(0, 0, product="q2"), total=0, tax=0, subtotal=0, balance=0
    )
    assert verdict(invoiced, Entity.INVOICE) == Verdict.GONE_FROM_BOOKS
    assert decisions(invoiced, Entity.INVOICE) == {"void": "books -> billing"}


def test_an_invoice_with_payments_is_never_voided_by_itself(invoiced: Trade) -> None:
    invoiced.books.change(Entity.INVOICE, "q5", void=True, total=0, tax=0, subtotal=0, balance=0)
    invoiced.billing.change(Entity.INVOICE, "r5", balance=1000)
    assert held(invoiced, Entity.INVOICE).check == PAID_VOID


@pytest.mark.parametrize("policy", ["hold", "books", "billing"])
def test_void_here_and_edited_there_is_a_conflict_that_no_policy_decides(invoiced: Trade, policy: str) -> None:
    invoiced.policy = Policy.from_settings({"*": policy}, {})
    invoiced.billing.change(Entity.INVOICE, "r5", void=True)
    invoiced.books.change(Entity.INVOICE, "q5", memo="still wanted")
    assert verdict(invoiced, Entity.INVOICE) == Verdict.CONFLICT
    assert decisions(invoiced, Entity.INVOICE) == {"void": "held"}


def test_a_void_cannot_be_undone_across(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("invoice", "q5", "r5", "100", "q1", 500, void=True)
    trade.billing.change(Entity.INVOICE, "r5", void=False)
    assert held(trade, Entity.INVOICE).check == UNVOID


def test_an_inactivated_customer_is_carried_unless_it_was_edited_on_the_other_side(amy: Trade) -> None:
    amy.books.change(Entity.CUSTOMER, "q1", active=False)
    assert verdict(amy, Entity.CUSTOMER) == Verdict.GONE_FROM_BOOKS
    assert decisions(amy, Entity.CUSTOMER) == {"active": "books -> billing"}
    amy.billing.change(Entity.CUSTOMER, "r1", phone="7")
    assert decisions(amy, Entity.CUSTOMER) == {"active": "held", "phone": "held"}


def test_a_record_deleted_on_one_side_is_held_with_words(amy: Trade) -> None:
    amy.books.remove(Entity.CUSTOMER, "q1")
    assert verdict(amy, Entity.CUSTOMER) == Verdict.GONE_FROM_BOOKS
    finding = held(amy, Entity.CUSTOMER)
    assert (finding.check, finding.label) == (GONE, "Amy")
    assert "never carried" in finding.remedy


def test_deleted_here_and_edited_there_is_a_conflict(amy: Trade) -> None:
    amy.billing.remove(Entity.CUSTOMER, "r1")
    amy.books.change(Entity.CUSTOMER, "q1", phone="2")
    assert verdict(amy, Entity.CUSTOMER) == Verdict.CONFLICT


def test_gone_from_both_sides_ends_the_link(amy: Trade) -> None:
    amy.billing.remove(Entity.CUSTOMER, "r1")
    amy.books.remove(Entity.CUSTOMER, "q1")
    assert verdict(amy, Entity.CUSTOMER) == Verdict.GONE_FROM_BOTH
    assert amy.compare()[Entity.CUSTOMER].findings == ()


def test_deleted_here_and_ended_there_ends_the_link(amy: Trade) -> None:
    amy.books.remove(Entity.CUSTOMER, "q1")
    amy.billing.change(Entity.CUSTOMER, "r1", active=False)
    assert verdict(amy, Entity.CUSTOMER) == Verdict.GONE_FROM_BOTH


@pytest.mark.parametrize(("chosen", "written"), [("hold", []), ("void", ["void"])])
def test_an_unpaid_invoice_deleted_in_quickbooks_is_voided_where_the_company_says_so(
    invoiced: Trade, chosen: str, written: list[str]
) -> None:
    invoiced.policy = Policy.from_settings({}, {}, chosen)
    invoiced.books.remove(Entity.INVOICE, "q5")
    writes = list(invoiced.plan().plan.writes())
    assert [str(one.action) for one in writes] == written
    assert [(one.side, one.billing_id, one.expected_version, one.payload) for one in writes] == [
        (Side.BILLING, "r5", "0", {"void": True}) for _ in written
    ]
    assert [one.check for one in invoiced.compare()[Entity.INVOICE].findings] == [] if written else [GONE]
    invoiced.books.gone[Entity.INVOICE].clear()
    assert list(invoiced.plan().plan.writes()) == []
    assert held(invoiced, Entity.INVOICE).check == ABSENT


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ({"balance": 1000}, "payments are applied to it in ReliaBills"),
        ({"balance": 0, "state": "paid"}, "payments are applied to it in ReliaBills"),
        ({"state": "closed"}, "closed there"),
        ({"memo": "theirs"}, "while it was changed in ReliaBills"),
    ],
)
def test_an_invoice_deleted_in_quickbooks_is_held_whatever_the_policy_when_it_was_paid_or_edited(
    invoiced: Trade, there: dict[str, Any], words: str
) -> None:
    invoiced.policy = Policy.from_settings({}, {}, "void")
    invoiced.books.remove(Entity.INVOICE, "q5")
    invoiced.billing.change(Entity.INVOICE, "r5", **there)
    assert words in held(invoiced, Entity.INVOICE).sentence
    assert invoiced.plan().plan.operations == ()


def test_no_policy_carries_a_deleted_customer_or_payment_or_a_deletion_in_reliabills(invoiced: Trade) -> None:
    invoiced.policy = Policy.from_settings({}, {}, "void")
    invoiced.both_have("payment", "q7", "r7", "q1", 300)
    invoiced.both_have("customer", "q8", "r8", "Bert")
    invoiced.books.remove(Entity.PAYMENT, "q7")
    invoiced.books.remove(Entity.CUSTOMER, "q8")
    invoiced.billing.remove(Entity.INVOICE, "r5")
    assert {held(invoiced, entity).check for entity in (Entity.CUSTOMER, Entity.INVOICE, Entity.PAYMENT)} == {GONE}
    assert list(invoiced.plan().plan.writes()) == []


def test_an_invoice_entered_again_under_its_number_is_a_question_and_voids_nothing(invoiced: Trade) -> None:
    invoiced.policy = Policy.from_settings({}, {}, "void")
    invoiced.books.remove(Entity.INVOICE, "q5")
    invoiced.books.invoice("q9", "100", "q1", 1500, product="q2")
    told = {one.record_id: one for one in invoiced.compare()[Entity.INVOICE].findings}
    assert "entered again under the same number" in told["q5"].sentence
    assert "invoice:books:q9 invoice:billing:r5" in told["q5"].remedy
    assert told["q9"].severity is Severity.HOLD
    assert list(invoiced.plan().plan.writes()) == []


def test_the_number_of_an_invoice_whose_link_ended_is_not_given_to_another(invoiced: Trade) -> None:
    invoiced.books.remove(Entity.INVOICE, "q5")
    invoiced.billing.change(Entity.INVOICE, "r5", void=True)
    invoiced.links[Entity.INVOICE].clear()
    invoiced.end(Entity.INVOICE, "q5", "r5")
    invoiced.books.invoice("q9", "100", "q1", 1500, product="q2")
    assert "the invoice number is already that of another invoice there (r5)" in held(invoiced, Entity.INVOICE).sentence
    assert list(invoiced.plan().plan.writes()) == []


def test_a_customer_in_use_again_is_made_active_on_the_other_side(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy", active=False)
    trade.books.change(Entity.CUSTOMER, "q1", active=True)
    (write,) = trade.plan().plan.writes()
    assert (str(write.action), write.side, write.payload) == ("update", Side.BILLING, {"active": True})


@pytest.mark.parametrize("also_there", [True, False])
def test_absence_alone_removes_nothing(amy: Trade, also_there: bool) -> None:
    amy.books.remove(Entity.CUSTOMER, "q1", known=False)
    if not also_there:
        amy.billing.remove(Entity.CUSTOMER, "r1", known=False)
    assert held(amy, Entity.CUSTOMER).check == ABSENT
    assert amy.plan().plan.operations == ()


def test_absence_from_a_delta_means_nothing_at_all(amy: Trade) -> None:
    amy.books.scope = amy.billing.scope = Scope.DELTA
    amy.books.remove(Entity.CUSTOMER, "q1", known=False)
    comparison = amy.compare()[Entity.CUSTOMER]
    assert comparison.changes.empty
    assert [(f.check, f.severity) for f in comparison.findings] == [(UNREAD, Severity.NOTE)]
    amy.billing.remove(Entity.CUSTOMER, "r1", known=False)
    assert amy.compare()[Entity.CUSTOMER].findings == ()


@pytest.mark.parametrize("side", list(Side))
def test_a_record_that_could_not_be_read_is_held_and_never_gone(amy: Trade, side: Side) -> None:
    where, record_id = (amy.books, "q1") if side is Side.BOOKS else (amy.billing, "r1")
    where.remove(Entity.CUSTOMER, record_id, known=False)
    where.unreadable[Entity.CUSTOMER].add(record_id)
    assert held(amy, Entity.CUSTOMER).check == UNREADABLE
    assert amy.plan().plan.operations == ()


def test_a_bundle_product_is_noted_and_not_carried(trade: Trade) -> None:
    trade.books.product("q1", "Garden set", type="Group")
    comparison = trade.compare()[Entity.PRODUCT]
    assert comparison.changes.empty
    assert [finding.check for finding in comparison.findings] == [NOT_CARRIED]


def test_a_credit_from_billing_is_not_carried_to_quickbooks(amy: Trade) -> None:
    amy.billing.payment("r7", "r1", 0, credit=100, method="credit")
    finding = held(amy, Entity.PAYMENT)
    assert (finding.check, finding.side) == (INEXPRESSIBLE, Side.BILLING)
    assert amy.plan().plan.operations == ()


def test_references_remembered_before_a_record_came_to_books_are_understood(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("product", "q2", "r2", "Rocks")
    trade.both_have("invoice", "q5", "r5", "100", "q1", 500, product="q2")
    link = trade.links[Entity.INVOICE][0]
    link["fields"] = link["fields"].replace("books:q1", "billing:r1").replace("books:q2", "billing:r2")
    assert trade.compare()[Entity.INVOICE].changes.empty


def test_an_agreement_that_cannot_be_read_back_stops_with_words() -> None:
    texts = pd.DataFrame({"books_id": ["1"], "billing_id": ["2"], "fields": ['{"void": '], "unsettled": [None]})
    broken = Agreement(Entity.INVOICE, texts.astype("str"), texts[["books_id", "billing_id"]].astype("str"))
    with pytest.raises(ReconcileError, match="invoices cannot be read back"):
        remembered(broken, References())


def test_an_agreement_keeps_large_amounts_exact_and_missing_ones_missing(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("payment", "q7", "r7", "q1", 2**53 + 1, credit=None)
    values, settled, _ = remembered(trade.agreements()[Entity.PAYMENT], References())
    assert values["amount"].tolist() == [2**53 + 1]
    assert values["credit"].isna().all()
    assert settled["credit"].all()


@pytest.mark.parametrize("entity", list(Entity))
def test_what_nobody_has_is_compared_to_nothing(trade: Trade, entity: Entity) -> None:
    by_itself = compare(
        entity, trade.books.snapshot(entity), trade.billing.snapshot(entity), trade.agreements()[entity], References()
    )
    with_the_others = trade.compare()[entity]
    for frame in ("changes", "differences", "pairs"):
        pd.testing.assert_frame_equal(getattr(with_the_others, frame), getattr(by_itself, frame))
    assert (with_the_others.quiet, with_the_others.findings, with_the_others.ended) == (0, (), ())


@pytest.mark.parametrize("met", ["gone", "unreadable"])
def test_what_is_known_of_a_record_that_is_not_there_is_compared(trade: Trade, met: str) -> None:
    """Nothing was read and a link is remembered: the record is looked for, and not passed over."""
    trade.both_have("customer", "q1", "r1", "Amy")
    for side in (trade.books, trade.billing):
        side.remove(Entity.CUSTOMER, next(iter(side.records[Entity.CUSTOMER])), known=met == "gone")
        if met == "unreadable":
            side.unreadable[Entity.CUSTOMER].add("q1" if side is trade.books else "r1")
    assert len(trade.compare()[Entity.CUSTOMER].changes) == 1


def test_what_is_made_of_a_snapshot_is_its_own_and_may_be_changed(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.books.invoice("q2", "1001", "q1", total=5)
    for entity, column, value in ((Entity.CUSTOMER, "display_name", "Bob"), (Entity.INVOICE, "total", 7)):
        snapshot = trade.books.snapshot(entity)
        before = snapshot.digest
        for frame in (canonical(snapshot, References()), described(entity, snapshot.frame, References())):
            frame.loc[:, "label" if "label" in frame else column] = "x" if "label" in frame else value
            frame.loc[:, "amount" if "amount" in frame else column] = 7 if "amount" in frame else value
        assert snapshot.digest == before
