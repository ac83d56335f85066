"""Both readings of what no source settles."""

from decimal import Decimal
from typing import Any

import pytest

from reconcile.sandbox.quickbooks.faults import FaultError
from reconcile.sandbox.quickbooks.numbers import parse, render


def refused(desk: Any, resource: str, body: Any, operation: str = "") -> Any:
    with pytest.raises(FaultError) as caught:
        desk.post(resource, body, operation)
    return caught.value.problems[0]


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("Name != 'Net 15'", ["Due on receipt", "Net 30", "Net 60", "Net 10"]),
        ("Name not in ('Net 15', 'net 60')", ["Due on receipt", "Net 30", "Net 10"]),
        ("Name not like 'Net%'", ["Due on receipt"]),
        ("Name is null", []),
        ("Name is not null and Id != '1'", ["Net 15", "Net 30", "Net 60", "Net 10"]),
    ],
)
def test_further_operators(desk: Any, where: str, names: list[str]) -> None:
    statement = f"select * from Term where {where}"
    with pytest.raises(FaultError, match="4000"):
        desk.query(statement)
    desk.switch("further_operators", "accept")
    assert [term["Name"] for term in desk.query(statement)] == names


def test_a_date_time_without_offset(desk: Any) -> None:
    made = desk.post("customer", {"DisplayName": "Timed"})
    moment = made["MetaData"]["CreateTime"][:19]
    statement = f"select * from Customer where MetaData.CreateTime = '{moment}' and Id = '{made['Id']}'"
    assert desk.query(statement)
    desk.switch("zone_without_offset", "utc")
    assert not desk.query(statement)


def test_names_that_differ_in_case(desk: Any) -> None:
    body = {"DisplayName": "AMY'S BIRD SANCTUARY "}
    assert refused(desk, "customer", body).code == 6240
    desk.switch("name_comparison", "exact")
    assert desk.post("customer", body)["Active"]
    assert refused(desk, "customer", {"DisplayName": "Amy's Bird Sanctuary"}).code == 6240


def test_an_item_s_name_below_its_parent(desk: Any) -> None:
    group = desk.post("item", {"Name": "Outside", "Type": "Category"})
    body = {
        "Name": "Gardening",
        "IncomeAccountRef": {"value": "1"},
        "SubItem": True,
        "ParentRef": {"value": group["Id"]},
    }
    desk.switch("item_name_space", "company")
    assert refused(desk, "item", body).code == 6240
    desk.switch("item_name_space", "parent")
    assert desk.post("item", body)["FullyQualifiedName"] == "Outside:Gardening"


def test_what_is_left_of_deactivated_stock(desk: Any) -> None:
    off = {"Id": "11", "SyncToken": "0", "sparse": True, "Active": False}
    assert desk.post("item", off)["QtyOnHand"] == 0
    desk.switch("deactivated_stock", "kept")
    assert desk.post("item", {**off, "Id": "16"})["QtyOnHand"] == 25


@pytest.mark.parametrize(("code", "said"), [(5030, 5030), (6000, 6000)])
def test_a_feature_that_is_off(desk: Any, code: int, said: int) -> None:
    desk.switch("feature_off_code", code)
    off = {"ClassTrackingPerTxn": False, "ClassTrackingPerTxnLine": False}
    desk.post("preferences", {"SyncToken": "0", "sparse": True, "AccountingInfoPrefs": off})
    assert refused(desk, "class", {"Name": "North"}).code == said


def test_class_ids_are_long(desk: Any) -> None:
    assert desk.post("class", {"Name": "North"})["Id"] == "5000000000000007280"
    assert desk.get("class", "5000000000000007280")["Name"] == "North"


def test_what_can_be_voided(desk: Any, sell: Any) -> None:
    memo = desk.post("creditmemo", {"CustomerRef": {"value": "1"}, "Line": [sell("6", 5)]})
    body = {"Id": memo["Id"], "SyncToken": "0"}
    assert refused(desk, "creditmemo", body, "void").code == 500
    desk.switch("credit_memo_void", "on")
    assert desk.post("creditmemo", body, "void")["RemainingCredit"] == 0


def test_tax_codes_by_a_plain_post(desk: Any) -> None:
    body = {"Id": "2", "SyncToken": "0", "Name": "California state", "RateValue": 99}
    assert refused(desk, "taxrate", body).code == 500
    desk.switch("tax_codes_updatable", "on")
    changed = desk.post("taxrate", body)
    assert (changed["Name"], changed["SyncToken"], changed["RateValue"] == 99) == ("California state", "1", False)


def test_a_batch_of_more_than_thirty(desk: Any) -> None:
    items = [{"bId": str(place), "Query": "select * from Term"} for place in range(31)]
    raw = render({"BatchItemRequest": items})
    with pytest.raises(FaultError, match="1040"):
        desk.company.batch(raw, "")
    desk.switch("oversized_batch", "cut")
    assert len(parse(desk.company.batch(raw, ""))["BatchItemResponse"]) == 30


def test_a_missing_factor(desk: Any, sell: Any) -> None:
    body = {"CustomerRef": {"value": "1"}, "Line": [sell("6", 10, Qty=4)]}
    assert desk.post("invoice", body)["Line"][0]["SalesItemLineDetail"]["UnitPrice"] == Decimal("2.5")
    desk.switch("missing_factor_derived", "off")
    assert "UnitPrice" not in desk.post("invoice", body)["Line"][0]["SalesItemLineDetail"]


