"""Every resource in one table: its properties, their kinds and lengths, what is read-only and what can be filtered.

Checks, queries, fault texts and tests all read it. A line is `Name kind [?] [-]`: `?` marks a property that a query may
filter by, `-` one whose value in a request is ignored. Kinds:

* `text:N` at most N characters, `name:N` the same without colon, tab and newline, `ref:A|B` reference to an A or a B,
* `money`, `number`, `whole`, `flag`, `date`, `moment`, `enum:A|B` (or `enum:@List` for a longer list below),
* `one:Shape` an object of that shape, `many:Shape` a list of them, `any` whatever it is (kept as sent).

Property names are those of the public schema; the shape names are its class names and appear in fault texts.
"""

from dataclasses import dataclass
from typing import Final, Literal

Group = Literal["company", "name", "list", "tax", "sale", "payment", "transaction", "attachment", "rate"]


@dataclass(frozen=True, slots=True)
class Property:
    """One property of a shape.

    Attributes:
        name: As in JSON.
        kind: The word before the colon in the table.
        longest: Greatest length of a text.
        choices: Values of an enumeration, or resources a reference may point to.
        shape: Shape of `one` and `many`.
        filterable: A query may compare it.
        read_only: A value in a request is ignored.
    """

    name: str
    kind: str
    longest: int = 0
    choices: tuple[str, ...] = ()
    shape: str = ""
    filterable: bool = False
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the API.

    Attributes:
        name: Entity name, such as `CreditMemo`.
        group: Which rules it follows.
        properties: By name.
        sequence: Resources with the same word here share one sequence of ids.
        actions: What it offers beyond read and query: `create`, `update`, `delete`, `void`, `send`, `pdf`.
        captured: Change data capture knows it.
        naming: Property that holds its unique name, if it has one.
        naming_space: Resources with the same word here share one space of names.
    """

    name: str
    group: Group
    properties: dict[str, Property]
    sequence: str
    actions: frozenset[str]
    captured: bool = True
    naming: str = ""
    naming_space: str = ""

    @property
    def path(self) -> str:
        """The segment of the address."""
        return self.name.lower()


_CHOICES: Final = {
    "LineDetail": (
        "PaymentLineDetail",
        "DiscountLineDetail",
        "TaxLineDetail",
        "SalesItemLineDetail",
        "ItemBasedExpenseLineDetail",
        "AccountBasedExpenseLineDetail",
        "DepositLineDetail",
        "PurchaseOrderItemLineDetail",
        "ItemReceiptLineDetail",
        "JournalEntryLineDetail",
        "GroupLineDetail",
        "DescriptionOnly",
        "SubTotalLineDetail",
        "SalesOrderItemLineDetail",
        "TDSLineDetail",
        "ReimburseLineDetail",
        "ItemAdjustmentLineDetail",
    ),
    "AccountType": (
        "Bank",
        "Accounts Receivable",
        "Other Current Asset",
        "Fixed Asset",
        "Other Asset",
        "Accounts Payable",
        "Credit Card",
        "Other Current Liability",
        "Long Term Liability",
        "Equity",
        "Income",
        "Cost of Goods Sold",
        "Expense",
        "Other Income",
        "Other Expense",
        "Non-Posting",
    ),
}


def _property(line: str) -> Property:
    name, rest = line.split(maxsplit=1)
    kind = rest.rstrip("?- ")
    marks = rest[len(kind) :]
    word, _, argument = kind.partition(":")
    return Property(
        name=name,
        kind=word,
        longest=int(argument) if word in {"text", "name"} and argument else 0,
        choices=_choices(argument) if word in {"enum", "ref"} else (),
        shape=argument if word in {"one", "many"} else "",
        filterable="?" in marks,
        read_only="-" in marks,
    )


def _choices(argument: str) -> tuple[str, ...]:
    return _CHOICES[argument[1:]] if argument.startswith("@") else tuple(argument.split("|"))


def _table(*parts: str) -> dict[str, Property]:
    lines = [line for part in parts for line in part.strip().splitlines() if line.strip()]
    return {entry.name: entry for entry in map(_property, lines)}


_ENTITY = """
Id text ? -
SyncToken any -
MetaData any ? -
domain text -
status text -
sparse flag -
CustomField many:CustomField
AttachableRef many:AttachableRef
"""

_NAME = """
IntuitId text -
Organization flag
Title name:16
GivenName name:100 ?
MiddleName name:100 ?
FamilyName name:100 ?
Suffix name:16
FullyQualifiedName text ? -
CompanyName text:100 ?
DisplayName name:500 ?
PrintOnCheckName name:110 ?
UserId text
Active flag ?
PrimaryPhone one:TelephoneNumber
AlternatePhone one:TelephoneNumber
Mobile one:TelephoneNumber
Fax one:TelephoneNumber
PrimaryEmailAddr one:EmailAddress ?
WebAddr one:WebSiteAddress
OtherContactInfo any
DefaultTaxCodeRef ref:TaxCode
"""

_TRANSACTION = """
DocNumber text:21 ?
TxnDate date ?
DepartmentRef ref:Department
CurrencyRef ref:CompanyCurrency ?
ExchangeRate number
PrivateNote text:4000
TxnStatus text:100
LinkedTxn many:LinkedTxn
Line many:Line
TxnTaxDetail one:TxnTaxDetail
TxnSource text:100
TaxFormType text:100
TaxFormNum text:100
TransactionLocationType text:100
Tag any
TxnApprovalInfo any
RecurDataRef any
RecurringInfo any
ProjectRef ref:Customer ?
TotalCostAmount money -
HomeTotalCostAmount money -
"""

_SALE = """
AutoDocNumber flag
CustomerRef ref:Customer ?
CustomerMemo one:MemoRef
BillAddr one:PhysicalAddress
ShipAddr one:PhysicalAddress
ShipFromAddr one:PhysicalAddress
FreeFormAddress flag
RemitToRef any
ClassRef ref:Class
SalesTermRef ref:Term ?
DueDate date ?
SalesRepRef any
PONumber text:25
FOB text:100
ShipMethodRef any
ShipDate date
TrackingNum text:31
GlobalTaxCalculation enum:TaxExcluded|TaxInclusive|NotApplicable
TotalAmt money ? -
HomeTotalAmt money -
ApplyTaxAfterDiscount flag
ShippingTaxIncludedInTotalTax flag
TemplateRef any
PrintStatus enum:NotSet|NeedToPrint|PrintComplete
EmailStatus enum:NotSet|NeedToSend|EmailSent
BillEmail one:EmailAddress
BillEmailCc one:EmailAddress
BillEmailBcc one:EmailAddress
ReplyEmail one:EmailAddress
ARAccountRef ref:Account
Balance money ? -
HomeBalance money -
FinanceCharge flag
PaymentMethodRef ref:PaymentMethod
PaymentRefNum text:100
PaymentType enum:Cash|Check|CreditCard|Other ?
CheckPayment any
CreditCardPayment any
DepositToAccountRef ref:Account
DeliveryInfo any
DiscountRate number
DiscountAmt money
TaxExemptionRef any
GovtTxnRefIdentifier text
ShippingTaxCodeRef any
CustomerTaxCodeRef any
"""

_ORDERED = """
Name name:100 ?
ParentRef ref:Self ?
FullyQualifiedName text ? -
Active flag ?
Level whole -
"""

SHAPES: Final[dict[str, dict[str, Property]]] = {
    "ReferenceType": _table("value text\nname text\ntype text"),
    "CustomField": _table("""
