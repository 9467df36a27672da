from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.keys import Keys
from pollsvc.polls.ballots import (
    AlreadyVoted,
    Outcome,
    PollClosed,
    has_voted,
)
from pollsvc.polls.models import Poll, TallyClock
from pollsvc.polls.service import PollWithdrawn
from pollsvc.voters.service import Tier, Voter, voter_key
from tests.conftest import NOW
from tests.factories import cast, make_poll, make_voter
from tests.polls.acts import close, edit, withdraw
from tests.polls.evidence import ballots_of, counted_by_ballots, counted_by_slots, tiers_of

A_MOMENT = timedelta(microseconds=1)


class TestFirstVote:
    def test_is_counted(self, session: Session, poll: Poll, keys: Keys) -> None:
        outcome = cast(session, keys=keys, poll=poll, choices=[1])

        assert outcome == Outcome.COUNTED
        assert counted_by_ballots(session, poll.id) == counted_by_slots(session, poll.id) == {1: (1, 1)}

    def test_leaves_one_ballot_under_a_key_of_poll_and_voter(
        self, session: Session, poll: Poll, keys: Keys
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[2], number=7)

        [ballot] = ballots_of(session)
        assert ballot.voter_key == voter_key(keys, poll.id, make_voter(number=7))
        assert (ballot.choices, ballot.state) == ([2], "counted")

    @pytest.mark.parametrize("tier", list(Tier))
    def test_ballot_keeps_the_tier_of_its_voter(
        self, session: Session, poll: Poll, keys: Keys, tier: Tier
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[1], tier=tier)

        assert tiers_of(session, keys) == [tier]

    @pytest.mark.parametrize(
        ("now", "hour"),
        [
            (datetime.fromisoformat("2026-03-02T09:59:59.999999Z"), "2026-03-02T09:00:00Z"),
            (datetime.fromisoformat("2026-03-02T10:00:00Z"), "2026-03-02T10:00:00Z"),
            (datetime.fromisoformat("2026-03-02T10:30:00+05:30"), "2026-03-02T05:00:00Z"),
        ],
        ids=["end of an hour", "begin of an hour", "a zone of half hours"],
    )
    def test_ballot_keeps_the_hour_and_no_more(
        self, session: Session, poll: Poll, keys: Keys, now: datetime, hour: str
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[1], now=now)

        assert [ballot.voted_hour for ballot in ballots_of(session)] == [datetime.fromisoformat(hour)]

    def test_clock_keeps_the_second(self, session: Session, poll: Poll, keys: Keys) -> None:
        cast(session, keys=keys, poll=poll, choices=[1], now=NOW.replace(second=7, microsecond=999_999))

        assert session.scalars(sa.select(TallyClock.changed_at)).one() == NOW.replace(second=7)

    def test_clock_never_goes_back(self, session: Session, poll: Poll, keys: Keys) -> None:
        cast(session, keys=keys, poll=poll, choices=[1], number=1, now=NOW)

        cast(session, keys=keys, poll=poll, choices=[1], number=2, now=NOW - timedelta(seconds=5))

        assert session.scalars(sa.select(TallyClock.changed_at)).one() == NOW

    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_clock_is_touched_once_a_second(self, session: Session, poll: Poll, keys: Keys) -> None:
        cast(session, keys=keys, poll=poll, choices=[1], number=1)
        session.commit()

        cast(session, keys=keys, poll=poll, choices=[1], number=2)

        # A row that was locked or written by a later transaction bears its number.
        assert session.scalars(sa.text("SELECT CAST(xmax AS text) FROM tally_clock")).one() == "0"

    def test_slots_are_many(self, session: Session, poll: Poll, keys: Keys) -> None:
        for number in range(60):
            cast(session, keys=keys, poll=poll, choices=[1], number=number)

        slots = session.scalars(sa.text("SELECT slot FROM tally_slot")).all()
        assert len(slots) > 8
        assert set(slots) <= set(range(16))

    def test_voters_of_one_poll_are_strangers_in_another(
        self, session: Session, poll: Poll, keys: Keys
    ) -> None:
        other = make_poll(session)
        cast(session, keys=keys, poll=poll, choices=[1])

        outcome = cast(session, keys=keys, poll=other, choices=[1])

        assert outcome == Outcome.COUNTED
        assert len({ballot.voter_key for ballot in ballots_of(session)}) == 2


