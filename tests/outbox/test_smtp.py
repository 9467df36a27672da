"""Mail handed to real servers: by TLS, with a login, and to those that refuse, hang, dribble or go away."""

import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pollsvc.config import Settings
from pollsvc.outbox.delivery import LEASE, DeliveryFailed
from pollsvc.outbox.smtp import WHOLE_PATIENCE, SmtpTransport, mail_transport
from tests.conftest import ENVIRON, NOW
from tests.outbox.mail_servers import (
    PASSWORD,
    USER,
    Behaviour,
    Postbox,
    behaving,
    certified,
    dribble,
    hang,
    serving,
    talk,
)
from tests.outbox.messages import PARAMS, unsaved
from tests.ports import free_port

LOGIN = "polls%40news:with%20space%2Fand%40more@"


def transport_to(port: int, *, scheme: str = "smtp", login: str = "", option: str = "") -> SmtpTransport:
    url = f"{scheme}://{login}localhost:{port}{option}"
    settings = Settings.from_environ(
        {**ENVIRON, "POLLSVC_PUBLIC_URL": "https://polls.example", "POLLSVC_SMTP_URL": url}, Path("/nowhere")
    )
    return SmtpTransport(settings, patience=2.0, whole_patience=4.0)


def refused_by(port: int, **how: str) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as failed:
        transport_to(port, **({"option": "?starttls=never"} | how))(unsaved(), NOW)
    return failed.value


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """A server's TLS context, whose certificate the system trusts."""
    with certified(tmp_path) as (context, path):
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        yield context


@pytest.fixture(autouse=True)
def _quiet() -> None:
    # It reports each client that is cut off.
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)


class TestHandOver:
    @pytest.mark.parametrize("option", ["?starttls=never", "?starttls=optional"])
    def test_without_tls_where_it_is_allowed(self, option: str) -> None:
        postbox = Postbox()

        with serving(postbox) as port:
            assert transport_to(port, option=option)(unsaved(), NOW) == 250

        (mail,) = postbox.mails()
        assert mail["Message-ID"] == unsaved().message_id
        assert mail["To"] == "ada@reader.example"
        assert postbox.arrived[0].mail_from == "pollsvc@polls.example"
        assert postbox.arrived[0].rcpt_tos == ["ada@reader.example"]
        # Not what this machine is called.
        assert postbox.names == ["polls.example"]

    def test_by_starttls(self, trusted: ssl.SSLContext) -> None:
        postbox = Postbox()

        with serving(postbox, tls=trusted) as port:
            transport_to(port)(unsaved(), NOW)

        assert postbox.was_encrypted == [True]

    def test_by_tls_from_the_first_byte(self, trusted: ssl.SSLContext) -> None:
        postbox = Postbox()

        with serving(postbox, tls=trusted, is_tls_first=True) as port:
            transport_to(port, scheme="smtps")(unsaved(), NOW)

        assert len(postbox.mails()) == 1

    @pytest.mark.filterwarnings("ignore:Requiring AUTH")  # it does not see the TLS around it
    @pytest.mark.parametrize("scheme", ["smtp", "smtps"])
    def test_with_a_login(self, trusted: ssl.SSLContext, scheme: str) -> None:
        postbox = Postbox()

        with serving(postbox, tls=trusted, is_tls_first=scheme == "smtps", has_login=True) as port:
            transport_to(port, scheme=scheme, login=LOGIN)(unsaved(), NOW)

        assert postbox.logins == [USER.encode()]
        assert len(postbox.mails()) == 1
        assert PASSWORD not in repr(transport_to(port, scheme=scheme, login=LOGIN)._settings)

    def test_an_international_address_by_smtputf8(self) -> None:
        postbox = Postbox()

        with serving(postbox) as port:
            transport_to(port, option="?starttls=never")(unsaved(to="jürgen@bücher.example"), NOW)

        assert postbox.arrived[0].rcpt_tos == ["jürgen@xn--bcher-kva.example"]
        assert "SMTPUTF8" in postbox.options[0]

    def test_a_line_that_begins_with_a_point_arrives_whole(self) -> None:
        postbox = Postbox()
        params = {**PARAMS, "consent_body": ".\n..\nend"}

        with serving(postbox) as port:
            transport_to(port, option="?starttls=never")(unsaved(params=params), NOW)

        text = postbox.mails()[0].get_body(("plain",))
        assert text
        assert "  .\n..\nend" in text.get_content().replace("\r\n", "\n")


