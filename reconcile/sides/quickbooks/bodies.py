"""From our words to QuickBooks' requests: pure functions, one per entity.

Every update is sparse: what is not named stays. Lists are the exception, a list that is sent replaces the list (API
file 4.0), so an invoice that changes its lines or its discount sends all of them, made from the record as it is now.
What cannot be said in QuickBooks raises :class:`CannotWriteError`; nothing is cut, rounded or left out silently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

from reconcile.model.money import from_minor, from_scaled, line_amount, show
from reconcile.sides.quickbooks.discounts import BooksDiscount, Discount, Parts, encode
from reconcile.sides.quickbooks.mapping import LINE_KINDS, join_emails

LONGEST_REFERENCE = 21
"""Most characters of a payment's reference number (API file 4.9)."""

ADDRESS = {
    "address_line1": "Line1",
    "address_line2": "Line2",
    "city": "City",
    "region": "CountrySubDivisionCode",
    "postal_code": "PostalCode",
    "country": "Country",
}
DISCOUNT_FIELDS = ("discount_percent", "discount_taxable", "discount_nontaxable")
_CUSTOMER_TEXTS = {
    "display_name": "DisplayName",
    "company_name": "CompanyName",
    "given_name": "GivenName",
    "family_name": "FamilyName",
}
_PRODUCT_TEXTS = {"name": "Name", "description": "Description", "sku": "Sku"}
_NEVER_BLANK = {
    "display_name": "a display name",
    "name": "a name",
    "invoice_date": "an invoice date",
    "due_date": "a due date",
    "payment_date": "a payment date",
    "number": "a number",
    "customer_id": "a customer",
    "amount": "an amount",
}

Body = dict[str, Any]
Fields = Mapping[str, Any]


class CannotWriteError(ValueError):
    """QuickBooks has no way to hold this; the message says what and what to do. Nothing was sent."""


def head(record_id: str, version: str) -> Body:
    """The beginning of every update."""
    return {"Id": record_id, "SyncToken": version, "sparse": True}


def customer(fields: Fields, context: Fields, current: Fields | None, *, creating: bool) -> Body:
    """A customer's request, from the fields to set.

    Args:
        fields: what to set; for a creation everything.
        context: the whole record as it will be.
        current: the record as QuickBooks has it (raw), needed when a part of the address changes.
        creating: whether there is no such record yet; then blank fields are not sent.
    """
    body = _texts(_named(fields, context, "display_name"), _CUSTOMER_TEXTS, creating=creating)
    if "email" in fields or "more_emails" in fields:
        whole = {**context, **fields}
        address = join_emails(whole.get("email"), whole.get("more_emails"))
        if address or not creating:
            body["PrimaryEmailAddr"] = {"Address": address}
    if "phone" in fields and (fields["phone"] or not creating):
        body["PrimaryPhone"] = {"FreeFormNumber": fields["phone"] or ""}
    lines = {name: fields[ours] or "" for ours, name in ADDRESS.items() if ours in fields}
    if current is not None and lines:
        body["BillAddr"] = {**_address(current), **lines}
    elif any(lines.values()):
        body["BillAddr"] = {name: text for name, text in lines.items() if text}
    return body | _flags(fields)


def _address(current: Fields) -> Body:
    """The address as it is, without what QuickBooks computes: lines beyond the second are kept."""
    return {name: text for name, text in (current.get("BillAddr") or {}).items() if name not in {"Lat", "Long"}}


def product(fields: Fields, context: Fields, *, creating: bool) -> Body:
    """A product's request, from the fields to set; stock and accounts are never part of it."""
    body = _texts(_named(fields, context, "name"), _PRODUCT_TEXTS, creating=creating)
    if "unit_price" in fields and (fields["unit_price"] is not None or not creating):
        if fields["unit_price"] is None:
            raise CannotWriteError("QuickBooks always has a price for a product. Enter a price (0 if it has none).")
        body["UnitPrice"] = from_scaled(fields["unit_price"])
    return body | _flags(fields)


def _named(fields: Fields, context: Fields, name: str) -> Fields:
    """The fields with the name, when the record becomes active again: QuickBooks may have marked it as deleted."""
    return {name: context[name], **fields} if fields.get("active") and context.get(name) else fields


def _texts(fields: Fields, names: Mapping[str, str], *, creating: bool = False) -> Body:
    body: Body = {}
    for ours, theirs in names.items():
        if ours in fields:
            if not fields[ours] and ours in _NEVER_BLANK:
                raise CannotWriteError(f"QuickBooks needs {_NEVER_BLANK[ours]} here, and there is none. Fill it in.")
            if fields[ours] or not creating:
                body[theirs] = fields[ours] or ""
    return body


