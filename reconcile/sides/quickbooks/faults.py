"""QuickBooks' refusals as values, in the words of a bookkeeper.

A refusal may come as JSON in two spellings (the application's ``Fault``, the gateway's ``fault``), as XML even though
JSON was asked for, or as a web page of something in between (API file 1.5). All become :class:`Fault`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

_XML_NAMESPACE = re.compile(r"^\{[^}]*\}")
_QUOTED_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Fault:
    """One error of an answer.

    Attributes:
        code: QuickBooks' code; ``HTTP 502`` where it gave none.
        message, detail: its own words. Hostile text.
        element: the field it complains about, empty when it names none. Hostile text.
        kind: ``ValidationFault``, ``SystemFault``, ``AuthenticationFault``, ..., empty when unknown.
    """

    code: str
    message: str
    detail: str = ""
    element: str = ""
    kind: str = ""


STALE = "5010"
NOT_FOUND = "610"
THROTTLED = "3001"
DUPLICATE_REQUEST = "600"
UNSUPPORTED = "500"
INTERNAL = "10000"
BUSINESS_RULE = "6000"

_ABOUT_CONTENT = frozenset({"2010", "2040", "2050", "2060", "2070", "2210", "6070", "6090"})
"""Spelling, length, dates, sums: judged by the request alone, whatever state the company is in."""
_UNCERTAIN = ("unexpected internal error", "unexpected error occurred", "wait a few minutes")
_NAME_LOCK = "one name at a time"
_ENDED = "list element that has been deleted"
_MERGED = (
    "the customer or product cannot be brought back in QuickBooks; most likely it was merged into another one there",
    "Link the one in ReliaBills with that other one (`reconcile relink`), or make it inactive in ReliaBills again.",
)

_EXPLAINED: dict[str, tuple[str, str]] = {
    "100": ("QuickBooks did not accept the connection", "Connect this company to QuickBooks again."),
    "110": ("QuickBooks did not accept the connection", "Connect this company to QuickBooks again."),
    "120": (
        "the QuickBooks user behind the connection no longer has access to this company",
        "Ask the company's administrator for access, or connect again as a user who has it.",
    ),
    "130": ("QuickBooks keeps this company elsewhere", "Try again later; if it stays, connect again."),
    "140": ("QuickBooks has locked this company", "Open the company in QuickBooks to see why, then sync again."),
    "150": ("QuickBooks is under maintenance for this company", "Nothing to do: the next run tries again."),
    "500": (
        "QuickBooks does not offer this operation",
        "Report it: the program asked for what is not there.",
    ),
    "600": ("QuickBooks has seen this request before", "Nothing to do: the record is looked up before anything else."),
    "610": (
        "the record no longer exists in QuickBooks, or something it uses was made inactive",
        "Look the record up in QuickBooks; if it was deleted there on purpose, the next run will see that.",
    ),
    "620": (
        "QuickBooks cannot link this payment to that transaction",
        "Check in QuickBooks that the invoice belongs to the same customer and still has an open balance.",
    ),
    "2010": (
        "QuickBooks did not understand a field of the request",
        "Report it: the program and this version of QuickBooks do not agree about the field.",
    ),
    "2020": ("a required value is missing", "Fill in the missing value where the record was made, then sync again."),
    "2030": ("an id is not one of QuickBooks'", "Report it: the link between the two records may be damaged."),
    "2040": (
        "a name holds characters that QuickBooks does not allow (a colon, a tab, a line break, ...)",
        "Take these characters out of the name, then sync again.",
    ),
    "2050": ("a text is longer (or shorter) than QuickBooks allows", "Shorten the text, then sync again."),
    "2060": ("a date is not written as QuickBooks expects it", "Correct the date, then sync again."),
    "2070": ("a date does not exist", "Correct the date, then sync again."),
    "2170": ("a value is not one of those QuickBooks knows for the field", "Report it with the detail below."),
    "2210": ("the e-mail address is not one", "Correct the e-mail address, then sync again."),
    "2500": (
        "the record refers to something that QuickBooks does not have, or that is inactive there",
        "In QuickBooks, make the customer, product, tax rate or account active again; then sync.",
    ),
    "3001": ("QuickBooks asks for fewer requests", "Nothing to do: the next run tries again."),
    "3100": (
        "this connection is not for this QuickBooks company",
        "Connect this company to QuickBooks again, choosing the right company on Intuit's page.",
    ),
    "3200": ("the connection to QuickBooks has expired", "Connect this company to QuickBooks again."),
    "4000": ("QuickBooks could not read a query", "Report it: the program asked in a way QuickBooks does not know."),
    "4001": ("QuickBooks could not answer a query", "Report it: the program asked for something it cannot ask for."),
    "5010": (
        "somebody changed the record in QuickBooks in the meantime",
        "Nothing to do: it is read again, compared again and then decided.",
    ),
    "5020": (
        "the QuickBooks user behind the connection may not do this",
        "Give that user the right to it in QuickBooks, or connect as a user who has it.",
    ),
    "5030": ("the feature is switched off in this QuickBooks company", "Switch it on in QuickBooks' settings."),
    "6000": ("a rule of QuickBooks forbids it", "Read QuickBooks' own words below and change the record accordingly."),
    "6070": (
        "quantity times price is not the amount of the line",
        "Correct quantity, price or amount of that line, then sync again.",
    ),
    "6080": ("the customer has no name", "Give the customer a name, then sync again."),
    "6090": ("the discount has neither an amount nor a percentage", "Correct the discount, then sync again."),
    "6100": ("a line's tax code is not one of this company's", "Check the sales tax settings in QuickBooks."),
    "6140": (
        "another transaction in QuickBooks already has this number",
        "Find the two in QuickBooks; if they are one invoice, link them, else give one of them another number there.",
    ),
    "6190": (
        "the QuickBooks subscription of this company has ended or has a billing problem",
        "Settle the subscription with Intuit; nothing can be written until then.",
    ),
    "6200": (
        "the date lies in a period that is closed in QuickBooks",
        "Move the date into the open period, or have the closing date moved in QuickBooks; then sync again.",
    ),
    "6210": (
        "the date lies in a period that is closed in QuickBooks with a password",
        "Move the date into the open period, or enter the record in QuickBooks with the closing-date password.",
    ),
    "6220": (
        "the record still has an open balance in QuickBooks and cannot be made inactive",
        "Settle the balance first, then sync again.",
    ),
    "6240": (
        "another customer, vendor, employee, product or tax rate in QuickBooks already has this name",
        "If it is the same one, link the two; else change one of the names, then sync again.",
    ),
    "6270": ("the invoice is older than the stock record of a product on it", "Correct the date or the stock record."),
    "6280": (
        "the customer has unbilled charges in QuickBooks and cannot be made inactive",
        "Bill or remove these charges first, then sync again.",
    ),
    "6420": ("an e-mail address is needed", "Give the customer an e-mail address, then sync again."),
    "6450": ("the payment was settled electronically and cannot be voided", "Refund it in QuickBooks instead."),
    "6540": (
        "the payment is part of a bank deposit in QuickBooks and cannot be changed",
        "Take it out of the deposit in QuickBooks first, then sync again.",
    ),
    "10000": ("QuickBooks had an internal error", "Nothing to do: the next run tries again."),
}
"""Code -> what it means, and what to do (API file 7)."""


def explain(fault: Fault) -> str:
    """What happened and what to do, with QuickBooks' own words quoted. May hold hostile text: escape before showing."""
    meaning, remedy = _EXPLAINED.get(
        fault.code, ("QuickBooks refused it", "Read QuickBooks' own words and change the record accordingly.")
    )
    if ended(fault.code, f"{fault.message} {fault.detail}"):
        meaning, remedy = _MERGED
    own = fault.detail or fault.message
    quoted = f' QuickBooks says: "{_short(own)}"' if own else ""
    element = f" (field {_short(fault.element)})" if fault.element else ""
    return f"{meaning[0].upper()}{meaning[1:]}{element}.{quoted} {remedy}"


