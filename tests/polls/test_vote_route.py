"""POST /v1/polls/{id}/votes"""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.keys import Keys
from pollsvc.polls.models import Ballot, Poll
from pollsvc.polls.service import close_poll, withdraw_poll
from tests.conftest import NOW
from tests.factories import ACTOR, make_poll, make_voter_token
from tests.polls.evidence import NOWHERE, counted_by_ballots, counted_by_slots, held
from tests.polls.http import refusal, told, vote
from tests.web.problems import fields_of, read_problem

A_DAY = timedelta(days=1)
NOTHING = {"ballot": 0, "tally_slot": 0, "tally_clock": 0}


Send = Callable[..., TestResponse]


@pytest.fixture
def token(keys: Keys) -> str:
    """The token of reader 1."""
    return make_voter_token(keys)


@pytest.fixture
def send(client: FlaskClient, token: str) -> Send:
    """Reader 1, who votes."""
    return lambda poll, choices=(1,): vote(client, poll, token, choices)


class TestVote:
    def test_is_counted_and_answered_with_the_results(
        self, client: FlaskClient, poll: Poll, token: str
    ) -> None:
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

    def test_answer_is_for_its_reader_alone(self, client: FlaskClient, poll: Poll, token: str) -> None:
        response = send(poll)

        assert response.headers["Cache-Control"] == "private, no-store"
        assert not {"ETag", "Set-Cookie"} & set(response.headers.keys())

    def test_ballot_is_of_the_tier_of_a_stored_token(
        self, client: FlaskClient, poll: Poll, token: str, session: Session
    ) -> None:
        send(poll)

        assert session.scalars(select(Ballot.tier)).all() == ["storage"]

    def test_same_ballot_again_is_already_counted(self, client: FlaskClient, poll: Poll, token: str) -> None:
        first = told(send(poll), 201)

        again = told(send(poll), 200)

        assert again == {"status": "already_counted", "results": first["results"]}

    def test_same_ballot_again_is_already_counted_after_the_close(
        self, client: FlaskClient, poll: Poll, token: str, session: Session
    ) -> None:
        send(poll)
        close_poll(session, poll.id, actor=ACTOR, now=NOW)
        session.commit()

        assert told(send(poll), 200)["status"] == "already_counted"

    def test_another_choice_is_refused(
        self, client: FlaskClient, poll: Poll, token: str, session: Session
    ) -> None:
        send(poll, [1])

        assert refusal(send(poll, [2])) == (409, "already_voted")
        assert counted_by_ballots(session, poll.id) == counted_by_slots(session, poll.id) == {1: (1, 1)}

    def test_another_choice_is_a_change_where_that_is_allowed(
        self, client: FlaskClient, site: Site, token: str, session: Session
    ) -> None:
        poll = make_poll(session, allow_change=True)
        session.commit()
        send(poll, [1])

        answer = told(send(poll, [2]), 200)

        assert answer["status"] == "changed"
        assert [choice["votes"] for choice in answer["results"]["choices"]] == [0, 1]
        assert counted_by_ballots(session, poll.id) == counted_by_slots(session, poll.id) == {2: (1, 1)}

    def test_several_choices_in_any_order(
        self, client: FlaskClient, site: Site, token: str, session: Session
    ) -> None:
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
        self, client: FlaskClient, site: Site, session: Session, token: str, visibility: str, is_shown: bool
    ) -> None:
        poll = make_poll(session, results_visibility=visibility)
        session.commit()

        answer = told(send(poll), 201)

        assert (answer["results"] is not None) is is_shown

    def test_renewed_token_is_the_same_voter(self, client: FlaskClient, poll: Poll, token: str) -> None:
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
        self,
        client: FlaskClient,
        site: Site,
        session: Session,
        token: str,
        poll: dict[str, Any],
        expected: Any,
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
        self, client: FlaskClient, poll: Poll, session: Session, token: str, act: Any, expected: Any
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

    def test_for_a_choice_of_another_poll(
        self, client: FlaskClient, poll: Poll, session: Session, token: str
    ) -> None:
        make_poll(session, choices=["A", "B", "C"])
        session.commit()

        response = send(poll, [3])

        assert (response.status_code, fields_of(response)) == (422, ["choices"])
        assert held(session) == NOTHING

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
        self, client: FlaskClient, poll: Poll, session: Session, token: str, choices: Any, field: str
    ) -> None:
        response = send(poll, choices)

        assert (response.status_code, read_problem(response)["code"]) == (422, "invalid")
        assert fields_of(response) == [field]
        assert held(session) == NOTHING

    def test_with_more_than_max_choices(
        self, client: FlaskClient, site: Site, session: Session, token: str
    ) -> None:
        poll = make_poll(session, kind="multiple", choices=["A", "B", "C"], max_choices=2)
        session.commit()

        response = send(poll, [1, 2, 3])

        assert (response.status_code, fields_of(response)) == (422, ["choices"])
        assert held(session) == NOTHING

    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            pytest.param({}, ["choices"], id="no choices"),
            pytest.param({"choices": [1], "choice": 1}, ["choice"], id="unknown field"),
            pytest.param({"choices": [1], "tier": "login"}, ["tier"], id="what the server decides"),
            pytest.param({"choices": [1], "email": "a@b.example"}, ["email"], id="an address"),
        ],
    )
    def test_with_other_fields(
        self, client: FlaskClient, poll: Poll, session: Session, token: str, body: Any, fields: list[str]
    ) -> None:
        response = client.post(f"/v1/polls/{poll.id}/votes", json={"voter_token": token, **body})

        assert (response.status_code, fields_of(response)) == (422, fields)
        assert held(session) == NOTHING


