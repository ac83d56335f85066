"""Access as Intuit grants it: consent, exchange of its code, renewal, revocation (API file 2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

import requests
from intuitlib.client import AuthClient
from intuitlib.enums import Scopes
from intuitlib.exceptions import AuthClientError

from reconcile.errors import ConfigurationError, RefusedError, UnreachableError
from reconcile.sides.quickbooks.tokens import Tokens
from reconcile.sides.quickbooks.transport import Bounds, Deadline, checked_address, prepare

DEFAULT_BOUNDS = Bounds()
_REFUSALS = frozenset({400, 401, 403})
_DEAD = "invalid_grant"
_HARD_EXPIRY = "x-include-refresh-token-hard-expires-in"
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Program:
    """What this program is to Intuit: the keys of an app on Intuit's developer site, and where access is granted.

    Attributes:
        discovery_url: document that names the addresses of consent, tokens and revocation (API file 2.1).
        client_id, client_secret: of the app; the secret is kept out of ``repr``.

    Raises:
        ConfigurationError: the address is not https (plain http is for this machine only), or a key is empty.
    """

    discovery_url: str
    client_id: str
    client_secret: str = field(repr=False)

    def __post_init__(self) -> None:
        checked_address(self.discovery_url, "discovery address")
        for name in ("client_id", "client_secret"):
            if not getattr(self, name).strip():
                raise ConfigurationError(
                    f"The setting {name} of the QuickBooks connection is empty. Fill it in, or connect the company."
                )


class _Client(AuthClient):  # type: ignore[misc]  # intuit-oauth is untyped
    """Intuit's own OAuth client on watched connections, with time-outs, without redirects."""

    _prepared = False

    def __init__(self, program: Program, bounds: Bounds) -> None:
        self._bounds = bounds
        self._address = program.discovery_url
        super().__init__(
            client_id=program.client_id,
            client_secret=program.client_secret,
            redirect_uri="",
            environment=program.discovery_url,
        )
        checked_address(self.auth_endpoint, "consent address")
        checked_address(self.token_endpoint, "token address")
        checked_address(self.revoke_endpoint, "revocation address")

    def request(self, method: str, url: str, **kwargs: Any) -> requests.Response:
        """One OAuth exchange."""
        if not self._prepared:
            prepare(self, self._address)
            self._prepared = True
        kwargs["timeout"] = (self._bounds.connect, self._bounds.read)
        kwargs["allow_redirects"] = False
        kwargs["headers"] = {**(kwargs.get("headers") or {}), _HARD_EXPIRY: "true"}
        with Deadline(self._bounds.total):
            return cast("requests.Response", super().request(method, url, **kwargs))


class AuthorizationServer:
    """Intuit's authorization server, as one program sees it. Makes no request before it is needed."""

    def __init__(self, program: Program, bounds: Bounds = DEFAULT_BOUNDS) -> None:
        self.program = program
        self._bounds = bounds
        self._client: _Client | None = None

    def __repr__(self) -> str:
        return f"AuthorizationServer({self.program!r})"

    def consent_address(self, redirect_uri: str, state: str) -> str:
        """The page on which a person allows this program into a company; it leads to ``redirect_uri`` with a code.

        Raises:
            UnreachableError, RefusedError: the discovery document could not be read.
        """

        def address(client: _Client) -> str:
            client.redirect_uri = redirect_uri
            return cast("str", client.get_authorization_url([Scopes.ACCOUNTING], state))

        return self._spoken(address)

    def exchange(self, code: str, redirect_uri: str) -> Tokens:
        """The first tokens, for a code that a consent led to. A code must never be exchanged twice (API file 8, 4).

        Raises:
            RefusedError: the code is dead or not for this program, or the program's own keys are refused.
            UnreachableError: no answer; the consent has to be repeated.
        """

        def bearer(client: _Client) -> Tokens:
            client.redirect_uri = redirect_uri
            _forget_answer(client)
            client.get_bearer_token(code)
            return _tokens(client, "")

        tokens = self._unless_dead(bearer)
        if tokens is None:
            raise RefusedError(
                "Intuit no longer accepts the code of this consent: it lives for minutes and works once, for the same "
                "program and redirect address. Connect again."
            )
        return tokens

    def renew(self, refresh_token: str) -> Tokens | None:
        """New tokens, or ``None`` when the refresh token is dead.

        Raises:
            RefusedError: the program's own keys are refused.
            UnreachableError: no usable answer; the token may have been exchanged all the same.
        """

        def fresh(client: _Client) -> Tokens:
            _forget_answer(client)
            client.refresh(refresh_token=refresh_token)
            return _tokens(client, refresh_token)

        return self._unless_dead(fresh)

    def revoke(self, token: str) -> bool:
        """End the connection a token belongs to; ``False`` when Intuit knew it no longer.

        Raises:
            RefusedError: the program's own keys are refused.
            UnreachableError: no answer.
        """
        return self._unless_dead(lambda client: bool(client.revoke(token))) is not None

    def _unless_dead(self, act: Callable[[_Client], R]) -> R | None:
        try:
            return self._spoken(act)
        except _DeadGrantError:
            return None

    def _spoken(self, act: Callable[[_Client], R]) -> R:
        """What an exchange gives; its failures in words. No cause is kept: it may quote a token."""
        try:
            if self._client is None:
                self._client = _Client(self.program, self._bounds)
            return act(self._client)
        except AuthClientError as error:
            if _DEAD in str(error.content):
                raise _DeadGrantError from None
            trace = f" (Intuit's trace of this: {error.intuit_tid})" if error.intuit_tid else ""
            if error.status_code in _REFUSALS:
                raise RefusedError(
                    f"QuickBooks does not accept the program's own credentials (status {error.status_code}). Check the "
                    f"client id and secret in the settings.{trace}"
                ) from None
            raise UnreachableError(
                f"QuickBooks could not renew our access just now (status {error.status_code}). Try again later.{trace}"
            ) from None
        except (requests.RequestException, OSError) as error:
            kind = "found or reached" if isinstance(error, requests.ConnectionError) else "used"
            raise UnreachableError(
                f"The address where QuickBooks renews access could not be {kind}. Check the network; try again later."
            ) from None
        except (AttributeError, KeyError, TypeError, ValueError):
            raise UnreachableError(
                "The address where QuickBooks renews access did not answer as it should. Check the network for a "
                "sign-in page or proxy; try again later."
            ) from None


class _DeadGrantError(Exception):
    """The code or the refresh token is dead."""


_ANSWERED = (
    "access_token",
    "refresh_token",
    "expires_in",
    "x_refresh_token_expires_in",
    "x_refresh_token_hard_expires_in",
)


def _forget_answer(client: _Client) -> None:
    """The library keeps what earlier answers said; what this one does not say must not be read from another."""
    for name in _ANSWERED:
        setattr(client, name, None)


def _tokens(client: _Client, used: str) -> Tokens:
    access, refresh = client.access_token, client.refresh_token
    if not (isinstance(access, str) and access and isinstance(refresh, str) and refresh):
        raise ValueError("an answer without tokens")
    now = datetime.now(UTC)
    return Tokens(
        access_token=access,
        refresh_token=refresh,
        previous_refresh_token=used if used != refresh else "",
        access_expires_at=_after(now, client.expires_in),
        refresh_expires_at=_after(now, client.x_refresh_token_expires_in),
        connection_expires_at=_after(now, client.x_refresh_token_hard_expires_in),
    )


def _after(now: datetime, seconds: Any) -> datetime | None:
    try:
        return now + timedelta(seconds=int(seconds))
    except (TypeError, ValueError, OverflowError):
        return None