class TestSecondVote:
    def test_same_ballot_is_told_so_and_changes_nothing(
        self, session: Session, poll: Poll, keys: Keys
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[1])

        outcome = cast(session, keys=keys, poll=poll, choices=[1], now=NOW)

        assert outcome == Outcome.ALREADY_COUNTED
        assert counted_by_slots(session, poll.id) == {1: (1, 1)}
        assert session.scalars(sa.select(TallyClock.changed_at)).one() < NOW

    @pytest.mark.parametrize("tier", [Tier.COOKIE, Tier.FORM])
    def test_same_reader_by_other_means_has_no_second_ballot(
        self, session: Session, poll: Poll, keys: Keys, tier: Tier
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[1], tier=Tier.STORAGE)

        outcome = cast(session, keys=keys, poll=poll, choices=[1], tier=tier)

        assert outcome == Outcome.ALREADY_COUNTED
        assert tiers_of(session, keys) == [Tier.STORAGE]

    def test_another_choice_is_refused(self, session: Session, poll: Poll, keys: Keys) -> None:
        cast(session, keys=keys, poll=poll, choices=[1])

        with pytest.raises(AlreadyVoted):
            cast(session, keys=keys, poll=poll, choices=[2])

        assert counted_by_ballots(session, poll.id) == counted_by_slots(session, poll.id) == {1: (1, 1)}

    def test_choices_in_another_order_are_the_same_ballot(
        self, session: Session, site: Site, keys: Keys
    ) -> None:
        poll = make_poll(session, kind="multiple", choices=["A", "B", "C"])
        cast(session, keys=keys, poll=poll, choices=[3, 1])

        assert cast(session, keys=keys, poll=poll, choices=[1, 3]) == Outcome.ALREADY_COUNTED

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"closes_at": NOW}, id="closed by its time"),
            pytest.param({"opens_at": NOW + timedelta(days=1)}, id="opening put off"),
        ],
    )
    def test_same_ballot_is_no_mistake_where_no_votes_are_taken_any_more(
        self, session: Session, poll: Poll, keys: Keys, changes: dict[str, Any]
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[1])
        edit(session, poll, **changes)

        assert cast(session, keys=keys, poll=poll, choices=[1], now=NOW) == Outcome.ALREADY_COUNTED

    def test_same_ballot_is_no_mistake_after_the_close(
        self, session: Session, poll: Poll, keys: Keys
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[1])
        close(session, poll)

        assert cast(session, keys=keys, poll=poll, choices=[1], now=NOW) == Outcome.ALREADY_COUNTED

    def test_another_choice_after_the_close_is_refused_as_closed(
        self, session: Session, poll: Poll, keys: Keys
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[1])
        close(session, poll)

        with pytest.raises(PollClosed):
            cast(session, keys=keys, poll=poll, choices=[2], now=NOW)

    def test_same_ballot_in_a_withdrawn_poll_is_refused_as_gone(
        self, session: Session, poll: Poll, keys: Keys
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[1])
        withdraw(session, poll)

        with pytest.raises(PollWithdrawn):
            cast(session, keys=keys, poll=poll, choices=[1], now=NOW)


class TestHasVoted:
    def test_is_true_of_who_has_a_ballot_in_the_poll(self, session: Session, poll: Poll, keys: Keys) -> None:
        other = make_poll(session)
        cast(session, keys=keys, poll=poll, choices=[1], number=1)

        assert has_voted(session, keys, poll.id, make_voter(number=1))
        assert not has_voted(session, keys, poll.id, make_voter(number=2))
        assert not has_voted(session, keys, other.id, make_voter(number=1))

    def test_does_not_ask_by_what_means(self, session: Session, poll: Poll, keys: Keys) -> None:
        cast(session, keys=keys, poll=poll, choices=[1], number=1, tier=Tier.STORAGE)

        assert has_voted(session, keys, poll.id, Voter(make_voter(number=1).identity, Tier.FORM))
