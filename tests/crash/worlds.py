"""A small company on both sides, in files: a first sync, and a working day that does everything once each way."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import psycopg
from psycopg import sql
from sqlalchemy import Engine, select

from reconcile.config import CONFIG_VARIABLE, load_config
from reconcile.connections import store_credentials
from reconcile.model.entities import Entity
from reconcile.repair import Repair
from reconcile.sandbox.billing import day, ledger
from reconcile.sandbox.billing.database import create_database, open_database, transaction
from reconcile.sandbox.billing.schema import Invoice, Payment, TaxRate
from reconcile.sandbox.quickbooks.process import QuickBooksSandbox
from reconcile.state import settings
from reconcile.state.database import migrate, open_state
from reconcile.state.tokens import make_key_file
from tests.crash.books import Books, BooksPeople

COMPANY = "craigs"
TODAY = date(2026, 11, 22)
EMPTY = "empty"
SECRETS = ("client_id", "client_secret", "access_token", "refresh_token")

CONFIGURATION = """\
state = "{state}"
runs = "runs"

[companies.craigs]
name = "Craig's Design and Landscaping Services"

[companies.craigs.books]
base_url = "{books.base_url}"
discovery_url = "{books.discovery_url}"
realm_id = "{books.realm_id}"

[companies.craigs.billing]
url = "sqlite:///billing.db"
"""


class State(Protocol):
    """A state database whose whole content can be kept and put back."""

    url: str

    def keep(self, name: str) -> None:
        """Remember its content under a name."""

    def put_back(self, name: str) -> None:
        """Make it as it was."""

    def rows(self, query: str) -> list[dict[str, Any]]:
        """What a query finds, read past the product."""

    def let_go(self) -> None:
        """Hold no connection any more."""


class SqliteState:
    """A state in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"
        self._reader = SqliteReader(path)
        migrate(self.url)

    def keep(self, name: str) -> None:
        keep_sqlite(self.path, self.path.with_name(f"{name}-{self.path.name}"))

    def put_back(self, name: str) -> None:
        put_back_sqlite(self.path.with_name(f"{name}-{self.path.name}"), self.path)

    def rows(self, query: str) -> list[dict[str, Any]]:
        return self._reader.rows(query)

    def let_go(self) -> None:
        self._reader.let_go()


class PostgresState:
    """A state in a database of a PostgreSQL server; ``url`` is as the product takes it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._plain = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._kept: dict[str, dict[str, list[tuple[Any, ...]]]] = {}
        self._reading: psycopg.Connection[Any] | None = None
        migrate(url)
        with psycopg.connect(self._plain, autocommit=True) as connection:
            self._tables = _in_order(connection)

    def keep(self, name: str) -> None:
        with psycopg.connect(self._plain) as connection:
            self._kept[name] = {
                table: connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))).fetchall()
                for table in self._tables
            }

    def put_back(self, name: str) -> None:
        with psycopg.connect(self._plain) as connection:
            for table in reversed(self._tables):
                connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
            for table, rows in self._kept[name].items():
                if not rows:
                    continue
                holders = sql.SQL(", ").join(sql.Placeholder() * len(rows[0]))
                insert = sql.SQL("INSERT INTO {} OVERRIDING SYSTEM VALUE VALUES ({})")
                with connection.cursor() as cursor:
                    cursor.executemany(insert.format(sql.Identifier(table), holders), rows)

    def rows(self, query: str) -> list[dict[str, Any]]:
        if self._reading is None:
            self._reading = psycopg.connect(self._plain, autocommit=True)
        cursor = self._reading.execute(query)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def let_go(self) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = None


def _in_order(connection: psycopg.Connection[Any]) -> list[str]:
    from reconcile.state.schema import Table  # noqa: PLC0415  only where it is needed

    known = [table.name for table in Table.metadata.sorted_tables]
    there = {row[0] for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    return [table for table in known if table in there]


def keep_sqlite(path: Path, copy: Path) -> None:
    """Copy a SQLite database, whatever its log holds."""
    with closing(sqlite3.connect(path)) as here, closing(sqlite3.connect(copy)) as there:
        here.backup(there)


def put_back_sqlite(copy: Path, path: Path) -> None:
    """Put a copy in a database's place; the log of the old one goes."""
    for suffix in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(copy, path)


