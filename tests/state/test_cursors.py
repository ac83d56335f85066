from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from reconcile.model.entities import Entity, Side
from reconcile.state import cursors

NIGHT = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)
NUMBERS = count()


def test_nothing_read_yet_has_no_cursor(engine: Engine) -> None:
    assert cursors.read(engine, "craigs", Side.BOOKS) == {}


def test_each_side_entity_and_company_has_its_own(engine: Engine) -> None:
    cursors.move(engine, "craigs", Side.BOOKS, Entity.INVOICE, NIGHT)
    cursors.move(engine, "craigs", Side.BOOKS, Entity.PAYMENT, NIGHT + timedelta(hours=1))
    cursors.move(engine, "neighbour", Side.BOOKS, Entity.INVOICE, NIGHT + timedelta(hours=2))
    assert cursors.read(engine, "craigs", Side.BOOKS) == {
        Entity.INVOICE: NIGHT,
        Entity.PAYMENT: NIGHT + timedelta(hours=1),
    }
    assert cursors.read(engine, "craigs", Side.BILLING) == {}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)), min_size=1))  # noqa: DTZ001  (hypothesis adds the zone)
def test_a_cursor_never_goes_back(engine: Engine, moves: list[datetime]) -> None:
    company = f"company-{next(NUMBERS)}"
    for to in moves[:6]:
        cursors.move(engine, company, Side.BILLING, Entity.CUSTOMER, to)
    assert cursors.read(engine, company, Side.BILLING) == {Entity.CUSTOMER: max(moves[:6])}


def test_a_time_without_a_zone_moves_nothing(engine: Engine) -> None:
    with pytest.raises(Exception, match="names no time zone"):
        cursors.move(engine, "craigs", Side.BOOKS, Entity.INVOICE, NIGHT.replace(tzinfo=None))
    assert cursors.read(engine, "craigs", Side.BOOKS) == {}
