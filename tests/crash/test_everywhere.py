"""Killed anywhere, also while recovering: each record old or new, the next run converges, the one after it is quiet.

QuickBooks is the sandbox in a process of its own, over HTTP. These are the first sync and the working day, with the
state in SQLite; :mod:`tests.crash.test_further_worlds` has the rest.
"""

from __future__ import annotations

from tests.crash.exploring import CRASHES, killed


def test_there_are_a_thousand_crashes_in_the_suite() -> None:
    assert sum(CRASHES.values()) >= 1_000
    assert {state for state, _ in CRASHES} == {"sqlite", "postgresql"}


def test_killed_at_every_boundary_of_a_first_sync_nothing_is_lost_or_double() -> None:
    killed("first")


def test_killed_at_every_boundary_of_a_working_day_nothing_is_lost_or_double() -> None:
    killed("day")
