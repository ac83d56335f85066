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
