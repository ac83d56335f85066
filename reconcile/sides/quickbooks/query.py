"""The one place where QuickBooks' query statements are built: values are quoted, never pasted (API file 3.1)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

LARGEST_PAGE = 1000
LARGEST_BATCH = 30
"""Operations or queries of one batch (API file 5.1)."""

ALL_ACTIVE = "Active IN (true, false)"


def quoted(value: str) -> str:
    r"""A value as QuickBooks' string: ``quoted("O'Brien") == "'O\\'Brien'"``. A quote is never doubled there."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def equals(field: str, value: str) -> str:
    """``DocNumber = '1001'``."""
    return f"{field} = {quoted(value)}"


def among(field: str, values: Iterable[str]) -> str:
    """``Id IN ('1', '2')``."""
    return f"{field} IN ({', '.join(map(quoted, values))})"


def since(field: str, moment: datetime) -> str:
    """``MetaData.CreateTime >= '2026-11-22T04:30:00Z'``."""
    return f"{field} >= {quoted(moment.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%SZ'))}"


def select(resource: str, *conditions: str, start: int = 1, most: int = LARGEST_PAGE) -> str:
    """A page of whole records in the order of their ids. Items need their SKU asked for (API file 4.2)."""
    columns = "*, Sku" if resource == "Item" else "*"
    page = f"ORDERBY Id STARTPOSITION {start} MAXRESULTS {most}"
    return f"SELECT {columns} FROM {resource}{_where(conditions)} {page}"  # noqa: S608 - values come through quoted()


def count(resource: str, *conditions: str) -> str:
    """How many there are."""
    return f"SELECT COUNT(*) FROM {resource}{_where(conditions)}"  # noqa: S608 - values come through quoted()


def _where(conditions: Iterable[str]) -> str:
    said = [condition for condition in conditions if condition]
    return f" WHERE {' AND '.join(said)}" if said else ""
