"""Resolutions: what people decided about records, kept until a run has applied it, and remembered afterwards.

While a decision is open it *claims* what it is about. A claim is a row under a primary key, so that of two people who
decide the same at once the database lets in one, and the other learns who was first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from reconcile.errors import AlreadyDecidedError, ConfigurationError
from reconcile.model.entities import Entity
from reconcile.model.resolutions import Choice, Draft, Resolution, Status
from reconcile.state.companies import remember_company
from reconcile.state.database import reading, writing
from reconcile.state.schema import LeaseRow, ResolutionClaimRow, ResolutionRow
from reconcile.state.texts import json_text

_MOST_WORDS = 500


def decide(engine: Engine, company: str, draft: Draft, who: str) -> Resolution:
    """Record a decision; the next run applies it.

    Raises:
        ConfigurationError: it has no reason, no person, or a reason that is too long to be read.
        AlreadyDecidedError: an open decision is about the same.
    """
    _insist_on_words(draft.because, who)
    values: dict[str, Any] = {
        "company": company,
        "entity": draft.entity.value,
        "choice": draft.choice.value,
        "books_id": draft.books_id,
        "billing_id": draft.billing_id,
        "label": draft.label,
        "fields": ",".join(draft.fields),
        "whole": draft.whole,
        "seen": json_text(dict(draft.seen)),
        "because": draft.because.strip(),
        "until": draft.until,
        "who": who.strip(),
        "decided_at": datetime.now(UTC),
        "status": Status.OPEN.value,
        "closed_at": None,
        "closed_because": "",
        "run_id": None,
    }
    try:
        with writing(engine) as connection:
            remember_company(connection, company)
            number = connection.execute(insert(ResolutionRow).values(**values).returning(ResolutionRow.id)).scalar_one()
            claims = [
                {"company": company, "entity": draft.entity.value, "record_key": key, "aspect": aspect}
                for key, aspect in draft.claims
            ]
            connection.execute(insert(ResolutionClaimRow), [{**claim, "resolution_id": number} for claim in claims])
    except IntegrityError:
        raise _already_decided(engine, company, draft) from None
    return get(engine, company, number)


def _insist_on_words(because: str, who: str) -> None:
    if not because.strip():
        raise ConfigurationError('A decision needs its reason, for whoever reads it later: --because "why".')
    if not who.strip():
        raise ConfigurationError("A decision needs the name of the person who makes it: --who NAME.")
    if max(len(because), len(who)) > _MOST_WORDS:
        raise ConfigurationError(f"The reason and the name may have at most {_MOST_WORDS} characters each.")


def _already_decided(engine: Engine, company: str, draft: Draft) -> Exception:
    """Who was first; the claim that was in the way may be gone by the time it is looked for."""
    mine = or_(
        *(
            (ResolutionClaimRow.record_key == key) & (ResolutionClaimRow.aspect == aspect)
            for key, aspect in draft.claims
        )
    )
    first = (
        select(ResolutionClaimRow.resolution_id)
        .where(ResolutionClaimRow.company == company, ResolutionClaimRow.entity == draft.entity.value, mine)
        .order_by(ResolutionClaimRow.resolution_id)
        .limit(1)
    )
    with reading(engine) as connection:
        number = connection.execute(first).scalar_one_or_none()
    name = f"{draft.entity.singular.capitalize()} {draft.label}"
    if number is None:
        return AlreadyDecidedError(f"{name} was being decided by somebody else at this moment. Try again.")
    other = get(engine, company, number)
    what = other.draft.choice.value + (f": {', '.join(other.draft.fields)}" if other.draft.fields else "")
    return AlreadyDecidedError(
        f"{name} was already resolved by {other.who} at {other.decided_at:%Y-%m-%d %H:%M} UTC ({what}; decision "
        f"{other.id}). Nothing was recorded. To decide otherwise, withdraw it first: `reconcile resolutions {company} "
        f"--withdraw {other.id}`."
    )


def get(engine: Engine, company: str, number: int) -> Resolution:
    """The decision of that number.

    Raises:
        ConfigurationError: the company has none of that number.
    """
    found = _found(engine, ResolutionRow.company == company, ResolutionRow.id == number)
    if not found:
        raise ConfigurationError(
            f"There is no decision {number} for {company!r}; `reconcile resolutions {company}` lists them."
        )
    return found[0]


def listed(engine: Engine, company: str) -> tuple[Resolution, ...]:
    """All decisions of a company, oldest first."""
    return _found(engine, ResolutionRow.company == company)


def for_comparison(engine: Engine, company: str, today: date, run_id: str) -> tuple[Resolution, ...]:
    """What a comparison has to heed: open decisions, and whom people have said to be apart, for ever.

    What was ignored until a date that has come is over, and the record counts again.
    """
    over = (ResolutionRow.company == company, ResolutionRow.status == Status.OPEN.value, ResolutionRow.until <= today)
    for one in _found(engine, *over):
        close(engine, company, one.id, Status.OVER, "its date has come", run_id)
    whole = (ResolutionRow.choice == Choice.UNLINK.value) | (ResolutionRow.fields == "")
    applied = (ResolutionRow.status == Status.APPLIED.value) & whole
    found = _found(engine, ResolutionRow.company == company, (ResolutionRow.status == Status.OPEN.value) | applied)
    return tuple(one for one in found if one.status is Status.OPEN or one.draft.parts)


def take(engine: Engine, company: str, numbers: Iterable[int], run_id: str) -> None:
    """A run is about to apply these: from now on nobody withdraws them under its hands.

    Raises:
        AlreadyDecidedError: one was withdrawn since the run compared.
    """
    with writing(engine) as connection:
        for number in numbers:
            taken = connection.execute(
                update(ResolutionRow).where(*_open(company, number)).values(run_id=run_id)
            ).rowcount
            if not taken:
                raise AlreadyDecidedError(
                    f"Decision {number} was withdrawn while this run was comparing. Nothing was written; start the "
                    "run again."
                )


def close(engine: Engine, company: str, number: int, status: Status, because: str, run_id: str | None) -> None:
    """What became of an open decision; one that is closed already stays as it is."""
    with writing(engine) as connection:
        _close(connection, company, number, status, because, run_id)


def _close(connection: Connection, company: str, number: int, status: Status, because: str, run_id: str | None) -> bool:
    values: dict[str, Any] = {"status": status.value, "closed_at": datetime.now(UTC), "closed_because": because}
    if run_id is not None:
        values["run_id"] = run_id
    closed = connection.execute(update(ResolutionRow).where(*_open(company, number)).values(**values)).rowcount
    if closed:
        connection.execute(delete(ResolutionClaimRow).where(ResolutionClaimRow.resolution_id == number))
    return bool(closed)


def withdraw(engine: Engine, company: str, number: int, who: str) -> Resolution:
    """Take an open decision back before a run has applied it.

    Raises:
        ConfigurationError: there is no such decision.
        AlreadyDecidedError: it is closed already, or a run is applying it at this moment.
    """
    known = get(engine, company, number)
    with writing(engine) as connection:
        busy = connection.execute(
            select(LeaseRow.run_id)
            .join(ResolutionRow, ResolutionRow.run_id == LeaseRow.run_id)
            .where(*_open(company, number), LeaseRow.holder != "", LeaseRow.expires_at > datetime.now(UTC))
        ).scalar_one_or_none()
        if busy is not None:
            raise AlreadyDecidedError(f"Run {busy} is applying decision {number} at this moment; it cannot be undone.")
        done = _close(connection, company, number, Status.WITHDRAWN, f"withdrawn by {who.strip()}", None)
    if not done:
        known = get(engine, company, number)
        raise AlreadyDecidedError(
            f"Decision {number} is {known.status} already ({known.closed_because}), so there is nothing to withdraw."
        )
    return get(engine, company, number)


def _open(company: str, number: int) -> tuple[ColumnElement[bool], ...]:
    return ResolutionRow.company == company, ResolutionRow.id == number, ResolutionRow.status == Status.OPEN.value


def _found(engine: Engine, *which: ColumnElement[bool]) -> tuple[Resolution, ...]:
    query = select(ResolutionRow.__table__).where(*which).order_by(ResolutionRow.id)
    with reading(engine) as connection:
        return tuple(map(_resolution, connection.execute(query).mappings()))


def _resolution(row: Mapping[Any, Any]) -> Resolution:
    draft = Draft(
        entity=Entity(row["entity"]),
        choice=Choice(row["choice"]),
        books_id=row["books_id"],
        billing_id=row["billing_id"],
        label=row["label"],
        fields=tuple(filter(None, row["fields"].split(","))),
        whole=row["whole"],
        seen=json.loads(row["seen"]),
        because=row["because"],
        until=row["until"],
    )
    return Resolution(
        id=row["id"],
        draft=draft,
        who=row["who"],
        decided_at=row["decided_at"],
        status=Status(row["status"]),
        closed_at=row["closed_at"],
        closed_because=row["closed_because"],
        run_id=row["run_id"],
    )
