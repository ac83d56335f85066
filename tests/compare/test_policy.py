"""The policy: the most particular choice counts, and a choice that names nothing is refused."""

from __future__ import annotations

import pytest

from reconcile.compare.policy import Policy, Winner, result_fields, written_fields
from reconcile.errors import ConfigurationError
from reconcile.model.entities import Entity, field


def test_without_a_choice_everything_is_held() -> None:
    policy, phone = Policy(), field(Entity.CUSTOMER, "phone")
    assert policy.conflict(Entity.CUSTOMER, phone) is Winner.HOLD
    assert policy.difference(Entity.CUSTOMER, phone) is Winner.HOLD


def test_the_most_particular_choice_counts() -> None:
    policy = Policy.from_settings({"*": "books", "customer.*": "hold", "customer.phone": "billing"}, {})
    assert policy.conflict(Entity.CUSTOMER, field(Entity.CUSTOMER, "phone")) is Winner.BILLING
    assert policy.conflict(Entity.CUSTOMER, field(Entity.CUSTOMER, "email")) is Winner.HOLD
    assert policy.conflict(Entity.PRODUCT, field(Entity.PRODUCT, "name")) is Winner.BOOKS
    assert policy.difference(Entity.PRODUCT, field(Entity.PRODUCT, "name")) is Winner.HOLD


@pytest.mark.parametrize("key", ["customer.fax", "phone", "invoice.total", "customer.auto_pay", ""])
def test_a_choice_for_a_field_that_cannot_be_written_is_refused(key: str) -> None:
    with pytest.raises(ConfigurationError, match="no field that can be written"):
        Policy.from_settings({}, {key: "books"})


def test_a_winner_that_is_no_side_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="choose hold, books or billing"):
        Policy.from_settings({"*": "newest"}, {})


def test_results_are_compared_but_never_written() -> None:
    assert {of.name for of in result_fields(Entity.INVOICE)} == {"subtotal", "discount", "tax", "total"}
    assert not {of.name for of in written_fields(Entity.INVOICE)} & {"subtotal", "discount", "tax", "total", "balance"}
