"""A text that changed in substance is asked for anew, once; who does not answer gets no mail any more."""

import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.config import Settings
from pollsvc.consent.expiry import expire_unanswered
from pollsvc.consent.models import (
    Confirmation,
    Consent,
    ConsentEvent,
    ConsentText,
    Kind,
    Reason,
    State,
    Suppression,
)
from pollsvc.consent.renewals import ask_anew, is_anybody_to_ask
from pollsvc.consent.service import confirm, email_hash, withdraw
from pollsvc.consent.signing_up import Desk, process_sign_up
from pollsvc.consent.states import note
from pollsvc.keys import Keys
from pollsvc.outbox.letters import languages, write_letter
from pollsvc.outbox.models import OutboxEvent, OutboxMessage
from pollsvc.worker import Worker
from tests.conftest import NOW
from tests.consent.acts import ADA, ask, links, sign_up
from tests.consent.happenings import letters, tokens
from tests.consent.logins import SECRET, account_token
from tests.factories import make_consent_text, make_site

DAY = timedelta(days=1)
NEW = "Send me the newsletter of The Harbour Gazette and its offers. I may leave at any time."


@pytest.fixture
def text(session: Session) -> ConsentText:
    return make_consent_text(session, site=make_site(session, login_key=SECRET))


@pytest.fixture
def consent(session: Session, keys: Keys, text: ConsentText, now: datetime) -> Consent:
    """An active one."""
    made = ask(session, keys, text, now)
    assert confirm(session, links(keys), tokens(session)[0], now)
    session.commit()
    return made


def publish(session: Session, text: ConsentText, **changes: Any) -> ConsentText:
    """Publish the next version, changed in substance unless told otherwise."""
    given: dict[str, Any] = {"site": session.get_one(Site, text.site_id), "body": NEW, "is_material": True}
    return make_consent_text(session, **(given | changes))


@pytest.fixture
def renew(session: Session, keys: Keys) -> Callable[..., int]:
    """Let the worker's rule ask anew, with 30 days to answer."""

    def renew(now: datetime, most: int = 100) -> int:
        return ask_anew(session, links(keys), days=30, now=now, most=most)

    return renew


