"""A connection to one QuickBooks company that keeps its temper: python-quickbooks with what it lacks (API file 9.1).

Status before body; faults in every shape; one refresh of the token for all threads; waiting when QuickBooks asks for
it; the same request id on every repetition; Intuit's trace on every answer and error; no secret in any text.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from secrets import SystemRandom
from threading import Lock
from typing import Any, Generic, Self, TypeVar, cast
from urllib.parse import quote

import msgspec
from quickbooks import QuickBooks

from reconcile.errors import (
    Cause,
    ConfigurationError,
    DeferredError,
    DisconnectedError,
    RefusedError,
    UnreachableError,
)
from reconcile.sides.quickbooks.faults import (
    INTERNAL,
    THROTTLED,
    UNSUPPORTED,
    Fault,
    explain_all,
    faults_in,
    parse_faults,
)
from reconcile.sides.quickbooks.limiter import Limiter, Waiting, shared_limiter, unnoticed
from reconcile.sides.quickbooks.oauth import AuthorizationServer, Program
from reconcile.sides.quickbooks.tokens import Tokens, TokenStore
from reconcile.sides.quickbooks.transport import (
    Bounds,
    Connections,
    NoConnectionError,
    Reply,
    checked_address,
    exchange,
)

_OK = range(200, 300)
_REDIRECT = range(300, 400)
_UNAUTHORIZED, _FORBIDDEN, _TOO_MANY, _SERVER_ERROR = 401, 403, 429, 500
_RECONNECT = "Connect this company to QuickBooks again."
_ENDED = "QuickBooks has ended the connection (it was disconnected, or not used for too long): it needs reconnect."
_LONGEST_WAIT = 10 * 60.0
"""Seconds that are waited when QuickBooks names a time; when it names a longer one, the run is deferred at once."""

_TROUBLES = 3
"""Requests in a row that ended in an internal error before no further one is made: one bad record stops nobody else."""

_BEFORE_EXPIRY = timedelta(seconds=60)

T = TypeVar("T")
_ENCODER = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class QuickBooksConnection:
    """Where a company's QuickBooks is and what the program is known by there.

    Attributes:
        base_url: ``https://quickbooks.api.intuit.com`` or a sandbox; with or without ``/v3``.
        discovery_url: document that names the token endpoint (API file 2.1).
        realm_id: the company.
        client_id, client_secret: of the program; the secret is kept out of ``repr``.
        minor_version: of the API; Intuit ignores what is below 75 (API file 1.2).

    Raises:
        ConfigurationError: an address is not https (plain http is for this machine only), or a value is empty.
    """

    base_url: str
    discovery_url: str
    realm_id: str
    client_id: str
    client_secret: str = field(repr=False)
    minor_version: int = 75

    def __post_init__(self) -> None:
        checked_address(self.base_url, "address")
        if not self.realm_id.strip():
            raise ConfigurationError("The setting realm_id of the QuickBooks connection is empty. Connect the company.")
        Program(self.discovery_url, self.client_id, self.client_secret)

    @property
    def program(self) -> Program:
        """The program behind this connection."""
        return Program(self.discovery_url, self.client_id, self.client_secret)

    @property
    def api_url(self) -> str:
        """The address up to and including ``/v3``."""
        base = self.base_url.rstrip("/")
        return base if base.endswith("/v3") else f"{base}/v3"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to put up with it.

    Attributes:
        retries: further attempts after a broken reading or a 502, 503 or 504; after a 500 one.
        first_wait: seconds before the first of them; each next waits twice as long.
        throttle_waits: how often to wait when QuickBooks asks for fewer requests.
        throttle_wait: seconds each time, when it does not say how long.
        rest: seconds in which QuickBooks is left alone after it was given up: no call is made, all are deferred.
    """

    retries: int = 4
    first_wait: float = 1.0
    throttle_waits: int = 5
    throttle_wait: float = 60.0
    rest: float = 15 * 60.0


