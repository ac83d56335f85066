"""The tables. Identifiers are text (``00123`` is not ``123``), times are UTC, exact values travel as JSON text."""

from __future__ import annotations

from datetime import UTC, date, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from reconcile.state.texts import storable

_GROWING_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for INTEGER
_LIVE = text("ended_at IS NULL")


class UtcDateTime(TypeDecorator[datetime]):
    """A moment. Only aware datetimes go in; they come out in UTC, on SQLite too, which keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC, without its zone on SQLite so that stored texts sort as the moments do.

        Raises:
            ValueError: the datetime is naive, so nobody can say which moment is meant.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} names no time zone; the state keeps UTC")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  (the signature is SQLAlchemy's)
        """With UTC attached again."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class HostileText(TypeDecorator[str]):
    """Text that came from outside. What a database cannot hold (NUL, lone surrogates) is replaced visibly."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002  (the signature is SQLAlchemy's)
        """Storable text."""
        return None if value is None else storable(value)


class Table(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy reads it from the class)
        str: Text,
        datetime: UtcDateTime,
        date: Date,
        bool: Boolean,
        int: BigInteger,
    }


class CompanyRow(Table):
    """A company we remember something about."""

    __tablename__ = "company"

    key: Mapped[str] = mapped_column(primary_key=True)
    first_seen_at: Mapped[datetime]


class IdentityRow(Table):
    """Who was behind a company's connection to one side when it was first used."""

    __tablename__ = "identity"

    company: Mapped[str] = mapped_column(ForeignKey("company.key"), primary_key=True)
    side: Mapped[str] = mapped_column(primary_key=True)
    company_id: Mapped[str]
    name: Mapped[str] = mapped_column(HostileText)
    currency: Mapped[str]
    registered_at: Mapped[datetime]


