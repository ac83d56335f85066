"""Decisions: kept with who, when, why and what was seen; claimed by one person; closed once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Engine

from reconcile.errors import AlreadyDecidedError, ConfigurationError
from reconcile.model.entities import Entity
from reconcile.model.resolutions import Choice, Draft, Resolution, Status
from reconcile.state import resolutions

COMPANY = "craigs"
TODAY = date(2026, 11, 25)


def draft(choice: Choice = Choice.KEEP_BOOKS, **changes: Any) -> Draft:
    values: dict[str, Any] = {
        "entity": Entity.CUSTOMER,
        "choice": choice,
        "books_id": "12",
        "billing_id": "7",
        "label": "Cool Cars",
        "fields": ("phone",) if choice.kept else (),
        "whole": False,
        "seen": {"phone": '{"base":["1"],"billing":"3","books":"2"}'},
        "because": "she called",
    }
    return Draft(**{**values, **changes})


def decide(engine: Engine, who: str, choice: Choice = Choice.KEEP_BOOKS, **changes: Any) -> Resolution:
    return resolutions.decide(engine, COMPANY, draft(choice, **changes), who)


def test_a_decision_is_kept_as_it_was_made(engine: Engine) -> None:
    made = decide(engine, "Anna", because="l'été \0 \udc80")
    assert resolutions.listed(engine, COMPANY) == (made,)
    assert made.draft.seen == draft().seen
    assert (made.who, made.status, made.run_id) == ("Anna", Status.OPEN, None)
    assert resolutions.listed(engine, "neighbour") == ()


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"choice": Choice.KEEP_BILLING},
        {"choice": Choice.KEEP_BILLING, "fields": ("phone", "email")},
        {"choice": Choice.IGNORE, "until": date(2026, 12, 1)},
        {"choice": Choice.UNLINK},
    ],
)
def test_the_second_person_hears_who_was_first(engine: Engine, other: dict[str, Any]) -> None:
    first = decide(engine, "Anna")
    with pytest.raises(AlreadyDecidedError, match=r"already resolved by Anna at .* \(keep books: phone; decision"):
        decide(engine, "Bert", **other)
    assert resolutions.listed(engine, COMPANY) == (first,)


def test_other_fields_and_other_records_are_free(engine: Engine) -> None:
    decide(engine, "Anna")
    decide(engine, "Bert", fields=("email",))
    decide(engine, "Bert", books_id="13", billing_id="8")
    decide(engine, "Bert", entity=Entity.PRODUCT)
    resolutions.decide(engine, "neighbour", draft(), "Bert")
    decide(engine, "Cleo", Choice.LINK, books_id="20", billing_id="21", seen={})
    with pytest.raises(AlreadyDecidedError, match="resolved by Cleo"):
        decide(engine, "Bert", Choice.LINK, books_id="20", billing_id="22", seen={})


def test_of_many_at_the_same_moment_one_decides(engine: Engine) -> None:
    people = [f"person {number}" for number in range(6)]
    together = Barrier(len(people))

    def one(who: str) -> str:
        together.wait()
        try:
            decide(engine, who, Choice.KEEP_BOOKS if who[-1] in "024" else Choice.KEEP_BILLING)
        except AlreadyDecidedError as error:
            return str(error)
        return who

    with ThreadPoolExecutor(len(people)) as pool:
        said = list(pool.map(one, people))
    (made,) = resolutions.listed(engine, COMPANY)
    assert made.who in said
    assert sum(f"already resolved by {made.who}" in sentence for sentence in said) == len(people) - 1


def test_a_decision_without_reason_or_person_is_refused(engine: Engine) -> None:
    for values, words in (({"because": " "}, "needs its reason"), ({"because": "x" * 501}, "at most 500")):
        with pytest.raises(ConfigurationError, match=words):
            decide(engine, "Anna", **values)
    with pytest.raises(ConfigurationError, match="needs the name"):
        decide(engine, " ")


def test_what_is_withdrawn_is_free_again_and_what_is_closed_stays_closed(make_desk: Any, state_url: str) -> None:
    desk = make_desk(state_url, COMPANY)
    engine = desk.engine
    first = decide(engine, "Anna")
    assert resolutions.withdraw(engine, COMPANY, first.id, "Bert").closed_because == "withdrawn by Bert"
    second = decide(engine, "Bert", Choice.KEEP_BILLING)
    with pytest.raises(AlreadyDecidedError, match="is withdrawn already"):
        resolutions.withdraw(engine, COMPANY, first.id, "Anna")
    resolutions.take(engine, COMPANY, [second.id], desk.run.id)
    with pytest.raises(AlreadyDecidedError, match=f"Run {desk.run.id} is applying decision {second.id}"):
        resolutions.withdraw(engine, COMPANY, second.id, "Anna")
    resolutions.close(engine, COMPANY, second.id, Status.APPLIED, "carried out", desk.run.id)
    with pytest.raises(AlreadyDecidedError, match="is applied already"):
        resolutions.withdraw(engine, COMPANY, second.id, "Anna")
    with pytest.raises(AlreadyDecidedError, match=f"Decision {first.id} was withdrawn while"):
        resolutions.take(engine, COMPANY, [first.id], desk.run.id)
    with pytest.raises(ConfigurationError, match="There is no decision 99"):
        resolutions.withdraw(engine, COMPANY, 99, "Anna")
    decide(engine, "Anna")


def test_what_was_ignored_until_today_is_over_and_who_was_taken_apart_stays_so(make_desk: Any, state_url: str) -> None:
    desk = make_desk(state_url, COMPANY)
    engine, run = desk.engine, desk.run.id
    past = decide(engine, "Anna", Choice.IGNORE, until=TODAY)
    later = decide(engine, "Anna", Choice.IGNORE, until=date(2026, 11, 26), books_id="13", billing_id="8")
    apart = decide(engine, "Anna", Choice.UNLINK, books_id="14", billing_id="9")
    kept = decide(engine, "Anna", books_id="15", billing_id="10")
    for one in (apart, kept):
        resolutions.close(engine, COMPANY, one.id, Status.APPLIED, "carried out", run)
    found = resolutions.for_comparison(engine, COMPANY, TODAY, run)
    assert [one.id for one in found] == [later.id, apart.id]
    assert resolutions.get(engine, COMPANY, past.id).status is Status.OVER
    decide(engine, "Bert")
