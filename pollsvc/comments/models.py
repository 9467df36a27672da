"""Comments, their revisions, what the checks said, what was changed and why, and how many there are."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from pollsvc.articles.models import Article
from pollsvc.db import EncryptedText, Hash, Id, Model


class Status(StrEnum):
    """Where a comment stands. Only :mod:`pollsvc.comments.status` changes it."""

    PUBLISHED = "published"
    HELD = "held"
    REJECTED = "rejected"
    SPAM = "spam"
    REMOVED = "removed"


#: What a thread lists: what is published, and the places of what is not any more where something published hangs below.
IN_THREAD = text("(status = 'published' OR replies > 0)")
#: What readers reported and nobody decided about.
REPORTED = text("open_reports > 0")
#: What stands because somebody of the newsroom published it.
APPROVED = text("(status = 'published' AND substr(decided_by, 1, 6) = 'token:')")
#: What the newsroom or its policy turned down, whatever became of it since.
TURNED_DOWN = text("turned_down_at IS NOT NULL")
_STATUSES = "'published', 'held', 'rejected', 'spam', 'removed'"
#: Why somebody reports a comment, and why the newsroom turns one down.
REPORT_REASONS = ("spam", "abuse", "off_topic", "wrong_fact", "illegal")
DECISION_REASONS = (*REPORT_REASONS, "other")


class Comment(Model):
    """What a reader said. What is published stands in the open; all else that a person wrote is encrypted.

    The rows of an article hang together by ``parent_id``; ``ancestors`` spares the walk up.
    """

    __tablename__ = "comment"
    __table_args__ = (
        CheckConstraint(f"status IN ({_STATUSES})", name="known_status"),
        CheckConstraint("version >= 1 AND revision >= 1", name="numbers_from_one"),
        CheckConstraint("replies >= 0 AND open_reports >= 0", name="counts_not_negative"),
        # What is not published is nowhere in plain text, whatever path it came by.
        CheckConstraint(
            "(status = 'published') = (shown_html IS NOT NULL) AND (status = 'published') = (shown_text IS NOT NULL) "
            "AND (status = 'published') = (shown_name IS NOT NULL)",
            name="shown_if_published",
        ),
        CheckConstraint("(parent_id IS NULL) = (depth = 0)", name="replies_have_a_depth"),
        CheckConstraint("below_id = coalesce(parent_id, article_id)", name="below_parent_or_article"),
        CheckConstraint(
            "erased_at IS NULL OR (status = 'removed' AND name IS NULL AND email IS NULL AND email_hash IS NULL "
            "AND submission_key IS NULL)",
            name="nobody_s_if_erased",
        ),
        UniqueConstraint("submission_key"),
        Index(
            "ix_comment_thread",
            "below_id",
            "id",
            sqlite_where=IN_THREAD,
            postgresql_where=IN_THREAD,
        ),
        Index(
            "ix_comment_discussed",
            "below_id",
            "replies",
            "id",
            sqlite_where=IN_THREAD,
            postgresql_where=IN_THREAD,
        ),
        Index("ix_comment_status_id", "status", "id"),
        Index("ix_comment_article_id_status_id", "article_id", "status", "id"),
        Index("ix_comment_writer_key_article_id_id", "writer_key", "article_id", "id"),
        Index("ix_comment_writer_key_id", "writer_key", "id"),
        Index(
            "ix_comment_turned_down",
            "writer_key",
            "turned_down_at",
            sqlite_where=TURNED_DOWN,
            postgresql_where=TURNED_DOWN,
        ),
        Index("ix_comment_approved", "writer_key", sqlite_where=APPROVED, postgresql_where=APPROVED),
        Index("ix_comment_reported", "id", sqlite_where=REPORTED, postgresql_where=REPORTED),
    )

    id: Mapped[Id]
    article_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("article.id"))
    #: Indexed for SQLite, which looks for replies to each comment that is inserted.
    parent_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("comment.id"), index=True)
    #: Where it stands directly below: its parent, or the article. No null in it, for PostgreSQL keeps no order behind one.
    below_id: Mapped[uuid.UUID]
    #: Ids of what it hangs below, from the top; as text, for JSON knows no UUID.
    ancestors: Mapped[list[str]]
    depth: Mapped[int] = mapped_column(SmallInteger)
    #: Who wrote it: a keyed hash of the voter's identity or the account's subject. It leads to no ballot.
    writer_key: Mapped[Hash]
    #: Whether the publisher's login vouches for them.
    is_account: Mapped[bool]
    name: Mapped[str | None] = mapped_column(EncryptedText)
    #: As it was typed, which proves nothing; None for accounts.
    email: Mapped[str | None] = mapped_column(EncryptedText)
    #: Of the typed one, or of the one that the login gave: by it a person is shown what they wrote, and forgotten.
    email_hash: Mapped[Hash | None] = mapped_column(index=True)
    status: Mapped[str]
    #: Grows by one with each change of status, text or place among the featured; who decides names the one they saw.
    version: Mapped[int]
    #: The text that stands: a number of :class:`CommentRevision`.
    revision: Mapped[int]
    #: Who brought it where it stands: ``policy:3``, ``token:0198…``, ``writer``, ``erasure``, ``retention``.
    decided_by: Mapped[str]
    reason_code: Mapped[str | None]
    is_featured: Mapped[bool]
    shown_name: Mapped[str | None]
    shown_text: Mapped[str | None]
    shown_html: Mapped[str | None]
    #: Published comments anywhere below it.
    replies: Mapped[int]
    #: Reports that nobody decided about.
    open_reports: Mapped[int]
    #: The same words sent again by the same writer to the same place are the same comment; None once they changed.
    submission_key: Mapped[Hash | None]
    claimed_by: Mapped[str | None]
    claimed_until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    edited_at: Mapped[datetime | None]
    decided_at: Mapped[datetime]
    #: When it was last rejected, called spam, or removed by the newsroom; taking it back leaves that as it is.
    turned_down_at: Mapped[datetime | None]
    #: When everything that a person wrote in it was wiped.
    erased_at: Mapped[datetime | None]
    article: Mapped[Article] = relationship(lazy="raise")


class CommentRevision(Model):
    """A text that a comment had, and what the policy made of it."""

    __tablename__ = "comment_revision"
    __table_args__ = (
        PrimaryKeyConstraint("comment_id", "number"),
        CheckConstraint("outcome IN ('publish', 'hold', 'reject')", name="known_outcome"),
        # What may be like a text is found by its hash, and by the four bands of its fingerprint.
        Index("ix_comment_revision_text_hash_created_at", "text_hash", "created_at"),
        *(
            Index(f"ix_comment_revision_band_{band}_created_at", f"band_{band}", "created_at")
            for band in range(4)
        ),
        Index("ix_comment_revision_created_at", "created_at"),
    )

    comment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("comment.id"))
    number: Mapped[int]
    #: None once it was wiped.
    body: Mapped[str | None] = mapped_column(EncryptedText)
    #: A keyed hash of its letters, whatever their case and the space between them; None for texts too short to tell.
    text_hash: Mapped[Hash | None]
    #: Four bands of its fingerprint (:mod:`pollsvc.comments.checks.repeats`).
    band_0: Mapped[int | None]
    band_1: Mapped[int | None]
    band_2: Mapped[int | None]
    band_3: Mapped[int | None]
    #: Which policy decided: 0 is the built-in one.
    policy_version: Mapped[int]
    outcome: Mapped[str]
    #: The checks whose votes led to it.
    because: Mapped[list[str]]
    created_at: Mapped[datetime]


class CommentVerdict(Model):
    """What one check said of one revision. Of its words only the place, and which listed entry it was."""

    __tablename__ = "comment_verdict"
    __table_args__ = (
        PrimaryKeyConstraint("comment_id", "revision", "name"),
        ForeignKeyConstraint(
            ["comment_id", "revision"], ["comment_revision.comment_id", "comment_revision.number"]
        ),
        CheckConstraint("state IN ('done', 'failed', 'pending')", name="known_state"),
        CheckConstraint("score >= 0 AND score <= 1", name="score_from_nought_to_one"),
    )

    comment_id: Mapped[uuid.UUID]
    revision: Mapped[int]
    name: Mapped[str]
    #: Of the check and, where it has one, of its list: ``1 en:7``.
    version: Mapped[str]
    state: Mapped[str]
    #: From 0, harmless, to 1; 0 where there is none.
    score: Mapped[float]
    #: Offsets in characters, end exclusive, each ``[start, end]``.
    spans: Mapped[list[Any]] = mapped_column(JSON)
    reason: Mapped[str]
    milliseconds: Mapped[float]


class CommentChange(Model):
    """One change of a comment: the log that the only door to its status writes. The key lets one caller win each version."""

    __tablename__ = "comment_change"
    __table_args__ = (
        PrimaryKeyConstraint("comment_id", "version"),
        CheckConstraint(f"after IN ({_STATUSES})", name="known_after"),
        Index("ix_comment_change_actor_occurred_at", "actor", "occurred_at"),
    )

    comment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("comment.id"))
    #: The version that the comment has since.
    version: Mapped[int]
    #: ``submit edit judge approve reject spam remove feature unfeature withdraw erase``.
    action: Mapped[str]
    #: None of the first.
    before: Mapped[str | None]
    after: Mapped[str]
    revision: Mapped[int]
    actor: Mapped[str]
    reason_code: Mapped[str | None]
    #: For the newsroom only; None where there is none, or it was wiped.
    note: Mapped[str | None] = mapped_column(EncryptedText)
    occurred_at: Mapped[datetime]


class CommentReport(Model):
    """A reader says what is wrong with a comment; once for each of its revisions. Forgotten some time after it was settled."""

    __tablename__ = "comment_report"
    __table_args__ = (
        UniqueConstraint("comment_id", "revision", "reporter_key"),
        CheckConstraint(
            "reason IN ('spam', 'abuse', 'off_topic', 'wrong_fact', 'illegal')", name="known_reason"
        ),
        Index(
            "ix_comment_report_open",
            "comment_id",
            sqlite_where=text("settled_at IS NULL"),
            postgresql_where=text("settled_at IS NULL"),
        ),
    )

    id: Mapped[Id]
    comment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("comment.id"))
    revision: Mapped[int]
    reporter_key: Mapped[Hash]
    reason: Mapped[str]
    note: Mapped[str | None] = mapped_column(EncryptedText)
    created_at: Mapped[datetime]
    #: When the newsroom decided about the comment, or its writer took it back; its clock runs since.
    settled_at: Mapped[datetime | None] = mapped_column(index=True)


class CommentCount(Model):
    """How many comments an article has in each status; changed with them, in their transaction."""

    __tablename__ = "comment_count"
    __table_args__ = (
        PrimaryKeyConstraint("article_id", "status"),
        CheckConstraint(f"status IN ({_STATUSES})", name="known_status"),
        CheckConstraint("n >= 0", name="not_negative"),
        {"sqlite_with_rowid": False, "postgresql_with": {"fillfactor": 50}},
    )

    article_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("article.id"))
    status: Mapped[str]
    n: Mapped[int]
