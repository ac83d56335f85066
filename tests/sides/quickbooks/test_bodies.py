import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.model.entities import Entity
from reconcile.model.money import ONE, line_amount
from reconcile.sides.quickbooks import bodies
from reconcile.sides.quickbooks.bodies import CannotWriteError, Untaxed
from reconcile.sides.quickbooks.mapping import Lookups, fields_of
from reconcile.sides.quickbooks.pages import read_each
from reconcile.sides.quickbooks.records import SHAPES, PaymentMethod, TaxAgency, TaxRate

ENCODER = msgspec.json.Encoder(decimal_format="number")
METHODS = {"2": PaymentMethod(id="2", name="Check", type="NON_CREDIT_CARD")}


def read_back(entity: Entity, body: dict[str, Any], **stored: Any) -> dict[str, Any]:
    """What we read when QuickBooks stores a request as it is and adds what it computes."""
    item = json.loads(ENCODER.encode({"Id": "1", "SyncToken": "0", **body, **stored}), parse_float=Decimal)
    page = read_each(SHAPES[entity], [item])
    assert not page.broken
    return fields_of(entity, page.records[0], Lookups(methods=METHODS))


TEXT = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=12)
MAYBE = st.none() | TEXT
ADDRESS = st.text("abc.@-", min_size=1, max_size=10)
MONEY = st.integers(-(10**11), 10**11)
SCALED = st.integers(0, 10**12)


@given(
    st.fixed_dictionaries(
        {
            "display_name": TEXT,
            "company_name": MAYBE,
            "given_name": MAYBE,
            "family_name": MAYBE,
            "email": ADDRESS,
            "more_emails": st.none() | st.lists(ADDRESS, min_size=1, max_size=3).map(",".join),
            "phone": MAYBE,
            **dict.fromkeys(bodies.ADDRESS, MAYBE),
            "taxable": st.booleans(),
            "active": st.booleans(),
        }
    )
)
def test_a_customer_sent_is_read_back_the_same(customer: dict[str, Any]) -> None:
    body = bodies.customer(customer, customer, None, creating=True)
    stored = read_back(Entity.CUSTOMER, body)

    assert {name: stored[name] for name in customer} == {
        **customer,
        "display_name": customer["display_name"]
        if customer["active"]
        else customer["display_name"].removesuffix(" (deleted)") or None,
    }


@given(
    st.fixed_dictionaries(
        {
            "name": TEXT,
            "description": MAYBE,
            "sku": MAYBE,
            "unit_price": SCALED,
            "taxable": st.booleans(),
            "active": st.just(value=True),
        }
    )
)
def test_a_product_sent_is_read_back_the_same(product: dict[str, Any]) -> None:
    stored = read_back(Entity.PRODUCT, bodies.product(product, {}, creating=True))

    assert {name: stored[name] for name in product} == product


@st.composite
def lines(draw: st.DrawFn) -> dict[str, Any]:
    if draw(st.booleans()):
        return {
            "product_id": None,
            "description": draw(TEXT),
            "quantity": None,
            "unit_price": None,
            "amount": 0,
            "taxable": False,
        }
    quantity, price = draw(st.none() | SCALED), draw(st.none() | SCALED)
    both = quantity is not None and price is not None
    return {
        "product_id": draw(st.sampled_from(["5", "6"])),
        "description": draw(MAYBE),
        "quantity": quantity,
        "unit_price": price,
        "amount": line_amount(quantity, price, "USD") if both else draw(MONEY),
        "taxable": draw(st.booleans()),
    }


@st.composite
def invoices(draw: st.DrawFn) -> dict[str, Any]:
    rows = draw(st.lists(lines(), min_size=1, max_size=5))
    percent = draw(st.none() | st.integers(1, 100 * ONE))
    return {
        "number": draw(st.text("0123456789", min_size=1, max_size=21)),
        "customer_id": "7",
        "invoice_date": "2024-02-16",
        "due_date": draw(st.none() | st.just("2024-03-17")),
        "tax_rate_id": "2" if any(row["taxable"] for row in rows) else None,
        "discount_percent": percent,
        "discount_taxable": None if percent else draw(st.none() | st.integers(1, 10**6)),
        "discount_nontaxable": None if percent else draw(st.none() | st.integers(1, 10**6)),
        "lines": rows,
        "memo": draw(MAYBE),
    }


