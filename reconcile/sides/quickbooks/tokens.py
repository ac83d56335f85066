"""Tokens of a connection, and where they are kept. Only the newest refresh token works, so it is saved before use."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from datetime import datetime
from threading import RLock
from typing import Protocol

from reconcile.errors import RefusedError


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a connection is proven with (API file 2.3).

    Attributes:
        access_token: sent with every call, lives an hour; empty when there is none yet.
        refresh_token: gives the next access token; its value changes about daily.
        previous_refresh_token: the one before, kept until the newest was seen to work; empty when there is none.
        access_expires_at, refresh_expires_at: UTC; ``None`` when unknown.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    previous_refresh_token: str = field(default="", repr=False)
    access_expires_at: datetime | None = None
    refresh_expires_at: datetime | None = None

    def to_texts(self) -> dict[str, str]:
        """The same as texts by name, for a vault; what is unknown is left out."""
        texts = {
            "access_token": self.access_token,
            "refresh_token": self.refresh_token,
            "previous_refresh_token": self.previous_refresh_token,
            "access_expires_at": self.access_expires_at.isoformat() if self.access_expires_at else "",
            "refresh_expires_at": self.refresh_expires_at.isoformat() if self.refresh_expires_at else "",
        }
        return {name: text for name, text in texts.items() if text}

    @classmethod
    def from_texts(cls, texts: Mapping[str, str]) -> Tokens:
        """The tokens kept by :meth:`to_texts`; other names are ignored."""
        access, refresh = texts.get("access_expires_at"), texts.get("refresh_expires_at")
        return cls(
            access_token=texts.get("access_token", ""),
            refresh_token=texts.get("refresh_token", ""),
            previous_refresh_token=texts.get("previous_refresh_token", ""),
            access_expires_at=datetime.fromisoformat(access) if access else None,
            refresh_expires_at=datetime.fromisoformat(refresh) if refresh else None,
        )


class TokenStore(Protocol):
    """Where the tokens of one company are kept."""

    def load(self) -> Tokens:
        """The newest tokens."""
        ...

    def save(self, tokens: Tokens) -> None:
        """Keep these tokens for good before it returns; they are used only afterwards."""
        ...

    def lock(self) -> AbstractContextManager[object]:
        """Held during a refresh: as far as it reaches (threads, processes, hosts), only one refreshes at a time."""
        ...


class MemoryTokenStore:
    """Tokens of one process: a connection without a past, as a sandbox has."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._lock = RLock()

    def load(self) -> Tokens:
        """The newest tokens."""
        return self._tokens

    def save(self, tokens: Tokens) -> None:
        """Keep these tokens."""
        self._tokens = tokens

    def lock(self) -> AbstractContextManager[object]:
        """Single-flight across the threads of this process."""
        return self._lock


_NAMES = frozenset(part.name for part in fields(Tokens))


class Vault(Protocol):
    """Sealed credentials per company, as the state keeps them."""

    def load(self, company: str) -> Mapping[str, str] | None:
        """The newest credentials; ``None`` when none are stored."""
        ...

    def store(self, company: str, tokens: Mapping[str, str]) -> None:
        """Keep these as the newest, committed before it returns."""
        ...

    def lock(self, company: str) -> AbstractContextManager[object]:
        """Held while credentials are exchanged."""
        ...


class VaultTokenStore:
    """Tokens of one company in a vault: single-flight across all processes that share it."""

    def __init__(self, vault: Vault, company: str) -> None:
        self._vault = vault
        self._company = company

    def load(self) -> Tokens:
        """The newest tokens.

        Raises:
            RefusedError: none are stored: the company was never connected.
        """
        texts = self._vault.load(self._company)
        if texts is None:
            raise RefusedError(f"{self._company} is not connected to QuickBooks. Connect it, then start again.")
        return Tokens.from_texts(texts)

    def save(self, tokens: Tokens) -> None:
        """Keep these tokens, beside whatever else the vault holds for the company."""
        kept = {name: text for name, text in (self._vault.load(self._company) or {}).items() if name not in _NAMES}
        self._vault.store(self._company, kept | tokens.to_texts())

    def lock(self) -> AbstractContextManager[object]:
        """Single-flight as far as the vault's lock reaches."""
        return self._vault.lock(self._company)
