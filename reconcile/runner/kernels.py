"""Kernels for runs: forked where everything is imported already, and reachable through a private folder's sockets only.

Sockets in a folder that only this user can open, never TCP where others could listen. papermill, nbclient and
jupyter_client's manager are as they come; the process is provided through jupyter_client's own extension point.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any
from uuid import uuid4

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import default

from reconcile.runner.forking import START_SECONDS, ForkedKernel, KernelStartError, fork_server, streams

_LAUNCHER = "ipykernel_launcher"
_LOOK_SECONDS = 0.01


class ForkedKernelProvisioner(LocalProvisioner):
    """Gives a kernel a process forked from one that has imported everything; it does not outlive its caller."""

    process: ForkedKernel | None  # type: ignore[assignment]  # it is to its user what a Popen is

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork a kernel.

        Raises:
            KernelStartError: that was not possible; the message says why.
        """
        if _LAUNCHER not in cmd:
            raise KernelStartError(
                f"The Jupyter kernel of this name starts no ipykernel, which runs need, but: {' '.join(cmd)}. "
                "See `jupyter kernelspec list`, and remove the one that stands in its place."
            )
        arguments = cmd[cmd.index(_LAUNCHER) + 1 :]
        with streams() as given:
            kernel = fork_server().ask(arguments, kwargs["env"], str(kwargs.get("cwd") or Path.cwd()), given)
        try:
            async with asyncio.timeout(START_SECONDS):
                while not kernel.started:  # noqa: ASYNC110  another process says it, no task of this one
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError as error:
            raise KernelStartError(
                f"No kernel was forked within {START_SECONDS} seconds. If this machine is busy, try again later."
            ) from error
        finally:
            if not kernel.pid:
                kernel.hang_up()
        self.process, self.pid, self.cwd = kernel, kernel.pid, kwargs.get("cwd")
        return self.connection_info


class PrivateKernelManager(AsyncKernelManager):
    """Starts a kernel that talks over sockets in a folder only this user can open."""

    @default("transport")
    def _private_transport(self) -> str:
        return "ipc"

    @default("connection_file")
    def _private_connection_file(self) -> str:
        """A short path of its own: a socket's path may not be longer than about a hundred characters."""
        return str(Path(tempfile.mkdtemp(prefix="kernel-")) / "k.json")

    def cleanup_connection_file(self) -> None:
        """Remove the folder with everything in it."""
        super().cleanup_connection_file()
        shutil.rmtree(Path(self.connection_file).parent, ignore_errors=True)

    def cleanup_ipc_files(self) -> None:
        """The sockets are in the folder that is removed as a whole."""


class ForkedKernelManager(PrivateKernelManager):
    """Starts such a kernel in a forked process."""

    async def start_kernel(self, **kwargs: Any) -> None:  # type: ignore[override]  # its own is made async by a wrapper
        """Start it."""
        if self.provisioner is None:
            self.kernel_id = self.kernel_id or str(uuid4())
            self.provisioner = ForkedKernelProvisioner(
                kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self
            )
        await super().start_kernel(**kwargs)

    async def shutdown_kernel(  # type: ignore[override]  # the same
        self,
        now: bool = False,  # noqa: FBT001, FBT002  as in what it overrides
        restart: bool = False,  # noqa: FBT001, FBT002  the same
    ) -> None:
        """End it. At once means at once: to be interrupted first would only make it complain on standard error."""
        if now and self.provisioner is not None and self.provisioner.has_process:
            await self.provisioner.kill(restart=restart)
            await self.provisioner.wait()
        await super().shutdown_kernel(now=now, restart=restart)


def engine_options() -> dict[str, Any]:
    """What papermill's engine is told about kernels.

    ipykernel's graceful shutdown hangs 2.5 seconds in about one run of ten; nothing in a finished run's kernel is worth
    waiting for.
    """
    return {"kernel_manager_class": ForkedKernelManager, "shutdown_kernel": "immediate", "kernel_name": "python3"}