class RunRow(Table):
    """One run."""

    __tablename__ = "run"
    __table_args__ = (Index(None, "company", "started_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    company: Mapped[str] = mapped_column(ForeignKey("company.key"))
    kind: Mapped[str]
    mode: Mapped[str]
    apply: Mapped[bool]
    slot: Mapped[str]
    slot_date: Mapped[date | None]
    parameters: Mapped[str]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str]
    reason: Mapped[str] = mapped_column(HostileText)
    folder: Mapped[str]
    counts: Mapped[str]
    control_totals: Mapped[str]


class RunStepRow(Table):
    """What came of one push step of one run."""

    __tablename__ = "run_step"

    run_id: Mapped[str] = mapped_column(ForeignKey("run.id"), primary_key=True)
    step: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    done: Mapped[int]
    failed: Mapped[int]
    held: Mapped[int]
    unknown: Mapped[int]
    reason: Mapped[str] = mapped_column(HostileText)


class LinkRow(Table):
    """This books record is that billing record. ``ended_at`` makes it a tombstone: nothing is created again for it."""

    __tablename__ = "link"
    __table_args__ = (
        Index(
            "uq_link_live_books",
            "company",
            "entity",
            "books_id",
            unique=True,
            sqlite_where=_LIVE,
            postgresql_where=_LIVE,
        ),
        Index(
            "uq_link_live_billing",
            "company",
            "entity",
            "billing_id",
            unique=True,
            sqlite_where=_LIVE,
            postgresql_where=_LIVE,
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(_GROWING_ID, primary_key=True)
    company: Mapped[str] = mapped_column(ForeignKey("company.key"))
    entity: Mapped[str]
    books_id: Mapped[str]
    billing_id: Mapped[str]
    linked_at: Mapped[datetime]
    run_id: Mapped[str] = mapped_column(ForeignKey("run.id"))
    ended_at: Mapped[datetime | None]
    ended_because: Mapped[str | None] = mapped_column(HostileText)
    ended_run_id: Mapped[str | None] = mapped_column(ForeignKey("run.id"))


class BaseRow(Table):
    """The last agreement of a link: what both sides were seen to hold."""

    __tablename__ = "base"

    link_id: Mapped[int] = mapped_column(_GROWING_ID, ForeignKey("link.id"), primary_key=True, autoincrement=False)
    books_version: Mapped[str | None]
    billing_version: Mapped[str | None]
    fields: Mapped[str]
    unsettled: Mapped[str | None]
    agreed_at: Mapped[datetime]
    run_id: Mapped[str] = mapped_column(ForeignKey("run.id"))


class JournalRow(Table):
    """One intended write and what came of it (:class:`reconcile.model.journal.Entry`)."""

    __tablename__ = "journal"
    __table_args__ = (
        UniqueConstraint("company", "request_id"),
        UniqueConstraint("company", "identity", "generation"),
        Index(None, "company", "status"),
        Index(None, "company", "step", "side", "record_key"),
        Index(None, "run_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(_GROWING_ID, primary_key=True)
    company: Mapped[str] = mapped_column(ForeignKey("company.key"))
    run_id: Mapped[str] = mapped_column(ForeignKey("run.id"))
    op_id: Mapped[str]
    identity: Mapped[str]
    generation: Mapped[int]
    request_id: Mapped[str]
    step: Mapped[str]
    action: Mapped[str]
    side: Mapped[str]
    record_key: Mapped[str]
    target_id: Mapped[str | None]
    expected_version: Mapped[str | None]
    operation: Mapped[str]
    fields: Mapped[str]
    payload_hash: Mapped[str]
    status: Mapped[str]
    version_after: Mapped[str | None]
    trace: Mapped[str] = mapped_column(HostileText)
    code: Mapped[str] = mapped_column(HostileText)
    reason: Mapped[str] = mapped_column(HostileText)
    evidence: Mapped[str] = mapped_column(HostileText)
    intended_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]


class AuditTrailRow(Table):
    """One row of a company's audit trail (:class:`reconcile.model.audit.AuditRow`); rows are only ever added."""

    __tablename__ = "audit"
    __table_args__ = (
        UniqueConstraint("company", "sequence"),
        Index(None, "entry_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(_GROWING_ID, primary_key=True)
    company: Mapped[str] = mapped_column(ForeignKey("company.key"))
    sequence: Mapped[int]
    kind: Mapped[str]
    run_id: Mapped[str]
    entry_id: Mapped[int | None]
    content: Mapped[str]
    at: Mapped[datetime]
    previous: Mapped[str]
    seal: Mapped[str]


class CursorRow(Table):
    """Up to when the changes of one entity of one side have been read."""

    __tablename__ = "cursor"

    company: Mapped[str] = mapped_column(ForeignKey("company.key"), primary_key=True)
    side: Mapped[str] = mapped_column(primary_key=True)
    entity: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[datetime]


class PendingRow(Table):
    """A record that waited when the company's last run ended: held, without counterpart, or not yet agreed on."""

    __tablename__ = "pending"

    company: Mapped[str] = mapped_column(ForeignKey("company.key"), primary_key=True)
    side: Mapped[str] = mapped_column(primary_key=True)
    entity: Mapped[str] = mapped_column(primary_key=True)
    record_id: Mapped[str] = mapped_column(primary_key=True)


class SettingRow(Table):
    """One setting of one company, as JSON."""

    __tablename__ = "setting"

    company: Mapped[str] = mapped_column(ForeignKey("company.key"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    saved_at: Mapped[datetime]


class TokenRow(Table):
    """Sealed credentials of a company; the newest row counts, the one before is kept for a lost rotation."""

    __tablename__ = "token"
    __table_args__ = (Index(None, "company", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(_GROWING_ID, primary_key=True)
    company: Mapped[str] = mapped_column(ForeignKey("company.key"))
    sealed: Mapped[str]
    stored_at: Mapped[datetime]


class LeaseRow(Table):
    """Who holds a company. The row stays after release, because the fence must never go back."""

    __tablename__ = "lease"

    company: Mapped[str] = mapped_column(ForeignKey("company.key"), primary_key=True)
    holder: Mapped[str]
    run_id: Mapped[str]
    fence: Mapped[int]
    acquired_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class PermissionRow(Table):
    """A person lets one named guard pass (:class:`reconcile.model.guards.Permission`)."""

    __tablename__ = "permission"
    __table_args__ = (Index(None, "company"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(_GROWING_ID, primary_key=True)
    company: Mapped[str] = mapped_column(ForeignKey("company.key"))
    guard: Mapped[str]
    record: Mapped[str] = mapped_column(HostileText)
    up_to: Mapped[int | None]
    because: Mapped[str] = mapped_column(HostileText)
    who: Mapped[str] = mapped_column(HostileText)
    seen_in: Mapped[str] = mapped_column(HostileText)
    standing: Mapped[bool]
    given_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]


class PermissionUseRow(Table):
    """A run that went on because of a permission."""

    __tablename__ = "permission_use"

    permission_id: Mapped[int] = mapped_column(
        _GROWING_ID, ForeignKey("permission.id"), primary_key=True, autoincrement=False
    )
    run_id: Mapped[str] = mapped_column(ForeignKey("run.id"), primary_key=True)
    used_at: Mapped[datetime]


class ResolutionRow(Table):
    """What a person decided about a record (:class:`reconcile.model.resolutions.Resolution`)."""

    __tablename__ = "resolution"
    __table_args__ = (Index(None, "company", "status"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(_GROWING_ID, primary_key=True)
    company: Mapped[str] = mapped_column(ForeignKey("company.key"))
    entity: Mapped[str]
    choice: Mapped[str]
    books_id: Mapped[str | None]
    billing_id: Mapped[str | None]
    label: Mapped[str] = mapped_column(HostileText)
    fields: Mapped[str]
    whole: Mapped[bool]
    seen: Mapped[str]
    because: Mapped[str] = mapped_column(HostileText)
    until: Mapped[date | None]
    who: Mapped[str] = mapped_column(HostileText)
    decided_at: Mapped[datetime]
    status: Mapped[str]
    closed_at: Mapped[datetime | None]
    closed_because: Mapped[str] = mapped_column(HostileText)
    run_id: Mapped[str | None] = mapped_column(ForeignKey("run.id"))


class ResolutionClaimRow(Table):
    """What an open decision is about: of two people who decide the same at once, the key lets in one."""

    __tablename__ = "resolution_claim"
    __table_args__ = (Index(None, "resolution_id"),)

    company: Mapped[str] = mapped_column(ForeignKey("company.key"), primary_key=True)
    entity: Mapped[str] = mapped_column(primary_key=True)
    record_key: Mapped[str] = mapped_column(primary_key=True)
    aspect: Mapped[str] = mapped_column(primary_key=True)
    resolution_id: Mapped[int] = mapped_column(_GROWING_ID, ForeignKey("resolution.id"))


class NoticeRow(Table):
    """A notice in the outbox (:class:`reconcile.model.notices.Posted`); ``due_at`` is also how long it is claimed."""

    __tablename__ = "notice"
    __table_args__ = (
        UniqueConstraint("company", "about"),
        Index(None, "sent_at", "due_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(_GROWING_ID, primary_key=True)
    company: Mapped[str] = mapped_column(ForeignKey("company.key"))
    run_id: Mapped[str] = mapped_column(ForeignKey("run.id"))
    about: Mapped[str]
    subject: Mapped[str] = mapped_column(HostileText)
    body: Mapped[str] = mapped_column(HostileText)
    posted_at: Mapped[datetime]
    due_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    tries: Mapped[int]
    problem: Mapped[str] = mapped_column(HostileText)
