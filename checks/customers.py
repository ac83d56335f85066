"""Customers: what ReliaBills requires of each, and what QuickBooks can store.

ReliaBills needs a first name, a last name and exactly one valid primary e-mail address ("Customers"); "Accounts
Payable" may serve as a first name. QuickBooks limits names, addresses and phones (API file 4.1). A customer who is
already on both sides is only mentioned: nothing has to be created.
"""

from __future__ import annotations

import re
from types import MappingProxyType

from checks import columns
from checks.declaration import (
    BILLING_HOLD,
    BILLING_NOTE,
    BOOKS_HOLD,
    BOTH_HOLD,
    TEXT_CONTROL,
    TEXT_LENGTH,
    Check,
    Suite,
    first_checks,
    holds,
)
from checks.world import Columns, World
from reconcile.model.entities import Entity, Side
from reconcile.model.findings import Severity

_PART = r"[^@\x00-\x20\x7f\xa0,;:<>()\"\[\]\\]+"
EMAIL = rf"{_PART}@{_PART}\.{_PART}"
"""One address: something before and after a single ``@``, a dot in the domain, no blanks or list separators."""
_SEPARATORS = "[,;\x09-\x0d\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
"""What people put between addresses: a comma, a semicolon, every blank there is."""
_EMAIL_LENGTH = 100
_PHONE_LENGTH = 30

LENGTHS = {
    "display_name": ("display name", 500),
    "company_name": ("company name", 100),
    "given_name": ("first name", 100),
    "family_name": ("last name", 100),
    "email": ("e-mail", _EMAIL_LENGTH),
}
"""Most characters QuickBooks takes (API file 4.1)."""
_NAMES = ("display_name", "given_name", "family_name")

_BOOKS_HOLD_BILLING_NOTE = MappingProxyType({Side.BOOKS: Severity.HOLD, Side.BILLING: Severity.NOTE})
"""ReliaBills refuses to store such a list; where it has one already, it is only mentioned."""

CHECKS = (
    *first_checks(Entity.CUSTOMER),
    Check(
        "customer_display_name_present",
        Entity.CUSTOMER,
        BOTH_HOLD,
        holds("display_name_present"),
        "The customer with id {id} has no name in {here}.",
        "Give the customer a display name in {here}.",
    ),
    Check(
        "customer_first_name_present",
        Entity.CUSTOMER,
        BOOKS_HOLD,
        holds("first_name_present"),
        'Customer "{label}" has no first name in QuickBooks; ReliaBills requires one.',
        'Enter a first name in QuickBooks, for example "{proposed_first_name}" ("Accounts Payable" may serve for a '
        "business).",
        linked_severity=Severity.NOTE,
    ),
    Check(
        "customer_last_name_present",
        Entity.CUSTOMER,
        BOOKS_HOLD,
        holds("last_name_present"),
        'Customer "{label}" has no last name in QuickBooks; ReliaBills requires one.',
        'Enter a last name in QuickBooks, for example "{proposed_last_name}".',
        linked_severity=Severity.NOTE,
    ),
    Check(
        "customer_email_present",
        Entity.CUSTOMER,
        BOOKS_HOLD,
        holds("email_present"),
        'Customer "{label}" has no e-mail address in QuickBooks; ReliaBills requires exactly one.',
        "Enter the customer's e-mail address in QuickBooks{proposed_email_words}.",
        linked_severity=Severity.NOTE,
    ),
    Check(
        "customer_email_single",
        Entity.CUSTOMER,
        BOTH_HOLD,
        holds("email_single"),
        'Customer "{label}" has several addresses in the e-mail field of {here}: {email}. '
        "ReliaBills takes exactly one there.",
        "In {here}, leave one address as the primary e-mail{proposed_email_words} and move the others to the further "
        "e-mails.",
        linked_severity=Severity.NOTE,
    ),
    Check(
        "customer_email_valid",
        Entity.CUSTOMER,
        BOTH_HOLD,
        holds("email_valid"),
        'The e-mail of customer "{label}" in {here} is not an address mail can be sent to: {email}.',
        "Correct the e-mail in {here}{proposed_email_words}; it looks like name@company.com.",
        linked_severity=Severity.NOTE,
    ),
    Check(
        "customer_further_emails_valid",
        Entity.CUSTOMER,
        _BOOKS_HOLD_BILLING_NOTE,
        holds("further_emails_valid"),
        'The further e-mails of customer "{label}" in {here} are not a list of addresses separated by commas without '
        "blanks: {more_emails}.",
        "Correct them in {here}; ReliaBills refuses such a list.",
        linked_severity=Severity.NOTE,
        amount="",
    ),
    Check(
        "customer_name_storable",
        Entity.CUSTOMER,
        BILLING_HOLD,
        holds("names_storable"),
        'Customer "{label}" has a colon, a tab, a line break or another control character in: {unstorable}. '
        "QuickBooks refuses such names.",
        'Change it in ReliaBills, for example the display name to "{proposed_name}".',
        told_by=TEXT_CONTROL,
    ),
    Check(
        "customer_name_characters",
        Entity.CUSTOMER,
        BILLING_NOTE,
        holds("names_plain"),
        'Customer "{label}" has characters in: {unusual}, that QuickBooks may not accept (it promises Western European '
        "letters only).",
        "If QuickBooks refuses the customer, spell it in ReliaBills with plain letters.",
        amount="",
    ),
    Check(
        "customer_text_lengths",
        Entity.CUSTOMER,
        BILLING_HOLD,
        holds("lengths_fit"),
        'Customer "{label}" is longer in ReliaBills than QuickBooks can hold, in: {too_long}.',
        "Shorten it in ReliaBills (names and company 100, display name 500, e-mail 100 characters); nothing is cut off "
        "silently.",
        told_by=TEXT_LENGTH,
    ),
    Check(
        "customer_emails_fit_together",
        Entity.CUSTOMER,
        BILLING_HOLD,
        holds("emails_fit_together"),
        'The e-mail addresses of customer "{label}" are {emails_length} characters together in ReliaBills; QuickBooks '
        "keeps all of them in one field of 100.",
        "Remove one of the further e-mails in ReliaBills, or use a shorter address.",
        amount="",
        told_by=TEXT_LENGTH,
    ),
    Check(
        "customer_phone_length",
        Entity.CUSTOMER,
        BILLING_HOLD,
        holds("phone_fits"),
        'The phone of customer "{label}" is longer than the 30 characters QuickBooks holds: {phone}.',
        "Shorten the phone in ReliaBills; a second number can go to the notes.",
        told_by=TEXT_LENGTH,
    ),
)


