"""Everything that is known about one comment, for whoever decides: above all, why it stands where it does."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import func, literal, select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Article
from pollsvc.comments.facts import is_in_force
from pollsvc.comments.models import (
    Comment,
    CommentChange,
    CommentReport,
    CommentRevision,
    CommentVerdict,
)
from pollsvc.comments.policy_models import Ban
from pollsvc.comments.status import CommentNotFound
from pollsvc.comments.threads import read_above
from pollsvc.comments.writers import writer_name


def describe_comment(session: Session, comment_id: uuid.UUID, now: datetime) -> dict[str, Any]:
    """A comment with its texts, verdicts, changes and reports, its writer's record, and what it answers.

    :raises CommentNotFound: if there is none with this id.
    """
    comment = session.get(Comment, comment_id)
    if comment is None:
        raise CommentNotFound
    article = session.get_one(Article, comment.article_id)
    revisions = _revisions(session, comment_id)
    names = (
        *("id", "parent_id", "depth", "status", "version", "revision", "name", "email", "is_account"),
        *("is_featured", "replies", "open_reports", "decided_by", "decided_at", "reason_code"),
        *("claimed_by", "claimed_until", "created_at", "edited_at", "erased_at"),
    )
    return {
        **{name: getattr(comment, name) for name in names},
        "article_url": article.url,
        "body": revisions[-1]["body"],
        "because": revisions[-1]["because"],
        "above": read_above(session.connection(), comment.ancestors),
        "writer": _writer(session, comment, now),
        "revisions": revisions,
        "changes": _rows(session, CommentChange, CommentChange.version, comment_id),
        "reports": _rows(session, CommentReport, CommentReport.id, comment_id),
    }


def _revisions(session: Session, comment_id: uuid.UUID) -> list[dict[str, Any]]:
    verdicts: dict[int, list[CommentVerdict]] = {}
    for verdict in _rows(session, CommentVerdict, CommentVerdict.name, comment_id):
        verdicts.setdefault(verdict.revision, []).append(verdict)
    return [
        {
            "number": each.number,
            "body": each.body,
            "outcome": each.outcome,
            "policy_version": each.policy_version,
            "because": each.because,
            "created_at": each.created_at,
            "verdicts": verdicts.get(each.number, []),
        }
        for each in _rows(session, CommentRevision, CommentRevision.number, comment_id)
    ]


def _writer(session: Session, comment: Comment, now: datetime) -> dict[str, Any]:
    counted = session.execute(
        select(Comment.status, func.count())
        .where(Comment.writer_key == comment.writer_key)
        .group_by(Comment.status)
    )
    # Accounts have no address: a hash that is None equals none, and is not one that IS NULL.
    is_theirs = (Ban.writer_key == comment.writer_key) | (
        Ban.email_hash == literal(comment.email_hash, Ban.email_hash.type)
    )
    bans = session.scalars(select(Ban.id).where(is_theirs, is_in_force(now)))
    return {
        "id": writer_name(comment.writer_key),
        "comments": dict(counted.all()),
        "bans": list(bans),
    }


def _rows(session: Session, model: Any, order: Any, comment_id: uuid.UUID) -> Any:
    return session.scalars(select(model).where(model.comment_id == comment_id).order_by(order)).all()