class TestAskAnew:
    def test_change_of_substance_mails_everybody_once(
        self,
        session: Session,
        keys: Keys,
        text: ConsentText,
        consent: Consent,
        renew: Callable[..., int],
    ) -> None:
        newer = publish(session, text)
        assert is_anybody_to_ask(session)

        assert [renew(NOW), renew(NOW), renew(NOW + timedelta(days=9))] == [1, 0, 0]

        assert not is_anybody_to_ask(session)
        (letter,) = letters(session, "renewal")
        assert letter["to"] == ADA
        assert letter["params"]["consent_body"] == NEW
        assert letter["leave_url"] == links(keys).leave(consent.id)
        assert consent.valid_until == NOW + timedelta(days=30)
        assert (consent.state, consent.text_id) == (State.ACTIVE, text.id)
        event = session.scalars(select(ConsentEvent).where(ConsentEvent.kind == "renewal_sent")).one()
        assert (event.text_id, event.actor) == (newer.id, "system")

    def test_link_works_as_long_as_there_is_to_answer(
        self, session: Session, text: ConsentText, consent: Consent, renew: Callable[..., int]
    ) -> None:
        publish(session, text)
        renew(NOW)

        link = session.scalars(select(Confirmation).where(Confirmation.kind == "renewal")).one()

        assert link.expires_at == consent.valid_until == NOW + timedelta(days=30)

    def test_change_of_wording_mails_nobody(
        self, session: Session, text: ConsentText, consent: Consent, renew: Callable[..., int]
    ) -> None:
        publish(session, text, is_material=False)

        assert not is_anybody_to_ask(session)
        assert renew(NOW) == 0
        assert (consent.text_id, consent.valid_until) == (text.id, None)

    def test_wording_changed_after_the_substance_is_what_is_asked(
        self, session: Session, text: ConsentText, consent: Consent, renew: Callable[..., int]
    ) -> None:
        publish(session, text)
        last = publish(session, text, is_material=False, body=NEW + " Really.")

        assert renew(NOW) == 1
        (letter,) = letters(session, "renewal")
        assert letter["params"]["consent_body"] == last.body

    @pytest.mark.parametrize("mode", ["notice_only", "soft_opt_in"])
    def test_what_is_no_consent_is_not_renewed(
        self,
        session: Session,
        keys: Keys,
        text: ConsentText,
        renew: Callable[..., int],
        mode: str,
    ) -> None:
        earlier = publish(session, text, mode=mode, is_material=False)
        token = account_token(exp=int(NOW.timestamp()) + 600)
        consent = ask(session, keys, earlier, NOW, account_token=token)
        if consent.state == State.PENDING:
            confirm(session, links(keys), tokens(session)[0], NOW)
        publish(session, text)

        assert consent.state == State.ACTIVE
        assert renew(NOW) == 0

    def test_consent_is_not_renewed_into_a_notice(
        self, session: Session, text: ConsentText, consent: Consent, renew: Callable[..., int]
    ) -> None:
        publish(session, text, mode="notice_only")

        assert renew(NOW) == 0

    def test_only_the_site_and_purpose_of_the_text_are_asked(
        self, session: Session, text: ConsentText, consent: Consent, renew: Callable[..., int]
    ) -> None:
        post = make_site(session, name="Post", origins=["https://post.example"])
        for changes in ({"site": post}, {"purpose": "alerts"}):
            for _ in range(2):
                publish(session, text, controller="The Harbour Gazette", **changes)

        assert renew(NOW) == 0

    def test_who_left_or_never_confirmed_is_not_asked(
        self,
        session: Session,
        keys: Keys,
        text: ConsentText,
        consent: Consent,
        renew: Callable[..., int],
    ) -> None:
        withdraw(session, links(keys), consent, method="page", now=NOW)
        ask(session, keys, text, NOW, email="bob@reader.example")
        publish(session, text)

        assert renew(NOW) == 0

    def test_suppressed_address_is_not_mailed(
        self,
        session: Session,
        keys: Keys,
        text: ConsentText,
        consent: Consent,
        renew: Callable[..., int],
    ) -> None:
        session.add(Suppression(email_hash=email_hash(keys, ADA), reason=Reason.OBJECTED, since=NOW))
        publish(session, text)

        assert renew(NOW) == 0

    def test_pace_is_kept(
        self, session: Session, keys: Keys, text: ConsentText, renew: Callable[..., int]
    ) -> None:
        for number in range(5):
            ask(session, keys, text, NOW, email=f"reader-{number}@reader.example")
            confirm(session, links(keys), tokens(session)[-1], NOW)
        publish(session, text)

        assert [renew(NOW, 2) for _ in range(4)] == [2, 2, 1, 0]

    def test_further_change_asks_again_and_does_not_put_off_the_date(
        self, session: Session, text: ConsentText, consent: Consent, renew: Callable[..., int]
    ) -> None:
        publish(session, text)
        renew(NOW)
        publish(session, text, body=NEW + " And more.")

        assert renew(NOW + timedelta(days=10)) == 1

        assert consent.valid_until == NOW + timedelta(days=30)
        assert letters(session, "renewal")[-1]["params"]["until"] == "2026-04-01"

    def test_answer_to_the_first_mail_after_a_further_change_is_asked_once_more(
        self,
        session: Session,
        keys: Keys,
        text: ConsentText,
        consent: Consent,
        renew: Callable[..., int],
    ) -> None:
        publish(session, text)
        renew(NOW)
        publish(session, text, body=NEW + " And more.")
        renew(NOW + timedelta(days=1))

        assert confirm(session, links(keys), tokens(session, "renewal")[0], NOW + timedelta(days=2))

        assert renew(NOW + timedelta(days=2)) == 1
        assert consent.valid_until == NOW + timedelta(days=32)

    def test_consent_given_later_for_the_old_text_is_asked_too(
        self, session: Session, keys: Keys, text: ConsentText, renew: Callable[..., int]
    ) -> None:
        publish(session, text)
        consent = ask(session, keys, text, NOW)
        confirm(session, links(keys), tokens(session)[0], NOW)

        assert renew(NOW) == 1
        assert consent.valid_until is not None


