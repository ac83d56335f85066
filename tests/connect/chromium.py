"""A real browser without a window, driven over its DevTools protocol."""

from __future__ import annotations

import base64
import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import requests
import websocket

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--window-size=900,700",
)
_PATIENCE = 60.0


def as_default_browser(root: Path) -> tuple[str, Path]:
    """A value of ``BROWSER`` by which Python's ``webbrowser`` opens this one, and the profile it will have."""
    profile, start = root / "profile", root / "browser"
    start.write_text(
        f"#!{sys.executable}\n"
        "import os, sys\n"
        f"command = [{PROGRAM!r}, *{SWITCHES!r}, '--user-data-dir={profile}', sys.argv[1]]\n"
        f"os.environ['HOME'] = {str(root)!r}\n"
        "sink = os.open(os.devnull, os.O_RDWR)\n"
        "for stream in (0, 1, 2):\n"
        "    os.dup2(sink, stream)\n"
        "os.execv(command[0], command)\n"
    )
    start.chmod(0o700)
    return f"{start} %s &", profile


@dataclass
class Page:
    """The page that the browser shows."""

    _socket: Any
    _numbers: Iterator[int]

    def __call__(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            said = json.loads(self._socket.recv())
            if said.get("id") == number:
                assert "error" not in said, said
                result: dict[str, Any] = said["result"]
                return result

    def ask(self, expression: str) -> Any:
        """The value of an expression in the page."""
        return self("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """The value of an expression as soon as there is one."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            value = self.ask(expression)
            if value:
                return value
            time.sleep(0.1)
        raise AssertionError(f"{expression} never came true; the page says: {self.ask('document.body.innerText')}")

    def press(self, selector: str) -> None:
        """Press a button with the mouse, where a person would."""
        found = f"document.querySelector({json.dumps(selector)})"
        box = self.wait_for(
            f"{found} && (b => [b.x + b.width / 2, b.y + b.height / 2])({found}.getBoundingClientRect())"
        )
        place = {"x": box[0], "y": box[1], "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self("Input.dispatchMouseEvent", type=kind, **place)

    def picture(self) -> bytes:
        """What it looks like, PNG."""
        return base64.b64decode(self("Page.captureScreenshot", format="png")["data"])


@contextmanager
def page(profile: Path) -> Iterator[Page]:
    """The page of a browser that somebody has started; it is closed afterwards."""
    end = time.monotonic() + _PATIENCE
    told = profile / "DevToolsActivePort"
    while not (told.exists() and told.read_text().count("\n")):
        assert time.monotonic() < end, "the browser did not start"
        time.sleep(0.1)
    address = f"http://127.0.0.1:{told.read_text().splitlines()[0]}/json"
    while not (shown := [one for one in requests.get(address, timeout=10).json() if one["type"] == "page"]):
        assert time.monotonic() < end, "the browser shows nothing"
        time.sleep(0.1)
    socket = websocket.create_connection(shown[0]["webSocketDebuggerUrl"], timeout=_PATIENCE, suppress_origin=True)
    opened = Page(socket, count(1))
    try:
        yield opened
    finally:
        opened("Browser.close")
        socket.close()
