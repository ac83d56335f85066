"""Reading ReliaBills: everything, what changed, single records; and what is malformed, each with its finding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, text

from reconcile.errors import ConfigurationError, IncompletePullError, RefusedError, UnreachableError
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Severity
from reconcile.model.snapshot import Scope, record_dtypes, row_dtypes
from reconcile.sandbox.billing import day
from reconcile.sandbox.billing.database import create_database, open_existing
from reconcile.sides.billing import BillingReader, BillingWriter
from reconcile.sides.side import CompanyIdentity, Readable, Writable

TODAY = date(2026, 3, 10)
Remember = Callable[[Any], Any]


def _sql(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


@pytest.fixture
def tampered(craigs_url: str) -> Iterator[tuple[Engine, BillingReader]]:
    """A SQLite file anything can be written into, and its reader."""
    engine = create_engine(craigs_url)
    reader = BillingReader(craigs_url, "craigs")
    yield engine, reader
    reader.close()
    engine.dispose()


def test_it_is_a_side(url: str, opened: Remember) -> None:
    reader: Readable = opened(BillingReader(url, "craigs"))
    writer: Writable = opened(BillingWriter(url, "craigs"))
    assert reader.side is writer.side is Side.BILLING
    assert reader.identity() == CompanyIdentity("craigs", "Craig's", "USD")
    assert not hasattr(reader, "write")


@pytest.mark.parametrize("entity", list(Entity))
def test_a_census_has_every_record_with_exact_types(billing: BillingReader, entity: Entity) -> None:
    told: list[tuple[int, int | None]] = []
    snapshot = billing.census(entity, lambda done, expected: told.append((done, expected)))
    expected = {"customer": 19, "product": 18, "tax_rate": 3, "invoice": 23, "payment": 12}[entity]
    assert (len(snapshot), snapshot.counted, snapshot.scope) == (expected, expected, Scope.CENSUS)
    assert told[0] == (0, expected)
    assert told[-1] == (expected, expected)
    assert {name: str(dtype) for name, dtype in snapshot.frame.dtypes.items()} == record_dtypes(entity)
    assert {name: str(dtype) for name, dtype in snapshot.rows.dtypes.items()} == row_dtypes(entity)
    assert snapshot.findings == ()
    assert snapshot.as_of <= datetime.now(UTC)


def test_an_empty_company_is_read_as_such(empty_url: str, opened: Remember) -> None:
    create_database(empty_url).dispose()
    reader = opened(BillingReader(empty_url, "new"))
    for entity in Entity:
        snapshot = reader.census(entity)
        assert (len(snapshot), len(snapshot.rows), snapshot.counted) == (0, 0, 0)
        assert {name: str(dtype) for name, dtype in snapshot.frame.dtypes.items()} == record_dtypes(entity)


def test_fields_are_the_facts_that_people_see(billing: BillingReader) -> None:
    invoices = billing.census(Entity.INVOICE)
    one = invoices.frame.set_index("number").loc["100"]
    assert (one["total"], one["balance"], one["discount_percent"], one["currency"]) == (53730, 28730, 10**8, "USD")
    assert one["origin"] == "manual"
    lines = invoices.rows[invoices.rows["parent_id"] == one["id"]]
    assert lines["position"].tolist() == [1, 2]
    assert lines["amount"].tolist() == [27500, 30000]
    customers = billing.census(Entity.CUSTOMER).frame.set_index("display_name")
    assert customers.loc["Jeff's Jalopies", "auto_pay"]
    assert not customers.loc["Cool Cars", "auto_pay"]
    assert customers["phone"].isna()["Gevelber Photography"]
    payments = billing.census(Entity.PAYMENT).frame
    credit = payments[payments["credit"] > 0].iloc[0]
    assert (credit["amount"], credit["credit"], credit["method"], credit["unapplied"]) == (0, 10000, "credit", 0)
    assert payments["processed"].sum() == 1


def test_an_invoice_number_stays_the_text_that_it_is(billing: BillingReader, engine: Engine) -> None:
    numbers = ["00123", "0", "123", "99999999999999999999"]
    for number in numbers:
        day.new_invoice(engine, "Amy's Bird Sanctuary", [("Pest Control", "1", "35")], on=TODAY, number=number)
    read = billing.census(Entity.INVOICE).frame["number"].tolist()
    assert [number for number in read if number in numbers] == numbers


def test_a_customer_without_account_name_goes_by_both_names(billing: BillingReader, engine: Engine) -> None:
    day.new_customer(engine, first_name="Accounts Payable", last_name="Nursery", email="n@intuit.com")
    assert "Accounts Payable Nursery" in set(billing.census(Entity.CUSTOMER).frame["display_name"])


def test_no_discount_and_no_taxed_line_are_missing_values(billing: BillingReader, engine: Engine) -> None:
    number = "UPDATE invoices SET {} WHERE number = '1016'"
    _sql(engine, number.format("discount_percent = 0, discount_taxable = 0, discount_nontaxable = 0"))
    _sql(engine, number.format("tax_rate_id = (SELECT min(id) FROM tax_rates)"))
    frame = billing.census(Entity.INVOICE).frame.set_index("number")
    columns = ["tax_rate_id", "discount_percent", "discount_taxable", "discount_nontaxable"]
    assert frame.loc["1016", columns].isna().all()
    assert frame.loc["1001", "tax_rate_id"] == "1"


def test_what_changes_after_a_moment_is_in_the_delta_and_nothing_else(billing: BillingReader, engine: Engine) -> None:
    since = billing.census(Entity.INVOICE).as_of
    quiet = billing.changed(list(Entity), since)
    assert {entity: len(snapshot) for entity, snapshot in quiet.items()} == dict.fromkeys(Entity, 0)
    day.edit_in_portal(engine, "Cool Cars", phone="1")
    day.take_payment(engine, {"1007": "1"}, on=TODAY)
    delta = billing.changed(list(Entity), since)
    assert delta[Entity.CUSTOMER].frame["phone"].tolist() == ["1"]
    assert delta[Entity.INVOICE].frame["number"].tolist() == ["1007"]
    assert len(delta[Entity.INVOICE].rows) == 1
    assert delta[Entity.PAYMENT].rows["amount"].tolist() == [100]
    assert {snapshot.scope for snapshot in delta.values()} == {Scope.DELTA}


def test_a_deleted_record_is_gone_by_its_marker_and_by_direct_read(billing: BillingReader, engine: Engine) -> None:
    product = billing.census(Entity.PRODUCT).frame.set_index("name").loc["Mulching", "id"]
    since = datetime.now(UTC)
    _sql(
        engine,
        f"UPDATE invoice_lines SET product_id = NULL WHERE product_id = {product}",
        f"DELETE FROM products WHERE id = {product}",
    )
    assert billing.changed([Entity.PRODUCT], since)[Entity.PRODUCT].gone == {product}
    later = billing.changed([Entity.PRODUCT], datetime.now(UTC) + timedelta(seconds=1))
    assert later[Entity.PRODUCT].gone == frozenset()
    fetched = billing.fetch(Entity.PRODUCT, [product, "1", "nonsense", "0", "99999999999999999999"])
    assert fetched.frame["id"].tolist() == ["1"]
    assert fetched.gone == {product, "nonsense", "0", "99999999999999999999"}
    assert fetched.scope is Scope.SELECTED


def test_fetching_nothing_reads_nothing(billing: BillingReader) -> None:
    assert len(billing.fetch(Entity.INVOICE, [])) == 0


def test_many_ids_are_fetched_in_several_queries(billing: BillingReader) -> None:
    ids = [str(number) for number in range(1, 1201)]
    snapshot = billing.fetch(Entity.INVOICE, ids)
    assert len(snapshot) == 23
    assert len(snapshot.gone) == 1200 - 23
    assert len(snapshot.rows) == len(billing.census(Entity.INVOICE).rows)


class _WithoutMoment(BillingReader):
    """A reader whose transaction does not hold one moment fast."""

    @contextmanager
    def _moment(self) -> Iterator[Connection]:
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield connection


def test_a_count_that_does_not_hold_makes_no_snapshot(craigs_postgres_url: str, opened: Remember) -> None:
    engine = opened(open_existing(craigs_postgres_url))

    def someone_deletes(done: int, expected: int | None) -> None:
        if done == 0:
            _sql(engine, "DELETE FROM products WHERE name = 'Irrigation Check'")

    _sql(engine, "UPDATE invoice_lines SET product_id = NULL")
    with pytest.raises(IncompletePullError, match="18 products of craigs, but 17"):
        opened(_WithoutMoment(craigs_postgres_url, "craigs")).census(Entity.PRODUCT, someone_deletes)


def test_a_change_during_the_pull_is_not_seen(fresh_postgres_url: str, opened: Remember) -> None:
    engine = opened(create_database(fresh_postgres_url))
    day.new_product(engine, "Mulching", "45")

    def someone_adds(done: int, expected: int | None) -> None:
        if done == 0:
            day.new_product(engine, "Pruning", "40")

    assert len(opened(BillingReader(fresh_postgres_url, "craigs")).census(Entity.PRODUCT, someone_adds)) == 1


MALFORMED = [
    (Entity.INVOICE, "UPDATE invoices SET total = 'ten' WHERE id = 3", "value_readable", "'ten' as total"),
    (Entity.INVOICE, "UPDATE invoices SET balance = 1.5 WHERE id = 3", "value_readable", "1.5 as balance"),
    (Entity.INVOICE, "UPDATE invoices SET number = '' WHERE id = 3", "value_present", "no invoice number"),
    (Entity.INVOICE, "UPDATE invoice_lines SET amount = 'x' WHERE invoice_id = 3", "value_readable", "'x' as amount"),
    (Entity.INVOICE, "UPDATE invoice_lines SET taxable = 2 WHERE invoice_id = 3", "value_readable", "2 as taxable"),
    (Entity.CUSTOMER, "UPDATE customers SET active = 'yes' WHERE id = 3", "value_readable", "'yes' as active"),
    (Entity.CUSTOMER, "UPDATE customers SET phone = x'ff00' WHERE id = 3", "value_readable", "as phone"),
    (Entity.TAX_RATE, "UPDATE tax_rates SET percent = '8 %' WHERE id = 3", "value_readable", "'8 %' as percent"),
    (Entity.PRODUCT, "UPDATE products SET name = '' WHERE id = 3", "value_present", "no name"),
    (Entity.PAYMENT, "UPDATE payments SET payment_date = '' WHERE id = 3", "value_present", "no payment date"),
]


@pytest.mark.parametrize(("entity", "damage", "check", "said"), MALFORMED)
def test_a_record_that_cannot_be_used_is_set_aside_and_no_other_suffers(
    tampered: tuple[Engine, BillingReader], entity: Entity, damage: str, check: str, said: str
) -> None:
    engine, reader = tampered
    before = reader.census(entity)
    _sql(engine, "DROP TRIGGER number_is_permanent", damage)
    after = reader.census(entity)
    assert after.unreadable == {"3"}
    assert set(after.frame["id"]) == set(before.frame["id"]) - {"3"}
    assert "3" not in set(after.rows.get("parent_id", []))
    assert {(finding.check, finding.severity, finding.record_id) for finding in after.findings} == {
        (check, Severity.HOLD, "3")
    }
    assert said in after.findings[0].sentence
    assert after.findings[0].remedy


REMARKABLE = [
    (Entity.INVOICE, "UPDATE invoices SET invoice_date = '0000-00-00' WHERE id = 3", "date_possible", Severity.HOLD),
    (Entity.INVOICE, "UPDATE invoices SET due_date = '2026-02-30' WHERE id = 3", "date_possible", Severity.HOLD),
    (Entity.INVOICE, "UPDATE invoices SET due_date = '20260201' WHERE id = 3", "date_possible", Severity.HOLD),
    (Entity.INVOICE, "UPDATE invoices SET memo = '<script>x</script>' WHERE id = 3", "text_markup", Severity.NOTE),
    (Entity.INVOICE, "UPDATE invoices SET memo = cast(x'41ff' as text) WHERE id = 3", "text_encoding", Severity.HOLD),
    (Entity.INVOICE, "UPDATE invoices SET memo = 'a' || char(7) WHERE id = 3", "text_control", Severity.HOLD),
    (
        Entity.CUSTOMER,
        "UPDATE customers SET last_name = printf('%.500c', 'x') WHERE id = 3",
        "text_length",
        Severity.HOLD,
    ),
    (Entity.CUSTOMER, "UPDATE customers SET email = '' WHERE id = 3", "customer_required", Severity.NOTE),
]


@pytest.mark.parametrize(("entity", "damage", "check", "severity"), REMARKABLE)
def test_a_remarkable_value_stays_visible_with_its_finding(
    tampered: tuple[Engine, BillingReader], entity: Entity, damage: str, check: str, severity: Severity
) -> None:
    engine, reader = tampered
    before = reader.census(entity)
    _sql(engine, damage)
    after = reader.census(entity)
    assert after.frame["id"].tolist() == before.frame["id"].tolist()
    assert [(finding.check, finding.severity, finding.record_id) for finding in after.findings] == [
        (check, severity, "3")
    ]
    assert len(after.findings[0].sentence) < 300


def test_a_finding_names_customer_and_amount(tampered: tuple[Engine, BillingReader]) -> None:
    engine, reader = tampered
    _sql(engine, "UPDATE invoices SET due_date = '0000-00-00' WHERE number = '1007'")
    finding = reader.census(Entity.INVOICE).findings[0]
    assert (finding.label, finding.customer, finding.amount, finding.currency) == ("1007", "John Melton", 75000, "USD")


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no ReliaBills database at"):
        BillingReader(f"sqlite:///{tmp_path / 'none.db'}", "craigs").identity()
    with pytest.raises(ConfigurationError, match="no ReliaBills database at"):
        BillingWriter(f"sqlite:///{tmp_path / 'none.db'}", "craigs").census(Entity.INVOICE)
    assert not list(tmp_path.iterdir())


def test_a_file_of_something_else_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("notes " * 1000)
    with pytest.raises(ConfigurationError, match="not a readable database"):
        BillingReader(f"sqlite:///{tmp_path / 'notes.db'}", "craigs").identity()
    (tmp_path / "empty.db").touch()
    with pytest.raises(ConfigurationError, match="no such table: settings"):
        BillingReader(f"sqlite:///{tmp_path / 'empty.db'}", "craigs").identity()


def test_a_path_with_signs_of_its_own_is_opened(tmp_path: Path) -> None:
    engine = create_database(str(tmp_path / "50% of a #1?.db"))
    address = engine.url.render_as_string()
    assert BillingReader(address, "x").identity().currency == "USD"
    assert [path.name for path in tmp_path.iterdir()] == ["50% of a #1?.db"]


def test_a_company_without_settings_is_refused(billing: BillingReader, engine: Engine) -> None:
    _sql(engine, "DELETE FROM settings")
    with pytest.raises(ConfigurationError, match="no settings row"):
        billing.identity()


@pytest.mark.parametrize(
    "address", ["", "nonsense", "mysql://u:hunter2@host/db", "sqlite://", "sqlite:///:memory:", "oracle+x://h/d"]
)
def test_a_wrong_address_is_told_in_a_sentence_without_the_password(address: str) -> None:
    with pytest.raises(ConfigurationError, match="Give sqlite:///FILE or postgresql") as told:
        BillingReader(address, "craigs")
    assert "hunter2" not in str(told.value)


def test_a_server_that_does_not_answer_is_unreachable() -> None:
    reader = BillingReader("postgresql://clerk:hunter2@127.0.0.1:1/billing", "craigs")
    with pytest.raises(UnreachableError, match=r"database billing at 127\.0\.0\.1:1 does not answer") as told:
        reader.census(Entity.INVOICE)
    assert "hunter2" not in f"{told.value} {told.value.__cause__} {reader!r}"


def test_a_server_says_which_database_user_or_table_is_wrong(fresh_postgres_url: str, opened: Remember) -> None:
    with pytest.raises(ConfigurationError, match="tables customers"):
        opened(BillingReader(fresh_postgres_url, "craigs")).identity()
    name = fresh_postgres_url.split("?", maxsplit=1)[0].rsplit("/", 1)[1]
    with pytest.raises(ConfigurationError, match="knows no ReliaBills database elsewhere"):
        BillingReader(fresh_postgres_url.replace(f"/{name}?", "/elsewhere?"), "craigs").identity()
    with pytest.raises(RefusedError, match="refused user and password"):
        BillingReader(fresh_postgres_url.replace("//postgres:", "//stranger:hunter2"), "craigs").identity()


def test_a_user_without_permission_is_refused(fresh_postgres_url: str, opened: Remember) -> None:
    engine = opened(create_database(fresh_postgres_url))
    _sql(engine, "DROP ROLE IF EXISTS clerk", "CREATE ROLE clerk LOGIN")
    reader = BillingReader(fresh_postgres_url.replace("//postgres:", "//clerk:"), "craigs")
    with pytest.raises(RefusedError, match="permission"):
        reader.identity()
    reader.close()
    _sql(engine, "DROP ROLE clerk")


def test_a_reader_cannot_write(url: str, opened: Remember) -> None:
    reader = opened(BillingReader(url, "craigs"))
    with reader._engine.connect() as connection, pytest.raises(Exception, match=r"read-?only"):
        connection.execute(text("UPDATE products SET name = 'x'"))


def test_a_refund_is_told_because_quickbooks_is_not(billing: BillingReader, engine: Engine) -> None:
    assert not [finding for finding in billing.census(Entity.PAYMENT).findings if finding.check == "refund"]
    day.refund(engine, "1001", "20", on=date(2026, 11, 22), reopen=True)
    (found,) = [finding for finding in billing.census(Entity.PAYMENT).findings if finding.check == "refund"]
    assert "20.00 of it on 2026-11-22, for invoice 1001, which was opened again" in found.sentence
    assert (found.severity, found.amount) == (Severity.NOTE, 2000)
