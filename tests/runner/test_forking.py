"""Kernels are forked: each is as if it had been started afresh, and none outlives the one who asked for it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.asynchronous import AsyncKernelClient

from reconcile.model.runs import Outcome
from reconcile.runner import forking
from reconcile.runner.forking import ForkServer, KernelStartError, fork_server
from reconcile.runner.forkserver import ForkRefusedError, insist_on_one_thread
from reconcile.runner.kernels import ForkedKernelManager, PrivateKernelManager
from tests.runner.conftest import COMPANY, OPENED, PIDS, STEP_DONE, Bench, gone, pids_in

PATIENCE = 20
NO_HISTORY = "--HistoryManager.hist_file=:memory:"

LOOK = """\
import gc, json, os, random, resource, signal, socket, sys, threading, time, warnings
import numpy

def kind(number):
    target = os.readlink(f"/proc/self/fd/{number}")
    return target.split(":")[0] if ":" in target else target

print(json.dumps({
    "leads its session": os.getsid(0) == os.getpid() == os.getpgid(0),
    "folder": os.getcwd(),
    "environment": dict(os.environ) | {"JPY_PARENT_PID": ""},
    "parent": int(os.environ["JPY_PARENT_PID"]) == os.getppid(),
    "arguments": sys.argv[:2],
    "path": sys.path,
    "flags": str(sys.flags),
    "main": (__name__, sys.modules["__main__"].__dict__ is globals()),
    "signals": {number.name: str(signal.getsignal(number)).split(" at ")[0] for number in signal.valid_signals()
                if isinstance(number, signal.Signals)},
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "streams": [kind(number) for number in range(3)],
    "descriptors": sorted(filter(None, (kind(number) for number in os.listdir("/proc/self/fd")
                                        if os.path.exists(f"/proc/self/fd/{number}")))),
    "typed": sys.__stdin__.read(),
    "threads": sorted(thread.name.split("-")[0] for thread in threading.enumerate()),
    "limits": [resource.getrlimit(limit) for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)],
    "mask": os.umask(0o22),
    "priority": os.getpriority(os.PRIO_PROCESS, 0),
    "zone": time.tzname,
    "collector": gc.isenabled(),
    "encodings": [sys.getfilesystemencoding(), sys.__stdout__.encoding],
    "warnings": warnings.filters[0][0],
}))
"""
"""What a process may ask about itself."""

DRAW = (
    "import os, random, secrets, uuid, numpy\nprint([random.random(), numpy.random.rand(), numpy.random.default_rng()"
)
DRAW += ".random(), os.urandom(8).hex(), str(uuid.uuid4()), str(uuid.uuid1()), secrets.token_hex(8)])"


async def said(client: AsyncKernelClient, code: str) -> str:
    """What a cell prints, or the name of its error."""
    printed: list[str] = []

    def hear(message: Mapping[str, Any]) -> None:
        content = message["content"]
        printed.append(content.get("text", "") + content.get("ename", ""))

    await client.execute_interactive(code, output_hook=hear, timeout=PATIENCE)
    return "".join(printed)


def with_kernel(
    manager_class: type[PrivateKernelManager],
    story: Callable[[PrivateKernelManager, AsyncKernelClient], Any],
    **options: Any,
) -> Any:
    """Start a kernel, live through a story with it, and end it; gives what the story gives."""

    async def live() -> Any:
        manager = manager_class()
        await manager.start_kernel(**options)
        client = manager.client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=PATIENCE)
            return await story(manager, client)
        finally:
            client.stop_channels()
            await manager.shutdown_kernel(now=True)

    return asyncio.run(live())


def printed(code: str, manager_class: type[PrivateKernelManager] = ForkedKernelManager, **options: Any) -> str:
    """What a cell prints in a kernel of its own."""

    async def story(_manager: PrivateKernelManager, client: AsyncKernelClient) -> str:
        return await said(client, code)

    text: str = with_kernel(manager_class, story, **options)
    return text


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


@pytest.fixture
def own_servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Fork servers of the test's own, which import nothing unless the test says so."""
    monkeypatch.setattr(forking, "_servers", {})
    monkeypatch.setattr(forking, "MODULES", ())
    yield monkeypatch
    forking.close_fork_servers()


