"""What is kept about a person, for that person (GDPR Art. 15)."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from pollsvc.consent.models import (
    Consent,
    ConsentEvent,
    ConsentText,
    Mode,
    SignUp,
    Subscriber,
    Suppression,
)
from pollsvc.corrections.models import Correction
from pollsvc.outbox.hooks import host_of
from pollsvc.outbox.models import OutboxMessage, WebhookAcknowledgement, WebhookEndpoint
from pollsvc.privacy.comments import describe_bans, describe_comments

#: Why no vote is among it.
BALLOTS = (
    "Votes are kept without a name and without an address, under a key that is made anew for each poll. Nothing leads from "
    "your address to a vote, so that none can be shown or erased here."
)


def describe_person(session: Session, email_hash: bytes, now: datetime) -> dict[str, Any]:
    """Everything that an address leads to, ready to be written as JSON; the same keys where there is nothing.

    Notes that the newsroom keeps for itself are not among it: they may name others.
    """
    subscriber = session.scalar(select(Subscriber).where(Subscriber.email_hash == email_hash))
    corrections = session.scalars(
        select(Correction).where(Correction.email_hash == email_hash).order_by(Correction.id)
    ).all()
    comments = describe_comments(session, email_hash)
    subjects = [f"correction:{each.id}" for each in corrections]
    subjects += [f"comment:{each['id']}" for each in comments]
    suppression = session.get(Suppression, email_hash)
    return {
        "generated_at": now.isoformat(),
        "email": subscriber.email if subscriber else None,
        **_consents(session, subscriber),
        "recipients": _recipients(session, subscriber) if subscriber else [],
        "sign_ups": _sign_ups(session, email_hash),
        "corrections": [_correction(each) for each in corrections],
        "comments": comments,
        "comment_bans": describe_bans(session, email_hash),
        "mails": _mails(session, subscriber, subjects),
        "suppression": {"reason": suppression.reason, "since": suppression.since.isoformat()}
        if suppression
        else None,
        "ballots": BALLOTS,
    }


def _consents(session: Session, subscriber: Subscriber | None) -> dict[str, list[dict[str, Any]]]:
    """How each consent stands and what happened to it; and what happened to those of which nothing else is left."""
    if subscriber is None:
        return {"consents": [], "former_consents": []}
    consents = session.scalars(
        select(Consent)
        .where(Consent.subscriber_id == subscriber.id)
        .options(joinedload(Consent.text))
        .order_by(Consent.id)
    ).all()
    events = session.scalars(
        select(ConsentEvent)
        .where(ConsentEvent.subscriber_id == subscriber.id)
        .options(joinedload(ConsentEvent.text), joinedload(ConsentEvent.article))
        .order_by(ConsentEvent.id)
    ).all()
    happened: dict[uuid.UUID | None, list[dict[str, Any]]] = {}
    for event in events:
        happened.setdefault(event.consent_id, []).append(_event(event))
    standing = [
        {
            "id": str(consent.id),
            "purpose": consent.purpose,
            "state": consent.state,
            "requested_at": consent.requested_at.isoformat(),
            "confirmed_at": _time(consent.confirmed_at),
            "changed_at": consent.changed_at.isoformat(),
            "valid_until": _time(consent.valid_until),
            "text": _text(consent.text),
            "events": happened.pop(consent.id, []),
        }
        for consent in consents
    ]
    former = [{"id": str(lost) if lost else None, "events": theirs} for lost, theirs in happened.items()]
    return {"consents": standing, "former_consents": former}


def _recipients(session: Session, subscriber: Subscriber) -> list[dict[str, Any]]:
    """The systems that took what they were told of a consent (Art. 15(1)(c)). By their hosts: an address may hold a secret."""
    taken = session.execute(
        select(WebhookEndpoint.url, WebhookAcknowledgement)
        .join(WebhookEndpoint, WebhookEndpoint.id == WebhookAcknowledgement.endpoint_id)
        .join(Consent, Consent.id == WebhookAcknowledgement.consent_id)
        .where(Consent.subscriber_id == subscriber.id)
        .order_by(WebhookAcknowledgement.consent_id, WebhookAcknowledgement.endpoint_id)
    )
    return [
        {
            "host": host_of(url),
            "consent_id": str(acknowledgement.consent_id),
            "kind": acknowledgement.kind,
            "taken_at": acknowledgement.acknowledged_at.isoformat(),
        }
        for url, acknowledgement in taken
    ]


def _event(event: ConsentEvent) -> dict[str, Any]:
    return {
        "kind": event.kind,
        "occurred_at": event.occurred_at.isoformat(),
        "method": event.method,
        "article_url": event.article.url if event.article else None,
        "origin": event.origin,
        "text": _text(event.text),
    }


def _text(text: ConsentText) -> dict[str, Any]:
    return {
        "id": str(text.id),
        "version": text.version,
        "mode": text.mode,
        "is_gdpr_consent": text.mode == Mode.EXPLICIT,
        "body": text.body,
        "hash": text.body_hash.hex(),
        "controller": text.controller,
        "contact": text.contact,
        "privacy_url": text.privacy_url,
        "privacy_version": text.privacy_version,
        "terms_url": text.terms_url,
        "terms_version": text.terms_version,
    }


def _sign_ups(session: Session, email_hash: bytes) -> list[dict[str, Any]]:
    """Those that wait to be looked at, or for the next mail to be allowed."""
    waiting = session.scalars(
        select(SignUp).where(SignUp.email_hash == email_hash).order_by(SignUp.occurred_at)
    ).all()
    return [
        {
            "email": each.email,
            "occurred_at": each.occurred_at.isoformat(),
            "article_url": each.article.url,
            "origin": each.origin,
            "text": _text(each.text),
        }
        for each in waiting
    ]


def _correction(correction: Correction) -> dict[str, Any]:
    return {
        "reference": correction.reference,
        "article_url": correction.article_url,
        "name": correction.name,
        "email": correction.email,
        "message": correction.message,
        "quote": correction.quote,
        "status": correction.status,
        "created_at": correction.created_at.isoformat(),
        "decided_at": _time(correction.decided_at),
    }


def _mails(session: Session, subscriber: Subscriber | None, subjects: list[str]) -> list[dict[str, Any]]:
    """What was sent, or waits to be: mails, and events that the publisher's systems are told of."""
    if subscriber:
        subjects = [*subjects, f"subscriber:{subscriber.id}"]
    messages = session.scalars(
        select(OutboxMessage).where(OutboxMessage.subject.in_(subjects)).order_by(OutboxMessage.id)
    ).all()
    return [
        {
            "channel": each.channel,
            "kind": each.kind,
            "state": each.state,
            "created_at": each.created_at.isoformat(),
            "settled_at": _time(each.settled_at),
        }
        for each in messages
    ]


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
