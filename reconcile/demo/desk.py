"""A person at work in QuickBooks: the few things the demo's day needs, done over the API of the local QuickBooks."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import requests

from reconcile.errors import RefusedError

SECONDS = 30
_ENCODER = msgspec.json.Encoder(decimal_format="number")


class BooksDesk:
    """Someone who works in the sample company's QuickBooks. Amounts and prices are decimal texts, as a person types."""

    def __init__(self, base_url: str, realm_id: str, access_token: str) -> None:
        self._company = f"{base_url}/v3/company/{realm_id}"
        self._session = requests.Session()
        self._session.headers.update({"Authorization": f"Bearer {access_token}", "Accept": "application/json"})

    def query(self, statement: str, entity: str) -> list[dict[str, Any]]:
        """Records that a query finds."""
        answer = self._session.post(
            f"{self._company}/query",
            params={"minorversion": "75"},
            data=statement.encode(),
            headers={"Content-Type": "application/text"},
            timeout=SECONDS,
        )
        found: list[dict[str, Any]] = _content(answer)["QueryResponse"].get(entity, [])
        return found

    def one(self, entity: str, field: str, value: str) -> dict[str, Any]:
        """The record whose field has that value."""
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        found = self.query(f"select * from {entity} where {field} = '{quoted}'", entity)  # noqa: S608  quoted above
        if len(found) != 1:
            raise RefusedError(f"The local QuickBooks has {len(found)} {entity} records with {field} {value!r}.")
        return found[0]

    def save(self, entity: str, **fields: Any) -> dict[str, Any]:
        """Create a record."""
        return self._post(entity, fields)

    def change(self, entity: str, record: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """Change some fields of a record."""
        return self._post(entity, {"Id": record["Id"], "SyncToken": record["SyncToken"], "sparse": True, **fields})

    def void_invoice(self, number: str) -> dict[str, Any]:
        """Void an invoice."""
        invoice = self.one("Invoice", "DocNumber", number)
        return self._post("Invoice", {"Id": invoice["Id"], "SyncToken": invoice["SyncToken"]}, operation="void")

    def new_invoice(
        self, number: str, customer: str, lines: Sequence[tuple[str, str, str]], *, tax_code: str | None = None
    ) -> dict[str, Any]:
        """Write an invoice; each line is product name, quantity and price. With a tax code every line is taxable."""
        items = []
        for product, quantity, price in lines:
            item = self.one("Item", "Name", product)
            items.append(
                {
                    "DetailType": "SalesItemLineDetail",
                    "Description": item.get("Description", product),
                    "Amount": (Decimal(quantity) * Decimal(price)).quantize(Decimal("0.01")),
                    "SalesItemLineDetail": {
                        "ItemRef": {"value": item["Id"]},
                        "Qty": Decimal(quantity),
                        "UnitPrice": Decimal(price),
                        "TaxCodeRef": {"value": "TAX" if tax_code else "NON"},
                    },
                }
            )
        who = self.one("Customer", "DisplayName", customer)
        fields: dict[str, Any] = {"DocNumber": number, "CustomerRef": {"value": who["Id"]}, "Line": items}
        if tax_code:
            code = self.one("TaxCode", "Name", tax_code)
            fields["TxnTaxDetail"] = {"TxnTaxCodeRef": {"value": code["Id"]}}
        return self.save("Invoice", **fields)

    def record_payment(self, customer: str, applied: Sequence[tuple[str, str]], reference: str) -> dict[str, Any]:
        """Record a payment received; ``applied`` names invoice numbers and amounts."""
        lines = []
        for number, amount in applied:
            invoice = self.one("Invoice", "DocNumber", number)
            lines.append({"Amount": Decimal(amount), "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]})
        who = self.one("Customer", "DisplayName", customer)
        total = sum((Decimal(amount) for _, amount in applied), Decimal())
        return self.save(
            "Payment", CustomerRef={"value": who["Id"]}, TotalAmt=total, PaymentRefNum=reference, Line=lines
        )

    def new_tax_rate(self, name: str, percent: str, agency: str) -> dict[str, Any]:
        """Add a sales tax rate through the tax service."""
        agencies = self.query("select * from TaxAgency", "TaxAgency")  # its name cannot be filtered (API file 3.2)
        found = next(candidate for candidate in agencies if candidate["DisplayName"] == agency)
        detail = {
            "TaxRateName": name,
            "RateValue": percent,
            "TaxAgencyId": found["Id"],
            "TaxApplicableOn": "Sales",
        }
        return self._post("taxservice/taxcode", {"TaxCode": name, "TaxRateDetails": [detail]})

    def _post(self, resource: str, body: dict[str, Any], **parameters: str) -> dict[str, Any]:
        answer = self._session.post(
            f"{self._company}/{resource.lower()}",
            params={"minorversion": "75", **parameters},
            data=_ENCODER.encode(body),
            headers={"Content-Type": "application/json"},
            timeout=SECONDS,
        )
        content = _content(answer)
        record: dict[str, Any] = content.get(resource, content)
        return record


def _content(answer: requests.Response) -> dict[str, Any]:
    content: dict[str, Any] = answer.json(parse_float=Decimal)
    faults = content.get("Fault") or content.get("fault")
    if faults or not answer.ok:
        raise RefusedError(f"The local QuickBooks said no ({answer.status_code}): {faults}")
    return content
