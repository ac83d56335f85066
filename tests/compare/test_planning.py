"""The plan: what is done, in which order, what waits for what, and what it would set off outside."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from reconcile.compare.diff import compare_all
from reconcile.compare.planning import Planned, agreements_after, simulate
from reconcile.compare.rules import DEPENDS, NOT_CARRIED
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Finding, Severity
from reconcile.model.plan import Action, EffectKind, Operation, Plan

if TYPE_CHECKING:
    from conftest import Trade


def told(planned: Planned) -> list[tuple[str, str | None, str, str, list[str]]]:
    """Each operation as: step, side, action, key, fields."""
    return [
        (o.step.value, o.side and o.side.value, o.action.value, o.key, list(o.payload)) for o in planned.plan.operations
    ]


def the(planned: Planned, entity: Entity, action: Action) -> Operation:
    (operation,) = [o for o in planned.plan.step(entity) if o.action is action]
    return operation


def stop(entity: Entity, side: Side | None, record_id: str, severity: Severity = Severity.STOP) -> Finding:
    sentence = f"The {entity.singular} is not as it should be."
    return Finding("some_check", severity, entity, side, record_id, f"<{record_id}>", 100, "USD", sentence, "Mend it.")


@pytest.fixture
def garden(trade: Trade) -> Trade:
    """A customer on auto pay with one open invoice, agreed on both sides."""
    trade.both_have("customer", "q1", "r1", "Amy", phone="1")
    trade.billing.change(Entity.CUSTOMER, "r1", auto_pay=True)
    trade.both_have("product", "q2", "r2", "Rocks")
    trade.both_have("invoice", "q5", "r5", "100", "q1", 1000, product="q2")
    return trade


def test_equal_sides_need_no_plan(garden: Trade) -> None:
    planned = garden.plan()
    assert planned.plan.operations == ()
    assert planned.findings == ()


def test_what_is_the_same_is_linked_without_a_write(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy", phone="1", agreed=False)
    link = the(trade.plan(), Entity.CUSTOMER, Action.LINK)
    assert link.side is None
    assert link.unsettled == ()
    assert link.agreed["phone"] == "1"
    assert link.agreed["city"] is None


def test_a_link_with_differences_leaves_them_unsettled_and_fills_blanks(trade: Trade) -> None:
    trade.books.customer("q1", "Amy", phone="1", city="Bayshore")
    trade.billing.customer("r1", "Amy", email="a@x.example", city="Middlefield")
    link, to_billing, to_books = trade.plan().plan.operations
    assert (link.action, link.unsettled) == (Action.LINK, ("city", "email", "phone"))
    assert "city" not in link.agreed
    assert (to_billing.side, to_billing.payload, to_billing.before) == (Side.BILLING, {"phone": "1"}, {"phone": None})
    assert to_billing.unsettled == ("city", "email")
    assert (to_books.side, to_books.payload) == (Side.BOOKS, {"email": "a@x.example"})
    assert to_books.unsettled == ("city",)


def test_a_change_merged_from_both_sides_is_two_operations_each_agreeing_its_own(garden: Trade) -> None:
    garden.books.change(Entity.INVOICE, "q5", due_date="2026-04-30")
    garden.billing.change(Entity.INVOICE, "r5", memo="Thanks")
    to_billing, to_books = garden.plan().plan.operations
    assert (to_billing.side, dict(to_billing.payload)) == (Side.BILLING, {"due_date": "2026-04-30"})
    assert (to_books.side, dict(to_books.payload)) == (Side.BOOKS, {"memo": "Thanks"})
    assert "memo" not in to_billing.agreed
    assert "due_date" not in to_books.agreed
    assert to_billing.agreed["number"] == "100", "what stays the same is known to who must send the whole record"
    assert (to_billing.expected_version, to_billing.before) == ("0", {"due_date": "2026-03-31"})


def test_new_records_are_created_in_the_five_step_order_with_all_they_need(trade: Trade) -> None:
    trade.books.customer("q1", "Amy", country="USA", given_name="Amy")
    trade.billing.tax_rate("r3", "California")
    trade.books.product("q2", "Rocks")
    trade.books.invoice("q5", "100", "q1", 1000, product="q2")
    trade.books.payment("q7", "q1", 1000, {"q5": 1000}, method="check", reference="17")
    planned = trade.plan()
    assert [(o.step, o.side) for o in planned.plan.operations] == [
        (Entity.CUSTOMER, Side.BILLING),
        (Entity.PRODUCT, Side.BILLING),
        (Entity.TAX_RATE, Side.BOOKS),
        (Entity.INVOICE, Side.BILLING),
        (Entity.PAYMENT, Side.BILLING),
    ]
    customer, *_, invoice, payment = planned.plan.operations
    assert customer.payload["country"] == "USA"
    assert "country" not in customer.agreed
    assert not {"currency", "parent_id", "auto_pay"} & customer.payload.keys()
    assert invoice.depends_on == ("customer:books:q1", "product:books:q2")
    assert not {"total", "tax", "balance"} & invoice.payload.keys()
    assert payment.depends_on == ("customer:books:q1", "invoice:books:q5")
    assert payment.payload["applications"] == '[["books:q5",1000]]'
    assert payment.payload["method"] == "check"
    assert (invoice.amount, invoice.currency, invoice.customer) == (1000, "USD", "Amy")
    assert invoice.expected_version is None


def test_a_void_is_carried_as_a_void_and_an_inactive_customer_as_a_deactivation(garden: Trade) -> None:
    garden.books.change(Entity.INVOICE, "q5", void=True, total=0, subtotal=0, balance=0, lines=[])
    garden.billing.change(Entity.PRODUCT, "r2", active=False)
    planned = garden.plan()
    void = the(planned, Entity.INVOICE, Action.VOID)
    assert (void.side, void.payload, void.agreed) == (Side.BILLING, {"void": True}, {"void": True})
    ended = the(planned, Entity.PRODUCT, Action.DEACTIVATE)
    assert (ended.side, ended.payload, ended.before) == (Side.BOOKS, {"active": False}, {"active": True})


def test_gone_from_both_is_forgotten_and_gone_from_one_is_left_alone(garden: Trade) -> None:
    garden.both_have("customer", "q8", "r8", "Bob")
    garden.both_have("customer", "q9", "r9", "Cy")
    garden.books.remove(Entity.CUSTOMER, "q8")
    garden.billing.remove(Entity.CUSTOMER, "r8")
    garden.books.remove(Entity.CUSTOMER, "q9")
    assert told(garden.plan()) == [("customer", None, "forget", "books:q8", [])]


def test_what_moved_alike_only_moves_the_base(garden: Trade) -> None:
    garden.books.change(Entity.CUSTOMER, "q1", phone="2")
    garden.billing.change(Entity.CUSTOMER, "r1", phone="2")
    agree = the(garden.plan(), Entity.CUSTOMER, Action.AGREE)
    assert (agree.side, agree.agreed) == (None, {"phone": "2"})


# What waits


def test_a_bad_invoice_waits_and_so_do_its_payments_but_not_its_siblings(garden: Trade) -> None:
    garden.books.invoice("q6", "1O1", "q1", 500)
    garden.books.payment("q7", "q1", 500, {"q6": 500})
    garden.books.invoice("q8", "102", "q1", 700)
    planned = garden.plan(stop(Entity.INVOICE, Side.BOOKS, "q6"))
    assert [o.key for o in planned.plan.operations] == ["books:q8"]
    (note,) = planned.findings
    assert (note.check, note.severity, note.entity, note.record_id) == (DEPENDS, Severity.NOTE, Entity.PAYMENT, "q7")
    assert "waits for invoice <q6>, which is held: The invoice is not as it should be" in note.sentence
    assert (note.amount, note.customer) == (500, "Amy")


def test_a_held_customer_holds_invoices_and_payments_whichever_side_it_was_found_on(garden: Trade) -> None:
    garden.books.invoice("q6", "101", "q1", 500)
    garden.billing.change(Entity.INVOICE, "r5", memo="Thanks")
    for where, record_id in ((Side.BOOKS, "q1"), (Side.BILLING, "r1"), (None, "q1")):
        planned = garden.plan(stop(Entity.CUSTOMER, where, record_id, Severity.HOLD))
        assert planned.plan.operations == ()
        assert {note.record_id for note in planned.findings} == {"q6", "q5"}


def test_a_held_product_holds_the_invoices_that_use_it(garden: Trade) -> None:
    garden.books.product("q3", "Soil")
    garden.books.invoice("q6", "101", "q1", 500, product="q3")
    garden.books.invoice("q7", "102", "q1", 500, product="q2")
    planned = garden.plan(stop(Entity.PRODUCT, Side.BOOKS, "q3"))
    assert [o.key for o in planned.plan.operations] == ["books:q7"]


def test_waiting_goes_on_from_record_to_record(garden: Trade) -> None:
    garden.books.product("q3", "Soil")
    garden.books.invoice("q6", "101", "q1", 500, product="q3")
    garden.books.payment("q7", "q1", 500, {"q6": 500})
    planned = garden.plan(stop(Entity.PRODUCT, Side.BOOKS, "q3"))
    assert planned.plan.operations == ()
    sentences = [note.sentence for note in planned.findings]
    assert "waits for invoice 101, which is held: it waits for product <q3>" in sentences[1]


def test_a_finding_about_a_whole_side_holds_all_of_its_records(garden: Trade) -> None:
    garden.books.change(Entity.CUSTOMER, "q1", phone="2")
    assert garden.plan(stop(Entity.CUSTOMER, Side.BOOKS, "")).plan.operations == ()


def test_a_note_holds_nothing(garden: Trade) -> None:
    garden.books.change(Entity.CUSTOMER, "q1", phone="2")
    assert len(garden.plan(stop(Entity.CUSTOMER, Side.BOOKS, "q1", Severity.NOTE)).plan.operations) == 1


def test_a_disputed_phone_keeps_nobody_from_paying(garden: Trade) -> None:
    garden.books.change(Entity.CUSTOMER, "q1", phone="2")
    garden.billing.change(Entity.CUSTOMER, "r1", phone="3")
    garden.books.payment("q7", "q1", 1000, {"q5": 1000})
    assert told(garden.plan())[0][:4] == ("payment", "billing", "create", "books:q7")


def test_disputed_lines_keep_the_payments_of_the_invoice_waiting(garden: Trade) -> None:
    garden.books.change(Entity.INVOICE, "q5", lines=[{"product_id": "q2", "amount": 900}])
    garden.billing.change(Entity.INVOICE, "r5", lines=[{"product_id": "r2", "amount": 800}])
    garden.books.payment("q7", "q1", 1000, {"q5": 1000})
    planned = garden.plan()
    assert planned.plan.operations == ()
    assert [note.record_id for note in planned.findings] == ["q7"]


def test_a_reference_to_a_record_that_is_not_there_waits(garden: Trade) -> None:
    garden.books.payment("q7", "q1", 1000, {"q77": 1000})
    planned = garden.plan()
    assert planned.plan.operations == ()
    assert "waits for invoice books:q77, which is not in ReliaBills" in planned.findings[0].sentence


def test_void_and_inactive_records_of_one_side_are_not_carried(trade: Trade) -> None:
    trade.books.customer("q1", "Amy", active=False)
    trade.books.invoice("q5", "100", "q1", 1000, void=True)
    trade.billing.product("r2", "Rocks", active=False)
    planned = trade.plan()
    assert planned.plan.operations == ()
    assert [(note.check, note.severity, note.record_id) for note in planned.findings] == [
        (NOT_CARRIED, Severity.NOTE, "q1"),
        (NOT_CARRIED, Severity.NOTE, "r2"),
        (NOT_CARRIED, Severity.NOTE, "q5"),
    ]


def test_an_inactive_customer_that_still_owes_is_carried(trade: Trade) -> None:
    trade.books.customer("q1", "Amy", active=False)
    trade.books.invoice("q5", "100", "q1", 1000)
    assert [o.key for o in trade.plan().plan.operations] == ["books:q1", "books:q5"]


# Outside effects


def test_a_customer_that_owes_in_quickbooks_stays_active_there_until_it_has_paid(garden: Trade) -> None:
    garden.billing.change(Entity.CUSTOMER, "r1", active=False, phone="2")
    planned = garden.plan()
    assert told(planned) == [("customer", "books", "update", "books:q1", ["phone"])]
    assert "active" not in the(planned, Entity.CUSTOMER, Action.UPDATE).agreed
    (note,) = planned.findings
    assert (note.check, note.severity, note.record_id) == ("deactivation_waits", Severity.NOTE, "r1")
    assert "still has open invoices in QuickBooks" in note.sentence
    garden.books.change(Entity.INVOICE, "q5", balance=0)
    assert the(garden.plan(), Entity.CUSTOMER, Action.DEACTIVATE).payload["active"] is False


def test_what_a_new_invoice_needs_is_made_inactive_a_night_later(garden: Trade) -> None:
    garden.books.change(Entity.PRODUCT, "q2", active=False)
    garden.books.invoice("q6", "101", "q1", 500, product="q2")
    planned = garden.plan()
    assert told(planned)[0][:3] == ("invoice", "billing", "create")
    assert [note.check for note in planned.findings] == ["deactivation_waits"]


def effects(planned: Planned) -> list[tuple[EffectKind, str, int]]:
    return [(e.kind, e.customer, e.amount) for o in planned.plan.operations for e in o.effects]


def test_a_new_open_invoice_of_a_customer_on_auto_pay_will_be_charged(garden: Trade) -> None:
    garden.books.invoice("q6", "101", "q1", 500)
    assert effects(garden.plan()) == [(EffectKind.CHARGE, "Amy", 500)]


def test_a_new_invoice_that_comes_with_its_payment_is_not_charged(garden: Trade) -> None:
    garden.books.invoice("q6", "101", "q1", 500, balance=0, state="paid")
    garden.books.payment("q7", "q1", 500, {"q6": 500})
    assert effects(garden.plan()) == []


def test_a_paid_invoice_whose_payment_waits_would_be_charged_again(garden: Trade) -> None:
    garden.books.invoice("q6", "101", "q1", 500, balance=0, state="paid")
    garden.books.payment("q7", "q1", 500, {"q6": 500})
    planned = garden.plan(stop(Entity.PAYMENT, Side.BOOKS, "q7"))
    assert effects(planned) == [(EffectKind.CHARGE, "Amy", 500)]
    assert "the rest waits" in planned.plan.operations[0].effects[0].cause


def test_an_invoice_of_a_customer_without_auto_pay_is_not_charged(garden: Trade) -> None:
    garden.billing.change(Entity.CUSTOMER, "r1", auto_pay=False)
    garden.books.invoice("q6", "101", "q1", 500)
    assert effects(garden.plan()) == []


@pytest.mark.parametrize(
    ("facts", "mailed"),
    [
        ({}, True),
        ({"balance": 0, "state": "paid"}, False),
        ({"invoice_date": "2026-02-01"}, False),
        ({"lines": [], "total": 0, "balance": 0}, False),
    ],
)
def test_only_new_open_recent_invoices_from_quickbooks_are_mailed(
    garden: Trade, facts: dict[str, Any], mailed: bool
) -> None:
    garden.billing.change(Entity.CUSTOMER, "r1", auto_pay=False)
    garden.books.invoice("q6", "101", "q1", 500, **facts)
    today = date(2026, 3, 4)
    mails = effects(garden.plan(send_automatically=True, today=today))
    assert mails == ([(EffectKind.MAIL, "Amy", 500)] if mailed else [])
    assert effects(garden.plan(send_automatically=False, today=today)) == []


def test_an_invoice_from_billing_is_never_mailed_by_the_sync(garden: Trade) -> None:
    garden.billing.invoice("r6", "101", "r1", 500, product="r2")
    assert effects(garden.plan(send_automatically=True)) == []


def test_taking_a_payment_from_an_invoice_on_auto_pay_opens_it_to_a_charge(garden: Trade) -> None:
    garden.both_have("payment", "q7", "r7", "q1", 1000, {"q5": 1000})
    garden.books.change(Entity.PAYMENT, "q7", void=True)
    planned = garden.plan()
    assert the(planned, Entity.PAYMENT, Action.VOID).side is Side.BILLING
    assert effects(planned) == [(EffectKind.CHARGE, "Amy", 1000)]
    garden.books.change(Entity.PAYMENT, "q7", void=False, applications=[{"invoice_id": "q5", "amount": 400}])
    assert effects(garden.plan()) == [(EffectKind.CHARGE, "Amy", 600)]


def test_an_invoice_on_auto_pay_that_comes_to_more_is_charged_more(garden: Trade) -> None:
    garden.books.change(
        Entity.INVOICE, "q5", lines=[{"product_id": "q2", "amount": 1500, "taxable": False}], total=1500, subtotal=1500
    )
    assert effects(garden.plan()) == [(EffectKind.CHARGE, "Amy", 500)]


# The plan as a value, and what it leaves behind


def test_a_plan_survives_being_saved(garden: Trade) -> None:
    garden.books.invoice("q6", "101", "q1", 500)
    garden.books.change(Entity.INVOICE, "q5", void=True, total=0, subtotal=0, balance=0)
    plan = garden.plan(send_automatically=True).plan
    assert Plan.from_json(plan.to_json()) == plan


def test_a_plan_knows_what_it_was_made_from(garden: Trade) -> None:
    before = garden.plan().plan.made_from
    garden.billing.change(Entity.CUSTOMER, "r1", auto_pay=False)
    after = garden.plan().plan.made_from
    assert {name for name in before if before[name] != after[name]} == {"billing/customer"}


def test_endings_come_before_new_records(garden: Trade) -> None:
    garden.both_have("payment", "q7", "r7", "q1", 1000, {"q5": 1000})
    garden.books.payment("q8", "q1", 900, {"q5": 900}, payment_date="2026-03-06")
    garden.books.change(Entity.PAYMENT, "q7", void=True)
    assert [o.action for o in garden.plan().plan.operations] == [Action.VOID, Action.CREATE]


def test_a_plan_carried_out_leaves_nothing_to_do(garden: Trade) -> None:
    garden.books.tax_rate("q3", "California")
    garden.books.customer("q9", "Bob", phone="9")
    garden.books.invoice("q6", "101", "q9", 500, tax_rate_id="q3", tax=40, balance=140)
    garden.books.payment("q7", "q9", 400, {"q6": 400})
    garden.billing.change(Entity.INVOICE, "r5", memo="Thanks")
    books, billing, agreements = garden.books.snapshots(), garden.billing.snapshots(), garden.agreements()
    plan = garden.plan().plan
    pairs = {entity: comparison.pairs for entity, comparison in garden.compare().items()}
    books, billing = simulate(plan, books, billing, pairs)
    after = compare_all(books, billing, agreements_after(plan, agreements))
    assert all(comparison.changes.empty for comparison in after.values())
    invoice = billing[Entity.INVOICE].frame.set_index("id").loc["books:q6"]
    assert (invoice["total"], invoice["balance"], invoice["state"], invoice["customer_id"]) == (
        540,
        140,
        "open",
        "books:q9",
    )