@given(invoices())
def test_an_invoice_sent_is_read_back_the_same_or_refused_for_its_discount(invoice: dict[str, Any]) -> None:
    try:
        body = bodies.invoice(invoice, invoice, None, "USD", creating=True)
    except CannotWriteError as error:
        assert "discount" in str(error)  # noqa: PT017 - refusing is one of the two right answers
        return
    stored = read_back(Entity.INVOICE, body, TotalAmt=0)

    assert {name: stored[name] for name in invoice} == invoice


@given(
    st.fixed_dictionaries(
        {
            "customer_id": st.just("7"),
            "payment_date": st.just("2024-02-16"),
            "amount": st.integers(0, 10**9),
            "credit": st.just(0),
            "method": st.just("check"),
            "reference": st.none() | st.text("0123456789-ABC", min_size=1, max_size=21),
            "applications": st.lists(
                st.fixed_dictionaries({"invoice_id": st.sampled_from(["8", "9"]), "amount": st.integers(1, 10**9)}),
                max_size=3,
            ),
        }
    )
)
def test_a_payment_sent_is_read_back_the_same(payment: dict[str, Any]) -> None:
    body = bodies.payment({**payment, "method_id": "2"}, payment, None, "USD", creating=True)
    stored = read_back(Entity.PAYMENT, body)

    assert {name: stored[name] for name in payment} == payment


@given(st.integers(0, 100 * ONE))
def test_a_tax_rate_sent_is_read_back_the_same(percent: int) -> None:
    sent = bodies.tax_code({"name": "Texas", "percent": percent}, "4")
    (detail,) = sent["TaxRateDetails"]
    rate = {"Id": "9", "Name": detail["TaxRateName"], "RateValue": detail["RateValue"]}
    rate |= {"AgencyRef": {"value": detail["TaxAgencyId"]}}
    stored = {
        "Id": "3",
        "Name": sent["TaxCode"],
        "TaxGroup": True,
        "SalesTaxRateList": {"TaxRateDetail": [{"TaxRateRef": {"value": "9"}}]},
    }
    (record,) = read_each(SHAPES[Entity.TAX_RATE], [stored]).records
    lookups = Lookups(
        rates={"9": msgspec.convert(rate, TaxRate)}, agencies={"4": TaxAgency(id="4", display_name="Comptroller")}
    )

    fields = fields_of(Entity.TAX_RATE, record, lookups)

    assert (fields["name"], fields["percent"], fields["agency"]) == ("Texas", percent, "Comptroller")


def row(**changes: Any) -> dict[str, Any]:
    return {
        "product_id": "5",
        "description": "Soil",
        "quantity": 2 * ONE,
        "unit_price": 5 * ONE,
        "amount": 1_000,
        "taxable": False,
    } | changes


def stored_line(line_id: str, product: str = "5", **more: Any) -> dict[str, Any]:
    detail = {"ItemRef": {"value": product}, "ItemAccountRef": {"value": "45"}, "ServiceDate": "2024-01-01"}
    return {
        "Id": line_id,
        "DetailType": "SalesItemLineDetail",
        "Description": "Soil",
        "Amount": Decimal(10),
        "SalesItemLineDetail": {**detail, "Qty": 2, "UnitPrice": 5, "TaxCodeRef": {"value": "NON"}},
        **more,
    }


DISCOUNT_LINE = {
    "Id": "9",
    "DetailType": "DiscountLineDetail",
    "Amount": Decimal(1),
    "DiscountLineDetail": {"PercentBased": False, "DiscountAccountRef": {"value": "86"}},
}
SUBTOTAL = {"DetailType": "SubTotalLineDetail", "Amount": Decimal(10), "SubTotalLineDetail": {}}
NO_DISCOUNT = dict.fromkeys(bodies.DISCOUNT_FIELDS)


def update(fields: dict[str, Any], *stored: dict[str, Any], **context: Any) -> dict[str, Any]:
    current = {"Id": "1", "Line": [*stored, SUBTOTAL]}
    whole = {"lines": [row()], "tax_rate_id": None, **NO_DISCOUNT, **context, **fields}
    return bodies.invoice(fields, whole, current, "USD", creating=False)


def test_lines_keep_their_ids_by_position_and_what_we_do_not_know_of_them() -> None:
    body = update({"lines": [row(amount=500, quantity=ONE), row(), row()]}, stored_line("1"), stored_line("2"))

    first, second, third = body["Line"]
    assert (first["Id"], second["Id"]) == ("1", "2")
    assert "Id" not in third
    assert first["SalesItemLineDetail"]["ServiceDate"] == "2024-01-01"
    assert (first["Amount"], first["SalesItemLineDetail"]["Qty"]) == (Decimal(5), Decimal(1))


