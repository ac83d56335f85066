"""The local QuickBooks as a process of its own, for the demo and for tests."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from reconcile.sandbox.quickbooks.samples import Sample

_SECRET: Final = frozenset({"client_secret", "access_token", "refresh_token", "webhook_verifier"})
_PATIENCE: Final = 30.0


class SandboxNotStartedError(RuntimeError):
    """The process ended, or said nothing, before it listened; the text is what it wrote."""


@dataclass(frozen=True, slots=True, repr=False)
class QuickBooksSandbox:
    """A running local QuickBooks.

    Attributes:
        base_url: `base_url + "/v3/company/" + realm_id + "/query"` answers queries.
        discovery_url: The OpenID discovery document; intuit-oauth takes it as its environment.
        realm_id: The company (the first one, if there are several).
        client_id: The app.
        client_secret: Its secret.
        access_token: Good for an hour.
        refresh_token: Good until it is exchanged or revoked.
        pid: The process.
        webhook_verifier: Key of the signatures on webhook messages, if there is a receiver.
    """

    base_url: str
    discovery_url: str
    realm_id: str
    client_id: str
    client_secret: str
    access_token: str
    refresh_token: str
    pid: int
    webhook_verifier: str = ""

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{field.name}={'***' if field.name in _SECRET else repr(getattr(self, field.name))}"
            for field in fields(self)
        )
        return f"QuickBooksSandbox({shown})"


@contextmanager
def running_quickbooks(
    sample: Sample = "craigs", *, state: Path | None = None, patience: float = _PATIENCE, **options: object
) -> Iterator[QuickBooksSandbox]:
    """Start a local QuickBooks, and stop it whatever happens, even when this process is killed.

    Args:
        sample: Company to start with.
        state: SQLite file that keeps it; nothing outlives the process when it is `None`.
        patience: Seconds to wait until it listens.
        options: Further options of the command by their Python names: `port=8080`, `realm="123"`, `limits="real"`,
            `admin=True`; a list repeats an option: `switch=["us_tax_rounding=line"]`.

    Raises:
        SandboxNotStartedError: It did not come up.
    """
    command = [sys.executable, "-m", "reconcile.sandbox.quickbooks", "--attached", "--sample", sample]
    if state is not None:
        command += ["--state", str(state)]
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            command += [flag] if value else []
        else:
            for one in value if isinstance(value, list | tuple) else [value]:
                command += [flag, str(one)]
    process = subprocess.Popen(  # noqa: S603 - our own module with our own options, no shell
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        line = _first_line(process, patience)
        yield QuickBooksSandbox(**json.loads(line), pid=process.pid)
    finally:
        _stop(process)


def _first_line(process: subprocess.Popen[bytes], patience: float) -> bytes:
    timer = threading.Timer(patience, process.kill)
    timer.start()
    try:
        line = process.stdout.readline() if process.stdout is not None else b""
    finally:
        timer.cancel()
    if not line:
        process.wait()
        said = process.stderr.read().decode("utf-8", "replace").strip() if process.stderr is not None else ""
        raise SandboxNotStartedError(f"The local QuickBooks did not start. {said}")
    # A pipe that nobody reads would stop the server when it is full.
    for pipe in (process.stdout, process.stderr):
        threading.Thread(target=_drain, args=(pipe,), daemon=True).start()
    return line


def _drain(pipe: object) -> None:
    read = getattr(pipe, "read", None)
    while read is not None and read(65_536):
        pass


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
