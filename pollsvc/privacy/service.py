"""Forgetting a person (GDPR Art. 17): everything that an address leads to goes, and its keyed hash stays.

Of comments the person may have what is published stay, under nobody's name.

Ballots are not touched, because nothing leads from an address to one. The events of a consent stay too, as proof
(Art. 17(3)(b) and (e)): they name a random number that belongs to nobody any more.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from pollsvc.comments import forgetting
from pollsvc.comments.forgetting import Choice
from pollsvc.consent.addresses import lock_address
from pollsvc.consent.models import (
    Confirmation,
    Consent,
    Kind,
    MailPermit,
    Reason,
    SignUp,
    Subscriber,
)
from pollsvc.consent.states import note
from pollsvc.corrections.models import Correction
from pollsvc.corrections.service import forget_correction
from pollsvc.outbox.service import announce, forget_subject
from pollsvc.privacy.models import DataRequest, Leftover
from pollsvc.privacy.suppressions import suppress
from pollsvc.staff.service import record


@dataclass(frozen=True)
class Erased:
    """What an erasure took away.

    :param message_ids: of mails, whose files the caller deletes once the transaction is committed.
    """

    consents: int = 0
    sign_ups: int = 0
    corrections: int = 0
    comments: int = 0
    message_ids: tuple[str, ...] = ()


def erase_person(
    session: Session,
    email_hash: bytes,
    *,
    method: str,
    actor: str,
    now: datetime,
    choice: Choice = Choice.REMOVE_TEXT,
) -> Erased:
    """Forget whoever has an address, and send it nothing any more. Doing so again changes nothing.

    :param email_hash: the look-up hash of the address.
    :param method: ``staff``, or ``data_page`` where the person did it.
    :param choice: what becomes of their published comments.
    """
    # Whatever else concerns this address waits here, or has happened already and is found below.
    lock_address(session, email_hash)
    sign_ups = _take(session, SignUp, email_hash)
    requests = _take(session, DataRequest, email_hash)
    _take(session, MailPermit, email_hash)
    subscriber_id = session.scalar(select(Subscriber.id).where(Subscriber.email_hash == email_hash))
    consents, message_ids = 0, list[str]()
    if subscriber_id is not None:
        consents, message_ids = forget_subscriber(session, subscriber_id, method=method, actor=actor, now=now)
    theirs = select(Correction.id).where(Correction.email_hash == email_hash).order_by(Correction.id)
    corrections = session.scalars(theirs.with_for_update(of=Correction)).all()
    for correction_id in corrections:
        message_ids += forget_writer(session, correction_id, now)
    # Last: its locks are those that readers wait for.
    comments, files = forgetting.forget_writer(session, email_hash, choice, now)
    message_ids += files
    is_new = suppress(session, email_hash, Reason.ERASED, now)
    if is_new or subscriber_id is not None or sign_ups or requests or corrections or comments:
        leave_over(session, message_ids, now)
        detail = {
            "consents": consents,
            "sign_ups": sign_ups,
            "corrections": len(corrections),
            "comments": comments,
            "choice": choice,
        }
        subject = ("subscriber", subscriber_id or "")
        record(session, actor=actor, action="person.erased", subject=subject, now=now, detail=detail)
    session.flush()
    return Erased(consents, sign_ups, len(corrections), comments, tuple(message_ids))


def erase_writer(
    session: Session, comment_id: uuid.UUID, *, actor: str, now: datetime, choice: Choice
) -> Erased:
    """Forget whoever wrote a comment, in all that they wrote by the same account or in the same browser.

    :raises CommentNotFound: as :func:`pollsvc.comments.forgetting.forget_writer_of`.
    """
    comments, message_ids = forgetting.forget_writer_of(session, comment_id, choice, now)
    leave_over(session, message_ids, now)
    detail = {"comments": comments, "choice": choice}
    # Not which comment: it would say who is meant by "Deleted reader".
    record(session, actor=actor, action="writer.erased", subject=("writer", ""), now=now, detail=detail)
    session.flush()
    return Erased(comments=comments, message_ids=tuple(message_ids))


def forget_subscriber(
    session: Session, subscriber_id: uuid.UUID, *, method: str, actor: str, now: datetime
) -> tuple[int, list[str]]:
    """Delete an address, its consents and all that the outbox holds about it; of each consent the events stay.

    :returns: how many consents there were, and the Message-IDs of mails whose files are still there.
    """
    # Confirmations first: whoever confirms locks them in this order too.
    links = delete(Confirmation).where(Confirmation.subscriber_id == subscriber_id)
    session.execute(links.execution_options(synchronize_session=False))
    theirs = select(Consent).where(Consent.subscriber_id == subscriber_id).order_by(Consent.id)
    consents = session.scalars(
        theirs.with_for_update(of=Consent).execution_options(populate_existing=True)
    ).all()
    # Only now: what whoever had a consent locked wrote about it is there to be found, and links among it.
    session.execute(links.execution_options(synchronize_session=False))
    message_ids = forget_subject(session, f"subscriber:{subscriber_id}")
    for consent in consents:
        note(session, consent, Kind.ERASED, text=consent.text, method=method, now=now, actor=actor)
        # Under a subject of its own, so that it outlives what is forgotten here.
        announce(
            session,
            "consent.erased",
            site_id=consent.site_id,
            subject=f"consent:{consent.id}",
            data={"consent_id": str(consent.id)},
            now=now,
        )
    session.execute(
        delete(Subscriber).where(Subscriber.id == subscriber_id).execution_options(synchronize_session=False)
    )
    return len(consents), message_ids


def forget_writer(session: Session, correction_id: uuid.UUID, now: datetime) -> list[str]:
    """Empty a correction, and drop what the outbox holds about it.

    :param correction_id: of one that is locked by the caller.
    :returns: the Message-IDs of mails whose files are still there.
    """
    forget_correction(session, correction_id, now)
    return forget_subject(session, f"correction:{correction_id}")


def leave_over(session: Session, message_ids: list[str], now: datetime) -> None:
    """Have the worker clear away what is left outside of the tables."""
    session.add(Leftover(message_ids=message_ids, available_at=now, is_last=False))


def _take(
    session: Session, model: type[SignUp] | type[DataRequest] | type[MailPermit], email_hash: bytes
) -> int:
    """Delete what a table holds about an address."""
    gone = delete(model).where(model.email_hash == email_hash).returning(model.email_hash)
    return len(session.scalars(gone.execution_options(synchronize_session=False)).all())
