"""One attempt to connect a company: its state, and what the way back from Intuit says. Pure."""

from __future__ import annotations

import hmac
import re
import secrets
import threading
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from reconcile.errors import RefusedError

_LONGEST_CODE = 512
_REALM = re.compile(r"[0-9]{1,30}")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a consent led to: a code, good for one exchange, and the company it is for."""

    code: str
    realm_id: str

    def __repr__(self) -> str:
        return f"Grant(code hidden, realm_id={self.realm_id!r})"


class StrayRedirectError(RefusedError):
    """A way back that does not belong to this attempt."""


class Consent:
    """One attempt to connect one company: one state, good for one way back.

    Args:
        company: company key, for the words.
        redirect_uri: where Intuit leads the browser back to; registered with the program at Intuit.
    """

    def __init__(self, company: str, redirect_uri: str) -> None:
        self.company = company
        self.redirect_uri = redirect_uri
        self.state = secrets.token_urlsafe(32)
        self._used = False
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Consent({self.company!r}, {self.redirect_uri!r})"

    def accept(self, address: str) -> Grant:
        """The grant in the address that the browser was led back to.

        Raises:
            StrayRedirectError: it does not belong to this attempt: a wrong or used state. The attempt stays open.
            RefusedError: the consent was refused, or what came back is not Intuit's.
        """
        try:
            asked = parse_qs(urlsplit(address.strip()).query, keep_blank_values=True, max_num_fields=20)
        except ValueError:
            asked = {}
        said = {name: values[0] for name, values in asked.items() if len(values) == 1}
        ours = hmac.compare_digest(said.get("state", "").encode("utf-8", "replace"), self.state.encode())
        with self._lock:
            if not ours or self._used:
                raise StrayRedirectError(
                    f"That way back from Intuit does not belong to this connection of {self.company}"
                    f"{' (it was used already)' if ours else ''}. Nothing was stored."
                )
            self._used = True
        if said.get("error") == "access_denied":
            raise RefusedError(
                f"On Intuit's page access was declined. {self.company} is as it was; connect again to try once more."
            )
        if "error" in said:
            raise RefusedError(
                f"Intuit refused to ask for consent ({said['error'][:60]!r}). Check the program's settings on Intuit's "
                "developer site (scope accounting, redirect address), then connect again."
            )
        code, realm = said.get("code", ""), said.get("realmId", "")
        if not 0 < len(code) <= _LONGEST_CODE or not _REALM.fullmatch(realm):
            raise RefusedError("What came back from Intuit holds no code or no company. Connect again.")
        return Grant(code, realm)
