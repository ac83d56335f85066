"""Reading against a server that changes its mind: pages that drift, counts that disagree, changes that overflow."""

import json
import math
import random
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

import pytest

from reconcile.errors import IncompletePullError, RefusedError, UnreachableError
from reconcile.model.entities import Entity
from reconcile.model.snapshot import Scope
from reconcile.sides.quickbooks import QuickBooksReader, query
from reconcile.sides.quickbooks.novelties import Novelties
from reconcile.sides.quickbooks.pages import Broken, read_each
from reconcile.sides.quickbooks.records import Customer, resource
from tests.sides.quickbooks.conftest import Asked, Said, Server, World, said

NOW = datetime(2025, 8, 1, 16, 0, tzinfo=UTC)
TIME = "2025-08-01T09:00:00.11-07:00"
PREFERENCES = {"Preferences": {"CurrencyPrefs": {"HomeCurrency": {"value": "USD"}}}, "time": TIME}
NOT_FOUND = said(
    {"Fault": {"Error": [{"Message": "Object Not Found", "code": "610"}], "type": "ValidationFault"}}, status=400
)


class Company:
    """Customers in a list, served by position as QuickBooks does."""

    def __init__(self, server: Server, ids: list[int]) -> None:
        self.ids = ids
        self.statements: list[str] = []
        self.before_page: Callable[[int], None] = lambda _: None
        self.counts: list[int] = []
        self.cdc: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.count_first = False
        server.answer = self.answer

    def answer(self, asked: Asked) -> Said:
        if asked.path.endswith("/preferences"):
            return said(PREFERENCES)
        if asked.path.endswith("/cdc"):
            self.statements.append(json.dumps(asked.query))
            return said({"CDCResponse": [{"QueryResponse": self.cdc}], "time": TIME})
        if asked.path.endswith("/batch"):
            items = json.loads(asked.body)["BatchItemRequest"]
            self.calls.append("+".join(kind_of(item["Query"]) for item in items))
            in_turn = sorted(items, key=lambda item: "COUNT" not in item["Query"]) if self.count_first else items
            return said({"BatchItemResponse": [self.item(item) for item in in_turn], "time": TIME})
        if asked.path.endswith("/query"):
            statement = asked.body.decode()
            self.statements.append(statement)
            self.calls.append(kind_of(statement))
            return self.count() if "COUNT" in statement else self.page(statement)
        wanted = int(asked.path.rsplit("/", 1)[1])
        return said({"Customer": customer(wanted), "time": TIME}) if wanted in self.ids else NOT_FOUND

    def item(self, item: dict[str, str]) -> dict[str, Any]:
        self.statements.append(item["Query"])
        found = self.count() if "COUNT" in item["Query"] else self.page(item["Query"])
        answer: dict[str, Any] = json.loads(found.body)
        return {"bId": item["bId"], "QueryResponse": answer["QueryResponse"]}

    def count(self) -> Said:
        return said(
            {"QueryResponse": {"totalCount": self.counts.pop(0) if self.counts else len(self.ids)}, "time": TIME}
        )

    def page(self, statement: str) -> Said:
        start = int(re.search(r"STARTPOSITION (\d+)", statement)[1])
        self.before_page(start)
        most = int(re.search(r"MAXRESULTS (\d+)", statement)[1])
        ids = self.ids[start - 1 : start - 1 + most]
        among = re.search(r"Id IN \((.*)\)", statement)
        if among:
            ids = [one for one in self.ids if f"'{one}'" in among[1]]
        return said({"QueryResponse": {"Customer": [customer(one) for one in ids]} if ids else {}, "time": TIME})

    @property
    def pages(self) -> int:
        return sum("STARTPOSITION" in statement for statement in self.statements)


def kind_of(statement: str) -> str:
    return "count" if "COUNT" in statement else "page"


def customer(number: int) -> dict[str, Any]:
    return {"Id": str(number), "SyncToken": "0", "DisplayName": f"Customer {number}", "Active": True}


@pytest.fixture
def reader(world: World) -> QuickBooksReader:
    return QuickBooksReader(world.session, clock=lambda: NOW)


