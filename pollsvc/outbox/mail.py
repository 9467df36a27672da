"""Mail: written from a template when it is sent, handed to an SMTP server or, where there is none, kept as a file."""

from __future__ import annotations

import os
import re
import smtplib
import ssl
import tempfile
from contextlib import suppress
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTPUTF8
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import idna
import orjson

from pollsvc.config import Settings
from pollsvc.outbox.delivery import DeliveryFailed
from pollsvc.outbox.letters import write_letter
from pollsvc.outbox.models import OutboxMessage
from pollsvc.outbox.service import Letter

#: Seconds that a server may take for one answer.
SMTP_PATIENCE = 20
# Lines are not folded: mail programs read List-Unsubscribe as it stands, and a link in pieces is none.
_POLICY = SMTPUTF8.clone(max_line_length=998)
_ENHANCED = re.compile(rb"\b[245]\.\d{1,3}\.\d{1,3}\b")


def mail_from(settings: Settings) -> str:
    """The address that mail comes from."""
    if settings.mail_from:
        return settings.mail_from
    host = urlsplit(settings.public_url).hostname or "localhost"
    # An IP address is a domain only in brackets.
    is_name = not re.fullmatch(r"[0-9.]+|.*:.*", host)
    return f"pollsvc@{host}" if is_name else f"pollsvc@[{'IPv6:' if ':' in host else ''}{host}]"


def mail_host(settings: Settings) -> str:
    """The right side of our Message-IDs."""
    return mail_from(settings).partition("@")[2]


def compose(message: OutboxMessage, settings: Settings, now: datetime) -> EmailMessage:
    """Write a mail of the outbox as it is sent (RFC 5322), text and HTML.

    :raises DeliveryFailed: if it cannot be written: of no use to try again.
    """
    try:
        letter = Letter(**orjson.loads(message.payload or "null"))
        subject, text, html = write_letter(letter.template, letter.locale, letter.params)
        mail = EmailMessage(policy=_POLICY)
        local, _, domain = mail_from(settings).rpartition("@")
        # The standard library's policy refuses line breaks in every header.
        mail["From"] = Address(_one_line(letter.sender), local, domain)
        mail["To"] = _deliverable(letter.to)
        mail["Subject"] = _one_line(subject)
        mail["Date"] = format_datetime(now)
        mail["Message-ID"] = message.message_id
        # RFC 3834: no machine answers this.
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Auto-Response-Suppress"] = "All"
        if letter.leave_url:
            mail["List-Unsubscribe"] = f"<{letter.leave_url}>"
            mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        mail.set_content(text)
        mail.add_alternative(html, subtype="html")
        for file in letter.attachments:
            kind, _, subtype = file["type"].partition("/")
            mail.add_attachment(
                file["content"].encode(), maintype=kind, subtype=subtype, filename=file["name"]
            )
    except (ValueError, TypeError, KeyError, LookupError) as error:
        raise DeliveryFailed(
            f"The mail could not be written: {type(error).__name__}.", is_final=True
        ) from error
    return mail


