"""Reports computed from the company's records: who owes what, how old it is, and which transactions there are.

A report is a header, columns, and rows of texts; sections nest. Money is text with two decimals there, as in Intuit's.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from reconcile.sandbox.quickbooks import faults, posting
from reconcile.sandbox.quickbooks.clock import parse_date, stamp
from reconcile.sandbox.quickbooks.entities import RESOURCES, TRANSACTIONS
from reconcile.sandbox.quickbooks.faults import FaultError
from reconcile.sandbox.quickbooks.links import open_amount
from reconcile.sandbox.quickbooks.numbers import ZERO, JsonObject, cents
from reconcile.sandbox.quickbooks.state import CompanyState

_OPEN_KINDS: Final = ("Invoice", "CreditMemo", "Payment")
_BUCKETS: Final = ("Current", "1 - 30", "31 - 60", "61 - 90", "91 and over")
_AGES: Final = ("Current", *(f"{days} days past due" for days in ("1 - 30", "31 - 60", "61 - 90", "91 or more")))
_BUCKET_DAYS: Final = 30
_BY_NAME: Final = ("customer", "vendor", "name")

_KEYS: Final = {
    "Date": "tx_date",
    "Transaction Type": "txn_type",
    "Num": "doc_num",
    "Posting": "is_no_post",
    "Name": "name",
    "Memo/Description": "memo",
    "Account": "account_name",
    "Split": "other_account",
    "Customer": "cust_name",
    "Due Date": "due_date",
    "Amount": "subt_nat_amount",
    "Open Balance": "subt_open_bal",
}

Parameters = dict[str, str]


@dataclass(frozen=True, slots=True)
class _Open:
    customer: str
    name: str
    kind: str
    id: str
    number: str
    day: date
    due: date
    amount: Decimal


def report(state: CompanyState, name: str, parameters: Parameters) -> JsonObject:
    """One report.

    Args:
        state: The company.
        name: `CustomerBalance`, `AgedReceivables`, `AgedReceivableDetail` or `TransactionList`.
        parameters: Query parameters: `customer`; `report_date` of a report on balances, or `start_date` and
            `end_date` of the list of transactions.

    Raises:
        FaultError: There is no such report, or a date is unreadable.
    """
    known = {title.lower(): (title, make) for title, make in _REPORTS.items()}
    if name.lower() not in known:
        raise faults.unknown_resource(f"reports/{name}", state.switches.unsupported_operation_status)
    title, make = known[name.lower()]
    columns, rows = make(state, parameters)
    header: JsonObject = {"Time": stamp(state.now()), "ReportName": title, "ReportBasis": "Accrual"}
    options = [("NoReportData", "false" if rows else "true")]
    if title == "TransactionList":
        start, end = _period(state, parameters)
        header |= {"StartPeriod": start.isoformat(), "EndPeriod": end.isoformat()}
    else:
        day = _as_of(state, parameters).isoformat()
        header["EndPeriod"] = day
        options.insert(0, ("report_date", day))
    header["Currency"] = state.home_currency
    if parameters.get("customer"):
        header["Customer"] = parameters["customer"]
    header["Option"] = [{"Name": name, "Value": value} for name, value in options]
    shown: list[JsonObject] = [{"ColTitle": text, "ColType": kind} for text, kind in columns]
    for column in shown:
        if key := _KEYS.get(str(column["ColTitle"])):
            column["MetaData"] = [{"Name": "ColKey", "Value": key}]
    return {"Header": header, "Columns": {"Column": shown}, "Rows": {"Row": rows} if rows else {}}


def _date(parameters: Parameters, name: str, default: date) -> date:
    if not parameters.get(name):
        return default
    day = parse_date(parameters[name])
    if day is None:
        raise FaultError(faults.invalid_date(parameters[name], name, impossible=False))
    return day


def _as_of(state: CompanyState, parameters: Parameters) -> date:
    """The day of a report on balances; a period asked of one is passed over, as QuickBooks does."""
    return _date(parameters, "report_date", state.today())


def _period(state: CompanyState, parameters: Parameters) -> tuple[date, date]:
    today = state.today()
    return _date(parameters, "start_date", today.replace(day=1)), _date(parameters, "end_date", today)


def _open_items(state: CompanyState, parameters: Parameters) -> list[_Open]:
    wanted = {one for one in parameters.get("customer", "").split(",") if one}
    as_of = _as_of(state, parameters)
    items = []
    for kind in _OPEN_KINDS:
        for record in state.store.all(kind):
            body = record.body()
            value = open_amount(kind, body)
            day = parse_date(str(body["TxnDate"])) or as_of
            customer = str(body["CustomerRef"]["value"])
            if not value or day > as_of or (wanted and customer not in wanted):
                continue
            holder = state.store.get("Customer", customer)
            name = "" if holder is None else str(holder.facts["fullyqualifiedname"])
            due = parse_date(str(body.get("DueDate", body["TxnDate"]))) or day
            items.append(_Open(customer, name, kind, record.id, str(body.get("DocNumber", "")), day, due, value))
    return sorted(items, key=lambda item: (item.name.casefold(), item.due, int(item.id)))


def _money(value: Decimal) -> str:
    return f"{cents(value):f}" if value else ""


def _row(*cells: tuple[str, str]) -> JsonObject:
    return {
        "ColData": [{"value": value, "id": identity} if identity else {"value": value} for value, identity in cells]
    }


def _data(*cells: tuple[str, str]) -> JsonObject:
    """A row of a report that lists single transactions."""
    return {**_row(*cells), "type": "Data"}


def _total(label: str, *values: Decimal) -> JsonObject:
    cells = [{"value": label}, *({"value": f"{cents(value):f}"} for value in values)]
    return {"Summary": {"ColData": cells}, "type": "Section", "group": "GrandTotal"}


Sums = Callable[[list[_Open]], list[Decimal]]


def _by_customer(state: CompanyState, items: list[_Open], sums: Sums) -> list[JsonObject]:
    """A row for each customer who owes; jobs stand in a section of their customer's, with its sum below."""
    grouped: dict[str, list[_Open]] = {}
    below: dict[str, set[str]] = {}
    for item in items:
        grouped.setdefault(item.customer, []).append(item)
        for parent, child in _line_of(state, item.customer):
            below.setdefault(parent, set()).add(child)
    return [_customer_row(state, one, grouped, below, sums) for one in _by_name(state, below.get("", ()))]


