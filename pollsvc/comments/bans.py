"""Who may not comment for a time. A ban is made for a comment, and tells which; whom it means is a keyed hash.

A writer is known by their voter identity or account: what they send is refused. An address is only typed, by whomever, so
that comments which come with it are held.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from pollsvc.comments.facts import is_in_force
from pollsvc.comments.models import Comment
from pollsvc.comments.policy_models import Ban
from pollsvc.comments.status import CommentNotFound
from pollsvc.comments.writers import writer_name
from pollsvc.errors import Conflict, NotFound, one_field
from pollsvc.staff.service import record

#: What a ban goes by.
WAYS = ("writer", "email")


class BanNotFound(NotFound):
    """No ban has this id."""

    code = "ban_not_found"
    detail = "There is no ban with this id."


class AlreadyBanned(Conflict):
    """A ban that was made for the same comment is in force, on other terms."""

    code = "already_banned"
    detail = "There is a ban for this comment already, on other terms. Lift it, then make another one."


class CommentErased(Conflict):
    """Its writer was forgotten, and so cannot be told from others any more."""

    code = "comment_erased"
    detail = "What its writer could be known by was erased."


def ban(
    session: Session,
    comment_id: uuid.UUID,
    *,
    by: str,
    reason_code: str,
    ends_at: datetime | None,
    actor: str,
    now: datetime,
) -> tuple[Ban, bool]:
    """Ban whoever wrote a comment, or hold what comes with the address that was typed there.

    :param by: one of :data:`WAYS`.
    :param ends_at: None: until it is lifted.
    :returns: the ban, and whether it is new: the same one again is the one that is there.
    :raises CommentNotFound: if there is none with this id.
    :raises CommentErased: if nobody can be known by it any more.
    :raises AlreadyBanned: if one in force was made for this comment; ``current`` tells which and until when.
    :raises Invalid: if the end lies in the past, or no address came with the comment.
    """
    if ends_at is not None and ends_at <= now:
        raise one_field("ends_at", "Must lie in the future.")
    # Locked, so that the same request twice at once makes one ban.
    wanted = select(Comment).where(Comment.id == comment_id).with_for_update(key_share=True)
    comment = session.scalar(wanted.execution_options(populate_existing=True))
    if comment is None:
        raise CommentNotFound
    if comment.erased_at is not None:
        raise CommentErased
    if by == "email" and comment.email_hash is None:
        raise one_field("by", "This comment came with no address: its writer has an account. Ban the writer.")
    known = _standing(session, comment_id, by, now)
    if known is not None:
        if (known.reason_code, known.ends_at) != (reason_code, ends_at):
            raise AlreadyBanned(extra={"current": {"id": known.id, "ends_at": known.ends_at}})
        return known, False
    made = Ban(
        comment_id=comment_id,
        writer_key=comment.writer_key if by == "writer" else None,
        email_hash=comment.email_hash if by == "email" else None,
        reason_code=reason_code,
        ends_at=ends_at,
        created_by=actor,
        created_at=now,
    )
    session.add(made)
    session.flush()
    detail = {
        "comment_id": str(comment_id),
        "by": by,
        "reason_code": reason_code,
        "ends_at": ends_at.isoformat() if ends_at else None,
    }
    record(session, actor=actor, action="ban.created", subject=("ban", made.id), now=now, detail=detail)
    return made, True


def lift_ban(session: Session, ban_id: uuid.UUID, *, actor: str, now: datetime) -> Ban:
    """End a ban at once. Lifting it twice changes nothing.

    :raises BanNotFound: if there is none with this id.
    """
    found = session.get(Ban, ban_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise BanNotFound
    if found.lifted_at is None:
        found.lifted_at = now
        record(session, actor=actor, action="ban.lifted", subject=("ban", ban_id), now=now)
    return found


def list_bans(now: datetime, *, in_force: bool | None) -> Select[Ban]:
    """Bans, past ones included.

    :param in_force: None: all; True: those that hold now; False: those that do not any more.
    """
    bans = select(Ban)
    if in_force is None:
        return bans
    return bans.where(is_in_force(now) if in_force else ~is_in_force(now))


def describe_ban(found: Ban) -> dict[str, Any]:
    """A ban as the newsroom sees it: never a hash of an address, nor what a writer is found by."""
    names = ("id", "comment_id", "reason_code", "ends_at", "lifted_at", "created_by", "created_at")
    return {
        **{name: getattr(found, name) for name in names},
        "by": "writer" if found.writer_key else "email",
        "writer": writer_name(found.writer_key) if found.writer_key else None,
    }


def _standing(session: Session, comment_id: uuid.UUID, by: str, now: datetime) -> Ban | None:
    column = Ban.writer_key if by == "writer" else Ban.email_hash
    bans = select(Ban).where(Ban.comment_id == comment_id, column.is_not(None), is_in_force(now))
    return session.scalars(bans.order_by(Ban.id).limit(1)).first()
