"""Customers, vendors, employees, items, accounts, terms: names, hierarchies, deactivation."""

from decimal import Decimal
from typing import Any

import pytest

from reconcile.sandbox.quickbooks.faults import FaultError


def refused(desk: Any, resource: str, body: Any) -> Any:
    with pytest.raises(FaultError) as caught:
        desk.post(resource, body)
    return caught.value.problems[0]


def test_a_name_is_taken_by_anyone_of_the_three_lists(desk: Any) -> None:
    vendor = desk.query("select * from Vendor where DisplayName = 'PG&E'")[0]
    for resource in ("customer", "vendor", "employee"):
        problem = refused(desk, resource, {"DisplayName": " pg&e "})
        assert (problem.code, problem.detail) == (6240, f"The name supplied already exists. : Id={vendor['Id']}")


def test_a_display_name_is_built_from_the_parts(desk: Any) -> None:
    made = desk.post("customer", {"Title": "Dr", "GivenName": "Ada", "FamilyName": "King", "Suffix": "II"})
    assert made["DisplayName"] == made["PrintOnCheckName"] == made["FullyQualifiedName"] == "Dr Ada King II"
    assert refused(desk, "customer", {"CompanyName": "Only this"}).code == 6080


def test_a_new_customer_comes_back_with_its_defaults(desk: Any) -> None:
    made = desk.post("customer", {"DisplayName": "Plain", "BillAddr": {"Line1": "1 Main St.", "City": ""}})
    defaults = {
        "Active": True,
        "Taxable": False,
        "Job": False,
        "BillWithParent": False,
        "Balance": 0,
        "BalanceWithJobs": 0,
    }
    assert defaults.items() <= made.items()
    assert set(made["BillAddr"]) == {"Id", "Line1"}
    assert made["SyncToken"] == "0"


@pytest.mark.parametrize("name", ["a:b", "a\tb", "a\nb"])
def test_colon_tab_and_new_line_are_not_for_names(desk: Any, name: str) -> None:
    assert refused(desk, "customer", {"DisplayName": name}).code == 2040
    assert refused(desk, "item", {"Name": name, "IncomeAccountRef": {"value": "1"}}).code == 2040


def test_a_job_hangs_below_its_customer_and_only_so_deep(desk: Any) -> None:
    parent = "1"
    for depth in range(1, 5):
        job = desk.post("customer", {"DisplayName": f"Job {depth}", "Job": True, "ParentRef": {"value": parent}})
        assert job["Level"] == depth
        parent = job["Id"]
    assert job["FullyQualifiedName"] == "Amy's Bird Sanctuary:Job 1:Job 2:Job 3:Job 4"
    assert refused(desk, "customer", {"DisplayName": "Job 5", "Job": True, "ParentRef": {"value": parent}}).code == 6180


def test_a_renamed_parent_renames_the_full_names_below(desk: Any) -> None:
    freeman = desk.get("customer", "7")
    desk.post("customer", {"Id": "7", "SyncToken": freeman["SyncToken"], "sparse": True, "DisplayName": "Freeman"})
    assert desk.get("customer", "8")["FullyQualifiedName"] == "Freeman:0969 Ocean View Road"


def test_a_job_that_moves_takes_its_balance_along(desk: Any) -> None:
    job = desk.get("customer", "8")
    old, new = desk.get("customer", "7"), desk.get("customer", "2")
    desk.post("customer", {"Id": "8", "SyncToken": job["SyncToken"], "sparse": True, "ParentRef": {"value": "2"}})
    assert desk.get("customer", "7")["BalanceWithJobs"] == old["BalanceWithJobs"] - job["Balance"]
    assert desk.get("customer", "2")["BalanceWithJobs"] == new["BalanceWithJobs"] + job["Balance"]
    assert desk.get("customer", "8")["FullyQualifiedName"] == "Bill's Windsurf Shop:0969 Ocean View Road"


def test_a_customer_who_owes_cannot_be_deactivated(desk: Any) -> None:
    problem = refused(desk, "customer", {"Id": "1", "SyncToken": "0", "sparse": True, "Active": False})
    assert (problem.code, problem.message) == (6220, "Delete List Has Balance Error")


