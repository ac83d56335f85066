"""A run that reads everything although it was to read only changes says so, and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from reconcile.model.entities import Entity, Side
from reconcile.model.runs import CENSUS_AT, EVERYTHING, NOVELTIES, Run
from reconcile.model.snapshot import Scope
from reconcile.report import verdict
from reconcile.sides.quickbooks import QuickBooksSession, reader
from reconcile.sides.quickbooks.transport import Reply
from reconcile.state import settings
from reconcile.state.database import open_state
from tests.night.conftest import COMPANY, World
from tests.night.desks import agreed, findings


def rewind(world: World, statement: str, days: int) -> None:
    """Let time pass: what the state remembers is so many days older."""
    moment = datetime.now(UTC) - timedelta(days=days)
    state = open_state(world.config.state_url)
    with state.begin() as connection:
        connection.execute(text(statement), {"moment": str(moment.replace(tzinfo=None)), "iso": moment.isoformat()})
    state.dispose()


def announced(world: World, run: Run, *words: str) -> bool:
    """Whether everything was read; if so, the run's record and its box say why."""
    because = run.counts.get(EVERYTHING, "")
    for word in words:
        assert word in because
        assert word in verdict(run).html
    scopes = {snapshot.scope for side in Side for snapshot in world.sessions[-1]._frames[side].values()}
    assert (scopes == {Scope.CENSUS}) is bool(because)
    assert (CENSUS_AT in run.counts) is bool(because)
    return bool(because)


def test_a_delta_becomes_a_census_when_its_changes_are_too_old_or_a_week_has_passed(world: World) -> None:
    world.new_customer_in_books("Cool Cars")
    first = agreed(world, mode="delta")
    assert announced(world, first, "no earlier full run")
    assert not announced(world, agreed(world, mode="delta"))

    rewind(world, "update cursor set since = :moment where side = 'books'", 40)
    assert announced(world, agreed(world, mode="delta"), "40 days ago", "30 days only")
    assert not announced(world, agreed(world, mode="delta"))

    older = f"update run set counts = '{{\"{CENSUS_AT}\": \"' || :iso || '\"}}' where counts like '%{CENSUS_AT}%'"
    rewind(world, older, 8)
    assert announced(world, agreed(world, mode="delta"), "due every 7 days")
    rewind(world, older, 8)
    state = open_state(world.config.state_url)
    settings.save(state, COMPANY, settings.changed(settings.load(state, COMPANY), "census_every_days", "30"))
    state.dispose()
    assert not announced(world, agreed(world, mode="delta"))


def test_more_changes_than_quickbooks_tells_at_once_are_read_whole_and_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.new_customer_in_books("Cool Cars")
    world.new_product_in_books("Gardening")
    agreed(world)
    rewind(world, "update cursor set since = :moment", 1)
    for number in range(4):
        world.new_customer_in_books(f"Customer {number}")
    monkeypatch.setattr(reader, "CDC_CAP", 4)
    run = agreed(world, mode="delta")
    assert "so all of its customers were read instead" in run.counts[EVERYTHING]
    books = world.sessions[-1].books
    assert (books[Entity.CUSTOMER].scope, books[Entity.PRODUCT].scope) == (Scope.CENSUS, Scope.DELTA)
    assert CENSUS_AT not in run.counts


def test_what_is_new_in_quickbooks_is_noted_once_and_nothing_waits_for_it(world: World) -> None:
    world.new_customer_in_books("Cool Cars")
    usual = QuickBooksSession._send

    def send(session: QuickBooksSession, *request: Any, **how: Any) -> Reply:
        reply = usual(session, *request, **how)
        said = b'"DisplayName":"Cool Cars"'
        return replace(reply, body=reply.body.replace(said, b'"Mood":"<b>good",' + said))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(QuickBooksSession, "_send", send)
        first = agreed(world)
        notes = [one["sentence"] for one in findings(world) if one["check"] == "new_in_quickbooks"]
        assert notes == [
            "QuickBooks says something that is new here: Customer.Mood. It is left as it is, never written over."
        ]
        assert first.counts[NOVELTIES] == ["Customer.Mood"]
        agreed(world)
    assert not [one for one in findings(world) if one["check"] == "new_in_quickbooks"]
