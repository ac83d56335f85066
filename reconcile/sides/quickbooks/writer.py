"""Writing to QuickBooks: one request per record, each with a request id that makes its repetition harmless.

**Request ids.** QuickBooks answers a repeated request id with its first answer and writes nothing twice (API file 5.2).
A write's own id is sent with its single request; whatever a write needs besides (an agency for a new tax rate) gets an
id derived from it.

**Batches.** In a batch the key of an item is the batch's request id followed by the item's (API file 5.2). The last
:data:`ITEM_ID` characters of a write's request id are its item id, those before them the batch's; writes that share
those go together, up to 30. A write that goes by batch always does, if need be in a batch of one: repeated, it has the
same key whatever its company then is. Tax rates, voids and writes whose request id cannot be split go alone. An answer
that is lost leaves thirty unknown instead of one; each of them is looked up before anything else is done to it.
Somebody who is just changing a name in QuickBooks locks its lists of names: the items he holds up are repeated.

**What came of it.** A refusal is *failed* with words, a moved record *stale*, a lost answer *unknown* and never failed.
Writes that were not sent because the connection was refused or could not be made are failed: nothing left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from reconcile.errors import DeferredError, DisconnectedError, RefusedError, SideError, UnreachableError
from reconcile.model.entities import Entity
from reconcile.model.money import from_minor
from reconcile.model.plan import Action
from reconcile.sides.quickbooks import bodies, query
from reconcile.sides.quickbooks.bodies import Body, CannotWriteError, Untaxed
from reconcile.sides.quickbooks.faults import (
    STALE,
    THROTTLED,
    Fault,
    about_content,
    explain_all,
    faults_in,
    name_locked,
    uncertain,
)
from reconcile.sides.quickbooks.mapping import Lookups, MalformedError, carried, fields_of, payment_method
from reconcile.sides.quickbooks.marks import MARKED, tag
from reconcile.sides.quickbooks.pages import Page
from reconcile.sides.quickbooks.reader import QuickBooksReader, utc_now
from reconcile.sides.quickbooks.records import SHAPES, Record, TaxAgency, resource
from reconcile.sides.quickbooks.session import (
    Answer,
    FaultedError,
    NoConnectionError,
    QuickBooksSession,
)
from reconcile.sides.side import Outcome, Refusal, RequestMemory, Status, Write, mark_of

ITEM_ID = 10
"""Characters of a batch item's id; the rest of the request id is the batch's, at most 36 (API file 5.2)."""

BATCH_ID = 36
MEMORY = RequestMemory(asks=False, repeats=timedelta(minutes=30), lags=timedelta(minutes=30))
"""How QuickBooks can tell what came of a lost request.

It cannot be asked by request id. Repeating the request gives its first answer again, but for how long is not stated
(API file 5.2, unverified; repeats of zero switches the trust off). Is a repetition a second sending without proof of
absence? Within the window it is a question that is put in the only form there is: the same id and the same content
cannot make a second record, and if there is no first, the intent that was committed is carried out now. After the
window it would be a second write, so it is never made then; and before it is made, the record is looked for. The window
is no longer than needed: it ends where a search is a proof, half an hour after the request left. That covers the two
minutes a request may run (API file 1.3), the waits that QuickBooks itself asks for before it lets a request through,
and the time until a search shows what was made.

