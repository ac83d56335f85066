"""Faults: the errors of the API in their two shapes.

An application fault has capital keys and comes from QuickBooks; a gateway fault has lower-case keys, the whole envelope
and epoch milliseconds, and comes from the layer before it (token, company, throttle). Texts in quotes in the public
documents or recordings are kept to the letter; those nobody recorded (2090, 2170, 5020, 620, 600, 1040, CDC) are ours.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from reconcile.sandbox.quickbooks.clock import stamp_millis
from reconcile.sandbox.quickbooks.numbers import JsonObject, render

BUSINESS: Final = 6000
VALIDATION: Final = "ValidationFault"
SYSTEM: Final = "SystemFault"
AUTHENTICATION: Final = "AuthenticationFault"
_LONGEST_LIST: Final = 1_000


@dataclass(frozen=True, slots=True)
class Problem:
    """One `Error` of a fault; `element` is left out of the answer when it is `None`."""

    code: int
    message: str
    detail: str
    element: str | None = ""

    def as_json(self) -> JsonObject:
        """The entry of `Fault.Error`."""
        body: JsonObject = {"Message": self.message, "Detail": self.detail, "code": str(self.code)}
        if self.element is not None:
            body["element"] = self.element
        return body


class FaultError(Exception):
    """The request is answered with an application fault and has no effect."""

    def __init__(self, *problems: Problem, status: int = 400, kind: str = VALIDATION) -> None:
        super().__init__("; ".join(f"{problem.code} {problem.detail}" for problem in problems))
        self.problems = problems
        self.status = status
        self.kind = kind

    def as_json(self) -> JsonObject:
        """The value of `Fault`."""
        return {"Error": [problem.as_json() for problem in self.problems], "type": self.kind}


def combined(problems: Iterable[Problem]) -> None:
    """Raise one fault for all problems found; do nothing when there are none."""
    found = tuple(problems)
    if found:
        raise FaultError(*found)


def application_body(fault: FaultError, now: float) -> bytes:
    """The answer's bytes for an application fault."""
    return render({"Fault": fault.as_json(), "time": stamp_millis(now)})


@dataclass(frozen=True, slots=True)
class GatewayFault:
    """A refusal by the gateway, before any company was reached."""

    status: int
    code: str
    message: str
    detail: str | None
    kind: str

    def as_json(self, now: float) -> bytes:
        """The lower-case envelope."""
        error = {"message": self.message, "detail": self.detail, "code": self.code, "element": None}
        return render(
            {
                "warnings": None,
                "intuitObject": None,
                "fault": {"error": [error], "type": self.kind},
                "report": None,
                "queryResponse": None,
                "batchItemResponse": [],
                "attachableResponse": [],
                "syncErrorResponse": None,
                "requestId": None,
                "time": int(now * 1000),
                "status": None,
                "cdcresponse": [],
            }
        )

    def as_xml(self, now: float) -> bytes:
        """The XML envelope, which throttled clients get whatever they accept."""
        detail = "" if self.detail is None else f"<Detail>{escape(self.detail)}</Detail>"
        return (
            '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
            f'<IntuitResponse time="{stamp_millis(now)}" xmlns="http://schema.intuit.com/finance/v3">'
            f'<Fault type="{self.kind}"><Error code="{self.code}"><Message>{escape(self.message)}</Message>{detail}'
            "</Error></Fault></IntuitResponse>"
        ).encode()


def authentication_failed(detail: str | None) -> GatewayFault:
    """401: the bearer token is missing, malformed, expired or revoked."""
    message = "message=AuthenticationFailed; errorCode=003200; statusCode=401"
    return GatewayFault(401, "3200", message, detail, "AUTHENTICATION")


def general_authentication_error() -> GatewayFault:
    """401 as older layers say it; recorded in XML only."""
    detail = "AuthenticationErrorGeneral: SRV-110-Authentication Failure , statusCode: 401"
    return GatewayFault(401, "100", "General Authentication Error", detail, AUTHENTICATION)


def authorization_failed() -> GatewayFault:
    """403: the token is good, but not for this company."""
    message = "message=ApplicationAuthorizationFailed; errorCode=003100; statusCode=403"
    return GatewayFault(403, "3100", message, None, "SERVICE")


