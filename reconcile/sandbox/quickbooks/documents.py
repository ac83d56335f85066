"""Deposits, bills and what pays them, purchases, journal entries and notes: what the nightly work only passes by.

They are checked, totalled and stored with the right envelopes. A deposit locks the payments in it; a bill payment takes
from the balances of bills and vendor credits, and of their vendor, as a payment does from invoices and credit memos.
"""

from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import Final

from reconcile.sandbox.quickbooks import attachments, faults, stock, taxes
from reconcile.sandbox.quickbooks.clock import parse_date
from reconcile.sandbox.quickbooks.entities import RESOURCES, Resource
from reconcile.sandbox.quickbooks.faults import FaultError, Problem
from reconcile.sandbox.quickbooks.links import (
    applied,
    check_period,
    mark_voided,
    mirror_deposits,
    move_balances,
    name_value,
    refresh_target,
    set_open_amount,
)
from reconcile.sandbox.quickbooks.lists import WRONG_ACCOUNT
from reconcile.sandbox.quickbooks.numbers import ZERO, JsonObject, amount, as_decimal, cents, plain
from reconcile.sandbox.quickbooks.state import CompanyState, keep_currency, merged, money_of, references
from reconcile.sandbox.quickbooks.store import Record, applications_of

_REQUIRED: Final = {
    "Deposit": ("DepositToAccountRef", "Line"),
    "Bill": ("VendorRef", "Line"),
    "VendorCredit": ("VendorRef", "Line"),
    "BillPayment": ("VendorRef", "PayType", "TotalAmt", "Line"),
    "Purchase": ("PaymentType", "AccountRef", "Line"),
    "JournalEntry": ("Line",),
    "Attachable": (),
}
_SENT_AGAIN: Final = {
    "Deposit": "DepositToAccountRef",
    "Bill": "VendorRef",
    "VendorCredit": "VendorRef",
    "BillPayment": "VendorRef",
    "Purchase": "PaymentType",
}
"""What a sparse update must repeat although it does not change."""
_GIVEN_TOTAL: Final = frozenset({"BillPayment"})
_OWED: Final = frozenset({"Bill", "VendorCredit"})
_EXPENSES: Final = frozenset({"Bill", "VendorCredit", "Purchase"})
_DEPOSITABLE: Final = frozenset({"Payment", "SalesReceipt", "RefundReceipt", "JournalEntry"})
_DEPOSIT_ACCOUNTS: Final = frozenset({"Bank", "Other Current Asset"})
_PURCHASE_ACCOUNTS: Final = {"Cash": frozenset({"Bank"}), "Check": frozenset({"Bank"}), "CreditCard": {"Credit Card"}}
_FEWEST_POSTINGS: Final = 2
_CONCERNED: Final = {"Accounts Receivable": "Customer", "Accounts Payable": "Vendor"}
_PAYEES: Final = ("Vendor", "Customer", "Employee")
_UNNUMBERED: Final = frozenset({"Purchase", "JournalEntry"})
"""Documents whose lines recordings show without LineNum."""
_CHEQUE, _CREDIT, _EXPENSE = "3", "11", "54"
"""What QuickBooks calls a purchase inside, told in PurchaseEx; recordings also have 1 and 31 for what a bank fed in."""


def create(state: CompanyState, resource: Resource, cleaned: JsonObject, record_id: str | None = None) -> JsonObject:
    """Store a new document, under an id of its own unless one was drawn for it."""
    body = {name: value for name, value in cleaned.items() if value != "" and name not in {"Id", "SyncToken", "sparse"}}
    state.resolve(resource, body)
    _complete(state, resource, body, own="", before={})
    return _spread(state, resource, None, state.add(resource, body, record_id))


def update(state: CompanyState, resource: Resource, cleaned: JsonObject) -> JsonObject:
    """Change a document."""
    record = state.current(resource.name, cleaned)
    if cleaned.get("sparse") and (again := _SENT_AGAIN.get(resource.name, "Id")) not in cleaned:
        raise FaultError(faults.required(again))
    stored = record.body()
    state.resolve(resource, cleaned, frozenset(references(resource.properties, stored)))
    body = merged(resource, stored, cleaned)
    keep_currency(body, stored)
    check_period(state, stored)
    _complete(state, resource, body, own=record.id, before=stored)
    if resource.name in _OWED and set_open_amount(state, resource.name, body) < ZERO:
        raise faults.business("The amount of the transaction is less than the payments applied to it.")
    return _spread(state, resource, stored, state.change(resource, body))


