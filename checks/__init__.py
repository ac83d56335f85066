"""The rules an accountant can read: one Great Expectations suite per entity, and one across them.

Reading order: :mod:`checks.declaration` says what a check is; :mod:`checks.customers` to :mod:`checks.payments` and
:mod:`checks.across` declare them, each a table with severity, sentence and remedy over helper columns computed for
whole frames; :mod:`checks.engine` hands those columns to Great Expectations; :mod:`checks.validation` turns what
failed into findings.

Great Expectations is imported by :mod:`checks.engine` alone, and only when a suite is run: the import takes seconds and
a quarter of a gigabyte. Its Data Docs are never built (they print values unescaped); what leaves this package are
counts, record keys and sentences.
"""

from __future__ import annotations

import os

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read by Great Expectations when it is imported, so it stands first

from checks.declaration import Check, Suite
from checks.engine import BrokenCheckError
from checks.validation import RESULT_COLUMNS, SUITES, Validation, validate

__all__ = ["RESULT_COLUMNS", "SUITES", "BrokenCheckError", "Check", "Suite", "Validation", "validate"]
