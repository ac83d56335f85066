"""What one transaction does to others: bills and their payments, estimates, stock, merges, numbers, custom fields."""

from decimal import Decimal
from typing import Any

import pytest

from reconcile.sandbox.quickbooks import lists
from reconcile.sandbox.quickbooks.entities import RESOURCES
from reconcile.sandbox.quickbooks.faults import FaultError
from reconcile.sandbox.quickbooks.numbers import parse


def refused(desk: Any, resource: str, body: Any, operation: str = "") -> Any:
    with pytest.raises(FaultError) as caught:
        desk.post(resource, body, operation)
    return caught.value.problems[0]


def expense(account: str, amount: object) -> Any:
    detail = {"AccountRef": {"value": account}}
    return {"Amount": amount, "DetailType": "AccountBasedExpenseLineDetail", "AccountBasedExpenseLineDetail": detail}


@pytest.fixture
def supplier(desk: Any) -> Any:
    return desk.post("vendor", {"DisplayName": "Stone & Sons"})


def bill(desk: Any, vendor: Any, amount: object) -> Any:
    return desk.post("bill", {"VendorRef": {"value": vendor["Id"]}, "Line": [expense("7", amount)]})


def pay(desk: Any, vendor: Any, total: object, *parts: tuple[str, str, object]) -> Any:
    lines = [{"Amount": part, "LinkedTxn": [{"TxnId": txn, "TxnType": kind}]} for kind, txn, part in parts]
    how = {"PayType": "Check", "CheckPayment": {"BankAccountRef": {"value": "35"}}}
    return desk.post("billpayment", {"VendorRef": {"value": vendor["Id"]}, "TotalAmt": total, "Line": lines, **how})


def test_a_bill_payment_takes_from_the_bill_and_from_what_the_vendor_is_owed(desk: Any, supplier: Any) -> None:
    made = bill(desk, supplier, 100)
    assert (made["Balance"], made["APAccountRef"]["name"], made["DueDate"]) == (
        100, "Accounts Payable (A/P)", made["TxnDate"]
    )  # fmt: skip
    detail = made["Line"][0]["AccountBasedExpenseLineDetail"]
    assert (detail["BillableStatus"], detail["TaxCodeRef"]) == ("NotBillable", {"value": "NON"})
    credit = desk.post("vendorcredit", {"VendorRef": {"value": supplier["Id"]}, "Line": [expense("7", 30)]})
    assert desk.get("vendor", supplier["Id"])["Balance"] == 70
    payment = pay(desk, supplier, 50, ("Bill", made["Id"], 80), ("VendorCredit", credit["Id"], 30))
    after = desk.get("bill", made["Id"])
    assert (after["Balance"], after["LinkedTxn"]) == (20, [{"TxnId": payment["Id"], "TxnType": "BillPaymentCheck"}])
    assert desk.get("vendorcredit", credit["Id"])["Balance"] == 0
    assert desk.get("vendor", supplier["Id"])["Balance"] == 20
    desk.post("billpayment", {"Id": payment["Id"], "SyncToken": "0"}, "delete")
    assert desk.get("bill", made["Id"])["Balance"] == 100
    assert desk.get("vendor", supplier["Id"])["Balance"] == 70


def test_a_bill_cannot_be_paid_twice_by_another_vendor_or_changed_below_what_is_paid(desk: Any, supplier: Any) -> None:
    made = bill(desk, supplier, 100)
    pay(desk, supplier, 80, ("Bill", made["Id"], 80))
    with pytest.raises(FaultError, match="more than the open balance"):
        pay(desk, supplier, 30, ("Bill", made["Id"], 30))
    other = desk.post("vendor", {"DisplayName": "Other"})
    with pytest.raises(FaultError, match="another vendor"):
        pay(desk, other, 10, ("Bill", made["Id"], 10))
    body = {"Id": made["Id"], "SyncToken": "1", "VendorRef": {"value": supplier["Id"]}, "Line": [expense("7", 50)]}
    assert refused(desk, "bill", body).code == 6000
    desk.post("bill", {"Id": made["Id"], "SyncToken": "1"}, "delete")
    assert desk.get("vendor", supplier["Id"])["Balance"] == 0


