"""Exceptions: broken machinery, grouped by what to do next. Wrong data is never an exception but a finding.

::

    ReconcileError                     every message says what happened, to which record, why, and what to do now
    ├── ConfigurationError             a setting, parameter, path or address is wrong: mend it and start again
    ├── StoppedBeforeWritingError      nothing was written; the message says why and how to go on
    │   ├── AlreadyDecidedError        another person has decided this already
    │   ├── GuardError                 a guard stopped the run (partial pull, wrong company, stale plan, ...)
    │   └── LeaseError                 another run holds this company
    ├── SideError                      one of the two systems could not be used
    │   ├── UnreachableError           no answer: network, address, time-out
    │   │   └── DeferredError          not now: it asks for patience, or is in trouble; the company is tried again later
    │   ├── RefusedError               it answered "no": credentials, permission, company
    │   │   └── DisconnectedError      the company must be connected again by a person
    │   └── IncompletePullError        what was read is not all there is; it must not become a snapshot
    ├── StorageError                   what we remember could not be read or kept: nothing more is sent
    └── StepFailedError                a push step could not be completed; later steps must not start
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum


class ReconcileError(Exception):
    """Base of all our exceptions; ``str(error)`` is a sentence (or several) for the person who meets it."""


class ConfigurationError(ReconcileError):
    """A setting, parameter, path or address is wrong: mend it and start again."""


class StoppedBeforeWritingError(ReconcileError):
    """The run stopped before its first write; both sides are as they were."""


class AlreadyDecidedError(StoppedBeforeWritingError):
    """Another decision about the same is open; the message says whose, since when and which."""


class GuardError(StoppedBeforeWritingError):
    """A guard stopped the run: partial pull, wrong company, emptied side, stale plan."""


class LeaseError(StoppedBeforeWritingError):
    """Another run holds this company; the message says which and since when."""


class SideError(ReconcileError):
    """One of the two systems could not be used."""


class UnreachableError(SideError):
    """No answer came: network, address, time-out. For a write the outcome is unknown, never failed."""


class Cause(StrEnum):
    """Why a system cannot be used for a while."""

    BUSY = "busy"  # it asks for fewer requests
    QUOTA = "quota"  # it has asked for that so long that the program's allowance must be used up
    TROUBLE = "trouble"  # it answers with errors of its own
    TOO_LARGE = "too large"  # an answer without measure


class DeferredError(UnreachableError):
    """Not now: what was to be done is to be tried again later, by the same run made anew.

    Attributes:
        cause: why.
        wait: how long the system itself asked to be left alone; zero when it did not say.
        waits: how often in a row it was waited for without an answer.
        answered: whether it had answered anything else before, on the same connection.
        doubtful: the request that was given up may have been carried out all the same.
        alone: only this request met it; others may still be answered.
    """

    def __init__(
        self,
        sentence: str,
        cause: Cause = Cause.TROUBLE,
        *,
        wait: timedelta = timedelta(0),
        waits: int = 0,
        answered: bool = False,
        doubtful: bool = False,
        alone: bool = False,
    ) -> None:
        super().__init__(sentence)
        self.cause = cause
        self.wait = wait
        self.waits = waits
        self.answered = answered
        self.doubtful = doubtful
        self.alone = alone


class RefusedError(SideError):
    """The system answered "no": credentials, permission, company."""


class DisconnectedError(RefusedError):
    """The company must be connected again by a person; the message says by which command."""


class IncompletePullError(SideError):
    """What was read is not all there is; it must not become a snapshot."""


class StorageError(ReconcileError):
    """The state could not be read or kept (full disk, no permission, database away): nothing is sent without it."""


class StepFailedError(ReconcileError):
    """A push step could not be completed; later steps must not start."""
