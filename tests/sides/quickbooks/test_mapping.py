import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from reconcile.model.entities import FIELDS, ROW_FIELDS, Entity
from reconcile.model.findings import Severity
from reconcile.model.money import ONE
from reconcile.model.snapshot import record_dtypes, row_dtypes
from reconcile.sides.quickbooks.frames import Harvest
from reconcile.sides.quickbooks.mapping import (
    COLUMNS,
    ROW_NAMES,
    Lookups,
    MalformedError,
    fields_of,
    join_emails,
    read,
    split_emails,
)
from reconcile.sides.quickbooks.pages import Page, page_decoder, read_each
from reconcile.sides.quickbooks.records import SHAPES, PaymentMethod, TaxAgency, TaxRate
from tests.sides.quickbooks.conftest import SAMPLES, sample


def by_id(name: str, shape: type) -> dict[str, Any]:
    return {item["Id"]: msgspec.convert(item, shape, strict=False) for item in exact(name)}


def exact(name: str) -> list[dict[str, Any]]:
    return json.loads(json.dumps(sample(name)), parse_float=Decimal)


def lookups() -> Lookups:
    return Lookups(
        "USD", by_id("tax_rate", TaxRate), by_id("tax_agency", TaxAgency), by_id("payment_method", PaymentMethod)
    )


def fields(entity: Entity, item: dict[str, Any]) -> dict[str, Any]:
    (record,) = read_each(SHAPES[entity], [json.loads(json.dumps(item, default=str), parse_float=Decimal)]).records
    return fields_of(entity, record, lookups())


def findings(entity: Entity, item: dict[str, Any]) -> list[tuple[str, Severity]]:
    found: list[Any] = []
    (record,) = read_each(SHAPES[entity], [json.loads(json.dumps(item, default=str), parse_float=Decimal)]).records
    read(entity, record, lookups(), found)
    return [(finding.check, finding.severity) for finding in found]


def numbered(name: str, number: str) -> dict[str, Any]:
    return next(item for item in sample(name) if number in (item.get("DocNumber"), item["Id"]))


def harvest(entity: Entity, items: list[dict[str, Any]]) -> Harvest:
    harvested = Harvest(entity, lookups())
    body = json.dumps({"QueryResponse": {SHAPES[entity].__name__: items}, "time": "2025-08-01T09:19:21.9-07:00"})
    harvested.add(page_decoder(SHAPES[entity])(body.encode()))
    return harvested


@pytest.mark.parametrize("entity", list(Entity))
def test_the_columns_are_those_of_the_field_table(entity: Entity) -> None:
    theirs = {field.name for field in FIELDS[entity] if field.only_on is not None and field.only_on != "books"}
    ours = {name for name in record_dtypes(entity) if name not in theirs}

    assert set(COLUMNS[entity]) == ours
    if entity in ROW_FIELDS:
        assert list(ROW_NAMES[entity]) == list(row_dtypes(entity))


@pytest.mark.parametrize(
    ("entity", "name", "carried"),
    [
        (Entity.CUSTOMER, "customer", 29),
        (Entity.PRODUCT, "item", 18),
        (Entity.TAX_RATE, "tax_code", 2),
        (Entity.INVOICE, "invoice", 31),
        (Entity.PAYMENT, "payment", 16),
    ],
)
def test_the_sample_company_is_read_whole(entity: Entity, name: str, carried: int) -> None:
    harvested = harvest(entity, sample(name))
    frame, rows = harvested.frames()

    assert len(frame) == carried
    assert not harvested.findings
    assert {column: str(dtype) for column, dtype in frame.dtypes.items()} == record_dtypes(entity)
    assert {column: str(dtype) for column, dtype in rows.dtypes.items()} == row_dtypes(entity)


def test_the_sample_companys_invoices_add_up_to_its_control_totals() -> None:
    frame, rows = harvest(Entity.INVOICE, sample("invoice")).frames()
    totals = json.loads((SAMPLES / "control-totals.json").read_text())

    assert frame["total"].sum() == Decimal(totals["receivable"]["invoiced"]) * 100
    assert frame["balance"].sum() == Decimal(totals["receivable"]["total"]) * 100
    assert frame["tax"].sum() == Decimal(totals["sales_tax"]["billed"]) * 100
    assert (frame["total"] == frame["subtotal"] - frame["discount"] + frame["tax"]).all()
    assert rows.groupby("parent_id")["amount"].sum().to_dict() == frame.set_index("id")["subtotal"].to_dict()


