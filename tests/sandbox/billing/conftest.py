"""A ReliaBills on either database, with the few records that a test needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, text

from reconcile.model.money import to_scaled
from reconcile.sandbox.billing import ledger
from reconcile.sandbox.billing.database import create_database, transaction
from reconcile.sandbox.billing.schema import Base, Settings


@pytest.fixture(scope="session")
def _postgres_engine(postgres_url: str) -> Iterator[Engine]:
    """One PostgreSQL database for all of these tests; each empties it first."""
    name = "billing_of_ledger_tests"
    with psycopg.connect(postgres_url.replace("+psycopg", "", 1), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    made = create_database(postgres_url.replace("/postgres?", f"/{name}?", 1))
    yield made
    made.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty ReliaBills on SQLite, and again on PostgreSQL."""
    if request.param == "sqlite":
        made = create_database(str(tmp_path / "billing.db"))
        yield made
        made.dispose()
        return
    shared: Engine = request.getfixturevalue("_postgres_engine")
    with shared.begin() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(Base.metadata.tables)} RESTART IDENTITY"))
    with transaction(shared) as session:
        session.add(
            Settings(
                company_id="craigs",
                company_name="Craig's",
                currency="USD",
                send_invoices=False,
                next_invoice_number=100,
            )
        )
    yield shared


@pytest.fixture
def shop(engine: Engine) -> Engine:
    """The same with one customer, one product and one tax rate."""
    with transaction(engine) as session:
        ledger.add_customer(
            session,
            first_name="Accounts Payable",
            last_name="Garden Center",
            account_name="Garden Center",
            email="garden@intuit.com",
        )
        ledger.add_product(session, name="Sod", description="Sod", unit_price=to_scaled("15"), taxable=True)
        ledger.add_tax_rate(session, "California", to_scaled("8"), "Board of Equalization")
    return engine
