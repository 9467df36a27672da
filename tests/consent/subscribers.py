"""Consents in each state, made through the doors that make them."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.consent import service
from pollsvc.consent.links import Links
from pollsvc.consent.models import Consent, ConsentText, Kind, State, Subscriber, Suppression
from pollsvc.consent.service import email_hash, take_sign_up
from pollsvc.consent.signing_up import Desk, process_sign_up
from pollsvc.consent.states import note
from pollsvc.keys import Keys
from tests.factories import ARTICLE_URL, ORIGIN


def links_of(keys: Keys) -> Links:
    return Links("http://localhost", "localhost", keys)


def make_consent(
    session: Session,
    keys: Keys,
    text: ConsentText,
    now: datetime,
    *,
    email: str = "ada@reader.example",
    state: State = State.ACTIVE,
) -> Consent:
    """Sign an address up and bring its consent to a state."""
    sign_up = take_sign_up(
        session,
        keys,
        text_id=text.id,
        email=email,
        article_url=ARTICLE_URL,
        origin=ORIGIN,
        is_suspect=False,
        withdrawal_key="a-key-of-the-page-that-nobody-else-has",
        now=now,
    )
    process_sign_up(session, Desk(links_of(keys)), sign_up.id, now)
    consent = find_consent(session, keys, email, text)
    if state != State.PENDING:
        note(session, consent, Kind.CONFIRMED, text=text, method="mail_link", now=now)
    if state == State.WITHDRAWN:
        service.withdraw(session, links_of(keys), consent, method="mail_link", now=now)
    if state == State.EXPIRED:
        note(session, consent, Kind.EXPIRED, text=text, method="clock", now=now, actor="system")
    session.flush()
    return consent


def find_consent(session: Session, keys: Keys, email: str, text: ConsentText) -> Consent:
    return session.scalars(
        select(Consent)
        .join(Subscriber)
        .where(
            Subscriber.email_hash == email_hash(keys, email),
            Consent.site_id == text.site_id,
            Consent.purpose == text.purpose,
        )
    ).one()


def suppress(session: Session, keys: Keys, email: str, now: datetime) -> None:
    session.add(Suppression(email_hash=email_hash(keys, email), reason="erased", since=now))
    session.flush()
