"""Stock: what a form takes from, or adds to, the quantity on hand of inventory items."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

from reconcile.sandbox.quickbooks.numbers import ZERO, JsonObject, as_decimal, plain
from reconcile.sandbox.quickbooks.state import CompanyState

_DIRECTION: Final = {
    "Invoice": -1,
    "SalesReceipt": -1,
    "CreditMemo": 1,
    "RefundReceipt": 1,
    "Bill": 1,
    "Purchase": 1,
    "VendorCredit": -1,
}


def _quantities(lines: Iterable[JsonObject]) -> Iterator[tuple[str, Decimal]]:
    for line in lines:
        detail = line.get(str(line.get("DetailType")))
        if not isinstance(detail, dict):
            continue
        if ref := detail.get("ItemRef"):
            yield str(ref["value"]), as_decimal(detail.get("Qty"))
        yield from _quantities(detail.get("Line", ()))


def move(state: CompanyState, entity: str, before: JsonObject | None, after: JsonObject | None) -> None:
    """Carry a new, changed or removed form over to the stock of its items."""
    direction = _DIRECTION.get(entity, 0)
    if not direction or not state.switches.stock_follows_sales:
        return
    moves: dict[str, Decimal] = {}
    for body, sign in ((before, -direction), (after, direction)):
        for item_id, quantity in _quantities((body or {}).get("Line", ())):
            moves[item_id] = moves.get(item_id, ZERO) + sign * quantity
    for item_id, by in moves.items():
        record = state.store.get("Item", item_id) if by else None
        if record is not None and record.facts.get("type") == "Inventory":
            body = record.body()
            body["QtyOnHand"] = plain(as_decimal(body.get("QtyOnHand")) + by)
            state.store.put("Item", body, silently=True)
