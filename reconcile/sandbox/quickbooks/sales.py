"""Sales forms: invoices, credit memos, sales receipts, refund receipts and estimates.

What the client sends are lines; subtotal, discount, tax, total and balance are worked out here as QuickBooks does.
"""

import calendar
import re
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from reconcile.sandbox.quickbooks import faults, payments, stock
from reconcile.sandbox.quickbooks.clock import parse_date, stamp
from reconcile.sandbox.quickbooks.entities import RESOURCES, Resource
from reconcile.sandbox.quickbooks.faults import FaultError, Problem
from reconcile.sandbox.quickbooks.links import (
    IN_DEPOSIT,
    applied,
    check_deposited,
    check_period,
    mark_voided,
    move_balances,
    set_open_amount,
    undeposited,
)
from reconcile.sandbox.quickbooks.numbers import HUNDRED, ZERO, JsonObject, amount, as_decimal, cents, plain
from reconcile.sandbox.quickbooks.state import SHIPPING_ITEM, CompanyState, keep_currency, merged, money_of, references
from reconcile.sandbox.quickbooks.store import Record
from reconcile.sandbox.quickbooks.taxes import rates_of, tax_detail, tax_on_line

_MOST_LINES: Final = 10_000
_MOST_TAXED_LINES: Final = 750
_PRICE_STEP: Final = Decimal("0.0000001")
_SETTLED_BY_PAYMENTS: Final = frozenset({"Invoice", "CreditMemo"})
_WITH_DUE_DATE: Final = frozenset({"Invoice"})
_DIGITS_AT_END: Final = re.compile(r"^(.*?)(\d+)$", re.DOTALL)
_REFUND_ACCOUNTS: Final = frozenset({"Bank", "Other Current Asset"})
_CUSTOM_FIELDS: Final = frozenset({"1", "2", "3"})
_ESTIMATED: Final = "Estimate"
NUMBERED: Final = ("Invoice", "CreditMemo", "SalesReceipt", "RefundReceipt")


def create(
    state: CompanyState, resource: Resource, cleaned: JsonObject, *, allow_duplicate_number: bool = False
) -> JsonObject:
    """Make a sales form."""
    body = {name: value for name, value in cleaned.items() if value != "" and name not in {"Id", "SyncToken", "sparse"}}
    state.resolve(resource, body)
    body["LinkedTxn"] = _links(state, resource, {}, body)
    _require(state, resource, body)
    _set_defaults(state, resource, body)
    _set_number(state, resource, body)
    _check_number(state, resource, body, "", allow_duplicate_number=allow_duplicate_number)
    check_period(state, body)
    _compute(state, resource, body, ())
    if resource.name in _SETTLED_BY_PAYMENTS:
        set_open_amount(state, resource.name, body)
    stored = state.add(resource, body)
    move_balances(state, resource.name, None, stored)
    _follow(state, resource, None, stored)
    if number := stored.get("DocNumber"):
        state.store.set_mark(_sequence(state, resource), str(number))
    if resource.name in _SETTLED_BY_PAYMENTS and state.switches.auto_apply and stored.get("CustomerRef"):
        payments.use_credits(state, stored)
    return stored


def _follow(state: CompanyState, resource: Resource, before: JsonObject | None, after: JsonObject | None) -> None:
    """What a form changes elsewhere: stock, and the estimates that an invoice was made from."""
    stock.move(state, resource.name, before, after)
    if resource.name != "Invoice" or not state.switches.estimate_follows_invoice:
        return
    old, new = _estimates(before), _estimates(after)
    invoice = {"TxnId": str((after or before or {})["Id"]), "TxnType": "Invoice"}
    for estimate_id in old ^ new:
        record = state.store.get("Estimate", estimate_id)
        if record is None:
            continue
        body = record.body()
        links = [link for link in body.get("LinkedTxn", ()) if link != invoice]
        body["LinkedTxn"] = [*links, invoice] if estimate_id in new else links
        body["TxnStatus"] = "Closed" if body["LinkedTxn"] else "Accepted"
        state.change(RESOURCES["Estimate"], body)


