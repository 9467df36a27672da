"""The receipt tells what was shown, names nobody, and every changed byte of it is noticed without asking anybody."""

import hashlib
import json
import re
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.config import Settings
from pollsvc.consent.models import Consent, ConsentText
from pollsvc.consent.receipts import (
    KIND,
    ReceiptInvalid,
    check_receipt,
    fingerprint,
    public_key,
    write_receipt,
)
from pollsvc.consent.service import withdraw
from pollsvc.consent.signing_up import Desk, process_sign_up
from pollsvc.keys import Keys, new_encryption_key
from pollsvc.outbox.mail import compose
from pollsvc.outbox.models import OutboxMessage
from tests.conftest import ENVIRON
from tests.consent.acts import ADA, ask, links, sign_up
from tests.consent.happenings import letters
from tests.factories import ARTICLE_URL, ORIGIN, make_consent_text, make_site

LEAVE = "http://localhost/unsubscribe/x"


@pytest.fixture
def text(session: Session) -> ConsentText:
    return make_consent_text(
        session, site=make_site(session), privacy_version="7", contact="privacy@news.example", locale="de"
    )


@pytest.fixture
def consent(session: Session, keys: Keys, text: ConsentText, now: datetime) -> Consent:
    return ask(session, keys, text, now)


@pytest.fixture
def receipt(session: Session, consent: Consent) -> str:
    """The file that came with the confirmation mail."""
    content: str = letters(session)[0]["attachments"][0]["content"]
    return content


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestContent:
    def test_tells_what_was_shown_where_and_when(
        self, receipt: str, keys: Keys, consent: Consent, text: ConsentText, now: datetime
    ) -> None:
        told = check_receipt(receipt.encode(), public_key(keys))

        assert told["kind"] == KIND
        assert told["shown"] == {
            "text_id": str(text.id),
            "version": 1,
            "body": text.body,
            "privacy_url": f"{ORIGIN}/privacy",
            "privacy_version": "7",
            "terms_url": f"{ORIGIN}/terms",
            "terms_version": None,
            "hash": text.body_hash.hex(),
        }
        assert (told["site_origin"], told["origin"]) == (ORIGIN, ORIGIN)
        assert told["article_sha256"] == hashlib.sha256(ARTICLE_URL.encode()).hexdigest()
        assert told["requested_at"] == "2026-03-02T09:30:00.000000+00:00"
        assert (told["controller"], told["contact"]) == ("The Harbour Gazette", "privacy@news.example")
        assert (told["mode"], told["is_gdpr_consent"]) == ("explicit", True)
        assert (told["record_id"], told["request_id"]) == (str(consent.id), str(consent.request_id))
        assert told["leave_url"] == links(keys).leave(consent.id)

    def test_names_its_key_and_the_fingerprint(self, receipt: str, keys: Keys) -> None:
        told = check_receipt(receipt.encode(), public_key(keys))

        assert told["public_key"] == public_key(keys)
        assert told["public_key_fingerprint"] == fingerprint(public_key(keys))

    def test_holds_no_address(self, receipt: str) -> None:
        assert ADA not in receipt
        assert "reader.example" not in receipt

    def test_holds_no_word_of_whoever_signed_the_address_up(
        self, session: Session, keys: Keys, text: ConsentText, now: datetime
    ) -> None:
        """Address and origin are written by anybody as they like, and the mail goes to whom they like."""
        ask(session, keys, text, now, article_url=f"{ORIGIN}/pay-now?at=evil", origin="https://pay-now.evil")

        sent = letters(session)[-1]["attachments"][0]["content"]

        assert [word for word in ("pay-now", "evil") if word in sent] == []
        assert json.loads(sent)["receipt"]["origin"] is None

    def test_tells_of_the_request_it_came_with(
        self, session: Session, keys: Keys, text: ConsentText, consent: Consent, now: datetime
    ) -> None:
        later = now + timedelta(days=2)
        withdraw(session, links(keys), consent, method="page", now=now)
        newer = make_consent_text(
            session,
            site=session.get_one(Site, text.site_id),
            body="The Harbour Gazette by e-mail; leave at any time.",
        )

        ask_again = sign_up(session, keys, newer, later, article_url=f"{ORIGIN}/other", method="form")
        process_sign_up(session, Desk(links(keys)), ask_again.id, later)

        told = json.loads(letters(session)[-1]["attachments"][0]["content"])["receipt"]
        assert told["shown"]["body"] == newer.body
        other = hashlib.sha256(f"{ORIGIN}/other".encode()).hexdigest()
        assert (told["article_sha256"], told["collection_method"]) == (other, "form")
        assert (told["record_id"], told["request_id"]) == (str(consent.id), str(ask_again.id))

    def test_notice_is_marked_as_none(self, session: Session, keys: Keys, now: datetime) -> None:
        site = make_site(session, name="Post", origins=["https://post.example"])
        notice = make_consent_text(session, site=site, mode="notice_only")
        consent = ask(session, keys, notice, now, article_url="https://post.example/1")

        told = check_receipt(
            write_receipt(keys, consent, leave_url=LEAVE, method="checkbox", now=now).encode(),
            public_key(keys),
        )

        assert told["is_gdpr_consent"] is False
        assert told["lawful_basis"] == "notice only: not consent in the sense of the GDPR"


