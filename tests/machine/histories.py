"""Random histories of two sides, with all their troubles; healed, run twice, and asked for all invariants.

    python -m tests.machine.histories                 the histories of a fixed seed
    python -m tests.machine.histories --seed 17       all histories of seed 17, told in the words of the trade
    python -m tests.machine.histories --fresh         a seed that nobody has seen
    python -m tests.machine.histories --state postgresql://...    the state in an empty PostgreSQL database

QuickBooks is the sandbox over HTTP, with its tempers. The model is what people did last: ``last`` (the value a person
gave a field last, whichever side it was on), ``decided`` (what a person decided a field to be, unless somebody has
touched the record since) and ``ended`` (what a person deleted). In the end what was decided is on both sides, and so is
what was done last, or a finding shows the record.
"""

from __future__ import annotations

import argparse
import json
import re
import secrets
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from sqlalchemy import select, update

from reconcile.config import load_config
from reconcile.errors import (
    AlreadyDecidedError,
    ConfigurationError,
    DeferredError,
    DisconnectedError,
    GuardError,
    LeaseError,
    RefusedError,
    StepFailedError,
    UnreachableError,
)
from reconcile.model.entities import Entity, Side, label_column
from reconcile.model.resolutions import DELETED, DELETED_FOR_GOOD
from reconcile.model.runs import Outcome
from reconcile.repair import Repair
from reconcile.sandbox.billing import day
from reconcile.sandbox.billing.ledger import BillingRuleError
from reconcile.state import permissions
from reconcile.state.database import open_state, writing
from reconcile.state.schema import JournalRow
from tests.crash import child, invariants
from tests.crash.books import Books, BooksPeople, NotAllowedError, local_quickbooks
from tests.crash.child import Circumstances, Trouble
from tests.crash.worlds import (
    COMPANY,
    EMPTY,
    BillingPeople,
    PostgresState,
    SmallWorld,
    SqliteState,
    fast_folder,
)

BOOKS, BILLING = "QuickBooks", "ReliaBills"
CUSTOMERS = ("Amy", "Bob", "Cy")
PRODUCTS = ("Sod", "Mulch")
NUMBERS = ("00107", "108", "0109", "110")
REFERENCES = ("77", "0078", "79")
TROUBLES = (
    "lost before",
    "lost after",
    "reset after",
    "cut off",
    "error after",
    "unavailable",
    "late",
    "twice",
    "shuffled",
    "item dropped",
    "edited",
    "storm",
    "throttled",
    "expired",
    "disconnected",
    "lagging",
)
OF_CALLS = {"throttled", "storm"}
SYNCED = "synced"
FAR = "2099-12-31"
GREEN = (Outcome.AGREED.value, Outcome.AGREED_EXCEPT_HELD.value)

SIDES = st.sampled_from([BOOKS, BILLING])
EDITS = st.sampled_from(
    [
        (Entity.CUSTOMER, "phone", "555-0001"),
        (Entity.CUSTOMER, "phone", "555-0002"),
        (Entity.CUSTOMER, "city", "Tucson"),
        (Entity.PRODUCT, "unit_price", 30_000_000_00),
        (Entity.PRODUCT, "unit_price", 45_000_000_00),
        (Entity.INVOICE, "memo", "thank you"),
        (Entity.INVOICE, "memo", "see you"),
        (Entity.INVOICE, "due_date", "2026-12-24"),
        (Entity.CUSTOMER, "active", False),
        (Entity.PRODUCT, "active", False),
        (Entity.CUSTOMER, "active", True),
        (Entity.PRODUCT, "active", True),
    ]
)
LABELS = {Entity.CUSTOMER: CUSTOMERS, Entity.PRODUCT: PRODUCTS, Entity.INVOICE: NUMBERS, Entity.PAYMENT: REFERENCES}


