"""`docs/promises.md` names only tests that exist, and says of each fault how its promise is shown or that it is not."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
ROW = re.compile(r"^\| (\d+) \| ", flags=re.MULTILINE)
FAULTS = 132


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def unknown(text: str) -> list[str]:
    """Tests that a text names and that do not exist."""
    named = NAMED.findall(text)
    known = {file: names_in(ROOT / "tests" / file) for file, _ in named if (ROOT / "tests" / file).is_file()}
    return [f"{file}::{name}" for file, name in named if name not in known.get(file, set())]


def promises() -> str:
    return (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")


def test_every_promise_names_tests_that_exist() -> None:
    assert len(NAMED.findall(promises())) > 100
    assert unknown(promises()) == []


def test_a_test_that_does_not_exist_is_seen() -> None:
    assert unknown("`state/test_lease.py::test_that_nobody_wrote`")
    assert unknown("`state/test_that_nobody_wrote.py::test_it`")


def test_every_fault_has_one_row_and_no_row_is_without_its_test() -> None:
    kept, _, open_ones = promises().partition("## Not promised yet")
    numbers = [int(number) for number in ROW.findall(promises())]
    assert sorted(numbers) == list(range(1, FAULTS + 1))
    assert [line for line in kept.splitlines() if ROW.match(line) and not NAMED.search(line)] == []
    assert NAMED.search(open_ones) is None
