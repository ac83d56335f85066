"""A company whose every text is an attack: a saved notebook shows it as text, and nothing of it comes alive."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter

from reconcile.errors import RefusedError
from reconcile.model.runs import Outcome, Run
from reconcile.runner.execute import execute
from reconcile.runner.request import Request
from reconcile.sandbox.billing import day
from reconcile.sandbox.quickbooks.process import running_quickbooks
from tests.night.conftest import COMPANY, World, _world

SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(1)>'
TEMPLATE = "{{7*7}}"
LINK = "[x](javascript:alert(1))"
REVERSED = "100\N{RIGHT-TO-LEFT OVERRIDE}txt.exe"
ESCAPES = "\x1b[2J\x1b]0;owned\x07 1\r\n2\x08"
NUMBER = "<svg/onload=alert(1)>"
CHROMIUM = Path("/usr/bin/chromium")


@dataclass
class Page(HTMLParser):
    """What a page is made of, as a browser would build it."""

    text: list[str] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        (self.scripts if self._inside in {"script", "style"} else self.text).append(data)


def page_of(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    return page


def opened(html: str, folder: Path) -> str:
    """The page as it stands after a browser without a network opened it; where there is no browser, as it is.

    A script that came alive would show its alert, and the browser would wait for somebody to close it until time is up.
    """
    if not CHROMIUM.exists():
        return html
    file = folder / "page.html"
    file.write_text(html, encoding="utf-8")
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND")
    profile = f"--user-data-dir={folder / 'profile'}"
    command = [str(CHROMIUM), *options, profile, "--virtual-time-budget=3000", "--dump-dom", file.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An empty company on both sides."""
    root = tmp_path_factory.mktemp("hostile")
    with running_quickbooks("empty") as quickbooks:
        yield from _world(root, f"sqlite:///{root / 'state.db'}", quickbooks)


@pytest.fixture(scope="module")
def run(world: World) -> Run:
    """One run over hostile texts that fails because of a hostile number."""
    for name in (SCRIPT, IMAGE, TEMPLATE):
        world.new_customer_in_books(name)
    world.new_customer_in_books("Held", PrimaryPhone={"FreeFormNumber": "1"}, CompanyName=REVERSED)
    day.new_customer(
        world.billing, account_name="Held", first_name=SCRIPT, last_name=LINK, email="payable@example.com", phone=IMAGE
    )
    day.new_customer(
        world.billing,
        account_name="Escaped",
        first_name="Es",
        last_name="Caped",
        email="payable@example.com",
        phone=ESCAPES,
    )
    product = world.new_product_in_books("Gardening")
    world.books.change("Item", product, Description=f"{SCRIPT} {IMAGE} {TEMPLATE} {LINK} {REVERSED} {ESCAPES}")
    good = world.books.new_invoice("1001", SCRIPT, [("Gardening", "4", "25")])
    world.books.change("Invoice", good, CustomerMemo={"value": f"{LINK} {REVERSED} {SCRIPT}"})
    world.books.new_invoice(NUMBER, IMAGE, [("Gardening", "1", "25")])
    return execute(world.config, Request(company=COMPANY))


def test_hostile_texts_are_shown_as_texts(world: World, run: Run, tmp_path: Path) -> None:
    assert run.outcome is Outcome.STEP_FAILED, run.reason
    assert NUMBER in run.reason
    assert IMAGE in run.reason
    notebook = nbformat.read(world.config.runs / run.folder / "sync.ipynb", as_version=4)
    html, _ = HTMLExporter().from_notebook_node(notebook)
    page = page_of(opened(html, tmp_path))

    text = "".join(page.text)
    for hostile in (SCRIPT, IMAGE, TEMPLATE, LINK, NUMBER):
        assert hostile in text
    assert not any("alert(1)" in script for script in page.scripts)
    for tag, attributes in page.tags:
        assert tag not in {"iframe", "object", "embed", "form"}
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert not str(attributes.get("href") or "").lower().startswith("javascript:"), (tag, attributes)
        if tag == "img":
            assert str(attributes["src"]).startswith("data:image/png;base64,")


def test_what_came_alive_would_be_seen() -> None:
    page = page_of(f"<body>{SCRIPT}<p title='{IMAGE}'></p><p title=\"{IMAGE}{NUMBER}")
    assert page.scripts == ["alert(1)"]
    assert [(tag, *attributes) for tag, attributes in page.tags][2:] == [
        ("p", "title"),
        ("p", "title"),
        ("img", "src", "onerror"),
        ("svg", "onload"),
    ]


def test_signs_that_turn_the_line_around_are_made_visible(world: World, run: Run) -> None:
    content = (world.config.runs / run.folder / "sync.ipynb").read_text(encoding="utf-8")
    shown = [
        "".join(output["data"]["text/html"])
        for cell in json.loads(content)["cells"]
        for output in cell.get("outputs", [])
        if "text/html" in output.get("data", {})
    ]
    assert not any("\N{RIGHT-TO-LEFT OVERRIDE}" in html for html in shown)
    assert any("txt.exe" in html for html in shown)


def test_an_event_is_one_line_and_no_sign_reaches_a_terminal_alive(world: World, run: Run) -> None:
    folder = world.config.runs / run.folder
    lines = (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    written = [json.loads(line) for line in lines]
    assert any(ESCAPES in str(json.loads(entry["fields"]).get("description")) for entry in written)
    shown = "".join(
        subprocess.run(
            [sys.executable, "-m", "reconcile", *command], capture_output=True, text=True, check=False, timeout=60
        ).stdout
        for command in (("show", run.id), ("show", run.id, "--certificate"), ("conflicts", COMPANY), ("runs",))
    )
    assert "\N{REPLACEMENT CHARACTER}" in shown, "the signs came as far as the terminal"
    for text in (*lines, *shown.splitlines()):
        assert not any(sign in text for sign in ("\x1b", "\x07", "\x08", "\r"))


def test_the_hostile_memo_arrives_as_it_was_written(world: World, run: Run) -> None:
    with world.billing.connect() as connection:
        [memo] = connection.exec_driver_sql("select memo from invoices where number = '1001'").scalars()
    assert memo == f"{LINK} {REVERSED} {SCRIPT}"


def test_a_text_with_nul_is_refused_by_quickbooks(world: World) -> None:
    with pytest.raises(RefusedError):
        world.new_customer_in_books("Nul\0Nul")
