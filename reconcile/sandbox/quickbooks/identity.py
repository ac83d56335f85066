"""OpenID Connect: who the person behind a consent is, signed with a key of this server's own."""

import base64
import hashlib
import uuid
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from reconcile.sandbox.quickbooks.numbers import JsonObject, render

_EXPONENT: Final = 65_537
_KEY_BITS: Final = 2_048
_NAMESPACE: Final = uuid.UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8")


class Identity:
    """Signs id tokens, and answers the userinfo endpoint.

    Args:
        pem: The private key that an earlier process drew, empty for a new one.
        keep: Called with a key that was drawn, to persist it.
    """

    def __init__(self, pem: bytes = b"", keep: Callable[[bytes], None] | None = None) -> None:
        self._pem = pem
        self._keep = keep
        self._key: rsa.RSAPrivateKey | None = None

    def _private(self) -> rsa.RSAPrivateKey:
        if self._key is None:
            if self._pem:
                loaded = serialization.load_pem_private_key(self._pem, password=None)
                if not isinstance(loaded, rsa.RSAPrivateKey):
                    raise TypeError("The key that signs id tokens is no RSA key.")
                self._key = loaded
            else:
                self._key = rsa.generate_private_key(public_exponent=_EXPONENT, key_size=_KEY_BITS)
                if self._keep is not None:
                    plain = serialization.NoEncryption()
                    form = serialization.PrivateFormat.PKCS8
                    self._keep(self._key.private_bytes(serialization.Encoding.PEM, form, plain))
        return self._key

    def _public_key(self) -> JsonObject:
        numbers = self._private().public_key().public_numbers()
        modulus = _encoded(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big"))
        name = hashlib.sha256(modulus.encode()).hexdigest()[:24]
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": f"local-{name}", "e": "AQAB", "n": modulus}

    def key_set(self) -> JsonObject:
        """The document behind `jwks_uri`."""
        return {"keys": [self._public_key()]}

    def subject(self, client_id: str) -> str:
        """The person's id, which is another one for each app."""
        return str(uuid.uuid5(_NAMESPACE, client_id))

    def id_token(self, issuer: str, client_id: str, realm: str, now: float, seconds: int) -> str:
        """A signed id token (RS256).

        Args:
            issuer: As in the discovery document.
            client_id: The app, which is the audience.
            realm: The company.
            now: Seconds since 1970.
            seconds: Its life.
        """
        head = {"kid": self._public_key()["kid"], "typ": "JWT", "alg": "RS256"}
        claims = {
            "sub": self.subject(client_id),
            "aud": [client_id],
            "realmid": realm,
            "auth_time": int(now),
            "iss": issuer,
            "exp": int(now) + seconds,
            "iat": int(now),
        }
        signed = f"{_encoded(render(head))}.{_encoded(render(claims))}"
        signature = self._private().sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_encoded(signature)}"

    def user_info(self, client_id: str, scopes: tuple[str, ...]) -> JsonObject:
        """What a consent to these scopes lets an app know of the person."""
        info: JsonObject = {"sub": self.subject(client_id)}
        if "email" in scopes:
            info |= {"email": "noreply@quickbooks.com", "emailVerified": True}
        if "profile" in scopes:
            info |= {"givenName": "Local", "familyName": "User"}
        if "phone" in scopes:
            info |= {"phoneNumber": "+1 6505553311", "phoneNumberVerified": False}
        if "address" in scopes:
            address = {"locality": "Bayshore", "region": "CA", "postalCode": "94326", "country": "US"}
            info["address"] = {"streetAddress": "4581 Finch St.", **address}
        return info


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
