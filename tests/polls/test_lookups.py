"""Reads that come at the same moment: one query for all, begun after the last of them has asked."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from pollsvc.keys import Keys
from pollsvc.polls.lookups import Lookups
from pollsvc.polls.models import Poll
from pollsvc.polls.service import PollNotFound, PollWithdrawn
from pollsvc.polls.tallies import Standing
from tests.factories import cast, make_poll
from tests.polls.acts import withdraw
from tests.polls.evidence import NOWHERE
from tests.processes import wait_until

SECONDS = 20.0


@pytest.fixture
def lookups(app: Flask) -> Lookups:
    """Those of an application."""
    found: Lookups = app.extensions["pollsvc.lookups"]
    return found


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(12) as pool:
        yield pool


class Gate:
    """Closed, it holds up reads of tallies on their way to the database."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self.holds = threading.Event()
        self.reads = 0

    def close(self) -> None:
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    def pass_through(self, *sent: Any) -> None:
        if not sent[2].startswith("SELECT") or "tally_slot" not in sent[2]:
            return
        self.reads += 1
        if not self._open.is_set():
            self.holds.set()
            assert self._open.wait(SECONDS)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    event.listen(Engine, "before_cursor_execute", made.pass_through)
    yield made
    made.open()
    event.remove(Engine, "before_cursor_execute", made.pass_through)


@pytest.fixture
def read(lookups: Lookups, threads: ThreadPoolExecutor) -> Callable[[Poll], Future[Standing]]:
    """Let a thread read how a poll stands."""
    return lambda poll: threads.submit(lookups.standing, poll.id)


Read = Callable[[Poll], Future[Standing]]


class TestTogether:
    def test_reads_that_wait_share_one_query(
        self, lookups: Lookups, read: Read, gate: Gate, poll: Poll, session: Session
    ) -> None:
        other = make_poll(session)
        session.commit()
        gate.close()
        first = read(poll)
        assert gate.holds.wait(SECONDS)
        later = [read(each) for each in (poll, other, poll, other)]
        wait_until(lambda: len(lookups._standings._queue) == 4)

        gate.open()
        found = [future.result(SECONDS).tally.poll_id for future in (first, *later)]

        assert found == [poll.id, poll.id, other.id, poll.id, other.id]
        assert gate.reads == 2

    def test_read_that_came_after_a_vote_holds_it_though_others_were_reading(
        self, read: Read, gate: Gate, session: Session, poll: Poll, keys: Keys
    ) -> None:
        gate.close()
        before = read(poll)
        assert gate.holds.wait(SECONDS)
        cast(session, keys=keys, poll=poll, choices=[1])
        session.commit()
        after = read(poll)
        gate.open()

        assert before.result(SECONDS).tally.poll_id == poll.id
        assert after.result(SECONDS).tally.total_voters == 1


@pytest.mark.parametrize("look", ["standing", "reading"])
class TestWhatReadersMaySee:
    def test_unknown_poll(self, lookups: Lookups, look: str) -> None:
        ask: Callable[..., Any] = getattr(lookups, look)

        with pytest.raises(PollNotFound):
            ask(NOWHERE)

    def test_withdrawn_poll(self, lookups: Lookups, session: Session, poll: Poll, look: str) -> None:
        withdraw(session, poll)
        session.commit()
        ask: Callable[..., Any] = getattr(lookups, look)

        with pytest.raises(PollWithdrawn):
            ask(poll.id)
