"""Payments received: what they settle, what stays unapplied, and what becomes of that when they change."""

from decimal import Decimal
from typing import Final

from reconcile.sandbox.quickbooks import faults
from reconcile.sandbox.quickbooks.entities import RESOURCES, Resource
from reconcile.sandbox.quickbooks.faults import FaultError
from reconcile.sandbox.quickbooks.links import (
    applied,
    check_deposited,
    check_period,
    describe_links,
    mark_voided,
    move_balances,
    refresh_target,
    undeposited,
)
from reconcile.sandbox.quickbooks.lists import WRONG_ACCOUNT
from reconcile.sandbox.quickbooks.numbers import ZERO, JsonObject, amount, as_decimal, cents
from reconcile.sandbox.quickbooks.state import CompanyState, keep_currency, merged, money_of, references
from reconcile.sandbox.quickbooks.store import Application, Record, applications_of

_PAYMENT: Final = RESOURCES["Payment"]
_CHARGES: Final = frozenset({"Invoice", "JournalEntry", "Expense", "Check", "CreditCardCredit"})
_LINKABLE: Final = _CHARGES | {"CreditMemo"}
_PROCESSED: Final = "IntuitPayment"
_DEPOSIT_ACCOUNTS: Final = frozenset({"Bank", "Other Current Asset"})
_OTHER_LINKS: Final = {"Expense": "Purchase", "Check": "Purchase", "CreditCardCredit": "Purchase"}
_OVER_APPLIED: Final = "The amount applied is more than the open balance of the transaction."
_MORE_THAN_RECEIVED: Final = "The amount applied is more than the amount received and the credits used."


def create(state: CompanyState, resource: Resource, cleaned: JsonObject) -> JsonObject:
    """Record a payment."""
    body = {name: value for name, value in cleaned.items() if value != "" and name not in {"Id", "SyncToken", "sparse"}}
    state.resolve(resource, body)
    body.setdefault("Line", [])
    _complete(state, body, [])
    check_period(state, body)
    if state.switches.auto_apply and not body["Line"] and state.preference("SalesFormsPrefs", "AutoApplyPayments"):
        body["Line"] = _oldest_first(state, body)
    body["Id"] = state.store.next_id(resource.sequence)
    _apply(state, body, known="")
    describe_links(state, body)
    stored = state.add(resource, body, str(body["Id"]))
    _spread(state, applications_of(stored))
    move_balances(state, "Payment", None, stored)
    return _fresh(state, stored)


def update(state: CompanyState, resource: Resource, cleaned: JsonObject) -> JsonObject:
    """Change a payment. Lines are all or nothing: those not sent are unlinked, unless no `Line` was sent sparsely."""
    record = state.current(resource.name, cleaned)
    stored = record.body()
    check_deposited(state, resource.name, record.id)
    state.resolve(resource, cleaned, frozenset(references(resource.properties, stored)))
    body = merged(resource, stored, cleaned)
    keep_currency(body, stored)
    body.setdefault("Line", [])
    _complete(state, body, list(stored.get("LinkedTxn", ())))
    check_period(state, stored, body)
    _apply(state, body, known=record.id)
    return _replace(state, stored, body)


def void(state: CompanyState, resource: Resource, cleaned: JsonObject) -> JsonObject:
    """Void a payment: it stays with nothing in it, and what it settled is open again."""
    record = state.current(resource.name, cleaned)
    stored = record.body()
    check_deposited(state, resource.name, record.id)
    _check_settled(stored)
    check_period(state, stored)
    body = {**stored, "TotalAmt": 0, "UnappliedAmt": 0, "Line": []}
    if "HomeTotalAmt" in body:
        body["HomeTotalAmt"] = 0
    mark_voided(body)
    return _replace(state, stored, body)


def delete(state: CompanyState, resource: Resource, cleaned: JsonObject) -> JsonObject:
    """Delete a payment; what it settled is open again."""
    record = state.current(resource.name, cleaned)
    stored = record.body()
    check_deposited(state, resource.name, record.id)
    _check_settled(stored)
    check_period(state, stored)
    answer = state.remove(resource, record)
    _spread(state, record.applications)
    move_balances(state, "Payment", stored, None)
    return answer


