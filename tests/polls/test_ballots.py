from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.errors import Invalid, PollsvcError
from pollsvc.keys import Keys
from pollsvc.polls.ballots import (
    AlreadyVoted,
    Outcome,
    PollClosed,
    PollNotOpen,
    VoteRaced,
    cast_vote,
    has_voted,
)
from pollsvc.polls.choices import ChoiceEdit
from pollsvc.polls.models import Ballot, Poll, TallyClock
from pollsvc.polls.service import PollNotFound, PollWithdrawn, close_poll, edit_poll, withdraw_poll
from pollsvc.voters.service import Tier, Voter, voter_key
from tests.conftest import NOW
from tests.factories import ACTOR, cast, make_poll, make_voter
from tests.polls.evidence import NOWHERE, counted_by_ballots, counted_by_slots

A_MOMENT = timedelta(microseconds=1)


def ballots(session: Session) -> list[Ballot]:
    return list(session.scalars(sa.select(Ballot).execution_options(populate_existing=True)))


def end(session: Session, poll: Poll) -> None:
    close_poll(session, poll.id, actor=ACTOR, now=NOW)


def withdraw(session: Session, poll: Poll) -> None:
    withdraw_poll(session, poll.id, actor=ACTOR, now=NOW)


def edit(session: Session, poll: Poll, **changes: Any) -> None:
    edit_poll(session, poll.id, changes, version=None, actor=ACTOR, now=NOW)


class TestFirstVote:
    def test_is_counted(self, session: Session, poll: Poll, keys: Keys) -> None:
        outcome = cast(session, keys=keys, poll=poll, choices=[1])

        assert outcome == Outcome.COUNTED
        assert counted_by_ballots(session, poll.id) == counted_by_slots(session, poll.id) == {1: (1, 1)}

    def test_leaves_one_ballot_under_a_key_of_poll_and_voter(
        self, session: Session, poll: Poll, keys: Keys
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[2], number=7)

        [ballot] = ballots(session)
        assert ballot.voter_key == voter_key(keys, poll.id, make_voter(number=7))
        assert (ballot.choices, ballot.state) == ([2], "counted")

    @pytest.mark.parametrize("tier", list(Tier))
    def test_ballot_keeps_the_tier_of_its_voter(
        self, session: Session, poll: Poll, keys: Keys, tier: Tier
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[1], tier=tier)

        assert [ballot.tier for ballot in ballots(session)] == [tier]

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

        assert [ballot.voted_hour for ballot in ballots(session)] == [datetime.fromisoformat(hour)]

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
        assert len({ballot.voter_key for ballot in ballots(session)}) == 2


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
        assert [ballot.tier for ballot in ballots(session)] == [Tier.STORAGE]

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
        end(session, poll)

        assert cast(session, keys=keys, poll=poll, choices=[1], now=NOW) == Outcome.ALREADY_COUNTED

    def test_another_choice_after_the_close_is_refused_as_closed(
        self, session: Session, poll: Poll, keys: Keys
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[1])
        end(session, poll)

        with pytest.raises(PollClosed):
            cast(session, keys=keys, poll=poll, choices=[2], now=NOW)

    def test_same_ballot_in_a_withdrawn_poll_is_refused_as_gone(
        self, session: Session, poll: Poll, keys: Keys
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[1])
        withdraw(session, poll)

        with pytest.raises(PollWithdrawn):
            cast(session, keys=keys, poll=poll, choices=[1], now=NOW)


