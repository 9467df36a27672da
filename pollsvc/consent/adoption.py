"""Sign-ups of the first release, which asked and never mailed: they become sign-ups like all others, and are asked to confirm.

That release writes an event and a person's row, and no consent. Its event stays as it is; from it comes a sign-up, which the
worker decides, with a confirmation mail and with events of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from pollsvc.consent.models import Consent, ConsentEvent, Kind, SignUp, Subscriber


def adopt(session: Session, event: Mapping[Any, Any], now: datetime) -> bool:
    """Make a sign-up of an event that names no consent.

    To be called once for each event, when it is sealed: that happens once, in the same transaction.

    :param event: the event's columns.
    :returns: whether there was something to adopt.
    """
    if event["consent_id"] is not None or event["kind"] != Kind.REQUESTED or event["article_id"] is None:
        return False
    subscriber_id = event["subscriber_id"]
    of_person = Subscriber.id == subscriber_id
    email_hash = session.scalar(select(Subscriber.email_hash).where(of_person))
    if email_hash is None:
        return False
    session.execute(
        insert(SignUp).values(
            text_id=event["text_id"],
            # As it stands: where no key opens it now, the sign-up waits for one, and the seals do not.
            email=select(Subscriber.email).where(of_person).scalar_subquery(),
            email_hash=email_hash,
            article_id=event["article_id"],
            origin=event["origin"],
            method=event["method"],
            evidence={**(event["evidence"] or {}), "first_event": str(event["id"])},
            is_suspect=event["is_suspect"],
            occurred_at=event["occurred_at"],
            arrived_at=now,
            available_at=now,
        )
    )
    _forget_if_alone(session, subscriber_id, event["id"])
    return True


def _forget_if_alone(session: Session, subscriber_id: uuid.UUID, event_id: uuid.UUID) -> None:
    # The sign-up has the address now: where nothing comes of it, none is left behind.
    has_consent = select(Consent.id).where(Consent.subscriber_id == subscriber_id).exists()
    # Their next event needs the address still. Those before it were adopted: events are sealed in the order of their ids.
    has_more = (
        select(ConsentEvent.id)
        .where(
            ConsentEvent.subscriber_id == subscriber_id,
            ConsentEvent.consent_id.is_(None),
            ConsentEvent.id > event_id,
        )
        .exists()
    )
    session.execute(delete(Subscriber).where(Subscriber.id == subscriber_id, ~has_consent, ~has_more))
