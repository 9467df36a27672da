from collections.abc import Sequence
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.errors import Invalid
from pollsvc.keys import Keys
from pollsvc.polls.ballots import (
    AlreadyVoted,
    Outcome,
    PollClosed,
)
from pollsvc.polls.models import Poll, TallyClock
from pollsvc.voters.service import Tier
from tests.conftest import NOW
from tests.factories import cast, make_poll
from tests.polls.acts import close, edit
from tests.polls.evidence import ballots_of, counted_by_ballots, counted_by_slots, tiers_of

A_MOMENT = timedelta(microseconds=1)


class TestChangedVote:
    @pytest.fixture
    def poll(self, session: Session, site: Site) -> Poll:
        return make_poll(session, kind="multiple", choices=["A", "B", "C"], allow_change=True)

    @pytest.mark.parametrize(
        ("change", "counts"),
        [
            pytest.param([[1], [2]], {2: (1, 1)}, id="moves"),
            pytest.param([[1], [1, 3]], {1: (1, 1), 3: (1, 0)}, id="gains one"),
            pytest.param([[2], [1, 2]], {1: (1, 1), 2: (1, 0)}, id="gains one before the first"),
            pytest.param([[1, 2, 3], [3]], {3: (1, 1)}, id="loses some"),
            pytest.param([[1, 2], [2, 3]], {2: (1, 1), 3: (1, 0)}, id="keeps one"),
        ],
    )
    def test_moves_the_counts_along(
        self,
        session: Session,
        poll: Poll,
        keys: Keys,
        change: Sequence[list[int]],
        counts: dict[int, tuple[int, int]],
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=change[0])

        outcome = cast(session, keys=keys, poll=poll, choices=change[1])

        assert outcome == Outcome.CHANGED
        assert counted_by_ballots(session, poll.id) == counted_by_slots(session, poll.id) == counts

    def test_ballot_keeps_its_tier_and_is_of_the_hour_of_the_change(
        self, session: Session, poll: Poll, keys: Keys
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[1])
        cast(session, keys=keys, poll=poll, choices=[2], tier=Tier.COOKIE, now=NOW)

        [after] = ballots_of(session)
        assert after.voted_hour == NOW.replace(minute=0)
        assert tiers_of(session, keys) == [Tier.STORAGE]

    def test_clock_moves(self, session: Session, poll: Poll, keys: Keys) -> None:
        cast(session, keys=keys, poll=poll, choices=[1])

        cast(session, keys=keys, poll=poll, choices=[2], now=NOW)

        assert session.scalars(sa.select(TallyClock.changed_at)).one() == NOW

    def test_other_voters_stay(self, session: Session, poll: Poll, keys: Keys) -> None:
        cast(session, keys=keys, poll=poll, choices=[1], number=1)
        cast(session, keys=keys, poll=poll, choices=[1], number=2)

        cast(session, keys=keys, poll=poll, choices=[2], number=2)

        assert counted_by_ballots(session, poll.id) == {1: (1, 1), 2: (1, 1)}

    @pytest.mark.parametrize(
        ("choices", "field"), [([9], "choices"), ([1, 9], "choices")], ids=["unknown", "one of two unknown"]
    )
    def test_change_to_what_is_no_choice_is_refused(
        self, session: Session, poll: Poll, keys: Keys, choices: list[int], field: str
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[1])

        with pytest.raises(Invalid) as caught:
            cast(session, keys=keys, poll=poll, choices=choices)

        assert list(caught.value.fields) == [field]
        assert counted_by_slots(session, poll.id) == {1: (1, 1)}

    def test_change_after_the_close_is_refused(self, session: Session, poll: Poll, keys: Keys) -> None:
        cast(session, keys=keys, poll=poll, choices=[1])
        close(session, poll)

        with pytest.raises(PollClosed):
            cast(session, keys=keys, poll=poll, choices=[2], now=NOW)

    def test_change_is_refused_once_the_newsroom_ended_changing(
        self, session: Session, poll: Poll, keys: Keys
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[1])
        edit(session, poll, allow_change=False)

        with pytest.raises(AlreadyVoted):
            cast(session, keys=keys, poll=poll, choices=[2])
