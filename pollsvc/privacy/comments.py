"""What is kept about a person's comments, for that person (GDPR Art. 15)."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Article
from pollsvc.comments.models import Comment, CommentChange, CommentReport, CommentRevision
from pollsvc.comments.policy_models import Ban

#: Who decides about a comment: its writer, the checks by themselves (Art. 15(1)(h)), or a person of the newsroom.
DECIDERS = ("writer", "policy", "newsroom")


def describe_comments(session: Session, email_hash: bytes) -> list[dict[str, Any]]:
    """Every comment that was written under an address, oldest first, ready to be written as JSON.

    Reports that are kept are counted, for who filed them is somebody else; the newsroom's notes are not in it, as those of
    corrections.
    """
    theirs = Comment.email_hash == email_hash
    comments = session.execute(
        select(Comment, Article.url)
        .join(Article, Article.id == Comment.article_id)
        .where(theirs)
        .order_by(Comment.id)
    ).all()
    revisions: dict[uuid.UUID, list[dict[str, Any]]] = {}
    for revision in session.scalars(_of(CommentRevision, CommentRevision.number, theirs)):
        revisions.setdefault(revision.comment_id, []).append(_revision(revision))
    decisions: dict[uuid.UUID, list[dict[str, Any]]] = {}
    for change in session.scalars(_of(CommentChange, CommentChange.version, theirs)):
        decisions.setdefault(change.comment_id, []).append(_decision(change))
    counted = select(CommentReport.comment_id, func.count()).group_by(CommentReport.comment_id)
    reports = dict(
        session.execute(counted.join(Comment, Comment.id == CommentReport.comment_id).where(theirs)).all()
    )
    return [
        {
            "id": str(comment.id),
            "article_url": url,
            "parent_id": str(comment.parent_id) if comment.parent_id else None,
            "name": comment.name,
            "email": comment.email,
            "is_account": comment.is_account,
            "status": comment.status,
            "created_at": comment.created_at.isoformat(),
            "edited_at": comment.edited_at.isoformat() if comment.edited_at else None,
            "revisions": revisions.get(comment.id, []),
            "decisions": decisions.get(comment.id, []),
            "reports": reports.get(comment.id, 0),
        }
        for comment, url in comments
    ]


def describe_bans(session: Session, email_hash: bytes) -> list[dict[str, Any]]:
    """The bans of an address: those in force, and those that are over and not forgotten yet."""
    bans = session.scalars(select(Ban).where(Ban.email_hash == email_hash).order_by(Ban.id))
    return [
        {
            "reason_code": ban.reason_code,
            "since": ban.created_at.isoformat(),
            "ends_at": ban.ends_at.isoformat() if ban.ends_at else None,
            "lifted_at": ban.lifted_at.isoformat() if ban.lifted_at else None,
        }
        for ban in bans
    ]


def _of(model: Any, order: Any, theirs: Any) -> Any:
    rows = select(model).join(Comment, Comment.id == model.comment_id).where(theirs)
    return rows.order_by(model.comment_id, order)


def _revision(revision: CommentRevision) -> dict[str, Any]:
    return {
        "number": revision.number,
        "body": revision.body,
        "created_at": revision.created_at.isoformat(),
    }


def _decision(change: CommentChange) -> dict[str, Any]:
    decider = change.actor.partition(":")[0]
    return {
        "action": change.action,
        "status": change.after,
        # Which of the newsroom's people is not theirs to know.
        "by": decider if decider in DECIDERS else "newsroom",
        "reason_code": change.reason_code,
        "occurred_at": change.occurred_at.isoformat(),
    }
