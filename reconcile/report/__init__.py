"""What people see in notebooks and saved files: plain HTML tables, PNG plots, progress bars.

Everything here reads the same saved as live: without a kernel, without a network, without scripts, in a light and in a
dark theme. Every external text goes through :func:`reconcile.report.html.shown_text`, which escapes it and makes
invisible characters visible. Nothing is computed here that a decision depends on.
"""

from __future__ import annotations

from reconcile.report.conflicts import conflicts
from reconcile.report.html import Shown, display
from reconcile.report.planned import plan
from reconcile.report.plots import Picture, ageing_plot, plan_plot
from reconcile.report.progress import Progress
from reconcile.report.sections import (
    banner,
    changes,
    counts,
    differences,
    findings,
    midnight_risk,
    note,
    opening,
    step,
    tie_out,
    verdict,
)
from reconcile.report.tables import table

__all__ = [
    "Picture",
    "Progress",
    "Shown",
    "ageing_plot",
    "banner",
    "changes",
    "conflicts",
    "counts",
    "differences",
    "display",
    "findings",
    "midnight_risk",
    "note",
    "opening",
    "plan",
    "plan_plot",
    "step",
    "table",
    "tie_out",
    "verdict",
]
