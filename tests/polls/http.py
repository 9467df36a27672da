"""Calling the poll routes and reading what they answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import Engine, event
from werkzeug.test import TestResponse

from pollsvc.polls.models import Poll
from tests.factories import ARTICLE_URL
from tests.web.problems import read_problem

#: The least that makes a poll; everything else is a default.
SMALLEST = {"article_urls": [ARTICLE_URL], "question": "Shall we?", "choices": ["Yes", "No"]}


def told(response: TestResponse, status: int = 200) -> dict[str, Any]:
    """Expect this status, and give the JSON that came with it."""
    assert response.status_code == status, response.text
    document: dict[str, Any] = response.get_json()
    return document


def refusal(response: TestResponse) -> tuple[int, str]:
    """Give status and code of a refusal, after a look at its shape."""
    return response.status_code, read_problem(response)["code"]


def vote(
    client: FlaskClient, poll: Poll, token: object, choices: object = (1,), **more: object
) -> TestResponse:
    """Send a vote; `more` are further members of the body."""
    body = {"choices": choices, "voter_token": token, **more}
    return client.post(f"/v1/polls/{poll.id}/votes", json=body)


def create(client: FlaskClient, **changes: object) -> TestResponse:
    """Make a poll as a member of the newsroom."""
    return client.post("/v1/polls", json=SMALLEST | changes)


def patch(client: FlaskClient, poll: Poll, **changes: object) -> TestResponse:
    """Edit a poll as a member of the newsroom."""
    return client.patch(f"/v1/polls/{poll.id}", json=changes)


@contextmanager
def statements_sent() -> Iterator[list[str]]:
    """Gather what is sent to a database meanwhile."""
    sent: list[str] = []

    def note(*arguments: Any) -> None:
        sent.append(arguments[2])

    event.listen(Engine, "before_cursor_execute", note)
    yield sent
    event.remove(Engine, "before_cursor_execute", note)
