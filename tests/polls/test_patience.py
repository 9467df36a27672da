"""How long votes wait for a lock: as long as a reader may, and hardly at all where the one before waited in vain."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from pollsvc.batching import WaitedTooLong
from pollsvc.keys import Keys
from pollsvc.patience import HURRY, hurried
from pollsvc.polls.ballot_box import BallotBox
from pollsvc.polls.ballots import Outcome, new_ballot
from pollsvc.polls.models import Poll
from pollsvc.polls.verdicts import NewBallot
from tests.conftest import NOW
from tests.factories import make_voter
from tests.polls.evidence import counted_by_ballots, counted_by_slots
from tests.polls.http import statements_sent


@pytest.fixture
def voting(engine: sa.Engine) -> sa.Engine:
    """An engine as the vote path has it."""
    is_sqlite = engine.dialect.name == "sqlite"
    return engine if is_sqlite else engine.execution_options(isolation_level="AUTOCOMMIT")


def patience_of(connection: sa.Connection) -> str:
    told = "PRAGMA busy_timeout" if connection.dialect.name == "sqlite" else "SHOW lock_timeout"
    return str(connection.exec_driver_sql(told).scalar())


Ballot = Callable[[int], NewBallot]


@pytest.fixture
def ballot(keys: Keys, poll: Poll) -> Ballot:
    """Make the ballot of a reader, by number."""
    return lambda number: new_ballot(
        keys, poll_id=poll.id, choices=[1], voter=make_voter(number=number), now=NOW
    )


class TestHurried:
    def test_waits_for_a_lock_for_a_second(self, voting: sa.Engine) -> None:
        with statements_sent() as sent, hurried(voting) as connection:
            connection.exec_driver_sql("SELECT 1")

        # On SQLite it is the beginning of the transaction that waits.
        assert sent[0] in {"PRAGMA busy_timeout=1000", "SET lock_timeout = '1s'"}

    def test_gives_the_connection_back_as_patient_as_it_was(self, voting: sa.Engine) -> None:
        with voting.connect() as connection:
            before = patience_of(connection)

        with hurried(voting) as connection:
            connection.exec_driver_sql("SELECT 1")

        with voting.connect() as connection:
            assert patience_of(connection) == before


class TestBallotBox:
    """Patience is a moment here, so that nobody waits for these tests."""

    @pytest.fixture
    def box(
        self, make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch, session: Session
    ) -> BallotBox:
        is_sqlite = session.get_bind().dialect.name == "sqlite"
        monkeypatch.setattr("pollsvc.db.PATIENCE", 0.2 if is_sqlite else 1)
        monkeypatch.setattr("pollsvc.polls.ballot_box.PATIENCE", 0.3)
        found: BallotBox = make_app().extensions["pollsvc.ballot_box"]
        return found

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_hurries_after_a_batch_that_waited_in_vain_until_a_vote_is_counted(
        self, box: BallotBox, ballot: Ballot, session: Session
    ) -> None:
        session.execute(sa.update(Poll).values(version=Poll.version))
        with statements_sent() as first, pytest.raises(OperationalError):
            box.cast(ballot(1))
        session.rollback()

        with statements_sent() as second:
            assert box.cast(ballot(1)).outcome == Outcome.COUNTED
        with statements_sent() as third:
            assert box.cast(ballot(2)).outcome == Outcome.COUNTED

        patient = f"PRAGMA busy_timeout={HURRY * 1000}"
        assert [patient in sent for sent in (first, second, third)] == [False, True, False]

    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_refuses_votes_in_a_poll_whose_line_waited_in_vain_until_it_is_free(
        self, box: BallotBox, ballot: Ballot, session: Session
    ) -> None:
        lock = sa.select(Poll).with_for_update()
        poll = session.scalars(lock).one()
        with pytest.raises(OperationalError):
            box.cast(ballot(1))

        with pytest.raises(WaitedTooLong):
            box.cast(ballot(1))

        session.rollback()
        assert box.cast(ballot(1)).outcome == Outcome.COUNTED
        assert counted_by_ballots(session, poll.id) == counted_by_slots(session, poll.id) == {1: (1, 1)}
        # Somebody who has it after that is waited for again.
        session.rollback()
        session.scalars(lock).one()
        with pytest.raises(OperationalError):
            box.cast(ballot(2))

    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_votes_in_a_locked_poll_are_refused_together(
        self, box: BallotBox, ballot: Ballot, session: Session, poll: Poll
    ) -> None:
        session.scalars(sa.select(Poll).with_for_update()).one()
        gate = threading.Barrier(8)

        def vote(number: int) -> None:
            gate.wait(20)
            with pytest.raises((OperationalError, WaitedTooLong)):
                box.cast(ballot(number))

        with ThreadPoolExecutor(8) as threads, statements_sent() as sent:
            list(threads.map(vote, range(8)))

        # Two at the most wait in the database: the first, and who led the line after it.
        assert (
            1 <= len([one for one in sent if "pg_advisory_xact_lock_shared" in one and "try" not in one]) <= 2
        )
        session.rollback()
        assert counted_by_ballots(session, poll.id) == {}
