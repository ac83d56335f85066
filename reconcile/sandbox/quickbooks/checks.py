"""A request body against the table: what is unknown, of the wrong type, too long or misspelt.

Nothing here knows the company. The result holds only what the client may write, in one spelling: references as
`{"value": id}`, numbers as numbers even if they came as text, and `""` where a text or an object is to be emptied.
"""

from decimal import Decimal
from typing import Any, Final

from reconcile.sandbox.quickbooks import faults
from reconcile.sandbox.quickbooks.clock import parse_date
from reconcile.sandbox.quickbooks.entities import RESOURCES, SHAPES, TRANSACTIONS, Property, Resource
from reconcile.sandbox.quickbooks.faults import FaultError, Problem
from reconcile.sandbox.quickbooks.numbers import JsonObject, parse_number, plain

_FAR_DATE: Final = "9999-12-31"
_MONEY_LIMIT: Final = Decimal(10) ** 15
_NUMBER_LIMIT: Final = Decimal(99_999_999_999)
_DATE_LENGTH: Final = 10
_FORBIDDEN_IN_NAMES: Final = frozenset(":\t\n")
_LINKED: Final = {name.lower(): name for name, one in RESOURCES.items() if one.group in TRANSACTIONS}
"""Clients that write INVOICE are understood, as live tests of theirs show."""
_SPOKEN: Final = {"CustomerMemo.value": "Customer Memo"}

EMPTIED: Final = ""


class _Absent:
    """The property counts as not sent."""


ABSENT: Final = _Absent()