class TestRefusedVote:
    @pytest.mark.parametrize(
        ("poll", "refusal"),
        [
            pytest.param({"opens_at": NOW + A_MOMENT}, PollNotOpen, id="a moment too early"),
            pytest.param({"closes_at": NOW}, PollClosed, id="the moment it closes"),
            pytest.param({"closes_at": NOW - timedelta(days=1)}, PollClosed, id="a day late"),
        ],
    )
    def test_outside_of_its_times(
        self, session: Session, site: Site, keys: Keys, poll: dict[str, Any], refusal: type[PollsvcError]
    ) -> None:
        made = make_poll(session, **poll)

        with pytest.raises(refusal):
            cast(session, keys=keys, poll=made, choices=[1], now=NOW)

        assert not ballots(session)

    @pytest.mark.parametrize(
        "poll",
        [
            pytest.param({"opens_at": NOW}, id="the moment it opens"),
            pytest.param({"closes_at": NOW + A_MOMENT}, id="a moment before it closes"),
        ],
    )
    def test_not_inside_of_them(self, session: Session, site: Site, keys: Keys, poll: dict[str, Any]) -> None:
        made = make_poll(session, **poll)

        assert cast(session, keys=keys, poll=made, choices=[1], now=NOW) == Outcome.COUNTED

    @pytest.mark.parametrize(
        ("act", "refusal"), [(end, PollClosed), (withdraw, PollWithdrawn)], ids=["closed", "withdrawn"]
    )
    def test_after_the_newsroom_said_so(
        self, session: Session, poll: Poll, keys: Keys, act: Any, refusal: type[PollsvcError]
    ) -> None:
        act(session, poll)

        with pytest.raises(refusal):
            cast(session, keys=keys, poll=poll, choices=[1], now=NOW)

        assert not ballots(session)

    def test_withdrawn_stands_before_closed(self, session: Session, poll: Poll, keys: Keys) -> None:
        end(session, poll)
        withdraw(session, poll)

        with pytest.raises(PollWithdrawn):
            cast(session, keys=keys, poll=poll, choices=[1], now=NOW)

    def test_in_no_poll(self, session: Session, keys: Keys) -> None:
        with pytest.raises(PollNotFound):
            cast_vote(session, keys, poll_id=NOWHERE, choices=[1], voter=make_voter(), now=NOW)

    @pytest.mark.parametrize(
        ("poll", "choices"),
        [
            pytest.param({"kind": "single", "max_choices": None}, [], id="none"),
            pytest.param({"kind": "single", "max_choices": None}, [4], id="a choice that is not the poll's"),
            pytest.param({"kind": "single", "max_choices": None}, [1, 2], id="two where one is taken"),
            pytest.param({"kind": "single", "max_choices": None}, [1, 1], id="one twice"),
            pytest.param({"kind": "multiple", "max_choices": None}, [], id="none of many"),
            pytest.param({"kind": "multiple", "max_choices": 2}, [1, 2, 3], id="more than max_choices"),
            pytest.param(
                {"kind": "multiple", "max_choices": None}, [1, 2, 4], id="one of them not the poll's"
            ),
            pytest.param({"kind": "multiple", "max_choices": None}, [2, 1, 2], id="one of many twice"),
            pytest.param({"kind": "multiple", "max_choices": None}, [0], id="zero"),
            pytest.param({"kind": "multiple", "max_choices": None}, [-1], id="below zero"),
        ],
    )
    def test_with_choices_that_make_no_ballot(
        self, session: Session, site: Site, keys: Keys, poll: dict[str, Any], choices: list[int]
    ) -> None:
        made = make_poll(session, choices=["A", "B", "C"], **poll)

        with pytest.raises(Invalid) as caught:
            cast(session, keys=keys, poll=made, choices=choices)

        assert list(caught.value.fields) == ["choices"]
        assert not ballots(session)
        assert counted_by_slots(session, made.id) == {}

    def test_choice_of_another_poll(self, session: Session, poll: Poll, keys: Keys) -> None:
        make_poll(session, choices=["A", "B", "C"])

        with pytest.raises(Invalid):
            cast(session, keys=keys, poll=poll, choices=[3])

    def test_removed_choice(self, session: Session, site: Site, keys: Keys) -> None:
        poll = make_poll(session, choices=["A", "B", "C"])
        edit(session, poll, choices=[ChoiceEdit(each.id, each.text) for each in poll.choices[:2]])

        with pytest.raises(Invalid):
            cast(session, keys=keys, poll=poll, choices=[3])

    @pytest.mark.parametrize("max_choices", [None, 3], ids=["all", "as many as there are"])
    def test_not_with_all_of_a_multiple_choice(
        self, session: Session, site: Site, keys: Keys, max_choices: int | None
    ) -> None:
        poll = make_poll(session, choices=["A", "B", "C"], kind="multiple", max_choices=max_choices)

        assert cast(session, keys=keys, poll=poll, choices=[3, 2, 1]) == Outcome.COUNTED

    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_when_every_try_is_lost(self, session: Session, poll: Poll, keys: Keys) -> None:
        # Stands for what cannot be timed: a transaction that comes in between, again and again.
        session.execute(
            sa.text("CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
        )
        session.execute(
            sa.text("CREATE TRIGGER lose BEFORE INSERT ON ballot FOR EACH ROW EXECUTE FUNCTION lose()")
        )

        with pytest.raises(VoteRaced):
            cast(session, keys=keys, poll=poll, choices=[1])

        session.rollback()


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
