"""Events as they come to lie in the table, sealed or not, and what stands in the mails about them."""

import re
import uuid
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from pollsvc.consent.chain import seal_events
from pollsvc.consent.models import ConsentEvent, ConsentText
from pollsvc.outbox.models import OutboxMessage
from tests.factories import THEN


def happen(session: Session, text: ConsentText, count: int = 1, **changes: Any) -> list[uuid.UUID]:
    """Write events, as the worker's transactions do; give their ids."""
    made = []
    for _ in range(count):
        event = ConsentEvent(
            **{
                "id": uuid7(),
                "kind": "requested",
                "consent_id": uuid7(),
                "subscriber_id": uuid.uuid4(),
                "text_id": text.id,
                "text_hash": text.body_hash,
                "method": "checkbox",
                "evidence": {"control": "checkbox", "default_checked": False, "word": "ü"},
                "is_suspect": False,
                "occurred_at": THEN,
                **changes,
            }
        )
        session.add(event)
        made.append(event.id)
    session.flush()
    return made


def seal_all(session: Session, now: datetime) -> None:
    while seal_events(session, now):
        session.commit()


def letters(session: Session, kind: str = "confirmation") -> list[dict[str, Any]]:
    """Give the letters of a kind that wait in the outbox, oldest first."""
    waiting = select(OutboxMessage).where(OutboxMessage.kind == kind).order_by(OutboxMessage.id)
    return [orjson.loads(message.payload) for message in session.scalars(waiting) if message.payload]


def tokens(session: Session, kind: str = "confirmation") -> list[str]:
    """Give the tokens of the links that confirm, in the letters of a kind."""
    found = [re.search(r"/consent/(.+)", each["params"]["confirm_url"]) for each in letters(session, kind)]
    return [match[1] for match in found if match]