A repetition may be refused. Then QuickBooks had not carried out the first one, but it may arrive yet, be judged anew
(whether refusals are remembered is not stated either) and find mended what stood in the way: only what is refused for
its content is settled at once.
"""

NAME_LOCK_ROUNDS = 4
_TRANSACTIONS = frozenset({Entity.INVOICE, Entity.PAYMENT})
_LISTED = frozenset({Entity.CUSTOMER, Entity.PRODUCT})
_GENERIC_CARD = frozenset({"credit card", "card"})


class QuickBooksWriter(QuickBooksReader):
    """One QuickBooks company, to be read and written.

    Args:
        session: the connection.
        income_account: name of the income account that new products are sold from, as the company set it.
        clock: now, UTC.
        batches: send writes together where their request ids allow it (module docstring).
        memory: what to trust in when an answer was lost (:data:`MEMORY`).
    """

    def __init__(
        self,
        session: QuickBooksSession,
        *,
        income_account: str,
        clock: Callable[[], datetime] = utc_now,
        batches: bool = True,
        memory: RequestMemory = MEMORY,
    ) -> None:
        super().__init__(session, clock=clock)
        self._memory = memory
        self._income_account = income_account
        self._income_account_id: str | None = None
        self._batches = batches

    @property
    def batch_size(self) -> int:
        """Most writes at once."""
        return query.LARGEST_BATCH

    def write(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Carry out these writes, one outcome each, in their order. Nothing that happens to one of them is raised.

        Once QuickBooks refuses the connection itself, cannot be reached at all, keeps asking for fewer requests or
        stays in trouble, the writes after that are not sent.
        """
        outcomes: dict[str, Outcome] = {}
        stopped: SideError | None = None
        for group in self._groups(writes):
            if stopped is not None:
                outcomes |= {write.request_id: _not_sent(write, stopped) for write in group}
                continue
            try:
                outcomes |= (
                    self._batch(group) if self._batchable(group[0]) else {group[0].request_id: self._one(group[0])}
                )
            except _StoppedError as stop:
                stopped = stop.cause
                outcomes |= stop.outcomes
        return [outcomes[write.request_id] for write in writes]

    def find(self, entity: Entity, fields: Mapping[str, Any]) -> Sequence[str]:
        """Ids of records that a lost create with these fields may have made.

        Invoices by number, customers, products and tax rates by name, payments by customer, amount and date (and
        reference, when there is one).
        """
        conditions = self._conditions(entity, fields)
        if conditions is None:
            return []
        name = resource(entity)
        active = () if entity in _TRANSACTIONS else (query.ALL_ACTIVE,)
        page: Page[Any] = self._query(query.select(name, *conditions, *active), SHAPES[entity])
        lookups = self._lookups(entity, page.records)
        found = [record.id for record in page.records if carried(record) and _same(entity, record, fields, lookups)]
        return found + [broken.id for broken in page.broken]

    def before_writing(self, check: Callable[[], None]) -> None:
        """Ask before each request that writes leaves, after all waiting for its turn."""
        self._session.before_writing = check

    def hold(self, _run_id: str) -> None:
        """QuickBooks has no place for it."""

    @property
    def memory(self) -> RequestMemory:
        """What QuickBooks remembers of requests."""
        return self._memory

    def recall(self, request_id: str) -> Outcome | None:
        """QuickBooks cannot be asked by request id.

        Raises:
            UnreachableError: always; :attr:`memory` says so.
        """
        raise UnreachableError(f"QuickBooks cannot be asked what came of request {request_id}.")

    def bears_marks(self, entity: Entity) -> bool:
        """Invoices and payments do."""
        return entity in MARKED

    # one write -------------------------------------------------------------------------------------------------------

    def _alone(self, write: Write) -> dict[str, Outcome]:
        return {write.request_id: self._one(write)}

    def _one(self, write: Write) -> Outcome:
        try:
            request = self._request(write)
        except CannotWriteError as error:
            return _failed(write, str(error))
        except FaultedError as error:
            return _failed(write, f"It was not sent: {error}", error.code, error.trace)
        except SideError as error:
            if _stops(error):
                raise _StoppedError(error, {write.request_id: _not_sent(write, error)}) from error
            return _not_sent(write, error)
        try:
            answered = self._post(request, write.request_id)
        except SideError as error:
            if _stops(error):
                raise _StoppedError(error, {write.request_id: _lost(write, error)}) from error
            return _lost(write, error)
        return self._outcome(write, answered)

    def _request(self, write: Write, at_hand: Mapping[str, Any] | None = None) -> _Request:
        """What to send for a write; ``at_hand`` is the record as it is now, when that was read already.

        Raises:
            CannotWriteError: QuickBooks has no way to do it.
        """
        if write.entity is Entity.TAX_RATE:
            return self._tax_rate(write)
        revived = write.action is Action.UPDATE and "void" in write.fields
        if write.action is not Action.VOID and (write.fields.get("void") or revived):
            raise CannotWriteError(
                f"A void {write.entity.singular} is neither made nor revived in QuickBooks from here; void it, or make "
                "a new one."
            )
        name = resource(write.entity).lower()
        ways: dict[Action, Callable[[Write, str], _Request]] = {
            Action.CREATE: self._create,
            Action.UPDATE: partial(self._update, at_hand=at_hand),
            Action.VOID: self._void,
            Action.DEACTIVATE: self._deactivate,
        }
        make = ways.get(write.action)
        if make is None:
            raise CannotWriteError(
                f"The sync does not {write.action} {write.entity.plural} in QuickBooks. Do it there by hand."
            )
        return make(write, name)

    def _create(self, write: Write, name: str) -> _Request:
        body = self._body(write, None)
        if write.entity in MARKED:
            body["PrivateNote"] = tag(mark_of(write.request_id))
        if write.entity is Entity.PRODUCT:
            body |= {"Type": "Service", "IncomeAccountRef": {"value": self._income_account_ref()}}
        return _Request(name, body)

    def _update(self, write: Write, name: str, at_hand: Mapping[str, Any] | None = None) -> _Request:
        record_id, version = _target(write)
        current = None
        if self._needs_current(write):
            current = at_hand or self.direct(write.entity, record_id)
            if current is None:
                raise CannotWriteError(_GONE.format(write.entity.singular))
        return _Request(name, {**self._body(write, current), **bodies.head(record_id, version)})

    @staticmethod
    def _needs_current(write: Write) -> bool:
        """Whether the request is made from the record as it is now: parts of an address, lists, tax.

        Or because it must say more than what changes, and the context does not know that.
        """
        needed = _SAID_TOGETHER.get(write.entity, frozenset())
        says = write.entity is Entity.PAYMENT or not needed.isdisjoint(write.fields)
        unknown = needed - set(write.fields) - set(write.context)
        return bool(says and unknown) or not _FROM_CURRENT[write.entity].isdisjoint(write.fields)

    def _body(self, write: Write, current: Mapping[str, Any] | None) -> Body:
        fields, creating = write.fields, write.action is Action.CREATE
        context = {**self._as_read(write.entity, current), **write.context}
        if write.entity is Entity.CUSTOMER:
            return bodies.customer(fields, context, current, creating=creating)
        if write.entity is Entity.PRODUCT:
            return bodies.product(fields, context, creating=creating)
        home = self.home_currency()
        currency = str(context.get("currency") or home)
        if write.entity is Entity.INVOICE:
            body = bodies.invoice(fields, context, current, currency, creating=creating, untaxed=self._untaxed())
        else:
            method_id = self._method_id(fields.get("method"))
            body = bodies.payment({**fields, "method_id": method_id}, context, current, currency, creating=creating)
        return body | ({"CurrencyRef": {"value": currency}} if creating and currency != home else {})

    def _as_read(self, entity: Entity, current: Mapping[str, Any] | None) -> dict[str, Any]:
        if current is None:
            return {}
        try:
            record = msgspec.convert(current, SHAPES[entity])
            return fields_of(entity, record, Lookups(home_currency=self.home_currency()))
        except (MalformedError, msgspec.ValidationError) as error:
            raise CannotWriteError(
                f"The {entity.singular} could not be read from QuickBooks as it is now: {error}. Open it there and "
                "mend that."
            ) from error

    def _void(self, write: Write, name: str) -> _Request:
        if write.entity not in _TRANSACTIONS:
            raise CannotWriteError(f"In QuickBooks {write.entity.plural} are made inactive, not void.")
        record_id, version = _target(write)
        if write.entity is Entity.INVOICE:
            return _Request(name, {"Id": record_id, "SyncToken": version}, {"operation": "void"}, reread=True)
        params = {"operation": "update", "include": "void"}
        return _Request(name, bodies.head(record_id, version), params, reread=True)

    def _deactivate(self, write: Write, name: str) -> _Request:
        if write.entity not in _LISTED:
            raise CannotWriteError(f"In QuickBooks {write.entity.plural} cannot be made inactive. Do it there by hand.")
        changed = self._update(write, name)  # it may have been changed and made inactive on the same day
        return _Request(name, {**changed.body, "Active": False})

    def _post(self, request: _Request, request_id: str) -> _Answered:
        """Send one request; while another writer holds the lists of names, a few times."""
        session = self._session
        answer: Answer[Any]
        for attempt in range(NAME_LOCK_ROUNDS):
            answer = session.call(
                "POST",
                session.address(*request.path.split("/")),
                body=request.body,
                params=request.params,
                request_id=request_id,
            )
            if not any(map(name_locked, answer.faults)):
                break
            session.pause("Somebody else is just changing a name in QuickBooks", 2.0**attempt)
        return _Answered(answer.content, answer.faults, answer.trace, answer.doubtful, request.reread)

    def _outcome(self, write: Write, answered: _Answered) -> Outcome:
        """What an answer means for a write: the record as QuickBooks answered it, or as it is read back."""
        if answered.faults:
            return _refused(write, answered)
        content = answered.content if isinstance(answered.content, dict) else {}
        item = content.get(resource(write.entity))
        record_id = str(content.get("TaxCodeId") or (item.get("Id") if isinstance(item, dict) else None) or "")
        if not record_id:
            return _unknown(write, f"QuickBooks' answer holds no {write.entity.singular}.", answered.trace)
        try:
            # an answer to a void may still show what was before (API file 4.7), that of the tax service shows no record
            item = self.direct(write.entity, record_id) if answered.reread else item
            record = msgspec.convert(item, SHAPES[write.entity])
            fields = fields_of(write.entity, record, self._lookups(write.entity, [record]))
        except SideError as error:
            reason = f"QuickBooks accepted it, but it could not be read back: {error}"
            return replace(_unknown(write, reason, answered.trace), halt=_halt(error))
        except (MalformedError, msgspec.ValidationError) as error:
            return _unknown(write, f"QuickBooks accepted it, but what it holds is malformed: {error}.", answered.trace)
        return Outcome(
            write.request_id,
            Status.DONE,
            id=record_id,
            version=record.sync_token,
            trace=answered.trace,
            fields=fields,
        )

    # tax rates -------------------------------------------------------------------------------------------------------

    def _tax_rate(self, write: Write) -> _Request:
        """A new tax rate through QuickBooks' tax service; there it can never be changed.

        Raises:
            CannotWriteError: it is to be changed, or has no single agency.
        """
        if write.action is not Action.CREATE:
            raise CannotWriteError(
                "A tax rate cannot be changed in QuickBooks from here. Change it there, or make a new one with another "
                "name."
            )
        return _Request("taxservice/taxcode", bodies.tax_code(write.fields, self._agency_id(write)), reread=True)

    def _agency_id(self, write: Write) -> str:
        """The agency's id, found by name or made."""
        wanted = write.fields.get("agency")
        if not wanted:
            raise CannotWriteError("A tax rate needs a tax agency in QuickBooks. Enter the agency, then sync again.")
        if " + " in wanted:
            raise CannotWriteError(
                f"A tax rate of several agencies ({wanted}) cannot be made in QuickBooks from here. Make it there as a "
                "combined rate, then sync again."
            )
        agencies = self._by_id("TaxAgency", TaxAgency)
        for agency_id, agency in agencies.items():
            if (agency.display_name or "").strip().casefold() == wanted.strip().casefold():
                return agency_id
        session = self._session
        answer: Answer[Any] = session.call(
            "POST",
            session.address("taxagency"),
            body={"DisplayName": wanted},
            request_id=derived_id(write.request_id, "agency"),
        )
        if answer.faults:
            raise CannotWriteError(f"The tax agency {wanted} could not be made. {explain_all(answer.faults)}")
        try:
            return str((answer.content or {})["TaxAgency"]["Id"])
        except (KeyError, TypeError) as error:
            raise UnreachableError("QuickBooks' answer does not name the new tax agency.") from error

    # what new records need -------------------------------------------------------------------------------------------

    def _income_account_ref(self) -> str:
        if self._income_account_id is None:
            name = self._income_account
            found = self.income_account_id(name)
            if found is None:
                raise CannotWriteError(
                    f"New products are to be sold from the income account {name!r}, but QuickBooks has no such active "
                    "income account. Correct the account in the settings, or make it in QuickBooks."
                )
            self._income_account_id = found
        return self._income_account_id

    def _untaxed(self) -> Untaxed:
        """How this company says that taxable lines bear no tax (API file 4.8)."""
        tax = self._preferences().get("TaxPrefs") or {}
        if tax.get("PartnerTaxEnabled"):
            return Untaxed.ZERO
        return Untaxed.IMPOSSIBLE if tax.get("UsingSalesTax") and tax.get("TaxGroupCodeRef") else Untaxed.PLAIN

    def _method_id(self, method: str | None) -> str | None:
        """The company's payment method that says exactly this; none is better than a brand of card we do not know."""
        if not method:
            return None
        fitting = [
            candidate
            for candidate in self._payment_methods().values()
            if candidate.active is not False and payment_method(candidate) == method
        ]
        if method == "other":
            return None
        generic = [candidate for candidate in fitting if (candidate.name or "").strip().lower() in _GENERIC_CARD]
        if method == "card" and generic:
            return generic[0].id
        return fitting[0].id if fitting and (method != "card" or len(fitting) == 1) else None

    # batches ---------------------------------------------------------------------------------------------------------

    def _groups(self, writes: Sequence[Write]) -> Iterator[list[Write]]:
        """Writes that go together, in order; alone unless batches are wanted and their request ids allow it."""
        group: list[Write] = []
        for write in writes:
            if group and not (self._together(group[-1], write) and len(group) < query.LARGEST_BATCH):
                yield group
                group = []
            group.append(write)
        if group:
            yield group

    def _batchable(self, write: Write) -> bool:
        return (
            self._batches
            and 0 < len(write.request_id) - ITEM_ID <= BATCH_ID
            and write.entity in _BATCHED
            and write.action in _BATCH_ACTIONS
        )

    def _together(self, first: Write, second: Write) -> bool:
        common, other = first.request_id[:-ITEM_ID], second.request_id[:-ITEM_ID]
        return common == other and self._batchable(first) and self._batchable(second)

    def _as_planned(self, group: Sequence[Write]) -> dict[str, dict[str, Any]]:
        """The records of a group that are written from what they hold now, in one call, by request id.

        Only those that still have the version the write names; any other is read directly, because a query may lag
        behind (API file 8, trap 12).
        """
        needed = {
            write.id: write
            for write in group
            if write.action is Action.UPDATE and write.id and write.version and self._needs_current(write)
        }
        if len(needed) <= 1:
            return {}
        entities = {write.entity for write in needed.values()}
        if len(entities) > 1:
            return {}
        name = resource(entities.pop())
        active = () if name in {"Invoice", "Payment"} else (query.ALL_ACTIVE,)
        content = self._session.query(query.select(name, *active, query.among("Id", needed)))
        found = content.get("QueryResponse", {}).get(name, []) if isinstance(content, dict) else []
        return {
            needed[item["Id"]].request_id: item
            for item in found
            if item.get("Id") in needed and item.get("SyncToken") == needed[item["Id"]].version
        }

    def _prepared(self, group: Sequence[Write]) -> tuple[dict[str, Outcome], dict[str, tuple[Write, _Request]]]:
        """What cannot be sent, with why, and what can, by item id."""
        outcomes: dict[str, Outcome] = {}
        items: dict[str, tuple[Write, _Request]] = {}
        try:
            at_hand = self._as_planned(group)
        except SideError:
            at_hand = {}  # then each is read by itself, and says for itself what is wrong
        for write in group:
            try:
                items[write.request_id[-ITEM_ID:]] = (write, self._request(write, at_hand.get(write.request_id)))
            except CannotWriteError as error:
                outcomes[write.request_id] = _failed(write, str(error))
            except FaultedError as error:
                outcomes[write.request_id] = _failed(write, f"It was not sent: {error}", error.code, error.trace)
            except (NoConnectionError, RefusedError) as error:
                unsent = {each.request_id: _not_sent(each, error) for each in group}
                raise _StoppedError(error, unsent) from error
            except (
                SideError
            ) as error:  # its current state could not be read; those that need no reading go all the same
                outcomes[write.request_id] = _not_sent(write, error)
        return outcomes, items

    def _batch(self, group: Sequence[Write]) -> dict[str, Outcome]:
        outcomes, items = self._prepared(group)
        request_id = group[0].request_id[:-ITEM_ID]
        try:
            for attempt in range(NAME_LOCK_ROUNDS):
                if not items:
                    break
                if attempt:
                    self._session.pause("Somebody else is just changing a name in QuickBooks", 2.0 ** (attempt - 1))
                answer = self._post_batch(request_id, items)
                if answer.faults:
                    whole = _Answered(None, answer.faults, answer.trace, answer.doubtful)
                    return outcomes | {write.request_id: _refused(write, whole) for write, _ in items.values()}
                responses = _responses(answer)
                again = {} if attempt == NAME_LOCK_ROUNDS - 1 else _locked(items, responses)
                settled = {item_id: item for item_id, item in items.items() if item_id not in again}
                outcomes |= self._batch_outcomes(settled, responses, answer)
                items = again
        except SideError as error:
            outcomes |= {write.request_id: _lost(write, error) for write, _ in items.values()}
            if _stops(error):
                raise _StoppedError(error, outcomes) from error
            return outcomes
        return outcomes

    def _post_batch(self, request_id: str, items: Mapping[str, tuple[Write, _Request]]) -> Answer[Any]:
        entries = [
            {
                "bId": item_id,
                "operation": "create" if write.action is Action.CREATE else "update",
                resource(write.entity): request.body,
            }
            for item_id, (write, request) in items.items()
        ]
        return self._session.call(
            "POST", self._session.address("batch"), body={"BatchItemRequest": entries}, request_id=request_id
        )

    def _batch_outcomes(
        self,
        items: Mapping[str, tuple[Write, _Request]],
        responses: Mapping[str, Mapping[str, Any]],
        answer: Answer[Any],
    ) -> dict[str, Outcome]:
        """One outcome per item, matched by item id, never by position; what the answer lacks is unknown."""
        outcomes = {}
        for item_id, (write, request) in items.items():
            response = responses.get(item_id)
            if response is None:
                outcome = _unknown(write, "QuickBooks' answer to the batch does not mention it.", answer.trace)
            else:
                faults = faults_in(response)
                outcome = self._outcome(
                    write, _Answered(response, faults, answer.trace, answer.doubtful, request.reread)
                )
            outcomes[write.request_id] = outcome
        return outcomes

    # settling --------------------------------------------------------------------------------------------------------

    def _conditions(self, entity: Entity, fields: Mapping[str, Any]) -> list[str] | None:
        """Where to look; ``None`` when the fields say too little for the record ever to have been accepted."""
        if entity is Entity.INVOICE and fields.get("number"):
            return [query.equals("DocNumber", fields["number"])]
        if entity in {Entity.INVOICE, Entity.PAYMENT}:
            day = "invoice_date" if entity is Entity.INVOICE else "payment_date"
            conditions = [query.equals("CustomerRef", fields.get("customer_id") or "")]
            if fields.get(day):
                conditions.append(query.equals("TxnDate", fields[day]))
            if entity is Entity.PAYMENT:
                amount = from_minor(fields["amount"], fields.get("currency") or self.home_currency())
                conditions.append(query.equals("TotalAmt", str(amount)))
            return conditions if fields.get("customer_id") else None
        column = "DisplayName" if entity is Entity.CUSTOMER else "Name"
        wanted = fields.get("display_name" if entity is Entity.CUSTOMER else "name")
        return [query.equals(column, wanted)] if wanted else None


