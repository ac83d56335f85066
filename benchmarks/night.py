"""Time and peak memory of a night, stage by stage, for a large company. ``python benchmarks/night.py --help``.

Every stage runs in a fresh process, so that its peak is its own; what it needs is prepared by the stages before it and
loaded outside the measured part. ``--profile STAGE`` shows where the time of one stage goes.

* *census*: everything is read from a ReliaBills database (SQLite) and, page by page over HTTP on this machine, from a
  QuickBooks that only gives back prepared answers; one record in a hundred differs.
* *delta*: the same company with 50 changes since both sides agreed.
* *peers*: the same 20 pages of invoices read by us, by python-quickbooks' own objects, and by pandas' json_normalize.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ORDER = {
    "prepare": "make the company",
    "remember": "first sync: link all",
    "pull_billing": "pull ReliaBills",
    "pull_books": "pull QuickBooks",
    "recall": "read the base",
    "compare": "compare",
    "check": "validate",
    "plan": "plan",
    "tie_out": "tie out",
    "whole_census": "whole census, one process",
    "whole_delta": "whole delta, one process",
    "peer_ours": "20 pages, ours",
    "peer_python_quickbooks": "20 pages, python-quickbooks",
    "peer_json_normalize": "20 pages, json_normalize",
}
SIZES = {"customers": 20_000, "products": 500, "invoices": 100_000, "payments": 80_000}


def stage_command(name: str, folder: Path, size: dict[str, int]) -> list[str]:
    """How one stage is started in a process of its own."""
    stages = Path(__file__).with_name("stages.py")
    return [sys.executable, str(stages), name, str(folder), "--size", json.dumps(size)]


def measure(name: str, folder: Path, size: dict[str, int]) -> dict[str, Any]:
    """The figures of one stage."""
    done = subprocess.run(stage_command(name, folder, size), capture_output=True, text=True, check=False)  # noqa: S603  (our own script)
    if done.returncode:
        sys.exit(f"The stage {name} failed:\n{done.stderr}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def show(name: str, figures: dict[str, Any]) -> None:
    """One stage on the screen: time, memory before and at its peak, the parts of the time, and what it did."""
    parts = figures["parts"]
    done = ", ".join(f"{key} {value}" for key, value in figures["figures"].items())
    clock = f"{sum(parts.values()):7.2f} s by the clock, {figures['worked']:7.2f} s of work"
    print(f"{ORDER[name]:28} {clock}, peak {figures['peak']:5.0f} MB ({figures['before']:.0f} before)")
    if len(parts) > 1:
        print(f"{'':28} " + ", ".join(f"{part} {seconds:.2f}" for part, seconds in parts.items()))
    if done:
        print(f"{'':28} {done}")
    sys.stdout.flush()


def main() -> None:
    """Measure everything, or profile one stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, default in SIZES.items():
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--folder", type=Path, help="where the company is made (and stays); else a temporary place")
    parser.add_argument("--profile", choices=list(ORDER), help="profile this stage in a folder measured before")
    arguments = parser.parse_args()
    size = {option: getattr(arguments, option) for option in SIZES}
    if arguments.profile:
        if arguments.folder is None:
            parser.error("--profile needs the --folder of an earlier measurement")
        command = stage_command(arguments.profile, arguments.folder, size)
        sys.exit(subprocess.run([*command, "--profile"], check=False).returncode)  # noqa: S603  (our own script)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in ORDER:
            show(name, measure(name, folder, size))


if __name__ == "__main__":
    main()
