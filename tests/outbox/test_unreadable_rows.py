"""A row that no key opens, such as after a key was taken away too early, keeps no other waiting."""

import dataclasses
import uuid
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.config import Settings
from pollsvc.consent.models import Subscriber
from pollsvc.consent.renewals import ask_anew, is_anybody_to_ask
from pollsvc.errands.of_consent import renewals
from pollsvc.keys import Keys, new_encryption_key
from pollsvc.outbox.delivery import FIRST_PAUSE, MOST_ATTEMPTS
from pollsvc.outbox.models import UNREADABLE, OutboxMessage
from pollsvc.worker import Worker
from tests.conftest import ENVIRON, NOW
from tests.consent.readers import Newsletter
from tests.factories import make_consent_text
from tests.outbox.messages import make_mail
from tests.unreadable import make_unreadable


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings.from_environ({**ENVIRON, "POLLSVC_DATABASE_URL": database_url}, tmp_path)


def work(settings: Settings, now: datetime = NOW) -> None:
    worker = Worker(settings, lambda: now)
    worker.look()
    worker.close()


def states(session: Session) -> list[tuple[str, str | None]]:
    session.commit()
    rows = session.execute(select(OutboxMessage.state, OutboxMessage.reason).order_by(OutboxMessage.id)).all()
    session.commit()
    return [(state, reason) for state, reason in rows]


@pytest.fixture
def three_mails(session: Session) -> None:
    """Of which no key opens the first."""
    for number in range(3):
        make_mail(session, number)
    make_unreadable(session, "outbox_message", "payload", where="delivery_key = 'test 0'")


@pytest.mark.usefixtures("three_mails")
def test_mail_waits_and_the_next_ones_leave(session: Session, settings: Settings) -> None:
    work(settings)

    assert states(session) == [("pending", UNREADABLE), ("delivered", None), ("delivered", None)]


def test_mail_waits_and_the_next_one_to_the_same_person_leaves(session: Session, settings: Settings) -> None:
    for number in range(2):
        make_mail(session, number, subject="subscriber:ada")
    make_unreadable(session, "outbox_message", "payload", where="delivery_key = 'test 0'")

    work(settings)

    assert states(session) == [("pending", UNREADABLE), ("delivered", None)]


@pytest.mark.usefixtures("three_mails")
def test_mail_is_given_up_after_its_last_attempt(session: Session, settings: Settings) -> None:
    session.execute(sa.update(OutboxMessage).values(attempts=MOST_ATTEMPTS - 1))
    session.commit()

    work(settings)

    assert states(session)[0] == ("dead", UNREADABLE)


def test_mails_of_a_host_with_the_wrong_keys_are_delivered_by_one_with_the_right_ones(
    session: Session, settings: Settings
) -> None:
    make_mail(session)
    session.commit()
    work(dataclasses.replace(settings, encryption_keys=(new_encryption_key(),)))
    assert states(session) == [("pending", UNREADABLE)]

    work(settings, NOW + FIRST_PAUSE)

    assert states(session) == [("delivered", None)]


@pytest.fixture
def sealed_before_ada(session: Session, keys: Keys) -> Newsletter:
    """A newsletter whose text changed in substance; of its four readers the key opens the last one only."""
    newsletter = Newsletter(session, keys, NOW)
    for number in range(3):
        newsletter.activate(f"{number}@reader.example")
    make_unreadable(session, "subscriber", "email")
    newsletter.activate()
    site = session.get_one(Site, newsletter.text.site_id)
    make_consent_text(session, site=site, is_material=True)
    session.commit()
    session.expunge_all()
    return newsletter


def test_renewal_waits_and_the_others_are_asked(
    session: Session, settings: Settings, sealed_before_ada: Newsletter
) -> None:
    work(settings)

    assert sealed_before_ada.happened().count("renewal_sent") == 1
    assert sealed_before_ada.consent().valid_until is not None
    # The others still are, for when a key opens them.
    assert is_anybody_to_ask(session)


def test_renewals_that_wait_do_not_fill_the_steps_of_the_others(
    session: Session, keys: Keys, sealed_before_ada: Newsletter
) -> None:
    passed: dict[uuid.UUID, uuid.UUID] = {}

    sent = [
        ask_anew(session, sealed_before_ada.links, days=30, now=NOW, most=2, passed=passed) for _ in range(3)
    ]

    assert sent == [0, 1, 0]


def test_renewals_that_wait_are_looked_at_again_after_an_hour(
    session: Session, settings: Settings, keys: Keys, sealed_before_ada: Newsletter
) -> None:
    errand = renewals(settings, sealed_before_ada.links)
    for _ in range(2):
        assert errand.is_due(session, NOW)
        errand.act(session, NOW)
    assert not errand.is_due(session, NOW)
    # A key opens them now.
    session.execute(sa.update(Subscriber).values(email="ada@reader.example"))

    later = NOW + timedelta(hours=1)
    assert errand.is_due(session, later)
    errand.act(session, later)

    assert sealed_before_ada.happened().count("renewal_sent") == 4


def test_sign_up_waits_and_the_others_are_decided(session: Session, settings: Settings, keys: Keys) -> None:
    newsletter = Newsletter(session, keys, NOW)
    sealed = [newsletter.take(f"{number}@reader.example") for number in range(20)]
    newsletter.take("ada@reader.example")
    for each in sealed:
        session.execute(
            sa.text("UPDATE sign_up SET email = :sealed WHERE id = :id").bindparams(
                sa.bindparam("id", type_=sa.Uuid())
            ),
            {"sealed": b"by another key", "id": each},
        )
    session.commit()

    work(settings)

    assert session.scalar(sa.text("SELECT count(*) FROM sign_up")) == 20
    assert newsletter.consent("ada@reader.example").state == "pending"
