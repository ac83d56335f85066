"""Bad days of a server, by rule: which call, before or after its effect, and what goes wrong.

A rule looks at the method, the resource and the body of a call, counts the calls it fits, and fires on the ones it was
told to. What it does ranges from a plain status to a connection that dies in the middle of an answer.
"""

import asyncio
import gzip
import random
import re
import socket
import struct
from collections import deque
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Literal, get_args

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconcile.sandbox.quickbooks import markup
from reconcile.sandbox.quickbooks.numbers import JsonObject, NotJsonError, parse, render

Moment = Literal["before", "after"]
Action = Literal[
    "status",
    "fault",
    "fault_with_200",
    "html",
    "xml_fault",
    "delay",
    "reset",
    "lost_reply",
    "truncate",
    "trickle",
    "batch_drop",
    "batch_shuffle",
    "late",
    "twice",
]

_HTML: Final = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1>nginx</body></html>"
_BROKEN: Final = "An application error has occurred while processing your request"
_UNAUTHORIZED: Final = 401
_HARMLESS: Final = frozenset({"delay", "trickle", "batch_drop", "batch_shuffle", "twice"})
_SLICE: Final = 0.02
_REMEMBERED: Final = 50_000


class UnknownTemperError(ValueError):
    """A rule that cannot be understood; the text says why."""


@dataclass(slots=True)
class Temper:
    """One rule.

    Attributes:
        action: What goes wrong. `status` answers with `status` and `body`; `fault` with an application fault of `code`;
            `fault_with_200` the same with status 200; `xml_fault` the same in XML, as some 401 come; `html` with a
            gateway's page; `delay` answers late; `reset`
            resets the connection; `lost_reply` closes it without an answer; `truncate` closes it after `keep` bytes of
            the body; `trickle` sends a byte every `seconds`; `batch_drop` leaves out the items in `items`;
            `batch_shuffle` answers a batch in another order; `late` closes the connection without an answer, and the
            call stays under way until `POST /admin/arrivals` lets it arrive; `twice` delivers the call twice and gives
            the answer to the second.
        moment: `before` the call has its effect (it has none) or `after`.
        method: Method it looks at; any when empty.
        resource: First segment below the company (`invoice`, `query`, `batch`, `cdc`), or `token`; any when empty.
        pattern: Regular expression that the body or the address must contain.
        calls: Numbers, from 1, of the fitting calls on which it fires; all when empty.
        times: It fires at most so often; 0 is without end.
        probability: Chance of firing on each fitting call, drawn from `seed`.
        seed: Start of the random draw.
        status: HTTP status of `status`, `fault` and `html`.
        code: Fault code.
        body: Body of `status`.
        headers: Headers to add, such as Retry-After.
        seconds: Of `delay` and `trickle`.
        keep: Bytes that `truncate` lets through.
        items: Positions, from 0, that `batch_drop` leaves out.
    """

    action: Action
    moment: Moment = "before"
    method: str = ""
    resource: str = ""
    pattern: str = ""
    calls: tuple[int, ...] = ()
    times: int = 0
    probability: float = 1.0
    seed: int = 0
    status: int = 503
    code: int = 10000
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 1.0
    keep: int = 20
    items: tuple[int, ...] = (0,)
    number: int = 0
    seen: int = 0
    fired: int = 0
    _draw: random.Random | None = None

    def fits(self, method: str, resource: str, text: str) -> bool:
        """Whether it looks at a call like this one."""
        return (
            (not self.method or self.method.upper() == method)
            and (not self.resource or self.resource.lower() == resource)
            and (not self.pattern or re.search(self.pattern, text) is not None)
        )

    def fires(self) -> bool:
        """Count a fitting call, and say whether it goes wrong."""
        self.seen += 1
        if self._draw is None:
            self._draw = random.Random(self.seed)
        unlucky = self._draw.random() < self.probability
        due = not self.calls or self.seen in self.calls
        if not (unlucky and due) or (self.times and self.fired >= self.times):
            return False
        self.fired += 1
        return True

    def as_json(self) -> JsonObject:
        """The rule with its counts."""
        return {name: value for name, value in asdict(self).items() if not name.startswith("_")}