class TestAnswer:
    def test_press_of_the_button_renews(
        self,
        session: Session,
        keys: Keys,
        text: ConsentText,
        consent: Consent,
        renew: Callable[..., int],
    ) -> None:
        newer = publish(session, text)
        renew(NOW)

        assert confirm(session, links(keys), tokens(session, "renewal")[0], NOW + timedelta(days=29))

        assert (consent.state, consent.text_id, consent.valid_until) == (State.ACTIVE, newer.id, None)
        told = session.scalars(select(OutboxEvent).where(OutboxEvent.kind == "consent.renewed")).one()
        assert orjson.loads(str(told.data))["text"]["version"] == 2
        assert expire_unanswered(session, links(keys), NOW + timedelta(days=31)) == 0

    def test_without_one_it_ends_at_the_date(
        self,
        session: Session,
        keys: Keys,
        text: ConsentText,
        consent: Consent,
        renew: Callable[..., int],
    ) -> None:
        publish(session, text)
        renew(NOW)
        date = NOW + timedelta(days=30)

        assert expire_unanswered(session, links(keys), date - timedelta(seconds=1)) == 0
        assert expire_unanswered(session, links(keys), date) == 1

        assert (consent.state, consent.text_id, consent.valid_until) == (State.EXPIRED, text.id, None)
        told = session.scalars(select(OutboxEvent).where(OutboxEvent.kind == "consent.expired")).one()
        data = orjson.loads(str(told.data))
        assert (data["state"], data["email"], told.subject) == (
            "expired",
            ADA,
            f"subscriber:{consent.subscriber_id}",
        )

    def test_too_late_it_changes_nothing(
        self,
        session: Session,
        keys: Keys,
        text: ConsentText,
        consent: Consent,
        renew: Callable[..., int],
    ) -> None:
        publish(session, text)
        renew(NOW)
        date = NOW + timedelta(days=30)

        assert not confirm(session, links(keys), tokens(session, "renewal")[0], date)

    def test_of_a_mail_from_before_they_left_is_none_to_what_they_agreed_to_since(
        self,
        session: Session,
        keys: Keys,
        text: ConsentText,
        consent: Consent,
        renew: Callable[..., int],
    ) -> None:
        publish(session, text)
        renew(NOW)
        (before,) = tokens(session, "renewal")
        withdraw(session, links(keys), consent, method="page", now=NOW)
        again = sign_up(session, keys, text, NOW + DAY)
        process_sign_up(session, Desk(links(keys)), again.id, NOW + DAY)
        assert confirm(session, links(keys), tokens(session)[-1], NOW + DAY)

        assert not confirm(session, links(keys), before, NOW + DAY)

        assert (consent.state, consent.text_id) == (State.ACTIVE, text.id)

    def test_does_not_lead_back_to_an_earlier_text(
        self,
        session: Session,
        keys: Keys,
        text: ConsentText,
        consent: Consent,
        renew: Callable[..., int],
    ) -> None:
        publish(session, text)
        renew(NOW)
        last = publish(session, text, body=NEW + " And more.")
        renew(NOW)
        earlier, later = tokens(session, "renewal")
        assert confirm(session, links(keys), later, NOW)

        assert not confirm(session, links(keys), earlier, NOW + DAY)

        assert (consent.state, consent.text_id, consent.confirmed_at) == (State.ACTIVE, last.id, NOW)

    def test_of_an_imported_consent_names_no_request(
        self, session: Session, keys: Keys, text: ConsentText, consent: Consent, renew: Callable[..., int]
    ) -> None:
        withdraw(session, links(keys), consent, method="page", now=NOW)
        note(session, consent, Kind.IMPORTED, text=text, method="import", actor="token:x", now=NOW)
        assert consent.request_id is None
        publish(session, text)
        renew(NOW)

        assert confirm(session, links(keys), tokens(session, "renewal")[-1], NOW)

        renewed = session.scalars(select(ConsentEvent).where(ConsentEvent.kind == Kind.RENEWED)).one()
        assert set(renewed.evidence or {}) == {"token_hash", "message_id"}

    @pytest.mark.parametrize("end", ["left", "never answered"])
    def test_is_not_asked_for_any_more_once_it_ended(
        self,
        session: Session,
        keys: Keys,
        text: ConsentText,
        consent: Consent,
        renew: Callable[..., int],
        *,
        end: str,
    ) -> None:
        publish(session, text)
        renew(NOW)
        assert len(letters(session, "renewal")) == 1

        if end == "left":
            withdraw(session, links(keys), consent, method="page", now=NOW)
        else:
            expire_unanswered(session, links(keys), NOW + timedelta(days=30))

        assert letters(session, "renewal") == []

    def test_after_the_end_no_mail_goes_there(
        self,
        session: Session,
        keys: Keys,
        text: ConsentText,
        consent: Consent,
        renew: Callable[..., int],
    ) -> None:
        publish(session, text)
        renew(NOW)
        expire_unanswered(session, links(keys), NOW + timedelta(days=30))
        publish(session, text)

        assert renew(NOW + timedelta(days=31)) == 0


