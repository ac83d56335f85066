from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Engine

from reconcile.errors import ConfigurationError
from reconcile.model.audit import Head
from reconcile.model.entities import Entity
from reconcile.model.notices import Notice
from reconcile.model.runs import Mode, Outcome, Run, StepResult, StepStatus
from reconcile.state import audit, outbox, runs

STARTED = datetime(2026, 11, 23, 4, 30, 0, 123456, tzinfo=UTC)


def a_run(run_id: str = "run-1", **changes: Any) -> Run:
    values: dict[str, Any] = {
        "id": run_id,
        "company": "craigs",
        "kind": "night",
        "mode": Mode.CENSUS,
        "apply": True,
        "slot": "22:30",
        "slot_date": date(2026, 11, 22),
        "parameters": {"company": "00123", "mode": "census", "apply": True, "share": 0.3, "plan": None},
        "started_at": STARTED,
        "ended_at": None,
        "outcome": Outcome.RUNNING,
        "reason": "",
        "folder": "craigs/2026-11-22/2230-night-run-1",
    }
    return Run(**{**values, **changes})


def test_a_run_is_remembered_exactly(engine: Engine) -> None:
    run = a_run(
        counts={"books": {"invoice": 3}},
        control_totals={"receivables": {"books": 2**60, "billing": -1}},
        steps=(StepResult(Entity.CUSTOMER, StepStatus.SYNCED, done=3, reason="<b>\ud800"),),
        reason="Nul\0",
    )
    runs.create(engine, run)
    expected = replace(run, reason="Nul␀", steps=(replace(run.steps[0], reason="<b>\\ud800"),))
    assert runs.get(engine, "run-1") == expected


def test_times_come_back_in_utc_whatever_zone_they_were_given_in(engine: Engine) -> None:
    central = timezone(timedelta(hours=-6))
    runs.create(engine, a_run(started_at=STARTED.astimezone(central)))
    started = runs.get(engine, "run-1").started_at
    assert (started, started.tzinfo) == (STARTED, UTC)


def test_a_time_without_a_zone_is_refused(engine: Engine) -> None:
    with pytest.raises(Exception, match="names no time zone"):
        runs.create(engine, a_run(started_at=STARTED.replace(tzinfo=None)))


def test_an_id_is_given_to_one_run_only(engine: Engine) -> None:
    runs.create(engine, a_run())
    with pytest.raises(ConfigurationError, match="There is a run 'run-1' already"):
        runs.create(engine, a_run())


def test_the_newest_runs_come_first(engine: Engine) -> None:
    for number in range(4):
        company = "neighbour" if number == 3 else "craigs"
        runs.create(engine, a_run(f"run-{number}", company=company, started_at=STARTED + timedelta(hours=number)))
    runs.create(engine, a_run("run-9", started_at=STARTED))
    assert [run.id for run in runs.find(engine)] == ["run-3", "run-2", "run-1", "run-9", "run-0"]
    assert [run.id for run in runs.find(engine, company="craigs", limit=2)] == ["run-2", "run-1"]
    assert runs.find(engine, company="nobody") == []


def test_steps_are_told_in_push_order_and_the_last_word_counts(engine: Engine) -> None:
    runs.create(engine, a_run())
    runs.record_step(engine, "run-1", StepResult(Entity.INVOICE, StepStatus.STARTED))
    runs.record_step(engine, "run-1", StepResult(Entity.CUSTOMER, StepStatus.SYNCED, done=2))
    failed = StepResult(Entity.INVOICE, StepStatus.FAILED, done=5, failed=1, held=2, unknown=3, reason="letters")
    runs.record_step(engine, "run-1", failed)
    assert runs.get(engine, "run-1").steps == (StepResult(Entity.CUSTOMER, StepStatus.SYNCED, done=2), failed)


def test_counts_are_added_to_those_already_there(engine: Engine) -> None:
    runs.create(engine, a_run())
    runs.record_counts(engine, "run-1", {"held": 1, "planned_writes": 7})
    runs.record_counts(engine, "run-1", {"held": 2})
    assert runs.get(engine, "run-1").counts == {"held": 2, "planned_writes": 7}


def test_the_tie_out_is_exact_and_knows_no_float(engine: Engine) -> None:
    runs.create(engine, a_run())
    with pytest.raises(TypeError, match="float"):
        runs.record_tie_out(engine, "run-1", {"receivables": {"books": 5281.52}})
    totals = {"green": True, "receivables": {"books": 528152, "billing": 528152}}
    runs.record_tie_out(engine, "run-1", totals)
    assert runs.get(engine, "run-1").control_totals == totals


def test_the_verdict_is_written_once_and_sealed_with_the_evidence(engine: Engine) -> None:
    given: list[tuple[Head, str]] = []

    def save(head: Head, previous: str) -> tuple[str, str]:
        given.append((head, previous))
        return f"hash {len(given)}", "Invoice B-1 has a letter."

    def tell(run: Run) -> Notice:
        return Notice(run.id, run.company, f"run {run.id}", "A step failed", run.reason)

    ended = STARTED + timedelta(minutes=3)
    for number in (1, 2):
        run = a_run(f"run-{number}", outcome=Outcome.STEP_FAILED)
        runs.create(engine, replace(run, outcome=Outcome.RUNNING))
        filed = runs.finish(engine, run, ended, save, tell)
        assert (filed.outcome, filed.reason) == (Outcome.STEP_FAILED, "Invoice B-1 has a letter.")
        assert filed.ended_at == ended
        assert runs.finish(engine, replace(run, outcome=Outcome.AGREED), ended + timedelta(1), save, tell) == filed
    first, second = [walked.row for walked in audit.walk(engine, "craigs")]
    assert given == [(Head(), ""), (Head(1, first.seal), "hash 1")]
    assert '"run_json":"hash 2"' in second.content
    assert (first.run_id, second.run_id) == ("run-1", "run-2")
    told = [(posted.notice.run_id, posted.notice.body) for posted in outbox.listed(engine)]
    assert told == [("run-2", "Invoice B-1 has a letter."), ("run-1", "Invoice B-1 has a letter.")]


def test_a_run_that_does_not_exist_is_refused_by_name(engine: Engine) -> None:
    verbs = [
        lambda: runs.get(engine, "no-such-run"),
        lambda: runs.record_step(engine, "no-such-run", StepResult(Entity.INVOICE, StepStatus.STARTED)),
        lambda: runs.record_counts(engine, "no-such-run", {"held": 1}),
        lambda: runs.record_tie_out(engine, "no-such-run", {}),
        lambda: runs.finish(
            engine, a_run("no-such-run"), STARTED, lambda _head, _previous: ("", ""), lambda _run: None
        ),
    ]
    for verb in verbs:
        with pytest.raises(ConfigurationError, match="There is no run 'no-such-run'"):
            verb()


def test_run_ids_sort_by_start_and_are_safe_in_file_names() -> None:
    ids = [runs.new_run_id(STARTED + timedelta(seconds=second)) for second in range(5)]
    assert ids == sorted(ids)
    assert ids[0].startswith("20261123T043000-")
    assert all(part.isascii() and part.replace("-", "").isalnum() for part in ids)
    assert len({runs.new_run_id(STARTED) for _ in range(50)}) > 1
