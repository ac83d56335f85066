"""The companies that a server can start with.

`craigs` is Craig's Design and Landscaping Services, the company that every new QuickBooks sandbox starts with; all its
dates are moved by the same number of days so that its last transaction with a customer is of yesterday. What it bought
goes on for some weeks after that, as in the company itself. `empty` has the accounts, the tax pseudo codes, the terms
and the payment methods of a new company, and nothing else; `generated` is that filled by `generator`.

Its three deposits that empty Undeposited Funds link to the payments and sales receipts in them, which are closed to
every change until they are taken out (6540); what still lies there, or was paid into the bank at once, is open.
"""

from datetime import date, datetime, timedelta
from decimal import Decimal
from importlib.resources import files
from typing import Any, Final, Literal

from reconcile.sandbox.quickbooks.clock import PACIFIC, stamp
from reconcile.sandbox.quickbooks.entities import RESOURCES
from reconcile.sandbox.quickbooks.links import MIRRORED, describe_links, mirror_deposits, move_balances
from reconcile.sandbox.quickbooks.numbers import JsonObject, parse
from reconcile.sandbox.quickbooks.sales import keep_numbers
from reconcile.sandbox.quickbooks.state import CompanyState, leave_out_empty_links

Sample = Literal["craigs", "empty", "generated"]

_FILES: Final = {
    "company_info": "CompanyInfo",
    "account": "Account",
    "customer": "Customer",
    "vendor": "Vendor",
    "employee": "Employee",
    "item": "Item",
    "term": "Term",
    "payment_method": "PaymentMethod",
    "tax_agency": "TaxAgency",
    "tax_rate": "TaxRate",
    "tax_code": "TaxCode",
    "invoice": "Invoice",
    "credit_memo": "CreditMemo",
    "sales_receipt": "SalesReceipt",
    "refund_receipt": "RefundReceipt",
    "estimate": "Estimate",
    "payment": "Payment",
    "bill": "Bill",
    "bill_payment": "BillPayment",
    "purchase": "Purchase",
    "deposit": "Deposit",
    "journal_entry": "JournalEntry",
}
_BARE: Final = ("account", "term", "payment_method", "tax_code")
_DATES: Final = frozenset({"TxnDate", "DueDate", "InvStartDate", "ExpirationDate", "OpenBalanceDate", "ShipDate"})
_CUSTOM_FIELD: Final = "Crew #"
_MESSAGE: Final = "Thank you for your business and have a great day!"
_FOREIGN: Final[dict[str, JsonObject]] = {
    "CompanyCurrency": {"Id": "1", "Code": "CAD", "Name": "Canadian Dollar", "Active": True},
    "ExchangeRate": {
        "Id": "1",
        "SourceCurrencyCode": "EUR",
        "TargetCurrencyCode": "USD",
        "Rate": Decimal("1.1"),
        "AsOfDate": "2015-07-07",
    },
}
_LEFT_OUT: Final[dict[str, JsonObject]] = {
    "Customer": {"IsProject": False},
    "Vendor": {"Balance": 0},
    "Employee": {"BillableTime": False},
    "Payment": {"LinkedTxn": []},
    "Estimate": {"PrintStatus": "NeedToPrint", "EmailStatus": "NotSet"},
    "CreditMemo": {"PrintStatus": "NeedToPrint", "EmailStatus": "NotSet"},
    "SalesReceipt": {"PrintStatus": "NotSet", "EmailStatus": "NotSet"},
    "RefundReceipt": {"PrintStatus": "NotSet"},
    "Invoice": {
        "LinkedTxn": [],
        "AllowIPNPayment": False,
        "AllowOnlinePayment": False,
        "AllowOnlineCreditCardPayment": False,
        "AllowOnlineACHPayment": False,
        "Deposit": 0,
    },
}
_WITH_CUSTOMERS: Final = frozenset({"sale", "payment"})
_PSEUDO_CODES: Final = frozenset({"TAX", "NON"})
_NOON: Final = 12
_HIGHEST_ADDRESS_ID: Final = 1_000