DefinitionId text
Name text:31
Type enum:StringType|BooleanType|NumberType|DateType
StringValue text:31
BooleanValue flag
DateValue date
NumberValue number
"""),
    "PhysicalAddress": _table("""
Id text
Line1 text:500
Line2 text:500
Line3 text:500
Line4 text:500
Line5 text:500
City text:255
Country text:255
CountryCode text:255
CountrySubDivisionCode text:255
PostalCode text:31
PostalCodeSuffix text:31
County text:255
Lat text
Long text
Tag text
Note text
"""),
    "TelephoneNumber": _table("""
Id text
DeviceType text
CountryCode text
AreaCode text
ExchangeCode text
Extension text
FreeFormNumber text:30
Default flag
Tag text
"""),
    "EmailAddress": _table("Id text\nAddress text:100\nDefault flag\nTag text"),
    "WebSiteAddress": _table("Id text\nURI text:1000\nDefault flag\nTag text"),
    "MemoRef": _table("value text:1000\nname text\ntype text\nid text"),
    "LinkedTxn": _table("TxnId text\nTxnType text\nTxnLineId text"),
    "NameValue": _table("Name text\nValue text"),
    "AttachableRef": _table("""
EntityRef any
LineInfo text
IncludeOnSend flag
Inactive flag
NoRefOnly flag
CustomField many:CustomField
AttachableRefEx any
"""),
    "Line": _table("""
