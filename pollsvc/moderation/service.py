"""The newsroom decides about comments here: each decision names the version it is about, and leaves one row in each log."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.comments.markup import mark_up
from pollsvc.comments.models import Comment, CommentChange, CommentRevision, Status
from pollsvc.comments.status import (
    Change,
    CommentRemoved,
    CommentUnreadable,
    Shown,
    Standing,
    change_status,
    settle_reports,
    stale,
    standing_of,
)
from pollsvc.errors import Conflict
from pollsvc.staff.service import record

#: Where each action leads, and what the audit log calls it.
ACTIONS = {
    "approve": (Status.PUBLISHED, "comment.approved"),
    "reject": (Status.REJECTED, "comment.rejected"),
    "spam": (Status.SPAM, "comment.marked_as_spam"),
    "remove": (Status.REMOVED, "comment.removed"),
    "feature": (Status.PUBLISHED, "comment.featured"),
    "unfeature": (Status.PUBLISHED, "comment.unfeatured"),
}
#: What turns a comment down, with the reason that it has where none is given.
_REASONED = {"reject": "other", "spam": "spam", "remove": "other"}


class NotPublished(Conflict):
    """Only what readers see can bear the label."""

    code = "comment_not_published"
    detail = "Only a published comment is featured: approve it first."


def decide(
    session: Session,
    comment_id: uuid.UUID,
    *,
    action: str,
    version: int,
    reason_code: str | None,
    note: str | None,
    actor: str,
    now: datetime,
) -> Standing:
    """Decide about a comment. What is so already changes nothing, unless there is a note or another reason to keep.

    :param action: one of :data:`ACTIONS`.
    :param version: of the comment as the caller saw it.
    :param reason_code: kept with the decision; the comment's writer is told that of what turns it down.
    :param note: for the newsroom only.
    :raises CommentNotFound: if there is none with this id.
    :raises CommentRemoved: if it was removed: by its writer, by the newsroom, or because its writer was forgotten.
    :raises StaleVersion: if it changed since; ``current`` tells to what, and who changed it.
    :raises CommentUnreadable: if it is to be published, and no key opens it.
    :raises NotPublished: if it is to be featured and readers do not see it.
    """
    seen = standing_of(session, comment_id)
    # First: whoever lost to a removal is told who won, too.
    if seen.version != version:
        raise stale(session, comment_id)
    if seen.status == Status.REMOVED:
        raise CommentRemoved
    is_featuring = action in ("feature", "unfeature")
    if is_featuring and seen.status != Status.PUBLISHED:
        raise NotPublished
    after, audited = ACTIONS[action]
    reason_code = reason_code or _REASONED.get(action)
    if note is None and _is_so(session, seen, action, reason_code):
        return seen
    values = {"is_featured": action == "feature"} if is_featuring else {"open_reports": 0}
    change = Change(
        action=action,
        after=after,
        actor=actor,
        reason_code=reason_code,
        note=note,
        # What is shown already stays as it is, also where no key opens what it was made of.
        shown=_shown(session, seen) if after == Status.PUBLISHED != seen.status else None,
        values=values,
    )
    standing = change_status(session, seen, change, now)
    if "open_reports" in values:
        settle_reports(session, comment_id, now)
    detail = {
        "before": seen.status,
        "after": standing.status,
        "version": standing.version,
        "revision": standing.revision,
        "reason_code": reason_code,
        "has_note": note is not None,
    }
    record(session, actor=actor, action=audited, subject=("comment", comment_id), now=now, detail=detail)
    return standing


def _is_so(session: Session, seen: Standing, action: str, reason_code: str | None) -> bool:
    """Whether the comment stands where the action leads already, with nothing left open and for no other reason."""
    row = session.execute(
        select(Comment.open_reports, Comment.decided_by, CommentChange.reason_code)
        .join(CommentChange, CommentChange.comment_id == Comment.id)
        .where(Comment.id == seen.id, CommentChange.version == seen.version)
    ).one()
    if reason_code not in (None, row.reason_code):
        return False
    if action in ("feature", "unfeature"):
        return seen.is_featured == (action == "feature")
    # That a machine came to the same end is no decision of the newsroom's.
    is_decided: bool = row.decided_by.startswith("token:")
    return ACTIONS[action][0] == seen.status and is_decided and row.open_reports == 0


def _shown(session: Session, seen: Standing) -> Shown:
    name, body = session.execute(
        select(Comment.name, CommentRevision.body)
        .join(CommentRevision, CommentRevision.comment_id == Comment.id)
        .where(Comment.id == seen.id, CommentRevision.number == seen.revision)
    ).one()
    if name is None or body is None:
        raise CommentUnreadable
    return Shown(name, body, mark_up(body).html)
