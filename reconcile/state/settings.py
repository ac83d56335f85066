"""What a company has chosen: typed, with defaults that are the careful choice, never guessed from a damaged value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import Engine, delete, insert, select

from reconcile.errors import ConfigurationError
from reconcile.model.entities import FIELDS, Entity
from reconcile.state.companies import remember_company
from reconcile.state.database import reading, writing
from reconcile.state.schema import SettingRow
from reconcile.state.texts import json_text

BAD_NUMBER_CHOICES = ("stop", "hold")
DELETION_CHOICES = ("hold", "void")
_WHOLE = 100
WINNERS = ("hold", "books", "billing")
USUAL = "usual"
"""What a person types, and reads, for a limit that goes by the company's own history."""
LIMITS = ("most_endings", "most_price_changes")
CAPS = ("shrunk_by_percent", "census_every_days", "most_mails", "most_mailed", "most_charges", "most_charged")
NUMBERS = (*LIMITS, *CAPS)


@dataclass(frozen=True, slots=True)
class CompanySettings:
    """The choices of one company.

    Attributes:
        bad_invoice_number: what an invoice number that is not all digits does: ``stop`` the invoices step once the
            good invoices are across, as ReliaBills does, or ``hold`` only that invoice and its payments.
        deleted_invoices: what becomes of an unpaid invoice in ReliaBills that was deleted in QuickBooks: ``hold`` it
            until a person decides, or ``void`` it. A paid one is always held.
        conflict_policy: who wins a field changed on both sides: ``{"customer.phone": "billing"}``; keys are
            ``entity.field``, ``entity.*`` or ``*``, values ``hold``, ``books`` or ``billing``. Not named is held.
        matched_policy: the same for fields that differ on records matched for the first time.
        most_endings: voids, deletions and deactivations that one run may carry out per kind of record before it stops
            and asks; ``None`` goes by what is usual for the company.
        most_price_changes: the same for prices of products.
        shrunk_by_percent: a side that lacks this share of its linked records is not believed.
        census_every_days: how often a run that is to read only changes reads everything all the same; with 0 always.
        most_mails: mails that one run may cause; what would cause more waits.
        most_mailed: the sum of the invoices mailed by one run, in whole units of the company's currency.
        most_charges: automatic charges that one run may cause; what would cause more waits.
        most_charged: their sum, in whole units of the company's currency.

    Raises:
        ConfigurationError: a value that is none of these; says which and what there is.
    """

    bad_invoice_number: str = "stop"
    conflict_policy: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    matched_policy: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    deleted_invoices: str = "hold"
    most_endings: int | None = None
    most_price_changes: int | None = None
    shrunk_by_percent: int = 30
    census_every_days: int = 7
    most_mails: int = 100
    most_mailed: int = 100_000
    most_charges: int = 100
    most_charged: int = 100_000

    def __post_init__(self) -> None:
        """Refuse what nobody can have meant."""
        if self.bad_invoice_number not in BAD_NUMBER_CHOICES:
            raise ConfigurationError(
                f"The setting bad_invoice_number is {_quoted(self.bad_invoice_number)}; choose stop or hold."
            )
        if self.deleted_invoices not in DELETION_CHOICES:
            raise ConfigurationError(
                f"The setting deleted_invoices is {_quoted(self.deleted_invoices)}; choose hold or void."
            )
        for name in ("conflict_policy", "matched_policy"):
            _check_policy(name, getattr(self, name))
        for name in NUMBERS:
            most = getattr(self, name)
            if most is None and name in LIMITS:
                continue
            if not isinstance(most, int) or isinstance(most, bool) or most < 0:
                or_usual = f", or {USUAL} for what is usual in the company" if name in LIMITS else ""
                raise ConfigurationError(
                    f"The setting {name} is {_quoted(most)}; choose a whole number, 0 or more{or_usual}."
                )
        if not 1 <= self.shrunk_by_percent <= _WHOLE:
            raise ConfigurationError(
                f"The setting shrunk_by_percent is {self.shrunk_by_percent}; choose a percentage from 1 to {_WHOLE}."
            )


