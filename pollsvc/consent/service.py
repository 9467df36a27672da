"""A reader's own acts: signing up, confirming, leaving; and the newsroom's look at what stands."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, select, update
from sqlalchemy.orm import Session, selectinload

from pollsvc.articles.service import ensure_article
from pollsvc.articles.urls import InvalidUrl, canonical_origin
from pollsvc.consent.links import Links
from pollsvc.consent.models import (
    Confirmation,
    Consent,
    ConsentText,
    Kind,
    SignUp,
    State,
    Subscriber,
)
from pollsvc.consent.states import note
from pollsvc.consent.tokens import read_leaving_token, token_hash
from pollsvc.errors import one_field
from pollsvc.keys import Keys
from pollsvc.outbox.service import announce
from pollsvc.staff.service import record


def take_sign_up(
    session: Session,
    keys: Keys,
    *,
    text_id: uuid.UUID,
    email: str,
    article_url: str,
    origin: str | None,
    is_suspect: bool,
    now: datetime,
    withdrawal_key: str | None = None,
    evidence: Mapping[str, Any] | None = None,
    method: str = "checkbox",
) -> SignUp:
    """Write down that somebody ticked the box: which text, when, on which article, from which origin.

    The same statements run whoever the address is; what becomes of it, :mod:`pollsvc.consent.signing_up` decides later.

    :param origin: the ``Origin`` header of the request; one that is no origin is kept as none.
    :param withdrawal_key: a secret that the reader's page keeps, by which it can take this sign-up back.
    :raises Invalid: if there is no such text, or the article belongs to no site or not to the text's site.
    """
    text = session.get(ConsentText, text_id)
    if text is None:
        raise one_field("text_id", "There is no consent text with this id.")
    article = ensure_article(session, article_url, now, by_reader=True)
    if article.site_id != text.site_id:
        raise one_field("text_id", "This text belongs to another site than the article.")
    sign_up = SignUp(
        text_id=text.id,
        email=email,
        email_hash=email_hash(keys, email),
        article_id=article.id,
        origin=_sound_origin(origin),
        method=method,
        evidence={"control": "checkbox", "default_checked": False, **(evidence or {})},
        withdrawal_hash=token_hash(withdrawal_key) if withdrawal_key else None,
        is_suspect=is_suspect,
        occurred_at=now,
        available_at=now,
    )
    session.add(sign_up)
    session.flush()
    return sign_up


def confirm(session: Session, links: Links, token: str, now: datetime) -> bool:
    """Confirm the request that a mail's link belongs to, once and in time.

    :returns: whether anything changed; the reader is told the same either way.
    """
    used = (
        update(Confirmation)
        .where(
            Confirmation.token_hash == token_hash(token),
            Confirmation.used_at.is_(None),
            Confirmation.expires_at > now,
        )
        .values(used_at=now)
        .returning(Confirmation)
        .execution_options(synchronize_session=False)
    )
    confirmation = session.scalars(used).one_or_none()
    consent = _get_locked(session, confirmation.consent_id) if confirmation else None
    if confirmation is None or consent is None:
        return False
    evidence = {
        "token_hash": confirmation.token_hash.hex(),
        "message_id": confirmation.message_id,
        "request_id": str(confirmation.request_id),
    }
    text = session.get_one(ConsentText, confirmation.text_id)
    if confirmation.kind == "renewal":
        if consent.state != State.ACTIVE:
            return False
        note(session, consent, Kind.RENEWED, text=text, method="mail_link", now=now, evidence=evidence)
        _tell(session, links, consent, "consent.renewed", now)
        return True
    # One that was taken back meanwhile, or asked for anew, is not what this link confirms.
    if consent.state != State.PENDING or consent.request_id != confirmation.request_id:
        return False
    note(session, consent, Kind.CONFIRMED, text=text, method="mail_link", now=now, evidence=evidence)
    _tell(session, links, consent, "consent.confirmed", now)
    return True


def leave(
    session: Session, links: Links, token: str, *, method: str, is_everything: bool = False, now: datetime
) -> bool:
    """End the consent of a mail's link, or all of the same person; at once, and as often as asked.

    :returns: whether anything changed; the reader is told the same either way.
    """
    consent_id = read_leaving_token(links.keys, token)
    consent = _get_locked(session, consent_id) if consent_id else None
    if consent is None:
        return False
    ended = [consent]
    if is_everything:
        theirs = select(Consent).where(Consent.subscriber_id == consent.subscriber_id).order_by(Consent.id)
        ended = list(session.scalars(theirs.with_for_update(of=Consent)))
    return sum(withdraw(session, links, each, method=method, now=now) for each in ended) > 0


def take_back(session: Session, links: Links, withdrawal_key: str, now: datetime) -> bool:
    """End what a page's own sign-up came to: as easy as it was to give. Nobody else's consent can be met by it.

    :returns: whether anything changed; the reader is told the same either way.
    """
    hashed = token_hash(withdrawal_key)
    waiting = delete(SignUp).where(SignUp.withdrawal_hash == hashed).returning(SignUp.id)
    was_waiting = bool(session.scalars(waiting.execution_options(synchronize_session=False)).all())
    found = session.scalars(
        select(Consent).where(Consent.withdrawal_hash == hashed).with_for_update(of=Consent)
    ).all()
    return sum(withdraw(session, links, each, method="widget", now=now) for each in found) > 0 or was_waiting


def withdraw(
    session: Session, links: Links, consent: Consent, *, method: str, now: datetime, actor: str = "reader"
) -> bool:
    """End a consent that is asked for or given (GDPR Art. 7(3)). One that ended is left as it is.

    :param consent: locked by the caller.
    """
    if consent.state not in (State.PENDING, State.ACTIVE):
        return False
    was_active = consent.state == State.ACTIVE
    note(session, consent, Kind.WITHDRAWN, text=consent.text, method=method, now=now, actor=actor)
    if was_active:
        _tell(session, links, consent, "consent.withdrawn", now)
    return True


def find_subscriber(session: Session, keys: Keys, email: str) -> uuid.UUID | None:
    """Who has this address, if anybody consented with it."""
    return session.scalar(select(Subscriber.id).where(Subscriber.email_hash == email_hash(keys, email)))


def search_consents(
    session: Session, keys: Keys, email: str, *, actor: str, now: datetime
) -> Select[Consent]:
    """The consents given with an address, with what was shown. That somebody looked leaves an audit row."""
    subscriber_id = find_subscriber(session, keys, email)
    # Whom an unknown address belongs to is not ours to write down: the row then names nobody.
    subject = ("subscriber", subscriber_id or "")
    record(session, actor=actor, action="consents.searched", subject=subject, now=now)
    return (
        select(Consent)
        .where(Consent.subscriber_id == subscriber_id)
        .options(selectinload(Consent.text), selectinload(Consent.article))
    )


def email_hash(keys: Keys, email: str) -> bytes:
    """The look-up hash of an address; its spelling in capitals or not is one and the same person's."""
    # Not casefold: it makes ss of ß, and straße.example is not strasse.example.
    return keys.digest("email", email.lower().encode())