@pytest.mark.parametrize(
    ("resource", "body", "code"),
    [
        ("bill", {"VendorRef": {"value": "56"}, "Line": [{"Amount": 1}]}, 2020),
        ("bill", {"VendorRef": {"value": "56"}, "Line": []}, 2020),
        ("purchase", {"PaymentType": "CreditCard", "AccountRef": {"value": "35"}, "Line": [expense("7", 1)]}, 6000),
        ("billpayment", {"VendorRef": {"value": "56"}, "TotalAmt": 1, "Line": [], "PayType": "Check"}, 2020),
        ("deposit", {"DepositToAccountRef": {"value": "7"}, "Line": [{"Amount": 1}]}, 6000),
    ],
)
def test_documents_ask_for_what_they_need(desk: Any, resource: str, body: Any, code: int) -> None:
    assert refused(desk, resource, body).code == code


def test_an_invoice_made_from_an_estimate_closes_it(desk: Any, sell: Any) -> None:
    estimate = desk.post("estimate", {"CustomerRef": {"value": "1"}, "Line": [sell("6", 90)]})
    link = {"TxnId": estimate["Id"], "TxnType": "Estimate"}
    made = desk.invoice("1", 90, LinkedTxn=[link])
    held = desk.get("estimate", estimate["Id"])
    assert (held["TxnStatus"], held["LinkedTxn"]) == ("Closed", [{"TxnId": made["Id"], "TxnType": "Invoice"}])
    assert made["LinkedTxn"] == [link]
    desk.post("invoice", {"Id": made["Id"], "SyncToken": "0"}, "void")
    assert desk.get("estimate", estimate["Id"])["TxnStatus"] == "Accepted"
    with pytest.raises(FaultError, match="no such estimate"):
        desk.invoice("2", 90, LinkedTxn=[link])


def test_stock_falls_with_a_sale_and_comes_back_with_it(desk: Any, sell: Any) -> None:
    before = desk.get("item", "11")["QtyOnHand"]
    body = {"CustomerRef": {"value": "1"}, "Line": [sell("11", 30, Qty=2, UnitPrice=15)]}
    made = desk.post("invoice", body)
    assert desk.get("item", "11")["QtyOnHand"] == before - 2
    changed = {"Id": made["Id"], "SyncToken": "0", **body, "Line": [sell("11", 75, Qty=5, UnitPrice=15)]}
    desk.post("invoice", changed)
    assert desk.get("item", "11")["QtyOnHand"] == before - 5
    desk.post("invoice", {"Id": made["Id"], "SyncToken": "1"}, "delete")
    assert desk.get("item", "11")["QtyOnHand"] == before
    desk.switch("stock_follows_sales", "off")
    desk.post("invoice", body)
    assert desk.get("item", "11")["QtyOnHand"] == before


def test_a_merged_customer_is_gone_for_good_and_what_it_bought_belongs_to_the_other(desk: Any) -> None:
    made = desk.invoice("1", 50)
    one, other = desk.get("customer", "1"), desk.get("customer", "2")
    with desk.company.state.store.transaction():
        lists.merge(desk.company.state, RESOURCES["Customer"], "1", "2")
    assert desk.get("invoice", made["Id"])["CustomerRef"] == {"value": "2", "name": other["DisplayName"]}
    assert desk.get("customer", "2")["Balance"] == one["Balance"] + other["Balance"]
    gone = desk.get("customer", "1")
    assert (gone["Active"], gone["Balance"]) == (False, 0)
    body = {"Id": "1", "SyncToken": gone["SyncToken"], "sparse": True, "Active": True}
    problem = refused(desk, "customer", body)
    assert (problem.code, problem.detail) == (
        6000, "Business Validation Error: You cannot modify a list element that has been deleted."
    )  # fmt: skip


def test_a_new_name_shows_wherever_the_old_one_stood(desk: Any) -> None:
    made = desk.invoice("1", 50)
    desk.post("customer", {"Id": "1", "SyncToken": "0", "sparse": True, "DisplayName": "Amy's Birds"})
    desk.post("item", {"Id": "6", "SyncToken": "0", "sparse": True, "Name": "Garden care"})
    held = desk.get("invoice", made["Id"])
    assert held["CustomerRef"]["name"] == "Amy's Birds"
    assert held["Line"][0]["SalesItemLineDetail"]["ItemRef"]["name"] == "Garden care"
    assert held["SyncToken"] == "0"


