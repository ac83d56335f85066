r"""The query language: text to `Query`, and `Query` to records.

    SELECT * | COUNT(*) | column, …  FROM entity
      [WHERE condition AND condition …]
      [ORDERBY | ORDER BY field [ASC | DESC], …]
      [STARTPOSITION n] [MAXRESULTS n]

Keywords, entities and fields are case-insensitive, and so are texts in comparisons. `'` is escaped as `\'` and `\` as
`\\`. Whatever is not in this grammar (OR, NOT, `!=`, parentheses around conditions, IS NULL) is fault 4000 with its
position; what is well-formed but means nothing is 4001.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from operator import eq, ge, gt, le, lt
from typing import Any, Final

from reconcile.sandbox.quickbooks import faults
from reconcile.sandbox.quickbooks.attachments import with_links
from reconcile.sandbox.quickbooks.clock import parse_date, parse_moment
from reconcile.sandbox.quickbooks.entities import LISTS, RESOURCES, UNQUERIED, UNUSED, Property, Resource, filter_paths
from reconcile.sandbox.quickbooks.numbers import JsonObject, parse_number, render
from reconcile.sandbox.quickbooks.state import CompanyState
from reconcile.sandbox.quickbooks.store import Fact, Record, fact

LARGEST_PAGE: Final = 1_000
DEFAULT_PAGE: Final = 100
_REMEMBERED: Final = 16
_ENTITIES: Final = {name.lower(): resource for name, resource in RESOURCES.items()}
_UNUSED: Final = frozenset(name.lower() for name in UNUSED)
_UNQUERIED: Final = {name.lower(): name for name in UNQUERIED}
_KEYWORDS: Final = frozenset(
    {"select", "count", "from", "where", "and", "or", "order", "orderby", "by", "asc", "desc", "in", "like", "not",
     "startposition", "maxresults", "iterator"}
)  # fmt: skip
_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
      | (?P<text>'(?:[^'\\]|\\.)*')
      | (?P<number>-?\d+(?:\.\d+)?)
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)
      | (?P<sign><=|>=|!=|[=<>(),*])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Token:
    """One word of a statement and where it stands, both counted from 1."""

    kind: str
    text: str
    line: int
    column: int

    @property
    def word(self) -> str:
        """The keyword it may be, in lower case; empty for quoted text."""
        return "" if self.kind == "text" else self.text.lower()


@dataclass(frozen=True, slots=True)
class Condition:
    """`field operator values`; a value keeps whether it was quoted."""

    field: str
    operator: str
    values: tuple[Token, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A statement that is in the grammar; nothing in it has been looked up yet.

    Attributes:
        entity: As written.
        columns: Empty for `*` (other columns beside the star add nothing).
        counts: `COUNT(*)`.
        conditions: All must hold.
        order: Fields with whether they descend.
        start: STARTPOSITION, 1 when not given.
        limit: MAXRESULTS, `None` when not given.
    """

    entity: str
    columns: tuple[str, ...] = ()
    counts: bool = False
    conditions: tuple[Condition, ...] = ()
    order: tuple[tuple[str, bool], ...] = ()
    start: int = 1
    limit: int | None = None


def tokens(statement: str, *, further: bool = False) -> list[Token]:
    """Split a statement.

    Args:
        statement: The query.
        further: `!=` is a sign of the language.

    Raises:
        FaultError: 4000 at a character that begins no token.
    """
    found = []
    position, line, start_of_line = 0, 1, 0
    while position < len(statement):
        matched = _TOKEN.match(statement, position)
        if matched is None or (matched.group() == "!=" and not further):
            wrong = statement[position]
            raise faults.parse_error(
                f"Invalid content. Lexical error at line {line}, column {position - start_of_line + 1}.  "
                f'Encountered: "{wrong}" ({ord(wrong)}), after : ""'
            )
        kind, text = str(matched.lastgroup), matched.group()
        if kind != "space":
            found.append(Token(kind, text, line, position - start_of_line + 1))
        breaks = text.count("\n")
        if breaks:
            line += breaks
            start_of_line = position + text.rindex("\n") + 1
        position = matched.end()
    return found


