from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from reconcile.errors import StepFailedError
from reconcile.model.changes import BASE_COLUMNS, LINK_COLUMNS
from reconcile.model.entities import Entity, Side
from reconcile.model.journal import AgreementUpdate
from reconcile.state.database import writing

Make = Callable[..., AgreementUpdate]
TRICKY_IDS = ["00123", "123", "1e5", "NaN", "NA", "None", "null", "True", "１２３", "12:30:00", "2026-03-08"]  # noqa: RUF001  (full-width digits are the point)


def base_of(desk: Any, entity: Entity = Entity.CUSTOMER) -> dict[str, tuple[str, dict[str, Any], str | None]]:
    frame = desk.links.agreement(entity).frame
    return {
        row.books_id: (
            row.billing_id,
            json.loads(row.fields),
            None if row.unsettled != row.unsettled else row.unsettled,
        )
        for row in frame.itertuples()
    }


def test_nothing_remembered_is_an_empty_frame_of_the_right_types(desk: Any) -> None:
    agreement = desk.links.agreement(Entity.INVOICE)
    assert dict(agreement.frame.dtypes.astype(str)) == BASE_COLUMNS
    assert dict(agreement.tombstones.dtypes.astype(str)) == LINK_COLUMNS
    assert dict(desk.links.pairs(Entity.INVOICE).dtypes.astype(str)) == LINK_COLUMNS


def test_ids_are_text_from_the_first_byte_to_the_last(desk: Any, make_agreement: Make) -> None:
    desk.link(*[make_agreement(books, f"B{books}") for books in TRICKY_IDS])
    frame = desk.links.agreement(Entity.CUSTOMER).frame
    assert list(frame["books_id"]) == TRICKY_IDS
    assert dict(frame.dtypes.astype(str)) == BASE_COLUMNS
    assert desk.links.counterpart(Entity.CUSTOMER, Side.BOOKS, "00123") == "B00123"
    assert desk.links.counterpart(Entity.CUSTOMER, Side.BILLING, "B123") == "123"
    assert desk.links.counterpart(Entity.CUSTOMER, Side.BOOKS, "0123") is None


def test_links_of_other_entities_and_companies_stay_apart(desk: Any, make_desk: Any, make_agreement: Make) -> None:
    neighbour = make_desk(desk.url, company="neighbour")
    desk.link(make_agreement("1", "2"), make_agreement("1", "3", entity=Entity.PRODUCT))
    neighbour.link(make_agreement("1", "4"))
    assert [len(d.links.pairs(Entity.CUSTOMER)) for d in (desk, neighbour)] == [1, 1]
    assert desk.links.counterpart(Entity.CUSTOMER, Side.BOOKS, "1") == "2"
    assert desk.links.counterpart(Entity.PRODUCT, Side.BOOKS, "1") == "3"
    assert neighbour.links.counterpart(Entity.CUSTOMER, Side.BOOKS, "1") == "4"


@pytest.mark.parametrize("wrong", [("12", "78"), ("13", "77")])
def test_a_record_has_at_most_one_live_counterpart(desk: Any, make_agreement: Make, wrong: tuple[str, str]) -> None:
    desk.link(make_agreement("12", "77"))
    with pytest.raises(StepFailedError, match="12 in QuickBooks is linked to 77 in ReliaBills already"):
        desk.link(make_agreement("20", "90"), make_agreement(*wrong))
    assert base_of(desk).keys() == {"12"}


def test_two_links_made_in_one_go_may_not_share_a_record(desk: Any, make_agreement: Make) -> None:
    with pytest.raises(StepFailedError, match="already"):
        desk.link(make_agreement("12", "77"), make_agreement("12", "78"))
    assert base_of(desk) == {}


@pytest.mark.parametrize("column", ["books_id", "billing_id"])
def test_the_database_itself_refuses_a_second_live_link(desk: Any, make_agreement: Make, column: str) -> None:
    desk.link(make_agreement("12", "77"))
    values = {"books_id": "99", "billing_id": "99", column: {"books_id": "12", "billing_id": "77"}[column]}
    with pytest.raises(IntegrityError), writing(desk.engine) as connection:
        connection.execute(
            text(
                "INSERT INTO link (company, entity, books_id, billing_id, linked_at, run_id) "
                "VALUES ('craigs', 'customer', :books_id, :billing_id, '2026-11-23 00:00:00.000000', :run)"
            ),
            {**values, "run": desk.run.id},
        )


