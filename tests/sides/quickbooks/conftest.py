"""A server that misbehaves on command, over real HTTP, and the sample company's records."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from reconcile.model.entities import Entity
from reconcile.model.plan import Action
from reconcile.sandbox.quickbooks.process import QuickBooksSandbox, running_quickbooks
from reconcile.sides.quickbooks import (
    Bounds,
    Limiter,
    Limits,
    MemoryTokenStore,
    Patience,
    QuickBooksConnection,
    QuickBooksSession,
    QuickBooksWriter,
    Tokens,
)
from reconcile.sides.side import Outcome, Write

SAMPLES = Path(__file__).parents[3] / "reconcile" / "sandbox" / "samples" / "craigs"
ACCESS, REFRESH, SECRET = "canary-access-0", "canary-refresh-0", "canary-secret"
UNHURRIED = Limits(per_second=10_000, per_minute=100_000, batches_per_minute=10_000)


@dataclass
class Asked:
    """One request as the server saw it."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes
    token: str


@dataclass
class Said:
    """One reply the server gives."""

    status: int = 200
    body: bytes = b"{}"
    content_type: str = "application/json;charset=UTF-8"
    headers: dict[str, str] = field(default_factory=dict)
    raw: Callable[[BaseHTTPRequestHandler], None] | None = None


def said(content: Any, status: int = 200, **headers: str) -> Said:
    return Said(status, json.dumps(content).encode(), headers=headers)


@dataclass
class Server:
    """Replies are taken from ``script`` in turn; then ``answer`` decides."""

    address: str
    script: list[Said] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    refreshes: int = 0
    token_reply: Callable[[dict[str, str]], Said] | None = None
    answer: Callable[[Asked], Said] = lambda _: Said(404, b"")


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            self._serve()

        do_POST = do_GET  # noqa: N815 - named by http.server

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if parts.path == "/discovery":
                names = ("authorization", "token", "revocation", "userinfo")
                document = {f"{name}_endpoint": f"{state.address}/{name}" for name in names}
                self._say(said({**document, "issuer": state.address, "jwks_uri": f"{state.address}/jwks"}))
                return
            if parts.path == "/token":
                state.refreshes += 1
                form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
                self._say(state.token_reply(form) if state.token_reply else tokens(state.refreshes))
                return
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            asked = Asked(self.command, parts.path, query, body, token)
            state.asked.append(asked)
            reply = state.script.pop(0) if state.script else state.answer(asked)
            if reply.raw is not None:
                reply.raw(self)
                self.close_connection = True
            else:
                self._say(reply)

        def _say(self, reply: Said) -> None:
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(reply.body)))
            self.send_header("intuit_tid", "1-5f0f-trace")
            for name, value in reply.headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(reply.body)

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    state = Server(f"http://127.0.0.1:{http.server_port}")
    threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
    yield state
    http.shutdown()
    http.server_close()


def tokens(number: int) -> Said:
    return said(
        {
            "token_type": "bearer",
            "access_token": f"canary-access-{number}",
            "refresh_token": f"canary-refresh-{number}",
            "expires_in": 3600,
            "x_refresh_token_expires_in": 8726400,
        }
    )


@dataclass
class World:
    """A session with a server, what it waited for, and its tokens."""

    server: Server
    session: QuickBooksSession
    waits: list[tuple[str, float]]
    store: MemoryTokenStore


@pytest.fixture
def world(server: Server) -> World:
    return world_of(server)


def world_of(server: Server, **settings: Any) -> World:
    waits: list[tuple[str, float]] = []
    store = settings.pop("store", None) or MemoryTokenStore(Tokens(ACCESS, REFRESH))
    session = QuickBooksSession(
        QuickBooksConnection(server.address, f"{server.address}/discovery", "4620816365", "client", SECRET),
        store,
        **{
            "limiter": Limiter(UNHURRIED),
            "bounds": Bounds(connect=2, read=2, total=4),
            "patience": Patience(retries=2, throttle_waits=2),
            "on_wait": lambda reason, seconds: waits.append((reason, seconds)),
            "sleep": lambda _: None,
            "jitter": lambda: 0.0,
            **settings,
        },
    )
    return World(server, session, waits, store)


def sample(name: str) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = json.loads((SAMPLES / f"{name}.json").read_text())
    return records


@dataclass
class Books:
    """The sample company on a local QuickBooks, and the writer that works on it."""

    writer: QuickBooksWriter
    session: QuickBooksSession
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def write(
        self,
        entity: Entity,
        action: Action,
        fields: Mapping[str, Any],
        record: Outcome | None = None,
        context: Mapping[str, Any] | None = None,
        request_id: str = "",
    ) -> Outcome:
        """One write; ``record`` is the outcome that last told id and version."""
        write = Write(
            request_id or self.request_id(),
            entity,
            action,
            record.id if record else None,
            record.version if record else None,
            fields,
            {**(record.fields if record else {}), **fields, **(context or {})},
        )
        (outcome,) = self.writer.write([write])
        return outcome

    def create(self, entity: Entity, **fields: Any) -> Outcome:
        return self.write(entity, Action.CREATE, fields)

    def request_id(self) -> str:
        return f"test-{next(self.numbers):05}"

    def by_hand(self, name: str, body: Mapping[str, Any], **params: str) -> dict[str, Any]:
        """What somebody does in QuickBooks itself."""
        content = self.session.post(self.session.address(name), body, params=params)
        return next(value for key, value in content.items() if key != "time")


def books_of(sandbox: QuickBooksSandbox, **settings: Any) -> Books:
    session = QuickBooksSession(
        QuickBooksConnection(
            sandbox.base_url, sandbox.discovery_url, sandbox.realm_id, sandbox.client_id, sandbox.client_secret
        ),
        MemoryTokenStore(Tokens(sandbox.access_token, sandbox.refresh_token)),
        limiter=Limiter(UNHURRIED),
    )
    return Books(QuickBooksWriter(session, income_account="Services", **settings), session)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[QuickBooksSandbox]:
    with running_quickbooks("craigs") as running:
        yield running


@pytest.fixture(scope="module")
def books(sandbox: QuickBooksSandbox) -> Books:
    return books_of(sandbox)
