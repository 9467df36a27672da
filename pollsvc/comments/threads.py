"""A thread as readers see it: published comments, and the places of those that are not (any more) where something hangs below."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import Connection, Select, Table, select, tuple_

from pollsvc.articles.urls import ArticleAddress
from pollsvc.articles.venues import ARTICLE, VENUES, sought, venue_of
from pollsvc.comments.models import IN_THREAD, Comment, CommentCount, Status
from pollsvc.errors import one_field
from pollsvc.keys import BadToken, Keys


class Order(StrEnum):
    """What comes first."""

    OLDEST = "oldest"
    NEWEST = "newest"
    MOST_REPLIED = "most_replied"


@dataclass(frozen=True)
class Place:
    """Where a page of a thread ends.

    :param replies: of the last comment; of use where the most replied come first.
    """

    replies: int
    comment_id: uuid.UUID


@dataclass(frozen=True)
class Discussion:
    """The comments of an article as a whole.

    :param article_url: the canonical address.
    :param article_id: None where it has no row yet.
    :param mode: how it takes comments by now.
    :param total: published comments.
    """

    article_url: str
    article_id: uuid.UUID | None
    mode: str
    total: int


@dataclass(frozen=True)
class ShownComment:
    """A comment in its thread; without name and text where it is not published (any more)."""

    id: uuid.UUID
    parent_id: uuid.UUID | None
    depth: int
    status: str
    name: str | None
    body: str | None
    html: str | None
    is_featured: bool
    is_account: bool
    replies: int
    created_at: datetime
    edited_at: datetime | None


@dataclass(frozen=True)
class Asked:
    """A page of a thread that somebody wants.

    :param parent_id: whose direct replies; None for what stands at the top.
    :param after: where the page before ended.
    """

    address: ArticleAddress
    parent_id: uuid.UUID | None
    order: Order
    after: Place | None
    limit: int


@dataclass(frozen=True)
class ThreadPage:
    """One page of a thread, and how its article takes comments.

    :param article_url: the canonical address.
    :param next_cursor: where the next page begins; None after the last.
    :param comments: ``open``, ``premoderated``, ``closed`` or ``off``; where they are off, nothing is listed.
    :param total: published comments of the article.
    """

    article_url: str
    items: Sequence[ShownComment]
    next_cursor: str | None
    comments: str
    total: int


# Made once, and of tables: the ORM would cost more than the database.
_COMMENT, _COUNT = (cast(Table, model.__table__) for model in (Comment, CommentCount))
_DISCUSSIONS = VENUES.add_columns(_COUNT.c.n).outerjoin(
    _COUNT, (_COUNT.c.article_id == ARTICLE.c.id) & (_COUNT.c.status == str(Status.PUBLISHED))
)
_COLUMNS = (
    _COMMENT.c.id,
    _COMMENT.c.parent_id,
    _COMMENT.c.depth,
    _COMMENT.c.status,
    _COMMENT.c.shown_name,
    _COMMENT.c.shown_text,
    _COMMENT.c.shown_html,
    _COMMENT.c.is_featured,
    _COMMENT.c.is_account,
    _COMMENT.c.replies,
    _COMMENT.c.created_at,
    _COMMENT.c.edited_at,
)


def find_discussion(connection: Connection, address: ArticleAddress, now: datetime) -> Discussion | None:
    """The discussion of an article; None where no site owns its host. One query."""
    row = connection.execute(_DISCUSSIONS, sought(address)).one_or_none()
    if row is None:
        return None
    venue = venue_of(row)
    mode = venue.mode(now)
    # An article without comments tells of none that it had.
    return Discussion(venue.url, venue.article_id, mode, 0 if mode == "off" else row.n or 0)


def read_page(connection: Connection, keys: Keys, asked: Asked, now: datetime) -> ThreadPage | None:
    """One page of the comments of an article, or of the direct replies to one of them; None where no site owns its host."""
    found = find_discussion(connection, asked.address, now)
    if found is None:
        return None
    if found.article_id is None or found.mode == "off":
        return ThreadPage(found.article_url, [], None, found.mode, found.total)
    items, place = read_thread(
        connection,
        found.article_id,
        parent_id=asked.parent_id,
        order=asked.order,
        after=asked.after,
        limit=asked.limit,
    )
    cursor = write_place(keys, purpose_of(asked.order), place)
    return ThreadPage(found.article_url, items, cursor, found.mode, found.total)


def purpose_of(order: Order) -> str:
    """What cursors of threads in an order are signed for."""
    return f"cursor comments {order}"


def read_place(keys: Keys, purpose: str, cursor: str | None) -> Place | None:
    """The place that a cursor stands for.

    :raises Invalid: if it was not made for this purpose; the field is ``cursor``.
    """
    if not cursor:
        return None
    try:
        place = keys.unsign(purpose, cursor)
        return Place(int.from_bytes(place[:8]), uuid.UUID(bytes=place[8:]))
    except (BadToken, ValueError) as error:
        raise one_field("cursor", "Must be a next_cursor of an earlier answer.") from error


def write_place(keys: Keys, purpose: str, place: Place | None) -> str | None:
    """The cursor of a place."""
    return keys.sign(purpose, place.replies.to_bytes(8) + place.comment_id.bytes) if place else None


def read_thread(
    connection: Connection,
    article_id: uuid.UUID,
    *,
    parent_id: uuid.UUID | None,
    order: Order,
    after: Place | None,
    limit: int,
) -> tuple[Sequence[ShownComment], Place | None]:
    """One page: the comments of an article, or the direct replies to one of them.

    :param after: where the page before ended.
    :returns: the comments, and where the page ends if there are more.
    """
    rows = _thread(article_id, parent_id, order, after).limit(limit + 1)
    found = [_shown(row) for row in connection.execute(rows)]
    if len(found) <= limit:
        return found, None
    last = found[limit - 1]
    return found[:limit], Place(last.replies, last.id)


def read_chain(connection: Connection, comment_id: uuid.UUID) -> Sequence[ShownComment]:
    """A published comment below all that it hangs below, from the top; empty where nothing published has this id."""
    ancestors = connection.scalar(
        select(_COMMENT.c.ancestors).where(
            _COMMENT.c.id == comment_id, _COMMENT.c.status == str(Status.PUBLISHED)
        )
    )
    return [] if ancestors is None else read_above(connection, [*ancestors, str(comment_id)])


def read_place_of(connection: Connection, url: str, comment_id: uuid.UUID) -> Sequence[ShownComment]:
    """A comment that an article's thread lists, below all that it hangs below; empty where the thread has none such."""
    ancestors = connection.scalar(
        select(_COMMENT.c.ancestors)
        .join(ARTICLE, ARTICLE.c.id == _COMMENT.c.article_id)
        .where(_COMMENT.c.id == comment_id, ARTICLE.c.url == url, IN_THREAD)
    )
    return [] if ancestors is None else read_above(connection, [*ancestors, str(comment_id)])


