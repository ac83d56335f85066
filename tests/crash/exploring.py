"""Killing runs from a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.drawing import seed_of_the_code

ROOT = Path(__file__).parents[2]
CRASHES = {
    ("sqlite", "first"): 240,
    ("sqlite", "day"): 270,
    ("sqlite", "undo"): 160,
    ("sqlite", "decided"): 160,
    ("postgresql", "day"): 190,
}
"""Crashes in the suite, by state and world: every boundary once, the rest while recovering."""

SHARE = "0.12"
"""Of the different worlds that these leave; which ones is drawn anew with each change of the code."""


def killed(world: str, state: str = "sqlite") -> None:
    """Kill runs of this world at every boundary and in their recoveries, and insist that it was enough."""
    wanted = CRASHES[state.partition("+")[0], world]
    told = explored("--state", state, "--world", world, "--crashes", str(wanted), "--share", SHARE)
    boundaries = told["boundaries"][world]
    assert boundaries > 100, "something is not counted any more"
    assert told["crashes"] >= max(wanted, boundaries)
    assert told["crashes_in_recovery"] > 15
    assert told["recoveries"] > 0
    assert told["certificates"] == told["recoveries"] + told["quiet_runs"], "a run has filed no certificate"


def explored(*given: str) -> dict[str, Any]:
    """What came of killing runs, told by a process of its own: only one without threads can fork."""
    drawn = ("--seed", str(seed_of_the_code()))
    command = [sys.executable, "-m", "tests.crash.everywhere", *given, *drawn]
    ended = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert ended.stdout, ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout)
    again = f"python -m tests.crash.everywhere {' '.join([*given, *drawn])}"
    assert told["broken"] == [], f"{ended.stderr}\nThe same again: {again}"
    assert ended.returncode == 0, f"{ended.stderr}\nThe same again: {again}"
    return told
