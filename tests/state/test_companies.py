from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from reconcile.errors import GuardError
from reconcile.model.entities import Side
from reconcile.sides.side import CompanyIdentity
from reconcile.state.companies import KnownIdentity, known_identity, recognise, register

CRAIGS = CompanyIdentity("9130347", "Craig's Design and Landscaping Services", "USD")


def test_a_company_is_unknown_until_it_is_registered(engine: Engine) -> None:
    assert known_identity(engine, "craigs", Side.BOOKS) is None
    register(engine, "craigs", CRAIGS, Side.BOOKS)
    assert known_identity(engine, "craigs", Side.BOOKS) == KnownIdentity("9130347", CRAIGS.name, "USD")
    assert known_identity(engine, "craigs", Side.BILLING) is None


def test_a_new_name_of_the_same_company_is_taken_over(engine: Engine) -> None:
    register(engine, "craigs", CRAIGS, Side.BOOKS)
    register(engine, "craigs", replace(CRAIGS, name="Craig & Sons\0"), Side.BOOKS)
    assert known_identity(engine, "craigs", Side.BOOKS) == KnownIdentity("9130347", "Craig & Sons␀", "USD")


@pytest.mark.parametrize("other", [replace(CRAIGS, company_id="09130347"), replace(CRAIGS, currency="CAD")])
def test_another_company_behind_the_same_connection_is_recognised(engine: Engine, other: CompanyIdentity) -> None:
    register(engine, "craigs", CRAIGS, Side.BOOKS)
    with pytest.raises(GuardError, match="leads to another company"):
        register(engine, "craigs", other, Side.BOOKS)
    with pytest.raises(GuardError, match=r"Connect the right company again: `reconcile connect craigs`\."):
        recognise(engine, "craigs", other, Side.BOOKS)
    recognise(engine, "craigs", other, Side.BILLING)
    assert known_identity(engine, "craigs", Side.BILLING) is None
    assert known_identity(engine, "craigs", Side.BOOKS) == KnownIdentity("9130347", CRAIGS.name, "USD")
