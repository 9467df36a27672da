"""Addresses that nothing is sent to any more: known by their keyed hash only, so that they can be kept for ever."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from pollsvc.comments.models import Comment
from pollsvc.consent.addresses import lock_address
from pollsvc.consent.handing_over import hand_over
from pollsvc.consent.links import Links
from pollsvc.consent.models import Consent, Kind, Reason, State, Subscriber, Suppression
from pollsvc.consent.states import note
from pollsvc.corrections.models import Correction
from pollsvc.outbox.models import OutboxMessage
from pollsvc.outbox.service import announce
from pollsvc.staff.service import record

#: A reason gives way to one further right.
_STRENGTH = (Reason.WITHDRAWN, Reason.OBJECTED, Reason.ERASED)


def suppress(session: Session, email_hash: bytes, reason: Reason, now: datetime) -> bool:
    """Send nothing to an address any more.

    :param email_hash: of an address that the caller has locked.
    :returns: whether that is new; a reason never gives way to a weaker one.
    """
    known = session.get(Suppression, email_hash, populate_existing=True)
    if known is None:
        session.add(Suppression(email_hash=email_hash, reason=reason, since=now))
        session.flush()
        return True
    if _STRENGTH.index(Reason(known.reason)) >= _STRENGTH.index(reason):
        return False
    known.reason, known.since = reason, now
    session.flush()
    return True


def suppress_address(session: Session, links: Links, email_hash: bytes, *, actor: str, now: datetime) -> bool:
    """Send nothing to an address any more because its owner told the newsroom so; what it agreed to ends.

    :returns: whether anything changed.
    """
    lock_address(session, email_hash)
    ended = [consent for consent in _locked_consents(session, email_hash) if _is_alive(consent)]
    for consent in ended:
        was_active = consent.state == State.ACTIVE
        note(session, consent, Kind.SUPPRESSED, text=consent.text, method="staff", now=now, actor=actor)
        if was_active:
            subject = f"subscriber:{consent.subscriber_id}"
            data = hand_over(links, consent)
            announce(
                session, "consent.withdrawn", site_id=consent.site_id, subject=subject, data=data, now=now
            )
    _drop_unsent_mails(session, email_hash)
    is_new = suppress(session, email_hash, Reason.OBJECTED, now)
    if not (is_new or ended):
        return False
    detail = {"consents": len(ended)}
    record(session, actor=actor, action="address.suppressed", subject=("address", ""), now=now, detail=detail)
    return True


def _drop_unsent_mails(session: Session, email_hash: bytes) -> None:
    """Delete what was written to an address and has not left; what was given up too, which could be sent again by hand."""
    people = session.scalars(select(Subscriber.id).where(Subscriber.email_hash == email_hash))
    reports = session.scalars(select(Correction.id).where(Correction.email_hash == email_hash))
    comments = session.scalars(select(Comment.id).where(Comment.email_hash == email_hash))
    subjects = [
        *(f"subscriber:{each}" for each in people),
        *(f"correction:{each}" for each in reports),
        *(f"comment:{each}" for each in comments),
    ]
    unsent = delete(OutboxMessage).where(
        OutboxMessage.subject.in_(subjects),
        OutboxMessage.channel == "mail",
        OutboxMessage.state.in_(["pending", "dead"]),
        # A correction's other mail goes to the desk.
        or_(OutboxMessage.subject.startswith("subscriber:"), OutboxMessage.kind == "data_link"),
    )
    session.execute(unsent.execution_options(synchronize_session=False))


def find_suppression(session: Session, email_hash: bytes, *, actor: str, now: datetime) -> Suppression | None:
    """Whether, why and since when nothing is sent to an address. That somebody looked leaves an audit row."""
    record(session, actor=actor, action="suppressions.searched", subject=("address", ""), now=now)
    return session.get(Suppression, email_hash)


def release_address(session: Session, email_hash: bytes, *, actor: str, now: datetime) -> bool:
    """Let an address be mailed to again: its owner asked for it. It still has to sign up, and to confirm.

    :returns: whether it was suppressed.
    """
    lock_address(session, email_hash)
    known = session.get(Suppression, email_hash, populate_existing=True)
    if known is None:
        return False
    reason = known.reason
    session.delete(known)
    for consent in _locked_consents(session, email_hash):
        note(session, consent, Kind.RELEASED, text=consent.text, method="staff", now=now, actor=actor)
    detail = {"reason": reason}
    record(session, actor=actor, action="address.released", subject=("address", ""), now=now, detail=detail)
    session.flush()
    return True


def _is_alive(consent: Consent) -> bool:
    return consent.state in (State.PENDING, State.ACTIVE)


def _locked_consents(session: Session, email_hash: bytes) -> list[Consent]:
    theirs = (
        select(Consent)
        .join(Subscriber, Subscriber.id == Consent.subscriber_id)
        .where(Subscriber.email_hash == email_hash)
        .order_by(Consent.id)
    )
    return list(session.scalars(theirs.with_for_update(of=Consent).execution_options(populate_existing=True)))
