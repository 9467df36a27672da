"""What a rule left behind, counted here once more and not by the code under test."""

import uuid
from collections import Counter
from collections.abc import Callable

import orjson
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Article
from pollsvc.comments.counts import find_differences
from pollsvc.comments.models import (
    Comment,
    CommentChange,
    CommentCount,
    CommentReport,
    CommentRevision,
    CommentVerdict,
)
from pollsvc.errors import Invalid
from pollsvc.outbox.models import OutboxEvent
from pollsvc.staff.models import AuditEntry

WRITTEN = (
    *(Article, Comment, CommentChange, CommentCount, CommentReport, CommentRevision, CommentVerdict),
    *(OutboxEvent, AuditEntry),
)


def held_rows(session: Session) -> dict[str, int]:
    """Count the rows that a comment could leave, as other sessions see them now."""
    session.rollback()
    return {
        model.__tablename__: session.scalars(select(func.count()).select_from(model)).one()
        for model in WRITTEN
    }


def comment_of(session: Session, comment_id: uuid.UUID) -> Comment:
    """Give a comment, read anew."""
    return session.get_one(Comment, comment_id, populate_existing=True)


def changes_of(session: Session, comment_id: uuid.UUID) -> list[CommentChange]:
    """Give the log of a comment, oldest first."""
    rows = select(CommentChange).where(CommentChange.comment_id == comment_id)
    return list(session.scalars(rows.order_by(CommentChange.version)))


def revisions_of(session: Session, comment_id: uuid.UUID) -> list[CommentRevision]:
    """Give the texts of a comment, oldest first."""
    rows = select(CommentRevision).where(CommentRevision.comment_id == comment_id)
    return list(session.scalars(rows.order_by(CommentRevision.number)))


def told_of(session: Session, comment_id: uuid.UUID) -> list[tuple[str, int]]:
    """Give what the publisher's systems are told of a comment: kind and version, oldest first."""
    rows = select(OutboxEvent.kind, OutboxEvent.data).where(OutboxEvent.subject == f"comment:{comment_id}")
    return [
        (kind, orjson.loads(data or "{}")["version"])
        for kind, data in session.execute(rows.order_by(OutboxEvent.key))
    ]


def audited(session: Session, comment_id: uuid.UUID) -> list[AuditEntry]:
    """Give the audit rows of a comment, oldest first."""
    rows = select(AuditEntry).where(AuditEntry.object_id == str(comment_id))
    return list(session.scalars(rows.order_by(AuditEntry.id)))


def counted(session: Session, url: str | None = None) -> dict[str, int]:
    """Count comments by status from their rows, and prove that every stored count says the same."""
    assert find_differences(session) == []
    rows = select(Comment.status).join(Article, Article.id == Comment.article_id)
    return dict(Counter(session.scalars(rows.where(Article.url == url) if url else rows)))


def field_refused(act: Callable[[], object]) -> str:
    """Expect that an act is refused as invalid, and give the one field that is named."""
    with pytest.raises(Invalid) as caught:
        act()
    [field] = caught.value.fields
    return field
