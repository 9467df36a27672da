"""What was never confirmed is forgotten after seven days, without a trace of whose it was; what it counted stays."""

import dataclasses
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.config import Settings
from pollsvc.consent.expiry import clear_link, expire_unconfirmed
from pollsvc.consent.models import (
    Confirmation,
    Consent,
    ConsentEvent,
    ConsentText,
    Kind,
    MailPermit,
    State,
    Subscriber,
)
from pollsvc.consent.rebuilding import find_differences
from pollsvc.consent.service import confirm, email_hash, withdraw
from pollsvc.consent.signing_up import Desk, process_sign_up
from pollsvc.consent.states import note
from pollsvc.keys import Keys
from pollsvc.outbox.models import OutboxAttempt, OutboxEvent, OutboxMessage
from pollsvc.worker import Worker
from tests.conftest import NOW
from tests.consent.acts import ADA, ask, links, sign_up
from tests.consent.happenings import happen, tokens
from tests.consent.stored import files_with, tables_with
from tests.factories import make_article, make_consent_text, make_site

WEEK = timedelta(days=7, seconds=1)


@pytest.fixture
def text(session: Session) -> ConsentText:
    made = make_consent_text(session, site=make_site(session))
    session.commit()
    return made


@pytest.fixture
def look(settings: Settings, tmp_path: Path) -> Callable[[datetime], None]:
    """Let a worker look at a time; it keeps its mails in `tmp_path / "mail"`."""

    def look(now: datetime) -> None:
        worker = Worker(dataclasses.replace(settings, instance=tmp_path), lambda: now)
        worker.look()
        worker.close()

    return look


def kinds(session: Session) -> list[str]:
    return list(session.scalars(select(ConsentEvent.kind).order_by(ConsentEvent.id)))


def count(session: Session, *models: type) -> list[int]:
    return [session.scalar(select(func.count()).select_from(model)) or 0 for model in models]