def test_which_forms_count_together(desk: Any, sell: Any) -> None:
    desk.post("preferences", {"SyncToken": "0", "sparse": True, "SalesFormsPrefs": {"CustomTxnNumbers": False}})
    desk.invoice("1", 10, DocNumber="500")
    body = {"CustomerRef": {"value": "1"}, "Line": [sell("6", 5)]}
    assert desk.post("creditmemo", body)["DocNumber"] == "501"
    desk.switch("shared_document_numbers", "off")
    desk.post("creditmemo", {**body, "DocNumber": "80"})
    assert desk.post("creditmemo", body)["DocNumber"] == "81"
    assert desk.invoice("1", 10)["DocNumber"] == "502"


@pytest.fixture
def abroad(desk: Any) -> Any:
    record = desk.company.state.store.get("CompanyInfo", "1").body()
    desk.company.state.store.put("CompanyInfo", {**record, "Country": "CA"})
    return desk


def test_several_rates_in_one_code(abroad: Any, sell: Any) -> None:
    body = {"CustomerRef": {"value": "1"}, "Line": [sell("6", "0.55", "3")]}
    each = abroad.post("invoice", body)["TxnTaxDetail"]["TotalTax"]
    abroad.switch("multi_rate_rounding", "combined")
    assert (each, abroad.post("invoice", body)["TxnTaxDetail"]["TotalTax"]) == (Decimal("0.05"), Decimal("0.05"))
    body["Line"] = [sell("6", "0.25", "3")]
    together = abroad.post("invoice", body)["TxnTaxDetail"]["TotalTax"]
    abroad.switch("multi_rate_rounding", "each")
    assert (abroad.post("invoice", body)["TxnTaxDetail"]["TotalTax"], together) == (Decimal("0.03"), Decimal("0.02"))


def test_lines_that_say_what_they_cost_with_tax(abroad: Any, sell: Any) -> None:
    line = sell("6", 0, "2", TaxInclusiveAmt=108)
    del line["Amount"]
    body = {"CustomerRef": {"value": "1"}, "Line": [line], "GlobalTaxCalculation": "TaxInclusive"}
    made = abroad.post("invoice", body)
    assert (made["TotalAmt"], made["TxnTaxDetail"]["TotalTax"], made["Line"][0]["Amount"]) == (108, 8, 100)
    body["Line"] = [sell("6", "92.58", "2", TaxInclusiveAmt=100)]
    made = abroad.post("invoice", body)
    assert (made["TotalAmt"], made["TxnTaxDetail"]["TotalTax"]) == (100, Decimal("7.42"))
    body["Line"] = [sell("6", 50, "2")]
    made = abroad.post("invoice", body)
    assert made["Line"][0]["SalesItemLineDetail"]["TaxInclusiveAmt"] == 54


def test_a_tax_detail_of_other_lines(abroad: Any, sell: Any) -> None:
    made = abroad.post("invoice", {"CustomerRef": {"value": "1"}, "Line": [sell("6", 100, "2")]})
    echoed = {**made, "Line": [sell("6", 50, "2")]}
    assert refused(abroad, "invoice", echoed).detail.endswith("encountered an error while calculating tax.")
    abroad.switch("stale_tax_detail", "accept")
    assert abroad.post("invoice", echoed)["TotalAmt"] == 58


def test_a_total_of_tax_is_shared_out(abroad: Any, sell: Any) -> None:
    made = abroad.post("invoice", {"CustomerRef": {"value": "1"}, "Line": [sell("6", 100, "2")]})
    detail = {**made["TxnTaxDetail"], "TotalTax": Decimal("8.01")}
    assert abroad.post("invoice", {**made, "TxnTaxDetail": detail})["TotalAmt"] == Decimal("108.01")


def test_a_fault_and_its_request_id(desk: Any) -> None:
    body = {"DisplayName": "Amy's Bird Sanctuary"}
    for stored, again in (("off", False), ("on", True)):
        desk.switch("store_faults_for_request_id", stored)
        key = f"r-{stored}"
        with pytest.raises(FaultError, match="6240"):
            desk.post("customer", body, request_id=key)
        fine = {"DisplayName": f"Someone new {stored}"}
        if again:
            with pytest.raises(FaultError, match="6240"):
                desk.post("customer", fine, request_id=key)
        else:
            assert desk.post("customer", fine, request_id=key)["Active"]


def test_the_preferences_say_who_computes_the_tax(desk: Any) -> None:
    def told() -> bool:
        return bool(desk.get("preferences", "1")["TaxPrefs"]["PartnerTaxEnabled"])

    assert not told()
    desk.switch("automated_sales_tax", True)
    assert told()
    desk.switch("bare_numbers", False)
    assert told()
    desk.switch("automated_sales_tax", False)
    assert not told()


def test_how_many_tax_codes_come_when_one_is_asked_for(desk: Any) -> None:
    assert [code["Id"] for code in desk.query("select * from TaxCode maxresults 1")] == ["TAX", "NON", "2", "3"]
    assert [code["Id"] for code in desk.query("select * from TaxCode startposition 3 maxresults 1")] == ["2", "3"]
    desk.switch("tax_codes_paged", True)
    assert [code["Id"] for code in desk.query("select * from TaxCode maxresults 1")] == ["TAX"]


def test_items_of_a_batch_without_ids(desk: Any) -> None:
    items = [{"Attachable": {"Note": f"note {number}"}} for number in range(3)]
    batch = render({"BatchItemRequest": items})
    for _ in range(2):
        answers = parse(desk.company.batch(batch, "once"))["BatchItemResponse"]
        assert [answer["Attachable"]["Note"] for answer in answers] == ["note 0", "note 1", "note 2"]
    assert len(desk.query("select * from Attachable")) == 3
    desk.switch("batch_item_without_id", "fault")
    refusals = parse(desk.company.batch(batch, ""))["BatchItemResponse"]
    assert [answer["Fault"]["Error"][0]["element"] for answer in refusals] == ["bId"] * 3