def test_a_new_name_shows_in_what_was_bought_and_banked(desk: Any, supplier: Any) -> None:
    held = {"VendorRef": {"value": supplier["Id"]}, "Line": [expense("64", 5)]}
    held["Line"][0]["AccountBasedExpenseLineDetail"]["CustomerRef"] = {"value": "1"}
    made = desk.post("bill", held)
    paid = {"PaymentType": "Cash", "AccountRef": {"value": "35"}, "EntityRef": {"value": "1"}, "Line": held["Line"]}
    bought = desk.post("purchase", paid)
    lines = _lines("journalentry")
    lines[0]["JournalEntryLineDetail"]["Entity"] = {"Type": "Customer", "EntityRef": {"value": "1"}}
    entry = desk.post("journalentry", {"Line": lines})
    desk.post("customer", {"Id": "1", "SyncToken": "0", "sparse": True, "DisplayName": "Amy's Birds"})
    desk.post("vendor", {"Id": supplier["Id"], "SyncToken": "0", "sparse": True, "DisplayName": "Stone"})
    jobs = desk.get("account", "63")
    desk.post("account", {"Id": "63", "SyncToken": jobs["SyncToken"], "sparse": True, "Name": "Stuff"})
    bill = desk.get("bill", made["Id"])
    detail = bill["Line"][0]["AccountBasedExpenseLineDetail"]
    assert (bill["VendorRef"]["name"], detail["CustomerRef"]["name"], detail["AccountRef"]["name"]) == (
        "Stone", "Amy's Birds", "Job Expenses:Stuff:Decks and Patios"
    )  # fmt: skip
    assert desk.get("purchase", bought["Id"])["EntityRef"]["name"] == "Amy's Birds"
    first = desk.get("journalentry", entry["Id"])["Line"][0]["JournalEntryLineDetail"]
    assert first["Entity"]["EntityRef"]["name"] == "Amy's Birds"
    assert bill["SyncToken"] == "0"


def test_numbers_go_on_from_the_one_given_last_not_from_one_changed_later(desk: Any) -> None:
    prefs = {"SyncToken": "0", "sparse": True, "SalesFormsPrefs": {"CustomTxnNumbers": False}}
    desk.post("preferences", prefs)
    first = desk.invoice("1", 10, DocNumber="7000")
    renumbered = {"Id": first["Id"], "SyncToken": "0", "sparse": True, "DocNumber": "9000"}
    assert desk.post("invoice", renumbered)["DocNumber"] == "9000"
    assert desk.invoice("1", 10)["DocNumber"] == "7001"


def test_custom_fields_come_back_when_defined_and_only_then(desk: Any) -> None:
    crew = {"DefinitionId": "1", "Name": "Crew #", "Type": "StringType"}
    assert desk.invoice("1", 10)["CustomField"] == [crew]
    given = [{"DefinitionId": "1", "Type": "StringType", "StringValue": "102"}]
    assert desk.invoice("1", 10, CustomField=given)["CustomField"] == [{**crew, "StringValue": "102"}]
    with pytest.raises(FaultError, match="3000"):
        desk.invoice("1", 10, CustomField=[{"DefinitionId": "4", "StringValue": "x"}])


def test_a_refund_says_how_it_is_printed(desk: Any, sell: Any) -> None:
    body = {"CustomerRef": {"value": "1"}, "Line": [sell("6", 5)], "DepositToAccountRef": {"value": "35"}}
    assert desk.post("refundreceipt", body)["PaymentRefNum"] == "To Print"
    assert refused(desk, "refundreceipt", {**body, "PrintStatus": "PrintComplete"}).element == "PaymentRefNum"


def test_credits_are_used_at_once_when_the_company_wants_it(desk: Any, sell: Any) -> None:
    desk.switch("auto_apply", "on")
    wants = {"AutoApplyCredit": True, "AutoApplyPayments": True}
    desk.post("preferences", {"SyncToken": "0", "sparse": True, "SalesFormsPrefs": wants})
    customer = desk.post("customer", {"DisplayName": "Prepaid"})["Id"]
    first = desk.invoice(customer, 30)
    memo = desk.post("creditmemo", {"CustomerRef": {"value": customer}, "Line": [sell("6", 50)]})
    assert memo["RemainingCredit"] == 20
    assert desk.get("invoice", first["Id"])["Balance"] == 0
    second = desk.invoice(customer, 100)
    assert second["Balance"] == 80
    assert desk.payment(customer, 90)["UnappliedAmt"] == 10
    assert desk.get("customer", customer)["Balance"] == -10


