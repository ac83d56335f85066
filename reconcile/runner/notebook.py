"""The executed notebook as an artifact: parameters checked before, the verdict on top afterwards, no secret inside."""

from __future__ import annotations

import ast
import html
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbformat.v4 import new_code_cell, new_output

from reconcile.errors import ConfigurationError
from reconcile.evidence import RunFolder, redact, redacted, write_text
from reconcile.model.runs import Run
from reconcile.report import verdict as verdict_box

_PAPERMILL_MARKS = ("papermill-error-cell-tag",)
_SAID = 200  # characters of a foreign message that a sentence bears
_STRUCTURE = frozenset({"cell_type", "output_type", "name", "id", "image/png"})
"""Keys of a notebook whose values no external text reaches."""


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
        declared = papermill.inspect_notebook(literal_path(notebook))
    except Exception as error:
        said = " ".join(str(error).split())
        raise ConfigurationError(
            f"{notebook} cannot be read as a notebook ({type(error).__name__}: {said[:_SAID]}). "
            "It belongs to the product: restore it (git checkout -- notebooks)."
        ) from error
    for name, value in parameters.items():
        if name not in declared:
            raise ConfigurationError(
                f"The notebook {notebook.name} has no parameter {name!r}. It knows: {', '.join(declared) or 'none'}. "
                "Restore the notebook, or declare the parameter in its cell tagged 'parameters'."
            )
        default = _default_type(declared[name].get("default", ""))
        if default is not None and type(value) is not default:
            raise ConfigurationError(
                f"The parameter {name!r} of {notebook.name} must be of type {default.__name__}, not {value!r}."
            )


def _default_type(source: str) -> type | None:
    """The type of a default; ``None`` when it tells nothing (``None``, or no literal)."""
    try:
        default = ast.literal_eval(source)
    except (ValueError, SyntaxError):
        return None
    return None if default is None else type(default)


def literal_path(path: Path) -> str:
    """A path as papermill takes it: it would read braces in it as places for parameters."""
    return str(path).replace("{", "{{").replace("}", "}}")


def publish(partial: Path, final: Path, run: Run, secrets: Iterable[str]) -> None:
    """Put the verdict on top of an executed notebook, take every secret out, and give it its final name.

    papermill's own error cells are removed: they name no reason, and after a time-out or a dead kernel there are none.
    However it goes, the partial notebook, which may hold secrets, does not stay; an earlier final one does.

    Raises:
        OSError: it could not be saved.
        ValueError: it was cut off while it was being written; what is left of it is beside it, as text.
    """
    if not partial.exists():
        return
    hidden = tuple(secrets)
    try:
        notebook = nbformat.read(partial, as_version=4)
        papermills = set(_PAPERMILL_MARKS)
        notebook.cells = [cell for cell in notebook.cells if not papermills & set(cell.metadata.get("tags", []))]
        notebook.cells.insert(0, _verdict_cell(run))
        write_text(final, json.dumps(redacted(notebook, hidden, _STRUCTURE), ensure_ascii=False, indent=1) + "\n")
    except (ValueError, AttributeError, KeyError) as error:
        left = RunFolder(final.parent).damaged_notebook
        write_text(left, redact(partial.read_text(encoding="utf-8", errors="replace"), hidden))
        raise ValueError(
            f"the notebook was cut off while it was being written; what is left of it is in {left.name}"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _verdict_cell(run: Run) -> Any:
    box = verdict_box(run)
    cell = new_code_cell(source="", metadata={"tags": ["verdict"], "jupyter": {"source_hidden": True}})
    plain = f"{run.headline.upper()}: {run.reason}"
    cell.outputs = [new_output("display_data", data={"text/html": box.html, "text/plain": html.escape(plain)})]
    return cell
