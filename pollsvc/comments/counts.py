"""How many comments there are: counts that change with the comments, and what holds them to these."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, Table, delete, func, insert, literal, select, union_all, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased

from pollsvc.articles.models import Article, Site
from pollsvc.comments.models import Comment, CommentCount, CommentReport, Status
from pollsvc.db import insert_into


@dataclass(frozen=True)
class Difference:
    """A count that is not what the comments say.

    :param what: ``comments`` of an article in a status, ``replies`` below a comment, or open ``reports`` of one.
    :param subject: the id of the article or comment.
    """

    what: str
    subject: uuid.UUID
    status: str | None
    counted: int
    found: int


_COUNT = cast(Table, CommentCount.__table__)


def _adding(row: sqlite.Insert | postgresql.Insert) -> sqlite.Insert | postgresql.Insert:
    return row.on_conflict_do_update(
        index_elements=["article_id", "status"], set_={"n": _COUNT.c.n + row.excluded.n}
    )


# Made once: it runs with each comment.
_ADD = {"sqlite": _adding(sqlite.insert(_COUNT)), "postgresql": _adding(postgresql.insert(_COUNT))}


def add_counts(connection: Connection, more: Mapping[tuple[uuid.UUID, str], int]) -> None:
    """Add to counts, by article and status; never below nought. The last thing that a change does: the rows are those that all
    who write below an article share. In one order, so that nobody waits in a circle.
    """
    rows = [
        {"article_id": article_id, "status": status, "n": more[article_id, status]}
        for article_id, status in sorted(more)
    ]
    connection.execute(_ADD[connection.dialect.name], rows)


def count(session: Session, article_id: uuid.UUID, status: str, by: int) -> None:
    """Add to a count, or take away from it."""
    if by > 0:
        add_counts(session.connection(), {(article_id, status): by})
        return
    # PostgreSQL would look at the row to insert first, and refuse what is below nought.
    theirs = update(CommentCount).where(CommentCount.article_id == article_id, CommentCount.status == status)
    session.execute(theirs.values(n=CommentCount.n + by).execution_options(synchronize_session=False))


def lock_counts(session: Session, article_ids: Iterable[uuid.UUID]) -> None:
    """Have all counts of articles to oneself, for whoever changes several comments at once.

    In one order, so that nobody waits in a circle; what is not there yet is made, for it could not be locked.
    """
    for article_id in sorted(article_ids):
        rows = [{"article_id": article_id, "status": status, "n": 0} for status in sorted(Status)]
        session.execute(
            insert_into(session, CommentCount)
            .values(rows)
            .on_conflict_do_update(index_elements=["article_id", "status"], set_={"n": CommentCount.n + 0})
        )


def published_counts(session: Session, urls: Sequence[str]) -> dict[str, int]:
    """How many comments articles show, by their canonical addresses; 0 where they are off, or nothing is known of one."""
    rows = session.execute(
        select(Article.url, CommentCount.n)
        .join(CommentCount, CommentCount.article_id == Article.id)
        .join(Site, Site.id == Article.site_id)
        .where(
            Article.url.in_(urls),
            CommentCount.status == Status.PUBLISHED,
            func.coalesce(Article.comments, Site.comments) != "off",
        )
    )
    found = dict(rows.all())
    return {url: found.get(url, 0) for url in urls}


def counts_of(session: Session, url: str | None) -> dict[str, int]:
    """How many comments there are in each status: on one article, by its canonical address, or on all. Added up from a few rows
    of each article, whatever was written below it.
    """
    sums = select(CommentCount.status, func.sum(CommentCount.n)).group_by(CommentCount.status)
    if url is not None:
        sums = sums.join(Article, Article.id == CommentCount.article_id).where(Article.url == url)
    return dict.fromkeys(map(str, Status), 0) | {status: int(n) for status, n in session.execute(sums)}


def find_differences(session: Session) -> list[Difference]:
    """Every count that is not what the comments say. One statement for each kind, so that writers meanwhile do not matter."""
    return [*_comments(session), *_replies(session), *_reports(session)]


def recount(session: Session) -> list[Difference]:
    """Rebuild every count, and tell what was different. Whoever writes meanwhile waits."""
    if session.get_bind().dialect.name == "postgresql":
        # It keeps out row locks too: who holds one and waits for us must not hold a row that we are to mend.
        session.connection().exec_driver_sql("LOCK TABLE comment IN EXCLUSIVE MODE")
    differences = find_differences(session)
    session.execute(delete(CommentCount))
    rows = select(Comment.article_id, Comment.status, func.count()).group_by(
        Comment.article_id, Comment.status
    )
    session.execute(insert(CommentCount).from_select(["article_id", "status", "n"], rows))
    for each in differences:
        if each.what != "comments":
            column = Comment.replies if each.what == "replies" else Comment.open_reports
            row = update(Comment).where(Comment.id == each.subject).values({column: each.found})
            session.execute(row.execution_options(synchronize_session=False))
    return differences


def _comments(session: Session) -> list[Difference]:
    counted = select(
        CommentCount.article_id.label("subject"),
        CommentCount.status.label("status"),
        CommentCount.n.label("counted"),
        literal(0).label("found"),
    )
    found = select(Comment.article_id, Comment.status, literal(0), func.count()).group_by(
        Comment.article_id, Comment.status
    )
    both = union_all(counted, found).subquery("both_sides")
    sums = func.sum(both.c.counted), func.sum(both.c.found)
    rows = session.execute(
        select(both.c.subject, both.c.status, *sums)
        .group_by(both.c.subject, both.c.status)
        .having(sums[0] != sums[1])
        .order_by(both.c.subject, both.c.status)
    )
    return [Difference("comments", subject, status, int(n), int(m)) for subject, status, n, m in rows]


def _replies(session: Session) -> list[Difference]:
    """Published comments below each, by walking up from every published one."""
    below = (
        select(Comment.parent_id.label("above"))
        .where(Comment.status == Status.PUBLISHED, Comment.parent_id.is_not(None))
        .cte("below", recursive=True)
    )
    parent = aliased(Comment)
    below = below.union_all(
        select(parent.parent_id).join(below, below.c.above == parent.id).where(parent.parent_id.is_not(None))
    )
    sums = select(below.c.above, func.count().label("n")).group_by(below.c.above).subquery("sums")
    return _compared(session, "replies", Comment.replies, sums)


def _reports(session: Session) -> list[Difference]:
    sums = (
        select(CommentReport.comment_id.label("above"), func.count().label("n"))
        .where(CommentReport.settled_at.is_(None))
        .group_by(CommentReport.comment_id)
        .subquery("sums")
    )
    return _compared(session, "reports", Comment.open_reports, sums)


def _compared(session: Session, what: str, column: Any, sums: Any) -> list[Difference]:
    found = func.coalesce(sums.c.n, 0)
    rows = session.execute(
        select(Comment.id, column, found)
        .outerjoin(sums, sums.c.above == Comment.id)
        .where(column != found)
        .order_by(Comment.id)
    )
    return [Difference(what, subject, None, int(n), int(m)) for subject, n, m in rows]
