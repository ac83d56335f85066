"""papermill, the clock and the evidence: a run is one notebook, executed here, judged here, filed here.

The verdict is written from the journal and the process, never read out of the notebook: after a cell time-out or a dead
kernel papermill marks every cell completed.

:mod:`reconcile.runner.request` says what can be asked, :mod:`reconcile.runner.execute` carries it out. Its kernels
(:mod:`reconcile.runner.kernels`) are forked from a process that has imported everything already
(:mod:`reconcile.runner.forkserver`), which :mod:`reconcile.runner.forking` starts and asks. Notebooks that a person
opens in JupyterLab have kernels as they come.
"""

import sys

if "jsonschema" not in sys.modules:
    # Only for international addresses in JSON schemas, which nobody here has: building its grammar takes a second.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
