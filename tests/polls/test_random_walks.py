"""Whatever readers and newsroom do, in whatever order: slots equal ballots, and both equal a model of a few lines."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.errors import PollsvcError
from pollsvc.keys import Keys
from pollsvc.polls.models import Poll, TallySlot
from pollsvc.polls.service import close_poll, edit_poll, recount_poll
from pollsvc.polls.tallies import find_differences, read_tally
from tests.conftest import NOW
from tests.factories import ACTOR, cast, make_poll
from tests.polls.evidence import counted_by_ballots, counted_by_slots

CHOICES = st.lists(st.integers(1, 4), min_size=0, max_size=4)  # of three: 4 is the choice of another poll


class Walk(RuleBasedStateMachine):
    session: Session
    keys: Keys

    def __init__(self) -> None:
        super().__init__()
        self.ballots: dict[int, list[int]] = {}
        self.is_closed = False

    @initialize(
        kind=st.sampled_from(["single", "multiple"]),
        allow_change=st.booleans(),
        most=st.sampled_from([None, 2]),
    )
    def begin(self, kind: str, allow_change: bool, most: int | None) -> None:
        self.allow_change = allow_change
        self.most = 1 if kind == "single" else most or 3
        self.poll: Poll = make_poll(
            self.session,
            kind=kind,
            choices=["A", "B", "C"],
            allow_change=allow_change,
            max_choices=most if kind == "multiple" else None,
        )

    @rule(reader=st.integers(1, 5), choices=CHOICES)
    def vote(self, reader: int, choices: list[int]) -> None:
        outcome, mine = self._expected(reader, choices)
        try:
            found: str = cast(self.session, keys=self.keys, poll=self.poll, choices=choices, number=reader)
        except PollsvcError as refusal:
            found = refusal.code
        assert found == outcome
        if mine:
            self.ballots[reader] = mine

    @rule()
    def close(self) -> None:
        close_poll(self.session, self.poll.id, actor=ACTOR, now=NOW)
        self.is_closed = True

    @rule(allow_change=st.booleans())
    def edit(self, allow_change: bool) -> None:
        changes = {"allow_change": allow_change}
        edit_poll(self.session, self.poll.id, changes, version=None, actor=ACTOR, now=NOW)
        self.allow_change = allow_change

    @rule(choice=st.integers(1, 3), n=st.integers(-5, 5))
    def tamper_and_recount(self, choice: int, n: int) -> None:
        self.session.merge(TallySlot(poll_id=self.poll.id, choice_id=choice, slot=0, n=n, voters=n))
        self.session.flush()
        recount_poll(self.session, self.poll.id, actor=ACTOR, now=NOW)
        self.session.expire_all()

    @invariant()
    def slots_equal_ballots(self) -> None:
        if not hasattr(self, "poll"):
            return
        assert counted_by_slots(self.session, self.poll.id) == counted_by_ballots(self.session, self.poll.id)
        assert find_differences(self.session, self.poll.id) == []

    @invariant()
    def tally_equals_the_model(self) -> None:
        if not hasattr(self, "poll"):
            return
        tally = read_tally(self.session, self.poll.id)
        votes = [sum(choice in mine for mine in self.ballots.values()) for choice in (1, 2, 3)]
        assert (tally.total_voters, [count.votes for count in tally.choices]) == (len(self.ballots), votes)

    def teardown(self) -> None:
        self.session.rollback()

    def _expected(self, reader: int, choices: list[int]) -> tuple[str, list[int] | None]:
        """The rules once more: what becomes of a vote, and the ballot that the reader has after it."""
        before = self.ballots.get(reader)
        if choices and sorted(choices) == before:
            return "already_counted", before
        if not choices:
            return "invalid", before
        if self.is_closed:
            return "poll_closed", before
        if len(set(choices)) < len(choices) or 4 in choices or len(choices) > self.most:
            return "invalid", before
        if before is None:
            return "counted", sorted(choices)
        return ("changed", sorted(choices)) if self.allow_change else ("already_voted", before)


class TestWalk:
    def test_keeps_the_tally_equal_to_the_ballots(self, session: Session, site: Site, keys: Keys) -> None:
        members: dict[str, Any] = {"session": session, "keys": keys}
        quick = settings(
            max_examples=10,
            stateful_step_count=16,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )

        run_state_machine_as_test(type("WalkHere", (Walk,), members), settings=quick)
