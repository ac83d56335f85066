"""From the bytes of an answer to typed records: fast when all is well, record by record when one of them is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeVar, cast

import msgspec

from reconcile.sides.quickbooks.faults import faults_in
from reconcile.sides.quickbooks.records import WRITTEN
from reconcile.sides.quickbooks.session import HoldsFaultError, Vigilant, exact_json, server_time

R = TypeVar("R")
_REPLACED = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class Broken:
    """A record that is not what it should be; ``why`` names the field and what it holds, ``version`` its SyncToken."""

    id: str
    label: str
    why: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """The records of one answer.

    Attributes:
        records: those that could be read.
        broken: those that could not.
        time: server time of the answer, UTC.
    """

    records: list[R]
    broken: list[Broken] = field(default_factory=list)
    time: datetime | None = None

    @property
    def ids(self) -> list[str]:
        """Ids of all records of the page, broken ones included."""
        return [record.id for record in self.records] + [broken.id for broken in self.broken]  # type: ignore[attr-defined]  # every shape has an id

    def __len__(self) -> int:
        """How many records the answer held."""
        return len(self.records) + len(self.broken)


@dataclass(frozen=True, slots=True)
class PageAsCame(Generic[R]):
    """One answer as it came, whose records can be read again.

    Attributes:
        shape: what its records are.
        body: the answer.
    """

    shape: type[R]
    body: bytes = field(repr=False)

    def records(self) -> list[R]:
        """All records, amounts as they are written."""
        found: list[R] = (
            _envelope_decoder(_written(self.shape), self.shape.__name__).decode(self.body).QueryResponse.records
        )
        return found

    def exact(self) -> Page[R]:
        """The same page with exact amounts; records with an amount that is none are among its broken ones."""
        return page_decoder(self.shape)(self.body)

    def exact_at(self, positions: Sequence[int]) -> list[R]:
        """The records at these positions with exact amounts, of a page whose amounts are known to be numbers."""
        answer = _envelope_decoder(cast("Any", msgspec.Raw), self.shape.__name__).decode(self.body)
        decode = msgspec.json.Decoder(self.shape).decode
        return [decode(answer.QueryResponse.records[position]) for position in positions]


@dataclass(frozen=True, slots=True)
class WrittenPage(Generic[R]):
    """The records of one answer, amounts as they are written: quick to make, for those who read many together.

    Attributes:
        records: all of them; well formed but for their amounts, which nobody has looked at yet.
        as_came: the answer itself.
        time: server time of the answer, UTC.
    """

    records: list[R]
    as_came: PageAsCame[R]
    time: datetime | None = None

    @property
    def ids(self) -> list[str]:
        """Ids of all records of the page."""
        return [record.id for record in self.records]  # type: ignore[attr-defined]  # every shape has an id

    def __len__(self) -> int:
        """How many records the answer held."""
        return len(self.records)


def _written(shape: type[R]) -> Any:
    """The shape with amounts as they are written, where there is one."""
    return WRITTEN.get(cast("type", shape), shape)


def page_decoder(shape: type[R]) -> Vigilant[Page[R]]:
    """A function from the body of a query's answer to its page; it raises ``ValueError`` when that is no JSON."""
    decoder = _envelope_decoder(cast("Any", shape), shape.__name__)

    def decode(body: bytes) -> Page[R]:
        try:
            answer: Any = decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            content = exact_json(body.decode("utf-8", "replace").encode())
            if faults := faults_in(content):
                raise HoldsFaultError(faults) from None
            return read_each(shape, _listed(content, shape.__name__), server_time(content))
        _look_for_faults(answer, body)
        return Page(answer.QueryResponse.records, time=server_time({"time": answer.time}))

    return Vigilant(decode)


def census_decoder(shape: type[R]) -> Vigilant[Page[R] | WrittenPage[R]]:
    """As :func:`page_decoder`, but amounts are left as they are written where the shape and the answer allow it."""
    exact = page_decoder(shape)
    decoder = _envelope_decoder(_written(shape), shape.__name__)

    def decode(body: bytes) -> Page[R] | WrittenPage[R]:
        if shape not in WRITTEN:
            return exact(body)
        try:
            answer: Any = decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return exact(body)
        _look_for_faults(answer, body)
        return WrittenPage(answer.QueryResponse.records, PageAsCame(shape, body), server_time({"time": answer.time}))

    return Vigilant(decode)


