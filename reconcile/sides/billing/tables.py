"""The tables of ReliaBills that a sync reads and writes, as far as it needs them.

Money is an integer of minor units; prices, quantities and percents are ten-millionths; dates and moments are ISO text.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Integer, MetaData, Table, Text
from sqlalchemy.types import TypeEngine

METADATA = MetaData()


def _table(name: str, *columns: Column[Any]) -> Table:
    return Table(
        name,
        METADATA,
        Column("id", BigInteger, primary_key=True),
        *columns,
        Column("version", Integer, nullable=False),
        Column("updated_at", Text, nullable=False),
    )


def _required(name: str, kind: type[TypeEngine[Any]], *constraints: ForeignKey) -> Column[Any]:
    return Column(name, kind, *constraints, nullable=False)


def _optional(name: str, kind: type[TypeEngine[Any]], *constraints: ForeignKey) -> Column[Any]:
    return Column(name, kind, *constraints, nullable=True)


SETTINGS = _table(
    "settings",
    _required("company_id", Text),
    _required("company_name", Text),
    _required("currency", Text),
    _required("send_invoices", Boolean),
    _required("next_invoice_number", BigInteger),
)
CUSTOMERS = _table(
    "customers",
    _required("first_name", Text),
    _required("last_name", Text),
    _optional("company_name", Text),
    _optional("account_name", Text),
    _required("email", Text),
    _optional("further_emails", Text),
    _optional("phone", Text),
    _optional("address", Text),
    _optional("address2", Text),
    _optional("city", Text),
    _optional("region", Text),
    _optional("postal_code", Text),
    _optional("country", Text),
    _required("mail_preference", Text),
    _required("active", Boolean),
    _required("taxable", Boolean),
    _optional("auto_pay", Text),
    _optional("request_id", Text),
)
PRODUCTS = _table(
    "products",
    _required("name", Text),
    _optional("description", Text),
    _optional("unit_price", BigInteger),
    _required("taxable", Boolean),
    _optional("sku", Text),
    _required("active", Boolean),
    _optional("request_id", Text),
)
TAX_RATES = _table(
    "tax_rates",
    _required("name", Text),
    _required("percent", BigInteger),
    _optional("agency", Text),
    _required("active", Boolean),
    _optional("request_id", Text),
)
INVOICES = _table(
    "invoices",
    _required("number", Text),
    _required("customer_id", BigInteger, ForeignKey("customers.id")),
    _required("invoice_date", Text),
    _optional("due_date", Text),
    _optional("tax_rate_id", BigInteger, ForeignKey("tax_rates.id")),
    _optional("tax_percent", BigInteger),
    _optional("discount_percent", BigInteger),
    _optional("discount_taxable", BigInteger),
    _optional("discount_nontaxable", BigInteger),
    _required("subtotal", BigInteger),
    _required("discount", BigInteger),
    _required("tax", BigInteger),
    _required("total", BigInteger),
    _required("amount_paid", BigInteger),
    _required("balance", BigInteger),
    _required("state", Text),
    _optional("memo", Text),
    _required("origin", Text),
    _optional("profile_id", BigInteger),
    _optional("occurrence", BigInteger),
    _optional("request_id", Text),
)
INVOICE_LINES = _table(
    "invoice_lines",
    _required("invoice_id", BigInteger, ForeignKey("invoices.id")),
    _required("position", Integer),
    _optional("product_id", BigInteger, ForeignKey("products.id")),
    _optional("description", Text),
    _optional("quantity", BigInteger),
    _optional("unit_price", BigInteger),
    _required("amount", BigInteger),
    _required("taxable", Boolean),
)
PAYMENTS = _table(
    "payments",
    _required("customer_id", BigInteger, ForeignKey("customers.id")),
    _required("payment_date", Text),
    _required("amount", BigInteger),
    _required("credit", BigInteger),
    _required("unapplied", BigInteger),
    _optional("method", Text),
    _optional("reference", Text),
    _required("kind", Text),
    _required("state", Text),
    _optional("external_id", Text),
    _optional("request_id", Text),
)
PAYMENT_APPLICATIONS = _table(
    "payment_applications",
    _required("payment_id", BigInteger, ForeignKey("payments.id")),
    _required("invoice_id", BigInteger, ForeignKey("invoices.id")),
    _required("amount", BigInteger),
)
REFUNDS = _table(
    "refunds",
    _required("payment_id", BigInteger, ForeignKey("payments.id")),
    _required("invoice_id", BigInteger, ForeignKey("invoices.id")),
    _required("refund_date", Text),
    _required("amount", BigInteger),
    _required("outcome", Text),
)
DELIVERIES = _table(
    "deliveries",
    _required("invoice_id", BigInteger, ForeignKey("invoices.id")),
    _required("delivery_date", Text),
    _required("channel", Text),
    _required("address", Text),
)
DELETIONS = _table("deletions", _required("entity", Text), _required("record_id", BigInteger))
SYNC_REQUESTS = _table(
    "sync_requests",
    _required("request_id", Text),
    _required("entity", Text),
    _required("record_id", BigInteger),
    _required("payload_hash", Text),
    _required("answer", Text),
)
SYNC_HOLDER = _table("sync_holder", _required("run_id", Text))
