"""Waiting on the loopback address for the browser that Intuit leads back."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final
from urllib.parse import urlsplit

from reconcile.connect.consent import Consent, Grant, StrayRedirectError
from reconcile.errors import ConfigurationError, ReconcileError, RefusedError

CALLBACK: Final = "/quickbooks"
PORT: Final = 8723
PATIENCE: Final = 600.0
"""Seconds to wait for the consent; Intuit's code lives only minutes as well."""

_THANKS = "Thank you. You can close this page; the program goes on where you started it."
_BODY_LIMIT_SECONDS = 10


def redirect_uri(port: int) -> str:
    """Where Intuit leads the browser back to; to be registered with the program on Intuit's developer site."""
    return f"http://localhost:{port}{CALLBACK}"


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, warn: Callable[[str], None]) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.warn = warn
        self.consent: Consent | None = None
        self.arrived: SimpleQueue[Grant | ReconcileError] = SimpleQueue()

    def judge(self, address: str) -> tuple[int, str]:
        """Status and sentence for the person at the browser; what came back goes to whoever waits."""
        if self.consent is None or urlsplit(address).path != CALLBACK:
            return 404, "There is nothing here."
        try:
            self.arrived.put(self.consent.accept(address))
        except StrayRedirectError as error:
            self.warn(str(error))
            return 400, str(error)
        except ReconcileError as error:
            self.arrived.put(error)
            return 400, str(error)
        return 200, _THANKS


class _Handler(BaseHTTPRequestHandler):
    timeout = _BODY_LIMIT_SECONDS
    server: _Listener

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by http.server
        """Nothing: the line would hold the code."""

    def do_GET(self) -> None:
        """The way back."""
        status, sentence = self.server.judge(self.path)
        body = (
            "<!doctype html><html lang=en><meta charset=utf-8><title>Connect to QuickBooks</title>"
            f"<body><p>{html.escape(sentence)}</p></body></html>"
        ).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Content-Security-Policy", "default-src 'none'")
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def listening(
    consent_of: Callable[[str], Consent], port: int = PORT, warn: Callable[[str], None] = lambda _: None
) -> Iterator[tuple[Consent, Callable[[float], Grant]]]:
    """Listen on the loopback address for the browser.

    Args:
        consent_of: makes the attempt, given its redirect address.
        port: to listen on; 0 takes a free one.
        warn: told about ways back that do not belong to this attempt.

    Yields:
        The attempt, and a function that waits (seconds) for its grant; it raises what :meth:`Consent.accept` raised,
        and :class:`~reconcile.errors.RefusedError` when nobody came.

    Raises:
        ConfigurationError: the port is taken.
    """
    try:
        server = _Listener(port, warn)
    except OSError as error:
        raise ConfigurationError(
            f"Port {port} of this machine cannot be listened on ({error.strerror}). Free it, name another with --port, "
            "or connect with --paste."
        ) from None
    consent = server.consent = consent_of(redirect_uri(server.server_port))

    def wait(seconds: float = PATIENCE) -> Grant:
        try:
            found = server.arrived.get(timeout=seconds)
        except Empty:
            raise RefusedError(
                f"Nobody consented within {seconds / 60:g} minutes. {consent.company} is as it was; connect again."
            ) from None
        if isinstance(found, ReconcileError):
            raise found
        return found

    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield consent, wait
    finally:
        server.shutdown()
        server.server_close()
