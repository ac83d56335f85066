"""OAuth 2.0 as Intuit does it: codes, tokens, rotation, life times, revocation.

A *connection* is what one consent created: a company, an app, and a family of tokens. Each refresh answers with the
current refresh token, exchanged for a new value when it is a day old; a value that was exchanged is dead at once.
Whoever presents an authorization code twice ends the connection it made.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Final

from reconcile.sandbox.quickbooks.clock import Clock
from reconcile.sandbox.quickbooks.identity import Identity
from reconcile.sandbox.quickbooks.numbers import JsonObject, parse, render
from reconcile.sandbox.quickbooks.switches import Switches

ACCOUNTING: Final = "com.intuit.quickbooks.accounting"
SCOPES: Final = frozenset(
    {ACCOUNTING, "com.intuit.quickbooks.payment", "openid", "profile", "email", "phone", "address"}
)
_SHORTEST_TOKEN: Final = 100
_LONGEST_TOKEN: Final = 4_096
_SCHEME: Final = "bearer "
_CODE_MEMORY: Final = 86_400


class OAuthError(Exception):
    """A refusal by the token endpoint.

    Args:
        error: The word of the specification.
        description: A sentence, left out when empty.
        status: HTTP status.
    """

    def __init__(self, error: str, description: str = "", status: int = 400) -> None:
        super().__init__(f"{error} {description}".strip())
        self.error = error
        self.description = description
        self.status = status

    def as_json(self) -> JsonObject:
        """The answer's body."""
        body: JsonObject = {"error": self.error}
        if self.description:
            body["error_description"] = self.description
        return body


class BearerError(Exception):
    """The bearer token of a call is no good; the text is the fault's detail, empty for none."""


@dataclass(slots=True)
class Connection:
    """What one consent created.

    Attributes:
        realm: The company.
        scopes: What was consented to.
        consented: Moment of consent, seconds since 1970.
        refresh_token: The only value that is alive.
        refreshed: Moment of the last refresh.
        rotated: Moment at which this value was handed out first.
        revoked: The connection is over.
    """

    realm: str
    scopes: tuple[str, ...]
    consented: float
    refresh_token: str = field(repr=False)
    refreshed: float
    rotated: float
    revoked: bool = False


@dataclass(slots=True)
class _Access:
    connection: int
    expires: float


@dataclass(slots=True)
class _Code:
    realm: str
    redirect_uri: str
    scopes: tuple[str, ...]
    expires: float
    connection: int | None = None
    challenge: str = ""


