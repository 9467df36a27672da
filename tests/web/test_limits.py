"""Named limits, counted in the memory of one process."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.config import Settings
from pollsvc.keys import Keys
from pollsvc.web import limits
from pollsvc.web.counters import WindowStorage
from pollsvc.web.marks import marked_on
from tests.factories import make_token, make_voter_token
from tests.web.problems import read_problem

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

App = Callable[..., Flask]


def ask_for_voters(client: FlaskClient, times: int, **options: object) -> list[int]:
    return [client.post("/v1/voters", **options).status_code for _ in range(times)]


class TestBudget:
    def test_is_spent_and_then_refused(self, make_app: App) -> None:
        client = make_app(limit_voters="3/minute").test_client()

        assert ask_for_voters(client, 5) == [201, 201, 201, 429, 429]

    def test_is_of_its_own_for_each_network(self, make_app: App) -> None:
        client = make_app(limit_voters="1/minute").test_client()
        ask_for_voters(client, 2)

        assert ask_for_voters(client, 2, environ_base={"REMOTE_ADDR": "198.51.100.7"}) == [201, 429]

    def test_is_of_its_own_for_each_name(self, make_app: App) -> None:
        client = make_app(limit_voters="1/minute", limit_corrections="1/minute").test_client()
        ask_for_voters(client, 2)

        assert client.post("/v1/corrections", json={}).status_code == 422

    def test_is_of_its_own_for_each_application_in_a_process(self, make_app: App) -> None:
        first = make_app(limit_voters="1/minute").test_client()
        second = make_app(limit_voters="2/minute").test_client()

        assert ask_for_voters(first, 2) + ask_for_voters(second, 3) == [201, 429, 201, 201, 429]

    def test_may_have_several_windows(self, make_app: App) -> None:
        client = make_app(limit_voters="2/second;3/hour").test_client()

        response = client.post("/v1/voters")

        assert response.headers["RateLimit-Policy"] == '"voters";q=2;w=1, "voters";q=3;w=3600'

    @pytest.mark.parametrize(
        ("options", "status"),
        [
            pytest.param({"json": {"voter_token": 5}}, 422, id="wrong shape"),
            pytest.param({"data": "{", "content_type": "application/json"}, 400, id="no JSON"),
            pytest.param({"data": {"voter_token": "x"}}, 415, id="a form"),
            pytest.param({"json": {"voter_token": "x"}}, 401, id="a forged token"),
        ],
    )
    def test_is_spent_by_what_is_refused_too(
        self, make_app: App, options: dict[str, object], status: int
    ) -> None:
        client = make_app(limit_voters="2/minute").test_client()

        assert ask_for_voters(client, 3, **options) == [status, status, 429]

    def test_is_not_spent_by_what_never_reaches_it(self, make_app: App) -> None:
        client = make_app(limit_voters="1/minute").test_client()
        client.options("/v1/voters")
        client.get("/v1/voters")
        client.post("/v1/voters", data=b"x" * 5_000)

        assert ask_for_voters(client, 1) == [201]


class TestDefaults:
    def test_are_those_of_the_design(self, settings: Settings) -> None:
        assert settings.limits == {
            "staff": "1200/minute",
            "voters": "600/minute",
            "votes": "600/minute",
            "votes_per_voter": "30/minute",
            "consents": "20/minute",
            "corrections": "20/minute",
            "comments": "60/minute",
            "comments_per_voter": "10/minute",
            "links": "600/minute",
        }

    def test_each_name_that_a_route_bears_is_a_setting(self, app: Flask, settings: Settings) -> None:
        names = {name for view in app.view_functions.values() for name in marked_on(view, "limits") or ()}

        assert names <= settings.limits.keys()
        assert names >= {
            "staff",
            "voters",
            "votes",
            "votes_per_voter",
            "consents",
            "corrections",
            "comments",
            "links",
        }


class TestVotes:
    @pytest.fixture
    def vote(self, make_app: App, poll_url: str, keys: Keys) -> Callable[..., TestResponse]:
        """Vote as the reader of a number, of whom two votes a minute are taken, and six of a network."""
        client = make_app(limit_votes="6/minute", limit_votes_per_voter="2/minute").test_client()

        def send(number: int, **headers: str) -> TestResponse:
            body = {"choices": [1], "voter_token": make_voter_token(keys, number=number)}
            return client.post(f"{poll_url}/votes", json=body, headers=headers)

        return send

    def test_are_limited_by_voter(self, vote: Callable[..., TestResponse]) -> None:
        assert [vote(1).status_code for _ in range(3)] == [201, 200, 429]

    def test_of_another_voter_are_not_touched_by_that(self, vote: Callable[..., TestResponse]) -> None:
        for _ in range(3):
            vote(1)

        assert vote(2).status_code == 201

    def test_are_limited_by_network_too(self, vote: Callable[..., TestResponse]) -> None:
        assert [vote(number).status_code for number in range(1, 8)] == [201] * 6 + [429]

    def test_tell_of_both_limits(self, vote: Callable[..., TestResponse]) -> None:
        headers = vote(1).headers

        assert headers["RateLimit-Policy"] == '"votes_per_voter";q=2;w=60, "votes";q=6;w=60'
        assert headers["RateLimit"].startswith('"votes_per_voter";r=1;t=')
        assert '"votes";r=5;t=' in headers["RateLimit"]

    def test_are_counted_for_the_voter_who_votes_whatever_the_header_says(
        self, vote: Callable[..., TestResponse], keys: Keys
    ) -> None:
        others = [make_voter_token(keys, number=number) for number in (7, 8, 9)]

        answers = [vote(1, **{"X-Voter-Token": other}).status_code for other in others]

        assert answers == [201, 200, 429]

    def test_are_counted_for_the_voter_who_votes_however_the_body_is_written(
        self, make_app: App, poll_url: str, keys: Keys
    ) -> None:
        client = make_app(limit_votes_per_voter="1/minute").test_client()
        # Of a name given twice the last counts; the lone surrogate before it takes the reading another way.
        body = f'{{"voter_token": "\\ud800", "choices": [1], "voter_token": "{make_voter_token(keys)}"}}'

        answers = [
            client.post(f"{poll_url}/votes", data=body, content_type="application/json").status_code
            for _ in range(2)
        ]

        assert answers == [201, 429]

    def test_without_a_valid_token_are_counted_by_network_alone(self, make_app: App, poll_url: str) -> None:
        client = make_app(limit_votes_per_voter="1/minute").test_client()
        body = {"choices": [1], "voter_token": "forged"}

        responses = [client.post(f"{poll_url}/votes", json=body) for _ in range(3)]

        assert [response.status_code for response in responses] == [401, 401, 401]
        assert responses[-1].headers["RateLimit-Policy"] == '"votes";q=600;w=60'

    @pytest.mark.parametrize(
        "body", ["[]", "{", '{"voter_token": 5}', '{"voter_token": "' + "x" * 500 + '"}', ""], ids=repr
    )
    def test_of_any_body_are_counted(self, make_app: App, poll_url: str, body: str) -> None:
        client = make_app(limit_votes="1/minute").test_client()
        send = {"data": body, "content_type": "application/json"}

        answers = [client.post(f"{poll_url}/votes", **send).status_code for _ in range(2)]

        assert answers[0] in (400, 401, 422)
        assert answers[1] == 429


class TestStaff:
    def test_is_limited_by_token_and_not_by_network(self, make_app: App, session: Session) -> None:
        client = make_app(limit_staff="2/minute").test_client()
        first, second = make_token(session, name="first"), make_token(session, name="second")
        session.commit()

        answers = [
            client.get("/v1/tokens", headers={"Authorization": f"Bearer {secret}"}).status_code
            for secret in (first, first, first, second)
        ]

        assert answers == [200, 200, 429, 200]

    def test_shares_one_budget_over_all_its_routes(self, make_app: App, session: Session) -> None:
        client = make_app(limit_staff="2/minute").test_client()
        secret = make_token(session)
        session.commit()

        answers = [
            client.get(path, headers={"Authorization": f"Bearer {secret}"}).status_code
            for path in ("/v1/tokens", "/v1/audit", "/v1/polls")
        ]

        assert answers == [200, 200, 429]


class TestTelling:
    def test_an_answer_says_what_is_left(self, make_app: App) -> None:
        client = make_app(limit_voters="3/minute").test_client()

        headers = client.post("/v1/voters").headers

        assert headers["RateLimit-Policy"] == '"voters";q=3;w=60'
        name, remaining, wait = headers["RateLimit"].split(";")
        assert (name, remaining) == ('"voters"', "r=2")
        assert 0 < int(wait.removeprefix("t=")) <= 60
        assert "Retry-After" not in headers
        assert not [name for name, _ in headers if name.startswith("X-RateLimit")]

    def test_a_refusal_says_when_to_come_again(self, make_app: App) -> None:
        client = make_app(limit_voters="1/hour").test_client()
        client.post("/v1/voters")

        response = client.post("/v1/voters")

        assert read_problem(response)["code"] == "rate_limited"
        assert 3_590 <= int(response.headers["Retry-After"]) <= 3_600
        assert response.headers["RateLimit-Policy"] == '"voters";q=1;w=3600'
        assert response.headers["RateLimit"].startswith('"voters";r=0;t=')

    @pytest.mark.parametrize(
        "path", ["/v1/form-token", "/healthz", "/readyz", "/openapi.json", "/v1/nothing"]
    )
    def test_what_is_not_limited_says_nothing(self, client: FlaskClient, path: str) -> None:
        headers = client.get(path).headers

        assert "RateLimit" not in headers
        assert "RateLimit-Policy" not in headers


class TestPrivacy:
    def test_neither_addresses_nor_voters_are_kept(self, make_app: App, poll_url: str, keys: Keys) -> None:
        app = make_app()
        token = make_voter_token(keys)
        app.test_client().post(
            f"{poll_url}/votes",
            json={"choices": [1], "voter_token": token},
            environ_base={"REMOTE_ADDR": "198.51.100.7"},
        )

        (limiter,) = app.extensions["limiter"]
        assert isinstance(limiter.storage, WindowStorage)
        kept = " ".join(limiter.storage.windows)
        assert "votes" in kept
        assert "198.51" not in kept
        assert token not in kept
        assert (1).to_bytes(16, "big").hex() not in kept


class TestSpend:
    """A second limit that a form may spend, after its own was counted."""

    @staticmethod
    def spend(app: Flask, peer: str = "198.51.100.7") -> bool:
        with app.test_request_context("/", environ_base={"REMOTE_ADDR": peer}):
            return limits.spend("consents")

    def test_is_of_the_network_and_ends(self, make_app: App) -> None:
        app = make_app(limit_consents="2/minute;3/hour")

        assert [self.spend(app) for _ in range(3)] == [True, True, False]
        assert self.spend(app, "198.51.100.8")

    def test_is_shared_with_the_routes_of_its_name(self, make_app: App) -> None:
        app = make_app(limit_consents="1/minute")
        app.test_client().post("/v1/consents", json={}, environ_base={"REMOTE_ADDR": "198.51.100.7"})

        assert not self.spend(app)
