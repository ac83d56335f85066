"""Consent, tokens, rotation and revocation, as intuit-oauth and raw requests see them."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from intuitlib.client import AuthClient
from intuitlib.enums import Scopes
from intuitlib.exceptions import AuthClientError

from reconcile.sandbox.quickbooks.clock import Clock
from reconcile.sandbox.quickbooks.oauth import Authority, OAuthError
from reconcile.sandbox.quickbooks.process import QuickBooksSandbox, running_quickbooks
from reconcile.sandbox.quickbooks.switches import Switches


@pytest.fixture
def sandbox() -> Iterator[QuickBooksSandbox]:
    """Tokens are revoked here, so each test has a server of its own."""
    with running_quickbooks("empty", switch=["refresh_token_rotation_seconds=0"]) as running:
        yield running


def consent(auth: AuthClient, decision: str = "connect") -> dict[str, list[str]]:
    address = auth.get_authorization_url([Scopes.ACCOUNTING])
    page = requests.get(address, timeout=10)
    assert "Connect an app to QuickBooks" in page.text
    fields = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    target = urlsplit(address)._replace(query="").geturl()
    answer = requests.post(target, data={**fields, "decision": decision}, timeout=10, allow_redirects=False)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("http://localhost:8000/callback?")
    return parse_qs(urlsplit(answer.headers["Location"]).query)


def test_a_person_s_consent_ends_in_tokens_that_work(sandbox: QuickBooksSandbox, auth: AuthClient) -> None:
    back = consent(auth)
    assert back["state"] == [auth.state_token]
    assert back["realmId"] == [sandbox.realm_id]
    auth.get_bearer_token(back["code"][0], realm_id=back["realmId"][0])
    assert (auth.expires_in, auth.x_refresh_token_expires_in) == (3600, 8_726_400)
    answer = requests.get(
        f"{sandbox.base_url}/v3/company/{sandbox.realm_id}/companyinfo/{sandbox.realm_id}",
        headers={"Authorization": f"Bearer {auth.access_token}"},
        timeout=10,
    )
    assert answer.json()["CompanyInfo"]["CompanyName"] == "Empty Company"


def test_a_person_may_say_no(auth: AuthClient) -> None:
    assert consent(auth, "cancel")["error"] == ["access_denied"]


def test_a_code_used_twice_spoils_the_tokens_it_gave(sandbox: QuickBooksSandbox, auth: AuthClient) -> None:
    code = consent(auth)["code"][0]
    auth.get_bearer_token(code)
    with pytest.raises(AuthClientError) as caught:
        auth.get_bearer_token(code)
    assert (caught.value.status_code, caught.value.intuit_tid != "") == (400, True)
    with pytest.raises(AuthClientError):
        auth.refresh()


def test_a_refresh_token_that_was_exchanged_is_dead(sandbox: QuickBooksSandbox, auth: AuthClient) -> None:
    auth.refresh()
    assert auth.refresh_token != sandbox.refresh_token
    with pytest.raises(AuthClientError) as caught:
        auth.refresh(refresh_token=sandbox.refresh_token)
    assert "Incorrect or invalid refresh token" in str(caught.value.content)
    auth.refresh()


def test_revoking_either_token_ends_the_connection(sandbox: QuickBooksSandbox, auth: AuthClient) -> None:
    assert auth.revoke(token=sandbox.access_token)
    with pytest.raises(AuthClientError):
        auth.refresh()
    url = f"{sandbox.base_url}/v3/company/{sandbox.realm_id}/preferences"
    answer = requests.get(url, headers={"Authorization": f"Bearer {sandbox.access_token}"}, timeout=10)
    assert answer.status_code == 401


def test_the_token_endpoint_refuses_in_its_own_words(sandbox: QuickBooksSandbox) -> None:
    url = f"{sandbox.base_url}/oauth2/v1/tokens/bearer"
    keys = (sandbox.client_id, sandbox.client_secret)

    def refusal(form: dict[str, str], auth: Any = keys) -> tuple[int, str]:
        answer = requests.post(url, data=form, auth=auth, timeout=10)
        return answer.status_code, answer.json()["error"]

    refresh = {"grant_type": "refresh_token", "refresh_token": "AB11nonsense"}
    assert refusal(refresh) == (400, "invalid_grant")
    assert refusal(refresh, ("someone", "else")) == (401, "invalid_client")
    assert refusal({"grant_type": "password"}) == (400, "unsupported_grant_type")
    assert refusal({}) == (400, "invalid_request")
    assert requests.get(url, timeout=10).status_code == 405


def test_the_hard_expiry_is_told_to_those_who_ask(sandbox: QuickBooksSandbox) -> None:
    answer = requests.post(
        f"{sandbox.base_url}/oauth2/v1/tokens/bearer",
        data={"grant_type": "refresh_token", "refresh_token": sandbox.refresh_token},
        auth=(sandbox.client_id, sandbox.client_secret),
        headers={"x-include-refresh-token-hard-expires-in": "true"},
        timeout=10,
    )
    assert 157_000_000 < answer.json()["x_refresh_token_hard_expires_in"] <= 157_680_000


def test_an_unknown_app_or_scope_gets_no_consent_page(sandbox: QuickBooksSandbox) -> None:
    query = {"client_id": "someone", "redirect_uri": "http://localhost/x", "response_type": "code", "scope": "openid"}
    url = f"{sandbox.base_url}/connect/oauth2"
    assert requests.get(url, params=query, timeout=10, allow_redirects=False).status_code == 400
    query |= {"client_id": sandbox.client_id, "scope": "everything", "state": "<s>"}
    answer = requests.get(url, params=query, timeout=10, allow_redirects=False)
    assert answer.headers["Location"] == "http://localhost/x?error=invalid_scope&state=%3Cs%3E"


def test_text_of_strangers_is_escaped_on_the_consent_page(sandbox: QuickBooksSandbox) -> None:
    query = {"client_id": sandbox.client_id, "redirect_uri": "http://localhost/x", "response_type": "code"}
    query |= {"scope": "openid", "state": '"><script>alert(1)</script>'}
    page = requests.get(f"{sandbox.base_url}/connect/oauth2", params=query, timeout=10).text
    assert "<script>" not in page


def test_a_code_asked_for_with_a_challenge_needs_its_verifier(sandbox: QuickBooksSandbox) -> None:
    # the pair of RFC 7636, appendix B
    verifier, challenge = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    for asked in ({"code_challenge": challenge, "code_challenge_method": "S256"}, {"code_challenge": verifier}):
        form = {"client_id": sandbox.client_id, "redirect_uri": "http://localhost/x", "response_type": "code", **asked}
        form |= {"scope": "com.intuit.quickbooks.accounting", "state": "s", "decision": "connect"}
        url = f"{sandbox.base_url}/connect/oauth2"
        address = requests.post(url, data=form, timeout=10, allow_redirects=False).headers["Location"]
        code = parse_qs(urlsplit(address).query)["code"][0]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": "http://localhost/x"}
        url, keys = f"{sandbox.base_url}/oauth2/v1/tokens/bearer", (sandbox.client_id, sandbox.client_secret)
        for wrong in ({}, {"code_verifier": challenge}):
            assert requests.post(url, data=form | wrong, auth=keys, timeout=10).json() == {"error": "invalid_grant"}
        assert requests.post(url, data=form | {"code_verifier": verifier}, auth=keys, timeout=10).status_code == 200


def test_tokens_live_as_long_as_intuit_s() -> None:
    clock = Clock()
    authority = Authority("app", "secret", clock, Switches)
    access, refresh = authority.connect("1")
    assert authority.realm_of(f"Bearer {access}") == "1"
    first = authority.token({"grant_type": "refresh_token", "refresh_token": refresh})
    assert first["refresh_token"] == refresh
    clock.shift(timedelta(seconds=86_401))
    with pytest.raises(Exception, match="Token expired"):
        authority.realm_of(f"Bearer {access}")
    second = authority.token({"grant_type": "refresh_token", "refresh_token": refresh})
    assert second["refresh_token"] != refresh
    clock.shift(timedelta(seconds=8_726_401))
    with pytest.raises(OAuthError):
        authority.token({"grant_type": "refresh_token", "refresh_token": second["refresh_token"]})


def test_no_connection_outlives_five_years_of_refreshing() -> None:
    clock = Clock()
    authority = Authority("app", "secret", clock, Switches)
    token = authority.connect("1")[1]
    for _ in range(18):
        clock.shift(timedelta(seconds=8_700_000))
        token = authority.token({"grant_type": "refresh_token", "refresh_token": token})["refresh_token"]
    clock.shift(timedelta(seconds=8_700_000))
    with pytest.raises(OAuthError):
        authority.token({"grant_type": "refresh_token", "refresh_token": token})


def test_a_code_used_again_long_after_ends_the_connection_too() -> None:
    clock = Clock()
    authority = Authority("app", "secret", clock, Switches)
    code = authority.authorize("1", "http://localhost/", ("com.intuit.quickbooks.accounting",))
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": "http://localhost/"}
    refresh = authority.token(form)["refresh_token"]
    clock.shift(timedelta(hours=1))
    with pytest.raises(OAuthError):
        authority.token(form)
    with pytest.raises(OAuthError):
        authority.token({"grant_type": "refresh_token", "refresh_token": refresh})


def test_a_person_who_consents_to_openid_can_be_known(sandbox: QuickBooksSandbox, auth: AuthClient) -> None:
    address = auth.get_authorization_url([Scopes.ACCOUNTING, Scopes.OPENID, Scopes.EMAIL])
    fields = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    target = urlsplit(address)._replace(query="").geturl()
    answer = requests.post(target, data={**fields, "decision": "connect"}, timeout=10, allow_redirects=False)
    code = parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]
    auth.get_bearer_token(code)
    assert auth.id_token.count(".") == 2
    known = auth.get_user_info().json()
    assert known["emailVerified"] is True
    assert "phoneNumber" not in known
    plain = {"Authorization": f"Bearer {sandbox.access_token}"}
    refused = requests.get(f"{sandbox.base_url}/v1/openid_connect/userinfo", headers=plain, timeout=10)
    assert refused.status_code == 401


def test_a_key_that_signed_is_kept_for_the_next_process(tmp_path: Path) -> None:
    keys = []
    for _ in range(2):
        with running_quickbooks("empty", state=tmp_path / "books.sqlite") as running:
            keys.append(requests.get(f"{running.base_url}/op/v1/jwks", timeout=10).json()["keys"][0])
    assert keys[0] == keys[1]
    assert (keys[0]["kty"], keys[0]["alg"]) == ("RSA", "RS256")


def test_a_code_outlives_the_process_and_the_hard_end_bounds_the_window(tmp_path: Path) -> None:
    kept: list[bytes] = []
    switches = Switches(refresh_token_hard_seconds=1000)
    first = Authority("app", "secret", Clock(), lambda: switches, keep=kept.append)
    code = first.authorize("1", "http://localhost/", ("com.intuit.quickbooks.accounting",))
    second = Authority("app", "secret", Clock(), lambda: switches)
    second.restore(kept[-1])
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": "http://localhost/"}
    answer = second.token(form, show_hard_expiry=True)
    assert answer["x_refresh_token_expires_in"] == answer["x_refresh_token_hard_expires_in"]
    assert 990 <= answer["x_refresh_token_hard_expires_in"] <= 1000
    assert "id_token" not in answer


def test_an_app_may_name_itself_in_the_form(sandbox: QuickBooksSandbox) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": sandbox.refresh_token, "client_id": sandbox.client_id}
    url = f"{sandbox.base_url}/oauth2/v1/tokens/bearer"
    assert requests.post(url, data=form, timeout=10).status_code == 401
    known = requests.post(url, data={**form, "client_secret": sandbox.client_secret}, timeout=10)
    assert known.json()["token_type"] == "bearer"
