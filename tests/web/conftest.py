"""Fixtures of the edge's tests."""

from collections.abc import Callable

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pollsvc.web.guards import public
from pollsvc.web.headers import allow_framing, static_file
from tests.factories import make_poll, make_site


@pytest.fixture
def poll_url(session: Session) -> str:
    """The address of an open poll of a site at https://news.example."""
    make_site(session)
    poll = make_poll(session)
    session.commit()
    return f"/v1/polls/{poll.id}"


@pytest.fixture
def failing_app(make_app: Callable[..., Flask]) -> Callable[[Exception], Flask]:
    """Make an application whose `/v1/fail` (for programs) and `/fail` (for people) raise this error."""

    def make(error: Exception) -> Flask:
        app = make_app()

        @public
        def fail() -> str:
            raise error

        app.add_url_rule("/v1/fail", "fail_for_programs", fail, methods=["GET", "POST"])
        app.add_url_rule("/fail", "fail_for_people", fail, methods=["GET", "POST"])
        return app

    return make


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Read what was written to stderr since the last look."""
    return lambda: capsys.readouterr().err


@pytest.fixture
def page_client(make_app: Callable[..., Flask]) -> FlaskClient:
    """A client of an application with pages of each kind under `/page/…` and files under `/file/…`."""
    app = make_app()

    def page(kind: str) -> Response:
        if kind == "framed":
            allow_framing(["https://b.example", "https://a.example"])
        if kind == "framed-by-none":
            allow_framing([])
        response = Response("<!doctype html>", content_type="text/html; charset=utf-8")
        if kind == "token":
            response.headers["Referrer-Policy"] = "no-referrer"
        return response

    def file(kind: str) -> Response:
        static_file(is_forever=kind == "forever")
        return Response("text", 404 if kind == "missing" else 200, content_type="text/javascript")

    app.add_url_rule("/page/<kind>", "page", public(page))
    app.add_url_rule("/file/<kind>", "file", public(file))
    return app.test_client()
