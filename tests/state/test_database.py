from __future__ import annotations

import os
import signal
import sqlite3
import threading
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from setuptools import find_packages
from sqlalchemy import Engine, create_engine, event, inspect, text

from reconcile.errors import ConfigurationError
from reconcile.model.entities import Entity
from reconcile.model.journal import EntryStatus
from reconcile.state import audit, database
from reconcile.state.database import check_whole, migrate, open_state, reading, writing
from reconcile.state.schema import Table
from tests.state.conftest import agreement

CANARY = "canary-7Qx!"


def refused(url: str, verb: Callable[[str], Any] = open_state) -> str:
    with pytest.raises(ConfigurationError) as caught:
        verb(url)
    return str(caught.value)


def test_a_state_is_made_once_and_then_up_to_date(empty_url: str) -> None:
    assert migrate(empty_url).startswith("Made the state")
    assert "is up to date" in migrate(empty_url)
    assert inspect(open_state(empty_url)).has_table("journal")


def test_the_migrations_lead_to_exactly_the_tables_of_the_models(state_url: str) -> None:
    with reading(open_state(state_url)) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []


def test_a_state_of_the_first_version_keeps_what_it_holds_and_works_once_it_is_migrated(
    empty_url: str, make_desk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade = database.command.upgrade
    with monkeypatch.context() as first:
        first.setattr(database.command, "upgrade", lambda config, _newest: upgrade(config, "0001"))
        assert migrate(empty_url).endswith("version 0001.")
        first.setattr(database, "_head", lambda: "0001")
        old = make_desk(empty_url)
        old.link(agreement())
        open_entry = old.send("books:13")
        old.lease.release()
        old.engine.dispose()
    assert "run `reconcile migrate`" in refused(empty_url)
    assert "from version 0001 to" in migrate(empty_url)
    desk = make_desk(empty_url)
    assert [entry.id for entry in desk.journal.open_entries()] == [open_entry.id]
    assert len(desk.links.pairs(Entity.CUSTOMER)) == 1
    desk.answer(open_entry, EntryStatus.ABSENT)
    desk.write(key="books:14")
    assert [walked.row.sequence for walked in audit.walk(desk.engine, desk.company)] == [1, 2]
    assert audit.unsealed_entry(desk.engine, desk.company) is None


def test_a_difference_between_migrations_and_models_would_be_seen(own_state_url: str) -> None:
    engine = open_state(own_state_url)
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE run ADD COLUMN surprise TEXT"))
    with reading(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) != []


def test_an_installed_package_brings_its_migrations_along() -> None:
    root = Path(database.__file__).parents[2]
    assert "reconcile.state.migrations.versions" in find_packages(str(root), include=["reconcile*"])


def test_a_state_that_is_not_there_is_refused_with_the_command_that_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    assert "`reconcile migrate`" in refused(f"sqlite:///{path}")
    assert not path.exists()


def test_a_database_that_is_no_state_yet_is_refused_with_the_command(fresh_postgres_url: str, tmp_path: Path) -> None:
    (tmp_path / "state.db").touch()
    for url in (fresh_postgres_url, f"sqlite:///{tmp_path / 'state.db'}"):
        assert "has not been set up; run `reconcile migrate`" in refused(url)


@pytest.mark.parametrize("verb", [open_state, migrate])
def test_a_state_of_a_newer_version_is_refused_and_left_alone(own_state_url: str, verb: Callable[[str], Any]) -> None:
    engine = open_state(own_state_url)
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9001'"))
    sentence = refused(own_state_url, verb)
    assert "newer version" in sentence
    assert "9001" in sentence
    with reading(engine) as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9001"


@pytest.mark.parametrize("verb", [open_state, migrate])
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "not a database URL"),
        ("state.db", "not a database URL"),
        ("postgresql://host:port/db", "not a database URL"),
        ("mysql://root@localhost/state", "kind 'mysql'"),
        ("sqlite://", "must outlive the process"),
        ("sqlite:///:memory:", "must outlive the process"),
        ("sqlite:////nowhere/at/all/state.db", "folder /nowhere/at/all"),
        ("sqlite:////tmp", "is a folder"),
        (f"postgresql://me:{CANARY}@rest@localhost/state", "more than one @"),
    ],
)
def test_a_wrong_address_is_refused_in_one_sentence(verb: Callable[[str], Any], url: str, words: str) -> None:
    sentence = refused(url, verb)
    assert words in sentence
    assert "\n" not in sentence
    assert CANARY not in sentence