def test_a_census_reads_every_page_once_and_counts_at_the_end(server: Server, reader: QuickBooksReader) -> None:
    company = Company(server, list(range(1, 2501)))
    seen = []

    snapshot = reader.census(Entity.CUSTOMER, lambda done, expected: seen.append((done, expected)))

    assert snapshot.frame["id"].to_list() == [str(one) for one in company.ids]
    assert (snapshot.scope, snapshot.counted, snapshot.as_of) == (Scope.CENSUS, 2500, NOW.replace(microsecond=110_000))
    assert company.pages == 3
    assert company.statements[-1] == "SELECT COUNT(*) FROM Customer WHERE Active IN (true, false)"
    assert seen[-1] == (2500, 2500)


@pytest.mark.parametrize(
    ("size", "between"),
    [
        (0, 0),
        (999, 0),
        (1000, 0),
        (1001, 0),
        (2000, 1),
        (9_900, 8),
        (10_000, 9),
        (20_000, 19),
        (29_900, 28),
        (39_999, 39),
    ],
)
def test_a_census_asks_for_no_more_than_its_pages_and_a_count(
    server: Server, reader: QuickBooksReader, size: int, between: int
) -> None:
    company = Company(server, list(range(1, size + 1)))

    assert len(reader.census(Entity.CUSTOMER)) == size
    first, last = ["page+count"], ["page+count"] if size > 1000 else []
    assert company.calls == first + ["page"] * between + last
    assert len(company.calls) <= math.ceil(size / 1000) + 1


@pytest.mark.parametrize("count_first", [False, True])
@pytest.mark.parametrize("comes", [False, True])
@pytest.mark.parametrize("victim", [1, 500, 999, 1000, 1001, 1005])
def test_what_happens_at_the_last_page_and_its_count_leaves_no_gap_and_no_ghost(
    server: Server,
    reader: QuickBooksReader,
    count_first: bool,
    comes: bool,
    victim: int,
) -> None:
    """A record vanishes, and another may come, while the last few are read and all are counted."""
    company = Company(server, list(range(1, 1006)))
    company.cdc = [group()]
    company.count_first = count_first

    def work(start: int) -> None:
        if start > 1 and victim in company.ids:
            company.ids.remove(victim)
            new = [1006] if comes else []
            company.ids += new
            company.cdc = [group(*map(customer, new), deleted(victim))]

    company.before_page = work

    frame = reader.census(Entity.CUSTOMER).frame

    assert company.calls[:2] == ["page+count", "page+count"]
    assert sorted(map(int, frame["id"])) == company.ids


@pytest.mark.parametrize("count_first", [False, True])
@pytest.mark.parametrize("comes", [False, True])
@pytest.mark.parametrize("victim", [1, 3, 5])
def test_what_happens_while_an_only_page_is_read_and_counted_leaves_no_gap_and_no_ghost(
    server: Server, reader: QuickBooksReader, count_first: bool, comes: bool, victim: int
) -> None:
    company = Company(server, list(range(1, 6)))
    company.count_first = count_first
    count, page = company.count, company.page
    steps = iter([False, True])

    def work() -> None:
        if next(steps, False):
            company.ids.remove(victim)
            new = [6, 7] if comes else []
            company.ids += new
            company.cdc = [group(*map(customer, new), deleted(victim))]

    def counted() -> Said:
        work()
        return count()

    def paged(statement: str) -> Said:
        work()
        return page(statement)

    company.count, company.page = counted, paged

    frame = reader.census(Entity.CUSTOMER).frame

    assert company.calls[0] == "page+count"
    assert sorted(map(int, frame["id"])) == company.ids


def test_what_vanishes_between_the_last_page_and_its_count_is_no_ghost(
    server: Server, reader: QuickBooksReader
) -> None:
    company = Company(server, list(range(1, 1006)))
    count = company.count

    def vanish() -> Said:
        if company.calls == ["page+count", "page+count"]:
            company.ids.remove(5)
            company.cdc = [group(deleted(5))]
        return count()

    company.count = vanish

    snapshot = reader.census(Entity.CUSTOMER)

    assert "5" not in set(snapshot.frame["id"])
    assert snapshot.counted == 1004


