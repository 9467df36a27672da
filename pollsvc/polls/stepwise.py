"""The vote on SQLite: the rows of the one statement, step by step, in a transaction that holds the write lock."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.db import insert_into
from pollsvc.polls.models import Ballot, Choice, Poll, TallyClock, TallySlot
from pollsvc.polls.verdicts import NewBallot, Verdict


def insert_ballot(session: Session, ballot: NewBallot) -> Verdict | None:
    """What :func:`pollsvc.polls.statements.insert_ballot` promises; there is no race here."""
    gate = _gate(session, ballot)
    if gate is None:
        return None
    state, allow_change = gate
    previous = _previous(session, ballot)
    if state != "open" or previous is not None:
        return Verdict(state, False, previous, allow_change)
    row = insert_into(session, Ballot).values(
        poll_id=ballot.poll_id,
        voter_key=ballot.voter_key,
        choices=ballot.choices,
        tier=ballot.tier,
        state="counted",
        voted_hour=ballot.hour,
    )
    # The write lock is ours, so that the look before was not a guess; the primary key would still refuse a second one.
    session.execute(row)
    _move(session, ballot, [], ballot.choices)
    return Verdict(state, True, None, allow_change)


def change_ballot(session: Session, ballot: NewBallot) -> Verdict | None:
    """What :func:`pollsvc.polls.statements.change_ballot` promises."""
    gate = _gate(session, ballot)
    if gate is None:
        return None
    state, allow_change = gate
    previous = _previous(session, ballot)
    if state != "open" or not allow_change or previous is None or previous == ballot.choices:
        return Verdict(state, False, previous, allow_change)
    mine = sa.and_(Ballot.poll_id == ballot.poll_id, Ballot.voter_key == ballot.voter_key)
    session.execute(sa.update(Ballot).where(mine).values(choices=ballot.choices))
    _move(session, ballot, previous, ballot.choices)
    return Verdict(state, True, previous, allow_change)


def _gate(session: Session, ballot: NewBallot) -> tuple[str, bool] | None:
    columns = (
        Poll.kind,
        Poll.max_choices,
        Poll.allow_change,
        Poll.withdrawn_at,
        Poll.closed_at,
        Poll.closes_at,
        Poll.opens_at,
    )
    poll = session.execute(select(*columns).where(Poll.id == ballot.poll_id)).one_or_none()
    if poll is None:
        return None
    known = select(sa.func.count()).where(Choice.poll_id == ballot.poll_id, Choice.id.in_(ballot.choices))
    if poll.withdrawn_at is not None:
        state = "withdrawn"
    elif poll.closed_at is not None or (poll.closes_at is not None and poll.closes_at <= ballot.now):
        state = "closed"
    elif poll.opens_at is not None and poll.opens_at > ballot.now:
        state = "not_open"
    elif session.scalar(known) != len(ballot.choices):
        state = "unknown_choice"
    elif len(ballot.choices) > (1 if poll.kind == "single" else poll.max_choices or 32767):
        state = "too_many"
    else:
        state = "open"
    return state, poll.allow_change


def _previous(session: Session, ballot: NewBallot) -> list[int] | None:
    found = select(Ballot.choices).where(
        Ballot.poll_id == ballot.poll_id, Ballot.voter_key == ballot.voter_key
    )
    return session.scalar(found)


def _move(session: Session, ballot: NewBallot, old: Sequence[int], new: Sequence[int]) -> None:
    changes: dict[int, list[int]] = {}
    for sign, choices in ((-1, old), (1, new)):
        for place, choice in enumerate(choices):
            change = changes.setdefault(choice, [0, 0])
            change[0] += sign
            change[1] += sign if place == 0 else 0
    for choice, (n, voters) in sorted(changes.items()):
        if n or voters:
            row = insert_into(session, TallySlot).values(
                poll_id=ballot.poll_id, choice_id=choice, slot=ballot.slot, n=n, voters=voters
            )
            session.execute(
                row.on_conflict_do_update(
                    index_elements=["poll_id", "choice_id", "slot"],
                    set_={"n": TallySlot.n + n, "voters": TallySlot.voters + voters},
                )
            )
    clock = insert_into(session, TallyClock).values(poll_id=ballot.poll_id, changed_at=ballot.second)
    session.execute(
        clock.on_conflict_do_update(
            index_elements=["poll_id"],
            set_={"changed_at": clock.excluded.changed_at},
            where=TallyClock.changed_at < clock.excluded.changed_at,
        )
    )
