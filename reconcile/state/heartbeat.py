"""Holding on to a company while a run reads or writes for long, and a last check before anything leaves (design I9)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread

from reconcile.errors import LeaseError, StorageError
from reconcile.state.lease import Lease

BEATS = 15
"""How often a lease is renewed within its time: that many renewals may fail before anybody can take over."""

FRESH = 5.0
"""Seconds for which a check of the lease may be trusted when a request is about to leave.

Between that check and the request's arrival nothing here can hold back a process that is frozen exactly there.
ReliaBills then refuses it itself (:meth:`reconcile.sides.side.Writable.hold`); for QuickBooks the request id while it
is remembered, the version a write names, and our mark on what was made are what remains.
"""


def elapsed() -> float:
    """Seconds that have passed, those included in which the machine slept (where it can tell); never runs backwards."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Heartbeat:
    """Keeps one lease alive, and refuses when it was lost.

    Args:
        lease: what is held.
        now: seconds that have passed since some moment.
    """

    def __init__(self, lease: Lease, now: Callable[[], float] = elapsed) -> None:
        self._lease = lease
        self._now = now
        self._checked = now()
        self._lost: LeaseError | None = None
        self._one_at_a_time = Lock()

    def insist(self) -> None:
        """Make sure that the company is still held; the last thing before a request leaves.

        Raises:
            LeaseError: somebody else has taken over; nothing may be sent.
            StorageError: nobody can tell, because the state cannot be asked; nothing may be sent.
        """
        if self._lost is not None:
            raise self._lost
        if self._now() - self._checked > FRESH:
            self._renew()

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Renew the lease in the background while the block runs; an idle notebook lets it run out."""
        ended = Event()
        thread = Thread(target=self._beat, args=(ended,), name=f"lease of {self._lease.company}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _beat(self, ended: Event) -> None:
        while not ended.wait(self._lease.ttl.total_seconds() / BEATS):
            try:
                self._renew()
            except StorageError:
                continue  # the next beat may get through; whoever wants to write meanwhile asks for himself
            except LeaseError:
                return

    def _renew(self) -> None:
        with self._one_at_a_time:
            asked = self._now()
            try:
                self._lease.renew()
            except LeaseError as error:
                self._lost = error
                raise
            self._checked = asked