def test_what_vanishes_and_what_comes_make_up_for_each_other_in_the_count_and_are_found_all_the_same(
    world: World, server: Server
) -> None:
    reader = QuickBooksReader(world.session, clock=lambda: NOW, page_size=50)
    company = Company(server, list(range(2, 602, 2)))
    company.cdc = [group()]
    once = Lock()

    def work(start: int) -> None:
        if start > 100 and once.acquire(blocking=False):
            del company.ids[:2]
            company.cdc = [group(deleted(2), deleted(4))]
        elif start > 250 and 5 not in company.ids:
            company.ids = sorted([*company.ids, 5, 7])
            company.cdc = [group(deleted(2), deleted(4), customer(5), customer(7))]

    company.before_page = work

    frame = reader.census(Entity.CUSTOMER).frame

    assert sorted(map(int, frame["id"])) == company.ids


def test_the_last_page_is_asked_for_when_all_others_are_there(world: World, server: Server) -> None:
    company = Company(server, list(range(1, 1003)))
    order: list[int] = []
    company.before_page = order.append

    QuickBooksReader(world.session, clock=lambda: NOW, page_size=51).census(Entity.CUSTOMER)

    assert order[-1] == max(order) == 1001
    assert company.calls[-1] == "page+count"


@pytest.mark.parametrize("silent", [0, 1, None])
def test_what_a_batch_does_not_answer_is_asked_by_itself(
    server: Server, reader: QuickBooksReader, silent: int | None
) -> None:
    company = Company(server, list(range(1, 1006)))
    item = company.item
    company.item = lambda asked: (
        {"bId": asked["bId"]} if (silent is None or silent == int(asked["bId"])) else item(asked)
    )

    snapshot = reader.census(Entity.CUSTOMER)

    assert (len(snapshot), snapshot.counted) == (1005, 1005)
    alone = {0: ["page", "count"], 1: ["count"], None: ["page", "count"]}[silent]
    assert company.calls == ["page+count", *alone, "page+count", *alone]


def test_an_empty_company_is_empty_and_counted(server: Server, reader: QuickBooksReader) -> None:
    Company(server, [])

    snapshot = reader.census(Entity.CUSTOMER)

    assert (len(snapshot), snapshot.counted) == (0, 0)


@pytest.mark.parametrize("size", [999, 1000, 1001, 1999, 2000])
def test_pages_end_where_the_company_ends(server: Server, reader: QuickBooksReader, size: int) -> None:
    Company(server, list(range(1, size + 1)))

    assert len(reader.census(Entity.CUSTOMER)) == size


@pytest.mark.parametrize(
    ("removed", "told"), [(1, True), (2, True), (49, False), (50, False), (51, False), (1000, True)]
)
def test_records_deleted_while_pages_are_read_leave_no_gap_and_no_ghost(
    world: World, server: Server, removed: int, told: bool
) -> None:
    reader = QuickBooksReader(world.session, clock=lambda: NOW, page_size=50)
    company = Company(server, list(range(1, 2601)))
    once = Lock()

    def delete(start: int) -> None:
        if start > 1000 and once.acquire(blocking=False):
            del company.ids[:removed]
            company.cdc = [group(*map(deleted, range(1, removed + 1)))] if told else []

    company.before_page = delete

    frame = reader.census(Entity.CUSTOMER).frame

    assert frame["id"].to_list() == list(map(str, range(removed + 1, 2601)))


def test_records_made_while_pages_are_read_are_read_too(world: World, server: Server) -> None:
    reader = QuickBooksReader(world.session, clock=lambda: NOW, page_size=50)
    company = Company(server, list(range(1, 1001)))
    company.cdc = [group()]

    def make(_start: int) -> None:
        number = company.ids[-1] + 1
        company.ids.append(number)
        company.cdc = [group(*map(customer, range(1001, number + 1)))]

    company.before_page = make

    frame = reader.census(Entity.CUSTOMER).frame

    assert frame["id"].is_unique
    assert set(frame["id"]) == set(map(str, company.ids))


