"""Makes a company of any size: as frames of both sides, as a ReliaBills database, as the JSON of a QuickBooks.

All three come from the same facts, so what a reader gives can be compared with what was meant
(``tests/benchmarks``). Everything is drawn from a seed: the same size gives the same company.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import insert

from reconcile.model.entities import Entity, Side
from reconcile.model.money import ONE
from reconcile.model.snapshot import Scope, Snapshot, conform, empty_rows, record_dtypes, row_dtypes
from reconcile.sandbox.billing import schema
from reconcile.sandbox.billing.database import create_database

TODAY = date(2026, 11, 23)
SETTLED_AT = datetime(2026, 11, 20, 18, tzinfo=UTC)
"""When records were last changed that both sides agree on."""
CHANGED_AT = datetime(2026, 11, 23, 2, tzinfo=UTC)
"""When the differences came about."""
NOW = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)

_FIRST_ID = {Side.BOOKS: 5001, Side.BILLING: 1}
_CENT = ONE // 100
_LINES = 3
_METHODS = {"cash": "1", "check": "2", "card": "3"}
_RATES = (("Austin", 82_500_000), ("Dallas", 62_500_000), ("Tucson", 91_000_000))

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Size:
    """How many of each, and the seed."""

    customers: int = 20_000
    products: int = 500
    invoices: int = 100_000
    payments: int = 80_000
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Facts:
    """What one side holds. Every frame has a column ``n``; references are such numbers (``customer``, ``invoice``).

    Other columns are canonical fields. Money is minor units, prices, quantities and percents ten-millionths.
    ``changed`` says whether a record was edited since both sides last agreed.
    """

    customers: pd.DataFrame
    products: pd.DataFrame
    tax_rates: pd.DataFrame
    invoices: pd.DataFrame
    lines: pd.DataFrame
    payments: pd.DataFrame
    applications: pd.DataFrame


@dataclass(frozen=True, slots=True)
class World:
    """What each side holds."""

    sides: Mapping[Side, Facts]


# Facts ----------------------------------------------------------------------------------------------------------------


def make_facts(size: Size) -> Facts:
    """A company on which both sides agree."""
    random = np.random.default_rng(size.seed)
    customers, products = _customers(size.customers), _products(size.products, random)
    rates = pd.DataFrame(
        {
            "n": range(len(_RATES)),
            "name": [name for name, _ in _RATES],
            "percent": [percent for _, percent in _RATES],
            "agency": [f"{name} Department of Revenue" for name, _ in _RATES],
            "active": True,
            "changed": False,
        }
    )
    invoices, lines = _invoices(size, products, random)
    payments, applications = _payments(size, invoices, random)
    return Facts(customers, products, rates, invoices, lines, payments, applications)


def _customers(count: int) -> pd.DataFrame:
    n = np.arange(count)
    text = pd.Series(n).astype("str")
    number = text.str.zfill(6)
    return pd.DataFrame(
        {
            "n": n,
            "display_name": "Customer " + number + " & Sons",
            "company_name": "Customer " + number,
            "given_name": "Given" + (pd.Series(n % 500)).astype("str"),
            "family_name": "Family" + text,
            "email": "office" + text + "@example.com",
            "more_emails": ("accounts" + text + "@example.com").where(pd.Series(n % 10 == 0)),
            "phone": "(512) 555-" + pd.Series(n % 10_000).astype("str").str.zfill(4),
            "address_line1": text + " Main Street",
            "city": "Austin",
            "region": "TX",
            "postal_code": pd.Series(10_000 + n % 80_000).astype("str"),
            "country": "USA",
            "taxable": n % 3 != 0,
            "active": True,
            "auto_pay": n % 4 == 0,
            "changed": False,
        }
    )


def _products(count: int, random: np.random.Generator) -> pd.DataFrame:
    n = np.arange(count)
    text = pd.Series(n).astype("str").str.zfill(4)
    return pd.DataFrame(
        {
            "n": n,
            "name": "Product " + text,
            "description": "What product " + text + " is",
            "unit_price": random.integers(100, 50_000, count) * _CENT,
            "taxable": n % 2 == 0,
            "sku": "SKU-" + text,
            "active": True,
            "changed": False,
        }
    )


def _invoices(size: Size, products: pd.DataFrame, random: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    n = np.arange(size.invoices)
    dated = np.datetime64("2025-01-01") + random.integers(0, 680, size.invoices)
    lines = _lines(size, products, random)
    taxed = lines["amount"].where(lines["taxable"], 0)
    subtotal = lines.groupby("invoice")["amount"].sum().to_numpy()
    taxable = taxed.groupby(lines["invoice"]).sum().to_numpy()
    rate = random.integers(0, len(_RATES), size.invoices)
    kind = random.random(size.invoices)
    percent = np.where(kind < 0.05, 10 * ONE, 0)
    off_nontaxable = np.where((kind > 0.97) & (subtotal - taxable >= 500), 500, 0)
    off = _half_up(subtotal * 10, 100) * (percent > 0)
    off_taxable = _half_up(off * taxable, np.maximum(subtotal, 1))
    rates = np.array([percent for _, percent in _RATES])
    tax = _half_up((taxable - off_taxable) * rates[rate], 100 * ONE)
    invoices = pd.DataFrame(
        {
            "n": n,
            "number": pd.Series(100_000 + n).astype("str"),
            "customer": random.integers(0, size.customers, size.invoices),
            "invoice_date": dated.astype("datetime64[D]").astype(str),
            "due_date": (dated + 30).astype("datetime64[D]").astype(str),
            "tax_rate": pd.Series(rate).where(taxable > 0).astype("Int64"),
            "discount_percent": pd.Series(percent).where(percent > 0).astype("Int64"),
            "discount_nontaxable": pd.Series(off_nontaxable).where(off_nontaxable > 0).astype("Int64"),
            "memo": ("Thank you for invoice " + pd.Series(n).astype("str")).where(pd.Series(n % 3 == 0)),
            "subtotal": subtotal,
            "discount": off + off_nontaxable,
            "tax": tax,
            "total": subtotal - off - off_nontaxable + tax,
            "changed": False,
        }
    )
    return invoices, lines


def _lines(size: Size, products: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    count = size.invoices * _LINES
    product = random.integers(0, size.products, count)
    quantity = random.integers(1, 10, count)
    price = products["unit_price"].to_numpy()[product]
    return pd.DataFrame(
        {
            "invoice": np.repeat(np.arange(size.invoices), _LINES),
            "position": np.tile(np.arange(1, _LINES + 1), size.invoices),
            "product": product,
            "description": products["description"].to_numpy()[product],
            "quantity": quantity * ONE,
            "unit_price": price,
            "amount": quantity * price // _CENT,
            "taxable": products["taxable"].to_numpy()[product],
        }
    )


def _payments(size: Size, invoices: pd.DataFrame, random: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Most pay one invoice in full, some a part, some two invoices of one customer, some a little too much."""
    order = random.permutation(size.invoices)
    paid, spare = order[: size.payments], order[size.payments :]
    total, customer = invoices["total"].to_numpy(), invoices["customer"].to_numpy()
    n = np.arange(size.payments)
    part = np.where(n % 20 == 0, total[paid] // 2 + 1, total[paid])
    first = pd.DataFrame({"payment": n, "invoice": paid, "amount": part})
    spares = pd.DataFrame({"customer": customer[spare], "invoice": spare}).drop_duplicates("customer")
    payers = pd.DataFrame({"customer": customer[paid], "payment": n}).drop_duplicates("customer")
    second = payers.merge(spares, on="customer").head(size.payments // 20)
    second = second.assign(amount=total[second["invoice"]])[["payment", "invoice", "amount"]]
    applications = pd.concat([first, second], ignore_index=True).sort_values(["payment", "invoice"], ignore_index=True)
    unapplied = np.where(n % 100 == 7, 1000, 0)
    applied = applications.groupby("payment")["amount"].sum().to_numpy()
    payments = pd.DataFrame(
        {
            "n": n,
            "customer": customer[paid],
            "payment_date": invoices["due_date"].to_numpy()[paid],
            "amount": applied + unapplied,
            "method": np.array(list(_METHODS), dtype=object)[n % len(_METHODS)],
            "reference": "R" + pd.Series(n).astype("str"),
            "unapplied": unapplied,
            "changed": False,
        }
    )
    applications["position"] = applications.groupby("payment").cumcount() + 1
    return payments, applications


def _half_up(numerator: Ints, denominator: Ints | int) -> Ints:
    result: Ints = (2 * numerator + denominator) // (2 * np.asarray(denominator))
    return result


# Worlds ---------------------------------------------------------------------------------------------------------------


def agreed_world(facts: Facts) -> World:
    """Both sides hold the same."""
    return World({Side.BOOKS: facts, Side.BILLING: facts})


def differing_world(facts: Facts, share: float) -> tuple[World, World]:
    """A company before and after both sides were worked on: ``share`` of its records differ.

    Of the differing records about half were edited in billing, a quarter in books, a tenth on both sides in the same
    field, and the rest is new on one side.

    Returns:
        The world in which the records that were there before agree, and the world with the differences.
    """
    invoices, payments = len(facts.invoices), len(facts.payments)
    new_invoices = int(invoices * share / 4)
    new_payments = int(payments * share / 2)
    unpaid = facts.invoices.index[~facts.invoices["n"].isin(facts.applications["invoice"])][:new_invoices]
    fresh = facts.invoices["n"].to_numpy()[unpaid]
    paid_lately = facts.payments["n"].to_numpy()[:new_payments]
    before = _without(facts, invoices=fresh, payments=paid_lately)
    half = len(fresh) // 2
    sides = {
        Side.BOOKS: _without(facts, invoices=fresh[half:], payments=paid_lately),
        Side.BILLING: _without(facts, invoices=fresh[:half], payments=[]),
    }
    sides = {side: _changed(held, {"invoices": fresh, "payments": paid_lately}) for side, held in sides.items()}
    customers, older = int(len(facts.customers) * share), int(invoices * share / 2)
    books, billing = sides[Side.BOOKS], sides[Side.BILLING]
    billing = edited(billing, "customers", range(customers // 2), phone="(512) 556-0000")
    books = edited(books, "customers", range(customers // 2, customers * 3 // 4), email="new@example.com")
    both = range(customers * 3 // 4, customers * 9 // 10)
    billing = edited(billing, "customers", both, phone="(512) 556-1111")
    books = edited(books, "customers", both, phone="(512) 556-2222")
    last = invoices - 1
    billing = edited(billing, "invoices", range(last - older, last - older // 2), memo="Please pay by bank")
    books = edited(books, "invoices", range(last - older // 2, last), due_date="2027-01-31")
    return agreed_world(before), World({Side.BOOKS: books, Side.BILLING: billing})


def changed_world(facts: Facts, changes: int) -> World:
    """Both sides agree but for this many changes of the last hours: customers, invoices, and payments taken."""
    part = changes // 5
    lately = facts.payments["n"].to_numpy()[:part]
    books = _without(facts, invoices=[], payments=lately)
    billing = _changed(facts, {"payments": lately})
    billing = edited(billing, "customers", range(part), phone="(512) 556-0000")
    billing = edited(billing, "invoices", range(part), memo="Please pay by bank")
    books = edited(books, "customers", range(part, 2 * part), email="new@example.com")
    books = edited(books, "invoices", range(part, 2 * part), due_date="2027-01-31")
    return World({Side.BOOKS: books, Side.BILLING: billing})


def before_changes(facts: Facts, changes: int) -> World:
    """The world of :func:`changed_world` before its changes."""
    return agreed_world(_without(facts, invoices=[], payments=facts.payments["n"].to_numpy()[: changes // 5]))


def edited(facts: Facts, kind: str, numbers: Sequence[int], **values: str) -> Facts:
    """These records have these values now."""
    frame = getattr(facts, kind).copy()
    rows = frame["n"].isin(numbers)
    for name, value in values.items():
        frame.loc[rows, name] = value
    frame.loc[rows, "changed"] = True
    return replace(facts, **{kind: frame})


def _changed(facts: Facts, numbers: Mapping[str, Sequence[int] | Ints]) -> Facts:
    for kind, some in numbers.items():
        facts = edited(facts, kind, list(some))
    return facts


def _without(facts: Facts, *, invoices: Sequence[int] | Ints, payments: Sequence[int] | Ints) -> Facts:
    return replace(
        facts,
        invoices=facts.invoices[~facts.invoices["n"].isin(invoices)].reset_index(drop=True),
        lines=facts.lines[~facts.lines["invoice"].isin(invoices)].reset_index(drop=True),
        payments=facts.payments[~facts.payments["n"].isin(payments)].reset_index(drop=True),
        applications=facts.applications[~facts.applications["payment"].isin(payments)].reset_index(drop=True),
    )


# Frames ---------------------------------------------------------------------------------------------------------------


def snapshots(world: World, side: Side) -> dict[Entity, Snapshot]:
    """What a census of this side must give."""
    facts = world.sides[side]
    records = {
        Entity.CUSTOMER: _customer_records(facts, side),
        Entity.PRODUCT: facts.products.assign(**({"type": "Service"} if side is Side.BOOKS else {})),
        Entity.TAX_RATE: facts.tax_rates.assign(**({"components": _components()} if side is Side.BOOKS else {})),
        Entity.INVOICE: _invoice_records(facts, side),
        Entity.PAYMENT: _payment_records(facts, side),
    }
    rows = {
        Entity.INVOICE: facts.lines.assign(
            parent_id=ids(side, facts.lines["invoice"]), product_id=ids(side, facts.lines["product"])
        ),
        Entity.PAYMENT: facts.applications.assign(
            parent_id=ids(side, facts.applications["payment"]), invoice_id=ids(side, facts.applications["invoice"])
        ),
    }
    return {
        entity: Snapshot(
            side,
            entity,
            conform(_headed(frame, side), record_dtypes(entity)),
            conform(rows[entity], row_dtypes(entity)) if entity in rows else empty_rows(entity),
            NOW,
            Scope.CENSUS,
            counted=len(frame),
        )
        for entity, frame in records.items()
    }


def ids(side: Side, numbers: pd.Series[Any]) -> pd.Series[str]:
    """The ids by which a side knows these numbers."""
    return (numbers + _FIRST_ID[side]).astype("Int64").astype("str").where(numbers.notna())


def _headed(frame: pd.DataFrame, side: Side) -> pd.DataFrame:
    stamps = {moment: _stamp(side, moment) for moment in (SETTLED_AT, CHANGED_AT)}
    return frame.assign(
        id=ids(side, frame["n"]),
        version="0" if side is Side.BOOKS else "1",
        updated_at=np.where(frame["changed"], stamps[CHANGED_AT], stamps[SETTLED_AT]),
    )


def _stamp(side: Side, moment: datetime) -> str:
    if side is Side.BILLING:
        return moment.isoformat(timespec="microseconds")
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _customer_records(facts: Facts, side: Side) -> pd.DataFrame:
    frame = facts.customers.assign(currency="USD", paperless=True)
    return frame.assign(full_name=frame["display_name"]).drop(columns=_only_on(side.other))


def _only_on(side: Side) -> list[str]:
    return ["auto_pay", "paperless"] if side is Side.BILLING else ["full_name"]


def _invoice_records(facts: Facts, side: Side) -> pd.DataFrame:
    frame = facts.invoices
    paid = facts.applications.groupby("invoice")["amount"].sum()
    balance = frame["total"] - frame["n"].map(paid).fillna(0).astype("int64")
    extra = {"has_bundle": False} if side is Side.BOOKS else {"origin": "manual"}
    return frame.assign(
        customer_id=ids(side, frame["customer"]),
        tax_rate_id=ids(side, frame["tax_rate"]),
        void=False,
        balance=balance,
        state=np.where(balance == 0, "paid", "open"),
        currency="USD",
        **extra,
    )


def _payment_records(facts: Facts, side: Side) -> pd.DataFrame:
    extra = {"deposited": False} if side is Side.BOOKS else {"processed": facts.payments["method"] == "card"}
    return facts.payments.assign(
        customer_id=ids(side, facts.payments["customer"]), credit=0, void=False, currency="USD", **extra
    )


def _components() -> list[str]:
    return [f"{name} rate {Decimal(percent).scaleb(-7).normalize()}" for name, percent in _RATES]


# ReliaBills -----------------------------------------------------------------------------------------------------------


def write_billing(world: World, path: Path) -> None:
    """A ReliaBills database at ``path`` that holds what billing holds."""
    engine = create_database(str(path), company_id="large", company_name="A large company")
    known = snapshots(world, Side.BILLING)
    with engine.begin() as connection:
        for table, frame in _billing_tables(known).items():
            connection.execute(insert(table), _records(frame))
    engine.dispose()


def _billing_tables(known: Mapping[Entity, Snapshot]) -> dict[type[schema.Base], pd.DataFrame]:
    named = {
        "display_name": "account_name",
        "given_name": "first_name",
        "family_name": "last_name",
        "more_emails": "further_emails",
        "address_line1": "address",
        "address_line2": "address2",
    }
    customers = known[Entity.CUSTOMER].frame.rename(columns=named)
    customers = customers.assign(auto_pay=customers["auto_pay"].map({True: "card", False: None}))
    invoices, payments = known[Entity.INVOICE].frame, known[Entity.PAYMENT].frame
    percents = {str(n + _FIRST_ID[Side.BILLING]): percent for n, (_, percent) in enumerate(_RATES)}
    invoices = invoices.assign(
        tax_percent=invoices["tax_rate_id"].map(percents).astype("Int64"),
        amount_paid=invoices["total"] - invoices["balance"],
    )
    payments = payments.assign(kind=payments["processed"].map({True: "online", False: "offline"}), state="received")
    stamp = {"version": "1", "updated_at": _stamp(Side.BILLING, SETTLED_AT)}
    lines = known[Entity.INVOICE].rows.rename(columns={"parent_id": "invoice_id"}).assign(**stamp)
    applied = known[Entity.PAYMENT].rows.rename(columns={"parent_id": "payment_id"}).assign(**stamp)
    return {
        schema.Customer: _numbered(customers.drop(columns=["currency", "paperless", "full_name", "parent_id"])),
        schema.Product: _numbered(known[Entity.PRODUCT].frame.drop(columns="type")),
        schema.TaxRate: _numbered(known[Entity.TAX_RATE].frame.drop(columns="components")),
        schema.Invoice: _numbered(invoices.drop(columns=["void", "currency", "has_bundle"])),
        schema.InvoiceLine: _numbered(lines),
        schema.Payment: _numbered(payments.drop(columns=["void", "currency", "deposited", "processed"])),
        schema.PaymentApplication: _numbered(applied.drop(columns="position")),
    }


def _numbered(frame: pd.DataFrame) -> pd.DataFrame:
    """Ids, references and versions are numbers in this database."""
    columns = [str(name) for name in frame if name in {"id", "version"} or str(name).endswith("_id")]
    return frame.assign(**{name: frame[name].astype("Int64") for name in columns})


# QuickBooks -----------------------------------------------------------------------------------------------------------

_JSON = msgspec.json.Encoder(decimal_format="number")


def write_books(world: World, folder: Path) -> None:
    """What a QuickBooks would answer with: one file per resource in ``folder``, one record as JSON per line."""
    folder.mkdir(parents=True)
    for resource, records in _resources(world).items():
        with (folder / f"{resource}.jsonl").open("wb") as file:
            file.writelines(_JSON.encode(record) + b"\n" for record in records)


def _resources(world: World) -> dict[str, Iterator[dict[str, Any]]]:
    known = snapshots(world, Side.BOOKS)
    rates = known[Entity.TAX_RATE].frame
    return {
        "Customer": map(_customer_json, _records(known[Entity.CUSTOMER].frame)),
        "Item": map(_item_json, _records(known[Entity.PRODUCT].frame)),
        "TaxCode": map(_tax_code_json, _records(rates)),
        "TaxRate": map(_tax_rate_json, _records(rates)),
        "TaxAgency": map(_tax_agency_json, _records(rates)),
        "PaymentMethod": ({"Id": number, **_METHOD_JSON[name]} for name, number in _METHODS.items()),
        "Invoice": map(_invoice_json, _records(known[Entity.INVOICE].frame), _grouped(known[Entity.INVOICE])),
        "Payment": map(_payment_json, _records(known[Entity.PAYMENT].frame), _grouped(known[Entity.PAYMENT])),
    }


_METHOD_JSON = {
    "cash": {"Name": "Cash", "Type": "NON_CREDIT_CARD", "Active": True},
    "check": {"Name": "Check", "Type": "NON_CREDIT_CARD", "Active": True},
    "card": {"Name": "Visa", "Type": "CREDIT_CARD", "Active": True},
}


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    columns = [str(name) for name in frame]
    values = frame.astype(object).where(frame.notna(), None).to_numpy()
    return [dict(zip(columns, row, strict=True)) for row in values]


def _grouped(snapshot: Snapshot) -> Iterator[list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in _records(snapshot.rows):
        rows.setdefault(row["parent_id"], []).append(row)
    return (rows.get(record_id, []) for record_id in snapshot.frame["id"])


def _money(minor: int) -> Decimal:
    return Decimal(minor).scaleb(-2)


def _scaled(number: int) -> Decimal:
    return Decimal(number).scaleb(-7).normalize() + 0


def _head(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "domain": "QBO",
        "sparse": False,
        "Id": record["id"],
        "SyncToken": record["version"],
        "MetaData": {"CreateTime": "2025-01-02T08:00:00-08:00", "LastUpdatedTime": record["updated_at"]},
    }


def _customer_json(record: Mapping[str, Any]) -> dict[str, Any]:
    emails = ",".join(filter(None, (record["email"], record["more_emails"])))
    return _head(record) | {
        "Taxable": record["taxable"],
        "BillAddr": {
            "Id": record["id"],
            "Line1": record["address_line1"],
            "City": record["city"],
            "Country": record["country"],
            "CountrySubDivisionCode": record["region"],
            "PostalCode": record["postal_code"],
        },
        "Job": False,
        "BillWithParent": False,
        "Balance": Decimal(0),
        "CurrencyRef": {"value": "USD", "name": "United States Dollar"},
        "PreferredDeliveryMethod": "Email",
        "GivenName": record["given_name"],
        "FamilyName": record["family_name"],
        "FullyQualifiedName": record["full_name"],
        "CompanyName": record["company_name"],
        "DisplayName": record["display_name"],
        "PrintOnCheckName": record["display_name"],
        "Active": record["active"],
        "PrimaryPhone": {"FreeFormNumber": record["phone"]},
        "PrimaryEmailAddr": {"Address": emails},
    }


def _item_json(record: Mapping[str, Any]) -> dict[str, Any]:
    return _head(record) | {
        "Name": record["name"],
        "Description": record["description"],
        "Active": record["active"],
        "FullyQualifiedName": record["name"],
        "Taxable": record["taxable"],
        "UnitPrice": _scaled(record["unit_price"]),
        "Type": record["type"],
        "Sku": record["sku"],
        "IncomeAccountRef": {"value": "79", "name": "Sales of Product Income"},
        "TrackQtyOnHand": False,
    }


def _tax_code_json(record: Mapping[str, Any]) -> dict[str, Any]:
    detail = {"TaxRateRef": {"value": record["id"]}, "TaxTypeApplicable": "TaxOnAmount", "TaxOrder": 0}
    return _head(record) | {
        "Name": record["name"],
        "Active": record["active"],
        "Taxable": True,
        "TaxGroup": True,
        "SalesTaxRateList": {"TaxRateDetail": [detail]},
    }


def _tax_rate_json(record: Mapping[str, Any]) -> dict[str, Any]:
    rate = {"Name": f"{record['name']} rate", "RateValue": _scaled(record["percent"])}
    return _head(record) | rate | {"AgencyRef": {"value": record["id"]}}


def _tax_agency_json(record: Mapping[str, Any]) -> dict[str, Any]:
    return _head(record) | {"DisplayName": record["agency"]}


def _invoice_json(record: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    sold: list[dict[str, Any]] = [_line_json(line) for line in lines]
    sold.append({"Amount": _money(record["subtotal"]), "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}})
    if record["discount"]:
        percent = record["discount_percent"]
        detail = {"PercentBased": percent is not None, "DiscountAccountRef": {"value": "86"}}
        detail |= {"DiscountPercent": _scaled(percent)} if percent is not None else {}
        amount = _money(record["discount"])
        sold.append({"Amount": amount, "DetailType": "DiscountLineDetail", "DiscountLineDetail": detail})
    tax: dict[str, Any] = {"TotalTax": _money(record["tax"])}
    if record["tax_rate_id"] is not None:
        tax["TxnTaxCodeRef"] = {"value": record["tax_rate_id"]}
    return (
        _head(record)
        | {
            "AllowOnlineACHPayment": False,
            "CustomField": [{"DefinitionId": "1", "Name": "Crew #", "Type": "StringType"}],
            "DocNumber": record["number"],
            "TxnDate": record["invoice_date"],
            "CurrencyRef": {"value": "USD", "name": "United States Dollar"},
            "LinkedTxn": [],
            "Line": sold,
            "TxnTaxDetail": tax,
            "CustomerRef": {"value": record["customer_id"], "name": "A customer"},
            "DueDate": record["due_date"],
            "TotalAmt": _money(record["total"]),
            "ApplyTaxAfterDiscount": record["discount_percent"] is not None,
            "PrintStatus": "NotSet",
            "EmailStatus": "NotSet",
            "Balance": _money(record["balance"]),
        }
        | ({"CustomerMemo": {"value": record["memo"]}} if record["memo"] else {})
    )


def _line_json(line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Id": str(line["position"]),
        "LineNum": line["position"],
        "Description": line["description"],
        "Amount": _money(line["amount"]),
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": {
            "ItemRef": {"value": line["product_id"], "name": "A product"},
            "UnitPrice": _scaled(line["unit_price"]),
            "Qty": _scaled(line["quantity"]),
            "ItemAccountRef": {"value": "79", "name": "Sales of Product Income"},
            "TaxCodeRef": {"value": "TAX" if line["taxable"] else "NON"},
        },
    }


def _payment_json(record: Mapping[str, Any], applications: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return _head(record) | {
        "CustomerRef": {"value": record["customer_id"], "name": "A customer"},
        "DepositToAccountRef": {"value": "4"},
        "PaymentMethodRef": {"value": _METHODS[record["method"]]},
        "PaymentRefNum": record["reference"],
        "TotalAmt": _money(record["amount"]),
        "UnappliedAmt": _money(record["unapplied"]),
        "ProcessPayment": False,
        "TxnDate": record["payment_date"],
        "CurrencyRef": {"value": "USD", "name": "United States Dollar"},
        "Line": [
            {"Amount": _money(row["amount"]), "LinkedTxn": [{"TxnId": row["invoice_id"], "TxnType": "Invoice"}]}
            for row in applications
        ],
    }