_FROM_CURRENT = {
    Entity.CUSTOMER: frozenset(bodies.ADDRESS),
    Entity.PRODUCT: frozenset[str](),
    Entity.INVOICE: frozenset({"lines", "tax_rate_id", *bodies.DISCOUNT_FIELDS}),
    Entity.PAYMENT: frozenset({"applications"}),
}
_SAID_TOGETHER = {
    Entity.CUSTOMER: frozenset({"email", "more_emails"}),  # one text in QuickBooks
    Entity.PAYMENT: frozenset({"customer_id", "amount"}),  # sent with every update (API file 4.0)
}
_BATCHED = frozenset({Entity.CUSTOMER, Entity.PRODUCT, Entity.INVOICE, Entity.PAYMENT})
_BATCH_ACTIONS = frozenset({Action.CREATE, Action.UPDATE, Action.DEACTIVATE})
_GONE = "The {} no longer exists in QuickBooks. The next run will see that and decide."


class _StoppedError(Exception):
    """Nothing after this can be sent; carries what came of the writes so far."""

    def __init__(self, cause: SideError, outcomes: Mapping[str, Outcome]) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.outcomes = outcomes


class _Request(msgspec.Struct, frozen=True):
    """One POST: resource path, body, parameters, and whether the record is to be read again afterwards."""

    path: str
    body: Body
    params: dict[str, str] = {}
    reread: bool = False


