"""XML in and out: what Intuit's PHP, Java and .NET kits and quickbooks-ruby speak.

The rest of the server thinks in JSON. A request in XML is turned into the JSON that would say the same, and an answer
in JSON into the XML that would; elements follow the order of the table in `entities`, which is that of the public
schema, because strict readers depend on it. A document type is refused, so no entity is ever expanded.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from xml.parsers import expat
from xml.sax.saxutils import escape

from reconcile.sandbox.quickbooks.entities import RESOURCES, SHAPES, Property
from reconcile.sandbox.quickbooks.numbers import JsonObject, as_decimal, cents, parse, parse_number, plain

NAMESPACE: Final = "http://schema.intuit.com/finance/v3"
_HEAD: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_DEEPEST: Final = 40
_MOST_ELEMENTS: Final = 500_000
_ATTRIBUTES: Final = ("domain", "sparse", "status")
_ALWAYS_LISTS: Final = frozenset(
    {"TaxRateDetail", "ItemGroupLine", "NameValue", "Line", "LinkedTxn", "CustomField", "AttachableRef"}
)
_NAMED_REFERENCES: Final = frozenset({"HomeCurrency", "DefaultTerms"})
_WORDS: Final = frozenset({"Name", "Value", "StringValue", "value", "name"})
_QUOTED: Final = {'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
_UNSPEAKABLE: Final = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 65534, 65535))


class NotXmlError(ValueError):
    """The bytes are not one XML document, or one that declares a document type."""


# Reading ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Element:
    """One element of a request; its name is without namespace."""

    name: str
    attributes: dict[str, str]
    children: list["Element"] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What stands between its tags."""
        return "".join(self.pieces)


class _Reader:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) >= _DEEPEST or self._count > _MOST_ELEMENTS:
            raise NotXmlError("The document is nested too deeply, or has too many elements.")
        bare = {key.rpartition(" ")[2]: value for key, value in attributes.items()}
        element = Element(name.rpartition(" ")[2], bare)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def end(self, name: str) -> None:
        del name
        self._open.pop()

    def data(self, text: str) -> None:
        if self._open:
            self._open[-1].pieces.append(text)

    def refuse(self, *declared: object) -> None:
        del declared
        raise NotXmlError("Document types are not accepted.")


def element_of(raw: bytes) -> Element:
    """Read a document.

    Raises:
        NotXmlError: It is not well-formed, declares a document type, or is nested without end.
    """
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.data
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.EntityDeclHandler = reader.refuse
    try:
        parser.Parse(raw, True)
    except expat.ExpatError as error:
        raise NotXmlError(str(error)) from error
    if reader.root is None:
        raise NotXmlError("The document is empty.")
    return reader.root


def looks_like_xml(raw: bytes, content_type: str) -> bool:
    """Whether a request body is XML, by its label or by its first character."""
    return "xml" in content_type.lower() or raw.lstrip()[:1] == b"<"


def entity_request(raw: bytes) -> Any:
    """The JSON body that a document such as `<Invoice>` stands for.

    Raises:
        NotXmlError: See `element_of`.
    """
    root = element_of(raw)
    return _entity(root) if root.name in RESOURCES else _loose(root)


def batch_request(raw: bytes) -> Any:
    """The JSON body of an `<IntuitBatchRequest>`.

    Raises:
        NotXmlError: See `element_of`.
    """
    items: list[JsonObject] = []
    for entry in element_of(raw).children:
        item: JsonObject = dict(entry.attributes)
        for child in entry.children:
            if child.name in RESOURCES:
                item[child.name] = _entity(child)
            else:
                item[child.name] = _loose(child) if child.children else child.text.strip()
        items.append(item)
    return {"BatchItemRequest": items}


def _entity(element: Element) -> JsonObject:
    body = _shaped(RESOURCES[element.name].properties, element)
    if "sparse" in element.attributes:
        body["sparse"] = element.attributes["sparse"].strip().lower() == "true"
    return body


