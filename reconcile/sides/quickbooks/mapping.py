"""From QuickBooks' records to our words: pure functions, one per entity.

They are the rule for every record. Where many invoices or payments are read at once, :mod:`.columns` reads those about
which there is nothing to decide by vector operations, and leaves all others to these functions.

Each returns the values of the record's columns (:data:`COLUMNS`, in that order) and its child rows, and appends
findings. A record that cannot be read as what it should be raises :class:`MalformedError`; the caller makes it a
finding. The table of fields is in the package docstring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from reconcile.model.entities import ROW_FIELDS, ROWS_COLUMN, Entity, Side
from reconcile.model.findings import Finding, Severity
from reconcile.model.money import INT64_MAX, NotExactError, from_scaled, to_minor, to_scaled
from reconcile.sides.quickbooks.discounts import NO_DISCOUNT, BooksDiscount, Discount, Parts, decode
from reconcile.sides.quickbooks.records import (
    Customer,
    IdRef,
    Invoice,
    Item,
    Line,
    MetaData,
    Payment,
    PaymentMethod,
    Record,
    Ref,
    TaxAgency,
    TaxCode,
    TaxRate,
)

_HEAD = ("id", "version", "updated_at")
COLUMNS: dict[Entity, tuple[str, ...]] = {
    Entity.CUSTOMER: (
        *_HEAD,
        "display_name",
        "company_name",
        "given_name",
        "family_name",
        "email",
        "more_emails",
        "phone",
        "address_line1",
        "address_line2",
        "city",
        "region",
        "postal_code",
        "country",
        "taxable",
        "active",
        "currency",
        "parent_id",
        "full_name",
    ),
    Entity.PRODUCT: (*_HEAD, "name", "description", "unit_price", "taxable", "sku", "active", "type"),
    Entity.TAX_RATE: (*_HEAD, "name", "percent", "agency", "active", "components"),
    Entity.INVOICE: (
        *_HEAD,
        "number",
        "customer_id",
        "invoice_date",
        "due_date",
        "tax_rate_id",
        "discount_percent",
        "discount_taxable",
        "discount_nontaxable",
        "memo",
        "void",
        "subtotal",
        "discount",
        "tax",
        "total",
        "balance",
        "state",
        "currency",
        "has_bundle",
    ),
    Entity.PAYMENT: (
        *_HEAD,
        "customer_id",
        "payment_date",
        "amount",
        "credit",
        "method",
        "reference",
        "void",
        "unapplied",
        "currency",
        "deposited",
    ),
}
"""Columns of an entity's values, in the order in which the functions below give them."""

ROW_NAMES = {
    entity: ("parent_id", "position", *(row_field.name for row_field in fields))
    for entity, fields in ROW_FIELDS.items()
}
"""Columns of the child rows, in order."""

DELETED_SUFFIX = " (deleted)"
VOIDED_PREFIX = "Voided"
NO_PRODUCTS = frozenset({"Category", "Group"})
LINE_KINDS = {
    "SALES_ITEM_LINE_DETAIL": "SalesItemLineDetail",
    "DESCRIPTION_ONLY": "DescriptionOnly",
    "SUB_TOTAL_LINE_DETAIL": "SubTotalLineDetail",
    "DISCOUNT_LINE_DETAIL": "DiscountLineDetail",
    "GROUP_LINE_DETAIL": "GroupLineDetail",
}
"""Raw names that voided invoices were seen to carry (API file 4.7)."""

SHIPPING_ITEM = "SHIPPING_ITEM_ID"
TAXABLE, NON = "TAX", "NON"
"""Tax codes of lines; others are codes of rates, which ReliaBills has per invoice only."""

PAYING, CREDITING = "Invoice", "CreditMemo"
"""To what a line of a payment may be linked."""

_PARTLY_READ = "Change it in QuickBooks to something both systems have, or keep it out of the sync."

Values = tuple[Any, ...]
Rows = list[tuple[Any, ...]]


class MalformedError(ValueError):
    """A record is not what it should be; the message says which field holds what."""


@dataclass(slots=True)
class Lookups:
    """What records refer to but do not carry.

    Attributes:
        home_currency: currency of records that name none.
        rates: tax rates by id.
        agencies: tax agencies by id.
        methods: payment methods by id.
    """

    home_currency: str = "USD"
    rates: Mapping[str, TaxRate] = field(default_factory=dict)
    agencies: Mapping[str, TaxAgency] = field(default_factory=dict)
    methods: Mapping[str, PaymentMethod] = field(default_factory=dict)


