"""The newsroom gets a mail for each report, with nothing in it that its reader wrote."""

import threading
import uuid
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from pollsvc.config import Settings
from pollsvc.corrections import desk as desk_module
from pollsvc.corrections.desk import MOST_MAILS, WITHIN, Desk
from pollsvc.corrections.models import Correction
from pollsvc.keys import Keys
from pollsvc.outbox.delivery import claim
from pollsvc.outbox.mail import compose
from pollsvc.outbox.models import OutboxMessage
from tests.conftest import ENVIRON, NOW
from tests.factories import ARTICLE_URL, make_correction, make_site
from tests.processes import wait_until
from tests.unreadable import make_unreadable

DESK = Desk("https://polls.example", "polls.example")
WORDS = {
    "name": "Zaphod Uncommon",
    "email": "zaphod@reader.example",
    "message": "Beeblebrox!",
    "quote": "Heart of Gold",
}


def mails(session: Session) -> list[OutboxMessage]:
    return list(session.scalars(select(OutboxMessage).order_by(OutboxMessage.id)))


def text_of(message: OutboxMessage) -> str:
    mail = compose(message, Settings.from_environ(ENVIRON, Path("/nowhere")))
    body = mail.get_body(("plain",))
    assert body
    return f"{mail['Subject']}\n{body.get_content()}"


