"""Votes that a process takes at the same moment: committed together, each answered for itself."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pollsvc.errors import PollsvcError
from pollsvc.keys import Keys
from pollsvc.polls.ballot_box import BallotBox, Cast
from pollsvc.polls.ballots import Outcome, PollClosed, new_ballot
from pollsvc.polls.lookups import Lookups
from pollsvc.polls.models import Poll
from pollsvc.polls.service import PollNotFound
from pollsvc.polls.verdicts import NewBallot
from tests.conftest import NOW
from tests.factories import make_poll, make_voter, make_voter_token
from tests.polls.acts import close, recount
from tests.polls.evidence import NOWHERE, counted_by_ballots, counted_by_slots, held
from tests.polls.http import statements_sent
from tests.processes import wait_until

SECONDS = 20.0


@pytest.fixture
def box(app: Flask) -> BallotBox:
    """The ballot box of an application."""
    found: BallotBox = app.extensions["pollsvc.ballot_box"]
    return found


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


@pytest.fixture
def ballot(keys: Keys, poll: Poll) -> Callable[..., NewBallot]:
    """Make the ballot of a reader, by number."""

    def make(number: int = 1, choices: Sequence[int] = (1,), *, of: Poll | None = None) -> NewBallot:
        voter = make_voter(number=number)
        return new_ballot(keys, poll_id=(of or poll).id, choices=choices, voter=voter, now=NOW)

    return make


Make = Callable[..., NewBallot]


class Queue:
    """Votes that wait together behind one that the database holds up."""

    def __init__(self, box: BallotBox, threads: ThreadPoolExecutor) -> None:
        self._box = box
        self._threads = threads
        self.cast: list[Future[Cast]] = []

    def bring(self, ballot: NewBallot) -> None:
        batcher = self._box._batcher
        before = len(batcher._queue)
        self.cast.append(self._threads.submit(self._box.cast, ballot))
        if len(self.cast) == 1:
            wait_until(lambda: batcher._has_leader and not batcher._queue)
        else:
            wait_until(lambda: len(batcher._queue) == before + 1)

    def told(self) -> list[str]:
        """Give the outcome of each vote, or the code of its refusal, once nothing holds them up."""
        return [self._told(each) for each in self.cast]

    @staticmethod
    def _told(future: Future[Cast]) -> str:
        try:
            return future.result(SECONDS).outcome
        except PollsvcError as refusal:
            return refusal.code
        except IntegrityError:
            return "refused by the database"


@contextmanager
def nobody_writes(session: Session) -> Iterator[None]:
    """Hold up every vote in the database."""
    session.rollback()
    if session.get_bind().dialect.name == "sqlite":
        session.connection(execution_options={"sqlite_write": True})
    else:
        session.execute(sa.text("LOCK TABLE ballot IN ACCESS EXCLUSIVE MODE"))
    try:
        yield
    finally:
        session.rollback()


def waits_in_line(session: Session) -> bool:
    """Say whether somebody waits for a poll that another one has."""
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    return bool(session.scalar(sa.text(waiting)) == 1)


@pytest.fixture
def queue(box: BallotBox, threads: ThreadPoolExecutor) -> Queue:
    return Queue(box, threads)


class TestCast:
    def test_is_answered_with_how_the_poll_stands_after_it(self, box: BallotBox, ballot: Make) -> None:
        box.cast(ballot(1, [2]))

        cast = box.cast(ballot(2, [1]))

        assert cast.outcome == Outcome.COUNTED
        assert cast.standing is not None
        assert [count.votes for count in cast.standing.tally.choices] == [1, 1]

    def test_again_is_told_so(self, box: BallotBox, ballot: Make) -> None:
        box.cast(ballot())

        cast = box.cast(ballot())

        assert cast.outcome == Outcome.ALREADY_COUNTED
        assert cast.standing is not None

    def test_may_change_where_the_poll_lets_it(self, box: BallotBox, ballot: Make, session: Session) -> None:
        poll = make_poll(session, allow_change=True)
        session.commit()
        box.cast(ballot(of=poll))

        cast = box.cast(ballot(choices=[2], of=poll))

        assert cast.outcome == Outcome.CHANGED
        assert cast.standing is not None
        assert [count.votes for count in cast.standing.tally.choices] == [0, 1]
        assert counted_by_ballots(session, poll.id) == counted_by_slots(session, poll.id) == {2: (1, 1)}

    def test_after_the_close_only_a_repetition_is_taken(
        self, box: BallotBox, ballot: Make, session: Session, poll: Poll
    ) -> None:
        box.cast(ballot())
        close(session, poll)
        session.commit()

        assert box.cast(ballot()).outcome == Outcome.ALREADY_COUNTED
        with pytest.raises(PollClosed):
            box.cast(ballot(choices=[2]))

    def test_in_no_poll(self, box: BallotBox, ballot: Make) -> None:
        nowhere = ballot()

        with pytest.raises(PollNotFound):
            box.cast(NewBallot(NOWHERE, nowhere.voter_key, [1], nowhere.tier, NOW))


class TestTogether:
    def test_votes_that_wait_are_committed_in_one_transaction(
        self, queue: Queue, ballot: Make, session: Session, poll: Poll
    ) -> None:
        with statements_sent() as sent:
            with nobody_writes(session):
                for number in range(1, 8):
                    queue.bring(ballot(number, [1 + number % 2]))
            assert queue.told() == ["counted"] * 7

        assert len([one for one in sent if "INSERT INTO ballot" in one]) == 2
        assert counted_by_ballots(session, poll.id) == {1: (3, 3), 2: (4, 4)}
        assert counted_by_slots(session, poll.id) == {1: (3, 3), 2: (4, 4)}

    def test_each_is_answered_for_itself(
        self, queue: Queue, ballot: Make, session: Session, poll: Poll, keys: Keys
    ) -> None:
        closed, other = make_poll(session), make_poll(session, kind="multiple", choices=["A", "B", "C"])
        close(session, closed)
        session.commit()
        nowhere = NewBallot(NOWHERE, b"v" * 32, [1], "storage", NOW)
        sent = [
            ballot(1),
            ballot(2, [9]),
            ballot(3, of=closed),
            nowhere,
            ballot(4, [1, 3], of=other),
            ballot(5, [2]),
        ]

        with nobody_writes(session):
            for each in sent:
                queue.bring(each)

        answers = ["counted", "invalid", "poll_closed", "poll_not_found", "counted", "counted"]
        assert queue.told() == answers
        assert counted_by_slots(session, poll.id) == {1: (1, 1), 2: (1, 1)}
        assert counted_by_slots(session, other.id) == {1: (1, 1), 3: (1, 0)}

    @pytest.mark.parametrize(
        "second", [([1], "already_counted"), ([2], "already_voted")], ids=["the same", "another"]
    )
    def test_two_of_one_voter_are_answered_one_after_the_other(
        self, queue: Queue, ballot: Make, session: Session, poll: Poll, second: tuple[list[int], str]
    ) -> None:
        with nobody_writes(session):
            for each in (ballot(1), ballot(2, [1]), ballot(2, second[0]), ballot(3)):
                queue.bring(each)

        assert queue.told() == ["counted", "counted", second[1], "counted"]
        assert counted_by_ballots(session, poll.id) == counted_by_slots(session, poll.id) == {1: (3, 3)}

    def test_one_that_cannot_be_stored_fails_alone(
        self, queue: Queue, ballot: Make, session: Session, poll: Poll
    ) -> None:
        good = ballot(2)
        bad = NewBallot(good.poll_id, b"b" * 32, [1], "nonsense", NOW)

        with nobody_writes(session):
            for each in (ballot(1), good, bad, ballot(3)):
                queue.bring(each)

        assert queue.told() == ["counted", "counted", "refused by the database", "counted"]
        assert counted_by_ballots(session, poll.id) == counted_by_slots(session, poll.id) == {1: (3, 3)}


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
class TestPollThatAnEditorHas:
    def test_its_votes_wait_and_those_of_other_polls_do_not(
        self,
        box: BallotBox,
        threads: ThreadPoolExecutor,
        ballot: Make,
        session: Session,
        poll: Poll,
    ) -> None:
        other = make_poll(session)
        session.commit()
        recount(session, poll)
        waiting = threads.submit(box.cast, ballot(1))
        wait_until(lambda: waits_in_line(session))

        beside = box.cast(ballot(1, of=other))

        assert beside.outcome == Outcome.COUNTED
        assert not waiting.done()
        session.commit()
        cast = waiting.result(SECONDS)
        assert cast.outcome == Outcome.COUNTED
        assert cast.standing is not None
        assert cast.standing.tally.total_voters == 1

    def test_they_see_what_the_editor_decided(
        self, box: BallotBox, threads: ThreadPoolExecutor, ballot: Make, session: Session, poll: Poll
    ) -> None:
        close(session, poll)
        waiting = threads.submit(box.cast, ballot(1))
        wait_until(lambda: waits_in_line(session))

        session.commit()

        with pytest.raises(PollClosed):
            waiting.result(SECONDS)
        assert held(session)["ballot"] == 0

    def test_leaves_its_place_to_readers(
        self,
        make_app: Callable[..., Flask],
        threads: ThreadPoolExecutor,
        session: Session,
        poll: Poll,
        keys: Keys,
    ) -> None:
        application = make_app(threads=1)
        url = f"/v1/polls/{poll.id}"
        body = {"choices": [1], "voter_token": make_voter_token(keys)}
        recount(session, poll)
        vote = threads.submit(application.test_client().post, f"{url}/votes", json=body)
        wait_until(lambda: waits_in_line(session))

        results = application.test_client().get(f"{url}/results")

        assert results.status_code == 200
        assert not vote.done()
        session.commit()
        assert vote.result(SECONDS).status_code == 201

    def test_votes_that_waited_together_are_committed_together(
        self,
        box: BallotBox,
        threads: ThreadPoolExecutor,
        ballot: Make,
        session: Session,
        poll: Poll,
    ) -> None:
        recount(session, poll)
        with statements_sent() as sent:
            first = threads.submit(box.cast, ballot(1))
            wait_until(lambda: waits_in_line(session))
            others = [threads.submit(box.cast, ballot(number)) for number in range(2, 9)]
            line = box._lines._lines[poll.id]
            wait_until(lambda: len(line._queue) == len(others))
            session.commit()
            assert {each.result(SECONDS).outcome for each in [first, *others]} == {Outcome.COUNTED}

        assert len([one for one in sent if "INSERT INTO ballot" in one and "SKIP LOCKED" not in one]) == 2
        assert box._lines._lines == {}
        assert counted_by_ballots(session, poll.id) == counted_by_slots(session, poll.id) == {1: (8, 8)}

    def test_votes_of_many_polls_leave_the_newsroom_its_connections(
        self,
        make_app: Callable[..., Flask],
        threads: ThreadPoolExecutor,
        ballot: Make,
        session: Session,
    ) -> None:
        application = make_app(database_pool=4)
        box: BallotBox = application.extensions["pollsvc.ballot_box"]
        polls = [make_poll(session) for _ in range(6)]
        session.commit()
        session.execute(sa.select(Poll).with_for_update())
        waiting = [threads.submit(box.cast, ballot(1, of=poll)) for poll in polls]
        wait_until(lambda: len(box._lines._lines) == len(polls))

        assert application.test_client().get("/readyz").status_code == 200

        assert not any(each.done() for each in waiting)
        session.rollback()
        assert {each.result(SECONDS).outcome for each in waiting} == {Outcome.COUNTED}

    def test_a_change_waits_in_line_and_alone_of_one_patience(
        self,
        make_app: Callable[..., Flask],
        monkeypatch: pytest.MonkeyPatch,
        threads: ThreadPoolExecutor,
        ballot: Make,
        session: Session,
    ) -> None:
        monkeypatch.setattr("pollsvc.polls.ballot_box.PATIENCE", 10)
        poll = make_poll(session, allow_change=True)
        session.commit()
        box: BallotBox = make_app().extensions["pollsvc.ballot_box"]
        box.cast(ballot(1, of=poll))
        recount(session, poll)

        with statements_sent() as sent:
            changing = threads.submit(box.cast, ballot(1, [2], of=poll))
            wait_until(lambda: waits_in_line(session))
            session.commit()
            assert changing.result(SECONDS).outcome == Outcome.CHANGED

        bounds = [int(one.rpartition(" ")[2]) for one in sent if one.startswith("SET LOCAL lock_timeout")]
        # In line for the editor and for the row, then alone for a look and for the change: of the same ten seconds.
        assert len(bounds) == 4
        assert bounds[0] <= 10_000
        assert bounds[1] < bounds[0]
        assert bounds == sorted(bounds, reverse=True)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
class TestCutConnection:
    @pytest.fixture
    def cut(
        self, make_app: Callable[..., Flask], session: Session, poll: Poll, ballot: Make
    ) -> dict[str, object]:
        """The extensions of an application whose connections were cut after its first vote."""
        ours = sa.text("SELECT pid FROM pg_stat_activity WHERE application_name = 'pollsvc'")
        others = session.scalars(ours).all()
        session.rollback()
        extensions = make_app().extensions
        extensions["pollsvc.ballot_box"].cast(ballot(1))
        for pid in set(session.scalars(ours)) - set(others):
            assert session.scalar(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        session.rollback()
        return extensions

    def test_vote_is_sent_again_over_a_new_one(
        self, cut: dict[str, BallotBox], ballot: Make, session: Session, poll: Poll
    ) -> None:
        assert cut["pollsvc.ballot_box"].cast(ballot(2)).outcome == Outcome.COUNTED
        assert counted_by_ballots(session, poll.id) == counted_by_slots(session, poll.id) == {1: (2, 2)}

    def test_reader_is_answered_over_a_new_one(self, cut: dict[str, Lookups], poll: Poll) -> None:
        assert cut["pollsvc.lookups"].standing(poll.id).tally.total_voters == 1


class TestManyThreads:
    def test_every_voter_is_counted_once_whatever_the_threads_do(
        self, box: BallotBox, threads: ThreadPoolExecutor, ballot: Make, session: Session, poll: Poll
    ) -> None:
        gate = threading.Barrier(16)

        def press(thread: int) -> list[str]:
            gate.wait(SECONDS)
            return [box.cast(ballot(number)).outcome for number in range(thread, thread + 12)]

        told = [outcome for each in threads.map(press, range(16)) for outcome in each]

        assert told.count("counted") == 27
        assert told.count("already_counted") == 16 * 12 - 27
        assert counted_by_ballots(session, poll.id) == counted_by_slots(session, poll.id) == {1: (27, 27)}
