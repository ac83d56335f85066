"""python-quickbooks, unmodified, against the real process."""

from typing import Any

import pytest
from quickbooks import QuickBooks
from quickbooks.batch import batch_create, batch_delete, batch_update
from quickbooks.cdc import change_data_capture
from quickbooks.exceptions import (
    AuthorizationException,
    ObjectNotFoundException,
    QuickbooksException,
    UnsupportedException,
    ValidationException,
)
from quickbooks.objects.account import Account
from quickbooks.objects.attachable import Attachable
from quickbooks.objects.base import PhoneNumber
from quickbooks.objects.bill import Bill
from quickbooks.objects.billpayment import BillPayment, BillPaymentLine, CheckPayment
from quickbooks.objects.company_info import CompanyInfo
from quickbooks.objects.companycurrency import CompanyCurrency
from quickbooks.objects.creditmemo import CreditMemo
from quickbooks.objects.customer import Customer
from quickbooks.objects.department import Department
from quickbooks.objects.deposit import Deposit, DepositLine, DepositLineDetail
from quickbooks.objects.detailline import (
    AccountBasedExpenseLine,
    AccountBasedExpenseLineDetail,
    DiscountLine,
    DiscountLineDetail,
    ItemBasedExpenseLine,
    ItemBasedExpenseLineDetail,
    SalesItemLine,
    SalesItemLineDetail,
)
from quickbooks.objects.employee import Employee
from quickbooks.objects.estimate import Estimate
from quickbooks.objects.exchangerate import ExchangeRate
from quickbooks.objects.invoice import Invoice
from quickbooks.objects.item import Item
from quickbooks.objects.payment import Payment, PaymentLine
from quickbooks.objects.paymentmethod import PaymentMethod
from quickbooks.objects.preferences import Preferences
from quickbooks.objects.purchase import Purchase
from quickbooks.objects.refundreceipt import RefundReceipt
from quickbooks.objects.salesreceipt import SalesReceipt
from quickbooks.objects.taxagency import TaxAgency
from quickbooks.objects.taxcode import TaxCode
from quickbooks.objects.taxrate import TaxRate
from quickbooks.objects.taxservice import TaxRateDetails, TaxService
from quickbooks.objects.term import Term
from quickbooks.objects.trackingclass import Class
from quickbooks.objects.vendor import Vendor

from reconcile.sandbox.quickbooks.entities import RESOURCES, SHAPES

LISTED = (
    Account, CompanyInfo, CreditMemo, Customer, Employee, Estimate, Invoice, Item, Payment, PaymentMethod,
    RefundReceipt, SalesReceipt, TaxAgency, TaxCode, TaxRate, Term, Vendor,
)  # fmt: skip


def customer_named(name: str) -> Any:
    customer = Customer()
    customer.DisplayName = name
    return customer


def invoice_of(customer: Any, client: QuickBooks, amount: object = 100) -> Any:
    line = SalesItemLine()
    line.LineNum = 1
    line.Description = "description"
    line.Amount = amount
    line.SalesItemLineDetail = SalesItemLineDetail()
    line.SalesItemLineDetail.ItemRef = Item.get(6, qb=client).to_ref()
    invoice = Invoice()
    invoice.Line.append(line)
    invoice.CustomerRef = customer.to_ref()
    return invoice


def payment_of(invoice: Any, amount: object) -> Any:
    line = PaymentLine()
    line.Amount = amount
    line.LinkedTxn.append(invoice.to_linked_txn())
    payment = Payment()
    payment.CustomerRef = invoice.CustomerRef
    payment.TotalAmt = amount
    payment.Line.append(line)
    return payment


def test_every_property_that_the_library_sends_is_known() -> None:
    classes = (*LISTED, Preferences)
    for one in classes:
        sent = {name for name in vars(one()) if not name.startswith("_")} | set(one.class_dict)
        assert sent <= set(RESOURCES[one.qbo_object_name].properties), one.qbo_object_name
    for detail in (SalesItemLineDetail, DiscountLineDetail):
        assert set(vars(detail())) <= set(SHAPES[detail.__name__])


@pytest.mark.parametrize("kind", LISTED)
def test_every_kind_can_be_listed_and_read_again(client: QuickBooks, kind: Any) -> None:
    listed = kind.all(qb=client)
    assert listed
    assert kind.get(listed[-1].Id, qb=client).Id == listed[-1].Id