@dataclass(frozen=True, slots=True)
class BatchOfAnswers:
    """What the queries of a batch gave, by their places in it.

    Attributes:
        bodies: for each place that was answered, its answer as the query alone would have brought it.
        time: server time of the answer, UTC.
    """

    bodies: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    time: datetime | None = None

    def body(self, place: int) -> bytes | None:
        """What the query at a place gave; ``None`` when it was not answered."""
        return self.bodies.get(str(place))

    def content(self, place: int) -> dict[str, Any] | None:
        """The same, parsed with exact decimals; ``None`` too when it cannot be read."""
        try:
            found = exact_json(self.bodies[str(place)])["QueryResponse"]
        except (KeyError, ValueError):
            return None
        return found if isinstance(found, dict) else None


class _BatchItem(msgspec.Struct, rename={"place": "bId", "answer": "QueryResponse"}):
    place: str = ""
    answer: msgspec.Raw = msgspec.Raw()


class _Batch(msgspec.Struct, rename={"items": "BatchItemResponse"}):
    items: list[_BatchItem] = []
    time: str = ""


_decode_batch = msgspec.json.Decoder(_Batch).decode


def _answers_of(body: bytes) -> BatchOfAnswers:
    try:
        batch = _decode_batch(body)
    except (msgspec.ValidationError, RecursionError):
        return BatchOfAnswers()
    time = msgspec.json.encode(batch.time)
    return BatchOfAnswers(
        {
            item.place: b'{"QueryResponse":%s,"time":%s}' % (bytes(item.answer), time)
            for item in batch.items
            if item.answer
        },
        server_time({"time": batch.time}),
    )


batch_decoder = Vigilant(_answers_of)
"""From the answer to a batch of queries to what each of them gave; a query that failed is one that was not answered.

Raises ``ValueError`` when it is no JSON.
"""


def _look_for_faults(answer: Any, body: bytes) -> None:
    if (answer.Fault or answer.fault) and (faults := faults_in(exact_json(body))):
        raise HoldsFaultError(faults)


@cache
def _envelope_decoder(shape: Any, name: str) -> msgspec.json.Decoder[Any]:
    records: Any = list[shape]
    response = msgspec.defstruct("Response", [("records", records, [])], rename={"records": name})
    faults = [(word, msgspec.Raw, msgspec.Raw()) for word in ("Fault", "fault")]
    return msgspec.json.Decoder(
        msgspec.defstruct("Envelope", [("QueryResponse", response), ("time", str, ""), *faults])
    )


def _listed(content: Any, name: str) -> Sequence[Any]:
    try:
        found = content["QueryResponse"].get(name, [])
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("the answer holds no QueryResponse") from error
    if not isinstance(found, list):
        raise ValueError(f"the answer's {name} is no list")  # noqa: TRY004 - all that is no answer is a ValueError here
    return found


def read_each(shape: type[R], objects: Sequence[Any], time: datetime | None = None) -> Page[R]:
    """The same page read record by record, so that only the malformed ones are lost to it."""
    records: list[R] = []
    broken: list[Broken] = []
    for item in objects:
        try:
            why = _unfit_text(item)
            if not why:
                records.append(msgspec.convert(item, shape))
        except msgspec.ValidationError as error:
            why = _in_words(str(error))
        except RecursionError:
            why = "it is nested more deeply than can be read"
        if why:
            broken.append(Broken(_word(item, "Id"), _label(item), why, _word(item, "SyncToken")))
    return Page(records, broken, time)


def _word(item: Any, name: str) -> str:
    value = item.get(name) if isinstance(item, dict) else None
    return _fit(str(value)) if isinstance(value, str | int) else ""


def _label(item: Any) -> str:
    return next(filter(None, (_word(item, name) for name in ("DocNumber", "DisplayName", "Name", "PaymentRefNum"))), "")


def _fit(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _unfit_text(item: Any) -> str:
    """What is wrong with the characters of a record; empty when nothing is."""
    if isinstance(item, dict):
        for name, value in item.items():
            if isinstance(value, str):
                try:
                    value.encode()
                except UnicodeEncodeError:
                    return f"{name} holds half a character"
                if _REPLACED in value:
                    return f"{name} holds bytes that are no characters"
            elif why := _unfit_text(value):
                return why
    elif isinstance(item, list):
        return next(filter(None, map(_unfit_text, item)), "")
    return ""


def _in_words(said: str) -> str:
    """``Expected `str`, got `int` - at `$.DocNumber``` as a person reads it."""
    names = {"str": "text", "int": "a number", "decimal": "an amount", "bool": "true or false", "null": "nothing"}
    names |= {"float": "a number", "array": "a list", "object": "an object"}
    text, _, place = said.partition(" - at ")
    for technical, plain in names.items():
        text = text.replace(f"`{technical}`", plain).replace(f"`{technical} | null`", plain)
    where = place.strip("`").removeprefix("$.").removeprefix("$")
    return f"{where or 'the record'}: {text}"
