"""The way back from Intuit's page: whose it is, what it says, and what nobody can slip in."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
import requests

from reconcile.connect import (
    CLIENT_ID_VARIABLE,
    CLIENT_SECRET_VARIABLE,
    Consent,
    Grant,
    StrayRedirectError,
    keys_of,
    keys_of_environment,
    listening,
)
from reconcile.errors import ConfigurationError, RefusedError

HERE = "http://localhost:8723/quickbooks"


def way_back(consent: Consent, **changes: str) -> str:
    said = {"code": "AB11abc", "state": consent.state, "realmId": "4620816365001", **changes}
    return f"{HERE}?{urlencode({name: value for name, value in said.items() if value})}"


def test_a_consent_gives_its_code_and_its_company() -> None:
    consent = Consent("craigs", HERE)
    assert consent.accept(way_back(consent)) == Grant("AB11abc", "4620816365001")


def test_a_pasted_address_may_have_blanks_around_it() -> None:
    consent = Consent("craigs", HERE)
    assert consent.accept(f"  {way_back(consent)}\n").realm_id == "4620816365001"


@pytest.mark.parametrize("state", ["", "guessed", "é"])
def test_a_foreign_state_is_refused_and_the_attempt_stays_open(state: str) -> None:
    consent = Consent("craigs", HERE)
    with pytest.raises(StrayRedirectError, match="does not belong to this connection of craigs"):
        consent.accept(way_back(consent, state=state))
    assert consent.accept(way_back(consent)).code == "AB11abc"


def test_a_state_is_good_once() -> None:
    consent = Consent("craigs", HERE)
    consent.accept(way_back(consent))
    with pytest.raises(StrayRedirectError, match="used already"):
        consent.accept(way_back(consent, code="AB11other"))


def test_the_state_of_another_companys_attempt_is_refused() -> None:
    consent, other = Consent("craigs", HERE), Consent("neighbour", HERE)
    with pytest.raises(StrayRedirectError):
        consent.accept(way_back(other))


def test_a_state_given_twice_is_none() -> None:
    consent = Consent("craigs", HERE)
    with pytest.raises(StrayRedirectError):
        consent.accept(way_back(consent) + "&state=other")


def test_a_declined_consent_says_so_and_cannot_be_used_again() -> None:
    consent = Consent("craigs", HERE)
    with pytest.raises(RefusedError, match="access was declined"):
        consent.accept(way_back(consent, error="access_denied", code=""))
    with pytest.raises(StrayRedirectError):
        consent.accept(way_back(consent))


@pytest.mark.parametrize(
    "changes",
    [{"code": ""}, {"code": "x" * 513}, {"realmId": ""}, {"realmId": "../5"}, {"realmId": "٣٤"}, {"realmId": "9" * 31}],
)
def test_what_is_no_code_or_no_company_is_refused(changes: dict[str, str]) -> None:
    consent = Consent("craigs", HERE)
    with pytest.raises(RefusedError, match="no code or no company"):
        consent.accept(way_back(consent, **changes))


def test_another_refusal_of_intuit_is_told() -> None:
    consent = Consent("craigs", HERE)
    with pytest.raises(RefusedError, match="'invalid_scope'"):
        consent.accept(way_back(consent, error="invalid_scope"))


@pytest.mark.parametrize("address", ["", "nonsense", "http://[", "http://localhost/quickbooks"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(StrayRedirectError):
        Consent("craigs", HERE).accept(address)


def test_nothing_secret_stands_in_a_representation() -> None:
    consent = Consent("craigs", HERE)
    grant = consent.accept(way_back(consent))
    assert consent.state not in repr(consent)
    assert "AB11abc" not in repr(grant)
    assert "canary" not in repr(keys_of({"client_id": "canary", "client_secret": "canary"}))


def test_the_browser_is_listened_to_on_the_loopback_address_only_and_strays_are_told() -> None:
    strays: list[str] = []
    with listening(lambda address: Consent("craigs", address), 0, strays.append) as (consent, wait):
        address = consent.redirect_uri
        assert requests.get(address.replace("/quickbooks", "/"), timeout=5).status_code == 404
        stray = requests.get(f"{address}?code=x&state=<b>&realmId=1", timeout=5)
        assert (stray.status_code, len(strays)) == (400, 1)
        assert "<b>" not in stray.text
        said = urlencode({"code": "AB11abc", "state": consent.state, "realmId": "46"})
        thanks = requests.get(f"{address}?{said}", timeout=5)
        assert "You can close this page" in thanks.text
        assert thanks.headers["Referrer-Policy"] == "no-referrer"
        assert wait(5) == Grant("AB11abc", "46")
        assert requests.get(f"{address}?{said}", timeout=5).status_code == 400
    with pytest.raises(requests.ConnectionError):
        requests.get(address, timeout=5)


def test_a_declined_consent_ends_the_waiting() -> None:
    with listening(lambda address: Consent("craigs", address), 0) as (consent, wait):
        requests.get(f"{consent.redirect_uri}?error=access_denied&state={consent.state}", timeout=5)
        with pytest.raises(RefusedError, match="declined"):
            wait(5)


def test_who_never_consents_is_not_waited_for_for_ever() -> None:
    with (
        listening(lambda address: Consent("craigs", address), 0) as (_, wait),
        pytest.raises(RefusedError, match="Nobody consented within"),
    ):
        wait(0.01)


def test_a_taken_port_is_named() -> None:
    with listening(lambda address: Consent("craigs", address), 0) as (consent, _):
        port = int(consent.redirect_uri.split(":")[2].split("/")[0])
        with pytest.raises(ConfigurationError, match=f"Port {port} of this machine"), listening(Consent, port):  # type: ignore[arg-type]
            pass


def test_the_programs_keys_come_from_the_environment_both_or_none() -> None:
    both = {CLIENT_ID_VARIABLE: "AB", CLIENT_SECRET_VARIABLE: "secret"}
    keys = keys_of_environment(both)
    assert keys is not None
    assert (keys.client_id, keys.client_secret) == ("AB", "secret")
    assert keys_of_environment({}) is None
    with pytest.raises(ConfigurationError, match="RECONCILE_CLIENT_SECRET is not set"):
        keys_of_environment({CLIENT_ID_VARIABLE: "AB"})


@pytest.mark.parametrize("given", [{}, {"client_id": "AB"}, {"client_id": "AB", "client_secret": 5}, [], "canary"])
def test_keys_that_are_none_are_refused_without_showing_them(given: object) -> None:
    with pytest.raises(ConfigurationError, match="one JSON object with client_id and client_secret") as caught:
        keys_of(given)  # type: ignore[arg-type]
    assert "canary" not in str(caught.value)