NAMES, GOODS = st.sampled_from(CUSTOMERS), st.sampled_from(PRODUCTS)
INVOICES, PAYMENTS = st.sampled_from(NUMBERS), st.sampled_from(REFERENCES)
MODES = st.sampled_from(["census", "census", "delta"])
_MADE = {"on": SIDES, "number": INVOICES, "customer": NAMES, "product": GOODS, "pieces": st.integers(1, 3)}
_PAID = {"on": SIDES, "reference": PAYMENTS, "number": INVOICES, "part": st.sampled_from([1, 2])}
_TROUBLED = {
    "mode": MODES,
    "kind": st.sampled_from(TROUBLES),
    "at": st.sampled_from([1, 1, 2, 3]),
    "hours": st.sampled_from([0, 0, 0, -5, 5]),
}
EVENTS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "work": [
        ("a_new_customer", {"on": SIDES, "name": NAMES}),
        ("a_new_invoice", _MADE),
        ("a_new_invoice", _MADE),
        ("a_payment", _PAID),
        ("a_payment", _PAID),
        ("an_edit", {"on": SIDES, "edit": EDITS, "data": None}),
        ("an_edit", {"on": SIDES, "edit": EDITS, "data": None}),
    ],
    "ending": [
        ("an_invoice_is_voided", {"on": SIDES, "number": INVOICES}),
        ("a_payment_is_voided", {"on": SIDES, "reference": PAYMENTS}),
        ("an_invoice_is_deleted", {"on": SIDES, "number": INVOICES}),
        ("a_payment_is_deleted", {"reference": PAYMENTS}),
        ("customers_are_merged", {"gone": NAMES, "stays": NAMES}),
    ],
    "deciding": [
        ("a_person_decides", {"data": None}),
        ("a_disagreement_is_decided", {"data": None, "name": NAMES, "first": SIDES}),
    ],
    "a run": [("a_run_as_usual", {"mode": MODES})],
    "trouble": [("a_run", _TROUBLED)],
    "a crash": [("a_run_is_killed", {"deadly": st.integers(1, 110), "mode": MODES})],
    "QuickBooks": [
        ("late_requests_arrive", {}),
        ("the_clock_of_quickbooks_jumps", {"minutes": st.sampled_from([-10, 7, 45])}),
    ],
}
KINDS = [*["work"] * 6, *["ending"] * 2, *["deciding"] * 2, "a run", *["trouble"] * 3, "a crash", "QuickBooks"]


