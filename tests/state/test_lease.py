from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from reconcile.errors import LeaseError
from reconcile.state.database import writing
from reconcile.state.lease import Lease, acquire, release_run

QUARTER = timedelta(minutes=15)


def let_run_out(engine: Engine) -> None:
    """An hour passes for whoever holds a lease."""
    past = "'2020-01-01 00:00:00.000000'"
    if engine.dialect.name == "postgresql":
        past = f"CAST({past} AS timestamp) AT TIME ZONE 'UTC'"
    with writing(engine) as connection:
        connection.execute(text(f"UPDATE lease SET expires_at = {past}"))


def check(lease: Lease) -> None:
    with writing(lease.engine) as connection:
        lease.check(connection)


def test_the_second_is_told_who_holds_the_company_and_since_when(engine: Engine) -> None:
    acquire(engine, "craigs", "host:1", "run-1", QUARTER)
    with pytest.raises(LeaseError, match=r"run run-1 of host:1 holds it since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"):
        acquire(engine, "craigs", "host:2", "run-2", QUARTER)


def test_another_company_is_free(engine: Engine) -> None:
    acquire(engine, "craigs", "host:1", "run-1", QUARTER)
    assert acquire(engine, "neighbour", "host:2", "run-2", QUARTER).fence == 1


def test_a_lease_that_ran_out_is_taken_over_and_the_late_holder_is_refused(engine: Engine) -> None:
    late = acquire(engine, "craigs", "host:1", "run-1", QUARTER)
    let_run_out(engine)
    new = acquire(engine, "craigs", "host:2", "run-2", QUARTER)
    assert new.fence > late.fence
    with pytest.raises(LeaseError, match=r"no longer holds 'craigs': run run-2 of host:2"):
        check(late)
    with pytest.raises(LeaseError):
        late.renew()
    check(new)


def test_a_lease_that_ran_out_unnoticed_is_revived_by_its_holder(engine: Engine) -> None:
    lease = acquire(engine, "craigs", "host:1", "run-1", QUARTER)
    let_run_out(engine)
    check(lease)
    with pytest.raises(LeaseError):
        acquire(engine, "craigs", "host:2", "run-2", QUARTER)


def test_time_runs_on_the_clock_of_the_database(engine: Engine) -> None:
    acquire(engine, "craigs", "host:1", "run-1", timedelta(milliseconds=50))
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            taken = acquire(engine, "craigs", "host:2", "run-2", QUARTER)
        except LeaseError:
            time.sleep(0.02)
        else:
            break
    assert taken.fence == 2


def test_a_released_company_is_free_and_the_fence_goes_on_growing(engine: Engine) -> None:
    fences = []
    for number in range(3):
        lease = acquire(engine, "craigs", "host:1", f"run-{number}", QUARTER)
        fences.append(lease.fence)
        lease.release()
        with pytest.raises(LeaseError, match="it was released"):
            check(lease)
    assert fences == [1, 2, 3]


def test_a_late_release_does_not_free_what_another_holds(engine: Engine) -> None:
    late = acquire(engine, "craigs", "host:1", "run-1", QUARTER)
    let_run_out(engine)
    new = acquire(engine, "craigs", "host:2", "run-2", QUARTER)
    late.release()
    release_run(engine, "run-1")
    check(new)
    with pytest.raises(LeaseError):
        acquire(engine, "craigs", "host:3", "run-3", QUARTER)


def test_what_a_dead_run_held_can_be_released_by_the_runner(engine: Engine) -> None:
    acquire(engine, "craigs", "host:1", "run-1", QUARTER)
    release_run(engine, "run-1")
    assert acquire(engine, "craigs", "host:2", "run-2", QUARTER).fence == 2


@pytest.mark.parametrize(("holder", "ttl"), [("", QUARTER), ("host:1", timedelta()), ("host:1", -QUARTER)])
def test_a_lease_needs_a_name_and_a_time(engine: Engine, holder: str, ttl: timedelta) -> None:
    with pytest.raises(ValueError, match="needs a holder and a positive time"):
        acquire(engine, "craigs", holder, "run-1", ttl)


@pytest.mark.parametrize("known_before", [False, True])
def test_of_many_at_once_exactly_one_holds_the_company(engine: Engine, known_before: bool) -> None:
    if known_before:
        acquire(engine, "craigs", "host:0", "run-0", QUARTER).release()
    together, held, refused = threading.Barrier(4, timeout=10), [], []

    def grab(number: int) -> None:
        together.wait()
        try:
            held.append(acquire(engine, "craigs", f"host:{number}", f"run-{number}", QUARTER))
        except LeaseError as error:
            refused.append(error)

    workers = [threading.Thread(target=grab, args=(number,)) for number in range(1, 5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (len(held), len(refused)) == (1, 3)
    assert all(held[0].run_id in str(error) for error in refused), "everybody is told of the one run"


def test_nobody_takes_over_between_the_check_and_the_commit_it_guards(engine: Engine) -> None:
    lease = acquire(engine, "craigs", "host:1", "run-1", QUARTER)
    let_run_out(engine)
    outcome: list[Any] = []

    def take_over() -> None:
        try:
            outcome.append(acquire(engine, "craigs", "host:2", "run-2", QUARTER))
        except LeaseError as error:
            outcome.append(error)

    thief = threading.Thread(target=take_over)
    with writing(engine) as connection:
        lease.check(connection)
        thief.start()
        thief.join(0.3)
        assert outcome == []
    thief.join()
    assert isinstance(outcome[0], LeaseError)
