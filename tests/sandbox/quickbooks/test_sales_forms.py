"""Invoices and their kin: lines, discounts, tax, totals, numbers, voids and deletes."""

from decimal import Decimal
from typing import Any

import pytest

from reconcile.sandbox.quickbooks.faults import FaultError
from reconcile.sandbox.quickbooks.taxes import Rate, TaxableLine, tax_by_rate


def refused(desk: Any, resource: str, body: Any, **more: Any) -> Any:
    with pytest.raises(FaultError) as caught:
        desk.post(resource, body, **more)
    return caught.value.problems[0]


def form(*lines: Any, **more: Any) -> Any:
    return {"CustomerRef": {"value": "2"}, "Line": list(lines), **more}


@pytest.mark.parametrize("kind", ["creditmemo", "salesreceipt", "refundreceipt", "estimate"])
def test_only_invoices_tell_that_they_are_linked_to_nothing(desk: Any, sell: Any, kind: str) -> None:
    """As recordings have it; a link is shown on every form."""
    body = {"CustomerRef": {"value": "1"}, "Line": [sell("6", 5)], "DepositToAccountRef": {"value": "35"}}
    made = desk.post(kind, body)
    assert "LinkedTxn" not in made
    assert "LinkedTxn" not in desk.post(kind, {"Id": made["Id"], "SyncToken": "0", "sparse": True, "LinkedTxn": []})
    assert desk.post("invoice", body)["LinkedTxn"] == []


def test_thirty_one_lines_are_taxed_line_by_line() -> None:
    rate = (Rate("1", Decimal(12)),)
    lines = [TaxableLine(Decimal("1.59"), rate)] * 29 + [TaxableLine(Decimal("17.49"), rate)] * 2
    assert sum(line.net for line in lines) == Decimal("81.09")
    assert tax_by_rate(lines)[0].tax == Decimal("9.71")
    assert tax_by_rate(lines, "rate")[0].tax == Decimal("9.73")


def test_tax_of_two_rates_is_one_line_each(desk: Any, sell: Any) -> None:
    made = desk.post("invoice", form(sell("3", 422, "TAX"), TxnTaxDetail={"TxnTaxCodeRef": {"value": "3"}}))
    assert made["TxnTaxDetail"]["TotalTax"] == Decimal("38.4")
    assert [line["Amount"] for line in made["TxnTaxDetail"]["TaxLine"]] == [Decimal("29.96"), Decimal("8.44")]
    assert made["TotalAmt"] == made["Balance"] == Decimal("460.4")


def test_without_a_code_the_company_s_own_applies_and_only_to_taxable_lines(desk: Any, sell: Any) -> None:
    made = desk.post("invoice", form(sell("3", 100, "TAX"), sell("6", 50)))
    assert made["TxnTaxDetail"]["TxnTaxCodeRef"] == {"value": "2"}
    assert made["TxnTaxDetail"]["TaxLine"][0]["TaxLineDetail"]["NetAmountTaxable"] == 100
    assert made["TotalAmt"] == 158


def test_a_discount_comes_after_the_subtotal_and_before_tax_only_if_the_form_says_so(desk: Any, sell: Any) -> None:
    discount = {"DetailType": "DiscountLineDetail", "DiscountLineDetail": {"PercentBased": True, "DiscountPercent": 10}}
    after = desk.post("invoice", form(discount, sell("3", 100, "TAX"), ApplyTaxAfterDiscount=True))
    assert [line["DetailType"] for line in after["Line"]] == [
        "SalesItemLineDetail",
        "SubTotalLineDetail",
        "DiscountLineDetail",
    ]
    assert after["Line"][2]["DiscountLineDetail"]["DiscountAccountRef"]["value"] == "86"
    assert (after["TxnTaxDetail"]["TotalTax"], after["TotalAmt"]) == (Decimal("7.2"), Decimal("97.2"))
    before = desk.post("invoice", form(sell("3", 100, "TAX"), discount))
    assert (before["TxnTaxDetail"]["TotalTax"], before["TotalAmt"]) == (8, 98)


