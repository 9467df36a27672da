"""What lies at the desk: what waits, who has it in hand, and what was turned down and may still be published."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, or_, select, update
from sqlalchemy.orm import Session

from pollsvc.articles.models import Article
from pollsvc.comments.models import REPORTED, Comment, CommentRevision, Status

#: What the queue lists: what waits, and what was turned down, by a policy on its own too.
STATES = ("held", "reported", "rejected", "spam")
#: How long an item is one caller's.
LEASE = timedelta(seconds=120)


@dataclass(frozen=True)
class QueueItem:
    """A comment of the queue, with what is needed to decide about it.

    :param because: the checks that led to where it stands.
    """

    id: uuid.UUID
    version: int
    revision: int
    status: str
    article_url: str
    parent_id: uuid.UUID | None
    name: str | None
    body: str | None
    because: Sequence[str]
    open_reports: int
    claimed_by: str | None
    claimed_until: datetime | None
    created_at: datetime
    edited_at: datetime | None

    @property
    def expires_at(self) -> datetime | None:
        """When the claim ends."""
        return self.claimed_until


def queued(state: str, article_url: str | None) -> Select[Any]:
    """The ids of what the queue lists, in no order.

    :param state: one of :data:`STATES`; ``reported``: with reports that nobody decided about.
    """
    rows = select(Comment.id)
    # REPORTED is the condition of the partial index, word for word.
    rows = rows.where(REPORTED if state == "reported" else Comment.status == state)
    if article_url is not None:
        rows = rows.where(
            Comment.article_id == select(Article.id).where(Article.url == article_url).scalar_subquery()
        )
    return rows


def claim(
    session: Session, *, limit: int, article_url: str | None, actor: str, now: datetime
) -> Sequence[QueueItem]:
    """Take what is held and nobody has in hand, the oldest first, for :data:`LEASE`. No item goes to two callers."""
    free = (
        queued(Status.HELD, article_url)
        .where(or_(Comment.claimed_until.is_(None), Comment.claimed_until <= now))
        .order_by(Comment.id)
        .limit(limit)
        # What another caller is taking at this moment is passed over.
        .with_for_update(skip_locked=True, key_share=True)
    )
    ids = session.scalars(free).all()
    session.execute(
        update(Comment)
        .where(Comment.id.in_(ids))
        .values(claimed_by=actor, claimed_until=now + LEASE)
        .execution_options(synchronize_session=False)
    )
    return read_items(session, ids)


def read_items(session: Session, ids: Sequence[uuid.UUID]) -> Sequence[QueueItem]:
    """Items by their ids, in that order."""
    rows = session.execute(
        select(Comment, Article.url, CommentRevision.body, CommentRevision.because)
        .join(Article, Article.id == Comment.article_id)
        .join(
            CommentRevision,
            (CommentRevision.comment_id == Comment.id) & (CommentRevision.number == Comment.revision),
        )
        .where(Comment.id.in_(ids))
        .execution_options(populate_existing=True)
    )
    found = {comment.id: _item(comment, url, body, because) for comment, url, body, because in rows}
    return [found[each] for each in ids if each in found]


def _item(comment: Comment, url: str, body: str | None, because: Sequence[str]) -> QueueItem:
    return QueueItem(
        id=comment.id,
        version=comment.version,
        revision=comment.revision,
        status=comment.status,
        article_url=url,
        parent_id=comment.parent_id,
        name=comment.name,
        body=body,
        because=because,
        open_reports=comment.open_reports,
        claimed_by=comment.claimed_by,
        claimed_until=comment.claimed_until,
        created_at=comment.created_at,
        edited_at=comment.edited_at,
    )
