"""The command line as a person uses it: a process of its own, in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextvars import Context
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, NoReturn

import pytest

import reconcile.runner.execute  # imported once here, not in every command, as are the next two
import reconcile.sandbox.billing.command
import reconcile.sandbox.quickbooks.command  # noqa: F401
from reconcile.cli import main
from reconcile.runner.forking import fork_server

COMPANY = "craigs"
_OURS = ("RECONCILE_", "OAUTHLIB_")


@dataclass
class Terminal:
    """A folder in which someone types commands."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Give a command; its process is a fork of this one, so that nobody waits for imports."""
        with TemporaryFile("w+") as given, TemporaryFile("w+") as said, TemporaryFile("w+") as complained:
            given.write(typed)
            given.seek(0)
            child = os.fork()
            if child == 0:
                self._become(arguments, given, said, complained)
            _, status = os.waitpid(child, 0)
            said.seek(0)
            complained.seek(0)
            return subprocess.CompletedProcess(
                arguments, os.waitstatus_to_exitcode(status), said.read(), complained.read()
            )

    def _become(self, arguments: tuple[str, ...], *streams: IO[str]) -> NoReturn:
        code: object = 1
        try:
            for number, stream in enumerate(streams):
                os.dup2(stream.fileno(), number)
            sys.stdin, sys.stdout, sys.stderr = (
                open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115  a descriptor, kept open
                for number, mode in enumerate("rww")
            )
            os.chdir(self.root)
            environment = self._environment()
            os.environ.clear()
            os.environ.update(environment)
            sys.argv = ["reconcile", *arguments]
            Context().run(main)  # an event loop of this process must not be used by two
        except SystemExit as end:
            code = end.code
        except BaseException:  # noqa: BLE001  whatever it is, it is printed and this process ends here
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code if isinstance(code, int) else 0)

    def fresh(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Give a command in a process with nothing of this one."""
        return subprocess.run(
            [sys.executable, "-m", "reconcile", *arguments],
            cwd=self.root,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command that stays."""
        return subprocess.Popen(
            [sys.executable, "-m", "reconcile", *arguments],
            cwd=self.root,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        return inherited | {"COLUMNS": "400"} | self.environment

    def settings(self, text: str) -> None:
        """Write ``reconcile.toml``."""
        (self.root / "reconcile.toml").write_text(text, encoding="utf-8")


@dataclass
class Company:
    """A terminal in a folder with one company: a QuickBooks and a ReliaBills of the sandbox, both made by command."""

    terminal: Terminal
    quickbooks: Mapping[str, str]

    def configure(self, **changes: str) -> None:
        """Write ``reconcile.toml``, with other addresses than the right ones where wanted."""
        addresses = {"state": "sqlite:///state.db", "billing": "sqlite:///billing.db", **self.quickbooks, **changes}
        self.terminal.settings(
            f"""
state = "{addresses["state"]}"

[companies.{COMPANY}]
name = "Craig's Design and Landscaping Services"

[companies.{COMPANY}.books]
base_url = "{addresses["base_url"]}"
discovery_url = "{addresses["discovery_url"]}"
realm_id = "{addresses["realm_id"]}"
calls_per_second = 500
batches_per_minute = 20000

[companies.{COMPANY}.billing]
url = "{addresses["billing"]}"
"""
        )

    def credentials(self, **changes: str) -> None:
        """Store credentials, with others than the right ones where wanted."""
        names = ("client_id", "client_secret", "access_token", "refresh_token")
        typed = json.dumps({name: self.quickbooks[name] for name in names} | changes)
        stored = self.terminal("credentials", COMPANY, typed=typed)
        assert stored.returncode == 0, stored.stderr

    def last_run(self) -> Mapping[str, Any]:
        """The ``run.json`` of the newest run."""
        newest = max((self.terminal.root / "runs").rglob("run.json"), key=lambda path: path.stat().st_mtime_ns)
        content: Mapping[str, Any] = json.loads(newest.read_text(encoding="utf-8"))
        return content


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """An empty folder."""
    return Terminal(tmp_path)


@pytest.fixture(scope="session")
def kernels() -> None:
    """The process that kernels are forked from, started here: commands, being forks of this process, share it."""
    fork_server()


@pytest.fixture(scope="module")
def company(kernels: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """A company set up by commands only, as a new user would; an empty one."""
    terminal = Terminal(tmp_path_factory.mktemp("company"), {"OAUTHLIB_INSECURE_TRANSPORT": "1"})
    serving = terminal.start("sandbox", "quickbooks", "--sample", "empty", "--admin")
    assert serving.stdout is not None
    quickbooks = json.loads(serving.stdout.readline())
    made = Company(terminal, quickbooks)
    made.configure()
    for command in (["sandbox", "billing", "billing.db", "--sample", "empty"], ["key"], ["migrate"]):
        done = terminal(*command)
        assert done.returncode == 0, done.stderr
    made.credentials()
    yield made
    serving.send_signal(signal.SIGTERM)
    said, complained = serving.communicate(timeout=30)
    assert (serving.returncode, said, complained) == (0, "", "")


def complains(done: subprocess.CompletedProcess[str], *words: str, code: int = 3) -> None:
    """One line on standard error that has these words, the exit code, and nothing else."""
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.rstrip().endswith((".", ")")), done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