def test_a_discount_without_amount_or_percent_is_6090(desk: Any, sell: Any) -> None:
    line = {"DetailType": "DiscountLineDetail", "DiscountLineDetail": {"PercentBased": False}}
    assert refused(desk, "invoice", form(sell("6", 10), line)).code == 6090


def test_every_wrong_product_is_reported_with_6070(desk: Any, sell: Any) -> None:
    wrong = sell("6", Decimal("1861.07"), Qty=2, UnitPrice=10)
    with pytest.raises(FaultError) as caught:
        desk.post("invoice", form(wrong, sell("6", 20, Qty=2, UnitPrice=10), wrong))
    assert [problem.code for problem in caught.value.problems] == [6070, 6070]
    assert caught.value.problems[0].detail == "Amount is not equal to UnitPrice * Qty. Supplied value:1,861.07"
    assert caught.value.problems[0].element == "Line.Amount"


def test_quantity_times_price_rounds_half_up(desk: Any, sell: Any) -> None:
    made = desk.post("invoice", form(sell("6", Decimal("0.03"), Qty=Decimal("0.5"), UnitPrice=Decimal("0.05"))))
    assert made["TotalAmt"] == Decimal("0.03")


def test_quantity_and_price_of_nought_count_as_not_given(desk: Any, sell: Any) -> None:
    assert desk.post("invoice", form(sell("6", 100, Qty=0, UnitPrice=0)))["TotalAmt"] == 100


def test_amounts_as_texts_are_taken(desk: Any, sell: Any) -> None:
    assert desk.post("invoice", form(sell("6", "10.10")))["TotalAmt"] == Decimal("10.1")


def test_lines_get_ids_and_keep_them(desk: Any, sell: Any) -> None:
    made = desk.post("invoice", form(sell("6", 10), sell("6", 20)))
    assert [line.get("Id") for line in made["Line"]] == ["1", "2", None]
    kept = {**sell("6", 25), "Id": "2"}
    changed = desk.post(
        "invoice",
        {
            "Id": made["Id"],
            "SyncToken": "0",
            "sparse": True,
            "Line": [kept, {**sell("6", 5), "Id": "77"}, sell("6", 1)],
        },
    )
    assert [line.get("Id") for line in changed["Line"]] == ["2", "3", "4", None]
    assert changed["TotalAmt"] == 31


def test_a_line_with_nothing_but_words_has_no_amount(desk: Any, sell: Any) -> None:
    words = {"DetailType": "DescriptionOnly", "Description": "see overleaf", "Amount": 99}
    made = desk.post("invoice", form(sell("6", 10), words))
    assert made["TotalAmt"] == 10
    assert "Amount" not in made["Line"][1]


@pytest.mark.parametrize(
    ("body", "code", "element"),
    [
        ({"Line": [{"Amount": 1}]}, 2020, "CustomerRef"),
        ({"CustomerRef": {"value": "1"}}, 2020, "Line"),
        ({"CustomerRef": {"value": "1"}, "Line": []}, 2020, "Line"),
        ({"CustomerRef": {"value": "999"}, "Line": [{"Amount": 1}]}, 2500, "Reference Id"),
        ({"CustomerRef": {"value": "abc"}, "Line": [{"Amount": 1}]}, 2030, "CustomerRef.value"),
        ({"CustomerRef": "1", "Line": []}, 2010, None),
        ({"CustomerRef": {"value": "1"}, "Line": {}}, 2010, None),
        ({"CustomerRef": {"value": "1"}, "Colour": "red"}, 2010, None),
        ({"Invoice": {"CustomerRef": {"value": "1"}}}, 2010, None),
        ({"CustomerRef": {"value": "1"}, "DocNumber": "1" * 45}, 2050, "DocNumber"),
        ({"CustomerRef": {"value": "1"}, "CustomerMemo": {"value": "x" * 1016}}, 2050, "Customer Memo"),
        ({"CustomerRef": {"value": "1"}, "TxnDate": "2024-02-31"}, 2070, "TxnDate"),
        ({"CustomerRef": {"value": "1"}, "TxnDate": "soon"}, 2060, "TxnDate"),
        ({"CustomerRef": {"value": "1"}, "EmailStatus": "Perhaps"}, 2170, "EmailStatus"),
        ({"CustomerRef": {"value": "1"}, "BillEmail": {"Address": "nowhere"}}, 2210, "BillEmail"),
    ],
)
def test_a_bad_request_is_refused_with_its_code(desk: Any, body: Any, code: int, element: str | None) -> None:
    problem = refused(desk, "invoice", body)
    assert (problem.code, problem.element) == (code, element)


