"""Webhook messages as Intuit sends them: both bodies, and the signature over their bytes."""

import base64
import hashlib
import hmac
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from reconcile.sandbox.quickbooks.clock import stamp
from reconcile.sandbox.quickbooks.numbers import JsonObject, render

Operation = Literal["Create", "Update", "Delete", "Merge", "Void", "Emailed"]

_PAST: Final = {
    "Create": "created",
    "Update": "updated",
    "Delete": "deleted",
    "Merge": "merged",
    "Void": "voided",
    "Emailed": "emailed",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one object.

    Attributes:
        realm: The company.
        entity: The resource, such as `Customer`.
        id: The object.
        operation: What happened.
        moment: When, in seconds since 1970.
        deleted_id: For a merge, the object that is no more.
    """

    realm: str
    entity: str
    id: str
    operation: Operation
    moment: float
    deleted_id: str = ""


def signature(verifier_token: str, body: bytes) -> str:
    """The header `intuit-signature`: Base64 of HMAC-SHA256 over the raw bytes."""
    return base64.b64encode(hmac.new(verifier_token.encode(), body, hashlib.sha256).digest()).decode()


def legacy_body(events: Iterable[Event]) -> bytes:
    """The older body: an object with one notification per company."""
    companies: dict[str, list[JsonObject]] = {}
    for event in events:
        moment = stamp(event.moment)
        entity: JsonObject = {
            "name": event.entity,
            "id": event.id,
            "operation": event.operation,
            "lastUpdated": moment[:-3] + moment[-2:],
        }
        if event.deleted_id:
            entity["deletedId"] = event.deleted_id
        companies.setdefault(event.realm, []).append(entity)
    notifications = [
        {"realmId": realm, "dataChangeEvent": {"entities": entities}} for realm, entities in companies.items()
    ]
    return render({"eventNotifications": notifications})


def cloud_events_body(events: Iterable[Event], *, past: bool = True) -> bytes:
    """The newer body: an array of CloudEvents, whose types say `created` or (not `past`) `create`."""
    return render([_cloud_event(event, past=past) for event in events])


def _cloud_event(event: Event, *, past: bool) -> JsonObject:
    moment = datetime.fromtimestamp(event.moment, UTC).isoformat(timespec="microseconds")
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "intuit.dsnBgbseACLLRZNxo2dfc4evmEJdxde58xeeYcZliOU=",
        "type": f"qbo.{event.entity.lower()}.{_PAST[event.operation] if past else event.operation.lower()}.v1",
        "datacontenttype": "application/json",
        "time": moment.replace("+00:00", "Z"),
        "intuitentityid": event.id,
        "intuitaccountid": event.realm,
        "data": {"deletedId": event.deleted_id} if event.deleted_id else {},
    }


def headers(verifier_token: str, body: bytes, moment: float) -> dict[str, str]:
    """Headers of a delivery."""
    created = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "content-type": "application/json; charset=utf-8",
        "user-agent": "intuit_notification_server/0.1",
        "intuit-signature": signature(verifier_token, body),
        "intuit-created-time": created,
        "intuit-t-id": str(uuid.uuid4()),
        "intuit-notification-schema-version": "0.1",
    }
