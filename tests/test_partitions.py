"""The documented partitions by poll: the vote's statement, edits of votes, recount and comparison work on them as before."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.keys import Keys
from pollsvc.polls.ballots import AlreadyVoted, Outcome
from pollsvc.polls.models import Ballot, Poll
from pollsvc.polls.tallies import find_differences, read_tally, recount
from tests.conftest import NOW
from tests.databases import migrate, open_engine
from tests.documented import blocks
from tests.factories import cast, make_ballots, make_poll, make_site
from tests.postgres import PostgresServer

POLLS = 12


@pytest.fixture
def session(postgres: PostgresServer, keys: Keys) -> Iterator[Session]:
    """A database with ballots in several polls that was then partitioned by the documented lines."""
    url = postgres.create_database("partitioned")
    migrate(url, keys)
    engine = open_engine(url, keys)
    with Session(engine, expire_on_commit=False) as opened:
        make_site(opened)
        for number in range(POLLS):
            poll = make_poll(opened, question=f"Question {number}?", allow_change=bool(number % 2))
            make_ballots(opened, keys=keys, poll=poll, counts=[number, 1])
        opened.commit()
        (lines,) = blocks("Distributing by poll_id", "sql")
        with postgres.connect("partitioned") as connection:
            connection.execute(lines.encode())
        yield opened
    engine.dispose()
    postgres.drop_database("partitioned")


def polls(session: Session) -> list[Poll]:
    return list(session.scalars(sa.select(Poll).order_by(Poll.id)))


def test_ballots_lie_in_several_of_them(session: Session) -> None:
    used = session.scalars(
        sa.text("SELECT DISTINCT CAST(CAST(tableoid AS regclass) AS text) FROM ballot")
    ).all()

    assert len(used) > 1
    assert set(used) <= {f"ballot_{number}" for number in range(4)}


def test_what_was_there_is_there(session: Session) -> None:
    assert [read_tally(session, poll.id).total_voters for poll in polls(session)] == list(range(1, POLLS + 1))
    assert find_differences(session) == []


def test_votes_are_counted_once(session: Session, keys: Keys) -> None:
    for poll in polls(session):
        voters = read_tally(session, poll.id).total_voters

        assert cast(session, keys=keys, poll=poll, choices=[1], number=99) == Outcome.COUNTED
        assert cast(session, keys=keys, poll=poll, choices=[1], number=99) == Outcome.ALREADY_COUNTED

        session.commit()
        assert read_tally(session, poll.id).total_voters == voters + 1
    assert find_differences(session) == []


def test_another_choice_is_refused_or_changes_the_ballot(session: Session, keys: Keys) -> None:
    fixed, changeable, *_ = polls(session)

    with pytest.raises(AlreadyVoted):
        cast(session, keys=keys, poll=fixed, choices=[1], number=1)
    assert cast(session, keys=keys, poll=changeable, choices=[2], number=1) == Outcome.CHANGED

    session.commit()
    assert find_differences(session) == []


def test_a_ballot_without_a_poll_is_refused(session: Session) -> None:
    statement = sa.insert(Ballot).values(
        poll_id=sa.func.gen_random_uuid(),
        voter_key=bytes(32),
        choices=[1],
        tier="storage",
        state="counted",
        voted_hour=NOW,
    )

    with pytest.raises(sa.exc.IntegrityError, match="fk_ballot_poll_id"):
        session.execute(statement)


def test_a_recount_finds_nothing_to_mend(session: Session) -> None:
    assert recount(session, polls(session)[5].id, NOW) == []