def _flags(fields: Fields) -> Body:
    flags = {"taxable": "Taxable", "active": "Active"}
    return {theirs: bool(fields[ours]) for ours, theirs in flags.items() if fields.get(ours) is not None}


def tax_code(fields: Fields, agency_id: str) -> Body:
    """The request to QuickBooks' tax service for a new code of one new rate."""
    if not fields.get("name") or fields.get("percent") is None:
        raise CannotWriteError("A tax rate needs a name and a percentage in QuickBooks. Fill them in.")
    return {
        "TaxCode": fields["name"],
        "TaxRateDetails": [
            {
                "TaxRateName": fields["name"],
                "RateValue": str(from_scaled(fields["percent"])),
                "TaxAgencyId": agency_id,
                "TaxApplicableOn": "Sales",
            }
        ],
    }


@dataclass(frozen=True, slots=True)
class Money:
    """How amounts of a record are written."""

    currency: str

    def amount(self, minor: int) -> Decimal:
        """Minor units as QuickBooks' amount."""
        return from_minor(minor, self.currency)


class Untaxed(Enum):
    """How an invoice with taxable lines and no tax rate is said, which depends on the company's sales tax settings."""

    PLAIN = "without a word: nothing is taxed unless a rate is named"
    ZERO = "by a tax of zero: the automated engine would find a rate of its own"
    IMPOSSIBLE = "not at all: the company's default rate would be charged"


def invoice(
    fields: Fields,
    context: Fields,
    current: Fields | None,
    currency: str,
    *,
    creating: bool,
    untaxed: Untaxed = Untaxed.PLAIN,
) -> Body:
    """An invoice's request, from the fields to set.

    Args:
        fields: what to set; for a creation everything.
        context: the whole invoice as it will be.
        current: the invoice as QuickBooks has it (raw), needed when its lines, discount or tax change.
        currency: of its amounts.
        creating: whether there is no such invoice yet.
        untaxed: how to say that taxable lines bear no tax.

    Raises:
        CannotWriteError: a line or the discount cannot be said in QuickBooks.
    """
    body: Body = {}
    for ours, theirs in {"number": "DocNumber", "invoice_date": "TxnDate", "due_date": "DueDate"}.items():
        if ours in fields and not (creating and ours == "due_date" and not fields[ours]):
            if not fields[ours]:
                raise CannotWriteError(f"An invoice needs {_NEVER_BLANK[ours]} in QuickBooks. Fill it in.")
            body[theirs] = fields[ours]
    if "customer_id" in fields:
        if not creating:
            raise CannotWriteError("An invoice's customer cannot be changed. Void it and make a new one.")
        if not fields["customer_id"]:
            raise CannotWriteError("An invoice needs a customer in QuickBooks.")
        body["CustomerRef"] = {"value": fields["customer_id"]}
    if "memo" in fields and (fields["memo"] or not creating):
        body["CustomerMemo"] = {"value": fields["memo"] or ""}
    whole = {**context, **fields}
    relined = "lines" in fields or any(name in fields for name in DISCOUNT_FIELDS)
    if relined:
        body |= _lines_and_discount(fields, whole, current, Money(currency))
    if relined or "tax_rate_id" in fields:
        body |= _tax(whole, current, body.get("Line"), untaxed)
    return body


def _lines_and_discount(fields: Fields, whole: Fields, current: Fields | None, money: Money) -> Body:
    before = (
        [] if current is None else [line for line in current.get("Line") or [] if _kind(line) != "SubTotalLineDetail"]
    )
    kept = [line for line in before if _kind(line) != "DiscountLineDetail"]
    rows: Sequence[Fields] = whole.get("lines") or []
    if "lines" in fields:
        if any(_kind(line) == "GroupLineDetail" for line in kept):
            raise CannotWriteError(
                "This invoice has a bundle in QuickBooks; its lines can only be changed there, where the bundle is."
            )
        lines = [_line(row, position, kept, money) for position, row in enumerate(rows)]
        if not lines:
            raise CannotWriteError("An invoice needs at least one line in QuickBooks. Add one.")
    else:
        lines = [dict(line) for line in kept]
    discount = Discount(*(whole.get(name) for name in DISCOUNT_FIELDS))
    taxable = sum(row["amount"] or 0 for row in rows if row["taxable"])
    parts = Parts(
        taxable, sum(row["amount"] or 0 for row in rows) - taxable, taxed=whole.get("tax_rate_id") is not None
    )
    encoded = encode(discount, parts)
    if encoded is None:
        raise CannotWriteError(_no_such_discount(discount, parts, money.currency))
    body: Body = {"Line": lines}
    if not discount.none:
        template = next((line for line in before if _kind(line) == "DiscountLineDetail"), None)
        lines.append(_discount_line(encoded, template, money))
        body["ApplyTaxAfterDiscount"] = encoded.tax_after
    return body


