"""What QuickBooks says that nobody here knew of: a property, or a value of an enumeration, seen for the first time.

It is preserved: updates are sparse and never mention it. It is worth a note, because what it means for the money is
not known. Only a sample is looked at, so that reading stays fast: the first records of the first page of a resource,
and the first of those that changed. Answers do not say which minor version they follow; a new one shows by its names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Finding, Severity

SAMPLE = 25
"""Records looked at per resource and run, at least; more where several answers give their first ones."""

_LONGEST = 60
_COMMON = frozenset(["Id", "SyncToken", "MetaData", "domain", "status", "sparse", "CustomField", "AttachableRef"])
_NAMES = """\
Customer: IntuitId Organization Title GivenName MiddleName FamilyName Suffix FullyQualifiedName CompanyName
  DisplayName PrintOnCheckName UserId Active PrimaryPhone AlternatePhone Mobile Fax PrimaryEmailAddr WebAddr
  OtherContactInfo DefaultTaxCodeRef Taxable BillAddr ShipAddr OtherAddr ContactName AltContactName Notes Job
  BillWithParent RootCustomerRef ParentRef Level CustomerTypeRef SalesTermRef SalesRepRef TaxGroupCodeRef TaxRateRef
  PaymentMethodRef CCDetail PriceLevelRef Balance OpenBalanceDate BalanceWithJobs CreditLimit AcctNum CurrencyRef
  OverDueBalance TotalRevenue TotalExpense PreferredDeliveryMethod ResaleNum JobInfo TDSEnabled CustomerEx
  SecondaryTaxIdentifier ARAccountRef PrimaryTaxIdentifier TaxExemptionReasonId IsProject BusinessNumber GSTIN
  GSTRegistrationType IsCISContractor ClientCompanyId ClientEntityId Source TaxRegime V4IDPseudonym
Item: Name Sku Description Active SubItem ParentRef Level FullyQualifiedName Taxable SalesTaxIncluded PercentBased
  UnitPrice RatePercent Type PaymentMethodRef UOMSetRef IncomeAccountRef PurchaseDesc PurchaseTaxIncluded PurchaseCost
  ExpenseAccountRef COGSAccountRef AssetAccountRef PrefVendorRef AvgCost TrackQtyOnHand QtyOnHand QtyOnPurchaseOrder
  QtyOnSalesOrder ReorderPoint ManPartNum DepositToAccountRef SalesTaxCodeRef PurchaseTaxCodeRef InvStartDate
  BuildPoint PrintGroupedItems SpecialItem SpecialItemType ItemGroupDetail ItemAssemblyDetail AbatementRate
  ReverseChargeRate ServiceType ItemCategoryType TaxClassificationRef UQCDisplayText UQCId ClassRef DeferredRevenue
  ItemEx Source
TaxCode: Name Description Active Hidden Taxable TaxGroup SalesTaxRateList PurchaseTaxRateList AdjustmentTaxRateList
  TaxCodeEx TaxCodeConfigType
Invoice: DocNumber TxnDate DepartmentRef CurrencyRef ExchangeRate PrivateNote TxnStatus LinkedTxn Line TxnTaxDetail
  TxnSource TaxFormType TaxFormNum TransactionLocationType Tag TxnApprovalInfo RecurDataRef RecurringInfo ProjectRef
  AutoDocNumber CustomerRef CustomerMemo BillAddr ShipAddr ShipFromAddr FreeFormAddress RemitToRef ClassRef
  SalesTermRef DueDate SalesRepRef PONumber FOB ShipMethodRef ShipDate TrackingNum GlobalTaxCalculation TotalAmt
  HomeTotalAmt ApplyTaxAfterDiscount ShippingTaxIncludedInTotalTax TotalCostAmount HomeTotalCostAmount TemplateRef
  PrintStatus EmailStatus BillEmail BillEmailCc BillEmailBcc ReplyEmail ARAccountRef Balance HomeBalance FinanceCharge
  PaymentMethodRef PaymentRefNum PaymentType CheckPayment CreditCardPayment DepositToAccountRef DeliveryInfo
  DiscountRate DiscountAmt TaxExemptionRef GovtTxnRefIdentifier ShippingTaxCodeRef CustomerTaxCodeRef Deposit
  AllowIPNPayment AllowOnlinePayment AllowOnlineCreditCardPayment AllowOnlineACHPayment AllowOnlinePayPalPayment
  EInvoiceStatus ECloudStatusTimeStamp CfdiUse Exportation GlobalInfo invoiceStatus callToAction invoiceStatusLog
  OverdueNoticeStatus InvoiceEx LessCIS InvoiceLink PaymentDetailsMessage ConvenienceFeeDetail InvoiceLinkSecurityCode
  InvoiceLinkExpiryDate AutoPayEligible SchedulePayEligible ScheduledPaymentId GratuityEnabled FinancingProductType
  SubscriptionPaymentsSetting
