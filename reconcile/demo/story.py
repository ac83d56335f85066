"""The story: a first sync, a working day, a failing 22:30, its mending, midnight, and a 01:30 that ties out.

Every figure printed is read from the systems or from the evidence of the runs; nothing is told that did not happen.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine, text

from reconcile.config import CONFIG_VARIABLE, Config, load_config
from reconcile.connections import store_credentials
from reconcile.demo.desk import BooksDesk
from reconcile.errors import ConfigurationError
from reconcile.evidence import RunFolder
from reconcile.model.money import show
from reconcile.model.runs import CENTRAL, Outcome, Run
from reconcile.runner.execute import execute
from reconcile.runner.request import Request
from reconcile.sandbox.billing import day
from reconcile.sandbox.billing.database import create_database
from reconcile.sandbox.billing.midnight import MidnightResult, run_midnight
from reconcile.sandbox.billing.sample import load_sample
from reconcile.sandbox.quickbooks.process import QuickBooksSandbox, running_quickbooks
from reconcile.state.database import migrate
from reconcile.state.tokens import make_key_file

COMPANY = "craigs"
COMPANY_NAME = "Craig's Design and Landscaping Services"
LETTERED = "A-1043"
MENDED = "1043"

_SETTINGS = """\
state = "sqlite:///state.db"
runs = "."
key_file = "reconcile.key"

[companies.{company}]
name = "{name}"
currency = "USD"

[companies.{company}.books]
base_url = "{base_url}"
discovery_url = "{discovery_url}"
realm_id = "{realm_id}"

