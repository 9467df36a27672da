"""The clocks of consent: what was never confirmed is forgotten, and what was not renewed ends."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, case, delete, func, select
from sqlalchemy.orm import Session

from pollsvc.consent.addresses import lock_address
from pollsvc.consent.confirming import drop_unsent
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
    """The requests whose confirmation is overdue, oldest first, taken back or not. A link that still works keeps one."""
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
        .where(Consent.confirmed_at.is_(None), Consent.requested_at <= now - CONFIRM_WITHIN, ~still_works)
        .order_by(Consent.requested_at)
    )


def unconfirmed_since() -> Select[uuid.UUID, datetime]:
    """The requests that nobody confirmed, as ``id``, and ``since`` when: the request, or its last mail."""
    mailed = (
        select(func.max(Confirmation.created_at))
        .where(
            Confirmation.subscriber_id == Consent.subscriber_id,
            Confirmation.consent_id == Consent.id,
            Confirmation.kind == "sign_up",
        )
        .scalar_subquery()
    )
    since = case((mailed > Consent.requested_at, mailed), else_=Consent.requested_at)
    return select(Consent.id.label("id"), since.label("since")).where(Consent.confirmed_at.is_(None))


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

    One of somebody who had consented before is taken off what that came to.

    :returns: the Message-IDs of its mails, whose files are to be removed; None if there was nothing to do.
    """
    waiting = session.scalars(unconfirmed(now).limit(_CHOICE)).all()
    if not waiting:
        return None
    return _forget_request(session, random.choice(waiting), now)  # noqa: S311 (no secret)


def clear_link(session: Session, now: datetime) -> bool:
    """Delete one link that works no more.

    :returns: whether there was any.
    """
    worn = session.scalars(worn_links(now).limit(_CHOICE)).all()
    if not worn:
        return False
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
    if link is not None:  # else another worker has it
        session.delete(link)
        session.flush()
    return True


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
        drop_unsent(session, consent)
        announce(
            session,
            "consent.expired",
            site_id=consent.site_id,
            subject=f"subscriber:{consent.subscriber_id}",
            data=hand_over(links, consent),
            now=now,
        )
    return len(ended)


def _forget_request(session: Session, consent_id: uuid.UUID, now: datetime) -> Sequence[str]:
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
    if consent is None or consent.confirmed_at is not None or _has_link(session, consent, now):
        return ()  # it was asked for anew, or confirmed, this moment
    evidence = {"request_id": str(consent.request_id)} if consent.request_id else {}
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
