"""The company's records with the indexes that its rules need, in memory, and in a SQLite file if one is given.

A record is kept as the bytes that are sent for it, beside the few values that queries compare; so a page of a thousand
invoices is a join of bytes, and memory does not hold a hundred objects per invoice. In a large table the bytes are
deflated against some of its own records, which makes them seven times smaller for ten microseconds a record. Records
are never changed in place: each write puts a new one, which is what makes a failed request leave no trace.
"""

import sqlite3
import sys
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, Final

from reconcile.sandbox.quickbooks.clock import parse_moment
from reconcile.sandbox.quickbooks.entities import LISTS, RESOURCES, TRANSACTIONS, Resource, filter_paths
from reconcile.sandbox.quickbooks.numbers import JsonObject, as_decimal, parse, render

Key = tuple[str, ...]
Place = tuple[str, str]
Fact = str | Decimal | float | bool | None

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS record (
    realm TEXT, entity TEXT, id TEXT, body BLOB, deleted INTEGER, place INTEGER, moved INTEGER,
    PRIMARY KEY (realm, entity, id)
);
CREATE TABLE IF NOT EXISTS request (
    place INTEGER PRIMARY KEY AUTOINCREMENT, realm TEXT, key TEXT, digest BLOB, answer BLOB
);
CREATE TABLE IF NOT EXISTS note (realm TEXT, name TEXT, body BLOB, PRIMARY KEY (realm, name));
CREATE TABLE IF NOT EXISTS file (realm TEXT, id TEXT, content BLOB, PRIMARY KEY (realm, id));
"""


_TIDYING: Final = 500
_LARGE_TABLE: Final = 5_000
_ALIKE: Final = 4
_RAW_DEFLATE: Final = -15
_SHARED_LENGTH: Final = 12
_ATTACHED_TO: Final = ("attachableref.entityref.type", "attachableref.entityref.value")


@dataclass(frozen=True, slots=True)
class Application:
    """Part of a payment that settles (or draws on) another transaction."""

    kind: str
    target: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer remembered for its request id, with the digest of the request that it answered."""

    digest: bytes
    body: bytes


class Facts:
    """Values that a query may compare, by lower-case path; one tuple per record, its places shared by all."""

    __slots__ = ("_places", "_values")

    def __init__(self, places: dict[str, int], values: tuple[Fact, ...]) -> None:
        self._places = places
        self._values = values

    def get(self, path: str, default: Fact = None) -> Fact:
        """The value at a path."""
        place = self._places.get(path)
        value = None if place is None else self._values[place]
        return default if value is None else value

    def __getitem__(self, path: str) -> Fact:
        """The value at a path, which must be a known one."""
        return self._values[self._places[path]]


_NO_FACTS: Final = Facts({}, ())


@dataclass(frozen=True, slots=True)
class Record:
    """One object as it is stored.

    Attributes:
        entity: Its resource.
        id: Its id.
        packed: The object as it is sent, deflated with `dictionary` if there is one.
        dictionary: What `packed` was deflated against.
        facts: Values that a query may compare, by lower-case path.
        applications: For a payment, what it settles.
        updated: LastUpdatedTime in seconds since 1970.
        moved: Position in the order of changes; greater is later.
        active: `false` only for deactivated list objects.
        deleted: Deleted; only change data capture still mentions it.
        visible_from: Moment from which queries show this version, for tests of delayed visibility.
    """

    entity: str
    id: str
    packed: bytes
    facts: Facts
    applications: tuple[Application, ...]
    updated: float
    moved: int
    active: bool = True
    deleted: bool = False
    visible_from: float = 0.0
    before: "Record | None" = None
    dictionary: bytes | None = None

    @property
    def json(self) -> bytes:
        """The object as it is sent."""
        if self.dictionary is None:
            return self.packed
        return zlib.decompressobj(_RAW_DEFLATE, self.dictionary).decompress(self.packed)

    def body(self) -> JsonObject:
        """A fresh copy of the object that may be changed freely."""
        copied: JsonObject = parse(self.json)
        copied.setdefault("Id", self.id)
        return copied

    @property
    def sync_token(self) -> str:
        """The current SyncToken."""
        return str(self.body().get("SyncToken", "0"))


Change = tuple[Record, Record | None]


@dataclass(frozen=True, slots=True)
class Moment:
    """Everything a store in memory held at one moment; records are never changed in place, so they are shared."""

    tables: dict[str, dict[str, Record]]
    dictionaries: dict[str, bytes]
    sequences: dict[str, int]
    moves: int
    answers: OrderedDict[str, Answer]
    files: dict[str, bytes]
    marks: dict[str, str]


