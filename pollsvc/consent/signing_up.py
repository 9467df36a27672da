"""What becomes of a sign-up: the worker looks its address up, and decides whether a mail may go there.

Nothing of this runs in the reader's request, so that neither its answer nor its time tells whose address it is.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from pollsvc.consent.addresses import is_disposable, lock_address, permit_mail, when_permitted
from pollsvc.consent.handing_over import tell
from pollsvc.consent.links import Links
from pollsvc.consent.models import (
    Confirmation,
    Consent,
    ConsentEvent,
    Kind,
    Mode,
    Reason,
    SignUp,
    State,
    Subscriber,
    Suppression,
)
from pollsvc.consent.receipts import FILE_NAME, write_receipt
from pollsvc.consent.states import new_consent, note
from pollsvc.consent.texts import who_asks
from pollsvc.consent.tokens import new_token, token_hash
from pollsvc.outbox.service import Letter, drop_waiting_mails, new_message_id, post_mail

#: How long a link that confirms works; after that the request's personal data is wiped.
CONFIRM_WITHIN = timedelta(days=7)
#: When a sign-up that no key opens is looked at again.
_UNREADABLE_FOR = timedelta(hours=1)


class Outcome(StrEnum):
    """What became of a sign-up."""

    MAILED = "mailed"
    ACTIVATED = "activated"
    DEFERRED = "deferred"
    #: None of our keys opens its address: it waits for one.
    UNREADABLE = "unreadable"
    ALREADY_ACTIVE = "already_active"
    ALREADY_MAILED = "already_mailed"
    SUPPRESSED = "suppressed"
    DISPOSABLE = "disposable"


@dataclass(frozen=True)
class Desk:
    """What sign-ups are decided with.

    :param disposable_domains: whose addresses get no mail.
    """

    links: Links
    disposable_domains: frozenset[str] = frozenset()


def due_sign_ups(now: datetime, email_hash: bytes | None = None) -> Select[SignUp]:
    """The sign-ups that wait, oldest first; all of an address where one is given."""
    waiting = select(SignUp).order_by(SignUp.available_at, SignUp.id)
    if email_hash is not None:
        return waiting.where(SignUp.email_hash == email_hash)
    return waiting.where(SignUp.available_at <= now)


def process_sign_up(session: Session, desk: Desk, sign_up_id: uuid.UUID, now: datetime) -> Outcome | None:
    """Decide a sign-up, in one transaction with everything that comes of it.

    :returns: what became of it; None if another worker was faster.
    """
    hashed = session.scalar(select(SignUp.email_hash).where(SignUp.id == sign_up_id))
    if hashed is None:
        return None
    # Whatever concerns one address happens one after the other: new rows, the limit, the mail.
    lock_address(session, hashed)
    sign_up = session.get(SignUp, sign_up_id, populate_existing=True, with_for_update={"of": SignUp})
    if sign_up is None:
        return None
    if sign_up.email is None:
        sign_up.available_at = now + _UNREADABLE_FOR
        return Outcome.UNREADABLE
    outcome = _decide(session, desk, sign_up, sign_up.email, now)
    if outcome != Outcome.DEFERRED:
        session.delete(sign_up)
    session.flush()
    return outcome


def _decide(session: Session, desk: Desk, sign_up: SignUp, email: str, now: datetime) -> Outcome:
    if refusal := _refusal(session, desk, sign_up.email_hash, email):
        return refusal
    subscriber = session.scalar(select(Subscriber).where(Subscriber.email_hash == sign_up.email_hash))
    if subscriber is not None and subscriber.email is None:
        # No key opens what was stored, and this is the same address.
        subscriber.email = email
    consent = _find_consent(session, subscriber, sign_up)
    if consent and consent.state == State.ACTIVE:
        return Outcome.ALREADY_ACTIVE
    has_account = sign_up.text.mode == Mode.SOFT_OPT_IN
    if not has_account and not permit_mail(session, "confirmation", sign_up.email_hash, now):
        if consent and consent.state == State.PENDING:
            # The mail is on its way, or in the mailbox.
            return Outcome.ALREADY_MAILED
        sign_up.available_at = when_permitted(session, "confirmation", sign_up.email_hash, now)
        return Outcome.DEFERRED
    if subscriber is None:
        subscriber = Subscriber(id=uuid.uuid4(), email=email, email_hash=sign_up.email_hash)
        session.add(subscriber)
        session.flush()
    consent = _request(session, subscriber, consent, sign_up)
    if has_account:
        note(session, consent, Kind.CONFIRMED, text=sign_up.text, method="account", now=now)
        welcome_back(session, sign_up.email_hash)
        tell(session, desk.links, consent, "consent.confirmed", now)
        return Outcome.ACTIVATED
    # As it is stored: spelled with other capitals it may be another's mailbox, and the hash is the same.
    send_confirmation(session, desk.links, consent, subscriber.email or email, now, method=sign_up.method)
    return Outcome.MAILED


def _refusal(session: Session, desk: Desk, email_hash: bytes, email: str) -> Outcome | None:
    """Why nothing is ever sent to this address."""
    suppression = session.get(Suppression, email_hash)
    # Who left may come back: the link that confirms goes to the mailbox and nowhere else.
    if suppression is not None and suppression.reason != Reason.WITHDRAWN:
        return Outcome.SUPPRESSED
    if is_disposable(email, desk.disposable_domains):
        return Outcome.DISPOSABLE
    return None


def _find_consent(session: Session, subscriber: Subscriber | None, sign_up: SignUp) -> Consent | None:
    if subscriber is None:
        return None
    return session.scalar(
        select(Consent)
        .where(
            Consent.subscriber_id == subscriber.id,
            Consent.site_id == sign_up.text.site_id,
            Consent.purpose == sign_up.text.purpose,
        )
        .with_for_update(of=Consent)
    )


def _request(session: Session, subscriber: Subscriber, consent: Consent | None, sign_up: SignUp) -> Consent:
    evidence = {**sign_up.evidence, "request_id": str(sign_up.id)}
    if sign_up.withdrawal_hash:
        evidence["withdrawal_hash"] = sign_up.withdrawal_hash.hex()
    if consent is None:
        first = ConsentEvent(
            consent_id=sign_up.id,
            subscriber_id=subscriber.id,
            text_id=sign_up.text_id,
            occurred_at=sign_up.occurred_at,
            is_suspect=sign_up.is_suspect,
        )
        consent = new_consent(first, sign_up.text)
        session.add(consent)
    note(
        session,
        consent,
        Kind.REQUESTED,
        text=sign_up.text,
        method=sign_up.method,
        now=sign_up.occurred_at,
        evidence=evidence,
        origin=sign_up.origin,
        article_id=sign_up.article_id,
        is_suspect=sign_up.is_suspect,
    )
    return consent


def welcome_back(session: Session, email_hash: bytes) -> None:
    """Forget that an address had left: its owner confirmed anew."""
    left = delete(Suppression).where(
        Suppression.email_hash == email_hash, Suppression.reason == Reason.WITHDRAWN
    )
    session.execute(left.execution_options(synchronize_session=False))


def send_confirmation(
    session: Session, links: Links, consent: Consent, email: str, now: datetime, *, method: str = "checkbox"
) -> None:
    """Write the mail whose link confirms a request, with its receipt, and the event that it was sent.

    It takes the place of one about the same consent that still waits.

    :param method: how it was asked for.
    """
    subject = f"subscriber:{consent.subscriber_id}"
    # While the mail server is away several would wait, and leave at once.
    earlier = select(Confirmation.message_id).where(
        Confirmation.subscriber_id == consent.subscriber_id, Confirmation.consent_id == consent.id
    )
    drop_waiting_mails(session, "confirmation", subject=subject, message_ids=earlier)
    consent_text = consent.text
    token, message_id = new_token(), new_message_id(links.mail_host)
    session.add(
        Confirmation(
            token_hash=token_hash(token),
            consent_id=consent.id,
            subscriber_id=consent.subscriber_id,
            kind="sign_up",
            text_id=consent_text.id,
            request_id=consent.request_id,
            message_id=message_id,
            created_at=now,
            expires_at=now + CONFIRM_WITHIN,
        )
    )
    event = note(
        session,
        consent,
        Kind.CONFIRMATION_SENT,
        text=consent_text,
        method="mail",
        now=now,
        actor="system",
        evidence={"message_id": message_id, "token_hash": token_hash(token).hex()},
    )
    receipt = write_receipt(links.keys, consent, leave_url=links.leave(consent.id), method=method, now=now)
    asking = who_asks(session, consent_text)
    letter = Letter(
        template="confirmation",
        to=email,
        locale=consent_text.locale,
        sender=asking,
        params={
            "site_name": asking,
            "consent_body": consent_text.body,
            "controller": asking,
            "contact": consent_text.contact or "",
            "confirm_url": links.confirm(token),
            "leave_url": links.leave(consent.id),
            "data_url": links.data(consent.subscriber.email_hash, now),
        },
        leave_url=links.leave(consent.id),
        attachments=({"name": FILE_NAME, "type": "application/json", "content": receipt},),
    )
    post_mail(
        session,
        letter,
        subject=subject,
        delivery_key=f"confirmation {event.id}",
        message_id=message_id,
        now=now,
    )
