"""Readers and editors who act at the same moment, each in a thread and on a connection of their own."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.errors import PollsvcError
from pollsvc.keys import Keys
from pollsvc.polls.ballots import cast_vote, new_ballot
from tests.conftest import NOW
from tests.factories import make_voter

T = TypeVar("T")

#: As long as a condition may take that is bound to come.
PATIENCE = 10.0


class Crowd:
    """Threads on one engine, whose sessions begin as the application's do."""

    def __init__(self, engine: sa.Engine, keys: Keys, threads: int) -> None:
        is_sqlite = engine.dialect.name == "sqlite"
        self._engine = engine
        self._writing = engine.execution_options(sqlite_write=True)
        self._voting = self._writing if is_sqlite else engine.execution_options(isolation_level="AUTOCOMMIT")
        self._keys = keys
        self._threads = ThreadPoolExecutor(threads)

    def vote(self, poll_id: UUID, choices: Sequence[int], *, number: int = 1) -> str:
        """Vote, and give the outcome or the code of the refusal."""
        with Session(self._voting) as session:
            try:
                voter = make_voter(number=number)
                ballot = new_ballot(self._keys, poll_id=poll_id, choices=choices, voter=voter, now=NOW)
                outcome: str = cast_vote(session, ballot)
            except PollsvcError as refusal:
                return refusal.code
            session.commit()
            return outcome

    def edit(self, act: Callable[[Session], object]) -> str:
        """Do what an editor does and commit it; give "done" or the code of the refusal."""
        with Session(self._writing) as session:
            try:
                act(session)
            except PollsvcError as refusal:
                return refusal.code
            session.commit()
            return "done"

    def begin(self, act: Callable[..., T], *arguments: object, **named: object) -> Future[T]:
        """Let a thread do something."""
        return self._threads.submit(act, *arguments, **named)

    def wait_for_waiting(self, sessions: int) -> None:
        """Wait until so many sessions of a PostgreSQL database wait for a lock."""
        waiting = sa.text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        deadline = time.monotonic() + PATIENCE
        with self._engine.connect() as connection:
            while connection.scalar(waiting) != sessions:
                assert time.monotonic() < deadline, f"never were {sessions} sessions waiting for a lock"
                connection.rollback()  # the view is a snapshot of its transaction

    def close(self) -> None:
        """Wait for the threads and end them."""
        self._threads.shutdown()
