"""What the checks are told of a writer and of texts like theirs: read before anything is written."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    bindparam,
    exists,
    func,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute

from pollsvc.comments.checks.check import Likeness
from pollsvc.comments.checks.repeats import NEAR, Fingerprint, likeness
from pollsvc.comments.models import Comment, CommentChange, CommentRevision, Status
from pollsvc.comments.policy_models import Ban
from pollsvc.comments.writers import Writer

#: Approvals are counted up to this many.
MOST_APPROVALS = 20
REJECTIONS_WITHIN = timedelta(days=30)
LATELY = timedelta(minutes=10)
#: How long a text is remembered by those that come after it.
REPEATS_WITHIN = timedelta(days=7)
#: The id of no comment: a new one has none yet.
_NONE = uuid.UUID(int=0)
#: Texts that each of the five ways finds are compared, the newest first.
_MOST_ALIKE = 8


def is_in_force(now: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    """The condition of a ban that holds."""
    return Ban.lifted_at.is_(None) & or_(Ban.ends_at.is_(None), Ban.ends_at > now)


def _up_to(rows: Select[Any]) -> Any:
    return select(func.count()).select_from(rows.limit(MOST_APPROVALS).subquery()).scalar_subquery()


def _bind(name: str, column: InstrumentedAttribute[Any]) -> BindParameter[Any]:
    return bindparam(name, type_=column.type)


# Statements are made once: with each comment, making them would cost more than asking them.
_NOW = _bind("now", Comment.decided_at)
_THEIRS = select(Comment.id).where(
    Comment.writer_key == _bind("writer_key", Comment.writer_key),
    Comment.id != _bind("comment_id", Comment.id),
)
_APPROVED = _THEIRS.where(Comment.status == Status.PUBLISHED, Comment.decided_by.like("token:%"))
# By the log: taking back what was turned down makes nobody's record better. What was published in the end does.
_TURNED_DOWN = CommentChange.after.in_((Status.REJECTED, Status.SPAM)) | (
    (CommentChange.after == Status.REMOVED) & CommentChange.actor.like("token:%")
)
_REJECTED = _THEIRS.where(
    Comment.status != Status.PUBLISHED,
    exists().where(
        CommentChange.comment_id == Comment.id,
        CommentChange.occurred_at > _bind("rejections_since", CommentChange.occurred_at),
        _TURNED_DOWN,
    ),
)
_LATELY = _THEIRS.where(Comment.created_at > _bind("lately_since", Comment.created_at))
# A hash that is None equals none.
_ADDRESS_BANNED = exists().where(Ban.email_hash == _bind("email_hash", Ban.email_hash), is_in_force(_NOW))
_BANNED = exists().where(Ban.writer_key == _bind("writer_key", Ban.writer_key), is_in_force(_NOW))
#: What is known of a writer, for :mod:`pollsvc.comments.grounds`: approved, rejected and late comments, whether the address and
#: whether the writer is banned.
FACTS: Sequence[ColumnElement[Any]] = (
    _up_to(_APPROVED),
    _up_to(_REJECTED),
    _up_to(_LATELY),
    select(_ADDRESS_BANNED).scalar_subquery(),
    select(_BANNED).scalar_subquery(),
)


def asked_of(
    writer: Writer, email_hash: bytes | None, now: datetime, comment_id: uuid.UUID | None
) -> dict[str, Any]:
    """What :data:`FACTS` are asked with.

    :param comment_id: the comment that is edited, which does not speak for or against itself.
    """
    return {
        "writer_key": writer.key,
        "comment_id": comment_id or _NONE,
        "email_hash": email_hash,
        "now": now,
        "rejections_since": now - REJECTIONS_WITHIN,
        "lately_since": now - LATELY,
    }


def _newest(condition: ColumnElement[bool]) -> Select[Any]:
    rows = (
        select(CommentRevision.comment_id, CommentRevision.number)
        .where(condition, CommentRevision.created_at > _bind("since", CommentRevision.created_at))
        .order_by(CommentRevision.created_at.desc())
        .limit(_MOST_ALIKE)
        .subquery()
    )
    return select(rows.c.comment_id, rows.c.number)


_BANDS = (CommentRevision.band_0, CommentRevision.band_1, CommentRevision.band_2, CommentRevision.band_3)
_FOUND = union_all(
    _newest(CommentRevision.text_hash == _bind("text_hash", CommentRevision.text_hash)),
    *(_newest(band == _bind(band.key, band)) for band in _BANDS),
).subquery("found")
_ALIKE = (
    select(CommentRevision.comment_id, CommentRevision.text_hash, CommentRevision.body, Comment.writer_key)
    .join(
        _FOUND,
        (_FOUND.c.comment_id == CommentRevision.comment_id) & (_FOUND.c.number == CommentRevision.number),
    )
    .join(Comment, Comment.id == CommentRevision.comment_id)
    .where(Comment.id != _bind("comment_id", Comment.id))
    .distinct()
)


def likenesses_of(
    connection: Connection,
    body: str,
    fingerprint: Fingerprint | None,
    *,
    writer: Writer,
    now: datetime,
    comment_id: uuid.UUID | None,
) -> Sequence[Likeness]:
    """Texts of the last days that are the same or nearly so; those of other comments than this one."""
    if fingerprint is None:
        return []
    given: dict[str, Any] = {band.key: value for band, value in zip(_BANDS, fingerprint.bands, strict=True)}
    given |= {
        "text_hash": fingerprint.text_hash,
        "since": now - REPEATS_WITHIN,
        "comment_id": comment_id or _NONE,
    }
    alike = []
    for _, text_hash, text, writer_key in connection.execute(_ALIKE, given):
        score = 1.0 if text_hash == fingerprint.text_hash else likeness(body, text or "")
        if score >= NEAR:
            alike.append(Likeness(score, is_own=writer_key == writer.key))
    return alike