def _shaped(known: Mapping[str, Property], element: Element) -> JsonObject:
    body: JsonObject = {}
    for child in element.children:
        entry = known.get(child.name)
        kind = entry.kind if entry is not None else "any"
        if child.name == "LineEx" or child.attributes.get("nil") == "true":
            continue
        if entry is not None and kind == "many":
            body.setdefault(child.name, []).append(_shaped(SHAPES[entry.shape], child))
        elif kind == "ref":
            body[child.name] = {"value": child.text.strip()}
        elif entry is not None and kind == "one":
            memo = entry.shape == "MemoRef" and not child.children
            body[child.name] = {"value": child.text} if memo else _shaped(SHAPES[entry.shape], child)
        elif kind == "any":
            _add(body, child)
        else:
            body[child.name] = child.text if kind in {"text", "name"} else child.text.strip()
    return body


def _loose(element: Element) -> Any:
    """An element whose shape the table leaves open."""
    if element.children:
        body: JsonObject = {}
        for child in element.children:
            _add(body, child)
        return body
    if element.name.endswith("Ref") or element.name in _NAMED_REFERENCES:
        named = {key: value for key, value in element.attributes.items() if key in {"name", "type"}}
        return {"value": element.text.strip(), **named}
    text = element.text
    if element.name == "Qty" and (number := parse_number(text)) is not None:
        return plain(number)
    if element.name not in _WORDS and text.strip().lower() in {"true", "false"}:
        return text.strip().lower() == "true"
    return text


def _add(body: JsonObject, child: Element) -> None:
    value = _loose(child)
    if child.name in body or child.name in _ALWAYS_LISTS:
        held = body.setdefault(child.name, [])
        body[child.name] = [*held, value] if isinstance(held, list) else [held, value]
    else:
        body[child.name] = value


# Writing ---------------------------------------------------------------------------------------------------------


def answer(raw: bytes) -> bytes:
    """An answer of this server in XML.

    Args:
        raw: The same answer as JSON, with `time` beside it if it has one.
    """
    body = parse(raw)
    time = f' time="{_quoted(body["time"])}"' if "time" in body else ""
    inner = "".join(_envelope(name, value) for name, value in body.items() if name != "time")
    if "Header" in body and "Rows" in body:
        return f'{_HEAD}<Report xmlns="{NAMESPACE}">{_report(body)}</Report>'.encode()
    return f'{_HEAD}<IntuitResponse xmlns="{NAMESPACE}"{time}>{inner}</IntuitResponse>'.encode()


def _envelope(name: str, value: Any) -> str:
    match name:
        case "QueryResponse":
            return _query_response(value)
        case "CDCResponse":
            entries = value if isinstance(value, list) else [value]
            groups = "".join(_query_response(group) for entry in entries for group in entry["QueryResponse"])
            return f"<CDCResponse>{groups}</CDCResponse>"
        case "BatchItemResponse" | "AttachableResponse":
            return "".join(_item(name, item) for item in value)
        case "Fault":
            return _fault(value)
        case _:
            return _object(name, value)


def _query_response(value: JsonObject) -> str:
    marks = "".join(
        f' {name}="{value[name]}"' for name in ("startPosition", "maxResults", "totalCount") if name in value
    )
    inner = "".join(
        _object(name, entry) for name, entries in value.items() if isinstance(entries, list) for entry in entries
    )
    return f"<QueryResponse{marks}>{inner}</QueryResponse>" if inner else f"<QueryResponse{marks}/>"


def _item(name: str, item: JsonObject) -> str:
    mark = f' bId="{_quoted(item["bId"])}"' if "bId" in item else ""
    inner = "".join(_envelope(key, value) for key, value in item.items() if key != "bId")
    return f"<{name}{mark}>{inner}</{name}>"


def _fault(value: JsonObject) -> str:
    errors = []
    for error in value["Error"]:
        element = f' element="{_quoted(error["element"])}"' if error.get("element") is not None else ""
        detail = f"<Detail>{_escaped(error['Detail'])}</Detail>" if "Detail" in error else ""
        message = f"<Message>{_escaped(error['Message'])}</Message>"
        errors.append(f'<Error code="{_quoted(error["code"])}"{element}>{message}{detail}</Error>')
    return f'<Fault type="{_quoted(value["type"])}">{"".join(errors)}</Fault>'