class TestVoterToken:
    @pytest.mark.parametrize("sent", [{}, {"voter_token": None}, {"voter_token": ""}], ids=str)
    def test_missing(self, client: FlaskClient, poll: Poll, session: Session, sent: dict[str, Any]) -> None:
        response = client.post(f"/v1/polls/{poll.id}/votes", json={"choices": [1], **sent})

        assert refusal(response) == (401, "voter_token_missing")
        assert held(session) == NOTHING

    @pytest.mark.parametrize(
        "forge",
        [
            pytest.param(lambda token: "x", id="no token"),
            pytest.param(
                lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"), id="signature changed"
            ),
            pytest.param(lambda token: ("A" if token[0] != "A" else "B") + token[1:], id="payload changed"),
            pytest.param(lambda token: token.partition(".")[0], id="signature cut off"),
            pytest.param(lambda token: f"{token} ", id="a space behind it"),
            pytest.param(lambda token: "é" + token, id="not ASCII"),
            pytest.param(lambda token: token * 40, id="longer than any"),
        ],
    )
    def test_forged(
        self, client: FlaskClient, poll: Poll, session: Session, token: str, forge: Callable[[str], str]
    ) -> None:
        response = vote(client, poll, forge(token))

        assert refusal(response) == (401, "voter_token_invalid")
        assert held(session) == NOTHING

    def test_signed_for_something_else(
        self, client: FlaskClient, poll: Poll, session: Session, keys: Keys
    ) -> None:
        response = vote(client, poll, keys.sign("form", b"\xff" * 22))

        assert refusal(response) == (401, "voter_token_invalid")
        assert held(session) == NOTHING

    def test_expired(self, client: FlaskClient, poll: Poll, session: Session, keys: Keys) -> None:
        old = make_voter_token(keys, now=datetime.now(UTC) - timedelta(days=400, seconds=1))

        assert refusal(vote(client, poll, old)) == (401, "voter_token_expired")
        assert held(session) == NOTHING

    @pytest.mark.parametrize("sent", [5, True, ["x"], {"token": "x"}], ids=str)
    def test_of_a_wrong_type(self, client: FlaskClient, poll: Poll, session: Session, sent: object) -> None:
        response = vote(client, poll, sent)

        assert (response.status_code, fields_of(response)) == (422, ["voter_token"])
        assert held(session) == NOTHING

    def test_in_the_header_does_not_vote(
        self, client: FlaskClient, poll: Poll, session: Session, token: str
    ) -> None:
        address = f"/v1/polls/{poll.id}/votes"

        response = client.post(address, json={"choices": [1]}, headers={"X-Voter-Token": token})

        assert refusal(response) == (401, "voter_token_missing")


