"""How long each kind of data is kept, and what happens then. The worker heeds the clocks; a command reports them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, delete, func, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from pollsvc.config import Settings
from pollsvc.consent.addresses import lock_address
from pollsvc.consent.expiry import unconfirmed_since
from pollsvc.consent.models import Confirmation, Consent, MailPermit, Reason, SignUp, State, Subscriber
from pollsvc.consent.signing_up import CONFIRM_WITHIN
from pollsvc.corrections.models import Correction
from pollsvc.outbox.models import OutboxEvent, OutboxMessage, WebhookEndpoint
from pollsvc.privacy.models import DataRequest
from pollsvc.privacy.service import forget_subscriber, forget_writer, leave_over
from pollsvc.privacy.suppressions import suppress

#: What waits longer than this to be decided, never will be.
_STUCK = CONFIRM_WITHIN
_DAY = timedelta(days=1)
#: Why a webhook was given up.
_PAUSED = "Its endpoint was paused for longer than it is kept."
#: Rows that one step deletes.
_STEP = 500


@dataclass(frozen=True)
class Clock:
    """How long one kind of data is kept.

    :param kind: what is kept.
    :param begins: what its time counts from.
    :param running: ``id`` and ``since`` of each row whose clock runs.
    """

    kind: str
    begins: str
    keep: timedelta
    running: Select[*tuple[Any, ...]]


@dataclass(frozen=True)
class Heeded(Clock):
    """A clock that :func:`wipe_next` heeds.

    :param wipe: forgets the rows with these ids; those of one step.
    :param step: how many rows that are.
    """

    wipe: Callable[[Session, Sequence[Any], datetime], None]
    step: int = _STEP

    def due(self, session: Session, now: datetime) -> Sequence[Any]:
        """The ids of a step's rows whose time is over."""
        rows = self.running.subquery()
        over = select(rows.c.id).where(rows.c.since <= now - self.keep).order_by(rows.c.since)
        return session.scalars(over.limit(self.step)).all()


@dataclass(frozen=True)
class Reading:
    """How a clock stands.

    :param rows: whose clock runs.
    :param oldest: since when the oldest of them is kept.
    :param overdue: those whose time is over.
    :param delay: by how much the oldest is.
    """

    clock: Clock
    rows: int
    oldest: datetime | None
    overdue: int
    delay: timedelta


def consent_clocks() -> tuple[Clock, ...]:
    """Those that errands of :mod:`pollsvc.consent.expiry` heed: here they are only read."""
    return (
        Clock("sign-ups that nobody confirmed", "asked or mailed", CONFIRM_WITHIN, unconfirmed_since()),
        Clock(
            "consents that nobody renewed",
            "to be renewed",
            timedelta(),
            _rows(Consent.id, Consent.valid_until).where(
                Consent.state == State.ACTIVE, Consent.valid_until.is_not(None)
            ),
        ),
    )


def all_clocks(settings: Settings) -> tuple[Heeded, ...]:
    """Every clock of an installation that the worker heeds by :func:`wipe_next`."""
    mail = timedelta(days=settings.retain_mail_days)
    return (
        Heeded(
            "webhooks that wait for a paused endpoint",
            "written, or the endpoint paused",
            mail,
            _held_back(),
            _give_up,
        ),
        Heeded(
            "mails and webhooks, with their attempts",
            "delivered or given up",
            mail,
            _rows(OutboxMessage.id, OutboxMessage.settled_at).where(OutboxMessage.state != "pending"),
            _deleting(OutboxMessage.id),
        ),
        Heeded(
            "events for webhooks",
            "happened, and every delivery forgotten",
            mail,
            _rows(OutboxEvent.id, OutboxEvent.occurred_at).where(
                OutboxEvent.is_fanned_out,
                ~select(OutboxMessage.id).where(OutboxMessage.event_id == OutboxEvent.id).exists(),
            ),
            _deleting(OutboxEvent.id),
        ),
        Heeded(
            "links that confirm",
            "expired",
            _DAY,
            _rows(Confirmation.token_hash, Confirmation.expires_at),
            _deleting(Confirmation.token_hash),
        ),
        Heeded(
            "counts of mails to an address",
            "mailed",
            _DAY,
            select(MailPermit.permitted_at.label("id"), MailPermit.permitted_at.label("since")),
            _deleting(MailPermit.permitted_at),
        ),
        Heeded(
            "sign-ups not looked at",
            "arrived",
            _STUCK,
            _rows(SignUp.id, SignUp.available_at),
            _deleting(SignUp.id),
        ),
        Heeded(
            "links asked for",
            "arrived",
            _STUCK,
            _rows(DataRequest.id, DataRequest.requested_at),
            _deleting(DataRequest.id),
        ),
        Heeded(
            "what readers wrote in corrections",
            "decided",
            timedelta(days=settings.retain_correction_days),
            _rows(Correction.id, Correction.decided_at).where(
                Correction.status != "new", Correction.erased_at.is_(None)
            ),
            _forget_writers,
            step=20,
        ),
        Heeded(
            "addresses beside their proof",
            "the last consent ended",
            timedelta(days=settings.retain_proof_days),
            _ended_subscribers(),
            _forget_ended,
            step=1,
        ),
    )