class KeptInFileError(ValueError):
    """A company whose records are kept in a file cannot go back to an earlier moment."""


_places: dict[str, dict[str, int]] = {}
_paths: dict[str, tuple[tuple[str, tuple[str, ...], str], ...]] = {}


def _fact_paths(resource: Resource) -> tuple[tuple[str, tuple[str, ...], str], ...]:
    known = _paths.get(resource.name)
    if known is None:
        spelt = {name.lower(): name for name in resource.properties}
        inner = {"address": "Address", "createtime": "CreateTime", "lastupdatedtime": "LastUpdatedTime"}
        found = []
        for path, entry in filter_paths(resource).items():
            head, _, tail = path.partition(".")
            if path in _ATTACHED_TO:
                continue
            steps = (spelt[head], inner[tail]) if tail else (spelt[head],)
            found.append((path, steps, entry.kind))
        known = _paths[resource.name] = tuple(found)
    return known


def fact(kind: str, value: Any) -> Fact:  # noqa: PLR0911 - one return per kind of the table
    """A stored value in the form in which it is compared."""
    if value is None:
        return None
    match kind:
        case "money" | "number" | "whole":
            return as_decimal(value)
        case "ref":
            return str(value.get("value", ""))
        case "one":
            return str(value.get("Address") or value.get("URI") or value.get("FreeFormNumber") or "")
        case "flag":
            return bool(value)
        case "moment":
            return parse_moment(str(value))
        case _:
            return str(value)


def _facts(resource: Resource, body: JsonObject) -> Facts:
    places = _places.get(resource.name)
    if places is None:
        names = [path for path, _, _ in _fact_paths(resource)] + [*_ATTACHED_TO] * (resource.name == "Attachable")
        places = _places[resource.name] = {path: place for place, path in enumerate(names)}
    values = []
    for _, steps, kind in _fact_paths(resource):
        value: Any = body
        for step in steps:
            value = value.get(step) if isinstance(value, dict) else None
        values.append(_shared(fact(kind, value)))
    if resource.name == "Attachable":
        target = (body.get("AttachableRef") or [{}])[0].get("EntityRef") or {}
        values += [str(target.get("type", "")), str(target.get("value", ""))]
    return Facts(places, tuple(values))


def _shared(value: Fact) -> Fact:
    """The same object for equal short texts: dates, ids and names stand in very many records."""
    return sys.intern(value) if isinstance(value, str) and len(value) <= _SHARED_LENGTH else value


def applications_of(body: JsonObject) -> tuple[Application, ...]:
    """What a payment's lines settle."""
    return tuple(
        Application(str(link.get("TxnType")), str(link.get("TxnId")), as_decimal(line.get("Amount")))
        for line in body.get("Line", ())
        for link in line.get("LinkedTxn", ())
    )


