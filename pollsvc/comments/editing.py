"""A writer changes their own comment, which is then looked at like a new one."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Article
from pollsvc.articles.venues import hosts_of
from pollsvc.comments.admission import (
    EditWindowOver,
    NotEditable,
    Rules,
    ask_again,
    refuse_banned,
    take_comments,
)
from pollsvc.comments.facts import Questioned, find_facts
from pollsvc.comments.in_force import find_in_force
from pollsvc.comments.judging import Draft, Judge, Judgement, judge, read_text
from pollsvc.comments.models import CommentChange, CommentRevision, CommentVerdict, Status
from pollsvc.comments.revisions import revision_rows, write_revisions
from pollsvc.comments.service import own_comment
from pollsvc.comments.status import (
    Change,
    CommentRemoved,
    CommentUnreadable,
    Shown,
    Standing,
    move_by_policy,
    stale,
    standing_of,
)
from pollsvc.comments.writers import Writer


@dataclass(frozen=True)
class JudgedEdit:
    """An edit that was looked at, ready to be written.

    :param mode: how the article took comments then.
    :param judgement: None where the text is what it was.
    """

    seen: Standing
    writer: Writer
    name: str
    mode: str
    judgement: Judgement | None


def judge_edit(
    session: Session,
    judge_: Judge,
    comment_id: uuid.UUID,
    *,
    writer: Writer,
    body: str,
    version: int,
    is_suspect: bool = False,
    rules: Rules,
    now: datetime,
) -> JudgedEdit:
    """Look at an edit with every check, as at a new comment. Reads only.

    :param version: of the comment as its writer saw it.
    :param is_suspect: whether the form rang that the edit came by; that of the comment itself is heeded in any case.
    :raises CommentNotFound: if there is none with this id of this writer's.
    :raises StaleVersion: if it changed since; ``current`` tells to what.
    :raises CommentRemoved, NotEditable, EditWindowOver: if it cannot be edited (any more).
    :raises CommentUnreadable: if no key opens the name that it would be shown with.
    :raises CommentsClosed, CommentsOff, WriterBanned: as for a new one.
    """
    comment = own_comment(session, comment_id, writer)
    seen = standing_of(session, comment_id)
    if seen.status == Status.REMOVED:
        raise CommentRemoved
    if seen.status in (Status.REJECTED, Status.SPAM):
        raise NotEditable
    if now > comment.created_at + rules.edit_window:
        raise EditWindowOver
    if seen.version != version:
        raise stale(session, comment_id, is_for_writer=True)
    article = session.get_one(Article, seen.article_id)
    mode = take_comments(article.site, article, now)
    connection = session.connection()
    refuse_banned(connection, writer, now)
    name = comment.shown_name or comment.name
    if name is None:
        raise CommentUnreadable
    if body == _text_of(session, seen):
        return JudgedEdit(seen, writer, name, mode, None)
    text, in_force = read_text(judge_, body), find_in_force(connection)
    asked = Questioned(writer, comment.email_hash, body, text.fingerprint)
    draft = Draft(
        text=text,
        name=name,
        hosts=hosts_of([row.origin for row in article.site.origins]),
        words=judge_.lists.of_language(connection, in_force.lists, article.site.locale),
        is_premoderated=mode == "premoderated",
        is_suspect=is_suspect or _was_suspect(session, comment_id),
        was_approved=_was_approved(session, comment_id),
    )
    facts = find_facts(connection, [asked], now, comment_id)[0]
    return JudgedEdit(seen, writer, name, mode, judge(judge_, draft, facts, in_force))


def edit_comment(session: Session, edit: JudgedEdit, now: datetime) -> Standing:
    """Write an edit that was looked at: a new revision, which stands where its own judgement leads. The same text changes
    nothing.

    :raises StaleVersion: if the comment changed meanwhile.
    :raises CommentsClosed, CommentsOff, WriterBanned, CommentRaced: as :func:`pollsvc.comments.admission.ask_again`.
    """
    seen, judgement = edit.seen, edit.judgement
    if judgement is None:
        return seen
    article = session.get_one(Article, seen.article_id, populate_existing=True)
    ask_again(session, article, edit.writer, mode=edit.mode, status=judgement.status, now=now)
    number = seen.revision + 1
    shown = Shown(edit.name, judgement.text.body, judgement.text.marked_up.html)
    change = Change(
        action="edit",
        after=judgement.status,
        actor=judgement.actor,
        shown=shown,
        values={"revision": number, "edited_at": now, "submission_key": None, "is_featured": False},
    )
    after = move_by_policy(session, seen, change, now)
    write_revisions(session.connection(), [revision_rows(seen.id, number, judgement, now)])
    return after


def _text_of(session: Session, seen: Standing) -> str | None:
    return session.scalar(
        select(CommentRevision.body).where(
            CommentRevision.comment_id == seen.id, CommentRevision.number == seen.revision
        )
    )


def _was_approved(session: Session, comment_id: uuid.UUID) -> bool:
    """Whether the newsroom ever published it: then each other text waits for the newsroom, however often it is edited."""
    approvals = select(CommentChange.version).where(
        CommentChange.comment_id == comment_id,
        CommentChange.actor.like("token:%"),
        CommentChange.after == Status.PUBLISHED,
    )
    return bool(session.scalar(select(exists(approvals))))


def _was_suspect(session: Session, comment_id: uuid.UUID) -> bool:
    """Whether the form that it came by rang: a change of its words makes nobody a person."""
    rung = select(CommentVerdict.revision).where(
        CommentVerdict.comment_id == comment_id, CommentVerdict.name == "form", CommentVerdict.score > 0
    )
    return bool(session.scalar(select(exists(rung))))
