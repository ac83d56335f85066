"""A company whose nights are filed, and a real mail server that keeps what it is given."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Engine

from reconcile.config import Config, load_config
from reconcile.connections import store_credentials
from reconcile.evidence import make_folder, write_json
from reconcile.filing import file_run
from reconcile.model.runs import Mode, Outcome, Run
from reconcile.state import runs
from reconcile.state.database import open_state
from reconcile.state.tokens import make_key_file
from reconcile.verdict import FAILURE, Ending, Execution

COMPANY = "craigs"
NAME = "Craig's Design and Landscaping Services"
PASSWORD = "canary mail password"
STARTED = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)

CONFIGURATION = f"""\
state = "sqlite:///state.db"

[companies.{COMPANY}]
name = "{NAME}"
notify = ["books@craigs.example"]

[companies.{COMPANY}.books]
base_url = "http://127.0.0.1:1"
discovery_url = "http://127.0.0.1:1/"

[companies.{COMPANY}.billing]
url = "sqlite:///billing.db"

[companies.other]
name = "Other"

[companies.other.books]
base_url = "http://127.0.0.1:1"
discovery_url = "http://127.0.0.1:1/"

[companies.other.billing]
url = "sqlite:///other.db"

"""

MAIL = """\
[mail]
host = "127.0.0.1"
port = {port}
security = "{security}"
sender = "reconcile@office.example"
to = ["office@office.example", "second@office.example"]
"""


@dataclass
class MailServer:
    """Takes mail, or says no."""

    port: int = 0
    taken: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    answer: str = "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's name
        """Keep the mail, or answer otherwise."""
        if self.answer.startswith("250"):
            content = envelope.content if isinstance(envelope.content, bytes) else b""
            message = message_from_bytes(content, policy=policy.default)
            assert isinstance(message, EmailMessage)
            self.taken.append((list(envelope.rcpt_tos), message))
        return self.answer


@contextmanager
def serving(server: MailServer, **options: Any) -> Iterator[MailServer]:
    """A mail server that listens on a port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        server.port = free.getsockname()[1]
    controller = Controller(server, hostname="127.0.0.1", port=server.port, ready_timeout=30, **options)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for this machine, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "mail.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return path, context


def only(user: str, password: str) -> Callable[..., AuthResult]:
    """Lets in whoever says these two."""

    def check(_server: SMTP, _session: Session, _envelope: Envelope, _how: str, said: Any) -> AuthResult:
        assert isinstance(said, LoginPassword)
        return AuthResult(success=(said.login, said.password) == (user.encode(), password.encode()), handled=False)

    return check


@pytest.fixture
def mailbox() -> Iterator[MailServer]:
    """A mail server."""
    with serving(MailServer()) as server:
        yield server


@dataclass
class Office:
    """The nights of a company: each is filed as the runner files it."""

    root: Path
    engine: Engine
    _number: int = 0

    def config(self, port: int | None = None, security: str = "none", more: str = "") -> Config:
        """The configuration, with a mail server at this port."""
        mail = "" if port is None else MAIL.format(port=port, security=security) + more
        path = self.root / "reconcile.toml"
        path.write_text(CONFIGURATION + mail, encoding="utf-8")
        return load_config(path)

    def night(
        self,
        reason: str = "Step 4 of 5 (invoices) failed.",
        *,
        company: str = COMPANY,
        slot: str = "22:30",
        counts: Mapping[str, Any] | None = None,
        ending: Ending = Ending.CELL_FAILED,
        files: Mapping[str, Any] | None = None,
        begin_only: bool = False,
        day: int | None = None,
    ) -> Run:
        """One run, by default the 22:30 one, that ends like this; each a day after the one before unless told."""
        self._number += 1
        config = self.config()
        after = timedelta(days=self._number if day is None else day)
        started = STARTED + after
        run_id = f"20261123T043000-{self._number:04}"
        folder = make_folder(config.runs, company, "night", run_id, started)
        for name, content in (files or {}).items():
            write_json(folder.path / name, content)
        run = Run(
            id=run_id,
            company=company,
            kind="night" if slot else "manual",
            mode=Mode.CENSUS,
            apply=True,
            slot=slot,
            slot_date=date(2026, 11, 22) + after if slot else None,
            parameters={},
            started_at=started,
            ended_at=None,
            outcome=Outcome.RUNNING,
            reason="",
            folder=str(folder.path.relative_to(config.runs)),
            counts={FAILURE: reason, **(counts or {})},
        )
        runs.create(self.engine, run)
        if begin_only:
            return run
        return file_run(config, self.engine, run_id, Execution(ending, reason))


@pytest.fixture
def office(tmp_path: Path, sqlite_state_url: str) -> Office:
    """A company with stored credentials, before its first night."""
    office = Office(tmp_path, open_state(sqlite_state_url))
    config = office.config()
    make_key_file(config.key_file)
    names = ("client_id", "client_secret", "access_token", "refresh_token")
    store_credentials(config, COMPANY, {name: f"canary-{name}" for name in names})
    return office