class _Answered(msgspec.Struct, frozen=True):
    """What came back for one write, alone or out of a batch."""

    content: Any
    faults: tuple[Fault, ...]
    trace: str
    doubtful: bool = False
    reread: bool = False


def derived_id(request_id: str, purpose: str) -> str:
    """A request id for something a write needs besides: always the same for the same write, 40 characters."""
    return hashlib.sha256(f"{request_id}:{purpose}".encode()).hexdigest()[:40]


_Items = Mapping[str, tuple[Write, _Request]]


def _locked(items: _Items, responses: Mapping[str, Any]) -> dict[str, tuple[Write, _Request]]:
    """The items that were held up by somebody who is just changing a name."""
    return {
        item_id: item for item_id, item in items.items() if any(map(name_locked, faults_in(responses.get(item_id))))
    }


def _responses(answer: Answer[Any]) -> dict[str, dict[str, Any]]:
    """The answers to a batch's items, by item id."""
    content = answer.content if isinstance(answer.content, dict) else {}
    return {
        str(response.get("bId")): response
        for response in content.get("BatchItemResponse") or []
        if isinstance(response, dict)
    }


def _target(write: Write) -> tuple[str, str]:
    if write.id is None or write.version is None:
        raise CannotWriteError(
            f"It is not known which {write.entity.singular} in QuickBooks this is, or in which version. Run a census."
        )
    return write.id, write.version