@pytest.mark.parametrize("code", [6200, 6210, 6000])
def test_a_closed_period_has_one_of_three_faults(desk: Any, code: int) -> None:
    desk.switch("closed_books_code", code)
    closing = {"BookCloseDate": "2020-12-31"}
    desk.post("preferences", {"SyncToken": "0", "sparse": True, "AccountingInfoPrefs": closing})
    body = {"CustomerRef": {"value": "1"}, "TotalAmt": 1, "TxnDate": "2020-12-31"}
    problem = refused(desk, "payment", body)
    assert problem.code == code
    assert problem.detail.startswith(
        ("The account period has closed", "Business Validation Error: The transaction date")
    )


def test_a_card_payment_that_was_settled_cannot_be_undone(desk: Any) -> None:
    paid = desk.payment("1", 5, TxnSource="IntuitPayment")
    assert refused(desk, "payment", {"Id": paid["Id"], "SyncToken": "0"}, "void").code == 6450


def test_a_payment_goes_to_a_bank_account(desk: Any) -> None:
    body = {"CustomerRef": {"value": "1"}, "TotalAmt": 1, "DepositToAccountRef": {"value": "1"}}
    assert refused(desk, "payment", body).detail.endswith("different type of account for this transaction.")


def test_an_exchange_rate_has_no_id(desk: Any) -> None:
    rate = {"SourceCurrencyCode": "EUR", "Rate": Decimal("1.25"), "AsOfDate": "2020-01-01"}
    assert "Id" not in desk.post("exchangerate", rate)
    changed = desk.post("exchangerate", {**rate, "Rate": Decimal("1.3")})
    assert (changed["Rate"], changed["SyncToken"]) == (Decimal("1.3"), "1")
    assert [one["Rate"] for one in desk.query("select * from ExchangeRate where AsOfDate = '2020-01-01'")] == [
        Decimal("1.3")
    ]


CHECKING = {"value": "35", "name": "Checking"}


def test_all_but_payments_name_the_account_they_were_paid_into(desk: Any, sell: Any, supplier: Any) -> None:
    sold = {"CustomerRef": {"value": "1"}, "Line": [sell("6", 5)]}
    into = {"DepositToAccountRef": {"value": "35", "name": "made up"}}
    assert desk.post("salesreceipt", {**sold, **into})["DepositToAccountRef"] == CHECKING
    assert desk.post("salesreceipt", sold)["DepositToAccountRef"] == {"value": "4", "name": "Undeposited Funds"}
    deposited = {
        "Line": [{"Amount": 1, "DetailType": "DepositLineDetail", "DepositLineDetail": {"AccountRef": CHECKING}}]
    }
    assert desk.post("deposit", {**deposited, **into})["DepositToAccountRef"] == CHECKING
    for given, told in ((into, "35"), ({}, "4")):
        payment = desk.post("payment", {"CustomerRef": {"value": "1"}, "TotalAmt": 1, **given})
        assert payment["DepositToAccountRef"] == {"value": told}
    owed = bill(desk, supplier, 9)
    assert pay(desk, supplier, 9, ("Bill", owed["Id"], 9))["CheckPayment"]["BankAccountRef"] == CHECKING


def test_a_bill_is_not_paid_from_an_account_that_is_not_there(desk: Any, supplier: Any) -> None:
    owed = bill(desk, supplier, 9)
    line = {"Amount": 9, "LinkedTxn": [{"TxnId": owed["Id"], "TxnType": "Bill"}]}
    body = {"VendorRef": {"value": supplier["Id"]}, "TotalAmt": 9, "Line": [line]}
    for kind, how in (("Check", "CheckPayment"), ("CreditCard", "CreditCardPayment")):
        ref = {"BankAccountRef" if kind == "Check" else "CCAccountRef": {"value": "9999"}}
        assert refused(desk, "billpayment", {**body, "PayType": kind, how: ref}).code == 2500