class History(RuleBasedStateMachine):
    """One company's life."""

    world: SmallWorld
    lived: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.world.books.misbehave()
        self.world.books.admin("arrivals")
        self.world.books.on_time()
        self.world.put_back(EMPTY)
        self.last: dict[tuple[Entity, str, str], Any] = {}
        self.decided: dict[tuple[Entity, str, str], Any] = {}
        self.stands: dict[tuple[Entity, str], bool] = {}
        self.ended: set[tuple[Entity, str]] = set()
        self.told: set[tuple[Entity, str]] = set()
        self.under_way = self._waited = False
        self.history: list[str] = []

    def teardown(self) -> None:
        self.heal_and_look()

    # ---------------------------------------------------------------- people

    def _work(
        self, sentence: str, on: str, in_books: Callable[[BooksPeople], Any], in_billing: Callable[[BillingPeople], Any]
    ) -> bool:
        """Somebody does something; ``False`` when the system does not allow it."""
        try:
            if on == BOOKS:
                in_books(BooksPeople(self.world.books))
            else:
                engine = self.world.billing()
                try:
                    in_billing(BillingPeople(engine))
                finally:
                    engine.dispose()
        except (BillingRuleError, NotAllowedError):
            return False
        self.history.append(f"{on}: {sentence}")
        return True

    def _touched(self, entity: Entity, label: str) -> None:
        """Somebody did something to this record, so what was decided before need not hold any more."""
        self.decided = {key: value for key, value in self.decided.items() if key[:2] != (entity, label)}
        self.stands.pop((entity, label), None)

    def _there(self, on: str, entity: Entity, label: str) -> dict[str, Any] | None:
        found = invariants.image(self.world).get((on, entity.value, label))
        return dict(found[0]) if found else None

    @initialize(synced=st.booleans())
    def a_company(self, synced: bool) -> None:
        """Amy and sod on one side, Bob and mulch on the other; or, after a first sync, all of them on both."""
        if synced:
            self.world.put_back(SYNCED)
            self.history.append("both sides are synced: customers Amy and Bob, invoices 108 (paid in part) and 0109")
            return
        self._make_customer(BOOKS, "Amy")
        self._make_product(BOOKS, "Sod")
        self._make_customer(BILLING, "Bob")
        self._make_product(BILLING, "Mulch")

    def _make_customer(self, on: str, name: str) -> None:
        self._work(
            f"new customer {name}", on, lambda people: people.customer(name), lambda people: people.customer(name)
        )

    def _make_product(self, on: str, name: str) -> None:
        self._work(
            f"new product {name}",
            on,
            lambda people: people.product(name, 2500),
            lambda people: people.product(name, "25"),
        )

    def a_new_customer(self, on: str, name: str) -> None:
        if self._there(on, Entity.CUSTOMER, name) is None and (Entity.CUSTOMER, name) not in self.ended:
            self._make_customer(on, name)

    def a_new_invoice(self, on: str, number: str, customer: str, product: str, pieces: int) -> None:
        who, what = self._there(on, Entity.CUSTOMER, customer), self._there(on, Entity.PRODUCT, product)
        if not (who and who["active"] and what and what["active"]) or self._there(on, Entity.INVOICE, number):
            return
        if (Entity.INVOICE, number) in self.ended:
            return
        self._work(
            f"invoice {number} to {customer}, {pieces} {product}",
            on,
            lambda people: people.invoice(number, customer, product, pieces, 2500),
            lambda people: people.invoice(number, customer, product, str(pieces), "25"),
        )

    def a_payment(self, on: str, reference: str, number: str, part: int) -> None:
        invoice = self._there(on, Entity.INVOICE, number)
        if not invoice or not invoice["balance"] or self._there(on, Entity.PAYMENT, reference):
            return
        if (Entity.PAYMENT, reference) in self.ended or self._there(_other(on), Entity.PAYMENT, reference):
            return
        cents = invoice["balance"] // part
        self._work(
            f"payment {reference} of {cents} cents on invoice {number}",
            on,
            lambda people: people.payment(reference, invoice["customer_id"], cents, {number: cents}),
            lambda people: people.payment(reference, {number: f"{cents // 100}.{cents % 100:02}"}),
        )

    def an_edit(self, on: str, edit: tuple[Entity, str, Any], data: st.DataObject) -> None:
        self._edit(on, edit, data.draw(st.sampled_from(LABELS[edit[0]])))

    def _edit(self, on: str, edit: tuple[Entity, str, Any], label: str) -> None:
        entity, name, value = edit
        record = self._there(on, entity, label)
        if record is None or _value(record, name) == value or record.get("void") or record.get("state") == "void":
            return
        if name == "active" and not value and self._used(on, entity, label):
            return
        if self._work(
            f"{name} of {entity.singular} {label} becomes {value}",
            on,
            lambda people: people.edit(entity, label, **{name: value}),
            lambda people: _edit_in_billing(people, entity, label, name, value),
        ):
            self._made(entity, label, name, value)

    def _made(self, entity: Entity, label: str, name: str, value: Any) -> None:
        """Somebody made a field this; who makes it again what both sides have agreed on has changed nothing."""
        self.last[entity, label, name] = value
        if self._agreed(entity, label).get(name) == value:
            del self.last[entity, label, name]
        self._touched(entity, label)

    def _agreed(self, entity: Entity, label: str) -> dict[str, Any]:
        """What both sides of a record were last seen to hold."""
        query = "select entity, fields from base join link on link.id = base.link_id where ended_at is null"
        bases = [json.loads(row["fields"]) for row in self.world.state.rows(query) if row["entity"] == entity.value]
        return next((base for base in bases if base.get(label_column(entity)) == label), {})

    def two_people_change_the_same(self, name: str, first: str) -> None:
        """The same customer's city, otherwise on each side."""
        if all(self._there(on, Entity.CUSTOMER, name) for on in (BOOKS, BILLING)):
            for on, city in ((first, "Bisbee"), (_other(first), "Ajo")):
                self._edit(on, (Entity.CUSTOMER, "city", city), name)

    def _used(self, on: str, entity: Entity, label: str) -> bool:
        """Whether an invoice with an open balance needs it: nobody makes that inactive."""
        return any(
            (record["customer_id"] == label or entity is Entity.PRODUCT)
            for (side, kind, _), records in invariants.image(self.world).items()
            for record in records
            if side == on and kind == "invoice"
        )

    def an_invoice_is_voided(self, on: str, number: str) -> None:
        invoice = self._there(on, Entity.INVOICE, number)
        if not invoice or invoice["state"] == "void" or invoice["balance"] != invoice["total"]:
            return
        if self._work(
            f"invoice {number} is voided",
            on,
            lambda people: people.void(Entity.INVOICE, number),
            lambda people: day.void_invoice(people.engine, number),
        ):
            self.last[Entity.INVOICE, number, "void"] = True
            self._touched(Entity.INVOICE, number)

    def a_payment_is_voided(self, on: str, reference: str) -> None:
        payment = self._there(on, Entity.PAYMENT, reference)
        if not payment or payment.get("void") or payment.get("state") == "void":
            return
        if self._work(
            f"payment {reference} is voided",
            on,
            lambda people: people.void(Entity.PAYMENT, reference),
            lambda people: people.void_payment(reference),
        ):
            self.last[Entity.PAYMENT, reference, "void"] = True
            self._touched(Entity.PAYMENT, reference)

    def an_invoice_is_deleted(self, on: str, number: str) -> None:
        invoice = self._there(on, Entity.INVOICE, number)
        if not invoice or invoice["balance"] != invoice["total"] or invoice["state"] == "void":
            return
        if self._work(
            f"invoice {number} is deleted",
            on,
            lambda people: people.remove(Entity.INVOICE, number),
            lambda people: people.remove_invoice(number),
        ):
            self.ended.add((Entity.INVOICE, number))
            self._touched(Entity.INVOICE, number)

    def a_payment_is_deleted(self, reference: str) -> None:
        if self._there(BOOKS, Entity.PAYMENT, reference) is None:
            return
        if self._work(
            f"payment {reference} is deleted", BOOKS, lambda people: people.remove(Entity.PAYMENT, reference), _nobody
        ):
            self.ended.add((Entity.PAYMENT, reference))
            self._touched(Entity.PAYMENT, reference)

    def customers_are_merged(self, gone: str, stays: str) -> None:
        if (
            gone == stays
            or self.stands
            or not self._there(BOOKS, Entity.CUSTOMER, gone)
            or not self._there(BOOKS, Entity.CUSTOMER, stays)
        ):
            return
        if self._work(
            f"customer {gone} is merged into {stays}", BOOKS, lambda people: people.merge(gone, stays), _nobody
        ):
            self.ended.add((Entity.CUSTOMER, gone))
            self._touched(Entity.CUSTOMER, gone)
            self._touched(Entity.CUSTOMER, stays)

    @rule(data=st.data())
    def something_happens(self, data: st.DataObject) -> None:
        """Whatever it is; what is not possible just then is drawn again, a few times."""
        before = len(self.history)
        for _ in range(5):
            name, given = data.draw(st.sampled_from(EVENTS[data.draw(st.sampled_from(KINDS))]))
            getattr(self, name)(**{key: data if key == "data" else data.draw(of) for key, of in given.items()})
            if len(self.history) > before:
                return

    # ---------------------------------------------------------------- people who decide

    def a_disagreement_is_decided(self, data: st.DataObject, name: str, first: str) -> None:
        """Two people change the same, and somebody decides at once."""
        self.two_people_change_the_same(name, first)
        self.a_person_decides(data)

    def a_person_decides(self, data: st.DataObject) -> None:
        """Somebody looks at what a dry run shows, and decides on one of it."""
        looked = child.run(self.world, under=Circumstances(apply=False))
        if "folder" not in looked.told:
            return
        path = self.world.root / "runs" / looked.told["folder"] / "conflicts.json"
        shown = json.loads(path.read_text(encoding="utf-8"))
        if not shown["records"]:
            return
        record = data.draw(st.sampled_from(sorted(shown["records"], key=lambda one: (one["entity"], one["key"]))))
        held = [
            one["field"]
            for one in shown["fields"]
            if (one["entity"], one["key"]) == (record["entity"], record["key"]) and one["held"]
        ]
        asked = _ASKED.search(record["remedy"])
        deleted = _gone(record["ways"])
        ways = ["ignore", "unlink", *(["keep", "keep", "keep a field"] if held else []), *(["do"] * 3 if asked else [])]
        ways += ["deleted"] * 3 if deleted else []
        way, side = data.draw(st.sampled_from(ways)), data.draw(SIDES)
        field = data.draw(st.sampled_from(held)) if way == "keep a field" else ""
        entity, label = Entity(record["entity"]), record["label"]
        seen = self._there(side, entity, label)
        named = f"{entity}:{record['key']}"
        ended = child.forked(self.world, lambda: _decided(named, way, side, field, asked.groups() if asked else ()))
        if "error" in ended.told:
            self._insist(ended.told["error"] in REFUSALS, f"a decision broke: {ended.told}")
            return
        sentence = {
            "do": f"as proposed, {asked and asked[0]}",
            "ignore": f"leave {entity.singular} {label} alone",
            "deleted": f"{entity.singular} {label} is as {side} has it: gone there or not",
            "unlink": f"the two {entity.plural} called {label} are not one",
        }.get(way, f"keep what {side} has{f' as {field}' if field else ''} of {entity.singular} {label}")
        self.history.append(f"Anna decides: {sentence}")
        self.lived["decisions"] += 1
        self._remember(entity, label, way, ended.told["kept"], seen)
        if way == "deleted":
            self.stands[entity, label] = side != deleted

    def _remember(
        self, entity: Entity, label: str, way: str, kept: Sequence[str], seen: Mapping[str, Any] | None
    ) -> None:
        """What was decided is what has to be there in the end."""
        if way in {"ignore", "unlink", "do", "deleted"}:
            self.told.add((entity, label))
            self._touched(entity, label)
        if way == "do" and entity is Entity.CUSTOMER:  # its documents follow, and both customers have another name
            self.told |= {(Entity.CUSTOMER, name) for name in CUSTOMERS}
        for name in kept:
            if seen is not None and (name in seen or name in {"void", "active"}):
                value = invariants.value_of(seen, name)
                self.last[entity, label, name] = value
                self.decided[entity, label, name] = value

    # ---------------------------------------------------------------- runs

    def a_run_as_usual(self, mode: str) -> None:
        self.a_run(mode, "", 1, 0)

    def a_run(self, mode: str, kind: str, at: int, hours: int) -> None:
        under = Circumstances(
            mode,
            Trouble(kind, at * (6 if kind in OF_CALLS else 1)),
            partial(self._interrupt, at) if kind == "edited" else None,
            clock=timedelta(hours=hours),
        )
        ended = child.run(self.world, under=under)
        self.lived["runs in trouble"] += bool(kind)
        self.under_way |= kind == "late"
        trouble = f", {kind} at {at}" if kind else ""
        clock = f", our clock {hours:+} hours off" if hours else ""
        self.history.append(f"{mode} run{trouble}{clock}: {_outcome(ended)}")
        self._notice_interruption()
        self._look_at_once(ended)

    def a_run_is_killed(self, deadly: int, mode: str) -> None:
        ended = child.run(self.world, deadly, Circumstances(mode))
        self.lived["crashes"] += ended.killed
        self.history.append(f"{mode} run, killed at boundary {deadly}: {_outcome(ended)}")
        self._look_at_once(ended)

    def late_requests_arrive(self) -> None:
        if not self.under_way:
            return
        arrived = self.world.books.admin("arrivals")["arrived"]
        self.history.append(f"{BOOKS}: {arrived} requests that were under way arrive")
        self.under_way = False

    def the_clock_of_quickbooks_jumps(self, minutes: int) -> None:
        self.world.books.admin("clock", {"shift_seconds": 60 * minutes})
        self.history.append(f"{BOOKS}: its clock jumps by {minutes} minutes")

    def _interrupt(self, at: int, books: Books, number: int, body: Any) -> None:
        """In the child: a person is faster than the write that is on its way."""
        if number != at:
            return
        kinds = {"Customer": (Entity.CUSTOMER, "city", "Yuma"), "Invoice": (Entity.INVOICE, "memo", "quick")}
        for item in body.get("BatchItemRequest", []):
            for kind, (entity, name, value) in kinds.items():
                if "Id" not in item.get(kind, {}):
                    continue
                record = books.everything()[kind][item[kind]["Id"]]
                try:
                    BooksPeople(books).edit_record(entity, record, **{name: value})
                except NotAllowedError:
                    return
                label = books.label(kind, record)
                told = json.dumps([entity.value, label, name, value])
                (self.world.root / "interrupted.json").write_text(told, encoding="utf-8")
                return

    def _notice_interruption(self) -> None:
        told = self.world.root / "interrupted.json"
        if told.exists():
            entity, label, name, value = json.loads(told.read_text(encoding="utf-8"))
            self._made(Entity(entity), label, name, value)
            self.history.append(f"{BOOKS}, meanwhile: {name} of {entity} {label} becomes {value}")
            told.unlink()

    def _look_at_once(self, ended: child.Ended) -> None:
        seen = invariants.image(self.world)
        broken = [
            *invariants.two(seen, self.world),
            *invariants.money(seen),
            *invariants.journalled(self.world),
            *invariants.links(self.world),
        ]
        if "error" in ended.told and ended.told["error"] not in EXPECTED:
            broken.append(f"the run broke: {ended.told['trace']}")
        self._insist(not broken, "; ".join(broken))

    # ---------------------------------------------------------------- in the end

    def heal_and_look(self) -> None:
        """All troubles are over: two ordinary runs, then everything must hold."""
        self.world.books.admin("arrivals")
        first = self._healed()
        second = self._healed()
        for ended in (first, second):
            self._insist(ended.told.get("outcome") in GREEN and ended.told.get("green"), f"not green: {ended.told}")
        self._insist(
            second.told["reason"].startswith("Nothing had to be written"),
            f"the second run writes: {second.told['reason']}",
        )
        findings = json.loads((self.world.root / "runs" / second.told["folder"] / "findings.json").read_text())
        # A decision about one field of a record that is in conflict about another waits with it, and is shown.
        still_open = self.world.state.rows("select entity, label, fields from resolution where status = 'open'")
        waiting = {(one["entity"], one["label"], name) for one in still_open for name in one["fields"].split(",")}
        shown = {(one["entity"], one["label"]) for one in findings}
        decided = {
            (entity, label, name): value
            for (entity, label, name), value in self.decided.items()
            if (entity.value, label, name) not in waiting or (entity.value, label) not in shown
        }
        broken = invariants.broken_after_healing(
            self.world, findings, self.last, self.ended, decided=decided, told=self.told
        )
        self.lived["histories"] += 1
        broken += invariants.otherwise_than_decided(self.world, findings, self.stands)
        self._insist(not broken, "; ".join(broken))

    def _healed(self) -> child.Ended:
        """An ordinary run; where a guard stops it, a person lets that pass, which is small here."""
        for _ in range(5):
            unknown = self.world.state.rows("select id from journal where status in ('intent', 'sent', 'unknown')")
            late = bool(unknown) and self._waited
            self._waited = bool(unknown)
            if late:
                child.forked(self.world, _hours_pass)
            ended = child.run(self.world)
            after = ", hours later" if late else ""
            self.history.append(f"healed{after}, census run: {_outcome(ended)}")
            if self.world.state.rows("select id from journal where status = 'unknown'"):
                continue  # for half an hour nobody can tell
            asked = _PERMIT.search(str(ended.told.get("words", "")))
            if asked is None:
                break
            child.forked(self.world, partial(_permitted, *asked.groups()))
            self.history.append(f"Anna permits {asked[1]} {asked[2] or ''}")
        return ended

    def _insist(self, holds: Any, sentence: str) -> None:
        if not holds:
            told = "\n".join(f"{number:3}. {line}" for number, line in enumerate(self.history, 1))
            sys.stderr.write(f"{sentence}\n\n{told}\n")  # at once: known even if it does not happen again
            raise AssertionError(f"{sentence}\n\n{told}")


