"""Voter tokens over HTTP."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import inspect, text
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.keys import Keys
from pollsvc.voters.service import LIFETIME, Tier, read_token
from tests.factories import make_voter_token
from tests.web.problems import fields_of, read_problem


def read(response: TestResponse) -> dict[str, Any]:
    document: dict[str, Any] = response.get_json()
    return document


def identity(keys: Keys, token: str) -> bytes:
    return read_token(keys, token, datetime.now(UTC), Tier.STORAGE).identity


class TestIssueToken:
    @pytest.mark.parametrize("options", [{}, {"json": {}}, {"json": {"voter_token": None}}], ids=repr)
    def test_gives_a_fresh_identity(self, client: FlaskClient, keys: Keys, options: dict[str, Any]) -> None:
        responses = [client.post("/v1/voters", **options) for _ in range(2)]

        assert [response.status_code for response in responses] == [201, 201]
        first, second = (read(response) for response in responses)
        assert first.keys() == {"voter_token", "expires_at"}
        assert identity(keys, first["voter_token"]) != identity(keys, second["voter_token"])

    def test_tells_its_end(self, client: FlaskClient) -> None:
        expires_at = datetime.fromisoformat(read(client.post("/v1/voters"))["expires_at"])

        assert abs(expires_at - datetime.now(UTC) - LIFETIME) < timedelta(seconds=30)
        assert expires_at.utcoffset() == timedelta(0)

    def test_renews_an_identity(self, client: FlaskClient, keys: Keys) -> None:
        old = make_voter_token(keys, number=7, now=datetime.now(UTC) - timedelta(days=399))

        made = read(client.post("/v1/voters", json={"voter_token": old}))

        assert identity(keys, made["voter_token"]) == identity(keys, old)
        assert made["voter_token"] != old

    @pytest.mark.parametrize(
        ("token", "code"),
        [
            ("", "voter_token_missing"),
            ("forged", "voter_token_invalid"),
            ("x" * 401, "voter_token_invalid"),
            ("x" * 1_900, "voter_token_invalid"),
            ("\u00fc", "voter_token_invalid"),
        ],
        ids=lambda value: ascii(value)[:20],
    )
    def test_renews_none_that_is_not_ours(self, client: FlaskClient, token: str, code: str) -> None:
        response = client.post("/v1/voters", json={"voter_token": token})

        assert response.status_code == 401
        assert read_problem(response)["code"] == code

    def test_renews_none_that_expired(self, client: FlaskClient, keys: Keys) -> None:
        old = make_voter_token(keys, now=datetime.now(UTC) - LIFETIME - timedelta(seconds=1))

        response = client.post("/v1/voters", json={"voter_token": old})

        assert (response.status_code, read_problem(response)["code"]) == (401, "voter_token_expired")

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"voter_token": 5}, "voter_token"),
            ({"voter_token": True}, "voter_token"),
            ({"voter_token": ["x"]}, "voter_token"),
            ({"identity": "x"}, "identity"),
            ({"expires_at": "2999-01-01T00:00:00Z"}, "expires_at"),
        ],
        ids=repr,
    )
    def test_takes_nothing_else(self, client: FlaskClient, body: dict[str, Any], field: str) -> None:
        response = client.post("/v1/voters", json=body)

        assert (response.status_code, fields_of(response)) == (422, [field])

    def test_stores_nothing(self, client: FlaskClient, session: Session) -> None:
        def rows() -> dict[str, int]:
            session.rollback()
            names = inspect(session.get_bind()).get_table_names()
            return {name: session.scalar(text(f'SELECT count(*) FROM "{name}"')) or 0 for name in names}

        before = rows()
        client.post("/v1/voters")

        assert rows() == before

    def test_sets_no_cookie_and_is_kept_by_no_cache(self, client: FlaskClient) -> None:
        headers = client.post("/v1/voters").headers

        assert "Set-Cookie" not in headers
        assert headers["Cache-Control"] == "private, no-store"


class TestRotation:
    def test_of_the_signing_key_keeps_every_voter(
        self, make_app: Callable[..., Flask], poll_url: str, client: FlaskClient
    ) -> None:
        token = read(client.post("/v1/voters"))["voter_token"]
        vote = {"choices": [1], "voter_token": token}
        client.post(f"{poll_url}/votes", json=vote)
        rotated = make_app(
            secret_key=("a-newer-signing-key-of-the-same-tests", "a-signing-key-that-only-the-tests-know")
        ).test_client()

        renewed = read(rotated.post("/v1/voters", json={"voter_token": token}))["voter_token"]

        for each in (token, renewed):
            answer = rotated.post(f"{poll_url}/votes", json=vote | {"voter_token": each})
            assert read(answer)["status"] == "already_counted"
        assert client.post("/v1/voters", json={"voter_token": renewed}).status_code == 401
