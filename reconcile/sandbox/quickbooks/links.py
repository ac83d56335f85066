"""Payments and what they settle: one place that knows how much of a transaction is open.

A payment's lines are the only truth. The balance of an invoice, the remaining credit of a memo, the links both ways and
the customer's balance are worked out from them and written again whenever one of them moves.
"""

from decimal import Decimal
from typing import Final

from reconcile.sandbox.quickbooks import faults
from reconcile.sandbox.quickbooks.clock import parse_date
from reconcile.sandbox.quickbooks.entities import RESOURCES
from reconcile.sandbox.quickbooks.lists import move_balance, move_vendor_balance
from reconcile.sandbox.quickbooks.numbers import ZERO, JsonObject, amount, as_decimal, cents
from reconcile.sandbox.quickbooks.state import CompanyState, leave_out_empty_links, money_of
from reconcile.sandbox.quickbooks.store import Record

VOIDED: Final = "Voided"
MIRRORED: Final = frozenset({"Payment", "BillPaymentCheck", "BillPaymentCreditCard"})
"""Types of links that only mirror the lines of a payment."""
IN_DEPOSIT: Final = "Deposit"
"""Type of a link that mirrors a line of a deposit."""
_NAME_VALUE: Final = {
    "name": "{http://schema.intuit.com/finance/v3}NameValue",
    "declaredType": "com.intuit.schema.finance.v3.NameValue",
    "scope": "javax.xml.bind.JAXBElement$GlobalScope",
}


def name_value(name: str, value: str) -> JsonObject:
    """One entry of the free part of an object (`LineEx`, `PurchaseEx`), in the shape it has in JSON."""
    return {
        **_NAME_VALUE,
        "value": {"Name": name, "Value": value},
        "nil": False,
        "globalScope": True,
        "typeSubstituted": False,
    }


def applied(state: CompanyState, kind: str, target: str, *, without: str = "") -> Decimal:
    """What payments settle of a transaction, one payment left out if asked for."""
    return sum(
        (
            application.amount
            for record in state.store.find("settled by", kind, target)
            if record.id != without
            for application in record.applications
            if application.kind == kind and application.target == target
        ),
        ZERO,
    )


def open_amount(entity: str, body: JsonObject) -> Decimal:
    """What a transaction adds to the balance of its customer or vendor."""
    match entity:
        case "Invoice" | "Bill":
            return money_of(body, "Balance")
        case "CreditMemo":
            return -money_of(body, "RemainingCredit")
        case "VendorCredit":
            return -money_of(body, "Balance")
        case "Payment":
            return -money_of(body, "UnappliedAmt")
        case _:
            return ZERO


def move_balances(state: CompanyState, entity: str, before: JsonObject | None, after: JsonObject | None) -> None:
    """Carry a change of a transaction over to the balances of its customers or vendors."""
    ref = "VendorRef" if entity in {"Bill", "VendorCredit"} else "CustomerRef"
    moves: dict[str, Decimal] = {}
    for body, sign in ((before, -1), (after, 1)):
        if body is not None and (party := body.get(ref)):
            held = str(party["value"])
            moves[held] = moves.get(held, ZERO) + sign * open_amount(entity, body)
    for party_id, by in moves.items():
        if ref == "VendorRef":
            move_vendor_balance(state, party_id, by)
        else:
            move_balance(state, party_id, by)


def set_open_amount(state: CompanyState, entity: str, body: JsonObject) -> Decimal:
    """Write what is still open of an invoice or a credit memo; returns it, negative when too much is applied."""
    total = money_of(body, "TotalAmt")
    settled = applied(state, entity, str(body["Id"])) if "Id" in body else ZERO
    rest = cents(total - money_of(body, "Deposit") - settled)
    body["Balance"] = amount(rest)
    if entity == "CreditMemo":
        body["RemainingCredit"] = amount(rest)
    if state.multicurrency:
        body["HomeBalance"] = amount(rest * as_decimal(body.get("ExchangeRate", 1)))
    return rest


