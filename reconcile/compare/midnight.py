"""What the midnight job would charge twice: paid in QuickBooks, open in ReliaBills, and the customer on auto pay."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from reconcile.compare.canonical import is_live
from reconcile.model.entities import Entity
from reconcile.model.lookup import among, looked_up
from reconcile.model.money import show
from reconcile.model.snapshot import Snapshots, conform

RISK_COLUMNS = {
    "number": "str",
    "customer": "str",
    "billing_balance": "Int64",
    "books_balance": "Int64",
    "at_risk": "Int64",
    "currency": "str",
    "why": "str",
}


def midnight_risk(books: Snapshots, billing: Snapshots, pairs: Mapping[Entity, pd.DataFrame]) -> pd.DataFrame:
    """Invoices that ReliaBills would charge at midnight although QuickBooks has them paid, in part or in full.

    Args:
        books: QuickBooks as it is now.
        billing: ReliaBills as it is now.
        pairs: ``books_id`` and ``billing_id`` of every pair, per entity; an invoice that never had a counterpart is no
            risk, one whose counterpart was deleted is.

    Returns:
        Columns :data:`RISK_COLUMNS`, the largest risk first; ``at_risk`` is what is open in ReliaBills beyond what is
        open in QuickBooks, minor units.
    """
    customers = billing[Entity.CUSTOMER].frame
    on_auto_pay = customers["id"][customers["auto_pay"].to_numpy(dtype=bool, na_value=False)]
    invoices = billing[Entity.INVOICE].frame
    chargeable = is_live(invoices) & (invoices["state"] != "closed") & (invoices["balance"].fillna(0) > 0)
    open_there = invoices[chargeable.astype(bool) & among(invoices["customer_id"], on_auto_pay)]
    if open_there.empty:
        return conform(pd.DataFrame(), RISK_COLUMNS)
    links = pairs[Entity.INVOICE]
    counterpart = looked_up(open_there["id"], links["billing_id"], links["books_id"])
    here = books[Entity.INVOICE].frame.set_index("id")
    deleted = pd.Series(among(counterpart, books[Entity.INVOICE].gone), index=counterpart.index)
    known = deleted | among(counterpart, here.index)
    open_there, here = open_there[known], here.reindex(pd.Index(counterpart[known]))
    risk = pd.DataFrame(
        {
            "number": open_there["number"].array,
            "customer": looked_up(open_there["customer_id"], customers["id"], customers["display_name"]).array,
            "billing_balance": open_there["balance"].array,
            "books_balance": here["balance"].fillna(0).array,
            "currency": open_there["currency"].array,
            "void": ~is_live(here).to_numpy(),
            "deleted": deleted[known].to_numpy(),
        }
    )
    risk["at_risk"] = risk["billing_balance"] - risk["books_balance"]
    risk = risk[(risk["at_risk"] > 0).to_numpy(dtype=bool)].sort_values(["at_risk", "number"], ascending=[False, True])
    risk["why"] = [
        _why("deleted" if gone else "void" if void else "", int(balance), str(currency or ""))
        for gone, void, balance, currency in zip(
            risk["deleted"], risk["void"], risk["books_balance"], risk["currency"].fillna(""), strict=True
        )
    ]
    return risk[list(RISK_COLUMNS)].astype(RISK_COLUMNS).reset_index(drop=True)


def _why(ended: str, balance: int, currency: str) -> str:
    standing = ended or ("paid" if not balance else f"open with only {show(balance, currency)}")
    return f"It is {standing} in QuickBooks, and the customer is on auto pay."
