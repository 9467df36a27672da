"""The only door to a comment's status: what changes it, and with it counts, threads, reports, the log and the outbox.

Everything below is one transaction of the caller's. Locks are taken upwards: a comment, what it hangs below from the nearest
to the top, the article's counts last. Whoever locks several comments takes the deepest first, and of equally deep ones the
newest, so that nobody waits in a circle. (By time alone it would not do: a reply can bear an older id than what it answers,
where two hosts' clocks differ.)
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, insert, select, update
from sqlalchemy.orm import Session

from pollsvc.articles.models import Article
from pollsvc.comments.counts import count
from pollsvc.comments.models import Comment, CommentChange, CommentReport, Status
from pollsvc.errors import Conflict, NotFound, StaleVersion
from pollsvc.outbox.models import OutboxEvent
from pollsvc.outbox.service import event_row


class CommentNotFound(NotFound):
    """No comment has this id, or not for this caller."""

    code = "comment_not_found"
    detail = "There is no comment with this id."


class CommentRemoved(Conflict):
    """What was removed stays so."""

    code = "comment_removed"
    detail = "This comment was removed. Nothing about it can be changed any more."


class CommentUnreadable(Conflict):
    """What would be shown is encrypted with a key that this installation does not have any more."""

    code = "comment_unreadable"
    detail = "None of the installation's keys opens this comment: it cannot be shown."


@dataclass(frozen=True)
class Shown:
    """What the public is shown of a comment."""

    name: str
    text: str
    html: str


@dataclass(frozen=True)
class Standing:
    """A comment as it stood when it was read. Of one version all of this is always the same."""

    id: uuid.UUID
    article_id: uuid.UUID
    site_id: uuid.UUID
    article_url: str
    parent_id: uuid.UUID | None
    ancestors: Sequence[str]
    status: Status
    version: int
    revision: int
    decided_by: str
    is_featured: bool


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is to become of a comment.

    :param action: what is done, as the log names it.
    :param actor: who does it: ``policy:3``, ``token:0198…``, ``writer``, ``erasure`` or ``retention``.
    :param reason_code: why. It stays in the log; the comment, whose writer sees it, has the one of what turns it down.
    :param shown: what is shown from now on, where it becomes published.
    :param values: other columns that change with it.
    """

    action: str
    after: Status
    actor: str
    reason_code: str | None = None
    note: str | None = None
    shown: Shown | None = None
    values: Mapping[str, Any] | None = None


_STANDINGS = select(
    Comment.id,
    Comment.article_id,
    Article.site_id,
    Article.url,
    Comment.parent_id,
    Comment.ancestors,
    Comment.status,
    Comment.version,
    Comment.revision,
    Comment.decided_by,
    Comment.is_featured,
).join(Article, Article.id == Comment.article_id)


def is_turned_down(status: Status, actor: str) -> bool:
    """Whether somebody who brings a comment there speaks against its writer."""
    return status in (Status.REJECTED, Status.SPAM) or (
        status == Status.REMOVED and actor.startswith("token:")
    )


def looks_held(status: str, decided_by: str) -> bool:
    """Whether its writer is told that a comment waits, and others nothing: what a machine turned down too, or it would train
    programs. In their own list its writer finds which.
    """
    return status == Status.HELD or (status == Status.REJECTED and decided_by.startswith("policy:"))


def standing_of(session: Session, comment_id: uuid.UUID) -> Standing:
    """How a comment stands.

    :raises CommentNotFound: if there is none with this id.
    """
    row = session.execute(_STANDINGS.where(Comment.id == comment_id)).one_or_none()
    if row is None:
        raise CommentNotFound
    return _standing(row)


def standings_of(session: Session, which: ColumnElement[bool]) -> Sequence[Standing]:
    """How all comments of a kind stand, the newest first."""
    return [_standing(row) for row in session.execute(_STANDINGS.where(which).order_by(Comment.id.desc()))]


def change_status(session: Session, seen: Standing, change: Change, now: datetime) -> Standing:
    """Move a comment from how it was seen to where the change leads. The version is compared in the UPDATE itself.

    :raises StaleVersion: if somebody changed it meanwhile; ``current`` tells to what, and who.
    """
    values = {"reason_code": None, **(change.values or {})}
    if is_turned_down(change.after, change.actor):
        values |= {"reason_code": change.reason_code, "turned_down_at": now}
    is_shown = change.after == Status.PUBLISHED
    if not is_shown:
        values |= {"shown_name": None, "shown_text": None, "shown_html": None, "is_featured": False}
    elif change.shown:
        values |= {
            "shown_name": change.shown.name,
            "shown_text": change.shown.text,
            "shown_html": change.shown.html,
        }
    won = session.execute(
        update(Comment)
        .where(Comment.id == seen.id, Comment.version == seen.version)
        .values(
            status=change.after,
            version=Comment.version + 1,
            decided_by=change.actor,
            decided_at=now,
            claimed_by=None,
            claimed_until=None,
            **values,
        )
        .execution_options(synchronize_session=False)
    )
    if won.rowcount == 0:  # type: ignore[attr-defined]
        raise stale(session, seen.id)
    was_shown = seen.status == Status.PUBLISHED
    if was_shown != is_shown:
        count_replies(session, seen.ancestors, 1 if is_shown else -1)
    after = standing_of(session, seen.id)
    session.execute(insert(CommentChange), change_row(after, seen.status, change, now))
    # Of an erasure always: whoever keeps a copy reads it again, and what was not told yet of the time before is forgotten.
    if after.status != seen.status or after.revision != seen.revision or change.action == "erase":
        session.execute(insert(OutboxEvent), told_row(after, change, now))
    for status, by in (
        sorted({seen.status: -1, after.status: 1}.items()) if after.status != seen.status else ()
    ):
        count(session, seen.article_id, status, by)
    return after