def test_a_refund_never_tells_of_mail(desk: Any, sell: Any) -> None:
    sold = {"CustomerRef": {"value": "1"}, "Line": [sell("6", 5)], "DepositToAccountRef": {"value": "35"}}
    made = desk.post("refundreceipt", sold)
    assert "EmailStatus" not in made
    sent = parse(desk.company.send("refundreceipt", made["Id"], "a@example.com", ""))["RefundReceipt"]
    assert "EmailStatus" not in sent
    assert (sent["DeliveryInfo"]["DeliveryType"], sent["BillEmail"]) == ("Email", {"Address": "a@example.com"})


def test_a_journal_entry_s_lines_are_numbered_from_0_by_their_ids(desk: Any) -> None:
    """As recordings have them; an empty tax detail stands beside them."""

    def posting(kind: str, account: str) -> Any:
        detail = {"PostingType": kind, "AccountRef": {"value": account}}
        return {"Amount": 25.54, "DetailType": "JournalEntryLineDetail", "JournalEntryLineDetail": detail}

    made = desk.post("journalentry", {"Line": [posting("Debit", "65"), posting("Credit", "44")]})
    assert [line["Id"] for line in made["Line"]] == ["0", "1"]
    assert not any("LineNum" in line for line in made["Line"])
    assert made["Line"][1]["JournalEntryLineDetail"]["AccountRef"] == {"value": "44", "name": "Notes Payable"}
    assert (made["TxnTaxDetail"], made["Adjustment"]) == ({}, False)
    assert "TotalAmt" not in made
    made["Line"] += [posting("Debit", "65"), posting("Credit", "44")]
    again = desk.post("journalentry", made)
    assert [line["Id"] for line in again["Line"]] == ["0", "1", "2", "3"]


BOUGHT = {"Amount": 5, "DetailType": "AccountBasedExpenseLineDetail",
          "AccountBasedExpenseLineDetail": {"AccountRef": {"value": "7"}}}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "called", "told"),
    [
        ({"PaymentType": "Check", "AccountRef": CHECKING}, "3", {"PrintStatus": "NotSet"}),
        ({"PaymentType": "Cash", "AccountRef": CHECKING, "Credit": True, "PrintStatus": "NeedToPrint"}, "54", {}),
        ({"PaymentType": "CreditCard", "AccountRef": {"value": "41"}}, "54", {"Credit": False}),
        ({"PaymentType": "CreditCard", "AccountRef": {"value": "41"}, "Credit": True}, "11", {"Credit": True}),
    ],
)
def test_a_purchase_tells_what_quickbooks_calls_it(desk: Any, given: Any, called: str, told: Any) -> None:
    """As recordings have it: the inner type, `Credit` on cards and `PrintStatus` on cheques only, lines by id only."""
    made = desk.post("purchase", {**given, "EntityRef": {"value": "50"}, "Line": [BOUGHT]})
    (inner,) = made["PurchaseEx"]["any"]
    assert (inner["value"], inner["declaredType"]) == (
        {"Name": "TxnType", "Value": called}, "com.intuit.schema.finance.v3.NameValue",
    )  # fmt: skip
    assert {name: made[name] for name in ("Credit", "PrintStatus") if name in made} == told
    assert made["EntityRef"] == {"value": "50", "name": "Tania's Nursery", "type": "Vendor"}
    assert [(line["Id"], "LineNum" in line) for line in made["Line"]] == [("1", False)]


@pytest.mark.parametrize("party", ["999", "1x"])
def test_a_purchase_is_paid_to_somebody_who_exists(desk: Any, party: str) -> None:
    body = {"PaymentType": "Cash", "AccountRef": CHECKING, "EntityRef": {"value": party}, "Line": [BOUGHT]}
    with pytest.raises(FaultError) as refused:
        desk.post("purchase", body)
    assert refused.value.problems[0].detail == f"Invalid Reference Id : Names element id {party} not found"