def test_a_customer_is_read_in_our_words() -> None:
    amy = fields(Entity.CUSTOMER, sample("customer")[0])

    assert amy == {
        "display_name": "Amy's Bird Sanctuary",
        "company_name": "Amy's Bird Sanctuary",
        "given_name": "Amy",
        "family_name": "Lauterbach",
        "email": "Birds@Intuit.com",
        "more_emails": None,
        "phone": "(650) 555-3311",
        "address_line1": "4581 Finch St.",
        "address_line2": None,
        "city": "Bayshore",
        "region": "CA",
        "postal_code": "94326",
        "country": None,
        "taxable": True,
        "active": True,
        "currency": "USD",
        "parent_id": None,
        "full_name": "Amy's Bird Sanctuary",
    }


def test_a_job_is_a_customer_of_its_own_that_knows_its_parent() -> None:
    job = fields(Entity.CUSTOMER, numbered("customer", "8"))

    assert (job["display_name"], job["parent_id"]) == ("0969 Ocean View Road", "7")
    assert job["full_name"] == "Freeman Sporting Goods:0969 Ocean View Road"


def test_an_inactive_name_is_read_without_the_mark_quickbooks_adds() -> None:
    inactive = {"Id": "1", "DisplayName": "Cool Cars (deleted)", "Active": False}

    assert fields(Entity.CUSTOMER, inactive)["display_name"] == "Cool Cars"
    assert fields(Entity.CUSTOMER, {**inactive, "Active": True})["display_name"] == "Cool Cars (deleted)"


def test_several_addresses_are_one_first_and_the_others() -> None:
    assert split_emails("a@x.com, b@x.com ,c@x.com") == ("a@x.com", "b@x.com,c@x.com")
    assert split_emails("") == (None, None)
    assert split_emails(" , ") == (None, None)
    assert join_emails("a@x.com", "b@x.com,c@x.com") == "a@x.com,b@x.com,c@x.com"


def test_blank_text_is_missing_and_other_text_stays_as_it_is() -> None:
    read_back = fields(Entity.CUSTOMER, {"Id": "1", "DisplayName": " 00123 ", "CompanyName": "", "GivenName": " "})

    assert (read_back["display_name"], read_back["company_name"], read_back["given_name"]) == (" 00123 ", None, " ")


def test_times_are_told_in_utc() -> None:
    harvested = harvest(
        Entity.CUSTOMER,
        [{"Id": "1", "SyncToken": "4", "MetaData": {"LastUpdatedTime": "2015-07-24T10:33:39-07:00"}}],
    )

    assert harvested.frames()[0][["version", "updated_at"]].loc[0].to_list() == ["4", "2015-07-24T17:33:39Z"]


def test_a_product_is_read_with_its_price_to_seven_places() -> None:
    rock = fields(Entity.PRODUCT, {**numbered("item", "5"), "UnitPrice": "33.3333333"})

    assert rock == {
        "name": "Rock Fountain",
        "description": "Rock Fountain",
        "unit_price": 333_333_333,
        "taxable": True,
        "sku": "2345",
        "active": True,
        "type": "Inventory",
    }


def test_a_bundle_is_a_note_and_a_category_is_no_product() -> None:
    harvested = harvest(
        Entity.PRODUCT,
        [
            {"Id": "1", "Name": "Party", "Type": "Group"},
            {"Id": "2", "Name": "Garden", "Type": "Category"},
            {"Id": "3", "Name": "Soil", "Type": "NonInventory"},
        ],
    )

    assert harvested.frames()[0]["name"].to_list() == ["Soil"]
    assert [(finding.check, finding.severity, finding.label) for finding in harvested.findings] == [
        ("product_bundle", Severity.NOTE, "Party")
    ]
    assert len(harvested) - harvested.left_out == 1


def test_a_tax_rate_is_the_sum_of_its_parts_and_names_their_agencies() -> None:
    tucson = fields(Entity.TAX_RATE, numbered("tax_code", "3"))

    assert tucson == {
        "name": "Tucson",
        "percent": 91_000_000,
        "agency": "Arizona Dept. of Revenue",
        "active": True,
        "components": "AZ State tax 7.1 + Tucson City 2",
    }


def test_the_codes_of_lines_are_no_tax_rates() -> None:
    frame, _ = harvest(Entity.TAX_RATE, sample("tax_code")).frames()

    assert frame["id"].to_list() == ["2", "3"]


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        ({"TaxTypeApplicable": "TaxOnTax", "TaxRateRef": {"value": "1"}}, "TaxOnTax"),
        ({"TaxTypeApplicable": "TaxOnAmount", "TaxRateRef": {"value": "99"}}, "'99' is not in"),
    ],
)
def test_a_tax_that_is_no_sum_of_rates_is_unreadable(detail: dict[str, Any], words: str) -> None:
    harvested = harvest(
        Entity.TAX_RATE,
        [{"Id": "9", "Name": "Odd", "TaxGroup": True, "SalesTaxRateList": {"TaxRateDetail": [detail]}}],
    )

    assert harvested.unreadable == {"9"}
    assert words in harvested.findings[0].sentence


