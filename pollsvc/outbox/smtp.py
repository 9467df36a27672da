"""Mail handed to an SMTP server, in a time that the server cannot stretch."""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from email.message import EmailMessage
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from pollsvc.config import Settings
from pollsvc.outbox.delivery import DeliveryFailed
from pollsvc.outbox.mail import FolderTransport, compose, mail_from, mail_host
from pollsvc.outbox.models import OutboxMessage

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

#: Seconds that a server may take for one answer, save the last one.
PATIENCE = 20.0
#: Seconds that a delivery may take in all: far below the lease, after which another worker would begin it anew.
WHOLE_PATIENCE = 120.0
_ENHANCED = re.compile(rb"\b[245]\.\d{1,3}\.\d{1,3}\b")


def mail_transport(settings: Settings) -> FolderTransport | SmtpTransport:
    """The way that mail leaves this installation."""
    return SmtpTransport(settings) if settings.smtp_url else FolderTransport(settings)


class SmtpTransport:
    """Hands mails to the server of ``POLLSVC_SMTP_URL``, each over a connection of its own.

    :param patience: seconds for each answer.
    :param whole_patience: seconds for all of them together.
    """

    def __init__(
        self, settings: Settings, patience: float = PATIENCE, whole_patience: float = WHOLE_PATIENCE
    ) -> None:
        self._settings, self._patience, self._whole_patience = settings, patience, whole_patience
        parts = urlsplit(str(settings.smtp_url))
        self._is_tls = parts.scheme == "smtps"
        self._host = parts.hostname or ""
        self._port = parts.port or (465 if self._is_tls else 587)
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        self._starttls = parse_qs(parts.query).get("starttls", ["required"])[-1]
        self._context = ssl.create_default_context()

    def __call__(self, message: OutboxMessage, now: datetime) -> int | None:
        deadline = _Deadline(self._whole_patience)
        mail = compose(message, self._settings)
        # Whatever a server says before it knows the mail is about us or itself, never about this mail: not final.
        with deadline.kept(), _told("The mail server was not reached", deadline, is_final=False):
            server = self._connect(deadline)
            with _told("The mail server went away", deadline, is_final=True):
                return self._hand_over(server, mail)

    def _connect(self, deadline: _Deadline) -> _Connection:
        context = self._context if self._is_tls else None
        server = _Connection(mail_host(self._settings), self._patience, deadline, context)
        try:
            server.reach(self._host, self._port)
            self._introduce(server)
        except BaseException:
            server.close()
            raise
        return server

    def _introduce(self, server: _Connection) -> None:
        server.ehlo_or_helo_if_needed()
        if not self._is_tls and self._starttls != "never":
            if server.has_extn("starttls"):
                server.starttls(context=self._context)
                server.ehlo()
            elif self._starttls == "required":
                raise DeliveryFailed("The mail server offers no STARTTLS.")
        if self._user:
            server.login(self._user, self._password)

    def _hand_over(self, server: _Connection, mail: EmailMessage) -> int:
        try:
            is_ascii = str(mail["To"]).isascii()
            server.sendmail(
                mail_from(self._settings),
                str(mail["To"]),
                mail.as_bytes(),
                mail_options=() if is_ascii else ("SMTPUTF8", "BODY=8BITMIME"),
            )
            # It was taken: how we part does not matter, and nobody waits for it.
            with suppress(OSError, smtplib.SMTPException):
                server.putcmd("quit")
        finally:
            server.close()
        return 250


class _Deadline:
    """When a delivery ends, however its server spends the time: it may answer a byte a second, each of them in time."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._handle: socket.socket | None = None
        self.is_over = False

    def remaining(self) -> float:
        """Seconds that are left.

        :raises TimeoutError: if none are.
        """
        left = self._at - time.monotonic()
        if self.is_over or left <= 0:
            raise TimeoutError
        return left

    def watch(self, connection: socket.socket) -> None:
        """Cut this connection when the time is over."""
        # A second handle on the same connection: TLS takes the first one over.
        self._handle = connection.dup()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep it while the block lasts."""
        self._timer.start()
        try:
            yield
        finally:
            self._timer.cancel()
            if self._handle is not None:
                self._handle.close()

    def _cut(self) -> None:
        self.is_over = True
        if self._handle is not None:
            with suppress(OSError):
                self._handle.shutdown(socket.SHUT_RDWR)


