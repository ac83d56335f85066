"""Asking for kernels that are forked from a process which has imported everything a run needs.

Importing takes seconds, a fork milliseconds. The process (:mod:`reconcile.runner.forkserver`) is started once, when the
first kernel is asked for or when :func:`fork_server` says that one will be; it imports while its owner goes on. This
module needs nothing that takes time to import.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from reconcile.errors import ReconcileError

ENVIRONMENT: Mapping[str, str] = {"GX_ANALYTICS_ENABLED": "false", "MPLBACKEND": "agg"}
"""Environment variables that every kernel of a run has."""
MODULES = (
    "reconcile.session",
    "reconcile.report",
    "great_expectations",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "PIL.PngImagePlugin",
    "pandas.core.arrays.arrow.extension_types",
    "pandas.core.methods.to_dict",
    "pyarrow.parquet",
)
"""What runs import, sooner or later."""
START_SECONDS = 120
_END_SECONDS = 10
_AT_ONCE = 65536
_ONE_THREAD: Mapping[str, str] = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Keeps numpy and pyarrow from starting threads when they are imported: a process that forks must have one."""
_READ_ONCE = ("PYTHON", "LD_", "DYLD_", "LC_", "OMP_", "OPENBLAS_", "ARROW_", "JE_", "MALLOC_", "NUMPY_", "NPY_", "MPL")
_READ_ONCE_TOO = frozenset({"LANG", "LANGUAGE", "HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "GX_ANALYTICS_ENABLED"})
_PROGRAM = "import sys; sys.path[:] = filter(None, sys.path); from reconcile.runner.forkserver import main; main()"
"""As ipykernel's launcher does: the folder one happens to be in is no place to import the product from."""


class KernelStartError(ReconcileError):
    """A kernel could not be forked; the message says why."""


class ForkServer:
    """The process that kernels are forked from. It lives as long as its owner, or until it is closed.

    Args:
        environment: environment variables that it starts with.
        modules: names of what it imports.

    Raises:
        KernelStartError: it could not be started.
    """

    def __init__(self, environment: Mapping[str, str], modules: Sequence[str]) -> None:
        self._owner = os.getpid()
        self._folder = Path(tempfile.mkdtemp(prefix="kernels-"))  # only this user can open it
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self._folder / "s"))
        listener.listen(128)
        self._lifeline, theirs = socket.socketpair()
        handed = (listener.fileno(), theirs.fileno())
        try:
            self._process = subprocess.Popen(  # noqa: S603  our own program
                [sys.executable, "-c", _PROGRAM, *map(str, handed), *modules],
                env={**environment, **_ONE_THREAD},
                stdin=subprocess.DEVNULL,
                stdout=_stderr(),
                pass_fds=handed,
                start_new_session=True,  # Ctrl-C is for its owner, who then ends it
            )
        except OSError as error:
            self._lifeline.close()
            shutil.rmtree(self._folder)
            raise KernelStartError(
                f"The process that kernels are forked from could not be started: {error.strerror}."
            ) from error
        finally:
            listener.close()
            theirs.close()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether kernels can be asked for, also by a process that its owner has forked."""
        with socket.socket(socket.AF_UNIX) as connection:
            return connection.connect_ex(str(self._folder / "s")) == 0

    def ask(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: str, streams: Sequence[int]
    ) -> ForkedKernel:
        """Ask for a kernel; it is there when its pid has come.

        Args:
            arguments: command line of the kernel, after its program.
            environment: its environment variables, all of them.
            folder: its working directory.
            streams: its standard output and standard error.

        Raises:
            KernelStartError: the process that forks is gone.
        """
        asked = {"arguments": list(arguments), "environment": dict(environment), "folder": folder}
        message = json.dumps(asked).encode() + b"\n"
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(self._folder / "s"))
            sent = socket.send_fds(connection, [message], list(streams))
            connection.sendall(message[sent:])
        except OSError as error:
            connection.close()
            raise KernelStartError(
                f"The process that kernels are forked from is gone ({error.strerror}; often: out of memory). Start the "
                "run again."
            ) from error
        return ForkedKernel(connection)

    def close(self) -> None:
        """End the process, and with it every kernel; a process forked from the owner only lets go of it."""
        self._lifeline.close()
        if os.getpid() != self._owner:
            return
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


class ForkedKernel:
    """A kernel's process, seen from the one who asked for it: what ``subprocess.Popen`` is for a child of one's own.

    Attributes:
        pid: its process id, and its process group's; 0 until it is there.
        returncode: how it ended: exit code, or signal, negative; none before.
    """

    stdin = stdout = stderr = None

    def __init__(self, connection: socket.socket) -> None:
        self.pid = 0
        self.returncode: int | None = None
        self._connection = connection
        self._connection.setblocking(False)
        self._received = b""
        self._error = ""

    @property
    def started(self) -> bool:
        """Whether it is there.

        Raises:
            KernelStartError: it never will be.
        """
        self.poll()
        if self._error or not (self.pid or self.returncode is None):
            raise KernelStartError(
                self._error
                or "The process that kernels are forked from ended before it could fork one; often: out of memory. "
                "What it wrote last, if anything, is above."
            )
        return bool(self.pid)

    def poll(self) -> int | None:
        """How it ended; none while it lives."""
        while self.returncode is None:
            try:
                received = self._connection.recv(_AT_ONCE)
            except BlockingIOError:
                break
            except OSError:
                received = b""
            if not received:  # the process that forks is killed, and the kernel with it
                self._end(-9)
                break
            *lines, self._received = (self._received + received).split(b"\n")
            for line in lines:
                self._hear(json.loads(line))
        return self.returncode

    def _hear(self, said: Mapping[str, str | int]) -> None:
        self.pid = int(said.get("pid", self.pid))
        self._error = str(said.get("error", self._error))
        if "exit" in said or self._error:
            self._end(int(said.get("exit", 1)))

    def _end(self, code: int) -> None:
        self.returncode = code
        self._connection.close()

    def wait(self) -> int:
        """How it ended, which is known already: ``poll`` has said so."""
        code = self.poll()
        if code is None:
            raise RuntimeError("The kernel has not ended.")
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal to it and to what it has started; nothing when it has ended."""
        if self.poll() is None:
            with suppress(OSError):  # it ends at this moment, which the next look finds
                self._connection.sendall(json.dumps({"signal": number}).encode() + b"\n")

    def hang_up(self) -> None:
        """Let go of it; it ends if it has not."""
        self._end(-9 if self.returncode is None else self.returncode)