def carried(record: Record) -> bool:
    """Whether a record is one of ours: categories and bundles are no products, TAX and NON no tax rates."""
    if isinstance(record, Item):
        return record.type not in NO_PRODUCTS
    if isinstance(record, TaxCode):
        return record.tax_group is True
    return True


def _text(value: str | None) -> str | None:
    return value or None


def id_of(reference: Ref | IdRef | None) -> str | None:
    """The id that a reference names; ``None`` when it names none."""
    return reference.value or None if reference is not None else None


def _updated(meta: MetaData | None) -> str | None:
    if meta is None or not meta.last_updated_time:
        return None
    try:
        moment = datetime.fromisoformat(meta.last_updated_time)
    except ValueError as error:
        raise MalformedError(f"LastUpdatedTime is {meta.last_updated_time!r}, which is no date and time") from error
    if moment.tzinfo is None:
        raise MalformedError(f"LastUpdatedTime {meta.last_updated_time!r} has no time zone")
    try:
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except OverflowError as error:
        raise MalformedError(
            f"LastUpdatedTime is {meta.last_updated_time!r}, which lies outside of all time"
        ) from error


def _name(value: str | None, *, active: bool) -> str | None:
    """QuickBooks appends " (deleted)" to the names of inactive list records (API file 4.0); it is no part of them."""
    if value and not active:
        return value.removesuffix(DELETED_SUFFIX) or None
    return value or None


def split_emails(address: str | None) -> tuple[str | None, str | None]:
    """The first of several comma-separated addresses, and the others comma-separated without blanks."""
    addresses = [part for part in (piece.strip() for piece in (address or "").split(",")) if part]
    return (addresses[0], ",".join(addresses[1:]) or None) if addresses else (None, None)


def join_emails(email: str | None, more: str | None) -> str:
    """All addresses as QuickBooks keeps them: ``join_emails("a@x.com", "b@x.com") == "a@x.com,b@x.com"``."""
    return ",".join(address for address in (email, more) if address)


def customer(record: Customer, lookups: Lookups, _findings: list[Finding]) -> tuple[Values, Rows]:
    """A customer, job or sub-customer."""
    active = record.active is not False
    email, more_emails = split_emails(record.primary_email_addr.address if record.primary_email_addr else None)
    address = record.bill_addr
    values = (
        record.id,
        record.sync_token,
        _updated(record.meta_data),
        _name(record.display_name, active=active),
        _text(record.company_name),
        _text(record.given_name),
        _text(record.family_name),
        email,
        more_emails,
        _text(record.primary_phone.free_form_number) if record.primary_phone else None,
        _text(address.line1) if address else None,
        _text(address.line2) if address else None,
        _text(address.city) if address else None,
        _text(address.country_sub_division_code) if address else None,
        _text(address.postal_code) if address else None,
        _text(address.country) if address else None,
        record.taxable,
        active,
        id_of(record.currency_ref) or lookups.home_currency,
        id_of(record.parent_ref),
        _name(record.fully_qualified_name, active=active),
    )
    return values, []


def product(record: Item, _lookups: Lookups, _findings: list[Finding]) -> tuple[Values, Rows]:
    """A service, non-inventory or inventory item."""
    active = record.active is not False
    values = (
        record.id,
        record.sync_token,
        _updated(record.meta_data),
        _name(record.name, active=active),
        _text(record.description),
        None if record.unit_price is None else to_scaled(record.unit_price),
        record.taxable,
        _text(record.sku),
        active,
        _text(record.type),
    )
    return values, []


def bundle_note(record: Item, currency: str) -> Finding:
    """The finding for a bundle, which stays in QuickBooks."""
    name = record.name or record.id
    return Finding(
        "product_bundle",
        Severity.NOTE,
        Entity.PRODUCT,
        Side.BOOKS,
        record.id,
        name,
        None,
        currency,
        f"{name} is a bundle; ReliaBills has no bundles, so it stays in QuickBooks alone.",
        "Nothing to do: invoices that use it are carried with the products it is made of.",
    )