def _estimates(body: JsonObject | None) -> set[str]:
    links = (body or {}).get("LinkedTxn", ())
    return {str(link["TxnId"]) for link in links if link.get("TxnType") == "Estimate"}


def update(
    state: CompanyState, resource: Resource, cleaned: JsonObject, *, allow_duplicate_number: bool = False
) -> JsonObject:
    """Change a sales form, wholly or sparsely."""
    record = state.current(resource.name, cleaned)
    stored = record.body()
    check_deposited(state, resource.name, record.id)
    state.resolve(resource, cleaned, frozenset(references(resource.properties, stored)))
    body = merged(resource, stored, cleaned)
    keep_currency(body, stored)
    body["LinkedTxn"] = _links(state, resource, stored, cleaned)
    if cleaned.get("sparse") and "TxnTaxDetail" not in cleaned and "Line" in cleaned:
        body["TxnTaxDetail"] = {
            key: value for key, value in (stored.get("TxnTaxDetail") or {}).items() if key == "TxnTaxCodeRef"
        }
    _require(state, resource, body)
    _set_defaults(state, resource, body)
    if body.get("DocNumber") != stored.get("DocNumber"):
        _check_number(state, resource, body, record.id, allow_duplicate_number=allow_duplicate_number)
    check_period(state, stored, body)
    _compute(state, resource, body, tuple(_line_ids(stored.get("Line", ()))))
    if resource.name in _SETTLED_BY_PAYMENTS:
        _keep_applied(state, resource, stored, body)
    changed = state.change(resource, body)
    move_balances(state, resource.name, stored, changed)
    _follow(state, resource, stored, changed)
    return changed


def void(state: CompanyState, resource: Resource, cleaned: JsonObject) -> JsonObject:
    """Void a form: it stays, with nothing in it; payments become unapplied."""
    record = state.current(resource.name, cleaned)
    check_deposited(state, resource.name, record.id)
    check_period(state, record.body())
    _release(state, resource, record, "void")
    stored = state.record(resource.name, record.id).body()
    body = state.record(resource.name, record.id).body()
    # recordings of receipts keep the line of the subtotal, those of invoices do not
    gone = "SubTotalLineDetail" if resource.name == "Invoice" else ""
    body["Line"] = [_voided_line(line) for line in body.get("Line", ()) if line.get("DetailType") != gone]
    for name in ("TotalAmt", "Balance", "RemainingCredit", "HomeTotalAmt", "HomeBalance", "Deposit"):
        if name in body:
            body[name] = 0
    body["TotalAmt"] = 0
    body["TxnTaxDetail"] = {"TotalTax": 0}
    body["LinkedTxn"] = []
    body["SyncToken"] = record.sync_token
    mark_voided(body)
    changed = state.change(resource, body)
    move_balances(state, resource.name, stored, changed)
    _follow(state, resource, stored, changed)
    return changed


def delete(state: CompanyState, resource: Resource, cleaned: JsonObject) -> JsonObject:
    """Delete a form; payments become unapplied."""
    record = state.current(resource.name, cleaned)
    check_deposited(state, resource.name, record.id)
    check_period(state, record.body())
    _release(state, resource, record, "delete")
    stored = state.record(resource.name, record.id).body()
    answer = state.remove(resource, record)
    move_balances(state, resource.name, stored, None)
    _follow(state, resource, stored, None)
    return answer


def send(state: CompanyState, resource: Resource, record: Record, address: str) -> JsonObject:
    """Send a form by mail: nothing leaves this machine, but the form says that it was sent."""
    body = record.body()
    if address:
        if "@" not in address or "." not in address:
            raise FaultError(faults.invalid_email(address, "sendTo"))
        body["BillEmail"] = {"Address": address}
    if not (body.get("BillEmail") or {}).get("Address"):
        raise faults.one(
            6420, "Email Address Required", "An email address is required to send this transaction.", "BillEmail"
        )
    if resource.name != "RefundReceipt":
        body["EmailStatus"] = "EmailSent"
    body["DeliveryInfo"] = {"DeliveryType": "Email", "DeliveryTime": stamp(state.now())}
    # A payment is sent as well, but has no properties that would tell of it.
    body = {name: value for name, value in body.items() if name in resource.properties}
    return state.change(resource, body, token=state.switches.send_moves_sync_token)