def void(state: CompanyState, resource: Resource, cleaned: JsonObject) -> JsonObject:
    """Void a document: it stays with nothing in it."""
    record = state.current(resource.name, cleaned)
    stored = record.body()
    body = {**record.body(), "TotalAmt": 0, "Line": []}
    if "HomeTotalAmt" in body:
        body["HomeTotalAmt"] = 0
    check_period(state, body)
    mark_voided(body)
    return _spread(state, resource, stored, state.change(resource, body))


def delete(state: CompanyState, resource: Resource, cleaned: JsonObject) -> JsonObject:
    """Delete a document; what sat in a deposit is free again, and what a bill payment paid is open again."""
    if resource.group == "attachment":
        # An attachment is deleted by its id alone.
        cleaned.setdefault("SyncToken", state.record(resource.name, str(cleaned["Id"])).sync_token)
    record = state.current(resource.name, cleaned)
    check_period(state, record.body())
    if resource.group == "attachment":
        state.store.put_file(record.id, None)
    if resource.name in _OWED:
        _release(state, resource, record)
    stored = state.record(resource.name, record.id).body()
    answer = state.remove(resource, record)
    _spread(state, resource, stored, None)
    return answer


def _spread(state: CompanyState, resource: Resource, before: JsonObject | None, after: JsonObject | None) -> JsonObject:
    """Carry a change over to what it settles, to its vendor and to stock; returns the document as it is then."""
    if resource.name in _OWED:
        move_balances(state, resource.name, before, after)
    stock.move(state, resource.name, before, after)
    if resource.name == "Deposit":
        taken = applications_of(before or {}) + applications_of(after or {})
        for kind, target in dict.fromkeys((one.kind, one.target) for one in taken):
            mirror_deposits(state, kind, target)
    if resource.name == "BillPayment":
        touched = applications_of(before or {}) + applications_of(after or {})
        for kind, target in dict.fromkeys((one.kind, one.target) for one in touched):
            if kind in _OWED:
                refresh_target(state, kind, target)
    record = state.store.get(resource.name, str((after or before or {})["Id"]))
    return (after or {}) if record is None else record.body()


def _release(state: CompanyState, resource: Resource, record: Record) -> None:
    """Take a bill out of the payments that settle it, or refuse to remove it."""
    for payment in state.store.find("settled by", resource.name, record.id):
        if state.switches.remove_paid_invoice == "fault":
            raise faults.business("You cannot delete this transaction because it has payments applied to it.")
        before, body = payment.body(), payment.body()
        body["Line"] = [
            line
            for line in body["Line"]
            if not any((str(link["TxnType"]), str(link["TxnId"])) == (resource.name, record.id)
                       for link in line.get("LinkedTxn", ()))
        ]  # fmt: skip
        _spread(state, RESOURCES["BillPayment"], before, state.change(RESOURCES["BillPayment"], body))


def _complete(state: CompanyState, resource: Resource, body: JsonObject, own: str, before: JsonObject) -> None:
    faults.combined(faults.required(name) for name in _REQUIRED[resource.name] if body.get(name) in (None, "", []))
    if resource.group == "attachment":
        if not body.get("Note") and not body.get("FileName"):
            raise FaultError(faults.required("Note or FileName"))
        attachments.check_targets(state, body)
        return
    body.setdefault("TxnDate", state.today().isoformat())
    _set_currency(state, body)
    check_period(state, body)
    _number_lines(resource, body, before)
    if resource.name in _EXPENSES:
        faults.combined(problem for line in body["Line"] for problem in _expense_problems(state, line))
    tax = _tax(state, body) if resource.name in _EXPENSES and state.country != "US" else ZERO
    _OWN_RULES.get(resource.name, _no_rule)(state, body, own)
    if resource.name == "JournalEntry":
        # What it comes to stands in its lines only: the manual says its total is always zero, and recordings have none.
        return
    if resource.name not in _GIVEN_TOTAL:
        _set_total(resource, body, tax)
    if state.multicurrency:
        body["HomeTotalAmt"] = amount(money_of(body, "TotalAmt") * as_decimal(body.get("ExchangeRate", 1)))
    if resource.name in _OWED and not own:
        set_open_amount(state, resource.name, body)