def explain_all(faults: Iterable[Fault]) -> str:
    """Several faults of one answer, each explained once."""
    return " ".join(dict.fromkeys(map(explain, faults)))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _QUOTED_LENGTH else f"{text[:_QUOTED_LENGTH]}..."


def uncertain(fault: Fault) -> bool:
    """Whether the record may have been written although an error came (API file 8, trap 24)."""
    words = f"{fault.message} {fault.detail}".lower()
    if fault.code == BUSINESS_RULE:
        return any(phrase in words for phrase in _UNCERTAIN)
    return fault.code in {INTERNAL, DUPLICATE_REQUEST}


def ended(code: str, words: str) -> bool:
    """Whether a refusal says that the record is inactive, and cannot be changed or become active again (API file 8).

    ``words`` are QuickBooks' own, or what :func:`explain` made of them.
    """
    said = words.lower()
    return code == BUSINESS_RULE and (_ENDED in said or _MERGED[0].lower() in said)


def about_content(fault: Fault) -> bool:
    """Whether the same request is refused whenever it comes, because nothing but what it says is wrong with it."""
    return fault.code in _ABOUT_CONTENT


def name_locked(fault: Fault) -> bool:
    """Whether another writer is just editing the lists of names; trying again shortly helps (API file 4.0)."""
    return fault.code == BUSINESS_RULE and _NAME_LOCK in f"{fault.message} {fault.detail}".lower()


