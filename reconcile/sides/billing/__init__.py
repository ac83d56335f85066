"""ReliaBills, reached through its SQL database (there is no public API).

``tables`` is what we know of its schema; ``records`` says which column is which field; ``connection`` opens the
database and turns its refusals into sentences; ``frames`` makes frames of rows and findings of malformed values;
``reader`` is the side as it can be read; ``rules`` is what ReliaBills allows; ``writer`` writes, one transaction each.
Reading cannot write: its connections are opened for reading only.
"""

from reconcile.sides.billing.reader import BillingReader
from reconcile.sides.billing.writer import BillingWriter

__all__ = ["BillingReader", "BillingWriter"]
