"""Undoing: each rule by which a write of a run is taken back or stays, and that no write is left out."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from reconcile.compare.circumstances import Cap, Circumstances, Mailed
from reconcile.compare.policy import Policy, Winner, written_fields
from reconcile.compare.undoing import Undoing, still_planned, undo_run
from reconcile.model.entities import Entity, Side, key_of
from reconcile.model.findings import Severity
from reconcile.model.journal import Entry, EntryStatus
from reconcile.model.plan import Action, EffectKind, Operation, OutsideEffect, Plan

if TYPE_CHECKING:
    from conftest import Trade

NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)
STAYS, UNDONE, NOTHING = "cannot be undone", "is undone", "needs no undoing"


class Night:
    """The journal of the run that is to be undone."""

    def __init__(self, trade: Trade) -> None:
        self.trade = trade
        self.entries: list[Entry] = []

    def wrote(
        self,
        step: Entity,
        action: Action,
        side: Side,
        record: str,
        payload: dict[str, Any],
        before: dict[str, Any] | None = None,
        *,
        version: str = "0",
        status: EntryStatus = EntryStatus.DONE,
        mail: bool = False,
    ) -> None:
        """It wrote record ``<n>`` of a side: ``q<n>`` in books, ``r<n>`` in billing."""
        number = record[1:]
        ids: dict[str, Any] = {"books_id": f"q{number}", "billing_id": f"r{number}"}
        if action is Action.CREATE:
            ids[f"{side}_id"] = None
        effects = (OutsideEffect(EffectKind.MAIL, "Amy", 100, "USD", "new"),) if mail else ()
        operation = Operation(
            step, action, side, key_of(side.other, ids[f"{side.other}_id"]), **ids, label=record, customer="Amy",
            before=before or {}, payload=payload, agreed={}, unsettled=(), expected_version=None, depends_on=(),
            reason="", effects=effects, amount=100,
        )  # fmt: skip
        n = max((entry.id for entry in self.entries), default=0) + 1
        self.entries.append(
            Entry(n, "craigs", "run-1", f"op{n}", f"request{n}", step, action, side, operation.key,
                  record if status is EntryStatus.DONE else None, None, asdict(operation), payload, "", status,
                  version, "", "", "", "", NOON, NOON)
        )  # fmt: skip

    def undo(self, enforced: Plan | None = None, **circumstances: Any) -> Undoing:
        trade = self.trade
        books, billing = trade.books.snapshots(), trade.billing.snapshots()
        made = undo_run(
            "craigs",
            "run-1",
            self.entries,
            books,
            billing,
            trade.agreements(),
            Circumstances(**circumstances),
            enforced=enforced,
        )
        assert [item.entry for item in made.items] == self.entries
        return made

    def of(self, record: str, **circumstances: Any) -> tuple[str, str]:
        """What becomes of the writes of a record, and why."""
        made = self.undo(**circumstances)
        (item,) = [item for item in made.items if item.entry.operation["label"] == record]
        assert (item.operation is not None) == (item.group.value == UNDONE)
        assert item.group.value != STAYS or item.remedy
        return item.group.value, item.reason


@pytest.fixture
def night(trade: Trade) -> Night:
    """A run that made a customer, an invoice of it and a payment of that in ReliaBills, from QuickBooks."""
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("invoice", "q2", "r2", "1001", "q1", 100, balance=0)
    trade.both_have("payment", "q3", "r3", "q1", 100, {"q2": 100})
    made = Night(trade)
    made.wrote(Entity.CUSTOMER, Action.CREATE, Side.BILLING, "r1", {"display_name": "Amy"})
    made.wrote(Entity.INVOICE, Action.CREATE, Side.BILLING, "r2", {"number": "1001"})
    made.wrote(Entity.PAYMENT, Action.CREATE, Side.BILLING, "r3", {"amount": 100})
    return made


def test_what_was_made_is_voided_or_made_inactive_in_reverse_order(night: Night) -> None:
    made = night.undo()
    deeds = [(one.action, one.side, one.billing_id, dict(one.payload)) for one in made.plan.operations]
    assert deeds == [
        (Action.VOID, Side.BILLING, "r3", {"void": True}),
        (Action.VOID, Side.BILLING, "r2", {"void": True}),
        (Action.DEACTIVATE, Side.BILLING, "r1", {"active": False}),
    ]
    assert all(one.agreed == {} for one in made.plan.operations)
    assert made.plan.operations[0].unsettled == ("undone:void", "void")
    assert {(one.check, one.severity) for one in made.findings} == {("undone_by_a_person", Severity.HOLD)}


@pytest.mark.parametrize(
    "policy", [Policy(), Policy(on_difference={"*": Winner.BILLING}, on_conflict={"*": Winner.BILLING})]
)
def test_what_was_taken_back_never_ends_the_original_nor_is_filled_again(night: Night, policy: Policy) -> None:
    trade, made = night.trade, night.undo()
    trade.policy = policy
    trade.billing.change(Entity.CUSTOMER, "r1", active=False)
    trade.books.change(Entity.CUSTOMER, "q1", phone="1")
    for entity, record in ((Entity.INVOICE, "r2"), (Entity.PAYMENT, "r3")):
        trade.billing.change(entity, record, void=True)
    for operation in made.plan.operations:
        trade.links[operation.step][0]["unsettled"] = ",".join(operation.unsettled)
    planned = trade.plan()
    assert planned.plan.operations == ()
    held = {one.label: one.sentence for one in trade.compare()[Entity.INVOICE].findings}
    assert "void only in ReliaBills, where a person had it taken back" in held["1001"]


@pytest.mark.parametrize("policy", [Policy(), Policy(on_difference={"*": Winner.BOOKS})])
def test_a_value_that_was_put_back_to_blank_is_not_filled_again_and_equal_values_settle(
    trade: Trade, policy: Policy
) -> None:
    trade.policy = policy
    trade.both_have("customer", "q1", "r1", "Amy", phone="b")
    trade.billing.change(Entity.CUSTOMER, "r1", phone=None)
    trade.links[Entity.CUSTOMER][0]["unsettled"] = "phone,undone:phone"
    assert trade.plan().plan.operations == ()
    trade.billing.change(Entity.CUSTOMER, "r1", phone="b")
    (agreed,) = trade.plan().plan.operations
    assert (agreed.action, agreed.unsettled) == (Action.AGREE, ())


def test_what_was_changed_gets_back_what_it_held_field_by_field(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy", phone="b", city="y")
    night = Night(trade)
    night.wrote(
        Entity.CUSTOMER, Action.UPDATE, Side.BILLING, "r1", {"phone": "b", "city": "y"}, {"phone": "a", "city": "x"}
    )
    trade.billing.change(Entity.CUSTOMER, "r1", city="z", version="5")
    assert night.of("r1") == (UNDONE, "In ReliaBills it gets back its phone. What was changed since stays: city.")
    (operation,) = night.undo().plan.operations
    assert (operation.action, dict(operation.before), dict(operation.payload)) == (
        Action.UPDATE,
        {"phone": "b"},
        {"phone": "a"},
    )
    assert operation.expected_version == "5"
    assert set(operation.unsettled) == {"phone", "undone:phone"}
    assert set(operation.agreed) == {of.name for of in written_fields(Entity.CUSTOMER)} - {"phone", "city"}
    trade.billing.change(Entity.CUSTOMER, "r1", phone="c")
    assert night.of("r1") == (STAYS, "It was changed in ReliaBills since: phone, city.")
    trade.billing.change(Entity.CUSTOMER, "r1", phone="a", city="x")
    assert night.of("r1") == (NOTHING, "It holds in ReliaBills what it held before the run.")


def test_two_writes_to_one_record_are_one_way_back(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy", phone="c")
    night = Night(trade)
    for old, new in (("a", "b"), ("b", "c")):
        night.wrote(Entity.CUSTOMER, Action.UPDATE, Side.BILLING, "r1", {"phone": new}, {"phone": old})
    (operation,) = night.undo().plan.operations
    assert dict(operation.payload) == {"phone": "a"}


def test_figures_of_an_invoice_come_back_together_or_not_at_all(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("invoice", "q2", "r2", "1001", "q1", 100, discount_percent=2, memo="b")
    night = Night(trade)
    night.wrote(
        Entity.INVOICE, Action.UPDATE, Side.BILLING, "r2",
        {"discount_percent": 2, "discount_taxable": None, "memo": "b"},
        {"discount_percent": 1, "discount_taxable": 5, "memo": "a"},
    )  # fmt: skip
    trade.billing.change(Entity.INVOICE, "r2", discount_taxable=7)
    (operation,) = night.undo().plan.operations
    assert dict(operation.payload) == {"memo": "a"}
    trade.billing.change(Entity.INVOICE, "r2", discount_taxable=None)
    trade.billing.change(Entity.CUSTOMER, "r1", auto_pay=True)
    assert night.of("r2") == (
        STAYS,
        "Its customer is on auto pay, and with its old figures ReliaBills may charge more than now.",
    )


def test_a_record_that_was_changed_since_stays_but_a_version_that_only_payments_moved_does_not_matter(
    night: Night,
) -> None:
    night.trade.billing.change(Entity.INVOICE, "r2", version="7")
    assert night.of("r2")[0] == UNDONE
    night.trade.billing.change(Entity.INVOICE, "r2", number="1002")
    assert night.of("r2") == (STAYS, "It was changed in ReliaBills since: invoice number.")
    assert night.of("r1")[0] == STAYS


def test_a_mailed_invoice_and_all_that_it_needs_stay(night: Night) -> None:
    assert night.of("r2", mailed=Mailed(frozenset({"q2"})))[1].startswith("ReliaBills has mailed it to its customer")
    assert night.of("r1", mailed=Mailed(frozenset({"q2"}))) == (
        STAYS,
        "An invoice in ReliaBills uses it, and this undo does not take that back.",
    )
    night.entries.pop(1)
    night.wrote(Entity.INVOICE, Action.CREATE, Side.BILLING, "r2", {"number": "1001"}, mail=True)
    assert night.of("r2")[0] == STAYS


def test_an_invoice_with_a_later_payment_or_credit_stays(night: Night) -> None:
    night.trade.billing.change(Entity.INVOICE, "r2", balance=-10)
    assert night.of("r2")[1] == "A credit is applied to it in ReliaBills that this undo does not take back."
    night.trade.billing.change(Entity.INVOICE, "r2", balance=0)
    night.trade.billing.payment("r9", "r1", 5, {"r2": 5})
    assert night.of("r2")[1] == "A payment is applied to it in ReliaBills that this undo does not take back."


def test_a_processed_payment_and_the_invoice_it_pays_stay(night: Night) -> None:
    night.trade.billing.change(Entity.PAYMENT, "r3", processed=True)
    assert night.of("r3")[1].startswith("ReliaBills has taken the money from a card")
    assert night.of("r2")[1].startswith("A payment is applied to it")
    assert night.undo().plan.operations == ()
    assert {one.check for one in night.undo().findings} == {"cannot_be_undone"}


def test_what_lies_in_a_deposit_or_a_closed_period_of_quickbooks_stays(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("payment", "q3", "r3", "q1", 100)
    night = Night(trade)
    night.wrote(Entity.PAYMENT, Action.CREATE, Side.BOOKS, "q3", {"amount": 100})
    assert night.of("q3")[0] == UNDONE
    assert night.of("q3", closed_until="2026-03-05")[1].startswith("It is dated 2026-03-05, and the books are closed")
    assert night.of("q3", deposited=frozenset({"q3"}))[1].startswith("It is part of a deposit")
    trade.books.change(Entity.PAYMENT, "q3", deposited=True)
    assert night.of("q3")[0] == STAYS


def test_tax_rates_voids_and_what_nobody_knows_stay(trade: Trade) -> None:
    trade.both_have("customer", "q1", "r1", "Amy")
    trade.both_have("tax_rate", "q2", "r2", "City")
    trade.both_have("invoice", "q4", "r4", "1001", "q1", 100, void=True)
    night = Night(trade)
    night.wrote(Entity.TAX_RATE, Action.CREATE, Side.BOOKS, "q2", {"name": "City"})
    night.wrote(Entity.INVOICE, Action.VOID, Side.BOOKS, "q4", {"void": True}, {"void": False})
    night.wrote(Entity.CUSTOMER, Action.CREATE, Side.BOOKS, "q5", {}, status=EntryStatus.UNKNOWN)
    night.wrote(Entity.CUSTOMER, Action.CREATE, Side.BOOKS, "q6", {}, status=EntryStatus.FAILED)
    assert night.of("q2")[1].startswith("QuickBooks lets nobody change or remove a tax rate")
    assert night.of("q4") == (STAYS, "A void of an invoice cannot be taken back in QuickBooks.")
    assert night.of("q5") == (STAYS, "Nobody knows yet whether it arrived in QuickBooks.")
    assert night.of("q6") == (NOTHING, "It was never carried out (failed).")
    assert night.undo().plan.operations == ()


def test_what_is_gone_void_unlinked_or_unreadable_says_so(night: Night) -> None:
    night.trade.billing.change(Entity.PAYMENT, "r3", void=True)
    assert night.of("r3") == (NOTHING, "The payment is void in ReliaBills already.")
    night.trade.links[Entity.INVOICE].clear()
    assert night.of("r2")[1].startswith("The link to its counterpart was ended since")
    night.trade.billing.remove(Entity.INVOICE, "r2")
    assert night.of("r2") == (NOTHING, "The invoice is no longer in ReliaBills.")
    night.trade.billing.unreadable[Entity.INVOICE].add("r2")
    assert night.of("r2") == (STAYS, "The invoice could not be read in ReliaBills.")


def test_a_charge_over_the_cap_keeps_the_payment_and_with_it_the_invoice(night: Night) -> None:
    night.trade.billing.change(Entity.CUSTOMER, "r1", auto_pay=True)
    (effect,) = night.undo().plan.operations[0].effects
    assert (effect.kind, effect.amount) == (EffectKind.CHARGE, 100)
    made = night.undo(caps={EffectKind.CHARGE: Cap(0, 0)})
    assert made.plan.operations == ()
    assert [item.group.value for item in made.items] == [STAYS] * 3


def test_a_saved_undo_is_carried_out_exactly_or_less_and_each_step_is_decided_again(night: Night) -> None:
    saved = Plan.from_json(night.undo().plan.to_json())
    assert night.undo(saved).plan == saved
    night.trade.billing.change(Entity.INVOICE, "r2", version="3")
    left = night.undo(saved)
    assert left.enforced is not None
    assert "(version 0, now 3)" in left.enforced.refused[0].reason

    again = night.undo()
    kept, found = still_planned(saved.step(Entity.INVOICE), again, "run-1")
    assert ([one.expected_version for one in kept], found) == (["3"], ())
    night.trade.billing.payment("r9", "r1", 5, {"r2": 5})
    kept, (finding,) = still_planned(saved.step(Entity.INVOICE), night.undo(), "run-1")
    assert kept == ()
    assert "is left as it is: a payment is applied to it in ReliaBills" in finding.sentence
