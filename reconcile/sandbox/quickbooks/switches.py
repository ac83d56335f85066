"""Behaviour of QuickBooks Online that no public source settles, one named switch per fact.

The defaults are the readings with the best evidence. A test that wants the other reading starts the server with
`--switch name=value`, or sets it through the admin resource.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


class UnknownSwitchError(ValueError):
    """No such switch, or a value it cannot take."""


@dataclass(frozen=True, slots=True)
class Switches:
    """Every open point of the API with the reading in force.

    Attributes:
        over_application: What becomes of a payment that applies more than is open: a 6000 fault, or the surplus line is
            dropped silently.
        remove_paid_invoice: Deleting or voiding an invoice with payments unlinks them, or is refused with 6000.
        reused_request_id: The same requestid with another body replays the first answer, or is refused with 600.
        request_id_memory: How many answers are remembered for replay.
        cdc_cap: Objects in one CDC answer.
        cdc_cap_per_entity: The cap counts each entity by itself instead of the whole answer.
        oversized_page: MAXRESULTS above 1,000 is cut to 1,000, or refused with 4001.
        tax_codes_paged: MAXRESULTS bounds a query for tax codes in the United States as well. The tests of
            python-quickbooks know that it does not: asked for one, all four of the sample company come.
        bare_numbers: Numbers without quotes are understood in WHERE.
        due_days_without_term: Days from TxnDate to DueDate when neither invoice nor customer has a term.
        empty_date: `""` for a date counts as absent, or becomes 9999-12-31.
        item_name_colon: A colon in an item's name is refused, as in accounts and customers.
        duplicate_number_warning: The company warns of a document number used before (fault 6140).
        automated_sales_tax: The company's tax is computed by the automated engine, and its codes are overridden.
        automated_tax_rate: Percent that the engine charges on lines with code TAX.
        us_tax_rounding: In the United States tax is rounded once per rate on the taxable total (nothing else explains
            invoice 1029 of the sample company), or per line and then summed. Elsewhere it is always per line.
        missing_sync_token: Code of the fault for an update without SyncToken.
        authorization_code_seconds: Life of an authorization code.
        access_token_seconds: Life of an access token.
        refresh_token_seconds: Life of a refresh token; the window restarts with each refresh.
        refresh_token_rotation_seconds: Age at which a refresh token is exchanged for a new value.
        refresh_token_hard_seconds: Life of a connection since the user's consent, whatever is refreshed.
        send_moves_sync_token: Sending a form by mail raises its SyncToken.
        retry_after_seconds: Value of Retry-After on 429; 0 sends no such header.
        throttle_body: Shape of a 429.
        mail_limit_answer: A mail over the day's limit of a sandbox is throttled with 429, or refused with 6000; only
            that there is a limit is documented.
        authentication_fault: A bad bearer token is refused by the gateway (3200), or with the older fault 100, in XML.
        batch_call_weight: Calls that a batch counts for in the ordinary limit: one, or one per item.
        inactive_names_collide: The name of a deactivated customer, vendor or employee stays taken.
        inactive_name_suffix: ` (deleted)` is appended to the name of a deactivated object.
        read_inactive: A read by id returns deactivated list objects instead of fault 610.
        balance_moves_customer_time: A customer's LastUpdatedTime moves when its balance does.
        payment_moves_invoice_token: Applying a payment raises the invoice's SyncToken.
        unsupported_operation_status: HTTP status of code 500, an unknown resource or operation. The manual has it
            among the 500s; recordings of 2020 and of 2025 are 400.
        missing_customer: Code of the fault for a sales form without customer.
        invoice_below_applied: Changing an invoice below what is applied to it is refused with 6000, or the surplus
            becomes unapplied.
        column_list_sparse: Objects of a query with a column list are marked `sparse`.
        total_count_on_select: `totalCount` stands beside `maxResults` in a query answer.
        store_faults_for_request_id: A faulted answer is remembered for its requestid as well.
        company_status: 6190 is answered to everything when the subscription has ended.
        ended_company_http_status: HTTP status of that fault, 400 or 403.
        answer_without_accept: Format of an answer when no Accept header names one.
        minor_version_checked: A minor version that is no whole number is refused with 2090.
        largest_body_bytes: A larger request body is refused by the gateway with a page, status 413.
        largest_attachment_bytes: A larger file is refused with 6030.
        largest_batch: Items in one batch.
        batch_item_without_id: An item without bId is taken, as node-quickbooks' own tests expect, or refused with 2020.
        oversized_batch: More items than that are refused with 1040, or those above it are left out.
        zone_without_offset: Zone of a date-time without offset in queries and captures.
        further_operators: `!=`, NOT IN, NOT LIKE and IS [NOT] NULL in WHERE are refused with 4000, or understood.
        name_comparison: Names that differ only in case or in blanks at their ends are the same, or they are not.
        item_name_space: An item's name is unique below its parent, or in the whole company.
        default_item_type: Type of an item that came without one.
        deactivated_stock: What is left of a deactivated inventory item's quantity: nothing, or all.
        stock_follows_sales: An inventory item's QtyOnHand falls with what is sold and rises with what is bought.
        feature_off_code: Code of the fault for a class, location or currency while the feature is off.
        agency_names_unique: A second tax agency of the same name is refused with 6240.
        tax_codes_updatable: Name, Description and Active of tax codes and rates can be changed by a plain POST.
        multi_rate_rounding: Several rates in one code are rounded each, or in one sum that is then shared out.
        stale_tax_detail: A non-US form whose TaxLine does not fit its lines is refused with 6000, or taken.
        customer_term_applies: An invoice without term takes the customer's.
        missing_factor_derived: Qty or UnitPrice is worked out when only the other came with an Amount.
        shared_document_numbers: Credit memos, receipts and invoices count in one sequence.
        credit_memo_void: A credit memo can be voided.
        refund_receipt_void: A refund receipt can be voided.
        auto_apply: The preferences AutoApplyCredit and AutoApplyPayments have their effect on calls of the API.
        credit_balance_in_where: Sign with which a query compares the open balance of a credit memo, -1 or 1; the object
            itself always shows it without one.
        closed_books_code: Fault for a date in a closed period: 6200, 6210 where a password is set, or 6000.
        class_ids_long: Ids of classes and attachments start above 5,000,000,000,000,000,000.
        estimate_follows_invoice: An estimate that an invoice links to becomes Closed.
        webhook_interval_milliseconds: How long events are gathered for one message.
        webhook_retry_milliseconds_per_minute: Length of a minute in the pauses before a message is sent again.
        webhook_verbs: Whether a CloudEvents type says `created` or `create`.
    """

    over_application: Literal["fault", "drop"] = "fault"
    remove_paid_invoice: Literal["unlink", "fault"] = "unlink"
    reused_request_id: Literal["replay", "fault"] = "replay"
    request_id_memory: int = 20_000
    cdc_cap: int = 1_000
    cdc_cap_per_entity: bool = False
    oversized_page: Literal["cut", "fault"] = "cut"
    tax_codes_paged: bool = False
    bare_numbers: bool = True
    due_days_without_term: int = 30
    empty_date: Literal["absent", "far"] = "absent"
    item_name_colon: Literal["fault", "accept"] = "fault"
    duplicate_number_warning: bool = False
    automated_sales_tax: bool = False
    automated_tax_rate: str = "8"
    us_tax_rounding: Literal["rate", "line"] = "rate"
    missing_sync_token: int = 2020
    authorization_code_seconds: int = 600
    access_token_seconds: int = 3_600
    refresh_token_seconds: int = 8_726_400
    refresh_token_rotation_seconds: int = 86_400
    refresh_token_hard_seconds: int = 157_680_000
    send_moves_sync_token: bool = False
    retry_after_seconds: int = 0
    throttle_body: Literal["xml", "json"] = "xml"
    mail_limit_answer: Literal["throttled", "fault"] = "throttled"
    authentication_fault: Literal["gateway", "general"] = "gateway"
    batch_call_weight: Literal["one", "items"] = "one"
    inactive_names_collide: bool = False
    inactive_name_suffix: bool = True
    read_inactive: bool = True
    balance_moves_customer_time: bool = False
    payment_moves_invoice_token: bool = True
    unsupported_operation_status: int = 400
    missing_customer: int = 2020
    invoice_below_applied: Literal["fault", "unapply"] = "fault"
    column_list_sparse: bool = True
    total_count_on_select: bool = False
    store_faults_for_request_id: bool = False
    company_status: Literal["active", "ended"] = "active"
    ended_company_http_status: int = 400
    answer_without_accept: Literal["json", "xml"] = "json"
    minor_version_checked: bool = False
    largest_body_bytes: int = 20_000_000
    largest_attachment_bytes: int = 104_857_600
    largest_batch: int = 30
    batch_item_without_id: Literal["accept", "fault"] = "accept"
    oversized_batch: Literal["fault", "cut"] = "fault"
    zone_without_offset: Literal["pacific", "utc"] = "pacific"
    further_operators: Literal["fault", "accept"] = "fault"
    name_comparison: Literal["folded", "exact"] = "folded"
    item_name_space: Literal["parent", "company"] = "parent"
    default_item_type: Literal["Service", "NonInventory"] = "Service"
    deactivated_stock: Literal["zeroed", "kept"] = "zeroed"
    stock_follows_sales: bool = True
    feature_off_code: int = 5030
    agency_names_unique: bool = True
    tax_codes_updatable: bool = False
    multi_rate_rounding: Literal["each", "combined"] = "each"
    stale_tax_detail: Literal["fault", "accept"] = "fault"
    customer_term_applies: bool = True
    missing_factor_derived: bool = True
    shared_document_numbers: bool = True
    credit_memo_void: bool = False
    refund_receipt_void: bool = True
    auto_apply: bool = False
    credit_balance_in_where: int = -1
    closed_books_code: int = 6200
    class_ids_long: bool = True
    estimate_follows_invoice: bool = True
    webhook_interval_milliseconds: int = 200
    webhook_retry_milliseconds_per_minute: int = 60_000
    webhook_verbs: Literal["past", "plain"] = "past"

    def changed(self, name: str, value: object) -> "Switches":
        """These switches with one of them set.

        Args:
            name: A switch.
            value: Its value, typed or as text.

        Raises:
            UnknownSwitchError: There is no such switch, or it cannot take the value; the sentence names the choices.
        """
        hints = get_type_hints(Switches)
        if name not in hints:
            raise UnknownSwitchError(
                f"There is no switch {name!r}; there are {', '.join(f.name for f in fields(self))}."
            )
        setting: dict[str, Any] = {name: _typed(name, hints[name], value)}
        return replace(self, **setting)


def _typed(name: str, kind: object, value: object) -> object:
    text = str(value).strip()
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        if text not in choices:
            raise UnknownSwitchError(f"Switch {name} cannot be {text!r}; it is one of {', '.join(choices)}.")
        return text
    if kind is bool:
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise UnknownSwitchError(f"Switch {name} is on or off, not {text!r}.")
    if kind is int:
        try:
            return int(text)
        except ValueError as error:
            raise UnknownSwitchError(f"Switch {name} is a whole number, not {text!r}.") from error
    return text
