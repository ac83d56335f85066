"""Killed anywhere, also while recovering: each record old or new, the next run converges, the one after it is quiet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def explored(*given: str) -> dict[str, Any]:
    """What came of killing runs, told by a process of its own: only one without threads can fork."""
    command = [sys.executable, "-m", "tests.crash.everywhere", *given]
    ended = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert ended.stdout, ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout)
    assert told["broken"] == [], ended.stderr
    assert ended.returncode == 0, ended.stderr
    return told


def test_a_few_crashes_on_sqlite() -> None:
    told = explored("--world", "day", "--first", "22", "--upto", "36")
    assert told["crashes"] == 15
    assert told["recoveries"] > 5


def test_killed_at_every_boundary_of_a_working_day_nothing_is_lost_or_double() -> None:
    told = explored("--world", "day", "--share", "0.05")
    assert told["crashes"] == told["boundaries"]["day"] > 100
    assert told["recoveries"] > 0


@pytest.mark.skipif(not os.environ.get("ALL_CRASHES"), reason="a thousand crashes take minutes: make crashes")
@pytest.mark.parametrize(
    ("kind", "worlds", "crashes"), [("sqlite", ["first", "day"], 700), ("postgresql", ["day"], 300)]
)
def test_a_thousand_crashes_also_while_recovering(
    kind: str, worlds: list[str], crashes: int, request: pytest.FixtureRequest
) -> None:
    state = "sqlite" if kind == "sqlite" else request.getfixturevalue("fresh_postgres_url")
    chosen = [word for world in worlds for word in ("--world", world)]
    told = explored("--state", state, *chosen, "--crashes", str(crashes), "--share", "0.1")
    assert told["crashes"] >= crashes
    assert told["crashes_in_recovery"] >= 100
    assert min(told["boundaries"].values()) > 100
    assert told["recoveries"] > 10


def test_a_stretch_on_postgresql(fresh_postgres_url: str) -> None:
    told = explored("--state", fresh_postgres_url, "--world", "day", "--first", "22", "--upto", "30", "--share", "0.3")
    assert told["crashes"] == 9
