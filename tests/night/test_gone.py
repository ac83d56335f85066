"""Gone is not absent: merged, deleted, entered again, in use again; each is recognised, and nothing is made twice."""

from __future__ import annotations

from datetime import timedelta

import pytest
import requests
from sqlalchemy import select
from typer.testing import CliRunner

from reconcile import reach
from reconcile.cli import app
from reconcile.errors import StepFailedError
from reconcile.model.runs import Outcome
from reconcile.sandbox.billing.schema import Customer, Product
from reconcile.sides.quickbooks import reader
from tests.night.conftest import COMPANY, World
from tests.night.desks import (
    L,
    agreed,
    billing,
    billing_rows,
    customer_in_books,
    delete_in_books,
    findings,
    held,
    invoice_in_billing,
    invoice_in_books,
    invoices_in_billing,
    invoices_in_books,
    line_in_books,
    pay_in_books,
    plan,
    quiet,
    sell_in_books,
    settled,
    why,
    writes,
)


def merge_in_books(world: World, gone: str, into: str) -> tuple[str, str]:
    """Somebody gives one customer the name of another and lets QuickBooks merge them; their ids."""
    ids = customer_in_books(world, gone)["Id"], customer_in_books(world, into)["Id"]
    body = {"realm": world.quickbooks.realm_id, "entity": "Customer", "id": ids[0], "into": ids[1]}
    answer = requests.post(f"{world.quickbooks.base_url}/admin/merge", json=body, timeout=10)
    answer.raise_for_status()
    return ids


