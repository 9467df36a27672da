"""Endpoints, events and a worker with a clock to be moved, for tests of webhooks."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.config import Settings
from pollsvc.outbox import hooks
from pollsvc.outbox.models import OutboxEvent, OutboxMessage, WebhookEndpoint
from pollsvc.outbox.outgoing import Outgoing
from pollsvc.outbox.service import announce
from pollsvc.worker import Worker

LOOPBACK = frozenset({"127.0.0.1"})
THEN = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


class Clock:
    """The real time, moved by hand. What is signed must be of now, or receivers refuse it."""

    def __init__(self) -> None:
        self.moved = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.moved

    def forward(self, by: timedelta) -> None:
        self.moved += by


@contextmanager
def working(settings: Settings, clock: Clock) -> Iterator[Worker]:
    """A worker that may reach loopback."""
    worker = Worker(dataclasses.replace(settings, private_hosts=LOOPBACK), clock)
    try:
        yield worker
    finally:
        worker.close()


def make_endpoint(
    session: Session,
    url: str = "http://127.0.0.1:1/",
    *,
    event_types: Sequence[str] = ("*",),
    site_id: uuid.UUID | None = None,
    now: datetime = THEN,
) -> WebhookEndpoint:
    """Make an endpoint through the service's own door, and flush."""
    return hooks.make_endpoint(
        session,
        Outgoing(private_hosts=LOOPBACK),
        url=url,
        event_types=event_types,
        description="",
        site_id=site_id,
        actor="test",
        now=now,
    )


def tell(
    session: Session,
    kind: str = "poll.created",
    *,
    subject: str = "poll:1",
    site_id: uuid.UUID | None = None,
    data: Mapping[str, Any] | None = None,
    now: datetime = THEN,
) -> None:
    """Let something happen, and commit."""
    announce(session, kind, site_id=site_id, subject=subject, data=data or {"id": "1"}, now=now)
    session.commit()


def messages(session: Session, endpoint: WebhookEndpoint | None = None) -> list[OutboxMessage]:
    """The webhooks of the outbox as they stand, in the order written."""
    session.rollback()
    session.expire_all()
    found = select(OutboxMessage).where(OutboxMessage.channel == "webhook").order_by(OutboxMessage.id)
    if endpoint is not None:
        found = found.where(OutboxMessage.endpoint_id == endpoint.id)
    return list(session.scalars(found))


def events(session: Session) -> list[OutboxEvent]:
    """The events as they stand, in the order written."""
    session.rollback()
    session.expire_all()
    return list(session.scalars(select(OutboxEvent).order_by(OutboxEvent.id)))


def fresh(session: Session, endpoint: WebhookEndpoint) -> WebhookEndpoint:
    """The endpoint as it stands."""
    session.rollback()
    session.refresh(endpoint)
    return endpoint
