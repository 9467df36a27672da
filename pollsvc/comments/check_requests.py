"""What checks over HTTP are still to be asked: written with the revision, taken by a worker, gone with the answer."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from pollsvc.comments.checks.check import Verdict
from pollsvc.comments.policies import HTTP
from pollsvc.comments.policy_models import CheckRequest

#: How long a request is kept from others while one worker asks. Every check is given up long before.
LEASE = timedelta(minutes=1)
#: The pause after the first failure; each one after it is four times as long.
FIRST_PAUSE = timedelta(seconds=5)
#: With these pauses the last attempt comes within half an hour after the first.
MOST_ATTEMPTS = 6
#: What a verdict says until it is one.
NOT_YET = "It has not answered yet."


@dataclass(frozen=True)
class Claimed:
    """A request that is ours until its lease ends.

    :param name: the verdict's: ``http:tone``.
    :param attempt: which one this is, from 1; above :data:`MOST_ATTEMPTS` it ended with its worker each time.
    """

    comment_id: uuid.UUID
    revision: int
    name: str
    attempt: int
    lease: uuid.UUID


def unanswered(asked: Sequence[tuple[str, str]]) -> Sequence[Verdict]:
    """The verdicts of a new revision that are to be asked for: of these checks, by name and version."""
    return [Verdict(HTTP + name, version, "pending", 0, NOT_YET, (), 0) for name, version in asked]


def request_rows(
    comment_id: uuid.UUID, revision: int, verdicts: Sequence[Verdict], now: datetime
) -> list[dict[str, Any]]:
    """What has a revision's pending verdicts asked for."""
    return [
        {
            "comment_id": comment_id,
            "revision": revision,
            "name": verdict.name,
            "attempts": 0,
            "due_at": now,
            "lease": None,
        }
        for verdict in verdicts
        if verdict.state == "pending"
    ]


def count_due(session: Session, now: datetime) -> Mapping[str, int]:
    """How many requests to each check are to be made now, where there are any; a look without a lock."""
    due = (
        select(CheckRequest.name, func.count())
        .where(CheckRequest.due_at <= now)
        .group_by(CheckRequest.name)
        .order_by(CheckRequest.name)
    )
    return dict(session.execute(due).all())


def claim(session: Session, name: str, lease: uuid.UUID, now: datetime) -> Claimed | None:
    """Take the next request to a check, so that nobody else asks while we do.

    One whose lease ended without an answer is taken again: then the check is asked twice, with the same ``webhook-id``.
    """
    due = (
        select(CheckRequest)
        .where(CheckRequest.name == name, CheckRequest.due_at <= now)
        .order_by(CheckRequest.due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    request = session.scalar(due)
    if request is None:
        return None
    # Counted before the attempt, so that one which takes its worker along each time comes to an end too.
    request.attempts += 1
    request.lease, request.due_at = lease, now + LEASE
    session.flush()
    return Claimed(request.comment_id, request.revision, request.name, request.attempts, lease)


def give_back(session: Session, claimed: Claimed, now: datetime, chance: float) -> bool:
    """Have it asked again after a pause.

    :param chance: between 0 and 1: how far the pause is moved, so that many do not come back at once.
    :returns: whether it was still ours.
    """
    ours = (
        update(CheckRequest)
        .where(*_ours(claimed))
        .values(lease=None, due_at=now + pause(claimed.attempt, chance))
    )
    return _changed(session, ours)


def finish(session: Session, claimed: Claimed) -> bool:
    """Be done with it.

    :returns: whether it was still ours.
    """
    return _changed(session, delete(CheckRequest).where(*_ours(claimed)))


def pause(attempts: int, chance: float) -> timedelta:
    """How long to wait after so many attempts: four times as long each time, less up to a half by chance."""
    return FIRST_PAUSE * 4.0 ** (attempts - 1) * (1 - chance / 2)


def _ours(claimed: Claimed) -> tuple[ColumnElement[bool], ...]:
    return (
        CheckRequest.comment_id == claimed.comment_id,
        CheckRequest.revision == claimed.revision,
        CheckRequest.name == claimed.name,
        CheckRequest.lease == claimed.lease,
    )


def _changed(session: Session, statement: Any) -> bool:
    found = session.execute(statement.execution_options(synchronize_session=False))
    return bool(found.rowcount)  # type: ignore[attr-defined]