def tax_rate(record: TaxCode, lookups: Lookups, _findings: list[Finding]) -> tuple[Values, Rows]:
    """A tax code that an invoice can name: the sum of its sales rates.

    Raises:
        MalformedError: it refers to a rate or agency that is not there, or taxes tax, so that no sum says it.
    """
    details = record.sales_tax_rate_list.tax_rate_detail if record.sales_tax_rate_list else []
    percent = 0
    agencies: dict[str, None] = {}
    components = []
    for detail in details:
        if detail.tax_type_applicable not in {None, "TaxOnAmount"}:
            raise MalformedError(f"one of its rates is of the kind {detail.tax_type_applicable!r}, not on the amount")
        rate = lookups.rates.get(id_of(detail.tax_rate_ref) or "")
        if rate is None or rate.rate_value is None:
            raise MalformedError(f"its rate {id_of(detail.tax_rate_ref)!r} is not in QuickBooks' list of tax rates")
        scaled = to_scaled(rate.rate_value)
        percent += scaled
        components.append(f"{rate.name or rate.id} {from_scaled(scaled)}")
        agency = lookups.agencies.get(id_of(rate.agency_ref) or "")
        if agency is not None and agency.display_name:
            agencies[agency.display_name] = None
    active = record.active is not False
    values = (
        record.id,
        record.sync_token,
        _updated(record.meta_data),
        _name(record.name, active=active),
        percent if details else None,
        " + ".join(agencies) or None,
        active,
        " + ".join(components) or None,
    )
    return values, []


@dataclass(slots=True)
class _Lines:
    """The lines of one invoice, added up."""

    rows: Rows = field(default_factory=list)
    taxable: int = 0
    nontaxable: int = 0
    any_taxable: bool = False
    bundle: bool = False
    discounts: list[Line] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)


def _flat(lines: list[Line], found: _Lines) -> Iterator[tuple[Line, str]]:
    for line in lines:
        kind = line.detail_type or ""
        kind = LINE_KINDS.get(kind, kind)
        if kind == "GroupLineDetail":
            found.bundle = True
            if line.group_line_detail is not None:
                yield from _flat(line.group_line_detail.line, found)
        elif kind != "SubTotalLineDetail":
            yield line, kind


def _collect(record: Invoice, currency: str) -> _Lines:
    found = _Lines()
    rows = found.rows
    for line, kind in _flat(record.line, found):
        if kind == "SalesItemLineDetail":
            detail = line.sales_item_line_detail
            amount = 0 if line.amount is None else to_minor(line.amount, currency)
            if detail is None:
                rows.append((record.id, len(rows) + 1, None, _text(line.description), None, None, amount, False))
                found.nontaxable += amount
                continue
            code = id_of(detail.tax_code_ref)
            taxable = code == TAXABLE
            if taxable:
                found.any_taxable = True
                found.taxable += amount
            else:
                found.nontaxable += amount
                if code not in {None, NON}:
                    found.strange.append(f"tax code {code!r} on line {len(rows) + 1}")
            item = id_of(detail.item_ref)
            rows.append(
                (
                    record.id,
                    len(rows) + 1,
                    None if item == SHIPPING_ITEM else item,
                    line.description or None,
                    None if detail.qty is None else to_scaled(detail.qty),
                    None if detail.unit_price is None else to_scaled(detail.unit_price),
                    amount,
                    taxable,
                )
            )
        elif kind == "DescriptionOnly":
            rows.append((record.id, len(rows) + 1, None, _text(line.description), None, None, 0, False))
        elif kind == "DiscountLineDetail":
            found.discounts.append(line)
        else:
            found.strange.append(f"a line of the kind {kind!r}")
    return found


def _discount(record: Invoice, found: _Lines, currency: str) -> tuple[int, Discount | None]:
    """Money taken off, and the discount in our words (``None``: they have none for it)."""
    amounts = [to_minor(line.amount, currency) for line in found.discounts if line.amount is not None]
    if not found.discounts:
        return 0, NO_DISCOUNT
    if len(found.discounts) > 1:
        return sum(amounts), None
    detail = found.discounts[0].discount_line_detail
    money = sum(amounts)
    tax_after = record.apply_tax_after_discount is True
    if detail is not None and detail.percent_based:
        percent = 0 if detail.discount_percent is None else to_scaled(detail.discount_percent)
        books = BooksDiscount(percent=percent, tax_after=tax_after)
    else:
        books = BooksDiscount(amount=money, tax_after=tax_after)
    taxed = record.txn_tax_detail is not None and (
        id_of(record.txn_tax_detail.txn_tax_code_ref) is not None or bool(record.txn_tax_detail.total_tax)
    )
    return money, decode(books, Parts(found.taxable, found.nontaxable, taxed=taxed))


