"""Which pages may read an answer."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.factories import ORIGIN

STRANGER = "https://stranger.example"


class TestCors:
    def test_the_origin_of_a_site_may_read_what_it_wrote(self, client: FlaskClient, poll_url: str) -> None:
        response = client.post("/v1/voters", headers={"Origin": ORIGIN})

        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert response.headers["Vary"] == "Origin"
        assert "Retry-After" in response.headers["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in response.headers

    def test_so_may_our_own(self, client: FlaskClient) -> None:
        response = client.post("/v1/voters", headers={"Origin": "http://localhost"})

        assert response.headers["Access-Control-Allow-Origin"] == "http://localhost"

    def test_so_may_our_own_on_https(self, make_app: Callable[..., Flask]) -> None:
        client = make_app(public_url="https://polls.example").test_client()

        response = client.post("/v1/voters", headers={"Origin": "https://polls.example"})

        assert response.headers["Access-Control-Allow-Origin"] == "https://polls.example"

    @pytest.mark.parametrize(
        "origin",
        [
            STRANGER,
            "null",
            "",
            "*",
            "http://news.example",
            "https://news.example:8443",
            "https://news.example/",
            "https://NEWS.example",
            "https://news.example.evil.example",
            "https://evil.example/https://news.example",
            "https://news.example, https://stranger.example",
            "https://sub.news.example",
            "https://news.example\x00",
            "http://localhost:80",
            "x" * 10_000,
        ],
        ids=lambda origin: ascii(origin[:45]),
    )
    def test_no_other_origin_may(self, client: FlaskClient, poll_url: str, origin: str) -> None:
        response = client.post("/v1/voters", headers={"Origin": origin})

        # The request is answered all the same: a page's origin is no authority.
        assert response.status_code == 201
        assert "Access-Control-Allow-Origin" not in response.headers
        assert response.headers["Vary"] == "Origin"

    def test_without_an_origin_the_answer_still_depends_on_it(self, client: FlaskClient) -> None:
        assert client.post("/v1/voters").headers["Vary"] == "Origin"

    @pytest.mark.parametrize(
        ("path", "options", "status"),
        [
            pytest.param("{}/votes", {"data": "{", "content_type": "application/json"}, 400, id="400"),
            pytest.param("{}/votes", {"json": {"choices": [1]}}, 401, id="401"),
            pytest.param("/v1/nothing", {"json": {}}, 404, id="404"),
            pytest.param("{}/votes", {"data": b"x" * 5_000}, 413, id="413"),
            pytest.param("{}/votes", {"data": {"choices": "1"}}, 415, id="415"),
            pytest.param("{}/votes", {"json": {}}, 422, id="422"),
        ],
    )
    def test_a_page_of_a_site_may_read_why_it_was_refused(
        self, client: FlaskClient, poll_url: str, path: str, options: dict[str, Any], status: int
    ) -> None:
        response = client.post(path.format(poll_url), headers={"Origin": ORIGIN}, **options)

        assert response.status_code == status
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN

    def test_so_may_it_read_that_it_called_too_often(
        self, make_app: Callable[..., Flask], poll_url: str
    ) -> None:
        client = make_app(limit_voters="1/minute").test_client()
        client.post("/v1/voters")

        response = client.post("/v1/voters", headers={"Origin": ORIGIN})

        assert response.status_code == 429
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN

    @pytest.mark.parametrize("path", ["/healthz", "/nothing"])
    def test_what_is_not_the_api_is_read_by_no_page(
        self, client: FlaskClient, poll_url: str, path: str
    ) -> None:
        response = client.get(path, headers={"Origin": ORIGIN})

        assert "Access-Control-Allow-Origin" not in response.headers


class TestPreflight:
    @staticmethod
    def ask(client: FlaskClient, path: str, origin: str, method: str, fields: str) -> TestResponse:
        asked = {
            "Origin": origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": fields,
        }
        return client.options(path, headers=asked)

    @pytest.mark.parametrize("path", ["/v1/voters", "{}/votes", "/v1/consents", "/v1/corrections"])
    def test_lets_a_page_of_a_site_write(self, client: FlaskClient, poll_url: str, path: str) -> None:
        response = self.ask(client, path.format(poll_url), ORIGIN, "POST", "content-type")

        assert response.status_code == 200
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert (
            response.headers["Access-Control-Allow-Headers"] == "Content-Type, X-Voter-Token, X-Account-Token"
        )
        assert int(response.headers["Access-Control-Max-Age"]) > 0
        assert response.headers["Vary"] == "Origin"

    def test_lets_a_page_of_a_site_say_who_votes(self, client: FlaskClient, poll_url: str) -> None:
        response = self.ask(client, f"{poll_url}/results", ORIGIN, "GET", "x-voter-token")

        assert "X-Voter-Token" in response.headers["Access-Control-Allow-Headers"]
        assert "GET" in response.headers["Access-Control-Allow-Methods"]

    def test_never_lets_a_page_use_a_staff_token(self, client: FlaskClient, poll_url: str) -> None:
        response = self.ask(client, "/v1/tokens", ORIGIN, "POST", "authorization")

        assert "Authorization" not in response.headers["Access-Control-Allow-Headers"]

    @pytest.mark.parametrize("origin", [STRANGER, "null"])
    def test_lets_no_other_page(self, client: FlaskClient, poll_url: str, origin: str) -> None:
        response = self.ask(client, f"{poll_url}/votes", origin, "POST", "content-type")

        assert not [name for name, _ in response.headers if name.startswith("Access-Control-")]

    def test_counts_against_no_limit(self, make_app: Callable[..., Flask], poll_url: str) -> None:
        client = make_app(limit_voters="1/minute").test_client()
        for _ in range(3):
            self.ask(client, "/v1/voters", ORIGIN, "POST", "content-type")

        assert client.post("/v1/voters").status_code == 201