class FolderTransport:
    """Keeps mails as files, for an installation without a mail server. A file's name comes from its Message-ID."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, message: OutboxMessage, now: datetime) -> int | None:
        mail = compose(message, self._settings, now)
        folder = mail_folder(self._settings)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Written beside and moved, so that nobody reads half a mail, and a repetition replaces the first.
            handle, scratch = tempfile.mkstemp(dir=folder, prefix=".", suffix=".part")
            with os.fdopen(handle, "wb") as file:
                file.write(mail.as_bytes(policy=_POLICY))
                file.flush()
                os.fsync(file.fileno())
            Path(scratch).replace(folder / file_name(message.message_id or ""))
        except OSError as error:
            raise DeliveryFailed(f"The mail could not be kept: {error.strerror}.") from error
        return None


class SmtpTransport:
    """Hands mails to the server of ``POLLSVC_SMTP_URL``, each over a connection of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        parts = urlsplit(str(settings.smtp_url))
        self._is_tls = parts.scheme == "smtps"
        self._host = parts.hostname or ""
        self._port = parts.port or (465 if self._is_tls else 587)
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        self._starttls = parse_qs(parts.query).get("starttls", ["required"])[-1]

    def __call__(self, message: OutboxMessage, now: datetime) -> int | None:
        mail = compose(message, self._settings, now)
        try:
            server = self._connect()
        except smtplib.SMTPResponseException as error:
            # Whatever a server says before it knows the mail is about us or itself, never about this mail.
            raise DeliveryFailed(
                f"The mail server answered {_told(error.smtp_code, error.smtp_error)}.",
                status=error.smtp_code,
            ) from error
        except (OSError, smtplib.SMTPException) as error:
            raise DeliveryFailed(f"The mail server was not reached: {_name_of(error)}.") from error
        try:
            return self._hand_over(server, mail)
        finally:
            # It was taken already, or not: how we part does not matter.
            with suppress(OSError, smtplib.SMTPException):
                server.quit()
            server.close()

    def _connect(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self._is_tls:
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self._host, self._port, timeout=SMTP_PATIENCE, context=context
            )
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=SMTP_PATIENCE)
        try:
            self._introduce(server, context)
        except BaseException:
            server.close()
            raise
        return server

    def _introduce(self, server: smtplib.SMTP, context: ssl.SSLContext) -> None:
        server.ehlo_or_helo_if_needed()
        if not self._is_tls and self._starttls != "never":
            if server.has_extn("starttls"):
                server.starttls(context=context)
                server.ehlo()
            elif self._starttls == "required":
                raise smtplib.SMTPNotSupportedError("no STARTTLS")
        if self._user:
            server.login(self._user, self._password)

    def _hand_over(self, server: smtplib.SMTP, mail: EmailMessage) -> int:
        try:
            is_ascii = str(mail["To"]).isascii()
            server.send_message(mail, mail_options=() if is_ascii else ("SMTPUTF8",))
        except smtplib.SMTPRecipientsRefused as error:
            code, text = next(iter(error.recipients.values()))
            raise _refused(code, text) from error
        except smtplib.SMTPResponseException as error:
            raise _refused(error.smtp_code, error.smtp_error) from error
        except smtplib.SMTPNotSupportedError as error:
            raise DeliveryFailed(
                "The mail server takes no international addresses (SMTPUTF8).", is_final=True
            ) from error
        except (OSError, smtplib.SMTPException) as error:
            raise DeliveryFailed(f"The mail server went away: {_name_of(error)}.") from error
        return 250


def mail_transport(settings: Settings) -> FolderTransport | SmtpTransport:
    """The way that mail leaves this installation."""
    return SmtpTransport(settings) if settings.smtp_url else FolderTransport(settings)


def mail_folder(settings: Settings) -> Path:
    """Where mails are kept as files."""
    return settings.instance / "mail"


def file_name(message_id: str) -> str:
    """The name of a mail's file: the left side of its Message-ID."""
    return re.sub(r"[^0-9a-f]", "", message_id.partition("@")[0]) + ".eml"


def remove_files(settings: Settings, message_ids: list[str]) -> None:
    """Delete the files of mails."""
    for message_id in message_ids:
        (mail_folder(settings) / file_name(message_id)).unlink(missing_ok=True)


def _deliverable(address: str) -> str:
    """An address whose domain every server understands; its local part may still need SMTPUTF8."""
    local, _, domain = address.rpartition("@")
    return f"{local}@{idna.encode(domain, uts46=True).decode()}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _refused(code: int, text: bytes | str) -> DeliveryFailed:
    return DeliveryFailed(
        f"The mail server answered {_told(code, text)}.", status=code, is_final=500 <= code < 600
    )


def _told(code: int, text: bytes | str) -> str:
    # Only the numbers: what servers write beside them quotes addresses.
    found = _ENHANCED.search(text if isinstance(text, bytes) else text.encode(errors="replace"))
    return f"{code} {found[0].decode()}" if found else str(code)


def _name_of(error: BaseException) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
