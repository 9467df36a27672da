"""How long each kind of data is kept, and what happens then. The worker heeds the clocks; a command reports them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, case, delete, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from pollsvc.comments.forgetting import (
    ended_bans,
    forget_reports,
    forget_taken_away,
    settled_reports,
    taken_away,
)
from pollsvc.comments.models import Comment
from pollsvc.comments.policy_models import Ban
from pollsvc.config import Settings
from pollsvc.consent.addresses import lock_address, lock_addresses
from pollsvc.consent.expiry import unconfirmed_since
from pollsvc.consent.models import Confirmation, Consent, MailPermit, Reason, SignUp, State, Subscriber
from pollsvc.consent.signing_up import CONFIRM_WITHIN
from pollsvc.corrections.models import Correction
from pollsvc.outbox.models import OutboxEvent, OutboxMessage
from pollsvc.privacy.clocks import Clock, Heeded
from pollsvc.privacy.held_back import give_up, held_back
from pollsvc.privacy.models import DataRequest
from pollsvc.privacy.service import forget_subscriber, forget_writer, leave_over
from pollsvc.privacy.suppressions import suppress

#: What waits longer than this to be decided, never will be.
_STUCK = CONFIRM_WITHIN
_DAY = timedelta(days=1)


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
            held_back(),
            give_up,
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
            _rows(SignUp.id, SignUp.arrived_at),
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
            "what readers wrote in comments",
            "removed, rejected or marked as spam",
            timedelta(days=settings.retain_comment_days),
            taken_away(),
            _forget_comments,
            step=20,
        ),
        Heeded(
            "reports of comments",
            "the comment decided or taken back",
            timedelta(days=settings.retain_comment_days),
            settled_reports(),
            lambda session, ids, _now: forget_reports(session, ids),
        ),
        Heeded(
            "bans of writers",
            "ended or lifted",
            timedelta(days=settings.retain_comment_days),
            ended_bans(Ban.writer_key),
            _deleting(Ban.id),
        ),
        Heeded(
            "bans of addresses",
            "ended or lifted",
            _DAY,
            ended_bans(Ban.email_hash),
            _deleting(Ban.id),
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


def _rows(
    identity: InstrumentedAttribute[Any], since: ColumnElement[Any] | InstrumentedAttribute[Any]
) -> Select[*tuple[Any, ...]]:
    return select(identity.label("id"), since.label("since"))


def _deleting(identity: InstrumentedAttribute[Any]) -> Callable[[Session, Sequence[Any], datetime], None]:
    model: Any = identity.class_

    def wipe(session: Session, ids: Sequence[Any], _now: datetime) -> None:
        session.execute(delete(model).where(identity.in_(ids)).execution_options(synchronize_session=False))

    return wipe


def _forget_writers(session: Session, ids: Sequence[uuid.UUID], now: datetime) -> None:
    # Before the corrections, as whoever erases a person does: what is mailed at this moment is found below.
    lock_addresses(session, session.scalars(select(Correction.email_hash).where(Correction.id.in_(ids))))
    over = select(Correction.id).where(Correction.id.in_(ids), Correction.erased_at.is_(None))
    # One that an editor has open this moment is for the next time.
    found = session.scalars(over.with_for_update(of=Correction, skip_locked=True)).all()
    files: list[str] = []
    for correction_id in found:
        files += forget_writer(session, correction_id, now)
    leave_over(session, files, now)


def _forget_comments(session: Session, ids: Sequence[uuid.UUID], now: datetime) -> None:
    # Before the comments, as above.
    hashes = session.scalars(select(Comment.email_hash).where(Comment.id.in_(ids))).all()
    lock_addresses(session, [each for each in hashes if each is not None])
    leave_over(session, forget_taken_away(session, ids, now), now)


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
    left = select(Consent.id).where(Consent.subscriber_id == subscriber_id, Consent.state == State.WITHDRAWN)
    if session.scalar(left.limit(1)) is not None:
        suppress(session, hashed, Reason.WITHDRAWN, now)
    _, files = forget_subscriber(session, subscriber_id, method="retention", actor="system", now=now)
    leave_over(session, files, now)
