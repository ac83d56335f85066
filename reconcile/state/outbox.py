"""The outbox: notices, committed with the verdict they tell of, and what became of each.

A notice is claimed before it is handed to the mail server and marked after. Of two processes at once one sends it; one
that dies between the two leaves it claimed for a while, and then it is sent again under the same message id.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, or_, select, update

from reconcile.model.notices import Notice, Posted
from reconcile.state.database import clock, reading, upserting, writing
from reconcile.state.schema import NoticeRow

CLAIM = timedelta(minutes=5)
"""How long a notice belongs to the process that hands it over."""

_WAITS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))


def post(connection: Connection, notice: Notice) -> None:
    """Put a notice into the outbox, in the transaction of what it tells; what was told before is not told again."""
    statement = upserting(connection, NoticeRow).values(
        company=notice.company,
        run_id=notice.run_id,
        about=notice.about,
        subject=notice.subject,
        body=notice.body,
        posted_at=clock(connection),
        due_at=clock(connection),
        sent_at=None,
        tries=0,
        problem="",
    )
    connection.execute(statement.on_conflict_do_nothing(index_elements=[NoticeRow.company, NoticeRow.about]))


def claim(engine: Engine, *, company: str | None = None, at_once: bool = False) -> Posted | None:
    """The oldest notice that is due, ours for :data:`CLAIM`; ``None`` when there is none.

    Args:
        engine: the state.
        company: only of this company.
        at_once: also one that failed and would be tried later; never one that another process is handing over.
    """
    with writing(engine) as connection:
        now = clock(connection)
        due = NoticeRow.due_at <= now
        query = select(NoticeRow.__table__).where(
            NoticeRow.sent_at.is_(None), or_(due, NoticeRow.problem != "") if at_once else due
        )
        if company is not None:
            query = query.where(NoticeRow.company == company)
        query = query.order_by(NoticeRow.id).limit(1).with_for_update(skip_locked=True)
        row = connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        values = {"due_at": now + CLAIM, "tries": row["tries"] + 1, "problem": ""}
        connection.execute(update(NoticeRow).where(NoticeRow.id == row["id"]).values(**values))
        return _posted({**row, **values})


def sent(engine: Engine, posted: Posted) -> None:
    """The mail server has taken it."""
    with writing(engine) as connection:
        connection.execute(update(NoticeRow).where(NoticeRow.id == posted.id).values(sent_at=clock(connection)))


def failed(engine: Engine, posted: Posted, problem: str) -> None:
    """It was not taken; it is due again after a while, the longer the more often it was tried."""
    wait = _WAITS[min(posted.tries, len(_WAITS)) - 1]
    with writing(engine) as connection:
        values = {"due_at": clock(connection) + wait, "problem": problem}
        connection.execute(update(NoticeRow).where(NoticeRow.id == posted.id).values(**values))


def listed(engine: Engine, company: str | None = None, limit: int = 50) -> list[Posted]:
    """Notices of one company or of all, the newest first."""
    query = select(NoticeRow.__table__).order_by(NoticeRow.id.desc()).limit(limit)
    if company is not None:
        query = query.where(NoticeRow.company == company)
    with reading(engine) as connection:
        return [_posted(row) for row in connection.execute(query).mappings()]


def _posted(row: Mapping[Any, Any] | dict[str, Any]) -> Posted:
    posted_at: datetime = row["posted_at"]
    return Posted(
        id=row["id"],
        notice=Notice(row["run_id"], row["company"], row["about"], row["subject"], row["body"]),
        posted_at=posted_at,
        sent_at=row["sent_at"],
        tries=row["tries"],
        problem=row["problem"],
    )
