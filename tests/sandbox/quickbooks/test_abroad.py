"""Companies outside the United States, and companies with more than one currency."""

from decimal import Decimal
from typing import Any

import pytest

from reconcile.sandbox.quickbooks import taxes
from reconcile.sandbox.quickbooks.faults import FaultError


@pytest.fixture
def abroad(desk: Any) -> Any:
    record = desk.company.state.store.get("CompanyInfo", "1").body()
    desk.company.state.store.put("CompanyInfo", {**record, "Country": "CA"})
    return desk


@pytest.fixture
def worldly(desk: Any) -> Any:
    desk.post("preferences", {"SyncToken": "0", "sparse": True, "CurrencyPrefs": {"MultiCurrencyEnabled": True}})
    desk.post("companycurrency", {"Code": "EUR"})
    desk.post("exchangerate", {"SourceCurrencyCode": "EUR", "Rate": Decimal("1.25"), "AsOfDate": "2020-01-01"})
    return desk


def refused(desk: Any, resource: str, body: Any) -> Any:
    with pytest.raises(FaultError) as caught:
        desk.post(resource, body)
    return caught.value.problems[0]


@pytest.fixture
def bought(abroad: Any) -> Any:
    """A tax code of 13 % on what is bought; gives lines of a bill, each with its amount."""
    rate = {"TaxRateName": "HST", "RateValue": 13, "TaxAgencyId": "1", "TaxApplicableOn": "Purchase"}
    code = taxes.create_code(abroad.company.state, {"TaxCode": "HST ON", "TaxRateDetails": [rate]})["TaxCodeId"]

    def lines(*amounts: object, taxed: bool = True) -> list[Any]:
        detail = {"AccountRef": {"value": "7"}, **({"TaxCodeRef": {"value": code}} if taxed else {})}
        kind = "AccountBasedExpenseLineDetail"
        return [{"Amount": one, "DetailType": kind, kind: detail} for one in amounts]

    return lines


def test_a_bill_s_tax_is_worked_out_line_by_line(abroad: Any, bought: Any) -> None:
    lines = bought(100, Decimal("0.05"), Decimal("0.05"))
    made = abroad.post("bill", {"VendorRef": {"value": "56"}, "Line": lines})
    entry = made["TxnTaxDetail"]["TaxLine"][0]
    assert (entry["Amount"], entry["TaxLineDetail"]["NetAmountTaxable"]) == (Decimal("13.02"), Decimal("100.1"))
    assert (made["GlobalTaxCalculation"], made["TotalAmt"], made["Balance"]) == (
        "TaxExcluded", Decimal("113.12"), Decimal("113.12")
    )  # fmt: skip
    again = abroad.post("bill", {**made, "Line": bought(10)})
    assert (again["TxnTaxDetail"]["TotalTax"], again["TotalAmt"]) == (Decimal("13.02"), Decimal("23.02"))
    del again["TxnTaxDetail"]
    assert abroad.post("bill", again)["TotalAmt"] == Decimal("11.3")


def test_a_purchase_s_tax_is_what_its_tax_lines_say(abroad: Any, bought: Any) -> None:
    paid = {"PaymentType": "Cash", "AccountRef": {"value": "35"}}
    given = {"TaxLine": [{"Amount": Decimal("0.11"), "DetailType": "TaxLineDetail"}]}
    made = abroad.post("purchase", {**paid, "Line": bought(Decimal("0.89")), "TxnTaxDetail": given})
    assert (made["TxnTaxDetail"]["TotalTax"], made["TotalAmt"]) == (Decimal("0.11"), 1)
    free = abroad.post("purchase", {**paid, "Line": bought(5, taxed=False)})
    assert (free["GlobalTaxCalculation"], free["TotalAmt"], "TxnTaxDetail" in free) == ("NotApplicable", 5, False)


