"""Taking messages out of the outbox: leases, repetition with growing pauses, and giving up."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import ColumnElement, and_, false, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from pollsvc.outbox.acknowledging import note_acknowledged, note_refused
from pollsvc.outbox.models import UNREADABLE, OutboxAttempt, OutboxMessage, WebhookEndpoint
from pollsvc.outbox.pausing import TEST

#: How long a message is kept from others while one worker delivers it. Every transport gives up long before.
LEASE = timedelta(minutes=5)
#: The first pause after a failure, doubled each time, and the longest.
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(hours=6)
#: With these pauses the last attempt comes about three days after the first.
MOST_ATTEMPTS = 28
#: Why an attempt has no answer.
LOST = "The worker ended before the answer came."


class DeliveryFailed(Exception):
    """A message was not taken.

    :param reason: why, for the newsroom. Never with an address or a text in it: servers quote both.
    :param status: the SMTP or HTTP status, where one was answered.
    :param is_final: whether it is of no use to try again.
    :param is_ours: whether it failed on our side, so that it says nothing of who was to get it.
    """

    def __init__(
        self, reason: str, *, status: int | None = None, is_final: bool = False, is_ours: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason, self.status, self.is_final, self.is_ours = reason, status, is_final, is_ours


class Transport(Protocol):
    """Delivers a message of one channel, or gives up, long before the lease ends: within two minutes, whatever is answered."""

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


@dataclass(frozen=True)
class Busy:
    """The endpoints that the deliveries under way go to, so that one which hangs does not keep the others waiting.

    :param full: those that get no further one for now.
    :param begun: those that get one more only if they took the last.
    :param is_last: whether a single place is left, which is for those that took the last.
    """

    full: Collection[uuid.UUID] = ()
    begun: Collection[uuid.UUID] = ()
    is_last: bool = False


def claim(
    session: Session, lease: uuid.UUID, now: datetime, channel: str, busy: Busy = Busy()
) -> OutboxMessage | None:
    """Take the next message that is due, so that nobody else delivers it while we do.

    A message waits for those before it in its lane, and for its endpoint if that is paused or busy. One whose lease ended without
    an answer is taken again, which may deliver it twice; one that took its worker along each time is given up.
    """
    due = (
        select(OutboxMessage)
        .where(*_due(now, channel, busy))
        .order_by(OutboxMessage.available_at, OutboxMessage.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=OutboxMessage)
        .execution_options(populate_existing=True)
    )
    while (message := session.scalar(due)) is not None:
        if message.lease is not None:
            _note_lost(session, message)
        if message.attempts < MOST_ATTEMPTS:
            # Counted before the attempt, so that a message which kills its worker is given up too.
            message.lease, message.leased_until = lease, now + LEASE
            message.attempts += 1
            session.flush()
            return message
        message.state, message.reason, message.settled_at = "dead", LOST, now
        message.lease = message.leased_until = None
        session.flush()
    return None


def _note_lost(session: Session, message: OutboxMessage) -> None:
    assert message.leased_until is not None, "who leases says until when"
    session.add(
        OutboxAttempt(
            message_id=message.id,
            attempted_at=message.leased_until - LEASE,
            outcome="lost",
            status=None,
            reason=LOST,
            milliseconds=0,
        )
    )


def is_due(session: Session, now: datetime, channel: str, busy: Busy = Busy()) -> bool:
    """Whether :func:`claim` would find a message, as far as a look without a lock can tell."""
    return session.scalar(select(OutboxMessage.id).where(*_due(now, channel, busy)).limit(1)) is not None


def count_due(session: Session, now: datetime, channel: str, most: int) -> int:
    """How many messages could be delivered at once, counted up to a bound."""
    due = select(OutboxMessage.id).where(*_due(now, channel, Busy())).limit(most).subquery()
    return session.scalars(select(func.count()).select_from(due)).one()


def first_due(session: Session, now: datetime, channel: str) -> datetime | None:
    """Since when the message has been due that has waited longest; None where none is."""
    return session.scalar(select(func.min(OutboxMessage.available_at)).where(*_due(now, channel, Busy())))


def _due(now: datetime, channel: str, busy: Busy) -> tuple[ColumnElement[bool], ...]:
    earlier = aliased(OutboxMessage)
    is_first = ~(
        select(earlier.id)
        .where(earlier.lane == OutboxMessage.lane, earlier.state == "pending", earlier.id < OutboxMessage.id)
        .exists()
    )
    conditions = (
        OutboxMessage.channel == channel,
        OutboxMessage.state == "pending",
        OutboxMessage.available_at <= now,
        or_(OutboxMessage.leased_until.is_(None), OutboxMessage.leased_until <= now),
        is_first,
    )
    return conditions if channel == "mail" else (*conditions, _endpoint_takes(busy))


def _endpoint_takes(busy: Busy) -> ColumnElement[bool]:
    # Asked once for all messages: a few endpoints, and perhaps many messages that wait for one of them.
    may_fail = false() if busy.is_last else WebhookEndpoint.id.not_in(busy.begun)
    free = and_(WebhookEndpoint.id.not_in(busy.full), or_(WebhookEndpoint.failures == 0, may_fail))
    # What waits for one that was removed is given up by its delivery.
    is_open = or_(WebhookEndpoint.state == "active", WebhookEndpoint.removed_at.is_not(None))
    return or_(
        OutboxMessage.endpoint_id.in_(select(WebhookEndpoint.id).where(free, is_open)),
        and_(
            OutboxMessage.kind == TEST, OutboxMessage.endpoint_id.in_(select(WebhookEndpoint.id).where(free))
        ),
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
        if message.channel == "mail" and failure.reason == UNREADABLE:
            # A lane of its own from now on: it may be tried for days, and nobody's other mail waits for that.
            changes["lane"] = f"unreadable {message.id}"
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
    if message.endpoint_id is None:
        return outcome
    if failure is None:
        note_acknowledged(session, message, now)
    elif not failure.is_ours:
        note_refused(session, message.endpoint_id, failure.reason, failure.status, now)
    return outcome


def pause(attempts: int, chance: float) -> timedelta:
    """How long to wait after so many attempts: twice as long each time, less up to a half by chance."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempts - 1, 30))
    return longest * (1 - chance / 2)