EXPECTED = {
    kind.__name__
    for kind in (
        DeferredError,
        DisconnectedError,
        GuardError,
        LeaseError,
        RefusedError,
        StepFailedError,
        UnreachableError,
    )
}
"""Errors that speak to a bookkeeper; any other is broken machinery."""


REFUSALS = {ConfigurationError.__name__, AlreadyDecidedError.__name__}
_PERMIT = re.compile(r"`reconcile permit \S+ (\S+)(?: --record (\S+))?.* --seen-in (\S+)")
_ASKED = re.compile(r"`reconcile (link|relink) \S+ (\S+) (\S+)")


def _gone(ways: str) -> str:
    """The side that has deleted a record, from what can be decided about it; empty when none has."""
    for side, name in ((Side.BOOKS, BOOKS), (Side.BILLING, BILLING)):
        if {DELETED[side], DELETED_FOR_GOOD[side]} & {*ways.split(",")}:
            return name
    return ""


def _decided(named: str, way: str, side: str, field: str, asked: Sequence[str]) -> dict[str, Any]:
    """In a child: a decision by the product's own means; gives the fields that were decided."""
    repair = Repair.open(COMPANY, who="Anna")
    if way == "ignore":
        repair.ignore(named, until=FAR, because="in dispute")
    elif way == "unlink":
        repair.unlink(named, because="two of a name")
    elif way == "do":
        choice, books, billing = asked
        (repair.link if choice == "link" else repair.relink)(books, billing, because="as proposed")
    else:
        kept = repair.keep(named, "books" if side == BOOKS else "billing", field=field, because="she called")
        return {"kept": list(kept.draft.fields)}
    return {"kept": []}