Id any
LineNum any
Description text:4000
Amount money
Received any
LinkedTxn many:LinkedTxn
DetailType enum:@LineDetail
PaymentLineDetail any
DiscountLineDetail one:DiscountLineDetail
TaxLineDetail one:TaxLineDetail
SalesItemLineDetail one:SalesItemLineDetail
DescriptionLineDetail one:DescriptionLineDetail
ItemBasedExpenseLineDetail one:ItemBasedExpenseLineDetail
AccountBasedExpenseLineDetail one:AccountBasedExpenseLineDetail
ReimburseLineDetail any
DepositLineDetail one:DepositLineDetail
PurchaseOrderItemLineDetail any
SalesOrderItemLineDetail any
ItemReceiptLineDetail any
JournalEntryLineDetail one:JournalEntryLineDetail
GroupLineDetail one:GroupLineDetail
SubTotalLineDetail any
TDSLineDetail any
ItemAdjustmentLineDetail any
CustomField many:CustomField
LineEx any
ProjectRef ref:Customer
CostAmount money
HomeCostAmount money
Tag any
"""),
    "SalesItemLineDetail": _table("""
ItemRef ref:Item
DiscountRate number
TaxClassificationRef any
ServiceDate date
UnitPrice number
TaxInclusiveAmt money
InventorySiteRef any
MarkupInfo any
SalesItemLineDetailEx any
PriceLevelRef any
ItemAccountRef ref:Account
ClassRef ref:Class
DeferredRevenue flag
UOMRef any
RatePercent number
DiscountAmt money
Qty number
TaxCodeRef ref:TaxCode
"""),
    "DiscountLineDetail": _table("""
ServiceDate date
ClassRef ref:Class
TaxCodeRef ref:TaxCode
Discount any
DiscountRef any
PercentBased flag
DiscountPercent number
DiscountAccountRef ref:Account
DiscountLineDetailEx any
"""),
    "DescriptionLineDetail": _table("ServiceDate date\nTaxCodeRef ref:TaxCode\nDescriptionLineDetailEx any"),
    "GroupLineDetail": _table("""
GroupItemRef ref:Item
Quantity number
UOMRef any
ServiceDate date
Line many:Line
GroupLineDetailEx any
"""),
    "TaxLineDetail": _table("""
TaxRateRef ref:TaxRate
PercentBased flag
TaxPercent number
NetAmountTaxable money
TaxInclusiveAmount money
OverrideDeltaAmount money
ServiceDate date
TaxLineDetailEx any
"""),
    "TxnTaxDetail": _table("""
DefaultTaxCodeRef any
TxnTaxCodeRef ref:TaxCode
TotalTax money
TotalTaxSpecified flag
TaxReviewStatus text
TaxLine many:Line
UseAutomatedSalesTax flag
"""),
    "ItemBasedExpenseLineDetail": _table("""
ItemRef ref:Item
ClassRef ref:Class
UnitPrice number
RatePercent number
PriceLevelRef any
MarkupInfo any
Qty number
UOMRef any
ItemAccountRef ref:Account
InventorySiteRef any
TaxCodeRef ref:TaxCode
TaxClassificationRef any
CustomerRef ref:Customer
BillableStatus enum:Billable|NotBillable|HasBeenBilled
TaxInclusiveAmt money
ItemBasedExpenseLineDetailEx any
"""),
    "AccountBasedExpenseLineDetail": _table("""
CustomerRef ref:Customer
ClassRef ref:Class
AccountRef ref:Account
BillableStatus enum:Billable|NotBillable|HasBeenBilled
MarkupInfo any
TaxAmount money
TaxCodeRef ref:TaxCode
TaxInclusiveAmt money
ExpenseDetailLineDetailEx any
"""),
    "ItemGroupDetail": _table("ItemGroupLine many:ItemGroupLine"),
    "ItemGroupLine": _table("ItemRef ref:Item\nQty number\nUOMRef any"),
    "CashBackInfo": _table("AccountRef ref:Account\nAmount money\nMemo text:4000"),
    "EntityTypeRef": _table("Type text\nEntityRef one:ReferenceType"),
    "BillPaymentCheck": _table("""
