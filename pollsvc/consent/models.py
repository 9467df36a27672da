"""What was shown, who agreed, and when. Texts, events and seals are append-only: triggers refuse UPDATE, DELETE and replacement."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, PrimaryKeyConstraint, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from pollsvc.articles.models import Article
from pollsvc.db import Encrypted, Hash, Id, Model, Number


class Mode(StrEnum):
    """What a text asks for, and with it the legal basis of what comes of it."""

    #: Consent (GDPR Art. 6(1)(a)), confirmed by the mailbox's owner.
    EXPLICIT = "explicit"
    #: Mail to an account's own address (ePrivacy Art. 13(2)): only with a token of the publisher's login.
    SOFT_OPT_IN = "soft_opt_in"
    #: A notice, for countries that ask for no more. Not consent in the sense of the GDPR, and marked so wherever it is told.
    NOTICE_ONLY = "notice_only"


class State(StrEnum):
    """Where a consent stands."""

    PENDING = "pending"
    ACTIVE = "active"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class Kind(StrEnum):
    """What can happen to a consent."""

    REQUESTED = "requested"
    CONFIRMATION_SENT = "confirmation_sent"
    CONFIRMED = "confirmed"
    WITHDRAWN = "withdrawn"
    RENEWAL_SENT = "renewal_sent"
    RENEWED = "renewed"
    EXPIRED = "expired"
    IMPORTED = "imported"
    SUPPRESSED = "suppressed"
    RELEASED = "released"
    ERASED = "erased"


def _one_of(values: type[StrEnum]) -> str:
    return ", ".join(f"'{value}'" for value in values)


class ConsentText(Model):
    """An immutable version of what readers are asked to agree to."""

    __tablename__ = "consent_text"
    __table_args__ = (
        UniqueConstraint("site_id", "purpose", "version"),
        CheckConstraint("version >= 1", name="version_from_one"),
        CheckConstraint(f"mode IN ({_one_of(Mode)})", name="known_mode"),
    )

    id: Mapped[Id]
    site_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("site.id"))
    purpose: Mapped[str]
    version: Mapped[int]
    locale: Mapped[str] = mapped_column(default="en", server_default="en")
    mode: Mapped[str] = mapped_column(default=Mode.EXPLICIT, server_default=Mode.EXPLICIT)
    body: Mapped[str]
    #: Who asks, and how to reach them; None in texts of the first release.
    controller: Mapped[str | None]
    contact: Mapped[str | None]
    #: The part of the body that says how to leave.
    withdrawal: Mapped[str | None]
    privacy_url: Mapped[str | None]
    #: Which version of the policy was in force, as the publisher names it.
    privacy_version: Mapped[str | None]
    terms_url: Mapped[str | None]
    terms_version: Mapped[str | None]
    #: Whether it asks for something else than the version before, so that those who agreed are asked again.
    is_material: Mapped[bool] = mapped_column(default=False, server_default=false())
    #: SHA-256 over body, links and versions, as they were shown.
    body_hash: Mapped[Hash]
    created_at: Mapped[datetime]
    created_by: Mapped[str]


class Subscriber(Model):
    """A person behind consents. Erasing a person deletes this row; the events hold only its id.

    The id is random: one that carries time would order addresses like their events.
    """

    __tablename__ = "subscriber"
    __table_args__ = (UniqueConstraint("email_hash"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    email: Mapped[Encrypted]
    email_hash: Mapped[Hash]


class Consent(Model):
    """How the consent of a person to a purpose of a site stands: what its events come to, kept beside them.

    ``pollsvc consent rebuild`` makes this table anew from the events (:mod:`pollsvc.consent.states`).
    """

    __tablename__ = "consent"
    __table_args__ = (
        UniqueConstraint("subscriber_id", "site_id", "purpose"),
        CheckConstraint(f"state IN ({_one_of(State)})", name="known_state"),
        Index("ix_consent_site_id_state_id", "site_id", "state", "id"),
        Index("ix_consent_state_changed_at", "state", "changed_at"),
        # What nobody confirmed: a week's requests among years of consents.
        Index(
            "ix_consent_requested_at",
            "requested_at",
            sqlite_where=text("confirmed_at IS NULL"),
            postgresql_where=text("confirmed_at IS NULL"),
        ),
    )

    id: Mapped[Id]
    subscriber_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subscriber.id"))
    site_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("site.id"))
    purpose: Mapped[str]
    state: Mapped[str]
    text_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("consent_text.id"))
    article_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("article.id"))
    origin: Mapped[str | None]
    is_suspect: Mapped[bool]
    #: The sign-up that it stands on, and the key that takes it back: the newest, until the mail of one is answered.
    request_id: Mapped[uuid.UUID | None]
    withdrawal_hash: Mapped[Hash | None] = mapped_column(index=True)
    requested_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    changed_at: Mapped[datetime]
    #: When it ends unless it is renewed.
    valid_until: Mapped[datetime | None] = mapped_column(index=True)
    subscriber: Mapped[Subscriber] = relationship()
    text: Mapped[ConsentText] = relationship()
    article: Mapped[Article | None] = relationship()

    @property
    def article_url(self) -> str | None:
        """The canonical address of the article it was given beside."""
        return self.article.url if self.article else None


class ConsentEvent(Model):
    """Something that happened to a consent; rows are only ever added (GDPR Art. 7(1), EDPB 05/2020 ¶108)."""

    __tablename__ = "consent_event"
    __table_args__ = (CheckConstraint(f"kind IN ({_one_of(Kind)})", name="known_kind"),)

    id: Mapped[Id]
    kind: Mapped[str]
    #: None only in rows that the first release wrote while this one came.
    consent_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    #: No foreign key: the event outlives the person's row.
    subscriber_id: Mapped[uuid.UUID] = mapped_column(index=True)
    text_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("consent_text.id"))
    text_hash: Mapped[Hash]
    article_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("article.id"))
    #: The origin of the page that sent it, or None where the request named none.
    origin: Mapped[str | None]
    method: Mapped[str]
    #: What else was seen: the control and its default, the request, hashes of tokens, a mail's Message-ID.
    evidence: Mapped[dict[str, Any] | None] = mapped_column(default=dict)
    #: ``reader``, ``system``, or who of the newsroom.
    actor: Mapped[str] = mapped_column(default="reader", server_default="reader")
    is_suspect: Mapped[bool]
    occurred_at: Mapped[datetime]
    text: Mapped[ConsentText] = relationship()
    article: Mapped[Article | None] = relationship()


class ConsentSeal(Model):
    """A link of the chain over the events: the hash of an event and of the seal before it."""

    __tablename__ = "consent_seal"
    __table_args__ = (UniqueConstraint("event_id"),)

    position: Mapped[Number] = mapped_column(primary_key=True, autoincrement=False)
    event_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("consent_event.id"))
    hash: Mapped[Hash]
    sealed_at: Mapped[datetime]


class SignUp(Model):
    """A ticked box, as it came in: the worker looks the address up, so that the request does the same for every address."""

    __tablename__ = "sign_up"

    #: It goes on as the request's id, and as the consent's where this is the first.
    id: Mapped[Id]
    text_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("consent_text.id"))
    email: Mapped[Encrypted]
    email_hash: Mapped[Hash] = mapped_column(index=True)
    article_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("article.id"))
    origin: Mapped[str | None]
    method: Mapped[str]
    evidence: Mapped[dict[str, Any]]
    withdrawal_hash: Mapped[Hash | None] = mapped_column(index=True)
    is_suspect: Mapped[bool]
    occurred_at: Mapped[datetime]
    #: Since when it waits here; one of the first release occurred long before.
    arrived_at: Mapped[datetime]
    #: When the worker takes it: at once, or when its address may get a mail again or a key may open it.
    available_at: Mapped[datetime] = mapped_column(index=True)
    text: Mapped[ConsentText] = relationship()
    article: Mapped[Article] = relationship()


class Confirmation(Model):
    """A link that confirms one request, once. Its token is stored as a hash."""

    __tablename__ = "confirmation"
    __table_args__ = (
        PrimaryKeyConstraint("token_hash"),
        CheckConstraint("kind IN ('sign_up', 'renewal')", name="known_kind"),
    )

    token_hash: Mapped[Hash]
    consent_id: Mapped[uuid.UUID]
    subscriber_id: Mapped[uuid.UUID] = mapped_column(index=True)
    kind: Mapped[str]
    text_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("consent_text.id"))
    request_id: Mapped[uuid.UUID | None]
    #: The Message-ID of the mail that the link stands in.
    message_id: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]


class MailPermit(Model):
    """That a mail which anybody can ask for was allowed to an address at a time: how many of a kind, is counted here."""

    __tablename__ = "mail_permit"
    __table_args__ = (
        PrimaryKeyConstraint("email_hash", "kind", "permitted_at"),
        CheckConstraint("kind IN ('confirmation', 'data_link')", name="known_kind"),
    )

    email_hash: Mapped[Hash]
    #: The mail's template. Each kind is counted for itself, so that who asks for one does not put off the other.
    kind: Mapped[str]
    permitted_at: Mapped[datetime] = mapped_column(index=True)


class Reason(StrEnum):
    """Why nothing is sent to an address."""

    #: The person was forgotten. Who signs the address up, nobody can tell: nothing is sent.
    ERASED = "erased"
    #: The person asked the newsroom for it.
    OBJECTED = "objected"
    #: The person left, and the address was forgotten after the time for proof. No list brings it back; a sign-up may,
    #: because the mailbox's owner has to confirm it.
    WITHDRAWN = "withdrawn"


class Suppression(Model):
    """An address that nothing is sent to any more; only its keyed hash is known."""

    __tablename__ = "suppression"
    __table_args__ = (
        PrimaryKeyConstraint("email_hash"),
        CheckConstraint(f"reason IN ({_one_of(Reason)})", name="known_reason"),
    )

    email_hash: Mapped[Hash]
    reason: Mapped[str]
    since: Mapped[datetime]