def _hours_pass() -> dict[str, Any]:
    """In a child: the requests of the journal left six hours earlier than they did, by the database's own clock."""
    engine = open_state(load_config().state_url)
    with writing(engine) as connection:
        for entry in connection.execute(
            select(JournalRow.id, JournalRow.sent_at).where(JournalRow.sent_at.is_not(None))
        ).all():
            earlier = entry.sent_at - timedelta(hours=6)
            connection.execute(update(JournalRow).where(JournalRow.id == entry.id).values(sent_at=earlier))
    return {}


def _permitted(guard: str, record: str | None, seen_in: str) -> dict[str, Any]:
    """In a child: somebody lets a guard pass, as the run's message says."""
    engine = open_state(load_config().state_url)
    wanted = permissions.Wanted(guard, because="it is right", who="Anna", record=record or "", seen_in=seen_in)
    permissions.give(engine, COMPANY, wanted)
    return {}


def _nobody(_: BillingPeople) -> None:
    raise NotAllowedError


def _other(side: str) -> str:
    return BILLING if side == BOOKS else BOOKS


def _value(record: dict[str, Any], name: str) -> Any:
    value = record.get(name)
    return bool(value) if name == "active" else value


def _outcome(ended: child.Ended) -> str:
    if ended.killed:
        return "killed"
    return str(ended.told.get("reason") or f"{ended.told.get('error')}: {ended.told.get('words')}")