def _number_lines(resource: Resource, body: JsonObject, before: JsonObject) -> None:
    """Give each line its place, and a new id unless it is one of those that the document had before."""
    held = {str(line["Id"]) for line in before.get("Line", ()) if "Id" in line}
    # recordings number the lines of a journal entry from 0, by their ids only
    fresh = count(max((int(one) for one in held), default=-1 if resource.name == "JournalEntry" else 0) + 1)
    for place, line in enumerate(body["Line"], start=1):
        if "Amount" in line:
            line["Amount"] = amount(as_decimal(line["Amount"]))
        if resource.name == "Deposit" and line.get("LinkedTxn"):
            # A line that only takes another transaction to the bank has no id and no number in recordings.
            for name in ("Id", "LineNum", "DetailType"):
                line.pop(name, None)
            continue
        line.pop("LineNum", None)
        given = line.pop("Id", None)
        if resource.name == "BillPayment":
            continue
        kept = str(given) in held
        held.discard(str(given))
        line["Id"] = str(given) if kept else str(next(fresh))
        if resource.name not in _UNNUMBERED:
            line["LineNum"] = place


def _tax(state: CompanyState, body: JsonObject) -> Decimal:
    """What a bill or purchase outside of the United States costs in tax beyond its lines."""
    details = ((line, line.get(str(line.get("DetailType")))) for line in body["Line"])
    coded = [(line, detail.get("TaxCodeRef") or {}) for line, detail in details if isinstance(detail, dict)]
    return taxes.purchase_tax(
        state, body, [(money_of(line, "Amount"), str(ref.get("value", ""))) for line, ref in coded]
    )


def _set_total(resource: Resource, body: JsonObject, tax: Decimal) -> None:
    total = sum((money_of(line, "Amount") for line in body["Line"]), tax)
    total -= money_of(body.get("CashBack") or {}, "Amount")
    if total < ZERO and resource.name != "Deposit":
        raise faults.business("You must specify a transaction amount that is 0 or greater.")
    body["TotalAmt"] = amount(total)


def _set_currency(state: CompanyState, body: JsonObject) -> None:
    ref = body.get("VendorRef")
    vendor = state.store.get("Vendor", str(ref["value"])) if ref else None
    expected: JsonObject = (vendor.body().get("CurrencyRef") if vendor else None) or state.currency_ref()
    if state.multicurrency and not body.get("CurrencyRef"):
        raise FaultError(faults.required("CurrencyRef"))
    given: JsonObject = body.setdefault("CurrencyRef", expected)
    if vendor is not None and given["value"] != expected["value"]:
        raise faults.business("The currency of the transaction is invalid for customer/vendor/account.")
    state.set_exchange_rate(body)


def _expense_problems(state: CompanyState, line: JsonObject) -> list[Problem]:
    """What is wrong with a line of a bill or purchase; fills in what QuickBooks fills in."""
    kind = str(line.get("DetailType", ""))
    if kind == "DescriptionOnly":
        return []
    detail = line.get(kind)
    if kind not in {"ItemBasedExpenseLineDetail", "AccountBasedExpenseLineDetail"} or not isinstance(detail, dict):
        return [faults.required("Line.DetailType") if not kind else faults.required(kind)]
    detail.setdefault("BillableStatus", "NotBillable")
    if state.country == "US":
        detail.setdefault("TaxCodeRef", {"value": "NON"})
    needed = "ItemRef" if kind.startswith("Item") else "AccountRef"
    problems = [] if detail.get(needed) else [faults.required(needed)]
    quantity, price = detail.get("Qty"), detail.get("UnitPrice")
    if "Amount" not in line:
        if quantity is None or price is None:
            return [*problems, faults.required("Line.Amount")]
        line["Amount"] = amount(cents(as_decimal(quantity) * as_decimal(price)))
    elif quantity and price and cents(as_decimal(quantity) * as_decimal(price)) != money_of(line, "Amount"):
        problems.append(faults.wrong_amount(f"{plain(money_of(line, 'Amount')):,}"))
    return problems


