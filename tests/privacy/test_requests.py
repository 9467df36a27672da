"""The worker mails a link to whom we know something about, and to nobody else."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import event as sa_event
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.consent.addresses import MAIL_PAUSE, MAILS_A_DAY
from pollsvc.consent.links import Links
from pollsvc.consent.models import Consent, State
from pollsvc.consent.service import email_hash
from pollsvc.outbox.letters import write_letter
from pollsvc.outbox.models import OutboxMessage
from pollsvc.privacy.models import DataRequest
from pollsvc.privacy.requests import Answer, answer_request, ask_for_link
from tests.factories import ARTICLE_URL
from tests.privacy.scene import Scene, correct, count, subscribe, subscriber_id, text_of


def ask(scene: Scene, email: str | None = None) -> Answer | None:
    """Ask, and let the worker's rule decide; committed."""
    session = scene.session
    ask_for_link(session, email_hash(scene.keys, email or scene.email), scene.now())
    request = session.scalars(select(DataRequest.id).order_by(DataRequest.id.desc())).first()
    assert request
    links = Links("http://localhost", "localhost", scene.keys)
    answer = answer_request(session, links, request, scene.now())
    session.commit()
    return answer


class TestAnswer:
    def test_goes_to_who_consented(self, scene: Scene) -> None:
        subscribe(scene)

        assert ask(scene) == Answer.MAILED

        message = scene.session.scalars(select(OutboxMessage).where(OutboxMessage.kind == "data_link")).one()
        assert message.subject == f"subscriber:{subscriber_id(scene.session)}"

    def test_to_who_consented_is_left_by_one_press(self, scene: Scene) -> None:
        subscribe(scene)
        ask(scene)

        scene.work()
        mail = scene.mails()[-1]
        (leave,) = re.findall(r"/unsubscribe/[A-Za-z0-9._-]+", text_of(mail))
        assert mail["List-Unsubscribe"].endswith(f"{leave}>")
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert scene.client.post(leave).status_code == 200
        assert scene.session.scalars(select(Consent.state)).one() == State.WITHDRAWN

    def test_goes_to_who_only_sent_a_correction(self, scene: Scene) -> None:
        correct(scene)

        assert ask(scene) == Answer.MAILED

        scene.work()
        (mail,) = scene.mails()
        assert (mail["To"], mail["List-Unsubscribe"]) == (scene.email, None)

    def test_goes_to_the_address_as_we_know_it(self, scene: Scene) -> None:
        correct(scene)

        ask(scene, scene.email.upper())

        scene.work()
        assert [mail["To"] for mail in scene.mails()] == [scene.email]

    def test_goes_to_nobody_else(self, scene: Scene) -> None:
        correct(scene)

        assert ask(scene, "nobody@reader.example") == Answer.UNKNOWN

        assert count(scene.session, OutboxMessage, DataRequest) == [0, 0]

    def test_goes_to_nobody_who_was_erased(self, planted: Scene) -> None:
        planted.post("/v1/privacy/erasures", {"email": planted.email}, 200, by=planted.staff)

        assert ask(planted) == Answer.UNKNOWN

    def test_goes_to_nobody_who_was_erased_and_is_named_in_a_correction_since(self, planted: Scene) -> None:
        planted.post("/v1/privacy/erasures", {"email": planted.email}, 200, by=planted.staff)
        body = {"article_url": ARTICLE_URL, "name": "Ada", "email": planted.email, "message": "It is wrong."}
        planted.post("/v1/corrections", body, 201)

        assert ask(planted) == Answer.UNKNOWN

    def test_goes_to_nobody_who_objected(self, scene: Scene) -> None:
        subscribe(scene)
        scene.post("/v1/suppressions", {"email": scene.email}, 200, by=scene.staff)

        assert ask(scene) == Answer.UNKNOWN

    def test_waits_for_the_next_mail_to_be_allowed(self, scene: Scene) -> None:
        subscribe(scene)

        assert [ask(scene), ask(scene)] == [Answer.MAILED, Answer.DEFERRED]

        scene.later(MAIL_PAUSE + timedelta(minutes=1))
        scene.work()
        assert [mail["Subject"] for mail in scene.mails()][1:] == [
            "What The Harbour Gazette keeps about you"
        ] * 2
        assert count(scene.session, DataRequest) == [0]

    def test_to_several_requests_is_one_mail(self, scene: Scene) -> None:
        subscribe(scene)

        assert [ask(scene) for _ in range(4)] == [
            Answer.MAILED,
            Answer.DEFERRED,
            Answer.REPEATED,
            Answer.REPEATED,
        ]

        scene.later(MAIL_PAUSE + timedelta(minutes=1))
        scene.work()
        assert len(scene.mails()) == 3

    def test_puts_off_no_mail_that_confirms(self, scene: Scene) -> None:
        correct(scene)
        for _ in range(MAILS_A_DAY):
            assert ask(scene) == Answer.MAILED
            scene.later(MAIL_PAUSE + timedelta(minutes=1))

        subscribe(scene)

        assert "Please confirm: The Harbour Gazette" in [mail["Subject"] for mail in scene.mails()]

    def test_takes_along_what_was_asked_meanwhile(self, scene: Scene) -> None:
        correct(scene)
        for _ in range(3):
            ask_for_link(scene.session, email_hash(scene.keys, scene.email), scene.now())
        scene.session.commit()
        scene.later(timedelta(seconds=1))

        scene.work()

        assert len(scene.mails()) == 1
        assert count(scene.session, DataRequest) == [0]

    def test_is_given_once(self, scene: Scene) -> None:
        correct(scene)
        ask_for_link(scene.session, email_hash(scene.keys, scene.email), scene.now())
        request = scene.session.scalars(select(DataRequest.id)).one()
        links = Links("http://localhost", "localhost", scene.keys)
        answer_request(scene.session, links, request, scene.now())

        assert answer_request(scene.session, links, request, scene.now()) is None