def _object(name: str, body: JsonObject) -> str:
    resource = RESOURCES.get(name)
    if resource is None:
        return _any(name, body)
    marks = "".join(f' {key}="{_quoted(_plain_text(body[key]))}"' for key in _ATTRIBUTES if key in body)
    return f"<{name}{marks}>{''.join(_properties(resource.properties, body, _ATTRIBUTES))}</{name}>"


def _properties(known: Mapping[str, Property], body: JsonObject, left_out: tuple[str, ...] = ()) -> Iterator[str]:
    for name, entry in known.items():
        if name in body and name not in left_out:
            yield from _property(entry, body[name])
    for name, value in body.items():
        if name not in known and name not in left_out:
            yield _any(name, value)


def _property(entry: Property, value: Any) -> Iterator[str]:
    name = entry.name
    match entry.kind:
        case "many":
            for element in value:
                yield f"<{name}>{''.join(_properties(SHAPES[entry.shape], element))}</{name}>"
        case "one" if entry.shape == "MemoRef":
            yield f"<{name}>{_escaped(str(value.get('value', '')))}</{name}>"
        case "one":
            yield _filled(name, "".join(_properties(SHAPES[entry.shape], value)))
        case "money":
            yield f"<{name}>{money(value)}</{name}>"
        case "number" | "whole":
            number = parse_number(value)
            yield f"<{name}>{value if number is None else plain(number)}</{name}>"
        case _:
            yield _any(name, value)


def money(value: Any) -> str:
    """An amount with two decimals; zero is `0`, as recorded."""
    number = cents(as_decimal(value))
    return f"{number:f}" if number else "0"


def _any(name: str, value: Any) -> str:
    if name == "LineEx" and isinstance(value, dict):
        pairs = "".join(_any("NameValue", entry["value"]) for entry in value.get("any", ()))
        return f"<LineEx>{pairs}</LineEx>"
    if isinstance(value, dict):
        if "value" in value and set(value) <= {"value", "name", "type"}:
            marks = "".join(f' {key}="{_quoted(value[key])}"' for key in ("name", "type") if value.get(key))
            return f"<{name}{marks}>{_escaped(str(value['value']))}</{name}>"
        return _filled(name, "".join(_any(key, inner) for key, inner in value.items()))
    if isinstance(value, list):
        return "".join(_any(name, element) for element in value)
    if value is None:
        return ""
    return f"<{name}>{_escaped(_plain_text(value))}</{name}>"


def _filled(name: str, inner: str) -> str:
    return f"<{name}>{inner}</{name}>" if inner else f"<{name}/>"


def _plain_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _report(body: JsonObject) -> str:
    columns = "".join(_any("Column", column) for column in body["Columns"]["Column"])
    return f"{_any('Header', body['Header'])}<Columns>{columns}</Columns>{_rows(body['Rows'])}"


def _rows(rows: JsonObject) -> str:
    return f"<Rows>{''.join(_row(row) for row in rows.get('Row', ()))}</Rows>"


def _row(row: JsonObject) -> str:
    marks = "".join(f' {key}="{_quoted(row[key])}"' for key in ("type", "group") if key in row)
    inner = _cells(row.get("ColData"))
    if "Header" in row:
        inner += f"<Header>{_cells(row['Header'].get('ColData'))}</Header>"
    if "Rows" in row:
        inner += _rows(row["Rows"])
    if "Summary" in row:
        inner += f"<Summary>{_cells(row['Summary'].get('ColData'))}</Summary>"
    return f"<Row{marks}>{inner}</Row>"


def _cells(cells: list[JsonObject] | None) -> str:
    marks = (
        "".join(f' {key}="{_quoted(cell[key])}"' for key in ("value", "id") if key in cell) for cell in cells or ()
    )
    return "".join(f"<ColData{mark}/>" for mark in marks)


def _escaped(text: str) -> str:
    return escape(text.translate(_UNSPEAKABLE))


def _quoted(value: Any) -> str:
    return escape(str(value).translate(_UNSPEAKABLE), _QUOTED)