def load(state: CompanyState, sample: Sample) -> None:
    """Fill an empty company."""
    names = _FILES if sample == "craigs" else dict.fromkeys(_BARE)
    objects = {name: _read(name) for name in names}
    shift, first = _calendar(state, objects)
    with state.store.transaction():
        _settings(state, sample, objects.pop("company_info", None), first)
        for name, bodies in objects.items():
            for body in sorted(bodies, key=_by_id):
                if sample != "empty" or _in_every_company(_FILES[name], body):
                    _moved(body, shift)
                    _put(state, _FILES[name], body, first)
        if sample == "craigs":
            for entity, held in _FOREIGN.items():
                _put(state, entity, dict(held), first)
        for record in list(state.store.all("Payment")):
            body = record.body()
            describe_links(state, body)
            state.store.put("Payment", body)
            mirror_deposits(state, "Payment", record.id)
        state.store.start_sequence("address", _HIGHEST_ADDRESS_ID)
        keep_numbers(state)


def _calendar(state: CompanyState, objects: dict[str, list[JsonObject]]) -> tuple[timedelta, date]:
    """By how much dates are moved, and the date of the first transaction then."""
    dates = [
        (RESOURCES[_FILES[name]].group, date.fromisoformat(body["TxnDate"]))
        for name, bodies in objects.items()
        for body in bodies
        if "TxnDate" in body
    ]
    sold = [day for group, day in dates if group in _WITH_CUSTOMERS]
    shift = state.today() - timedelta(days=1) - max(sold) if sold else timedelta(0)
    return shift, min((day for _, day in dates), default=state.today()) + shift


def _in_every_company(entity: str, body: JsonObject) -> bool:
    """Whether a new company has it as well; of tax codes it has the pseudo codes only, and its accounts are empty."""
    if entity == "Account":
        body["CurrentBalance"] = 0
    return entity != "TaxCode" or body["Id"] in _PSEUDO_CODES


def _put(state: CompanyState, entity: str, body: JsonObject, first: date) -> None:
    _complete(entity, body, first, state.today())
    _from_others(state, entity, body)
    state.store.put(entity, body)
    if entity == "Bill":
        move_balances(state, entity, None, body)


def _read(name: str) -> list[JsonObject]:
    raw = (files("reconcile") / "sandbox" / "samples" / "craigs" / f"{name}.json").read_bytes()
    bodies: list[JsonObject] = parse(raw)
    return bodies


def _by_id(body: JsonObject) -> tuple[bool, int]:
    text = str(body["Id"])
    return text.isdigit(), int(text) if text.isdigit() else 0


def _moved(value: Any, shift: timedelta) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in _DATES and isinstance(inner, str):
                value[name] = (date.fromisoformat(inner) + shift).isoformat()
            else:
                _moved(inner, shift)
    elif isinstance(value, list):
        for inner in value:
            _moved(inner, shift)


def _complete(entity: str, body: JsonObject, first: date, today: date) -> None:
    """Envelope fields that the sample leaves out."""
    if entity == "TaxCode" and body["Id"] in _PSEUDO_CODES:
        return
    if "InvStartDate" in body:
        # The sample sells its stock before the day it is counted from; QuickBooks refuses that (6270).
        body["InvStartDate"] = min(body["InvStartDate"], first.isoformat())
    # Nothing was entered after today, whatever date it bears.
    day = min(date.fromisoformat(str(body.get("TxnDate", first.isoformat()))), today - timedelta(days=1))
    moment = stamp(datetime(day.year, day.month, day.day, _NOON, tzinfo=PACIFIC).timestamp())
    links = [link for link in body.get("LinkedTxn", ()) if str(link.get("TxnType")) in MIRRORED]
    body |= {
        "domain": "QBO",
        "sparse": False,
        "SyncToken": str(len(links)) if entity in {"Invoice", "CreditMemo", "Bill"} else "0",
        "MetaData": {"CreateTime": moment, "LastUpdatedTime": moment},
    }
    for name, value in _LEFT_OUT.get(entity, {}).items():
        body.setdefault(name, value)
    if entity == "Account":
        body.setdefault("CurrentBalanceWithSubAccounts", body.get("CurrentBalance", 0))
    if entity == "Customer":
        for name in ("BillAddr", "ShipAddr"):
            for gone in ("Lat", "Long"):
                (body.get(name) or {}).pop(gone, None)
    if RESOURCES[entity].group == "sale":
        body.setdefault("CustomField", [{"DefinitionId": "1", "Name": _CUSTOM_FIELD, "Type": "StringType"}])
        leave_out_empty_links(entity, body)


