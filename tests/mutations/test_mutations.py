"""Every safety can still be switched off, and somebody notices."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.mutations.mutations import MUTATIONS
from tests.mutations.run import ROOT, red


def test_every_mutation_still_applies() -> None:
    everything = "from tests.mutations.mutations import MUTATIONS; [one.apply() for one in MUTATIONS]"
    ended = subprocess.run([sys.executable, "-c", everything], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_each_has_a_name_of_its_own_and_there_are_enough() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 30


@pytest.mark.parametrize("name", ["no settle", "lost is failed"])
def test_without_a_safety_a_test_turns_red(name: str) -> None:
    (mutation,) = (one for one in MUTATIONS if one.name == name)
    assert red(mutation)
