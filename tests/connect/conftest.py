"""A configured company that is not connected yet, a local QuickBooks with two companies, and a person who consents."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from reconcile.config import CONFIG_VARIABLE, Config, load_config
from reconcile.connect import CLIENT_ID_VARIABLE, CLIENT_SECRET_VARIABLE, Connected, Connector, Keys
from reconcile.sandbox.quickbooks.process import QuickBooksSandbox, running_quickbooks
from reconcile.state.tokens import make_key_file

COMPANY = "craigs"
FIRST, SECOND = "4620816365001", "4620816365002"

CONFIGURATION = """\
state = "{state}"

[companies.craigs]
name = "Craig's"

[companies.craigs.books]
base_url = "{base_url}"
discovery_url = "{discovery_url}"
{realm}

[companies.craigs.billing]
url = "sqlite:///billing.db"
"""


@dataclass(frozen=True)
class Office:
    """Where somebody connects a company."""

    root: Path
    config: Config
    quickbooks: QuickBooksSandbox

    @property
    def keys(self) -> Keys:
        return Keys(self.quickbooks.client_id, self.quickbooks.client_secret)

    def connect(self, realm: str = FIRST, because: str = "") -> Connected:
        """Connect as a person would, on the consent page, and paste the address the browser was led to."""
        connector = Connector(self.config, COMPANY, self.keys, because=because)
        try:
            consent = connector.consent("http://localhost:8723/quickbooks")
            back = led_back(connector.address(consent), realm)
            return connector.finish(consent, consent.accept(back))
        finally:
            connector.close()

    def admin(self, path: str, **body: object) -> dict[str, object]:
        """Ask the local QuickBooks' admin resource."""
        answer = requests.post(f"{self.quickbooks.base_url}/admin/{path}", json=body, timeout=10)
        answer.raise_for_status()
        content: dict[str, object] = answer.json()
        return content

    def renewals(self) -> int:
        """How often tokens were asked for."""
        calls = requests.get(f"{self.quickbooks.base_url}/admin/calls", timeout=10).json()["calls"]
        return sum("tokens/bearer" in str(call) for call in calls)


def led_back(address: str, realm: str = FIRST, decision: str = "connect") -> str:
    """Where the consent page leads the browser when its button is pressed."""
    page = requests.get(address, timeout=10)
    assert page.status_code == 200
    assert 'id="connect"' in page.text
    pressed = requests.post(address, data={"decision": decision, "realm": realm}, timeout=10, allow_redirects=False)
    assert pressed.status_code == 302
    return pressed.headers["Location"]


@pytest.fixture(scope="module")
def quickbooks() -> Iterator[QuickBooksSandbox]:
    with running_quickbooks("empty", realm=[FIRST, SECOND], admin=True) as running:
        yield running


@pytest.fixture
def office(
    tmp_path: Path, sqlite_state_url: str, quickbooks: QuickBooksSandbox, monkeypatch: pytest.MonkeyPatch
) -> Office:
    return office_at(tmp_path, sqlite_state_url, quickbooks, monkeypatch)


def office_at(
    root: Path, state: str, quickbooks: QuickBooksSandbox, monkeypatch: pytest.MonkeyPatch, realm: str = ""
) -> Office:
    path = root / "reconcile.toml"
    path.write_text(
        CONFIGURATION.format(
            state=state,
            base_url=quickbooks.base_url,
            discovery_url=quickbooks.discovery_url,
            realm=f'realm_id = "{realm}"' if realm else "",
        )
    )
    for name in (CLIENT_ID_VARIABLE, CLIENT_SECRET_VARIABLE, "RECONCILE_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(CONFIG_VARIABLE, str(path))
    config = load_config(path)
    if not config.key_file.exists():
        make_key_file(config.key_file)
    return Office(root, config, quickbooks)


def environment(office: Office, **more: str) -> dict[str, str]:
    """What a command is started with."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RECONCILE_")}
    return {**kept, CONFIG_VARIABLE: str(office.config.path), **more}
