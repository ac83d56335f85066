"""One HTTP exchange: connect, read and total time-outs, a cap on the body, and words for every way it can fail.

``requests`` bounds each read, not their sum: an answer that trickles a byte a second would never end. A deadline here
shuts the socket down when the whole exchange has taken too long.
"""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast
from urllib.parse import urlencode, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.poolmanager import PoolManager
from urllib3.response import BaseHTTPResponse
from urllib3.util import Timeout

from reconcile.errors import Cause, ConfigurationError, DeferredError, UnreachableError

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_CHUNK = 1 << 18
_SCHEMES = ("http", "https")
_PROXY = "The proxy of this network did not let us through to QuickBooks. Check its settings."


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one exchange may take. Intuit cuts requests off at 120 seconds (API file 1.3); we wait a little longer.

    Attributes:
        connect: seconds to connect.
        read: seconds between two pieces of an answer.
        total: seconds for the whole exchange.
        largest: most bytes of an answer, unpacked.
    """

    connect: float = 10.0
    read: float = 125.0
    total: float = 150.0
    largest: int = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def trace(self) -> str:
        """Intuit's own id of the exchange, empty when it gave none."""
        return self.headers.get("intuit_tid", "")

    @property
    def content_type(self) -> str:
        """The media type as sent."""
        return self.headers.get("Content-Type", "")


class NoConnectionError(UnreachableError):
    """There was never a connection: the request cannot have arrived."""


def is_loopback(url: str) -> bool:
    """Whether an address is this machine."""
    return urlsplit(url).hostname in LOOPBACK


def checked_address(url: str, what: str) -> str:
    """The address without a trailing slash.

    Raises:
        ConfigurationError: it is no http(s) address, or plain http to another machine: a token would travel in clear.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ConfigurationError(f"The {what} of QuickBooks is not an http(s) address. Correct it in the settings.")
    if parts.scheme == "http" and not is_loopback(url):
        raise ConfigurationError(
            f"The {what} of QuickBooks is plain http to {parts.hostname}; tokens would travel unencrypted. Use https."
        )
    return url.rstrip("/")


class _Watchdog:
    """One thread that ends all exchanges of this process whose time is up: a timer for each would cost more than it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: dict[Deadline, float] = {}
        self._wakes = math.inf
        self._running = False

    def add(self, deadline: Deadline, seconds: float) -> None:
        """End it after so many seconds."""
        with self._changed:
            due = self._due[deadline] = time.monotonic() + seconds
            if not self._running:
                threading.Thread(target=self._watch, name="deadlines", daemon=True).start()
                self._running = True
            elif due < self._wakes:
                self._changed.notify()

    def remove(self, deadline: Deadline) -> None:
        """It has ended; once this returns it will not be ended again."""
        with self._changed:
            self._due.pop(deadline, None)

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for deadline in [deadline for deadline, due in self._due.items() if due <= now]:
                    del self._due[deadline]
                    deadline.expire()
                self._wakes = min(self._due.values(), default=math.inf)
                self._changed.wait(None if self._wakes == math.inf else self._wakes - now)


class Deadline:
    """Shuts the socket of this thread's exchange down once it has taken too long."""

    current = threading.local()
    _watchdog = _Watchdog()

    def __init__(self, seconds: float) -> None:
        self.expired = False
        self._seconds = seconds
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        Deadline.current.deadline = self
        self._watchdog.add(self, self._seconds)
        return self

    def __exit__(self, *_: object) -> None:
        self._watchdog.remove(self)
        Deadline.current.deadline = None

    @classmethod
    def start_anew(cls) -> None:
        """In a process that was forked off: the thread that watched stayed behind."""
        cls._watchdog = _Watchdog()

    @classmethod
    def watch(cls, sock: socket.socket | None) -> None:
        """Put a socket under the deadline of this thread, if there is one."""
        deadline: Deadline | None = getattr(cls.current, "deadline", None)
        if deadline is not None:
            deadline._socket = sock  # noqa: SLF001 - its own class
            if deadline.expired:
                deadline._shut()  # noqa: SLF001 - its own class

    def expire(self) -> None:
        """Its time is up."""
        self.expired = True
        self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            try:
                # the plain socket's own method: that of a TLS socket would first drop the state the reader still uses
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
            except OSError:
                self._socket = None  # already gone, which is what was wanted


os.register_at_fork(after_in_child=Deadline.start_anew)


class _WatchedConnection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        Deadline.watch(self.sock)

    def request(self, *args: Any, **kwargs: Any) -> None:
        Deadline.watch(self.sock)
        super().request(*args, **kwargs)


class _WatchedTlsConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        Deadline.watch(self.sock)

    def request(self, *args: Any, **kwargs: Any) -> None:
        Deadline.watch(self.sock)
        super().request(*args, **kwargs)


class _WatchedPool(HTTPConnectionPool):
    ConnectionCls = _WatchedConnection


class _WatchedTlsPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTlsConnection


