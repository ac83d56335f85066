"""What the QuickBooks client costs: calls beside the least possible, rows a second beside a named peer, memory.

Everything runs over real HTTP against the local QuickBooks in a process of its own. The peer is python-quickbooks'
own way: an object per record, then a frame of a few of its fields. Ours is the product's: typed records with amounts
as they are written, then exact integers by columns, every field and line that is synced; records that need a decision
are read one by one. Both ask for the same pages, one after the other (given back by ``pages.py``, so that the far
side's own work is left out), and the time runs from the first request to the frame. Both run in turn, one pass to warm
up and five that count; what is given is the median of the five ratios, by the clock and by the processor, which a busy
machine disturbs less. Memory is the highest resident size of the reading process, and what of it was there before the
first page.

    python benchmarks/quickbooks_client.py [--invoices 200000] [--peer-pages 10]
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pandas as pd
from pages import serving

from reconcile.model.entities import Entity
from reconcile.model.plan import Action
from reconcile.sandbox.quickbooks.process import QuickBooksSandbox, running_quickbooks
from reconcile.sides.quickbooks import (
    Limiter,
    Limits,
    MemoryTokenStore,
    QuickBooksConnection,
    QuickBooksReader,
    QuickBooksSession,
    QuickBooksWriter,
    Tokens,
    query,
)
from reconcile.sides.quickbooks.frames import Harvest, collector_paused
from reconcile.sides.quickbooks.mapping import Lookups
from reconcile.sides.quickbooks.pages import Page, WrittenPage, census_decoder
from reconcile.sides.quickbooks.records import Invoice
from reconcile.sides.quickbooks.session import Answer
from reconcile.sides.side import Status, Write

PAGE, BATCH = 1000, 30
CHANGED = 300
PASSES = 5
GENERATING_SECONDS = 900.0
UNHURRIED = Limits(per_second=10**6, per_minute=10**8, batches_per_minute=10**6)
"""Intuit's limits are left out: they would measure themselves (200 pages take 25 seconds at 8 a second)."""
_KEYS = ("base_url", "discovery_url", "realm_id", "client_id", "client_secret", "access_token", "refresh_token")


@dataclass(frozen=True, slots=True)
class Cost:
    """Calls made for something, and the least that could have done it.

    For a census that is its full pages of 1,000 and one count at the end. Pages overlap by a record, so that nobody's
    deletion leaves a gap, which is sometimes a page more; how many there are is told with the first page and the last.
    """

    what: str
    made: int
    least: int

    def __str__(self) -> str:
        return f"{self.what:<46} {self.made:>6,} calls, least {self.least:>6,} ({self.made / self.least - 1:+.1%})"


@dataclass(frozen=True, slots=True)
class Pace:
    """Rows, and the seconds of the clock and of this process's processor that they took."""

    rows: int
    seconds: float
    busy: float

    @classmethod
    def start(cls) -> Pace:
        """Now."""
        return cls(0, time.perf_counter(), time.process_time())

    def end(self, rows: int) -> Pace:
        """What these rows took since this start."""
        return Pace(rows, time.perf_counter() - self.seconds, time.process_time() - self.busy)


def session_of(keys: dict[str, str]) -> QuickBooksSession:
    """A session with a local QuickBooks, without Intuit's limits."""
    address = QuickBooksConnection(*(keys[name] for name in _KEYS[:5]))
    return QuickBooksSession(
        address, MemoryTokenStore(Tokens(keys["access_token"], keys["refresh_token"])), limiter=Limiter(UNHURRIED)
    )


def keys_of(sandbox: QuickBooksSandbox) -> dict[str, str]:
    """What a process needs to talk to it; passed by the environment, never by arguments."""
    return {name: getattr(sandbox, name) for name in _KEYS}