@pytest.mark.parametrize("seed", range(5))
def test_somebody_at_work_all_the_time_leaves_neither_gap_nor_ghost(world: World, server: Server, seed: int) -> None:
    """Records vanish, come and come back at any position while pages are read in any order."""
    draw = random.Random(seed)  # noqa: S311 - a drawn day's work, no secret
    reader = QuickBooksReader(world.session, clock=lambda: NOW, page_size=40)
    company = Company(server, list(range(2, 1202, 2)))
    company.cdc = [group()]
    lock = Lock()
    state = {"left": 30, "new": [], "gone": []}

    def work(_start: int) -> None:
        with lock:
            if not state["left"]:
                return
            state["left"] -= 1
            for victim in draw.sample(company.ids, 3):
                company.ids.remove(victim)
                state["gone"].append(victim)
            for _ in range(draw.randrange(6)):
                odd = draw.randrange(1, 1400, 2)
                if odd not in company.ids and odd not in state["gone"]:
                    company.ids.append(odd)
                    company.ids.sort()
                    state["new"].append(odd)
            here = [one for one in state["new"] if one in company.ids]
            company.cdc = [group(*map(customer, here), *map(deleted, state["gone"]))]

    company.before_page = work

    frame = reader.census(Entity.CUSTOMER).frame

    assert frame["id"].is_unique
    assert set(frame["id"]) == set(map(str, company.ids))


def test_pages_are_asked_for_at_the_same_time_but_not_too_many(world: World, server: Server) -> None:
    company = Company(server, list(range(1, 1001)))
    running: list[int] = []
    most = [0]
    lock = Lock()
    page = company.page

    def slowly(statement: str) -> Said:
        with lock:
            running.append(1)
            most[0] = max(most[0], len(running))
        time.sleep(0.02)
        with lock:
            running.pop()
        return page(statement)

    company.page = slowly

    QuickBooksReader(world.session, clock=lambda: NOW, page_size=50).census(Entity.CUSTOMER)

    assert 1 < most[0] <= world.session.at_once < 10
    assert company.pages == 21


def test_a_page_that_cannot_be_read_ends_the_census(world: World, server: Server) -> None:
    company = Company(server, list(range(1, 1001)))
    page = company.page
    company.page = lambda statement: (
        said({"Fault": {"Error": [{"code": "4001", "Message": "no"}]}}, status=400)
        if "STARTPOSITION 491" in statement
        else page(statement)
    )

    with pytest.raises(RefusedError, match="refused to be read"):
        QuickBooksReader(world.session, clock=lambda: NOW, page_size=50).census(Entity.CUSTOMER)


def test_a_count_that_disagrees_once_is_read_again(server: Server, reader: QuickBooksReader) -> None:
    company = Company(server, [1, 2, 3])
    company.counts = [4, 3]

    assert reader.census(Entity.CUSTOMER).counted == 3


def test_a_count_that_never_agrees_makes_no_snapshot(server: Server, reader: QuickBooksReader) -> None:
    company = Company(server, [1, 2, 3])
    company.counts = [4] * 3

    with pytest.raises(IncompletePullError, match="4 customers, but 3 could be read"):
        reader.census(Entity.CUSTOMER)


def test_positions_that_never_hold_still_make_no_snapshot(server: Server, reader: QuickBooksReader) -> None:
    company = Company(server, list(range(1, 3001)))

    def shift(start: int) -> None:
        company.ids = [one + 5000 for one in company.ids]

    company.before_page = shift

    with pytest.raises(IncompletePullError, match="keeps changing"):
        reader.census(Entity.CUSTOMER)


def test_an_answer_without_a_count_is_no_count_of_zero(server: Server, reader: QuickBooksReader) -> None:
    company = Company(server, [1])
    company.count = lambda: said({"QueryResponse": {}, "time": TIME})

    with pytest.raises(IncompletePullError, match="did not say how many"):
        reader.census(Entity.CUSTOMER)


def test_a_malformed_customer_holds_up_nobody_else(server: Server, reader: QuickBooksReader) -> None:
    company = Company(server, [1, 2, 3])
    page = company.page

    def spoil(statement: str) -> Said:
        content = json.loads(page(statement).body)
        content["QueryResponse"]["Customer"][1]["DisplayName"] = 500
        return said(content)

    company.page = spoil

    snapshot = reader.census(Entity.CUSTOMER)

    assert snapshot.frame["id"].to_list() == ["1", "3"]
    assert snapshot.unreadable == {"2"}
    assert snapshot.counted == 3
    assert "DisplayName: Expected text" in snapshot.findings[0].sentence


def group(*objects: dict[str, Any]) -> dict[str, Any]:
    return {"Customer": list(objects), "startPosition": 1, "maxResults": len(objects)} if objects else {}


def deleted(number: int) -> dict[str, Any]:
    return {"Id": str(number), "domain": "QBO", "status": "Deleted", "MetaData": {"LastUpdatedTime": TIME}}


SINCE = NOW - timedelta(hours=2)