DEFAULT_BOUNDS = Bounds()
DEFAULT_PATIENCE = Patience()
_RANDOM = SystemRandom()


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What QuickBooks answered.

    Attributes:
        status: HTTP status.
        content: the decoded body; ``None`` when it is a refusal.
        faults: why it was refused; empty when it was not.
        trace: Intuit's id of the exchange.
        doubtful: an earlier attempt of the same request was lost, so a refusal does not prove that nothing happened.
    """

    status: int
    content: T | None
    faults: tuple[Fault, ...] = ()
    trace: str = ""
    doubtful: bool = False

    def required(self) -> T:
        """The content.

        Raises:
            FaultedError: QuickBooks refused.
        """
        if self.faults or self.content is None:
            raise FaultedError(self.faults, self.trace)
        return self.content


class FaultedError(RefusedError):
    """QuickBooks understood a reading request and refused it; ``faults`` says why."""

    def __init__(self, faults: tuple[Fault, ...], trace: str) -> None:
        super().__init__(f"QuickBooks refused to be read. {explain_all(faults)}{_traced(trace)}")
        self.faults = faults
        self.trace = trace
        self.code = faults[0].code if faults else ""


def _nothing() -> None:
    """Nobody has anything against a write."""


def _traced(trace: str) -> str:
    return f" (Intuit's trace of this: {trace})" if trace else ""


class TooDeepError(ValueError):
    """JSON that is nested more deeply than can be read: QuickBooks says nothing like it, but it can be sent."""


def exact_json(body: bytes) -> Any:
    """Parsed JSON with exact decimals.

    Raises:
        ValueError: it is no JSON, or nested too deeply.
    """
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_no_number)
    except RecursionError:
        raise TooDeepError("it is nested more deeply than can be read") from None


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def server_time(content: Any) -> datetime | None:
    """The ``time`` of an answer's envelope as UTC, ``None`` if it has none."""
    try:
        moment = datetime.fromisoformat(content["time"])
    except (KeyError, TypeError, ValueError):
        return None
    return moment.astimezone(UTC) if moment.tzinfo else None


