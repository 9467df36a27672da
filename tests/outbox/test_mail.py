"""A mail as it is written: its headers stand whole, and nothing that was put into them breaks out."""

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest

from pollsvc.config import Settings
from pollsvc.outbox.delivery import DeliveryFailed
from pollsvc.outbox.mail import (
    FolderTransport,
    compose,
    file_name,
    mail_folder,
    mail_from,
    mail_host,
    remove_files,
)
from tests.conftest import ENVIRON, NOW
from tests.outbox.messages import PARAMS, unsaved


@pytest.fixture
def installation(tmp_path: Path) -> Settings:
    return Settings.from_environ({**ENVIRON, "POLLSVC_PUBLIC_URL": "https://polls.example"}, tmp_path)


def lines_of(mail: EmailMessage) -> list[bytes]:
    """Give the header's lines as they are sent."""
    return mail.as_bytes().partition(b"\r\n\r\n")[0].split(b"\r\n")


def read(mail: EmailMessage) -> EmailMessage:
    """Read a mail as a mail program does."""
    found = message_from_bytes(mail.as_bytes(), policy=SMTP)
    assert isinstance(found, EmailMessage)
    return found


class TestCompose:
    def test_has_text_and_html(self, installation: Settings) -> None:
        mail = read(compose(unsaved(), installation))

        assert mail.get_content_type() == "multipart/alternative"
        text, html = mail.get_body(("plain",)), mail.get_body(("html",))
        assert text
        assert html
        assert PARAMS["confirm_url"] in text.get_content()
        assert f'href="{PARAMS["confirm_url"]}"' in html.get_content()

    def test_an_attachment_stands_beside_both(self, installation: Settings) -> None:
        file = {"name": "receipt.json", "type": "application/json", "content": '{"ä": 1}'}

        mail = read(compose(unsaved(attachments=[file]), installation))

        assert mail.get_content_type() == "multipart/mixed"
        assert [part.get_content_type() for part in mail.iter_parts()] == [
            "multipart/alternative",
            "application/json",
        ]
        (attached,) = mail.iter_attachments()
        assert attached.get_filename() == "receipt.json"
        assert attached.get_content() == '{"ä": 1}'.encode()

    def test_says_that_a_machine_wrote_it(self, installation: Settings) -> None:
        mail = compose(unsaved(), installation)

        assert mail["Auto-Submitted"] == "auto-generated"

    def test_the_link_that_leaves_is_whole(self, installation: Settings) -> None:
        lines = lines_of(compose(unsaved(), installation))

        assert f"List-Unsubscribe: <{PARAMS['leave_url']}>".encode() in lines
        assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in lines

    def test_mail_to_the_newsroom_has_none(self, installation: Settings) -> None:
        assert "List-Unsubscribe" not in compose(unsaved(leave_url=None), installation)

    def test_an_attempt_repeats_message_id_and_date(self, installation: Settings) -> None:
        message = unsaved()

        first, second = (compose(message, installation) for _ in range(2))

        assert first["Message-ID"] == second["Message-ID"] == message.message_id
        assert first["Date"] == second["Date"]
        assert first["Date"].datetime == NOW

    def test_a_long_message_id_is_not_folded(self, tmp_path: Path) -> None:
        host = ".".join(["a" * 60] * 3)
        settings = Settings.from_environ({**ENVIRON, "POLLSVC_PUBLIC_URL": f"https://{host}"}, tmp_path)
        message = unsaved()
        message.message_id = f"<{'0' * 32}@{host}>"

        assert f"Message-ID: {message.message_id}".encode() in lines_of(compose(message, settings))

    def test_seven_bits_are_enough(self, installation: Settings) -> None:
        mail = compose(unsaved(locale="de", sender="Süddeutsche Zeitung für Ümläüte"), installation)

        assert mail.as_bytes().isascii()
        assert read(mail)["Subject"] == "Bitte bestätigen: The Harbour Gazette"
        assert read(mail)["From"].addresses[0].display_name == "Süddeutsche Zeitung für Ümläüte"

    def test_a_long_name_is_folded_into_words_that_fit(self, installation: Settings) -> None:
        name = "Zeitung für ganz Österreich und die übrigen Länder " * 4

        mail = compose(unsaved(params={**PARAMS, "site_name": name}), installation)

        subject = [line for line in lines_of(mail) if b"=?utf-8?" in line]
        assert max(map(len, subject)) <= 78
        assert read(mail)["Subject"] == f"Please confirm: {name.strip()}"

    @pytest.mark.parametrize(
        ("to", "sent"),
        [
            ("ada@reader.example", "ada@reader.example"),
            ("ada@bücher.example", "ada@xn--bcher-kva.example"),
            ("ADA@BÜCHER.example", "ADA@xn--bcher-kva.example"),
            ("ada+news@reader.example", "ada+news@reader.example"),
            (f"{'l' * 64}@{'d' * 60}.{'e' * 60}.example", f"{'l' * 64}@{'d' * 60}.{'e' * 60}.example"),
        ],
        ids=["plain", "international domain", "in capitals", "with a tag", "long"],
    )
    def test_the_recipient_is_written_so_that_every_server_knows_it(
        self, installation: Settings, to: str, sent: str
    ) -> None:
        assert f"To: {sent}".encode() in lines_of(compose(unsaved(to=to), installation))

    def test_an_international_local_part_stays_as_it_is(self, installation: Settings) -> None:
        lines = lines_of(compose(unsaved(to="jürgen@bücher.example"), installation))

        assert "To: jürgen@xn--bcher-kva.example".encode() in lines


