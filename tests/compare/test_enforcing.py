"""A saved plan is carried out exactly or less: each refusal has its reason; nothing is done that was not planned."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconcile.compare.planning import Planned, make_plan
from reconcile.model.entities import Entity
from reconcile.model.findings import Severity
from reconcile.model.plan import Action, Plan

if TYPE_CHECKING:
    from conftest import Trade


def enforced(trade: Trade, saved: Plan) -> Planned:
    compared = trade.compare()
    told = [finding for comparison in compared.values() for finding in comparison.findings]
    return make_plan(
        "craigs",
        compared,
        trade.books.snapshots(),
        trade.billing.snapshots(),
        trade.agreements(),
        told,
        enforced=saved,
    )


def reasons(planned: Planned) -> dict[str, str]:
    assert planned.enforced is not None
    return {one.operation.label: one.reason for one in planned.enforced.refused}


def test_nothing_moved_and_the_plan_is_the_same_value(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy", phone="a")
    trade.books.change(Entity.CUSTOMER, "q1", phone="b")
    trade.books.customer("q2", "Bob", family_name="Bob", email="bob@example.com")
    saved = trade.plan().plan
    planned = enforced(trade, Plan.from_json(saved.to_json()))
    assert (planned.plan, planned.plan.digest) == (saved, saved.digest)
    assert len(saved.operations) == 2
    assert set(saved.made_from) == {f"{one}/{entity}" for one in ("books", "billing", "base") for entity in Entity}


def test_a_record_that_moved_is_refused_with_its_versions_and_held(trade: Trade) -> None:
    for n, name in ((1, "Amy"), (2, "Bob")):
        trade.both_have("customer", f"q{n}", f"r{n}", name, phone="a")
        trade.books.change(Entity.CUSTOMER, f"q{n}", phone="b")
    saved = trade.plan().plan
    trade.billing.change(Entity.CUSTOMER, "r2", version="1", company_name="Bob & Co")
    planned = enforced(trade, saved)
    assert [operation.label for operation in planned.plan.operations] == ["Amy"]
    assert reasons(planned) == {"Bob": "it was changed in ReliaBills after the plan was made (version 0, now 1)."}
    told = {finding.check: finding for finding in planned.findings}
    assert told["moved_since_the_plan"].severity is Severity.HOLD
    assert told["moved_since_the_plan"].sentence.startswith("Update customer Bob in ReliaBills was planned but is not")
    assert told["new_since_the_plan"].label == "Bob"


def test_other_values_and_work_that_is_done_already_are_no_longer_the_plan(trade: Trade) -> None:
    for n, name in ((1, "Amy"), (2, "Bob"), (3, "Cy")):
        trade.books.customer(f"q{n}", name, family_name=name, email=f"{name}@example.com")
    saved = trade.plan().plan
    trade.books.change(Entity.CUSTOMER, "q1", phone="b")
    trade.books.remove(Entity.CUSTOMER, "q2")
    trade.billing.customer("r3", "Cy", family_name="Cy", email="Cy@example.com")
    planned = enforced(trade, saved)
    assert [operation for operation in planned.plan.operations if operation.action.writes] == []
    assert reasons(planned) == {
        "Amy": "it would be written otherwise now: phone.",
        "Bob": "the record is no longer in QuickBooks.",
        "Cy": "it is in ReliaBills already.",
    }


def test_what_needs_a_record_that_is_not_made_is_refused_with_it(trade: Trade) -> None:
    trade.books.customer("q1", "Amy", family_name="Amy", email="amy@example.com")
    trade.both_have("product", "q5", "r5", "Rocks")
    trade.books.invoice("q7", "100", "q1", 300, product="q5")
    trade.books.payment("q9", "q1", 100, {"q7": 100}, reference="A1")
    saved = trade.plan().plan
    assert [operation.step for operation in saved.operations] == [Entity.CUSTOMER, Entity.INVOICE, Entity.PAYMENT]
    trade.books.change(Entity.CUSTOMER, "q1", phone="b")
    planned = enforced(trade, saved)
    assert planned.plan.operations == ()
    assert list(reasons(planned).values())[1:] == [
        "it needs the customer Amy, which is not done.",
        "it needs the customer Amy, which is not done.",
    ]


def test_what_would_now_go_to_another_record_of_the_same_version_is_refused(trade: Trade) -> None:
    """An identity that left out the counterpart would link and write another record than the plan named."""
    trade.books.product("q1", "Soil", description="a")
    trade.billing.product("r1", "Soil")
    trade.billing.product("r2", "Rocks")
    saved = trade.plan().plan
    written = {operation.action: operation.billing_id for operation in saved.operations if operation.label == "Soil"}
    assert written == {Action.LINK: "r1", Action.UPDATE: "r1"}
    trade.books.change(Entity.PRODUCT, "q1", sku="b")
    trade.billing.change(Entity.PRODUCT, "r2", sku="b", description=None)
    planned = enforced(trade, saved)
    assert [operation for operation in planned.plan.operations if operation.books_id == "q1"] == []
    assert planned.enforced is not None
    why = [one.reason for one in planned.enforced.refused if one.operation.books_id == "q1"]
    assert why == ["it would be done with another record of ReliaBills now (r2, not r1)."] * 2


def test_what_waits_for_a_record_in_conflict_now_is_refused_with_that_reason(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy", phone="a")
    trade.both_have("product", "q5", "r5", "Rocks")
    trade.both_have("invoice", "q7", "r7", "100", "q1", 300, product="q5")
    for side in (trade.books, trade.billing):
        side.change(Entity.INVOICE, "q7" if side is trade.books else "r7", memo="b")
    saved = trade.plan().plan
    assert [operation.action for operation in saved.operations] == [Action.AGREE]
    trade.books.change(Entity.CUSTOMER, "q1", phone="b")
    trade.billing.change(Entity.CUSTOMER, "r1", active=False)
    planned = enforced(trade, saved)
    assert planned.plan.operations == ()
    assert reasons(planned)["100"].startswith(
        "it is held now. Invoice 100 of Amy waits for customer Amy, which is held: "
    )


def test_what_would_now_cause_a_charge_that_nobody_saw_is_refused(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("product", "q5", "r5", "Rocks")
    trade.books.invoice("q7", "100", "q1", 300, product="q5")
    saved = trade.plan().plan
    assert [operation.effects for operation in saved.operations] == [()]
    trade.billing.change(Entity.CUSTOMER, "r1", auto_pay=True)
    planned = enforced(trade, saved)
    assert planned.plan.operations == ()
    assert reasons(planned)["100"].startswith("it would now cause a charge that the plan did not name (")


def test_an_invoice_whose_payment_is_refused_is_refused_when_it_would_then_be_charged(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy", auto_pay=True)
    trade.both_have("product", "q5", "r5", "Rocks")
    trade.books.invoice("q7", "100", "q1", 300, product="q5", balance=0, state="paid")
    trade.books.payment("q9", "q1", 300, {"q7": 300}, reference="A1")
    saved = trade.plan().plan
    assert [operation.effects for operation in saved.operations] == [(), ()]
    trade.books.change(Entity.PAYMENT, "q9", reference="A2")
    planned = enforced(trade, saved)
    assert [operation for operation in planned.plan.operations if operation.action is Action.CREATE] == []
    assert len(reasons(planned)) == 2


def test_a_plan_of_other_operations_lets_nothing_through(trade: Trade) -> None:
    trade.books.customer("q1", "Amy", family_name="Amy", email="amy@example.com")
    saved = trade.plan().plan
    other = replace(saved, operations=tuple(replace(one, payload={"display_name": "Eve"}) for one in saved.operations))
    planned = enforced(trade, other)
    assert planned.plan.operations == ()
    assert planned.enforced is not None
    assert [operation.label for operation in planned.enforced.new] == ["Amy"]
