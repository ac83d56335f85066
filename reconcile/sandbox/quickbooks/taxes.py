"""Sales tax: what a form's tax is, and how agencies, rates and codes come to be.

United States: a line is TAX or NON and the form's TxnTaxCodeRef says which rates apply. Elsewhere every line carries
the id of its code. In the United States each rate is rounded once, on the form's taxable total; elsewhere on every
line, and then summed. Always half up.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from reconcile.sandbox.quickbooks import faults
from reconcile.sandbox.quickbooks.entities import RESOURCES, Resource
from reconcile.sandbox.quickbooks.faults import FaultError
from reconcile.sandbox.quickbooks.numbers import (
    HUNDRED,
    ZERO,
    JsonObject,
    amount,
    as_decimal,
    cents,
    parse_number,
    plain,
)
from reconcile.sandbox.quickbooks.state import CompanyState
from reconcile.sandbox.quickbooks.store import Record

_AUTOMATED: Final = "AUTO_TAX_CODE"
_LONGEST_NAME: Final = 100
_TAX_SERVICE: Final = ("TaxCode", "TaxCodeId", "TaxRateDetails", "Id", "SyncToken", "domain", "sparse", "Fault")
_RATE_DETAILS: Final = ("TaxRateName", "TaxRateId", "RateValue", "TaxAgencyId", "TaxApplicableOn")


@dataclass(frozen=True, slots=True)
class Rate:
    """One rate of a code, in percent.

    Attributes:
        id: The TaxRate.
        percent: For example `Decimal("7.1")`.
        on: `TaxOnAmount`, `TaxOnAmountPlusTax` or `TaxOnTax`.
    """

    id: str
    percent: Decimal
    on: str = "TaxOnAmount"


@dataclass(frozen=True, slots=True)
class TaxableLine:
    """The net amount of a line after its share of a discount that reduces tax, its rates, and its tax if known."""

    net: Decimal
    rates: tuple[Rate, ...]
    given: Decimal | None = None


@dataclass(frozen=True, slots=True)
class RateTotal:
    """Tax of one rate over a whole form."""

    rate: Rate
    net: Decimal
    tax: Decimal


def tax_by_rate(lines: list[TaxableLine], rounding: str = "line", *, combined: bool = False) -> list[RateTotal]:
    """Tax of a form, one entry per rate in the order of appearance.

    Args:
        lines: The lines with their rates.
        rounding: `line` rounds each rate on each line and sums; `rate` sums the nets and rounds once.
        combined: On a line, the rates together are rounded once, and the last rate takes the difference.
    """
    order: dict[str, Rate] = {}
    nets: dict[str, Decimal] = {}
    taxes: dict[str, Decimal] = {}
    for line in lines:
        so_far = exactly = ZERO
        for place, rate in enumerate(line.rates, start=1):
            base = {"TaxOnAmountPlusTax": line.net + so_far, "TaxOnTax": so_far}.get(rate.on, line.net)
            exact = base * rate.percent / HUNDRED
            exactly += exact
            tax = cents(exact) if rounding == "line" else exact
            if place == len(line.rates) and (combined or line.given is not None):
                tax = (cents(exactly) if line.given is None else line.given) - so_far
            so_far += tax
            order.setdefault(rate.id, rate)
            nets[rate.id] = nets.get(rate.id, ZERO) + base
            taxes[rate.id] = taxes.get(rate.id, ZERO) + tax
    return [RateTotal(rate, nets[key], cents(taxes[key])) for key, rate in order.items()]


def rates_of(state: CompanyState, code_id: str, side: str = "Sales") -> tuple[Rate, ...]:
    """The rates of a tax code on sales, or on purchases, in their order; empty for `NON` and codes without rates."""
    record = state.store.get("TaxCode", code_id)
    if record is None:
        return ()
    details = (record.body().get(f"{side}TaxRateList") or {}).get("TaxRateDetail") or []
    rates = []
    for detail in sorted(details, key=lambda entry: int(entry.get("TaxOrder", 0))):
        rate = state.store.get("TaxRate", str(detail["TaxRateRef"]["value"]))
        if rate is not None:
            percent = as_decimal(rate.body().get("RateValue"))
            rates.append(Rate(rate.id, percent, str(detail.get("TaxTypeApplicable", "TaxOnAmount"))))
    return tuple(rates)


def tax_on_line(state: CompanyState, net: Decimal, code: str) -> Decimal:
    """Tax on one line outside of the United States."""
    return sum((entry.tax for entry in tax_by_rate([TaxableLine(net, rates_of(state, code))])), ZERO)


def tax_detail(
    state: CompanyState, body: JsonObject, lines: list[tuple[Decimal, str]], given: list[Decimal | None] | None = None
) -> Decimal:
    """Work out a form's tax and write its TxnTaxDetail.

    Args:
        state: The company.
        body: The form; `TxnTaxDetail` as requested is read and replaced.
        lines: Net amount and tax code of each line that could be taxed.
        given: Tax of each line where the client has said what the line costs with tax.

    Returns:
        The total tax.
    """
    requested = body.pop("TxnTaxDetail", None) or {}
    if not state.preference("TaxPrefs", "UsingSalesTax", True):
        return ZERO
    if state.country != "US":
        return _foreign_tax(state, body, requested, lines, given or [None] * len(lines))
    taxed = [net for net, code in lines if code == "TAX"]
    code_id = automated_code(state) if state.switches.automated_sales_tax else _classic_code(state, body, requested)
    rates = rates_of(state, code_id) if code_id else ()
    totals = tax_by_rate([TaxableLine(net, rates) for net in taxed], state.switches.us_tax_rounding) if rates else []
    if (
        state.switches.automated_sales_tax
        and "TotalTax" in requested
        and requested.get("TotalTaxSpecified") is not False
    ):
        totals = _prorated(totals, as_decimal(requested["TotalTax"]))
    return _write(body, totals, code_id if totals else str((requested.get("TxnTaxCodeRef") or {}).get("value", "")))


def purchase_tax(state: CompanyState, body: JsonObject, lines: list[tuple[Decimal, str]]) -> Decimal:
    """Work out what was paid in tax on a purchase outside of the United States, and write its TxnTaxDetail.

    Args:
        state: The company.
        body: The document; `TxnTaxDetail` as requested is read and replaced. Its total, or else what its lines come
            to, is taken for the tax.
        lines: Net amount and tax code of each line.

    Returns:
        The total tax.
    """
    requested = body.pop("TxnTaxDetail", None) or {}
    if not any(code for _, code in lines):
        body.setdefault("GlobalTaxCalculation", "NotApplicable")
    if body.setdefault("GlobalTaxCalculation", "TaxExcluded") == "NotApplicable":
        return ZERO
    totals = tax_by_rate([TaxableLine(net, rates_of(state, code, "Purchase")) for net, code in lines])
    given = [as_decimal(line.get("Amount")) for line in requested.get("TaxLine") or ()]
    if totals and (given or "TotalTax" in requested):
        totals = _prorated(totals, as_decimal(requested.get("TotalTax", sum(given, ZERO))))
    return _write(body, totals, "")


def _classic_code(state: CompanyState, body: JsonObject, requested: JsonObject) -> str:
    if ref := requested.get("TxnTaxCodeRef"):
        return str(ref["value"])
    customer = state.store.get("Customer", str((body.get("CustomerRef") or {}).get("value", "")))
    if customer is not None:
        held = customer.body()
        if held.get("Taxable") and (ref := held.get("DefaultTaxCodeRef")):
            return str(ref["value"])
    ref = state.preference("TaxPrefs", "TaxGroupCodeRef") or {}
    return str(ref.get("value", ""))


def _foreign_tax(
    state: CompanyState,
    body: JsonObject,
    requested: JsonObject,
    lines: list[tuple[Decimal, str]],
    given: list[Decimal | None],
) -> Decimal:
    if body.get("GlobalTaxCalculation") == "NotApplicable":
        if requested.get("TaxLine") or as_decimal(requested.get("TotalTax")):
            sentence = "TxnTaxDetail cannot be given when GlobalTaxCalculation is NotApplicable."
            raise faults.one(6170, "Invalid Tax Detail", sentence, "TxnTaxDetail")
        return _write(body, [], "")
    if any(not code for _, code in lines):
        raise faults.business("Make sure all your transactions have a GST/HST rate before you save.")
    combined = state.switches.multi_rate_rounding == "combined"
    taxable = [TaxableLine(net, rates_of(state, code), own) for (net, code), own in zip(lines, given, strict=True)]
    totals = tax_by_rate(taxable, combined=combined)
    if "TotalTax" in requested and requested.get("TaxLine"):
        if state.switches.stale_tax_detail == "fault":
            _check_fits(totals, requested["TaxLine"])
        totals = _prorated(totals, as_decimal(requested["TotalTax"]))
    return _write(body, totals, "")


def _check_fits(totals: list[RateTotal], lines: list[JsonObject]) -> None:
    """Refuse a tax detail that was worked out for other lines than these."""
    nets = {entry.rate.id: cents(entry.net) for entry in totals}
    for line in lines:
        detail = line.get("TaxLineDetail") or {}
        rate = str((detail.get("TaxRateRef") or {}).get("value", ""))
        net = detail.get("NetAmountTaxable")
        if rate not in nets or (net is not None and cents(as_decimal(net)) != nets[rate]):
            raise faults.business("We're sorry, QuickBooks encountered an error while calculating tax.")


def _prorated(totals: list[RateTotal], wanted: Decimal) -> list[RateTotal]:
    """A total given by the client, spread over the rates in proportion; the last one takes what rounding leaves."""
    computed = sum((total.tax for total in totals), ZERO)
    spread: list[RateTotal] = []
    left = cents(wanted)
    for position, total in enumerate(totals):
        last = position == len(totals) - 1
        share = left if last or not computed else cents(wanted * total.tax / computed)
        left -= share
        spread.append(RateTotal(total.rate, total.net, share))
    return spread


def _write(body: JsonObject, totals: list[RateTotal], code_id: str) -> Decimal:
    total = sum((entry.tax for entry in totals), ZERO)
    detail: JsonObject = {}
    if code_id:
        detail["TxnTaxCodeRef"] = {"value": code_id}
    detail["TotalTax"] = amount(total)
    if totals:
        detail["TaxLine"] = [
            {
                "Amount": amount(entry.tax),
                "DetailType": "TaxLineDetail",
                "TaxLineDetail": {
                    "TaxRateRef": {"value": entry.rate.id},
                    "PercentBased": True,
                    "TaxPercent": plain(entry.rate.percent),
                    "NetAmountTaxable": amount(entry.net),
                },
            }
            for entry in totals
        ]
    body["TxnTaxDetail"] = detail
    return total


def automated_code(state: CompanyState) -> str:
    """The code of the automated engine, made when it is first needed."""
    known = state.store.find("name", "TaxCode", "", _AUTOMATED.casefold())
    if known:
        return known[0].id
    agency = state.add(
        RESOURCES["TaxAgency"], _agency({"DisplayName": "Automated Sales Tax", "TaxAgencyConfig": "SYSTEM_GENERATED"})
    )
    rate = _add_rate(state, "Automated Sales Tax", Decimal(state.switches.automated_tax_rate), str(agency["Id"]))
    return _add_code(state, _AUTOMATED, [rate], origin="SYSTEM_GENERATED")


def create_agency(state: CompanyState, resource: Resource, cleaned: JsonObject) -> JsonObject:
    """Add a tax agency."""
    name = str(cleaned.get("DisplayName", "")).strip()
    if not name:
        raise FaultError(faults.required("DisplayName"))
    if state.switches.agency_names_unique:
        for holder in state.store.find("name", "TaxAgency", "", name.casefold()):
            raise faults.duplicate_name(holder.id)
    body = {key: value for key, value in cleaned.items() if value != "" and key not in {"Id", "SyncToken", "sparse"}}
    return state.add(resource, _agency(body))


def update_name(state: CompanyState, resource: Resource, cleaned: JsonObject) -> JsonObject:
    """Rename, describe or deactivate a tax code or rate; nothing else of it can be changed."""
    stored = state.current(resource.name, cleaned).body()
    wanted = {name: cleaned[name] for name in ("Name", "Description", "Active") if cleaned.get(name) not in (None, "")}
    for holder in state.store.find("name", resource.name, "", str(wanted.get("Name", "")).strip().casefold()):
        if holder.id != stored["Id"]:
            raise faults.duplicate_name(holder.id)
    return state.change(resource, {**stored, **wanted})


def _agency(body: JsonObject) -> JsonObject:
    return {"TaxTrackedOnSales": True, "TaxTrackedOnPurchases": False, "TaxAgencyConfig": "USER_DEFINED", **body}


# Tax service -----------------------------------------------------------------------------------------------------


def create_code(state: CompanyState, request: Any) -> JsonObject:
    """POST taxservice/taxcode: a new code out of existing and new rates.

    Returns:
        The bare answer, without entity wrapper and time.
    """
    _check_known(request, "TaxService", _TAX_SERVICE)
    name = str(request.get("TaxCode") or "").strip()
    if not name:
        raise FaultError(faults.required("TaxCode"))
    if len(name) > _LONGEST_NAME:
        raise FaultError(faults.wrong_length("TaxCode", _LONGEST_NAME, len(name)))
    details = _details(request)
    if state.store.find("name", "TaxCode", "", name.casefold()):
        raise _taken("tax code")
    used: list[Record] = []
    answered = []
    for detail in details:
        rate = _existing_or_new_rate(state, detail)
        if any(rate.id == other.id for other in used):
            raise faults.business("The same tax rate cannot be used twice in a tax code.")
        used.append(rate)
        body = rate.body()
        answered.append(
            {
                "TaxRateName": body["Name"],
                "TaxRateId": rate.id,
                "RateValue": body["RateValue"],
                "TaxAgencyId": str(body["AgencyRef"]["value"]),
                "TaxApplicableOn": detail["TaxApplicableOn"],
            }
        )
    purchased = frozenset(rate["TaxRateId"] for rate in answered if rate["TaxApplicableOn"] == "Purchase")
    code_id = _add_code(state, name, used, purchased)
    return {"TaxCode": name, "TaxCodeId": code_id, "TaxRateDetails": answered}


def _details(request: JsonObject) -> list[JsonObject]:
    details: list[JsonObject] = request.get("TaxRateDetails") or []
    if not details:
        raise FaultError(faults.required("TaxRateDetails"))
    if not isinstance(details, list):
        raise FaultError(faults.unparseable())
    for detail in details:
        _check_known(detail, "TaxRateDetails", _RATE_DETAILS)
    return details


def _check_known(body: Any, shape: str, known: tuple[str, ...]) -> None:
    if not isinstance(body, dict):
        raise FaultError(faults.unparseable())
    for name, value in body.items():
        if name not in known:
            raise FaultError(faults.unknown_property(name, shape, known))
        if isinstance(value, dict | list) and name != "TaxRateDetails":
            raise FaultError(faults.unparseable())


def _existing_or_new_rate(state: CompanyState, detail: JsonObject) -> Record:
    if detail.get("TaxApplicableOn") not in {"Sales", "Purchase"}:
        raise faults.one(
            2270, "TaxApplicableOn Missing", "TaxApplicableOn is required: Sales or Purchase.", "TaxApplicableOn"
        )
    if detail.get("TaxRateId") not in (None, "", 0):
        held = state.store.get("TaxRate", str(detail["TaxRateId"]))
        if held is None:
            raise faults.bad_reference(f"TaxRates element id {detail['TaxRateId']} not found")
        return held
    name = str(detail.get("TaxRateName") or "").strip()
    value = parse_number(str(detail.get("RateValue", "")).removesuffix("%"))
    agency = str(detail.get("TaxAgencyId") or "")
    wanted = (("TaxRateName", name), ("RateValue", value is not None), ("TaxAgencyId", agency))
    faults.combined(faults.required(field) for field, given in wanted if not given)
    if len(name) > _LONGEST_NAME:
        raise FaultError(faults.wrong_length("TaxRateName", _LONGEST_NAME, len(name)))
    if value is None or not ZERO <= value <= HUNDRED:
        raise faults.one(
            2150, "Invalid Percent", f"Invalid Percent : Supplied value:{detail.get('RateValue')}", "RateValue"
        )
    if state.store.get("TaxAgency", agency) is None:
        raise faults.bad_reference(f"TaxAgencies element id {agency} not found")
    if state.store.find("name", "TaxRate", "", name.casefold()):
        raise _taken("tax rate")
    return _add_rate(state, name, value, agency)


def _taken(kind: str) -> FaultError:
    detail = (
        f"The name supplied already exists. : Another {kind} is already using this \nname. Please use a different name."
    )
    return faults.one(6240, "Duplicate Name Exists Error", detail)


def _add_rate(state: CompanyState, name: str, percent: Decimal, agency_id: str) -> Record:
    body = state.add(
        RESOURCES["TaxRate"],
        {
            "Name": name,
            "Description": name,
            "Active": True,
            "RateValue": plain(percent),
            "AgencyRef": {"value": agency_id},
            "SpecialTaxType": "NONE",
            "DisplayType": "ReadOnly",
            "EffectiveTaxRate": [
                {"RateValue": plain(percent), "EffectiveDate": f"{state.today().isoformat()}T00:00:00-08:00"}
            ],
        },
    )
    return state.record("TaxRate", str(body["Id"]))


def _add_code(
    state: CompanyState,
    name: str,
    rates: list[Record],
    purchased: frozenset[str] = frozenset(),
    origin: str = "USER_DEFINED",
) -> str:
    sales: list[JsonObject] = []
    purchases: list[JsonObject] = []
    for rate in rates:
        ref = {"value": rate.id, "name": str(rate.facts["name"])}
        entry: JsonObject = {"TaxTypeApplicable": "TaxOnAmount", "TaxRateRef": ref, "TaxOrder": 0}
        (purchases if rate.id in purchased else sales).append(entry)
    body = state.add(
        RESOURCES["TaxCode"],
        {
            "Name": name,
            "Description": name,
            "Active": True,
            "Hidden": False,
            "Taxable": True,
            "TaxGroup": True,
            "SalesTaxRateList": {"TaxRateDetail": sales},
            "PurchaseTaxRateList": {"TaxRateDetail": purchases},
            "TaxCodeConfigType": origin,
        },
    )
    return str(body["Id"])
