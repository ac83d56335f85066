"""ReliaBills as a side that can be read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, Connection, func, select, text, true
from sqlalchemy.exc import OperationalError

from reconcile.errors import ConfigurationError, IncompletePullError
from reconcile.model.entities import Entity, Side, label_column
from reconcile.model.findings import Finding, Severity
from reconcile.model.money import INT64_MAX, show
from reconcile.model.snapshot import Scope, Snapshot
from reconcile.sides.billing.connection import open_engine, parse_url, transaction
from reconcile.sides.billing.frames import Fault, Read, as_frames, labels, read_records, read_rows
from reconcile.sides.billing.records import PARENT_COLUMN, ROW_TABLES, TABLES, AnySelect, select_records, select_rows
from reconcile.sides.billing.tables import DELETIONS, INVOICES, REFUNDS, SETTINGS, SYNC_REQUESTS
from reconcile.sides.side import CompanyIdentity, Progress, no_progress

BATCH_ROWS = 25_000
"""Rows fetched and made into columns at a time."""
IDS_PER_QUERY = 500
"""Ids named in one query; SQLite allows 32,766 bound values."""
_MARKER_PRECISION = timedelta(milliseconds=1)
"""SQLite writes the moment of a deletion to the millisecond only."""


class BillingReader:
    """ReliaBills, read through its database; satisfies :class:`~reconcile.sides.side.Readable`.

    It opens the database for reading only. Every call sees one moment.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql://...``.
        company: our key of the company, for messages.
        currency: the currency that the company's settings name.

    Raises:
        ConfigurationError: the address cannot be read.
    """

    _read_only: ClassVar[bool] = True

    def __init__(self, url: str, company: str, currency: str = "USD") -> None:
        self.company = company
        self.currency = currency
        self._url = parse_url(url)
        self._engine = open_engine(self._url, read_only=self._read_only)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(company={self.company!r}, currency={self.currency!r})"

    @property
    def side(self) -> Side:
        """Billing."""
        return Side.BILLING

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()

    def identity(self) -> CompanyIdentity:
        """Who is behind this database, from its settings row.

        Raises:
            ConfigurationError: the settings row is missing, or the database is no ReliaBills database.
        """
        with transaction(self._engine, self._url) as connection:
            row = connection.execute(
                select(SETTINGS.c.company_id, SETTINGS.c.company_name, SETTINGS.c.currency).order_by(SETTINGS.c.id)
            ).first()
        if row is None:
            raise ConfigurationError(f"The ReliaBills database of {self.company} has no settings row: whose is it?")
        return CompanyIdentity(str(row.company_id), str(row.company_name), str(row.currency))

    def sends_invoices(self) -> bool:
        """Whether ReliaBills mails each new invoice that a sync brings (setting "send invoices automatically")."""
        with transaction(self._engine, self._url) as connection:
            return bool(connection.scalar(select(SETTINGS.c.send_invoices).order_by(SETTINGS.c.id).limit(1)))

    def newest_requests(self, most: int) -> list[str]:
        """Ids of the newest writes that ReliaBills carried out for a sync, newest first."""
        newest = select(SYNC_REQUESTS.c.request_id).order_by(SYNC_REQUESTS.c.id.desc()).limit(most)
        with transaction(self._engine, self._url) as connection:
            return [str(request_id) for request_id in connection.scalars(newest)]

    def census(self, entity: Entity, progress: Progress = no_progress) -> Snapshot:
        """All records of an entity, counted in the same moment.

        Raises:
            IncompletePullError: not as many records came as the database counts.
        """
        with self._moment() as connection:
            counted = connection.scalar(select(func.count()).select_from(TABLES[entity])) or 0
            progress(0, counted)
            snapshot = self._snapshot(connection, entity, Scope.CENSUS, [true()], progress=progress, counted=counted)
        read = len(snapshot) + len(snapshot.unreadable)
        if read != counted:
            raise IncompletePullError(
                f"ReliaBills counts {counted} {entity.plural} of {self.company}, but {read} were read. "
                "Nothing was compared or written; run again."
            )
        return snapshot

    def changed(self, entities: Sequence[Entity], since: datetime) -> Mapping[Entity, Snapshot]:
        """Records changed at or after ``since``, all entities in one moment; a changed line changes its invoice."""
        with self._moment() as connection:
            return {
                entity: self._snapshot(
                    connection, entity, Scope.DELTA, [TABLES[entity].c.updated_at >= _stamp(since)], since=since
                )
                for entity in entities
            }

    def fetch(self, entity: Entity, ids: Sequence[str]) -> Snapshot:
        """The records with these ids; an id without a record is in ``gone``."""
        numbers = sorted({int(id_) for id_ in ids if _is_key(id_)})
        parts = [numbers[start : start + IDS_PER_QUERY] for start in range(0, len(numbers), IDS_PER_QUERY)]
        with self._moment() as connection:
            column = TABLES[entity].c.id
            snapshot = self._snapshot(connection, entity, Scope.SELECTED, [column.in_(part) for part in parts])
        return replace(snapshot, gone=frozenset(ids) - frozenset(snapshot.frame["id"]) - snapshot.unreadable)

    def _moment(self) -> AbstractContextManager[Connection]:
        return transaction(self._engine, self._url)

    def _snapshot(
        self,
        connection: Connection,
        entity: Entity,
        scope: Scope,
        conditions: Sequence[ColumnElement[bool]],
        *,
        progress: Progress = no_progress,
        counted: int | None = None,
        since: datetime | None = None,
    ) -> Snapshot:
        """What fulfils one condition after the other (which must exclude each other), read in one moment."""
        as_of = _clock(connection)
        currency = str(connection.scalar(select(SETTINGS.c.currency).order_by(SETTINGS.c.id)) or self.currency)
        try:
            records, rows = _read(connection, entity, conditions, currency, progress, counted)
        except OperationalError as error:
            if "Could not decode to UTF-8" not in str(error.orig):
                raise
            with _lenient_text(connection):
                records, rows = _read(connection, entity, conditions, currency, progress, counted)
        frame, children, unreadable, faults = as_frames(entity, records, rows)
        if entity is Entity.PAYMENT:
            faults = (*faults, *_refunds(connection, frozenset(frame["id"]), currency))
        return Snapshot(
            Side.BILLING,
            entity,
            frame,
            children,
            as_of,
            scope,
            counted,
            frozenset() if scope is Scope.SELECTED else _deleted(connection, entity, since),
            unreadable,
            self._findings(connection, entity, records, faults, currency),
        )

    def _findings(
        self, connection: Connection, entity: Entity, records: Read, faults: Sequence[Fault], currency: str
    ) -> tuple[Finding, ...]:
        if not faults:
            return ()
        ids = [fault.record_id for fault in faults]
        names = labels(records.table, label_column(entity), ids)
        money = {Entity.INVOICE: "total", Entity.PAYMENT: "amount"}.get(entity)
        amounts = labels(records.table, money, ids) if money else {}
        customers = self._customers(connection, entity, records, ids)
        return tuple(
            Finding(
                fault.check,
                fault.severity,
                entity,
                Side.BILLING,
                fault.record_id,
                names.get(fault.record_id) or fault.record_id,
                amounts.get(fault.record_id) if fault.amount is None else fault.amount,
                currency,
                f"{entity.singular.capitalize()} {names.get(fault.record_id) or f'with id {fault.record_id}'} "
                f"{fault.sentence}.",
                fault.remedy,
                customers.get(fault.record_id) or "",
            )
            for fault in faults
        )

    def _customers(
        self, connection: Connection, entity: Entity, records: Read, ids: Sequence[str]
    ) -> Mapping[str, str]:
        """Display names of the customers behind records with findings."""
        if entity is Entity.CUSTOMER:
            return labels(records.table, "display_name", ids)
        if "customer_id" not in records.table.column_names:
            return {}
        customer_of = labels(records.table, "customer_id", ids)
        wanted = sorted({int(customer) for customer in customer_of.values() if customer is not None})
        statement = select_records(Entity.CUSTOMER)
        names: dict[str, str] = {}
        for start in range(0, len(wanted), IDS_PER_QUERY):
            part = statement.where(TABLES[Entity.CUSTOMER].c.id.in_(wanted[start : start + IDS_PER_QUERY]))
            names |= {str(row.id): str(row.display_name or "") for row in connection.execute(part)}
        return {id_: names.get(customer, "") for id_, customer in customer_of.items() if customer is not None}


def _read(
    connection: Connection,
    entity: Entity,
    conditions: Sequence[ColumnElement[bool]],
    currency: str,
    progress: Progress,
    counted: int | None,
) -> tuple[Read, Read | None]:
    selected = [select_records(entity).where(condition) for condition in conditions]
    records = read_records(entity, _batches(connection, selected, progress, counted), currency)
    if entity not in ROW_TABLES:
        return records, None
    key, parent = TABLES[entity].c.id, ROW_TABLES[entity].c[PARENT_COLUMN[entity]]
    children = [select_rows(entity).where(parent.in_(select(key).where(condition))) for condition in conditions]
    return records, read_rows(entity, _batches(connection, children, no_progress, None))


def _refunds(connection: Connection, payments: Collection[str], currency: str) -> Iterator[Fault]:
    """What was given back of these payments: QuickBooks is not told of it, so a person must be."""
    statement = (
        select(REFUNDS.c.payment_id, REFUNDS.c.amount, REFUNDS.c.refund_date, REFUNDS.c.outcome, INVOICES.c.number)
        .join(INVOICES, INVOICES.c.id == REFUNDS.c.invoice_id)
        .order_by(REFUNDS.c.id)
    )
    for row in connection.execute(statement):
        if str(row.payment_id) not in payments:
            continue
        became = "opened again" if row.outcome == "reopen" else "closed"
        yield Fault(
            check="refund",
            severity=Severity.NOTE,
            record_id=str(row.payment_id),
            unreadable=False,
            sentence=(
                f"was refunded in ReliaBills: {show(row.amount, currency)} of it on {row.refund_date}, for invoice "
                f"{row.number}, which was {became}; refunds are not carried to QuickBooks"
            ),
            remedy="Enter the refund in QuickBooks, so that its books show the money that went back.",
            amount=row.amount,
        )


def _batches(
    connection: Connection, statements: Sequence[AnySelect], progress: Progress, expected: int | None
) -> Iterator[Sequence[Any]]:
    done = 0
    for statement in statements:
        for batch in connection.execute(statement).partitions(BATCH_ROWS):
            yield batch
            done += len(batch)
            progress(done, expected)


@contextmanager
def _lenient_text(connection: Connection) -> Iterator[None]:
    """SQLite keeps bytes that are no text: read them with a replacement character, which becomes a finding."""
    driver: Any = connection.connection.driver_connection
    strict = driver.text_factory
    driver.text_factory = lambda raw: raw.decode("utf-8", "replace")
    try:
        yield
    finally:
        driver.text_factory = strict


_OLDEST_WRITE = text(
    "SELECT least(clock_timestamp(), (SELECT min(xact_start) FROM pg_stat_activity"
    " WHERE datname = current_database() AND backend_xid IS NOT NULL))"
)


def _clock(connection: Connection) -> datetime:
    """The side's clock; on a server not after the start of any write still under way, which nobody can see yet."""
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    moment: datetime = connection.execute(_OLDEST_WRITE).scalar_one()
    return moment.astimezone(UTC)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _deleted(connection: Connection, entity: Entity, since: datetime | None) -> frozenset[str]:
    statement = select(DELETIONS.c.record_id).where(DELETIONS.c.entity == entity.value)
    if since is not None:
        statement = statement.where(DELETIONS.c.updated_at >= _stamp(since - _MARKER_PRECISION))
    return frozenset(str(id_) for id_ in connection.scalars(statement))


def _is_key(id_: str) -> bool:
    return id_.isascii() and id_.isdigit() and not id_.startswith("0") and int(id_) <= INT64_MAX