def test_an_invoice_is_read_with_its_lines() -> None:
    read_back = fields(Entity.INVOICE, numbered("invoice", "1001"))

    assert read_back == {
        "number": "1001",
        "customer_id": "1",
        "invoice_date": "2024-02-16",
        "due_date": "2024-03-17",
        "tax_rate_id": "2",
        "discount_percent": None,
        "discount_taxable": None,
        "discount_nontaxable": None,
        "memo": "Thank you for your business and have a great day!",
        "void": False,
        "subtotal": 10_000,
        "discount": 0,
        "tax": 800,
        "total": 10_800,
        "balance": 0,
        "state": "paid",
        "currency": "USD",
        "has_bundle": False,
        "lines": [
            {
                "product_id": "6",
                "description": "Weekly Gardening Service",
                "quantity": 4 * ONE,
                "unit_price": 25 * ONE,
                "amount": 10_000,
                "taxable": True,
            }
        ],
    }


def test_a_discount_off_untaxed_lines_is_a_percentage() -> None:
    read_back = fields(Entity.INVOICE, numbered("invoice", "1012"))

    assert (read_back["discount_percent"], read_back["discount"]) == (10 * ONE, 3_050)
    assert read_back["tax_rate_id"] is None


def test_a_billable_expense_is_a_line_without_product() -> None:
    (line,) = fields(Entity.INVOICE, numbered("invoice", "1009"))["lines"]

    assert (line["product_id"], line["quantity"]) == (None, None)
    assert line["amount"] > 0


ITEM_LINE = {
    "Id": "1",
    "DetailType": "SalesItemLineDetail",
    "Amount": 100,
    "SalesItemLineDetail": {"ItemRef": {"value": "5"}, "TaxCodeRef": {"value": "TAX"}},
}