def test_preferences_are_read_without_an_id(client: QuickBooks) -> None:
    assert Preferences.get(qb=client).TaxPrefs.UsingSalesTax is True


def test_a_customer_lives(client: QuickBooks) -> None:
    customer = customer_named("Łukasz O'Hara & Søn")
    customer.PrimaryPhone = PhoneNumber()
    customer.PrimaryPhone.FreeFormNumber = "555-555-5555"
    saved = customer.save(qb=client)
    assert (saved.SyncToken, saved.Taxable, saved.Active) == ("0", True, True)
    saved.CompanyName = "New name"
    changed = saved.save(qb=client)
    assert (changed.SyncToken, changed.CompanyName) == ("1", "New name")
    assert changed.PrimaryPhone.FreeFormNumber == "555-555-5555"
    assert Customer.filter(DisplayName="Łukasz O'Hara & Søn", qb=client)[0].Id == saved.Id
    assert Customer.filter(Active=True, CompanyName="New name", qb=client)[0].Id == saved.Id
    assert [one.Id for one in Customer.choose(["1", "2"], qb=client)] == ["1", "2"]
    assert Customer.count("DisplayName LIKE '%O\\'Hara%'", qb=client) == 1


def test_an_invoice_is_made_paid_and_voided(client: QuickBooks) -> None:
    customer = customer_named("Invoice customer").save(qb=client)
    invoice = invoice_of(customer, client).save(qb=client)
    assert (invoice.TotalAmt, invoice.Balance, invoice.SyncToken) == (100, 100, "0")
    assert invoice.Line[-1].DetailType == "SubTotalLineDetail"
    payment = payment_of(invoice, 40).save(qb=client)
    assert payment.UnappliedAmt == 0
    paid = Invoice.get(invoice.Id, qb=client)
    assert (paid.Balance, paid.LinkedTxn[0].TxnId) == (60, payment.Id)
    paid.void(qb=client)
    voided = Invoice.get(invoice.Id, qb=client)
    assert (voided.Balance, voided.TotalAmt, voided.PrivateNote) == (0, 0, "Voided")
    assert Payment.get(payment.Id, qb=client).UnappliedAmt == 40
    Payment.get(payment.Id, qb=client).void(qb=client)
    assert Payment.get(payment.Id, qb=client).TotalAmt == 0


def test_read_then_save_changes_nothing_but_the_version(client: QuickBooks) -> None:
    before = Invoice.get(130, qb=client)
    totals = (before.TotalAmt, before.Balance, before.DueDate, before.TxnTaxDetail.TotalTax)
    saved = before.save(qb=client)
    assert (saved.TotalAmt, saved.Balance, saved.DueDate, saved.TxnTaxDetail.TotalTax) == totals
    assert saved.SyncToken == "1"


def test_a_discount_of_the_library_s_own_kind(client: QuickBooks) -> None:
    invoice = invoice_of(Customer.get(2, qb=client), client)
    discount = DiscountLine()
    discount.Amount = 15
    discount.DiscountLineDetail = DiscountLineDetail()
    invoice.Line.append(discount)
    assert invoice.save(qb=client).TotalAmt == 85


def test_a_deleted_invoice_is_not_found(client: QuickBooks) -> None:
    invoice = invoice_of(Customer.get(2, qb=client), client).save(qb=client)
    assert invoice.delete(qb=client)["Invoice"]["status"] == "Deleted"
    assert Invoice.filter(Id=invoice.Id, qb=client) == []
    with pytest.raises(ObjectNotFoundException) as caught:
        Invoice.get(invoice.Id, qb=client)
    assert caught.value.error_code == 610


def test_the_same_request_id_gives_the_same_invoice(client: QuickBooks) -> None:
    customer = Customer.get(2, qb=client)
    first = invoice_of(customer, client).save(qb=client, request_id="invoice-once")
    second = invoice_of(customer, client).save(qb=client, request_id="invoice-once")
    assert (first.Id, first.SyncToken) == (second.Id, second.SyncToken)


