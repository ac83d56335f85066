"""A company of any size, drawn by seed: for benchmarks, and for clients that must page."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from reconcile.sandbox.quickbooks import taxes
from reconcile.sandbox.quickbooks.clock import PACIFIC, stamp
from reconcile.sandbox.quickbooks.entities import RESOURCES
from reconcile.sandbox.quickbooks.numbers import HUNDRED, ZERO, JsonObject, amount, cents, plain
from reconcile.sandbox.quickbooks.sales import keep_numbers
from reconcile.sandbox.quickbooks.state import CompanyState

_ITEMS: Final = 40
_INVOICES_PER_CUSTOMER: Final = 5
_FEWEST_CUSTOMERS: Final = 10
_DAYS: Final = 730
_TERM_DAYS: Final = 30
_AT_ONCE: Final = 1_000
_PERCENT: Final = Decimal("8.25")
_FIRST_NUMBER: Final = 1_001
_PAID_OF_FIVE: Final = 2


@dataclass(slots=True)
class _Drawn:
    """What invoices are drawn from, and what they come to."""

    customers: list[JsonObject]
    items: list[JsonObject]
    code: str
    rate: str
    balances: dict[str, Decimal] = field(default_factory=dict)


def generate(state: CompanyState, invoices: int, seed: int = 0) -> None:
    """Fill a company that has accounts, terms and tax pseudo codes.

    Two of five invoices are paid, each by a payment of its own, so `invoices * 2 // 5` payments are made beside them.

    Args:
        state: The company.
        invoices: How many.
        seed: Start of the random draw; the same company comes of the same seed and day.
    """
    draw = random.Random(seed)
    with state.store.transaction():
        drawn = _lists(state, max(invoices // _INVOICES_PER_CUSTOMER, _FEWEST_CUSTOMERS))
    today = state.today()
    for start in range(0, invoices, _AT_ONCE):
        with state.store.transaction():
            for place in range(start, min(start + _AT_ONCE, invoices)):
                day = today - timedelta(days=_DAYS - place * _DAYS // invoices)
                _sell(state, drawn, draw, place, day)
    with state.store.transaction():
        for customer in drawn.customers:
            held = amount(drawn.balances.get(str(customer["Id"]), ZERO))
            state.store.put("Customer", {**customer, "Balance": held, "BalanceWithJobs": held}, silently=True)
        keep_numbers(state)


def _lists(state: CompanyState, customers: int) -> _Drawn:
    income = next(one for one in state.store.all("Account") if one.facts.get("accounttype") == "Income")
    account = {"value": income.id, "name": str(income.facts["fullyqualifiedname"])}
    agency = state.add(RESOURCES["TaxAgency"], {"DisplayName": "State Board of Equalization"})
    details = [{"TaxRateName": "State", "RateValue": str(_PERCENT), "TaxAgencyId": agency["Id"],
                "TaxApplicableOn": "Sales"}]  # fmt: skip
    made = taxes.create_code(state, {"TaxCode": "State", "TaxRateDetails": details})
    items = [
        state.add(
            RESOURCES["Item"],
            {
                "Name": f"Service {number}",
                "FullyQualifiedName": f"Service {number}",
                "Type": "Service",
                "Active": True,
                "Taxable": number % 2 == 0,
                "UnitPrice": amount(Decimal(number * 725) / HUNDRED),
                "PurchaseCost": 0,
                "TrackQtyOnHand": False,
                "IncomeAccountRef": account,
            },
        )
        for number in range(1, _ITEMS + 1)
    ]
    people = [state.add(RESOURCES["Customer"], _customer(state, number)) for number in range(1, customers + 1)]
    return _Drawn(people, items, str(made["TaxCodeId"]), str(made["TaxRateDetails"][0]["TaxRateId"]))


def _customer(state: CompanyState, number: int) -> JsonObject:
    name = f"Customer {number:06d}"
    address = {
        "Id": state.store.next_id("address"),
        "Line1": f"{number} Main St.",
        "City": "Bayshore",
        "CountrySubDivisionCode": "CA",
        "PostalCode": f"{90000 + number % 1000}",
    }
    return {
        "DisplayName": name,
        "FullyQualifiedName": name,
        "PrintOnCheckName": name,
        "Active": True,
        "PrimaryEmailAddr": {"Address": f"c{number}@example.com"},
        "PrimaryPhone": {"FreeFormNumber": f"(650) 555-{number % 10000:04d}"},
        "Taxable": number % 2 == 0,
        "BillAddr": address,
        "Job": False,
        "BillWithParent": False,
        "Balance": 0,
        "BalanceWithJobs": 0,
        "CurrencyRef": state.currency_ref(),
        "PreferredDeliveryMethod": "Print",
        "IsProject": False,
    }


def _lines(drawn: _Drawn, draw: random.Random, code: str) -> Iterator[JsonObject]:
    for place in (1, 2, 3):
        item = drawn.items[draw.randrange(len(drawn.items))]
        quantity = draw.randrange(1, 9)
        yield {
            "Id": str(place),
            "LineNum": place,
            "Description": f"{item['Name']}, as agreed",
            "Amount": amount(Decimal(item["UnitPrice"]) * quantity),
            "DetailType": "SalesItemLineDetail",
            "SalesItemLineDetail": {
                "ItemRef": {"value": item["Id"], "name": item["Name"]},
                "ItemAccountRef": item["IncomeAccountRef"],
                "Qty": quantity,
                "UnitPrice": item["UnitPrice"],
                "TaxCodeRef": {"value": code},
            },
        }


def _sell(state: CompanyState, drawn: _Drawn, draw: random.Random, place: int, day: date) -> None:
    customer = drawn.customers[draw.randrange(len(drawn.customers))]
    code = "TAX" if customer["Taxable"] else "NON"
    lines = list(_lines(drawn, draw, code))
    subtotal = sum((Decimal(line["Amount"]) for line in lines), ZERO)
    tax = cents(subtotal * _PERCENT / HUNDRED) if code == "TAX" else ZERO
    total = subtotal + tax
    detail: JsonObject = {"TotalTax": amount(tax)}
    if tax:
        rate = {
            "TaxRateRef": {"value": drawn.rate},
            "PercentBased": True,
            "TaxPercent": plain(_PERCENT),
            "NetAmountTaxable": amount(subtotal),
        }
        detail["TxnTaxCodeRef"] = {"value": drawn.code}
        detail["TaxLine"] = [{"Amount": amount(tax), "DetailType": "TaxLineDetail", "TaxLineDetail": rate}]
    paid = place % _INVOICES_PER_CUSTOMER < _PAID_OF_FIVE
    moment = stamp(datetime(day.year, day.month, day.day, 12, place % 60, tzinfo=PACIFIC).timestamp())
    invoice_id = state.store.next_id("transaction")
    payment_id = state.store.next_id("transaction") if paid else ""
    address = customer["BillAddr"]
    common = {
        "domain": "QBO",
        "sparse": False,
        "MetaData": {"CreateTime": moment, "LastUpdatedTime": moment},
        "TxnDate": day.isoformat(),
        "CurrencyRef": state.currency_ref(),
        "CustomerRef": {"value": customer["Id"], "name": customer["DisplayName"]},
    }
    number = str(_FIRST_NUMBER + place)
    invoice = {
        **common,
        "Id": invoice_id,
        "SyncToken": "1" if paid else "0",
        "CustomField": [],
        "DocNumber": number,
        "LinkedTxn": [{"TxnId": payment_id, "TxnType": "Payment"}] if paid else [],
        "Line": [*lines, {"Amount": amount(subtotal), "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}}],
        "TxnTaxDetail": detail,
        "BillAddr": address,
        "DueDate": (day + timedelta(days=_TERM_DAYS)).isoformat(),
        "TotalAmt": amount(total),
        "ApplyTaxAfterDiscount": False,
        "PrintStatus": "NeedToPrint",
        "EmailStatus": "NotSet",
        "BillEmail": customer["PrimaryEmailAddr"],
        "Balance": 0 if paid else amount(total),
        "Deposit": 0,
        **dict.fromkeys(
            ("AllowIPNPayment", "AllowOnlinePayment", "AllowOnlineCreditCardPayment", "AllowOnlineACHPayment"), False
        ),
    }
    state.store.put("Invoice", invoice)
    if paid:
        state.store.put("Payment", _payment(common, payment_id, invoice_id, number, total))
    else:
        held = str(customer["Id"])
        drawn.balances[held] = drawn.balances.get(held, ZERO) + total


def _payment(common: JsonObject, payment_id: str, invoice_id: str, number: str, total: Decimal) -> JsonObject:
    values = {"txnId": invoice_id, "txnOpenBalance": f"{total:.2f}", "txnReferenceNumber": number}
    line = {
        "Amount": amount(total),
        "LinkedTxn": [{"TxnId": invoice_id, "TxnType": "Invoice"}],
        "LineEx": {"any": [_name_value(name, value) for name, value in values.items()]},
    }
    return {
        **common,
        "Id": payment_id,
        "SyncToken": "0",
        "DepositToAccountRef": {"value": "4"},
        "TotalAmt": amount(total),
        "UnappliedAmt": 0,
        "ProcessPayment": False,
        "LinkedTxn": [],
        "Line": [line],
    }


def _name_value(name: str, value: str) -> JsonObject:
    return {
        "name": "{http://schema.intuit.com/finance/v3}NameValue",
        "declaredType": "com.intuit.schema.finance.v3.NameValue",
        "scope": "javax.xml.bind.JAXBElement$GlobalScope",
        "value": {"Name": name, "Value": value},
        "nil": False,
        "globalScope": True,
        "typeSubstituted": False,
    }
