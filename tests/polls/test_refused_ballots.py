from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.errors import Invalid, PollsvcError
from pollsvc.keys import Keys
from pollsvc.polls.ballots import (
    Outcome,
    PollClosed,
    PollNotOpen,
    VoteRaced,
    cast_vote,
    new_ballot,
)
from pollsvc.polls.choices import ChoiceEdit
from pollsvc.polls.models import Poll
from pollsvc.polls.service import PollNotFound, PollWithdrawn
from tests.conftest import NOW
from tests.factories import cast, make_poll, make_voter
from tests.polls.acts import close, edit, withdraw
from tests.polls.evidence import NOWHERE, ballots_of, counted_by_slots

A_MOMENT = timedelta(microseconds=1)


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

        assert not ballots_of(session)

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
        ("act", "refusal"), [(close, PollClosed), (withdraw, PollWithdrawn)], ids=["closed", "withdrawn"]
    )
    def test_after_the_newsroom_said_so(
        self, session: Session, poll: Poll, keys: Keys, act: Any, refusal: type[PollsvcError]
    ) -> None:
        act(session, poll)

        with pytest.raises(refusal):
            cast(session, keys=keys, poll=poll, choices=[1], now=NOW)

        assert not ballots_of(session)

    def test_withdrawn_stands_before_closed(self, session: Session, poll: Poll, keys: Keys) -> None:
        close(session, poll)
        withdraw(session, poll)

        with pytest.raises(PollWithdrawn):
            cast(session, keys=keys, poll=poll, choices=[1], now=NOW)

    def test_in_no_poll(self, session: Session, keys: Keys) -> None:
        ballot = new_ballot(keys, poll_id=NOWHERE, choices=[1], voter=make_voter(), now=NOW)

        with pytest.raises(PollNotFound):
            cast_vote(session, ballot)

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
        assert not ballots_of(session)
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
