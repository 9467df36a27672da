"""Ballots are written again among others: whoever has SQL sees no order in them, and no vote notices (promise 7)."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import count

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.keys import Keys
from pollsvc.polls.ballots import cast_vote, new_ballot
from pollsvc.polls.mixing import PAUSE, POOL, ROWS, SHARE, TURN, Pace, has_unsettled, mix_ballots
from pollsvc.polls.models import Ballot, Poll
from pollsvc.polls.service import recount_poll
from pollsvc.polls.tallies import find_differences, read_tally
from tests.conftest import NOW
from tests.factories import ACTOR, cast, make_poll, make_voter
from tests.polls.crowd import Crowd
from tests.polls.evidence import ballots_of, counted_by_ballots, counted_by_slots

on_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)

LATER = NOW + timedelta(hours=1)
SECONDS_OF_LOAD = 3.0


def mix(session: Session, now: datetime = NOW) -> int:
    """Mix until everything is settled, as the worker does; give the number of transactions."""
    for steps in count():
        session.rollback()
        if not has_unsettled(session, now):
            session.rollback()
            return steps
        session.rollback()
        mix_ballots(session, now)
        session.commit()
    raise AssertionError


def vote_one_by_one(session: Session, keys: Keys, poll: Poll, readers: range, now: datetime = NOW) -> None:
    """Let readers vote, each in a transaction of their own."""
    for number in readers:
        cast(session, keys=keys, poll=poll, choices=[1 + number % 2], number=number, now=now)
        session.commit()


def fill(session: Session, poll: Poll, ballots: int, now: datetime = NOW) -> None:
    """Put many ballots into a poll, past its tally."""
    rows = sa.text(
        "INSERT INTO ballot (poll_id, voter_key, choices, tier, state, voted_hour) "
        "SELECT :poll, sha256(CAST(CAST(g AS text) AS bytea)), '{1}', 'storage', 'counted', "
        "date_trunc('hour', CAST(:now AS timestamptz)) FROM generate_series(1, :ballots) AS g"
    )
    session.execute(rows, {"poll": poll.id, "now": now, "ballots": ballots})
    session.commit()


def numbers_in(session: Session, table: str, column: str = "xmin") -> Counter[str]:
    """Count the rows of a table by the transaction that wrote them, or that last locked them."""
    found = session.scalars(sa.text(f"SELECT CAST({column} AS text) FROM {table}")).all()
    session.rollback()
    return Counter(found)


def writer_of(session: Session, keys: Keys, poll: Poll, number: int) -> str:
    """Give the transaction that wrote a reader's ballot, found by what only this reader voted for."""
    mine = sa.text(
        "SELECT CAST(xmin AS text) FROM ballot WHERE poll_id = :poll AND choices = CAST(:mine AS smallint[])"
    )
    found = str(session.scalars(mine, {"poll": poll.id, "mine": [number]}).one())
    session.rollback()
    return found


@pytest.fixture
def other_poll(session: Session, site: Site) -> Poll:
    """Another open poll."""
    poll = make_poll(session)
    session.commit()
    return poll


@pytest.fixture
def changeable(session: Session, site: Site) -> Poll:
    """A poll whose voters may choose again."""
    poll = make_poll(session, choices=["A", "B", "C"], allow_change=True)
    session.commit()
    return poll


