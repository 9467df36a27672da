"""What the newsroom decided about comments in general: lists of words, policies, bans, and whom it lets look at them too."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from pollsvc.db import Hash, Id, Model
from pollsvc.outbox.models import SignedFor


class WordList(Model):
    """Words or domains that a check looks for, in one language; ``und`` is every one (BCP 47)."""

    __tablename__ = "word_list"
    __table_args__ = (
        PrimaryKeyConstraint("kind", "language"),
        CheckConstraint(
            "kind IN ('banned', 'suspect', 'banned_domains', 'trusted_domains')", name="known_kind"
        ),
        CheckConstraint("version >= 1", name="version_from_one"),
    )

    kind: Mapped[str]
    language: Mapped[str]
    version: Mapped[int]
    #: The JSON null of a list that was deleted: an empty one stands, and finds nothing.
    words: Mapped[list[str] | None] = mapped_column(nullable=False)
    #: Words and phrases in which a find does not count.
    exceptions: Mapped[list[str]]
    updated_at: Mapped[datetime]
    updated_by: Mapped[str]


class CommentPolicy(Model):
    """What the checks' verdicts lead to. One is live; without one the built-in policy 0 holds."""

    __tablename__ = "comment_policy"
    __table_args__ = (
        CheckConstraint("state IN ('draft', 'live', 'retired')", name="known_state"),
        CheckConstraint("version >= 1", name="version_from_one"),
        Index(
            "uq_comment_policy_live",
            "state",
            unique=True,
            sqlite_where=text("state = 'live'"),
            postgresql_where=text("state = 'live'"),
        ),
    )

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    state: Mapped[str]
    #: As :class:`pollsvc.comments.policies.Policy` reads it.
    document: Mapped[dict[str, Any]]
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    activated_at: Mapped[datetime | None]


class Ban(Model):
    """Somebody who may not comment for a time: a writer, or whoever types an address, whose comments are held."""

    __tablename__ = "ban"
    __table_args__ = (
        CheckConstraint("(writer_key IS NULL) <> (email_hash IS NULL)", name="one_of_both"),
        CheckConstraint("ends_at IS NULL OR ends_at > created_at", name="ends_after_it_begins"),
        Index("ix_ban_comment_id", "comment_id"),
        Index("ix_ban_writer_key", "writer_key"),
        Index("ix_ban_email_hash", "email_hash"),
    )

    id: Mapped[Id]
    #: The comment that it was made for, so that the newsroom sees why; None once its writer was forgotten.
    comment_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("comment.id"))
    writer_key: Mapped[Hash | None]
    email_hash: Mapped[Hash | None]
    reason_code: Mapped[str]
    #: None: until it is lifted.
    ends_at: Mapped[datetime | None]
    lifted_at: Mapped[datetime | None]
    created_by: Mapped[str]
    created_at: Mapped[datetime]


class HttpCheck(SignedFor, Model):
    """A check of the publisher's own, asked over HTTP about each revision. Verdicts name it ``http:`` and its name."""

    __tablename__ = "http_check"
    __table_args__ = (
        UniqueConstraint("name"),
        CheckConstraint("timeout >= 1 AND timeout <= 10", name="timeout_from_one_to_ten"),
        CheckConstraint("version >= 1", name="version_from_one"),
    )

    id: Mapped[Id]
    #: Never changed, for policies and verdicts name it.
    name: Mapped[str]
    #: Seconds for one answer.
    timeout: Mapped[int]
    is_active: Mapped[bool]
    created_at: Mapped[datetime]


class CheckRequest(Model):
    """A verdict that is still to be asked for. It goes with the answer, or with the last attempt."""

    __tablename__ = "check_request"
    __table_args__ = (
        PrimaryKeyConstraint("comment_id", "revision", "name"),
        ForeignKeyConstraint(
            ["comment_id", "revision", "name"],
            ["comment_verdict.comment_id", "comment_verdict.revision", "comment_verdict.name"],
        ),
        Index("ix_check_request_name_due_at", "name", "due_at"),
    )

    comment_id: Mapped[uuid.UUID]
    revision: Mapped[int]
    #: The verdict's: ``http:tone``.
    name: Mapped[str]
    #: Those that were begun, the one under way included.
    attempts: Mapped[int]
    #: When the next attempt is due; of one that is under way, when nobody waits for it any longer.
    due_at: Mapped[datetime]
    #: Who is asking.
    lease: Mapped[uuid.UUID | None]