Payment: DocNumber TxnDate DepartmentRef CurrencyRef ExchangeRate PrivateNote TxnStatus LinkedTxn Line TxnTaxDetail
  TxnSource TaxFormType TaxFormNum TransactionLocationType Tag TxnApprovalInfo RecurDataRef RecurringInfo ProjectRef
  CustomerRef RemitToRef ARAccountRef DepositToAccountRef PaymentMethodRef PaymentRefNum PaymentType CheckPayment
  CreditCardPayment TotalAmt UnappliedAmt ProcessPayment TaxExemptionRef HomeTotalAmt PaymentExtendedType PaymentEx
  TotalCostAmount HomeTotalCostAmount
PaymentMethod: Name Active Type PaymentMethodEx
Line: Id LineNum Description Amount Received LinkedTxn DetailType PaymentLineDetail DiscountLineDetail TaxLineDetail
  SalesItemLineDetail DescriptionLineDetail ItemBasedExpenseLineDetail AccountBasedExpenseLineDetail
  ReimburseLineDetail DepositLineDetail PurchaseOrderItemLineDetail SalesOrderItemLineDetail ItemReceiptLineDetail
  JournalEntryLineDetail GroupLineDetail SubTotalLineDetail TDSLineDetail ItemAdjustmentLineDetail CustomField LineEx
  ProjectRef CostAmount HomeCostAmount Tag
SalesItemLineDetail: ItemRef DiscountRate TaxClassificationRef ServiceDate UnitPrice TaxInclusiveAmt InventorySiteRef
  MarkupInfo SalesItemLineDetailEx PriceLevelRef ItemAccountRef ClassRef DeferredRevenue UOMRef RatePercent
  DiscountAmt Qty TaxCodeRef
DiscountLineDetail: ServiceDate ClassRef TaxCodeRef Discount DiscountRef PercentBased DiscountPercent
  DiscountAccountRef DiscountLineDetailEx