class TestAsk:
    def test_runs_the_same_statement_for_every_address(self, planted: Scene, session: Session) -> None:
        seen: list[str] = []
        engine = session.get_bind().engine
        sa_event.listen(engine, "before_cursor_execute", lambda *given: seen.append(given[2]))
        statements = []
        for email in (planted.email, "nobody@reader.example"):
            seen.clear()
            ask_for_link(session, email_hash(planted.keys, email), planted.now())
            session.commit()
            statements.append(list(seen))

        assert statements[0] == statements[1]
        assert [each.partition(" (")[0] for each in seen if "BEGIN" not in each] == [
            "INSERT INTO data_request"
        ]


class TestLetter:
    @pytest.mark.parametrize(
        ("locale", "subject"),
        [("en", "What The Courier keeps about you"), ("de", "Was The Courier über Sie speichert")],
    )
    def test_speaks_the_reader_s_language(self, locale: str, subject: str) -> None:
        params = {
            "site_name": "The Courier",
            "data_url": "https://polls.example/data/x",
            "days": 30,
            "leave_url": "https://polls.example/unsubscribe/x",
        }

        heading, text, html = write_letter("data_link", locale, params)

        assert heading == subject
        assert "https://polls.example/data/x" in text
        assert "https://polls.example/data/x" in html
        assert "30" in text
        assert "https://polls.example/unsubscribe/x" in text
        assert "https://polls.example/unsubscribe/x" in html

    def test_holds_nothing_that_a_reader_wrote(self, planted: Scene) -> None:
        # First the sign-up that waited, then the link.
        for _ in range(2):
            planted.later(MAIL_PAUSE + timedelta(minutes=1))
            planted.work()
        mail = next(mail for mail in planted.mails() if "keeps about you" in mail["Subject"])

        assert [word for word in planted.words.values() if word in text_of(mail)] == []