def throttled() -> GatewayFault:
    """429: too many calls."""
    message = "message=ThrottleExceeded; errorCode=003001; statusCode=429"
    return GatewayFault(429, "3001", message, "The request limit was reached.  Try again later", "SERVICE")


def not_found() -> FaultError:
    """610: missing, deleted, or inactive where that is not allowed."""
    text = (
        "Object Not Found : Something you're trying to use has been made inactive. "
        "Check the fields with accounts, customers, items, vendors or employees."
    )
    return FaultError(Problem(610, "Object Not Found", text))


def invalid_id(value: str, element: str | None = "") -> FaultError:
    """2030: an id that is no number, or too large for one."""
    detail = f"Id should be a valid number. Supplied value:{value}"
    return FaultError(Problem(2030, "Invalid ID", detail, element))


def unsupported(what: str, status: int) -> FaultError:
    """500: no such resource, or no such operation on it."""
    return FaultError(Problem(500, "Unsupported Operation", f"Operation {what} is not supported.", None), status=status)


def no_resource_method(method: str, status: int) -> FaultError:
    """500: the resource has no such HTTP method."""
    return unsupported(f"No resource method found for {method}, return 405 with Allow header", status)


def no_such_path(path: str, base: str, status: int) -> FaultError:
    """500: the path is longer than that of any resource."""
    return unsupported(f"Could not find resource for relative : {path} of full path: {base}{path}", status)


def unknown_resource(resource: str, status: int) -> FaultError:
    """500: the path names no resource."""
    return unsupported(f"operation could not find resource for entity {resource}", status)


def bad_property(detail: str) -> Problem:
    """2010 with a complete sentence."""
    text = f"Property Name:{detail} specified is unsupported or invalid"
    return Problem(2010, "Request has invalid or unsupported property", text, None)


def unknown_property(name: str, shape: str, known: Iterable[str]) -> Problem:
    """2010: a property the resource does not have."""
    names = list(known)
    listed = f" ({len(names)} known properties: "
    for place, one in enumerate(names):
        listed += f'"{one}"'
        if len(listed) > _LONGEST_LIST:
            listed += " [truncated]"
            break
        listed += ", " if place + 1 < len(names) else ""
    return bad_property(
        f'Unrecognized field "{name}" (class com.intuit.schema.finance.v3.{shape}), not marked as ignorable{listed}])\n'
    )


def unparseable() -> Problem:
    """2010: the body is no JSON object, or a value has the wrong JSON type."""
    return Problem(
        2010,
        "Request has invalid or unsupported property",
        "Property Name:failed to parse json object; a property specified is unsupported or invalid",
        None,
    )


def plain_reference() -> Problem:
    """2010: a reference that is a bare value instead of an object."""
    return bad_property("Can not instanti")


def required(names: str, element: str | None = None) -> Problem:
    """2020: a required parameter is missing; several may be named (`ExpenseAccountRef or IncomeAccountRef`)."""
    return Problem(
        2020,
        "Required param missing, need to supply the required value for the API",
        f"Required parameter {names} is missing in the request",
        names if element is None else element,
    )


def required_because(sentence: str, element: str) -> Problem:
    """2020 with a sentence of its own."""
    return Problem(2020, "Required param missing, need to supply the required value for the API", sentence, element)


def wrong_length(element: str, longest: int, given: int, shortest: int = 0) -> Problem:
    """2050: a text is too long (or too short); numbers are grouped by thousands."""
    return Problem(
        2050,
        "String length is either shorter or longer than supported by specification",
        "String length specified does not match the supported length. "
        f"Min:{shortest:,} Max:{longest:,} supported. Supplied length:{given:,}",
        element,
    )


def invalid_characters(element: str, detail: str) -> Problem:
    """2040: a text with characters that this property cannot hold."""
    return Problem(2040, "Invalid characters", f"Invalid characters : {detail}", element)


def invalid_date(value: str, element: str, *, impossible: bool) -> Problem:
    """2060 for a text that is no date, 2070 for a date that is in no calendar."""
    code, message = (2070, "Invalid Date") if impossible else (2060, "Invalid Date Format")
    return Problem(code, message, f"{message} : Supplied value:{value}", element)


