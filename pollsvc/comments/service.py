"""Readers write, edit, take back and report comments here."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from pollsvc.articles.discussions import comments_of
from pollsvc.articles.models import Article
from pollsvc.articles.service import ensure_article
from pollsvc.comments.admission import Rules, ask_again, find_parents, place_below
from pollsvc.comments.entries import Judged, make_entry, submission_key, write_beside
from pollsvc.comments.judging import Judge
from pollsvc.comments.models import Comment, CommentReport, Status
from pollsvc.comments.status import (
    Change,
    CommentNotFound,
    Standing,
    change_status,
    count_replies,
    settle_reports,
    standing_of,
)
from pollsvc.comments.writers import Writer
from pollsvc.db import insert_into


def submit_comment(
    session: Session, judge_: Judge, judged: Judged, rules: Rules, now: datetime
) -> tuple[Standing, bool]:
    """Write a comment that was looked at, by itself: the first of an article, and what many at once cannot decide.

    :returns: how it stands, and whether it is new: the same words by the same writer in the same place are the same
        comment, so that a request may be sent again.
    :raises CommentsClosed, CommentsOff, ParentClosed, WriterBanned: if the article, what is answered or the writer was
        stopped meanwhile.
    :raises CommentRaced: if it was judged to be published, and all are read first by now.
    """
    new, connection = judged.new, session.connection()
    article = ensure_article(session, new.article_url, now, by_reader=True)
    key = submission_key(judge_.keys, new, article.url)
    # Before all else: whoever was not told that their comment is in is told so, whatever was stopped while it was looked at.
    known = _known(session, key)
    if known is not None:
        return standing_of(session, known), False
    ask_again(session, article, new.writer, mode=judged.mode, status=judged.judgement.status, now=now)
    answered = find_parents(connection, {new.parent_id} if new.parent_id else (), for_update=True)
    place_below(answered, article.id, new.parent_id, rules)
    # Where it stands by now: the article may be new, or have moved.
    venue = replace(judged.venue, url=article.url, site_id=article.site_id, article_id=article.id)
    entry = make_entry(judge_.keys, replace(judged, venue=venue))
    made = None
    while made is None:
        # Looked for again: an INSERT that meets the same words waits for whoever changes them, who may wait for the parent's
        # row, which is ours by now. And again, for what it met may have other words by then.
        known = _known(session, key)
        if known is not None:
            return standing_of(session, known), False
        once = insert_into(session, Comment).on_conflict_do_nothing(index_elements=["submission_key"])
        made = session.scalar(once.values(entry.comment).returning(Comment.id))
    if entry.standing.status == Status.PUBLISHED:
        count_replies(session, entry.standing.ancestors, 1)
    write_beside(connection, [entry])
    return entry.standing, True


def _known(session: Session, key: bytes) -> uuid.UUID | None:
    return session.scalar(select(Comment.id).where(Comment.submission_key == key))


def withdraw_comment(session: Session, comment_id: uuid.UUID, *, writer: Writer, now: datetime) -> Standing:
    """A writer takes their own comment back. Once more changes nothing.

    :raises CommentNotFound: if there is none with this id of this writer's.
    :raises StaleVersion: if it changed at this very moment: the same request may be sent again.
    """
    own_comment(session, comment_id, writer)
    seen = standing_of(session, comment_id)
    if seen.status == Status.REMOVED:
        return seen
    change = Change(
        action="withdraw",
        after=Status.REMOVED,
        actor="writer",
        values={"submission_key": None, "open_reports": 0},
    )
    after = change_status(session, seen, change, now)
    settle_reports(session, comment_id, now)
    return after


def report_comment(
    session: Session,
    comment_id: uuid.UUID,
    *,
    reporter: Writer,
    reason: str,
    note: str | None,
    now: datetime,
) -> bool:
    """A reader says what is wrong with a comment. Counted once for each reader and revision, as long as the report is kept.

    :returns: whether it is a new one.
    :raises CommentNotFound: if nothing that readers see has this id.
    """
    # Locked, so that a decision meanwhile is before it or after it.
    row = session.execute(
        select(Comment.revision, Comment.article_id)
        .where(Comment.id == comment_id, Comment.status == Status.PUBLISHED)
        .with_for_update(key_share=True)
    ).one_or_none()
    if row is None:
        raise CommentNotFound
    article = session.get_one(Article, row.article_id)
    if comments_of(article.site, article, now) == "off":
        raise CommentNotFound
    report = insert_into(session, CommentReport).values(
        id=uuid7(),
        comment_id=comment_id,
        revision=row.revision,
        reporter_key=reporter.key,
        reason=reason,
        note=note,
        created_at=now,
    )
    made = session.scalar(
        report.on_conflict_do_nothing(index_elements=["comment_id", "revision", "reporter_key"]).returning(
            CommentReport.id
        )
    )
    if made is None:
        return False
    session.execute(
        update(Comment)
        .where(Comment.id == comment_id)
        .values(open_reports=Comment.open_reports + 1)
        .execution_options(synchronize_session=False)
    )
    return True


def own_comment(session: Session, comment_id: uuid.UUID, writer: Writer) -> Comment:
    """A comment of this writer's.

    :raises CommentNotFound: if there is none with this id, or it is somebody else's.
    """
    comment = session.scalar(
        select(Comment).where(Comment.id == comment_id, Comment.writer_key == writer.key)
    )
    if comment is None:
        raise CommentNotFound
    return comment