GroupLineDetail: GroupItemRef Quantity UOMRef ServiceDate Line GroupLineDetailEx
LinkedTxn: TxnId TxnType TxnLineId
TxnTaxDetail: DefaultTaxCodeRef TxnTaxCodeRef TotalTax TotalTaxSpecified TaxReviewStatus TaxLine UseAutomatedSalesTax
"""
"""Property names of the public schema, by its class names (API file 1.5: to be taken from the XSD)."""

_VALUES = {
    ("Line", "DetailType"): (
        "PaymentLineDetail DiscountLineDetail TaxLineDetail SalesItemLineDetail ItemBasedExpenseLineDetail "
        "AccountBasedExpenseLineDetail DepositLineDetail PurchaseOrderItemLineDetail ItemReceiptLineDetail "
        "JournalEntryLineDetail GroupLineDetail DescriptionOnly SubTotalLineDetail SalesOrderItemLineDetail "
        "TDSLineDetail ReimburseLineDetail ItemAdjustmentLineDetail"
    ),
    ("LinkedTxn", "TxnType"): (
        "Invoice Payment CreditMemo Deposit JournalEntry Expense Check CreditCardCredit BillPaymentCheck RefundReceipt "
        "Estimate SalesReceipt ReimburseCharge ChargeCredit StatementCharge TimeActivity Charge Credit"
    ),
    ("Item", "Type"): "Inventory Service NonInventory Category Group Assembly Bundle",
    ("Invoice", "GlobalTaxCalculation"): "TaxExcluded TaxInclusive NotApplicable",
    ("PaymentMethod", "Type"): "CREDIT_CARD NON_CREDIT_CARD",
}
_ENTITIES = {
    "Customer": Entity.CUSTOMER,
    "Item": Entity.PRODUCT,
    "TaxCode": Entity.TAX_RATE,
    "Invoice": Entity.INVOICE,
    "Payment": Entity.PAYMENT,
    "PaymentMethod": Entity.PAYMENT,
}


def _table(text: str) -> dict[str, frozenset[str]]:
    entries = " ".join(text.split()).replace(": ", ":\n").split("\n")
    names = [entry.rsplit(" ", 1)[-1].rstrip(":") for entry in entries[:-1]]
    bodies = [entry.rsplit(" ", 1)[0] for entry in entries[1:-1]] + [entries[-1]]
    return {
        name: frozenset(body.split()) | (_COMMON if name in _ENTITIES else frozenset())
        for name, body in zip(names, bodies, strict=True)
    }


KNOWN = _table(_NAMES)
"""Shape -> the properties that are known of it."""

VALUES = {place: frozenset(text.split()) for place, text in _VALUES.items()}
"""Shape and property -> the values that are known of it."""


@dataclass(slots=True)
class Novelties:
    """What one connection has met; ``found`` gives for each novelty the resource and id of the first record with it."""

    found: dict[str, tuple[str, str]] = field(default_factory=dict)

    def look_at(self, resource: str, records: Iterable[Any]) -> None:
        """Look at the first of these records, as parsed."""
        for record, _ in zip(records, range(SAMPLE), strict=False):
            if isinstance(record, Mapping) and record.get("status") != "Deleted":
                for novelty in _new_in(resource, record):
                    self.found.setdefault(novelty, (resource, str(record.get("Id", ""))))

    def look_at_page(self, resource: str, body: bytes) -> None:
        """The same for the answer to a query; one that cannot be read is left to whoever reads it."""
        try:
            listed = msgspec.json.decode(body, type=dict[str, msgspec.Raw])["QueryResponse"]
            raw = msgspec.json.decode(listed, type=dict[str, msgspec.Raw])[resource]
            records = msgspec.json.decode(raw, type=list[msgspec.Raw])[:SAMPLE]
            self.look_at(resource, [msgspec.json.decode(record) for record in records])
        except (KeyError, ValueError, RecursionError):
            return


def _new_in(shape: str, record: Mapping[str, Any]) -> Iterable[str]:
    for name, value in record.items():
        if name not in KNOWN[shape]:
            yield f"{shape}.{_short(name)}"
            continue
        known = VALUES.get((shape, name))
        if known is not None and isinstance(value, str) and value not in known:
            yield f"{shape}.{name} = {_short(value)}"
        if name in KNOWN:
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, Mapping):
                    yield from _new_in(name, part)


def novelty_notes(found: Mapping[str, tuple[str, str]], currency: str) -> tuple[Finding, ...]:
    """A note for each novelty, on the first record seen with it. Holds hostile text."""
    return tuple(
        Finding(
            check="new_in_quickbooks",
            severity=Severity.NOTE,
            entity=_ENTITIES[resource],
            side=Side.BOOKS,
            record_id=record_id,
            label="",
            amount=None,
            currency=currency,
            sentence=f"QuickBooks says something that is new here: {novelty}. It is left as it is, never written over.",
            remedy="Nothing for now. Should it matter to an amount, report it; this is said once.",
        )
        for novelty, (resource, record_id) in sorted(found.items())
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
