"""The command: a QuickBooks Online on this machine, in the foreground, until it is told to stop."""

import asyncio
import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
import uvicorn
from starlette.types import ASGIApp

from reconcile.sandbox.quickbooks.app import application
from reconcile.sandbox.quickbooks.deliveries import Format, Target, WebhookError
from reconcile.sandbox.quickbooks.limits import REAL, UNLIMITED
from reconcile.sandbox.quickbooks.samples import Sample
from reconcile.sandbox.quickbooks.server import Server, StateFileError, new_realm
from reconcile.sandbox.quickbooks.switches import Switches, UnknownSwitchError

_CANNOT_START: Final = 2


def quickbooks(  # noqa: PLR0913 - one parameter per option of the command line
    *,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    sample: Annotated[Sample, typer.Option(help="Company to start with.")] = "craigs",
    realm: Annotated[
        list[str] | None,
        typer.Option(
            help="Company id; several make several companies. Left out: those in the state file, else a new one."
        ),
    ] = None,
    client_id: Annotated[str, typer.Option(help="The app's id; drawn when left out.")] = "",
    client_secret: Annotated[str, typer.Option(help="The app's secret; drawn when left out.")] = "",
    redirect_uri: Annotated[
        list[str] | None, typer.Option(help="Registered redirect address; any when left out.")
    ] = None,
    state: Annotated[Path | None, typer.Option(help="SQLite file that keeps the companies.")] = None,
    limits: Annotated[
        Literal["real", "off"], typer.Option(help="Intuit's call limits; off, for a fast client.")
    ] = "off",
    invoices: Annotated[int, typer.Option(help="How many invoices a generated company has.")] = 1_000,
    webhook: Annotated[
        list[str] | None, typer.Option(help="Address on this machine that is told of every change.")
    ] = None,
    webhook_verifier: Annotated[str, typer.Option(help="Verifier token; drawn and printed when left out.")] = "",
    webhook_format: Annotated[Format, typer.Option(help="Body of the messages.")] = "cloudevents",
    admin: Annotated[bool, typer.Option("--admin", help="Serve the admin resource (clock, limits, faults).")] = False,
    switch: Annotated[
        list[str] | None, typer.Option(help="name=value; see reconcile.sandbox.quickbooks.switches.")
    ] = None,
    attached: Annotated[
        bool, typer.Option("--attached", help="Stop when standard input ends: together with whoever started it.")
    ] = False,
) -> None:
    """Serve a local QuickBooks Online, and print one JSON line with its address and keys when it listens."""
    try:
        switches = _switches(switch or [])
        listening = _bound(host, port)
        server = Server(
            client_id=client_id,
            client_secret=client_secret,
            redirect_uris=tuple(redirect_uri or ()),
            state_file=state,
            switches=switches,
            limits=REAL if limits == "real" else UNLIMITED,
        )
    except (UnknownSwitchError, StateFileError, OSError) as error:
        typer.echo(f"The local QuickBooks cannot start: {error}", err=True)
        raise typer.Exit(_CANNOT_START) from error
    verifier = webhook_verifier or secrets.token_urlsafe(24)
    try:
        for url in webhook or ():
            server.deliveries.add(Target(url, verifier, webhook_format))
    except WebhookError as error:
        typer.echo(f"The local QuickBooks cannot start: {error}", err=True)
        raise typer.Exit(_CANNOT_START) from error
    try:
        keys = [server.add_company(one, sample, invoices) for one in (realm or server.kept_realms() or [new_realm()])]
        base_url = f"http://{host}:{listening.getsockname()[1]}"
        line = {
            "base_url": base_url,
            "discovery_url": f"{base_url}/.well-known/openid_sandbox_configuration/",
            "realm_id": keys[0].realm_id,
            "client_id": keys[0].client_id,
            "client_secret": keys[0].client_secret,
            "access_token": keys[0].access_token,
            "refresh_token": keys[0].refresh_token,
        }
        if webhook:
            line["webhook_verifier"] = verifier
        app = application(server, administered=admin)
        asyncio.run(_serve(app, listening, json.dumps(line), attached=attached))
    finally:
        server.close()
        listening.close()


def _switches(settings: list[str]) -> Switches:
    switches = Switches()
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise UnknownSwitchError(f"A switch is written name=value, not {setting!r}.")
        switches = switches.changed(name.strip().replace("-", "_"), value)
    return switches


def _bound(host: str, port: int) -> socket.socket:
    # The protocol must be named: asyncio switches off Nagle's delay only on sockets that say that they are TCP.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    return listening


class _AnnouncingServer(uvicorn.Server):
    """Says on standard output that it listens, once it does."""

    def __init__(self, config: uvicorn.Config, line: str, *, attached: bool) -> None:
        super().__init__(config)
        self._line = line
        self._attached = attached

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Bind, then announce."""
        await super().startup(sockets)
        sys.stdout.write(self._line + "\n")
        sys.stdout.flush()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT without raising the signal again: being told to stop is a clean end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        if self._attached:
            loop.add_reader(sys.stdin.fileno(), self._heard)
        yield

    def _heard(self) -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self._stop()

    def _stop(self) -> None:
        self.should_exit = True


async def _serve(app: ASGIApp, listening: socket.socket, line: str, *, attached: bool) -> None:
    config = uvicorn.Config(
        app,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        timeout_graceful_shutdown=2,
    )
    await _AnnouncingServer(config, line, attached=attached).serve(sockets=[listening])


def main() -> None:
    """Run the command by itself."""
    typer.run(quickbooks)
