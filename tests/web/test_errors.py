"""One shape for every failure: problem documents for programs, pages with the same status for people."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from marshmallow import ValidationError
from sqlalchemy import exc as sa
from werkzeug.exceptions import HTTPException, NotFound, ServiceUnavailable, default_exceptions
from werkzeug.test import TestResponse

import pollsvc.app  # noqa: F401 (loads every error)
from pollsvc.errors import (
    Conflict,
    Gone,
    Invalid,
    NotAllowed,
    NotAuthenticated,
    PollsvcError,
    StaleVersion,
    TooMany,
    Unavailable,
)
from pollsvc.errors import NotFound as NotFoundHere
from pollsvc.web.errors import STATUSES, flatten, problem_of
from tests.web.problems import fields_of, read_problem

SECRET = "ada@reader.example"  # stands for what a reader typed, in the text of an exception

Fail = Callable[[Exception], Flask]

JSON = "application/json"


class UnlistedError(PollsvcError):
    """Of no kind that the table knows."""

    code = "unlisted"


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
class TestCrash:
    @pytest.mark.parametrize("path", ["/v1/fail", "/fail"])
    def test_leaks_nothing_into_the_answer(self, failing_app: Fail, path: str) -> None:
        error = sa.IntegrityError("INSERT INTO ballot", {"email": SECRET}, Exception(SECRET))

        response = failing_app(error).test_client().get(path)

        assert response.status_code == 500
        for word in (SECRET, "INSERT", "IntegrityError", "Traceback", "pollsvc/", "sqlalchemy"):
            assert word not in response.text

    def test_is_noted_by_its_place_and_kind_without_its_text(
        self, failing_app: Fail, stderr: Callable[[], str]
    ) -> None:
        app = failing_app(sa.IntegrityError("INSERT INTO ballot", {"email": SECRET}, Exception(SECRET)))

        app.test_client().get(f"/v1/fail?email={SECRET}", headers={"X-Request-ID": "the-one"})

        written = stderr()
        assert '"error": "IntegrityError"' in written
        assert '"cause": "Exception"' in written
        assert '"route": "/v1/fail"' in written
        assert '"request_id": "the-one"' in written
        assert "in fail" in written
        assert SECRET not in written
        assert "INSERT" not in written

    def test_after_the_view_is_answered_and_noted_alike(
        self, make_app: Callable[..., Flask], stderr: Callable[[], str]
    ) -> None:
        app = make_app()
        errors = [ZeroDivisionError(SECRET)]

        @app.after_request
        def fail_once(response: Response) -> Response:
            if errors:
                raise errors.pop()
            return response

        response = app.test_client().get(f"/v1/form-token?email={SECRET}")

        assert response.status_code == 500
        assert read_problem(response)["code"] == "internal"
        written = stderr()
        assert '"error": "ZeroDivisionError"' in written
        assert "in fail_once" in written
        assert SECRET not in written
        assert "/v1/form-token?" not in written

    def test_outside_any_route_is_noted_without_one(
        self, make_app: Callable[..., Flask], stderr: Callable[[], str]
    ) -> None:
        app = make_app()

        @app.before_request
        def fail() -> None:
            raise ZeroDivisionError

        assert app.test_client().get(f"/v1/{SECRET}").status_code == 500
        written = stderr()
        assert '"route": null' in written
        assert SECRET not in written

    def test_without_an_end_still_says_nothing_of_the_reader(
        self, make_app: Callable[..., Flask], stderr: Callable[[], str]
    ) -> None:
        app = make_app()

        @app.after_request
        def fail(response: Response) -> Response:
            raise ZeroDivisionError(SECRET)

        response = app.test_client().get(f"/v1/form-token?email={SECRET}")

        assert response.status_code == 500
        assert SECRET not in response.text + stderr()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestAnswer:
    def test_a_response_that_was_aborted_with_is_sent_as_it_is(self, make_app: Callable[..., Flask]) -> None:
        app = make_app()

        @app.before_request
        def answer_at_once() -> None:
            raise NotFound(response=Response("as it is", 418))

        response = app.test_client().get("/v1/form-token")

        assert (response.status_code, response.text) == (418, "as it is")


class TestProblemOf:
    @pytest.mark.parametrize(
        ("error", "status", "code"),
        [
            (Invalid(), 422, "invalid"),
            (NotAuthenticated(), 401, "not_authenticated"),
            (NotAllowed(), 403, "not_allowed"),
            (NotFoundHere(), 404, "not_found"),
            (Conflict(), 409, "conflict"),
            (StaleVersion(), 409, "stale_version"),
            (Gone(), 410, "gone"),
            (TooMany(), 429, "too_many"),
            (Unavailable(), 503, "unavailable"),
            (UnlistedError(), 500, "unlisted"),
            (ValidationError("wrong"), 422, "invalid"),
            (NotFound(), 404, "not_found"),
            (ServiceUnavailable(), 503, "unavailable"),
            (default_exceptions[418](), 418, "malformed"),
            (default_exceptions[501](), 501, "internal"),
            (HTTPException(), 500, "internal"),
            (sa.OperationalError("", {}, Exception()), 503, "database_unavailable"),
            (sa.InternalError("", {}, Exception()), 503, "database_unavailable"),
            (sa.TimeoutError(), 503, "database_unavailable"),
            (sa.DBAPIError("", {}, Exception(), connection_invalidated=True), 503, "database_unavailable"),
            (sa.DBAPIError("", {}, Exception()), 500, "internal"),
            (sa.IntegrityError("", {}, Exception()), 500, "internal"),
            (KeyError("email"), 500, "internal"),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
    )
    def test_tells_status_and_code(self, error: Exception, status: int, code: str) -> None:
        problem = problem_of(error)

        assert (problem.status, problem.code) == (status, code)

    @pytest.mark.parametrize(
        ("error", "name", "value"),
        [
            (NotAuthenticated(), "WWW-Authenticate", 'Bearer realm="pollsvc"'),
            (TooMany(), "Retry-After", "60"),
            (Unavailable(), "Retry-After", "2"),
            (ServiceUnavailable(), "Retry-After", "2"),
            (ServiceUnavailable(retry_after=7), "Retry-After", "7"),
            (default_exceptions[429](), "Retry-After", "60"),
            (default_exceptions[405](["GET"]), "Allow", "GET"),  # type: ignore[arg-type]
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
    )
    def test_tells_the_fields_that_belong_to_a_status(self, error: Exception, name: str, value: str) -> None:
        assert problem_of(error).headers[name] == value

    def test_names_the_fields_of_a_rule(self) -> None:
        problem = problem_of(Invalid("Wrong.", fields={"choices.0": "Is of another poll."}))

        assert problem.detail == "Wrong."
        assert problem.errors == [{"field": "choices.0", "detail": "Is of another poll."}]

    @pytest.mark.parametrize("kind", STATUSES, ids=lambda kind: kind.__name__)
    def test_each_kind_says_what_to_do(self, kind: type[PollsvcError]) -> None:
        assert problem_of(kind()).detail


class TestKinds:
    def test_each_error_that_a_request_can_meet_has_a_status(self) -> None:
        def leaves(kind: type[PollsvcError]) -> Iterator[type[PollsvcError]]:
            for each in kind.__subclasses__():
                yield each
                yield from leaves(each)

        unlisted = {each.__name__ for each in leaves(PollsvcError) if not issubclass(each, tuple(STATUSES))}

        # The first stops the start of the service, the second belongs to this module.
        assert unlisted == {"WrongHashKey", "UnlistedError"}


class TestFlatten:
    @pytest.mark.parametrize(
        ("messages", "entries"),
        [
            pytest.param({}, [], id="nothing"),
            pytest.param(
                {"json": {"name": ["Bad.", "Worse."]}}, [("name", "Bad."), ("name", "Worse.")], id="list"
            ),
            pytest.param({"query": {"limit": "Bad."}}, [("limit", "Bad.")], id="query"),
            pytest.param({"json": {"choices": {0: ["Bad."]}}}, [("choices.0", "Bad.")], id="place in a list"),
            pytest.param({"json": {"a": {"json": "Bad."}}}, [("a.json", "Bad.")], id="a field called json"),
            pytest.param({"_schema": ["Bad."]}, [("", "Bad.")], id="the whole"),
            pytest.param(["Bad."], [("", "Bad.")], id="bare list"),
            pytest.param("Bad.", [("", "Bad.")], id="bare text"),
        ],
    )
    def test_gives_an_entry_for_each_sentence(self, messages: Any, entries: list[tuple[str, str]]) -> None:
        assert list(flatten(messages)) == [{"field": name, "detail": sentence} for name, sentence in entries]