def test_an_unknown_property_of_a_line_is_told_with_the_known_ones(desk: Any, sell: Any) -> None:
    detail = refused(desk, "invoice", form(sell("6", 10, Amount=10))).detail
    assert detail.startswith(
        'Property Name:Unrecognized field "Amount" (class com.intuit.schema.finance.v3.SalesItemLineDetail), '
        'not marked as ignorable (18 known properties: "ItemRef", '
    )
    assert detail.endswith(" specified is unsupported or invalid")


def test_a_line_s_tax_code_is_tax_or_non(desk: Any, sell: Any) -> None:
    assert refused(desk, "invoice", form(sell("6", 10, "2"))).code == 6100


def test_a_negative_total_is_refused(desk: Any, sell: Any) -> None:
    detail = "Business Validation Error: You must specify a transaction amount that is 0 or greater."
    assert refused(desk, "invoice", form(sell("6", -10))).detail == detail


def test_numbers_are_the_client_s_own_where_the_company_says_so(desk: Any) -> None:
    own = {"SyncToken": "0", "sparse": True, "SalesFormsPrefs": {"CustomTxnNumbers": True}}
    desk.post("preferences", own)
    assert "DocNumber" not in desk.invoice("1", 10)
    assert desk.invoice("1", 10, DocNumber="007")["DocNumber"] == "007"
    preferences = {"SyncToken": "1", "sparse": True, "SalesFormsPrefs": {"CustomTxnNumbers": False}}
    desk.post("preferences", preferences)
    assert desk.invoice("1", 10)["DocNumber"] == "008"
    assert desk.invoice("1", 10, DocNumber="2000")["DocNumber"] == "2000"
    assert desk.invoice("1", 10)["DocNumber"] == "2001"


def test_a_number_used_before_is_refused_only_where_the_company_warns(desk: Any, sell: Any) -> None:
    first = desk.invoice("1", 10, DocNumber="5000")
    assert desk.invoice("1", 10, DocNumber="5000")["Id"] != first["Id"]
    desk.switch("duplicate_number_warning", True)
    problem = refused(desk, "invoice", form(sell("6", 1), DocNumber="1037"))
    assert problem.code == 6140
    assert problem.detail.endswith("DocNumber=1037 is assigned to TxnType=Invoice with TxnId=130")
    allowed = desk.post("invoice", form(sell("6", 1), DocNumber="1037"), include="allowduplicatedocnum")
    assert allowed["DocNumber"] == "1037"


def test_the_due_date_follows_the_term(desk: Any) -> None:
    made = desk.invoice("1", 10, TxnDate="2026-01-10", SalesTermRef={"value": "2"})
    assert made["DueDate"] == "2026-01-25"
    monthly = desk.post("term", {"Name": "On the 5th", "DayOfMonthDue": 5, "DueNextMonthDays": 10})
    late = desk.invoice("1", 10, TxnDate="2026-01-28", SalesTermRef={"value": monthly["Id"]})
    assert late["DueDate"] == "2026-03-05"


