"""Switch off one safety at a time and show which test turns red. Each must.

python -m tests.mutations.run                     all of them
python -m tests.mutations.run "no settle" ...     these
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.mutations.mutations import MUTATIONS, VARIABLE, Mutation

ROOT = Path(__file__).parents[2]
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


def red(mutation: Mutation) -> list[str]:
    """The tests that fail without this safety; empty when nobody notices.

    Raises:
        RuntimeError: the tests could not be run at all; with what pytest said.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "tests.mutations.plugin"]
    ended = subprocess.run(
        [*command, *mutation.tests],
        cwd=ROOT,
        env={**os.environ, VARIABLE: mutation.name},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode not in {0, 1}:
        raise RuntimeError(f"{mutation.name}: pytest ended with {ended.returncode}\n{ended.stdout}\n{ended.stderr}")
    return _FAILED.findall(ended.stdout)


def main(names: Sequence[str]) -> int:
    """The command: a line per safety, and 1 when one is missed by nobody."""
    unnoticed = 0
    for mutation in MUTATIONS:
        if names and mutation.name not in names:
            continue
        failed = red(mutation)
        unnoticed += not failed
        sys.stdout.write(f"{mutation.name:24} {failed[0] if failed else 'NOBODY NOTICES'}  ({mutation.safety})\n")
        sys.stdout.flush()
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