BankAccountRef ref:Account
PrintStatus enum:NotSet|NeedToPrint|PrintComplete
CheckDetail any
PayeeAddr one:PhysicalAddress
BillPaymentCheckEx any
"""),
    "BillPaymentCreditCard": _table("CCAccountRef ref:Account\nCCDetail any\nBillPaymentCreditCardEx any"),
    "DepositLineDetail": _table("""
Entity one:ReferenceType
ClassRef ref:Class
AccountRef ref:Account
PaymentMethodRef ref:PaymentMethod
CheckNum text:21
TxnType text
TaxCodeRef ref:TaxCode
TaxApplicableOn text
DepositLineDetailEx any
"""),
    "JournalEntryLineDetail": _table("""
PostingType enum:Credit|Debit
Entity one:EntityTypeRef
AccountRef ref:Account
ClassRef ref:Class
DepartmentRef ref:Department
TaxCodeRef ref:TaxCode
TaxRateRef ref:TaxRate
TaxApplicableOn enum:Purchase|Sales
TaxAmount money
TaxInclusiveAmt money
BillableStatus enum:Billable|NotBillable|HasBeenBilled
JournalCodeRef any
JournalEntryLineDetailEx any
"""),
}

_LIST_ACTIONS: Final = frozenset({"create", "update"})
_TXN_ACTIONS: Final = frozenset({"create", "update", "delete"})
_FORM_ACTIONS: Final = _TXN_ACTIONS | {"send", "pdf"}


def _resource(
    name: str,
    group: Group,
    *tables: str,
    sequence: str = "",
    actions: frozenset[str] = _LIST_ACTIONS,
    captured: bool = True,
    naming: str = "",
    naming_space: str = "",
) -> Resource:
    return Resource(
        name=name,
        group=group,
        properties=_table(_ENTITY, *tables),
        sequence=sequence or name,
        actions=actions,
        captured=captured,
        naming=naming,
        naming_space=naming_space or name,
    )


def _sale(name: str, own: str, actions: frozenset[str] = _FORM_ACTIONS) -> Resource:
    return _resource(name, "sale", _TRANSACTION, _SALE, own, sequence="transaction", actions=actions)


_RESOURCES: Final = (
    _resource(
        "CompanyInfo",
        "company",
        """
CompanyName text:1024
LegalName text:1024
CompanyAddr one:PhysicalAddress
CustomerCommunicationAddr one:PhysicalAddress
LegalAddr one:PhysicalAddress
CompanyEmailAddr one:EmailAddress
CustomerCommunicationEmailAddr one:EmailAddress
CompanyURL any
PrimaryPhone one:TelephoneNumber
OtherPhone any
CompanyFileName text
FlavorStratum text
SampleFile flag
CompanyUserId text
CompanyUserAdminEmail text
CompanyStartDate any -
EmployerId text:255
FiscalYearStartMonth enum:January|February|March|April|May|June|July|August|September|October|November|December
TaxYearStartMonth text
QBVersion text
Country text:10
Email one:EmailAddress
WebAddr one:WebSiteAddress
ShipAddr one:PhysicalAddress
OtherAddr any
Mobile any
Fax any
OtherContactInfo any
LastImportedTime moment -
LastSyncTime moment -
SupportedLanguages text
DefaultTimeZone text:100
MultiByteCharsSupported flag
NameValue many:NameValue
FifoCalculationStatus text
CompanyInfoEx any
""",
        actions=frozenset({"update"}),
    ),
    _resource(
        "Preferences",
        "company",
        """
AccountingInfoPrefs any
AdvancedInventoryPrefs any
ProductAndServicesPrefs any
SalesFormsPrefs any
PrintDocumentPrefs any
EmailMessagesPrefs any
VendorAndPurchasesPrefs any
TimeTrackingPrefs any
TaxPrefs any
FinanceChargesPrefs any
CurrencyPrefs any
ReportPrefs any
OtherPrefs any
""",
        actions=frozenset({"update"}),
    ),
    _resource(
        "Customer",
        "name",
        _NAME,
        """
