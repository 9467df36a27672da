"""A crash is answered like every other failure, and tells nobody what a reader typed."""

from collections.abc import Callable

import pytest
from flask import Flask, Response
from sqlalchemy import exc as sa

from tests.web.problems import read_problem

SECRET = "ada@reader.example"  # stands for what a reader typed, in the text of an exception

Fail = Callable[[Exception], Flask]


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
        assert '"error":"IntegrityError"' in written
        assert '"cause":"Exception"' in written
        assert '"route":"/v1/fail"' in written
        assert '"request_id":"the-one"' in written
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
        assert '"error":"ZeroDivisionError"' in written
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
        assert '"route":null' in written
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
