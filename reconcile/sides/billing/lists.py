"""Customers, products and tax rates as ReliaBills lets a sync write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from reconcile.model.entities import Entity
from reconcile.model.money import ONE
from reconcile.sides.billing.records import column_name
from reconcile.sides.billing.storing import (
    RefusalError,
    add,
    columns,
    require,
    store,
    with_flags,
)
from reconcile.sides.billing.tables import (
    CUSTOMERS,
    PRODUCTS,
    TAX_RATES,
)

_REQUIRED_OF_CUSTOMERS = ("given_name", "family_name", "email")


def create_customer(connection: Connection, request_id: str, fields: Mapping[str, Any]) -> int:
    """Store a new customer; its id.

    Raises:
        RefusalError: a required field is missing, or an e-mail address is none.
    """
    require(fields, _REQUIRED_OF_CUSTOMERS, Entity.CUSTOMER)
    _check_addresses(fields)
    values = {"active": True, "taxable": False, "mail_preference": "paperless"}
    values |= {name: value for name, value in columns(Entity.CUSTOMER, fields).items() if value is not None}
    return add(connection, CUSTOMERS, {**values, "request_id": request_id})


def change_customer(connection: Connection, record: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    """Change fields of a customer.

    Raises:
        RefusalError: a required field would be empty, or an e-mail address is none.
    """
    after = {name: record[column_name(Entity.CUSTOMER, name)] or None for name in _REQUIRED_OF_CUSTOMERS} | dict(fields)
    require(after, [name for name in _REQUIRED_OF_CUSTOMERS if name in fields], Entity.CUSTOMER)
    _check_addresses(fields)
    store(connection, CUSTOMERS, record["id"], columns(Entity.CUSTOMER, with_flags(fields)))


def _check_addresses(fields: Mapping[str, Any]) -> None:
    """Exactly one primary e-mail address; further ones comma-separated, without spaces."""
    email, more = fields.get("email"), fields.get("more_emails")
    if email is not None and not _is_address(email):
        raise RefusalError(
            "email", f"ReliaBills takes exactly one e-mail address; {email!r} is not one. Correct it in QuickBooks."
        )
    for address in more.split(",") if more is not None else ():
        if not _is_address(address):
            raise RefusalError(
                "more_emails",
                f"ReliaBills takes further e-mail addresses separated by commas, without spaces; {more!r} is not so.",
            )


def _is_address(text: str) -> bool:
    name, at, host = text.partition("@")
    return bool(name and at and host) and "@" not in host and not any(sign in text for sign in ",; \t\r\n")


def create_product(connection: Connection, request_id: str, fields: Mapping[str, Any]) -> int:
    """Store a new product; its id.

    Raises:
        RefusalError: it has no name.
    """
    require(fields, ("name",), Entity.PRODUCT)
    values = {"active": True, "taxable": False, **with_flags(fields)}
    return add(connection, PRODUCTS, {**values, "request_id": request_id})


def change_product(connection: Connection, record: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    """Change fields of a product.

    Raises:
        RefusalError: it would have no name.
    """
    require({**record, **fields}, ("name",), Entity.PRODUCT)
    store(connection, PRODUCTS, record["id"], with_flags(fields))


def create_tax_rate(connection: Connection, request_id: str, fields: Mapping[str, Any]) -> int:
    """Store a new tax rate; its id.

    Raises:
        RefusalError: it has no name, or no percent between 0 and 100.
    """
    _check_rate(fields)
    return add(connection, TAX_RATES, {"active": True, **with_flags(fields), "request_id": request_id})


def change_tax_rate(connection: Connection, record: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    """Change fields of a tax rate; invoices saved at the old percent keep it.

    Raises:
        RefusalError: it would have no name, or no percent between 0 and 100.
    """
    _check_rate({**record, **fields})
    store(connection, TAX_RATES, record["id"], with_flags(fields))


def _check_rate(values: Mapping[str, Any]) -> None:
    require(values, ("name", "percent"), Entity.TAX_RATE)
    if not 0 <= values["percent"] <= 100 * ONE:
        raise RefusalError("percent", "A tax rate lies between 0 and 100 percent.")