def test_deactivated_is_marked_unchangeable_unusable_and_its_name_free(desk: Any, sell: Any) -> None:
    made = desk.post("customer", {"DisplayName": "Gone"})
    change = {"Id": made["Id"], "SyncToken": "0", "sparse": True}
    gone = desk.post("customer", {**change, "Active": False})
    assert (gone["DisplayName"], gone["FullyQualifiedName"], gone["Active"]) == (
        "Gone (deleted)",
        "Gone (deleted)",
        False,
    )
    locked = refused(desk, "customer", {**change, "SyncToken": "1", "Notes": "x"})
    assert locked.detail == "Business Validation Error: You cannot modify a list element that has been deleted."
    used = refused(desk, "invoice", {"CustomerRef": {"value": made["Id"]}, "Line": [sell("6", 1)]})
    assert (used.code, used.detail[:66]) == (2500, "Invalid Reference Id : Something you're trying to use has been mad")
    assert desk.post("customer", {"DisplayName": "Gone"})["Id"] != made["Id"]
    assert refused(desk, "customer", {**change, "SyncToken": "1", "Active": True}).code == 6240


def test_a_returning_customer_gets_the_old_name_back(desk: Any) -> None:
    made = desk.post("customer", {"DisplayName": "Back"})
    change = {"Id": made["Id"], "sparse": True}
    desk.post("customer", {**change, "SyncToken": "0", "Active": False})
    assert desk.post("customer", {**change, "SyncToken": "1", "Active": True})["DisplayName"] == "Back"


def test_an_opening_balance_is_an_invoice(desk: Any) -> None:
    made = desk.post("customer", {"DisplayName": "Old debts", "Balance": 120, "OpenBalanceDate": "2026-01-01"})
    assert desk.get("customer", made["Id"])["Balance"] == 120
    assert [one["TotalAmt"] for one in desk.query(f"select * from Invoice where CustomerRef = '{made['Id']}'")] == [120]
    assert refused(desk, "customer", {"DisplayName": "No date", "Balance": 120}).code == 6060


def test_an_item_needs_an_account_and_a_name_of_its_own(desk: Any) -> None:
    problem = refused(desk, "item", {"Name": "Airs", "Type": "Service"})
    assert problem.detail == "Required parameter ExpenseAccountRef or IncomeAccountRef is missing in the request"
    item = desk.post("item", {"Name": "Airs", "IncomeAccountRef": {"value": "1"}, "UnitPrice": "12.5"})
    assert (item["Type"], item["UnitPrice"], item["Taxable"], item["PurchaseCost"]) == (
        "Service",
        Decimal("12.5"),
        False,
        0,
    )
    assert refused(desk, "item", {"Name": "airs", "IncomeAccountRef": {"value": "1"}}).code == 6240
    assert refused(desk, "item", {"Name": "Wrong", "IncomeAccountRef": {"value": "35"}}).code == 6000


def test_an_inventory_item_needs_its_three_accounts_and_stays_one(desk: Any) -> None:
    body = {"Name": "Bricks", "Type": "Inventory", "TrackQtyOnHand": True, "QtyOnHand": 5, "InvStartDate": "2026-01-01"}
    body |= {"IncomeAccountRef": {"value": "79"}, "ExpenseAccountRef": {"value": "80"}}
    assert "inventory assetaccount" in refused(desk, "item", body).detail
    made = desk.post("item", {**body, "AssetAccountRef": {"value": "81"}})
    change = {"Id": made["Id"], "SyncToken": "0", "sparse": True}
    assert desk.post("item", {**change, "QtyOnHand": 99})["QtyOnHand"] == 5
    assert refused(desk, "item", {**change, "SyncToken": "1", "Type": "Service"}).code == 6000


def test_a_category_is_not_for_sale(desk: Any, sell: Any) -> None:
    category = desk.post("item", {"Name": "Stones", "Type": "Category"})
    problem = refused(desk, "invoice", {"CustomerRef": {"value": "1"}, "Line": [sell(category["Id"], 10)]})
    assert problem.detail == "Invalid Reference Id : Categories cannot be used in transactions."


def test_an_account_knows_its_kind(desk: Any) -> None:
    made = desk.post("account", {"Name": "Rent income", "AccountType": "Income"})
    assert (made["Classification"], made["CurrentBalance"], made["SubAccount"]) == ("Revenue", 0, False)
    assert refused(desk, "account", {"Name": "What"}).code == 6010
    assert refused(desk, "account", {"Name": 'Say "no"', "AccountType": "Bank"}).code == 2040
    assert refused(desk, "account", {"Name": "Long", "AccountType": "Bank", "AcctNum": "12345678"}).code == 2050


def test_a_term_is_by_days_or_by_the_day_of_the_month(desk: Any) -> None:
    made = desk.post("term", {"Name": "Net 120", "DueDays": "120"})
    assert (made["Type"], made["DueDays"], made["DiscountPercent"]) == ("STANDARD", 120, 0)
    assert desk.post("term", {"Name": "Tenth", "DayOfMonthDue": 10})["Type"] == "DATE_DRIVEN"
    assert refused(desk, "term", {"Name": "Never"}).code == 2020
    assert refused(desk, "term", {"Name": "Late", "DueDays": 1000}).code == 2240


