"""New comments' SQL: one statement on PostgreSQL, one short write transaction on SQLite. Both do the same.

Nothing outside this module knows which database it is talking to.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import orjson
import sqlalchemy as sa
from sqlalchemy import bindparam, text
from sqlalchemy.dialects import postgresql

from pollsvc.comments import batch_steps
from pollsvc.comments.entries import Entry
from pollsvc.comments.models import Comment, CommentChange, CommentRevision, CommentVerdict
from pollsvc.comments.policy_models import CheckRequest
from pollsvc.db import Model, UtcDateTime
from pollsvc.outbox.models import OutboxEvent
from pollsvc.patience import HURRY


class _Rows:
    """Rows as parameters, an array for each column: ``FROM {unfolded}`` makes rows of them again.

    JSON comes as text, for an array in an array would have to be rectangular.

    :param name: of the rows in the statement.
    """

    def __init__(self, name: str, types: Mapping[str, sa.types.TypeEngine[Any]]) -> None:
        self._name = name
        self._json = {column for column, type_ in types.items() if isinstance(type_, sa.JSON)}
        self._types = {
            column: sa.Text() if column in self._json else type_ for column, type_ in types.items()
        }
        self.columns = ", ".join(types)
        self.values = ", ".join(
            f"CAST({name}.{column} AS json)" if column in self._json else f"{name}.{column}"
            for column in types
        )
        arrays = ", ".join(f":{name}_{column}" for column in self._types)
        self.unfolded = f"unnest({arrays}) AS {name} ({self.columns})"

    @classmethod
    def of_table(cls, name: str, model: type[Model], *columns: str) -> _Rows:
        table = cast(sa.Table, model.__table__)
        return cls(name, {column: table.c[column].type for column in columns})

    def bound(self) -> Iterable[sa.BindParameter[Any]]:
        for column, type_ in self._types.items():
            yield bindparam(f"{self._name}_{column}", type_=postgresql.ARRAY(type_))

    def given(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
        return {
            f"{self._name}_{column}": [
                orjson.dumps(row[column]).decode() if column in self._json else row[column] for row in rows
            ]
            for column in self._types
        }


_C = _Rows.of_table(
    "c",
    Comment,
    *("id", "article_id", "parent_id", "below_id", "ancestors", "depth", "writer_key", "is_account", "name"),
    *("email", "email_hash", "status", "version", "revision", "decided_by", "is_featured", "shown_name"),
    *("shown_text", "shown_html", "replies", "open_reports", "submission_key", "created_at", "decided_at"),
)
_R = _Rows.of_table(
    "r",
    CommentRevision,
    *("comment_id", "number", "body", "text_hash", "band_0", "band_1", "band_2", "band_3"),
    *("policy_version", "outcome", "because", "created_at"),
)
_V = _Rows.of_table(
    "v",
    CommentVerdict,
    *("comment_id", "revision", "name", "version", "state", "score", "spans", "reason", "milliseconds"),
)
_Q = _Rows.of_table("q", CheckRequest, "comment_id", "revision", "name", "attempts", "due_at")
_L = _Rows.of_table(
    "l", CommentChange, "comment_id", "version", "action", "after", "revision", "actor", "occurred_at"
)
_E = _Rows.of_table(
    "e", OutboxEvent, "key", "kind", "site_id", "subject", "data", "is_fanned_out", "occurred_at"
)
#: Where each comment was seen to stand.
_SEEN = _Rows(
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
_ABOVE = _Rows("above", {"reply_id": sa.Uuid(), "id": sa.Uuid()})

# A comment is left out where anything is not as it was when it was looked at, or is in somebody's hands; each of those is settled
# by itself. So nothing is waited for before all is compared, and what is compared is of that moment: whatever replies hang
# below, and the articles, whose keys a site's new address changes, are locked or passed over. What may be waited for is who
# writes the same words, and who changes the same count, for HURRY seconds: nobody waits long for another one's article.
# Comments are written in one order, so that two statements with the same words do not wait for each other in a circle.
_SUBMIT = """
WITH hurry AS MATERIALIZED (SELECT set_config('lock_timeout', CAST(:hurry AS text), true)),
seen AS MATERIALIZED (SELECT seen.* FROM hurry, {seen.unfolded}),
above AS MATERIALIZED (SELECT above.* FROM {above.unfolded}),
place AS MATERIALIZED (
  SELECT article.* FROM article WHERE article.url IN (SELECT seen.url FROM seen)
   ORDER BY article.id FOR KEY SHARE SKIP LOCKED),
parent AS MATERIALIZED (
  SELECT comment.id, comment.status FROM comment WHERE comment.id IN (SELECT above.id FROM above)
   ORDER BY comment.depth DESC, comment.id DESC FOR NO KEY UPDATE SKIP LOCKED),
held AS MATERIALIZED (
  SELECT above.reply_id, count(*) AS n FROM above JOIN parent ON parent.id = above.id GROUP BY above.reply_id),
