"""One shape for every failure: problem documents for programs, pages with the same status for people."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from sqlalchemy import exc as sa
from werkzeug.exceptions import NotFound, default_exceptions
from werkzeug.test import TestResponse

from pollsvc.errors import (
    Conflict,
    Gone,
    Invalid,
    NotAllowed,
    NotAuthenticated,
    StaleVersion,
    TooMany,
    Unavailable,
)
from pollsvc.errors import NotFound as NotFoundHere
from tests.web.problems import fields_of, read_problem

SECRET = "ada@reader.example"  # stands for what a reader typed, in the text of an exception

Fail = Callable[[Exception], Flask]

JSON = "application/json"


def send(client: FlaskClient, call: str, **options: Any) -> TestResponse:
    method, path = call.split()
    return client.open(path, method=method, **options)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestProgram:
    """Each status, met as a client meets it."""

    @pytest.mark.parametrize(
        ("status", "code", "call", "options"),
        [
            pytest.param(400, "malformed", "POST /v1/voters", {"data": "{", "content_type": JSON}, id="400"),
            pytest.param(401, "token_missing", "GET /v1/tokens", {}, id="401"),
            pytest.param(404, "not_found", "GET /v1/nothing", {}, id="404"),
            pytest.param(404, "not_found", "GET /v1/polls/17", {}, id="404 for an id that is none"),
            pytest.param(405, "method_not_allowed", "PUT /v1/voters", {"json": {}}, id="405"),
            pytest.param(
                411,
                "length_required",
                "POST /v1/voters",
                {"content_type": JSON, "headers": {"Transfer-Encoding": "chunked"}},
                id="411",
            ),
            pytest.param(
                413, "too_large", "POST /v1/voters", {"data": b" " * 2_049, "content_type": JSON}, id="413"
            ),
            pytest.param(
                415, "unsupported_media_type", "POST /v1/voters", {"data": {"voter_token": "x"}}, id="415"
            ),
            pytest.param(422, "invalid", "POST /v1/voters", {"json": {"voter_token": 1}}, id="422"),
        ],
    )
    def test_is_answered_with_a_problem(
        self, client: FlaskClient, status: int, code: str, call: str, options: Mapping[str, Any]
    ) -> None:
        response = send(client, call, **options)

        assert (response.status_code, read_problem(response)["code"]) == (status, code)

    def test_403(self, staff_client_with: Callable[..., FlaskClient]) -> None:
        response = staff_client_with("polls:write").get("/v1/tokens")

        assert response.status_code == 403
        assert read_problem(response)["code"] == "scope_missing"

    def test_405_names_the_methods_that_are_taken(self, client: FlaskClient) -> None:
        response = client.put("/v1/voters", json={})

        assert {method.strip() for method in response.headers["Allow"].split(",")} == {"OPTIONS", "POST"}

    def test_422_names_the_field(self, client: FlaskClient) -> None:
        response = client.post("/v1/voters", json={"voter_token": 1, "more": 2})

        assert sorted(fields_of(response)) == ["more", "voter_token"]

    def test_429(self, make_app: Callable[..., Flask]) -> None:
        client = make_app(limit_voters="1/minute").test_client()
        client.post("/v1/voters")

        response = client.post("/v1/voters")

        assert response.status_code == 429
        assert read_problem(response)["code"] == "rate_limited"

    def test_500(self, failing_app: Fail) -> None:
        response = failing_app(ZeroDivisionError(SECRET)).test_client().get("/v1/fail")

        assert response.status_code == 500
        assert read_problem(response)["code"] == "internal"

    def test_503(self, failing_app: Fail) -> None:
        response = (
            failing_app(sa.OperationalError("SELECT", {}, Exception(SECRET))).test_client().get("/v1/fail")
        )

        assert response.status_code == 503
        assert read_problem(response)["code"] == "database_unavailable"

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json"])
    def test_addresses_outside_v1_that_serve_programs_answer_alike(
        self, client: FlaskClient, path: str
    ) -> None:
        assert read_problem(client.patch(path))["status"] == 405

    def test_head_has_no_body(self, client: FlaskClient) -> None:
        response = client.head("/v1/nothing")

        assert (response.status_code, response.data) == (404, b"")
        assert response.content_type == "application/problem+json"

    def test_extra_members_stand_beside_ours_and_change_none(self, failing_app: Fail) -> None:
        error = StaleVersion(extra={"current": {"version": 3}, "status": 200})

        document = read_problem(failing_app(error).test_client().get("/v1/fail"))

        assert (document["status"], document["current"]) == (409, {"version": 3})


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestPerson:
    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (400, default_exceptions[400]()),
            (401, NotAuthenticated()),
            (403, NotAllowed()),
            (404, NotFoundHere()),
            (409, Conflict()),
            (410, Gone()),
            (415, default_exceptions[415]()),
            (422, Invalid()),
            (429, TooMany()),
            (500, ZeroDivisionError(SECRET)),
            (503, Unavailable()),
            (503, sa.TimeoutError(SECRET)),
        ],
        ids=lambda value: value if isinstance(value, int) else type(value).__name__,
    )
    def test_is_shown_a_page_of_the_same_status(
        self, failing_app: Fail, status: int, error: Exception
    ) -> None:
        response = failing_app(error).test_client().get("/fail")

        assert response.status_code == status
        assert response.content_type == "text/html; charset=utf-8"
        assert response.text.startswith("<!doctype html>")
        assert SECRET not in response.text
        assert response.headers["Cache-Control"] == "private, no-store"
        assert ("Retry-After" in response.headers) == (status in (429, 503))

    @pytest.mark.parametrize("path", ["/nothing", "/v1", "/V1/polls", "/embed/nothing"])
    def test_404_where_there_is_nothing(self, client: FlaskClient, path: str) -> None:
        response = client.get(path)

        assert (response.status_code, response.mimetype) == (404, "text/html")

    @pytest.mark.parametrize(
        ("status", "call", "options"),
        [
            pytest.param(405, "DELETE /fail", {}, id="405"),
            pytest.param(411, "POST /fail", {"headers": {"Transfer-Encoding": "chunked"}}, id="411"),
            pytest.param(413, "POST /fail", {"data": b"x" * 16_385}, id="413"),
        ],
    )
    def test_is_shown_what_is_refused_ahead_of_a_view(
        self, failing_app: Fail, status: int, call: str, options: Mapping[str, Any]
    ) -> None:
        response = send(failing_app(ZeroDivisionError()).test_client(), call, **options)

        assert (response.status_code, response.mimetype) == (status, "text/html")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestAnswer:
    def test_a_response_that_was_aborted_with_is_sent_as_it_is(self, make_app: Callable[..., Flask]) -> None:
        app = make_app()

        @app.before_request
        def answer_at_once() -> None:
            raise NotFound(response=Response("as it is", 418))

        response = app.test_client().get("/v1/form-token")

        assert (response.status_code, response.text) == (418, "as it is")