Taxable flag
BillAddr one:PhysicalAddress
ShipAddr one:PhysicalAddress
OtherAddr any
ContactName text:100
AltContactName text:100
Notes text:2000
Job flag ?
BillWithParent flag
RootCustomerRef any -
ParentRef ref:Customer ?
Level whole -
CustomerTypeRef any
SalesTermRef ref:Term
SalesRepRef any
TaxGroupCodeRef any
TaxRateRef any
PaymentMethodRef ref:PaymentMethod
CCDetail any
PriceLevelRef any
Balance money ?
OpenBalanceDate date
BalanceWithJobs money -
CreditLimit money
AcctNum text:100
CurrencyRef ref:CompanyCurrency
OverDueBalance money -
TotalRevenue money -
TotalExpense money -
PreferredDeliveryMethod enum:Print|Email|None
ResaleNum text:16
JobInfo any
TDSEnabled flag
CustomerEx any
SecondaryTaxIdentifier text:30
ARAccountRef ref:Account
PrimaryTaxIdentifier text:30
TaxExemptionReasonId any
IsProject flag
BusinessNumber text:10
GSTIN text:15
GSTRegistrationType text:15
IsCISContractor flag
ClientCompanyId text
ClientEntityId text
Source text
TaxRegime text
V4IDPseudonym text -
""",
        sequence="name",
        naming="DisplayName",
        naming_space="name",
    ),
    _resource(
        "Vendor",
        "name",
        _NAME,
        """
ContactName text:100
AltContactName text:100
Notes text:2000
BillAddr one:PhysicalAddress
ShipAddr one:PhysicalAddress
OtherAddr any
TaxCountry text
TaxIdentifier text:20
TaxIdEffectiveDate date
BusinessNumber text:10
ParentRef any
VendorTypeRef any
TermRef ref:Term
PrefillAccountRef any
Balance money ? -
BillRate number
OpenBalanceDate date
CreditLimit money
AcctNum text:100
Vendor1099 flag
T4AEligible flag
T5018Eligible flag
CurrencyRef ref:CompanyCurrency
TDSEnabled flag
TDSEntityTypeId whole
TDSSectionTypeId whole
TDSOverrideThreshold flag
APAccountRef ref:Account
VendorEx any
TaxReportingBasis text
VendorPaymentBankDetail any
HasTPAR flag
GSTIN text:15
GSTRegistrationType text:15
IsSubContractor flag
SubcontractorType text
CISRate text
CostRate number
Source text
V4IDPseudonym text -
""",
        sequence="name",
        naming="DisplayName",
        naming_space="name",
    ),
    _resource(
        "Employee",
        "name",
        _NAME,
        """
EmployeeType text
EmployeeNumber text:100
SSN text:100
PrimaryAddr one:PhysicalAddress
OtherAddr any
BillableTime flag
BillRate number
CostRate number
BirthDate date
Gender enum:Male|Female
HiredDate date
ReleasedDate date
UseTimeEntry any
EmployeeEx any
Notes text:2000
EmailAddress any
V4IDPseudonym text -
""",
        sequence="name",
        naming="DisplayName",
        naming_space="name",
    ),
    _resource(
        "Item",
        "list",
        """
Name name:100 ?
Sku text:100 ?
Description text:4000
Active flag ?
SubItem flag ?
ParentRef ref:Item ?
Level whole -
FullyQualifiedName text ? -
Taxable flag ?
SalesTaxIncluded flag
PercentBased flag
UnitPrice number ?
RatePercent number
Type enum:Inventory|Service|NonInventory|Category|Group|Assembly ?
PaymentMethodRef any
UOMSetRef any
IncomeAccountRef ref:Account
PurchaseDesc text:1000
PurchaseTaxIncluded flag
PurchaseCost number
ExpenseAccountRef ref:Account
COGSAccountRef any
AssetAccountRef ref:Account
PrefVendorRef ref:Vendor
AvgCost number
TrackQtyOnHand flag
QtyOnHand number ?
QtyOnPurchaseOrder number
QtyOnSalesOrder number
ReorderPoint number
ManPartNum text
DepositToAccountRef any
SalesTaxCodeRef ref:TaxCode
PurchaseTaxCodeRef ref:TaxCode
InvStartDate date
BuildPoint number
PrintGroupedItems flag
SpecialItem flag
SpecialItemType text
ItemGroupDetail one:ItemGroupDetail
ItemAssemblyDetail any
AbatementRate number
ReverseChargeRate number
ServiceType text
ItemCategoryType text
TaxClassificationRef any
UQCDisplayText text
UQCId text
ClassRef ref:Class
DeferredRevenue flag
ItemEx any
Source text
""",
        naming="Name",
    ),
    _resource(
        "Account",
        "list",
        """
