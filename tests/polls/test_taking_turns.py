"""What happens while something else is under way, on PostgreSQL: the main thread holds it open, others meet it.

SQLite has one writer at a time; there is nothing to meet.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.keys import Keys
from pollsvc.polls.choices import ChoiceEdit
from pollsvc.polls.models import Poll, TallySlot
from pollsvc.polls.service import get_poll
from pollsvc.polls.tallies import read_tally
from tests.conftest import NOW
from tests.factories import cast, make_poll
from tests.polls.acts import close, edit, recount, withdraw
from tests.polls.crowd import Crowd
from tests.polls.evidence import counted_by_ballots, counted_by_slots, held

pytestmark = pytest.mark.parametrize("database", ["postgresql"], indirect=True)

Act = Callable[..., object]


def drop_second_choice(session: Session, poll: Poll) -> None:
    edit(session, poll, choices=[ChoiceEdit(1, "Yes"), ChoiceEdit(None, "Perhaps")])


class TestVoteDuringAnEdit:
    @pytest.mark.parametrize(
        ("act", "answer"),
        [
            pytest.param(close, "poll_closed", id="close"),
            pytest.param(withdraw, "poll_withdrawn", id="withdrawal"),
            pytest.param(lambda s, p: edit(s, p, opens_at=NOW.replace(hour=23)), "poll_not_open", id="delay"),
            pytest.param(drop_second_choice, "invalid", id="its choice is taken away"),
            pytest.param(lambda s, p: edit(s, p, question="Really?"), "counted", id="wording"),
            pytest.param(recount, "counted", id="recount"),
        ],
    )
    def test_waits_and_sees_what_was_decided(
        self, crowd: Crowd, session: Session, poll: Poll, act: Act, answer: str
    ) -> None:
        act(session, poll)
        vote = crowd.begin(crowd.vote, poll.id, [2])
        crowd.wait_for_waiting(1)

        session.commit()

        assert vote.result() == answer
        stored = 1 if answer == "counted" else 0
        assert held(session) == {"ballot": stored, "tally_slot": stored, "tally_clock": stored}

    @pytest.mark.parametrize("act", [close, drop_second_choice], ids=["close", "its choice is taken away"])
    def test_is_counted_where_the_edit_is_taken_back(
        self, crowd: Crowd, session: Session, poll: Poll, act: Act
    ) -> None:
        act(session, poll)
        vote = crowd.begin(crowd.vote, poll.id, [2])
        crowd.wait_for_waiting(1)

        session.rollback()

        assert vote.result() == "counted"

    def test_change_waits_for_a_close_too(
        self, crowd: Crowd, session: Session, site: Site, keys: Keys
    ) -> None:
        poll = make_poll(session, allow_change=True)
        cast(session, keys=keys, poll=poll, choices=[1])
        session.commit()
        close(session, poll)
        vote = crowd.begin(crowd.vote, poll.id, [2])
        crowd.wait_for_waiting(1)

        session.commit()

        assert vote.result() == "poll_closed"
        assert counted_by_ballots(session, poll.id) == counted_by_slots(session, poll.id) == {1: (1, 1)}

    @pytest.mark.parametrize(
        ("act", "answer"),
        [
            pytest.param(close, "poll_closed", id="close"),
            pytest.param(lambda s, p: edit(s, p, allow_change=False), "already_voted", id="end of changing"),
        ],
    )
    def test_change_is_refused_by_what_came_between_its_two_statements(
        self, crowd: Crowd, session: Session, site: Site, act: Act, answer: str
    ) -> None:
        poll = make_poll(session, allow_change=True)
        session.commit()
        crowd.vote(poll.id, [1])
        recount(session, poll)
        vote = crowd.begin(crowd.vote, poll.id, [2])
        crowd.wait_for_waiting(1)
        editing = crowd.begin(crowd.edit, lambda editors: act(editors, poll))
        crowd.wait_for_waiting(2)

        session.commit()  # turns are taken in this order: the vote's look, the edit, the vote's change

        assert (editing.result(), vote.result()) == ("done", answer)
        assert counted_by_ballots(session, poll.id) == counted_by_slots(session, poll.id) == {1: (1, 1)}

    def test_does_not_wait_for_an_edit_of_another_poll(
        self, crowd: Crowd, session: Session, poll: Poll
    ) -> None:
        other = make_poll(session)
        session.commit()
        close(session, other)

        assert crowd.vote(poll.id, [1]) == "counted"


class TestEditDuringVotes:
    def test_editor_is_not_passed_by_votes_that_come_later(
        self, crowd: Crowd, session: Session, poll: Poll, keys: Keys
    ) -> None:
        # Without a queue, votes that keep coming would hold up the close for as long as they come.
        cast(session, keys=keys, poll=poll, choices=[1], number=1)
        closing = crowd.begin(crowd.edit, lambda editors: close(editors, poll))
        crowd.wait_for_waiting(1)
        later = [crowd.begin(crowd.vote, poll.id, [1], number=number) for number in (2, 3)]
        crowd.wait_for_waiting(3)

        session.commit()

        assert closing.result() == "done"
        assert [vote.result() for vote in later] == ["poll_closed", "poll_closed"]
        assert counted_by_ballots(session, poll.id) == {1: (1, 1)}

    def test_first_ballot_on_its_way_fixes_the_choices(
        self, crowd: Crowd, session: Session, poll: Poll, keys: Keys
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[2])
        editing = crowd.begin(crowd.edit, lambda editors: drop_second_choice(editors, poll))
        crowd.wait_for_waiting(1)

        session.commit()

        assert editing.result() == "choices_fixed"

    def test_recount_counts_the_vote_on_its_way(
        self, crowd: Crowd, session: Session, poll: Poll, keys: Keys
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[2])
        session.merge(TallySlot(poll_id=poll.id, choice_id=1, slot=0, n=7, voters=7))
        session.flush()
        recounting = crowd.begin(crowd.edit, lambda editors: recount(editors, poll))
        crowd.wait_for_waiting(1)

        session.commit()

        assert recounting.result() == "done"
        assert counted_by_slots(session, poll.id) == counted_by_ballots(session, poll.id) == {2: (1, 1)}


class TestTwoVotes:
    def test_clock_is_not_turned_back_by_the_one_that_waited(
        self, crowd: Crowd, session: Session, poll: Poll, keys: Keys
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[1], number=1)
        session.commit()
        later = NOW + timedelta(seconds=5)
        cast(session, keys=keys, poll=poll, choices=[1], number=2, now=later)
        vote = crowd.begin(crowd.vote, poll.id, [1], number=3)
        crowd.wait_for_waiting(1)

        session.commit()

        assert vote.result() == "counted"
        assert read_tally(session, poll.id).as_of == later


class TestTwoEditors:
    def test_second_one_is_told_that_the_first_was_faster(
        self, crowd: Crowd, session: Session, poll: Poll
    ) -> None:
        edit(session, poll, version=1, question="Really?")
        second = crowd.begin(
            crowd.edit, lambda editors: edit(editors, poll, version=1, question="Really not?")
        )
        crowd.wait_for_waiting(1)

        session.commit()

        assert second.result() == "stale_version"
        assert self.now(session, poll).question == "Really?"

    def test_edits_of_different_fields_are_both_kept(
        self, crowd: Crowd, session: Session, poll: Poll
    ) -> None:
        edit(session, poll, question="Really?")
        second = crowd.begin(crowd.edit, lambda editors: edit(editors, poll, allow_change=True))
        crowd.wait_for_waiting(1)

        session.commit()

        assert second.result() == "done"
        found = self.now(session, poll)
        assert (found.question, found.allow_change, found.version) == ("Really?", True, 3)

    def test_poll_is_closed_once(self, crowd: Crowd, session: Session, poll: Poll) -> None:
        close(session, poll)
        second = crowd.begin(crowd.edit, lambda editors: close(editors, poll))
        crowd.wait_for_waiting(1)

        session.commit()

        assert second.result() == "done"
        assert self.now(session, poll).version == 2

    @staticmethod
    def now(session: Session, poll: Poll) -> Poll:
        session.expire_all()
        return get_poll(session, poll.id)


class TestSameVoterAtOnce:
    @pytest.mark.parametrize(
        "second",
        [([1], "already_counted"), ([2], "already_voted")],
        ids=["the same vote", "another vote"],
    )
    def test_second_vote_waits_and_finds_the_first(
        self, crowd: Crowd, session: Session, poll: Poll, keys: Keys, second: tuple[list[int], str]
    ) -> None:
        choices, answer = second
        cast(session, keys=keys, poll=poll, choices=[1])
        vote = crowd.begin(crowd.vote, poll.id, choices)
        crowd.wait_for_waiting(1)

        session.commit()

        assert vote.result() == answer
        assert counted_by_ballots(session, poll.id) == counted_by_slots(session, poll.id) == {1: (1, 1)}

    def test_second_vote_counts_where_the_first_is_taken_back(
        self, crowd: Crowd, session: Session, poll: Poll, keys: Keys
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[1])
        second = crowd.begin(crowd.vote, poll.id, [2])
        crowd.wait_for_waiting(1)

        session.rollback()

        assert second.result() == "counted"
        assert counted_by_ballots(session, poll.id) == counted_by_slots(session, poll.id) == {2: (1, 1)}

    @pytest.mark.parametrize(
        "second",
        [([3], "already_counted"), ([2], "changed")],
        ids=["the same change", "another change"],
    )
    def test_second_change_starts_from_what_the_first_left(
        self, crowd: Crowd, session: Session, site: Site, keys: Keys, second: tuple[list[int], str]
    ) -> None:
        choices, answer = second
        poll = make_poll(session, choices=["A", "B", "C"], allow_change=True)
        cast(session, keys=keys, poll=poll, choices=[1])
        session.commit()
        cast(session, keys=keys, poll=poll, choices=[3])
        vote = crowd.begin(crowd.vote, poll.id, choices)
        crowd.wait_for_waiting(1)

        session.commit()

        assert vote.result() == answer
        assert counted_by_ballots(session, poll.id) == counted_by_slots(session, poll.id)
        assert counted_by_ballots(session, poll.id) == {choices[0]: (1, 1)}
