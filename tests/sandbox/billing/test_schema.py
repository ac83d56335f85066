"""What the database itself guards, whoever writes."""

from __future__ import annotations

from datetime import date

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DatabaseError, IntegrityError

from reconcile.errors import ConfigurationError
from reconcile.sandbox.billing import ledger
from reconcile.sandbox.billing.database import create_database, open_existing, transaction
from reconcile.sandbox.billing.ledger import LineDraft
from reconcile.sandbox.billing.schema import Customer, Deletion, Invoice

TODAY = date(2026, 3, 10)


def _invoice(engine: Engine, number: str = "100") -> int:
    with transaction(engine) as session:
        customer = session.scalars(select(Customer)).one()
        lines = [LineDraft(description="Lumber", amount=5000)]
        return ledger.new_invoice(session, customer, invoice_date=TODAY, due_date=None, lines=lines, number=number).id


def test_two_invoices_cannot_have_one_number(shop: Engine) -> None:
    first, _ = _invoice(shop, "100"), _invoice(shop, "101")
    copy = "INSERT INTO invoices (number, customer_id, invoice_date, subtotal, discount, tax, total, amount_paid,"
    copy += " balance, state, origin, version, updated_at) SELECT '101', customer_id, invoice_date, 0, 0, 0, 0, 0, 0,"
    copy += f" 'open', 'manual', 1, '' FROM invoices WHERE id = {first}"
    with pytest.raises(IntegrityError), shop.begin() as connection:
        connection.execute(text(copy))


def test_a_saved_number_cannot_be_changed_even_by_hand(shop: Engine) -> None:
    _invoice(shop, "100")
    with pytest.raises(DatabaseError, match="never be changed"), shop.begin() as connection:
        connection.execute(text("UPDATE invoices SET number = '00100'"))
    with shop.begin() as connection:
        connection.execute(text("UPDATE invoices SET number = '100', memo = 'the same number may be written'"))


def test_a_deleted_record_leaves_a_marker_and_its_id_is_not_given_out_again(shop: Engine) -> None:
    gone = _invoice(shop)
    with shop.begin() as connection:
        connection.execute(text("DELETE FROM invoice_lines"))
        connection.execute(text("DELETE FROM invoices"))
    with transaction(shop) as session:
        marker = session.scalars(select(Deletion)).one()
        assert (marker.entity, marker.record_id) == ("invoice", gone)
        assert marker.updated_at.endswith("+00:00")
    assert _invoice(shop) > gone


def test_a_changed_line_is_a_change_of_its_invoice(shop: Engine) -> None:
    key = _invoice(shop)
    with transaction(shop) as session:
        invoice = session.get_one(Invoice, key)
        before = (invoice.version, invoice.updated_at)
        invoice.lines[0].description = "Lumber, treated"
        session.flush()
        assert invoice.version == before[0] + 1
        assert invoice.updated_at > before[1]


def test_what_does_not_change_keeps_its_version(shop: Engine) -> None:
    key = _invoice(shop)
    with transaction(shop) as session:
        session.get_one(Invoice, key).memo = None
    with transaction(shop) as session:
        assert session.get_one(Invoice, key).version == 1


def test_a_database_is_not_made_over_another(shop: Engine) -> None:
    with pytest.raises(ConfigurationError, match="already"):
        create_database(shop.url.render_as_string(hide_password=False))
    assert open_existing(shop.url.render_as_string(hide_password=False)).dialect.name == shop.dialect.name


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("mysql://somewhere/x", "SQLite or PostgreSQL"),
        ("://", "cannot be read"),
        ("/nowhere/at/all/billing.db", "folder"),
    ],
)
def test_a_place_that_cannot_hold_a_database_is_told_in_a_sentence(address: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        create_database(address)
