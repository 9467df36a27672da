"""New comments' SQL: one statement on PostgreSQL, one short write transaction on SQLite. Both do the same.

Nothing outside this module knows which database it is talking to.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam, text

from pollsvc.comments import batch_steps
from pollsvc.comments.entries import CHANGES, COMMENTS, EVENTS, Entry
from pollsvc.comments.models import Comment
from pollsvc.comments.revisions import REQUESTS, REVISIONS, VERDICTS
from pollsvc.db import UtcDateTime
from pollsvc.given import GivenRows
from pollsvc.patience import HURRY

#: Where each comment was seen to stand.
_SEEN = GivenRows(
    "seen",
    {
        "id": sa.Uuid(),
        "url": sa.Text(),
        "site_comments": sa.Text(),
        "site_days": sa.Integer(),
        "comments": sa.Text(),
        "days": sa.Integer(),
        "published_at": UtcDateTime(),
    },
)
#: Each reply with each comment that it hangs below.
_ABOVE = GivenRows("above", {"reply_id": sa.Uuid(), "id": sa.Uuid()})

# A comment is left out where anything is not as it was when it was looked at, or is in somebody's hands; each of those is settled
# by itself. So nothing is waited for before all is compared, and what is compared is of that moment: whatever replies hang
# below, and the articles, whose keys a site's new address changes, are locked or passed over. What may be waited for is who
# writes the same words, and who changes the same count, for HURRY seconds: nobody waits long for another one's article.
# Comments are written in one order, so that two statements with the same words do not wait for each other in a circle.
#
# No longer than 4,096 characters: psycopg takes what is longer apart with each execution, which costs more than to run it.
_SUBMIT = """
WITH hurry AS (SELECT set_config('lock_timeout', :hurry, true)),
seen AS (SELECT s.* FROM hurry, json_to_recordset(CAST(:seen AS json)) AS s (id uuid, url text, site_comments text, site_days int,
comments text, days int, published_at timestamptz)),
above AS (SELECT * FROM json_to_recordset(CAST(:above AS json)) AS a (reply_id uuid, id uuid)),
place AS (SELECT * FROM article WHERE url IN (SELECT url FROM seen) ORDER BY id FOR KEY SHARE SKIP LOCKED),
parent AS (SELECT id, status FROM comment WHERE id IN (SELECT id FROM above)
ORDER BY depth DESC, id DESC FOR NO KEY UPDATE SKIP LOCKED),
held AS (SELECT reply_id, count(*) n FROM above JOIN parent USING (id) GROUP BY reply_id),
ins AS (INSERT INTO comment ({c.columns})
SELECT c.* FROM (SELECT {c.columns} FROM json_populate_recordset(NULL::comment, CAST(:c AS json))) AS c
JOIN seen ON seen.id = c.id JOIN place ON place.id = c.article_id JOIN site ON site.id = site_id
LEFT JOIN held ON reply_id = c.id LEFT JOIN parent ON parent.id = c.parent_id
WHERE (place.url, site.comments, site.comments_close_days, place.comments, place.comments_close_days, place.published_at)
IS NOT DISTINCT FROM (seen.url, seen.site_comments, seen.site_days, seen.comments, seen.days, seen.published_at)
AND NOT EXISTS (SELECT FROM ban
WHERE writer_key = c.writer_key AND lifted_at IS NULL AND coalesce(ends_at,'infinity') > c.created_at)
AND NOT EXISTS (SELECT FROM comment WHERE submission_key = c.submission_key)
AND (c.depth = 0 OR (held.n = c.depth AND parent.status = 'published'))
ORDER BY c.submission_key
ON CONFLICT (submission_key) DO NOTHING RETURNING id, article_id, status),
replies AS (UPDATE comment SET replies = replies + n
FROM (SELECT above.id, count(*) n FROM above JOIN ins ON ins.id = reply_id
WHERE status = 'published' GROUP BY above.id) AS more
WHERE comment.id = more.id),
revisions AS (INSERT INTO comment_revision ({r.columns})
SELECT {r.columns} FROM json_populate_recordset(NULL::comment_revision, CAST(:r AS json)) JOIN ins ON id = comment_id),
verdicts AS (INSERT INTO comment_verdict ({v.columns})
SELECT {v.columns} FROM json_populate_recordset(NULL::comment_verdict, CAST(:v AS json)) JOIN ins ON id = comment_id),
requests AS (INSERT INTO check_request ({q.columns})
SELECT {q.columns} FROM json_populate_recordset(NULL::check_request, CAST(:q AS json)) JOIN ins ON id = comment_id),
changes AS (INSERT INTO comment_change ({l.columns})
SELECT {l.columns} FROM json_populate_recordset(NULL::comment_change, CAST(:l AS json)) JOIN ins ON id = comment_id),
events AS (INSERT INTO outbox_event ({e.columns})
SELECT {e.columns} FROM json_populate_recordset(NULL::outbox_event, CAST(:e AS json)) AS e
JOIN ins ON subject = 'comment:' || ins.id),
counts AS (INSERT INTO comment_count AS t (article_id, status, n)
SELECT article_id, status, count(*) FROM ins GROUP BY 1,2 ORDER BY 1,2
ON CONFLICT (article_id, status) DO UPDATE SET n = t.n + EXCLUDED.n)
SELECT id FROM ins
"""
_ROWS = {
    rows.name: rows for rows in (_SEEN, _ABOVE, COMMENTS, REVISIONS, VERDICTS, REQUESTS, CHANGES, EVENTS)
}
# Put together from constants of this module; what readers send comes as parameters.
_STATEMENT = text(_SUBMIT.format(**_ROWS)).bindparams(
    # Without a type: PostgreSQL is told it where they stand.
    *map(bindparam, ("hurry", *_ROWS))
)


def insert_comments(connection: sa.Connection, entries: Sequence[Entry]) -> set[uuid.UUID]:
    """Write comments with all that belongs to them, where everything is still as it was when they were looked at.

    :param entries: no two of the same words.
    :returns: the ids of those that were written. Nothing was done about the others.
    """
    if connection.dialect.name == "sqlite":
        return batch_steps.insert_comments(connection, entries)
    return set(connection.scalars(_STATEMENT, _parameters(connection.dialect, entries)))


def find_written(connection: sa.Connection, entries: Sequence[Entry]) -> set[uuid.UUID]:
    """The ids of those that are there."""
    ids = [entry.standing.id for entry in entries]
    return set(connection.scalars(sa.select(Comment.id).where(Comment.id.in_(ids))))


def _parameters(dialect: sa.Dialect, entries: Sequence[Entry]) -> dict[str, str]:
    given: dict[GivenRows, Sequence[Mapping[str, Any]]] = {
        _SEEN: [_seen(entry) for entry in entries],
        _ABOVE: [
            {"reply_id": entry.standing.id, "id": each}
            for entry in entries
            for each in entry.standing.ancestors
        ],
        COMMENTS: [entry.comment for entry in entries],
        REVISIONS: [entry.text.revision for entry in entries],
        VERDICTS: [row for entry in entries for row in entry.text.verdicts],
        REQUESTS: [row for entry in entries for row in entry.text.requests],
        CHANGES: [entry.change for entry in entries],
        EVENTS: [entry.event for entry in entries],
    }
    parameters = {"hurry": f"{HURRY}s"}
    for rows, some in given.items():
        parameters |= rows.parameter(dialect, some)
    return parameters


def _seen(entry: Entry) -> dict[str, Any]:
    venue = entry.judged.venue
    assert venue.article is not None, "an article that is there"
    return {
        "id": entry.standing.id,
        "url": venue.url,
        "site_comments": venue.site.comments,
        "site_days": venue.site.comments_close_days,
        "comments": venue.article.comments,
        "days": venue.article.comments_close_days,
        "published_at": venue.article.published_at,
    }