def use_credits(state: CompanyState, form: JsonObject) -> None:
    """Settle a customer's open invoices by their open credit memos, as the preference AutoApplyCredit asks for."""
    if not state.preference("SalesFormsPrefs", "AutoApplyCredit"):
        return
    customer = form["CustomerRef"]["value"]
    for memo in _open_forms(state, "CreditMemo", str(customer)):
        lines = []
        left = money_of(memo, "RemainingCredit")
        for invoice in _open_forms(state, "Invoice", customer):
            used = min(left, money_of(invoice, "Balance"))
            if used > ZERO:
                lines.append({"Amount": amount(used), "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]})
                left -= used
        if lines:
            spent = money_of(memo, "RemainingCredit") - left
            lines.append({"Amount": amount(spent), "LinkedTxn": [{"TxnId": memo["Id"], "TxnType": "CreditMemo"}]})
            body: JsonObject = {"CustomerRef": {"value": customer}, "CurrencyRef": form["CurrencyRef"]}
            create(state, _PAYMENT, {**body, "TotalAmt": 0, "Line": lines})


def _open_forms(state: CompanyState, kind: str, customer: str) -> list[JsonObject]:
    found = [record.body() for record in state.store.find("customer", customer) if record.entity == kind]
    return sorted((body for body in found if money_of(body, "Balance") > ZERO), key=lambda body: str(body["TxnDate"]))


def _oldest_first(state: CompanyState, body: JsonObject) -> list[JsonObject]:
    lines = []
    left = money_of(body, "TotalAmt")
    for invoice in _open_forms(state, "Invoice", str(body["CustomerRef"]["value"])):
        used = min(left, money_of(invoice, "Balance"))
        if used > ZERO:
            lines.append({"Amount": amount(used), "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]})
            left -= used
    return lines


def _check_settled(stored: JsonObject) -> None:
    """Refuse to undo money that a card processor has moved."""
    if stored.get("TxnSource") == _PROCESSED:
        detail = "Transaction Settled : the payment was settled electronically, and can only be refunded."
        raise faults.one(6450, "Transaction Settled", detail)


def unlink(state: CompanyState, kind: str, target: str) -> None:
    """Take a transaction out of every payment that settles it; the amounts become unapplied."""
    for record in state.store.find("settled by", kind, target):
        stored = record.body()
        body = record.body()
        body["Line"] = [
            line
            for line in body["Line"]
            if not any(link["TxnType"] == kind and str(link["TxnId"]) == target for link in line["LinkedTxn"])
        ]
        body["UnappliedAmt"] = amount(_unapplied(body))
        _replace(state, stored, body)


def trim(state: CompanyState, kind: str, target: str, limit: Decimal) -> None:
    """Cut what payments apply to a transaction down to a limit, the newest payment first."""
    surplus = applied(state, kind, target) - limit
    for record in sorted(state.store.find("settled by", kind, target), key=lambda one: one.moved, reverse=True):
        if surplus <= ZERO:
            return
        stored = record.body()
        body = record.body()
        for line in body["Line"]:
            if any(link["TxnType"] == kind and str(link["TxnId"]) == target for link in line["LinkedTxn"]):
                cut = min(surplus, money_of(line, "Amount"))
                line["Amount"] = amount(money_of(line, "Amount") - cut)
                surplus -= cut
        body["Line"] = [line for line in body["Line"] if line["Amount"]]
        body["UnappliedAmt"] = amount(_unapplied(body))
        _replace(state, stored, body)


def _complete(state: CompanyState, body: JsonObject, links: list[JsonObject]) -> None:
    """Check and fill in a payment; its own links only mirror the deposit that it sits in."""
    if not body.get("CustomerRef"):
        if state.switches.missing_customer == faults.required("CustomerRef").code:
            raise FaultError(faults.required("CustomerRef"))
        raise faults.business("You must select a customer for this transaction.")
    if body.get("TotalAmt") is None:
        raise faults.business("You must set a transaction amount.")
    total = as_decimal(body["TotalAmt"])
    if total < ZERO:
        raise faults.business("You must specify a transaction amount that is 0 or greater.")
    body["TotalAmt"] = amount(total)
    body.setdefault("TxnDate", state.today().isoformat())
    body.setdefault("ProcessPayment", False)
    _set_currency(state, body)
    if ref := body.get("DepositToAccountRef"):
        chosen = state.record("Account", str(ref["value"]))
        if chosen.facts.get("accounttype") not in _DEPOSIT_ACCOUNTS:
            raise faults.business(WRONG_ACCOUNT)
    if total and not body.get("DepositToAccountRef") and (account := undeposited(state)):
        body["DepositToAccountRef"] = {"value": account["value"]}
    body["LinkedTxn"] = links
    if state.multicurrency:
        body["HomeTotalAmt"] = amount(total * as_decimal(body.get("ExchangeRate", 1)))


def _set_currency(state: CompanyState, body: JsonObject) -> None:
    customer = state.record("Customer", str(body["CustomerRef"]["value"])).body()
    expected: JsonObject = customer.get("CurrencyRef") or state.currency_ref()
    if state.multicurrency and not body.get("CurrencyRef"):
        raise FaultError(faults.required("CurrencyRef"))
    given: JsonObject = body.setdefault("CurrencyRef", expected)
    if given["value"] != expected["value"]:
        raise faults.business("The currency of the transaction is invalid for customer/vendor/account.")
    state.set_exchange_rate(body)


def _unapplied(body: JsonObject) -> Decimal:
    rest = money_of(body, "TotalAmt")
    for application in applications_of(body):
        rest += application.amount if application.kind == "CreditMemo" else -application.amount
    return rest


def _apply(state: CompanyState, body: JsonObject, *, known: str) -> None:
    """Check a payment's lines against what is open, and work out what stays unapplied."""
    body["Line"] = [_line(line) for line in body["Line"]]
    wanted: dict[tuple[str, str], Decimal] = {}
    kept = []
    for line in body["Line"]:
        link = line["LinkedTxn"][0]
        kind, target = str(link["TxnType"]), str(link["TxnId"])
        sum_so_far = wanted.get((kind, target), ZERO) + money_of(line, "Amount")
        if sum_so_far > _open(state, body, kind, target, known):
            if state.switches.over_application == "fault":
                raise faults.business(_OVER_APPLIED)
            continue
        wanted[kind, target] = sum_so_far
        kept.append(line)
    body["Line"] = kept
    unapplied = _unapplied(body)
    credits_used = sum((held for (kind, _), held in wanted.items() if kind == "CreditMemo"), ZERO)
    if unapplied < ZERO or (credits_used and unapplied > money_of(body, "TotalAmt")):
        raise faults.business(_MORE_THAN_RECEIVED)
    body["UnappliedAmt"] = amount(unapplied)


def _line(line: JsonObject) -> JsonObject:
    if line.get("Amount") is None:
        raise FaultError(faults.required("Line.Amount"))
    links = line.get("LinkedTxn") or []
    if len(links) != 1:
        raise FaultError(faults.required("Line.LinkedTxn"))
    link = {"TxnId": str(links[0].get("TxnId", "")), "TxnType": str(links[0].get("TxnType", ""))}
    if not link["TxnId"] or link["TxnId"] == "0":
        raise FaultError(faults.required("Line.LinkedTxn.TxnId"))
    if link["TxnType"] not in _LINKABLE:
        raise faults.one(
            2170, "Invalid Enumeration", f"Invalid Enumeration : {link['TxnType']}", "Line.LinkedTxn.TxnType"
        )
    value = as_decimal(line["Amount"])
    if value < ZERO:
        raise faults.business("You must specify a transaction amount that is 0 or greater.")
    return {"Amount": amount(cents(value)), "LinkedTxn": [link]}


def _open(state: CompanyState, payment: JsonObject, kind: str, target: str, known: str) -> Decimal:
    """What this payment may apply to a transaction at most."""
    if not target.isdigit():
        raise faults.invalid_id(target, "Line.LinkedTxn.TxnId")
    entity = _OTHER_LINKS.get(kind, kind)
    record: Record | None = state.store.get(entity, target)
    if record is None:
        raise faults.cannot_link(target, f"{kind} {target} does not exist")
    body = record.body()
    if kind not in {"Invoice", "CreditMemo"}:
        return money_of(body, "TotalAmt") if "TotalAmt" in body else as_decimal(10**12)
    _check_same_family(state, payment, body, target)
    if (body.get("CurrencyRef") or state.currency_ref())["value"] != payment["CurrencyRef"]["value"]:
        raise faults.business("The currency of the transaction is invalid for customer/vendor/account.")
    return money_of(body, "TotalAmt") - money_of(body, "Deposit") - applied(state, kind, target, without=known)


def _check_same_family(state: CompanyState, payment: JsonObject, settled: JsonObject, target: str) -> None:
    payer = str(payment["CustomerRef"]["value"])
    debtor = str(settled["CustomerRef"]["value"])
    if payer != debtor and payer not in _family(state, debtor) and debtor not in _family(state, payer):
        raise faults.cannot_link(target, "it belongs to another customer")


def _family(state: CompanyState, customer_id: str) -> set[str]:
    """The customers above one who are billed for it."""
    above: set[str] = set()
    record = state.store.get("Customer", customer_id)
    while record is not None and (parent := record.facts.get("parentref")) and record.body().get("BillWithParent"):
        above.add(str(parent))
        record = state.store.get("Customer", str(parent))
    return above


def _replace(state: CompanyState, stored: JsonObject, body: JsonObject) -> JsonObject:
    touched = applications_of(stored) + applications_of(body)
    describe_links(state, body)
    changed = state.change(_PAYMENT, body)
    _spread(state, touched)
    move_balances(state, "Payment", stored, changed)
    return _fresh(state, changed)


def _spread(state: CompanyState, applications: tuple[Application, ...]) -> None:
    for kind, target in dict.fromkeys((one.kind, one.target) for one in applications):
        if kind in {"Invoice", "CreditMemo"}:
            refresh_target(state, kind, target)


def _fresh(state: CompanyState, body: JsonObject) -> JsonObject:
    record = state.store.get("Payment", str(body["Id"]))
    return body if record is None else record.body()
