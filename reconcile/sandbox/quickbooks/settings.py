"""The company's own two objects: CompanyInfo and Preferences. Neither can be created or deleted."""

from typing import Any, Final

from reconcile.sandbox.quickbooks import faults
from reconcile.sandbox.quickbooks.entities import RESOURCES, Resource
from reconcile.sandbox.quickbooks.faults import FaultError
from reconcile.sandbox.quickbooks.numbers import JsonObject
from reconcile.sandbox.quickbooks.state import CompanyState, merged

_ALWAYS_ASKED: Final = ("CompanyName", "CompanyAddr")


def update(state: CompanyState, resource: Resource, cleaned: JsonObject) -> JsonObject:
    """Change the company's information or preferences."""
    cleaned.setdefault("Id", "1")
    stored = state.current(resource.name, {**cleaned, "Id": "1"}).body()
    if resource.name == "Preferences":
        sections = {name: value for name, value in cleaned.items() if name.endswith("Prefs")}
        if not all(isinstance(section, dict) for section in sections.values()):
            raise FaultError(faults.unparseable())
        body = _deeply_merged(stored, sections)
        _check_custom_fields(body)
        if _multicurrency(stored) and not _multicurrency(body):
            raise faults.business("Multicurrency cannot be turned off once it is on.")
        return state.change(resource, body)
    faults.combined(faults.required(name) for name in _ALWAYS_ASKED if not cleaned.get(name))
    body = merged(resource, stored, cleaned)
    if not str(body["CompanyName"]).strip():
        raise FaultError(faults.required("CompanyName"))
    state.give_address_ids(body, "CompanyAddr", "CustomerCommunicationAddr", "LegalAddr")
    return state.change(resource, body)


def show_tax_engine(state: CompanyState) -> None:
    """Let the preferences say whether the automated engine computes this company's tax."""
    stored = state.record("Preferences", "1").body()
    tax = stored.get("TaxPrefs") or {}
    automated = state.switches.automated_sales_tax
    if bool(tax.get("PartnerTaxEnabled")) != automated:
        stored["TaxPrefs"] = {**tax, "PartnerTaxEnabled": automated}
        with state.store.transaction():
            state.change(RESOURCES["Preferences"], stored, token=False)


def _multicurrency(body: JsonObject) -> bool:
    return bool((body.get("CurrencyPrefs") or {}).get("MultiCurrencyEnabled"))


def _check_custom_fields(body: JsonObject) -> None:
    """Every form reads them: definitions in groups, both as lists of objects."""
    groups = (body.get("SalesFormsPrefs") or {}).get("CustomField", [])
    if not _are_objects(groups) or not all(_are_objects(group.get("CustomField", [])) for group in groups):
        raise FaultError(faults.unparseable())


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _deeply_merged(held: Any, given: Any) -> Any:
    """Sections keep what a request does not mention, whether it is sparse or not: most of them cannot be written."""
    if isinstance(held, dict) and not isinstance(given, dict):
        raise FaultError(faults.plain_reference() if "value" in held else faults.unparseable())
    if held is not None and any(isinstance(held, kind) != isinstance(given, kind) for kind in (dict, list)):
        raise FaultError(faults.unparseable())
    if not isinstance(held, dict) or not isinstance(given, dict):
        return given
    result = dict(held)
    for name, value in given.items():
        if value == "" and not isinstance(held.get(name), dict):
            result.pop(name, None)
        else:
            result[name] = _deeply_merged(held.get(name), value)
    return result