def temper_of(body: Any) -> Temper:
    """A rule from JSON.

    Raises:
        UnknownTemperError: An unknown property or action.
    """
    known = {entry.name for entry in fields(Temper)} - {"number", "seen", "fired", "_draw"}
    if not isinstance(body, dict) or not set(body) <= known:
        raise UnknownTemperError(f"A rule is an object with some of {', '.join(sorted(known))}.")
    if body.get("action") not in get_args(Action):
        raise UnknownTemperError(f"action is one of {', '.join(get_args(Action))}.")
    if body.get("moment", "before") not in get_args(Moment):
        raise UnknownTemperError("moment is before or after.")
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in body.items()}
    for name in ("probability", "seconds"):
        if name in values:
            values[name] = float(values[name])
    return Temper(**values)


@dataclass(slots=True)
class _Answer:
    status: int = 200
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            self.headers = list(message["headers"])
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")


class Tempers:
    """The outermost layer: lets calls through, or spoils them.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._numbers = 0
        self.rules: list[Temper] = []
        self.calls: deque[JsonObject] = deque(maxlen=_REMEMBERED)
        self.count = 0
        self._under_way: deque[tuple[Scope, bytes]] = deque()

    async def arrive(self) -> int:
        """Let the calls that are under way arrive, in their order; gives how many they were. Nobody hears an answer."""
        arrived = 0
        while self._under_way:
            scope, body = self._under_way.popleft()
            await self._app(scope, _again(body), _Answer().send)
            arrived += 1
        return arrived

    def forget_calls(self) -> None:
        """Start counting anew."""
        self.calls.clear()
        self.count = 0

    def add(self, rule: Temper) -> Temper:
        """Put a rule in force."""
        self._numbers += 1
        rule.number = self._numbers
        self.rules.append(rule)
        return rule

    def remove(self, number: int | None = None) -> None:
        """Take one rule out of force, or all."""
        self.rules = [rule for rule in self.rules if number is not None and rule.number != number]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        if scope["type"] != "http" or scope["path"].startswith("/admin"):
            await self._app(scope, receive, send)
            return
        body = await _body(receive)
        resource = _resource(scope["path"])
        text = f"{scope['path']}?{scope['query_string'].decode('latin-1')}\n{body.decode('utf-8', 'replace')}"
        call: JsonObject = {"method": scope["method"], "resource": resource, "path": scope["path"], "status": None}
        self.calls.append(call)
        self.count += 1
        rule = next((one for one in self.rules if one.fits(scope["method"], resource, text) and one.fires()), None)
        answer = _Answer()
        if rule is not None and rule.action == "late":
            self._under_way.append((scope, body))
        elif rule is None or rule.moment == "after" or rule.action in _HARMLESS:
            if rule is not None and rule.action == "delay" and rule.moment == "before":
                await asyncio.sleep(rule.seconds)
            if rule is not None and rule.action == "twice":
                await self._app(scope, _again(body), _Answer().send)
            await self._app(scope, _again(body), answer.send)
        call["status"] = answer.status if rule is None else f"{rule.action} {rule.moment}"
        if rule is None:
            await _send(send, answer)
        else:
            await _spoil(rule, answer, send)


async def _spoil(rule: Temper, answer: _Answer, send: Send) -> None:
    answer.headers += [(name.lower().encode(), value.encode()) for name, value in rule.headers.items()]
    match rule.action:
        case "reset" | "lost_reply" | "late":
            _hang_up(send, reset=rule.action == "reset")
            # The transport tells the server of its end in the next round; until then it would answer for us.
            await asyncio.sleep(_SLICE)
        case "truncate":
            await _truncated(rule, answer, send)
        case "trickle":
            await _trickled(rule, answer, send)
        case _:
            if rule.action == "delay" and rule.moment == "after":
                await asyncio.sleep(rule.seconds)
            _rewrite(rule, answer)
            await _send(send, answer)


def _rewrite(rule: Temper, answer: _Answer) -> None:
    match rule.action:
        case "status":
            _replace(answer, rule.status, rule.body.encode(), b"application/json;charset=UTF-8")
        case "html":
            _replace(answer, rule.status, rule.body.encode() or _HTML, b"text/html")
        case "fault" | "fault_with_200":
            error = {
                "Message": _BROKEN,
                "code": str(rule.code),
            }
            error["Detail"] = rule.body or "System Failure Error: Could not complete the request"
            fault = {"Error": [error], "type": "SystemFault"}
            status = 200 if rule.action == "fault_with_200" else rule.status
            _replace(answer, status, render({"Fault": fault}), b"application/json;charset=UTF-8")
        case "xml_fault":
            kind = "AuthenticationFault" if rule.status == _UNAUTHORIZED else "SystemFault"
            message = "General Authentication Error" if rule.status == _UNAUTHORIZED else _BROKEN
            fault = {
                "Error": [{"Message": message, "Detail": rule.body or message, "code": str(rule.code)}],
                "type": kind,
            }
            _replace(answer, rule.status, markup.answer(render({"Fault": fault})), b"application/xml;charset=UTF-8")
        case "batch_drop" | "batch_shuffle":
            _rearrange(rule, answer)


def _rearrange(rule: Temper, answer: _Answer) -> None:
    packed = any(name.lower() == b"content-encoding" for name, _ in answer.headers)
    try:
        body = parse(gzip.decompress(answer.body) if packed else answer.body)
    except NotJsonError:
        return
    if not isinstance(body, dict) or "BatchItemResponse" not in body:
        return
    items = body["BatchItemResponse"]
    if rule.action == "batch_drop":
        body["BatchItemResponse"] = [item for place, item in enumerate(items) if place not in rule.items]
    else:
        random.Random(rule.seed).shuffle(items)
    _replace(answer, answer.status, render(body), b"application/json;charset=UTF-8")


def _replace(answer: _Answer, status: int, body: bytes, kind: bytes) -> None:
    own = {b"content-type", b"content-length", b"content-encoding"}
    answer.status = status
    answer.body = body
    answer.headers = [entry for entry in answer.headers if entry[0].lower() not in own]
    answer.headers += [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    if not any(name == b"intuit_tid" for name, _ in answer.headers):
        answer.headers.append((b"intuit_tid", b"1-00000000-000000000000000000000000"))


async def _truncated(rule: Temper, answer: _Answer, send: Send) -> None:
    if not answer.body:
        _replace(
            answer, 200, b'{"QueryResponse":{"startPosition":1,"maxResults":1}}', b"application/json;charset=UTF-8"
        )
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body[: rule.keep], "more_body": True})
    _hang_up(send, reset=False)
    await asyncio.sleep(_SLICE)


async def _trickled(rule: Temper, answer: _Answer, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    transport = _transport(send)
    for place in range(len(answer.body)):
        if transport is not None and transport.is_closing():
            return
        await send({"type": "http.response.body", "body": answer.body[place : place + 1], "more_body": True})
        await asyncio.sleep(rule.seconds)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _transport(send: Send) -> asyncio.Transport | None:
    # ASGI has no way to break a connection; uvicorn's request cycle, whose method `send` is, holds the transport.
    held = getattr(getattr(send, "__self__", None), "transport", None)
    return held if isinstance(held, asyncio.Transport) else None


def _hang_up(send: Send, *, reset: bool) -> None:
    transport = _transport(send)
    if transport is None:
        raise RuntimeError("This server gives no access to its connections, so they cannot be broken.")
    if reset:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return b"".join(parts)


def _again(body: bytes) -> Receive:
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _send(send: Send, answer: _Answer) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


def _resource(path: str) -> str:
    parts = [part for part in path.split("/") if part]
    if parts[:2] == ["v3", "company"]:
        return parts[3].lower() if len(parts) > len(("v3", "company", "realm")) else ""
    return "token" if path.startswith("/oauth2/v1/tokens") else (parts[-1].lower() if parts else "")