def opening_invoice(state: CompanyState, customer: JsonObject, opening: Decimal, day: str) -> None:
    """The invoice that stands for the opening balance of a new customer."""
    equity = [
        record for record in state.store.all("Account") if record.facts.get("accountsubtype") == "OpeningBalanceEquity"
    ]
    detail: JsonObject = {"ItemAccountRef": {"value": equity[0].id}} if equity else {"ItemAccountRef": {"value": "1"}}
    line = {
        "Description": "Opening Balance",
        "Amount": amount(opening),
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": detail,
    }
    request: JsonObject = {"CustomerRef": {"value": customer["Id"]}, "TxnDate": day, "Line": [line]}
    create(state, RESOURCES["Invoice"], request, allow_duplicate_number=True)


# Required and defaulted ------------------------------------------------------------------------------------------


def _require(state: CompanyState, resource: Resource, body: JsonObject) -> None:
    lines = [line for line in body.get("Line", ()) if line.get("DetailType") != "SubTotalLineDetail"]
    if not lines:
        raise FaultError(faults.required("Line"))
    if not body.get("CustomerRef") and resource.name not in {"RefundReceipt", "SalesReceipt"}:
        if state.switches.missing_customer == faults.required("CustomerRef").code:
            raise FaultError(faults.required("CustomerRef"))
        raise faults.business("You must select a customer for this transaction.")
    if resource.name == "RefundReceipt":
        ref = body.get("DepositToAccountRef")
        if not ref:
            raise FaultError(faults.required("DepositToAccountRef"))
        if state.record("Account", str(ref["value"])).facts.get("accounttype") not in _REFUND_ACCOUNTS:
            raise faults.business("You need to select a different type of account for this transaction.")
        if body.get("PrintStatus") == "PrintComplete" and not body.get("PaymentRefNum"):
            raise FaultError(faults.required("PaymentRefNum"))
    if body.get("EmailStatus") == "NeedToSend" and not (body.get("BillEmail") or {}).get("Address"):
        raise faults.one(
            6420, "Email Address Required", "BillEmail is required when EmailStatus is NeedToSend.", "BillEmail"
        )


def _set_defaults(state: CompanyState, resource: Resource, body: JsonObject) -> None:
    body.setdefault("TxnDate", state.today().isoformat())
    customer = _customer(state, body)
    inherited = ["BillAddr", "ShipAddr"]
    if state.switches.customer_term_applies and resource.name in _WITH_DUE_DATE:
        inherited.append("SalesTermRef")
    for name in inherited:
        if name not in body and name in (customer or {}):
            body[name] = (customer or {})[name]
    state.give_address_ids(body, "BillAddr", "ShipAddr")
    _set_currency(state, body, customer)
    if resource.name in _WITH_DUE_DATE and "DueDate" not in body:
        body["DueDate"] = _due_date(state, body).isoformat()
    for name, value in _form_defaults(resource).items():
        body.setdefault(name, value)
    body["CustomField"] = _custom_fields(state, body["CustomField"])
    if resource.name in {"SalesReceipt", "RefundReceipt"}:
        body["Balance"] = 0
    if resource.name == "RefundReceipt" and body["PrintStatus"] == "NeedToPrint":
        body["PaymentRefNum"] = "To Print"
    if resource.name == "SalesReceipt" and not body.get("DepositToAccountRef") and (account := undeposited(state)):
        body["DepositToAccountRef"] = account
    if state.country == "US":
        body.pop("GlobalTaxCalculation", None)
    else:
        body.setdefault("GlobalTaxCalculation", "TaxExcluded")


def _form_defaults(resource: Resource) -> JsonObject:
    defaults: JsonObject = {
        "ApplyTaxAfterDiscount": False,
        "PrintStatus": "NeedToPrint",
        "EmailStatus": "NotSet",
        "CustomField": [],
        "LinkedTxn": [],
    }
    if resource.name == "Invoice":
        flags = ("IPN", "Online", "OnlineCreditCard", "OnlineACH")
        defaults |= {f"Allow{flag}Payment": False for flag in flags}
        defaults |= {"Deposit": 0}
    if resource.name == "Estimate":
        defaults |= {"TxnStatus": "Pending"}
    if resource.name == "RefundReceipt":
        del defaults["EmailStatus"]
    return defaults


