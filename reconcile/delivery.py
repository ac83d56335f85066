"""Handing the outbox to the mail server. A mail that cannot be delivered changes nothing of what a run came to."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from sqlalchemy import Engine

from reconcile.config import Config, MailSettings, Security
from reconcile.model.notices import Posted
from reconcile.state import outbox

TIMEOUT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Delivered:
    """What came of it: how many notices the mail server took, and why it did not take others."""

    sent: int
    problem: str


def deliver(config: Config, engine: Engine, *, company: str | None = None, at_once: bool = False) -> Delivered:
    """Send what is due, the oldest first; stop at the first that cannot be sent, it is due again after a while.

    Args:
        config: says by which mail server, from whom and to whom; without that everything stays in the outbox.
        engine: the state.
        company: only notices of this company.
        at_once: also those that failed and would be tried later.
    """
    mail = config.mail
    if mail is None:
        return Delivered(0, "")
    sent = 0
    while (posted := outbox.claim(engine, company=company, at_once=at_once)) is not None:
        try:
            _hand_over(mail, _message(config, mail, posted))
        except (OSError, smtplib.SMTPException) as error:
            problem = _words(error, mail)
            outbox.failed(engine, posted, problem)
            return Delivered(sent, problem)
        outbox.sent(engine, posted)
        sent += 1
    return Delivered(sent, "")


def _message(config: Config, mail: MailSettings, posted: Posted) -> EmailMessage:
    notice = posted.notice
    known = config.companies.get(notice.company)
    message = EmailMessage()
    message["Subject"] = notice.subject
    message["From"] = mail.sender
    message["To"] = ", ".join((known.notify if known is not None else ()) or mail.to)
    message["Date"] = format_datetime(posted.posted_at)
    # The same whenever it is sent: whoever gets it twice can tell.
    message["Message-ID"] = f"<notice-{posted.id}.{notice.run_id}@{Address(addr_spec=mail.sender).domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(notice.body)
    return message


def _hand_over(mail: MailSettings, message: EmailMessage) -> None:
    context = ssl.create_default_context()
    if mail.security is Security.TLS:
        server: smtplib.SMTP = smtplib.SMTP_SSL(mail.host, mail.port, timeout=TIMEOUT_SECONDS, context=context)
    else:
        server = smtplib.SMTP(mail.host, mail.port, timeout=TIMEOUT_SECONDS)
    with server:
        if mail.security is Security.STARTTLS:
            server.starttls(context=context)
        if mail.user:
            server.login(mail.user, mail.password)
        server.send_message(message)


def _words(error: Exception, mail: MailSettings) -> str:
    """Why a mail was not taken. What the server says may quote anything, so of it only the number is passed on."""
    match error:
        case smtplib.SMTPAuthenticationError():
            what = f"does not accept user and password ({error.smtp_code}). Check [mail] in reconcile.toml"
        case smtplib.SMTPRecipientsRefused():
            what = "refuses the recipients. Check the addresses in reconcile.toml"
        case smtplib.SMTPResponseException():
            what = f"refused the mail ({error.smtp_code})"
        case smtplib.SMTPNotSupportedError():
            what = f"does not offer what [mail] in reconcile.toml asks for ({mail.security})"
        case ssl.SSLError():
            what = f"could not be trusted ({error.reason or 'no certificate'}). Check host, port and security"
        case TimeoutError():
            what = "does not answer"
        case OSError() if error.strerror:
            what = f"cannot be reached ({error.strerror}). Check host and port, and that the server runs"
        case _:
            what = f"ended the conversation ({type(error).__name__})"
    return f"The mail server {mail.host}:{mail.port} {what}."
