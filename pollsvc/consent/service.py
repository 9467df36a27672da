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
from pollsvc.consent.accounts import check_account
from pollsvc.consent.confirming import drop_unsent, find_request, may_renew
from pollsvc.consent.handing_over import tell
from pollsvc.consent.links import Links
from pollsvc.consent.models import (
    Confirmation,
    Consent,
    ConsentText,
    Kind,
    Mode,
    SignUp,
    State,
    Subscriber,
)
from pollsvc.consent.signing_up import welcome_back
from pollsvc.consent.states import note
from pollsvc.consent.tokens import read_leaving_token, token_hash
from pollsvc.errors import one_field
from pollsvc.keys import Keys
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
    account_token: str | None = None,
) -> SignUp:
    """Write down that somebody ticked the box: which text, when, on which article, from which origin.

    The same statements run whoever the address is; what becomes of it, :mod:`pollsvc.consent.signing_up` decides later.

    :param origin: the ``Origin`` header of the request; one that is no origin is kept as none.
    :param withdrawal_key: a secret that the reader's page keeps, by which it can take this sign-up back.
    :param account_token: what the publisher's login says of the reader: needed where the text is for accounts.
    :raises Invalid: if there is no such text, the article belongs to no site or not to the text's site, or the text is for
        accounts and the token shows none with this address.
    """
    text = session.get(ConsentText, text_id)
    if text is None:
        raise one_field("text_id", "There is no consent text with this id.")
    article = ensure_article(session, article_url, now, by_reader=True)
    if article.site_id != text.site_id:
        raise one_field("text_id", "This text belongs to another site than the article.")
    seen = {"control": "checkbox", "default_checked": False, **(evidence or {})}
    if text.mode == Mode.SOFT_OPT_IN:
        check_account(article.site, account_token, email=email, now=now)
    sign_up = SignUp(
        text_id=text.id,
        email=email,
        email_hash=email_hash(keys, email),
        article_id=article.id,
        origin=_sound_origin(origin),
        method=method,
        evidence=seen,
        withdrawal_hash=token_hash(withdrawal_key) if withdrawal_key else None,
        is_suspect=is_suspect,
        occurred_at=now,
        arrived_at=now,
        available_at=now,
    )
    session.add(sign_up)
    session.flush()
    return sign_up


def confirm(session: Session, links: Links, token: str, now: datetime) -> bool:
    """Confirm the request that a mail's link belongs to, once and in time.

    Of several mails about the same consent each one's link works, and confirms what that mail showed. Not the link of a mail
    from before the consent was ended: whoever asks anew gets another one. And none leads back to an earlier text.

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
    }
    if confirmation.request_id:  # an imported consent stands on no request
        evidence["request_id"] = str(confirmation.request_id)
    text = session.get_one(ConsentText, confirmation.text_id)
    if confirmation.kind == "renewal":
        if consent.state != State.ACTIVE or not may_renew(session, consent, confirmation, text):
            return False
        note(session, consent, Kind.RENEWED, text=text, method="mail_link", now=now, evidence=evidence)
        tell(session, links, consent, "consent.renewed", now)
        return True
    request = find_request(session, confirmation)
    if consent.state != State.PENDING or request is None:
        return False
    evidence["requested_at"] = request.occurred_at.isoformat()
    if taken_back_by := (request.evidence or {}).get("withdrawal_hash"):
        evidence["withdrawal_hash"] = taken_back_by
    note(
        session,
        consent,
        Kind.CONFIRMED,
        text=text,
        method="mail_link",
        now=now,
        evidence=evidence,
        origin=request.origin,
        article_id=request.article_id,
        is_suspect=request.is_suspect,
    )
    welcome_back(session, consent.subscriber.email_hash)
    tell(session, links, consent, "consent.confirmed", now)
    return True


def leave(
    session: Session, links: Links, token: str, *, method: str, is_everything: bool = False, now: datetime
) -> bool:
    """End the consent of a mail's link, or all of the same person; at once, and as often as asked.

    :returns: whether anything changed; the reader is told the same either way.
    """
    consent_id = read_leaving_token(links.keys, token)
    consent = session.get(Consent, consent_id) if consent_id else None
    if consent is None:
        return False
    drop_waiting(session, consent, is_everything=is_everything)
    is_meant = Consent.subscriber_id == consent.subscriber_id if is_everything else Consent.id == consent.id
    # All in one order, so that two presses at once do not wait for each other.
    theirs = select(Consent).where(is_meant).order_by(Consent.id).with_for_update(of=Consent)
    ended = session.scalars(theirs.execution_options(populate_existing=True)).all()
    return sum(withdraw(session, links, each, method=method, now=now) for each in ended) > 0


def drop_waiting(session: Session, consent: Consent, *, is_everything: bool = False) -> None:
    """Drop the sign-ups of a consent's address that no worker decided yet: decided later, they would undo the leaving.

    To be called before the consent is locked: the worker locks a sign-up first, and the consent after it.

    :param is_everything: whether to any text, or to those of the consent's list only.
    """
    waiting = delete(SignUp).where(SignUp.email_hash == consent.subscriber.email_hash)
    if not is_everything:
        same_list = select(ConsentText.id).where(
            ConsentText.site_id == consent.site_id, ConsentText.purpose == consent.purpose
        )
        waiting = waiting.where(SignUp.text_id.in_(same_list))
    session.execute(waiting.execution_options(synchronize_session=False))


def take_back(session: Session, links: Links, withdrawal_key: str, now: datetime) -> bool:
    """End what a page's own sign-up came to: as easy as it was to give.

    That is the sign-up while it waits, and the consent that stands on it: one that is pending stands on the newest sign-up
    that was mailed, whoever made it, and so may be ended by that one's page; one that was confirmed stands on the sign-up
    whose mail was answered, and no other page ends it.

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
    session: Session,
    links: Links,
    consent: Consent,
    *,
    method: str,
    now: datetime,
    actor: str = "reader",
    evidence: Mapping[str, Any] | None = None,
) -> bool:
    """End a consent that is asked for or given (GDPR Art. 7(3)). One that ended is left as it is.

    :param consent: locked by the caller.
    """
    if consent.state not in (State.PENDING, State.ACTIVE):
        return False
    was_active = consent.state == State.ACTIVE
    note(
        session,
        consent,
        Kind.WITHDRAWN,
        text=consent.text,
        method=method,
        now=now,
        actor=actor,
        evidence=evidence,
    )
    drop_unsent(session, consent)
    if was_active:
        tell(session, links, consent, "consent.withdrawn", now)
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


def _sound_origin(header: str | None) -> str | None:
    """The origin in a header that anybody may fill with anything."""
    try:
        return canonical_origin(header or "")
    except InvalidUrl:
        return None