def with_lines(*lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Id": "1", "DocNumber": "7", "TotalAmt": 100, "Balance": 100, "Line": list(lines), **more}


def test_a_bundle_is_read_as_its_parts_and_remembered() -> None:
    group = {"DetailType": "GroupLineDetail", "Amount": 0, "GroupLineDetail": {"Line": [ITEM_LINE, ITEM_LINE]}}
    read_back = fields(Entity.INVOICE, with_lines(ITEM_LINE, group))

    assert [line["product_id"] for line in read_back["lines"]] == ["5", "5", "5"]
    assert read_back["has_bundle"]
    assert read_back["subtotal"] == 30_000


def test_a_line_of_text_is_a_row_of_nothing_but_text() -> None:
    read_back = fields(Entity.INVOICE, with_lines({"DetailType": "DescriptionOnly", "Description": "See you soon"}))

    assert read_back["lines"] == [
        {
            "product_id": None,
            "description": "See you soon",
            "quantity": None,
            "unit_price": None,
            "amount": 0,
            "taxable": False,
        }
    ]


def test_subtotals_are_not_lines() -> None:
    read_back = fields(Entity.INVOICE, with_lines(ITEM_LINE, {"DetailType": "SubTotalLineDetail", "Amount": 100}))

    assert len(read_back["lines"]) == 1


@pytest.mark.parametrize("kind", ["SalesItemLineDetail", "SALES_ITEM_LINE_DETAIL"])
def test_void_is_seen_by_note_and_nothing_left(kind: str) -> None:
    line = {**ITEM_LINE, "DetailType": kind, "Amount": 0}
    voided = with_lines(line, TotalAmt=0, Balance=0, PrivateNote="Voided - Front yard")

    assert fields(Entity.INVOICE, voided)["state"] == "void"
    assert not fields(Entity.INVOICE, {**voided, "TotalAmt": 5})["void"]
    assert fields(Entity.INVOICE, {**voided, "PrivateNote": "Not Voided"})["state"] == "paid"


def discounted(*, percent: bool, tax_after: bool) -> dict[str, Any]:
    line = {
        "DetailType": "DiscountLineDetail",
        "Amount": 10,
        "DiscountLineDetail": {"PercentBased": percent, "DiscountPercent": 10} if percent else {"PercentBased": False},
    }
    tax = {"TxnTaxCodeRef": {"value": "2"}, "TotalTax": 8}
    return with_lines(ITEM_LINE, line, ApplyTaxAfterDiscount=tax_after, TxnTaxDetail=tax)


@pytest.mark.parametrize("percent", [True, False])
def test_a_discount_off_taxable_lines_after_tax_is_held(percent: bool) -> None:
    assert findings(Entity.INVOICE, discounted(percent=percent, tax_after=False)) == [
        ("invoice_discount_not_expressible", Severity.HOLD)
    ]
    assert findings(Entity.INVOICE, discounted(percent=percent, tax_after=True)) == []


@pytest.mark.parametrize(
    ("invoice", "check"),
    [
        (with_lines({"DetailType": "TaxLineDetail", "Amount": 5}), "invoice_line_not_expressible"),
        (
            with_lines({**ITEM_LINE, "SalesItemLineDetail": {"TaxCodeRef": {"value": "7"}}}),
            "invoice_line_not_expressible",
        ),
        (with_lines(ITEM_LINE, Deposit=20), "invoice_deposit"),
        (with_lines(ITEM_LINE, GlobalTaxCalculation="TaxInclusive"), "invoice_tax_inclusive"),
        (
            with_lines(ITEM_LINE, *[{"DetailType": "DiscountLineDetail", "Amount": 1, "DiscountLineDetail": {}}] * 2),
            "invoice_discount_not_expressible",
        ),
    ],
)
def test_what_the_other_side_cannot_say_is_held(invoice: dict[str, Any], check: str) -> None:
    assert findings(Entity.INVOICE, invoice) == [(check, Severity.HOLD)]


def test_a_payment_is_read_with_the_invoices_it_pays() -> None:
    read_back = fields(Entity.PAYMENT, numbered("payment", "15"))

    assert read_back == {
        "customer_id": "9",
        "payment_date": "2024-01-25",
        "amount": 8_640,
        "credit": 0,
        "method": None,
        "reference": "5664",
        "void": False,
        "unapplied": 0,
        "currency": "USD",
        "deposited": False,
        "applications": [{"invoice_id": "14", "amount": 8_640}],
    }


def test_a_payment_of_nothing_that_links_a_credit_memo_is_credit() -> None:
    read_back = fields(Entity.PAYMENT, numbered("payment", "74"))

    assert (read_back["amount"], read_back["credit"]) == (0, 10_000)
    assert read_back["applications"] == [{"invoice_id": "71", "amount": 10_000}]


@pytest.mark.parametrize(
    ("reference", "method"),
    [("3", "card"), ("1", "cash"), ("2", "check"), ("99", "other"), (None, None)],
)
def test_the_way_of_paying_is_told_by_type_and_name(reference: str | None, method: str | None) -> None:
    payment = {"Id": "1", "TotalAmt": 1, "PaymentMethodRef": {"value": reference} if reference else None}

    assert fields(Entity.PAYMENT, payment)["method"] == method


@pytest.mark.parametrize(
    "line",
    [
        {"Amount": 5, "LinkedTxn": [{"TxnId": "4", "TxnType": "JournalEntry"}]},
        {"Amount": 5, "LinkedTxn": [{"TxnId": "4", "TxnType": "Expense"}]},
        {"Amount": 5, "LinkedTxn": []},
        {"Amount": 5, "LinkedTxn": [{"TxnId": "4", "TxnType": "Invoice"}] * 2},
    ],
)
def test_links_to_other_things_than_invoices_and_credits_are_held(line: dict[str, Any]) -> None:
    assert findings(Entity.PAYMENT, {"Id": "1", "TotalAmt": 5, "Line": [line]}) == [
        ("payment_links_not_expressible", Severity.HOLD)
    ]


def test_a_payment_in_a_deposit_says_so() -> None:
    payment = {"Id": "1", "TotalAmt": 5, "LinkedTxn": [{"TxnId": "6", "TxnType": "Deposit"}]}

    assert fields(Entity.PAYMENT, payment)["deposited"]


@pytest.mark.parametrize("spelling", ["10.10", "10.1", '"10.10"', "1.01e1"])
def test_amounts_are_the_same_however_they_are_spelt(spelling: str) -> None:
    body = f'{{"QueryResponse": {{"Payment": [{{"Id": "1", "TotalAmt": {spelling}}}]}}}}'
    harvested = Harvest(Entity.PAYMENT, lookups())
    harvested.add(page_decoder(SHAPES[Entity.PAYMENT])(body.encode()))

    assert harvested.frames()[0]["amount"].to_list() == [1_010]


def test_currencies_have_their_own_decimals() -> None:
    yen = {"Id": "1", "TotalAmt": 1000, "CurrencyRef": {"value": "JPY"}}
    dinar = {"Id": "1", "TotalAmt": "1.234", "CurrencyRef": {"value": "KWD"}}

    assert fields(Entity.PAYMENT, yen)["amount"] == 1_000
    assert fields(Entity.PAYMENT, dinar)["amount"] == 1_234


GOOD_PAYMENT = '{"Id": "1", "TotalAmt": 5, "TxnDate": "2024-01-25"}'


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ('{"Id": "2", "TotalAmt": "ten"}', "TotalAmt: Invalid decimal"),
        ('{"Id": "2", "TotalAmt": "NaN"}', "not a finite number"),
        ('{"Id": "2", "TotalAmt": 1e400}', "too large"),
        ('{"Id": "2", "TotalAmt": 5.001}', "more than 2 decimal places"),
        ('{"Id": "2"}', "TotalAmt is missing"),
        ('{"Id": "2", "TotalAmt": 5, "PaymentRefNum": 17}', "PaymentRefNum: Expected text, got a number"),
        ('{"Id": "2", "TotalAmt": 5, "Line": {}}', "Line: Expected a list, got an object"),
        ('{"Id": "2", "TotalAmt": 5, "PaymentRefNum": "\\ud800"}', "half a character"),
        ('{"Id": "2", "TotalAmt": 5, "MetaData": {"LastUpdatedTime": "yesterday"}}', "no date and time"),
        ('{"Id": "2", "TotalAmt": 5, "MetaData": {"LastUpdatedTime": "2015-07-24T10:33:39"}}', "no time zone"),
        ('"2"', "Expected an object"),
    ],
)
def test_a_malformed_record_is_a_finding_and_its_sibling_is_read(record: str, words: str) -> None:
    body = f'{{"QueryResponse": {{"Payment": [{record}, {GOOD_PAYMENT}]}}, "time": "2025-08-01T09:19:21-07:00"}}'
    harvested = Harvest(Entity.PAYMENT, lookups())
    harvested.add(page_decoder(SHAPES[Entity.PAYMENT])(body.encode()))
    frame, _ = harvested.frames()

    assert frame["id"].to_list() == ["1"]
    (finding,) = harvested.findings
    assert (finding.check, finding.severity) == ("record_unreadable", Severity.HOLD)
    assert words in finding.sentence
    assert harvested.unreadable == ({"2"} if record.startswith("{") else set())


