"""Messages of the outbox, for tests to deliver."""

import dataclasses
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.outbox.models import OutboxMessage
from pollsvc.outbox.service import Letter, new_message_id, post_mail
from tests.conftest import NOW

PARAMS = {
    "site_name": "The Harbour Gazette",
    "consent_body": "Yes, send me the newsletter.",
    "controller": "Harbour Press Ltd",
    "contact": "privacy@news.example",
    "confirm_url": "https://polls.example/consent/abc",
    "leave_url": "https://polls.example/unsubscribe/" + "t" * 120,
    "data_url": "https://polls.example/data/def",
}
LETTER = Letter(
    template="confirmation",
    to="ada@reader.example",
    locale="en",
    sender="The Harbour Gazette",
    params=PARAMS,
    leave_url=PARAMS["leave_url"],
)


def make_mail(
    session: Session,
    number: int = 1,
    *,
    subject: str | None = None,
    now: datetime = NOW,
    state: dict[str, Any] | None = None,
    **changes: Any,
) -> OutboxMessage:
    """Write the mail of this number; `changes` are of the letter, `state` of the row."""
    letter = dataclasses.replace(LETTER, **changes)
    key = f"test {number}"
    post_mail(
        session,
        letter,
        subject=subject or f"subscriber:{number}",
        delivery_key=key,
        message_id=new_message_id("polls.example"),
        now=now,
    )
    message = session.scalars(select(OutboxMessage).where(OutboxMessage.delivery_key == key)).one()
    for name, value in (state or {}).items():
        setattr(message, name, value)
    session.flush()
    return message


def unsaved(**changes: Any) -> OutboxMessage:
    """A mail as a worker holds it, that no database knows."""
    letter = dataclasses.asdict(dataclasses.replace(LETTER, **changes))
    return OutboxMessage(
        kind="confirmation",
        payload=orjson.dumps(letter).decode(),
        message_id="<0123456789abcdef0123456789abcdef@polls.example>",
        created_at=NOW,
        attempts=1,
    )
