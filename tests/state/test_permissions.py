"""Permissions: one person, one reason, one guard, one run, and never for longer than anybody remembers."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from reconcile.errors import ConfigurationError, GuardError
from reconcile.model.entities import Side
from reconcile.model.guards import GUARDS, Guard, Permission, covering
from reconcile.model.runs import Mode, Outcome, Run
from reconcile.state import runs
from reconcile.state.companies import KnownIdentity, put_away, register
from reconcile.state.permissions import Wanted, give, listed, open_to, use, withdraw

FRIDAY = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
REASON = "We deleted the test customers ourselves."


def wanted(guard: str = "shrunken-side", **more: Any) -> Wanted:
    return Wanted(**{"guard": guard, "because": REASON, "who": "Ann", **more})


def granted(
    engine: Engine,
    company: str,
    guard: str,
    record: str = "",
    *,
    now: datetime,
    measure: int | None = None,
    run_id: str = "",
) -> Permission | None:
    """What lets a guard pass now for this run."""
    return covering(open_to(engine, company, run_id, now=now), Guard(guard, "", "", record=record, measure=measure))


@pytest.fixture
def a_run(engine: Engine) -> Any:
    def make(run_id: str) -> str:
        folder = f"craigs/{run_id}"
        runs.create(
            engine,
            Run(run_id, "craigs", "manual", Mode.CENSUS, True, "", None, {}, FRIDAY, None, Outcome.RUNNING, "", folder),
        )
        return run_id

    return make


def test_a_permission_lets_one_guard_of_one_company_pass_until_it_expires(engine: Engine) -> None:
    given = give(engine, "craigs", wanted(record="books/customer", up_to=40, seen_in="r1"), now=FRIDAY)

    def pass_(guard: str = "shrunken-side", record: str = "books/customer", **more: Any) -> Any:
        return granted(engine, "craigs", guard, record, **{"measure": 40, "now": FRIDAY, **more})

    assert pass_() == given
    assert pass_("emptied-side") is None
    assert pass_(record="books/invoice") is None
    assert pass_(measure=41) is None
    assert pass_(measure=None) is None
    assert pass_(now=FRIDAY + timedelta(days=2)) == given
    assert pass_(now=FRIDAY + timedelta(days=3)) is None
    assert granted(engine, "neighbour", "shrunken-side", "books/customer", measure=40, now=FRIDAY) is None


def test_it_is_good_for_one_run_and_that_run_may_ask_again(engine: Engine, a_run: Any) -> None:
    given = give(engine, "craigs", wanted(), now=FRIDAY)
    first, second = a_run("r1"), a_run("r2")
    for _ in range(2):
        use(engine, given, first)
    assert granted(engine, "craigs", "shrunken-side", run_id=first, now=FRIDAY) is not None
    assert granted(engine, "craigs", "shrunken-side", run_id=second, now=FRIDAY) is None
    assert listed(engine, "craigs")[0].used_in == (first,)
    with pytest.raises(GuardError, match="was used by run r1 meanwhile"):
        use(engine, given, second)


def test_a_standing_one_passes_every_run(engine: Engine, a_run: Any) -> None:
    given = give(engine, "craigs", wanted(standing=True), now=FRIDAY)
    for run_id in ("r1", "r2"):
        use(engine, given, a_run(run_id))
    assert open_to(engine, "craigs", now=FRIDAY)[0].used_in == ("r1", "r2")


def test_of_two_runs_at_once_one_gets_it(engine: Engine, a_run: Any) -> None:
    given = give(engine, "craigs", wanted(), now=FRIDAY)
    asking, refused = [a_run("r1"), a_run("r2")], []

    def ask(run_id: str) -> None:
        try:
            use(engine, given, run_id)
        except GuardError as error:
            refused.append(error)

    threads = [threading.Thread(target=ask, args=(run_id,)) for run_id in asking]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert len(listed(engine, "craigs")[0].used_in) == 1


def test_what_is_taken_back_lets_nothing_pass(engine: Engine, a_run: Any) -> None:
    given = give(engine, "craigs", wanted(), now=FRIDAY)
    assert withdraw(engine, "craigs", given.id).withdrawn_at is not None
    assert granted(engine, "craigs", "shrunken-side", now=FRIDAY) is None
    with pytest.raises(GuardError, match="was withdrawn meanwhile"):
        use(engine, given, a_run("r1"))
    with pytest.raises(ConfigurationError, match="has no permission 99"):
        withdraw(engine, "craigs", 99)
    with pytest.raises(ConfigurationError, match="'neighbour' has no permission"):
        withdraw(engine, "neighbour", given.id)


def test_a_permission_does_not_outlive_the_company_it_was_given_for(engine: Engine) -> None:
    register(engine, "craigs", KnownIdentity("1", "Craig's", "USD"), Side.BOOKS)
    give(engine, "craigs", wanted(), now=FRIDAY)
    put_away(engine, "craigs", Side.BOOKS)
    assert listed(engine, "craigs") == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"guard": "everything"}, "no guard 'everything'. There are "),
        ({"guard": "wrong-company"}, "Nobody can let wrong-company pass. Connect the right company"),
        ({"because": "  "}, "needs its reason"),
        ({"because": "WHY"}, "needs its reason"),
        ({"who": ""}, "--who NAME"),
        ({"up_to": -1}, "whole number"),
        ({"lasts": timedelta(days=400)}, "nobody remembers"),
        ({"lasts": timedelta(0)}, "nobody remembers"),
    ],
)
def test_a_permission_that_nobody_can_have_meant_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        wanted(**changes)
    assert words in str(caught.value)


def test_hostile_words_are_kept_as_they_are(engine: Engine) -> None:
    told = "'; drop table permission; -- \x00 \x1b[2J <script>"
    give(engine, "craigs", wanted(because=told, record=told), now=FRIDAY)
    (kept,) = listed(engine, "craigs")
    assert kept.because == kept.record == told.replace("\x00", "\N{SYMBOL FOR NULL}")


def test_the_narrowest_permission_is_spent_first(engine: Engine) -> None:
    for more in ({}, {"record": "books/customer"}, {"record": "books/customer", "up_to": 9}):
        give(engine, "craigs", wanted(**more), now=FRIDAY)
    guard = Guard("shrunken-side", "QuickBooks lacks 9.", "Look.", record="books/customer", measure=9)
    chosen = covering(open_to(engine, "craigs", now=FRIDAY), guard)
    assert chosen is not None
    assert chosen.up_to == 9


def test_the_message_of_every_guard_ends_with_its_one_command() -> None:
    for name, kind in GUARDS.items():
        message = Guard(name, "It happened.", "Look at it.", record="in'voice", measure=3).message("craigs", "r1")
        if kind.permit:
            command = f"""reconcile permit craigs {name} --record 'in'"'"'voice' --up-to 3 --seen-in r1"""
            assert message.endswith(f'`{command} --because "WHY"`')
        else:
            assert "permit" not in message