def invalid_number(value: str, element: str) -> Problem:
    """2090: a number outside of what QuickBooks keeps."""
    return Problem(2090, "Invalid Number", f"Invalid Number : {value}", element)


def invalid_amount(value: str, element: str) -> Problem:
    """2140: an amount with too many digits."""
    return Problem(2140, "Invalid Amount", f"Invalid Amount : Supplied value:{value}", element)


def invalid_enumeration(value: str, element: str) -> Problem:
    """2170: a word outside of the list."""
    return Problem(2170, "Invalid Enumeration", f"Invalid Enumeration : {value}", element)


def invalid_email(value: str, element: str) -> Problem:
    """2210: an e-mail address without `@` or dot."""
    detail = f"Email Address does not conform to the syntax rules of RFC 822. : {value}"
    return Problem(2210, "Invalid Email Address format", detail, element)


def bad_reference(what: str) -> FaultError:
    """2500: the reference leads nowhere; `what` is the end of the sentence."""
    return FaultError(Problem(2500, "Invalid Reference Id", f"Invalid Reference Id : {what}", "Reference Id"))


def inactive_reference() -> FaultError:
    """2500: the reference leads to something deactivated."""
    return bad_reference(
        "Something you're trying to use has been made inactive. "
        "Check the fields with accounts, customers, items, vendors or employees."
    )


def stale(who: str = "You") -> FaultError:
    """5010: the SyncToken is not the current one."""
    return FaultError(
        Problem(
            5010,
            "Stale Object Error",
            f"Stale Object Error : You and {who} were working on this at the same time. "
            f"{who} finished before you did, so your work was not saved.",
        )
    )


def business(detail: str) -> FaultError:
    """6000: a business rule says no."""
    return FaultError(
        Problem(
            6000,
            "A business validation error has occurred while processing your request",
            f"Business Validation Error: {detail}",
        )
    )


def duplicate_name(holder: str) -> FaultError:
    """6240: the name belongs to another object."""
    return FaultError(Problem(6240, "Duplicate Name Exists Error", f"The name supplied already exists. : Id={holder}"))


def parse_error(detail: str) -> FaultError:
    """4000: the query is not in the language."""
    return FaultError(Problem(4000, "Error parsing query", f"QueryParserError: {detail}", None))


def invalid_query(detail: str) -> FaultError:
    """4001: the query is well-formed but means nothing."""
    return FaultError(Problem(4001, "Invalid query", f"QueryValidationError: {detail}", None))


def one(code: int, message: str, detail: str, element: str | None = "") -> FaultError:
    """Any other single problem."""
    return FaultError(Problem(code, message, detail, element))


def feature_off(code: int, sentence: str) -> FaultError:
    """5030, or 6000: the company has switched a feature off."""
    if code == BUSINESS:
        return business(sentence)
    return one(code, "Feature Not Supported Error", f"Feature Not Supported Error : {sentence}")


def wrong_amount(supplied: str) -> Problem:
    """6070: quantity times price is not the amount."""
    detail = f"Amount is not equal to UnitPrice * Qty. Supplied value:{supplied}"
    return Problem(6070, "Amount calculation incorrect in the request", detail, "Line.Amount")


def cannot_link(target: str, why: str) -> FaultError:
    """620: a transaction cannot be linked to this one."""
    return one(620, "Transaction cannot be linked", f"Transaction {target} cannot be linked : {why}")


def system_failure(detail: str) -> FaultError:
    """10000: an error inside of QuickBooks."""
    message = "An application error has occurred while processing your request"
    return FaultError(Problem(10000, message, f"System Failure Error: {detail}"), status=500, kind=SYSTEM)


def ended_company(status: int) -> FaultError:
    """6190: nobody pays for this company any more."""
    detail = (
        "Subscription period has ended or canceled or there was a billing problem : You can't add data to QuickBooks "
        "Online Plus because your trial or subscription period ended, you canceled your subscription, or there was a "
        "billing problem. To see or change your subscription status, click 'Your Account' at the upper-right of the "
        "screen, and click on Resubscribe link or contact your administrator."
    )
    return FaultError(Problem(6190, "Invalid Company Status Error", detail), status=status)
