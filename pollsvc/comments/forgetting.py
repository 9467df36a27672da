"""A writer is forgotten (GDPR Art. 17): what they wrote goes, or who wrote it does. The thread around it stays as it is.

Their comments are found by the keyed hash of the address that was typed, or that the publisher's login gave. What others
wrote about them for the newsroom, in notes and reports, goes with either: it may name them.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, exists, func, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from pollsvc.comments.checks.words import IN_THE_NAME
from pollsvc.comments.counts import lock_counts
from pollsvc.comments.facts import is_in_force
from pollsvc.comments.models import (
    Comment,
    CommentChange,
    CommentReport,
    CommentRevision,
    CommentVerdict,
    Status,
)
from pollsvc.comments.policy_models import Ban
from pollsvc.comments.status import (
    Change,
    CommentNotFound,
    Standing,
    change_status,
    lock_newest_first,
    settle_reports,
    standings_of,
)
from pollsvc.outbox.service import forget_subject

#: Whose name stands over a comment that stayed.
DELETED_READER = "Deleted reader"
#: Comments that are wiped by one statement.
_STEP = 500


class Choice(StrEnum):
    """What a person wants of what they wrote."""

    #: Everything of theirs is taken away.
    REMOVE_TEXT = "remove_text"
    #: What is published stays so, under nobody's name; all else is taken away.
    REMOVE_IDENTITY = "remove_identity"


def forget_writer(
    session: Session, email_hash: bytes, choice: Choice, now: datetime
) -> tuple[int, list[str]]:
    """Forget whoever wrote under an address. Their own hand over these comments ends too: no edit, no taking back.

    A ban of the address stays until its end, as nothing but the keyed hash; one that is over goes.

    :returns: how many comments there were, and the Message-IDs of mails whose files are still there.
    """
    over = delete(Ban).where(Ban.email_hash == email_hash, ~is_in_force(now))
    session.execute(over.execution_options(synchronize_session=False))
    return _forget(session, Comment.email_hash == email_hash, choice, "erasure", now)


def forget_writer_of(
    session: Session, comment_id: uuid.UUID, choice: Choice, now: datetime
) -> tuple[int, list[str]]:
    """Forget whoever wrote a comment, likewise: by their identity, for who has no address, as accounts of some logins.

    :raises CommentNotFound: if there is none with this id, or it was wiped before.
    """
    key = session.scalar(
        select(Comment.writer_key).where(Comment.id == comment_id, Comment.erased_at.is_(None))
    )
    if key is None:
        raise CommentNotFound
    over = delete(Ban).where(Ban.writer_key == key, ~is_in_force(now))
    session.execute(over.execution_options(synchronize_session=False))
    return _forget(session, Comment.writer_key == key, choice, "erasure", now)


def taken_away() -> Select[*tuple[Any, ...]]:
    """``id`` and ``since`` of what was turned down or removed, and is still there to be read by the newsroom."""
    return select(Comment.id.label("id"), Comment.decided_at.label("since")).where(_is_taken_away())


def forget_taken_away(session: Session, ids: Sequence[uuid.UUID], now: datetime) -> list[str]:
    """Wipe comments that were kept long enough after they were taken away; those that were brought back meanwhile stay.

    :returns: the Message-IDs of mails whose files are still there.
    """
    which = Comment.id.in_(ids) & _is_taken_away()
    return _forget(session, which, Choice.REMOVE_TEXT, "retention", now)[1]


def settled_reports() -> Select[*tuple[Any, ...]]:
    """``id`` and ``since`` of reports that were settled; those that nobody decided about wait for that."""
    report = CommentReport
    return select(report.id.label("id"), report.settled_at.label("since")).where(
        report.settled_at.is_not(None)
    )


def forget_reports(session: Session, ids: Sequence[uuid.UUID]) -> None:
    """Forget reports that were settled, whole rows: one without its note and its sender's key would be found again at each look.

    No count hangs on them: an open report is counted, and these are not. What was decided, and why, stays among the changes of
    the comment. Who filed one may file it anew, as a new one: to refuse that, their key would have to stay.
    """
    # One that an erasure empties this moment is for the next time.
    free = select(CommentReport.id).where(CommentReport.id.in_(ids)).with_for_update(skip_locked=True)
    forgotten = delete(CommentReport).where(CommentReport.id.in_(free))
    session.execute(forgotten.execution_options(synchronize_session=False))


def ended_bans(whose: InstrumentedAttribute[Any]) -> Select[*tuple[Any, ...]]:
    """``id`` and ``since`` of bans that end, or were lifted.

    :param whose: of ``Ban.writer_key`` or ``Ban.email_hash``: those that have one.
    """
    since = func.coalesce(Ban.lifted_at, Ban.ends_at)
    return select(Ban.id.label("id"), since.label("since")).where(whose.is_not(None), since.is_not(None))


def _is_taken_away() -> ColumnElement[bool]:
    gone = Comment.status.in_((Status.REJECTED, Status.SPAM, Status.REMOVED))
    return gone & Comment.erased_at.is_(None)


def _forget(
    session: Session, which: ColumnElement[bool], choice: Choice, actor: str, now: datetime
) -> tuple[int, list[str]]:
    _lock(session, which)
    # Only now: whoever changed one of them meanwhile is done.
    found = standings_of(session, which)
    message_ids: list[str] = []
    for first in range(0, len(found), _STEP):
        some = found[first : first + _STEP]
        # Before they change: that is told of what is left.
        message_ids += forget_subject(session, *(f"comment:{each.id}" for each in some))
        for seen in some:
            _take_away(session, seen, choice, actor, now)
        _wipe(session, [each.id for each in some])
    return len(found), message_ids


def _lock(session: Session, which: ColumnElement[bool]) -> None:
    """Lock the comments, all that they hang below, then the counts: in the order in which everybody does."""
    rows = session.execute(select(Comment.id, Comment.article_id, Comment.ancestors).where(which)).all()
    depths = {row.id: len(row.ancestors) for row in rows}
    for row in rows:
        depths |= {uuid.UUID(each): depth for depth, each in enumerate(row.ancestors)}
    ids = sorted(depths, key=lambda each: (depths[each], each), reverse=True)
    for first in range(0, len(ids), _STEP):
        lock_newest_first(session, ids[first : first + _STEP])
    lock_counts(session, {row.article_id for row in rows})


def _take_away(session: Session, seen: Standing, choice: Choice, actor: str, now: datetime) -> None:
    stays = choice == Choice.REMOVE_IDENTITY and seen.status == Status.PUBLISHED
    nobody: dict[str, Any] = {
        "name": None,
        "email": None,
        "email_hash": None,
        # Random: their other comments, and those to come, do not lead here.
        "writer_key": secrets.token_bytes(32),
        "is_account": False,
        "submission_key": None,
        "turned_down_at": None,
    }
    of_it = (
        {"name": DELETED_READER, "shown_name": DELETED_READER}
        if stays
        else {"open_reports": 0, "erased_at": now}
    )
    after = Status.PUBLISHED if stays else Status.REMOVED
    change = Change(action="erase", after=after, actor=actor, values=nobody | of_it)
    change_status(session, seen, change, now)
    if not stays:
        settle_reports(session, seen.id, now)


def _wipe(session: Session, ids: Sequence[uuid.UUID]) -> None:
    """Empty all that hangs on comments, save the texts that readers see."""
    revision, verdict, change, report = CommentRevision, CommentVerdict, CommentChange, CommentReport
    bands = dict.fromkeys(("band_0", "band_1", "band_2", "band_3"), None)
    for emptied in (
        update(revision)
        .where(revision.comment_id.in_(ids), ~_is_shown(revision.comment_id, revision.number))
        .values(body=None, text_hash=None, **bands),
        # A check may name the word that it found. Its score stays: that is why it came as it did.
        update(verdict)
        .where(verdict.comment_id.in_(ids), ~_is_shown(verdict.comment_id, verdict.revision))
        .values(spans=[], reason=""),
        # Of what readers still see, too, where it is about the name, which they do not.
        update(verdict)
        .where(verdict.comment_id.in_(ids), verdict.reason.contains(IN_THE_NAME))
        .values(reason=""),
        update(change).where(change.comment_id.in_(ids)).values(note=None),
        update(report).where(report.comment_id.in_(ids)).values(note=None),
        # A ban of the writer goes on; that this is what they wrote, nothing tells any more.
        update(Ban).where(Ban.comment_id.in_(ids)).values(comment_id=None),
    ):
        # Written whatever was there: what no key opens reads as None, and would be taken for empty already.
        session.execute(emptied.execution_options(synchronize_session=False))


def _is_shown(
    comment_id: InstrumentedAttribute[uuid.UUID], number: InstrumentedAttribute[int]
) -> ColumnElement[bool]:
    """Whether a revision is what readers see."""
    return exists().where(
        Comment.id == comment_id, Comment.revision == number, Comment.status == Status.PUBLISHED
    )