class TestUnconfirmed:
    def test_is_forgotten_after_seven_days_with_its_mail(
        self,
        session: Session,
        keys: Keys,
        text: ConsentText,
        look: Callable[[datetime], None],
        tmp_path: Path,
    ) -> None:
        ask(session, keys, text, NOW)
        session.commit()
        look(NOW)
        assert len(list((tmp_path / "mail").glob("*.eml"))) == 1

        look(NOW + WEEK)

        assert kinds(session) == ["requested", "confirmation_sent", "expired"]
        gone = (Consent, Subscriber, Confirmation, OutboxMessage, OutboxAttempt, OutboxEvent, MailPermit)
        assert count(session, *gone) == [0] * len(gone)
        assert list((tmp_path / "mail").iterdir()) == []

    def test_leaves_nothing_of_the_address(
        self,
        session: Session,
        keys: Keys,
        text: ConsentText,
        look: Callable[[datetime], None],
    ) -> None:
        ask(session, keys, text, NOW)
        session.commit()

        look(NOW + WEEK)

        needles = (ADA.encode(), b"reader.example", email_hash(keys, ADA))
        assert tables_with(session, *needles) == set()
        assert files_with(session, ADA.encode()) == set()

    def test_is_kept_until_then(
        self,
        session: Session,
        keys: Keys,
        text: ConsentText,
        look: Callable[[datetime], None],
    ) -> None:
        ask(session, keys, text, NOW)
        session.commit()

        look(NOW + timedelta(days=6, hours=23))

        assert count(session, Consent, Subscriber, Confirmation) == [1, 1, 1]

    def test_is_kept_as_long_as_its_link_works(self, session: Session, keys: Keys, text: ConsentText) -> None:
        # Its mail had to wait for a day, because others went to the address before.
        waiting = sign_up(session, keys, text, NOW)
        process_sign_up(session, Desk(links(keys)), waiting.id, NOW + timedelta(days=1))

        assert expire_unconfirmed(session, NOW + WEEK) is None
        assert expire_unconfirmed(session, NOW + WEEK + timedelta(days=1)) is not None

    def test_confirmed_one_stays(
        self,
        session: Session,
        keys: Keys,
        text: ConsentText,
        look: Callable[[datetime], None],
    ) -> None:
        consent = ask(session, keys, text, NOW)
        confirm(session, links(keys), tokens(session)[0], NOW)
        session.commit()

        look(NOW + WEEK)

        session.expire_all()
        assert session.get_one(Consent, consent.id).state == State.ACTIVE
        # The link works no more, and is not kept.
        assert count(session, Confirmation) == [0]
        assert kinds(session) == ["requested", "confirmation_sent", "confirmed"]

    def test_person_with_something_else_stays_and_so_do_its_mails(
        self, session: Session, keys: Keys, text: ConsentText, tmp_path: Path
    ) -> None:
        ask(session, keys, text, NOW)
        alerts = make_consent_text(
            session,
            site=session.get_one(Site, text.site_id),
            purpose="alerts",
            body="E-mail alerts of The Harbour Gazette. Leave at any time.",
        )
        later = NOW + timedelta(days=3)
        other = ask(session, keys, alerts, later)

        names = expire_unconfirmed(session, NOW + WEEK)

        assert names is not None
        assert len(names) == 1
        assert session.scalars(select(Consent.id)).all() == [other.id]
        assert count(session, Subscriber, Confirmation, OutboxMessage) == [1, 1, 1]

    def test_taken_back_before_it_was_confirmed_is_forgotten_likewise(
        self,
        session: Session,
        keys: Keys,
        text: ConsentText,
        look: Callable[[datetime], None],
    ) -> None:
        consent = ask(session, keys, text, NOW)
        withdraw(session, links(keys), consent, method="widget", now=NOW)
        session.commit()

        look(NOW + WEEK)

        assert kinds(session) == ["requested", "confirmation_sent", "withdrawn", "expired"]
        assert count(session, Consent, Subscriber, Confirmation) == [0, 0, 0]

    def test_taken_back_is_forgotten_also_where_its_link_went_before(
        self,
        session: Session,
        keys: Keys,
        text: ConsentText,
        look: Callable[[datetime], None],
    ) -> None:
        """The clock of links may be faster, where no worker ran for a day."""
        consent = ask(session, keys, text, NOW)
        withdraw(session, links(keys), consent, method="widget", now=NOW)
        session.execute(sa.delete(Confirmation))
        session.commit()

        look(NOW + WEEK)

        assert count(session, Consent, Subscriber) == [0, 0]

    def test_taken_back_is_kept_as_long_as_its_link_would_work(
        self, session: Session, keys: Keys, text: ConsentText
    ) -> None:
        waiting = sign_up(session, keys, text, NOW)
        process_sign_up(session, Desk(links(keys)), waiting.id, NOW + timedelta(days=1))
        withdraw(session, links(keys), session.scalars(select(Consent)).one(), method="widget", now=NOW)

        assert expire_unconfirmed(session, NOW + WEEK) is None
        assert expire_unconfirmed(session, NOW + WEEK + timedelta(days=1)) is not None

    def test_withdrawn_after_it_was_confirmed_stays_as_proof(
        self, session: Session, keys: Keys, text: ConsentText
    ) -> None:
        consent = ask(session, keys, text, NOW)
        confirm(session, links(keys), tokens(session)[0], NOW)
        withdraw(session, links(keys), consent, method="page", now=NOW)

        assert expire_unconfirmed(session, NOW + WEEK) is None
        assert clear_link(session, NOW + WEEK)
        assert not clear_link(session, NOW + WEEK)
        assert expire_unconfirmed(session, NOW + WEEK) is None
        assert session.get_one(Consent, consent.id).state == State.WITHDRAWN

    def test_of_the_first_release_is_forgotten_likewise(
        self,
        session: Session,
        keys: Keys,
        text: ConsentText,
        look: Callable[[datetime], None],
    ) -> None:
        person = Subscriber(id=uuid.uuid4(), email=ADA, email_hash=email_hash(keys, ADA))
        session.add(person)
        identity = uuid.uuid4()
        happen(session, text, consent_id=identity, subscriber_id=person.id, evidence=None)
        session.add(
            Consent(
                id=identity,
                subscriber_id=person.id,
                site_id=text.site_id,
                purpose=text.purpose,
                state=State.PENDING,
                text_id=text.id,
                article_id=make_article(session).id,
                is_suspect=False,
                requested_at=NOW,
                changed_at=NOW,
            )
        )
        session.commit()

        look(NOW + WEEK)

        assert kinds(session) == ["requested", "expired"]
        assert count(session, Consent, Subscriber) == [0, 0]

    def test_many_are_forgotten_at_one_look(
        self,
        session: Session,
        keys: Keys,
        text: ConsentText,
        look: Callable[[datetime], None],
    ) -> None:
        for number in range(20):
            ask(session, keys, text, NOW, email=f"reader-{number}@reader.example")
        session.commit()

        look(NOW + WEEK)

        assert count(session, Consent, Subscriber, Confirmation, OutboxMessage) == [0, 0, 0, 0]

    def test_can_be_asked_for_again(self, session: Session, keys: Keys, text: ConsentText) -> None:
        ask(session, keys, text, NOW)
        expire_unconfirmed(session, NOW + WEEK)

        again = ask(session, keys, text, NOW + WEEK)

        assert again.state == State.PENDING
        assert confirm(session, links(keys), tokens(session)[-1], NOW + WEEK)

    def test_counts_stay(self, session: Session, keys: Keys, text: ConsentText) -> None:
        page = (Path(__file__).parents[2] / "docs" / "consent.md").read_text()
        query = page.partition("```sql\n")[2].partition("```")[0]
        ask(session, keys, text, NOW)
        expire_unconfirmed(session, NOW + WEEK)

        counted = {(str(row[1]), row[2]): row[3] for row in session.execute(sa.text(query))}

        assert counted == {
            ("2026-03-02", "requested"): 1,
            ("2026-03-02", "confirmation_sent"): 1,
            ("2026-03-09", "expired"): 1,
        }


