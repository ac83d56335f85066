"""When a deferred company is tried again, and how a used-up month is told from a busy hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconcile.errors import Cause, DeferredError
from reconcile.interruption import LONGEST_REST, QUOTA_AFTER, REST, deferral, left_words
from reconcile.model.entities import Entity
from reconcile.model.runs import DEFERRED, Deferral, Outcome, Run, StepResult, StepStatus, deferral_of
from tests.test_verdict import run

NOW = datetime(2026, 11, 25, 4, 30, tzinfo=UTC)


def refused(**more: Any) -> DeferredError:
    return DeferredError("QuickBooks asked for fewer requests 6 times in a row.", Cause.BUSY, **({"waits": 5} | more))


def before(company: str = "craigs", ago: timedelta = timedelta(minutes=30), **more: Any) -> Run:
    """An earlier run of a company, refused all along."""
    found = Deferral(Cause.BUSY, NOW, NOW - ago, **({"waits": 5} | more))
    counts = {DEFERRED: found.as_json()}
    return run(company=company, outcome=Outcome.DEFERRED, counts=counts, started_at=NOW - ago)


def test_a_deferral_is_kept_as_json_and_read_again() -> None:
    kept = deferral(refused(answered=True), "craigs", None, [], NOW)
    assert deferral_of(kept.as_json()) == kept
    assert deferral_of(None) is None


def test_each_time_in_a_row_is_waited_for_longer_up_to_a_bound() -> None:
    last, waited = None, []
    for _ in range(8):
        found = deferral(DeferredError("trouble", Cause.TROUBLE), "craigs", last, [], NOW)
        waited.append(found.until - NOW)
        last = run(outcome=Outcome.DEFERRED, counts={DEFERRED: found.as_json()})
    assert waited[:3] == [REST[Cause.TROUBLE], 2 * REST[Cause.TROUBLE], 4 * REST[Cause.TROUBLE]]
    assert waited[-1] == waited[-2] == LONGEST_REST
    assert deferral(refused(), "craigs", run(outcome=Outcome.AGREED), [], NOW).times == 1


def test_a_longer_wait_that_quickbooks_names_is_kept() -> None:
    assert deferral(refused(wait=timedelta(hours=9)), "craigs", None, [], NOW).until == NOW + timedelta(hours=9)


@pytest.mark.parametrize(
    ("earlier", "more", "cause"),
    [
        ([], {}, Cause.BUSY),
        ([before()] * 2, {}, Cause.BUSY),
        ([before(ago=QUOTA_AFTER)] * 2, {}, Cause.QUOTA),
        ([before(ago=QUOTA_AFTER)] * 2, {"answered": True}, Cause.BUSY),
        ([before(answered=True), before(ago=QUOTA_AFTER)], {}, Cause.BUSY),
        ([before(), run(outcome=Outcome.AGREED), before(ago=QUOTA_AFTER)], {}, Cause.BUSY),
        ([before(), run(outcome=Outcome.STOPPED), before(ago=QUOTA_AFTER)], {}, Cause.QUOTA),
        ([before("second"), before("third")], {}, Cause.QUOTA),
        ([before("second"), before("second")], {}, Cause.BUSY),
    ],
)
def test_so_many_waits_over_an_hour_or_by_three_companies_are_the_quota(
    earlier: list[Run], more: dict[str, Any], cause: Cause
) -> None:
    assert deferral(refused(**more), "craigs", None, earlier, NOW).cause is cause


def test_what_is_across_and_what_is_not_is_said_once_and_without_what_had_nothing_to_do() -> None:
    steps = (
        StepResult(Entity.CUSTOMER, StepStatus.SYNCED, done=3),
        StepResult(Entity.PRODUCT, StepStatus.SYNCED),
        StepResult(Entity.TAX_RATE, StepStatus.BROKEN_OFF, done=1, unknown=1, reason="Busy. 4 records were not sent."),
    )
    said = left_words(steps, DeferredError("Busy."), apply=True)
    assert said == (
        "Across: customers (3). Step 3 of 5, tax rates, broke off: 1 across, 1 without an answer (looked up before "
        "anything else is done to it). 4 records were not sent. Not started: invoices, payments."
    )


def test_a_step_that_broke_off_while_it_read_again_claims_no_numbers() -> None:
    said = left_words((StepResult(Entity.CUSTOMER, StepStatus.STARTED),), DeferredError("Busy."), apply=True)
    assert said == (
        "Step 1 of 5, customers, broke off while records were read again; what it had sent by then stands in the "
        "journal. Not started: products, tax rates, invoices, payments."
    )
