"""What became of what an endpoint was sent."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import Session

from pollsvc.outbox.models import OutboxAttempt, OutboxEvent, OutboxMessage
from pollsvc.outbox.pausing import NEVER

_HIGHEST = 2**63 - 1


def list_deliveries(
    endpoint_id: uuid.UUID, state: str | None = None, before: int = _HIGHEST
) -> Select[OutboxMessage]:
    """What an endpoint was sent, and what waits for it, newest first.

    :param before: the number of the last message of the page before.
    """
    # Written as a range of the index over both. Told `endpoint_id = …`, PostgreSQL also considers to walk the whole table
    # from its end, and does, where the endpoint's own messages may all lie at its beginning.
    place = tuple_(OutboxMessage.endpoint_id, OutboxMessage.id)
    messages = (
        select(OutboxMessage)
        .where(OutboxMessage.endpoint_id >= endpoint_id, place < (endpoint_id, before))
        .order_by(OutboxMessage.endpoint_id.desc(), OutboxMessage.id.desc())
    )
    return messages.where(OutboxMessage.state == state) if state else messages


def deliveries_of(session: Session, messages: Sequence[OutboxMessage]) -> list[dict[str, Any]]:
    """Messages with their ``webhook-id`` and what became of each attempt."""
    numbers = [message.id for message in messages]
    numbered = select(OutboxEvent.id, OutboxEvent.key).where(
        OutboxEvent.id.in_([message.event_id for message in messages])
    )
    keys = {row.id: row.key for row in session.execute(numbered)}
    attempts: dict[int, list[OutboxAttempt]] = {number: [] for number in numbers}
    made = select(OutboxAttempt).where(OutboxAttempt.message_id.in_(numbers)).order_by(OutboxAttempt.id)
    for attempt in session.scalars(made):
        attempts[attempt.message_id].append(attempt)
    return [
        {
            "id": message.id,
            "webhook_id": keys.get(message.event_id or 0),
            "kind": message.kind,
            "state": message.state,
            "attempts": message.attempts,
            "status": attempts[message.id][-1].status if attempts[message.id] else None,
            "reason": message.reason,
            "created_at": message.created_at,
            "next_attempt_at": message.available_at
            if message.state == "pending" and message.available_at < NEVER
            else None,
            "settled_at": message.settled_at,
            "log": attempts[message.id],
        }
        for message in messages
    ]
