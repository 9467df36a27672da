"""What the checks are told of writers, and of texts like theirs: read before anything is written, for many at once."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from typing import cast as type_cast

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    LargeBinary,
    Row,
    ScalarSelect,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.orm import InstrumentedAttribute

from pollsvc.comments.checks.check import Likeness, WriterFacts
from pollsvc.comments.checks.repeats import NEAR, Fingerprint, likeness
from pollsvc.comments.models import APPROVED, Comment, CommentRevision, Status
from pollsvc.comments.policy_models import Ban
from pollsvc.comments.writers import Writer
from pollsvc.given import GivenRows, spaced

#: Approvals, rejections and haste are counted up to this many.
MOST_COUNTED = 20
REJECTIONS_WITHIN = timedelta(days=30)
LATELY = timedelta(minutes=10)
#: How long a text is remembered by those that come after it.
REPEATS_WITHIN = timedelta(days=7)
#: The id of no comment: a new one has none yet.
_NONE = uuid.UUID(int=0)
#: Texts that each of the five ways finds are compared, the newest first.
_MOST_ALIKE = 8


@dataclass(frozen=True)
class Questioned:
    """A text of somebody's, as the database is asked about it.

    :param email_hash: of the address that was typed, if any.
    :param fingerprint: None where the text is too short to tell.
    """

    writer: Writer
    email_hash: bytes | None
    body: str
    fingerprint: Fingerprint | None


@dataclass(frozen=True)
class Facts:
    """What is known of a text beside what it says.

    :param is_banned: whether its writer may not comment now.
    :param likenesses: texts of the last days that are the same or nearly so.
    """

    writer: WriterFacts
    is_banned: bool
    likenesses: Sequence[Likeness]


def is_in_force(now: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    """The condition of a ban that holds."""
    return Ban.lifted_at.is_(None) & or_(Ban.ends_at.is_(None), Ban.ends_at > now)


def _bind(name: str, column: InstrumentedAttribute[Any]) -> BindParameter[Any]:
    return bindparam(name, type_=column.type)


def _count(rows: Select[Any]) -> ScalarSelect[int]:
    return select(func.count()).select_from(rows.subquery()).scalar_subquery()


_BANDS = ("band_0", "band_1", "band_2", "band_3")
_ROWS = GivenRows(
    "asked",
    {
        "place": Integer(),
        **dict.fromkeys(("writer_key", "email_hash", "text_hash"), LargeBinary()),
        **dict.fromkeys(_BANDS, Integer()),
    },
)
# By a short name: psycopg takes statements of more than 4,096 characters apart with each execution.
_REVISION = type_cast(Table, CommentRevision.__table__).alias("r")


def _facts(asked: FromClause) -> Select[Any]:
    """For each text: approved, rejected and late comments of its writer, whether the address and whether the writer is banned, and
    which revisions may be like it.
    """
    is_another = Comment.id != _bind("comment_id", Comment.id)
    approved = (
        select(Comment.id)
        .where(Comment.writer_key == asked.c.writer_key, APPROVED, is_another)
        .limit(MOST_COUNTED)
        .correlate(asked)
    )
    recent = (
        select(Comment.id, Comment.created_at)
        .where(Comment.writer_key == asked.c.writer_key, is_another)
        .order_by(Comment.id.desc())
        .limit(MOST_COUNTED)
        .correlate(asked)
        .subquery("recent")
    )
    # Taking back what was turned down makes nobody's record better. What was published in the end does.
    rejected = (
        select(Comment.id)
        .where(
            Comment.writer_key == asked.c.writer_key,
            Comment.turned_down_at > _bind("rejections_since", Comment.decided_at),
            Comment.status != Status.PUBLISHED,
            is_another,
        )
        .limit(MOST_COUNTED)
        .correlate(asked)
    )
    lately = select(recent.c.id).where(recent.c.created_at > _bind("lately_since", Comment.created_at))
    now = _bind("now", Ban.ends_at)
    # Counted up to one, and not asked whether they exist: PostgreSQL would then read all bans first. A hash that is None equals
    # none.
    bans = [
        select(Ban.id).where(column == wanted, is_in_force(now)).limit(1).correlate(asked)
        for column, wanted in ((Ban.email_hash, asked.c.email_hash), (Ban.writer_key, asked.c.writer_key))
    ]
    return select(
        asked.c.place,
        *map(_count, (approved, rejected, lately, *bans)),
        *(_alike(asked, band) for band in ("text_hash", *_BANDS)),
    )


def _alike(asked: FromClause, band: str) -> ScalarSelect[str]:
    """Id and number of the newest revisions with the same number, as one text."""
    rows = (
        select(_REVISION.c.comment_id, _REVISION.c.number)
        .where(
            _REVISION.c[band] == asked.c[band],
            _REVISION.c.created_at > _bind("since", CommentRevision.created_at),
        )
        .order_by(_REVISION.c.created_at.desc())
        .limit(_MOST_ALIKE)
        .correlate(asked)
        .subquery()
    )
    line = cast(rows.c.comment_id, Text) + literal_column("':'") + cast(rows.c.number, Text)
    return select(spaced(line)).select_from(rows).scalar_subquery()


# Made once: with each comment, making them would cost more than asking them.
_FACTS = {dialect: _facts(_ROWS.source(dialect)) for dialect in ("sqlite", "postgresql")}
_TEXTS = (
    select(
        CommentRevision.comment_id,
        CommentRevision.number,
        CommentRevision.text_hash,
        CommentRevision.body,
        Comment.writer_key,
    )
    .join(Comment, Comment.id == CommentRevision.comment_id)
    .where(CommentRevision.comment_id.in_(bindparam("ids", expanding=True)))
)


def find_facts(
    connection: Connection, asked: Sequence[Questioned], now: datetime, comment_id: uuid.UUID | None = None
) -> list[Facts]:
    """What is known of some texts and of who wrote them, in their order.

    :param comment_id: the comment that is edited, which does not speak for or against itself.
    """
    given: dict[str, Any] = {
        **_ROWS.parameter(connection.dialect, [_row(place, each) for place, each in enumerate(asked)]),
        "comment_id": comment_id or _NONE,
        "now": now,
        "rejections_since": now - REJECTIONS_WITHIN,
        "lately_since": now - LATELY,
        "since": now - REPEATS_WITHIN,
    }
    rows = sorted(connection.execute(_FACTS[connection.dialect.name], given), key=lambda row: row[0])
    alike = [_revisions(row[6:]) for row in rows]
    texts = _texts_of(connection, {key for keys in alike for key in keys if key[0] != comment_id})
    return [
        _facts_of(asked, row, [texts[key] for key in keys if key in texts])
        for row, keys in zip(rows, alike, strict=True)
    ]


def _facts_of(asked: Sequence[Questioned], row: Row[Any], texts: Iterable[Row[Any]]) -> Facts:
    place, approved, rejected, lately, is_address_banned, is_banned = tuple(row)[:6]
    mine = asked[place]
    # What is asked about with it came a moment before, and is in no table yet.
    beside = asked[:place]
    haste = sum(each.writer == mine.writer for each in beside)
    likenesses = [_likeness(mine, text.body or "", text.text_hash, text.writer_key) for text in texts]
    likenesses += [
        _likeness(mine, each.body, each.fingerprint.text_hash, each.writer.key)
        for each in beside
        if each.fingerprint and mine.fingerprint and each.fingerprint.may_be_like(mine.fingerprint)
    ]
    return Facts(
        WriterFacts(approved, rejected, lately + haste, is_address_banned=bool(is_address_banned)),
        bool(is_banned),
        [each for each in likenesses if each.score >= NEAR],
    )


def _row(place: int, asked: Questioned) -> dict[str, Any]:
    found = asked.fingerprint
    bands: Sequence[int | None] = found.bands if found else (None,) * len(_BANDS)
    return {
        "place": place,
        "writer_key": asked.writer.key,
        "email_hash": asked.email_hash,
        "text_hash": found.text_hash if found else None,
        **dict(zip(_BANDS, bands, strict=True)),
    }


_Revision = tuple[uuid.UUID, int]


def _revisions(lines: Sequence[str | None]) -> set[_Revision]:
    parted = (each.split(":") for line in lines if line for each in line.split(" "))
    return {(uuid.UUID(comment_id), int(number)) for comment_id, number in parted}


def _texts_of(connection: Connection, revisions: set[_Revision]) -> Mapping[_Revision, Row[Any]]:
    if not revisions:
        return {}
    rows: Iterable[Row[Any]] = connection.execute(
        _TEXTS, {"ids": list({comment_id for comment_id, _ in revisions})}
    )
    return {(row.comment_id, row.number): row for row in rows}


def _likeness(mine: Questioned, body: str, text_hash: bytes | None, writer_key: bytes) -> Likeness:
    found = mine.fingerprint
    is_same = found is not None and text_hash == found.text_hash
    return Likeness(1.0 if is_same else likeness(mine.body, body), is_own=writer_key == mine.writer.key)
