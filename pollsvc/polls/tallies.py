"""The read side of the count, and what holds it to the ballots."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, insert, literal, select, union_all
from sqlalchemy.orm import Session

from pollsvc.polls.models import Choice, Kind, Poll, TallyClock, TallySlot
from pollsvc.polls.percentages import shares_of_voters, shares_of_votes
from pollsvc.polls.statements import counted_choices, lock_poll


@dataclass(frozen=True)
class Count:
    """How one choice stands; ``percent`` of votes, or of voters where several choices are taken."""

    id: int
    text: str
    votes: int
    percent: int | float


@dataclass(frozen=True)
class Tally:
    """How a poll stands. ``as_of`` is the second in which the tally last changed."""

    poll_id: uuid.UUID
    total_voters: int
    choices: list[Count]
    as_of: datetime


@dataclass(frozen=True)
class Difference:
    """A count that is not what the ballots say: slots minus ballots."""

    poll_id: uuid.UUID
    choice_id: int
    votes: int
    voters: int


def read_tally(session: Session, poll_id: uuid.UUID) -> Tally:
    """How a poll stands now; holds every vote acknowledged before.

    :raises KeyError: if there is no poll with this id.
    """
    return read_tallies(session, [poll_id])[poll_id]


def read_tallies(session: Session, poll_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Tally]:
    """How several polls stand, in one query."""
    rows = session.execute(
        select(
            Poll.id,
            Poll.kind,
            func.coalesce(TallyClock.changed_at, Poll.created_at, type_=Poll.created_at.type),
            Choice.id,
            Choice.text,
            func.coalesce(func.sum(TallySlot.n), 0),
            func.coalesce(func.sum(TallySlot.voters), 0),
        )
        .join(Choice, Choice.poll_id == Poll.id)
        .outerjoin(TallyClock, TallyClock.poll_id == Poll.id)
        .outerjoin(TallySlot, (TallySlot.poll_id == Choice.poll_id) & (TallySlot.choice_id == Choice.id))
        .where(Poll.id.in_(list(poll_ids)))
        .group_by(
            Poll.id,
            Poll.kind,
            Poll.created_at,
            TallyClock.changed_at,
            Choice.id,
            Choice.text,
            Choice.position,
        )
        .order_by(Poll.id, Choice.position)
    )
    counts: dict[uuid.UUID, list[tuple[int, str, int]]] = {}
    voters: dict[uuid.UUID, int] = {}
    facts: dict[uuid.UUID, tuple[str, datetime]] = {}
    for poll_id, kind, as_of, choice_id, text, n, first in rows:
        facts[poll_id] = (kind, as_of)
        counts.setdefault(poll_id, []).append((choice_id, text, int(n)))
        voters[poll_id] = voters.get(poll_id, 0) + int(first)
    return {
        poll_id: _tally(poll_id, kind, as_of.replace(microsecond=0), counts[poll_id], voters[poll_id])
        for poll_id, (kind, as_of) in facts.items()
    }


def recount(session: Session, poll_id: uuid.UUID, now: datetime) -> list[Difference]:
    """Rebuild a poll's slots from its ballots, and tell what was different.

    The poll is locked, so that votes wait and none is lost between the count and the new slots.
    """
    lock_poll(session, poll_id)
    differences = find_differences(session, poll_id)
    counted = counted_choices(session)
    session.execute(delete(TallySlot).where(TallySlot.poll_id == poll_id))
    rows = select(
        counted.c.poll_id, counted.c.choice_id, literal(0), func.count(), func.sum(counted.c.is_first)
    )
    rows = rows.where(counted.c.poll_id == poll_id).group_by(counted.c.poll_id, counted.c.choice_id)
    session.execute(insert(TallySlot).from_select(["poll_id", "choice_id", "slot", "n", "voters"], rows))
    if differences:
        session.execute(delete(TallyClock).where(TallyClock.poll_id == poll_id))
        session.add(TallyClock(poll_id=poll_id, changed_at=now.replace(microsecond=0)))
        session.flush()
    return differences


def find_differences(session: Session, poll_id: uuid.UUID | None = None) -> list[Difference]:
    """Every count, of one poll or all, that is not what the ballots say.

    One statement, so that votes coming in meanwhile are seen on both sides or on neither.
    """
    counted = counted_choices(session)
    slots = select(
        TallySlot.poll_id.label("poll_id"),
        TallySlot.choice_id.label("choice_id"),
        TallySlot.n.label("n"),
        TallySlot.voters.label("voters"),
    )
    ballots = select(counted.c.poll_id, counted.c.choice_id, literal(-1), -counted.c.is_first)
    if poll_id is not None:
        slots = slots.where(TallySlot.poll_id == poll_id)
        ballots = ballots.where(counted.c.poll_id == poll_id)
    both = union_all(slots, ballots).subquery("both_sides")
    n, voters = func.sum(both.c.n), func.sum(both.c.voters)
    grouped = select(both.c.poll_id, both.c.choice_id, n, voters).group_by(both.c.poll_id, both.c.choice_id)
    rows = session.execute(
        grouped.having((n != 0) | (voters != 0)).order_by(both.c.poll_id, both.c.choice_id)
    )
    return [Difference(found, choice, int(votes), int(firsts)) for found, choice, votes, firsts in rows]


def _tally(
    poll_id: uuid.UUID, kind: str, as_of: datetime, counts: list[tuple[int, str, int]], total_voters: int
) -> Tally:
    # A tally that somebody tampered with may be absurd; it is still shown, and `db reconcile` tells.
    votes = [max(n, 0) for _, _, n in counts]
    whole = max(total_voters, *votes)
    shares = shares_of_votes(votes) if kind == Kind.SINGLE else shares_of_voters(votes, whole)
    choices = [Count(choice, text, n, share) for (choice, text, n), share in zip(counts, shares, strict=True)]
    return Tally(poll_id, total_voters, choices, as_of)
