"""Killing runs from a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CRASHES = {
    ("sqlite", "first"): 240,
    ("sqlite", "day"): 270,
    ("sqlite", "undo"): 160,
    ("sqlite", "decided"): 160,
    ("postgresql", "day"): 190,
}
"""Crashes in the suite, by state and world: every boundary once, the rest while recovering."""


def killed(world: str, state: str = "sqlite") -> None:
    """Kill runs of this world at every boundary and in their recoveries, and insist that it was enough."""
    wanted = CRASHES[state.partition("+")[0], world]
    share = "0.15" if world == "decided" else "0.05"  # its crashes leave few different worlds
    told = explored("--state", state, "--world", world, "--crashes", str(wanted), "--share", share)
    boundaries = told["boundaries"][world]
    assert boundaries > 100, "something is not counted any more"
    assert told["crashes"] >= max(wanted, boundaries)
    assert told["crashes_in_recovery"] > 15
    assert told["recoveries"] + told["quiet_runs"] > 2
    assert told["certificates"] == told["recoveries"] + told["quiet_runs"], "a run has filed no certificate"


def explored(*given: str) -> dict[str, Any]:
    """What came of killing runs, told by a process of its own: only one without threads can fork."""
    command = [sys.executable, "-m", "tests.crash.everywhere", *given]
    ended = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert ended.stdout, ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout)
    assert told["broken"] == [], ended.stderr
    assert ended.returncode == 0, ended.stderr
    return told