class HoldsFaultError(ValueError):
    """An answer says that something went wrong in place of what was asked for; ``faults`` says what."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(explain_all(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Vigilant(Generic[T]):
    """A decoder that raises :class:`HoldsFaultError` itself: a large answer need not be searched for faults first."""

    decode: Callable[[bytes], T]

    def __call__(self, body: bytes) -> T:
        """Decode the body of an answer."""
        return self.decode(body)


class QuickBooksSession(QuickBooks):  # type: ignore[misc]  # python-quickbooks is untyped
    """One company's QuickBooks. Safe to share between threads: no two calls use the same connection at once.

    Args:
        connection: where and as whom.
        tokens: where the tokens are kept.
        limiter: how often we may call; by default that of this host for the company.
        bounds: what each exchange may take.
        patience: how long to put up with refusals and failures.
        on_wait: told before every wait.
        sleep: waits so many seconds.
        jitter: a number between 0 and 1, to keep many waiters from coming back at once.
    """

    def __new__(cls, connection: QuickBooksConnection, *_: Any, **__: Any) -> Self:
        """python-quickbooks builds its instances here."""
        return cast(
            "Self",
            super().__new__(
                cls, company_id=connection.realm_id, minorversion=connection.minor_version, use_decimal=True
            ),
        )

    def __init__(
        self,
        connection: QuickBooksConnection,
        tokens: TokenStore,
        *,
        limiter: Limiter | None = None,
        bounds: Bounds = DEFAULT_BOUNDS,
        patience: Patience = DEFAULT_PATIENCE,
        on_wait: Waiting = unnoticed,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = _RANDOM.random,
    ) -> None:
        self.connection = connection
        self.api_url_v3 = connection.api_url
        self.sandbox_api_url_v3 = connection.api_url
        self.calls = 0
        self.before_writing: Callable[[], None] = _nothing
        self._tokens = tokens
        self._limiter = limiter or shared_limiter(connection.base_url, connection.realm_id)
        self._bounds = bounds
        self._patience = patience
        self._on_wait = on_wait
        self._sleep = sleep
        self._jitter = jitter
        self._clock = time.monotonic
        self._waits = 0
        self._troubles = 0
        self._answered = False
        self._given_up: dict[bool, tuple[DeferredError, float]] = {}
        self._idle: list[Connections] = []
        self._counting = Lock()
        self._authority = AuthorizationServer(connection.program, bounds)

    def __repr__(self) -> str:
        return f"QuickBooksSession({self.connection.base_url!r}, realm_id={self.connection.realm_id!r})"

    def close(self) -> None:
        """Let go of all connections that are not in use; the next call makes new ones."""
        while self._idle:
            self._idle.pop().close()

    @property
    def at_once(self) -> int:
        """How many calls may be under way at the same time."""
        return self._limiter.limits.at_once

    def address(self, *parts: str) -> str:
        """The address of a resource of this company; every part is quoted."""
        company = quote(self.connection.realm_id, safe="")
        return "/".join((self.api_url, "company", company, *(quote(part, safe="") for part in parts)))

    def make_request(
        self,
        request_type: str,
        url: str,
        request_body: Any = None,
        content_type: str = "application/json",
        params: Mapping[str, str] | None = None,
        file_path: str | None = None,
        file_bytes: bytes | None = None,
        request_id: str | None = None,
    ) -> Any:
        """One call in python-quickbooks' own way: parsed JSON, or an error; the caller's ``params`` stay as they are.

        Raises:
            FaultedError: QuickBooks refused.
            RefusedError, UnreachableError: as for :meth:`call`.
        """
        if file_path or file_bytes:
            raise ConfigurationError("Attachments are not part of the sync; this session does not upload files.")
        answer: Answer[Any] = self.call(
            request_type, url, body=request_body, content_type=content_type, params=params, request_id=request_id
        )
        return answer.required()

    def call(
        self,
        method: str,
        url: str,
        *,
        body: Any = None,
        content_type: str = "application/json",
        params: Mapping[str, str] | None = None,
        request_id: str | None = None,
        reads: bool | None = None,
        decode: Callable[[bytes], T] = exact_json,
    ) -> Answer[T]:
        """One call, repeated as long as that is right, always with the same request id.

        Args:
            method: GET or POST.
            url: of the resource, see :meth:`address`.
            body: text, bytes, or a value to send as JSON (decimals as numbers).
            content_type: of the body.
            params: further query parameters.
            request_id: QuickBooks answers a repetition of it with its first answer (API file 5.2).
            reads: whether repeating is harmless; by default for GET and queries.
            decode: how to read the body; raises ``ValueError`` when it is no JSON.

        Returns:
            The answer; a refusal of the application is one with ``faults``.

        Raises:
            RefusedError: credentials, permission or company are refused; nothing was done.
            DeferredError: QuickBooks kept asking for fewer requests, or stayed in trouble; nothing more is asked of it
                for a while. Unless it is ``doubtful`` nothing was done.
            UnreachableError: no answer. What a write did is unknown.
        """
        reading = (method == "GET" or url.endswith("/query")) if reads is None else reads
        query = {"minorversion": str(self.connection.minor_version), **(params or {})}
        if request_id:
            query["requestid"] = request_id
        effort = _Effort(reading)
        data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else b""
        if body is not None and not isinstance(body, str | bytes):
            data = _ENCODER.encode(body)
        send = partial(self._send, method, url, query, data, content_type, writes=not reading)
        try:
            while True:
                answer = self._attempt(send, effort, decode)
                if answer is not None:
                    return answer
        except (RefusedError, NoConnectionError) as error:
            if effort.doubtful:
                then = "refused" if isinstance(error, RefusedError) else "could not be reached"
                raise UnreachableError(f"QuickBooks lost an answer and then {then}. {error}") from error
            raise

    def _attempt(self, send: Callable[[str], Reply], effort: _Effort, decode: Callable[[bytes], T]) -> Answer[T] | None:
        """One attempt: the answer, or ``None`` when the request is to be repeated."""
        self._leave_alone(effort)
        token = self._access_token()
        try:
            reply = send(token)
        except DeferredError as error:
            raise self._deferred(effort, error) from error
        except UnreachableError as error:
            repeatable = effort.reading or isinstance(error, NoConnectionError)
            if not repeatable or effort.failures >= self._patience.retries:
                raise
            self._back_off(effort, str(error).split(".", maxsplit=1)[0])
            return None
        return self._judge(reply, effort, token, decode)

    def _judge(self, reply: Reply, effort: _Effort, token: str, decode: Callable[[bytes], T]) -> Answer[T] | None:
        """The answer in a reply, or ``None`` when the request is to be repeated."""
        if reply.status in _OK:
            self._waits, self._troubles, self._answered = 0, 0, True
            return self._success(reply, effort, decode)
        if reply.status in _REDIRECT:
            raise UnreachableError(
                "Something between here and QuickBooks answered in its place (it wants to send us elsewhere). Check "
                f"the network: a sign-in page or proxy may be in the way.{_traced(reply.trace)}"
            )
        faults = tuple(map(self._clean, parse_faults(reply.status, reply.content_type, reply.body)))
        codes = {fault.code for fault in faults}
        if reply.status == _UNAUTHORIZED:
            if effort.refreshed:
                raise RefusedError(
                    f"QuickBooks does not accept our access, even freshly renewed. {_RECONNECT}{_traced(reply.trace)}"
                )
            effort.refreshed = True
            self._refresh(token)
            return None
        if reply.status == _TOO_MANY or THROTTLED in codes:
            self._wait_for_room(reply, effort)
            return None
        if reply.status == _FORBIDDEN:
            raise RefusedError(f"QuickBooks refused. {explain_all(faults)}{_traced(reply.trace)}")
        if reply.status >= _SERVER_ERROR and UNSUPPORTED not in codes:
            self._server_error(reply, effort, codes)
            return None
        self._waits, self._troubles = 0, 0
        return Answer(reply.status, None, faults, reply.trace, effort.doubtful)

    def _success(self, reply: Reply, effort: _Effort, decode: Callable[[bytes], T]) -> Answer[T] | None:
        if not isinstance(decode, Vigilant) and (faults := self._faults_inside(reply.body)):
            return Answer(reply.status, None, faults, reply.trace, effort.doubtful)
        try:
            content = decode(reply.body)
        except HoldsFaultError as error:
            found = tuple(map(self._clean, error.faults))
            return Answer(reply.status, None, found, reply.trace, effort.doubtful)
        except ValueError as error:
            if isinstance(error, TooDeepError):
                problem = "The answer of QuickBooks is nested more deeply than can be read"
            elif reply.body.lstrip()[:1] == b"<":
                problem = "Something between here and QuickBooks answered with a web page in its place"
            else:
                problem = "The answer of QuickBooks was cut off or is no JSON"
            if not effort.reading or effort.failures >= self._patience.retries:
                raise UnreachableError(f"{problem}. Try again later.{_traced(reply.trace)}") from error
            self._back_off(effort, problem)
            return None
        return Answer(reply.status, content, (), reply.trace, effort.doubtful)

    def _faults_inside(self, body: bytes) -> tuple[Fault, ...]:
        if b'"Fault"' not in body and b'"fault"' not in body:
            return ()
        try:
            return tuple(map(self._clean, faults_in(exact_json(body))))
        except (ValueError, RecursionError):
            return ()

    def _wait_for_room(self, reply: Reply, effort: _Effort) -> None:
        told = reply.headers.get("Retry-After", "")
        seconds = float(told) if told.isascii() and told.isdigit() else self._patience.throttle_wait
        if effort.throttled >= self._patience.throttle_waits or seconds > _LONGEST_WAIT:
            times = "once" if not effort.throttled else f"{effort.throttled + 1} times in a row"
            sentence = f"QuickBooks asked for fewer requests {times}.{_traced(reply.trace)}"
            wait = timedelta(seconds=seconds if seconds > self._patience.throttle_wait else 0)
            raise self._deferred(effort, DeferredError(sentence, Cause.BUSY, wait=wait, doubtful=effort.doubtful))
        effort.throttled += 1
        with self._counting:
            self._waits += 1
        self.pause("QuickBooks asks for fewer requests", seconds * (1 + self._jitter() / 4))

    def _server_error(self, reply: Reply, effort: _Effort, codes: set[str]) -> None:
        effort.doubtful = effort.doubtful or not effort.reading
        allowed = 1 if reply.status == _SERVER_ERROR or INTERNAL in codes else self._patience.retries
        if effort.failures >= min(allowed, self._patience.retries):
            sentence = f"QuickBooks is in trouble (status {reply.status}), also when asked again.{_traced(reply.trace)}"
            with self._counting:
                self._troubles += 1
            alone = allowed == 1 and self._troubles < _TROUBLES
            if alone and not effort.reading:
                raise UnreachableError(f"{sentence} Try again later.")
            error = DeferredError(sentence, Cause.TROUBLE, doubtful=effort.doubtful, alone=alone)
            raise self._deferred(effort, error)
        self._back_off(effort, f"QuickBooks is in trouble (status {reply.status})")

    def _back_off(self, effort: _Effort, reason: str) -> None:
        seconds = self._patience.first_wait * 2**effort.failures * (0.5 + self._jitter() / 2)
        effort.failures += 1
        self.pause(reason, seconds)

    def _deferred(self, effort: _Effort, error: DeferredError) -> DeferredError:
        """The same, with what is known of the connection; from now on QuickBooks is left alone for a while.

        When it was given up for reading, writing goes on: the quota of a program counts what is read (API file 6), and
        a write in hand that needs no reading is better done than left.
        """
        told = DeferredError(
            str(error),
            error.cause,
            wait=error.wait,
            waits=self._waits,
            answered=self._answered,
            doubtful=error.doubtful and not effort.reading,
            alone=error.alone,
        )
        if not error.alone:
            self._given_up[effort.reading] = (told, self._clock() + self._patience.rest)
        return told

    def _leave_alone(self, effort: _Effort) -> None:
        """Raise instead of asking, as long as QuickBooks is given up for what is to be done."""
        for reads in (False, True) if effort.reading else (False,):
            error, until = self._given_up.get(reads, (None, 0.0))
            if error is not None and self._clock() < until:
                raise DeferredError(
                    str(error),
                    error.cause,
                    wait=error.wait,
                    waits=error.waits,
                    answered=error.answered,
                    doubtful=effort.doubtful,
                )

    def pause(self, reason: str, seconds: float) -> None:
        """Wait, and say so."""
        self._on_wait(reason, seconds)
        self._sleep(seconds)

    def _send(
        self,
        method: str,
        url: str,
        params: Mapping[str, str],
        body: bytes,
        content_type: str,
        token: str,
        *,
        writes: bool,
    ) -> Reply:
        self._limiter.take(batch=url.endswith("/batch"), on_wait=self._on_wait)
        if writes:
            self.before_writing()
        with self._counting:
            self.calls += 1
        headers = {"Accept": "application/json", "Authorization": f"Bearer {token}"}
        if method == "POST":
            headers["Content-Type"] = content_type
        with self._connections() as connections:
            return exchange(
                connections,
                method,
                url,
                headers=headers,
                params=params,
                body=body,
                bounds=self._bounds,
            )

    @contextmanager
    def _connections(self) -> Iterator[Connections]:
        """Connections that nobody else uses meanwhile; kept for the next call, whatever thread makes it."""
        try:
            connections = self._idle.pop()
        except IndexError:
            connections = Connections(self.connection.base_url)
        try:
            yield connections
        finally:
            self._idle.append(connections)

    def _access_token(self) -> str:
        """A token that is not about to expire: a renewal now is cheaper than a refused call and a renewal then."""
        kept = self._tokens.load()
        soon = datetime.now(UTC) + _BEFORE_EXPIRY
        if kept.access_token and (kept.access_expires_at is None or kept.access_expires_at > soon):
            return kept.access_token
        return self._refresh(kept.access_token)

    def _refresh(self, used: str) -> str:
        """A newer access token than the one used: one another thread or process has just fetched, or one fetched now.

        Only one fetches at a time, and what it fetched is kept for good before anybody uses it.

        Raises:
            DisconnectedError: the company must be connected again; Intuit is not asked twice about a dead connection.
            NoConnectionError: the token endpoint gave no answer, also when asked again; nothing was sent.
        """
        with self._tokens.lock():
            kept = self._tokens.load()
            if kept.ended_at is not None:
                raise self._ended()
            if kept.access_token and kept.access_token != used:
                return kept.access_token
            fresh = self._renewed(kept)
            if fresh is None:
                self._tokens.save(replace(kept, ended_at=datetime.now(UTC)))
                raise self._ended()
            self._tokens.save(fresh)
            return fresh.access_token

    def _ended(self) -> DisconnectedError:
        return DisconnectedError(f"{_ENDED} {self._tokens.reconnect}")

    def _renewed(self, kept: Tokens) -> Tokens | None:
        """New tokens for the newest refresh token, else for the one before; ``None`` when both are dead.

        The one before is tried because the newest may never have been valid; a dead one is tried once.
        """
        for refresh_token in filter(None, (kept.refresh_token, kept.previous_refresh_token)):
            try:
                fresh = self._authority.renew(refresh_token)
            except UnreachableError as error:
                self.pause(str(error).split(".", maxsplit=1)[0], self._patience.first_wait * (0.5 + self._jitter() / 2))
                try:
                    fresh = self._authority.renew(refresh_token)
                except UnreachableError as again:
                    raise NoConnectionError(str(again)) from None
            if fresh is not None:
                return fresh
        return None

    def _clean(self, fault: Fault) -> Fault:
        """The fault without any of our secrets: expired-token faults quote a part of the token (API file 1.5)."""
        if fault.kind.lower().startswith(("auth", "service")) or fault.code in {"3200", "100", "110"}:
            return replace(fault, detail="")
        kept = self._tokens.load()
        secrets = (kept.access_token, kept.refresh_token, kept.previous_refresh_token, self.connection.client_secret)

        def masked(text: str) -> str:
            for secret in filter(None, secrets):
                text = text.replace(secret, "[secret]")
            return text

        return replace(fault, message=masked(fault.message), detail=masked(fault.detail))


@dataclass(slots=True)
class _Effort:
    """How far one call has come."""

    reading: bool
    failures: int = 0
    throttled: int = 0
    refreshed: bool = False
    doubtful: bool = False


__all__ = [
    "Answer",
    "Bounds",
    "FaultedError",
    "NoConnectionError",
    "Patience",
    "QuickBooksConnection",
    "QuickBooksSession",
    "exact_json",
    "server_time",
]
