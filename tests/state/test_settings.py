from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, text

from reconcile.errors import ConfigurationError
from reconcile.state.database import writing
from reconcile.state.settings import CompanySettings, changed, load, save

CHOSEN = CompanySettings(
    bad_invoice_number="hold",
    conflict_policy={"customer.phone": "billing", "customer.*": "hold", "*": "books"},
    matched_policy={"invoice.lines": "books"},
)


def test_a_company_that_chose_nothing_has_the_careful_defaults(engine: Engine) -> None:
    assert load(engine, "craigs") == CompanySettings("stop", {}, {})


def test_settings_are_kept_per_company(engine: Engine) -> None:
    save(engine, "neighbour", CompanySettings(bad_invoice_number="hold"))
    save(engine, "craigs", CHOSEN)
    assert load(engine, "craigs") == CHOSEN
    save(engine, "craigs", CompanySettings())
    assert load(engine, "craigs") == CompanySettings()
    assert load(engine, "neighbour").bad_invoice_number == "hold"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("bad_invoice_number", "skip", "bad_invoice_number is 'skip'; choose stop or hold"),
        ("bad_invoice_number", None, "choose stop or hold"),
        ("deleted_invoices", "delete", "deleted_invoices is 'delete'; choose hold or void"),
        ("conflict_policy", ["books"], "give fields with their winners"),
        ("conflict_policy", {"customer.shoe_size": "books"}, "'customer.shoe_size', which is no field"),
        ("conflict_policy", {"invoice.total": "books"}, "'invoice.total', which is no field that can be written"),
        ("matched_policy", {"customer.phone": "newest"}, "gives customer.phone to 'newest'; choose hold, books"),
        ("matched_policy", {"customer.phone": ["x" * 500]}, "..."),
    ],
)
def test_a_choice_that_nobody_can_have_meant_is_refused(name: str, value: Any, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        CompanySettings(**{name: value})
    assert words in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "UPDATE setting SET value = '{broken' WHERE name = 'conflict_policy'",
            "conflict_policy of 'craigs' cannot be",
        ),
        ("UPDATE setting SET value = '\"skip\"' WHERE name = 'bad_invoice_number'", "of 'craigs' cannot be used"),
        (
            "UPDATE setting SET name = 'quiet_hours' WHERE name = 'matched_policy'",
            "'quiet_hours', which this reconcile",
        ),
    ],
)
def test_a_damaged_or_future_setting_is_never_guessed(engine: Engine, change: str, words: str) -> None:
    save(engine, "craigs", CHOSEN)
    with writing(engine) as connection:
        assert connection.execute(text(change)).rowcount == 1
    with pytest.raises(ConfigurationError) as caught:
        load(engine, "craigs")
    assert words in str(caught.value)


def test_one_choice_is_made_anew_and_the_others_stay() -> None:
    chosen = changed(CHOSEN, "conflict_policy.invoice.memo", "books")
    assert chosen.conflict_policy["invoice.memo"] == "books"
    assert {**chosen.conflict_policy} == {**CHOSEN.conflict_policy, "invoice.memo": "books"}
    assert chosen.matched_policy == CHOSEN.matched_policy
    assert changed(chosen, "most_charges", "7").most_charges == 7
    assert changed(chosen, "bad_invoice_number", "hold").bad_invoice_number == "hold"
    assert changed(chosen, "deleted_invoices", "void").deleted_invoices == "void"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("quiet_hours", "22"),
        ("conflict_policy", "books"),
        ("conflict_policy.invoice.total", "books"),
        ("matched_policy.customer.phone", "skip"),
        ("bad_invoice_number", "ignore"),
        ("most_charges", "-1"),
        ("most_charges", "many"),
    ],
)
def test_a_typed_choice_that_does_not_exist_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError):
        changed(CompanySettings(), name, value)