def _custom_fields(state: CompanyState, given: list[JsonObject]) -> list[JsonObject]:
    """The fields that the company has defined, empty ones included; others are not kept.

    Raises:
        FaultError: 3000 for a field that no company can have.
    """
    values: dict[str, str] = {}
    for entry in given:
        definition = str(entry.get("DefinitionId", ""))
        if definition not in _CUSTOM_FIELDS:
            detail = f"Custom Field Invalid : there is no custom field with the DefinitionId {definition or 'empty'}."
            raise faults.one(3000, "Custom Field Invalid", detail, "CustomField")
        values[definition] = str(entry.get("StringValue", ""))
    fields = []
    for definition, name in state.custom_fields().items():
        field: JsonObject = {"DefinitionId": definition, "Name": name, "Type": "StringType"}
        fields.append({**field, "StringValue": values[definition]} if values.get(definition) else field)
    return fields


def _customer(state: CompanyState, body: JsonObject) -> JsonObject | None:
    ref = body.get("CustomerRef")
    return state.record("Customer", str(ref["value"])).body() if ref else None


def _set_currency(state: CompanyState, body: JsonObject, customer: JsonObject | None) -> None:
    expected: JsonObject = (customer or {}).get("CurrencyRef") or state.currency_ref()
    if state.multicurrency and not body.get("CurrencyRef"):
        raise FaultError(faults.required("CurrencyRef"))
    given: JsonObject = body.setdefault("CurrencyRef", expected)
    if given["value"] != expected["value"]:
        raise faults.business("The currency of the transaction is invalid for customer/vendor/account.")
    state.set_exchange_rate(body)


def _due_date(state: CompanyState, body: JsonObject) -> date:
    day = parse_date(str(body["TxnDate"])) or state.today()
    ref = body.get("SalesTermRef")
    term = state.store.get("Term", str(ref["value"])) if ref else None
    if term is None:
        return day + timedelta(days=state.switches.due_days_without_term)
    held = term.body()
    if held.get("Type") == "DATE_DRIVEN":
        return _day_of_month(day, int(held["DayOfMonthDue"]), int(held.get("DueNextMonthDays", 0)))
    return day + timedelta(days=int(held.get("DueDays", 0)))


def _day_of_month(day: date, wanted: int, too_near: int) -> date:
    due = day.replace(day=min(wanted, calendar.monthrange(day.year, day.month)[1]))
    while due < day or (due - day).days < too_near:
        first = (due.replace(day=1) + timedelta(days=32)).replace(day=1)
        due = first.replace(day=min(wanted, calendar.monthrange(first.year, first.month)[1]))
    return due


def _links(state: CompanyState, resource: Resource, stored: JsonObject, cleaned: JsonObject) -> list[JsonObject]:
    """Links to payments (and of an estimate, to invoices) are a mirror and stay; the client may set the others."""
    mirrored = {"Payment", IN_DEPOSIT} if resource.name != _ESTIMATED else {"Payment", "Invoice"}
    mirror = [link for link in stored.get("LinkedTxn", ()) if link.get("TxnType") in mirrored]
    source = cleaned["LinkedTxn"] if "LinkedTxn" in cleaned else stored.get("LinkedTxn", ())
    links = [link for link in source if link.get("TxnType") not in mirrored and link.get("TxnId")]
    customer = (cleaned.get("CustomerRef") or stored.get("CustomerRef") or {}).get("value")
    for link in links:
        link["TxnId"] = str(link["TxnId"])
        if link.get("TxnType") == _ESTIMATED:
            estimate = state.store.get(_ESTIMATED, link["TxnId"])
            if estimate is None or estimate.facts.get("customerref") != customer:
                raise faults.cannot_link(link["TxnId"], "there is no such estimate for this customer")
    return links + mirror


# Numbers ---------------------------------------------------------------------------------------------------------


