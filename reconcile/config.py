"""Configuration: one TOML file says where the state, the runs and the two sides of each company are.

The file is ``reconcile.toml`` in the working folder, or what the environment variable ``RECONCILE_CONFIG`` names::

    state = "sqlite:///state.db"   # or {env = "NAME"}; a SQLAlchemy URL, relative SQLite paths start beside this file
    runs = "runs"
    key_file = "reconcile.key"     # unlocks stored credentials; RECONCILE_KEY in the environment wins

    [companies.craigs]
    name = "Craig's Design and Landscaping Services"
    currency = "USD"

    [companies.craigs.books]
    base_url = "https://quickbooks.api.intuit.com"
    discovery_url = "https://developer.intuit.com/.well-known/openid_configuration/"
    realm_id = "9130347596842384"  # may be left out: then the one that `reconcile connect` was allowed into
    income_account = "Sales of Product Income"
    calls_per_second = 8           # and calls_per_minute = 450, batches_per_minute = 40: may be left out

    [companies.craigs.billing]
    url = {env = "CRAIGS_BILLING_URL"}

    [mail]                         # may be left out: then notices stay in the outbox (`reconcile notices`)
    host = "smtp.example.com"
    port = 587
    security = "starttls"          # or "tls" or "none"
    user = "reconcile"             # and password: may be left out
    password = {env = "RECONCILE_MAIL_PASSWORD"}
    sender = "reconcile@example.com"
    to = ["office@example.com"]    # who hears of nights that did not end well; `notify` in a company's section wins

No secret stands in it: passwords in database URLs come by ``{env = "NAME"}``, QuickBooks credentials are stored
encrypted in the state database (``reconcile connect``).
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from email.headerregistry import Address
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn

from reconcile.errors import ConfigurationError

CONFIG_VARIABLE = "RECONCILE_CONFIG"
DEFAULT_FILE = "reconcile.toml"
_COMPANY_KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


@dataclass(frozen=True, slots=True)
class BooksSettings:
    """How to reach a company's QuickBooks.

    Attributes:
        base_url, discovery_url: where the API and Intuit's authorization are.
        realm_id: the only company that may be connected; empty when the consent decides.
        income_account: name of the account of products made there by the sync.
        calls_per_second, calls_per_minute: most calls there; the defaults stay below what Intuit allows (10 and 500).
        batches_per_minute: most of them that may be batches; Intuit allows 40.
    """

    base_url: str
    discovery_url: str
    realm_id: str
    income_account: str
    calls_per_second: int = 8
    calls_per_minute: int = 450
    batches_per_minute: int = 40


@dataclass(frozen=True, slots=True)
class BillingSettings:
    """How to reach a company's ReliaBills database; the URL may hold a password and stays out of every repr."""

    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CompanyConfig:
    """One company: its key (ours, safe in file names), its name, its currency, its two sides, who is told of it."""

    key: str
    name: str
    currency: str
    books: BooksSettings
    billing: BillingSettings
    notify: tuple[str, ...] = ()