class BodyCheck:
    """One pass over one body; collects every problem that can be reported beside others.

    Args:
        empty_date: What `""` means for a date: `absent`, or `far` for the year 9999.
        item_names_take_colons: A colon is accepted in an item's name.
    """

    def __init__(self, empty_date: str, *, item_names_take_colons: bool = False) -> None:
        self._empty_date = empty_date
        self._colons = item_names_take_colons
        self.problems: list[Problem] = []

    def resource(self, resource: Resource, body: Any) -> JsonObject:
        """Clean the body of a write.

        Returns:
            Writable properties only, plus `Id`, `SyncToken` and `sparse` when they were sent.

        Raises:
            FaultError: 2010 for what no parser would take; otherwise all problems found, together.
        """
        if not isinstance(body, dict):
            raise FaultError(faults.unparseable())
        cleaned: JsonObject = {}
        for name, value in body.items():
            entry = resource.properties.get(name)
            if entry is None:
                raise FaultError(faults.unknown_property(name, resource.name, resource.properties))
            if entry.read_only:
                continue
            if resource.name == "Item" and name == "Name" and self._colons:
                entry = Property(name, "text", entry.longest)
            kept = self._value(entry, value, name)
            if kept is not ABSENT:
                cleaned[name] = kept
        faults.combined(self.problems)
        return cleaned | _identity(body)

    @staticmethod
    def identity(resource: Resource, body: Any) -> JsonObject:
        """Only `Id` and `SyncToken`, which is all that a delete or a void looks at.

        Raises:
            FaultError: 2010 when the body is no object or has unknown properties.
        """
        if not isinstance(body, dict):
            raise FaultError(faults.unparseable())
        for name in body:
            if name not in resource.properties:
                raise FaultError(faults.unknown_property(name, resource.name, resource.properties))
        return _identity(body)

    def _shape(self, shape: str, value: Any, path: str) -> JsonObject:
        if not isinstance(value, dict):
            raise FaultError(faults.plain_reference())
        known = SHAPES[shape]
        cleaned: JsonObject = {}
        for name, inner in value.items():
            entry = known.get(name)
            if entry is None:
                raise FaultError(faults.unknown_property(name, shape, known))
            kept = self._value(entry, inner, f"{path}.{name}")
            if kept is not ABSENT and kept != EMPTIED:
                cleaned[name] = kept
        if shape == "LinkedTxn" and isinstance(kind := cleaned.get("TxnType"), str):
            cleaned["TxnType"] = _LINKED.get(kind.lower(), kind)
        return cleaned

    def _value(  # noqa: PLR0911 - one return per kind of the table
        self, entry: Property, value: Any, path: str
    ) -> Any:
        if value is None:
            return ABSENT
        match entry.kind:
            case "text" | "name":
                return self._text(entry, value, path)
            case "ref":
                return self._reference(value, path)
            case "money" | "number" | "whole":
                return self._number(entry, value, path)
            case "flag":
                return self._flag(value)
            case "date" | "moment":
                return self._date(value, path)
            case "enum":
                return self._word(entry, value, path)
            case "one":
                return self._object(entry, value, path)
            case "many":
                return self._list(entry, value, path)
            case _:
                return self._anything(entry, value, path)

    def _text(self, entry: Property, value: Any, path: str) -> Any:
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif isinstance(value, int | Decimal):
            value = str(value)
        if not isinstance(value, str):
            raise FaultError(faults.unparseable())
        if entry.longest and len(value) > entry.longest:
            self.problems.append(faults.wrong_length(_SPOKEN.get(path, path), entry.longest, len(value)))
        elif entry.kind == "name" and not _FORBIDDEN_IN_NAMES.isdisjoint(value):
            sentence = f"{path} cannot contain a colon, a tab or a new line"
            self.problems.append(faults.invalid_characters(path, sentence))
        elif "\0" in value:
            self.problems.append(faults.invalid_characters(path, f"{path} cannot contain a null character"))
        return value

    def _anything(self, entry: Property, value: Any, path: str) -> Any:
        """What the table leaves open is kept as sent; but a reference is an object everywhere."""
        if entry.name.endswith("Ref"):
            self._shape("ReferenceType", value, path)
        return _without_nulls(value)

    def _reference(self, value: Any, path: str) -> Any:
        target = self._shape("ReferenceType", value, path).get("value")
        return {"value": target} if target else EMPTIED

    def _number(self, entry: Property, value: Any, path: str) -> Any:
        if value == "":
            return ABSENT
        number = parse_number(value)
        if number is None:
            raise FaultError(faults.unparseable())
        if entry.kind == "money" and abs(number) >= _MONEY_LIMIT:
            self.problems.append(faults.invalid_amount(str(value), path))
            return ABSENT
        if entry.kind != "money" and abs(number) > _NUMBER_LIMIT:
            self.problems.append(faults.invalid_number(str(value), path))
            return ABSENT
        return plain(number)

    def _flag(self, value: Any) -> Any:
        if isinstance(value, bool):
            return value
        if value == "":
            return ABSENT
        text = str(value).lower()
        if text not in {"true", "false"}:
            raise FaultError(faults.unparseable())
        return text == "true"

    def _date(self, value: Any, path: str) -> Any:
        if value == "":
            return ABSENT if self._empty_date == "absent" else _FAR_DATE
        if not isinstance(value, str):
            raise FaultError(faults.unparseable())
        day = parse_date(value)
        if day is None:
            shaped = (
                len(value) >= _DATE_LENGTH and value[:10].replace("-", "").isdigit() and value[4] == value[7] == "-"
            )
            self.problems.append(faults.invalid_date(value, path, impossible=shaped))
            return ABSENT
        return day.isoformat()

    def _word(self, entry: Property, value: Any, path: str) -> Any:
        if value == "":
            return ABSENT
        if not isinstance(value, str):
            raise FaultError(faults.unparseable())
        if value not in entry.choices:
            self.problems.append(faults.invalid_enumeration(value, path))
        return value

    def _object(self, entry: Property, value: Any, path: str) -> Any:
        cleaned = self._shape(entry.shape, value, path)
        if entry.shape == "EmailAddress" and (address := cleaned.get("Address")) and not _is_email(address):
            self.problems.append(faults.invalid_email(address, path))
        return cleaned or EMPTIED

    def _list(self, entry: Property, value: Any, path: str) -> Any:
        if not isinstance(value, list):
            raise FaultError(faults.unparseable())
        return [self._shape(entry.shape, element, path) for element in value]


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def _is_email(address: str) -> bool:
    return "@" in address and "." in address


def _identity(body: JsonObject) -> JsonObject:
    found: JsonObject = {}
    if body.get("Id") not in (None, "", 0, "0"):
        found["Id"] = str(body["Id"])
    if body.get("SyncToken") not in (None, ""):
        found["SyncToken"] = str(body["SyncToken"])
    if str(body.get("sparse")).lower() == "true":
        found["sparse"] = True
    return found