def settle_reports(session: Session, comment_id: uuid.UUID, now: datetime) -> None:
    """Close the reports that are open: what they were about was decided. Part of a change that holds the comment's row."""
    session.execute(
        update(CommentReport)
        .where(CommentReport.comment_id == comment_id, CommentReport.settled_at.is_(None))
        .values(settled_at=now)
        .execution_options(synchronize_session=False)
    )


def move_by_policy(session: Session, seen: Standing, change: Change, now: datetime) -> Standing:
    """Move a comment where its policy leads. What it turns down leaves no report open, as a decision of the newsroom's does not."""
    if change.after != Status.REJECTED:
        return change_status(session, seen, change, now)
    settled = replace(change, values={**(change.values or {}), "open_reports": 0})
    after = change_status(session, seen, settled, now)
    settle_reports(session, seen.id, now)
    return after


def stale(session: Session, comment_id: uuid.UUID, *, is_for_writer: bool = False) -> StaleVersion:
    """The refusal of a change to a comment that changed meanwhile, with how it stands by now.

    :param is_for_writer: whether it goes to its writer, who is not told which of the newsroom decided.
    """
    # On SQLite and in a transaction's snapshot alike: whoever lost the UPDATE sees what it lost to.
    row = session.execute(
        select(Comment.status, Comment.version, Comment.decided_by).where(Comment.id == comment_id)
    ).one()
    current = row._asdict()
    if is_for_writer and current["decided_by"].startswith("token:"):
        current["decided_by"] = "newsroom"
    return StaleVersion(extra={"current": current})


def lock_newest_first(session: Session, ids: Sequence[uuid.UUID]) -> None:
    """Lock comments in the order in which everybody does: the deepest first, of equally deep ones the newest."""
    rows = select(Comment.id).where(Comment.id.in_(ids)).order_by(Comment.depth.desc(), Comment.id.desc())
    session.execute(rows.with_for_update(key_share=True)).all()


def count_replies(session: Session, ancestors: Sequence[str], by: int) -> None:
    """Add to the replies of everything above. ``ancestors`` go from the top down."""
    if not ancestors:
        return
    ids = [uuid.UUID(each) for each in ancestors]
    lock_newest_first(session, ids)
    session.execute(
        update(Comment)
        .where(Comment.id.in_(ids))
        .values(replies=Comment.replies + by)
        .execution_options(synchronize_session=False)
    )


def change_row(after: Standing, before: Status | None, change: Change, now: datetime) -> dict[str, Any]:
    """The log's row of a change."""
    return {
        "comment_id": after.id,
        "version": after.version,
        "action": change.action,
        "before": before,
        "after": after.status,
        "revision": after.revision,
        "actor": change.actor,
        "reason_code": change.reason_code,
        "note": change.note,
        "occurred_at": now,
    }


_KINDS = {
    Status.PUBLISHED: "comment.published",
    Status.HELD: "comment.held",
    Status.REJECTED: "comment.rejected",
    Status.SPAM: "comment.rejected",
    Status.REMOVED: "comment.removed",
}


def told_row(standing: Standing, change: Change, now: datetime) -> dict[str, Any]:
    """The event that tells the publisher's systems how a comment stands, by whom and why, in none of the reader's words."""
    told = {
        "id": str(standing.id),
        "site_id": str(standing.site_id),
        "article_url": standing.article_url,
        "parent_id": str(standing.parent_id) if standing.parent_id else None,
        "status": standing.status,
        "version": standing.version,
        "revision": standing.revision,
        "decided_by": change.actor,
        "reason_code": change.reason_code,
    }
    kind = _KINDS[standing.status]
    return event_row(kind, site_id=standing.site_id, subject=f"comment:{standing.id}", data=told, now=now)


def _standing(row: Any) -> Standing:
    id_, article_id, site_id, url, parent_id, ancestors, status, *rest = row
    return Standing(id_, article_id, site_id, url, parent_id, ancestors, Status(status), *rest)