Name name:100 ?
SubAccount flag ? -
ParentRef ref:Account ?
Description text:100
FullyQualifiedName text ? -
AccountAlias text:100
TxnLocationType text:100
Active flag ?
Classification enum:Asset|Equity|Expense|Liability|Revenue ? -
AccountType enum:@AccountType ?
AccountSubType text:100 ?
AccountPurposes any
AcctNum text:20 ?
AcctNumExtn text
BankNum text
OpeningBalance money
OpeningBalanceDate date
CurrentBalance money ? -
CurrentBalanceWithSubAccounts money -
CurrencyRef ref:CompanyCurrency -
TaxAccount flag
TaxCodeRef ref:TaxCode
OnlineBankingEnabled flag
FIName text
JournalCodeRef any
AccountEx any
""",
        naming="Name",
    ),
    _resource(
        "TaxAgency",
        "tax",
        """
DisplayName text:100
Active flag -
TaxRegistrationNumber text:100
ReportingPeriod text
TaxTrackedOnPurchases flag -
TaxOnPurchasesAccountRef any
TaxTrackedOnSales flag -
TaxTrackedOnSalesAccountRef any
TaxOnTax flag
IsTaxOnTax flag
LastFileDate date -
TaxAgencyConfig text -
TaxAgencyExt any
""",
        actions=frozenset({"create"}),
        captured=False,
        naming="DisplayName",
    ),
    _resource(
        "TaxRate",
        "tax",
        """
Name text:100 ?
Description text:100 ?
Active flag ?
RateValue number
AgencyRef ref:TaxAgency ?
TaxReturnLineRef any
EffectiveTaxRate any
SpecialTaxType text
DisplayType text
OriginalTaxRate text
TaxRateEx any
""",
        actions=frozenset(),
        captured=False,
        naming="Name",
    ),
    _resource(
        "TaxCode",
        "tax",
        """
Name text:100 ?
Description text:100 ?
Active flag ?
Hidden flag
Taxable flag
TaxGroup flag
SalesTaxRateList any
PurchaseTaxRateList any
AdjustmentTaxRateList any
TaxCodeEx any
TaxCodeConfigType text
""",
        actions=frozenset(),
        captured=False,
        naming="Name",
    ),
    _resource(
        "Term",
        "list",
        """
Name text:31 ?
Active flag ?
Type text -
DiscountPercent number
DueDays whole
DiscountDays whole
DayOfMonthDue whole
DueNextMonthDays whole
DiscountDayOfMonth whole
SalesTermEx any
""",
        naming="Name",
    ),
    _resource(
        "PaymentMethod",
        "list",
        """
Name text:31 ?
Active flag ?
Type enum:CREDIT_CARD|NON_CREDIT_CARD
PaymentMethodEx any
""",
        naming="Name",
    ),
    _resource("Class", "list", _ORDERED, "SubClass flag -\nClassEx any", naming="Name"),
    _resource(
        "Department",
        "list",
        _ORDERED,
        "SubDepartment flag -\nDepartmentEx any\nAddress one:PhysicalAddress",
        naming="Name",
    ),
    _resource(
        "CompanyCurrency",
        "list",
        """
Code text:3 ?
Name text:100 ?
Active flag ?
CompanyCurrencyEx any
""",
        naming="Code",
    ),
    _resource(
        "ExchangeRate",
        "rate",
        """
SourceCurrencyCode text:3 ?
TargetCurrencyCode text:3 ?
Rate number
AsOfDate date ?
ExchangeRateEx any
""",
        actions=_LIST_ACTIONS,
        captured=False,
    ),
    _sale(
        "Invoice",
        """