def _set_number(state: CompanyState, resource: Resource, body: JsonObject) -> None:
    if body.get("DocNumber") or state.preference("SalesFormsPrefs", "CustomTxnNumbers", False):
        return
    last = state.store.mark(_sequence(state, resource)) or last_number(state, resource)
    matched = _DIGITS_AT_END.match(last)
    if matched is not None:
        head, digits = matched.groups()
        body["DocNumber"] = f"{head}{int(digits) + 1:0{len(digits)}d}"
    elif not last:
        body["DocNumber"] = "1001"


def _sequence(state: CompanyState, resource: Resource) -> str:
    """Under which name the document number given last is kept."""
    shared = state.switches.shared_document_numbers and resource.name in NUMBERED
    return f"number {'Invoice' if shared else resource.name}"


def keep_numbers(state: CompanyState) -> None:
    """Let numbers go on from the forms that a company starts with, however they are renumbered later."""
    for name in (*NUMBERED, _ESTIMATED):
        if last := last_number(state, RESOURCES[name]):
            state.store.set_mark(_sequence(state, RESOURCES[name]), last)


def last_number(state: CompanyState, resource: Resource) -> str:
    """The number that the next one follows: that of the form created last; estimates count by themselves."""
    shared = state.switches.shared_document_numbers and resource.name in NUMBERED
    kinds = NUMBERED if shared else (resource.name,)
    newest: Record | None = None
    for kind in kinds:
        for record in state.store.newest(kind):
            if record.facts.get("docnumber"):
                if newest is None or int(record.id) > int(newest.id):
                    newest = record
                break
    return "" if newest is None else str(newest.facts["docnumber"])


def _check_number(
    state: CompanyState, resource: Resource, body: JsonObject, own: str, *, allow_duplicate_number: bool
) -> None:
    number = body.get("DocNumber")
    if not number or allow_duplicate_number or not state.switches.duplicate_number_warning:
        return
    for holder in state.store.find("number", resource.name, str(number)):
        if holder.id != own:
            detail = (
                "Duplicate Document Number Error : You must specify a different number. This number has already been "
                f"used. DocNumber={number} is assigned to TxnType={resource.name} with TxnId={holder.id}"
            )
            raise faults.one(6140, "Duplicate Document Number Error", detail)


# Lines and totals ------------------------------------------------------------------------------------------------


