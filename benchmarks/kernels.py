"""What a kernel costs: stock kernels and forked ones in turns, on the same notebook. ``benchmarks/kernels.py --help``.

The notebook imports what a run imports and does nothing else, so that the kernel's cost stands alone. Measured is work
of the processor, of papermill's process and of everything it starts; what the process that kernels are forked from
takes to import stands apart, because it is paid once however many runs follow.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import papermill
import psutil

from reconcile.runner.forking import fork_server
from reconcile.runner.kernels import PrivateKernelManager, engine_options

IMPORTS = "import great_expectations\nimport matplotlib.figure\nimport pyarrow.parquet\nimport reconcile.session"
KINDS: dict[str, dict[str, Any]] = {"stock": {"kernel_manager_class": PrivateKernelManager}, "forked": {}}


def of_this_process() -> float:
    """Work of this process and of its children that have ended, in seconds."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def of_fork_server() -> float:
    """Work of the process that kernels are forked from and of its kernels that have ended, in seconds."""
    return sum(psutil.Process(fork_server().pid).cpu_times()[:4])


def execute(source: Path, **options: Any) -> None:
    """One run of papermill."""
    written = source.with_name("out.ipynb")
    papermill.execute_notebook(str(source), str(written), progress_bar=False, **(engine_options() | options))


def work(do: Callable[[], object]) -> float:
    """How much work something is, in seconds of the processor."""
    before = of_this_process() + of_fork_server()
    do()
    return of_this_process() + of_fork_server() - before


def main() -> None:
    """Measure, kinds in turns, and print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="of each kind")
    count = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.ipynb"
        cell = {"cell_type": "code", "id": "imports", "source": IMPORTS, "metadata": {}, "outputs": []}
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        notebook = {"cells": [cell | {"execution_count": None}], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
        source.write_text(json.dumps(notebook), encoding="utf-8")
        execute(source)
        print(f"importing once, for all forked kernels: {of_fork_server():.2f} s of work")
        taken: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for _ in range(count):
            for kind, options in KINDS.items():
                taken[kind].append(work(lambda options=options: execute(source, **options)))  # type: ignore[misc]
        for kind, figures in taken.items():
            print(
                f"{kind:8} {statistics.median(figures):6.2f} s of work per run "
                f"({min(figures):.2f} to {max(figures):.2f}, {count} runs)"
            )
            sys.stdout.flush()
        print(f"ratio    {statistics.median(taken['stock']) / statistics.median(taken['forked']):6.1f}")


if __name__ == "__main__":
    main()