def test_a_full_update_empties_what_it_leaves_out_and_a_sparse_one_does_not(desk: Any, sell: Any) -> None:
    made = desk.invoice("1", 10, PrivateNote="keep", CustomerMemo={"value": "thanks"})
    sparse = desk.post("invoice", {"Id": made["Id"], "SyncToken": "0", "sparse": True, "CustomerMemo": {"value": "hi"}})
    assert (sparse["PrivateNote"], sparse["CustomerMemo"]["value"], sparse["SyncToken"]) == ("keep", "hi", "1")
    full = desk.post(
        "invoice", {"Id": made["Id"], "SyncToken": "1", "CustomerRef": {"value": "1"}, "Line": [sell("6", 10)]}
    )
    assert "PrivateNote" not in full
    assert "CustomerMemo" not in full


def test_an_old_sync_token_is_5010_and_a_missing_one_2020(desk: Any) -> None:
    made = desk.invoice("1", 10)
    desk.post("invoice", {"Id": made["Id"], "SyncToken": "0", "sparse": True, "PrivateNote": "a"})
    stale = refused(desk, "invoice", {"Id": made["Id"], "SyncToken": "0", "sparse": True, "PrivateNote": "b"})
    assert (stale.code, stale.message) == (5010, "Stale Object Error")
    missing = refused(desk, "invoice", {"Id": made["Id"], "sparse": True, "PrivateNote": "b"})
    assert (missing.code, missing.element) == (2020, "SyncToken")


def test_a_void_leaves_the_invoice_with_nothing_in_it(desk: Any) -> None:
    made = desk.invoice("1", 10, PrivateNote="for the garden")
    desk.post("invoice", {"Id": made["Id"], "SyncToken": "0"}, operation="void")
    voided = desk.get("invoice", made["Id"])
    assert (voided["TotalAmt"], voided["Balance"], voided["LinkedTxn"]) == (0, 0, [])
    assert voided["PrivateNote"] == "Voided - for the garden"
    assert "SubTotalLineDetail" not in [line["DetailType"] for line in voided["Line"]]
    assert (voided["SyncToken"], voided["Line"][0]["Amount"]) == ("1", 0)


def test_a_void_receipt_keeps_the_line_of_its_subtotal(desk: Any, sell: Any) -> None:
    made = desk.post("salesreceipt", {"CustomerRef": {"value": "1"}, "Line": [sell("6", 10, Qty=2, UnitPrice=5)]})
    voided = desk.post("salesreceipt", {"Id": made["Id"], "SyncToken": "0", "sparse": True}, "update", "void")
    sold, subtotal = voided["Line"]
    assert (sold["Amount"], sold["SalesItemLineDetail"]["Qty"]) == (0, 0)
    assert subtotal == {"Amount": 0, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}}
    assert (voided["TotalAmt"], voided["PrivateNote"], "LinkedTxn" in voided) == (0, "Voided", False)


def test_the_other_spelling_of_void_does_the_same(desk: Any) -> None:
    made = desk.invoice("1", 10)
    body = {"Id": made["Id"], "SyncToken": "0", "sparse": True}
    assert desk.post("invoice", body, operation="update", include="void")["TotalAmt"] == 0


def test_a_deleted_invoice_is_gone_and_says_so(desk: Any) -> None:
    made = desk.invoice("1", 10, DocNumber="9000")
    gone = desk.post("invoice", {"Id": made["Id"], "SyncToken": "0"}, operation="delete")
    assert gone == {"status": "Deleted", "domain": "QBO", "Id": made["Id"]}
    with pytest.raises(FaultError) as caught:
        desk.get("invoice", made["Id"])
    assert caught.value.problems[0].code == 610
    assert desk.query("select * from Invoice where DocNumber = '9000'") == []


def test_closed_books_refuse_what_is_dated_in_them(desk: Any) -> None:
    made = desk.invoice("1", 10, TxnDate="2026-01-31")
    desk.post("preferences", {"SyncToken": "0", "sparse": True, "AccountingInfoPrefs": {"BookCloseDate": "2026-01-31"}})
    body = {"Id": made["Id"], "SyncToken": "0"}
    assert refused(desk, "invoice", body, operation="delete").code == 6200
    assert refused(desk, "invoice", {**body, "sparse": True, "TxnDate": "2026-05-01"}).code == 6200
    assert desk.invoice("1", 10, TxnDate="2026-02-01")["TotalAmt"] == 10