ins AS (
  INSERT INTO comment ({c.columns})
  SELECT {c.values} FROM {c.unfolded} JOIN seen ON seen.id = c.id
    JOIN place ON place.id = c.article_id JOIN site ON site.id = place.site_id
    LEFT JOIN held ON held.reply_id = c.id LEFT JOIN parent ON parent.id = c.parent_id
   WHERE place.url = seen.url AND site.comments = seen.site_comments
     AND site.comments_close_days IS NOT DISTINCT FROM seen.site_days
     AND place.comments IS NOT DISTINCT FROM seen.comments
     AND place.comments_close_days IS NOT DISTINCT FROM seen.days
     AND place.published_at IS NOT DISTINCT FROM seen.published_at
     AND NOT EXISTS (SELECT 1 FROM ban WHERE ban.writer_key = c.writer_key AND ban.lifted_at IS NULL
                                         AND (ban.ends_at IS NULL OR ban.ends_at > c.created_at))
     AND NOT EXISTS (SELECT 1 FROM comment AS same WHERE same.submission_key = c.submission_key)
     AND (c.depth = 0 OR (held.n = c.depth AND parent.status = 'published'))
   ORDER BY c.submission_key
  ON CONFLICT (submission_key) DO NOTHING RETURNING id, article_id, status),
replies AS (
  UPDATE comment SET replies = comment.replies + more.n
    FROM (SELECT above.id, count(*) AS n FROM above JOIN ins ON ins.id = above.reply_id
           WHERE ins.status = 'published' GROUP BY above.id) AS more
   WHERE comment.id = more.id),
revisions AS (
  INSERT INTO comment_revision ({r.columns})
  SELECT {r.values} FROM ins JOIN {r.unfolded} ON r.comment_id = ins.id),
verdicts AS (
  INSERT INTO comment_verdict ({v.columns})
  SELECT {v.values} FROM ins JOIN {v.unfolded} ON v.comment_id = ins.id),
requests AS (
  INSERT INTO check_request ({q.columns})
  SELECT {q.values} FROM ins JOIN {q.unfolded} ON q.comment_id = ins.id),
changes AS (
  INSERT INTO comment_change ({l.columns})
  SELECT {l.values} FROM ins JOIN {l.unfolded} ON l.comment_id = ins.id),
events AS (
  INSERT INTO outbox_event ({e.columns})
  SELECT {e.values} FROM ins JOIN {e.unfolded} ON e.subject = 'comment:' || ins.id),
counts AS (
  INSERT INTO comment_count AS t (article_id, status, n)
  SELECT ins.article_id, ins.status, count(*) FROM ins GROUP BY ins.article_id, ins.status
   ORDER BY ins.article_id, ins.status
  ON CONFLICT ON CONSTRAINT pk_comment_count DO UPDATE SET n = t.n + EXCLUDED.n)
SELECT ins.id FROM ins
"""
_ROWS = {"seen": _SEEN, "above": _ABOVE, "c": _C, "r": _R, "v": _V, "q": _Q, "l": _L, "e": _E}
# Put together from constants of this module; what readers send comes as parameters.
_STATEMENT = text(_SUBMIT.format(**_ROWS)).bindparams(
    bindparam("hurry", type_=sa.Text), *(parameter for rows in _ROWS.values() for parameter in rows.bound())
)


def insert_comments(connection: sa.Connection, entries: Sequence[Entry]) -> set[uuid.UUID]:
    """Write comments with all that belongs to them, where everything is still as it was when they were looked at.

    :param entries: no two of the same words.
    :returns: the ids of those that were written. Nothing was done about the others.
    """
    if connection.dialect.name == "sqlite":
        return batch_steps.insert_comments(connection, entries)
    return set(connection.scalars(_STATEMENT, _parameters(entries)))


def find_written(connection: sa.Connection, entries: Sequence[Entry]) -> set[uuid.UUID]:
    """The ids of those that are there."""
    ids = [entry.standing.id for entry in entries]
    return set(connection.scalars(sa.select(Comment.id).where(Comment.id.in_(ids))))


def _parameters(entries: Sequence[Entry]) -> dict[str, Any]:
    above = [
        {"reply_id": entry.standing.id, "id": uuid.UUID(each)}
        for entry in entries
        for each in entry.standing.ancestors
    ]
    return {
        "hurry": f"{HURRY}s",
        **_SEEN.given([_seen(entry) for entry in entries]),
        **_ABOVE.given(above),
        **_C.given([entry.comment for entry in entries]),
        **_R.given([entry.text.revision for entry in entries]),
        **_V.given([row for entry in entries for row in entry.text.verdicts]),
        **_Q.given([row for entry in entries for row in entry.text.requests]),
        **_L.given([entry.change for entry in entries]),
        **_E.given([entry.event for entry in entries]),
    }


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
