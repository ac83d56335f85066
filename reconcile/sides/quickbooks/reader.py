"""Reading QuickBooks: census by counted pages, delta by one change-data call, single records by id."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from reconcile.errors import IncompletePullError, RefusedError
from reconcile.model.entities import Entity, Side
from reconcile.model.snapshot import Scope, Snapshot
from reconcile.sides.quickbooks import query
from reconcile.sides.quickbooks.ahead import Ahead
from reconcile.sides.quickbooks.faults import NOT_FOUND
from reconcile.sides.quickbooks.frames import Harvest, collector_paused
from reconcile.sides.quickbooks.mapping import Lookups, id_of
from reconcile.sides.quickbooks.marks import MARKED, mark_in
from reconcile.sides.quickbooks.novelties import KNOWN, Novelties
from reconcile.sides.quickbooks.pages import (
    BatchOfAnswers,
    Page,
    WrittenPage,
    batch_decoder,
    census_decoder,
    page_decoder,
    read_each,
)
from reconcile.sides.quickbooks.preferences import Preferences, preferences_of
from reconcile.sides.quickbooks.records import (
    SHAPES,
    Invoice,
    Payment,
    PaymentMethod,
    Record,
    TaxAgency,
    TaxRate,
    resource,
)
from reconcile.sides.quickbooks.session import Answer, QuickBooksSession, Vigilant, server_time
from reconcile.sides.side import CompanyIdentity, Progress, no_progress

CDC_ENTITIES = (Entity.CUSTOMER, Entity.PRODUCT, Entity.INVOICE, Entity.PAYMENT)
"""What change data capture knows; tax codes, rates and agencies it lacks (API file 5.3)."""

CDC_CAP = 1000
CDC_DAYS = 29
"""Intuit looks back 30 days; a day less leaves room for clocks that differ."""

OVERLAP = timedelta(minutes=5)
IDS_AT_ONCE = 200
_CLOCKS = timedelta(hours=1)
"""How far QuickBooks' clock and ours may be apart when records are picked by the moment they were made."""

NAMES_AT_ONCE = 30
ROUNDS = 3
CATCHING_UP = 3
MOST_DRIFTS = 20
INVALID_ID = "2030"

_NAMED = ("Vendor", "Employee")
"""What shares its names with customers."""

_NAMED_BY = {Entity.CUSTOMER: ("Customer", "DisplayName"), Entity.PRODUCT: ("Item", "Name")}

_DAY = len("2026-11-25")
_LISTS = frozenset({"Customer", "Item", "TaxCode", "TaxRate", "PaymentMethod"})
R = TypeVar("R")
P = TypeVar("P")


def _all(name: str) -> tuple[str, ...]:
    """The condition that brings inactive list records too; without it QuickBooks hides them (API file 3.1)."""
    return (query.ALL_ACTIVE,) if name in _LISTS else ()


def utc_now() -> datetime:
    """Now, UTC."""
    return datetime.now(UTC)