class SqliteReader:
    """Reads a SQLite database past the product; several times on one connection, as long as nobody works there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None

    def rows(self, query: str) -> list[dict[str, Any]]:
        """What a query finds."""
        if self._connection is None:
            self._connection = sqlite3.connect(self.path)
            self._connection.row_factory = sqlite3.Row
        return [dict(row) for row in self._connection.execute(query)]

    def let_go(self) -> None:
        """Before anybody else works there, or another file takes its place."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@dataclass
class SmallWorld:
    """One company: books in the local QuickBooks, billing in a real ReliaBills database, state in either database."""

    root: Path
    state: State
    books: Books

    def __post_init__(self) -> None:
        """Nothing is read yet."""
        self._billing = SqliteReader(self.root / "billing.db")

    @classmethod
    def made(cls, root: Path, state: State, quickbooks: QuickBooksSandbox) -> SmallWorld:
        """Both sides without a record; the configuration that names them, and access to both."""
        path = root / "reconcile.toml"
        path.write_text(CONFIGURATION.format(state=state.url, books=quickbooks), encoding="utf-8")
        make_key_file(load_config(path).key_file)
        engine = open_state(state.url)
        generous = dict.fromkeys(("most_endings", "most_price_changes", "shrunk_by_percent"), "100")
        chosen = settings.load(engine, COMPANY)
        for name, value in generous.items():
            chosen = settings.changed(chosen, name, value)
        settings.save(engine, COMPANY, chosen)
        engine.dispose()
        (root / "runs").mkdir()
        create_database(str(root / "billing.db"), company_id=COMPANY, company_name="Craig's").dispose()
        world = cls(root, state, Books(quickbooks))
        world.connect()
        return world

    def enter(self) -> None:
        """Make it the product's own, in this process."""
        os.environ[CONFIG_VARIABLE] = str(self.root / "reconcile.toml")
        os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # the local QuickBooks speaks plain HTTP on this machine

    def connect(self) -> None:
        """Somebody connects the company to QuickBooks (again)."""
        given = {name: getattr(self.books.sandbox, name) for name in SECRETS}
        store_credentials(load_config(self.root / "reconcile.toml"), COMPANY, given)

    @property
    def left(self) -> Path:
        """The file that tells which requests left for QuickBooks, and in which run."""
        return self.root / "left.log"

    def billing(self) -> Engine:
        """ReliaBills, for staff at work there."""
        return open_database(str(self.root / "billing.db"))

    def billing_rows(self, query: str) -> list[dict[str, Any]]:
        """What a query finds in ReliaBills, read past the product."""
        return self._billing.rows(query)

    def let_go(self) -> None:
        """Hold no connection to either database, because somebody works there now."""
        self._billing.let_go()
        self.state.let_go()

    def keep(self, name: str) -> None:
        """Remember both sides, the state and the evidence under a name."""
        self.state.keep(name)
        self.books.keep(name)
        keep_sqlite(self.root / "billing.db", self.root / f"{name}-billing.db")
        self.left.touch()
        shutil.copyfile(self.left, self.root / f"{name}-left.log")
        shutil.rmtree(self.root / f"{name}-runs", ignore_errors=True)
        shutil.copytree(self.root / "runs", self.root / f"{name}-runs")

    def put_back(self, name: str) -> None:
        """All of them as they were."""
        self.let_go()
        self.state.put_back(name)
        self.books.put_back(name)
        put_back_sqlite(self.root / f"{name}-billing.db", self.root / "billing.db")
        shutil.copyfile(self.root / f"{name}-left.log", self.left)
        shutil.rmtree(self.root / "runs")
        shutil.copytree(self.root / f"{name}-runs", self.root / "runs")


# ------------------------------------------------------------------------------------------------ people at work