def changed(settings: CompanySettings, name: str, value: str) -> CompanySettings:
    """The same settings with one choice made anew, as typed by a person.

    ``name`` is ``bad_invoice_number``, ``deleted_invoices``, one of :data:`NUMBERS`, or a field of a policy:
    ``conflict_policy.invoice.memo``, ``matched_policy.customer.phone``, ``conflict_policy.*``.

    Raises:
        ConfigurationError: there is no such setting, or it cannot have that value.
    """
    policy, _, key = name.partition(".")
    if policy == "conflict_policy" and key:
        return replace(settings, conflict_policy={**settings.conflict_policy, key: value})
    if policy == "matched_policy" and key:
        return replace(settings, matched_policy={**settings.matched_policy, key: value})
    if name == "bad_invoice_number":
        return replace(settings, bad_invoice_number=value)
    if name == "deleted_invoices":
        return replace(settings, deleted_invoices=value)
    if name in NUMBERS:
        numbers: dict[str, Any] = {number: getattr(settings, number) for number in NUMBERS}
        numbers[name] = int(value) if value.isascii() and value.isdigit() else None if value == USUAL else value
        return replace(settings, **numbers)
    raise ConfigurationError(
        f"There is no setting {_quoted(name)}. There are bad_invoice_number, deleted_invoices, {', '.join(NUMBERS)}, "
        "conflict_policy.FIELD and matched_policy.FIELD, where FIELD is like customer.phone, invoice.* or *."
    )


def shown(settings: CompanySettings) -> list[tuple[str, str]]:
    """Every choice as a person types it: name and value."""
    listed = [("bad_invoice_number", settings.bad_invoice_number), ("deleted_invoices", settings.deleted_invoices)]
    listed += [(name, USUAL if (value := getattr(settings, name)) is None else str(value)) for name in NUMBERS]
    for policy in ("conflict_policy", "matched_policy"):
        winners = sorted(getattr(settings, policy).items()) or [("*", "hold")]
        listed += [(f"{policy}.{key}", winner) for key, winner in winners]
    return listed


def load(engine: Engine, company: str) -> CompanySettings:
    """The company's settings; the defaults where nothing was saved.

    Raises:
        ConfigurationError: a saved setting is damaged, unknown or made by a newer version: no run with guessed values.
    """
    with reading(engine) as connection:
        rows = connection.execute(select(SettingRow.name, SettingRow.value).where(SettingRow.company == company)).all()
    known = {setting.name for setting in fields(CompanySettings)}
    saved: dict[str, Any] = {}
    for name, text in rows:
        if name not in known:
            raise ConfigurationError(
                f"The settings of {company!r} have {_quoted(name)}, which this reconcile does not know; it may come "
                "from a newer version. Install that, or save the settings again."
            )
        try:
            saved[name] = json.loads(text)
        except ValueError:
            raise ConfigurationError(
                f"The saved setting {name} of {company!r} cannot be read; save the settings again."
            ) from None
    try:
        return CompanySettings(**saved)
    except ConfigurationError as error:
        raise ConfigurationError(f"The settings of {company!r} cannot be used. {error}") from None


def save(engine: Engine, company: str, settings: CompanySettings) -> None:
    """Keep these settings in place of the former ones; they count from the next run on."""
    now = datetime.now(UTC)
    values = {setting.name: getattr(settings, setting.name) for setting in fields(CompanySettings)}
    with writing(engine) as connection:
        remember_company(connection, company)
        connection.execute(delete(SettingRow).where(SettingRow.company == company))
        connection.execute(
            insert(SettingRow),
            [
                {"company": company, "name": name, "value": json_text(value), "saved_at": now}
                for name, value in values.items()
            ],
        )


def _check_policy(setting: str, policy: Any) -> None:
    if not isinstance(policy, Mapping):
        raise ConfigurationError(f"The setting {setting} is {_quoted(policy)}; give fields with their winners.")
    known = {"*"} | {
        f"{entity.value}.{name}"
        for entity in Entity
        for name in [
            "*",
            *(candidate.name for candidate in FIELDS[entity] if candidate.compared and candidate.writable),
        ]
    }
    for key, winner in policy.items():
        if key not in known:
            raise ConfigurationError(
                f"The setting {setting} names {_quoted(key)}, which is no field that can be written; write it as "
                "entity.field, for example customer.phone, or invoice.* or *."
            )
        if winner not in WINNERS:
            raise ConfigurationError(
                f"The setting {setting} gives {key} to {_quoted(winner)}; choose hold, books or billing."
            )


def _quoted(value: object) -> str:
    """The value as a person can recognise it, in one line and not too long."""
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."  # noqa: PLR2004  (about a line of a message)