class _Form:
    """The lines of one form while they are worked out."""

    def __init__(self, state: CompanyState, resource: Resource, body: JsonObject, held: tuple[str, ...]) -> None:
        self.state = state
        self.resource = resource
        self.body = body
        self.held = held
        self.highest = max((int(one) for one in held if one.isdigit()), default=0)
        self.used: set[str] = set()
        self.items: list[JsonObject] = []
        self.discounts: list[JsonObject] = []
        self.shipping: list[JsonObject] = []
        self.subtotal = ZERO
        self.taxable: list[tuple[Decimal, str]] = []
        self.inclusive: list[tuple[JsonObject, Decimal | None]] = []
        self.problems: list[Problem] = []

    def read(self) -> None:
        """Sort the lines into items, discounts and shipping, with amounts checked."""
        for line in self.body["Line"]:
            kind = line.get("DetailType")
            if kind == "SubTotalLineDetail":
                continue
            kept = {key: value for key, value in line.items() if key not in {"LineEx", "LinkedTxn"} or value}
            match kind:
                case "SalesItemLineDetail":
                    self._item(kept)
                case "DescriptionOnly":
                    self._description(kept)
                case "DiscountLineDetail":
                    self.discounts.append(kept)
                case "GroupLineDetail":
                    self._group(kept)
                case None:
                    raise FaultError(faults.required("Line.DetailType"))
                case _:
                    raise FaultError(faults.invalid_enumeration(str(kind), "Line.DetailType"))
        faults.combined(self.problems)

    def _item(self, line: JsonObject) -> None:
        detail = line.setdefault("SalesItemLineDetail", {})
        if "ItemRef" not in detail and "ItemAccountRef" not in detail:
            self._description(line)
            return
        if (detail.get("ItemRef") or {}).get("value") == SHIPPING_ITEM:
            self._shipping(line)
            return
        self._price(line, detail)
        self._account(detail)
        code = self._tax_code(detail)
        value = money_of(line, "Amount")
        self.subtotal += value
        self.taxable.append((value, code))
        if self.body.get("GlobalTaxCalculation") == "TaxInclusive":
            gross = as_decimal(detail.get("TaxInclusiveAmt"))
            self.inclusive.append((detail, gross - value if gross else None))
        else:
            detail.pop("TaxInclusiveAmt", None)
            self.inclusive.append((detail, None))
        self.items.append(line)

    def _net_of_tax(self, line: JsonObject, detail: JsonObject) -> None:
        """The Amount of a line that only says what it costs with tax."""
        gross = as_decimal(detail.get("TaxInclusiveAmt"))
        if gross:
            code = str((detail.get("TaxCodeRef") or {}).get("value", ""))
            percent = sum((rate.percent for rate in rates_of(self.state, code)), ZERO)
            line["Amount"] = cents(gross * HUNDRED / (HUNDRED + percent))

    def _shipping(self, line: JsonObject) -> None:
        if not self.state.preference("SalesFormsPrefs", "AllowShipping", False):
            raise faults.business("Shipping is turned off for this company.")
        if line.get("Amount") is None:
            raise FaultError(faults.required("Line.Amount"))
        line["Amount"] = amount(money_of(line, "Amount"))
        self.shipping.append(line)

    def _price(self, line: JsonObject, detail: JsonObject) -> None:
        quantity, price = detail.get("Qty"), detail.get("UnitPrice")
        if quantity == 0 and price == 0 and line.get("Amount"):
            # python-quickbooks sends both as 0 when its user set neither, and QuickBooks takes that for absent.
            del detail["Qty"], detail["UnitPrice"]
            quantity = price = None
        if line.get("Amount") is None and self.body.get("GlobalTaxCalculation") == "TaxInclusive":
            self._net_of_tax(line, detail)
        if line.get("Amount") is None:
            if quantity is None or price is None:
                self.problems.append(faults.required("Line.Amount"))
                line["Amount"] = 0
                return
            line["Amount"] = cents(as_decimal(quantity) * as_decimal(price))
        value = as_decimal(line["Amount"])
        if quantity is not None and price is not None:
            if cents(as_decimal(quantity) * as_decimal(price)) != value:
                self.problems.append(faults.wrong_amount(f"{plain(value):,}"))
        elif not self.state.switches.missing_factor_derived:
            pass
        elif quantity:
            detail["UnitPrice"] = plain((value / as_decimal(quantity)).quantize(_PRICE_STEP))
        elif price:
            detail["Qty"] = plain((value / as_decimal(price)).quantize(_PRICE_STEP))
        line["Amount"] = amount(value)

    def _account(self, detail: JsonObject) -> None:
        ref = detail.get("ItemRef")
        if not ref:
            return
        item = self.state.record("Item", str(ref["value"]))
        if item.facts.get("type") == "Category":
            raise faults.bad_reference("Categories cannot be used in transactions.")
        held = item.body()
        if account := held.get("IncomeAccountRef"):
            detail["ItemAccountRef"] = account
        start = held.get("InvStartDate")
        if start and str(self.body["TxnDate"]) < start and self.resource.name != "Estimate":
            sentence = (
                "Transaction date is prior to start date for inventory item : "
                f"The transaction date is before the inventory start date of {held['Name']}."
            )
            raise faults.one(6270, "Transaction date is prior to start date for inventory item", sentence)

    def _tax_code(self, detail: JsonObject) -> str:
        given = str((detail.get("TaxCodeRef") or {}).get("value", ""))
        if self.state.country != "US":
            return given
        if given and given not in {"TAX", "NON"}:
            sentence = f"Invalid tax code : the tax code of a line must be TAX or NON. Supplied value:{given}"
            raise faults.one(6100, "Invalid Tax Code", sentence, "TaxCodeRef")
        code = given or ("TAX" if self.state.switches.automated_sales_tax else "NON")
        detail["TaxCodeRef"] = {"value": code}
        return code

    def _description(self, line: JsonObject) -> None:
        line.pop("Amount", None)
        line.pop("SalesItemLineDetail", None)
        line["DetailType"] = "DescriptionOnly"
        line.setdefault("DescriptionLineDetail", {})
        self.items.append(line)

    def _group(self, line: JsonObject) -> None:
        detail = line.setdefault("GroupLineDetail", {})
        if not detail.get("Line"):
            detail["Line"] = self._expanded(detail)
        outer, self.items = self.items, []
        for inner in detail["Line"]:
            self._item(dict(inner))
        detail["Line"], self.items = self.items, outer
        # What a bundle costs stands in the lines inside of it.
        line["Amount"] = 0
        self.items.append(line)

    def _expanded(self, detail: JsonObject) -> list[JsonObject]:
        ref = detail.get("GroupItemRef")
        if not ref:
            raise FaultError(faults.required("Line.GroupLineDetail.GroupItemRef"))
        group = self.state.record("Item", str(ref["value"])).body()
        times = as_decimal(detail.get("Quantity", 1))
        lines = []
        for member in (group.get("ItemGroupDetail") or {}).get("ItemGroupLine", ()):
            item = self.state.record("Item", str(member["ItemRef"]["value"])).body()
            quantity = as_decimal(member.get("Qty", 1)) * times
            price = as_decimal(item.get("UnitPrice"))
            inner = {
                "ItemRef": {"value": item["Id"], "name": item["Name"]},
                "Qty": plain(quantity),
                "UnitPrice": plain(price),
            }
            lines.append(
                {"Amount": cents(quantity * price), "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": inner}
            )
        return lines

    def discount(self) -> Decimal:
        """Work out the discount lines; returns their sum."""
        total = ZERO
        for line in self.discounts:
            if not self.state.preference("SalesFormsPrefs", "AllowDiscount", True):
                raise faults.business("Discounts are turned off for this company.")
            detail = line.setdefault("DiscountLineDetail", {})
            percent = as_decimal(detail.get("DiscountPercent"))
            if detail.get("PercentBased") and "DiscountPercent" in detail:
                line["Amount"] = cents(self.subtotal * percent / HUNDRED)
            elif line.get("Amount") is None:
                sentence = "A discount line needs an amount or a percentage."
                raise faults.one(6090, "Invalid Discount Line", sentence, "Line.Amount")
            else:
                detail["PercentBased"] = False
                detail.pop("DiscountPercent", None)
            line["Amount"] = amount(money_of(line, "Amount"))
            if "DiscountAccountRef" not in detail and (account := self._discount_account()):
                detail["DiscountAccountRef"] = account
            total += money_of(line, "Amount")
        return total

    def _discount_account(self) -> JsonObject | None:
        found = [
            one for one in self.state.store.all("Account") if one.facts.get("accountsubtype") == "DiscountsRefundsGiven"
        ]
        if not found:
            return None
        chosen = next((one for one in found if one.facts.get("name") == "Discounts given"), found[0])
        return {"value": chosen.id, "name": str(chosen.facts["fullyqualifiedname"])}

    def number_lines(self) -> None:
        """Give every line that is kept an id and its place."""
        for place, line in enumerate([*self.items, *self.discounts, *self.shipping], start=1):
            self._identify(line, place)
            for inner_place, inner in enumerate((line.get("GroupLineDetail") or {}).get("Line", ()), start=1):
                self._identify(inner, inner_place)

    def _identify(self, line: JsonObject, place: int) -> None:
        given = str(line.get("Id", ""))
        if given not in self.held or given in self.used:
            self.highest += 1
            given = str(self.highest)
        self.used.add(given)
        line["Id"] = given
        line["LineNum"] = place

    def taxable_nets(self, discount: Decimal) -> list[tuple[Decimal, str]]:
        """Net amounts for tax; a discount reduces them in proportion if the form says that tax comes after it."""
        if not discount or not self.body.get("ApplyTaxAfterDiscount") or not self.subtotal:
            return self.taxable
        return [(net - net * discount / self.subtotal, code) for net, code in self.taxable]


