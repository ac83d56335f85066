"""A state restored from an older copy is recognised, writes nothing until confirmed, and guesses nothing then."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from reconcile.errors import GuardError
from reconcile.model.runs import Outcome
from reconcile.sandbox.billing import day
from reconcile.state import permissions
from reconcile.state.database import open_state
from reconcile.verification import verify
from tests.night.conftest import COMPANY, World
from tests.night.desks import customer_in_books


def backup(world: World) -> Callable[[], None]:
    """Copy the state as an administrator does; gives what puts the copy back."""
    state, kept = world.root / "state.db", world.root / "last-week.db"
    _copy(state, kept)

    def restore() -> None:
        for session in world.sessions:
            session.close()
        _copy(kept, state)

    return restore


def _copy(source: Path, target: Path) -> None:
    with sqlite3.connect(source) as one, sqlite3.connect(target) as other:
        one.backup(other)


def customers(world: World) -> list[tuple[str, str, int]]:
    with world.billing.connect() as connection:
        rows = connection.execute(text("select account_name, phone, version from customers order by id"))
        return [(name, phone, version) for name, phone, version in rows]


def phone_in_books(world: World, name: str, number: str) -> None:
    world.books.change("Customer", customer_in_books(world, name), PrimaryPhone={"FreeFormNumber": number})


def test_a_state_from_last_week_writes_nothing_until_confirmed_and_then_guesses_nothing(world: World) -> None:
    amy, bill, cool = "Amy's Bird Sanctuary", "Bill's Windsurf Shop", "Cool Cars"
    world.new_customer_in_books(amy)
    world.new_customer_in_books(bill, PrimaryPhone={"FreeFormNumber": "555-0000"})
    world.sync()
    restore = backup(world)
    phone_in_books(world, amy, "555-0100")
    phone_in_books(world, bill, "555-0300")
    world.new_customer_in_books(cool)
    assert world.sync().outcome is Outcome.AGREED
    day.edit_customer(world.billing, bill, phone="555-0000")  # what last week's base holds: it would see no edit here
    restore()
    before = customers(world)

    with pytest.raises(GuardError, match=r"went back in time.* of 1 run is newer .* carried out 3 writes"):
        world.open()
    assert customers(world) == before
    assert world.sync(apply=False).outcome is Outcome.PLANNED
    with pytest.raises(GuardError, match="reconcile permit craigs state-went-back"):
        world.open()

    engine = open_state(world.config.state_url)
    assert "newest rows were removed" in verify(world.config, engine, COMPANY).altered
    permissions.give(
        engine, COMPANY, permissions.Wanted("state-went-back", because="The newer copy is lost.", who="Ann")
    )
    run = world.sync()
    assert run.outcome is Outcome.AGREED_EXCEPT_HELD, run.reason
    assert customers(world) == before, "equal values are agreed, different ones held; nothing is written"
    assert [one["DisplayName"] for one in world.books.query("select * from Customer", "Customer")] == [amy, bill, cool]
    assert customer_in_books(world, bill)["PrimaryPhone"]["FreeFormNumber"] == "555-0300"
    found = verify(world.config, engine, COMPANY)
    assert found.altered == ""
    engine.dispose()
    assert world.sync().counts["planned_writes"] == 0
