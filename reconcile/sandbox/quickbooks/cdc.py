"""Change data capture: what changed in some resources since a moment, deletions included.

At most 30 days back, at most 1,000 objects, no paging. Tax agencies, codes and rates, journal codes and times are not
captured at all.
"""

from typing import Final

from reconcile.sandbox.quickbooks import faults
from reconcile.sandbox.quickbooks.clock import parse_moment
from reconcile.sandbox.quickbooks.entities import RESOURCES, UNUSED, Resource
from reconcile.sandbox.quickbooks.faults import FaultError
from reconcile.sandbox.quickbooks.state import CompanyState
from reconcile.sandbox.quickbooks.store import Record

_ENTITIES: Final = {name.lower(): resource for name, resource in RESOURCES.items()}
_NONE_HELD: Final = frozenset(name.lower() for name in UNUSED - {"JournalCode", "TimeActivity"})
_LONGEST: Final = 30 * 86_400


def changes(state: CompanyState, entities: str, changed_since: str) -> bytes:
    """The value of `CDCResponse` as JSON, a list of one answer; arguments and faults as of `some_changes`."""
    return b"[" + some_changes(state, entities, changed_since, state.switches.cdc_cap)[0] + b"]"


def some_changes(state: CompanyState, entities: str, changed_since: str, at_most: int) -> tuple[bytes, int]:
    """One answer with at most so many objects.

    Args:
        state: The company.
        entities: Names, separated by commas.
        changed_since: A date, or a date-time with offset (without one it is Pacific time).
        at_most: Objects that may be returned, fewer than the usual cap where a batch shares 1,000.

    Returns:
        The answer as JSON, and how many objects are in it.

    Raises:
        FaultError: A parameter is missing, an entity is not captured, or the moment is unreadable or too long ago.
    """
    names = [name.strip() for name in entities.split(",") if name.strip()]
    if not names:
        raise FaultError(faults.required("entities"))
    if not changed_since:
        raise FaultError(faults.required("changedSince"))
    moment = parse_moment(changed_since.replace(" ", "+") if "T" in changed_since else changed_since, state.zone)
    if moment is None:
        raise FaultError(faults.invalid_date(changed_since, "changedSince", impossible=False))
    now = state.now()
    if moment < now - _LONGEST:
        detail = "Invalid date range : changedSince cannot be more than 30 days ago."
        raise faults.one(2190, "Invalid Date Range", detail, "changedSince")
    resources = [_captured(name) for name in names]
    room = min(state.switches.cdc_cap, at_most)
    groups = []
    used = 0
    for resource in resources:
        if resource is None:
            groups.append(b"{}")
            continue
        found = [record for record in state.store.changed_since(resource.name, moment) if record.visible_from <= now]
        found.sort(key=lambda record: record.deleted)
        taken = found[:room]
        used += len(taken)
        if not state.switches.cdc_cap_per_entity:
            room -= len(taken)
        groups.append(_group(resource, taken))
    return b'{"QueryResponse":[' + b",".join(groups) + b"]}", used


def _captured(name: str) -> Resource | None:
    """The resource, or nothing for one that the company has none of."""
    resource = _ENTITIES.get(name.lower())
    if resource is None and name.lower() in _NONE_HELD:
        return None
    if resource is None or not resource.captured:
        raise faults.one(
            2000, "Invalid Entity", f"Invalid Entity : {name} is not supported by change data capture.", name
        )
    return resource


def _group(resource: Resource, records: list[Record]) -> bytes:
    if not records:
        return b"{}"
    count = len(records)
    live = sum(not record.deleted for record in records)
    start = '"startPosition":1,' if live else ""
    # Recorded for groups of several objects and for those with deleted ones, but never for one object that lives.
    total = f',"totalCount":{count}' if live < count or count > 1 else ""
    tail = f'],{start}"maxResults":{count}{total}}}'
    return b'{"' + resource.name.encode() + b'":[' + b",".join(record.json for record in records) + tail.encode()