def _from_others(state: CompanyState, entity: str, body: JsonObject) -> None:
    """What a form has from its customer and its items; a payment tells where it was paid into without a name."""
    if entity == "Payment" and "DepositToAccountRef" in body:
        body["DepositToAccountRef"] = {"value": body["DepositToAccountRef"]["value"]}
    customer = state.store.get("Customer", str((body.get("CustomerRef") or {}).get("value", "")))
    if RESOURCES[entity].group == "sale" and customer is not None:
        held = customer.body()
        for name in ("BillAddr", "ShipAddr"):
            if name in held:
                body.setdefault(name, held[name])
    for line in body.get("Line", ()) if RESOURCES[entity].group == "sale" else ():
        detail = line.get("SalesItemLineDetail") or {}
        item = state.store.get("Item", str((detail.get("ItemRef") or {}).get("value", "")))
        if item is not None and (account := item.body().get("IncomeAccountRef")):
            detail.setdefault("ItemAccountRef", account)


def _settings(state: CompanyState, sample: Sample, info: list[JsonObject] | None, first: date) -> None:
    started = datetime(first.year, first.month, first.day, _NOON, tzinfo=PACIFIC)
    moment = stamp(started.timestamp())
    envelope = {
        "domain": "QBO",
        "sparse": False,
        "Id": "1",
        "SyncToken": "0",
        "MetaData": {"CreateTime": moment, "LastUpdatedTime": moment},
    }
    company: JsonObject = info[0] if info else {"CompanyName": "Empty Company", "LegalName": "Empty Company"}
    address = {
        "Id": "1",
        "Line1": "1 Main St.",
        "City": "San Pablo",
        "CountrySubDivisionCode": "CA",
        "PostalCode": "87999",
    }
    home = {"Country": "USA"}
    company = {
        "Country": "US",
        "CompanyAddr": {**address, **company.get("CompanyAddr", {}), **home},
        "LegalAddr": {**address, **company.get("CompanyAddr", {}), **home},
        "CustomerCommunicationAddr": {**address, **company.get("CompanyAddr", {}), **home},
        "FiscalYearStartMonth": "January",
        "SupportedLanguages": "en",
        "CompanyStartDate": first.isoformat(),
        "DefaultTimeZone": "America/Los_Angeles",
        "Email": {"Address": "noreply@quickbooks.com"},
        "PrimaryPhone": {"FreeFormNumber": "(650)944-4444"},
        "WebAddr": {},
        "NameValue": [
            {"Name": "NeoEnabled", "Value": "true"},
            {"Name": "IndustryType", "Value": "Landscaping Services"},
            {"Name": "IndustryCode", "Value": "561730"},
            {"Name": "SubscriptionStatus", "Value": "SUBSCRIBED"},
            {"Name": "OfferingSku", "Value": "QuickBooks Online Plus"},
            {"Name": "PayrollFeature", "Value": "false"},
            {"Name": "AccountantFeature", "Value": "false"},
            {"Name": "ItemCategoriesFeature", "Value": "true"},
        ],
        **{key: value for key, value in company.items() if key != "CompanyAddr"},
        **envelope,
    }
    state.store.put("CompanyInfo", company)
    state.store.put("Preferences", {**_preferences(sample), **envelope})


