"""What readers report."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from pollsvc.articles.models import Article
from pollsvc.db import Encrypted, EncryptedText, Hash, Id, Model


class Correction(Model):
    """A reader's report that something in an article is wrong. What a person wrote is encrypted."""

    __tablename__ = "correction"
    __table_args__ = (
        UniqueConstraint("reference"),
        CheckConstraint("status IN ('new', 'handled', 'spam')", name="known_status"),
        CheckConstraint("version >= 1", name="version_from_one"),
        Index("ix_correction_status_id", "status", "id"),
        Index("ix_correction_is_suspect_id", "is_suspect", "id"),
        Index("ix_correction_is_suspect_status_id", "is_suspect", "status", "id"),
    )

    id: Mapped[Id]
    reference: Mapped[str]
    article_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("article.id"), index=True)
    name: Mapped[Encrypted]
    email: Mapped[Encrypted]
    email_hash: Mapped[Hash] = mapped_column(index=True)
    message: Mapped[Encrypted]
    quote: Mapped[str | None] = mapped_column(EncryptedText)
    note: Mapped[str | None] = mapped_column(EncryptedText)
    status: Mapped[str]
    version: Mapped[int]
    is_suspect: Mapped[bool]
    created_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    #: When the person who wrote it was forgotten; what they wrote is empty then.
    erased_at: Mapped[datetime | None]
    article: Mapped[Article] = relationship(lazy="joined", innerjoin=True)

    @property
    def article_url(self) -> str:
        """The canonical address of the article."""
        return self.article.url
