"""What a QuickBooks company has chosen that the sync depends on (API file 4.8, 4.11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class SalesTax(StrEnum):
    """How a company computes sales tax."""

    OFF = "off"
    MANUAL = "manual"  # by the tax code an invoice names
    AUTOMATED = "automated"  # by Intuit's engine, which overrides the code


@dataclass(frozen=True, slots=True)
class Preferences:
    """A company's settings.

    Attributes:
        sales_tax: how tax is computed.
        custom_numbers: whether an invoice keeps the number it is given; ``None`` when QuickBooks does not say.
        closed_until: closing date, ISO; empty when the books are open.
        home_currency: code; empty when QuickBooks does not say.
        multicurrency: whether records may be in other currencies.
        applies_credits: whether QuickBooks applies credit memos by itself.
        applies_payments: whether QuickBooks applies payments by itself.
    """

    sales_tax: SalesTax
    custom_numbers: bool | None
    closed_until: str
    home_currency: str
    multicurrency: bool
    applies_credits: bool
    applies_payments: bool


def preferences_of(raw: Mapping[str, Any]) -> Preferences:
    """The settings in QuickBooks' own object."""

    def section(name: str) -> Mapping[str, Any]:
        found = raw.get(name)
        return found if isinstance(found, Mapping) else {}

    tax, forms, currency = section("TaxPrefs"), section("SalesFormsPrefs"), section("CurrencyPrefs")
    automated = tax.get("PartnerTaxEnabled") is True
    kept = forms.get("CustomTxnNumbers")
    home = currency.get("HomeCurrency")
    return Preferences(
        sales_tax=SalesTax.AUTOMATED
        if automated
        else SalesTax.MANUAL
        if tax.get("UsingSalesTax") is True
        else SalesTax.OFF,
        custom_numbers=kept if isinstance(kept, bool) else None,
        closed_until=str(section("AccountingInfoPrefs").get("BookCloseDate") or ""),
        home_currency=str(home.get("value") or "") if isinstance(home, Mapping) else "",
        multicurrency=currency.get("MultiCurrencyEnabled") is True,
        applies_credits=forms.get("AutoApplyCredit") is True,
        applies_payments=forms.get("AutoApplyPayments") is True,
    )
