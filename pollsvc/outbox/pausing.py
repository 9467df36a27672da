"""What waits for an endpoint is put out of the worker's way while that is paused, and let go when it is resumed."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from pollsvc.outbox.models import OutboxMessage

#: When a message is due that waits for a paused endpoint: not found among those that are, until somebody resumes it.
NEVER = datetime(9999, 1, 1, tzinfo=UTC)
#: What an endpoint is sent although it is paused, to see whether it would take it.
TEST = "webhook.test"


def hold_back(session: Session, endpoint_id: uuid.UUID) -> None:
    """Have what waits for an endpoint due never: whoever looks for what is due would walk over it each time."""
    waiting = _waiting(endpoint_id).where(OutboxMessage.kind != TEST)
    held = update(OutboxMessage).where(OutboxMessage.id.in_(waiting)).values(available_at=NEVER)
    session.execute(held.execution_options(synchronize_session=False))


def release(session: Session, endpoint_id: uuid.UUID, now: datetime) -> None:
    """Let go now, from the first attempt on, what waits for an endpoint."""
    waiting = _waiting(endpoint_id)
    freed = update(OutboxMessage).where(OutboxMessage.id.in_(waiting)).values(available_at=now, attempts=0)
    session.execute(freed.execution_options(synchronize_session=False))


def _waiting(endpoint_id: uuid.UUID) -> Select[int]:
    # What is being delivered at this moment is locked, and nobody waits for it: its delivery may wait for the endpoint.
    return (
        select(OutboxMessage.id)
        .where(
            OutboxMessage.endpoint_id == endpoint_id,
            OutboxMessage.state == "pending",
            OutboxMessage.lease.is_(None),
        )
        .with_for_update(skip_locked=True)
    )
