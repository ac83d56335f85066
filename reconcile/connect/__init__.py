"""Connecting a company to its QuickBooks: the consent page, the way back from it, and what is stored.

A person allows the program in on Intuit's page. Intuit then leads the browser back to an address of ours, with a code
that is exchanged for tokens. The way back carries a secret word (*state*) that only this one attempt knows, so that
nobody can slip in a code of their own; and the company's id, which must be the one this company was connected to
before. Without a browser on this machine the address that the browser was led to is pasted instead.

=============  =====================================================================================
module         what lives there
=============  =====================================================================================
``consent``    one attempt: its state, and what the way back says (pure)
``loopback``   waiting for the browser
``connector``  from the program's keys to stored tokens, and back to nothing
``standing``   how a company stands with QuickBooks, without asking it
=============  =====================================================================================
"""

from reconcile.connect.connector import (
    CLIENT_ID_VARIABLE,
    CLIENT_SECRET_VARIABLE,
    Connected,
    Connector,
    Keys,
    disconnect,
    has_stored_keys,
    keys_of,
    keys_of_environment,
)
from reconcile.connect.consent import Consent, Grant, StrayRedirectError
from reconcile.connect.loopback import PATIENCE, PORT, listening, redirect_uri
from reconcile.connect.standing import Standing, standing

__all__ = [
    "CLIENT_ID_VARIABLE",
    "CLIENT_SECRET_VARIABLE",
    "PATIENCE",
    "PORT",
    "Connected",
    "Connector",
    "Consent",
    "Grant",
    "Keys",
    "Standing",
    "StrayRedirectError",
    "disconnect",
    "has_stored_keys",
    "keys_of",
    "keys_of_environment",
    "listening",
    "redirect_uri",
    "standing",
]