def _line_of(state: CompanyState, customer: str) -> Iterator[tuple[str, str]]:
    """Each customer above one with the one below it, up to the top, which stands below nobody (`""`)."""
    while True:
        record = state.store.get("Customer", customer)
        parent = "" if record is None else str(record.facts.get("parentref") or "")
        yield parent, customer
        if not parent:
            return
        customer = parent


def _by_name(state: CompanyState, customers: Iterable[str]) -> list[str]:
    return sorted(customers, key=lambda one: _name(state, one).casefold())


def _name(state: CompanyState, customer: str) -> str:
    record = state.store.get("Customer", customer)
    return "" if record is None else str(record.facts["displayname"])


def _customer_row(
    state: CompanyState, customer: str, grouped: dict[str, list[_Open]], below: dict[str, set[str]], sums: Sums
) -> JsonObject:
    own = [(_money(value), "") for value in sums(grouped.get(customer, []))]
    row = _row((_name(state, customer), customer), *own)
    if customer not in below:
        return row
    inner = [_customer_row(state, one, grouped, below, sums) for one in _by_name(state, below[customer])]
    family = [item for one in _family(customer, below) for item in grouped.get(one, [])]
    cells = [{"value": f"Total {_name(state, customer)}"}, *({"value": _money(value)} for value in sums(family))]
    return {"Header": row, "Rows": {"Row": inner}, "Summary": {"ColData": cells}, "type": "Section"}


def _family(customer: str, below: dict[str, set[str]]) -> Iterator[str]:
    yield customer
    for child in below.get(customer, ()):
        yield from _family(child, below)


Made = tuple[list[tuple[str, str]], list[JsonObject]]


def _customer_balance(state: CompanyState, parameters: Parameters) -> Made:
    items = _open_items(state, parameters)
    rows = _by_customer(state, items, lambda held: [sum((item.amount for item in held), ZERO)])
    if rows:
        rows.append(_total("TOTAL", sum((item.amount for item in items), ZERO)))
    return [("", "Customer"), ("Total", "Money")], rows


