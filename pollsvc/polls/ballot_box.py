"""The ballot box: votes that a process takes at the same moment are committed together. An edge of its own.

Each reader is answered after the commit that holds their ballot, never before it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from pollsvc.batching import Batcher
from pollsvc.patience import PATIENCE, again_if_cut, hurried
from pollsvc.polls.ballots import Outcome, cast_vote, draw_slot, settled
from pollsvc.polls.statements import insert_ballots
from pollsvc.polls.tallies import Standing, read_standings
from pollsvc.polls.verdicts import BUSY, NewBallot, Verdict

log = structlog.get_logger("pollsvc")


#: Seconds that a batch waits at the most for votes whose requests have begun; docs/performance.md has what it brings.
LINGER = 0.005

_BY_ITSELF = Verdict(BUSY, False, None, False)


@dataclass(frozen=True)
class Cast:
    """What became of a vote, and how the poll stood after it: None where that could not be read."""

    outcome: Outcome
    standing: Standing | None


class BallotBox:
    """Takes the ballots of one process.

    :param voting: the engine that batches are committed on.
    :param reading: the engine that reads.
    :param waiting: the engine for votes by themselves, which may have to wait for an editor.
    :param observe: is told how many ballots each batch had.
    """

    def __init__(
        self, *, voting: Engine, reading: Engine, waiting: Engine, observe: Callable[[float], None]
    ) -> None:
        self._voting = voting
        self._waiting = waiting
        self._reading = reading
        self._stuck: set[Hashable] = set()
        self._observe = observe
        # Two ballots of one voter are answered as if one came after the other.
        self._batcher = Batcher(self._commit, key=_voter_and_poll, patience=PATIENCE, linger=LINGER)

    def expecting(self, view: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a view that votes, outside of everything: while it runs, a batch under way may wait for its ballot."""

        @wraps(view)
        def expected(*args: Any, **kwargs: Any) -> Any:
            with self._batcher.announced():
                return view(*args, **kwargs)

        return expected

    def cast(self, ballot: NewBallot) -> Cast:
        """Count a ballot as :func:`pollsvc.polls.ballots.cast_vote` does, and raise what that raises.

        :raises WaitedTooLong: if the database let it wait too long before anything was done with it.
        """
        verdict, standing = self._batcher.run(ballot)
        outcome = settled(ballot, verdict)
        if outcome is not None:
            self._stuck.discard(ballot.poll_id)
            return Cast(outcome, standing)
        # What is left has to wait for an editor, was overtaken, or changes an earlier ballot: each by itself.
        with self._connect(self._waiting, ballot.poll_id) as connection, Session(connection) as session:
            outcome = cast_vote(session, ballot)
            session.commit()
        return Cast(outcome, self._read([ballot.poll_id]).get(ballot.poll_id))

    def _commit(
        self, ballots: Sequence[NewBallot], patience: float
    ) -> list[tuple[Verdict | None, Standing | None]]:
        self._observe(len(ballots))
        try:
            # What was committed before its connection was cut is found there: a ballot may be sent any number of times.
            verdicts = again_if_cut(partial(self._insert, ballots, patience))
        except (DataError, IntegrityError):
            # One of them cannot be stored, so none is: each tries by itself, and that one fails alone.
            return [(_BY_ITSELF, None)] * len(ballots)
        standings = self._read([ballot.poll_id for ballot in ballots])
        return [
            (verdict, standings.get(ballot.poll_id))
            for ballot, verdict in zip(ballots, verdicts, strict=True)
        ]

    def _insert(self, ballots: Sequence[NewBallot], patience: float) -> list[Verdict | None]:
        # Who has waited for their turn already does not wait as long again for SQLite's one lock.
        voting = self._voting.execution_options(sqlite_patience=max(1, round(patience)))
        with self._connect(voting, None) as connection, connection.begin():
            return insert_ballots(connection, ballots, draw_slot())

    @contextmanager
    def _connect(self, engine: Engine, part: Hashable) -> Iterator[Connection]:
        """Connect, with little patience where the last one waited for a lock in vain.

        Whoever waits holds a thread, and those who wait for that thread have waited as long. Were they to begin with
        fresh patience, the last of them would be answered after a multiple of it.

        :param part: what was waited for: a poll, or None for the whole database.
        """
        try:
            with hurried(engine) if part in self._stuck else engine.connect() as connection:
                yield connection
        except OperationalError as error:
            if not error.connection_invalidated:
                self._stuck.add(part)
            raise
        self._stuck.discard(part)

    def _read(self, poll_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Standing]:
        try:
            with self._reading.connect() as connection:
                return read_standings(connection, set(poll_ids))
        except SQLAlchemyError as error:
            # The ballots are in: an error would say that nothing was stored.
            log.warning("results could not be read after a vote", error=type(error).__name__)
            return {}


def _voter_and_poll(ballot: NewBallot) -> tuple[uuid.UUID, bytes]:
    return ballot.poll_id, ballot.voter_key