def test_one_call_tells_what_changed_and_the_window_overlaps(server: Server, reader: QuickBooksReader) -> None:
    company = Company(server, [1, 2])
    company.cdc = [group(customer(1)), {}, {}, {}]

    found = reader.changed([Entity.CUSTOMER, Entity.PRODUCT, Entity.INVOICE, Entity.PAYMENT], SINCE)

    assert [(entity, len(snapshot), snapshot.scope) for entity, snapshot in found.items()] == [
        (Entity.CUSTOMER, 1, Scope.DELTA),
        (Entity.PRODUCT, 0, Scope.DELTA),
        (Entity.INVOICE, 0, Scope.DELTA),
        (Entity.PAYMENT, 0, Scope.DELTA),
    ]
    (asked,) = company.statements
    assert json.loads(asked) == {
        "minorversion": "75",
        "entities": "Customer,Item,Invoice,Payment",
        "changedSince": "2025-08-01T13:55:00Z",
    }
    assert found[Entity.CUSTOMER].counted is None


def test_a_deleted_mark_is_believed_only_after_a_direct_read(server: Server, reader: QuickBooksReader) -> None:
    company = Company(server, [2])
    company.cdc = [group(deleted(1), deleted(2))]

    snapshot = reader.changed([Entity.CUSTOMER], SINCE)[Entity.CUSTOMER]

    assert snapshot.gone == {"1"}
    assert snapshot.frame["id"].to_list() == ["2"]


def test_a_full_answer_is_not_all_there_is(server: Server, reader: QuickBooksReader) -> None:
    company = Company(server, list(range(1, 1201)))
    company.cdc = [group(*map(customer, range(1, 1001)))]

    snapshot = reader.changed([Entity.CUSTOMER], SINCE)[Entity.CUSTOMER]

    assert (snapshot.scope, len(snapshot)) == (Scope.CENSUS, 1200)


def test_changes_too_long_ago_are_a_census(server: Server, reader: QuickBooksReader) -> None:
    company = Company(server, [1, 2])

    snapshot = reader.changed([Entity.CUSTOMER], NOW - timedelta(days=30))[Entity.CUSTOMER]

    assert snapshot.scope is Scope.CENSUS
    assert not any("changedSince" in statement for statement in company.statements)


@pytest.mark.parametrize("answer", [{}, {"CDCResponse": []}, {"CDCResponse": [{"QueryResponse": []}]}])
def test_an_answer_that_does_not_speak_of_every_kind_is_not_nothing_changed(
    server: Server, reader: QuickBooksReader, answer: dict[str, Any]
) -> None:
    company = Company(server, [1])
    usual = company.answer
    server.answer = lambda asked: said({**answer, "time": TIME}) if asked.path.endswith("/cdc") else usual(asked)

    with pytest.raises(IncompletePullError):
        reader.changed([Entity.CUSTOMER], SINCE)


def test_records_asked_for_are_read_in_few_calls_and_missing_ones_confirmed(
    server: Server, reader: QuickBooksReader
) -> None:
    company = Company(server, list(range(1, 301)))

    snapshot = reader.fetch(Entity.CUSTOMER, [*map(str, range(1, 251)), "999", "999"])

    assert len(snapshot) == 250
    assert snapshot.gone == {"999"}
    assert snapshot.scope is Scope.SELECTED
    assert (company.pages, sum("+" in call for call in company.calls)) == (2, 1)


def test_a_query_that_a_batch_does_not_answer_is_asked_by_itself(server: Server, reader: QuickBooksReader) -> None:
    company = Company(server, list(range(1, 301)))
    item = company.item
    company.item = lambda asked: item(asked) if asked["bId"] == "0" else {"bId": asked["bId"], "Fault": {"Error": []}}

    snapshot = reader.fetch(Entity.CUSTOMER, [*map(str, range(1, 251))])

    assert (len(snapshot), sum("+" in call for call in company.calls)) == (250, 1)