def _kind(line: Fields) -> str:
    kind = str(line.get("DetailType") or "")
    return LINE_KINDS.get(kind, kind)


def _line(row: Fields, position: int, kept: Sequence[Fields], money: Money) -> Body:
    """One line: made from the line that stands at this position, so that its id and all else it has stay."""
    old = kept[position] if position < len(kept) else {}
    amount: int = row["amount"] or 0
    where = f"Line {position + 1}" + (f" ({row['description']})" if row["description"] else "")
    if row["product_id"] is None:
        return _line_without_product(row, old, amount, where, money)
    base: Body = dict(old) if _kind(old) == "SalesItemLineDetail" else _only_id(old)
    detail = dict(base.get("SalesItemLineDetail") or {})
    if (detail.get("ItemRef") or {}).get("value") != row["product_id"]:
        detail.pop("ItemAccountRef", None)  # the account of another product
        detail["ItemRef"] = {"value": row["product_id"]}
    for ours, theirs in {"quantity": "Qty", "unit_price": "UnitPrice"}.items():
        if row[ours] is None:
            detail.pop(theirs, None)
        else:
            detail[theirs] = from_scaled(row[ours])
    _check_amount(row, amount, where, money.currency)
    detail["TaxCodeRef"] = {"value": "TAX" if row["taxable"] else "NON"}
    return {
        **base,
        **_description(row, base),
        "Amount": money.amount(amount),
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": detail,
    }


def _check_amount(row: Fields, amount: int, where: str, currency: str) -> None:
    if row["quantity"] is None or row["unit_price"] is None:
        return
    computed = line_amount(row["quantity"], row["unit_price"], currency)
    if computed != amount:
        raise CannotWriteError(
            f"{where}: {from_scaled(row['quantity'])} x {from_scaled(row['unit_price'])} is "
            f"{show(computed, currency)}, but the line says {show(amount, currency)}; QuickBooks refuses such a line. "
            "Correct quantity, price or amount."
        )


def _description(row: Fields, old: Fields) -> Body:
    return {"Description": row["description"] or ""} if row["description"] or old.get("Description") else {}


def _only_id(old: Fields) -> Body:
    return {"Id": old["Id"]} if "Id" in old else {}


def _line_without_product(row: Fields, old: Fields, amount: int, where: str, money: Money) -> Body:
    detail = old.get("SalesItemLineDetail") or {}
    if _kind(old) == "SalesItemLineDetail" and _productless(detail) and old.get("Amount") == money.amount(amount):
        code = {"TaxCodeRef": {"value": "TAX" if row["taxable"] else "NON"}}
        return {**old, **_description(row, old), "SalesItemLineDetail": {**detail, **code}}
    if amount or row["quantity"] is not None or row["unit_price"] is not None:
        raise CannotWriteError(
            f"{where} has no product; QuickBooks needs one for every line with an amount, a quantity or a price. "
            "Choose a product for the line, then sync again."
        )
    base = dict(old) if _kind(old) == "DescriptionOnly" else _only_id(old)
    return {
        **base,
        **_description(row, base),
        "DetailType": "DescriptionOnly",
        "DescriptionLineDetail": base.get("DescriptionLineDetail") or {},
    }


def _productless(detail: Fields) -> bool:
    return not (detail.get("ItemRef") or {}).get("value") or detail["ItemRef"]["value"] == "SHIPPING_ITEM_ID"


def _discount_line(encoded: BooksDiscount, template: Fields | None, money: Money) -> Body:
    account = (template or {}).get("DiscountLineDetail", {}).get("DiscountAccountRef")
    detail: Body = {"PercentBased": encoded.percent is not None}
    line: Body = {**_only_id(template or {}), "DetailType": "DiscountLineDetail", "DiscountLineDetail": detail}
    if account:
        detail["DiscountAccountRef"] = account
    if encoded.percent is not None:
        detail["DiscountPercent"] = from_scaled(encoded.percent)
    elif encoded.amount is not None:
        line["Amount"] = money.amount(encoded.amount)
    return line