_servers: dict[frozenset[tuple[str, str]], ForkServer] = {}
_lock = Lock()


def fork_server() -> ForkServer:
    """The process that kernels of this environment are forked from; starts one unless one is there.

    A kernel has the environment variables of its own run, but some are read once, by the interpreter when it starts or
    by a library when it is imported: where these differ, the kernel comes from another process.
    """
    environment = {**os.environ, **ENVIRONMENT}
    kind = frozenset(
        (name, value) for name, value in environment.items() if name.startswith(_READ_ONCE) or name in _READ_ONCE_TOO
    )
    with _lock:
        server = _servers.get(kind)
        if server is not None and not server.alive:
            server.close()
            server = None
        if server is None:
            if not _servers:
                atexit.register(close_fork_servers)
            server = _servers[kind] = ForkServer(environment, MODULES)
        return server


def close_fork_servers() -> None:
    """End every process that kernels are forked from."""
    with _lock:
        while _servers:
            _servers.popitem()[1].close()


@contextmanager
def streams() -> Iterator[tuple[int, int]]:
    """This process's standard output and standard error for a kernel, or nothing where they are closed."""
    with Path(os.devnull).open("wb") as nothing:
        yield tuple(number if _is_open(number) else nothing.fileno() for number in (1, 2))  # type: ignore[misc]


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _stderr() -> int:
    return 2 if _is_open(2) else subprocess.DEVNULL
