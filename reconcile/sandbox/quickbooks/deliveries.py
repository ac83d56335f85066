"""Webhooks on their way: what happened becomes messages, and messages go to addresses on this machine.

Events of a short while travel together. A receiver that does not answer 200 within three seconds gets the same message
again after about 20, 30 and 50 minutes; after that its address is blocked, as Intuit does it.
"""

import asyncio
import ipaddress
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import urlsplit

import requests

from reconcile.sandbox.quickbooks.clock import Clock, stamp_millis
from reconcile.sandbox.quickbooks.links import VOIDED
from reconcile.sandbox.quickbooks.numbers import JsonObject
from reconcile.sandbox.quickbooks.store import Change, Record
from reconcile.sandbox.quickbooks.switches import Switches
from reconcile.sandbox.quickbooks.webhooks import Event, Operation, cloud_events_body, headers, legacy_body

Format = Literal["legacy", "cloudevents"]

_ANSWER_SECONDS: Final = 3.0
_PAUSES_MINUTES: Final = (20, 30, 50)
_TRY_AGAIN: Final = frozenset({408, 500, 502, 503, 504})
_REMEMBERED: Final = 1_000
_EVERY: Final = frozenset({"Create", "Update", "Delete", "Void", "Emailed", "Merge"})
_TOLD: Final[dict[str, frozenset[str]]] = {
    **dict.fromkeys(
        ("Account", "Bill", "BillPayment", "Class", "CreditMemo", "Customer", "Department", "Deposit", "Employee",
         "Estimate", "Invoice", "Item", "JournalEntry", "Payment", "PaymentMethod", "Purchase", "RefundReceipt",
         "SalesReceipt", "Term", "Vendor", "VendorCredit"),
        _EVERY,
    ),
    "Preferences": frozenset({"Update"}),
    "CompanyCurrency": frozenset({"Create", "Update"}),
}  # fmt: skip
_SPOKEN: Final = {"CompanyCurrency": "Currency"}


class WebhookError(ValueError):
    """An address that nothing may be sent to; the text says why."""


@dataclass(slots=True)
class Target:
    """A receiver.

    Attributes:
        url: Where messages go; on this machine.
        verifier: Key of the signatures.
        format: Which of the two bodies it gets.
        copies: How often each message is sent, for receivers that must bear duplicates.
        reversed_order: The events of a message stand in the opposite order.
        blocked: It failed too often; nothing is sent any more.
    """

    url: str
    verifier: str = field(repr=False)
    format: Format = "cloudevents"
    copies: int = 1
    reversed_order: bool = False
    blocked: bool = False
    pending: list[Event] = field(default_factory=list, repr=False)
    due: bool = False

    def as_json(self) -> JsonObject:
        """The target without its key."""
        shown = ("url", "format", "copies", "reversed_order", "blocked")
        return {**{name: getattr(self, name) for name in shown}, "pending": len(self.pending)}


def check_loopback(url: str) -> None:
    """Refuse an address that is not on this machine.

    Raises:
        WebhookError: With the reason.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    local = host == "localhost"
    with suppress(ValueError):
        local = local or ipaddress.ip_address(host).is_loopback
    if parts.scheme not in {"http", "https"} or not local or parts.username is not None:
        raise WebhookError("A webhook goes to an http address of this machine, such as http://127.0.0.1:8123/hook.")


def events_of(realm: str, changes: Iterable[Change], now: float) -> list[Event]:
    """What the changes of one write tell, one event for each record."""
    told: dict[tuple[str, str], Event] = {}
    for record, before in changes:
        operation = _operation(record, before)
        if operation not in _TOLD.get(record.entity, ()):
            continue
        key = (record.entity, record.id)
        if key in told and told[key].operation == "Create" and operation == "Update":
            continue
        told[key] = Event(realm, _SPOKEN.get(record.entity, record.entity), record.id, operation, record.updated or now)
    return list(told.values())


def _operation(record: Record, before: Record | None) -> Operation:
    if record.deleted:
        return "Delete"
    if before is None:
        return "Create"
    after_body, before_body = record.body(), before.body()
    if _voided(after_body) and not _voided(before_body):
        return "Void"
    if after_body.get("DeliveryInfo") != before_body.get("DeliveryInfo"):
        return "Emailed"
    return "Update"


def _voided(body: JsonObject) -> bool:
    return str(body.get("PrivateNote", "")).startswith(VOIDED) and body.get("TotalAmt") == 0


class Deliveries:
    """Sends what happens to the receivers.

    Args:
        clock: Server time.
        switches: Interval, pauses and verbs.
    """

    def __init__(self, clock: Clock, switches: Callable[[], Switches]) -> None:
        self._clock = clock
        self._switches = switches
        self._tasks: set[asyncio.Task[None]] = set()
        self._session = requests.Session()
        self._session.trust_env = False
        self.targets: list[Target] = []
        self.sent: deque[JsonObject] = deque(maxlen=_REMEMBERED)

    def add(self, target: Target) -> Target:
        """Register a receiver.

        Raises:
            WebhookError: It is not on this machine.
        """
        check_loopback(target.url)
        self.targets.append(target)
        return target

    def watcher(self, realm: str) -> Callable[[list[Change]], None]:
        """What a company's store calls after each write."""

        def watch(changes: list[Change]) -> None:
            if self.targets:
                self.announce(events_of(realm, changes, self._clock.now().timestamp()))

        return watch

    def announce(self, events: list[Event]) -> None:
        """Let events travel with the next message to each receiver."""
        for target in self.targets:
            if events and not target.blocked:
                target.pending += events
                self._schedule(target)

    def _schedule(self, target: Target) -> None:
        if target.due:
            return
        # Without a loop nobody is listening to this server either; the events wait for the first write that has one.
        with suppress(RuntimeError):
            loop = asyncio.get_running_loop()
            target.due = True
            loop.call_later(self._switches().webhook_interval_milliseconds / 1000, self._start, target)

    def _start(self, target: Target) -> None:
        task = asyncio.get_running_loop().create_task(self._deliver(target))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _message(self, target: Target) -> bytes:
        events, target.pending, target.due = target.pending, [], False
        ordered = events[::-1] if target.reversed_order else events
        if target.format == "legacy":
            return legacy_body(ordered)
        return cloud_events_body(ordered, past=self._switches().webhook_verbs == "past")

    async def _deliver(self, target: Target) -> None:
        body = self._message(target)
        for _ in range(target.copies):
            for attempt, pause in enumerate((0, *_PAUSES_MINUTES), start=1):
                await asyncio.sleep(pause * self._switches().webhook_retry_milliseconds_per_minute / 1000)
                status = await asyncio.to_thread(self._post, target, body)
                entry = {"url": target.url, "status": status, "attempt": attempt, "bytes": len(body)}
                self.sent.append({**entry, "time": stamp_millis(self._clock.now().timestamp())})
                if status is not None and status not in _TRY_AGAIN:
                    break
            else:
                target.blocked = True
                return

    def _post(self, target: Target, body: bytes) -> int | None:
        sent = headers(target.verifier, body, self._clock.now().timestamp())
        try:
            answer = self._session.post(
                target.url, data=body, headers=sent, timeout=_ANSWER_SECONDS, allow_redirects=False, stream=True
            )
        except requests.RequestException:
            return None
        with answer:
            return answer.status_code
