"""One company, as the API shows it: reads, writes, queries, batches and changes, without HTTP.

A write happens wholly or not at all, and its answer is remembered for its request id in the same step.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from reconcile.sandbox.quickbooks import attachments, cdc, documents, faults, lists, payments, sales, settings, taxes
from reconcile.sandbox.quickbooks.checks import BodyCheck
from reconcile.sandbox.quickbooks.clock import stamp_millis
from reconcile.sandbox.quickbooks.entities import BY_PATH, RESOURCES, Resource
from reconcile.sandbox.quickbooks.faults import FaultError
from reconcile.sandbox.quickbooks.numbers import JsonObject, NotJsonError, as_decimal, parse, render
from reconcile.sandbox.quickbooks.query import LARGEST_PAGE, QueryEngine
from reconcile.sandbox.quickbooks.state import CompanyState
from reconcile.sandbox.quickbooks.store import Answer, Moment, Record

LONGEST_REQUEST_ID: Final = 50
_SHOWN_OF_REQUEST_ID: Final = 10
_OPERATIONS: Final = frozenset({"create", "update", "delete", "void"})
_CHANGES_ASKED: Final = ("Entities", "ChangedSince")
_BESIDE_ENTITIES: Final = ("CDCQuery", "Query", "bId", "operation", "optionsData")

_log: Final = logging.getLogger(__name__)

Rule = Callable[[CompanyState, Resource, JsonObject], JsonObject]

_RULES: Final[dict[tuple[str, str], Rule]] = {
    ("name", "create"): lists.create,
    ("name", "update"): lists.update,
    ("list", "create"): lists.create,
    ("list", "update"): lists.update,
    ("tax", "create"): taxes.create_agency,
    ("tax", "update"): taxes.update_name,
    ("company", "update"): settings.update,
    ("payment", "create"): payments.create,
    ("payment", "update"): payments.update,
    ("payment", "delete"): payments.delete,
    ("payment", "void"): payments.void,
    ("sale", "delete"): sales.delete,
    ("sale", "void"): sales.void,
    ("transaction", "create"): documents.create,
    ("transaction", "update"): documents.update,
    ("transaction", "delete"): documents.delete,
    ("transaction", "void"): documents.void,
    ("attachment", "create"): documents.create,
    ("attachment", "update"): documents.update,
    ("attachment", "delete"): documents.delete,
}


@dataclass(frozen=True, slots=True)
class Options:
    """Query parameters that a write understands.

    Attributes:
        operation: `update`, `delete`, `void`, or empty.
        include: Lower-case words of `include`.
        request_id: `requestid`, empty when not given.
    """

    operation: str = ""
    include: frozenset[str] = frozenset()
    request_id: str = ""


class Company:
    """One company behind the API.

    Args:
        state: Its records, clock and switches.
    """

    def __init__(self, state: CompanyState) -> None:
        self.state = state
        self._queries = QueryEngine(state)
        self._faulted: dict[str, FaultError] = {}

    def _timed(self, body: bytes) -> bytes:
        return body[:-1] + f',"time":"{stamp_millis(self.state.now())}"}}'.encode()

    def wrapped(self, name: str, value: bytes) -> bytes:
        """An answer: one value under its name, and the time."""
        return self._timed(b'{"' + name.encode() + b'":' + value + b"}")

    def moment(self) -> Moment:
        """All that the company holds now, see `Store.moment`."""
        return self.state.store.moment()

    def go_back(self, moment: Moment) -> None:
        """Be again as it was at a moment."""
        self.state.store.go_back(moment)
        self._faulted.clear()

    # Reading -----------------------------------------------------------------------------------------------------

    def resource(self, path: str) -> Resource:
        """The resource of an address segment, in any case.

        Raises:
            FaultError: 500 when there is none.
        """
        found = BY_PATH.get(path.lower())
        if found is None:
            raise faults.unknown_resource(path.lower(), self.state.switches.unsupported_operation_status)
        return found

    def record(self, resource: Resource, record_id: str) -> Record:
        """The record a path names.

        Raises:
            FaultError: 2030 or 610.
        """
        if resource.group == "company":
            if resource.name == "CompanyInfo" and record_id not in {"1", self.state.realm}:
                raise faults.not_found()
            record_id = "1"
        return self.state.record(resource.name, record_id)

    def read(self, path: str, record_id: str, include: frozenset[str] = frozenset()) -> bytes:
        """GET of one object."""
        resource = self.resource(path)
        record = self.record(resource, record_id)
        return self.wrapped(resource.name, self._with_extras(record, include))

    def _with_extras(self, record: Record, include: frozenset[str]) -> bytes:
        if record.entity == "Attachable":
            return attachments.with_links(self.state, record)
        if record.entity != "Invoice" or "invoicelink" not in include:
            return record.json
        body = record.body()
        online = any(
            body.get(name) for name in ("AllowOnlineCreditCardPayment", "AllowOnlineACHPayment", "AllowIPNPayment")
        )
        if online and (body.get("BillEmail") or {}).get("Address"):
            token = hashlib.sha256(f"{self.state.realm}/{record.id}".encode()).hexdigest()[:32]
            body["InvoiceLink"] = f"https://developer.intuit.com/comingSoonview/scs-v1-{token}"
        return render(body)

    def query(self, statement: str) -> bytes:
        """The answer to a query."""
        value, _ = self._queries.answer(statement)
        return self.wrapped("QueryResponse", value)

    def changes(self, entities: str, changed_since: str) -> bytes:
        """The answer to a change data capture call."""
        return self.wrapped("CDCResponse", cdc.changes(self.state, entities, changed_since))

    # Writing -----------------------------------------------------------------------------------------------------

    def write(self, path: str, raw: bytes, options: Options) -> bytes:
        """POST to a resource: create, update, void or delete."""
        resource = self.resource(path)
        self.check_request_id(options.request_id)

        def act() -> bytes:
            name, value = self._act(resource, self._parsed(raw), options)
            return self.wrapped(name, value)

        return self._once(options.request_id, path.lower().encode() + raw, act)

    def upload(self, raw: bytes, content_type: str, request_id: str) -> bytes:
        """POST /upload: one Attachable, or one fault, for each file."""
        self.check_request_id(request_id)

        def act() -> bytes:
            uploads = attachments.uploads_of(attachments.parts_of(raw, content_type))
            items = b",".join(self._uploaded(one) for one in uploads)
            return self.wrapped("AttachableResponse", b"[" + items + b"]")

        return self._once(request_id, b"upload" + raw, act)

    def _uploaded(self, upload: attachments.Upload) -> bytes:
        resource = RESOURCES["Attachable"]
        try:
            content = attachments.content_of(upload, self.state.switches.largest_attachment_bytes)
            cleaned = BodyCheck("absent").resource(resource, attachments.described(upload))
            body = attachments.completed(upload, cleaned, content)
            record_id = self.state.store.next_id(resource.sequence)
            body["FileAccessUri"] = f"/v3/company/{self.state.realm}/download/{record_id}"
            documents.create(self.state, resource, body, record_id)
        except FaultError as fault:
            return b'{"Fault":' + render(fault.as_json()) + b"}"
        self.state.store.put_file(record_id, content)
        record = self.state.record(resource.name, record_id)
        return b'{"Attachable":' + attachments.with_links(self.state, record) + b"}"

    def download(self, record_id: str) -> bytes:
        """GET /download/{id}: the address at which a file can be fetched for a while, as plain text.

        Raises:
            FaultError: 610, or 2030; also for a note, which has no file.
        """
        record = self.state.record("Attachable", record_id)
        if "Size" not in record.body():
            raise faults.not_found()
        return attachments.temporary_address(self.state, record_id).encode()

    def tax_service(self, raw: bytes, request_id: str) -> bytes:
        """POST taxservice/taxcode; the answer is bare."""
        self.check_request_id(request_id)
        return self._once(
            request_id, b"taxservice" + raw, lambda: render(taxes.create_code(self.state, self._parsed(raw)))
        )

    def send(self, path: str, record_id: str, address: str, request_id: str) -> bytes:
        """POST /{resource}/{id}/send."""
        resource = self.resource(path)
        self._require(resource, "send")
        self.check_request_id(request_id)

        def act() -> bytes:
            record = self.record(resource, record_id)
            body = sales.send(self.state, resource, record, address)
            return self.wrapped(resource.name, render(body))

        return self._once(request_id, f"send {path} {record_id} {address}".encode(), act)

    def _parsed(self, raw: bytes) -> Any:
        try:
            return parse(raw)
        except NotJsonError as error:
            try:
                raw.decode()
            except UnicodeDecodeError:
                raise faults.unsupported("", self.state.switches.unsupported_operation_status) from error
            raise FaultError(faults.unparseable()) from error

    def _once(self, key: str, request: bytes, act: Callable[[], bytes]) -> bytes:
        """Act, or give the answer that the same request id got before."""
        store = self.state.store
        if not key:
            with store.transaction():
                return act()
        digest = hashlib.sha256(request).digest()
        known = store.remembered(key)
        if known is not None:
            if known.digest != digest and self.state.switches.reused_request_id == "fault":
                detail = f"Duplicate Request ID : {key} was used for another request."
                raise faults.one(600, "Duplicate Request ID", detail)
            return known.body
        if key in self._faulted:
            raise self._faulted[key]
        try:
            with store.transaction():
                answer = act()
                store.remember(key, Answer(digest, answer), self.state.switches.request_id_memory)
        except FaultError as fault:
            if self.state.switches.store_faults_for_request_id:
                self._faulted[key] = FaultError(*fault.problems, status=fault.status, kind=fault.kind)
            raise
        return answer

    @staticmethod
    def check_request_id(key: str) -> None:
        """Refuse a request id that is too long or not printable.

        Raises:
            FaultError: 6000 or 2130.
        """
        if len(key) > LONGEST_REQUEST_ID:
            raise faults.business(
                f"You cannot enter more than {LONGEST_REQUEST_ID} characters in the request_id field. "
                f"You tried entering {key[:_SHOWN_OF_REQUEST_ID]}..., which is {len(key)} characters."
            )
        if not key.isprintable():
            raise faults.one(
                2130, "Invalid Request ID", "Invalid Request ID : the request id is not printable", "requestid"
            )

    def _offers(self, resource: Resource, action: str) -> bool:
        switches = self.state.switches
        match resource.name, action:
            case "CreditMemo", "void":
                return switches.credit_memo_void
            case "RefundReceipt", "void":
                return switches.refund_receipt_void
            case "TaxCode" | "TaxRate", "update":
                return switches.tax_codes_updatable
            case _:
                return action in resource.actions

    def _require(self, resource: Resource, action: str) -> None:
        if not self._offers(resource, action):
            what = f"{action} on entity {resource.name.lower()}"
            raise faults.unsupported(what, self.state.switches.unsupported_operation_status)

    def _act(self, resource: Resource, body: Any, options: Options) -> tuple[str, bytes]:
        """One write; returns the entity name and the object as JSON."""
        switches = self.state.switches
        check = BodyCheck(switches.empty_date, item_names_take_colons=switches.item_name_colon == "accept")
        operation = options.operation
        if operation in {"delete", "void"} or "void" in options.include:
            operation = "void" if "void" in options.include else operation
            cleaned = check.identity(resource, body)
            if "Id" not in cleaned:
                raise FaultError(faults.required("Id"))
        else:
            cleaned = check.resource(resource, body)
            if resource.group == "company":
                cleaned["Id"] = "1"
            operation = "update" if "Id" in cleaned else "create"
            if options.operation == "update" and operation == "create":
                raise FaultError(faults.required("Id"))
        self._require(resource, operation)
        result = self._apply(resource, operation, cleaned, options)
        if operation == "delete":
            return resource.name, render(result)
        record = self.state.store.get(resource.name, str(result["Id"]))
        return resource.name, render(result) if record is None else self._with_extras(record, options.include)

    def _apply(self, resource: Resource, operation: str, cleaned: JsonObject, options: Options) -> JsonObject:
        if resource.group == "rate":
            return documents.set_exchange_rate(self.state, cleaned)
        if resource.group == "sale" and operation in {"create", "update"}:
            rule = sales.create if operation == "create" else sales.update
            allowed = "allowduplicatedocnum" in options.include
            return rule(self.state, resource, cleaned, allow_duplicate_number=allowed)
        result = _RULES[resource.group, operation](self.state, resource, cleaned)
        if (
            resource.name == "Customer"
            and operation == "create"
            and (opening := as_decimal(cleaned.get("Balance") or 0))
        ):
            sales.opening_invoice(self.state, result, opening, str(cleaned["OpenBalanceDate"]))
        return result

    # Batch -------------------------------------------------------------------------------------------------------

    def batch(self, raw: bytes, request_id: str) -> bytes:
        """POST /batch: up to 30 independent items, each with its own answer.

        Raises:
            FaultError: The envelope itself is wrong or holds too many items.
        """
        body = self._parsed(raw)
        if not isinstance(body, dict) or not isinstance(body.get("BatchItemRequest"), list):
            raise FaultError(faults.unparseable())
        for name in body:
            if name != "BatchItemRequest":
                raise FaultError(faults.unknown_property(name, "IntuitBatchRequest", ["BatchItemRequest"]))
        items = body["BatchItemRequest"]
        if not items:
            raise FaultError(faults.required("BatchItemRequest"))
        largest = self.state.switches.largest_batch
        if len(items) > largest:
            if self.state.switches.oversized_batch == "fault":
                detail = f"Batch size exceeds allowed limit : {len(items)} items; the maximum is {largest}."
                raise faults.one(1040, "Batch size exceeds allowed limit", detail)
            items = items[:largest]
        answers = []
        room = LARGEST_PAGE
        for place, item in enumerate(items, start=1):
            answer, used = self._batch_item(item, request_id, room, place)
            room -= used
            answers.append(answer)
        return self._timed(b'{"BatchItemResponse":[' + b",".join(answers) + b"]}")

    def _batch_item(self, item: Any, request_id: str, room: int, place: int) -> tuple[bytes, int]:
        item_id = item.get("bId") if isinstance(item, dict) else None
        tag = b"" if item_id is None else b'"bId":' + render(str(item_id)) + b","
        try:
            _check_item(item, named=self.state.switches.batch_item_without_id == "fault")
            key = f"{request_id}{item_id or place}" if request_id else ""
            self.check_request_id(key)
            if "Query" in item:
                value, used = self._queries.answer(str(item["Query"]), room)
                return b"{" + tag + b'"QueryResponse":' + value + b"}", used
            if "CDCQuery" in item:
                value, used = self._changes_of_item(item["CDCQuery"], room)
                return b"{" + tag + b'"CDCResponse":' + value + b"}", used
            value = self._once(key, render(item), lambda: self._batch_write(item))
        except FaultError as fault:
            return _faulted_item(tag, fault), 0
        except Exception:  # noqa: BLE001 - items are independent: what breaks in one is no answer to the others
            _log.exception("item %r of a batch failed", item_id)
            return _faulted_item(tag, faults.system_failure("Could not complete the request")), 0
        return b"{" + tag + value[1:], 0

    def _changes_of_item(self, asked: Any, room: int) -> tuple[bytes, int]:
        """Change data capture inside of a batch: one answer, where a call of its own has a list of one."""
        if not isinstance(asked, dict):
            raise FaultError(faults.unparseable())
        for name in asked:
            if name not in _CHANGES_ASKED:
                raise FaultError(faults.unknown_property(name, "CDCQuery", _CHANGES_ASKED))
        entities, since = (str(asked.get(name) or "").strip() for name in _CHANGES_ASKED)
        return cdc.some_changes(self.state, entities, since, room)

    def _batch_write(self, item: JsonObject) -> bytes:
        entities = [name for name in item if name in RESOURCES]
        unknown = [name for name in item if name not in RESOURCES and name not in _BESIDE_ENTITIES]
        if unknown or len(entities) != 1:
            if unknown:
                known = sorted((*RESOURCES, *_BESIDE_ENTITIES))
                raise FaultError(faults.unknown_property(unknown[0], "BatchItemRequest", known))
            raise FaultError(faults.required("BatchItemRequest entity"))
        # As outside of a batch: without a word for it, an Id in the body makes it an update.
        body = item[entities[0]]
        usual = "update" if isinstance(body, dict) and body.get("Id") else "create"
        operation = str(item.get("operation") or usual).lower()
        if operation not in _OPERATIONS:
            raise FaultError(faults.invalid_enumeration(operation, "operation"))
        include = frozenset(str(item.get("optionsData", "")).lower().replace(",", " ").split())
        if operation == "create" and isinstance(item[entities[0]], dict):
            item[entities[0]].pop("Id", None)
        options = Options(operation="" if operation in {"create", "update"} else operation, include=include)
        if operation == "update":
            options = Options(operation="update", include=include)
        name, value = self._act(RESOURCES[entities[0]], item[entities[0]], options)
        return b'{"' + name.encode() + b'":' + value + b"}"


def _faulted_item(tag: bytes, fault: FaultError) -> bytes:
    """The answer to one item; its type stands first, other than in a fault of its own."""
    held = fault.as_json()
    return b"{" + tag + b'"Fault":' + render({"type": held["type"], "Error": held["Error"]}) + b"}"


def _check_item(item: Any, *, named: bool) -> None:
    if not isinstance(item, dict):
        raise FaultError(faults.unparseable())
    if named and item.get("bId") in (None, ""):
        raise FaultError(faults.required("bId"))
