"""Products: named, priced, and storable in QuickBooks (API file 4.2)."""

from __future__ import annotations

from checks import columns
from checks.declaration import (
    BILLING_HOLD,
    BOTH_HOLD,
    BOTH_NOTE,
    TEXT_CONTROL,
    TEXT_LENGTH,
    Check,
    Suite,
    first_checks,
    holds,
)
from checks.world import Columns, World
from reconcile.model.entities import Entity, Side
from reconcile.model.money import ONE

_LARGEST_PRICE = 99_999_999_999 * ONE
LENGTHS = {"name": ("name", 100), "sku": ("SKU", 100), "description": ("description", 4000)}
"""Most characters QuickBooks takes (API file 4.2)."""

CHECKS = (
    *first_checks(Entity.PRODUCT),
    Check(
        "product_name_present",
        Entity.PRODUCT,
        BOTH_HOLD,
        holds("name_present"),
        "The product with id {id} has no name in {here}.",
        "Give the product a name in {here}.",
        amount="",
    ),
    Check(
        "product_name_storable",
        Entity.PRODUCT,
        BILLING_HOLD,
        holds("name_storable"),
        'The name of product "{label}" has a colon, a tab, a line break or another control character; QuickBooks '
        "refuses it.",
        "Change the name in ReliaBills.",
        amount="",
        told_by=TEXT_CONTROL,
    ),
    Check(
        "product_text_lengths",
        Entity.PRODUCT,
        BILLING_HOLD,
        holds("lengths_fit"),
        'Product "{label}" is longer in ReliaBills than QuickBooks can hold, in: {too_long}.',
        "Shorten it in ReliaBills (name and SKU 100, description 4,000 characters); nothing is cut off silently.",
        amount="",
        told_by=TEXT_LENGTH,
    ),
    Check(
        "product_price_storable",
        Entity.PRODUCT,
        BILLING_HOLD,
        holds("price_storable"),
        'The price of product "{label}", {unit_price:number}, is more than QuickBooks can hold.',
        "Correct the price in ReliaBills (at most 99,999,999,999).",
        amount="",
    ),
    Check(
        "product_price_not_negative",
        Entity.PRODUCT,
        BOTH_NOTE,
        holds("price_not_negative"),
        'The price of product "{label}" in {here} is negative: {unit_price:number}.',
        "If it is meant as a discount, use a discount on the invoice; otherwise correct the price in {here}.",
        amount="",
    ),
)


def facts(world: World, side: Side, entity: Entity) -> Columns:
    """One row per product with the columns :data:`CHECKS` look at."""
    frame = world.records(side, entity)
    frame["name_present"] = columns.is_present(frame["name"])
    frame["name_storable"] = columns.is_storable_name(frame["name"])
    frame["too_long"] = columns.listed(
        {title: ~columns.fits(frame[name], length) for name, (title, length) in LENGTHS.items()}
    )
    frame["lengths_fit"] = frame["too_long"] == ""
    frame["price_storable"] = columns.where(frame["unit_price"].notna(), frame["unit_price"] <= _LARGEST_PRICE)
    frame["price_not_negative"] = columns.where(frame["unit_price"].notna(), frame["unit_price"] >= 0)
    return frame


SUITE = Suite("products", CHECKS, facts)
