"""Exceptions: broken machinery, grouped by what to do next. Wrong data is never an exception but a finding.

::

    ReconcileError                     every message says what happened, to which record, why, and what to do now
    ├── ConfigurationError             a setting, parameter, path or address is wrong: mend it and start again
    ├── StoppedBeforeWritingError      nothing was written; the message says why and how to go on
    │   ├── GuardError                 a guard stopped the run (partial pull, wrong company, stale plan, ...)
    │   └── LeaseError                 another run holds this company
    ├── SideError                      one of the two systems could not be used
    │   ├── UnreachableError           no answer: network, address, time-out
    │   ├── RefusedError               it answered "no": credentials, permission, company
    │   └── IncompletePullError        what was read is not all there is; it must not become a snapshot
    └── StepFailedError                a push step could not be completed; later steps must not start
"""

from __future__ import annotations


class ReconcileError(Exception):
    """Base of all our exceptions; ``str(error)`` is a sentence (or several) for the person who meets it."""


class ConfigurationError(ReconcileError):
    """A setting, parameter, path or address is wrong: mend it and start again."""


class StoppedBeforeWritingError(ReconcileError):
    """The run stopped before its first write; both sides are as they were."""


class GuardError(StoppedBeforeWritingError):
    """A guard stopped the run: partial pull, wrong company, emptied side, stale plan."""


class LeaseError(StoppedBeforeWritingError):
    """Another run holds this company; the message says which and since when."""


class SideError(ReconcileError):
    """One of the two systems could not be used."""


class UnreachableError(SideError):
    """No answer came: network, address, time-out. For a write the outcome is unknown, never failed."""


class RefusedError(SideError):
    """The system answered "no": credentials, permission, company."""


class IncompletePullError(SideError):
    """What was read is not all there is; it must not become a snapshot."""


class StepFailedError(ReconcileError):
    """A push step could not be completed; later steps must not start."""