def _bucket(item: _Open, as_of: date) -> int:
    late = (as_of - item.due).days
    return 0 if late <= 0 else min((late - 1) // _BUCKET_DAYS + 1, len(_BUCKETS) - 1)


def _aged_receivables(state: CompanyState, parameters: Parameters) -> Made:
    items = _open_items(state, parameters)
    as_of = _as_of(state, parameters)

    def aged(held: list[_Open]) -> list[Decimal]:
        ages = [ZERO] * len(_BUCKETS)
        for item in held:
            ages[_bucket(item, as_of)] += item.amount
        return [*ages, sum(ages, ZERO)]

    rows = _by_customer(state, items, aged)
    if rows:
        rows.append(_total("TOTAL", *aged(items)))
    return [("", "Customer"), *((bucket, "Money") for bucket in _BUCKETS), ("Total", "Money")], rows


def _aged_detail(state: CompanyState, parameters: Parameters) -> Made:
    as_of = _as_of(state, parameters)
    sections: dict[int, list[_Open]] = {}
    for item in _open_items(state, parameters):
        sections.setdefault(_bucket(item, as_of), []).append(item)
    rows: list[JsonObject] = []
    for place, held in sorted(sections.items()):
        inner = [
            _data(
                (item.day.isoformat(), ""),
                (posting.described(item.kind, {})[0], item.id),
                (item.number, ""),
                (item.name, item.customer),
                (item.due.isoformat(), ""),
                (_money(item.amount), ""),
                (_money(item.amount), ""),
            )
            for item in held
        ]
        title = _AGES[place]
        owed = _money(sum((item.amount for item in held), ZERO))
        summary = (f"Total for {title}", "", "", "", "", owed, owed)
        rows.append(
            {
                "Header": {"ColData": [{"value": title}, *({"value": ""} for _ in summary[1:])]},
                "Rows": {"Row": inner},
                "Summary": {"ColData": [{"value": value} for value in summary]},
                "type": "Section",
            }
        )
    names = ("Date", "Transaction Type", "Num", "Customer", "Due Date", "Amount", "Open Balance")
    if rows:
        owed = _money(sum((item.amount for held in sections.values() for item in held), ZERO))
        cells = ("TOTAL", "", "", "", "", owed, owed)
        rows.append({"Summary": {"ColData": [{"value": value} for value in cells]}, "type": "Section"})
    kinds = ("Date", "String", "String", "String", "Date", "Money", "Money")
    return list(zip(names, kinds, strict=True)), rows


def _transaction_list(state: CompanyState, parameters: Parameters) -> Made:
    start, end = _period(state, parameters)
    if end < start:
        raise faults.one(2190, "Invalid Date Range", "Invalid date range : end_date is before start_date.", "end_date")
    wanted = {one for name in _BY_NAME for one in parameters.get(name, "").split(",") if one}
    kinds = {one.strip().casefold() for one in parameters.get("transaction_type", "").split(",") if one.strip()}
    listed: list[tuple[str, int, JsonObject]] = []
    for kind in (name for name, resource in RESOURCES.items() if resource.group in TRANSACTIONS):
        for record in state.store.all(kind):
            day = str(record.facts.get("txndate", ""))
            if not start.isoformat() <= day <= end.isoformat():
                continue
            body = record.body()
            party = body.get("CustomerRef") or body.get("VendorRef") or body.get("EntityRef") or {}
            spoken, asked = posting.described(kind, body)
            if (wanted and party.get("value") not in wanted) or (kinds and asked.casefold() not in kinds):
                continue
            main, other, value = posting.posted(state, kind, body)
            customer = state.store.get("Customer", str(party.get("value", "")))
            name = party.get("name", "") if customer is None else customer.facts["fullyqualifiedname"]
            row = _data(
                (day, ""),
                (spoken, record.id),
                (str(body.get("DocNumber") or body.get("PaymentRefNum") or ""), ""),
                ("No" if kind in posting.NOT_POSTING else "Yes", ""),
                (str(name), str(party.get("value", ""))),
                (str(body.get("PrivateNote", "")), ""),
                main,
                other,
                (f"{cents(value):f}", ""),
            )
            listed.append((day, int(record.id), row))
    names = ("Date", "Transaction Type", "Num", "Posting", "Name", "Memo/Description", "Account", "Split", "Amount")
    types = tuple(_KEYS[name] for name in names)
    rows = [row for _, _, row in sorted(listed, key=lambda entry: entry[:2])]
    return list(zip(names, types, strict=True)), rows


_REPORTS: Final[dict[str, Callable[[CompanyState, Parameters], Made]]] = {
    "CustomerBalance": _customer_balance,
    "AgedReceivables": _aged_receivables,
    "AgedReceivableDetail": _aged_detail,
    "TransactionList": _transaction_list,
}
