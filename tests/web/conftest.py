"""Fixtures of the edge's tests."""

from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from pollsvc.web.guards import public
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
