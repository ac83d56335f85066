"""Permissions: a person lets one named guard pass, with a reason; remembered with who, when, and the run that used it.

A guard asks :func:`open_to` and :func:`reconcile.model.guards.covering`; what lets it pass is spent by :func:`use` when
the run really goes on, so that a run that stops elsewhere spends nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select, update

from reconcile.errors import ConfigurationError, GuardError
from reconcile.model.guards import BECAUSE, GUARDS, Permission
from reconcile.state.companies import remember_company
from reconcile.state.database import reading, upserting, writing
from reconcile.state.schema import PermissionRow, PermissionUseRow

LASTS = timedelta(days=3)
"""How long a permission holds unless told otherwise: over a weekend, not until everybody has forgotten it."""
MOST_DAYS = 31


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person lets pass; the attributes are those of :class:`~reconcile.model.guards.Permission`.

    Raises:
        ConfigurationError: no such guard, none that may be let pass, or no reason, person, record or sensible time.
    """

    guard: str
    because: str
    who: str
    record: str = ""
    up_to: int | None = None
    seen_in: str = ""
    standing: bool = False
    lasts: timedelta = LASTS

    def __post_init__(self) -> None:
        """Refuse what nobody can have meant."""
        kind = GUARDS.get(self.guard)
        if kind is None:
            raise ConfigurationError(f"There is no guard {self.guard!r}. There are {', '.join(sorted(GUARDS))}.")
        if not kind.permit:
            raise ConfigurationError(f"Nobody can let {self.guard} pass. {kind.instead}".rstrip())
        if kind.per_record and not self.record:
            raise ConfigurationError(
                f"{self.guard} is let pass record by record: name it with --record, as the run's message does."
            )
        if self.because.strip() in ("", BECAUSE):
            raise ConfigurationError('A permission needs its reason: --because "why this is right".')
        if not self.who.strip():
            raise ConfigurationError("A permission needs the name of the person who gives it: --who NAME.")
        if self.up_to is not None and self.up_to < 0:
            raise ConfigurationError("--up-to is a whole number, 0 or more.")
        if not timedelta(0) < self.lasts <= timedelta(days=MOST_DAYS):
            raise ConfigurationError(f"A permission lasts from one day to {MOST_DAYS}; nobody remembers older ones.")


def give(engine: Engine, company: str, wanted: Wanted, *, now: datetime | None = None) -> Permission:
    """Remember that a person lets a guard pass."""
    given_at = now or datetime.now(UTC)
    values: dict[str, Any] = {
        "guard": wanted.guard,
        "record": wanted.record,
        "up_to": wanted.up_to,
        "because": wanted.because.strip(),
        "who": wanted.who.strip(),
        "seen_in": wanted.seen_in,
        "standing": wanted.standing,
        "given_at": given_at,
        "expires_at": given_at + wanted.lasts,
        "withdrawn_at": None,
    }
    with writing(engine) as connection:
        remember_company(connection, company)
        inserted = insert(PermissionRow).values(company=company, **values).returning(PermissionRow.id)
        return Permission(id=connection.execute(inserted).scalar_one(), used_in=(), **values)


def open_to(engine: Engine, company: str, run_id: str = "", *, now: datetime | None = None) -> tuple[Permission, ...]:
    """All permissions of a company that hold now for this run, oldest first. Spends nothing.

    ``run_id`` is the run that asks: what it has spent itself still holds for it.
    """
    moment = now or datetime.now(UTC)
    return tuple(one for one in listed(engine, company) if one.holds(moment, run_id))


def use(engine: Engine, permission: Permission, run_id: str) -> None:
    """Remember that this run goes on because of a permission; again by the same run changes nothing.

    Raises:
        GuardError: it was good for one run only, and another one has used it, or it was withdrawn meanwhile.
    """
    with writing(engine) as connection:
        # The row is locked first, so that of two runs that come at once the second one sees the first one's use.
        row = connection.execute(
            select(PermissionRow.withdrawn_at).where(PermissionRow.id == permission.id).with_for_update()
        ).one_or_none()
        used = connection.execute(
            select(PermissionUseRow.run_id).where(
                PermissionUseRow.permission_id == permission.id, PermissionUseRow.run_id != run_id
            )
        ).scalar()
        if row is None or row[0] is not None or (used is not None and not permission.standing):
            what = f"was used by run {used}" if used is not None else "was withdrawn"
            raise GuardError(
                f"Permission {permission.id} for {permission.guard} {what} meanwhile. Nothing was written; give a new "
                "one if it is still right."
            )
        connection.execute(
            upserting(connection, PermissionUseRow)
            .values(permission_id=permission.id, run_id=run_id, used_at=datetime.now(UTC))
            .on_conflict_do_nothing()
        )


def give_back(engine: Engine, run_id: str, *, but: str) -> None:
    """Forget what this run used, which came to nothing before anything was written.

    ``but`` is a guard whose permission has had its effect already.
    """
    kept = select(PermissionRow.id).where(PermissionRow.guard == but)
    with writing(engine) as connection:
        connection.execute(
            delete(PermissionUseRow).where(
                PermissionUseRow.run_id == run_id, PermissionUseRow.permission_id.not_in(kept)
            )
        )


def withdraw(engine: Engine, company: str, permission_id: int) -> Permission:
    """Take a permission back; what a run has done because of it stays done.

    Raises:
        ConfigurationError: the company has no such permission.
    """
    with writing(engine) as connection:
        connection.execute(
            update(PermissionRow)
            .where(
                PermissionRow.company == company,
                PermissionRow.id == permission_id,
                PermissionRow.withdrawn_at.is_(None),
            )
            .values(withdrawn_at=datetime.now(UTC))
        )
    found = next((one for one in listed(engine, company) if one.id == permission_id), None)
    if found is None:
        raise ConfigurationError(
            f"{company!r} has no permission {permission_id}; `reconcile permissions {company}` lists them."
        )
    return found


def listed(engine: Engine, company: str) -> list[Permission]:
    """All permissions a company ever had, oldest first."""
    query = select(PermissionRow.__table__).where(PermissionRow.company == company).order_by(PermissionRow.id)
    with reading(engine) as connection:
        return _permissions(connection, connection.execute(query).mappings())


def _permissions(connection: Connection, rows: Iterable[Mapping[Any, Any]]) -> list[Permission]:
    found = list(rows)
    used: dict[int, list[str]] = defaultdict(list)
    uses = select(PermissionUseRow.permission_id, PermissionUseRow.run_id).order_by(PermissionUseRow.used_at)
    for permission_id, run_id in connection.execute(
        uses.where(PermissionUseRow.permission_id.in_([row["id"] for row in found]))
    ):
        used[permission_id].append(run_id)
    return [
        Permission(
            used_in=tuple(used[row["id"]]),
            **{str(name): value for name, value in row.items() if name != "company"},
        )
        for row in found
    ]
