"""ReliaBills, reached through its SQL database (there is no public API).

``tables`` is what we know of its schema; ``records`` says which column is which field; ``connection`` opens the
database and turns its refusals into sentences; ``frames`` makes frames of rows and findings of malformed values;
``reader`` and ``writer`` are the side. Reading never locks and cannot write; each write is one transaction.
"""

from reconcile.sides.billing.reader import BillingReader

__all__ = ["BillingReader"]