def _same(entity: Entity, record: Record, fields: Mapping[str, Any], lookups: Lookups) -> bool:
    """Whether a record found may be what the write would have made: QuickBooks compares names without regard to case.

    One that cannot be read may be it: absence has to be proven.
    """
    try:
        found = fields_of(entity, record, lookups)
    except MalformedError:
        return True
    if entity is Entity.INVOICE:
        return not fields.get("number") or bool(found["number"] == fields["number"])
    if entity is Entity.PAYMENT:
        return not fields.get("reference") or bool(found["reference"] == fields["reference"])
    name = "display_name" if entity is Entity.CUSTOMER else "name"
    return bool(found[name] == fields[name])


def _failed(write: Write, reason: str, code: str = "", trace: str = "") -> Outcome:
    return Outcome(write.request_id, Status.FAILED, code=code, reason=reason, trace=trace)


def _unknown(write: Write, reason: str, trace: str = "") -> Outcome:
    return Outcome(
        write.request_id,
        Status.UNKNOWN,
        reason=f"{reason} It may or may not have happened; it is looked up before anything else is done to it.",
        trace=trace,
    )


def _refused(write: Write, answered: _Answered) -> Outcome:
    faults = answered.faults
    reason = explain_all(faults)
    code = faults[0].code
    for_good = any(map(about_content, faults))
    if (answered.doubtful and not for_good) or any(map(uncertain, faults)):
        return _unknown(write, reason, answered.trace)
    if any(fault.code == STALE for fault in faults):
        return Outcome(write.request_id, Status.STALE, code=STALE, reason=reason, trace=answered.trace)
    refusal = Refusal.FOR_GOOD if for_good else Refusal.FOR_NOW
    return replace(_failed(write, reason, code, answered.trace), refusal=refusal)


def _lost(write: Write, error: SideError) -> Outcome:
    """A write whose request got no answer; one that was refused or put off was not carried out."""
    put_off = isinstance(error, DeferredError) and not error.doubtful
    if put_off or isinstance(error, RefusedError):
        outcome = _failed(write, str(error), THROTTLED if put_off else "")
    else:
        outcome = _unknown(write, str(error))
    return replace(outcome, halt=_halt(error))


def _not_sent(write: Write, error: SideError) -> Outcome:
    return replace(_failed(write, f"It was not sent: {error}"), halt=_halt(error))


def _halt(error: SideError) -> SideError | None:
    """The error where it concerns all that may follow, too."""
    put_off = isinstance(error, DeferredError) and not error.alone
    return error if put_off or isinstance(error, DisconnectedError) else None


def _stops(error: SideError) -> bool:
    """Whether nothing after it can be sent."""
    return isinstance(error, NoConnectionError | RefusedError) or _halt(error) is not None