def peak_megabytes() -> float:
    """The highest resident size of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def read_all() -> None:
    """In a process of its own: a census of the invoices; prints calls, rows, lines, seconds and memory."""
    session = session_of({name: os.environ[f"BENCH_{name.upper()}"] for name in _KEYS})
    reader = QuickBooksReader(session)
    reader.home_currency()
    before, calls = peak_megabytes(), session.calls
    started = time.perf_counter()
    snapshot = reader.census(Entity.INVOICE)
    seconds = time.perf_counter() - started
    print(session.calls - calls, len(snapshot), len(snapshot.rows), seconds, before, peak_megabytes())


def peer(keys: dict[str, str], pages: int) -> Pace:
    """python-quickbooks' own way with the same pages."""
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # its library refuses plain http even to this machine
    from intuitlib.client import AuthClient  # noqa: PLC0415 - only the peer needs it
    from quickbooks import QuickBooks  # noqa: PLC0415 - the same
    from quickbooks.objects.invoice import Invoice as TheirInvoice  # noqa: PLC0415 - the same

    class Local(QuickBooks):  # type: ignore[misc]  # python-quickbooks is untyped
        api_url_v3 = sandbox_api_url_v3 = f"{keys['base_url']}/v3"

    access = AuthClient(
        keys["client_id"], keys["client_secret"], "", keys["discovery_url"], access_token=keys["access_token"]
    )
    client = Local(
        auth_client=access, refresh_token=keys["refresh_token"], company_id=keys["realm_id"], minorversion=75
    )
    started = Pace.start()
    records, lines = [], []
    for page in range(pages):
        for found in TheirInvoice.query(query.select("Invoice", start=1 + page * PAGE), qb=client):
            customer = found.CustomerRef.value if found.CustomerRef else None
            records.append(
                (found.Id, found.SyncToken, found.DocNumber, found.TxnDate, found.DueDate, customer, found.TotalAmt)
            )
            lines += [(found.Id, line.Description, line.Amount, line.DetailType) for line in found.Line]
    frame = pd.DataFrame(records)
    pd.DataFrame(lines)
    return started.end(len(frame))


def ours(session: QuickBooksSession, pages: int) -> Pace:
    """The product's way with the same pages, one page after the other and without counting."""
    currency = QuickBooksReader(session).home_currency()
    started = Pace.start()
    harvest = Harvest(Entity.INVOICE, Lookups(home_currency=currency))
    with collector_paused():
        for page in range(pages):
            harvest.add(fetched(session, 1 + page * PAGE))
        frame, _ = harvest.frames()
    return started.end(len(frame))


def keep_pages(session: QuickBooksSession, pages: int, folder: Path) -> None:
    """The first invoices as they come over the wire, for a server that only gives them back."""
    shape = msgspec.json.Decoder(dict[str, msgspec.Raw])
    with (folder / "Invoice.jsonl").open("wb") as file:
        for page in range(pages):
            answer: Answer[bytes] = session.call(
                "POST",
                session.address("query"),
                body=query.select("Invoice", start=1 + page * PAGE),
                content_type="application/text",
                decode=bytes,
            )
            listed = shape.decode(shape.decode(answer.required())["QueryResponse"])["Invoice"]
            for record in msgspec.json.decode(listed, type=list[msgspec.Raw]):
                file.write(bytes(record) + b"\n")


def fetched(session: QuickBooksSession, start: int) -> Page[Invoice] | WrittenPage[Invoice]:
    """One page of invoices."""
    answer: Answer[Page[Invoice] | WrittenPage[Invoice]] = session.call(
        "POST",
        session.address("query"),
        body=query.select("Invoice", start=start),
        content_type="application/text",
        decode=census_decoder(Invoice),
    )
    return answer.required()


def new_customer(number: int) -> Write:
    """A customer to be made, its request id as the journal makes them."""
    fields = {"display_name": f"Benchmark customer {number}", "email": "b@example.com"}
    return Write(f"{number // BATCH:030x}{number:010x}", Entity.CUSTOMER, Action.CREATE, None, None, fields, fields)


