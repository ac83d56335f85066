"""The rules of ReliaBills, each kept and each seen broken."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select

from reconcile.model.money import to_scaled
from reconcile.sandbox.billing import ledger
from reconcile.sandbox.billing.database import create_database, transaction
from reconcile.sandbox.billing.ledger import BillingRuleError, LineDraft, Terms
from reconcile.sandbox.billing.schema import (
    BillingSession,
    Customer,
    Invoice,
    Payment,
    PaymentApplication,
    PortalEdit,
    Product,
    Refund,
    TaxRate,
)

TODAY = date(2026, 3, 10)


def _customer(session: BillingSession) -> Customer:
    return session.scalars(select(Customer).order_by(Customer.id)).first()  # type: ignore[return-value]


def _write(session: BillingSession, amount: int = 10000, **facts: Any) -> Invoice:
    lines = facts.pop("lines", [LineDraft(description="Work", amount=amount)])
    return ledger.new_invoice(session, _customer(session), invoice_date=TODAY, due_date=None, lines=lines, **facts)


def _pay(session: BillingSession, applied: dict[Invoice, int], amount: int | None = None, **facts: Any) -> Payment:
    money = sum(applied.values()) if amount is None else amount
    return ledger.take_payment(
        session, _customer(session), payment_date=TODAY, amount=money, applied=applied, method="check", **facts
    )


@pytest.mark.parametrize(
    ("details", "why"),
    [
        ({"first_name": "", "last_name": "X", "email": "a@b.c"}, "first name"),
        ({"first_name": "X", "email": "a@b.c"}, "last name"),
        ({"first_name": "X", "last_name": "X"}, "email"),
        ({"first_name": "X", "last_name": "X", "email": "a@b.c,d@e.f"}, "one e-mail address"),
        ({"first_name": "X", "last_name": "X", "email": "a@b.c", "further_emails": "a@b.c, d@e.f"}, "one e-mail"),
    ],
)
def test_a_customer_has_two_names_and_exactly_one_primary_address(
    shop: Engine, details: dict[str, str], why: str
) -> None:
    with pytest.raises(BillingRuleError, match=why), transaction(shop) as session:
        ledger.add_customer(session, **details)


def test_customers_edit_themselves_in_the_portal_and_each_field_is_logged(shop: Engine) -> None:
    with transaction(shop) as session:
        ledger.portal_edit(session, _customer(session), phone="(650) 555-1000", email="new@intuit.com")
    with transaction(shop) as session:
        assert _customer(session).phone == "(650) 555-1000"
        logged = session.scalars(select(PortalEdit).order_by(PortalEdit.id)).all()
        assert [(edit.field, edit.before, edit.after) for edit in logged] == [
            ("phone", None, "(650) 555-1000"),
            ("email", "garden@intuit.com", "new@intuit.com"),
        ]


def test_the_portal_neither_enrols_nor_empties_what_is_required(shop: Engine) -> None:
    with pytest.raises(BillingRuleError, match="auto_pay"), transaction(shop) as session:
        ledger.portal_edit(session, _customer(session), auto_pay="card")
    with pytest.raises(BillingRuleError, match="email"), transaction(shop) as session:
        ledger.portal_edit(session, _customer(session), email="")


def test_only_active_customers_are_invoiced(shop: Engine) -> None:
    with transaction(shop) as session:
        ledger.inactivate(session, _customer(session))
    with pytest.raises(BillingRuleError, match="inactive"), transaction(shop) as session:
        _write(session)


def test_numbers_count_up_from_100_and_skip_those_used(shop: Engine) -> None:
    with transaction(shop) as session:
        _write(session, number="101")
        assert [_write(session).number for _ in range(3)] == ["100", "102", "103"]


@pytest.mark.parametrize("number", ["A100", "\uff11\uff12\uff13", "", "12 3", "1" * 22])
def test_a_number_is_digits_only(shop: Engine, number: str) -> None:
    with pytest.raises(BillingRuleError, match="no invoice number"), transaction(shop) as session:
        _write(session, number=number)


def test_leading_zeros_make_another_number(shop: Engine) -> None:
    with transaction(shop) as session:
        assert [_write(session, number=number).number for number in ("123", "00123")] == ["123", "00123"]
    with pytest.raises(BillingRuleError, match="already"), transaction(shop) as session:
        _write(session, number="00123")


def test_an_invoice_is_computed_from_its_lines_discounts_and_rate(shop: Engine) -> None:
    with transaction(shop) as session:
        sod, rate = session.scalars(select(Product)).one(), session.scalars(select(TaxRate)).one()
        lines = [
            LineDraft(sod, None, to_scaled("3.5"), to_scaled("15"), taxable=True),
            LineDraft(description="Lumber", amount=1000),
        ]
        invoice = _write(session, lines=lines, terms=Terms(tax_rate=rate, discount_taxable=250))
        assert [line.amount for line in invoice.lines] == [5250, 1000]
        assert (invoice.subtotal, invoice.discount, invoice.tax, invoice.total) == (6250, 250, 400, 6400)
        ledger.edit_invoice(session, invoice, {"memo": "Thanks"}, lines=lines[:1], terms=Terms(tax_rate=rate))
        assert (invoice.subtotal, invoice.discount, invoice.tax, invoice.total) == (5250, 0, 420, 5670)
        assert invoice.balance == 5670
        assert invoice.memo == "Thanks"


def test_a_discount_larger_than_its_part_is_refused(shop: Engine) -> None:
    with pytest.raises(BillingRuleError, match="takes more off"), transaction(shop) as session:
        _write(session, terms=Terms(discount_taxable=1))


def test_a_part_payment_leaves_the_rest_open_and_a_full_one_pays(shop: Engine) -> None:
    with transaction(shop) as session:
        invoice = _write(session)
        _pay(session, {invoice: 4000})
        assert (invoice.balance, invoice.state) == (6000, "open")
        _pay(session, {invoice: 6000})
        assert (invoice.balance, invoice.state) == (0, "paid")


def test_one_payment_covers_two_invoices_and_keeps_the_rest(shop: Engine) -> None:
    with transaction(shop) as session:
        first, second = _write(session), _write(session)
        payment = _pay(session, {first: 10000, second: 2500}, amount=20000)
        assert payment.unapplied == 7500
        assert (first.state, second.balance) == ("paid", 7500)


@pytest.mark.parametrize(
    ("amount", "part", "why"),
    [(10000, 10001, "more than was received"), (30000, 10001, "more applied"), (0, 0, "more than nothing")],
)
def test_a_payment_cannot_pay_more_than_it_has_or_than_is_owed(shop: Engine, amount: int, part: int, why: str) -> None:
    with pytest.raises(BillingRuleError, match=why), transaction(shop) as session:
        _pay(session, {_write(session): part} if part else {}, amount=amount)


def test_an_invoice_with_payments_is_not_voided_and_a_void_one_takes_none(shop: Engine) -> None:
    with transaction(shop) as session:
        paid, void = _write(session), _write(session)
        payment = _pay(session, {paid: 100})
        with pytest.raises(BillingRuleError, match="has payments"):
            ledger.void_invoice(session, paid)
        ledger.void_invoice(session, void)
        assert (void.state, void.balance, void.total) == ("void", 0, 10000)
        with pytest.raises(BillingRuleError, match="is void"):
            _pay(session, {void: 100})
        with pytest.raises(BillingRuleError, match="is void"):
            ledger.edit_invoice(session, void, {"memo": "x"})
        ledger.void_payment(session, payment)
        assert (paid.balance, payment.unapplied, payment.applications) == (10000, 0, [])
        ledger.void_invoice(session, paid)


def test_a_refund_reopens_or_closes_as_the_user_chooses(shop: Engine) -> None:
    with transaction(shop) as session:
        reopened, closed = _write(session), _write(session)
        payment = _pay(session, {reopened: 10000, closed: 10000})
        ledger.refund(session, payment, reopened, amount=4000, on=TODAY, reopen=True)
        ledger.refund(session, payment, closed, amount=4000, on=TODAY, reopen=False)
        assert (reopened.state, reopened.balance) == ("open", 4000)
        assert (closed.state, closed.balance) == ("closed", 0)
        with pytest.raises(BillingRuleError, match="cannot be refunded"):
            ledger.refund(session, payment, closed, amount=6001, on=TODAY, reopen=True)
        with pytest.raises(BillingRuleError, match="is closed"):
            _pay(session, {closed: 100})
        with pytest.raises(BillingRuleError, match="not refunded"):
            ledger.void_payment(session, payment)


@pytest.fixture
def one_shop(tmp_path: Path) -> Iterator[Engine]:
    engine = create_database(str(tmp_path / "ledger.db"))
    with transaction(engine) as session:
        ledger.add_customer(session, first_name="A", last_name="B", email="a@b.c")
    yield engine
    engine.dispose()


EVENTS = st.lists(
    st.tuples(st.sampled_from(["pay", "void payment", "refund", "close", "edit", "void"]), st.integers(0, 9)),
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EVENTS)
def test_whatever_happens_balances_follow_from_payments_and_refunds(
    one_shop: Engine, events: list[tuple[str, int]]
) -> None:
    with BillingSession(one_shop) as session:  # never committed: every example begins with the same shop
        invoices = [_write(session, 1000 * n) for n in range(1, 4)]
        for event, choice in events:
            try:
                with session.begin_nested():
                    _happen(session, event, choice, invoices)
            except BillingRuleError:
                continue
        for invoice in invoices:
            session.refresh(invoice)
            applied = session.scalar(
                select(func.sum(PaymentApplication.amount)).where(PaymentApplication.invoice_id == invoice.id)
            )
            refunded = session.scalar(select(func.sum(Refund.amount)).where(Refund.invoice_id == invoice.id))
            assert invoice.amount_paid == (applied or 0) - (refunded or 0)
            owed = invoice.total - invoice.amount_paid
            assert owed >= 0 or invoice.state == "void"
            assert invoice.balance == (owed if invoice.state == "open" else 0)
            assert invoice.state != "open" or owed > 0
        for payment in session.scalars(select(Payment)):
            session.refresh(payment)
            assert payment.amount * (payment.state != "void") == payment.unapplied + sum(
                part.amount for part in payment.applications
            )


def _happen(session: BillingSession, event: str, choice: int, invoices: list[Invoice]) -> None:
    invoice = invoices[choice % 3]
    payments = session.scalars(select(Payment).order_by(Payment.id)).all()
    if event == "pay":
        other = invoices[(choice + 1) % 3]
        _pay(session, {invoice: 150 * (choice + 1), other: 70}, amount=150 * (choice + 1) + 100)
    elif event == "edit":
        ledger.edit_invoice(session, invoice, {}, lines=[LineDraft(description="Work", amount=400 * choice)])
    elif event == "void":
        ledger.void_invoice(session, invoice)
    elif payments and event == "void payment":
        ledger.void_payment(session, payments[choice % len(payments)])
    elif payments:
        payment = payments[choice % len(payments)]
        ledger.refund(session, payment, invoice, amount=50 * (choice + 1), on=TODAY, reopen=event == "refund")
