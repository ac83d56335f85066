"""The process that kernels are forked from: it has imported everything a run needs, and done nothing else.

It is started by :mod:`reconcile.runner.forking`, with two sockets that it inherits and the names of modules. Whoever
connects to the first socket and asks for a kernel is answered with its pid, may send signals for it, hears how it
ended, and takes it along by hanging up. When nobody holds the other end of the second any more, this process ends, and
with it every kernel. Messages are lines of JSON; with a request come the kernel's standard output and standard error.

A fork copies memory and one thread. Locks that other threads hold stay locked for ever in the copy, and what another
thread was half-way through stays half done: nothing is forked unless there is exactly one thread. A kernel also shares
what was opened before the fork, which is why no database, no connection and no file is open here.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import selectors
import shutil
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ipykernel_launcher
import numpy as np
import psutil
from ipykernel.kernelapp import IPKernelApp

REQUEST_SECONDS = 30
_AT_ONCE = 65536
_STREAMS = 2
_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>


class ForkRefusedError(Exception):
    """A fork now would make a kernel that may hang or share what it must not."""


@dataclass(frozen=True, slots=True)
class Request:
    """A kernel that is asked for.

    Attributes:
        arguments: command line of the kernel, after its program.
        environment: its environment variables, all of them.
        folder: its working directory.
        streams: its standard output and standard error.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    streams: Sequence[int]


def insist_on_one_thread() -> None:
    """Refuse to fork a process that has other threads than the one that forks.

    Raises:
        ForkRefusedError: there are more, also such as Python does not know of.
    """
    threads = psutil.Process().num_threads()
    if threads != 1:
        raise ForkRefusedError(
            f"The process that kernels are forked from has {threads} threads and must have one, because a kernel "
            "forked from it could hang: one of the modules that it imports starts a thread."
        )


def load(modules: Sequence[str], lifeline: socket.socket) -> None:
    """Import what runs need, and put it where neither fork nor collector touches it.

    The collector's generations are frozen: it would otherwise write to every object, so that the memory of kernels
    would be copied instead of shared.
    """
    for module in modules:
        if _hung_up(lifeline):
            sys.exit()
        importlib.import_module(module)
    gc.collect()
    gc.freeze()


def _hung_up(lifeline: socket.socket) -> bool:
    with contextlib.suppress(BlockingIOError):
        return not lifeline.recv(1, socket.MSG_DONTWAIT)
    return False


