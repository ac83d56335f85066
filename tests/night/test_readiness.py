"""Before the first night: what in a QuickBooks company would make the sync fail or surprise, each with what to do."""

from __future__ import annotations

from typing import Any

import pytest

from reconcile.readiness import Level, readiness, readiness_frame, settings_rows
from reconcile.sides.quickbooks.preferences import preferences_of
from tests.night.conftest import COMPANY, World
from tests.night.desks import line_in_books, sell_in_books

GOOD: dict[str, dict[str, Any]] = {
    "TaxPrefs": {"UsingSalesTax": True},
    "SalesFormsPrefs": {"CustomTxnNumbers": True, "AutoApplyCredit": False, "AutoApplyPayments": False},
    "AccountingInfoPrefs": {},
    "CurrencyPrefs": {"MultiCurrencyEnabled": False, "HomeCurrency": {"value": "USD"}},
}


def rows_of(**sections: dict[str, Any]) -> dict[str, tuple[Level, str]]:
    """Subject, level and words where these settings differ from good ones."""
    raw = {name: {**values, **sections.get(name, {})} for name, values in GOOD.items()}
    return {row.subject: (row.level, f"{row.found} {row.remedy}") for row in settings_rows(preferences_of(raw), "USD")}


def test_a_company_that_is_ready_needs_nothing() -> None:
    assert {level for level, _ in rows_of().values()} == {Level.READY}


@pytest.mark.parametrize(
    ("sections", "subject", "level", "words"),
    [
        ({"TaxPrefs": {"UsingSalesTax": False}}, "sales tax", Level.ATTENTION, "turn sales tax on"),
        ({"TaxPrefs": {"PartnerTaxEnabled": True}}, "sales tax", Level.ATTENTION, "overrides the one on the invoice"),
        (
            {"SalesFormsPrefs": {"CustomTxnNumbers": False}},
            "invoice numbers of their own",
            Level.NOTE,
            "keep their number",
        ),
        (
            {"SalesFormsPrefs": {"CustomTxnNumbers": None}},
            "invoice numbers of their own",
            Level.ATTENTION,
            "does not say",
        ),
        ({"AccountingInfoPrefs": {"BookCloseDate": "2026-09-30"}}, "closing date", Level.NOTE, "through 2026-09-30"),
        ({"CurrencyPrefs": {"HomeCurrency": {"value": "CAD"}}}, "home currency", Level.STOPS, "CAD"),
        ({"CurrencyPrefs": {"MultiCurrencyEnabled": True}}, "home currency", Level.NOTE, "other currencies"),
        ({"SalesFormsPrefs": {"AutoApplyCredit": True}}, "automatic application", Level.ATTENTION, "credits"),
        ({"SalesFormsPrefs": {"AutoApplyPayments": True}}, "automatic application", Level.ATTENTION, "payments"),
    ],
)
def test_each_setting_that_surprises_has_its_row(
    sections: dict[str, dict[str, Any]], subject: str, level: Level, words: str
) -> None:
    found = rows_of(**sections)
    assert found[subject][0] is level
    assert words in found[subject][1]
    assert {name for name, (how, _) in found.items() if how is not Level.READY} == {subject}


def test_records_that_cannot_cross_are_counted_with_examples_and_remedies(world: World) -> None:
    world.new_customer_in_books("Cool Cars")
    world.books.save("Customer", DisplayName="55 Twin Lane", PrimaryEmailAddr={"Address": "a@example.com"})
    world.new_product_in_books("Gardening")
    for number in ("A-1", "7", "7"):
        sell_in_books(world, number, "Cool Cars", line_in_books(world, "Gardening", "1", "25"))

    rows = {row.subject: row for row in readiness(world.config, COMPANY)}

    customers, numbers = rows["customers that ReliaBills cannot hold"], rows["invoice numbers that are not digits"]
    assert (customers.level, customers.found[:2]) == (Level.ATTENTION, "1:")
    assert '"55 Twin Lane" has no' in customers.found
    assert "in QuickBooks" in customers.remedy
    assert (numbers.level, "A-1" in numbers.found) == (Level.STOPS, True)
    assert "Change the number in QuickBooks" in numbers.remedy
    twice = rows["invoice numbers used twice"]
    assert (twice.level, twice.found[:2]) == (Level.ATTENTION, "1:")
    assert rows["other invoices that cannot cross"].level is Level.READY
    assert rows["income account"].level in {Level.READY, Level.ATTENTION}
    frame = readiness_frame(rows.values())
    assert frame["subject"].tolist() == list(rows)
    assert set(frame.dtypes.astype(str)) == {"str"}
