"""This world, then a sync, then that world."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from reconcile.errors import ConfigurationError, GuardError, LeaseError, StepFailedError, StoppedBeforeWritingError
from reconcile.model.entities import Entity, Side
from reconcile.model.runs import Outcome, StepStatus
from reconcile.sandbox.billing import day
from reconcile.state import settings
from reconcile.state.database import open_state
from tests.night.conftest import COMPANY, TODAY, World
from tests.night.desks import customer_in_books


def a_customer_in_billing(world: World, name: str = "Bayshore Garden Center") -> None:
    day.new_customer(
        world.billing,
        account_name=name,
        first_name="Accounts Payable",
        last_name=name,
        email="garden@example.com",
    )


def test_a_day_on_both_sides_ends_in_agreement_and_a_second_run_writes_nothing(world_on_either_database: World) -> None:
    world = world_on_either_database
    world.new_customer_in_books("Amy's Bird Sanctuary")
    world.new_product_in_books("Gardening")
    world.books.new_invoice("1001", "Amy's Bird Sanctuary", [("Gardening", "4", "25")])
    world.books.record_payment("Amy's Bird Sanctuary", [("1001", "60")], "77")
    a_customer_in_billing(world)
    day.new_product(world.billing, "Mulching", "45.125")
    day.new_invoice(world.billing, "Bayshore Garden Center", [("Mulching", "3", "45.125")], on=TODAY)
    number = day.last_invoice_number(world.billing)
    day.take_payment(world.billing, {number: "135.38"}, on=TODAY, method="check", online=False, reference="9")

    first = world.sync()
    assert first.outcome is Outcome.AGREED, first.reason
    made = world.books.one("Invoice", "DocNumber", number)
    assert str(made["TotalAmt"]) in {"135.38", "135.380"}
    assert made["Balance"] == 0
    with world.billing.connect() as connection:
        rows = connection.execute(text("select number, total, balance, state from invoices order by number")).all()
    assert [tuple(row) for row in rows] == [(number, 13538, 0, "paid"), ("1001", 10000, 4000, "open")]

    second = world.sync()
    assert second.outcome is Outcome.AGREED
    assert second.reason.startswith("Nothing had to be written")


def test_a_dry_run_has_sides_without_write_methods_and_changes_nothing(world: World) -> None:
    world.new_customer_in_books("Amy's Bird Sanctuary")
    session = world.open(apply=False)
    for reader in session._readers.values():
        assert not hasattr(reader, "write")
    run = world.sync(apply=False)
    assert run.outcome is Outcome.PLANNED
    assert run.counts["planned_writes"] == 1
    with world.billing.connect() as connection:
        assert connection.execute(text("select count(*) from customers")).scalar_one() == 0


def test_a_saved_plan_is_carried_out_exactly_or_less(world: World) -> None:
    names = ("Amy's Bird Sanctuary", "Bill's Windsurf Shop", "Cool Cars")
    for name in names[:2]:
        world.new_customer_in_books(name)
    planned = world.sync(apply=False)
    world.books.change("Customer", customer_in_books(world, names[1]), PrimaryPhone={"FreeFormNumber": "555-0100"})
    world.new_customer_in_books(names[2])
    done = world.sync(plan=planned.id)
    assert accounts_in_billing(world) == [names[0]]
    assert (done.counts["planned_writes"], done.counts["refused"], done.counts["new_since"]) == (1, 1, 2)
    assert done.outcome is Outcome.AGREED_EXCEPT_HELD, done.reason
    findings = json.loads((world.config.runs / done.folder / "findings.json").read_text(encoding="utf-8"))
    said = {finding["label"]: finding["sentence"] for finding in findings if finding["check"] == "moved_since_the_plan"}
    assert said == {
        names[1]: "Create customer Bill's Windsurf Shop in ReliaBills was planned but is not done: it would be written "
        "otherwise now: phone."
    }
    again = world.sync(plan=planned.id)
    assert (again.counts["planned_writes"], again.counts["refused"]) == (0, 2)
    assert accounts_in_billing(world) == [names[0]]
    assert world.sync().outcome is Outcome.AGREED
    assert accounts_in_billing(world) == [*names]


def test_a_plan_that_is_not_as_it_was_filed_is_refused(world: World) -> None:
    world.new_customer_in_books("Amy's Bird Sanctuary")
    planned = world.sync(apply=False)
    plan = world.config.runs / planned.folder / "plan.json"
    whole = plan.read_text(encoding="utf-8")
    for altered in (whole[:-40], whole.replace("Amy's", "Eve's"), ""):
        plan.write_text(altered, encoding="utf-8")
        with pytest.raises(ConfigurationError, match="is not as it was filed: it was cut off or altered"):
            world.open(plan=planned.id)
    plan.unlink()
    with pytest.raises(ConfigurationError, match=r"cannot be read: No such file .*`reconcile plan craigs`"):
        world.open(plan=planned.id)
    plan.write_text(whole, encoding="utf-8")
    verdict = plan.with_name("run.json")
    verdict.write_text(verdict.read_text(encoding="utf-8").replace("planned", "plannea"), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="is not as it was filed"):
        world.open(plan=planned.id)
    with pytest.raises(ConfigurationError, match="There is no run"):
        world.open(plan="plan.json")
    assert accounts_in_billing(world) == []


def accounts_in_billing(world: World) -> list[str]:
    with world.billing.connect() as connection:
        return list(connection.execute(text("select account_name from customers order by id")).scalars())


def test_a_lettered_number_fails_the_invoices_step_and_payments_do_not_start(world: World) -> None:
    world.new_customer_in_books("Amy's Bird Sanctuary")
    world.new_product_in_books("Gardening")
    world.books.new_invoice("A-17", "Amy's Bird Sanctuary", [("Gardening", "4", "25")])
    world.books.new_invoice("1001", "Amy's Bird Sanctuary", [("Gardening", "1", "25")])
    world.books.record_payment("Amy's Bird Sanctuary", [("1001", "25")], "77")
    with pytest.raises(StepFailedError) as failure:
        world.sync()
    sentence = str(failure.value)
    for word in ("A-17", "Amy's Bird Sanctuary", "100.00", "1002", "Change the number in QuickBooks", "payments"):
        assert word in sentence
    run = world.last_run()
    assert run.outcome is Outcome.STEP_FAILED
    assert {step.step: step.status for step in run.steps} == {
        Entity.CUSTOMER: StepStatus.SYNCED,
        Entity.PRODUCT: StepStatus.SYNCED,
        Entity.TAX_RATE: StepStatus.SYNCED,
        Entity.INVOICE: StepStatus.FAILED,
    }
    with world.billing.connect() as connection:
        assert connection.execute(text("select number from invoices")).scalars().all() == ["1001"]
        assert connection.execute(text("select count(*) from payments")).scalar_one() == 0
    world.books.change("Invoice", world.books.one("Invoice", "DocNumber", "A-17"), DocNumber="1002")
    assert world.sync().outcome is Outcome.AGREED


def test_a_failed_run_names_what_midnight_would_charge_twice(world: World) -> None:
    world.new_customer_in_books("Jeff's Jalopies")
    world.new_product_in_books("Gardening")
    world.books.new_invoice("1001", "Jeff's Jalopies", [("Gardening", "3", "25")])
    world.sync()
    day.edit_customer(world.billing, "Jeff's Jalopies", auto_pay="card")
    world.books.record_payment("Jeff's Jalopies", [("1001", "75")], "981")
    world.books.new_invoice("B-1", "Jeff's Jalopies", [("Gardening", "1", "25")])
    with pytest.raises(StepFailedError, match=r"At risk at midnight: 75\.00 on 1 invoice \(1001\)"):
        world.sync()
    risk = json.loads((world.config.runs / world.last_run().folder / "midnight-risk.json").read_text(encoding="utf-8"))
    assert [(item["number"], item["at_risk"]) for item in risk] == [("1001", 7500)]


def test_a_delta_carries_what_changed_and_what_waited(world: World) -> None:
    world.new_customer_in_books("Amy's Bird Sanctuary")
    waiting = world.books.save("Customer", DisplayName="Dylan Sollfrank", GivenName="Dylan", FamilyName="Sollfrank")
    world.new_product_in_books("Gardening")
    world.books.new_invoice("1001", "Dylan Sollfrank", [("Gardening", "4", "25")])
    held = world.sync()
    assert held.outcome is Outcome.AGREED_EXCEPT_HELD
    world.books.change("Customer", waiting, PrimaryEmailAddr={"Address": "dylan@example.com"})
    day.edit_in_portal(world.billing, "Amy's Bird Sanctuary", phone="(650) 555-0000")
    run = world.sync(mode="delta")
    assert run.outcome is Outcome.AGREED, run.reason
    with world.billing.connect() as connection:
        assert connection.execute(text("select number, balance from invoices")).all() == [("1001", 10000)]
    amy = world.books.one("Customer", "DisplayName", "Amy's Bird Sanctuary")
    assert amy["PrimaryPhone"]["FreeFormNumber"] == "(650) 555-0000"
    quiet = world.sync(mode="delta")
    assert quiet.reason.startswith("Nothing had to be written")


def test_another_company_behind_the_same_connection_stops_the_run_before_anything_is_read(world: World) -> None:
    world.sync()
    with world.billing.begin() as connection:
        connection.execute(text("update settings set company_id = 'somebody-else', company_name = 'Somebody Else'"))
    with pytest.raises(GuardError, match="Somebody Else"):
        world.open()


def test_an_emptied_side_stops_the_run(world: World) -> None:
    world.new_customer_in_books("Amy's Bird Sanctuary")
    world.sync()
    with world.billing.begin() as connection:
        connection.execute(text("delete from customers"))
    session = world.open()
    with pytest.raises(GuardError, match="gives no customers at all"):
        session.pull()


def test_a_second_run_of_the_same_company_is_told_who_runs(world: World) -> None:
    world.open()
    with pytest.raises(LeaseError, match="busy"):
        world.open()


def test_a_run_that_was_overtaken_in_reliabills_writes_nothing_there_and_says_who_did(world: World) -> None:
    world.new_customer_in_books("Amy's Bird Sanctuary")
    session = world.planned()
    with world.billing.begin() as connection:  # while this run's machine slept
        connection.execute(text("update sync_holder set run_id = 'the next run'"))
    with pytest.raises(LeaseError, match="no longer holds ReliaBills: run the next run has taken over"):
        session.push("customer")
    with world.billing.connect() as connection:
        assert connection.scalar(text("select count(*) from customers")) == 0


def test_a_saved_runs_notebook_does_not_write_when_it_is_executed_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.sync(apply=False)
    monkeypatch.chdir(world.config.runs / run.folder)
    with pytest.raises(StoppedBeforeWritingError, match="evidence of a run"):
        world.open(apply=True)


def test_cells_out_of_order_are_refused_in_words(world: World) -> None:
    session = world.open()
    with pytest.raises(StoppedBeforeWritingError, match=r"run\.pull\(\)"):
        session.compare()
    with pytest.raises(StoppedBeforeWritingError, match=r"run\.make_plan\(\)"):
        session.push("customer")
    session.pull()
    session.compare()
    session.validate()
    session.make_plan()
    with pytest.raises(StoppedBeforeWritingError, match="customers, products"):
        session.push(Entity.INVOICE)


def test_a_malformed_record_is_found_and_its_siblings_are_carried(world: World) -> None:
    a_customer_in_billing(world, "Bayshore Garden Center")
    a_customer_in_billing(world, "Twin Lane Homeowners")
    day.new_product(world.billing, "Mulching", "45")
    for name in ("Bayshore Garden Center", "Twin Lane Homeowners"):
        day.new_invoice(world.billing, name, [("Mulching", "1", "45")], on=TODAY, memo="<script>alert(1)</script>")
    with world.billing.begin() as connection:
        connection.execute(text("update invoices set total = 'forty-five' where number = '100'"))
    run = world.sync()
    findings = json.loads((world.config.runs / run.folder / "findings.json").read_text(encoding="utf-8"))
    assert any(finding["record_id"] and "forty-five" in finding["sentence"] for finding in findings)
    assert world.books.one("Invoice", "DocNumber", "101")["CustomerMemo"]["value"] == "<script>alert(1)</script>"
    assert world.books.query("select * from Invoice where DocNumber = '100'", "Invoice") == []
    assert world.sessions[-1].billing.side is Side.BILLING


def test_an_impossible_date_and_a_name_of_500_characters_hold_only_their_own_records(world: World) -> None:
    a_customer_in_billing(world, "B" * 500)
    a_customer_in_billing(world, "Bayshore Garden Center")
    day.new_product(world.billing, "Mulching", "45")
    for _ in range(2):
        day.new_invoice(world.billing, "Bayshore Garden Center", [("Mulching", "1", "45")], on=TODAY)
    with world.billing.begin() as connection:
        connection.execute(text("update invoices set invoice_date = '0000-00-00' where number = '100'"))
    run = world.sync()
    assert run.outcome is Outcome.AGREED_EXCEPT_HELD, run.reason
    assert [invoice["DocNumber"] for invoice in world.books.query("select * from Invoice", "Invoice")] == ["101"]


def test_what_would_charge_more_than_one_run_may_waits_for_the_next_and_the_oldest_goes_first(world: World) -> None:
    world.new_customer_in_books("Jeff's Jalopies")
    world.new_product_in_books("Gardening")
    world.sync()
    day.edit_customer(world.billing, "Jeff's Jalopies", auto_pay="card")
    for number in ("1001", "1002"):
        world.books.new_invoice(number, "Jeff's Jalopies", [("Gardening", "3", "25")])
    engine = open_state(world.config.state_url)
    settings.save(engine, COMPANY, settings.changed(settings.load(engine, COMPANY), "most_charges", "1"))
    engine.dispose()
    run = world.sync()
    assert run.outcome is Outcome.AGREED_EXCEPT_HELD, run.reason
    with world.billing.connect() as connection:
        assert connection.execute(text("select number from invoices")).all() == [("1001",)]
    (left,) = world.sessions[-1].left_out
    assert "would cause a charge of 75.00 to Jeff's Jalopies" in left.sentence
    assert world.sync().outcome is Outcome.AGREED
