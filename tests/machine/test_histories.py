"""Random histories of two sides with all their troubles; healed and run twice, they keep every invariant.

``FRESH_HISTORIES=1`` lives through some that nobody has seen. A failure prints its seed and its history.
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


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_histories_that_are_the_same_each_time(seed: int) -> None:
    lived("--seed", str(seed), "--examples", "3")


@pytest.mark.skipif(not os.environ.get("FRESH_HISTORIES"), reason="fresh histories are lived through where asked for")
def test_histories_that_nobody_has_seen() -> None:
    lived("--fresh", "--examples", "10", "--steps", "20")