def voided(note: str | None, total: Decimal | int | None) -> bool:
    """QuickBooks has no flag for it: the note begins with "Voided" and nothing is left of the amount (API 4.7)."""
    return note is not None and note.startswith(VOIDED_PREFIX) and not total


def state_of(void: bool, balance: int | None) -> str:  # noqa: FBT001 - two facts, in the order of their weight
    """The state of an invoice: *void*, *paid* when nothing is left of its balance, *open*."""
    return "void" if void else "paid" if balance == 0 else "open"


def invoice(record: Invoice, lookups: Lookups, findings: list[Finding]) -> tuple[Values, Rows]:
    """An invoice and its lines.

    Raises:
        MalformedError: it lacks its total.
        NotExactError: an amount is finer than its currency, or a price finer than seven decimals.
    """
    currency = id_of(record.currency_ref) or lookups.home_currency
    if record.total_amt is None:
        raise MalformedError("TotalAmt is missing")
    found = _collect(record, currency)
    discount_money, discount = _discount(record, found, currency)
    total = to_minor(record.total_amt, currency)
    tax = record.txn_tax_detail
    void = voided(record.private_note, record.total_amt)
    balance = None if record.balance is None else to_minor(record.balance, currency)
    known = discount or NO_DISCOUNT
    values = (
        record.id,
        record.sync_token,
        _updated(record.meta_data),
        _text(record.doc_number),
        id_of(record.customer_ref),
        _text(record.txn_date),
        _text(record.due_date),
        id_of(tax.txn_tax_code_ref) if tax is not None and found.any_taxable else None,
        known.percent,
        known.taxable,
        known.nontaxable,
        _text(record.customer_memo.value) if record.customer_memo else None,
        void,
        found.taxable + found.nontaxable,
        discount_money,
        0 if tax is None or tax.total_tax is None else to_minor(tax.total_tax, currency),
        total,
        balance,
        state_of(void, balance),
        currency,
        found.bundle,
    )
    if discount is None or found.strange or record.deposit or record.global_tax_calculation == "TaxInclusive":
        findings.extend(_invoice_findings(record, found, discount, total, currency))
    return values, found.rows


def _invoice_findings(
    record: Invoice, found: _Lines, discount: Discount | None, total: int, currency: str
) -> Iterator[Finding]:
    def held(check: str, sentence: str, remedy: str) -> Finding:
        return Finding(
            check,
            Severity.HOLD,
            Entity.INVOICE,
            Side.BOOKS,
            record.id,
            record.doc_number or "",
            total,
            currency,
            sentence,
            remedy,
            (record.customer_ref.name if record.customer_ref else None) or "",
        )

    number = record.doc_number or f"without number (id {record.id})"
    if discount is None:
        yield held(
            "invoice_discount_not_expressible",
            f"Invoice {number} takes a discount off after tax on taxable lines (or has several discounts); ReliaBills "
            "always computes tax on the discounted amount, so it has no discount that means the same.",
            "In QuickBooks, let the discount be taken before sales tax (or put it on non-taxable lines); then sync.",
        )
    for what in found.strange:
        yield held(
            "invoice_line_not_expressible",
            f"Invoice {number} has {what}; ReliaBills has nothing that means the same.",
            _PARTLY_READ,
        )
    if record.deposit:
        yield held(
            "invoice_deposit",
            f"Invoice {number} has a deposit of {record.deposit} recorded on the invoice itself; ReliaBills knows "
            "only payments.",
            "In QuickBooks, record the deposit as a payment instead; then sync.",
        )
    if record.global_tax_calculation == "TaxInclusive":
        yield held(
            "invoice_tax_inclusive",
            f"Invoice {number} has prices that include tax; ReliaBills adds tax to its prices.",
            _PARTLY_READ,
        )


_METHOD_NAMES = {
    "cash": "cash",
    "check": "check",
    "cheque": "check",
    "echeck": "echeck",
    "e-check": "echeck",
    "ach": "echeck",
    "credit card": "card",
    "card": "card",
}


def payment_method(method: PaymentMethod | None, name: str | None = None) -> str:
    """Our word for a QuickBooks payment method: its type says card, its name the others, anything else is *other*."""
    if method is not None and method.type == "CREDIT_CARD":
        return "card"
    known = (method.name if method is not None else name) or ""
    return _METHOD_NAMES.get(known.strip().lower(), "other")


def method_of(reference: Ref | None, lookups: Lookups) -> str | None:
    """Our word for the payment method that a payment names; ``None`` when it names none."""
    if reference is None or not reference.value:
        return None
    return payment_method(lookups.methods.get(reference.value), reference.name)