class TestInjection:
    """CR and LF end a header: whoever gets them in writes the rest of the mail."""

    EVIL = "Gazette\r\nBcc: victim@other.example\n\rX: y\x00\x0b\u2028Z"

    def test_a_sender_stays_on_its_line(self, installation: Settings) -> None:
        mail = compose(unsaved(sender=self.EVIL), installation)

        assert "Bcc" not in read(mail)
        assert [line for line in lines_of(mail) if line.startswith((b"Bcc", b"X:", b"Z"))] == []
        assert read(mail)["From"].addresses[0].addr_spec == "pollsvc@polls.example"

    def test_a_subject_stays_on_its_line(self, installation: Settings) -> None:
        mail = compose(unsaved(params={**PARAMS, "site_name": self.EVIL}), installation)

        assert "Bcc" not in read(mail)
        assert [line for line in lines_of(mail) if line.startswith((b"Bcc", b"X:", b"Z"))] == []

    @pytest.mark.parametrize(
        "changes",
        [
            {"to": "ada@reader.example\r\nBcc: v@other.example"},
            {"to": "ada\r\nBcc: v@other.example@reader.example"},
            {"leave_url": "https://polls.example/\r\nBcc: v@other.example"},
            {"attachments": [{"name": "a\r\nBcc: v@other.example", "type": "a/b", "content": ""}]},
        ],
        ids=["domain", "local part", "link", "file name"],
    )
    def test_elsewhere_it_makes_no_mail(self, installation: Settings, changes: dict[str, object]) -> None:
        with pytest.raises(DeliveryFailed) as failed:
            compose(unsaved(**changes), installation)

        assert failed.value.is_final
        assert "other.example" not in failed.value.reason

    @pytest.mark.parametrize(
        "to", ["a,b@reader.example", "a<v@other.example>@reader.example", "a b@reader.example"]
    )
    def test_one_address_never_becomes_two(self, installation: Settings, to: str) -> None:
        found = read(compose(unsaved(to=to), installation))["To"].addresses

        assert [each.domain for each in found] == ["reader.example"]

    def test_markup_is_text(self, installation: Settings) -> None:
        mail = compose(unsaved(params={**PARAMS, "consent_body": "<script>alert(1)</script>"}), installation)

        html = read(mail).get_body(("html",))
        assert html
        assert "&lt;script&gt;" in html.get_content()


class TestUnwritable:
    @pytest.mark.parametrize(
        "changes",
        [{"template": "none"}, {"params": {}}, {"to": "nobody"}, {"to": "ada@-.example"}],
        ids=["no template", "no parameters", "no domain", "no such domain"],
    )
    def test_is_given_up(self, installation: Settings, changes: dict[str, object]) -> None:
        with pytest.raises(DeliveryFailed) as failed:
            compose(unsaved(**changes), installation)

        assert failed.value.is_final
        assert failed.value.reason.startswith("The mail could not be written: ")

    def test_so_is_one_without_content(self, installation: Settings) -> None:
        message = unsaved()
        message.payload = None

        with pytest.raises(DeliveryFailed):
            compose(message, installation)


class TestFrom:
    @pytest.mark.parametrize(
        ("public_url", "given", "address"),
        [
            ("https://polls.example", "", "pollsvc@polls.example"),
            ("https://polls.example", "desk@news.example", "desk@news.example"),
            ("http://127.0.0.1:8000", "", "pollsvc@[127.0.0.1]"),
            ("http://[::1]:8000", "", "pollsvc@[IPv6:::1]"),
        ],
    )
    def test_is_the_setting_or_the_public_host(
        self, tmp_path: Path, public_url: str, given: str, address: str
    ) -> None:
        environ = {**ENVIRON, "POLLSVC_PUBLIC_URL": public_url, "POLLSVC_MAIL_FROM": given}
        settings = Settings.from_environ(environ, tmp_path)

        assert mail_from(settings) == address
        assert mail_host(settings) == address.partition("@")[2]
        assert address in str(compose(unsaved(), settings)["From"])


class TestFolder:
    def test_keeps_a_mail_that_only_we_may_read(self, installation: Settings) -> None:
        message = unsaved()

        assert FolderTransport(installation)(message, NOW) is None

        (path,) = mail_folder(installation).iterdir()
        assert path.name == file_name(str(message.message_id)) == f"{'0123456789abcdef' * 2}.eml"
        assert path.stat().st_mode & 0o077 == 0
        assert f"Message-ID: {message.message_id}".encode() in path.read_bytes()

    def test_a_repetition_replaces_it_and_what_a_killed_worker_left(self, installation: Settings) -> None:
        folder = mail_folder(installation)
        folder.mkdir(parents=True)
        (folder / f".{file_name(str(unsaved().message_id))}.part").write_text("half a m")

        for _ in range(2):
            FolderTransport(installation)(unsaved(), NOW)

        assert len(list(folder.iterdir())) == 1

    def test_a_folder_that_cannot_be_written_is_tried_again(self, installation: Settings) -> None:
        installation.instance.mkdir(parents=True)
        mail_folder(installation).write_text("a file")

        with pytest.raises(DeliveryFailed) as failed:
            FolderTransport(installation)(unsaved(), NOW)

        assert not failed.value.is_final
        assert str(installation.instance) not in failed.value.reason

    def test_removing_leaves_nothing_of_it(self, installation: Settings) -> None:
        FolderTransport(installation)(unsaved(), NOW)
        name = file_name(str(unsaved().message_id))
        (mail_folder(installation) / f".{name}.part").write_text("half a m")

        remove_files(installation, [str(unsaved().message_id), "<ffff@polls.example>"])

        assert list(mail_folder(installation).iterdir()) == []
