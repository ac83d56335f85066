"""What an accountant has finished stays as it is, whatever the other side says, unless a person lets it pass."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from reconcile.compare.planning import Planned
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Severity
from reconcile.model.guards import Permission
from reconcile.model.plan import Action

if TYPE_CHECKING:
    from conftest import Trade

FRIDAY = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def shop(trade: Trade) -> Trade:
    """Amy owes 1,000 on invoice 100 and has paid invoice 101; both are taxed."""
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("product", "q2", "r2", "Gardening")
    trade.both_have("tax_rate", "q3", "r3", "California", agency="State Board + Tucson City")
    taxed = {"tax": 80, "total": 1080}
    for n, paid in (("4", False), ("5", True)):
        standing = {"balance": 0, "state": "paid"} if paid else {}
        trade.both_have(
            "invoice",
            f"q{n}",
            f"r{n}",
            f"10{n}",
            "q1",
            1000,
            tax_rate_id="q3",
            product="q2",
            **taxed,
            **standing,
        )
    trade.both_have("payment", "q6", "r6", "q1", 1080, {"q5": 1080})
    return trade


def held(planned: Planned) -> dict[str, str]:
    """What is left out, by label, and why."""
    return {finding.label: finding.check for finding in planned.left_out if finding.severity is Severity.HOLD}


def writes(planned: Planned) -> list[tuple[Entity, Action, Side | None, str]]:
    return [(one.step, one.action, one.side, one.label) for one in planned.plan.writes()]


def let_pass(guard: str, record: str) -> Permission:
    return Permission(1, guard, record, None, "Agreed with Amy.", "Ann", "", False, FRIDAY, FRIDAY, None, ())


DEARER = [{"product_id": "r2", "description": "work 1", "amount": 2000, "taxable": True}]


def test_an_edit_of_a_closed_period_is_not_sent_to_quickbooks_and_says_what_to_do(shop: Trade) -> None:
    shop.billing.change(Entity.INVOICE, "r4", memo="Thank you", due_date="2026-04-30")
    assert writes(shop.plan(closed_until="2026-02-28")) == [(Entity.INVOICE, Action.UPDATE, Side.BOOKS, "104")]
    planned = shop.plan(closed_until="2026-03-01")
    assert writes(planned) == []
    assert held(planned) == {"104": "protected_closed_books"}
    (finding,) = planned.left_out
    assert finding.sentence == (
        "Invoice 104 of Amy was changed in ReliaBills, but it is dated 2026-03-01, and the books are closed until "
        "2026-03-01. It stays as it is."
    )
    assert "not tried again while the period is closed" in finding.remedy
    assert "permit" not in finding.remedy


@pytest.mark.parametrize("change", [{"void": True, "balance": 0, "state": "void"}, {"invoice_date": "2026-03-20"}])
def test_neither_a_void_nor_a_new_date_gets_out_of_a_closed_period(shop: Trade, change: dict[str, Any]) -> None:
    shop.billing.change(Entity.INVOICE, "r4", **change)
    assert held(shop.plan(closed_until="2026-03-10")) == {"104": "protected_closed_books"}


def test_a_new_document_in_a_closed_period_waits_with_what_depends_on_it_and_a_later_payment_of_an_old_one_goes(
    shop: Trade,
) -> None:
    shop.billing.invoice("r7", "107", "r1", 500, product="r2")
    shop.billing.payment("r8", "r1", 500, {"r7": 500}, reference="eight", payment_date="2026-04-05")
    shop.billing.payment("r9", "r1", 100, {"r4": 100}, reference="nine", payment_date="2026-04-05")
    planned = shop.plan(closed_until="2026-03-31")
    assert writes(planned) == [(Entity.PAYMENT, Action.CREATE, Side.BOOKS, "nine")]
    assert held(planned) == {"107": "protected_closed_books"}
    (note,) = (finding for finding in planned.left_out if finding.severity is Severity.NOTE)
    assert note.sentence == "Payment eight of Amy waits for invoice 107 of Amy, which is held."


def test_what_quickbooks_changed_in_its_own_closed_period_reaches_billing(shop: Trade) -> None:
    shop.books.change(Entity.INVOICE, "q4", memo="by the accountant")
    assert writes(shop.plan(closed_until="2026-12-31")) == [(Entity.INVOICE, Action.UPDATE, Side.BILLING, "104")]


def test_a_deposited_payment_is_neither_changed_nor_voided_in_quickbooks(shop: Trade) -> None:
    shop.books.change(Entity.PAYMENT, "q6", deposited=True)
    assert writes(shop.plan()) == []
    shop.billing.change(Entity.PAYMENT, "r6", void=True)
    planned = shop.plan()
    assert writes(planned) == []
    assert list(held(planned).values()) == ["protected_deposited_payment"]
    assert "Take the payment off its deposit in QuickBooks" in planned.left_out[0].remedy
    shop.billing.change(Entity.PAYMENT, "r6", void=False, reference="a word")
    assert list(held(shop.plan()).values()) == ["protected_deposited_payment"]


def test_a_payment_that_a_card_was_charged_for_is_not_voided_in_billing(shop: Trade) -> None:
    shop.billing.change(Entity.PAYMENT, "r6", processed=True)
    shop.books.change(Entity.PAYMENT, "q6", void=True)
    planned = shop.plan()
    assert writes(planned) == []
    assert list(held(planned).values()) == ["protected_processed_payment"]
    assert "Refund it in ReliaBills" in planned.left_out[0].remedy


@pytest.mark.parametrize("side", Side)
def test_the_lines_of_a_paid_invoice_are_changed_only_by_a_named_override(shop: Trade, side: Side) -> None:
    here, prefix = (shop.books, "q") if side is Side.BOOKS else (shop.billing, "r")
    lines = [{**line, "product_id": f"{prefix}2"} for line in DEARER]
    here.change(Entity.INVOICE, f"{prefix}5", lines=lines, subtotal=2000, tax=160, total=2160, balance=1080)
    planned = shop.plan()
    assert writes(planned) == []
    (finding,) = planned.left_out
    assert finding.check == "protected_paid_invoice"
    assert f"was changed in {side.product}, but it is fully paid in {side.other.product}" in finding.sentence
    assert "`reconcile permit craigs protected:paid-invoice --record invoice:books:q5 --because" in finding.remedy

    other = let_pass("protected:paid-invoice", "invoice:books:q4")
    assert writes(shop.plan(permissions=[other])) == []
    planned = shop.plan(permissions=[let_pass("protected:paid-invoice", "invoice:books:q5")])
    assert writes(planned) == [(Entity.INVOICE, Action.UPDATE, side.other, "105")]
    assert [guard.name for guard, _ in planned.passed] == ["protected:paid-invoice"]


def test_a_memo_on_a_paid_invoice_is_no_edit_of_what_was_paid(shop: Trade) -> None:
    shop.billing.change(Entity.INVOICE, "r5", memo="Thank you")
    assert writes(shop.plan()) == [(Entity.INVOICE, Action.UPDATE, Side.BOOKS, "105")]


def test_an_invoice_whose_tax_was_filed_is_changed_only_by_a_named_override(shop: Trade) -> None:
    change = {"lines": DEARER, "subtotal": 2000, "tax": 160, "total": 2160, "balance": 2160}
    shop.billing.change(Entity.INVOICE, "r4", **change)
    filed = {"Tucson City": "2026-03-31"}
    planned = shop.plan(filed_until=filed)
    assert writes(planned) == []
    (finding,) = planned.left_out
    assert finding.check == "protected_filed_tax"
    assert "its sales tax was filed with Tucson City until 2026-03-31" in finding.sentence
    for elsewhere in ({"Tucson City": "2026-02-28"}, {"Other Agency": "2026-03-31"}, {}):
        assert len(writes(shop.plan(filed_until=elsewhere))) == 1
    permitted = let_pass("protected:filed-tax", "invoice:books:q4")
    assert len(writes(shop.plan(filed_until=filed, permissions=[permitted]))) == 1


@pytest.mark.parametrize(
    ("change", "left_out"),
    [({"memo": "Thank you"}, False), ({"void": True, "balance": 0, "state": "void"}, True)],
)
def test_of_a_filed_invoice_the_void_waits_and_the_memo_goes(
    shop: Trade, change: dict[str, Any], left_out: bool
) -> None:
    shop.billing.change(Entity.INVOICE, "r4", **change)
    assert bool(held(shop.plan(filed_until={"Tucson City": "2026-03-31"}))) is left_out


def test_a_new_invoice_without_tax_belongs_to_no_return(shop: Trade) -> None:
    shop.billing.invoice("r7", "107", "r1", 500, product="r2")
    shop.billing.invoice("r8", "108", "r1", 500, product="r2", tax_rate_id="r3", tax=40, total=540, balance=540)
    planned = shop.plan(filed_until={"Tucson City": "2026-03-31"})
    assert writes(planned) == [(Entity.INVOICE, Action.CREATE, Side.BOOKS, "107")]
    assert held(planned) == {"108": "protected_filed_tax"}


@pytest.mark.parametrize("side", Side)
def test_an_invoice_voided_after_payment_is_never_voided_across(shop: Trade, side: Side) -> None:
    here, prefix = (shop.books, "q") if side is Side.BOOKS else (shop.billing, "r")
    here.change(Entity.INVOICE, f"{prefix}5", void=True, balance=0, state="void")
    planned = shop.plan(permissions=[let_pass("protected:paid-invoice", "invoice:books:q5")])
    assert not [one for one in planned.plan.writes() if one.step is Entity.INVOICE]
    findings = [one for comparison in shop.compare().values() for one in comparison.findings]
    assert [one.check for one in findings if one.label == "105"] == ["void_with_payments"]
