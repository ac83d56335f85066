"""What a run refuses to believe, and the one command that lets a person go on."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from reconcile.cli import app
from reconcile.errors import GuardError
from reconcile.model.runs import Outcome
from reconcile.state import runs
from reconcile.state.database import open_state
from tests.night.conftest import COMPANY, World

BECAUSE = "The test customers were deleted on purpose."


def permit(error: GuardError, because: str = BECAUSE, *more: str) -> None:
    """Paste the command that a guard's message ends with, giving the reason."""
    command = re.search(r"`reconcile (permit [^`]*)`$", str(error))
    assert command, str(error)
    words = [because if word == "WHY" else word for word in shlex.split(command[1])]
    done = CliRunner().invoke(app, [*words, *more])
    assert done.exit_code == 0, done.output
    assert because in done.output


def test_an_emptied_side_is_let_pass_once_by_a_person_with_a_reason_and_the_run_says_so(world: World) -> None:
    world.new_customer_in_books("Amy's Bird Sanctuary")
    world.sync()
    with world.billing.begin() as connection:
        connection.execute(text("delete from customers"))
    with pytest.raises(GuardError, match="gives no customers at all, although 1 are linked") as caught:
        world.sync()
    world.sessions[-1].close()
    permit(caught.value, BECAUSE, "--who", "Ann")

    assert world.sync(apply=False).outcome is Outcome.PLANNED
    run = world.sync()
    (used,) = run.counts["permissions"]
    assert (used["guard"], used["because"], used["who"]) == ("emptied-side", BECAUSE, "Ann")
    kept = json.loads((world.config.runs / run.folder / "run.json").read_text(encoding="utf-8"))
    assert kept["counts"]["permissions"] == [used]
    assert world.sessions[-1].gate.sentences == [f"{used['sentence']} Ann lets it pass: {BECAUSE}"]
    listed = CliRunner().invoke(app, ["permissions", COMPANY])
    assert f"used by run {run.id}. Ann: {BECAUSE}" in listed.output

    with pytest.raises(GuardError, match="gives no customers at all"):
        world.sync()


def test_a_permission_without_a_reason_is_refused(world: World) -> None:
    for because in ([], ["--because", "WHY"]):
        done = CliRunner().invoke(app, ["permit", COMPANY, "emptied-side", *because])
        assert done.exit_code != 0
        assert "needs its reason" in str(done.exception)


def test_a_side_that_shrank_overnight_is_not_believed_and_the_share_is_a_setting(world: World) -> None:
    for n in range(6):
        world.new_customer_in_books(f"Customer {n}")
    world.sync()
    with world.billing.begin() as connection:
        connection.execute(text("delete from customers where id <= 2"))
    with pytest.raises(GuardError, match="ReliaBills lacks 2 of 6 linked customers") as caught:
        world.sync()
    world.sessions[-1].close()
    assert "--up-to 2" in str(caught.value)
    choose(world, shrunk_by_percent=34)
    run = world.sync()
    assert run.outcome is Outcome.AGREED_EXCEPT_HELD
    assert len(world.books.query("select * from Customer", "Customer")) == 6


def test_more_deactivations_or_new_prices_than_the_company_ever_had_wait_for_a_person(world: World) -> None:
    for n in range(3):
        world.new_customer_in_books(f"Customer {n}")
        world.new_product_in_books(f"Product {n}")
    world.sync()
    choose(world, most_endings=2, most_price_changes=2)
    for n in range(3):
        world.books.change("Customer", world.books.one("Customer", "DisplayName", f"Customer {n}"), Active=False)
        world.books.change("Item", world.books.one("Item", "Name", f"Product {n}"), UnitPrice=1)
    with pytest.raises(GuardError, match=r"ends 3 customers.*changes the prices of 3 products") as caught:
        world.sync()
    world.sessions[-1].close()
    with world.billing.connect() as connection:
        assert connection.execute(text("select count(*) from customers where active")).scalar_one() == 3
    first, second = re.findall(r"`[^`]*`", str(caught.value))
    for command in (first, second):
        permit(GuardError(command))
    run = world.sync()
    assert run.outcome is Outcome.AGREED, run.reason
    assert {used["guard"] for used in run.counts["permissions"]} == {"many-endings", "many-price-changes"}
    assert run.counts["deeds"] == {}
    assert world.sync().counts["deeds"] == {}


def test_what_a_company_does_often_becomes_usual(world: World) -> None:
    world.new_customer_in_books("Amy's Bird Sanctuary")
    world.sync()
    amy = world.books.one("Customer", "DisplayName", "Amy's Bird Sanctuary")
    world.books.change("Customer", amy, Active=False)
    assert world.sync().counts["deeds"] == {"customer": 1}
    engine = open_state(world.config.state_url)
    assert runs.deeds(engine, COMPANY, 60) == [{"customer": 1}, {}]
    engine.dispose()


def test_a_plan_that_lay_around_for_hours_is_not_carried_out(world: World) -> None:
    world.new_customer_in_books("Amy's Bird Sanctuary")
    session = world.planned()
    session._read_at -= 4 * 3600
    with pytest.raises(GuardError, match=r"read 4 hours ago.*Nothing was written"):
        session.push("customer")
    with world.billing.connect() as connection:
        assert connection.execute(text("select count(*) from customers")).scalar_one() == 0
    session.pull()
    session.compare()
    session.validate()
    session.make_plan()
    session.push("customer")
    with world.billing.connect() as connection:
        assert connection.execute(text("select count(*) from customers")).scalar_one() == 1


def choose(world: World, **choices: int) -> None:
    """Make settings anew."""
    named = [f"{name}={value}" for name, value in choices.items()]
    done = CliRunner().invoke(app, ["settings", COMPANY, *named])
    assert done.exit_code == 0, done.output
