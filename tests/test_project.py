"""The project's own promises: dependencies declared once, imports one way, notebooks without outputs."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ROOMS = {
    "errors": set(),
    "config": {"errors"},
    "evidence": {"errors", "model"},
    "model": {"errors", "model"},
    "compare": {"errors", "model", "compare"},
    "sides": {"errors", "model", "sides"},
    "state": {"errors", "model", "state"},
    "report": {"errors", "model", "report"},
    "sandbox": {"errors", "model", "sandbox"},
    "push": {"errors", "model", "sides", "state", "push"},
}
"""What each room may import; rooms not named here are the places where rooms meet."""

ALONE = {
    "great_expectations": "checks",
    "papermill": "reconcile/runner",
    "quickbooks": "reconcile/sides/quickbooks",
    "intuitlib": "reconcile/sides/quickbooks",
}
"""Libraries that only one room may import."""


def imported_modules(source: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def violations(path: str, source: str) -> list[str]:
    parts = Path(path).with_suffix("").parts
    modules = imported_modules(source)
    wrong = [
        f"{path} imports {library}"
        for library, home in ALONE.items()
        if any(module.split(".")[0] == library for module in modules) and not path.startswith(home)
    ]
    if parts[0] == "checks":
        allowed: set[str] | None = {"errors", "model"}
    else:
        allowed = ROOMS.get(parts[1]) if len(parts) > 1 else set()
    if allowed is None:
        return wrong
    for module in modules:
        room = module.split(".")
        if room[0] == "reconcile" and len(room) > 1 and room[1] not in allowed:
            wrong.append(f"{path} imports {module}")
        if room[0] == "checks" and parts[0] != "checks":
            wrong.append(f"{path} imports {module}")
    return wrong


def product_files() -> list[Path]:
    return sorted([*(ROOT / "reconcile").rglob("*.py"), *(ROOT / "checks").rglob("*.py")])


def test_imports_run_one_way() -> None:
    found = [
        sentence
        for path in product_files()
        for sentence in violations(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("reconcile/compare/diff.py", "from reconcile.sides.side import Write"),
        ("reconcile/model/plan.py", "import reconcile.state.journal"),
        ("reconcile/state/links.py", "from reconcile import push\nimport papermill"),
        ("reconcile/sides/side.py", "from reconcile.compare import diff"),
        ("reconcile/report/table.py", "import great_expectations as gx"),
        ("reconcile/push/steps.py", "from quickbooks import QuickBooks"),
        ("checks/invoices.py", "from reconcile.compare.diff import compare"),
        ("reconcile/push/steps.py", "from checks import validate"),
    ],
)
def test_a_forbidden_import_is_seen(path: str, source: str) -> None:
    assert violations(path, source)


def requirements_of_pyproject() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    return {re.sub(r"\[.*?\]", "", requirement) for requirement in declared}


def requirements_of_conda(text: str) -> set[str]:
    entries = re.findall(r"^ +- ([A-Za-z0-9._-]+>=[^\s]+)$", text, flags=re.MULTILINE)
    return {entry for entry in entries if not entry.startswith("python>=")}


def test_conda_users_get_the_same_dependencies() -> None:
    assert requirements_of_conda((ROOT / "environment.yml").read_text(encoding="utf-8")) == requirements_of_pyproject()


def test_a_dependency_missing_for_conda_users_is_seen() -> None:
    shortened = (ROOT / "environment.yml").read_text(encoding="utf-8").replace("  - papermill>=2.7\n", "")
    assert requirements_of_conda(shortened) != requirements_of_pyproject()


def test_the_lock_file_pins_every_declared_dependency() -> None:
    pins = re.compile(r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", flags=re.MULTILINE)
    locked = dict(pins.findall((ROOT / "requirements.lock").read_text(encoding="utf-8")))
    for requirement in requirements_of_pyproject():
        name, _, floor = requirement.partition(">=")
        pinned = tuple(int(part) for part in re.findall(r"\d+", locked[name]))
        assert pinned >= tuple(int(part) for part in re.findall(r"\d+", floor)), requirement


def notebooks() -> list[Path]:
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_notebooks_are_committed_without_outputs() -> None:
    assert notebooks()
    for path in notebooks():
        content = json.loads(path.read_text(encoding="utf-8"))
        assert "papermill" not in content["metadata"], path.name
        for cell in content["cells"]:
            assert not cell.get("outputs"), path.name
            assert not cell.get("execution_count"), path.name
            assert "papermill" not in cell["metadata"], path.name


def test_the_project_names_no_registry_host_and_no_machine_path() -> None:
    suspicious = re.compile(r"/work/|/root/|/opt/pypi|://[^/ ]*(pypi|pythonhosted|npmjs|debian)")
    texts = [*ROOT.glob("*.toml"), *ROOT.glob("*.yml"), *ROOT.glob("*.lock"), *ROOT.glob("*.md"), ROOT / "Makefile"]
    texts += [*product_files(), *(ROOT / "benchmarks").rglob("*.py"), *notebooks()]
    assert [path.name for path in texts if suspicious.search(path.read_text(encoding="utf-8"))] == []
