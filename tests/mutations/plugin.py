"""A pytest plugin (``-p tests.mutations.plugin``): switches off the safety that the environment names."""

from __future__ import annotations

import os

from tests.mutations.mutations import VARIABLE, applied


def pytest_configure() -> None:
    """Before any test module is imported."""
    applied(os.environ.get(VARIABLE, ""))
