"""The stages of a night, each a function of the folder that holds the company; ``night.py`` runs and shows them.

Run as a script it carries out one stage and prints its figures as one JSON line.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pickle
import pstats
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import generate
import pages
import pandas as pd
from quickbooks.objects.invoice import Invoice

from checks import validate
from reconcile.compare.circumstances import Circumstances
from reconcile.compare.diff import compare_all
from reconcile.compare.guards import guards
from reconcile.compare.planning import make_plan
from reconcile.compare.tieout import control_totals
from reconcile.model.entities import Entity, Side
from reconcile.model.journal import AgreementUpdate
from reconcile.model.runs import Mode, Outcome, Run
from reconcile.sides.billing import BillingReader
from reconcile.sides.pull import pull_census, pull_delta
from reconcile.sides.quickbooks import (
    Limiter,
    Limits,
    MemoryTokenStore,
    QuickBooksConnection,
    QuickBooksReader,
    QuickBooksSession,
    Tokens,
)
from reconcile.sides.quickbooks.frames import Harvest
from reconcile.sides.quickbooks.mapping import Lookups
from reconcile.sides.quickbooks.pages import page_decoder
from reconcile.sides.quickbooks.records import SHAPES
from reconcile.sides.side import Readable
from reconcile.state import lease, runs
from reconcile.state.database import migrate, open_state
from reconcile.state.journal import Journal
from reconcile.state.links import Links

COMPANY = "large"
CHANGES = 50
DIFFERING = 0.01
SAMPLE_PAGES = 20

Figures = dict[str, Any]


@dataclass
class Watch:
    """Takes the time of the measured parts of a stage.

    Attributes:
        parts: seconds by the clock, per part.
        figures: what was done.
        before: resident memory before the first part, MB.
        worked: seconds of processor time of all parts; less than by the clock when others use the machine, too.
        profile: records where the time goes, when asked to.
    """

    parts: dict[str, float] = field(default_factory=dict)
    figures: Figures = field(default_factory=dict)
    before: float = 0.0
    worked: float = 0.0
    profile: cProfile.Profile | None = None

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """One measured part; what is loaded outside of the parts does not count."""
        if not self.parts:
            self.before = memory_now()
        if self.profile is not None:
            self.profile.enable()
        started, worked = time.perf_counter(), time.process_time()
        yield
        self.parts[name] = self.parts.get(name, 0.0) + time.perf_counter() - started
        self.worked += time.process_time() - worked
        if self.profile is not None:
            self.profile.disable()


def memory_now() -> float:
    """Resident memory of this process, MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


# Preparing ------------------------------------------------------------------------------------------------------------


def prepare(folder: Path, watch: Watch, size: Mapping[str, int]) -> None:
    """Make the company before and after its differences, and what both sides answer with."""
    facts = generate.make_facts(generate.Size(**size))
    before, after = generate.differing_world(facts, DIFFERING)
    worlds = {
        "before": before,
        "census": after,
        "quiet": generate.before_changes(facts, CHANGES),
        "delta": generate.changed_world(facts, CHANGES),
    }
    with watch.part("generate"):
        for name, world in worlds.items():
            keep(folder, name, {side: generate.snapshots(world, side) for side in Side})
        for name in ("census", "delta"):
            generate.write_billing(worlds[name], folder / f"{name}.db")
            generate.write_books(worlds[name], folder / f"{name}-books")


def remember(folder: Path, watch: Watch) -> None:
    """First sync of two sides that agree: compare without a past, link everything, remember it (once per world)."""
    for world, state in (("before", "census"), ("quiet", "delta")):
        (frames,) = kept(folder, world)
        first_sync(folder / f"{state}-state.db", frames, watch if world == "before" else Watch())


def first_sync(path: Path, frames: Mapping[Any, Any], watch: Watch) -> None:
    """Link and remember what is the same on both sides, as the first night does."""
    url = f"sqlite:///{path}"
    migrate(url)
    engine, journal = open_journal(url)
    agreements = {entity: Links(engine, COMPANY).agreement(entity) for entity in Entity}
    books, billing = frames[Side.BOOKS], frames[Side.BILLING]
    with watch.part("compare"):
        compared = compare_all(books, billing, agreements)
    with watch.part("plan"):
        plan = make_plan(COMPANY, compared, books, billing, agreements, ()).plan
    updates = [
        (
            operation,
            AgreementUpdate(
                operation.step,
                operation.books_id or "",
                operation.billing_id or "",
                "0",
                "1",
                operation.agreed,
                operation.unsettled,
            ),
        )
        for operation in plan.operations
    ]
    with watch.part("remember"):
        journal.remember(updates)
    watch.figures = {"links": len(updates), "writes": sum(1 for _ in plan.writes())}


