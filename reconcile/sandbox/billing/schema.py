"""The tables of the ReliaBills database.

Money is an integer of minor units; prices, quantities and percents are integers of ten-millionths; dates and moments
are ISO text, moments in UTC with microseconds. Every table counts its changes in ``version`` and tells the last one in
``updated_at``; a change of a line or of an application is a change of its invoice or payment as well. Tables in which a
sync may create carry ``request_id``, so that a repeated request finds its own work.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar, cast

from sqlalchemy import (
    DDL,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Integer,
    String,
    Text,
    UniqueConstraint,
    event,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, declared_attr, mapped_column, relationship

_Key = BigInteger().with_variant(Integer, "sqlite")


def moment() -> str:
    """Now, as every table writes it: ``2026-03-08T04:30:00.000001+00:00``."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _one_of(column: str, *values: str) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


class Base(DeclarativeBase):
    """What every table has: key, version and moment of the last change."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {int: BigInteger, str: Text}

    id: Mapped[int] = mapped_column(_Key, primary_key=True, sort_order=-1)
    version: Mapped[int] = mapped_column(Integer, sort_order=100)
    updated_at: Mapped[str] = mapped_column(String(32), index=True, sort_order=101)

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805  # SQLAlchemy asks the class by this name
        """Let the version count every change."""
        return {"version_id_col": cls.version}


class Settings(Base):
    """The company behind this database and how it works; one row."""

    __tablename__ = "settings"

    company_id: Mapped[str]
    company_name: Mapped[str]
    currency: Mapped[str] = mapped_column(String(3))
    send_invoices: Mapped[bool]
    next_invoice_number: Mapped[int]


class Customer(Base):
    """Who is invoiced. First name, last name and one primary e-mail address are required."""

    __tablename__ = "customers"
    __table_args__ = (_one_of("mail_preference", "paper", "paperless"), _one_of("auto_pay", "card", "echeck"))

    first_name: Mapped[str]
    last_name: Mapped[str]
    company_name: Mapped[str | None]
    account_name: Mapped[str | None] = mapped_column(index=True)
    email: Mapped[str]
    further_emails: Mapped[str | None]
    phone: Mapped[str | None]
    address: Mapped[str | None]
    address2: Mapped[str | None]
    city: Mapped[str | None]
    region: Mapped[str | None]
    postal_code: Mapped[str | None]
    country: Mapped[str | None]
    mail_preference: Mapped[str] = mapped_column(default="paperless")
    active: Mapped[bool] = mapped_column(default=True)
    taxable: Mapped[bool] = mapped_column(default=False)
    auto_pay: Mapped[str | None]  # enrolled with a card or for eCheck; empty when not enrolled
    request_id: Mapped[str | None] = mapped_column(unique=True)

    @property
    def name(self) -> str:
        """The account name, or first and last name."""
        return self.account_name or f"{self.first_name} {self.last_name}"


class PortalEdit(Base):
    """One field that a customer changed in the portal."""

    __tablename__ = "portal_edits"

    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"), index=True)
    field: Mapped[str]
    before: Mapped[str | None]
    after: Mapped[str | None]
    edited_at: Mapped[str]


class Product(Base):
    """What can be chosen as an item on an invoice."""

    __tablename__ = "products"

    name: Mapped[str] = mapped_column(index=True)
    description: Mapped[str | None]
    unit_price: Mapped[int | None]
    taxable: Mapped[bool] = mapped_column(default=False)
    sku: Mapped[str | None]
    active: Mapped[bool] = mapped_column(default=True)
    request_id: Mapped[str | None] = mapped_column(unique=True)


class TaxRate(Base):
    """A named sales tax rate."""

    __tablename__ = "tax_rates"

    name: Mapped[str] = mapped_column(index=True)
    percent: Mapped[int]
    agency: Mapped[str | None]
    active: Mapped[bool] = mapped_column(default=True)
    request_id: Mapped[str | None] = mapped_column(unique=True)


class Invoice(Base):
    """An invoice. Its number is unique and can never be changed once it is saved."""

    __tablename__ = "invoices"
    __table_args__ = (
        _one_of("state", "open", "paid", "closed", "void"),
        _one_of("origin", "manual", "recurring", "sync"),
        UniqueConstraint("profile_id", "occurrence"),
    )

    number: Mapped[str] = mapped_column(unique=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"), index=True)
    invoice_date: Mapped[str]
    due_date: Mapped[str | None]
    tax_rate_id: Mapped[int | None] = mapped_column(ForeignKey("tax_rates.id"))
    tax_percent: Mapped[int | None]  # as it was when the invoice was saved: a rate may change afterwards
    discount_percent: Mapped[int | None]
    discount_taxable: Mapped[int | None]
    discount_nontaxable: Mapped[int | None]
    subtotal: Mapped[int]
    discount: Mapped[int]
    tax: Mapped[int]
    total: Mapped[int]
    amount_paid: Mapped[int] = mapped_column(default=0)
    balance: Mapped[int]
    state: Mapped[str] = mapped_column(index=True)
    memo: Mapped[str | None]
    origin: Mapped[str] = mapped_column(default="manual")
    profile_id: Mapped[int | None] = mapped_column(ForeignKey("recurring_profiles.id"))
    occurrence: Mapped[int | None]  # which invoice of its profile this is, from 1
    request_id: Mapped[str | None] = mapped_column(unique=True)

    customer: Mapped[Customer] = relationship()
    lines: Mapped[list[InvoiceLine]] = relationship(
        order_by="InvoiceLine.position", cascade="all, delete-orphan", back_populates="invoice"
    )
    deliveries: Mapped[list[Delivery]] = relationship(order_by="Delivery.id", back_populates="invoice")


class InvoiceLine(Base):
    """A line: a product or a typed-in item; without quantity and price it is a remark or a bare amount."""

    __tablename__ = "invoice_lines"
    __table_args__ = (UniqueConstraint("invoice_id", "position"),)

    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(Integer)
    product_id: Mapped[int | None] = mapped_column(ForeignKey("products.id"))
    description: Mapped[str | None]
    quantity: Mapped[int | None]
    unit_price: Mapped[int | None]
    amount: Mapped[int]
    taxable: Mapped[bool]

    invoice: Mapped[Invoice] = relationship(back_populates="lines")


class RecurringProfile(Base):
    """From which the midnight job makes invoices: every n days, months or years from a first date, count times."""

    __tablename__ = "recurring_profiles"
    __table_args__ = (_one_of("unit", "days", "months", "years"),)

    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"), index=True)
    first_date: Mapped[str]
    days_to_pay: Mapped[int] = mapped_column(Integer)
    every: Mapped[int] = mapped_column(Integer)
    unit: Mapped[str]
    count: Mapped[int | None]  # how many invoices in all; empty is without end
    made: Mapped[int] = mapped_column(default=0)
    last_invoice: Mapped[str | None]  # number of the invoice made last
    tax_rate_id: Mapped[int | None] = mapped_column(ForeignKey("tax_rates.id"))
    memo: Mapped[str | None]
    active: Mapped[bool] = mapped_column(default=True)

    customer: Mapped[Customer] = relationship()
    lines: Mapped[list[RecurringLine]] = relationship(
        order_by="RecurringLine.position", cascade="all, delete-orphan", back_populates="profile"
    )


class RecurringLine(Base):
    """A line of every invoice made from a profile."""

    __tablename__ = "recurring_lines"
    __table_args__ = (UniqueConstraint("profile_id", "position"),)

    profile_id: Mapped[int] = mapped_column(ForeignKey("recurring_profiles.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(Integer)
    product_id: Mapped[int | None] = mapped_column(ForeignKey("products.id"))
    description: Mapped[str | None]
    quantity: Mapped[int]
    unit_price: Mapped[int]
    taxable: Mapped[bool]

    profile: Mapped[RecurringProfile] = relationship(back_populates="lines")


class Payment(Base):
    """Money received, or credits that settle invoices; online it is processed here, offline it is only recorded."""

    __tablename__ = "payments"
    __table_args__ = (
        _one_of("kind", "online", "offline", "credit"),
        _one_of("state", "received", "void"),
        _one_of("method", "card", "echeck", "cash", "check", "credit", "other"),
    )

    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"), index=True)
    payment_date: Mapped[str]
    amount: Mapped[int]
    credit: Mapped[int] = mapped_column(default=0)
    unapplied: Mapped[int]
    method: Mapped[str | None]
    reference: Mapped[str | None]
    kind: Mapped[str]
    state: Mapped[str] = mapped_column(default="received")
    external_id: Mapped[str | None]  # the processor's own id of an online payment
    request_id: Mapped[str | None] = mapped_column(unique=True)

    customer: Mapped[Customer] = relationship()
    applications: Mapped[list[PaymentApplication]] = relationship(
        order_by="PaymentApplication.id", cascade="all, delete-orphan", back_populates="payment"
    )


class PaymentApplication(Base):
    """The part of a payment that pays one invoice."""

    __tablename__ = "payment_applications"
    __table_args__ = (UniqueConstraint("payment_id", "invoice_id"),)

    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id", ondelete="CASCADE"))
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"), index=True)
    amount: Mapped[int]

    payment: Mapped[Payment] = relationship(back_populates="applications")


class Refund(Base):
    """Money given back for one invoice, which is then re-opened or closed."""

    __tablename__ = "refunds"
    __table_args__ = (_one_of("outcome", "reopen", "close"),)

    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"), index=True)
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"), index=True)
    refund_date: Mapped[str]
    amount: Mapped[int]
    outcome: Mapped[str]


class Delivery(Base):
    """An invoice sent to its customer, by e-mail or by post."""

    __tablename__ = "deliveries"
    __table_args__ = (_one_of("channel", "email", "post"),)

    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"), index=True)
    delivery_date: Mapped[str]
    channel: Mapped[str]
    address: Mapped[str]

    invoice: Mapped[Invoice] = relationship(back_populates="deliveries")


class Charge(Base):
    """One automatic charge of a card or bank account; at most one per customer and date."""

    __tablename__ = "charge_log"
    __table_args__ = (_one_of("instrument", "card", "echeck"), UniqueConstraint("customer_id", "charge_date"))

    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    charge_date: Mapped[str]
    amount: Mapped[int]
    instrument: Mapped[str]
    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"))

    customer: Mapped[Customer] = relationship()
    payment: Mapped[Payment] = relationship()


class MidnightRun(Base):
    """A date whose midnight job is done."""

    __tablename__ = "midnight_runs"

    run_date: Mapped[str] = mapped_column(unique=True)


class Deletion(Base):
    """The marker that a deleted record leaves behind; written by the database itself."""

    __tablename__ = "deletions"

    entity: Mapped[str]
    record_id: Mapped[int]


class SyncRequest(Base):
    """A write asked for by a sync, with the answer it was given: asked again, it is answered the same way."""

    __tablename__ = "sync_requests"

    request_id: Mapped[str] = mapped_column(unique=True)
    entity: Mapped[str]
    record_id: Mapped[int]
    payload_hash: Mapped[str]
    answer: Mapped[str]


class SyncHolder(Base):
    """The run of a sync that may write; at most one row. What any other run still sends is refused."""

    __tablename__ = "sync_holder"

    run_id: Mapped[str]


ENTITY_TABLES: dict[str, type[Base]] = {
    "customer": Customer,
    "product": Product,
    "tax_rate": TaxRate,
    "invoice": Invoice,
    "payment": Payment,
}
"""The tables whose records travel, by the name under which a deletion is marked."""

_MARKED_BY_SQLITE = """
    CREATE TRIGGER {table}_deleted AFTER DELETE ON {table} BEGIN
      INSERT INTO deletions (entity, record_id, version, updated_at)
      VALUES ('{entity}', OLD.id, 1, strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now'));
    END"""
_MARKED_BY_POSTGRESQL = """
    CREATE FUNCTION {table}_deleted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO deletions (entity, record_id, version, updated_at)
      VALUES ('{entity}', OLD.id, 1,
              to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'));
      RETURN OLD;
    END $$;
    CREATE TRIGGER {table}_deleted AFTER DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_deleted()"""
_PERMANENT_IN_SQLITE = """
    CREATE TRIGGER number_is_permanent BEFORE UPDATE OF number ON invoices WHEN NEW.number IS NOT OLD.number BEGIN
      SELECT RAISE(ABORT, 'an invoice number can never be changed once the invoice is saved');
    END"""
_PERMANENT_IN_POSTGRESQL = """
    CREATE FUNCTION number_is_permanent() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      RAISE EXCEPTION 'an invoice number can never be changed once the invoice is saved';
    END $$;
    CREATE TRIGGER number_is_permanent BEFORE UPDATE OF number ON invoices FOR EACH ROW
      WHEN (NEW.number IS DISTINCT FROM OLD.number) EXECUTE FUNCTION number_is_permanent()"""


def _after_create(statement: str, dialect: str) -> None:
    ddl = DDL(statement.replace("%", "%%"))  # type: ignore[no-untyped-call]
    event.listen(Base.metadata, "after_create", ddl.execute_if(dialect=dialect))


for _table in Base.metadata.tables.values():
    _table.dialect_options["sqlite"]["autoincrement"] = True  # an id is never given out twice
for _entity, _class in ENTITY_TABLES.items():
    _after_create(_MARKED_BY_SQLITE.format(table=_class.__tablename__, entity=_entity), "sqlite")
    _after_create(_MARKED_BY_POSTGRESQL.format(table=_class.__tablename__, entity=_entity), "postgresql")
_after_create(_PERMANENT_IN_SQLITE, "sqlite")
_after_create(_PERMANENT_IN_POSTGRESQL, "postgresql")


class BillingSession(Session):
    """A session in which every change is stamped, and a changed line or application is a change of its parent."""


def _parent(item: object) -> Base | None:
    match item:
        case InvoiceLine():
            return item.invoice
        case PaymentApplication():
            return item.payment
        case _:
            return None


@event.listens_for(BillingSession, "before_flush")
def _stamp(session: Session, _context: object, _instances: object) -> None:
    touched = set(session.new) | {item for item in session.dirty if session.is_modified(item)}
    parents = {_parent(item) for item in touched | set(session.deleted)} - {None} - set(session.deleted)
    now = moment()
    for item in touched | parents:
        cast("Base", item).updated_at = now