def _custom_fields(sample: Sample) -> list[JsonObject]:
    used = sample == "craigs"
    flags: list[JsonObject] = [
        {"Name": f"SalesFormsPrefs.UseSalesCustom{number}", "Type": "BooleanType", "BooleanValue": used and number == 1}
        for number in (1, 2, 3)
    ]
    name = {"Name": "SalesFormsPrefs.SalesCustomName1", "Type": "StringType", "StringValue": _CUSTOM_FIELD}
    return [{"CustomField": flags}, {"CustomField": [name]}] if used else [{"CustomField": flags}]


_OTHER: Final = {
    "UncategorizedAssetAccountId": "32",
    "UncategorizedIncomeAccountId": "30",
    "UncategorizedExpenseAccountId": "31",
    "SFCEnabled": "true",
    "DataPartner": "false",
    "Vendor1099Enabled": "true",
    "TimeTrackingFeatureEnabled": "true",
}


def _preferences(sample: Sample) -> JsonObject:
    tax: JsonObject = {"UsingSalesTax": True, "PartnerTaxEnabled": False}
    if sample == "craigs":
        tax["TaxGroupCodeRef"] = {"value": "2"}
    return {
        "AccountingInfoPrefs": {
            "UseAccountNumbers": False,
            "TrackDepartments": True,
            "ClassTrackingPerTxn": False,
            "ClassTrackingPerTxnLine": True,
            "FirstMonthOfFiscalYear": "January",
            "TaxYearMonth": "January",
            "CustomerTerminology": "Customers",
            "DepartmentTerminology": "Location",
        },
        "ProductAndServicesPrefs": {
            "ForSales": True,
            "ForPurchase": True,
            "QuantityWithPriceAndRate": True,
            "QuantityOnHand": True,
        },
        "SalesFormsPrefs": {
            # A new QuickBooks sandbox numbers its forms itself; a company to work with keeps the numbers it is given.
            "CustomTxnNumbers": sample != "craigs",
            "AllowDeposit": True,
            "AllowDiscount": True,
            "AllowEstimates": True,
            "AllowServiceDate": True,
            "AllowShipping": False,
            "AutoApplyCredit": False,
            "AutoApplyPayments": False,
            "UsingProgressInvoicing": False,
            "DefaultTerms": {"value": "3"},
            "DefaultCustomerMessage": _MESSAGE,
            "IPNSupportEnabled": False,
            "UsingPriceLevels": False,
            "EmailCopyToCompany": False,
            "ETransactionEnabledStatus": "NotApplicable",
            "ETransactionAttachPDF": False,
            "ETransactionPaymentEnabled": False,
            **({"DefaultDiscountAccount": "86"} if sample == "craigs" else {}),
            "CustomField": _custom_fields(sample),
        },
        "EmailMessagesPrefs": {
            f"{form.title().replace(' ', '')}Message": {
                "Subject": f"{form.capitalize()} from Craig's Design and Landscaping Services",
                "Message": f"Your {form} is attached.  Thank you for your business - we appreciate it very much.",
            }
            for form in ("invoice", "estimate", "sales receipt", "statement")
        },
        "VendorAndPurchasesPrefs": {"TrackingByCustomer": True, "BillableExpenseTracking": True},
        "TimeTrackingPrefs": {
            "UseServices": True,
            "BillCustomers": True,
            "ShowBillRateToAll": False,
            "WorkWeekStartDate": "Monday",
            "MarkTimeEntriesBillable": True,
        },
        "TaxPrefs": tax,
        "CurrencyPrefs": {"MultiCurrencyEnabled": False, "HomeCurrency": {"value": "USD"}},
        "ReportPrefs": {"ReportBasis": "Accrual", "CalcAgingReportFromTxnDate": False},
        "OtherPrefs": {
            "NameValue": [
                {"Name": "SalesFormsPrefs.DefaultCustomerMessage", "Value": _MESSAGE},
                {"Name": "SalesFormsPrefs.DefaultItem", "Value": "1"},
                {"Name": "DTXCopyMemo", "Value": "false"},
                *({"Name": name, "Value": value} for name, value in _OTHER.items() if sample == "craigs"),
            ]
        },
    }
