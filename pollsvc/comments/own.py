"""What a writer sees of their own comments: all of them, with why they are not shown; and of one that they sent just now."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from pollsvc.articles.venues import ARTICLE, COLUMNS, SITE, Venue, venue_of
from pollsvc.comments.admission import Rules
from pollsvc.comments.markup import mark_up
from pollsvc.comments.models import Comment, CommentRevision, Status
from pollsvc.comments.status import Standing, looks_held
from pollsvc.comments.writers import Writer

#: What is told of each reason. Which check held a comment is not: it would say how to get around it.
REASONS = {
    "waiting": "The newsroom reads it before it is shown.",
    "automatic": "It was turned down automatically. The newsroom can still publish it.",
    "spam": "The newsroom took it for advertising.",
    "abuse": "The newsroom found it abusive.",
    "off_topic": "The newsroom found that it is not about the article.",
    "wrong_fact": "The newsroom found that it says something that is not so.",
    "illegal": "The newsroom found that publishing it would be against the law.",
    "other": "The newsroom decided not to show it.",
    "withdrawn": "You took it back.",
}


@dataclass(frozen=True)
class Reason:
    """Why a comment is not shown."""

    code: str
    text: str


@dataclass(frozen=True)
class OwnComment:
    """A comment, for its writer.

    :param html: as it is shown, or would be.
    :param can_edit_until: when its window is over, or its article closes before that; None where it cannot be edited (any more).
    """

    id: uuid.UUID
    article_url: str
    parent_id: uuid.UUID | None
    name: str | None
    body: str | None
    html: str | None
    status: str
    version: int
    revision: int
    reason: Reason | None
    created_at: datetime
    edited_at: datetime | None
    can_edit_until: datetime | None


def own_comments(writer: Writer, article_url: str | None) -> Select[*tuple[Any, ...]]:
    """A writer's comments, by themselves or below one article; their columns are :func:`describe_own`'s."""
    comments: Select[*tuple[Any, ...]] = (
        select(Comment, CommentRevision.body, *COLUMNS)
        .join(ARTICLE, ARTICLE.c.id == Comment.article_id)
        .join(SITE, SITE.c.id == ARTICLE.c.site_id)
        .join(
            CommentRevision,
            (CommentRevision.comment_id == Comment.id) & (CommentRevision.number == Comment.revision),
        )
        .where(Comment.writer_key == writer.key)
    )
    return comments.where(ARTICLE.c.url == article_url) if article_url else comments


def read_own(
    session: Session,
    comments: Select[*tuple[Any, ...]],
    *,
    before: uuid.UUID | None,
    limit: int,
    rules: Rules,
    now: datetime,
) -> tuple[Sequence[OwnComment], uuid.UUID | None]:
    """One page of them, the newest first, and where the next one begins."""
    if before is not None:
        comments = comments.where(Comment.id < before)
    rows = session.execute(comments.order_by(Comment.id.desc()).limit(limit + 1)).all()
    items = [_describe(comment, body, venue_of(venue), rules, now) for comment, body, *venue in rows[:limit]]
    return items, items[-1].id if len(rows) > limit else None


def received(standing: Standing) -> dict[str, Any]:
    """What a writer is told of what they sent."""
    status = Status.HELD if looks_held(standing.status, standing.decided_by) else standing.status
    return {"id": standing.id, "status": status, "version": standing.version}


def _describe(comment: Comment, body: str | None, venue: Venue, rules: Rules, now: datetime) -> OwnComment:
    code = _code(comment)
    return OwnComment(
        id=comment.id,
        article_url=venue.url,
        parent_id=comment.parent_id,
        name=comment.name,
        body=body,
        html=comment.shown_html or (mark_up(body).html if body else None),
        status=comment.status,
        version=comment.version,
        revision=comment.revision,
        reason=Reason(code, REASONS[code]) if code else None,
        created_at=comment.created_at,
        edited_at=comment.edited_at,
        can_edit_until=_can_edit_until(comment, venue, rules, now),
    )


def _can_edit_until(comment: Comment, venue: Venue, rules: Rules, now: datetime) -> datetime | None:
    if comment.status not in (Status.PUBLISHED, Status.HELD) or venue.mode(now) in ("closed", "off"):
        return None
    until = comment.created_at + rules.edit_window
    if venue.closes_at:
        until = min(until, venue.closes_at)
    return until if until > now else None


def _code(comment: Comment) -> str | None:
    if comment.status == Status.PUBLISHED:
        return None
    if comment.status == Status.HELD:
        return "waiting"
    if comment.decided_by in ("writer", "erasure"):
        return "withdrawn"
    return "automatic" if comment.decided_by.startswith("policy:") else comment.reason_code or "other"
