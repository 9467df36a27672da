"""What a check over HTTP answered joins what the others said, and the policy decides anew."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pollsvc.comments.admission import is_stopped
from pollsvc.comments.asking import REMOVED, NoAnswer, Result, verdicts_of
from pollsvc.comments.check_requests import MOST_ATTEMPTS, Claimed, finish, give_back
from pollsvc.comments.judging import STATUS_OF
from pollsvc.comments.markup import mark_up
from pollsvc.comments.models import Comment, CommentRevision, CommentVerdict, Status
from pollsvc.comments.policies import live_policy
from pollsvc.comments.status import Change, Shown, Standing, lock_newest_first, move_by_policy, standing_of


def settle_request(session: Session, claimed: Claimed, result: Result, now: datetime, chance: float) -> str:
    """Write down what came of asking a check, and do what follows.

    :param chance: between 0 and 1, of the pause before it is asked again.
    :returns: ``done``, ``failed``, ``retry``, or ``superseded`` where the lease was lost and somebody else has it.
    """
    # Whatever happens to the comment meanwhile is before this or after it, and of two checks each sees the other's verdict.
    lock_newest_first(session, [claimed.comment_id])
    standing = standing_of(session, claimed.comment_id)
    failure = result.failure
    if standing.status == Status.REMOVED or _is_wiped(session, claimed):
        # Nothing is said any more of a text that was taken away.
        failure = NoAnswer(REMOVED, is_final=True)
    if failure and not failure.is_final and claimed.attempt < MOST_ATTEMPTS:
        if not give_back(session, claimed, now, chance):
            return "superseded"
        _write(session, claimed, reason=f"Attempt {claimed.attempt}: {failure.reason}")
        return "retry"
    if not finish(session, claimed):
        return "superseded"
    _write_verdict(session, claimed, result, failure)
    _rule_anew(session, standing, claimed.revision, now)
    return "failed" if failure else "done"


def _is_wiped(session: Session, claimed: Claimed) -> bool:
    kept = select(CommentRevision.body.is_not(None)).where(
        CommentRevision.comment_id == claimed.comment_id, CommentRevision.number == claimed.revision
    )
    return not session.scalar(kept)


def _write_verdict(session: Session, claimed: Claimed, result: Result, failure: NoAnswer | None) -> None:
    version = {"version": result.version} if result.version else {}
    if failure:
        _write(
            session,
            claimed,
            state="failed",
            reason=failure.reason,
            milliseconds=result.milliseconds,
            **version,
        )
        return
    opinion = result.opinion
    assert opinion is not None, "who does not fail has an opinion"
    _write(
        session,
        claimed,
        state="done",
        score=opinion.score,
        reason=opinion.reason,
        spans=[list(span) for span in opinion.spans],
        milliseconds=result.milliseconds,
        **version,
    )


def _write(session: Session, claimed: Claimed, **values: object) -> None:
    verdict = update(CommentVerdict).where(
        CommentVerdict.comment_id == claimed.comment_id,
        CommentVerdict.revision == claimed.revision,
        CommentVerdict.name == claimed.name,
    )
    session.execute(verdict.values(values).execution_options(synchronize_session=False))


def _rule_anew(session: Session, standing: Standing, revision: int, now: datetime) -> None:
    """Decide by the live policy, which the revision then names: its outcome always follows from its verdicts.

    The comment moves only while this is its text and no human decided about it.
    """
    policy = live_policy(session)
    ruling = policy.decide(verdicts_of(session, standing.id, revision))
    ruled = update(CommentRevision).where(
        CommentRevision.comment_id == standing.id, CommentRevision.number == revision
    )
    session.execute(
        ruled.values(
            policy_version=policy.version, outcome=ruling.outcome, because=list(ruling.because)
        ).execution_options(synchronize_session=False)
    )
    after = STATUS_OF[ruling.outcome]
    is_open = standing.revision == revision and standing.decided_by.startswith("policy:")
    if not is_open or after == standing.status:
        return
    shown = _shown(session, standing.id, revision) if after == Status.PUBLISHED else None
    if after == Status.PUBLISHED and (shown is None or is_stopped(session, standing.id, now)):
        return  # no key opens it, or the newsroom stopped such comments meanwhile: it stays with the humans
    change = Change(action="judge", after=after, actor=f"policy:{policy.version}", shown=shown)
    move_by_policy(session, standing, change, now)


def _shown(session: Session, comment_id: uuid.UUID, revision: int) -> Shown | None:
    name, body = session.execute(
        select(Comment.name, CommentRevision.body)
        .join(CommentRevision, CommentRevision.comment_id == Comment.id)
        .where(Comment.id == comment_id, CommentRevision.number == revision)
    ).one()
    return None if name is None or body is None else Shown(name, body, mark_up(body).html)