def _no_such_discount(discount: Discount, parts: Parts, currency: str) -> str:
    said = [
        f"{from_scaled(discount.percent)} percent" if discount.percent else "",
        f"{show(discount.taxable, currency)} off the taxable part" if discount.taxable else "",
        f"{show(discount.nontaxable, currency)} off the non-taxable part" if discount.nontaxable else "",
    ]
    return (
        f"The discount ({' and '.join(filter(None, said))}) on lines of {show(parts.taxable, currency)} taxable and "
        f"{show(parts.nontaxable, currency)} non-taxable would give another tax in QuickBooks, whatever way it is "
        "entered there. Use a percentage, or an amount off the kind of lines that alone are on the invoice."
    )


def _tax(whole: Fields, current: Fields | None, lines: Sequence[Fields] | None, untaxed: Untaxed) -> Body:
    """The tax code alone, so that QuickBooks computes the tax."""
    if whole.get("tax_rate_id"):
        return {"TxnTaxDetail": {"TxnTaxCodeRef": {"value": whole["tax_rate_id"]}}}
    before = current or {}
    tax = before.get("TxnTaxDetail") or {}
    said = lines if lines is not None else before.get("Line") or []
    taxable = any(
        ((line.get("SalesItemLineDetail") or {}).get("TaxCodeRef") or {}).get("value") == "TAX" for line in said
    )
    # a tax without a code was found by QuickBooks itself, which will find it again
    if not taxable or (tax.get("TotalTax") and not tax.get("TxnTaxCodeRef")):
        return {}
    if untaxed is Untaxed.PLAIN and not tax.get("TxnTaxCodeRef"):
        return {}
    if untaxed is not Untaxed.IMPOSSIBLE:
        return {"TxnTaxDetail": {"TotalTax": Decimal(0)}}  # what is not sent stays: a code has to be replaced
    raise CannotWriteError(
        "The invoice has taxable lines but no tax rate; QuickBooks would charge the company's default rate. Choose a "
        "tax rate for the invoice, or mark its lines as not taxable."
    )


def payment(fields: Fields, context: Fields, current: Fields | None, currency: str, *, creating: bool) -> Body:
    """A payment's request, from the fields to set.

    Args:
        fields: what to set, for a creation everything; ``method_id`` is the payment method to name, if any.
        context: the whole payment as it will be.
        current: the payment as QuickBooks has it (raw), needed when its applications change.
        currency: of its amounts.
        creating: whether there is no such payment yet.

    Raises:
        CannotWriteError: it would need a credit memo, or its reference is too long.
    """
    money = Money(currency)
    whole = {**context, **fields}
    _check_payment(fields, whole, currency, creating=creating)
    body: Body = {"CustomerRef": {"value": whole["customer_id"]}, "TotalAmt": money.amount(whole["amount"])}
    if "payment_date" in fields:
        body["TxnDate"] = fields["payment_date"]
    if "reference" in fields and (fields["reference"] or not creating):
        body["PaymentRefNum"] = fields["reference"] or ""
    if fields.get("method_id"):
        body["PaymentMethodRef"] = {"value": fields["method_id"]}
    if "applications" in fields:
        body["Line"] = [
            {
                "Amount": money.amount(row["amount"]),
                "LinkedTxn": [{"TxnId": row["invoice_id"], "TxnType": "Invoice"}],
            }
            for row in fields["applications"] or []
        ] + _other_links(current or {})
    return body


def _check_payment(fields: Fields, whole: Fields, currency: str, *, creating: bool) -> None:
    if "credit" in fields and (fields["credit"] or not creating):
        raise CannotWriteError(
            f"The credit of {show(fields['credit'] or 0, currency)} cannot be made in QuickBooks from here. Enter the "
            "credit memo in QuickBooks and apply it to the invoice there."
        )
    if not creating and "customer_id" in fields:
        raise CannotWriteError("A payment's customer cannot be changed. Void it and record a new one.")
    for name, missing in {"customer_id": not whole.get("customer_id"), "amount": whole.get("amount") is None}.items():
        if missing:
            raise CannotWriteError(f"A payment needs {_NEVER_BLANK[name]} in QuickBooks. Fill it in.")
    if "payment_date" in fields and not fields["payment_date"]:
        raise CannotWriteError("A payment needs a date in QuickBooks. Fill it in.")
    reference = fields.get("reference") or ""
    if len(reference) > LONGEST_REFERENCE:
        raise CannotWriteError(
            f"The payment's reference {reference!r} has {len(reference)} characters; QuickBooks holds "
            f"{LONGEST_REFERENCE}. Shorten it, then sync again."
        )


def _other_links(current: Fields) -> list[Body]:
    """The lines of a payment that are not ours to change: credit memos and the like."""
    return [
        {"Amount": line.get("Amount"), "LinkedTxn": links}
        for line in current.get("Line") or []
        if (links := line.get("LinkedTxn") or []) and any(link.get("TxnType") != "Invoice" for link in links)
    ]