class QuickBooksReader:
    """One QuickBooks company, to be read. It has no method that writes.

    Args:
        session: the connection.
        clock: now, UTC; only to see whether changes lie too far back to be asked for.
        page_size: records asked for at once; at most 1,000.
    """

    def __init__(
        self,
        session: QuickBooksSession,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        page_size: int = query.LARGEST_PAGE,
    ) -> None:
        self._session = session
        self._page_size = page_size
        self._clock = clock
        self._settings: Mapping[str, Any] | None = None
        self._agencies: Mapping[str, TaxAgency] | None = None
        self._methods: Mapping[str, PaymentMethod] | None = None
        self.novelties = Novelties()

    @property
    def side(self) -> Side:
        """Books."""
        return Side.BOOKS

    def identity(self) -> CompanyIdentity:
        """The company's realm id, name and home currency.

        Raises:
            RefusedError: QuickBooks does not say which currency the company has, or refuses.
        """
        session = self._session
        realm = session.connection.realm_id
        info = session.get(session.address("companyinfo", realm))
        try:
            name = str(info["CompanyInfo"]["CompanyName"])
        except (KeyError, TypeError) as error:
            raise RefusedError("QuickBooks does not say which company this is. Connect the company again.") from error
        return CompanyIdentity(realm, name, self.home_currency())

    def home_currency(self) -> str:
        """The company's own currency.

        Raises:
            RefusedError: QuickBooks does not say.
        """
        try:
            return str(self._preferences()["CurrencyPrefs"]["HomeCurrency"]["value"])
        except (KeyError, TypeError) as error:
            raise RefusedError(
                "QuickBooks does not say which currency this company has. Open the company's currency settings in "
                "QuickBooks, save them, then try again."
            ) from error

    def preferences(self) -> Preferences:
        """What the company has chosen that the sync depends on.

        Raises:
            RefusedError: QuickBooks does not say, or refuses.
        """
        return preferences_of(self._preferences())

    def filed_until(self) -> Mapping[str, str]:
        """The day until which sales tax was filed, ISO, by the name of the tax agency (API file 4.5, LastFileDate)."""
        if self._agencies is None:  # what was read with the tax rates of this run is as good
            self._agencies = self._by_id("TaxAgency", TaxAgency)
        return {
            agency.display_name: agency.last_file_date[:_DAY]
            for agency in self._agencies.values()
            if agency.display_name and agency.last_file_date
        }

    def names_taken(self, names: Sequence[str]) -> Mapping[str, str]:
        """Those of these names that a vendor or an employee has, case-folded, and whose they are (API file 4.1).

        Inactive ones count: their names still collide (API file 8, row 23).
        """
        statements = [
            query.select(kind, query.among("DisplayName", some), query.ALL_ACTIVE)
            for some in _chunks(names, NAMES_AT_ONCE)
            for kind in _NAMED
        ]
        found: dict[str, str] = {}
        for asked in _chunks(statements, query.LARGEST_BATCH):
            for content in self._contents(asked):
                for kind in _NAMED:
                    for one in content.get(kind, []):
                        found[str(one.get("DisplayName", "")).casefold()] = kind.lower()
        return found

    def names_in_the_way(self, entity: Entity, renamed: Mapping[str, str]) -> Mapping[str, str]:
        """Customers or products that cannot get their new name: by id, the id of the other one that has it.

        Inactive ones count: their names still collide (API file 8, row 23). A product's name is used once per category.

        Args:
            entity: customers or products.
            renamed: by id, the name that each is about to get.
        """
        kind, column = _NAMED_BY[entity]
        statements = [
            query.select(kind, query.among(field, some), query.ALL_ACTIVE)
            for field, values in ((column, sorted({*renamed.values()})), ("Id", sorted(renamed)))
            for some in _chunks(values, NAMES_AT_ONCE)
        ]
        there: dict[str, dict[str, Any]] = {}
        for asked in _chunks(statements, query.LARGEST_BATCH):
            for content in self._contents(asked):
                there |= {str(one["Id"]): one for one in content.get(kind, [])}

        def known_as(one: Mapping[str, Any], name: object) -> tuple[str, object]:
            above = (one.get("ParentRef") or {}).get("value") if entity is Entity.PRODUCT else None
            return str(name).casefold(), above

        holders: dict[tuple[str, object], list[str]] = {}
        for record_id, one in sorted(there.items()):
            holders.setdefault(known_as(one, one.get(column)), []).append(record_id)
        wanted = {
            record_id: known_as(there[record_id], name) for record_id, name in renamed.items() if record_id in there
        }
        others = {
            record_id: [one for one in holders.get(name, []) if one != record_id] for record_id, name in wanted.items()
        }
        return {record_id: found[0] for record_id, found in others.items() if found}

    def deposited(self, since: str) -> frozenset[str]:
        """Ids of the payments that sit in deposits dated on or after this day (ISO).

        Read from the deposits: a payment need not say itself that it is in one.
        """
        found: set[str] = set()
        start, condition = 1, f"TxnDate >= {query.quoted(since)}"
        while True:
            content = self._session.query(query.select("Deposit", condition, start=start, most=self._page_size))
            deposits = content.get("QueryResponse", {}).get("Deposit", [])
            links = [
                link
                for deposit in deposits
                for line in deposit.get("Line") or ()
                for link in line.get("LinkedTxn") or ()
            ]
            found |= {str(link["TxnId"]) for link in links if link.get("TxnType") == "Payment"}
            if len(deposits) < self._page_size:
                return frozenset(found)
            start += len(deposits)

    def income_account_id(self, name: str) -> str | None:
        """The id of the active income account of this full name; ``None`` when there is none."""
        content = self._session.query(query.select("Account", query.equals("FullyQualifiedName", name)))
        found = [
            account
            for account in content.get("QueryResponse", {}).get("Account", [])
            if account.get("Classification") == "Revenue" or account.get("AccountType") in {"Income", "Other Income"}
        ]
        return str(found[0]["Id"]) if found else None

    def _preferences(self) -> Mapping[str, Any]:
        """The company's settings, asked once."""
        if self._settings is None:
            content = self._session.get(self._session.address("preferences"))
            settings = content.get("Preferences") if isinstance(content, dict) else None
            if not isinstance(settings, dict):
                raise RefusedError("QuickBooks does not give the settings of this company. Try again later.")
            self._settings = settings
        return self._settings

    def census(self, entity: Entity, progress: Progress = no_progress) -> Snapshot:
        """All records of an entity: inactive and void ones too, in pages, counted at the end.

        Raises:
            IncompletePullError: QuickBooks' own count did not agree with what was read, three times over.
        """
        return self._tax_rates(progress) if entity is Entity.TAX_RATE else self._paged(entity, progress)

    def _paged(self, entity: Entity, progress: Progress) -> Snapshot:
        name = resource(entity)
        lookups = self._lookups(entity)
        counted = -1
        for _ in range(ROUNDS):
            as_of: datetime | None = None
            counts = _Counts()
            harvest = Harvest(entity, lookups)
            with collector_paused():  # the pages are decoded by other threads, all the while
                for page in self._pages(name, SHAPES[entity], counts):
                    as_of = as_of or page.time or self._clock()
                    harvest.add(page)
                    progress(len(harvest), max(counts.opening, len(harvest)))
            as_of = as_of or self._clock()
            counted = self._count(name) if counts.closing is None else counts.closing
            for attempt in range(CATCHING_UP):
                # one that vanished and another that came can make up for each other in the count
                sure = attempt > 0 or not counts.drifted
                if (sure and self._complete(entity, harvest, counted)) or not self._catch_up(entity, harvest, as_of):
                    break
                counted = self._count(name)
            if self._complete(entity, harvest, counted):
                return _snapshot(harvest, as_of, Scope.CENSUS, counted=True)
        raise IncompletePullError(
            f"QuickBooks says it has {counted} {entity.plural}, but {len(harvest)} could be read, {ROUNDS} times over. "
            "Nothing was compared. Somebody may be working in QuickBooks right now; try again later."
        )

    def _catch_up(self, entity: Entity, harvest: Harvest, since: datetime) -> bool:
        """Bring a census up to date with what was made and deleted while its pages were read.

        Cheaper than reading all pages again, and the only way to an end while somebody keeps working. ``False`` when
        QuickBooks cannot tell; then the pages are read again.
        """
        if entity not in CDC_ENTITIES:
            return False
        try:
            changes = self._changes([resource(entity)], since - OVERLAP)[0][resource(entity)]
        except IncompletePullError:
            return False  # the census does not depend on it: without, its pages are read again
        if len(changes) >= CDC_CAP:
            return False
        present, deleted = _split(changes)
        harvest.add(read_each(SHAPES[entity], present))
        harvest.drop({one for one in deleted if one in harvest.seen and self.direct(entity, one) is None})
        return True

    @staticmethod
    def _complete(entity: Entity, harvest: Harvest, counted: int | None) -> bool:
        if entity is Entity.TAX_RATE:  # whether the pseudo codes TAX and NON are counted is not documented
            return counted in {len(harvest), len(harvest) - harvest.left_out}
        return counted == len(harvest)

    def changed(self, entities: Sequence[Entity], since: datetime) -> Mapping[Entity, Snapshot]:
        """Records changed at or after ``since`` (and a few minutes before: windows overlap, nothing falls between).

        One call for all entities that change data capture knows; tax rates are always read whole. When its answer is
        full, each entity is asked for alone; one that is still full, or changes too far back, is read whole.
        """
        found: dict[Entity, Snapshot] = {}
        tracked = [entity for entity in entities if entity in CDC_ENTITIES]
        if tracked and since > self._clock() - timedelta(days=CDC_DAYS):
            found.update(self._captured(tracked, since))
        if Entity.TAX_RATE in entities:
            found[Entity.TAX_RATE] = self._tax_rates()
        return {entity: found[entity] if entity in found else self.census(entity) for entity in entities}

    def _captured(self, entities: Sequence[Entity], since: datetime) -> dict[Entity, Snapshot]:
        names = [resource(entity) for entity in entities]
        groups, told = self._changes(names, since - OVERLAP)
        if sum(map(len, groups.values())) >= CDC_CAP:  # whether the cap is per answer or per entity is not documented
            alone = [self._captured([entity], since) for entity in entities] if len(entities) > 1 else []
            return {entity: snapshot for found in alone for entity, snapshot in found.items()}
        as_of = told or self._clock()
        return {entity: self._capture(entity, groups[resource(entity)], as_of) for entity in entities}

    def _changes(self, names: Sequence[str], since: datetime) -> tuple[dict[str, list[Any]], datetime | None]:
        """What changed since a moment, by resource, and the server's time."""
        moment = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        content = self._session.get(
            self._session.address("cdc"), params={"entities": ",".join(names), "changedSince": moment}
        )
        return _groups(content, names), server_time(content)

    def _capture(self, entity: Entity, objects: Sequence[Any], as_of: datetime) -> Snapshot:
        present, deleted = _split(objects)
        self.novelties.look_at(resource(entity), present)
        page = read_each(SHAPES[entity], present)
        harvest = Harvest(entity, self._lookups(entity, page.records))
        harvest.add(page)
        gone = self._confirm_gone(entity, deleted, harvest)
        return _snapshot(harvest, as_of, Scope.DELTA, gone=gone)

    def fetch(self, entity: Entity, ids: Sequence[str]) -> Snapshot:
        """The records with these ids; ids that a direct read does not find are ``gone``."""
        wanted = list(dict.fromkeys(ids))
        pages = [page for chunk in _chunks(wanted, query.LARGEST_PAGE) for page in self._with_ids(entity, chunk)]
        harvest = Harvest(entity, self._lookups(entity, [record for page in pages for record in page.records]))
        for page in pages:
            harvest.add(page)
        missing = [wanted_id for wanted_id in wanted if wanted_id not in harvest.seen]
        gone = self._confirm_gone(entity, missing, harvest)
        as_of = next((page.time for page in pages if page.time), None) or self._clock()
        return _snapshot(harvest, as_of, Scope.SELECTED, gone=gone)

    def _with_ids(self, entity: Entity, ids: Sequence[str]) -> list[Page[Any]]:
        """Records by id in one call: a query, or several in a batch when it would become long."""
        name = resource(entity)
        statements = [query.select(name, *_all(name), query.among("Id", few)) for few in _chunks(ids, IDS_AT_ONCE)]
        return self._queries([(statement, SHAPES[entity]) for statement in statements])

    def _queries(self, asked: Sequence[tuple[str, type[Any]]]) -> list[Page[Any]]:
        """Pages of several queries in one call, in their order.

        A batch answers with 1,000 records at most: whoever asks for what may be more looks whether that many came. A
        query that the batch does not answer is asked by itself.
        """
        if len(asked) == 1:
            return [self._query(*asked[0])]
        return self._pages_of(self._asked_together([statement for statement, _ in asked]), asked)

    def _pages_of(self, answered: BatchOfAnswers, asked: Sequence[tuple[str, type[Any]]]) -> list[Page[Any]]:
        return [
            read_each(shape, records, answered.time)
            if (found := answered.content(place)) is not None
            and isinstance(records := found.get(shape.__name__, []), list)
            else self._query(statement, shape)
            for place, (statement, shape) in enumerate(asked)
        ]

    def _contents(self, statements: Sequence[str]) -> list[dict[str, Any]]:
        """What each of some queries gave, parsed with exact decimals, in one call."""
        answered = self._asked_together(statements) if len(statements) > 1 else BatchOfAnswers()
        return [
            self._session.query(statement).get("QueryResponse", {})
            if (found := answered.content(place)) is None
            else found
            for place, statement in enumerate(statements)
        ]

    def _asked_together(self, statements: Sequence[str]) -> BatchOfAnswers:
        """What each of some queries gave, in one call."""
        items = [{"bId": str(number), "Query": statement} for number, statement in enumerate(statements)]
        answer: Answer[BatchOfAnswers] = self._session.call(
            "POST",
            self._session.address("batch"),
            body={"BatchItemRequest": items},
            reads=True,
            decode=batch_decoder,
        )
        return answer.content or BatchOfAnswers()

    def _confirm_gone(self, entity: Entity, ids: Sequence[str], harvest: Harvest) -> frozenset[str]:
        """Ids that a direct read does not find; those that it finds after all go into the harvest."""
        gone = set()
        for record_id in ids:
            item = self.direct(entity, record_id)
            if item is None:
                gone.add(record_id)
            else:
                harvest.add(read_each(SHAPES[entity], [item]))
        return frozenset(gone)

    def direct(self, entity: Entity, record_id: str) -> dict[str, Any] | None:
        """One record as QuickBooks has it now, raw with exact decimals; ``None`` when it no longer exists."""
        name = resource(entity)
        answer: Answer[Any] = self._session.call("GET", self._session.address(name.lower(), record_id))
        if any(fault.code in {NOT_FOUND, INVALID_ID} for fault in answer.faults):
            return None
        content = answer.required()
        item = content.get(name)
        if not isinstance(item, dict):
            raise IncompletePullError(
                f"QuickBooks answered without the {entity.singular} {record_id} that was asked for. Try again later."
            )
        return None if item.get("status") == "Deleted" else item

    def _tax_rates(self, progress: Progress = no_progress) -> Snapshot:
        """Tax rates whole: they are few, and change data capture lacks them.

        Codes, how many there are, rates and agencies in one call; when they are too many for one, or the count does not
        agree, page by page.

        Raises:
            IncompletePullError: as for :meth:`census`.
        """
        name = resource(Entity.TAX_RATE)
        shapes: list[type[Any]] = [SHAPES[Entity.TAX_RATE], TaxRate, TaxAgency]
        asked = [(query.select(shape.__name__, *_all(shape.__name__)), shape) for shape in shapes]
        answered = self._asked_together([*(statement for statement, _ in asked), query.count(name, *_all(name))])
        codes, rates, agencies = self._pages_of(answered, asked)
        counted = _total(answered.content(len(asked)))
        lookups = Lookups(home_currency=self.home_currency())
        lookups.rates = {record.id: record for record in rates.records}
        self._agencies = lookups.agencies = {record.id: record for record in agencies.records}
        harvest = Harvest(Entity.TAX_RATE, lookups)
        harvest.add(codes)
        all_there = len(codes) + len(rates) + len(agencies) < query.LARGEST_PAGE
        if not all_there or not self._complete(Entity.TAX_RATE, harvest, counted):
            return self._paged(Entity.TAX_RATE, progress)
        progress(len(harvest), len(harvest))
        return _snapshot(harvest, codes.time or self._clock(), Scope.CENSUS, counted=True)

    def _lookups(self, entity: Entity, records: Sequence[Any] | None = None) -> Lookups:
        """What the records of an entity refer to: read anew for a census, else where a record names what is new."""
        lookups = Lookups(home_currency=self.home_currency())
        if entity is Entity.TAX_RATE and (records is None or records):
            lookups.rates = self._by_id("TaxRate", TaxRate)
            self._agencies = lookups.agencies = self._by_id("TaxAgency", TaxAgency)
        if entity is Entity.PAYMENT:
            if records is None:
                self._methods = None
            named = {one for record in records or () if (one := id_of(record.payment_method_ref))}
            lookups.methods = self._payment_methods(named) if named or records is None else {}
        return lookups

    def _payment_methods(self, named: AbstractSet[str] = frozenset()) -> Mapping[str, PaymentMethod]:
        """The company's ways of paying; read again when a record names one that was not among them."""
        if self._methods is None or not named <= self._methods.keys():
            self._methods = self._by_id("PaymentMethod", PaymentMethod)
        return self._methods

    def _by_id(self, name: str, shape: type[R]) -> dict[str, R]:
        found: dict[str, Any] = {}
        for page in self._pages(name, shape):
            found |= {record.id: record for record in page.records}  # type: ignore[attr-defined]  # every shape has an id
        return found

    def _pages(self, name: str, shape: type[R], asked: _Counts | None = None) -> Iterator[Page[R] | WrittenPage[R]]:
        """All pages of a resource, in the order of ids; each overlaps the one before by a record.

        When counts are ``asked`` for, QuickBooks tells with the first page how many records there are, so that pages
        can be asked for ahead, some at the same time; and with the last one, which is asked for when all others are
        there, how many there are then. Records that are deleted or deactivated meanwhile shift the positions of those
        after them. When the overlap is gone, a page is read again from further back; what was met before is not taken
        twice.

        Raises:
            IncompletePullError: the positions keep shifting.
        """
        size, counts = self._page_size, asked or _Counts()
        seen: set[str] = set()
        position, drifts, back = 1, 0, size // 2
        counted = set() if asked is None else {1}

        def fetch(start: int) -> Page[R] | WrittenPage[R]:
            decode = census_decoder(shape)
            if start == 1 and name in KNOWN:
                decode = Vigilant(partial(self._look_and_decode, name, decode))
            if start in counted:
                return self._counted_page(name, start, decode, counts)
            return self._read(query.select(name, *_all(name), start=start, most=size), decode)

        page = fetch(1)
        expected = self._opening(name, page, counts) if asked is not None and len(page) >= size else 0
        if counts.closing is not None:
            yield page
            return
        planned = range(size, expected + 1, size - 1)
        counted = set(planned[-1:])
        planned = planned[:-1]
        with Ahead(fetch, self._session.at_once if len(planned) > 1 else 0) as ahead:
            ahead.plan(planned)
            while True:
                ids = page.ids
                if position > 1 and seen.isdisjoint(ids):
                    drifts += 1
                    counts.drifted = True
                    if drifts > MOST_DRIFTS:
                        raise IncompletePullError(
                            f"QuickBooks' list of {name} records keeps changing while it is read. Try again later."
                        )
                    position = max(1, position - back)
                    back *= 2  # many at once may be gone
                    counted.clear()
                    ahead.plan(range(position, expected + 1, size - 1))
                else:
                    seen.update(ids)
                    back = size // 2
                    yield page
                    if len(ids) < size:
                        return
                    position += len(ids) - 1
                counts.closing = None  # what was counted before another page is read was not counted at the end
                page = ahead.page(position)

    def _opening(self, name: str, page: Page[Any] | WrittenPage[Any], counts: _Counts) -> int:
        """How many records there are, after a full first page; counted at the end, too, when that has all."""
        counts.opening = self._count(name) if counts.closing is None else counts.closing
        counts.closing = counts.opening if counts.opening == len(set(page.ids)) else None
        return counts.opening

    def _counted_page(self, name: str, start: int, decode: Callable[[bytes], P], counts: _Counts) -> P:
        """A page, and how many records there are, in one call.

        A batch answers in no promised order, which does no harm: what is deleted between the two moves the overlap or
        is missed in the count, what is made is missed in it. What the batch does not answer is asked by itself.
        """
        page = query.select(name, *_all(name), start=start, most=self._page_size)
        answered = self._asked_together([page, query.count(name, *_all(name))])
        counts.closing = None
        body, told = answered.body(0), answered.content(1)
        if body is None:
            return self._read(page, decode)
        try:
            found = decode(body)
        except ValueError:
            return self._read(page, decode)  # for the words that are said of an answer that cannot be read
        counts.closing = _total(told)
        return found

    def _look_and_decode(self, name: str, decode: Callable[[bytes], P], body: bytes) -> P:
        page = decode(body)
        self.novelties.look_at_page(name, body)
        return page

    def marks(self, entity: Entity, *, since: datetime | None = None, ids: Sequence[str] = ()) -> Mapping[str, str]:
        """Our marks in the private notes, by record id, of what was made since a moment and of these records."""
        if entity not in MARKED:
            return {}
        conditions = [] if since is None else [query.since("MetaData.CreateTime", since - _CLOCKS)]
        conditions += [query.among("Id", some) for some in _chunks(ids, IDS_AT_ONCE)]
        found: dict[str, str] = {}
        for condition in conditions:
            for record in self._all_where(entity, condition):
                mark = mark_in(record.private_note) if isinstance(record, Invoice | Payment) else None
                if mark is not None:
                    found[record.id] = mark
        return found

    def _all_where(self, entity: Entity, condition: str) -> Iterator[Record]:
        start = 1
        while True:
            page: Page[Any] = self._query(query.select(resource(entity), condition, start=start), SHAPES[entity])
            yield from page.records
            if len(page.ids) < query.LARGEST_PAGE:
                return
            start += len(page.ids)

    def _query(self, statement: str, shape: type[R]) -> Page[R]:
        return self._read(statement, page_decoder(shape))

    def _read(self, statement: str, decode: Callable[[bytes], P]) -> P:
        session = self._session
        answer = session.call(
            "POST", session.address("query"), body=statement, content_type="application/text", decode=decode
        )
        return answer.required()

    def _count(self, name: str) -> int:
        """How many there are."""
        content = self._session.query(query.count(name, *_all(name)))
        try:
            return int(content["QueryResponse"]["totalCount"])
        except (KeyError, TypeError, ValueError) as error:
            raise IncompletePullError(
                f"QuickBooks did not say how many {name} records it has, so what is read cannot be counted. Try again."
            ) from error


