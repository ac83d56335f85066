"""QuickBooks in these tests: the sandbox in a process of its own, people at work there, and all it holds, read past us.

Whatever is done here goes over HTTP, as people's work and other programs' does; nothing of the product's own code for
QuickBooks is used, so that it cannot agree with itself. A company is kept and put back by the admin resource.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request, urlopen

from reconcile.model.entities import Entity
from reconcile.sandbox.quickbooks.process import QuickBooksSandbox

REALM = "1"
WRITES = rf"^/v3/company/{REALM}/(?!query|cdc|taxagency|paymentmethod)(?!batch(?s:.*)\"Query\":)"
"""What a request (its path, a new line, its body) is like that changes a record of ours."""
DAY = "2026-11-22"
_LABELS = {
    "Customer": "DisplayName",
    "Item": "Name",
    "TaxCode": "Name",
    "Invoice": "DocNumber",
    "Payment": "PaymentRefNum",
}
_KINDS = {
    Entity.CUSTOMER: "Customer",
    Entity.PRODUCT: "Item",
    Entity.TAX_RATE: "TaxCode",
    Entity.INVOICE: "Invoice",
    Entity.PAYMENT: "Payment",
}
_DELETED = " (deleted)"


class NotAllowedError(Exception):
    """QuickBooks would not let a person do that."""


@contextmanager
def local_quickbooks() -> Iterator[QuickBooksSandbox]:
    """An empty company, with the admin resource. Makes no thread here: a process with threads cannot fork."""
    command = [sys.executable, "-m", "reconcile.sandbox.quickbooks", "--attached", "--admin"]
    with subprocess.Popen(
        [*command, "--sample", "empty", "--realm", REALM], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            yield QuickBooksSandbox(**json.loads(process.stdout.readline()), pid=process.pid)
        finally:
            process.terminate()


@dataclass
class Books:
    """The company in QuickBooks, as people and other programs reach it."""

    sandbox: QuickBooksSandbox
    _connection: HTTPConnection | None = field(default=None, repr=False)
    _lists: dict[str, str] = field(default_factory=dict, repr=False)

    # ------------------------------------------------------------------------------------------------ asking

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One exchange; gives what was answered.

        Raises:
            NotAllowedError: it was refused.
        """
        sent = None if body is None else json.dumps(body, default=str).encode()
        try:
            answer = self._answer(method, path, sent)
        except ConnectionError:  # the server hangs up on a connection that was idle for seconds
            self._connection = None
            answer = self._answer(method, path, sent)
        if answer.status == 401 and not path.startswith("/admin"):
            answer.read()
            self.sign_in_again()
            answer = self._answer(method, path, sent)
        content = json.loads(answer.read(), parse_float=Decimal)
        if answer.status != 200 or "Fault" in content:
            raise NotAllowedError(f"{method} {path}: {content}")
        return content

    def _answer(self, method: str, path: str, sent: bytes | None) -> HTTPResponse:
        if self._connection is None:
            address = urlsplit(self.sandbox.base_url)
            self._connection = HTTPConnection(str(address.hostname), address.port)
        headers = {"Authorization": f"Bearer {self.sandbox.access_token}", "Accept": "application/json"}
        self._connection.request(method, path, sent, headers | ({"Content-Type": "application/json"} if sent else {}))
        return self._connection.getresponse()

    def sign_in_again(self) -> None:
        """Access that lasts, after all that was given before has run out; the right to renew it stays the same."""
        secrets = f"client_id={self.sandbox.client_id}&client_secret={self.sandbox.client_secret}"
        form = f"grant_type=refresh_token&refresh_token={quote(self.sandbox.refresh_token)}&{secrets}"
        request = Request(f"{self.sandbox.base_url}/oauth2/v1/tokens/bearer", form.encode())  # noqa: S310  on this machine
        with urlopen(request) as answer:  # noqa: S310  the same
            given = json.load(answer)
        tokens = {name: given[name] for name in ("access_token", "refresh_token")}
        self.sandbox = replace(self.sandbox, **tokens)

    def on_time(self) -> None:
        """Its clock is the machine's again."""
        self.admin("clock", {"stop_at": datetime.now(UTC).isoformat()})
        self.admin("clock", {"run": True})

    def alone(self) -> Books:
        """The same company on a connection of its own, for a process that was forked off."""
        return Books(self.sandbox)

    def post(self, kind: str, body: Mapping[str, Any], **parameters: str) -> dict[str, Any]:
        """Write one record."""
        path = f"/v3/company/{REALM}/{kind.lower()}?{urlencode({'minorversion': '75', **parameters})}"
        content = self.ask("POST", path, body)
        record: dict[str, Any] = content.get(kind, content)
        return record

    def query(self, statement: str) -> list[dict[str, Any]]:
        """What a query finds."""
        answer = self.ask("GET", f"/v3/company/{REALM}/query?query={quote(statement)}")["QueryResponse"]
        return next((value for value in answer.values() if isinstance(value, list)), [])

    def admin(self, path: str, body: Any = None, method: str = "POST") -> Any:
        """Something that QuickBooks itself has no resource for."""
        return self.ask(method, f"/admin/{path}", body)

    def keep(self, name: str) -> None:
        """Remember the company under a name."""
        self.admin("keep", {"realm": REALM, "name": name})

    def put_back(self, name: str) -> None:
        """Make it as it was."""
        self.admin("put-back", {"realm": REALM, "name": name})

    def misbehave(self, *rules: Mapping[str, Any]) -> None:
        """Only these rules of misbehaviour are in force."""
        self.admin("faults", method="DELETE")
        for rule in rules:
            self.admin("faults", rule)

    # ------------------------------------------------------------------------------------------------ looking

    def everything(self) -> dict[str, dict[str, dict[str, Any]]]:
        """All records of the five kinds as QuickBooks sends them, by kind and id; in one call."""
        active = "where Active in (true, false) "
        items = [
            {"bId": kind, "Query": f"select * from {kind} {active if kind not in _FORMS else ''}maxresults 1000"}
            for kind in _LABELS
        ]
        answer = self.ask("POST", f"/v3/company/{REALM}/batch", {"BatchItemRequest": items})
        return {
            one["bId"]: {record["Id"]: record for record in one["QueryResponse"].get(one["bId"], [])}
            for one in answer["BatchItemResponse"]
        }

    def image(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Each record as people see it: entity, label, and its fields by our names, other records by their labels."""
        records = self.everything()
        names = {kind: {key: _label(kind, one) for key, one in found.items()} for kind, found in records.items()}
        for entity, kind in _KINDS.items():
            for key, record in records[kind].items():
                if kind == "TaxCode" and not record.get("TaxGroup"):
                    continue
                yield entity.value, names[kind][key], _SEEN[entity](record, names)

    def find(self, entity: Entity, label: str) -> dict[str, Any]:
        """The one record that people call this."""
        kind = _KINDS[entity]
        found = [record for record in self.everything()[kind].values() if _label(kind, record) == label]
        assert len(found) == 1, f"{len(found)} {entity.plural} are called {label!r} in QuickBooks"
        return found[0]

    @staticmethod
    def label(kind: str, record: Mapping[str, Any]) -> str:
        """What people call a record of one of QuickBooks' kinds."""
        return _label(kind, record)

    def income_account(self) -> dict[str, str]:
        """A reference to what products are sold from."""
        return {"value": self._listed("Account", "Sales of Product Income")}

    def check(self) -> dict[str, str]:
        """A reference to the payment method."""
        return {"value": self._listed("PaymentMethod", "Check")}

    def _listed(self, kind: str, name: str) -> str:
        if name not in self._lists:
            (found,) = (one for one in self.query(f"select * from {kind} maxresults 1000") if one["Name"] == name)
            self._lists[name] = found["Id"]
        return self._lists[name]


_FORMS = ("Invoice", "Payment")


def _label(kind: str, record: Mapping[str, Any]) -> str:
    return str(record.get(_LABELS[kind], "")).removesuffix(_DELETED)


def _cents(value: Any) -> int:
    cents = Decimal(value or 0) * 100
    assert cents == int(cents), f"{value} has parts of a cent"
    return int(cents)


def _scaled(value: Any) -> int | None:
    return None if value is None else int(Decimal(value) * 10_000_000)


def _ref(record: Mapping[str, Any], name: str) -> str | None:
    value = (record.get(name) or {}).get("value")
    return None if value is None else str(value)


Names = Mapping[str, Mapping[str, str]]


def _customer(record: Mapping[str, Any], _: Names) -> dict[str, Any]:
    address = record.get("BillAddr") or {}
    return {
        "display_name": _label("Customer", record),
        "given_name": record.get("GivenName"),
        "family_name": record.get("FamilyName"),
        "email": (record.get("PrimaryEmailAddr") or {}).get("Address"),
        "phone": (record.get("PrimaryPhone") or {}).get("FreeFormNumber"),
        "city": address.get("City"),
        "line1": address.get("Line1"),
        "taxable": record.get("Taxable"),
        "active": record["Active"],
    }


def _item(record: Mapping[str, Any], _: Names) -> dict[str, Any]:
    return {
        "name": _label("Item", record),
        "unit_price": _scaled(record.get("UnitPrice")),
        "description": record.get("Description"),
        "type": record["Type"],
        "taxable": record.get("Taxable"),
        "active": record["Active"],
    }


def _tax_code(record: Mapping[str, Any], _: Names) -> dict[str, Any]:
    rates = record["SalesTaxRateList"]["TaxRateDetail"]
    return {"name": record["Name"], "active": record["Active"], "rates": [one["TaxRateRef"]["name"] for one in rates]}


def _voided(record: Mapping[str, Any]) -> bool:
    return str(record.get("PrivateNote", "")).startswith("Voided") and not record["TotalAmt"]


def _invoice(record: Mapping[str, Any], names: Names) -> dict[str, Any]:
    lines = []
    for line in record["Line"]:
        if line["DetailType"] == "SalesItemLineDetail":
            detail = line["SalesItemLineDetail"]
            product = names["Item"].get(str(_ref(detail, "ItemRef")), "nothing")
            taxable = _ref(detail, "TaxCodeRef") == "TAX"
            factors = _scaled(detail.get("Qty")), _scaled(detail.get("UnitPrice"))
            lines.append([product, *factors, _cents(line["Amount"]), taxable])
    tax = record.get("TxnTaxDetail") or {}
    code = _ref(tax, "TxnTaxCodeRef")
    void = _voided(record)
    return {
        "number": record.get("DocNumber"),
        "customer_id": names["Customer"].get(str(_ref(record, "CustomerRef")), "nothing"),
        "invoice_date": record["TxnDate"],
        "due_date": record.get("DueDate"),
        "memo": (record.get("CustomerMemo") or {}).get("value"),
        "lines": lines,
        "tax_rate_id": code and names["TaxCode"].get(code, "nothing"),
        "tax": _cents(tax.get("TotalTax")),
        "total": _cents(record["TotalAmt"]),
        "balance": _cents(record["Balance"]),
        "void": void,
        "state": "void" if void else "paid" if not record["Balance"] else "open",
    }


def _payment(record: Mapping[str, Any], names: Names) -> dict[str, Any]:
    void = _voided(record)
    return {
        "reference": record.get("PaymentRefNum"),
        "customer_id": names["Customer"].get(str(_ref(record, "CustomerRef")), "nothing"),
        "payment_date": record["TxnDate"],
        "amount": _cents(record["TotalAmt"]),
        "unapplied": _cents(record.get("UnappliedAmt")),
        "method": _ref(record, "PaymentMethodRef"),
        "applications": sorted(
            (
                {"invoice_id": names["Invoice"].get(link["TxnId"], "nothing"), "amount": _cents(line["Amount"])}
                for line in record.get("Line", ())
                for link in line["LinkedTxn"]
            ),
            key=lambda one: str(one["invoice_id"]),
        ),
        "void": void,
    }


_SEEN = {
    Entity.CUSTOMER: _customer,
    Entity.PRODUCT: _item,
    Entity.TAX_RATE: _tax_code,
    Entity.INVOICE: _invoice,
    Entity.PAYMENT: _payment,
}


class BooksPeople:
    """People who work in QuickBooks; records are named as people name them, amounts are cents."""

    def __init__(self, books: Books) -> None:
        self.books = books

    def customer(self, name: str, **more: Any) -> None:
        """A customer that ReliaBills can hold."""
        usual = {
            "DisplayName": name,
            "GivenName": "Accounts Payable",
            "FamilyName": name,
            "PrimaryEmailAddr": {"Address": "payable@example.com"},
        }
        self.books.post("Customer", usual | _written(Entity.CUSTOMER, more))

    def product(self, name: str, cents: int) -> None:
        """A service."""
        body = {"Name": name, "Type": "Service", "UnitPrice": _dollars(cents)}
        self.books.post("Item", body | {"IncomeAccountRef": self.books.income_account()})

    def rate(self, name: str, percent: int, agency: str = "State") -> None:
        """A rate of sales tax; its agency too, when it is new."""
        known = {one["DisplayName"]: one["Id"] for one in self.books.query("select * from TaxAgency")}
        if agency not in known:
            known[agency] = self.books.post("TaxAgency", {"DisplayName": agency})["Id"]
        detail = {
            "TaxRateName": name,
            "RateValue": str(percent),
            "TaxAgencyId": known[agency],
            "TaxApplicableOn": "Sales",
        }
        self.books.ask("POST", f"/v3/company/{REALM}/taxservice/taxcode", {"TaxCode": name, "TaxRateDetails": [detail]})

    def invoice(
        self, number: str, customer: str, product: str, quantity: int, cents: int, rate: str | None = None
    ) -> None:
        """One line; taxed when a rate is named."""
        body: dict[str, Any] = {
            "DocNumber": number,
            "TxnDate": DAY,
            "DueDate": DAY,
            "CustomerRef": {"value": self._id(Entity.CUSTOMER, customer)},
            "Line": [
                {
                    "Amount": _dollars(quantity * cents),
                    "DetailType": "SalesItemLineDetail",
                    "SalesItemLineDetail": {
                        "ItemRef": {"value": self._id(Entity.PRODUCT, product)},
                        "Qty": quantity,
                        "UnitPrice": _dollars(cents),
                        "TaxCodeRef": {"value": "TAX" if rate else "NON"},
                    },
                }
            ],
        }
        if rate:
            body["TxnTaxDetail"] = {"TxnTaxCodeRef": {"value": self._id(Entity.TAX_RATE, rate)}}
        self.books.post("Invoice", body)

    def payment(self, reference: str, customer: str, cents: int, applied: Mapping[str, int]) -> None:
        """Money received, and the invoices that it pays."""
        lines = [
            {
                "Amount": _dollars(part),
                "LinkedTxn": [{"TxnId": self._id(Entity.INVOICE, number), "TxnType": "Invoice"}],
            }
            for number, part in applied.items()
        ]
        customer_ref = {"value": self._id(Entity.CUSTOMER, customer)}
        body = {"CustomerRef": customer_ref, "TotalAmt": _dollars(cents), "PaymentRefNum": reference}
        self.books.post("Payment", body | {"TxnDate": DAY, "Line": lines, "PaymentMethodRef": self.books.check()})

    def edit(self, entity: Entity, label: str, **values: Any) -> None:
        """Change some fields, by our names for them."""
        record = self.books.find(entity, label)
        self.edit_record(entity, record, **values)

    def edit_record(self, entity: Entity, record: Mapping[str, Any], **values: Any) -> None:
        """The same, of a record at hand."""
        head = {"Id": record["Id"], "SyncToken": record["SyncToken"], "sparse": True}
        if entity is Entity.PAYMENT:  # said with every update of one
            head |= {"CustomerRef": record["CustomerRef"], "TotalAmt": record["TotalAmt"]}
        self.books.post(_KINDS[entity], head | _written(entity, values))

    def void(self, entity: Entity, label: str) -> None:
        """Void an invoice or a payment."""
        record = self.books.find(entity, label)
        head = {"Id": record["Id"], "SyncToken": record["SyncToken"], "sparse": True}
        ways = {"operation": "void"} if entity is Entity.INVOICE else {"operation": "update", "include": "void"}
        self.books.post(_KINDS[entity], head, **ways)

    def remove(self, entity: Entity, label: str) -> None:
        """Delete a document."""
        record = self.books.find(entity, label)
        self.books.post(_KINDS[entity], {"Id": record["Id"], "SyncToken": record["SyncToken"]}, operation="delete")

    def merge(self, gone: str, stays: str) -> None:
        """Merge a customer into another."""
        old, new = self._id(Entity.CUSTOMER, gone), self._id(Entity.CUSTOMER, stays)
        self.books.admin("merge", {"realm": REALM, "entity": "Customer", "id": old, "into": new})

    def _id(self, entity: Entity, label: str) -> str:
        return str(self.books.find(entity, label)["Id"])


def _dollars(cents: int) -> Decimal:
    return Decimal(cents) / 100


def _written(entity: Entity, values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields by our names as QuickBooks takes them."""
    body: dict[str, Any] = {}
    for name, value in values.items():
        match name:
            case "phone":
                body["PrimaryPhone"] = {"FreeFormNumber": value}
            case "city":
                body["BillAddr"] = {"City": value}
            case "active":
                body["Active"] = value
            case "unit_price":
                body["UnitPrice"] = Decimal(value) / 10_000_000
            case "memo":
                body["CustomerMemo"] = {"value": value}
            case "due_date":
                body["DueDate"] = value
            case "payment_date":
                body["TxnDate"] = value
            case _:
                raise KeyError(f"nobody edits {name} of a {entity.singular} in these tests")
    return body


def rules_of(kind: str, at: int) -> Sequence[Mapping[str, Any]]:
    """The rules of misbehaviour behind a word (:class:`tests.crash.child.Trouble`)."""
    nth = {"method": "POST", "pattern": WRITES, "calls": [at]}
    company = {"pattern": f"^/v3/company/{REALM}/"}
    ever = list(range(at, at + 5_000))
    dead = {"action": "status", "status": 400, "resource": "token", "body": '{"error": "invalid_grant"}'}
    return {
        "lost before": [{"action": "lost_reply", "moment": "before", **nth}],
        "lost after": [{"action": "lost_reply", "moment": "after", **nth}],
        "reset after": [{"action": "reset", "moment": "after", **nth}],
        "cut off": [{"action": "truncate", "moment": "after", **nth}],
        "error after": [{"action": "status", "status": 500, "moment": "after", **nth}],
        "unavailable": [{"action": "html", "status": 503, "moment": "before", **nth, "calls": [at, at + 1]}],
        "late": [{"action": "late", **nth}],
        "twice": [{"action": "twice", **nth}],
        "shuffled": [{"action": "batch_shuffle", "resource": "batch", "seed": at}],
        "item dropped": [{"action": "batch_drop", "resource": "batch", "calls": [at]}],
        "storm": [{"action": "status", "status": 429, **company, "calls": [at, at + 1, at + 2]}],
        "throttled": [{"action": "status", "status": 429, **company, "calls": ever}],
        "disconnected": [dead],
    }.get(kind, [])