def test_a_forgotten_pair_leaves_a_tombstone_and_may_live_again(desk: Any, make_agreement: Make) -> None:
    desk.link(make_agreement("12", "77", fields={"phone": "1"}), make_agreement("13", "78"))
    desk.journal.forget(Entity.CUSTOMER, "12", "77", because="gone from both")
    desk.journal.forget(Entity.CUSTOMER, "12", "77", because="said twice")
    agreement = desk.links.agreement(Entity.CUSTOMER)
    assert list(agreement.frame["books_id"]) == ["13"]
    assert agreement.tombstones.to_dict("records") == [{"books_id": "12", "billing_id": "77"}]
    assert desk.links.counterpart(Entity.CUSTOMER, Side.BOOKS, "12") is None

    desk.link(make_agreement("12", "79"))
    assert base_of(desk)["12"] == ("79", {"display_name": "Cool Cars"}, None)
    assert len(desk.links.agreement(Entity.CUSTOMER).tombstones) == 1


def test_the_reason_of_a_tombstone_is_the_first_one(desk: Any, make_agreement: Make) -> None:
    desk.link(make_agreement("12", "77"))
    for reason in ("gone from both", "said twice"):
        desk.journal.forget(Entity.CUSTOMER, "12", "77", because=reason)
    with desk.engine.connect() as connection:
        assert connection.execute(text("SELECT ended_because FROM link")).scalars().all() == ["gone from both"]


def test_what_was_never_linked_cannot_be_forgotten(desk: Any, make_agreement: Make) -> None:
    desk.link(make_agreement("12", "77"))
    with pytest.raises(StepFailedError, match="are not linked"):
        desk.journal.forget(Entity.CUSTOMER, "12", "78", because="a mistake")
    assert base_of(desk).keys() == {"12"}


def test_an_update_without_a_version_keeps_the_one_known(desk: Any, make_agreement: Make) -> None:
    desk.link(make_agreement(books_version="3", billing_version="4"))
    desk.link(make_agreement(books_version=None, billing_version="5"))
    with desk.engine.connect() as connection:
        row = connection.execute(text("SELECT books_version, billing_version FROM base")).one()
    assert tuple(row) == ("3", "5")


def test_many_agreements_are_folded_like_few(desk: Any, make_agreement: Make) -> None:
    many = [make_agreement(str(n), f"9{n}", fields={"phone": str(n)}) for n in range(1200)]
    desk.link(*many)
    desk.link(*[make_agreement(str(n), f"9{n}", fields={"email": "x"}) for n in range(1200)])
    desk.link(make_agreement("7", "97", fields={"phone": "new"}))
    base = base_of(desk)
    assert len(base) == 1200
    assert base["8"] == ("98", {"phone": "8", "email": "x"}, None)
    assert base["7"] == ("97", {"phone": "new", "email": "x"}, None)


def test_what_is_agreed_cannot_be_unsettled_at_once(make_agreement: Make) -> None:
    with pytest.raises(ValueError, match="phone cannot be agreed and unsettled"):
        make_agreement(fields={"phone": "1"}, unsettled=("phone",))


def test_an_agreement_needs_both_ids(make_agreement: Make) -> None:
    with pytest.raises(ValueError, match="an id on both sides"):
        make_agreement("12", "")


def test_a_float_never_becomes_agreed(desk: Any, make_agreement: Make) -> None:
    with pytest.raises(TypeError, match="float"):
        desk.link(make_agreement(fields={"total": 10.1}))
    assert base_of(desk) == {}


FIELDS = ("display_name", "phone", "taxable", "lines", "memo")
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.text(st.characters(), max_size=12),  # every character, lone surrogates and NUL included
)
AGREED = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=len(FIELDS))
HISTORY = st.lists(
    st.tuples(st.sampled_from(["1", "2", "01"]), AGREED, st.sets(st.sampled_from(FIELDS))), min_size=1, max_size=8
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=HISTORY, cut=st.integers(0, 8))
def test_the_base_is_what_was_agreed_last_of_each_field_however_it_was_told(
    desk: Any, make_desk: Any, make_agreement: Make, history: list[tuple[str, dict[str, Any], set[str]]], cut: int
) -> None:
    company = make_desk(desk.url, company=f"company-{desk.count('company')}")
    told = [
        make_agreement(key, f"B{key}", fields=fields, unsettled=tuple(sorted(unsettled - set(fields))))
        for key, fields, unsettled in history
    ]
    expected: dict[str, tuple[str, dict[str, Any], str | None]] = {}
    for news in told:
        former = expected.get(news.books_id, ("", {}, None))[1]
        expected[news.books_id] = (news.billing_id, former | dict(news.fields), ",".join(news.unsettled) or None)
    company.link(*told[:cut])  # in one transaction
    for news in told[cut:]:  # one by one
        company.link(news)
    assert base_of(company) == expected
    company.engine.dispose()
