"""How long votes wait for a lock: as long as a reader may, and hardly at all where the one before waited in vain."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from pollsvc.keys import Keys
from pollsvc.patience import hurried
from pollsvc.polls.ballot_box import BallotBox
from pollsvc.polls.ballots import Outcome, new_ballot
from pollsvc.polls.models import Poll
from pollsvc.polls.verdicts import NewBallot
from tests.conftest import NOW
from tests.factories import make_voter
from tests.polls.http import statements_sent


@pytest.fixture
def voting(engine: sa.Engine) -> sa.Engine:
    """An engine as the vote path has it."""
    is_sqlite = engine.dialect.name == "sqlite"
    return engine if is_sqlite else engine.execution_options(isolation_level="AUTOCOMMIT")


def patience_of(connection: sa.Connection) -> str:
    told = "PRAGMA busy_timeout" if connection.dialect.name == "sqlite" else "SHOW lock_timeout"
    return str(connection.exec_driver_sql(told).scalar())


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
    @pytest.fixture
    def box(
        self, make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch, session: Session
    ) -> BallotBox:
        """The ballot box of an application that waits for a lock for a moment."""
        is_sqlite = session.get_bind().dialect.name == "sqlite"
        monkeypatch.setattr("pollsvc.db.PATIENCE", 0.2 if is_sqlite else 1)
        found: BallotBox = make_app().extensions["pollsvc.ballot_box"]
        return found

    @pytest.fixture
    def ballot(self, keys: Keys, poll: Poll) -> NewBallot:
        return new_ballot(keys, poll_id=poll.id, choices=[1], voter=make_voter(), now=NOW)

    def test_remembers_who_waited_in_vain_until_a_vote_is_counted(
        self, box: BallotBox, ballot: NewBallot, session: Session
    ) -> None:
        session.execute(sa.update(Poll).values(version=Poll.version))
        with pytest.raises(OperationalError):
            box.cast(ballot)
        assert len(box._stuck) == 1
        session.rollback()

        cast = box.cast(ballot)

        assert cast.outcome == Outcome.COUNTED
        assert box._stuck == set()