@pytest.mark.parametrize("verb", [open_state, migrate])
def test_an_unreachable_database_is_named_without_its_password(verb: Callable[[str], Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        verb(f"postgresql://keeper:{CANARY}@127.0.0.1:9/state")
    assert "'state' at 127.0.0.1:9 cannot be used" in str(caught.value)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_a_database_that_refuses_is_named_without_its_password(postgres_url: str) -> None:
    stranger = postgres_url.replace("postgres:@", f"stranger:{CANARY}@", 1)
    assert 'role "stranger" does not exist' in refused(stranger)
    assert CANARY not in refused(stranger)


def test_a_password_that_is_part_of_the_answer_is_blotted_out(postgres_url: str) -> None:
    for address in (
        postgres_url.replace("postgres:@", f"{CANARY}:{CANARY}@", 1),
        postgres_url.replace("postgres:@", f"{CANARY}@", 1) + f"&password={CANARY}",
    ):
        assert 'role "***" does not exist' in refused(address)


def test_a_database_that_this_user_may_not_change_is_refused(fresh_postgres_url: str) -> None:
    engine = create_engine(fresh_postgres_url)
    with engine.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS clerk"))
        connection.execute(text("CREATE ROLE clerk LOGIN"))
    clerk = fresh_postgres_url.replace("postgres:@", "clerk:@", 1)
    assert "permission denied" in refused(clerk, migrate)
    engine.dispose()


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear bookkeeper, " * 200)
    before = path.read_bytes()
    for verb in (open_state, migrate):
        assert "file is not a database" in refused(f"sqlite:///{path}", verb)
    assert path.read_bytes() == before


def test_a_damaged_file_is_recognised_before_anything_is_written(sqlite_state_url: str) -> None:
    engine = open_state(sqlite_state_url)
    with writing(engine) as connection:
        for number in range(500):
            connection.execute(text("INSERT INTO company VALUES (:key, '2026-11-23')"), {"key": f"{number:0200}"})
    check_whole(engine)
    engine.dispose()
    path = Path(sqlite_state_url.removeprefix("sqlite:///"))
    content = bytearray(path.read_bytes())
    for start in range(3 * 4096 + 8, len(content), 4096):
        content[start : start + 100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"(is damaged|cannot be used: .*malformed)"):
        check_whole(open_state(sqlite_state_url))


def test_a_migration_killed_half_way_leaves_nothing_behind(empty_url: str, in_a_process: Callable[..., int]) -> None:
    def die_half_way() -> None:
        def kill(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            if "CREATE TABLE journal" in statement:
                os.kill(os.getpid(), signal.SIGKILL)

        event.listen(Engine, "after_cursor_execute", kill)
        migrate(empty_url)

    assert in_a_process(die_half_way) == -signal.SIGKILL
    with create_engine(empty_url).connect() as connection:
        assert inspect(connection).get_table_names() == []
    assert migrate(empty_url).startswith("Made the state")
    open_state(empty_url)


def test_two_migrations_at_once_end_with_one_state(empty_url: str) -> None:
    said: list[str] = []
    workers = [threading.Thread(target=lambda: said.append(migrate(empty_url))) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(sentence.split()[0] for sentence in said) == ["Made", "The", "The"]


def test_sqlite_keeps_foreign_keys_and_writes_ahead(sqlite_state_url: str) -> None:
    with reading(open_state(sqlite_state_url)) as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("foreign_keys", "journal_mode", "synchronous", "busy_timeout")
        }
    assert pragmas == {"foreign_keys": 1, "journal_mode": "wal", "synchronous": 2, "busy_timeout": 30000}


def test_a_state_is_made_while_another_process_makes_it(tmp_path: Path) -> None:
    """SQLite would fail at once: it waits for a writer, but not where the file changes to writing ahead."""
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        done = threading.Timer(0.3, lambda: other.execute("ROLLBACK"))
        done.start()
        assert migrate(f"sqlite:///{tmp_path / 'state.db'}").startswith("Made the state")
        done.join()


def test_a_state_that_stays_locked_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ConfigurationError, match="locked"):
            migrate(f"sqlite:///{tmp_path / 'state.db'}")


def test_a_writer_waits_for_another_instead_of_failing(state_url: str) -> None:
    """Read first, write later: with a plain BEGIN, SQLite would refuse the later writer at once."""
    engine = open_state(state_url)
    insert = "INSERT INTO company (key, first_seen_at) VALUES ('{}', '2026-11-23 00:00:00.000000')"
    inside, failed = threading.Barrier(2, timeout=10), []

    def write(key: str) -> None:
        try:
            inside.wait()
            for number in range(10):
                with writing(engine) as connection:
                    connection.execute(text("SELECT count(*) FROM company")).scalar_one()
                    connection.execute(text(insert.format(f"{key}{number}")))
        except Exception as error:  # noqa: BLE001  (a thread's exception would be lost)
            failed.append(error)

    workers = [threading.Thread(target=write, args=(key,)) for key in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failed == []
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM company")).scalar_one() == 20


def test_a_plain_begin_would_fail_where_a_writer_waits(sqlite_state_url: str) -> None:
    path = sqlite_state_url.removeprefix("sqlite:///")
    early, late = (sqlite3.connect(path, isolation_level=None, timeout=5) for _ in range(2))
    insert = "INSERT INTO company (key, first_seen_at) VALUES (?, '2026-11-23 00:00:00.000000')"
    late.execute("BEGIN")
    late.execute("SELECT count(*) FROM company").fetchall()
    early.execute(insert, ("early",))
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        late.execute(insert, ("late",))
    early.close()
    late.close()


def test_what_raises_inside_a_writing_block_leaves_nothing(state_url: str) -> None:
    engine = open_state(state_url)

    def write_and_fail() -> None:
        insert = "INSERT INTO company (key, first_seen_at) VALUES ('x', '2026-11-23 00:00:00.000000')"
        with writing(engine) as connection:
            connection.execute(text(insert))
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        write_and_fail()
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM company")).scalar_one() == 0