def _line_ids(lines: Iterable[JsonObject]) -> Iterator[str]:
    """Ids of lines, and of the lines inside of bundles."""
    for line in lines:
        if "Id" in line:
            yield str(line["Id"])
        yield from _line_ids((line.get("GroupLineDetail") or {}).get("Line", ()))


def _compute(state: CompanyState, resource: Resource, body: JsonObject, held: tuple[str, ...]) -> None:
    if len(body["Line"]) > _MOST_LINES:
        raise faults.business(f"A transaction can have at most {_MOST_LINES} lines.")
    form = _Form(state, resource, body, held)
    form.read()
    if sum(code not in {"", "NON"} for _, code in form.taxable) > _MOST_TAXED_LINES:
        raise faults.business(f"A taxable transaction can have at most {_MOST_TAXED_LINES} lines.")
    discount = form.discount()
    form.number_lines()
    subtotal: JsonObject = {
        "Amount": amount(form.subtotal),
        "DetailType": "SubTotalLineDetail",
        "SubTotalLineDetail": {},
    }
    body["Line"] = [*form.items, subtotal, *form.discounts, *form.shipping]
    if not any(line["DetailType"] != "DescriptionOnly" for line in form.items):
        body["Line"].remove(subtotal)
    tax = tax_detail(state, body, form.taxable_nets(discount), [given for _, given in form.inclusive])
    if body.get("GlobalTaxCalculation") == "TaxInclusive":
        for (net, code), (detail, given) in zip(form.taxable, form.inclusive, strict=True):
            own = given if given is not None else tax_on_line(state, net, code)
            detail["TaxInclusiveAmt"] = amount(net + own)
    shipping = sum((money_of(line, "Amount") for line in form.shipping), ZERO)
    total = cents(form.subtotal - discount + shipping + tax)
    if total < ZERO:
        raise faults.business("You must specify a transaction amount that is 0 or greater.")
    body["TotalAmt"] = amount(total)
    if state.multicurrency:
        body["HomeTotalAmt"] = amount(total * as_decimal(body.get("ExchangeRate", 1)))