def test_a_payment_method_is_no_credit_card_unless_said(desk: Any) -> None:
    assert desk.post("paymentmethod", {"Name": "Barter"})["Type"] == "NON_CREDIT_CARD"


def test_classes_need_the_preference(desk: Any) -> None:
    assert desk.post("class", {"Name": "North"})["FullyQualifiedName"] == "North"
    off = {"ClassTrackingPerTxn": False, "ClassTrackingPerTxnLine": False}
    desk.post("preferences", {"SyncToken": "0", "sparse": True, "AccountingInfoPrefs": off})
    assert refused(desk, "class", {"Name": "South"}).code == 5030


def test_company_information_keeps_its_name_required(desk: Any) -> None:
    assert refused(desk, "companyinfo", {"Id": "1", "SyncToken": "0", "sparse": True}).code == 2020
    change = {"SyncToken": "0", "sparse": True, "CompanyName": "Craig & Co", "CompanyAddr": {"Line1": "2 Sierra Way"}}
    assert desk.post("companyinfo", change)["CompanyName"] == "Craig & Co"


def test_a_section_of_preferences_is_an_object(desk: Any) -> None:
    assert refused(desk, "preferences", {"SyncToken": "0", "sparse": True, "TaxPrefs": "off"}).code == 2010


@pytest.mark.parametrize("wrong", [8, {}, [8], [[]], [{"CustomField": 0}], [{"CustomField": [8]}]])
def test_custom_fields_of_the_wrong_type_never_reach_a_form(desk: Any, wrong: Any) -> None:
    change = {"SyncToken": "0", "sparse": True, "SalesFormsPrefs": {"CustomField": wrong}}
    assert refused(desk, "preferences", change).code == 2010
    assert desk.invoice("1", 10)["CustomField"][0]["Name"] == "Crew #"


def test_a_flag_of_the_preferences_is_no_object(desk: Any) -> None:
    change = {"SyncToken": "0", "sparse": True, "SalesFormsPrefs": {"AllowDiscount": {"value": True}}}
    assert refused(desk, "preferences", change).code == 2010


def test_preferences_name_accounts_that_are_there(desk: Any) -> None:
    prefs = desk.get("preferences", "1")
    other = {entry["Name"]: entry["Value"] for entry in prefs["OtherPrefs"]["NameValue"]}
    named = [other[f"Uncategorized{kind}AccountId"] for kind in ("Asset", "Income", "Expense")]
    named.append(prefs["SalesFormsPrefs"]["DefaultDiscountAccount"])
    assert [desk.get("account", one)["Name"] for one in named] == [
        "Uncategorized Asset", "Uncategorized Income", "Uncategorized Expense", "Discounts given"
    ]  # fmt: skip


def test_an_item_names_what_it_is_below(desk: Any) -> None:
    def below(name: str, parent: Any, **more: Any) -> Any:
        return desk.post("item", {"Name": name, "SubItem": True, "ParentRef": {"value": parent["Id"]}, **more})

    top = desk.post("item", {"Name": "Garden", "Type": "Category"})
    middle = below("Plants", top, Type="Category")
    made = below("Ivy", middle, Type="Service", IncomeAccountRef={"value": "79"})
    assert made["ParentRef"] == {"value": middle["Id"], "name": "Garden:Plants"}
    desk.post("item", {"Id": top["Id"], "SyncToken": "0", "sparse": True, "Name": "Yard"})
    assert desk.get("item", made["Id"])["ParentRef"]["name"] == "Yard:Plants"


def test_numbers_that_identify_people_are_hidden(desk: Any) -> None:
    vendor = desk.post("vendor", {"DisplayName": "Somebody", "TaxIdentifier": "123-45-6789"})
    assert vendor["TaxIdentifier"] == "XXXXXXX6789"
    assert desk.post("employee", {"GivenName": "Some", "SSN": "123-45-6789"})["SSN"] == "XXX-XX-XXXX"


def test_an_account_is_of_the_type_of_the_one_it_is_below(desk: Any) -> None:
    body = {"Name": "Till", "AccountType": "Expense", "ParentRef": {"value": "35"}}
    assert refused(desk, "account", body).code == 6000
    assert desk.post("account", {**body, "AccountType": "Bank"})["FullyQualifiedName"] == "Checking:Till"


def test_an_agency_that_says_it_is_active_is_taken(desk: Any) -> None:
    made = desk.post("taxagency", {"DisplayName": "Revenue Office", "Active": True})
    assert (made["DisplayName"], "Active" in made) == ("Revenue Office", False)