class _Connection(smtplib.SMTP):
    """A connection that heeds a deadline.

    :param context: for TLS from the first byte.
    """

    def __init__(
        self, name: str, patience: float, deadline: _Deadline, context: ssl.SSLContext | None
    ) -> None:
        # Named by us: the standard library would ask DNS what this machine is called.
        super().__init__(local_hostname=name, timeout=patience)
        self._patience, self._deadline, self._context = patience, deadline, context

    def reach(self, host: str, port: int) -> None:
        """Connect, and be greeted."""
        # What STARTTLS compares the certificate with; set here, because a constructor that knows it connects at once.
        self._host = host
        code, text = self.connect(host, port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, text)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connection = self._open(host, port)
        self._deadline.watch(connection)
        if self._context is None:
            return connection
        try:
            return self._context.wrap_socket(connection, server_hostname=host)
        except BaseException:
            connection.close()
            raise

    def _open(self, host: str, port: int) -> socket.socket:
        failure: OSError = TimeoutError()
        for family, kind, number, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            connection = socket.socket(family, kind, number)
            try:
                connection.settimeout(min(self._patience, self._deadline.remaining()))
                connection.connect(address)
            except OSError as error:
                connection.close()
                failure = error
            else:
                connection.settimeout(self._patience)
                return connection
        raise failure

    def getreply(self) -> tuple[int, bytes]:
        """Read an answer. What was cut off in the middle is none."""
        reply = super().getreply()
        self._deadline.remaining()
        return reply

    def data(self, msg: Buffer | str) -> tuple[int, bytes]:
        """Send the mail itself, and leave the server all the time that is left.

        It may look at a mail for long, and whoever hangs up on it gets the mail taken twice (RFC 5321 §4.5.3.2.6).
        """
        assert self.sock is not None, "MAIL and RCPT were answered"
        self.sock.settimeout(self._deadline.remaining())
        return super().data(msg)


@contextmanager
def _told(what: str, deadline: _Deadline, *, is_final: bool) -> Iterator[None]:
    """Tell in our own words, and without what servers quote, why a mail was not taken.

    :param is_final: whether a 5xx is about this mail.
    """
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        raise _refused(code, text, is_final=is_final) from error
    except smtplib.SMTPResponseException as error:
        # A sender that is refused is our own address.
        about_us = isinstance(error, smtplib.SMTPSenderRefused)
        raise _refused(error.smtp_code, error.smtp_error, is_final=is_final and not about_us) from error
    except smtplib.SMTPNotSupportedError as error:
        lacking = "international addresses (SMTPUTF8)" if is_final else "login"
        raise DeliveryFailed(f"The mail server takes no {lacking}.", is_final=is_final) from error
    except (OSError, smtplib.SMTPException) as error:
        raise DeliveryFailed(f"{what}: {_name_of(error, deadline)}.") from error


def _refused(code: int, text: bytes | str, *, is_final: bool) -> DeliveryFailed:
    # Only the numbers: what servers write beside them quotes addresses.
    found = _ENHANCED.search(text if isinstance(text, bytes) else text.encode(errors="replace"))
    numbers = f"{code} {found[0].decode()}" if found else str(code)
    return DeliveryFailed(
        f"The mail server answered {numbers}.", status=code, is_final=is_final and 500 <= code < 600
    )


def _name_of(error: BaseException, deadline: _Deadline) -> str:
    # What the standard library makes of a time-out is "disconnected"; the reason stands behind it.
    if deadline.is_over or isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
        return "it took too long"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid, {error.verify_message}"
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    return getattr(error, "strerror", None) or type(error).__name__
