"""Which part of the sample company ReliaBills has, as one readable table.

QuickBooks has the whole sample company. What is named here exists in ReliaBills as well, or there alone; whatever is
not named exists in QuickBooks only. Invoices and payments that both have are the same facts, except where a difference
is listed. Amounts and prices are decimal texts, as a person types them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

COMPANY_NAME = "Craig's Design and Landscaping Services"

SHARED_CUSTOMERS = (
    "Amy's Bird Sanctuary",
    "Bill's Windsurf Shop",
    "Cool Cars",
    "Dukes Basketball Camp",
    "Freeman Sporting Goods",
    "Geeta Kalapatapu",
    "Gevelber Photography",
    "Jeff's Jalopies",
    "John Melton",
    "Kookies by Kathy",
    "Paulsen Medical Supplies",
    "Red Rock Diner",
    "Rondonuwu Fruit and Vegi",
    "Shara Barnett",
    "Sushi by Katsuyuki",
    "Travis Waldron",
    "Weiskopf Consulting",
)
"""By display name. Only in QuickBooks: the three jobs, Dylan Sollfrank (no e-mail) and eight more."""

CUSTOMER_DIFFERENCES: dict[str, dict[str, str | None]] = {
    "Bill's Windsurf Shop": {"phone": "(415) 444-6500"},  # another phone: held
    "Gevelber Photography": {"phone": None},  # blank here: filled from QuickBooks
    "Freeman Sporting Goods": {"address": None, "city": None, "region": None, "postal_code": None},  # blank here
    "Geeta Kalapatapu": {"further_emails": "Accounts@Kalapatapu.com"},  # blank in QuickBooks: filled from here
}
"""What ReliaBills has otherwise, by display name and column."""

AUTO_PAY = {
    "Jeff's Jalopies": "card",
    "Kookies by Kathy": "card",
    "Weiskopf Consulting": "echeck",
    "Amy's Bird Sanctuary": "card",
}
"""Customers enrolled in auto pay, and with what."""

BILLING_CUSTOMERS: tuple[dict[str, str | None], ...] = (
    {
        "account_name": "Bayshore Garden Center",
        "company_name": "Bayshore Garden Center",
        "first_name": "Accounts Payable",
        "last_name": "Bayshore Garden Center",
        "email": "Garden_center@intuit.com",
        "phone": "(650) 555-2210",
        "address": "4602 Finch St.",
        "city": "Bayshore",
        "region": "CA",
        "postal_code": "94326",
    },
    {
        "account_name": "Twin Lane Homeowners Association",
        "company_name": "Twin Lane Homeowners Association",
        "first_name": "Accounts Payable",
        "last_name": "Twin Lane Homeowners Association",
        "email": "Twin_lane@intuit.com",
        "phone": "(650) 555-0955",
        "address": "57 Twin Lane",
        "city": "South Orange",
        "region": "NJ",
        "postal_code": "07079",
    },
)
"""Customers that only ReliaBills has."""

SHARED_PRODUCTS = (
    "Concrete",
    "Design",
    "Gardening",
    "Hours",
    "Installation",
    "Lighting",
    "Maintenance & Repair",
    "Pest Control",
    "Pump",
    "Rock Fountain",
    "Rocks",
    "Sod",
    "Soil",
    "Sprinkler Heads",
    "Sprinkler Pipes",
    "Trimming",
)
"""By name. Only in QuickBooks: Services, Refunds & Allowances."""

PRODUCT_DIFFERENCES: dict[str, dict[str, str | None]] = {
    "Pump": {"unit_price": "16.50", "sku": None},  # another price: held; no SKU here: filled from QuickBooks
    "Soil": {"description": "Potting soil, 2 cubic ft. bag"},  # another description: held
    "Rocks": {"description": None},  # blank here: filled from QuickBooks
}
"""What ReliaBills has otherwise, by name and column."""

BILLING_PRODUCTS: tuple[dict[str, str], ...] = (
    {"name": "Mulching", "description": "Bark mulch, spread", "unit_price": "45", "taxable": "yes"},
    {"name": "Irrigation Check", "description": "Check of the irrigation system", "unit_price": "60", "taxable": "no"},
)
"""Products that only ReliaBills has."""

SHARED_TAX_RATES = ("California", "Tucson")
BILLING_TAX_RATES = (("Bayshore", "8.5", "Board of Equalization"),)
"""Name, percent and agency of the rates that only ReliaBills has."""

SHARED_INVOICES = (
    "1001",
    "1002",
    "1004",
    "1007",
    "1010",
    "1013",
    "1015",  # 5 percent off
    "1016",
    "1017",
    "1018",
    "1021",
    "1022",
    "1023",
    "1024",
    "1025",  # paid by money and by a credit
    "1027",
    "1029",  # two tax rates in one
    "1033",
    "1034",
)
"""By number. Only in QuickBooks: those of the jobs, 1009 (an item typed in), 1019, 1032, 1035 and 1037."""

INVOICE_DIFFERENCES: dict[str, dict[str, str | int | None]] = {
    "1023": {"due_date": 15},  # due 15 days later here: held
    "1024": {"memo": None},  # blank here: filled from QuickBooks
}
"""What ReliaBills has otherwise, by number and column; a due date as days later."""

PAYMENTS_ONLY_IN_QUICKBOOKS = ("120",)
"""Sample ids of payments on shared invoices that ReliaBills does not know: 1004 is open here, paid in QuickBooks."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an invoice that only ReliaBills has: product name, quantity, price, and whether it is taxed."""

    product: str
    quantity: str
    price: str
    taxable: bool = False


