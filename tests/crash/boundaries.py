"""Boundaries number themselves: every commit of a transaction that wrote, every request that leaves and is answered.

Nothing in the product knows of them. A commit is a boundary twice, just before and just after it; a write to a side
likewise, just before it takes effect and just after, when the side has done it and the answer is on its way. A new
transaction or a new request in the product is a new boundary without anybody listing it.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.default import DefaultDialect

RENEWAL = "update lease"
"""A lease is renewed by the clock, so such a commit has no number: no crash could be replayed otherwise."""
_WRITING = ("INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP")


class Boundaries:
    """Counts boundaries as they are reached; ends the process with ``kill -9`` at one of them."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.deadly = 0
        self._opened = False

    def reach(self, name: str) -> None:
        """The process is at this boundary."""
        if not self._opened:
            return
        self.names.append(name)
        if len(self.names) == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    def open(self, deadly: int = 0) -> None:
        """Count from here; the boundary of this number is deadly (0: none)."""
        if not self._opened:
            self.names = []
        self.deadly = deadly
        self._opened = True


BOUNDARIES = Boundaries()


def number_commits() -> None:
    """Make each commit of each writing transaction two boundaries, whatever database it goes to."""
    commit = DefaultDialect.do_commit

    def do_commit(self: DefaultDialect, dbapi_connection: Any) -> None:
        written = dbapi_connection.info.pop("wrote", None) if hasattr(dbapi_connection, "info") else None
        numbered = written and written != RENEWAL
        if numbered:
            BOUNDARIES.reach(f"before the commit of {written}")
        commit(self, dbapi_connection)
        if numbered:
            BOUNDARIES.reach(f"after the commit of {written}")

    DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]
    event.listen(Engine, "after_cursor_execute", _note_writing)
    event.listen(Engine, "rollback", _forget_writing)


def _note_writing(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
    words = statement.split(None, 3)
    if words and words[0].upper() in _WRITING:
        noun = words[2] if words[0].upper() in {"INSERT", "DELETE"} else words[1]
        told = connection.info.get("wrote", "")
        name = f"{words[0].lower()} {noun.strip(chr(34))}"
        if name not in told:
            connection.info["wrote"] = f"{told}, {name}" if told else name


def _forget_writing(connection: Connection) -> None:
    connection.info.pop("wrote", None)