def wipe_next(session: Session, clocks: Iterable[Heeded], now: datetime) -> bool:
    """Forget some rows whose time is over.

    :returns: whether there were any.
    """
    for clock in clocks:
        if ids := clock.due(session, now):
            clock.wipe(session, ids, now)
            return True
    return False


def is_any_over(session: Session, clocks: Iterable[Heeded], now: datetime) -> bool:
    """Whether there is anything to forget."""
    return any(clock.due(session, now) for clock in clocks)


def read_clocks(session: Session, clocks: Iterable[Clock], now: datetime) -> list[Reading]:
    """How every clock stands."""
    return [_read(session, clock, now) for clock in clocks]


def _read(session: Session, clock: Clock, now: datetime) -> Reading:
    rows = clock.running.subquery()
    is_over = case((rows.c.since <= now - clock.keep, 1))
    count, oldest, overdue = session.execute(
        select(func.count(), func.min(rows.c.since), func.count(is_over)).select_from(rows)
    ).one()
    delay = max(now - clock.keep - oldest, timedelta()) if oldest else timedelta()
    return Reading(clock, count, oldest, overdue, delay)


def _rows(
    identity: InstrumentedAttribute[Any], since: ColumnElement[Any] | InstrumentedAttribute[Any]
) -> Select[*tuple[Any, ...]]:
    return select(identity.label("id"), since.label("since"))


def _deleting(identity: InstrumentedAttribute[Any]) -> Callable[[Session, Sequence[Any], datetime], None]:
    model: Any = identity.class_

    def wipe(session: Session, ids: Sequence[Any], _now: datetime) -> None:
        session.execute(delete(model).where(identity.in_(ids)).execution_options(synchronize_session=False))

    return wipe


def _held_back() -> Select[*tuple[Any, ...]]:
    """What waits for an endpoint that is paused, and would for ever. Not what is being delivered, as a test may be."""
    is_newer = OutboxMessage.created_at > WebhookEndpoint.paused_at
    return (
        _rows(OutboxMessage.id, case((is_newer, OutboxMessage.created_at), else_=WebhookEndpoint.paused_at))
        .join(WebhookEndpoint, WebhookEndpoint.id == OutboxMessage.endpoint_id)
        .where(
            WebhookEndpoint.state == "paused",
            OutboxMessage.state == "pending",
            OutboxMessage.lease.is_(None),
        )
    )


def _give_up(session: Session, ids: Sequence[int], now: datetime) -> None:
    """Let go what waited. It is forgotten as everything that was given up is; what did not arrive is still reported."""
    # Locked: what waits for one that is resumed at this moment is sent.
    paused = session.scalars(
        select(WebhookEndpoint.id)
        .where(WebhookEndpoint.state == "paused")
        .order_by(WebhookEndpoint.id)
        .with_for_update(read=True)
    ).all()
    held_back = update(OutboxMessage).where(
        OutboxMessage.id.in_(ids),
        OutboxMessage.endpoint_id.in_(paused),
        OutboxMessage.state == "pending",
        OutboxMessage.lease.is_(None),
    )
    dead = held_back.values(state="dead", reason=_PAUSED, settled_at=now)
    session.execute(dead.execution_options(synchronize_session=False))


def _forget_writers(session: Session, ids: Sequence[uuid.UUID], now: datetime) -> None:
    over = select(Correction).where(Correction.id.in_(ids), Correction.erased_at.is_(None))
    # One that an editor has open this moment is for the next time.
    found = session.scalars(over.with_for_update(of=Correction, skip_locked=True)).all()
    files: list[str] = []
    for correction in found:
        files += forget_writer(session, correction, now)
    leave_over(session, files, now)


def _ended_subscribers() -> Select[*tuple[Any, ...]]:
    """The persons of whom no consent stands or waits, and when the last one ended.

    While one stands, the address is needed for it, and tells no more beside the others.
    """
    is_alive = case((Consent.state.in_((State.PENDING, State.ACTIVE)), 1))
    waits = select(SignUp.id).where(SignUp.email_hash == Subscriber.email_hash).exists()
    return (
        select(Subscriber.id.label("id"), func.max(Consent.changed_at).label("since"))
        .join(Consent, Consent.subscriber_id == Subscriber.id)
        .where(~waits)
        .group_by(Subscriber.id)
        .having(func.count(is_alive) == 0)
    )


def _forget_ended(session: Session, ids: Sequence[uuid.UUID], now: datetime) -> None:
    """Forget one person. Who left is not brought back by a list; who only never answered may be."""
    (subscriber_id,) = ids
    hashed = session.scalar(select(Subscriber.email_hash).where(Subscriber.id == subscriber_id))
    if hashed is None:
        return  # another worker was faster
    lock_address(session, hashed)
    rows = _ended_subscribers().where(Subscriber.id == subscriber_id)
    if session.execute(rows).first() is None:
        return  # they came back, or were erased, this moment
    has_left = session.scalar(
        select(Consent.id)
        .where(and_(Consent.subscriber_id == subscriber_id, Consent.state == State.WITHDRAWN))
        .limit(1)
    )
    if has_left is not None:
        suppress(session, hashed, Reason.WITHDRAWN, now)
    _, files = forget_subscriber(session, subscriber_id, method="retention", actor="system", now=now)
    leave_over(session, files, now)