@pytest.mark.parametrize("mode", ["census", "delta"])
def test_a_merge_in_quickbooks_waits_as_one_question_and_the_proposed_relink_settles_it(
    world: World, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (reach, reader):  # so that the delta reads what changed and not all of a young company
        monkeypatch.setattr(module, "OVERLAP", timedelta())
    world.new_customer_in_books("Cool Cars")
    world.new_product_in_books("Gardening")
    four = line_in_books(world, "Gardening", "4", "25")
    sell_in_books(world, "1001", "Cool Cars", four)
    sell_in_books(world, "1002", "Cool Cars", four)
    pay_in_books(world, "Cool Cars", "30", {"1001": "30"}, "cheque 7")
    agreed(world)
    quiet(world, mode=mode)
    world.new_customer_in_books("Cool Cars Inc")
    sell_in_books(world, "1003", "Cool Cars Inc", four)
    gone, into = merge_in_books(world, "Cool Cars", "Cool Cars Inc")

    run = world.sync(mode=mode)
    assert (run.outcome, held(world)) == (Outcome.AGREED_EXCEPT_HELD, {"Cool Cars"}), run.reason
    assert writes(world) == []
    (question,) = [one for one in findings(world) if one["severity"] == "hold"]
    assert question["check"] == "merged_in_quickbooks"
    command = f"reconcile relink {COMPANY} customer:books:{into} customer:billing:1 --because"
    assert command in question["remedy"]
    assert billing_rows(world, "select account_name, active from customers") == [("Cool Cars", 1)]

    words = ["relink", COMPANY, f"customer:books:{into}", "customer:billing:1", "--because", "merged in QuickBooks"]
    decided = CliRunner().invoke(app, [*words, "--who", "Anna"])
    assert decided.exit_code == 0, decided.output
    world.sync(mode=mode)
    assert ("invoice", "create", "1003") in writes(world)
    assert [one["books_id"] for one in plan(world) if one["action"] == "forget"] == [gone]
    assert invoices_in_billing(world) == invoices_in_books(world)
    assert billing_rows(world, "select count(*) from customers") == [(1,)]
    quiet(world, "Cool Cars Inc", mode=mode)
    assert "name" in why(world, "Cool Cars Inc")


def test_a_merge_of_a_customer_without_documents_looks_like_an_inactive_one_and_the_night_says_so(
    world: World,
) -> None:
    world.new_customer_in_books("Cool Cars")
    world.new_customer_in_books("Cool Cars Inc")
    world.new_product_in_books("Gardening")
    sell_in_books(world, "1001", "Cool Cars Inc", line_in_books(world, "Gardening", "4", "25"))
    agreed(world)
    merge_in_books(world, "Cool Cars", "Cool Cars Inc")

    agreed(world)
    assert [(step, action) for step, action, _ in writes(world)] == [("customer", "deactivate")]
    (note,) = [one for one in findings(world) if one["check"] == "inactive_or_merged_in_quickbooks"]
    assert note["severity"] == "note"
    assert "same had it been merged into another customer" in note["sentence"]
    inactive = "select account_name from customers where not active"
    assert billing_rows(world, inactive) == [("Cool Cars",)]

    quiet(world)
    with billing(world) as session:
        session.scalars(select(Customer).filter_by(account_name="Cool Cars")).one().active = True
    with pytest.raises(StepFailedError, match=r"was merged into another one there.*`reconcile relink`"):
        world.sync()

    waiting, carried = (
        invoice_in_billing(world, one, L("Gardening", "4", "25")) for one in ("Cool Cars", "Cool Cars Inc")
    )
    for mode in ("delta", "census"):
        settled(world, "Cool Cars", waiting, mode=mode)
        assert "which has refused to make it active again" in why(world, "Cool Cars")
        assert "its customer Cool Cars is inactive there" in why(world, waiting)
    assert {"1001", carried} == invoices_in_books(world).keys()


def test_a_change_of_an_inactive_customer_or_product_waits_until_it_is_active_again(world: World) -> None:
    world.new_customer_in_books("Cool Cars")
    world.new_product_in_books("Gardening")
    world.new_product_in_books("Mowing")
    agreed(world)
    with billing(world) as session:
        session.scalars(select(Customer).filter_by(account_name="Cool Cars")).one().active = False
        session.scalars(select(Product).filter_by(name="Mowing")).one().active = False
    agreed(world)
    with billing(world) as session:
        session.scalars(select(Customer).filter_by(account_name="Cool Cars")).one().email = "new@example.com"
        session.scalars(select(Product).filter_by(name="Mowing")).one().description = "by hand"

    for mode in ("delta", "census", "delta"):
        quiet(world, mode=mode)
        waiting = {
            one["label"]: one["sentence"] for one in findings(world) if one["check"] == "change_waits_while_inactive"
        }
        assert waiting.keys() == {"Cool Cars", "Mowing"}
        assert "takes no change to it as long as it is; what was changed in ReliaBills (email)" in waiting["Cool Cars"]

    with billing(world) as session:
        session.scalars(select(Customer).filter_by(account_name="Cool Cars")).one().active = True
        session.scalars(select(Product).filter_by(name="Mowing")).one().active = True
    agreed(world, mode="delta")
    assert customer_in_books(world, "Cool Cars")["PrimaryEmailAddr"] == {"Address": "new@example.com"}
    quiet(world)


def test_deleted_in_quickbooks_voided_in_reliabills_where_the_company_says_so_and_never_made_again(
    world: World,
) -> None:
    world.new_customer_in_books("Cool Cars")
    world.new_product_in_books("Gardening")
    four = line_in_books(world, "Gardening", "4", "25")
    for number in ("1001", "1002", "1003"):
        sell_in_books(world, number, "Cool Cars", four)
    pay_in_books(world, "Cool Cars", "30", {"1002": "30"}, "cheque 7")
    agreed(world)
    for number in ("1001", "1003"):
        delete_in_books(world, "Invoice", invoice_in_books(world, number))
    sell_in_books(world, "1003", "Cool Cars", line_in_books(world, "Gardening", "2", "25"))
    settled(world, "1001", "1003")
    assert invoices_in_billing(world)["1001"] == (10000, 0, 10000, "open")

    chosen = CliRunner().invoke(app, ["settings", COMPANY, "deleted_invoices=void"])
    assert chosen.exit_code == 0, chosen.output
    world.sync(mode="delta")
    assert writes(world) == [("invoice", "void", "1001")]
    world.sync()
    assert [(one["action"], one["label"]) for one in plan(world)] == [("forget", "1001")]
    quiet(world, "1003")
    assert invoices_in_billing(world)["1001"] == (10000, 0, 0, "void")
    assert set(invoices_in_books(world)) == {"1002", "1003"}

    old = billing_rows(world, "select id from invoices where number = '1003'")[0][0]
    new = invoice_in_books(world, "1003")["Id"]
    assert f"invoice:books:{new} invoice:billing:{old}" in why(world, "1003")
    words = ["relink", COMPANY, f"invoice:books:{new}", f"invoice:billing:{old}", "--because", "entered again"]
    decided = CliRunner().invoke(app, [*words, "--who", "Anna"])
    assert decided.exit_code == 0, decided.output
    world.sync()
    assert len(invoices_in_billing(world)) == 3

    sell_in_books(world, "1001", "Cool Cars", four)
    world.sync()
    assert "1001" in held(world)
    assert invoices_in_billing(world)["1001"] == (10000, 0, 0, "void")
