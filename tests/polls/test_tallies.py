from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.keys import Keys
from pollsvc.polls.models import Poll, TallyClock, TallySlot
from pollsvc.polls.tallies import Difference, find_differences, read_standings, read_tally, recount
from tests.conftest import NOW
from tests.factories import THEN, cast, make_ballots, make_poll
from tests.polls.evidence import NOWHERE, ballot_of, counted_by_ballots, counted_by_slots


def slot(poll: Poll, choice: int, *, n: int, voters: int, number: int = 99) -> TallySlot:
    return TallySlot(poll_id=poll.id, choice_id=choice, slot=number, n=n, voters=voters)


class TestReadTally:
    def test_demo_numbers(self, session: Session, poll: Poll) -> None:
        session.add_all([slot(poll, 1, n=634, voters=634), slot(poll, 2, n=8, voters=8)])

        tally = read_tally(session, poll.id)

        assert tally.total_voters == 642
        assert [(c.text, c.votes, c.percent) for c in tally.choices] == [("Yes", 634, 99), ("No", 8, 1)]

    def test_is_the_sum_over_slots(self, session: Session, poll: Poll, keys: Keys) -> None:
        make_ballots(session, keys=keys, poll=poll, counts=[20, 5])

        tally = read_tally(session, poll.id)

        assert (tally.poll_id, tally.total_voters) == (poll.id, 25)
        assert [(c.id, c.votes, c.percent) for c in tally.choices] == [(1, 20, 80), (2, 5, 20)]

    def test_without_votes_all_is_zero(self, session: Session, poll: Poll) -> None:
        tally = read_tally(session, poll.id)

        assert tally.total_voters == 0
        assert [(c.votes, c.percent) for c in tally.choices] == [(0, 0), (0, 0)]

    def test_multiple_choice_is_percent_of_voters(self, session: Session, site: Site, keys: Keys) -> None:
        poll = make_poll(session, kind="multiple", choices=["A", "B", "C"])
        for number, choices in enumerate([[1, 2], [1, 2, 3], [2]]):
            cast(session, keys=keys, poll=poll, choices=choices, number=number)

        tally = read_tally(session, poll.id)

        assert tally.total_voters == 3
        assert [(c.votes, c.percent) for c in tally.choices] == [(2, 67), (3, 100), (1, 33)]

    def test_choices_come_in_the_order_shown(self, session: Session, poll: Poll) -> None:
        poll.choices[0].position, poll.choices[1].position = 1, 0

        assert [c.id for c in read_tally(session, poll.id).choices] == [2, 1]

    def test_as_of_is_when_the_poll_was_made_before_the_first_vote(
        self, session: Session, site: Site
    ) -> None:
        poll = make_poll(session)
        poll.created_at = THEN.replace(microsecond=999_999)

        assert read_tally(session, poll.id).as_of == THEN

    def test_as_of_is_the_second_of_the_last_vote(self, session: Session, poll: Poll, keys: Keys) -> None:
        cast(session, keys=keys, poll=poll, choices=[1], number=1, now=NOW)
        cast(session, keys=keys, poll=poll, choices=[2], number=2, now=NOW + timedelta(seconds=61.5))

        assert read_tally(session, poll.id).as_of == NOW + timedelta(seconds=61)

    @pytest.mark.parametrize("kind", ["single", "multiple"])
    def test_absurd_tally_is_still_shown(self, session: Session, site: Site, kind: str) -> None:
        poll = make_poll(session, kind=kind)
        session.add_all([slot(poll, 1, n=-3, voters=-3), slot(poll, 2, n=8, voters=0)])

        tally = read_tally(session, poll.id)

        assert [(c.votes, c.percent) for c in tally.choices] == [(-3, 0), (8, 100)]

    def test_unknown_poll_has_none(self, session: Session) -> None:
        with pytest.raises(KeyError):
            read_tally(session, NOWHERE)


class TestReadStandings:
    def test_polls_are_kept_apart(self, session: Session, poll: Poll, keys: Keys) -> None:
        other = make_poll(session, kind="multiple", choices=["A", "B", "C"])
        cast(session, keys=keys, poll=poll, choices=[2])
        cast(session, keys=keys, poll=other, choices=[2, 3])

        found = read_standings(session.connection(), [poll.id, other.id, NOWHERE])

        votes = {key: [c.votes for c in each.tally.choices] for key, each in found.items()}
        assert votes == {poll.id: [0, 1], other.id: [0, 1, 1]}

    def test_takes_one_query_for_all(self, session: Session, site: Site) -> None:
        polls = [make_poll(session).id for _ in range(3)]
        session.flush()
        statements: list[str] = []
        event.listen(session.connection(), "before_cursor_execute", lambda *sent: statements.append(sent[2]))

        read_standings(session.connection(), polls)

        assert len(statements) == 1