def test_bytes_that_are_no_characters_cost_only_their_record() -> None:
    body = b'{"QueryResponse": {"Payment": [{"Id": "2", "TotalAmt": 5, "PaymentRefNum": "\xff"}, %s]}}'
    harvested = Harvest(Entity.PAYMENT, lookups())
    harvested.add(page_decoder(SHAPES[Entity.PAYMENT])(body % GOOD_PAYMENT.encode()))

    assert harvested.unreadable == {"2"}
    assert len(harvested.frames()[0]) == 1


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"QueryResponse": []}', b'{"QueryResponse": {"Payment": {}}}'])
def test_what_is_no_answer_is_never_an_empty_page(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        page_decoder(SHAPES[Entity.PAYMENT])(body)


def test_a_record_met_twice_is_taken_once() -> None:
    harvested = harvest(Entity.PAYMENT, [sample("payment")[0]])
    harvested.add(Page([msgspec.convert(sample("payment")[0], SHAPES[Entity.PAYMENT])]))

    assert len(harvested.frames()[0]) == len(harvested) == 1


def test_an_impossible_date_stays_visible() -> None:
    assert fields(Entity.INVOICE, with_lines(ITEM_LINE, TxnDate="0000-00-00"))["invoice_date"] == "0000-00-00"


def test_reading_says_what_is_wrong_with_one_record() -> None:
    with pytest.raises(MalformedError, match="TotalAmt"):
        fields(Entity.INVOICE, {"Id": "1"})


@pytest.mark.parametrize(
    ("entity", "line"),
    [
        (Entity.INVOICE, {"DetailType": "SalesItemLineDetail", "Amount": 9 * 10**16}),
        (Entity.PAYMENT, {"LinkedTxn": [{"TxnId": "1", "TxnType": "CreditMemo"}], "Amount": 9 * 10**16}),
    ],
)
def test_lines_that_add_up_to_more_than_can_be_kept_are_a_finding(entity: Entity, line: dict[str, Any]) -> None:
    harvested = harvest(entity, [{"Id": "1", "TotalAmt": 5}, {"Id": "2", "TotalAmt": 5, "Line": [line, line]}])

    assert harvested.frames()[0]["id"].to_list() == ["1"]
    (finding,) = harvested.findings
    assert (finding.check, finding.record_id) == ("record_unreadable", "2")
    assert "add up to more" in finding.sentence