class TestRefusals:
    @pytest.mark.parametrize(
        ("answer", "status", "is_final", "reason"),
        [
            ("550 5.1.1 <ada@reader.example> unknown", 550, True, "answered 550 5.1.1."),
            ("553 no", 553, True, "answered 553."),
            ("450 4.2.1 ada is over quota", 450, False, "answered 450 4.2.1."),
            ("421 4.3.2 shutting down", 421, False, "answered 421 4.3.2."),
        ],
        ids=["no such mailbox", "no enhanced code", "try again", "closing"],
    )
    def test_of_a_recipient(self, answer: str, status: int, is_final: bool, reason: str) -> None:
        with serving(Postbox(of_recipient=lambda _: answer)) as port:
            failed = refused_by(port)

        assert (failed.status, failed.is_final) == (status, is_final)
        assert failed.reason == f"The mail server {reason}"

    @pytest.mark.parametrize(
        ("answer", "status", "is_final"),
        [("554 5.7.1 spam, says ada@reader.example", 554, True), ("451 4.7.1 greylisted", 451, False)],
    )
    def test_of_a_mail(self, answer: str, status: int, is_final: bool) -> None:
        with serving(Postbox(lambda _: answer)) as port:
            failed = refused_by(port)

        assert (failed.status, failed.is_final) == (status, is_final)
        assert "ada" not in failed.reason

    @pytest.mark.parametrize(
        ("answers", "status"),
        [
            ({b"": b"554 5.3.2 not today\r\n"}, 554),
            ({b"EHLO": b"550 no\r\n", b"HELO": b"550 5.5.0 no\r\n"}, 550),
            ({b"MAIL": b"550 5.7.1 this sender may not\r\n"}, 550),
        ],
        ids=["greeting", "hello", "sender"],
    )
    def test_of_us_is_never_final(self, answers: dict[bytes, bytes], status: int) -> None:
        with behaving(lambda connection, _: talk(connection, answers, b"250 ok\r\n")) as port:
            failed = refused_by(port)

        assert (failed.status, failed.is_final) == (status, False)

    def test_of_a_password_is_not_final(self, trusted: ssl.SSLContext) -> None:
        with serving(Postbox(), tls=trusted, has_login=True) as port:
            failed = refused_by(port, option="", login="polls:wrong@")

        assert (failed.reason, failed.status, failed.is_final) == (
            "The mail server answered 535 5.7.8.",
            535,
            False,
        )

    def test_an_international_address_where_none_is_taken(self) -> None:
        with (
            behaving(lambda connection, _: talk(connection, {}, b"250 ok\r\n")) as port,
            pytest.raises(DeliveryFailed) as failed,
        ):
            transport_to(port, option="?starttls=never")(unsaved(to="jürgen@reader.example"), NOW)

        assert failed.value.is_final
        assert failed.value.reason == "The mail server takes no international addresses (SMTPUTF8)."

    def test_a_login_where_none_is_taken(self) -> None:
        with behaving(lambda connection, _: talk(connection, {}, b"250 ok\r\n")) as port:
            failed = refused_by(port, login=LOGIN)

        assert (failed.reason, failed.is_final) == ("The mail server takes no login.", False)

    def test_no_starttls_where_it_is_required(self) -> None:
        with serving(Postbox()) as port:
            failed = refused_by(port, option="")

        assert (failed.reason, failed.is_final) == ("The mail server offers no STARTTLS.", False)

    def test_a_certificate_that_nobody_trusts(self, tmp_path: Path) -> None:
        with certified(tmp_path) as (context, _), serving(Postbox(), tls=context, is_tls_first=True) as port:
            failed = refused_by(port, scheme="smtps", option="")

        assert not failed.is_final
        assert "its certificate is not valid, self-signed certificate" in failed.reason


def after_the_mail(connection: socket.socket, over: threading.Event, answer: bytes, then: Behaviour) -> None:
    talk(connection, {}, answer)
    then(connection, over)


class TestFaults:
    @pytest.mark.parametrize(
        ("act", "reason"),
        [
            (hang, "The mail server was not reached: it took too long."),
            (dribble, "The mail server was not reached: it took too long."),
            (lambda *_: None, "The mail server was not reached: SMTPServerDisconnected."),
            (
                lambda connection, over: talk(connection, {}, b""),
                "The mail server went away: SMTPServerDisconnected.",
            ),
            (
                lambda connection, over: after_the_mail(connection, over, b"2", dribble),
                "The mail server went away: it took too long.",
            ),
            (
                lambda connection, over: after_the_mail(connection, over, b"\xff\xfe\r\n", hang),
                "The mail server answered -1.",
            ),
        ],
        ids=[
            "hangs",
            "dribbles",
            "hangs up",
            "hangs up after the mail",
            "dribbles after the mail",
            "babbles",
        ],
    )
    def test_end_in_time_and_are_tried_again(self, act: Behaviour, reason: str) -> None:
        with behaving(act) as port:
            began = time.monotonic()

            failed = refused_by(port)

            assert time.monotonic() - began < 6
        assert (failed.reason, failed.is_final) == (reason, False)

    def test_a_handshake_that_never_ends_ends_in_time(self, trusted: ssl.SSLContext) -> None:
        with behaving(hang) as port:
            failed = refused_by(port, scheme="smtps", option="")

        assert failed.reason == "The mail server was not reached: it took too long."

    def test_a_server_that_is_not_there(self) -> None:
        failed = refused_by(free_port())

        assert failed.reason == "The mail server was not reached: Connection refused."
        assert not failed.is_final

    def test_a_slow_answer_to_the_mail_itself_is_waited_for(self) -> None:
        def look_long(connection: socket.socket, over: threading.Event) -> None:
            talk(connection, {}, b"")
            over.wait(2.5)
            connection.sendall(b"250 at last\r\n")

        with behaving(look_long) as port:
            assert transport_to(port, option="?starttls=never")(unsaved(), NOW) == 250

    def test_a_server_that_does_not_part_keeps_nobody(self) -> None:
        with behaving(_taken_then_silent) as port:
            began = time.monotonic()

            assert transport_to(port, option="?starttls=never")(unsaved(), NOW) == 250

            assert time.monotonic() - began < 1.5

    def test_the_whole_lies_far_below_the_lease(self) -> None:
        assert LEASE.total_seconds() > WHOLE_PATIENCE * 2


def _taken_then_silent(connection: socket.socket, over: threading.Event) -> None:
    talk(connection, {}, b"250 ok\r\n")
    over.wait()


class TestMailTransport:
    def test_is_a_folder_without_a_server(self, tmp_path: Path) -> None:
        assert type(mail_transport(Settings.from_environ(ENVIRON, tmp_path))).__name__ == "FolderTransport"

    def test_is_smtp_with_one(self) -> None:
        assert type(mail_transport(transport_to(1)._settings)).__name__ == "SmtpTransport"
