"""The names of the rules whose breach is a finding of the comparison; what each says is where it is applied."""

from __future__ import annotations

from reconcile.model.changes import Decision, Verdict
from reconcile.model.entities import Side

# Who is who
AMBIGUOUS = "ambiguous_match"
TAKEN = "name_or_number_taken"
OTHER_CUSTOMER = "same_number_other_customer"
LOOK_ALIKE = "look_alike_number"
ENDED = "link_ended_before"
COUNTERPART_UNREADABLE = "counterpart_unreadable"

# Single fields
CONFLICT = "changed_on_both_sides"
DIFFERENT = "matched_but_different"
FIXED = "cannot_be_changed_there"
UNSTORABLE = "cannot_be_stored_there"
BUNDLE = "lines_of_a_bundle"
UNVOID = "void_cannot_be_undone"
PAID_VOID = "void_with_payments"
OVERPAID = "paid_beyond_its_total"
MERGE = "merge_breaks_the_money"
INEXPRESSIBLE = "not_expressible_in_quickbooks"
TOTALS = "totals_differ"
ROUNDING = "tax_rounding"
WAITS = "waits_with_its_record"
UNDONE = "undone_by_a_person"
CANNOT_UNDO = "cannot_be_undone"

CLOSED = "closed_without_full_payment"

# Whole records
GONE = "gone_from_one_side"
ABSENT = "absent_without_a_trace"
UNREADABLE = "could_not_be_read"
UNREAD = "counterpart_not_read"
NOT_CARRIED = "not_carried"
DEPENDS = "waits_for_another_record"
MERGED = "merged_in_quickbooks"
MAYBE_MERGED = "inactive_or_merged_in_quickbooks"
NAME_TAKEN = "name_taken_by_a_vendor_or_employee"
INACTIVE = "inactive_on_the_other_side"
CHANGE_WAITS = "change_waits_while_inactive"
CANNOT_RETURN = "cannot_become_active_again"
TWICE = "made_twice_by_one_write"
NOT_OPEN = "more_than_is_open"
STALE = "moved_since_the_plan"
UNPLANNED = "new_since_the_plan"

IGNORED = "ignored_for_now"
"""A person has said to leave the record alone until a date."""

REFUND = "refund"
"""Not ours: the billing side notes each refund under this name, on the payment, with the amount."""

TO = {Side.BOOKS: Decision.TO_BOOKS, Side.BILLING: Decision.TO_BILLING}
CHANGED_IN = {Side.BOOKS: Verdict.CHANGED_IN_BOOKS, Side.BILLING: Verdict.CHANGED_IN_BILLING}
GONE_FROM = {Side.BOOKS: Verdict.GONE_FROM_BOOKS, Side.BILLING: Verdict.GONE_FROM_BILLING}
NEW_IN = {Side.BOOKS: Verdict.NEW_IN_BOOKS, Side.BILLING: Verdict.NEW_IN_BILLING}

DISPUTES = frozenset(
    {
        CONFLICT,
        DIFFERENT,
        UNDONE,
        FIXED,
        UNSTORABLE,
        BUNDLE,
        UNVOID,
        PAID_VOID,
        OVERPAID,
        MERGE,
        INEXPRESSIBLE,
        TOTALS,
        IGNORED,
    }
)
"""Rules about single fields: they keep those fields waiting, and others only where the field decides what they mean."""
