"""The ballot box: votes that a process takes at the same moment are committed together. An edge of its own.

Each reader is answered after the commit that holds their ballot, never before it.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from pollsvc.batching import Batcher, Lines, WaitedTooLong
from pollsvc.patience import PATIENCE, again_if_cut, hurried, wait_at_most, waited_in_vain
from pollsvc.polls.ballots import Outcome, cast_vote, draw_slot, settled
from pollsvc.polls.statements import insert_ballots, insert_ballots_of_poll, wait_for_editor
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


_Answer = tuple[Verdict | None, Standing | None]


class BallotBox:
    """Takes the ballots of one process.

    :param voting: the engine that batches are committed on.
    :param reading: the engine that reads.
    :param waiting: the engine for votes that may have to wait for an editor.
    :param most_waiting: connections that wait for editors at the most: the newsroom needs the others.
    :param stepping_aside: what a request that waits for an editor does meanwhile, so that others are answered.
    :param observe: is told how many ballots each batch had.
    """

    def __init__(
        self,
        *,
        voting: Engine,
        reading: Engine,
        waiting: Engine,
        most_waiting: int,
        stepping_aside: Callable[[], AbstractContextManager[None]],
        observe: Callable[[float], None],
    ) -> None:
        self._voting = voting
        self._waiting = waiting
        self._reading = reading
        self._observe = observe
        self._stepping_aside = stepping_aside
        # Two ballots of one voter are answered as if one came after the other.
        self._batcher = Batcher(self._commit, key=_voter_and_poll, patience=PATIENCE, linger=LINGER)
        self._may_wait = threading.Semaphore(most_waiting)
        self._lines = Lines(self._commit_line, key=_voter_and_poll, patience=PATIENCE)
        #: Whether the last batch waited in vain for a lock on something that all votes need.
        self._is_stuck = False
        #: Polls whose line waited in vain, and until when that is held against them.
        self._stuck_polls: dict[uuid.UUID, float] = {}

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
        until = time.monotonic() + PATIENCE
        verdict, standing = self._batcher.run(ballot, until)
        if _is_held(verdict):
            verdict, standing = self._wait_in_line(ballot, until)
        elif ballot.poll_id in self._stuck_polls:
            self._stuck_polls.pop(ballot.poll_id, None)
        outcome = settled(ballot, verdict)
        if outcome is None:
            # It was overtaken, changes an earlier ballot, or cannot be stored: each by itself.
            outcome = again_if_cut(partial(self._cast_alone, ballot, until), is_write=True)
            standing = self._read([ballot.poll_id]).get(ballot.poll_id)
        return Cast(outcome, standing)

    def _cast_alone(self, ballot: NewBallot, until: float) -> Outcome:
        with self._connect_to_wait(until) as (connection, bound), Session(connection) as session:
            return cast_vote(session, ballot, bound)

    def _commit(self, ballots: Sequence[NewBallot], patience: float) -> list[_Answer]:
        return self._answer(ballots, partial(self._insert, ballots, patience))

    def _insert(self, ballots: Sequence[NewBallot], patience: float) -> list[Verdict | None]:
        # Who has waited for their turn already does not wait as long again for SQLite's one lock.
        patient = self._voting.execution_options(sqlite_patience=patience)
        # Where the last batch waited in vain, the next one has little patience: whoever waits holds a thread, and those
        # who wait for that thread have waited as long.
        try:
            with (
                hurried(self._voting) if self._is_stuck else patient.connect() as connection,
                connection.begin(),
            ):
                verdicts = insert_ballots(connection, ballots, draw_slot())
        except OperationalError as error:
            self._is_stuck = waited_in_vain(error)
            raise
        self._is_stuck = False
        return verdicts

    def _wait_in_line(self, ballot: NewBallot, until: float) -> _Answer:
        """Wait for whoever has the poll to himself: of those that do, one waits in the database, on behalf of all."""
        if self._is_stuck_poll(ballot.poll_id):
            # Others have waited, in vain, for as long as this reader could. Each new vote looks again.
            raise WaitedTooLong
        with self._stepping_aside():
            return self._lines.run(ballot.poll_id, ballot, until)

    def _is_stuck_poll(self, poll_id: uuid.UUID) -> bool:
        return time.monotonic() < self._stuck_polls.get(poll_id, 0.0)

    def _commit_line(self, ballots: Sequence[NewBallot], patience: float) -> list[_Answer]:
        return self._answer(ballots, partial(self._insert_late, ballots, time.monotonic() + patience))

    def _insert_late(self, ballots: Sequence[NewBallot], until: float) -> list[Verdict | None]:
        poll_id = ballots[0].poll_id
        if self._is_stuck_poll(poll_id):
            raise WaitedTooLong
        try:
            with self._connect_to_wait(until) as (connection, bound):
                bound()
                wait_for_editor(connection, poll_id)
                bound()
                return insert_ballots_of_poll(connection, ballots, draw_slot())
        except OperationalError as error:
            if waited_in_vain(error):
                self._stuck_polls[poll_id] = time.monotonic() + PATIENCE
            raise

    @contextmanager
    def _connect_to_wait(self, until: float) -> Iterator[tuple[Connection, Callable[[], None]]]:
        """Begin a transaction, and give what bounds its next wait for an editor to what is left of the reader's patience."""
        if not self._may_wait.acquire(timeout=max(0.0, until - time.monotonic())):
            raise WaitedTooLong
        try:
            left = max(0.0, until - time.monotonic())
            with self._waiting.execution_options(sqlite_patience=left).begin() as connection:
                yield connection, lambda: wait_at_most(connection, until - time.monotonic())
        finally:
            self._may_wait.release()

    def _answer(
        self, ballots: Sequence[NewBallot], insert: Callable[[], list[Verdict | None]]
    ) -> list[_Answer]:
        self._observe(len(ballots))
        try:
            # What was committed before its connection was cut is found there: a ballot may be sent any number of times.
            verdicts = again_if_cut(insert, is_write=True)
        except (DataError, IntegrityError):
            # One of them cannot be stored, so none is: each tries by itself, and that one fails alone.
            return [(_BY_ITSELF, None)] * len(ballots)
        standings = self._read([ballot.poll_id for ballot in ballots])
        return [
            (verdict, standings.get(ballot.poll_id))
            for ballot, verdict in zip(ballots, verdicts, strict=True)
        ]

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


def _is_held(verdict: Verdict | None) -> bool:
    """Whether somebody has the ballot's poll to himself."""
    return verdict is not None and verdict.gate == BUSY and verdict is not _BY_ITSELF