@pytest.mark.parametrize(
    ("account", "party", "missing"),
    [
        ("84", ("Customer", "1"), "Accounts Receivable, you must choose a customer"),
        ("33", ("Vendor", "56"), "Accounts Payable, you must choose a vendor"),
    ],
)
def test_what_is_owed_is_posted_for_somebody(desk: Any, account: str, party: Any, missing: str) -> None:
    lines = _lines("journalentry")
    detail = lines[0]["JournalEntryLineDetail"]
    detail["AccountRef"] = {"value": account}
    problem = refused(desk, "journalentry", {"Line": lines})
    assert problem.detail == f"Business Validation Error: When you use {missing} in the Name field."
    detail["Entity"] = {"Type": party[0], "EntityRef": {"value": "54"}}
    assert refused(desk, "journalentry", {"Line": lines}).code == 6000
    detail["Entity"] = {"Type": party[0], "EntityRef": {"value": party[1]}}
    assert desk.post("journalentry", {"Line": lines})["Line"][0]["JournalEntryLineDetail"]["Entity"]["Type"] == party[0]


def test_a_journal_line_names_whom_it_concerns(desk: Any) -> None:
    def posting(kind: str, account: str, party: str) -> Any:
        entity = {"EntityRef": {"value": party}}
        detail = {"PostingType": kind, "AccountRef": {"value": account}, "Entity": entity}
        return {"Amount": 5, "DetailType": "JournalEntryLineDetail", "JournalEntryLineDetail": detail}

    made = desk.post("journalentry", {"Line": [posting("Debit", "84", "1"), posting("Credit", "33", "30")]})
    assert [line["JournalEntryLineDetail"]["Entity"] for line in made["Line"]] == [
        {"Type": "Customer", "EntityRef": {"value": "1", "name": "Amy's Bird Sanctuary"}},
        {"Type": "Vendor", "EntityRef": {"value": "30", "name": "Books by Bessie"}},
    ]


def test_a_deposit_keeps_back_cash_and_its_links_have_no_number(desk: Any) -> None:
    linked = {"Amount": 140, "LinkedTxn": [{"TxnId": "128", "TxnType": "Payment", "TxnLineId": "0"}], "LineNum": 4}
    back = {"AccountRef": {"value": "36"}, "Amount": 40, "Memo": "to savings"}
    made = desk.post("deposit", {"DepositToAccountRef": CHECKING, "Line": [linked], "CashBack": back})
    assert made["TotalAmt"] == 100
    assert made["Line"] == [{"Amount": 140, "LinkedTxn": linked["LinkedTxn"]}]


def test_a_bill_payment_has_bare_lines_and_is_to_be_printed(desk: Any) -> None:
    body = {
        "VendorRef": {"value": "46"}, "PayType": "Check", "TotalAmt": 5, "CheckPayment": {"BankAccountRef": CHECKING},
        "Line": [{"Id": "3", "Amount": 5, "LinkedTxn": [{"TxnId": "126", "TxnType": "Bill"}]}],
    }  # fmt: skip
    made = desk.post("billpayment", body)
    assert made["CheckPayment"] == {"BankAccountRef": CHECKING, "PrintStatus": "NeedToPrint"}
    assert made["Line"] == [{"Amount": 5, "LinkedTxn": [{"TxnId": "126", "TxnType": "Bill"}]}]


def test_a_vendor_s_credit_stands_against_accounts_payable(desk: Any) -> None:
    made = desk.post("vendorcredit", {"VendorRef": {"value": "46"}, "Line": [BOUGHT]})
    assert made["APAccountRef"] == {"value": "33", "name": "Accounts Payable (A/P)"}


def test_an_attachment_goes_by_its_id_alone_and_says_that_it_is_not_sent(desk: Any) -> None:
    links = [{"EntityRef": {"type": "Invoice", "value": "9"}}]
    made = desk.post("attachable", {"Note": "see there", "AttachableRef": links})
    assert made["AttachableRef"] == [{"EntityRef": {"type": "Invoice", "value": "9"}, "IncludeOnSend": False}]
    assert desk.post("attachable", {"Id": made["Id"]}, operation="delete")["status"] == "Deleted"
    links[0]["EntityRef"]["value"] = "999"
    with pytest.raises(FaultError) as refused:
        desk.post("attachable", {"Note": "see there", "AttachableRef": links})
    assert refused.value.problems[0].detail == (
        "Business Validation Error: The entity Invoice 999 that you are trying to link does not exist. Invoice 999"
    )


