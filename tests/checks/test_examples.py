"""Each rule seen broken: a good company, one thing spoiled, exactly that finding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from checks import SUITES
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Finding, Severity
from reconcile.model.money import ONE, to_scaled

BOOKS, BILLING = Side
CUSTOMER, PRODUCT, TAX_RATE, INVOICE, PAYMENT = Entity
NOTE, HOLD, STOP = Severity

Spoil = Callable[[Any, Side], None]


@dataclass(frozen=True)
class Example:
    """A rule, how to break it, and what the finding then says."""

    check: str
    spoil: Spoil
    says: str
    sides: tuple[Side, ...] = (BOOKS, BILLING)
    record: str = "1"
    amount: int | None = None
    also: frozenset[str] = frozenset()
    failing: int = 1


def setting(entity: Entity, **fields: Any) -> Spoil:
    return lambda company, side: company.set(side, entity, "1", **fields)


def setting_row(entity: Entity, number: int, **fields: Any) -> Spoil:
    return lambda company, side: company.set_row(side, entity, number, **fields)


def copying(entity: Entity, record: str = "1", **fields: Any) -> Spoil:
    return lambda company, side: company.copy(side, entity, record, "9", **fields)


def all_of(*spoils: Spoil) -> Spoil:
    def spoil(company: Any, side: Side) -> None:
        for one in spoils:
            one(company, side)

    return spoil


def without_records(entity: Entity) -> Spoil:
    def spoil(company: Any, side: Side) -> None:
        company.records[side][entity] = {}
        company.rows[side].pop(entity, None)

    return spoil


def without_lines(company: Any, side: Side) -> None:
    lines = company.rows[side][INVOICE]
    company.rows[side][INVOICE] = [line for line in lines if line["parent_id"] != "1"]
    company.set(side, INVOICE, "1", subtotal=0, total=204, balance=-4796)


OWED = 5254
BEHIND = {CUSTOMER: OWED, INVOICE: 10254, PAYMENT: 6000}


def for_every_entity() -> list[Example]:
    examples = []
    for entity in Entity:
        examples += [
            Example(
                f"{entity}_key_present",
                setting(entity, id=None),
                "without its id",
                record="",
                amount=None if entity is CUSTOMER else BEHIND.get(entity),
            ),
            Example(
                f"{entity}_key_unique",
                copying(entity, id="1"),
                "twice under the id 1",
                failing=2,
                amount=BEHIND.get(entity),
            ),
        ]
    return examples


EXAMPLES = [
    *for_every_entity(),
    Example(
        "customer_display_name_present", setting(CUSTOMER, display_name=None), "with id 1 has no name", amount=OWED
    ),
    Example("customer_first_name_present", setting(CUSTOMER, given_name=None), "no first name", (BOOKS,), amount=OWED),
    Example("customer_last_name_present", setting(CUSTOMER, family_name=" "), "no last name", (BOOKS,), amount=OWED),
    Example("customer_email_present", setting(CUSTOMER, email=None), "no e-mail address", (BOOKS,), amount=OWED),
    Example("customer_email_single", setting(CUSTOMER, email="a@x.com;b@x.com"), "several addresses", amount=OWED),
    Example("customer_email_valid", setting(CUSTOMER, email="birds@localhost"), "birds@localhost", amount=OWED),
    Example("customer_further_emails_valid", setting(CUSTOMER, more_emails="a@x.com, b@x.com"), "without blanks"),
    Example(
        "customer_name_storable", setting(CUSTOMER, display_name="Birds: Amy"), "display name", (BILLING,), amount=OWED
    ),
    Example("customer_name_characters", setting(CUSTOMER, family_name="Łukasz"), "last name", (BILLING,)),
    Example(
        "customer_text_lengths", setting(CUSTOMER, company_name="x" * 101), "company name", (BILLING,), amount=OWED
    ),
    Example(
        "customer_emails_fit_together",
        setting(CUSTOMER, more_emails=",".join(f"{letter * 30}@example.com" for letter in "ab")),
        "characters together",
        (BILLING,),
    ),
    Example("customer_phone_length", setting(CUSTOMER, phone="1" * 31), "30 characters", (BILLING,), amount=OWED),
    Example("product_name_present", setting(PRODUCT, name=None), "with id 1 has no name"),
    Example("product_name_storable", setting(PRODUCT, name="Pumps:Pump"), "colon", (BILLING,)),
    Example("product_text_lengths", setting(PRODUCT, sku="x" * 101, description="x" * 4001), "SKU, desc", (BILLING,)),
    Example("product_price_storable", setting(PRODUCT, unit_price=10**11 * ONE), "100000000000", (BILLING,)),
    Example("product_price_not_negative", setting(PRODUCT, unit_price=to_scaled("-7.1")), "-7.1"),
    Example("tax_rate_name_present", setting(TAX_RATE, name=None), "with id 1 has no name"),
    Example("tax_rate_percent_sane", setting(TAX_RATE, percent=to_scaled("100.5")), "100.5"),
    Example("tax_rate_agency_present", setting(TAX_RATE, agency=None), "no agency", (BILLING,)),
    Example("tax_rate_text_lengths", setting(TAX_RATE, name="x" * 101), "name", (BILLING,)),
    Example("invoice_number_present", setting(INVOICE, number=None), "has no number", amount=10254),
    Example("invoice_number_digits", setting(INVOICE, number="1037-A"), '"-", "A"', amount=10254),
    Example("invoice_number_unique", setting(INVOICE, number="1038"), "by 2 invoices", amount=10254, failing=2),
    Example(
        "invoice_lines_present", without_lines, "no lines", amount=204, also=frozenset({"invoice_balance_not_negative"})
    ),
    Example(
        "invoice_line_amounts", setting_row(INVOICE, 0, unit_price=to_scaled("12.74")), "more than a cent", amount=2
    ),
    Example("invoice_subtotal", setting_row(INVOICE, 1, quantity=None, amount=7501), "add up to 100.51 USD", amount=-1),
    Example("invoice_discount", setting(INVOICE, discount_taxable=2), "give 0.02 USD", amount=-2),
    Example("invoice_total", setting(INVOICE, tax=205), "+ tax 2.05 USD is not its total of 102.54 USD", amount=-1),
    Example(
        "invoice_total_not_negative",
        all_of(
            setting_row(INVOICE, 1, quantity=-ONE, amount=-7500),
            setting(INVOICE, subtotal=-4950, total=-4746, balance=-9746),
        ),
        "negative total",
        amount=-4746,
        also=frozenset({"invoice_balance_not_negative"}),
    ),
    Example("invoice_tax_has_rate", setting(INVOICE, tax_rate_id=None), "without a tax rate", amount=204),
    Example("invoice_balance", setting(INVOICE, balance=5255), "is not its balance of 52.55 USD", amount=1),
    Example(
        "invoice_balance_not_negative",
        all_of(setting(INVOICE, balance=-1), setting_row(PAYMENT, 0, amount=10255)),
        "beyond its total",
        amount=-1,
    ),
    Example("invoice_date_real", setting(INVOICE, invoice_date="2026-02-30"), "2026-02-30", amount=10254),
    Example("invoice_due_date_real", setting(INVOICE, due_date="0000-00-00"), "0000-00-00", amount=10254),
    Example("invoice_due_date_order", setting(INVOICE, due_date="2026-01-31"), "before its own date", amount=10254),
    Example("invoice_typed_in_lines", setting_row(INVOICE, 1, product_id=None), "75.00 USD", (BILLING,), amount=7500),
    Example("invoice_text_lengths", setting(INVOICE, memo="x" * 1001), "memo", (BILLING,), amount=10254),
    Example(
        "payment_amount_present",
        all_of(setting(PAYMENT, amount=None, credit=6000)),
        "has no amount",
        amount=6000,
    ),
    Example(
        "payment_amount_not_negative",
        setting(PAYMENT, amount=-6000, credit=12000),
        "negative",
        amount=6000,
    ),
    Example("payment_date_real", setting(PAYMENT, payment_date="2099-01-01"), "2031-03-08", amount=6000),
    Example("payment_method_known", setting(PAYMENT, method="barter"), "barter", amount=6000),
    Example("payment_reference_length", setting(PAYMENT, reference="x" * 22), "21 characters", (BILLING,), amount=6000),
    Example(
        "payment_applications_positive",
        all_of(setting_row(PAYMENT, 0, amount=-5000), setting(PAYMENT, unapplied=11000)),
        "negative or missing",
        amount=6000,
    ),
    Example("payment_within_amount", setting(PAYMENT, amount=4000), "only 40.00 USD was received", amount=1000),
    Example("payment_adds_up", setting(PAYMENT, unapplied=999), "do not make that sum", amount=1),
    Example(
        "payment_within_invoices",
        all_of(setting(PAYMENT, amount=11000, unapplied=0), setting_row(PAYMENT, 0, amount=11000)),
        "by 7.46 USD",
        amount=746,
    ),
    Example("payment_same_customer", setting(PAYMENT, customer_id="2"), "another customer", amount=6000),
    Example(
        "customer_name_unique",
        copying(CUSTOMER, display_name="AMY'S bird sanctuary"),
        "2 active customers",
        failing=2,
        amount=OWED,
    ),
    Example("customer_parent_exists", setting(CUSTOMER, parent_id="77"), "id 77", (BOOKS,), amount=OWED),
    Example("customer_currency", setting(CUSTOMER, currency="CAD"), "kept in CAD", amount=OWED),
    Example("product_name_unique", copying(PRODUCT), "2 active products", failing=2),
    Example("tax_rate_name_unique", copying(TAX_RATE), "2 active tax rates", failing=2),
    Example("invoice_customer_exists", setting(INVOICE, customer_id="77"), "id 77", amount=10254),
    Example("invoice_tax_rate_exists", setting(INVOICE, tax_rate_id="77"), "id 77", amount=10254),
    Example("invoice_products_exist", setting_row(INVOICE, 1, product_id="77"), "product that is not", amount=10254),
    Example("invoice_currency", setting(INVOICE, currency=None), "currency is USD", amount=10254),
    Example("payment_customer_exists", setting(PAYMENT, customer_id="77"), "id 77", amount=6000),
    Example("payment_invoices_exist", setting_row(PAYMENT, 0, invoice_id="77"), "invoice that is not", amount=6000),
    Example("payment_currency", setting(PAYMENT, currency="EUR"), "in EUR", amount=6000),
]


def declared(name: str) -> tuple[Any, Any]:
    return next((suite, check) for suite in SUITES for check in suite.checks if check.name == name)


def test_a_good_company_breaks_no_rule(company: Any) -> None:
    validation = company.validate()
    assert validation.findings == ()
    assert validation.results["passed"].all()
    assert not validation.results["exception"].any()
    assert (validation.results["evaluated"] > 0).sum() > len(validation.results) * 0.9


def spoiled(company: Any, example: Example) -> Any:
    for side in example.sides:
        example.spoil(company, side)
    return company


@pytest.fixture(scope="module")
def told(new_company: Any, together: Any) -> dict[str, list[Finding]]:
    """All findings of all examples, by the mark of the example: one validation instead of a hundred."""
    put_together, mark = together
    findings = put_together([spoiled(new_company(), example) for example in EXAMPLES]).validate().findings
    by_mark: dict[str, list[Finding]] = {mark(place): [] for place in range(len(EXAMPLES))}
    for finding in findings:
        about = f"{finding.record_id} {finding.label} {finding.customer}"
        by_mark[next(name for name in by_mark if name in about)].append(finding)
    return by_mark


@pytest.mark.parametrize("place", range(len(EXAMPLES)), ids=[example.check for example in EXAMPLES])
def test_a_rule_is_seen_broken_and_no_other_of_its_suite(told: Any, together: Any, place: int) -> None:
    example, mark = EXAMPLES[place], together[1](place)
    suite, check = declared(example.check)
    of_suite = [one for one in told[mark] if one.check in {other.name for other in suite.checks}]
    broken = {(name, side) for name in {example.check} | example.also for side in example.sides}
    assert {(one.check, one.side) for one in of_suite} == broken
    for side in example.sides:
        found = [one for one in of_suite if (one.check, one.side) == (example.check, side)]
        assert len(found) == example.failing
        first = next(one for one in found if one.record_id == (f"{mark}-{example.record}" if example.record else ""))
        assert (first.severity, first.entity) == (check.severity[side], check.entity)
        assert example.says in first.sentence.replace(f"{mark}-", "")
        assert side.product in first.sentence + first.remedy
        assert first.remedy
        assert "{" not in first.sentence + first.remedy
        assert first.amount == example.amount


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("entity", Entity)
def test_a_side_without_records_of_a_kind_is_told_as_a_whole(company: Any, entity: Entity, side: Side) -> None:
    without_records(entity)(company, side)
    suite, _ = declared(f"{entity}_rows_present")
    validation = company.validate([suite.name])
    (found,) = [one for one in validation.findings if one.check == f"{entity}_rows_present"]
    assert (found.side, found.severity, found.record_id, found.amount) == (side, NOTE, "", None)
    assert f"{side.product} has no {entity.plural}" in found.sentence
    result = validation.results.set_index(["check", "side"]).loc[(f"{entity}_rows_present", side.value)]
    assert (result["passed"], result["failing"]) == (False, 1)


def test_every_rule_has_an_example_on_every_side_it_applies_to() -> None:
    shown = {(example.check, side) for example in EXAMPLES for side in example.sides}
    shown |= {(f"{entity}_rows_present", side) for entity in Entity for side in Side}
    assert shown == {(check.name, side) for suite in SUITES for check in suite.checks for side in check.severity}


def test_names_of_rules_are_unique() -> None:
    names = [check.name for suite in SUITES for check in suite.checks]
    assert len(names) == len(set(names))


def test_every_entity_suite_begins_with_rows_present() -> None:
    for suite in SUITES[:-1]:
        assert suite.checks[0].name.endswith("_rows_present")