class TestTellDesk:
    @pytest.mark.parametrize(
        ("is_suspect", "locale", "subject"),
        [
            (False, "en", "Correction {} has arrived\n"),
            (True, "en", "Correction {} has arrived (may be spam)\n"),
            (False, "de", "Hinweis {} ist eingegangen\n"),
            (True, "de", "Hinweis {} ist eingegangen (vielleicht Spam)\n"),
        ],
    )
    def test_says_which_report_and_where(
        self, session: Session, keys: Keys, is_suspect: bool, locale: str, subject: str
    ) -> None:
        make_site(session).locale = locale
        correction = make_correction(session, keys=keys, is_suspect=is_suspect, desk=DESK, **WORDS)

        (mail,) = mails(session)

        text = text_of(mail)
        assert text.startswith(subject.format(correction.reference))
        assert f"https://polls.example/v1/corrections/{correction.id}" in text
        assert orjson.loads(mail.payload or "")["to"] == "desk@news.example"
        assert mail.subject == f"correction:{correction.id}"

    def test_holds_no_word_of_the_reader(self, session: Session, keys: Keys) -> None:
        make_site(session)
        address = "https://news.example/2026/buy-cheap-ferries"
        make_correction(session, keys=keys, desk=DESK, article_url=address, **WORDS)

        payload = mails(session)[0].payload or ""

        assert [word for word in (*WORDS.values(), "cheap-ferries") if word in payload] == []

    def test_one_that_waits_holds_no_other(self, session: Session, keys: Keys) -> None:
        make_site(session)
        for _ in range(2):
            make_correction(session, keys=keys, desk=DESK, now=NOW)
        first, second = mails(session)
        first.available_at = NOW + timedelta(hours=6)
        session.flush()

        claimed = claim(session, uuid.uuid4(), NOW, "mail")

        assert claimed is second

    def test_mails_of_another_site_s_desk_are_not_counted(self, session: Session, keys: Keys) -> None:
        make_site(session)
        make_site(session, name="The Lighthouse", origins=["https://lighthouse.example"])
        for _ in range(MOST_MAILS):
            make_correction(session, keys=keys, desk=DESK, now=NOW)

        make_correction(session, keys=keys, desk=DESK, now=NOW, article_url="https://lighthouse.example/oil")

        assert len(mails(session)) == MOST_MAILS + 1

    def test_a_site_without_a_desk_gets_none(self, session: Session, keys: Keys) -> None:
        make_site(session).desk_email = None

        with capture_logs() as logs:
            make_correction(session, keys=keys, desk=DESK)

        assert mails(session) == []
        assert logs == []

    def test_that_no_key_opens_the_desk_s_address_is_logged(self, session: Session, keys: Keys) -> None:
        site = make_site(session)
        make_unreadable(session, "site", "desk_email")

        with capture_logs() as logs:
            make_correction(session, keys=keys, desk=DESK)

        assert mails(session) == []
        event = "no key opens a desk's address"
        assert logs == [{"event": event, "site_id": str(site.id), "log_level": "warning"}]

    def test_a_flood_of_reports_is_no_flood_of_mails(self, session: Session, keys: Keys) -> None:
        make_site(session)
        for _ in range(MOST_MAILS + 5):
            make_correction(session, keys=keys, desk=DESK, now=NOW)

        *singles, gathered = mails(session)

        assert len(singles) == MOST_MAILS
        assert {mail.available_at for mail in singles} == {NOW}
        assert gathered.available_at == NOW + WITHIN
        assert text_of(gathered).startswith("5 more corrections have arrived\n")
        assert untold(session) == []

    @pytest.mark.parametrize(
        ("locale", "subject", "mark"),
        [
            ("en", "1 more correction has arrived\n", "(may be spam): https"),
            ("de", "1 weiterer Hinweis ist eingegangen\n", "(vielleicht Spam): https"),
        ],
    )
    def test_the_mail_of_many_marks_the_suspect(
        self, session: Session, keys: Keys, locale: str, subject: str, mark: str
    ) -> None:
        make_site(session).locale = locale
        for _ in range(MOST_MAILS):
            make_correction(session, keys=keys, desk=DESK, now=NOW)
        make_correction(session, keys=keys, desk=DESK, now=NOW, is_suspect=True, **WORDS)

        gathered = mails(session)[-1]

        assert text_of(gathered).startswith(subject)
        assert mark in text_of(gathered)
        assert [word for word in WORDS.values() if word in (gathered.payload or "")] == []

    def test_the_mail_of_many_has_an_end(
        self, session: Session, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(desk_module, "MOST_GATHERED", 3)
        make_site(session)
        for _ in range(MOST_MAILS + 5):
            make_correction(session, keys=keys, desk=DESK, now=NOW)

        gathered = mails(session)[MOST_MAILS:]

        assert [text_of(mail)[:6] for mail in gathered] == ["3 more", "2 more"]
        assert untold(session) == []

    def test_one_that_leaves_is_added_to_no_more(self, session: Session, keys: Keys) -> None:
        make_site(session)
        for _ in range(MOST_MAILS + 1):
            make_correction(session, keys=keys, desk=DESK, now=NOW)
        gathered = mails(session)[-1]
        gathered.attempts, gathered.lease, gathered.leased_until = 1, uuid.uuid4(), NOW + WITHIN
        session.flush()

        make_correction(session, keys=keys, desk=DESK, now=NOW)

        assert [text_of(mail)[:6] for mail in mails(session)[MOST_MAILS:]] == ["1 more", "1 more"]
        assert untold(session) == []

    def test_one_that_no_key_opens_holds_up_no_report(self, session: Session, keys: Keys) -> None:
        make_site(session)
        for _ in range(MOST_MAILS + 1):
            make_correction(session, keys=keys, desk=DESK, now=NOW)
        lost = mails(session)[-1].id
        spoil = sa.text("UPDATE outbox_message SET payload = 'of another key' WHERE id = :id")
        session.execute(spoil, {"id": lost})
        session.expire_all()

        for _ in range(2):
            make_correction(session, keys=keys, desk=DESK, now=NOW)

        session.flush()
        session.expire_all()
        newest = session.scalars(select(OutboxMessage).where(OutboxMessage.id > lost)).one()
        assert text_of(newest).startswith("2 more corrections")

    def test_one_that_its_server_refuses_holds_up_no_later_one(self, session: Session, keys: Keys) -> None:
        make_site(session)
        for _ in range(MOST_MAILS + 1):
            make_correction(session, keys=keys, desk=DESK, now=NOW)
        refused = mails(session)[-1]
        refused.attempts, refused.available_at = 20, NOW + timedelta(hours=6)
        session.flush()
        make_correction(session, keys=keys, desk=DESK, now=NOW)
        *singles, _, later = mails(session)
        for each in singles:
            each.state = "delivered"
        session.flush()

        claimed = claim(session, uuid.uuid4(), NOW + WITHIN, "mail")

        assert later.kind == "corrections"
        assert claimed is later

    def test_when_it_is_over_mails_come_one_by_one_again(self, session: Session, keys: Keys) -> None:
        make_site(session)
        for _ in range(MOST_MAILS + 5):
            make_correction(session, keys=keys, desk=DESK, now=NOW)

        make_correction(session, keys=keys, desk=DESK, now=NOW + WITHIN + timedelta(seconds=1))

        assert [mail.kind for mail in mails(session)] == ["correction"] * MOST_MAILS + [
            "corrections",
            "correction",
        ]


def untold(session: Session) -> list[str]:
    """The reports whose link is in no mail."""
    told = " ".join(text_of(mail) for mail in mails(session))
    return [str(each) for each in session.scalars(select(Correction.id)) if str(each) not in told]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
class TestTwoAtOnce:
    def test_each_is_told_of_once(self, session: Session, keys: Keys, engine: sa.Engine) -> None:
        make_site(session)
        for number in range(MOST_MAILS - 1):
            make_correction(session, keys=keys, desk=DESK, message=f"Report {number}")
        session.commit()

        def report() -> None:
            with Session(engine) as own:
                make_correction(own, keys=keys, desk=DESK, message="The other")
                own.commit()

        other = threading.Thread(target=report)
        waits = sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        with Session(engine) as first:
            make_correction(first, keys=keys, desk=DESK, message="The one")
            other.start()
            wait_until(lambda: not other.is_alive() or session.scalar(waits) == 1)
            first.commit()
        other.join()

        session.rollback()
        assert [mail.kind for mail in mails(session)] == ["correction"] * MOST_MAILS + ["corrections"]
        assert untold(session) == []


class TestOverHttp:
    def test_a_report_by_json_is_told_of(self, client: FlaskClient, session: Session) -> None:
        make_site(session)
        session.commit()

        answer = client.post("/v1/corrections", json={"article_url": ARTICLE_URL, **WORDS})

        assert answer.status_code == 201
        assert answer.get_json()["reference"] in text_of(mails(session)[0])

    def test_so_is_one_by_the_plain_form(self, client: FlaskClient, session: Session) -> None:
        make_site(session)
        session.commit()

        answer = client.post(
            "/embed/corrections",
            data={"article_url": ARTICLE_URL, **WORDS},
            headers={"Origin": "http://localhost"},
        )

        assert answer.status_code == 303
        assert "(may be spam)" in text_of(mails(session)[0])

    def test_one_that_is_refused_is_not(self, client: FlaskClient, session: Session) -> None:
        make_site(session)
        session.commit()

        client.post("/v1/corrections", json={"article_url": "https://other.example/a", **WORDS})

        assert mails(session) == []
