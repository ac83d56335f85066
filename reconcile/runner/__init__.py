"""papermill, the clock and the evidence: a run is one notebook, executed here, judged here, filed here.

The verdict is written from the journal and the process, never read out of the notebook: after a cell time-out or a dead
kernel papermill marks every cell completed (stack notes).
"""
