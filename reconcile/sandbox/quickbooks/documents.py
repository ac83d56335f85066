"""Deposits, bills, bill payments, purchases, journal entries and notes: what the nightly work only passes by.

They are checked, totalled and stored with the right envelopes. A deposit also locks the payments in it.
"""

from decimal import Decimal
from typing import Final

from reconcile.sandbox.quickbooks import attachments, faults
from reconcile.sandbox.quickbooks.entities import RESOURCES, Resource
from reconcile.sandbox.quickbooks.faults import FaultError
from reconcile.sandbox.quickbooks.links import check_period, mark_voided
from reconcile.sandbox.quickbooks.numbers import ZERO, JsonObject, amount, as_decimal
from reconcile.sandbox.quickbooks.state import CompanyState, merged, money_of, references

_REQUIRED: Final = {
    "Deposit": ("DepositToAccountRef", "Line"),
    "Bill": ("VendorRef", "Line"),
    "BillPayment": ("VendorRef", "PayType", "TotalAmt", "Line"),
    "Purchase": ("PaymentType", "AccountRef", "Line"),
    "JournalEntry": ("Line",),
    "Attachable": (),
}
_GIVEN_TOTAL: Final = frozenset({"BillPayment"})
_DEPOSITABLE: Final = frozenset({"Payment", "SalesReceipt", "RefundReceipt", "JournalEntry"})
_FEWEST_POSTINGS: Final = 2


def create(state: CompanyState, resource: Resource, cleaned: JsonObject, record_id: str | None = None) -> JsonObject:
    """Store a new document, under an id of its own unless one was drawn for it."""
    body = {name: value for name, value in cleaned.items() if value != "" and name not in {"Id", "SyncToken", "sparse"}}
    state.resolve(resource, body)
    _complete(state, resource, body, own="")
    return state.add(resource, body, record_id)


def update(state: CompanyState, resource: Resource, cleaned: JsonObject) -> JsonObject:
    """Change a document."""
    record = state.current(resource.name, cleaned)
    stored = record.body()
    state.resolve(resource, cleaned, frozenset(references(resource.properties, stored)))
    body = merged(resource, stored, cleaned)
    check_period(state, stored)
    _complete(state, resource, body, own=record.id)
    return state.change(resource, body)


def void(state: CompanyState, resource: Resource, cleaned: JsonObject) -> JsonObject:
    """Void a document: it stays with nothing in it."""
    record = state.current(resource.name, cleaned)
    body = {**record.body(), "TotalAmt": 0, "Line": []}
    check_period(state, body)
    mark_voided(body)
    return state.change(resource, body)


def delete(state: CompanyState, resource: Resource, cleaned: JsonObject) -> JsonObject:
    """Delete a document; what sat in a deposit is free again."""
    record = state.current(resource.name, cleaned)
    check_period(state, record.body())
    if resource.group == "attachment":
        state.store.put_file(record.id, None)
    return state.remove(resource, record)


def _complete(state: CompanyState, resource: Resource, body: JsonObject, own: str) -> None:
    faults.combined(faults.required(name) for name in _REQUIRED[resource.name] if body.get(name) in (None, "", []))
    if resource.group == "attachment":
        if not body.get("Note") and not body.get("FileName"):
            raise FaultError(faults.required("Note or FileName"))
        attachments.check_targets(state, body)
        return
    body.setdefault("TxnDate", state.today().isoformat())
    body.setdefault("CurrencyRef", state.currency_ref())
    check_period(state, body)
    for place, line in enumerate(body.get("Line", ()), start=1):
        line["Id"] = str(line.get("Id") or place)
        if resource.name != "BillPayment":
            line["LineNum"] = place
        if "Amount" in line:
            line["Amount"] = amount(as_decimal(line["Amount"]))
    if resource.name == "Deposit":
        _check_deposit_lines(state, body, own)
    if resource.name == "JournalEntry":
        _check_postings(body)
    elif resource.name not in _GIVEN_TOTAL:
        total = sum((money_of(line, "Amount") for line in body["Line"]), ZERO)
        body["TotalAmt"] = amount(total)
        if resource.name == "Bill":
            body["Balance"] = amount(total)


def _check_deposit_lines(state: CompanyState, body: JsonObject, own: str) -> None:
    for line in body["Line"]:
        for link in line.get("LinkedTxn", ()):
            kind, target = str(link.get("TxnType")), str(link.get("TxnId"))
            record = state.store.get(kind, target) if kind in _DEPOSITABLE else None
            if record is None:
                detail = f"Transaction {target} cannot be linked : {kind} {target} cannot be deposited"
                raise faults.one(620, "Transaction cannot be linked", detail)
            if any(deposit.id != own for deposit in state.store.find("deposited", kind, target)):
                detail = f"Transaction {target} cannot be linked : it is in another deposit"
                raise faults.one(620, "Transaction cannot be linked", detail)


def _check_postings(body: JsonObject) -> None:
    if len(body["Line"]) < _FEWEST_POSTINGS:
        raise faults.business("Fill out at least two detail lines to continue.")
    sums: dict[str, Decimal] = {"Debit": ZERO, "Credit": ZERO}
    for line in body["Line"]:
        detail = line.get("JournalEntryLineDetail") or {}
        if detail.get("PostingType") not in sums:
            raise faults.one(2260, "Posting Type Missing", "PostingType is required: Debit or Credit.", "PostingType")
        sums[str(detail["PostingType"])] += money_of(line, "Amount")
    if sums["Debit"] != sums["Credit"]:
        raise faults.one(2300, "Unbalanced Journal Entry", "The debits and credits of a journal entry must be equal.")
    body["TotalAmt"] = amount(sums["Debit"])


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
