from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.keys import Keys
from pollsvc.polls.models import Poll, Visibility
from pollsvc.polls.reading import read_poll, read_polls
from tests.conftest import NOW
from tests.factories import ARTICLE_URL, cast, make_poll

A_DAY = timedelta(days=1)

#: The whole policy: by visibility and status, whether results are shown before and after one's own vote.
SHOWN = {
    ("always", "scheduled"): (True, True),
    ("always", "open"): (True, True),
    ("always", "closed"): (True, True),
    ("after_vote", "scheduled"): (False, True),
    ("after_vote", "open"): (False, True),
    ("after_vote", "closed"): (False, True),
    ("after_close", "scheduled"): (False, False),
    ("after_close", "open"): (False, False),
    ("after_close", "closed"): (True, True),
    ("never", "scheduled"): (False, False),
    ("never", "open"): (False, False),
    ("never", "closed"): (False, False),
}

TIMES = {
    "scheduled": {"opens_at": NOW + A_DAY},
    "open": {"closes_at": NOW + A_DAY},
    "closed": {"closes_at": NOW - A_DAY},
}


class TestShowsResults:
    @pytest.mark.parametrize("has_voted", [False, True], ids=["before the vote", "after the vote"])
    @pytest.mark.parametrize(("visibility", "status"), SHOWN)
    def test_policy(self, visibility: str, status: str, has_voted: bool) -> None:
        poll = Poll(results_visibility=visibility, **TIMES[status])
        assert poll.status_at(NOW) == status

        assert poll.course.shows_results(NOW, has_voted=has_voted) is SHOWN[visibility, status][has_voted]

    def test_policy_knows_every_visibility(self) -> None:
        assert {visibility for visibility, _ in SHOWN} == set(Visibility)

    def test_closed_by_hand_is_closed(self) -> None:
        poll = Poll(results_visibility="after_close", closed_at=NOW, closes_at=NOW + A_DAY)

        assert poll.course.shows_results(NOW, has_voted=False)


class TestReadPoll:
    def test_tells_what_readers_are_told(self, session: Session, site: Site, keys: Keys) -> None:
        poll = make_poll(
            session,
            kind="multiple",
            choices=["A", "B", "C"],
            max_choices=2,
            closes_at=NOW,
            has_site_text=True,
        )
        cast(session, keys=keys, poll=poll, choices=[1, 3])

        reading = read_poll(session, poll.id, NOW)

        assert (reading.id, reading.question, reading.kind) == (poll.id, poll.question, "multiple")
        assert [(each.id, each.text) for each in reading.choices] == [(1, "A"), (2, "B"), (3, "C")]
        assert (reading.status, reading.opens_at, reading.closes_at) == ("closed", None, NOW)
        assert (reading.results_visibility, reading.allow_change, reading.max_choices) == ("always", False, 2)
        assert reading.article_urls == [ARTICLE_URL]
        assert reading.consent_text is not None
        assert poll.consent_text is not None
        assert (reading.consent_text.id, reading.consent_text.body) == (
            poll.consent_text.id,
            poll.consent_text.body,
        )
        assert reading.results is not None
        assert [each.votes for each in reading.results.choices] == [1, 0, 1]

    def test_status_is_asked_at_the_moment(self, session: Session, site: Site) -> None:
        poll = make_poll(session, opens_at=NOW, closes_at=NOW + A_DAY)

        moments = [NOW - A_DAY, NOW, NOW + A_DAY]

        assert [read_poll(session, poll.id, at).status for at in moments] == ["scheduled", "open", "closed"]

    def test_hidden_results_are_none(self, session: Session, site: Site) -> None:
        poll = make_poll(session, results_visibility="after_vote")

        assert read_poll(session, poll.id, NOW).results is None
        assert read_poll(session, poll.id, NOW, has_voted=True).results is not None


class TestReadPolls:
    def test_order_is_kept_and_each_has_its_own_results(
        self, session: Session, poll: Poll, keys: Keys
    ) -> None:
        hidden = make_poll(session, results_visibility="never")
        third = make_poll(session)
        cast(session, keys=keys, poll=third, choices=[2])

        readings = read_polls(session.connection(), [third.id, hidden.id, poll.id], NOW)

        assert [reading.id for reading in readings] == [third.id, hidden.id, poll.id]
        totals = [reading.results.total_voters if reading.results else None for reading in readings]
        assert totals == [1, None, 0]

    def test_none_are_none(self, session: Session) -> None:
        assert read_polls(session.connection(), [], NOW) == []
