"""Real SMTP servers on loopback, that take mail, refuse it, hang, dribble or go away."""

import asyncio
import gc
import socket
import ssl
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP as PARSED
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "polls@news", "with space/and@more"
#: An answer that does not come while anybody waits for it.
HANG = "hang"
#: What becomes of a mail that arrived in whole.
Decide = Callable[[Envelope], str]


class Postbox:
    """Keeps what arrived, and answers as it is told.

    :param decide: the answer to a mail; what begins with 250 is kept.
    :param of_recipient: the answer to an address.
    """

    def __init__(
        self,
        decide: Decide = lambda _: "250 2.0.0 Taken",
        of_recipient: Callable[[str], str] = lambda _: "250 2.1.5 Known",
    ) -> None:
        self.arrived: list[Envelope] = []
        self.options: list[list[str]] = []
        self.logins: list[bytes] = []
        self.was_encrypted: list[bool] = []
        self.names: list[str] = []
        self._decide, self._of_recipient = decide, of_recipient

    async def handle_RCPT(  # noqa: N802 (the names are aiosmtpd's)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self._of_recipient(address)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        answer = self._decide(envelope)
        if answer == HANG:
            await asyncio.sleep(8)
            return "451 4.4.2 Sorry to have kept you waiting"
        if answer.startswith("250"):
            self.arrived.append(envelope)
            self.options.append(list(envelope.mail_options))
            self.was_encrypted.append(session.ssl is not None)
            self.names.append(str(session.host_name))
        return answer

    # No property: aiosmtpd looks at each of them for every connection.
    def mails(self) -> list[EmailMessage]:
        """What arrived, read as a mail program reads it."""
        return [parsed(envelope) for envelope in self.arrived]

    def by_message_id(self) -> Counter[str]:
        """How often each mail arrived."""
        return Counter(str(mail["Message-ID"]) for mail in self.mails())


def parsed(envelope: Envelope) -> EmailMessage:
    content = envelope.original_content
    assert content is not None
    mail = message_from_bytes(content, policy=PARSED.clone(utf8=True))
    assert isinstance(mail, EmailMessage)
    return mail


class _On(Controller):
    """Serves a socket that listens already: no other server of the tests can take the port before."""

    def __init__(self, listening: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._listening = listening

    def _create_server(self) -> Coroutine[Any, Any, asyncio.AbstractServer]:
        return self.loop.create_server(self._factory_invoker, sock=self._listening, ssl=self.ssl_context)


@contextmanager
def serving(
    postbox: Postbox,
    *,
    tls: ssl.SSLContext | None = None,
    is_tls_first: bool = False,
    has_login: bool = False,
) -> Iterator[int]:
    """Serve a postbox.

    :param tls: offered by STARTTLS, or spoken from the first byte.
    :returns: the port.
    """

    def authenticate(
        server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        postbox.logins.append(data.login)
        is_known = data == LoginPassword(USER.encode(), PASSWORD.encode())
        return AuthResult(success=is_known, handled=False)

    more: dict[str, Any] = {}
    if has_login:
        more = {"authenticator": authenticate, "auth_required": True, "auth_require_tls": not is_tls_first}
    if tls and not is_tls_first:
        more |= {"tls_context": tls, "require_starttls": True}
    listening = socket.create_server(("127.0.0.1", 0))
    port: int = listening.getsockname()[1]
    controller = _On(
        listening,
        postbox,
        hostname="127.0.0.1",
        server_hostname="localhost",
        port=port,
        ssl_context=tls if is_tls_first else None,
        enable_SMTPUTF8=True,
        **more,
    )
    controller.start()
    try:
        yield port
    finally:
        controller.stop()
        # Clients that were killed leave connections behind, which its loop no longer closes.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del controller
            gc.collect()


#: What a server of bytes does with one connection.
Behaviour = Callable[[socket.socket, threading.Event], None]


@contextmanager
def behaving(act: Behaviour) -> Iterator[int]:
    """Serve by bytes: each connection is handed to a function, with an event that is set at the end.

    :returns: the port.
    """
    over = threading.Event()
    threads: list[threading.Thread] = []

    def one(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            act(connection, over)

    def accept(listening: socket.socket) -> None:
        while not over.is_set():
            with suppress(OSError):
                connection, _ = listening.accept()
                threads.append(threading.Thread(target=one, args=(connection,), daemon=True))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        accepting = threading.Thread(target=accept, args=(listening,), daemon=True)
        accepting.start()
        try:
            yield listening.getsockname()[1]
        finally:
            over.set()
            accepting.join()
            for thread in threads:
                thread.join(5)


def hang(connection: socket.socket, over: threading.Event) -> None:
    """Accept, and say nothing."""
    over.wait()


def dribble(connection: socket.socket, over: threading.Event) -> None:
    """Greet for ever, a byte at a time: each comes in time, and the line never ends."""
    connection.sendall(b"220 ")
    while not over.wait(0.05):
        connection.sendall(b"x")


def talk(connection: socket.socket, answers: dict[bytes, bytes], at_end: bytes) -> None:
    """Speak SMTP until the mail is there; then answer that, and close.

    :param answers: to commands, by their first four letters; others are answered 250.
    """
    connection.sendall(answers.get(b"", b"220 here\r\n"))
    with connection.makefile("rb") as lines:
        for line in lines:
            word = line[:4].upper()
            if word == b"DATA":
                connection.sendall(b"354 go\r\n")
                while lines.readline() not in (b".\r\n", b""):
                    pass
                if at_end:
                    connection.sendall(at_end)
                return
            connection.sendall(answers.get(word, b"250 ok\r\n"))


@contextmanager
def certified(folder: Path) -> Iterator[tuple[ssl.SSLContext, Path]]:
    """A context for a server on loopback, and the file with its certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "mail.pem", folder / "mail.key"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(public, private)
    yield context, public