def _keep_applied(state: CompanyState, resource: Resource, stored: JsonObject, body: JsonObject) -> None:
    record_id = str(stored["Id"])
    settled = applied(state, resource.name, record_id)
    if settled and body["CustomerRef"]["value"] != stored["CustomerRef"]["value"]:
        raise faults.business("You cannot change the customer of a transaction that is linked to a payment.")
    if set_open_amount(state, resource.name, body) >= ZERO:
        return
    if state.switches.invoice_below_applied == "fault":
        raise faults.business("The amount of the transaction is less than the payments applied to it.")
    payments.trim(state, resource.name, record_id, money_of(body, "TotalAmt"))
    now = state.record(resource.name, record_id).body()
    stored["Balance"] = now.get("Balance", 0)
    if "RemainingCredit" in now:
        stored["RemainingCredit"] = now["RemainingCredit"]
    body["LinkedTxn"] = now.get("LinkedTxn", [])
    set_open_amount(state, resource.name, body)


def _release(state: CompanyState, resource: Resource, record: Record, verb: str) -> None:
    if resource.name not in _SETTLED_BY_PAYMENTS or not state.store.find("settled by", resource.name, record.id):
        return
    if state.switches.remove_paid_invoice == "fault":
        kind = "invoice" if resource.name == "Invoice" else "credit memo"
        raise faults.business(f"You cannot {verb} this {kind} because it has payments applied to it.")
    payments.unlink(state, resource.name, record.id)


def _voided_line(line: JsonObject) -> JsonObject:
    kept = dict(line)
    if "Amount" in kept:
        kept["Amount"] = 0
    detail = kept.get("SalesItemLineDetail")
    if isinstance(detail, dict):
        detail = {key: value for key, value in detail.items() if key != "UnitPrice"}
        if "Qty" in detail:
            detail["Qty"] = 0
        kept["SalesItemLineDetail"] = detail
    group = kept.get("GroupLineDetail")
    if isinstance(group, dict):
        kept["GroupLineDetail"] = {**group, "Line": [_voided_line(inner) for inner in group.get("Line", ())]}
    return kept