def _payment_finding(record: Payment, what: str, amount: int, currency: str) -> Finding:
    return Finding(
        "payment_links_not_expressible",
        Severity.HOLD,
        Entity.PAYMENT,
        Side.BOOKS,
        record.id,
        record.payment_ref_num or "",
        amount,
        currency,
        f"The payment of {record.total_amt} on {record.txn_date or 'no date'} has {what}; ReliaBills knows only "
        "payments of invoices and credits.",
        "In QuickBooks, settle the other transaction separately, so that this payment pays invoices only.",
        (record.customer_ref.name if record.customer_ref else None) or "",
    )


def payment(record: Payment, lookups: Lookups, findings: list[Finding]) -> tuple[Values, Rows]:
    """A payment and the invoices it pays.

    Raises:
        MalformedError: it lacks its amount.
        NotExactError: an amount is finer than its currency.
    """
    currency = id_of(record.currency_ref) or lookups.home_currency
    if record.total_amt is None:
        raise MalformedError("TotalAmt is missing")
    amount = to_minor(record.total_amt, currency)
    credit = 0
    rows: Rows = []
    strange: list[str] = []
    for line in record.line:
        money = 0 if line.amount is None else to_minor(line.amount, currency)
        links = line.linked_txn
        if len(links) != 1:
            strange.append(f"a line linked to {len(links)} transactions" if links else "a line linked to nothing")
        elif links[0].txn_type == PAYING:
            rows.append((record.id, len(rows) + 1, links[0].txn_id, money))
        elif links[0].txn_type == CREDITING:
            credit += money
        else:
            strange.append(f"a line linked to a {links[0].txn_type or 'transaction of no kind'}")
    values = (
        record.id,
        record.sync_token,
        _updated(record.meta_data),
        id_of(record.customer_ref),
        _text(record.txn_date),
        amount,
        credit,
        method_of(record.payment_method_ref, lookups),
        _text(record.payment_ref_num),
        voided(record.private_note, record.total_amt),
        None if record.unapplied_amt is None else to_minor(record.unapplied_amt, currency),
        currency,
        any(link.txn_type == "Deposit" for link in record.linked_txn),
    )
    findings.extend(_payment_finding(record, what, amount, currency) for what in strange)
    return values, rows


READERS: dict[Entity, Callable[[Any, Lookups, list[Finding]], tuple[Values, Rows]]] = {
    Entity.CUSTOMER: customer,
    Entity.PRODUCT: product,
    Entity.TAX_RATE: tax_rate,
    Entity.INVOICE: invoice,
    Entity.PAYMENT: payment,
}
"""The function that reads each entity."""


def unreadable(entity: Entity, record_id: str, label: str, why: str, currency: str) -> Finding:
    """The finding for a record that is not what it should be; ``why`` names the field and what it holds."""
    return Finding(
        "record_unreadable",
        Severity.HOLD,
        entity,
        Side.BOOKS,
        record_id,
        label,
        None,
        currency,
        f"The {entity.singular} {label or record_id or 'without id'} could not be read from QuickBooks: {why}.",
        "Open it in QuickBooks, mend that field and save it; until then it and what depends on it wait.",
    )


def read(entity: Entity, record: Record, lookups: Lookups, findings: list[Finding]) -> tuple[Values, Rows]:
    """A record of any entity.

    Raises:
        MalformedError: it is not what it should be; no finding is appended then.
    """
    said: list[Finding] = []
    try:
        values, rows = READERS[entity](record, lookups, said)
    except NotExactError as error:
        raise MalformedError(str(error)) from error
    if any(type(value) is int and abs(value) > INT64_MAX for value in values):
        raise MalformedError("the amounts of its lines add up to more than any account holds")
    findings += said
    return values, rows


def fields_of(entity: Entity, record: Record, lookups: Lookups) -> dict[str, Any]:
    """One record as a mapping: its fields, and its child rows as a list of dictionaries.

    Raises:
        MalformedError: it is not what it should be.
    """
    values, rows = read(entity, record, lookups, [])
    fields = dict(zip(COLUMNS[entity], values, strict=True))
    for name in _HEAD:
        del fields[name]
    if entity in ROWS_COLUMN:
        fields[ROWS_COLUMN[entity]] = [dict(zip(ROW_NAMES[entity][2:], row[2:], strict=True)) for row in rows]
    return fields
