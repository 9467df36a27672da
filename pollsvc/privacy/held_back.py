"""Webhooks that wait for a paused endpoint are given up in the end: they hold addresses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, case, or_, select, update
from sqlalchemy.orm import Session

from pollsvc.outbox.models import OutboxMessage, WebhookEndpoint

#: Why a webhook was given up.
_PAUSED = "Its endpoint was paused for longer than it is kept."


def held_back() -> Select[*tuple[Any, ...]]:
    """``id`` and ``since`` of what waits for an endpoint that is paused, and would for ever."""
    written, paused, leased = OutboxMessage.created_at, WebhookEndpoint.paused_at, OutboxMessage.leased_until
    # Not over for what is being delivered, as a test may be; but a worker that was killed delivers nothing any more.
    newest = case(
        (and_(leased > written, leased > paused), leased), (written > paused, written), else_=paused
    )
    return (
        select(OutboxMessage.id.label("id"), newest.label("since"))
        .join(WebhookEndpoint, WebhookEndpoint.id == OutboxMessage.endpoint_id)
        .where(WebhookEndpoint.state == "paused", OutboxMessage.state == "pending")
    )


def give_up(session: Session, ids: Sequence[int], now: datetime) -> None:
    """Let go what waited. It is forgotten as everything that was given up is; what did not arrive is still reported."""
    # Locked: what waits for one that is resumed at this moment is sent.
    paused = session.scalars(
        select(WebhookEndpoint.id)
        .where(WebhookEndpoint.state == "paused")
        .order_by(WebhookEndpoint.id)
        .with_for_update(read=True)
    ).all()
    over = update(OutboxMessage).where(
        OutboxMessage.id.in_(ids),
        OutboxMessage.endpoint_id.in_(paused),
        OutboxMessage.state == "pending",
        or_(OutboxMessage.lease.is_(None), OutboxMessage.leased_until <= now),
    )
    dead = over.values(state="dead", reason=_PAUSED, settled_at=now, lease=None, leased_until=None)
    session.execute(dead.execution_options(synchronize_session=False))
