"""The shapes of QuickBooks' JSON that this side reads: typed, with exact decimals, everything else left alone.

Property names are QuickBooks' own, in Python's spelling (``SyncToken`` is ``sync_token``). A property that is not
named here is not read and, because every update is sparse, not touched.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from msgspec import Raw, Struct

from reconcile.model.entities import Entity


class _Shape(Struct, rename="pascal", gc=False, kw_only=True):
    """Base of all shapes: QuickBooks' spelling; never part of a reference cycle."""


class Ref(Struct, gc=False):
    """``{"value": "58", "name": "..."}``: an id of another record."""

    value: str = ""
    name: str | None = None


class IdRef(Struct, gc=False):
    """A reference of which only the id matters."""

    value: str = ""


class MetaData(_Shape):
    """Times of the record, with an offset."""

    last_updated_time: str | None = None


class Address(_Shape):
    """A postal address; further lines than two are preserved, not carried."""

    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    country_sub_division_code: str | None = None
    postal_code: str | None = None
    country: str | None = None


class Email(_Shape):
    """One or several addresses, separated by commas."""

    address: str | None = None


class Phone(_Shape):
    """A telephone number as typed."""

    free_form_number: str | None = None


class Memo(Struct, gc=False):
    """A text to the customer."""

    value: str | None = None


class Customer(_Shape):
    """A customer, a job or a sub-customer."""

    id: str
    sync_token: str | None = None
    meta_data: MetaData | None = None
    display_name: str | None = None
    company_name: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    fully_qualified_name: str | None = None
    primary_email_addr: Email | None = None
    primary_phone: Phone | None = None
    bill_addr: Address | None = None
    taxable: bool | None = None
    active: bool | None = None
    currency_ref: IdRef | None = None
    parent_ref: Ref | None = None


class Item(_Shape):
    """A product: service, non-inventory, inventory; also bundles (Group) and categories, which are no products."""

    id: str
    sync_token: str | None = None
    meta_data: MetaData | None = None
    name: str | None = None
    description: str | None = None
    unit_price: Decimal | None = None
    taxable: bool | None = None
    sku: str | None = None
    active: bool | None = None
    type: str | None = None


class TaxRateDetail(_Shape):
    """One rate inside a tax code."""

    tax_type_applicable: str | None = None
    tax_rate_ref: Ref | None = None


class TaxRateList(_Shape):
    """The rates of a tax code, in their order."""

    tax_rate_detail: list[TaxRateDetail] = []


class TaxCode(_Shape):
    """What an invoice names as its tax; TAX and NON are codes of lines and no rates."""

    id: str
    sync_token: str | None = None
    meta_data: MetaData | None = None
    name: str | None = None
    active: bool | None = None
    tax_group: bool | None = None
    sales_tax_rate_list: TaxRateList | None = None


class TaxRate(_Shape):
    """A percentage of one agency."""

    id: str
    name: str | None = None
    rate_value: Decimal | None = None
    agency_ref: Ref | None = None


class TaxAgency(_Shape):
    """To whom tax is paid, and the last day for which it was filed."""

    id: str
    display_name: str | None = None
    last_file_date: str | None = None


class PaymentMethod(_Shape):
    """A way of paying: ``CREDIT_CARD`` or ``NON_CREDIT_CARD`` and a name."""

    id: str
    name: str | None = None
    type: str | None = None
    active: bool | None = None


class SalesItemDetail(_Shape):
    """What was sold on a line."""

    item_ref: IdRef | None = None
    qty: Decimal | None = None
    unit_price: Decimal | None = None
    tax_code_ref: IdRef | None = None


class DiscountDetail(_Shape):
    """A discount line: a percentage, or the amount of the line."""

    percent_based: bool | None = None
    discount_percent: Decimal | None = None


class GroupDetail(_Shape):
    """A bundle: its component lines."""

    line: list[Line] = []


class Line(_Shape):
    """One line of an invoice."""

    detail_type: str | None = None
    description: str | None = None
    amount: Decimal | None = None
    sales_item_line_detail: SalesItemDetail | None = None
    discount_line_detail: DiscountDetail | None = None
    group_line_detail: GroupDetail | None = None


class TxnTaxDetail(_Shape):
    """Tax of a transaction."""

    txn_tax_code_ref: IdRef | None = None
    total_tax: Decimal | None = None


class LinkedTxn(_Shape):
    """Another transaction: invoice, credit memo, deposit, ..."""

    txn_id: str
    txn_type: str = ""