def _get_locked(session: Session, consent_id: uuid.UUID) -> Consent | None:
    return session.get(Consent, consent_id, populate_existing=True, with_for_update={"of": Consent})


def _tell(session: Session, links: Links, consent: Consent, kind: str, now: datetime) -> None:
    """Hand a change on to the publisher's endpoints."""
    data = hand_over(links, consent)
    subject = f"subscriber:{consent.subscriber_id}"
    announce(session, kind, site_id=consent.site_id, subject=subject, data=data, now=now)


def hand_over(links: Links, consent: Consent) -> dict[str, Any]:
    """What the publisher's systems are told of a consent."""
    return {
        "consent_id": str(consent.id),
        "site_id": str(consent.site_id),
        "purpose": consent.purpose,
        "state": consent.state,
        "email": consent.subscriber.email,
        "locale": consent.text.locale,
        "text": {
            "id": str(consent.text.id),
            "version": consent.text.version,
            "hash": consent.text.body_hash.hex(),
        },
        "mode": consent.text.mode,
        "is_gdpr_consent": consent.text.mode == "explicit",
        "confirmed_at": consent.confirmed_at.isoformat() if consent.confirmed_at else None,
        "changed_at": consent.changed_at.isoformat(),
        "unsubscribe_url": links.leave(consent.id),
    }


def _sound_origin(header: str | None) -> str | None:
    """The origin in a header that anybody may fill with anything."""
    try:
        return canonical_origin(header or "")
    except InvalidUrl:
        return None