def test_tax_service_makes_a_code(client: QuickBooks) -> None:
    agency = TaxAgency()
    agency.DisplayName = "Agency of the test"
    agency = agency.save(qb=client)
    detail = TaxRateDetails()
    detail.TaxRateName = "Rate of the test"
    detail.RateValue = 7.25
    detail.TaxAgencyId = agency.Id
    service = TaxService()
    service.TaxCode = "Code of the test"
    service.TaxRateDetails.append(detail)
    service.save(qb=client)
    made = TaxCode.filter(Name="Code of the test", qb=client)[0]
    assert TaxRate.get(made.SalesTaxRateList.TaxRateDetail[0].TaxRateRef.value, qb=client).RateValue == 7.25


def test_batches_keep_good_and_bad_apart(client: QuickBooks) -> None:
    made = batch_create([customer_named(f"Batch {number}") for number in range(32)], qb=client)
    assert (len(made.successes), made.faults) == (32, [])
    again = batch_create([customer_named("Batch 0"), customer_named("Batch 32")], qb=client)
    assert [fault.Error[0].code for fault in again.faults] == ["6240"]
    assert again.faults[0].original_object.DisplayName == "Batch 0"
    for one in made.successes:
        one.Notes = "changed"
    changed = batch_update(made.successes[:3], qb=client)
    assert [one.SyncToken for one in changed.successes] == ["1", "1", "1"]
    invoices = [invoice_of(changed.successes[0], client).save(qb=client) for _ in range(2)]
    assert len(batch_delete(invoices, qb=client).successes) == 2


def test_changes_are_captured_with_deletions(client: QuickBooks) -> None:
    customer = customer_named("Captured").save(qb=client)
    invoice = invoice_of(customer, client).save(qb=client)
    invoice.delete(qb=client)
    changed = change_data_capture([Customer, Invoice, Vendor], customer.MetaData["CreateTime"], qb=client)
    assert "Captured" in [one.DisplayName for one in changed.Customer._object_list]
    stub = next(one for one in changed.Invoice._object_list if one.Id == invoice.Id)
    assert stub.status == "Deleted"
    assert not hasattr(changed, "Vendor")


def test_faults_arrive_as_the_library_s_exceptions(client: QuickBooks) -> None:
    stale = Customer.get(3, qb=client)
    stale.save(qb=client)
    with pytest.raises(QuickbooksException) as caught:
        stale.save(qb=client)
    assert (caught.value.error_code, caught.value.message) == (5010, "Stale Object Error")
    with pytest.raises(ValidationException) as unknown:
        client.query("select * from Customer where Nothing = '1'")
    assert unknown.value.error_code == 4001
    with pytest.raises(UnsupportedException):
        client.get(f"{client.api_url}/company/{client.company_id}/unicorn/1")
    client.session.access_token = "x"
    with pytest.raises(AuthorizationException):
        client.query("select * from Customer")


def test_decimals_sent_as_texts_and_read_back(client: QuickBooks) -> None:
    client.use_decimal = True
    invoice = invoice_of(Customer.get(2, qb=client), client, "10.10").save(qb=client)
    assert str(invoice.TotalAmt) == "10.1"
    assert str(invoice.save(qb=client).TotalAmt) == "10.1"


def test_a_form_is_sent_and_printed(client: QuickBooks) -> None:
    invoice = invoice_of(Customer.get(2, qb=client), client).save(qb=client)
    sent = invoice.send(qb=client, send_to="someone@example.com")["Invoice"]
    assert (sent["EmailStatus"], sent["BillEmail"]["Address"]) == ("EmailSent", "someone@example.com")
    assert invoice.download_pdf(qb=client).startswith(b"%PDF-1.4")


def test_a_note_is_attached(client: QuickBooks) -> None:
    note = Attachable()
    note.Note = "Seen by the bookkeeper"
    saved = note.save(qb=client)
    assert Attachable.get(saved.Id, qb=client).Note == "Seen by the bookkeeper"


def test_a_class_of_the_library_finds_an_account_in_any_case(client: QuickBooks) -> None:
    assert [one.Name for one in Account.where("Name = 'checking'", order_by="Name", qb=client)] == ["Checking"]


