"""What the rules of one company share: records, clock, switches, preferences, and the resolving of references."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, tzinfo
from decimal import Decimal
from typing import Any, Final

from reconcile.sandbox.quickbooks import faults
from reconcile.sandbox.quickbooks.clock import PACIFIC, Clock, stamp
from reconcile.sandbox.quickbooks.entities import RESOURCES, SHAPES, Property, Resource
from reconcile.sandbox.quickbooks.faults import FaultError
from reconcile.sandbox.quickbooks.numbers import JsonObject, as_decimal, plain
from reconcile.sandbox.quickbooks.store import Record, Store
from reconcile.sandbox.quickbooks.switches import Switches

SHIPPING_ITEM: Final = "SHIPPING_ITEM_ID"
CURRENCY_NAMES: Final = {
    "USD": "United States Dollar",
    "CAD": "Canadian Dollar",
    "EUR": "Euro",
    "GBP": "British Pound Sterling",
    "AUD": "Australian Dollar",
    "MXN": "Mexican Peso",
    "JPY": "Japanese Yen",
    "CHF": "Swiss Franc",
    "INR": "Indian Rupee",
    "NZD": "New Zealand Dollar",
}
_PLURALS: Final = {
    "Class": "Klasses",
    "Customer": "Names",
    "Vendor": "Names",
    "Employee": "Names",
    "Item": "Items",
    "Account": "Accounts",
    "Term": "Terms",
    "PaymentMethod": "PaymentMethods",
    "TaxCode": "TaxCodes",
    "TaxRate": "TaxRates",
    "TaxAgency": "TaxAgencies",
    "Department": "Departments",
}
_NAMELESS: Final = frozenset(
    {"SalesTermRef", "TaxCodeRef", "TaxRateRef", "TxnTaxCodeRef", "ParentRef", "AgencyRef",
     "DefaultTaxCodeRef", "TermRef"}
)  # fmt: skip
_NAMELESS_IN: Final = frozenset({("Payment", "DepositToAccountRef")})
_SILENT_WHEN_UNLINKED: Final = frozenset({"CreditMemo", "SalesReceipt", "RefundReceipt", "Estimate"})
_LONGEST_ID: Final = 12

Held = frozenset[tuple[str, str]]


@dataclass(slots=True)
class CompanyState:
    """One company's records and everything its rules look at."""

    realm: str
    store: Store
    clock: Clock
    switches: Switches = field(default_factory=Switches)
    base_url: str = ""
    download_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def now(self) -> float:
        """Seconds since 1970."""
        return self.clock.now().timestamp()

    def today(self) -> date:
        """The date that a form without one gets."""
        return self.clock.today()

    def preference(self, section: str, name: str, default: Any = None) -> Any:
        """One company preference."""
        record = self.store.get("Preferences", "1")
        if record is None:
            return default
        return (record.body().get(section) or {}).get(name, default)

    @property
    def company_name(self) -> str:
        """The company's name."""
        record = self.store.get("CompanyInfo", "1")
        return "another user" if record is None else str(record.body().get("CompanyName", "another user"))

    @property
    def home_currency(self) -> str:
        """The company's own currency."""
        ref = self.preference("CurrencyPrefs", "HomeCurrency") or {}
        return str(ref.get("value", "USD"))

    @property
    def multicurrency(self) -> bool:
        """Whether the company keeps more than one currency."""
        return bool(self.preference("CurrencyPrefs", "MultiCurrencyEnabled", False))

    @property
    def zone(self) -> tzinfo:
        """Zone of date-times that clients send without an offset."""
        return UTC if self.switches.zone_without_offset == "utc" else PACIFIC

    def custom_fields(self) -> dict[str, str]:
        """The custom fields of sales forms that the company uses: definition id to name."""
        named: dict[str, str] = {}
        unused: set[str] = set()
        for group in self.preference("SalesFormsPrefs", "CustomField", ()):
            for entry in group.get("CustomField", ()):
                name = str(entry.get("Name", ""))
                if ".SalesCustomName" in name and entry.get("StringValue"):
                    named[name[-1]] = str(entry["StringValue"])
                elif ".UseSalesCustom" in name and entry.get("BooleanValue") is False:
                    unused.add(name[-1])
        return {definition: name for definition, name in sorted(named.items()) if definition not in unused}

    @property
    def country(self) -> str:
        """`US`, `CA`, …: decides the model of sales tax."""
        record = self.store.get("CompanyInfo", "1")
        return "US" if record is None else str(record.body().get("Country", "US"))

    def currency_ref(self, code: str | None = None) -> JsonObject:
        """A currency reference with its name."""
        code = code or self.home_currency
        return {"value": code, "name": CURRENCY_NAMES.get(code, code)}

    def exchange_rate(self, code: str, day: str) -> Decimal | int:
        """Home units for one unit of a currency: the newest rate on or before a day, else 1."""
        if code == self.home_currency:
            return 1
        rates = [
            body
            for body in (record.body() for record in self.store.all("ExchangeRate"))
            if body.get("SourceCurrencyCode") == code and str(body.get("AsOfDate")) <= day
        ]
        if not rates:
            return 1
        return plain(as_decimal(max(rates, key=lambda body: str(body["AsOfDate"]))["Rate"]))

    def set_exchange_rate(self, body: JsonObject) -> None:
        """Give a transaction the rate of its day, unless it came with one; without multicurrency it has none."""
        if not self.multicurrency:
            body.pop("ExchangeRate", None)
        elif not body.get("ExchangeRate"):
            body["ExchangeRate"] = self.exchange_rate(str(body["CurrencyRef"]["value"]), str(body["TxnDate"]))

    # Records -----------------------------------------------------------------------------------------------------

    def record(self, entity: str, record_id: str) -> Record:
        """The record.

        Raises:
            FaultError: 2030 when the id is no number or too long for one, 610 when there is no such record.
        """
        if not record_id.isdigit() and record_id not in {"TAX", "NON"}:
            raise faults.invalid_id(record_id, "Id")
        if len(record_id) > _LONGEST_ID and self.store.get(entity, record_id) is None:
            raise faults.invalid_id(record_id, "Id")
        record = self.store.get(entity, record_id)
        if record is None or not (record.active or self.switches.read_inactive):
            raise faults.not_found()
        return record

    def current(self, entity: str, cleaned: JsonObject) -> Record:
        """The record that a write means, at the version that it expects.

        Raises:
            FaultError: Also 2020 without a SyncToken, 5010 with another one than the current.
        """
        record = self.record(entity, str(cleaned["Id"]))
        token = cleaned.get("SyncToken")
        if token is None:
            problem = faults.required("SyncToken")
            code = self.switches.missing_sync_token
            raise FaultError(faults.Problem(code, problem.message, problem.detail, problem.element))
        if token != record.sync_token:
            raise faults.stale(str(self.company_name))
        return record

    def add(self, resource: Resource, body: JsonObject, record_id: str | None = None) -> JsonObject:
        """Store a new object; returns it as stored, with id, token and times."""
        moment = stamp(self.now())
        body |= {
            "domain": "QBO",
            "sparse": False,
            "Id": record_id or self.store.next_id(resource.sequence),
            "SyncToken": "0",
            "MetaData": {"CreateTime": moment, "LastUpdatedTime": moment},
        }
        leave_out_empty_links(resource.name, body)
        self.store.put(resource.name, body)
        return body

    def change(self, resource: Resource, body: JsonObject, *, token: bool = True) -> JsonObject:
        """Store a new version of an object."""
        if token:
            body["SyncToken"] = str(int(body.get("SyncToken", "0")) + 1)
        body["sparse"] = False
        body["domain"] = "QBO"
        created = (body.get("MetaData") or {}).get("CreateTime", stamp(self.now()))
        body["MetaData"] = {"CreateTime": created, "LastUpdatedTime": stamp(self.now())}
        leave_out_empty_links(resource.name, body)
        self.store.put(resource.name, body)
        return body

    def remove(self, resource: Resource, record: Record) -> JsonObject:
        """Delete a transaction; only change data capture still mentions it."""
        stub: JsonObject = {
            "domain": "QBO",
            "status": "Deleted",
            "Id": record.id,
            "MetaData": {"LastUpdatedTime": stamp(self.now())},
        }
        self.store.put(resource.name, stub, deleted=True)
        return {"status": "Deleted", "domain": "QBO", "Id": record.id}

    def give_address_ids(self, body: JsonObject, *names: str) -> None:
        """Every stored address has an id of its own."""
        for name in names:
            address = body.get(name)
            if isinstance(address, dict) and not address.get("Id"):
                body[name] = {"Id": self.store.next_id("address"), **address}

    # References --------------------------------------------------------------------------------------------------

    def resolve(self, resource: Resource, body: JsonObject, held: Held = frozenset()) -> None:
        """Check every reference of a body and write the names beside the ids.

        Args:
            resource: What the body is.
            body: Cleaned body; names are filled in place.
            held: References that the stored version already has; they may point to deactivated things.

        Raises:
            FaultError: 2030 for an id that is no number, 2500 for one that leads nowhere or to something inactive.
        """
        self._resolve(resource.properties, body, "", resource.name, held)

    def _resolve(self, known: dict[str, Property], body: JsonObject, path: str, own: str, held: Held) -> None:
        for name, value in body.items():
            entry = known.get(name)
            if entry is None or not value:
                continue
            here = f"{path}{name}"
            if entry.kind == "ref":
                targets = tuple(own if choice == "Self" else choice for choice in entry.choices)
                self._check(value, targets, here, held, named=name not in _NAMELESS and (own, name) not in _NAMELESS_IN)
            elif entry.kind == "one":
                self._resolve(SHAPES[entry.shape], value, f"{here}.", own, held)
            elif entry.kind == "many":
                for element in value:
                    self._resolve(SHAPES[entry.shape], element, f"{here}.", own, held)

    def _check(self, ref: JsonObject, targets: tuple[str, ...], path: str, held: Held, *, named: bool) -> None:
        record_id = str(ref.get("value"))
        if targets == ("CompanyCurrency",):
            self._check_currency(ref)
            return
        if targets == ("Item",) and record_id == SHIPPING_ITEM:
            return
        if not record_id.isdigit() and not (targets == ("TaxCode",) and record_id in {"TAX", "NON"}):
            raise faults.invalid_id(record_id, f"{path}.value")
        for target in targets:
            record = self.store.get(target, record_id)
            if record is not None:
                if not record.active and (target, record_id) not in held:
                    raise faults.inactive_reference()
                if named:
                    ref["name"] = self.name_of(target, record)
                return
        raise faults.bad_reference(f"{_PLURALS.get(targets[0], targets[0])} element id {record_id} not found")

    def _check_currency(self, ref: JsonObject) -> None:
        code = str(ref.get("value"))
        known = code == self.home_currency or (
            self.multicurrency and bool(self.store.find("name", "CompanyCurrency", "", code.casefold()))
        )
        if not known:
            raise faults.business("The currency of the transaction is invalid for customer/vendor/account.")
        ref["name"] = CURRENCY_NAMES.get(code, code)

    def name_of(self, entity: str, record: Record) -> str:
        """The name that stands beside the id in a reference."""
        facts = record.facts
        if entity in {"Customer", "Vendor", "Employee"}:
            return str(facts.get("displayname"))
        if entity == "Account":
            return str(facts.get("fullyqualifiedname"))
        return str(facts.get("name") or record.body().get(RESOURCES[entity].naming, ""))


