"""Writing to ReliaBills: what it allows is stored and computed, what it does not is refused in words, and all once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import date
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from reconcile.errors import LeaseError
from reconcile.model.entities import ROWS_COLUMN, Entity, Kind, field
from reconcile.model.money import to_scaled
from reconcile.model.plan import Action
from reconcile.model.totals import TotalsError, invoice_totals
from reconcile.sandbox.billing import day
from reconcile.sandbox.billing.midnight import run_midnight
from reconcile.sides.billing import BillingWriter, rules
from reconcile.sides.side import Outcome, Status, Write

TODAY = date(2026, 3, 10)
_REQUESTS = count(1)
NEW_CUSTOMER = {
    "display_name": "Mark Cho",
    "given_name": "Mark",
    "family_name": "Cho",
    "email": "Mark@Cho.com",
    "active": True,
}


def _ask(
    entity: Entity,
    action: Action,
    fields: Mapping[str, Any] | None = None,
    id_: str | None = None,
    version: str | None = None,
) -> Write:
    return Write(f"request-{next(_REQUESTS)}", entity, action, id_, version, fields or {}, {})


def _do(billing: BillingWriter, write: Write) -> Outcome:
    (outcome,) = billing.write([write])
    assert outcome.request_id == write.request_id
    return outcome


def _create(billing: BillingWriter, entity: Entity, fields: Mapping[str, Any]) -> Outcome:
    return _do(billing, _ask(entity, Action.CREATE, fields))


def _named(billing: BillingWriter, entity: Entity, column: str, value: str) -> dict[str, Any]:
    frame = billing.census(entity).frame
    found: dict[str, Any] = frame[frame[column] == value].iloc[0].to_dict()
    return found


def _change(billing: BillingWriter, entity: Entity, found: Mapping[str, Any], fields: Mapping[str, Any]) -> Outcome:
    return _do(billing, _ask(entity, Action.UPDATE, fields, found["id"], found["version"]))


def _invoice(billing: BillingWriter, number: str) -> dict[str, Any]:
    return _named(billing, Entity.INVOICE, "number", number)


def _customer(billing: BillingWriter, name: str) -> dict[str, Any]:
    return _named(billing, Entity.CUSTOMER, "display_name", name)


def _new_invoice(billing: BillingWriter, number: str = "2001", **fields: Any) -> dict[str, Any]:
    sod = _named(billing, Entity.PRODUCT, "name", "Sod")
    line = {
        "product_id": sod["id"],
        "description": "Sod",
        "quantity": to_scaled("10"),
        "unit_price": to_scaled("15"),
        "amount": 15000,
        "taxable": True,
    }
    return {
        "number": number,
        "customer_id": _customer(billing, "Cool Cars")["id"],
        "invoice_date": "2026-03-09",
        "due_date": "2026-04-08",
        "tax_rate_id": _named(billing, Entity.TAX_RATE, "name", "California")["id"],
        "lines": [line],
        "memo": "Thanks",
        **fields,
    }


def _payment(customer_id: str, applied: Mapping[str, int], amount: int, **fields: Any) -> dict[str, Any]:
    rows = [{"invoice_id": invoice, "amount": part} for invoice, part in applied.items()]
    return {
        "customer_id": customer_id,
        "payment_date": "2026-03-09",
        "amount": amount,
        "credit": 0,
        "method": "check",
        "reference": "77",
        "applications": rows,
        **fields,
    }


def _record(billing: BillingWriter, entity: Entity, id_: str) -> dict[str, Any]:
    """One record as the reader sees it, in the encoding of an outcome."""
    snapshot = billing.fetch(entity, [id_])
    values = {
        name: None if value is None or value != value else value  # noqa: PLR0124  # NaN is the one that differs
        for name, value in snapshot.frame.astype(object).where(snapshot.frame.notna(), None).iloc[0].items()
    }
    if entity in ROWS_COLUMN:
        rows = snapshot.rows.astype(object).where(snapshot.rows.notna(), None)
        values[ROWS_COLUMN[entity]] = rows.drop(columns=["parent_id", "position"]).to_dict("records")
    return values


def _assert_stored(billing: BillingWriter, entity: Entity, outcome: Outcome) -> None:
    """The outcome holds what a reader finds afterwards."""
    assert outcome.status is Status.DONE, outcome.reason
    assert outcome.id is not None
    read = _record(billing, entity, outcome.id)
    assert outcome.version == read["version"]
    for name, value in outcome.fields.items():
        expected = read[name]
        if field(entity, name).kind is Kind.FLAG:
            expected = bool(expected)
        assert value == expected, name


@pytest.fixture
def on_file(craigs_url: str) -> Iterator[BillingWriter]:
    """The side on SQLite only, for rules that no database knows of."""
    side = BillingWriter(craigs_url, "craigs")
    yield side
    side.close()


# creating -------------------------------------------------------------------------------------------------------------


def test_a_customer_is_created_as_given(billing: BillingWriter) -> None:
    fields = {**NEW_CUSTOMER, "more_emails": "a@b.c,d@e.f", "phone": "(650) 554-1479", "address_line1": "1 Main"}
    outcome = _create(billing, Entity.CUSTOMER, fields)
    _assert_stored(billing, Entity.CUSTOMER, outcome)
    assert {name: outcome.fields[name] for name in fields} == fields
    assert (outcome.version, outcome.fields["auto_pay"], outcome.fields["taxable"]) == ("1", False, False)


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({**NEW_CUSTOMER, "family_name": None}, "required", "requires last name of a customer"),
        ({**NEW_CUSTOMER, "email": ""}, "required", "requires e-mail"),
        ({**NEW_CUSTOMER, "email": "a@b.c,d@e.f"}, "email", "exactly one e-mail address"),
        ({**NEW_CUSTOMER, "email": "nobody"}, "email", "exactly one e-mail address"),
        ({**NEW_CUSTOMER, "more_emails": "a@b.c, d@e.f"}, "more_emails", "without spaces"),
        ({**NEW_CUSTOMER, "phone": 650}, "malformed", "cannot be stored as phone"),
        ({**NEW_CUSTOMER, "phone": "6\x0050"}, "malformed", "cannot be stored as phone"),
        ({**NEW_CUSTOMER, "phone": "\ud800"}, "malformed", "cannot be stored as phone"),
        ({**NEW_CUSTOMER, "active": 1}, "malformed", "cannot be stored as active"),
        ({**NEW_CUSTOMER, "nickname": "M"}, "unknown_field", "no field 'nickname'"),
        ({**NEW_CUSTOMER, "currency": "CAD"}, "currency", "in USD; this record is in CAD"),
    ],
)
def test_a_customer_that_reliabills_cannot_store_is_refused(
    on_file: BillingWriter, fields: dict[str, Any], code: str, said: str
) -> None:
    before = len(on_file.census(Entity.CUSTOMER))
    outcome = _create(on_file, Entity.CUSTOMER, fields)
    assert (outcome.status, outcome.code, outcome.id) == (Status.FAILED, code, None)
    assert said in outcome.reason
    assert len(on_file.census(Entity.CUSTOMER)) == before


def test_products_and_tax_rates_are_created_as_given(billing: BillingWriter) -> None:
    product = {"name": "Pruning", "unit_price": to_scaled("40"), "taxable": True, "sku": "P-1", "active": True}
    outcome = _create(billing, Entity.PRODUCT, product)
    _assert_stored(billing, Entity.PRODUCT, outcome)
    assert {name: outcome.fields[name] for name in product} == product
    rate = {"name": "Finch", "percent": to_scaled("9.25"), "agency": "Board of Equalization", "active": True}
    outcome = _create(billing, Entity.TAX_RATE, rate)
    _assert_stored(billing, Entity.TAX_RATE, outcome)
    assert dict(outcome.fields) == rate
    assert _create(billing, Entity.PRODUCT, {"name": None}).code == "required"
    assert _create(billing, Entity.TAX_RATE, {"name": "X", "percent": to_scaled("101")}).code == "percent"
    assert _create(billing, Entity.TAX_RATE, {"name": "X", "percent": 7.1}).code == "malformed"


def test_an_invoice_is_computed_as_reliabills_does(billing: BillingWriter) -> None:
    fields = _new_invoice(billing, discount_percent=to_scaled("10"))
    outcome = _create(billing, Entity.INVOICE, fields)
    _assert_stored(billing, Entity.INVOICE, outcome)
    assert {name: outcome.fields[name] for name in fields} == fields
    computed = ["subtotal", "discount", "tax", "total", "balance", "state", "origin", "currency"]
    assert [outcome.fields[name] for name in computed] == [15000, 1500, 1080, 14580, 14580, "open", "sync", "USD"]


def test_lines_without_product_quantity_or_amount_are_kept_as_they_are(billing: BillingWriter) -> None:
    nothing = dict.fromkeys(("product_id", "quantity", "unit_price"))
    lines = [
        {**nothing, "description": "Lumber", "amount": 10355, "taxable": False},
        {**nothing, "description": "A remark", "amount": 0, "taxable": False},
    ]
    outcome = _create(billing, Entity.INVOICE, _new_invoice(billing, lines=lines, tax_rate_id=None))
    _assert_stored(billing, Entity.INVOICE, outcome)
    assert outcome.fields["lines"] == lines
    assert outcome.fields["total"] == 10355


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"number": "A2001"}, "invoice_number"),
        ({"number": "\uff11\uff12\uff13"}, "invoice_number"),
        ({"number": "1" * 22}, "invoice_number"),
        ({"number": None}, "required"),
        ({"number": "1007"}, "number_taken"),
        ({"customer_id": "999"}, "customer"),
        ({"customer_id": "x"}, "malformed"),
        ({"tax_rate_id": "999"}, "tax_rate"),
        ({"invoice_date": "0000-00-00"}, "malformed"),
        ({"invoice_date": None}, "required"),
        ({"discount_taxable": 15001}, "totals"),
        ({"discount_percent": to_scaled("101")}, "totals"),
        ({"discount_taxable": 10**16}, "malformed"),
    ],
)
def test_an_invoice_that_reliabills_cannot_store_is_refused(
    on_file: BillingWriter, fields: dict[str, Any], code: str
) -> None:
    outcome = _create(on_file, Entity.INVOICE, _new_invoice(on_file, **fields))
    assert (outcome.status, outcome.code) == (Status.FAILED, code)
    assert outcome.reason.endswith(".")
    assert len(on_file.census(Entity.INVOICE)) == 23


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ({"product_id": "999"}, "product"),
        ({"amount": 14998}, "line_amount"),
        ({"amount": 150.0}, "malformed"),
        ({"unit_price": 10**15, "quantity": 10**15}, "malformed"),
    ],
)
def test_a_line_that_does_not_add_up_is_refused(on_file: BillingWriter, line: dict[str, Any], code: str) -> None:
    fields = _new_invoice(on_file)
    fields["lines"][0] |= line
    assert _create(on_file, Entity.INVOICE, fields).code == code


def test_a_cent_of_rounding_in_a_line_is_kept(billing: BillingWriter) -> None:
    fields = _new_invoice(billing)
    fields["lines"][0]["amount"] = 14999
    assert _create(billing, Entity.INVOICE, fields).fields["subtotal"] == 14999


def test_an_inactive_customer_is_not_invoiced(billing: BillingWriter, engine: Engine) -> None:
    fields = _new_invoice(billing)
    day.inactivate_customer(engine, "Cool Cars")
    outcome = _create(billing, Entity.INVOICE, fields)
    assert outcome.code == "customer_inactive"
    assert "Cool Cars is inactive" in outcome.reason


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.booleans()), min_size=1, max_size=4),
    st.integers(0, to_scaled("100")),
    st.one_of(st.none(), st.integers(1, 10**4)),
    st.one_of(st.none(), st.integers(1, 10**4)),
)
def test_whatever_the_lines_the_totals_are_those_of_reliabills(
    on_file: BillingWriter,
    lines: list[tuple[int, bool]],
    percent: int,
    off_taxable: int | None,
    off_nontaxable: int | None,
) -> None:
    rows = [
        {"description": "Work", "amount": amount, "taxable": taxable, "quantity": None, "unit_price": None}
        for amount, taxable in lines
    ]
    terms = {
        "discount_percent": percent,
        "discount_taxable": off_taxable,
        "discount_nontaxable": off_nontaxable,
    }
    number = str(5000 + next(_REQUESTS))
    outcome = _create(on_file, Entity.INVOICE, _new_invoice(on_file, number, lines=rows, **terms))
    expected = _totals(lines, terms)
    if isinstance(expected, str):
        assert (outcome.status, expected in outcome.reason) == (Status.FAILED, True)
    else:
        stored = [outcome.fields[name] for name in ("subtotal", "discount", "tax", "total", "balance")]
        assert stored == [*expected, expected[-1]]


def _totals(lines: list[tuple[int, bool]], terms: Mapping[str, int | None]) -> list[int] | str:
    """Subtotal, discount, tax and total, or why there are none."""
    try:
        totals = invoice_totals(lines, tax_percent=to_scaled("8"), **terms)
    except TotalsError as error:
        return str(error)
    return [totals.subtotal, totals.discount, totals.tax, totals.total]


# sending --------------------------------------------------------------------------------------------------------------


def _deliveries(engine: Engine) -> list[tuple[str, str]]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT channel, address FROM deliveries ORDER BY id")).all()
        return [(str(channel), str(address)) for channel, address in rows]


def test_nothing_is_sent_unless_reliabills_is_set_to_send(billing: BillingWriter, engine: Engine) -> None:
    assert not billing.sends_invoices()
    _do(billing, replace(_ask(Entity.INVOICE, Action.CREATE, _new_invoice(billing)), mail=True))
    assert _deliveries(engine) == []


def test_a_new_invoice_that_may_be_mailed_is_sent_once_when_set_so_and_no_other(
    billing: BillingWriter, engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE settings SET send_invoices = (1 = 1)"))
        connection.execute(text("UPDATE customers SET mail_preference = 'paperless', further_emails = 'b@c.d'"))
    assert billing.sends_invoices()
    quiet = _ask(Entity.INVOICE, Action.CREATE, _new_invoice(billing, "2000"))
    _do(billing, quiet)
    assert _deliveries(engine) == []
    write = replace(_ask(Entity.INVOICE, Action.CREATE, _new_invoice(billing)), mail=True)
    first = _do(billing, write)
    assert _do(billing, write) == first
    assert first.id is not None
    _do(billing, _ask(Entity.INVOICE, Action.UPDATE, {"memo": "x"}, first.id, first.version))
    assert _deliveries(engine) == [("email", "Cool_Cars@intuit.com,b@c.d")]


# changing -------------------------------------------------------------------------------------------------------------


def test_only_the_given_fields_change(billing: BillingWriter) -> None:
    before = _customer(billing, "Cool Cars")
    outcome = _change(billing, Entity.CUSTOMER, before, {"phone": "1", "more_emails": None})
    _assert_stored(billing, Entity.CUSTOMER, outcome)
    after = _customer(billing, "Cool Cars")
    assert {name for name in before if str(before[name]) != str(after[name])} == {"phone", "version", "updated_at"}
    assert int(after["version"]) == int(before["version"]) + 1


def test_a_required_field_cannot_be_emptied(billing: BillingWriter) -> None:
    outcome = _change(billing, Entity.CUSTOMER, _customer(billing, "Cool Cars"), {"email": None})
    assert (outcome.status, outcome.code) == (Status.FAILED, "required")
    outcome = _change(billing, Entity.PRODUCT, _named(billing, Entity.PRODUCT, "name", "Sod"), {"name": ""})
    assert (outcome.status, outcome.code) == (Status.FAILED, "required")


def test_a_record_that_moved_is_not_overwritten(billing: BillingWriter, engine: Engine) -> None:
    before = _customer(billing, "Cool Cars")
    day.edit_in_portal(engine, "Cool Cars", phone="2")
    outcome = _change(billing, Entity.CUSTOMER, before, {"phone": "1"})
    assert (outcome.status, outcome.fields) == (Status.STALE, {})
    assert _customer(billing, "Cool Cars")["phone"] == "2"
    for version in (None, "", "x", "-1"):
        assert _change(billing, Entity.CUSTOMER, {**before, "version": version}, {"phone": "1"}).status is Status.STALE


@pytest.mark.parametrize("id_", ["999", "x", None])
def test_a_record_that_is_gone_is_told(on_file: BillingWriter, id_: str | None) -> None:
    outcome = _do(on_file, _ask(Entity.INVOICE, Action.UPDATE, {"memo": "x"}, id_, "1"))
    assert (outcome.status, outcome.code) == (Status.FAILED, "gone")


def test_new_lines_make_new_totals_and_a_new_balance(billing: BillingWriter) -> None:
    before = _invoice(billing, "1007")
    lines = _new_invoice(billing)["lines"] * 3
    rate = _named(billing, Entity.TAX_RATE, "name", "California")["id"]
    outcome = _change(billing, Entity.INVOICE, before, {"lines": lines, "tax_rate_id": rate})
    _assert_stored(billing, Entity.INVOICE, outcome)
    assert [outcome.fields[name] for name in ("total", "tax", "balance", "state")] == [48600, 3600, 18600, "open"]
    assert int(outcome.version or 0) == int(before["version"]) + 1


def test_an_edit_of_the_memo_leaves_the_tax_at_its_old_percent(billing: BillingWriter) -> None:
    rate = _named(billing, Entity.TAX_RATE, "name", "California")
    assert _change(billing, Entity.TAX_RATE, rate, {"percent": to_scaled("9")}).status is Status.DONE
    invoice = _invoice(billing, "1021")
    outcome = _change(billing, Entity.INVOICE, invoice, {"memo": "x", "discount_taxable": 100})
    assert outcome.fields["tax"] == 3392
    assert outcome.fields["memo"] == "x"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"number": "2000"}, "number_fixed"),
        ({"customer_id": "1"}, "customer_fixed"),
        ({"lines": []}, "overpaid"),
        ({"invoice_date": None}, "required"),
    ],
)
def test_what_is_fixed_on_an_invoice_stays(on_file: BillingWriter, fields: dict[str, Any], code: str) -> None:
    before = _invoice(on_file, "1007")
    outcome = _change(on_file, Entity.INVOICE, before, fields)
    assert (outcome.status, outcome.code) == (Status.FAILED, code)
    assert _invoice(on_file, "1007")["version"] == before["version"]


def test_an_invoice_without_payments_is_voided_and_then_stays_void(billing: BillingWriter) -> None:
    open_, paid = _invoice(billing, "1010"), _invoice(billing, "1007")
    outcome = _do(billing, _ask(Entity.INVOICE, Action.VOID, {}, open_["id"], open_["version"]))
    _assert_stored(billing, Entity.INVOICE, outcome)
    assert (outcome.fields["void"], outcome.fields["state"], outcome.fields["balance"]) == (True, "void", 0)
    refused = _do(billing, _ask(Entity.INVOICE, Action.VOID, {}, paid["id"], paid["version"]))
    assert (refused.status, refused.code) == (Status.FAILED, "has_payments")
    assert "has payments of 300.00 applied" in refused.reason
    void = {"id": outcome.id, "version": outcome.version}
    assert _change(billing, Entity.INVOICE, void, {"memo": "x"}).code == "void"


def test_voiding_may_come_as_a_changed_field(billing: BillingWriter) -> None:
    assert _change(billing, Entity.INVOICE, _invoice(billing, "1010"), {"void": True}).fields["state"] == "void"


def test_lists_are_made_inactive_and_nothing_is_deleted(billing: BillingWriter) -> None:
    for entity, column, name in (
        (Entity.CUSTOMER, "display_name", "Cool Cars"),
        (Entity.PRODUCT, "name", "Sod"),
        (Entity.TAX_RATE, "name", "Tucson"),
    ):
        found = _named(billing, entity, column, name)
        for action, code in ((Action.DELETE, "not_deletable"), (Action.VOID, "not_voidable")):
            assert _do(billing, _ask(entity, action, {}, found["id"], found["version"])).code == code
        outcome = _do(billing, _ask(entity, Action.DEACTIVATE, {}, found["id"], found["version"]))
        _assert_stored(billing, entity, outcome)
        assert outcome.fields["active"] is False
    invoice = _invoice(billing, "1010")
    outcome = _do(billing, _ask(Entity.INVOICE, Action.DEACTIVATE, {}, invoice["id"], invoice["version"]))
    assert outcome.code == "not_deactivatable"


# payments -------------------------------------------------------------------------------------------------------------


def test_a_payment_from_quickbooks_is_recorded_and_never_processed(billing: BillingWriter, engine: Engine) -> None:
    first, second = _invoice(billing, "1023"), _invoice(billing, "1024")
    fields = _payment(first["customer_id"], {first["id"]: 7000, second["id"]: 600}, 8000)
    outcome = _create(billing, Entity.PAYMENT, fields)
    _assert_stored(billing, Entity.PAYMENT, outcome)
    assert {name: outcome.fields[name] for name in fields} == fields
    assert (outcome.fields["unapplied"], outcome.fields["processed"], outcome.fields["void"]) == (400, False, False)
    assert _invoice(billing, "1023")["state"] == "paid"
    after = _invoice(billing, "1024")
    assert (after["balance"], int(after["version"])) == (15000, int(second["version"]) + 1)
    with engine.connect() as connection:
        found = connection.execute(text(f"SELECT kind, external_id FROM payments WHERE id = {outcome.id}")).one()
        assert tuple(found) == ("offline", None)
        assert connection.scalar(text("SELECT count(*) FROM charge_log")) == 0


def test_a_credit_that_settles_is_recorded_as_a_credit(billing: BillingWriter, engine: Engine) -> None:
    invoice = _invoice(billing, "1010")
    fields = _payment(invoice["customer_id"], {invoice["id"]: 100}, 0, credit=100, method=None)
    outcome = _create(billing, Entity.PAYMENT, fields)
    _assert_stored(billing, Entity.PAYMENT, outcome)
    assert (outcome.fields["method"], outcome.fields["unapplied"]) == ("credit", 0)
    with engine.connect() as connection:
        assert connection.scalar(text(f"SELECT kind FROM payments WHERE id = {outcome.id}")) == "credit"


def test_a_payment_recorded_in_time_keeps_the_card_from_being_charged(billing: BillingWriter, engine: Engine) -> None:
    invoice = _invoice(billing, "1010")
    _create(billing, Entity.PAYMENT, _payment(invoice["customer_id"], {invoice["id"]: 37500}, 37500))
    charged = {charge.customer: charge.amount for charge in run_midnight(engine, TODAY).charges}
    assert charged["Weiskopf Consulting"] == 10000


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"customer_id": "999"}, "customer"),
        ({"amount": None}, "required"),
        ({"amount": 0}, "amount"),
        ({"amount": -5}, "amount"),
        ({"amount": 99}, "applied"),
        ({"method": "barter"}, "method"),
        ({"void": True}, "void"),
        ({"applications": [{"invoice_id": "999", "amount": 1}]}, "invoice"),
        ({"applications": [{"invoice_id": None, "amount": 1}]}, "application"),
        ({"amount": 10**6, "applications": [{"invoice_id": "5", "amount": 10**6}]}, "overpaid"),
    ],
)
def test_a_payment_that_does_not_add_up_is_refused(on_file: BillingWriter, fields: dict[str, Any], code: str) -> None:
    invoice = _invoice(on_file, "1010")
    outcome = _create(on_file, Entity.PAYMENT, _payment(invoice["customer_id"], {invoice["id"]: 100}, 100) | fields)
    assert (outcome.status, outcome.code) == (Status.FAILED, code)
    assert len(on_file.census(Entity.PAYMENT)) == 12
    assert _invoice(on_file, "1010")["version"] == invoice["version"]


def test_a_void_invoice_takes_no_payment(billing: BillingWriter, engine: Engine) -> None:
    day.void_invoice(engine, "1010")
    invoice = _invoice(billing, "1010")
    outcome = _create(billing, Entity.PAYMENT, _payment(invoice["customer_id"], {invoice["id"]: 100}, 100))
    assert outcome.code == "invoice_state"


def test_moving_a_payment_moves_both_balances(billing: BillingWriter) -> None:
    first, second = _invoice(billing, "1023"), _invoice(billing, "1024")
    made = _create(billing, Entity.PAYMENT, _payment(first["customer_id"], {first["id"]: 7000}, 7000))
    moved = [{"invoice_id": second["id"], "amount": 5000}]
    outcome = _change(billing, Entity.PAYMENT, {"id": made.id, "version": made.version}, {"applications": moved})
    _assert_stored(billing, Entity.PAYMENT, outcome)
    assert (outcome.fields["applications"], outcome.fields["unapplied"]) == (moved, 2000)
    assert (_invoice(billing, "1023")["state"], _invoice(billing, "1024")["balance"]) == ("open", 10600)


def test_a_voided_payment_opens_its_invoices_again(billing: BillingWriter) -> None:
    invoice = _invoice(billing, "1023")
    made = _create(billing, Entity.PAYMENT, _payment(invoice["customer_id"], {invoice["id"]: 7000}, 7000))
    outcome = _do(billing, _ask(Entity.PAYMENT, Action.VOID, {}, made.id, made.version))
    _assert_stored(billing, Entity.PAYMENT, outcome)
    assert (outcome.fields["void"], outcome.fields["applications"], outcome.fields["unapplied"]) == (True, [], 0)
    assert (_invoice(billing, "1023")["state"], _invoice(billing, "1023")["balance"]) == ("open", 7000)
    void = {"id": outcome.id, "version": outcome.version}
    assert _change(billing, Entity.PAYMENT, void, {"reference": "x"}).code == "void"


def test_what_was_processed_online_keeps_its_amount_and_is_not_voided(billing: BillingWriter) -> None:
    frame = billing.census(Entity.PAYMENT).frame
    online = frame[frame["processed"]].iloc[0].to_dict()
    for fields, code in (
        ({"amount": 1}, "processed"),
        ({"void": True}, "processed"),
        ({"customer_id": "1"}, "customer_fixed"),
    ):
        assert _change(billing, Entity.PAYMENT, online, fields).code == code
    assert _change(billing, Entity.PAYMENT, online, {"reference": "77"}).fields["reference"] == "77"


def test_a_refunded_payment_keeps_its_amount_and_its_invoices(billing: BillingWriter, engine: Engine) -> None:
    day.refund(engine, "1007", "100", on=TODAY, reopen=True)
    frame = billing.census(Entity.PAYMENT).frame
    refunded = frame[frame["amount"] == 30000].iloc[0].to_dict()
    for fields in ({"amount": 40000}, {"applications": []}, {"void": True}):
        assert _change(billing, Entity.PAYMENT, refunded, fields).code == "refunded"
    assert _invoice(billing, "1007")["balance"] == 55000


def test_an_invoice_closed_by_a_refund_stays_closed(billing: BillingWriter, engine: Engine) -> None:
    day.refund(engine, "1002", "75", on=TODAY, reopen=False)
    outcome = _change(billing, Entity.INVOICE, _invoice(billing, "1002"), {"memo": "x"})
    assert (outcome.fields["state"], outcome.fields["balance"]) == ("closed", 0)


# once -----------------------------------------------------------------------------------------------------------------


def test_a_repeated_request_is_given_its_first_answer(billing: BillingWriter, engine: Engine) -> None:
    write = _ask(Entity.CUSTOMER, Action.CREATE, NEW_CUSTOMER)
    first = _do(billing, write)
    day.edit_in_portal(engine, "Mark Cho", phone="2")
    assert _do(billing, write) == first
    assert len(billing.census(Entity.CUSTOMER)) == 20
    change = _ask(Entity.CUSTOMER, Action.UPDATE, {"phone": "3"}, first.id, "2")
    done = _do(billing, change)
    assert done.status is Status.DONE
    assert _do(billing, change) == done


def test_a_request_is_not_carried_out_again_with_other_content(billing: BillingWriter) -> None:
    write = _ask(Entity.CUSTOMER, Action.CREATE, NEW_CUSTOMER)
    _do(billing, write)
    outcome = _do(billing, replace(write, fields={**NEW_CUSTOMER, "phone": "1"}))
    assert (outcome.status, outcome.code) == (Status.FAILED, "request_reused")


def test_a_refused_request_may_be_asked_again(billing: BillingWriter) -> None:
    write = _ask(Entity.INVOICE, Action.CREATE, _new_invoice(billing, number="1007"))
    assert _do(billing, write).code == "number_taken"
    assert _do(billing, replace(write, fields={**write.fields, "number": "2001"})).status is Status.DONE


def test_two_programs_with_one_request_write_once(url: str, billing: BillingWriter) -> None:
    write = _ask(Entity.CUSTOMER, Action.CREATE, NEW_CUSTOMER)
    outcomes: list[Outcome] = []

    def ask() -> None:
        side = BillingWriter(url, "craigs")
        outcomes.extend(side.write([write]))
        side.close()

    programs = [threading.Thread(target=ask) for _ in range(4)]
    for program in programs:
        program.start()
    for program in programs:
        program.join()
    assert len(outcomes) == 4
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert len(billing.census(Entity.CUSTOMER)) == 20


def test_a_run_that_was_overtaken_changes_nothing_any_more(
    url: str, billing: BillingWriter, opened: Callable[[Any], Any]
) -> None:
    billing.hold("run-1")
    assert _create(billing, Entity.CUSTOMER, NEW_CUSTOMER).status is Status.DONE
    next_one = opened(BillingWriter(url, "craigs"))
    next_one.hold("run-2")
    with pytest.raises(LeaseError, match="Run run-1 no longer holds ReliaBills: run run-2 has taken over"):
        billing.write([_ask(Entity.CUSTOMER, Action.CREATE, {**NEW_CUSTOMER, "display_name": "Late"})])
    assert billing.find(Entity.CUSTOMER, {"display_name": "Late"}) == []
    assert _create(next_one, Entity.CUSTOMER, {**NEW_CUSTOMER, "display_name": "In time"}).status is Status.DONE


def test_who_never_took_the_company_over_cannot_write_beside_the_run_that_did(
    url: str, billing: BillingWriter, opened: Callable[[Any], Any]
) -> None:
    billing.hold("run-1")
    with pytest.raises(LeaseError, match="run run-1 has taken over"):
        _create(opened(BillingWriter(url, "craigs")), Entity.CUSTOMER, NEW_CUSTOMER)


def test_nobody_takes_over_while_a_write_is_being_committed(
    url: str, billing: BillingWriter, opened: Callable[[Any], Any]
) -> None:
    billing.hold("run-1")
    next_one = opened(BillingWriter(url, "craigs"))
    taking_over = threading.Thread(target=next_one.hold, args=("run-2",))
    waited: list[bool] = []

    def frozen() -> None:
        taking_over.start()
        taking_over.join(timeout=0.3)
        waited.append(taking_over.is_alive())

    billing.before_writing(frozen)
    write = _ask(Entity.CUSTOMER, Action.CREATE, NEW_CUSTOMER)
    assert billing.write([write])[0].status is Status.DONE
    taking_over.join()
    assert waited == [True]
    answer = next_one.recall(write.request_id)
    assert answer is not None
    assert answer.status is Status.DONE


def test_one_bad_write_does_not_stop_its_siblings(billing: BillingWriter) -> None:
    writes = [
        _ask(Entity.CUSTOMER, Action.CREATE, NEW_CUSTOMER),
        _ask(Entity.CUSTOMER, Action.CREATE, {}),
        _ask(Entity.CUSTOMER, Action.CREATE, {**NEW_CUSTOMER, "display_name": "'; DROP TABLE customers; --"}),
    ]
    assert len(writes) <= billing.batch_size
    outcomes = billing.write(writes)
    assert [outcome.status for outcome in outcomes] == [Status.DONE, Status.FAILED, Status.DONE]
    assert [outcome.request_id for outcome in outcomes] == [write.request_id for write in writes]
    assert outcomes[2].fields["display_name"] == "'; DROP TABLE customers; --"


def test_a_connection_lost_while_committing_is_unknown_and_before_that_failed(
    craigs_postgres_url: str, opened: Callable[[Any], Any]
) -> None:
    billing = opened(BillingWriter(craigs_postgres_url, "craigs"))
    engine = billing._write_engine
    hang_up = """
        CREATE FUNCTION hang_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER hang_up AFTER INSERT ON products {} FOR EACH ROW EXECUTE FUNCTION hang_up()"""
    for deferred, status in (("DEFERRABLE INITIALLY DEFERRED", Status.UNKNOWN), ("", Status.FAILED)):
        with engine.begin() as connection:
            connection.execute(text(hang_up.format(deferred)))
        outcome = _create(billing, Entity.PRODUCT, {"name": "Pruning"})
        assert (outcome.status, outcome.id) == (status, None)
        assert outcome.reason
        with engine.begin() as connection:
            connection.execute(text("DROP TRIGGER hang_up ON products; DROP FUNCTION hang_up()"))
    assert billing.find(Entity.PRODUCT, {"name": "Pruning"}) == []


def test_a_lost_create_is_found_by_what_people_know_it_by(billing: BillingWriter) -> None:
    customer = _create(billing, Entity.CUSTOMER, NEW_CUSTOMER)
    assert billing.find(Entity.CUSTOMER, NEW_CUSTOMER) == [customer.id]
    assert billing.find(Entity.INVOICE, {"number": "1007"}) == [_invoice(billing, "1007")["id"]]
    assert billing.find(Entity.INVOICE, {"number": "01007"}) == []
    assert (
        len(billing.find(Entity.PRODUCT, {"name": "Sod"}))
        == len(billing.find(Entity.TAX_RATE, {"name": "Tucson"}))
        == 1
    )
    fields = _payment(str(customer.id), {}, 500)
    payment = _create(billing, Entity.PAYMENT, fields)
    assert billing.find(Entity.PAYMENT, fields) == [payment.id]
    assert billing.find(Entity.PAYMENT, {**fields, "amount": 501}) == []
    with pytest.raises(ValueError, match="cannot be looked for without"):
        billing.find(Entity.INVOICE, {})


def test_a_lost_request_is_asked_for_by_its_id_and_the_answer_is_definite_both_ways(billing: BillingWriter) -> None:
    write = _ask(Entity.CUSTOMER, Action.CREATE, NEW_CUSTOMER)
    assert billing.memory.asks
    assert billing.recall(write.request_id) is None
    made = _do(billing, write)
    changed = _change(billing, Entity.CUSTOMER, {"id": made.id, "version": made.version}, {"phone": "555"})
    assert changed.version != made.version
    assert billing.recall(write.request_id) == made


def test_a_request_that_is_still_being_carried_out_is_waited_for(
    billing: BillingWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = _ask(Entity.CUSTOMER, Action.CREATE, NEW_CUSTOMER)
    begun, go_on = threading.Event(), threading.Event()
    create = rules.create

    def slowly(connection: Connection, asked: Write) -> int:
        begun.set()
        go_on.wait(10)
        return create(connection, asked)

    monkeypatch.setattr(rules, "create", slowly)
    with ThreadPoolExecutor(2) as pool:
        writing = pool.submit(_do, billing, write)
        assert begun.wait(10)
        asking = pool.submit(billing.recall, write.request_id)
        assert not wait([asking], 0.2).done
        go_on.set()
        made = writing.result(10)
        assert made.status is Status.DONE
        assert asking.result(10) == made


def test_settling_looks_for_ids_as_the_side_gives_them(billing: BillingWriter) -> None:
    found: Sequence[str] = billing.find(Entity.CUSTOMER, {"display_name": "Cool Cars"})
    assert found == [_customer(billing, "Cool Cars")["id"]]
