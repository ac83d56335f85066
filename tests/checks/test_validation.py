"""What a validation promises beyond its single rules."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd
import pytest

from checks import RESULT_COLUMNS, SUITES, BrokenCheckError, Check, Suite, columns, customers, validate
from checks.declaration import BOTH_HOLD, Expectation
from checks.engine import Examined, carried_out, run_checks
from checks.world import World
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Finding, Severity
from reconcile.model.money import line_amount, to_scaled
from reconcile.model.snapshot import Scope
from tests.checks.conftest import spoiled

AS_OF = datetime(2026, 3, 9, 4, 30, tzinfo=UTC)
BOOKS, BILLING = Side
CUSTOMER, PRODUCT, TAX_RATE, INVOICE, PAYMENT = Entity


def checks_of(validation: Any) -> set[str]:
    return {finding.check for finding in validation.findings}


def only(validation: Any, check: str) -> Finding:
    (found,) = [finding for finding in validation.findings if finding.check == check]
    assert isinstance(found, Finding)
    return found


def test_a_number_with_letters_is_told_with_invoice_customer_amount_why_and_a_free_number(company: Any) -> None:
    company.set(BOOKS, INVOICE, "1", number="1037-A")
    company.set(BILLING, INVOICE, "2", number="00000000000000002000")
    finding = only(company.validate(["invoices"]), "invoice_number_digits")
    assert finding.severity is Severity.STOP
    assert (finding.record_id, finding.label, finding.customer) == ("1", "1037-A", "Amy's Bird Sanctuary")
    assert (finding.amount, finding.currency) == (10254, "USD")
    for words in ("1037-A", "Amy's Bird Sanctuary", "102.54 USD", "ReliaBills", 'has "-", "A" in it'):
        assert words in finding.sentence
    assert "Change the number in QuickBooks (for example 2001, which is free)" in finding.remedy


def test_each_bad_number_is_offered_another_free_number(company: Any) -> None:
    company.set(BOOKS, INVOICE, "1", number="A")
    company.set(BOOKS, INVOICE, "2", number="B")
    remedies = [finding.remedy for finding in company.validate(["invoices"]).findings]
    assert [words for words in ("1039", "1040") if any(words in remedy for remedy in remedies)] == ["1039", "1040"]


def test_a_company_may_choose_that_a_bad_number_only_holds_its_invoice(company: Any) -> None:
    company.set(BOOKS, INVOICE, "1", number="1037-A")
    validation = company.validate(["invoices"], bad_invoice_number="hold")
    assert only(validation, "invoice_number_digits").severity is Severity.HOLD
    row = validation.results.set_index(["check", "side"]).loc[("invoice_number_digits", "books")]
    assert row["severity"] == "hold"


def test_what_only_looks_like_a_number_is_none(company: Any) -> None:
    wrong = {
        "１２３": "look-alike digits",  # noqa: RUF001 - the full-width digits are what this is about
        "12²": "look-alike digits",
        "12\n": "blanks",
        " 12": "blanks",
        " ": "is blank",
        "1e5": '"e"',
        "1_000": '"_"',
        "-5": '"-"',
        "1" * 22: "22 digits, more than 21",
        "INV-7": '"I", "N", "V", "-"',
    }
    for place, number in enumerate(wrong):
        company.copy(BOOKS, INVOICE, "1", f"n{place}", number=number)
    validation = company.validate(["invoices"])
    said = {finding.label: finding.sentence for finding in validation.findings if "digits" in finding.check}
    assert {number for number, why in wrong.items() if why not in said.get(number, "")} == set()
    assert set(said) == set(wrong)


def test_one_to_twenty_one_digits_are_a_number_leading_zeros_included(company: Any) -> None:
    for number in ("0", "00123", "123", "9" * 21):
        company.copy(BOOKS, INVOICE, "1", f"n{number}", number=number)
    assert "invoice_number_digits" not in checks_of(company.validate(["invoices"]))
    assert "invoice_number_unique" not in checks_of(company.validate(["invoices"]))


def test_when_no_higher_number_fits_none_is_proposed(company: Any) -> None:
    company.set(BOOKS, INVOICE, "1", number="A")
    company.set(BOOKS, INVOICE, "2", number="9" * 21)
    assert "1 to 21 digits that no other invoice has" in company.validate(["invoices"]).findings[0].remedy


def test_no_number_is_proposed_when_not_all_numbers_are_known(company: Any) -> None:
    company.set(BOOKS, INVOICE, "1", number="A")
    company.scopes[BILLING, INVOICE] = Scope.DELTA
    assert "1 to 21 digits that no other invoice has" in company.validate(["invoices"]).findings[0].remedy


def test_the_number_of_a_void_invoice_that_nobody_carries_may_be_anything(company: Any) -> None:
    company.copy(BOOKS, INVOICE, "1", "9", number="VOID-1", void=True, total=0, balance=0, state="void")
    assert company.validate(["invoices"]).findings == ()
    linked = company.validate(["invoices"], linked={INVOICE: frozenset({"9"})})
    assert checks_of(linked) == {"invoice_number_digits"}


def test_a_customer_already_in_billing_without_last_name_is_only_noted(company: Any) -> None:
    company.set(BOOKS, CUSTOMER, "1", family_name=None)
    assert company.validate(["customers"]).findings[0].severity is Severity.HOLD
    linked = company.validate(["customers"], linked={CUSTOMER: frozenset({"1"})})
    assert linked.findings[0].severity is Severity.NOTE


def test_a_missing_name_comes_with_a_proposal(company: Any) -> None:
    proposals = {
        "Amy Lauterbach": ("Amy", "Lauterbach"),
        "Mary Ann Smith": ("Mary Ann", "Smith"),
        "Cool Cars LLC": ("Accounts Payable", "Cool Cars LLC"),
        "Gevelber Photography & Sons": ("Accounts Payable", "Gevelber Photography & Sons"),
        "Jeff": ("Accounts Payable", "Jeff"),
    }
    for name in proposals:
        company.copy(BOOKS, CUSTOMER, "1", name, display_name=name, given_name=None, family_name=None)
    remedies = {(one.check, one.label): one.remedy for one in company.validate(["customers"]).findings}
    for name, (first, last) in proposals.items():
        assert f'for example "{first}"' in remedies["customer_first_name_present", name]
        assert f'for example "{last}"' in remedies["customer_last_name_present", name]


def test_a_missing_or_crowded_e_mail_comes_with_one_of_the_addresses_that_are_there(company: Any) -> None:
    company.set(BOOKS, CUSTOMER, "1", email=None)
    company.set(BOOKS, CUSTOMER, "2", email="cars@example.com; office@example.com")
    validation = company.validate(["customers"])
    assert "for example a@example.com" in only(validation, "customer_email_present").remedy
    assert "for example cars@example.com" in only(validation, "customer_email_single").remedy


def test_what_is_no_address_is_no_e_mail(company: Any) -> None:
    wrong = ["a@b", "a b@x.com", "@x.com", "a@x.com\n", "a@@x.com", "a@x.", "Amy <a@x.com>", "x" * 96 + "@x.com"]
    for email in [*wrong, "first.last+tag@mail.example.co.uk", "o'brien@example.com"]:
        company.copy(BOOKS, CUSTOMER, "1", email, email=email)
    assert sorted(one.record_id for one in company.validate(["customers"]).findings) == sorted(wrong)


def test_every_blank_there_is_separates_addresses() -> None:
    characters = pd.Series([chr(code) for code in range(0xD800)], dtype="str")
    separating = set(characters[columns.contains(characters, customers._SEPARATORS)])
    assert separating == {",", ";", *(one for one in characters if re.match(r"\s", one))}


def test_credits_count_as_applied(company: Any) -> None:
    company.set(BOOKS, PAYMENT, "2", amount=0, credit=6750)
    assert company.validate(["invoices", "payments"]).findings == ()


def test_a_void_payment_pays_nothing(company: Any) -> None:
    company.set(BOOKS, PAYMENT, "2", void=True)
    assert checks_of(company.validate(["invoices", "payments"])) == {"invoice_balance"}
    company.set(BOOKS, INVOICE, "2", balance=6750, state="open")
    assert company.validate(["invoices", "payments"]).findings == ()


def test_an_invoice_closed_without_full_payment_owes_nothing(company: Any) -> None:
    company.set(BILLING, INVOICE, "1", state="closed", balance=0)
    assert company.validate(["invoices"]).findings == ()


def test_a_parent_may_pay_for_its_jobs_in_books(company: Any) -> None:
    company.set(BOOKS, CUSTOMER, "1", parent_id="2")
    company.set(BOOKS, PAYMENT, "1", customer_id="2")
    assert company.validate(["payments"]).findings == ()


def test_a_record_that_exists_but_cannot_be_read_is_not_missing(company: Any) -> None:
    company.set(BOOKS, INVOICE, "1", customer_id="77")
    assert "invoice_customer_exists" in checks_of(company.validate(["across"]))
    company.unreadable[BOOKS, CUSTOMER] = frozenset({"77"})
    assert company.validate(["across"]).findings == ()


def test_absence_means_nothing_where_not_everything_was_read(company: Any) -> None:
    for entity in (CUSTOMER, PRODUCT, PAYMENT):
        company.scopes[BOOKS, entity] = Scope.DELTA
        company.records[BOOKS][entity] = {}
    company.rows[BOOKS][PAYMENT] = []
    validation = company.validate()
    assert validation.findings == ()
    row = validation.results.set_index(["check", "side"]).loc[("invoice_balance", "books")]
    assert (row["evaluated"], row["passed"]) == (0, True)


def test_an_empty_frame_passes_every_rule_but_the_first(company: Any) -> None:
    company.records[BILLING][PRODUCT] = {}
    validation = company.validate(["products"])
    finding = only(validation, "product_rows_present")
    assert (finding.severity, finding.record_id, finding.side) == (Severity.NOTE, "", BILLING)
    assert finding.sentence == "ReliaBills has no products, QuickBooks has 2."


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_what_an_empty_frame_is_told_is_what_great_expectations_would_say(company: Any, suite: Suite) -> None:
    for side in Side:
        company.records[side] = {entity: {} for entity in Entity}
        company.rows[side] = {}
    books, billing = ({entity: company.snapshot(side, entity) for entity in Entity} for side in Side)
    world = World(books, billing, {side: {entity: frozenset() for entity in Entity} for side in Side}, AS_OF.date())
    for entity in suite.entities:
        checks = [check for check in suite.checks if check.entity is entity]
        examined = {side: Examined(checks, suite.facts(world, side, entity), 0) for side in Side}
        assert examined[BOOKS].frame.empty
        assert run_checks("suite", examined) == carried_out("suite", examined)
        nothing = Examined(checks[-1:], examined[BOOKS].frame[[]], 0)
        (broken,) = run_checks("suite", {BOOKS: nothing})[BOOKS]
        assert not broken.passed
        assert broken.exception


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_a_side_hears_the_same_with_the_other_beside_it_as_alone(company: Any, suite: Suite) -> None:
    world = spoiled(company)
    failing = 0
    for entity in suite.entities:
        examined = {
            side: Examined(
                [check for check in suite.checks if check.entity is entity and side in check.severity],
                suite.facts(world, side, entity),
                9 if side is BILLING else 1,
            )
            for side in Side
        }
        together = run_checks("suite", examined)
        for side in Side:
            assert together[side] == run_checks("suite", {side: examined[side]})[side]
            failing += sum(not result.passed for result in together[side])
    assert failing


def test_an_empty_new_company_is_no_finding(company: Any) -> None:
    for side in Side:
        company.records[side] = {entity: {} for entity in Entity}
        company.rows[side] = {}
    validation = company.validate()
    assert validation.findings == ()
    assert validation.results["evaluated"].sum() == 0


def test_what_a_side_has_said_of_a_record_is_not_said_again(company: Any) -> None:
    company.set(BILLING, INVOICE, "1", invoice_date="2026-02-30")
    said = only(company.validate(["invoices"]), "invoice_date_real")
    company.read[BILLING, INVOICE] = (replace(said, check="date_possible"),)
    validation = company.validate(["invoices"])
    assert validation.findings == ()
    assert not validation.results.set_index(["check", "side"]).loc[("invoice_date_real", "billing"), "passed"]


def test_hostile_names_are_quoted_as_they_are_and_long_ones_shortened(company: Any) -> None:
    company.set(BOOKS, CUSTOMER, "1", display_name="{label.__class__}<script>" + "x" * 500, given_name=None)
    finding = only(company.validate(["customers"]), "customer_first_name_present")
    assert finding.customer.startswith("{label.__class__}<script>")
    assert "{label.__class__}<script>x" in finding.sentence
    assert len(finding.sentence) < 300


def test_stops_come_before_holds_and_holds_before_notes(company: Any) -> None:
    company.set(BOOKS, INVOICE, "1", number="A", due_date="2026-01-31")
    company.set(BOOKS, INVOICE, "2", balance=1)
    severities = [finding.severity for finding in company.validate(["invoices"]).findings]
    assert severities == [Severity.STOP, Severity.HOLD, Severity.NOTE]


def test_results_are_counts_and_no_values(company: Any) -> None:
    company.set(BOOKS, CUSTOMER, "1", display_name="Secret: Name")
    results = company.validate().results
    assert dict(results.dtypes.astype(str)) == RESULT_COLUMNS
    assert "Secret" not in results.to_csv()
    assert len(results) == sum(len(check.severity) for suite in SUITES for check in suite.checks)


def suite_with(values: list[Any], column: str) -> Suite:
    def facts(world: Any, side: Side, entity: Entity) -> pd.DataFrame:
        return pd.DataFrame(world.records(side, entity)).assign(wanted=pd.Series(values, dtype=object))

    between = Expectation("ExpectColumnValuesToBeBetween", {"column": column, "min_value": 0})
    return Suite("odd", (Check("odd_rule", CUSTOMER, BOTH_HOLD, between, "", ""),), facts)


@pytest.mark.parametrize(("values", "column"), [([1, 2], "misspelt"), (["one", "two"], "wanted")])
def test_a_rule_that_cannot_be_carried_out_is_no_pass_but_broken_machinery(
    company: Any, values: list[Any], column: str
) -> None:
    books, billing = ({entity: company.snapshot(side, entity) for entity in Entity} for side in Side)
    with pytest.raises(BrokenCheckError, match="nothing was written: odd_rule on books") as caught:
        validate(books, billing, today=date(2026, 3, 8), suites=[suite_with(values, column)])
    assert caught.value.results["exception"].tolist() == [True, True]
    assert caught.value.results["passed"].tolist() == [False, False]


def test_checks_are_imported_without_their_heavy_library_and_with_its_analytics_off() -> None:
    code = "import sys, os, checks; print('great_expectations' in sys.modules, os.environ['GX_ANALYTICS_ENABLED'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "false"]


LINES: Mapping[str, tuple[str, str, str]] = {
    "a sum beyond 64 bits of ten-millionths": ("1000000", "999999.99", "USD"),
    "half a cent up": ("0.5", "0.01", "USD"),
    "half a cent up, away from zero": ("-0.5", "0.01", "USD"),
    "no decimals": ("3", "33.5", "JPY"),
    "three decimals": ("1.5", "0.333", "KWD"),
}


@pytest.mark.parametrize("name", LINES)
def test_line_amounts_of_whole_frames_are_those_of_single_lines(name: str) -> None:
    quantity, price, currency = LINES[name]
    known = to_scaled(quantity)
    products = columns.rounded_products(
        pd.Series([known, None], dtype="Int64"),
        pd.Series([to_scaled(price), 1], dtype="Int64"),
        pd.Series([currency, currency], dtype="str"),
    )
    assert products[0] == line_amount(known, to_scaled(price), currency)
    assert pd.isna(products[1])
