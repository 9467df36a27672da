"""The newsroom's calls of polls: who may, with what body, how often."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pollsvc.polls.models import Poll
from tests.factories import (
    make_token,
)
from tests.polls.evidence import NOWHERE, polls_held
from tests.polls.http import SMALLEST, refusal

# Shapes and guards ask nothing of the database; what does is asked of both in the tests of the rules.
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

OTHER_ORIGIN = "https://sports.example"


CALLS = [
    ("POST", ""),
    ("GET", ""),
    ("PATCH", "/{id}"),
    ("POST", "/{id}/close"),
    ("POST", "/{id}/withdraw"),
    ("GET", "/{id}/tally"),
    ("POST", "/{id}/recount"),
    ("GET", "/{id}/export.json"),
    ("GET", "/{id}/export.csv"),
]


class TestGuard:
    @pytest.mark.parametrize(("method", "path"), CALLS)
    def test_nobody_is_refused(self, client: FlaskClient, poll: Poll, method: str, path: str) -> None:
        response = client.open(f"/v1/polls{path.format(id=poll.id)}", method=method)

        assert refusal(response) == (401, "token_missing")
        assert response.headers["WWW-Authenticate"].startswith("Bearer")

    @pytest.mark.parametrize(("method", "path"), CALLS)
    def test_another_scope_is_refused(
        self,
        staff_client_with: Callable[..., FlaskClient],
        poll: Poll,
        session: Session,
        method: str,
        path: str,
    ) -> None:
        client = staff_client_with("corrections:manage", "comments:moderate", "consents:manage")

        response = client.open(f"/v1/polls{path.format(id=poll.id)}", method=method)

        assert refusal(response) == (403, "scope_missing")
        assert polls_held(session) == {"polls": 1, "articles": 1, "audited": 1}

    @pytest.mark.parametrize(("method", "path"), CALLS)
    def test_scope_of_polls_is_enough(
        self, staff_client_with: Callable[..., FlaskClient], poll: Poll, method: str, path: str
    ) -> None:
        address = f"/v1/polls{path.format(id=poll.id)}"
        bodies: dict[str, object] = {"POST ": SMALLEST, "PATCH /{id}": {}}
        body = bodies.get(f"{method} {path}")

        response = staff_client_with("polls:write").open(address, method=method, json=body)

        assert response.status_code in (200, 201), response.text

    @pytest.mark.parametrize(("method", "path"), [call for call in CALLS if call[1]])
    def test_unknown_poll_is_not_found(self, staff_client: FlaskClient, method: str, path: str) -> None:
        body: dict[str, object] | None = {} if method != "GET" else None

        response = staff_client.open(f"/v1/polls{path.format(id=NOWHERE)}", method=method, json=body)

        assert refusal(response) == (404, "poll_not_found")


class TestBodies:
    @pytest.mark.parametrize("call", [call for call in CALLS if call[0] != "GET"], ids=" ".join)
    @pytest.mark.parametrize(
        ("sent", "expected"),
        [
            pytest.param({"data": "{", "content_type": "application/json"}, (400, "malformed"), id="no JSON"),
            pytest.param({"data": {"question": "x"}}, (415, "unsupported_media_type"), id="a form"),
            pytest.param({"json": {"unknown": 1}}, (422, "invalid"), id="unknown field"),
            pytest.param(
                {"data": b" " * 65_537, "content_type": "application/json"},
                (413, "too_large"),
                id="too large",
            ),
        ],
    )
    def test_unfit_one_is_refused(
        self, staff_client: FlaskClient, poll: Poll, call: tuple[str, str], sent: Any, expected: Any
    ) -> None:
        method, path = call

        response = staff_client.open(f"/v1/polls{path.format(id=poll.id)}", method=method, **sent)

        assert refusal(response) == expected


class TestLimit:
    def test_of_a_token(self, make_app: Callable[..., Flask], poll: Poll, session: Session) -> None:
        clients = []
        app = make_app(limit_staff="2/minute")
        for name in ("one desk", "another"):
            token = make_token(session, name=name, scopes=["polls:write"])
            clients.append({"Authorization": f"Bearer {token}"})
        session.commit()
        client = app.test_client()

        first, second, third = [client.get("/v1/polls", headers=clients[0]) for _ in range(3)]

        assert (first.status_code, second.status_code) == (200, 200)
        assert first.headers["RateLimit-Policy"] == '"staff";q=2;w=60'
        assert second.headers["RateLimit"].startswith('"staff";r=0;t=')
        assert refusal(third) == (429, "rate_limited")
        assert client.get("/v1/polls", headers=clients[1]).status_code == 200