def facts(world: World, side: Side, entity: Entity) -> Columns:
    """One row per customer with the columns :data:`CHECKS` look at, and proposals where something is missing."""
    frame = world.records(side, entity)
    email = frame["email"]
    single = ~columns.contains(email, rf"{_SEPARATORS}|@.*@")
    frame["display_name_present"] = columns.is_present(frame["display_name"])
    frame["first_name_present"] = columns.is_present(frame["given_name"])
    frame["last_name_present"] = columns.is_present(frame["family_name"])
    frame["email_present"] = columns.is_present(email)
    frame["email_single"] = columns.where(frame["email_present"], single)
    frame["email_valid"] = columns.where(
        frame["email_present"] & single, columns.matches(email, EMAIL) & columns.fits(email, _EMAIL_LENGTH)
    )
    further = frame["more_emails"]
    frame["further_emails_valid"] = columns.where(further.notna(), columns.matches(further, rf"{EMAIL}(,{EMAIL})*"))
    frame["emails_length"] = columns.length_of(email) + 1 + columns.length_of(further)  # with a comma between
    frame["emails_fit_together"] = columns.where(further.notna(), frame["emails_length"] <= _EMAIL_LENGTH)
    unstorable = {LENGTHS[name][0]: ~columns.is_storable_name(frame[name]) for name in _NAMES}
    unusual = {LENGTHS[name][0]: columns.contains(frame[name], r"[^\x00-\xff]") for name in _NAMES}
    too_long = {title: ~columns.fits(frame[name], length) for name, (title, length) in LENGTHS.items()}
    for column, at_fault in (("unstorable", unstorable), ("unusual", unusual), ("too_long", too_long)):
        frame[column] = columns.listed(at_fault)
    frame["names_storable"] = frame["unstorable"] == ""
    frame["names_plain"] = frame["unusual"] == ""
    frame["lengths_fit"] = frame["too_long"] == ""
    frame["phone_fits"] = columns.fits(frame["phone"], _PHONE_LENGTH)
    return _with_proposals(frame)


def _with_proposals(frame: Columns) -> Columns:
    """Proposed values, only for records that need one; a person enters them, nothing is written by itself."""
    name = frame["display_name"].where(frame["display_name_present"], frame["company_name"]).fillna("Unknown")
    nameless = ~(frame["first_name_present"] & frame["last_name_present"])
    frame["proposed_first_name"] = columns.said_of(name, nameless, lambda whole: _split_name(whole)[0])
    frame["proposed_last_name"] = columns.said_of(name, nameless, lambda whole: _split_name(whole)[1])
    doubtful = ~(columns.truth(frame["email_valid"]) & columns.truth(frame["email_single"]))
    written = columns.joined(frame["email"], frame["more_emails"])
    frame["proposed_email_words"] = columns.said_of(written, doubtful, _email_words).fillna("")
    unstorable = ~frame["names_storable"]
    frame["proposed_name"] = columns.said_of(frame["display_name"].fillna(""), unstorable, _storable_name)
    return frame


def _split_name(name: str) -> tuple[str, str]:
    """A person's first and last name, or "Accounts Payable" and the name of a business."""
    words = name.split()
    business = re.search(r"\b(inc|llc|ltd|co|corp|company|services?|store|shop|group|&)\b|[&0-9]", name, re.IGNORECASE)
    two_or_three = (2, 3)
    if len(words) in two_or_three and not business:
        return " ".join(words[:-1]), words[-1]
    return "Accounts Payable", name


def _email_words(written: str) -> str:
    """``, for example a@b.com``: the first usable address among those that are there, if any."""
    for candidate in re.split(r"[,;\s<>]+", written):
        if re.fullmatch(EMAIL, candidate):
            return f", for example {candidate}"
    return ""


def _storable_name(name: str) -> str:
    return " ".join(re.sub(r"[:\x00-\x1f\x7f]+", " ", name).split())


SUITE = Suite("customers", CHECKS, facts)