def test_another_product_on_a_line_does_not_keep_the_account_of_the_first() -> None:
    (line,) = update({"lines": [row(product_id="6")]}, stored_line("1"))["Line"]

    assert line["SalesItemLineDetail"]["ItemRef"] == {"value": "6"}
    assert "ItemAccountRef" not in line["SalesItemLineDetail"]


def test_a_discount_alone_leaves_every_line_as_it_is_a_bundle_too() -> None:
    bundle = {"Id": "2", "DetailType": "GroupLineDetail", "GroupLineDetail": {"Line": [stored_line("3")]}}

    body = update({"discount_nontaxable": 200}, stored_line("1"), bundle, DISCOUNT_LINE)

    assert body["Line"][:2] == [stored_line("1"), bundle]
    assert body["Line"][2] == {
        **DISCOUNT_LINE,
        "Amount": Decimal(2),
        "DiscountLineDetail": {"PercentBased": False, "DiscountAccountRef": {"value": "86"}},
    }
    assert len(body["Line"]) == 3


def test_a_discount_taken_away_is_a_line_less() -> None:
    body = update({"discount_nontaxable": None}, stored_line("1"), DISCOUNT_LINE, discount_nontaxable=100)

    assert body["Line"] == [stored_line("1")]


def test_new_lines_carry_the_discount_that_stays() -> None:
    body = update({"lines": [row()]}, stored_line("1"), DISCOUNT_LINE, discount_nontaxable=100)

    assert [line["DetailType"] for line in body["Line"]] == ["SalesItemLineDetail", "DiscountLineDetail"]


def test_the_lines_of_an_invoice_with_a_bundle_are_never_rewritten() -> None:
    bundle = {"Id": "2", "DetailType": "GroupLineDetail", "GroupLineDetail": {"Line": []}}

    with pytest.raises(CannotWriteError, match="bundle"):
        update({"lines": [row()]}, bundle)


def test_a_header_alone_names_no_line() -> None:
    assert update({"memo": None, "due_date": "2024-03-01"}, stored_line("1")) == {
        "CustomerMemo": {"value": ""},
        "DueDate": "2024-03-01",
    }


def test_a_billable_expense_stays_as_it_is_when_other_lines_change() -> None:
    expense = {
        "Id": "1",
        "DetailType": "SalesItemLineDetail",
        "Description": "Parking",
        "Amount": Decimal(7),
        "SalesItemLineDetail": {"ItemAccountRef": {"value": "45"}, "TaxCodeRef": {"value": "NON"}},
    }
    rows = [row(product_id=None, description="Parking", quantity=None, unit_price=None, amount=700), row()]

    assert update({"lines": rows}, expense)["Line"][0] == expense


@pytest.mark.parametrize(
    "changes",
    [{"amount": 100, "quantity": None, "unit_price": None}, {"amount": 0, "quantity": ONE, "unit_price": None}],
)
def test_a_typed_in_line_with_money_or_quantity_cannot_be_sent(changes: dict[str, Any]) -> None:
    with pytest.raises(CannotWriteError, match="no product"):
        update({"lines": [row(product_id=None, **changes)]})


def test_quantity_times_price_must_be_the_amount_half_up() -> None:
    half_up = row(quantity=ONE, unit_price=10_050_000, amount=101)
    (line,) = update({"lines": [half_up]})["Line"]
    assert line["Amount"] == Decimal("1.01")

    with pytest.raises(CannotWriteError, match=r"Line 1 \(Soil\): 1 x 1.005 is 1.01, but the line says 1.00"):
        update({"lines": [{**half_up, "amount": 100}]})


def test_only_the_tax_code_is_sent_so_that_quickbooks_computes() -> None:
    body = update({"tax_rate_id": "3"}, stored_line("1"))

    assert body == {"TxnTaxDetail": {"TxnTaxCodeRef": {"value": "3"}}}


@pytest.mark.parametrize(
    ("untaxed", "body"), [(Untaxed.PLAIN, {}), (Untaxed.ZERO, {"TxnTaxDetail": {"TotalTax": Decimal(0)}})]
)
def test_taxable_lines_without_a_rate_are_said_as_the_company_allows(untaxed: Untaxed, body: dict[str, Any]) -> None:
    invoice = {"lines": [row(taxable=True)], "tax_rate_id": None, **NO_DISCOUNT}

    sent = bodies.invoice(invoice, invoice, None, "USD", creating=True, untaxed=untaxed)

    assert {name: value for name, value in sent.items() if name != "Line"} == body


