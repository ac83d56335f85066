"""Kernels for runs: reachable through a private folder's sockets only, never over TCP where others could listen."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from jupyter_client.manager import AsyncKernelManager
from traitlets import default


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


def engine_options() -> dict[str, Any]:
    """What papermill's engine is told about kernels.

    ipykernel's graceful shutdown hangs 2.5 seconds in about one run of ten; nothing in a finished run's kernel is worth
    waiting for.
    """
    return {"kernel_manager_class": PrivateKernelManager, "shutdown_kernel": "immediate", "kernel_name": "python3"}
