"""Eight companies of one host write to one SQLite state at the same time: they wait for each other, and all succeed."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from reconcile.model.entities import Entity, Side
from reconcile.model.journal import Answer, EntryStatus
from reconcile.model.plan import Action, Operation
from reconcile.model.runs import Mode, Outcome, Run
from reconcile.state import lease, runs
from reconcile.state.database import open_state
from reconcile.state.journal import Journal

WORKERS, WRITES = 8, 6
STARTED = datetime(2026, 11, 22, 4, 30, tzinfo=UTC)


def payment(number: int) -> Operation:
    return Operation(
        step=Entity.PAYMENT,
        action=Action.CREATE,
        side=Side.BILLING,
        key=f"books:{number}",
        books_id=str(number),
        billing_id=None,
        label=str(number),
        customer="Amy",
        before={},
        payload={"amount": number},
        agreed={"amount": number},
        unsettled=(),
        expected_version=None,
        depends_on=(),
        reason="new in QuickBooks",
    )


def night(state_url: str, company: str) -> None:
    """One company's writes: intent, sent, answered, one after the other."""
    engine = open_state(state_url)
    run = Run(company, company, "night", Mode.CENSUS, True, "", None, {}, STARTED, None, Outcome.RUNNING, "", company)
    runs.create(engine, run)
    held = lease.acquire(engine, company, f"host:{company}", run.id, timedelta(minutes=5))
    journal = Journal(engine, company, run.id, held)
    for number in range(WRITES):
        entries = journal.intend([(payment(number), {"amount": number})])
        journal.mark_sent(entries)
        journal.answer([Answer(entries[0].id, EntryStatus.DONE, target_id=str(number))])
    held.release()
    engine.dispose()


def test_eight_workers_share_one_sqlite_state(sqlite_state_url: str) -> None:
    together, failed = threading.Barrier(WORKERS, timeout=30), []

    def work(number: int) -> None:
        together.wait()
        try:
            night(sqlite_state_url, f"company-{number}")
        except Exception as error:  # noqa: BLE001  told below, whatever it is
            failed.append(error)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failed == []
    engine = open_state(sqlite_state_url)
    found: list[Any] = [
        entry.status for n in range(WORKERS) for entry in Journal(engine, f"company-{n}", "").entries(f"company-{n}")
    ]
    engine.dispose()
    assert found == [EntryStatus.DONE] * WORKERS * WRITES
