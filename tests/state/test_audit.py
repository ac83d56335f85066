"""The audit trail: a row for each outcome, sealed with the row before, committed with what it tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import text

from reconcile.errors import StepFailedError
from reconcile.model.audit import ENTRY_FIELDS, AuditKind, AuditRow, Head
from reconcile.model.journal import Answer, EntryStatus
from reconcile.state import audit
from reconcile.state.database import reading, writing
from reconcile.state.schema import JournalRow
from tests.state.conftest import STARTED


def trail(desk: Any) -> list[audit.Walked]:
    return list(audit.walk(desk.engine, desk.company))


def test_each_outcome_has_a_row_sealed_with_the_one_before(desk: Any) -> None:
    first = desk.write(EntryStatus.DONE, "books:1")
    second = desk.send("books:2")
    desk.answer(second, EntryStatus.UNKNOWN)
    desk.answer(second, EntryStatus.ABSENT, evidence="looked for, not there")
    rows = [walked.row for walked in trail(desk)]
    assert [(row.sequence, row.entry_id) for row in rows] == [(1, first.id), (2, second.id), (3, second.id)]
    assert [row.previous for row in rows] == ["", rows[0].seal, rows[1].seal]
    assert all(row.seal == row.computed_seal() for row in rows)
    assert '"status":"done"' in rows[0].content
    with reading(desk.engine) as connection:
        assert audit.head(connection, desk.company) == Head(3, rows[2].seal)


def test_an_answer_that_is_refused_leaves_no_row(desk: Any) -> None:
    entry = desk.write(EntryStatus.DONE)
    with pytest.raises(StepFailedError):
        desk.answer(entry, EntryStatus.FAILED)
    assert len(trail(desk)) == 1


def test_the_trails_of_two_companies_know_nothing_of_each_other(desk: Any, make_desk: Callable[..., Any]) -> None:
    other = make_desk(desk.url, "other")
    desk.write(key="books:1")
    other.write(key="books:1")
    desk.write(key="books:2")
    assert [walked.row.sequence for walked in trail(desk)] == [1, 2]
    assert [walked.row.sequence for walked in trail(other)] == [1]


def test_many_answers_at_once_are_sealed_one_by_one(desk: Any) -> None:
    entries = [desk.send(f"books:{number}") for number in range(1, 40)]
    desk.journal.answer([Answer(entry.id, EntryStatus.DONE) for entry in entries])
    rows = [walked.row for walked in trail(desk)]
    assert [row.entry_id for row in rows] == [entry.id for entry in entries]
    assert [row.sequence for row in rows] == list(range(1, 40))


@pytest.mark.parametrize("column", [name for name in ENTRY_FIELDS if name not in {"id", "run_id", "generation"}])
def test_whatever_is_altered_in_an_answered_entry_shows(desk: Any, column: str) -> None:
    desk.write(EntryStatus.DONE)
    [kept] = trail(desk)
    assert kept.entry is not None
    assert f'"entry":"{kept.entry}"' in kept.row.content
    value = {"side": "books", "status": "failed"}.get(column, "altered")
    moments = {"intended_at", "sent_at", "answered_at"}
    with writing(desk.engine) as connection:
        table = JournalRow.__table__
        connection.execute(
            table.update().values({column: STARTED + timedelta(days=1) if column in moments else value})  # type: ignore[attr-defined]
        )
    [walked] = trail(desk)
    assert walked.entry != kept.entry


def test_an_entry_that_is_open_again_is_sealed_again_only_when_it_is_answered(desk: Any) -> None:
    desk.write(EntryStatus.ABSENT)
    entry = desk.send()
    [walked] = trail(desk)
    assert (walked.entry, walked.missing) == (None, False)
    desk.answer(entry, EntryStatus.DONE)
    first, second = trail(desk)
    assert first.entry is None
    assert f'"entry":"{second.entry}"' in second.row.content


def test_an_entry_that_was_removed_and_one_that_was_slipped_in_show(desk: Any) -> None:
    removed, kept = desk.write(key="books:1"), desk.write(key="books:2")
    assert audit.unsealed_entry(desk.engine, desk.company) is None
    with writing(desk.engine) as connection:
        connection.execute(text("DELETE FROM journal WHERE id = :id"), {"id": removed.id})
        connection.execute(text("DELETE FROM audit WHERE entry_id = :id"), {"id": kept.id})
    [walked] = trail(desk)
    assert walked.missing
    assert audit.unsealed_entry(desk.engine, desk.company) == (kept.id, desk.run.id)


ROW = AuditRow("craigs", 7, AuditKind.OUTCOME, "run", 3, '{"status":"done"}', STARTED, "ab12")


def test_the_recipe_of_the_seal_never_changes() -> None:
    assert ROW.computed_seal() == "4335cf3d80db58aa23445b8a0943d5e94ab0e3cf8d43fa0c7ebea48b43e410fb"


def test_a_seal_covers_all_that_a_row_says_and_no_zone() -> None:
    changes: list[dict[str, Any]] = [
        {"company": "other"},
        {"sequence": 8},
        {"kind": AuditKind.RUN},
        {"run_id": "other"},
        {"entry_id": 4},
        {"content": "{}"},
        {"at": STARTED + timedelta(microseconds=1)},
        {"previous": "ab13"},
    ]
    seals = {ROW.computed_seal(), *(replace(ROW, **change).computed_seal() for change in changes)}
    assert len(seals) == len(changes) + 1
    elsewhere = replace(ROW, at=STARTED.astimezone(timezone(timedelta(hours=-6))))
    assert elsewhere.computed_seal() == ROW.computed_seal()


def test_a_head_is_read_as_it_is_shown() -> None:
    assert Head.from_text(str(Head(12, "9f86d0"))) == Head(12, "9f86d0")
    for wrong in ("", "12", "twelve:9f", "12:xyz", "\N{FULLWIDTH DIGIT ONE}:9f"):
        with pytest.raises(ValueError, match="is not the head of an audit trail"):
            Head.from_text(wrong)


def test_a_run_is_sealed_with_what_stands_in_its_folder(desk: Any) -> None:
    desk.write()
    with writing(desk.engine) as connection:
        audit.append(connection, desk.company, desk.run.id, AuditKind.RUN, {"run_json": "ab"}, datetime.now(UTC))
    with reading(desk.engine) as connection:
        newest = audit.newest(connection, desk.company, AuditKind.RUN)
        assert newest is not None
        assert (newest.sequence, newest.content) == (2, '{"run_json":"ab"}')
        assert audit.seal_at(connection, desk.company, 1) == newest.previous
        assert audit.seal_at(connection, desk.company, 0) == ""
        assert audit.seal_at(connection, desk.company, 3) is None
