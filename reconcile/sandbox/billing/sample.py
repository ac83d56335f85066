"""Loading ReliaBills' part of the sample company, as the scenario says, with dates near today."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from reconcile.errors import ConfigurationError
from reconcile.model.money import to_minor, to_scaled
from reconcile.sandbox.billing import ledger, scenario
from reconcile.sandbox.billing.database import transaction
from reconcile.sandbox.billing.ledger import LineDraft, Terms
from reconcile.sandbox.billing.schema import BillingSession, Customer, Invoice, Product, TaxRate

SAMPLES = ("craigs", "empty")
_FOLDER = Path(__file__).parent.parent / "samples" / "craigs"
_CURRENCY = "USD"


def load_sample(engine: Engine, sample: str, today: date) -> dict[str, int]:
    """Fill a new database with ReliaBills' part of a sample company.

    Args:
        engine: a database just made.
        sample: ``craigs``, or ``empty`` for a company without records.
        today: the demo's day; the last transaction is dated the day before.

    Returns:
        How many customers, products, tax rates, invoices, payments and recurring profiles were made.

    Raises:
        ConfigurationError: there is no such sample.
    """
    check_sample(sample)
    if sample == "empty":
        return dict.fromkeys(("customers", "products", "tax_rates", "invoices", "payments", "recurring_profiles"), 0)
    with transaction(engine) as session:
        return _Loading(session, today).load()


def check_sample(sample: str) -> None:
    """Insist on a sample company that there is.

    Raises:
        ConfigurationError: there is no such sample.
    """
    if sample not in SAMPLES:
        raise ConfigurationError(f"There is no sample company {sample!r}; choose {' or '.join(SAMPLES)}.")


def read_sample(entity: str) -> list[dict[str, Any]]:
    """The objects of one entity of the sample company, numbers as Decimal: ``read_sample("invoice")``."""
    objects: list[dict[str, Any]] = json.loads(
        (_FOLDER / f"{entity}.json").read_text(encoding="utf-8"), parse_float=Decimal, parse_int=Decimal
    )
    return objects


def days_to_move(today: date) -> timedelta:
    """By how much the sample's dates are moved, so that its last transaction is dated the day before ``today``."""
    dated = [*read_sample("invoice"), *read_sample("payment")]
    last = max(date.fromisoformat(transaction_["TxnDate"]) for transaction_ in dated)
    return today - timedelta(days=1) - last


