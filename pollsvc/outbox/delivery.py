"""Taking messages out of the outbox: leases, repetition with growing pauses, and giving up."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session, aliased

from pollsvc.outbox.models import OutboxAttempt, OutboxMessage, WebhookEndpoint

#: How long a message is kept from others while one worker delivers it. Every transport gives up long before.
LEASE = timedelta(minutes=5)
#: The first pause after a failure, doubled each time, and the longest.
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(hours=6)
#: With these pauses the last attempt comes about three days after the first.
MOST_ATTEMPTS = 22


class DeliveryFailed(Exception):
    """A message was not taken.

    :param reason: why, for the newsroom. Never with an address or a text in it: servers quote both.
    :param status: the SMTP or HTTP status, where one was answered.
    :param is_final: whether it is of no use to try again.
    """

    def __init__(self, reason: str, *, status: int | None = None, is_final: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.status, self.is_final = reason, status, is_final


class Transport(Protocol):
    """Delivers a message of one channel, within a minute."""

    def __call__(self, message: OutboxMessage, now: datetime) -> int | None:
        """Deliver.

        :returns: the status that was answered.
        :raises DeliveryFailed: if it was not taken.
        """
        ...


@dataclass(frozen=True)
class Result:
    """How an attempt ended."""

    status: int | None
    failure: DeliveryFailed | None
    milliseconds: int


def claim(session: Session, lease: uuid.UUID, now: datetime, channel: str) -> OutboxMessage | None:
    """Take the next message that is due, so that nobody else delivers it while we do.

    A message waits for those before it in its lane, and for its endpoint if that is paused.
    """
    due = (
        select(OutboxMessage.id)
        .where(*_due(now, channel))
        .order_by(OutboxMessage.available_at, OutboxMessage.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=OutboxMessage)
    )
    number = session.scalar(due)
    if number is None:
        return None
    taken = (
        update(OutboxMessage)
        .where(OutboxMessage.id == number)
        # Counted before the attempt, so that a message which kills its worker is given up too.
        .values(lease=lease, leased_until=now + LEASE, attempts=OutboxMessage.attempts + 1)
        .returning(OutboxMessage)
        .execution_options(populate_existing=True)
    )
    return session.scalars(taken).one()


def is_due(session: Session, now: datetime, channel: str) -> bool:
    """Whether :func:`claim` would find a message, as far as a look without a lock can tell."""
    return session.scalar(select(OutboxMessage.id).where(*_due(now, channel)).limit(1)) is not None


def _due(now: datetime, channel: str) -> tuple[ColumnElement[bool], ...]:
    earlier = aliased(OutboxMessage)
    is_first = ~(
        select(earlier.id)
        .where(earlier.lane == OutboxMessage.lane, earlier.state == "pending", earlier.id < OutboxMessage.id)
        .exists()
    )
    is_paused = (
        select(WebhookEndpoint.id)
        .where(WebhookEndpoint.id == OutboxMessage.endpoint_id, WebhookEndpoint.state == "paused")
        .exists()
    )
    return (
        OutboxMessage.channel == channel,
        OutboxMessage.state == "pending",
        OutboxMessage.available_at <= now,
        or_(OutboxMessage.leased_until.is_(None), OutboxMessage.leased_until <= now),
        is_first,
        ~is_paused,
    )


def settle(
    session: Session, message: OutboxMessage, result: Result, now: datetime, chance: float
) -> str | None:
    """Write down how an attempt ended.

    :param message: as :func:`claim` gave it.
    :param chance: between 0 and 1: how far the pause is moved, so that many do not come back at once.
    :returns: ``delivered``, ``retry`` or ``dead``; None if the lease was lost, and somebody else has it.
    """
    failure = result.failure
    changes: dict[str, object] = {"lease": None, "leased_until": None}
    if failure is None:
        outcome = "delivered"
        changes |= {"state": "delivered", "payload": None, "reason": None, "settled_at": now}
    elif failure.is_final or message.attempts >= MOST_ATTEMPTS:
        outcome = "dead"
        changes |= {"state": "dead", "reason": failure.reason, "settled_at": now}
    else:
        outcome = "retry"
        changes |= {"reason": failure.reason, "available_at": now + pause(message.attempts, chance)}
    ours = update(OutboxMessage).where(OutboxMessage.id == message.id, OutboxMessage.lease == message.lease)
    if not session.execute(ours.values(changes).execution_options(synchronize_session=False)).rowcount:  # type: ignore[attr-defined]
        return None
    session.add(
        OutboxAttempt(
            message_id=message.id,
            attempted_at=now,
            outcome=outcome,
            status=failure.status if failure else result.status,
            reason=failure.reason if failure else None,
            milliseconds=result.milliseconds,
        )
    )
    return outcome


def pause(attempts: int, chance: float) -> timedelta:
    """How long to wait after so many attempts: twice as long each time, less up to a half by chance."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempts - 1, 30))
    return longest * (1 - chance / 2)
