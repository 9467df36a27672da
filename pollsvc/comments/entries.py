"""A comment that was looked at becomes rows, all of one transaction: the comment, its text, its first change, what is told, the
counts.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from uuid_utils.compat import uuid7

from pollsvc.articles.venues import Venue
from pollsvc.comments.counts import add_counts
from pollsvc.comments.judging import Judgement
from pollsvc.comments.models import Comment, CommentChange, Status
from pollsvc.comments.revisions import RevisionRows, revision_rows, write_revisions
from pollsvc.comments.status import Change, Standing, change_row, is_turned_down, told_row
from pollsvc.comments.writers import Writer
from pollsvc.given import GivenRows
from pollsvc.keys import Keys
from pollsvc.outbox.models import OutboxEvent

COMMENTS = GivenRows.of_table(
    "c",
    Comment,
    *("id", "article_id", "parent_id", "below_id", "ancestors", "depth", "writer_key", "is_account", "name"),
    *("email", "email_hash", "status", "version", "revision", "decided_by", "is_featured", "shown_name"),
    *("shown_text", "shown_html", "replies", "open_reports", "submission_key", "created_at", "decided_at"),
    "turned_down_at",
)
CHANGES = GivenRows.of_table(
    "l", CommentChange, "comment_id", "version", "action", "after", "revision", "actor", "occurred_at"
)
EVENTS = GivenRows.of_table(
    "e", OutboxEvent, "key", "kind", "site_id", "subject", "data", "is_fanned_out", "occurred_at"
)


@dataclass(frozen=True, kw_only=True)
class NewComment:
    """What a reader sends.

    :param email: of accounts the one that their login has, if any: its keyed hash is kept, and it is not.
    """

    article_url: str
    parent_id: uuid.UUID | None
    writer: Writer
    name: str
    email: str | None
    body: str
    is_suspect: bool


@dataclass(frozen=True)
class Judged:
    """A comment that was looked at, ready to be written.

    :param venue: as it was then.
    :param above: ids of what it hangs below, from the top.
    :param mode: how its article took comments then.
    """

    new: NewComment
    venue: Venue
    above: Sequence[str]
    email_hash: bytes | None
    mode: str
    judgement: Judgement
    now: datetime


@dataclass(frozen=True)
class Entry:
    """The rows of a new comment.

    :param key: the same for the same words by the same writer in the same place.
    """

    judged: Judged
    key: bytes
    standing: Standing
    comment: Mapping[str, Any]
    text: RevisionRows
    change: Mapping[str, Any]
    event: Mapping[str, Any]


def submission_key(keys: Keys, new: NewComment, url: str) -> bytes:
    """What the same words by the same writer in the same place have in common.

    :param url: of the article, canonical.
    """
    parts = (url.encode(), new.parent_id.bytes if new.parent_id else b"", new.writer.key)
    return keys.digest("comment submission", *parts, new.name.encode(), new.body.encode())


def make_entry(keys: Keys, judged: Judged) -> Entry:
    """The rows of a comment on an article that is there."""
    new, judgement, now, venue = judged.new, judged.judgement, judged.now, judged.venue
    assert venue.article_id is not None, "an article that is there"
    standing = Standing(
        id=uuid7(),
        article_id=venue.article_id,
        site_id=venue.site_id,
        article_url=venue.url,
        parent_id=new.parent_id,
        ancestors=list(judged.above),
        status=judgement.status,
        version=1,
        revision=1,
        decided_by=judgement.actor,
        is_featured=False,
    )
    key, is_shown = submission_key(keys, new, venue.url), judgement.status == Status.PUBLISHED
    comment = {
        "id": standing.id,
        "article_id": venue.article_id,
        "parent_id": new.parent_id,
        "below_id": new.parent_id or venue.article_id,
        "ancestors": list(judged.above),
        "depth": len(judged.above),
        "writer_key": new.writer.key,
        "is_account": new.writer.is_account,
        "name": new.name,
        "email": None if new.writer.is_account else new.email,
        "email_hash": judged.email_hash,
        "status": judgement.status,
        "version": 1,
        "revision": 1,
        "decided_by": judgement.actor,
        "is_featured": False,
        "shown_name": new.name if is_shown else None,
        "shown_text": new.body if is_shown else None,
        "shown_html": judgement.text.marked_up.html if is_shown else None,
        "replies": 0,
        "open_reports": 0,
        "submission_key": key,
        "created_at": now,
        "decided_at": now,
        "turned_down_at": now if is_turned_down(judgement.status, judgement.actor) else None,
    }
    change = Change(action="submit", after=standing.status, actor=judgement.actor)
    return Entry(
        judged,
        key,
        standing,
        comment,
        revision_rows(standing.id, 1, judgement, now),
        change_row(standing, None, change, now),
        told_row(standing, change, now),
    )


def write_entries(connection: Connection, entries: Sequence[Entry]) -> None:
    """Write comments of which none is there, below what is ours until the transaction ends. Replies above are counted before."""
    COMMENTS.insert(connection, [entry.comment for entry in entries])
    write_beside(connection, entries)


def write_beside(connection: Connection, entries: Sequence[Entry]) -> None:
    """Write all but the comments themselves. The counts come last: all who write below an article share their rows."""
    write_revisions(connection, [entry.text for entry in entries])
    CHANGES.insert(connection, [entry.change for entry in entries])
    EVENTS.insert(connection, [entry.event for entry in entries])
    add_counts(connection, Counter((entry.standing.article_id, entry.standing.status) for entry in entries))


def replies_above(entries: Iterable[Entry]) -> Counter[uuid.UUID]:
    """How many published replies come below each comment."""
    return Counter(
        uuid.UUID(each)
        for entry in entries
        if entry.standing.status == Status.PUBLISHED
        for each in entry.standing.ancestors
    )