class TestAskedForAnew:
    """Of somebody who consented and left, whoever signs the address up changes nothing but by a confirmed mail."""

    @pytest.mark.parametrize("ends", ["runs out", "is taken back", "is suppressed"])
    @pytest.mark.parametrize("times", [1, 2])
    def test_and_not_confirmed_leaves_it_as_it_stood(
        self, session: Session, keys: Keys, text: ConsentText, ends: str, times: int
    ) -> None:
        consent = ask(session, keys, text, NOW)
        confirm(session, links(keys), tokens(session)[0], NOW)
        withdraw(session, links(keys), consent, method="page", now=NOW + timedelta(hours=1))
        stood = facts(session, consent)
        other = make_consent_text(session, site=session.get_one(Site, text.site_id), mode="notice_only")
        for day in range(1, times + 1):
            asked = NOW + timedelta(days=day)
            process_sign_up(session, Desk(links(keys)), sign_up(session, keys, other, asked).id, asked)
            assert facts(session, consent)["text_id"] == other.id

        late = NOW + timedelta(days=60)
        if ends == "runs out":
            expire_unconfirmed(session, late)
        elif ends == "is taken back":
            withdraw(session, links(keys), consent, method="widget", now=late)
        else:
            note(session, consent, Kind.SUPPRESSED, text=consent.text, method="staff", now=late)

        assert facts(session, consent) == stood
        assert list(find_differences(session)) == []
        assert expire_unconfirmed(session, late + WEEK) is None


def facts(session: Session, consent: Consent) -> dict[str, object]:
    """Give how a consent stands."""
    session.flush()
    session.refresh(consent)
    return {column.key: getattr(consent, column.key) for column in sa.inspect(Consent).column_attrs}


class TestNothingToDo:
    def test_is_told(self, session: Session) -> None:
        assert expire_unconfirmed(session, NOW) is None
        assert not clear_link(session, NOW)