def test_taxable_lines_without_a_rate_are_refused_where_a_default_rate_would_be_charged() -> None:
    invoice = {"lines": [row(taxable=True)], "tax_rate_id": None, **NO_DISCOUNT}

    with pytest.raises(CannotWriteError, match="default rate"):
        bodies.invoice(invoice, invoice, None, "USD", creating=True, untaxed=Untaxed.IMPOSSIBLE)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"lines": []}, "at least one line"),
        ({"number": None}, "needs a number"),
        ({"due_date": None}, "due date"),
        ({"customer_id": "8"}, "cannot be changed"),
        ({"discount_taxable": 100, "discount_percent": ONE}, "discount"),
    ],
)
def test_what_quickbooks_cannot_hold_is_refused_with_words(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(CannotWriteError, match=words):
        update(fields, stored_line("1"))


def test_a_record_made_active_again_says_its_name() -> None:
    active = {"active": True}

    assert bodies.product(active, {"name": "Soil"}, creating=False) == {"Name": "Soil", "Active": True}
    assert bodies.customer(active, {"display_name": "Cool Cars"}, None, creating=False) == {
        "DisplayName": "Cool Cars",
        "Active": True,
    }


def test_a_part_of_an_address_keeps_the_other_parts_and_further_lines() -> None:
    current = {"BillAddr": {"Id": "2", "Line1": "A", "Line3": "Third", "City": "B", "Lat": "1", "Long": "2"}}

    body = bodies.customer({"city": "C", "address_line1": None}, {}, current, creating=False)

    assert body == {"BillAddr": {"Id": "2", "Line1": "", "Line3": "Third", "City": "C"}}


def test_one_address_of_several_changed_sends_all_of_them() -> None:
    context = {"email": "a@x.com", "more_emails": "b@x.com"}

    body = bodies.customer({"email": "c@x.com"}, context, None, creating=False)

    assert body == {"PrimaryEmailAddr": {"Address": "c@x.com,b@x.com"}}


def test_a_field_emptied_is_sent_empty() -> None:
    fields = {"company_name": None, "phone": None, "email": None}

    assert bodies.customer(fields, {}, None, creating=False) == {
        "CompanyName": "",
        "PrimaryEmailAddr": {"Address": ""},
        "PrimaryPhone": {"FreeFormNumber": ""},
    }


def test_credit_lines_of_a_payment_stay_when_its_invoices_change() -> None:
    credit = {"Amount": Decimal(100), "LinkedTxn": [{"TxnId": "73", "TxnType": "CreditMemo"}]}
    current = {"Line": [{"Amount": Decimal(100), "LinkedTxn": [{"TxnId": "71", "TxnType": "Invoice"}]}, credit]}
    context = {"customer_id": "1", "amount": 0}

    body = bodies.payment(
        {"applications": [{"invoice_id": "72", "amount": 10_000}]}, context, current, "USD", creating=False
    )

    assert body["Line"] == [
        {"Amount": Decimal(100), "LinkedTxn": [{"TxnId": "72", "TxnType": "Invoice"}]},
        credit,
    ]


PAYMENT = {"customer_id": "1", "payment_date": "2024-02-16", "amount": 100}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"credit": 5}, "credit memo"),
        ({"reference": "x" * 22}, "22 characters"),
        ({"customer_id": None}, "customer"),
        ({"amount": None}, "amount"),
        ({"payment_date": None}, "date"),
    ],
)
def test_a_payment_quickbooks_cannot_hold_is_refused_with_words(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(CannotWriteError, match=words):
        bodies.payment({**PAYMENT, **fields}, {}, None, "USD", creating=True)


@pytest.mark.parametrize("fields", [{"name": None}, {"unit_price": None}])
def test_a_product_without_name_or_price_is_refused_with_words(fields: dict[str, Any]) -> None:
    with pytest.raises(CannotWriteError):
        bodies.product(fields, {}, creating=False)


def test_a_tax_rate_without_percentage_is_refused_with_words() -> None:
    with pytest.raises(CannotWriteError, match="percentage"):
        bodies.tax_code({"name": "Texas"}, "1")