class Store:
    """All records of one company.

    Args:
        realm: The company's id.
        path: SQLite file to keep them in; in memory only when it is `None`.
    """

    def __init__(self, realm: str, path: Path | None = None) -> None:
        self._realm = realm
        self._tables: dict[str, dict[str, Record]] = {name: {} for name in RESOURCES}
        self._dictionaries: dict[str, bytes] = {}
        self._index: dict[Key, Place | dict[Place, None]] = {}
        self._sequences: dict[str, int] = {}
        self._moves = 0
        self._undo: list[tuple[str, str, Record | None]] | None = None
        self._unsaved: dict[tuple[str, str], None] = {}
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._unsaved_answers: dict[str, Answer] = {}
        self._memory = 0
        self._files: dict[str, bytes] = {}
        self._unsaved_files: dict[str, bytes | None] = {}
        self._marks: dict[str, str] = {}
        self._marks_moved = False
        self._file = self._open(path) if path is not None else None
        self.versions: dict[str, int] = dict.fromkeys(RESOURCES, 0)
        self.watchers: list[Callable[[list[Change]], None]] = []
        self._noticed: list[Change] = []
        self.visible_from: Callable[[], float] = lambda: 0.0

    @staticmethod
    def _open(path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.executescript(_SCHEMA)
        return connection

    # Reading -----------------------------------------------------------------------------------------------------

    def get(self, entity: str, record_id: str) -> Record | None:
        """The record, unless it is missing or deleted."""
        record = self._tables[entity].get(record_id)
        return None if record is None or record.deleted else record

    def all(self, entity: str) -> Iterator[Record]:
        """Records that are not deleted, by id ascending as a rule."""
        return (record for record in self._tables[entity].values() if not record.deleted)

    def newest(self, entity: str) -> Iterator[Record]:
        """Records that are not deleted, the one created last first."""
        return (record for record in reversed(self._tables[entity].values()) if not record.deleted)

    def changed_since(self, entity: str, moment: float) -> list[Record]:
        """Records of one resource changed at or after a moment, deleted ones included, in the order of change."""
        found = [record for record in self._tables[entity].values() if record.updated >= moment]
        return sorted(found, key=lambda record: record.moved)

    def find(self, *key: str) -> list[Record]:
        """Live records under an index key such as `("number", "Invoice", "1001")`."""
        held = self._index.get(key, ())
        places = (held,) if isinstance(held, tuple) and held else held
        return [self._tables[entity][record_id] for entity, record_id in places]

    def is_empty(self) -> bool:
        """Whether nothing was ever stored."""
        return not any(self._tables.values())

    # Writing -----------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Writes inside are kept together or, when an exception leaves the block, not at all."""
        if self._undo is not None:
            yield
            return
        self._undo = []
        sequences = dict(self._sequences)
        marks = dict(self._marks)
        try:
            yield
        except BaseException:
            for entity, record_id, before in reversed(self._undo):
                self._swap(entity, record_id, before)
            self._sequences = sequences
            self._marks = marks
            self._unsaved.clear()
            self._unsaved_files.clear()
            self._noticed.clear()
            for key in self._unsaved_answers:
                self._answers.pop(key, None)
            self._unsaved_answers.clear()
            raise
        else:
            self._save()
            self._tell()
        finally:
            self._undo = None

    def next_id(self, sequence: str) -> str:
        """The next id of a sequence (names share one, transactions share one)."""
        number = self._sequences.get(sequence, 0) + 1
        self._sequences[sequence] = number
        return str(number)

    def start_sequence(self, sequence: str, after: int) -> None:
        """Let a sequence go on above a number."""
        self._sequences[sequence] = max(after, self._sequences.get(sequence, 0))

    def put(self, entity: str, body: JsonObject, *, deleted: bool = False, silently: bool = False) -> Record:
        """Store an object under its `Id`, replacing what was there.

        Args:
            entity: Its resource.
            body: The complete object; it is rendered now and may be changed afterwards without effect.
            deleted: Keep it only as the memory of a deletion.
            silently: A computed value moved (a customer's balance): the change keeps its place in the order of changes.
        """
        resource = RESOURCES[entity]
        record_id = str(body["Id"])
        if record_id.isdigit():
            number = int(record_id)
            if number > self._sequences.get(resource.sequence, 0):
                self._sequences[resource.sequence] = number
        before = self._tables[entity].get(record_id)
        if silently and before is not None:
            moved = before.moved
        else:
            self._moves += 1
            moved = self._moves
        record = self._record(resource, body, _rendered(resource, body), moved, deleted=deleted)
        horizon = self.visible_from()
        if horizon:
            record = replace(
                record, visible_from=horizon, before=None if before is None else replace(before, before=None)
            )
        self._swap(entity, record_id, record, body)
        if not silently and self.watchers:
            self._noticed.append((record, before))
            if self._undo is None:
                self._tell()
        return record

    def _tell(self) -> None:
        noticed, self._noticed = self._noticed, []
        if noticed:
            for watcher in self.watchers:
                watcher(noticed)

    def _record(self, resource: Resource, body: JsonObject, raw: bytes, moved: int, *, deleted: bool) -> Record:
        facts = _facts(resource, body)
        updated = facts.get("metadata.lastupdatedtime")
        active = body.get("Active", True) is not False or resource.group not in LISTS
        payment = resource.name in {"Payment", "BillPayment"} and not deleted
        applications = applications_of(body) if payment else ()
        dictionary = None if deleted else self._dictionary(resource.name)
        return Record(
            entity=resource.name,
            id=str(body["Id"]),
            packed=raw if dictionary is None else _deflated(raw, dictionary),
            facts=_NO_FACTS if deleted else facts,
            applications=applications,
            updated=updated if isinstance(updated, float) else 0.0,
            moved=moved,
            active=active,
            deleted=deleted,
            dictionary=dictionary,
        )

    def _dictionary(self, entity: str) -> bytes | None:
        """What records of a large table are deflated against: some of its own, which they resemble."""
        known = self._dictionaries.get(entity)
        table = self._tables[entity]
        if known is None and len(table) >= _LARGE_TABLE:
            latest = islice((record for record in reversed(table.values()) if not record.deleted), _ALIKE)
            known = self._dictionaries[entity] = b"".join(record.json for record in latest)
        return known

    def _swap(self, entity: str, record_id: str, record: Record | None, body: JsonObject | None = None) -> None:
        table = self._tables[entity]
        before = table.get(record_id)
        if self._undo is not None:
            self._undo.append((entity, record_id, before))
        place = (entity, record_id)
        for key in _keys(before):
            self._drop(key, place)
        if record is None:
            table.pop(record_id, None)
        else:
            table[record_id] = record
            for key in _keys(record, body):
                self._enter(key, place)
        self.versions[entity] += 1
        self._unsaved[place] = None

    def _enter(self, key: Key, place: Place) -> None:
        # Most keys lead to one record only; a dict for each would be the largest part of a large company.
        held = self._index.get(key)
        if held is None or held == place:
            self._index[key] = place
        elif isinstance(held, tuple):
            self._index[key] = {held: None, place: None}
        else:
            held[place] = None

    def _drop(self, key: Key, place: Place) -> None:
        held = self._index.get(key)
        if isinstance(held, dict):
            held.pop(place, None)
        if held == place or not held:
            self._index.pop(key, None)

    def remember(self, key: str, answer: Answer, memory: int) -> None:
        """Keep an answer for its request id; only the newest `memory` answers are kept."""
        self._answers[key] = answer
        self._unsaved_answers[key] = answer
        self._memory = memory
        while len(self._answers) > memory:
            self._answers.popitem(last=False)

    def remembered(self, key: str) -> Answer | None:
        """The answer once given to a request id."""
        return self._answers.get(key)

    def mark(self, name: str) -> str | None:
        """A small fact about the company that no record shows, such as the document number given last."""
        return self._marks.get(name)

    def set_mark(self, name: str, value: str) -> None:
        """Keep a small fact."""
        self._marks[name] = value
        self._marks_moved = True

    def put_file(self, record_id: str, content: bytes | None) -> None:
        """Keep the bytes of an attachment, or forget them when they are `None`."""
        self._unsaved_files[record_id] = content

    def file(self, record_id: str) -> bytes | None:
        """The bytes of an attachment."""
        if self._file is None:
            return self._files.get(record_id)
        query = "SELECT content FROM file WHERE realm = ? AND id = ?"
        row = self._file.execute(query, (self._realm, record_id)).fetchone()
        return None if row is None else bytes(row[0])

    # Going back --------------------------------------------------------------------------------------------------

    def moment(self) -> Moment:
        """All that it holds now.

        Raises:
            KeptInFileError: It keeps its records in a file.
        """
        if self._file is not None:
            raise KeptInFileError("A company that is kept in a file cannot be put back; start it without --state.")
        return Moment(
            {entity: dict(table) for entity, table in self._tables.items()},
            dict(self._dictionaries),
            dict(self._sequences),
            self._moves,
            OrderedDict(self._answers),
            dict(self._files),
            dict(self._marks),
        )

    def go_back(self, moment: Moment) -> None:
        """Hold again what it held at a moment, remembered answers too; nobody is told of it."""
        for entity, kept in moment.tables.items():
            now = self._tables[entity]
            for record_id in [one for one in now if one not in kept]:
                self._swap(entity, record_id, None)
            for record_id, record in kept.items():
                if now.get(record_id) is not record:
                    self._swap(entity, record_id, record)
            self._tables[entity] = dict(kept)  # in its order
        self._dictionaries = dict(moment.dictionaries)
        self._sequences = dict(moment.sequences)
        self._moves = moment.moves
        self._answers = OrderedDict(moment.answers)
        self._files = dict(moment.files)
        self._marks = dict(moment.marks)
        self._unsaved.clear()

    # Keeping -----------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        if self._file is None:
            self._keep_files_in_memory()
        elif self._unsaved or self._unsaved_answers or self._unsaved_files:
            rows = []
            for entity, record_id in self._unsaved:
                record = self._tables[entity].get(record_id)
                if record is not None:
                    rows.append(
                        (self._realm, entity, record_id, record.json, record.deleted, record.moved, record.moved)
                    )
            answers = [(self._realm, key, held.digest, held.body) for key, held in self._unsaved_answers.items()]
            self._file.execute("BEGIN")
            self._file.executemany(
                "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (realm, entity, id) DO UPDATE SET "
                "body = excluded.body, deleted = excluded.deleted, moved = excluded.moved",
                rows,
            )
            self._file.executemany("INSERT INTO request (realm, key, digest, answer) VALUES (?, ?, ?, ?)", answers)
            self._save_files(self._file)
            if answers:
                self._forget_answers(self._file)
            if self._marks_moved:
                self.note("marks", render(self._marks))
            self._file.execute("COMMIT")
        self._unsaved.clear()
        self._unsaved_answers.clear()
        self._unsaved_files.clear()
        self._marks_moved = False

    def _keep_files_in_memory(self) -> None:
        for record_id, content in self._unsaved_files.items():
            if content is None:
                self._files.pop(record_id, None)
            else:
                self._files[record_id] = content

    def _save_files(self, file: sqlite3.Connection) -> None:
        for record_id, content in self._unsaved_files.items():
            if content is None:
                file.execute("DELETE FROM file WHERE realm = ? AND id = ?", (self._realm, record_id))
            else:
                file.execute("INSERT OR REPLACE INTO file VALUES (?, ?, ?)", (self._realm, record_id, content))

    def _forget_answers(self, file: sqlite3.Connection) -> None:
        newest = file.execute("SELECT max(place) FROM request WHERE realm = ?", (self._realm,)).fetchone()[0]
        if newest % _TIDYING == 0:
            file.execute("DELETE FROM request WHERE realm = ? AND place <= ?", (self._realm, newest - self._memory))

    def load(self) -> None:
        """Read what the file holds."""
        if self._file is None:
            return
        rows: Iterable[tuple[str, str, bytes, int, int]] = self._file.execute(
            "SELECT entity, id, body, deleted, moved FROM record WHERE realm = ? ORDER BY place", (self._realm,)
        )
        for entity, record_id, raw, deleted, moved in rows:
            body: JsonObject = {**parse(raw), "Id": record_id}
            resource = RESOURCES[entity]
            record = self._record(resource, body, raw, moved, deleted=bool(deleted))
            self._swap(entity, record.id, record, body)
            self._moves = max(self._moves, moved)
            if record.id.isdigit():
                self._sequences[resource.sequence] = max(self._sequences.get(resource.sequence, 0), int(record.id))
        self._unsaved.clear()
        # Ids of addresses stand inside of other records; each change can have used three of them at most.
        self.start_sequence("address", 1_000 + 3 * self._moves)
        remembered: Iterable[tuple[str, bytes, bytes]] = self._file.execute(
            "SELECT key, digest, answer FROM request WHERE realm = ? ORDER BY place", (self._realm,)
        )
        for key, digest, answer in remembered:
            self._answers[key] = Answer(digest, answer)
        marks = self.noted("marks")
        if marks is not None:
            self._marks = parse(marks)

    def realms(self) -> list[str]:
        """Ids of all companies in the file."""
        if self._file is None:
            return []
        return [realm for (realm,) in self._file.execute("SELECT DISTINCT realm FROM record ORDER BY realm")]

    def note(self, name: str, body: bytes) -> None:
        """Keep a small document (tokens, preferences of the server) beside the records."""
        if self._file is not None:
            self._file.execute("INSERT OR REPLACE INTO note VALUES (?, ?, ?)", (self._realm, name, body))

    def noted(self, name: str) -> bytes | None:
        """A document kept by `note`, or `None`."""
        if self._file is None:
            return None
        row = self._file.execute("SELECT body FROM note WHERE realm = ? AND name = ?", (self._realm, name)).fetchone()
        return None if row is None else bytes(row[0])

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()


def _deflated(raw: bytes, dictionary: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, _RAW_DEFLATE, zdict=dictionary)
    return packer.compress(raw) + packer.flush()


def _rendered(resource: Resource, body: JsonObject) -> bytes:
    if resource.group == "rate":
        # A rate is found by its currency and day; QuickBooks shows no id for it.
        body = {name: value for name, value in body.items() if name != "Id"}
    # The encoder's own buffer is a quarter larger than what is in it; a copy is not.
    return bytes(memoryview(render(body)))


def _keys(record: Record | None, known: JsonObject | None = None) -> Iterator[Key]:
    """Under what a record can be found; worked out when it comes and when it goes, and not kept."""
    if record is None or record.deleted:
        return
    resource, body = RESOURCES[record.entity], known or record.body()
    if resource.naming and (name := body.get(resource.naming)):
        parent = (body.get("ParentRef") or {}).get("value", "") if resource.name in {"Item", "Account", "Class"} else ""
        yield ("name", resource.naming_space, parent, str(name).strip().casefold())
    if parent_ref := body.get("ParentRef"):
        yield ("parent", resource.name, str(parent_ref.get("value")))
    if resource.group in TRANSACTIONS:
        if number := body.get("DocNumber"):
            yield ("number", resource.name, str(number))
        if customer := body.get("CustomerRef"):
            yield ("customer", str(customer.get("value")))
        if vendor := body.get("VendorRef"):
            yield ("vendor", str(vendor.get("value")))
    yield from (("settled by", application.kind, application.target) for application in record.applications)
    if resource.name == "Deposit":
        yield from (("deposited", application.kind, application.target) for application in applications_of(body))