class TestAttachment:
    def test_comes_with_the_confirmation_mail_byte_for_byte(
        self, session: Session, settings: Settings, keys: Keys, receipt: str
    ) -> None:
        message = session.scalars(sa.select(OutboxMessage)).one()

        sent = message_from_bytes(compose(message, settings).as_bytes(), policy=policy.default)

        assert isinstance(sent, EmailMessage)
        (file,) = sent.iter_attachments()
        assert (file.get_filename(), file.get_content_type()) == ("consent-receipt.json", "application/json")
        content = file.get_payload(decode=True)
        assert isinstance(content, bytes)
        assert content == receipt.encode()
        assert check_receipt(content, public_key(keys))["kind"] == KIND


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestCheckReceipt:
    def test_every_changed_byte_is_noticed(self, receipt: str, keys: Keys) -> None:
        key, file = public_key(keys), receipt.encode()
        sound = []

        for place in range(len(file)):
            for changed in (file[place] ^ 1, file[place] ^ 0x20, ord("\n")):
                if changed == file[place]:
                    continue
                other = file[:place] + bytes([changed]) + file[place + 1 :]
                try:
                    check_receipt(other, key)
                except ReceiptInvalid:
                    continue
                sound.append((place, other))

        assert sound == []

    def test_every_missing_and_every_further_byte_is_noticed(self, receipt: str, keys: Keys) -> None:
        file = receipt.encode()

        for place in range(len(file) + 1):
            for other in (file[:place] + file[place + 1 :], file[:place] + b" " + file[place:]):
                if other != file:
                    with pytest.raises(ReceiptInvalid):
                        check_receipt(other, public_key(keys))

    def test_text_that_is_no_unicode_is_refused(self, receipt: str, keys: Keys) -> None:
        with pytest.raises(ReceiptInvalid, match="no text"):
            check_receipt(receipt.replace("newsletter", "\\ud800", 1).encode(), public_key(keys))

    def test_written_otherwise_is_refused(self, receipt: str, keys: Keys) -> None:
        other = json.dumps(json.loads(receipt))

        with pytest.raises(ReceiptInvalid, match="not written as it was sent"):
            check_receipt(other.encode(), public_key(keys))

    def test_name_that_stands_twice_is_refused(self, receipt: str, keys: Keys) -> None:
        other = receipt.replace('"purpose":', '"purpose": "advertising",\n  "purpose":', 1)
        assert json.loads(other) == json.loads(receipt)

        with pytest.raises(ReceiptInvalid, match="not written as it was sent"):
            check_receipt(other.encode(), public_key(keys))

    def test_of_another_installation_is_refused(self, receipt: str) -> None:
        with pytest.raises(ReceiptInvalid, match="another key"):
            check_receipt(receipt.encode(), "00" * 32)

    def test_signed_by_somebody_else_in_our_name_is_refused(
        self, session: Session, consent: Consent, keys: Keys, now: datetime
    ) -> None:
        stranger = Keys(["x" * 32], "a-hash-key-of-somebody-else-altogether", [new_encryption_key()])
        forged = write_receipt(stranger, consent, leave_url=LEAVE, method="checkbox", now=now)
        ours = forged.replace(public_key(stranger), public_key(keys))

        with pytest.raises(ReceiptInvalid, match="signature"):
            check_receipt(ours.encode(), public_key(keys))

    def test_text_that_does_not_have_its_hash_is_refused(
        self, session: Session, consent: Consent, keys: Keys, now: datetime
    ) -> None:
        with session.no_autoflush:
            consent.text.body += " And everything else."
            wrong = write_receipt(keys, consent, leave_url=LEAVE, method="checkbox", now=now)
        session.rollback()

        with pytest.raises(ReceiptInvalid, match="not that of the text"):
            check_receipt(wrong.encode(), public_key(keys))


class TestWhatIsNoReceipt:
    @pytest.mark.parametrize(
        ("file", "reason"),
        [
            (b"", "cannot be read"),
            (b"\xff", "cannot be read"),
            (b"[]", "cannot be read"),
            (b'{"receipt": {}, "signature": ""}', "cannot be read"),
            (b'{"receipt": [], "signature": ""}', "cannot be read"),
            (b'{"receipt": {"kind": "x"}, "signature": "zz"}', "cannot be read"),
            (b'{"receipt": {"kind": "x"}, "signature": "00"}', "no receipt of the kind"),
            (b"[" * 100_000, "cannot be read"),
        ],
    )
    def test_what_is_none_is_refused_with_the_reason(self, keys: Keys, file: bytes, reason: str) -> None:
        with pytest.raises(ReceiptInvalid, match=reason):
            check_receipt(file, public_key(keys))


class TestKey:
    def test_hangs_on_the_hash_key_alone(self, keys: Keys) -> None:
        rotated = Keys(["n" * 32], ENVIRON["POLLSVC_HASH_KEY"], [new_encryption_key()])
        other = Keys(["n" * 32], "another-hash-key-of-the-same-length-as", [new_encryption_key()])

        assert public_key(rotated) == public_key(keys) != public_key(other)

    def test_is_none_of_the_keys_that_hash(self, keys: Keys) -> None:
        assert keys.derive("consent receipts") != keys.digest("consent receipts")
        assert keys.derive("consent receipts") != keys.derive("other")

    def test_is_as_documented(self, keys: Keys) -> None:
        page = (Path(__file__).parents[2] / "docs" / "consent.md").read_text()

        assert KIND in page
        assert re.search(r"RFC 8785", page)