class _Parser:
    def __init__(self, statement: str, *, further: bool) -> None:
        self._tokens = tokens(statement, further=further)
        self._further = further
        self._place = 0

    def _peek(self) -> Token | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _fail(self, *expected: str) -> faults.FaultError:
        token = self._peek()
        wanted = " \n    ".join(expected)
        if token is None:
            last = self._tokens[-1] if self._tokens else None
            where = "line 0, column 0" if last is None else f"line {last.line}, column {last.column + len(last.text)}"
            return faults.parse_error(f'Encountered "<EOF>" at {where}.\nWas expecting one of:\n    {wanted} ...')
        kinds = {"text": "<QUOTED_STRING>", "number": "<NUMBER>", "word": "<IDENTIFIER>"}
        kind = f"<{token.word.upper()}>" if token.word in _KEYWORDS else kinds.get(token.kind, f'"{token.text}"')
        return faults.parse_error(
            f'Encountered " {kind} "{token.text} "" at line {token.line}, column {token.column}.\n'
            f"Was expecting one of:\n    {wanted} ..."
        )

    def _takes(self, word: str) -> bool:
        token = self._peek()
        if token is not None and token.word == word:
            self._place += 1
            return True
        return False

    def _expect(self, word: str, name: str = "") -> None:
        if not self._takes(word):
            raise self._fail(name or f'"{word}"')

    def _name(self) -> str:
        token = self._peek()
        if token is None or token.kind != "word" or token.word in _KEYWORDS:
            raise self._fail("<IDENTIFIER>")
        self._place += 1
        return token.text

    def _number(self) -> int:
        token = self._peek()
        if token is None or token.kind != "number" or "." in token.text:
            raise self._fail("<NUMBER>")
        self._place += 1
        return int(token.text)

    def parse(self) -> Query:
        if not self._tokens:
            raise faults.parse_error('Encountered "<EOF>" at line 0, column 0.\nWas expecting:\n    "select" ...')
        self._expect("select")
        columns, counts = self._columns()
        self._expect("from", "<FROM>")
        entity = self._name()
        conditions = self._conditions() if self._takes("where") else ()
        order = self._order()
        start, limit = self._page()
        if self._peek() is not None:
            expected = ["<EOF>"]
            expected += ["<AND>", "<OR>"] if conditions else ["<WHERE>"]
            raise self._fail(*expected, "<ORDER>", "<ORDERBY>", "<ITERATOR>", "<STARTPOSITION>", "<MAXRESULTS>")
        return Query(entity, columns, counts, conditions, order, start, limit)

    def _columns(self) -> tuple[tuple[str, ...], bool]:
        if self._takes("count"):
            for sign in ("(", "*", ")"):
                self._expect(sign)
            return (), True
        names: list[str] = []
        star = False
        while True:
            if self._takes("*"):
                star = True
            else:
                names.append(self._name())
            if not self._takes(","):
                return () if star else tuple(names), False

    def _conditions(self) -> tuple[Condition, ...]:
        found = [self._condition()]
        while self._takes("and"):
            found.append(self._condition())
        return tuple(found)

    def _condition(self) -> Condition:
        field = self._name()
        if self._further and self._takes("is"):
            negated = self._takes("not")
            self._expect("null")
            return Condition(field, "is null", (), negated)
        negated = self._further and self._takes("not")
        if self._takes("in"):
            self._expect("(")
            values = [self._value()]
            while self._takes(","):
                values.append(self._value())
            self._expect(")")
            return Condition(field, "in", tuple(values), negated)
        if self._further and self._takes("!="):
            return Condition(field, "=", (self._value(),), negated=True)
        token = self._peek()
        if token is None or token.word not in {"=", "<", ">", "<=", ">=", "like"}:
            raise self._fail("<IN>", "<LIKE>", '"="', '"<"', '">"', '"<="', '">="')
        self._place += 1
        return Condition(field, token.word, (self._value(),), negated)

    def _value(self) -> Token:
        token = self._peek()
        plain = token is not None and token.kind == "word" and token.word in {"true", "false", "current_date"}
        if token is None or not (plain or token.kind in {"text", "number"}):
            raise self._fail("<QUOTED_STRING>", "<NUMBER>", '"true"', '"false"')
        self._place += 1
        return token

    def _order(self) -> tuple[tuple[str, bool], ...]:
        if self._takes("order"):
            self._expect("by", "<BY>")
        elif not self._takes("orderby"):
            return ()
        fields = [self._ordered_field()]
        while self._takes(","):
            fields.append(self._ordered_field())
        return tuple(fields)

    def _ordered_field(self) -> tuple[str, bool]:
        name = self._name()
        if self._takes("desc"):
            return name, True
        self._takes("asc")
        return name, False

    def _page(self) -> tuple[int, int | None]:
        start, limit = 1, None
        while True:
            if self._takes("startposition"):
                start = self._number()
            elif self._takes("maxresults"):
                limit = self._number()
            else:
                return start, limit