def parse_faults(status: int, content_type: str, body: bytes) -> tuple[Fault, ...]:
    """The faults of an answer, in any of the shapes they come in; one made from the status when none can be read."""
    text = body.decode("utf-8", "replace").strip()
    found: tuple[Fault, ...] = ()
    if text.startswith("{"):
        found = _from_json(text)
    elif text.startswith("<") and "html" not in content_type.lower() and "<html" not in text[:500].lower():
        found = _from_xml(text)
    return found or (Fault(f"HTTP {status}", _status_words(status)),)


def faults_in(content: object) -> tuple[Fault, ...]:
    """The faults inside a parsed JSON answer (or one item of a batch), none if there are none."""
    if not isinstance(content, Mapping):
        return ()
    fault = content.get("Fault") or content.get("fault")
    if not isinstance(fault, Mapping):
        return ()
    errors = fault.get("Error") or fault.get("error") or []
    kind = str(fault.get("type") or "")
    return tuple(_from_error(error, kind) for error in errors if isinstance(error, Mapping)) or (
        Fault("", "a fault without words", kind=kind),
    )


def _from_json(text: str) -> tuple[Fault, ...]:
    try:
        return faults_in(json.loads(text))
    except (ValueError, RecursionError):
        return ()


def _from_error(error: Mapping[str, Any], kind: str) -> Fault:
    def word(*names: str) -> str:
        return next((str(error[name]) for name in names if error.get(name) is not None), "")

    return Fault(
        word("code", "Code").lstrip("0"),
        word("Message", "message"),
        word("Detail", "detail"),
        word("element", "Element"),
        kind,
    )


def _from_xml(text: str) -> tuple[Fault, ...]:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return ()
    try:
        root = ET.fromstring(text)  # noqa: S314 - document types and entities were refused above
    except ET.ParseError:
        return ()
    found = []
    for node in root.iter():
        if _XML_NAMESPACE.sub("", node.tag) == "Fault":
            kind = node.get("type", "")
            found += [_from_xml_error(error, kind) for error in node if _XML_NAMESPACE.sub("", error.tag) == "Error"]
    return tuple(found)


def _from_xml_error(error: ET.Element, kind: str) -> Fault:
    parts = {_XML_NAMESPACE.sub("", child.tag): (child.text or "").strip() for child in error}
    return Fault(
        error.get("code", "").lstrip("0"),
        parts.get("Message", ""),
        parts.get("Detail", ""),
        error.get("element", ""),
        kind,
    )


_SERVER_ERRORS = 500


def _status_words(status: int) -> str:
    known = {403: "forbidden", 404: "no such address", 413: "the request was too large", 429: "too many requests"}
    return known.get(status, "server error" if status >= _SERVER_ERRORS else f"status {status}")