@pytest.mark.parametrize("spoilt", ["[" * 990 + "]" * 990, '"\udc80"', "1" * 5000], ids=len)
def test_what_cannot_be_read_in_a_batch_is_asked_by_itself_and_holds_up_nobody_else(
    server: Server, reader: QuickBooksReader, spoilt: str
) -> None:
    company = Company(server, list(range(1, 301)))
    page = company.page
    wrong = f'{{"Id":"1","DisplayName":{spoilt}}}'

    def answer(asked: Asked) -> Said:
        if not asked.path.endswith("/batch"):
            return company.answer(asked)
        first, second = (item["Query"] for item in json.loads(asked.body)["BatchItemRequest"])
        found = page(second).body.partition(b'"time"')[0].rstrip(b", ") + b"}"
        body = (
            b'{"BatchItemResponse":[{"bId":"0","QueryResponse":{"Customer":['
            + wrong.encode("utf-8", "surrogateescape")
            + b']}},{"bId":"1",'
            + found[1:]
            + b"]}"
        )
        assert "'1'" in first
        return Said(body=body, content_type="application/json")

    server.answer = answer

    snapshot = reader.fetch(Entity.CUSTOMER, [*map(str, range(1, 251))])

    assert len(snapshot) == 250
    assert 1 <= len(company.calls) <= 2


def test_a_record_that_a_query_does_not_show_yet_is_found_by_a_direct_read(
    server: Server, reader: QuickBooksReader
) -> None:
    company = Company(server, [1, 2])
    page = company.page
    company.page = lambda statement: page(statement.replace("'2'", "'-'"))

    snapshot = reader.fetch(Entity.CUSTOMER, ["1", "2"])

    assert (snapshot.frame["id"].to_list(), snapshot.gone) == (["1", "2"], frozenset())


def test_a_company_without_currency_is_refused(server: Server, reader: QuickBooksReader) -> None:
    server.answer = lambda _: said({"Preferences": {}})

    with pytest.raises(RefusedError, match="which currency"):
        reader.home_currency()


def test_a_reader_has_no_way_to_write(reader: QuickBooksReader) -> None:
    assert not [name for name in ("write", "find", "batch_size") if hasattr(reader, name)]


@pytest.mark.parametrize(
    ("value", "quoted"),
    [("O'Brien", r"'O\'Brien'"), ("a\\b", r"'a\\b'"), ("'; select", r"'\'; select'"), ("%", "'%'"), ("ü—", "'ü—'")],
)
def test_values_in_queries_are_quoted(value: str, quoted: str) -> None:
    assert query.quoted(value) == quoted
    assert query.select("Customer", query.equals("DisplayName", value)) == (
        f"SELECT * FROM Customer WHERE DisplayName = {quoted} ORDERBY Id STARTPOSITION 1 MAXRESULTS 1000"
    )


def test_items_are_asked_for_their_sku() -> None:
    assert query.select("Item").startswith("SELECT *, Sku FROM Item ORDERBY Id")


def answered(name: str, *records: str) -> Said:
    """An answer whose records are written by hand."""
    return Said(200, f'{{"QueryResponse":{{"{name}":[{",".join(records)}]}}}}'.encode(), "application/json")


@pytest.mark.parametrize("place", ["X", "DisplayName", "BillAddr", "MetaData"])
@pytest.mark.parametrize("entity", [Entity.CUSTOMER, Entity.INVOICE])
def test_records_nested_beyond_all_reason_end_a_census_in_words(
    server: Server, reader: QuickBooksReader, entity: Entity, place: str
) -> None:
    company = Company(server, [1, 2])
    deep = f'{{"Id":"1","{place}":{"[" * 100_000}{"]" * 100_000}}}'
    company.page = lambda _: answered(resource(entity), deep)
    together = b'{"BatchItemResponse":[{"bId":"0",%s]}' % company.page("").body[1:]
    server.answer = lambda asked: (
        Said(body=together, content_type="application/json") if asked.path.endswith("/batch") else company.answer(asked)
    )

    with pytest.raises(UnreachableError, match="nested more deeply than can be read"):
        reader.census(entity)


def test_a_record_nested_too_deeply_is_broken_alone() -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]

    page = read_each(Customer, [customer(1), {"Id": "2", "SyncToken": "3", "X": deep}])

    assert [record.id for record in page.records] == ["1"]
    assert page.broken == [Broken("2", "", "it is nested more deeply than can be read", "3")]


def test_novelties_are_not_looked_for_in_what_cannot_be_read() -> None:
    novelties = Novelties()

    novelties.look_at_page("Customer", answered("Customer", f'{{"Id":"1","X":{"[" * 100_000}{"]" * 100_000}}}').body)

    assert novelties.found == {}