def leave_out_empty_links(entity: str, body: JsonObject) -> None:
    """Invoices and payments show that they are linked to nothing, other forms do not speak of links then."""
    if entity in _SILENT_WHEN_UNLINKED and not body.get("LinkedTxn"):
        body.pop("LinkedTxn", None)


def references(known: dict[str, Property], body: JsonObject) -> Iterator[tuple[str, str]]:
    """Every reference in a body as (resource, id)."""
    for name, value in body.items():
        entry = known.get(name)
        if entry is None or not value:
            continue
        if entry.kind == "ref":
            yield from ((choice, str(value.get("value"))) for choice in entry.choices)
        elif entry.kind == "one" and isinstance(value, dict):
            yield from references(SHAPES[entry.shape], value)
        elif entry.kind == "many":
            for element in value:
                yield from references(SHAPES[entry.shape], element)


def merged(resource: Resource, stored: JsonObject, cleaned: JsonObject) -> JsonObject:
    """The stored object with a request laid over it.

    A sparse request leaves out what stays; a full one leaves out what is to become empty. Read-only properties stay in
    both. `""` empties a property.
    """
    request = {name: value for name, value in cleaned.items() if name not in {"Id", "SyncToken", "sparse"}}
    if cleaned.get("sparse"):
        result = dict(stored)
    else:
        kept = resource.properties
        result = {name: value for name, value in stored.items() if name not in kept or kept[name].read_only}
    for name, value in request.items():
        if value == "":
            result.pop(name, None)
        else:
            result[name] = value
    return result


def keep_currency(body: JsonObject, stored: JsonObject) -> None:
    """A currency must be named when a transaction is made; an update that leaves it out means the same one."""
    if "CurrencyRef" in stored:
        body.setdefault("CurrencyRef", stored["CurrencyRef"])


def money_of(body: JsonObject, name: str) -> Decimal:
    """An amount of a stored object; absent is zero."""
    value = body.get(name)
    return Decimal(0) if value in (None, "") else Decimal(value)