def parse(statement: str, *, further: bool = False) -> Query:
    """Read a statement.

    Args:
        statement: The query.
        further: `!=`, NOT IN, NOT LIKE and IS [NOT] NULL are part of the language.

    Raises:
        FaultError: 4000 with the position of what does not fit.
    """
    return _Parser(statement, further=further).parse()


def text_of(token: Token) -> str:
    """A literal's text, quotes and escapes taken off."""
    return _ESCAPE.sub(r"\1", token.text[1:-1]) if token.kind == "text" else token.text


# Meaning ---------------------------------------------------------------------------------------------------------

Test = Callable[[Record], bool]
_PSEUDO_IDS: Final = frozenset({"TAX", "NON"})
_MIRRORED: Final = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {"=": eq, "<": lt, ">": gt, "<=": le, ">=": ge}


@dataclass(frozen=True, slots=True)
class _Remembered:
    version: int
    records: list[Record]


class QueryEngine:
    """Answers queries over one company, remembering the matches of recent ones for the pages that follow."""

    def __init__(self, state: CompanyState) -> None:
        self._state = state
        self._recent: OrderedDict[tuple[object, ...], _Remembered] = OrderedDict()

    def answer(self, statement: str, at_most: int = LARGEST_PAGE) -> tuple[bytes, int]:
        """Run a statement.

        Args:
            statement: The query.
            at_most: Objects that may still be returned (a batch shares 1,000).

        Returns:
            The value of `QueryResponse` as JSON, and how many objects are in it.

        Raises:
            FaultError: 4000 or 4001.
        """
        query = parse(statement, further=self._state.switches.further_operators == "accept")
        resource = _ENTITIES.get(query.entity.lower())
        if resource is None and query.entity.lower() in _UNUSED:
            return (render({"totalCount": 0}) if query.counts else b"{}"), 0
        if resource is None and query.entity.lower() in _UNQUERIED:
            raise faults.invalid_query(f"Metadata not found for Entity: {_UNQUERIED[query.entity.lower()]}")
        if resource is None:
            raise faults.invalid_query(f"Invalid context declaration: {query.entity}")
        limit = self._limit(query)
        records = self._matching(resource, query)
        if query.counts:
            return render({"totalCount": len(records)}), 0
        if resource.name == "Preferences":
            page = records
        else:
            if resource.name == "TaxCode" and self._state.country == "US" and not self._state.switches.tax_codes_paged:
                limit = max(limit, len(records))
            page = records[query.start - 1 : query.start - 1 + min(limit, at_most)]
        if not page:
            return b"{}", 0
        if query.columns:
            parts = self._projected(resource, query, page)
        elif resource.name == "Attachable":
            parts = [with_links(self._state, record) for record in page]
        else:
            parts = [record.json for record in page]
        total = f',"totalCount":{len(page)}' if self._state.switches.total_count_on_select else ""
        tail = f'],"startPosition":{query.start},"maxResults":{len(page)}{total}}}'
        return b'{"' + resource.name.encode() + b'":[' + b",".join(parts) + tail.encode(), len(page)

    def _limit(self, query: Query) -> int:
        for value in (query.start, query.limit):
            if value is not None and value < 1:
                raise faults.invalid_query(f"value {value} is too small. Min allowed value is 1")
        if query.limit is None:
            return DEFAULT_PAGE
        if query.limit > LARGEST_PAGE and self._state.switches.oversized_page == "fault":
            raise faults.invalid_query(f"value {query.limit} is too large. Max allowed value is {LARGEST_PAGE}")
        return min(query.limit, LARGEST_PAGE)

    def _matching(self, resource: Resource, query: Query) -> list[Record]:
        now = self._state.now()
        delayed = bool(self._state.store.visible_from())
        literals = tuple(
            (
                condition.field.lower(),
                condition.operator,
                condition.negated,
                tuple((value.kind, value.text) for value in condition.values),
            )
            for condition in query.conditions
        )
        day = self._state.today() if any("current_date" in str(literal).lower() for literal in literals) else None
        key = (resource.name, literals, query.order, day, self._state.switches)
        version = self._state.store.versions[resource.name]
        known = self._recent.get(key)
        if known is not None and known.version == version and not delayed:
            self._recent.move_to_end(key)
            return known.records
        tests = self._tests(resource, query)
        candidates = self._candidates(resource, query)
        if delayed:
            candidates = (shown for record in candidates if (shown := _visible(record, now)) is not None)
        records = [record for record in candidates if all(test(record) for test in tests)]
        for field, descending in reversed(query.order):
            records.sort(key=self._sort_key(resource, field), reverse=descending)
        if not delayed:  # what is hidden now is shown soon, without a change
            self._recent[key] = _Remembered(version, records)
            while len(self._recent) > _REMEMBERED:
                self._recent.popitem(last=False)
        return records

    def _candidates(self, resource: Resource, query: Query) -> Iterable[Record]:
        for condition in query.conditions:
            if condition.field.lower() == "id" and condition.operator in {"=", "in"} and not condition.negated:
                found = (self._state.store.get(resource.name, text_of(value)) for value in condition.values)
                return {record.id: record for record in found if record is not None}.values()
        return self._state.store.all(resource.name)

    def _tests(self, resource: Resource, query: Query) -> list[Test]:
        paths = filter_paths(resource)
        tests = []
        for condition in query.conditions:
            path = condition.field.lower()
            entry = paths.get(path)
            if entry is None:
                raise _not_filterable(resource, condition.field)
            test = self._test(resource, path, entry, condition)
            tests.append(_negation(test) if condition.negated else test)
        if resource.group in LISTS and not any(condition.field.lower() == "active" for condition in query.conditions):
            tests.append(lambda record: record.active)
        return tests

    def _test(self, resource: Resource, path: str, entry: Property, condition: Condition) -> Test:
        if path == "id" and condition.operator not in {"=", "in", "is null"}:
            raise faults.invalid_query(f"Operator {condition.operator} is not supported for property Id")
        if condition.operator == "is null":
            return lambda record: record.facts.get(path) in (None, "")
        if condition.operator == "like":
            return _like(path, text_of(condition.values[0]))
        values = [self._literal(entry, condition.field, value) for value in condition.values]
        if (resource.name, path) == ("CreditMemo", "balance") and self._state.switches.credit_balance_in_where < 0:
            values = [-value if isinstance(value, Decimal) else value for value in values]
            condition = replace(condition, operator=_MIRRORED.get(condition.operator, condition.operator))
        if condition.operator == "in":
            wanted = set(values)
            return lambda record: _folded(record.facts.get(path)) in wanted
        compare = _COMPARE[condition.operator]
        value = values[0]
        if condition.operator == "=" and value == " ":
            return lambda record: record.facts.get(path) in (None, "")
        if entry.kind == "flag":
            missing = path == "active"
            return lambda record: compare(bool(record.facts.get(path, missing)), value)

        def holds(record: Record) -> bool:
            held = _folded(record.facts.get(path))
            return held is not None and compare(held, value)

        return holds

    def _literal(self, entry: Property, field: str, token: Token) -> Fact:
        text = text_of(token)
        if token.kind == "number" and not self._state.switches.bare_numbers:
            raise faults.parse_error(
                f'Encountered " <NUMBER> "{token.text} "" at line {token.line}, column {token.column}.\n'
                "Was expecting one of:\n    <QUOTED_STRING> ..."
            )
        if token.word == "current_date":
            text = self._state.today().isoformat()
        value: Fact = None
        match entry.kind:
            case "money" | "number" | "whole":
                value = parse_number(text)
            case "flag":
                value = {"true": True, "false": False}.get(text.lower())
            case "moment":
                # A `+` that was not percent-encoded in the address arrives as a blank.
                value = parse_moment(re.sub(r" (\d\d:\d\d)$", r"+\1", text), self._state.zone)
            case "date":
                day = parse_date(text)
                value = None if day is None else day.isoformat()
            case _:
                if field.lower() == "id" and text.strip() and not text.isdigit() and text not in _PSEUDO_IDS:
                    raise faults.invalid_query(f"value '{text}' is not valid for property {field}")
                return text.casefold()
        if value is None and text != " ":
            raise faults.invalid_query(f"value '{text}' is not valid for property {field}")
        return " " if value is None else value

    def _sort_key(self, resource: Resource, field: str) -> Callable[[Record], tuple[bool, Any]]:
        path = field.lower()
        filterable = filter_paths(resource)
        spelt = {name.lower(): entry for name, entry in resource.properties.items()}
        entry = filterable.get(path) or spelt.get(path)
        if entry is None:
            raise faults.invalid_query(f"Property {field} not found for Entity {resource.name}")
        if path == "id":
            return lambda record: (record.id.isdigit(), int(record.id) if record.id.isdigit() else 0)
        if path in filterable:
            return lambda record: _ordered(record.facts.get(path))
        if entry.kind in {"one", "many", "any"}:
            raise faults.invalid_query(f"property '{field}' is not sortable")
        name, kind = entry.name, entry.kind
        return lambda record: _ordered(fact(kind, record.body().get(name)))

    def _projected(self, resource: Resource, query: Query, page: list[Record]) -> list[bytes]:
        spelt = {name.lower(): name for name in resource.properties}
        wanted: list[tuple[str, str]] = []
        for column in query.columns:
            head, _, tail = column.partition(".")
            if head.lower() not in spelt:
                raise faults.invalid_query(f"Property {column} not found for Entity {resource.name}")
            wanted.append((spelt[head.lower()], tail.lower()))
        return [render(self._projection(record.body(), wanted)) for record in page]

    def _projection(self, body: JsonObject, wanted: list[tuple[str, str]]) -> JsonObject:
        kept: JsonObject = {}
        for name, inner in wanted:
            if name not in body:
                continue
            if inner and isinstance(body[name], dict):
                parts = {key: value for key, value in body[name].items() if key.lower() == inner}
                kept[name] = {**kept.get(name, {}), **parts}
            else:
                kept[name] = body[name]
        if self._state.switches.column_list_sparse:
            kept |= {"domain": "QBO", "sparse": True}
        return kept


def _negation(test: Test) -> Test:
    return lambda record: not test(record)


def _visible(record: Record, now: float) -> Record | None:
    return record if record.visible_from <= now else record.before


def _folded(value: Fact) -> Fact:
    return value.casefold() if isinstance(value, str) else value


def _ordered(value: Fact) -> tuple[bool, Any]:
    return value is not None, _folded(value) if value is not None else Decimal(0)


def _like(path: str, pattern: str) -> Test:
    parts = [re.escape(part.casefold()) for part in pattern.split("%")]
    matches = re.compile(".*".join(parts), re.DOTALL).fullmatch

    def holds(record: Record) -> bool:
        held = record.facts.get(path)
        return held is not None and matches(str(held).casefold()) is not None

    return holds


def _not_filterable(resource: Resource, field: str) -> faults.FaultError:
    head = field.partition(".")[0].lower()
    if head in {name.lower() for name in resource.properties}:
        return faults.invalid_query(f"property '{field}' is not queryable")
    return faults.invalid_query(f"Property {field} not found for Entity {resource.name}")
