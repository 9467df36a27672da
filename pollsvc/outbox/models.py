"""What waits to leave the building, what became of it, and whom it goes to."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, PrimaryKeyConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from pollsvc.db import Encrypted, EncryptedText, Id, Model, Number

#: Why what is delivered, or where to, is not known. It is tried again: a host may have been started with too few keys.
UNREADABLE = "None of POLLSVC_ENCRYPTION_KEYS opens it."


class OutboxMessage(Model):
    """One mail to one address, or one event to one endpoint.

    It is written in the transaction of what it tells of, and delivered at least once. Messages of a lane leave in the
    order of their numbers.
    """

    __tablename__ = "outbox_message"
    __table_args__ = (
        UniqueConstraint("delivery_key"),
        CheckConstraint("channel IN ('mail', 'webhook')", name="known_channel"),
        CheckConstraint("state IN ('pending', 'delivered', 'dead')", name="known_state"),
        Index("ix_outbox_message_state_available_at_id", "state", "available_at", "id"),
        Index("ix_outbox_message_state_id", "state", "id"),
        Index("ix_outbox_message_lane_id", "lane", "id"),
        Index("ix_outbox_message_endpoint_id_id", "endpoint_id", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[Number] = mapped_column(primary_key=True)
    channel: Mapped[str]
    #: The mail's template, or the event's kind.
    kind: Mapped[str]
    #: What makes it one delivery: whoever writes the same key again writes nothing.
    delivery_key: Mapped[str]
    #: Whom or what it is about, such as ``subscriber:0198…``: by it erasure finds everything about a person.
    subject: Mapped[str] = mapped_column(index=True)
    lane: Mapped[str]
    #: What is delivered, as JSON; None once it was, for it may hold an address.
    payload: Mapped[str | None] = mapped_column(EncryptedText)
    endpoint_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("webhook_endpoint.id"))
    event_id: Mapped[Number | None] = mapped_column(ForeignKey("outbox_event.id"), index=True)
    #: A mail's Message-ID, the same at each attempt, so that a mailbox can tell a repetition.
    message_id: Mapped[str | None]
    state: Mapped[str]
    attempts: Mapped[int]
    #: When the next attempt is due.
    available_at: Mapped[datetime]
    #: Who is delivering it, and until when nobody else will.
    lease: Mapped[uuid.UUID | None]
    leased_until: Mapped[datetime | None]
    #: Why the last attempt failed; never with an address or a text in it.
    reason: Mapped[str | None]
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    attempt_log: Mapped[list[OutboxAttempt]] = relationship(
        order_by="OutboxAttempt.attempted_at, OutboxAttempt.id", viewonly=True
    )


class OutboxAttempt(Model):
    """One attempt at a delivery."""

    __tablename__ = "outbox_attempt"

    id: Mapped[Id]
    message_id: Mapped[Number] = mapped_column(
        ForeignKey("outbox_message.id", ondelete="CASCADE"), index=True
    )
    attempted_at: Mapped[datetime]
    #: ``delivered``, ``retry`` or ``dead``; ``lost`` where the worker ended before the answer came.
    outcome: Mapped[str]
    #: The SMTP or HTTP status, where one was answered.
    status: Mapped[int | None]
    reason: Mapped[str | None]
    milliseconds: Mapped[int]


class OutboxEvent(Model):
    """Something that happened, for every endpoint that wants to know; kept for a while, so that it can be sent again."""

    __tablename__ = "outbox_event"
    __table_args__ = (
        UniqueConstraint("key"),
        Index("ix_outbox_event_is_fanned_out_id", "is_fanned_out", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[Number] = mapped_column(primary_key=True)
    #: The ``webhook-id``: the same at each attempt and at each endpoint.
    key: Mapped[uuid.UUID]
    #: Such as ``consent.confirmed``.
    kind: Mapped[str]
    site_id: Mapped[uuid.UUID | None]
    subject: Mapped[str] = mapped_column(index=True)
    #: JSON, encrypted: it may hold an address.
    data: Mapped[Encrypted]
    is_fanned_out: Mapped[bool]
    occurred_at: Mapped[datetime]


class SignedFor:
    """An address that is sent signed requests (Standard Webhooks), and what they are signed with."""

    #: Encrypted: a path may be a secret.
    url: Mapped[Encrypted]
    secret: Mapped[Encrypted]
    #: During a rotation it signs too, until then.
    previous_secret: Mapped[str | None] = mapped_column(EncryptedText)
    previous_until: Mapped[datetime | None]
    version: Mapped[int]

    @property
    def unreadable_because(self) -> str | None:
        """Why nothing can be sent there, though it is not switched off."""
        return None if self.url and self.secret else UNREADABLE

    def secrets_at(self, now: datetime) -> list[str]:
        """All that sign at a moment; none where no key opens the one that stands."""
        if self.secret is None:
            return []
        if self.previous_secret and self.previous_until and now < self.previous_until:
            return [self.secret, self.previous_secret]
        return [self.secret]


class WebhookEndpoint(SignedFor, Model):
    """An address of the publisher's that is told of events (Standard Webhooks)."""

    __tablename__ = "webhook_endpoint"
    __table_args__ = (CheckConstraint("state IN ('active', 'paused')", name="known_state"),)

    id: Mapped[Id]
    #: None for the events of every site.
    site_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("site.id"))
    description: Mapped[str]
    event_types: Mapped[list[str]]
    state: Mapped[str]
    #: Failed attempts in a row, and since when.
    failures: Mapped[int]
    failing_since: Mapped[datetime | None]
    paused_at: Mapped[datetime | None]
    paused_because: Mapped[str | None]
    created_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]


class WebhookAcknowledgement(Model):
    """The newest event about a consent that an endpoint answered with 2xx: what the systems behind it believe.

    Kept apart from messages and events, which go after a while.
    """

    __tablename__ = "webhook_acknowledgement"
    __table_args__ = (PrimaryKeyConstraint("endpoint_id", "consent_id"),)

    endpoint_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("webhook_endpoint.id"))
    #: No foreign key: whoever is forgotten leaves no consent, but their erasure is still to be told.
    consent_id: Mapped[uuid.UUID]
    kind: Mapped[str]
    #: No foreign key either; a later one is a higher number.
    event_id: Mapped[Number]
    occurred_at: Mapped[datetime]
    acknowledged_at: Mapped[datetime]
