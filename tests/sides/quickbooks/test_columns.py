"""Records read together are read as they are one by one: the same frames, the same findings, of every page."""

import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconcile.model.entities import Entity
from reconcile.sides.quickbooks.columns import COLLECTORS, NotPlainError, Numbers, amounts
from reconcile.sides.quickbooks.frames import Harvest
from reconcile.sides.quickbooks.mapping import Lookups
from reconcile.sides.quickbooks.marks import tag
from reconcile.sides.quickbooks.pages import WrittenPage, census_decoder, page_decoder, read_each
from reconcile.sides.quickbooks.records import SHAPES, PaymentMethod, WrittenLine
from tests.sides.quickbooks.conftest import sample

LOOKUPS = Lookups("USD", methods={"1": PaymentMethod(id="1", name="Visa", type="CREDIT_CARD")})


class Written(str):
    """A piece of JSON as it is written, spelling and all."""

    __slots__ = ()


def written(value: Any) -> str:
    if isinstance(value, Written):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{written(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return json.dumps(value)


def body_of(entity: Entity, items: list[Any]) -> bytes:
    answer = {"QueryResponse": {SHAPES[entity].__name__: items}, "time": "2025-08-01T09:19:21.9-07:00"}
    return written(answer).encode()


def read(entity: Entity, bodies: list[bytes], *, together: bool) -> dict[str, Any]:
    """Everything that reading these pages gives."""
    harvest = Harvest(entity, LOOKUPS)
    decode: Any = census_decoder(SHAPES[entity]) if together else page_decoder(SHAPES[entity])
    try:
        for body in bodies:
            harvest.add(decode(body))
        frame, rows = harvest.frames()
    except ValueError as error:
        return {"error": type(error)}
    return {
        "frame": frame,
        "rows": rows,
        "findings": harvest.findings,
        "seen": harvest.seen,
        "unreadable": harvest.unreadable,
        "left_out": harvest.left_out,
        "marks": harvest.marks,
    }


def assert_the_same(entity: Entity, bodies: list[bytes]) -> None:
    alone, together = (read(entity, bodies, together=flag) for flag in (False, True))
    assert alone.keys() == together.keys()
    for name, value in alone.items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(value, together[name])
        else:
            assert value == together[name], name


CENTS = st.integers(-(10**9), 10**9).map(lambda cents: Written(f"{cents // 100}.{cents % 100:02}"))
PLAIN_AMOUNTS = st.one_of(CENTS, st.integers(-1000, 1000), st.sampled_from([0, Written("0.0"), Written("-0.00")]))
ODD_AMOUNTS = st.sampled_from(
    [
        *map(Written, ("1e1", "1E-2", "1e-3", "12.5000000000", "0.001", "0.00000001", "1e400", "-0", "1e99999999999")),
        *map(Written, ("99999999.99", "100000000.00", "-92233720368547758.08", "92233720368547758.07", "1e17", "1e30")),
        *map(Written, ("9007199254740993.01", "1.00000000000000000000000000000001", "922337203685.4775808")),
        *("10.10", "1,5", " 1", "", "NaN", "Infinity", "null", "n", True, [], [1, 2], {"a": 1, "b": 2}, None),
    ]
)
MISSING = object()
MARKED = (tag("0" * 16), f"Voided - called on Monday, {tag('1' * 16)}", tag("0" * 16) + tag("1" * 16))
ODD = st.sampled_from([None, "", "x", 1, True, [], {}, MISSING])
TIMES = [
    *(
        "2026-11-25T13:00:00-08:00",
        "2026-01-01T00:00:00+14:00",
        "2026-11-25T13:00:00Z",
        "2026-11-25T13:00:00.123-08:00",
    ),
    *(
        "0000-01-01T00:00:00-08:00",
        "0001-01-01T00:00:00+08:00",
        "9999-12-31T23:59:59-08:00",
        "2026-02-30T00:00:00+00:00",
    ),
    *(
        "2026-11-25 13:00:00-08:00",
        "1969-12-31T23:59:59+00:00",
        "1960-01-01T00:00:00.12-08",
        "2026-11-25T13:00:00.1234Z",
    ),
    *("2026-11-25T13:00:00", "2026-11-25", "20261125T130000-08:00000", "2026-11-25T24:00:00-08:00", "yesterday", ""),
]


def mostly(plain: st.SearchStrategy[Any], odd: st.SearchStrategy[Any], rate: int) -> st.SearchStrategy[Any]:
    """A plain value, and once in ``rate`` times an odd one; never, when that is 0."""
    if not rate:
        return plain
    return st.integers(0, rate).flatmap(lambda number: plain if number else odd)


def given_fields(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(fields).map(
        lambda drawn: {name: value for name, value in drawn.items() if value is not MISSING}
    )


def ref(rate: int, *values: str) -> st.SearchStrategy[Any]:
    found = given_fields(value=mostly(st.sampled_from(values), ODD, rate), name=mostly(st.just("A name"), ODD, rate))
    return mostly(st.one_of(found, st.just(MISSING)), ODD, rate)


def amount(rate: int) -> st.SearchStrategy[Any]:
    return mostly(st.one_of(PLAIN_AMOUNTS, st.just(MISSING)), st.one_of(ODD_AMOUNTS, ODD), rate)


def text(rate: int) -> st.SearchStrategy[Any]:
    return mostly(st.sampled_from(["a", "ä\U0001f600", '"\\,\n', "null", MISSING]), ODD, rate)


def head(rate: int) -> dict[str, st.SearchStrategy[Any]]:
    moment = mostly(st.just(TIMES[0]), st.sampled_from(TIMES), rate)
    return {
        "Id": mostly(st.integers(1, 30).map(str), ODD, rate and 4 * rate),
        "SyncToken": text(rate),
        "MetaData": mostly(given_fields(LastUpdatedTime=moment), ODD, rate),
        "TxnDate": text(rate),
        "CustomerRef": ref(rate, "7", "8"),
        "CurrencyRef": ref(rate, "USD", "USD", "EUR") if not rate else ref(rate, "USD", "JPY", "KWD"),
        "TotalAmt": mostly(PLAIN_AMOUNTS, amount(1), rate),
        "PrivateNote": mostly(st.sampled_from([MISSING, "Voided", "note", *MARKED]), ODD, rate),
    }


def lines(rate: int, deep: int = 1) -> st.SearchStrategy[Any]:
    sold = given_fields(
        ItemRef=ref(rate, "1", "SHIPPING_ITEM_ID"),
        Qty=amount(rate),
        UnitPrice=amount(rate),
        TaxCodeRef=ref(rate, "TAX", "NON") if not rate else ref(rate, "TAX", "NON", "5"),
    )
    kinds = ["SalesItemLineDetail", "SALES_ITEM_LINE_DETAIL", "DescriptionOnly", "SubTotalLineDetail"]
    odd_kinds = ["DiscountLineDetail", "GroupLineDetail", "DISCOUNT_LINE_DETAIL", "TaxLineDetail", "", None]
    group = given_fields(Line=lines(rate, deep - 1)) if rate and deep else st.just(MISSING)
    discount = given_fields(PercentBased=st.booleans(), DiscountPercent=amount(rate))
    line = given_fields(
        DetailType=mostly(st.sampled_from(kinds), st.sampled_from(odd_kinds), rate),
        Description=text(rate),
        Amount=amount(rate),
        SalesItemLineDetail=mostly(sold, st.one_of(ODD, sold), rate),
        DiscountLineDetail=mostly(st.just(MISSING), st.one_of(discount, ODD), rate),
        GroupLineDetail=mostly(st.just(MISSING), st.one_of(group, ODD), rate),
    )
    return st.lists(line, max_size=4)


def invoices(rate: int) -> st.SearchStrategy[Any]:
    tax = given_fields(TxnTaxCodeRef=ref(rate, "2"), TotalTax=amount(rate))
    return given_fields(
        **head(rate),
        DocNumber=text(rate),
        DueDate=text(rate),
        Line=mostly(lines(rate), ODD, rate),
        TxnTaxDetail=mostly(st.one_of(tax, st.just(MISSING)), ODD, rate),
        ApplyTaxAfterDiscount=mostly(st.booleans(), ODD, rate),
        GlobalTaxCalculation=mostly(st.just(MISSING), st.sampled_from(["TaxInclusive", "TaxExcluded", 1]), rate),
        CustomerMemo=mostly(given_fields(value=text(rate)), ODD, rate),
        Balance=amount(rate),
        Deposit=mostly(st.sampled_from([0, Written("0.00"), MISSING]), amount(2), rate),
    )


def payments(rate: int) -> st.SearchStrategy[Any]:
    link = given_fields(
        TxnId=mostly(st.sampled_from(["3", "4"]), ODD, rate),
        TxnType=mostly(
            st.sampled_from(["Invoice", "CreditMemo"]), st.sampled_from(["Check", "", MISSING, None, 1]), rate
        ),
    )
    links = mostly(st.lists(link, min_size=1, max_size=1), st.lists(link, max_size=2), rate)
    line = given_fields(Amount=amount(rate), LinkedTxn=mostly(links, ODD, rate))
    deposit = given_fields(TxnId=st.just("9"), TxnType=st.sampled_from(["Deposit", "Other"]))
    return given_fields(
        **head(rate),
        UnappliedAmt=amount(rate),
        PaymentMethodRef=ref(rate, "1", "2"),
        PaymentRefNum=text(rate),
        Line=mostly(st.lists(line, max_size=3), ODD, rate),
        LinkedTxn=mostly(st.lists(deposit, max_size=2), ODD, rate),
    )


RECORDS = {Entity.INVOICE: invoices, Entity.PAYMENT: payments}


def pages(entity: Entity, rate: int) -> st.SearchStrategy[list[list[Any]]]:
    def id_of(item: Any) -> Any:
        return repr(item.get("Id"))

    page = st.lists(RECORDS[entity](rate), max_size=5, unique_by=None if rate == 2 else id_of)
    return st.lists(page, min_size=1, max_size=3)


@pytest.mark.parametrize("entity", list(RECORDS))
@pytest.mark.parametrize("rate", [0, 30, 2], ids=["plain", "with odd ones", "hostile"])
@settings(max_examples=15)
@given(data=st.data())
def test_records_read_together_are_read_as_they_are_one_by_one(entity: Entity, rate: int, data: st.DataObject) -> None:
    drawn = data.draw(pages(entity, rate))

    assert_the_same(entity, [body_of(entity, items) for items in drawn])


@pytest.mark.parametrize("entity", list(RECORDS))
@settings(max_examples=10)
@given(data=st.data())
def test_plain_records_are_read_together(entity: Entity, data: st.DataObject) -> None:
    (items,) = data.draw(pages(entity, 0).map(lambda drawn: drawn[:1]))
    page: Any = census_decoder(SHAPES[entity])(body_of(entity, items))

    assert isinstance(page, WrittenPage)
    collector = COLLECTORS[entity](LOOKUPS)
    collector.add(page.records)
    assert not collector.columns().others


@pytest.mark.parametrize(("entity", "name"), [(Entity.INVOICE, "invoice"), (Entity.PAYMENT, "payment")])
def test_the_sample_companys_records_are_the_same_either_way(entity: Entity, name: str) -> None:
    assert_the_same(entity, [body_of(entity, sample(name))])


ODD_INVOICES: list[tuple[str, dict[str, Any]]] = [
    ("finer than its currency", {"TotalAmt": Written("1.001")}),
    ("exact in its spelling", {"TotalAmt": Written("1e1")}),
    ("text for a number", {"TotalAmt": "10.10"}),
    ("too large", {"TotalAmt": Written("1e30")}),
    ("without total", {"TotalAmt": None}),
    ("no time", {"MetaData": {"LastUpdatedTime": "yesterday"}}),
    ("before all time", {"MetaData": {"LastUpdatedTime": "0001-01-01T00:00:00+08:00"}}),
    ("deposit", {"Deposit": 5}),
    ("tax inclusive", {"GlobalTaxCalculation": "TaxInclusive"}),
    ("bundle", {"Line": [{"DetailType": "GroupLineDetail", "GroupLineDetail": {"Line": []}}]}),
    ("discount", {"Line": [{"DetailType": "DiscountLineDetail", "Amount": 5, "DiscountLineDetail": {}}]}),
    ("void", {"PrivateNote": "Voided by Craig", "TotalAmt": 0}),
    ("met before", {"Id": "1"}),
    ("lines beyond 64 bits", {"Line": [{"DetailType": "SalesItemLineDetail", "Amount": Written("9e16")}] * 2}),
]


@pytest.mark.parametrize(("what", "change"), ODD_INVOICES, ids=[what for what, _ in ODD_INVOICES])
def test_an_odd_record_among_plain_ones_keeps_its_place(what: str, change: dict[str, Any]) -> None:
    assert what
    plain = {"SyncToken": "0", "TotalAmt": 5, "Line": [{"DetailType": "DescriptionOnly", "Description": "a"}]}
    items = [{"Id": "1", **plain}, {"Id": "2", **plain, **change}, {"Id": "3", **plain}]

    assert_the_same(Entity.INVOICE, [body_of(Entity.INVOICE, items)])


@pytest.mark.parametrize("together", [False, True])
def test_payments_that_we_made_are_known_by_their_marks_and_nothing_else_is(together: bool) -> None:
    plain = {"SyncToken": "0", "TotalAmt": 5, "PrivateNote": tag("a" * 16)}
    odd = {"Line": [{"Amount": Written("1.001"), "LinkedTxn": [{"TxnId": "3", "TxnType": "Invoice"}]}]}
    lost = {"Id": "5", **plain, "TotalAmt": "five"}
    items = [
        {"Id": "1", **plain},
        {"Id": "2", "TotalAmt": 5},
        {"Id": "3", **plain, "PrivateNote": tag("b" * 16), **odd},
    ]

    payments = read(Entity.PAYMENT, [body_of(Entity.PAYMENT, page) for page in (items, [lost])], together=together)
    invoices = read(Entity.INVOICE, [body_of(Entity.INVOICE, items[:2])], together=together)

    assert len(payments["findings"]) == 2
    assert payments["marks"] == {"1": "a" * 16}
    assert invoices["marks"] == {}


def numbers(lines: list[WrittenLine]) -> Numbers:
    found = Numbers()
    found.add([line.amount for line in lines])
    return found


def test_what_stands_where_an_amount_belongs_cannot_move_the_amounts_after_it() -> None:
    page: Any = census_decoder(SHAPES[Entity.INVOICE])(
        body_of(
            Entity.INVOICE, [{"Id": "1", "Line": [{"Amount": [1, 2]}, {"Amount": "3,4"}, {"Amount": 5}], "TotalAmt": 5}]
        )
    )
    found: list[WrittenLine] = page.records[0].line

    with pytest.raises(NotPlainError):
        amounts(numbers(found))


@given(
    st.lists(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**8) + 1, max_value=10**8 - 1, places=7))
)
def test_amounts_are_exact(drawn: list[Any]) -> None:
    items = [{"Id": "1", "Line": [{"Amount": Written(f"{number:f}")} for number in drawn]}]
    page: Any = census_decoder(SHAPES[Entity.INVOICE])(body_of(Entity.INVOICE, items))

    (found,) = amounts(numbers(page.records[0].line))

    assert found.scaled.tolist() == [int(number.scaleb(7)) for number in drawn]
    assert found.fit.all()


def version_of(entity: Entity, number: int, token: int, how: str) -> dict[str, Any]:
    """A copy of a record that says which version it is; ``how`` it is odd, if it is."""
    note = tag(f"{token:016x}") if token % 2 else "note"
    item: dict[str, Any] = {"Id": str(number), "SyncToken": str(token), "TotalAmt": token, "PrivateNote": note}
    if how == "unreadable":
        item["TxnDate"] = token
    elif how == "by itself":
        item |= {"PrivateNote": 5} if entity is Entity.PAYMENT else {"Line": [{"DetailType": "GroupLineDetail"}]}
    return item


@pytest.mark.parametrize("entity", list(RECORDS))
@settings(max_examples=60)
@given(data=st.data())
def test_of_copies_of_a_record_the_newest_counts_in_whatever_order_they_come(
    entity: Entity, data: st.DataObject
) -> None:
    """On overlapping pages, in captures, twice in one answer."""
    hows = st.sampled_from(["plain", "plain", "by itself", "unreadable"])
    copies = data.draw(
        st.dictionaries(st.tuples(st.integers(1, 4), st.integers(0, 30)), hows, min_size=1, max_size=12).map(
            lambda drawn: [(number, token, how) for (number, token), how in drawn.items()]
        )
    )
    newest = {number: (number, token, how) for number, token, how in sorted(copies)}
    order = data.draw(st.permutations(copies))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=3)))
    answers = [order[start:end] for start, end in zip([0, *cuts], [*cuts, len(order)], strict=True)]
    alone = Harvest(entity, LOOKUPS)
    alone.add(read_each(SHAPES[entity], [version_of(entity, *copy) for copy in newest.values()]))
    harvest = Harvest(entity, LOOKUPS)
    for answer in answers:
        items = [version_of(entity, *copy) for copy in answer]
        captured = data.draw(st.booleans())
        shape: Any = SHAPES[entity]
        harvest.add(read_each(shape, items) if captured else census_decoder(shape)(body_of(entity, items)))
    for mine, theirs in zip(harvest.frames(), alone.frames(), strict=True):
        key = [column for column in ("id", "parent_id", "position") if column in mine]
        pd.testing.assert_frame_equal(
            mine.sort_values(key).reset_index(drop=True), theirs.sort_values(key).reset_index(drop=True)
        )
    assert harvest.seen == alone.seen
    assert harvest.unreadable == alone.unreadable
    assert harvest.marks == alone.marks
    assert sorted(harvest.findings, key=str) == sorted(alone.findings, key=str)