def open_journal(url: str) -> tuple[Any, Any]:
    """A state with one run that holds its company."""
    engine = open_state(url)
    run_id = runs.new_run_id(generate.NOW)
    run = Run(run_id, COMPANY, "night", Mode.CENSUS, True, "", None, {}, generate.NOW, None, Outcome.RUNNING, "", "")
    runs.create(engine, run)
    held = lease.acquire(engine, COMPANY, "benchmark", run.id, timedelta(hours=1))
    return engine, Journal(engine, COMPANY, run.id, held)


# The census, stage by stage -------------------------------------------------------------------------------------------


def pull_billing(folder: Path, watch: Watch) -> None:
    """Read all of ReliaBills."""
    reader = BillingReader(f"sqlite:///{folder / 'census.db'}", COMPANY)
    with watch.part("pull"):
        pulled = pull_census(reader)
    watch.figures = counted(pulled)
    keep(folder, "billing", pulled)


def pull_books(folder: Path, watch: Watch) -> None:
    """Read all of QuickBooks: pages over HTTP, typed records, frames."""
    with pages.serving(folder / "census-books") as url:
        session = books_session(url)
        with watch.part("pull"):
            pulled = pull_census(QuickBooksReader(session))
    calls = session.calls
    watch.figures = counted(pulled) | {"calls": calls, "seconds at 8 calls a second": calls // Limits().per_second}
    keep(folder, "books", pulled)


def books_session(url: str) -> QuickBooksSession:
    """The product's own session on this address, without Intuit's limits of calls: the work is to be seen."""
    connection = QuickBooksConnection(url, f"{url}/discovery", pages.REALM, "client", "secret")
    unlimited = Limiter(Limits(per_second=10_000, per_minute=600_000, batches_per_minute=600_000))
    tokens = MemoryTokenStore(Tokens("access", "refresh"))
    return QuickBooksSession(connection, tokens, limiter=unlimited)


def recall(folder: Path, watch: Watch) -> None:
    """Read what both sides last agreed on from the state database."""
    links = Links(open_state(f"sqlite:///{folder / 'census-state.db'}"), COMPANY)
    with watch.part("read the base"):
        agreements = {entity: links.agreement(entity) for entity in Entity}
    watch.figures = {"links": sum(len(agreement.frame) for agreement in agreements.values())}
    keep(folder, "agreements", agreements)


def compare(folder: Path, watch: Watch) -> None:
    """Compare both sides with what they last agreed on."""
    books, billing, agreements = kept(folder, "books", "billing", "agreements")
    keep(folder, "compared", compared(books, billing, agreements, watch))


def check(folder: Path, watch: Watch) -> None:
    """Validate both sides by the rules of ``checks/``."""
    books, billing, comparisons = kept(folder, "books", "billing", "compared")
    keep(folder, "findings", checked(books, billing, comparisons, watch))


def plan(folder: Path, watch: Watch) -> None:
    """Decide what a push would do."""
    books, billing, agreements, comparisons, findings = kept(
        folder, "books", "billing", "agreements", "compared", "findings"
    )
    planned(books, billing, agreements, comparisons, findings, watch)


def tie_out(folder: Path, watch: Watch) -> None:
    """Prove the result."""
    books, billing, comparisons, findings = kept(folder, "books", "billing", "compared", "findings")
    tied(books, billing, comparisons, findings, watch)


def whole_census(folder: Path, watch: Watch) -> None:
    """The whole census in one process, as the notebook does it."""
    with watch.part("pull billing"):
        billing = pull_census(BillingReader(f"sqlite:///{folder / 'census.db'}", COMPANY))
    with pages.serving(folder / "census-books") as url, watch.part("pull books"):
        books = pull_census(QuickBooksReader(books_session(url)))
    judge(folder / "census-state.db", books, billing, watch)


def whole_delta(folder: Path, watch: Watch) -> None:
    """A night with 50 changes in one process: what changed, and all that is needed to judge it."""
    links = Links(open_state(f"sqlite:///{folder / 'delta-state.db'}"), COMPANY)
    since = generate.SETTLED_AT + timedelta(hours=1)
    with pages.serving(folder / "delta-books") as url:
        sides: dict[Side, Readable] = {
            Side.BOOKS: QuickBooksReader(books_session(url)),
            Side.BILLING: BillingReader(f"sqlite:///{folder / 'delta.db'}", COMPANY),
        }
        with watch.part("read the links"):
            pairs = {entity: links.pairs(entity) for entity in Entity}
        with watch.part("pull both"):
            pulled = pull_delta(sides, dict.fromkeys(Side, since), pairs, {})
    judge(folder / "delta-state.db", pulled[Side.BOOKS], pulled[Side.BILLING], watch)
    watch.figures |= {"read": {str(side): counted(pulled[side]) for side in Side}}


def judge(state: Path, books: Any, billing: Any, watch: Watch) -> None:
    """From pulled frames to the tie-out."""
    links = Links(open_state(f"sqlite:///{state}"), COMPANY)
    with watch.part("read the base"):
        agreements = {entity: links.agreement(entity) for entity in Entity}
    with watch.part("guards"):
        stopped = guards(books, billing, agreements)
    comparisons = compared(books, billing, agreements, watch)
    findings = checked(books, billing, comparisons, watch)
    planned(books, billing, agreements, comparisons, findings, watch)
    tied(books, billing, comparisons, findings, watch)
    watch.figures["guards"] = len(stopped)


def compared(books: Any, billing: Any, agreements: Any, watch: Watch) -> Any:
    """The comparison of all five entities."""
    with watch.part("compare"):
        comparisons = compare_all(books, billing, agreements)
    changes = sum(len(comparison.changes) for comparison in comparisons.values())
    watch.figures |= {"changes": changes, "quiet": sum(one.quiet for one in comparisons.values())}
    return comparisons


def checked(books: Any, billing: Any, comparisons: Any, watch: Watch) -> Any:
    """All findings of the run."""
    with watch.part("import the checks"):
        import_module("great_expectations")  # slow, and must be seen
    with watch.part("validate"):
        validation = validate(
            books,
            billing,
            today=generate.TODAY,
            linked={entity: frozenset(one.pairs["books_id"]) for entity, one in comparisons.items()},
            linked_billing={entity: frozenset(one.pairs["billing_id"]) for entity, one in comparisons.items()},
        )
    findings = [*validation.findings, *(found for one in comparisons.values() for found in one.findings)]
    watch.figures["findings"] = len(findings)
    return findings


def planned(books: Any, billing: Any, agreements: Any, comparisons: Any, findings: Any, watch: Watch) -> None:
    """The plan."""
    with watch.part("plan"):
        given = Circumstances(today=generate.TODAY)
        made = make_plan(COMPANY, comparisons, books, billing, agreements, findings, circumstances=given).plan
    watch.figures |= {"operations": len(made.operations), "writes": sum(1 for _ in made.writes())}


def tied(books: Any, billing: Any, comparisons: Any, findings: Any, watch: Watch) -> None:
    """The tie-out."""
    pairs = {entity: one.pairs[["books_id", "billing_id"]] for entity, one in comparisons.items()}
    with watch.part("tie out"):
        control_totals(books, billing, pairs, findings)


def counted(pulled: Mapping[Any, Any]) -> Figures:
    """How many records of each kind were read."""
    return {str(entity): len(snapshot) for entity, snapshot in pulled.items()}


def keep(folder: Path, name: str, value: object) -> None:
    """Put what later stages need beside the company."""
    (folder / f"kept-{name}.pickle").write_bytes(pickle.dumps(value))


def kept(folder: Path, *names: str) -> tuple[Any, ...]:
    """What earlier stages put there."""
    return tuple(pickle.loads((folder / f"kept-{name}.pickle").read_bytes()) for name in names)  # noqa: S301  (our own)


# Peers ----------------------------------------------------------------------------------------------------------------


def sample_pages(folder: Path) -> list[bytes]:
    """The first pages of invoices as they come over the wire."""
    with (folder / "census-books" / "Invoice.jsonl").open("rb") as file:
        return [pages.envelope("Invoice", list(islice(file, 1000))) for _ in range(SAMPLE_PAGES)]


def peer_ours(folder: Path, watch: Watch) -> None:
    """Our way: typed records, exact cents, frames of header and lines."""
    bodies = sample_pages(folder)
    with watch.part("read"):
        decode = page_decoder(SHAPES[Entity.INVOICE])
        harvest = Harvest(Entity.INVOICE, Lookups())
        for body in bodies:
            harvest.add(decode(body))
        frame, rows = harvest.frames()
    watch.figures = {"invoices": len(frame), "lines": len(rows)}


def peer_python_quickbooks(folder: Path, watch: Watch) -> None:
    """python-quickbooks: an object per invoice and line, then frames; amounts are floats unless told otherwise."""
    bodies = sample_pages(folder)
    with watch.part("read"):
        header, lines = [], []
        for body in bodies:
            for item in json.loads(body)["QueryResponse"].get("Invoice", []):
                invoice = Invoice.from_json(item)
                header.append(
                    {
                        "id": invoice.Id,
                        "version": invoice.SyncToken,
                        "updated_at": invoice.MetaData.LastUpdatedTime,
                        "number": invoice.DocNumber,
                        "customer_id": invoice.CustomerRef.value,
                        "invoice_date": invoice.TxnDate,
                        "due_date": invoice.DueDate,
                        "tax_rate_id": getattr(getattr(invoice.TxnTaxDetail, "TxnTaxCodeRef", None), "value", None),
                        "memo": getattr(invoice.CustomerMemo, "value", None),
                        "tax": invoice.TxnTaxDetail.TotalTax,
                        "total": invoice.TotalAmt,
                        "balance": invoice.Balance,
                    }
                )
                for position, line in enumerate(invoice.Line, start=1):
                    if line.DetailType != "SalesItemLineDetail":
                        continue
                    detail = line.SalesItemLineDetail
                    lines.append(
                        {
                            "parent_id": invoice.Id,
                            "position": position,
                            "product_id": detail.ItemRef.value,
                            "description": line.Description,
                            "quantity": detail.Qty,
                            "unit_price": detail.UnitPrice,
                            "amount": line.Amount,
                            "taxable": detail.TaxCodeRef.value == "TAX",
                        }
                    )
        frame, rows = pd.DataFrame(header), pd.DataFrame(lines)
    watch.figures = {"invoices": len(frame), "lines": len(rows)}


def peer_json_normalize(folder: Path, watch: Watch) -> None:
    """Pandas' json_normalize, header and lines; amounts are floats."""
    bodies = sample_pages(folder)
    with watch.part("read"):
        items = [item for body in bodies for item in json.loads(body)["QueryResponse"].get("Invoice", [])]
        frame = pd.json_normalize(items)
        rows = pd.json_normalize(items, record_path="Line", meta="Id", meta_prefix="invoice_")
        rows = rows[rows["DetailType"] == "SalesItemLineDetail"]
    watch.figures = {"invoices": len(frame), "lines": len(rows)}


# Running --------------------------------------------------------------------------------------------------------------

STAGES: dict[str, Callable[[Path, Watch], None]] = {
    "remember": remember,
    "pull_billing": pull_billing,
    "pull_books": pull_books,
    "recall": recall,
    "compare": compare,
    "check": check,
    "plan": plan,
    "tie_out": tie_out,
    "whole_census": whole_census,
    "whole_delta": whole_delta,
    "peer_ours": peer_ours,
    "peer_python_quickbooks": peer_python_quickbooks,
    "peer_json_normalize": peer_json_normalize,
}


def show_profile(profile: cProfile.Profile) -> None:
    """Where the time went: by function with all it calls, and by function alone."""
    stats = pstats.Stats(profile, stream=sys.stderr)
    stats.sort_stats("cumulative").print_stats("reconcile|checks", 30)
    stats.sort_stats("tottime").print_stats(20)


def main() -> None:
    """One stage in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=["prepare", *STAGES])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", default="{}", help="JSON: customers, products, invoices, payments")
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    watch = Watch(profile=cProfile.Profile() if arguments.profile else None)
    if arguments.stage == "prepare":
        prepare(arguments.folder, watch, json.loads(arguments.size))
    else:
        STAGES[arguments.stage](arguments.folder, watch)
    if watch.profile is not None:
        show_profile(watch.profile)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    measured = {"parts": watch.parts, "figures": watch.figures, "before": watch.before, "worked": watch.worked}
    print(json.dumps(measured | {"peak": peak}))


if __name__ == "__main__":
    main()