def refresh_target(state: CompanyState, kind: str, target: str) -> None:
    """Bring the open amount and the links of a settled transaction in line with the payments that settle it."""
    record = state.store.get(kind, target) if kind in RESOURCES else None
    if record is None:
        return
    before = record.body()
    after = record.body()
    set_open_amount(state, kind, after)
    payments = [
        {"TxnId": payment.id, "TxnType": _link_type(payment)}
        for payment in state.store.find("settled by", kind, target)
    ]
    others = [link for link in before.get("LinkedTxn", ()) if link.get("TxnType") not in MIRRORED]
    after["LinkedTxn"] = others + payments
    if after != before:
        state.change(RESOURCES[kind], after, token=state.switches.payment_moves_invoice_token)
        move_balances(state, kind, before, after)
    for payment in state.store.find("settled by", kind, target):
        if payment.entity != "Payment":
            continue
        body = payment.body()
        lines = [dict(line) for line in body["Line"]]
        describe_links(state, body)
        if body["Line"] != lines:
            state.store.put("Payment", body, silently=True)


def _link_type(payment: Record) -> str:
    return "Payment" if payment.entity == "Payment" else f"BillPayment{payment.body().get('PayType', 'Check')}"


def mirror_deposits(state: CompanyState, kind: str, target: str) -> None:
    """Let a transaction tell which deposit it sits in; neither its version nor its time is moved by that."""
    record = state.store.get(kind, target) if kind in RESOURCES else None
    if record is None:
        return
    body = record.body()
    others = [link for link in body.get("LinkedTxn", ()) if link.get("TxnType") != IN_DEPOSIT]
    held_in = [{"TxnId": one.id, "TxnType": IN_DEPOSIT} for one in state.store.find("deposited", kind, target)]
    if others + held_in != body.get("LinkedTxn", []):
        body["LinkedTxn"] = others + held_in
        leave_out_empty_links(kind, body)
        state.store.put(kind, body, silently=True)


def describe_links(state: CompanyState, payment: JsonObject) -> None:
    """Write beside each line of a payment what was open before it, and the number of what it settles."""
    for line in payment.get("Line", ()):
        links = line.get("LinkedTxn") or ()
        if not links:
            continue
        kind, target = str(links[0]["TxnType"]), str(links[0]["TxnId"])
        record = state.store.get(kind, target) if kind in RESOURCES else None
        if record is None:
            continue
        body = record.body()
        rest = money_of(body, "TotalAmt") - money_of(body, "Deposit")
        rest -= applied(state, kind, target, without=str(payment["Id"]))
        values = {"txnId": target, "txnOpenBalance": f"{cents(rest):f}"}
        if number := body.get("DocNumber"):
            values["txnReferenceNumber"] = str(number)
        line["LineEx"] = {"any": [name_value(name, value) for name, value in values.items()]}


def check_period(state: CompanyState, *bodies: JsonObject | None) -> None:
    """Refuse what would change a closed period.

    Raises:
        FaultError: 6200 (or what the switch says) when one is dated on or before the closing date.
    """
    closing = parse_date(str(state.preference("AccountingInfoPrefs", "BookCloseDate") or ""))
    if closing is None:
        return
    for body in bodies:
        day = parse_date(str((body or {}).get("TxnDate", "")))
        if day is not None and day <= closing:
            detail = (
                "The account period has closed and the account books cannot be updated through through the QBO "
                "Services API. Please use the QBO website to make these changes."
            )
            code = state.switches.closed_books_code
            if code == faults.BUSINESS:
                raise faults.business("The transaction date is prior to the closing date")
            raise faults.one(code, "Account Period Closed, Cannot Update Through Services API", detail)


def check_deposited(state: CompanyState, entity: str, record_id: str) -> None:
    """Refuse to change what sits in a deposit.

    Raises:
        FaultError: 6540.
    """
    if state.store.find("deposited", entity, record_id):
        detail = (
            "This transaction has been deposited. If you want to change or delete it, you must edit the deposit it "
            "appears on and remove it first."
        )
        raise faults.one(6540, "Deposited Transaction cannot be changed", detail)


def mark_voided(body: JsonObject) -> None:
    """Write `Voided` in front of the private note."""
    note = str(body.get("PrivateNote", ""))
    if not note.startswith(VOIDED):
        body["PrivateNote"] = f"{VOIDED} - {note}" if note else VOIDED


def undeposited(state: CompanyState) -> JsonObject | None:
    """The account where money waits for a deposit."""
    found = (one for one in state.store.all("Account") if one.facts.get("accountsubtype") == "UndepositedFunds")
    account = next(found, None)
    return None if account is None else {"value": account.id, "name": str(account.facts["fullyqualifiedname"])}