def costs(session: QuickBooksSession) -> list[Cost]:
    """Writes and deltas."""
    found = []
    writer = QuickBooksWriter(session, income_account="Sales of Product Income")
    writer.home_currency()
    since = datetime.now(UTC) + timedelta(minutes=6)
    reader = QuickBooksReader(session)
    before = session.calls
    reader.identity()
    reader.changed(list(Entity), since)
    reader.preferences()
    reader.filed_until()
    found.append(Cost("quiet delta: who it is, and nothing changed", session.calls - before, 4))
    before = session.calls
    for start in range(0, CHANGED, BATCH):
        outcomes = writer.write([new_customer(number) for number in range(start, start + BATCH)])
        if any(outcome.status is not Status.DONE for outcome in outcomes):
            raise SystemExit(outcomes[0].reason)
    found.append(Cost(f"{CHANGED} customers made", session.calls - before, math.ceil(CHANGED / BATCH)))
    reader = QuickBooksReader(session)
    before = session.calls
    reader.identity()
    changed = reader.changed(list(Entity), datetime.now(UTC) - timedelta(seconds=60))
    found.append(Cost(f"delta of {len(changed[Entity.CUSTOMER])} changed customers", session.calls - before, 4))
    ids = changed[Entity.CUSTOMER].frame["id"].to_list()
    before = session.calls
    reader.fetch(Entity.CUSTOMER, ids)
    found.append(Cost(f"{len(ids)} customers read back", session.calls - before, math.ceil(len(ids) / PAGE)))
    return found


def main() -> None:
    """Run everything and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--invoices", type=int, default=200_000)
    parser.add_argument("--peer-pages", type=int, default=10)
    chosen = parser.parse_args()
    if os.environ.get("BENCH_REALM_ID"):
        read_all()
        return
    started = time.perf_counter()
    with running_quickbooks("generated", patience=GENERATING_SECONDS, invoices=chosen.invoices) as sandbox:
        keys = keys_of(sandbox)
        print(f"A QuickBooks of {chosen.invoices:,} invoices, made in {time.perf_counter() - started:.0f} s")
        environment = os.environ | {f"BENCH_{name.upper()}": value for name, value in keys.items()}
        told = subprocess.run(  # noqa: S603 - this very file
            [sys.executable, __file__], env=environment, check=True, capture_output=True, text=True
        ).stdout.split()
        calls, rows, lines = map(int, told[:3])
        seconds, before, peak = map(float, told[3:])
        least = math.ceil(rows / PAGE) + 1
        print(Cost(f"census of {rows:,} invoices, counted at the end", calls, least))
        print(f"  {seconds:.1f} s: {rows / seconds:,.0f} invoices and {lines / seconds:,.0f} lines a second to frames")
        print(f"  memory {before:.0f} MB before the first page, at most {peak:.0f} MB")
        pages = min(chosen.peer_pages, chosen.invoices // PAGE)
        with tempfile.TemporaryDirectory() as folder:
            keep_pages(session_of(keys), pages, Path(folder))
            with serving(Path(folder)) as address:
                keys["base_url"] = address
                passes = [(ours(session_of(keys), pages), peer(keys, pages)) for _ in range(1 + PASSES)][1:]
        print(
            f"{pages} pages of invoices, HTTP to frame, rows/s beside python-quickbooks, the middle of {PASSES} passes:"
        )
        for what in ("seconds", "busy"):
            paces = [(mine.rows / getattr(mine, what), theirs.rows / getattr(theirs, what)) for mine, theirs in passes]
            fast, slow = sorted(paces, key=lambda pace: pace[0] / pace[1])[PASSES // 2]
            by = "clock" if what == "seconds" else "processor"
            print(f"  by the {by}: {fast:,.0f}; python-quickbooks {slow:,.0f}: {fast / slow:.1f} times")
    with running_quickbooks("empty") as sandbox:
        for cost in costs(session_of(keys_of(sandbox))):
            print(cost)


if __name__ == "__main__":
    main()
