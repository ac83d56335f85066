"""The verdict follows from the journal, the steps and the process, whatever the notebook may show."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from reconcile.model.entities import Entity
from reconcile.model.runs import Mode, Outcome, Run, StepResult, StepStatus
from reconcile.verdict import Ending, Execution, judge

SYNCED = tuple(StepResult(entity, StepStatus.SYNCED) for entity in Entity)
GREEN: dict[str, Any] = {"green": True, "sentence": "Both sides agree to the cent."}
COMPLETED = Execution(Ending.COMPLETED)


def run(**changes: Any) -> Run:
    facts: dict[str, Any] = {
        "id": "20261123T043000-aaaa",
        "company": "craigs",
        "kind": "night",
        "mode": Mode.CENSUS,
        "apply": True,
        "slot": "22:30",
        "slot_date": None,
        "parameters": {},
        "started_at": datetime(2026, 11, 23, 4, 30, tzinfo=UTC),
        "ended_at": None,
        "outcome": Outcome.RUNNING,
        "reason": "",
        "folder": "craigs/2026-11-22/223000-night-aaaa",
        "control_totals": GREEN,
        "steps": SYNCED,
    }
    return Run(**(facts | changes))


@pytest.mark.parametrize(
    ("facts", "execution", "writes", "open_entries", "outcome"),
    [
        ({}, COMPLETED, 12, 0, Outcome.AGREED),
        ({}, COMPLETED, 0, 0, Outcome.AGREED),
        ({"counts": {"held": 2}}, COMPLETED, 12, 0, Outcome.AGREED_EXCEPT_HELD),
        ({"apply": False, "counts": {"planned_writes": 3}}, COMPLETED, 0, 0, Outcome.PLANNED),
        ({"apply": False}, COMPLETED, 1, 0, Outcome.STEP_FAILED),
        ({}, COMPLETED, 12, 1, Outcome.STEP_FAILED),
        ({"control_totals": {}}, COMPLETED, 12, 0, Outcome.STEP_FAILED),
        ({"control_totals": {"green": False, "sentence": "1 cent"}}, COMPLETED, 12, 0, Outcome.STEP_FAILED),
        ({"steps": SYNCED[:4]}, COMPLETED, 12, 0, Outcome.STEP_FAILED),
        ({"steps": ()}, Execution(Ending.CELL_FAILED, "no"), 0, 0, Outcome.STOPPED),
        ({"steps": SYNCED[:1]}, Execution(Ending.CELL_FAILED, "no"), 0, 0, Outcome.STEP_FAILED),
        ({"steps": SYNCED}, Execution(Ending.KERNEL_DIED), 12, 0, Outcome.STEP_FAILED),
        ({"steps": SYNCED}, Execution(Ending.TIMED_OUT), 12, 0, Outcome.STEP_FAILED),
        ({"steps": ()}, Execution(Ending.INTERRUPTED), 0, 0, Outcome.STOPPED),
    ],
)
def test_a_run_is_what_its_journal_and_process_say(
    facts: dict[str, Any], execution: Execution, writes: int, open_entries: int, outcome: Outcome
) -> None:
    assert judge(run(**facts), execution, writes=writes, open_entries=open_entries).outcome is outcome


def test_a_run_that_wrote_nothing_says_so() -> None:
    assert judge(run(), COMPLETED, writes=0, open_entries=0).reason.startswith("Nothing had to be written.")


def test_an_unfinished_run_speaks_with_the_failing_steps_reason_when_the_process_gave_none() -> None:
    failed = StepResult(Entity.INVOICE, StepStatus.FAILED, reason="Invoice A-17 has letters in its number.")
    verdict = judge(run(steps=(failed,)), Execution(Ending.KERNEL_DIED), writes=1, open_entries=0)
    assert verdict.reason == "Invoice A-17 has letters in its number."


def test_exit_codes_are_those_of_the_documentation() -> None:
    assert [outcome.exit_code for outcome in Outcome] == [2, 0, 1, 2, 3, 0, 4, 5]
