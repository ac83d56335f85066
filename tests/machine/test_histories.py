"""Random histories of two sides with all their troubles; healed and run twice, they keep every invariant.

Some are the same each time, and a few are drawn anew with each change of the code: the first line of what a failure
prints is the command, with the seed, that lives through them again. ``FRESH_HISTORIES=100`` lives through so many that
nobody has seen.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.drawing import seed_of_the_code

ROOT = Path(__file__).parents[2]


def lived(*given: str) -> dict[str, int]:
    """What happened in some histories, in a process of its own: only one without threads can fork."""
    command = [sys.executable, "-m", "tests.machine.histories", *given]
    ended = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told: dict[str, int] = json.loads(ended.stdout.splitlines()[-1])
    return told


def test_histories_that_are_the_same_each_time() -> None:
    told = lived("--seed", "224", "--examples", "4")
    assert told["histories"] == 4
    assert min(told["crashes"], told["decisions"], told["runs in trouble"]) > 0


def test_histories_with_the_state_in_postgresql(fresh_postgres_url: str) -> None:
    assert lived("--seed", "3", "--examples", "2", "--state", fresh_postgres_url)["histories"] == 2


def test_histories_that_this_code_has_not_lived_through_before() -> None:
    wanted = os.environ.get("FRESH_HISTORIES", "")
    drawn = ("--fresh",) if wanted else ("--seed", str(seed_of_the_code()))
    assert lived(*drawn, "--examples", wanted or "2")["histories"] >= int(wanted or "2")