class TestWorker:
    def test_asks_and_ends(
        self,
        settings: Settings,
        session: Session,
        text: ConsentText,
        consent: Consent,
        tmp_path: Path,
    ) -> None:
        clock = [NOW]
        worker = Worker(dataclasses.replace(settings, instance=tmp_path, renewal_days=5), lambda: clock[0])
        worker.look()
        publish(session, text)
        session.commit()

        worker.look()

        assert len(list((tmp_path / "mail").glob("*.eml"))) == 2  # the confirmation's, and this
        clock[0] = NOW + timedelta(days=5)
        worker.look()
        worker.look()
        worker.close()
        session.expire_all()
        assert session.get_one(Consent, consent.id).state == State.EXPIRED
        mails = session.scalars(sa.select(OutboxMessage.kind).order_by(OutboxMessage.id)).all()
        assert mails == ["confirmation", "renewal"]

    def test_looks_once_an_hour_where_nobody_is_left_to_ask(
        self, settings: Settings, session: Session, keys: Keys, text: ConsentText
    ) -> None:
        publish(session, text)
        session.commit()
        clock = [NOW]
        worker = Worker(settings, lambda: clock[0])
        worker.look()
        late = ask(session, keys, text, NOW)
        confirm(session, links(keys), tokens(session)[-1], NOW)
        session.commit()
        found = []

        for minutes in (30, 61):
            clock[0] = NOW + timedelta(minutes=minutes)
            worker.look()
            session.commit()
            session.expire_all()
            found.append(session.get_one(Consent, late.id).valid_until is not None)

        worker.close()
        assert found == [False, True]


class TestLetter:
    PARAMS = {  # noqa: RUF012 (not changed)
        "site_name": "The Harbour Gazette",
        "consent_body": NEW,
        "controller": "The Harbour Gazette",
        "contact": "privacy@news.example",
        "until": "2026-04-01",
        "privacy_url": "https://news.example/privacy",
        "confirm_url": "https://polls.example/consent/x",
        "leave_url": "https://polls.example/unsubscribe/x",
        "data_url": "https://polls.example/data/x",
    }

    @pytest.mark.parametrize("language", languages())
    def test_says_what_changed_and_until_when(self, language: str) -> None:
        subject, text, html = write_letter("renewal", language, self.PARAMS)

        for part in (text, html):
            for name in ("consent_body", "until", "privacy_url", "confirm_url", "leave_url"):
                assert self.PARAMS[name] in part
        assert "The Harbour Gazette" in subject

    def test_is_translated(self) -> None:
        subject, text, html = write_letter("renewal", "de", self.PARAMS)

        assert subject == "Bitte erneuern: The Harbour Gazette"
        for english in ("Without an answer", "You agreed", "Go on", "Privacy policy", "Leave"):
            assert english not in text
            assert english not in html

    def test_without_a_policy_names_none(self) -> None:
        _, text, html = write_letter("renewal", "en", self.PARAMS | {"privacy_url": None})

        assert "Privacy policy" not in text + html