def test_settings_currencies_and_rates_are_where_the_library_looks_for_them(client: QuickBooks) -> None:
    settings = Preferences.get(qb=client)
    assert settings.OtherPrefs.NameValue[0].Name == "SalesFormsPrefs.DefaultCustomerMessage"
    settings.EmailMessagesPrefs.EstimateMessage.Subject = "Our offer"
    settings.save(qb=client)
    assert Preferences.get(qb=client).EmailMessagesPrefs.EstimateMessage.Subject == "Our offer"
    assert CompanyCurrency.get(1, qb=client).Name == "Canadian Dollar"
    rate = ExchangeRate.where("SourceCurrencyCode = 'EUR'", qb=client)[0]
    rate.Rate += 1
    rate.save(qb=client)
    assert ExchangeRate.where("SourceCurrencyCode = 'EUR'", qb=client)[0].Rate == rate.Rate
    assert rate.TargetCurrencyCode == "USD"


def test_a_bill_is_paid_by_check_and_the_check_is_voided(client: QuickBooks) -> None:
    line = AccountBasedExpenseLine()
    line.Amount = 200
    line.AccountBasedExpenseLineDetail = AccountBasedExpenseLineDetail()
    line.AccountBasedExpenseLineDetail.AccountRef = Account.get(7, qb=client).to_ref()
    bill = Bill()
    bill.VendorRef = Vendor.get(56, qb=client).to_ref()
    bill.Line.append(line)
    bill.save(qb=client)
    part = BillPaymentLine()
    part.Amount = 200
    part.LinkedTxn.append(bill.to_linked_txn())
    payment = BillPayment()
    payment.PayType = "Check"
    payment.TotalAmt = 200
    payment.VendorRef = bill.VendorRef
    payment.CheckPayment = CheckPayment()
    payment.CheckPayment.BankAccountRef = Account.where("AccountSubType = 'Checking'", qb=client)[0].to_ref()
    payment.Line.append(part)
    payment.save(qb=client)
    assert Bill.get(bill.Id, qb=client).Balance == 0
    payment.void(qb=client)
    voided = BillPayment.get(payment.Id, qb=client)
    assert (voided.TotalAmt, voided.PrivateNote) == (0, "Voided")
    assert Bill.get(bill.Id, qb=client).Balance == 200


def test_a_purchase_by_card_keeps_the_pseudo_code_it_was_given(client: QuickBooks) -> None:
    line = ItemBasedExpenseLine()
    line.Amount = 100
    detail = line.ItemBasedExpenseLineDetail = ItemBasedExpenseLineDetail()
    detail.UnitPrice, detail.Qty, detail.BillableStatus = 100, 1, "NotBillable"
    detail.ItemRef = Item.filter(Type="Inventory", max_results=1, qb=client)[0].to_ref()
    detail.TaxCodeRef = TaxCode.all(max_results=1, qb=client)[0].to_ref()
    purchase = Purchase()
    purchase.PaymentType = "CreditCard"
    purchase.AccountRef = Account.get(42, qb=client).to_ref()
    purchase.DocNumber = "Doc123"
    purchase.Line.append(line)
    purchase.save(qb=client, params={"include": "allowduplicatedocnum"})
    read = Purchase.get(purchase.Id, qb=client)
    assert (read.DocNumber, read.TotalAmt) == ("Doc123", 100)
    assert read.Line[0].ItemBasedExpenseLineDetail.TaxCodeRef.value == "TAX"


@pytest.mark.parametrize("kind", [Department, Class])
def test_a_place_and_a_class_are_made_and_renamed(client: QuickBooks, kind: Any) -> None:
    made = kind()
    made.Name = f"New {kind.__name__}"
    made.save(qb=client)
    first = kind.all(max_results=1, qb=client)[0]
    first.Name = f"Renamed {kind.__name__}"
    first.save(qb=client)
    assert kind.get(first.Id, qb=client).Name == f"Renamed {kind.__name__}"


def test_money_goes_from_one_bank_account_to_another_in_a_deposit(client: QuickBooks) -> None:
    source, target = Account.filter(AccountType="Bank", max_results=2, qb=client)
    line = DepositLine()
    line.Amount, line.DetailType = 20.0, "DepositLineDetail"
    line.DepositLineDetail = DepositLineDetail()
    line.DepositLineDetail.AccountRef = source.to_ref()
    deposit = Deposit()
    deposit.DepositToAccountRef = target.to_ref()
    deposit.Line.append(line)
    deposit.save(qb=client)
    assert Deposit.get(deposit.Id, qb=client).TotalAmt == 20