@dataclass(slots=True)
class _Counts:
    """How many records QuickBooks says it has.

    Attributes:
        opening: after the first page, where that was full.
        closing: after the last page, where that was told with it.
        drifted: whether records were seen to vanish while pages were read.
    """

    opening: int = 0
    closing: int | None = None
    drifted: bool = False


def _total(answer: Mapping[str, Any] | None) -> int | None:
    """What a COUNT(*) says; ``None`` when it says nothing."""
    total = None if answer is None else answer.get("totalCount")
    return total if type(total) is int else None


def _groups(content: Any, names: Sequence[str]) -> dict[str, list[Any]]:
    """The objects of a change-data answer by resource; one group per resource, in the order asked for.

    Raises:
        IncompletePullError: it is no such answer.
    """
    try:
        responses = content["CDCResponse"][0]["QueryResponse"]
        groups: dict[str, list[Any]] = {name: [] for name in names}
        for response in responses:
            for name in names:
                groups[name] += response.get(name, [])
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise IncompletePullError(
            "QuickBooks' answer about what changed could not be read. Try again, or run a census."
        ) from error
    if len(responses) != len(names):
        raise IncompletePullError(
            "QuickBooks did not answer for every kind of record that was asked about. Try again, or run a census."
        )
    return groups


def _split(objects: Sequence[Any]) -> tuple[list[Any], list[str]]:
    """Objects as they are now, and ids of those marked as deleted."""
    gone = [isinstance(item, dict) and item.get("status") == "Deleted" for item in objects]
    present = [item for item, deleted in zip(objects, gone, strict=True) if not deleted]
    return present, [str(item.get("Id")) for item, deleted in zip(objects, gone, strict=True) if deleted]


def _chunks(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _snapshot(
    harvest: Harvest,
    as_of: datetime,
    scope: Scope,
    *,
    counted: bool = False,
    gone: frozenset[str] = frozenset(),
) -> Snapshot:
    frame, rows = harvest.frames()
    return Snapshot(
        side=Side.BOOKS,
        entity=harvest.entity,
        frame=frame,
        rows=rows,
        as_of=as_of,
        scope=scope,
        counted=len(harvest) - harvest.left_out if counted else None,
        gone=gone,
        unreadable=frozenset(harvest.unreadable),
        findings=tuple(harvest.findings),
        marks=harvest.marks,
    )