def _set_payable(state: CompanyState, body: JsonObject, own: str) -> None:
    del own
    if "APAccountRef" not in body:
        payables = [one for one in state.store.all("Account") if one.facts.get("accounttype") == "Accounts Payable"]
        if payables:
            body["APAccountRef"] = {"value": payables[0].id, "name": str(payables[0].facts["fullyqualifiedname"])}


def _complete_bill(state: CompanyState, body: JsonObject, own: str) -> None:
    _set_payable(state, body, own)
    vendor = state.record("Vendor", str(body["VendorRef"]["value"])).body()
    if "SalesTermRef" not in body and "TermRef" in vendor:
        body["SalesTermRef"] = vendor["TermRef"]
    if "DueDate" not in body:
        day = parse_date(str(body["TxnDate"])) or state.today()
        ref = body.get("SalesTermRef")
        term = state.store.get("Term", str(ref["value"])) if ref else None
        days = int(term.body().get("DueDays", 0)) if term is not None else 0
        body["DueDate"] = (day + timedelta(days=days)).isoformat()


def _check_purchase(state: CompanyState, body: JsonObject, own: str) -> None:
    del own
    account = state.record("Account", str(body["AccountRef"]["value"]))
    kind = str(body["PaymentType"])
    if account.facts.get("accounttype") not in _PURCHASE_ACCOUNTS[kind]:
        raise faults.business(WRONG_ACCOUNT)
    if payee := body.get("EntityRef"):
        _name_party(state, payee)
    credit = False
    if kind == "CreditCard":
        credit = body.setdefault("Credit", False)
    else:
        body.pop("Credit", None)
    if kind == "Check":
        body.setdefault("PrintStatus", "NotSet")
    else:
        body.pop("PrintStatus", None)
    called = _CHEQUE if kind == "Check" else _CREDIT if credit else _EXPENSE
    body["PurchaseEx"] = {"any": [name_value("TxnType", called)]}


def _name_party(state: CompanyState, ref: JsonObject) -> None:
    """Write name and kind beside the id of a vendor, customer or employee; they share one sequence of ids.

    Raises:
        FaultError: 2500 when there is nobody of this id.
    """
    wanted = str(ref.get("value") or "")
    for kind in _PAYEES:
        record = state.store.get(kind, wanted)
        if record is not None:
            ref |= {"value": wanted, "name": state.name_of(kind, record), "type": kind}
            return
    raise faults.bad_reference(f"Names element id {wanted} not found")


def _check_deposit(state: CompanyState, body: JsonObject, own: str) -> None:
    account = state.record("Account", str(body["DepositToAccountRef"]["value"]))
    if account.facts.get("accounttype") not in _DEPOSIT_ACCOUNTS:
        raise faults.business(WRONG_ACCOUNT)
    for line in body["Line"]:
        if party := (line.get("DepositLineDetail") or {}).get("Entity"):
            _name_party(state, party)
        for link in line.get("LinkedTxn", ()):
            kind, target = str(link.get("TxnType")), str(link.get("TxnId"))
            record = state.store.get(kind, target) if kind in _DEPOSITABLE else None
            if record is None:
                raise faults.cannot_link(target, f"{kind} {target} cannot be deposited")
            if any(deposit.id != own for deposit in state.store.find("deposited", kind, target)):
                raise faults.cannot_link(target, "it is in another deposit")


def _check_paid_from(body: JsonObject) -> None:
    """The account that a bill is paid from is named."""
    detail = "CheckPayment" if body["PayType"] == "Check" else "CreditCardPayment"
    if not body.get(detail):
        raise FaultError(faults.required(detail))
    name = "BankAccountRef" if detail == "CheckPayment" else "CCAccountRef"
    # A cheque over nothing, by which credits pay bills, is drawn on no account.
    if not body[detail].get(name) and (detail != "CheckPayment" or as_decimal(body["TotalAmt"])):
        raise FaultError(faults.required(f"{detail}.{name}"))
    if detail == "CheckPayment":
        body[detail].setdefault("PrintStatus", "NeedToPrint")


