"""The verdict sees what it is there for: answers, ballots and tallies that do not agree."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.config import Settings
from pollsvc.keys import Keys
from pollsvc.polls.models import Poll
from tests.factories import cast, make_poll, make_site
from tests.faults import report
from tests.faults.load import choice_of
from tests.faults.record import Record, Try
from tests.faults.verdict import LONGEST, Verdict, judge

Judge = Callable[..., Verdict]

VOTES = range(1, 5)


def tried(vote: int | None, status: int | None = 201, *, seconds: float = 0.1, flaw: str = "") -> Try:
    return Try(vote, 10.0, 10.0 + seconds, status, flaw)


@pytest.fixture
def poll(session: Session, keys: Keys) -> Poll:
    """A poll with a ballot of each reader."""
    make_site(session)
    poll = make_poll(session)
    for number in VOTES:
        cast(session, keys=keys, poll=poll, choices=[choice_of(number)], number=number)
    session.commit()
    return poll


@pytest.fixture
def judged(poll: Poll, settings: Settings) -> Judge:
    """Judge the poll by a record of all its votes, and these tries beside them."""

    def judged(*tries: Try, may_drop: bool = False, ends: bool = False) -> Verdict:
        record = Record()
        for each in [*(tried(number) for number in VOTES), *tries]:
            if each.vote is not None:
                record.send(each.vote)
            record.add(each)
        return judge("a fault", record, settings, poll.id, may_drop=may_drop, ends=ends, healed=5.0)

    return judged


class TestJudge:
    def test_finds_nothing_where_all_agree(self, judged: Judge) -> None:
        verdict = judged(tried(1, 200), tried(2, 503), tried(None, 200))

        assert verdict.flaws == ()
        assert (verdict.sent, verdict.counted, verdict.refused, verdict.dropped) == (4, 5, 1, 0)
        assert (verdict.lost, verdict.differences) == (0, 0)
        assert verdict.recovery == pytest.approx(5.1)

    def test_finds_an_answered_vote_that_is_not_there(self, judged: Judge) -> None:
        verdict = judged(tried(99))

        assert verdict.lost == 1
        assert verdict.flaws == ("1 votes that were answered are not in the database",)

    def test_finds_a_ballot_that_nobody_sent(
        self, judged: Judge, session: Session, keys: Keys, poll: Poll
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[1], number=77)
        session.commit()

        assert judged().flaws == ("1 ballots were never sent",)

    def test_finds_a_ballot_for_another_choice(
        self, judged: Judge, session: Session, keys: Keys, poll: Poll
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[3 - choice_of(5)], number=5)
        session.commit()

        assert judged(tried(5)).flaws == ("1 readers have other ballots than they sent",)

    def test_finds_a_tally_that_is_not_the_ballots(self, judged: Judge, session: Session) -> None:
        session.execute(sa.text("UPDATE tally_slot SET n = n + 1, voters = voters + 1 WHERE choice_id = 1"))
        session.commit()

        verdict = judged()

        assert verdict.differences == 1
        assert len(verdict.flaws) == 2

    @pytest.mark.parametrize(
        ("odd", "flaw"),
        [
            (tried(1), "1 votes were answered 201 more than once"),
            (tried(1, 500, flaw="status 500"), "1 times: status 500"),
            (tried(5, 503), "1 votes never were answered"),
            (tried(1, None), "1 requests were dropped"),
            (
                tried(1, 200, seconds=LONGEST + 1),
                f"1 requests waited longer than {LONGEST:.0f} s, the longest {LONGEST + 1:.1f} s",
            ),
        ],
        ids=["counted twice", "500", "unanswered", "dropped", "hang"],
    )
    def test_finds_an_answer_that_was_not_promised(self, judged: Judge, odd: Try, flaw: str) -> None:
        assert judged(odd).flaws == (flaw,)

    def test_allows_dropped_requests_where_a_process_was_killed(self, judged: Judge) -> None:
        assert judged(tried(1, None), may_drop=True).flaws == ()

    def test_allows_unanswered_votes_where_the_service_ended(self, judged: Judge) -> None:
        assert judged(tried(5, None), may_drop=True, ends=True).flaws == ()


class TestReport:
    def test_has_a_row_for_each_scenario_and_a_line_for_each_broken_promise(self, judged: Judge) -> None:
        told = report.table([judged(), judged(tried(1, None))])

        rows = [row for row in told.splitlines() if row.startswith("| a fault")]
        assert [row.split("|")[-2].strip() for row in rows] == ["holds", "**broken**"]
        assert told.endswith("- a fault: 1 requests were dropped")