Deposit money
AllowIPNPayment flag
AllowOnlinePayment flag
AllowOnlineCreditCardPayment flag
AllowOnlineACHPayment flag
AllowOnlinePayPalPayment flag
EInvoiceStatus text
ECloudStatusTimeStamp moment
CfdiUse whole
Exportation text
GlobalInfo any
invoiceStatus text -
callToAction text -
invoiceStatusLog any -
OverdueNoticeStatus any
InvoiceEx any
LessCIS money
InvoiceLink text -
PaymentDetailsMessage text
ConvenienceFeeDetail any
InvoiceLinkSecurityCode text -
InvoiceLinkExpiryDate any -
AutoPayEligible flag -
SchedulePayEligible flag -
ScheduledPaymentId text -
GratuityEnabled flag
FinancingProductType text -
SubscriptionPaymentsSetting text
""",
        _FORM_ACTIONS | {"void"},
    ),
    _sale(
        "CreditMemo",
        """
DueDate date -
PaymentMethodRef ref:PaymentMethod -
RemainingCredit money -
InvoiceRef any
CreditMemoEx any
""",
    ),
    _sale("SalesReceipt", "PaymentRefNum text:21\nSalesReceiptEx any\nLessCIS money", _FORM_ACTIONS | {"void"}),
    _sale("RefundReceipt", "RemainingCredit money -\nRefundReceiptEx any", _FORM_ACTIONS | {"void"}),
    _sale(
        "Estimate",
        """
ExpirationDate date ?
AcceptedBy text:100
AcceptedDate date
EstimateEx any
""",
    ),
    _resource(
        "Payment",
        "payment",
        _TRANSACTION,
        """
CustomerRef ref:Customer ?
RemitToRef any
ARAccountRef ref:Account
DepositToAccountRef ref:Account
PaymentMethodRef ref:PaymentMethod ?
PaymentRefNum text:21 ?
PaymentType enum:Cash|Check|CreditCard|Expense|Other
CheckPayment any
CreditCardPayment any
TotalAmt money ?
UnappliedAmt money -
ProcessPayment flag
TaxExemptionRef any
HomeTotalAmt money -
PaymentExtendedType text
PaymentEx any
""",
        sequence="transaction",
        actions=_TXN_ACTIONS | {"void", "send", "pdf"},
    ),
    _resource(
        "Deposit",
        "transaction",
        _TRANSACTION,
        """
DepositToAccountRef ref:Account ?
CashBack one:CashBackInfo
TotalAmt money ? -
HomeTotalAmt money -
GlobalTaxCalculation text
DepositEx any
""",
        sequence="transaction",
        actions=_TXN_ACTIONS,
    ),
    _resource(
        "Bill",
        "transaction",
        _TRANSACTION,
        """
VendorRef ref:Vendor ?
APAccountRef ref:Account ?
PayerRef any
SalesTermRef ref:Term ?
DueDate date ?
RemitToAddr one:PhysicalAddress
ShipAddr one:PhysicalAddress
ShipToAddr one:PhysicalAddress
VendorAddr one:PhysicalAddress
TotalAmt money ? -
Balance money ? -
HomeTotalAmt money -
HomeBalance money -
BillEmail any
ReplyEmail any
Memo text:4000
ClassRef ref:Class
GlobalTaxCalculation text
IncludeInAnnualTPAR flag
LessCIS money
BillEx any
""",
        sequence="transaction",
        actions=_TXN_ACTIONS,
    ),
    _resource(
        "VendorCredit",
        "transaction",
        _TRANSACTION,
        """
VendorRef ref:Vendor ?
APAccountRef ref:Account
PayerRef any
SalesTermRef ref:Term
RemitToAddr one:PhysicalAddress
ShipToAddr one:PhysicalAddress
VendorAddr one:PhysicalAddress
TotalAmt money ? -
Balance money ? -
HomeTotalAmt money -
HomeBalance money -
BillEmail any
ReplyEmail any
Memo text:4000
ClassRef ref:Class
GlobalTaxCalculation text
VendorCreditEx any
IncludeInAnnualTPAR flag
""",
        sequence="transaction",
        actions=_TXN_ACTIONS,
    ),
    _resource(
        "BillPayment",
        "transaction",
        _TRANSACTION,
        """
