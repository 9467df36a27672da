"""What a rule left behind. Votes are counted here once more, and not by the code under test."""

import uuid
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Article
from pollsvc.errors import Invalid
from pollsvc.keys import Keys
from pollsvc.polls.models import Ballot, Poll, TallyClock, TallySlot
from pollsvc.staff.models import AuditEntry
from pollsvc.voters.service import Tier, open_tier
from tests.factories import make_voter

#: The id of nothing.
NOWHERE = uuid.UUID("018f0000-0000-7000-8000-000000000000")

#: Votes and voters of a choice; voters are counted at the first choice of their ballot.
Counts = dict[int, tuple[int, int]]


def counted_by_ballots(session: Session, poll_id: uuid.UUID) -> Counts:
    """Give the counts that a poll's ballots say."""
    votes: Counter[int] = Counter()
    voters: Counter[int] = Counter()
    for choices in session.scalars(
        select(Ballot.choices).where(Ballot.poll_id == poll_id, Ballot.state == "counted")
    ):
        votes.update(choices)
        voters[min(choices)] += 1
    return {choice: (votes[choice], voters[choice]) for choice in votes}


def counted_by_slots(session: Session, poll_id: uuid.UUID) -> Counts:
    """Give the counts that a poll's slots add up to, without choices that nobody has."""
    sums = (
        select(TallySlot.choice_id, func.sum(TallySlot.n), func.sum(TallySlot.voters))
        .where(TallySlot.poll_id == poll_id)
        .group_by(TallySlot.choice_id)
    )
    return {choice: (n, voters) for choice, n, voters in session.execute(sums) if (n, voters) != (0, 0)}


def ballots_of(session: Session) -> list[Ballot]:
    """Give all ballots, read anew."""
    return list(session.scalars(select(Ballot).execution_options(populate_existing=True)))


def tiers_of(session: Session, keys: Keys) -> list[Tier]:
    """Open the tiers of all ballots."""
    ballots = ballots_of(session)
    assert all(ballot.is_tier_sealed for ballot in ballots)
    return [open_tier(keys, ballot.voter_key, ballot.tier) for ballot in ballots]


def held(session: Session) -> dict[str, int]:
    """Count the rows that a vote could leave, as other sessions see them now."""
    session.rollback()
    return {
        model.__tablename__: session.scalars(select(func.count()).select_from(model)).one()
        for model in (Ballot, TallySlot, TallyClock)
    }


def polls_held(session: Session) -> dict[str, int]:
    """Count polls, articles and audit rows of polls, as other sessions see them now."""
    session.rollback()
    audited = select(func.count()).select_from(AuditEntry).where(AuditEntry.object_type == "poll")
    return {
        "polls": session.scalars(select(func.count()).select_from(Poll)).one(),
        "articles": session.scalars(select(func.count()).select_from(Article)).one(),
        "audited": session.scalars(audited).one(),
    }


def ballot_of(session: Session, poll: Poll, choices: Sequence[int], number: int = 1) -> Ballot:
    """Give a ballot to be added past the rules; its key is not one that the rules would make."""
    return Ballot(
        poll_id=poll.id,
        voter_key=make_voter(number=number).identity * 2,
        choices=list(choices),
        tier="storage",
        state="counted",
        voted_hour=poll.created_at.replace(minute=0),
    )


def audit_of(session: Session, poll: Poll, action: str) -> list[AuditEntry]:
    """Give the audit rows of an action on a poll, oldest first."""
    rows = select(AuditEntry).where(AuditEntry.object_id == str(poll.id), AuditEntry.action == action)
    return list(session.scalars(rows.order_by(AuditEntry.id)))


def field_refused(act: Callable[[], object]) -> str:
    """Expect that an act is refused as invalid, and give the one field that is named."""
    with pytest.raises(Invalid) as caught:
        act()
    [field] = caught.value.fields
    return field
