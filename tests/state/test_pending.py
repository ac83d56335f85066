"""Records that waited when the last run ended are read again by the next delta."""

from __future__ import annotations

from reconcile.model.entities import Entity, Side
from reconcile.state import pending
from reconcile.state.database import open_state


def test_what_waits_now_replaces_what_waited_before(state_url: str) -> None:
    engine = open_state(state_url)
    pending.replace(
        engine, "craigs", {(Side.BOOKS, Entity.INVOICE): {"12", "0012"}, (Side.BILLING, Entity.CUSTOMER): {"7"}}
    )
    pending.replace(engine, "other", {(Side.BOOKS, Entity.INVOICE): {"99"}})
    assert pending.read(engine, "craigs") == {
        (Side.BOOKS, Entity.INVOICE): frozenset({"12", "0012"}),
        (Side.BILLING, Entity.CUSTOMER): frozenset({"7"}),
    }
    pending.replace(engine, "craigs", {(Side.BOOKS, Entity.INVOICE): {"12"}})
    assert pending.read(engine, "craigs") == {(Side.BOOKS, Entity.INVOICE): frozenset({"12"})}
    pending.replace(engine, "craigs", {})
    assert pending.read(engine, "craigs") == {}
    assert pending.read(engine, "other") == {(Side.BOOKS, Entity.INVOICE): frozenset({"99"})}
