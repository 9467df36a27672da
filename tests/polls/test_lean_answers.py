"""Answers that are written without a walk through their schema hold what the schema would have written."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.keys import Keys
from pollsvc.polls.models import Poll
from pollsvc.polls.reading import read_poll
from pollsvc.polls.schemas import ArticlePollsSchema, PollSchema, TallySchema, VoteSchema
from pollsvc.polls.tallies import read_tally
from tests.conftest import NOW
from tests.factories import ARTICLE_URL, cast, make_poll, make_voter_token
from tests.polls.http import told, vote


@pytest.fixture(params=["always", "after_vote", "never"])
def rich_poll(request: pytest.FixtureRequest, session: Session, site: Site, keys: Keys) -> Poll:
    """A poll with everything that an answer may hold, and a vote."""
    poll = make_poll(
        session,
        kind="multiple",
        choices=["A", "B", "C"],
        max_choices=2,
        closes_at=NOW.replace(year=2999),
        opens_at=NOW.replace(year=2020),
        has_site_text=True,
        allow_change=True,
        results_visibility=request.param,
    )
    cast(session, keys=keys, poll=poll, choices=[1, 3])
    session.commit()
    return poll


class TestLeanAnswers:
    def test_poll(self, client: FlaskClient, session: Session, rich_poll: Poll) -> None:
        answer = told(client.get(f"/v1/polls/{rich_poll.id}"))

        assert answer == PollSchema().dump(read_poll(session, rich_poll.id, NOW))
        assert answer["consent_text"] is not None

    def test_polls_of_an_article(self, client: FlaskClient, session: Session, rich_poll: Poll) -> None:
        answer = told(client.get(f"/v1/articles/polls?article_url={ARTICLE_URL}"))

        items = [read_poll(session, rich_poll.id, NOW)]
        assert answer == ArticlePollsSchema().dump({"items": items})

    def test_results(self, client: FlaskClient, session: Session, keys: Keys, rich_poll: Poll) -> None:
        response = client.get(
            f"/v1/polls/{rich_poll.id}/results", headers={"X-Voter-Token": make_voter_token(keys)}
        )

        if rich_poll.results_visibility == "never":
            assert response.status_code == 403
        else:
            assert told(response) == TallySchema().dump(read_tally(session, rich_poll.id))

    def test_vote(self, client: FlaskClient, session: Session, keys: Keys, rich_poll: Poll) -> None:
        answer = told(vote(client, rich_poll, make_voter_token(keys, number=2), [2]), 201)

        tally = None if rich_poll.results_visibility == "never" else read_tally(session, rich_poll.id)
        assert answer == VoteSchema().dump({"status": "counted", "results": tally})
