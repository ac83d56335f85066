"""The one table that says what each kind of record is: its fields, how they are compared, what is ignored and why.

Diff, checks, mapping, plan and reports all read :data:`FIELDS`; a test compares it with both sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Side(StrEnum):
    """One of the two systems: *books* is QuickBooks Online, *billing* is ReliaBills."""

    BOOKS = "books"
    BILLING = "billing"

    @property
    def other(self) -> Side:
        """The opposite side."""
        return Side.BILLING if self is Side.BOOKS else Side.BOOKS

    @property
    def product(self) -> str:
        """The name people know it by."""
        return "QuickBooks" if self is Side.BOOKS else "ReliaBills"


class Entity(StrEnum):
    """The five kinds of record, in the order in which they are pushed."""

    CUSTOMER = "customer"
    PRODUCT = "product"
    TAX_RATE = "tax_rate"
    INVOICE = "invoice"
    PAYMENT = "payment"

    @property
    def step(self) -> int:
        """Position of this entity's push step, 1 to 5."""
        return list(Entity).index(self) + 1

    @property
    def singular(self) -> str:
        """``tax rate``."""
        return self.value.replace("_", " ")

    @property
    def plural(self) -> str:
        """``tax rates``."""
        return self.singular + "s"


class Kind(StrEnum):
    """What a field holds, and so its dtype in a frame."""

    TEXT = "text"  # dtype str; blank is missing
    FLAG = "flag"  # dtype boolean
    DATE = "date"  # dtype str, ISO YYYY-MM-DD exactly as given, so that an impossible date stays visible
    MONEY = "money"  # dtype Int64, minor units of the row's currency
    SCALED = "scaled"  # dtype Int64, ten-millionths: prices, quantities, percents
    REF = "ref"  # dtype str, id of another record on the same side
    ROWS = "rows"  # child rows (invoice lines, payment applications); compared as one canonical text