def read_above(connection: Connection, ids: Sequence[str]) -> Sequence[ShownComment]:
    """Comments that hang below each other, from the top, as the public sees them."""
    found = select(*_COLUMNS).where(_COMMENT.c.id.in_(list(map(uuid.UUID, ids))))
    return [_shown(row) for row in connection.execute(found.order_by(_COMMENT.c.depth))]


def _thread(
    article_id: uuid.UUID, parent_id: uuid.UUID | None, order: Order, after: Place | None
) -> Select[Any]:
    ids, replies = _COMMENT.c.id, _COMMENT.c.replies
    # The condition of the partial indexes, word for word.
    rows = select(*_COLUMNS).where(_COMMENT.c.below_id == (parent_id or article_id), IN_THREAD)
    if parent_id:
        # Of this article: what another one has may not be for readers.
        rows = rows.where(_COMMENT.c.article_id == article_id)
    if order == Order.MOST_REPLIED:
        if after:
            rows = rows.where(tuple_(replies, ids) < tuple_(after.replies, after.comment_id))
        return rows.order_by(replies.desc(), ids.desc())
    if after:
        rows = rows.where(ids > after.comment_id if order == Order.OLDEST else ids < after.comment_id)
    return rows.order_by(ids if order == Order.OLDEST else ids.desc())


def _shown(row: Any) -> ShownComment:
    shown = ShownComment(*row)
    if shown.status == Status.PUBLISHED:
        return shown
    # What is looked at again may come back. Which of the ways all else went is not the public's.
    status = str(Status.HELD if shown.status == Status.HELD else Status.REMOVED)
    gone = {"status": status, "name": None, "body": None, "html": None}
    return ShownComment(**{**shown.__dict__, **gone, "is_featured": False, "is_account": False})
