"""Killed anywhere while a day is undone, while what people decided is carried out, and with the state in PostgreSQL."""

from __future__ import annotations

from tests.crash.exploring import killed


def test_killed_at_every_boundary_of_an_undo_nothing_is_lost_or_double() -> None:
    killed("undo")


def test_killed_at_every_boundary_of_a_run_with_decisions_what_was_decided_stands() -> None:
    killed("decided")


def test_killed_at_every_boundary_with_the_state_in_postgresql_nothing_is_lost_or_double(
    fresh_postgres_url: str,
) -> None:
    killed("day", fresh_postgres_url)
