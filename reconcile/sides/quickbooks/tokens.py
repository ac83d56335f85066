"""Tokens of a connection, and where they are kept. Only the newest refresh token works, so it is saved before use."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from threading import RLock
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a connection is proven with (API file 2.3).

    Attributes:
        access_token: sent with every call, lives an hour; empty when there is none yet.
        refresh_token: gives the next access token; its value changes about daily.
        previous_refresh_token: the one before, kept until the newest was seen to work; empty when there is none.
        access_expires_at, refresh_expires_at: UTC; ``None`` when unknown. The second moves on with every renewal.
        connection_expires_at: when Intuit wants a person's consent again, whatever is renewed; ``None`` when unknown.
        ended_at: when Intuit said that the connection is over; it is not asked again before somebody reconnects.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    previous_refresh_token: str = field(default="", repr=False)
    access_expires_at: datetime | None = None
    refresh_expires_at: datetime | None = None
    connection_expires_at: datetime | None = None
    ended_at: datetime | None = None


class TokenStore(Protocol):
    """Where the tokens of one company are kept."""

    def load(self) -> Tokens:
        """The newest tokens.

        Raises:
            DisconnectedError: there are none (any more): the company has been disconnected.
        """
        ...

    def save(self, tokens: Tokens) -> None:
        """Keep these tokens for good before it returns; they are used only afterwards."""
        ...

    @property
    def reconnect(self) -> str:
        """The sentence that tells how to connect the company again."""
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

    @property
    def reconnect(self) -> str:
        """How to connect again: nothing is known here of which company it is."""
        return "Connect this company to QuickBooks again (`reconcile connect`)."

    def lock(self) -> AbstractContextManager[object]:
        """Single-flight across the threads of this process."""
        return self._lock
