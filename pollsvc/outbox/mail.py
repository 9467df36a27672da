"""Mail: written from a template when it is sent, and kept as a file where there is no mail server."""

from __future__ import annotations

import os
import re
import unicodedata
from datetime import datetime
from email.headerregistry import Address, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import urlsplit

import idna
import orjson
from jinja2 import TemplateError

from pollsvc.config import Settings
from pollsvc.outbox.delivery import DeliveryFailed
from pollsvc.outbox.letters import write_letter
from pollsvc.outbox.models import UNREADABLE, OutboxMessage
from pollsvc.outbox.service import Letter


class _AsItStands(UnstructuredHeader):
    """Neither folded nor encoded: the standard library breaks long words up, and a link or an address in pieces is none."""

    name: str  # given by the registry, which joins this class with its BaseHeader

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {self}{policy.linesep}"


_HEADERS = HeaderRegistry()
for _name in ("to", "message-id", "list-unsubscribe"):
    _HEADERS.map_to_type(_name, _AsItStands)  # type: ignore[arg-type]
# Seven bits, so that every server takes it; SMTPUTF8 (RFC 6531) only for an address that cannot be written otherwise.
_POLICY = SMTP.clone(header_factory=_HEADERS, cte_type="7bit")
_INTERNATIONAL = _POLICY.clone(utf8=True)


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


def compose(message: OutboxMessage, settings: Settings) -> EmailMessage:
    """Write a mail of the outbox as it is sent (RFC 5322), text and HTML.

    :raises DeliveryFailed: if it cannot be written: of no use to try again. If no key opens it, one may later.
    """
    if message.payload is None:
        raise DeliveryFailed(UNREADABLE, is_ours=True)
    try:
        letter = Letter(**orjson.loads(message.payload))
        subject, text, html = write_letter(letter.template, letter.locale, letter.params)
        to = _deliverable(letter.to)
        mail = EmailMessage(policy=_POLICY if to.isascii() else _INTERNATIONAL)
        local, _, domain = mail_from(settings).rpartition("@")
        # The standard library's policy refuses line breaks in every header; those in names are spaces.
        mail["From"] = Address(_one_line(letter.sender), local, domain)
        mail["To"] = to
        mail["Subject"] = _one_line(subject)
        # Like the Message-ID the same at each attempt.
        mail["Date"] = format_datetime(message.created_at)
        mail["Message-ID"] = message.message_id
        # RFC 3834: no machine answers this.
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Auto-Response-Suppress"] = "All"
        if letter.leave_url:
            mail["List-Unsubscribe"] = f"<{letter.leave_url}>"
            mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        mail.set_content(text, cte="quoted-printable")
        mail.add_alternative(html, subtype="html", cte="quoted-printable")
        for file in letter.attachments:
            kind, _, subtype = file["type"].partition("/")
            mail.add_attachment(
                file["content"].encode(), maintype=kind, subtype=subtype, filename=file["name"]
            )
    except (ValueError, TypeError, KeyError, LookupError, TemplateError) as error:
        raise DeliveryFailed(
            f"The mail could not be written: {type(error).__name__}.", is_final=True
        ) from error
    return mail


class FolderTransport:
    """Keeps mails as files, for an installation without a mail server. A file's name comes from its Message-ID."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, message: OutboxMessage, now: datetime) -> int | None:
        mail = compose(message, self._settings)
        folder = mail_folder(self._settings)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(folder / file_name(message.message_id or ""), mail.as_bytes())
        except OSError as error:
            raise DeliveryFailed(f"The mail could not be kept: {error.strerror}.") from error
        return None

    def _write(self, path: Path, content: bytes) -> None:
        # Written beside and moved, so that nobody reads half a mail. Each has one such place, where whoever erases it looks
        # too, and a repetition replaces what a killed worker left.
        scratch = _scratch(path)
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
        # What is noted as delivered outlives a power cut.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def mail_folder(settings: Settings) -> Path:
    """Where mails are kept as files."""
    return settings.instance / "mail"


def file_name(message_id: str) -> str:
    """The name of a mail's file: the left side of its Message-ID."""
    return re.sub(r"[^0-9a-f]", "", message_id.partition("@")[0]) + ".eml"


def remove_files(settings: Settings, message_ids: list[str]) -> None:
    """Delete the files of mails."""
    for message_id in message_ids:
        path = mail_folder(settings) / file_name(message_id)
        path.unlink(missing_ok=True)
        _scratch(path).unlink(missing_ok=True)


def _scratch(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _deliverable(address: str) -> str:
    """An address whose domain every server understands; its local part may still need SMTPUTF8."""
    local, _, domain = address.rpartition("@")
    if not local:
        raise ValueError("an address has two parts")
    return Address(username=local, domain=idna.encode(domain, uts46=True).decode()).addr_spec


def _one_line(text: str) -> str:
    return "".join(each for each in " ".join(text.split()) if unicodedata.category(each) != "Cc")
