"""One holder per company (design I9): a lease with a fence that only ever grows, timed by the database's clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Connection, CursorResult, Engine, select, update

from reconcile.errors import LeaseError
from reconcile.state.companies import remember_company
from reconcile.state.database import clock, reading, upserting, writing
from reconcile.state.schema import LeaseRow


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write for one company, until somebody else takes it over.

    Attributes:
        engine: the state it is kept in.
        company: company key.
        holder: who holds it, for the person who is refused (``host:pid`` or a name).
        run_id: the run it is held for.
        fence: number of this holding; every later holding of the company has a greater one.
        ttl: how long it lasts after each :meth:`renew` or :meth:`check`.
    """

    engine: Engine
    company: str
    holder: str
    run_id: str
    fence: int
    ttl: timedelta

    def renew(self) -> None:
        """Hold on for another ``ttl`` from now.

        Raises:
            LeaseError: somebody else has taken over.
        """
        with writing(self.engine) as connection:
            self.check(connection)

    def check(self, connection: Connection) -> None:
        """Make sure, inside a write transaction, that this holding is still the current one, and renew it.

        The lease's row stays locked until the transaction ends, so nobody can take over between the check and the
        commit of what it guards. A holding that ran out but that nobody took over is still current: its fence is the
        greatest, so nothing was written since; the check revives it.

        Raises:
            LeaseError: somebody else has taken over, or it was released.
        """
        result = connection.execute(
            update(LeaseRow)
            .where(LeaseRow.company == self.company, LeaseRow.fence == self.fence, LeaseRow.holder == self.holder)
            .values(expires_at=clock(connection) + self.ttl)
        )
        if cast("CursorResult[Any]", result).rowcount != 1:
            current = _current(connection, self.company)
            who = _story(current) if current.holder else "it was released"
            raise LeaseError(
                f"Run {self.run_id} no longer holds {self.company!r}: {who}. It writes nothing more; start a new run."
            )

    def release(self) -> None:
        """Let go, so that the next run need not wait; does nothing when somebody else has taken over."""
        with writing(self.engine) as connection:
            connection.execute(
                update(LeaseRow)
                .where(LeaseRow.company == self.company, LeaseRow.fence == self.fence)
                .values(holder="", expires_at=clock(connection))
            )


def acquire(engine: Engine, company: str, holder: str, run_id: str, ttl: timedelta) -> Lease:
    """Hold a company for a run.

    Raises:
        LeaseError: another run holds it; says which and since when.
        ValueError: the holder has no name, or the time is not positive.
    """
    if not holder or ttl <= timedelta():
        raise ValueError("a lease needs a holder and a positive time")
    with writing(engine) as connection:
        remember_company(connection, company)
        current = _current(connection, company)
        now = clock(connection)
        if current.holder and current.expires_at > now:
            raise LeaseError(
                f"{company!r} is busy: {_story(current)}. Look at it with `reconcile show {current.run_id}`, or wait "
                "until it has ended; if its process is dead, the company is free again "
                f"at {current.expires_at:%Y-%m-%d %H:%M:%S} UTC."
            )
        fence = current.fence + 1
        connection.execute(
            update(LeaseRow)
            .where(LeaseRow.company == company)
            .values(holder=holder, run_id=run_id, fence=fence, acquired_at=now, expires_at=now + ttl)
        )
    return Lease(engine, company, holder, run_id, fence, ttl)


def holder_of(engine: Engine, run_id: str) -> str:
    """Who holds a company for that run at this moment (``host:process``); empty when nobody does."""
    with reading(engine) as connection:
        row = connection.execute(
            select(LeaseRow.holder, LeaseRow.expires_at).where(LeaseRow.run_id == run_id)
        ).one_or_none()
        return str(row.holder) if row is not None and row.expires_at > clock(connection) else ""


def release_run(engine: Engine, run_id: str) -> None:
    """Let go of whatever is still held for a run whose process has ended; does nothing when nothing is."""
    with writing(engine) as connection:
        connection.execute(
            update(LeaseRow).where(LeaseRow.run_id == run_id).values(holder="", expires_at=clock(connection))
        )


@dataclass(frozen=True, slots=True)
class _Holding:
    holder: str
    run_id: str
    fence: int
    acquired_at: datetime
    expires_at: datetime


def _current(connection: Connection, company: str) -> _Holding:
    """The company's lease row, locked until the transaction ends; made, held by nobody, when there is none."""
    now = clock(connection)
    nobody = {"holder": "", "run_id": "", "fence": 0, "acquired_at": now, "expires_at": now}
    connection.execute(upserting(connection, LeaseRow).values(company=company, **nobody).on_conflict_do_nothing())
    row = connection.execute(
        select(LeaseRow.holder, LeaseRow.run_id, LeaseRow.fence, LeaseRow.acquired_at, LeaseRow.expires_at)
        .where(LeaseRow.company == company)
        .with_for_update()
    ).one()
    return _Holding(*row)


def _story(current: _Holding) -> str:
    return f"run {current.run_id} of {current.holder} holds it since {current.acquired_at:%Y-%m-%d %H:%M:%S} UTC"