class Authority:
    """Intuit's authorization server for one app.

    Args:
        client_id: The app.
        client_secret: Its secret.
        clock: Server time.
        switches: Life times.
        redirect_uris: Registered addresses; any is taken when empty.
        keep: Called with the whole state after each change, to persist it.
        identity: Who signs id tokens; a new key when left out.
    """

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        clock: Clock,
        switches: Callable[[], Switches],
        redirect_uris: tuple[str, ...] = (),
        keep: Callable[[bytes], None] | None = None,
        identity: Identity | None = None,
    ) -> None:
        self.client_id = client_id
        self.redirect_uris = redirect_uris
        self.identity = identity or Identity()
        self._client_secret = client_secret
        self._clock = clock
        self._switches = switches
        self._keep = keep
        self._connections: list[Connection] = []
        self._access: dict[str, _Access] = {}
        self._refresh: dict[str, int] = {}
        self._codes: dict[str, _Code] = {}

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def restore(self, kept: bytes) -> None:
        """Take over the state that `keep` was given in an earlier process."""
        held = parse(kept)
        numbers = ("consented", "refreshed", "rotated")
        for entry in held["connections"]:
            values = {**entry, "scopes": tuple(entry["scopes"]), **{name: float(entry[name]) for name in numbers}}
            self._connections.append(Connection(**values))
        self._access = {token: _Access(int(one), float(expires)) for token, (one, expires) in held["access"].items()}
        self._refresh = {connection.refresh_token: number for number, connection in enumerate(self._connections)}
        for code, entry in held.get("codes", {}).items():
            self._codes[code] = _Code(**{**entry, "scopes": tuple(entry["scopes"]), "expires": float(entry["expires"])})

    def _persist(self) -> None:
        if self._keep is not None:
            access = {token: [entry.connection, entry.expires] for token, entry in self._access.items()}
            codes = {code: asdict(held) for code, held in self._codes.items()}
            connections = [asdict(one) for one in self._connections]
            self._keep(render({"connections": connections, "access": access, "codes": codes}))

    # Consent -----------------------------------------------------------------------------------------------------

    def known_redirect(self, uri: str) -> bool:
        """Whether a redirect address is one of the app's."""
        return bool(uri) and (not self.redirect_uris or uri in self.redirect_uris)

    def authorize(self, realm: str, redirect_uri: str, scopes: tuple[str, ...], challenge: str = "") -> str:
        """The user said yes: a code for the redirect.

        Args:
            realm: The company that was chosen.
            redirect_uri: The address that the code goes to, and that it is exchanged with.
            scopes: What was consented to.
            challenge: What `challenge_of` makes of the verifier that the code is exchanged with; empty for none.
        """
        code = f"AB11{secrets.token_urlsafe(32)}"
        now = self._now()
        self._codes = {known: held for known, held in self._codes.items() if held.expires > now - _CODE_MEMORY}
        expires = now + self._switches().authorization_code_seconds
        self._codes[code] = _Code(realm, redirect_uri, scopes, expires, challenge=challenge)
        self._persist()
        return code

    def connect(self, realm: str) -> tuple[str, str]:
        """A connection without a consent page, as the server's start makes one: access token and refresh token."""
        number = self._connected(realm, (ACCOUNTING,))
        access = self._grant(number)
        self._persist()
        return access, self._connections[number].refresh_token

    def connection_of(self, realm: str) -> tuple[str, str] | None:
        """A fresh access token and the refresh token of a living connection to a company, if there is one."""
        for number, connection in enumerate(self._connections):
            if connection.realm == realm and self._alive(connection):
                access = self._grant(number)
                self._persist()
                return access, connection.refresh_token
        return None

    def _connected(self, realm: str, scopes: tuple[str, ...]) -> int:
        now = self._now()
        token = _refresh_value()
        self._connections.append(Connection(realm, scopes, now, token, now, now))
        number = len(self._connections) - 1
        self._refresh[token] = number
        return number

    def _grant(self, number: int) -> str:
        token = f"eyJlbmMiOiJBMTI4Q0JDLUhTMjU2IiwiYWxnIjoiZGlyIn0..{secrets.token_urlsafe(160)}"
        now = self._now()
        self._access = {known: entry for known, entry in self._access.items() if entry.expires > now}
        self._access[token] = _Access(number, now + self._switches().access_token_seconds)
        return token

    def _alive(self, connection: Connection) -> bool:
        now = self._now()
        switches = self._switches()
        return (
            not connection.revoked
            and now < connection.refreshed + switches.refresh_token_seconds
            and now < connection.consented + switches.refresh_token_hard_seconds
        )

    # Token endpoint ----------------------------------------------------------------------------------------------

    def check_client(self, authorization: str) -> None:
        """HTTP Basic of the app.

        Raises:
            OAuthError: `invalid_client`.
        """
        scheme, _, encoded = authorization.partition(" ")
        try:
            given = base64.b64decode(encoded, validate=True) if scheme.lower() == "basic" else b""
        except binascii.Error:
            given = b""
        wanted = f"{self.client_id}:{self._client_secret}".encode()
        if not hmac.compare_digest(given, wanted):
            raise OAuthError("invalid_client", status=401)

    def token(self, form: dict[str, str], *, show_hard_expiry: bool = False, issuer: str = "") -> JsonObject:
        """Exchange a code or a refresh token.

        Args:
            form: The decoded request body.
            issuer: Who signs the id token of a connection with the scope `openid`; none is made when it is empty.
            show_hard_expiry: The client asked for `x_refresh_token_hard_expires_in`.

        Raises:
            OAuthError: The code or token is dead, foreign or used; or the grant type is unknown.
        """
        match form.get("grant_type"):
            case "authorization_code":
                verifier = form.get("code_verifier", "")
                number = self._exchange(form.get("code", ""), form.get("redirect_uri", ""), verifier)
            case "refresh_token":
                number = self._renew(form.get("refresh_token", ""))
            case None | "":
                raise OAuthError("invalid_request", "grant_type is missing")
            case _:
                raise OAuthError("unsupported_grant_type")
        connection = self._connections[number]
        switches = self._switches()
        hard = int(connection.consented + switches.refresh_token_hard_seconds - self._now())
        body: JsonObject = {
            "token_type": "bearer",
            "access_token": self._grant(number),
            "refresh_token": connection.refresh_token,
            "expires_in": switches.access_token_seconds,
            "x_refresh_token_expires_in": min(switches.refresh_token_seconds, hard),
        }
        if show_hard_expiry:
            body["x_refresh_token_hard_expires_in"] = hard
        if "openid" in connection.scopes and issuer:
            body["id_token"] = self.identity.id_token(
                issuer, self.client_id, connection.realm, self._now(), switches.access_token_seconds
            )
        self._persist()
        return body

    def _exchange(self, code: str, redirect_uri: str, verifier: str) -> int:
        held = self._codes.get(code)
        if held is None:
            raise OAuthError("invalid_grant")
        if held.connection is not None:
            self._end(held.connection)
            self._persist()
            raise OAuthError("invalid_grant")
        proven = not held.challenge or hmac.compare_digest(held.challenge, challenge_of(verifier))
        if held.expires < self._now() or held.redirect_uri != redirect_uri or not proven:
            raise OAuthError("invalid_grant")
        held.connection = self._connected(held.realm, held.scopes)
        return held.connection

    def _renew(self, token: str) -> int:
        number = self._refresh.get(token)
        if number is None or not self._alive(self._connections[number]):
            raise OAuthError("invalid_grant", "Incorrect or invalid refresh token")
        connection = self._connections[number]
        now = self._now()
        if now - connection.rotated >= self._switches().refresh_token_rotation_seconds:
            del self._refresh[token]
            connection.refresh_token = _refresh_value()
            connection.rotated = now
            self._refresh[connection.refresh_token] = number
        connection.refreshed = now
        return number

    def revoke(self, token: str) -> None:
        """End the connection that a token belongs to.

        Raises:
            OAuthError: No such token.
        """
        access = self._access.get(token)
        number = self._refresh.get(token) if access is None else access.connection
        if number is None:
            raise OAuthError("invalid_grant", "Incorrect or invalid refresh token")
        self._end(number)
        self._persist()

    def _end(self, number: int) -> None:
        connection = self._connections[number]
        connection.revoked = True
        self._refresh.pop(connection.refresh_token, None)
        self._access = {token: entry for token, entry in self._access.items() if entry.connection != number}

    # Calls -------------------------------------------------------------------------------------------------------

    def realm_of(self, authorization: str) -> str:
        """The company that a bearer token was made for.

        Raises:
            BearerError: Missing, malformed, unknown, expired or revoked.
        """
        if not authorization.lower().startswith(_SCHEME):
            raise BearerError("")
        token = authorization[len(_SCHEME) :].strip()
        if not _SHORTEST_TOKEN <= len(token) <= _LONGEST_TOKEN:
            raise BearerError("Malformed bearer token: too short or too long")
        held = self._access.get(token)
        if held is None or held.expires <= self._now():
            raise BearerError(f"Token expired: {token[:2]}…")
        return self._connections[held.connection].realm

    def user_info(self, authorization: str) -> JsonObject:
        """What the userinfo endpoint says to the bearer of an access token.

        Raises:
            BearerError: The token is no good, or its user did not consent to `openid`.
        """
        self.realm_of(authorization)
        held = self._access[authorization[len(_SCHEME) :].strip()]
        scopes = self._connections[held.connection].scopes
        if "openid" not in scopes:
            raise BearerError("The token was not granted the scope openid")
        return self.identity.user_info(self.client_id, scopes)

    def expire_access_tokens(self) -> None:
        """Every access token is expired from now on; refresh tokens are not touched."""
        self._access.clear()
        self._persist()


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a verifier (RFC 7636)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _refresh_value() -> str:
    return f"AB11{secrets.token_urlsafe(36)}"