VendorRef ref:Vendor ?
VendorAddr one:PhysicalAddress
APAccountRef ref:Account
PayType enum:Check|CreditCard
CheckPayment one:BillPaymentCheck
CreditCardPayment one:BillPaymentCreditCard
TotalAmt money ?
ProcessBillPayment flag
HomeTotalAmt money -
BillPaymentEx any
""",
        sequence="transaction",
        actions=_TXN_ACTIONS | {"void"},
    ),
    _resource(
        "Purchase",
        "transaction",
        _TRANSACTION,
        """
AccountRef ref:Account
PaymentMethodRef ref:PaymentMethod
PaymentRefNum text:21
PaymentType enum:Cash|Check|CreditCard ?
CheckPayment any
CreditCardPayment any
EntityRef one:ReferenceType
RemitToAddr one:PhysicalAddress
TotalAmt money ? -
HomeTotalAmt money -
Credit flag
TxnId text
TxnNum text
PrintStatus enum:NotSet|NeedToPrint|PrintComplete
GlobalTaxCalculation text
Memo text:4000
PurchaseEx any
LessCIS money
IncludeInAnnualTPAR flag
""",
        sequence="transaction",
        actions=_TXN_ACTIONS,
    ),
    _resource(
        "JournalEntry",
        "transaction",
        _TRANSACTION,
        """
Adjustment flag
HomeCurrencyAdjustment flag
EnteredInHomeCurrency flag
TotalAmt money -
HomeTotalAmt money -
GlobalTaxCalculation text
JournalCodeRef any
JournalEntryEx any
""",
        sequence="transaction",
        actions=_TXN_ACTIONS,
    ),
    _resource(
        "Attachable",
        "attachment",
        """
FileName text:1000 ?
FileAccessUri text -
TempDownloadUri text -
Size whole -
ContentType text:100
Category text:100
Lat text
Long text
PlaceName text:2000
Note text:2000 ?
Tag text:2000 ?
ThumbnailFileAccessUri text -
ThumbnailTempDownloadUri text -
AttachableEx any
documentId text -
""",
        actions=_TXN_ACTIONS,
    ),
)


RESOURCES: Final = {resource.name: resource for resource in _RESOURCES}
BY_PATH: Final = {resource.path: resource for resource in _RESOURCES}
SHAPES_OF_RESOURCES: Final = {**SHAPES, **{name: resource.properties for name, resource in RESOURCES.items()}}

UNUSED: Final = frozenset(
    {"Budget", "CreditCardPayment", "CustomerType", "InventoryAdjustment", "JournalCode", "PurchaseOrder",
     "RecurringTransaction", "ReimburseCharge", "TimeActivity", "Transfer"}
)  # fmt: skip
"""Resources of Intuit's that a company here has none of: a query finds nothing, and nothing can be written."""

UNQUERIED: Final = frozenset(
    {"ChargeCredit", "Currency", "CustomerMsg", "EmailDeliveryInfo", "FixedAsset", "InventorySite", "JobType",
     "MasterAccount", "OtherName", "PriceLevel", "PriceLevelPerItem", "SalesOrder", "SalesRep", "ShipMethod",
     "StatementCharge", "Status", "SyncActivity", "Tag", "Task", "TaxClassification", "TaxService", "TemplateName",
     "UOM", "User", "VendorType"}
)  # fmt: skip
"""Names of Intuit's schema that no query knows; recordings refuse them in other words than a name nobody knows."""

LISTS: Final = frozenset({"name", "list", "tax"})
TRANSACTIONS: Final = frozenset({"sale", "payment", "transaction"})


_ATTACHED_TO: Final = {
    f"attachableref.entityref.{name}": Property("AttachableRef", "text", filterable=True) for name in ("type", "value")
}


def filter_paths(resource: Resource) -> dict[str, Property]:
    """What a query may compare, by lower-case path (`metadata.lastupdatedtime`, `primaryemailaddr.address`)."""
    moment = Property("MetaData", "moment", filterable=True)
    paths = dict(_ATTACHED_TO) if resource.name == "Attachable" else {}
    paths |= {"metadata.createtime": moment, "metadata.lastupdatedtime": moment}
    for name, entry in resource.properties.items():
        if entry.filterable and name != "MetaData":
            paths[name.lower()] = entry
            if entry.kind == "one":
                paths |= {f"{name}.{inner}".lower(): SHAPES[entry.shape][inner] for inner in ("Address",)}
    return paths
