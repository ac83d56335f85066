"""The query language: what parses, what it means, and where it fails."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.sandbox.quickbooks.faults import FaultError
from reconcile.sandbox.quickbooks.query import parse, text_of


def names(rows: Any) -> list[str]:
    return [row["DisplayName"] for row in rows]


def refused(statement: str, desk: Any) -> tuple[int, str]:
    with pytest.raises(FaultError) as caught:
        desk.query(statement)
    return caught.value.problems[0].code, caught.value.problems[0].detail


@pytest.mark.parametrize("order", ["ORDERBY DisplayName", "order by DisplayName ASC", "Order By displayname"])
def test_both_spellings_of_order_by_and_any_case_of_words(desk: Any, order: str) -> None:
    rows = desk.query(f"SeLeCt * FROM customer {order} STARTPOSITION 2 MAXRESULTS 2")
    assert names(rows) == ["55 Twin Lane", "Amy's Bird Sanctuary"]


def test_texts_compare_without_case_and_percent_is_the_wildcard(desk: Any) -> None:
    assert [row["Name"] for row in desk.query("select * from Account where Name = 'cHECKING'")] == ["Checking"]
    assert names(desk.query("select * from Customer where DisplayName LIKE '%bird%'")) == ["Amy's Bird Sanctuary"]
    assert desk.query("select * from Customer where DisplayName like 'bird'") == []


def test_a_quote_and_a_backslash_are_escaped_with_a_backslash(desk: Any) -> None:
    desk.post("customer", {"DisplayName": "back\\slash O'Brien"})
    assert names(desk.query(r"select * from Customer where DisplayName = 'back\\slash O\'Brien'")) == [
        "back\\slash O'Brien"
    ]
    assert refused("select * from Customer where DisplayName = 'Amy''s'", desk)[0] == 4000


@given(st.text())
def test_any_text_survives_quoting(text: str) -> None:
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    condition = parse(f"select * from Customer where Notes = '{quoted}'").conditions[0]
    assert text_of(condition.values[0]) == text


def test_nested_fields_references_dates_and_numbers(desk: Any) -> None:
    assert len(desk.query("select * from Customer where PrimaryEmailAddr.Address = 'birds@intuit.com'")) == 1
    assert len(desk.query("select * from Customer where PrimaryEmailAddr = 'birds@intuit.com'")) == 1
    assert len(desk.query("select * from Invoice where CustomerRef = '1'")) == 3
    assert (
        len(desk.query("select * from Invoice where Balance > '400' and Balance < 500 and TotalAmt >= '450.00'")) == 2
    )
    assert desk.query("select * from Invoice where TxnDate > CURRENT_DATE") == []
    assert len(desk.query("select * from Customer where Job = true")) == 3


def test_an_open_credit_is_compared_as_a_negative_amount(desk: Any, sell: Any) -> None:
    memo = desk.post("creditmemo", {"CustomerRef": {"value": "1"}, "Line": [sell("6", 30)]})
    for where, found in (("< '0'", 1), ("= '-30'", 1), ("in ('-30')", 1), ("<= -30.00", 1), ("> '-30'", 0)):
        statement = f"select * from CreditMemo where Balance {where} and Id = '{memo['Id']}'"
        assert len(desk.query(statement)) == found, where
    assert memo["Balance"] == 30
    desk.switch("credit_balance_in_where", 1)
    assert desk.query(f"select * from CreditMemo where Balance > '0' and Id = '{memo['Id']}'")


def test_times_compare_with_their_offsets(desk: Any) -> None:
    moment = desk.invoice("1", 10)["MetaData"]["LastUpdatedTime"]
    assert len(desk.query(f"select * from Invoice where MetaData.LastUpdatedTime >= '{moment}'")) == 1
    assert len(desk.query(f"select * from Invoice where MetaData.LastUpdatedTime >= '{moment[:10]}'")) >= 1
    assert desk.query("select * from Invoice where MetaData.CreateTime > '2099-01-01T00:00:00Z'") == []


def test_in_takes_a_list_and_id_takes_nothing_but_equality(desk: Any) -> None:
    assert len(desk.query("select * from Invoice where Id in ('9', '10', '999999')")) == 2
    assert refused("select * from Invoice where Id > '9'", desk)[0] == 4001


def test_deactivated_objects_hide_unless_active_is_asked_for(desk: Any) -> None:
    customer = desk.post("customer", {"DisplayName": "Leaving"})
    desk.post("customer", {"Id": customer["Id"], "SyncToken": "0", "sparse": True, "Active": False})
    where = "select * from Customer where "
    assert desk.query(f"{where}DisplayName like 'Leaving%'") == []
    assert len(desk.query(f"{where}Active IN (true, false) and DisplayName like 'Leaving%'")) == 1
    assert names(desk.query(f"{where}Active = 'false'")) == ["Leaving (deleted)"]


def test_a_page_is_a_hundred_and_never_more_than_a_thousand(desk: Any) -> None:
    for number in range(90):
        desk.invoice("1", 10, DocNumber=f"P{number}")
    assert len(desk.query("select * from Invoice")) == 100
    assert len(desk.query("select * from Invoice maxresults 5000")) == 121
    assert len(desk.query("select * from Invoice startposition 101 maxresults 50")) == 21


def test_the_answer_counts_what_it_holds(desk: Any) -> None:
    answer = desk.company.query("select * from Term where Name like 'Net%' maxresults 3")
    assert b'"startPosition":1,"maxResults":3}' in answer
    assert b'{"QueryResponse":{"totalCount":31},' in desk.company.query("select count(*) from Invoice")
    assert b'{"QueryResponse":{},' in desk.company.query("select * from Invoice where DocNumber = 'none'")


def test_columns_give_only_themselves_and_star_beside_them_gives_all(desk: Any) -> None:
    rows = desk.query("select Id, DisplayName, MetaData.CreateTime from Customer maxresults 1")
    assert set(rows[0]) == {"Id", "DisplayName", "MetaData", "domain", "sparse"}
    assert set(rows[0]["MetaData"]) == {"CreateTime"}
    assert "UnitPrice" in desk.query("select *, Sku from Item")[0]


@pytest.mark.parametrize(
    ("statement", "detail"),
    [
        ("", 'QueryParserError: Encountered "<EOF>" at line 0, column 0.\nWas expecting:\n    "select" ...'),
        ("select * from Invoice where DocNumber = '1' OR Id = '2'", '"OR "" at line 1, column 45.'),
        (
            "select * from Invoice where DocNumber = '1' R",
            "<EOF> \n    <AND> \n    <OR> \n    <ORDER> \n    <ORDERBY> \n",
        ),
        (
            "select * from Invoice where DocNumber = '1' R",
            "    <ITERATOR> \n    <STARTPOSITION> \n    <MAXRESULTS> ...",
        ),
        ("select * from Invoice where (DocNumber = '1')", 'Encountered " "(" "( "" at line 1, column 29.'),
        (
            "select * from Invoice\nwhere DocNumber != '1'",
            'Lexical error at line 2, column 17.  Encountered: "!" (33), after : ""',
        ),
        ("select * from Invoice where DocNumber is null", 'Encountered " <IDENTIFIER> "is "" at line 1, column 39.'),
        ('select * from Invoice where DocNumber = "1"', "Lexical error at line 1, column 41."),
        ("select * from Invoice where DocNumber = 'open", "Lexical error at line 1, column 41."),
        ("delete from Invoice", 'Encountered " <IDENTIFIER> "delete "" at line 1, column 1.'),
    ],
)
def test_what_is_not_in_the_grammar_is_4000_with_its_place(desk: Any, statement: str, detail: str) -> None:
    code, said = refused(statement, desk)
    assert (code, said[:17]) == (4000, "QueryParserError:")
    assert detail in said


@pytest.mark.parametrize(
    ("statement", "detail"),
    [
        ("select * from Invoice where NoSuchField = '1'", "Property NoSuchField not found for Entity Invoice"),
        ("select * from Customer where CustomerTypeRef = '1'", "property 'CustomerTypeRef' is not queryable"),
        ("select * from Invoice where DepartmentRef = '1'", "property 'DepartmentRef' is not queryable"),
        ("select * from Invoice startposition 0", "value 0 is too small. Min allowed value is 1"),
        ("select * from Invoice maxresults 0", "value 0 is too small. Min allowed value is 1"),
        ("select * from Invoice where Balance > 'much'", "value 'much' is not valid for property Balance"),
        ("select * from Unicorn", "Invalid context declaration: Unicorn"),
        ("select * from taxservice", "Metadata not found for Entity: TaxService"),
        ("select * from Invoice where Id = 'first'", "value 'first' is not valid for property Id"),
        ("select * from Term where Id in ('1', 'x')", "value 'x' is not valid for property Id"),
    ],
)
def test_what_means_nothing_is_4001(desk: Any, statement: str, detail: str) -> None:
    assert refused(statement, desk) == (4001, f"QueryValidationError: {detail}")


def test_a_page_after_a_change_shows_the_change(desk: Any) -> None:
    statement = "select * from Invoice where CustomerRef = '1'"
    assert len(desk.query(statement)) == 3
    desk.invoice("1", 10)
    assert len(desk.query(statement)) == 4


def test_ordering_by_number_counts_and_does_not_spell(desk: Any) -> None:
    balances = [row["Balance"] for row in desk.query("select * from Invoice orderby Balance desc maxresults 5")]
    assert balances == sorted(balances, reverse=True)
    ids = [int(row["Id"]) for row in desk.query("select * from Invoice orderby Id")]
    assert ids == sorted(ids)


def test_what_the_company_has_none_of_is_found_nowhere(desk: Any) -> None:
    for entity in ("Budget", "purchaseorder", "TimeActivity", "Transfer", "CustomerType"):
        assert b'{"QueryResponse":{},' in desk.company.query(f"select * from {entity} where Active = true maxresults 5")
        assert b'{"QueryResponse":{"totalCount":0},' in desk.company.query(f"select count(*) from {entity}")


def test_notes_are_found_by_their_tag(desk: Any) -> None:
    desk.post("attachable", {"Note": "first", "Tag": "Testing"})
    desk.post("attachable", {"Note": "second"})
    assert [one["Note"] for one in desk.query("select * from attachable where Tag = 'Testing'")] == ["first"]
