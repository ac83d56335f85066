"""What is tried anew with each change of the code, and alike on every machine as long as the code is the same."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_SEEDS = 1_000_000


@cache
def seed_of_the_code() -> int:
    """The seed that the product's code and the tests that draw stand for: who sees a failure can see it again."""
    digest = hashlib.sha256()
    for folder in ("reconcile", "checks", "tests/crash", "tests/machine"):
        for file in sorted((_ROOT / folder).rglob("*.py")):
            digest.update(file.relative_to(_ROOT).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return int.from_bytes(digest.digest()[:8]) % _SEEDS
