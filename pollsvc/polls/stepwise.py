"""The vote on SQLite: the rows of the one statement, step by step, in a transaction that holds the write lock."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import bindparam, select
from sqlalchemy.dialects import sqlite

from pollsvc.polls.models import Ballot, Choice, Poll, TallyClock, TallySlot
from pollsvc.polls.verdicts import NewBallot, Verdict

# Made once, and of tables: SQLAlchemy finds a statement again by what it says, which costs more than SQLite needs to run it.
_POLL, _CHOICE, _BALLOT, _SLOT, _CLOCK = (
    cast(sa.Table, model.__table__) for model in (Poll, Choice, Ballot, TallySlot, TallyClock)
)
_IDS: sa.BindParameter[uuid.UUID] = bindparam("poll_ids", expanding=True)
_POLLS = select(
    _POLL.c.id,
    _POLL.c.kind,
    _POLL.c.max_choices,
    _POLL.c.allow_change,
    _POLL.c.withdrawn_at,
    _POLL.c.closed_at,
    _POLL.c.closes_at,
    _POLL.c.opens_at,
).where(_POLL.c.id.in_(_IDS))
_CHOICES = select(_CHOICE.c.poll_id, _CHOICE.c.id).where(_CHOICE.c.poll_id.in_(_IDS))
_PREVIOUS = select(_BALLOT.c.poll_id, _BALLOT.c.voter_key, _BALLOT.c.choices).where(
    _BALLOT.c.poll_id.in_(_IDS), _BALLOT.c.voter_key.in_(bindparam("voter_keys", expanding=True))
)
_INSERT = sa.insert(_BALLOT)
_CHANGE = (
    sa.update(_BALLOT)
    .where(_BALLOT.c.poll_id == bindparam("of_poll"), _BALLOT.c.voter_key == bindparam("of_voter"))
    .values(
        choices=bindparam("wanted", type_=_BALLOT.c.choices.type),
        voted_hour=bindparam("hour", type_=_BALLOT.c.voted_hour.type),
    )
)
_NEW_SLOT = sqlite.insert(_SLOT)
_ADD = _NEW_SLOT.on_conflict_do_update(
    index_elements=["poll_id", "choice_id", "slot"],
    set_={"n": _SLOT.c.n + _NEW_SLOT.excluded.n, "voters": _SLOT.c.voters + _NEW_SLOT.excluded.voters},
)
_NEW_CLOCK = sqlite.insert(_CLOCK)
_TOUCH = _NEW_CLOCK.on_conflict_do_update(
    index_elements=["poll_id"],
    set_={"changed_at": _NEW_CLOCK.excluded.changed_at},
    where=_CLOCK.c.changed_at < _NEW_CLOCK.excluded.changed_at,
)

#: A ballot, the choices that it held and those that it holds now.
_Move = tuple[NewBallot, Sequence[int], Sequence[int]]


def insert_ballots(
    connection: sa.Connection, ballots: Sequence[NewBallot], slot: int
) -> list[Verdict | None]:
    """What :func:`pollsvc.polls.statements.insert_ballots` promises; there is neither a race here nor a busy poll."""
    verdicts = _look(connection, ballots)
    counted = []
    for place, (ballot, verdict) in enumerate(zip(ballots, verdicts, strict=True)):
        if verdict is not None and verdict.gate == "open" and verdict.previous is None:
            counted.append(ballot)
            verdicts[place] = replace(verdict, is_counted=True)
    if counted:
        # The write lock is ours, so that the look before was no guess; the primary key would still refuse a second one.
        connection.execute(_INSERT, [_row(ballot) for ballot in counted])
        _move(connection, [(ballot, [], ballot.choices) for ballot in counted], slot)
    return verdicts


def change_ballot(connection: sa.Connection, ballot: NewBallot, slot: int) -> Verdict | None:
    """What :func:`pollsvc.polls.statements.change_ballot` promises."""
    [verdict] = _look(connection, [ballot])
    if verdict is None or verdict.gate != "open" or not verdict.allow_change:
        return verdict
    if verdict.previous is None or verdict.previous == ballot.choices:
        return verdict
    mine = {"of_poll": ballot.poll_id, "of_voter": ballot.voter_key}
    connection.execute(_CHANGE, mine | {"wanted": ballot.choices, "hour": ballot.hour})
    _move(connection, [(ballot, verdict.previous, ballot.choices)], slot)
    return replace(verdict, is_counted=True)


def _look(connection: sa.Connection, ballots: Sequence[NewBallot]) -> list[Verdict | None]:
    """What stands before anything is written: nothing is counted yet."""
    wanted = {"poll_ids": list({ballot.poll_id for ballot in ballots})}
    polls = {poll.id: poll for poll in connection.execute(_POLLS, wanted)}
    choices: dict[uuid.UUID, set[int]] = {}
    for poll_id, choice_id in connection.execute(_CHOICES, wanted):
        choices.setdefault(poll_id, set()).add(choice_id)
    voters = {"voter_keys": [ballot.voter_key for ballot in ballots]}
    previous = {
        (poll_id, key): found for poll_id, key, found in connection.execute(_PREVIOUS, wanted | voters)
    }
    verdicts: list[Verdict | None] = []
    for ballot in ballots:
        poll = polls.get(ballot.poll_id)
        mine = previous.get((ballot.poll_id, ballot.voter_key))
        verdicts.append(
            poll and Verdict(_gate(poll, choices[poll.id], ballot), False, mine, poll.allow_change)
        )
    return verdicts


def _gate(poll: Any, known: set[int], ballot: NewBallot) -> str:
    if poll.withdrawn_at is not None:
        return "withdrawn"
    if poll.closed_at is not None or (poll.closes_at is not None and poll.closes_at <= ballot.now):
        return "closed"
    if poll.opens_at is not None and poll.opens_at > ballot.now:
        return "not_open"
    if len(known.intersection(ballot.choices)) != len(ballot.choices):
        return "unknown_choice"
    if len(ballot.choices) > (1 if poll.kind == "single" else poll.max_choices or 32767):
        return "too_many"
    return "open"


def _row(ballot: NewBallot) -> dict[str, Any]:
    return {
        "poll_id": ballot.poll_id,
        "voter_key": ballot.voter_key,
        "choices": ballot.choices,
        "tier": ballot.tier,
        "is_tier_sealed": True,
        "state": "counted",
        "voted_hour": ballot.hour,
    }


def _move(connection: sa.Connection, moves: Sequence[_Move], slot: int) -> None:
    """Take ballots off their old choices and put them on the new ones."""
    changes: dict[tuple[uuid.UUID, int], list[int]] = {}
    seconds: dict[uuid.UUID, datetime] = {}
    for ballot, old, new in moves:
        for sign, choices in ((-1, old), (1, new)):
            for place, choice in enumerate(choices):
                change = changes.setdefault((ballot.poll_id, choice), [0, 0])
                change[0] += sign
                change[1] += sign if place == 0 else 0
        seconds[ballot.poll_id] = max(ballot.second, seconds.get(ballot.poll_id, ballot.second))
    slots = [
        {"poll_id": poll_id, "choice_id": choice, "slot": slot, "n": n, "voters": voters}
        for (poll_id, choice), (n, voters) in changes.items()
        if n or voters
    ]
    connection.execute(_ADD, slots)
    clocks = [{"poll_id": poll_id, "changed_at": second} for poll_id, second in seconds.items()]
    connection.execute(_TOUCH, clocks)