@pytest.mark.parametrize(
    ("kind", "number", "again"),
    [
        ("bill", "19", {"VendorRef": {"value": "31"}}),
        ("purchase", "36", {"PaymentType": "Check"}),
        ("billpayment", "22", {"VendorRef": {"value": "31"}}),
        ("deposit", "4", {"DepositToAccountRef": {"value": "35"}}),
    ],
)
def test_a_sparse_update_of_what_was_bought_says_again_from_whom(desk: Any, kind: str, number: str, again: Any) -> None:
    held = desk.get(kind, number)
    change = {"Id": number, "SyncToken": held["SyncToken"], "sparse": True, "PrivateNote": "seen"}
    with pytest.raises(FaultError) as refused:
        desk.post(kind, change)
    (name,) = again
    assert refused.value.problems[0].detail == f"Required parameter {name} is missing in the request"
    changed = desk.post(kind, {**change, **again})
    assert changed == {**held, "PrivateNote": "seen", **{key: changed[key] for key in ("SyncToken", "MetaData")}}


def _lines(kind: str) -> list[Any]:
    if kind == "journalentry":
        sides = ("Debit", "7"), ("Credit", "35")
        details = [{"PostingType": side, "AccountRef": {"value": account}} for side, account in sides]
        return [{"Amount": 5, "DetailType": "JournalEntryLineDetail", "JournalEntryLineDetail": one} for one in details]
    if kind == "deposit":
        detail = {"AccountRef": {"value": "1"}}
        return [{"Amount": 5, "DetailType": "DepositLineDetail", "DepositLineDetail": detail} for _ in range(2)]
    return [expense("7", 5), expense("7", 6)]


@pytest.mark.parametrize(
    ("kind", "head", "first", "second"),
    [
        ("bill", {"VendorRef": {"value": "56"}}, ["1", "2"], ["3", "4"]),
        ("deposit", {"DepositToAccountRef": {"value": "35"}}, ["1", "2"], ["3", "4"]),
        ("journalentry", {}, ["0", "1"], ["2", "3"]),
    ],
)
def test_lines_sent_again_without_their_ids_are_new_lines(
    desk: Any, kind: str, head: Any, first: list[str], second: list[str]
) -> None:
    made = desk.post(kind, {**head, "Line": [{**line, "Id": "77"} for line in _lines(kind)]})
    assert [line["Id"] for line in made["Line"]] == first
    again = desk.post(kind, {**made, "Line": _lines(kind)})
    assert [line["Id"] for line in again["Line"]] == second
    kept = desk.post(kind, {**again, "Line": again["Line"][::-1]})
    assert [line["Id"] for line in kept["Line"]] == second[::-1]


@pytest.mark.parametrize("links", [{}, {"LinkedTxn": []}])
def test_each_line_of_a_bill_payment_says_what_it_pays(desk: Any, links: Any) -> None:
    body = {
        "VendorRef": {"value": "56"},
        "PayType": "CreditCard",
        "CreditCardPayment": {"CCAccountRef": {"value": "41"}},
    }
    problem = refused(desk, "billpayment", {**body, "TotalAmt": 10, "Line": [{"Amount": 10, **links}]})
    assert (problem.code, problem.detail) == (2020, "Required parameter LinkedTxn is missing in the request")


def test_a_credit_pays_a_bill_by_a_cheque_over_nothing(desk: Any) -> None:
    spent = {"VendorRef": {"value": "56"}, "Line": [expense("7", 10)]}
    bill, credit = desk.post("bill", spent), desk.post("vendorcredit", spent)
    links = [{"TxnId": bill["Id"], "TxnType": "Bill"}, {"TxnId": credit["Id"], "TxnType": "VendorCredit"}]
    body = {
        "VendorRef": {"value": "56"}, "PayType": "Check", "CheckPayment": {"PrintStatus": "NotSet"}, "TotalAmt": 0,
        "Line": [{"Amount": 10, "LinkedTxn": [link]} for link in links],
    }  # fmt: skip
    assert desk.post("billpayment", body)["CheckPayment"] == {"PrintStatus": "NotSet"}
    assert desk.get("bill", bill["Id"])["Balance"] == desk.get("vendorcredit", credit["Id"])["Balance"] == 0
    cheque = {**body, "TotalAmt": 10, "Line": [{"Amount": 10, "LinkedTxn": [{"TxnId": "9", "TxnType": "Bill"}]}]}
    assert refused(desk, "billpayment", cheque).code == 2020
