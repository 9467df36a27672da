"""A reader votes."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.errors import Conflict, Invalid, Unavailable, one_field
from pollsvc.keys import Keys
from pollsvc.polls.models import Ballot
from pollsvc.polls.service import PollNotFound, PollWithdrawn
from pollsvc.polls.statements import change_ballot, insert_ballots_of_poll
from pollsvc.polls.verdicts import BUSY, NewBallot, Verdict
from pollsvc.voters.service import Voter, seal_tier, voter_key

#: Rows that one choice's count is spread over, so that voters seldom wait for each other's; docs/adr/0003 has the
#: command that shows what it brings.
SLOTS = 16

#: How often a vote is tried. A try is lost to an edit of the poll, another vote of the same voter, or the mixing of their
#: ballot, that was committed while it waited. Each of them costs one try at the most.
TRIES = 10


class Outcome(StrEnum):
    """What became of a vote."""

    COUNTED = "counted"
    ALREADY_COUNTED = "already_counted"
    CHANGED = "changed"


class PollClosed(Conflict):
    """The poll takes no more votes."""

    code = "poll_closed"
    detail = "This poll is closed."


class PollNotOpen(Conflict):
    """The poll takes no votes yet."""

    code = "poll_not_open"
    detail = "This poll is not open yet."


class AlreadyVoted(Conflict):
    """The reader voted before, for something else, and the poll does not let them change it."""

    code = "already_voted"
    detail = "You have already voted in this poll."


class VoteRaced(Unavailable):
    """Another request of the same voter, or an edit of the poll, got in between each time."""

    code = "vote_raced"
    detail = "Something else happened to this poll at the same moment. Send your vote once more."
    retry_after = 1


def new_ballot(
    keys: Keys, *, poll_id: uuid.UUID, choices: Sequence[int], voter: Voter, now: datetime
) -> NewBallot:
    """What a reader puts into the box.

    :raises Invalid: if it names no choice.
    """
    if not choices:
        raise _choices("Choose at least one.")
    key = voter_key(keys, poll_id, voter)
    return NewBallot(
        poll_id=poll_id,
        voter_key=key,
        choices=sorted(choices),
        tier=seal_tier(keys, key, voter.tier),
        now=now,
    )


def cast_vote(session: Session, ballot: NewBallot, bound: Callable[[], None] = lambda: None) -> Outcome:
    """Count a reader's ballot, once.

    The primary key decides who was first, never a look before; the tally changes in the same statement. The same
    ballot again is told so and changes nothing, also when the poll has closed since: a retry is no mistake.

    :param bound: called before each statement that may wait for somebody who has the poll to himself.
    :raises PollNotFound, PollWithdrawn, PollNotOpen, PollClosed: if the poll takes no votes now.
    :raises Invalid: if a choice is not the poll's, or there are too many; the field is ``choices``.
    :raises AlreadyVoted: if the reader's ballot holds something else and may not be changed.
    """
    for _ in range(TRIES):
        bound()
        [verdict] = insert_ballots_of_poll(session.connection(), [ballot], draw_slot())
        if outcome := settled(ballot, verdict):
            return outcome
        if verdict and verdict.previous is not None:
            bound()
            if outcome := _choose_again(session, ballot, verdict):
                return outcome
    raise VoteRaced


def settled(ballot: NewBallot, verdict: Verdict | None) -> Outcome | None:
    """What a verdict means for the reader; None where it settles nothing, and the vote is to be tried by itself.

    :raises PollsvcError: what :func:`cast_vote` raises, save that a change may still be allowed.
    """
    if verdict is None:
        raise PollNotFound
    if verdict.is_counted:
        return Outcome.COUNTED
    # A withdrawn poll is gone for everybody; its results would come along with this answer.
    if verdict.previous == ballot.choices and verdict.gate not in ("withdrawn", BUSY):
        return Outcome.ALREADY_COUNTED
    _refuse_unless_open(verdict)
    return None


def draw_slot() -> int:
    """One of the rows that a count is spread over."""
    return secrets.randbelow(SLOTS)


def has_voted(session: Session, keys: Keys, poll_id: uuid.UUID, voter: Voter) -> bool:
    """Whether this voter has a ballot in the poll."""
    mine = select(Ballot.poll_id).where(
        Ballot.poll_id == poll_id, Ballot.voter_key == voter_key(keys, poll_id, voter)
    )
    return session.scalar(mine) is not None


def _choose_again(session: Session, ballot: NewBallot, found: Verdict) -> Outcome | None:
    if not found.allow_change:
        raise AlreadyVoted
    verdict = change_ballot(session.connection(), ballot, draw_slot())
    assert verdict is not None, "a poll with ballots is never deleted"
    if verdict.is_counted:
        return Outcome.CHANGED
    _refuse_unless_open(verdict)
    if not verdict.allow_change:
        raise AlreadyVoted
    if verdict.previous is None:
        # It was being mixed: the row that was waited for is gone, and the one in its place is seen only by a new look.
        return None
    # Another request of this voter made the same change first.
    return Outcome.ALREADY_COUNTED


def _refuse_unless_open(verdict: Verdict) -> None:
    refusals: dict[str, type[Exception]] = {
        "withdrawn": PollWithdrawn,
        "closed": PollClosed,
        "not_open": PollNotOpen,
    }
    if refusal := refusals.get(verdict.gate):
        raise refusal
    if verdict.gate == "unknown_choice":
        raise _choices("Each must be the id of a choice of this poll.")
    if verdict.gate == "too_many":
        raise _choices("There are more than this poll takes; see max_choices.")


def _choices(sentence: str) -> Invalid:
    return one_field("choices", sentence)
