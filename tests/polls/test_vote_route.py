"""POST /v1/polls/{id}/votes: what becomes of a vote."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.articles.models import Site
from pollsvc.keys import Keys
from pollsvc.polls.models import Poll
from pollsvc.polls.service import close_poll, withdraw_poll
from tests.conftest import NOW
from tests.factories import ACTOR, make_poll
from tests.polls.evidence import NOWHERE, counted_by_ballots, counted_by_slots, held, tiers_of
from tests.polls.http import refusal, statements_sent, told, vote
from tests.web.problems import fields_of, read_problem

A_DAY = timedelta(days=1)
NOTHING = {"ballot": 0, "tally_slot": 0, "tally_clock": 0}


Send = Callable[..., TestResponse]


@contextmanager
def tallies_unreadable(engine: sa.Engine) -> Iterator[None]:
    """Take away a column that the look at the results needs and the vote does not."""
    # One connection: on SQLite another one would look for the column in the schema that it knows from before.
    with engine.execution_options(sqlite_write=True).connect() as connection:
        with connection.begin():
            connection.execute(sa.text("ALTER TABLE choice RENAME COLUMN position TO place"))
        try:
            yield
        finally:
            with connection.begin():
                connection.execute(sa.text("ALTER TABLE choice RENAME COLUMN place TO position"))


class TestVote:
    def test_is_counted_and_answered_with_the_results(self, send: Send, poll: Poll) -> None:
        answer = told(send(poll, [2]), 201)

        assert datetime.fromisoformat(answer["results"].pop("as_of")).utcoffset() == timedelta()
        assert answer == {
            "status": "counted",
            "results": {
                "poll_id": str(poll.id),
                "total_voters": 1,
                "choices": [
                    {"id": 1, "text": "Yes", "votes": 0, "percent": 0},
                    {"id": 2, "text": "No", "votes": 1, "percent": 100},
                ],
            },
        }

    def test_answer_is_for_its_reader_alone(self, send: Send, poll: Poll) -> None:
        response = send(poll)

        assert response.headers["Cache-Control"] == "private, no-store"
        assert not {"ETag", "Set-Cookie"} & set(response.headers.keys())

    def test_ballot_that_is_in_is_never_answered_with_an_error(
        self, send: Send, poll: Poll, engine: sa.Engine, session: Session
    ) -> None:
        # The database goes away between the vote's commit and the look at the results.
        with tallies_unreadable(engine):
            answer = told(send(poll), 201)

        assert answer == {"status": "counted", "results": None}
        assert held(session)["ballot"] == 1

    def test_ballot_is_of_the_tier_of_a_stored_token(
        self, send: Send, poll: Poll, session: Session, keys: Keys
    ) -> None:
        send(poll)

        assert tiers_of(session, keys) == ["storage"]

    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_takes_one_statement_and_one_for_the_results(self, send: Send, poll: Poll) -> None:
        with statements_sent() as sent:
            told(send(poll), 201)

        assert len(sent) == 2, sent

    def test_same_ballot_again_is_already_counted(self, send: Send, poll: Poll) -> None:
        first = told(send(poll), 201)

        again = told(send(poll), 200)

        assert again == {"status": "already_counted", "results": first["results"]}

    def test_same_ballot_again_is_already_counted_after_the_close(
        self, send: Send, poll: Poll, session: Session
    ) -> None:
        send(poll)
        close_poll(session, poll.id, actor=ACTOR, now=NOW)
        session.commit()

        assert told(send(poll), 200)["status"] == "already_counted"

    def test_another_choice_is_refused(self, send: Send, poll: Poll, session: Session) -> None:
        send(poll, [1])

        assert refusal(send(poll, [2])) == (409, "already_voted")
        assert counted_by_ballots(session, poll.id) == counted_by_slots(session, poll.id) == {1: (1, 1)}

    def test_another_choice_is_a_change_where_that_is_allowed(
        self, send: Send, site: Site, session: Session
    ) -> None:
        poll = make_poll(session, allow_change=True)
        session.commit()
        send(poll, [1])

        answer = told(send(poll, [2]), 200)

        assert answer["status"] == "changed"
        assert [choice["votes"] for choice in answer["results"]["choices"]] == [0, 1]
        assert counted_by_ballots(session, poll.id) == counted_by_slots(session, poll.id) == {2: (1, 1)}

    def test_several_choices_in_any_order(self, send: Send, site: Site, session: Session) -> None:
        poll = make_poll(session, kind="multiple", choices=["A", "B", "C"])
        session.commit()

        answer = told(send(poll, [3, 1]), 201)

        shown = [(choice["votes"], choice["percent"]) for choice in answer["results"]["choices"]]
        assert (answer["results"]["total_voters"], shown) == (1, [(1, 100), (0, 0), (1, 100)])
        assert told(send(poll, [1, 3]), 200)["status"] == "already_counted"

    @pytest.mark.parametrize(
        ("visibility", "is_shown"),
        [("always", True), ("after_vote", True), ("after_close", False), ("never", False)],
    )
    def test_results_come_along_where_voters_may_see_them(
        self, send: Send, site: Site, session: Session, visibility: str, is_shown: bool
    ) -> None:
        poll = make_poll(session, results_visibility=visibility)
        session.commit()

        answer = told(send(poll), 201)

        assert (answer["results"] is not None) is is_shown

    def test_renewed_token_is_the_same_voter(
        self, send: Send, client: FlaskClient, poll: Poll, token: str
    ) -> None:
        send(poll, [1])
        renewed = told(client.post("/v1/voters", json={"voter_token": token}), 201)["voter_token"]

        assert refusal(vote(client, poll, renewed, [2])) == (409, "already_voted")


class TestRefusedVote:
    @pytest.mark.parametrize(
        ("poll", "expected"),
        [
            pytest.param({"opens_at": datetime.now(UTC) + A_DAY}, (409, "poll_not_open"), id="not open yet"),
            pytest.param({"closes_at": NOW}, (409, "poll_closed"), id="closed by its time"),
        ],
    )
    def test_outside_of_its_times(
        self, send: Send, site: Site, session: Session, poll: dict[str, Any], expected: Any
    ) -> None:
        made = make_poll(session, **poll)
        session.commit()

        assert refusal(send(made)) == expected
        assert held(session) == NOTHING

    @pytest.mark.parametrize(
        ("act", "expected"),
        [(close_poll, (409, "poll_closed")), (withdraw_poll, (410, "poll_withdrawn"))],
        ids=["closed", "withdrawn"],
    )
    def test_after_the_newsroom_said_so(
        self, send: Send, poll: Poll, session: Session, act: Any, expected: Any
    ) -> None:
        act(session, poll.id, actor=ACTOR, now=NOW)
        session.commit()

        assert refusal(send(poll)) == expected
        assert held(session) == NOTHING

    def test_in_no_poll(self, client: FlaskClient, token: str, session: Session) -> None:
        body = {"choices": [1], "voter_token": token}

        response = client.post(f"/v1/polls/{NOWHERE}/votes", json=body)

        assert refusal(response) == (404, "poll_not_found")

    def test_at_an_address_that_is_no_id(self, client: FlaskClient, token: str) -> None:
        response = client.post("/v1/polls/1/votes", json={"choices": [1], "voter_token": token})

        assert refusal(response) == (404, "not_found")

    def test_for_a_choice_of_another_poll(self, send: Send, poll: Poll, session: Session) -> None:
        make_poll(session, choices=["A", "B", "C"])
        session.commit()

        response = send(poll, [3])

        assert (response.status_code, fields_of(response)) == (422, ["choices"])
        assert held(session) == NOTHING

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    @pytest.mark.parametrize(
        ("choices", "field"),
        [
            pytest.param([], "choices", id="none"),
            pytest.param(None, "choices", id="null"),
            pytest.param([1, 2], "choices", id="too many"),
            pytest.param([1, 1], "choices", id="repeated"),
            pytest.param(1, "choices", id="not in a list"),
            pytest.param("1", "choices", id="a text"),
            pytest.param({"1": 1}, "choices", id="an object"),
            pytest.param([True], "choices.0", id="true"),
            pytest.param([False], "choices.0", id="false"),
            pytest.param(["1"], "choices.0", id="a text in the list"),
            pytest.param([1.0], "choices.0", id="a fraction of nothing"),
            pytest.param([1.5], "choices.0", id="a fraction"),
            pytest.param([None], "choices.0", id="null in the list"),
            pytest.param([[1]], "choices.0", id="a list in the list"),
            pytest.param([{"id": 1}], "choices.0", id="an object in the list"),
            pytest.param([0], "choices.0", id="zero"),
            pytest.param([-1], "choices.0", id="below zero"),
            pytest.param([32_768], "choices.0", id="more than the column holds"),
            pytest.param([2**63], "choices.0", id="more than any column holds"),
            pytest.param(list(range(1, 52)), "choices", id="more than any poll takes"),
        ],
    )
    def test_with_choices_that_make_no_ballot(
        self, send: Send, poll: Poll, session: Session, choices: Any, field: str
    ) -> None:
        response = send(poll, choices)

        assert (response.status_code, read_problem(response)["code"]) == (422, "invalid")
        assert fields_of(response) == [field]
        assert held(session) == NOTHING

    def test_with_more_than_max_choices(self, send: Send, site: Site, session: Session) -> None:
        poll = make_poll(session, kind="multiple", choices=["A", "B", "C"], max_choices=2)
        session.commit()

        response = send(poll, [1, 2, 3])

        assert (response.status_code, fields_of(response)) == (422, ["choices"])
        assert held(session) == NOTHING

    def test_without_choices(self, client: FlaskClient, poll: Poll, session: Session, token: str) -> None:
        response = client.post(f"/v1/polls/{poll.id}/votes", json={"voter_token": token})

        assert (response.status_code, fields_of(response)) == (422, ["choices"])
        assert held(session) == NOTHING

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    @pytest.mark.parametrize("name", ["choice", "tier", "now", "email", "form_token"])
    def test_with_a_field_that_is_none_of_a_vote(
        self, client: FlaskClient, poll: Poll, session: Session, token: str, name: str
    ) -> None:
        response = vote(client, poll, token, **{name: "x"})

        assert (response.status_code, fields_of(response)) == (422, [name])
        assert held(session) == NOTHING
