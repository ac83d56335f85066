"""Random histories of two sides with all their troubles; healed and run twice, they keep every invariant.

Some are fresh each time (``FRESH_HISTORIES=100``: so many); a failure prints its seed and its history.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def lived(*given: str) -> None:
    """Some histories, in a process of its own: only one without threads can fork."""
    command = [sys.executable, "-m", "tests.machine.histories", *given]
    ended = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("seed", [1, 2])
def test_histories_that_are_the_same_each_time(seed: int) -> None:
    lived("--seed", str(seed), "--examples", "3")


def test_histories_with_the_state_in_postgresql(fresh_postgres_url: str) -> None:
    lived("--seed", "3", "--examples", "2", "--state", fresh_postgres_url)


def test_histories_that_nobody_has_seen() -> None:
    lived("--fresh", "--examples", os.environ.get("FRESH_HISTORIES", "2"))
