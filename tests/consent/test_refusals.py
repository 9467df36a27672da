"""Consent over HTTP: what is refused, by name, and leaves nothing behind."""

import uuid
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.articles.models import Article
from pollsvc.consent.models import ConsentText, SignUp, Subscriber
from tests.factories import (
    ARTICLE_URL,
    ORIGIN,
    make_consent_text,
    make_site,
)


def fields_of(response: TestResponse) -> list[str]:
    return [error["field"] for error in response.get_json()["errors"]]


@pytest.fixture
def text(session: Session) -> ConsentText:
    """A site's newsletter text, committed."""
    made = make_consent_text(session, site=make_site(session))
    session.commit()
    return made


@pytest.fixture
def form(text: ConsentText) -> dict[str, Any]:
    """What a reader sends."""
    return {
        "text_id": str(text.id),
        "email": "ada@reader.example",
        "accepted": True,
        "article_url": ARTICLE_URL,
    }


def stored(session: Session) -> list[int]:
    """Count the rows that a consent may leave: sign-ups, subscribers, articles."""
    session.commit()
    return [
        session.scalars(select(func.count()).select_from(model)).one()
        for model in (SignUp, Subscriber, Article)
    ]


class TestRefusedConsent:
    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            pytest.param({"accepted": False}, "accepted", id="box not ticked"),
            pytest.param({"accepted": None}, "accepted", id="box null"),
            pytest.param({"accepted": 1}, "accepted", id="box one"),
            pytest.param({"accepted": 1.0}, "accepted", id="box 1.0"),
            pytest.param({"accepted": "true"}, "accepted", id="box a word"),
            pytest.param({"accepted": "on"}, "accepted", id="box as forms send it"),
            pytest.param({"accepted": [True]}, "accepted", id="box in a list"),
            pytest.param({"email": None}, "email", id="no address"),
            pytest.param({"email": ""}, "email", id="empty address"),
            pytest.param({"email": "ada"}, "email", id="no at sign"),
            pytest.param({"email": "ada@"}, "email", id="no domain"),
            pytest.param({"email": "@reader.example"}, "email", id="no local part"),
            pytest.param({"email": "ada@reader"}, "email", id="no dot in the domain"),
            pytest.param({"email": "ada@@reader.example"}, "email", id="two at signs"),
            pytest.param({"email": "ada@reader..example"}, "email", id="two dots"),
            pytest.param({"email": "ada lovelace@reader.example"}, "email", id="space"),
            pytest.param({"email": "Ada <ada@reader.example>"}, "email", id="name and address"),
            pytest.param({"email": "ada@reader.example,eve@reader.example"}, "email", id="two addresses"),
            pytest.param({"email": "ada@reader.example\r\nBcc: eve@x.example"}, "email", id="header"),
            pytest.param({"email": "ada\u0000@reader.example"}, "email", id="NUL"),
            pytest.param({"email": "\u202eada@reader.example"}, "email", id="direction override"),
            pytest.param({"email": "ada@[127.0.0.1]"}, "email", id="network address"),
            pytest.param({"email": "a@" + "b." * 130 + "example"}, "email", id="long address"),
            pytest.param({"email": "a" * 5_000}, "email", id="very long address"),
            pytest.param({"email": "a\u0301" * 150 + "@reader.example"}, "email", id="many marks"),
            pytest.param({"email": 7}, "email", id="number for an address"),
            pytest.param({"email": ["ada@reader.example"]}, "email", id="list of addresses"),
            pytest.param({"text_id": None}, "text_id", id="no text"),
            pytest.param({"text_id": "newest"}, "text_id", id="text by a word"),
            pytest.param({"text_id": 1}, "text_id", id="text by a number"),
            pytest.param({"text_id": str(uuid.uuid4())}, "text_id", id="unknown text"),
            pytest.param({"article_url": None}, "article_url", id="no article"),
            pytest.param({"article_url": "harbour"}, "article_url", id="no URL"),
            pytest.param({"article_url": "https://other.example/a"}, "article_url", id="host of nobody"),
            pytest.param({"article_url": f"{ORIGIN}/{'a' * 2000}"}, "article_url", id="long URL"),
            pytest.param({"occurred_at": "2020-01-01T00:00:00Z"}, "occurred_at", id="a time of one's own"),
            pytest.param({"voter_token": "x"}, "voter_token", id="the voter's token"),
            pytest.param({"is_suspect": False}, "is_suspect", id="a verdict of one's own"),
        ],
    )
    def test_what_breaks_a_rule_is_named_and_nothing_is_stored(
        self, client: FlaskClient, session: Session, form: dict[str, Any], changes: dict[str, Any], field: str
    ) -> None:
        response = client.post("/v1/consents", json=form | changes)

        assert (response.status_code, response.get_json()["code"]) == (422, "invalid")
        assert fields_of(response) == [field]
        assert stored(session) == [0, 0, 0]

    def test_each_missing_field_is_named(self, client: FlaskClient, session: Session) -> None:
        response = client.post("/v1/consents", json={})

        assert response.status_code == 422
        assert sorted(fields_of(response)) == ["accepted", "article_url", "email", "text_id"]
        assert stored(session) == [0, 0, 0]

    def test_text_of_another_site_is_refused_with_the_article_left_unmade(
        self, client: FlaskClient, session: Session, form: dict[str, Any]
    ) -> None:
        make_site(session, name="Post", origins=["https://post.example"])
        session.commit()

        response = client.post("/v1/consents", json=form | {"article_url": "https://post.example/story"})

        assert (response.status_code, fields_of(response)) == (422, ["text_id"])
        assert stored(session) == [0, 0, 0]

    def test_refusal_repeats_nothing_of_the_address(self, client: FlaskClient, form: dict[str, Any]) -> None:
        response = client.post("/v1/consents", json=form | {"email": "canary@localhost"})

        assert response.status_code == 422
        assert "canary" not in response.get_data(as_text=True)

    @pytest.mark.parametrize(
        ("sent", "status"),
        [
            pytest.param({"data": {"email": "ada@reader.example"}}, 415, id="form"),
            pytest.param({"data": "{}", "content_type": "text/plain"}, 415, id="text"),
            pytest.param({"data": '{"email": ', "content_type": "application/json"}, 400, id="cut JSON"),
            pytest.param({"json": ["ada@reader.example"]}, 400, id="list"),
            pytest.param({"json": {"email": "a" * 8_192}}, 413, id="over the cap"),
        ],
    )
    def test_body_that_is_no_form_of_ours(
        self, client: FlaskClient, session: Session, sent: dict[str, Any], status: int
    ) -> None:
        response = client.post("/v1/consents", **sent)

        assert response.status_code == status
        assert response.content_type == "application/problem+json"
        assert stored(session) == [0, 0, 0]

    def test_twenty_a_minute_are_taken_from_a_network(
        self, client: FlaskClient, session: Session, form: dict[str, Any]
    ) -> None:
        refused = [client.post("/v1/consents", json={}).status_code for _ in range(20)]

        over = client.post("/v1/consents", json=form)
        elsewhere = client.post("/v1/consents", json=form, environ_base={"REMOTE_ADDR": "198.51.100.7"})

        assert set(refused) == {422}
        assert (over.status_code, over.get_json()["code"]) == (429, "rate_limited")
        assert int(over.headers["Retry-After"]) > 0
        assert elsewhere.status_code == 202
        assert stored(session)[0] == 1

    @pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
    def test_other_methods_are_refused(self, client: FlaskClient, method: str) -> None:
        assert client.open("/v1/consents", method=method).status_code == 405