class Invoice(_Shape):
    """An invoice."""

    id: str
    sync_token: str | None = None
    meta_data: MetaData | None = None
    doc_number: str | None = None
    txn_date: str | None = None
    due_date: str | None = None
    customer_ref: Ref | None = None
    currency_ref: IdRef | None = None
    line: list[Line] = []
    txn_tax_detail: TxnTaxDetail | None = None
    apply_tax_after_discount: bool | None = None
    global_tax_calculation: str | None = None
    customer_memo: Memo | None = None
    private_note: str | None = None
    total_amt: Decimal | None = None
    balance: Decimal | None = None
    deposit: Decimal | None = None


class PaymentLine(_Shape):
    """What part of a payment goes to (or comes from) which transaction."""

    amount: Decimal | None = None
    linked_txn: list[LinkedTxn] = []


class Payment(_Shape):
    """A payment received."""

    id: str
    sync_token: str | None = None
    meta_data: MetaData | None = None
    txn_date: str | None = None
    customer_ref: Ref | None = None
    currency_ref: IdRef | None = None
    total_amt: Decimal | None = None
    unapplied_amt: Decimal | None = None
    payment_method_ref: Ref | None = None
    payment_ref_num: str | None = None
    private_note: str | None = None
    line: list[PaymentLine] = []
    linked_txn: list[LinkedTxn] = []


Record = Customer | Item | TaxCode | Invoice | Payment

MISSING = Raw(b"null")
"""An amount that is not there, where amounts are left as they are written."""

# The same records with amounts left as they are written: a page of them is read in a third of the time, and the
# amounts of all its records are then read together (columns.py). Whatever else they hold is checked as above.


LineKind = Literal[
    "SalesItemLineDetail",
    "SubTotalLineDetail",
    "DiscountLineDetail",
    "GroupLineDetail",
    "DescriptionOnly",
    "TaxLineDetail",
    "TDSLineDetail",
    "ReimburseLineDetail",
    "SalesOrderItemLineDetail",
    "SALES_ITEM_LINE_DETAIL",
    "SUB_TOTAL_LINE_DETAIL",
    "DISCOUNT_LINE_DETAIL",
    "GROUP_LINE_DETAIL",
    "DESCRIPTION_ONLY",
]


class WrittenSalesItemDetail(SalesItemDetail):
    """:class:`SalesItemDetail`, amounts as they are written."""

    qty: Raw = MISSING  # type: ignore[assignment]  # the text of the number in place of the number
    unit_price: Raw = MISSING  # type: ignore[assignment]  # the same


class WrittenLine(Line):
    """:class:`Line`, amounts as they are written; its kind is one that Intuit's schema has, so it needs no new text."""

    detail_type: LineKind | None = None
    amount: Raw = MISSING  # type: ignore[assignment]  # as above
    sales_item_line_detail: WrittenSalesItemDetail | None = None


class WrittenTxnTaxDetail(TxnTaxDetail):
    """:class:`TxnTaxDetail`, amounts as they are written."""

    total_tax: Raw = MISSING  # type: ignore[assignment]  # as above


class WrittenInvoice(Invoice):
    """:class:`Invoice`, amounts as they are written."""

    customer_ref: IdRef | None = None  # type: ignore[assignment]  # the name is for those that are read one by one
    line: list[WrittenLine] = []  # type: ignore[assignment]  # of lines as they are written
    txn_tax_detail: WrittenTxnTaxDetail | None = None
    total_amt: Raw = MISSING  # type: ignore[assignment]  # as above
    balance: Raw = MISSING  # type: ignore[assignment]  # as above
    deposit: Raw = MISSING  # type: ignore[assignment]  # as above


class WrittenPaymentLine(PaymentLine):
    """:class:`PaymentLine`, amounts as they are written."""

    amount: Raw = MISSING  # type: ignore[assignment]  # as above


class WrittenPayment(Payment):
    """:class:`Payment`, amounts as they are written."""

    line: list[WrittenPaymentLine] = []  # type: ignore[assignment]  # of lines as they are written
    total_amt: Raw = MISSING  # type: ignore[assignment]  # as above
    unapplied_amt: Raw = MISSING  # type: ignore[assignment]  # as above


WRITTEN: dict[type, type[Invoice | Payment]] = {Invoice: WrittenInvoice, Payment: WrittenPayment}
"""Shapes whose pages are read with amounts as they are written."""

SHAPES: dict[Entity, type[Customer | Item | TaxCode | Invoice | Payment]] = {
    Entity.CUSTOMER: Customer,
    Entity.PRODUCT: Item,
    Entity.TAX_RATE: TaxCode,
    Entity.INVOICE: Invoice,
    Entity.PAYMENT: Payment,
}
"""Which shape holds which entity; the class name is QuickBooks' name of the resource."""


def resource(entity: Entity) -> str:
    """QuickBooks' name of an entity: ``resource(Entity.PRODUCT) == "Item"``."""
    return SHAPES[entity].__name__