class TestUnreadableBody:
    @pytest.mark.parametrize(
        ("sent", "expected"),
        [
            pytest.param(
                {"data": "{", "content_type": "application/json"}, (400, "malformed"), id="not JSON"
            ),
            pytest.param(
                {"data": "[1]", "content_type": "application/json"}, (400, "malformed"), id="no object"
            ),
            pytest.param(
                {"data": b'{"choices":[1],"voter_token":"\xff"}', "content_type": "application/json"},
                (400, "malformed"),
                id="not UTF-8",
            ),
            pytest.param({"data": {"choices": "1"}}, (415, "unsupported_media_type"), id="a form"),
            pytest.param(
                {"data": '{"choices":[1]}', "content_type": "text/plain"},
                (415, "unsupported_media_type"),
                id="JSON that says it is text",
            ),
        ],
    )
    def test_is_refused(
        self, client: FlaskClient, poll: Poll, session: Session, sent: dict[str, Any], expected: Any
    ) -> None:
        response = client.post(f"/v1/polls/{poll.id}/votes", **sent)

        assert refusal(response) == expected
        assert held(session) == NOTHING

    def test_over_the_cap_is_refused(
        self, client: FlaskClient, poll: Poll, session: Session, token: str
    ) -> None:
        body = json.dumps({"choices": [1], "voter_token": token}) + " " * 4_096

        response = client.post(f"/v1/polls/{poll.id}/votes", data=body, content_type="application/json")

        assert refusal(response) == (413, "too_large")
        assert held(session) == NOTHING

    def test_of_unknown_length_is_refused(
        self, client: FlaskClient, poll: Poll, session: Session, token: str
    ) -> None:
        body = json.dumps({"choices": [1], "voter_token": token}).encode()

        response = client.post(
            f"/v1/polls/{poll.id}/votes",
            input_stream=io.BytesIO(body),
            content_type="application/json",
            headers={"Transfer-Encoding": "chunked"},
        )

        assert refusal(response) == (411, "length_required")
        assert held(session) == NOTHING


class TestLimits:
    def test_of_a_voter(
        self, make_app: Callable[..., Flask], site: Site, session: Session, keys: Keys
    ) -> None:
        client = make_app(limit_votes_per_voter="2/minute").test_client()
        polls = [make_poll(session) for _ in range(3)]
        session.commit()
        token = make_voter_token(keys, number=1)
        first, second, third = [send(poll) for poll in polls]

        assert (first.status_code, second.status_code) == (201, 201)
        assert '"votes_per_voter";q=2;w=60' in first.headers["RateLimit-Policy"]
        assert '"votes_per_voter";r=1;t=' in first.headers["RateLimit"]
        assert "Retry-After" not in first.headers
        assert refusal(third) == (429, "rate_limited")
        assert vote(client, polls[2], make_voter_token(keys, number=2)).status_code == 201

    def test_of_a_network(
        self, make_app: Callable[..., Flask], poll: Poll, session: Session, keys: Keys
    ) -> None:
        client = make_app(limit_votes="2/minute").test_client()
        answers = [vote(client, poll, make_voter_token(keys, number=number)) for number in range(3)]

        assert [answer.status_code for answer in answers] == [201, 201, 429]
        assert '"votes";q=2;w=60' in answers[2].headers["RateLimit-Policy"]
        assert '"votes";r=0;t=' in answers[2].headers["RateLimit"]
        assert held(session)["ballot"] == 2
