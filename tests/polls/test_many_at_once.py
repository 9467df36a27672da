"""Sixteen threads vote as fast as they can; then what the database holds is counted."""

from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.keys import Keys
from pollsvc.polls.models import Poll
from pollsvc.polls.service import close_poll, edit_poll, recount_poll
from pollsvc.polls.tallies import find_differences, read_tally
from tests.conftest import NOW
from tests.factories import ACTOR, cast, make_poll
from tests.polls.crowd import Crowd
from tests.polls.evidence import counted_by_ballots, counted_by_slots

Votes = Sequence[tuple[int, list[int]]]


def vote_at_once(crowd: Crowd, poll: Poll, votes: Votes) -> Counter[str]:
    """Let each of these readers vote, and count the answers."""
    cast = [crowd.begin(crowd.vote, poll.id, choices, number=number) for number, choices in votes]
    return Counter(vote.result() for vote in cast)


class TestManyAtOnce:
    def test_every_reader_has_one_ballot_however_often_they_vote(
        self, crowd: Crowd, session: Session, poll: Poll
    ) -> None:
        votes = [(number, [1 + number % 2]) for number in range(40) for _ in range(3)]

        answers = vote_at_once(crowd, poll, votes)

        assert answers == {"counted": 40, "already_counted": 80}
        assert counted_by_ballots(session, poll.id) == {1: (20, 20), 2: (20, 20)}
        assert counted_by_slots(session, poll.id) == counted_by_ballots(session, poll.id)

    def test_reader_who_votes_for_everything_at_once_is_counted_for_one_thing(
        self, crowd: Crowd, session: Session, site: Site
    ) -> None:
        poll = make_poll(session, choices=["A", "B", "C"])
        session.commit()

        answers = vote_at_once(crowd, poll, [(1, [1 + turn % 3]) for turn in range(30)])

        assert answers == {"counted": 1, "already_counted": 9, "already_voted": 20}
        assert read_tally(session, poll.id).total_voters == 1
        assert counted_by_slots(session, poll.id) == counted_by_ballots(session, poll.id)

    def test_reader_who_cannot_decide_leaves_one_ballot_and_right_slots(
        self, crowd: Crowd, session: Session, site: Site, keys: Keys
    ) -> None:
        poll = make_poll(session, kind="multiple", choices=["A", "B", "C"], allow_change=True)
        cast(session, keys=keys, poll=poll, choices=[1])
        session.commit()
        minds = [[1], [2], [3], [1, 2], [1, 3], [2, 3], [1, 2, 3]]

        answers = vote_at_once(crowd, poll, [(1, minds[turn % 7]) for turn in range(140)])

        assert set(answers) <= {"changed", "already_counted"}
        assert read_tally(session, poll.id).total_voters == 1
        assert counted_by_slots(session, poll.id) == counted_by_ballots(session, poll.id)

    def test_nobody_is_refused_because_the_newsroom_is_at_work(
        self, crowd: Crowd, session: Session, site: Site
    ) -> None:
        poll = make_poll(session, kind="multiple", choices=["A", "B", "C"], allow_change=True)
        session.commit()
        minds = [[1, 2], [2, 3], [3, 1], [2]]
        work = [crowd.begin(crowd.edit, self.recount_of(poll)) for _ in range(6)]
        work += [crowd.begin(crowd.edit, self.edit_of(poll, f"{turn}?")) for turn in range(6)]

        answers = vote_at_once(crowd, poll, [(turn % 30, minds[turn % 4]) for turn in range(120)])

        assert {editor.result() for editor in work} == {"done"}
        assert set(answers) <= {"counted", "changed", "already_counted"}
        assert answers["counted"] == 30
        assert find_differences(session) == []
        assert counted_by_slots(session, poll.id) == counted_by_ballots(session, poll.id)

    @pytest.mark.parametrize("first", [0, 30], ids=["before all", "among them"])
    def test_close_is_a_cut(self, crowd: Crowd, session: Session, poll: Poll, first: int) -> None:
        votes = [crowd.begin(crowd.vote, poll.id, [1], number=number) for number in range(first)]
        crowd.edit(lambda editors: close_poll(editors, poll.id, actor=ACTOR, now=NOW))
        counted = read_tally(session, poll.id).total_voters
        session.rollback()

        later = [crowd.begin(crowd.vote, poll.id, [1], number=number) for number in range(100, 120)]

        answers = Counter(vote.result() for vote in [*votes, *later])
        assert answers["counted"] == counted == read_tally(session, poll.id).total_voters
        assert {vote.result() for vote in later} == {"poll_closed"}

    @staticmethod
    def recount_of(poll: Poll) -> Callable[[Session], object]:
        return lambda editors: recount_poll(editors, poll.id, actor=ACTOR, now=NOW)

    @staticmethod
    def edit_of(poll: Poll, question: str) -> Callable[[Session], object]:
        changes = {"question": question}
        return lambda editors: edit_poll(editors, poll.id, changes, version=None, actor=ACTOR, now=NOW)