class Security(StrEnum):
    """How a mail server is spoken to."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class MailSettings:
    """By which server notices are sent, from whom, and to whom unless a company says otherwise."""

    host: str
    port: int
    security: Security
    user: str
    password: str = field(repr=False)
    sender: str
    to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Config:
    """Where everything is; paths are absolute."""

    path: Path
    state_url: str = field(repr=False)
    runs: Path = Path("runs")
    key_file: Path = Path("reconcile.key")
    companies: Mapping[str, CompanyConfig] = field(default_factory=dict)
    mail: MailSettings | None = None

    def company(self, key: str) -> CompanyConfig:
        """The company of that key.

        Raises:
            ConfigurationError: no such company; the message lists those there are.
        """
        try:
            return self.companies[key]
        except KeyError:
            known = ", ".join(sorted(self.companies)) or "none yet"
            raise ConfigurationError(
                f"There is no company {key!r} in {self.path}. Companies: {known}. "
                f"Check the spelling, or add a [companies.{key}] section."
            ) from None


def load_config(path: Path | None = None) -> Config:
    """Read the configuration file.

    Raises:
        ConfigurationError: no file, no valid TOML, a missing or wrongly typed setting; says which and where.
    """
    chosen = path or Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_FILE)
    try:
        content = tomllib.loads(chosen.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(
            f"There is no configuration file at {chosen}. Start in the folder that has {DEFAULT_FILE}, set "
            f"{CONFIG_VARIABLE} to its path, or run `reconcile demo` to see everything work on a sample company."
        ) from None
    except OSError as error:
        raise ConfigurationError(f"The configuration file {chosen} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"The configuration file {chosen} is not UTF-8 text; save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"The configuration file {chosen} is not valid TOML: {error}.") from error
    return _Reader(chosen.absolute()).config(content)


class _Reader:
    """Turns the parsed file into values, naming the setting in every complaint."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def config(self, content: Mapping[str, Any]) -> Config:
        self._only(content, {"state", "runs", "key_file", "companies", "mail"}, "")
        companies = self._table(content, "companies", "")
        return Config(
            path=self.path,
            state_url=self._database_url(content, "state", ""),
            runs=self.path.parent / self._text(content, "runs", "", default="runs"),
            key_file=self.path.parent / self._text(content, "key_file", "", default="reconcile.key"),
            companies={key: self._company(key, self._table(companies, key, "companies")) for key in companies},
            mail=self._mail(self._table(content, "mail", "")) if "mail" in content else None,
        )

    def _mail(self, table: Mapping[str, Any]) -> MailSettings:
        where = "mail"
        self._only(table, {field.name for field in fields(MailSettings)}, where)
        security = self._text(table, "security", where, default=Security.STARTTLS.value)
        if security not in set(Security):
            self._complain(where, f"security must be one of {', '.join(Security)}")
        if isinstance(table.get("password"), str):
            self._complain(where, 'no password stands in this file; write password = {env = "VARIABLE"}')
        if ("user" in table) != ("password" in table):
            self._complain(where, "user and password belong together")
        if "password" in table and security == Security.NONE:
            self._complain(where, "a password is only sent over an encrypted line; choose security starttls or tls")
        return MailSettings(
            host=self._text(table, "host", where),
            port=self._number(table, "port", where, default=587),
            security=Security(security),
            user=self._text(table, "user", where) if "user" in table else "",
            password=self._text(table, "password", where) if "password" in table else "",
            sender=self._address(self._text(table, "sender", where), "sender", where),
            to=self._addresses(table, "to", where),
        )

    def _addresses(self, table: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
        listed = table.get(name)
        if not isinstance(listed, list) or not listed:
            self._complain(where, f'{name} must be a list of mail addresses: ["office@example.com"]')
        return tuple(self._address(address, name, where) for address in listed)

    def _address(self, address: object, name: str, where: str) -> str:
        """One plain address. Nothing that could become a second one, or another header."""
        try:
            parsed = Address(addr_spec=address) if isinstance(address, str) and address.isprintable() else None
        except (ValueError, IndexError):
            parsed = None
        if parsed is None or not parsed.domain or parsed.addr_spec != address:
            self._complain(where, f"{name}: {address!r} is no mail address")
        return parsed.addr_spec

    def _company(self, key: str, table: Mapping[str, Any]) -> CompanyConfig:
        where = f"companies.{key}"
        if not _COMPANY_KEY.fullmatch(key):
            self._complain(where, "a company key has small letters, digits and hyphens, at most 40")
        self._only(table, {"name", "currency", "books", "billing", "notify"}, where)
        books = self._table(table, "books", where)
        self._only(books, {field.name for field in fields(BooksSettings)}, f"{where}.books")
        billing = self._table(table, "billing", where)
        self._only(billing, {"url"}, f"{where}.billing")
        return CompanyConfig(
            key=key,
            name=self._text(table, "name", where),
            currency=self._text(table, "currency", where, default="USD"),
            books=BooksSettings(
                base_url=self._text(books, "base_url", f"{where}.books").rstrip("/"),
                discovery_url=self._text(books, "discovery_url", f"{where}.books"),
                realm_id=self._text(books, "realm_id", f"{where}.books") if "realm_id" in books else "",
                income_account=self._text(books, "income_account", f"{where}.books", default="Sales of Product Income"),
                calls_per_second=self._number(books, "calls_per_second", f"{where}.books", default=8),
                calls_per_minute=self._number(books, "calls_per_minute", f"{where}.books", default=450),
                batches_per_minute=self._number(books, "batches_per_minute", f"{where}.books", default=40),
            ),
            billing=BillingSettings(url=self._database_url(billing, "url", f"{where}.billing")),
            notify=self._addresses(table, "notify", where) if "notify" in table else (),
        )

    def _database_url(self, table: Mapping[str, Any], name: str, where: str) -> str:
        url = self._text(table, name, where)
        prefix = "sqlite:///"
        if url.startswith(prefix) and not url.startswith((prefix + "/", prefix + ":memory:")):
            return prefix + str(self.path.parent / url.removeprefix(prefix))
        return url

    def _text(self, table: Mapping[str, Any], name: str, where: str, *, default: str | None = None) -> str:
        value = table.get(name, default)
        if value is None:
            self._complain(where, f"{name} is missing")
        if isinstance(value, dict) and set(value) == {"env"} and isinstance(value["env"], str):
            variable = value["env"]
            value = os.environ.get(variable)
            if not value:
                self._complain(where, f"{name} comes from the environment variable {variable}, which is not set")
        if not isinstance(value, str) or not value:
            self._complain(where, f'{name} must be a text in quotes, or {{env = "VARIABLE"}}')
        return value

    def _number(self, table: Mapping[str, Any], name: str, where: str, *, default: int) -> int:
        value = table.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            self._complain(where, f"{name} must be a whole number above 0")
        return value

    def _table(self, table: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
        value = table.get(name, {} if name == "companies" else None)
        if not isinstance(value, dict):
            self._complain(where, f"the section {name} is missing")
        return value

    def _only(self, table: Mapping[str, Any], known: set[str], where: str) -> None:
        unknown = sorted(set(table) - known)
        if unknown:
            self._complain(where, f"unknown setting {unknown[0]!r}; known here: {', '.join(sorted(known))}")

    def _complain(self, where: str, what: str) -> NoReturn:
        place = f"[{where}]: " if where else ""
        raise ConfigurationError(f"In {self.path}: {place}{what}.")
