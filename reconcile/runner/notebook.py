"""The executed notebook as an artifact: parameters checked before, the verdict on top afterwards, no secret inside."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbformat.v4 import new_code_cell, new_output

from reconcile.errors import ConfigurationError
from reconcile.evidence import redact, write_text
from reconcile.model.runs import Run
from reconcile.report import verdict as verdict_box

_PAPERMILL_MARKS = ("papermill-error-cell-tag",)
_TYPES = {"str": str, "bool": bool, "int": int, "float": float}


def check_parameters(notebook: Path, parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that the notebook does not declare, or whose type differs from its default.

    Raises:
        ConfigurationError: the notebook is missing or no notebook, or a parameter is unknown or of another type.
    """
    if not notebook.is_file():
        raise ConfigurationError(
            f"The notebook {notebook} is missing. It belongs to the product: restore it (git checkout -- notebooks) "
            "or say where notebooks are with RECONCILE_NOTEBOOKS."
        )
    try:
        declared = papermill.inspect_notebook(str(notebook))
    except Exception as error:
        raise ConfigurationError(f"{notebook} cannot be read as a notebook: {error}.") from error
    for name, value in parameters.items():
        if name not in declared:
            raise ConfigurationError(
                f"The notebook {notebook.name} has no parameter {name!r}. It knows: {', '.join(declared)}."
            )
        default = _default_type(declared[name].get("default", ""))
        if default is not None and type(value) is not default:
            raise ConfigurationError(
                f"The parameter {name!r} of {notebook.name} must be of type {default.__name__}, not {value!r}."
            )


def _default_type(source: str) -> type | None:
    if source in {"True", "False"}:
        return bool
    return str if source[:1] in {'"', "'"} else None


def publish(partial: Path, final: Path, run: Run, secrets: Iterable[str]) -> None:
    """Put the verdict on top of an executed notebook, take every secret out, and give it its final name.

    papermill's own error cells are removed: they name no reason, and after a time-out or a dead kernel there are none.

    Raises:
        OSError: it could not be saved; the partial notebook is still there.
    """
    if not partial.exists():
        return
    notebook = nbformat.read(partial, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if not set(_PAPERMILL_MARKS) & set(cell.metadata.get("tags", []))]
    notebook.cells.insert(0, _verdict_cell(run))
    write_text(final, redact(nbformat.writes(notebook), secrets))
    partial.unlink()


def _verdict_cell(run: Run) -> Any:
    box = verdict_box(run)
    cell = new_code_cell(source="", metadata={"tags": ["verdict"], "jupyter": {"source_hidden": True}})
    plain = f"{run.outcome.value.upper()}: {run.reason}"
    cell.outputs = [new_output("display_data", data={"text/html": box.html, "text/plain": html.escape(plain)})]
    return cell
