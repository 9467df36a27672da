"""POST /v1/polls/{id}/votes: who may, with what body, how often."""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.keys import Keys
from pollsvc.polls.models import Poll
from tests.factories import make_poll, make_voter_token
from tests.polls.evidence import held
from tests.polls.http import refusal, vote
from tests.web.problems import fields_of

# Shapes and guards ask nothing of the database; what does is asked of both in the tests of the rules.
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

A_DAY = timedelta(days=1)
NOTHING = {"ballot": 0, "tally_slot": 0, "tally_clock": 0}


def flipped(token: str, place: int) -> str:
    """Change one character; not the last, whose lowest bits mean nothing."""
    other = "A" if token[place] != "A" else "B"
    return token[:place] + other + token[place + 1 :]


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
            pytest.param(lambda token: flipped(token, token.index(".") + 1), id="signature changed"),
            pytest.param(lambda token: flipped(token, 0), id="payload changed"),
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
        first, second, third = [vote(client, poll, token) for poll in polls]

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