class TestFindDifferences:
    @pytest.fixture
    def counted(self, session: Session, site: Site, keys: Keys) -> Poll:
        poll = make_poll(session, kind="multiple", choices=["A", "B", "C"])
        cast(session, keys=keys, poll=poll, choices=[1, 3], number=1)
        cast(session, keys=keys, poll=poll, choices=[3], number=2)
        return poll

    def test_right_tallies_have_none(self, session: Session, counted: Poll) -> None:
        assert find_differences(session) == find_differences(session, counted.id) == []

    @pytest.mark.parametrize(
        ("choice", "tampering", "difference"),
        [
            pytest.param(1, {"n": 1, "voters": 1}, (1, 1, 1), id="one too many"),
            pytest.param(2, {"n": 5, "voters": 0}, (2, 5, 0), id="votes for what nobody chose"),
            pytest.param(3, {"n": -2, "voters": -1}, (3, -2, -1), id="all taken away"),
            pytest.param(3, {"n": 0, "voters": 1}, (3, 0, 1), id="voters alone"),
        ],
    )
    def test_tampering_is_told_by_choice(
        self,
        session: Session,
        counted: Poll,
        choice: int,
        tampering: dict[str, int],
        difference: tuple[int, int, int],
    ) -> None:
        session.add(slot(counted, choice, **tampering))

        assert find_differences(session) == [Difference(counted.id, *difference)]

    def test_ballot_past_the_rules_is_told(self, session: Session, counted: Poll) -> None:
        session.add(ballot_of(session, counted, [2, 3]))

        assert find_differences(session) == [
            Difference(counted.id, 2, -1, -1),
            Difference(counted.id, 3, -1, 0),
        ]

    def test_held_ballot_does_not_count(self, session: Session, counted: Poll) -> None:
        ballot = ballot_of(session, counted, [2])
        ballot.state = "held"
        session.add(ballot)

        assert find_differences(session) == []

    def test_tampering_in_another_poll_is_told_only_where_all_are_asked(
        self, session: Session, counted: Poll
    ) -> None:
        other = make_poll(session)
        session.add(slot(other, 1, n=1, voters=1))

        assert find_differences(session, counted.id) == []
        assert find_differences(session) == [Difference(other.id, 1, 1, 1)]

    def test_slots_that_cancel_out_are_right(self, session: Session, counted: Poll) -> None:
        session.add_all(
            [slot(counted, 2, n=4, voters=4, number=1), slot(counted, 2, n=-4, voters=-4, number=2)]
        )

        assert find_differences(session) == []


class TestRecount:
    @pytest.fixture
    def counted(self, session: Session, site: Site, keys: Keys) -> Poll:
        poll = make_poll(session, kind="multiple", choices=["A", "B", "C"])
        cast(session, keys=keys, poll=poll, choices=[1, 3], number=1)
        cast(session, keys=keys, poll=poll, choices=[3], number=2)
        return poll

    @pytest.mark.parametrize(
        "statement",
        [
            pytest.param(sa.update(TallySlot).values(n=1_000), id="counts typed in"),
            pytest.param(sa.update(TallySlot).values(voters=TallySlot.voters + 1), id="voters added"),
            pytest.param(sa.delete(TallySlot), id="slots lost"),
            pytest.param(sa.delete(TallySlot).where(TallySlot.choice_id == 3), id="a choice lost"),
        ],
    )
    def test_repairs(self, session: Session, counted: Poll, statement: Any) -> None:
        session.execute(statement)

        differences = recount(session, counted.id, NOW)

        assert differences
        assert find_differences(session) == []
        assert counted_by_slots(session, counted.id) == {1: (1, 1), 3: (2, 1)}
        assert counted_by_slots(session, counted.id) == counted_by_ballots(session, counted.id)

    def test_tells_the_difference_of_before(self, session: Session, counted: Poll) -> None:
        session.add(slot(counted, 2, n=7, voters=6))

        assert recount(session, counted.id, NOW) == [Difference(counted.id, 2, 7, 6)]

    def test_repair_is_a_change_of_the_tally(self, session: Session, counted: Poll) -> None:
        session.add(slot(counted, 2, n=7, voters=6))

        recount(session, counted.id, NOW.replace(microsecond=5))

        assert read_tally(session, counted.id).as_of == NOW

    def test_right_tally_keeps_its_clock(self, session: Session, counted: Poll) -> None:
        assert recount(session, counted.id, NOW) == []

        assert read_tally(session, counted.id).as_of == THEN

    def test_poll_without_ballots_is_emptied(self, session: Session, poll: Poll) -> None:
        session.add(slot(poll, 1, n=3, voters=3))

        recount(session, poll.id, NOW)

        assert session.scalars(sa.select(TallySlot)).all() == []
        assert session.scalars(sa.select(TallyClock.changed_at)).all() == [NOW]

    def test_other_polls_stay_as_they_are(self, session: Session, counted: Poll) -> None:
        other = make_poll(session)
        session.add(slot(other, 1, n=3, voters=3))

        recount(session, counted.id, NOW)

        assert counted_by_slots(session, other.id) == {1: (3, 3)}

    def test_votes_go_on_after_it(self, session: Session, counted: Poll, keys: Keys) -> None:
        recount(session, counted.id, NOW)

        for number in range(10, 40):
            cast(session, keys=keys, poll=counted, choices=[2, 3], number=number)

        assert find_differences(session) == []
        assert read_tally(session, counted.id).total_voters == 32