class BillingPeople:
    """People who work in ReliaBills."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def customer(self, name: str, **more: Any) -> None:
        usual = {"first_name": "Accounts Payable", "last_name": name, "email": "payable@example.com"}
        day.new_customer(self.engine, **{"account_name": name, **usual, **more})

    def product(self, name: str, price: str) -> None:
        day.new_product(self.engine, name, price)

    def rate(self, name: str, percent: str) -> None:
        day.new_tax_rate(self.engine, name, percent, "State")

    def invoice(
        self, number: str, customer: str, product: str, quantity: str, price: str, rate: str | None = None
    ) -> None:
        lines = [(product, quantity, price)]
        day.new_invoice(self.engine, customer, lines, on=TODAY, number=number, tax_rate=rate, days_to_pay=0)

    def payment(self, reference: str, applied: Mapping[str, str]) -> None:
        day.take_payment(self.engine, applied, on=TODAY, method="check", online=False, reference=reference)

    def void_payment(self, reference: str) -> None:
        with transaction(self.engine) as session:
            ledger.void_payment(session, session.scalars(select(Payment).filter_by(reference=reference)).one())

    def remove_invoice(self, number: str) -> None:
        with transaction(self.engine) as session:
            session.delete(session.scalars(select(Invoice).filter_by(number=number)).one())

    def edit_rate(self, name: str, **changes: Any) -> None:
        with transaction(self.engine) as session:
            rate = session.scalars(select(TaxRate).filter_by(name=name)).one()
            for column, value in changes.items():
                setattr(rate, column, value)


def _at_work(world: SmallWorld, work: Callable[[BooksPeople, BillingPeople], None]) -> None:
    engine = world.billing()
    work(BooksPeople(world.books), BillingPeople(engine))
    engine.dispose()


def before_the_first_sync(world: SmallWorld) -> None:
    """Each kind of record on either side alone, and once on both."""

    def work(books: BooksPeople, billing: BillingPeople) -> None:
        books.customer("Amy's Bird Sanctuary", phone="555-0001")
        books.customer("Zoo Supplies")
        books.product("Sod", 2500)
        books.product("Rocks", 700)
        books.rate("State", 7)
        books.invoice("1001", "Amy's Bird Sanctuary", "Sod", 4, 2500, rate="State")
        books.invoice("1002", "Amy's Bird Sanctuary", "Sod", 1, 2500)
        books.payment("77", "Amy's Bird Sanctuary", 6000, {"1001": 6000})
        billing.customer("Bayshore")
        billing.customer("Old Mill")
        billing.product("Mulch", "45.125")
        billing.product("Stones", "3")
        billing.rate("City", "2")
        billing.invoice("2001", "Bayshore", "Mulch", "3", "45.125")
        billing.invoice("2002", "Bayshore", "Stones", "2", "3")
        billing.payment("88", {"2001": "60"})
        books.customer("Cool Cars")
        billing.customer("Cool Cars")
        books.product("Gardening", 1000)
        billing.product("Gardening", "10")
        books.rate("Both", 5)
        billing.rate("Both", "5")
        books.invoice("3001", "Cool Cars", "Gardening", 2, 1000)
        billing.invoice("3001", "Cool Cars", "Gardening", "2", "10")
        books.payment("99", "Cool Cars", 500, {"3001": 500})
        billing.payment("99", {"3001": "5"})
        books.invoice("4001", "Cool Cars", "Gardening", 1, 1000)

    _at_work(world, work)


def a_working_day(world: SmallWorld) -> None:
    """After a first sync: each kind of record made, edited, ended and recorded twice, in both directions."""

    def work(books: BooksPeople, billing: BillingPeople) -> None:
        books.edit(Entity.CUSTOMER, "Amy's Bird Sanctuary", phone="555-0002")
        day.edit_customer(billing.engine, "Bayshore", phone="555-0003")
        books.edit(Entity.CUSTOMER, "Zoo Supplies", active=False)
        day.inactivate_customer(billing.engine, "Old Mill")
        books.customer("Dylan")
        billing.customer("Esther")
        books.edit(Entity.CUSTOMER, "Cool Cars", city="Tucson")
        day.edit_customer(billing.engine, "Cool Cars", city="Tucson")

        books.edit(Entity.PRODUCT, "Sod", unit_price=260_000_000)
        day.change_price(billing.engine, "Mulch", "46")
        books.edit(Entity.PRODUCT, "Rocks", active=False)
        books.product("Trimming", 3500)
        billing.product("Planting", "12.5")

        books.rate("Resort", 3)
        billing.rate("Lake", "4")

        books.edit(Entity.INVOICE, "1001", memo="thank you")
        day.edit_invoice(billing.engine, "2001", memo="see you")
        books.void(Entity.INVOICE, "1002")
        day.void_invoice(billing.engine, "2002")
        books.invoice("1003", "Dylan", "Trimming", 2, 3500, rate="Resort")
        billing.invoice("2003", "Esther", "Planting", "2", "12.5", rate="Lake")
        books.invoice("1004", "Cool Cars", "Gardening", 3, 1000)
        billing.invoice("1004", "Cool Cars", "Gardening", "3", "10")
        books.remove(Entity.INVOICE, "4001")
        billing.remove_invoice("4001")

        books.void(Entity.PAYMENT, "77")
        billing.void_payment("88")
        books.payment("78", "Dylan", 2000, {"1003": 2000})
        billing.payment("89", {"2003": "5"})
        books.edit(Entity.PAYMENT, "99", payment_date="2026-11-21")

    _at_work(world, work)


def a_day_of_disagreement(world: SmallWorld) -> None:
    """After a first sync: the same fields made different on both sides, and two customers merged in QuickBooks."""

    def work(books: BooksPeople, billing: BillingPeople) -> None:
        books.edit(Entity.CUSTOMER, "Amy's Bird Sanctuary", phone="555-0002")
        day.edit_customer(billing.engine, "Amy's Bird Sanctuary", phone="555-0003")
        books.edit(Entity.CUSTOMER, "Cool Cars", phone="555-0004", city="Tucson")
        day.edit_customer(billing.engine, "Cool Cars", phone="555-0005", city="Yuma")
        books.edit(Entity.PRODUCT, "Sod", unit_price=260_000_000)
        day.change_price(billing.engine, "Sod", "27")
        books.edit(Entity.INVOICE, "1001", memo="thank you")
        day.edit_invoice(billing.engine, "1001", memo="see you")
        books.merge("Bayshore", "Old Mill")
        books.invoice("1005", "Zoo Supplies", "Rocks", 2, 700)
        billing.payment("90", {"1002": "25"})

    _at_work(world, work)


def decided(_: SmallWorld) -> dict[str, Any]:
    """People decide all of that, as the last run showed it to them; for a process of its own."""
    repair = Repair.open(COMPANY, who="Anna")
    why = "the customer said so"
    repair.keep("customer Amy's Bird Sanctuary", "billing", because=why)
    repair.keep("customer Cool Cars", "books", field="city", because=why)
    repair.keep("customer Cool Cars", "billing", field="phone", because=why)
    repair.keep("product Sod", "billing", because=why)
    repair.keep("invoice 1001", "books", because=why)
    repair.relink("customer Old Mill", "customer Bayshore", because="they were merged")
    return {}


DECIDED: tuple[tuple[Entity, str, str, Any], ...] = (
    (Entity.CUSTOMER, "Amy's Bird Sanctuary", "phone", "555-0003"),
    (Entity.CUSTOMER, "Cool Cars", "city", "Tucson"),
    (Entity.CUSTOMER, "Cool Cars", "phone", "555-0005"),
    (Entity.PRODUCT, "Sod", "unit_price", 270_000_000),
    (Entity.INVOICE, "1001", "memo", "thank you"),
)
"""What then has to stand on both sides: entity, label, field and value."""
RELINKED = {("customer", "Bayshore"): "Old Mill"}
"""What was linked anew: by entity and label in ReliaBills, the label in QuickBooks."""


def fast_folder() -> str | None:
    """Memory, where there is a folder of it: no test cuts the machine's power."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
