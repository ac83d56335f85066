"""A ReliaBills on either database, with the few records that a test needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from reconcile.model.money import to_scaled
from reconcile.sandbox.billing import ledger
from reconcile.sandbox.billing.database import create_database, transaction


@pytest.fixture
def engine(empty_url: str) -> Iterator[Engine]:
    """An empty ReliaBills on SQLite, and again on PostgreSQL."""
    made = create_database(empty_url, company_id="craigs", company_name="Craig's")
    yield made
    made.dispose()


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