class _WatchedAdapter(HTTPAdapter):
    """Connections that a deadline can reach."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._watch(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        self._watch(manager)
        return manager

    @staticmethod
    def _watch(manager: PoolManager) -> None:
        manager.pool_classes_by_scheme = {"http": _WatchedPool, "https": _WatchedTlsPool}


def prepare(session: requests.Session, address: str) -> None:
    """Make a session ours: watched connections; on this machine no proxies of the environment."""
    for scheme in _SCHEMES:
        session.mount(f"{scheme}://", _WatchedAdapter())
    if is_loopback(address):
        session.trust_env = False


class Connections:
    """Connections to one host, made as ``requests`` makes them (proxies and certificates of the environment).

    A request then goes to urllib3 itself: what ``requests`` does around each costs as much as reading a page. Packed
    answers are asked for over a network; on one machine packing and unpacking cost more than the copying they save.

    Args:
        address: an address of the host.

    Raises:
        NoConnectionError: the address of a proxy is none.
    """

    def __init__(self, address: str) -> None:
        self._session = requests.Session()
        prepare(self._session, address)
        try:
            request = requests.Request("GET", address).prepare()
            settings = self._session.merge_environment_settings(address, {}, None, None, None)
            adapter = cast("HTTPAdapter", self._session.get_adapter(address))
            self.pool: HTTPConnectionPool = adapter.get_connection_with_tls_context(  # type: ignore[assignment]  # it is
                request, settings["verify"], settings["proxies"], settings["cert"]
            )
        except requests.RequestException as error:
            raise NoConnectionError(_PROXY) from error
        self.headers = {
            "User-Agent": requests.utils.default_user_agent(),
            "Accept-Encoding": "identity" if is_loopback(address) else requests.utils.DEFAULT_ACCEPT_ENCODING,
        }

    def close(self) -> None:
        """Let go of them."""
        self._session.close()


def exchange(
    connections: Connections,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    params: Mapping[str, str],
    body: bytes,
    bounds: Bounds,
) -> Reply:
    """One request and its whole answer. Redirects are not followed: a token goes to no other host.

    Raises:
        NoConnectionError: name, network or TLS; the request did not leave.
        DeferredError: the answer is too large; it is not asked for again.
        UnreachableError: it may have arrived, but no complete answer came.
    """
    with Deadline(bounds.total) as deadline:
        try:
            response = connections.pool.urlopen(
                method,
                f"{urlsplit(url).path}?{urlencode(params)}",
                body or None,
                {**connections.headers, **headers},
                retries=False,
                redirect=False,
                timeout=Timeout(connect=bounds.connect, read=bounds.read),
                preload_content=False,
            )
            try:
                content = _content(response, bounds.largest)
            except BaseException:
                response.close()  # what is left of the answer must not be taken for the next one
                raise
            response.release_conn()
        except (HTTPError, OSError) as error:
            if deadline.expired:
                raise UnreachableError(
                    f"QuickBooks did not finish its answer within {bounds.total:g} seconds. Try again later."
                ) from error
            raise _in_words(error, bounds, urlsplit(url).hostname or "") from error
        if deadline.expired:
            raise UnreachableError(
                f"QuickBooks did not finish its answer within {bounds.total:g} seconds. Try again later."
            )
        return Reply(response.status, response.headers, content)


def _content(response: BaseHTTPResponse, largest: int) -> bytes:
    """The whole body, unpacked.

    Raises:
        DeferredError: it is larger than that.
    """
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) <= largest and "Content-Encoding" not in response.headers:
        return response.read()  # in one piece: twice as fast, and no larger than it says
    pieces, size = [], 0
    for piece in response.stream(_CHUNK, decode_content=True):
        pieces.append(piece)
        size += len(piece)
        if size > largest:
            raise DeferredError(
                f"QuickBooks sent an answer larger than {largest // 2**20} MB, which was not read on. If it stays, "
                "report it.",
                Cause.TOO_LARGE,
                doubtful=True,
            )
    return b"".join(pieces)


def _causes(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        candidate = waiting.pop()
        if isinstance(candidate, BaseException) and candidate not in chain:
            chain.append(candidate)
            waiting += [candidate.__cause__, candidate.__context__, getattr(candidate, "reason", None), *candidate.args]
    return chain


def _in_words(error: Exception, bounds: Bounds, host: str) -> UnreachableError:
    chain = _causes(error)

    def among(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in chain)

    never_sent = [
        (
            among(NameResolutionError, socket.gaierror),
            f"The address {host} of QuickBooks could not be found (DNS). Check the network connection, then try again.",
        ),
        (
            among(SSLError),
            (
                f"The connection to {host} is not secure (TLS failed), so nothing was sent. Check the clock, the "
                "certificates and any proxy between here and QuickBooks."
            ),
        ),
        (
            among(ProxyError),
            _PROXY,
        ),
        (
            among(NewConnectionError),
            (
                f"Nothing answers at the address of QuickBooks ({host}): the connection was refused. Check the address "
                "and the network, then try again."
            ),
        ),
        (
            among(ConnectTimeoutError),
            f"QuickBooks ({host}) did not accept a connection within {bounds.connect:g} seconds. Try again later.",
        ),
    ]
    for applies, sentence in never_sent:
        if applies:
            return NoConnectionError(sentence)
    if among(TimeoutError, ReadTimeoutError):
        return UnreachableError(
            f"QuickBooks did not answer within {bounds.read:g} seconds (time-out). Try again later."
        )
    return UnreachableError("The connection to QuickBooks broke off before the answer was complete. Try again later.")
