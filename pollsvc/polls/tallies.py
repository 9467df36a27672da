"""The read side of the count, and what holds it to the ballots."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import cast

from sqlalchemy import (
    BindParameter,
    Connection,
    Table,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from pollsvc.polls.models import Choice, Course, Kind, Poll, TallyClock, TallySlot
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


@dataclass(frozen=True)
class Standing:
    """How a poll stands, with what decides who may see it."""

    version: int
    course: Course
    tally: Tally


def read_tally(session: Session, poll_id: uuid.UUID) -> Tally:
    """How a poll stands now; holds every vote acknowledged before.

    :raises KeyError: if there is no poll with this id.
    """
    # A connection knows nothing of what its session has not sent yet.
    session.flush()
    return read_standings(session.connection(), [poll_id])[poll_id].tally


# Made once, and of tables: reading this is most of what the service does, and the ORM would cost more than the database.
_IDS: BindParameter[uuid.UUID] = bindparam("poll_ids", expanding=True)
_POLL, _CHOICE, _SLOT, _CLOCK = (
    cast(Table, model.__table__) for model in (Poll, Choice, TallySlot, TallyClock)
)
_SUMS = (
    select(
        _SLOT.c.poll_id,
        _SLOT.c.choice_id,
        func.sum(_SLOT.c.n).label("n"),
        func.sum(_SLOT.c.voters).label("voters"),
    )
    .where(_SLOT.c.poll_id.in_(_IDS))
    .group_by(_SLOT.c.poll_id, _SLOT.c.choice_id)
    .subquery("sums")
)
_STANDINGS = (
    select(
        _POLL.c.id,
        _POLL.c.kind,
        _POLL.c.version,
        func.coalesce(_CLOCK.c.changed_at, _POLL.c.created_at, type_=_POLL.c.created_at.type),
        _POLL.c.results_visibility,
        _POLL.c.opens_at,
        _POLL.c.closes_at,
        _POLL.c.closed_at,
        _POLL.c.withdrawn_at,
        _CHOICE.c.id,
        _CHOICE.c.text,
        func.coalesce(_SUMS.c.n, 0),
        func.coalesce(_SUMS.c.voters, 0),
    )
    .join(_CHOICE, _CHOICE.c.poll_id == _POLL.c.id)
    .outerjoin(_CLOCK, _CLOCK.c.poll_id == _POLL.c.id)
    .outerjoin(_SUMS, (_SUMS.c.poll_id == _CHOICE.c.poll_id) & (_SUMS.c.choice_id == _CHOICE.c.id))
    .where(_POLL.c.id.in_(_IDS))
    .order_by(_POLL.c.id, _CHOICE.c.position)
)


def read_standings(connection: Connection, poll_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Standing]:
    """How several polls stand, in one query; unknown ones are left out."""
    standings = {}
    rows = connection.execute(_STANDINGS, {"poll_ids": list(poll_ids)})
    for poll_id, of_poll in groupby(rows, key=itemgetter(0)):
        choices = list(of_poll)
        _, kind, version, as_of, *course = choices[0][:9]
        counts = [(choice, text, int(n)) for choice, text, n, _ in (row[9:] for row in choices)]
        voters = sum(int(row[12]) for row in choices)
        tally = _tally(poll_id, kind, as_of.replace(microsecond=0), counts, voters)
        standings[poll_id] = Standing(version, Course(*course), tally)
    return standings


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
