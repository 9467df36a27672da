"""Asking for the link to what is kept about an address. The request only writes a row; the worker looks and mails."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Article, Site
from pollsvc.comments.models import Comment
from pollsvc.consent.addresses import lock_address, permit_mail, when_permitted
from pollsvc.consent.links import DATA_WITHIN, Links
from pollsvc.consent.models import Consent, Reason, Subscriber, Suppression
from pollsvc.corrections.models import Correction
from pollsvc.outbox.service import Letter, new_message_id, post_mail
from pollsvc.privacy.models import DataRequest

#: When a request is looked at again whose address no key opens.
_UNREADABLE_FOR = timedelta(hours=1)


class Answer(StrEnum):
    """What became of a request."""

    MAILED = "mailed"
    DEFERRED = "deferred"
    #: Something is kept, but none of our keys opens the address: it waits for one.
    UNREADABLE = "unreadable"
    #: Nothing is kept about the address, or nothing is sent to it any more.
    UNKNOWN = "unknown"
    #: Another request for the same address waits already.
    REPEATED = "repeated"


@dataclass(frozen=True)
class _Mailbox:
    """Where the link may go, and in whose name."""

    email: str | None
    subject: str
    site: Site
    locale: str
    #: The newest consent, to be left by the mail; None for who only sent a correction or a comment.
    consent_id: uuid.UUID | None = None


def ask_for_link(session: Session, email_hash: bytes, now: datetime) -> None:
    """Write down that somebody asked; the same statement for every address."""
    session.add(DataRequest(email_hash=email_hash, requested_at=now, available_at=now))
    session.flush()


def due_requests(now: datetime) -> Select[uuid.UUID]:
    """The requests that wait, oldest first."""
    return (
        select(DataRequest.id)
        .where(DataRequest.available_at <= now)
        .order_by(DataRequest.available_at, DataRequest.id)
    )


def answer_request(session: Session, links: Links, request_id: uuid.UUID, now: datetime) -> Answer | None:
    """Mail a fresh link to an address that something is kept about, as often as its limit allows.

    :returns: what became of it; None if another worker was faster.
    """
    hashed = session.scalar(select(DataRequest.email_hash).where(DataRequest.id == request_id))
    if hashed is None:
        return None
    lock_address(session, hashed)
    request = session.get(DataRequest, request_id, populate_existing=True, with_for_update=True)
    if request is None:
        return None
    answer = _decide(session, links, request, now)
    if answer not in (Answer.DEFERRED, Answer.UNREADABLE):
        session.delete(request)
    session.flush()
    return answer


def _decide(session: Session, links: Links, request: DataRequest, now: datetime) -> Answer:
    suppression = session.get(Suppression, request.email_hash)
    # Whoever asks for the link, nobody can tell: others could have mail sent to whom nothing is sent.
    if suppression is not None and suppression.reason != Reason.WITHDRAWN:
        return Answer.UNKNOWN
    known = list(_mailboxes(session, request.email_hash))
    if not known:
        return Answer.UNKNOWN
    readable = [(each, each.email) for each in known if each.email is not None]
    if not readable:
        request.available_at = now + _UNREADABLE_FOR
        return Answer.UNREADABLE
    mailbox, email = readable[0]
    if not permit_mail(session, "data_link", request.email_hash, now):
        others = select(DataRequest.id).where(
            DataRequest.email_hash == request.email_hash, DataRequest.id != request.id
        )
        if session.scalar(others.limit(1)) is not None:
            return Answer.REPEATED
        request.available_at = when_permitted(session, "data_link", request.email_hash, now)
        return Answer.DEFERRED
    # One mail answers all that were asked meanwhile.
    session.execute(
        delete(DataRequest)
        .where(DataRequest.email_hash == request.email_hash, DataRequest.id != request.id)
        .execution_options(synchronize_session=False)
    )
    leave_url = links.leave(mailbox.consent_id) if mailbox.consent_id else None
    letter = Letter(
        template="data_link",
        to=email,
        locale=mailbox.locale,
        sender=mailbox.site.name,
        params={
            "site_name": mailbox.site.name,
            "data_url": links.data(request.email_hash, now),
            "days": DATA_WITHIN.days,
            "leave_url": leave_url,
        },
        leave_url=leave_url,
    )
    post_mail(
        session,
        letter,
        subject=mailbox.subject,
        delivery_key=f"data_link {request.id}",
        message_id=new_message_id(links.mail_host),
        now=now,
    )
    return Answer.MAILED


def _mailboxes(session: Session, email_hash: bytes) -> Iterator[_Mailbox]:
    """Where an address is known from: its consents, its corrections, its comments. As it is stored, not as typed."""
    consent = session.scalar(
        select(Consent)
        .join(Subscriber, Subscriber.id == Consent.subscriber_id)
        .where(Subscriber.email_hash == email_hash)
        .order_by(Consent.changed_at.desc())
        .limit(1)
    )
    if consent:
        site = session.get_one(Site, consent.site_id)
        subject = f"subscriber:{consent.subscriber_id}"
        yield _Mailbox(consent.subscriber.email, subject, site, consent.text.locale, consent.id)
    correction = session.scalar(
        select(Correction).where(Correction.email_hash == email_hash).order_by(Correction.id.desc()).limit(1)
    )
    if correction:
        site = correction.article.site
        yield _Mailbox(correction.email, f"correction:{correction.id}", site, site.locale)
    # Of an account there is none to mail to: the publisher's login has it.
    comment = session.scalar(
        select(Comment)
        .where(Comment.email_hash == email_hash, ~Comment.is_account)
        .order_by(Comment.id.desc())
        .limit(1)
    )
    if comment:
        site = session.get_one(Article, comment.article_id).site
        yield _Mailbox(comment.email, f"comment:{comment.id}", site, site.locale)
