"""What ReliaBills allows when a sync writes: which action does what to which kind of record.

Every function works inside one transaction of the caller and refuses by raising; the caller then rolls back. Totals
and balances come from :mod:`reconcile.model.totals`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from reconcile.model.entities import ROWS_COLUMN, Entity
from reconcile.sides.billing.invoices import change_invoice, create_invoice, deliver_invoice, void_invoice
from reconcile.sides.billing.lists import (
    change_customer,
    change_product,
    change_tax_rate,
    create_customer,
    create_product,
    create_tax_rate,
)
from reconcile.sides.billing.payments import change_payment, create_payment, void_payment
from reconcile.sides.billing.storing import (
    RefusalError,
    claimed,
    given,
)
from reconcile.sides.side import Write


def create(connection: Connection, write: Write) -> int:
    """Create the record; its id.

    Raises:
        RefusalError: ReliaBills does not allow it.
    """
    fields = given(write, connection)
    creators: dict[Entity, Callable[[Connection, str, Mapping[str, Any]], int]] = {
        Entity.CUSTOMER: create_customer,
        Entity.PRODUCT: create_product,
        Entity.TAX_RATE: create_tax_rate,
        Entity.INVOICE: create_invoice,
        Entity.PAYMENT: create_payment,
    }
    key = creators[write.entity](connection, write.request_id, fields)
    if write.entity is Entity.INVOICE and write.mail:
        deliver_invoice(connection, key, fields["customer_id"])
    return key


def change(connection: Connection, write: Write) -> int:
    """Change the given fields of a record; its id.

    Raises:
        RefusalError: ReliaBills does not allow it, or there is no such record.
        StaleError: it has another version than expected.
    """
    record = claimed(connection, write)
    fields = given(write, connection)
    if fields.pop("void", None):
        return _void(connection, write.entity, record)
    return _change(connection, write.entity, record, fields)


def _change(connection: Connection, entity: Entity, record: Mapping[str, Any], fields: Mapping[str, Any]) -> int:
    changers: dict[Entity, Callable[[Connection, Mapping[str, Any], Mapping[str, Any]], None]] = {
        Entity.CUSTOMER: change_customer,
        Entity.PRODUCT: change_product,
        Entity.TAX_RATE: change_tax_rate,
        Entity.INVOICE: change_invoice,
        Entity.PAYMENT: change_payment,
    }
    changers[entity](connection, record, fields)
    return int(record["id"])


def void(connection: Connection, write: Write) -> int:
    """Void an invoice or a payment; its id.

    Raises:
        RefusalError: it has payments, was processed online, or is a record that cannot be voided.
        StaleError: it has another version than expected.
    """
    return _void(connection, write.entity, claimed(connection, write))


def deactivate(connection: Connection, write: Write) -> int:
    """Make a customer, product or tax rate inactive, with whatever else of it changes; its id.

    Raises:
        RefusalError: invoices and payments have no such state, or there is no such record.
        StaleError: it has another version than expected.
    """
    record = claimed(connection, write)
    if write.entity in ROWS_COLUMN:
        raise RefusalError("not_deactivatable", f"ReliaBills has no inactive {write.entity.plural}; it can be voided.")
    return _change(connection, write.entity, record, {**given(write, connection), "active": False})


def _void(connection: Connection, entity: Entity, record: Mapping[str, Any]) -> int:
    if entity is Entity.INVOICE:
        void_invoice(connection, record)
    elif entity is Entity.PAYMENT:
        void_payment(connection, record)
    else:
        raise RefusalError("not_voidable", f"A {entity.singular} cannot be voided; it can be made inactive.")
    return int(record["id"])
