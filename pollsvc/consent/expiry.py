"""The clocks of consent: what was never confirmed is forgotten, and what was not renewed ends."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, case, delete, func, select
from sqlalchemy.orm import Session

from pollsvc.consent.addresses import lock_address
from pollsvc.consent.handing_over import hand_over
from pollsvc.consent.links import Links
from pollsvc.consent.models import (
    Confirmation,
    Consent,
    ConsentEvent,
    Kind,
    MailPermit,
    State,
    Subscriber,
)
from pollsvc.consent.signing_up import CONFIRM_WITHIN
from pollsvc.consent.states import note
from pollsvc.outbox.models import OutboxMessage
from pollsvc.outbox.service import announce, forget_subject

#: How many are looked at to pick one of, so that several workers seldom meet.
_CHOICE = 16
_DAY = timedelta(days=1)


def unconfirmed(now: datetime) -> Select[uuid.UUID]:
    """The consents whose confirmation is overdue, oldest first. A link that still works keeps one."""
    still_works = (
        select(Confirmation.token_hash)
        .where(
            Confirmation.subscriber_id == Consent.subscriber_id,
            Confirmation.consent_id == Consent.id,
            Confirmation.kind == "sign_up",
            Confirmation.expires_at > now,
        )
        .exists()
    )
    return (
        select(Consent.id)
        .where(Consent.state == State.PENDING, Consent.changed_at <= now - CONFIRM_WITHIN, ~still_works)
        .order_by(Consent.changed_at)
    )


def unconfirmed_since() -> Select[uuid.UUID, datetime]:
    """The consents that wait to be confirmed, as ``id``, and ``since`` when: the request, or its last mail."""
    mailed = (
        select(func.max(Confirmation.created_at))
        .where(
            Confirmation.subscriber_id == Consent.subscriber_id,
            Confirmation.consent_id == Consent.id,
            Confirmation.kind == "sign_up",
        )
        .scalar_subquery()
    )
    since = case((mailed > Consent.changed_at, mailed), else_=Consent.changed_at)
    return select(Consent.id.label("id"), since.label("since")).where(Consent.state == State.PENDING)


def worn_links(now: datetime) -> Select[bytes]:
    """The links that work no more, used or not."""
    return (
        select(Confirmation.token_hash)
        .where(Confirmation.expires_at <= now)
        .order_by(Confirmation.expires_at)
    )


def unanswered(now: datetime) -> Select[uuid.UUID]:
    """The consents that end unless they are renewed, and were not."""
    return (
        select(Consent.id)
        .where(Consent.valid_until <= now, Consent.state == State.ACTIVE)
        .order_by(Consent.valid_until)
    )


def expire_unconfirmed(session: Session, now: datetime) -> Sequence[str] | None:
    """Forget one sign-up that was not confirmed in time: that it was asked for and ran out stays, and whose it was goes.

    :returns: the Message-IDs of its mails, whose files are to be removed; None if there was nothing to do.
    """
    waiting = session.scalars(unconfirmed(now).limit(_CHOICE)).all()
    if not waiting:
        return None
    return _forget_request(session, random.choice(waiting), now, State.PENDING)  # noqa: S311 (no secret)


def clear_link(session: Session, now: datetime) -> Sequence[str] | None:
    """Delete one link that works no more. A sign-up that was taken back before it was confirmed is forgotten with it.

    :returns: as :func:`expire_unconfirmed`.
    """
    worn = session.scalars(worn_links(now).limit(_CHOICE)).all()
    if not worn:
        return None
    chosen = random.choice(worn)  # noqa: S311 (no secret)
    hashed = session.scalar(
        select(Subscriber.email_hash)
        .join(Confirmation, Confirmation.subscriber_id == Subscriber.id)
        .where(Confirmation.token_hash == chosen)
    )
    # The address before its link, as whoever erases a person locks them: the other way round both would wait in a circle.
    if hashed is not None:
        lock_address(session, hashed)
    link = session.get(Confirmation, chosen, with_for_update={"skip_locked": True})
    if link is None:
        return ()  # another worker has it
    consent = session.get(Consent, link.consent_id)
    session.delete(link)
    session.flush()
    if consent and consent.state == State.WITHDRAWN and not _was_confirmed(session, consent.id):
        return _forget_request(session, consent.id, now, State.WITHDRAWN)
    return ()


def expire_unanswered(session: Session, links: Links, now: datetime, most: int = 50) -> int:
    """End consents that were asked to be renewed, and were not.

    :returns: how many ended.
    """
    due = session.scalars(unanswered(now).limit(most)).all()
    # Looked at again under the lock: one may be renewed at this moment.
    locked = (
        select(Consent)
        .where(Consent.id.in_(due), Consent.valid_until <= now, Consent.state == State.ACTIVE)
        .order_by(Consent.id)
        .with_for_update(of=Consent, skip_locked=True)
        .execution_options(populate_existing=True)
    )
    ended = session.scalars(locked).all() if due else ()
    for consent in ended:
        note(session, consent, Kind.EXPIRED, text=consent.text, method="clock", actor="system", now=now)
        announce(
            session,
            "consent.expired",
            site_id=consent.site_id,
            subject=f"subscriber:{consent.subscriber_id}",
            data=hand_over(links, consent),
            now=now,
        )
    return len(ended)


def _forget_request(session: Session, consent_id: uuid.UUID, now: datetime, state: State) -> Sequence[str]:
    person = session.scalar(
        select(Subscriber)
        .join(Consent, Consent.subscriber_id == Subscriber.id)
        .where(Consent.id == consent_id)
    )
    if person is None:
        return ()
    # As a sign-up is decided: whatever concerns one address happens one after the other.
    lock_address(session, person.email_hash)
    consent = session.get(Consent, consent_id, populate_existing=True, with_for_update={"of": Consent})
    if consent is None or consent.state != state or _has_link(session, consent, now):
        return ()
    evidence: dict[str, object] = {"request_id": str(consent.request_id)} if consent.request_id else {}
    if _was_confirmed(session, consent_id):
        evidence["was_confirmed"] = True
    note(
        session,
        consent,
        Kind.EXPIRED,
        text=consent.text,
        method="clock",
        actor="system",
        now=now,
        evidence=evidence,
    )
    names = _delete_mails(session, consent)
    session.execute(
        delete(MailPermit).where(
            MailPermit.email_hash == person.email_hash, MailPermit.permitted_at <= now - _DAY
        )
    )
    has_more = select(Consent.id).where(Consent.subscriber_id == person.id).limit(1)
    if session.scalar(has_more) is None:
        names = [*names, *forget_subject(session, f"subscriber:{person.id}")]
        session.execute(delete(Confirmation).where(Confirmation.subscriber_id == person.id))
        session.delete(person)
        session.flush()
    return names


def _delete_mails(session: Session, consent: Consent) -> list[str]:
    """Delete the links of a consent, with the mails that they stand in."""
    theirs = delete(Confirmation).where(
        Confirmation.subscriber_id == consent.subscriber_id, Confirmation.consent_id == consent.id
    )
    session.execute(theirs.execution_options(synchronize_session=False))
    sent = select(ConsentEvent.evidence).where(
        ConsentEvent.consent_id == consent.id, ConsentEvent.kind == Kind.CONFIRMATION_SENT
    )
    names = [str(evidence["message_id"]) for evidence in session.scalars(sent) if evidence]
    mails = delete(OutboxMessage).where(
        OutboxMessage.subject == f"subscriber:{consent.subscriber_id}", OutboxMessage.message_id.in_(names)
    )
    session.execute(mails.execution_options(synchronize_session=False))
    return names


def _has_link(session: Session, consent: Consent, now: datetime) -> bool:
    """Whether a link still works that confirms it."""
    works = select(Confirmation.token_hash).where(
        Confirmation.subscriber_id == consent.subscriber_id,
        Confirmation.consent_id == consent.id,
        Confirmation.kind == "sign_up",
        Confirmation.expires_at > now,
    )
    return session.scalar(works.limit(1)) is not None


def _was_confirmed(session: Session, consent_id: uuid.UUID) -> bool:
    given = select(ConsentEvent.id).where(
        ConsentEvent.consent_id == consent_id,
        ConsentEvent.kind.in_([Kind.CONFIRMED, Kind.IMPORTED, Kind.RENEWED]),
    )
    return session.scalar(given.limit(1)) is not None