@dataclass(frozen=True, slots=True)
class BillingInvoice:
    """An invoice that only ReliaBills has; ``age`` is its age in days on the day before the demo."""

    number: str
    customer: str
    age: int
    lines: tuple[Line, ...]
    tax_rate: str | None = None
    discounts: dict[str, str] = field(default_factory=dict)
    memo: str | None = None


BILLING_INVOICES = (
    BillingInvoice(
        "100",
        "Bayshore Garden Center",
        20,
        (Line("Concrete", "10", "27.50", taxable=True), Line("Design", "4", "75")),
        tax_rate="California",
        discounts={"percent": "10"},
        memo="Thank you for your business and have a great day!",
    ),
    BillingInvoice(
        "101",
        "Twin Lane Homeowners Association",
        14,
        (Line("Mulching", "12", "45", taxable=True),),
        tax_rate="Bayshore",
        discounts={"taxable": "40"},
    ),
    BillingInvoice(
        "102",
        "Twin Lane Homeowners Association",
        9,
        (Line("Rocks", "20", "2", taxable=True), Line("Irrigation Check", "3", "60")),
        tax_rate="California",
        discounts={"nontaxable": "30"},
    ),
    BillingInvoice("103", "Sushi by Katsuyuki", 4, (Line("Gardening", "4", "20"), Line("Pest Control", "1", "35"))),
)
"""Invoices that only ReliaBills has, one with each of the three kinds of discount."""


@dataclass(frozen=True, slots=True)
class BillingPayment:
    """A payment that only ReliaBills has; ``age`` in days as above, amounts by invoice number."""

    customer: str
    age: int
    method: str
    kind: str
    applied: dict[str, str]
    reference: str | None = None


BILLING_PAYMENTS = (
    BillingPayment("Bayshore Garden Center", 6, "check", "offline", {"100": "250"}, reference="2207"),
    BillingPayment("Sushi by Katsuyuki", 2, "card", "online", {"103": "115"}),
)
"""Payments that only ReliaBills has."""


@dataclass(frozen=True, slots=True)
class Recurring:
    """A recurring profile; ``due_in`` is the number of days from the demo's day to its first invoice."""

    customer: str
    due_in: int
    every: int
    unit: str
    count: int | None
    lines: tuple[Line, ...]
    tax_rate: str | None = None


RECURRING = (
    Recurring("Jeff's Jalopies", 0, 7, "days", 12, (Line("Gardening", "3", "25", taxable=True),), "California"),
    Recurring("Weiskopf Consulting", 0, 1, "months", None, (Line("Maintenance & Repair", "2", "50"),)),
    Recurring("Bayshore Garden Center", 10, 1, "months", 6, (Line("Gardening", "8", "25"),)),
)
"""The first two are due on the demo's day, for customers on auto pay."""
