"""QuickBooks Online as the books side: everything that is peculiar to it stays in this room.

==============  ======================================================================================================
module          what lives there
==============  ======================================================================================================
``records``     the shapes of QuickBooks' JSON, typed
``mapping``     QuickBooks' records -> our words (pure)
``bodies``      our words -> QuickBooks' requests (pure)
``discounts``   the two ways of saying a discount (pure)
``faults``      refusals as values, in a bookkeeper's words
``query``       the one builder of query statements
``tokens``      tokens and where they are kept
``oauth``       how tokens are got: consent, exchange, renewal, revocation
``limiter``     how often we may call
``transport``   one HTTP exchange with its time-outs
``session``     a connection: python-quickbooks with what it lacks
``ahead``       pages asked for before they are needed
``pages``       bytes -> records
``frames``      records -> frames
``novelties``   what QuickBooks says for the first time
``preferences`` what the company has chosen that the sync depends on
``reader``      census, changes, single records
``writer``      create, update, void, deactivate; looking for lost records
==============  ======================================================================================================

How fields map. ``<->`` is carried both ways, ``->`` only read; what a row does not name is *preserved*: updates are
sparse and never mention it.

Customers (``Customer``; jobs and sub-customers are customers of their own)
    * display_name <-> DisplayName (read without the " (deleted)" of inactive ones); company_name <-> CompanyName;
      given_name <-> GivenName; family_name <-> FamilyName
    * email, more_emails <-> PrimaryEmailAddr.Address: the first of the comma-separated addresses, and the others
    * phone <-> PrimaryPhone.FreeFormNumber
    * address_line1, address_line2, city, region, postal_code, country <-> BillAddr Line1, Line2, City,
      CountrySubDivisionCode, PostalCode, Country; Line3 to Line5 are preserved
    * taxable <-> Taxable; active <-> Active; currency -> CurrencyRef (else the home currency)
    * parent_id -> ParentRef; full_name -> FullyQualifiedName; both are never set

Products (``Item`` of type Service, NonInventory, Inventory)
    * name <-> Name; description <-> Description; unit_price <-> UnitPrice; taxable <-> Taxable; sku <-> Sku;
      active <-> Active; type -> Type
    * stock and accounts are preserved; a new product is a Service with the company's income account
    * Category is no product and left out; Group (bundle) is a note

Tax rates (``TaxCode`` with TaxGroup true; TAX and NON are codes of lines)
    * name <-> Name; percent <-> sum of RateValue of its sales rates; agency <-> DisplayName of their agencies,
      joined by " + "; active -> Active; components -> each rate's name and percent
    * made through the tax service with one new rate; never changed; taxes on taxes cannot be read as a sum

Invoices (``Invoice``)
    * number <-> DocNumber, always sent; customer_id <-> CustomerRef; invoice_date <-> TxnDate; due_date <-> DueDate;
      memo <-> CustomerMemo; tax_rate_id <-> TxnTaxDetail.TxnTaxCodeRef (only where a line is taxable)
    * lines <-> SalesItemLineDetail (product_id, description, quantity, unit_price, amount, taxable: ItemRef,
      Description, Qty, UnitPrice, Amount, TaxCodeRef TAX); DescriptionOnly is a row of text; a line without ItemRef is
      a row without product, kept as it is; a bundle is read as its components and its lines are never rewritten;
      subtotals are computed
    * discount_percent, discount_taxable, discount_nontaxable <-> DiscountLineDetail and ApplyTaxAfterDiscount
      (``discounts``); what the other side cannot say is a held finding, or a failed write
    * void -> PrivateNote begins with "Voided" and nothing is left of TotalAmt; written by operation=void
    * subtotal, discount, tax, total, balance, state -> computed by QuickBooks; has_bundle -> GroupLineDetail
    * line tax codes other than TAX and NON, deposits on the invoice, prices that include tax: held findings

Payments (``Payment``)
    * customer_id <-> CustomerRef; payment_date <-> TxnDate; amount <-> TotalAmt; reference <-> PaymentRefNum (21
      characters, never cut); method <-> PaymentMethodRef (by its type and name; a brand of card is never guessed)
    * applications <-> lines linked to invoices; credit -> lines linked to credit memos, preserved on update
    * unapplied -> UnappliedAmt; deposited -> linked to a deposit; void as for invoices
    * links to journal entries, expenses and checks: held findings
"""

from reconcile.sides.quickbooks.limiter import HostLimiter, Limiter, Limits, Waiting, shared_limiter, unnoticed
from reconcile.sides.quickbooks.novelties import novelty_notes
from reconcile.sides.quickbooks.oauth import AuthorizationServer, Program
from reconcile.sides.quickbooks.preferences import Preferences, SalesTax
from reconcile.sides.quickbooks.reader import CDC_CAP, CDC_DAYS, CDC_ENTITIES, QuickBooksReader
from reconcile.sides.quickbooks.session import (
    FaultedError,
    Patience,
    QuickBooksConnection,
    QuickBooksSession,
)
from reconcile.sides.quickbooks.tokens import MemoryTokenStore, Tokens, TokenStore
from reconcile.sides.quickbooks.transport import Bounds
from reconcile.sides.quickbooks.writer import QuickBooksWriter

__all__ = [
    "CDC_CAP",
    "CDC_DAYS",
    "CDC_ENTITIES",
    "AuthorizationServer",
    "Bounds",
    "FaultedError",
    "HostLimiter",
    "Limiter",
    "Limits",
    "MemoryTokenStore",
    "Patience",
    "Preferences",
    "Program",
    "QuickBooksConnection",
    "QuickBooksReader",
    "QuickBooksSession",
    "QuickBooksWriter",
    "SalesTax",
    "TokenStore",
    "Tokens",
    "Waiting",
    "novelty_notes",
    "shared_limiter",
    "unnoticed",
]