class Kernel:
    """A forked kernel, and the connection of the one who asked for it."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self.connection = connection
        self._received = b""

    def status(self) -> int | None:
        """How it ended, as ``waitpid`` says it; none while it lives."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return status if pid else None

    def obey(self) -> bool:
        """Pass on the signals that have come in; false when the one who asked for it has hung up."""
        try:
            received = self.connection.recv(_AT_ONCE)
        except OSError:
            received = b""
        *lines, self._received = (self._received + received).split(b"\n")
        for line in lines:
            self.signal(json.loads(line)["signal"])
        return bool(received)

    def signal(self, number: int) -> None:
        """Send a signal to its process group; it is not reaped yet, so the number is nobody else's."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it is ending at this moment
            os.killpg(self.pid, number)

    def kill(self) -> int:
        """End it now, and what it has started; how it ended, as ``waitpid`` says it."""
        self.signal(signal.SIGKILL)
        return os.waitpid(self.pid, 0)[1]


def tell(connection: socket.socket, **said: Any) -> None:
    """Say something to the one who asked; who does not listen any more need not hear it."""
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps(said).encode() + b"\n")


def receive(connection: socket.socket) -> Request:
    """What a connection asks for.

    Raises:
        OSError: the one who asks is gone, or said nothing.
        ValueError: what came is no whole request.
    """
    connection.settimeout(REQUEST_SECONDS)
    received, streams, _, _ = socket.recv_fds(connection, _AT_ONCE, _STREAMS)
    try:
        while not received.endswith(b"\n") and (more := connection.recv(_AT_ONCE)):
            received += more
        asked = json.loads(received)
        output, complaints = streams
        request = Request(asked["arguments"], asked["environment"], asked["folder"], (output, complaints))
    except (OSError, ValueError, KeyError, TypeError) as error:
        _close(streams)
        raise ValueError(f"what came is no request: {error!r}") from error
    connection.settimeout(None)
    return request


def _close(streams: Sequence[int]) -> None:
    for stream in streams:
        os.close(stream)


class ForkServer:
    """Forks kernels until nobody holds its lifeline.

    Args:
        listener: where kernels are asked for.
        lifeline: at its end when all who held its other end are gone.
        broken: why no kernel can be forked, or empty; whoever asks for one is told.
    """

    def __init__(self, listener: socket.socket, lifeline: socket.socket, broken: str = "") -> None:
        self._pid = os.getpid()
        self._broken = broken
        self._listener = listener
        self._lifeline = lifeline
        self._woken, self._wake = socket.socketpair()
        self._woken.setblocking(False)
        self._wake.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._kernels: dict[int, Kernel] = {}

    def serve(self) -> Request | None:
        """Serve until the lifeline ends or someone asks for the end; no kernel stays behind.

        Comes back in every kernel, too, there with what was asked for.
        """
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: None)  # a byte on the wake-up socket says which it was
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for watched in (self._listener, self._lifeline, self._woken):
            self._selector.register(watched, selectors.EVENT_READ)
        try:
            return self._serve()
        finally:
            if os.getpid() == self._pid:
                for kernel in list(self._kernels.values()):
                    self._over(kernel, kernel.kill())
                signal.set_wakeup_fd(-1)  # its socket goes with this server, and signals may still come

    def _serve(self) -> Request | None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._lifeline or (key.fileobj is self._woken and self._woken_to_end()):
                    return None
                if key.fileobj is self._listener:
                    request = self._fork()
                    if request is not None:
                        return request
                elif isinstance(key.data, Kernel) and key.data.pid in self._kernels and not key.data.obey():
                    self._over(key.data, key.data.kill())

    def _woken_to_end(self) -> bool:
        if signal.SIGTERM in self._woken.recv(_AT_ONCE):
            return True
        for kernel in list(self._kernels.values()):
            status = kernel.status()
            if status is not None:
                self._over(kernel, status)
        return False

    def _over(self, kernel: Kernel, status: int) -> None:
        self._selector.unregister(kernel.connection)
        del self._kernels[kernel.pid]
        tell(kernel.connection, exit=os.waitstatus_to_exitcode(status))
        kernel.connection.close()

    def _fork(self) -> Request | None:
        """Answer whoever is connecting; gives the request in the kernel that was asked for."""
        connection, _ = self._listener.accept()
        try:
            request = receive(connection)
        except (OSError, ValueError) as error:
            tell(connection, error=f"A kernel was asked for in a way that cannot be understood ({error}).")
            connection.close()
            return None
        begun, beginning = socket.socketpair()
        try:
            self._insist_on_a_sound_fork()
            pid = os.fork()
        except (OSError, ForkRefusedError) as error:
            tell(connection, error=str(error))
            _close(request.streams)
            for end in (connection, begun, beginning):
                end.close()
            return None
        if pid == 0:
            os.setsid()
            for end in (connection, begun, beginning):
                end.close()
            self._let_go()
            return request
        _close(request.streams)
        beginning.close()
        begun.recv(1)  # at its end when the kernel leads a process group of its own, or is gone
        begun.close()
        self._kernels[pid] = kernel = Kernel(pid, connection)
        self._selector.register(connection, selectors.EVENT_READ, kernel)
        tell(connection, pid=pid)
        return None

    def _insist_on_a_sound_fork(self) -> None:
        if self._broken:
            raise ForkRefusedError(self._broken)
        insist_on_one_thread()

    def _let_go(self) -> None:
        """In a kernel: be nothing of the server any more; a connection that stayed open here would not hang up."""
        _die_with(self._pid)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        self._selector.close()
        for kernel in self._kernels.values():
            kernel.connection.close()
        for own in (self._listener, self._lifeline, self._woken, self._wake):
            own.close()


def _die_with(server: int) -> None:
    """End this process at once when the server is killed. Where the system cannot, ipykernel looks once a second."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(1)


def begin(request: Request, server: int) -> None:
    """Take on what a process of its own begins with: streams, environment, folder, randomness."""
    nothing, writing = os.pipe()  # nobody types: it is at its end at once
    for place, stream in enumerate((nothing, *request.streams)):
        os.dup2(stream, place)
    _close((nothing, writing, *request.streams))
    os.environ.clear()
    os.environ.update(request.environment)
    os.environ["JPY_PARENT_PID"] = str(server)
    time.tzset()
    os.chdir(request.folder)
    np.random.seed()  # noqa: NPY002  whoever uses the old generator gets his own; random does so by itself


def run_kernel(arguments: Sequence[str], server: int) -> None:
    """Be an ipykernel until it is told to end.

    Its defaults were read from the environment of the server when it was imported; what matters is said again.
    """
    sys.argv = [ipykernel_launcher.__file__, *arguments]
    IPKernelApp.launch_instance(argv=[*arguments, f"--IPKernelApp.parent_handle={server}"])


def main() -> None:
    """Load, then fork on demand; a kernel comes back from that as itself."""
    listener, lifeline = (socket.socket(fileno=int(number)) for number in sys.argv[1:3])
    broken = ""
    try:
        load(sys.argv[3:], lifeline)
    except Exception as error:  # noqa: BLE001  whatever it is, it is told to everyone who asks for a kernel
        broken = f"What runs need cannot be imported ({type(error).__name__}: {error}). Is the installation complete?"
    server = os.getpid()
    request = ForkServer(listener, lifeline, broken).serve()
    if request is None:
        shutil.rmtree(Path(listener.getsockname()).parent, ignore_errors=True)  # its owner may be dead
        return
    begin(request, server)
    run_kernel(request.arguments, server)
