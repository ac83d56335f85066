"""Where a transaction stands in the ledger: its account, the account against it, and its amount with its sign.

QuickBooks lists a transaction under the account that it is entered in (a cheque under its bank account, a bill under
Accounts Payable), with the amount by which it raises that account's balance: what is owed on a card or to a vendor
rises by an expense, what lies in the bank falls.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from reconcile.sandbox.quickbooks.numbers import ZERO, JsonObject
from reconcile.sandbox.quickbooks.state import CompanyState, money_of

NOT_POSTING: Final = frozenset({"Estimate"})
"""Forms that move no account."""

Cell = tuple[str, str]
"""A name and the id of what bears it, as in a report."""

_SPLIT: Final[Cell] = ("-Split-", "")
_LOWERING: Final = frozenset({"CreditMemo", "RefundReceipt", "VendorCredit"})
_NAMES: Final = {
    "CreditMemo": ("Credit Memo", "CreditMemo"),
    "SalesReceipt": ("Sales Receipt", "SalesReceipt"),
    "RefundReceipt": ("Refund", "CreditRefund"),
    "Payment": ("Payment", "ReceivePayment"),
    "VendorCredit": ("Vendor Credit", "VendorCredit"),
    "JournalEntry": ("Journal Entry", "JournalEntry"),
}
_PURCHASES: Final = {
    "1": ("Credit Card Expense", "CreditCardCharge"),
    "3": ("Check", "Check"),
    "11": ("Credit Card Credit", "CreditCardCredit"),
    "31": ("Cash Expense", "CashPurchase"),
}
_EXPENSE: Final = ("Expense", "Expense")


def described(kind: str, body: JsonObject) -> tuple[str, str]:
    """What reports call a transaction, and the word by which they are asked for it (`transaction_type`)."""
    if kind == "Purchase":
        entries = (body.get("PurchaseEx") or {}).get("any", ())
        return _PURCHASES.get(next((str(one["value"]["Value"]) for one in entries), ""), _EXPENSE)
    if kind == "BillPayment":
        card = body.get("PayType") == "CreditCard"
        how = ("Credit Card", "CreditCard") if card else ("Check", "Check")
        return f"Bill Payment ({how[0]})", f"BillPayment{how[1]}"
    return _NAMES.get(kind, (kind, kind))


def posted(state: CompanyState, kind: str, body: JsonObject) -> tuple[Cell, Cell, Decimal]:
    """The account of a transaction, the one against it (`-Split-` for several), and its signed amount."""
    if kind == "JournalEntry":
        return _journal(body)
    others = list(dict.fromkeys(_against(state, kind, body)))
    other = others[0] if len(others) == 1 else _SPLIT if others else ("", "")
    return _account(state, kind, body), other, _signed(kind, body)


def _journal(body: JsonObject) -> tuple[Cell, Cell, Decimal]:
    sides = [line.get("JournalEntryLineDetail") or {} for line in body["Line"]]
    accounts = [_cell(side.get("AccountRef")) for side in sides]
    debits = sum(
        (
            money_of(line, "Amount")
            for line, side in zip(body["Line"], sides, strict=True)
            if side.get("PostingType") == "Debit"
        ),
        ZERO,
    )
    rest = list(dict.fromkeys(accounts[1:]))
    return accounts[0], rest[0] if len(rest) == 1 else _SPLIT, debits


def _signed(kind: str, body: JsonObject) -> Decimal:
    total = money_of(body, "TotalAmt")
    match kind:
        case "Purchase":
            return total if body.get("PaymentType") == "CreditCard" and not body.get("Credit") else -total
        case "BillPayment":
            return total if body.get("PayType") == "CreditCard" else -total
        case "Payment":
            return total
        case _:
            return -total if kind in _LOWERING else total


def _account(state: CompanyState, kind: str, body: JsonObject) -> Cell:
    """Under which account a transaction is entered."""
    match kind:
        case "Invoice" | "CreditMemo" | "Estimate":
            return _first(state, "AccountsReceivable")
        case "Bill" | "VendorCredit":
            return _cell(body.get("APAccountRef")) if body.get("APAccountRef") else _first(state, "AccountsPayable")
        case "Purchase":
            return _cell(body.get("AccountRef"))
        case "BillPayment":
            detail = body.get("CheckPayment") or body.get("CreditCardPayment") or {}
            return _cell(detail.get("BankAccountRef") or detail.get("CCAccountRef"))
        case _:
            ref = body.get("DepositToAccountRef")
            held = state.store.get("Account", str(ref["value"])) if ref else None
            return ("", "") if held is None else (str(held.facts["fullyqualifiedname"]), held.id)


def _against(state: CompanyState, kind: str, body: JsonObject) -> Iterator[Cell]:
    """The accounts of its lines."""
    if kind in {"Payment", "BillPayment"}:
        yield _first(state, "AccountsReceivable" if kind == "Payment" else "AccountsPayable")
        return
    yield from _of_lines(state, body)
    if kind not in {"Deposit", "Estimate"} and money_of(body.get("TxnTaxDetail") or {}, "TotalTax"):
        yield _SPLIT


def _of_lines(state: CompanyState, body: JsonObject) -> Iterator[Cell]:
    if body.get("CashBack"):
        yield _cell(body["CashBack"].get("AccountRef"))
    for line in body.get("Line", ()):
        detail = line.get(str(line.get("DetailType"))) or {}
        ref = detail.get("AccountRef") or detail.get("ItemAccountRef") or detail.get("DiscountAccountRef")
        if not ref and (item := detail.get("ItemRef")):
            held = state.store.get("Item", str(item.get("value")))
            ref = (held.body().get("AssetAccountRef") or held.body().get("ExpenseAccountRef")) if held else None
        if ref:
            yield _cell(ref)
        elif line.get("LinkedTxn"):
            yield _first(state, "UndepositedFunds")


def _cell(ref: JsonObject | None) -> Cell:
    return ("", "") if not ref else (str(ref.get("name", "")), str(ref.get("value", "")))


def _first(state: CompanyState, subtype: str) -> Cell:
    found = (one for one in state.store.all("Account") if one.facts.get("accountsubtype") == subtype)
    account = next(found, None)
    return ("", "") if account is None else (str(account.facts["fullyqualifiedname"]), account.id)