@on_postgresql
class TestMixBallots:
    @pytest.mark.parametrize("table", ["ballot", "tally_slot", "tally_clock"])
    def test_one_transaction_wrote_all_rows_of_votes(
        self, session: Session, keys: Keys, poll: Poll, other_poll: Poll, table: str
    ) -> None:
        vote_one_by_one(session, keys, poll, range(8))
        vote_one_by_one(session, keys, other_poll, range(8, 12))
        before = numbers_in(session, table)

        mix(session)

        assert len(before) > 1
        assert len(numbers_in(session, table)) == 1

    @pytest.mark.parametrize("table", ["choice", "poll"])
    def test_one_transaction_last_locked_what_votes_lock(
        self, session: Session, keys: Keys, poll: Poll, table: str
    ) -> None:
        vote_one_by_one(session, keys, poll, range(8))
        before = numbers_in(session, table, "xmax")

        mix(session)

        after = numbers_in(session, table, "xmax")
        assert len(after) == 1
        assert not set(after) & set(before)

    def test_nothing_that_was_voted_is_changed(self, session: Session, keys: Keys, poll: Poll) -> None:
        vote_one_by_one(session, keys, poll, range(12))
        everything = sa.select(
            Ballot.poll_id, Ballot.voter_key, Ballot.choices, Ballot.tier, Ballot.state, Ballot.voted_hour
        ).order_by(Ballot.voter_key)
        before, tally = session.execute(everything).all(), read_tally(session, poll.id)

        mix(session)

        assert session.execute(everything).all() == before
        assert read_tally(session, poll.id) == tally

    def test_what_a_later_release_adds_is_kept(self, session: Session, keys: Keys, poll: Poll) -> None:
        vote_one_by_one(session, keys, poll, range(3))
        # Not committed: the other tests know no such column.
        session.execute(sa.text("ALTER TABLE ballot ADD COLUMN \"what Comes\" text DEFAULT 'usual'"))
        session.execute(sa.text("UPDATE ballot SET \"what Comes\" = 'kept'"))
        session.execute(sa.text("UPDATE ballot SET voted_hour = :then"), {"then": NOW - timedelta(hours=3)})

        assert mix_ballots(session, NOW)

        assert set(session.scalars(sa.text('SELECT "what Comes" FROM ballot'))) == {"kept"}
        assert {ballot.is_mixed for ballot in ballots_of(session)} == {True}

    def test_ballot_alone_in_its_poll_is_left_until_another_comes(
        self, session: Session, keys: Keys, poll: Poll
    ) -> None:
        vote_one_by_one(session, keys, poll, range(1))

        assert mix(session) == 0

        vote_one_by_one(session, keys, poll, range(1, 2))
        assert mix(session) == 1
        assert len(numbers_in(session, "ballot")) == 1

    def test_what_is_settled_is_left(
        self, session: Session, keys: Keys, poll: Poll, other_poll: Poll
    ) -> None:
        vote_one_by_one(session, keys, poll, range(4))
        mix(session)
        [before] = numbers_in(session, "ballot")
        vote_one_by_one(session, keys, other_poll, range(4))

        mix(session)

        assert numbers_in(session, "ballot")[before] == 4

    def test_new_ballot_takes_those_before_it_along(self, session: Session, keys: Keys, poll: Poll) -> None:
        for number in range(6):
            vote_one_by_one(session, keys, poll, range(number, number + 1))
            mix(session)

        assert list(numbers_in(session, "ballot").values()) == [6]
        assert {ballot.is_mixed for ballot in ballots_of(session)} == {False}

    def test_new_ballot_of_a_large_hour_is_one_of_a_pool(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        poll = make_poll(session, choices=["A", "B", "C", "D"])
        session.commit()
        fill(session, poll, 3 * POOL)
        mix(session)

        for number in (2, 3, 4):
            cast(session, keys=keys, poll=poll, choices=[number], number=number, now=NOW)
            session.commit()
            mix(session)
            assert numbers_in(session, "ballot")[writer_of(session, keys, poll, number)] == POOL + 1

    def test_pool_is_drawn_by_lot(self, session: Session, poll: Poll) -> None:
        fill(session, poll, 3 * POOL)
        kept = sa.select(Ballot.voter_key).where(Ballot.is_mixed.is_(False)).order_by(Ballot.voter_key)

        mix(session)
        first = session.scalars(kept).all()
        session.execute(sa.text("UPDATE ballot SET is_mixed = false"))
        session.commit()
        mix(session)

        # That a fair draw of a third meets four fifths of the ones before has a chance of one in 10^27.
        assert len(first) == POOL
        assert len(set(first) & set(session.scalars(kept).all())) < POOL * 4 / 5

    def test_order_of_the_rows_is_drawn_by_lot(self, session: Session, poll: Poll) -> None:
        fill(session, poll, 200)
        rows = sa.text("SELECT voter_key FROM ballot ORDER BY ctid")
        before = session.scalars(rows).all()

        mix(session, LATER)

        # Of 200 in fair disorder one stays in its place on average, and more than 12 do so once in 10^10.
        after = session.scalars(rows).all()
        assert sum(old == new for old, new in zip(before, after, strict=True)) <= 12

    @pytest.mark.parametrize(
        ("now", "waiting"),
        [
            pytest.param(NOW.replace(minute=59), 3, id="running"),
            pytest.param(LATER.replace(minute=0), 3, id="over, and votes may still be under way"),
            pytest.param(LATER.replace(minute=1), 0, id="over"),
        ],
    )
    def test_hour_that_is_over_waits_for_nobody(
        self, session: Session, keys: Keys, poll: Poll, now: datetime, waiting: int
    ) -> None:
        vote_one_by_one(session, keys, poll, range(3))

        mix(session, now)

        assert sum(not ballot.is_mixed for ballot in ballots_of(session)) == waiting
        assert len(numbers_in(session, "ballot")) == 1

    def test_last_one_of_a_backlog_is_not_by_itself(self, session: Session, poll: Poll) -> None:
        fill(session, poll, 2 * ROWS + 1)

        steps = mix(session, LATER)

        written = numbers_in(session, "ballot")
        assert steps == len(written) == 3
        assert min(written.values()) > POOL
        assert all(ballot.is_mixed for ballot in ballots_of(session))

    def test_hours_of_a_backlog_have_pools_of_their_own(self, session: Session, poll: Poll) -> None:
        hours = [NOW - timedelta(hours=hour) for hour in range(5)]
        fill(session, poll, ROWS + 250)
        among = sa.text(
            "UPDATE ballot SET voted_hour = CASE WHEN get_byte(voter_key, 0) < 200 THEN CAST(:first AS timestamptz) "
            "ELSE CAST(:second AS timestamptz) END"
        )
        session.execute(among, {"first": hours[3], "second": hours[4]})
        session.commit()

        mix(session)

        groups = sa.text("SELECT count(*) FROM ballot GROUP BY voted_hour, CAST(xmin AS text)")
        assert min(session.scalars(groups)) >= POOL
        assert all(ballot.is_mixed for ballot in ballots_of(session))

    def test_many_polls_are_worked_off(self, session: Session, keys: Keys, site: Site) -> None:
        polls = [make_poll(session) for _ in range(25)]
        session.commit()
        for poll in polls:
            vote_one_by_one(session, keys, poll, range(2))

        steps = mix(session)

        per_poll = sa.text("SELECT count(DISTINCT CAST(xmin AS text)) FROM ballot GROUP BY poll_id")
        assert steps == 1
        assert session.scalars(per_poll).all() == [1] * 25

    def test_those_alone_in_their_polls_hide_among_each_other(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        polls = [make_poll(session) for _ in range(25)]
        session.commit()
        for poll in polls:
            vote_one_by_one(session, keys, poll, range(1))
            mix(session)

        for table in ("ballot", "tally_slot", "tally_clock"):
            assert list(numbers_in(session, table).values()) == [25]
        mix(session, LATER)
        assert list(numbers_in(session, "ballot").values()) == [25]

    def test_one_alone_in_its_hour_hides_among_those_of_other_polls(
        self, session: Session, keys: Keys, poll: Poll, other_poll: Poll
    ) -> None:
        start = LATER.replace(minute=0, second=10)
        vote_one_by_one(session, keys, poll, range(3))
        vote_one_by_one(session, keys, poll, range(3, 4), start)
        mix(session, start)
        vote_one_by_one(session, keys, other_poll, range(1), start)

        mix(session, start)

        assert list(numbers_in(session, "ballot").values()) == [5]


@on_postgresql
class TestVotesComeFirst:
    def test_ballot_that_a_vote_holds_is_left_for_the_next_time(
        self, session: Session, engine: sa.Engine, keys: Keys, poll: Poll
    ) -> None:
        vote_one_by_one(session, keys, poll, range(3))
        with Session(engine) as other:
            other.execute(sa.select(Ballot).limit(1).with_for_update())
            mix_ballots(session, NOW)
            session.commit()
        assert sorted(numbers_in(session, "ballot").values()) == [1, 2]

        mix(session)

        assert list(numbers_in(session, "ballot").values()) == [3]

    @pytest.mark.parametrize("table", ["tally_slot", "tally_clock", "choice"])
    def test_row_that_a_vote_holds_is_not_waited_for(
        self, session: Session, engine: sa.Engine, keys: Keys, poll: Poll, table: str
    ) -> None:
        vote_one_by_one(session, keys, poll, range(3))
        with Session(engine) as other:
            other.execute(sa.text(f"SELECT * FROM {table} FOR UPDATE"))

            assert mix_ballots(session, NOW)
            session.commit()

        assert list(numbers_in(session, "ballot").values()) == [3]

    def test_poll_that_an_editor_holds_is_left(
        self, session: Session, engine: sa.Engine, keys: Keys, poll: Poll
    ) -> None:
        vote_one_by_one(session, keys, poll, range(3))
        with Session(engine) as other:
            other.execute(sa.select(Poll).with_for_update())

            assert not mix_ballots(session, NOW)

    def test_one_worker_at_a_time(self, session: Session, engine: sa.Engine, keys: Keys, poll: Poll) -> None:
        vote_one_by_one(session, keys, poll, range(3))
        with Session(engine) as other:
            assert mix_ballots(other, NOW)

            assert not mix_ballots(session, NOW)

    @pytest.mark.parametrize(
        ("choices", "told"), [([2], "already_counted"), ([1], "already_voted")], ids=["same", "another"]
    )
    def test_second_vote_of_a_reader_whose_ballot_is_being_mixed_is_none(
        self, session: Session, crowd: Crowd, poll: Poll, choices: list[int], told: str
    ) -> None:
        for number in (1, 2):
            crowd.vote(poll.id, [1 + number % 2], number=number)
        crowd.vote(poll.id, [2], number=3)
        mix_ballots(session, NOW)

        again = crowd.begin(crowd.vote, poll.id, choices, number=3)
        crowd.wait_for_waiting(1)
        session.commit()

        assert again.result() == told
        assert read_tally(session, poll.id).total_voters == len(ballots_of(session)) == 3
        assert find_differences(session) == []

    def test_vote_of_a_reader_whose_ballot_is_being_mixed_is_changed(
        self, session: Session, engine: sa.Engine, crowd: Crowd, keys: Keys, changeable: Poll
    ) -> None:
        for number in (1, 2):
            crowd.vote(changeable.id, [number], number=number)
        ballot = new_ballot(keys, poll_id=changeable.id, choices=[3], voter=make_voter(number=1), now=NOW)
        waits: Iterator[int] = count()

        def begin_to_mix() -> None:
            # Before the second statement, which would change the ballot that the first one found.
            if next(waits) == 1:
                mix_ballots(session, NOW)

        def change_it() -> str:
            with Session(engine.execution_options(isolation_level="AUTOCOMMIT")) as reader:
                return cast_vote(reader, ballot, begin_to_mix)

        change = crowd.begin(change_it)
        crowd.wait_for_waiting(1)
        session.commit()

        assert change.result() == "changed"
        assert counted_by_ballots(session, changeable.id) == {2: (1, 1), 3: (1, 1)}
        assert find_differences(session) == []

    def test_changed_ballot_is_mixed_anew_with_those_of_its_new_hour(
        self, session: Session, keys: Keys, changeable: Poll
    ) -> None:
        earlier = NOW - timedelta(hours=5)
        vote_one_by_one(session, keys, changeable, range(2, 5), earlier)
        mix(session)
        vote_one_by_one(session, keys, changeable, range(10, 13))
        cast(session, keys=keys, poll=changeable, choices=[3], number=2, now=NOW)
        session.commit()

        mix(session)

        together = sa.select(Ballot.voted_hour, sa.func.count()).where(Ballot.is_mixed.is_(False))
        assert session.execute(together.group_by(Ballot.voted_hour)).all() == [(NOW.replace(minute=0), 4)]
        assert sorted(numbers_in(session, "ballot").values()) == [2, 4]

    def test_snapshot_of_an_export_holds_each_ballot_once(
        self, session: Session, engine: sa.Engine, keys: Keys, poll: Poll
    ) -> None:
        vote_one_by_one(session, keys, poll, range(12))
        with Session(engine.execution_options(isolation_level="REPEATABLE READ")) as export:
            before = sorted(ballot.voter_key for ballot in ballots_of(export))

            mix(session)

            assert sorted(ballot.voter_key for ballot in ballots_of(export)) == before
            assert len(before) == 12

    @pytest.mark.slow
    def test_no_vote_is_refused_or_lost_while_ballots_are_mixed_all_the_time(
        self, session: Session, engine: sa.Engine, crowd: Crowd, poll: Poll, changeable: Poll
    ) -> None:
        until = time.monotonic() + SECONDS_OF_LOAD
        turns: Iterator[int] = count()

        def votes(act: Callable[[int], str]) -> Counter[str]:
            told: Counter[str] = Counter()
            while time.monotonic() < until:
                told[act(next(turns))] += 1
            return told

        def recounts() -> Counter[str]:
            told: Counter[str] = Counter()
            while time.monotonic() < until:
                told[crowd.edit(lambda each: recount_poll(each, changeable.id, actor=ACTOR, now=NOW))] += 1
                time.sleep(0.05)
            return told

        def mixes() -> int:
            steps = 0
            with Session(engine) as mixer:
                while time.monotonic() < until:
                    steps += mix(mixer)
            return steps

        mixing = [crowd.begin(mixes) for _ in range(2)]
        checking = crowd.begin(differences_until, engine, until)
        new = [crowd.begin(votes, lambda turn: crowd.vote(poll.id, [1], number=turn)) for _ in range(4)]
        again = [
            crowd.begin(votes, lambda turn: crowd.vote(poll.id, [1], number=turn % 50)) for _ in range(2)
        ]
        change = [
            crowd.begin(
                votes, lambda turn: crowd.vote(changeable.id, [1 + turn * 7 % 3], number=1000 + turn % 20)
            )
            for _ in range(4)
        ]
        recounting = crowd.begin(recounts)

        told = [sum((each.result() for each in group), Counter()) for group in (new, again, change)]
        assert sum(each.result() for each in mixing) > 5
        assert checking.result() == []
        assert set(told[0] + told[1]) <= {"counted", "already_counted"}
        assert set(told[2]) == {"counted", "changed", "already_counted"}
        assert set(recounting.result()) == {"done"}
        counted = sum((each for each in told), Counter[str]())["counted"]
        assert len(ballots_of(session)) == counted
        assert find_differences(session) == []
        for each in (poll, changeable):
            assert counted_by_slots(session, each.id) == counted_by_ballots(session, each.id)
        mix(session, LATER)
        assert len(ballots_of(session)) == counted
        assert find_differences(session) == []


def differences_until(engine: sa.Engine, until: float) -> list[object]:
    """Compare tallies and ballots again and again, and give what differed."""
    found: list[object] = []
    with Session(engine) as session:
        while time.monotonic() < until:
            found += find_differences(session)
            session.rollback()
    return found


class TestPace:
    class Clock:
        """A clock that is set by hand."""

        def __init__(self) -> None:
            self.at = 1000.0

        def __call__(self) -> float:
            return self.at

    @pytest.fixture
    def clock(self) -> Clock:
        return self.Clock()

    def test_turn_goes_on_until_it_took_long_enough(self, clock: Clock) -> None:
        pace = Pace(clock)

        steps = 0
        while pace.allows():
            with pace.step():
                clock.at += TURN / 4
            steps += 1

        assert steps == 4

    def test_rest_is_as_long_as_keeps_the_share(self, clock: Clock) -> None:
        pace = Pace(clock)
        with pace.step():
            clock.at += 2 * TURN

        clock.at += 2 * TURN / SHARE - 2 * TURN - 0.001
        assert not pace.allows()
        clock.at += 0.002
        assert pace.allows()

    def test_short_turn_is_followed_by_a_pause(self, clock: Clock) -> None:
        pace = Pace(clock)
        with pace.step():
            clock.at += 0.001
        pace.rest()

        clock.at += PAUSE - 0.001
        assert not pace.allows()
        clock.at += 0.002
        assert pace.allows()

    def test_looking_in_vain_keeps_the_share_and_needs_no_pause(self, clock: Clock) -> None:
        pace = Pace(clock)
        with pace.look():
            clock.at += 0.01
        pace.rest()

        clock.at += 0.01 / SHARE - 0.01 - 0.001
        assert not pace.allows()
        clock.at += 0.002
        assert pace.allows()

    def test_step_that_fails_counts(self, clock: Clock) -> None:
        pace = Pace(clock)

        with suppress(ZeroDivisionError), pace.step():
            clock.at += TURN
            raise ZeroDivisionError

        assert not pace.allows()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestSqlite:
    def test_nothing_waits(self, session: Session, keys: Keys, poll: Poll) -> None:
        vote_one_by_one(session, keys, poll, range(3))

        assert not has_unsettled(session, LATER)

    @pytest.mark.parametrize("table", ["ballot", "tally_slot"])
    @pytest.mark.parametrize("name", ["rowid", "oid", "_rowid_"])
    def test_rows_have_no_number(self, session: Session, poll: Poll, table: str, name: str) -> None:
        with pytest.raises(OperationalError, match="no such column"):
            session.execute(sa.text(f"SELECT {name} FROM {table}"))

    @pytest.mark.parametrize(
        ("table", "key"),
        [("ballot", "poll_id, voter_key"), ("tally_slot", "poll_id, choice_id, slot")],
        ids=["ballot", "tally_slot"],
    )
    def test_rows_lie_in_the_order_of_their_keys(
        self, session: Session, keys: Keys, poll: Poll, table: str, key: str
    ) -> None:
        vote_one_by_one(session, keys, poll, range(30))

        as_they_lie = session.execute(sa.text(f"SELECT * FROM {table} NOT INDEXED")).all()

        assert as_they_lie == session.execute(sa.text(f"SELECT * FROM {table} ORDER BY {key}")).all()
        assert len(as_they_lie) >= 8
