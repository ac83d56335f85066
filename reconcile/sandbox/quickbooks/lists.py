"""Lists: customers, vendors, employees, items, accounts, terms, payment methods, classes, departments, currencies.

They are never deleted, only deactivated. Their names are unique, across customers, vendors and employees together.
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Final

from reconcile.sandbox.quickbooks import faults
from reconcile.sandbox.quickbooks.entities import RESOURCES, SHAPES, TRANSACTIONS, Property, Resource
from reconcile.sandbox.quickbooks.faults import FaultError
from reconcile.sandbox.quickbooks.numbers import ZERO, JsonObject, amount, as_decimal
from reconcile.sandbox.quickbooks.state import CURRENCY_NAMES, CompanyState, merged, money_of, references
from reconcile.sandbox.quickbooks.store import Record

_DELETED: Final = " (deleted)"
_DEEPEST: Final = 4
_DEEPEST_CATEGORY: Final = 3
_NAME_PARTS: Final = ("Title", "GivenName", "MiddleName", "FamilyName", "Suffix")
_NESTING: Final = {
    "Customer": "Job",
    "Item": "SubItem",
    "Account": "SubAccount",
    "Class": "SubClass",
    "Department": "SubDepartment",
}
_LONGEST_US_ACCOUNT_NUMBER: Final = 7
_VISIBLE_TAX_DIGITS: Final = 5
_VISIBLE_VENDOR_DIGITS: Final = 4
_EXEMPTION_REASONS: Final = frozenset(str(number) for number in range(1, 16))
_SHORT_NUMBER_COUNTRIES: Final = frozenset({"US", "UK", "IN"})

_CLASSIFICATION: Final = {
    "Bank": "Asset",
    "Accounts Receivable": "Asset",
    "Other Current Asset": "Asset",
    "Fixed Asset": "Asset",
    "Other Asset": "Asset",
    "Accounts Payable": "Liability",
    "Credit Card": "Liability",
    "Other Current Liability": "Liability",
    "Long Term Liability": "Liability",
    "Equity": "Equity",
    "Income": "Revenue",
    "Other Income": "Revenue",
    "Cost of Goods Sold": "Expense",
    "Expense": "Expense",
    "Other Expense": "Expense",
}
_SUBTYPE: Final = {
    "Bank": "CashOnHand",
    "Accounts Receivable": "AccountsReceivable",
    "Other Current Asset": "EmployeeCashAdvances",
    "Fixed Asset": "FurnitureAndFixtures",
    "Other Asset": "Licenses",
    "Accounts Payable": "AccountsPayable",
    "Credit Card": "CreditCard",
    "Other Current Liability": "OtherCurrentLiabilities",
    "Long Term Liability": "NotesPayable",
    "Equity": "OpeningBalanceEquity",
    "Income": "SalesOfProductIncome",
    "Other Income": "OtherMiscellaneousIncome",
    "Cost of Goods Sold": "SuppliesMaterialsCogs",
    "Expense": "Travel",
    "Other Expense": "OtherMiscellaneousExpense",
}
_CHILDLESS_SUBTYPES: Final = frozenset(
    {"UndepositedFunds", "OpeningBalanceEquity", "RetainedEarnings", "AccountsReceivable", "AccountsPayable"}
)
_ITEM_ACCOUNTS: Final = {
    "IncomeAccountRef": frozenset({"Income", "Other Income"}),
    "ExpenseAccountRef": frozenset({"Expense", "Cost of Goods Sold", "Other Expense"}),
    "AssetAccountRef": frozenset({"Other Current Asset"}),
}
_NAMING_OTHERS: Final = tuple(
    name for name, resource in RESOURCES.items() if name == "Item" or resource.group in TRANSACTIONS
)
_BOUGHT: Final = tuple(name for name, resource in RESOURCES.items() if resource.group == "transaction")
"""What people stand in without being found by them: the customer of a line, who was paid, whom a posting concerns."""
_UNSOLD: Final = frozenset({"Category", "Group", "Assembly"})
WRONG_ACCOUNT: Final = "You need to select a different type of account for this transaction."


def create(state: CompanyState, resource: Resource, cleaned: JsonObject) -> JsonObject:
    """Add a list object."""
    body = {name: value for name, value in cleaned.items() if value != "" and name not in {"Id", "SyncToken", "sparse"}}
    state.resolve(resource, body)
    _PREPARE[resource.name](state, body, None)
    body.setdefault("Active", True)
    _place(state, resource, body, None)
    _require_unique(state, resource, body, None)
    return state.add(resource, body)


def update(state: CompanyState, resource: Resource, cleaned: JsonObject) -> JsonObject:
    """Change, deactivate or reactivate a list object."""
    record = state.current(resource.name, cleaned)
    stored = record.body()
    merged_away = state.store.mark(f"merged {resource.name} {record.id}") is not None
    if not merged_away and not record.active and _says_nothing_new(stored, cleaned):
        return stored
    if merged_away or (not record.active and cleaned.get("Active") is not True):
        raise faults.business("You cannot modify a list element that has been deleted.")
    state.resolve(resource, cleaned, frozenset(references(resource.properties, stored)))
    body = merged(resource, stored, cleaned)
    if not record.active:
        _unmark(resource, body)
    body.setdefault("Active", True)
    _PREPARE[resource.name](state, body, stored)
    if body["Active"] is False and record.active:
        _check_removable(state, resource, stored)
    _place(state, resource, body, stored)
    if body["Active"] is not False:
        _require_unique(state, resource, body, stored)
    elif state.switches.inactive_name_suffix:
        _mark(resource, body)
    changed = state.change(resource, body)
    if resource.name == "Customer" and changed.get("ParentRef") != stored.get("ParentRef"):
        _carry_balance(state, stored, changed)
    if changed.get("FullyQualifiedName") != stored.get("FullyQualifiedName"):
        _rename_children(state, resource, changed)
    if resource.naming and changed.get(resource.naming) != stored.get(resource.naming):
        _rename_references(state, resource, changed)
    return changed


def _says_nothing_new(stored: JsonObject, cleaned: JsonObject) -> bool:
    """Whether a sparse request asks once more for what is: to deactivate what is inactive is answered as it is."""
    asked = {name: value for name, value in cleaned.items() if name not in {"Id", "SyncToken", "sparse"}}
    return bool(cleaned.get("sparse") and asked) and all(stored.get(name) == value for name, value in asked.items())


# Merging ---------------------------------------------------------------------------------------------------------


def merge(state: CompanyState, resource: Resource, gone_id: str, kept_id: str) -> None:
    """Merge a customer or vendor into another, as a person does by giving both the same name.

    What was sold to (or bought from) the one now belongs to the other; the one is inactive for good.

    Raises:
        FaultError: One of them is missing, inactive, or they are the same; or their currencies differ.
    """
    gone, kept = state.record(resource.name, gone_id), state.record(resource.name, kept_id)
    if not (gone.active and kept.active) or gone.id == kept.id:
        raise faults.business("You cannot modify a list element that has been deleted.")
    before, target = gone.body(), kept.body()
    if (before.get("CurrencyRef") or {}).get("value") != (target.get("CurrencyRef") or {}).get("value"):
        raise faults.business("The currency of the transaction is invalid for customer/vendor/account.")
    if any(above.id == gone.id for above in _chain(state, resource, kept)):
        sentence = "An object cannot be merged into one of its own."
        raise faults.one(900, "Object Is Its Own Parent", sentence, "ParentRef")
    index, ref = ("customer", "CustomerRef") if resource.name == "Customer" else ("vendor", "VendorRef")
    for record in state.store.find(index, gone.id):
        body = record.body()
        body[ref] = {"value": kept.id, "name": state.name_of(resource.name, kept)}
        state.store.put(record.entity, body, silently=True)
    for record in state.store.find("parent", resource.name, gone.id):
        child = record.body()
        child["ParentRef"] = {"value": kept.id}
        child["FullyQualifiedName"] = f"{target['FullyQualifiedName']}:{child[resource.naming]}"
        state.store.put(resource.name, child, silently=True)
        _rename_children(state, resource, child)
    held = money_of(before, "Balance")
    if resource.name == "Customer":
        with_jobs = money_of(before, "BalanceWithJobs")
        _add_with_jobs(state, gone, -with_jobs)
        _add_with_jobs(state, state.record(resource.name, kept.id), with_jobs)
    after = state.record(resource.name, kept.id).body()
    after["Balance"] = amount(money_of(after, "Balance") + held)
    state.change(resource, after)
    body = {**state.record(resource.name, gone.id).body(), "Active": False, "Balance": 0}
    if resource.name == "Customer":
        body["BalanceWithJobs"] = 0
    if state.switches.inactive_name_suffix:
        _mark(resource, body)
    state.store.set_mark(f"merged {resource.name} {gone.id}", kept.id)
    state.change(resource, body)


# Names, places in a hierarchy ------------------------------------------------------------------------------------


def _mark(resource: Resource, body: JsonObject) -> None:
    if resource.name == "CompanyCurrency":
        return
    for name in (resource.naming, "FullyQualifiedName"):
        if name in body and not str(body[name]).endswith(_DELETED):
            body[name] = f"{body[name]}{_DELETED}"


def _unmark(resource: Resource, body: JsonObject) -> None:
    for name in (resource.naming, "FullyQualifiedName"):
        if name in body:
            body[name] = str(body[name]).removesuffix(_DELETED)


def _require_unique(state: CompanyState, resource: Resource, body: JsonObject, stored: JsonObject | None) -> None:
    name = str(body.get(resource.naming, ""))
    whole = resource.name == "Item" and state.switches.item_name_space == "company"
    nested = resource.name in {"Item", "Account", "Class"} and not whole
    within = (body.get("ParentRef") or {}).get("value", "") if nested else ""
    own = None if stored is None else (resource.name, str(stored["Id"]))
    for holder in _holders(state, resource, name, within, whole=whole):
        taken = holder.active or state.switches.inactive_names_collide
        exact = state.switches.name_comparison == "exact" and holder.body().get(resource.naming) != name
        if taken and not exact and (holder.entity, holder.id) != own:
            raise faults.duplicate_name(holder.id)


def _holders(state: CompanyState, resource: Resource, name: str, within: str, *, whole: bool) -> Iterator[Record]:
    spellings = [name.strip().casefold()]
    if state.switches.inactive_names_collide:
        spellings.append(f"{name.strip()}{_DELETED}".casefold())
    for spelling in spellings:
        if whole:
            yield from (one for one in state.store.all(resource.name)
                        if str(one.facts.get("name", "")).strip().casefold() == spelling)  # fmt: skip
        else:
            yield from state.store.find("name", resource.naming_space, str(within), spelling)


def _place(state: CompanyState, resource: Resource, body: JsonObject, stored: JsonObject | None) -> None:
    """FullyQualifiedName, Level and the flag that says that an object has a parent."""
    flag = _NESTING.get(resource.name)
    if flag is None:
        return
    name = str(body[resource.naming])
    parent_ref = body.get("ParentRef")
    if parent_ref is None:
        if body.get(flag) is True and resource.name in {"Customer", "Item"}:
            raise faults.one(
                6150, "Parent Reference Conflict", f"{flag} is true, but ParentRef is missing.", "ParentRef"
            )
        body["FullyQualifiedName"] = name
        body.pop("Level", None)
        if resource.name != "Item":
            body[flag] = False
        else:
            body.pop(flag, None)
        return
    parent = state.record(resource.name, str(parent_ref["value"]))
    if stored is not None and any(above.id == stored["Id"] for above in _chain(state, resource, parent)):
        raise faults.one(900, "Object Is Its Own Parent", "An object cannot be its own parent.", "ParentRef")
    held = parent.body()
    if resource.name == "Account":
        _check_above(body, held)
    level = int(held.get("Level", 0)) + 1 if resource.name != "Account" else len(list(_chain(state, resource, parent)))
    if level > (_DEEPEST_CATEGORY if body.get("Type") == "Category" else _DEEPEST):
        raise faults.one(6180, "Too Many Levels", "You can only have up to 5 levels of sub elements.", "ParentRef")
    if resource.name == "Item":
        body["ParentRef"] = {**parent_ref, "name": held["FullyQualifiedName"]}
    body["FullyQualifiedName"] = f"{held['FullyQualifiedName']}:{name}"
    body[flag] = True
    if resource.name != "Account":
        body["Level"] = level


def _check_above(body: JsonObject, above: JsonObject) -> None:
    if above.get("AccountSubType") in _CHILDLESS_SUBTYPES:
        raise faults.business(f"The account {above['Name']} cannot have sub-accounts.")
    if above.get("AccountType") != body["AccountType"]:
        raise faults.business("When you create a subaccount, you must use the same account type as its parent.")


def _chain(state: CompanyState, resource: Resource, record: Record) -> Iterator[Record]:
    """The record, its parent, and so on to the top."""
    above: Record | None = record
    while above is not None:
        yield above
        parent = above.facts.get("parentref")
        above = state.store.get(resource.name, str(parent)) if parent else None


def _rename_children(state: CompanyState, resource: Resource, parent: JsonObject) -> None:
    for record in state.store.find("parent", resource.name, str(parent["Id"])):
        child = record.body()
        child["FullyQualifiedName"] = f"{parent['FullyQualifiedName']}:{child[resource.naming]}"
        if resource.name == "Item":
            child["ParentRef"]["name"] = parent["FullyQualifiedName"]
        state.store.put(resource.name, child, silently=True)
        if resource.name == "Account":
            _rename_references(state, resource, child)
        _rename_children(state, resource, child)


def _rename_references(state: CompanyState, resource: Resource, named: JsonObject) -> None:
    """A reference shows the name that its target has now, so a new name is written wherever the old one stands."""
    record_id = str(named["Id"])
    name = str(named["FullyQualifiedName" if resource.name == "Account" else resource.naming])
    needle = b'"value":"' + record_id.encode() + b'"'
    people = resource.group == "name"
    records = list(state.store.find(resource.name.lower(), record_id)) if people else []
    for kind in _BOUGHT if people else _NAMING_OTHERS:
        records += [one for one in state.store.all(kind) if needle in one.json]
    for record in records:
        body = record.body()
        if _renamed(RESOURCES[record.entity].properties, body, (resource.name, record_id), name):
            state.store.put(record.entity, body, silently=True)


def _renamed(known: Mapping[str, Property], body: JsonObject, target: tuple[str, str], name: str) -> bool:
    """Write a name beside each reference to a target, and say whether there is one."""
    found = False
    for key, value in body.items():
        entry = known.get(key)
        if entry is None or not value:
            continue
        if entry.kind == "many":
            for element in value:
                found |= _renamed(SHAPES[entry.shape], element, target, name)
        elif entry.kind == "one" and entry.shape not in {"ReferenceType", "EntityTypeRef"}:
            found |= _renamed(SHAPES[entry.shape], value, target, name)
        elif entry.kind in {"ref", "one"}:
            held = value.get("EntityRef", value)
            kinds = entry.choices if entry.kind == "ref" else (value.get("type") or value.get("Type"),)
            if target[0] in kinds and "name" in held and held.get("value") == target[1]:
                held["name"] = name
                found = True
    return found


def _check_removable(state: CompanyState, resource: Resource, stored: JsonObject) -> None:
    if resource.group == "name" and money_of(stored, "Balance") != ZERO:
        kind = resource.name.lower()
        raise faults.one(
            6220,
            "Delete List Has Balance Error",
            "The entity you are trying to delete has an open balance. : "
            f"This {kind} cannot be deleted because it has a non-zero balance",
        )
    if resource.name == "Customer" and _has_unbilled_charges(state, str(stored["Id"])):
        sentence = "This customer cannot be deleted because it has unbilled charges."
        raise faults.one(6280, "Delete List Has Unbilled Charge Error", sentence)


def _has_unbilled_charges(state: CompanyState, customer_id: str) -> bool:
    return any(
        detail.get("BillableStatus") == "Billable" and (detail.get("CustomerRef") or {}).get("value") == customer_id
        for kind in ("Bill", "Purchase")
        for record in state.store.all(kind)
        for line in record.body().get("Line", ())
        if isinstance(detail := line.get(str(line.get("DetailType"))), dict)
    )


# What each list asks for -----------------------------------------------------------------------------------------


def _prepare_name(state: CompanyState, body: JsonObject, stored: JsonObject | None) -> None:
    if not str(body.get("DisplayName", "")).strip():
        if stored is not None and "DisplayName" not in body:
            body["DisplayName"] = stored["DisplayName"]
        else:
            parts = [str(body[part]).strip() for part in _NAME_PARTS if str(body.get(part, "")).strip()]
            if not parts:
                sentence = "One of Title, GivenName, MiddleName, FamilyName, Suffix or DisplayName is required."
                raise faults.one(6080, "Name Required", sentence, "DisplayName")
            body["DisplayName"] = " ".join(parts)
    body.setdefault("PrintOnCheckName", body["DisplayName"])
    if state.multicurrency and stored is not None and (held := stored.get("CurrencyRef")):
        body["CurrencyRef"] = held


def _prepare_customer(state: CompanyState, body: JsonObject, stored: JsonObject | None) -> None:
    _prepare_name(state, body, stored)
    if body.get("ParentRef") and body.get("Job") is False and not (stored and stored.get("ParentRef")):
        raise faults.one(6150, "Parent Reference Conflict", "ParentRef is given, but Job is false.", "Job")
    body.setdefault("Taxable", False)
    body.setdefault("Job", bool(body.get("ParentRef")))
    body.setdefault("BillWithParent", False)
    body.setdefault("PreferredDeliveryMethod", "Print")
    body.setdefault("IsProject", False)
    body.setdefault("CurrencyRef", state.currency_ref())
    if stored is None:
        opening = as_decimal(body.pop("Balance", None))
        if opening and "OpenBalanceDate" not in body:
            raise faults.one(6060, "Opening Balance Date Missing", "Opening balance needs an OpenBalanceDate.")
        body["Balance"] = 0
        body["BalanceWithJobs"] = 0
    else:
        body["Balance"] = stored.get("Balance", 0)
        body["BalanceWithJobs"] = stored.get("BalanceWithJobs", 0)
    _mask(body, "PrimaryTaxIdentifier", _VISIBLE_TAX_DIGITS)
    if not body["Taxable"]:
        body.pop("DefaultTaxCodeRef", None)
    if "TaxExemptionReasonId" in body and str(body["TaxExemptionReasonId"]) not in _EXEMPTION_REASONS:
        sentence = "TaxExemptionReasonId must be between 1 and 15."
        raise faults.one(2240, "Invalid Range", sentence, "TaxExemptionReasonId")
    state.give_address_ids(body, "BillAddr", "ShipAddr")


def _mask(body: JsonObject, name: str, visible: int) -> None:
    """Hide all but the last signs of a number that identifies somebody."""
    if identifier := str(body.get(name, "")):
        hidden = max(len(identifier) - visible, 0)
        body[name] = "X" * hidden + identifier[hidden:]


def _prepare_vendor(state: CompanyState, body: JsonObject, stored: JsonObject | None) -> None:
    _prepare_name(state, body, stored)
    body["Balance"] = (stored or {}).get("Balance", 0)
    body.setdefault("Vendor1099", False)
    _mask(body, "TaxIdentifier", _VISIBLE_VENDOR_DIGITS)
    body.setdefault("CurrencyRef", state.currency_ref())
    state.give_address_ids(body, "BillAddr", "ShipAddr")


def _prepare_employee(state: CompanyState, body: JsonObject, stored: JsonObject | None) -> None:
    built = " ".join(str(body[part]).strip() for part in _NAME_PARTS if str(body.get(part, "")).strip())
    if built and "DisplayName" not in body:
        body["DisplayName"] = built
    _prepare_name(state, body, stored)
    body.setdefault("BillableTime", False)
    if body.get("SSN"):
        body["SSN"] = "XXX-XX-XXXX"
    state.give_address_ids(body, "PrimaryAddr")


def _require_name(body: JsonObject) -> None:
    if not str(body.get("Name", "")).strip():
        raise FaultError(faults.required("Name"))


def _prepare_item(state: CompanyState, body: JsonObject, stored: JsonObject | None) -> None:
    _require_name(body)
    held_type = None if stored is None else stored.get("Type")
    usual = "Inventory" if body.get("TrackQtyOnHand") else state.switches.default_item_type
    body.setdefault("Type", held_type or usual)
    if held_type == "Inventory" and body["Type"] != "Inventory":
        raise faults.business("You cannot change the type of an inventory item.")
    for name, kinds in _ITEM_ACCOUNTS.items():
        if ref := body.get(name):
            account = state.record("Account", str(ref["value"]))
            if account.facts.get("accounttype") not in kinds:
                raise faults.business(WRONG_ACCOUNT)
    if body["Type"] == "Inventory":
        _prepare_inventory(body, stored)
        if body.get("Active") is False and state.switches.deactivated_stock == "zeroed":
            body["QtyOnHand"] = 0
    elif body["Type"] not in _UNSOLD and not (body.get("IncomeAccountRef") or body.get("ExpenseAccountRef")):
        raise FaultError(faults.required("ExpenseAccountRef or IncomeAccountRef"))
    if body["Type"] == "Group":
        _name_members(state, body)
    if body["Type"] != "Category":
        body.setdefault("Taxable", False)
        body.setdefault("UnitPrice", 0)
        body.setdefault("PurchaseCost", 0)
        body.setdefault("TrackQtyOnHand", False)


def _name_members(state: CompanyState, body: JsonObject) -> None:
    """Write the type beside the id and the name of each item of a bundle.

    Raises:
        FaultError: 2020 for a line without item.
    """
    for line in (body.get("ItemGroupDetail") or {}).get("ItemGroupLine", ()):
        if not line.get("ItemRef"):
            raise FaultError(faults.required("ItemGroupDetail.ItemGroupLine.ItemRef"))
        line["ItemRef"]["type"] = str(state.record("Item", str(line["ItemRef"]["value"])).facts["type"])


def _prepare_inventory(body: JsonObject, stored: JsonObject | None) -> None:
    if not body.get("AssetAccountRef"):
        sentence = "An inventory assetaccount is required if you are tracking inventory quantities for this product."
        raise FaultError(faults.required_because(sentence, "AssetAccountRef"))
    if stored is None:
        needed = ("IncomeAccountRef", "ExpenseAccountRef", "QtyOnHand", "InvStartDate")
        faults.combined(faults.required(name) for name in needed if body.get(name) in (None, ""))
    else:
        for name in ("QtyOnHand", "InvStartDate"):
            if name in stored:
                body[name] = stored[name]
    body["TrackQtyOnHand"] = True


def _prepare_account(state: CompanyState, body: JsonObject, stored: JsonObject | None) -> None:
    _require_name(body)
    forbidden = {'"', ":"} & set(str(body["Name"]))
    if forbidden:
        raise FaultError(faults.invalid_characters("Name", "An account name cannot contain a double quote or a colon"))
    if "AccountType" not in body:
        subtype = body.get("AccountSubType")
        kinds = [kind for kind, usual in _SUBTYPE.items() if usual == subtype]
        known = [str(record.facts["accounttype"]) for record in state.store.all("Account")
                 if record.facts.get("accountsubtype") == subtype]  # fmt: skip
        if subtype is None or not (kinds or known):
            sentence = "Either AccountType or AccountSubType is required."
            raise faults.one(6010, "Account Type Or Subtype Required", sentence, "AccountType")
        body["AccountType"] = (known or kinds)[0]
    body.setdefault("AccountSubType", _SUBTYPE.get(str(body["AccountType"]), ""))
    body["Classification"] = _CLASSIFICATION.get(str(body["AccountType"]), "Expense")
    _check_account_number(state, body, stored)
    body["CurrencyRef"] = (stored or {}).get("CurrencyRef") or state.currency_ref()
    for name in ("CurrentBalance", "CurrentBalanceWithSubAccounts"):
        body[name] = (stored or {}).get(name, 0)


def _check_account_number(state: CompanyState, body: JsonObject, stored: JsonObject | None) -> None:
    number = str(body.get("AcctNum", ""))
    if not number:
        return
    if ":" in number:
        raise FaultError(faults.invalid_characters("AcctNum", "An account number cannot contain a colon"))
    if state.country in _SHORT_NUMBER_COUNTRIES and len(number) > _LONGEST_US_ACCOUNT_NUMBER:
        raise FaultError(faults.wrong_length("AcctNum", _LONGEST_US_ACCOUNT_NUMBER, len(number)))
    for record in state.store.all("Account"):
        if record.facts.get("acctnum") == number and (stored is None or record.id != stored["Id"]):
            raise faults.duplicate_name(record.id)


def _prepare_term(state: CompanyState, body: JsonObject, stored: JsonObject | None) -> None:
    del state, stored
    _require_name(body)
    monthly = "DayOfMonthDue" in body
    if not monthly and "DueDays" not in body:
        raise FaultError(faults.required("DueDays or DayOfMonthDue"))
    limits = {
        "DueDays": (0, 999),
        "DiscountDays": (0, 999),
        "DiscountPercent": (0, 100),
        "DayOfMonthDue": (1, 31),
        "DueNextMonthDays": (0, 999),
        "DiscountDayOfMonth": (0, 31),
    }
    for name, (least, most) in limits.items():
        if name in body and not least <= body[name] <= most:
            raise faults.one(2240, "Invalid Range", f"{name} must be between {least} and {most}.", name)
    body["Type"] = "DATE_DRIVEN" if monthly else "STANDARD"
    body.setdefault("DiscountPercent", 0)


def _prepare_payment_method(state: CompanyState, body: JsonObject, stored: JsonObject | None) -> None:
    del state, stored
    _require_name(body)
    body.setdefault("Type", "NON_CREDIT_CARD")


def _prepare_class(state: CompanyState, body: JsonObject, stored: JsonObject | None) -> None:
    del stored
    _require_name(body)
    tracked = any(
        state.preference("AccountingInfoPrefs", name) for name in ("ClassTrackingPerTxn", "ClassTrackingPerTxnLine")
    )
    if not tracked:
        raise _feature_off(state, "Class tracking")


def _prepare_department(state: CompanyState, body: JsonObject, stored: JsonObject | None) -> None:
    del stored
    _require_name(body)
    if not state.preference("AccountingInfoPrefs", "TrackDepartments"):
        raise _feature_off(state, "Location tracking")


def _prepare_currency(state: CompanyState, body: JsonObject, stored: JsonObject | None) -> None:
    del stored
    if not state.multicurrency:
        raise _feature_off(state, "Multicurrency")
    code = str(body.get("Code", ""))
    if not code:
        raise FaultError(faults.required("Code"))
    if code not in CURRENCY_NAMES:
        raise faults.one(2220, "Invalid Currency", f"Invalid Currency : {code}", "Code")
    body["Name"] = CURRENCY_NAMES[code]


def _feature_off(state: CompanyState, feature: str) -> FaultError:
    return faults.feature_off(state.switches.feature_off_code, f"{feature} is not enabled in this company.")


_PREPARE: Final[dict[str, Callable[[CompanyState, JsonObject, JsonObject | None], None]]] = {
    "Customer": _prepare_customer,
    "Vendor": _prepare_vendor,
    "Employee": _prepare_employee,
    "Item": _prepare_item,
    "Account": _prepare_account,
    "Term": _prepare_term,
    "PaymentMethod": _prepare_payment_method,
    "Class": _prepare_class,
    "Department": _prepare_department,
    "CompanyCurrency": _prepare_currency,
}


def _carry_balance(state: CompanyState, stored: JsonObject, changed: JsonObject) -> None:
    """A customer that moves takes its balance from the customers above it to the new ones."""
    held = money_of(changed, "BalanceWithJobs")
    for body, sign in ((stored, -1), (changed, 1)):
        if ref := body.get("ParentRef"):
            _add_with_jobs(state, state.record("Customer", str(ref["value"])), sign * held)


def _add_with_jobs(state: CompanyState, record: Record, by: Decimal) -> None:
    for above in list(_chain(state, RESOURCES["Customer"], record)):
        body = above.body()
        body["BalanceWithJobs"] = amount(money_of(body, "BalanceWithJobs") + by)
        state.store.put("Customer", body, silently=True)


# Computed balances -----------------------------------------------------------------------------------------------


def move_vendor_balance(state: CompanyState, vendor_id: str, by: Decimal) -> None:
    """Add to what is owed to a vendor."""
    record = state.store.get("Vendor", vendor_id)
    if record is not None and by:
        body = record.body()
        body["Balance"] = amount(money_of(body, "Balance") + by)
        state.store.put("Vendor", body, silently=True)


def move_balance(state: CompanyState, customer_id: str, by: Decimal) -> None:
    """Add to a customer's balance, and to the balance with jobs of everyone above."""
    record = state.store.get("Customer", customer_id)
    if record is None or not by:
        return
    resource = RESOURCES["Customer"]
    for above in list(_chain(state, resource, record)):
        body = above.body()
        if above.id == customer_id:
            body["Balance"] = amount(money_of(body, "Balance") + by)
        body["BalanceWithJobs"] = amount(money_of(body, "BalanceWithJobs") + by)
        if state.switches.balance_moves_customer_time:
            state.change(resource, body, token=False)
        else:
            state.store.put("Customer", body, silently=True)