# ---------------------------------------------------------------- as if started afresh


def test_a_forked_kernel_sees_what_a_stock_kernel_sees(tmp_path: Path) -> None:
    forked, stock = (
        json.loads(printed(LOOK, manager_class, cwd=str(tmp_path), extra_arguments=[NO_HISTORY]))
        for manager_class in (ForkedKernelManager, PrivateKernelManager)
    )
    assert forked == stock


def test_a_kernel_gets_the_variables_of_its_own_run_and_no_other(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tell = "import os\nopen('seen', 'w').write(' '.join(sorted(n for n in os.environ if n.startswith('SEEN'))))"
    for names in (["SEEN_ONE", "SEEN_TWO"], ["SEEN_TWO"], []):
        with monkeypatch.context() as patch:
            for name in names:
                patch.setenv(name, "x")
            bench.run(tell)
        assert (bench.root / "seen").read_text(encoding="utf-8").split() == names


def test_nothing_that_a_run_changes_is_seen_by_the_next(bench: Bench) -> None:
    change = "import os\nimport reconcile.report\nreconcile.report.changed = 1\nos.environ['CHANGED'] = '1'\nleft = 1"
    look = (
        "import os, reconcile.report\n"
        "seen = hasattr(reconcile.report, 'changed'), 'CHANGED' in os.environ, 'left' in globals()\n"
        "open('seen', 'w').write(str(seen))"
    )
    bench.run(change)
    bench.run(look)
    assert (bench.root / "seen").read_text(encoding="utf-8") == "(False, False, False)"


def test_no_two_kernels_draw_the_same_numbers() -> None:
    first, second = (json.loads(printed(DRAW).replace("'", '"')) for _ in range(2))
    assert len({*first, *second}) == 14


def test_a_variable_that_is_read_once_gives_a_kernel_of_another_process(own_servers: pytest.MonkeyPatch) -> None:
    look = "import sys\nprint(sys.flags.utf8_mode)"
    assert printed(look).strip() == "0"
    own_servers.setenv("PYTHONUTF8", "1")
    assert printed(look).strip() == "1"


def test_a_kernel_that_cannot_begin_says_why_where_its_caller_writes(tmp_path: Path) -> None:
    with (tmp_path / "said").open("wb") as output, (tmp_path / "complained").open("wb") as complaints:
        streams = (output.fileno(), complaints.fileno())
        kernel = fork_server().ask(["-f", "k.json"], dict(os.environ), str(tmp_path / "nowhere"), streams)
    wait_for(lambda: kernel.poll() is not None)
    assert kernel.returncode == 1
    assert (tmp_path / "complained").read_text(encoding="utf-8").endswith(f"directory: '{tmp_path / 'nowhere'}'\n")


# ---------------------------------------------------------------- what becomes of it


def test_a_kernel_is_interrupted_and_goes_on(tmp_path: Path) -> None:
    async def story(manager: PrivateKernelManager, client: AsyncKernelClient) -> tuple[str, str]:
        asleep = asyncio.create_task(said(client, "import time\nkept = open('asleep', 'w')\ntime.sleep(600)"))
        while not (tmp_path / "asleep").exists():  # noqa: ASYNC110  another process makes it
            await asyncio.sleep(0.02)
        await manager.interrupt_kernel()
        return await asleep, await said(client, "print(kept.name)")

    assert with_kernel(ForkedKernelManager, story, cwd=str(tmp_path)) == ("KeyboardInterrupt", "asleep\n")


def test_a_kernel_is_restarted() -> None:
    async def story(manager: PrivateKernelManager, client: AsyncKernelClient) -> tuple[str, str, str]:
        before = await said(client, "left = 1\nimport os\nprint(os.getpid())")
        await manager.restart_kernel(now=True)
        await client.wait_for_ready(timeout=PATIENCE)
        return before, await said(client, "import os\nprint(os.getpid())"), await said(client, "left")

    before, after, left = with_kernel(ForkedKernelManager, story)
    assert gone(int(before))
    assert after != before
    assert left == "NameError"


@pytest.mark.parametrize(("end", "code"), [("os._exit(7)", 7), ("os.kill(os.getpid(), 9)", -9)])
def test_how_a_kernel_ended_is_known(end: str, code: int) -> None:
    async def story(manager: PrivateKernelManager, client: AsyncKernelClient) -> int | None:
        client.execute(f"import os\n{end}")
        while await manager.is_alive():  # noqa: ASYNC110  it is asked, it does not tell
            await asyncio.sleep(0.02)
        assert manager.provisioner is not None
        return await manager.provisioner.poll()

    assert with_kernel(ForkedKernelManager, story) == code


def test_a_run_whose_kernel_is_killed_says_so(bench: Bench) -> None:
    done = bench.run(OPENED, STEP_DONE, "import os\nos.kill(os.getpid(), 9)", "print('never')")
    assert done.outcome is Outcome.STEP_FAILED
    assert "kernel died" in done.reason


def test_a_kernel_and_what_it_started_end_with_its_run(bench: Bench) -> None:
    started = "import subprocess\nother = subprocess.Popen(['sleep', '600'])\nopen('other', 'w').write(str(other.pid))"
    bench.run(PIDS, started, "import time\ntime.sleep(600)", cell_seconds=1)
    other = int((bench.root / "other").read_text(encoding="utf-8"))
    wait_for(lambda: gone(pids_in(bench)[0]))
    wait_for(lambda: gone(other))


def test_neither_kernel_nor_fork_server_outlives_a_runner_that_is_killed(bench: Bench) -> None:
    bench.notebook(PIDS, "import time\ntime.sleep(600)")
    quick = "from reconcile.runner import forking; forking.MODULES = (); from reconcile.cli import main; main()"
    runner = subprocess.Popen(
        [sys.executable, "-c", quick, "run", COMPANY],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=bench.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for((bench.root / "pids").exists)
        kernel, server = pids_in(bench)
        assert not gone(kernel)
        assert not gone(server)
        [listener] = {one.laddr for one in psutil.Process(server).net_connections("unix") if one.laddr}
    finally:
        runner.kill()
        runner.wait(PATIENCE)
    wait_for(lambda: gone(kernel))
    wait_for(lambda: gone(server))
    assert not Path(listener).parent.exists()


def test_a_run_whose_fork_server_is_killed_says_so_and_the_next_has_another(
    bench: Bench, own_servers: pytest.MonkeyPatch
) -> None:
    done = bench.run(OPENED, STEP_DONE, PIDS, f"os.kill(os.getppid(), {signal.SIGKILL})\nimport time\ntime.sleep(600)")
    assert done.outcome is Outcome.STEP_FAILED
    assert "kernel died" in done.reason
    wait_for(lambda: gone(pids_in(bench)[0]))
    bench.run("open('next', 'w').close()")
    assert (bench.root / "next").exists()


def test_a_kernel_ends_when_the_one_who_asked_for_it_hangs_up() -> None:
    folder = str(Path.cwd())
    kernel = fork_server().ask(["-c", "import time; time.sleep(600)"], dict(os.environ), folder, (1, 2))
    wait_for(lambda: kernel.started)
    kernel.hang_up()
    wait_for(lambda: gone(kernel.pid))


def test_a_kernel_that_cannot_look_for_itself_ends_with_its_fork_server(own_servers: pytest.MonkeyPatch) -> None:
    """A kernel that lets no other thread of it run, as in the middle of a computation; here it is stopped."""

    async def story(_manager: PrivateKernelManager, client: AsyncKernelClient) -> int:
        pid = int(await said(client, "import os\nprint(os.getpid())"))
        os.kill(pid, signal.SIGSTOP)
        os.kill(fork_server().pid, signal.SIGKILL)
        wait_for(lambda: gone(pid))
        return pid

    assert with_kernel(ForkedKernelManager, story)


def test_a_kernel_that_is_ended_at_once_is_not_interrupted_first(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []
    send = forking.ForkedKernel.send_signal

    def noted(kernel: forking.ForkedKernel, number: int) -> None:
        sent.append(number)
        send(kernel, number)

    monkeypatch.setattr(forking.ForkedKernel, "send_signal", noted)
    printed("1")
    assert sent == [signal.SIGKILL]


# ---------------------------------------------------------------- what may be forked


def test_the_fork_server_has_one_thread_and_nothing_open_but_its_own() -> None:
    printed("import pandas")
    server = psutil.Process(fork_server().pid)
    assert server.num_threads() == 1
    assert [file.path for file in server.open_files()] == []
    wait_for(lambda: len(server.net_connections("unix")) == 4)  # where it is asked, its lifeline, its alarm's two ends
    assert not server.net_connections("inet")


def test_a_process_with_another_thread_is_not_forked(bench: Bench, own_servers: pytest.MonkeyPatch) -> None:
    (bench.root / "threaded.py").write_text(
        "from threading import Event, Thread\nThread(target=Event().wait, daemon=True).start()", encoding="utf-8"
    )
    own_servers.setenv("PYTHONPATH", str(bench.root))
    own_servers.setattr(forking, "MODULES", ("threaded",))
    done = bench.run(OPENED)
    assert done.outcome is Outcome.STOPPED
    assert "has 2 threads and must have one" in done.reason
    assert fork_server().alive


def test_threads_that_python_does_not_know_of_count_too() -> None:
    alone = "from reconcile.runner.forkserver import insist_on_one_thread as insist\ninsist()\n"
    numpys = {"OPENBLAS_NUM_THREADS": "2"}
    quiet = {"OPENBLAS_NUM_THREADS": "1"}
    counted = "import threading\nassert threading.active_count() == 1\n" + alone
    done = [
        subprocess.run(
            [sys.executable, "-c", counted], env=os.environ | how, capture_output=True, check=False, text=True
        )
        for how in (quiet, numpys)
    ]
    assert done[0].returncode == 0, done[0].stderr
    assert ForkRefusedError.__name__ in done[1].stderr
    assert insist_on_one_thread.__name__ in done[1].stderr


def test_a_fork_server_that_cannot_import_what_runs_need_says_so(bench: Bench, own_servers: pytest.MonkeyPatch) -> None:
    own_servers.setattr(forking, "MODULES", ("reconcile.nowhere",))
    done = bench.run(OPENED)
    assert done.outcome is Outcome.STOPPED
    assert "No module named 'reconcile.nowhere'" in done.reason


def test_a_fork_server_that_is_killed_while_it_imports_is_told(own_servers: pytest.MonkeyPatch) -> None:
    server = ForkServer(os.environ, ("pandas",))
    kernel = server.ask([], dict(os.environ), "/", (1, 2))
    os.kill(server.pid, signal.SIGKILL)

    def refused() -> bool:
        try:
            return kernel.started
        except KernelStartError as error:
            return "ended before it could fork one" in str(error)

    wait_for(refused)
    server.close()


def test_a_signal_that_comes_when_a_fork_server_has_ended_finds_nothing_closed() -> None:
    """What a process writes to its standard error then would be taken for what a run has to say."""
    ending = (
        "import os, signal, socket\n"
        "from reconcile.runner.forkserver import ForkServer\n"
        "listener, (lifeline, held) = socket.create_server(('127.0.0.1', 0)), socket.socketpair()\n"
        "held.close()\n"
        "assert ForkServer(listener, lifeline).serve() is None\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    done = subprocess.run([sys.executable, "-c", ending], capture_output=True, check=False, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("asked", [b"nonsense\n", b"{}\n", b"[]\n", b"", b'{"arguments": [], "environment": {}'])
def test_who_asks_in_another_way_is_told_and_the_server_goes_on(asked: bytes) -> None:
    server = fork_server()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(server._folder / "s"))
        connection.sendall(asked)
        connection.shutdown(socket.SHUT_WR)
        assert "cannot be understood" in json.loads(connection.recv(4096))["error"]
    assert server.alive
    kernel = server.ask(["--version"], dict(os.environ), "/", (1, 2))
    wait_for(lambda: kernel.poll() == 0)
