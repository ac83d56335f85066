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
        batch_call_weight: Calls that a batch counts for in the ordinary limit: one, or one per item.
        inactive_names_collide: The name of a deactivated customer, vendor or employee stays taken.
        inactive_name_suffix: ` (deleted)` is appended to the name of a deactivated object.
        read_inactive: A read by id returns deactivated list objects instead of fault 610.
        balance_moves_customer_time: A customer's LastUpdatedTime moves when its balance does.
        payment_moves_invoice_token: Applying a payment raises the invoice's SyncToken.
        unsupported_operation_status: HTTP status of code 500, an unknown resource or operation.
        missing_customer: Code of the fault for a sales form without customer.
        invoice_below_applied: Changing an invoice below what is applied to it is refused with 6000, or the surplus
            becomes unapplied.
        column_list_sparse: Objects of a query with a column list are marked `sparse`.
        total_count_on_select: `totalCount` stands beside `maxResults` in a query answer.
        store_faults_for_request_id: A faulted answer is remembered for its requestid as well.
        company_status: 6190 is answered to everything when the subscription has ended.
    """

    over_application: Literal["fault", "drop"] = "fault"
    remove_paid_invoice: Literal["unlink", "fault"] = "unlink"
    reused_request_id: Literal["replay", "fault"] = "replay"
    request_id_memory: int = 20_000
    cdc_cap: int = 1_000
    cdc_cap_per_entity: bool = False
    oversized_page: Literal["cut", "fault"] = "cut"
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
    batch_call_weight: Literal["one", "items"] = "one"
    inactive_names_collide: bool = False
    inactive_name_suffix: bool = True
    read_inactive: bool = True
    balance_moves_customer_time: bool = False
    payment_moves_invoice_token: bool = True
    unsupported_operation_status: int = 500
    missing_customer: int = 2020
    invoice_below_applied: Literal["fault", "unapply"] = "fault"
    column_list_sparse: bool = True
    total_count_on_select: bool = False
    store_faults_for_request_id: bool = False
    company_status: Literal["active", "ended"] = "active"

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
