"""What the answers of an endpoint change: what it is known to have, and whether it is still sent to."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

import orjson
from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from pollsvc.db import insert_into
from pollsvc.outbox.models import OutboxEvent, OutboxMessage, WebhookAcknowledgement, WebhookEndpoint
from pollsvc.outbox.pausing import hold_back
from pollsvc.staff.service import record

#: An endpoint is paused after so many failures in a row that lie at least this far apart. The number alone would pause one
#: that restarts while a hundred messages wait; the time alone one that was asked twice in a quiet night.
MOST_FAILURES = 10
FAILING_FOR = timedelta(hours=1)
#: What an owner answers who wants no more (Standard Webhooks).
GONE = 410


def note_acknowledged(session: Session, message: OutboxMessage, now: datetime) -> None:
    """An endpoint answered 2xx: it has what was sent, and earlier failures are over."""
    well = {"failures": 0, "failing_since": None}
    # Only where there is something to reset: a row that each delivery writes would be a queue of its own.
    session.execute(
        update(WebhookEndpoint)
        .where(WebhookEndpoint.id == message.endpoint_id, WebhookEndpoint.failures > 0)
        .values(well)
        .execution_options(synchronize_session=False)
    )
    if message.kind.startswith("consent."):
        _note_consent(session, message, now)


def note_refused(
    session: Session, endpoint_id: uuid.UUID, reason: str, status: int | None, now: datetime
) -> None:
    """An endpoint did not take what was sent. One that goes on so is paused, and what waits for it waits."""
    failed = (
        update(WebhookEndpoint)
        .where(WebhookEndpoint.id == endpoint_id)
        .values(failures=WebhookEndpoint.failures + 1)
        .returning(WebhookEndpoint)
        .execution_options(populate_existing=True)
    )
    endpoint = session.scalars(failed).one()
    endpoint.failing_since = since = endpoint.failing_since or now
    if endpoint.state == "paused" or endpoint.removed_at is not None:
        return
    if status == GONE:
        because = "It answered 410 Gone."
    elif endpoint.failures >= MOST_FAILURES and now - since >= FAILING_FOR:
        because = f"{endpoint.failures} attempts in a row failed. The last one: {reason}"
    else:
        return
    endpoint.state, endpoint.paused_at, endpoint.paused_because = "paused", now, because
    endpoint.version += 1
    hold_back(session, endpoint_id)
    subject = ("webhook", endpoint_id)
    detail = {"because": because}
    record(session, actor="system", action="webhook.paused", subject=subject, now=now, detail=detail)


def _note_consent(session: Session, message: OutboxMessage, now: datetime) -> None:
    event = session.get(OutboxEvent, message.event_id)
    if event is None or event.data is None:
        return
    consent_id = uuid.UUID(orjson.loads(event.data)["consent_id"])
    if event.kind == "consent.erased":
        # Nothing is left to be handed over.
        session.execute(
            delete(WebhookAcknowledgement)
            .where(
                WebhookAcknowledgement.endpoint_id == message.endpoint_id,
                WebhookAcknowledgement.consent_id == consent_id,
            )
            .execution_options(synchronize_session=False)
        )
        return
    row = insert_into(session, WebhookAcknowledgement).values(
        endpoint_id=message.endpoint_id,
        consent_id=consent_id,
        kind=event.kind,
        event_id=event.id,
        occurred_at=event.occurred_at,
        acknowledged_at=now,
    )
    new = row.excluded
    session.execute(
        row.on_conflict_do_update(
            index_elements=["endpoint_id", "consent_id"],
            set_={
                "kind": new.kind,
                "event_id": new.event_id,
                "occurred_at": new.occurred_at,
                "acknowledged_at": new.acknowledged_at,
            },
            # One that is sent again tells nothing newer.
            where=WebhookAcknowledgement.event_id < new.event_id,
        )
    )
