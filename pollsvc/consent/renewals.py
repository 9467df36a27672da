"""Asking anew: a text that changed in substance goes to everybody who agreed to an earlier one (EDPB 05/2020 ¶110).

Only where consent in the sense of the GDPR was given, and is asked for: neither a notice nor the mail to an account's own
address can be renewed by an answer, and so neither ends without one. A change of wording asks nobody.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session, aliased

from pollsvc.consent.links import Links
from pollsvc.consent.models import (
    Confirmation,
    Consent,
    ConsentEvent,
    ConsentText,
    Kind,
    Mode,
    State,
    Subscriber,
    Suppression,
)
from pollsvc.consent.states import note
from pollsvc.consent.texts import who_asks
from pollsvc.consent.tokens import new_token, token_hash
from pollsvc.outbox.service import Letter, new_message_id, post_mail

log = structlog.get_logger("pollsvc")

#: Mails in one step. The worker takes one step whenever it looks, so that sign-ups made meanwhile are not kept waiting.
PACE = 100


def to_be_asked(text: ConsentText, material_version: int) -> Select[Consent]:
    """The consents that a text's change asks anew, and that were not asked since they were last given.

    :param text: the site's text in force for the purpose.
    :param material_version: the newest of its versions that changed in substance.
    """
    given = aliased(ConsentText)
    asked = aliased(ConsentText)
    was_asked = (
        select(ConsentEvent.id)
        .join(asked, asked.id == ConsentEvent.text_id)
        .where(
            ConsentEvent.consent_id == Consent.id,
            ConsentEvent.kind == Kind.RENEWAL_SENT,
            ConsentEvent.occurred_at >= Consent.confirmed_at,
            asked.version >= material_version,
        )
        .exists()
    )
    return (
        select(Consent)
        .join(given, given.id == Consent.text_id)
        .where(
            Consent.site_id == text.site_id,
            Consent.state == State.ACTIVE,
            Consent.purpose == text.purpose,
            given.version < material_version,
            given.mode == Mode.EXPLICIT,
            ~was_asked,
            ~_is_suppressed(),
        )
        .order_by(Consent.id)
    )


def _is_suppressed() -> ColumnElement[bool]:
    return (
        select(Suppression.email_hash)
        .join(Subscriber, Subscriber.email_hash == Suppression.email_hash)
        .where(Subscriber.id == Consent.subscriber_id)
        .exists()
    )


def changed_texts(session: Session) -> list[tuple[ConsentText, int]]:
    """The texts in force that changed in substance at some time, each with the version that last did."""
    latest = (
        select(
            ConsentText.site_id,
            ConsentText.purpose,
            func.max(ConsentText.version).label("version"),
            func.max(ConsentText.version).filter(ConsentText.is_material).label("material"),
        )
        .group_by(ConsentText.site_id, ConsentText.purpose)
        .subquery()
    )
    in_force = (
        select(ConsentText, latest.c.material)
        .join(
            latest,
            (ConsentText.site_id == latest.c.site_id)
            & (ConsentText.purpose == latest.c.purpose)
            & (ConsentText.version == latest.c.version),
        )
        # The first version changes nothing, whatever it says of itself.
        .where(latest.c.material > 1, ConsentText.mode == Mode.EXPLICIT)
    )
    return [(text, material) for text, material in session.execute(in_force)]


def is_anybody_to_ask(session: Session) -> bool:
    """Whether :func:`ask_anew` would send anything."""
    return any(
        session.scalars(to_be_asked(text, material).limit(1)).first() is not None
        for text, material in changed_texts(session)
    )


def ask_anew(
    session: Session,
    links: Links,
    *,
    days: int,
    now: datetime,
    most: int = PACE,
    passed: dict[uuid.UUID, uuid.UUID] | None = None,
) -> int:
    """Send the mails that ask for a renewal, so many at the most.

    :param days: to answer in.
    :param passed: the last consent of each text whose address no key opens: they stay due, and the next step begins behind.
    :returns: how many were written.
    """
    sent, passed = 0, {} if passed is None else passed
    for text, material in changed_texts(session):
        due = to_be_asked(text, material).limit(most - sent)
        if text.id in passed:
            due = due.where(Consent.id > passed[text.id])
        locked = due.with_for_update(of=Consent, skip_locked=True).execution_options(populate_existing=True)
        for consent in session.scalars(locked).all():
            # One whose address no key opens must not keep the others waiting.
            if (email := consent.subscriber.email) is None:
                log.warning("renewal unreadable")
                passed[text.id] = consent.id
                continue
            _send_renewal(session, links, consent, text, email, until=now + timedelta(days=days), now=now)
            sent += 1
        if sent >= most:
            break
    return sent


def _send_renewal(
    session: Session,
    links: Links,
    consent: Consent,
    text: ConsentText,
    email: str,
    *,
    until: datetime,
    now: datetime,
) -> None:
    # Asked once more before the first date has passed: a further change does not put it off.
    until = consent.valid_until or until
    token, message_id = new_token(), new_message_id(links.mail_host)
    session.add(
        Confirmation(
            token_hash=token_hash(token),
            consent_id=consent.id,
            subscriber_id=consent.subscriber_id,
            kind="renewal",
            text_id=text.id,
            request_id=consent.request_id,
            message_id=message_id,
            created_at=now,
            expires_at=until,
        )
    )
    event = note(
        session,
        consent,
        Kind.RENEWAL_SENT,
        text=text,
        method="mail",
        now=now,
        actor="system",
        evidence={
            "message_id": message_id,
            "token_hash": token_hash(token).hex(),
            "valid_until": until.isoformat(),
        },
    )
    asking = who_asks(session, text)
    letter = Letter(
        template="renewal",
        to=email,
        locale=text.locale,
        sender=asking,
        params={
            "site_name": asking,
            "consent_body": text.body,
            "controller": asking,
            "contact": text.contact or "",
            "until": f"{until:%Y-%m-%d}",
            "privacy_url": text.privacy_url,
            "confirm_url": links.confirm(token),
            "leave_url": links.leave(consent.id),
            "data_url": links.data(consent.subscriber.email_hash, now),
        },
        leave_url=links.leave(consent.id),
    )
    post_mail(
        session,
        letter,
        subject=f"subscriber:{consent.subscriber_id}",
        delivery_key=f"renewal {event.id}",
        message_id=message_id,
        now=now,
    )
