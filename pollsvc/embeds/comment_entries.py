"""A comment as one reader sees it on a page without scripts, and where the pages are."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import url_for

from pollsvc.comments.models import Status
from pollsvc.comments.own import OwnComment
from pollsvc.comments.threads import ShownComment


@dataclass(frozen=True)
class Addresses:
    """Where things of one article's discussion are, on this host."""

    article_url: str

    def thread(self, **facts: Any) -> str:
        """The page of the discussion."""
        return url_for("comment_pages.show_comments", article_url=self.article_url, **facts)

    def write(self) -> str:
        """Where a new comment goes."""
        return url_for("comment_pages.write")

    def comment(self, comment_id: uuid.UUID) -> str:
        """One comment in its place."""
        return self.thread(comment=str(comment_id), _anchor=f"pollsvc-comment-{comment_id}")

    def below(self, comment_id: uuid.UUID) -> str:
        """The replies to one comment."""
        return self.thread(below=str(comment_id))

    def reply(self, comment_id: uuid.UUID) -> str:
        """A form below one comment."""
        return self.thread(reply_to=str(comment_id))

    def act(self, comment_id: uuid.UUID, name: str) -> str:
        """What is done to one comment: ``edit``, ``withdrawal`` or ``report``."""
        return url_for(f"comment_pages.show_{name}", comment_id=comment_id)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A comment as one reader sees it.

    :param html: cleaned, see :mod:`pollsvc.comments.markup`.
    :param is_gone: whether only its place is left.
    :param is_shown: whether others see it too.
    :param is_waiting: whether the newsroom is to read it first, or again.
    :param reason: why they do not.
    """

    id: uuid.UUID
    name: str | None
    html: str | None
    created_at: datetime
    edited_at: datetime | None
    is_featured: bool = False
    replies: int = 0
    is_gone: bool = False
    is_shown: bool = True
    is_waiting: bool = False
    reason: str = ""
    is_own: bool = False
    can_edit: bool = False
    can_reply: bool = False


def entry_of(shown: ShownComment, mine: OwnComment | None, *, is_open: bool, depth: int) -> Entry:
    """A comment of the thread; the reader's own as it stands for them.

    :param mine: the same, if the reader wrote it.
    :param is_open: whether the article takes comments now.
    :param depth: how deep replies nest.
    """
    if mine and is_unseen(mine):
        return own_entry(mine, replies=shown.replies)
    is_shown = shown.status == Status.PUBLISHED
    return Entry(
        id=shown.id,
        name=shown.name,
        html=shown.html,
        created_at=shown.created_at,
        edited_at=shown.edited_at,
        is_featured=shown.is_featured,
        replies=shown.replies,
        is_gone=not is_shown,
        is_shown=is_shown,
        is_waiting=shown.status == Status.HELD,
        is_own=mine is not None,
        can_edit=mine is not None and mine.can_edit_until is not None,
        can_reply=is_open and is_shown and shown.depth < depth,
    )


def own_entry(mine: OwnComment, *, replies: int = 0) -> Entry:
    """A comment of the reader's own, wherever it stands."""
    return Entry(
        id=mine.id,
        name=mine.name,
        html=mine.html,
        created_at=mine.created_at,
        edited_at=mine.edited_at,
        replies=replies,
        is_shown=mine.status == Status.PUBLISHED,
        is_waiting=mine.status == Status.HELD,
        reason=mine.reason.text if mine.reason else "",
        is_own=True,
        can_edit=mine.can_edit_until is not None,
    )


def is_unseen(mine: OwnComment) -> bool:
    """Whether its writer alone can see a comment; what they took back is nobody's any more."""
    return mine.reason is not None and mine.reason.code != "withdrawn"
