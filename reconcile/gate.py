"""The gate before the first write: guards stop a run here unless a person has let them pass, which is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine

from reconcile.errors import GuardError
from reconcile.model.guards import Guard, Permission, covering
from reconcile.model.runs import Run
from reconcile.state import permissions, runs

PERMISSIONS = "permissions"
"""Key among a run's counts under which stands what people let pass for it."""


class Gate:
    """The gate of one run.

    Attributes:
        passed: the guards that a person let pass in this run, each with the permission.
    """

    def __init__(self, engine: Engine, run: Run) -> None:
        self._engine = engine
        self._run = run
        self.passed: dict[Guard, Permission] = {}

    def stop_at(self, found: Sequence[Guard]) -> None:
        """Let the run go on only when each of these guards is let pass by a person.

        Raises:
            GuardError: all that are not, in words, each with the one command that lets it pass.
        """
        standing = self.not_let_pass(found)
        if standing:
            raise GuardError(" ".join(guard.message(self._run.company, self._run.id) for guard in standing))

    def not_let_pass(self, found: Sequence[Guard]) -> list[Guard]:
        """Those of these guards that nobody lets pass; the others are noted in :attr:`passed`."""
        if not found:
            return []
        holding = permissions.open_to(self._engine, self._run.company, self._run.id)
        standing = []
        for guard in found:
            permission = covering(holding, guard)
            if permission is None:
                standing.append(guard)
            else:
                self.passed[guard] = permission
        return standing

    def spend(self) -> None:
        """Use up what let this run pass and record it with the run; to be called when it goes on to write.

        Raises:
            GuardError: a permission was used or withdrawn meanwhile.
        """
        for permission in {permission.id: permission for permission in self.passed.values()}.values():
            permissions.use(self._engine, permission, self._run.id)
        if self.passed:
            runs.record_counts(self._engine, self._run.id, {PERMISSIONS: [told(*one) for one in self.passed.items()]})

    @property
    def sentences(self) -> list[str]:
        """What was let pass, by whom and why, for the notebook. Hostile text."""
        return [
            f"{guard.sentence} {permission.who} lets it pass: {permission.because}"
            for guard, permission in self.passed.items()
        ]


def told(guard: Guard, permission: Permission) -> dict[str, Any]:
    """What a run's evidence says of a permission it used."""
    return {
        "permission": permission.id,
        "guard": guard.name,
        "record": guard.record,
        "sentence": guard.sentence,
        "because": permission.because,
        "who": permission.who,
        "given_at": permission.given_at.isoformat(),
    }