def _edit_in_billing(people: BillingPeople, entity: Entity, label: str, name: str, value: Any) -> None:
    if name == "active":
        if entity is not Entity.CUSTOMER:
            raise NotAllowedError
        (day.activate_customer if value else day.inactivate_customer)(people.engine, label)
    elif entity is Entity.CUSTOMER:
        day.edit_customer(people.engine, label, **{name: value})
    elif entity is Entity.PRODUCT:
        day.change_price(people.engine, label, str(value // 10_000_000))
    else:
        day.edit_invoice(people.engine, label, **{name: value})


def keep_a_synced_company(world: SmallWorld) -> None:
    """What half of the histories begin with."""
    engine = world.billing()
    books, billing = BooksPeople(world.books), BillingPeople(engine)
    books.customer("Amy")
    books.product("Sod", 2500)
    billing.customer("Bob")
    billing.product("Mulch", "25")
    books.invoice("108", "Amy", "Sod", 2, 2500)
    books.payment("77", "Amy", 2500, {"108": 2500})
    billing.invoice("0109", "Bob", "Mulch", "2", "25")
    books.customer("Zed")  # whom nobody touches, so that no side ever looks emptied
    books.invoice("900", "Zed", "Sod", 1, 2500)
    books.payment("900", "Zed", 2500, {"900": 2500})
    engine.dispose()
    ended = child.run(world)
    if ended.told.get("outcome") != Outcome.AGREED.value:
        raise RuntimeError(f"the first sync does not agree: {ended.told}")
    world.keep(SYNCED)


def live(world: SmallWorld, number: int, *, examples: int, steps: int) -> Counter[str]:
    """The histories of one seed in one company, which is emptied before each; gives what happened in them.

    Raises:
        AssertionError: something broke; with that history.
    """

    class Seeded(History):
        pass

    Seeded.world, Seeded.lived = world, Counter()

    run_state_machine_as_test(
        seed(number)(Seeded),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=False,
            print_blob=False,
            report_multiple_bugs=False,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    return Seeded.lived


def main() -> int:
    """The command."""
    child.stay_single(__spec__.name)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--state", default="sqlite")
    parser.add_argument("--examples", type=int, default=5)
    parser.add_argument("--steps", type=int, default=12)
    given = parser.parse_args()
    number = secrets.randbelow(1_000_000) if given.fresh else given.seed
    replay = f"--seed {number} --examples {given.examples} --steps {given.steps}"
    sys.stdout.write(f"replay with python -m tests.machine.histories {replay}\n")
    sys.stdout.flush()
    child.prepare()
    with tempfile.TemporaryDirectory(dir=fast_folder()) as folder, local_quickbooks() as quickbooks:
        root = Path(folder)
        state = SqliteState(root / "state.db") if given.state == "sqlite" else PostgresState(given.state)
        world = SmallWorld.made(root, state, quickbooks)
        world.keep(EMPTY)
        keep_a_synced_company(world)
        lived = live(world, number, examples=given.examples, steps=given.steps)
    sys.stdout.write(json.dumps(lived) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
