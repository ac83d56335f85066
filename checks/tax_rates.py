"""Tax rates: named once, with a percent and an agency, as QuickBooks' tax service needs them (API file 4.5, 4.6)."""

from __future__ import annotations

from checks import columns
from checks.declaration import BILLING_HOLD, BOTH_HOLD, TEXT_LENGTH, Check, Suite, first_checks, holds
from checks.world import Columns, World
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Severity
from reconcile.model.money import ONE

LENGTHS = {"name": ("name", 100), "agency": ("agency", 100)}
"""Most characters QuickBooks takes (API file 4.5)."""

CHECKS = (
    *first_checks(Entity.TAX_RATE),
    Check(
        "tax_rate_name_present",
        Entity.TAX_RATE,
        BOTH_HOLD,
        holds("name_present"),
        "The tax rate with id {id} has no name in {here}.",
        "Give the tax rate a name in {here}.",
        amount="",
    ),
    Check(
        "tax_rate_percent_sane",
        Entity.TAX_RATE,
        BOTH_HOLD,
        holds("percent_sane"),
        'The percent of tax rate "{label}" in {here} is {percent:number}; it must be between 0 and 100.',
        "Correct the rate in {here}.",
        amount="",
    ),
    Check(
        "tax_rate_agency_present",
        Entity.TAX_RATE,
        BILLING_HOLD,
        holds("agency_present"),
        'Tax rate "{label}" names no agency in ReliaBills; QuickBooks needs to know to whom the tax is paid.',
        "Enter the tax agency in ReliaBills, as it is called in QuickBooks.",
        linked_severity=Severity.NOTE,
        amount="",
    ),
    Check(
        "tax_rate_text_lengths",
        Entity.TAX_RATE,
        BILLING_HOLD,
        holds("lengths_fit"),
        'Tax rate "{label}" is longer in ReliaBills than QuickBooks can hold, in: {too_long}.',
        "Shorten it in ReliaBills to at most 100 characters; nothing is cut off silently.",
        amount="",
        told_by=TEXT_LENGTH,
    ),
)


def facts(world: World, side: Side, entity: Entity) -> Columns:
    """One row per tax rate with the columns :data:`CHECKS` look at."""
    frame = world.records(side, entity)
    frame["name_present"] = columns.is_present(frame["name"])
    frame["percent_sane"] = columns.truth(frame["percent"].between(0, 100 * ONE))
    frame["agency_present"] = columns.is_present(frame["agency"])
    frame["too_long"] = columns.listed(
        {title: ~columns.fits(frame[name], length) for name, (title, length) in LENGTHS.items()}
    )
    frame["lengths_fit"] = frame["too_long"] == ""
    return frame


SUITE = Suite("tax_rates", CHECKS, facts)
