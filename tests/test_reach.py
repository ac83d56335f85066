"""When a delta must read everything, and what it says then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconcile.model.entities import Entity, Side
from reconcile.reach import OVERLAP, reach

NOW = datetime(2026, 11, 25, 4, 30, tzinfo=UTC)
WEEK = timedelta(days=7)


def cursors(age: timedelta) -> dict[Side, dict[Entity, datetime]]:
    return {side: dict.fromkeys(Entity, NOW - age) for side in Side}


def test_a_delta_reaches_back_a_little_before_the_oldest_cursor_of_each_side() -> None:
    known = cursors(timedelta(hours=3))
    known[Side.BILLING][Entity.INVOICE] -= timedelta(hours=1)
    found = reach(known, NOW - timedelta(days=6), WEEK, NOW)
    assert found.because == ""
    assert found.since == {
        Side.BOOKS: NOW - timedelta(hours=3) - OVERLAP,
        Side.BILLING: NOW - timedelta(hours=4) - OVERLAP,
    }


@pytest.mark.parametrize(
    ("age", "census", "every", "words"),
    [
        (timedelta(hours=3), None, WEEK, "no earlier full run"),
        (
            timedelta(days=29),
            timedelta(days=1),
            WEEK,
            "29 days ago and QuickBooks tells those of the last 30 days only",
        ),
        (timedelta(days=45), timedelta(days=45), WEEK, "45 days ago"),
        (timedelta(hours=3), timedelta(days=7), WEEK, "last read on 2026-11-18, and that is due every 7 days"),
        (timedelta(hours=3), timedelta(hours=3), timedelta(0), "due every day"),
    ],
)
def test_everything_is_read_and_why_when_changes_cannot_be_told_or_a_census_is_due(
    age: timedelta, census: timedelta | None, every: timedelta, words: str
) -> None:
    found = reach(cursors(age), NOW - census if census is not None else None, every, NOW)
    assert found.since is None
    assert words in found.because
    assert "reads everything (census)" in found.because


def test_a_kind_of_record_never_read_means_no_earlier_run() -> None:
    known = cursors(timedelta(hours=3))
    del known[Side.BOOKS][Entity.PAYMENT]
    assert reach(known, NOW, WEEK, NOW).since is None