def _check_bill_payment(state: CompanyState, body: JsonObject, own: str) -> None:
    _check_paid_from(body)
    total = as_decimal(body["TotalAmt"])
    if total < ZERO:
        raise faults.business("You must specify a transaction amount that is 0 or greater.")
    body["TotalAmt"] = amount(total)
    paid = ZERO
    wanted: dict[tuple[str, str], Decimal] = {}
    for line in body["Line"]:
        if not line.get("LinkedTxn"):
            raise FaultError(faults.required("LinkedTxn"))
        for link in line["LinkedTxn"]:
            kind, target = str(link.get("TxnType")), str(link.get("TxnId"))
            link |= {"TxnType": kind, "TxnId": target}
            record = state.store.get(kind, target) if kind in _OWED | {"JournalEntry", "Deposit"} else None
            if record is None:
                raise faults.cannot_link(target, f"{kind} {target} cannot be paid")
            if kind not in _OWED:
                continue
            held = record.body()
            if held["VendorRef"]["value"] != body["VendorRef"]["value"]:
                raise faults.cannot_link(target, "it belongs to another vendor")
            wanted[kind, target] = wanted.get((kind, target), ZERO) + money_of(line, "Amount")
            if wanted[kind, target] > money_of(held, "TotalAmt") - applied(state, kind, target, without=own):
                raise faults.business("The amount applied is more than the open balance of the transaction.")
            paid += money_of(line, "Amount") if kind == "Bill" else -money_of(line, "Amount")
    if paid > total:
        raise faults.business("The amount applied is more than the amount paid and the credits used.")


def _check_postings(state: CompanyState, body: JsonObject, own: str) -> None:
    del own
    body.setdefault("Adjustment", False)
    if state.country == "US":
        body.setdefault("TxnTaxDetail", {})
    if len(body["Line"]) < _FEWEST_POSTINGS:
        raise faults.business("Fill out at least two detail lines to continue.")
    sums: dict[str, Decimal] = {"Debit": ZERO, "Credit": ZERO}
    for line in body["Line"]:
        detail = line.get("JournalEntryLineDetail") or {}
        if detail.get("PostingType") not in sums:
            raise faults.one(2260, "Posting Type Missing", "PostingType is required: Debit or Credit.", "PostingType")
        sums[str(detail["PostingType"])] += money_of(line, "Amount")
        if held := (detail.get("Entity") or {}).get("EntityRef"):
            _name_party(state, held)
            detail["Entity"]["Type"] = held.pop("type")
        _check_concerned(state, detail)
    if sums["Debit"] != sums["Credit"]:
        raise faults.one(2300, "Unbalanced Journal Entry", "The debits and credits of a journal entry must be equal.")


def _check_concerned(state: CompanyState, detail: JsonObject) -> None:
    """What is posted to receivables concerns a customer, what is posted to payables a vendor."""
    account = state.store.get("Account", str((detail.get("AccountRef") or {}).get("value")))
    kind = "" if account is None else str(account.facts.get("accounttype"))
    whom = _CONCERNED.get(kind)
    if whom and (detail.get("Entity") or {}).get("Type") != whom:
        raise faults.business(f"When you use {kind}, you must choose a {whom.lower()} in the Name field.")


def _no_rule(state: CompanyState, body: JsonObject, own: str) -> None:
    """Nothing beyond what every document asks for."""


_OWN_RULES: Final = {
    "Bill": _complete_bill,
    "VendorCredit": _set_payable,
    "Purchase": _check_purchase,
    "Deposit": _check_deposit,
    "BillPayment": _check_bill_payment,
    "JournalEntry": _check_postings,
}


def set_exchange_rate(state: CompanyState, cleaned: JsonObject) -> JsonObject:
    """POST exchangerate: set the rate of one currency and day."""
    for name in ("SourceCurrencyCode", "Rate"):
        if cleaned.get(name) in (None, ""):
            raise FaultError(faults.required(name))
    code = str(cleaned["SourceCurrencyCode"])
    day = str(cleaned.get("AsOfDate") or state.today().isoformat())
    for record in state.store.all("ExchangeRate"):
        if record.facts.get("sourcecurrencycode") == code and record.facts.get("asofdate") == day:
            return state.change(RESOURCES["ExchangeRate"], {**record.body(), "Rate": cleaned["Rate"]})
    body = {
        "SourceCurrencyCode": code,
        "TargetCurrencyCode": state.home_currency,
        "Rate": cleaned["Rate"],
        "AsOfDate": day,
    }
    return state.add(RESOURCES["ExchangeRate"], body)
