"""Payments, credit memos and balances, also under anything that a user may do in any order."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from reconcile.sandbox.quickbooks.company import Options
from reconcile.sandbox.quickbooks.faults import FaultError
from reconcile.sandbox.quickbooks.numbers import parse, render
from reconcile.sandbox.quickbooks.server import Server


def refused(desk: Any, body: Any, resource: str = "payment", **more: Any) -> Any:
    with pytest.raises(FaultError) as caught:
        desk.post(resource, body, **more)
    return caught.value.problems[0]


def test_a_part_payment_is_seen_from_both_sides(desk: Any) -> None:
    invoice = desk.invoice("2", 100)
    payment = desk.payment("2", 60, (40, invoice["Id"]))
    assert (payment["UnappliedAmt"], payment["DepositToAccountRef"]["value"], payment["ProcessPayment"]) == (
        20,
        "4",
        False,
    )
    after = desk.get("invoice", invoice["Id"])
    assert (after["Balance"], after["SyncToken"]) == (60, "1")
    assert after["LinkedTxn"] == [{"TxnId": payment["Id"], "TxnType": "Payment"}]
    assert desk.get("customer", "2")["Balance"] == 85 + 100 - 60


def test_a_job_s_payment_moves_the_balance_with_jobs_of_its_customer(desk: Any) -> None:
    before = desk.get("customer", "7")
    desk.invoice("8", 50)
    after = desk.get("customer", "7")
    assert (after["Balance"], after["BalanceWithJobs"]) == (before["Balance"], before["BalanceWithJobs"] + 50)
    assert after["SyncToken"] == before["SyncToken"]


def test_the_kind_of_a_linked_transaction_is_understood_in_any_case(desk: Any) -> None:
    invoice = desk.invoice("1", 10)
    link = {"TxnId": invoice["Id"], "TxnType": "INVOICE"}
    body = {"CustomerRef": {"value": "1"}, "TotalAmt": 10, "Line": [{"Amount": 10, "LinkedTxn": [link]}]}
    assert desk.post("payment", body)["Line"][0]["LinkedTxn"] == [{**link, "TxnType": "Invoice"}]
    assert desk.get("invoice", invoice["Id"])["Balance"] == 0


def test_more_than_is_open_is_refused(desk: Any) -> None:
    invoice = desk.invoice("2", 100)
    line = {"Amount": 101, "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]}
    body = {"CustomerRef": {"value": "2"}, "TotalAmt": 500, "Line": [line]}
    assert refused(desk, body).code == 6000
    desk.switch("over_application", "drop")
    assert desk.post("payment", body)["Line"] == []


def test_more_than_was_received_is_refused(desk: Any) -> None:
    invoice = desk.invoice("2", 100)
    line = {"Amount": 100, "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]}
    assert refused(desk, {"CustomerRef": {"value": "2"}, "TotalAmt": 99, "Line": [line]}).code == 6000


def test_another_customer_s_invoice_cannot_be_paid_but_the_job_s_can(desk: Any) -> None:
    stranger, job = desk.invoice("2", 10), desk.invoice("8", 10)
    line = {"Amount": 10, "LinkedTxn": [{"TxnId": stranger["Id"], "TxnType": "Invoice"}]}
    assert refused(desk, {"CustomerRef": {"value": "7"}, "TotalAmt": 10, "Line": [line]}).code == 620
    line["LinkedTxn"] = [{"TxnId": job["Id"], "TxnType": "Invoice"}]
    assert refused(desk, {"CustomerRef": {"value": "7"}, "TotalAmt": 10, "Line": [line]}).code == 620
    token = desk.get("customer", "8")["SyncToken"]
    desk.post("customer", {"Id": "8", "SyncToken": token, "sparse": True, "BillWithParent": True})
    assert desk.payment("7", 10, (10, job["Id"]))["UnappliedAmt"] == 0


@pytest.mark.parametrize(
    ("body", "code", "detail"),
    [
        ({"CustomerRef": {"value": "1"}}, 6000, "You must set a transaction amount."),
        ({"TotalAmt": 1}, 2020, "Required parameter CustomerRef is missing in the request"),
        (
            {"CustomerRef": {"value": "1"}, "TotalAmt": -1},
            6000,
            "You must specify a transaction amount that is 0 or greater.",
        ),
        (
            {"CustomerRef": {"value": "1"}, "TotalAmt": 1, "PaymentRefNum": "x" * 22},
            2050,
            "String length specified does not match the supported length. Min:0 Max:21 supported. Supplied length:22",
        ),
    ],
)
def test_what_a_payment_needs(desk: Any, body: Any, code: int, detail: str) -> None:
    problem = refused(desk, body)
    assert (problem.code, problem.detail.removeprefix("Business Validation Error: ")) == (code, detail)


def test_lines_of_an_update_are_all_or_nothing(desk: Any) -> None:
    first, second = desk.invoice("2", 50), desk.invoice("2", 50)
    payment = desk.payment("2", 100, (50, first["Id"]), (50, second["Id"]))
    line = {"Amount": 50, "LinkedTxn": [{"TxnId": second["Id"], "TxnType": "Invoice"}]}
    change = {"Id": payment["Id"], "SyncToken": "0", "sparse": True}
    changed = desk.post("payment", {**change, "Line": [line]})
    assert (changed["UnappliedAmt"], desk.get("invoice", first["Id"])["Balance"]) == (50, 50)
    kept = desk.post("payment", {**change, "SyncToken": "1", "PrivateNote": "counted twice"})
    assert len(kept["Line"]) == 1
    full = {"Id": payment["Id"], "SyncToken": "2", "CustomerRef": {"value": "2"}, "TotalAmt": 100}
    assert desk.post("payment", full)["UnappliedAmt"] == 100


def test_a_credit_memo_settles_an_invoice_through_a_payment_of_nothing(desk: Any, sell: Any) -> None:
    memo = desk.post("creditmemo", {"CustomerRef": {"value": "2"}, "Line": [sell("6", 30)]})
    assert (memo["RemainingCredit"], desk.get("customer", "2")["Balance"]) == (30, 55)
    invoice = desk.invoice("2", 100)
    lines = [
        {"Amount": 30, "LinkedTxn": [{"TxnId": target["Id"], "TxnType": kind}]}
        for target, kind in ((invoice, "Invoice"), (memo, "CreditMemo"))
    ]
    payment = desk.post("payment", {"CustomerRef": {"value": "2"}, "TotalAmt": 0, "Line": lines})
    assert payment["UnappliedAmt"] == 0
    assert desk.get("invoice", invoice["Id"])["Balance"] == 70
    assert desk.get("creditmemo", memo["Id"])["RemainingCredit"] == 0
    assert desk.get("customer", "2")["Balance"] == 155


@pytest.mark.parametrize("operation", ["void", "delete"])
def test_a_removed_payment_opens_the_invoice_again(desk: Any, operation: str) -> None:
    invoice = desk.invoice("2", 100)
    payment = desk.payment("2", 100, (100, invoice["Id"]), PrivateNote="cash")
    desk.post("payment", {"Id": payment["Id"], "SyncToken": "0"}, operation=operation)
    after = desk.get("invoice", invoice["Id"])
    assert (after["Balance"], after["LinkedTxn"]) == (100, [])
    if operation == "void":
        voided = desk.get("payment", payment["Id"])
        assert (voided["TotalAmt"], voided["UnappliedAmt"], voided["Line"]) == (0, 0, [])
        assert voided["PrivateNote"] == "Voided - cash"


@pytest.mark.parametrize("operation", ["void", "delete"])
def test_a_removed_invoice_leaves_its_payment_unapplied(desk: Any, operation: str) -> None:
    invoice = desk.invoice("2", 100)
    payment = desk.payment("2", 100, (100, invoice["Id"]))
    body = {"Id": invoice["Id"], "SyncToken": "1"}
    desk.switch("remove_paid_invoice", "fault")
    assert refused(desk, body, "invoice", operation=operation).code == 6000
    desk.switch("remove_paid_invoice", "unlink")
    desk.post("invoice", body, operation=operation)
    assert desk.get("payment", payment["Id"])["UnappliedAmt"] == 100


def test_an_invoice_does_not_sink_below_what_was_paid(desk: Any, sell: Any) -> None:
    invoice = desk.invoice("2", 100)
    payment = desk.payment("2", 80, (80, invoice["Id"]))
    change = {"Id": invoice["Id"], "SyncToken": "1", "sparse": True, "Line": [sell("6", 50)]}
    assert refused(desk, change, "invoice").code == 6000
    desk.switch("invoice_below_applied", "unapply")
    assert desk.post("invoice", change)["Balance"] == 0
    assert desk.get("payment", payment["Id"])["UnappliedAmt"] == 30


def test_what_was_open_before_a_payment_is_told_anew_when_another_goes(desk: Any) -> None:
    invoice = desk.invoice("2", 100)
    first = desk.payment("2", 40, (40, invoice["Id"]))
    second = desk.payment("2", 60, (60, invoice["Id"]))
    assert '"txnOpenBalance","Value":"60.00"' in render(second).decode()
    desk.post("payment", {"Id": first["Id"], "SyncToken": "0"}, operation="delete")
    assert '"txnOpenBalance","Value":"100.00"' in render(desk.get("payment", second["Id"])).decode()


def test_a_deposited_payment_is_locked_until_the_deposit_goes(desk: Any) -> None:
    payment = desk.payment("2", 10)
    linked = {"Amount": 10, "LinkedTxn": [{"TxnId": payment["Id"], "TxnType": "Payment", "TxnLineId": "0"}]}
    deposit = desk.post("deposit", {"DepositToAccountRef": {"value": "35"}, "Line": [linked]})
    assert deposit["TotalAmt"] == 10
    link = {"TxnId": deposit["Id"], "TxnType": "Deposit"}
    assert desk.get("payment", payment["Id"]) == {**payment, "LinkedTxn": [link]}
    body = {"Id": payment["Id"], "SyncToken": "0"}
    problem = refused(desk, {**body, "sparse": True, "PrivateNote": "x"})
    assert (problem.code, problem.message) == (6540, "Deposited Transaction cannot be changed")
    assert problem.detail.startswith("This transaction has been deposited. If you want to change or delete it")
    assert refused(desk, body, operation="delete").code == 6540
    desk.post("deposit", {"Id": deposit["Id"], "SyncToken": "0"}, operation="delete")
    assert desk.get("payment", payment["Id"]) == payment
    assert desk.post("payment", {**payment, "LinkedTxn": [link]})["LinkedTxn"] == []
    body["SyncToken"] = "1"
    assert desk.post("payment", body, operation="delete")["status"] == "Deleted"


class Bookkeeper(RuleBasedStateMachine):
    """Makes, pays, credits, voids and deletes at random; what QuickBooks refuses is refused and changes nothing."""

    @initialize()
    def open_company(self) -> None:
        server = Server(client_id="app", client_secret="secret")
        server.add_company("1", "empty")
        self.company = server.companies["1"]
        self.write("item", {"Name": "Work", "IncomeAccountRef": {"value": "1"}})
        parent = self.write("customer", {"DisplayName": "A"})["Id"]
        job = self.write("customer", {"DisplayName": "B", "Job": True, "ParentRef": {"value": parent}})["Id"]
        self.customers = [parent, job, self.write("customer", {"DisplayName": "C"})["Id"]]

    def write(self, resource: str, body: Any, operation: str = "") -> Any:
        answer = parse(self.company.write(resource, render(body), Options(operation)))
        return next(value for name, value in answer.items() if name != "time")

    def attempt(self, resource: str, body: Any, operation: str = "") -> None:
        codes = set()
        try:
            self.write(resource, body, operation)
        except FaultError as fault:
            codes = {problem.code for problem in fault.problems}
        assert codes <= {6000, 620}

    def pick(self, kind: str, place: int) -> Any:
        rows = [record.body() for record in self.company.state.store.all(kind)]
        return rows[place % len(rows)] if rows else None

    @rule(customer=st.integers(0, 2), cents=st.integers(1, 5_000), kind=st.sampled_from(["invoice", "creditmemo"]))
    def bill(self, customer: int, cents: int, kind: str) -> None:
        line = {"Amount": Decimal(cents) / 100, "DetailType": "SalesItemLineDetail"}
        line["SalesItemLineDetail"] = {"ItemRef": {"value": "1"}}
        self.attempt(kind, {"CustomerRef": {"value": self.customers[customer]}, "Line": [line]})

    @rule(
        place=st.integers(0, 50), other=st.integers(0, 50), cents=st.integers(0, 6_000), applied=st.integers(1, 6_000)
    )
    def pay(self, place: int, other: int, cents: int, applied: int) -> None:
        invoice, memo = self.pick("Invoice", place), self.pick("CreditMemo", other)
        if invoice is None:
            return
        links = [(Decimal(applied) / 100, invoice["Id"], "Invoice")]
        if memo is not None and other % 3 == 0:
            links.append((Decimal(applied) / 100, memo["Id"], "CreditMemo"))
        lines = [{"Amount": amount, "LinkedTxn": [{"TxnId": one, "TxnType": kind}]} for amount, one, kind in links]
        self.attempt(
            "payment", {"CustomerRef": invoice["CustomerRef"], "TotalAmt": Decimal(cents) / 100, "Line": lines}
        )

    @rule(place=st.integers(0, 50), cents=st.integers(1, 5_000))
    def change_invoice(self, place: int, cents: int) -> None:
        invoice = self.pick("Invoice", place)
        if invoice is not None:
            line = {"Amount": Decimal(cents) / 100, "DetailType": "SalesItemLineDetail"}
            line["SalesItemLineDetail"] = {"ItemRef": {"value": "1"}}
            request = {"Id": invoice["Id"], "SyncToken": invoice["SyncToken"], "sparse": True, "Line": [line]}
            self.attempt("invoice", request)

    @rule(
        kind=st.sampled_from(["Invoice", "Payment", "CreditMemo"]),
        place=st.integers(0, 50),
        operation=st.sampled_from(["void", "delete"]),
    )
    def remove(self, kind: str, place: int, operation: str) -> None:
        held = self.pick(kind, place)
        if held is not None and (kind, operation) != ("CreditMemo", "void"):
            self.attempt(kind, {"Id": held["Id"], "SyncToken": held["SyncToken"]}, operation)

    @rule(place=st.integers(0, 50), cents=st.integers(0, 6_000))
    def unlink_payment(self, place: int, cents: int) -> None:
        held = self.pick("Payment", place)
        if held is not None:
            change = {"Id": held["Id"], "SyncToken": held["SyncToken"], "sparse": True}
            self.attempt("payment", {**change, "Line": [], "TotalAmt": Decimal(cents) / 100})

    @invariant()
    def every_balance_is_total_minus_applied(self) -> None:
        if not hasattr(self, "company"):
            return
        store = self.company.state.store
        forms = {kind: {one.id: one.body() for one in store.all(kind)} for kind in ("Invoice", "Payment", "CreditMemo")}
        applied: dict[tuple[str, str], Decimal] = {}
        links: dict[tuple[str, str], list[str]] = {}
        owed = dict.fromkeys(self.customers, Decimal(0))
        for payment in forms["Payment"].values():
            rest = Decimal(payment["TotalAmt"])
            for line in payment["Line"]:
                key = (line["LinkedTxn"][0]["TxnType"], line["LinkedTxn"][0]["TxnId"])
                applied[key] = applied.get(key, Decimal(0)) + Decimal(line["Amount"])
                links.setdefault(key, []).append(payment["Id"])
                rest += Decimal(line["Amount"]) * (1 if key[0] == "CreditMemo" else -1)
            assert Decimal(payment["UnappliedAmt"]) == rest >= 0
            owed[payment["CustomerRef"]["value"]] -= rest
        for kind, sign in (("Invoice", 1), ("CreditMemo", -1)):
            for form in forms[kind].values():
                rest = Decimal(form["TotalAmt"]) - applied.pop((kind, form["Id"]), Decimal(0))
                assert Decimal(form["Balance"]) == rest >= 0
                assert sorted(link["TxnId"] for link in form.get("LinkedTxn", ())) == sorted(
                    set(links.get((kind, form["Id"]), []))
                )
                owed[form["CustomerRef"]["value"]] += sign * rest
        assert not applied
        customers = {one.id: one.body() for one in store.all("Customer")}
        assert {key: Decimal(customers[key]["Balance"]) for key in self.customers} == owed
        with_jobs = owed[self.customers[0]] + owed[self.customers[1]]
        assert Decimal(customers[self.customers[0]]["BalanceWithJobs"]) == with_jobs


TestBookkeeper = Bookkeeper.TestCase
TestBookkeeper.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