[companies.{company}.billing]
url = "sqlite:///billing.db"
"""


@dataclass
class Night:
    """The demo's world: both sides, the configuration, and the runs so far."""

    console: Console
    config: Config
    billing: Engine
    books: BooksDesk
    today: date
    runs: list[tuple[str, Run]] = field(default_factory=list)

    def run(self, title: str, **request: Any) -> Run:
        """Execute one run of the notebook, with a bar of its cells, and tell what came of it."""
        columns = (
            TextColumn("   {task.description}"),
            BarColumn(),
            TextColumn("{task.fields[at]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task("notebook", total=None, at="starting")

            def watch(done: int, total: int) -> None:
                progress.update(task, completed=done, total=total, at=f"{done} of {total} cells")

            finished = execute(self.config, Request(company=COMPANY, **request), watch)
        self.runs.append((title, finished))
        colour = {0: "green", 1: "yellow"}.get(finished.outcome.exit_code, "red")
        self.say(Text(f"{finished.outcome.value.upper()}. ", style=f"bold {colour}").append(finished.reason, style=""))
        self.say(f"Notebook: {RunFolder(self.config.runs / finished.folder).notebook}")
        return finished

    def chapter(self, title: str) -> None:
        """A heading."""
        self.console.print()
        self.console.rule(Text(title, style="bold"), align="left")

    def say(self, sentence: str | Text) -> None:
        """A sentence, indented; what it quotes is never taken for markup."""
        self.console.print(Text("   ").append(sentence), soft_wrap=True)

    def evidence(self, run: Run, name: str) -> Any:
        """A JSON artifact of a run."""
        return json.loads((self.config.runs / run.folder / name).read_text(encoding="utf-8"))


def run_demo(folder: Path | None = None) -> int:
    """Live through the night in a new folder; gives the exit code: 0 when everything came as it must."""
    console = Console(highlight=False)
    root = _new_folder(folder)
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # the local QuickBooks speaks plain HTTP on the loopback address
    with _open(console, root) as night:
        _first_sync(night)
        _working_day(night)
        evening = _evening(night)
        _mending(night)
        _midnight(night)
        _morning(night)
        quiet = _once_more(night)
        return _summary(night, evening, quiet=quiet)


def _new_folder(folder: Path | None) -> Path:
    root = (folder or Path("runs") / f"demo-{datetime.now(CENTRAL):%Y%m%d-%H%M%S}").absolute()
    try:
        root.mkdir(parents=True)
    except FileExistsError:
        raise ConfigurationError(f"{root} exists already. Name a new folder, so that nothing is overwritten.") from None
    except OSError as error:
        raise ConfigurationError(f"The folder {root} cannot be made: {error.strerror}.") from error
    return root


@contextmanager
def _open(console: Console, root: Path) -> Iterator[Night]:
    console.rule(Text("One night, end to end", style="bold"), align="left")
    with running_quickbooks("craigs", state=root / "quickbooks.db") as quickbooks:
        books = BooksDesk(quickbooks.base_url, quickbooks.realm_id, quickbooks.access_token)
        today = _day_after_the_sample(books)
        billing = create_database(str(root / "billing.db"), company_id=COMPANY, company_name=COMPANY_NAME)
        counts = load_sample(billing, "craigs", today)
        config = _configured(root, quickbooks)
        night = Night(console, config, billing, books, today)
        night.say(f"The company: {COMPANY_NAME}, on {today:%A, %d %B %Y}.")
        night.say(f"A local QuickBooks answers at {quickbooks.base_url} (process {quickbooks.pid}).")
        told = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in counts.items())
        night.say(f"A ReliaBills database stands at {root / 'billing.db'}: {told}.")
        try:
            yield night
        finally:
            billing.dispose()


def _day_after_the_sample(books: BooksDesk) -> date:
    """The demo's day: the one after the sample's last transaction, as QuickBooks has dated it."""
    dated = books.query("select * from Invoice maxresults 1000", "Invoice")
    dated += books.query("select * from Payment maxresults 1000", "Payment")
    return max(date.fromisoformat(record["TxnDate"]) for record in dated) + timedelta(days=1)


def _configured(root: Path, quickbooks: QuickBooksSandbox) -> Config:
    path = root / "reconcile.toml"
    path.write_text(
        _SETTINGS.format(
            company=COMPANY,
            name=COMPANY_NAME,
            base_url=quickbooks.base_url,
            discovery_url=quickbooks.discovery_url,
            realm_id=quickbooks.realm_id,
        ),
        encoding="utf-8",
    )
    os.environ[CONFIG_VARIABLE] = str(path)
    config = load_config(path)
    make_key_file(config.key_file)
    migrate(config.state_url)
    names = ("client_id", "client_secret", "access_token", "refresh_token")
    store_credentials(config, COMPANY, {name: getattr(quickbooks, name) for name in names})
    return config


def _first_sync(night: Night) -> None:
    night.chapter("1. The first sync")
    night.say("Some records exist only in QuickBooks, some only in ReliaBills, some in both with differences.")
    run = night.run("first sync", kind="manual")
    _tell_steps(night, run)
    _tell_held(night, run)


def _working_day(night: Night) -> None:
    night.chapter("2. A working day on both sides")
    books, billing, today = night.books, night.billing, night.today
    events: Sequence[Callable[[], str]] = (
        lambda: _said(
            books.save(
                "Customer",
                DisplayName="Bayshore Nursery",
                CompanyName="Bayshore Nursery",
                GivenName="Accounts Payable",
                FamilyName="Bayshore Nursery",
                PrimaryEmailAddr={"Address": "Nursery@intuit.com"},
                PrimaryPhone={"FreeFormNumber": "(650) 555-7001"},
            ),
            "Bayshore Nursery is a new customer in QuickBooks.",
        ),
        lambda: day.edit_in_portal(
            billing, "Red Rock Diner", phone="(650) 555-4900", email="Red_rock_diner@intuit.com"
        ),
        lambda: _said(
            books.change("Item", books.one("Item", "Name", "Design"), UnitPrice=80),
            "Design costs 80 in QuickBooks from now on (before: 75).",
        ),
        lambda: day.new_tax_rate(billing, "Half Moon Bay", "8.75", "Board of Equalization"),
        lambda: _said(
            books.new_invoice("1040", "Bayshore Nursery", [("Design", "3", "80"), ("Rocks", "2", "12.50")]),
            "Invoice 1040 is written to Bayshore Nursery in QuickBooks.",
        ),
        lambda: _said(
            books.new_invoice("1041", "Kookies by Kathy", [("Pest Control", "2", "35")]),
            "Invoice 1041 is written to Kookies by Kathy (auto pay) in QuickBooks.",
        ),
        lambda: day.new_invoice(
            billing, "John Melton", [("Soil", "6", "10"), ("Trimming", "2", "35")], on=today, tax_rate="Half Moon Bay"
        ),
        lambda: _said(
            books.change(
                "Invoice", books.one("Invoice", "DocNumber", "1027"), DueDate=f"{today + timedelta(days=45):%Y-%m-%d}"
            ),
            "Invoice 1027 gets another due date in QuickBooks ...",
        ),
        lambda: "... and " + day.edit_invoice(billing, "1027", memo="Thank you for your patience"),
        lambda: _said(
            books.change(
                "Invoice", books.one("Invoice", "DocNumber", "1016"), CustomerMemo={"value": "Second reminder"}
            ),
            "Invoice 1016 gets another memo in QuickBooks ...",
        ),
        lambda: "... and at the same time " + day.edit_invoice(billing, "1016", memo="Payment plan agreed"),
        lambda: day.take_payment(billing, {"1007": "150"}, on=today, method="card"),
        lambda: day.take_payment(billing, {"1015": "354.75"}, on=today, method="echeck"),
        lambda: _said(
            books.record_payment("Sushi by Katsuyuki", [("1018", "80"), ("1019", "80")], "4471"),
            "Sushi by Katsuyuki's check 4471 over 160.00 pays invoices 1018 and 1019 in QuickBooks.",
        ),
        lambda: _said(
            books.record_payment("Jeff's Jalopies", [("1022", "81")], "981"),
            "Jeff's Jalopies' check 981 over 81.00 pays invoice 1022 in QuickBooks, although they are on auto pay.",
        ),
        lambda: _said(books.void_invoice("1024"), "Invoice 1024 of Red Rock Diner is voided in QuickBooks."),
        lambda: _said(
            books.change("Customer", books.one("Customer", "DisplayName", "Cool Cars"), Active=False),
            "Cool Cars is made inactive in QuickBooks.",
        ),
        lambda: _said(
            books.new_invoice(LETTERED, "Travis Waldron", [("Installation", "5", "50")]),
            f"Invoice {LETTERED} is written to Travis Waldron in QuickBooks: a number with a letter.",
        ),
    )
    with Progress(TextColumn("   {task.description}"), BarColumn(), console=night.console) as progress:
        task = progress.add_task("the day", total=len(events))
        for event in events:
            progress.console.print(Text("   · ").append(event()), soft_wrap=True)
            progress.advance(task)


def _said(_record: Any, sentence: str) -> str:
    return sentence


def _evening(night: Night) -> Run:
    night.chapter("3. 22:30: the evening run")
    run = night.run("22:30", kind="night", slot="22:30", slot_date=night.today)
    _tell_steps(night, run)
    risk = night.evidence(run, "midnight-risk.json")
    night.say(f"At risk at midnight: {len(risk)} invoice{'' if len(risk) == 1 else 's'}")
    for item in risk:
        night.say(f"  {item['number']}, {item['customer']}: {show(item['at_risk'])} would be charged again")
    return run


def _mending(night: Night) -> None:
    night.chapter("4. The number is mended in QuickBooks; Synchronize All")
    invoice = night.books.one("Invoice", "DocNumber", LETTERED)
    night.books.change("Invoice", invoice, DocNumber=MENDED)
    night.say(f"Invoice {LETTERED} becomes {MENDED} in QuickBooks.")
    run = night.run("Synchronize All", kind="manual")
    _tell_steps(night, run)


def _midnight(night: Night) -> None:
    night.chapter("5. Midnight: ReliaBills makes recurring invoices and charges auto pay")
    result: MidnightResult = run_midnight(night.billing, night.today)
    for invoice in result.invoices:
        night.say(f"· Invoice {invoice.number} over {show(invoice.total)} is made for {invoice.customer}.")
    for charge in result.charges:
        paid = ", ".join(charge.invoices)
        night.say(f"· {charge.customer} is charged {show(charge.amount)} by {charge.instrument}: {paid}.")


def _morning(night: Night) -> None:
    night.chapter("6. 01:30: what midnight made goes to QuickBooks, and the two sides tie out")
    run = night.run("01:30", kind="night", slot="01:30", slot_date=night.today + timedelta(days=1))
    _tell_steps(night, run)
    _tell_totals(night, run)
    _tell_held(night, run)


def _once_more(night: Night) -> bool:
    night.chapter("7. Once more: nothing is left to do")
    before = _versions(night)
    run = night.run("once more", kind="manual")
    written = _lines(night, run, "journal.jsonl")
    same = _versions(night) == before
    night.say(f"Writes in the journal: {written}. Both databases are {'exactly as before' if same else 'CHANGED'}.")
    return same and written == 0


def _versions(night: Night) -> tuple[Any, ...]:
    """What changes on either side would change: QuickBooks' tokens and times, ReliaBills' versions."""
    books = tuple(
        (record["Id"], record["SyncToken"], record["MetaData"]["LastUpdatedTime"])
        for entity in ("Customer", "Item", "Invoice", "Payment")
        for record in night.books.query(f"select * from {entity} maxresults 1000", entity)  # noqa: S608  constants
    )
    with night.billing.connect() as connection:
        billing = tuple(
            tuple(connection.execute(text(f"select count(*), sum(version), max(updated_at) from {table}")).one())  # noqa: S608  constants
            for table in ("customers", "products", "tax_rates", "invoices", "payments")
        )
    return books, billing


def _lines(night: Night, run: Run, name: str) -> int:
    content = (night.config.runs / run.folder / name).read_text(encoding="utf-8")
    return len([line for line in content.splitlines() if line.strip()])


def _tell_steps(night: Night, run: Run) -> None:
    for step in run.steps:
        mark = {"synced": "✓", "failed": "✗"}.get(step.status.value, "…")
        held = f", {step.held} held" if step.held else ""
        failed = f", {step.failed} failed" if step.failed else ""
        night.say(f"{mark} {step.step.step}. {step.step.plural}: {step.done} done{failed}{held}")
    missing = 5 - len(run.steps)
    if missing:
        night.say(f"  {missing} step{'' if missing == 1 else 's'} not started")


def _tell_held(night: Night, run: Run) -> None:
    held = [finding for finding in night.evidence(run, "findings.json") if finding["severity"] == "hold"]
    if held:
        night.say("Held, because a person must look:")
    for finding in held:
        night.say(f"  · {finding['sentence']}")


def _tell_totals(night: Night, run: Run) -> None:
    table = Table(box=None, padding=(0, 1))
    table.add_column("  ")
    table.add_column("", max_width=28)
    for title in ("QuickBooks", "ReliaBills", "difference", "unexplained"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in run.control_totals["totals"]:
        if row["currency"]:
            amounts = (row[name] for name in ("books", "billing", "difference", "unexplained"))
            table.add_row("", Text(row["measure"]), *(show(amount, row["currency"]) for amount in amounts))
    night.console.print(table)
    night.say(str(run.control_totals["sentence"]))


def _summary(night: Night, evening: Run, *, quiet: bool) -> int:
    night.chapter("The night in short")
    for title, run in night.runs:
        seconds = (run.ended_at - run.started_at).total_seconds() if run.ended_at else 0.0
        night.say(f"{title:<16} {run.outcome.value:<20} {seconds:3.0f} s")
        night.say(f"                 {RunFolder(night.config.runs / run.folder).notebook}")
    command = sys.argv[0] if Path(sys.argv[0]).name == "reconcile" else "reconcile"
    night.say(f"Explain one: {CONFIG_VARIABLE}={night.config.path} {command} show {night.runs[-1][1].id}")
    agreed = {Outcome.AGREED, Outcome.AGREED_EXCEPT_HELD}
    as_it_must = evening.outcome is Outcome.STEP_FAILED and all(
        run.outcome in agreed for _, run in night.runs if run is not evening
    )
    if as_it_must and quiet:
        night.say(Text("Both sides agree to the cent, except for what is held and named.", style="bold green"))
        return 0
    night.say(Text("The night did not come out as it must; see the runs above.", style="bold red"))
    return 1
