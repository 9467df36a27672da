"""Whether a comment is taken at all: the article, what it answers, and its writer. The checks come after."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, exists, select
from sqlalchemy.orm import Session

from pollsvc.articles.discussions import ArticleTerms, SiteTerms, comments_of
from pollsvc.articles.models import Article
from pollsvc.comments.facts import is_in_force
from pollsvc.comments.models import Comment, Status
from pollsvc.comments.policy_models import Ban
from pollsvc.comments.status import looks_held
from pollsvc.comments.writers import Writer
from pollsvc.config import Settings
from pollsvc.errors import Conflict, NotAllowed, Unavailable, one_field


class CommentsClosed(Conflict):
    """The article takes no comments any more."""

    code = "comments_closed"
    detail = "Comments on this article are closed."


class CommentsOff(Conflict):
    """The article has no comments."""

    code = "comments_off"
    detail = "This article has no comments."


class ParentClosed(Conflict):
    """What was to be answered is not shown any more, or not for now."""

    code = "parent_closed"
    detail = "The comment that you answer was taken away, and takes no more replies."


class WriterBanned(NotAllowed):
    """This writer may not comment for now."""

    code = "writer_banned"
    detail = "You may not comment here for now."

    def __init__(self, ends_at: datetime | None) -> None:
        detail = f"You may not comment here until {ends_at:%Y-%m-%d %H:%M} UTC." if ends_at else None
        super().__init__(detail, extra={"ends_at": ends_at})


class CommentRaced(Unavailable):
    """The newsroom changed how comments are taken at the moment in which this one came."""

    code = "comment_raced"
    detail = (
        "Something about this article changed at the same moment, and nothing was stored. Send it once more."
    )


class EditWindowOver(Conflict):
    """A comment is edited soon or not at all: others have read and answered it."""

    code = "edit_window_over"
    detail = "This comment can no longer be edited."


class NotEditable(Conflict):
    """What the newsroom turned down is not edited."""

    code = "comment_not_editable"
    detail = "This comment was turned down, and cannot be edited."


@dataclass(frozen=True)
class Rules:
    """What the installation set.

    :param depth: how deep replies nest; 0: none are taken.
    :param edit_window: how long after it was written a comment can be edited.
    """

    depth: int
    edit_window: timedelta

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """Those of some settings."""
        return cls(settings.comment_depth, timedelta(minutes=settings.comment_edit_minutes))


def take_comments(site: SiteTerms, article: ArticleTerms | None, now: datetime) -> str:
    """How the article takes comments: ``open`` or ``premoderated``.

    :raises CommentsClosed, CommentsOff: if it takes none.
    """
    mode = comments_of(site, article, now)
    if mode == "off":
        raise CommentsOff
    if mode == "closed":
        raise CommentsClosed
    return mode


def refuse_banned(connection: Connection, writer: Writer, now: datetime) -> None:
    """Turn away whom the newsroom banned.

    :raises WriterBanned: if the writer is one; ``ends_at`` tells until when, None where it has no end.
    """
    holding = select(Ban.ends_at).where(Ban.writer_key == writer.key, is_in_force(now))
    ends = connection.scalars(holding).all()
    if ends:
        # Of several the longest holds.
        raise WriterBanned(None if None in ends else max(filter(None, ends)))


def ask_again(
    session: Session, article: Article, writer: Writer, *, mode: str, status: str, now: datetime
) -> None:
    """Ask once more, in the transaction that writes, what was asked before a text was looked at.

    :param mode: how the article took comments then.
    :param status: where the text would stand.
    :raises CommentsClosed, CommentsOff, WriterBanned: if it was stopped meanwhile.
    :raises CommentRaced: if it would be published, and all are read first by now.
    """
    by_now = take_comments(article.site, article, now)
    refuse_banned(session.connection(), writer, now)
    if by_now == "premoderated" and mode != by_now and status == Status.PUBLISHED:
        raise CommentRaced


def is_stopped(session: Session, comment_id: uuid.UUID, now: datetime) -> bool:
    """Whether a comment that waited must wait on: its writer was banned meanwhile, or all are read first by now."""
    seen = session.execute(
        select(Comment.writer_key, Comment.article_id).where(Comment.id == comment_id)
    ).one()
    if session.scalar(select(exists().where(Ban.writer_key == seen.writer_key, is_in_force(now)))):
        return True
    article = session.get_one(Article, seen.article_id, populate_existing=True)
    return comments_of(article.site, article, now) == "premoderated"


@dataclass(frozen=True)
class Parent:
    """What a reply answers, as it stands.

    :param replies: published comments anywhere below it: where there are some, the thread shows its place.
    """

    article_id: uuid.UUID
    status: str
    decided_by: str
    depth: int
    ancestors: Sequence[str]
    replies: int


# Made once: with each reply, making it would cost more than asking it.
_PARENTS = select(
    Comment.id,
    Comment.article_id,
    Comment.status,
    Comment.decided_by,
    Comment.depth,
    Comment.ancestors,
    Comment.replies,
).where(Comment.id.in_(bindparam("ids", expanding=True)))


def find_parents(
    connection: Connection, ids: Collection[uuid.UUID], *, for_update: bool = False
) -> dict[uuid.UUID, Parent]:
    """What replies answer, by id; without what is not there.

    :param for_update: whether a reply is to be written: then what it answers stays as it is until the transaction ends.
    """
    if not ids:
        return {}
    wanted = _PARENTS.with_for_update(key_share=True) if for_update else _PARENTS
    rows = connection.execute(wanted, {"ids": list(ids)})
    return {row.id: Parent(*row[1:]) for row in rows}


def place_below(
    parents: Mapping[uuid.UUID, Parent],
    article_id: uuid.UUID | None,
    parent_id: uuid.UUID | None,
    rules: Rules,
) -> Sequence[str]:
    """The ids of what a comment would hang below, from the top down to what it answers; none at the top.

    :raises Invalid: if there is no such comment, or the reply would go too deep; the field is ``parent_id``.
    :raises ParentClosed: if it was taken away, or is looked at again.
    """
    if parent_id is None:
        return ()
    parent = parents.get(parent_id)
    # What looks held is nobody's but its writer's: that it is there is not told, save where the thread shows its place.
    is_hidden = parent is not None and not parent.replies and looks_held(parent.status, parent.decided_by)
    if parent is None or parent.article_id != article_id or is_hidden:
        raise one_field("parent_id", "There is no such comment on this article.")
    if parent.status == Status.HELD:
        raise ParentClosed(
            "The comment that you answer is being looked at again, and takes no replies meanwhile."
        )
    if parent.status != Status.PUBLISHED:
        raise ParentClosed
    if parent.depth + 1 > rules.depth:
        raise one_field("parent_id", f"Replies here go {rules.depth} deep: answer the comment above it.")
    return (*parent.ancestors, str(parent_id))
