"""Which company is behind a connection, so that a swapped one is recognised before the first write."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, cast

from sqlalchemy import Connection, CursorResult, Engine, insert, select, update

from reconcile.errors import GuardError
from reconcile.model.entities import Side
from reconcile.model.journal import EntryStatus
from reconcile.state.database import reading, upserting, writing
from reconcile.state.schema import (
    CompanyRow,
    CursorRow,
    IdentityRow,
    JournalRow,
    LinkRow,
    PendingRow,
    PermissionRow,
    ResolutionClaimRow,
    ResolutionRow,
)


class Identity(Protocol):
    """What a side says of itself; :class:`reconcile.sides.side.CompanyIdentity` is one."""

    @property
    def company_id(self) -> str:
        """The side's own id of the company."""
        ...

    @property
    def name(self) -> str:
        """Its name; may change."""
        ...

    @property
    def currency(self) -> str:
        """Its home currency."""
        ...


@dataclass(frozen=True, slots=True)
class KnownIdentity:
    """Who was behind a company's connection when it was registered; ``name`` as last seen, hostile text."""

    company_id: str
    name: str
    currency: str


def register(engine: Engine, company: str, identity: Identity, side: Side) -> None:
    """Remember who is behind a company's connection to a side; a new name of the same company is taken over.

    Raises:
        GuardError: another company (or currency) was registered for this side; nothing is changed.
    """
    now = datetime.now(UTC)
    with writing(engine) as connection:
        remember_company(connection, company)
        known = _known(connection, company, side)
        if known is None:
            connection.execute(
                insert(IdentityRow).values(
                    company=company,
                    side=side.value,
                    company_id=identity.company_id,
                    name=identity.name,
                    currency=identity.currency,
                    registered_at=now,
                )
            )
            return
        _refuse_another(company, side, known, identity)
        connection.execute(
            update(IdentityRow)
            .where(IdentityRow.company == company, IdentityRow.side == side.value)
            .values(name=identity.name)
        )


def recognise(engine: Engine, company: str, identity: Identity, side: Side) -> None:
    """Insist that whoever answers for a side is the company the links were made with; somebody new is not kept yet.

    Raises:
        GuardError: it is another one.
    """
    known = known_identity(engine, company, side)
    if known is not None:
        _refuse_another(company, side, known, identity)


def known_identity(engine: Engine, company: str, side: Side) -> KnownIdentity | None:
    """Who was registered for this side; ``None`` when nobody was."""
    with reading(engine) as connection:
        return _known(connection, company, side)


def put_away(engine: Engine, company: str, side: Side) -> int:
    """Put away what is remembered of the company behind one side, because another one takes its place.

    Links with their bases, cursors, waiting records, permissions, decisions and open journal entries go under a key of
    their own: nothing is lost, and nothing of it is ever taken for the new company's. Journal entries that are answered
    stay: request ids must not be used twice.

    Returns:
        How many open journal entries were put away: writes of which nobody will find out any more by themselves.
    """
    now = datetime.now(UTC)
    with writing(engine) as connection:
        known = _known(connection, company, side)
        if known is None:
            return 0
        shelf = f"{company}~{known.company_id}~{now:%Y%m%dT%H%M%S%f}"
        remember_company(connection, shelf)
        connection.execute(
            update(IdentityRow)
            .where(IdentityRow.company == company, IdentityRow.side == side.value)
            .values(company=shelf)
        )
        for table in (LinkRow, CursorRow, PendingRow, PermissionRow, ResolutionRow, ResolutionClaimRow):
            connection.execute(update(table).where(table.company == company).values(company=shelf))
        still_open = update(JournalRow).where(
            JournalRow.company == company,
            JournalRow.status.in_([status.value for status in EntryStatus if status.open]),
        )
        return cast("CursorResult[Any]", connection.execute(still_open.values(company=shelf))).rowcount


def remember_company(connection: Connection, company: str) -> None:
    """Make the company's row when there is none, so that everything else may refer to it."""
    values = {"key": company, "first_seen_at": datetime.now(UTC)}
    connection.execute(upserting(connection, CompanyRow).values(values).on_conflict_do_nothing())


def _known(connection: Connection, company: str, side: Side) -> KnownIdentity | None:
    row = connection.execute(
        select(IdentityRow.company_id, IdentityRow.name, IdentityRow.currency).where(
            IdentityRow.company == company, IdentityRow.side == side.value
        )
    ).one_or_none()
    return None if row is None else KnownIdentity(*row)


def _refuse_another(company: str, side: Side, known: KnownIdentity, identity: Identity) -> None:
    if (known.company_id, known.currency) == (identity.company_id, identity.currency):
        return
    again = f"`reconcile connect {company}`" if side is Side.BOOKS else "correct the address in reconcile.toml"
    raise GuardError(
        f"The {side.product} connection of {company!r} leads to another company: it was {known.name!r} "
        f"(id {known.company_id}, {known.currency}), now it is {identity.name!r} (id {identity.company_id}, "
        f"{identity.currency}). Nothing was written, and nobody can let this pass. Connect the right company again: "
        f"{again}."
    )
