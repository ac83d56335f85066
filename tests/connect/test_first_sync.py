"""From the consent page, clicked in a real browser, to a first sync: what a new user does in their first minutes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from reconcile.connect import CLIENT_ID_VARIABLE, CLIENT_SECRET_VARIABLE
from reconcile.demo.desk import BooksDesk
from reconcile.sandbox.billing.database import create_database
from reconcile.sandbox.quickbooks.process import running_quickbooks
from tests.connect import chromium
from tests.connect.conftest import COMPANY, FIRST, environment, office_at

PICTURE_VARIABLE = "CONSENT_PICTURE"
"""Names a file that the picture of the consent page is kept in, for somebody who wants to see it."""


@pytest.mark.skipif(chromium.PROGRAM is None, reason="there is no Chromium on this machine (Debian: chromium)")
def test_a_click_on_the_consent_page_in_a_browser_is_followed_by_a_first_sync(
    tmp_path: Path, sqlite_state_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_quickbooks("empty", realm=FIRST) as quickbooks:
        office = office_at(tmp_path, sqlite_state_url, quickbooks, monkeypatch)
        BooksDesk(quickbooks.base_url, FIRST, quickbooks.access_token).save(
            "Customer",
            DisplayName="Cool Cars",
            GivenName="Grace",
            FamilyName="Pariente",
            PrimaryEmailAddr={"Address": "grace@example.com"},
        )
        billing = create_database(str(tmp_path / "billing.db"), company_id=COMPANY, company_name="Craig's")
        browser, profile = chromium.as_default_browser(tmp_path)
        keys = {CLIENT_ID_VARIABLE: quickbooks.client_id, CLIENT_SECRET_VARIABLE: quickbooks.client_secret}
        with subprocess.Popen(
            [sys.executable, "-m", "reconcile", "connect", COMPANY, "--port", "0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=environment(office, BROWSER=browser, OAUTHLIB_INSECURE_TRANSPORT="1", **keys),
        ) as connecting:
            try:
                with chromium.page(profile) as page:
                    page.wait_for("document.readyState === 'complete' && !!document.querySelector('#connect')")
                    if os.environ.get(PICTURE_VARIABLE):
                        Path(os.environ[PICTURE_VARIABLE]).write_bytes(page.picture())
                    page.press("#connect")
                    thanks = "location.port && document.body.innerText.includes('close this page') && location.href"
                    assert "/quickbooks" in page.wait_for(thanks)
                told, complained = connecting.communicate(timeout=120)
            finally:
                connecting.kill()
        assert connecting.returncode == 0, complained
        assert f"craigs is connected to QuickBooks company Empty Company (id {FIRST})" in told

        ran = subprocess.run(
            [sys.executable, "-m", "reconcile", "run", COMPANY],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=tmp_path,
            env=environment(office, OAUTHLIB_INSECURE_TRANSPORT="1"),
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert ran.stdout.startswith("AGREED\n1 write carried out.")
        with billing.connect() as connection:
            names = connection.execute(text("select account_name, email from customers")).all()
        assert [tuple(name) for name in names] == [("Cool Cars", "grace@example.com")]
        billing.dispose()
