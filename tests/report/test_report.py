"""What people see: escaped whatever it says, whole without scripts or a network, and readable at a glance."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest

from reconcile import report
from reconcile.model.changes import CHANGE_COLUMNS, DIFFERENCE_COLUMNS, Comparison
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Finding, Severity
from reconcile.model.money import to_scaled
from reconcile.model.plan import Action, EffectKind, Operation, OutsideEffect, Plan
from reconcile.model.rows import rows_text
from reconcile.model.runs import Mode, Outcome, Run, StepResult, StepStatus
from reconcile.model.snapshot import Scope, Snapshot, conform, empty_rows, record_dtypes
from reconcile.report.html import shown_text

BOOKS, BILLING = Side
NOW = datetime(2026, 3, 9, 3, 30, 4, tzinfo=UTC)

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    "</style></div></td></table><h1>x</h1>",
    "javascript:alert(1)",
    "[click](javascript:alert(1)) https://evil.example/?a=1&b=2",
    "abc\u202egnp.exe",
    "nul\x00bell\x07esc\x1b[31m",
    "{{7*7}} ${7*7} {title} %s",
    "line one\nline two\ttab",
    "zero\u200bwidth\ufeff mark",
]
SURROGATE = "lone \ud800 surrogate"  # no frame can hold it

ALLOWED_TAGS = {"div", "span", "table", "thead", "tbody", "tr", "th", "td", "b", "br"}
ALLOWED_ATTRIBUTES = {"style", "scope"}


class Page(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: set[str] = set()
        self.styles: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag != "br":
            self.open.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.styles += [value or "" for name, value in attrs if name == "style"]

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            self.tags.append(f"unbalanced {tag}")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)


def snapshots(side: Side, numbers: int, **more: Any) -> dict[Entity, Snapshot]:
    def one(entity: Entity) -> Snapshot:
        ids = pd.Series([str(number) for number in range(numbers)], dtype="str")
        return Snapshot(
            side, entity, conform(pd.DataFrame({"id": ids}), record_dtypes(entity)), empty_rows(entity), NOW
        )

    return {entity: replace(one(entity), **more) for entity in Entity}


def comparison(text: str) -> Comparison:
    changes = [
        ["customer", "books:1", "1", "7", text, text, "changed in billing", False, 0, "USD", text],
        ["customer", "books:2", "2", "8", text, text, "conflict", True, 123456, "USD", text],
    ]
    differences = [
        ["customer", "books:1", text, "phone", None, None, text, "billing -> books", text, None],
        ["customer", "books:1", text, "city", text, text, "Tempe", "billing -> books", text, None],
        ["customer", "books:2", text, "email", "a", "b", "c", "held", text, '["a","b","c"]'],
    ]
    return Comparison(
        Entity.CUSTOMER,
        pd.DataFrame(changes, columns=list(CHANGE_COLUMNS)).astype(CHANGE_COLUMNS),
        pd.DataFrame(differences, columns=list(DIFFERENCE_COLUMNS)).astype(DIFFERENCE_COLUMNS),
        pd.DataFrame(),
        1000,
        (),
    )


def finding(text: str, severity: Severity = Severity.HOLD, amount: int | None = 36207, **more: Any) -> Finding:
    one = Finding("check", severity, Entity.INVOICE, BOOKS, "1", text, amount, "USD", text, text, text)
    return replace(one, **more)


def operation(text: str, action: Action = Action.UPDATE, side: Side | None = BOOKS, **more: Any) -> Operation:
    effect = OutsideEffect(EffectKind.CHARGE, text, 10350, "USD", text)
    one = Operation(
        step=Entity.CUSTOMER,
        action=action,
        side=side,
        key="books:1",
        books_id="1",
        billing_id=None,
        label=text,
        customer=text,
        before={"phone": text},
        payload={"phone": "1"},
        agreed={},
        unsettled=(),
        expected_version="0",
        depends_on=(),
        reason=text,
        effects=(effect,),
        amount=36207,
    )
    return replace(one, **more)


def totals(**columns: Any) -> pd.DataFrame:
    frame = pd.DataFrame(
        {"measure": ["receivables", "customers in use"], "books": [528152, 29], "billing": [528152, 29]}
    )
    frame = frame.assign(difference=0, explained=0, unexplained=0, currency=["USD", ""])
    return frame.assign(**columns)


def items(text: str, *, explained: bool) -> pd.DataFrame:
    row = {"measure": "receivables", "entity": "tax_rate", "label": text, "customer": text, "amount": 36207}
    return pd.DataFrame([row | {"currency": "USD", "cause": text, "explained": explained}])


NO_ITEMS = items("", explained=True).iloc[:0]


def run(text: str, outcome: Outcome = Outcome.STEP_FAILED) -> Run:
    steps = (
        StepResult(Entity.CUSTOMER, StepStatus.SYNCED, done=3),
        StepResult(Entity.INVOICE, StepStatus.FAILED, done=4, failed=1, held=1, unknown=1, reason=text),
    )
    return Run(
        "r1", text, "night", Mode.CENSUS, True, "22:30", date(2026, 3, 8), {}, NOW, NOW + timedelta(minutes=2), outcome,
        text, "x", steps=steps,
    )  # fmt: skip


def risk(text: str) -> pd.DataFrame:
    row = {"number": text, "customer": text, "billing_balance": 46040, "books_balance": 0, "at_risk": 46040}
    return pd.DataFrame([row | {"currency": "USD", "why": text}])


def outcomes(text: str) -> pd.DataFrame:
    row = {"side": "QuickBooks", "label": text, "amount": 100, "currency": "USD", "status": "failed", "reason": text}
    return pd.DataFrame([row])


def invoice_operation(text: str) -> Operation:
    line = {
        "product_id": "books:9",
        "description": text,
        "quantity": to_scaled("2.5"),
        "unit_price": to_scaled("12.75"),
    }
    lines = rows_text(Entity.INVOICE, [line | {"amount": 3188, "taxable": True, "position": 1}])
    payload = {"number": text, "customer_id": "books:3", "lines": lines, "memo": text, "void": False}
    return operation(text, Action.CREATE, BILLING, step=Entity.INVOICE, before={}, payload=payload)


SHOWN: dict[str, Callable[[str], report.Shown]] = {
    "table": lambda text: report.table(pd.DataFrame({"a": [text], text: [text]}), text, whole=text, limit=0),
    "long table": lambda text: report.table(pd.DataFrame({"a": [text] * 3, "b": text}), text, {"a": text}, limit=1),
    "odd currency": lambda text: report.table(pd.DataFrame({"m": [1, 2], "currency": [text, "USD"]}), "x", money=["m"]),
    "counts": lambda text: report.counts(snapshots(BOOKS, 1, unreadable=frozenset({text})), snapshots(BILLING, 2)),
    "changes": lambda text: report.changes([comparison(text)]),
    "differences": lambda text: report.differences({Entity.CUSTOMER: comparison(text)}),
    "findings": lambda text: report.findings([finding(text), finding(text, currency=text)]),
    "plan": lambda text: report.plan(
        Plan("c", {}, (operation(text), invoice_operation(text))), left_out=[finding(text)]
    ),
    "step": lambda text: report.step(run(text).steps[1], outcomes(text)),
    "tie-out": lambda text: report.tie_out(totals(measure=text), items(text, explained=True)),
    "red tie-out": lambda text: report.tie_out(totals(measure=text, unexplained=5), items(text, explained=False)),
    "midnight risk": lambda text: report.midnight_risk(risk(text)),
    "banner": lambda text: report.banner("stop", text, [text]),
    "opening": lambda text: report.opening(run(text), text, [text]),
    "verdict": lambda text: report.verdict(run(text)),
    "progress": lambda text: report.Shown(report.Progress(text, 10, stream=io.StringIO()).html),
}


def dangers(html: str) -> list[str]:
    """All that a hostile text could have brought into a page."""
    page = Page(html)
    found = [f"tag {tag}" for tag in page.tags if tag not in ALLOWED_TAGS]
    found += [f"attribute {name}" for name in page.attributes - ALLOWED_ATTRIBUTES]
    found += [f"left open {tag}" for tag in page.open]
    found += re.findall(r"<script|<img|<svg|https?://|javascript:", html, re.IGNORECASE)
    found += [style for style in page.styles if re.search(r"url\(|expression|import|position", style)]
    return found + re.findall("[\x00-\x08\x0b-\x1f\x7f\u200b\u202e\ufeff\ud800]", html)


IN_FRAMES = {"table", "long table", "odd currency", "changes", "differences", "step", "midnight risk"}
IN_FRAMES |= {"tie-out", "red tie-out"}


@pytest.mark.parametrize("name", SHOWN)
def test_hostile_text_is_only_ever_shown(name: str) -> None:
    for text in [*HOSTILE, *([] if name in IN_FRAMES else [SURROGATE])]:
        html = SHOWN[name](text).html
        assert dangers(html) == []
        html.encode("utf-8")


@pytest.mark.parametrize("text", [*HOSTILE[:8], HOSTILE[10]])
def test_what_is_not_escaped_is_seen(text: str) -> None:
    assert dangers(f"<div>{text}</div>")


@pytest.mark.parametrize("name", [name for name in SHOWN if name not in {"counts", "changes"}])
def test_what_was_written_can_still_be_read(name: str) -> None:
    assert "Müller & Söhne <Bau>" in Page(SHOWN[name]("Müller & Söhne <Bau>").html).text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('<a href="x">', "&lt;a href=&quot;x&quot;&gt;"),
        ("O'Brien", "O&#x27;Brien"),
        ("nul\x00", "nul␀"),
        ("a\nb\tc", "a↵b⇥c"),
        ("\u202e123", "[U+202E]123"),
        ("12\u200d", "12[U+200D]"),
        ("\ud800", "[U+D800]"),
        ("https://x", "https<span>:</span>//x"),
        ("22:30", "22:30"),
        (None, "–"),  # noqa: RUF001 - the dash that stands for a missing value
        (pd.NA, "–"),  # noqa: RUF001 - the same
        (float("nan"), "–"),  # noqa: RUF001 - the same
        ("", ""),
    ],
)
def test_text_is_escaped_and_what_is_invisible_gets_a_name(text: object, shown: str) -> None:
    assert shown_text(text) == shown


def cells(html: str) -> list[list[str]]:
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", html)
    return [[re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows]


def test_a_table_shows_money_prices_flags_and_what_is_missing() -> None:
    frame = pd.DataFrame(
        {
            "name": pd.Series(["Pump", None], dtype="str"),
            "price": pd.array([to_scaled("1234.5"), None], dtype="Int64"),
            "total": pd.array([123456, -5], dtype="Int64"),
            "count": pd.array([1000, 2], dtype="Int64"),
            "active": pd.array([True, None], dtype="boolean"),
        }
    )
    shown = report.table(frame, "Products", money=["total"], scaled=["price"])
    assert cells(shown.html) == [
        ["Name", "Price", "Total (USD)", "Count", "Active"],
        ["Pump", "1,234.5", "1,234.56", "1,000", "yes"],
        ["–", "–", "-0.05", "2", "–"],  # noqa: RUF001 - the dash that stands for a missing value
    ]
    assert re.search(r'<td style="[^"]*text-align:right[^"]*tabular-nums[^"]*">1,234\.56</td>', shown.html)


def test_amounts_in_several_currencies_carry_their_own() -> None:
    frame = pd.DataFrame({"total": pd.array([1, 1, 1, 5], dtype="Int64"), "currency": ["USD", "JPY", "KWD", ""]})
    shown = report.table(frame, "Totals", ["total"], money=["total"])
    assert [row[0] for row in cells(shown.html)] == ["Total", "0.01 USD", "1 JPY", "0.001 KWD", "5"]


def test_a_long_table_says_how_much_is_not_shown_and_where_it_is() -> None:
    shown = report.table(pd.DataFrame({"a": range(1060)}), "Long", whole="frames/long.parquet")
    assert len(cells(shown.html)) == 51
    assert "… and 1,010 more, not shown here. The whole is in frames/long.parquet." in Page(shown.html).text


def test_a_table_refuses_columns_it_does_not_have() -> None:
    with pytest.raises(KeyError):
        report.table(pd.DataFrame({"a": [1]}), "x", ["b"])


def test_counts_name_sides_scope_and_moment() -> None:
    shown = report.counts(snapshots(BOOKS, 1200), snapshots(BILLING, 1, scope=Scope.DELTA))
    assert cells(shown.html)[0] == ["Records", "QuickBooks", "ReliaBills", "Read"]
    assert cells(shown.html)[1] == ["customers", "1,200", "1", "read in full / changes only"]
    assert "QuickBooks as of 2026-03-08 22:30:04 Central." in Page(shown.html).text


def test_changes_are_counted_by_verdict_with_the_money_held() -> None:
    header, row = cells(report.changes([comparison("Cool Cars")]).html)
    told = dict(zip(header, row, strict=True))
    assert told == {
        "Records": "customers",
        "Changed in ReliaBills": "1",
        "Conflict": "1",
        "Quiet": "1,000",
        "Held": "1",
        "Money held": "1,234.56 USD",
    }


def test_differences_are_grouped_by_record_and_what_moved_stands_out() -> None:
    html = report.differences([comparison("Cool Cars")]).html
    assert html.count("customer <b>Cool Cars</b>") == 2
    assert "<b>Tempe</b>" in html
    assert [row[1] for row in cells(html)[1:]] == ["phone", "city", "e-mail"]
    assert cells(html)[1][2:6] == ["–", "–", "Cool Cars", "→ QuickBooks"]  # noqa: RUF001 - the dash for what is missing
    assert "! held" in Page(html).text
    assert "3 fields of 2 records; 1 field held." in Page(html).text


def test_findings_are_ranked_by_severity_then_money() -> None:
    found = [
        finding("n", Severity.NOTE, 999999, record_id="1"),
        finding("h1", amount=100, record_id="2"),
        finding("h2", amount=200, record_id="3"),
        finding("h3", amount=200, record_id="3"),
        finding("s", Severity.STOP, 1, record_id="4"),
    ]
    rows = cells(report.findings(found).html)
    assert [row[:4] for row in rows[1:4]] == [
        ["✗ stops the step", "1", "1", "0.01 USD"],
        ["! held", "3", "2", "3.00 USD"],
        ["i note", "1", "1", "9,999.99 USD"],
    ]
    assert [row[4] for row in rows[5:]] == ["s", "h2", "h3", "h1", "n"]


def test_a_plan_is_counted_per_step_and_side_and_shown_before_and_after() -> None:
    linked = operation("Pump", Action.LINK, None, step=Entity.PRODUCT, key="books:9", payload={}, effects=())
    plan = Plan("c", {}, (operation("Cool Cars", before={"phone": None}), linked, invoice_operation("1037")))
    page = Page(report.plan(plan).html)
    rows = cells(report.plan(plan).html)
    assert rows[0] == ["Step", "update in QuickBooks", "create in ReliaBills", "link, no write"]
    assert rows[1] == ["1. customers", "1", "–", "–"]  # noqa: RUF001 - the dash that stands for nothing
    assert "2 writes : 1 to QuickBooks and 1 to ReliaBills. 1 record will be linked" in page.text
    assert "2 charges would be caused" in page.text
    assert "phone: –→1" in re.sub(r"\s*→\s*", "→", page.text)  # noqa: RUF001 - the same dash
    assert "2.5 × 12.75 Pump, 1037 = 31.88" in page.text  # noqa: RUF001 - a multiplication is one
    assert "void: no" not in page.text


def test_where_nothing_is_to_be_done_it_says_so() -> None:
    empty = replace(comparison(""), changes=comparison("").changes.iloc[:0], differences=comparison("").differences[:0])
    assert "Nothing has changed" in Page(report.changes([empty]).html).text
    assert "No field differs" in Page(report.differences([empty]).html).text
    assert "Every rule holds" in Page(report.findings([]).html).text
    assert "nothing will be written to either side" in Page(report.plan(Plan("c", {}, ())).html).text
    assert "Nobody will be charged twice" in Page(report.midnight_risk(risk("").iloc[:0]).html).text


def test_agreement_is_green_and_says_to_the_cent() -> None:
    page = Page(report.tie_out(totals(), NO_ITEMS).html)
    assert page.texts[0] == "✓ Both sides agree to the cent"
    assert cells(report.tie_out(totals(), NO_ITEMS).html)[2][1:3] == ["29", "29"]


def test_what_is_held_is_named_in_the_verdict_on_the_totals() -> None:
    shown = report.tie_out(totals(explained=36207, difference=36207), items("1037-A", explained=True))
    assert "✓ Both sides agree to the cent, except for what is held" in Page(shown.html).texts
    assert "tax rate <b>1037-A</b>" in shown.html


@pytest.mark.parametrize(
    ("frame", "behind"),
    [
        (totals(unexplained=1), NO_ITEMS),
        (totals(), items("1037-A", explained=False)),
        (totals(unexplained=None), NO_ITEMS),
    ],
)
def test_one_unexplained_cent_or_record_is_red(frame: pd.DataFrame, behind: pd.DataFrame) -> None:
    assert Page(report.tie_out(frame, behind).html).texts[0] == "✗ The two sides do not agree"


def test_what_failed_stands_above_what_worked() -> None:
    done = outcomes("good").assign(status="done")
    shown = report.step(run("x").steps[1], pd.concat([done] * 60 + [outcomes("bad")], ignore_index=True))
    assert cells(shown.html)[1][1] == "bad"
    assert "Step 4 of 5, invoices: failed" in Page(shown.html).text
    assert "4 done, 1 failed, 1 held, 1 without an answer" in Page(shown.html).text


def test_the_failing_run_says_on_top_what_failed_why_and_what_never_started() -> None:
    page = Page(report.verdict(run("Invoice 1037-A: its number has an A.")).html)
    assert page.texts[0] == "✗ Step failed: invoices"
    assert page.texts[1] == "Invoice 1037-A: its number has an A."
    assert "5. payments: not started" in page.text
    assert "1. customers: synced (3 done)" in page.text


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_its_words(outcome: Outcome) -> None:
    assert Page(report.verdict(replace(run("x"), outcome=outcome, steps=())).html).texts[0].strip()


def test_a_saved_table_repeats_no_hostile_text_as_plain_text() -> None:
    assert repr(report.banner("note", "<script>")) == "(shown as HTML)"


PNG = b"\x89PNG\r\n\x1a\n"


def width_of(png: bytes) -> int:
    return int.from_bytes(png[16:20])


def test_a_plan_is_a_picture_with_words() -> None:
    picture = report.plan_plot(Plan("c", {}, (operation("$x^2$ Cool Cars"), invoice_operation("1037"))))
    assert picture.alt == (
        "2 writes: 1 to QuickBooks, 1 to ReliaBills. customers to QuickBooks: 1. invoices to ReliaBills: 1."
    )
    png, shown = picture._repr_png_()
    assert png.startswith(PNG)
    assert (shown["width"], shown["alt"]) == (900, picture.alt)
    assert width_of(png) == 1350
    assert png == report.plan_plot(Plan("c", {}, (operation("x"), invoice_operation("1037")))).png


def test_an_empty_plan_is_a_picture_too() -> None:
    picture = report.plan_plot(Plan("c", {}, ()))
    assert picture.alt == "Nothing will be written to either side."
    assert picture.png.startswith(PNG)


def ageing(amounts: list[int], currency: str = "USD") -> pd.DataFrame:
    return pd.DataFrame({"bucket": ["current", "1-30 days"], "amount": amounts, "currency": currency})


@pytest.mark.parametrize(
    ("books", "billing", "title"),
    [
        (ageing([5, 100]), ageing([5, 100]), "Open receivables by age: 1.05 USD, the same on both sides"),
        (ageing([5, 100]), ageing([100, 5]), "Open receivables have the same total but not the same age on both sides"),
        (ageing([5, 100]), {"current": 5}, "Open receivables differ: QuickBooks 1.05, ReliaBills 0.05 USD"),
        (
            pd.concat([ageing([5, 0]), ageing([7, 0], "JPY")]),
            pd.concat([ageing([5, 0]), ageing([8, 0], "JPY")]),
            "Open receivables differ: QuickBooks 7, ReliaBills 8 JPY",
        ),
        ({}, {}, "Open receivables by age: none, the same on both sides"),
    ],
)
def test_receivables_by_age_say_whether_both_sides_agree(books: Any, billing: Any, title: str) -> None:
    picture = report.ageing_plot(books, billing)
    assert picture.alt.startswith(f"{title}.")
    assert picture.png.startswith(PNG)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def ticking(step: float) -> Callable[[], float]:
    moments: Iterator[float] = (place * step for place in range(10**6))
    return lambda: next(moments)


def test_progress_on_a_terminal_rewrites_one_line_and_ends_it_once() -> None:
    stream = Terminal()
    with report.Progress("QuickBooks: invoices", stream=stream, clock=ticking(1)) as progress:
        progress(1000, 2500)
        progress(2500, 2500)
    assert [line.strip() for line in stream.getvalue().split("\r")[1:]] == [
        "QuickBooks: invoices: 0",
        "QuickBooks: invoices: 1,000 of 2,500",
        "QuickBooks: invoices: 2,500 ✓",
    ]
    assert stream.getvalue().count("\n") == 1


def test_progress_does_not_show_every_record() -> None:
    stream = Terminal()
    with report.Progress("x", stream=stream, clock=ticking(0.001)) as progress:
        for done in range(1000):
            progress(done)
    assert stream.getvalue().count("\r") < 10
    assert "999 ✓" in stream.getvalue()


def test_progress_that_ends_early_says_so() -> None:
    stream = io.StringIO()

    def read() -> None:
        with report.Progress("a\x1b[31m", 10, stream=stream) as progress:
            progress(3)
            raise ConnectionError

    with pytest.raises(ConnectionError):
        read()
    assert stream.getvalue() == "a?[31m: 3 of 10 – stopped here\n"  # noqa: RUF001 - a dash, as printed


def test_in_a_notebook_what_is_saved_is_the_last_state() -> None:
    source = (
        "from reconcile import report\n"
        "progress = report.Progress('ReliaBills: payments', 4)\n"
        "progress(1)\nprogress(4)\nreport.note('<b>read</b>')\nreport.plan_plot"
    )
    code = (
        "import json, sys, nbformat\nfrom nbclient import NotebookClient\n"
        "notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(sys.argv[1])])\n"
        "NotebookClient(notebook, kernel_name='python3').execute()\n"
        "print(json.dumps([dict(output) for output in notebook.cells[0].outputs]))"
    )
    done = subprocess.run([sys.executable, "-c", code, source], capture_output=True, text=True, check=True)
    saved = [output["data"].get("text/html", "") for output in json.loads(done.stdout) if "data" in output]
    assert "4 ✓" in saved[0]
    assert "1 of 4" not in saved[0]
    assert "&lt;b&gt;read" in saved[1]


def test_the_report_reaches_for_no_network_and_no_script_of_its_own() -> None:
    for name, show in SHOWN.items():
        html = show("Cool Cars").html
        assert not re.search(r"<script|https?://|\son\w+=|<link|<style|src=|href=", html), name