def test_preferences_hold_nothing_that_is_null_or_emptied(desk: Any) -> None:
    def change(day: Any) -> Any:
        token = desk.get("preferences", "1")["SyncToken"]
        body = {"SyncToken": token, "AccountingInfoPrefs": {"BookCloseDate": day, "TaxYearMonth": None}}
        return desk.post("preferences", body)["AccountingInfoPrefs"]

    assert change("2026-01-31")["BookCloseDate"] == change(None)["BookCloseDate"] == "2026-01-31"
    after = change("")
    assert ("BookCloseDate" in after, after["TaxYearMonth"]) == (False, "January")


def test_a_failed_write_leaves_no_trace(desk: Any, sell: Any) -> None:
    before = desk.query("select * from Customer where Id = '2'")
    next_id = int(desk.invoice("2", 10)["Id"]) + 1
    for _ in range(3):
        refused(desk, "payment", {"CustomerRef": {"value": "2"}, "TotalAmt": 5, "Line": [
            {"Amount": 5, "LinkedTxn": [{"TxnId": "999999", "TxnType": "Invoice"}]}]})  # fmt: skip
    assert int(desk.invoice("2", 10)["Id"]) == next_id
    assert desk.get("customer", "2")["Balance"] == before[0]["Balance"] + 20


def test_a_customer_with_unbilled_charges_stays(desk: Any) -> None:
    customer = desk.post("customer", {"DisplayName": "Charged"})
    detail = {"AccountRef": {"value": "7"}, "CustomerRef": {"value": customer["Id"]}, "BillableStatus": "Billable"}
    line = {
        "Amount": 5,
        "DetailType": "AccountBasedExpenseLineDetail",
        "AccountBasedExpenseLineDetail": detail,
    }
    bill = desk.post("bill", {"VendorRef": {"value": "56"}, "Line": [line]})
    leaving = {"Id": customer["Id"], "SyncToken": "0", "sparse": True, "Active": False}
    with pytest.raises(FaultError) as caught:
        desk.post("customer", leaving)
    assert caught.value.problems[0].code == 6280
    detail["BillableStatus"] = "HasBeenBilled"
    desk.post("bill", {**bill, "Line": [line]})
    assert desk.post("customer", leaving)["Active"] is False


def test_what_is_inactive_can_be_deactivated_once_more_to_no_effect(desk: Any) -> None:
    """As recorded: the object is answered as it is, its version with it."""
    gone = desk.post("account", {"Id": "5", "SyncToken": "0", "sparse": True, "Active": False})
    again = {"Id": "5", "SyncToken": "1", "sparse": True, "Active": False}
    assert desk.post("account", again) == gone
    assert desk.post("account", {**again, "Name": "Fees Billed (deleted)"}) == gone
    for changed in ({**again, "Name": "Fees"}, {"Id": "5", "SyncToken": "1", "Active": False, "Name": gone["Name"]}):
        with pytest.raises(FaultError, match="cannot modify"):
            desk.post("account", changed)


def test_a_bundle_names_its_items(desk: Any) -> None:
    lines = [{"ItemRef": {"value": "5"}, "Qty": 1}, {"ItemRef": {"value": "7"}, "Qty": 2}]
    made = desk.post(
        "item", {"Name": "Fountain, installed", "Type": "Group", "ItemGroupDetail": {"ItemGroupLine": lines}}
    )
    assert [line["ItemRef"] for line in made["ItemGroupDetail"]["ItemGroupLine"]] == [
        {"value": "5", "name": "Rock Fountain", "type": "Inventory"},
        {"value": "7", "name": "Installation", "type": "Service"},
    ]
    lines[0]["ItemRef"] = {"value": "99"}
    with pytest.raises(FaultError, match="not found"):
        desk.post("item", {"Name": "Other", "Type": "Group", "ItemGroupDetail": {"ItemGroupLine": lines}})


def test_vendors_can_be_asked_for_by_what_they_are_owed(desk: Any) -> None:
    found = desk.query("select * from Vendor where Balance > '300' orderby Balance desc")
    assert [vendor["DisplayName"] for vendor in found] == ["Diego's Road Warrior Bodyshop", "Robertson & Associates"]


@pytest.mark.parametrize(
    ("resource", "body", "told"),
    [
        ("customer", {"DisplayName": "Señora", "TaxRegime": "601"}, {"TaxRegime": "601"}),
        ("vendor", {"DisplayName": "Mason", "IsSubContractor": True}, {"IsSubContractor": True}),
        ("employee", {"GivenName": "Ann", "Notes": "Mornings"}, {"Notes": "Mornings"}),
    ],
)
def test_properties_are_those_of_the_schema(desk: Any, resource: str, body: Any, told: Any) -> None:
    made = desk.post(resource, body)
    assert {name: made.get(name) for name in told} == told