def test_every_line_carries_its_own_code_and_is_rounded_by_itself(abroad: Any, sell: Any) -> None:
    lines = [sell("6", "1.59", "2")] * 3 + [sell("6", 100, "3")]
    made = abroad.post("invoice", {"CustomerRef": {"value": "1"}, "Line": lines})
    taxed = {
        entry["TaxLineDetail"]["TaxRateRef"]["value"]: entry["Amount"] for entry in made["TxnTaxDetail"]["TaxLine"]
    }
    assert taxed == {"3": Decimal("0.39"), "1": Decimal("7.1"), "2": 2}
    assert made["GlobalTaxCalculation"] == "TaxExcluded"


def test_a_line_without_code_is_refused(abroad: Any, sell: Any) -> None:
    line = sell("6", 10)
    del line["SalesItemLineDetail"]["TaxCodeRef"]
    problem = refused(abroad, "invoice", {"CustomerRef": {"value": "1"}, "Line": [line]})
    assert problem.detail.endswith("Make sure all your transactions have a GST/HST rate before you save.")


def test_no_tax_where_none_applies(abroad: Any, sell: Any) -> None:
    body = {"CustomerRef": {"value": "1"}, "Line": [sell("6", 10, "2")], "GlobalTaxCalculation": "NotApplicable"}
    assert abroad.post("invoice", body)["TotalAmt"] == 10
    assert refused(abroad, "invoice", {**body, "TxnTaxDetail": {"TotalTax": 1}}).code == 6170


def test_a_foreign_customer_is_billed_in_their_currency(worldly: Any, sell: Any) -> None:
    euro = {"value": "EUR"}
    customer = worldly.post("customer", {"DisplayName": "Blumen GmbH", "CurrencyRef": euro})
    body = {"CustomerRef": {"value": customer["Id"]}, "Line": [sell("6", 100)]}
    assert refused(worldly, "invoice", body).element == "CurrencyRef"
    made = worldly.post("invoice", {**body, "CurrencyRef": euro})
    assert (made["ExchangeRate"], made["HomeTotalAmt"], made["HomeBalance"]) == (Decimal("1.25"), 125, 125)
    wrong = refused(worldly, "invoice", {**body, "CurrencyRef": {"value": "USD"}})
    assert wrong.detail.endswith("The currency of the transaction is invalid for customer/vendor/account.")


def test_a_currency_that_is_not_listed_is_refused(worldly: Any) -> None:
    assert refused(worldly, "customer", {"DisplayName": "Elsewhere", "CurrencyRef": {"value": "GBP"}}).code == 6000
    assert refused(worldly, "companycurrency", {"Code": "XXX"}).code == 2220


def test_more_than_one_currency_is_for_good(worldly: Any) -> None:
    off = {"SyncToken": "1", "sparse": True, "CurrencyPrefs": {"MultiCurrencyEnabled": False}}
    assert refused(worldly, "preferences", off).code == 6000


def test_a_payment_says_what_it_is_worth_at_home(worldly: Any, sell: Any) -> None:
    euro = {"value": "EUR"}
    customer = worldly.post("customer", {"DisplayName": "Blumen GmbH", "CurrencyRef": euro})
    body = {"CustomerRef": {"value": customer["Id"]}, "CurrencyRef": euro}
    paid = worldly.post("payment", {**body, "TotalAmt": 40})
    assert (paid["ExchangeRate"], paid["HomeTotalAmt"]) == (Decimal("1.25"), 50)
    voided = worldly.post("payment", {"Id": paid["Id"], "SyncToken": "0"}, "void")
    assert (voided["TotalAmt"], voided["HomeTotalAmt"]) == (0, 0)
    made = worldly.post("invoice", {**body, "Line": [sell("6", 100)]})
    named = {"Id": made["Id"], "SyncToken": "0", "CustomerRef": body["CustomerRef"], "Line": [sell("6", 10)]}
    assert worldly.post("invoice", named)["CurrencyRef"]["value"] == "EUR"


def test_a_currency_that_is_no_longer_used_keeps_its_code(worldly: Any) -> None:
    euro = worldly.query("select * from CompanyCurrency where Code = 'EUR'")[0]
    closed = worldly.post("companycurrency", {**euro, "Active": False})
    assert (closed["Code"], closed["Active"]) == ("EUR", False)