def test_an_inventory_item_is_not_sold_before_it_existed(desk: Any, sell: Any) -> None:
    assert refused(desk, "invoice", form(sell("11", 10), TxnDate="2001-01-01")).code == 6270


def test_tax_is_left_out_where_the_company_charges_none(desk: Any, sell: Any) -> None:
    desk.post("preferences", {"SyncToken": "0", "sparse": True, "TaxPrefs": {"UsingSalesTax": False}})
    made = desk.post("invoice", form(sell("3", 100, "TAX")))
    assert made["TotalAmt"] == 100
    assert "TxnTaxDetail" not in made


def test_the_automated_engine_overrides_codes_and_honours_a_given_total(desk: Any, sell: Any) -> None:
    desk.switch("automated_sales_tax", True)
    line = sell("3", 100)
    del line["SalesItemLineDetail"]["TaxCodeRef"]
    assert desk.post("invoice", form(line))["TxnTaxDetail"]["TotalTax"] == 8
    given = desk.post("invoice", form(line, TxnTaxDetail={"TotalTax": Decimal("5.55")}))
    assert given["TotalAmt"] == Decimal("105.55")


def test_a_new_tax_code_taxes_the_next_invoice(desk: Any, sell: Any) -> None:
    agency = desk.post("taxagency", {"DisplayName": "Travis County"})
    request = (
        '{"TaxCode":"Austin","TaxRateDetails":[{"TaxRateName":"City","RateValue":"2.5%","TaxAgencyId":"'
        + agency["Id"]
        + '","TaxApplicableOn":"Sales"},{"TaxRateId":"3","TaxApplicableOn":"Sales"}]}'
    )
    answer = desk.company.tax_service(request.encode(), "")
    assert answer.startswith(
        b'{"TaxCode":"Austin","TaxCodeId":"4","TaxRateDetails":[{"TaxRateName":"City","TaxRateId":"4"'
    )
    assert b'"RateValue":2.5' in answer
    made = desk.post("invoice", form(sell("3", 100, "TAX"), TxnTaxDetail={"TxnTaxCodeRef": {"value": "4"}}))
    assert made["TxnTaxDetail"]["TotalTax"] == Decimal("10.5")
    with pytest.raises(FaultError) as caught:
        desk.company.tax_service(request.encode(), "")
    assert caught.value.problems[0].code == 6240


def test_an_invoice_knows_the_newer_properties_by_their_own_spelling(desk: Any) -> None:
    newer = {"PaymentDetailsMessage": "By cheque", "GratuityEnabled": True, "ShippingTaxIncludedInTotalTax": False}
    made = desk.invoice("1", 10, callToAction="SendInvoice", invoiceStatus="SENT", **newer)
    assert {name: made[name] for name in newer} == newer
    assert not {"callToAction", "invoiceStatus"} & set(made)
    with pytest.raises(FaultError, match="CallToAction"):
        desk.invoice("1", 10, CallToAction="SendInvoice")


@pytest.mark.parametrize("wrong", [[], [None], {}])
@pytest.mark.parametrize("name", ["TxnId", "TxnType"])
def test_a_link_of_the_wrong_type_is_2010(desk: Any, name: str, wrong: Any) -> None:
    link = {"TxnId": "100", "TxnType": "Estimate", name: wrong}
    with pytest.raises(FaultError) as caught:
        desk.invoice("24", 10, LinkedTxn=[link])
    assert caught.value.problems[0].code == 2010
    assert desk.invoice("24", 10, LinkedTxn=[{"TxnId": 100, "TxnType": "Estimate"}])["LinkedTxn"][0]["TxnId"] == "100"