DTYPES = {
    Kind.TEXT: "str",
    Kind.FLAG: "boolean",
    Kind.DATE: "str",
    Kind.MONEY: "Int64",
    Kind.SCALED: "Int64",
    Kind.REF: "str",
    Kind.ROWS: "str",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an entity (or of its child rows).

    Attributes:
        name: column name in every frame, key in every payload and in the base.
        kind: what it holds.
        title: the words a person reads.
        to: entity referred to, for :attr:`Kind.REF`.
        writable: sides on which a push may set it.
        compared: whether a difference between the sides matters.
        ignored_because: why it is not compared; empty when it is.
        fixed_on: sides on which it can never be changed once the record exists.
        only_on: the side that alone has this field; ``None`` when both have it.
        blank_fills: a value missing on one matched side may be filled from the other.
    """

    name: str
    kind: Kind
    title: str
    to: Entity | None = None
    writable: frozenset[Side] = frozenset(Side)
    compared: bool = True
    ignored_because: str = ""
    fixed_on: frozenset[Side] = frozenset()
    only_on: Side | None = None
    blank_fills: bool = True

    @property
    def dtype(self) -> str:
        """The pandas dtype of its column."""
        return DTYPES[self.kind]


_NOBODY: frozenset[Side] = frozenset()
_BOOKS = frozenset({Side.BOOKS})
_BILLING = frozenset({Side.BILLING})


def _text(name: str, title: str) -> Field:
    return Field(name, Kind.TEXT, title)


def _computed(name: str, kind: Kind, title: str, *, why: str) -> Field:
    return Field(name, kind, title, writable=_NOBODY, compared=False, ignored_because=why)


def _result(name: str, title: str) -> Field:
    return Field(name, Kind.MONEY, title, writable=_NOBODY, blank_fills=False)


def _only(side: Side, name: str, kind: Kind, title: str, *, to: Entity | None = None) -> Field:
    why = f"only {side.product} has it; a sparse update leaves it untouched"
    return Field(name, kind, title, to=to, writable=_NOBODY, compared=False, ignored_because=why, only_on=side)


FIELDS: dict[Entity, tuple[Field, ...]] = {
    Entity.CUSTOMER: (
        _text("display_name", "display name"),
        _text("company_name", "company name"),
        _text("given_name", "first name"),
        _text("family_name", "last name"),
        _text("email", "e-mail"),
        _text("more_emails", "further e-mails"),
        _text("phone", "phone"),
        _text("address_line1", "address"),
        _text("address_line2", "address, second line"),
        _text("city", "city"),
        _text("region", "state"),
        _text("postal_code", "postal code"),
        Field(
            "country",
            Kind.TEXT,
            "country",
            compared=False,
            ignored_because="QuickBooks changed its spelling of countries in 2025 (API file 1.2); carried on creation",
        ),
        Field("taxable", Kind.FLAG, "taxable", blank_fills=False),
        Field("active", Kind.FLAG, "active", blank_fills=False),
        _computed(
            "currency", Kind.TEXT, "currency", why="fixed once a customer has transactions; checked across sides"
        ),
        _only(Side.BOOKS, "parent_id", Kind.REF, "parent customer", to=Entity.CUSTOMER),
        _only(Side.BOOKS, "full_name", Kind.TEXT, "full name with parents"),
        _only(Side.BILLING, "auto_pay", Kind.FLAG, "auto pay"),
        _only(Side.BILLING, "paperless", Kind.FLAG, "paperless mail"),
    ),
    Entity.PRODUCT: (
        _text("name", "name"),
        _text("description", "description"),
        Field("unit_price", Kind.SCALED, "price"),
        Field("taxable", Kind.FLAG, "taxable", blank_fills=False),
        _text("sku", "SKU"),
        Field("active", Kind.FLAG, "active", blank_fills=False),
        _only(Side.BOOKS, "type", Kind.TEXT, "type (Service, Inventory, Group, ...)"),
    ),
    Entity.TAX_RATE: (
        Field("name", Kind.TEXT, "name", fixed_on=_BOOKS),
        Field("percent", Kind.SCALED, "percent", writable=frozenset(Side), fixed_on=_BOOKS),
        Field("agency", Kind.TEXT, "agency", fixed_on=_BOOKS),
        Field("active", Kind.FLAG, "active", fixed_on=_BOOKS, blank_fills=False),
        _only(Side.BOOKS, "components", Kind.TEXT, "rates it is made of"),
    ),
    Entity.INVOICE: (
        Field("number", Kind.TEXT, "invoice number", fixed_on=_BILLING, blank_fills=False),
        Field("customer_id", Kind.REF, "customer", to=Entity.CUSTOMER, fixed_on=frozenset(Side), blank_fills=False),
        Field("invoice_date", Kind.DATE, "invoice date"),
        Field("due_date", Kind.DATE, "due date"),
        Field("tax_rate_id", Kind.REF, "tax rate", to=Entity.TAX_RATE, blank_fills=False),
        Field("discount_percent", Kind.SCALED, "discount, percent of subtotal", blank_fills=False),
        Field("discount_taxable", Kind.MONEY, "discount off the taxable part", blank_fills=False),
        Field("discount_nontaxable", Kind.MONEY, "discount off the non-taxable part", blank_fills=False),
        Field("lines", Kind.ROWS, "lines", blank_fills=False),
        _text("memo", "memo to the customer"),
        Field("void", Kind.FLAG, "void", blank_fills=False),
        _result("subtotal", "subtotal"),
        _result("discount", "discount"),
        _result("tax", "tax"),
        _result("total", "total"),
        _computed("balance", Kind.MONEY, "balance", why="follows from payments; compared when the run ties out"),
        _computed("state", Kind.TEXT, "state", why="open, paid, closed or void: follows from balance and void"),
        _computed("currency", Kind.TEXT, "currency", why="that of the customer; checked across sides"),
        _only(Side.BOOKS, "has_bundle", Kind.FLAG, "has a bundle"),
        _only(Side.BILLING, "origin", Kind.TEXT, "made by (person, recurring profile, sync)"),
    ),
    Entity.PAYMENT: (
        Field("customer_id", Kind.REF, "customer", to=Entity.CUSTOMER, fixed_on=frozenset(Side), blank_fills=False),
        Field("payment_date", Kind.DATE, "payment date"),
        Field("amount", Kind.MONEY, "amount", blank_fills=False),
        Field("credit", Kind.MONEY, "credit memos applied", blank_fills=False),
        Field(
            "method",
            Kind.TEXT,
            "method",
            compared=False,
            ignored_because="QuickBooks names brands of card, ReliaBills kinds of payment; carried on creation",
        ),
        _text("reference", "reference"),
        Field("applications", Kind.ROWS, "invoices paid", blank_fills=False),
        Field("void", Kind.FLAG, "void", blank_fills=False),
        _computed("unapplied", Kind.MONEY, "not applied", why="follows from amount, credit and applications; checked"),
        _computed("currency", Kind.TEXT, "currency", why="that of the customer; checked across sides"),
        _only(Side.BOOKS, "deposited", Kind.FLAG, "deposited"),
        _only(Side.BILLING, "processed", Kind.FLAG, "processed online by ReliaBills"),
    ),
}
"""Every field of every entity, in the order people read them."""

ROW_FIELDS: dict[Entity, tuple[Field, ...]] = {
    Entity.INVOICE: (
        Field("product_id", Kind.REF, "product", to=Entity.PRODUCT),
        Field("description", Kind.TEXT, "description"),
        Field("quantity", Kind.SCALED, "quantity"),
        Field("unit_price", Kind.SCALED, "price"),
        Field("amount", Kind.MONEY, "amount"),
        Field("taxable", Kind.FLAG, "taxable"),
    ),
    Entity.PAYMENT: (
        Field("invoice_id", Kind.REF, "invoice", to=Entity.INVOICE),
        Field("amount", Kind.MONEY, "amount"),
    ),
}
"""Fields of the child rows: lines of an invoice, applications of a payment."""

ROWS_COLUMN = {Entity.INVOICE: "lines", Entity.PAYMENT: "applications"}
"""The field that stands for an entity's child rows."""

PAYMENT_METHODS = ("card", "echeck", "cash", "check", "credit", "other")
"""The values of a payment's method: *credit* is the settling of an invoice by credit memos."""


def field(entity: Entity, name: str) -> Field:
    """The field of that name; ``KeyError`` if the entity has none."""
    for candidate in FIELDS[entity]:
        if candidate.name == name:
            return candidate
    raise KeyError(f"{entity} has no field {name!r}")


def label_column(entity: Entity) -> str:
    """The column a person knows a record by: display name, name or invoice number; for payments its reference."""
    return {
        Entity.CUSTOMER: "display_name",
        Entity.PRODUCT: "name",
        Entity.TAX_RATE: "name",
        Entity.INVOICE: "number",
        Entity.PAYMENT: "reference",
    }[entity]


def key_of(side: Side, record_id: str) -> str:
    """The key of a record by the side that names it: ``books:12``."""
    return f"{side}:{record_id}"


def side_and_id(key: str) -> tuple[Side, str]:
    """The side that names a record and its id there: the inverse of :func:`key_of`."""
    side, _, record_id = key.partition(":")
    return Side(side), record_id
