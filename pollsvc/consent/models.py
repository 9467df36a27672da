"""What was shown, who agreed, and when. Texts and events are append-only: triggers refuse UPDATE and DELETE."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from pollsvc.articles.models import Article
from pollsvc.db import Encrypted, Hash, Id, Model


class ConsentText(Model):
    """An immutable version of what readers are asked to agree to."""

    __tablename__ = "consent_text"
    __table_args__ = (
        UniqueConstraint("site_id", "purpose", "version"),
        CheckConstraint("version >= 1", name="version_from_one"),
    )

    id: Mapped[Id]
    site_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("site.id"))
    purpose: Mapped[str]
    version: Mapped[int]
    body: Mapped[str]
    privacy_url: Mapped[str | None]
    terms_url: Mapped[str | None]
    #: SHA-256 over body and links, as they were shown.
    body_hash: Mapped[Hash]
    created_at: Mapped[datetime]
    created_by: Mapped[str]


class Subscriber(Model):
    """A person behind consent events. Erasing a person deletes this row; the events hold only its id.

    The id is random: one that carries time would order addresses like their events.
    """

    __tablename__ = "subscriber"
    __table_args__ = (UniqueConstraint("email_hash"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    email: Mapped[Encrypted]
    email_hash: Mapped[Hash]


class ConsentEvent(Model):
    """Something that happened to a consent; rows are only ever added (GDPR Art. 7(1), EDPB 05/2020 ¶108)."""

    __tablename__ = "consent_event"
    __table_args__ = (CheckConstraint("kind IN ('requested')", name="known_kind"),)

    id: Mapped[Id]
    kind: Mapped[str]
    #: No foreign key: the event outlives the person's row.
    subscriber_id: Mapped[uuid.UUID] = mapped_column(index=True)
    text_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("consent_text.id"))
    text_hash: Mapped[Hash]
    article_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("article.id"))
    #: The origin of the page that sent it, or None where the request named none.
    origin: Mapped[str | None]
    method: Mapped[str]
    is_suspect: Mapped[bool]
    occurred_at: Mapped[datetime]
    text: Mapped[ConsentText] = relationship()
    article: Mapped[Article | None] = relationship()

    @property
    def purpose(self) -> str:
        """What the reader agreed to, such as ``newsletter``."""
        return self.text.purpose

    @property
    def state(self) -> str:
        """Where the consent stands. Asked for and not yet confirmed is all there is in this release."""
        return "pending"

    @property
    def article_url(self) -> str | None:
        """The canonical address of the article it was given beside."""
        return self.article.url if self.article else None
