"""A row that no key opens, such as after a key was taken away too early, keeps no other waiting."""

import uuid
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.config import Settings
from pollsvc.consent.models import Subscriber
from pollsvc.consent.renewals import ask_anew, is_anybody_to_ask
from pollsvc.errands.of_consent import renewals
from pollsvc.keys import Keys
from pollsvc.worker import Worker
from tests.conftest import ENVIRON, NOW
from tests.consent.readers import Newsletter
from tests.factories import make_consent_text
from tests.outbox.messages import make_mail


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings.from_environ({**ENVIRON, "POLLSVC_DATABASE_URL": database_url}, tmp_path)


def work(settings: Settings) -> None:
    worker = Worker(settings, lambda: NOW)
    worker.look()
    worker.close()


def test_mail_is_given_up_and_the_next_ones_leave(session: Session, settings: Settings) -> None:
    for number in range(3):
        make_mail(session, number)
    session.execute(
        sa.text("UPDATE outbox_message SET payload = :sealed WHERE delivery_key = 'test 0'"),
        {"sealed": b"by another key"},
    )
    session.commit()

    work(settings)

    states = session.execute(sa.text("SELECT state, reason FROM outbox_message ORDER BY id")).all()
    assert states == [
        ("dead", "None of POLLSVC_ENCRYPTION_KEYS opens it."),
        ("delivered", None),
        ("delivered", None),
    ]


def seal(session: Session, column: str, table: str) -> None:
    """Encrypt what a table holds by a key that is gone."""
    session.execute(sa.text(f"UPDATE {table} SET {column} = :sealed"), {"sealed": b"by another key"})
    session.commit()


@pytest.fixture
def sealed_before_ada(session: Session, keys: Keys) -> Newsletter:
    """A newsletter whose text changed in substance; of its four readers the key opens the last one only."""
    newsletter = Newsletter(session, keys, NOW)
    for number in range(3):
        newsletter.activate(f"{number}@reader.example")
    seal(session, "email", "subscriber")
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