@dataclass
class _Loading:
    """One loading: what was made so far, by the names that people know."""

    session: BillingSession
    today: date
    customers: dict[str, Customer] = field(default_factory=dict)
    products: dict[str, Product] = field(default_factory=dict)
    rates: dict[str, TaxRate] = field(default_factory=dict)
    invoices: dict[str, Invoice] = field(default_factory=dict)
    payments: int = 0

    def load(self) -> dict[str, int]:
        self._customers()
        self._products()
        self._tax_rates()
        self._shared_invoices()
        self._billing_invoices()
        self._shared_payments()
        self._billing_payments()
        self._recurring()
        ledger.settings(self.session).next_invoice_number = max(map(int, _billing_numbers())) + 1
        return {
            "customers": len(self.customers),
            "products": len(self.products),
            "tax_rates": len(self.rates),
            "invoices": len(self.invoices),
            "payments": self.payments,
            "recurring_profiles": len(scenario.RECURRING),
        }

    def _customers(self) -> None:
        for found in _named("customer", "DisplayName", scenario.SHARED_CUSTOMERS):
            name = found["DisplayName"]
            details = _customer_details(found) | scenario.CUSTOMER_DIFFERENCES.get(name, {})
            details["auto_pay"] = scenario.AUTO_PAY.get(name)
            self.customers[name] = ledger.add_customer(self.session, **details)
        for details in scenario.BILLING_CUSTOMERS:
            self.customers[str(details["account_name"])] = ledger.add_customer(self.session, **details)

    def _products(self) -> None:
        for found in _named("item", "Name", scenario.SHARED_PRODUCTS):
            details: dict[str, Any] = {
                "name": found["Name"],
                "description": found.get("Description"),
                "unit_price": found.get("UnitPrice"),
                "taxable": found["Taxable"],
                "sku": found.get("Sku"),
                "active": found["Active"],
            } | scenario.PRODUCT_DIFFERENCES.get(found["Name"], {})
            self._product(details)
        for given in scenario.BILLING_PRODUCTS:
            self._product({**given, "taxable": given["taxable"] == "yes"})

    def _product(self, details: dict[str, Any]) -> None:
        price = details["unit_price"]
        details["unit_price"] = None if price is None else to_scaled(price)
        self.products[details["name"]] = ledger.add_product(self.session, **details)

    def _tax_rates(self) -> None:
        rates = {found["Id"]: found for found in read_sample("tax_rate")}
        agencies = {found["Id"]: found["DisplayName"] for found in read_sample("tax_agency")}
        for code in _named("tax_code", "Name", scenario.SHARED_TAX_RATES):
            parts = [rates[part["TaxRateRef"]["value"]] for part in code["SalesTaxRateList"]["TaxRateDetail"]]
            percent = sum((part["RateValue"] for part in parts), Decimal())
            agency = " + ".join(dict.fromkeys(agencies[part["AgencyRef"]["value"]] for part in parts))
            rate = ledger.add_tax_rate(self.session, code["Name"], to_scaled(percent), agency)
            self.rates[code["Name"]] = rate
        for name, given, agency in scenario.BILLING_TAX_RATES:
            self.rates[name] = ledger.add_tax_rate(self.session, name, to_scaled(given), agency)

    def _shared_invoices(self) -> None:
        moved = days_to_move(self.today)
        codes = {found["Id"]: found["Name"] for found in read_sample("tax_code")}
        products = {found["Id"]: found["Name"] for found in read_sample("item")}
        for found in _named("invoice", "DocNumber", scenario.SHARED_INVOICES):
            lines = [
                self._line(line, products) for line in found["Line"] if line["DetailType"] == "SalesItemLineDetail"
            ]
            code = found["TxnTaxDetail"].get("TxnTaxCodeRef", {}).get("value")
            discount = next((line for line in found["Line"] if line["DetailType"] == "DiscountLineDetail"), None)
            percent = discount["DiscountLineDetail"]["DiscountPercent"] if discount else None
            differences = scenario.INVOICE_DIFFERENCES.get(found["DocNumber"], {})
            later = timedelta(days=int(differences.get("due_date") or 0))
            self.invoices[found["DocNumber"]] = ledger.new_invoice(
                self.session,
                self.customers[found["CustomerRef"]["name"]],
                number=found["DocNumber"],
                invoice_date=date.fromisoformat(found["TxnDate"]) + moved,
                due_date=date.fromisoformat(found["DueDate"]) + moved + later,
                lines=lines,
                terms=Terms(
                    tax_rate=self.rates[codes[code]] if code else None,
                    discount_percent=to_scaled(percent) if percent else None,
                ),
                memo=None if "memo" in differences else found["CustomerMemo"]["value"],
            )

    def _line(self, line: Mapping[str, Any], products: Mapping[str, str]) -> LineDraft:
        detail = line["SalesItemLineDetail"]
        return LineDraft(
            product=self.products[products[detail["ItemRef"]["value"]]],
            description=line.get("Description"),
            quantity=to_scaled(detail["Qty"]),
            unit_price=to_scaled(detail["UnitPrice"]),
            taxable=detail["TaxCodeRef"]["value"] == "TAX",
        )

    def _typed(self, lines: Sequence[scenario.Line]) -> list[LineDraft]:
        return [
            LineDraft(
                product=self.products[line.product],
                quantity=to_scaled(line.quantity),
                unit_price=to_scaled(line.price),
                taxable=line.taxable,
            )
            for line in lines
        ]

    def _billing_invoices(self) -> None:
        for planned in scenario.BILLING_INVOICES:
            day = self.today - timedelta(days=1 + planned.age)
            off = planned.discounts
            self.invoices[planned.number] = ledger.new_invoice(
                self.session,
                self.customers[planned.customer],
                number=planned.number,
                invoice_date=day,
                due_date=day + timedelta(days=30),
                lines=self._typed(planned.lines),
                terms=Terms(
                    tax_rate=self.rates[planned.tax_rate] if planned.tax_rate else None,
                    discount_percent=to_scaled(off["percent"]) if "percent" in off else None,
                    discount_taxable=to_minor(off["taxable"], _CURRENCY) if "taxable" in off else None,
                    discount_nontaxable=to_minor(off["nontaxable"], _CURRENCY) if "nontaxable" in off else None,
                ),
                memo=planned.memo,
            )

    def _shared_payments(self) -> None:
        moved = days_to_move(self.today)
        numbers = {found["Id"]: found["DocNumber"] for found in read_sample("invoice")}
        for found in read_sample("payment"):
            links = [(line["LinkedTxn"][0], to_minor(line["Amount"], _CURRENCY)) for line in found["Line"]]
            applied = {numbers[link["TxnId"]]: amount for link, amount in links if link["TxnType"] == "Invoice"}
            unshared = set(applied) - set(scenario.SHARED_INVOICES)
            if unshared or found["Id"] in scenario.PAYMENTS_ONLY_IN_QUICKBOOKS:
                continue
            amount = to_minor(found["TotalAmt"], _CURRENCY)
            credit = sum(amount for link, amount in links if link["TxnType"] == "CreditMemo")
            by_credit = amount == 0
            ledger.take_payment(
                self.session,
                self.customers[found["CustomerRef"]["name"]],
                payment_date=date.fromisoformat(found["TxnDate"]) + moved,
                amount=amount,
                credit=credit,
                applied={self.invoices[number]: part for number, part in applied.items()},
                method="credit" if by_credit else "check" if found.get("PaymentRefNum") else "other",
                kind="credit" if by_credit else "offline",
                reference=found.get("PaymentRefNum"),
            )
            self.payments += 1

    def _billing_payments(self) -> None:
        for planned in scenario.BILLING_PAYMENTS:
            applied = {self.invoices[number]: to_minor(part, _CURRENCY) for number, part in planned.applied.items()}
            ledger.take_payment(
                self.session,
                self.customers[planned.customer],
                payment_date=self.today - timedelta(days=1 + planned.age),
                amount=sum(applied.values()),
                applied=applied,
                method=planned.method,
                kind=planned.kind,
                reference=planned.reference,
            )
            self.payments += 1

    def _recurring(self) -> None:
        for planned in scenario.RECURRING:
            ledger.add_recurring_profile(
                self.session,
                self.customers[planned.customer],
                first_date=self.today + timedelta(days=planned.due_in),
                every=planned.every,
                unit=planned.unit,
                count=planned.count,
                lines=self._typed(planned.lines),
                tax_rate=self.rates[planned.tax_rate] if planned.tax_rate else None,
            )


def _billing_numbers() -> list[str]:
    return [planned.number for planned in scenario.BILLING_INVOICES]


def _named(entity: str, key: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """The sample's objects with these names, in the scenario's order."""
    found = {candidate[key]: candidate for candidate in read_sample(entity)}
    return [found[name] for name in names]


def _customer_details(found: Mapping[str, Any]) -> dict[str, Any]:
    address = found.get("BillAddr", {})
    email, _, further = found["PrimaryEmailAddr"]["Address"].partition(",")
    return {
        "account_name": found["DisplayName"],
        "company_name": found.get("CompanyName"),
        "first_name": found["GivenName"],
        "last_name": found["FamilyName"],
        "email": email,
        "further_emails": further or None,
        "phone": found.get("PrimaryPhone", {}).get("FreeFormNumber"),
        "address": address.get("Line1"),
        "address2": address.get("Line2"),
        "city": address.get("City"),
        "region": address.get("CountrySubDivisionCode"),
        "postal_code": address.get("PostalCode"),
        "country": address.get("Country"),
        "mail_preference": "paper" if found.get("PreferredDeliveryMethod") == "Print" else "paperless",
        "active": found["Active"],
        "taxable": found["Taxable"],
    }
