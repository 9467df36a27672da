"""From events to messages: one for each endpoint that wants to know."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.orm import Session, defer
from uuid_utils.compat import uuid7

from pollsvc.db import insert_into
from pollsvc.outbox.models import OutboxEvent, OutboxMessage, WebhookAcknowledgement, WebhookEndpoint
from pollsvc.outbox.pausing import NEVER, TEST
from pollsvc.outbox.service import EVENT_KINDS

#: What tells an endpoint to forget somebody.
ERASED = "consent.erased"
#: Events in one transaction: on SQLite votes wait for it.
STEP = 100
#: Events that one call sends again.
MOST_REPLAYED = 5_000
#: An erasure removes what waits, but not what is under way, and must not be overtaken by it: no delivery takes so long.
AFTER_DELIVERIES = timedelta(minutes=1)
#: Any number, the same in every process: PostgreSQL's advisory lock of whoever fans out.
_FAN_OUT_LOCK = 7077555


def is_fan_out_due(session: Session) -> bool:
    """Whether an event waits."""
    return session.scalars(_waiting().limit(1)).first() is not None


def fan_out(session: Session, now: datetime) -> bool:
    """Write the messages of the next events. One worker at a time: messages of a lane leave in the order they are written.

    :returns: whether there may be more.
    """
    if session.get_bind().dialect.name == "postgresql":
        lock = select(func.pg_try_advisory_xact_lock(_FAN_OUT_LOCK))
        if not session.scalar(lock):
            return False
    # Before the events: who has an endpoint locked may wait for a consent, and an erasure that has this one for an event.
    endpoints = _endpoints(session)
    # What is locked is being erased.
    events = session.scalars(_waiting().limit(STEP).with_for_update(skip_locked=True)).all()
    if not events:
        return False
    knew = _who_knew(session, endpoints, events)
    wanted = [
        _message(endpoint, event, now, f"webhook {endpoint.id} {event.id}")
        for event in events
        for endpoint in endpoints
        if wants(endpoint, event.kind, event.site_id) or (endpoint.id, event.subject) in knew
    ]
    _write(session, wanted)
    done = update(OutboxEvent).where(OutboxEvent.id.in_([event.id for event in events]))
    session.execute(done.values(is_fanned_out=True).execution_options(synchronize_session=False))
    return len(events) == STEP


def wants(endpoint: WebhookEndpoint, kind: str, site_id: uuid.UUID | None) -> bool:
    """Whether an endpoint is to be told of such an event."""
    return endpoint.site_id in (None, site_id) and takes(endpoint.event_types, kind)


def takes(event_types: Iterable[str], kind: str) -> bool:
    """Whether such an event is for an endpoint with these types. Who hears of persons at all is told to forget one, too."""
    if kind == ERASED:
        return any(each == "*" or each.startswith("consent.") for each in event_types)
    return matches(event_types, kind)


def matches(event_types: Iterable[str], kind: str) -> bool:
    """Whether a kind is among those named one by one, by ``consent.*``, or by ``*``."""
    return bool({kind, kind.partition(".")[0] + ".*", "*"} & set(event_types))


def send_test(session: Session, endpoint: WebhookEndpoint, now: datetime) -> OutboxMessage:
    """Send an endpoint an event that nothing happened for."""
    data = {"endpoint_id": str(endpoint.id), "message": "This is a test of pollsvc's webhooks."}
    message = tell_alone(session, endpoint, TEST, subject=f"webhook:{endpoint.id}", data=data, now=now)
    # It asks whether the endpoint answers, paused or not.
    message.available_at = now
    session.flush()
    return message


def tell_alone(
    session: Session,
    endpoint: WebhookEndpoint,
    kind: str,
    *,
    subject: str,
    data: Mapping[str, Any],
    now: datetime,
) -> OutboxMessage:
    """Tell one endpoint of something, and no other."""
    event = OutboxEvent(
        key=uuid7(),
        kind=kind,
        site_id=endpoint.site_id,
        subject=subject,
        data=orjson.dumps(dict(data)).decode(),
        is_fanned_out=True,
        occurred_at=now,
    )
    session.add(event)
    session.flush()
    message = OutboxMessage(**_message(endpoint, event, now, f"webhook {endpoint.id} {event.id}"))
    session.add(message)
    session.flush()
    return message


def replay(
    session: Session,
    endpoint: WebhookEndpoint,
    *,
    after: OutboxEvent | None,
    since: datetime | None,
    event_types: Sequence[str] | None,
    now: datetime,
) -> tuple[int, uuid.UUID | None]:
    """Send an endpoint again what it was told, or would have been: the events kept, in their order, with their ids.

    :param after: the last event not to send; or None, and
    :param since: the time of the first one.
    :param event_types: of those that the endpoint takes, the ones to send; None for all.
    :returns: how many, and after which event to go on; None at the end.
    """
    kinds = [
        kind
        for kind in EVENT_KINDS
        if takes(endpoint.event_types, kind) and (event_types is None or matches(event_types, kind))
    ]
    told = select(OutboxEvent).options(defer(OutboxEvent.data, raiseload=True))
    kept = told.where(OutboxEvent.kind.in_(kinds), OutboxEvent.is_fanned_out)
    if endpoint.site_id is not None:
        kept = kept.where(OutboxEvent.site_id == endpoint.site_id)
    if after is not None:
        kept = kept.where(OutboxEvent.id > after.id)
    if since is not None:
        kept = kept.where(OutboxEvent.occurred_at >= since)
    # Locked, so that nobody is forgotten between this look and the message; what is locked is being erased.
    kept = kept.order_by(OutboxEvent.id).limit(MOST_REPLAYED + 1)
    found = session.scalars(kept.with_for_update(read=True, skip_locked=True)).all()
    events = found[:MOST_REPLAYED]
    _drop_waiting(session, endpoint, events)
    number = uuid7()
    _write(
        session,
        [_message(endpoint, event, now, f"webhook {endpoint.id} {event.id} {number}") for event in events],
    )
    return len(events), events[-1].key if len(found) > len(events) else None


def _waiting() -> Select[OutboxEvent]:
    # What is told is not looked at here, and need not be decrypted.
    waiting = select(OutboxEvent).options(defer(OutboxEvent.data, raiseload=True))
    return waiting.where(~OutboxEvent.is_fanned_out).order_by(OutboxEvent.id)


def _endpoints(session: Session) -> Sequence[WebhookEndpoint]:
    # Locked: one that is resumed at this moment would leave what we write for a paused one behind.
    return session.scalars(
        select(WebhookEndpoint)
        .where(WebhookEndpoint.removed_at.is_(None))
        .order_by(WebhookEndpoint.id)
        .with_for_update(read=True)
    ).all()


def _who_knew(
    session: Session, endpoints: Sequence[WebhookEndpoint], events: Sequence[OutboxEvent]
) -> set[tuple[uuid.UUID, str]]:
    """By endpoint and subject: who once took something about a person that is erased, whatever it asks for today."""
    known = WebhookAcknowledgement
    subjects = {
        uuid.UUID(event.subject.removeprefix("consent:")): event.subject
        for event in events
        if event.kind == ERASED
    }
    rows = select(known.endpoint_id, known.consent_id).where(
        known.endpoint_id.in_([endpoint.id for endpoint in endpoints]), known.consent_id.in_(list(subjects))
    )
    return {(endpoint_id, subjects[consent_id]) for endpoint_id, consent_id in session.execute(rows)}


def _message(
    endpoint: WebhookEndpoint, event: OutboxEvent, now: datetime, delivery_key: str
) -> dict[str, Any]:
    due = now + AFTER_DELIVERIES if event.kind == ERASED else now
    return {
        "channel": "webhook",
        "kind": event.kind,
        "delivery_key": delivery_key,
        "subject": event.subject,
        "lane": f"webhook {endpoint.id} {event.subject}",
        # Made from the event when it is sent: what was erased there is nowhere else.
        "payload": None,
        "endpoint_id": endpoint.id,
        "event_id": event.id,
        "state": "pending",
        "attempts": 0,
        "available_at": NEVER if endpoint.state == "paused" else due,
        "created_at": now,
    }


def _write(session: Session, messages: Sequence[dict[str, Any]]) -> None:
    if messages:
        row = insert_into(session, OutboxMessage).on_conflict_do_nothing(index_elements=["delivery_key"])
        session.execute(row, messages)


def _drop_waiting(session: Session, endpoint: WebhookEndpoint, events: Sequence[OutboxEvent]) -> None:
    """Take away what still waits of what is sent again: it would arrive before what came before it."""
    waiting = (
        select(OutboxMessage.id)
        .where(
            OutboxMessage.endpoint_id == endpoint.id,
            OutboxMessage.state == "pending",
            OutboxMessage.lease.is_(None),
            OutboxMessage.event_id.in_([event.id for event in events]),
        )
        .with_for_update(skip_locked=True)
    )
    dropped = delete(OutboxMessage).where(OutboxMessage.id.in_(waiting))
    session.execute(dropped.execution_options(synchronize_session=False))
