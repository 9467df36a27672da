"""New comments on SQLite: the rows of the one statement, step by step, in a transaction that holds the write lock."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import cast

from sqlalchemy import Connection, Table, bindparam, select, update

from pollsvc.articles.venues import venues_by_id
from pollsvc.comments.entries import Entry, replies_above, write_entries
from pollsvc.comments.facts import is_in_force
from pollsvc.comments.models import Comment, Status
from pollsvc.comments.policy_models import Ban

# Made once, and of tables: the ORM would cost more than SQLite needs to run them.
_COMMENT = cast(Table, Comment.__table__)
_SAME = select(_COMMENT.c.submission_key).where(
    _COMMENT.c.submission_key.in_(bindparam("keys", expanding=True))
)
_PUBLISHED = select(_COMMENT.c.id).where(
    _COMMENT.c.id.in_(bindparam("ids", expanding=True)), _COMMENT.c.status == str(Status.PUBLISHED)
)
_BANNED = select(Ban.writer_key).where(
    Ban.writer_key.in_(bindparam("writers", expanding=True)),
    is_in_force(bindparam("now", type_=Ban.ends_at.type)),
)
_ADD_REPLIES = (
    update(_COMMENT)
    .where(_COMMENT.c.id == bindparam("above"))
    .values(replies=_COMMENT.c.replies + bindparam("more"))
)


def insert_comments(connection: Connection, entries: Sequence[Entry]) -> set[uuid.UUID]:
    """What :func:`pollsvc.comments.batch_statement.insert_comments` promises."""
    venues = venues_by_id(connection, list({entry.standing.article_id for entry in entries}))
    same = set(connection.scalars(_SAME, {"keys": [entry.key for entry in entries]}))
    writers = [entry.judged.new.writer.key for entry in entries]
    now = min(entry.judged.now for entry in entries)
    banned = set(connection.scalars(_BANNED, {"writers": writers, "now": now}))
    parents = {parent for entry in entries if (parent := entry.standing.parent_id)}
    open_parents = set(connection.scalars(_PUBLISHED, {"ids": list(parents)})) if parents else set()
    written = [
        entry
        for entry in entries
        if venues.get(entry.standing.article_id) == entry.judged.venue
        and entry.key not in same
        and entry.judged.new.writer.key not in banned
        and (entry.standing.parent_id is None or entry.standing.parent_id in open_parents)
    ]
    if written:
        above = [{"above": id_, "more": n} for id_, n in replies_above(written).items()]
        if above:
            connection.execute(_ADD_REPLIES, above)
        write_entries(connection, written)
    return {entry.standing.id for entry in written}
