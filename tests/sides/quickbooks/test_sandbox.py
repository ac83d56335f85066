"""Reader and writer against the local QuickBooks, over real HTTP."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from pandas.testing import assert_frame_equal

from reconcile.model.entities import Entity
from reconcile.model.money import ONE
from reconcile.model.plan import Action
from reconcile.model.snapshot import Scope
from reconcile.sandbox.quickbooks.process import QuickBooksSandbox, running_quickbooks
from reconcile.sides.quickbooks import QuickBooksWriter
from reconcile.sides.quickbooks.marks import mark_in, tag
from reconcile.sides.quickbooks.transport import Connections
from reconcile.sides.side import Outcome, Readable, Status, Writable, Write, mark_of
from tests.sides.quickbooks.conftest import Books, books_of

DESIGN, GARDENING = "4", "6"
AMY = "1"


def line(product: str | None = DESIGN, **changes: Any) -> dict[str, Any]:
    return {
        "product_id": product,
        "description": "Custom Design",
        "quantity": 2 * ONE,
        "unit_price": 75 * ONE,
        "amount": 15_000,
        "taxable": False,
    } | changes


def invoice(number: str, *lines: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "number": number,
        "customer_id": AMY,
        "invoice_date": "2024-05-01",
        "due_date": "2024-05-31",
        "tax_rate_id": None,
        "discount_percent": None,
        "discount_taxable": None,
        "discount_nontaxable": None,
        "memo": None,
        "lines": list(lines) or [line()],
    } | changes


def payment(amount: int, *applications: tuple[Outcome, int], **changes: Any) -> dict[str, Any]:
    return {
        "customer_id": AMY,
        "payment_date": "2024-05-03",
        "amount": amount,
        "credit": 0,
        "method": "check",
        "reference": None,
        "applications": [{"invoice_id": paid.id, "amount": part} for paid, part in applications],
    } | changes


def done(outcome: Outcome) -> Outcome:
    assert outcome.status is Status.DONE, outcome.reason
    return outcome


def holds(outcome: Outcome, fields: dict[str, Any]) -> bool:
    return {name: outcome.fields[name] for name in fields} == fields


def test_reader_and_writer_are_what_the_protocols_ask_for(books: Books) -> None:
    readable: Readable = books.writer
    writable: Writable = books.writer

    assert (readable.side, writable.batch_size) == ("books", 30)


def test_the_company_says_who_it_is(books: Books, sandbox: QuickBooksSandbox) -> None:
    identity = books.writer.identity()

    assert identity.company_id == sandbox.realm_id
    assert identity.name == "Craig's Design and Landscaping Services"
    assert identity.currency == "USD"


@pytest.mark.parametrize("entity", list(Entity))
def test_a_census_is_complete_and_reads_the_same_as_the_records_one_by_one(books: Books, entity: Entity) -> None:
    census = books.writer.census(entity)
    again = books.writer.fetch(entity, census.frame["id"].to_list())

    assert census.counted == len(census) > 0
    assert not census.unreadable
    assert not again.gone
    assert again.digest == census.digest


def test_a_customer_is_made_changed_and_read_back(books: Books) -> None:
    fields = {
        "display_name": "Zoë's \\ O'Brien",
        "company_name": None,
        "given_name": "Zoë",
        "family_name": "O'Brien",
        "email": "zoe@example.com",
        "more_emails": "books@example.com",
        "phone": "(650) 555-0001",
        "address_line1": "1 Main St.",
        "address_line2": None,
        "city": "Bayshore",
        "region": "CA",
        "postal_code": "00123",
        "country": None,
        "taxable": True,
        "active": True,
    }
    made = done(books.create(Entity.CUSTOMER, **fields))
    assert holds(made, fields)
    assert made.trace

    changes = {"email": "new@example.com", "city": "Middlefield", "phone": None}
    changed = done(books.write(Entity.CUSTOMER, Action.UPDATE, changes, made))

    assert holds(changed, {**fields, **changes})
    assert books.writer.find(Entity.CUSTOMER, fields) == [made.id]
    stored = books.writer.fetch(Entity.CUSTOMER, [str(made.id)])
    assert stored.frame.loc[0, "version"] == changed.version


def test_one_address_changed_keeps_the_others_even_when_nothing_is_said_of_them(books: Books) -> None:
    made = done(books.create(Entity.CUSTOMER, display_name="Two Addresses", email="a@x.com", more_emails="b@x.com"))

    write = Write(books.request_id(), Entity.CUSTOMER, Action.UPDATE, made.id, made.version, {"email": "c@x.com"}, {})
    (outcome,) = books.writer.write([write])

    assert holds(done(outcome), {"email": "c@x.com", "more_emails": "b@x.com"})


def test_a_payment_changed_in_one_field_keeps_its_customer_amount_and_invoices(books: Books) -> None:
    paid = done(books.create(Entity.INVOICE, **invoice("73003")))
    made = done(books.create(Entity.PAYMENT, **payment(15_000, (paid, 15_000))))

    write = Write(books.request_id(), Entity.PAYMENT, Action.UPDATE, made.id, made.version, {"reference": "7"}, {})
    (outcome,) = books.writer.write([write])

    assert done(outcome).fields == {**made.fields, "reference": "7"}


def test_a_change_by_somebody_else_makes_a_write_stale(books: Books) -> None:
    made = done(books.create(Entity.CUSTOMER, display_name="Slow Writer"))
    done(books.write(Entity.CUSTOMER, Action.UPDATE, {"phone": "1"}, made))

    late = books.write(Entity.CUSTOMER, Action.UPDATE, {"phone": "2"}, made)

    assert (late.status, late.code) == (Status.STALE, "5010")


def test_a_name_already_taken_fails_with_words(books: Books) -> None:
    taken = books.create(Entity.CUSTOMER, display_name="Books by Bessie")

    assert (taken.status, taken.code) == (Status.FAILED, "6240")
    assert "already has this name" in taken.reason
    assert books.writer.find(Entity.CUSTOMER, {"display_name": "Books by Bessie"}) == []


def test_a_name_that_another_one_has_is_in_the_way_however_it_is_written(books: Books) -> None:
    wanted = {"1": "Amy's Bird Sanctuary", "2": "AMY'S bird sanctuary", "5": "Nobody's Name", "999": "Cool Cars"}
    assert books.writer.names_in_the_way(Entity.CUSTOMER, wanted) == {"2": "1"}


def test_a_product_s_name_is_used_once_in_its_category(books: Books) -> None:
    def entered(**body: Any) -> str:
        answer = books.session.call("POST", books.session.address("item"), body=body).required()
        return str(answer["Item"]["Id"])

    income = {"IncomeAccountRef": {"value": "79"}, "Type": "Service"}
    category = entered(Name="Lawns", Type="Category")
    turf, bark = entered(Name="Turf", **income), entered(Name="Bark", **income)
    inside = entered(Name="Seed", **income, SubItem=True, ParentRef={"value": category})
    assert books.writer.names_in_the_way(Entity.PRODUCT, {turf: "bark", bark: "Seed", inside: "Turf"}) == {turf: bark}


def test_what_an_update_does_not_name_stays(books: Books) -> None:
    before = books.session.get(books.session.address("customer", "3"))["Customer"]
    cars = books.writer.fetch(Entity.CUSTOMER, ["3"]).frame.loc[0]

    write = Write(books.request_id(), Entity.CUSTOMER, Action.UPDATE, "3", cars["version"], {"city": "Menlo Park"}, {})
    (outcome,) = books.writer.write([write])

    after = books.session.get(books.session.address("customer", "3"))["Customer"]
    assert done(outcome).fields["city"] == "Menlo Park"
    moved = {"BillAddr", "MetaData", "SyncToken"}
    assert {name: value for name, value in after.items() if name not in moved} == {
        name: value for name, value in before.items() if name not in moved
    }
    assert after["BillAddr"] == {**before["BillAddr"], "City": "Menlo Park"} | {
        name: after["BillAddr"][name] for name in ("Lat", "Long") if name in after["BillAddr"]
    }


def test_a_product_is_made_as_a_service_changed_and_made_inactive(books: Books) -> None:
    fields = {"name": "Pruning", "description": "Roses", "unit_price": 333_333_333, "taxable": True, "sku": "P-1"}
    made = done(books.create(Entity.PRODUCT, **fields, active=True))
    assert holds(made, {**fields, "type": "Service", "active": True})

    assert books.writer.find(Entity.PRODUCT, fields) == [made.id]
    changed = done(books.write(Entity.PRODUCT, Action.UPDATE, {"unit_price": 40 * ONE, "description": None}, made))
    gone = done(books.write(Entity.PRODUCT, Action.DEACTIVATE, {}, changed))

    assert holds(gone, {**fields, "unit_price": 40 * ONE, "description": None, "active": False})


def test_a_customer_made_inactive_and_active_again_keeps_its_name(books: Books) -> None:
    made = done(books.create(Entity.CUSTOMER, display_name="On and off"))
    off = done(books.write(Entity.CUSTOMER, Action.DEACTIVATE, {}, made))
    on = done(books.write(Entity.CUSTOMER, Action.UPDATE, {"active": True}, off))

    assert (off.fields["display_name"], off.fields["active"]) == ("On and off", False)
    assert (on.fields["display_name"], on.fields["active"]) == ("On and off", True)


def test_stock_and_accounts_of_an_inventory_product_stay(books: Books) -> None:
    pump = books.writer.fetch(Entity.PRODUCT, ["11"]).frame.loc[0]
    before = books.session.get(books.session.address("item", "11"))["Item"]
    record = Outcome("", Status.DONE, "11", pump["version"])

    done(books.write(Entity.PRODUCT, Action.UPDATE, {"unit_price": 16 * ONE}, record))

    after = books.session.get(books.session.address("item", "11"))["Item"]
    kept = ("QtyOnHand", "Type", "AssetAccountRef", "IncomeAccountRef", "ExpenseAccountRef", "PurchaseCost", "Sku")
    assert {name: after.get(name) for name in kept} == {name: before.get(name) for name in kept}


def test_a_product_without_the_companys_income_account_fails_before_anything_is_sent(books: Books) -> None:
    writer = QuickBooksWriter(books.session, income_account="No such account")
    write = Write(books.request_id(), Entity.PRODUCT, Action.CREATE, None, None, {"name": "X", "unit_price": 0}, {})

    (outcome,) = writer.write([write])

    assert outcome.status is Status.FAILED
    assert "'No such account'" in outcome.reason


def test_a_tax_rate_is_made_with_its_agency_once(books: Books) -> None:
    texas = done(books.create(Entity.TAX_RATE, name="Texas", percent=82_500_000, agency="Comptroller", active=True))
    austin = done(books.create(Entity.TAX_RATE, name="Austin", percent=10_000_000, agency="comptroller", active=True))

    assert holds(texas, {"name": "Texas", "percent": 82_500_000, "agency": "Comptroller", "components": "Texas 8.25"})
    assert austin.fields["agency"] == "Comptroller"
    agencies = books.session.query("SELECT * FROM TaxAgency")["QueryResponse"]["TaxAgency"]
    assert [agency["DisplayName"] for agency in agencies].count("Comptroller") == 1
    assert books.writer.find(Entity.TAX_RATE, {"name": "Texas"}) == [texas.id]


@pytest.mark.parametrize(
    ("action", "fields", "words"),
    [
        (Action.UPDATE, {"percent": ONE}, "cannot be changed"),
        (Action.CREATE, {"name": "A", "percent": ONE, "agency": None}, "agency"),
        (Action.CREATE, {"name": "A", "percent": ONE, "agency": "One + Two"}, "several agencies"),
    ],
)
def test_a_tax_rate_quickbooks_cannot_make_fails_with_words(
    books: Books, action: Action, fields: dict[str, Any], words: str
) -> None:
    outcome = books.write(Entity.TAX_RATE, action, fields, Outcome("", Status.DONE, "2", "0"))

    assert outcome.status is Status.FAILED
    assert words in outcome.reason


def test_an_invoice_is_made_with_its_own_number_taxed_and_read_back(books: Books) -> None:
    lines = [line(taxable=True), line(GARDENING, quantity=None, unit_price=None, amount=5_000)]
    text = line(None, description="Thank you", quantity=None, unit_price=None, amount=0)
    fields = invoice("0070001", *lines, text, tax_rate_id="2", memo="Front yard <b>")

    made = done(books.create(Entity.INVOICE, **fields))

    assert holds(made, fields)
    assert (made.fields["subtotal"], made.fields["tax"], made.fields["total"]) == (20_000, 1_200, 21_200)
    assert books.writer.find(Entity.INVOICE, fields) == [made.id]


@pytest.mark.parametrize(
    ("lines", "discount", "money", "tax"),
    [
        ([line(taxable=True)], {"discount_percent": 10 * ONE}, 1_500, 1_080),
        ([line(taxable=True)], {"discount_taxable": 1_000}, 1_000, 1_120),
        ([line()], {"discount_nontaxable": 1_000}, 1_000, 0),
        ([line(taxable=True), line()], {"discount_nontaxable": 1_000}, 1_000, 1_200),
        ([line(taxable=True), line()], {"discount_taxable": 500, "discount_nontaxable": 500}, 1_000, 1_160),
        ([line(taxable=True), line()], {"discount_percent": 10 * ONE}, 3_000, 1_080),
    ],
)
def test_every_discount_comes_out_with_the_same_money_and_the_same_tax(
    books: Books, lines: list[dict[str, Any]], discount: dict[str, int], money: int, tax: int
) -> None:
    rate = "2" if any(row["taxable"] for row in lines) else None
    fields = invoice(f"71{next(books.numbers):04}", *lines, tax_rate_id=rate, **discount)

    made = done(books.create(Entity.INVOICE, **fields))

    assert holds(made, fields)
    assert (made.fields["discount"], made.fields["tax"]) == (money, tax)


def test_an_invoice_changes_lines_discount_and_memo_and_nothing_else(books: Books) -> None:
    made = done(books.create(Entity.INVOICE, **invoice("72001", line(), line(GARDENING))))
    books.by_hand(
        "invoice", {"Id": made.id, "SyncToken": made.version, "sparse": True, "PrivateNote": "ours", "TrackingNum": "9"}
    )
    made = Outcome("", Status.DONE, made.id, "1", fields=made.fields)

    lines = [line(description="Design, changed", quantity=ONE, amount=7_500), line(GARDENING), line()]
    changed = done(
        books.write(Entity.INVOICE, Action.UPDATE, {"lines": lines, "discount_nontaxable": 500, "memo": "Hi"}, made)
    )

    assert holds(changed, invoice("72001", *lines, discount_nontaxable=500, memo="Hi"))
    stored = books.session.get(books.session.address("invoice", str(made.id)))["Invoice"]
    assert (stored["PrivateNote"], stored["TrackingNum"]) == ("ours", "9")
    assert [row.get("Id") for row in stored["Line"] if row["DetailType"] == "SalesItemLineDetail"][:2] == ["1", "2"]

    plain = done(books.write(Entity.INVOICE, Action.UPDATE, {"discount_nontaxable": None}, changed))
    assert holds(plain, invoice("72001", *lines, memo="Hi"))


def test_an_invoice_changes_its_tax_rate_and_quickbooks_computes(books: Books) -> None:
    made = done(books.create(Entity.INVOICE, **invoice("72002", line(taxable=True), tax_rate_id="2")))

    changed = done(books.write(Entity.INVOICE, Action.UPDATE, {"tax_rate_id": "3"}, made))

    assert (made.fields["tax"], changed.fields["tax"], changed.fields["tax_rate_id"]) == (1_200, 1_365, "3")


def test_taxable_lines_without_a_rate_fail_because_quickbooks_would_tax_them(books: Books) -> None:
    outcome = books.create(Entity.INVOICE, **invoice("72003", line(taxable=True)))

    assert outcome.status is Status.FAILED
    assert "default rate" in outcome.reason


def test_an_invoice_is_voided_and_read_again(books: Books) -> None:
    made = done(books.create(Entity.INVOICE, **invoice("72004")))

    voided = done(books.write(Entity.INVOICE, Action.VOID, {}, made))

    assert (voided.fields["void"], voided.fields["state"], voided.fields["total"]) == (True, "void", 0)


def test_a_reference_to_nothing_fails_with_words(books: Books) -> None:
    outcome = books.create(Entity.INVOICE, **invoice("72005", line("9999")))

    assert (outcome.status, outcome.code) == (Status.FAILED, "2500")


def test_a_repeated_request_id_writes_once_and_answers_the_same(books: Books) -> None:
    fields = invoice("72006")
    first = done(books.write(Entity.INVOICE, Action.CREATE, fields, request_id="the-same-request"))
    second = done(books.write(Entity.INVOICE, Action.CREATE, fields, request_id="the-same-request"))

    assert (first.id, first.version) == (second.id, second.version)
    assert books.writer.find(Entity.INVOICE, fields) == [first.id]


def test_a_payment_pays_two_invoices_and_keeps_the_rest(books: Books) -> None:
    first = done(books.create(Entity.INVOICE, **invoice("73001")))
    second = done(books.create(Entity.INVOICE, **invoice("73002")))
    fields = payment(30_000, (first, 15_000), (second, 10_000), reference="5664")

    made = done(books.create(Entity.PAYMENT, **fields))

    assert holds(made, {**fields, "unapplied": 5_000, "credit": 0})
    paid = books.writer.fetch(Entity.INVOICE, [str(first.id), str(second.id)]).frame.set_index("id")
    assert paid["state"].to_dict() == {first.id: "paid", second.id: "open"}
    assert books.writer.find(Entity.PAYMENT, fields) == [made.id]
    assert books.writer.find(Entity.PAYMENT, {**fields, "reference": "5665"}) == []

    changes = {"applications": [{"invoice_id": second.id, "amount": 15_000}], "reference": "5665"}
    changed = done(books.write(Entity.PAYMENT, Action.UPDATE, changes, made))
    assert holds(changed, {**fields, **changes, "unapplied": 15_000})

    voided = done(books.write(Entity.PAYMENT, Action.VOID, {}, changed))
    assert (voided.fields["void"], voided.fields["amount"], voided.fields["applications"]) == (True, 0, [])
    assert books.writer.find(Entity.PAYMENT, fields) == []


def test_a_card_without_brand_names_no_brand(books: Books) -> None:
    made = done(books.create(Entity.PAYMENT, **payment(100, method="card")))
    cash = done(books.create(Entity.PAYMENT, **payment(100, method="cash")))

    assert (made.fields["method"], cash.fields["method"]) == (None, "cash")


def test_a_credit_memo_in_a_payment_stays_when_its_invoices_change(books: Books) -> None:
    credit = books.writer.fetch(Entity.PAYMENT, ["74"])
    record = Outcome("", Status.DONE, "74", credit.frame.loc[0, "version"])
    context = {"customer_id": AMY, "amount": 0}

    changed = books.write(
        Entity.PAYMENT, Action.UPDATE, {"applications": [{"invoice_id": "71", "amount": 10_000}]}, record, context
    )

    assert (done(changed).fields["credit"], changed.fields["amount"]) == (10_000, 0)


@pytest.mark.parametrize(
    ("entity", "action", "words"),
    [
        (Entity.CUSTOMER, Action.VOID, "made inactive, not void"),
        (Entity.INVOICE, Action.DEACTIVATE, "cannot be made inactive"),
        (Entity.INVOICE, Action.DELETE, "does not delete"),
        (Entity.TAX_RATE, Action.DEACTIVATE, "cannot be changed"),
    ],
)
def test_what_is_not_done_in_quickbooks_fails_with_words(
    books: Books, entity: Entity, action: Action, words: str
) -> None:
    outcome = books.write(entity, action, {}, Outcome("", Status.DONE, "2", "0"))

    assert outcome.status is Status.FAILED
    assert words in outcome.reason


@pytest.mark.parametrize(("action", "void"), [(Action.CREATE, True), (Action.UPDATE, True), (Action.UPDATE, False)])
def test_void_is_an_action_and_no_field(books: Books, action: Action, void: bool) -> None:
    outcome = books.write(Entity.INVOICE, action, {"void": void}, Outcome("", Status.DONE, "9", "0"))

    assert outcome.status is Status.FAILED
    assert "void it" in outcome.reason


def test_a_record_that_is_gone_fails_with_words(books: Books) -> None:
    outcome = books.write(
        Entity.INVOICE, Action.UPDATE, {"lines": [line()]}, Outcome("", Status.DONE, "999999", "0"), invoice("1")
    )

    assert outcome.status is Status.FAILED
    assert "no longer exists" in outcome.reason


def test_what_changed_is_told_deleted_ones_confirmed_and_a_quiet_time_costs_two_calls(
    books: Books, sandbox: QuickBooksSandbox
) -> None:
    made = done(books.create(Entity.INVOICE, **invoice("74001")))
    deleted = done(books.create(Entity.INVOICE, **invoice("74002")))
    books.by_hand("invoice", {"Id": deleted.id, "SyncToken": deleted.version}, operation="delete")
    since = datetime.now(UTC) - timedelta(seconds=1)

    found = books.writer.changed(list(Entity), since)

    assert {entity: snapshot.scope for entity, snapshot in found.items()} == {
        entity: Scope.CENSUS if entity is Entity.TAX_RATE else Scope.DELTA for entity in Entity
    }
    assert made.id in set(found[Entity.INVOICE].frame["id"])
    assert found[Entity.INVOICE].gone == {deleted.id}
    assert books.writer.fetch(Entity.INVOICE, [str(deleted.id)]).gone == {deleted.id}

    quiet = books_of(sandbox).writer
    quiet.home_currency()
    before = quiet._session.calls
    quiet.changed(list(Entity), datetime.now(UTC) + timedelta(minutes=6))
    assert quiet._session.calls - before == 2


def test_batches_carry_many_invoices_in_one_call_and_each_repeats_alone(sandbox: QuickBooksSandbox) -> None:
    books = books_of(sandbox, batches=True)
    writes = [
        Write(
            f"one-run-of-one-company-{number:010}",
            Entity.INVOICE,
            Action.CREATE,
            None,
            None,
            fields := invoice(f"75{number:03}", line("9999" if number == 3 else DESIGN)),
            fields,
        )
        for number in range(1, 6)
    ]
    books.writer.home_currency()
    before = books.session.calls

    outcomes = books.writer.write(writes)

    assert books.session.calls - before == 1
    assert [outcome.status for outcome in outcomes] == [*[Status.DONE] * 2, Status.FAILED, *[Status.DONE] * 2]
    assert [outcome.request_id for outcome in outcomes] == [write.request_id for write in writes]
    alone = books_of(sandbox).writer.write([writes[4]])
    assert (alone[0].id, alone[0].status) == (outcomes[4].id, Status.DONE)


def test_batches_are_not_made_of_writes_that_could_not_repeat_alone(sandbox: QuickBooksSandbox) -> None:
    books = books_of(sandbox, batches=True)
    first = invoice("76001")
    second = invoice("76002")
    writes = [
        Write("a" * 40, Entity.INVOICE, Action.CREATE, None, None, first, first),
        Write("b" * 40, Entity.INVOICE, Action.CREATE, None, None, second, second),
    ]
    books.writer.home_currency()
    before = books.session.calls

    assert [outcome.status for outcome in books.writer.write(writes)] == [Status.DONE] * 2
    assert books.session.calls - before == 2


def batched(number: int, outcome: Outcome, fields: dict[str, Any]) -> Write:
    context = {**outcome.fields, **fields}
    return Write(f"{'e' * 30}{number:010}", Entity.INVOICE, Action.UPDATE, outcome.id, outcome.version, fields, context)


def costing(cents: int) -> dict[str, Any]:
    return line(quantity=ONE, unit_price=cents * ONE // 100, amount=cents)


def test_invoices_changed_together_are_read_in_one_call_and_written_in_one(books: Books) -> None:
    made = [done(books.create(Entity.INVOICE, **invoice(f"7700{number}"))) for number in range(3)]
    books.writer.home_currency()
    before = books.session.calls

    changed = books.writer.write(
        [batched(number, one, {"lines": [costing(4200 + number)]}) for number, one in enumerate(made)]
    )

    assert [outcome.status for outcome in changed] == [Status.DONE] * 3
    assert [outcome.fields["lines"][0]["amount"] for outcome in changed] == [4200, 4201, 4202]
    assert books.session.calls - before == 2


def test_of_invoices_changed_together_one_that_moved_meanwhile_is_stale(books: Books) -> None:
    made = [done(books.create(Entity.INVOICE, **invoice(f"7710{number}"))) for number in range(2)]
    books.by_hand("invoice", {"Id": made[0].id, "SyncToken": made[0].version, "sparse": True, "PrivateNote": "by hand"})

    changed = books.writer.write([batched(9 - number, one, {"lines": [line()]}) for number, one in enumerate(made)])

    assert [outcome.status for outcome in changed] == [Status.STALE, Status.DONE]


@pytest.mark.parametrize("name", ["O'Brien'; select", r"back\slash", "100 % sure", "ü — “quoted”", "{x} <b>&amp;"])
def test_a_hostile_name_is_found_by_exactly_that_name(books: Books, name: str) -> None:
    made = done(books.create(Entity.CUSTOMER, display_name=name))

    assert list(books.writer.find(Entity.CUSTOMER, {"display_name": name})) == [made.id]
    assert list(books.writer.find(Entity.CUSTOMER, {"display_name": name[:-1]})) == []


def test_amounts_however_written_are_the_same_cents(books: Books) -> None:
    totals = set()
    for number, amount in enumerate(["10.10", "10.1", "1.01e1", '"10.10"']):
        body = (
            f'{{"CustomerRef":{{"value":"{AMY}"}},"DocNumber":"7720{number}","Line":[{{"Amount":{amount},'
            f'"DetailType":"SalesItemLineDetail","SalesItemLineDetail":{{"ItemRef":{{"value":"{DESIGN}"}}}}}}]}}'
        )
        made = books.session.call("POST", books.session.address("invoice"), body=body).required()["Invoice"]
        totals |= set(books.writer.fetch(Entity.INVOICE, [made["Id"]]).frame["total"])
    assert totals == {1010}


def test_packed_answers_say_the_same(sandbox: QuickBooksSandbox, books: Books) -> None:
    plain = books.writer.census(Entity.INVOICE)
    packed = books_of(sandbox)
    connections = Connections(sandbox.base_url)
    connections.headers["Accept-Encoding"] = "gzip"
    packed.session._idle.append(connections)

    found = packed.writer.census(Entity.INVOICE)

    assert packed.session._idle == [connections]
    assert_frame_equal(found.frame, plain.frame)
    assert_frame_equal(found.rows, plain.rows)


def misbehave(sandbox: QuickBooksSandbox, **rule: Any) -> None:
    requests.post(f"{sandbox.base_url}/admin/faults", json=rule, timeout=10).raise_for_status()


def test_of_a_batch_of_thirty_one_is_refused_one_is_not_mentioned_and_the_others_are_done() -> None:
    with running_quickbooks("craigs", admin=True) as sandbox:
        books = books_of(sandbox)
        writes = [
            Write(f"{'f' * 30}{number:010}", Entity.INVOICE, Action.CREATE, None, None, fields, fields)
            for number in range(30)
            if (fields := invoice(f"79{number:03}", line("9999") if number == 4 else line()))
        ]
        expected = [Status.DONE] * 30
        expected[4], expected[17] = Status.FAILED, Status.UNKNOWN
        misbehave(sandbox, action="batch_drop", items=[17], moment="after", resource="batch", times=1)

        first = books.writer.write(writes)

        assert [outcome.status for outcome in first] == expected
        misbehave(sandbox, action="batch_shuffle", moment="after", resource="batch", times=1)
        again = books.writer.write(writes)
        expected[17] = Status.DONE
        assert [outcome.status for outcome in again] == expected
        told_twice = [number for number, outcome in enumerate(first) if outcome.id]
        assert [again[number].id for number in told_twice] == [first[number].id for number in told_twice]
        for write, outcome in zip(writes, again, strict=True):
            found = list(books.writer.find(Entity.INVOICE, write.fields))
            assert found == ([outcome.id] if outcome.id else [])


def test_what_is_made_bears_our_mark_in_its_private_note_and_keeps_it_through_changes_and_voiding(
    books: Books,
) -> None:
    start = datetime.now(UTC)
    made = done(books.create(Entity.INVOICE, **invoice("78801")))
    mark = mark_of(f"test-{next(books.numbers) - 1:05}")
    paid = done(books.create(Entity.PAYMENT, **payment(100, reference="78801")))
    assert str(made.id) in books.writer.marks(Entity.INVOICE, since=start)
    assert books.writer.marks(Entity.INVOICE, ids=[str(made.id)]) == {made.id: mark}
    assert set(books.writer.marks(Entity.PAYMENT, since=start)) >= {paid.id}
    assert books.writer.marks(Entity.CUSTOMER, since=start) == {}
    pulled = [books.writer.census(Entity.PAYMENT), books.writer.fetch(Entity.PAYMENT, [str(paid.id)])]
    pulled.append(books.writer.changed([Entity.PAYMENT], start)[Entity.PAYMENT])
    ours = books.writer.marks(Entity.PAYMENT, ids=[str(paid.id)])
    assert [{one: known for one, known in of.marks.items() if one == paid.id} for of in pulled] == [ours] * 3

    note = f"called on Monday; {tag(mark)} agreed"
    held = books.by_hand(
        "invoice", {"Id": made.id, "SyncToken": made.version, "sparse": True, "PrivateNote": note, "DocNumber": "78802"}
    )
    assert books.writer.find(Entity.INVOICE, invoice("78801")) == []
    assert books.writer.marks(Entity.INVOICE, ids=[str(made.id)]) == {made.id: mark}
    fresh = replace(made, version=held["SyncToken"])
    changed = done(books.write(Entity.INVOICE, Action.UPDATE, {"memo": "Thank you"}, fresh))
    assert books.writer.direct(Entity.INVOICE, str(made.id))["PrivateNote"] == note  # type: ignore[index]

    voided = done(books.write(Entity.INVOICE, Action.VOID, {}, changed))
    assert voided.fields["void"] is True
    assert books.writer.marks(Entity.INVOICE, ids=[str(made.id)]) == {made.id: mark}


def test_a_note_of_somebodys_own_is_no_mark() -> None:
    assert mark_in(tag("0123456789abcdef")) == "0123456789abcdef"
    for note in (None, "", "[reconcile]", "reconcile 0123456789abcdef", "[reconcile 0123456789ABCDEF]", "[sync 1]"):
        assert mark_in(note) is None
    assert mark_in(f"{tag('0' * 16)} copied from {tag('1' * 16)}") is None


def test_the_record_behind_a_lost_answer_is_found_by_its_mark_only_once_searches_show_it() -> None:
    with running_quickbooks("craigs", admin=True) as sandbox:
        books = books_of(sandbox)
        requests.post(f"{sandbox.base_url}/admin/visibility", json={"seconds": 3600}, timeout=10).raise_for_status()
        made = done(books.create(Entity.INVOICE, **invoice("74003")))
        start = datetime.now(UTC)
        assert books.writer.marks(Entity.INVOICE, since=start) == {}
        assert books.writer.find(Entity.INVOICE, invoice("74003")) == []
        requests.post(f"{sandbox.base_url}/admin/clock", json={"shift_seconds": 3700}, timeout=10).raise_for_status()
        assert made.id in books.writer.marks(Entity.INVOICE, since=start)
